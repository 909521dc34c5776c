/* Small runs of every kind, and what came of them when they were last looked at: tests/golden.csv.
 *
 * Asserted: time, packets, hops, drops and digest of each run are those of the file, whatever the compiler, its flags or
 * the engine. Not asserted: that they are right; a change of the model is a change of the file, to be looked at line by
 * line. `make golden` (PHOTONET_GOLDEN_UPDATE=1) writes it anew. */
#include "netsim/run.h"
#include "tests/check.h"
#include "tests/support_run.h"

#define GOLDEN "tests/golden.csv"
#define HEAD "pattern,fabric,settings,iterations,makespan_ps,packets,packet_hops,drops,digest\n"

struct golden {
    const char *pattern, *fabric, *settings; /* blanks where the command line has commas */
    uint32_t iterations;
};

static const struct golden rows[] = {
    {"sendrecv ranks=128 src=0 dst=127 bytes=2000000B", "htsim-128", "", 1},
    {"permutation ranks=128 bytes=500kB", "htsim-128", "", 1},
    {"permutation ranks=128 bytes=500kB", "htsim-128", "routing.balance=ecmp", 1},
    {"ring_allreduce ranks=16 bytes=4MiB", "fat-tree-128", "", 2},
    {"ring_allreduce ranks=16 bytes=4MiB compute=50us", "clos-dsp", "collective.all_reduce=two_way_ring", 1},
    {"alltoall ranks=32 bytes=2MiB", "clos-cpo", "", 1},
    {"alltoall ranks=32 bytes=2MiB", "clos-dsp-4to1", "routing.balance=ecmp", 1},
    {"all_gather ranks=12 bytes=300kB", "optical-patch", "", 1},
    {"broadcast ranks=10 bytes=3MB root=4 count=2", "clos-lpo", "host.post=700ns", 1},
    {"reduce_scatter ranks=20 bytes=5MB", "fat_tree",
     "tiers=3 radix=8 cut_through=yes link_delay=300ns host_link_rate=200Gbps", 1},
    {"incast ranks=24 bytes=200kB", "fat_tree", "tiers=2 radix=16 queue=100kB link_delay=500ns", 1},
    {"hotspot ranks=64 bytes=90kB count=2 fraction=30%", "fat_tree",
     "tiers=2 radix=16 queue=64kB oversubscription=3:1 packet.size=1500B", 1},
    {"random ranks=64 bytes=10kB count=5", "fat-tree-128", "transport.window=16KiB", 1},
    {"permutation ranks=128 bytes=500kB", "htsim-128", "transport.name=nscc", 1},
    {"alltoall ranks=32 bytes=1MiB", "rail_optimised", "", 1},
    {"ring_allreduce ranks=16 bytes=2MiB", "scale_up", "", 1},
    {"permutation ranks=32 bytes=300kB", "multi_plane", "routing.balance=spray_n", 1},
    {"permutation ranks=1024 bytes=500kB", "htsim-1024", "transport.name=roce", 1}, /* pauses, and batches of all sizes */
    /* The other transports, balances and paths, each where it has something to do. */
    {"incast ranks=24 bytes=300kB", "fat_tree", "tiers=2 radix=16 link_delay=500ns transport.name=eqds transport.queue=8", 1},
    {"hotspot ranks=48 bytes=300kB count=3 fraction=30%", "fat_tree",
     "tiers=2 radix=16 oversubscription=3:1 link_delay=500ns transport.name=eqds routing.balance=reps", 1},
    {"hotspot ranks=48 bytes=300kB count=3 fraction=30%", "fat_tree",
     "tiers=2 radix=16 oversubscription=3:1 link_delay=500ns transport.name=swift routing.balance=ecmp", 1},
    {"incast ranks=24 bytes=2MB", "fat_tree", "tiers=2 radix=16 link_delay=500ns transport.name=swift queue.capacity=100kB", 1},
    {"hotspot ranks=48 bytes=300kB count=3 fraction=30%", "fat_tree",
     "tiers=2 radix=16 oversubscription=3:1 link_delay=500ns transport.name=hpcc transport.ai=300B routing.balance=ecmp", 1},
    {"hotspot ranks=48 bytes=1MB count=3 fraction=30%", "fat_tree",
     "tiers=2 radix=16 oversubscription=3:1 link_delay=500ns transport.name=dcqcn routing.balance=ecmp "
     "transport.raise_interval=11us transport.alpha_interval=10us transport.cut_interval=8us transport.raise_bytes=100kB "
     "queue.ecn_low=100kB queue.ecn_high=400kB", 1},
    {"incast ranks=12 bytes=1MB", "fat_tree",
     "tiers=2 radix=16 link_delay=500ns transport.name=dcqcn transport.repeat=selective queue.lossy=yes queue.capacity=64kB", 1},
    {"hotspot ranks=32 bytes=100kB count=3 fraction=30%", "fat_tree",
     "tiers=2 radix=16 link_delay=500ns transport.name=roce routing.balance=ecmp queue.lossy=yes queue.capacity=100kB", 1},
    {"hotspot ranks=48 bytes=300kB count=3 fraction=30%", "fat_tree",
     "tiers=2 radix=16 oversubscription=3:1 link_delay=500ns transport.name=nscc transport.profile=hardware routing.balance=reps", 1},
    {"incast ranks=40 bytes=1MB", "fat_tree", "tiers=2 radix=16 link_delay=500ns transport.name=nscc links.frame_loss=0.001", 1},
    {"alltoall ranks=64 bytes=1MiB", "torus", "dimensions=4x4x4 hosts_per_router=1 transport.name=credit routing.paths=valiant", 1},
    {"random ranks=64 bytes=50kB count=6", "dragonfly-1056", "transport.name=credit routing.paths=ugal", 1},
    {"random ranks=48 bytes=300kB count=6", "fat_tree",
     "tiers=2 radix=16 oversubscription=3:1 queue=100kB routing.balance=flowlet routing.flowlet_gap=3us host.segment=40kB "
     "host.post_gap=2us", 1},
    {"hotspot ranks=48 bytes=100kB count=3 fraction=30%", "fat_tree",
     "tiers=2 radix=16 oversubscription=3:1 link_delay=500ns queue.adaptive=yes queue.xoff=60kB queue.xon=40kB "
     "queue.pfc_buffer=120kB", 1},
    {"hotspot ranks=48 bytes=100kB count=3 fraction=30%", "fat_tree",
     "tiers=2 radix=16 oversubscription=3:1 link_delay=500ns queue.shared=400kB queue.alpha=1/2 queue.ecn=enqueue "
     "queue.ecn_low=20kB queue.ecn_high=60kB routing.balance=reps", 1},
    {"permutation ranks=32 bytes=300kB", "fat_tree", "tiers=2 radix=8 routing.balance=source links.frame_loss=0.01 links.retry=go_back_n", 1},
};
#define ROW_COUNT (sizeof rows / sizeof rows[0])

static const char *trace_of(struct arena *arena, const char *pattern)
{
    char *trace = arena_printf(arena, "pattern:%s", pattern);
    for (char *blank = strchr(trace, ' '); blank != NULL; blank = strchr(blank, ' ')) {
        *blank = ',';
    }
    return trace;
}

/* The row as the file has it. */
static void row_run(const struct golden *row, char *line, size_t line_bytes)
{
    struct arena *arena = arena_new("test");
    struct diag diag = {""};
    struct run_result result;
    struct run_request request = whole_request(trace_of(arena, row->pattern), row->fabric);
    request.iterations = row->iterations;
    CHECK_EQUAL(whole_run(request, NULL, row->settings, arena, &result, &diag), STATUS_OK);
    CHECK_TEXT(diag.text, "");
    const struct result_summary *summary = &result.summary;
    snprintf(line, line_bytes, "%s,%s,%s,%u,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%016" PRIx64 "\n",
             row->pattern, row->fabric, row->settings, row->iterations, summary->makespan_ps, summary->packet_count,
             summary->packet_hop_count, summary->drop_count, result.digest);
    arena_free(arena);
}

static void golden_write(void)
{
    FILE *file = fopen(GOLDEN, "w");
    CHECK(file != NULL);
    if (file == NULL) {
        return;
    }
    fputs(HEAD, file);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        char line[1024];
        row_run(&rows[i], line, sizeof line);
        fputs(line, file);
    }
    CHECK_EQUAL(fclose(file), 0);
}

static void test_runs_are_as_they_were(void)
{
    if (getenv("PHOTONET_GOLDEN_UPDATE") != NULL) {
        golden_write();
    }
    FILE *file = fopen(GOLDEN, "r");
    char line[1024], wanted[1024] = "";
    CHECK(file != NULL); /* tests run in the root of the repository */
    if (file == NULL) {
        return;
    }
    CHECK(fgets(wanted, sizeof wanted, file) != NULL);
    CHECK_TEXT(wanted, HEAD);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        wanted[0] = '\0';
        CHECK(fgets(wanted, sizeof wanted, file) != NULL);
        row_run(&rows[i], line, sizeof line);
        CHECK_TEXT(line, wanted);
    }
    CHECK(fgets(wanted, sizeof wanted, file) == NULL); /* nothing behind it */
    fclose(file);
}

TEST_MAIN("golden", TEST(test_runs_are_as_they_were))
