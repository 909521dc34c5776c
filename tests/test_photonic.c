/* Hosts joined directly by light: wdm_ring, ring_hbd, interposer.
 *
 * Asserted of each: what it builds, the figure that it is known for, and that the figure goes when its mechanism is
 * switched off (reuse of wavelengths, bypass of failed neighbours, switched paths); bad input. Figures are closed forms of
 * ring collectives where there are any.
 * Not asserted: budgets (tests/test_light.c), energy (tests/test_energy.c). */
#include "netsim/fabric_facts.h"
#include "netsim/fabric_load.h"
#include "netsim/run.h"
#include "tests/check.h"
#include "tests/net.h"
#include "tests/reference.h"
#include "tests/support_run.h"

static struct run_result ran(struct arena *arena, const char *fabric, const char *trace, const char *settings)
{
    return whole_run_good(whole_request(trace, fabric), NULL, settings, arena);
}

/* Time of a collective without the time in which circuits are set. */
static double busy_us(const char *fabric, const char *trace, const char *settings)
{
    struct arena *arena = arena_new("test");
    struct run_result result = ran(arena, fabric, trace, settings);
    double us = (double)(result.summary.makespan_ps - result.summary.reconfiguration_ps) * 1e-6;
    arena_free(arena);
    return us;
}

static void refused(const char *spec, const char *settings, const char *line, const char *part)
{
    struct arena *arena = arena_new("test");
    char path[400], at[440];
    snprintf(path, sizeof path, "%s/bad.yaml", test_directory());
    FILE *file = fopen(path, "w");
    fprintf(file, "fabric: %s\n%s", spec, settings);
    fclose(file);
    snprintf(at, sizeof at, "%s:%s:", path, line);
    struct fabric_config config;
    struct diag diag = {""};
    CHECK_EQUAL(fabric_load(path, NULL, 0, 0, arena, &config, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, at);
    CHECK_HOLDS(diag.text, part);
    arena_free(arena);
}

/* ---- wavelengths ---------------------------------------------------------------------------------------------- */

#define RING_16 "pattern:all_reduce,ranks=16,bytes=16MiB"

/* Sixteen bundles serve every two neighbours eight times over, since 16 ports are eight each way; a bundle that serves one
 * circuit in the whole ring gives each of them one. Two-way ring: 15/8 of the bytes over two directions. */
static void test_wavelengths_are_reused(void)
{
    double reused = busy_us("sip-ml-ring", RING_16, ""), once = busy_us("sip-ml-ring", RING_16, "reuse=no");
    double bound = 2.0 * 15 / 16 * 16 * 1048576 * 8 / 2 / 800e9 * 1e6;
    printf("ring of 16: %.1f us with reuse (bound %.1f), %.1f us without\n", reused, bound, once);
    CHECK(reused > bound && reused < 1.25 * bound);
    CHECK(once > 6 * reused && once < 9 * reused);
    struct arena *arena = arena_new("test");
    struct run_result result = ran(arena, "sip-ml-ring", RING_16, "");
    CHECK_HOLDS(result.plan_text, "128 circuits on 8 of 16 bundles");
    CHECK_EQUAL(result.summary.reconfiguration_ps, 25 * PS_PER_US);
    result = ran(arena, "sip-ml-ring", RING_16, "reuse=no");
    CHECK_HOLDS(result.plan_text, "16 circuits on 16 of 16 bundles");
    arena_free(arena);
}

/* A segment carries as many circuits as there are bundles: pairs across a ring of 8 all cross the same segments. */
static void test_wavelengths_run_out(void)
{
    struct arena *arena = arena_new("test");
    struct run_result many = ran(arena, "wdm_ring", "pattern:permutation,ranks=8,bytes=1MB", "wavelengths=8 ports=8");
    struct run_result few = ran(arena, "wdm_ring", "pattern:permutation,ranks=8,bytes=1MB", "wavelengths=2 ports=8");
    printf("%s; %s\n", many.plan_text, few.plan_text);
    CHECK(few.summary.makespan_ps > many.summary.makespan_ps);
    arena_free(arena);
}

/* SiP-ML's comparison: at equal jobs, GPUs on the ring against an electrical network of 400G, 1.3 to 9.1 times faster,
 * more with more bandwidth a GPU. */
static void test_ring_beats_electrical(void)
{
    double electrical = busy_us("clos-dsp", "pattern:all_reduce,ranks=32,bytes=32MiB", "");
    double ring_16 = busy_us("sip-ml-ring", "pattern:all_reduce,ranks=32,bytes=32MiB", "");
    double ring_64 = busy_us("sip-ml-ring", "pattern:all_reduce,ranks=32,bytes=32MiB", "link_rate=400Gbps");
    printf("all-reduce of 32 MiB: %.0f us on a 400G Clos, %.0f us at 1.6T, %.0f us at 6.4T\n", electrical, ring_16, ring_64);
    CHECK(electrical / ring_16 > 1.3 && electrical / ring_16 < 9.1);
    CHECK(electrical / ring_64 > electrical / ring_16);
}

/* ---- bypass --------------------------------------------------------------------------------------------------- */

/* Full rate all round, whoever has failed, as long as the bypass reaches; without it the ring is a line and one direction
 * comes back over the links of the other. */
static void test_bypass_keeps_the_ring(void)
{
    double whole = busy_us("infinitehbd", RING_16, "");
    double bypassed = busy_us("infinitehbd", RING_16, "failed=5,6,11 part.ocstrx.settle=0ps");
    double line = busy_us("infinitehbd", RING_16, "failed=5 k_hop=1");
    double bound = 2.0 * 15 / 16 * 16 * 1048576 * 8 / 2 / (4 * 800e9) * 1e6;
    printf("ring of 16: %.1f us whole (bound %.1f), %.1f us round three failed hosts, %.1f us as a line\n", whole, bound,
           bypassed, line);
    CHECK(whole > bound && whole < 1.4 * bound);
    CHECK_NEAR(bypassed, whole, 1e-9);
    CHECK(line > 1.5 * whole);
}

static void test_bypass_is_switched_at_the_start(void)
{
    struct arena *arena = arena_new("test");
    struct run_result whole = ran(arena, "infinitehbd", RING_16, "");
    struct run_result bypassed = ran(arena, "infinitehbd", RING_16, "failed=5,6,11");
    CHECK_EQUAL(whole.summary.reconfiguration_count, 0);
    CHECK_EQUAL(whole.summary.reconfiguration_ps, 0);
    CHECK_EQUAL(bypassed.summary.reconfiguration_count, 2 * 4); /* two gaps, four transceivers each */
    CHECK_EQUAL(bypassed.summary.reconfiguration_ps, 70 * PS_PER_US);
    arena_free(arena);
}

static bool is_ring_whole(const char *failed, uint32_t hosts, const char *k_hop)
{
    struct arena *arena = arena_new("test");
    char hosts_text[16];
    snprintf(hosts_text, sizeof hosts_text, "%u", hosts);
    struct trace_setting sets[] = {{"failed", failed, {"--set", 0, 0}}, {"hosts", hosts_text, {"--set", 0, 0}},
                                   {"k_hop", k_hop, {"--set", 0, 0}}};
    struct fabric_config config;
    struct diag diag;
    enum status status = fabric_load("ring_hbd", sets, 3, 0, arena, &config, &diag);
    bool is_whole = status == STATUS_OK && config.fabric->circuit_count == hosts * 4;
    arena_free(arena);
    return is_whole;
}

/* Of 72 positions with three failed ones, drawn often: a ring of all that work exists nearly always with two backups, and
 * never without. That is what keeps hosts from being wasted (domains of fixed size lose a whole domain). */
static void test_rings_survive_failures(void)
{
    uint64_t state = test_seed();
    uint32_t whole[4] = {0}, draws = 200;
    for (uint32_t draw = 0; draw < draws; draw++) {
        uint32_t at[3];
        for (uint32_t i = 0; i < 3; i++) { /* ascending, apart or not */
            state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            at[i] = (i == 0 ? 0 : at[i - 1] + 1) + (uint32_t)(state >> 33) % 22;
        }
        char failed[40];
        snprintf(failed, sizeof failed, "%u,%u,%u", at[0], at[1], at[2]);
        whole[1] += is_ring_whole(failed, 69, "1");
        whole[2] += is_ring_whole(failed, 69, "2");
        whole[3] += is_ring_whole(failed, 69, "3");
    }
    printf("of %u rings whole: %u with no bypass, %u with one backup, %u with two\n", draws, whole[1], whole[2], whole[3]);
    CHECK_EQUAL(whole[1], 0);
    CHECK(whole[2] > draws * 3 / 4 && whole[2] < draws);
    CHECK(whole[3] > whole[2]);
}

/* ---- paths ---------------------------------------------------------------------------------------------------- */

/* Partners far apart: paths of their own against neighbours that pass everything on (Lumorph and Morphlux report up to
 * 1.7 times for whole jobs; a single exchange gains more). */
static void test_switched_paths(void)
{
    const char *trace = "pattern:permutation,ranks=36,bytes=8MB";
    double switched = busy_us("lumorph", trace, ""), fixed = busy_us("lumorph", trace, "paths=fixed");
    double bound = 8e6 * 8 / (8 * 400e9) * 1e6;
    printf("exchange of 36 chips: %.1f us switched (bound %.1f), %.1f us fixed\n", switched, bound, fixed);
    CHECK(switched > bound);
    CHECK(fixed > 1.3 * switched);
    double ring = busy_us("lumorph", RING_16, ""), ring_fixed = busy_us("lumorph", RING_16, "paths=fixed");
    printf("ring of 16: %.1f us switched, %.1f us fixed\n", ring, ring_fixed);
    CHECK(ring_fixed > 1.3 * ring); /* a grid has half of the ports for a ring's two neighbours */
    struct arena *arena = arena_new("test");
    CHECK_EQUAL(ran(arena, "lumorph", RING_16, "").summary.reconfiguration_ps, 3700 * PS_PER_NS);
    CHECK_EQUAL(ran(arena, "lumorph", RING_16, "paths=fixed").summary.reconfiguration_ps, 0);
    arena_free(arena);
}

static void test_fixed_grid(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag;
    struct fabric_facts facts;
    const struct fabric *fabric = net_fabric(arena, "interposer", "hosts=36 paths=fixed");
    CHECK_EQUAL(fabric_validate(fabric, &diag), STATUS_OK);
    fabric_facts(fabric, arena, &facts);
    CHECK_EQUAL(facts.links, 36 * 4); /* 6 x 6 torus, two waveguides each */
    CHECK_EQUAL(facts.hops_max, 6);
    fabric_facts(net_fabric(arena, "interposer", "hosts=13 paths=fixed"), arena, &facts);
    CHECK_EQUAL(facts.links, 13 * 4); /* no grid: a ring of four side by side */
    arena_free(arena);
}

/* ---- hosts that pass on --------------------------------------------------------------------------------------- */

/* A packet that goes through a host cuts through it and is taken in whole at its end, in both engines and with queues of
 * either kind: header, the way and the forwarding once, then all of it on the last link. */
static void test_hosts_take_whole_packets(void)
{
    static const struct engine_class *const engines[] = {&engine_plain, &engine_window};
    static const char *const names[] = {"ideal", "credit", "roce"};
    for (size_t i = 0; i < 6; i++) {
        struct arena *arena = arena_new("test");
        const struct fabric *fabric =
            net_fabric(arena, "interposer", "hosts=5 ports=2 paths=fixed link_delay=50ns forward_latency=100ns");
        const char *settings = arena_printf(arena, "transport.name=%s packet.size=4096B", names[i / 2]);
        struct net *net = net_new(arena, fabric, settings, 1, engines[i % 2]);
        size_t near = net_add(net, 0, 1, 4032), far = net_add(net, 3, 0, 4032);
        net_post(net, near, 0);
        net_post(net, far, 0);
        net_run(net);
        net_check_drained(net);
        CHECK_EQUAL(net->messages[near].delivered_ps, 81920 + 50000); /* 4096 B at 400 Gbit/s */
        CHECK_EQUAL(net->messages[far].delivered_ps, 1280 + 50000 + 100000 + 81920 + 50000);
        arena_free(arena);
    }
}

/* ---- bad input ------------------------------------------------------------------------------------------------ */

static void test_bad_input(void)
{
    refused("wdm_ring", "hosts: 32\nreuse: no\n", "3", "32 hosts need 31 bundles to be joined at all, of 16 wavelengths");
    refused("ring_hbd", "hosts: 8\nfailed: \"3,x\"\n", "3", "failed: \"3,x\" is no list of positions");
    refused("ring_hbd", "hosts: 8\nfailed: \"4,3\"\n", "3", "failed: \"4,3\" is no list of positions");
    refused("ring_hbd", "hosts: 8\nfailed: \"3,12\"\n", "3",
            "failed: position 12 is beyond the ring of 8 hosts and 2 failed ones; expected at most 9");
    refused("ring_hbd", "hosts: 8\nk_hop: 2\nfailed: \"1,2,5,6\"\n", "4",
            "the ring is broken at 2 places, since k_hop 2 bypasses 1 failed hosts in a row at most");
    refused("ring_hbd", "hosts: 1\n", "2", "1 host is no ring");
    refused("ring_hbd", "module: dr8_800g_dsp\nocs: sip_mems_240\n", "3", "does not close");
    refused("interposer", "module: passage_400g\nocs: mzi_mesh\npart.mzi_mesh.loss: 6dB\n", "3", "does not close");
}

/* What all send to all crosses every segment alike, and every bundle should be lit on every segment: 16 of 100 Gbit/s, two
 * cuts of the ring. Shortest ways prefer the long arcs, about a third of the bundles. */
static void test_equal_pairs_fill_the_ring(void)
{
    double time_us = busy_us("sip-ml-ring", "pattern:alltoall,ranks=32,bytes=4MiB", "replay.all_to_all_concurrency=31");
    double bound_us = 16.0 * 16 * 4 * 1048576 / 32 * 8 / (2 * 16 * 100e9) * 1e6;
    printf("all-to-all on a ring of 32: %.0f us, bisection %.0f us\n", time_us, bound_us);
    CHECK(time_us > bound_us && time_us < 4 * bound_us);
}

/* A host alone has no neighbour, and needs none. */
static void test_one_host_alone(void)
{
    CHECK_NEAR(busy_us("sip-ml-ring", "pattern:all_reduce,ranks=1,compute=1us", ""), 1, 1e-9);
}

TEST_MAIN("photonic", TEST(test_wavelengths_are_reused), TEST(test_wavelengths_run_out),
          TEST(test_equal_pairs_fill_the_ring), TEST(test_one_host_alone), TEST(test_ring_beats_electrical), TEST(test_bypass_keeps_the_ring),
          TEST(test_bypass_is_switched_at_the_start), TEST(test_rings_survive_failures),
          TEST(test_switched_paths), TEST(test_fixed_grid), TEST(test_hosts_take_whole_packets),
          TEST(test_bad_input))
