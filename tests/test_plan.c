/* Planners of circuits: what they join for demand whose best plan is known, and what they promise for any demand
 * (no port used twice, everybody connected, the same plan again). */
#include "netsim/circuit/graph.h"
#include "netsim/circuit/planner.h"
#include "netsim/fabric_load.h"
#include "netsim/route/route.h"
#include "netsim/route/shortest.h"
#include "netsim/base/rng.h"
#include "tests/check.h"

#include <time.h>

struct planned {
    struct arena *arena;
    struct fabric *fabric;
    struct demand_builder *demand;
    struct circuit_plan plan;
    struct diag diag;
    enum status status;
    double seconds;
};

static struct planned patch(uint32_t hosts, uint32_t degree, const char *planner)
{
    struct planned planned = {.arena = arena_new("test")};
    char hosts_text[16], degree_text[16];
    snprintf(hosts_text, sizeof hosts_text, "%u", hosts);
    snprintf(degree_text, sizeof degree_text, "%u", degree);
    struct trace_setting sets[] = {{"hosts", hosts_text, {"--set", 0, 0}}, {"degree", degree_text, {"--set", 0, 0}},
                                   {"planner", planner, {"--set", 0, 0}}};
    struct fabric_config config;
    planned.status = fabric_load("optical-patch", sets, 3, 0, planned.arena, &config, &planned.diag);
    CHECK_EQUAL(planned.status, STATUS_OK);
    planned.fabric = config.fabric;
    planned.demand = demand_builder_new(planned.arena, hosts);
    return planned;
}

static void ring_demand(struct planned *planned, uint32_t first, uint32_t stride, uint32_t count, uint64_t bytes)
{
    for (uint32_t i = 0; i < count; i++) {
        demand_add(planned->demand, first + i * stride, first + (i + 1) % count * stride, bytes);
    }
}

/* Ports are of different hosts, and none stands twice. */
static void ports_are_used_once(const struct planned *planned)
{
    uint8_t *is_used = arena_array(planned->arena, planned->fabric->port_count, uint8_t);
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < planned->plan.count; i++) {
        uint32_t a = planned->plan.circuits[i].port_a, b = planned->plan.circuits[i].port_b;
        wrong += is_used[a]++ || is_used[b]++ || planned->fabric->port_node[a] == planned->fabric->port_node[b];
    }
    CHECK_EQUAL(wrong, 0);
}

static void plan(struct planned *planned)
{
    clock_t start = clock();
    planned->status = plan_circuits(planned->fabric, demand_build(planned->demand), planned->arena, &planned->plan,
                                    &planned->diag);
    planned->seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
}

static void plan_well(struct planned *planned)
{
    plan(planned);
    if (planned->status != STATUS_OK) {
        printf("%s\n", planned->diag.text);
    }
    CHECK_EQUAL(planned->status, STATUS_OK);
    ports_are_used_once(planned);
    plan_apply(planned->fabric, &planned->plan);
    CHECK_EQUAL(fabric_validate(planned->fabric, &planned->diag), STATUS_OK); /* connected among other things */
}

static uint32_t circuits_between(const struct planned *planned, uint32_t left, uint32_t right)
{
    const struct fabric *fabric = planned->fabric;
    uint32_t count = 0;
    for (uint32_t port = fabric->port_first[left]; port < fabric->port_first[left + 1]; port++) {
        count += fabric->port_peer[port] != ID_NONE && fabric->port_node[fabric->port_peer[port]] == right;
    }
    return count;
}

/* One ring all-reduce: all ports go into the ring, whatever the order of its members. */
static void test_ring_gets_its_circuits(void)
{
    for (uint32_t degree = 2; degree <= 6; degree += 2) {
        for (uint32_t stride = 1; stride <= 7; stride += 2) {
            struct planned planned = patch(16, degree, "per_job");
            for (uint32_t i = 0; i < 16; i++) {
                demand_add(planned.demand, i, (i + stride) % 16, 1000000);
            }
            plan_well(&planned);
            for (uint32_t i = 0; i < 16; i++) {
                CHECK_EQUAL(circuits_between(&planned, i, (i + stride) % 16), degree / 2);
            }
            arena_free(planned.arena);
        }
    }
}

/* Rings of four along one dimension and of four along the other: degree 4 holds both, and nothing takes two hops. */
static void test_two_dimensions_of_rings(void)
{
    struct planned planned = patch(16, 4, "per_job");
    for (uint32_t i = 0; i < 4; i++) {
        ring_demand(&planned, 4 * i, 1, 4, 8000000);
        ring_demand(&planned, i, 4, 4, 4000000);
    }
    plan_well(&planned);
    for (uint32_t i = 0; i < 4; i++) {
        for (uint32_t j = 0; j < 4; j++) {
            CHECK_EQUAL(circuits_between(&planned, 4 * i + j, 4 * i + (j + 1) % 4), 1);
            CHECK_EQUAL(circuits_between(&planned, 4 * j + i, 4 * ((j + 1) % 4) + i), 1);
        }
    }
    arena_free(planned.arena);
}

/* A heavy pair among light ones gets several circuits; two hosts get all of them. */
static void test_heavy_pair_gets_several(void)
{
    struct planned planned = patch(8, 4, "per_job");
    for (uint32_t src = 0; src < 8; src++) {
        for (uint32_t dst = 0; dst < 8; dst++) {
            if (src != dst) {
                demand_add(planned.demand, src, dst, src + dst == 9 && (src == 2 || src == 7) ? 1000000 : 1000);
            }
        }
    }
    plan_well(&planned);
    CHECK_EQUAL(circuits_between(&planned, 2, 7), 3);
    arena_free(planned.arena);
    for (uint32_t degree = 1; degree <= 3; degree++) {
        planned = patch(2, degree, "per_job");
        demand_add(planned.demand, 1, 0, 5);
        plan_well(&planned);
        CHECK_EQUAL(circuits_between(&planned, 0, 1), degree);
        arena_free(planned.arena);
    }
}

static double mean_hops(const struct planned *planned)
{
    const struct fabric *fabric = planned->fabric;
    uint32_t *distance = arena_array(planned->arena, fabric->node_count, uint32_t);
    uint32_t *queue = arena_array(planned->arena, fabric->node_count, uint32_t);
    uint64_t sum = 0;
    for (uint32_t host = 0; host < fabric->host_count; host++) {
        shortest_distances(fabric, host, distance, queue);
        for (uint32_t other = 0; other < fabric->host_count; other++) {
            sum += distance[other];
        }
    }
    return (double)sum / fabric->host_count / (fabric->host_count - 1);
}

/* All-to-all on 32 hosts of degree 4: no 4-regular graph has a mean below (4 + 12 * 2 + 15 * 3) / 31 = 2.355 hops (Moore).
 * Random regular graphs have about 2.5; rings side by side 8.3. */
static void test_all_to_all_takes_few_hops(void)
{
    struct planned planned = patch(32, 4, "per_job");
    for (uint32_t pair = 0; pair < 32 * 32; pair++) {
        if (pair / 32 != pair % 32) {
            demand_add(planned.demand, pair / 32, pair % 32, 1000000);
        }
    }
    plan_well(&planned);
    double hops = mean_hops(&planned);
    printf("all-to-all, 32 hosts, degree 4: %.3f hops; %s; %.2f s\n", hops, planned.plan.text, planned.seconds);
    CHECK(hops < 2.5);
    CHECK(hops >= 2.354);
    arena_free(planned.arena);
}

/* A training step: TP 4 (heavy), PP 2 (light), DP 4 (middling) on 32 hosts. */
static void training_demand(struct planned *planned)
{
    for (uint32_t group = 0; group < 8; group++) {
        ring_demand(planned, 4 * group, 1, 4, 64000000);
    }
    for (uint32_t stage = 0; stage < 2; stage++) {
        for (uint32_t tp = 0; tp < 4; tp++) {
            ring_demand(planned, 16 * stage + tp, 4, 4, 24000000);
        }
    }
    for (uint32_t host = 0; host < 16; host++) {
        demand_add(planned->demand, host, host + 16, 4000000);
        demand_add(planned->demand, host + 16, host, 4000000);
    }
}

static void test_training_step(void)
{
    struct planned planned = patch(32, 4, "per_job");
    training_demand(&planned);
    plan_well(&planned);
    printf("training step: %s; %.2f s\n", planned.plan.text, planned.seconds);
    uint32_t direct = 0;
    for (uint32_t host = 0; host < 32; host++) {
        direct += circuits_between(&planned, host, host / 4 * 4 + (host + 1) % 4) > 0;
    }
    CHECK(direct >= 28); /* heavy rings but for the bridges that hold the stages together */
    struct planned oblivious = patch(32, 4, "strides");
    training_demand(&oblivious);
    plan_well(&oblivious);
    struct planned again = patch(32, 4, "per_job");
    training_demand(&again);
    plan_well(&again);
    CHECK_TEXT(again.plan.text, planned.plan.text);
    CHECK_EQUAL(memcmp(again.plan.circuits, planned.plan.circuits, again.plan.count * sizeof(struct circuit)), 0);
    arena_free(planned.arena);
    arena_free(oblivious.arena);
    arena_free(again.arena);
}

/* Whatever is asked for: connected, ports used once, no circuit to oneself. */
static void test_any_demand_is_connected(void)
{
    uint64_t seed = test_seed();
    for (uint64_t trial = 0; trial < 40; trial++) {
        uint32_t hosts = 2 + rng_below(rng_draw(seed, trial, 0), 30);
        uint32_t degree = 2 + rng_below(rng_draw(seed, trial, 1), 4);
        uint32_t count = rng_below(rng_draw(seed, trial, 2), 3 * hosts);
        struct planned planned = patch(hosts, degree, "per_job");
        for (uint32_t i = 0; i < count; i++) {
            uint64_t draw = rng_draw(seed, trial, 3 + i);
            uint32_t src = rng_below(draw, hosts), dst = rng_below(rng_mix(draw), hosts);
            if (src != dst) {
                demand_add(planned.demand, src, dst, UINT64_C(1) << draw % 40);
            }
        }
        plan_well(&planned);
        arena_free(planned.arena);
    }
}

/* Separate cliques whose hosts want all their ports for themselves are joined nevertheless. */
static void test_cliques_are_joined(void)
{
    struct planned planned = patch(12, 3, "per_job");
    for (uint32_t group = 0; group < 3; group++) {
        for (uint32_t i = 0; i < 4; i++) {
            for (uint32_t j = 0; j < 4; j++) {
                if (i != j) {
                    demand_add(planned.demand, 4 * group + i, 4 * group + j, 1000000);
                }
            }
        }
    }
    plan_well(&planned);
    arena_free(planned.arena);
}

static void test_distances_follow_links(void)
{
    struct arena *arena = arena_new("test");
    uint32_t ports[24], zeros[25] = {0};
    struct demand none = {.host_count = 24, .first = zeros};
    for (uint32_t i = 0; i < 24; i++) {
        ports[i] = 5;
    }
    struct plan_graph *graph = graph_new(arena, 24, ports, &none);
    for (uint64_t i = 0; i < 400; i++) {
        uint32_t left = rng_below(rng_draw(7, 0, i), 24), right = rng_below(rng_draw(7, 1, i), 24);
        if (left != right && graph->free_ports[left] > 0 && graph->free_ports[right] > 0) {
            graph_add(graph, left, right);
        }
    }
    struct plan_graph *measured = graph_copy(graph, arena);
    graph_measure(measured);
    CHECK(graph->link_count > 40);
    CHECK_EQUAL(memcmp(graph->distance, measured->distance, 24 * 24 * sizeof(uint16_t)), 0);
    arena_free(arena);
}

/* By hand: 0 - 1 - 2 in a row; 0 sends 10 to 2 and 4 to 1, 1 sends 3 to 2. */
static void test_cost_by_hand(void)
{
    struct arena *arena = arena_new("test");
    uint32_t ports[3] = {2, 2, 2}, first[4] = {0, 2, 3, 3}, dst[3] = {1, 2, 2};
    uint64_t bytes[3] = {4, 10, 3};
    struct demand demand = {3, first, dst, bytes};
    struct plan_graph *graph = graph_new(arena, 3, ports, &demand);
    graph_add(graph, 0, 1);
    struct plan_cost cost;
    graph_cost(graph, &cost);
    CHECK_EQUAL(cost.score, UINT64_MAX);
    graph_add(graph, 1, 2);
    graph_cost(graph, &cost);
    CHECK_EQUAL(cost.bytes, 17);
    CHECK_EQUAL(cost.byte_hops, 27);
    CHECK_EQUAL(cost.busiest_bytes, 14);
    CHECK_EQUAL(cost.score, 14 * 14 + 13 * 13);
    arena_free(arena);
}

/* 20 m + 20 m of glass at 4.9 ns/m and 15 ns in the switch; NIC 600 ns and module 50 ns at both ends, FEC 100 ns once. */
static void test_circuits_have_delays(void)
{
    struct planned planned = patch(4, 2, "ring");
    ring_demand(&planned, 0, 1, 4, 1);
    plan_well(&planned);
    const struct fabric *fabric = planned.fabric;
    CHECK_EQUAL(fabric->propagation_ps[0], 2 * 98000 + 15000);
    CHECK_EQUAL(fabric->device_ps[0], 2 * 650000 + 100000);
    CHECK_EQUAL(fabric->port_up_ps[0], UINT64_C(13000000000)); /* 2 ms + 1 ms + 10 ms */
    CHECK_EQUAL(fabric->circuit_count, 4);
    CHECK_EQUAL(fabric->reconfigurations, 4);
    struct routes *routes = routes_new(fabric, planned.arena);
    struct port_set set = routes_next(routes, 0, 2); /* opposite: both ways round, both ports */
    CHECK_EQUAL(set.count, 2);
    set = routes_next(routes, 0, 1);
    CHECK_EQUAL(set.count, 1);
    CHECK_EQUAL(fabric->port_node[fabric->port_peer[port_set_at(&set, 0)]], 1);
    arena_free(planned.arena);
}

static void test_no_circuits_are_refused(void)
{
    struct planned planned = patch(4, 2, "none");
    demand_add(planned.demand, 2, 3, 1);
    plan(&planned);
    CHECK_EQUAL(planned.status, STATUS_INPUT);
    CHECK_HOLDS(planned.diag.text, "hosts 2 and 3 of the job exchange data, but the 0 circuits of planner none");
    arena_free(planned.arena);
    struct arena *arena = arena_new("test");
    struct fabric_config config;
    struct diag diag = {""};
    struct trace_setting wrong = {"planner", "clever", {"--set", 0, 0}};
    CHECK_EQUAL(fabric_load("optical-patch", &wrong, 1, 8, arena, &config, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "--set: unknown planner \"clever\"; expected one of: per_job, strides, ring, wavelengths, none");
    wrong = (struct trace_setting){"degree", "1", {"--set", 0, 0}};
    CHECK_EQUAL(fabric_load("optical-patch", &wrong, 1, 8, arena, &config, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "degree 1 joins hosts in pairs");
    arena_free(arena);
}

static void test_every_planner_plans(void)
{
    for (size_t i = 0; planners[i] != NULL; i++) {
        struct planned planned = patch(13, 13, planners[i]->name);
        plan(&planned); /* nobody talks: even no circuits will do */
        CHECK_EQUAL(planned.status, STATUS_OK);
        CHECK(planned.plan.text != NULL && planned.plan.text[0] != 0);
        ports_are_used_once(&planned);
        static const char *const silent[] = {"none", "greedy", "matching", "bvn"};
        bool is_silent = false;
        for (size_t k = 0; k < sizeof silent / sizeof silent[0]; k++) {
            is_silent |= strcmp(planners[i]->name, silent[k]) == 0;
        }
        CHECK_EQUAL(planned.plan.count > 0, !is_silent);
        arena_free(planned.arena);
    }
}

static void test_large_plans_end(void)
{
    struct planned planned = patch(1024, 4, "per_job");
    for (uint32_t group = 0; group < 128; group++) {
        ring_demand(&planned, 8 * group, 1, 8, 64000000);
    }
    for (uint32_t rail = 0; rail < 8; rail++) {
        ring_demand(&planned, rail, 8, 128, 24000000);
    }
    plan_well(&planned);
    printf("1024 hosts: %s; %.2f s\n", planned.plan.text, planned.seconds);
    CHECK(planned.seconds < 60);
    arena_free(planned.arena);
}

TEST_MAIN("plan", TEST(test_ring_gets_its_circuits), TEST(test_two_dimensions_of_rings),
          TEST(test_heavy_pair_gets_several), TEST(test_all_to_all_takes_few_hops), TEST(test_training_step),
          TEST(test_any_demand_is_connected), TEST(test_cliques_are_joined), TEST(test_distances_follow_links),
          TEST(test_cost_by_hand), TEST(test_circuits_have_delays), TEST(test_no_circuits_are_refused),
          TEST(test_every_planner_plans), TEST(test_large_plans_end))
