/* Asserted: every schedule runs each micro-batch forward and backward once through every chunk, and its weight gradients
 * once, in an order that can run; its bubble, with equal passes and no communication, is the published one
 * (traces/pipeline.h); what a schedule cannot do is refused. Not asserted: operations (test of the generator). */
#include "tests/check.h"

#include "traces/pipeline.h"

static struct transformer_plan plan_of(enum schedule schedule, uint64_t pp, uint64_t parts, uint64_t micro_batches)
{
    return (struct transformer_plan){
        .schedule = schedule, .pp = pp, .virtual_stages = parts, .micro_batches = micro_batches};
}

/* When the passes of a chunk end; 0: not yet. */
struct times {
    uint64_t *forward, *backward; /* chunk x micro-batch */
    uint32_t *weights;            /* how often */
    uint64_t batches;
};

static size_t at(const struct times *times, uint32_t chunk, uint32_t micro_batch)
{
    return chunk * times->batches + micro_batch;
}

struct runner {
    struct actions actions;
    size_t next;
    uint64_t free_at;
    uint32_t put_off[256], put_off_count, put_off_next; /* chunk << 16 | micro-batch */
};

struct durations {
    uint64_t forward, input, weights, both; /* of one chunk */
};

/* When a pass can begin, UINT64_MAX where what it needs has not ended. */
static uint64_t forward_ready(const struct times *times, uint32_t chunk, uint32_t batch)
{
    uint64_t end = chunk == 0 ? 1 : times->forward[at(times, chunk - 1, batch)];
    return end == 0 ? UINT64_MAX : end;
}

static uint64_t backward_ready(const struct times *times, uint32_t chunks, uint32_t chunk, uint32_t batch)
{
    uint64_t own = times->forward[at(times, chunk, batch)];
    uint64_t end = chunk + 1 == chunks ? own : times->backward[at(times, chunk + 1, batch)];
    return own == 0 || end == 0 ? UINT64_MAX : end > own ? end : own;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Runs the stage's next action if it can begin; true where it did. */
static bool action_run(const struct transformer_plan *plan, const struct durations *takes, uint32_t stage,
                       struct runner *runner, struct times *times)
{
    const struct action *action = &runner->actions.items[runner->next];
    uint32_t chunks = pipeline_chunks(plan), chunk = pipeline_chunk(plan, stage, action->part);
    uint64_t begin = runner->free_at;
    if (action->kind == ACTION_WEIGHTS) {
        CHECK(runner->put_off_next < runner->put_off_count);
        uint32_t what = runner->put_off[runner->put_off_next++];
        times->weights[at(times, what >> 16, what & 0xffff)]++;
        runner->free_at = begin + takes->weights;
    } else if (action->kind == ACTION_FORWARD) {
        begin = later(begin, forward_ready(times, chunk, action->micro_batch));
        runner->free_at = begin == UINT64_MAX ? runner->free_at : begin + takes->forward;
        times->forward[at(times, chunk, action->micro_batch)] = begin == UINT64_MAX ? 0 : runner->free_at;
    } else if (action->kind == ACTION_FORWARD_BACKWARD) {
        uint32_t back = pipeline_chunk(plan, stage, action->back_part);
        begin = later(begin, later(forward_ready(times, chunk, action->micro_batch),
                                   backward_ready(times, chunks, back, action->back_micro_batch)));
        if (begin != UINT64_MAX) {
            runner->free_at = begin + takes->both;
            times->forward[at(times, chunk, action->micro_batch)] = runner->free_at;
            times->backward[at(times, back, action->back_micro_batch)] = runner->free_at;
            times->weights[at(times, back, action->back_micro_batch)]++;
        }
    } else {
        bool is_split = action->kind == ACTION_BACKWARD_INPUT;
        begin = later(begin, backward_ready(times, chunks, chunk, action->micro_batch));
        if (begin != UINT64_MAX) {
            runner->free_at = begin + takes->input + (is_split ? 0 : takes->weights);
            times->backward[at(times, chunk, action->micro_batch)] = runner->free_at;
            times->weights[at(times, chunk, action->micro_batch)] += !is_split;
            if (is_split) {
                runner->put_off[runner->put_off_count++] = chunk << 16 | action->micro_batch;
            }
        }
    }
    runner->next += begin != UINT64_MAX;
    return begin != UINT64_MAX;
}

/* The whole pipeline; returns when the last stage ends, without what is not bubble. */
static uint64_t pipeline_run(const struct transformer_plan *plan, const struct durations *takes, struct arena *arena)
{
    uint32_t stages = (uint32_t)plan->pp, chunks = pipeline_chunks(plan);
    size_t cells = (size_t)chunks * plan->micro_batches;
    struct times times = {arena_array(arena, cells, uint64_t), arena_array(arena, cells, uint64_t),
                          arena_array(arena, cells, uint32_t), plan->micro_batches};
    struct runner *runners = arena_array(arena, stages, struct runner);
    for (uint32_t stage = 0; stage < stages; stage++) {
        pipeline_actions(plan, stage, arena, &runners[stage].actions);
        runners[stage].free_at = 1; /* 0 means never */
    }
    for (bool has_moved = true; has_moved;) {
        has_moved = false;
        for (uint32_t stage = 0; stage < stages; stage++) {
            while (runners[stage].next < runners[stage].actions.count &&
                   action_run(plan, takes, stage, &runners[stage], &times)) {
                has_moved = true;
            }
        }
    }
    uint64_t end = 0;
    for (uint32_t stage = 0; stage < stages; stage++) {
        CHECK_EQUAL(runners[stage].next, runners[stage].actions.count);
        CHECK_EQUAL(runners[stage].put_off_next, runners[stage].put_off_count);
        end = later(end, runners[stage].free_at);
    }
    for (size_t i = 0; i < cells; i++) {
        CHECK(times.forward[i] > 0 && times.backward[i] > times.forward[i]);
        CHECK_EQUAL(times.weights[i], 1);
    }
    return end - 1;
}

static void test_bubbles(void)
{
    for (uint64_t pp = 1; pp <= 8; pp++) {
        for (uint64_t batches = pp; batches <= 3 * pp; batches++) {
            struct arena *arena = arena_new("test");
            const struct durations equal = {100, 100, 100, 0};
            struct transformer_plan plan = plan_of(SCHEDULE_1F1B, pp, 1, batches);
            CHECK_EQUAL(pipeline_run(&plan, &equal, arena), 300 * batches + 300 * (pp - 1));
            plan = plan_of(SCHEDULE_ZB_H1, pp, 1, batches);
            CHECK_EQUAL(pipeline_run(&plan, &equal, arena), 300 * batches + 100 * (pp - 1));
            for (uint64_t parts = 1; parts <= 4 && pp > 1 && batches % pp == 0; parts++) {
                plan = plan_of(SCHEDULE_INTERLEAVED, pp, parts, batches);
                CHECK_EQUAL(pipeline_run(&plan, &equal, arena), 300 * parts * batches + 300 * (pp - 1));
            }
            arena_free(arena);
        }
    }
}

/* (pp/2 - 1)(FB + B - 3W), B with its weights; both directions together have `batches` micro-batches a stage pair. */
static void test_dualpipe(void)
{
    for (uint64_t pp = 2; pp <= 16; pp += 2) {
        for (uint64_t batches = 2 * pp; batches <= 4 * pp; batches += 2) {
            struct arena *arena = arena_new("test");
            const struct durations takes = {100, 100, 100, 300};
            struct transformer_plan plan = plan_of(SCHEDULE_DUALPIPE, pp, 1, batches);
            uint64_t bubble = (pp / 2 - 1) * (300 + 200 - 3 * 100);
            CHECK_EQUAL(pipeline_run(&plan, &takes, arena), 300 * batches + bubble);
            arena_free(arena);
        }
    }
}

/* Fewer micro-batches than stages: still possible orders. */
static void test_short(void)
{
    const struct durations takes = {100, 100, 100, 300};
    for (uint64_t pp = 2; pp <= 6; pp++) {
        for (uint64_t batches = 1; batches < pp; batches++) {
            struct arena *arena = arena_new("test");
            struct transformer_plan plan = plan_of(SCHEDULE_1F1B, pp, 1, batches);
            pipeline_run(&plan, &takes, arena);
            plan = plan_of(SCHEDULE_ZB_H1, pp, 1, batches);
            pipeline_run(&plan, &takes, arena);
            arena_free(arena);
        }
    }
}

static void test_refused(void)
{
    const struct {
        struct transformer_plan plan;
        const char *says;
    } cases[] = {{plan_of(SCHEDULE_1F1B, 4, 2, 8), "virtual_stages is 2; expected 1"},
                 {plan_of(SCHEDULE_INTERLEAVED, 4, 2, 6), "6 micro-batches on 4 stages"},
                 {plan_of(SCHEDULE_INTERLEAVED, 1, 2, 6), "expected several stages"},
                 {plan_of(SCHEDULE_DUALPIPE, 3, 1, 8), "even number of stages"},
                 {plan_of(SCHEDULE_DUALPIPE, 4, 1, 9), "even number of micro-batches"},
                 {plan_of(SCHEDULE_DUALPIPE, 4, 1, 6), "at least twice the stages"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct diag diag = {""};
        CHECK_EQUAL(pipeline_check(&cases[i].plan, "model", &diag), STATUS_INPUT);
        CHECK_HOLDS(diag.text, cases[i].says);
        CHECK_HOLDS(diag.text, "model: ");
    }
}

TEST_MAIN("pipeline", TEST(test_bubbles), TEST(test_dualpipe), TEST(test_short), TEST(test_refused))
