/* Reader of AICB's physical workloads: the collectives of one iteration in CSV.
 *
 *     [rank0 ~ rank127]
 *     comm_type,comm_group,comm_group_size,msg_size,stage,dst,src,additional,_elapsed_time,algbw,busbw,count
 *     CommType.all_reduce,CommGroup.tp_group,8,16777216,forward.MegatronRowLinear,None,None,,None,None,None,1
 *
 * Scope: every rank of the first line (or --ranks) runs the rows one after the other, `count` times each.
 * Tensor groups are neighbours, data groups the ranks that are a tensor group apart, expert groups lie within
 * those, ep_dp groups across them. The bytes of an all-gather are its result, as AICB's benchmark allocates
 * them. A broadcast's src is a member of its group. Not modelled: computation, of which these files hold no
 * times; pipeline messages (isend, irecv), whose partners they do not hold; both are counted as left out,
 * like any kind that is no collective. Checked against: a workload of aliyun/aicb (23eec3c) and hand-made
 * files in tests/test_layers.c. */
#include "traces/flow_list.h"
#include "traces/layer_table.h"
#include "traces/text_lines.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum group_kind { GROUP_WORLD, GROUP_TENSOR, GROUP_DATA, GROUP_EXPERT, GROUP_EXPERT_DATA, GROUP_COUNT };
static const char *const group_names[GROUP_COUNT] = {"all", "tp_group", "dp_group", "ep_group",
                                                     "ep_dp_group"};

static const struct {
    const char *name;
    enum collective_kind kind;
} kinds[] = {
    {"all_reduce", COLLECTIVE_ALL_REDUCE}, {"all_gather", COLLECTIVE_ALL_GATHER},
    {"broadcast", COLLECTIVE_BROADCAST},   {"reduce_scatter", COLLECTIVE_REDUCE_SCATTER},
    {"all_to_all", COLLECTIVE_ALL_TO_ALL}, {"reduce", COLLECTIVE_REDUCE},
    {"barrier", COLLECTIVE_BARRIER},
};

struct row {
    enum collective_kind kind;
    enum group_kind group;
    uint64_t bytes, count;
    uint32_t root, line;
    const char *stage;
};

enum column {
    COLUMN_TYPE,
    COLUMN_GROUP,
    COLUMN_GROUP_SIZE,
    COLUMN_BYTES,
    COLUMN_STAGE,
    COLUMN_SRC,
    COLUMN_REPEATS,
    COLUMN_COUNT
};
static const char *const column_names[COLUMN_COUNT] = {
    "comm_type", "comm_group", "comm_group_size", "msg_size", "stage", "src", "count"};
#define FIELDS_MAX 32

struct reading {
    struct text_lines lines;
    struct arena *arena;
    struct diag *diag;
    uint32_t ranks; /* of the first line, 0 where it says nothing */
    bool has_names;
    uint32_t place[COLUMN_COUNT]; /* field number */
    uint32_t field_count;
    char *field[FIELDS_MAX];
    uint64_t size[GROUP_COUNT]; /* 0: not met */
    struct row *rows;
    size_t row_count, row_capacity;
    uint64_t left_out[3]; /* computation, pipeline messages, others */
};

/* ---- lines ------------------------------------------------------------------------------------------- */

static enum status fields_split(struct reading *reading, char *line)
{
    reading->field_count = 0;
    for (char *at = line; at != NULL;) {
        if (reading->field_count == FIELDS_MAX) {
            return text_refuse(&reading->lines, reading->diag, "has more than %d fields", FIELDS_MAX);
        }
        char *comma = strchr(at, ',');
        reading->field[reading->field_count++] = at;
        if (comma != NULL) {
            *comma++ = '\0';
        }
        at = comma;
    }
    return STATUS_OK;
}

static enum status names_read(struct reading *reading)
{
    for (enum column column = 0; column < COLUMN_COUNT; column++) {
        uint32_t place = 0;
        while (place < reading->field_count && strcmp(reading->field[place], column_names[column]) != 0) {
            place++;
        }
        if (place == reading->field_count) {
            return text_refuse(&reading->lines, reading->diag, "names no column %s; expected AICB's columns",
                               column_names[column]);
        }
        reading->place[column] = place;
    }
    reading->has_names = true;
    return STATUS_OK;
}

/* The field of a column; "None" and what is missing are "". */
static const char *field_of(const struct reading *reading, enum column column)
{
    uint32_t place = reading->place[column];
    const char *field = place < reading->field_count ? reading->field[place] : "";
    return strcmp(field, "None") == 0 ? "" : field;
}

static const char *without_class(const char *field)
{
    const char *dot = strchr(field, '.');
    return dot == NULL ? field : dot + 1;
}

static enum status number_of(struct reading *reading, enum column column, uint64_t high, uint64_t *value)
{
    const char *field = field_of(reading, column);
    double real;
    if (text_real(field, &real) && real >= 0.0 && real <= (double)high) { /* sizes may read 16.0 */
        *value = (uint64_t)real;
        return STATUS_OK;
    }
    return text_refuse(&reading->lines, reading->diag, "%s is \"%.40s\"; expected a number up to %" PRIu64,
                       column_names[column], field, high);
}

static enum status group_read(struct reading *reading, struct row *row)
{
    const char *name = without_class(field_of(reading, COLUMN_GROUP));
    uint64_t size = 0;
    row->group = 0;
    while (row->group < GROUP_COUNT && strcmp(group_names[row->group], name) != 0) {
        row->group++;
    }
    if (row->group == GROUP_COUNT) {
        return text_refuse(&reading->lines, reading->diag,
                           "group \"%.40s\"; expected tp_group, dp_group, ep_group, ep_dp_group or all",
                           name);
    }
    enum status status = number_of(reading, COLUMN_GROUP_SIZE, TRACE_RANKS_MAX, &size);
    if (status == STATUS_OK &&
        (size == 0 || (reading->size[row->group] != 0 && reading->size[row->group] != size))) {
        return text_refuse(&reading->lines, reading->diag,
                           "group %s has %" PRIu64 " ranks; expected %" PRIu64 " as before, and one at least",
                           name, size, reading->size[row->group]);
    }
    reading->size[row->group] = status == STATUS_OK ? size : 0;
    return status;
}

static bool kind_find(const char *name, enum collective_kind *kind)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            *kind = kinds[i].kind;
            return true;
        }
    }
    return false;
}

static void left_out_count(struct reading *reading, const char *kind)
{
    bool is_message = strcmp(kind, "isend") == 0 || strcmp(kind, "irecv") == 0;
    reading->left_out[strncmp(kind, "comput", 6) == 0 ? 0 : is_message ? 1 : 2]++;
}

static enum status row_read(struct reading *reading)
{
    struct row row = {.line = reading->lines.line};
    const char *kind = without_class(field_of(reading, COLUMN_TYPE));
    if (!kind_find(kind, &row.kind)) {
        left_out_count(reading, kind);
        return STATUS_OK;
    }
    uint64_t root = 0;
    enum status status = group_read(reading, &row);
    status = status == STATUS_OK ? number_of(reading, COLUMN_BYTES, UINT64_C(1) << 60, &row.bytes) : status;
    status = status == STATUS_OK ? number_of(reading, COLUMN_REPEATS, 1000000, &row.count) : status;
    if (status == STATUS_OK && field_of(reading, COLUMN_SRC)[0] != '\0') {
        status = number_of(reading, COLUMN_SRC, reading->size[row.group] - 1, &root);
    }
    if (status == STATUS_OK) {
        row.root = (uint32_t)root;
        row.stage = arena_strdup(reading->arena, field_of(reading, COLUMN_STAGE));
        vec_push(reading->arena, reading->rows, reading->row_count, reading->row_capacity) = row;
    }
    return status;
}

static enum status line_read(struct reading *reading, char *line)
{
    unsigned first, last;
    if (line[0] == '\0') {
        return STATUS_OK;
    }
    if (line[0] == '[' && !reading->has_names) {
        bool is_range =
            sscanf(line, "[rank%9u ~ rank%9u]", &first, &last) == 2 && first == 0 && last < TRACE_RANKS_MAX;
        reading->ranks = is_range ? last + 1 : 0;
        return is_range ? STATUS_OK
                        : text_refuse(&reading->lines, reading->diag,
                                      "\"%.60s\" is no range of ranks; expected [rank0 ~ rankN]", line);
    }
    enum status status = fields_split(reading, line);
    if (status != STATUS_OK) {
        return status;
    }
    return reading->has_names ? row_read(reading) : names_read(reading);
}

static enum status lines_read(void *context)
{
    struct reading *reading = context;
    enum status status;
    char *line;
    while ((status = text_next(&reading->lines, &line, reading->diag)) == STATUS_OK && line != NULL) {
        status = line_read(reading, line);
        if (status != STATUS_OK) {
            return status;
        }
    }
    if (status == STATUS_OK && reading->row_count == 0) {
        status = diag_input(reading->diag, (struct origin){.path = reading->lines.path},
                            "holds no collective; expected rows CommType.all_reduce,CommGroup.tp_group,...");
    }
    return status;
}

/* ---- the job ----------------------------------------------------------------------------------------- */

static enum status groups_plan(const struct reading *reading, uint32_t ranks, struct layer_group *groups)
{
    uint64_t tensor = reading->size[GROUP_TENSOR] == 0 ? 1 : reading->size[GROUP_TENSOR];
    uint64_t expert = reading->size[GROUP_EXPERT] == 0 ? 1 : reading->size[GROUP_EXPERT];
    const uint64_t step[GROUP_COUNT] = {1, 1, tensor, tensor, tensor * expert};
    for (enum group_kind kind = 0; kind < GROUP_COUNT; kind++) {
        uint64_t size = reading->size[kind];
        if (size > 0 && ranks % (step[kind] * size) != 0) {
            return diag_input(reading->diag, (struct origin){.path = reading->lines.path},
                              "has groups %s of %" PRIu64 " ranks, %" PRIu64
                              " apart, which do not fill %u ranks; "
                              "expected --ranks N with a multiple of both",
                              group_names[kind], size, step[kind], ranks);
        }
        groups[kind] = (struct layer_group){(uint32_t)step[kind], (uint32_t)size};
    }
    return STATUS_OK;
}

static void rows_add(const struct reading *reading, struct job_builder *builder, const uint32_t *slots)
{
    uint32_t last = ID_NONE;
    for (size_t i = 0; i < reading->row_count; i++) {
        const struct row *row = &reading->rows[i];
        uint64_t size = reading->size[row->group];
        bool is_whole = row->kind == COLLECTIVE_ALL_GATHER;
        struct op op = {.kind = OP_COLLECTIVE,
                        .collective = row->kind,
                        .bytes = is_whole ? (row->bytes + size - 1) / size : row->bytes,
                        .root = row->root,
                        .group_slot = slots[row->group],
                        .source_id = row->line,
                        .name = row->stage};
        for (uint64_t k = 0; k < row->count; k++) {
            uint32_t added = job_builder_op(builder, &op);
            if (last != ID_NONE) {
                job_builder_dep(builder, added, last);
            }
            last = added;
        }
    }
}

static void notes_add(const struct reading *reading, struct job_builder *builder)
{
    static const char *const what[] = {"computation rows, which hold no time",
                                       "pipeline messages, whose partners the file does not hold",
                                       "rows of other kinds (epoch_end and the like)"};
    for (size_t i = 0; i < 3; i++) {
        if (reading->left_out[i] > 0) {
            job_builder_note(builder, what[i], "left out", reading->left_out[i], 0);
        }
    }
}

/* All repetitions together. */
#define OPS_MAX UINT64_C(50000000)

static enum status job_make(struct reading *reading, const struct trace_source *source, struct arena *arena,
                            const struct job **job)
{
    uint32_t ranks = source->ranks != 0 ? source->ranks : reading->ranks, slots[GROUP_COUNT] = {0};
    struct layer_group groups[GROUP_COUNT];
    struct origin at = {.path = source->path};
    uint64_t ops = 0;
    for (size_t i = 0; i < reading->row_count; i++) {
        ops += reading->rows[i].count;
    }
    if (ranks == 0 || ranks > TRACE_RANKS_MAX || ops > OPS_MAX) {
        return diag_input(reading->diag, at,
                          "has %u ranks and %" PRIu64 " collectives; expected --ranks N up to %u", ranks, ops,
                          TRACE_RANKS_MAX);
    }
    enum status status = groups_plan(reading, ranks, groups);
    if (status != STATUS_OK) {
        return status;
    }
    struct job_builder *builder = job_builder_new(arena, trace_name(arena, source->path), "aicb_csv", ranks);
    for (enum group_kind kind = 0; kind < GROUP_COUNT && status == STATUS_OK; kind++) {
        if (groups[kind].size > 0) {
            status = layer_groups_add(builder, group_names[kind], ranks, groups[kind], source->path,
                                      &slots[kind], reading->diag);
        }
    }
    if (status == STATUS_OK) {
        job_builder_rank(builder, 0);
        rows_add(reading, builder, slots);
        status = job_builder_rank_end(builder, source->path, reading->diag);
    }
    for (uint32_t rank = 1; rank < ranks && status == STATUS_OK; rank++) {
        job_builder_rank_like(builder, rank, 0);
    }
    notes_add(reading, builder);
    return status == STATUS_OK ? job_builder_finish(builder, job, reading->diag) : status;
}

static enum status aicb_read(const struct trace_source *source, struct arena *arena, const struct job **job,
                             struct diag *diag)
{
    struct reading reading = {.arena = arena_new_within(arena, "an AICB workload"), .diag = diag};
    enum status status = text_read(source->path, reading.arena, &reading.lines, lines_read, &reading, diag);
    status = status == STATUS_OK ? job_make(&reading, source, arena, job) : status;
    arena_free(reading.arena);
    return status;
}

static bool aicb_probe(const char *path, const uint8_t *head, size_t head_bytes)
{
    (void)path;
    static const char columns[] = "comm_type,comm_group,";
    struct text_head text = {(const char *)head, (const char *)head + head_bytes};
    char word[64];
    while (text_head_line(&text, word, sizeof word)) {
        if (word[0] != '[' && word[0] != '\0') {
            return strncmp(word, columns, sizeof columns - 1) == 0;
        }
    }
    return false;
}

const struct trace_format trace_format_aicb_csv = {
    .name = "aicb_csv",
    .summary = "AICB's physical workloads: the collectives of an iteration in CSV",
    .params = PARAM_TABLE_EMPTY,
    .probe = aicb_probe,
    .read = aicb_read,
};
