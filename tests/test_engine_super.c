/* Which nodes the windowed engine fuses, and how wide its windows are then.
 *
 * Asserted: servers under long links are fused, not so where their links are long enough, where all links are short, or where
 * one thread would get too much; what a super-node with a host takes along; that a controller's delay bounds the window.
 * Not asserted: what comes out of it, which test_engine_window compares with the reference engine. */
#include "netsim/engine/window_super.h"
#include "tests/check.h"
#include "tests/hand.h"

#define RATE_BPS UINT64_C(400000000000)
#define BYTE_PS  20 /* at that rate: a lookahead is this and the delay */
enum { LINKS_MAX = 4000 };

static bool silent_pull(void *context, uint32_t host, uint32_t port, uint64_t now_ps, struct packet *packet)
{
    (void)context, (void)host, (void)port, (void)now_ps, (void)packet;
    return false;
}

static const struct host_ops silent_ops = {.pull = silent_pull};

static const struct window_core *core_make(struct arena *arena, struct fabric *fabric, uint32_t threads, uint64_t control_ps)
{
    struct engine_config config = {.fabric = fabric, .routes = routes_new(fabric, arena), .ops = &silent_ops,
                                   .thread_count = threads, .control_delay_ps = control_ps};
    return (const struct window_core *)engine_window.create(arena, &config);
}

/* Servers of four hosts, each with each other; every host at one switch by 500 ns. */
static struct fabric *servers(struct arena *arena, uint32_t count, uint64_t inside_ps)
{
    struct hand_link *links = arena_array(arena, LINKS_MAX, struct hand_link);
    uint32_t link_count = 0, hosts = 4 * count;
    for (uint32_t host = 0; host < hosts; host++) {
        links[link_count++] = (struct hand_link){host, hosts, RATE_BPS, 500 * PS_PER_NS};
        for (uint32_t other = host / 4 * 4; other < host; other++) {
            links[link_count++] = (struct hand_link){other, host, RATE_BPS, inside_ps};
        }
    }
    return hand_fabric(arena, hosts, hosts + 1, links, link_count);
}

static void test_servers(void)
{
    struct arena *arena = arena_new("test");
    const struct window_core *core = core_make(arena, servers(arena, 8, 5 * PS_PER_NS), 2, 0);
    CHECK_EQUAL(core->super_count, 8);
    CHECK_EQUAL(core->lookahead_ps, 500 * PS_PER_NS + BYTE_PS);
    for (uint32_t i = 0; i < core->super_count; i++) {
        CHECK(core->supers[i].count == 4 && core->supers[i].has_host);
        uint32_t last = core->supers[i].first + 3;
        CHECK(core->supers[i].first / 64 == last / 64); /* S3 */
        CHECK_EQUAL(core->nodes[last].super, i);
        CHECK_EQUAL(core->nodes[last].owner, core->supers[i].owner);
    }
    CHECK_EQUAL(core->nodes[core->inner[32]].super, ID_NONE);
    CHECK(core->supers[0].owner != core->supers[7].owner);
    arena_free(arena);
}

static void test_not_fused(void)
{
    struct arena *arena = arena_new("test");
    const struct window_core *core = core_make(arena, servers(arena, 8, 250 * PS_PER_NS), 1, 0);
    CHECK_EQUAL(core->super_count, 0); /* long enough */
    CHECK_EQUAL(core->width_ps, 250 * PS_PER_NS + BYTE_PS);
    core = core_make(arena, servers(arena, 1, 5 * PS_PER_NS), 2, 0);
    CHECK_EQUAL(core->super_count, 0); /* all in one, for one of two threads */
    core = core_make(arena, servers(arena, 8, 20 * PS_PER_NS), 1, 30 * PS_PER_NS);
    CHECK(core->lookahead_ps <= 30 * PS_PER_NS); /* the controller */
    CHECK_EQUAL(core->super_count, 0); /* which would leave little to gain */
    arena_free(arena);
}

static struct fabric *chain(struct arena *arena, uint32_t hosts, uint64_t delay_ps)
{
    struct hand_link *links = arena_array(arena, LINKS_MAX, struct hand_link);
    for (uint32_t host = 1; host < hosts; host++) {
        links[host - 1] = (struct hand_link){host - 1, host, RATE_BPS, delay_ps};
    }
    return hand_fabric(arena, hosts, hosts, links, hosts - 1);
}

/* All links are short: one queue for a few nodes, narrow windows for many. */
static void test_all_short(void)
{
    struct arena *arena = arena_new("test");
    const struct window_core *core = core_make(arena, chain(arena, 60, 5 * PS_PER_NS), 1, 0);
    CHECK_EQUAL(core->super_count, 1);
    CHECK(core->width_ps > 500 * PS_PER_NS);
    core = core_make(arena, chain(arena, 100, 5 * PS_PER_NS), 1, 0); /* more than a word of `active` */
    CHECK(core->super_count == 1 && core->supers[0].first % 64 == 0);
    core = core_make(arena, chain(arena, 200, 5 * PS_PER_NS), 1, 0);
    CHECK_EQUAL(core->super_count, 0);
    CHECK_EQUAL(core->width_ps, 5 * PS_PER_NS + BYTE_PS);
    arena_free(arena);
}

/* S1: hosts are served after switches, so short links to them join nobody, except from a super-node with a host. */
static void test_hosts_behind(void)
{
    struct arena *arena = arena_new("test");
    struct hand_link links[LINKS_MAX] = {{0, 40, RATE_BPS, PS_PER_NS}, {1, 40, RATE_BPS, PS_PER_NS}};
    uint32_t link_count = 2;
    for (uint32_t host = 2; host < 40; host++) {
        links[link_count++] = (struct hand_link){host, 41, RATE_BPS, 500 * PS_PER_NS};
    }
    links[link_count++] = (struct hand_link){40, 41, RATE_BPS, 500 * PS_PER_NS};
    struct fabric *fabric = hand_fabric(arena, 40, 42, links, link_count);
    fabric->propagation_ps[hand_port(fabric, 0, 40)] = 500 * PS_PER_NS; /* there, not back */
    fabric->propagation_ps[hand_port(fabric, 1, 40)] = 500 * PS_PER_NS;
    CHECK_EQUAL(core_make(arena, fabric, 1, 0)->super_count, 0);
    fabric->propagation_ps[hand_port(fabric, 0, 40)] = PS_PER_NS;
    const struct window_core *core = core_make(arena, fabric, 1, 0);
    CHECK_EQUAL(core->super_count, 1);
    CHECK_EQUAL(core->supers[0].count, 3);
    CHECK_EQUAL(core->nodes[core->inner[1]].super, 0);
    arena_free(arena);
}

TEST_MAIN("engine_super", TEST(test_servers), TEST(test_not_fused), TEST(test_all_short), TEST(test_hosts_behind))
