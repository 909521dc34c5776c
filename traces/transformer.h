/* One training step of a decoder-only transformer, dense or with routed experts, as Megatron-LM, PyTorch FSDP and
 * DeepSeek lay it out over GPUs.
 *
 * A stage's ranks are numbered q, tensor parallel fastest, then context, then data parallel; experts are spread over
 * consecutive q, whatever these are:
 *
 *     q = tp_index + tp * (cp_index + cp * dp_index)            expert_index = q modulo ep
 *     rank = q + tp * cp * dp * stage                           order tp_cp_dp_pp (Megatron-LM's)
 *     rank = tp * cp * (stage + pp * dp_index) + q mod (tp cp)  order tp_cp_pp_dp (Llama 3)
 *
 * All ranks of a stage share one program, but for experts with unequal loads (a program a member) and ring
 * attention (three: first, last, between). In it, b is the micro-batch, s the sequence, h the hidden size, t = tp,
 * c = cp, B the bytes of an activation; T = b s / c tokens a rank:
 *
 *     forward of a layer   attn ─ AR ─ mlp ─ AR               each all-reduce (AR) of T h B bytes
 *     backward of a layer  mlp ─┬─ AR ──────────┬─ attn ─┬─ AR ──────────┬─
 *                               └─ weight grad. ┘        └─ weight grad. ┘
 *                          the input's gradient is summed while the weight gradient of the block's first
 *                          matrices is computed
 *     sequence parallel    each AR becomes a reduce-scatter (T h B in) and an all-gather (T h B / t in);
 *                          backward gathers the block's input once more for the weight gradient
 *     vocabulary           embedding AR T h B; cross-entropy three AR of 4 T bytes; output layer backward
 *                          AR T h B
 *     context parallel     all_gather: keys and values, 2 T kv_dim B / t in, before the scores, and a reduce-scatter
 *                          of their gradients; ring: c - 1 exchanges of as much with the neighbours while the
 *                          scores of the part at hand are computed, c - 1 + c backward
 *     experts              router ─ dispatch ─ experts ─ combine, both all-to-all among ep ranks, T / t tokens (where
 *                          tp > 1 the sequence must be cut) times top_k times h elements; the shared expert runs
 *                          during the dispatch; backward the same two the other way round. Parts are unequal unless
 *                          the routing is balanced (routing.h)
 *     pipeline             send and receive T h B each way at a boundary (/ t with sequence parallel), in the order
 *                          of the schedule (pipeline.h)
 *     data parallel        gradients in buckets, each all-reduced as soon as the last micro-batch has passed its
 *                          layers backward; zero 1: reduce-scattered, and parameters gathered after the optimizer;
 *                          zero 2: reduce-scattered every micro-batch; zero 3 (FSDP): parameters of a layer gathered
 *                          before it runs, `prefetch` layers ahead, forward and (reshard) again backward, gradients
 *                          reduce-scattered behind it. Experts do the same among the ranks that hold the same ones
 *
 * Sources: Shoeybi et al. 2019 (tensor parallel), Narayanan et al. 2021 (1F1B, interleaved, rank order), Korthikanti
 * et al. 2022 (sequence parallel), Rajbhandari et al. 2020 (ZeRO), Zhao et al. 2023 (FSDP), Liu et al. 2023 (ring
 * attention), Llama 3 (arXiv 2407.21783, section 3.3), DeepSeek-V3 (arXiv 2412.19437, section 3.2), the Megatron-LM
 * sources (overlaps, buckets).
 *
 * The scale of a job is the product of three shares, each at most 1: tokens of a replica (micro-batches times
 * their size times the sequence) over those of the model's full step, layers over the model's, and 1 /
 * shrink. The full step is the one of the default parameters. sample_* keep some layers, micro-batches and replicas of
 * the step that was asked for and state by what factor its time is to be multiplied (ideal_step.h). */
#ifndef PHOTONET_TRACES_TRANSFORMER_H
#define PHOTONET_TRACES_TRANSFORMER_H

#include "photonet/doc.h"
#include "photonet/trace.h"
#include "traces/roofline.h"

/* A model: a YAML text's keys without its `step`. */
struct transformer_shape {
    const char *name, *title;
    uint64_t layers, hidden, ffn, heads, kv_heads, head_dim, vocabulary;
    uint64_t ffn_matrices;   /* 3 with a gate (SwiGLU), 2 without */
    bool has_tied_embedding; /* output layer = embedding: first and last stage reduce its gradient */
    /* latent attention (MLA) where kv_rank > 0; head_dim is then that of a value */
    uint64_t query_rank, kv_rank, rope_dim, nope_dim;
    /* routed experts where experts > 0; the first dense_layers have none */
    uint64_t experts, top_k, shared_experts, expert_ffn, dense_layers;
    uint64_t expert_groups, groups_per_token; /* a token's experts come from so many of the groups; 0: any */
    uint64_t sequence, micro_batches;         /* of the full step, per replica: `step`; micro-batches of 1 */
    double zipf;                              /* of `step` */
};

enum schedule { SCHEDULE_1F1B, SCHEDULE_INTERLEAVED, SCHEDULE_ZB_H1, SCHEDULE_DUALPIPE };
enum rank_order { ORDER_TP_CP_DP_PP, ORDER_TP_CP_PP_DP };
enum context_exchange { CONTEXT_ALL_GATHER, CONTEXT_RING };
enum recompute { RECOMPUTE_NONE, RECOMPUTE_FULL };
enum expert_compute { EXPERT_COMPUTE_OWN, EXPERT_COMPUTE_MEAN };

/* How a model is trained; the rows are in transformer_plan.c. */
struct transformer_plan {
    uint64_t tp, pp, dp, cp, ep, virtual_stages;
    uint64_t sequence, micro_batches, micro_batch_size;
    uint64_t layers; /* 0: as the model */
    uint64_t bucket, shrink, prefetch;
    uint32_t gpu; /* index into gpu_rows */
    uint32_t schedule, rank_order, context_exchange, recompute, expert_compute, zero;
    uint32_t products, activations, dispatch, combine, gradients, parameters; /* enum precision */
    bool has_sequence_parallel, is_resharded;
    double zipf;
    const char *histogram;
    uint64_t routing_seed, routing_draws;
    uint64_t sample_layers, sample_micro_batches, sample_ranks;
};

enum precision { PRECISION_FP32, PRECISION_BF16, PRECISION_FP8 };
uint64_t precision_bytes(uint32_t precision);

extern const struct param transformer_rows[];
extern const size_t transformer_row_count;

/* A model from its text: a map of the shape's keys, and under `step` defaults for the plan's. */
enum status transformer_load(const char *name, const struct doc *root, struct arena *arena,
                             struct transformer_shape *shape, struct param **rows, struct diag *diag);

enum status transformer_generate(const struct transformer_shape *shape, const struct transformer_plan *plan,
                                 struct arena *arena, const struct job **job, struct diag *diag);

/* How long the step takes where nothing contends (ideal_step.h). */
enum status transformer_ideal_ps(const struct transformer_shape *shape, const struct transformer_plan *plan,
                                 uint64_t *time_ps, struct diag *diag);

/* Of the whole model with all its layers, norms included; and of those that one token passes through. */
uint64_t transformer_parameters(const struct transformer_shape *shape);
uint64_t transformer_active_parameters(const struct transformer_shape *shape);

#endif
