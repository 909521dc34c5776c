/* Writer of NAME.job: see job_file.h. */
#include "traces/job_file.h"

#include "photonet/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* As the result file: level 2 of 9, beyond which little is saved. */
enum { DEFLATE_LEVEL = 2, CHUNK_CELLS = 1 << 16 };

/* Short columns stand in the head of their dataset, and the index of chunks has few entries a node: a small
 * job is some 20 kB instead of 70. */
enum { COMPACT_BYTES_MAX = 2048, CHUNK_INDEX_K = 4 };

struct writing {
    const struct job *job;
    struct arena *arena;
    struct diag *diag;
    const char *path, *part;
    struct job_table table;
};

/* ---- the table ------------------------------------------------------------------------------------------
 */

static void programs_count(struct writing *writing)
{
    const struct job *job = writing->job;
    struct job_table *table = &writing->table;
    uint64_t *operation = arena_array(writing->arena, (size_t)job->program_count + 1, uint64_t);
    uint64_t *dependency = arena_array(writing->arena, (size_t)job->program_count + 1, uint64_t);
    uint64_t *name = arena_array(writing->arena, (size_t)job->program_count + 1, uint64_t);
    for (uint32_t i = 0; i < job->program_count; i++) {
        operation[i + 1] = operation[i] + job->programs[i].op_count;
        dependency[i + 1] = dependency[i] + job->programs[i].dep_count;
        name[i + 1] = name[i] + job->programs[i].names_bytes;
    }
    table->program_operation = operation;
    table->program_dependency = dependency;
    table->program_name = name;
    table->count[JOB_PROGRAMS] = (uint64_t)job->program_count + 1;
    table->count[JOB_OPERATIONS] = operation[job->program_count];
    table->count[JOB_OPERATION_ENDS] = operation[job->program_count] + 1;
    table->count[JOB_DEPENDENCIES] = dependency[job->program_count];
    table->count[JOB_TEXT_PROGRAM] = name[job->program_count];
}

/* One column of all programs, end to end; `offset` is that of its pointer in struct program. */
static const void *column_join(const struct writing *writing, size_t offset, size_t cell_bytes,
                               const uint64_t *first)
{
    const struct job *job = writing->job;
    uint8_t *joined = arena_alloc_array(writing->arena, first[job->program_count], cell_bytes);
    for (uint32_t i = 0; i < job->program_count; i++) {
        const void *cells;
        memcpy(&cells, (const char *)&job->programs[i] + offset, sizeof cells);
        memcpy(joined + first[i] * cell_bytes, cells, (first[i + 1] - first[i]) * cell_bytes);
    }
    return joined;
}

#define JOIN(field_, first_)                                                                                 \
    column_join(writing, offsetof(struct program, field_), sizeof *writing->job->programs->field_, (first_))

static void operations_join(struct writing *writing)
{
    struct job_table *table = &writing->table;
    const uint64_t *first = table->program_operation;
    table->kind = JOIN(kind, first);
    table->collective = JOIN(collective, first);
    table->stream = JOIN(stream, first);
    table->duration_ps = JOIN(duration_ps, first);
    table->bytes = JOIN(bytes, first);
    table->peer_delta = JOIN(peer_delta, first);
    table->group_slot = JOIN(group_slot, first);
    table->root = JOIN(root, first);
    table->pairs = JOIN(pairs, first);
    table->tag = JOIN(tag, first);
    table->source_id = JOIN(source_id, first);
    table->name = JOIN(name, first);
    table->dep = JOIN(dep, table->program_dependency);
    table->text_program = JOIN(names, table->program_name);
    uint64_t *dep_first = arena_array(writing->arena, table->count[JOB_OPERATION_ENDS], uint64_t), at = 0;
    for (uint32_t i = 0; i < writing->job->program_count; i++) {
        const struct program *program = &writing->job->programs[i];
        for (uint32_t op = 0; op < program->op_count; op++) {
            dep_first[at++] = table->program_dependency[i] + program->dep_first[op];
        }
    }
    dep_first[at] = table->count[JOB_DEPENDENCIES];
    table->dep_first = dep_first;
}

static const uint64_t *widened(struct arena *arena, const uint32_t *from, size_t count)
{
    uint64_t *wide = arena_array(arena, count, uint64_t);
    for (size_t i = 0; i < count; i++) {
        wide[i] = from[i];
    }
    return wide;
}

static void ranks_join(struct writing *writing)
{
    const struct job *job = writing->job;
    struct job_table *table = &writing->table;
    table->rank_program = job->rank_program;
    table->rank_group = job->rank_group;
    table->rank_first_group = widened(writing->arena, job->rank_group_first, (size_t)job->rank_count + 1);
    table->member = job->group_rank;
    table->group_first_member = widened(writing->arena, job->group_first, (size_t)job->group_count + 1);
    table->count[JOB_RANKS] = job->rank_count;
    table->count[JOB_RANK_ENDS] = (uint64_t)job->rank_count + 1;
    table->count[JOB_RANK_GROUPS] = job->rank_group_first[job->rank_count];
    table->count[JOB_GROUPS] = job->group_count;
    table->count[JOB_GROUP_ENDS] = (uint64_t)job->group_count + 1;
    table->count[JOB_MEMBERS] = job->group_first[job->group_count];
}

static void pairs_join(struct writing *writing)
{
    const struct job *job = writing->job;
    struct job_table *table = &writing->table;
    uint32_t *members = arena_array(writing->arena, job->pair_table_count, uint32_t);
    uint64_t count = 0, at = 0;
    for (uint32_t i = 0; i < job->pair_table_count; i++) {
        members[i] = job->pair_tables[i].members;
        count += (uint64_t)members[i] * members[i];
    }
    uint64_t *bytes = arena_array(writing->arena, count, uint64_t);
    for (uint32_t i = 0; i < job->pair_table_count; i++) {
        size_t cells = (size_t)members[i] * members[i];
        memcpy(bytes + at, job->pair_tables[i].bytes, cells * sizeof *bytes);
        at += cells;
    }
    table->pair_members = members;
    table->pair_bytes = bytes;
    table->count[JOB_PAIR_TABLES] = job->pair_table_count;
    table->count[JOB_PAIRS] = count;
}

struct text {
    char *bytes;
    size_t count, capacity;
};

/* Appends the string with its 0; where it begins. */
static uint64_t text_append(struct arena *arena, struct text *text, const char *string)
{
    uint64_t at = text->count;
    for (const char *c = string;; c++) {
        vec_push(arena, text->bytes, text->count, text->capacity) = *c;
        if (*c == '\0') {
            return at;
        }
    }
}

static void texts_join(struct writing *writing)
{
    const struct job *job = writing->job;
    struct arena *arena = writing->arena;
    struct job_table *table = &writing->table;
    struct text groups = {0}, notes = {0};
    uint64_t *group = arena_array(arena, job->group_count, uint64_t);
    for (uint32_t i = 0; i < job->group_count; i++) {
        group[i] = text_append(arena, &groups, job->group_name[i]);
    }
    uint64_t *column[4];
    for (int i = 0; i < 4; i++) {
        column[i] = arena_array(arena, job->note_count, uint64_t);
    }
    for (uint32_t i = 0; i < job->note_count; i++) {
        column[0][i] = job->notes[i].count;
        column[1][i] = job->notes[i].bytes;
        column[2][i] = text_append(arena, &notes, job->notes[i].what);
        column[3][i] = text_append(arena, &notes, job->notes[i].action);
    }
    table->group_name = group;
    table->note_count = column[0];
    table->note_bytes = column[1];
    table->note_what = column[2];
    table->note_action = column[3];
    table->text_group = groups.bytes;
    table->text_note = notes.bytes;
    table->count[JOB_NOTES] = job->note_count;
    table->count[JOB_TEXT_GROUP] = groups.count;
    table->count[JOB_TEXT_NOTE] = notes.count;
}

/* ---- HDF5 -----------------------------------------------------------------------------------------------
 */

static bool attr_write(hid_t object, const char *name, hid_t type, const void *value)
{
    hid_t space = H5Screate(H5S_SCALAR),
          attr = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool is_good = attr >= 0 && H5Awrite(attr, type, value) >= 0;
    H5Aclose(attr);
    H5Sclose(space);
    return is_good;
}

static bool attr_text(hid_t object, const char *name, const char *text)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, strlen(text) + 1);
    H5Tset_cset(type, H5T_CSET_UTF8);
    bool is_good = attr_write(object, name, type, text);
    H5Tclose(type);
    return is_good;
}

static bool column_write(hid_t group, const struct job_column *column, uint64_t count, const void *cells)
{
    hsize_t size = count, chunk = count < CHUNK_CELLS ? count : CHUNK_CELLS;
    hid_t space = H5Screate_simple(1, &size, NULL), create = H5Pcreate(H5P_DATASET_CREATE);
    if (count * job_cell_bytes(column->cell) <= COMPACT_BYTES_MAX) {
        H5Pset_layout(create, H5D_COMPACT);
    } else {
        H5Pset_chunk(create, 1, &chunk);
        H5Pset_shuffle(create);
        H5Pset_deflate(create, DEFLATE_LEVEL);
    }
    H5Pset_obj_track_times(create, 0);
    hid_t data = H5Dcreate2(group, column->name, job_cell_type(column->cell, true), space, H5P_DEFAULT,
                            create, H5P_DEFAULT);
    bool is_good = data >= 0 && attr_text(data, "units", column->unit) &&
                   attr_text(data, "long_name", column->meaning) &&
                   (count == 0 || H5Dwrite(data, job_cell_type(column->cell, false), H5S_ALL, H5S_ALL,
                                           H5P_DEFAULT, cells) >= 0);
    is_good = H5Dclose(data) >= 0 && is_good;
    H5Pclose(create);
    H5Sclose(space);
    return is_good;
}

static bool columns_write(hid_t file, const struct job_table *table)
{
    bool is_good = true;
    for (const struct job_column *column = job_columns; column->name != NULL && is_good; column++) {
        bool is_there = H5Lexists(file, column->group, H5P_DEFAULT) > 0;
        hid_t group = is_there ? H5Gopen2(file, column->group, H5P_DEFAULT)
                               : H5Gcreate2(file, column->group, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        const void *cells;
        memcpy(&cells, (const char *)table + column->offset, sizeof cells);
        is_good = group >= 0 && column_write(group, column, table->count[column->dimension], cells);
        H5Gclose(group);
    }
    return is_good;
}

static bool file_fill(const struct writing *writing, hid_t file)
{
    const struct job *job = writing->job;
    uint64_t version = JOB_FILE_VERSION, full_ranks = job->full_rank_count;
    char creator[64];
    snprintf(creator, sizeof creator, "photonet %s", photonet_version);
    return attr_text(file, "format", "photonet-job") &&
           attr_write(file, "schema_version", H5T_NATIVE_UINT64, &version) && attr_text(file, "name", job->name) &&
           attr_text(file, "source_format", job->format) && attr_text(file, "creator", creator) &&
           attr_write(file, "scale", H5T_NATIVE_DOUBLE, &job->scale) &&
           attr_write(file, "time_factor", H5T_NATIVE_DOUBLE, &job->time_factor) &&
           attr_write(file, "full_ranks", H5T_NATIVE_UINT64, &full_ranks) && columns_write(file, &writing->table);
}

static bool part_write(const struct writing *writing)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* failures are told through diag */
    hid_t create = H5Pcreate(H5P_FILE_CREATE);
    H5Pset_userblock(create, JOB_FILE_HEAD_BYTES);
    H5Pset_istore_k(create, CHUNK_INDEX_K);
    H5Pset_obj_track_times(create, 0);
    hid_t file = H5Fcreate(writing->part, H5F_ACC_TRUNC, create, H5P_DEFAULT);
    H5Pclose(create);
    bool is_good = file >= 0 && file_fill(writing, file);
    return file >= 0 && H5Fclose(file) >= 0 && is_good;
}

/* The head, once everything behind it is there; then the disk has it all before the name does. */
static bool head_write(const struct writing *writing)
{
    uint64_t bytes, digest;
    char head[JOB_FILE_HEAD_BYTES] = "";
    if (!job_file_digest(writing->part, &bytes, &digest)) {
        return false;
    }
    job_file_head(head, bytes, digest);
    int file = open(writing->part, O_WRONLY | O_CLOEXEC);
    bool is_good =
        file >= 0 && pwrite(file, head, sizeof head, 0) == (ssize_t)sizeof head && fsync(file) == 0;
    return file >= 0 && close(file) == 0 && is_good;
}

static enum status job_write(const struct job *job, const char *prefix, char *wrote, size_t wrote_bytes,
                             struct diag *diag)
{
    struct arena *arena = arena_new("writing a job file");
    size_t length = strlen(prefix);
    bool is_named = length > 4 && strcmp(prefix + length - 4, ".job") == 0;
    const char *path = arena_printf(arena, "%s%s", prefix, is_named ? "" : ".job");
    struct writing writing = {
        .job = job, .arena = arena, .diag = diag, .path = path, .part = arena_printf(arena, "%s.part", path)};
    programs_count(&writing);
    operations_join(&writing);
    ranks_join(&writing);
    pairs_join(&writing);
    texts_join(&writing);
    enum status status = STATUS_OK;
    errno = 0;
    if (!part_write(&writing) || !head_write(&writing) || rename(writing.part, path) != 0) {
        status = diag_set(diag, STATUS_IO, "%s: cannot write: %s", path,
                          errno != 0 ? strerror(errno) : "the HDF5 library reports a failure");
        unlink(writing.part);
    }
    snprintf(wrote, wrote_bytes, "%s", path);
    arena_free(arena);
    return status;
}

const struct trace_writer trace_writer_job = {
    .name = "job",
    .summary = "a job file, PREFIX.job: every field of the job, programs that ranks share once (HDF5)",
    .write = job_write,
};
