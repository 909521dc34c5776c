/* Runs side by side. */
#ifndef PHOTONET_ANALYSIS_COMPARE_H
#define PHOTONET_ANALYSIS_COMPARE_H

#include "analysis/metric.h"
#include "analysis/reader.h"

#include <stdio.h>

struct comparison {
    struct arena *arena;
    const struct reader_run **runs;
    const char **names; /* of the runs; with the file in front where two have the same */
    size_t run_count;
    size_t baseline; /* index */
    const struct metric *metrics;
    size_t metric_count;
};

/* Loads all runs of the files. `baseline` is a name, or NULL for the first run. */
enum status comparison_load(const char *const *paths, size_t path_count, const char *baseline,
                            struct arena *arena, struct comparison **comparison, struct diag *diag);

/* Not-a-number where the run has no such value. */
double comparison_value(const struct comparison *comparison, const struct metric *metric, size_t run);

/* True where the value leaves out what it should hold; then it is marked with COMPARE_INCOMPLETE, and never the best. */
bool comparison_is_incomplete(const struct comparison *comparison, const struct metric *metric, size_t run);
#define COMPARE_INCOMPLETE '?'

/* The least width in characters that a terminal is taken to have. */
#define COMPARE_WIDTH 100

void compare_table(const struct comparison *comparison, FILE *out); /* for people */
void compare_markdown(const struct comparison *comparison, FILE *out);
void compare_csv(const struct comparison *comparison, FILE *out);
void compare_json(const struct comparison *comparison, FILE *out);

#endif
