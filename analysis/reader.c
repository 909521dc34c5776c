/* The reader declared in reader.h. */
#include "analysis/reader.h"

#include "photonet/input.h"

#include <errno.h>
#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCHEMA_VERSION_MAX 1
#define ROWS_MAX           (UINT64_C(1) << 40) /* more is a damaged file */

enum { TEXT_BYTES_MAX = 1 << 16 };

struct reader {
    struct arena *arena;
    const char *path;
    hid_t file;
    struct reader_run *runs;
    size_t run_count, run_capacity;
};

static void object_close(hid_t object)
{
    if (object >= 0) {
        H5Idec_ref(object);
    }
}

/* ---- attributes
 * -------------------------------------------------------------------------------------------------- */

/* A type in memory for variable-length UTF-8, as the writer stores texts. */
static hid_t text_memory_type(void)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

static hid_t scalar_attr_open(hid_t object, const char *name)
{
    if (H5Aexists(object, name) <= 0) {
        return H5I_INVALID_HID;
    }
    hid_t attr = H5Aopen(object, name, H5P_DEFAULT);
    hid_t space = attr >= 0 ? H5Aget_space(attr) : H5I_INVALID_HID;
    bool is_scalar = space >= 0 && H5Sget_simple_extent_npoints(space) == 1;
    object_close(space);
    if (!is_scalar) {
        object_close(attr);
        return H5I_INVALID_HID;
    }
    return attr;
}

/* "" where there is no such text. */
static const char *attr_text(hid_t object, const char *name, struct arena *arena)
{
    const char *copy = "";
    char *text = NULL;
    hid_t attr = scalar_attr_open(object, name);
    hid_t stored = attr >= 0 ? H5Aget_type(attr) : H5I_INVALID_HID, type = text_memory_type();
    if (stored >= 0 && H5Tis_variable_str(stored) > 0 && H5Aread(attr, type, &text) >= 0 && text != NULL) {
        copy = arena_strdup(arena, text);
        H5free_memory(text);
    }
    object_close(type);
    object_close(stored);
    object_close(attr);
    return copy;
}

static bool attr_number(hid_t object, const char *name, hid_t type, void *value)
{
    hid_t attr = scalar_attr_open(object, name);
    bool good = attr >= 0 && H5Aread(attr, type, value) >= 0;
    object_close(attr);
    return good;
}

/* ---- tables
 * ------------------------------------------------------------------------------------------------------ */

/* Rows of the column, or -1 where it is no column. */
static int64_t column_row_count(hid_t column)
{
    hsize_t size = 0;
    hid_t space = H5Dget_space(column);
    bool good = space >= 0 && H5Sget_simple_extent_ndims(space) == 1 &&
                H5Sget_simple_extent_dims(space, &size, NULL) == 1 && size < ROWS_MAX;
    object_close(space);
    return good ? (int64_t)size : -1;
}

static hid_t number_type(enum column_type type)
{
    return type == COLUMN_U64   ? H5T_NATIVE_UINT64
           : type == COLUMN_U32 ? H5T_NATIVE_UINT32
                                : H5T_NATIVE_DOUBLE;
}

static size_t number_bytes(enum column_type type)
{
    return type == COLUMN_U32 ? sizeof(uint32_t) : sizeof(uint64_t);
}

static bool numbers_read(hid_t data, const struct result_column *column, uint8_t *rows, size_t count,
                         struct arena *scratch)
{
    size_t bytes = number_bytes(column->type), row_bytes = result_row_bytes[column->table];
    uint8_t *cells = arena_alloc_array(scratch, count, bytes);
    if (H5Dread(data, number_type(column->type), H5S_ALL, H5S_ALL, H5P_DEFAULT, cells) < 0) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        memcpy(rows + i * row_bytes + column->offset, cells + i * bytes, bytes);
    }
    return true;
}

/* Equal texts that follow each other share one copy. */
static void texts_spread(const char *cells, size_t width, const struct result_column *column, uint8_t *rows,
                         size_t count, struct arena *arena)
{
    const char *text = "";
    for (size_t i = 0; i < count; i++) {
        const char *cell = cells + i * width;
        size_t length = strnlen(cell, width);
        if (strlen(text) != length || memcmp(text, cell, length) != 0) {
            text = arena_strndup(arena, cell, length);
        }
        memcpy(rows + i * result_row_bytes[column->table] + column->offset, &text, sizeof text);
    }
}

static bool texts_read(hid_t data, const struct result_column *column, uint8_t *rows, size_t count,
                       struct arena *scratch, struct arena *arena)
{
    hid_t type = H5Dget_type(data);
    size_t width = type >= 0 ? H5Tget_size(type) : 0;
    bool good = type >= 0 && H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0 && width > 0 &&
                width <= TEXT_BYTES_MAX;
    if (good) {
        char *cells = arena_alloc_array(scratch, count, width);
        good = H5Dread(data, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, cells) >= 0;
        texts_spread(cells, width, column, rows, count, arena);
    }
    object_close(type);
    return good;
}

static void column_absent(const struct result_column *column, uint8_t *rows, size_t count)
{
    static const char *const empty = "";
    static const double unknown = NAN;
    for (size_t i = 0; i < count; i++) {
        uint8_t *cell = rows + i * result_row_bytes[column->table] + column->offset;
        if (column->type == COLUMN_TEXT) {
            memcpy(cell, &empty, sizeof empty);
        } else if (column->type == COLUMN_F64) {
            memcpy(cell, &unknown, sizeof unknown);
        }
    }
}

static bool column_read(hid_t group, const struct result_column *column, uint8_t *rows, size_t count,
                        struct arena *arena)
{
    if (H5Lexists(group, column->name, H5P_DEFAULT) <= 0) {
        column_absent(column, rows, count);
        return true;
    }
    hid_t data = H5Dopen2(group, column->name, H5P_DEFAULT);
    struct arena *scratch = arena_new("one column of a result file");
    bool good = data >= 0 && column_row_count(data) == (int64_t)count;
    if (good && count > 0) {
        good = column->type == COLUMN_TEXT ? texts_read(data, column, rows, count, scratch, arena)
                                           : numbers_read(data, column, rows, count, scratch);
    }
    arena_free(scratch);
    object_close(data);
    return good;
}

/* The rows of a table are those of its first column that the file has. */
static int64_t table_row_count(hid_t group, enum result_table table)
{
    for (const struct result_column *column = result_columns; column->name != NULL; column++) {
        if (column->table == table && H5Lexists(group, column->name, H5P_DEFAULT) > 0) {
            hid_t data = H5Dopen2(group, column->name, H5P_DEFAULT);
            int64_t count = data >= 0 ? column_row_count(data) : -1;
            object_close(data);
            return count;
        }
    }
    return 0;
}

enum status reader_table(const struct reader_run *run, enum result_table table, struct arena *arena,
                         void **rows, size_t *count, struct diag *diag)
{
    const char *path = arena_printf(arena, "/runs/%s/%s", run->name, result_table_names[table]);
    struct origin at = {run->path, 0, 0};
    *count = 0;
    *rows = NULL;
    if (H5Lexists(run->reader->file, path, H5P_DEFAULT) <= 0) {
        return STATUS_OK;
    }
    hid_t group = H5Gopen2(run->reader->file, path, H5P_DEFAULT);
    int64_t row_count = group >= 0 ? table_row_count(group, table) : -1;
    if (row_count < 0) {
        object_close(group);
        return diag_input(diag, at, "%s cannot be read; expected a group of columns", path);
    }
    uint8_t *bytes = arena_alloc_array(arena, (size_t)row_count, result_row_bytes[table]);
    enum status status = STATUS_OK;
    for (const struct result_column *column = result_columns; column->name != NULL; column++) {
        if (column->table == table && !column_read(group, column, bytes, (size_t)row_count, arena)) {
            status = diag_input(diag, at, "%s/%s cannot be read; expected %lld rows of type %s", path,
                                column->name, (long long)row_count,
                                column->type == COLUMN_TEXT ? "text" : "number");
            break;
        }
    }
    object_close(group);
    *rows = bytes;
    *count = (size_t)row_count;
    return status;
}

/* ---- runs
 * -------------------------------------------------------------------------------------------------------- */

static enum status run_load(struct reader *reader, hid_t runs, const char *name, struct diag *diag)
{
    struct arena *arena = reader->arena;
    struct reader_run *run = &vec_push(arena, reader->runs, reader->run_count, reader->run_capacity);
    *run = (struct reader_run){
        .reader = reader, .path = reader->path, .name = arena_strdup(arena, name), .scale = 1};
    hid_t group = H5Gopen2(runs, name, H5P_DEFAULT);
    if (group < 0) {
        return diag_input(diag, (struct origin){reader->path, 0, 0},
                          "/runs/%s cannot be read; expected a run", name);
    }
    run->status = attr_text(group, "status", arena);
    run->engine = attr_text(group, "engine", arena);
    run->trace = attr_text(group, "trace", arena);
    run->fabric = attr_text(group, "fabric", arena);
    run->fabric_family = attr_text(group, "fabric_family", arena);
    run->digest = attr_text(group, "digest", arena);
    (void)attr_number(group, "ordinal", H5T_NATIVE_UINT64, &run->ordinal);
    (void)attr_number(group, "scale", H5T_NATIVE_DOUBLE, &run->scale);
    object_close(group);
    void *rows;
    size_t count;
    enum status status = reader_table(run, RESULT_TABLE_summary, arena, &rows, &count, diag);
    if (status == STATUS_OK && count > 0) {
        run->has_summary = true;
        run->summary = *(const struct result_summary *)rows;
    }
    return status;
}

struct listing {
    struct arena *arena;
    const char **names;
    size_t count, capacity;
};

static herr_t name_collect(hid_t group, const char *name, const H5L_info_t *info, void *data)
{
    (void)group, (void)info;
    struct listing *listing = data;
    vec_push(listing->arena, listing->names, listing->count, listing->capacity) =
        arena_strdup(listing->arena, name);
    return 0;
}

static int run_order(const void *a, const void *b)
{
    const struct reader_run *x = a, *y = b;
    return x->ordinal < y->ordinal ? -1 : x->ordinal > y->ordinal;
}

static enum status runs_load(struct reader *reader, struct diag *diag)
{
    struct listing listing = {.arena = reader->arena};
    bool exists = H5Lexists(reader->file, "runs", H5P_DEFAULT) > 0;
    hid_t runs = exists ? H5Gopen2(reader->file, "runs", H5P_DEFAULT) : H5I_INVALID_HID;
    enum status status = STATUS_OK;
    if (runs >= 0) {
        H5Literate(runs, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, name_collect, &listing);
    }
    for (size_t i = 0; i < listing.count && status == STATUS_OK; i++) {
        status = run_load(reader, runs, listing.names[i], diag);
    }
    object_close(runs);
    if (status == STATUS_OK && listing.count == 0) {
        return diag_input(diag, (struct origin){reader->path, 0, 0}, "holds no runs; expected at least one");
    }
    if (reader->run_count > 0) {
        qsort(reader->runs, reader->run_count, sizeof *reader->runs, run_order);
    }
    return status;
}

/* ---- files
 * ------------------------------------------------------------------------------------------------------- */

static enum status file_open(struct reader *reader, struct diag *diag)
{
    struct origin at = {reader->path, 0, 0};
    if (input_check(reader->path, diag) != STATUS_OK) {
        return STATUS_INPUT;
    }
    if (access(reader->path, R_OK) != 0) {
        return diag_input(diag, at, "cannot be read: %s", strerror(errno));
    }
    if (H5Fis_hdf5(reader->path) <= 0) {
        return diag_input(diag, at, "is no HDF5 file; expected a result file of photonet run");
    }
    reader->file = H5Fopen(reader->path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (reader->file < 0) {
        return diag_input(
            diag, at, "is truncated, damaged or open for writing; expected a result file of photonet run");
    }
    return STATUS_OK;
}

static enum status format_check(const struct reader *reader, struct diag *diag)
{
    struct origin at = {reader->path, 0, 0};
    uint64_t version = 0;
    if (strcmp(attr_text(reader->file, "format", reader->arena), "photonet-results") != 0) {
        return diag_input(diag, at,
                          "is an HDF5 file but not of Photonet; expected a result file of photonet run");
    }
    if (!attr_number(reader->file, "schema_version", H5T_NATIVE_UINT64, &version) ||
        version > SCHEMA_VERSION_MAX) {
        return diag_input(diag, at,
                          "has schema version %llu; expected at most %d: read it with a newer photonet",
                          (unsigned long long)version, SCHEMA_VERSION_MAX);
    }
    return STATUS_OK;
}

static enum status reader_load(const char *path, struct arena *arena, struct reader **out, struct diag *diag)
{
    struct reader *reader = arena_one(arena, struct reader);
    *reader = (struct reader){.arena = arena, .path = arena_strdup(arena, path), .file = H5I_INVALID_HID};
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* failures are told through diag */
    enum status status = file_open(reader, diag);
    if (status == STATUS_OK) {
        status = format_check(reader, diag);
    }
    if (status == STATUS_OK) {
        status = runs_load(reader, diag);
    }
    if (status != STATUS_OK) {
        reader_close(reader);
        return status;
    }
    *out = reader;
    return STATUS_OK;
}

/* A damaged file can crash the HDF5 library (seen in H5Aread of 1.10.8), so a child of ours opens it first; what the
 * child finds wrong without crashing, the parent will find and say again. */
static enum status crash_probe(const char *path, struct diag *diag)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit no_core = {0, 0};
        struct diag ignored = {{0}};
        struct reader *reader;
        setrlimit(RLIMIT_CORE, &no_core);
        for (int number = 1; number < NSIG; number++) {
            signal(number, SIG_DFL); /* a sanitizer's handler would print a report */
        }
        if (freopen("/dev/null", "w", stderr) != NULL) {
            reader_load(path, arena_new("probe of a result file"), &reader, &ignored);
        }
        _exit(0);
    }
    int state = 0;
    if (child < 0 || waitpid(child, &state, 0) < 0) {
        return diag_set(diag, STATUS_IO, "cannot start a process to look at %s", path);
    }
    if (WIFEXITED(state) && (WEXITSTATUS(state) == 0 || WEXITSTATUS(state) == STATUS_MEMORY)) {
        return STATUS_OK;
    }
    return diag_input(diag, (struct origin){path, 0, 0}, "is damaged; expected a result file of photonet run");
}

enum status reader_open(const char *path, struct arena *arena, struct reader **out, struct diag *diag)
{
    enum status status = crash_probe(path, diag);
    return status == STATUS_OK ? reader_load(path, arena, out, diag) : status;
}

void reader_close(struct reader *reader)
{
    if (reader->file >= 0) {
        H5Fclose(reader->file);
    }
    reader->file = H5I_INVALID_HID;
}

const struct reader_run *reader_runs(const struct reader *reader, size_t *count)
{
    *count = reader->run_count;
    return reader->runs;
}
