/* Reader of NAME.job: see job_file.h.
 *
 * Scope: files that our writer made. Every program is built again, operation by operation, by the first rank
 * that runs it; the others share it. Not modelled: files by other hands, which lack the head's digest, and
 * gzipped ones (HDF5 needs the bytes in place; its columns are deflated as it is). Checked against:
 * tests/test_job_file.c, round trips of every sample and model, and every column damaged. */
#include "traces/flow_list.h"
#include "traces/job_file.h"
#include "traces/text_lines.h"

#include "photonet/input.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* As the other readers take them. */
#define DURATION_PS_MAX (UINT64_MAX / 2)
#define AMOUNT_MAX      ((UINT64_C(1) << 60) - 1)
/* Deflate packs at best 1032 to 1 (zlib's documentation): a dataset that claims more cells holds none of
 * them. */
#define DEFLATE_RATIO_MAX  1032
#define COLUMN_SLACK_BYTES (UINT64_C(1) << 20) /* one chunk of the widest cells */
#define TEXT_BYTES_MAX     4096

struct reading {
    const char *path;
    struct arena *scratch;
    struct diag *diag;
    hid_t file;
    struct job_table table;
    char name[TEXT_BYTES_MAX];
    double scale, time_factor;
    uint64_t full_ranks;
    uint32_t rank_count, group_count, program_count;
    struct job_builder *builder;
    uint32_t *program_rank;  /* the first rank of each program, ID_NONE before it is met */
    uint64_t *program_slots; /* groups that it speaks of */
};

__attribute__((format(printf, 2, 3))) static enum status refuse(const struct reading *reading,
                                                                const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    enum status status =
        diag_input_list(reading->diag, (struct origin){.path = reading->path}, "", format, arguments);
    va_end(arguments);
    return status;
}

/* ---- the head -------------------------------------------------------------------------------------------
 */

static enum status head_check(const struct reading *reading)
{
    char head[JOB_FILE_HEAD_BYTES + 1] = "", written[JOB_FILE_HEAD_BYTES] = "";
    if (input_check(reading->path, reading->diag) != STATUS_OK) {
        return STATUS_INPUT;
    }
    FILE *file = fopen(reading->path, "rb");
    if (file == NULL) {
        return diag_set(reading->diag, STATUS_INPUT, "%s: cannot open for reading", reading->path);
    }
    size_t got = fread(head, 1, JOB_FILE_HEAD_BYTES, file);
    fclose(file);
    unsigned version;
    uint64_t bytes, digest, has_bytes, has_digest;
    if (got >= 2 && (uint8_t)head[0] == 0x1f && (uint8_t)head[1] == 0x8b) {
        return refuse(reading,
                      "is a gzipped job file, whose columns are compressed already; unpack it first");
    }
    if (got < JOB_FILE_HEAD_BYTES ||
        sscanf(head, JOB_FILE_MAGIC "%u %" SCNu64 " %16" SCNx64 "\n", &version, &bytes, &digest) != 3) {
        return refuse(reading, "is no job file, or its head is damaged; expected \"" JOB_FILE_MAGIC
                               "VERSION BYTES DIGEST\"");
    }
    if (version != JOB_FILE_VERSION) {
        return refuse(reading,
                      "is a job file of version %u; expected %d: read it with the photonet that wrote it",
                      version, JOB_FILE_VERSION);
    }
    if (!job_file_digest(reading->path, &has_bytes, &has_digest)) {
        return diag_set(reading->diag, STATUS_INPUT, "%s: cannot read", reading->path);
    }
    if (has_bytes != bytes) {
        return refuse(reading, "has %" PRIu64 " bytes; its head says %" PRIu64 "; it is cut or damaged",
                      has_bytes, bytes);
    }
    job_file_head(written, bytes, digest);
    return has_digest == digest && memcmp(head, written, sizeof written) == 0
               ? STATUS_OK
               : refuse(reading, "does not have the digest that its head says; it is damaged");
}

/* ---- HDF5 -----------------------------------------------------------------------------------------------
 */

static bool attr_read(hid_t object, const char *name, H5T_class_t class, hid_t type, size_t bytes_max,
                      void *value)
{
    if (H5Aexists(object, name) <= 0) {
        return false;
    }
    hid_t attr = H5Aopen(object, name, H5P_DEFAULT), stored = H5Aget_type(attr), space = H5Aget_space(attr);
    bool is_good = stored >= 0 && H5Tget_class(stored) == class && H5Tis_variable_str(stored) <= 0 &&
                   H5Tget_size(stored) <= bytes_max && H5Sget_simple_extent_npoints(space) == 1 &&
                   H5Aread(attr, type >= 0 ? type : stored, value) >= 0;
    H5Sclose(space);
    H5Tclose(stored);
    H5Aclose(attr);
    return is_good;
}

static bool attr_text_read(hid_t object, const char *name, char text[TEXT_BYTES_MAX])
{
    memset(text, 0, TEXT_BYTES_MAX);
    return attr_read(object, name, H5T_STRING, H5I_INVALID_HID, TEXT_BYTES_MAX - 1, text);
}

static enum status column_refuse(const struct reading *reading, const struct job_column *column,
                                 const char *what)
{
    return refuse(reading, "%s/%s %s", column->group, column->name, what);
}

static bool is_of_type(hid_t data, enum job_cell cell)
{
    hid_t type = H5Dget_type(data);
    bool is_equal = type >= 0 && H5Tequal(type, job_cell_type(cell, true)) > 0;
    H5Tclose(type);
    return is_equal;
}

/* False where the dataset has not one dimension, or more cells than its bytes can hold. */
static bool size_read(hid_t data, size_t cell_bytes, uint64_t *count)
{
    hsize_t size = 0;
    hid_t space = H5Dget_space(data);
    bool is_good = space >= 0 && H5Sget_simple_extent_ndims(space) == 1 &&
                   H5Sget_simple_extent_dims(space, &size, NULL) == 1 && size < UINT32_MAX * (uint64_t)64;
    H5Sclose(space);
    *count = size;
    return is_good && (size == 0 || size * cell_bytes <=
                                        H5Dget_storage_size(data) * DEFLATE_RATIO_MAX + COLUMN_SLACK_BYTES);
}

static enum status column_load(struct reading *reading, hid_t data, const struct job_column *column,
                               bool is_first)
{
    uint64_t count, *expected = &reading->table.count[column->dimension];
    size_t cell_bytes = job_cell_bytes(column->cell);
    if (!is_of_type(data, column->cell) || !size_read(data, cell_bytes, &count)) {
        return column_refuse(reading, column,
                             "is not of the type or the size that it should have; the file is damaged");
    }
    if (is_first) {
        *expected = count;
    } else if (*expected != count) {
        return refuse(reading, "%s/%s has %" PRIu64 " rows; expected %" PRIu64 ", as its neighbours have",
                      column->group, column->name, count, *expected);
    }
    void *cells = arena_alloc_array(reading->scratch, count, cell_bytes);
    if (count > 0 &&
        H5Dread(data, job_cell_type(column->cell, false), H5S_ALL, H5S_ALL, H5P_DEFAULT, cells) < 0) {
        return column_refuse(reading, column, "cannot be read; the file is damaged");
    }
    memcpy((char *)&reading->table + column->offset, &cells, sizeof cells);
    return STATUS_OK;
}

static enum status columns_load(struct reading *reading)
{
    bool is_met[JOB_DIMENSION_COUNT] = {false};
    enum status status = STATUS_OK;
    for (const struct job_column *column = job_columns; column->name != NULL && status == STATUS_OK;
         column++) {
        char path[64];
        snprintf(path, sizeof path, "%s/%s", column->group, column->name);
        bool is_there = H5Lexists(reading->file, column->group, H5P_DEFAULT) > 0 &&
                        H5Lexists(reading->file, path, H5P_DEFAULT) > 0;
        hid_t data = is_there ? H5Dopen2(reading->file, path, H5P_DEFAULT) : H5I_INVALID_HID;
        status = data >= 0 ? column_load(reading, data, column, !is_met[column->dimension])
                           : column_refuse(reading, column, "is missing");
        is_met[column->dimension] = true;
        H5Dclose(data);
    }
    return status;
}

static enum status file_load(struct reading *reading)
{
    char format[TEXT_BYTES_MAX], source[TEXT_BYTES_MAX];
    uint64_t version = 0;
    if (!attr_text_read(reading->file, "format", format) || strcmp(format, "photonet-job") != 0 ||
        !attr_read(reading->file, "schema_version", H5T_INTEGER, H5T_NATIVE_UINT64, 8, &version) ||
        version != JOB_FILE_VERSION) {
        return refuse(
            reading, "is an HDF5 file, but holds no job; expected format = photonet-job, schema_version = %d",
            JOB_FILE_VERSION);
    }
    if (!attr_text_read(reading->file, "name", reading->name) ||
        !attr_text_read(reading->file, "source_format", source) ||
        !attr_read(reading->file, "scale", H5T_FLOAT, H5T_NATIVE_DOUBLE, 8, &reading->scale) ||
        !(reading->scale > 0 && reading->scale <= 1)) {
        return refuse(reading,
                      "lacks a name, a source_format or a scale above 0 and up to 1; the file is damaged");
    }
    if (!attr_read(reading->file, "time_factor", H5T_FLOAT, H5T_NATIVE_DOUBLE, 8, &reading->time_factor) ||
        !attr_read(reading->file, "full_ranks", H5T_INTEGER, H5T_NATIVE_UINT64, 8, &reading->full_ranks) ||
        !(reading->time_factor > 0 && reading->time_factor < 1e12)) {
        return refuse(reading, "lacks full_ranks or a time_factor above 0; the file is damaged");
    }
    return columns_load(reading);
}

/* ---- does it fit together? ------------------------------------------------------------------------------
 */

/* Where things begin: ascending from 0 to `end`. */
static bool is_ascending(const uint64_t *first, uint64_t rows, uint64_t end)
{
    for (uint64_t i = 1; i < rows; i++) {
        if (first[i] < first[i - 1] || first[i] - first[i - 1] > UINT32_MAX / 2) {
            return false;
        }
    }
    return rows > 0 && first[0] == 0 && first[rows - 1] == end;
}

static bool are_texts(const char *text, uint64_t bytes, const uint64_t *at, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (at[i] >= bytes) {
            return false;
        }
    }
    return bytes == 0 || text[bytes - 1] == '\0';
}

static enum status frame_check(struct reading *reading)
{
    const struct job_table *table = &reading->table;
    const uint64_t *count = table->count;
    const struct {
        const char *name;
        const uint64_t *first;
        uint64_t rows, end;
    } rows[] = {
        {"program/first_operation", table->program_operation, count[JOB_PROGRAMS], count[JOB_OPERATIONS]},
        {"program/first_dependency", table->program_dependency, count[JOB_PROGRAMS], count[JOB_DEPENDENCIES]},
        {"program/first_name", table->program_name, count[JOB_PROGRAMS], count[JOB_TEXT_PROGRAM]},
        {"operation/dep_first", table->dep_first, count[JOB_OPERATION_ENDS], count[JOB_DEPENDENCIES]},
        {"rank/first_group", table->rank_first_group, count[JOB_RANK_ENDS], count[JOB_RANK_GROUPS]},
        {"group/first_member", table->group_first_member, count[JOB_GROUP_ENDS], count[JOB_MEMBERS]},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!is_ascending(rows[i].first, rows[i].rows, rows[i].end)) {
            return refuse(reading, "%s does not ascend from 0 to %" PRIu64 "; the file is damaged",
                          rows[i].name, rows[i].end);
        }
    }
    bool is_sized = count[JOB_OPERATION_ENDS] == count[JOB_OPERATIONS] + 1 &&
                    count[JOB_RANK_ENDS] == count[JOB_RANKS] + 1 &&
                    count[JOB_GROUP_ENDS] == count[JOB_GROUPS] + 1;
    if (!is_sized || count[JOB_RANKS] == 0 || count[JOB_RANKS] > TRACE_RANKS_MAX ||
        count[JOB_GROUPS] > ID_NONE - 2 || count[JOB_PROGRAMS] - 1 > count[JOB_RANKS]) {
        return refuse(reading,
                      "has %" PRIu64 " ranks, %" PRIu64 " groups and %" PRIu64
                      " programs, which do not fit together; the file is damaged",
                      count[JOB_RANKS], count[JOB_GROUPS], count[JOB_PROGRAMS] - 1);
    }
    if (!are_texts(table->text_group, count[JOB_TEXT_GROUP], table->group_name, count[JOB_GROUPS]) ||
        !are_texts(table->text_note, count[JOB_TEXT_NOTE], table->note_what, count[JOB_NOTES]) ||
        !are_texts(table->text_note, count[JOB_TEXT_NOTE], table->note_action, count[JOB_NOTES])) {
        return refuse(reading,
                      "has a text that does not end, or that begins behind the end; the file is damaged");
    }
    reading->rank_count = (uint32_t)count[JOB_RANKS];
    reading->group_count = (uint32_t)count[JOB_GROUPS];
    reading->program_count = (uint32_t)count[JOB_PROGRAMS] - 1;
    return STATUS_OK;
}

/* ---- the job --------------------------------------------------------------------------------------------
 */

static enum status groups_add(struct reading *reading)
{
    const struct job_table *table = &reading->table;
    struct origin at = {.path = reading->path};
    for (uint32_t i = 0; i < reading->group_count; i++) {
        uint32_t id, count = (uint32_t)(table->group_first_member[i + 1] - table->group_first_member[i]);
        enum status status =
            job_builder_group(reading->builder, table->text_group + table->group_name[i],
                              table->member + table->group_first_member[i], count, at, &id, reading->diag);
        if (status != STATUS_OK) {
            return status;
        }
        if (id != i) {
            return refuse(reading, "group %u is given twice, as %u; the file is damaged", i, id);
        }
    }
    return STATUS_OK;
}

static enum status pairs_refuse(const struct reading *reading, uint64_t table)
{
    return refuse(reading,
                  "pair table %" PRIu64 " does not fit its members, is given twice or too large; the file is "
                  "damaged",
                  table);
}

static enum status pairs_add(struct reading *reading)
{
    const struct job_table *table = &reading->table;
    uint64_t left = table->count[JOB_PAIRS];
    const uint64_t *bytes = table->pair_bytes;
    for (uint64_t i = 0; i < table->count[JOB_PAIR_TABLES]; i++) {
        uint64_t members = table->pair_members[i], cells = members * members, sum = 0;
        if (members == 0 || cells > left) {
            return pairs_refuse(reading, i);
        }
        for (uint64_t cell = 0; cell < cells; cell++) {
            sum += bytes[cell] <= AMOUNT_MAX ? bytes[cell] : AMOUNT_MAX + 1;
            if (sum > AMOUNT_MAX) {
                return pairs_refuse(reading, i);
            }
        }
        if (job_builder_pairs(reading->builder, (uint32_t)members, bytes) != i + 1) {
            return pairs_refuse(reading, i);
        }
        bytes += cells;
        left -= cells;
    }
    return left == 0 ? STATUS_OK : pairs_refuse(reading, table->count[JOB_PAIR_TABLES]);
}

static enum status slots_add(struct reading *reading, uint32_t rank)
{
    const struct job_table *table = &reading->table;
    for (uint64_t i = table->rank_first_group[rank]; i < table->rank_first_group[rank + 1]; i++) {
        uint32_t group = table->rank_group[i];
        if (group >= reading->group_count) {
            return refuse(reading, "rank %u is in group %u of %u; the file is damaged", rank, group,
                          reading->group_count);
        }
        if (job_builder_slot(reading->builder, rank, group) != i - table->rank_first_group[rank]) {
            return refuse(reading, "rank %u names group %u, of which it is no member, or names it twice",
                          rank, group);
        }
    }
    return STATUS_OK;
}

/* What the builder asserts. */
static const char *operation_fault(const struct job_table *table, uint64_t at, uint32_t rank_count,
                                   uint64_t slots, uint64_t names_bytes)
{
    int64_t delta = table->peer_delta[at];
    if (table->kind[at] >= OP_KIND_COUNT) {
        return "is of an unknown kind";
    }
    if (table->kind[at] == OP_COLLECTIVE &&
        strcmp(collective_name((enum collective_kind)table->collective[at]), "unknown") == 0) {
        return "is an unknown collective";
    }
    if (table->kind[at] == OP_COLLECTIVE && table->group_slot[at] >= slots) {
        return "is a collective of a group that its rank does not have";
    }
    if (delta >= (int64_t)rank_count || -delta >= (int64_t)rank_count) {
        return "names a rank that does not exist";
    }
    if (table->duration_ps[at] > DURATION_PS_MAX || table->bytes[at] > AMOUNT_MAX) {
        return "takes longer than a hundred days or moves more than a thousand petabytes";
    }
    if (table->pairs[at] > table->count[JOB_PAIR_TABLES]) {
        return "is an all-to-all by a table that is not in the file";
    }
    return table->name[at] < names_bytes ? NULL : "has a name behind the end of the names";
}

static struct op operation_at(const struct reading *reading, uint64_t at, uint32_t rank, const char *names)
{
    const struct job_table *table = &reading->table;
    int64_t peer = ((int64_t)rank + table->peer_delta[at] + reading->rank_count) % reading->rank_count;
    return (struct op){
        .kind = (enum op_kind)table->kind[at],
        .collective = (enum collective_kind)table->collective[at],
        .duration_ps = table->duration_ps[at],
        .bytes = table->bytes[at],
        .peer = (uint32_t)peer,
        .group_slot = table->group_slot[at],
        .root = table->root[at],
        .pairs = table->pairs[at],
        .tag = table->tag[at],
        .stream = table->stream[at],
        .source_id = table->source_id[at],
        .name = names + table->name[at],
    };
}

static enum status dependencies_add(struct reading *reading, uint32_t program)
{
    const struct job_table *table = &reading->table;
    uint64_t first = table->program_operation[program], end = table->program_operation[program + 1];
    if (table->dep_first[first] != table->program_dependency[program] ||
        table->dep_first[end] != table->program_dependency[program + 1]) {
        return refuse(reading, "program %u: its dependencies are those of another; the file is damaged",
                      program);
    }
    for (uint64_t op = first; op < end; op++) {
        for (uint64_t i = table->dep_first[op]; i < table->dep_first[op + 1]; i++) {
            if (table->dep[i] >= end - first) {
                return refuse(reading, "program %u: operation %" PRIu64 " waits for operation %u of %" PRIu64,
                              program, op - first, table->dep[i], end - first);
            }
            job_builder_dep(reading->builder, (uint32_t)(op - first), table->dep[i]);
        }
    }
    return STATUS_OK;
}

static enum status program_add(struct reading *reading, uint32_t program, uint32_t rank)
{
    const struct job_table *table = &reading->table;
    const char *names = table->text_program + table->program_name[program];
    uint64_t names_bytes = table->program_name[program + 1] - table->program_name[program];
    uint64_t slots = table->rank_first_group[rank + 1] - table->rank_first_group[rank];
    if (names_bytes == 0 || names[names_bytes - 1] != '\0') {
        return refuse(reading, "program %u: its names do not end; the file is damaged", program);
    }
    job_builder_rank(reading->builder, rank);
    for (uint64_t at = table->program_operation[program]; at < table->program_operation[program + 1]; at++) {
        const char *fault = operation_fault(table, at, reading->rank_count, slots, names_bytes);
        if (fault != NULL) {
            return refuse(reading, "program %u: operation %" PRIu64 " %s; the file is damaged", program,
                          at - table->program_operation[program], fault);
        }
        struct op op = operation_at(reading, at, rank, names);
        job_builder_op(reading->builder, &op);
    }
    enum status status = dependencies_add(reading, program);
    return status == STATUS_OK ? job_builder_rank_end(reading->builder, reading->path, reading->diag)
                               : status;
}

/* How many of a rank's groups a program speaks of. */
static uint64_t slots_needed(const struct job_table *table, uint32_t program)
{
    uint64_t needed = 0;
    for (uint64_t at = table->program_operation[program]; at < table->program_operation[program + 1]; at++) {
        if (table->kind[at] == OP_COLLECTIVE && table->group_slot[at] >= needed) {
            needed = (uint64_t)table->group_slot[at] + 1;
        }
    }
    return needed;
}

static enum status rank_add(struct reading *reading, uint32_t rank)
{
    uint32_t program = reading->table.rank_program[rank];
    if (program >= reading->program_count) {
        return refuse(reading, "rank %u runs program %u of %u; the file is damaged", rank, program,
                      reading->program_count);
    }
    enum status status = slots_add(reading, rank);
    if (status != STATUS_OK) {
        return status;
    }
    uint32_t *like = &reading->program_rank[program];
    if (*like == ID_NONE) {
        *like = rank;
        reading->program_slots[program] = slots_needed(&reading->table, program);
        return program_add(reading, program, rank);
    }
    uint64_t slots = reading->table.rank_first_group[rank + 1] - reading->table.rank_first_group[rank];
    if (slots < reading->program_slots[program]) {
        return refuse(reading, "rank %u has %" PRIu64 " groups, but runs collectives of %" PRIu64, rank,
                      slots, reading->program_slots[program]);
    }
    if (slots == 0) { /* it would be given those of the other rank, which the program does not use */
        return program_add(reading, program, rank);
    }
    job_builder_rank_like(reading->builder, rank, *like);
    return STATUS_OK;
}

static void notes_add(struct reading *reading)
{
    const struct job_table *table = &reading->table;
    for (uint64_t i = 0; i < table->count[JOB_NOTES]; i++) {
        job_builder_note(reading->builder, table->text_note + table->note_what[i],
                         table->text_note + table->note_action[i], table->note_count[i],
                         table->note_bytes[i]);
    }
}

static enum status job_build(struct reading *reading, struct arena *arena)
{
    reading->builder = job_builder_new(arena, reading->name, "job", reading->rank_count);
    reading->program_rank = arena_array(reading->scratch, reading->program_count, uint32_t);
    memset(reading->program_rank, 0xff, reading->program_count * sizeof *reading->program_rank);
    reading->program_slots = arena_array(reading->scratch, reading->program_count, uint64_t);
    job_builder_scale(reading->builder, reading->scale);
    if (reading->full_ranks < reading->rank_count || reading->full_ranks > UINT32_MAX) {
        return refuse(reading, "has full_ranks %" PRIu64 "; expected its ranks or more", reading->full_ranks);
    }
    job_builder_sample(reading->builder, reading->time_factor, (uint32_t)reading->full_ranks);
    enum status status = groups_add(reading);
    status = status == STATUS_OK ? pairs_add(reading) : status;
    for (uint32_t rank = 0; rank < reading->rank_count && status == STATUS_OK; rank++) {
        status = rank_add(reading, rank);
    }
    notes_add(reading);
    return status;
}

static enum status table_read(struct reading *reading)
{
    enum status status = head_check(reading);
    if (status != STATUS_OK) {
        return status;
    }
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* failures are told through diag */
    reading->file = H5Fopen(reading->path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (reading->file < 0) {
        return refuse(reading, "cannot be opened by the HDF5 library; the file is damaged");
    }
    status = file_load(reading);
    H5Fclose(reading->file);
    return status == STATUS_OK ? frame_check(reading) : status;
}

static enum status job_read(const struct trace_source *source, struct arena *arena, const struct job **job,
                            struct diag *diag)
{
    struct reading *reading = arena_one(arena, struct reading);
    *reading = (struct reading){
        .path = source->path, .diag = diag, .scratch = arena_new_within(arena, "a job file")};
    enum status status = table_read(reading);
    if (status == STATUS_OK && source->ranks != 0 && source->ranks != reading->rank_count) {
        status = refuse(reading, "is the job of %u ranks, but --ranks asks for %u", reading->rank_count,
                        source->ranks);
    }
    status = status == STATUS_OK ? job_build(reading, arena) : status;
    status = status == STATUS_OK ? job_builder_finish(reading->builder, job, diag) : status;
    arena_free(reading->scratch);
    return status;
}

static bool job_probe(const char *path, const uint8_t *head, size_t head_bytes)
{
    (void)path;
    size_t magic_bytes = sizeof JOB_FILE_MAGIC - 1;
    return head_bytes >= magic_bytes && memcmp(head, JOB_FILE_MAGIC, magic_bytes) == 0;
}

const struct trace_format trace_format_job = {
    .name = "job",
    .summary = "job files of `trace generate` and `trace convert`: NAME.job (HDF5)",
    .params = PARAM_TABLE_EMPTY,
    .probe = job_probe,
    .read = job_read,
};
