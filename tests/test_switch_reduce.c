/* Collectives that switches combine and copy, from the selector down to the engine.
 *
 * Asserted: times on one ideal switch, exact, in closed form; bytes of every link, on one switch, on a tree of two tiers and
 * in servers with a network; that windows keep to tables, however small; the same digest for any number of threads; what NCCL's
 * model chooses on machines with such switches and without; the plateau of 8 H100; that what cannot be is refused in one line.
 * Not asserted: the algebra (test of the collectives), the engine's primitive by itself (test of groups). */
#include "netsim/fabric_load.h"
#include "netsim/sim.h"
#include "photonet/trace.h"
#include "tests/check.h"

#define PAYLOAD (4096 - 64)

struct ran {
    struct arena *arena;
    struct sim *sim;
    struct diag diag;
    enum status status;
};

/* `settings` is "key=value|key=value". */
static struct ran run(const char *trace, const char *fabric_name, const char *settings, uint32_t threads)
{
    struct ran ran = {.arena = arena_new("test")};
    struct trace_setting sets[32];
    size_t count = 0;
    for (char *word = strtok(arena_strdup(ran.arena, settings), "|"); word != NULL; word = strtok(NULL, "|")) {
        char *equals = strchr(word, '=');
        *equals = 0;
        sets[count++] = (struct trace_setting){word, equals + 1, {"--set", 0, 0}};
    }
    struct fabric_config fabric;
    struct scenario *scenario = arena_one(ran.arena, struct scenario);
    const struct job *job;
    ran.status = trace_read(trace, 0, NULL, 0, ran.arena, &job, &ran.diag);
    if (ran.status == STATUS_OK) {
        ran.status = fabric_load(fabric_name, sets, count, job->rank_count, ran.arena, &fabric, &ran.diag);
    }
    if (ran.status == STATUS_OK) {
        ran.status = scenario_load(fabric.left, fabric.left_count, NULL, ran.arena, scenario, &ran.diag);
    }
    if (ran.status == STATUS_OK) {
        const struct sim_config config = {.job = job, .fabric = fabric.fabric, .scenario = scenario, .seed = 1, .iterations = 1,
                                          .threads = threads};
        ran.status = sim_new(ran.arena, &config, &ran.sim, &ran.diag);
    }
    if (ran.status == STATUS_OK) {
        CHECK_EQUAL(sim_run(ran.sim, TIME_NEVER_PS - 1), TIME_NEVER_PS);
        CHECK(replay_is_complete(ran.sim->replay));
        CHECK_EQUAL(ran.sim->engine->class->packets_in_flight(ran.sim->engine), 0);
    }
    return ran;
}

static struct ran good(const char *trace, const char *fabric, const char *settings)
{
    struct ran ran = run(trace, fabric, settings, 1);
    if (ran.status != STATUS_OK) {
        printf("%s\n", ran.diag.text);
        CHECK_EQUAL(ran.status, STATUS_OK);
        exit(1); /* what follows would look at what is not there */
    }
    return ran;
}

static void refused(const char *trace, const char *fabric, const char *settings, const char *part)
{
    struct ran ran = run(trace, fabric, settings, 1);
    CHECK_EQUAL(ran.status, STATUS_INPUT);
    CHECK_HOLDS(ran.diag.text, part);
    CHECK(strchr(ran.diag.text, '\n') == NULL);
    arena_free(ran.arena);
}

static struct port_counters counters(const struct ran *ran, uint32_t port)
{
    struct port_counters found;
    ran->sim->engine->class->counters(ran->sim->engine, port, &found);
    return found;
}

static uint64_t rank_end_ps(const struct ran *ran, uint32_t rank)
{
    struct replay_rank result;
    replay_rank(ran->sim->replay, rank, 0, &result);
    return result.end_ps;
}

static uint64_t makespan_ps(const struct ran *ran)
{
    return replay_makespan_ps(ran->sim->replay);
}

/* ---- closed forms: n hosts at one switch, a link each ------------------------------------------------------ */

/* 400 Gbit/s, 1 m of copper, 100 ns to combine, nothing else takes time. */
static const char ideal[] = "switches=1|links=1|link_rate=400Gbps|device_latency=no|switch=nvswitch3|part.nvswitch3.reduce=100ns|"
                            "packet.size=4096B|packet.header=64B|packet.ack=64B|replay.chunk=1GiB";
#define COMBINE_PS 100000
#define SER_PS 81920 /* of a full packet */
#define ACK_PS 1280

static uint64_t wire_ps(const struct ran *ran)
{
    return link_delay_ps(ran->sim->fabric, 0);
}

static const char *with(const char *settings, char *text)
{
    snprintf(text, 512, "%s|%s", ideal, settings);
    return text;
}

/* All ranks end when the last of P packets has come up, been combined, and come down; so does the root of a reduce. */
static void test_combined_in_closed_form(void)
{
    char text[512], trace[128];
    for (uint32_t ranks = 2; ranks <= 9; ranks++) {
        for (uint64_t packets = 1; packets <= 64; packets *= 4) {
            snprintf(trace, sizeof trace, "pattern:all_reduce,ranks=%u,bytes=%" PRIu64 "B", ranks, packets * PAYLOAD);
            struct ran ran = good(trace, "scale_up", with("collective.all_reduce=sharp", text));
            uint64_t expected_ps = (packets + 1) * SER_PS + 2 * wire_ps(&ran) + COMBINE_PS;
            for (uint32_t rank = 0; rank < ranks; rank++) {
                CHECK_EQUAL(rank_end_ps(&ran, rank), expected_ps);
            }
            arena_free(ran.arena);
        }
    }
}

/* A broadcast has no reduction; the root hears of the last packet when all have acknowledged it. It acknowledges itself, every
 * quarter of the window, between its packets. */
static void test_copied_in_closed_form(void)
{
    char text[512], trace[128];
    for (uint64_t packets = 1; packets <= 7; packets++) {
        snprintf(trace, sizeof trace, "pattern:nccl,op=broadcast,ranks=5,min=%" PRIu64 "B,max=%" PRIu64 "B,settle=0ps", packets * PAYLOAD,
                 packets * PAYLOAD);
        struct ran ran = good(trace, "scale_up", with("collective.broadcast=sharp", text));
        uint32_t window = ran.sim->teams->teams[0].window;
        CHECK(window >= 8 && window < 16);
        uint64_t own_acks = (packets - 1) / (window / 4);
        uint64_t copied_ps = (packets + 1) * SER_PS + own_acks * ACK_PS + 2 * wire_ps(&ran);
        CHECK_EQUAL(rank_end_ps(&ran, 3), copied_ps);
        CHECK_EQUAL(rank_end_ps(&ran, 0), copied_ps + 2 * ACK_PS + 2 * wire_ps(&ran) + COMBINE_PS);
        arena_free(ran.arena);
    }
}

/* A packet a share, n ranks: all send their parts of shares 0 .. n-1 one after the other. Share n-1 is combined for the last
 * rank at n + 1 packets, two wires and combining; where rank 0 has its share before its last packet starts, the word of that
 * goes first. */
static uint64_t scattered_ps(const struct ran *ran, uint64_t ranks)
{
    uint64_t first_ps = 2 * SER_PS + 2 * wire_ps(ran) + COMBINE_PS;
    return first_ps + (ranks - 1) * SER_PS + (first_ps <= (ranks - 1) * SER_PS ? ACK_PS : 0);
}

static void test_scattered_in_closed_form(void)
{
    char text[512], trace[128];
    for (uint64_t ranks = 2; ranks <= 9; ranks++) {
        uint64_t bytes = ranks * PAYLOAD;
        snprintf(trace, sizeof trace, "pattern:nccl,op=reduce_scatter,ranks=%" PRIu64 ",min=%" PRIu64 "B,max=%" PRIu64 "B,settle=0ps", ranks,
                 bytes, bytes);
        struct ran ran = good(trace, "scale_up", with("collective.reduce_scatter=nvls", text));
        /* behind it comes the word that rank n-2 has its share */
        CHECK_EQUAL(rank_end_ps(&ran, (uint32_t)ranks - 1), scattered_ps(&ran, ranks) + ACK_PS);
        arena_free(ran.arena);
    }
}

/* And of two ranks the last one copies what it has then, behind the word that it has come. */
static void test_nvls_in_closed_form(void)
{
    char text[512];
    struct ran ran = good("pattern:all_reduce,ranks=2,bytes=8064B", "scale_up", with("collective.all_reduce=nvls", text));
    uint64_t copied_ps = scattered_ps(&ran, 2) + ACK_PS + 2 * SER_PS + 2 * wire_ps(&ran);
    CHECK_EQUAL(makespan_ps(&ran), copied_ps + 2 * ACK_PS + 2 * wire_ps(&ran) + COMBINE_PS);
    arena_free(ran.arena);
}

/* ---- bytes ------------------------------------------------------------------------------------------------- */

static uint64_t wire_bytes(uint64_t bytes)
{
    return bytes + (bytes + PAYLOAD - 1) / PAYLOAD * 64;
}

/* Every member sends the buffer once and its own share, and gets the buffer once: over its 18 links together, but for
 * acknowledgements. */
static void test_bytes_of_nvls(void)
{
    uint64_t bytes = 8 * 64 * PAYLOAD, least = wire_bytes(bytes), share = wire_bytes(bytes / 8);
    char trace[128];
    snprintf(trace, sizeof trace, "pattern:all_reduce,ranks=8,bytes=%" PRIu64 "B", bytes);
    struct ran ran = good(trace, "dgx-h100", "packet.size=4096B|packet.header=64B|collective.all_reduce=nvls");
    const struct fabric *fabric = ran.sim->fabric;
    for (uint32_t host = 0; host < 8; host++) {
        uint64_t up = 0, down = 0, most = 0, fewest = UINT64_MAX;
        for (uint32_t port = fabric->port_first[host]; port < fabric->port_first[host + 1]; port++) {
            uint64_t sent = counters(&ran, port).tx_bytes;
            up += sent;
            down += counters(&ran, fabric->port_peer[port]).tx_bytes;
            most = sent > most ? sent : most;
            fewest = sent < fewest ? sent : fewest;
        }
        CHECK(up >= least + share && (double)up < 1.05 * (double)(least + share));
        CHECK(down >= least && (double)down < 1.05 * (double)least);
        CHECK((double)most < 1.2 * (double)fewest); /* all 18 links alike */
        struct replay_rank result;
        replay_rank(ran.sim->replay, host, 0, &result);
        CHECK_EQUAL(result.sent_bytes, bytes + bytes / 8);
        CHECK_EQUAL(result.received_bytes, bytes);
    }
    arena_free(ran.arena);
}

/* Between switches the message goes once up and once down, by one link of every leaf; hosts' links carry it once each way. */
static void test_bytes_of_a_tree(void)
{
    uint64_t bytes = 100 * PAYLOAD;
    char trace[128];
    snprintf(trace, sizeof trace, "pattern:all_reduce,ranks=32,bytes=%" PRIu64 "B", bytes);
    struct ran ran = good(trace, "fat_tree", "packet.size=4096B|packet.header=64B|tiers=2|radix=8|hosts=32|switch=ib_switch|collective.all_reduce=sharp");
    const struct fabric *fabric = ran.sim->fabric;
    uint32_t between = 0, leaves = 0;
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        uint64_t sent = counters(&ran, port).tx_bytes, back = counters(&ran, fabric->port_peer[port]).tx_bytes;
        bool is_host = fabric->port_node[port] < 32 || fabric->port_node[fabric->port_peer[port]] < 32;
        CHECK(sent == wire_bytes(bytes) || (sent == 0 && !is_host));
        CHECK_EQUAL(sent, back);
        between += !is_host && sent > 0;
    }
    for (uint32_t node = 32; node < fabric->node_count; node++) {
        leaves += fabric->node_tier[node] == 1;
    }
    CHECK_EQUAL(leaves, 8);
    CHECK_EQUAL(between, 2 * leaves);
    arena_free(ran.arena);
}

/* 256 GPUs under two tiers of scale-up switches: all 18 links of each are used alike. */
static void test_bytes_of_two_tiers(void)
{
    uint64_t bytes = 18 * 8 * PAYLOAD;
    char trace[128];
    snprintf(trace, sizeof trace, "pattern:all_reduce,ranks=256,bytes=%" PRIu64 "B", bytes);
    struct ran ran = good(trace, "gh200-256", "packet.size=4096B|replay.chunk=1MiB|packet.header=64B|collective.all_reduce=sharp");
    const struct fabric *fabric = ran.sim->fabric;
    for (uint32_t port = 0; port < fabric->port_first[256]; port++) {
        CHECK_EQUAL(counters(&ran, port).tx_bytes, wire_bytes(bytes / 18));
        CHECK_EQUAL(counters(&ran, fabric->port_peer[port]).tx_bytes, wire_bytes(bytes / 18));
    }
    arena_free(ran.arena);
}

/* In servers the buffer and a share, between them a share once each way. */
static void test_bytes_of_both(void)
{
    uint64_t bytes = 8 * 40 * PAYLOAD;
    char trace[128];
    snprintf(trace, sizeof trace, "pattern:all_reduce,ranks=32,bytes=%" PRIu64 "B", bytes);
    struct ran ran = good(trace, "clos-h100", "packet.size=4096B|packet.header=64B|switch=ib_switch|collective.all_reduce=nvls_sharp");
    const struct fabric *fabric = ran.sim->fabric;
    for (uint32_t host = 0; host < 32; host++) {
        uint64_t inside = 0, outside = 0;
        for (uint32_t port = fabric->port_first[host]; port < fabric->port_first[host + 1]; port++) {
            uint64_t sent = counters(&ran, port).tx_bytes;
            *(port - fabric->port_first[host] < fabric->server_ports ? &inside : &outside) += sent;
        }
        CHECK_EQUAL(outside, wire_bytes(bytes / 8));
        CHECK(inside >= wire_bytes(bytes) + wire_bytes(bytes / 8));
        CHECK((double)inside < 1.05 * (double)(wire_bytes(bytes) + wire_bytes(bytes / 8)));
    }
    arena_free(ran.arena);
}

/* The same inside with trees between two servers: of the two one is the root of each tree, so that a share goes once each way
 * by every network port, but for acknowledgements. */
static void test_bytes_of_trees(void)
{
    uint64_t bytes = 8 * 40 * PAYLOAD, share = wire_bytes(bytes / 8);
    char trace[128];
    snprintf(trace, sizeof trace, "pattern:all_reduce,ranks=16,bytes=%" PRIu64 "B", bytes);
    struct ran ran = good(trace, "clos-h100", "packet.size=4096B|packet.header=64B|replay.chunk=16128B|collective.all_reduce=nvls_tree");
    const struct fabric *fabric = ran.sim->fabric;
    for (uint32_t host = 0; host < 16; host++) {
        uint64_t inside = 0, outside = 0;
        for (uint32_t port = fabric->port_first[host]; port < fabric->port_first[host + 1]; port++) {
            uint64_t sent = counters(&ran, port).tx_bytes;
            *(port - fabric->port_first[host] < fabric->server_ports ? &inside : &outside) += sent;
        }
        CHECK(outside >= share && (double)outside < 1.03 * (double)share);
        CHECK(inside >= wire_bytes(bytes) + share && (double)inside < 1.05 * (double)(wire_bytes(bytes) + share));
    }
    arena_free(ran.arena);
}

/* Every kind and size ends, in any number of threads with the same digest. */
static void test_every_kind(void)
{
    static const char *const kinds[] = {"all_reduce", "reduce_scatter", "all_gather", "broadcast", "reduce"};
    static const char *const rows[] = {"nvls", "sharp"};
    char trace[128], settings[128];
    for (size_t i = 0; i < 5; i++) {
        for (size_t row = 0; row < 2; row++) {
            snprintf(trace, sizeof trace, "pattern:nccl,op=%s,ranks=8,min=4B,max=1MiB,factor=64", kinds[i]);
            snprintf(settings, sizeof settings, "collective.%s=%s|replay.chunk=%s", kinds[i], rows[row], i % 2 ? "10000B" : "128KiB");
            struct ran one = run(trace, "dgx-h100", settings, 1), two = run(trace, "dgx-h100", settings, 2);
            CHECK_EQUAL(one.status, STATUS_OK);
            CHECK_EQUAL(two.status, STATUS_OK);
            if (one.status == STATUS_OK && two.status == STATUS_OK) {
                CHECK_EQUAL(sim_digest(one.sim), sim_digest(two.sim));
            }
            arena_free(one.arena);
            arena_free(two.arena);
        }
    }
}

/* ---- tables ------------------------------------------------------------------------------------------------ */

/* 5 links of 8 owners, data and acknowledgements: 80 streams at a switch. One packet of each under way is enough, and slow. */
static void test_small_tables(void)
{
    const char trace[] = "pattern:all_reduce,ranks=8,bytes=1MiB";
    struct ran large = good(trace, "dgx-h100", "packet.size=4096B|packet.header=64B|collective.all_reduce=nvls");
    struct ran small = good(trace, "dgx-h100", "collective.all_reduce=nvls|part.nvswitch3.reduce_entries=80");
    struct ran sharp = good(trace, "dgx-h100", "collective.all_reduce=sharp|part.nvswitch3.reduce_entries=5");
    CHECK(makespan_ps(&small) > makespan_ps(&large));
    CHECK(makespan_ps(&sharp) > makespan_ps(&small)); /* one packet a link under way */
    arena_free(large.arena);
    arena_free(small.arena);
    arena_free(sharp.arena);
    refused(trace, "dgx-h100", "collective.all_reduce=nvls|part.nvswitch3.reduce_entries=79",
            "has 79 entries, but 80 streams of groups that it combines need one each");
}

/* ---- choosing, and how fast it is --------------------------------------------------------------------------- */

static double busbw(const char *fabric, const char *settings, const char *op, uint64_t bytes, const char *algorithm)
{
    char trace[128];
    snprintf(trace, sizeof trace, "pattern:nccl,op=%s,ranks=8,min=%" PRIu64 "B,max=%" PRIu64 "B,settle=0ps", op, bytes, bytes);
    struct ran ran = good(trace, fabric, settings);
    const struct replay_call *call = replay_calls(ran.sim->replay);
    CHECK_TEXT(call->algorithm->name, algorithm);
    double time_ps = (double)(call->end_ps - call->first_start_ps), factor = collective_bus_factor(call->kind, 8);
    arena_free(ran.arena);
    return (double)bytes / time_ps * 1e3 * factor;
}

/* 480 GB/s with NVLS and 370 without on 8 H100: NVIDIA in nccl-tests issue 212. */
static void test_dgx_h100(void)
{
    const char nccl[] = "collective.select=nccl", ring[] = "collective.select=nccl|collective.all_reduce=ring";
    double nvls_gbps = busbw("dgx-h100", nccl, "all_reduce", UINT64_C(1) << 30, "nvls");
    double ring_gbps = busbw("dgx-h100", ring, "all_reduce", UINT64_C(1) << 28, "ring");
    printf("DGX H100: NVLS %.1f GB/s, ring %.1f GB/s; ", nvls_gbps, ring_gbps);
    CHECK_NEAR(nvls_gbps, 480, 0.08);
    CHECK_NEAR(ring_gbps, 370, 0.03);
    busbw("dgx-h100", nccl, "all_reduce", 1 << 20, "ring"); /* nccl-tests issue 309: NVLS from 2 MiB on */
    busbw("dgx-h100", nccl, "all_reduce", 2 << 20, "nvls");
}

/* No such switches, queues that drop, links that fail: a ring, as before. */
static void test_chosen_where_it_can_be(void)
{
    const char nccl[] = "collective.select=nccl";
    struct ran ran = good("pattern:nccl,op=all_reduce,ranks=16,min=64MiB,max=64MiB,settle=0ps", "clos-h100", nccl);
    CHECK_TEXT(replay_calls(ran.sim->replay)->algorithm->name, "nvls_tree"); /* two servers */
    arena_free(ran.arena);
    busbw("dgx-a100", "collective.select=nccl|collective.generation=ampere", "all_reduce", 64 << 20, "ring");
    busbw("dgx-h100", "collective.select=nccl|queue.capacity=1MiB", "all_reduce", 64 << 20, "ring");
    busbw("dgx-h100", "collective.select=nccl|part.nvswitch3.reduce_entries=0", "all_reduce", 64 << 20, "ring");
}

/* Links that repeat lose nothing. */
static void test_links_that_repeat(void)
{
    const char trace[] = "pattern:all_reduce,ranks=8,bytes=1MiB";
    struct ran clean = good(trace, "dgx-h100", "collective.all_reduce=nvls");
    struct ran noisy = good(trace, "dgx-h100", "collective.all_reduce=nvls|links.frame_loss=0.01|links.retry=go_back_n");
    CHECK(makespan_ps(&noisy) > makespan_ps(&clean));
    arena_free(clean.arena);
    arena_free(noisy.arena);
}

/* ---- bad input ---------------------------------------------------------------------------------------------- */

static void test_refused(void)
{
    const char eight[] = "pattern:all_reduce,ranks=8,bytes=1MiB", many[] = "pattern:all_reduce,ranks=16,bytes=1MiB";
    refused(eight, "dgx-a100", "collective.all_reduce=nvls", "(part nvswitch2) cannot");
    refused(many, "clos-h100", "collective.all_reduce=nvls", "its 16 ranks stand in several servers");
    refused(many, "clos-h100", "collective.all_reduce=sharp", "(part eth_switch) cannot");
    refused(eight, "dgx-h100", "collective.all_reduce=nvls|queue.capacity=1MiB", "over queues that drop");
    refused(eight, "dgx-h100", "collective.all_reduce=nvls|queue.shared=1MiB", "over a shared buffer that drops");
    refused(eight, "dgx-h100", "collective.all_reduce=nvls|failures.links=1", "over links that fail");
    refused(eight, "dgx-h100", "collective.all_reduce=nvls|links.frame_loss=0.001", "that lose packets; expected links.retry");
    refused("pattern:all_reduce,ranks=16,bytes=1MiB", "tpu-v4-cube", "collective.all_reduce=sharp", "no tree of switches");
}

TEST_MAIN("switch_reduce", TEST(test_combined_in_closed_form), TEST(test_copied_in_closed_form), TEST(test_scattered_in_closed_form), TEST(test_nvls_in_closed_form),
          TEST(test_bytes_of_nvls), TEST(test_bytes_of_a_tree), TEST(test_bytes_of_two_tiers), TEST(test_bytes_of_both), TEST(test_bytes_of_trees), TEST(test_every_kind),
          TEST(test_small_tables), TEST(test_dgx_h100), TEST(test_chosen_where_it_can_be), TEST(test_links_that_repeat), TEST(test_refused))
