/* Reader of the text workloads of SimAI, which AICB writes (layer_table.h).
 *
 *     HYBRID_TRANSFORMER_FWD_IN_BCKWD model_parallel_NPU_group: 2 ep: 16 pp: 12 vpp: 8 ga: 24 all_gpus: 9216
 * ...
 *
 *     rank = stage * (tp * dp) + d * tp + t        dp = all_gpus / (tp * pp)
 *     tensor group: tp neighbours   data group: dp ranks, tp apart   expert group: ep of those   _DP_EP: the
 * dp / ep that hold one expert
 *
 * Scope: the table's rows as they stand: AICB unrolls micro-batches. Compute times are nanoseconds. Forward
 * and input gradients join the tensor group, weight gradients the data group, _EP and _DP_EP what they say.
 * The bytes of an all-gather are its result (SimAI's Layer::compute_time counts like nccl-tests;
 * trace.all_gather=part for files that mean a rank's part). --ranks changes the data parallelism, and is
 * needed where old files have no all_gpus. Not modelled: the pipeline. A table has the rows of one stage;
 * every stage runs it, and the messages between stages and the bubble, which SimAI adds by formula, are in
 * the import report only. Kinds that SimAI does not read (BROADCAST, ALLREDUCEALLTOALL) are no communication,
 * as there, and counted. Checked against: Workload.cc and Layer.cc of aliyun/SimAI (cef83f9), its example and
 * workloads of aliyun/aicb (23eec3c), in tests/test_layers.c. */
#include "traces/flow_list.h"
#include "traces/layer_table.h"
#include "traces/text_lines.h"

#include "photonet/units.h"

#include <inttypes.h>

enum gather_size { GATHER_WHOLE, GATHER_PART };
static const char *const gather_choices[] = {[GATHER_WHOLE] = "whole", [GATHER_PART] = "part", NULL};

struct values {
    uint64_t passes;
    uint32_t gather_size;
};

static const struct param rows[] = {
    PARAM_U64(struct values, passes, COUNT, "passes", "1", "1", "100000", "passes over the table"),
    PARAM_CHOICE(struct values, gather_size, "all_gather", "whole", gather_choices,
                 "what the bytes of an all-gather are: the whole result, or one rank's part"),
};

/* The sizes of the head, 1 where it says nothing. */
struct split {
    uint64_t ranks, tensor, expert, pipeline, data;
};

static enum status split_find(const struct trace_source *source, const struct layer_head *head,
                              struct split *split, struct diag *diag)
{
    struct origin at = {.path = source->path, .line = 1};
    split->ranks = source->ranks != 0 ? source->ranks : head->ranks;
    split->tensor = head->model == 0 ? 1 : head->model;
    split->expert = head->expert == 0 ? 1 : head->expert;
    split->pipeline = head->pipeline == 0 ? 1 : head->pipeline;
    if (split->ranks == 0) {
        return diag_input(diag, at, "says nothing of all_gpus; expected --ranks N");
    }
    if (split->ranks > TRACE_RANKS_MAX || split->tensor > TRACE_RANKS_MAX ||
        split->pipeline > TRACE_RANKS_MAX || split->ranks % (split->tensor * split->pipeline) != 0) {
        return diag_input(diag, at,
                          "has %" PRIu64 " ranks in tensor groups of %" PRIu64 " and %" PRIu64
                          " pipeline stages; expected a multiple of their product, up to %u",
                          split->ranks, split->tensor, split->pipeline, TRACE_RANKS_MAX);
    }
    split->data = split->ranks / (split->tensor * split->pipeline);
    if (split->expert > split->data || split->data % split->expert != 0) {
        return diag_input(diag, at,
                          "has expert groups of %" PRIu64 " among %" PRIu64
                          " data-parallel ranks; expected a divisor",
                          split->expert, split->data);
    }
    return STATUS_OK;
}

static void plan_make(const struct values *values, const struct layer_table *table, const struct split *split,
                      struct layer_plan *plan)
{
    uint32_t tensor = (uint32_t)split->tensor, expert = (uint32_t)split->expert, data = (uint32_t)split->data;
    *plan = (struct layer_plan){.table = table,
                                .rank_count = (uint32_t)split->ranks,
                                .passes = (uint32_t)values->passes,
                                .tick_ps = PS_PER_NS,
                                .is_all_gather_whole = values->gather_size == GATHER_WHOLE};
    plan->groups[ROLE_ALL] = (struct layer_group){1, plan->rank_count};
    plan->groups[ROLE_MODEL] = (struct layer_group){1, tensor};
    plan->groups[ROLE_DATA] = (struct layer_group){tensor, data};
    plan->groups[ROLE_EXPERT] = (struct layer_group){tensor, expert};
    plan->groups[ROLE_EXPERT_DATA] = (struct layer_group){tensor * expert, data / expert};
}

static void notes_add(const struct layer_head *head, const struct split *split, struct job_builder *builder)
{
    if (split->pipeline > 1) {
        job_builder_note(builder, "pipeline stages",
                         "each runs the whole table; their messages and bubble are left out", split->pipeline,
                         0);
        /* SimAI's own count: both directions, every micro-batch of every virtual stage. */
        uint64_t messages, bytes;
        if (__builtin_mul_overflow(2 * head->virtual_pipeline, head->accumulation, &messages) ||
            __builtin_mul_overflow(messages, head->pipeline_bytes, &bytes)) {
            messages = bytes = 0; /* nonsense, but of no consequence */
        }
        job_builder_note(builder, "messages between pipeline stages, of each rank", "left out", messages,
                         bytes);
    }
    if (head->ranks != 0 && head->ranks != split->ranks) {
        job_builder_note(builder, "ranks that the file was made for",
                         "data parallelism changed to fit --ranks", head->ranks, 0);
    }
}

static enum status simai_read(const struct trace_source *source, struct arena *arena, const struct job **job,
                              struct diag *diag)
{
    struct arena *scratch = arena_new_within(arena, "a SimAI workload");
    struct layer_table table;
    struct split split = {0};
    struct job_builder *builder = NULL;
    enum status status = layer_table_read(source->path, DIALECT_SIMAI, scratch, &table, diag);
    status = status == STATUS_OK ? split_find(source, &table.head, &split, diag) : status;
    if (status == STATUS_OK) {
        struct layer_plan plan;
        plan_make(source->values, &table, &split, &plan);
        builder = job_builder_new(arena, trace_name(arena, source->path), "simai_text", plan.rank_count);
        notes_add(&table.head, &split, builder);
        status = layer_job_build(&plan, builder, diag);
    }
    arena_free(scratch);
    return status == STATUS_OK ? job_builder_finish(builder, job, diag) : status;
}

static bool simai_probe(const char *path, const uint8_t *head, size_t head_bytes)
{
    enum layer_dialect dialect;
    (void)path;
    return layer_head_is_table(head, head_bytes, &dialect) && dialect == DIALECT_SIMAI;
}

const struct trace_format trace_format_simai_text = {
    .name = "simai_text",
    .summary = "text workloads of SimAI and AICB",
    .params = PARAM_TABLE(struct values, rows),
    .probe = simai_probe,
    .read = simai_read,
};
