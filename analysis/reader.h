/* Reads result files back: the runs of a file, and any table of a run as the row structs of results.h.
 *
 * What is read is copied into the arena; a table comes in one piece, so a message table of 10^8 rows wants 6
 * GB. Columns that the file lacks (an older schema) read as 0, or as not-a-number where they are real
 * numbers. Files that are not ours, damaged, or of a newer schema are refused with one line and STATUS_INPUT.
 */
#ifndef PHOTONET_ANALYSIS_READER_H
#define PHOTONET_ANALYSIS_READER_H

#include "photonet/results.h"

struct reader;

struct reader_run {
    struct reader *reader;
    const char *path; /* of the file */
    const char *name;
    const char *status;                                           /* "complete", "interrupted", "deadlock" */
    const char *engine, *trace, *fabric, *fabric_family, *digest; /* "" where unknown */
    uint64_t ordinal;                                             /* in the file, from 0 */
    double scale;     /* share of the full step that was simulated */
    bool has_summary; /* false for a run that did not end */
    struct result_summary summary;
};

/* Opens the file and lists its runs in the order in which they began; at least one. */
enum status reader_open(const char *path, struct arena *arena, struct reader **reader, struct diag *diag);
void reader_close(struct reader *reader);

const struct reader_run *reader_runs(const struct reader *reader, size_t *count);

/* All rows of a table: an array of struct result_TABLE; no rows where the run has none. */
enum status reader_table(const struct reader_run *run, enum result_table table, struct arena *arena,
                         void **rows, size_t *count, struct diag *diag);

#endif
