/* The Llama 3 models. Scope and sources of the step: transformer.h. */
#include "traces/transformer.h"

#include <stddef.h>

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

static const struct param llama3_8b_rows[] = {TRANSFORMER_ROWS("4", "2", "4", "8192", "16")};

static enum status llama3_8b_generate(const void *values, struct arena *arena, const struct job **job,
                                      struct diag *diag)
{
    return transformer_generate(&llama3_8b, values, arena, job, diag);
}

extern const struct trace_model trace_model_llama3_8b;
const struct trace_model trace_model_llama3_8b = {
    .name = "llama3-8b",
    .summary = "a training step of Llama 3 8B: 32 layers, hidden 4096, sequence 8192",
    .params = PARAM_TABLE(struct transformer_plan, llama3_8b_rows),
    .generate = llama3_8b_generate,
};
