/* In what order a pipeline stage runs its micro-batches.
 *
 *     1f1b         Narayanan et al. 2021: as many forwards ahead as there are stages behind, then one each
 *     interleaved  the same with v chunks of layers a stage, in groups of pp micro-batches (Megatron-LM)
 *     zb_h1        Qi et al. 2024 (arXiv 2401.10241): 1F1B's order and memory, but weight gradients are put off by as
 *                  many micro-batches as there are stages ahead, which fills the gaps of the last backward passes
 *     dualpipe     DeepSeek-V3 (arXiv 2412.19437, section 3.2.1; github.com/deepseek-ai/DualPipe): micro-batches from
 *                  both ends, every stage holding chunks r and pp - 1 - r; forward and backward of a pair overlap
 *
 * The bubble with equal times F, B (input gradients), W (weight gradients) of a stage, no communication:
 *
 *     1f1b (pp-1)(F+B+W)    interleaved (pp-1)(F+B+W)/v    zb_h1 (pp-1)(F+B-W)    dualpipe (pp/2-1)(FB+B-3W)
 *
 * Checked against: these, and that every micro-batch passes every chunk once in a possible order
 * (tests/test_pipeline.c). */
#ifndef PHOTONET_TRACES_PIPELINE_H
#define PHOTONET_TRACES_PIPELINE_H

#include "traces/transformer.h"

enum action_kind {
    ACTION_FORWARD,
    ACTION_BACKWARD,         /* with weight gradients */
    ACTION_BACKWARD_INPUT,   /* without: they are put off */
    ACTION_WEIGHTS,          /* of the oldest backward pass that was put off */
    ACTION_FORWARD_BACKWARD, /* a forward and a backward pass that overlap */
};

/* `part` is the stage's own number of a chunk, `micro_batch` counts within the step. */
struct action {
    enum action_kind kind;
    uint32_t part, micro_batch;
    uint32_t back_part, back_micro_batch; /* ACTION_FORWARD_BACKWARD: of its backward pass */
};

struct actions {
    struct action *items;
    size_t count, capacity;
};

/* Chunks of layers that a stage holds, and which of all chunks a part is (0 is next to the embedding). */
uint32_t pipeline_parts(const struct transformer_plan *plan);
uint32_t pipeline_chunks(const struct transformer_plan *plan);
uint32_t pipeline_chunk(const struct transformer_plan *plan, uint32_t stage, uint32_t part);
/* The stage on which `part` of a stage goes on (upwards) or came from. */
uint32_t pipeline_stage(const struct transformer_plan *plan, uint32_t part, uint32_t chunk);

/* Refuses what a schedule cannot do: one line. */
enum status pipeline_check(const struct transformer_plan *plan, const char *model, struct diag *diag);

void pipeline_actions(const struct transformer_plan *plan, uint32_t stage, struct arena *arena,
                      struct actions *actions);

#endif
