/* The dense models, a row each. Scope and sources of the step: transformer.h. */
#include "traces/dense_models.h"

#include <stddef.h>

/* Defines trace_model_SYMBOL from a shape and the default layout: tp, pp, dp, sequence, micro-batches of the
 * full step. */
#define DENSE_MODEL(symbol_, name_, summary_, tp_, pp_, dp_, sequence_, micro_batches_)                      \
    static const struct param symbol_##_rows[] = {                                                           \
        TRANSFORMER_ROWS(tp_, pp_, dp_, sequence_, micro_batches_)};                                         \
    static enum status symbol_##_generate(const void *values, struct arena *arena, const struct job **job,   \
                                          struct diag *diag)                                                 \
    {                                                                                                        \
        return transformer_generate(&symbol_, values, arena, job, diag);                                     \
    }                                                                                                        \
    extern const struct trace_model trace_model_##symbol_;                                                   \
    const struct trace_model trace_model_##symbol_ = {                                                       \
        .name = name_,                                                                                       \
        .summary = summary_,                                                                                 \
        .params = PARAM_TABLE(struct transformer_plan, symbol_##_rows),                                      \
        .generate = symbol_##_generate};

static const struct transformer_shape llama3_8b = {
    .name = "llama3-8b",
    .layers = 32,
    .hidden = 4096,
    .ffn = 14336,
    .heads = 32,
    .kv_heads = 8,
    .head_dim = 128,
    .vocabulary = 128256,
    .ffn_matrices = 3,
    .has_tied_embedding = false,
    .sequence = 8192,
    .micro_batches = 16,
    .source = "The Llama 3 Herd of Models, arXiv 2407.21783, table 3; sequence section 3.2",
};

static const struct transformer_shape llama3_70b = {
    .name = "llama3-70b",
    .layers = 80,
    .hidden = 8192,
    .ffn = 28672,
    .heads = 64,
    .kv_heads = 8,
    .head_dim = 128,
    .vocabulary = 128256,
    .ffn_matrices = 3,
    .has_tied_embedding = false,
    .sequence = 8192,
    .micro_batches = 16,
    .source = "The Llama 3 Herd of Models, arXiv 2407.21783, table 3; sequence section 3.2",
};

static const struct transformer_shape llama3_405b = {
    .name = "llama3-405b",
    .layers = 126,
    .hidden = 16384,
    .ffn = 53248,
    .heads = 128,
    .kv_heads = 8,
    .head_dim = 128,
    .vocabulary = 128256,
    .ffn_matrices = 3,
    .has_tied_embedding = false,
    .sequence = 8192,
    .micro_batches = 16,
    .source = "The Llama 3 Herd of Models, arXiv 2407.21783, tables 3 and 4: 16 M tokens over 128 replicas",
};

static const struct transformer_shape gpt3_175b = {
    .name = "gpt3-175b",
    .layers = 96,
    .hidden = 12288,
    .ffn = 49152,
    .heads = 96,
    .kv_heads = 96,
    .head_dim = 128,
    .vocabulary = 51200, /* 50257 padded to a multiple of 1024 */
    .ffn_matrices = 2,
    .has_tied_embedding = true,
    .sequence = 2048,
    .micro_batches = 96,
    .source = "Brown et al. 2020, arXiv 2005.14165, table 2.1; layout of Narayanan et al. 2021, arXiv "
              "2104.04473: batch "
              "1536 over 16 replicas",
};

DENSE_MODEL(llama3_8b, "llama3-8b", "a training step of Llama 3 8B: 32 layers, hidden 4096, sequence 8192",
            "4", "2", "4", "8192", "16")
DENSE_MODEL(llama3_70b, "llama3-70b", "a training step of Llama 3 70B: 80 layers, hidden 8192, sequence 8192",
            "8", "4", "2", "8192", "16")
DENSE_MODEL(llama3_405b, "llama3-405b",
            "a training step of Llama 3 405B: 126 layers, hidden 16384, sequence 8192", "8", "14", "2",
            "8192", "16")
DENSE_MODEL(gpt3_175b, "gpt3-175b", "a training step of GPT-3 175B: 96 layers, hidden 12288, sequence 2048",
            "8", "8", "2", "2048", "96")

const struct transformer_shape *const dense_shapes[] = {&llama3_8b, &llama3_70b, &llama3_405b, &gpt3_175b,
                                                        NULL};
