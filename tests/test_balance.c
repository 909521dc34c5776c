/* Which entropies the packets of a message get, by hand: a sender is asked for packets, and told of ACKs; there is no network.
 *
 * Asserted: with recycling, paths of unmarked ACKs come again, oldest first, each once, eight at the most, and those of marked
 * ACKs and of late ones do not; a flowlet ends with a gap that is longer than its limit, not with one as long; spray_n takes
 * every one of its values once in a round; ECMP keeps one. Not asserted: what it is good for (tests/test_transport.c). */
#include "netsim/transport/endpoint_int.h"
#include "tests/check.h"
#include "tests/net.h"

#define PACKETS 64

struct sender {
    struct engine engine; /* first */
    struct endpoint *endpoint;
    struct packet sent[PACKETS];
    uint16_t entropy[PACKETS];
    uint32_t count;
};

static void sender_kick(struct engine *engine, uint32_t host, uint32_t port, uint64_t now_ps)
{
    (void)engine, (void)host, (void)port, (void)now_ps;
}

static void sender_timer(struct engine *engine, uint32_t host, uint64_t when_ps, enum host_event kind, uint64_t argument)
{
    (void)engine, (void)host, (void)when_ps, (void)kind, (void)argument;
}

static const struct engine_class sender_class = {.name = "hand", .kick = sender_kick, .timer = sender_timer};

/* Host 0 has a long message for host 1. */
static void sender_begin(struct sender *sender, const char *settings, struct arena *arena)
{
    *sender = (struct sender){.engine.class = &sender_class};
    const char *all = arena_printf(arena, "transport.window=10MB %s", settings);
    sender->endpoint = net_new(arena, net_fabric(arena, "fat_tree", "tiers=1 hosts=4 link_delay=500ns"), all, 1, NULL)->endpoint;
    endpoint_attach(sender->endpoint, &sender->engine);
    const struct message message = {.src_rank = 0, .dst_rank = 1, .src_host = 0, .dst_host = 1, .bytes = 10000000};
    endpoint_send(sender->endpoint, &message, 0);
}

static uint16_t sender_next(struct sender *sender, uint64_t now_ps)
{
    struct packet packet;
    CHECK(sender->count < PACKETS && endpoint_pull(sender->endpoint, 0, 0, now_ps, &packet));
    CHECK_EQUAL(packet.seq, sender->count);
    sender->sent[sender->count] = packet;
    return sender->entropy[sender->count++] = packet.entropy;
}

static void sender_told(struct sender *sender, uint32_t seq, bool is_marked)
{
    struct packet ack = sender->sent[seq];
    ack.src = 1;
    ack.dst = 0;
    ack.kind = PACKET_ACK;
    ack.size_bytes = 64;
    ack.is_marked = is_marked;
    endpoint_receive(sender->endpoint, 0, &ack, PS_PER_US);
}

static bool is_new(const struct sender *sender, uint32_t seq)
{
    for (uint32_t before = 0; before < seq; before++) {
        if (sender->entropy[before] == sender->entropy[seq]) {
            return false;
        }
    }
    return true;
}

static void test_unmarked_paths_come_again(void)
{
    struct arena *arena = arena_new("test");
    struct sender sender;
    sender_begin(&sender, "routing.balance=reps", arena);
    for (uint32_t i = 0; i < 12; i++) {
        sender_next(&sender, 0);
        CHECK(is_new(&sender, i)); /* of 65536 values, by the seed */
    }
    static const uint32_t told[] = {3, 1, 4, 5, 9, 2, 6};
    for (size_t i = 0; i < 7; i++) {
        sender_told(&sender, told[i], told[i] == 4 || told[i] == 9);
    }
    sender_told(&sender, 3, false); /* is known already */
    static const uint32_t again[] = {3, 1, 5, 2, 6};
    for (size_t i = 0; i < 5; i++) {
        CHECK_EQUAL(sender_next(&sender, PS_PER_US), sender.entropy[again[i]]);
    }
    sender_next(&sender, PS_PER_US);
    CHECK(is_new(&sender, sender.count - 1));
    arena_free(arena);
}

static void test_eight_paths_are_kept(void)
{
    struct arena *arena = arena_new("test");
    struct sender sender;
    sender_begin(&sender, "routing.balance=reps", arena);
    for (uint32_t i = 0; i < 12; i++) {
        sender_next(&sender, 0);
    }
    for (uint32_t seq = 0; seq < 11; seq++) {
        sender_told(&sender, seq, false);
    }
    for (uint32_t i = 0; i < GOOD_ENTROPIES; i++) {
        CHECK_EQUAL(sender_next(&sender, PS_PER_US), sender.entropy[3 + i]);
    }
    sender_next(&sender, PS_PER_US);
    CHECK(is_new(&sender, sender.count - 1));
    arena_free(arena);
}

static void test_flowlets_end_with_long_gaps(void)
{
    struct arena *arena = arena_new("test");
    struct sender sender;
    sender_begin(&sender, "routing.balance=flowlet routing.flowlet_gap=2us", arena);
    uint16_t first = sender_next(&sender, 0);
    CHECK_EQUAL(sender_next(&sender, 2 * PS_PER_US), first);
    CHECK_EQUAL(sender_next(&sender, 4 * PS_PER_US), first);
    uint16_t second = sender_next(&sender, 6 * PS_PER_US + 1);
    CHECK(second != first);
    CHECK_EQUAL(sender_next(&sender, 6 * PS_PER_US + 1), second);
    sender_next(&sender, 9 * PS_PER_US);
    CHECK(is_new(&sender, sender.count - 1));
    arena_free(arena);
}

static void test_spray_n_takes_all_values_in_turn(void)
{
    struct arena *arena = arena_new("test");
    struct sender sender;
    sender_begin(&sender, "routing.balance=spray_n routing.entropies=16", arena);
    uint32_t orders[4] = {0};
    for (uint32_t round = 0; round < 4; round++) {
        uint32_t seen = 0;
        for (uint32_t i = 0; i < 16; i++) {
            seen |= 1u << (sender_next(&sender, 0) & 15);
            CHECK_EQUAL(sender.entropy[sender.count - 1] >> 4, sender.entropy[0] >> 4); /* the message's own */
        }
        CHECK_EQUAL(seen, 0xffff);
        orders[round] = sender.entropy[16 * round] & 15;
    }
    CHECK(orders[0] != orders[1] || orders[0] != orders[2] || orders[0] != orders[3]);
    arena_free(arena);
}

static void test_ecmp_keeps_one(void)
{
    struct arena *arena = arena_new("test");
    struct sender sender;
    sender_begin(&sender, "routing.balance=ecmp", arena);
    for (uint32_t i = 0; i < 8; i++) {
        CHECK_EQUAL(sender_next(&sender, i * PS_PER_MS), sender.entropy[0]);
    }
    arena_free(arena);
}

TEST_MAIN("balance", TEST(test_unmarked_paths_come_again), TEST(test_eight_paths_are_kept), TEST(test_flowlets_end_with_long_gaps),
          TEST(test_spray_n_takes_all_values_in_turn), TEST(test_ecmp_keeps_one))
