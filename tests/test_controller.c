/* The controller of circuits, with gates that only write down what they are told, on four hosts of one fibre each.
 *
 * Asserted: what is opened and closed when; that circuits which stay are not touched; who comes first; that a phase is set
 * ahead; what counts as exposed and hidden. And what a schedule promises: ports of a vertex used once at a time, every pair
 * joined some time. Not asserted: that packets go where gates are open (tests of the engine). */
#include "netsim/base/rng.h"
#include "netsim/circuit/controller.h"
#include "netsim/fabric_load.h"
#include "tests/check.h"

#define DARK UINT64_C(1000)
#define NEVER TIME_NEVER_PS
#define LOG_MAX 256

struct bench {
    struct arena *arena;
    struct fabric *fabric;
    struct schedule *schedule;
    struct schedule_phase phases[2];
    struct controller *controller;
    struct diag diag;
    enum status status;
    uint32_t opened, closed;
    uint64_t open_ps[LOG_MAX]; /* by port: when it is lit, NEVER where it is closed */
};

static void on_gate(void *context, uint32_t port, uint64_t open_ps, uint64_t close_ps)
{
    struct bench *bench = context;
    CHECK(port < LOG_MAX && bench->fabric->port_gate[port] != ID_NONE);
    CHECK_EQUAL(close_ps, NEVER);
    bench->opened += open_ps != NEVER;
    bench->closed += open_ps == NEVER;
    bench->open_ps[port] = open_ps;
}

/* Hosts with `degree` fibres at one optical switch; phase 0 joins 0-1 and 2-3, phase 1 0-2 and 1-3. */
static struct bench *bench_new(uint32_t degree, const struct controller_turn *turns, uint32_t turn_count)
{
    struct arena *arena = arena_new("test");
    struct bench *bench = arena_one(arena, struct bench);
    struct fabric_config config;
    char text[16];
    snprintf(text, sizeof text, "%u", degree);
    struct trace_setting sets[] = {{"server_gpus", "1", {"--set", 0, 0}}, {"hosts", "4", {"--set", 0, 0}},
                                   {"degree", text, {"--set", 0, 0}}};
    bench->arena = arena;
    bench->status = fabric_load("photonic_rails", sets, 3, 4, arena, &config, &bench->diag);
    CHECK_EQUAL(bench->status, STATUS_OK);
    bench->fabric = config.fabric;
    ((struct optical *)bench->fabric->optical)[0].settle_ps = DARK;
    struct demand_builder *first = demand_builder_new(arena, 4), *second = demand_builder_new(arena, 4);
    static const uint32_t pairs[2][2][2] = {{{0, 1}, {2, 3}}, {{0, 2}, {1, 3}}};
    for (uint32_t i = 0; i < 2; i++) {
        demand_add(first, pairs[0][i][0], pairs[0][i][1], 1000);
        demand_add(first, pairs[0][i][1], pairs[0][i][0], 1);
        demand_add(second, pairs[1][i][0], pairs[1][i][1], 1000);
        demand_add(second, pairs[1][i][1], pairs[1][i][0], 1);
    }
    bench->phases[0] = (struct schedule_phase){"first", demand_build(first)};
    bench->phases[1] = (struct schedule_phase){"second", demand_build(second)};
    bench->status = schedule_plan(bench->fabric, bench->phases, 2, arena, &bench->schedule, &bench->diag);
    CHECK_EQUAL(bench->status, STATUS_OK);
    CHECK_EQUAL(schedule_apply(bench->fabric, bench->schedule, bench->phases, &bench->diag), STATUS_OK);
    CHECK_EQUAL(fabric_validate(bench->fabric, &bench->diag), STATUS_OK);
    memset(bench->open_ps, 0xff, sizeof bench->open_ps);
    uint32_t *turn_first = arena_array(arena, 2, uint32_t);
    turn_first[1] = turn_count;
    const struct controller_config controller = {.fabric = bench->fabric, .schedule = bench->schedule, .turns = turns,
                                                 .turn_first = turn_first, .context = bench, .gate = on_gate};
    bench->controller = controller_new(arena, &controller);
    controller_start(bench->controller);
    return bench;
}

static void tell(struct bench *bench, uint32_t phase, uint32_t src, uint32_t dst, bool is_computing, bool is_over,
                 uint64_t now_ps)
{
    uint32_t want = schedule_want_find(bench->schedule, src, phase, dst);
    CHECK(want != ID_NONE);
    controller_told(bench->controller, src, controller_word(want, is_computing, is_over), now_ps);
}

/* When the port of host src towards dst is lit; NEVER: it is closed. */
static uint64_t lit_ps(const struct bench *bench, uint32_t src, uint32_t dst)
{
    const struct fabric *fabric = bench->fabric;
    uint64_t best = NEVER;
    for (uint32_t port = fabric->port_first[src]; port < fabric->port_first[src + 1]; port++) {
        bool is_there = fabric->port_peer[port] != ID_NONE && fabric->port_node[fabric->port_peer[port]] == dst;
        best = is_there && bench->open_ps[port] < best ? bench->open_ps[port] : best;
    }
    return best;
}

static struct controller_region region_sums(const struct bench *bench)
{
    struct controller_region sums;
    controller_region(bench->controller, 0, &sums);
    return sums;
}

/* Nothing is set until somebody asks; then both circuits of the configuration, both ways. */
static void test_sets_what_is_asked_for(void)
{
    struct bench *bench = bench_new(1, NULL, 0);
    CHECK_EQUAL(bench->opened, 0);
    tell(bench, 0, 0, 1, false, false, 50);
    CHECK_EQUAL(bench->opened, 4);
    CHECK_EQUAL(lit_ps(bench, 0, 1), 50 + DARK);
    CHECK_EQUAL(lit_ps(bench, 3, 2), 50 + DARK);
    CHECK_EQUAL(lit_ps(bench, 0, 2), NEVER);
    tell(bench, 0, 2, 3, false, false, 60); /* stands already */
    CHECK_EQUAL(bench->opened, 4);
    CHECK_EQUAL(region_sums(bench).reconfigurations, 1);
    CHECK_EQUAL(region_sums(bench).circuits, 2);
    arena_free(bench->arena);
}

/* C1: whoever is active is not disturbed; the last one's end lets the others in. */
static void test_waits_for_those_who_are_active(void)
{
    struct bench *bench = bench_new(1, NULL, 0);
    tell(bench, 0, 0, 1, false, false, 0);
    tell(bench, 0, 2, 3, false, false, 0);
    tell(bench, 1, 1, 3, false, false, 100);
    CHECK_EQUAL(controller_waiting(bench->controller), 1);
    tell(bench, 0, 0, 1, false, true, 5000);
    CHECK_EQUAL(lit_ps(bench, 1, 3), NEVER);
    tell(bench, 0, 2, 3, false, true, 6000);
    CHECK_EQUAL(lit_ps(bench, 1, 3), 6000 + DARK);
    CHECK_EQUAL(lit_ps(bench, 0, 1), NEVER);
    CHECK_EQUAL(bench->closed, 4);
    CHECK_EQUAL(controller_waiting(bench->controller), 0);
    arena_free(bench->arena);
}

/* With patience, a wait that is too long takes the circuits away; who loses them waits and gets them back. */
static void test_patience_ends(void)
{
    struct bench *bench = bench_new(1, NULL, 0);
    bench->fabric->rules.patience_ps = 10000;
    tell(bench, 0, 0, 1, false, false, 0);
    tell(bench, 1, 1, 3, false, false, 100);
    tell(bench, 0, 2, 3, false, false, 9000);
    CHECK_EQUAL(lit_ps(bench, 1, 3), NEVER);
    tell(bench, 0, 2, 3, false, true, 10100);
    CHECK_EQUAL(lit_ps(bench, 1, 3), 10100 + DARK);
    CHECK_EQUAL(controller_waiting(bench->controller), 1);
    tell(bench, 1, 1, 3, false, true, 15000);
    CHECK_EQUAL(lit_ps(bench, 0, 1), 15000 + DARK);
    arena_free(bench->arena);
}

/* C3: with two fibres both phases fit into hosts at once; the planner leaves one configuration each, and a change leaves
 * the light on in what both have. Here they have nothing in common, so all changes; asked for twice, nothing does. */
static void test_common_circuits_keep_their_light(void)
{
    struct bench *bench = bench_new(1, NULL, 0);
    tell(bench, 0, 0, 1, false, false, 0);
    tell(bench, 0, 0, 1, false, true, 3000);
    tell(bench, 0, 0, 1, false, false, 9000);
    CHECK_EQUAL(bench->opened, 4);
    CHECK_EQUAL(bench->closed, 0);
    CHECK_EQUAL(lit_ps(bench, 0, 1), DARK);
    arena_free(bench->arena);
}

/* C4: phase 1 is set when phase 0's two messages are over, before anybody asks; its dark time is hidden but for the part
 * in which somebody waits that has nothing to compute. */
static void test_goes_ahead(void)
{
    static const struct controller_turn turns[] = {{0, 2}, {1, 2}};
    struct bench *bench = bench_new(1, turns, 2);
    bench->fabric->rules.is_ahead = true;
    CHECK_EQUAL(lit_ps(bench, 0, 1), DARK); /* from the start */
    tell(bench, 0, 0, 1, false, false, 2000);
    tell(bench, 0, 2, 3, false, false, 2000);
    tell(bench, 0, 0, 1, false, true, 3000);
    CHECK_EQUAL(lit_ps(bench, 0, 2), NEVER);
    tell(bench, 0, 2, 3, false, true, 4000);
    CHECK_EQUAL(lit_ps(bench, 0, 2), 4000 + DARK);
    CHECK_EQUAL(region_sums(bench).exposed_ps, 0);
    tell(bench, 1, 0, 2, true, false, 4300); /* its rank computes: still hidden */
    CHECK_EQUAL(region_sums(bench).exposed_ps, 0);
    tell(bench, 1, 1, 3, false, false, 4600);
    CHECK_EQUAL(region_sums(bench).exposed_ps, 400);
    CHECK_EQUAL(region_sums(bench).dark_ps, 2 * DARK);
    tell(bench, 1, 0, 2, false, true, 6000);
    tell(bench, 1, 1, 3, false, true, 7000);
    CHECK_EQUAL(lit_ps(bench, 0, 1), 7000 + DARK); /* and round again */
    size_t count;
    const struct controller_change *changes = controller_changes(bench->controller, &count);
    CHECK_EQUAL(count, 3);
    CHECK_EQUAL(changes[1].exposed_ps, 400);
    arena_free(bench->arena);
}

/* Who asks for something else than what was foreseen gets it, and the order is taken up again. */
static void test_what_was_not_foreseen(void)
{
    static const struct controller_turn turns[] = {{0, 1}, {1, 1}};
    struct bench *bench = bench_new(1, turns, 2);
    bench->fabric->rules.is_ahead = true;
    tell(bench, 1, 1, 3, false, false, 2000);
    CHECK_EQUAL(lit_ps(bench, 1, 3), 2000 + DARK);
    tell(bench, 1, 1, 3, false, true, 5000);
    tell(bench, 0, 0, 1, false, false, 6000);
    CHECK_EQUAL(lit_ps(bench, 0, 1), 6000 + DARK);
    tell(bench, 0, 0, 1, false, true, 9000); /* turn 1 is over already: next is turn 0 again, which stands */
    CHECK_EQUAL(lit_ps(bench, 0, 1), 6000 + DARK);
    arena_free(bench->arena);
}

/* ---- schedules ------------------------------------------------------------------------------------------------ */

static void schedule_holds(const struct bench *bench, const struct demand *demand)
{
    const struct schedule_region *region = &bench->schedule->regions[0];
    for (uint32_t config = 0; config < region->config_count; config++) {
        uint32_t used[64] = {0};
        for (uint32_t i = 0; i < region->pair_count; i++) {
            used[region->pairs[i].left] += region->configs[config].copies[i];
            used[region->pairs[i].right] += region->configs[config].copies[i];
        }
        for (uint32_t host = 0; host < bench->fabric->host_count; host++) {
            CHECK(used[host] <= 2); /* I1 */
        }
    }
    for (uint32_t src = 0; src < demand->host_count; src++) {
        for (uint32_t i = demand->first[src]; i < demand->first[src + 1]; i++) {
            CHECK(schedule_want_find(bench->schedule, src, 0, demand->dst[i]) != ID_NONE); /* I3 */
        }
    }
}

/* Random demand on sixteen hosts of two fibres: every planner of circuits for pairs joins all of them some time. */
static void test_every_pair_has_its_turn(void)
{
    static const char *const names[] = {"greedy", "matching", "bvn", "cyclic"};
    uint64_t seed = test_seed();
    for (uint64_t trial = 0; trial < 40; trial++) {
        struct arena *arena = arena_new("test");
        struct bench *bench = arena_one(arena, struct bench);
        bench->arena = arena;
        struct fabric_config config;
        struct trace_setting sets[] = {{"server_gpus", "1", {"--set", 0, 0}},
                                       {"planner", names[trial % 4], {"--set", 0, 0}}};
        CHECK_EQUAL(fabric_load("photonic_rails", sets, 2, 16, bench->arena, &config, &bench->diag), STATUS_OK);
        bench->fabric = config.fabric;
        struct demand_builder *builder = demand_builder_new(bench->arena, 16);
        for (uint64_t i = 0; i < 1 + trial; i++) {
            uint32_t src = rng_below(rng_draw(seed, trial, 2 * i), 16), dst = rng_below(rng_draw(seed, trial, 2 * i + 1), 16);
            if (src != dst) {
                demand_add(builder, src, dst, 1 + rng_below(rng_draw(seed, trial + 1000, i), 100000));
            }
        }
        bench->phases[0] = (struct schedule_phase){"all", demand_build(builder)};
        CHECK_EQUAL(schedule_plan(bench->fabric, bench->phases, 1, bench->arena, &bench->schedule, &bench->diag), STATUS_OK);
        CHECK_EQUAL(schedule_apply(bench->fabric, bench->schedule, bench->phases, &bench->diag), STATUS_OK);
        CHECK_EQUAL(fabric_validate(bench->fabric, &bench->diag), STATUS_OK); /* connected: there are routes */
        schedule_holds(bench, bench->phases[0].demand);
        arena_free(bench->arena);
    }
}

/* Uniform demand among n hosts of one fibre: n - 1 matchings, and no more (Birkhoff and von Neumann). */
static void test_uniform_demand_takes_as_few_turns_as_can_be(void)
{
    static const char *const names[] = {"bvn", "matching", "cyclic"};
    for (uint32_t k = 0; k < 3; k++) {
        struct arena *arena = arena_new("test");
        struct diag diag = {""};
        struct fabric_config config;
        struct trace_setting rails[] = {{"hosts", "16", {"--set", 0, 0}}, {"server_gpus", "2", {"--set", 0, 0}},
                                        {"nvlink_links", "2", {"--set", 0, 0}}, {"nvlink_switches", "1", {"--set", 0, 0}},
                                        {"degree", "1", {"--set", 0, 0}}, {"planner", names[k], {"--set", 0, 0}}};
        CHECK_EQUAL(fabric_load("photonic_rails", rails, 6, 16, arena, &config, &diag), STATUS_OK);
        struct demand_builder *builder = demand_builder_new(arena, 16);
        for (uint32_t pair = 0; pair < 256; pair++) {
            if (pair / 16 != pair % 16 && pair / 16 % 2 == pair % 2) {
                demand_add(builder, pair / 16, pair % 16, 1000);
            }
        }
        struct schedule_phase phase = {"all", demand_build(builder)};
        struct schedule *schedule;
        CHECK_EQUAL(schedule_plan(config.fabric, &phase, 1, arena, &schedule, &diag), STATUS_OK);
        CHECK_EQUAL(schedule->region_count, 2);
        CHECK_EQUAL(schedule->regions[0].config_count, 7);
        CHECK_EQUAL(schedule->regions[1].config_count, 7);
        arena_free(arena);
    }
}

/* Two phases, a pair each, a packet network of a tenth of the circuits' rate: new circuits save 9 / 10 of bytes over that rate,
 * and pay where that is longer than they are dark. */
static uint32_t configurations(uint64_t bytes, const char *pays)
{
    struct arena *arena = arena_new("test");
    struct diag diag = {""};
    struct fabric_config config;
    struct trace_setting sets[] = {{"link_rate", "40Gbps", {"--set", 0, 0}}, {"circuit_rate", "400Gbps", {"--set", 0, 0}},
                                   {"pays", pays, {"--set", 0, 0}}};
    CHECK_EQUAL(fabric_load("hybrid", sets, 3, 4, arena, &config, &diag), STATUS_OK);
    ((struct optical *)config.fabric->optical)[0].settle_ps = PS_PER_MS;
    struct demand_builder *first = demand_builder_new(arena, 4), *second = demand_builder_new(arena, 4);
    demand_add(first, 0, 1, UINT64_C(1) << 40);
    demand_add(second, 0, 2, bytes);
    const struct schedule_phase phases[] = {{"first", demand_build(first)}, {"second", demand_build(second)}};
    struct schedule *schedule;
    CHECK_EQUAL(schedule_plan(config.fabric, phases, 2, arena, &schedule, &diag), STATUS_OK);
    CHECK_EQUAL(schedule_apply(config.fabric, schedule, phases, &diag), STATUS_OK);
    const struct schedule_region *region = &schedule->regions[0];
    bool is_kept = region->phase_config[region->phase_first[1]] == region->phase_config[region->phase_first[0]];
    CHECK_EQUAL(schedule_want_find(schedule, 0, 1, 2) == ID_NONE, is_kept); /* then it takes the network */
    uint32_t count = is_kept ? 1 : 2;
    arena_free(arena);
    return count;
}

static void test_changes_where_it_pays(void)
{
    uint64_t even_bytes = UINT64_C(1000000) * 40 / 8 * 10 / 9; /* 1 ms at 40 Gbit/s, and a ninth */
    CHECK_EQUAL(configurations(even_bytes * 101 / 100, "yes"), 2);
    CHECK_EQUAL(configurations(even_bytes * 99 / 100, "yes"), 1);
    CHECK_EQUAL(configurations(even_bytes * 99 / 100, "no"), 2);
}

/* Sixty peers a host are refused, with the numbers. */
static void test_too_many_peers(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag = {""};
    struct fabric_config config;
    struct trace_setting sets[] = {{"server_gpus", "1", {"--set", 0, 0}}};
    CHECK_EQUAL(fabric_load("photonic_rails", sets, 1, 80, arena, &config, &diag), STATUS_OK);
    struct demand_builder *builder = demand_builder_new(arena, 80);
    for (uint32_t dst = 1; dst < 80; dst++) {
        demand_add(builder, 0, dst, 1000);
    }
    struct schedule_phase phase = {"all", demand_build(builder)};
    struct schedule *schedule;
    CHECK_EQUAL(schedule_plan(config.fabric, &phase, 1, arena, &schedule, &diag), STATUS_OK);
    CHECK_EQUAL(schedule_apply(config.fabric, schedule, &phase, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "host 0 would need 80 ports, 80 of them for its peers over circuits; expected at most 64");
    arena_free(arena);
}

TEST_MAIN("controller", TEST(test_sets_what_is_asked_for), TEST(test_waits_for_those_who_are_active),
          TEST(test_patience_ends), TEST(test_common_circuits_keep_their_light), TEST(test_goes_ahead),
          TEST(test_what_was_not_foreseen), TEST(test_every_pair_has_its_turn),
          TEST(test_uniform_demand_takes_as_few_turns_as_can_be), TEST(test_changes_where_it_pays),
          TEST(test_too_many_peers))
