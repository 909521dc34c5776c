/* Energy: hand-worked watts of whole networks, energy per bit against load, and sums that must hold.
 *
 * Expected figures come from the parts' data-sheet watts: a three-tier 800G Clos has 5 switch ports and 6 link ends a
 * host, so NIC + 6 * module + 5 * 12 W; they are not taken from the program. */
#include "netsim/circuit/planner.h"
#include "netsim/fabric_load.h"
#include "netsim/metrics/energy.h"
#include "tests/check.h"

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
    struct trace_setting sets[32];
    size_t count = 0;
    for (char *word = strtok(arena_strdup(account.arena, settings), " "); word != NULL; word = strtok(NULL, " ")) {
        char *equals = strchr(word, '=');
        *equals = 0;
        sets[count++] = (struct trace_setting){word, equals + 1, {"--set", 0, 0}};
    }
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
    struct energy_input input = {(uint64_t)SECOND_PS, account.tx_bytes, account.compute_ps};
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
    struct energy_input input = {(uint64_t)SECOND_PS, patch.tx_bytes, patch.compute_ps};
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

TEST_MAIN("energy", TEST(test_three_tiers_at_full_load), TEST(test_two_tiers_at_full_load),
          TEST(test_energy_per_bit_against_load), TEST(test_nvl72_with_optics), TEST(test_static_power_dominates),
          TEST(test_cpo_saves_its_share), TEST(test_network_share), TEST(test_nothing_is_lost),
          TEST(test_optical_patch), TEST(test_bare_fabric_has_no_rows))
