/* Fabrics whose circuits are planned: what they build, and the figures that they are known for.
 *
 * Asserted: counts of published systems; that the figure of each family comes from what defines it (it changes when
 * that is switched off); how bad input is refused. Not asserted: what every family has in common (test of the table of
 * families), what planners join (test_plan.c), what a controller does when (test_controller.c). */
#include "netsim/fabric_facts.h"
#include "netsim/fabric_load.h"
#include "netsim/route/route.h"
#include "netsim/route/shortest.h"
#include "netsim/run.h"
#include "tests/check.h"

struct loaded {
    struct arena *arena;
    struct fabric_config config;
    struct fabric *fabric;
    struct diag diag;
    enum status status;
};

/* `settings` is "key=value|key=value". */
static size_t settings_split(struct arena *arena, const char *settings, struct trace_setting *sets)
{
    size_t count = 0;
    for (char *word = strtok(arena_strdup(arena, settings), "|"); word != NULL; word = strtok(NULL, "|")) {
        char *equals = strchr(word, '=');
        *equals = 0;
        sets[count++] = (struct trace_setting){word, equals + 1, {"--set", 0, 0}};
    }
    return count;
}

static struct loaded load(const char *spec, const char *settings, uint32_t hosts_wanted)
{
    struct loaded loaded = {.arena = arena_new("test")};
    struct trace_setting sets[32];
    size_t count = settings_split(loaded.arena, settings, sets);
    loaded.status = fabric_load(spec, sets, count, hosts_wanted, loaded.arena, &loaded.config, &loaded.diag);
    loaded.fabric = loaded.config.fabric;
    return loaded;
}

static struct loaded good(const char *spec, const char *settings, uint32_t hosts_wanted)
{
    struct loaded loaded = load(spec, settings, hosts_wanted);
    if (loaded.status != STATUS_OK) {
        printf("%s\n", loaded.diag.text);
        CHECK_EQUAL(loaded.status, STATUS_OK);
        exit(1); /* what follows would walk a fabric that is not there */
    }
    return loaded;
}

static void refused(const char *spec, const char *settings, uint32_t hosts, const char *part)
{
    struct loaded loaded = load(spec, settings, hosts);
    CHECK_EQUAL(loaded.status, STATUS_INPUT);
    CHECK_HOLDS(loaded.diag.text, part);
    CHECK_HOLDS(loaded.diag.text, "--set");
    CHECK(strchr(loaded.diag.text, '\n') == NULL);
    arena_free(loaded.arena);
}

/* The summary of a run that must end well. */
static struct result_summary ran(const char *trace, const char *fabric, const char *settings, uint32_t iterations)
{
    struct arena *arena = arena_new("test");
    struct diag diag = {""};
    const struct job *job = NULL;
    struct trace_setting sets[32];
    struct run_result result = {.status = NULL};
    struct run_request request = {.trace = trace, .fabric = fabric, .settings = sets, .seed = 1,
                                  .iterations = iterations, .until_ps = TIME_NEVER_PS - 1, .is_quiet = true};
    request.setting_count = settings_split(arena, settings, sets);
    enum status status = run_read(&request, arena, &job, &diag);
    status = status == STATUS_OK ? run_job(&request, job, NULL, arena, &result, &diag) : status;
    if (status != STATUS_OK) {
        printf("%s on %s, %s: %s\n%s\n", trace, fabric, settings, diag.text,
               result.explanation != NULL ? result.explanation : "");
    }
    CHECK_EQUAL(status, STATUS_OK);
    struct result_summary summary = result.summary;
    arena_free(arena);
    return summary;
}

static double ran_us(const char *trace, const char *fabric, const char *settings)
{
    return (double)ran(trace, fabric, settings, 1).makespan_ps / 1e6;
}

/* ---- cubes and optical switches ------------------------------------------------------------------------------ */

static uint32_t peers_between(const struct fabric *fabric, uint32_t left, uint32_t right)
{
    uint32_t count = 0;
    for (uint32_t port = fabric->port_first[left]; port < fabric->port_first[left + 1]; port++) {
        count += fabric->port_peer[port] != ID_NONE && fabric->port_node[fabric->port_peer[port]] == right;
    }
    return count;
}

/* 96 optical ends a cube; a pod of 64 cubes has 6144 of them (Jouppi et al., ISCA 2023); six links a chip. */
static void test_cubes_have_their_optical_ends(void)
{
    static const struct {
        const char *shape;
        uint32_t chips, ends;
    } slices[] = {{"4x4x4", 64, 96}, {"4x4x8", 128, 192}, {"8x8x8", 512, 768}, {"16x16x16", 4096, 6144},
                  {"2x4x4", 32, 0},  {"1x1x2", 2, 0}};
    for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++) {
        char set[32];
        snprintf(set, sizeof set, "shape=%s", slices[i].shape);
        struct loaded loaded = good("tpu-v4-slice", set, 0);
        CHECK_EQUAL(loaded.fabric->host_count, slices[i].chips);
        CHECK_EQUAL(loaded.fabric->optical_count, slices[i].ends > 0);
        CHECK_EQUAL(slices[i].ends > 0 ? loaded.fabric->optical[0].port_count : 0, slices[i].ends);
        CHECK_EQUAL(loaded.fabric->circuit_count, slices[i].ends / 2);
        for (uint32_t port = 0; slices[i].ends > 0 && port < loaded.fabric->port_count; port++) {
            CHECK(loaded.fabric->port_up_ps[port] == 0 || loaded.fabric->port_up_ps[port] == 13 * PS_PER_MS);
        }
        CHECK(slices[i].ends == 0 || loaded.fabric->port_first[1] == 6);
        arena_free(loaded.arena);
    }
}

/* Optics of a pod: below 3 % of its power (TPU v4 paper): boxes alone, at 108 W each and 170 W a chip. */
static void test_optical_switches_of_a_pod_are_cheap(void)
{
    struct loaded loaded = good("tpu-v4-slice", "shape=16x16x16", 0);
    struct fabric_facts facts;
    fabric_facts(loaded.fabric, loaded.arena, &facts);
    double boxes_w = 0;
    for (uint32_t i = 0; i < facts.row_count; i++) {
        boxes_w += strcmp(facts.rows[i].class, "ocs") == 0 ? facts.rows[i].static_pj * 1e-12 : 0;
    }
    CHECK_NEAR(boxes_w, 46 * 108.0, 1e-9);
    CHECK(boxes_w < 0.03 * 4096 * 170);
    arena_free(loaded.arena);
}

/* The closing link of the first short row goes half-way round the long dimension. */
static void test_twist_shifts_the_closing_links(void)
{
    struct loaded loaded = good("tpu-v4-twisted", "", 0);
    CHECK_EQUAL(peers_between(loaded.fabric, 3, 0 + 16 * 4), 1);
    CHECK_EQUAL(peers_between(loaded.fabric, 3, 0), 0);
    CHECK_EQUAL(peers_between(loaded.fabric, 16 * 7, 0), 1);
    arena_free(loaded.arena);
    loaded = good("tpu-v4-slice", "shape=4x8x8|twisted=yes", 0);
    CHECK_EQUAL(peers_between(loaded.fabric, 3, 0 + 4 * 4 + 32 * 4), 1);
    CHECK_EQUAL(peers_between(loaded.fabric, 4 * 7, 0), 1);
    arena_free(loaded.arena);
}

/* Mean hops from chip 0; by hand 4 and 5 times n / (n - 1) for the regular ones. */
static double mean_hops(const char *settings)
{
    struct loaded loaded = good("tpu-v4-slice", settings, 0);
    uint32_t nodes = loaded.fabric->node_count, chips = loaded.fabric->host_count;
    uint32_t *distance = arena_array(loaded.arena, nodes, uint32_t), *queue = arena_array(loaded.arena, nodes, uint32_t);
    uint64_t sum = 0;
    shortest_distances(loaded.fabric, 0, distance, queue);
    for (uint32_t chip = 0; chip < chips; chip++) {
        sum += distance[chip];
    }
    arena_free(loaded.arena);
    return (double)sum / (chips - 1);
}

static double all_to_all_us(const char *settings, uint32_t chips, uint32_t kib)
{
    char trace[80], all[160];
    snprintf(trace, sizeof trace, "pattern:alltoall,ranks=%u,bytes=%uKiB", chips, chips * kib);
    snprintf(all, sizeof all, "%s|ocs=none|replay.all_to_all_concurrency=1000", settings);
    return ran_us(trace, "tpu-v4-slice", all);
}

/* Published: 1.63 times on 4x4x8 and 1.31 times on 4x8x8 (Jouppi et al., ISCA 2023, recalled). Packets take any
 * shortest way, each drawn anew; then the dimensions of a twisted torus carry the same, and the busiest link of the
 * regular one carries its dimension's mean hops over two: bounds 1.75 and 1.39, which no routing passes. */
static void test_twisted_torus_is_faster(void)
{
    double regular = mean_hops("shape=4x4x8"), twisted = mean_hops("shape=4x4x8|twisted=yes");
    CHECK_NEAR(regular, 4.0 * 128 / 127, 1e-9);
    double bound = 2.0 * 128 / 127 / 2 / (twisted / 6);
    double ratio = all_to_all_us("shape=4x4x8", 128, 32) / all_to_all_us("shape=4x4x8|twisted=yes", 128, 32);
    printf("4x4x8: twisted all-to-all %.2f times faster; bound %.2f, published 1.63\n", ratio, bound);
    CHECK(ratio > 1.63 * 0.9 && ratio < 1.63 * 1.1 && ratio < bound * 1.01);
    regular = mean_hops("shape=4x8x8");
    twisted = mean_hops("shape=4x8x8|twisted=yes");
    CHECK_NEAR(regular, 5.0 * 256 / 255, 1e-9);
    bound = 2.0 * 256 / 255 / 2 / (twisted / 6);
    ratio = all_to_all_us("shape=4x8x8", 256, 16) / all_to_all_us("shape=4x8x8|twisted=yes", 256, 16);
    printf("4x8x8: twisted all-to-all %.2f times faster; bound %.2f, published 1.31\n", ratio, bound);
    CHECK(ratio > 1.31 * 0.9 && ratio < 1.31 * 1.1 && ratio < bound * 1.01);
}

static void test_bad_slices_are_refused(void)
{
    refused("tpu-v4-slice", "shape=4x4x6", 0, "shape 4x4x6 does not divide into cubes of 4x4x4");
    refused("tpu-v4-slice", "shape=4x4", 0, "expected three multiples of 4");
    refused("tpu-v4-slice", "shape=4x4x4|twisted=yes", 0, "4x4x4 cannot be twisted; expected k x k x 2k");
    refused("tpu-v4-slice", "shape=4x8x16|twisted=yes", 0, "4x8x16 cannot be twisted");
    refused("tpu-v4-slice", "ocs=dr4_400g_dsp", 0, "expected one of class ocs");
}

TEST_MAIN("circuits", TEST(test_cubes_have_their_optical_ends), TEST(test_optical_switches_of_a_pod_are_cheap),
          TEST(test_twist_shifts_the_closing_links), TEST(test_twisted_torus_is_faster), TEST(test_bad_slices_are_refused))
