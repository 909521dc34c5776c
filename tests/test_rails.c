/* Rails without spines against rails with them (Wang et al., "Rail-only", Hot Interconnects 2024).
 *
 * Asserted: a dense step, which only crosses servers inside rails, takes the same time; an all-to-all that passes on in
 * stages (over the rail first, then over scale-up) takes 8 to 12 % longer than one that goes directly. Not asserted: passing
 * on packet by packet, which overlaps both stages (test of the electrical families). */
#include "netsim/run.h"
#include "tests/check.h"
#include "tests/support_run.h"

#define SERVERS 4
#define GPUS 8
#define RANKS (SERVERS * GPUS)

static double ran_us(const struct job *job, const char *fabric, const char *key, const char *value)
{
    struct arena *arena = arena_new("test");
    const char *settings = key == NULL ? NULL : arena_printf(arena, "%s=%s", key, value);
    struct run_result result = whole_run_good(whole_request("test", fabric), job, settings, arena);
    double time_us = (double)result.summary.makespan_ps / 1e6;
    arena_free(arena);
    return time_us;
}

static const struct job *dense_job(struct arena *arena)
{
    static const char *const settings[][2] = {{"tp", "8"}, {"pp", "2"}, {"dp", "2"}, {"shrink", "4000"},
                                              {"layers", "8"}, {"micro_batches", "4"}};
    const struct trace_model *model;
    struct diag diag = {""};
    const struct job *job = NULL;
    CHECK_EQUAL(trace_model_load("llama3-8b", arena, &model, &diag), STATUS_OK);
    void *values = param_defaults(&model->params, arena);
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        CHECK_EQUAL(param_assign(&model->params, values, settings[i][0], settings[i][1], (struct origin){"test", 0, 0},
                                 arena, &diag), STATUS_OK);
    }
    CHECK_EQUAL(model->generate(model, values, arena, &job, &diag), STATUS_OK);
    return job;
}

static void test_dense_steps_are_alike(void)
{
    struct arena *arena = arena_new("test");
    const struct job *job = dense_job(arena);
    double spines_us = ran_us(job, "rail-h100", NULL, NULL), only_us = ran_us(job, "rail-only-h100", NULL, NULL);
    printf("dense step: %.1f us with spines, %.1f us rails only\n", spines_us, only_us);
    CHECK_NEAR(only_us, spines_us, 0.01);
    arena_free(arena);
}

/* What a rank does in one stage: a message to each of some others, and one from each. */
struct stage {
    uint32_t peer[RANKS];
    uint32_t count;
    uint64_t bytes;
};

/* Posts the stage's messages once `after` operations of the program, all of them, are done. */
static uint32_t stage_add(struct job_builder *builder, const struct stage *stage, uint32_t tag, uint32_t after)
{
    uint32_t last = after;
    for (uint32_t i = 0; i < stage->count; i++) {
        const struct op ops[] = {
            {.kind = OP_SEND, .peer = stage->peer[i], .bytes = stage->bytes, .tag = tag, .stream = STREAM_NONE},
            {.kind = OP_RECV, .peer = stage->peer[i], .bytes = stage->bytes, .tag = tag, .stream = STREAM_NONE}};
        for (int k = 0; k < 2; k++) {
            last = job_builder_op(builder, &ops[k]);
            for (uint32_t on = 0; on < after; on++) {
                job_builder_dep(builder, last, on);
            }
        }
    }
    return last + 1;
}

/* All-to-all with `bytes` a pair between servers, directly or in two stages; traffic inside servers is left out. */
static const struct job *exchange_job(struct arena *arena, uint64_t bytes, bool is_staged)
{
    struct job_builder *builder = job_builder_new(arena, "exchange", "test", RANKS);
    struct diag diag = {""};
    const struct job *job = NULL;
    for (uint32_t rank = 0; rank < RANKS; rank++) {
        struct stage direct = {.bytes = bytes}, rail = {.bytes = bytes * GPUS},
                     inside = {.bytes = bytes * (SERVERS - 1)};
        for (uint32_t step = 1; step < RANKS; step++) {
            uint32_t to = rank ^ step;
            if (to / GPUS != rank / GPUS) {
                direct.peer[direct.count++] = to;
            }
            if (to % GPUS == rank % GPUS) {
                rail.peer[rail.count++] = to;
            } else if (to / GPUS == rank / GPUS) {
                inside.peer[inside.count++] = to;
            }
        }
        job_builder_rank(builder, rank);
        uint32_t done = stage_add(builder, is_staged ? &rail : &direct, 0, 0);
        if (is_staged) {
            stage_add(builder, &inside, 1, done);
        }
        CHECK_EQUAL(job_builder_rank_end(builder, "test", &diag), STATUS_OK);
    }
    CHECK_EQUAL(job_builder_finish(builder, &job, &diag), STATUS_OK);
    return job;
}

/* By hand: the second stage moves 7 of 8 parts of what the NIC moved, nine times as fast (450 GB/s, 50 GB/s): 9.7 % more. */
static void test_staged_all_to_all_takes_longer(void)
{
    struct arena *arena = arena_new("test");
    const struct job *direct = exchange_job(arena, 400000, false), *staged = exchange_job(arena, 400000, true);
    double spines_us = ran_us(direct, "rail-h100", "pxn", "no"), only_us = ran_us(staged, "rail-only-h100", NULL, NULL);
    double by_packet_us = ran_us(direct, "rail-only-h100", NULL, NULL);
    printf("all-to-all: %.1f us with spines, %.1f us rails only in stages (%+.1f %%; published +8.2 to +11.2 %%), %.1f us packet by "
           "packet\n", spines_us, only_us, 100 * (only_us / spines_us - 1), by_packet_us);
    CHECK(only_us > 1.08 * spines_us && only_us < 1.12 * spines_us);
    CHECK(by_packet_us < only_us);
    arena_free(arena);
}

TEST_MAIN("rails", TEST(test_dense_steps_are_alike), TEST(test_staged_all_to_all_takes_longer))
