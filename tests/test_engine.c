/* The packet engines and both ends of the transport, held against closed forms in whole picoseconds.
 *
 * Asserted: idle flows over any number of hops, store-and-forward and cut-through; message sizes at the edges of a
 * packet; incast, shared NICs, hosts that forward; windows below the bandwidth-delay product; bounded queues with
 * repeats; ports that come up later; one path for ECMP, even paths for spraying; conservation of packets per link; equal
 * runs for equal seeds. Not asserted: classes, marks, pauses and credits (test of the queues); anything about
 * collectives or programs (tests of the replay). */
#include "netsim/base/rng.h"
#include "netsim/engine/window.h"
#include "netsim/fabric_load.h"
#include "netsim/sim.h"
#include "tests/check.h"
#include "tests/hand.h"
#include "tests/reference.h"
#include "tests/support_run.h"

/* Every test runs on both engines; the plain one is the specification. */
static const struct engine_class *engine_class = &engine_plain;

#define RATE_BPS UINT64_C(400000000000)
#define DELAY_PS PS_PER_US
#define PACKET_BYTES 4150 /* on the wire, 64 B of them header: the shape of uet-htsim */
#define PAYLOAD_BYTES 4086
#define FULL_PS UINT64_C(83000)  /* 4150 B at 400 Gbit/s */
#define HEADER_PS UINT64_C(1280) /* 64 B */
#define LINK_PS (FULL_PS + DELAY_PS)
#define ROUND_TRIP_PS (2 * LINK_PS + 2 * (HEADER_PS + DELAY_PS)) /* over one switch */
#define END_PS (TIME_NEVER_PS - 1)

/* ---- a network without a replay --------------------------------------------------------------------------- */

struct sent {
    uint32_t src, dst;
    uint64_t bytes, posted_ps, delivered_ps, acked_ps;
    uint32_t delivered, acked, retransmissions;
    size_t then; /* message that is posted when this one is acknowledged, 0 = none */
};

struct options {
    const char *balance;      /* NULL: ecmp */
    const char *window;       /* NULL: the transport's default */
    uint64_t seed, rto_ps, post_ps, local_bps;
    struct packet_shape shape; /* zero: PACKET_BYTES with 64 B of header, ACKs of 64 B */
};

struct net {
    struct arena *arena;
    struct fabric *fabric;
    struct routes *routes;
    struct endpoint *endpoint;
    struct engine *engine;
    struct packet_shape shape;
    struct sent *sent;
    size_t count, capacity;
};

static void on_delivered(void *context, const struct message *message, uint64_t now_ps)
{
    struct sent *sent = &((struct net *)context)->sent[message->cookie];
    sent->delivered++;
    sent->delivered_ps = now_ps;
}

static void net_send(struct net *net, size_t index, uint64_t now_ps)
{
    struct sent *sent = &net->sent[index];
    sent->posted_ps = now_ps;
    const struct message message = {.src_rank = sent->src, .dst_rank = sent->dst, .src_host = sent->src,
                                    .dst_host = sent->dst, .bytes = sent->bytes, .key = {index, 0},
                                    .cookie = (uint32_t)index};
    endpoint_send(net->endpoint, &message, now_ps);
}

static void on_acked(void *context, const struct message *message, const struct message_fate *fate, uint64_t now_ps)
{
    struct net *net = context;
    struct sent *sent = &net->sent[message->cookie];
    sent->acked++;
    sent->acked_ps = now_ps;
    sent->retransmissions = fate->retransmissions;
    CHECK_EQUAL(fate->delivered_ps, sent->delivered_ps);
    if (sent->then != 0) {
        net_send(net, sent->then, now_ps);
    }
}

static bool on_pull(void *context, uint32_t host, uint32_t port, uint64_t now_ps, struct packet *packet)
{
    return endpoint_pull(((struct net *)context)->endpoint, host, port, now_ps, packet);
}

static void on_receive(void *context, uint32_t host, const struct packet *packet, uint64_t now_ps)
{
    endpoint_receive(((struct net *)context)->endpoint, host, packet, now_ps);
}

static void on_event(void *context, uint32_t host, enum host_event kind, uint64_t argument, uint64_t now_ps)
{
    struct net *net = context;
    if (kind == HOST_TIMER) {
        endpoint_timer(net->endpoint, host, argument, now_ps);
    } else {
        net_send(net, argument, now_ps);
    }
}

static const struct balance *balance_named(const char *name)
{
    size_t i = 0;
    while (strcmp(balances[i]->name, name != NULL ? name : "ecmp") != 0) {
        i++;
    }
    return balances[i];
}

static const void *window_values(struct arena *arena, const char *window)
{
    struct diag diag;
    void *values = param_defaults(&transport_find("window")->params, arena);
    if (window != NULL) {
        struct origin at = {"test", 0, 0};
        CHECK_EQUAL(param_assign(&transport_find("window")->params, values, "window", window, at, arena, &diag), STATUS_OK);
    }
    return values;
}

static void net_endpoint(struct net *net, const struct options *options)
{
    static const struct endpoint_ops ops = {.delivered = on_delivered, .acked = on_acked};
    const struct endpoint_config config = {
        .fabric = net->fabric,
        .routes = net->routes,
        .shape = net->shape,
        .transport = transport_find("window"),
        .transport_values = window_values(net->arena, options->window),
        .balance = balance_named(options->balance),
        .rto_ps = options->rto_ps != 0 ? options->rto_ps : 100 * PS_PER_US,
        .post_ps = options->post_ps,
        .local_bps = options->local_bps != 0 ? options->local_bps : RATE_BPS,
        .seed = options->seed,
        .ops = &ops,
        .context = net,
    };
    net->endpoint = endpoint_new(net->arena, &config);
}

static struct net *net_new(struct arena *arena, struct fabric *fabric, const struct options *options)
{
    static const struct host_ops ops = {.pull = on_pull, .receive = on_receive, .event = on_event};
    struct net *net = arena_one(arena, struct net);
    bool is_default = options->shape.packet_bytes == 0;
    *net = (struct net){.arena = arena, .fabric = fabric, .routes = routes_new(fabric, arena)};
    net->shape = is_default ? (struct packet_shape){PACKET_BYTES, 64, 64, {0}} : options->shape;
    net_endpoint(net, options);
    const struct engine_config config = {.fabric = fabric, .routes = net->routes, .seed = options->seed,
                                         .cut_through_bytes = (uint32_t)net->shape.header_bytes,
                                         .packet_bytes_max = (uint32_t)net->shape.packet_bytes,
                                         .cells = net->shape.cells, .ops = &ops, .context = net};
    net->engine = engine_class->create(arena, &config);
    endpoint_attach(net->endpoint, net->engine);
    vec_push(arena, net->sent, net->count, net->capacity) = (struct sent){0}; /* number 0 stands for none */
    return net;
}

/* Without a time: whoever names it in `then` posts it. */
static size_t net_add(struct net *net, uint32_t src, uint32_t dst, uint64_t bytes)
{
    vec_push(net->arena, net->sent, net->count, net->capacity) = (struct sent){.src = src, .dst = dst, .bytes = bytes};
    return net->count - 1;
}

static size_t net_post(struct net *net, uint32_t src, uint32_t dst, uint64_t bytes, uint64_t when_ps)
{
    size_t index = net_add(net, src, dst, bytes);
    engine_timer(net->engine, src, when_ps, HOST_OPERATION, index);
    return index;
}

static uint64_t net_run(struct net *net, uint64_t until_ps)
{
    return net->engine->class->run(net->engine, until_ps);
}

static struct port_counters counters_of(const struct net *net, uint32_t port)
{
    struct port_counters counters;
    net->engine->class->counters(net->engine, port, &counters);
    return counters;
}

/* Everything was delivered and acknowledged once, nothing is left on the way, and every link gave what it got. */
static void net_is_drained(const struct net *net)
{
    CHECK_EQUAL(net->engine->class->packets_in_flight(net->engine), 0);
    for (uint32_t port = 0; port < net->fabric->port_count; port++) {
        struct port_counters counters = counters_of(net, port);
        CHECK_EQUAL(counters.rx_packets, counters.tx_packets);
        CHECK_EQUAL(counters.rx_bytes, counters.tx_bytes);
    }
    uint64_t bytes = 0;
    for (size_t i = 1; i < net->count; i++) {
        CHECK_EQUAL(net->sent[i].delivered, 1);
        CHECK_EQUAL(net->sent[i].acked, 1);
        bytes += net->sent[i].bytes;
    }
    struct endpoint_counters ends;
    endpoint_counters(net->endpoint, &ends);
    CHECK_EQUAL(ends.payload_bytes_delivered, bytes);
    CHECK_EQUAL(ends.messages_posted, net->count - 1);
    CHECK_EQUAL(ends.messages_acked, net->count - 1);
}

static void net_finish(struct net *net)
{
    CHECK_EQUAL(net_run(net, PS_PER_S), TIME_NEVER_PS); /* not for ever, lest a test of a fault hangs */
    net_is_drained(net);
}

/* ---- fabrics ---------------------------------------------------------------------------------------------- */

/* Hosts around one switch. */
static struct fabric *star(struct arena *arena, uint32_t hosts)
{
    struct hand_link *links = arena_array(arena, hosts, struct hand_link);
    for (uint32_t host = 0; host < hosts; host++) {
        links[host] = (struct hand_link){host, hosts, RATE_BPS, DELAY_PS};
    }
    return hand_fabric(arena, hosts, hosts + 1, links, hosts);
}

/* Host 0, `switches` switches in a row, host 1. */
static struct fabric *row(struct arena *arena, uint32_t switches, const uint64_t *rates_bps)
{
    struct hand_link links[16];
    for (uint32_t i = 0; i <= switches; i++) {
        uint32_t from = i == 0 ? 0 : 1 + i, to = i == switches ? 1 : 2 + i;
        links[i] = (struct hand_link){from, to, rates_bps != NULL ? rates_bps[i] : RATE_BPS, DELAY_PS};
    }
    return hand_fabric(arena, 2, 2 + switches, links, switches + 1);
}

/* `settings` is "key=value key=value". */
static struct fabric *family(struct arena *arena, const char *spec, const char *settings, struct fabric_config *config)
{
    struct trace_setting sets[SETTINGS_MAX];
    struct diag diag;
    size_t count = settings_split(arena, settings, sets);
    if (fabric_load(spec, sets, count, 0, arena, config, &diag) != STATUS_OK) {
        printf("%s\n", diag.text);
        exit(1); /* what follows would walk a fabric that is not there */
    }
    return config->fabric;
}

static struct fabric *tree(struct arena *arena, const char *settings)
{
    struct fabric_config config;
    return family(arena, "fat_tree", settings, &config);
}

/* ---- idle flows ------------------------------------------------------------------------------------------- */

/* Through the whole simulation, from a pattern on a preset. */
static struct result_messages peer_message(const char *trace)
{
    struct diag diag;
    struct arena *arena = arena_new("test");
    const struct job *job;
    struct fabric_config fabric;
    struct scenario scenario;
    struct sim *sim;
    CHECK_EQUAL(trace_read(trace, 0, NULL, 0, arena, &job, &diag), STATUS_OK);
    family(arena, "htsim-128", "", &fabric);
    CHECK_EQUAL(scenario_load(NULL, 0, NULL, arena, &scenario, &diag), STATUS_OK);
    const struct sim_config config = {
        .job = job, .fabric = fabric.fabric, .scenario = &scenario, .seed = 1, .iterations = 1};
    CHECK_EQUAL(sim_new(arena, &config, &sim, &diag), STATUS_OK);
    CHECK_EQUAL(sim_run(sim, END_PS), TIME_NEVER_PS);
    CHECK_EQUAL(sim->stats.row_count, 1);
    CHECK_EQUAL(replay_makespan_ps(sim->replay), sim->stats.rows[0].acked_ps);
    struct result_messages message = sim->stats.rows[0];
    arena_free(arena);
    return message;
}

/* 2,000,000 B are 489 full packets and one of 1946 + 64 B. Sender to receiver over n links: 489 packets follow each
 * other, the last of them is stored n - 1 times more, the short one is right behind it; then one ACK comes back. */
static void test_idle_flow_of_the_peers(void)
{
    uint64_t rest_ps = 40200; /* 2010 B at 400 Gbit/s */
    static const struct {
        const char *trace;
        uint64_t links;
        double peer_us; /* uet-htsim 40ccb05, rounded by it to a nanosecond */
    } flows[] = {{"pattern:sendrecv,ranks=128,src=0,dst=127,bytes=2000000B", 6, 53.050},
                 {"pattern:sendrecv,ranks=128,src=0,dst=1,bytes=2000000B", 2, 44.713}};
    for (size_t i = 0; i < 2; i++) {
        uint64_t links = flows[i].links;
        struct result_messages message = peer_message(flows[i].trace);
        uint64_t out_ps = 489 * FULL_PS + (links - 1) * FULL_PS + rest_ps + links * DELAY_PS;
        uint64_t back_ps = links * (HEADER_PS + DELAY_PS);
        CHECK_EQUAL(message.delivered_ps, out_ps);
        CHECK_EQUAL(message.acked_ps, out_ps + back_ps);
        CHECK_EQUAL(message.ideal_ps, out_ps);
        CHECK_NEAR((double)message.acked_ps / 1e6, flows[i].peer_us, 0.0005 / flows[i].peer_us);
    }
}

static uint64_t lone_packet_ps(struct fabric *fabric, struct arena *arena, uint64_t wire_bytes)
{
    struct net *net = net_new(arena, fabric, &(struct options){0});
    size_t sent = net_post(net, 0, 1, wire_bytes - 64, 0);
    net_finish(net);
    return net->sent[sent].delivered_ps;
}

static void switches_set(struct fabric *fabric, bool is_cut_through, uint64_t latency_ps)
{
    for (uint32_t node = fabric->host_count; node < fabric->node_count; node++) {
        hand_column(uint8_t, fabric->node_cut_through)[node] = is_cut_through;
        hand_column(uint64_t, fabric->node_latency_ps)[node] = latency_ps;
    }
}

static void test_lone_packet_over_n_switches(void)
{
    struct arena *arena = arena_new("test");
    static const uint64_t sizes[] = {64, 65, 1000, PACKET_BYTES};
    for (uint32_t switches = 0; switches <= 6; switches++) {
        for (size_t i = 0; i < 4; i++) {
            uint64_t all_ps = sizes[i] * 20; /* a byte takes 20 ps */
            uint64_t fixed_ps = (switches + 1) * DELAY_PS + switches * 300 * PS_PER_NS;
            struct fabric *fabric = row(arena, switches, NULL);
            switches_set(fabric, false, 300 * PS_PER_NS);
            CHECK_EQUAL(lone_packet_ps(fabric, arena, sizes[i]), (switches + 1) * all_ps + fixed_ps);
            switches_set(fabric, true, 300 * PS_PER_NS);
            CHECK_EQUAL(lone_packet_ps(fabric, arena, sizes[i]), switches * HEADER_PS + all_ps + fixed_ps);
        }
    }
    arena_free(arena);
}

/* Up or down in rate, a cut-through switch waits for the whole packet; before and behind it packets cut through. */
static void test_cut_through_waits_where_rates_differ(void)
{
    struct arena *arena = arena_new("test");
    const uint64_t slow_bps = RATE_BPS / 4, slow_ps = 4 * FULL_PS, slow_header_ps = 4 * HEADER_PS;
    const struct {
        uint64_t rates_bps[3];
        uint64_t expected_ps;
    } rows[] = {
        {{RATE_BPS, RATE_BPS, slow_bps}, HEADER_PS + FULL_PS + slow_ps},
        {{RATE_BPS, slow_bps, slow_bps}, FULL_PS + slow_header_ps + slow_ps},
        {{slow_bps, RATE_BPS, RATE_BPS}, slow_ps + HEADER_PS + FULL_PS},
        {{slow_bps, RATE_BPS, slow_bps}, slow_ps + FULL_PS + slow_ps},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fabric *fabric = row(arena, 2, rows[i].rates_bps);
        switches_set(fabric, true, 0);
        CHECK_EQUAL(lone_packet_ps(fabric, arena, PACKET_BYTES), rows[i].expected_ps + 3 * DELAY_PS);
    }
    arena_free(arena);
}

/* A busy output makes a packet wait as a whole in the queue, with cut-through as well. */
static void test_cut_through_waits_for_a_busy_output(void)
{
    struct arena *arena = arena_new("test");
    struct fabric *fabric = star(arena, 3);
    switches_set(fabric, true, 0);
    struct net *net = net_new(arena, fabric, &(struct options){0});
    const uint64_t late_ps = 10 * PS_PER_NS;
    size_t first = net_post(net, 0, 2, PAYLOAD_BYTES, 0), second = net_post(net, 1, 2, PAYLOAD_BYTES, late_ps);
    net_finish(net);
    uint64_t first_ps = HEADER_PS + DELAY_PS + FULL_PS + DELAY_PS;
    CHECK_EQUAL(net->sent[first].delivered_ps, first_ps);
    CHECK_EQUAL(net->sent[second].delivered_ps, first_ps + FULL_PS);
    struct port_counters out = counters_of(net, hand_port(fabric, 3, 2));
    CHECK_EQUAL(out.queue_wait_ps, FULL_PS - late_ps);
    CHECK_EQUAL(out.queue_max_bytes, 2 * PACKET_BYTES);
    CHECK_EQUAL(out.busy_ps, 2 * FULL_PS);
    arena_free(arena);
}

static void test_message_sizes_at_the_edges_of_packets(void)
{
    struct arena *arena = arena_new("test");
    static const struct {
        uint64_t bytes, packets, first_bytes, last_bytes;
    } cases[] = {{0, 1, 64, 64}, {1, 1, 65, 65}, {PAYLOAD_BYTES, 1, PACKET_BYTES, PACKET_BYTES},
                 {PAYLOAD_BYTES + 1, 2, PACKET_BYTES, 65}, {3 * PAYLOAD_BYTES - 1, 3, PACKET_BYTES, PACKET_BYTES - 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fabric *fabric = star(arena, 2);
        struct net *net = net_new(arena, fabric, &(struct options){0});
        size_t sent = net_post(net, 0, 1, cases[i].bytes, 7);
        net_finish(net);
        uint64_t packets = cases[i].packets;
        struct port_counters out = counters_of(net, hand_port(fabric, 0, 2)), back = counters_of(net, hand_port(fabric, 1, 2));
        CHECK_EQUAL(out.tx_packets, packets);
        CHECK_EQUAL(out.tx_bytes, cases[i].bytes + 64 * packets);
        CHECK_EQUAL(back.tx_packets, packets);
        CHECK_EQUAL(back.tx_bytes, 64 * packets);
        /* all but the last follow each other, the last one but one is stored once more, the last one is behind it */
        uint64_t expected_ps = packets > 1 ? packets * FULL_PS + cases[i].last_bytes * 20 : 2 * cases[i].first_bytes * 20;
        CHECK_EQUAL(net->sent[sent].delivered_ps, 7 + expected_ps + 2 * DELAY_PS);
        CHECK_EQUAL(net->sent[sent].acked_ps, net->sent[sent].delivered_ps + 2 * (HEADER_PS + DELAY_PS));
    }
    arena_free(arena);
}

static uint64_t drawn(uint64_t seed, uint64_t ordinal, uint32_t below)
{
    return rng_below(rng_draw(seed, 77, ordinal), below);
}

/* A random message over a random small tree: when it was delivered, and what path_idle_ps says. */
static void idle_message(const char *balance, uint64_t seed, uint64_t round, uint64_t *delivered_ps, uint64_t *idle_ps,
                         uint64_t *full_ps)
{
    struct arena *arena = arena_new("test");
    uint64_t base = round * 16;
    uint64_t rate_gbps = 100 * (1 + drawn(seed, base + 2, 8));
    struct fabric *fabric = tree(
        arena, arena_printf(arena, "tiers=%" PRIu64 " radix=%u link_rate=%" PRIu64 "Gbps link_delay=%" PRIu64
                            "ps cut_through=%s switch_latency=%" PRIu64 "ns", 1 + drawn(seed, base, 3),
                            drawn(seed, base + 1, 2) == 0 ? 4 : 8, rate_gbps, 1 + drawn(seed, base + 3, 2000000),
                            drawn(seed, base + 4, 2) == 0 ? "no" : "yes", drawn(seed, base + 5, 800)));
    struct options options = {.balance = balance, .seed = seed + round};
    uint64_t header_bytes = 1 + drawn(seed, base + 6, 128), payload_bytes = 1 + drawn(seed, base + 7, 9000);
    options.shape = (struct packet_shape){header_bytes + payload_bytes, header_bytes, 1 + drawn(seed, base + 8, 100), {0}};
    if (drawn(seed, base + 12, 3) == 0) {
        uint32_t cell_bytes = 1 + (uint32_t)drawn(seed, base + 13, 5000);
        options.shape.cells = (struct cell_shape){cell_bytes, (uint32_t)drawn(seed, base + 14, cell_bytes), true};
    }
    struct net *net = net_new(arena, fabric, &options);
    uint32_t hosts = fabric->host_count, src = (uint32_t)drawn(seed, base + 9, hosts);
    uint32_t dst = (src + 1 + (uint32_t)drawn(seed, base + 10, hosts - 1)) % hosts;
    uint64_t bytes = drawn(seed, base + 11, (payload_bytes < 100 ? 300 : 50) * (uint32_t)payload_bytes);
    size_t sent = net_post(net, src, dst, bytes, 0);
    net_finish(net);
    *delivered_ps = net->sent[sent].delivered_ps;
    *idle_ps = path_idle_ps(fabric, net->routes, &options.shape, true, src, dst, bytes);
    *full_ps = fabric_service_ps(fabric, &options.shape.cells, fabric->port_first[src], options.shape.packet_bytes);
    arena_free(arena);
}

/* Whatever the fabric, the shape of packets and the size of the message. */
static void test_idle_time_is_the_simulated_time(void)
{
    uint64_t seed = test_seed();
    for (uint64_t round = 0; round < 200; round++) {
        uint64_t delivered_ps, idle_ps, full_ps;
        idle_message("ecmp", seed, round, &delivered_ps, &idle_ps, &full_ps);
        CHECK_EQUAL(delivered_ps, idle_ps);
        /* sprayed, the short packet at the end may overtake the one before on another path */
        idle_message("spray", seed, round, &delivered_ps, &idle_ps, &full_ps);
        CHECK(delivered_ps <= idle_ps && delivered_ps + full_ps >= idle_ps);
    }
}

/* A lone packet over two switches, each of which may cut through, and three links of any rates; what cuts through waits for
 * its tail where the next link has another rate. */
static void test_idle_time_at_unequal_rates(void)
{
    uint64_t seed = test_seed();
    uint32_t waits = 0;
    for (uint64_t round = 0; round < 300; round++) {
        struct arena *arena = arena_new("test");
        uint64_t base = round * 32, rates[3], header_bytes = 1 + drawn(seed, base, 128);
        for (uint32_t i = 0; i < 3; i++) {
            rates[i] = (1 + drawn(seed, base + 1 + i, 3)) * UINT64_C(100000000000);
        }
        const struct hand_link links[] = {{0, 2, rates[0], drawn(seed, base + 4, 500000)},
                                          {2, 3, rates[1], drawn(seed, base + 5, 500000)},
                                          {3, 1, rates[2], drawn(seed, base + 6, 500000)}};
        struct fabric *fabric = hand_fabric(arena, 2, 4, links, 3);
        uint8_t *is_cut = (uint8_t *)(uintptr_t)fabric->node_cut_through;
        is_cut[2] = drawn(seed, base + 7, 2) == 0;
        is_cut[3] = drawn(seed, base + 8, 2) == 0;
        struct options options = {.seed = seed, .shape = {header_bytes + 4000, header_bytes, 64, {0}}};
        struct net *net = net_new(arena, fabric, &options);
        uint64_t bytes = 1 + drawn(seed, base + 9, 4000);
        size_t sent = net_post(net, 0, 1, bytes, 0);
        net_finish(net);
        CHECK_EQUAL(net->sent[sent].delivered_ps, path_idle_ps(fabric, net->routes, &options.shape, true, 0, 1, bytes));
        waits += (is_cut[2] && rates[0] != rates[1]) || (is_cut[3] && rates[1] != rates[2]);
        arena_free(arena);
    }
    CHECK(waits > 50);
}

/* ---- sharing ---------------------------------------------------------------------------------------------- */

/* The first packets reach the switch together; from then on the last link never rests. */
static void test_incast_drains_at_the_last_link(void)
{
    struct arena *arena = arena_new("test");
    for (uint32_t senders = 1; senders <= 9; senders += 4) {
        for (uint64_t packets = 1; packets <= 200; packets += 66) {
            struct fabric *fabric = star(arena, senders + 1);
            struct net *net = net_new(arena, fabric, &(struct options){0});
            uint64_t last_ps = 0;
            for (uint32_t host = 1; host <= senders; host++) {
                net_post(net, host, 0, packets * PAYLOAD_BYTES, 0);
            }
            net_finish(net);
            for (size_t i = 1; i < net->count; i++) {
                last_ps = net->sent[i].delivered_ps > last_ps ? net->sent[i].delivered_ps : last_ps;
            }
            CHECK_EQUAL(last_ps, LINK_PS + senders * packets * FULL_PS + DELAY_PS);
            CHECK_EQUAL(counters_of(net, hand_port(fabric, senders + 1, 0)).busy_ps, senders * packets * FULL_PS);
        }
    }
    arena_free(arena);
}

/* Two messages of one host take turns packet by packet, until the shorter one is through. It was alone when its first
 * packet left, so its second one stood in line before the other message came. */
static void test_messages_of_a_host_take_turns(void)
{
    struct arena *arena = arena_new("test");
    struct net *net = net_new(arena, star(arena, 3), &(struct options){0});
    size_t shorter = net_post(net, 0, 1, 100 * PAYLOAD_BYTES, 0), longer = net_post(net, 0, 2, 200 * PAYLOAD_BYTES, 0);
    net_finish(net);
    CHECK_EQUAL(net->sent[shorter].delivered_ps, 198 * FULL_PS + DELAY_PS + LINK_PS);
    CHECK_EQUAL(net->sent[longer].delivered_ps, 300 * FULL_PS + DELAY_PS + LINK_PS);
    arena_free(arena);
}

static struct fabric *host_row(struct arena *arena, uint32_t hosts)
{
    struct hand_link links[16];
    for (uint32_t i = 0; i + 1 < hosts; i++) {
        links[i] = (struct hand_link){i, i + 1, RATE_BPS, DELAY_PS};
    }
    return hand_fabric(arena, hosts, hosts, links, hosts - 1);
}

/* Hosts store and forward for others, with a latency of their own. */
static void test_hosts_forward(void)
{
    struct arena *arena = arena_new("test");
    struct fabric *fabric = host_row(arena, 5);
    for (uint32_t host = 0; host < 5; host++) {
        hand_column(uint64_t, fabric->node_latency_ps)[host] = 700 * PS_PER_NS; /* not paid at the ends */
    }
    struct net *net = net_new(arena, fabric, &(struct options){0});
    size_t sent = net_post(net, 0, 4, 50 * PAYLOAD_BYTES, 0);
    net_finish(net);
    uint64_t expected_ps = 49 * FULL_PS + 4 * LINK_PS + 3 * 700 * PS_PER_NS;
    CHECK_EQUAL(net->sent[sent].delivered_ps, expected_ps);
    CHECK_EQUAL(net->sent[sent].acked_ps, expected_ps + 4 * (HEADER_PS + DELAY_PS) + 3 * 700 * PS_PER_NS);
    CHECK_EQUAL(path_idle_ps(fabric, net->routes, &net->shape, true, 0, 4, 50 * PAYLOAD_BYTES), expected_ps);
    arena_free(arena);
}

/* The host in the middle sends alone until the first foreign packet is there (1083 ns: in its 14th packet), then its
 * own packets and those of the other take turns. */
static void test_transit_and_own_packets_take_turns(void)
{
    struct arena *arena = arena_new("test");
    struct net *net = net_new(arena, host_row(arena, 3), &(struct options){0});
    size_t own = net_post(net, 1, 2, 100 * PAYLOAD_BYTES, 0), foreign = net_post(net, 0, 2, 100 * PAYLOAD_BYTES, 0);
    net_finish(net);
    CHECK_EQUAL(net->sent[own].delivered_ps, (14 + 2 * 86) * FULL_PS + DELAY_PS);
    CHECK_EQUAL(net->sent[foreign].delivered_ps, 200 * FULL_PS + DELAY_PS);
    arena_free(arena);
}

/* ---- windows, losses, dark ports -------------------------------------------------------------------------- */

/* Eight packets a round trip: packet i + 8 leaves when the ACK of packet i is there. */
static void test_small_window_gives_a_window_a_round_trip(void)
{
    struct arena *arena = arena_new("test");
    struct net *net = net_new(arena, star(arena, 2), &(struct options){.window = "33200B"});
    size_t sent = net_post(net, 0, 1, 160 * PAYLOAD_BYTES, 0);
    net_finish(net);
    CHECK_EQUAL(endpoint_base_rtt_ps(net->endpoint), ROUND_TRIP_PS);
    CHECK_EQUAL(net->sent[sent].delivered_ps, 19 * ROUND_TRIP_PS + 7 * FULL_PS + 2 * LINK_PS);
    net = net_new(arena, star(arena, 2), &(struct options){.window = "1B"}); /* less than a packet: one at a time */
    sent = net_post(net, 0, 1, 10 * PAYLOAD_BYTES, 0);
    net_finish(net);
    CHECK_EQUAL(net->sent[sent].acked_ps, 10 * ROUND_TRIP_PS);
    arena_free(arena);
}

static void queue_set(struct fabric *fabric, uint32_t port, uint64_t bytes)
{
    hand_column(uint64_t, fabric->port_queue_bytes)[port] = bytes;
}

/* Three packets meet before a queue that holds one: two are lost; after the timeout one of those two, and so on. */
static void test_lost_packets_come_again_after_the_timeout(void)
{
    struct arena *arena = arena_new("test");
    struct fabric *fabric = star(arena, 4);
    uint32_t port = hand_port(fabric, 4, 3);
    queue_set(fabric, port, PACKET_BYTES);
    struct net *net = net_new(arena, fabric, &(struct options){.rto_ps = 50 * PS_PER_US});
    for (uint32_t host = 0; host < 3; host++) {
        net_post(net, host, 3, PAYLOAD_BYTES, 0);
    }
    net_finish(net);
    for (uint32_t host = 0; host < 3; host++) {
        CHECK_EQUAL(net->sent[host + 1].delivered_ps, host * 50 * PS_PER_US + 2 * LINK_PS);
        CHECK_EQUAL(net->sent[host + 1].retransmissions, host);
    }
    struct port_counters counters = counters_of(net, port);
    CHECK_EQUAL(counters.dropped_packets, 3);
    CHECK_EQUAL(counters.dropped_bytes, 3 * PACKET_BYTES);
    CHECK_EQUAL(counters.queue_max_bytes, PACKET_BYTES);
    arena_free(arena);
}

static uint64_t drops_of(const struct net *net)
{
    uint64_t drops = 0;
    for (uint32_t port = 0; port < net->fabric->port_count; port++) {
        drops += counters_of(net, port).dropped_packets;
    }
    return drops;
}

/* Many messages through short queues: every byte is delivered once, and every data packet is accounted for. */
static void test_losses_are_counted_and_mended(void)
{
    struct arena *arena = arena_new("test");
    struct fabric *fabric = star(arena, 9);
    queue_set(fabric, hand_port(fabric, 9, 0), 20 * PACKET_BYTES);
    for (uint32_t host = 1; host < 9; host++) { /* where ACKs queue: some of those get lost too */
        queue_set(fabric, hand_port(fabric, 9, host), 8000);
    }
    struct net *net = net_new(arena, fabric, &(struct options){.balance = "spray", .seed = 3});
    for (uint32_t host = 1; host < 9; host++) {
        for (uint32_t i = 0; i < 4; i++) {
            net_post(net, host, 0, 60 * PAYLOAD_BYTES + i, i * 1000);
            net_post(net, 0, host, 30 * PAYLOAD_BYTES + i, i * 1000);
        }
    }
    net_finish(net);
    struct endpoint_counters ends;
    endpoint_counters(net->endpoint, &ends);
    uint64_t lost_data = ends.data_packets_sent - ends.data_packets_delivered - ends.duplicates;
    uint64_t lost_acks = ends.data_packets_delivered + ends.duplicates - ends.acks_received;
    CHECK(lost_data > 0);
    CHECK(lost_acks > 0);
    CHECK_EQUAL(lost_data + lost_acks, drops_of(net));
    CHECK_EQUAL(ends.data_packets_sent - ends.retransmissions, ends.data_packets_delivered);
    CHECK_EQUAL(ends.data_packets_delivered, 8 * (4 * (60 + 30) + 3 + 3));
    arena_free(arena);
}

static void test_dark_ports_hold_what_comes(void)
{
    struct arena *arena = arena_new("test");
    const uint64_t up_ps = 50 * PS_PER_US;
    struct fabric *fabric = star(arena, 2);
    uint32_t host_port = hand_port(fabric, 0, 2), switch_port = hand_port(fabric, 2, 1);
    fabric->port_up_ps[switch_port] = up_ps;
    struct net *net = net_new(arena, fabric, &(struct options){0});
    size_t sent = net_post(net, 0, 1, 2 * PAYLOAD_BYTES, 0);
    net_finish(net);
    CHECK_EQUAL(net->sent[sent].delivered_ps, up_ps + 2 * FULL_PS + DELAY_PS);
    struct port_counters counters = counters_of(net, switch_port);
    CHECK_EQUAL(counters.dark_wait_ps, (up_ps - LINK_PS) + (up_ps - LINK_PS - FULL_PS));
    CHECK_EQUAL(counters.queue_wait_ps, FULL_PS);
    fabric->port_up_ps[switch_port] = 0;
    fabric->port_up_ps[host_port] = up_ps;
    net = net_new(arena, fabric, &(struct options){0});
    sent = net_post(net, 0, 1, 2 * PAYLOAD_BYTES, 1000);
    net_finish(net);
    CHECK_EQUAL(net->sent[sent].delivered_ps, up_ps + FULL_PS + 2 * LINK_PS);
    CHECK_EQUAL(counters_of(net, host_port).dark_wait_ps, 0); /* what a host has not sent yet stands in no queue */
    CHECK_EQUAL(counters_of(net, host_port).queue_wait_ps, 0);
    arena_free(arena);
}

/* ---- slots of messages, used again and again -------------------------------------------------------------- */

/* Where queues are bounded, timers outlive their message; none of them may touch the next one in its slot, neither one
 * that waits for the software (post) nor a local copy. */
static void test_old_timers_leave_new_messages_alone(void)
{
    struct arena *arena = arena_new("test");
    struct fabric *fabric = star(arena, 2);
    queue_set(fabric, hand_port(fabric, 2, 1), 100 * PACKET_BYTES);
    const struct options options = {.post_ps = 1500 * PS_PER_NS, .local_bps = RATE_BPS / 8};
    struct net *net = net_new(arena, fabric, &options);
    size_t last = net_post(net, 0, 1, 100, 0);
    for (uint32_t i = 0; i < 400; i++) {
        size_t next = net_add(net, 0, rng_draw(5, 5, i) & 1, 64 * 500);
        net->sent[last].then = next;
        last = next;
    }
    net_finish(net);
    uint64_t remote_ps = options.post_ps + path_idle_ps(fabric, net->routes, &net->shape, true, 0, 1, 64 * 500);
    for (size_t i = 2; i < net->count; i++) {
        uint64_t took_ps = net->sent[i].delivered_ps - net->sent[i].posted_ps;
        CHECK_EQUAL(took_ps, net->sent[i].dst == 0 ? 64 * 500 * 160 : remote_ps);
    }
    arena_free(arena);
}

/* A message that went through one port while the other was dark leaves its slot in the ring of that port; the next
 * message in the slot must not have two turns there. */
static void test_slots_stand_in_a_ring_once(void)
{
    struct arena *arena = arena_new("test");
    static const struct hand_link links[] = {{0, 3, RATE_BPS, DELAY_PS}, {0, 3, RATE_BPS, DELAY_PS},
                                             {1, 3, RATE_BPS, DELAY_PS}, {2, 3, RATE_BPS, DELAY_PS}};
    struct fabric *fabric = hand_fabric(arena, 3, 4, links, 4);
    fabric->port_up_ps[1] = 100 * PS_PER_US;
    struct net *net = net_new(arena, fabric, &(struct options){.balance = "spray", .window = "4MiB"});
    size_t last = net_post(net, 0, 1, 10, 0);
    for (uint32_t i = 0; i < 15; i++) {
        size_t next = net_add(net, 0, 1, 10);
        net->sent[last].then = next;
        last = next;
    }
    size_t one = net_post(net, 0, 1, 500 * PAYLOAD_BYTES, 99 * PS_PER_US);
    size_t other = net_post(net, 0, 2, 500 * PAYLOAD_BYTES, 99 * PS_PER_US);
    net_finish(net);
    CHECK(net->sent[last].acked_ps < 99 * PS_PER_US);
    uint64_t a_ps = net->sent[one].delivered_ps, b_ps = net->sent[other].delivered_ps;
    CHECK((a_ps > b_ps ? a_ps - b_ps : b_ps - a_ps) <= 2 * FULL_PS);
    arena_free(arena);
}

/* ---- paths ------------------------------------------------------------------------------------------------ */

/* Packets that the first leaf of a tree of radix 8 sends on each of its four ports upwards. */
static void uplinks_count(const char *balance, uint64_t seed, uint64_t messages, uint64_t packets, uint64_t counts[4])
{
    struct arena *arena = arena_new("test");
    struct fabric *fabric = tree(arena, "tiers=2 radix=8 link_delay=100ns");
    struct net *net = net_new(arena, fabric, &(struct options){.balance = balance, .seed = seed});
    for (uint64_t i = 0; i < messages; i++) {
        net_post(net, 0, 31, packets * PAYLOAD_BYTES, i * PS_PER_US);
    }
    net_finish(net);
    uint32_t leaf = fabric->host_count, found = 0;
    for (uint32_t port = fabric->port_first[leaf]; port < fabric->port_first[leaf + 1]; port++) {
        if (fabric->node_tier[fabric->port_node[fabric->port_peer[port]]] == 2) {
            counts[found++] = counters_of(net, port).tx_packets;
        }
    }
    CHECK_EQUAL(found, 4);
    CHECK_EQUAL(counts[0] + counts[1] + counts[2] + counts[3], messages * packets);
    arena_free(arena);
}

static void test_ecmp_keeps_a_message_on_one_path(void)
{
    uint64_t counts[4];
    for (uint64_t seed = 0; seed < 10; seed++) {
        uplinks_count("ecmp", seed, 1, 300, counts);
        uint64_t largest = 0;
        for (int i = 0; i < 4; i++) {
            largest = counts[i] > largest ? counts[i] : largest;
        }
        CHECK_EQUAL(largest, 300);
    }
    uplinks_count("ecmp", 1, 200, 1, counts); /* but not all messages on the same one */
    CHECK(counts[0] > 20 && counts[1] > 20 && counts[2] > 20 && counts[3] > 20);
}

/* A host with four ports: ECMP pins each message to one of them, spraying uses all at once and is four times as fast. */
static void test_ports_of_a_host(void)
{
    struct arena *arena = arena_new("test");
    static const struct hand_link links[] = {{0, 2, RATE_BPS, DELAY_PS}, {0, 2, RATE_BPS, DELAY_PS},
                                             {0, 2, RATE_BPS, DELAY_PS}, {0, 2, RATE_BPS, DELAY_PS},
                                             {1, 2, 4 * RATE_BPS, DELAY_PS}};
    uint64_t counts[4] = {0};
    struct fabric *fabric = hand_fabric(arena, 2, 3, links, 5);
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct net *net = net_new(arena, fabric, &(struct options){.seed = seed});
        net_post(net, 0, 1, 20 * PAYLOAD_BYTES, 0);
        net_finish(net);
        for (uint32_t port = 0; port < 4; port++) {
            uint64_t packets = counters_of(net, port).tx_packets;
            CHECK(packets == 0 || packets == 20);
            counts[port] += packets;
        }
    }
    CHECK(counts[0] > 200 && counts[1] > 200 && counts[2] > 200 && counts[3] > 200);
    struct net *net = net_new(arena, fabric, &(struct options){.balance = "spray"});
    size_t sent = net_post(net, 0, 1, 400 * PAYLOAD_BYTES, 0);
    net_finish(net);
    CHECK_EQUAL(net->sent[sent].delivered_ps, 100 * FULL_PS + DELAY_PS + FULL_PS + DELAY_PS);
    arena_free(arena);
}

/* Chi-square with three degrees of freedom: above 21.1 once in ten thousand times. */
static void test_spraying_is_even(void)
{
    double sum = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        uint64_t counts[4];
        double chi_square = 0;
        uplinks_count("spray", seed, 1, 2000, counts);
        for (int i = 0; i < 4; i++) {
            chi_square += ((double)counts[i] - 500) * ((double)counts[i] - 500) / 500;
        }
        CHECK(chi_square < 21.1);
        sum += chi_square;
    }
    CHECK(sum / 20 > 1.0 && sum / 20 < 6.0); /* mean 3: random, neither counted out nor biased */
}

/* ---- all together ----------------------------------------------------------------------------------------- */

static struct net *random_traffic(struct arena *arena, const char *balance, uint64_t seed)
{
    struct fabric *fabric = tree(arena, "tiers=2 radix=8 oversubscription=3:1 link_delay=300ns queue=40kB");
    struct net *net = net_new(arena, fabric, &(struct options){.balance = balance, .seed = seed});
    uint32_t hosts = fabric->host_count;
    for (uint64_t i = 0; i < 300; i++) { /* the traffic is the same for all seeds of the network */
        uint32_t src = (uint32_t)drawn(1, 4 * i, hosts);
        net_post(net, src, (src + 1 + (uint32_t)drawn(1, 4 * i + 1, hosts - 1)) % hosts, drawn(1, 4 * i + 2, 200000),
                 drawn(1, 4 * i + 3, 20000000));
    }
    return net;
}

/* At any moment: what hosts have sent = what hosts have received + what was dropped + what is on its way. */
static void conserved(const struct net *net)
{
    uint64_t sent = 0, received = 0, on_links = 0;
    for (uint32_t port = 0; port < net->fabric->port_count; port++) {
        struct port_counters counters = counters_of(net, port);
        uint32_t peer = net->fabric->port_node[net->fabric->port_peer[port]];
        sent += net->fabric->port_node[port] < net->fabric->host_count ? counters.tx_packets : 0;
        received += peer < net->fabric->host_count ? counters.rx_packets : 0;
        on_links += counters.tx_packets - counters.rx_packets;
        CHECK(counters.rx_packets <= counters.tx_packets && counters.rx_bytes <= counters.tx_bytes);
    }
    uint64_t in_flight = net->engine->class->packets_in_flight(net->engine);
    CHECK_EQUAL(sent, received + drops_of(net) + in_flight);
    CHECK(on_links <= in_flight);
}

static void test_packets_are_conserved(void)
{
    struct arena *arena = arena_new("test");
    struct net *net = random_traffic(arena, "spray", 1);
    uint64_t next_ps = 0, in_flight_max = 0;
    for (uint64_t until_ps = 0; next_ps != TIME_NEVER_PS; until_ps += 3 * PS_PER_US) {
        next_ps = net_run(net, until_ps);
        CHECK(next_ps > until_ps);
        conserved(net);
        uint64_t in_flight = net->engine->class->packets_in_flight(net->engine);
        in_flight_max = in_flight > in_flight_max ? in_flight : in_flight_max;
    }
    CHECK(in_flight_max > 100 && drops_of(net) > 0); /* there was something to lose */
    net_is_drained(net);
    uint64_t hops = 0;
    for (uint32_t port = 0; port < net->fabric->port_count; port++) {
        hops += counters_of(net, port).tx_packets;
    }
    CHECK_EQUAL(net->engine->class->hop_count(net->engine), hops);
    arena_free(arena);
}

static uint64_t delivery_hash(const char *balance, uint64_t seed, uint64_t slice_ps)
{
    struct arena *arena = arena_new("test");
    struct net *net = random_traffic(arena, balance, seed);
    for (uint64_t until_ps = 0; slice_ps > 0 && until_ps < 40 * PS_PER_US; until_ps += slice_ps) {
        net_run(net, until_ps);
    }
    net_finish(net);
    uint64_t hash = 0;
    for (size_t i = 1; i < net->count; i++) {
        hash = rng_mix(hash ^ net->sent[i].delivered_ps) + net->sent[i].acked_ps;
    }
    arena_free(arena);
    return hash;
}

static void test_equal_seeds_give_equal_runs(void)
{
    uint64_t first = delivery_hash("spray", 1, 0);
    CHECK_EQUAL(delivery_hash("spray", 1, 0), first);
    CHECK_EQUAL(delivery_hash("spray", 1, 777777), first); /* however the run is cut into slices */
    CHECK(delivery_hash("spray", 2, 0) != first);
    CHECK(delivery_hash("ecmp", 1, 0) != first);
}

#define TESTS(X_) \
    X_(test_idle_flow_of_the_peers) X_(test_lone_packet_over_n_switches) \
    X_(test_cut_through_waits_where_rates_differ) X_(test_cut_through_waits_for_a_busy_output) \
    X_(test_message_sizes_at_the_edges_of_packets) X_(test_idle_time_is_the_simulated_time) \
    X_(test_idle_time_at_unequal_rates) \
    X_(test_incast_drains_at_the_last_link) X_(test_messages_of_a_host_take_turns) X_(test_hosts_forward) \
    X_(test_transit_and_own_packets_take_turns) X_(test_small_window_gives_a_window_a_round_trip) \
    X_(test_lost_packets_come_again_after_the_timeout) X_(test_losses_are_counted_and_mended) \
    X_(test_dark_ports_hold_what_comes) X_(test_old_timers_leave_new_messages_alone) \
    X_(test_slots_stand_in_a_ring_once) X_(test_ecmp_keeps_a_message_on_one_path) X_(test_ports_of_a_host) \
    X_(test_spraying_is_even) X_(test_packets_are_conserved) X_(test_equal_seeds_give_equal_runs)

#define ON_THE_OTHER_ENGINE(name_)                                                                            \
    static void name_##_window(void)                                                                          \
    {                                                                                                         \
        engine_class = &engine_window;                                                                        \
        name_();                                                                                              \
        engine_class = &engine_plain;                                                                         \
    }
TESTS(ON_THE_OTHER_ENGINE)

#define ROWS(name_) TEST(name_), TEST(name_##_window),
TEST_MAIN("engine", TESTS(ROWS))
