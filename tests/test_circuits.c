/* Fabrics whose circuits are planned: what they build, and the figures that they are known for.
 *
 * Asserted: counts of published systems; that the figure of each family comes from what defines it (it changes when
 * that is switched off); how bad input is refused. Not asserted: what every family has in common (test of the table of
 * families), what planners join (test_plan.c), what a controller does when (test_controller.c). */
#include "netsim/fabric_facts.h"
#include "netsim/fabric_load.h"
#include "netsim/route/route.h"
#include "netsim/route/shortest.h"
#include "netsim/run.h"
#include "tests/check.h"
#include "tests/support_run.h"

struct loaded {
    struct arena *arena;
    struct fabric_config config;
    struct fabric *fabric;
    struct diag diag;
    enum status status;
};

/* `settings` is "key=value|key=value". */
static struct loaded load(const char *spec, const char *settings, uint32_t hosts_wanted)
{
    struct loaded loaded = {.arena = arena_new("test")};
    struct trace_setting sets[SETTINGS_MAX];
    size_t count = settings_split_at(loaded.arena, settings, "|", sets);
    loaded.status = fabric_load(spec, sets, count, hosts_wanted, loaded.arena, &loaded.config, &loaded.diag);
    loaded.fabric = loaded.config.fabric;
    return loaded;
}

static struct loaded good(const char *spec, const char *settings, uint32_t hosts_wanted)
{
    struct loaded loaded = load(spec, settings, hosts_wanted);
    if (loaded.status != STATUS_OK) {
        printf("%s\n", loaded.diag.text);
        CHECK_EQUAL(loaded.status, STATUS_OK);
        exit(1); /* what follows would walk a fabric that is not there */
    }
    return loaded;
}

static void refused(const char *spec, const char *settings, uint32_t hosts, const char *part)
{
    struct loaded loaded = load(spec, settings, hosts);
    CHECK_EQUAL(loaded.status, STATUS_INPUT);
    CHECK_HOLDS(loaded.diag.text, part);
    CHECK_HOLDS(loaded.diag.text, "--set");
    CHECK(strchr(loaded.diag.text, '\n') == NULL);
    arena_free(loaded.arena);
}

/* The summary of a run that must end well; `job` NULL: that of the trace. */
static struct result_summary ran(const char *trace, const struct job *job, const char *fabric, const char *settings,
                                 uint32_t iterations)
{
    struct arena *arena = arena_new("test");
    struct trace_setting sets[SETTINGS_MAX];
    struct run_request request = whole_request(trace, fabric);
    request.iterations = iterations;
    request.settings = sets;
    request.setting_count = settings_split_at(arena, settings, "|", sets);
    struct result_summary summary = whole_run_good(request, job, NULL, arena).summary;
    arena_free(arena);
    return summary;
}

static double ran_us(const char *trace, const char *fabric, const char *settings)
{
    return (double)ran(trace, NULL, fabric, settings, 1).makespan_ps / 1e6;
}

/* ---- cubes and optical switches ------------------------------------------------------------------------------ */

static uint32_t peers_between(const struct fabric *fabric, uint32_t left, uint32_t right)
{
    uint32_t count = 0;
    for (uint32_t port = fabric->port_first[left]; port < fabric->port_first[left + 1]; port++) {
        count += fabric->port_peer[port] != ID_NONE && fabric->port_node[fabric->port_peer[port]] == right;
    }
    return count;
}

/* 96 optical ends a cube; a pod of 64 cubes has 6144 of them (Jouppi et al., ISCA 2023); six links a chip. */
static void test_cubes_have_their_optical_ends(void)
{
    static const struct {
        const char *shape;
        uint32_t chips, ends;
    } slices[] = {{"4x4x4", 64, 96}, {"4x4x8", 128, 192}, {"8x8x8", 512, 768}, {"16x16x16", 4096, 6144},
                  {"2x4x4", 32, 0},  {"1x1x2", 2, 0}};
    for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++) {
        char set[32];
        snprintf(set, sizeof set, "shape=%s", slices[i].shape);
        struct loaded loaded = good("tpu-v4-slice", set, 0);
        CHECK_EQUAL(loaded.fabric->host_count, slices[i].chips);
        CHECK_EQUAL(loaded.fabric->optical_count, slices[i].ends > 0);
        CHECK_EQUAL(slices[i].ends > 0 ? loaded.fabric->optical[0].port_count : 0, slices[i].ends);
        CHECK_EQUAL(loaded.fabric->circuit_count, slices[i].ends / 2);
        for (uint32_t port = 0; slices[i].ends > 0 && port < loaded.fabric->port_count; port++) {
            CHECK(loaded.fabric->port_up_ps[port] == 0 || loaded.fabric->port_up_ps[port] == 13 * PS_PER_MS);
        }
        CHECK(slices[i].ends == 0 || loaded.fabric->port_first[1] == 6);
        arena_free(loaded.arena);
    }
}

/* Optics of a pod: below 3 % of its power (TPU v4 paper): boxes alone, at 108 W each and 170 W a chip. */
static void test_optical_switches_of_a_pod_are_cheap(void)
{
    struct loaded loaded = good("tpu-v4-slice", "shape=16x16x16", 0);
    struct fabric_facts facts;
    fabric_facts(loaded.fabric, loaded.arena, &facts);
    double boxes_w = 0;
    for (uint32_t i = 0; i < facts.row_count; i++) {
        boxes_w += strcmp(facts.rows[i].class, "ocs") == 0 ? facts.rows[i].static_pj * 1e-12 : 0;
    }
    CHECK_NEAR(boxes_w, 46 * 108.0, 1e-9);
    CHECK(boxes_w < 0.03 * 4096 * 170);
    arena_free(loaded.arena);
}

/* The closing link of the first short row goes half-way round the long dimension. */
static void test_twist_shifts_the_closing_links(void)
{
    struct loaded loaded = good("tpu-v4-twisted", "", 0);
    CHECK_EQUAL(peers_between(loaded.fabric, 3, 0 + 16 * 4), 1);
    CHECK_EQUAL(peers_between(loaded.fabric, 3, 0), 0);
    CHECK_EQUAL(peers_between(loaded.fabric, 16 * 7, 0), 1);
    arena_free(loaded.arena);
    loaded = good("tpu-v4-slice", "shape=4x8x8|twisted=yes", 0);
    CHECK_EQUAL(peers_between(loaded.fabric, 3, 0 + 4 * 4 + 32 * 4), 1);
    CHECK_EQUAL(peers_between(loaded.fabric, 4 * 7, 0), 1);
    arena_free(loaded.arena);
}

/* Mean hops from chip 0; by hand 4 and 5 times n / (n - 1) for the regular ones. */
static double mean_hops(const char *settings)
{
    struct loaded loaded = good("tpu-v4-slice", settings, 0);
    uint32_t nodes = loaded.fabric->node_count, chips = loaded.fabric->host_count;
    uint32_t *distance = arena_array(loaded.arena, nodes, uint32_t), *queue = arena_array(loaded.arena, nodes, uint32_t);
    uint64_t sum = 0;
    shortest_distances(loaded.fabric, 0, distance, queue);
    for (uint32_t chip = 0; chip < chips; chip++) {
        sum += distance[chip];
    }
    arena_free(loaded.arena);
    return (double)sum / (chips - 1);
}

static double all_to_all_us(const char *settings, uint32_t chips, uint32_t kib)
{
    char trace[80], all[160];
    snprintf(trace, sizeof trace, "pattern:alltoall,ranks=%u,bytes=%uKiB", chips, chips * kib);
    snprintf(all, sizeof all, "%s|ocs=none|replay.all_to_all_concurrency=1000", settings);
    return ran_us(trace, "tpu-v4-slice", all);
}

/* Published: 1.63 times on 4x4x8 and 1.31 times on 4x8x8 (Jouppi et al., ISCA 2023, recalled). Packets take any
 * shortest way, each drawn anew; then the dimensions of a twisted torus carry the same, and the busiest link of the
 * regular one carries its dimension's mean hops over two: bounds 1.75 and 1.39, which no routing passes. */
static void test_twisted_torus_is_faster(void)
{
    double regular = mean_hops("shape=4x4x8"), twisted = mean_hops("shape=4x4x8|twisted=yes");
    CHECK_NEAR(regular, 4.0 * 128 / 127, 1e-9);
    double bound = 2.0 * 128 / 127 / 2 / (twisted / 6);
    double ratio = all_to_all_us("shape=4x4x8", 128, 32) / all_to_all_us("shape=4x4x8|twisted=yes", 128, 32);
    printf("4x4x8: twisted all-to-all %.2f times faster; bound %.2f, published 1.63\n", ratio, bound);
    CHECK(ratio > 1.63 * 0.9 && ratio < 1.63 * 1.1 && ratio < bound * 1.01);
    regular = mean_hops("shape=4x8x8");
    twisted = mean_hops("shape=4x8x8|twisted=yes");
    CHECK_NEAR(regular, 5.0 * 256 / 255, 1e-9);
    bound = 2.0 * 256 / 255 / 2 / (twisted / 6);
    ratio = all_to_all_us("shape=4x8x8", 256, 16) / all_to_all_us("shape=4x8x8|twisted=yes", 256, 16);
    printf("4x8x8: twisted all-to-all %.2f times faster; bound %.2f, published 1.31\n", ratio, bound);
    CHECK(ratio > 1.31 * 0.9 && ratio < 1.31 * 1.1 && ratio < bound * 1.01);
}

static void test_bad_slices_are_refused(void)
{
    refused("tpu-v4-slice", "shape=4x4x6", 0, "shape 4x4x6 does not divide into cubes of 4x4x4");
    refused("tpu-v4-slice", "shape=4x4", 0, "expected three multiples of 4");
    refused("tpu-v4-slice", "shape=4x4x4|twisted=yes", 0, "4x4x4 cannot be twisted; expected k x k x 2k");
    refused("tpu-v4-slice", "shape=4x8x16|twisted=yes", 0, "4x8x16 cannot be twisted");
    refused("tpu-v4-slice", "ocs=dr4_400g_dsp", 0, "expected one of class ocs");
}

/* ---- rails of optical switches ------------------------------------------------------------------------------- */

/* Llama-3 8B, tensor 2, pipeline 2, data 4, gradients reduced after the last backward pass; a thousandth of every buffer
 * and compute time, so a microsecond here stands for a millisecond. */
static const struct job *dense_job(struct arena *arena)
{
    static const char *const settings[][2] = {{"tp", "2"}, {"pp", "2"}, {"dp", "4"}, {"shrink", "1000"},
                                              {"bucket", "1000000000000"}};
    const struct trace_model *model;
    struct diag diag = {""};
    CHECK_EQUAL(trace_model_load("llama3-8b", arena, &model, &diag), STATUS_OK);
    void *values = param_defaults(&model->params, arena);
    const struct job *job = NULL;
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        CHECK_EQUAL(param_assign(&model->params, values, settings[i][0], settings[i][1], (struct origin){"test", 0, 0},
                                 arena, &diag), STATUS_OK);
    }
    CHECK_EQUAL(model->generate(model, values, arena, &job, &diag), STATUS_OK);
    return job;
}

static struct result_summary rails(const struct job *job, uint32_t switch_us, const char *more)
{
    char settings[400];
    snprintf(settings, sizeof settings,
             "server_gpus=2|nvlink_switches=1|packet.size=16383B|part.palomar.settle=%uus|part.palomar.relock=0us|"
             "part.palomar.control=0us%s",
             switch_us, more);
    return ran("llama3-8b", job, "photonic-rails-h100", settings, 2);
}

/* Published: below 6 % slower at 10 ms, to 2048 GPUs (Opus). Flat while changes hide behind compute, then linear: every
 * change that is left costs what it takes. */
static void test_rails_are_flat_then_linear(void)
{
    struct arena *arena = arena_new("test");
    const struct job *job = dense_job(arena);
    static const uint32_t switch_us[] = {0, 10, 100, 1000, 2000, 3000};
    double time_us[6];
    for (size_t i = 0; i < 6; i++) {
        struct result_summary summary = rails(job, switch_us[i], "");
        time_us[i] = (double)summary.iteration_time_ps / 1e6;
        printf("rails: switch time %u ms, step %.0f ms, %+.1f %%, dark %.0f ms of it exposed %.0f ms\n", switch_us[i],
               time_us[i], 100 * (time_us[i] / time_us[0] - 1), (double)summary.reconfiguration_ps / 1e6,
               (double)summary.reconfiguration_exposed_ps / 1e6);
        CHECK(i == 0 || time_us[i] > 0.99 * time_us[i - 1]);
        CHECK(summary.reconfiguration_exposed_ps <= summary.reconfiguration_ps);
    }
    CHECK(time_us[1] < 1.06 * time_us[0]);
    CHECK(time_us[1] < 1.01 * time_us[0]); /* flat here */
    CHECK(time_us[3] > 1.3 * time_us[0]);
    CHECK_NEAR(time_us[5] - time_us[4], time_us[4] - time_us[3], 0.05);
    arena_free(arena);
}

/* Circuits set when asked for cost more than those set ahead; circuits that do not look at the demand more than those that
 * do; and circuits that are not changed at all do not exist here. */
static void test_rails_need_their_planner(void)
{
    struct arena *arena = arena_new("test");
    const struct job *job = dense_job(arena);
    uint64_t ahead_ps = rails(job, 100, "").iteration_time_ps;
    uint64_t asked_ps = rails(job, 100, "|ahead=no").iteration_time_ps;
    struct result_summary cyclic = rails(job, 100, "|planner=cyclic");
    CHECK(asked_ps > ahead_ps + ahead_ps / 100);
    CHECK(cyclic.iteration_time_ps > ahead_ps + ahead_ps / 20);
    arena_free(arena);
}

/* With four ports both phases would fit at once, but a phase's circuits are doubled instead; where changes do not pay,
 * circuits are kept and nothing is ever dark again. */
static void test_rails_change_only_if_it_pays(void)
{
    struct arena *arena = arena_new("test");
    const struct job *job = dense_job(arena);
    struct result_summary always = rails(job, 1000, ""), paying = rails(job, 1000, "|pays=yes");
    CHECK(paying.iteration_time_ps <= always.iteration_time_ps + always.iteration_time_ps / 100);
    arena_free(arena);
}

/* Static watts of a fabric without GPUs, NICs and scale-up. */
static double network_w(const char *spec, const char *settings, uint32_t hosts)
{
    struct loaded loaded = good(spec, settings, hosts);
    struct fabric_facts facts;
    double watts = 0;
    fabric_facts(loaded.fabric, loaded.arena, &facts);
    for (uint32_t i = 0; i < facts.row_count; i++) {
        const struct energy_row *row = &facts.rows[i];
        bool is_ours = row->use == ENERGY_NETWORK && strcmp(row->class, "nic") != 0 && strcmp(row->part, "nvswitch3") != 0;
        watts += is_ours ? row->static_pj * 1e-12 : 0;
    }
    arena_free(loaded.arena);
    return watts;
}

/* Published: above 23 times less network power. GPUs' own modules stay; what rails lose are switches and the modules at
 * them. 1024 GPUs, 128 servers, fill the optical switches. */
static void test_rails_save_power(void)
{
    double leaves_w = network_w("rail-h100", "nvswitch=none", 1024);
    double rails_w = network_w("photonic-rails-h100", "degree=1|link_rate=400Gbps|nvswitch=none", 1024);
    double leaves_side_w = network_w("rail-h100", "nvswitch=none|host_module=none", 1024);
    double rails_side_w = network_w("photonic-rails-h100", "degree=1|link_rate=400Gbps|nvswitch=none|module=none", 1024);
    printf("rails: %.1f times less static power than leaves and spines, %.1f times without the GPUs' modules\n",
           leaves_w / rails_w, leaves_side_w / rails_side_w);
    CHECK_NEAR(rails_side_w, 8 * 108.0, 1e-9);
    CHECK(leaves_side_w > 23 * rails_side_w);
    CHECK(leaves_w > 5 * rails_w);
}

/* ---- blocks joined directly ------------------------------------------------------------------------------------- */

#define PAIRS "pattern:permutation,ranks=64,bytes=4MB"

/* By hand: 8 blocks of 8 hosts and 8 fibres; the mesh gives 7, demand the rest. A packet without transit waits for the few
 * circuits of its pair. */
static void test_blocks_need_transit_and_planner(void)
{
    const char *base = "block_hosts=8|ocs=none";
    double transit_us = ran_us(PAIRS, "jupiter", base);
    double direct_us = ran_us(PAIRS, "jupiter", "block_hosts=8|ocs=none|transit=none");
    double always_us = ran_us(PAIRS, "jupiter", "block_hosts=8|ocs=none|transit=always");
    double blind_us = ran_us(PAIRS, "jupiter", "block_hosts=8|ocs=none|transit=none|planner=strides");
    double clos_us = ran_us(PAIRS, "clos-dsp", "");
    printf("blocks: permutation %.0f us, all by transit %.0f, none %.0f, none and circuits by strides %.0f; Clos %.0f\n",
           transit_us, always_us, direct_us, blind_us, clos_us);
    CHECK(transit_us < 0.8 * direct_us);
    CHECK(direct_us < 0.9 * blind_us);
    CHECK(clos_us < transit_us);
    CHECK(transit_us < always_us);
}

/* Published: 41 % less power without the spine. */
static void test_blocks_save_the_spine(void)
{
    double blocks_w = network_w("jupiter", "", 256), clos_w = network_w("clos-dsp", "", 256);
    printf("blocks: %.0f %% less static power than a Clos, NICs left out; published 41 %%\n", 100 * (1 - blocks_w / clos_w));
    CHECK(blocks_w < 0.75 * clos_w && blocks_w > 0.45 * clos_w);
}

/* ---- packets for mice, circuits for elephants -------------------------------------------------------------------- */

/* A 4:1 network alone, with circuits for elephants, and one that is not oversubscribed. */
static void test_elephants_take_circuits(void)
{
    double circuits_us = ran_us(PAIRS, "helios", "ocs=none");
    double mice_us = ran_us(PAIRS, "helios", "ocs=none|elephant=5MB"); /* no message is one */
    double none_us = ran_us(PAIRS, "helios", "ocs=none|planner=none");
    double full_us = ran_us(PAIRS, "helios", "ocs=none|planner=none|leaf_up=16");
    printf("hybrid: permutation %.0f us, without elephants %.0f, no oversubscription %.0f\n", circuits_us, mice_us, full_us);
    CHECK(circuits_us < 0.75 * mice_us);
    CHECK_NEAR(mice_us, none_us, 1e-9);
    CHECK(full_us < circuits_us);
}

/* One pair alone: its circuit's rate, by hand: 4 MB in packets of 4150 B with 64 B of header at 400 Gbit/s. */
static void test_an_elephant_alone(void)
{
    double time_us = ran_us("pattern:sendrecv,ranks=64,src=3,dst=60,bytes=4MB", "helios", "ocs=none|link_rate=100Gbps");
    double wire_us = 4e6 * 4150 / 4086 * 8 / 400e3;
    CHECK(time_us > wire_us && time_us < wire_us + 10);
    time_us = ran_us("pattern:sendrecv,ranks=64,src=3,dst=60,bytes=4MB", "helios", "");
    CHECK(time_us > wire_us + 13000 - 1 && time_us < wire_us + 13000 + 20); /* set at the start, or asked for */
}

/* Break-even: nine times as many bytes as the circuit carries in its dark time keep that at a tenth of the whole (9 GB for
 * 10 ms at 800 Gbit/s). */
static void test_break_even(void)
{
    const char *elephant = "pattern:sendrecv,ranks=64,src=3,dst=60,bytes=4500kB";
    double time_us = ran_us(elephant, "helios", "part.palomar.settle=4us|part.palomar.relock=3us|part.palomar.control=3us");
    double lit_us = ran_us(elephant, "helios", "ocs=none");
    CHECK_NEAR((time_us - lit_us) / time_us, 0.1, 0.2);
}

/* Matchings in turn: all 23 of 24 hosts, each pair of hosts by its circuit; bytes over circuits and nothing over the network
 * but acknowledgements. */
static void test_matchings_in_turn(void)
{
    struct result_summary turns = ran("pattern:alltoall,ranks=24,bytes=2400kB", NULL, "mordia",
                                      "replay.all_to_all_concurrency=23", 1);
    CHECK(turns.reconfiguration_count >= 23 * 12);
    CHECK(turns.reconfiguration_count < 40 * 12);
    CHECK(turns.reconfiguration_exposed_ps > turns.reconfiguration_ps / 2);
}

/* ---- regional circuits for experts -------------------------------------------------------------------------------- */

/* Every rank sends to all ranks of other servers, much to one server (whose experts are popular there), little to the rest. */
static const struct job *experts_job(struct arena *arena, uint32_t ranks, uint32_t gpus, uint64_t hot_bytes, uint64_t cold_bytes)
{
    struct job_builder *builder = job_builder_new(arena, "experts", "test", ranks);
    struct diag diag = {""};
    const struct job *job = NULL;
    for (uint32_t rank = 0; rank < ranks; rank++) {
        job_builder_rank(builder, rank);
        for (uint32_t step = 1; step < ranks; step++) {
            uint32_t to = (rank + step) % ranks, from = (rank + ranks - step) % ranks;
            struct op send = {.kind = OP_SEND, .peer = to, .stream = STREAM_NONE, .name = "send"};
            struct op recv = {.kind = OP_RECV, .peer = from, .stream = STREAM_NONE, .name = "recv"};
            send.bytes = (to / gpus ^ 1) == rank / gpus ? hot_bytes : cold_bytes;
            recv.bytes = (from / gpus ^ 1) == rank / gpus ? hot_bytes : cold_bytes;
            if (to / gpus != rank / gpus) {
                job_builder_op(builder, &send);
            }
            if (from / gpus != rank / gpus) {
                job_builder_op(builder, &recv);
            }
        }
        CHECK_EQUAL(job_builder_rank_end(builder, "test", &diag), STATUS_OK);
    }
    CHECK_EQUAL(job_builder_finish(builder, &job, &diag), STATUS_OK);
    return job;
}

static double experts_us(const struct job *job, const char *fabric, const char *settings)
{
    return (double)ran("experts", job, fabric, settings, 1).makespan_ps / 1e6;
}

#define EXPERTS "server_gpus=4|nvlink_links=4|nvlink_rate=400Gbps|traffic=any|phase=job|ocs=none"

/* Published: as fast as a fat tree of all NICs, with half of them on circuits. By hand: 3 of 4 parts of a rank's bytes go to
 * the hot server, by circuits; without them all four parts share the one NIC. */
static void test_experts_take_circuits(void)
{
    struct arena *arena = arena_new("test");
    const struct job *job = experts_job(arena, 32, 4, 1500000, 83000);
    double mixnet_us = experts_us(job, "mixnet-h100", EXPERTS);
    double network_us = experts_us(job, "mixnet-h100", EXPERTS "|planner=none");
    double double_us = experts_us(job, "mixnet-h100", EXPERTS "|planner=none|link_rate=800Gbps");
    printf("experts: %.0f us, without circuits %.0f us, twice the network instead %.0f us\n", mixnet_us, network_us, double_us);
    CHECK(mixnet_us < 0.85 * network_us);
    CHECK(mixnet_us < 1.6 * double_us);
    arena_free(arena);
}

/* ---- servers at an optical patch ----------------------------------------------------------------------------------- */

/* Sixteen hosts in servers of four: circuits join servers only, any port of one to any of another. */
static void test_patch_joins_servers(void)
{
    struct result_summary servers = ran("pattern:alltoall,ranks=16,bytes=1MB", NULL, "optical-patch",
                                        "server_gpus=4|nvlink_links=4|nvlink_switches=1|ocs=none", 1);
    CHECK_EQUAL(servers.reconfiguration_count, 32); /* 4 servers of 16 ports */
    CHECK_EQUAL(servers.message_count, 16 * 15);
    struct loaded loaded = good("optical-patch", "server_gpus=4|nvlink_links=4|nvlink_switches=1", 16);
    CHECK_EQUAL(loaded.fabric->optical[0].vertex_count, 4);
    arena_free(loaded.arena);
}

/* ---- bad input --------------------------------------------------------------------------------------------------- */

static void test_bad_fabrics_are_refused(void)
{
    refused("jupiter", "hosts=100", 0, "100 hosts do not divide into blocks of 32; expected for example 128");
    refused("jupiter", "hosts=256|uplinks=6", 0, "6 uplinks do not join a block to each of 7 others");
    refused("jupiter", "planner=best", 0, "unknown planner \"best\"");
    refused("mixnet-h100", "nvlink_switches=4", 0, "expected nvlink_switches: 1, not 4");
    refused("mixnet-h100", "region_hosts=100", 0, "100 hosts of a region do not divide into servers of 8; expected for example 104");
    refused("photonic-rails-h100", "hosts=30", 0, "30 hosts do not divide into servers of 8");
    refused("photonic-rails-h100", "phase=layer", 0, "layer");
    refused("helios", "ocs=dr4_400g_dsp", 0, "expected one of class ocs");
    refused("helios", "signal=0ns", 0, "signal");
}

/* A planner that cannot join all pairs, and a plan that needs more ports than a host may have. */
static void test_plans_that_do_not_close_are_refused(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag = {""};
    struct run_result result;
    struct run_request request = whole_request("pattern:alltoall,ranks=32,bytes=32kB", "photonic-rails-h100");
    CHECK_EQUAL(whole_run(request, NULL, "planner=none", arena, &result, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "planner none never joins groups of hosts 0 and 1, which exchange data and have no other way");
    arena_free(arena);
}

/* Cross-rail traffic: data by one rail, acknowledgements by another; nobody waits for ever. */
static void test_all_to_all_over_rails_ends(void)
{
    for (uint32_t patience = 0; patience < 2; patience++) {
        struct result_summary summary = ran("pattern:alltoall,ranks=24,bytes=240kB", NULL, "photonic-rails-h100",
                                            patience == 0 ? "server_gpus=4|nvlink_switches=1"
                                                          : "server_gpus=4|nvlink_switches=1|patience=14ms", 2);
        CHECK_EQUAL(summary.message_count, 2 * 24 * 23);
        CHECK(summary.reconfiguration_count > 0);
    }
}

/* Algorithms of several lanes: the lane is no part of a call's number. Trees have four, and keep to the packet network. */
static void test_lanes_are_of_one_call(void)
{
    struct result_summary tree = ran("pattern:all_reduce,ranks=32,bytes=64KiB,count=2", NULL, "mixnet-h100",
                                     "collective.all_reduce=tree", 2);
    CHECK(tree.message_count > 0);
    CHECK_EQUAL(tree.reconfiguration_count, 0);
    CHECK(ran("pattern:all_reduce,ranks=32,bytes=1MiB,count=3", NULL, "photonic-rails-h100",
              "phase=call|collective.all_reduce=tree", 1).reconfiguration_count > 0);
}

TEST_MAIN("circuits", TEST(test_cubes_have_their_optical_ends), TEST(test_optical_switches_of_a_pod_are_cheap),
          TEST(test_twist_shifts_the_closing_links), TEST(test_twisted_torus_is_faster), TEST(test_bad_slices_are_refused),
          TEST(test_rails_are_flat_then_linear), TEST(test_rails_need_their_planner), TEST(test_rails_change_only_if_it_pays),
          TEST(test_rails_save_power), TEST(test_blocks_need_transit_and_planner), TEST(test_blocks_save_the_spine),
          TEST(test_elephants_take_circuits), TEST(test_an_elephant_alone), TEST(test_break_even), TEST(test_matchings_in_turn),
          TEST(test_experts_take_circuits), TEST(test_patch_joins_servers), TEST(test_bad_fabrics_are_refused),
          TEST(test_plans_that_do_not_close_are_refused), TEST(test_all_to_all_over_rails_ends),
          TEST(test_lanes_are_of_one_call))
