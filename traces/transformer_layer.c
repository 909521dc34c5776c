/* One layer, forward and backward, in segments, so that two passes can take turns. */
#include "traces/transformer_int.h"

#include <stdio.h>

struct name {
    char text[64];
};

static const char *layer_name(struct name *name, uint64_t layer, const char *what)
{
    snprintf(name->text, sizeof name->text, "layer%u.%s", (unsigned)layer, what);
    return name->text;
}

/* ---- tensor parallelism
 * -------------------------------------------------------------------------------------- */

/* T h B: the activations of a micro-batch between two blocks. */
static uint64_t activation_bytes(const struct stage *stage)
{
    return layout_tokens(stage->layout) * stage->layout->shape->hidden *
           precision_bytes(stage_plan(stage)->activations);
}

void activations_gather(struct stage *stage, const char *what)
{
    if (stage_plan(stage)->has_sequence_parallel) {
        collective_add(stage, SLOT_TP, COLLECTIVE_ALL_GATHER, activation_bytes(stage) / stage_plan(stage)->tp, what);
    }
}

static enum collective_kind sum_kind(const struct stage *stage)
{
    return stage_plan(stage)->has_sequence_parallel ? COLLECTIVE_REDUCE_SCATTER : COLLECTIVE_ALL_REDUCE;
}

void activations_sum(struct stage *stage, const char *what)
{
    collective_add(stage, SLOT_TP, sum_kind(stage), activation_bytes(stage), what);
}

/* With a cut sequence the weights need the block's whole input, gathered behind the output's gradient. */
static uint32_t input_gather_again(struct stage *stage, const char *what)
{
    if (!stage_plan(stage)->has_sequence_parallel || !has_group(stage, SLOT_TP)) {
        return ID_NONE;
    }
    uint64_t bytes = activation_bytes(stage) / stage_plan(stage)->tp;
    uint32_t id = op_add(stage, collective_op(stage, SLOT_TP, COLLECTIVE_ALL_GATHER, bytes), "%s.again.all_gather mb%u",
                         what, (unsigned)stage->micro_batch);
    op_follow(stage, id);
    return id;
}

/* The sum follows the computation that was added last. */
static void sum_and_weights(struct stage *stage, const char *what, uint32_t again, uint64_t weights_ps)
{
    char weights[96];
    uint32_t sum = ID_NONE;
    if (has_group(stage, SLOT_TP)) {
        sum = op_add(stage, collective_op(stage, SLOT_TP, sum_kind(stage), activation_bytes(stage)), "%s.%s mb%u", what,
                     collective_name(sum_kind(stage)), (unsigned)stage->micro_batch);
        op_follow(stage, sum);
    }
    if (again != ID_NONE) {
        pending_add(stage, again);
    }
    if (weights_ps > 0) {
        snprintf(weights, sizeof weights, "%s.weights", what);
        compute_add(stage, weights, weights_ps);
    }
    if (sum != ID_NONE) {
        pending_add(stage, sum);
    }
}

/* A block's way back: the gradient of its input is summed while the weight gradient of its first matrices is
 * computed. Split, only the input's gradient is. */
static void block_backward(struct stage *stage, const char *what, uint64_t input_ps, uint64_t weights_out_ps,
                           uint64_t weights_in_ps, bool is_split)
{
    uint32_t again = is_split ? ID_NONE : input_gather_again(stage, what);
    compute_add(stage, what, input_ps + (is_split ? 0 : weights_out_ps));
    sum_and_weights(stage, what, again, is_split ? 0 : weights_in_ps);
}

/* Of the output layer, whose own output, the loss, is not cut. */
void logits_backward(struct stage *stage, bool is_split)
{
    const struct times *times = stage->times;
    block_backward(stage, "logits.bwd", times->logits_backward, 0, times->logits_weights, is_split);
}

void logits_weights(struct stage *stage)
{
    uint32_t again = input_gather_again(stage, "logits.weights");
    if (again != ID_NONE) {
        pending_add(stage, again);
    }
    compute_add(stage, "logits.weights", stage->times->logits_weights);
}

/* ---- context parallelism
 * ------------------------------------------------------------------------------------- */

/* Keys and values of a rank's tokens. */
static uint64_t context_bytes(const struct stage *stage)
{
    const struct transformer_shape *shape = stage->layout->shape;
    uint64_t width = shape->kv_rank > 0 ? shape->kv_rank + shape->rope_dim
                                        : 2 * shape->kv_heads * shape->head_dim / stage_plan(stage)->tp;
    return layout_tokens(stage->layout) * width * precision_bytes(stage_plan(stage)->activations);
}

static uint32_t ring_neighbour(const struct stage *stage, uint32_t steps_up)
{
    uint32_t tp = (uint32_t)stage_plan(stage)->tp, cp = (uint32_t)stage_plan(stage)->cp;
    uint32_t at = stage->q / tp % cp, to = (at + steps_up) % cp;
    return layout_rank(stage->layout, stage->q - at * tp + to * tp, stage->index);
}

#define TAG_RING 0x40000000u /* above those of the pipeline */

/* One exchange with the neighbours; returns the receive. */
static uint32_t ring_exchange(struct stage *stage, const char *what, uint32_t after, uint32_t received)
{
    uint32_t cp = (uint32_t)stage_plan(stage)->cp;
    struct op op = {.kind = OP_SEND,
                    .stream = STREAM_NONE,
                    .tag = TAG_RING,
                    .peer = ring_neighbour(stage, 1),
                    .bytes = shrunk(stage->layout, context_bytes(stage))};
    uint32_t send = op_add(stage, op, "%s.send mb%u", what, (unsigned)stage->micro_batch);
    if (after != ID_NONE) {
        job_builder_dep(stage->builder, send, after);
    }
    if (received != ID_NONE) {
        job_builder_dep(stage->builder, send, received);
    }
    op.kind = OP_RECV;
    op.peer = ring_neighbour(stage, cp - 1);
    return op_add(stage, op, "%s.recv mb%u", what, (unsigned)stage->micro_batch);
}

/* Scores part by part: while one is computed the next one's keys and values come in. Backward, the gradients of keys
 * and values go round behind the scores, once all the way home. */
static void ring_core(struct stage *stage, const char *what, uint64_t core_ps, bool is_backward)
{
    uint64_t parts = stage_plan(stage)->cp;
    uint32_t keys = ID_NONE, gradients = ID_NONE, before = stage->chain->last;
    for (uint64_t i = 0; i < parts; i++) {
        if (keys != ID_NONE) {
            pending_add(stage, keys);
        }
        if (i + 1 < parts) {
            keys = ring_exchange(stage, what, before, keys);
        }
        uint32_t part = compute_add(stage, what, core_ps / parts + (i < core_ps % parts));
        if (is_backward) {
            gradients = ring_exchange(stage, what, part, gradients);
        }
    }
    if (gradients != ID_NONE) {
        pending_add(stage, gradients);
    }
}

/* ---- attention
 * ---------------------------------------------------------------------------------------------- */

static bool is_ring(const struct stage *stage)
{
    return stage_plan(stage)->context_exchange == CONTEXT_RING;
}

static void attention_forward(struct stage *stage, uint64_t layer)
{
    struct name name, core;
    const struct times *times = stage->times;
    layer_name(&name, layer, "attn.fwd");
    activations_gather(stage, name.text);
    if (stage_plan(stage)->cp == 1) {
        compute_add(stage, name.text, times->attention_in + times->attention_core);
    } else {
        layer_name(&core, layer, "attn.core.fwd");
        compute_add(stage, name.text, times->attention_in);
        if (is_ring(stage)) {
            ring_core(stage, core.text, times->attention_core, false);
        } else {
            collective_add(stage, SLOT_CP, COLLECTIVE_ALL_GATHER, context_bytes(stage), core.text);
            compute_add(stage, core.text, times->attention_core);
        }
    }
    activations_sum(stage, name.text);
}

static void attention_backward(struct stage *stage, uint64_t layer, bool is_split)
{
    struct name name, core;
    const struct times *times = stage->times;
    layer_name(&name, layer, "attn.bwd");
    activations_gather(stage, name.text);
    if (stage_plan(stage)->cp == 1) {
        block_backward(stage, name.text, times->attention_back_core + times->attention_back_in,
                       times->attention_weights_out, times->attention_weights_in, is_split);
        return;
    }
    layer_name(&core, layer, "attn.core.bwd");
    uint64_t core_ps = times->attention_back_core + (is_split ? 0 : times->attention_weights_out);
    if (is_ring(stage)) {
        ring_core(stage, core.text, core_ps, true);
    } else {
        compute_add(stage, core.text, core_ps);
        collective_add(stage, SLOT_CP, COLLECTIVE_REDUCE_SCATTER, context_bytes(stage) * stage_plan(stage)->cp,
                       core.text);
    }
    block_backward(stage, name.text, times->attention_back_in, 0, times->attention_weights_in, is_split);
}

/* ---- experts
 * ------------------------------------------------------------------------------------------------ */

/* Copies of tokens that a rank sends to experts. */
static uint64_t copies(const struct stage *stage)
{
    return layout_tokens(stage->layout) / stage_plan(stage)->tp * stage->layout->shape->top_k;
}

static void exchange_add(struct stage *stage, uint64_t layer, bool is_dispatch, const char *what)
{
    if (!has_group(stage, SLOT_EP)) {
        return;
    }
    uint32_t precision = is_dispatch ? stage_plan(stage)->dispatch : stage_plan(stage)->combine;
    uint64_t bytes = copies(stage) * stage->layout->shape->hidden * precision_bytes(precision);
    struct op op = collective_op(stage, SLOT_EP, COLLECTIVE_ALL_TO_ALL, bytes);
    const struct routing_table *table = routing_find(stage->routing, layer, stage->micro_batch);
    if (table != NULL) {
        op.pairs = is_dispatch ? table->dispatch : table->combine;
    }
    uint32_t id = op_add(stage, op, "%s.all_to_all mb%u", what, (unsigned)stage->micro_batch);
    op_follow(stage, id);
    stage->chain->count = 0;
    pending_add(stage, id);
}

/* What the rank's experts have to do in this layer and micro-batch. */
static struct expert_times expert_load(const struct stage *stage, uint64_t layer)
{
    uint64_t members = stage_plan(stage)->ep, self = stage->q % members, tokens = copies(stage);
    const struct routing_table *table = routing_find(stage->routing, layer, stage->micro_batch);
    if (table != NULL && stage_plan(stage)->expert_compute == EXPERT_COMPUTE_OWN) {
        tokens = 0;
        for (uint64_t from = 0; from < members; from++) {
            tokens += table->tokens[from * members + self];
        }
    }
    return expert_times(stage->layout, tokens);
}

/* The exchange, and beside it what the shared expert does. */
static void exchange_beside_shared(struct stage *stage, uint64_t layer, const char *what, const char *shared,
                                   uint64_t shared_ps)
{
    struct name name;
    struct chain before = {0};
    chain_fork(stage, stage->chain, &before);
    exchange_add(stage, layer, true, layer_name(&name, layer, what));
    if (shared_ps > 0) {
        struct chain exchanged = *stage->chain;
        *stage->chain = before;
        compute_add(stage, layer_name(&name, layer, shared), shared_ps);
        if (has_group(stage, SLOT_EP)) {
            chain_join(stage, &(struct chain){.last = ID_NONE, .pending = exchanged.pending, .count = exchanged.count});
        }
    }
}

static void experts_forward(struct stage *stage, uint64_t layer, bool is_first_half)
{
    struct name name;
    if (is_first_half) {
        compute_add(stage, layer_name(&name, layer, "router.fwd"), stage->times->router_forward);
        exchange_beside_shared(stage, layer, "dispatch.fwd", "shared.fwd", stage->times->shared_forward);
        return;
    }
    compute_add(stage, layer_name(&name, layer, "experts.fwd"), expert_load(stage, layer).forward);
    exchange_add(stage, layer, false, layer_name(&name, layer, "combine.fwd"));
}

/* Gradients take the way of the tokens: to the experts and back. */
static void experts_backward(struct stage *stage, uint64_t layer, bool is_first_half, bool is_split)
{
    struct name name;
    const struct times *times = stage->times;
    if (is_first_half) {
        exchange_beside_shared(stage, layer, "dispatch.bwd", "shared.bwd",
                               times->shared_backward + (is_split ? 0 : times->shared_weights));
        return;
    }
    struct expert_times load = expert_load(stage, layer);
    compute_add(stage, layer_name(&name, layer, "experts.bwd"), load.backward);
    exchange_add(stage, layer, false, layer_name(&name, layer, "combine.bwd"));
    if (!is_split) { /* while the gradients travel */
        struct chain exchanged = {0};
        chain_fork(stage, stage->chain, &exchanged);
        stage->chain->count = 0;
        compute_add(stage, layer_name(&name, layer, "experts.bwd.weights"), load.weights);
        for (size_t i = 0; i < exchanged.count; i++) {
            pending_add(stage, exchanged.pending[i]);
        }
    }
    compute_add(stage, layer_name(&name, layer, "router.bwd"), times->router_backward);
}

/* ---- layers
 * ------------------------------------------------------------------------------------------------- */

static void mlp_forward(struct stage *stage, uint64_t layer)
{
    struct name name;
    layer_name(&name, layer, "mlp.fwd");
    activations_gather(stage, name.text);
    compute_add(stage, name.text, stage->times->mlp_forward);
    activations_sum(stage, name.text);
}

static void mlp_backward(struct stage *stage, uint64_t layer, bool is_split)
{
    struct name name;
    layer_name(&name, layer, "mlp.bwd");
    activations_gather(stage, name.text);
    block_backward(stage, name.text, stage->times->mlp_backward, stage->times->mlp_weights_out,
                   stage->times->mlp_weights_in, is_split);
}

void layer_forward(struct stage *stage, uint64_t layer, uint32_t segment)
{
    bool is_dense = layer_is_dense(stage->layout, layer);
    if (segment == 0) {
        attention_forward(stage, layer);
    } else if (!is_dense) {
        experts_forward(stage, layer, segment == 1);
    } else if (segment == 1) {
        mlp_forward(stage, layer);
    }
}

void layer_backward(struct stage *stage, uint64_t layer, uint32_t segment, bool is_split)
{
    bool is_dense = layer_is_dense(stage->layout, layer);
    if (segment == LAYER_SEGMENTS - 1) {
        attention_backward(stage, layer, is_split);
    } else if (!is_dense) {
        experts_backward(stage, layer, segment == 0, is_split);
    } else if (segment == 0) {
        mlp_backward(stage, layer, is_split);
    }
}

void layer_weights(struct stage *stage, uint64_t layer)
{
    struct name name;
    const struct times *times = stage->times;
    bool is_dense = layer_is_dense(stage->layout, layer);
    uint64_t mlp = is_dense ? times->mlp_weights_in + times->mlp_weights_out
                            : times->shared_weights + expert_load(stage, layer).weights;
    layer_name(&name, layer, "mlp.weights");
    uint32_t again = is_dense ? input_gather_again(stage, name.text) : ID_NONE;
    if (again != ID_NONE) {
        pending_add(stage, again);
    }
    compute_add(stage, name.text, mlp);
    layer_name(&name, layer, "attn.weights");
    again = input_gather_again(stage, name.text);
    if (again != ID_NONE) {
        pending_add(stage, again);
    }
    compute_add(stage, name.text, times->attention_weights_in + times->attention_weights_out);
}
