/* One rank of a GOAL schedule on its way to a program: see goal.h. */
#include "traces/goal.h"

#include "photonet/units.h"

#include <inttypes.h>
#include <string.h>

static const char *const kind_names[] = {[GOAL_SEND] = "send", [GOAL_RECV] = "recv", [GOAL_CALC] = "calc"};

enum status goal_node_check(const struct goal_node *node, struct origin at, struct diag *diag)
{
    const char *name = node->name == NULL ? "" : node->name;
    if (node->kind == GOAL_CALC) {
        return node->size <= UINT64_MAX / 2 / PS_PER_NS
                   ? STATUS_OK
                   : diag_input(diag, at,
                                "calc %" PRIu64 " \"%.80s\" takes %" PRIu64
                                " ns; expected less than 100 days",
                                node->source_id, name, node->size);
    }
    if (node->tag == GOAL_ANY || node->peer == GOAL_ANY) {
        return diag_input(
            diag, at,
            "%s %" PRIu64 " \"%.80s\" takes any %s (-1): which message it gets would depend on the "
            "network; expected a number",
            kind_names[node->kind], node->source_id, name, node->tag == GOAL_ANY ? "tag" : "source");
    }
    return node->size <= UINT64_MAX >> 4
               ? STATUS_OK
               : diag_input(diag, at, "%s %" PRIu64 " \"%.80s\" has %" PRIu64 " B; expected less than 2^60",
                            kind_names[node->kind], node->source_id, name, node->size);
}

void goal_op(const struct goal_node *node, struct op *op, struct goal_counts *counts)
{
    *op = (struct op){.kind = OP_COMPUTE, .source_id = node->source_id, .name = node->name};
    counts->nics += node->nic > 0;
    if (node->kind == GOAL_CALC) {
        op->duration_ps = node->size * PS_PER_NS;
        op->stream = node->cpu;
        return;
    }
    op->kind = node->kind == GOAL_SEND ? OP_SEND : OP_RECV;
    op->bytes = node->size;
    op->peer = node->peer;
    op->tag = node->tag;
    op->stream = STREAM_NONE;
    counts->message_cpus += node->cpu > 0;
}

/* What stands for the beginning of a node. */
static uint32_t start_of(const uint32_t *op_of, const bool *has_start, uint32_t node)
{
    return has_start[node] ? op_of[node] - 1 : ID_NONE;
}

/* Marks the nodes whose beginning becomes an operation: somebody waits for it, and it waits for something. */
static bool *starts_find(const struct goal_rank *rank)
{
    bool *waits = arena_array(rank->arena, rank->node_count, bool);
    bool *has_start = arena_array(rank->arena, rank->node_count, bool);
    for (size_t i = 0; i < rank->end_count; i++) {
        waits[rank->ends[i].node] = true;
    }
    /* A node that waits for the beginning of one that waits for nothing is taken to wait too: an operation
     * without work more, and no order in which the nodes must be looked at. */
    for (size_t i = 0; i < rank->start_count; i++) {
        waits[rank->starts[i].node] = true;
    }
    for (size_t i = 0; i < rank->start_count; i++) {
        has_start[rank->starts[i].on] = waits[rank->starts[i].on];
    }
    return has_start;
}

static void nodes_add(const struct goal_rank *rank, struct job_builder *builder, struct goal_counts *counts,
                      const bool *has_start, uint32_t *op_of)
{
    for (uint32_t node = 0; node < rank->node_count; node++) {
        if (has_start[node]) {
            struct op start = {
                .kind = OP_MARKER, .source_id = rank->nodes[node].source_id, .name = rank->nodes[node].name};
            job_builder_op(builder, &start);
        }
        struct op op;
        goal_op(&rank->nodes[node], &op, counts);
        op_of[node] = job_builder_op(builder, &op);
        if (has_start[node]) {
            job_builder_dep(builder, op_of[node], op_of[node] - 1);
        }
    }
}

void goal_rank_add(const struct goal_rank *rank, struct job_builder *builder, struct goal_counts *counts)
{
    const bool *has_start = starts_find(rank);
    uint32_t *op_of = arena_array(rank->arena, rank->node_count, uint32_t);
    nodes_add(rank, builder, counts, has_start, op_of);
    for (size_t i = 0; i < rank->end_count; i++) {
        uint32_t node = rank->ends[i].node;
        job_builder_dep(builder, op_of[node] - has_start[node], op_of[rank->ends[i].on]);
    }
    for (size_t i = 0; i < rank->start_count; i++) {
        uint32_t node = rank->starts[i].node, on = start_of(op_of, has_start, rank->starts[i].on);
        if (on != ID_NONE) {
            job_builder_dep(builder, op_of[node] - has_start[node], on);
        }
    }
    counts->irequires += rank->start_count;
}

void goal_notes_add(const struct goal_counts *counts, struct job_builder *builder)
{
    if (counts->irequires > 0) {
        job_builder_note(builder, "operations that wait for another to begin (irequires)",
                         "wait for what the other one waits for", counts->irequires, 0);
    }
    if (counts->nics > 0) {
        job_builder_note(builder, "operations on a nic other than 0", "use the rank's one network interface",
                         counts->nics, 0);
    }
    if (counts->message_cpus > 0) {
        job_builder_note(builder, "sends and receives on a cpu other than 0", "occupy no cpu",
                         counts->message_cpus, 0);
    }
}
