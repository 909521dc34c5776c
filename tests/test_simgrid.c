/* The SimGrid engine, and what it says about the packet engine.
 *
 * Asserted: on non-blocking fat trees the two agree within 3 % on ring all-reduce, all-gather and pairwise
 * all-to-all of 64 MiB and more. What is left between them is known: ACKs take 64 B of the way back for 4150
 * B of the way out (1.5 %; with ACKs of 1 B and a window with room the rings agree within 0.05 %), and random
 * spraying queues where all uplinks are full. Single messages agree to 10 ns; shared links, oversubscription,
 * ECMP collisions, compute and hosts that forward are compared too. Refusals, deadlock, --until,
 * interruption, equal digests of two runs.
 * Not asserted: short messages, lossy fabrics; sprayed permutations at full load, where queues are the whole
 * story. */
#include "netsim/fabric_load.h"
#include "netsim/flow/platform.h"
#include "netsim/flow/simgrid.h"
#include "netsim/sim.h"
#include "tests/check.h"
#include "tests/support_run.h"
#include "topologies/build.h"

struct both {
    struct arena *arena;
    const struct job *job;
    struct fabric *fabric;
    struct scenario scenario;
    struct flowstats stats;
    struct flow_config config;
    struct flow_result flow;
    struct diag diag;
    enum status status; /* of the SimGrid run */
    uint64_t packet_ps;
    struct sim *sim;
};

static bool is_missing(void)
{
    if (!flow_simgrid_is_built_in()) {
        test_skip("built without SimGrid (libsimgrid-dev)");
    }
    return !flow_simgrid_is_built_in();
}

static void must(enum status status, const struct diag *diag)
{
    if (status != STATUS_OK) {
        printf("%s\n", diag->text);
        exit(1); /* what follows would use what is not there */
    }
}

static struct both both_new(void)
{
    return (struct both){.arena = arena_new("test"), .diag = {""}};
}

static void both_load(struct both *both, const char *spec, const char *settings)
{
    struct trace_setting sets[SETTINGS_MAX];
    size_t count = settings_split(both->arena, settings, sets);
    struct fabric_config config;
    must(fabric_load(spec, sets, count, both->job->rank_count, both->arena, &config, &both->diag),
         &both->diag);
    both->fabric = config.fabric;
    must(scenario_load(config.left, config.left_count, NULL, both->arena, &both->scenario, &both->diag),
         &both->diag);
}

static void both_configure(struct both *both)
{
    uint32_t *rank_host = arena_array(both->arena, both->job->rank_count, uint32_t);
    for (uint32_t rank = 0; rank < both->job->rank_count; rank++) {
        rank_host[rank] = rank;
    }
    flowstats_init(&both->stats, both->arena, 1, 1);
    both->config = (struct flow_config){
        .job = both->job,
        .rank_host = rank_host,
        .fabric = both->fabric,
        .routes = routes_new(both->fabric, both->arena),
        .shape = scenario_shape(&both->scenario),
        .is_sprayed = !balance_has(balances[both->scenario.routing->balance], BALANCE_PINNED),
        .seed = 1,
        .chunk_bytes = both->scenario.replay->chunk_bytes,
        .all_to_all_concurrency = (uint32_t)both->scenario.replay->all_to_all_concurrency,
        .iterations = 1,
        .post_ps = both->scenario.host->post_ps,
        .nic_ps = both->scenario.host->nic_ps,
        .connections = (uint32_t)both->scenario.host->connections,
        .local_bps = both->scenario.host->local_bps,
        .until_ps = TIME_NEVER_PS,
    };
}

static void flow_run(struct both *both)
{
    both->config.stats = &both->stats; /* which may have moved since it was made */
    both->status = flow_simgrid_run(both->arena, &both->config, &both->flow, &both->diag);
}

static void packets_run(struct both *both)
{
    const struct sim_config config = {
        .job = both->job, .fabric = both->fabric, .scenario = &both->scenario, .seed = 1, .iterations = 1};
    must(sim_new(both->arena, &config, &both->sim, &both->diag), &both->diag);
    sim_run(both->sim, TIME_NEVER_PS);
    CHECK(replay_is_complete(both->sim->replay));
    both->packet_ps = replay_makespan_ps(both->sim->replay);
}

/* A pattern and a fabric; nothing has run. */
static struct both prepare(const char *pattern, const char *spec, const char *settings)
{
    struct both both = both_new();
    char trace[128];
    snprintf(trace, sizeof trace, "pattern:%s", pattern);
    must(trace_read(trace, 0, NULL, 0, both.arena, &both.job, &both.diag), &both.diag);
    both_load(&both, spec, settings);
    both_configure(&both);
    return both;
}

static struct both run(const char *pattern, const char *spec, const char *settings)
{
    struct both both = prepare(pattern, spec, settings);
    packets_run(&both);
    flow_run(&both);
    must(both.status, &both.diag);
    CHECK(both.flow.is_complete);
    return both;
}

/* Both engines, makespans within `relative` of each other, the same payload. */
static void agree(const char *pattern, const char *spec, const char *settings, double relative)
{
    struct both both = run(pattern, spec, settings);
    printf("  %-34s %-12s %-44s packets %10.3f us, SimGrid %+.3f %%\n", pattern, spec, settings,
           (double)both.packet_ps * 1e-6, ((double)both.flow.makespan_ps / (double)both.packet_ps - 1) * 100);
    CHECK_NEAR(both.flow.makespan_ps, both.packet_ps, relative);
    struct endpoint_counters counters;
    endpoint_counters(both.sim->endpoint, &counters);
    CHECK_EQUAL(both.flow.message_count, counters.messages_delivered);
    CHECK_EQUAL(both.flow.useful_bytes, counters.payload_bytes_delivered);
    arena_free(both.arena);
}

/* ---- agreement ----------------------------------------------------------------------------------------- */

#define TWO_TIERS   "fat_tree", "tiers=2 radix=8 link_delay=1us"
#define THREE_TIERS "htsim-128", ""
#define SLOW_TIERS  "fat_tree", "tiers=2 radix=16 link_rate=100Gbps link_delay=2us cut_through=yes"

static void test_single_messages(void)
{
    if (is_missing()) {
        return;
    }
    const uint32_t destinations[] = {127, 1}; /* six links and two */
    for (size_t i = 0; i < 2; i++) {
        char pattern[64];
        snprintf(pattern, sizeof pattern, "incast,ranks=128,senders=1,bytes=2000000B,dst=%u",
                 destinations[i]);
        struct both both = run(pattern, "htsim-128", "");
        int64_t off_ps = (int64_t)(both.flow.makespan_ps - both.packet_ps);
        CHECK(off_ps >= -10000 && off_ps <= 10000); /* a last packet that is not full */
        arena_free(both.arena);
    }
}

static void test_ring_all_reduce(void)
{
    if (is_missing()) {
        return;
    }
    agree("ring_allreduce,ranks=8,bytes=64MiB", TWO_TIERS, 0.03);
    agree("ring_allreduce,ranks=32,bytes=64MiB", TWO_TIERS, 0.03);
    agree("ring_allreduce,ranks=32,bytes=64MiB", THREE_TIERS, 0.03);
    agree("ring_allreduce,ranks=16,bytes=64MiB", SLOW_TIERS, 0.03);
}

static void test_all_gather(void)
{
    if (is_missing()) {
        return;
    }
    agree("all_gather,ranks=8,bytes=64MiB", TWO_TIERS, 0.03);
    agree("all_gather,ranks=16,bytes=64MiB", THREE_TIERS, 0.03);
}

static void test_all_to_all(void)
{
    if (is_missing()) {
        return;
    }
    agree("alltoall,ranks=8,bytes=64MiB", TWO_TIERS, 0.03);
    agree("alltoall,ranks=16,bytes=64MiB", THREE_TIERS, 0.03);
    agree("alltoall,ranks=32,bytes=128MiB", TWO_TIERS, 0.03);
    agree("alltoall,ranks=16,bytes=64MiB", SLOW_TIERS, 0.03);
}

/* The 3 % are not luck: without the two known causes next to nothing is left. */
static void test_what_is_left(void)
{
    if (is_missing()) {
        return;
    }
#define NO_CAUSES "link_delay=1us packet.ack=1B transport.window=1MB"
    agree("ring_allreduce,ranks=8,bytes=64MiB", "fat_tree", "radix=8 " NO_CAUSES, 0.0005);
    agree("ring_allreduce,ranks=32,bytes=64MiB", "htsim-128", NO_CAUSES, 0.0005);
    agree("alltoall,ranks=16,bytes=64MiB", "htsim-128", NO_CAUSES, 0.0005);
}

static void test_shared_links(void)
{
    if (is_missing()) {
        return;
    }
    agree("incast,ranks=16,bytes=8MiB,dst=0", THREE_TIERS,
          0.005); /* near and far senders have equal shares */
    agree("alltoall,ranks=32,bytes=64MiB", "fat_tree", "radix=10 oversubscription=4:1 link_delay=1us", 0.03);
    agree("permutation,ranks=64,bytes=8MiB", "htsim-128", "routing.balance=ecmp", 0.03);
    agree("all_reduce,ranks=16,bytes=64MiB,count=3,compute=500us", "clos-dsp", "host.post=2us", 0.03);
}

/* ---- hand-made fabrics --------------------------------------------------------------------------------- */

/* Nodes and duplex links between them; hosts first. Hosts forward. */
static struct fabric *fabric_join(struct arena *arena, uint32_t hosts, uint32_t nodes, uint32_t links,
                                  uint32_t ends[][2])
{
    struct fabric *fabric = arena_one(arena, struct fabric);
    const struct fabric_request request = {.arena = arena, .parts = part_table_new(arena)};
    struct diag diag;
    struct build build;
    build_begin(&build, &request, fabric, &diag, hosts, nodes, 2 * links);
    uint32_t *next = arena_array(arena, nodes, uint32_t), port = 0;
    for (uint32_t node = 0; node < nodes; node++) {
        uint32_t ports = 0;
        for (uint32_t i = 0; i < links; i++) {
            ports += ends[i][0] == node ? 1u : 0u;
            ports += ends[i][1] == node ? 1u : 0u;
        }
        const struct build_node parts = {.kind = node < hosts ? NODE_HOST : NODE_SWITCH,
                                         .latency_ps = 300 * PS_PER_NS};
        next[node] = port;
        port += ports;
        build_node(&build, &parts, ports);
    }
    const struct build_link link = {
        .rate_bps = UINT64_C(100000000000), .delay_ps = PS_PER_US, .queue_bytes = UINT64_MAX};
    for (uint32_t i = 0; i < links; i++) {
        const struct build_end left = {.port = next[ends[i][0]]++}, right = {.port = next[ends[i][1]]++};
        build_join(&build, &link, &left, &right);
    }
    build_end(&build);
    fabric->arena = arena;
    fabric->name = "hand-made";
    fabric->family = "hand";
    return fabric;
}

/* Ten messages of one pair: over connections they follow each other, and end when the packets say so. */
static void test_connections(void)
{
    if (is_missing()) {
        return;
    }
    char path[512];
    snprintf(path, sizeof path, "%s/ten.cm", test_directory());
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    fprintf(file, "Nodes 128\nConnections 10\n");
    for (int i = 1; i <= 10; i++) {
        fprintf(file, "0->127 id %d start 0 size 2043000\n", i); /* 500 whole packets */
    }
    fclose(file);
    static const char *const settings[] = {"transport.name=ideal host.connections=1 host.nic_latency=300ns",
                                           "transport.name=ideal host.connections=2 host.nic_latency=300ns"};
    for (int i = 0; i < 2; i++) {
        struct both both = both_new();
        must(trace_read(path, 0, NULL, 0, both.arena, &both.job, &both.diag), &both.diag);
        both_load(&both, "htsim-128", settings[i]);
        both_configure(&both);
        packets_run(&both);
        flow_run(&both);
        must(both.status, &both.diag);
        double packets_ps = (double)histogram_percentile(&both.sim->stats.fct_ps, 0.1);
        CHECK_NEAR((double)histogram_percentile(&both.stats.fct_ps, 0.1), packets_ps, 0.01);
        CHECK_NEAR(packets_ps, (i + 1) * 500 * 83000.0 + 7015000, 0.01);
        CHECK_NEAR(both.flow.makespan_ps, both.packet_ps, 0.001);
        arena_free(both.arena);
    }
}

/* Three hosts in a line: what host 0 sends to host 2 passes through host 1. */
static void test_hosts_that_forward(void)
{
    if (is_missing()) {
        return;
    }
    struct both both = both_new();
    must(trace_read("pattern:incast,ranks=3,bytes=4MiB,dst=2", 0, NULL, 0, both.arena, &both.job, &both.diag),
         &both.diag);
    must(scenario_load(NULL, 0, NULL, both.arena, &both.scenario, &both.diag), &both.diag);
    both.fabric = fabric_join(both.arena, 3, 3, 2, (uint32_t[][2]){{0, 1}, {1, 2}});
    both_configure(&both);
    packets_run(&both);
    flow_run(&both);
    must(both.status, &both.diag);
    CHECK_NEAR(both.flow.makespan_ps, both.packet_ps, 0.005);
    arena_free(both.arena);
}

/* Host 0 of leaf 3 reaches host 1 by both spines and host 2 by one only. */
static void test_partial_bundles_are_refused(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag = {""};
    struct fabric *fabric = fabric_join(
        arena, 3, 8, 8, (uint32_t[][2]){{0, 3}, {1, 4}, {2, 5}, {3, 6}, {3, 7}, {4, 6}, {4, 7}, {5, 6}});
    struct platform_config config = {
        .fabric = fabric, .routes = routes_new(fabric, arena), .shape = {4150, 64, 64, {0}}, .is_sprayed = true};
    struct platform *sprayed = platform_new(arena, &config);
    platform_add(sprayed, 0, 1, 1000);
    platform_add(sprayed, 0, 2, 1000);
    CHECK_EQUAL(platform_route(sprayed, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "hand-made: SimGrid cannot spray from host 0 to host 2");
    config.is_sprayed = false;
    struct platform *hashed = platform_new(arena, &config);
    platform_add(hashed, 0, 1, 1000);
    platform_add(hashed, 0, 2, 1000);
    CHECK_EQUAL(platform_route(hashed, &diag), STATUS_OK);
    arena_free(arena);
}

/* One pair over two tiers: 1 host link, 4 uplinks as one, 4 downlinks as one, 1 host link. */
static void test_bundles(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag;
    struct fabric_config loaded;
    const struct trace_setting sets[] = {
        {"radix", "8", {0}}, {"tiers", "2", {0}}, {"link_delay", "1us", {0}}};
    must(fabric_load("fat_tree", sets, 3, 0, arena, &loaded, &diag), &diag);
    const struct fabric *fabric = loaded.fabric;
    const struct platform_config config = {
        .fabric = fabric, .routes = routes_new(fabric, arena), .shape = {4150, 64, 64, {0}}, .is_sprayed = true};
    struct platform *platform = platform_new(arena, &config);
    platform_add(platform, 0, 31, 1000);
    platform_add(platform, 0, 31, 3000);
    CHECK_EQUAL(platform_route(platform, &diag), STATUS_OK);
    CHECK_EQUAL(platform->pair_count, 1);
    CHECK_EQUAL(platform->link_count, 4);
    CHECK_EQUAL(platform->links[1].rate_bps, 4 * fabric->rate_bps[0]);
    CHECK_EQUAL(platform->links[3].rate_bps, fabric->rate_bps[0]);
    CHECK_EQUAL(platform_latency_ps(platform, 0, 31), 4 * PS_PER_US + 3 * 83 * PS_PER_NS);
    uint64_t *port_bytes = arena_array(arena, fabric->port_count, uint64_t), sum_bytes = 0;
    platform_port_bytes(platform, port_bytes);
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        sum_bytes += port_bytes[port];
    }
    CHECK_EQUAL(port_bytes[0], 4000);
    CHECK_EQUAL(sum_bytes, 4 * 4000);
    arena_free(arena);
}

/* 4,150 B in cells of 1,000 B, 50 B of each header: 5,000 B on the wire. */
static void test_cells_take_their_share(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag;
    struct fabric *fabric = fabric_join(arena, 2, 3, 2, (uint32_t[][2]){{0, 2}, {1, 2}});
    const struct platform_config config = {.fabric = fabric, .routes = routes_new(fabric, arena), .is_sprayed = true,
                                           .shape = {4150, 64, 64, {1000, 50, true}}};
    struct platform *platform = platform_new(arena, &config);
    platform_add(platform, 0, 1, 1000);
    CHECK_EQUAL(platform_route(platform, &diag), STATUS_OK);
    CHECK_EQUAL(platform->link_count, 2);
    CHECK_EQUAL(platform->links[0].rate_bps, fabric->rate_bps[0] / 5000 * 4150);
    CHECK_EQUAL(platform->links[0].latency_ps, link_delay_ps(fabric, 0) + fabric->node_latency_ps[2] +
                                                   5 * serialisation_ps(1000, fabric->rate_bps[0]));
    arena_free(arena);
}

/* ---- results, refusals, ends --------------------------------------------------------------------------- */

static void test_results(void)
{
    if (is_missing()) {
        return;
    }
    struct both both = run("ring_allreduce,ranks=8,bytes=64MiB,count=2", "htsim-128", "");
    const uint64_t ring_bytes = 2 * 2 * 7 * (UINT64_C(64) << 20) / 8;
    for (uint32_t id = 0; id < 8; id++) {
        struct replay_rank rank;
        replay_rank(both.sim->replay, id, 0, &rank);
        CHECK_EQUAL(both.flow.ranks[id].done_ops, rank.op_count);
        CHECK_EQUAL(both.flow.ranks[id].sent_bytes, ring_bytes);
        CHECK_EQUAL(both.flow.ranks[id].received_bytes, ring_bytes);
        CHECK_NEAR(both.flow.ranks[id].end_ps, rank.end_ps, 0.03);
    }
    CHECK_EQUAL(both.flow.call_count, 2);
    CHECK_EQUAL(both.flow.calls[1].ended, 8);
    CHECK_TEXT(both.flow.calls[1].algorithm->name, "ring");
    CHECK_EQUAL(both.stats.fct_ps.count, both.flow.message_count);
    uint64_t packets = 2 * 2 * 7 * shape_packets(&both.config.shape, 8 << 20); /* of each host */
    CHECK_EQUAL(both.flow.port_bytes[both.fabric->port_first[3]], ring_bytes + 64 * packets);
    arena_free(both.arena);
}

static void test_two_runs_have_one_digest(void)
{
    if (is_missing()) {
        return;
    }
    uint64_t digest[3];
    for (size_t i = 0; i < 3; i++) {
        struct both both = prepare("random,ranks=32,bytes=1MiB,count=3", "htsim-128", "routing.balance=ecmp");
        both.config.seed = 1 + i / 2;
        flow_run(&both);
        must(both.status, &both.diag);
        digest[i] = both.flow.digest;
        arena_free(both.arena);
    }
    CHECK_EQUAL(digest[0], digest[1]);
    CHECK(digest[0] != digest[2]); /* other paths */
}

static void refused(const char *spec, const char *settings, const char *part)
{
    struct both both = prepare("ring_allreduce,ranks=8,bytes=1MiB", spec, settings);
    flow_run(&both);
    CHECK_EQUAL(both.status, STATUS_INPUT);
    CHECK_HOLDS(both.diag.text, part);
    CHECK(strchr(both.diag.text, '\n') == NULL);
    arena_free(both.arena);
}

static void test_refusals(void)
{
    if (!flow_simgrid_is_built_in()) {
        refused("clos-dsp", "", "install libsimgrid-dev");
        return;
    }
    refused("optical_patch", "", "has optical circuits");
    refused("clos-dsp", "queue=200kB", "queues of clos-dsp are bounded");
}

/* Two ranks that each wait for the other's message before they send their own. */
static const struct job *job_that_waits(struct arena *arena)
{
    struct diag diag;
    struct job_builder *builder = job_builder_new(arena, "waits", "test", 2);
    for (uint32_t rank = 0; rank < 2; rank++) {
        job_builder_rank(builder, rank);
        struct op op = {.kind = OP_RECV, .bytes = 1000, .peer = 1 - rank, .stream = STREAM_NONE};
        uint32_t receive = job_builder_op(builder, &op);
        op.kind = OP_SEND;
        job_builder_dep(builder, job_builder_op(builder, &op), receive);
        must(job_builder_rank_end(builder, "test", &diag), &diag);
    }
    const struct job *job;
    must(job_builder_finish(builder, &job, &diag), &diag);
    return job;
}

static void test_deadlock_is_explained(void)
{
    if (is_missing()) {
        return;
    }
    struct both both = both_new();
    both.job = job_that_waits(both.arena);
    both_load(&both, "clos-dsp", "");
    both_configure(&both);
    flow_run(&both);
    CHECK_EQUAL(both.status, STATUS_DEADLOCK);
    CHECK_EQUAL(both.flow.done_ops, 0);
    CHECK_HOLDS(both.flow.explanation, "rank 1");
    CHECK_HOLDS(both.flow.explanation, "waits for a message of rank 0");
    arena_free(both.arena);
}

static void test_early_ends(void)
{
    if (is_missing()) {
        return;
    }
    struct both both = prepare("ring_allreduce,ranks=8,bytes=64MiB", "htsim-128", "");
    both.config.until_ps = 500 * PS_PER_US; /* of 2430 us */
    flow_run(&both);
    CHECK_EQUAL(both.status, STATUS_OK);
    CHECK(!both.flow.is_complete);
    CHECK_EQUAL(both.flow.message_count, 8 * 2); /* 172 us each */
    both.config.until_ps = TIME_NEVER_PS;
    const volatile int interrupted = 1;
    both.config.interrupted = &interrupted;
    flow_run(&both);
    CHECK_EQUAL(both.status, STATUS_INTERRUPTED);
    arena_free(both.arena);
}

TEST_MAIN("simgrid", TEST(test_single_messages), TEST(test_ring_all_reduce), TEST(test_all_gather),
          TEST(test_all_to_all), TEST(test_what_is_left), TEST(test_shared_links),
          TEST(test_connections), TEST(test_hosts_that_forward), TEST(test_partial_bundles_are_refused), TEST(test_bundles), TEST(test_cells_take_their_share),
          TEST(test_results), TEST(test_two_runs_have_one_digest), TEST(test_refusals),
          TEST(test_deadlock_is_explained), TEST(test_early_ends))
