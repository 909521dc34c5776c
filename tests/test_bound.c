/* No fabric beats the bound: the largest, over transmitters, of the bytes sent through it divided by its rate, plus the
 * compute before it; and the same from what the job asks of each host, whatever the engine counted. Latency is left out.
 *
 * Asserted over every preset, with small jobs of which all ranks compute first: an all-reduce, an all-to-all, a
 * permutation. And that at small messages a direct circuit beats a Clos, as it should.
 * Not asserted: how near to the bound a fabric comes. */
#include "netsim/collect.h"
#include "netsim/fabric_load.h"
#include "netsim/run.h"
#include "netsim/sim.h"
#include "tests/check.h"
#include "tests/support_run.h"

#define COMPUTE_PS (20 * PS_PER_US)
#define HOSTS_MAX 4096 /* larger presets take seconds each to lay out their routes */

struct outcome {
    uint64_t makespan_ps, acked_ps; /* the last byte of the job, the last acknowledgement of it */
    uint64_t ports_ps, hosts_ps;
};

/* Ports of a line send one after the other. */
static uint64_t ports_bound_ps(const struct facts *facts, struct arena *arena)
{
    const struct fabric *fabric = facts->fabric;
    uint64_t *line_ps = arena_array(arena, fabric->port_count, uint64_t), most_ps = 0;
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        uint32_t line = fabric->port_line == NULL ? port : fabric->port_line[port];
        uint64_t bytes = facts->ports[port].tx_bytes;
        line_ps[line] += (uint64_t)((unsigned __int128)bytes * 8 * PS_PER_S / fabric->rate_bps[port]);
        most_ps = line_ps[line] > most_ps ? line_ps[line] : most_ps;
    }
    return most_ps;
}

static uint64_t last_acked_ps(const struct flowstats *stats)
{
    uint64_t last_ps = 0;
    for (uint64_t i = 0; i < stats->row_count; i++) {
        last_ps = stats->rows[i].acked_ps > last_ps ? stats->rows[i].acked_ps : last_ps;
    }
    return last_ps;
}

struct sums {
    uint64_t *out_bytes, *in_bytes; /* per rank */
};

static void demand_visit(void *context, uint32_t src, uint32_t dst, uint64_t bytes, uint64_t count)
{
    struct sums *sums = context;
    sums->out_bytes[src] += src == dst ? 0 : bytes * count;
    sums->in_bytes[dst] += src == dst ? 0 : bytes * count;
}

/* Of all lines, each once. */
static uint64_t host_rate_bps(const struct fabric *fabric, uint32_t host)
{
    uint64_t rate_bps = 0;
    for (uint32_t port = fabric->port_first[host]; port < fabric->port_first[host + 1]; port++) {
        bool is_first = true;
        for (uint32_t before = fabric->port_first[host]; fabric->port_line != NULL && before < port; before++) {
            is_first = is_first && fabric->port_line[before] != fabric->port_line[port];
        }
        rate_bps += is_first ? fabric->rate_bps[port] : 0;
    }
    return rate_bps;
}

/* What a rank sends or receives, at the rate of all lines of its host. */
static uint64_t hosts_bound_ps(const struct sim *sim, struct arena *arena)
{
    const struct fabric *fabric = sim->fabric;
    uint32_t ranks = sim->job->rank_count;
    struct sums sums = {arena_array(arena, ranks, uint64_t), arena_array(arena, ranks, uint64_t)};
    replay_demand(sim->replay, demand_visit, &sums);
    uint64_t most_ps = 0;
    for (uint32_t rank = 0; rank < ranks; rank++) {
        uint64_t rate_bps = host_rate_bps(fabric, sim->rank_host[rank]);
        uint64_t bytes =
            sums.out_bytes[rank] > sums.in_bytes[rank] ? sums.out_bytes[rank] : sums.in_bytes[rank];
        uint64_t time_ps = (uint64_t)((unsigned __int128)bytes * 8 * PS_PER_S / rate_bps);
        most_ps = time_ps > most_ps ? time_ps : most_ps;
    }
    return most_ps;
}

static struct outcome run_on(const char *preset, const char *trace, bool *is_large)
{
    struct arena *arena = arena_new("test");
    struct diag diag = {""};
    const struct job *job = NULL;
    struct fabric_config config;
    struct scenario scenario;
    struct run_request request = {.trace = trace};
    struct outcome outcome = {0};
    enum status status = run_read(&request, arena, &job, &diag);
    status = status == STATUS_OK ? fabric_load(preset, NULL, 0, job->rank_count, arena, &config, &diag) : status;
    *is_large = status == STATUS_OK && config.fabric->host_count > HOSTS_MAX;
    if (status == STATUS_OK && !*is_large) {
        struct sim *sim = NULL;
        struct facts facts;
        status = scenario_load(config.left, config.left_count, NULL, arena, &scenario, &diag);
        const struct sim_config sim_config = {.job = job, .fabric = config.fabric, .scenario = &scenario, .seed = 1,
                                              .iterations = 1};
        status = status == STATUS_OK ? sim_new(arena, &sim_config, &sim, &diag) : status;
        if (status == STATUS_OK) {
            sim_run(sim, TIME_NEVER_PS - 1);
            facts_of_sim(sim, 0, arena, &facts);
            CHECK(facts.is_complete);
            outcome = (struct outcome){facts.makespan_ps, last_acked_ps(&sim->stats), ports_bound_ps(&facts, arena),
                                       hosts_bound_ps(sim, arena)};
        }
    }
    if (status != STATUS_OK) {
        printf("%s, %s: %s\n", preset, trace, diag.text);
    }
    CHECK_EQUAL(status, STATUS_OK);
    arena_free(arena);
    return outcome;
}

static void no_preset_beats(const char *trace)
{
    uint32_t tried = 0, large = 0;
    for (const struct fabric_preset *preset = fabric_presets; preset->name != NULL; preset++) {
        bool is_large = false;
        struct outcome outcome = run_on(preset->name, trace, &is_large);
        large += is_large;
        if (!is_large) {
            bool is_bound = outcome.acked_ps >= COMPUTE_PS + outcome.ports_ps &&
                            outcome.makespan_ps >= COMPUTE_PS + outcome.hosts_ps && outcome.hosts_ps > 0;
            if (!is_bound) {
                printf("%s: %" PRIu64 " ps (acknowledged %" PRIu64 ") against %" PRIu64 " by ports, %" PRIu64 " by hosts\n", preset->name,
                       outcome.makespan_ps, outcome.acked_ps, outcome.ports_ps, outcome.hosts_ps);
            }
            CHECK(is_bound);
            tried++;
        }
    }
    printf("%s: %u presets, %u left out as too large\n", trace, tried, large);
    CHECK(tried > 25 && large <= 2);
}

static void test_all_reduce(void)
{
    no_preset_beats("pattern:all_reduce,ranks=8,bytes=256kB,compute=20us");
}

static void test_all_to_all(void)
{
    no_preset_beats("pattern:all_to_all,ranks=8,bytes=128kB,compute=20us");
}

static void test_permutation(void)
{
    no_preset_beats("pattern:permutation,ranks=8,bytes=100kB,compute=20us");
}

/* The bound bites: told of half the rate, the engine's own bytes take longer than the run. */
static void test_bound_can_be_broken(void)
{
    bool is_large;
    struct outcome outcome = run_on("lumorph", "pattern:permutation,ranks=8,bytes=8MB,compute=20us", &is_large);
    CHECK(outcome.makespan_ps < COMPUTE_PS + 2 * outcome.hosts_ps + PS_PER_MS);
    CHECK(outcome.makespan_ps > COMPUTE_PS + outcome.hosts_ps);
    outcome = run_on("clos-dsp", "pattern:permutation,ranks=8,bytes=8MB,compute=20us", &is_large);
    CHECK(outcome.makespan_ps < COMPUTE_PS + 2 * outcome.hosts_ps);
}

/* 8 B between two hosts: light through the patch and no switch, once the circuits are up. */
static void test_direct_circuits_win_at_small_messages(void)
{
    static const char *const fabrics[] = {"clos-dsp", "optical-patch", "lumorph", "infinitehbd"};
    uint64_t fct_ps[4];
    for (size_t i = 0; i < 4; i++) {
        struct arena *arena = arena_new("test");
        const char *trace = "pattern:sendrecv,ranks=32,src=0,dst=31,bytes=8B,compute=20ms";
        struct run_result result = whole_run_good(whole_request(trace, fabrics[i]), NULL, NULL, arena);
        fct_ps[i] = result.summary.fct_max_ps;
        printf("8 B on %s: %.3f us\n", fabrics[i], (double)fct_ps[i] * 1e-6);
        arena_free(arena);
    }
    CHECK(fct_ps[1] < fct_ps[0] && fct_ps[2] < fct_ps[0] && fct_ps[3] < fct_ps[0]);
}

/* A message alone that leaves by several ports at once takes what an idle fabric is said to take: its short last packet may be
 * the only one of its round (25 packets by 4 or 6 ports), or not (5 and 25 by 3 and 18). */
static void test_alone_by_several_ports(void)
{
    static const char *const fabrics[] = {"multi-plane-4x100g", "infinitehbd", "dgx-1", "tpu-v4-cube", "nvl72"};
    static const char *const sizes[] = {"16KiB", "24KiB", "100kB"};
    for (size_t i = 0; i < sizeof fabrics / sizeof fabrics[0]; i++) {
        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
            struct arena *arena = arena_new("test");
            const char *trace = arena_printf(arena, "pattern:sendrecv,ranks=8,dst=1,bytes=%s", sizes[k]);
            struct run_result result = whole_run_good(whole_request(trace, fabrics[i]), NULL, NULL, arena);
            CHECK_NEAR(result.summary.slowdown_p50, 1, 1e-9);
            arena_free(arena);
        }
    }
}

TEST_MAIN("bound", TEST(test_all_reduce), TEST(test_all_to_all), TEST(test_permutation), TEST(test_bound_can_be_broken),
          TEST(test_direct_circuits_win_at_small_messages), TEST(test_alone_by_several_ports))
