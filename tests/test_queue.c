/* What switches' queues do, against closed forms, in both engines: senders at line rate into one port of a switch.
 *
 * Asserted: shares of three and more classes in the round robin; strict priority above it; which packets are marked at
 * enqueue and at dequeue; how far a queue grows in a shared buffer with dynamic thresholds, alone and beside another;
 * that a pause holds what it must and loses nothing; how many packets credits let through a round trip. Not asserted:
 * trims (test_transport.c, by the transports that need them); random combinations (test_engine_window.c). */
#include "tests/check.h"
#include "tests/hand.h"
#include "tests/reference.h"

#define RATE_BPS UINT64_C(400000000000)
#define DELAY_PS (500 * PS_PER_NS)
#define SIZE_BYTES 4000u
#define SIZE_PS UINT64_C(80000)
#define HOSTS_MAX 8
#define PACKETS_MAX 4096

struct line {
    struct engine *engine;
    uint32_t sent[HOSTS_MAX], total[HOSTS_MAX], dst[HOSTS_MAX], class[HOSTS_MAX];
    struct packet received[PACKETS_MAX];
    uint64_t received_ps[PACKETS_MAX];
    uint32_t count;
    bool looks; /* whether its class is open */
    struct port_counters sender; /* of host 2 */
};

static bool on_pull(void *context, uint32_t host, uint32_t port, uint64_t now_ps, struct packet *packet)
{
    struct line *line = context;
    (void)now_ps;
    bool is_open = !line->looks || line->engine->class->open_classes(line->engine, host, port) >> line->class[host] & 1;
    if (line->sent[host] == line->total[host] || !is_open) {
        return false;
    }
    *packet = (struct packet){.dst = line->dst[host] & 0xfffff, .src = host & 0xfffff, .size_bytes = SIZE_BYTES,
                              .class = line->class[host] & 7, .seq = line->sent[host]++ & 0xffffff};
    return true;
}

static void on_receive(void *context, uint32_t host, const struct packet *packet, uint64_t now_ps)
{
    struct line *line = context;
    (void)host;
    line->received[line->count] = *packet;
    line->received_ps[line->count++] = now_ps;
}

static void on_event(void *context, uint32_t host, enum host_event kind, uint64_t argument, uint64_t now_ps)
{
    (void)context, (void)host, (void)kind, (void)argument, (void)now_ps;
}

static const struct host_ops line_ops = {.pull = on_pull, .receive = on_receive, .event = on_event};
static const struct engine_class *const engines[] = {&engine_plain, &engine_window};

static struct fabric *star(struct arena *arena, uint32_t hosts)
{
    struct hand_link links[HOSTS_MAX];
    for (uint32_t host = 0; host < hosts; host++) {
        links[host] = (struct hand_link){host, hosts, RATE_BPS, DELAY_PS};
    }
    return hand_fabric(arena, hosts, hosts + 1, links, hosts);
}

/* Hosts with a total send it, from time 0 on, to the end; the counters of the switch's port to host 0 and to host 1. */
static void line_run(struct line *line, const struct engine_class *class, const struct queue_profile *profile,
                     uint32_t hosts, struct port_counters *out)
{
    struct arena *arena = arena_new("test");
    struct fabric *fabric = star(arena, hosts);
    struct engine_config config = {.fabric = fabric, .routes = routes_new(fabric, arena), .seed = 7,
                                   .cut_through_bytes = 64, .packet_bytes_max = SIZE_BYTES, .switch_queues = profile,
                                   .host_queues = profile, .ops = &line_ops, .context = line};
    line->engine = class->create(arena, &config);
    for (uint32_t host = 0; host < hosts; host++) {
        engine_kick(line->engine, host, 0, 0);
    }
    CHECK_EQUAL(class->run(line->engine, TIME_NEVER_PS), TIME_NEVER_PS);
    CHECK_EQUAL(class->packets_in_flight(line->engine), 0);
    for (uint32_t host = 0; host < 2; host++) {
        class->counters(line->engine, hand_port(fabric, hosts, host), &out[host]);
    }
    if (hosts > 2) {
        class->counters(line->engine, hand_port(fabric, 2, hosts), &line->sender);
    }
    arena_free(arena);
}

/* ---- round robin, priority -------------------------------------------------------------------------------- */

/* Quanta of 1, 2 and 4 packets: while all wait, every 7 packets in a row are 1, 2 and 4 of them. */
static void test_round_robin_shares_by_quantum(void)
{
    for (size_t e = 0; e < 2; e++) {
        struct queue_profile profile = queue_profile_plain;
        struct line line = {0};
        struct port_counters out[2];
        profile.class_count = 3;
        for (uint32_t class = 0; class < 3; class++) {
            profile.class[class].quantum_bytes = SIZE_BYTES << class;
            line.class[class + 1] = class;
            line.total[class + 1] = 140;
        }
        line_run(&line, engines[e], &profile, 4, out);
        CHECK_EQUAL(line.count, 3 * 140);
        for (uint32_t first = 14; first + 7 <= 140; first++) { /* the first sender is done after 140 packets' time */
            uint32_t seen[3] = {0};
            for (uint32_t i = first; i < first + 7; i++) {
                seen[line.received[i].class]++;
            }
            CHECK(seen[0] == 1 && seen[1] == 2 && seen[2] == 4);
        }
    }
}

/* A class above three others that share by quanta of 1, 1 and 3 packets: it never waits for more than the packet in
 * service. */
static void test_priority_stands_above_the_round_robin(void)
{
    static const uint32_t shares[] = {1, 1, 3};
    for (size_t e = 0; e < 2; e++) {
        struct queue_profile profile = queue_profile_plain;
        struct line line = {0};
        struct port_counters out[2];
        profile.class_count = 4;
        for (uint32_t class = 0; class < 4; class++) {
            profile.class[class].priority = class < 3;
            profile.class[class].quantum_bytes = class < 3 ? shares[class] * SIZE_BYTES : 1;
            line.class[class + 1] = class;
            line.total[class + 1] = class < 3 ? 200 : 50;
        }
        line_run(&line, engines[e], &profile, 5, out);
        uint32_t urgent = 0;
        for (uint32_t i = 0; i < line.count; i++) {
            if (line.received[i].class == 3) {
                /* Sent at seq * SIZE_PS, whole at the switch a packet and a link later. */
                uint64_t at_switch_ps = (line.received[i].seq + 1) * SIZE_PS + DELAY_PS;
                CHECK(line.received_ps[i] - at_switch_ps - SIZE_PS - DELAY_PS <= SIZE_PS);
                urgent++;
            }
        }
        CHECK_EQUAL(urgent, 50);
        uint32_t seen[3] = {0};
        for (uint32_t i = 60; i < 60 + 100; i++) { /* the urgent ones are through, all others wait */
            seen[line.received[i].class]++;
        }
        CHECK(seen[0] == 20 && seen[1] == 20 && seen[2] == 60);
    }
}

/* ---- marks ------------------------------------------------------------------------------------------------ */

/* Two senders, packet i of each at the same time: the first of the pair finds i packets (one leaves for every two that
 * come), the second i + 1. */
static void test_marks_at_enqueue_by_what_is_found(void)
{
    for (size_t e = 0; e < 2; e++) {
        for (uint32_t low = 0; low < 12; low += 3) {
            struct queue_profile profile = queue_profile_plain;
            struct line line = {.total = {0, 30, 30}};
            struct port_counters out[2];
            profile.class[0].mark = MARK_ENQUEUE;
            profile.class[0].mark_low_bytes = profile.class[0].mark_high_bytes = low * SIZE_BYTES;
            line_run(&line, engines[e], &profile, 3, out);
            for (uint32_t i = 0; i < line.count; i++) {
                uint32_t found = line.received[i].seq + (line.received[i].src == 2 ? 1u : 0u);
                CHECK_EQUAL(line.received[i].is_marked, found > low);
            }
            CHECK_EQUAL(out[0].marked_packets, (30 - low - 1) + (30 - low));
        }
    }
}

/* A small packet comes when all but 5 ns of a large one has left, which still counts whole: the small one finds 4000 B and is marked, though there is
 * little work left. In steps of 37 ns, so that windows end in between; nothing else is about then. */
enum { NEARLY_COUNT = 60, NEARLY_SMALL_BYTES = 64 };
#define NEARLY_SMALL_PS UINT64_C(1280)

static bool nearly_pull(void *context, uint32_t host, uint32_t port, uint64_t now_ps, struct packet *packet)
{
    struct line *line = context;
    (void)port, (void)now_ps;
    if (line->sent[host] == line->total[host]) {
        return false;
    }
    uint32_t size = host == 1 ? SIZE_BYTES : NEARLY_SMALL_BYTES;
    *packet = (struct packet){.dst = 0, .src = host & 0xfffff, .size_bytes = size & 0x3fff, .seq = line->sent[host]++ & 0xffffff};
    return true;
}

static void nearly_event(void *context, uint32_t host, enum host_event kind, uint64_t argument, uint64_t now_ps)
{
    struct line *line = context;
    (void)kind, (void)argument;
    line->total[host]++;
    engine_kick(line->engine, host, 0, now_ps);
}

static void test_a_packet_that_has_nearly_left_counts_whole(void)
{
    static const struct host_ops ops = {.pull = nearly_pull, .receive = on_receive, .event = nearly_event};
    for (size_t e = 0; e < 2; e++) {
        struct arena *arena = arena_new("test");
        struct fabric *fabric = star(arena, 3);
        struct queue_profile profile = queue_profile_plain;
        struct line line = {0};
        profile.class[0].mark = MARK_ENQUEUE;
        profile.class[0].mark_low_bytes = profile.class[0].mark_high_bytes = SIZE_BYTES / 2;
        struct engine_config config = {.fabric = fabric, .routes = routes_new(fabric, arena), .seed = 7,
                                       .cut_through_bytes = 64, .packet_bytes_max = SIZE_BYTES, .switch_queues = &profile,
                                       .host_queues = &queue_profile_plain, .ops = &ops, .context = &line};
        line.engine = engines[e]->create(arena, &config);
        for (uint64_t i = 0; i < NEARLY_COUNT; i++) {
            uint64_t start_ps = i * (2 * PS_PER_US + 37 * PS_PER_NS);
            engine_timer(line.engine, 1, start_ps, HOST_TIMER, 0);
            engine_timer(line.engine, 2, start_ps + 2 * SIZE_PS - 5 * PS_PER_NS - NEARLY_SMALL_PS, HOST_TIMER, 0);
        }
        CHECK_EQUAL(engines[e]->run(line.engine, TIME_NEVER_PS), TIME_NEVER_PS);
        CHECK_EQUAL(line.count, 2 * NEARLY_COUNT);
        for (uint32_t i = 0; i < line.count; i++) {
            CHECK_EQUAL(line.received[i].is_marked, line.received[i].src == 2);
        }
        arena_free(arena);
    }
}

/* The same at dequeue: packet n starts a packet's time after the one before, while two more have come; when nothing
 * comes any more, one less is behind each. */
static void test_marks_at_dequeue_by_what_is_left(void)
{
    for (size_t e = 0; e < 2; e++) {
        struct queue_profile profile = queue_profile_plain;
        struct line line = {.total = {0, 30, 30}};
        struct port_counters out[2];
        profile.class[0].mark = MARK_DEQUEUE;
        profile.class[0].mark_low_bytes = profile.class[0].mark_high_bytes = 5 * SIZE_BYTES;
        line_run(&line, engines[e], &profile, 3, out);
        for (uint32_t n = 0; n < line.count; n++) {
            /* Departures come before arrivals of the same time: those of the pairs before n have come. */
            uint32_t pairs = n < 30 ? n : 30, come = n == 0 ? 1 : 2 * pairs, left = come - n - 1;
            CHECK_EQUAL(line.received[n].is_marked, left > 5);
        }
    }
}

/* ---- shared buffers --------------------------------------------------------------------------------------- */

/* alpha = 1, buffer of B packets. Alone, a queue takes a packet while q + 1 <= B - q, so it grows to (B + 1) / 2. Two that
 * grow alike take one while q + 1 <= B - 2 q, and so to about B / 3 each (Choudhury, Hahne 1998: B alpha / (1 + n alpha)). */
static void test_shared_buffer_has_dynamic_thresholds(void)
{
    enum { B = 31 };
    for (size_t e = 0; e < 2; e++) {
        struct queue_profile profile = queue_profile_plain;
        struct port_counters out[2];
        profile.shared_bytes = B * SIZE_BYTES;
        struct line alone = {.total = {0, 0, 100, 100, 100}};
        line_run(&alone, engines[e], &profile, 5, out);
        CHECK_EQUAL(out[0].queue_max_bytes, (B + 1) / 2 * SIZE_BYTES);
        CHECK_EQUAL(alone.count + out[0].dropped_packets, 300);
        struct line both = {.total = {0, 0, 100, 100, 100, 100, 100, 100}, .dst = {0, 0, 0, 0, 0, 1, 1, 1}};
        line_run(&both, engines[e], &profile, 8, out);
        for (uint32_t i = 0; i < 2; i++) {
            CHECK(out[i].queue_max_bytes >= (B / 3) * SIZE_BYTES && out[i].queue_max_bytes <= (B / 3 + 2) * SIZE_BYTES);
        }
        CHECK_EQUAL(both.count + out[0].dropped_packets + out[1].dropped_packets, 600);
    }
}

/* ---- pauses and credits ----------------------------------------------------------------------------------- */

/* Two senders: each input holds at most xoff, the packet that crosses it, and what is sent in the round trip of the
 * pause; nothing is lost, and the output never idles. */
static void test_pauses_bound_the_queue(void)
{
    enum { XOFF = 10 };
    uint64_t round_trip = (2 * DELAY_PS + SIZE_PS - 1) / SIZE_PS + 2;
    for (size_t e = 0; e < 2; e++) {
        struct queue_profile profile = queue_profile_plain;
        struct line line = {.total = {0, 300, 300}, .looks = true};
        struct port_counters out[2];
        profile.class[0].xoff_bytes = XOFF * SIZE_BYTES;
        profile.class[0].xon_bytes = (XOFF - 2) * SIZE_BYTES;
        line_run(&line, engines[e], &profile, 3, out);
        CHECK_EQUAL(line.count, 600);
        CHECK_EQUAL(out[0].dropped_packets, 0);
        CHECK(out[0].queue_max_bytes > 2 * XOFF * SIZE_BYTES);
        CHECK(out[0].queue_max_bytes <= 2 * (XOFF + round_trip) * SIZE_BYTES);
        CHECK(out[0].busy_ps == 600 * SIZE_PS);
    }
}

/* Two senders of N packets each: with the last pair N + 1 packets are in the switch, of which host 2 sent N - (N - 1) / 2.
 * Limits are met to the byte: that much is not paused, or not dropped, and a byte less is; a packet less a byte changes nothing,
 * since all is counted in packets. */
enum { PAIRS = 12, HELD = PAIRS - (PAIRS - 1) / 2 };

static struct line limits_run(size_t e, uint64_t xoff_bytes, uint64_t xon_bytes, uint64_t capacity_bytes, struct port_counters *out)
{
    struct queue_profile profile = queue_profile_plain;
    struct line line = {.total = {0, PAIRS, PAIRS}, .looks = true};
    profile.class[0].xoff_bytes = xoff_bytes;
    profile.class[0].xon_bytes = xon_bytes;
    profile.class[0].capacity_bytes = capacity_bytes;
    profile.class[0].full = FULL_DROP;
    line_run(&line, engines[e], &profile, 3, out);
    CHECK_EQUAL(line.count + out[0].dropped_packets, 2 * PAIRS);
    return line;
}

static void test_limits_are_met_to_the_byte(void)
{
    struct port_counters out[2];
    for (size_t e = 0; e < 2; e++) {
        CHECK_EQUAL(limits_run(e, HELD * SIZE_BYTES, 0, 0, out).sender.pauses, 0);
        CHECK_EQUAL(limits_run(e, HELD * SIZE_BYTES - 1, 0, 0, out).sender.pauses, 1);
        limits_run(e, 0, 0, (PAIRS + 1) * SIZE_BYTES, out);
        CHECK_EQUAL(out[0].dropped_packets, 0);
        limits_run(e, 0, 0, (PAIRS + 1) * SIZE_BYTES - 1, out);
        CHECK_EQUAL(out[0].dropped_packets, 1);
        for (uint64_t n = 1; n < 4; n++) { /* n of host 2 are left when it goes on */
            uint64_t pause_ps = limits_run(e, 4 * SIZE_BYTES, n * SIZE_BYTES, 0, out).sender.pause_ps;
            CHECK(pause_ps > 0);
            CHECK_EQUAL(limits_run(e, 5 * SIZE_BYTES - 1, (n + 1) * SIZE_BYTES - 1, 0, out).sender.pause_ps, pause_ps);
            CHECK(limits_run(e, 4 * SIZE_BYTES, n * SIZE_BYTES - 1, 0, out).sender.pause_ps > pause_ps);
        }
    }
}

/* A link of 1 us at 100 Gbit/s carries 25,000 B while a frame goes up and a packet comes down; three packets more. */
static void test_headroom_is_that_of_the_link(void)
{
    enum { PACKET = 4150, HEADROOM = 25000 + 3 * PACKET };
    struct arena *arena = arena_new("test");
    static const struct hand_link links[] = {{0, 2, UINT64_C(100000000000), PS_PER_US}, {1, 2, UINT64_C(100000000000), PS_PER_US}};
    const struct fabric *fabric = hand_fabric(arena, 2, 3, links, 2);
    uint64_t latency_bytes = line_bytes(fabric->node_latency_ps[2], UINT64_C(100000000000));
    CHECK_EQUAL(queue_headroom_bytes(fabric, hand_port(fabric, 2, 0), PACKET), HEADROOM + latency_bytes);
    struct queue_class rule = {.xoff_bytes = 60000, .xon_bytes = 50000, .buffer_bytes = HEADROOM + 10001};
    CHECK_EQUAL(queue_xoff_bytes(&rule, HEADROOM), 10001);
    CHECK_EQUAL(queue_xon_bytes(&rule, HEADROOM), 1);
    rule.buffer_bytes--;
    CHECK_EQUAL(queue_xon_bytes(&rule, HEADROOM), 0); /* it is empty then */
    rule.buffer_bytes -= 9999;
    CHECK_EQUAL(queue_xoff_bytes(&rule, HEADROOM), 1);
    CHECK_EQUAL(queue_xon_bytes(&rule, HEADROOM), 0);
    rule.buffer_bytes--; /* all of it is headroom: what was asked for */
    CHECK_EQUAL(queue_xoff_bytes(&rule, HEADROOM), 60000);
    CHECK_EQUAL(queue_xon_bytes(&rule, HEADROOM), 50000);
    arena_free(arena);
}

/* One sender with a buffer of n packets behind its link: n packets a round trip, which is the packet's time, the link's
 * delay, the packet's time at the switch, and the delay of the credit. */
static void test_credits_let_a_buffer_through_a_round_trip(void)
{
    uint64_t round_trip_ps = 2 * SIZE_PS + 2 * DELAY_PS;
    for (size_t e = 0; e < 2; e++) {
        for (uint32_t n = 1; n <= 8; n *= 2) {
            struct queue_profile profile = queue_profile_plain;
            struct line line = {.total = {0, 64}, .looks = true};
            struct port_counters out[2];
            profile.class[0].credit_bytes = n * SIZE_BYTES;
            line_run(&line, engines[e], &profile, 2, out);
            CHECK_EQUAL(line.count, 64);
            CHECK_EQUAL(line.received_ps[63] - line.received_ps[0],
                        (63 / n) * round_trip_ps + (uint64_t)(63 % n) * SIZE_PS);
        }
    }
}

TEST_MAIN("queue", TEST(test_round_robin_shares_by_quantum), TEST(test_priority_stands_above_the_round_robin),
          TEST(test_marks_at_enqueue_by_what_is_found),
          TEST(test_a_packet_that_has_nearly_left_counts_whole), TEST(test_marks_at_dequeue_by_what_is_left),
          TEST(test_shared_buffer_has_dynamic_thresholds), TEST(test_pauses_bound_the_queue), TEST(test_limits_are_met_to_the_byte),
          TEST(test_headroom_is_that_of_the_link),
          TEST(test_credits_let_a_buffer_through_a_round_trip))
