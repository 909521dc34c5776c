/* Data parallelism: parameters that are gathered, gradients that are reduced, the optimizer.
 *
 * Reductions are emitted where their gradients are complete. With dualpipe two stages hold the same layers and reach
 * them at different times, so there all of them are emitted at the end, in the order of the chunks; they still start
 * as soon as their gradients are there. */
#include "traces/transformer_int.h"

#include <stdlib.h>

void parts_fill(struct stage *stage)
{
    const struct transformer_plan *plan = stage_plan(stage);
    stage->part_count = pipeline_parts(plan);
    for (uint32_t i = 0; i < stage->part_count; i++) {
        uint32_t chunk = pipeline_chunk(plan, stage->index, i);
        uint64_t first = chunk_first_layer(stage->layout, chunk), count = chunk_first_layer(stage->layout, chunk + 1) - first;
        stage->parts[i] = (struct part){.chunk = chunk,
                                        .first_layer = first,
                                        .layer_count = count,
                                        .gathered = arena_array(stage->arena, count, uint32_t),
                                        .is_gathered = arena_array(stage->arena, count, bool)};
    }
}

static bool is_sharing(const struct stage *stage, uint32_t zero)
{
    return stage_plan(stage)->zero >= zero;
}

static uint64_t members(const struct stage *stage, bool is_experts)
{
    const struct transformer_plan *plan = stage_plan(stage);
    uint64_t holders = plan->schedule == SCHEDULE_DUALPIPE ? 2 : 1;
    return holders * (is_experts ? stage->layout->stage_ranks / plan->ep : plan->cp * plan->dp);
}

/* ---- parameters (ZeRO 3)
 * ------------------------------------------------------------------------------------- */

static uint32_t gather_add(struct stage *stage, uint64_t parameters, bool is_experts, const char *what, uint64_t number)
{
    enum slot slot = is_experts ? SLOT_EXPERT_DP : SLOT_DP;
    if (!has_group(stage, slot) || parameters == 0) {
        return ID_NONE;
    }
    uint64_t bytes = parameters * precision_bytes(stage_plan(stage)->parameters) / members(stage, is_experts);
    return op_add(stage, collective_op(stage, slot, COLLECTIVE_ALL_GATHER, bytes), "%s%u.all_gather mb%u", what,
                  (unsigned)number, (unsigned)stage->micro_batch);
}

/* Experts of a layer and the rest of it are gathered by different groups: a marker joins them. */
static uint32_t layer_gather(struct stage *stage, uint64_t layer)
{
    uint32_t dense = gather_add(stage, rank_layer_parameters(stage->layout, layer), false, "parameters.layer", layer);
    uint32_t experts =
        gather_add(stage, rank_expert_parameters(stage->layout, layer), true, "parameters.experts", layer);
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t op = i == 0 ? dense : experts;
        if (op != ID_NONE && stage->chain->last != ID_NONE) {
            job_builder_dep(stage->builder, op, stage->chain->last);
        }
    }
    if (dense == ID_NONE || experts == ID_NONE) {
        return dense == ID_NONE ? experts : dense;
    }
    uint32_t both = op_add(stage, (struct op){.kind = OP_MARKER}, "parameters.layer%u", (unsigned)layer);
    job_builder_dep(stage->builder, both, dense);
    job_builder_dep(stage->builder, both, experts);
    return both;
}

void parameters_need(struct stage *stage, struct part *part, uint64_t layer, int direction)
{
    if (!is_sharing(stage, 3)) {
        return;
    }
    uint64_t at = layer - part->first_layer, ahead = stage_plan(stage)->prefetch;
    for (uint64_t i = 0; i <= ahead; i++) {
        uint64_t next = direction > 0 ? at + i : at - i;
        if (direction > 0 ? next >= part->layer_count : i > at) {
            break;
        }
        if (!part->is_gathered[next]) {
            part->is_gathered[next] = true;
            part->gathered[next] = layer_gather(stage, part->first_layer + next);
        }
    }
    if (part->gathered[at] != ID_NONE) {
        pending_add(stage, part->gathered[at]);
    }
}

/* The vocabulary's table, at either end, with the last norm. */
void table_need(struct stage *stage, struct part *part, uint64_t parameters)
{
    if (is_sharing(stage, 3) && !part->is_table_gathered) {
        part->is_table_gathered = true;
        uint32_t id = gather_add(stage, parameters, false, "parameters.table", 0);
        if (id != ID_NONE && stage->chain->last != ID_NONE) {
            job_builder_dep(stage->builder, id, stage->chain->last);
        }
        if (id != ID_NONE) {
            pending_add(stage, id);
        }
    }
}

void parameters_release(struct stage *stage, struct part *part)
{
    part->is_table_gathered &= !stage_plan(stage)->is_resharded;
    for (uint64_t i = 0; i < part->layer_count && stage_plan(stage)->is_resharded; i++) {
        part->is_gathered[i] = false;
    }
}

/* ---- gradients
 * ---------------------------------------------------------------------------------------------- */

static void reduction_add(struct stage *stage, struct reduction *reduction, size_t number)
{
    enum collective_kind kind = is_sharing(stage, 1) ? COLLECTIVE_REDUCE_SCATTER : COLLECTIVE_ALL_REDUCE;
    uint64_t bytes = reduction->parameters * precision_bytes(stage_plan(stage)->gradients);
    enum slot slot = reduction->is_experts ? SLOT_EXPERT_DP : SLOT_DP;
    reduction->op = op_add(stage, collective_op(stage, slot, kind, bytes), "%s%u.%s",
                           reduction->is_experts ? "expert_gradients" : "gradients", (unsigned)number,
                           collective_name(kind));
    job_builder_dep(stage->builder, reduction->op, reduction->after);
}

static void bucket_close(struct stage *stage, struct part *part, bool is_experts)
{
    uint64_t *parameters = is_experts ? &part->bucket_experts : &part->bucket_dense;
    if (has_group(stage, is_experts ? SLOT_EXPERT_DP : SLOT_DP) && *parameters > 0) {
        struct reduction reduction = {.op = ID_NONE,
                                      .chunk = part->chunk,
                                      .parameters = *parameters,
                                      .is_experts = is_experts,
                                      .after = stage->chain->last};
        if (stage_plan(stage)->schedule != SCHEDULE_DUALPIPE) {
            reduction_add(stage, &reduction, stage->reduction_count);
        }
        vec_push(stage->arena, stage->reductions, stage->reduction_count, stage->reduction_capacity) = reduction;
    }
    *parameters = 0;
}

/* Gradients add up over the micro-batches, unless every micro-batch's are shared out. */
static bool is_reduced(const struct stage *stage)
{
    const struct transformer_plan *plan = stage_plan(stage);
    uint64_t last = plan->micro_batches - 1, half = plan->micro_batches / 2;
    bool is_last = stage->micro_batch == last || (plan->schedule == SCHEDULE_DUALPIPE && stage->micro_batch + 1 == half);
    return is_last || plan->zero == 2 || (plan->zero == 3 && plan->is_resharded);
}

void gradients_ready(struct stage *stage, struct part *part, uint64_t dense, uint64_t experts)
{
    if (!is_reduced(stage)) {
        return;
    }
    part->bucket_dense += dense;
    part->bucket_experts += experts;
    if (part->bucket_dense >= stage_plan(stage)->bucket) {
        bucket_close(stage, part, false);
    }
    if (part->bucket_experts >= stage_plan(stage)->bucket) {
        bucket_close(stage, part, true);
    }
}

void gradients_flush(struct stage *stage, struct part *part)
{
    if (is_reduced(stage)) {
        bucket_close(stage, part, false);
        bucket_close(stage, part, true);
    }
}

static int chunk_compare(const void *a, const void *b)
{
    const struct reduction *x = a, *y = b;
    if (x->chunk != y->chunk) {
        return x->chunk < y->chunk ? -1 : 1;
    }
    if (x->after != y->after) {
        return x->after < y->after ? -1 : 1;
    }
    return (int)x->is_experts - (int)y->is_experts;
}

static void reductions_finish(struct stage *stage)
{
    if (stage_plan(stage)->schedule == SCHEDULE_DUALPIPE && stage->reduction_count > 0) {
        qsort(stage->reductions, stage->reduction_count, sizeof *stage->reductions, chunk_compare);
        for (size_t i = 0; i < stage->reduction_count; i++) {
            reduction_add(stage, &stage->reductions[i], i);
        }
    }
    for (size_t i = 0; i < stage->reduction_count; i++) {
        pending_add(stage, stage->reductions[i].op);
    }
}

/* ---- optimizer
 * ---------------------------------------------------------------------------------------------- */

/* Tied tables: the first and the last stage add their gradients once both are reduced. */
static void embedding_reduce(struct stage *stage)
{
    uint64_t bytes = rank_table_parameters(stage->layout) * precision_bytes(stage_plan(stage)->gradients);
    uint32_t id = op_add(stage, collective_op(stage, SLOT_EMBEDDING, COLLECTIVE_ALL_REDUCE, bytes),
                         "embedding.all_reduce");
    op_follow(stage, id);
    pending_add(stage, id);
}

struct held {
    uint64_t dense, experts;
};

/* What the stage's ranks hold of the model. */
static struct held parameters_held(const struct stage *stage)
{
    const struct layout *layout = stage->layout;
    struct held held = {0};
    uint64_t tables = 0;
    for (uint32_t i = 0; i < stage->part_count; i++) {
        const struct part *part = &stage->parts[i];
        bool is_last = part->chunk + 1 == layout->chunks;
        tables += (uint64_t)(part->chunk == 0) + (uint64_t)is_last;
        held.dense += is_last ? layout->shape->hidden : 0;
        for (uint64_t layer = 0; layer < part->layer_count; layer++) {
            held.dense += rank_layer_parameters(layout, part->first_layer + layer);
            held.experts += rank_expert_parameters(layout, part->first_layer + layer);
        }
    }
    tables = layout->shape->has_tied_embedding && tables > 1 ? 1 : tables;
    held.dense += tables * rank_table_parameters(layout);
    return held;
}

/* Parameters that have been stepped are gathered where ranks hold them whole between steps. */
static void parameters_gather(struct stage *stage)
{
    for (size_t i = 0; i < stage->reduction_count; i++) {
        uint32_t id = gather_add(stage, stage->reductions[i].parameters, stage->reductions[i].is_experts, "parameters", i);
        job_builder_dep(stage->builder, id, stage->chain->last);
    }
}

/* ZeRO 2 reduces every micro-batch, but the parameters are gathered once: those of the last one stand for all. */
static void reductions_keep_last(struct stage *stage)
{
    size_t per_step = stage->reduction_count / stage_plan(stage)->micro_batches;
    if (stage_plan(stage)->zero == 2) {
        stage->reductions += stage->reduction_count - per_step;
        stage->reduction_count = per_step;
    }
}

void optimizer_step(struct stage *stage)
{
    const struct layout *layout = stage->layout;
    reductions_finish(stage);
    if (has_group(stage, SLOT_EMBEDDING)) {
        embedding_reduce(stage);
    }
    struct held held = parameters_held(stage);
    double replicas = (double)layout->full_dp / (double)layout->plan->dp;
    bool is_shared = is_sharing(stage, 1);
    double dense_parts = is_shared ? replicas * (double)members(stage, false) : 1.0;
    double expert_parts = is_shared ? replicas * (double)members(stage, true) : 1.0;
    struct op op = {.kind = OP_COMPUTE,
                    .stream = STREAM_COMPUTE,
                    .duration_ps = shrunk(layout, optimizer_ps(layout, (double)held.dense / dense_parts +
                                                                           (double)held.experts / expert_parts))};
    uint32_t id = op_add(stage, op, "optimizer");
    op_follow(stage, id);
    stage->chain->last = id;
    stage->chain->count = 0;
    if (is_shared && !is_sharing(stage, 3)) {
        reductions_keep_last(stage);
        parameters_gather(stage);
    }
}
