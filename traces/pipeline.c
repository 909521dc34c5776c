#include "traces/pipeline.h"

static void action_add(struct actions *actions, struct arena *arena, struct action action)
{
    vec_push(arena, actions->items, actions->count, actions->capacity) = action;
}

/* ---- who has which layers
 * ------------------------------------------------------------------------------------ */

uint32_t pipeline_parts(const struct transformer_plan *plan)
{
    return plan->schedule == SCHEDULE_DUALPIPE ? 2 : (uint32_t)plan->virtual_stages;
}

uint32_t pipeline_chunks(const struct transformer_plan *plan)
{
    return (uint32_t)(plan->pp * plan->virtual_stages);
}

uint32_t pipeline_chunk(const struct transformer_plan *plan, uint32_t stage, uint32_t part)
{
    uint32_t stages = (uint32_t)plan->pp;
    if (plan->schedule == SCHEDULE_DUALPIPE) {
        return part == 0 ? stage : stages - 1 - stage;
    }
    return part * stages + stage;
}

uint32_t pipeline_stage(const struct transformer_plan *plan, uint32_t part, uint32_t chunk)
{
    uint32_t stages = (uint32_t)plan->pp;
    if (plan->schedule == SCHEDULE_DUALPIPE) {
        return part == 0 ? chunk : stages - 1 - chunk;
    }
    return chunk % stages;
}

enum status pipeline_check(const struct transformer_plan *plan, const char *model, struct diag *diag)
{
    struct origin at = {.path = model};
    unsigned stages = (unsigned)plan->pp, batches = (unsigned)plan->micro_batches;
    bool is_interleaved = plan->schedule == SCHEDULE_INTERLEAVED;
    if (!is_interleaved && plan->virtual_stages > 1) {
        return diag_input(diag, at, "virtual_stages is %u; expected 1, or the schedule interleaved",
                          (unsigned)plan->virtual_stages);
    }
    if (is_interleaved && plan->virtual_stages > 1 && (stages < 2 || batches % stages != 0)) {
        return diag_input(diag, at,
                          "the interleaved schedule has %u micro-batches on %u stages; expected several stages "
                          "and a multiple of their number",
                          batches, stages);
    }
    if (plan->schedule == SCHEDULE_DUALPIPE && (stages % 2 != 0 || batches % 2 != 0 || batches < 2 * stages)) {
        return diag_input(diag, at,
                          "the dualpipe schedule has %u micro-batches on %u stages; expected an even number of "
                          "stages and an even number of micro-batches, at least twice the stages",
                          batches, stages);
    }
    return STATUS_OK;
}

/* ---- one direction
 * ------------------------------------------------------------------------------------------- */

/* One forward, one backward. With `is_split` the weight gradients follow `stage` backward passes later. */
static void one_by_one(const struct transformer_plan *plan, uint32_t stage, bool is_split, struct arena *arena,
                       struct actions *actions)
{
    uint32_t count = (uint32_t)plan->micro_batches, ahead = (uint32_t)plan->pp - stage - 1;
    enum action_kind backward = is_split ? ACTION_BACKWARD_INPUT : ACTION_BACKWARD;
    ahead = ahead < count ? ahead : count;
    for (uint32_t i = 0; i < ahead; i++) {
        action_add(actions, arena, (struct action){.kind = ACTION_FORWARD, .micro_batch = i});
    }
    for (uint32_t i = 0; i < count; i++) {
        if (ahead + i < count) {
            action_add(actions, arena, (struct action){.kind = ACTION_FORWARD, .micro_batch = ahead + i});
        }
        action_add(actions, arena, (struct action){.kind = backward, .micro_batch = i});
        if (is_split && i >= stage) {
            action_add(actions, arena, (struct action){.kind = ACTION_WEIGHTS});
        }
    }
    for (uint32_t i = 0; is_split && i < (stage < count ? stage : count); i++) {
        action_add(actions, arena, (struct action){.kind = ACTION_WEIGHTS});
    }
}

/* The k-th pass of a stage: groups of pp micro-batches go through one part after the other. */
static struct action interleaved_pass(const struct transformer_plan *plan, enum action_kind kind, uint32_t k)
{
    uint32_t stages = (uint32_t)plan->pp, parts = (uint32_t)plan->virtual_stages, round = stages * parts;
    uint32_t part = k % round / stages;
    return (struct action){.kind = kind,
                           .part = kind == ACTION_FORWARD ? part : parts - 1 - part,
                           .micro_batch = k / round * stages + k % stages};
}

static void interleaved(const struct transformer_plan *plan, uint32_t stage, struct arena *arena,
                        struct actions *actions)
{
    uint32_t stages = (uint32_t)plan->pp, parts = (uint32_t)plan->virtual_stages;
    uint32_t count = (uint32_t)plan->micro_batches * parts;
    uint32_t ahead = (stages - stage - 1) * 2 + (parts - 1) * stages;
    ahead = ahead < count ? ahead : count;
    for (uint32_t k = 0; k < ahead; k++) {
        action_add(actions, arena, interleaved_pass(plan, ACTION_FORWARD, k));
    }
    for (uint32_t k = 0; k < count; k++) {
        if (ahead + k < count) {
            action_add(actions, arena, interleaved_pass(plan, ACTION_FORWARD, ahead + k));
        }
        action_add(actions, arena, interleaved_pass(plan, ACTION_BACKWARD, k));
    }
}

/* ---- both directions
 * ----------------------------------------------------------------------------------------- */

/* Counts a stage's passes. A phase is 0 for micro-batches that reach the stage first, 1 for those from the far end;
 * part 0 carries those that go up. */
struct dual {
    struct arena *arena;
    struct actions *actions;
    uint32_t flip, half;           /* flip: the stage lies in the upper half; micro-batches of a direction */
    uint32_t forwards[2], backwards[2]; /* by part */
};

static uint32_t dual_micro_batch(const struct dual *dual, uint32_t part, uint32_t number)
{
    return part * dual->half + number;
}

static void dual_forward(struct dual *dual, uint32_t phase)
{
    uint32_t part = phase ^ dual->flip;
    action_add(dual->actions, dual->arena,
               (struct action){.kind = ACTION_FORWARD,
                               .part = part,
                               .micro_batch = dual_micro_batch(dual, part, dual->forwards[part]++)});
}

static void dual_backward(struct dual *dual, uint32_t phase, bool is_split)
{
    uint32_t part = phase ^ dual->flip;
    action_add(dual->actions, dual->arena,
               (struct action){.kind = is_split ? ACTION_BACKWARD_INPUT : ACTION_BACKWARD,
                               .part = part,
                               .micro_batch = dual_micro_batch(dual, part, dual->backwards[part]++)});
}

static void dual_weights(struct dual *dual)
{
    action_add(dual->actions, dual->arena, (struct action){.kind = ACTION_WEIGHTS});
}

static void dual_both(struct dual *dual, uint32_t phase)
{
    uint32_t part = phase ^ dual->flip, back = part ^ 1;
    action_add(dual->actions, dual->arena,
               (struct action){.kind = ACTION_FORWARD_BACKWARD,
                               .part = part,
                               .micro_batch = dual_micro_batch(dual, part, dual->forwards[part]++),
                               .back_part = back,
                               .back_micro_batch = dual_micro_batch(dual, back, dual->backwards[back]++)});
}

/* The main part: pairs, the first of which the two middle stages run one after the other. */
static void dual_pairs(struct dual *dual, uint32_t count, bool is_middle)
{
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 && is_middle) {
            dual_forward(dual, 0);
            dual_backward(dual, 1, false);
        } else {
            dual_both(dual, 0);
        }
        dual_both(dual, 1);
    }
}

/* The end: weight gradients are put off from the half of these passes on. */
static void dual_drain(struct dual *dual, uint32_t depth)
{
    bool is_split = false;
    for (uint32_t i = 0; i < depth + 1; i++) {
        is_split |= i == (depth + 1) / 2 && depth % 2 == 1;
        dual_backward(dual, 1, is_split);
        is_split |= i == (depth + 1) / 2 && depth % 2 == 0;
        dual_backward(dual, 0, is_split);
    }
}

/* Eight steps, as DeepSeek's published code has them. `depth` is the distance from the nearer end. */
static void dualpipe(const struct transformer_plan *plan, uint32_t stage, struct arena *arena,
                     struct actions *actions)
{
    uint32_t stages = (uint32_t)plan->pp, half = stages / 2, batches = (uint32_t)plan->micro_batches / 2;
    uint32_t depth = stage < half ? stage : stages - 1 - stage, middle = half - 1 - depth;
    struct dual dual = {.arena = arena, .actions = actions, .flip = stage >= half, .half = batches};
    for (uint32_t i = 0; i < 2 * middle; i++) {
        dual_forward(&dual, 0);
    }
    for (uint32_t i = 0; i < depth + 1; i++) {
        dual_forward(&dual, 0);
        dual_forward(&dual, 1);
    }
    for (uint32_t i = 0; i < middle; i++) {
        dual_backward(&dual, 1, true);
        dual_weights(&dual);
        dual_forward(&dual, 1);
    }
    dual_pairs(&dual, batches - stages + depth + 1, middle == 0);
    for (uint32_t i = 0; i < middle; i++) {
        dual_backward(&dual, 1, false);
        dual_both(&dual, 1);
    }
    dual_drain(&dual, depth);
    for (uint32_t i = 0; i < middle; i++) {
        dual_weights(&dual);
        dual_backward(&dual, 0, true);
    }
    for (uint32_t i = 0; i < depth + 1; i++) {
        dual_weights(&dual);
    }
}

void pipeline_actions(const struct transformer_plan *plan, uint32_t stage, struct arena *arena,
                      struct actions *actions)
{
    *actions = (struct actions){0};
    switch ((enum schedule)plan->schedule) {
    case SCHEDULE_INTERLEAVED:
        interleaved(plan, stage, arena, actions);
        break;
    case SCHEDULE_DUALPIPE:
        dualpipe(plan, stage, arena, actions);
        break;
    case SCHEDULE_ZB_H1:
    case SCHEDULE_1F1B:
        one_by_one(plan, stage, plan->schedule == SCHEDULE_ZB_H1, arena, actions);
        break;
    }
}
