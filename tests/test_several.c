/* Several jobs on one fabric, placement, noise. Asserted: a job that starts later runs as it does alone,
 * moved in time; peers and groups stay within their job; every placement is what it says and gives no host
 * twice; noise has the mean, spread and bounds of its distribution, slow ranks take their factor; equal seeds
 * give equal digests with any number of threads; options that are wrong are refused in one line. Not
 * asserted: how much jobs slow each other down. */
#include "netsim/base/job_mix.h"
#include "netsim/job_list.h"
#include "netsim/placement.h"
#include "netsim/run.h"
#include "tests/check.h"
#include "tests/support_run.h"

#include <math.h>

struct outcome {
    enum status status;
    struct diag diag;
    uint64_t digest, makespan_ps, compute_ps;
    struct result_jobs jobs[4]; /* their texts are gone */
    uint32_t job_count;
};

struct wish {
    const char *traces[4];
    const char *settings[4][2];
    uint32_t iterations, threads;
    uint64_t seed;
    enum run_engine engine;
};

static struct outcome run(struct wish wish)
{
    struct outcome outcome = {.diag = {""}};
    struct arena *arena = arena_new("several jobs");
    struct trace_setting settings[4];
    struct run_result result;
    size_t more = 0, setting_count = 0;
    for (; wish.traces[more + 1] != NULL; more++) {
    }
    for (; setting_count < 4 && wish.settings[setting_count][0] != NULL; setting_count++) {
        settings[setting_count] = (struct trace_setting){
            wish.settings[setting_count][0], wish.settings[setting_count][1], {.path = "--set"}};
    }
    struct run_request request = whole_request(wish.traces[0], "clos-dsp");
    request.more_traces = wish.traces + 1;
    request.more_trace_count = more;
    request.settings = settings;
    request.setting_count = setting_count;
    request.seed = wish.seed > 0 ? wish.seed : 1;
    request.iterations = wish.iterations > 0 ? wish.iterations : 1;
    request.threads = wish.threads;
    request.engine = wish.engine;
    outcome.status = whole_run(request, NULL, NULL, arena, &result, &outcome.diag);
    outcome.digest = result.digest;
    outcome.makespan_ps = result.summary.makespan_ps;
    outcome.compute_ps = result.summary.compute_ps;
    outcome.job_count = result.job_count;
    for (uint32_t i = 0; i < result.job_count && i < 4; i++) {
        outcome.jobs[i] = result.jobs[i];
    }
    arena_free(arena);
    return outcome;
}

#define RING   "pattern:ring,ranks=5,bytes=1MiB,compute=10us"
#define REDUCE "pattern:all_reduce,ranks=8,bytes=4MiB"

/* ---- side by side ---------------------------------------------------------------------------------------
 */

static void test_alone_and_later(void)
{
    struct outcome alone = run((struct wish){.traces = {REDUCE}});
    struct outcome later = run((struct wish){.traces = {REDUCE ",start=1ms"}});
    CHECK_EQUAL(alone.status, STATUS_OK);
    CHECK_EQUAL(later.status, STATUS_OK);
    CHECK_TEXT(later.diag.text, "");
    CHECK_EQUAL(alone.job_count, 1);
    CHECK_EQUAL(alone.jobs[0].makespan_ps, alone.makespan_ps);
    CHECK_EQUAL(later.makespan_ps, alone.makespan_ps + PS_PER_MS);
    CHECK_EQUAL(later.jobs[0].makespan_ps, alone.makespan_ps);
    CHECK_EQUAL(later.jobs[0].start_ps, PS_PER_MS);
    /* A part without a wish is the job itself. */
    struct outcome named = run((struct wish){.traces = {REDUCE ",name=x"}});
    CHECK_EQUAL(named.digest, alone.digest);
}

/* Rings wrap round within their job, and all that is sent arrives. */
static void test_peers(void)
{
    struct outcome ring = run((struct wish){.traces = {RING}});
    struct outcome both = run((struct wish){.traces = {REDUCE, RING, RING ",start=3us"}});
    CHECK_EQUAL(both.status, STATUS_OK);
    CHECK_TEXT(both.diag.text, "");
    CHECK_EQUAL(both.job_count, 3);
    CHECK_EQUAL(both.jobs[1].first_rank, 8);
    CHECK_EQUAL(both.jobs[2].first_rank, 13);
    for (int i = 1; i < 3; i++) {
        CHECK_EQUAL(both.jobs[i].sent_bytes, UINT64_C(5) << 20);
        CHECK_EQUAL(both.jobs[i].operations, both.jobs[i].operations_all);
        CHECK_EQUAL(both.jobs[i].compute_ps, 10 * PS_PER_US);
        CHECK(both.jobs[i].makespan_ps >= ring.makespan_ps);
    }
    CHECK_EQUAL(both.jobs[0].sent_bytes, UINT64_C(2) * 7 * (4 << 20));
    /* Steps of each job by itself. */
    struct outcome steps = run((struct wish){.traces = {RING, RING ",start=50us"}, .iterations = 4});
    CHECK_EQUAL(steps.status, STATUS_OK);
    CHECK(steps.jobs[0].iteration_time_ps <= steps.jobs[0].makespan_ps / 3);
    CHECK_EQUAL(steps.jobs[1].operations, steps.jobs[1].operations_all);
}

/* Far apart, jobs do not meet: the second one's digest is that of any number of threads. */
static void test_threads(void)
{
    uint64_t first = 0;
    for (uint32_t threads = 1; threads <= 3; threads++) {
        struct outcome outcome = run((struct wish){.traces = {REDUCE, RING ",placement=random:5,start=20us"},
                                                   .settings = {{"noise.amount", "10%"}},
                                                   .threads = threads});
        CHECK_EQUAL(outcome.status, STATUS_OK);
        first = threads == 1 ? outcome.digest : first;
        CHECK_EQUAL(outcome.digest, first);
    }
}

static void test_simgrid(void)
{
    if (!PHOTONET_HAVE_SIMGRID) {
        test_skip("built without SimGrid");
        return;
    }
    struct outcome packet = run((struct wish){.traces = {REDUCE, RING ",start=1ms"}});
    struct outcome fluid =
        run((struct wish){.traces = {REDUCE, RING ",start=1ms"}, .engine = RUN_ENGINE_SIMGRID});
    CHECK_EQUAL(fluid.status, STATUS_OK);
    CHECK_TEXT(fluid.diag.text, "");
    CHECK_EQUAL(fluid.job_count, 2);
    CHECK(fluid.jobs[1].end_ps > PS_PER_MS);
    CHECK_NEAR((double)fluid.jobs[1].makespan_ps, (double)packet.jobs[1].makespan_ps, 0.1);
}

/* Tables of unequal parts keep their numbers apart. */
static const struct job *uneven(struct arena *arena, uint64_t bytes)
{
    static const uint32_t members[] = {0, 1};
    const uint64_t parts[] = {0, bytes, 2 * bytes, 0};
    struct diag diag = {""};
    uint32_t group;
    struct job_builder *builder = job_builder_new(arena, "uneven", "test", 2);
    job_builder_group(builder, "g", members, 2, (struct origin){.path = "t"}, &group, &diag);
    for (uint32_t rank = 0; rank < 2; rank++) {
        struct op op = {.kind = OP_COLLECTIVE,
                        .collective = COLLECTIVE_ALL_TO_ALL,
                        .group_slot = job_builder_slot(builder, rank, group)};
        op.pairs = job_builder_pairs(builder, 2, parts);
        job_builder_rank(builder, rank);
        job_builder_op(builder, &op);
        job_builder_rank_end(builder, "t", &diag);
    }
    const struct job *job = NULL;
    CHECK_EQUAL(job_builder_finish(builder, &job, &diag), STATUS_OK);
    return job;
}

static void test_tables(void)
{
    struct arena *arena = arena_new("test");
    const struct job *jobs[] = {uneven(arena, 100), uneven(arena, 7000)};
    const struct job_part parts[] = {{.name = "a", .spec = "a"}, {.name = "b", .spec = "b"}};
    const struct job *both = job_mix(arena, jobs, parts, 2);
    CHECK_EQUAL(both->pair_table_count, 2);
    CHECK_EQUAL(job_pairs(both, job_program(both, 1), 0)->bytes[2], 200);
    CHECK_EQUAL(job_pairs(both, job_program(both, 3), 0)->bytes[2], 14000);
    CHECK_EQUAL(job_group(both, 3, 0), 1);
    CHECK_EQUAL(both->group_rank[3], 3);
    CHECK_EQUAL(both->parts[1].group_first, 1);
    arena_free(arena);
}

/* ---- placement ------------------------------------------------------------------------------------------
 */

static enum status place(const char *const *placements, uint32_t count, uint32_t host_count,
                         uint32_t hosts[64], struct diag *diag)
{
    struct arena *arena = arena_new("test");
    const struct job *jobs[4], *job;
    struct job_part parts[4];
    for (uint32_t i = 0; i < count; i++) {
        struct diag ignored = {""};
        CHECK_EQUAL(trace_read(RING, 0, NULL, 0, arena, &jobs[i], &ignored), STATUS_OK);
        parts[i] = (struct job_part){.name = "ring", .spec = RING, .placement = placements[i]};
    }
    const uint32_t *rank_host;
    job = job_mix(arena, jobs, parts, count);
    *diag = (struct diag){""};
    enum status status = placement_make(job, host_count, 1, arena, &rank_host, diag);
    if (status == STATUS_OK) {
        memcpy(hosts, rank_host, job->rank_count * sizeof *hosts);
    }
    arena_free(arena);
    return status;
}

static void hosts_check(const uint32_t *hosts, uint32_t count, uint32_t host_count)
{
    bool is_met[64] = {false};
    for (uint32_t i = 0; i < count; i++) {
        CHECK(hosts[i] < host_count && !is_met[hosts[i]]);
        is_met[hosts[i] % 64] = true;
    }
}

static void test_placements(void)
{
    uint32_t hosts[64], again[64], other[64];
    struct diag diag;
    CHECK_EQUAL(place((const char *[]){NULL, "linear"}, 2, 12, hosts, &diag), STATUS_OK);
    for (uint32_t rank = 0; rank < 10; rank++) {
        CHECK_EQUAL(hosts[rank], rank);
    }
    CHECK_EQUAL(place((const char *[]){"random:3", "random:3"}, 2, 40, hosts, &diag), STATUS_OK);
    CHECK_EQUAL(place((const char *[]){"random:3", "random:3"}, 2, 40, again, &diag), STATUS_OK);
    CHECK_EQUAL(place((const char *[]){"random:4", "random:4"}, 2, 40, other, &diag), STATUS_OK);
    hosts_check(hosts, 10, 40);
    hosts_check(other, 10, 40);
    CHECK(memcmp(hosts, again, 10 * sizeof *hosts) == 0);
    CHECK(memcmp(hosts, other, 10 * sizeof *hosts) != 0);
    /* Three rails: hosts 0 3 6 9, then 1 4 7 10, then 2 5 8 11. */
    static const uint32_t rails[] = {0, 3, 6, 9, 1, 4, 7, 10, 2, 5};
    CHECK_EQUAL(place((const char *[]){"rail:3", "rail:3"}, 2, 12, hosts, &diag), STATUS_OK);
    CHECK(memcmp(hosts, rails, sizeof rails) == 0);
    CHECK_EQUAL(place((const char *[]){"linear", "random", "linear"}, 3, 14, hosts, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "job ring has 5 ranks, 1 a host, but 4 of the fabric's 14 hosts are free");
}

static void placement_file(const char *text, char spec[600])
{
    snprintf(spec, 600, "file:%s/hosts", test_directory());
    FILE *file = fopen(spec + 5, "w");
    CHECK(file != NULL && fputs(text, file) >= 0);
    fclose(file);
}

static void test_placement_file(void)
{
    uint32_t hosts[64];
    struct diag diag;
    char spec[600];
    placement_file("# five hosts\n 2\r\n11 # another\n\n0\n7\n9", spec);
    CHECK_EQUAL(place((const char *[]){"linear", spec}, 2, 12, hosts, &diag), STATUS_OK);
    static const uint32_t expected[] = {1, 3, 4, 5, 6, 2, 11, 0, 7, 9};
    CHECK(memcmp(hosts, expected, sizeof expected) == 0);
    static const struct {
        const char *text, *part;
    } bad[] = {
        {"1\n2\n3\n", "names 3 hosts; expected 5"},
        {"1\n2\n3\n4\n5\n6\n", "hosts:6: is a host too many"},
        {"1\n12\n", "hosts:2: expected the number of a host below 12"},
        {"one\n", "hosts:1: expected the number of a host"},
        {"1 2\n", "hosts:1: expected the number of a host"},
        {"-1\n", "hosts:1: expected the number of a host"},
        {"1\n2\n\n2\n3\n4\n", "hosts:4: host 2 is taken already, by line 2 of the placement of job ring; expected each host once"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        placement_file(bad[i].text, spec);
        CHECK_EQUAL(place((const char *[]){spec}, 1, 12, hosts, &diag), STATUS_INPUT);
        CHECK_HOLDS(diag.text, bad[i].part);
    }
    CHECK_EQUAL(place((const char *[]){"file:/nowhere/at/all"}, 1, 12, hosts, &diag), STATUS_INPUT);
    CHECK_EQUAL(place((const char *[]){"file:/"}, 1, 12, hosts, &diag), STATUS_INPUT);
    CHECK_TEXT(diag.text, "/: is a folder; expected a file with a host a line, the placement of job ring");
    placement_file("3 # one\n", spec);
    CHECK_EQUAL(place((const char *[]){spec}, 1, 12, hosts, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "names 1 host; expected 5");
    CHECK_EQUAL(place((const char *[]){"rail:12"}, 1, 12, hosts, &diag), STATUS_OK);
    CHECK_EQUAL(place((const char *[]){"rail:13"}, 1, 12, hosts, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "placement rail:13 of job ring: the fabric has 12 hosts; expected no more rails than hosts");
    placement_file("1\n2\n3\n4\n5\n", spec); /* both jobs name the same */
    CHECK_EQUAL(place((const char *[]){spec, spec}, 2, 12, hosts, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "hosts:1: host 1 is taken already, by line 1 of the placement of job ring");
}

/* ---- noise ----------------------------------------------------------------------------------------------
 */

static void test_noise_moments(void)
{
    for (uint32_t kind = NOISE_UNIFORM; kind <= NOISE_EXPONENTIAL; kind++) {
        const struct noise noise = {
            .distribution = (enum noise_distribution)kind, .amount_ppm = 100000, .seed = test_seed()};
        double sum = 0, squares = 0, low = INFINITY;
        const int count = 200000;
        for (int i = 0; i < count; i++) {
            double factor =
                (double)noise_duration_ps(&noise, (uint32_t)i % 64, 0, (uint32_t)i / 64, 1000000000) * 1e-9;
            sum += factor - 1;
            squares += (factor - 1) * (factor - 1);
            low = factor < low ? factor : low;
        }
        double mean = sum / count, expected = kind == NOISE_EXPONENTIAL ? 0.1 : 0;
        CHECK(fabs(mean - expected) < 0.001); /* four standard errors: 0.1 / sqrt(200000) * 4 */
        CHECK_NEAR(sqrt(squares / count - mean * mean), 0.1, 0.02);
        CHECK(low >= (kind == NOISE_EXPONENTIAL ? 1.0 : kind == NOISE_UNIFORM ? 1 - 0.1733 : 0.4));
    }
    const struct noise wild = {.distribution = NOISE_NORMAL, .amount_ppm = 5000000, .seed = 1};
    for (uint32_t op = 0; op < 1000; op++) {
        CHECK(noise_duration_ps(&wild, 0, 0, op, UINT64_MAX / 2) <= UINT64_MAX / 4);
    }
}

#define WORK "pattern:all_reduce,ranks=8,bytes=1kB,compute=1ms"

static void test_noise_in_a_run(void)
{
    struct outcome none = run((struct wish){.traces = {WORK}});
    struct outcome off = run((struct wish){.traces = {WORK}, .settings = {{"noise.amount", "0"}}});
    struct outcome on = run((struct wish){.traces = {WORK}, .settings = {{"noise.amount", "5%"}}});
    struct outcome same = run((struct wish){.traces = {WORK}, .settings = {{"noise.amount", "5%"}}});
    struct outcome other =
        run((struct wish){.traces = {WORK}, .settings = {{"noise.amount", "5%"}, {"noise.seed", "9"}}});
    CHECK_EQUAL(none.compute_ps, PS_PER_MS);
    CHECK_EQUAL(off.digest, none.digest);
    CHECK(on.digest != none.digest && on.digest == same.digest && other.digest != on.digest);
    CHECK_NEAR((double)on.compute_ps, 1e9, 0.1);
    CHECK(on.makespan_ps > none.makespan_ps); /* the slowest of eight */
    struct outcome slow = run((struct wish){
        .traces = {WORK}, .settings = {{"noise.slow_ranks", "2,4-5"}, {"noise.slow_factor", "3"}}});
    CHECK_EQUAL(slow.compute_ps, (5 * PS_PER_MS + 3 * 3 * PS_PER_MS) / 8);
    CHECK_EQUAL(slow.makespan_ps, none.makespan_ps + 2 * PS_PER_MS);
    struct outcome drawn = run((struct wish){.traces = {WORK}, .settings = {{"noise.slow_count", "3"}}});
    CHECK_EQUAL(drawn.compute_ps, (5 * PS_PER_MS + 3 * PS_PER_MS * 3 / 2) / 8);
}

/* ---- refusals -------------------------------------------------------------------------------------------
 */

static void refused(struct wish wish, enum status status, const char *part)
{
    struct outcome outcome = run(wish);
    CHECK_EQUAL(outcome.status, status);
    CHECK_HOLDS(outcome.diag.text, part);
    CHECK(strchr(outcome.diag.text, '\n') == NULL);
}

static void test_refusals(void)
{
    refused((struct wish){.traces = {REDUCE ",start=5"}}, STATUS_INPUT, "start 5: is a bare number");
    refused((struct wish){.traces = {REDUCE ",placement=corner"}}, STATUS_INPUT,
            "placement corner: expected linear");
    refused((struct wish){.traces = {REDUCE ",placement=random:x"}}, STATUS_INPUT, "placement random:x");
    refused((struct wish){.traces = {REDUCE ",placement=rail"}}, STATUS_INPUT, "placement rail: expected");
    refused((struct wish){.traces = {REDUCE ",placement=rail:0"}}, STATUS_INPUT, "placement rail:0");
    refused((struct wish){.traces = {REDUCE ",placement=file"}}, STATUS_INPUT, "placement file: expected");
    refused((struct wish){.traces = {REDUCE ",placement=linear:3"}}, STATUS_INPUT, "placement linear:3");
    refused((struct wish){.traces = {"a.job,color=red"}}, STATUS_INPUT,
            "\"color=red\" is no option of a job");
    refused((struct wish){.traces = {"a.job,seed=3"}}, STATUS_INPUT,
            "seed=3: expected it beside placement=random");
    refused((struct wish){.traces = {"a.job,ranks=0"}}, STATUS_INPUT, "ranks 0");
    refused((struct wish){.traces = {"a.job,start=1ms"}}, STATUS_INPUT, "a.job: no such trace");
    refused((struct wish){.traces = {WORK}, .settings = {{"noise.slow_ranks", "2,,3"}}}, STATUS_INPUT,
            "noise.slow_ranks");
    refused((struct wish){.traces = {WORK}, .settings = {{"noise.slow_ranks", "8"}}}, STATUS_INPUT,
            "ranks below 8");
    refused((struct wish){.traces = {WORK}, .settings = {{"noise.slow_ranks", "5-4"}}}, STATUS_INPUT,
            "noise.slow_ranks");
    refused((struct wish){.traces = {WORK}, .settings = {{"noise.slow_count", "9"}}}, STATUS_INPUT,
            "there are 8 ranks");
    refused((struct wish){.traces = {WORK}, .settings = {{"noise.distribution", "cauchy"}}}, STATUS_INPUT,
            "cauchy");
}

/* Files and prefixes with options; a file whose name holds a comma is that file. */
static void test_specs(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag = {""};
    struct job_spec spec;
    char path[600];
    CHECK_EQUAL(job_spec_parse("x/y.et,ranks=4,trace.deps=data,placement=random,seed=7,name=big", arena,
                               &spec, &diag),
                STATUS_OK);
    CHECK_TEXT(spec.spec, "x/y.et");
    CHECK_EQUAL(spec.ranks, 4);
    CHECK_TEXT(spec.placement, "random:7");
    CHECK_TEXT(spec.name, "big");
    CHECK_EQUAL(spec.setting_count, 1);
    CHECK_TEXT(spec.settings[0].key, "deps");
    CHECK_TEXT(spec.settings[0].text, "data");
    CHECK_EQUAL(job_spec_parse("pattern:permutation,ranks=4,seed=2,start=1us,bytes=1kB", arena, &spec, &diag),
                STATUS_OK);
    CHECK_TEXT(spec.spec, "pattern:permutation,ranks=4,seed=2,bytes=1kB");
    CHECK_EQUAL(spec.start_ps, PS_PER_US);
    CHECK_EQUAL(job_spec_parse("pattern:permutation,ranks=4,placement=random,seed=3,seed=2", arena, &spec, &diag), STATUS_OK);
    CHECK_TEXT(spec.spec, "pattern:permutation,ranks=4,seed=2");
    CHECK_TEXT(spec.placement, "random:3");
    CHECK_EQUAL(job_spec_parse("pattern:permutation,placement=random,ranks=4,seed=2", arena, &spec, &diag), STATUS_OK);
    CHECK_TEXT(spec.spec, "pattern:permutation,ranks=4,seed=2");
    CHECK_TEXT(spec.placement, "random");
    CHECK_EQUAL(job_spec_parse("pattern:ring,placement=random:4,seed=2", arena, &spec, &diag), STATUS_OK);
    CHECK_TEXT(spec.spec, "pattern:ring,seed=2");
    snprintf(path, sizeof path, "%s/a,start=1us", test_directory());
    FILE *file = fopen(path, "w");
    fclose(file);
    CHECK_EQUAL(job_spec_parse(path, arena, &spec, &diag), STATUS_OK);
    CHECK_TEXT(spec.spec, path);
    CHECK(!spec.has_options);
    arena_free(arena);
}

/* ---- lists in files ---------------------------------------------------------------------------------------
 */

static const char *list_write(const char *name, const char *text)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", test_directory(), name);
    FILE *file = fopen(path, "wb");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
    return path;
}

/* The same jobs on the command line and in a file, YAML or JSON: one digest, one outcome for each. */
static void test_list_in_a_file(void)
{
    struct outcome line = run((struct wish){.traces = {REDUCE ",start=1ms,placement=random:3,name=late", RING}});
    struct outcome yaml = run((struct wish){.traces = {list_write("jobs.yaml", "# two jobs\njobs:\n"
        "  - trace: " REDUCE "\n    start: 1ms\n    placement: random\n    seed: 3\n    name: late\n"
        "  - {trace: \"" RING "\"}\n")}});
    struct outcome json = run((struct wish){.traces = {list_write("jobs.json", "{\"jobs\": [{\"trace\": \"" REDUCE "\", "
        "\"start\": \"1ms\", \"placement\": \"random:3\", \"name\": \"late\"}, {\"trace\": \"" RING "\"}]}")}});
    struct outcome both = run((struct wish){.traces = {list_write("one.yaml", "jobs:\n- {trace: \"" REDUCE "\", start: 1ms, "
        "placement: \"random:3\", name: late}\n"), RING}});
    CHECK_EQUAL(line.status, STATUS_OK);
    CHECK_EQUAL(line.job_count, 2);
    const struct outcome *const others[] = {&yaml, &json, &both};
    for (size_t i = 0; i < 3; i++) {
        CHECK_TEXT(others[i]->diag.text, "");
        CHECK_EQUAL(others[i]->status, STATUS_OK);
        CHECK_EQUAL(others[i]->digest, line.digest);
        CHECK_EQUAL(others[i]->job_count, 2);
        for (uint32_t job = 0; job < 2; job++) {
            CHECK_EQUAL(others[i]->jobs[job].start_ps, line.jobs[job].start_ps);
            CHECK_EQUAL(others[i]->jobs[job].end_ps, line.jobs[job].end_ps);
        }
    }
    struct outcome ranks = run((struct wish){.traces = {list_write("ranks.yaml", "jobs: [{trace: \"" REDUCE "\", ranks: 8}]\n")}});
    CHECK_EQUAL(ranks.digest, run((struct wish){.traces = {REDUCE ",start=0ns"}}).digest);
}

static void list_refused(const char *text, const char *part)
{
    struct outcome outcome = run((struct wish){.traces = {list_write("bad.yaml", text)}});
    CHECK_EQUAL(outcome.status, STATUS_INPUT);
    CHECK_HOLDS(outcome.diag.text, part);
}

static void test_bad_lists(void)
{
    list_refused("jobs:\n  - {start: 1ms}\n", "bad.yaml:2:5: a job without a trace; expected trace: SPEC");
    list_refused("jobs:\n  - {trace: \"" RING "\", begin: 1ms}\n", "unknown key \"begin\" of a job; expected trace, start");
    list_refused("jobs:\n  - {trace: \"" RING "\", start: 5}\n", "bad.yaml:2:");
    list_refused("jobs:\n  - {trace: \"" RING "\", start: [1ms]}\n", "start of a job is a list or a map; expected a value");
    list_refused("jobs:\n  - {trace: \"" RING "\", placement: north}\n", "placement north: expected linear, random");
    list_refused("jobs:\n  - {trace: \"" RING "\", seed: 3}\n", "seed=3: expected it beside placement=random");
    list_refused("jobs:\n  - {trace: \"" RING "\", ranks: 0}\n", "ranks 0: expected a number from 1");
    list_refused("jobs:\n  - a.job\n", "a job is no map; expected {trace: SPEC, start: TIME, ...}");
    list_refused("jobs: []\n", "jobs is no list, or an empty one");
    list_refused("jobs: 5\n", "jobs is no list, or an empty one");
    list_refused("jobs: [{trace: \"" RING "\"}]\nfabric: fat_tree\n", "\"fabric\" beside jobs; expected jobs alone");
    list_refused("jobs: [{trace: /nowhere/a.job}]\n", "/nowhere/a.job");
    list_refused("jobs: [{trace: \"" RING "\"}, {trace: \"" RING "\"\n", "bad.yaml:");
}

/* A scenario: fabric, parameters and jobs in one file, without a --trace. */
static void test_scenario(void)
{
    if (getenv("PHOTONET") == NULL) {
        test_skip("PHOTONET names no program to run");
        return;
    }
    char output[8192], expected[64], apart[1024];
    const char *program = getenv("PHOTONET");
    snprintf(apart, sizeof apart, "%s", list_write("apart.yaml", "fabric: fat_tree\nhosts: 16\nreplay.receive: delivered\n"));
    CHECK_EQUAL(test_shell(output, sizeof output, "%s run -q -t %s,start=1ms -t %s -f %s", program, REDUCE, RING, apart), 0);
    const char *digest = strstr(output, "\ndigest  ");
    CHECK(digest != NULL);
    snprintf(expected, sizeof expected, "%.25s", digest == NULL ? "none" : digest);
    const char *path = list_write("whole.yaml", "fabric: fat_tree\nhosts: 16\nreplay.receive: delivered\njobs:\n"
                                                "  - {trace: \"" REDUCE "\", start: 1ms}\n  - {trace: \"" RING "\"}\n");
    CHECK_EQUAL(test_shell(output, sizeof output, "%s run -q -f %s", program, path), 0);
    CHECK_HOLDS(output, expected);
    CHECK_EQUAL(test_shell(output, sizeof output, "%s run -q -f %s -t %s", program, path, RING), 1);
    CHECK_HOLDS(output, "whole.yaml holds jobs; expected no --trace beside it");
    CHECK_EQUAL(test_shell(output, sizeof output, "%s run -q -f %s -f %s", program, path, path), 1);
    CHECK_HOLDS(output, "whole.yaml holds jobs; expected no other list of jobs beside it");
}

TEST_MAIN("several", TEST(test_list_in_a_file), TEST(test_bad_lists), TEST(test_scenario), TEST(test_alone_and_later), TEST(test_peers), TEST(test_threads), TEST(test_simgrid),
          TEST(test_tables), TEST(test_placements), TEST(test_placement_file), TEST(test_noise_moments),
          TEST(test_noise_in_a_run), TEST(test_refusals), TEST(test_specs))
