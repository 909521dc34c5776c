/* Reader of binary GOAL schedules, as LogGOPSim's txt2bin writes them. Little endian, nothing aligned:
 *
 *     0   u64 magic 4223                      section of a rank: u32 nodes, u32 roots
 *     8   u32 ranks                                               roots x u32 node
 *     12  u8 highest cpu, u8 highest nic                          nodes x 39 bytes, see node_read
 *     14  ranks x { u64 start, u64 end }                          appendix: u32 nodes that wait
 *         of the sections, from byte 8 on
 *
 * Scope and what is not modelled: as goal_text.c. Edges stand at the operation that is waited for; the number
 * of those that a node waits for is checked against them. Sections must stand in the order of the ranks,
 * which is what makes reading in one pass possible; txt2bin writes no others. Checked against: the samples of
 * spcl/LogGOPSim, text against binary, and damaged files in tests/test_goal.c. */
#include "traces/byte_stream.h"
#include "traces/flow_list.h"
#include "traces/goal.h"
#include "traces/text_lines.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAGIC         4223 /* 0x107f */
#define MAGIC_INVALID 2342 /* left by LogGOPSim --save-mem */
#define HEAD_BYTES    14
#define OFFSET_BASE   8 /* starts and ends count from here */
#define NODE_BYTES    39

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint64_t get_u64(const uint8_t *at)
{
    return get_u32(at) | (uint64_t)get_u32(at + 4) << 32;
}

struct reading {
    struct byte_stream *stream;
    const char *path;
    struct arena *scratch; /* of the file */
    struct diag *diag;
    struct job_builder *builder;
    uint32_t rank_count, rank;
    uint8_t cpu_max, nic_max;
    const uint8_t *table; /* starts and ends */
    struct goal_counts counts;
    uint32_t *waiting; /* by node: edges not met yet */
    size_t waiting_capacity;
};

/* One rank's section while it is in the window. */
struct section {
    uint32_t node_count, root_count;
    uint64_t appendix_count;
    const uint8_t *roots, *nodes, *appendix;
};

struct node {
    struct goal_node goal;
    uint32_t dep_count;
    uint32_t end_count, end_first, start_count, start_first; /* in the appendix */
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

static enum status truncated(const struct reading *reading, uint64_t wanted, size_t there)
{
    return refuse(reading,
                  "ends %zu bytes behind byte %" PRIu64 ", where %" PRIu64 " were expected; it is truncated",
                  there, byte_stream_offset(reading->stream), wanted);
}

static enum status peek(struct reading *reading, uint64_t wanted, uint8_t **bytes)
{
    size_t there;
    enum status status = byte_stream_peek(reading->stream, (size_t)wanted, bytes, &there, reading->diag);
    return status == STATUS_OK && there < wanted ? truncated(reading, wanted, there) : status;
}

/* ---- nodes ------------------------------------------------------------------------------------------- */

static inline void node_read(const uint8_t *at, uint32_t number, struct node *node)
{
    node->dep_count = get_u32(at);
    node->goal.kind = at[4];
    node->goal.peer = get_u32(at + 5);
    node->goal.size = get_u64(at + 9);
    node->goal.tag = get_u32(at + 17);
    node->goal.cpu = at[21];
    node->goal.nic = at[22];
    node->end_count = get_u32(at + 23);
    node->end_first = get_u32(at + 27);
    node->start_count = get_u32(at + 31);
    node->start_first = get_u32(at + 35);
    node->goal.source_id = number;
    node->goal.name = NULL;
}

static inline enum status node_check(const struct reading *reading, const struct section *section,
                              const struct node *node)
{
    bool is_known = node->goal.kind >= GOAL_SEND && node->goal.kind <= GOAL_CALC;
    bool has_edges = (uint64_t)node->end_first + node->end_count <= section->appendix_count &&
                     (uint64_t)node->start_first + node->start_count <= section->appendix_count;
    if (!is_known) {
        return refuse(reading,
                      "rank %u, node %" PRIu64 " is of kind %u; expected 1 (send), 2 (recv) or 3 (calc)",
                      reading->rank, node->goal.source_id, node->goal.kind);
    }
    if ((node->end_count > 0 || node->start_count > 0) && !has_edges) {
        return refuse(
            reading, "rank %u, node %" PRIu64 " has edges behind the end of its section; the file is damaged",
            reading->rank, node->goal.source_id);
    }
    if (node->goal.cpu > reading->cpu_max || node->goal.nic > reading->nic_max) {
        return refuse(reading,
                      "rank %u, node %" PRIu64 " is on cpu %u and nic %u; the head says at most %u and %u",
                      reading->rank, node->goal.source_id, node->goal.cpu, node->goal.nic, reading->cpu_max,
                      reading->nic_max);
    }
    struct origin at = {.path = reading->path};
    return goal_node_check(&node->goal, at, reading->diag);
}

static enum status edge_refuse(const struct reading *reading, uint64_t node, uint32_t target)
{
    return refuse(reading,
                  "rank %u, node %" PRIu64
                  " is waited for by node %u, which does not exist or waits for fewer; "
                  "the file is damaged",
                  reading->rank, node, target);
}

/* The usual section: no node waits for the beginning of another. */
static enum status plain_add(struct reading *reading, const struct section *section)
{
    struct job_builder *builder = reading->builder;
    for (uint32_t i = 0; i < section->node_count; i++) {
        struct node node;
        struct op op;
        node_read(section->nodes + (size_t)i * NODE_BYTES, i, &node);
        enum status status = node_check(reading, section, &node);
        if (status != STATUS_OK) {
            return status;
        }
        goal_op(&node.goal, &op, &reading->counts);
        job_builder_op(builder, &op);
        const uint8_t *edge = section->appendix + (size_t)node.end_first * 4;
        for (uint32_t k = 0; k < node.end_count; k++, edge += 4) {
            uint32_t target = get_u32(edge);
            if (target >= section->node_count || reading->waiting[target] == 0) {
                return edge_refuse(reading, i, target);
            }
            reading->waiting[target]--;
            job_builder_dep(builder, target, i);
        }
    }
    return STATUS_OK;
}

static enum status edges_collect(const struct reading *reading, const struct section *section, uint32_t node,
                                 uint32_t first, uint32_t count, bool is_start, struct goal_rank *rank)
{
    for (uint32_t k = 0; k < count; k++) {
        uint32_t target = get_u32(section->appendix + ((size_t)first + k) * 4);
        if (target >= section->node_count || reading->waiting[target] == 0) {
            return edge_refuse(reading, node, target);
        }
        reading->waiting[target]--;
        struct goal_edge edge = {target, node};
        if (is_start) {
            vec_push(rank->arena, rank->starts, rank->start_count, rank->start_capacity) = edge;
        } else {
            vec_push(rank->arena, rank->ends, rank->end_count, rank->end_capacity) = edge;
        }
    }
    return STATUS_OK;
}

static enum status irequires_add(struct reading *reading, const struct section *section)
{
    struct goal_rank rank = {.arena = arena_new_within(reading->scratch, "a rank's GOAL schedule"),
                             .path = reading->path};
    enum status status = STATUS_OK;
    rank.nodes = arena_array(rank.arena, section->node_count, struct goal_node);
    for (uint32_t i = 0; i < section->node_count && status == STATUS_OK; i++) {
        struct node node;
        node_read(section->nodes + (size_t)i * NODE_BYTES, i, &node);
        rank.nodes[rank.node_count++] = node.goal;
        status = node_check(reading, section, &node);
        if (status == STATUS_OK) {
            status = edges_collect(reading, section, i, node.end_first, node.end_count, false, &rank);
        }
        if (status == STATUS_OK) {
            status = edges_collect(reading, section, i, node.start_first, node.start_count, true, &rank);
        }
    }
    if (status == STATUS_OK) {
        goal_rank_add(&rank, reading->builder, &reading->counts);
    }
    arena_free(rank.arena);
    return status;
}

/* ---- sections ---------------------------------------------------------------------------------------- */

/* Counts what each node waits for; true where one waits for the beginning of another. */
static bool waiting_fill(struct reading *reading, const struct section *section)
{
    bool has_starts = false;
    if (reading->waiting_capacity < section->node_count) {
        reading->waiting_capacity = 2 * (size_t)section->node_count;
        reading->waiting = arena_array(reading->scratch, reading->waiting_capacity, uint32_t);
    }
    for (uint32_t i = 0; i < section->node_count; i++) {
        const uint8_t *at = section->nodes + (size_t)i * NODE_BYTES;
        reading->waiting[i] = get_u32(at);
        has_starts |= get_u32(at + 31) > 0;
    }
    return has_starts;
}

static enum status roots_check(const struct reading *reading, const struct section *section)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < section->node_count; i++) {
        found += reading->waiting[i] == 0;
    }
    bool is_good = found == section->root_count;
    for (uint32_t i = 0; i < section->root_count && is_good; i++) {
        uint32_t root = get_u32(section->roots + (size_t)i * 4);
        is_good = root < section->node_count && reading->waiting[root] == 0;
    }
    return is_good
               ? STATUS_OK
               : refuse(reading, "rank %u names %u roots, but %u nodes wait for nothing; the file is damaged",
                        reading->rank, section->root_count, found);
}

static enum status waiting_check(const struct reading *reading, const struct section *section)
{
    for (uint32_t i = 0; i < section->node_count; i++) {
        if (reading->waiting[i] != 0) {
            return refuse(
                reading, "rank %u, node %u waits for %u nodes more than there are edges; the file is damaged",
                reading->rank, i, reading->waiting[i]);
        }
    }
    return STATUS_OK;
}

static enum status section_open(const struct reading *reading, const uint8_t *bytes, uint64_t size,
                                struct section *section)
{
    *section = (struct section){.node_count = get_u32(bytes), .root_count = get_u32(bytes + 4)};
    uint64_t fixed = 8 + (uint64_t)section->root_count * 4 + (uint64_t)section->node_count * NODE_BYTES;
    if (fixed > size || (size - fixed) % 4 != 0 || section->node_count > ID_NONE / 2) {
        return refuse(reading,
                      "rank %u: a section of %" PRIu64
                      " B cannot hold %u nodes and %u roots; the file is damaged",
                      reading->rank, size, section->node_count, section->root_count);
    }
    section->roots = bytes + 8;
    section->nodes = section->roots + (size_t)section->root_count * 4;
    section->appendix = section->nodes + (size_t)section->node_count * NODE_BYTES;
    section->appendix_count = (size - fixed) / 4;
    return STATUS_OK;
}

static enum status section_add(struct reading *reading, const struct section *section)
{
    bool has_starts = waiting_fill(reading, section);
    enum status status = roots_check(reading, section);
    if (status == STATUS_OK) {
        job_builder_rank(reading->builder, reading->rank);
        status = has_starts ? irequires_add(reading, section) : plain_add(reading, section);
    }
    if (status == STATUS_OK) {
        status = waiting_check(reading, section);
    }
    return status == STATUS_OK ? job_builder_rank_end(reading->builder, reading->path, reading->diag)
                               : status;
}

/* Moves the stream on to `offset`. */
static enum status seek(struct reading *reading, uint64_t offset)
{
    while (byte_stream_offset(reading->stream) < offset) {
        uint64_t left = offset - byte_stream_offset(reading->stream);
        uint64_t step = left < 65536 ? left : 65536;
        uint8_t *bytes;
        enum status status = peek(reading, step, &bytes);
        if (status != STATUS_OK) {
            return status;
        }
        byte_stream_skip(reading->stream, (size_t)step);
    }
    return STATUS_OK;
}

static enum status rank_read(struct reading *reading)
{
    const uint8_t *row = reading->table + (size_t)reading->rank * 16;
    uint64_t start = get_u64(row), end = get_u64(row + 8), offset = byte_stream_offset(reading->stream);
    if (end < start || end - start < 8 || start + OFFSET_BASE < offset || end > UINT64_MAX / 2) {
        return refuse(reading,
                      "rank %u has its section at %" PRIu64 " to %" PRIu64 " behind byte 8, before or over "
                      "another; expected the order of the ranks",
                      reading->rank, start, end);
    }
    uint8_t *bytes;
    struct section section;
    enum status status = seek(reading, start + OFFSET_BASE);
    status = status == STATUS_OK ? peek(reading, end - start, &bytes) : status;
    status = status == STATUS_OK ? section_open(reading, bytes, end - start, &section) : status;
    status = status == STATUS_OK ? section_add(reading, &section) : status;
    if (status == STATUS_OK) {
        byte_stream_skip(reading->stream, (size_t)(end - start));
    }
    return status;
}

/* ---- the file ---------------------------------------------------------------------------------------- */

static enum status head_read(struct reading *reading)
{
    uint8_t *bytes;
    enum status status = peek(reading, HEAD_BYTES, &bytes);
    if (status != STATUS_OK) {
        return status;
    }
    uint64_t magic = get_u64(bytes);
    if (magic != MAGIC) {
        return refuse(reading, "%s; expected the magic number 4223",
                      magic == MAGIC_INVALID ? "was used up by LogGOPSim --save-mem"
                                             : "is no binary GOAL file");
    }
    reading->rank_count = get_u32(bytes + 8);
    reading->cpu_max = bytes[12];
    reading->nic_max = bytes[13];
    if (reading->rank_count == 0 || reading->rank_count > TRACE_RANKS_MAX) {
        return refuse(reading, "has %u ranks; expected 1 to %u", reading->rank_count, TRACE_RANKS_MAX);
    }
    byte_stream_skip(reading->stream, HEAD_BYTES);
    size_t table_bytes = (size_t)reading->rank_count * 16;
    status = peek(reading, table_bytes, &bytes);
    if (status == STATUS_OK) {
        uint8_t *table = arena_alloc(reading->scratch, table_bytes);
        memcpy(table, bytes, table_bytes);
        reading->table = table;
        byte_stream_skip(reading->stream, table_bytes);
    }
    return status;
}

static enum status file_read(struct reading *reading, const struct trace_source *source, struct arena *arena)
{
    enum status status = head_read(reading);
    if (status == STATUS_OK && source->ranks != 0 && source->ranks != reading->rank_count) {
        return refuse(reading, "has %u ranks, but --ranks asks for %u; expected no --ranks",
                      reading->rank_count, source->ranks);
    }
    if (status != STATUS_OK) {
        return status;
    }
    reading->builder =
        job_builder_new(arena, trace_name(arena, source->path), "goal_bin", reading->rank_count);
    for (; reading->rank < reading->rank_count && status == STATUS_OK; reading->rank++) {
        status = rank_read(reading);
    }
    return status;
}

static enum status goal_bin_read(const struct trace_source *source, struct arena *arena,
                                 const struct job **job, struct diag *diag)
{
    struct reading reading = {
        .path = source->path, .scratch = arena_new_within(arena, "a binary GOAL file"), .diag = diag};
    enum status status = byte_stream_open(source->path, reading.scratch, &reading.stream, diag);
    if (status == STATUS_OK) {
        status = file_read(&reading, source, arena);
        byte_stream_close(reading.stream);
    }
    arena_free(reading.scratch);
    if (status == STATUS_OK) {
        goal_notes_add(&reading.counts, reading.builder);
        status = job_builder_finish(reading.builder, job, diag);
    }
    return status;
}

static bool goal_bin_probe(const char *path, const uint8_t *head, size_t head_bytes)
{
    (void)path;
    uint64_t magic = head_bytes >= HEAD_BYTES ? get_u64(head) : 0;
    return magic == MAGIC || magic == MAGIC_INVALID;
}

const struct trace_format trace_format_goal_bin = {
    .name = "goal_bin",
    .summary = "GOAL schedules as LogGOPSim's txt2bin packs them",
    .params = PARAM_TABLE_EMPTY,
    .probe = goal_bin_probe,
    .read = goal_bin_read,
};
