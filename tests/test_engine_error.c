/* Links that lose packets by bit errors, and links that repeat them, in both engines.
 * Asserted: which packets are lost, by the draws that error.h says, and how many, by the chance; the time of a packet with k
 * failed tries, and of a full link, in closed form; that lost packets take no credit; that links with a chance of 0 are those
 * without one. Equality of the engines on random scenarios is asserted in test_engine_window.c. */
#include "netsim/engine/error.h"
#include "tests/check.h"
#include "tests/hand.h"
#include "tests/reference.h"

#include <math.h>

#define NS PS_PER_NS
#define US PS_PER_US
#define PACKETS 4000
#define BYTES 1500
#define ONE_PS (30 * NS)     /* of them at 400 Gbit/s */
#define DELAY_PS (500 * NS)  /* of either link */
#define ROUND_PS (2 * DELAY_PS)

static const struct engine_class *const engines[] = {&engine_plain, &engine_window};

/* Host 0, a switch, host 1; host 0 sends `count` packets to host 1. */
struct line {
    struct arena *arena;
    struct fabric *fabric;
    struct frame_loss *losses;
    struct engine_config config;
    struct engine *engine;
    uint32_t count, sent, received_count;
    uint32_t received[PACKETS];
    uint64_t received_ps[PACKETS];
    uint32_t out; /* the switch's port to host 1 */
};

static bool line_pull(void *context, uint32_t host, uint32_t port, uint64_t now_ps, struct packet *packet)
{
    struct line *line = context;
    (void)now_ps;
    if (host != 0 || line->sent == line->count || !(line->engine->class->open_classes(line->engine, host, port) & 1)) {
        return false;
    }
    *packet = (struct packet){.dst = 1, .seq = line->sent++ & 0xffffff, .size_bytes = BYTES};
    return true;
}

static void line_receive(void *context, uint32_t host, const struct packet *packet, uint64_t now_ps)
{
    struct line *line = context;
    CHECK_EQUAL(host, 1);
    line->received_ps[line->received_count] = now_ps;
    line->received[line->received_count++] = packet->seq;
}

static void line_event(void *context, uint32_t host, enum host_event kind, uint64_t argument, uint64_t now_ps)
{
    (void)context, (void)host, (void)kind, (void)argument, (void)now_ps;
}

static const struct host_ops line_ops = {.pull = line_pull, .receive = line_receive, .event = line_event};

static struct line *line_new(uint32_t count, double chance)
{
    static const struct hand_link links[] = {{0, 2, 400000000000, DELAY_PS}, {1, 2, 400000000000, DELAY_PS}};
    struct arena *arena = arena_new("test");
    struct line *line = arena_one(arena, struct line);
    line->arena = arena;
    line->count = count;
    line->fabric = hand_fabric(arena, 2, 3, links, 2);
    line->out = hand_port(line->fabric, 2, 1);
    line->losses = arena_array(arena, line->fabric->port_count, struct frame_loss);
    for (uint32_t port = 0; port < line->fabric->port_count; port++) {
        line->losses[port].bits_full = 8 * BYTES;
    }
    line->losses[line->out].chance = (uint64_t)ldexp(chance, 64);
    line->fabric->port_frame_loss = line->losses;
    line->config = (struct engine_config){.fabric = line->fabric, .seed = 7, .cut_through_bytes = 64,
                                          .packet_bytes_max = BYTES, .ops = &line_ops, .context = line};
    return line;
}

static struct port_counters line_run(struct line *line, const struct engine_class *class)
{
    line->config.routes = routes_new(line->fabric, line->arena);
    line->engine = class->create(line->arena, &line->config);
    line->sent = line->received_count = 0;
    engine_kick(line->engine, 0, 0, 0);
    CHECK_EQUAL(class->run(line->engine, TIME_NEVER_PS), TIME_NEVER_PS);
    CHECK_EQUAL(class->packets_in_flight(line->engine), 0);
    struct port_counters c;
    class->counters(line->engine, line->out, &c);
    CHECK_EQUAL(c.tx_packets, c.rx_packets + c.error_packets + c.lost_packets);
    CHECK_EQUAL(c.tx_bytes, c.rx_bytes + c.error_bytes + c.lost_bytes);
    CHECK_EQUAL(c.repeat_bytes, c.repeats * BYTES);
    CHECK_EQUAL(line->count, line->received_count + c.error_packets + c.lost_packets + c.dropped_packets);
    return c;
}

/* Failures of the number-th packet before it gets through. */
static uint32_t fails_of(const struct line *line, uint64_t number)
{
    uint32_t fails = 0;
    while (rng_draw(line->config.seed, RNG_ERROR ^ line->out, number * 128 + fails) < line->losses[line->out].chance) {
        fails++;
    }
    return fails;
}

/* ---- without repeats ------------------------------------------------------------------------------------------ */

static void test_lost_by_the_draw(void)
{
    for (size_t e = 0; e < 2; e++) {
        struct line *line = line_new(PACKETS, 0.125);
        struct port_counters c = line_run(line, engines[e]);
        uint32_t at = 0;
        for (uint32_t seq = 0; seq < PACKETS; seq++) {
            if (fails_of(line, seq) == 0 && at < line->received_count) {
                CHECK_EQUAL(line->received[at], seq);
                CHECK_EQUAL(line->received_ps[at++], (seq + 2) * ONE_PS + 2 * DELAY_PS); /* losses change no times */
            }
        }
        CHECK_EQUAL(at, line->received_count);
        CHECK(at > PACKETS / 2);
        double expected = PACKETS * 0.125, sigma = sqrt(expected * 0.875);
        CHECK(fabs((double)c.error_packets - expected) < 4 * sigma);
        CHECK_EQUAL(c.repeats + c.lost_packets + c.dropped_packets, 0);
        CHECK_EQUAL(c.busy_ps, PACKETS * ONE_PS);
        arena_free(line->arena);
    }
}

static void test_chance_goes_with_the_codewords(void)
{
    struct frame_loss bits = {.chance = 1 << 20, .bits_full = 8 * 4096};
    CHECK_EQUAL(frame_loss_chance(&bits, 4096), 1 << 20);
    CHECK_EQUAL(frame_loss_chance(&bits, 64), 1 << 14);
    struct frame_loss words = {.chance = UINT64_C(10) << 40, .bits_full = 100000, .bits_more = 5139, .bits_min = 10280};
    CHECK_EQUAL(frame_loss_chance(&words, 64), (UINT64_C(10) << 40) * 10280 / 100000); /* two codewords, however short */
    CHECK_EQUAL(frame_loss_chance(&words, 4000), (UINT64_C(10) << 40) * 37139 / 100000);
    struct frame_loss sure = {.chance = UINT64_MAX - 5, .bits_full = 8};
    CHECK_EQUAL(frame_loss_chance(&sure, 16383), UINT64_MAX);
}

static void test_a_chance_of_zero_is_none(void)
{
    for (size_t e = 0; e < 2; e++) {
        struct line *with = line_new(PACKETS, 0), *without = line_new(PACKETS, 0);
        without->fabric->port_frame_loss = NULL;
        with->config.links_repeat = true;
        struct port_counters a = line_run(with, engines[e]), b = line_run(without, engines[e]);
        CHECK(memcmp(&a, &b, sizeof a) == 0);
        CHECK(memcmp(with->received_ps, without->received_ps, sizeof with->received_ps) == 0);
        arena_free(with->arena);
        arena_free(without->arena);
    }
}

/* Room for two packets behind the link, of which lost ones take none: all that is not lost arrives. */
static void test_lost_packets_take_no_credit(void)
{
    struct queue_profile profile = queue_profile_plain;
    profile.class[0].credit_bytes = 2 * BYTES;
    for (size_t e = 0; e < 2; e++) {
        struct line *line = line_new(PACKETS / 4, 0.25);
        line->config.switch_queues = line->config.host_queues = &profile;
        CHECK(line_run(line, engines[e]).error_packets > 200);
        arena_free(line->arena);
    }
}

/* ---- with repeats ----------------------------------------------------------------------------------------------- */

/* A packet that fails k times arrives k times (its service + a round trip) later, whatever the switch does. */
static void test_time_of_k_failures(void)
{
    uint32_t seen = 0;
    for (uint64_t seed = 0; seed < 64; seed++) {
        for (size_t e = 0; e < 2; e++) {
            struct line *line = line_new(1, 0.5);
            line->config.links_repeat = true;
            line->config.seed = seed;
            struct port_counters c = line_run(line, engines[e]);
            uint32_t fails = fails_of(line, 0);
            CHECK_EQUAL(c.repeats, fails);
            CHECK_EQUAL(c.busy_ps, ONE_PS + fails * (ONE_PS + ROUND_PS));
            CHECK_EQUAL(line->received_ps[0], 2 * ONE_PS + 2 * DELAY_PS + fails * (ONE_PS + ROUND_PS));
            seen |= 1u << fails;
            arena_free(line->arena);
        }
    }
    CHECK_EQUAL(seen & 15, 15);
}

/* A full link: in order, all of them, p / (1 - p) repeats of each, and the time that they take. */
static void test_repeats_on_a_full_link(void)
{
    for (size_t e = 0; e < 2; e++) {
        struct line *line = line_new(PACKETS, 0.2);
        line->config.links_repeat = true;
        struct port_counters c = line_run(line, engines[e]);
        CHECK_EQUAL(line->received_count, PACKETS);
        for (uint32_t seq = 0; seq < line->received_count; seq++) {
            CHECK_EQUAL(line->received[seq], seq);
        }
        double expected = PACKETS * 0.25, sigma = sqrt(PACKETS * 0.2) / 0.8; /* geometric: p / (1 - p)^2 */
        CHECK(fabs((double)c.repeats - expected) < 4 * sigma);
        CHECK_EQUAL(c.busy_ps, PACKETS * ONE_PS + c.repeats * (ONE_PS + ROUND_PS));
        CHECK_EQUAL(c.error_packets, 0);
        arena_free(line->arena);
    }
}

static void test_links_give_up(void)
{
    for (size_t e = 0; e < 2; e++) {
        struct line *line = line_new(2, 0);
        line->losses[line->out].chance = UINT64_MAX;
        line->config.links_repeat = true;
        struct port_counters c = line_run(line, engines[e]);
        CHECK_EQUAL(c.error_packets, 2);
        CHECK_EQUAL(c.repeats, 2 * LINK_REPEATS_MAX);
        CHECK_EQUAL(c.busy_ps, 2 * ((LINK_REPEATS_MAX + 1) * ONE_PS + LINK_REPEATS_MAX * ROUND_PS));
        arena_free(line->arena);
    }
}

/* The head of a packet leaves a cut-through switch early; of one that its link has repeated only the whole. */
static void test_cut_through_waits_for_what_is_repeated(void)
{
    for (size_t e = 0; e < 2; e++) {
        for (uint64_t seed = 0; seed < 16; seed++) {
            struct line *line = line_new(1, 0.5);
            line->losses[0] = line->losses[line->out]; /* host 0 to the switch */
            line->losses[line->out].chance = 0;
            line->out = 0;
            hand_column(uint8_t, line->fabric->node_cut_through)[2] = 1;
            line->config.links_repeat = true;
            line->config.seed = seed;
            uint32_t fails = fails_of(line, 0);
            CHECK_EQUAL(line_run(line, engines[e]).repeats, fails);
            uint64_t head_ps = serialisation_ps(64, 400000000000);
            uint64_t at_switch_ps = DELAY_PS + (fails == 0 ? head_ps : ONE_PS + fails * (ONE_PS + ROUND_PS));
            CHECK_EQUAL(line->received_ps[0], at_switch_ps + ONE_PS + DELAY_PS);
            arena_free(line->arena);
        }
    }
}

/* A gate that opens and closes: its link repeats nothing. A link that goes down while it repeats loses the packet as
 * failing links do. */
static void test_gates_and_failures(void)
{
    static const struct gate_window window = {0, TIME_NEVER_PS};
    static const struct gate gate = {.window_count = 1};
    static const struct link_change down[] = {{.time_ps = 2 * US, .port = 3}, {.time_ps = 100 * US, .port = 3, .is_up = true}};
    for (size_t e = 0; e < 2; e++) {
        struct line *line = line_new(PACKETS, 0.125);
        uint32_t *port_gate = arena_array(line->arena, line->fabric->port_count, uint32_t);
        for (uint32_t port = 0; port < line->fabric->port_count; port++) {
            port_gate[port] = port == line->out ? 0 : ID_NONE;
        }
        line->fabric->gates = &gate;
        line->fabric->gate_windows = &window;
        line->fabric->gate_count = line->fabric->gate_window_count = 1;
        line->fabric->port_gate = port_gate;
        line->config.links_repeat = true;
        struct port_counters c = line_run(line, engines[e]);
        CHECK_EQUAL(c.repeats, 0);
        CHECK(c.error_packets > 300);
        arena_free(line->arena);
        line = line_new(1, 0);
        line->losses[line->out].chance = UINT64_MAX;
        CHECK_EQUAL(line->out, 3);
        line->config.links_repeat = true;
        line->config.link_changes = down;
        line->config.link_change_count = 2;
        c = line_run(line, engines[e]);
        CHECK_EQUAL(c.lost_packets, 1);
        CHECK_EQUAL(c.error_packets, 0);
        arena_free(line->arena);
    }
}

TEST_MAIN("engine_error", TEST(test_lost_by_the_draw), TEST(test_chance_goes_with_the_codewords),
          TEST(test_a_chance_of_zero_is_none), TEST(test_lost_packets_take_no_credit), TEST(test_time_of_k_failures),
          TEST(test_repeats_on_a_full_link), TEST(test_links_give_up), TEST(test_cut_through_waits_for_what_is_repeated),
          TEST(test_gates_and_failures))
