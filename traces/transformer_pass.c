/* Forward and backward passes of chunks of layers, in the order of the schedule. */
#include "traces/transformer_int.h"

/* One pass, cut into segments: begin, LAYER_SEGMENTS a layer, end. */
struct pass {
    struct part *part;
    uint32_t part_id, micro_batch, next;
    bool is_forward, is_split;
};

static bool is_first(const struct part *part)
{
    return part->chunk == 0;
}

static bool is_last(const struct stage *stage, const struct part *part)
{
    return part->chunk + 1 == stage->layout->chunks;
}

/* ---- between stages
 * ------------------------------------------------------------------------------------------ */

enum tag { TAG_FORWARD, TAG_BACKWARD, TAG_COUNT };

/* Into, or out of, the chunk: messages of different boundaries and directions never mix. */
static uint32_t boundary_tag(const struct stage *stage, const struct pass *pass, enum tag tag, uint32_t lower_chunk)
{
    uint32_t direction = stage_plan(stage)->schedule == SCHEDULE_DUALPIPE ? pass->part_id : 0;
    return (direction * stage->layout->chunks + lower_chunk) * TAG_COUNT + tag;
}

static void boundary_cross(struct stage *stage, const struct pass *pass, enum op_kind kind, bool is_up,
                           const char *what)
{
    const struct transformer_plan *plan = stage_plan(stage);
    uint32_t chunk = pass->part->chunk, other = is_up ? chunk + 1 : chunk - 1;
    uint32_t peer = layout_rank(stage->layout, stage->q, pipeline_stage(plan, pass->part_id, other));
    enum tag tag = pass->is_forward ? TAG_FORWARD : TAG_BACKWARD;
    uint64_t parts = plan->has_sequence_parallel ? plan->tp : 1;
    uint64_t bytes = layout_tokens(stage->layout) * stage->layout->shape->hidden * precision_bytes(plan->activations);
    message_add(stage, kind, peer, boundary_tag(stage, pass, tag, is_up ? chunk : other), bytes / parts, what);
}

/* ---- segments
 * ----------------------------------------------------------------------------------------------- */

/* The vocabulary's gradients and the last norm's. One tied table on both ends is counted at the first. */
static uint64_t output_parameters(const struct stage *stage, const struct part *part)
{
    bool is_counted = !stage->layout->shape->has_tied_embedding || !is_first(part);
    return (is_counted ? rank_table_parameters(stage->layout) : 0) + stage->layout->shape->hidden;
}

/* Output layer and loss. The three reductions: maximum, the target's logit, sum of exponentials. */
static void loss_forward(struct stage *stage)
{
    activations_gather(stage, "logits.fwd");
    compute_add(stage, "logits.fwd", stage->times->logits_forward);
    uint64_t bytes = layout_tokens(stage->layout) * (uint64_t)LOSS_BYTES;
    collective_add(stage, SLOT_TP, COLLECTIVE_ALL_REDUCE, bytes, "loss.max");
    collective_add(stage, SLOT_TP, COLLECTIVE_ALL_REDUCE, bytes, "loss.target");
    collective_add(stage, SLOT_TP, COLLECTIVE_ALL_REDUCE, bytes, "loss.sum");
}

static void forward_begin(struct stage *stage, const struct pass *pass)
{
    if (is_first(pass->part)) {
        table_need(stage, pass->part, rank_table_parameters(stage->layout));
        compute_add(stage, "embedding.fwd", stage->times->embedding_forward);
        activations_sum(stage, "embedding.fwd");
    } else {
        boundary_cross(stage, pass, OP_RECV, false, "stage.fwd.recv");
    }
}

static void forward_end(struct stage *stage, const struct pass *pass)
{
    if (is_last(stage, pass->part)) {
        table_need(stage, pass->part, output_parameters(stage, pass->part));
        loss_forward(stage);
    } else {
        boundary_cross(stage, pass, OP_SEND, true, "stage.fwd.send");
    }
    parameters_release(stage, pass->part);
}

static void backward_begin(struct stage *stage, const struct pass *pass)
{
    if (is_last(stage, pass->part)) {
        table_need(stage, pass->part, output_parameters(stage, pass->part));
        logits_backward(stage, pass->is_split);
        if (!pass->is_split) {
            gradients_ready(stage, pass->part, output_parameters(stage, pass->part), 0);
        }
    } else {
        boundary_cross(stage, pass, OP_RECV, true, "stage.bwd.recv");
    }
}

static void backward_end(struct stage *stage, const struct pass *pass)
{
    if (is_first(pass->part)) {
        activations_gather(stage, "embedding.bwd");
        compute_add(stage, "embedding.bwd", stage->times->embedding_backward);
        if (!pass->is_split) {
            gradients_ready(stage, pass->part, rank_table_parameters(stage->layout), 0);
        }
    } else {
        boundary_cross(stage, pass, OP_SEND, false, "stage.bwd.send");
    }
    if (!pass->is_split) {
        gradients_flush(stage, pass->part);
    }
    parameters_release(stage, pass->part);
}

static void layer_ready(struct stage *stage, struct part *part, uint64_t layer)
{
    gradients_ready(stage, part, rank_layer_parameters(stage->layout, layer),
                    rank_expert_parameters(stage->layout, layer));
}

static void forward_segment(struct stage *stage, const struct pass *pass, uint32_t at)
{
    uint64_t layer = pass->part->first_layer + at / LAYER_SEGMENTS;
    if (at % LAYER_SEGMENTS == 0) {
        parameters_need(stage, pass->part, layer, 1);
    }
    layer_forward(stage, layer, at % LAYER_SEGMENTS);
}

static void backward_segment(struct stage *stage, const struct pass *pass, uint32_t at)
{
    struct part *part = pass->part;
    uint64_t layer = part->first_layer + part->layer_count - 1 - at / LAYER_SEGMENTS;
    uint32_t segment = at % LAYER_SEGMENTS;
    if (segment == 0) {
        parameters_need(stage, part, layer, -1);
    }
    for (uint32_t i = 0; i < LAYER_SEGMENTS && segment == 0 && stage_plan(stage)->recompute == RECOMPUTE_FULL; i++) {
        layer_forward(stage, layer, i);
    }
    layer_backward(stage, layer, segment, pass->is_split);
    if (segment == LAYER_SEGMENTS - 1 && !pass->is_split) {
        layer_ready(stage, part, layer);
    }
}

/* The next segment; false where there is none left. */
static bool pass_step(struct stage *stage, struct pass *pass)
{
    uint32_t last = (uint32_t)pass->part->layer_count * LAYER_SEGMENTS + 1, at = pass->next++;
    stage->micro_batch = pass->micro_batch;
    if (at > last) {
        return false;
    }
    if (at == 0) {
        pass->is_forward ? forward_begin(stage, pass) : backward_begin(stage, pass);
    } else if (at == last) {
        pass->is_forward ? forward_end(stage, pass) : backward_end(stage, pass);
    } else if (pass->is_forward) {
        forward_segment(stage, pass, at - 1);
    } else {
        backward_segment(stage, pass, at - 1);
    }
    return true;
}

/* ---- actions
 * ------------------------------------------------------------------------------------------------ */

static struct pass pass_of(struct stage *stage, uint32_t part, uint32_t micro_batch, bool is_forward, bool is_split)
{
    return (struct pass){.part = &stage->parts[part],
                         .part_id = part,
                         .micro_batch = micro_batch,
                         .is_forward = is_forward,
                         .is_split = is_split};
}

/* Both passes at once: segments take turns, each pass waits for itself only, and the stream of computations takes
 * what is ready. */
static void passes_together(struct stage *stage, struct pass *back, struct pass *forth)
{
    struct chain back_chain = {0}, forth_chain = {0};
    chain_fork(stage, &stage->main, &back_chain);
    chain_fork(stage, &stage->main, &forth_chain);
    bool is_back_left = true, is_forth_left = true;
    while (is_back_left || is_forth_left) {
        stage->chain = &back_chain;
        is_back_left = is_back_left && pass_step(stage, back);
        stage->chain = &forth_chain;
        is_forth_left = is_forth_left && pass_step(stage, forth);
    }
    stage->chain = &stage->main;
    stage->main.last = back_chain.last;
    stage->main.count = 0;
    chain_join(stage, &forth_chain);
    chain_join(stage, &(struct chain){.last = ID_NONE, .pending = back_chain.pending, .count = back_chain.count});
}

/* Weight gradients that were put off, oldest first. */
static void weights_add(struct stage *stage)
{
    assert(stage->put_off_next < stage->put_off_count);
    struct put_off put_off = stage->put_off[stage->put_off_next++];
    struct part *part = &stage->parts[put_off.part];
    stage->micro_batch = put_off.micro_batch;
    if (is_last(stage, part)) {
        logits_weights(stage);
        gradients_ready(stage, part, output_parameters(stage, part), 0);
    }
    for (uint64_t i = part->layer_count; i-- > 0;) {
        layer_weights(stage, part->first_layer + i);
        layer_ready(stage, part, part->first_layer + i);
    }
    if (is_first(part)) {
        gradients_ready(stage, part, rank_table_parameters(stage->layout), 0);
    }
    gradients_flush(stage, part);
}

static void action_add(struct stage *stage, const struct action *action)
{
    bool is_forward = action->kind == ACTION_FORWARD, is_split = action->kind == ACTION_BACKWARD_INPUT;
    struct pass pass = pass_of(stage, action->part, action->micro_batch, is_forward, is_split);
    if (action->kind == ACTION_WEIGHTS) {
        weights_add(stage);
        return;
    }
    if (action->kind == ACTION_FORWARD_BACKWARD) {
        struct pass back = pass_of(stage, action->back_part, action->back_micro_batch, false, false);
        pass.is_forward = true;
        passes_together(stage, &back, &pass);
        return;
    }
    while (pass_step(stage, &pass)) {
    }
    if (is_split) {
        vec_push(stage->arena, stage->put_off, stage->put_off_count, stage->put_off_capacity) =
            (struct put_off){action->part, action->micro_batch};
    }
}

void stage_program(struct stage *stage)
{
    struct actions actions;
    stage->chain = &stage->main;
    stage->main.last = ID_NONE;
    parts_fill(stage);
    pipeline_actions(stage_plan(stage), stage->index, stage->arena, &actions);
    for (size_t i = 0; i < actions.count; i++) {
        action_add(stage, &actions.items[i]);
    }
    optimizer_step(stage);
}
