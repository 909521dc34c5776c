/* The parameters of a training step: one table for all models, which bring their own defaults. */
#include "traces/transformer.h"

static const char *const schedule_names[] = {"1f1b", "interleaved", "zb_h1", "dualpipe", NULL};
static const char *const order_names[] = {"tp_cp_dp_pp", "tp_cp_pp_dp", NULL};
static const char *const exchange_names[] = {"all_gather", "ring", NULL};
static const char *const recompute_names[] = {"none", "full", NULL};
static const char *const zero_names[] = {"0", "1", "2", "3", NULL};
static const char *const precision_names[] = {"fp32", "bf16", "fp8", NULL};
static const char *const expert_compute_names[] = {"own", "mean", NULL};

uint64_t precision_bytes(uint32_t precision)
{
    static const uint64_t bytes[] = {[PRECISION_FP32] = 4, [PRECISION_BF16] = 2, [PRECISION_FP8] = 1};
    return bytes[precision];
}

#define COUNT(field_, key_, default_, low_, high_, help_)                                                     \
    PARAM_U64(struct transformer_plan, field_, COUNT, key_, default_, low_, high_, help_)
#define CHOICE(field_, key_, default_, names_, help_)                                                         \
    PARAM_CHOICE(struct transformer_plan, field_, key_, default_, names_, help_)

const struct param transformer_rows[] = {
    COUNT(tp, "tp", "1", "1", "1024", "tensor-parallel ranks, neighbours"),
    COUNT(pp, "pp", "1", "1", "1024", "pipeline stages"),
    COUNT(dp, "dp", "1", "1", "65536", "data-parallel replicas"),
    COUNT(cp, "cp", "1", "1", "1024", "context-parallel ranks, over which a sequence is cut"),
    COUNT(ep, "ep", "1", "1", "4096", "expert-parallel ranks, consecutive ones of a stage"),
    CHOICE(rank_order, "rank_order", "tp_cp_dp_pp", order_names, "which dimension is innermost"),
    CHOICE(schedule, "schedule", "1f1b", schedule_names, "order of the micro-batches in a pipeline"),
    COUNT(virtual_stages, "virtual_stages", "1", "1", "64", "chunks of layers a stage (interleaved)"),
    COUNT(sequence, "sequence", "2048", "1", "16777216", "tokens in a sequence"),
    COUNT(micro_batches, "micro_batches", "8", "1", "65536", "micro-batches that a replica runs in a step"),
    COUNT(micro_batch_size, "micro_batch_size", "1", "1", "4096", "sequences in a micro-batch"),
    COUNT(layers, "layers", "0", "0", "4096", "layers, 0 for all of the model"),
    CHOICE(gpu, "gpu", "h100", gpu_names, "whose roofline gives the compute times"),
    PARAM_BOOL(struct transformer_plan, has_sequence_parallel, "sequence_parallel", "no",
               "all-gather and reduce-scatter instead of all-reduce in a tensor-parallel group"),
    CHOICE(context_exchange, "cp_exchange", "all_gather", exchange_names,
           "how context-parallel ranks share keys and values"),
    CHOICE(recompute, "recompute", "none", recompute_names, "full: a layer runs forward again before backward"),
    CHOICE(zero, "zero", "0", zero_names,
           "what data-parallel ranks share out: 0 nothing, 1 optimizer, 2 and gradients, 3 and parameters (FSDP)"),
    PARAM_BOOL(struct transformer_plan, is_resharded, "reshard", "yes",
               "zero 3: parameters are given up after each pass; no: gathered once a step, gradients reduced once"),
    COUNT(prefetch, "prefetch", "1", "0", "64", "zero 3: layers that are gathered ahead"),
    COUNT(bucket, "bucket", "40000000", "1", "1000000000000",
          "parameters of a rank after which a gradient bucket ends, at a layer's end (Megatron-LM: 40 million)"),
    CHOICE(products, "products", "bf16", precision_names, "matrix products of layers: bf16 or fp8"),
    CHOICE(activations, "activations", "bf16", precision_names, "activations between ranks (tp, cp, pp)"),
    CHOICE(dispatch, "dispatch", "bf16", precision_names, "tokens, and their gradients, on the way to experts"),
    CHOICE(combine, "combine", "bf16", precision_names, "tokens, and their gradients, on the way back"),
    CHOICE(gradients, "gradients", "fp32", precision_names, "gradients that are reduced (Megatron-LM: fp32)"),
    CHOICE(parameters, "parameters", "bf16", precision_names, "parameters that are gathered"),
    PARAM_REAL(struct transformer_plan, zipf, NUMBER, "zipf", "0", "0", "4",
               "experts' popularity falls with this power of their rank; 0: all-to-alls are equal"),
    PARAM_TEXT(struct transformer_plan, histogram, "routing_file", NULL,
               "YAML or JSON: tokens of each expert, a list or one a layer; instead of zipf"),
    COUNT(routing_seed, "routing_seed", "1", NULL, NULL, "draws who is popular and who chooses whom"),
    COUNT(routing_draws, "routing_draws", "1", "1", "4096", "different tables of a layer; micro-batches take turns"),
    CHOICE(expert_compute, "expert_compute", "own", expert_compute_names,
           "own: a rank computes for the tokens it gets (a program a rank of ep); mean: for the mean (shared)"),
    COUNT(sample_layers, "sample_layers", "0", "0", "4096",
          "make only so many of the layers; the step states the factor of its time"),
    COUNT(sample_micro_batches, "sample_micro_batches", "0", "0", "65536", "make only so many micro-batches"),
    COUNT(sample_ranks, "sample_ranks", "0", "0", "1048576", "make only so many ranks: fewer replicas"),
    COUNT(shrink, "shrink", "1", "1", "1000000",
          "divides every buffer and every compute time: their ratio stays, latency weighs more"),
};
const size_t transformer_row_count = sizeof transformer_rows / sizeof transformer_rows[0];
