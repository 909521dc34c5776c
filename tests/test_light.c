/* Light of whole fabrics: what the parts of a link add up to, budgets that do not close and are refused with their line,
 * the lasers' electricity in the energy account, and frames that a weak link loses.
 *
 * Not asserted: budgets of single lanes (tests/test_optics.c). */
#include "netsim/fabric_load.h"
#include "netsim/metrics/energy.h"
#include "netsim/optics/light.h"
#include "tests/check.h"
#include "tests/support_run.h"

#include <math.h>

struct loaded {
    struct arena *arena;
    struct fabric *fabric;
    struct diag diag;
    enum status status;
};

/* `settings` is "key=value key=value". */
static struct loaded load(const char *spec, const char *settings)
{
    struct loaded loaded = {.arena = arena_new("test")};
    struct trace_setting sets[SETTINGS_MAX];
    size_t count = settings_split(loaded.arena, settings, sets);
    struct fabric_config config;
    loaded.status = fabric_load(spec, sets, count, 0, loaded.arena, &config, &loaded.diag);
    loaded.fabric = config.fabric;
    return loaded;
}

/* Four connectors of 0.35 dB and 5 m of fibre, in a lane of 12.5 dB; through a patch three connectors and 20 m on each
 * side and the 2 dB of the switch. */
static void test_losses_add_up(void)
{
    struct loaded clos = load("clos-dsp", "");
    CHECK_NEAR(clos.fabric->light[0].loss_db, 12.5 + 4 * 0.35 + 0.002, 1e-9);
    CHECK(clos.fabric->light[0].margin_db > 4 && clos.fabric->light[0].laser_mw == 0);
    arena_free(clos.arena);
    struct loaded patch = load("optical-patch", "");
    CHECK_NEAR(patch.fabric->light[5].loss_db, 12.5 + 6 * 0.35 + 2 * 0.007 + 2.0, 1e-9);
    CHECK_EQUAL(light_optical_of(patch.fabric, 5), 0);
    arena_free(patch.arena);
    struct loaded copper = load("dgx-1", "");
    CHECK(copper.fabric->light == NULL && light_worst(copper.fabric) == ID_NONE);
    arena_free(copper.arena);
}

/* Arrays that go on behind their end, as memory does: what stands there is nobody's. A switch with the ports of others, a port
 * that is no fibre of its switch. */
static void test_what_stands_behind_the_end_does_not_count(void)
{
    struct loaded patch = load("optical-patch", "");
    struct fabric *fabric = patch.fabric;
    uint32_t count = fabric->optical_count, ports = fabric->optical[0].port_count, last = fabric->port_count - 1;
    struct optical *longer = arena_array(patch.arena, count + 1, struct optical);
    uint32_t *fibres = arena_array(patch.arena, ports + 1, uint32_t);
    memcpy(longer, fabric->optical, count * sizeof *longer);
    memcpy(fibres, longer[0].port, ports * sizeof *fibres);
    CHECK(ports > 9 && count == 1);
    uint32_t given_up = fibres[ports - 1]; /* the switch ends one fibre earlier, and its list goes on */
    longer[0].port = fibres;
    longer[0].port_count = ports - 1;
    longer[count] = longer[0];
    longer[count].port = &given_up;
    longer[count].port_count = 1;
    fabric->optical = longer;
    CHECK_EQUAL(light_optical_of(fabric, fibres[0]), 0);
    CHECK_EQUAL(light_optical_of(fabric, fibres[ports - 2]), 0);
    CHECK_EQUAL(light_optical_of(fabric, given_up), ID_NONE);
    double with_db = fabric->light[given_up].loss_db;
    light_evaluate(fabric);
    CHECK_NEAR(fabric->light[fibres[ports - 2]].loss_db, with_db, 1e-12);
    CHECK(fabric->light[given_up].loss_db < with_db - 1.9); /* not through the switch, whose loss is 2 dB */
    /* The worst of all ports may be the last one, and is not one behind it. */
    struct port_light *light = arena_array(patch.arena, fabric->port_count + 1, struct port_light);
    for (uint32_t port = 0; port <= last; port++) {
        light[port].margin_db = 3;
    }
    light[last].margin_db = 2;
    light[last + 1].margin_db = -100;
    fabric->light = light;
    CHECK_EQUAL(light_worst(fabric), last);
    light[0].margin_db = 1;
    CHECK_EQUAL(light_worst(fabric), 0);
    arena_free(patch.arena);
}

/* 20 m to the switch as in linkbudget case B: every loss, penalty and the margin by hand. */
static void test_margin_by_hand(void)
{
    struct loaded patch = load("optical-patch", "part.lane_100g_pam4.laser=15dBm");
    struct lane lane;
    struct budget budget;
    CHECK(light_budget(patch.fabric, 0, &lane, &budget));
    CHECK_NEAR(budget.received_dbm, 15 - 16.614, 1e-9);
    CHECK_NEAR(budget.penalty_db, 2.3 + 0.14943759244777927, 1e-9); /* crosstalk of 38 dB at the limit of KP4 */
    CHECK_NEAR(budget.margin_db, 15 - 16.614 - 2.44943759244777927 + 7.672146839040917, 1e-9);
    CHECK_NEAR(patch.fabric->light[0].margin_db, budget.margin_db, 1e-12);
    arena_free(patch.arena);
}

static void test_every_preset_closes(void)
{
    for (const struct fabric_preset *preset = fabric_presets; preset->name != NULL; preset++) {
        struct arena *arena = arena_new("test");
        struct fabric_config config;
        struct diag diag;
        CHECK_EQUAL(fabric_load(preset->name, NULL, 0, 0, arena, &config, &diag), STATUS_OK);
        uint32_t port = light_worst(config.fabric);
        CHECK(port == ID_NONE || config.fabric->light[port].margin_db >= 0);
        arena_free(arena);
    }
}

/* A switch of 9.8 dB: refused with its line and the numbers, and let in with the laser that the line asks for. */
static void test_budget_that_does_not_close(void)
{
    char path[400];
    snprintf(path, sizeof path, "%s/patch.yaml", test_directory());
    FILE *file = fopen(path, "w");
    fprintf(file, "fabric: optical_patch\nmodule: dr1_100g_dsp\nocs: sip_mems_240\n");
    fclose(file);
    struct loaded loaded = load(path, "");
    char line[440];
    snprintf(line, sizeof line, "%s:3:", path);
    CHECK_EQUAL(loaded.status, STATUS_INPUT);
    CHECK_HOLDS(loaded.diag.text, line);
    CHECK_HOLDS(loaded.diag.text, "laser 13.00 dBm - losses 24.41 dB - penalties 2.30 dB = -13.71 dBm, the receiver "
                                  "needs -7.67 dBm; expected 6.04 dB less loss or part.lane_100g_pam4.laser of 19.54 dBm");
    arena_free(loaded.arena);
    loaded = load(path, "part.lane_100g_pam4.laser=19.55dBm");
    CHECK_EQUAL(loaded.status, STATUS_OK);
    CHECK(loaded.fabric->light[0].margin_db >= 0.5);
    arena_free(loaded.arena);
    loaded = load("optical-patch", "part.palomar.isolation=20dB");
    CHECK_EQUAL(loaded.status, STATUS_INPUT);
    CHECK_HOLDS(loaded.diag.text, "does not close at any laser power");
    arena_free(loaded.arena);
    loaded = load("optical-patch", "part.lane_100g_pam4.extinction=0dB part.lane_100g_pam4.rate=0bps");
    CHECK_EQUAL(loaded.status, STATUS_INPUT);
    CHECK_HOLDS(loaded.diag.text, "does not close at any laser power");
    arena_free(loaded.arena);
    loaded = load("clos-dsp", "part.lane_100g_pam4.laser=5dBm");
    CHECK_EQUAL(loaded.status, STATUS_INPUT);
    CHECK_HOLDS(loaded.diag.text, "preset:clos-dsp:"); /* the line of the module */
    arena_free(loaded.arena);
}

static double laser_w(const char *settings)
{
    struct loaded loaded = load("optical-patch", settings);
    CHECK_EQUAL(loaded.status, STATUS_OK);
    struct energy_input input = {.time_ps = PS_PER_S,
                                 .tx_bytes = arena_array(loaded.arena, loaded.fabric->port_count, uint64_t),
                                 .host_compute_ps = arena_array(loaded.arena, 32, uint64_t)};
    struct energy_row *rows;
    uint32_t count;
    double watts = 0;
    energy_account(loaded.fabric, &input, loaded.arena, &rows, &count);
    for (uint32_t i = 0; i < count; i++) {
        watts += strcmp(rows[i].part, "lasers") == 0 ? rows[i].static_pj * 1e-12 : 0;
    }
    arena_free(loaded.arena);
    return watts;
}

/* Modules' watts hold 13 dBm of laser; 128 lanes that are driven harder draw 20 mW (2 dB) / 15 % more, and so on by
 * 10^(dB/10). */
static void test_laser_power_goes_to_energy(void)
{
    CHECK(laser_w("") == 0);
    double at_13_w = 128 * 1e-3 * pow(10, 1.3) / 0.15;
    CHECK_NEAR(laser_w("part.lane_100g_pam4.laser=15dBm"), at_13_w * (pow(10, 0.2) - 1), 1e-9);
    CHECK_NEAR(laser_w("part.lane_100g_pam4.laser=16dBm"), at_13_w * (pow(10, 0.3) - 1), 1e-9);
    CHECK_NEAR(laser_w("part.lane_100g_pam4.laser=16dBm part.lane_100g_pam4.laser_efficiency=30%"),
               at_13_w * (pow(10, 0.3) - 1) / 2, 1e-9);
}

/* The chance of losing a frame of 4,154 bytes in units of 2^-64: none at the default, that of the lane where the laser is
 * weak. */
static void test_weak_links_lose_frames(void)
{
    struct loaded loaded = load("optical-patch", "");
    light_frame_loss(loaded.fabric, 4154, &(struct cell_shape){0});
    CHECK(loaded.fabric->port_frame_loss == NULL);
    arena_free(loaded.arena);
    loaded = load("optical-patch", "part.lane_100g_pam4.laser=11.4dBm");
    CHECK_EQUAL(loaded.status, STATUS_OK);
    struct lane lane;
    struct budget budget;
    CHECK(light_budget(loaded.fabric, 0, &lane, &budget));
    double chance = budget_frame_loss(&lane, &budget, 4154);
    CHECK(budget.margin_db > 0 && budget.margin_db < 0.02 && chance > 1e-13);
    light_frame_loss(loaded.fabric, 4154, &(struct cell_shape){0});
    CHECK(loaded.fabric->port_frame_loss != NULL);
    CHECK_NEAR((double)loaded.fabric->port_frame_loss[7].chance, ldexp(chance, 64), 1e-6);
    arena_free(loaded.arena);
}

TEST_MAIN("light", TEST(test_losses_add_up), TEST(test_what_stands_behind_the_end_does_not_count), TEST(test_margin_by_hand), TEST(test_every_preset_closes),
          TEST(test_budget_that_does_not_close), TEST(test_laser_power_goes_to_energy),
          TEST(test_weak_links_lose_frames))
