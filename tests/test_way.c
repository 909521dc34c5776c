/* Detours and lanes: which way a packet takes, walked switch by switch without an engine.
 *
 * Asserted: Valiant's detours pass the region of the middle and arrive, with two global links at most and not three;
 * every third region is a middle about equally often; UGAL follows the backlogs of the first switch and the lengths of
 * the ways; the bit in the entropy is gone behind the middle; lanes of a ring change on the closing link only, and the
 * waits of all packets of a torus in dimension order close no circle. */
#include "netsim/fabric_load.h"
#include "netsim/route/lane.h"
#include "netsim/route/way.h"
#include "tests/check.h"

struct net {
    struct arena *arena;
    struct fabric *fabric;
    struct ways ways;
};

static struct net net_new(const char *family, const char *key, const char *value, enum way_rule rule,
                          uint64_t threshold_bytes)
{
    struct net net = {.arena = arena_new("test way")};
    struct trace_setting set = {key, value, {"--set", 0, 0}};
    struct fabric_config config;
    struct diag diag;
    const char *path = arena_printf(net.arena, "%s/fabric.yaml", test_directory());
    uint32_t hosts = strcmp(family, "dragonfly") == 0 ? 72 : strcmp(key, "hosts_per_router") == 0 ? 20 : 16;
    FILE *file = fopen(path, "w");
    fprintf(file, "fabric: %s\n", family);
    fclose(file);
    enum status status = fabric_load(path, &set, 1, hosts, net.arena, &config, &diag);
    if (status != STATUS_OK) {
        printf("%s\n", diag.text);
        exit(1);
    }
    net.fabric = config.fabric;
    CHECK_EQUAL(ways_init(&net.ways, rule, threshold_bytes, routes_new(net.fabric, net.arena), net.arena, &diag),
                STATUS_OK);
    return net;
}

/* Backlogs as a test wants them: of every port towards `to`, and of the others. */
struct backlogs {
    uint32_t to;
    uint64_t bytes, else_bytes;
};

static uint64_t backlog(const void *context, uint32_t node, uint32_t host)
{
    const struct backlogs *backlogs = context;
    (void)node;
    return host == backlogs->to ? backlogs->bytes : backlogs->else_bytes;
}

struct walk {
    uint32_t hops, regions, middle_region; /* changes of region; the first foreign one */
    bool is_there, was_long, is_long_at_end;
};

static struct walk walk(const struct net *net, uint32_t src, uint32_t dst, uint32_t entropy,
                        const struct backlogs *backlogs)
{
    const struct fabric *fabric = net->fabric;
    struct walk result = {.middle_region = ID_NONE};
    struct port_set set = routes_next(net->ways.routes, src, dst);
    uint32_t from = src,
             node = fabric->port_node[fabric->port_peer[fabric->port_first[src] + port_set_at(&set, 0)]];
    while (node != dst && result.hops < 32) {
        uint32_t towards = way_towards(&net->ways, node, from, src, dst, &entropy, backlog, backlogs);
        result.was_long |= (entropy & WAY_LONG) != 0;
        set = routes_next(net->ways.routes, node, towards);
        uint32_t port = fabric->port_first[node] + route_choose(&set, rng_mix(entropy + node));
        from = node;
        node = fabric->port_node[fabric->port_peer[port]];
        result.hops++;
        if (node != dst && fabric->node_region[node] != fabric->node_region[from]) {
            result.regions++;
            result.middle_region = result.regions == 1 ? fabric->node_region[node] : result.middle_region;
        }
    }
    result.is_there = node == dst;
    result.is_long_at_end = (entropy & WAY_LONG) != 0;
    return result;
}

static void test_valiant_dragonfly(void)
{
    struct net net = net_new("dragonfly", "hosts_per_router", "2", WAY_VALIANT, 0);
    const struct backlogs none = {ID_NONE, 0, 0};
    uint32_t groups = 9, seen[64] = {0}, detours = 0;
    CHECK_EQUAL(net.fabric->host_count, 72);
    for (uint32_t entropy = 0; entropy < 9000; entropy++) {
        struct walk way = walk(&net, 3, 70, entropy, &none);
        CHECK(way.is_there && !way.is_long_at_end);
        CHECK(way.regions == (way.was_long ? 2 : 1));
        CHECK(way.hops <= 6); /* two global links, at most a local hop before, between and behind, and the host's own */
        detours += way.was_long;
        seen[way.middle_region] += way.was_long;
    }
    CHECK_NEAR(detours, 9000.0 * (groups - 2) / groups, 0.03);
    CHECK_EQUAL(seen[0] + seen[8], 0); /* the ends' own groups are no middles */
    for (uint32_t group = 1; group < 8; group++) {
        CHECK_NEAR(seen[group], 1000, 0.15);
    }
    arena_free(net.arena);
}

static void test_minimal_has_one_global_link(void)
{
    struct net net = net_new("dragonfly", "hosts_per_router", "2", WAY_MINIMAL, 0);
    const struct backlogs none = {ID_NONE, 0, 0};
    struct walk way = walk(&net, 3, 70, 12345, &none);
    CHECK(way.is_there && !way.was_long && way.regions == 1);
    arena_free(net.arena);
}

/* Backlog only on the shortest way: the detour is taken as soon as backlog * hops is more than the threshold. */
static void test_ugal_follows_backlogs(void)
{
    struct net net = net_new("dragonfly", "hosts_per_router", "2", WAY_UGAL, 10000);
    const struct backlogs idle = {70, 0, 0}, little = {70, 2000, 0}, much = {70, 10001, 0};
    uint32_t long_idle = 0, long_little = 0, long_much = 0;
    for (uint32_t entropy = 0; entropy < 1000; entropy++) {
        long_idle += walk(&net, 3, 70, entropy, &idle).was_long;
        long_little += walk(&net, 3, 70, entropy, &little).was_long;
        long_much += walk(&net, 3, 70, entropy, &much).was_long;
    }
    CHECK_EQUAL(long_idle, 0);
    CHECK_EQUAL(long_little, 0); /* 2000 B * 4 hops at most */
    CHECK(long_much > 700); /* all but where the middle is at home */
    arena_free(net.arena);
}

/* Each way's backlog counts by its length: both lengths are walked, then the choice is what the products say. */
static void test_ugal_weighs_backlogs_by_hops(void)
{
    struct net net = net_new("dragonfly", "hosts_per_router", "2", WAY_UGAL, 0);
    const struct backlogs idle = {70, 0, 0}, full = {70, 1 << 30, 0};
    uint32_t longs = 0, straights = 0;
    for (uint32_t entropy = 0; entropy < 1000; entropy++) {
        uint32_t straight_hops = walk(&net, 3, 70, entropy, &idle).hops;
        struct walk detour = walk(&net, 3, 70, entropy, &full);
        for (uint64_t bytes = 100; bytes < 1000 && detour.was_long; bytes += 100) {
            const struct backlogs both = {70, bytes, 1000 - bytes};
            bool is_longer = bytes * straight_hops > (1000 - bytes) * detour.hops;
            CHECK_EQUAL(walk(&net, 3, 70, entropy, &both).was_long, is_longer);
            longs += is_longer;
            straights += !is_longer;
        }
    }
    CHECK(longs > 1000 && straights > 1000);
    arena_free(net.arena);
}

static void test_valiant_hyperx_and_torus(void)
{
    const char *const families[][3] = {{"hyperx", "dimensions", "4x4"}, {"torus", "hosts_per_router", "2"}};
    const struct backlogs none = {ID_NONE, 0, 0};
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        struct net net = net_new(families[i][0], families[i][1], families[i][2], WAY_VALIANT, 0);
        uint32_t detours = 0;
        for (uint32_t entropy = 0; entropy < 500; entropy++) {
            struct walk way = walk(&net, 0, net.fabric->host_count - 1, entropy, &none);
            CHECK(way.is_there && !way.is_long_at_end);
            detours += way.was_long;
        }
        CHECK(detours > 400);
        arena_free(net.arena);
    }
}

static void test_no_regions_are_refused(void)
{
    struct arena *arena = arena_new("test way");
    struct fabric_config config;
    struct diag diag;
    CHECK_EQUAL(fabric_load("fat-tree-128", NULL, 0, 128, arena, &config, &diag), STATUS_OK);
    struct ways ways;
    CHECK_EQUAL(ways_init(&ways, WAY_UGAL, 0, routes_new(config.fabric, arena), arena, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "routing.paths is ugal");
    arena_free(arena);
}

/* ---- lanes ------------------------------------------------------------------------------------------------ */

/* The graph of waits: a packet that holds (link, lane) waits for the next (link, lane) on its way. */
static bool has_circle(const bool *waits, uint32_t count)
{
    uint32_t *degree = calloc(count, sizeof *degree), *ready = calloc(count, sizeof *ready), ready_count = 0, done = 0;
    for (uint32_t i = 0; i < count * count; i++) {
        degree[i % count] += waits[i];
    }
    for (uint32_t i = 0; i < count; i++) {
        if (degree[i] == 0) {
            ready[ready_count++] = i;
        }
    }
    while (done < ready_count) {
        uint32_t from = ready[done++];
        for (uint32_t to = 0; to < count; to++) {
            if (waits[(size_t)from * count + to] && --degree[to] == 0) {
                ready[ready_count++] = to;
            }
        }
    }
    free(degree);
    free(ready);
    return done < count;
}

/* All ways of all pairs: waits of what has come by `held` (link and lane; ID_NONE at the source). */
struct waits {
    const struct net *net;
    enum lane_rule rule;
    uint32_t lanes, dst, count;
    bool *waits, *is_seen;
};

static void waits_follow(struct waits *waits, uint32_t node, uint32_t held)
{
    const struct fabric *fabric = waits->net->fabric;
    if (node == waits->dst) {
        return;
    }
    struct port_set set = routes_next(waits->net->ways.routes, node, waits->dst);
    for (uint32_t k = 0; k < set.count; k++) {
        uint32_t out = fabric->port_first[node] + port_set_at(&set, k), lane = 0;
        if (held != ID_NONE && waits->rule != LANES_NONE) {
            lane = lane_next(fabric, waits->rule, fabric->port_peer[held / waits->lanes], out, held % waits->lanes, waits->lanes, false);
        }
        uint32_t next = out * waits->lanes + lane;
        if (held != ID_NONE) {
            waits->waits[(size_t)held * waits->count + next] = true;
        }
        if (!waits->is_seen[next]) {
            waits->is_seen[next] = true;
            waits_follow(waits, fabric->port_node[fabric->port_peer[out]], next);
        }
    }
}

static bool torus_waits_in_circles(const char *family, const char *key, const char *value, enum lane_rule rule, uint32_t lanes)
{
    struct net net = net_new(family, key, value, WAY_MINIMAL, 0);
    struct waits waits = {.net = &net, .rule = rule, .lanes = lanes, .count = net.fabric->port_count * lanes};
    waits.waits = calloc((size_t)waits.count * waits.count, sizeof *waits.waits);
    for (waits.dst = 0; waits.dst < net.fabric->host_count; waits.dst++) {
        waits.is_seen = calloc(waits.count, sizeof *waits.is_seen);
        for (uint32_t src = 0; src < net.fabric->host_count; src++) {
            waits_follow(&waits, src, ID_NONE);
        }
        free(waits.is_seen);
    }
    bool result = has_circle(waits.waits, waits.count);
    free(waits.waits);
    arena_free(net.arena);
    return result;
}

static void test_lanes_break_circles(void)
{
    CHECK(torus_waits_in_circles("torus", "dimensions", "5x4", LANES_NONE, 1));
    CHECK(!torus_waits_in_circles("torus", "dimensions", "5x4", LANES_RINGS, 2));
    CHECK(torus_waits_in_circles("torus\nrouting: shortest", "dimensions", "5x4", LANES_NONE, 1));
    CHECK(!torus_waits_in_circles("torus\nrouting: shortest", "dimensions", "5x4", LANES_COLOURS, 4)); /* four hops: three descents */
    CHECK(!torus_waits_in_circles("torus\nrouting: shortest", "dimensions", "4x4", LANES_COLOURS, 3)); /* two colours */
    CHECK(torus_waits_in_circles("torus\nrouting: shortest", "dimensions", "4x4", LANES_COLOURS, 1));
    CHECK(torus_waits_in_circles("ocs_torus", "shape", "4x4x4", LANES_NONE, 1));
    CHECK(!torus_waits_in_circles("ocs_torus", "shape", "4x4x4", LANES_COLOURS, 4));
    CHECK(!torus_waits_in_circles("ocs_torus\nrouting: dimension_order", "shape", "4x4x4", LANES_RINGS, 2));
}

TEST_MAIN("way", TEST(test_valiant_dragonfly), TEST(test_minimal_has_one_global_link), TEST(test_ugal_follows_backlogs),
          TEST(test_ugal_weighs_backlogs_by_hops),
          TEST(test_valiant_hyperx_and_torus), TEST(test_no_regions_are_refused), TEST(test_lanes_break_circles))
