/* What links lose by bit errors, from the scenario to the result.
 * Asserted: rates given by hand, by frames or by bit error rates before and after the FEC, as the FEC's own sums have them,
 * for packets of any size; a fabric whose light is poor loses what its link budgets say; repeats by the links cost energy;
 * rates of zero and links that have nothing to repeat change nothing; bad input. That every byte comes once with every
 * transport: test_transport.c; single links: test_engine_error.c. */
#include "netsim/links.h"

#include "netsim/engine/error.h"
#include "netsim/optics/light.h"
#include "tests/check.h"
#include "tests/hand.h"
#include "tests/net.h"

#include <math.h>
#include <unistd.h>

#define FULL 4150

/* Two hosts, two switches between them: ports 0 and 1 are the first host's link. */
static struct fabric *line(struct arena *arena)
{
    static const struct hand_link links[] = {{0, 2, 400000000000, 1000}, {2, 3, 400000000000, 1000}, {3, 1, 400000000000, 1000}};
    return hand_fabric(arena, 2, 4, links, 3);
}

static double rate_of(const struct fabric *fabric, uint32_t port, uint64_t bytes)
{
    return ldexp((double)frame_loss_chance(&fabric->port_frame_loss[port], bytes), -64);
}

/* ---- rates ------------------------------------------------------------------------------------------------------ */

static void given(struct fabric *fabric, struct scenario_links scenario)
{
    struct diag diag = {""};
    CHECK_EQUAL(links_errors(&scenario, fabric, FULL, &(struct cell_shape){0}, &diag), STATUS_OK);
}

static void test_rates_by_hand(void)
{
    static const struct fec kp4 = {544, 514, 2};
    struct arena *arena = arena_new("test");
    struct fabric *fabric = line(arena);
    given(fabric, (struct scenario_links){.has_budget = true});
    CHECK(fabric->port_frame_loss == NULL);
    given(fabric, (struct scenario_links){.frame_loss = 1e-6});
    CHECK_NEAR(rate_of(fabric, 0, FULL), 1e-6, 1e-9);
    CHECK_NEAR(rate_of(fabric, 2, FULL), 1e-6, 1e-9);
    given(fabric, (struct scenario_links){.pre_fec_ber = 2.4e-4});
    CHECK_NEAR(rate_of(fabric, 1, 84), 1.63e-12, 0.003); /* IEEE 802.3bs: below 1.7e-12 for 64 bytes */
    static const uint64_t sizes[] = {64, 84, 1000, 1285, 1286, 2000, FULL};
    given(fabric, (struct scenario_links){.pre_fec_ber = 8e-4});
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        CHECK_NEAR(rate_of(fabric, 1, sizes[i]), fec_frame_loss(&kp4, fec_codeword_loss(&kp4, 8e-4), sizes[i]), 1e-4);
    }
    given(fabric, (struct scenario_links){.post_fec_ber = 1e-9});
    CHECK_NEAR(rate_of(fabric, 5, FULL), -expm1(8 * FULL * log1p(-1e-9)), 1e-9);
    CHECK_NEAR(rate_of(fabric, 5, 64), 8 * 64 * 1e-9, 1e-4);
    arena_free(arena);
}

/* The share is of full packets whatever they are on the wire: here one cell of 4150 B for a packet of 1500 B. */
static void test_rates_of_cells(void)
{
    struct arena *arena = arena_new("test");
    struct fabric *fabric = line(arena);
    const struct cell_shape cells = {.bytes = 4150, .header_bytes = 50, .is_everywhere = true};
    struct scenario_links scenario = {.frame_loss = 0.3};
    struct diag diag = {""};
    CHECK_EQUAL(links_errors(&scenario, fabric, 1500, &cells, &diag), STATUS_OK);
    CHECK_NEAR(rate_of(fabric, 0, cells_count(&cells, 1500) * cells.bytes), 0.3, 1e-9);
    CHECK_EQUAL(links_errors(&scenario, fabric, 9000, &cells, &diag), STATUS_OK);
    CHECK_NEAR(rate_of(fabric, 0, cells_count(&cells, 9000) * cells.bytes), 0.3, 1e-9); /* three cells */
    scenario = (struct scenario_links){.post_fec_ber = 1e-9};
    CHECK_EQUAL(links_errors(&scenario, fabric, 1500, &cells, &diag), STATUS_OK);
    CHECK_NEAR(rate_of(fabric, 0, 4150), -expm1(8 * 4150 * log1p(-1e-9)), 1e-9); /* all bits of the cell count */
    arena_free(arena);
}

static void test_where(void)
{
    struct arena *arena = arena_new("test");
    struct fabric *fabric = line(arena);
    given(fabric, (struct scenario_links){.frame_loss = 0.25, .where = 1});
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        bool is_between = fabric->port_node[port] >= 2 && fabric->port_node[fabric->port_peer[port]] >= 2;
        CHECK_EQUAL(fabric->port_frame_loss[port].chance, is_between ? UINT64_C(1) << 62 : 0);
    }
    struct scenario_links scenario = {.frame_loss = 0.25};
    CHECK(links_can_lose(&scenario, fabric));
    scenario.retry = 1;
    CHECK(!links_can_lose(&scenario, fabric));
    struct diag diag = {""};
    scenario.pre_fec_ber = 1e-4;
    CHECK_EQUAL(links_errors(&scenario, fabric, FULL, &(struct cell_shape){0}, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "expected one of them");
    arena_free(arena);
}

/* ---- light -------------------------------------------------------------------------------------------------------- */

#define PAYLOAD 4086

/* Receivers that are let work at a bit error rate of 1.5e-3, lasers as weak as that allows: the FEC gives up a few frames
 * in a hundred. Messages of whole packets, so that there are two sizes. */
static void test_poor_light_loses_what_its_budget_says(void)
{
    struct arena *arena = arena_new("test");
    const struct fabric *fabric = net_fabric(arena, "clos-dsp", "part.lane_100g_pam4.ber_limit=1.5e-3 part.lane_100g_pam4.laser=7.9dBm");
    struct net *net = net_new(arena, fabric, "transport.name=nscc", test_seed(), NULL);
    struct lane lane;
    struct budget budget;
    uint32_t hosts = fabric->host_count;
    for (uint32_t host = 0; host < hosts; host++) {
        net_post(net, net_add(net, host, (host + hosts / 2) % hosts, 1000 * PAYLOAD), 0);
    }
    net_run(net);
    net_check_drained(net);
    double expected = 0, variance = 0;
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        struct port_counters counters = net_counters(net, port);
        CHECK(light_budget(fabric, port, &lane, &budget) && budget.margin_db >= 0);
        double full = budget_frame_loss(&lane, &budget, FULL), small = budget_frame_loss(&lane, &budget, 64);
        double full_count = (double)(counters.tx_bytes - 64 * counters.tx_packets) / (FULL - 64);
        double small_count = (double)counters.tx_packets - full_count;
        expected += full_count * full + small_count * small;
        variance += full_count * full * (1 - full) + small_count * small * (1 - small);
        CHECK(counters.tx_packets == 0 || (full > 1e-6 && full < 0.3));
    }
    double seen = (double)net_counters_sum(net).error_packets;
    printf(" %.0f lost, expected %.1f +- %.1f ...", seen, expected, sqrt(variance));
    CHECK(expected > 100 && fabs(seen - expected) < 4 * sqrt(variance));
    arena_free(arena);
}

/* ---- whole runs ------------------------------------------------------------------------------------------------- */

static void job_run(const char *settings, int expected, const char *part, char *output, size_t output_bytes)
{
    const char *given_path = getenv("PHOTONET");
    char path[512] = "";
    if (given_path == NULL) { /* photonet beside the folder of the tests */
        ssize_t length = readlink("/proc/self/exe", path, sizeof path - 16);
        path[length > 0 ? length : 0] = 0;
        char *name = strstr(path, "/tests/");
        if (name != NULL) {
            strcpy(name, "/photonet");
        }
    }
    int status = test_shell(output, output_bytes,
                            "%s run --trace pattern:alltoall,ranks=32,bytes=4MiB --fabric clos-dsp %s -o %s/x.h5",
                            given_path != NULL ? given_path : path, settings, test_directory());
    CHECK_EQUAL(status, expected);
    CHECK_HOLDS(output, part);
}

static double number_of(const char *json, const char *key)
{
    const char *at = strstr(json, key);
    return at != NULL ? strtod(at + strlen(key) + 3, NULL) : NAN;
}

static void digest_of(const char *settings, char digest[32])
{
    char output[8192];
    job_run(settings, 0, "complete", output, sizeof output);
    const char *at = strstr(output, "digest");
    snprintf(digest, 32, "%.31s", at != NULL ? at : "none");
    digest[strcspn(digest, "\n")] = 0;
}

static void test_digests(void)
{
    char plain[32], other[32];
    digest_of("", plain);
    digest_of("--set links.frame_loss=0 --set links.retry=go_back_n", other);
    CHECK_TEXT(plain, other);
    digest_of("--set links.budget=no --set links.where=switches", other);
    CHECK_TEXT(plain, other);
    digest_of("--set links.frame_loss=1e-3", plain);
    digest_of("--set links.frame_loss=1e-3 --threads 3 --simd scalar", other);
    CHECK_TEXT(plain, other);
    digest_of("--set links.frame_loss=1e-3 --seed 9", other);
    CHECK(strcmp(plain, other) != 0);
}

/* Twice the energy of a bit minus once is that of all bits that went over the links, the repeated ones with them. */
static double dynamic_j(const char *settings, double *repeats, double *wire_bytes)
{
    char output[8192], all[512];
    double energy_j[2];
    for (int i = 0; i < 2; i++) {
        snprintf(all, sizeof all, "--set part.dr4_400g_dsp.dynamic=%dpJ/bit --format json %s", 1000 * (i + 1), settings);
        job_run(all, 0, "complete", output, sizeof output);
        energy_j[i] = number_of(output, "network_energy_per_iteration_j");
    }
    *repeats = number_of(output, "link_repeat_count");
    *wire_bytes = number_of(output, "wire_bytes");
    return energy_j[1] - energy_j[0];
}

static void test_repeats_cost_energy(void)
{
    double repeats, wire_bytes, repeats_with, wire_with;
    const char *fixed = "--transport credit --set links.where=switches"; /* sends each packet once, whatever its time */
    char settings[256];
    double without_j = dynamic_j(fixed, &repeats, &wire_bytes);
    CHECK_EQUAL(repeats, 0);
    snprintf(settings, sizeof settings, "%s --set links.frame_loss=0.05 --set links.retry=go_back_n", fixed);
    double with_j = dynamic_j(settings, &repeats_with, &wire_with);
    CHECK(repeats_with > 500);
    CHECK_EQUAL(wire_bytes, wire_with);
    double repeated_bytes = (with_j / without_j - 1) * wire_bytes;
    printf(" %.0f repeats of %.0f B ...", repeats_with, repeated_bytes / repeats_with);
    CHECK(repeated_bytes > repeats_with * 2000 && repeated_bytes < repeats_with * FULL); /* most of them are of data */
}

static void test_counts_and_columns(void)
{
    char output[8192];
    job_run("--set links.frame_loss=1e-3 --format json", 0, "complete", output, sizeof output);
    CHECK(number_of(output, "link_error_count") > 30);
    CHECK(number_of(output, "retransmission_count") > 20);
    CHECK_EQUAL(number_of(output, "drop_count") + number_of(output, "lost_count"), 0);
    job_run("--set links.frame_loss=1e-3 --set links.retry=go_back_n --format json", 0, "complete", output, sizeof output);
    CHECK_EQUAL(number_of(output, "link_error_count") + number_of(output, "retransmission_count"), 0);
    CHECK(number_of(output, "link_repeat_count") > 30);
}

static void test_bad_input(void)
{
    char output[8192];
    job_run("--set links.frame_loss=0.6", 2, "frame_loss", output, sizeof output);
    job_run("--set links.frame_loss=-1e-3", 2, "frame_loss", output, sizeof output);
    job_run("--set links.retry=always", 2, "go_back_n", output, sizeof output);
    job_run("--set links.colour=red", 2, "colour", output, sizeof output);
    job_run("--set links.frame_loss=1e-3 --set links.post_fec_ber=1e-9", 2, "expected one of them", output, sizeof output);
}

TEST_MAIN("links", TEST(test_rates_by_hand), TEST(test_rates_of_cells), TEST(test_where), TEST(test_poor_light_loses_what_its_budget_says),
          TEST(test_digests), TEST(test_repeats_cost_energy), TEST(test_counts_and_columns), TEST(test_bad_input))
