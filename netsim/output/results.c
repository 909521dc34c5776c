/* The result file: buffers rows by column and stores them in the layout of analysis/schema.md.
 *
 *     results_append: struct rows ──► one buffer of a chunk a column ──► dataset, when full or at a flush
 *
 * A table's datasets are made when its first rows are stored. A chunk that a flush has stored half full stays in
 * its buffer and is written again when there is more in it: the library then never has to read a chunk back.
 * results_flush publishes through twin.h, which is what makes the file readable after kill -9.
 *
 * Equal rows give equal bytes in a stable file. The place of a chunk depends on when it was first stored, and
 * flushes come by the wall clock; so a stable file is published at the borders of runs only. */
#include "photonet/results.h"

#include "netsim/output/h5.h"
#include "netsim/output/twin.h"
#include "photonet/command.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SCHEMA_VERSION 1

enum { TEXT_BYTES = 64, NAME_TEXT_BYTES = 256, COLUMNS_MAX = H5_SCALED_MAX, RUN_NAME_BYTES = 64 };

struct column_buffer {
    struct h5_meaning meaning;
    size_t field_offset, cell_bytes;
    hid_t dataset;
    uint8_t *cells; /* chunk_rows of the table */
};

struct table_buffer {
    hid_t group, row_scale; /* row_scale: negative where a column is the scale */
    const char *scale_name; /* of the column that is the scale; NULL: row_scale */
    uint64_t first_row;     /* of the chunk in the buffers */
    size_t count;           /* rows in the buffers */
    uint64_t made_rows;     /* of the datasets */
    size_t chunk_rows;
    bool is_open, is_made, is_dirty; /* is_made: its datasets are in the file */
    size_t column_count;
    struct column_buffer *columns;
};

struct results_run {
    struct results *results;
    struct arena *arena; /* of the buffers; owned */
    hid_t group;
    const char *name;
    struct table_buffer tables[RESULT_TABLE_COUNT];
    struct result_summary summary;
    struct results_run *next;
};

struct results {
    struct arena *arena;
    struct twin *twin;
    struct h5 h5;
    hid_t file, runs;
    bool stable;
    uint32_t run_count;
    struct results_run *open_runs;
};

/* The dimension scale of each table: the column that names its rows, else a column "row" of numbers. */
static const char *const natural_scale[RESULT_TABLE_COUNT] = {
    [RESULT_TABLE_ranks] = "rank",
    [RESULT_TABLE_links] = "port",
    [RESULT_TABLE_nodes] = "node",
};

/* Rows of a chunk, in tables that hardly ever have more; the others have H5_CHUNK_ROWS. */
static const size_t few_rows[RESULT_TABLE_COUNT] = {
    [RESULT_TABLE_inputs] = 16,
    [RESULT_TABLE_jobs] = 16,
    [RESULT_TABLE_summary] = 1,
};

static const struct h5_meaning row_meaning = {"row", "1", "number of the row", COLUMN_U64, 0, true, false};

/* ---- failing
 * ----------------------------------------------------------------------------------------------------- */

static enum status outcome(const struct results *results, struct diag *diag)
{
    int error = twin_errno(results->twin);
    if (error != 0) {
        return diag_set(diag, STATUS_IO, "%s: cannot be written: %s", twin_path(results->twin), strerror(error));
    }
    if (results->h5.failed) {
        return diag_set(diag, STATUS_IO, "%s: cannot write %s: refused by HDF5", twin_path(results->twin), results->h5.what);
    }
    return STATUS_OK;
}

/* ---- tables
 * ------------------------------------------------------------------------------------------------------ */

static size_t text_bytes_of(const struct result_column *column)
{
    if (column->type != COLUMN_TEXT) {
        return 0;
    }
    bool is_free_text = column->table == RESULT_TABLE_jobs ||
                        (column->table == RESULT_TABLE_inputs && strcmp(column->name, "name") == 0);
    return is_free_text ? NAME_TEXT_BYTES : TEXT_BYTES;
}

static void column_open(struct table_buffer *table, const struct result_column *column)
{
    struct column_buffer *buffer = &table->columns[table->column_count++];
    *buffer = (struct column_buffer){
        .meaning = {column->name, column->unit, column->meaning, column->type, text_bytes_of(column), false, false},
        .field_offset = column->offset,
    };
    buffer->cell_bytes = h5_cell_bytes(&buffer->meaning);
    buffer->dataset = H5I_INVALID_HID;
}

/* Between columns, or the cells of a row, 64 KiB apart, would all lie in the same few lines of a cache. */
#define COLUMN_GAP_BYTES 192

/* The buffers of all columns in one piece, which the system maps and nobody clears: most tables fill little of theirs. */
static void buffers_alloc(struct results_run *run, struct table_buffer *table)
{
    size_t bytes = 0;
    for (size_t i = 0; i < table->column_count; i++) {
        bytes += table->chunk_rows * table->columns[i].cell_bytes + COLUMN_GAP_BYTES;
    }
    uint8_t *cells = arena_alloc(run->arena, bytes);
    for (size_t i = 0; i < table->column_count; i++) {
        table->columns[i].cells = cells;
        cells += table->chunk_rows * table->columns[i].cell_bytes + COLUMN_GAP_BYTES;
    }
}

/* Names the columns in the order of columns.def (HDF5 lists them by name) and attaches the scale to all. */
static void scales_attach(struct h5 *h5, struct table_buffer *table)
{
    const char *scale_name = table->scale_name;
    const char *names[COLUMNS_MAX] = {0};
    hid_t datasets[COLUMNS_MAX], scale = table->row_scale;
    for (size_t i = 0; i < table->column_count; i++) {
        names[i] = table->columns[i].meaning.name;
        datasets[i] = table->columns[i].dataset;
        if (scale_name != NULL && strcmp(names[i], scale_name) == 0) {
            scale = datasets[i];
        }
    }
    h5_attr_texts(h5, table->group, "columns", names, table->column_count);
    h5_scale(h5, scale, scale_name != NULL ? scale_name : row_meaning.name);
    for (size_t i = 0; i < table->column_count; i++) {
        if (datasets[i] != scale) {
            h5_scaled(h5, datasets[i], &scale, 1);
        }
    }
    h5_scales(h5, scale, datasets, table->column_count, 0);
}

static void table_open(struct results_run *run, enum result_table id)
{
    struct table_buffer *table = &run->tables[id];
    struct h5 *h5 = &run->results->h5;
    *table = (struct table_buffer){.is_open = true, .row_scale = H5I_INVALID_HID, .scale_name = natural_scale[id],
                                   .chunk_rows = few_rows[id] > 0 ? few_rows[id] : H5_CHUNK_ROWS};
    table->columns = arena_array(run->arena, COLUMNS_MAX, struct column_buffer);
    table->group = h5_group(h5, run->group, result_table_names[id]);
    h5_attr_text(h5, table->group, "long_name", result_table_meanings[id]);
    for (const struct result_column *column = result_columns; column->name != NULL; column++) {
        if (column->table == id) {
            assert(table->column_count < COLUMNS_MAX);
            column_open(table, column);
        }
    }
    buffers_alloc(run, table);
}

/* The datasets of a table, when its first rows are stored: where no more rows will come they are one chunk, without
 * unused room. */
static void table_make(struct h5 *h5, struct table_buffer *table, bool is_last)
{
    table->is_made = true;
    table->chunk_rows = is_last && table->count > 0 ? table->count : table->chunk_rows;
    table->made_rows = table->count;
    if (table->scale_name == NULL) {
        table->row_scale = h5_column(h5, table->group, &row_meaning, table->made_rows, table->chunk_rows);
    }
    for (size_t i = 0; i < table->column_count; i++) {
        struct column_buffer *column = &table->columns[i];
        column->dataset = h5_column(h5, table->group, &column->meaning, table->made_rows, table->chunk_rows);
    }
    scales_attach(h5, table);
}

static void table_grow(struct h5 *h5, struct table_buffer *table)
{
    uint64_t rows = table->first_row + table->count;
    if (rows <= table->made_rows) {
        return;
    }
    table->made_rows = rows;
    for (size_t i = 0; i < table->column_count; i++) {
        h5_column_grow(h5, table->columns[i].dataset, &table->columns[i].meaning, rows);
    }
    if (table->row_scale >= 0) {
        h5_column_grow(h5, table->row_scale, &row_meaning, rows);
    }
}

static void row_numbers_write(struct h5 *h5, struct table_buffer *table)
{
    uint64_t numbers[H5_CHUNK_ROWS];
    for (size_t i = 0; i < table->count; i++) {
        numbers[i] = table->first_row + i;
    }
    h5_column_write(h5, table->row_scale, &row_meaning, table->first_row, table->count, table->chunk_rows, numbers);
}

static void table_store(struct results_run *run, struct table_buffer *table, bool is_last)
{
    struct h5 *h5 = &run->results->h5;
    if (!table->is_made && (table->is_dirty || (table->is_open && is_last))) {
        table_make(h5, table, is_last);
    }
    if (!table->is_dirty) {
        return;
    }
    table_grow(h5, table);
    for (size_t i = 0; i < table->column_count; i++) {
        struct column_buffer *column = &table->columns[i];
        h5_column_write(h5, column->dataset, &column->meaning, table->first_row, table->count, table->chunk_rows,
                        column->cells);
    }
    if (table->row_scale >= 0) {
        row_numbers_write(h5, table);
    }
    table->is_dirty = false;
}

static void table_close(struct results_run *run, struct table_buffer *table)
{
    table_store(run, table, true);
    for (size_t i = 0; i < table->column_count; i++) {
        h5_close(table->columns[i].dataset);
    }
    if (table->is_open) {
        h5_close(table->row_scale);
        h5_close(table->group);
    }
    table->is_open = false;
}

/* A text that is too long for its column keeps its end, where paths differ. */
static void text_cell(uint8_t *cell, size_t cell_bytes, const char *text)
{
    size_t length = text != NULL ? strlen(text) : 0;
    memset(cell, 0, cell_bytes);
    if (length <= cell_bytes) {
        memcpy(cell, text != NULL ? text : "", length);
    } else {
        memcpy(cell, "...", 3);
        memcpy(cell + 3, text + length - (cell_bytes - 3), cell_bytes - 3);
    }
}

static void row_buffer(struct table_buffer *table, const uint8_t *row)
{
    for (size_t i = 0; i < table->column_count; i++) {
        const struct column_buffer *column = &table->columns[i];
        uint8_t *cell = column->cells + table->count * column->cell_bytes;
        const uint8_t *field = row + column->field_offset;
        if (column->meaning.type == COLUMN_TEXT) {
            const char *text;
            memcpy(&text, field, sizeof text);
            text_cell(cell, column->cell_bytes, text);
        } else if (column->cell_bytes == sizeof(uint64_t)) {
            memcpy(cell, field, sizeof(uint64_t)); /* without a call */
        } else {
            memcpy(cell, field, sizeof(uint32_t));
        }
    }
    table->count++;
    table->is_dirty = true;
}

/* The one row of the summary is also a set of attributes: scalars are looked up more easily there. */
static void summary_attributes(struct results_run *run, const struct result_summary *row)
{
    struct h5 *h5 = &run->results->h5;
    const uint8_t *bytes = (const uint8_t *)row;
    hid_t group = run->tables[RESULT_TABLE_summary].group;
    for (const struct result_column *column = result_columns; column->name != NULL; column++) {
        if (column->table == RESULT_TABLE_summary && column->type == COLUMN_U64) {
            uint64_t value;
            memcpy(&value, bytes + column->offset, sizeof value);
            h5_attr_u64(h5, group, column->name, value);
        } else if (column->table == RESULT_TABLE_summary && column->type == COLUMN_F64) {
            double value;
            memcpy(&value, bytes + column->offset, sizeof value);
            h5_attr_f64(h5, group, column->name, value);
        }
    }
    run->summary = *row;
}

enum status results_append(struct results_run *run, enum result_table id, const void *rows, size_t count,
                           struct diag *diag)
{
    struct table_buffer *table = &run->tables[id];
    const uint8_t *row = rows;
    if (!table->is_open) {
        table_open(run, id);
    }
    assert(id != RESULT_TABLE_summary || (count == 1 && table->count == 0)); /* one row a run */
    for (size_t i = 0; i < count; i++, row += result_row_bytes[id]) {
        row_buffer(table, row);
        if (table->count == table->chunk_rows) {
            table_store(run, table, false);
            table->first_row += table->count;
            table->count = 0;
        }
    }
    if (id == RESULT_TABLE_summary) {
        summary_attributes(run, rows);
    }
    return outcome(run->results, diag);
}

/* ---- histograms and time series
 * ------------------------------------------------------------------------------------ */

/* The group PARENT/NAME of a run, PARENT made where it is missing. */
static hid_t nested_group(struct results_run *run, const char *parent_name, const char *name,
                          const char *meaning)
{
    struct h5 *h5 = &run->results->h5;
    bool exists = !h5->failed && H5Lexists(run->group, parent_name, H5P_DEFAULT) > 0;
    hid_t parent =
        exists ? H5Gopen2(run->group, parent_name, H5P_DEFAULT) : h5_group(h5, run->group, parent_name);
    hid_t group = h5_group(h5, parent, name);
    h5_attr_text(h5, group, "long_name", meaning);
    h5_close(parent);
    return group;
}

enum status results_histogram(struct results_run *run, const char *name, const char *meaning,
                              const char *unit, const uint64_t *edges, const uint64_t *counts, size_t count,
                              struct diag *diag)
{
    struct h5 *h5 = &run->results->h5;
    struct h5_meaning edge = {"edge", unit, "lower edge of the bin", COLUMN_U64, 0, false, false};
    struct h5_meaning value = {"count", "1", meaning, COLUMN_U64, 0, false, false};
    hid_t group = nested_group(run, "latency", name, meaning);
    hid_t scale = h5_array(h5, group, &edge, 1, &count, edges);
    hid_t data = h5_array(h5, group, &value, 1, &count, counts);
    h5_attr_texts(h5, group, "columns", (const char *const[]){edge.name, value.name}, 2);
    h5_scale(h5, scale, edge.name);
    h5_scaled(h5, data, &scale, 1);
    h5_scales(h5, scale, &data, 1, 0);
    h5_close(data);
    h5_close(scale);
    h5_close(group);
    return outcome(run->results, diag);
}

enum status results_timeseries(struct results_run *run, const char *name, const char *meaning,
                               const char *unit, const char *index_name, const uint64_t *time_ps,
                               size_t time_count, const uint32_t *index, size_t index_count,
                               const float *values, struct diag *diag)
{
    struct h5 *h5 = &run->results->h5;
    struct h5_meaning time = {"time_ps", "ps", "simulated time", COLUMN_U64, 0, true, false};
    struct h5_meaning column = {index_name, "1", index_name, COLUMN_U32, 0, true, false};
    struct h5_meaning value = {name, unit, meaning, COLUMN_F64, 0, false, true};
    hid_t group = nested_group(run, "timeseries", name, meaning);
    hid_t times = h5_array(h5, group, &time, 1, &time_count, time_ps);
    hid_t indices = h5_array(h5, group, &column, 1, &index_count, index);
    hid_t data = h5_array(h5, group, &value, 2, (const size_t[]){time_count, index_count}, values);
    h5_scale(h5, times, time.name);
    h5_scale(h5, indices, column.name);
    h5_scaled(h5, data, (const hid_t[]){times, indices}, 2);
    h5_scales(h5, times, &data, 1, 0);
    h5_scales(h5, indices, &data, 1, 1);
    h5_close(data);
    h5_close(indices);
    h5_close(times);
    h5_close(group);
    return outcome(run->results, diag);
}

/* ---- the file
 * ---------------------------------------------------------------------------------------------------- */

static void root_attributes(struct results *results)
{
    struct h5 *h5 = &results->h5;
    char creator[128];
    snprintf(creator, sizeof creator, "photonet %s (%s)", photonet_version, photonet_commit);
    h5_attr_text(h5, results->file, "format", "photonet-results");
    h5_attr_u64(h5, results->file, "schema_version", SCHEMA_VERSION);
    h5_attr_text(h5, results->file, "Conventions", "CF-1.10");
    h5_attr_text(h5, results->file, "creator", creator);
    h5_attr_text(h5, results->file, "title", "Photonet simulation results");
    h5_attr_text(h5, results->file, "source", "packet-level simulation");
    h5_attr_text(h5, results->file, "references",
                 "tables and units: analysis/schema.md; definitions: the long_name of each dataset");
}

enum status results_create(const char *path, bool stable, struct arena *arena, struct results **out,
                           struct diag *diag)
{
    struct results *results = arena_one(arena, struct results);
    *results = (struct results){.arena = arena, .stable = stable, .file = -1, .runs = -1};
    enum status status = twin_create(path, arena, &results->twin, diag);
    if (status != STATUS_OK) {
        return status;
    }
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* failures are told through diag */
    h5_begin(&results->h5, arena);
    results->file = twin_h5_create(results->twin);
    if (results->file < 0) {
        results->h5.failed = true;
        snprintf(results->h5.what, sizeof results->h5.what, "the head of the file");
    }
    root_attributes(results);
    results->runs = h5_group(&results->h5, results->file, "runs");
    status = outcome(results, diag);
    if (status != STATUS_OK) {
        struct diag ignored;
        (void)results_close(results, &ignored);
        return status;
    }
    *out = results;
    return STATUS_OK;
}

static enum status publish(struct results *results, struct diag *diag)
{
    for (struct results_run *run = results->open_runs; run != NULL; run = run->next) {
        for (int id = 0; id < RESULT_TABLE_COUNT; id++) {
            table_store(run, &run->tables[id], false);
        }
    }
    if (!results->h5.failed && H5Fflush(results->file, H5F_SCOPE_GLOBAL) < 0) {
        results->h5.failed = true;
        snprintf(results->h5.what, sizeof results->h5.what, "what was buffered");
    }
    enum status status = outcome(results, diag);
    return status != STATUS_OK ? status : twin_publish(results->twin, diag);
}

enum status results_flush(struct results *results, struct diag *diag)
{
    return results->stable ? outcome(results, diag) : publish(results, diag);
}

/* ---- runs
 * -------------------------------------------------------------------------------------------------------- */

/* A link name: no slashes, not empty, not "."; .2, .3 ... where it is taken. */
static const char *unique_name(struct results *results, const char *wanted)
{
    char *base = arena_strndup(results->arena, wanted, RUN_NAME_BYTES - 8);
    for (char *at = base; *at != '\0'; at++) {
        *at = *at == '/' ? '-' : *at;
    }
    const char *name = base[0] == '\0' || strcmp(base, ".") == 0 ? "run" : base;
    const char *stem = name;
    for (unsigned i = 2; H5Lexists(results->runs, name, H5P_DEFAULT) > 0; i++) {
        name = arena_printf(results->arena, "%s.%u", stem, i);
    }
    return name;
}

static void clock_attribute(struct results *results, hid_t group, const char *name)
{
    char text[32];
    struct tm parts;
    time_t now = time(NULL);
    if (!results->stable) {
        gmtime_r(&now, &parts);
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
        h5_attr_text(&results->h5, group, name, text);
    }
}

static void provenance_attributes(struct results *results, hid_t group, const struct results_provenance *from)
{
    struct h5 *h5 = &results->h5;
    h5_attr_text(h5, group, "status", "interrupted");
    h5_attr_u64(h5, group, "ordinal", results->run_count);
    h5_attr_text(h5, group, "photonet_version", photonet_version);
    h5_attr_text(h5, group, "git_commit", photonet_commit);
    h5_attr_text(h5, group, "compiler", photonet_compiler);
    h5_attr_text(h5, group, "engine", from->engine);
    h5_attr_text(h5, group, "simd", from->simd);
    h5_attr_u64(h5, group, "threads", from->threads);
    h5_attr_u64(h5, group, "seed", from->seed);
    h5_attr_text(h5, group, "command_line", from->command_line);
    h5_attr_text(h5, group, "config_yaml", from->config_yaml);
    h5_attr_text(h5, group, "trace", from->trace);
    h5_attr_text(h5, group, "fabric", from->fabric);
    h5_attr_text(h5, group, "fabric_family", from->fabric_family);
    h5_attr_text(h5, group, "import_report", from->import_report);
    h5_attr_f64(h5, group, "scale", from->scale);
    clock_attribute(results, group, "started");
}

static enum status inputs_append(struct results_run *run, const struct results_provenance *from,
                                 struct diag *diag)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < from->input_count && status == STATUS_OK; i++) {
        char digest[17];
        snprintf(digest, sizeof digest, "%016llx", (unsigned long long)from->inputs[i].xxh3);
        struct result_inputs row = {
            .name = from->inputs[i].name, .bytes = from->inputs[i].bytes, .xxh3 = digest};
        status = results_append(run, RESULT_TABLE_inputs, &row, 1, diag);
    }
    return status;
}

enum status results_run_begin(struct results *results, const char *name,
                              const struct results_provenance *from, struct results_run **out,
                              struct diag *diag)
{
    struct results_run *run = arena_one(results->arena, struct results_run);
    run->results = results;
    run->arena = arena_new("result buffers");
    run->name = unique_name(results, name);
    run->group = h5_group(&results->h5, results->runs, run->name);
    provenance_attributes(results, run->group, from);
    results->run_count++;
    run->next = results->open_runs;
    results->open_runs = run;
    enum status status = inputs_append(run, from, diag);
    if (status == STATUS_OK) {
        status = publish(results, diag);
    }
    *out = run;
    return status;
}

static void run_close(struct results_run *run)
{
    struct results_run **link = &run->results->open_runs;
    for (int id = 0; id < RESULT_TABLE_COUNT; id++) {
        table_close(run, &run->tables[id]);
    }
    h5_close(run->group);
    arena_free(run->arena);
    while (*link != run) {
        link = &(*link)->next;
    }
    *link = run->next;
}

/* One row a run in /tables/summary, for pandas.read_hdf and for anything else that reads compound tables. */
static void summary_record(struct results_run *run, const char *status)
{
    struct record {
        char run[RUN_NAME_BYTES], status[16];
        struct result_summary summary;
    } record = {.summary = run->summary};
    struct h5_field fields[COLUMNS_MAX] = {
        {"run", COLUMN_TEXT, offsetof(struct record, run), sizeof record.run},
        {"status", COLUMN_TEXT, offsetof(struct record, status), sizeof record.status},
    };
    size_t field_count = 2;
    for (const struct result_column *column = result_columns; column->name != NULL; column++) {
        if (column->table == RESULT_TABLE_summary && column->type != COLUMN_TEXT) {
            fields[field_count++] = (struct h5_field){column->name, column->type,
                                                      offsetof(struct record, summary) + column->offset, 0};
        }
    }
    text_cell((uint8_t *)record.run, sizeof record.run, run->name);
    text_cell((uint8_t *)record.status, sizeof record.status, status);
    struct h5 *h5 = &run->results->h5;
    bool exists = !h5->failed && H5Lexists(run->results->file, "tables", H5P_DEFAULT) > 0;
    hid_t group = exists ? H5Gopen2(run->results->file, "tables", H5P_DEFAULT)
                         : h5_group(h5, run->results->file, "tables");
    h5_record_append(h5, group, "summary", "one row a run", fields, field_count, sizeof record, &record);
    h5_close(group);
}

enum status results_run_end(struct results_run *run, const char *status_text, uint64_t makespan_ps,
                            uint64_t digest, double wall_s, struct diag *diag)
{
    struct results *results = run->results;
    struct h5 *h5 = &results->h5;
    char digest_text[17];
    for (int id = 0; id < RESULT_TABLE_COUNT; id++) {
        if (!run->tables[id].is_open) {
            table_open(run, (enum result_table)id); /* an empty table has its columns too */
        }
    }
    summary_record(run, status_text);
    snprintf(digest_text, sizeof digest_text, "%016llx", (unsigned long long)digest);
    h5_attr_text(h5, run->group, "status", status_text);
    h5_attr_u64(h5, run->group, "makespan_ps", makespan_ps);
    h5_attr_text(h5, run->group, "digest", digest_text);
    h5_attr_u64(h5, run->group, "digest_u64", digest);
    if (!results->stable) {
        h5_attr_f64(h5, run->group, "wall_s", wall_s);
    }
    clock_attribute(results, run->group, "ended");
    run_close(run);
    return publish(results, diag);
}

/* A run that has not ended stays "interrupted", with all rows up to here. */
enum status results_close(struct results *results, struct diag *diag)
{
    bool has_runs = results->run_count > 0;
    while (results->open_runs != NULL) {
        run_close(results->open_runs);
    }
    h5_close(results->runs);
    h5_end(&results->h5);
    if (results->file >= 0 && H5Fclose(results->file) < 0 && !results->h5.failed) {
        results->h5.failed = true;
        snprintf(results->h5.what, sizeof results->h5.what, "the end of the file");
    }
    enum status status = outcome(results, diag);
    if (status == STATUS_OK && has_runs) {
        status = twin_publish(results->twin, diag);
    }
    twin_close(results->twin);
    return status;
}
