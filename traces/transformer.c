/* Training steps of transformers; what is laid out how stands in transformer.h.
 *
 * Scope: one optimizer step, forward and backward, with tensor, sequence, context, pipeline, expert and data
 * parallelism, dense layers and routed experts, grouped or latent attention.
 * Not modelled: selective recomputation, experts cut by tensor parallelism, multi-token prediction, the reduction
 * of the gradient norm (4 bytes), dropout, data loading, overlap of tensor-parallel collectives with forward
 * kernels. Sends never hold up their sender's compute. Checked against: the closed forms of transformer.h and
 * published parameter counts, tests/test_generate.c; published iteration times, tests/test_published.c. */
#include "traces/ideal_step.h"
#include "traces/transformer_int.h"

#include <math.h>
#include <string.h>

/* ---- layout
 * ------------------------------------------------------------------------------------------------- */

uint32_t layout_rank(const struct layout *layout, uint32_t q, uint32_t stage)
{
    const struct transformer_plan *plan = layout->plan;
    uint32_t inner = (uint32_t)(plan->tp * plan->cp);
    if (plan->rank_order == ORDER_TP_CP_DP_PP) {
        return q + (uint32_t)layout->stage_ranks * stage;
    }
    return q % inner + inner * (stage + (uint32_t)plan->pp * (q / inner));
}

uint64_t chunk_first_layer(const struct layout *layout, uint32_t chunk)
{
    uint64_t base = layout->layers / layout->chunks, more = layout->layers % layout->chunks;
    uint64_t skipped = (layout->chunks - more) / 2; /* chunks before those with one layer more */
    uint64_t behind = chunk < skipped ? 0 : chunk - skipped;
    return chunk * base + (behind < more ? behind : more);
}

bool layer_is_dense(const struct layout *layout, uint64_t layer)
{
    return layer < layout->dense_layers;
}

uint64_t layout_tokens(const struct layout *layout)
{
    return layout->plan->micro_batch_size * layout->plan->sequence / layout->plan->cp;
}

bool layout_has_experts(const struct layout *layout)
{
    return layout->shape->experts > 0;
}

/* ---- checks
 * ------------------------------------------------------------------------------------------------- */

static enum status divides(const struct transformer_shape *shape, const char *key, uint64_t parts,
                           uint64_t whole, const char *what, struct diag *diag)
{
    if (whole % parts != 0) {
        return diag_input(diag, (struct origin){.path = shape->name},
                          "%s %u does not divide %llu %s; expected a divisor", key, (unsigned)parts,
                          (unsigned long long)whole, what);
    }
    return STATUS_OK;
}

static enum status parts_check(const struct transformer_shape *shape, const struct transformer_plan *plan,
                               struct diag *diag)
{
    uint64_t cut = plan->has_sequence_parallel ? plan->tp : 1, ranks = plan->tp * plan->cp * plan->dp;
    const struct {
        const char *key, *what;
        uint64_t parts, whole;
    } rules[] = {{"tp", "attention heads", plan->tp, shape->heads},
                 {"tp", "key-value heads", shape->kv_rank > 0 ? 1 : plan->tp, shape->kv_heads},
                 {"tp", "columns of the feed-forward layer", plan->tp, shape->ffn},
                 {"tp", "words of the vocabulary", plan->tp, shape->vocabulary},
                 {"cp", "tokens of the sequence", plan->cp, plan->sequence},
                 {"tp", "tokens of the sequence", cut, plan->sequence / plan->cp},
                 {"ep", "experts", plan->ep, shape->experts},
                 {"ep", "ranks of a stage (tp x cp x dp)", plan->ep, ranks}};
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        enum status status =
            divides(shape, rules[i].key, rules[i].parts, rules[i].whole, rules[i].what, diag);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

static enum status choices_check(const struct transformer_shape *shape, const struct transformer_plan *plan,
                                 struct diag *diag)
{
    const struct gpu_row *gpu = &gpu_rows[plan->gpu];
    const struct {
        bool is_wrong;
        const char *what;
    } rules[] = {
        {plan->ep > 1 && shape->experts == 0, "ep is above 1, but the model has no experts; expected ep=1"},
        {shape->experts > 0 && plan->tp > 1 && !plan->has_sequence_parallel,
         "experts with tp above 1; expected sequence_parallel=yes, so that every rank has its own tokens"},
        {plan->schedule == SCHEDULE_DUALPIPE && plan->zero > 1,
         "zero is above 1 with the dualpipe schedule; expected 0 or 1"},
        {plan->products == PRECISION_FP32, "products are fp32; expected bf16 or fp8"},
        {plan->products == PRECISION_FP8 && gpu->peak_flops[KERNEL_FP8] == 0,
         "products are fp8, which the GPU has not; expected bf16, or another gpu"},
        {plan->histogram != NULL && shape->experts == 0,
         "routing_file is given, but the model has no experts; expected none"},
        {plan->histogram != NULL && plan->zipf > 0 && plan->zipf != shape->zipf,
         "routing_file and zipf both say who is popular; expected one of them"},
        {plan->zipf > 0 && shape->experts == 0, "zipf is given, but the model has no experts; expected none"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (rules[i].is_wrong) {
            return diag_input(diag, (struct origin){.path = shape->name}, "%s", rules[i].what);
        }
    }
    return pipeline_check(plan, shape->name, diag);
}

static enum status plan_check(const struct transformer_shape *shape, const struct transformer_plan *plan,
                              uint64_t layers, struct diag *diag)
{
    struct origin at = {.path = shape->name};
    uint64_t ranks = plan->tp * plan->pp * plan->cp * plan->dp, chunks = pipeline_chunks(plan);
    if (ranks > 1u << 20) {
        return diag_input(diag, at, "tp x pp x cp x dp is %llu ranks; expected at most %u",
                          (unsigned long long)ranks, 1u << 20);
    }
    if (chunks > layers + (chunks > 1 ? 2 : 0)) { /* the ends may hold the vocabulary alone */
        return diag_input(diag, at, "%u layers on %u chunks (pp x virtual_stages); expected at most %u chunks",
                          (unsigned)layers, (unsigned)chunks, (unsigned)layers + 2);
    }
    enum status status = parts_check(shape, plan, diag);
    return status == STATUS_OK ? choices_check(shape, plan, diag) : status;
}

/* ---- groups
 * ------------------------------------------------------------------------------------------------- */

struct grouping {
    struct job_builder *builder;
    const struct layout *layout;
    uint32_t *member; /* of the group at hand */
    uint32_t count;
    struct arena *arena;
    struct diag *diag;
};

static void member_add(struct grouping *grouping, uint32_t q, uint32_t stage)
{
    grouping->member[grouping->count++] = layout_rank(grouping->layout, q, stage);
}

/* Makes the group of the members that were added, if they are several. */
static enum status group_end(struct grouping *grouping, const char *name)
{
    uint32_t group, count = grouping->count;
    grouping->count = 0;
    if (count < 2) {
        return STATUS_OK;
    }
    const char *numbered = arena_printf(grouping->arena, "%s.%u", name, grouping->member[0]);
    enum status status = job_builder_group(grouping->builder, numbered, grouping->member, count,
                                           (struct origin){.path = name}, &group, grouping->diag);
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        job_builder_slot(grouping->builder, grouping->member[i], group);
    }
    return status;
}

/* Every `stride`-th of so many ranks that follow each other, for all of a stage: one kind of group. With `is_twice`
 * the stage that holds the same layers belongs to it. */
struct kind {
    const char *name;
    uint32_t block, stride; /* members are first + i * stride within blocks of so many q */
    bool is_twice;
};

static enum status kind_add(struct grouping *grouping, const struct kind *kind)
{
    const struct layout *layout = grouping->layout;
    uint32_t stages = (uint32_t)layout->plan->pp, ranks = (uint32_t)layout->stage_ranks;
    enum status status = STATUS_OK;
    for (uint32_t stage = 0; stage < (kind->is_twice ? stages / 2 : stages); stage++) {
        for (uint32_t first = 0; first < ranks && status == STATUS_OK; first++) {
            if (first % kind->block >= kind->stride) {
                continue;
            }
            for (uint32_t twin = 0; twin < (kind->is_twice ? 2u : 1u); twin++) {
                for (uint32_t q = first; q < first - first % kind->block + kind->block; q += kind->stride) {
                    member_add(grouping, q, twin == 0 ? stage : stages - 1 - stage);
                }
            }
            status = group_end(grouping, kind->name);
        }
    }
    return status;
}

static bool has_tied_ends(const struct layout *layout)
{
    return layout->shape->has_tied_embedding && layout->plan->pp > 1 &&
           layout->plan->schedule != SCHEDULE_DUALPIPE;
}

/* Groups in one order of kinds for all ranks, so that the slots of a stage's ranks are alike. */
static enum status groups_add(struct grouping *grouping)
{
    const struct layout *layout = grouping->layout;
    const struct transformer_plan *plan = layout->plan;
    uint32_t tp = (uint32_t)plan->tp, inner = tp * (uint32_t)plan->cp, ranks = (uint32_t)layout->stage_ranks;
    uint32_t ep = (uint32_t)plan->ep;
    bool is_dual = plan->schedule == SCHEDULE_DUALPIPE;
    const struct kind kinds[] = {{"tp", tp, 1, false},
                                 {"cp", plan->context_exchange == CONTEXT_RING ? tp : inner, tp, false},
                                 {"dp", ranks, tp, is_dual},
                                 {"ep", ep, 1, false},
                                 {"expert_dp", layout_has_experts(layout) ? ranks : ep, ep,
                                  is_dual && layout_has_experts(layout)}};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && status == STATUS_OK; i++) {
        status = kind_add(grouping, &kinds[i]);
    }
    for (uint32_t q = 0; q < ranks && has_tied_ends(layout) && status == STATUS_OK; q++) {
        member_add(grouping, q, 0);
        member_add(grouping, q, (uint32_t)plan->pp - 1);
        status = group_end(grouping, "embedding");
    }
    return status;
}

static void slots_number(struct stage *stage)
{
    const struct layout *layout = stage->layout;
    const struct transformer_plan *plan = layout->plan;
    bool is_dual = plan->schedule == SCHEDULE_DUALPIPE, is_end = stage->index == 0 || stage->index + 1 == plan->pp;
    const bool has[SLOT_COUNT] = {
        [SLOT_TP] = plan->tp > 1,
        [SLOT_CP] = plan->cp > 1 && plan->context_exchange == CONTEXT_ALL_GATHER,
        [SLOT_DP] = plan->cp * plan->dp > 1 || is_dual,
        [SLOT_EP] = plan->ep > 1,
        [SLOT_EXPERT_DP] = layout_has_experts(layout) && (layout->stage_ranks / plan->ep > 1 || is_dual),
        [SLOT_EMBEDDING] = has_tied_ends(layout) && is_end,
    };
    uint32_t next = 0;
    for (enum slot slot = 0; slot < SLOT_COUNT; slot++) {
        stage->slot[slot] = has[slot] ? next++ : ID_NONE;
    }
}

/* ---- routing
 * ------------------------------------------------------------------------------------------------ */

/* Bytes of the way to the experts and of the way back, which is the same turned round. */
static void table_add(struct job_builder *builder, const struct layout *layout, struct arena *scratch,
                      struct routing_table *table)
{
    uint32_t members = (uint32_t)layout->plan->ep;
    uint64_t *bytes = arena_array(scratch, (size_t)members * members, uint64_t);
    uint64_t hidden = layout->shape->hidden;
    for (uint32_t is_back = 0; is_back < 2; is_back++) {
        uint64_t each = hidden * precision_bytes(is_back ? layout->plan->combine : layout->plan->dispatch);
        for (uint32_t from = 0; from < members; from++) {
            for (uint32_t to = 0; to < members; to++) {
                size_t at = is_back ? (size_t)to * members + from : (size_t)from * members + to;
                bytes[at] = shrunk(layout, table->tokens[(size_t)from * members + to] * each);
            }
        }
        uint32_t number = job_builder_pairs(builder, members, bytes);
        *(is_back ? &table->combine : &table->dispatch) = number;
    }
}

static enum status routing_fill(struct job_builder *builder, const struct layout *layout, struct arena *arena,
                                struct routing_tables *routing, struct diag *diag)
{
    const struct transformer_plan *plan = layout->plan;
    struct popularity measured = {0};
    *routing = (struct routing_tables){.members = (uint32_t)plan->ep, .draws = plan->routing_draws};
    if (!layout_has_experts(layout) || (plan->zipf == 0 && plan->histogram == NULL)) {
        return STATUS_OK;
    }
    if (plan->histogram != NULL) {
        enum status status = histogram_load(plan->histogram, layout->shape->experts, arena, &measured, diag);
        if (status != STATUS_OK) {
            return status;
        }
    }
    routing->first_layer = layout->dense_layers;
    routing->layers = layout->layers - layout->dense_layers;
    routing->tokens = layout_tokens(layout) / plan->tp;
    routing->table = arena_array(arena, routing->layers * routing->draws, struct routing_table);
    for (uint64_t i = 0; i < routing->layers * routing->draws && plan->ep > 1; i++) {
        struct arena *scratch = arena_new_within(arena, "routing of a layer");
        uint64_t *counts = arena_array(arena, plan->ep * plan->ep, uint64_t);
        routing_draw(layout->shape, plan, &measured, i / routing->draws, i % routing->draws, routing->tokens, scratch,
                     counts);
        routing->table[i].tokens = counts;
        table_add(builder, layout, scratch, &routing->table[i]);
        arena_free(scratch);
    }
    routing->table = plan->ep > 1 ? routing->table : NULL;
    return STATUS_OK;
}

/* ---- stages
 * ------------------------------------------------------------------------------------------------- */

/* Ranks of a stage with one class run one program: equal loads of experts, equal ways round the ring. */
static uint32_t class_of(const struct stage *stage, uint32_t q)
{
    const struct transformer_plan *plan = stage_plan(stage);
    uint32_t cp = (uint32_t)plan->cp, at = q / (uint32_t)plan->tp % cp;
    bool is_ring = cp > 1 && plan->context_exchange == CONTEXT_RING;
    bool is_own = stage->routing->table != NULL && plan->expert_compute == EXPERT_COMPUTE_OWN;
    uint32_t place = !is_ring ? 0 : at == 0 ? 1 : at + 1 == cp ? 2 : 0;
    return place + 3 * (is_own ? q % (uint32_t)plan->ep : 0);
}

static enum status program_build(struct stage *stage, uint32_t q, struct diag *diag)
{
    struct arena *scratch = arena_new("a stage's program");
    struct stage own = *stage;
    own.arena = scratch;
    own.q = q;
    own.rank = layout_rank(stage->layout, q, stage->index);
    job_builder_rank(own.builder, own.rank);
    stage_program(&own);
    arena_free(scratch);
    return job_builder_rank_end(stage->builder, stage->layout->shape->name, diag);
}

static enum status stage_build(struct stage *stage, struct diag *diag)
{
    uint32_t classes = 3 * (uint32_t)stage_plan(stage)->ep;
    struct arena *scratch = arena_new("ranks of a stage");
    uint32_t *first = arena_array(scratch, classes, uint32_t);
    memset(first, 0xff, classes * sizeof *first);
    slots_number(stage);
    enum status status = STATUS_OK;
    for (uint32_t q = 0; q < stage->layout->stage_ranks && status == STATUS_OK; q++) {
        uint32_t class = class_of(stage, q);
        if (first[class] == ID_NONE) {
            first[class] = q;
            status = program_build(stage, q, diag);
        } else {
            job_builder_rank_like(stage->builder, layout_rank(stage->layout, q, stage->index),
                                  layout_rank(stage->layout, first[class], stage->index));
        }
    }
    arena_free(scratch);
    return status;
}

/* ---- the job
 * ------------------------------------------------------------------------------------------------ */

static double share(double part, double whole)
{
    return part < whole ? part / whole : 1.0;
}

static double step_scale(const struct layout *layout)
{
    const struct transformer_shape *shape = layout->shape;
    const struct transformer_plan *plan = layout->plan;
    double tokens = share((double)(plan->micro_batches * plan->micro_batch_size * plan->sequence),
                          (double)(shape->micro_batches * shape->sequence));
    return tokens * share((double)layout->layers, (double)shape->layers) / (double)plan->shrink;
}

static const char *job_name(const struct layout *layout, struct arena *arena)
{
    const struct transformer_plan *plan = layout->plan;
    const char *name = arena_printf(arena, "%s.tp%u.pp%u.dp%u", layout->shape->name, (unsigned)plan->tp,
                                    (unsigned)plan->pp, (unsigned)plan->dp);
    name = plan->cp > 1 ? arena_printf(arena, "%s.cp%u", name, (unsigned)plan->cp) : name;
    return plan->ep > 1 ? arena_printf(arena, "%s.ep%u", name, (unsigned)plan->ep) : name;
}

static struct layout layout_of(const struct transformer_shape *shape, const struct transformer_plan *plan,
                               uint64_t layers, uint64_t full_dp)
{
    uint64_t dense = shape->experts == 0 ? layers : (shape->dense_layers * layers + shape->layers / 2) / shape->layers;
    dense = dense == 0 && shape->dense_layers > 0 && layers > 1 ? 1 : dense;
    return (struct layout){.shape = shape,
                           .plan = plan,
                           .gpu = &gpu_rows[plan->gpu],
                           .layers = layers,
                           .dense_layers = dense,
                           .stage_ranks = plan->tp * plan->cp * plan->dp,
                           .full_dp = full_dp,
                           .chunks = pipeline_chunks(plan)};
}

/* Everything but the end: `builder` is left to be finished. */
static enum status job_build(const struct layout *layout, struct arena *arena, struct job_builder **out,
                             struct diag *diag)
{
    uint32_t ranks = (uint32_t)(layout->stage_ranks * layout->plan->pp);
    struct job_builder *builder = job_builder_new(arena, job_name(layout, arena), "generated", ranks);
    struct times times;
    struct routing_tables routing;
    job_builder_scale(builder, step_scale(layout));
    times_fill(layout, &times);
    struct grouping grouping = {builder, layout, arena_array(arena, 2 * layout->stage_ranks + 2, uint32_t), 0, arena,
                                diag};
    enum status status = groups_add(&grouping);
    if (status == STATUS_OK) {
        status = routing_fill(builder, layout, arena, &routing, diag);
    }
    struct stage *stage = arena_one(arena, struct stage);
    for (uint32_t index = 0; index < layout->plan->pp && status == STATUS_OK; index++) {
        *stage = (struct stage){
            .builder = builder, .layout = layout, .times = &times, .routing = &routing, .index = index};
        status = stage_build(stage, diag);
    }
    *out = builder;
    return status;
}

/* ---- samples
 * ------------------------------------------------------------------------------------------------ */

/* Ranks that stand for all others where every group goes on as its named members do. */
static uint32_t representatives(const struct layout *layout, struct arena *arena, uint32_t **ranks)
{
    const struct transformer_plan *plan = layout->plan;
    uint64_t ring = plan->cp > 1 && plan->context_exchange == CONTEXT_RING ? plan->tp * plan->cp : 1;
    bool is_routed = plan->ep > 1 && (plan->zipf > 0 || plan->histogram != NULL);
    uint64_t experts = is_routed ? plan->ep : 1, each = ring > experts ? ring : experts, count = 0;
    each = each % ring == 0 && each % experts == 0 ? each : layout->stage_ranks;
    *ranks = arena_array(arena, each * plan->pp, uint32_t);
    for (uint32_t stage = 0; stage < plan->pp; stage++) {
        for (uint32_t q = 0; q < each; q++) {
            (*ranks)[count++] = layout_rank(layout, q, stage);
        }
    }
    return (uint32_t)count;
}

/* The time of the step without contention; 0 where the walk would take too long. */
#define WALK_OPS_MAX 20000000

static uint64_t ideal_ps(const struct layout *layout, const struct job *job)
{
    struct arena *scratch = arena_new("ideal step of a sample");
    uint32_t *ranks, count = representatives(layout, scratch, &ranks);
    uint64_t ops = 0, time_ps = 0;
    for (uint32_t i = 0; i < count; i++) {
        ops += job_program(job, ranks[i])->op_count;
    }
    if (ops <= WALK_OPS_MAX) {
        time_ps = ideal_step_ps(job, ranks, count, layout->gpu);
    }
    arena_free(scratch);
    return time_ps;
}

static enum status ideal_of(const struct layout *layout, uint64_t *time_ps, struct diag *diag)
{
    struct arena *arena = arena_new("a step to be timed");
    struct job_builder *builder;
    const struct job *job;
    enum status status = job_build(layout, arena, &builder, diag);
    if (status == STATUS_OK) {
        status = job_builder_finish(builder, &job, diag);
    }
    *time_ps = status == STATUS_OK ? ideal_ps(layout, job) : 0;
    arena_free(arena);
    return status;
}

struct sample {
    struct transformer_plan plan; /* of what is made */
    uint64_t layers, full_layers;
    bool is_cut; /* anything is missing */
};

static enum status sample_take(const struct transformer_shape *shape, const struct transformer_plan *plan,
                               struct sample *sample, struct diag *diag)
{
    struct origin at = {.path = shape->name};
    uint64_t inner = plan->tp * plan->cp * plan->pp, layers = plan->layers == 0 ? shape->layers : plan->layers;
    *sample = (struct sample){.plan = *plan, .layers = layers, .full_layers = layers};
    if (plan->sample_layers > layers || plan->sample_micro_batches > plan->micro_batches ||
        plan->sample_ranks > inner * plan->dp) {
        return diag_input(diag, at, "a sample is larger than the step; expected sample_layers, sample_micro_batches and "
                                    "sample_ranks at most %u, %u and %llu",
                          (unsigned)layers, (unsigned)plan->micro_batches, (unsigned long long)(inner * plan->dp));
    }
    if (plan->sample_ranks % inner != 0) {
        return diag_input(diag, at, "sample_ranks is %u; expected whole replicas, a multiple of %u (tp x cp x pp)",
                          (unsigned)plan->sample_ranks, (unsigned)inner);
    }
    sample->layers = plan->sample_layers > 0 ? plan->sample_layers : layers;
    sample->plan.micro_batches =
        plan->sample_micro_batches > 0 ? plan->sample_micro_batches : plan->micro_batches;
    sample->plan.dp = plan->sample_ranks > 0 ? plan->sample_ranks / inner : plan->dp;
    sample->is_cut = sample->layers < layers || sample->plan.micro_batches < plan->micro_batches ||
                     sample->plan.dp < plan->dp;
    return STATUS_OK;
}

/* Both steps are timed where nothing contends. */
static enum status factor_state(const struct transformer_shape *shape, const struct transformer_plan *plan,
                                const struct sample *sample, struct job_builder *builder, struct diag *diag)
{
    struct layout part = layout_of(shape, &sample->plan, sample->layers, plan->dp);
    struct layout all = layout_of(shape, plan, sample->full_layers, plan->dp);
    uint64_t part_ps = 1, all_ps = 1;
    enum status status = sample->is_cut ? ideal_of(&part, &part_ps, diag) : STATUS_OK;
    if (status == STATUS_OK && sample->is_cut) {
        status = ideal_of(&all, &all_ps, diag);
    }
    if (status == STATUS_OK && (part_ps == 0 || all_ps == 0)) {
        return diag_input(diag, (struct origin){.path = shape->name},
                          "the step is too large to be timed for a sample; expected expert_compute=mean");
    }
    uint64_t ranks = plan->tp * plan->cp * plan->pp * plan->dp;
    job_builder_sample(builder, (double)all_ps / (double)part_ps, (uint32_t)ranks);
    return status;
}

enum status transformer_generate(const struct transformer_shape *shape, const struct transformer_plan *plan,
                                 struct arena *arena, const struct job **job, struct diag *diag)
{
    struct sample sample;
    enum status status = sample_take(shape, plan, &sample, diag);
    if (status == STATUS_OK) {
        status = plan_check(shape, plan, sample.full_layers, diag);
    }
    if (status == STATUS_OK) {
        status = plan_check(shape, &sample.plan, sample.layers, diag);
    }
    struct layout layout = layout_of(shape, &sample.plan, sample.layers, plan->dp);
    struct job_builder *builder;
    if (status == STATUS_OK) {
        status = job_build(&layout, arena, &builder, diag);
    }
    if (status == STATUS_OK) {
        status = factor_state(shape, plan, &sample, builder, diag);
    }
    return status == STATUS_OK ? job_builder_finish(builder, job, diag) : status;
}

enum status transformer_ideal_ps(const struct transformer_shape *shape, const struct transformer_plan *plan,
                                 uint64_t *time_ps, struct diag *diag)
{
    uint64_t layers = plan->layers == 0 ? shape->layers : plan->layers;
    enum status status = plan_check(shape, plan, layers, diag);
    struct layout layout = layout_of(shape, plan, layers, plan->dp);
    return status == STATUS_OK ? ideal_of(&layout, time_ps, diag) : status;
}
