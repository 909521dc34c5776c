/* Routing in whole runs: what detours, lanes, flowlets and source routes do to times.
 *
 * Asserted: on a dragonfly whose groups all send to the next group, shortest ways get the one link between the two groups
 * and detours a multiple of it; UGAL chooses the detours there and the shortest ways where they are idle; an all-to-all
 * over the rings of a torus with credits stands still without lanes, is reported with the circle of ports, and ends with
 * lanes; a source-routed permutation is as fast as an even spread lets it be, a hashed one slower; flowlets change
 * path at pauses only. Not asserted: agreement with another simulator, of which none has been run on these. */
#include "netsim/run.h"
#include "tests/check.h"
#include "tests/support_run.h"

struct done {
    struct arena *arena;
    enum status status;
    struct diag diag;
    struct run_result result;
};

/* `settings` is "key=value key=value". */
static struct done run(const char *trace, const char *fabric, const char *transport, const char *settings)
{
    struct done done = {.arena = arena_new("test")};
    struct run_request request = whole_request(trace, fabric);
    request.transport = transport;
    done.status = whole_run(request, NULL, settings, done.arena, &done.result, &done.diag);
    return done;
}

static double time_us(const char *trace, const char *fabric, const char *transport, const char *settings)
{
    struct done done = run(trace, fabric, transport, settings);
    CHECK_EQUAL(done.status, STATUS_OK);
    double makespan_us = (double)done.result.summary.makespan_ps * 1e-6;
    arena_free(done.arena);
    return makespan_us;
}

/* A dragonfly of p = 2, a = 4, h = 2: nine groups of eight hosts, one link between any two. */
static const char *dragonfly(void)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/dragonfly.yaml", test_directory());
    FILE *file = fopen(path, "w");
    fprintf(file, "fabric: dragonfly\nhosts_per_router: 2\nlink_delay: 500ns\n");
    fclose(file);
    return path;
}

/* Every host sends 1 MB to the host eight further on: all of a group's eight hosts to one other group. */
static const char *adversary(void)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/next.csv", test_directory());
    FILE *file = fopen(path, "w");
    fprintf(file, "src,dst,bytes,start\n");
    for (uint32_t host = 0; host < 72; host++) {
        fprintf(file, "%u,%u,1MB,0ns\n", host, (host + 8) % 72);
    }
    fclose(file);
    return path;
}

/* Eight flows of 1 MB over one link of 400 Gbit/s take 160 us and headers. Detours have the other seven links of the group
 * for seven of nine packets, and each carries those of its own group and of others: at best a little over 2 / 9. */
static void test_dragonfly_adversary(void)
{
    double minimal_us = time_us(adversary(), dragonfly(), "credit", "");
    double valiant_us = time_us(adversary(), dragonfly(), "credit", "routing.paths=valiant");
    double ugal_us = time_us(adversary(), dragonfly(), "credit", "routing.paths=ugal");
    printf(" minimal %.0f, valiant %.0f, ugal %.0f us ...", minimal_us, valiant_us, ugal_us);
    CHECK(minimal_us > 160 && minimal_us < 185);
    CHECK(valiant_us < minimal_us / 2);
    CHECK(ugal_us < minimal_us / 1.5);
}

/* One message between two idle groups: UGAL goes the shortest way, Valiant a longer one. */
static void test_ugal_is_minimal_when_idle(void)
{
    const char *const one = "pattern:sendrecv,src=0,dst=70,bytes=4000B,ranks=72";
    double minimal_us = time_us(one, dragonfly(), "credit", "");
    CHECK_NEAR(time_us(one, dragonfly(), "credit", "routing.paths=ugal"), minimal_us, 1e-12);
    CHECK(time_us(one, dragonfly(), "credit", "routing.paths=valiant") > minimal_us);
}

static void test_torus_circle_is_named(void)
{
    const char *const all = "pattern:alltoall,ranks=64,bytes=1MB";
    struct done done = run(all, "tpu-v4-cube", "credit", "queue.lanes=no");
    CHECK_EQUAL(done.status, STATUS_DEADLOCK);
    CHECK_HOLDS(done.result.explanation, "cyclic buffer dependency: 4 ports");
    arena_free(done.arena);
    done = run(all, "tpu-v4-cube", "credit", "");
    CHECK_EQUAL(done.status, STATUS_OK);
    CHECK(done.result.summary.makespan_ps > 0);
    arena_free(done.arena);
}

/* Where there are no lanes: who waits for whom, what may mend it, and that it does; first what is no fault of the trace. */
static void test_full_buffers_are_named(void)
{
    static const struct {
        const char *trace, *fabric, *said, *why;
    } cases[] = {
        {"pattern:alltoall,ranks=32,bytes=4MiB", "sip-ml-ring", "  buffers wait for each other in a circle, ",
         "done; buffers wait for each other in a circle"},
        {"pattern:tornado,ranks=32,bytes=4MiB", "sirius", "  buffers wait for each other in a circle, ",
         "done; buffers wait for each other in a circle"},
        {"pattern:permutation,ranks=32,bytes=4MiB", "photonic-rails-h100", "  buffers are full of packets that cannot leave, ",
         "done; buffers are full of packets for links that are dark or cut"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct done done = run(cases[i].trace, cases[i].fabric, "credit", "");
        CHECK_EQUAL(done.status, STATUS_DEADLOCK);
        CHECK_EQUAL(strncmp(done.result.explanation, cases[i].said, strlen(cases[i].said)), 0);
        CHECK_HOLDS(done.result.explanation, "transport.buffer");
        CHECK_HOLDS(done.result.explanation, "    port ");
        CHECK_HOLDS(done.diag.text, cases[i].why);
        arena_free(done.arena);
        done = run(cases[i].trace, cases[i].fabric, "credit", "transport.buffer=1MB");
        CHECK_EQUAL(done.status, STATUS_OK);
        arena_free(done.arena);
    }
}

/* The same of pauses, over switches: hosts send none. */
static void test_circle_of_pauses_is_named(void)
{
    const char *const pattern = "pattern:permutation,ranks=256,bytes=300kB";
    const char *const tight = "routing.paths=valiant queue.xoff=5kB queue.xon=4kB";
    struct done done = run(pattern, "dragonfly-1056", "window", "routing.paths=valiant queue.xoff=5kB queue.xon=4kB queue.lanes=no");
    CHECK_EQUAL(done.status, STATUS_DEADLOCK);
    CHECK_HOLDS(done.result.explanation, "cyclic buffer dependency: ");
    CHECK_HOLDS(done.result.explanation, " of switch ");
    arena_free(done.arena);
    done = run(pattern, "dragonfly-1056", "window", tight);
    CHECK_EQUAL(done.status, STATUS_OK);
    CHECK(done.result.summary.pause_count > 1000 && done.result.summary.drop_count == 0);
    arena_free(done.arena);
}

/* Go-back-N over switches that choose: packets and answers overtake each other, and a NACK that comes late says nothing any
 * more. Slow, but it ends. */
static void test_go_back_over_adaptive_choices_ends(void)
{
    static const char *const transports[] = {"roce", "dcqcn", "hpcc"};
    for (size_t i = 0; i < 3; i++) {
        struct done done = run("pattern:permutation,ranks=128,bytes=500kB", "htsim-128", transports[i], "queue.adaptive=yes");
        CHECK_EQUAL(done.status, STATUS_OK);
        CHECK(done.result.summary.retransmission_count > 0);
        arena_free(done.arena);
    }
}

/* By the byte flows at line rate stay on the port that they have (engine/queue.h); in coarse grades they do not. */
static void test_grades_unlock_flows(void)
{
    const char *const pattern = "pattern:permutation,ranks=128,bytes=2MB";
    double spray_us = time_us(pattern, "fat-tree-128", "window", "");
    double byte_us = time_us(pattern, "fat-tree-128", "window", "queue.adaptive=yes queue.adaptive_grade=1B");
    double grade_us = time_us(pattern, "fat-tree-128", "window", "queue.adaptive=yes queue.adaptive_grade=16KiB");
    CHECK(byte_us > 1.05 * spray_us);
    CHECK(grade_us < 1.01 * spray_us);
}

/* By all shortest ways packets turn anywhere, and two lanes a ring are not enough. */
static void test_turning_tori_need_colours(void)
{
    static const char *const fabrics[] = {"torus", "tpu-v4-slice", "tpu-v4-twisted"};
    static const char *const settings[] = {"dimensions=5x4x3 routing=shortest", "", ""};
    for (size_t i = 0; i < 3; i++) {
        struct done done = run("pattern:alltoall,ranks=60,bytes=1MB", fabrics[i], "credit", settings[i]);
        CHECK_EQUAL(done.status, STATUS_OK);
        arena_free(done.arena);
        done = run("pattern:permutation,ranks=32,bytes=300kB", fabrics[i], "credit", settings[i]);
        CHECK_EQUAL(done.status, STATUS_OK);
        arena_free(done.arena);
    }
    struct done done = run("pattern:alltoall,ranks=60,bytes=1MB", "torus", "credit",
                           "dimensions=5x4x3 routing=shortest queue.lanes=no transport.buffer=9kB");
    CHECK_EQUAL(done.status, STATUS_DEADLOCK);
    arena_free(done.arena);
}

/* A ring of hosts that pass packets on, whole and with a gap that is bypassed. */
static void test_a_ring_of_hosts_has_lanes(void)
{
    static const char *const settings[] = {"hosts=24", "hosts=23 failed=5,6"};
    for (size_t i = 0; i < 2; i++) {
        struct done done = run("pattern:alltoall,ranks=23,bytes=4MB", "ring_hbd", "credit", settings[i]);
        CHECK_EQUAL(done.status, STATUS_OK);
        arena_free(done.arena);
    }
    struct done done = run("pattern:alltoall,ranks=24,bytes=4MB", "ring_hbd", "credit", "queue.lanes=no");
    CHECK_EQUAL(done.status, STATUS_DEADLOCK);
    CHECK_HOLDS(done.result.explanation, "cyclic buffer dependency: 24 ports");
    arena_free(done.arena);
}

static void test_too_many_lanes_are_refused(void)
{
    struct done done = run("pattern:alltoall,ranks=64,bytes=1kB", "hyperx", "credit",
                           "dimensions=4x4x2x2 hosts_per_router=1 routing.paths=valiant");
    CHECK_EQUAL(done.status, STATUS_INPUT);
    CHECK_HOLDS(done.diag.text, "lanes");
    arena_free(done.arena);
}

/* Two hops over circuits reorder, and go-back-N does not stand that. */
static void test_go_back_over_detours_is_refused(void)
{
    struct done done = run("pattern:permutation,ranks=64,bytes=1MB", "sirius", "roce", "");
    CHECK_EQUAL(done.status, STATUS_INPUT);
    CHECK_HOLDS(done.diag.text, "transport roce starts again at every gap");
    CHECK_HOLDS(done.diag.text, "dcqcn with transport.repeat=selective");
    CHECK(strstr(done.diag.text, "hpcc") == NULL); /* which goes back too */
    arena_free(done.arena);
    done = run("pattern:permutation,ranks=64,bytes=100kB", "sirius", "dcqcn", "transport.repeat=selective");
    CHECK_EQUAL(done.status, STATUS_OK);
    arena_free(done.arena);
}

static void test_source_routes_spread_evenly(void)
{
    const char *const all = "pattern:permutation,ranks=128,bytes=4MB";
    double source_us = time_us(all, "htsim-128", "window", "routing.balance=source");
    double hashed_us = time_us(all, "htsim-128", "window", "routing.balance=spray");
    printf(" source %.1f, spray %.1f us ...", source_us, hashed_us);
    CHECK(source_us < hashed_us);
    CHECK(source_us > 4e6 * 8 / 400e3); /* the host's own link */
}

/* With a gap that no pause reaches a message stays on its path, as with ECMP; with none it sprays. */
static void test_flowlets(void)
{
    const char *const all = "pattern:permutation,ranks=128,bytes=2MB";
    double ecmp_us = time_us(all, "htsim-128", "window", "routing.balance=ecmp");
    double rare_us = time_us(all, "htsim-128", "window", "routing.balance=flowlet routing.flowlet_gap=1s");
    double often_us = time_us(all, "htsim-128", "window", "routing.balance=flowlet routing.flowlet_gap=0ns");
    printf(" ecmp %.0f, flowlets of 1 s %.0f, of every packet %.0f us ...", ecmp_us, rare_us, often_us);
    CHECK(rare_us > 1.5 * often_us);
    CHECK(ecmp_us > 1.5 * often_us);
}

TEST_MAIN("detour", TEST(test_dragonfly_adversary), TEST(test_ugal_is_minimal_when_idle), TEST(test_torus_circle_is_named),
          TEST(test_full_buffers_are_named),
          TEST(test_circle_of_pauses_is_named),
          TEST(test_go_back_over_adaptive_choices_ends), TEST(test_grades_unlock_flows), TEST(test_turning_tori_need_colours), TEST(test_a_ring_of_hosts_has_lanes), TEST(test_too_many_lanes_are_refused), TEST(test_go_back_over_detours_is_refused), TEST(test_source_routes_spread_evenly), TEST(test_flowlets))
