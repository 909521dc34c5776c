/* Who gets the next credit of a receiver (endpoint_pull.c). Asserted: of the three lists the first that is not empty is served,
 * in turn; a message goes to the list that says what it lacks when a packet of it arrives, after each pull, and when its sender
 * asks; nobody stands in a list twice, and who has all stands in none. There is no network: the engine counts what it is told.
 * Not asserted: what comes of it (tests/test_transport.c, tests/test_peers.c). */
#include "netsim/transport/endpoint_int.h"
#include "tests/check.h"
#include "tests/net.h"

enum { REPEAT = 1, ACTIVE = 2, IDLE = 4 };

#define QUANTA 8 /* of a pull */
#define SENDERS 3

struct bench {
    struct engine engine; /* first */
    struct net *net;
    struct endpoint *endpoint;
    struct pull_pacer *pacer; /* of host 0, the receiver */
    uint32_t timers, kicks;
};

static void bench_kick(struct engine *engine, uint32_t host, uint32_t port, uint64_t now_ps)
{
    (void)host, (void)port, (void)now_ps;
    ((struct bench *)engine)->kicks++;
}

static void bench_timer(struct engine *engine, uint32_t host, uint64_t when_ps, enum host_event kind, uint64_t argument)
{
    (void)host, (void)when_ps, (void)kind, (void)argument;
    ((struct bench *)engine)->timers++;
}

static const struct engine_class bench_class = {.name = "bench", .kick = bench_kick, .timer = bench_timer};

/* Hosts 1, 2, 3 have begun to send to host 0. */
static void bench_begin(struct bench *bench, struct arena *arena)
{
    *bench = (struct bench){.engine.class = &bench_class};
    bench->net = net_new(arena, net_fabric(arena, "fat_tree", "tiers=1 hosts=4 link_delay=500ns"),
                         "transport.name=eqds routing.balance=spray_n", 1, NULL);
    bench->endpoint = bench->net->endpoint;
    bench->pacer = bench->endpoint->hosts[0].pacers;
    endpoint_attach(bench->endpoint, &bench->engine);
    for (uint32_t src = 1; src <= SENDERS; src++) {
        const struct message message = {.src_rank = src, .dst_rank = 0, .src_host = src, .dst_host = 0, .bytes = 10000000};
        endpoint_send(bench->endpoint, &message, 0);
    }
    CHECK_EQUAL(bench->endpoint->pull.credit_quanta, QUANTA);
}

static struct flow *flow_of(const struct bench *bench, uint32_t src)
{
    return flow_at(bench->endpoint, src, 0);
}

static struct pull_state *state_of(const struct bench *bench, uint32_t src)
{
    return (struct pull_state *)(flow_tail(flow_of(bench, src)) + bench->endpoint->pull_offset);
}

static struct pull_list *list_of(const struct bench *bench, uint8_t which)
{
    return which == REPEAT ? &bench->pacer->repeat : which == ACTIVE ? &bench->pacer->active : &bench->pacer->idle;
}

static void enlist(const struct bench *bench, uint8_t which, uint32_t src, struct arena *arena)
{
    struct pull_list *list = list_of(bench, which);
    if (list->capacity == 0) {
        *list = (struct pull_list){arena_array(arena, 8, struct pull_entry), 0, 0, 8};
    }
    list->entries[(list->head + list->count++) & (list->capacity - 1)] = (struct pull_entry){src, 0};
    state_of(bench, src)->lists |= which;
}

/* The lists in which the message of a sender stands, by looking. */
static uint8_t found_in(const struct bench *bench, uint32_t src)
{
    uint8_t found = 0;
    for (uint8_t which = REPEAT; which <= IDLE; which *= 2) {
        const struct pull_list *list = list_of(bench, which);
        uint32_t times = 0;
        for (uint32_t i = 0; i < list->count; i++) {
            times += list->entries[(list->head + i) & (list->capacity - 1)].host == src;
        }
        CHECK(times <= 1);
        found |= times > 0 ? which : 0;
    }
    CHECK_EQUAL(state_of(bench, src)->lists, found);
    return found;
}

/* From one list, with so many quanta to repeat and wanted beyond what is granted before the pull. */
static void test_where_a_message_waits_after_a_pull(void)
{
    static const struct {
        uint8_t from;
        int32_t repeat, wanted;
        uint8_t to;
        int32_t repeat_after;
    } cases[] = {
        {REPEAT, 9, 0, REPEAT, 1},    {REPEAT, 9, 100, REPEAT, 1}, {REPEAT, 8, 100, ACTIVE, 0}, {REPEAT, 8, 9, ACTIVE, 0},
        {REPEAT, 8, 8, 0, 0},         {REPEAT, 3, 0, 0, 0},        {ACTIVE, 0, 9, ACTIVE, 0},   {ACTIVE, 0, 8, IDLE, 0},
        {ACTIVE, 0, 1, IDLE, 0},      {IDLE, 0, 0, IDLE, 0},       {IDLE, 0, 9, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena *arena = arena_new("test");
        struct bench bench;
        bench_begin(&bench, arena);
        struct pull_state *state = state_of(&bench, 2);
        enlist(&bench, cases[i].from, 2, arena);
        state->repeat = cases[i].repeat;
        state->granted = 40;
        state->target = 40 + cases[i].wanted;
        pull_due(bench.endpoint, 0, 0, PS_PER_US);
        CHECK_EQUAL(state->granted, 40 + QUANTA);
        CHECK_EQUAL(state->repeat, cases[i].repeat_after);
        CHECK_EQUAL(found_in(&bench, 2), cases[i].to);
        arena_free(arena);
    }
}

/* Beyond its target a message is granted one window more, and then nothing. */
static void test_credit_ends_a_window_beyond(void)
{
    struct arena *arena = arena_new("test");
    struct bench bench;
    bench_begin(&bench, arena);
    struct pull_state *state = state_of(&bench, 1);
    int32_t window = (int32_t)(bench.endpoint->pull.window_bytes / 512);
    state->target = 100;
    state->granted = 100 + window - QUANTA - 1;
    enlist(&bench, IDLE, 1, arena);
    pull_due(bench.endpoint, 0, 0, PS_PER_US);
    CHECK_EQUAL(state->granted, 100 + window - 1);
    CHECK_EQUAL(found_in(&bench, 1), IDLE);
    pull_due(bench.endpoint, 0, 0, 2 * PS_PER_US);
    CHECK_EQUAL(state->granted, 100 + window - 1 + QUANTA);
    CHECK_EQUAL(found_in(&bench, 1), 0);
    pull_due(bench.endpoint, 0, 0, 3 * PS_PER_US);
    CHECK_EQUAL(state->granted, 100 + window - 1 + QUANTA);
    arena_free(arena);
}

/* Sender 1 beyond its target, 2 short of it, 3 with packets to repeat, in whatever order they came. */
static void test_who_lacks_most_is_served_first(void)
{
    struct arena *arena = arena_new("test");
    struct bench bench;
    bench_begin(&bench, arena);
    enlist(&bench, IDLE, 1, arena);
    enlist(&bench, ACTIVE, 2, arena);
    enlist(&bench, REPEAT, 3, arena);
    state_of(&bench, 2)->target = 12;
    state_of(&bench, 3)->repeat = 12;
    static const uint32_t turns[] = {3, 3, 2, 2, 1, 2, 1, 2};
    for (size_t i = 0; i < sizeof turns / sizeof turns[0]; i++) {
        int32_t before[SENDERS + 1];
        for (uint32_t src = 1; src <= SENDERS; src++) {
            before[src] = state_of(&bench, src)->granted;
        }
        pull_due(bench.endpoint, 0, 0, (i + 1) * PS_PER_US);
        for (uint32_t src = 1; src <= SENDERS; src++) {
            CHECK_EQUAL(state_of(&bench, src)->granted - before[src], src == turns[i] ? QUANTA : 0);
        }
    }
    CHECK_EQUAL(found_in(&bench, 3), 0);
    arena_free(arena);
}

static void arrive(const struct bench *bench, uint32_t src, int32_t target, bool is_trimmed)
{
    struct flow *flow = flow_of(bench, src);
    pull_targets(bench->endpoint, flow)[ring_index(flow, 0)] = target;
    const struct packet packet = {.dst = 0, .src = src & (FABRIC_HOSTS_MAX - 1), .seq = 0, .kind = PACKET_DATA,
                                  .is_trimmed = is_trimmed, .size_bytes = 4150};
    pull_arrived(bench->endpoint, flow, &packet, PS_PER_US);
}

static void test_where_a_message_waits_when_a_packet_comes(void)
{
    struct arena *arena = arena_new("test");
    struct bench bench;
    bench_begin(&bench, arena);
    int32_t a_packet = (int32_t)((bench.endpoint->facts.packet_bytes + 511) / 512);
    arrive(&bench, 1, 0, false); /* wants nothing more */
    CHECK_EQUAL(found_in(&bench, 1), 0);
    CHECK_EQUAL(bench.pacer->is_pulling, 0);
    arrive(&bench, 1, 50, false);
    CHECK_EQUAL(found_in(&bench, 1), ACTIVE);
    CHECK_EQUAL(bench.pacer->is_pulling, 1);
    arrive(&bench, 1, 60, false); /* once */
    CHECK_EQUAL(found_in(&bench, 1), ACTIVE);
    CHECK_EQUAL(state_of(&bench, 1)->target, 60);
    arrive(&bench, 1, 55, false); /* overtaken by the one before */
    CHECK_EQUAL(state_of(&bench, 1)->target, 60);
    arrive(&bench, 1, 60, true);
    CHECK_EQUAL(found_in(&bench, 1), ACTIVE | REPEAT);
    CHECK_EQUAL(state_of(&bench, 1)->repeat, a_packet);
    arrive(&bench, 2, 70, true); /* to be repeated first: not in the other list as well */
    CHECK_EQUAL(found_in(&bench, 2), REPEAT);
    CHECK_EQUAL(state_of(&bench, 2)->target, 70);
    arrive(&bench, 2, 70, true);
    CHECK_EQUAL(found_in(&bench, 2), REPEAT);
    CHECK_EQUAL(state_of(&bench, 2)->repeat, 2 * a_packet);
    struct packet last = {.dst = 0, .src = 1, .flow = 0};
    pull_delivered(bench.endpoint, flow_of(&bench, 1), &last);
    CHECK_EQUAL(found_in(&bench, 1), 0);
    CHECK_EQUAL(found_in(&bench, 2), REPEAT);
    arena_free(arena);
}

static void test_who_asks_is_granted_what_was_lost(void)
{
    struct arena *arena = arena_new("test");
    struct bench bench;
    bench_begin(&bench, arena);
    const struct flow *flow = flow_of(&bench, 3);
    int32_t a_packet = (int32_t)((bench.endpoint->facts.packet_bytes + 511) / 512);
    const struct packet ask = {.dst = 0, .src = 3, .flow = 0, .seq = 5, .kind = PACKET_CONTROL, .asks_ack = 1,
                               .generation = flow->generation & 7u};
    endpoint_receive(bench.endpoint, 0, &ask, PS_PER_US);
    CHECK_EQUAL(found_in(&bench, 3), REPEAT);
    CHECK_EQUAL(state_of(&bench, 3)->repeat, 5 * a_packet);
    endpoint_receive(bench.endpoint, 0, &ask, 2 * PS_PER_US); /* asked again: not twice as much */
    CHECK_EQUAL(found_in(&bench, 3), REPEAT);
    CHECK_EQUAL(state_of(&bench, 3)->repeat, 5 * a_packet);
    uint32_t pulls = 0;
    for (; found_in(&bench, 3) != 0 && pulls < 100; pulls++) {
        pull_due(bench.endpoint, 0, 0, (3 + pulls) * PS_PER_US);
    }
    CHECK_EQUAL(pulls, (uint32_t)(5 * a_packet + QUANTA - 1) / QUANTA);
    arena_free(arena);
}

/* ---- pacers ------------------------------------------------------------------------------------------------- */

/* Of a host: how many ports it has a pace for together, by the port, and which. */
static void pacer_check(struct arena *arena, const char *spec, const char *text, uint32_t host, uint32_t port,
                        uint32_t pacer, uint64_t rate_bps)
{
    struct net *net = net_new(arena, net_fabric(arena, spec, text), "transport.name=eqds routing.balance=spray_n", 1, NULL);
    const struct host *at = &net->endpoint->hosts[host];
    CHECK_EQUAL(at->pacer_of == NULL ? 0 : at->pacer_of[port], pacer);
    uint64_t packet_ps = serialisation_ps(net->facts.packet_bytes + 38, rate_bps); /* as htsim counts a packet */
    CHECK_EQUAL(at->pacers[pacer].interval_ps, packet_ps * 99 / 100);
}

static void test_ports_that_routes_choose_among_have_one_pace(void)
{
    struct arena *arena = arena_new("test");
    pacer_check(arena, "fat_tree", "tiers=1 hosts=4 link_rate=400Gbps", 3, 0, 0, 400000000000);
    for (uint32_t port = 0; port < 4; port++) {
        pacer_check(arena, "multi_plane", "hosts=16 planes=4 radix=8 link_rate=100Gbps", 5, port, 0, 400000000000);
        pacer_check(arena, "torus", "dimensions=5x5 link_rate=100Gbps", 7, port, port, 100000000000); /* by dimensions in order */
    }
    pacer_check(arena, "clos-h100", "hosts=16", 9, 0, 0, 3600000000000); /* to its server, and to others */
    pacer_check(arena, "clos-h100", "hosts=16", 9, 18, 1, 400000000000);
    arena_free(arena);
}

/* Host 12 of the 5 x 5 torus sends to 0 by x first: it comes by y. */
static void test_packets_are_paced_by_the_port_that_they_come_by(void)
{
    struct arena *arena = arena_new("test");
    const struct fabric *fabric = net_fabric(arena, "torus", "dimensions=5x5 link_rate=100Gbps");
    struct net *net = net_new(arena, fabric, "transport.name=eqds routing.balance=spray_n", 1, NULL);
    for (uint32_t src = 1; src < 25; src++) {
        uint32_t port = fabric->port_first[0], pacer = pacer_towards(net->endpoint, src, 0);
        uint32_t near_x = src % 5 < 3 ? 1 : 4, near_y = src / 5 < 3 ? 5 : 20; /* packets go by x first */
        while (net->endpoint->hosts[0].pacer_of[port - fabric->port_first[0]] != pacer) {
            port++;
        }
        CHECK_EQUAL(fabric->port_node[fabric->port_peer[port]], src / 5 > 0 ? near_y : near_x);
    }
    arena_free(arena);
}

TEST_MAIN("pull", TEST(test_ports_that_routes_choose_among_have_one_pace), TEST(test_packets_are_paced_by_the_port_that_they_come_by),
          TEST(test_where_a_message_waits_after_a_pull), TEST(test_credit_ends_a_window_beyond),
          TEST(test_who_lacks_most_is_served_first), TEST(test_where_a_message_waits_when_a_packet_comes),
          TEST(test_who_asks_is_granted_what_was_lost))
