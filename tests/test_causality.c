/* No knowledge travels faster than a link: one more message at one host, posted at a drawn time, changes nothing at another
 * host before the links between them could have told it, whatever the transport, the queues and the routing look at.
 * Asserted: every delivery and acknowledgement that happens sooner than that, in either of the two runs, is the same in both;
 * and that something changes later, else the test says nothing. The bound is the shortest sum of link delays, without
 * serialisation, switches or pauses. Both engines, as many threads as the run has. */
#include "netsim/base/rng.h"
#include "tests/check.h"
#include "tests/net.h"
#include "tests/reference.h"

#define MESSAGES 240
#define HERE 0 /* where the message is posted */

/* Shortest times from HERE to all nodes, by relaxing until nothing changes. */
static const uint64_t *delays_from(struct arena *arena, const struct fabric *fabric)
{
    uint64_t *delay_ps = arena_array(arena, fabric->node_count, uint64_t);
    for (uint32_t node = 0; node < fabric->node_count; node++) {
        delay_ps[node] = node == HERE ? 0 : TIME_NEVER_PS;
    }
    for (bool is_changed = true; is_changed;) {
        is_changed = false;
        for (uint32_t port = 0; port < fabric->port_count; port++) {
            uint64_t from_ps = delay_ps[fabric->port_node[port]];
            uint32_t to = fabric->port_node[fabric->port_peer[port]];
            if (from_ps != TIME_NEVER_PS && from_ps + link_delay_ps(fabric, port) < delay_ps[to]) {
                delay_ps[to] = from_ps + link_delay_ps(fabric, port);
                is_changed = true;
            }
        }
    }
    return delay_ps;
}

struct subject {
    const char *fabric, *fabric_settings, *settings;
};

/* The message at HERE is the last one; TIME_NEVER_PS: there is none. */
static struct net *play(struct arena *arena, const struct subject *subject, uint64_t seed, uint64_t disturbed_ps,
                        const struct engine_class *class)
{
    struct net *net = net_new(arena, net_fabric(arena, subject->fabric, subject->fabric_settings), subject->settings, seed, class);
    uint32_t hosts = net->fabric->host_count;
    for (uint32_t i = 0; i < MESSAGES; i++) {
        uint32_t src = rng_below(rng_draw(seed, 1, i), hosts);
        uint32_t dst = (src + 1 + rng_below(rng_draw(seed, 2, i), hosts - 1)) % hosts;
        dst = i % 4 == 0 && src != hosts / 2 ? hosts / 2 : dst; /* a crowd, so that something is full */
        net_post(net, net_add(net, src, dst, 1 + rng_draw(seed, 3, i) % 100000), rng_draw(seed, 4, i) % (30 * PS_PER_US));
    }
    if (disturbed_ps != TIME_NEVER_PS) {
        net_post(net, net_add(net, HERE, hosts / 2, 400000), disturbed_ps);
    }
    net_run(net);
    return net;
}

/* An event at a host: the same in both runs, or too late to say; true where it differs. */
static bool is_changed(uint64_t a_ps, uint64_t b_ps, uint64_t bound_ps)
{
    CHECK(a_ps == b_ps || (a_ps >= bound_ps && b_ps >= bound_ps));
    return a_ps != b_ps;
}

static void disturb(const struct subject *subject, uint64_t seed, const struct engine_class *class)
{
    struct arena *arena = arena_new("test");
    uint64_t disturbed_ps = 15 * PS_PER_US + rng_draw(seed, 5, 0) % (15 * PS_PER_US);
    const struct net *calm = play(arena, subject, seed, TIME_NEVER_PS, class);
    const struct net *stirred = play(arena, subject, seed, disturbed_ps, class);
    const uint64_t *delay_ps = delays_from(arena, calm->fabric);
    uint32_t changed = 0, before = 0;
    for (uint32_t i = 1; i <= MESSAGES; i++) {
        const struct net_message *a = &calm->messages[i], *b = &stirred->messages[i];
        changed += is_changed(a->delivered_ps, b->delivered_ps, disturbed_ps + delay_ps[a->dst]);
        changed += is_changed(a->acked_ps, b->acked_ps, disturbed_ps + delay_ps[a->src]);
        before += a->delivered_ps < disturbed_ps + delay_ps[a->dst];
    }
    CHECK(changed > 0);
    CHECK(before > 5);
    arena_free(arena);
}

#define TREE "radix=8 tiers=2 link_rate=100Gbps link_delay=700ns"
#define DRAGONFLY "hosts_per_router=2 link_rate=100Gbps link_delay=900ns"

static const struct subject subjects[] = {
    {"fat_tree", TREE, "transport.name=window"},
    {"fat_tree", TREE, "transport.name=nscc"},
    {"fat_tree", TREE, "transport.name=eqds"},
    {"fat_tree", TREE, "transport.name=dcqcn"},
    {"fat_tree", TREE, "transport.name=hpcc"},
    {"fat_tree", TREE, "transport.name=swift routing.balance=reps"},
    {"fat_tree", TREE, "transport.name=roce queue.xoff=20000B queue.xon=12000B"},
    {"fat_tree", TREE, "transport.name=credit queue.adaptive=yes"},
    {"fat_tree", TREE, "transport.name=window queue.shared=200kB queue.adaptive=yes"},
    {"fat_tree", TREE, "transport.name=window links.frame_loss=0.01 links.retry=go_back_n"},
    {"dragonfly", DRAGONFLY, "transport.name=window routing.paths=ugal routing.ugal_threshold=1kB"},
    {"dragonfly", DRAGONFLY, "transport.name=credit routing.paths=ugal routing.ugal_threshold=1kB queue.adaptive=yes"},
    {"dragonfly", DRAGONFLY, "transport.name=window routing.paths=valiant"},
};

static void test_nothing_is_known_before_it_can_be(void)
{
    static const struct engine_class *const engines[] = {&engine_plain, &engine_window};
    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++) {
        for (size_t e = 0; e < 2; e++) {
            for (uint64_t round = 0; round < 3; round++) {
                disturb(&subjects[i], rng_draw(test_seed(), 99, round), engines[e]);
            }
        }
    }
}

TEST_MAIN("causality", TEST(test_nothing_is_known_before_it_can_be))
