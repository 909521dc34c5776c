/* Fabrics: what the families build, that routes lead there by shortest ways, and how bad input is refused.
 *
 * The arithmetic routes of trees are held against breadth-first search over the connections, which knows nothing of
 * trees. Not asserted here: times of packets (test of the engine). */
#include "netsim/fabric_load.h"
#include "netsim/route/route.h"
#include "netsim/route/shortest.h"
#include "tests/check.h"
#include "tests/support_run.h"

#include <time.h>

struct loaded {
    struct arena *arena;
    struct fabric_config config;
    struct diag diag;
    enum status status;
};

/* `settings` is "key=value key=value". */
static struct loaded load(const char *spec, const char *settings, uint32_t hosts_wanted)
{
    struct loaded loaded = {.arena = arena_new("test")};
    struct trace_setting sets[SETTINGS_MAX];
    size_t count = settings_split(loaded.arena, settings, sets);
    loaded.status = fabric_load(spec, sets, count, hosts_wanted, loaded.arena, &loaded.config, &loaded.diag);
    return loaded;
}

static const struct fabric *good(struct loaded *loaded)
{
    if (loaded->status != STATUS_OK) {
        printf("%s\n", loaded->diag.text);
        CHECK_EQUAL(loaded->status, STATUS_OK);
        exit(1); /* what follows would walk a fabric that is not there */
    }
    return loaded->config.fabric;
}

static void refused(const char *spec, const char *settings, uint32_t hosts, const char *part)
{
    struct loaded loaded = load(spec, settings, hosts);
    CHECK_EQUAL(loaded.status, STATUS_INPUT);
    CHECK_HOLDS(loaded.diag.text, part);
    CHECK(strchr(loaded.diag.text, '\n') == NULL);
    arena_free(loaded.arena);
}

static uint32_t count_tier(const struct fabric *fabric, uint32_t tier)
{
    uint32_t count = 0;
    for (uint32_t node = 0; node < fabric->node_count; node++) {
        count += fabric->node_tier[node] == tier;
    }
    return count;
}

/* The sets of next hops by arithmetic are those that a search finds, at every node for every destination. */
static void routes_are_shortest(const struct fabric *fabric)
{
    struct arena *arena = arena_new("test");
    struct routes *routes = routes_new(fabric, arena);
    struct fabric bare = *fabric;
    bare.route = NULL;
    struct routes *tables = routes_new(&bare, arena);
    uint64_t wrong = 0;
    for (uint32_t node = 0; node < fabric->node_count; node++) {
        for (uint32_t dst = 0; dst < fabric->host_count; dst++) {
            if (node == dst) {
                continue;
            }
            struct port_set left = routes_next(routes, node, dst), right = routes_next(tables, node, dst);
            wrong += left.count != right.count || left.count == 0;
            for (uint32_t i = 0; i < left.count && i < right.count; i++) {
                wrong += port_set_at(&left, i) != port_set_at(&right, i);
            }
        }
    }
    CHECK_EQUAL(wrong, 0);
    struct diag diag = {""};
    CHECK_EQUAL(routes_check(routes, fabric->host_count, &diag), STATUS_OK);
    CHECK_EQUAL(routes_check(tables, fabric->host_count, &diag), STATUS_OK);
    arena_free(arena);
}

static void test_peer_tree(void)
{
    struct loaded loaded = load("htsim-128", "", 0);
    const struct fabric *fabric = good(&loaded);
    CHECK_EQUAL(fabric->host_count, 128);
    CHECK_EQUAL(count_tier(fabric, 1), 32);
    CHECK_EQUAL(count_tier(fabric, 2), 32);
    CHECK_EQUAL(count_tier(fabric, 3), 16);
    CHECK_EQUAL(fabric->port_count, 128 + 80 * 8);
    for (uint32_t host = 0; host < 128; host++) {
        CHECK_EQUAL(fabric->port_node[fabric->port_peer[fabric->port_first[host]]], 128 + host / 4);
    }
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        CHECK_EQUAL(link_delay_ps(fabric, port), PS_PER_US);
        CHECK_EQUAL(fabric->rate_bps[port], UINT64_C(400000000000));
    }
    routes_are_shortest(fabric);
    arena_free(loaded.arena);
    loaded = load("htsim-1024", "", 1000);
    CHECK_EQUAL(good(&loaded)->host_count, 1024);
    CHECK_EQUAL(loaded.config.fabric->node_count, 1024 + 128 + 128 + 64);
    arena_free(loaded.arena);
}

/* Full, partly filled, oversubscribed, merged and tiny trees. */
static void test_trees_route_by_shortest_ways(void)
{
    static const struct {
        const char *settings;
        uint32_t hosts, nodes;
    } trees[] = {
        {"tiers=1 hosts=7", 7, 8},
        {"tiers=2 radix=4", 8, 8 + 4 + 2},
        {"tiers=2 radix=8 hosts=32", 32, 32 + 8 + 4},
        {"tiers=2 radix=8 hosts=13", 13, 13 + 4 + 2},      /* four leaves, two spines with two links to each */
        {"tiers=2 radix=8 hosts=3", 3, 3 + 1},             /* one leaf, nothing above */
        {"tiers=2 radix=10 oversubscription=4:1", 80, 80 + 10 + 2},
        {"tiers=2 radix=10 oversubscription=1.5 hosts=50", 50, 50 + 9 + 4},
        {"tiers=3 radix=4", 16, 16 + 8 + 8 + 4},
        {"tiers=3 radix=8 hosts=32", 32, 32 + 8 + 8 + 4},  /* two pods; one core a group, four links to each */
        {"tiers=3 radix=8 hosts=50", 50, 50 + 13 + 16 + 8},
        {"tiers=3 radix=8 hosts=16", 16, 16 + 4 + 4},      /* one pod */
        {"tiers=3 radix=10 oversubscription=4:1 hosts=300", 300, 300 + 38 + 16 + 10},
        {"tiers=2 hosts=1", 1, 2},
        {"hosts=100", 100, 100 + 13 + 8},                  /* radix 16 */
    };
    for (size_t i = 0; i < sizeof trees / sizeof trees[0]; i++) {
        struct loaded loaded = load("fat_tree", trees[i].settings, 0);
        const struct fabric *fabric = good(&loaded);
        CHECK_EQUAL(fabric->host_count, trees[i].hosts);
        CHECK_EQUAL(fabric->node_count, trees[i].nodes);
        routes_are_shortest(fabric);
        arena_free(loaded.arena);
    }
}

/* Ports up over ports down of every leaf is the ratio asked for, and above it nothing is lost. */
static void test_oversubscription_is_exact(void)
{
    struct loaded loaded = load("fat_tree", "tiers=3 radix=20 oversubscription=4:1", 0);
    const struct fabric *fabric = good(&loaded);
    uint64_t down = fabric->host_count, up[3] = {0, 0, 0};
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        uint32_t from = fabric->node_tier[fabric->port_node[port]];
        uint32_t to = fabric->node_tier[fabric->port_node[fabric->port_peer[port]]];
        up[from < 3 ? from : 0] += from < to && from > 0;
    }
    CHECK_EQUAL(down, 16 * 10 * 20);
    CHECK_EQUAL(up[1] * 4, down);
    CHECK_EQUAL(up[2], up[1]);
    arena_free(loaded.arena);
}

/* A 4 KiB packet through three cut-through switches of 250 ns, 30 m links, DSP modules, KP4, NICs of 600 ns at
 * 800 Gbit/s: fixed part 3379 ns - 41 ns of serialisation (worked by hand: 2 * 600 + 4 * (100 + 100 + 147) + 750). */
static void test_device_latency(void)
{
    struct loaded loaded = load("fat_tree",
                                "tiers=3 radix=4 link_rate=800Gbps host_length=30m switch_length=30m nic=connectx8 "
                                "host_module=dr8_800g_dsp switch_module=dr8_800g_dsp switch=ib_switch", 0);
    const struct fabric *fabric = good(&loaded);
    struct arena *arena = arena_new("test");
    struct routes *routes = routes_new(fabric, arena);
    uint64_t sum_ps = 0;
    uint32_t hops = 0;
    for (uint32_t node = 0; node != 2; hops++) {
        struct port_set set = routes_next(routes, node, 2);
        uint32_t port = fabric->port_first[node] + route_choose(&set, 0);
        sum_ps += link_delay_ps(fabric, port) + fabric->node_latency_ps[node];
        node = fabric->port_node[fabric->port_peer[port]];
    }
    CHECK_EQUAL(hops, 4);
    CHECK_EQUAL(sum_ps, UINT64_C(3338000));
    arena_free(arena);
    arena_free(loaded.arena);
    loaded = load("fat-tree-128", "device_latency=no link_delay=2us", 0);
    fabric = good(&loaded);
    CHECK_EQUAL(link_delay_ps(fabric, 5), 2 * PS_PER_US);
    CHECK_EQUAL(fabric->node_latency_ps[130], 0);
    arena_free(loaded.arena);
}

static void test_choice_is_even(void)
{
    struct port_set set = {.count = 3, .first = 5};
    uint32_t seen[3] = {0};
    for (uint64_t i = 0; i < 3000; i++) {
        seen[route_choose(&set, i * UINT64_C(0x9e3779b97f4a7c15)) - 5]++;
    }
    CHECK(seen[0] > 900 && seen[1] > 900 && seen[2] > 900);
    uint16_t list[] = {7, 1};
    set = (struct port_set){.count = 2, .list = list};
    CHECK_EQUAL(route_choose(&set, 0), 7);
    CHECK_EQUAL(route_choose(&set, UINT64_MAX), 1);
}

/* 65,536 hosts: three tiers of radix 64. */
static void test_large_tree(void)
{
    clock_t start = clock();
    struct loaded loaded = load("fat_tree", "tiers=3 radix=64", 0);
    const struct fabric *fabric = good(&loaded);
    CHECK_EQUAL(fabric->host_count, 65536);
    CHECK_EQUAL(fabric->node_count, 65536 + 2048 + 2048 + 1024);
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    printf("65,536 hosts: %.2f s, %.0f MB\n", seconds, (double)arena_reserved_bytes(loaded.arena) / 1e6);
    CHECK(arena_reserved_bytes(loaded.arena) < 1000000000);
    CHECK(seconds < 8); /* 2 s is the aim; sanitizers and busy machines are slower */
    arena_free(loaded.arena);
}

static void test_every_preset_loads(void)
{
    for (const struct fabric_preset *preset = fabric_presets; preset->name != NULL; preset++) {
        struct loaded loaded = load(preset->name, "", 0);
        const struct fabric *fabric = good(&loaded);
        CHECK_TEXT(fabric->name, preset->name);
        CHECK(loaded.config.title != NULL);
        arena_free(loaded.arena);
    }
    for (uint32_t hosts = 8; hosts <= 1024; hosts *= 2) {
        struct loaded loaded = load("clos-cpo", "", hosts);
        CHECK_EQUAL(good(&loaded)->host_count, hosts);
        arena_free(loaded.arena);
    }
}

/* Every family builds with its defaults, and what it resolved to builds the same again. */
static void test_every_family_resolves(void)
{
    for (size_t i = 0; fabric_families[i] != NULL; i++) {
        struct loaded first = load(fabric_families[i]->name, "part.connectx7.static=20W", 12);
        const struct fabric *fabric = good(&first);
        char path[300];
        snprintf(path, sizeof path, "%s/resolved-%zu.yaml", test_directory(), i);
        FILE *file = fopen(path, "w");
        fputs(first.config.text, file);
        fclose(file);
        struct loaded again = load(path, "", 12);
        CHECK_EQUAL(good(&again)->port_count, fabric->port_count);
        CHECK_TEXT(again.config.text, first.config.text);
        arena_free(first.arena);
        arena_free(again.arena);
    }
}

static void test_settings_of_others_are_handed_on(void)
{
    char path[300];
    snprintf(path, sizeof path, "%s/nested.yaml", test_directory());
    FILE *file = fopen(path, "w");
    fputs("fabric: fat_tree\nradix: 4\npart:\n  connectx7: {static: 20W}\ntransport:\n  window: 1MiB\n", file);
    fclose(file);
    struct loaded loaded = load(path, "run.until=1ms radix=8", 0);
    CHECK_EQUAL(good(&loaded)->host_count, 32);
    CHECK_EQUAL(loaded.config.left_count, 2);
    CHECK_TEXT(loaded.config.left[0].key, "transport.window");
    CHECK_TEXT(loaded.config.left[0].text, "1MiB");
    CHECK_EQUAL(loaded.config.left[0].at.line, 6);
    CHECK_TEXT(loaded.config.left[1].key, "run.until");
    CHECK_HOLDS(loaded.config.text, "part.connectx7.static: \"20W\"\n");
    CHECK_TEXT(loaded.config.fabric->name, "nested");
    arena_free(loaded.arena);
}

static void refused_file(const char *text, const char *part)
{
    char path[300];
    snprintf(path, sizeof path, "%s/bad.yaml", test_directory());
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
    refused(path, "", 0, part);
}

/* What stands behind the spec is this fabric's alone, wins over --set, and tells it apart by name. */
static void test_settings_behind_the_spec(void)
{
    struct loaded plain = load("clos-dsp", "link_rate=100Gbps", 0);
    struct loaded own = load("clos-dsp,link_rate=800Gbps,transport.window=2MiB", "link_rate=100Gbps", 0);
    CHECK_EQUAL(good(&plain)->rate_bps[0], 100000000000u);
    CHECK_EQUAL(good(&own)->rate_bps[0], 800000000000u);
    CHECK_TEXT(plain.config.fabric->name, "clos-dsp");
    CHECK_TEXT(own.config.fabric->name, "clos-dsp,link_rate=800Gbps,transport.window=2MiB");
    CHECK_EQUAL(own.config.left_count, 1);
    CHECK_TEXT(own.config.left[0].key, "transport.window");
    CHECK_TEXT(own.config.left[0].text, "2MiB");
    arena_free(plain.arena);
    arena_free(own.arena);
    own = load("clos-dsp,failures.list=link 1-2 3us,4,name=a", "", 0); /* a comma inside a value stays there */
    CHECK_TEXT(good(&own)->name, "a");
    CHECK_TEXT(own.config.left[0].text, "link 1-2 3us,4");
    CHECK_TEXT(fabric_spec_name("some/where/my.yaml,trace.file=a/b", own.arena), "my,trace.file=a-b");
    CHECK_TEXT(fabric_spec_head("some/where/my.yaml,trace.file=a/b", own.arena), "some/where/my.yaml");
    arena_free(own.arena);
    refused("clos-dsp,link_rat=800Gbps", "", 0, "--fabric: unknown parameter \"link_rat\"");
    refused("clos-dsp,link_rate=", "", 0, "link_rate \"\" is not a number");
    refused("clos-dsp,link_rate", "", 0, "clos-dsp,link_rate: neither a file");
    refused("clos-dsp,=3", "", 0, "neither a file");
}

static void test_bad_input_is_named(void)
{
    refused("htsim-128", "", 200, "has 128 hosts, the job has 200 ranks");
    refused("fat_tree", "tiers=3 hosts=129 radix=8", 0, "129 hosts are too many");
    refused("fat_tree", "radix=64 oversubscription=4:1", 0, "radix 64 does not divide into 4:1");
    refused("fat_tree", "radix=9 tiers=3 oversubscription=2:1", 0, "radix 9 does not divide");
    refused("fat_tree", "oversubscription=fast", 0, "--set: oversubscription: \"fast\" is no ratio");
    refused("fat_tree", "oversubscription=4:", 0, "is no ratio");
    refused("fat_tree", "oversubscription=0", 0, "is no ratio");
    refused("fat_tree", "oversubscription=99999:10000", 0, "--set: 99999:10000 needs switches of 109999 ports");
    refused("fat_tree", "radix=1", 0, "radix 1 does not divide");
    refused("fat_tree", "radix=60000 tiers=3", 0, "hosts are too many");
    refused("fat_tree", "tiers=4", 0, "tiers");
    refused("fat_tree", "radixx=8", 0, "radix");
    refused("fat_tree", "link_rate=400", 0, "unit");
    refused("fat_tree", "switch=dr4_400g_dsp", 0, "expected one of class switch");
    refused("fat_tree", "switch=tomahawk9", 0, "tomahawk");
    refused("fat_tree", "part.connectx7.static=22", 0, "unit");
    refused("fat_tree", "part.connectx7.colour=22", 0, "no quantity \"colour\"");
    refused("clos-dps", "", 0, "clos-dsp");
    refused_file("radix: 8\n", "names no family");
    refused_file("fabric: fat_treee\n", "bad.yaml:1:9: unknown family");
    refused_file("fabric: fat_tree\nradix: [8]\n", "bad.yaml:2:1: radix is a list");
    refused_file("fabric: fat_tree\nlink_rate: 400\n", "bad.yaml:2:12: ");
    refused_file("fabric: fat_tree\nhost_rate: 400Gbps\n", "bad.yaml:2:");
    refused_file("fabric: fat_tree\ntiers: 2\nradix: 64\noversubscription: 4:1\n", "bad.yaml:3:8: radix 64");
    refused_file("- fat_tree\n", "is no map");
}

/* Each of these must be found; a check that finds nothing would pass all fabrics. */
static void test_validation_finds_faults(void)
{
    struct diag diag = {""};
    struct loaded loaded = load("fat_tree", "radix=4", 0);
    struct fabric *fabric = loaded.config.fabric;
    uint64_t *rate_bps = (uint64_t *)(uintptr_t)fabric->rate_bps;
    rate_bps[3] = 0;
    CHECK_EQUAL(fabric_validate(fabric, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "host 3 sends with 0 bit/s");
    rate_bps[3] = 1;
    uint32_t peer = fabric->port_peer[8];
    fabric->port_peer[8] = 1;
    CHECK_EQUAL(fabric_validate(fabric, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "does not send back");
    fabric->port_peer[8] = fabric->port_peer[peer] = ID_NONE;
    CHECK_EQUAL(fabric_validate(fabric, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "host 0 has nothing at port 0");
    fabric->port_peer[8] = peer;
    fabric->port_peer[peer] = 8;
    CHECK_EQUAL(fabric_validate(fabric, &diag), STATUS_OK);
    for (uint32_t port = 0; port < 8; port += 2) { /* hosts in pairs, apart from the switches */
        fabric->port_peer[fabric->port_peer[port]] = fabric->port_peer[port + 1];
        fabric->port_peer[fabric->port_peer[port + 1]] = fabric->port_peer[port];
        fabric->port_peer[port] = port + 1;
        fabric->port_peer[port + 1] = port;
    }
    CHECK_EQUAL(fabric_validate(fabric, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "host 2 is cut off from host 0");
    arena_free(loaded.arena);
}

/* Host 0 and host 1 of a fat tree get gates; what the checks say of them. */
static void gates_refused(const struct gate *gates, const struct gate_window *windows, uint32_t window_count,
                          const char *part)
{
    struct diag diag = {""};
    struct loaded loaded = load("fat_tree", "radix=4", 0);
    struct fabric *fabric = loaded.config.fabric;
    uint32_t *port_gate = arena_array(loaded.arena, fabric->port_count, uint32_t);
    uint32_t *port_line = arena_array(loaded.arena, fabric->port_count, uint32_t);
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        port_gate[port] = port < 2 ? port : ID_NONE;
        port_line[port] = port == 1 ? 0 : port;
    }
    fabric->gates = gates;
    fabric->gate_count = 2;
    fabric->gate_windows = windows;
    fabric->gate_window_count = window_count;
    fabric->port_gate = port_gate;
    fabric->port_line = port_line;
    CHECK_EQUAL(fabric_validate(fabric, &diag), part == NULL ? STATUS_OK : STATUS_INPUT);
    CHECK_HOLDS(diag.text, part == NULL ? "" : part);
    arena_free(loaded.arena);
}

static void test_gates_are_checked(void)
{
    struct gate two[] = {{100, 0, 1, false}, {100, 1, 1, false}};
    struct gate_window windows[] = {{0, 40}, {50, 90}};
    gates_refused(two, windows, 2, NULL);
    gates_refused(two, windows, 1, "gate 1 has windows that do not exist");
    windows[1] = (struct gate_window){50, 100};
    gates_refused(two, windows, 2, NULL);
    windows[1] = (struct gate_window){50, 101}; /* into the next round of the other */
    gates_refused(two, windows, 2, "port 0 of host 1 (open from 50ps to 101ps) and port 0 of host 0 (open from 0ps to "
                                   "40ps) have one transmitter");
    windows[1] = (struct gate_window){39, 90};
    gates_refused(two, windows, 2, "port 0 of host 0 (open from 0ps to 40ps) and port 0 of host 1 (open from 39ps");
    windows[1] = (struct gate_window){50, 151};
    gates_refused(two, windows, 2, "gate 1 has windows that do not lie inside its period");
    windows[1] = (struct gate_window){90, 90};
    gates_refused(two, windows, 2, "gate 1 has windows out of order");
    windows[1] = (struct gate_window){50, 90};
    two[1].period_ps = 200;
    gates_refused(two, windows, 2, "expected gates of one period");
    two[0] = (struct gate){100, 0, 2, false};
    two[1] = (struct gate){0, 0, 0, false}; /* closed until told otherwise: apart from all */
    gates_refused(two, windows, 2, NULL);
    windows[1] = (struct gate_window){30, 90};
    gates_refused(two, windows, 2, "gate 0 has windows out of order");
}

static void test_gates_hold_a_packet(void)
{
    struct diag diag = {""};
    struct loaded loaded = load("fat_tree", "radix=4", 0);
    struct fabric *fabric = loaded.config.fabric;
    uint32_t *port_gate = arena_array(loaded.arena, fabric->port_count, uint32_t);
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        port_gate[port] = port == 0 ? 0 : ID_NONE;
    }
    uint64_t service_ps = serialisation_ps(4096, fabric->rate_bps[0]);
    struct gate_window windows[] = {{0, 200000}, {300000, 300000 + service_ps}};
    fabric->gates = &(struct gate){500000, 0, 2, false};
    fabric->gate_count = 1;
    fabric->gate_windows = windows;
    fabric->gate_window_count = 2;
    fabric->port_gate = port_gate;
    CHECK_EQUAL(fabric_validate(fabric, &diag), STATUS_OK);
    struct cell_shape cells = {0};
    CHECK_EQUAL(fabric_check_gates(fabric, 4096, &cells, &diag), STATUS_OK);
    CHECK_EQUAL(fabric_check_gates(fabric, 4097, &cells, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "a window of port 0 of host 0 lasts");
    CHECK_HOLDS(diag.text, "a packet of 4097 B takes");
    fabric->detours = arena_array(loaded.arena, fabric->node_count, struct detour);
    ((struct detour *)(uintptr_t)fabric->detours)[fabric->node_count - 1] = (struct detour){2, 3, DETOUR_ALWAYS, 0};
    CHECK_EQUAL(fabric_validate(fabric, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "has detours by ports 2 to 5 of 4");
    arena_free(loaded.arena);
}

TEST_MAIN("fabric", TEST(test_peer_tree), TEST(test_trees_route_by_shortest_ways),
          TEST(test_oversubscription_is_exact), TEST(test_device_latency), TEST(test_choice_is_even),
          TEST(test_large_tree), TEST(test_every_preset_loads), TEST(test_every_family_resolves),
          TEST(test_settings_of_others_are_handed_on), TEST(test_settings_behind_the_spec), TEST(test_bad_input_is_named),
          TEST(test_validation_finds_faults), TEST(test_gates_are_checked), TEST(test_gates_hold_a_packet))
