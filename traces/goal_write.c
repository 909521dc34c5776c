/* Writers of GOAL schedules, in text and as LogGOPSim's txt2bin packs them: see goal_text.c and goal_bin.c
 * for the formats, goal_lower.h for what becomes of a job. */
#include "traces/goal_lower.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAGIC       4223
#define OFFSET_BASE 8
#define NODE_BYTES  39

struct writing {
    struct goal_lowering lowering;
    FILE *file;
    bool (*rank_write)(struct writing *writing, uint32_t rank, const struct goal_rank *lowered);
    struct arena *arena;
    uint8_t *table; /* binary: starts and ends of the sections */
    uint64_t offset;
};

/* ---- text -----------------------------------------------------------------------------------------------
 */

static void node_print(FILE *file, size_t number, const struct goal_node *node)
{
    if (node->kind == GOAL_CALC) {
        fprintf(file, "l%zu: calc %" PRIu64, number, node->size);
    } else {
        bool is_send = node->kind == GOAL_SEND;
        fprintf(file, "l%zu: %s %" PRIu64 "b %s %" PRIu32 " tag %" PRIu32, number, is_send ? "send" : "recv",
                node->size, is_send ? "to" : "from", node->peer, node->tag);
    }
    if (node->cpu > 0) {
        fprintf(file, " cpu %u", node->cpu);
    }
    putc('\n', file);
}

static bool text_rank_write(struct writing *writing, uint32_t rank, const struct goal_rank *lowered)
{
    FILE *file = writing->file;
    if (rank == 0) {
        fprintf(file, "num_ranks %" PRIu32 "\n", writing->lowering.job->rank_count);
    }
    fprintf(file, "\nrank %" PRIu32 " {\n", rank);
    for (size_t node = 0; node < lowered->node_count; node++) {
        node_print(file, node, &lowered->nodes[node]);
    }
    for (size_t i = 0; i < lowered->end_count; i++) {
        fprintf(file, "l%" PRIu32 " requires l%" PRIu32 "\n", lowered->ends[i].node, lowered->ends[i].on);
    }
    fputs("}\n", file);
    return ferror(file) == 0;
}

/* ---- binary ---------------------------------------------------------------------------------------------
 */

static void put_u32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

static void put_u64(uint8_t *at, uint64_t value)
{
    put_u32(at, (uint32_t)value);
    put_u32(at + 4, (uint32_t)(value >> 32));
}

static size_t head_bytes(const struct job *job)
{
    return 14 + (size_t)job->rank_count * 16;
}

static void node_pack(uint8_t *at, const struct goal_node *node, uint32_t dep_count, uint32_t first,
                      uint32_t end)
{
    put_u32(at, dep_count);
    at[4] = node->kind;
    put_u32(at + 5, node->peer);
    put_u64(at + 9, node->size);
    put_u32(at + 17, node->tag);
    at[21] = node->cpu;
    put_u32(at + 23, end - first);
    put_u32(at + 27, first);
}

/* Edges stand at the node that is waited for: counting sort by it. Edges given twice stay two on both sides.
 */
static uint8_t *section_pack(const struct goal_rank *lowered, size_t *bytes)
{
    size_t nodes = lowered->node_count, edges = lowered->end_count, roots = 0;
    uint32_t *deps = arena_array(lowered->arena, nodes, uint32_t);
    uint32_t *first = arena_array(lowered->arena, nodes + 2, uint32_t);
    for (size_t i = 0; i < edges; i++) {
        deps[lowered->ends[i].node]++;
        first[lowered->ends[i].on + 2]++;
    }
    for (size_t node = 0; node < nodes; node++) {
        first[node + 2] += first[node + 1];
        roots += deps[node] == 0;
    }
    *bytes = 8 + 4 * roots + NODE_BYTES * nodes + 4 * edges;
    uint8_t *section = arena_alloc(lowered->arena, *bytes), *root = section + 8;
    uint8_t *node_at = root + 4 * roots, *appendix = node_at + NODE_BYTES * nodes;
    put_u32(section, (uint32_t)nodes);
    put_u32(section + 4, (uint32_t)roots);
    for (size_t i = 0; i < edges; i++) { /* first[on + 1] runs from the row's beginning to its end */
        put_u32(appendix + 4 * (size_t)first[lowered->ends[i].on + 1]++, lowered->ends[i].node);
    }
    for (uint32_t node = 0; node < nodes; node++) {
        if (deps[node] == 0) {
            put_u32(root, node);
            root += 4;
        }
        node_pack(node_at + NODE_BYTES * (size_t)node, &lowered->nodes[node], deps[node], first[node],
                  first[node + 1]);
    }
    return section;
}

static bool bin_head_write(const struct writing *writing)
{
    const struct job *job = writing->lowering.job;
    uint8_t head[14];
    put_u64(head, MAGIC);
    put_u32(head + 8, job->rank_count);
    head[12] = writing->lowering.idle_cpu;
    head[13] = 0;
    return fseek(writing->file, 0, SEEK_SET) == 0 &&
           fwrite(head, 1, sizeof head, writing->file) == sizeof head &&
           fwrite(writing->table, 16, job->rank_count, writing->file) == job->rank_count;
}

static bool bin_rank_write(struct writing *writing, uint32_t rank, const struct goal_rank *lowered)
{
    const struct job *job = writing->lowering.job;
    if (rank == 0) {
        writing->table = arena_alloc_array(writing->arena, job->rank_count, 16);
        writing->offset = head_bytes(job) - OFFSET_BASE;
        if (!bin_head_write(writing)) {
            return false;
        }
    }
    size_t bytes;
    const uint8_t *section = section_pack(lowered, &bytes);
    put_u64(writing->table + (size_t)rank * 16, writing->offset);
    writing->offset += bytes;
    put_u64(writing->table + (size_t)rank * 16 + 8, writing->offset);
    bool is_good = fwrite(section, 1, bytes, writing->file) == bytes;
    return rank + 1 == job->rank_count ? is_good && bin_head_write(writing) : is_good;
}

/* ---- both -----------------------------------------------------------------------------------------------
 */

static bool ranks_write(struct writing *writing)
{
    bool is_good = true;
    for (uint32_t rank = 0; rank < writing->lowering.job->rank_count && is_good; rank++) {
        struct arena *scratch = arena_new("a rank's GOAL schedule");
        struct goal_rank lowered;
        goal_lower(&writing->lowering, rank, scratch, &lowered);
        is_good = writing->rank_write(writing, rank, &lowered);
        arena_free(scratch);
    }
    return is_good;
}

static bool file_write(struct writing *writing, const char *path, const char *part)
{
    writing->file = fopen(part, "wb");
    if (writing->file == NULL) {
        return false;
    }
    bool is_good = ranks_write(writing) && fflush(writing->file) == 0 && fsync(fileno(writing->file)) == 0;
    is_good = fclose(writing->file) == 0 && is_good;
    return is_good && rename(part, path) == 0;
}

static enum status goal_write(const struct job *job, const char *prefix, const char *suffix,
                              struct writing *writing, char *wrote, size_t wrote_bytes, struct diag *diag)
{
    enum status status = goal_lowering_init(&writing->lowering, job, diag);
    if (status != STATUS_OK) {
        return status;
    }
    writing->arena = arena_new("writing a GOAL schedule");
    size_t length = strlen(prefix), suffix_bytes = strlen(suffix);
    bool is_named = length > suffix_bytes && strcmp(prefix + length - suffix_bytes, suffix) == 0;
    const char *path = arena_printf(writing->arena, "%s%s", prefix, is_named ? "" : suffix);
    const char *part = arena_printf(writing->arena, "%s.part", path);
    if (!file_write(writing, path, part)) {
        status = diag_set(diag, STATUS_IO, "%s: cannot write: %s", path, strerror(errno));
        unlink(part);
    }
    snprintf(wrote, wrote_bytes, "%s", path);
    goal_losses_print(&writing->lowering, wrote, wrote_bytes);
    arena_free(writing->arena);
    return status;
}

static enum status text_write(const struct job *job, const char *prefix, char *wrote, size_t wrote_bytes,
                              struct diag *diag)
{
    struct writing writing = {.rank_write = text_rank_write};
    return goal_write(job, prefix, ".goal", &writing, wrote, wrote_bytes, diag);
}

static enum status bin_write(const struct job *job, const char *prefix, char *wrote, size_t wrote_bytes,
                             struct diag *diag)
{
    struct writing writing = {.rank_write = bin_rank_write};
    return goal_write(job, prefix, ".bin", &writing, wrote, wrote_bytes, diag);
}

const struct trace_writer trace_writer_goal = {
    .name = "goal",
    .summary = "a GOAL schedule in text, PREFIX.goal; collectives become sends and receives",
    .write = text_write,
};

const struct trace_writer trace_writer_goal_bin = {
    .name = "goal_bin",
    .summary =
        "a GOAL schedule as LogGOPSim's txt2bin packs it, PREFIX.bin; collectives become sends and receives",
    .write = bin_write,
};
