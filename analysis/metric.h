/* The columns of the summary as metrics: how people call them, which way is better, and numbers in readable
 * units. */
#ifndef PHOTONET_ANALYSIS_METRIC_H
#define PHOTONET_ANALYSIS_METRIC_H

#include "photonet/results.h"

enum metric_section {
    METRIC_TIME,
    METRIC_MESSAGES,
    METRIC_ENERGY,
    METRIC_TRAFFIC,
    METRIC_OTHER,
    METRIC_SECTION_COUNT
};
extern const char *const metric_section_names[METRIC_SECTION_COUNT];

enum metric_better { BETTER_NEITHER, BETTER_LOW, BETTER_HIGH };

struct metric {
    const struct result_column *column;
    const char *label; /* at most 20 characters, no unit */
    enum metric_section section;
    enum metric_better better;
    const char
        *key; /* label of the few that a short table shows, two words of at most 7 characters, else NULL */
    bool is_defined; /* its meaning stands below the tables */
};

/* One metric for each number in the summary, in the order of columns.def. A column that is not listed in
 * metric.c is a metric too, under its own name. */
const struct metric *metric_list(struct arena *arena, size_t *count);

/* Not-a-number where the column is not known. */
double metric_value(const struct metric *metric, const struct result_summary *summary);

/* True for a power or energy of a run in which something that draws power names no part: it is too low. */
bool metric_is_incomplete(const struct metric *metric, const struct result_summary *summary);

/* A unit in which values from `smallest` (above 0) to `largest` are read easily: 1.2e9 ps = 1.2 ms. */
struct metric_unit {
    const char *name;
    double factor; /* value in the column's unit times factor = value in this one */
};
struct metric_unit metric_unit_for(const struct metric *metric, double smallest, double largest);

/* At most five characters, four digits; "-" where not known. Returns `text`. */
char *metric_print(double value, bool is_whole, char text[16]);

#endif
