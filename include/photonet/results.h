/* The result file as tables of columns: what the simulator fills and the writer stores.
 *
 * columns.def lists every column once: RESULT_COLUMN(table, field, type, unit, meaning). From a row come the field of the
 * table's row struct, the HDF5 dataset with its `units` and `long_name`, the JSON key, and the schema page. A
 * column without a unit cannot be written ("1" = a count or ratio, "text" = a label).
 *
 * Types: u64 u32 f64 text. A text field points to a string that lives until the row is appended. */
#ifndef PHOTONET_RESULTS_H
#define PHOTONET_RESULTS_H

#include "photonet/arena.h"
#include "photonet/status.h"

#include <stdbool.h>
#include <stddef.h>

enum column_type { COLUMN_U64, COLUMN_U32, COLUMN_F64, COLUMN_TEXT };

enum result_table {
#define RESULT_TABLE(table_, meaning_) RESULT_TABLE_##table_,
#include "photonet/columns.def"
    RESULT_TABLE_COUNT,
};

/* One struct a table: struct result_links, struct result_messages, ... */
#define COLUMN_C_u64 uint64_t
#define COLUMN_C_u32 uint32_t
#define COLUMN_C_f64 double
#define COLUMN_C_text const char *
#define RESULT_BEGIN(table_) struct result_##table_ {
#define RESULT_COLUMN(table_, field_, type_, unit_, meaning_) COLUMN_C_##type_ field_;
#define RESULT_END(table_) };
#include "photonet/columns.def"

struct result_column {
    enum result_table table;
    const char *name; /* the field, unit last */
    enum column_type type;
    size_t offset;
    const char *unit;
    const char *meaning;
};
extern const struct result_column result_columns[]; /* in table order; ends with name == NULL */
extern const size_t result_row_bytes[RESULT_TABLE_COUNT];
extern const char *const result_table_names[RESULT_TABLE_COUNT];
extern const char *const result_table_meanings[RESULT_TABLE_COUNT];

/* ---- writing ---------------------------------------------------------------------------------------------- */

struct results;     /* an open file */
struct results_run; /* one run in it */

/* Provenance, stored as attributes of the run's group. Strings may be NULL. */
struct results_input {
    const char *name;
    uint64_t bytes;
    uint64_t xxh3;
};
struct results_provenance {
    const char *command_line;
    const char *config_yaml;  /* fully resolved */
    const char *engine;       /* "packet", "simgrid" */
    const char *simd;
    uint32_t threads;
    uint64_t seed;
    const char *trace;        /* SPEC */
    const char *fabric;       /* name of the configuration */
    const char *fabric_family;
    const char *import_report; /* lines */
    double scale;             /* job->scale */
    const struct results_input *inputs;
    uint32_t input_count;
};

/* Creates (or replaces) the file: what was there stays untouched until the first run has begun. `stable` leaves
 * out wall-clock attributes, so that equal runs give equal bytes. */
enum status results_create(const char *path, bool stable, struct arena *arena, struct results **results,
                           struct diag *diag);

/* Group /runs/NAME with status "interrupted" until it ends; unique suffixes .2, .3 where NAME is taken. */
enum status results_run_begin(struct results *results, const char *name, const struct results_provenance *from,
                              struct results_run **run, struct diag *diag);

/* Appends rows (struct result_TABLE[count]); stored at the next flush. */
enum status results_append(struct results_run *run, enum result_table table, const void *rows, size_t count,
                           struct diag *diag);

/* A 1-D dataset with a scale: histograms. edges[i], in `unit`, is the lower edge of bin i; empty bins may be left
 * out. */
enum status results_histogram(struct results_run *run, const char *name, const char *meaning, const char *unit,
                              const uint64_t *edges, const uint64_t *counts, size_t count, struct diag *diag);

/* A 2-D dataset time x index with scales, under timeseries/; in single precision. */
enum status results_timeseries(struct results_run *run, const char *name, const char *meaning, const char *unit,
                               const char *index_name, const uint64_t *time_ps, size_t time_count,
                               const uint32_t *index, size_t index_count, const float *values, struct diag *diag);

/* After this the file on disk is readable by a plain reader, with everything up to here, even if the process is
 * killed. A stable file is published where runs begin and end only, or its bytes would depend on the clock. */
enum status results_flush(struct results *results, struct diag *diag);

/* Marks the run: "complete", "interrupted" or "deadlock", with its end time, digest and wall time. */
enum status results_run_end(struct results_run *run, const char *status, uint64_t makespan_ps, uint64_t digest,
                            double wall_s, struct diag *diag);
enum status results_close(struct results *results, struct diag *diag);

#endif
