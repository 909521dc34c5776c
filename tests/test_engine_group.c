/* Copying and combining at switches, in both engines: times in closed form, conservation, buffers that come back.
 *
 *          6          1,500 B take 30 ns at 400 Gbit/s, every link is 100 ns long, combining takes 50 ns
 *       4     5
 *      0 1   2 3
 */
#include "netsim/engine/engine.h"
#include "netsim/engine/group_tree.h"
#include "tests/check.h"
#include "tests/hand.h"
#include "tests/net.h"
#include "tests/reference.h"

#define NS      PS_PER_NS
#define HOSTS   4
#define LOG_MAX 4096

static const struct engine_class *const engines[] = {&engine_plain, &engine_window};

struct rig {
    struct arena *arena;
    struct fabric *fabric;
    struct engine_config config;
    struct engine *engine;
    uint32_t to_send[HOSTS], sent[HOSTS], got[HOSTS], got_of_group[HOSTS];
    uint64_t first_ps[HOSTS], last_ps[HOSTS];
    uint32_t dst[HOSTS]; /* of what they send */
    struct group group;
    struct group_hop hops[3];
    struct group_table table;
};

static bool rig_pull(void *context, uint32_t host, uint32_t port, uint64_t now_ps, struct packet *packet)
{
    struct rig *rig = context;
    (void)now_ps;
    if (rig->sent[host] == rig->to_send[host] || rig->engine->class->open_classes(rig->engine, host, port) == 0) {
        return false;
    }
    *packet = (struct packet){.src = host & 0xfffff, .dst = rig->dst[host] & 0xfffff,
                              .seq = rig->sent[host]++ & 0xffffff, .size_bytes = 1500};
    return true;
}

static void rig_receive(void *context, uint32_t host, const struct packet *packet, uint64_t now_ps)
{
    struct rig *rig = context;
    if (packet->dst >= HOSTS) {
        CHECK_EQUAL(packet->seq, rig->got_of_group[host]);
        rig->got_of_group[host]++;
    }
    rig->first_ps[host] = rig->got[host]++ == 0 ? now_ps : rig->first_ps[host];
    rig->last_ps[host] = now_ps;
}

static void rig_event(void *context, uint32_t host, enum host_event kind, uint64_t argument, uint64_t now_ps)
{
    struct rig *rig = context;
    (void)kind, (void)argument;
    engine_kick(rig->engine, host, 0, now_ps);
}

static const struct host_ops rig_ops = {.pull = rig_pull, .receive = rig_receive, .event = rig_event};

/* Ports of the leaves: 0, 1 to hosts, 2 up; of the root: 0, 1. */
static const uint32_t all_ports[] = {0, 1};

static struct rig *rig_new(uint32_t fan_in)
{
    static const struct hand_link links[] = {
        {0, 4, 400000000000, 100000}, {1, 4, 400000000000, 100000}, {2, 5, 400000000000, 100000},
        {3, 5, 400000000000, 100000}, {4, 6, 400000000000, 100000}, {5, 6, 400000000000, 100000}};
    struct arena *arena = arena_new("test");
    struct rig *rig = arena_one(arena, struct rig);
    rig->arena = arena;
    rig->fabric = hand_fabric(arena, HOSTS, HOSTS + 3, links, 6);
    rig->hops[0] = (struct group_hop){4, fan_in, 2, 0, 2};
    rig->hops[1] = (struct group_hop){5, fan_in, 2, 0, 2};
    rig->hops[2] = (struct group_hop){6, fan_in, ID_NONE, 0, 2};
    rig->group = (struct group){0, 3};
    rig->table = (struct group_table){1, &rig->group, rig->hops, all_ports, 50 * NS, 128};
    rig->config = (struct engine_config){.fabric = rig->fabric, .routes = routes_new(rig->fabric, arena), .seed = 3,
                                         .cut_through_bytes = 64, .packet_bytes_max = 1500, .ops = &rig_ops,
                                         .context = rig, .groups = &rig->table};
    for (uint32_t host = 0; host < HOSTS; host++) {
        rig->dst[host] = HOSTS; /* group 0 */
    }
    return rig;
}

static struct port_counters rig_counters(const struct rig *rig, uint32_t port)
{
    struct port_counters counters;
    rig->engine->class->counters(rig->engine, port, &counters);
    return counters;
}

/* What every switch received = what it sent + drops + what went into groups - what came out of them. */
static void conservation_check(const struct rig *rig)
{
    const struct fabric *fabric = rig->fabric;
    for (uint32_t node = HOSTS; node < fabric->node_count; node++) {
        uint64_t left = 0;
        for (uint32_t port = fabric->port_first[node]; port < fabric->port_first[node + 1]; port++) {
            struct port_counters out = rig_counters(rig, port), in = rig_counters(rig, fabric->port_peer[port]);
            left += in.rx_packets - out.group_in_packets + out.group_out_packets - out.tx_packets - out.dropped_packets;
            CHECK_EQUAL(out.tx_packets, out.rx_packets);
        }
        CHECK_EQUAL(left, 0);
    }
    CHECK_EQUAL(rig->engine->class->packets_in_flight(rig->engine), 0);
}

static void rig_run(struct rig *rig, const struct engine_class *class)
{
    rig->engine = class->create(rig->arena, &rig->config);
    for (uint32_t host = 0; host < HOSTS; host++) {
        engine_kick(rig->engine, host, 0, 0);
    }
    CHECK_EQUAL(rig->engine->class->run(rig->engine, TIME_NEVER_PS), TIME_NEVER_PS);
    conservation_check(rig);
}

/* Up 130 + 50, up 130 + 50, down 130, down 130. */
static void test_all_reduce(void)
{
    for (size_t e = 0; e < 2; e++) {
        for (uint32_t packets = 1; packets <= 100; packets += 99) {
            struct rig *rig = rig_new(2);
            for (uint32_t host = 0; host < HOSTS; host++) {
                rig->to_send[host] = packets;
            }
            rig_run(rig, engines[e]);
            for (uint32_t host = 0; host < HOSTS; host++) {
                CHECK_EQUAL(rig->got[host], packets);
                CHECK_EQUAL(rig->first_ps[host], 620 * NS);
                CHECK_EQUAL(rig->last_ps[host], 620 * NS + (packets - 1) * 30 * NS);
            }
            uint32_t up = hand_port(rig->fabric, 4, 6), in = hand_port(rig->fabric, 4, 0);
            CHECK_EQUAL(rig_counters(rig, up).tx_packets, packets); /* of twice as many */
            CHECK_EQUAL(rig_counters(rig, up).group_out_packets, packets);
            CHECK_EQUAL(rig_counters(rig, in).group_in_packets, packets);
            CHECK_EQUAL(rig_counters(rig, in).group_out_bytes, packets * 1500);
            arena_free(rig->arena);
        }
    }
}

/* The result goes where the lists lead: to host 2 alone. */
static void test_reduce_to_one(void)
{
    for (size_t e = 0; e < 2; e++) {
        struct rig *rig = rig_new(2);
        rig->hops[0].down_count = 0;
        rig->hops[1].down_count = 1;                 /* port 0: host 2 */
        rig->hops[2].down_first = rig->hops[2].down_count = 1; /* port 1: switch 5 */
        for (uint32_t host = 0; host < HOSTS; host++) {
            rig->to_send[host] = 10;
        }
        rig_run(rig, engines[e]);
        for (uint32_t host = 0; host < HOSTS; host++) {
            CHECK_EQUAL(rig->got[host], host == 2 ? 10 : 0);
        }
        CHECK_EQUAL(rig->last_ps[2], 620 * NS + 9 * 30 * NS);
        arena_free(rig->arena);
    }
}

/* Nothing is combined before the last one is there. */
static void test_the_last_one_decides(void)
{
    for (size_t e = 0; e < 2; e++) {
        struct rig *rig = rig_new(2);
        rig->to_send[0] = rig->to_send[2] = rig->to_send[3] = 5;
        rig->engine = engines[e]->create(rig->arena, &rig->config);
        for (uint32_t host = 0; host < HOSTS; host++) {
            engine_kick(rig->engine, host, 0, 0);
        }
        engine_timer(rig->engine, 1, 5000 * NS, HOST_OPERATION, 0);
        CHECK_EQUAL(rig->engine->class->run(rig->engine, 4000 * NS), 5000 * NS);
        CHECK_EQUAL(rig->got[0], 0);
        rig->to_send[1] = 5;
        CHECK_EQUAL(rig->engine->class->run(rig->engine, TIME_NEVER_PS), TIME_NEVER_PS);
        CHECK_EQUAL(rig->got[0], 5);
        CHECK_EQUAL(rig->first_ps[3], 5620 * NS);
        conservation_check(rig);
        arena_free(rig->arena);
    }
}

/* From host 0: 260 ns to its neighbour, 520 ns to the others, nothing to itself, beside other traffic. */
static void test_copies(void)
{
    for (size_t e = 0; e < 2; e++) {
        struct rig *rig = rig_new(0);
        rig->to_send[0] = 50;
        rig_run(rig, engines[e]);
        CHECK_EQUAL(rig->got[0], 0);
        for (uint32_t host = 1; host < HOSTS; host++) {
            CHECK_EQUAL(rig->got[host], 50);
            CHECK_EQUAL(rig->first_ps[host], (host == 1 ? 260 : 520) * NS);
            CHECK_EQUAL(rig->last_ps[host], (host == 1 ? 260 : 520) * NS + 49 * 30 * NS);
        }
        arena_free(rig->arena);
    }
}

static void test_copies_beside_others(void)
{
    for (size_t e = 0; e < 2; e++) {
        struct rig *rig = rig_new(0);
        rig->to_send[0] = 50;
        rig->to_send[3] = 70;
        rig->dst[3] = 1;
        rig_run(rig, engines[e]);
        CHECK_EQUAL(rig->got[1], 120);
        CHECK_EQUAL(rig->got[2], 50);
        CHECK_EQUAL(rig->last_ps[1], 260 * NS + 119 * 30 * NS); /* its link is never idle */
        arena_free(rig->arena);
    }
}

/* With buffers for two packets behind every link all of them come back: nothing stands still. */
static void test_buffers_come_back(void)
{
    for (size_t e = 0; e < 2; e++) {
        for (uint32_t fan_in = 0; fan_in <= 2; fan_in += 2) {
            struct rig *rig = rig_new(fan_in);
            struct queue_profile queues = {.class_count = 1, .class = {{.quantum_bytes = 1, .credit_bytes = 3000}}};
            rig->config.switch_queues = rig->config.host_queues = &queues;
            for (uint32_t host = 0; host < HOSTS; host++) {
                rig->to_send[host] = fan_in > 0 || host == 0 ? 200 : 0;
            }
            rig_run(rig, engines[e]);
            for (uint32_t host = 0; host < HOSTS; host++) {
                CHECK_EQUAL(rig->got[host], fan_in > 0 || host > 0 ? 200 : 0);
            }
            arena_free(rig->arena);
        }
    }
}

/* ---- trees in real fabrics ------------------------------------------------------------------------------------- */

struct found {
    struct arena *arena;
    struct fabric *fabric;
    struct engine_config config;
    struct engine *engine;
    struct tree tree;
    uint32_t member_count, *members, *sent, *got, to_send, dst;
};

static bool found_pull(void *context, uint32_t host, uint32_t port, uint64_t now_ps, struct packet *packet)
{
    struct found *found = context;
    (void)now_ps;
    for (uint32_t i = 0; i < found->member_count; i++) {
        if (found->members[i] == host && found->tree.member_port[i] == port && found->sent[i] < found->to_send) {
            *packet = (struct packet){.src = host & 0xfffff, .dst = found->dst & 0xfffff,
                                      .seq = found->sent[i]++ & 0xffffff, .size_bytes = 1500};
            return true;
        }
    }
    return false;
}

static void found_receive(void *context, uint32_t host, const struct packet *packet, uint64_t now_ps)
{
    struct found *found = context;
    (void)now_ps, (void)packet;
    found->got[host]++;
}

static const struct host_ops found_ops = {.pull = found_pull, .receive = found_receive, .event = rig_event};

static struct found *found_new(const char *spec, uint32_t first, uint32_t step, uint32_t count)
{
    struct arena *arena = arena_new("test");
    struct found *found = arena_one(arena, struct found);
    found->arena = arena;
    found->fabric = net_fabric(arena, spec, "");
    found->member_count = count;
    found->members = arena_array(arena, count, uint32_t);
    found->sent = arena_array(arena, count, uint32_t);
    found->got = arena_array(arena, found->fabric->host_count, uint32_t);
    for (uint32_t i = 0; i < count; i++) {
        found->members[i] = first + i * step;
    }
    return found;
}

static void found_run(struct found *found, const struct group_builder *builder, uint32_t group, uint32_t to_send)
{
    found->to_send = to_send;
    found->dst = found->fabric->host_count + group;
    found->config = (struct engine_config){.fabric = found->fabric, .seed = 3, .cut_through_bytes = 64,
                                           .routes = routes_new(found->fabric, found->arena), .ops = &found_ops,
                                           .context = found, .packet_bytes_max = 1500,
                                           .groups = groups_build(builder, 100 * NS, 512)};
    found->engine = engine_window.create(found->arena, &found->config);
    memset(found->sent, 0, found->member_count * sizeof *found->sent);
    memset(found->got, 0, found->fabric->host_count * sizeof *found->got);
    for (uint32_t i = 0; i < found->member_count; i++) {
        engine_kick(found->engine, found->members[i], found->tree.member_port[i], 0);
    }
    CHECK_EQUAL(found->engine->class->run(found->engine, TIME_NEVER_PS), TIME_NEVER_PS);
    CHECK_EQUAL(found->engine->class->packets_in_flight(found->engine), 0);
}

static void tree_check(const char *spec, uint32_t first, uint32_t step, uint32_t count, uint32_t hops, uint32_t roots)
{
    struct found *found = found_new(spec, first, step, count);
    CHECK(tree_find(found->fabric, found->members, count, 5, found->arena, &found->tree));
    CHECK_EQUAL(found->tree.hop_count, hops);
    CHECK_EQUAL(found->tree.root_count, roots);
    struct group_builder builder = {.arena = found->arena};
    uint32_t reduce = group_add_reduce(&builder, &found->tree), to = group_add_reduce_to(&builder, &found->tree, 1);
    uint32_t copy = group_add_copy(&builder, &found->tree);
    found_run(found, &builder, reduce, 20);
    for (uint32_t i = 0; i < count; i++) {
        CHECK_EQUAL(found->got[found->members[i]], 20);
    }
    found_run(found, &builder, to, 20);
    for (uint32_t i = 0; i < count; i++) {
        CHECK_EQUAL(found->got[found->members[i]], i == 1 ? 20 : 0);
    }
    found_run(found, &builder, copy, 3);
    for (uint32_t i = 0; i < count; i++) {
        CHECK_EQUAL(found->got[found->members[i]], 3 * (count - 1));
    }
    arena_free(found->arena);
}

static void test_trees_are_found(void)
{
    tree_check("dgx-h100", 0, 1, 8, 1, 4);                 /* one of four planes */
    tree_check("nvl72", 3, 7, 10, 1, 18);
    tree_check("fat-tree-128", 0, 1, 4, 1, 1);             /* at one leaf */
    tree_check("fat-tree-128", 0, 4, 4, 4 + 1, 4);         /* four leaves of one pod */
    tree_check("fat-tree-128", 0, 1, 128, 32 + 8 + 1, 16); /* all: one switch of every pod's upper tier */
}

/* Trees of all planes and all links side by side: no link of a member is in two. */
static void test_trees_share_no_link(void)
{
    struct found *found = found_new("dgx-h100", 0, 1, 8);
    struct tree *tree = &found->tree;
    uint64_t used[8] = {0};
    for (uint32_t root = 0, lanes = 1; root < 4; root++, lanes = 1) {
        for (uint32_t lane = 0; lane < lanes; lane++) {
            CHECK(tree_find(found->fabric, found->members, 8, root + 4 * lane, found->arena, tree));
            CHECK_EQUAL(tree->root_count, 4);
            lanes = tree->lane_count;
            for (uint32_t i = 0; i < 8; i++) {
                CHECK(!(used[i] >> tree->member_port[i] & 1));
                used[i] |= UINT64_C(1) << tree->member_port[i];
            }
        }
    }
    CHECK_EQUAL(used[3], (1u << 18) - 1); /* and none is left over */
    arena_free(found->arena);
}

static void test_no_tree(void)
{
    struct found *found = found_new("tpu-v4-cube", 0, 1, 4); /* a torus has no switches */
    CHECK(!tree_find(found->fabric, found->members, 4, 0, found->arena, &found->tree));
    arena_free(found->arena);
}

TEST_MAIN("engine_group", TEST(test_trees_are_found), TEST(test_trees_share_no_link), TEST(test_no_tree), TEST(test_all_reduce), TEST(test_reduce_to_one), TEST(test_the_last_one_decides),
          TEST(test_copies), TEST(test_copies_beside_others), TEST(test_buffers_come_back))
