/* One training step of a dense decoder-only transformer, as Megatron-LM lays it out over GPUs.
 *
 * Rank order (Megatron's default, tp fastest, then dp, then pp):
 *
 *     rank = tp_index + tp * (dp_index + dp * pp_index)
 *
 * All ranks of a pipeline stage share one program: pp programs in all. In it, b is the micro-batch, s the
 * sequence, h the hidden size, t = tp, B = 2 bytes an element (BF16):
 *
 *     forward of a layer   attn ─ AR ─ mlp ─ AR               each all-reduce (AR) of b s h B bytes
 *     backward of a layer  mlp ─┬─ AR ──────────┬─ attn ─┬─ AR ──────────┬─
 *                               └─ weight grad. ┘        └─ weight grad. ┘
 *                          the input's gradient is summed while the weight gradient of the block's first
 *                          matrices is computed
 *     sequence parallel    each AR becomes a reduce-scatter (b s h B in) and an all-gather (b s h B / t in);
 *                          backward gathers the block's input once more for the weight gradient
 *     vocabulary           embedding AR b s h B; cross-entropy three AR of 4 b s bytes; output layer backward
 *                          AR b s h B
 *     pipeline             send and receive b s h B each way at a boundary (/ t with sequence parallel), in
 *                          1F1B order
 *     data parallel        gradients in buckets, each all-reduced as soon as the last micro-batch has passed
 *                          its layers backward; or reduce-scattered, and the parameters gathered after the
 *                          optimizer
 *
 * Sources: Shoeybi et al. 2019 (tensor parallel), Narayanan et al. 2021 (1F1B, rank order), Korthikanti et
 * al. 2022 (sequence parallel), the Megatron-LM sources (overlaps, buckets).
 *
 * The scale of a job is the product of three shares, each at most 1: tokens of a replica (micro-batches times
 * their size times the sequence) over those of the model's full step, layers over the model's, and 1 /
 * shrink. The full step is the one of the default parameters. */
#ifndef PHOTONET_TRACES_TRANSFORMER_H
#define PHOTONET_TRACES_TRANSFORMER_H

#include "photonet/trace.h"
#include "traces/roofline.h"

/* A model is a row of this. */
struct transformer_shape {
    const char *name;
    uint64_t layers, hidden, ffn, heads, kv_heads, head_dim, vocabulary;
    uint64_t ffn_matrices;            /* 3 with a gate (SwiGLU), 2 without */
    bool has_tied_embedding;          /* output layer = embedding: first and last stage reduce its gradient */
    uint64_t sequence, micro_batches; /* of the full step, per replica, micro-batches of 1 */
    const char *source;
};

struct transformer_plan {
    uint64_t tp, pp, dp, sequence, micro_batches, micro_batch_size;
    uint64_t layers; /* 0: as the model */
    uint64_t bucket, gradient_bytes, shrink;
    uint32_t gpu; /* index into gpu_rows */
    bool has_sequence_parallel, has_distributed_optimizer;
};

#define TRANSFORMER_ROWS(tp_, pp_, dp_, sequence_, micro_batches_)                                           \
    PARAM_U64(struct transformer_plan, tp, COUNT, "tp", tp_, "1", "1024",                                    \
              "tensor-parallel ranks, neighbours"),                                                          \
        PARAM_U64(struct transformer_plan, pp, COUNT, "pp", pp_, "1", "1024", "pipeline stages"),            \
        PARAM_U64(struct transformer_plan, dp, COUNT, "dp", dp_, "1", "65536", "data-parallel replicas"),    \
        PARAM_U64(struct transformer_plan, sequence, COUNT, "sequence", sequence_, "1", "16777216",          \
                  "tokens in a sequence"),                                                                   \
        PARAM_U64(struct transformer_plan, micro_batches, COUNT, "micro_batches", micro_batches_, "1",       \
                  "65536", "micro-batches that a replica runs in a step"),                                   \
        PARAM_U64(struct transformer_plan, micro_batch_size, COUNT, "micro_batch_size", "1", "1", "4096",    \
                  "sequences in a micro-batch"),                                                             \
        PARAM_U64(struct transformer_plan, layers, COUNT, "layers", "0", "0", "4096",                        \
                  "layers, 0 for all of the model"),                                                         \
        PARAM_CHOICE(struct transformer_plan, gpu, "gpu", "h100", gpu_names,                                 \
                     "whose roofline gives the compute times"),                                              \
        PARAM_BOOL(struct transformer_plan, has_sequence_parallel, "sequence_parallel", "no",                \
                   "all-gather and reduce-scatter instead of all-reduce in a tensor-parallel group"),        \
        PARAM_BOOL(struct transformer_plan, has_distributed_optimizer, "distributed_optimizer", "no",        \
                   "reduce-scatter gradients, gather parameters (ZeRO 1) instead of all-reduce"),            \
        PARAM_U64(struct transformer_plan, bucket, COUNT, "bucket", "40000000", "1", "1000000000000",        \
                  "parameters of a rank after which a gradient bucket ends, at a layer's end (Megatron-LM: " \
                  "40 million)"),                                                                            \
        PARAM_U64(struct transformer_plan, gradient_bytes, COUNT, "gradient_bytes", "4", "1", "8",           \
                  "bytes of a gradient (Megatron-LM reduces in FP32)"),                                      \
        PARAM_U64(struct transformer_plan, shrink, COUNT, "shrink", "1", "1", "1000000",                     \
                  "divides every buffer and every compute time: their ratio stays, latency weighs more")

enum status transformer_generate(const struct transformer_shape *shape, const struct transformer_plan *plan,
                                 struct arena *arena, const struct job **job, struct diag *diag);

/* Of the whole model with all its layers, norms included. */
uint64_t transformer_parameters(const struct transformer_shape *shape);

#endif
