/* Several GPUs behind one NIC (host.gpus_per_nic). Asserted: two ranks that send through one NIC take its time twice, to
 * the picosecond; ranks of one host exchange data by copies of the given rate and latency, in both engines; neighbours
 * share, whatever the placement, and jobs do not share with each other; the size of the fabric, energy per GPU and what
 * collectives are told follow; too many ranks are refused in one line. Not asserted: which algorithm is best then. */
#include "netsim/base/job_mix.h"
#include "netsim/metrics/energy.h"
#include "netsim/placement.h"
#include "netsim/run.h"
#include "photonet/trace.h"
#include "tests/check.h"
#include "tests/support_run.h"

#define FULL_PS 83000      /* 4150 B at 400 Gbit/s */
#define PAYLOAD_BYTES 4086

struct outcome {
    struct diag diag;
    enum status status;
    struct result_summary summary;
    uint64_t digest;
};

/* Of a list of flows "src,dst,bytes" or a pattern, on a star of 400 Gbit/s unless `settings` say otherwise. */
static struct outcome run_of(const char *trace, const char *settings, enum run_engine engine, uint32_t threads)
{
    struct outcome outcome = {.diag = {""}};
    struct arena *arena = arena_new("test");
    struct run_request request = whole_request(trace, "fat_tree");
    request.engine = engine;
    request.threads = threads;
    struct run_result result;
    outcome.status = whole_run(request, NULL, arena_printf(arena, "radix=16 tiers=1 %s", settings), arena, &result, &outcome.diag);
    outcome.summary = result.summary;
    outcome.digest = result.digest;
    arena_free(arena);
    return outcome;
}

static const char *flows(const char *text)
{
    static char path[600];
    snprintf(path, sizeof path, "%s/flows.csv", test_directory());
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fprintf(file, "src,dst,bytes\n%s", text) > 0);
    fclose(file);
    return path;
}

/* Ranks 0 and 1 send 100 packets each, to ranks 2 and 4: alone 100 packet times and the way, behind one NIC 200. */
static void test_two_ranks_halve_a_nic(void)
{
    char list[64];
    snprintf(list, sizeof list, "0,2,%d\n1,4,%d\n", 100 * PAYLOAD_BYTES, 100 * PAYLOAD_BYTES);
    const char *const transports[] = {"ideal", "window", "roce"};
    for (size_t i = 0; i < sizeof transports / sizeof transports[0]; i++) {
        char settings[200];
        snprintf(settings, sizeof settings, "transport.name=%s transport.name=%s", transports[i], transports[i]);
        struct outcome alone = run_of(flows(list), settings, RUN_ENGINE_PACKET, 1);
        snprintf(settings, sizeof settings, "transport.name=%s host.gpus_per_nic=2", transports[i]);
        struct outcome shared = run_of(flows(list), settings, RUN_ENGINE_PACKET, 1);
        CHECK_EQUAL(alone.status, STATUS_OK);
        CHECK_EQUAL(shared.status, STATUS_OK);
        CHECK_EQUAL(shared.summary.fct_max_ps - alone.summary.fct_max_ps, 100 * FULL_PS);
    }
}

static void test_ranks_of_a_host_copy(void)
{
    const char *const copies = "host.gpus_per_nic=2 host.local_rate=100Gbps host.local_latency=3us";
    struct outcome packet = run_of(flows("0,1,1000000\n2,3,1000000\n"), copies, RUN_ENGINE_PACKET, 1);
    CHECK_EQUAL(packet.summary.makespan_ps, 3 * PS_PER_US + UINT64_C(80) * 1000000); /* 80 ps a byte; copies do not meet */
    CHECK_EQUAL(packet.summary.packet_hop_count, 0);
    struct outcome fluid = run_of(flows("0,1,1000000\n2,3,1000000\n"), copies, RUN_ENGINE_SIMGRID, 1);
    CHECK(fluid.status != STATUS_OK || fluid.summary.makespan_ps == packet.summary.makespan_ps); /* not in every build */
}

/* 16 ranks fill four hosts; a fifth is not needed, 17 times four is too much for 16. */
static void test_fabrics_hold_more_ranks(void)
{
    struct outcome four = run_of("pattern:all_reduce,ranks=16,bytes=1MiB", "host.gpus_per_nic=4", RUN_ENGINE_PACKET, 1);
    struct outcome threads = run_of("pattern:all_reduce,ranks=16,bytes=1MiB", "host.gpus_per_nic=4", RUN_ENGINE_PACKET, 3);
    CHECK_EQUAL(four.status, STATUS_OK);
    CHECK_EQUAL(four.summary.useful_bytes, UINT64_C(2) * 15 * 1048576);
    CHECK_EQUAL(four.digest, threads.digest);
    /* One step in four leaves its host: four messages a step, 30 steps, 17 packets each, and their ACKs, over two links. */
    CHECK_EQUAL(four.summary.packet_hop_count, 4 * 30 * 17 * 2 * 2);
    struct outcome many = run_of("pattern:all_reduce,ranks=68,bytes=1MiB", "host.gpus_per_nic=4", RUN_ENGINE_PACKET, 1);
    CHECK_EQUAL(many.status, STATUS_INPUT);
    CHECK_HOLDS(many.diag.text, "of 4 GPUs each, the job has 68 ranks; expected at least 17 hosts");
    static const char *const bad[] = {"host.gpus_per_nic=0", "host.gpus_per_nic=257", "host.gpus_per_nic=two",
                                      "host.local_latency=3"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct outcome refused = run_of("pattern:all_reduce,ranks=4,bytes=1MiB", bad[i], RUN_ENGINE_PACKET, 1);
        CHECK_EQUAL(refused.status, STATUS_INPUT);
    }
}

static enum status place(const char *const *placements, uint32_t gpus, uint32_t host_count, uint32_t hosts[10],
                         struct diag *diag)
{
    static const char *const ring = "pattern:ring_allreduce,ranks=5,bytes=1KiB";
    struct arena *arena = arena_new("test");
    const struct job *jobs[2], *job;
    struct job_part parts[2];
    for (uint32_t i = 0; i < 2; i++) {
        CHECK_EQUAL(trace_read(ring, 0, NULL, 0, arena, &jobs[i], diag), STATUS_OK);
        parts[i] = (struct job_part){.name = "ring", .spec = ring, .placement = placements[i]};
    }
    const uint32_t *rank_host;
    job = job_mix(arena, jobs, parts, 2);
    *diag = (struct diag){""};
    enum status status = placement_make(job, host_count, gpus, arena, &rank_host, diag);
    if (status == STATUS_OK) {
        memcpy(hosts, rank_host, 10 * sizeof *hosts);
    }
    arena_free(arena);
    return status;
}

static void test_neighbours_share(void)
{
    uint32_t hosts[10];
    struct diag diag;
    static const uint32_t linear[] = {0, 0, 1, 1, 2, 3, 3, 4, 4, 5}, rails[] = {0, 0, 2, 2, 4, 1, 1, 3, 3, 5};
    CHECK_EQUAL(place((const char *[]){NULL, "linear"}, 2, 6, hosts, &diag), STATUS_OK);
    CHECK(memcmp(hosts, linear, sizeof linear) == 0);
    CHECK_EQUAL(place((const char *[]){"rail:2", "rail:2"}, 2, 6, hosts, &diag), STATUS_OK);
    CHECK(memcmp(hosts, rails, sizeof rails) == 0);
    CHECK_EQUAL(place((const char *[]){"random:3", "random:3"}, 2, 6, hosts, &diag), STATUS_OK);
    uint32_t met = 0;
    for (uint32_t i = 0; i < 10; i++) {
        CHECK(i % 5 == 0 || i % 5 % 2 == 0 || hosts[i] == hosts[i - 1]);
        met |= 1u << hosts[i];
    }
    CHECK_EQUAL(met, 63);
    CHECK_EQUAL(place((const char *[]){NULL, NULL}, 2, 5, hosts, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "job ring has 5 ranks, 2 a host, but 2 of the fabric's 5 hosts are free");
    /* A file may name a host as often as it has room. */
    static const struct {
        const char *text, *part;
    } files[] = {{"4\n3\n4\n3\n2\n", NULL}, {"4\n3\n4\n3\n4\n", "hosts:5: host 4 is taken already, by line 3"}};
    for (size_t i = 0; i < 2; i++) {
        char spec[600];
        snprintf(spec, sizeof spec, "file:%s/hosts", test_directory());
        FILE *file = fopen(spec + 5, "w");
        CHECK(file != NULL && fputs(files[i].text, file) >= 0);
        fclose(file);
        CHECK_EQUAL(place((const char *[]){spec, NULL}, 2, 6, hosts, &diag), i == 0 ? STATUS_OK : STATUS_INPUT);
        CHECK_HOLDS(diag.text, i == 0 ? "" : files[i].part);
    }
    static const uint32_t filed[] = {4, 3, 4, 3, 2, 0, 0, 1, 1, 5};
    CHECK_EQUAL(memcmp(hosts, filed, sizeof filed), 0);
}

TEST_MAIN("shared_nic", TEST(test_two_ranks_halve_a_nic), TEST(test_ranks_of_a_host_copy), TEST(test_fabrics_hold_more_ranks),
          TEST(test_neighbours_share))
