/* What a sender does whose window was cut below what is under way, where receivers answer some packets together. Asserted: it
 * asks once, by a probe, and only where no answer would come without; the receiver tells then what has come and each packet
 * up to the probe's, in whatever order they come; after a packet that was cut down everything before it is told, also
 * where no gap is open. There is no network: the test carries the packets. Not asserted: what comes of it
 * (tests/test_transport.c). */
#include "netsim/transport/endpoint_int.h"
#include "tests/check.h"
#include "tests/net.h"

struct bench {
    struct engine engine; /* first */
    struct endpoint *endpoint;
    uint64_t now_ps;
};

static void bench_kick(struct engine *engine, uint32_t host, uint32_t port, uint64_t now_ps)
{
    (void)engine, (void)host, (void)port, (void)now_ps;
}

static void bench_timer(struct engine *engine, uint32_t host, uint64_t when_ps, enum host_event kind, uint64_t argument)
{
    (void)engine, (void)host, (void)when_ps, (void)kind, (void)argument;
}

static const struct engine_class bench_class = {.name = "bench", .kick = bench_kick, .timer = bench_timer};

static struct flow *flow_of(const struct bench *bench)
{
    return flow_at(bench->endpoint, 1, 0);
}

static uint64_t *window_of(const struct bench *bench)
{
    return steer_of(bench->endpoint, flow_of(bench))->state;
}

/* Host 1 sends a long message to host 0; `count` packets have left, of which the first one asked. */
static void bench_begin(struct bench *bench, struct arena *arena, uint32_t count, struct packet *packets)
{
    *bench = (struct bench){.engine.class = &bench_class};
    bench->endpoint = net_new(arena, net_fabric(arena, "fat_tree", "tiers=1 hosts=4 link_rate=400Gbps link_delay=2us"),
                              "transport.name=nscc routing.balance=spray_n", 1, NULL)->endpoint;
    endpoint_attach(bench->endpoint, &bench->engine);
    const struct message message = {.src_rank = 1, .dst_rank = 0, .src_host = 1, .dst_host = 0, .bytes = 10000000};
    endpoint_send(bench->endpoint, &message, 0);
    for (uint32_t i = 0; i < count; i++) {
        CHECK(endpoint_pull(bench->endpoint, 1, 0, ++bench->now_ps, &packets[i]));
        CHECK_EQUAL(packets[i].asks_ack, 0);
    }
}

static void carry(struct bench *bench, uint32_t to, const struct packet *packet)
{
    endpoint_receive(bench->endpoint, to, packet, bench->now_ps += PS_PER_US);
}

/* How many packets of a kind a host has to send; the last one. No data of the sender: its window is shut. */
static uint32_t sent_by(struct bench *bench, uint32_t host, enum packet_kind kind, struct packet *last)
{
    uint32_t count = 0;
    struct packet packet;
    while (endpoint_pull(bench->endpoint, host, 0, ++bench->now_ps, &packet)) {
        CHECK_EQUAL(packet.kind, kind);
        *last = packet;
        count++;
    }
    return count;
}

/* The answer to the first packet finds the window cut to one packet. */
static struct packet probe_get(struct bench *bench, const struct packet *first)
{
    struct packet ack, probe = {.size_bytes = 0};
    carry(bench, 0, first);
    CHECK_EQUAL(sent_by(bench, 0, PACKET_ACK, &ack), 1);
    window_of(bench)[0] = bench->endpoint->facts.packet_bytes;
    carry(bench, 1, &ack);
    CHECK_EQUAL(sent_by(bench, 1, PACKET_CONTROL, &probe), 1);
    return probe;
}

static void test_a_shut_window_asks_once(void)
{
    struct arena *arena = arena_new("test");
    struct bench bench;
    struct packet packets[3], ack;
    bench_begin(&bench, arena, 3, packets);
    struct packet probe = probe_get(&bench, &packets[0]);
    CHECK_EQUAL(probe.seq, 2);
    CHECK_EQUAL(probe.size_bytes, bench.endpoint->config.shape.ack_bytes);
    carry(&bench, 0, &packets[1]);
    carry(&bench, 0, &packets[2]);
    CHECK_EQUAL(sent_by(&bench, 0, PACKET_ACK, &ack), 0); /* too few to be answered unasked */
    carry(&bench, 0, &probe);
    CHECK_EQUAL(sent_by(&bench, 0, PACKET_ACK, &ack), 1);
    carry(&bench, 1, &ack);
    CHECK_EQUAL(flow_of(&bench)->acked_count, 3);
    CHECK(endpoint_pull(bench.endpoint, 1, 0, bench.now_ps, &packets[0]) && packets[0].seq == 3);
    arena_free(arena);
}

static void test_each_packet_behind_a_probe_is_answered(void)
{
    static const uint32_t orders[][2] = {{1, 2}, {2, 1}};
    for (size_t i = 0; i < 2; i++) {
        struct arena *arena = arena_new("test");
        struct bench bench;
        struct packet packets[3], ack;
        bench_begin(&bench, arena, 3, packets);
        struct packet probe = probe_get(&bench, &packets[0]);
        carry(&bench, 0, &probe);
        CHECK_EQUAL(sent_by(&bench, 0, PACKET_ACK, &ack), 0); /* all that has come was answered */
        for (uint32_t k = 0; k < 2; k++) {
            carry(&bench, 0, &packets[orders[i][k]]);
            CHECK_EQUAL(sent_by(&bench, 0, PACKET_ACK, &ack), 1);
        }
        carry(&bench, 1, &ack);
        CHECK_EQUAL(flow_of(&bench)->acked_count, 3);
        CHECK_EQUAL(flow_of(&bench)->has_nacked, 0);
        arena_free(arena);
    }
}

/* As many as are answered unasked: an answer will come. */
static void test_nobody_asks_who_will_be_answered(void)
{
    struct arena *arena = arena_new("test");
    struct bench bench;
    struct packet packets[5], last;
    bench_begin(&bench, arena, 5, packets);
    carry(&bench, 0, &packets[0]);
    CHECK_EQUAL(sent_by(&bench, 0, PACKET_ACK, &last), 1);
    window_of(&bench)[0] = bench.endpoint->facts.packet_bytes;
    carry(&bench, 1, &last);
    CHECK_EQUAL(sent_by(&bench, 1, PACKET_CONTROL, &last), 0);
    for (uint32_t i = 1; i < 5; i++) {
        carry(&bench, 0, &packets[i]);
    }
    CHECK_EQUAL(sent_by(&bench, 0, PACKET_ACK, &last), 1);
    arena_free(arena);
}

/* Its header overtakes what was sent before it. */
static void test_what_a_header_overtook_is_told(void)
{
    struct arena *arena = arena_new("test");
    struct bench bench;
    struct packet packets[4], last;
    bench_begin(&bench, arena, 4, packets);
    carry(&bench, 0, &packets[0]);
    CHECK_EQUAL(sent_by(&bench, 0, PACKET_ACK, &last), 1);
    struct packet header = packets[3];
    header.is_trimmed = 1;
    carry(&bench, 0, &header);
    CHECK_EQUAL(sent_by(&bench, 0, PACKET_NACK, &last), 1);
    carry(&bench, 0, &packets[1]);
    CHECK_EQUAL(sent_by(&bench, 0, PACKET_ACK, &last), 1);
    carry(&bench, 0, &packets[2]);
    CHECK_EQUAL(sent_by(&bench, 0, PACKET_ACK, &last), 1);
    arena_free(arena);
}

TEST_MAIN("probe", TEST(test_a_shut_window_asks_once), TEST(test_each_packet_behind_a_probe_is_answered),
          TEST(test_nobody_asks_who_will_be_answered), TEST(test_what_a_header_overtook_is_told))
