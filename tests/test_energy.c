/* Energy: hand-worked watts of whole networks, energy per bit against load, and sums that must hold.
 *
 * Expected figures come from the parts' data-sheet watts: a three-tier 800G Clos has 5 switch ports and 6 link ends a
 * host, so NIC + 6 * module + 5 * 12 W; they are not taken from the program. Runs check what energy follows from: idle
 * latency, large messages that do not care about modules, time that grows with the time of reconfiguration.
 *
 * Not asserted here: budgets that do not close and what loss asks of lasers (tests/test_optics.c, tests/test_light.c),
 * bytes of two hops and guards (tests/test_cyclic.c). */
#include "netsim/circuit/planner.h"
#include "netsim/fabric_load.h"
#include "netsim/metrics/energy.h"
#include "netsim/route/path.h"
#include "netsim/run.h"
#include "tests/check.h"
#include "tests/support_run.h"

#include <math.h>

#define SECOND_PS 1000000000000.0

struct account {
    struct arena *arena;
    struct fabric *fabric;
    uint64_t *tx_bytes, *compute_ps;
    struct energy_row *rows;
    uint32_t count;
};

/* A second of the fabric with every link `load` busy in both directions and GPUs computing `compute` of the time. */
static struct account account(const char *spec, const char *settings, uint32_t hosts, double load, double compute)
{
    struct account account = {.arena = arena_new("test")};
    struct trace_setting sets[SETTINGS_MAX];
    size_t count = settings_split(account.arena, settings, sets);
    struct fabric_config config;
    struct diag diag = {""};
    if (fabric_load(spec, sets, count, hosts, account.arena, &config, &diag) != STATUS_OK) {
        printf("%s\n", diag.text);
        exit(1);
    }
    account.fabric = config.fabric;
    account.tx_bytes = arena_array(account.arena, config.fabric->port_count, uint64_t);
    account.compute_ps = arena_array(account.arena, config.fabric->host_count, uint64_t);
    for (uint32_t port = 0; port < config.fabric->port_count; port++) {
        account.tx_bytes[port] = (uint64_t)((double)config.fabric->rate_bps[port] / 8 * load);
    }
    for (uint32_t host = 0; host < config.fabric->host_count; host++) {
        account.compute_ps[host] = (uint64_t)(compute * SECOND_PS);
    }
    struct energy_input input = {(uint64_t)SECOND_PS, account.tx_bytes, account.compute_ps, 1};
    energy_account(config.fabric, &input, account.arena, &account.rows, &account.count);
    return account;
}

static double row_w(const struct energy_row *row)
{
    return (row->static_pj + row->dynamic_pj + row->reconfigure_pj) / SECOND_PS;
}

static double network_w(const struct account *account)
{
    double sum = 0;
    for (uint32_t i = 0; i < account->count; i++) {
        sum += account->rows[i].use == ENERGY_NETWORK ? row_w(&account->rows[i]) : 0;
    }
    return sum;
}

static const struct energy_row *row(const struct account *account, const char *part, enum energy_use use)
{
    for (uint32_t i = 0; i < account->count; i++) {
        if (strcmp(account->rows[i].part, part) == 0 && account->rows[i].use == use) {
            return &account->rows[i];
        }
    }
    printf("no row %s\n", part);
    exit(1);
}

#define SWITCH_15 "part.eth_switch.static_per_rate=14pJ/bit part.eth_switch.overhead=0 switch=eth_switch "
#define THREE_TIERS "tiers=3 radix=8 link_rate=800Gbps nic=connectx8 part.connectx8.static=27W " SWITCH_15

/* 35 W a NIC (27 W and 10 pJ/bit at 800G) and 60 W of switches in each. */
static void test_three_tiers_at_full_load(void)
{
    static const struct {
        const char *settings;
        double watts;
    } cases[] = {
        {THREE_TIERS "host_module=dr8_800g_dsp switch_module=dr8_800g_dsp", 185.0},
        {THREE_TIERS "host_module=lpo_800g switch_module=lpo_800g", 146.0},
        {THREE_TIERS "host_module=dr8_800g_dsp switch_module=cpo_bailly_800g", 137.5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct account full = account("fat_tree", cases[i].settings, 0, 1, 0);
        CHECK_NEAR(network_w(&full) / 128, cases[i].watts, 0.001);
        arena_free(full.arena);
    }
}

/* 22 W of NIC, 9 W of module, three switch ports of 400G with 8.5 W of module and 29.2 pJ/bit of box: 91.5 W. */
static void test_two_tiers_at_full_load(void)
{
    struct account full = account(
        "fat_tree",
        "tiers=2 radix=16 nic=connectx7 host_module=dr4_400g_dsp switch_module=lpo_400g part.lpo_400g.static=8.5W "
        "part.lpo_400g.dynamic=0pJ/bit switch=eth_switch part.eth_switch.static_per_rate=28.2pJ/bit "
        "part.eth_switch.overhead=0", 0, 1, 0);
    CHECK_NEAR(network_w(&full) / 128, 91.54, 0.0005);
    arena_free(full.arena);
}

/* Joules of one end over the bits it moves one way: (12 W / 800G / u) + 3.75 pJ/bit and so on. */
static void test_energy_per_bit_against_load(void)
{
    static const struct {
        const char *part;
        double load, pj_bit;
    } cases[] = {
        {"dr8_800g_dsp", 1.0, 18.75}, {"dr8_800g_dsp", 0.5, 33.75}, {"dr8_800g_dsp", 0.3, 53.75},
        {"dr8_800g_dsp", 0.1, 153.75}, {"lpo_800g", 1.0, 10.65}, {"lpo_800g", 0.3, 31.0667}, {"lpo_800g", 0.1, 89.4},
        {"cpo_bailly_800g", 1.0, 6.9}, {"cpo_bailly_800g", 0.3, 18.5667}, {"cpo_bailly_800g", 0.1, 51.9},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char settings[200];
        snprintf(settings, sizeof settings, "tiers=1 hosts=4 link_rate=800Gbps host_module=%s switch_module=%s",
                 cases[i].part, cases[i].part);
        struct account star = account("fat_tree", settings, 0, cases[i].load, 0);
        double bits = 8 * 100e9 * cases[i].load; /* one way in a second */
        CHECK_NEAR(row_w(row(&star, cases[i].part, ENERGY_NETWORK)) / 8 / bits * 1e12, cases[i].pj_bit, 1e-4);
        CHECK_EQUAL(row(&star, cases[i].part, ENERGY_NETWORK)->count, 8);
        arena_free(star.arena);
    }
}

/* NVL72: 7.2 Tbit/s one way a GPU is 4.5 ends of 1.6T; as 30 W optics at both ends 19.4 kW, which is what copper saves
 * (Nvidia, GTC 2024: 20 kW a rack). Counting both directions would give twice that. */
static void test_nvl72_with_optics(void)
{
    struct account rack = account("fat_tree",
                                  "tiers=1 hosts=324 link_rate=1.6Tbps host_module=dr8_1600g_dsp "
                                  "switch_module=dr8_1600g_dsp part.dr8_1600g_dsp.static=30W", 0, 0, 0);
    CHECK_NEAR(network_w(&rack), 19440, 1e-9);
    arena_free(rack.arena);
}

/* Of the power of a two-tier network at ordinary load nearly all is static. */
static void test_static_power_dominates(void)
{
    struct account busy = account("clos-dsp", "", 128, 0.5, 0.5), half = account("clos-dsp", "", 128, 0.25, 0.5);
    struct account idle = account("clos-dsp", "", 128, 0, 0.5);
    CHECK(network_w(&half) < network_w(&busy));
    CHECK(network_w(&half) > 0.9 * network_w(&busy));
    CHECK(network_w(&idle) > 0.75 * network_w(&busy));
    for (uint32_t i = 0; i < idle.count; i++) {
        CHECK(idle.rows[i].dynamic_pj == 0);
    }
    arena_free(busy.arena);
    arena_free(half.arena);
    arena_free(idle.arena);
}

/* Two thirds of the switches' optics, a quarter to less than half of the network, 3 to 6 % of the cluster. */
static void test_cpo_saves_its_share(void)
{
    struct account dsp = account("clos-dsp", "", 128, 0.3, 1), cpo = account("clos-cpo", "", 128, 0.3, 1);
    double saved_w = network_w(&dsp) - network_w(&cpo);
    double dsp_switch_w = row_w(row(&dsp, "dr4_400g_dsp", ENERGY_NETWORK)) * 3 / 4;
    double cpo_switch_w = row_w(row(&cpo, "cpo_bailly_400g", ENERGY_NETWORK));
    double cluster_w = network_w(&dsp) + row_w(row(&dsp, "h100_sxm", ENERGY_GPU_COMPUTE));
    CHECK(1 - cpo_switch_w / dsp_switch_w > 0.6 && 1 - cpo_switch_w / dsp_switch_w < 0.75);
    CHECK(saved_w / network_w(&dsp) > 0.2 && saved_w / network_w(&dsp) < 0.45);
    CHECK(saved_w / cluster_w > 0.02 && saved_w / cluster_w < 0.06);
    arena_free(dsp.arena);
    arena_free(cpo.arena);
}

/* The network's share of a 1400 W GPU cluster with three tiers of 800G and DSPs: 8 to 15 %, 12 % measured in production
 * (Roellin et al., HotNets 2025). */
static void test_network_share(void)
{
    struct account all = account("fat_tree",
                                 "tiers=3 radix=8 link_rate=800Gbps nic=connectx8 switch=eth_switch gpu=gb300 "
                                 "host_module=dr8_800g_dsp switch_module=dr8_800g_dsp", 0, 0.3, 1);
    double gpu_w = row_w(row(&all, "gb300", ENERGY_GPU_COMPUTE));
    double share = network_w(&all) / (network_w(&all) + gpu_w);
    printf("network share %.1f %%, %.1f W a GPU\n", 100 * share, network_w(&all) / 128);
    CHECK_NEAR(gpu_w, 128 * 1400, 1e-9);
    CHECK(share > 0.08 && share < 0.15);
    arena_free(all.arena);
}

/* Rows add up to what a walk over all ports and nodes gives, overhead included. */
static void test_nothing_is_lost(void)
{
    struct account all = account("fat-tree-128", "", 128, 0.4, 0.25);
    const struct fabric *fabric = all.fabric;
    double watts = 0;
    for (uint32_t node = 0; node < fabric->node_count; node++) {
        bool is_switch = fabric->node_kind[node] == NODE_SWITCH;
        double inside = 0;
        for (uint32_t port = fabric->port_first[node]; port < fabric->port_first[node + 1]; port++) {
            inside += 7.2 + 4.5e-12 * 400e9 * 0.4 + (is_switch ? 0.01104 * 400 + 1e-12 * 400e9 * 0.4
                                                               : 17.6 + 11e-12 * 400e9 * 0.4);
        }
        watts += is_switch ? 1.25 * inside : inside;
    }
    CHECK_NEAR(network_w(&all), watts, 1e-9);
    CHECK_NEAR(row_w(row(&all, "h100_sxm", ENERGY_GPU_COMPUTE)), 128 * 700 * 0.25, 1e-9);
    CHECK_NEAR(row_w(row(&all, "h100_sxm", ENERGY_GPU_WAIT)), 128 * 350 * 0.75, 1e-9);
    CHECK_TEXT(row(&all, "box_overhead", ENERGY_NETWORK)->class, "overhead");
    CHECK_EQUAL(row(&all, "box_overhead", ENERGY_NETWORK)->count, 80);
    CHECK_EQUAL(row(&all, "connectx7", ENERGY_NETWORK)->count, 128);
    CHECK_EQUAL(row(&all, "dr4_400g_dsp", ENERGY_NETWORK)->count, 6 * 128);
    arena_free(all.arena);
}

/* 32 GPUs of four lanes: 128 fibres are one Palomar box of 136 ports, 137 would be two; no switch, no overhead. */
static void test_optical_patch(void)
{
    struct account patch = account("optical-patch", "part.palomar.reconfigure=2nJ", 32, 0, 0);
    CHECK_EQUAL(row(&patch, "palomar", ENERGY_NETWORK)->count, 1);
    CHECK_NEAR(network_w(&patch), 32 * (17.6 + 4 * 1.8) + 108, 1e-9);
    arena_free(patch.arena);
    patch = account("optical-patch", "part.palomar.reconfigure=2nJ", 35, 0, 0);
    CHECK_EQUAL(row(&patch, "palomar", ENERGY_NETWORK)->count, 2);
    struct demand_builder *builder = demand_builder_new(patch.arena, 35);
    demand_add(builder, 3, 4, 1000);
    struct circuit_plan plan;
    struct diag diag;
    CHECK_EQUAL(plan_circuits(patch.fabric, demand_build(builder), patch.arena, &plan, &diag), STATUS_OK);
    plan_apply(patch.fabric, &plan);
    struct energy_input input = {(uint64_t)SECOND_PS, patch.tx_bytes, patch.compute_ps, 1};
    patch.tx_bytes[patch.fabric->port_first[3] + 1] = 1000; /* the second lane: the NIC of the first carries it */
    energy_account(patch.fabric, &input, patch.arena, &patch.rows, &patch.count);
    CHECK_NEAR(row(&patch, "palomar", ENERGY_NETWORK)->reconfigure_pj, 2000.0 * plan.count, 1e-9);
    CHECK_NEAR(row(&patch, "connectx7", ENERGY_NETWORK)->dynamic_pj, 2 * 8000 * 11 / 2, 1e-9); /* both ends */
    CHECK_EQUAL(row(&patch, "connectx7", ENERGY_NETWORK)->count, 35);
    CHECK_NEAR(row(&patch, "dr1_100g_dsp", ENERGY_NETWORK)->dynamic_pj, 8000 * 4.5, 1e-9);
    arena_free(patch.arena);
}

/* Bare fabrics, as the peers' scenarios have them, burn nothing and have no rows. */
static void test_bare_fabric_has_no_rows(void)
{
    struct account bare = account("htsim-128", "", 0, 1, 1);
    CHECK_EQUAL(bare.count, 0);
    arena_free(bare.arena);
}

/* ---- plausibility --------------------------------------------------------------------------------------------- */

static double idle_us(const char *spec, const char *settings, uint32_t hosts)
{
    struct account idle = account(spec, settings, hosts, 0, 0);
    const struct packet_shape shape = {.packet_bytes = 4096, .header_bytes = 64, .ack_bytes = 64};
    if (idle.fabric->plan != PLAN_NONE) {
        struct demand_builder *builder = demand_builder_new(idle.arena, hosts);
        struct circuit_plan plan;
        struct diag diag;
        demand_add(builder, 0, hosts - 1, 1000);
        CHECK_EQUAL(plan_circuits(idle.fabric, demand_build(builder), idle.arena, &plan, &diag), STATUS_OK);
        plan_apply(idle.fabric, &plan);
    }
    const struct routes *routes = routes_new(idle.fabric, idle.arena);
    double us = (double)path_idle_ps(idle.fabric, routes, &shape, true, 0, hosts - 1, 4032) * 1e-6;
    arena_free(idle.arena);
    return us;
}

/* Three switches of 250 ns, four links of 30 m with 100 ns of FEC, NICs of 600 ns and 41 ns for 4 KiB at 800G: 3.38 us with
 * DSPs of 50 ns, 3.02 us with 5 ns, 1.95 us direct over 100 m. A removed hop is worth a quarter to 0.8 us. */
static void test_zero_load_latency(void)
{
    static const char clos[] = "tiers=2 radix=8 link_rate=800Gbps host_length=30m switch_length=30m cut_through=yes "
                               "nic=connectx8 switch=ib_switch host_module=dr8_800g_dsp switch_module=dr8_800g_dsp";
    char linear[400], patch[400];
    snprintf(linear, sizeof linear, "%s part.dr8_800g_dsp.latency=5ns", clos);
    snprintf(patch, sizeof patch, "degree=2 link_rate=800Gbps fibre_length=50m nic=connectx8 module=dr8_800g_dsp "
                                  "ocs=palomar");
    double dsp_us = idle_us("fat_tree", clos, 32), lpo_us = idle_us("fat_tree", linear, 32);
    double direct_us = idle_us("optical_patch", patch, 32);
    printf("idle: %.3f us with DSPs, %.3f us linear, %.3f us direct\n", dsp_us, lpo_us, direct_us);
    CHECK_NEAR(dsp_us, 3.37896, 0.005);
    CHECK_NEAR(lpo_us, 3.01896, 0.005);
    CHECK_NEAR(direct_us, 1.94596, 0.005);
    CHECK((dsp_us - direct_us) / 3 > 0.25 && (dsp_us - direct_us) / 3 < 0.8);
}

static struct run_result ran(struct arena *arena, const char *fabric, const char *trace, const char *key,
                             const char *value)
{
    const char *settings = key == NULL ? NULL : arena_printf(arena, "%s=%s", key, value);
    return whole_run_good(whole_request(trace, fabric), NULL, settings, arena);
}

/* 128 MiB round four hosts at one switch: 45 ns less a link do not show. */
static void test_large_messages_do_not_see_modules(void)
{
    struct arena *arena = arena_new("test");
    const char *trace = "pattern:ring_allreduce,ranks=4,bytes=128MiB";
    double dsp = (double)ran(arena, "clos-dsp", trace, NULL, NULL).summary.makespan_ps;
    double cpo = (double)ran(arena, "clos-cpo", trace, NULL, NULL).summary.makespan_ps;
    CHECK(cpo <= dsp && cpo > 0.99 * dsp);
    arena_free(arena);
}

/* A star through a packet switch against the same fibres through an optical one: what goes is the switch and the modules at
 * it, half of all; what comes is the box. */
static void test_optical_switch_removes_its_share(void)
{
    struct account star = account("fat_tree", "tiers=1 hosts=32 link_rate=400Gbps nic=connectx7 switch=eth_switch "
                                              "host_module=dr4_400g_dsp switch_module=dr4_400g_dsp", 32, 0, 0);
    struct account patch = account("optical_patch", "hosts=32 degree=2 link_rate=400Gbps nic=connectx7 ports_per_nic=2 "
                                                    "module=dr4_400g_dsp ocs=palomar", 32, 0, 0);
    double module_w = 7.2, switch_w = 32 * 0.01104 * 400, overhead_w = 0.25 * (switch_w + 32 * module_w);
    CHECK_NEAR(network_w(&star), 32 * (17.6 + 2 * module_w) + switch_w + overhead_w, 1e-9);
    CHECK_NEAR(network_w(&patch), 32 * (17.6 + 2 * module_w) + 108, 1e-9);
    CHECK_NEAR(network_w(&star) - network_w(&patch), switch_w + overhead_w - 108, 1e-9);
    arena_free(star.arena);
    arena_free(patch.arena);
}

/* Time against the time of reconfiguration: as long as compute covers it nothing changes, then every picosecond counts,
 * and a minute is a minute. Never faster than a network that needs none at the same rate. */
static void test_reconfiguration_sweep(void)
{
    static const char *const settles[] = {"0ns", "1ms", "5ms", "8ms", "12ms", "20ms", "200ms", "60s"};
    static const char trace[] = "pattern:ring_allreduce,ranks=8,bytes=4MiB,compute=20ms";
    struct arena *arena = arena_new("test");
    double ms[8];
    for (size_t i = 0; i < 8; i++) {
        ms[i] = (double)ran(arena, "optical-patch", trace, "part.palomar.settle", settles[i]).summary.makespan_ps * 1e-9;
        CHECK(i == 0 || ms[i] >= ms[i - 1]);
    }
    printf("settling 0 to 60 s: %.3f, %.3f, %.3f, %.3f, %.3f, %.3f, %.3f, %.3f ms\n", ms[0], ms[1], ms[2], ms[3], ms[4],
           ms[5], ms[6], ms[7]);
    CHECK_NEAR(ms[3], ms[0], 1e-9);              /* 8 ms and 11 ms of re-lock and control are inside the 20 ms */
    CHECK_NEAR(ms[4] - ms[0], 12 + 11 - 20, 0.001); /* 3 ms stick out */
    CHECK_NEAR(ms[6] - ms[5], 180, 1e-6);
    CHECK_NEAR(ms[7] - ms[6], 59800, 1e-6);
    double bound_ms = 20 + 2.0 * 7 / 8 * 4 * 1048576 * 8 / 400e9 * 1e3;
    CHECK(ms[0] >= bound_ms);
    arena_free(arena);
}

/* Bytes a 800G port moves so that a reconfiguration is a tenth of the time: 9 t R, for the parts of this table within
 * 20 % (MEMS 1.2 ms 1.1 GB, OCSTrx 70 us 63 MB, rings 25 us 22.5 MB, MZI 3.7 us 3.3 MB, Sirius 3.84 ns 3.5 kB). */
static void test_break_even(void)
{
    static const struct {
        const char *part;
        double bytes;
        bool is_low; /* of the range, where the default is beyond the median that the rule was worked for */
    } cases[] = {{"palomar", 1.08e9, true}, {"ocstrx", 63e6, false}, {"mrr_ring", 22.5e6, false},
                 {"mzi_mesh", 3.33e6, false}, {"rotor_128", 9e6, false}};
    struct account any = account("clos-dsp", "", 8, 0, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t part_id;
        struct diag diag;
        CHECK_EQUAL(part_find(any.fabric->parts, cases[i].part, (struct origin){"test", 0, 0}, &part_id, &diag), STATUS_OK);
        const struct part_value *settle = &any.fabric->parts->parts[part_id].value[PART_SETTLE_PS];
        double seconds = (cases[i].is_low ? settle->low : settle->normal) * 1e-12;
        CHECK_NEAR(800e9 / 8 * seconds * 9, cases[i].bytes, 0.2);
    }
    arena_free(any.arena);
}

/* Joules of network and GPUs over a step of a second of compute that takes `time` seconds. */
static double cluster_j(const char *spec, const char *settings, double time)
{
    struct account all = account(spec, settings, 32, 0.1, 1);
    struct energy_input input = {(uint64_t)(time * SECOND_PS), all.tx_bytes, all.compute_ps, 1};
    energy_account(all.fabric, &input, all.arena, &all.rows, &all.count);
    double sum = 0;
    for (uint32_t i = 0; i < all.count; i++) {
        sum += (all.rows[i].static_pj + all.rows[i].dynamic_pj) * 1e-12;
    }
    arena_free(all.arena);
    return sum;
}

/* Waiting GPUs cost what optics save: 700 W for a tenth of the time are 70 W a GPU, the order of the network's. An optical
 * network that takes 2 % longer saves energy, one that takes 30 % longer costs it: both signs must come out. */
static void test_waiting_against_watts(void)
{
    static const char gpu[] = "part.h100_sxm.static=1400W part.h100_sxm.idle=700W";
    double clos = cluster_j("clos-dsp", gpu, 1);
    CHECK(cluster_j("optical-patch", gpu, 1.02) < clos);
    CHECK(cluster_j("optical-patch", gpu, 1.3) > clos);
    struct account waiting = account("clos-dsp", gpu, 32, 0.1, 0.9);
    double wait_w = row_w(row(&waiting, "h100_sxm", ENERGY_GPU_WAIT)) / 32;
    CHECK_NEAR(wait_w, 70, 1e-9);
    CHECK(network_w(&waiting) / 32 > 35 && network_w(&waiting) / 32 < 140);
    arena_free(waiting.arena);
}

/* ---- photonic parts ------------------------------------------------------------------------------------------- */

/* Sirius: every uplink is an eighth of a 16 dBm laser at 8 %; a port for each peer is still one transceiver. */
static void test_tunable_lasers(void)
{
    struct account sirius = account("sirius", "", 64, 0, 0);
    CHECK_EQUAL(row(&sirius, "sirius_50g", ENERGY_NETWORK)->count, 16 * 4);
    CHECK_EQUAL(row(&sirius, "lasers", ENERGY_NETWORK)->count, 16 * 4);
    CHECK_NEAR(row_w(row(&sirius, "lasers", ENERGY_NETWORK)), 64 * pow(10, 1.6) * 1e-3 / 0.08 / 8, 1e-9);
    CHECK_TEXT(row(&sirius, "lasers", ENERGY_NETWORK)->class, "laser");
    arena_free(sirius.arena);
}

/* 16 ports of 100G are four wavelengths of 32G each: 4 x 31.6 mW of laser and 4 x 4 mW of heaters; path ends of the
 * interposer are held with 120 mW each, whether they carry anything or not. */
static void test_rings_and_paths_are_held(void)
{
    struct account ring = account("sip-ml-ring", "", 32, 0, 0);
    CHECK_NEAR(row_w(row(&ring, "lasers", ENERGY_NETWORK)), 32 * 16 * 4 * pow(10, 0.5) * 1e-3 / 0.1, 1e-9);
    CHECK_NEAR(row_w(row(&ring, "ring_tuning", ENERGY_NETWORK)), 32 * 16 * 4 * 4e-3, 1e-9);
    arena_free(ring.arena);
    struct account chips = account("lumorph", "", 32, 0, 0);
    CHECK_NEAR(row_w(row(&chips, "mzi_mesh", ENERGY_NETWORK)), 32 * 8 * 0.12, 1e-9);
    arena_free(chips.arena);
    struct account fixed = account("lumorph", "paths=fixed", 36, 0, 0);
    for (uint32_t i = 0; i < fixed.count; i++) {
        CHECK(strcmp(fixed.rows[i].part, "mzi_mesh") != 0);
    }
    arena_free(fixed.arena);
}

/* Rotors set 120 pairs in every period of 800 us, 1250 of them in a second. */
static void test_cyclic_reconfigurations(void)
{
    struct account rotors = account("rotornet", "part.rotor_128.reconfigure=2nJ", 64, 0, 0);
    CHECK_NEAR(row(&rotors, "rotor_128", ENERGY_NETWORK)->reconfigure_pj, 120 * 1250 * 2000.0, 1e-9);
    CHECK_EQUAL(row(&rotors, "rotor_128", ENERGY_NETWORK)->count, 4);
    arena_free(rotors.arena);
    struct account bypass = account("infinitehbd", "failed=3,7", 32, 0, 0);
    CHECK_NEAR(row(&bypass, "ocstrx", ENERGY_NETWORK)->reconfigure_pj, 2 * 4 * 0.2e6, 1e-9);
    arena_free(bypass.arena);
}

/* Two GPUs a host of which one half of the time one computes: the same compute, three times the waiting. */
static void test_gpus_that_share_a_host(void)
{
    struct account all = account("clos-dsp", "", 16, 0.5, 0.5);
    const struct energy_input input = {(uint64_t)SECOND_PS, all.tx_bytes, all.compute_ps, 2};
    struct energy_row *rows;
    uint32_t count;
    energy_account(all.fabric, &input, all.arena, &rows, &count);
    CHECK_EQUAL(count, all.count);
    for (uint32_t i = 0; i < count; i++) {
        bool is_gpu = rows[i].use != ENERGY_NETWORK, is_wait = rows[i].use == ENERGY_GPU_WAIT;
        CHECK_EQUAL(rows[i].count, (is_gpu ? 2 : 1) * all.rows[i].count);
        CHECK_NEAR(row_w(&rows[i]), (is_wait ? 3 : 1) * row_w(&all.rows[i]), 1e-6);
    }
    arena_free(all.arena);
}

/* By hand: a tray of DGX GH200 is one switch of 96 or 128 NVLink ports, which are two chips of 64; a server of eight H100
 * behind one switch has 144 NVLink ports and 8 of 400 Gbit/s, 32 Tbit/s, of 12.8 a chip; half-rate ports share a chip. */
static void test_boxes_carry_what_they_can(void)
{
    struct account trays = account("gh200-256", "", 0, 0, 0);
    CHECK_EQUAL(row(&trays, "nvswitch3", ENERGY_NETWORK)->count, 2 * 96 + 2 * 36);
    CHECK_NEAR(row_w(row(&trays, "nvswitch3", ENERGY_NETWORK)), 264 * 138, 1e-9);
    struct account servers = account("mixnet-h100", "", 64, 0, 0);
    CHECK_EQUAL(row(&servers, "nvswitch3", ENERGY_NETWORK)->count, 8 * 3);
    struct account star = account("fat_tree", "tiers=1 hosts=128 link_rate=800Gbps switch=tomahawk5", 0, 0, 0);
    CHECK_NEAR(row_w(row(&star, "tomahawk5", ENERGY_NETWORK)), 2 * 460, 1e-9);
    struct account half = account("fat_tree", "tiers=1 hosts=128 link_rate=400Gbps switch=tomahawk5", 0, 0, 0);
    CHECK_NEAR(row_w(row(&half, "tomahawk5", ENERGY_NETWORK)), 460, 1e-9);
    arena_free(trays.arena);
    arena_free(servers.arena);
    arena_free(star.arena);
    arena_free(half.arena);
}

TEST_MAIN("energy", TEST(test_three_tiers_at_full_load), TEST(test_two_tiers_at_full_load),
          TEST(test_energy_per_bit_against_load), TEST(test_nvl72_with_optics), TEST(test_static_power_dominates),
          TEST(test_cpo_saves_its_share), TEST(test_network_share), TEST(test_nothing_is_lost),
          TEST(test_optical_patch), TEST(test_bare_fabric_has_no_rows), TEST(test_zero_load_latency),
          TEST(test_large_messages_do_not_see_modules), TEST(test_optical_switch_removes_its_share),
          TEST(test_reconfiguration_sweep), TEST(test_break_even), TEST(test_waiting_against_watts),
          TEST(test_tunable_lasers), TEST(test_rings_and_paths_are_held), TEST(test_cyclic_reconfigurations), TEST(test_gpus_that_share_a_host),
          TEST(test_boxes_carry_what_they_can))
