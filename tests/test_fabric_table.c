/* Every family of fabrics, by walking the table: a new line in fabrics.def is tested here without a test
 * being written.
 *
 * Asserted of each: it builds with its defaults and for jobs of 8 to 64 ranks, validates, resolves to a
 * description that builds the same; from every host every next hop leads to every other host; a ring
 * all-reduce runs to its end over it (the accounts of packets are checked at the end of every run) with the
 * same digest when repeated; unknown keys and units that are missing are refused; a preset names it. Not
 * asserted: what is particular to a family. */
#include "netsim/fabric_load.h"
#include "netsim/route/route.h"
#include "netsim/run.h"
#include "tests/check.h"
#include "tests/support_run.h"

static const uint32_t sizes[] = {0, 8, 13, 16, 24, 32, 48, 64};
#define SIZE_COUNT (sizeof sizes / sizeof sizes[0])

struct loaded {
    struct arena *arena;
    struct fabric_config config;
    struct diag diag;
    enum status status;
};

static struct loaded load(const char *spec, const char *key, const char *value, uint32_t hosts)
{
    struct loaded loaded = {.arena = arena_new("test")};
    const struct trace_setting set = {key, value, {"--set", 0, 0}};
    loaded.status = fabric_load(spec, &set, key != NULL, hosts, loaded.arena, &loaded.config, &loaded.diag);
    return loaded;
}

/* Follows next hops from src, chosen by a hash; the hops that it took, UINT32_MAX where it does not
 * arrive. */
static uint32_t walk(const struct fabric *fabric, const struct routes *routes, uint32_t src, uint32_t dst,
                     uint64_t hash)
{
    uint32_t node = src, hops = 0;
    for (; node != dst && hops <= fabric->node_count; hops++) {
        struct port_set set = routes_next(routes, node, dst);
        if (set.count == 0) {
            return UINT32_MAX;
        }
        uint32_t port = fabric->port_first[node] + route_choose(&set, hash);
        if (port >= fabric->port_first[node + 1] || fabric->port_peer[port] == ID_NONE) {
            return UINT32_MAX;
        }
        node = fabric->port_node[fabric->port_peer[port]];
        hash = hash * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    }
    return node == dst ? hops : UINT32_MAX;
}

static void routes_arrive(struct loaded *loaded)
{
    const struct fabric *fabric = loaded->config.fabric;
    struct routes *routes = routes_new(fabric, loaded->arena);
    uint64_t lost = 0;
    for (uint32_t src = 0; src < fabric->host_count; src++) {
        for (uint32_t dst = 0; dst < fabric->host_count; dst++) {
            for (uint64_t i = 0; i < 3; i++) {
                lost += walk(fabric, routes, src, dst, i * UINT64_C(0x9e3779b97f4a7c15) + src) == UINT32_MAX;
            }
        }
    }
    CHECK_EQUAL(lost, 0);
    CHECK_EQUAL(routes_check(routes, fabric->host_count, &loaded->diag), STATUS_OK);
}

static void family_builds(const struct fabric_family *family, uint32_t hosts)
{
    struct loaded loaded = load(family->name, NULL, NULL, hosts);
    if (loaded.status != STATUS_OK) {
        printf("%s, %" PRIu32 " hosts: %s\n", family->name, hosts, loaded.diag.text);
    }
    CHECK_EQUAL(loaded.status, STATUS_OK);
    if (loaded.status == STATUS_OK) {
        CHECK(loaded.config.fabric->host_count >= hosts);
        CHECK_EQUAL(fabric_validate(loaded.config.fabric, &loaded.diag), STATUS_OK);
        if (loaded.config.fabric->plan == PLAN_NONE) {
            routes_arrive(&loaded);
        }
    }
    arena_free(loaded.arena);
}

static void test_every_family_builds_and_arrives(void)
{
    for (size_t i = 0; fabric_families[i] != NULL; i++) {
        for (size_t k = 0; k < SIZE_COUNT; k++) {
            family_builds(fabric_families[i], sizes[k]);
        }
    }
}

/* The digest of a run, 0 where it did not end well. */
static uint64_t ring_digest(const char *family, uint32_t ranks, uint64_t seed)
{
    struct arena *arena = arena_new("test");
    const char *trace = arena_printf(arena, "pattern:all_reduce,ranks=%" PRIu32 ",bytes=48kB", ranks);
    struct run_request request = whole_request(trace, family);
    request.seed = seed;
    struct run_result result = whole_run_good(request, NULL, NULL, arena);
    CHECK_TEXT(result.status != NULL ? result.status : "refused", "complete");
    uint64_t digest = result.digest;
    arena_free(arena);
    return digest;
}

static void test_every_family_runs_a_ring(void)
{
    for (size_t i = 0; fabric_families[i] != NULL; i++) {
        for (uint32_t ranks = 8; ranks <= 64; ranks *= 2) {
            uint64_t digest = ring_digest(fabric_families[i]->name, ranks, 1);
            CHECK(digest != 0);
            CHECK_EQUAL(ring_digest(fabric_families[i]->name, ranks, 1), digest);
        }
    }
}

/* One value for each kind of row that no row takes. */
static void test_every_family_refuses_nonsense(void)
{
    for (size_t i = 0; fabric_families[i] != NULL; i++) {
        const struct fabric_family *family = fabric_families[i];
        struct loaded loaded = load(family->name, "no_such_key", "1", 8);
        CHECK_EQUAL(loaded.status, STATUS_INPUT);
        CHECK_HOLDS(loaded.diag.text, "no_such_key");
        arena_free(loaded.arena);
        for (size_t k = 0; k < family->params.row_count; k++) {
            const struct param *row = &family->params.rows[k];
            CHECK(row->help != NULL && row->help[0] != 0);
            if (row->type != PARAM_TYPE_TEXT) {
                loaded = load(family->name, row->key, "12 parsecs", 8);
                CHECK_EQUAL(loaded.status, STATUS_INPUT);
                CHECK_HOLDS(loaded.diag.text, row->key);
                arena_free(loaded.arena);
            }
        }
    }
}

static void test_every_family_has_a_preset(void)
{
    for (size_t i = 0; fabric_families[i] != NULL; i++) {
        char line[80];
        uint32_t count = 0;
        snprintf(line, sizeof line, "\nfabric: %s\n", fabric_families[i]->name);
        for (const struct fabric_preset *preset = fabric_presets; preset->name != NULL; preset++) {
            count += strstr(preset->text, line) != NULL;
        }
        if (count == 0) {
            printf("no preset of family %s\n", fabric_families[i]->name);
        }
        CHECK(count > 0);
    }
}

TEST_MAIN("fabric_table", TEST(test_every_family_builds_and_arrives), TEST(test_every_family_runs_a_ring),
          TEST(test_every_family_refuses_nonsense), TEST(test_every_family_has_a_preset))
