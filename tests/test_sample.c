/* Asserted: a sample of a step, replayed packet by packet, times the factor that it states, is the step replayed whole,
 * within 12 %; factor and estimate stand in the summary. Not asserted: how good samples of other steps are. */
#include "netsim/run.h"
#include "tests/check.h"
#include "tests/support_run.h"

static struct result_summary replayed(const char *trace)
{
    struct arena *arena = arena_new("test");
    struct result_summary summary = whole_run_good(whole_request(trace, "clos-h100"), NULL, NULL, arena).summary;
    arena_free(arena);
    return summary;
}

#define STEP "model:llama3-8b,tp=2,pp=2,dp=4,layers=16,micro_batches=8,sequence=4096,shrink=200"

static void test_samples_stand_for_the_step(void)
{
    static const char *const samples[] = {",sample_micro_batches=4", ",sample_layers=8", ",sample_ranks=8",
                                          ",sample_ranks=8,sample_layers=8,sample_micro_batches=4"};
    struct result_summary whole = replayed(STEP);
    CHECK(whole.sample_time_factor == 1);
    CHECK_EQUAL(whole.full_step_time_ps, whole.iteration_time_ps);
    CHECK_EQUAL(whole.full_rank_count, 16);
    printf("\n    whole %.3f ms\n", (double)whole.iteration_time_ps * 1e-9);
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        char trace[200];
        snprintf(trace, sizeof trace, "%s%s", STEP, samples[i]);
        struct result_summary part = replayed(trace);
        printf("    %.3f ms times %.4f = %.3f ms, %+.1f %%, %s\n", (double)part.iteration_time_ps * 1e-9,
               part.sample_time_factor, (double)part.full_step_time_ps * 1e-9,
               100 * ((double)part.full_step_time_ps / (double)whole.iteration_time_ps - 1), samples[i]);
        CHECK(part.sample_time_factor > 1);
        CHECK_NEAR((double)part.iteration_time_ps * part.sample_time_factor, (double)part.full_step_time_ps, 1e-9);
        CHECK_NEAR((double)part.full_step_time_ps, (double)whole.iteration_time_ps, 0.12);
        CHECK_EQUAL(part.full_rank_count, 16);
        CHECK(part.packet_hop_count < whole.packet_hop_count);
    }
}

TEST_MAIN("sample", TEST(test_samples_stand_for_the_step))
