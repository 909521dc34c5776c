/* Training steps of dense transformers; what is laid out how stands in transformer.h.
 *
 * Scope: one optimizer step, forward and backward with tensor, pipeline (1F1B) and data parallelism.
 * Not modelled: activation recomputation, interleaved stages, context and expert parallelism, the reduction
 * of the gradient norm (4 bytes), dropout, data loading, overlap of tensor-parallel collectives with forward
 * kernels. Sends never hold up their sender's compute. Checked against: the closed forms of transformer.h and
 * the published parameter count, tests/test_generate.c. */
#include "traces/transformer.h"

#include <stdarg.h>
#include <stdio.h>

#define ELEMENT_BYTES 2.0 /* BF16 weights and activations */
#define LOSS_BYTES    4.0 /* FP32 logits and losses */

/* A fused attention kernel computes the scores again on its way back: 2.5 times the forward products (Dao
 * 2023, FlashAttention-2, section 4.1). */
#define ATTENTION_BACKWARD 2.5

/* Adam on FP32 master weights: read and write weight, momentum and variance (24), read the gradient (4),
 * write the BF16 weight (2). */
#define OPTIMIZER_BYTES 30.0

enum slot { SLOT_TP, SLOT_DP, SLOT_EMBEDDING, SLOT_COUNT };
enum tag { TAG_FORWARD, TAG_BACKWARD };

/* What one rank computes for one micro-batch, in ps: constant over layers and micro-batches. */
struct times {
    uint64_t attention_forward, attention_backward, attention_weights;
    uint64_t mlp_forward, mlp_backward, mlp_weights;
    uint64_t embedding_forward, embedding_backward;
    uint64_t logits_forward, logits_backward, logits_weights;
};

/* One stage's program while it is written. */
struct stage {
    struct job_builder *builder;
    const struct transformer_shape *shape;
    const struct transformer_plan *plan;
    const struct gpu_row *gpu;
    struct arena *arena;
    struct times times;
    uint32_t rank, index;      /* the stage's first rank, its place in the pipeline */
    uint32_t slot[SLOT_COUNT]; /* ID_NONE where the group has one member */
    uint32_t compute_last;     /* the compute stream runs in the order of the program */
    uint32_t *pending;         /* what the next compute waits for besides */
    size_t pending_count, pending_capacity;
    uint64_t micro_batch, op_count;

    /* gradients of the last micro-batch */
    uint64_t bucket_parameters, buckets;
    uint32_t *reductions; /* collectives that the optimizer waits for */
    uint64_t *bucket_sizes;
    size_t reduction_count, reduction_capacity, size_count, size_capacity;
};

/* ---- sizes
 * -------------------------------------------------------------------------------------------------- */

static uint64_t layer_parameters(const struct transformer_shape *shape)
{
    uint64_t heads = shape->heads * shape->head_dim, kv = shape->kv_heads * shape->head_dim;
    uint64_t attention = shape->hidden * (heads + 2 * kv) + heads * shape->hidden;
    return attention + shape->ffn_matrices * shape->hidden * shape->ffn + 2 * shape->hidden;
}

uint64_t transformer_parameters(const struct transformer_shape *shape)
{
    uint64_t tables = shape->has_tied_embedding ? 1 : 2;
    return shape->layers * layer_parameters(shape) + tables * shape->vocabulary * shape->hidden +
           shape->hidden;
}

/* Norms are small and kept whole on every tensor-parallel rank; all matrices are cut. */
static uint64_t layer_parameters_of_rank(const struct stage *stage)
{
    uint64_t norms = 2 * stage->shape->hidden;
    return (layer_parameters(stage->shape) - norms) / stage->plan->tp + norms;
}

static uint64_t table_parameters_of_rank(const struct stage *stage)
{
    return stage->shape->vocabulary * stage->shape->hidden / stage->plan->tp;
}

static bool is_first(const struct stage *stage)
{
    return stage->index == 0;
}

static bool is_last(const struct stage *stage)
{
    return stage->index + 1 == stage->plan->pp;
}

static uint64_t tokens_of(const struct transformer_plan *plan)
{
    return plan->micro_batch_size * plan->sequence;
}

/* b s h B: the activations of a micro-batch between two blocks. */
static uint64_t activation_bytes(const struct stage *stage)
{
    return tokens_of(stage->plan) * stage->shape->hidden * (uint64_t)ELEMENT_BYTES;
}

static uint64_t shrunk(const struct stage *stage, uint64_t amount)
{
    return (amount + stage->plan->shrink - 1) / stage->plan->shrink;
}

/* ---- compute times
 * ------------------------------------------------------------------------------------------- */

/* A product of [tokens, in] and [in, out], all in BF16. */
static uint64_t product_ps(const struct gpu_row *gpu, double tokens, double in, double out)
{
    return roofline_ps(gpu, 2.0 * tokens * in * out, ELEMENT_BYTES * (in * out + tokens * (in + out)));
}

static uint64_t stream_ps(const struct gpu_row *gpu, double bytes)
{
    return roofline_ps(gpu, 0.0, bytes);
}

/* Norm (read, write) and residual (read twice, write) pass over the activations, cut where the sequence is.
 */
static double norm_bytes(const struct transformer_shape *shape, const struct transformer_plan *plan)
{
    double parts = plan->has_sequence_parallel ? (double)plan->tp : 1.0;
    return 5.0 * (double)tokens_of(plan) * (double)shape->hidden * ELEMENT_BYTES / parts;
}

static void attention_times(const struct transformer_shape *shape, const struct transformer_plan *plan,
                            const struct gpu_row *gpu, struct times *times)
{
    double tokens = (double)tokens_of(plan), tp = (double)plan->tp, hidden = (double)shape->hidden;
    double queries = (double)(shape->heads * shape->head_dim) / tp;
    double keys = (double)(shape->kv_heads * shape->head_dim) / tp;
    uint64_t inputs = product_ps(gpu, tokens, hidden, queries + 2.0 * keys);
    uint64_t output = product_ps(gpu, tokens, queries, hidden);
    /* Two products of [s, d] and [d, s] a head; the causal half of them is computed. */
    double core_flops = 2.0 * tokens * (double)plan->sequence * queries;
    double core_bytes = ELEMENT_BYTES * tokens * 2.0 * (queries + keys);
    uint64_t rotary = stream_ps(gpu, 2.0 * tokens * (queries + keys) * ELEMENT_BYTES);
    uint64_t around = stream_ps(gpu, norm_bytes(shape, plan)) + rotary;
    times->attention_forward = inputs + output + roofline_ps(gpu, core_flops, core_bytes) + around;
    times->attention_weights = inputs;
    times->attention_backward = inputs + 2 * output + 2 * around +
                                roofline_ps(gpu, ATTENTION_BACKWARD * core_flops, 2.0 * core_bytes);
}

static void mlp_times(const struct transformer_shape *shape, const struct transformer_plan *plan,
                      const struct gpu_row *gpu, struct times *times)
{
    double tokens = (double)tokens_of(plan), hidden = (double)shape->hidden,
           ffn = (double)shape->ffn / (double)plan->tp;
    double inputs_count = (double)(shape->ffn_matrices - 1);
    uint64_t inputs = product_ps(gpu, tokens, hidden, inputs_count * ffn);
    uint64_t output = product_ps(gpu, tokens, ffn, hidden);
    uint64_t activation = stream_ps(gpu, (inputs_count + 1.0) * tokens * ffn * ELEMENT_BYTES);
    uint64_t around = stream_ps(gpu, norm_bytes(shape, plan)) + activation;
    times->mlp_forward = inputs + output + around;
    times->mlp_weights = inputs;
    times->mlp_backward = inputs + 2 * output + 2 * around;
}

static void vocabulary_times(const struct transformer_shape *shape, const struct transformer_plan *plan,
                             const struct gpu_row *gpu, struct times *times)
{
    double tokens = (double)tokens_of(plan), hidden = (double)shape->hidden;
    double words = (double)shape->vocabulary / (double)plan->tp;
    uint64_t logits = product_ps(gpu, tokens, hidden, words);
    uint64_t softmax = stream_ps(gpu, 3.0 * tokens * words * LOSS_BYTES); /* maximum, exponential, sum */
    times->embedding_forward = stream_ps(gpu, 2.0 * tokens * hidden * ELEMENT_BYTES);
    times->embedding_backward = stream_ps(gpu, 3.0 * tokens * hidden * ELEMENT_BYTES);
    times->logits_forward = logits + softmax;
    times->logits_weights = logits;
    times->logits_backward = logits + stream_ps(gpu, tokens * words * (LOSS_BYTES + ELEMENT_BYTES));
}

/* ---- operations
 * --------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static uint32_t op_add(struct stage *stage, struct op op,
                                                             const char *format, ...)
{
    char name[128];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    op.name = name;
    op.source_id = stage->op_count++;
    return job_builder_op(stage->builder, &op);
}

static void pending_add(struct stage *stage, uint32_t op)
{
    vec_push(stage->arena, stage->pending, stage->pending_count, stage->pending_capacity) = op;
}

/* `op` waits for the last compute and for what the next one would wait for. */
static void op_follow(struct stage *stage, uint32_t op)
{
    if (stage->compute_last != ID_NONE) {
        job_builder_dep(stage->builder, op, stage->compute_last);
    }
    for (size_t i = 0; i < stage->pending_count; i++) {
        job_builder_dep(stage->builder, op, stage->pending[i]);
    }
}

static uint32_t compute_add(struct stage *stage, const char *what, uint64_t duration_ps)
{
    struct op op = {.kind = OP_COMPUTE, .stream = STREAM_COMPUTE, .duration_ps = shrunk(stage, duration_ps)};
    uint32_t id = op_add(stage, op, "%s mb%u", what, (unsigned)stage->micro_batch);
    op_follow(stage, id);
    stage->compute_last = id;
    stage->pending_count = 0;
    return id;
}

static struct op collective_op(const struct stage *stage, enum slot slot, enum collective_kind kind,
                               uint64_t bytes)
{
    return (struct op){.kind = OP_COLLECTIVE,
                       .collective = kind,
                       .stream = STREAM_NONE,
                       .group_slot = stage->slot[slot],
                       .bytes = shrunk(stage, bytes)};
}

static bool has_group(const struct stage *stage, enum slot slot)
{
    return stage->slot[slot] != ID_NONE;
}

/* A collective of the tensor-parallel group that the next compute waits for. */
static void tensor_collective(struct stage *stage, enum collective_kind kind, uint64_t bytes,
                              const char *what)
{
    if (has_group(stage, SLOT_TP)) {
        uint32_t id = op_add(stage, collective_op(stage, SLOT_TP, kind, bytes), "%s.%s mb%u", what,
                             collective_name(kind), (unsigned)stage->micro_batch);
        op_follow(stage, id);
        stage->pending_count = 0;
        pending_add(stage, id);
    }
}

/* Whole activations from what the ranks hold: nothing to do unless the sequence is cut. */
static void activations_gather(struct stage *stage, const char *what)
{
    if (stage->plan->has_sequence_parallel) {
        tensor_collective(stage, COLLECTIVE_ALL_GATHER, activation_bytes(stage) / stage->plan->tp, what);
    }
}

/* Sums partial activations over the group, and cuts them again where the sequence is cut. */
static enum collective_kind sum_kind(const struct stage *stage)
{
    return stage->plan->has_sequence_parallel ? COLLECTIVE_REDUCE_SCATTER : COLLECTIVE_ALL_REDUCE;
}

static void activations_sum(struct stage *stage, const char *what)
{
    tensor_collective(stage, sum_kind(stage), activation_bytes(stage), what);
}

/* A block's way back: the gradient of its input is summed while the weight gradient of its first matrices is
 * computed. With a cut sequence that one needs the block's whole input, gathered behind the output's
 * gradient. */
static void block_backward(struct stage *stage, const char *what, uint64_t input_ps, uint64_t weights_ps,
                           bool has_cut_output)
{
    uint32_t again = ID_NONE, sum = ID_NONE;
    if (has_cut_output) {
        activations_gather(stage, what);
    }
    if (stage->plan->has_sequence_parallel && has_group(stage, SLOT_TP)) {
        uint64_t bytes = activation_bytes(stage) / stage->plan->tp;
        again = op_add(stage, collective_op(stage, SLOT_TP, COLLECTIVE_ALL_GATHER, bytes),
                       "%s.input.all_gather mb%u", what, (unsigned)stage->micro_batch);
        op_follow(stage, again);
    }
    uint32_t input = compute_add(stage, what, input_ps);
    if (has_group(stage, SLOT_TP)) {
        sum = op_add(stage, collective_op(stage, SLOT_TP, sum_kind(stage), activation_bytes(stage)),
                     "%s.%s mb%u", what, collective_name(sum_kind(stage)), (unsigned)stage->micro_batch);
        job_builder_dep(stage->builder, sum, input);
    }
    if (again != ID_NONE) {
        pending_add(stage, again);
    }
    char weights[64];
    snprintf(weights, sizeof weights, "%s.weights", what);
    compute_add(stage, weights, weights_ps);
    if (sum != ID_NONE) {
        pending_add(stage, sum);
    }
}

/* ---- pipeline
 * ----------------------------------------------------------------------------------------------- */

static struct op message_op(const struct stage *stage, enum op_kind kind, enum tag tag, int32_t stages_up)
{
    uint64_t parts = stage->plan->has_sequence_parallel ? stage->plan->tp : 1;
    int64_t distance = (int64_t)(stage->plan->tp * stage->plan->dp) * stages_up;
    return (struct op){.kind = kind,
                       .stream = STREAM_NONE,
                       .tag = tag,
                       .peer = (uint32_t)(stage->rank + distance),
                       .bytes = shrunk(stage, activation_bytes(stage) / parts)};
}

static void receive_add(struct stage *stage, enum tag tag, int32_t stages_up, const char *what)
{
    struct op op = message_op(stage, OP_RECV, tag, stages_up);
    pending_add(stage, op_add(stage, op, "%s.recv mb%u", what, (unsigned)stage->micro_batch));
}

static void send_add(struct stage *stage, enum tag tag, int32_t stages_up, const char *what)
{
    struct op op = message_op(stage, OP_SEND, tag, stages_up);
    op_follow(stage, op_add(stage, op, "%s.send mb%u", what, (unsigned)stage->micro_batch));
}

/* ---- gradients
 * ---------------------------------------------------------------------------------------------- */

static void bucket_reduce(struct stage *stage)
{
    const struct transformer_plan *plan = stage->plan;
    if (!has_group(stage, SLOT_DP) || stage->bucket_parameters == 0) {
        return;
    }
    enum collective_kind kind =
        plan->has_distributed_optimizer ? COLLECTIVE_REDUCE_SCATTER : COLLECTIVE_ALL_REDUCE;
    uint64_t bytes = stage->bucket_parameters * plan->gradient_bytes;
    uint32_t id = op_add(stage, collective_op(stage, SLOT_DP, kind, bytes), "gradients%u.%s",
                         (unsigned)stage->size_count, collective_name(kind));
    job_builder_dep(stage->builder, id, stage->compute_last);
    vec_push(stage->arena, stage->reductions, stage->reduction_count, stage->reduction_capacity) = id;
    vec_push(stage->arena, stage->bucket_sizes, stage->size_count, stage->size_capacity) =
        stage->bucket_parameters;
    stage->bucket_parameters = 0;
}

/* The gradients of so many parameters are complete once the last micro-batch has passed. */
static void gradients_ready(struct stage *stage, uint64_t parameters)
{
    if (stage->micro_batch + 1 == stage->plan->micro_batches) {
        stage->bucket_parameters += parameters;
        if (stage->bucket_parameters >= stage->plan->bucket) {
            bucket_reduce(stage);
        }
    }
}

static void parameters_gather(struct stage *stage)
{
    for (size_t i = 0; i < stage->size_count; i++) {
        uint64_t bytes = stage->bucket_sizes[i] * (uint64_t)ELEMENT_BYTES / stage->plan->dp;
        uint32_t id = op_add(stage, collective_op(stage, SLOT_DP, COLLECTIVE_ALL_GATHER, bytes),
                             "parameters%u.all_gather", (unsigned)i);
        job_builder_dep(stage->builder, id, stage->compute_last);
    }
}

static uint64_t stage_parameters(const struct stage *stage, uint64_t layers)
{
    uint64_t tables = (uint64_t)is_first(stage) + (uint64_t)is_last(stage);
    if (stage->shape->has_tied_embedding && stage->plan->pp == 1) {
        tables = 1;
    }
    uint64_t norm = is_last(stage) ? stage->shape->hidden : 0;
    return layers * layer_parameters_of_rank(stage) + tables * table_parameters_of_rank(stage) + norm;
}

/* Tied tables: the first and the last stage add their gradients once both are reduced. */
static void embedding_reduce(struct stage *stage)
{
    uint64_t bytes = table_parameters_of_rank(stage) * stage->plan->gradient_bytes;
    uint32_t id = op_add(stage, collective_op(stage, SLOT_EMBEDDING, COLLECTIVE_ALL_REDUCE, bytes),
                         "embedding.all_reduce");
    op_follow(stage, id);
    pending_add(stage, id);
}

static void optimizer_step(struct stage *stage, uint64_t layers)
{
    for (size_t i = 0; i < stage->reduction_count; i++) {
        pending_add(stage, stage->reductions[i]);
    }
    if (has_group(stage, SLOT_EMBEDDING)) {
        embedding_reduce(stage);
    }
    uint64_t parts = stage->plan->has_distributed_optimizer ? stage->plan->dp : 1;
    double bytes = OPTIMIZER_BYTES * (double)stage_parameters(stage, layers) / (double)parts;
    struct op op = {.kind = OP_COMPUTE,
                    .stream = STREAM_COMPUTE,
                    .duration_ps = shrunk(stage, stream_ps(stage->gpu, bytes))};
    uint32_t id = op_add(stage, op, "optimizer");
    op_follow(stage, id);
    stage->compute_last = id;
    if (stage->plan->has_distributed_optimizer) {
        parameters_gather(stage);
    }
}

/* ---- passes
 * ------------------------------------------------------------------------------------------------- */

static const char *layer_name(char name[48], uint64_t layer, const char *what)
{
    snprintf(name, 48, "layer%u.%s", (unsigned)layer, what);
    return name;
}

static void layer_forward(struct stage *stage, uint64_t layer)
{
    char name[48];
    layer_name(name, layer, "attn.fwd");
    activations_gather(stage, name);
    compute_add(stage, name, stage->times.attention_forward);
    activations_sum(stage, name);
    layer_name(name, layer, "mlp.fwd");
    activations_gather(stage, name);
    compute_add(stage, name, stage->times.mlp_forward);
    activations_sum(stage, name);
}

static void layer_backward(struct stage *stage, uint64_t layer)
{
    char name[48];
    block_backward(stage, layer_name(name, layer, "mlp.bwd"), stage->times.mlp_backward,
                   stage->times.mlp_weights, true);
    block_backward(stage, layer_name(name, layer, "attn.bwd"), stage->times.attention_backward,
                   stage->times.attention_weights, true);
    gradients_ready(stage, layer_parameters_of_rank(stage));
}

/* Output layer and loss. The three reductions: maximum, the target's logit, sum of exponentials. */
static void loss_forward(struct stage *stage)
{
    activations_gather(stage, "logits.fwd");
    compute_add(stage, "logits.fwd", stage->times.logits_forward);
    uint64_t bytes = tokens_of(stage->plan) * (uint64_t)LOSS_BYTES;
    tensor_collective(stage, COLLECTIVE_ALL_REDUCE, bytes, "loss.max");
    tensor_collective(stage, COLLECTIVE_ALL_REDUCE, bytes, "loss.target");
    tensor_collective(stage, COLLECTIVE_ALL_REDUCE, bytes, "loss.sum");
}

static void stage_forward(struct stage *stage, uint64_t micro_batch, uint64_t layers)
{
    stage->micro_batch = micro_batch;
    if (is_first(stage)) {
        compute_add(stage, "embedding.fwd", stage->times.embedding_forward);
        activations_sum(stage, "embedding.fwd");
    } else {
        receive_add(stage, TAG_FORWARD, -1, "stage.fwd");
    }
    for (uint64_t i = 0; i < layers; i++) {
        layer_forward(stage, stage->index * layers + i);
    }
    if (is_last(stage)) {
        loss_forward(stage);
    } else {
        send_add(stage, TAG_FORWARD, 1, "stage.fwd");
    }
}

static void stage_backward(struct stage *stage, uint64_t micro_batch, uint64_t layers)
{
    stage->micro_batch = micro_batch;
    if (is_last(stage)) {
        block_backward(stage, "logits.bwd", stage->times.logits_backward, stage->times.logits_weights, false);
        bool is_counted = !stage->shape->has_tied_embedding || !is_first(stage);
        gradients_ready(stage, (is_counted ? table_parameters_of_rank(stage) : 0) + stage->shape->hidden);
    } else {
        receive_add(stage, TAG_BACKWARD, 1, "stage.bwd");
    }
    for (uint64_t i = layers; i-- > 0;) {
        layer_backward(stage, stage->index * layers + i);
    }
    if (is_first(stage)) {
        activations_gather(stage, "embedding.bwd");
        compute_add(stage, "embedding.bwd", stage->times.embedding_backward);
        gradients_ready(stage, table_parameters_of_rank(stage));
    } else {
        send_add(stage, TAG_BACKWARD, -1, "stage.bwd");
    }
}

/* One forward, one backward: a stage starts with as many forwards as there are stages behind it. */
static void stage_program(struct stage *stage, uint64_t layers)
{
    uint64_t count = stage->plan->micro_batches, ahead = stage->plan->pp - stage->index - 1;
    ahead = ahead < count ? ahead : count;
    for (uint64_t i = 0; i < ahead; i++) {
        stage_forward(stage, i, layers);
    }
    for (uint64_t i = ahead; i < count; i++) {
        stage_forward(stage, i, layers);
        stage_backward(stage, i - ahead, layers);
    }
    for (uint64_t i = count - ahead; i < count; i++) {
        stage_backward(stage, i, layers);
    }
    bucket_reduce(stage);
    optimizer_step(stage, layers);
}

/* ---- the job
 * ------------------------------------------------------------------------------------------------ */

static enum status divides(const struct transformer_shape *shape, const char *key, uint64_t parts,
                           uint64_t whole, const char *what, struct diag *diag)
{
    if (whole % parts != 0) {
        return diag_input(diag, (struct origin){.path = shape->name},
                          "%s %u does not divide %llu %s; expected one that does", key, (unsigned)parts,
                          (unsigned long long)whole, what);
    }
    return STATUS_OK;
}

static enum status plan_check(const struct transformer_shape *shape, const struct transformer_plan *plan,
                              uint64_t layers, struct diag *diag)
{
    const struct {
        const char *key, *what;
        uint64_t parts, whole;
    } rules[] = {{"tp", "attention heads", plan->tp, shape->heads},
                 {"tp", "key-value heads", plan->tp, shape->kv_heads},
                 {"tp", "columns of the feed-forward layer", plan->tp, shape->ffn},
                 {"tp", "words of the vocabulary", plan->tp, shape->vocabulary},
                 {"tp", "tokens of the sequence", plan->has_sequence_parallel ? plan->tp : 1, plan->sequence},
                 {"pp", "layers", plan->pp, layers}};
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        enum status status =
            divides(shape, rules[i].key, rules[i].parts, rules[i].whole, rules[i].what, diag);
        if (status != STATUS_OK) {
            return status;
        }
    }
    if (plan->tp * plan->pp * plan->dp > 1u << 20) {
        return diag_input(diag, (struct origin){.path = shape->name},
                          "tp x pp x dp is %llu ranks; expected at most %u",
                          (unsigned long long)(plan->tp * plan->pp * plan->dp), 1u << 20);
    }
    return STATUS_OK;
}

/* Adds groups of `count` ranks `stride` apart, `name` numbered, for the rank that begins one. */
static enum status group_add(struct job_builder *builder, const char *name, uint32_t first, uint32_t count,
                             uint32_t stride, struct arena *arena, struct diag *diag)
{
    uint32_t *member = arena_array(arena, count, uint32_t), group;
    for (uint32_t i = 0; i < count; i++) {
        member[i] = first + i * stride;
    }
    const char *numbered = arena_printf(arena, "%s.%u", name, first);
    enum status status =
        job_builder_group(builder, numbered, member, count, (struct origin){.path = name}, &group, diag);
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        job_builder_slot(builder, member[i], group);
    }
    return status;
}

/* Groups in one order of kinds for all ranks, so that the slots of a stage's ranks are alike. */
static enum status groups_add(struct job_builder *builder, const struct transformer_shape *shape,
                              const struct transformer_plan *plan, struct arena *arena, struct diag *diag)
{
    uint32_t tp = (uint32_t)plan->tp, dp = (uint32_t)plan->dp, pp = (uint32_t)plan->pp, ranks = tp * dp * pp;
    enum status status = STATUS_OK;
    for (uint32_t rank = 0; rank < ranks && tp > 1 && status == STATUS_OK; rank += tp) {
        status = group_add(builder, "tp", rank, tp, 1, arena, diag);
    }
    for (uint32_t rank = 0; rank < ranks && dp > 1 && status == STATUS_OK; rank++) {
        if (rank / tp % dp == 0) {
            status = group_add(builder, "dp", rank, dp, tp, arena, diag);
        }
    }
    bool is_tied = shape->has_tied_embedding && pp > 1;
    for (uint32_t rank = 0; rank < tp * dp && is_tied && status == STATUS_OK; rank++) {
        status = group_add(builder, "embedding", rank, 2, (pp - 1) * tp * dp, arena, diag);
    }
    return status;
}

static void slots_number(struct stage *stage)
{
    uint32_t next = 0;
    bool is_tied =
        stage->shape->has_tied_embedding && stage->plan->pp > 1 && (is_first(stage) || is_last(stage));
    stage->slot[SLOT_TP] = stage->plan->tp > 1 ? next++ : ID_NONE;
    stage->slot[SLOT_DP] = stage->plan->dp > 1 ? next++ : ID_NONE;
    stage->slot[SLOT_EMBEDDING] = is_tied ? next++ : ID_NONE;
}

static enum status stage_build(struct stage *stage, uint64_t layers, struct diag *diag)
{
    uint32_t replicas = (uint32_t)(stage->plan->tp * stage->plan->dp);
    slots_number(stage);
    stage->compute_last = ID_NONE;
    stage->rank = stage->index * replicas;
    job_builder_rank(stage->builder, stage->rank);
    stage_program(stage, layers);
    enum status status = job_builder_rank_end(stage->builder, stage->shape->name, diag);
    for (uint32_t i = 1; i < replicas && status == STATUS_OK; i++) {
        job_builder_rank_like(stage->builder, stage->rank + i, stage->rank);
    }
    return status;
}

static double share(double part, double whole)
{
    return part < whole ? part / whole : 1.0;
}

static double step_scale(const struct transformer_shape *shape, const struct transformer_plan *plan,
                         uint64_t layers)
{
    double tokens = share((double)(plan->micro_batches * tokens_of(plan)),
                          (double)(shape->micro_batches * shape->sequence));
    return tokens * share((double)layers, (double)shape->layers) / (double)plan->shrink;
}

enum status transformer_generate(const struct transformer_shape *shape, const struct transformer_plan *plan,
                                 struct arena *arena, const struct job **job, struct diag *diag)
{
    uint64_t layers = plan->layers == 0 ? shape->layers : plan->layers;
    enum status status = plan_check(shape, plan, layers, diag);
    if (status != STATUS_OK) {
        return status;
    }
    const struct gpu_row *gpu = &gpu_rows[plan->gpu];
    struct times times;
    attention_times(shape, plan, gpu, &times);
    mlp_times(shape, plan, gpu, &times);
    vocabulary_times(shape, plan, gpu, &times);

    uint32_t ranks = (uint32_t)(plan->tp * plan->pp * plan->dp);
    const char *name = arena_printf(arena, "%s.tp%u.pp%u.dp%u", shape->name, (unsigned)plan->tp,
                                    (unsigned)plan->pp, (unsigned)plan->dp);
    struct job_builder *builder = job_builder_new(arena, name, "generated", ranks);
    job_builder_scale(builder, step_scale(shape, plan, layers));
    status = groups_add(builder, shape, plan, arena, diag);
    for (uint32_t index = 0; index < plan->pp && status == STATUS_OK; index++) {
        struct stage stage = {.builder = builder,
                              .shape = shape,
                              .plan = plan,
                              .gpu = gpu,
                              .arena = arena,
                              .times = times,
                              .index = index};
        status = stage_build(&stage, layers / plan->pp, diag);
    }
    return status == STATUS_OK ? job_builder_finish(builder, job, diag) : status;
}
