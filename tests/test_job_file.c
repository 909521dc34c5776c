/* Job files. Asserted: a job read back equals the one written in every field, for patterns and all models;
 * equal jobs give equal bytes; a file that is cut anywhere, or changed anywhere, is refused in one line; so
 * is one whose columns hold wrong numbers under a right digest (every cell of a small file set to values out
 * of range; several cells of many drawn at once; deflated bytes damaged), unless the job is still sound: then it can be walked,
 * written and read again; a writer that is killed leaves a whole file or none. Not
 * asserted: what HDF5 makes of a hostile file with a right digest below the level of datasets. */
#include "traces/job_file.h"
#include "netsim/base/rng.h"
#include "netsim/replay/dry.h"
#include "tests/trace_check.h"

#include <math.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern const struct trace_writer trace_writer_job;

static const char *in_folder(const char *name)
{
    static char paths[4][700];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", test_directory(), name);
    return path;
}

static uint8_t *file_load(const char *path, size_t *count)
{
    FILE *file = fopen(path, "rb");
    struct stat info;
    CHECK(file != NULL && stat(path, &info) == 0);
    *count = file == NULL ? 0 : (size_t)info.st_size;
    uint8_t *bytes = malloc(*count + 1);
    CHECK(file == NULL || fread(bytes, 1, *count, file) == *count);
    if (file != NULL) {
        fclose(file);
    }
    return bytes;
}

static bool job_save(const struct job *job, const char *prefix)
{
    char wrote[4352];
    struct diag diag = {""};
    enum status status = trace_writer_job.write(job, prefix, wrote, sizeof wrote, &diag);
    CHECK_TEXT(diag.text, "");
    return status == STATUS_OK;
}

/* ---- round trips ----------------------------------------------------------------------------------------
 */

static bool programs_equal(const struct program *a, const struct program *b)
{
    return a->digest == b->digest && a->op_count == b->op_count && a->slot_count == b->slot_count &&
           memcmp(a->source_id, b->source_id, a->op_count * sizeof *a->source_id) == 0;
}

static void jobs_compare(const struct job *a, const struct job *b)
{
    CHECK_TEXT(b->name, a->name);
    CHECK_EQUAL(b->rank_count, a->rank_count);
    CHECK_EQUAL(b->group_count, a->group_count);
    CHECK_EQUAL(b->program_count, a->program_count);
    CHECK_EQUAL(b->note_count, a->note_count);
    CHECK(b->scale == a->scale);
    CHECK(b->time_factor == a->time_factor && b->full_rank_count == a->full_rank_count);
    bool is_equal = memcmp(a->group_first, b->group_first, ((size_t)a->group_count + 1) * 4) == 0 &&
                    memcmp(a->group_rank, b->group_rank, (size_t)a->group_first[a->group_count] * 4) == 0 &&
                    memcmp(a->rank_group_first, b->rank_group_first, ((size_t)a->rank_count + 1) * 4) == 0 &&
                    memcmp(a->rank_group, b->rank_group, (size_t)a->rank_group_first[a->rank_count] * 4) == 0;
    for (uint32_t i = 0; i < a->group_count && is_equal; i++) {
        is_equal = strcmp(a->group_name[i], b->group_name[i]) == 0;
    }
    for (uint32_t rank = 0; rank < a->rank_count && is_equal; rank++) {
        is_equal = programs_equal(job_program(a, rank), job_program(b, rank));
    }
    CHECK_EQUAL(b->pair_table_count, a->pair_table_count);
    for (uint32_t i = 0; i < a->pair_table_count && is_equal; i++) {
        const struct pair_table *x = &a->pair_tables[i], *y = &b->pair_tables[i];
        is_equal = x->members == y->members && x->bytes_sum == y->bytes_sum &&
                   memcmp(x->bytes, y->bytes, (size_t)x->members * x->members * sizeof *x->bytes) == 0;
    }
    for (uint32_t i = 0; i < a->note_count && is_equal; i++) {
        is_equal = strcmp(a->notes[i].what, b->notes[i].what) == 0 &&
                   strcmp(a->notes[i].action, b->notes[i].action) == 0 &&
                   a->notes[i].count == b->notes[i].count && a->notes[i].bytes == b->notes[i].bytes;
    }
    CHECK(is_equal);
}

/* Writes, reads, compares, writes what was read: the same bytes. */
static void round_trip(const struct job *job)
{
    if (!job_save(job, in_folder("first"))) {
        return;
    }
    CHECK_EQUAL(trace_read_with(in_folder("first"), 0, NULL), STATUS_OK);
    if (trace_test.job == NULL) {
        printf("%s\n", trace_test.diag.text);
        return;
    }
    jobs_compare(job, trace_test.job);
    CHECK_TEXT(trace_test.job->format, "job");
    CHECK(job_save(job, in_folder("second.job")));
    size_t first_count, second_count;
    uint8_t *first = file_load(in_folder("first.job"), &first_count);
    uint8_t *second = file_load(in_folder("second.job"), &second_count);
    CHECK_EQUAL(second_count, first_count);
    CHECK(first_count == second_count && memcmp(first, second, first_count) == 0);
    CHECK_EQUAL(access(in_folder("first.job.part"), F_OK), -1);
    free(first);
    free(second);
}

static void test_patterns(void)
{
    static const char *const specs[] = {
        "pattern:ring,ranks=5,bytes=64KiB,compute=1500ns",
        "pattern:all_reduce,ranks=16,bytes=1MiB,count=3,compute=5us",
        "pattern:permutation,ranks=64,bytes=1MiB",
        "pattern:incast,ranks=9,bytes=100kB",
    };
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        struct arena *arena = arena_new("test");
        struct diag diag = {""};
        const struct job *job = NULL;
        CHECK_EQUAL(trace_read(specs[i], 0, NULL, 0, arena, &job, &diag), STATUS_OK);
        CHECK_TEXT(diag.text, "");
        if (job != NULL) {
            round_trip(job);
        }
        arena_free(arena);
    }
}

static void test_models(void)
{
    for (const struct trace_preset *preset = trace_presets; preset->name != NULL; preset++) {
        struct arena *arena = arena_new("test");
        struct diag diag = {""};
        const struct job *job = NULL;
        const struct trace_model *model;
        CHECK_EQUAL(trace_model_load(preset->name, arena, &model, &diag), STATUS_OK);
        void *values = param_defaults(&model->params, arena);
        CHECK_EQUAL(model->generate(model, values, arena, &job, &diag), STATUS_OK);
        CHECK_TEXT(diag.text, "");
        if (job != NULL) {
            round_trip(job);
        }
        arena_free(arena);
    }
}

/* ---- a job with one of everything -----------------------------------------------------------------------
 */

static void everything_rank(struct job_builder *builder, uint32_t rank, uint32_t slot)
{
    static const uint64_t parts[] = {1, 20, 300, 4000, 5, 60, 700, 8, 9},
                          more[] = {0, 0, 1, 0, 0, 1, 0, 0, 1};
    uint32_t first_pairs = job_builder_pairs(builder, 3, parts),
             second_pairs = job_builder_pairs(builder, 3, more);
    struct diag diag = {""};
    job_builder_rank(builder, rank);
    struct op ops[] = {
        {.kind = OP_COMPUTE, .duration_ps = 1234567, .source_id = 11, .name = "matmul"},
        {.kind = OP_MEMORY, .duration_ps = 99, .bytes = 4096, .stream = 2, .source_id = 12, .name = "copy"},
        {.kind = OP_SEND, .bytes = UINT64_C(5) << 32, .peer = (rank + 1) % 3, .tag = 0xfffffffe, .stream = 7},
        {.kind = OP_RECV,
         .bytes = UINT64_C(5) << 32,
         .peer = (rank + 2) % 3,
         .tag = 0xfffffffe,
         .name = "matmul"},
        {.kind = OP_COLLECTIVE,
         .collective = COLLECTIVE_BROADCAST,
         .bytes = 1000,
         .root = 2,
         .group_slot = slot},
        {.kind = OP_COLLECTIVE,
         .collective = COLLECTIVE_BARRIER,
         .group_slot = slot,
         .name = "barrier \"x\""},
        {.kind = OP_MARKER, .source_id = UINT64_MAX},
        {.kind = OP_COLLECTIVE,
         .collective = COLLECTIVE_ALL_TO_ALL,
         .group_slot = slot,
         .pairs = second_pairs},
        {.kind = OP_COLLECTIVE,
         .collective = COLLECTIVE_ALL_TO_ALL,
         .group_slot = slot,
         .pairs = first_pairs},
    };
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        job_builder_op(builder, &ops[i]);
    }
    job_builder_dep(builder, 0, 3); /* forward */
    job_builder_dep(builder, 4, 0);
    job_builder_dep(builder, 4, 1);
    job_builder_dep(builder, 6, 5);
    CHECK_EQUAL(job_builder_rank_end(builder, "everything", &diag), STATUS_OK);
}

static const struct job *everything(struct arena *arena)
{
    static const uint32_t members[] = {2, 0, 1}, pair[] = {3, 0};
    struct diag diag = {""};
    struct job_builder *builder = job_builder_new(arena, "every\"thing\"", "test", 4);
    uint32_t group, unused;
    CHECK_EQUAL(job_builder_group(builder, "tri", members, 3, (struct origin){.path = "t"}, &group, &diag),
                0);
    CHECK_EQUAL(job_builder_group(builder, "pair", pair, 2, (struct origin){.path = "t"}, &unused, &diag), 0);
    for (uint32_t rank = 0; rank < 3; rank++) {
        uint32_t slot = job_builder_slot(builder, rank, group);
        if (rank == 0) {
            job_builder_slot(builder, rank, unused); /* of which it makes nothing */
        }
        everything_rank(builder, rank, slot);
    }
    job_builder_rank(builder, 3); /* does nothing at all */
    CHECK_EQUAL(job_builder_rank_end(builder, "everything", &diag), STATUS_OK);
    job_builder_note(builder, "things", "kept", 7, 8);
    job_builder_scale(builder, 0.25);
    job_builder_sample(builder, 12.5, 4096);
    const struct job *job = NULL;
    CHECK_EQUAL(job_builder_finish(builder, &job, &diag), STATUS_OK);
    CHECK_TEXT(diag.text, "");
    return job;
}

static void test_everything(void)
{
    struct arena *arena = arena_new("test");
    const struct job *job = everything(arena);
    if (job != NULL) {
        round_trip(job);
        CHECK_EQUAL(trace_note("things"), 7);
    }
    arena_free(arena);
}

/* ---- damage ---------------------------------------------------------------------------------------------
 */

static void everything_save(void)
{
    struct arena *arena = arena_new("test");
    CHECK(job_save(everything(arena), in_folder("e")));
    arena_free(arena);
}

static void test_cut(void)
{
    size_t count;
    everything_save();
    uint8_t *bytes = file_load(in_folder("e.job"), &count);
    uint32_t loaded = 0;
    for (size_t length = 0; length < count; length += length < 600 ? 1 : 97) {
        enum status status = trace_read_with(trace_file("cut.job", bytes, length), 0, NULL);
        CHECK_EQUAL(status, STATUS_INPUT);
        loaded += status == STATUS_OK;
    }
    CHECK_EQUAL(loaded, 0);
    free(bytes);
}

/* Any single changed byte, the head included. */
static void test_changed_bytes(void)
{
    size_t count;
    everything_save();
    uint8_t *bytes = file_load(in_folder("e.job"), &count);
    for (size_t at = 0; at < count; at += at < 40 ? 1 : 101) {
        bytes[at] ^= 0x11;
        CHECK_EQUAL(trace_read_with(trace_file("flip.job", bytes, count), 0, NULL), STATUS_INPUT);
        bytes[at] ^= 0x11;
    }
    trace_refused(trace_file("gzip.job", "\x1f\x8b\x08", 3), 0, NULL, "");
    free(bytes);
}

/* Gives the file the head that fits what it holds now. */
static void head_stamp(const char *path)
{
    uint64_t count, digest;
    char head[JOB_FILE_HEAD_BYTES] = "";
    CHECK(job_file_digest(path, &count, &digest));
    job_file_head(head, count, digest);
    FILE *file = fopen(path, "r+b");
    CHECK(file != NULL && fwrite(head, 1, sizeof head, file) == sizeof head);
    fclose(file);
}

/* Sets one cell of a column to `value` in a fresh copy of the file. */
static void cell_change(const uint8_t *bytes, size_t count, const struct job_column *column, hsize_t row,
                        int64_t value)
{
    const char *path = trace_file("cell.job", bytes, count);
    char name[64];
    hsize_t one = 1;
    snprintf(name, sizeof name, "%s/%s", column->group, column->name);
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT), data = H5Dopen2(file, name, H5P_DEFAULT);
    hid_t space = H5Dget_space(data), memory = H5Screate_simple(1, &one, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, &row, NULL, &one, NULL);
    CHECK(H5Dwrite(data, H5T_NATIVE_INT64, memory, space, H5P_DEFAULT, &value) >= 0);
    H5Sclose(memory);
    H5Sclose(space);
    H5Dclose(data);
    H5Fclose(file);
    head_stamp(path);
}

static hsize_t column_rows(const char *path, const struct job_column *column)
{
    char name[64];
    hsize_t rows = 0;
    snprintf(name, sizeof name, "%s/%s", column->group, column->name);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), data = H5Dopen2(file, name, H5P_DEFAULT);
    hid_t space = H5Dget_space(data);
    H5Sget_simple_extent_dims(space, &rows, NULL);
    H5Sclose(space);
    H5Dclose(data);
    H5Fclose(file);
    return rows;
}

/* Every cell of every column, set to small, large and negative values: loads or is refused in one line. What
 * loads is walked once, so that a sanitizer sees an index that went through. */
static void test_changed_cells(void)
{
    static const int64_t values[] = {0, 1, 3, 9, 200, 70000, INT32_MAX, -1, INT64_MAX};
    size_t count, tried = 0, loaded = 0;
    everything_save();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    uint8_t *bytes = file_load(in_folder("e.job"), &count);
    for (const struct job_column *column = job_columns; column->name != NULL; column++) {
        hsize_t rows = column_rows(in_folder("e.job"), column), step = rows > 12 ? rows / 12 : 1;
        for (hsize_t row = 0; row < rows; row += step) {
            for (size_t i = 0; i < sizeof values / sizeof values[0]; i++, tried++) {
                cell_change(bytes, count, column, row, values[i]);
                enum status status = trace_read_with(in_folder("cell.job"), 0, NULL);
                CHECK(status == STATUS_OK || status == STATUS_INPUT);
                struct job_totals totals;
                if (status == STATUS_OK) {
                    job_totals(trace_test.job, &totals);
                    loaded++;
                }
            }
        }
    }
    printf(" %zu of %zu changed files load ...", loaded, tried);
    CHECK(tried > 1000 && loaded > 0 && loaded < 2 * tried / 3);
    free(bytes);
}

/* What loads must be sound: it is walked, and written and read once more, which packs and unpacks every operation. */
static bool loads_soundly(const char *path)
{
    struct job_totals totals;
    struct dry_result walked;
    enum status status = trace_read_with(path, 0, NULL);
    CHECK(status == STATUS_OK || status == STATUS_INPUT);
    CHECK((status == STATUS_OK) == (trace_test.diag.text[0] == '\0'));
    CHECK(strchr(trace_test.diag.text, '\n') == NULL);
    if (status != STATUS_OK) {
        return false;
    }
    struct trace_test kept = trace_test;
    trace_test = (struct trace_test){0}; /* the next read must not end it */
    job_totals(kept.job, &totals);
    CHECK(dry_run(kept.job, kept.arena, &walked));
    CHECK(walked.done <= walked.ops && (walked.circle > 0) == (walked.done < walked.ops));
    CHECK(job_save(kept.job, in_folder("again")));
    CHECK_EQUAL(trace_read_with(in_folder("again.job"), 0, NULL), STATUS_OK);
    for (uint32_t rank = 0; trace_test.job != NULL && rank < kept.job->rank_count; rank++) {
        CHECK_EQUAL(job_program(trace_test.job, rank)->digest, job_program(kept.job, rank)->digest);
    }
    arena_free(kept.arena);
    return true;
}

/* Rows are small numbers, mostly of others: those are tried first. */
static int64_t cell_draw(uint64_t seed, uint64_t trial, uint64_t i)
{
    uint64_t bits = rng_draw(seed, 3, trial << 8 | i), value = rng_draw(seed, 4, trial << 8 | i);
    switch (bits % 5) {
    case 0:
        return (int64_t)(value % 4);
    case 1:
        return (int64_t)(value % 40);
    case 2:
        return (int64_t)(value >> bits / 5 % 64);
    case 3:
        return -(int64_t)(value % 4);
    default:
        return (int64_t)(UINT64_C(1) << value % 63) - (int64_t)(value >> 32 & 1);
    }
}

/* Several cells of one or more columns at once, under a right digest. */
static void cells_jumble(const char *path, uint64_t seed, uint64_t trial)
{
    uint32_t columns = 0, changes = 1 + rng_below(rng_draw(seed, 1, trial), 6);
    for (; job_columns[columns].name != NULL; columns++) {
    }
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    uint32_t chosen = rng_below(rng_draw(seed, 2, trial), columns);
    for (uint32_t i = 0; i < changes; i++) {
        chosen = rng_below(rng_draw(seed, 5, trial << 8 | i), 2) == 0 ? chosen : rng_below(rng_draw(seed, 6, trial << 8 | i), columns);
        char name[64];
        snprintf(name, sizeof name, "%s/%s", job_columns[chosen].group, job_columns[chosen].name);
        hid_t data = H5Dopen2(file, name, H5P_DEFAULT), space = H5Dget_space(data);
        hsize_t rows = 0, one = 1;
        H5Sget_simple_extent_dims(space, &rows, NULL);
        if (rows > 0) {
            hsize_t row = rng_below(rng_draw(seed, 7, trial << 8 | i), (uint32_t)rows);
            int64_t value = cell_draw(seed, trial, i);
            hid_t memory = H5Screate_simple(1, &one, NULL);
            H5Sselect_hyperslab(space, H5S_SELECT_SET, &row, NULL, &one, NULL);
            CHECK(H5Dwrite(data, H5T_NATIVE_INT64, memory, space, H5P_DEFAULT, &value) >= 0);
            H5Sclose(memory);
        }
        H5Sclose(space);
        H5Dclose(data);
    }
    H5Fclose(file);
    head_stamp(path);
}

/* PHOTONET_TRIALS makes it look longer. */
static uint64_t trials(uint64_t usual)
{
    const char *given = getenv("PHOTONET_TRIALS");
    return given != NULL ? strtoull(given, NULL, 10) : usual;
}

static void test_jumbled_cells(void)
{
    uint64_t seed = test_seed(), tried = trials(1200), loaded = 0;
    size_t count;
    everything_save();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    uint8_t *bytes = file_load(in_folder("e.job"), &count);
    for (uint64_t trial = 0; trial < tried; trial++) {
        const char *path = trace_file("jumbled.job", bytes, count);
        cells_jumble(path, seed, trial);
        loaded += loads_soundly(path);
    }
    printf(" %" PRIu64 " of %" PRIu64 " jumbled files load ...", loaded, tried);
    CHECK(loaded > 0 && loaded < tried);
    free(bytes);
}

/* The packed bytes of one column: where its first chunk stands in the file, and how long it is. */
static uint64_t chunk_find(const char *path, const struct job_column *column, uint64_t *chunk_bytes)
{
    char name[64];
    snprintf(name, sizeof name, "%s/%s", column->group, column->name);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), data = H5Dopen2(file, name, H5P_DEFAULT);
    hsize_t offset = 0, size = 0;
    unsigned mask = 0;
    haddr_t address = 0;
    hid_t space = H5Dget_space(data);
    bool is_there = H5Dget_chunk_info(data, space, 0, &offset, &mask, &address, &size) >= 0;
    H5Sclose(space);
    H5Dclose(data);
    H5Fclose(file);
    *chunk_bytes = is_there ? size : 0;
    return address;
}

/* Deflated bytes that are overwritten, cut short by zeros or jumbled: zlib and the shuffle get them, and what they make of them
 * is what the columns hold. */
static void test_damaged_deflate(void)
{
    uint64_t seed = test_seed(), per_column = trials(1200) / 20, tried = 0, loaded = 0;
    size_t count;
    CHECK_EQUAL(trace_read_with("model:mixtral-8x7b,layers=4,pp=2,dp=4,ep=4,micro_batches=4", 0, NULL), STATUS_OK);
    CHECK(job_save(trace_test.job, in_folder("step"))); /* short columns are not packed */
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    uint8_t *bytes = file_load(in_folder("step.job"), &count), *damaged = malloc(count);
    for (const struct job_column *column = job_columns; column->name != NULL; column++) {
        uint64_t size, at = chunk_find(in_folder("step.job"), column, &size);
        bool is_inside = size > 0 && at + JOB_FILE_HEAD_BYTES + size <= count;
        at += is_inside ? JOB_FILE_HEAD_BYTES : 0; /* addresses count from behind the head */
        for (uint64_t trial = 0; trial < per_column && is_inside; trial++, tried++) {
            uint64_t key = (uint64_t)(column - job_columns) << 32 | trial << 8;
            memcpy(damaged, bytes, count);
            uint32_t changes = 1 + rng_below(rng_draw(seed, 11, key), 3);
            for (uint32_t i = 0; i < changes; i++) {
                uint64_t bits = rng_draw(seed, 12, key | i), place = at + rng_below(rng_draw(seed, 13, key | i), (uint32_t)size);
                if (bits % 3 == 0) {
                    memset(damaged + place, 0, at + size - place);
                } else {
                    damaged[place] = (uint8_t)(bits % 3 == 1 ? damaged[place] ^ 1u << bits / 3 % 8 : bits >> 32);
                }
            }
            const char *path = trace_file("deflate.job", damaged, count);
            head_stamp(path);
            loaded += loads_soundly(path);
        }
    }
    printf(" %" PRIu64 " of %" PRIu64 " damaged files load ...", loaded, tried);
    CHECK(tried >= 4 * per_column && loaded < tried);
    free(damaged);
    free(bytes);
}

/* A column that is missing, of another type, or of a size that its bytes cannot hold. */
static void column_replace(const uint8_t *bytes, size_t count, const char *name, hid_t type, hsize_t rows)
{
    const char *path = trace_file("column.job", bytes, count);
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    CHECK(H5Ldelete(file, name, H5P_DEFAULT) >= 0);
    if (rows > 0) {
        hsize_t chunk = rows < 1024 ? rows : 1024;
        hid_t space = H5Screate_simple(1, &rows, NULL), create = H5Pcreate(H5P_DATASET_CREATE);
        H5Pset_chunk(create, 1, &chunk);
        H5Dclose(H5Dcreate2(file, name, type, space, H5P_DEFAULT, create, H5P_DEFAULT));
        H5Pclose(create);
        H5Sclose(space);
    }
    H5Fclose(file);
    head_stamp(path);
}

static void test_changed_columns(void)
{
    size_t count;
    everything_save();
    uint8_t *bytes = file_load(in_folder("e.job"), &count);
    column_replace(bytes, count, "operation/tag", H5T_STD_U32LE, 0);
    trace_refused(in_folder("column.job"), 0, NULL, "operation/tag is missing");
    column_replace(bytes, count, "operation/tag", H5T_IEEE_F64LE, 14);
    trace_refused(in_folder("column.job"), 0, NULL, "operation/tag is not of the type");
    column_replace(bytes, count, "operation/tag", H5T_STD_U32LE, 15);
    trace_refused(in_folder("column.job"), 0, NULL, "operation/tag has 15 rows; expected 27");
    column_replace(bytes, count, "rank/program", H5T_STD_U32LE, 1u << 31);
    trace_refused(in_folder("column.job"), 0, NULL, "rank/program is not of the type or the size");
    column_replace(bytes, count, "member", H5T_STD_U32LE, 0);
    trace_refused(in_folder("column.job"), 0, NULL, "member/rank is missing");
    hid_t file = H5Fcreate(in_folder("other.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
    trace_refused(in_folder("other.h5"), 0, NULL, "is no trace of a known format");
    char spec[800];
    snprintf(spec, sizeof spec, "job:%s", in_folder("other.h5"));
    trace_refused(spec, 0, NULL, "is no job file");
    trace_refused(in_folder("e.job"), 5, NULL, "is the job of 4 ranks, but --ranks asks for 5");
    free(bytes);
}

/* ---- killed writers -------------------------------------------------------------------------------------
 */

static void writer_run(const struct job *job)
{
    char wrote[4352];
    struct diag diag;
    for (;;) {
        trace_writer_job.write(job, in_folder("killed"), wrote, sizeof wrote, &diag);
    }
}

static void test_killed(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag = {""};
    const struct job *job = NULL;
    uint32_t found = 0;
    CHECK_EQUAL(trace_read("pattern:permutation,ranks=3000,bytes=1MiB", 0, NULL, 0, arena, &job, &diag),
                STATUS_OK);
    for (uint32_t trial = 0; trial < 12 && job != NULL; trial++) {
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            writer_run(job);
        }
        nanosleep(&(struct timespec){.tv_nsec = 3000000L * trial + 100000}, NULL);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        if (access(in_folder("killed.job"), F_OK) == 0) {
            found++;
            CHECK_EQUAL(trace_read_with(in_folder("killed.job"), 0, NULL), STATUS_OK);
        }
    }
    printf(" %u of 12 left a file ...", found);
    arena_free(arena);
}

TEST_MAIN("job_file", TEST(test_patterns), TEST(test_models), TEST(test_everything), TEST(test_cut),
          TEST(test_changed_bytes), TEST(test_changed_cells), TEST(test_jumbled_cells), TEST(test_damaged_deflate), TEST(test_changed_columns), TEST(test_killed))
