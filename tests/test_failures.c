/* Failures of links and switches: what fails when, routes that follow, and jobs that survive.
 * Asserted: every byte is delivered once and the job ends, whatever the transport; equal digests for any number of threads;
 * a cut that stays ends as a deadlock, named with the time of the last packet that came through, and neither a repair that is
 * still to come nor heavy loss does; bad lists are refused. Times and counts at one link: test_engine_gates.c. */
#include "netsim/failures.h"
#include "tests/check.h"
#include "tests/hand.h"
#include "tests/support_run.h"

#include <unistd.h>

#define NS PS_PER_NS
#define US PS_PER_US

/* A ring of four switches with a host each; ports of switch 4 + i: host, next, last. */
static struct fabric *ring(struct arena *arena)
{
    static const struct hand_link links[] = {
        {0, 4, 100000000000, 1000}, {1, 5, 100000000000, 1000}, {2, 6, 100000000000, 1000}, {3, 7, 100000000000, 1000},
        {4, 5, 100000000000, 1000}, {5, 6, 100000000000, 1000}, {6, 7, 100000000000, 1000}, {7, 4, 100000000000, 1000}};
    return hand_fabric(arena, 4, 8, links, 8);
}

static struct failures listed(struct arena *arena, const struct fabric *fabric, const struct routes *routes,
                              const char *list, enum status expected, struct diag *diag)
{
    struct scenario_failures scenario = {.reaction_ps = 5 * US, .list = list};
    struct failures failures;
    CHECK_EQUAL(failures_make(&scenario, fabric, routes, 1, arena, &failures, diag), expected);
    return failures;
}

static void test_lists(void)
{
    struct arena *arena = arena_new("test");
    struct fabric *fabric = ring(arena);
    const struct routes *routes = routes_new(fabric, arena);
    struct diag diag = {""};
    struct failures f = listed(arena, fabric, routes, "link 4-5 10us 30us; link 5-4 20us 40us", STATUS_OK, &diag);
    CHECK_EQUAL(f.change_count, 4); /* both reasons are one outage from 10 to 40 us, each way */
    CHECK_EQUAL(f.changes[0].time_ps, 10 * US);
    CHECK_EQUAL(f.changes[3].time_ps, 40 * US);
    CHECK(!f.changes[1].is_up && f.changes[2].is_up);
    CHECK_EQUAL(f.epochs->count, 2);
    CHECK_EQUAL(f.epochs->from_ps[0], 15 * US);
    CHECK_EQUAL(f.epochs->from_ps[1], 45 * US);
    CHECK(f.epochs->routes[0] != routes && f.epochs->routes[1] == routes); /* shared again */
    CHECK_EQUAL(routes_next(routes, 4, 1).count, 1);
    struct port_set set = routes_next(f.epochs->routes[0], 4, 1);
    CHECK_EQUAL(set.count, 1);
    CHECK_EQUAL(fabric->port_node[fabric->port_peer[fabric->port_first[4] + port_set_at(&set, 0)]], 7); /* the long way */
    f = listed(arena, fabric, routes, " node 6 1ms ", STATUS_OK, &diag);
    CHECK_EQUAL(f.change_count, 6);
    CHECK_EQUAL(routes_next(f.epochs->routes[0], 4, 2).count, 0); /* host 2 is cut off */
    CHECK_EQUAL(listed(arena, fabric, routes, NULL, STATUS_OK, &diag).change_count, 0);
    static const char *const bad[] = {"link 4-6 1us", "link 4 1us", "node 8 1us", "node x 1us", "node 4", "node 4 5",
                                      "node 4 5us 4us", "cat 4 5us", "link 4-5 1us 2us 3us", "line 16 1us", "link 4-5x 1us",
                                      "link 4-5 1us at", "link 4-5 1us at 0bps", "link 4-5 at 1Gbps", "link 4-5 1us 2us at 1us"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        listed(arena, fabric, routes, bad[i], STATUS_INPUT, &diag);
        CHECK_HOLDS(diag.text, "failures.list: \"");
    }
    arena_free(arena);
}

/* Degraded from 10 to 50 us to 40 Gbit/s, from 20 to 60 to 25, dead from 30 to 40: the worst holds at any time. */
static void test_degraded_and_dead_overlap(void)
{
    struct arena *arena = arena_new("test");
    struct fabric *fabric = ring(arena);
    const struct routes *routes = routes_new(fabric, arena);
    struct diag diag = {""};
    struct failures f = listed(arena, fabric, routes, "link 4-5 10us 50us at 40Gbps; link 4-5 20us 60us at 25Gbps; link 5-4 30us 40us",
                               STATUS_OK, &diag);
    static const struct {
        uint64_t time_ps, rate_bps;
        bool is_up;
    } expected[] = {{10 * US, 40000000000, true}, {20 * US, 25000000000, true}, {30 * US, 0, false},
                    {40 * US, 25000000000, true}, {60 * US, 0, true}};
    CHECK_EQUAL(f.change_count, 10); /* each way */
    for (size_t i = 0; i < f.change_count; i++) {
        CHECK_EQUAL(f.changes[i].time_ps, expected[i / 2].time_ps);
        CHECK_EQUAL(f.changes[i].rate_bps, expected[i / 2].rate_bps);
        CHECK_EQUAL(f.changes[i].is_up, expected[i / 2].is_up);
    }
    CHECK(f.epochs->routes[0] == routes && f.epochs->routes[2] != routes); /* only what is dead is gone round */
    listed(arena, fabric, routes, "link 4-5 1us at 100Gbps", STATUS_INPUT, &diag);
    CHECK_HOLDS(diag.text, "cannot be degraded to 100000000000 bit/s");
    arena_free(arena);
}

/* Of three transmitters that die for good the first two have spares: back after reaction, settling, re-lock, control. */
static void test_spares_take_over(void)
{
    struct arena *arena = arena_new("test");
    struct fabric *fabric = ring(arena);
    const uint32_t ports[] = {hand_port(fabric, 4, 5), hand_port(fabric, 5, 4), hand_port(fabric, 5, 6), hand_port(fabric, 6, 5),
                              hand_port(fabric, 6, 7), hand_port(fabric, 7, 6)};
    const struct optical optical = {.node = 7, .settle_ps = 3 * US, .relock_ps = 2 * US, .control_ps = 1 * US,
                                    .port_count = 6, .port = ports};
    struct scenario_failures scenario = {.reaction_ps = 4 * US, .spares = 2,
                                         .list = "link 6-7 30us; link 4-5 10us; link 5-6 20us; link 7-4 5us"};
    const struct routes *routes = routes_new(fabric, arena);
    struct failures f;
    struct diag diag = {""};
    CHECK_EQUAL(failures_make(&scenario, fabric, routes, 1, arena, &f, &diag), STATUS_INPUT); /* nothing optical */
    CHECK_HOLDS(diag.text, "failures.spares");
    fabric->optical = &optical;
    fabric->optical_count = 1;
    CHECK_EQUAL(failures_make(&scenario, fabric, routes, 1, arena, &f, &diag), STATUS_OK);
    CHECK_EQUAL(f.element_count, 4);
    CHECK_EQUAL(f.spares_used, 2);
    uint32_t back_count = 0;
    for (size_t i = 0; i < f.change_count; i++) {
        const struct link_change *change = &f.changes[i];
        if (change->is_up) {
            back_count++;
            bool is_first = change->port == ports[0] || change->port == ports[1];
            CHECK_EQUAL(change->time_ps, (is_first ? 20 : 30) * US); /* 10 us after it died */
        }
    }
    CHECK_EQUAL(back_count, 4);
    arena_free(arena);
}

static void test_draws(void)
{
    struct arena *arena = arena_new("test");
    struct fabric *fabric = ring(arena);
    const struct routes *routes = routes_new(fabric, arena);
    struct scenario_failures scenario = {.links = 4, .first_ps = 100 * US, .spread_ps = 50 * US, .repair_ps = 7 * US};
    struct failures f;
    struct diag diag = {""};
    CHECK_EQUAL(failures_make(&scenario, fabric, routes, test_seed(), arena, &f, &diag), STATUS_OK);
    CHECK_EQUAL(f.element_count, 4); /* there are no more */
    scenario.links = 5;
    CHECK_EQUAL(failures_make(&scenario, fabric, routes, test_seed(), arena, &f, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "failures.links is 5, but ");
    CHECK_HOLDS(diag.text, " has 4 links between switches; expected at most as many");
    scenario.links = 4;
    CHECK_EQUAL(failures_make(&scenario, fabric, routes, test_seed(), arena, &f, &diag), STATUS_OK);
    CHECK_EQUAL(f.change_count, 16);
    for (size_t i = 0; i < f.change_count; i++) {
        CHECK(f.changes[i].time_ps >= 100 * US && f.changes[i].time_ps < 157 * US);
        CHECK(fabric->port_node[f.changes[i].port] >= 4);
    }
    CHECK(f.changes[0].time_ps != f.changes[f.change_count - 1].time_ps - 7 * US);
    arena_free(arena);
}

/* ---- whole runs ------------------------------------------------------------------------------------------------- */

/* PHOTONET, or photonet beside the folder of the tests. */
static const char *program(void)
{
    static char path[512];
    const char *given = getenv("PHOTONET");
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 16);
    path[length > 0 ? length : 0] = 0;
    char *name = strstr(path, "/tests/");
    if (given == NULL && name != NULL) {
        strcpy(name, "/photonet");
    }
    return given != NULL ? given : path;
}

static void job_run(const char *settings, int expected, const char *part, char *output, size_t output_bytes)
{
    int status = test_shell(output, output_bytes,
                            "%s run --trace pattern:alltoall,ranks=16,bytes=1MiB --fabric fat_tree "
                            "--set radix=4 --set tiers=3 %s -o %s/x.h5", program(), settings, test_directory());
    CHECK_EQUAL(status, expected);
    CHECK_HOLDS(output, part);
}

static uint64_t number_of(const char *json, const char *key)
{
    const char *at = strstr(json, key);
    return at != NULL ? strtoull(at + strlen(key) + 3, NULL, 10) : UINT64_MAX;
}

static void digest_of(const char *output, char digest[32])
{
    const char *at = strstr(output, "digest");
    snprintf(digest, 32, "%.31s", at != NULL ? at : "none");
    digest[strcspn(digest, "\n")] = 0;
}

static void test_jobs_survive(void)
{
    static const char *const transports[] = {"window", "nscc", "dcqcn", "eqds", "swift", "hpcc"};
    char output[8192], settings[512], one[32], three[32];
    for (size_t i = 0; i < sizeof transports / sizeof transports[0]; i++) {
        snprintf(settings, sizeof settings,
                 "--transport %s --set failures.links=4 --set failures.switches=1 --set failures.first=5us "
                 "--set failures.spread=20us --set failures.repair=300us --set failures.reaction=30us --seed %d",
                 transports[i], (int)i);
        job_run(settings, 0, "complete", output, sizeof output);
        digest_of(output, one);
        for (int threads = 3; threads <= 8; threads += 5) { /* late packets come in another order among hosts */
            char threaded[600];
            snprintf(threaded, sizeof threaded, "%s --threads %d", settings, threads);
            job_run(threaded, 0, "complete", output, sizeof output);
            digest_of(output, three);
            CHECK_TEXT(one, three);
        }
        snprintf(settings + strlen(settings), sizeof settings - strlen(settings), " --format json");
        job_run(settings, 0, "complete", output, sizeof output);
        CHECK_EQUAL(number_of(output, "failure_count"), 5);
        CHECK_EQUAL(number_of(output, "useful_bytes"), 16 * 15 * 65536);
        uint64_t lost = number_of(output, "lost_count");
        CHECK(lost > 10 && lost < 100000 && number_of(output, "retransmission_count") >= lost / 2);
    }
}

/* Receivers hand out credit: what is lost may be the pull, the question for one, or the answer that all has come. Of these
 * runs every fifth was a deadlock when nobody answered a question about a message that was complete. */
static void test_lost_credit_is_asked_for(void)
{
    char output[8192], settings[512], one[32], three[32];
    static const int seeds[] = {8, 11, 15, 17, 25, 31};
    for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) {
        snprintf(settings, sizeof settings,
                 "--transport eqds --set failures.links=4 --set failures.switches=1 --set failures.first=5us "
                 "--set failures.spread=40us --set failures.repair=300us --set failures.reaction=30us --seed %d", seeds[i]);
        job_run(settings, 0, "complete", output, sizeof output);
        digest_of(output, one);
        snprintf(settings + strlen(settings), sizeof settings - strlen(settings), " --threads 3");
        job_run(settings, 0, "complete", output, sizeof output);
        digest_of(output, three);
        CHECK_TEXT(one, three);
    }
}

static double step_us(const char *settings)
{
    char output[8192];
    job_run(settings, 0, "complete", output, sizeof output);
    const char *at = strstr(output, "iteration time");
    return at != NULL ? strtod(at + strlen("iteration time"), NULL) : 0;
}

/* The link of host 0 at a quarter of its rate holds everybody up, by no more than four times; two failing circuits of a
 * patch end the job's hopes without spares, and cost their time with them. */
static void test_degraded_links_and_spares_in_jobs(void)
{
    double whole_us = step_us(""), slow_us = step_us("--set failures.list='link 0-16 0ns at 100Gbps'");
    printf(" whole %.1f, degraded %.1f us ...", whole_us, slow_us);
    CHECK(slow_us > 2 * whole_us && slow_us < 4.2 * whole_us);
    char output[8192];
    const char *const patch = "%s run --trace pattern:ring_allreduce,ranks=8,bytes=40MB --fabric optical-patch --set degree=2 "
                              "--set failures.list='link 0-1 14ms; link 4-5 14ms' --set failures.reaction=100us %s";
    CHECK_EQUAL(test_shell(output, sizeof output, patch, program(), ""), 3);
    CHECK_EQUAL(test_shell(output, sizeof output, patch, program(), "--set failures.spares=2 --format json"), 0);
    CHECK_EQUAL(number_of(output, "spare_count"), 2);
    CHECK(number_of(output, "makespan_ps") > 27 * PS_PER_MS); /* 14 ms, and 13.1 until the spares are lit */
}

static void test_a_cut_is_a_deadlock(void)
{
    char output[8192];
    job_run("--set failures.list='node 16 20us'", 3, "is deadlocked", output, sizeof output); /* the leaf of host 0 */
    job_run("--set failures.list='link 3-9 20us'", 2, "is not in this fabric", output, sizeof output);
    job_run("--set failures.links=33", 2, "failures.links is 33, but fat_tree has 32 links between switches; expected at most as many",
            output, sizeof output); /* 8 leaves, 8 above, 4 on top: of radix 4 */
    job_run("--set failures.switches=21", 2, "failures.switches is 21, but fat_tree has 20 packet switches", output, sizeof output);
    job_run("--set failures.link=3", 2, "--set: unknown parameter \"failures.link\"; the nearest known one is \"failures.links\"",
            output, sizeof output);
    job_run("--set failures.first=3", 2, "--set: failures.first \"3\" is a bare number", output, sizeof output);
    job_run("--set links.frame_loss=0.6", 2, "--set: links.frame_loss \"0.6\" is too large; expected 0 .. 0.5", output, sizeof output);
    job_run("--transport nscc --set transport.target=3", 2, "--set: transport.target \"3\" is a bare number", output, sizeof output);
    job_run("--set packet.cell_header=5B", 2, "packet.cell_header is 5 B, but packets go without cells", output, sizeof output);
    job_run("--set trace.time_unit=3", 2, "--set: unknown parameter \"trace.time_unit\"", output, sizeof output);
}

/* One message over two links. What is said of the time is when the last packet came through, not when an operation ended. */
static void one_message(const char *settings, int expected, const char *part, char *output, size_t output_bytes)
{
    int status = test_shell(output, output_bytes,
                            "%s run --trace pattern:incast,ranks=2,bytes=20MB --fabric fat_tree,tiers=1,hosts=2,link_delay=100ns %s",
                            program(), settings);
    CHECK_EQUAL(status, expected);
    CHECK_HOLDS(output, part);
}

static void test_the_time_of_a_deadlock_is_that_of_the_last_packet(void)
{
    static const char *const transports[] = {"window", "nscc", "roce", "eqds"};
    for (size_t i = 0; i < 4; i++) {
        char output[8192], settings[200];
        snprintf(settings, sizeof settings, "--transport %s --set failures.list='link 0-2 50us'", transports[i]);
        one_message(settings, 3, "nothing moves after ", output, sizeof output);
        double last_us = 0;
        char unit[8] = "";
        const char *at = strstr(output, "nothing moves after ");
        CHECK(at != NULL && sscanf(at, "nothing moves after %lf %7[^,], ", &last_us, unit) == 2);
        CHECK_TEXT(unit, "us");
        CHECK(last_us >= 49.9 && last_us <= 50.6); /* what was on its way arrives, and is answered */
        char cut[64];
        at = strstr(output, "cut short at");
        CHECK(at != NULL && sscanf(at, "cut short at %63s", cut) == 1);
        CHECK_NEAR(strtod(at + strlen("cut short at"), NULL), last_us, 1e-3); /* the report says the same */
    }
}

/* 30 ms, and 10 until routes follow: nothing moves, and all the same it is known that it will. Timeouts have doubled meanwhile,
 * so that the next try is at most as much later. */
static void test_a_long_repair_is_waited_for(void)
{
    static const char *const transports[] = {"window", "nscc", "roce", "eqds"};
    for (size_t i = 0; i < 4; i++) {
        char output[8192], settings[200];
        snprintf(settings, sizeof settings, "--format json --transport %s --set failures.list='link 0-2 50us 30ms'", transports[i]);
        one_message(settings, 0, "complete", output, sizeof output);
        CHECK(number_of(output, "makespan_ps") > 30 * PS_PER_MS && number_of(output, "makespan_ps") < 84 * PS_PER_MS);
    }
}

/* A packet on the slow link takes longer than the timeout (111 us at 300 Mbit/s, 33 ms at 1 Mbit/s), and a queue of them far
 * longer: repeats must become fewer, and what is slow is no deadlock; nor is a link on which one slow packet started. */
static void test_a_slow_link_is_no_deadlock(void)
{
    static const char *const run = "%s run --trace pattern:%s,ranks=8,bytes=%s --fabric clos-dsp --transport %s --format json "
                                   "--set failures.list='link 0-8 %s'";
    static const struct {
        const char *pattern, *bytes, *transport, *fault;
        uint64_t least_ms, most_ms;
    } rows[] = {{"permutation", "64KiB", "window", "0us at 300Mbps", 1, 20},
                {"permutation", "64KiB", "nscc", "0us at 10Mbps", 52, 500},
                {"permutation", "64KiB", "roce", "0us at 10Mbps", 52, 1000},
                {"permutation", "64KiB", "eqds", "0us at 10Mbps", 52, 500},
                {"permutation", "64KiB", "swift", "0us at 30Mbps", 17, 500},
                {"permutation", "1MiB", "window", "0us at 400Mbps", 20, 400},
                {"permutation", "1MiB", "window", "0us at 10Mbps", 838, 20000},
                {"permutation", "64KiB", "roce", "0us at 10kbps", 52400, 2000000},
                {"all_reduce", "64KiB", "window", "1us 20us at 1Mbps", 33, 40}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char output[8192];
        CHECK_EQUAL(test_shell(output, sizeof output, run, program(), rows[i].pattern, rows[i].bytes, rows[i].transport,
                               rows[i].fault), 0);
        uint64_t took_ps = number_of(output, "makespan_ps");
        CHECK(took_ps >= rows[i].least_ms * PS_PER_MS && took_ps < rows[i].most_ms * PS_PER_MS);
    }
}

/* What happens long after the job has ended costs no time: nothing is looked at before. 3.6 million looks took 8 s. */
static void test_idle_time_is_skipped(void)
{
    static const char *const run = "timeout 4 %s run --trace pattern:all_reduce,ranks=8,bytes=64KiB --fabric clos-dsp "
                                   "--set failures.list='link 0-8 %s'";
    char output[8192], soon[32], late[32];
    CHECK_EQUAL(test_shell(output, sizeof output, run, program(), "1s"), 0);
    digest_of(output, soon);
    CHECK_EQUAL(test_shell(output, sizeof output, run, program(), "2000h"), 0);
    digest_of(output, late);
    CHECK_TEXT(soon, late);
}

/* Of a packet and its answer over four links at an even chance one in 256 comes through. */
static void test_heavy_loss_is_no_deadlock_and_a_cut_is(void)
{
    static const char *const transports[] = {"window", "nscc", "roce", "dcqcn --set transport.repeat=selective", "eqds", "swift"};
    static const char *const run = "%s run --trace pattern:permutation,ranks=4,bytes=40kB --fabric fat_tree,tiers=2,hosts=32,radix=8 "
                                   "--set host_link_rate=400Gbps --transport %s --set links.frame_loss=%s %s";
    for (size_t i = 0; i < sizeof transports / sizeof transports[0]; i++) {
        char output[8192];
        for (int seed = 1; seed <= 5; seed++) {
            char more[32];
            snprintf(more, sizeof more, "--seed %d", seed);
            CHECK_EQUAL(test_shell(output, sizeof output, run, program(), transports[i], "0.5", more), 0);
        }
        CHECK_EQUAL(test_shell(output, sizeof output, run, program(), transports[i], "0.5", "--until 1us"), 0);
        CHECK_HOLDS(output, "interrupted");
        CHECK_EQUAL(test_shell(output, sizeof output, run, program(), transports[i], "0.2", "--set failures.list='link 0-32 1us'"), 3);
        CHECK_HOLDS(output, "is deadlocked: nothing moves after ");
        CHECK_HOLDS(output, "waits for a message of rank ");
    }
}

/* Queues hold packets for longer than the timeout, so most of them are sent twice and more, and copies outlive their messages:
 * none may be taken for a packet, or an answer, of a later message that has the slot. */
static void test_old_copies_are_of_no_new_message(void)
{
    struct arena *arena = arena_new("test");
    struct run_request request = whole_request("pattern:alltoall,ranks=64,bytes=4MiB", "dragonfly-1056");
    struct result_summary summary =
        whole_run_good(request, NULL, "failures.links=1 failures.first=1s", arena).summary;
    CHECK_EQUAL(summary.message_count, 64 * 63);
    CHECK_EQUAL(summary.useful_bytes, 64 * 63 * UINT64_C(65536));
    CHECK(summary.retransmission_count > 100000);
    CHECK(summary.duplicate_count > 100000);
    arena_free(arena);
}

TEST_MAIN("failures", TEST(test_lists), TEST(test_degraded_and_dead_overlap), TEST(test_spares_take_over), TEST(test_draws),
          TEST(test_jobs_survive), TEST(test_lost_credit_is_asked_for), TEST(test_degraded_links_and_spares_in_jobs), TEST(test_a_cut_is_a_deadlock),
          TEST(test_the_time_of_a_deadlock_is_that_of_the_last_packet), TEST(test_a_long_repair_is_waited_for),
          TEST(test_a_slow_link_is_no_deadlock), TEST(test_idle_time_is_skipped), TEST(test_heavy_loss_is_no_deadlock_and_a_cut_is),
          TEST(test_old_copies_are_of_no_new_message))
