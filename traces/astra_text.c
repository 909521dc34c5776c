/* Reader of ASTRA-sim 1.0's text workloads (layer_table.h).
 *
 * Scope: all policies; one table for all ranks, so --ranks says how many there are. Compute times are cycles
 * of trace.cycle. The first dimension of HYBRID_DATA_MODEL and HYBRID_MODEL_DATA has trace.first_dimension
 * ranks; the model group of HYBRID_TRANSFORMER is as the file says. The bytes of an all-gather are a rank's
 * part, as ASTRA-sim's Ring takes them. Not modelled: the order in which ASTRA-sim's queue takes collectives
 * (LIFO, FIFO, highest first): those of one group run as they are issued; groups of other shapes than
 * neighbours and equal steps; compute and communication scales. Unknown kinds of communication are none, as
 * in ASTRA-sim, but counted in the import report. Checked against: Workload.cc and Layer.cc as SimAI
 * (aliyun/SimAI, cef83f9) has them from ASTRA-sim 1.0, and the inputs of astra-sim's branch ASTRA-sim-1.0, in
 * tests/test_layers.c. */
#include "traces/flow_list.h"
#include "traces/layer_table.h"
#include "traces/text_lines.h"

#include "photonet/units.h"

#include <inttypes.h>

struct values {
    uint64_t first_dimension, passes, cycle_ps;
};

static const struct param rows[] = {
    PARAM_U64(
        struct values, first_dimension, COUNT, "first_dimension", "0", "0", "1048576",
        "ranks of the first dimension (HYBRID_DATA_MODEL: model parallel, HYBRID_MODEL_DATA: data parallel)"),
    PARAM_U64(struct values, passes, COUNT, "passes", "1", "1", "100000", "passes over the table"),
    PARAM_U64(struct values, cycle_ps, TIME, "cycle", "1ns", "1ps", "1us", "a cycle of the compute times"),
};

static enum status model_size(const struct trace_source *source, const struct layer_head *head,
                              uint64_t *size, struct diag *diag)
{
    const struct values *values = source->values;
    struct origin at = {.path = source->path, .line = 1};
    bool is_dimensional = head->policy == POLICY_DATA_MODEL || head->policy == POLICY_MODEL_DATA ||
                          head->policy == POLICY_CUSTOMIZED;
    *size = values->first_dimension;
    if (is_dimensional && *size == 0) {
        return diag_input(diag, at,
                          "splits the ranks by dimension; expected trace.first_dimension=N, the ranks of the "
                          "first one");
    }
    if (!is_dimensional) {
        *size = head->model;
    }
    bool is_transformer =
        head->policy == POLICY_TRANSFORMER || head->policy == POLICY_TRANSFORMER_FWD_IN_BCKWD;
    if (is_transformer && *size == 0) {
        return diag_input(diag, at, "has no model_parallel_NPU_group above 0 behind its policy");
    }
    *size = *size == 0 ? 1 : *size;
    if (*size > source->ranks || source->ranks % *size != 0) {
        return diag_input(diag, at,
                          "has model groups of %" PRIu64 " ranks; expected --ranks to be a multiple, not %u",
                          *size, source->ranks);
    }
    return STATUS_OK;
}

static enum status plan_make(const struct trace_source *source, const struct layer_table *table,
                             struct layer_plan *plan, struct diag *diag)
{
    const struct values *values = source->values;
    uint64_t near;
    struct origin at = {.path = source->path};
    if (source->ranks == 0 || source->ranks > TRACE_RANKS_MAX) {
        return diag_input(diag, at, "is one table for any number of ranks; expected --ranks N, N up to %u",
                          TRACE_RANKS_MAX);
    }
    enum status status = model_size(source, &table->head, &near, diag);
    if (status != STATUS_OK) {
        return status;
    }
    struct layer_group neighbours = {1, (uint32_t)near},
                       steps = {(uint32_t)near, source->ranks / (uint32_t)near};
    bool is_model_far = table->head.policy == POLICY_MODEL_DATA;
    *plan = (struct layer_plan){.table = table,
                                .rank_count = source->ranks,
                                .passes = (uint32_t)values->passes,
                                .tick_ps = values->cycle_ps};
    plan->groups[ROLE_ALL] = (struct layer_group){1, source->ranks};
    plan->groups[ROLE_MODEL] = is_model_far ? steps : neighbours;
    plan->groups[ROLE_DATA] = is_model_far ? neighbours : steps;
    return STATUS_OK;
}

static enum status astra_read(const struct trace_source *source, struct arena *arena, const struct job **job,
                              struct diag *diag)
{
    struct arena *scratch = arena_new_within(arena, "an ASTRA-sim workload");
    struct layer_table table;
    struct layer_plan plan;
    struct job_builder *builder = NULL;
    enum status status = layer_table_read(source->path, DIALECT_ASTRA, scratch, &table, diag);
    status = status == STATUS_OK ? plan_make(source, &table, &plan, diag) : status;
    if (status == STATUS_OK) {
        builder = job_builder_new(arena, trace_name(arena, source->path), "astra_text", plan.rank_count);
        status = layer_job_build(&plan, builder, diag);
    }
    arena_free(scratch);
    return status == STATUS_OK ? job_builder_finish(builder, job, diag) : status;
}

static bool astra_probe(const char *path, const uint8_t *head, size_t head_bytes)
{
    enum layer_dialect dialect;
    (void)path;
    return layer_head_is_table(head, head_bytes, &dialect) && dialect == DIALECT_ASTRA;
}

const struct trace_format trace_format_astra_text = {
    .name = "astra_text",
    .summary = "text workloads of ASTRA-sim 1.0; needs --ranks",
    .params = PARAM_TABLE(struct values, rows),
    .probe = astra_probe,
    .read = astra_read,
};
