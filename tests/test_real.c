/* The main job on real traces: the astra-sim custom ring, the four 8-rank microbenchmarks, the STAGE Llama set, each over an
 * electrical and a photonic fabric. Asserted: every operation completes, payload equals the closed form, the photonic result
 * depends on its circuits. Not asserted: any particular time. Sources: astra-sim/astra-sim 518bd51
 * (examples/workload/microbenchmarks, examples/system/custom_collectives), astra-sim/stage 9ec6c02. */
#include "tests/check.h"
#include "tests/support_run.h"

#include "netsim/run.h"

#define MIB (UINT64_C(1) << 20)

static const char *const fabrics[] = {"clos-dsp", "optical-patch"};

struct outcome {
    enum status status;
    struct diag diag;
    struct run_result result; /* strings are gone */
    uint64_t op_count;
    uint64_t payload_bytes;    /* that the job's demand says */
};

static void job_count(const struct job *job, struct outcome *outcome)
{
    for (uint32_t rank = 0; rank < job->rank_count; rank++) {
        outcome->op_count += job_program(job, rank)->op_count;
    }
}

static struct outcome outcome_of(const char *trace, const char *fabric, const struct trace_setting *settings,
                                 size_t setting_count)
{
    struct outcome outcome = {.diag = {{0}}};
    struct arena *arena = arena_new("real trace");
    struct run_request request = whole_request(trace, fabric);
    request.settings = settings;
    request.setting_count = setting_count;
    const struct job *job;
    outcome.status = run_read(&request, arena, &job, &outcome.diag);
    if (outcome.status == STATUS_OK) {
        struct run_estimate estimate;
        struct diag ignored;
        job_count(job, &outcome);
        if (run_estimate(&request, job, arena, &estimate, &ignored) == STATUS_OK) {
            outcome.payload_bytes = estimate.payload_bytes;
        }
        outcome.status = run_job(&request, job, NULL, arena, &outcome.result, &outcome.diag);
    }
    if (outcome.status != STATUS_OK) {
        printf(" %s ...", outcome.diag.text);
    }
    arena_free(arena);
    return outcome;
}

/* On both fabrics: all operations done, `useful_bytes` of payload delivered (0: not checked). */
static void check_job(const char *relative, uint64_t operations, uint64_t useful_bytes)
{
    char trace[4096];
    const char *first = test_corpus(relative);
    if (first == NULL) {
        return;
    }
    snprintf(trace, sizeof trace, "%s", first);
    *strstr(trace, ".0.et") = '\0'; /* the prefix of the rank files */
    for (size_t i = 0; i < sizeof fabrics / sizeof fabrics[0]; i++) {
        struct outcome outcome = outcome_of(trace, fabrics[i], NULL, 0);
        CHECK_EQUAL(outcome.status, STATUS_OK);
        CHECK_EQUAL(outcome.result.summary.operation_count, outcome.op_count);
        CHECK_EQUAL(outcome.op_count, operations);
        CHECK_EQUAL(outcome.result.summary.useful_bytes, useful_bytes);
        CHECK_EQUAL(outcome.result.summary.drop_count, 0);
    }
}

/* 14 sends of 128 KiB a rank, all tags 0: an all-reduce of 1 MiB, 2 (n-1)/n of it sent by each of 8 ranks. */
static void test_custom_ring(void)
{
    check_job("traces/chakra/astra_custom_ring_8npus_1MB/custom_allreduce.0.et", 8 * 35, 8 * 14 * 131072);
}

static void test_all_reduce(void)
{
    check_job("traces/chakra/astra_microbench/all_reduce_8npus_1MB/all_reduce.0.et", 8, 8 * 2 * 7 * MIB / 8);
}

static void test_all_gather(void)
{
    check_job("traces/chakra/astra_microbench/all_gather_8npus_1MB/all_gather.0.et", 8, 8 * 7 * MIB);
}

static void test_reduce_scatter(void)
{
    check_job("traces/chakra/astra_microbench/reduce_scatter_8npus_1MB/reduce_scatter.0.et", 8, 8 * 7 * MIB / 8);
}

static void test_all_to_all(void)
{
    check_job("traces/chakra/astra_microbench/all_to_all_8npus_1MB/all_to_all.0.et", 8, 8 * 7 * MIB / 8);
}

/* The STAGE set has groups, pipeline messages and sizes in elements: what arrives is what its demand says, all 2816
 * operations (348 on four ranks, 356 on the others) complete. */
static void test_stage_llama(void)
{
    const char *first = test_corpus("traces/chakra/stage_llama_dp2tp2pp2/w.0.et");
    if (first == NULL) {
        return;
    }
    char trace[4096];
    snprintf(trace, sizeof trace, "%s", first);
    *strstr(trace, ".0.et") = '\0';
    for (size_t i = 0; i < sizeof fabrics / sizeof fabrics[0]; i++) {
        struct outcome outcome = outcome_of(trace, fabrics[i], NULL, 0);
        CHECK_EQUAL(outcome.status, STATUS_OK);
        CHECK_EQUAL(outcome.result.summary.operation_count, 4 * 348 + 4 * 356);
        CHECK_EQUAL(outcome.result.summary.useful_bytes, outcome.payload_bytes);
        CHECK(outcome.payload_bytes > 0);
        CHECK(outcome.result.summary.compute_ps > 0); /* from the roofline: the trace has no durations */
    }
}

static uint64_t photonic_makespan_ps(const char *trace, const char *key, const char *text, enum status expected)
{
    const struct trace_setting setting = {key, text, {"--set", 0, 0}};
    struct outcome outcome = outcome_of(trace, "optical-patch", &setting, key == NULL ? 0 : 1);
    CHECK_EQUAL(outcome.status, expected);
    return outcome.result.summary.makespan_ps;
}

/* Half of the circuits: another result. None: the ranks cannot reach each other, and the run is refused. A reconfiguration that takes
 * a millisecond longer is charged to the picosecond. */
static void check_circuits(const char *trace)
{
    uint64_t all_ps = photonic_makespan_ps(trace, NULL, NULL, STATUS_OK);
    uint64_t fewer_ps = photonic_makespan_ps(trace, "degree", "2", STATUS_OK);
    CHECK(fewer_ps > all_ps);
    uint64_t slower_ps = photonic_makespan_ps(trace, "part.palomar.settle_ps", "3ms", STATUS_OK);
    CHECK_EQUAL(slower_ps - all_ps, 1 * PS_PER_MS);
    photonic_makespan_ps(trace, "planner", "none", STATUS_INPUT);
}

static void test_circuits_taken_away(void)
{
    check_circuits("pattern:all_reduce,ranks=8,bytes=1MiB");
    const char *first = test_corpus("traces/chakra/astra_microbench/all_reduce_8npus_1MB/all_reduce.0.et");
    if (first != NULL) {
        char trace[4096];
        snprintf(trace, sizeof trace, "%s", first);
        *strstr(trace, ".0.et") = '\0';
        check_circuits(trace);
    }
}

TEST_MAIN("real", TEST(test_custom_ring), TEST(test_all_reduce), TEST(test_all_gather), TEST(test_reduce_scatter),
          TEST(test_all_to_all), TEST(test_stage_llama), TEST(test_circuits_taken_away))
