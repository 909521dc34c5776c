/* Completion times beside those of the htsim family, on the same scenarios (tests/peers/peers.csv holds
 * theirs).
 *
 * Asserted: the mean over seeds of the minimum, median and 99th percentile of `acked_ps` (permutations), or
 * of the last one (collectives), within the row's tolerance. Not asserted: the maximum, which is one
 * message's bad luck; wall times.
 *
 * Flow lists are the connection matrices that uet-htsim ships (htsim/sim/datacenter/connection_matrices),
 * found in the corpus; rows that need one are skipped without it. The ring and the all-to-all are what its
 * generators (gen_allreduce.py, gen_serialn_alltoall.py) write, once as lists of messages and once through the replay with
 * its modes of the name send_done. Normally only the small rows run, with few
 * seeds; `make golden-peers` runs all and prints the table. */
#include "netsim/base/rng.h"
#include "tests/check.h"
#include "netsim/sim.h"
#include "tests/net.h"
#include "tests/support_run.h"

#include <math.h>

#define SEEDS_MAX 16

enum { METRIC_MIN, METRIC_MEDIAN, METRIC_P99, METRIC_MAX, METRIC_COUNT };
static const char *const metric_names[METRIC_COUNT] = {"min", "median", "p99", "max"};

struct row {
    char name[48], scenario[64], fabric[32], fabric_settings[64], settings[256], source[256];
    double peer_us[METRIC_COUNT], tolerance[METRIC_COUNT]; /* tolerance 0: shown, not asserted */
    bool is_small;
};

/* ---- scenarios -------------------------------------------------------------------------------------------- */

/* "A->B id N start 0 size BYTES" lines of the connection matrix that the scenario's first word names; false
 * where there is no such file. */
static bool matrix_add(struct net *net, const char *name)
{
    char relative[128], line[256];
    snprintf(relative, sizeof relative, "peers/%.*s", (int)strcspn(name, " "), name);
    const char *path = test_corpus(relative);
    FILE *file = path != NULL ? fopen(path, "r") : NULL;
    if (file == NULL) {
        return false;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned src, dst;
        unsigned long long bytes;
        if (sscanf(line, "%u->%u id %*u start 0 size %llu", &src, &dst, &bytes) == 3) {
            net_post(net, net_add(net, src, dst, bytes), 0);
        }
    }
    fclose(file);
    return true;
}

static void order_shuffle(uint32_t *order, uint32_t count, uint64_t seed)
{
    for (uint32_t i = count - 1; i > 0; i--) {
        uint32_t other = rng_below(rng_draw(seed, 4711, i), i + 1), keep = order[i];
        order[i] = order[other];
        order[other] = keep;
    }
}

/* One chain per member, 2n - 1 steps (one more than an all-reduce has); a step starts at the next member the
 * moment the sender of the one before has its last ACK, as uet-htsim's send_done_trigger does. */
static void ring_add(struct net *net, uint32_t members, bool is_sorted, uint64_t bytes, uint64_t seed)
{
    uint32_t order[1024];
    for (uint32_t i = 0; i < members; i++) {
        order[i] = i;
    }
    if (!is_sorted) {
        order_shuffle(order, members, seed);
    }
    for (uint32_t chain = 0; chain < members; chain++) {
        for (uint32_t step = 0; step < 2 * members - 1; step++) {
            uint32_t at = chain + step;
            size_t message = net_add(net, order[at % members], order[(at + 1) % members], bytes);
            if (step == 0) {
                net_post(net, message, 0);
            } else {
                net->messages[message - 1].then = message;
            }
        }
    }
}

/* `parallel` messages of a host at a time, to partners n / parallel apart; each one of a round that is done
 * starts the next one of the next round, whichever it is (a multishot trigger). */
static void all_to_all_add(struct net *net, uint32_t members, uint32_t parallel, uint64_t bytes)
{
    uint32_t rounds = (members - 1) / parallel, left = (members - 1) % parallel;
    for (uint32_t src = 0; src < members; src++) {
        struct net_pool *own = NULL;
        for (uint32_t round = 0; round < rounds + (left > 0); round++) {
            struct net_pool *after = arena_one(net->arena, struct net_pool);
            uint32_t wide = round < rounds ? parallel : left;
            for (uint32_t i = 0; i < wide; i++) {
                uint32_t shift = round < rounds ? round + 1 + i * rounds : parallel * rounds + i + 1;
                size_t message = net_add(net, src, (src + shift) % members, bytes);
                net->messages[message].then_of = after;
                if (round == 0) {
                    net_post(net, message, 0);
                } else if (i == 0) {
                    *own = (struct net_pool){message, message + wide};
                }
            }
            own = after;
        }
    }
}

static bool scenario_add(struct net *net, const char *scenario, uint64_t seed)
{
    unsigned members, parallel;
    unsigned long long bytes;
    char order[16];
    if (sscanf(scenario, "ring %u %15s %llu", &members, order, &bytes) == 3) {
        ring_add(net, members, strcmp(order, "sorted") == 0, bytes, seed);
        return true;
    }
    if (sscanf(scenario, "all_to_all %u %u %llu", &members, &parallel, &bytes) == 3) {
        all_to_all_add(net, members, parallel, bytes);
        return true;
    }
    return matrix_add(net, scenario);
}

/* ---- one run ---------------------------------------------------------------------------------------------- */

static int by_size(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/* The peers' definition: sorted[n / 2] and sorted[0.99 n]; of the messages that are done at end_ps. */
static void metrics_of(const struct net *net, uint64_t end_ps, double *us)
{
    uint64_t *times = arena_array(net->arena, net->count, uint64_t);
    size_t count = 0;
    for (size_t i = 1; i < net->count; i++) {
        if (net->messages[i].acked_ps <= end_ps) {
            times[count++] = net->messages[i].acked_ps;
        }
    }
    qsort(times, count, sizeof *times, by_size);
    size_t at[METRIC_COUNT] = {0, count / 2, (size_t)(0.99 * (double)count), count - 1};
    for (int metric = 0; metric < METRIC_COUNT; metric++) {
        us[metric] = (double)times[at[metric]] * 1e-6;
    }
}

/* The same through the replay, as a user runs it: "replay ring 128 random 262144". One number: the makespan. */
static const struct job *peer_job(struct arena *arena, const char *scenario, uint64_t seed)
{
    char kind[16], order_name[16];
    unsigned members;
    unsigned long long bytes;
    struct diag diag;
    uint32_t group, order[1024];
    CHECK_EQUAL(sscanf(scenario, "replay %15s %u %15s %llu", kind, &members, order_name, &bytes), 4);
    for (uint32_t i = 0; i < members; i++) {
        order[i] = i;
    }
    if (strcmp(order_name, "random") == 0) {
        order_shuffle(order, members, seed);
    }
    struct job_builder *builder = job_builder_new(arena, scenario, "test", members);
    CHECK_EQUAL(job_builder_group(builder, "world", order, members, (struct origin){"test", 0, 0}, &group, &diag), STATUS_OK);
    for (uint32_t rank = 0; rank < members; rank++) {
        const struct op op = {.kind = OP_COLLECTIVE,
                              .collective = strcmp(kind, "ring") == 0 ? COLLECTIVE_ALL_REDUCE : COLLECTIVE_ALL_TO_ALL,
                              .bytes = bytes * members,
                              .group_slot = job_builder_slot(builder, rank, group)};
        job_builder_rank(builder, rank);
        job_builder_op(builder, &op);
        CHECK_EQUAL(job_builder_rank_end(builder, "test", &diag), STATUS_OK);
    }
    const struct job *job = NULL;
    CHECK_EQUAL(job_builder_finish(builder, &job, &diag), STATUS_OK);
    return job;
}

static void replay_run(const struct row *row, struct arena *arena, uint64_t seed, double *us)
{
    struct diag diag = {""};
    struct scenario scenario;
    struct trace_setting settings[SETTINGS_MAX];
    size_t count = settings_split(arena, row->settings, settings);
    CHECK_EQUAL(scenario_load(settings, count, NULL, arena, &scenario, &diag), STATUS_OK);
    const struct sim_config config = {.job = peer_job(arena, row->scenario, seed),
                                      .fabric = net_fabric(arena, row->fabric, row->fabric_settings),
                                      .scenario = &scenario, .seed = seed, .iterations = 1};
    struct sim *sim;
    enum status status = sim_new(arena, &config, &sim, &diag);
    CHECK_EQUAL(status, STATUS_OK);
    if (status == STATUS_OK) {
        sim_run(sim, TIME_NEVER_PS);
        CHECK(replay_is_complete(sim->replay));
        us[METRIC_MAX] = (double)replay_makespan_ps(sim->replay) * 1e-6;
    }
}

static bool row_run(const struct row *row, uint64_t seed, double *us, struct endpoint_counters *ends)
{
    struct arena *arena = arena_new("peers");
    if (strncmp(row->scenario, "replay ", 7) == 0) {
        replay_run(row, arena, seed, us);
        arena_free(arena);
        return true;
    }
    const struct fabric *fabric = net_fabric(arena, row->fabric, row->fabric_settings);
    struct net *net = net_new(arena, fabric, row->settings, seed, NULL);
    bool is_there = scenario_add(net, row->scenario, seed);
    if (is_there) {
        net_run(net);
        net_check_drained(net);
        const char *end = strstr(row->scenario, " end ");
        metrics_of(net, end != NULL ? strtoull(end + 5, NULL, 10) * PS_PER_US : TIME_NEVER_PS, us);
        endpoint_counters(net->endpoint, ends);
    }
    arena_free(arena);
    return is_there;
}

/* ---- rows ------------------------------------------------------------------------------------------------- */

static char *field_next(char **text)
{
    char *field = *text, *end = field + strcspn(field, ",\n");
    *text = *end == ',' ? end + 1 : end;
    *end = 0;
    return field;
}

static void row_parse(char *line, struct row *row)
{
    struct {
        char *to;
        size_t bytes;
    } texts[] = {{row->name, sizeof row->name},
                 {row->scenario, sizeof row->scenario},
                 {row->fabric, sizeof row->fabric},
                 {row->fabric_settings, sizeof row->fabric_settings},
                 {row->settings, sizeof row->settings}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        snprintf(texts[i].to, texts[i].bytes, "%s", field_next(&line));
    }
    row->is_small = strcmp(field_next(&line), "small") == 0;
    for (int metric = 0; metric < METRIC_COUNT; metric++) {
        row->peer_us[metric] = strtod(field_next(&line), NULL);
        row->tolerance[metric] = strtod(field_next(&line), NULL) / 100;
    }
    snprintf(row->source, sizeof row->source, "%s", field_next(&line));
}

static void row_check(const struct row *row, uint32_t seeds)
{
    double sum[METRIC_COUNT] = {0}, low[METRIC_COUNT], high[METRIC_COUNT] = {0}, us[METRIC_COUNT] = {0};
    struct endpoint_counters ends = {0};
    for (uint32_t seed = 1; seed <= seeds; seed++) {
        if (!row_run(row, seed, us, &ends)) {
            printf("  %s: skipped, no %s in the corpus\n", row->name, row->scenario);
            return;
        }
        for (int metric = 0; metric < METRIC_COUNT; metric++) {
            sum[metric] += us[metric];
            low[metric] = seed == 1 || us[metric] < low[metric] ? us[metric] : low[metric];
            high[metric] = us[metric] > high[metric] ? us[metric] : high[metric];
        }
    }
    for (int metric = 0; metric < METRIC_COUNT; metric++) {
        if (row->peer_us[metric] > 0) {
            double ours = sum[metric] / seeds, ratio = ours / row->peer_us[metric];
            bool is_near = fabs(ratio - 1) <= row->tolerance[metric], is_asked = row->tolerance[metric] > 0;
            printf("  %-26s %-7s %10.3f %10.3f  %6.3f  [%.3f .. %.3f] %s\n", row->name, metric_names[metric], ours,
                   row->peer_us[metric], ratio, low[metric], high[metric],
                   !is_asked ? "" : is_near ? "good" : "FAR");
            CHECK(is_near || !is_asked);
        }
    }
}

static void test_rows(void)
{
    const char *all = getenv("PHOTONET_PEERS"), *file_name = getenv("PHOTONET_PEERS_FILE");
    const char *only = getenv("PHOTONET_PEERS_ROW");
    FILE *file = fopen(file_name != NULL ? file_name : "tests/peers/peers.csv", "r");
    CHECK(file != NULL);
    char line[1024];
    printf("\n  %-26s %-7s %10s %10s  %6s\n", "scenario", "", "ours us", "theirs us", "ratio");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        struct row row;
        if (line[0] == '#' || line[0] == '\n') {
            continue;
        }
        row_parse(line, &row);
        if ((only == NULL || strstr(row.name, only) != NULL) && (all != NULL || row.is_small)) {
            row_check(&row, all != NULL ? (uint32_t)strtoul(all, NULL, 10) : 5);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

TEST_MAIN("peers", TEST(test_rows))
