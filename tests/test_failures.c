/* Failures of links and switches: what fails when, routes that follow, and jobs that survive.
 * Asserted: every byte is delivered once and the job ends, whatever the transport; equal digests for any number of threads;
 * a cut that stays ends as a deadlock; bad lists are refused. Times and counts at one link: test_engine_gates.c. */
#include "netsim/failures.h"
#include "tests/check.h"
#include "tests/hand.h"

#include <unistd.h>

#define NS PS_PER_NS
#define US PS_PER_US

/* A ring of four switches with a host each; ports of switch 4 + i: host, next, last. */
static struct fabric *ring(struct arena *arena)
{
    static const struct hand_link links[] = {
        {0, 4, 100000000000, 1000}, {1, 5, 100000000000, 1000}, {2, 6, 100000000000, 1000}, {3, 7, 100000000000, 1000},
        {4, 5, 100000000000, 1000}, {5, 6, 100000000000, 1000}, {6, 7, 100000000000, 1000}, {7, 4, 100000000000, 1000}};
    return hand_fabric(arena, 4, 8, links, 8);
}

static struct failures listed(struct arena *arena, const struct fabric *fabric, const struct routes *routes,
                              const char *list, enum status expected, struct diag *diag)
{
    struct scenario_failures scenario = {.reaction_ps = 5 * US, .list = list};
    struct failures failures;
    CHECK_EQUAL(failures_make(&scenario, fabric, routes, 1, arena, &failures, diag), expected);
    return failures;
}

static void test_lists(void)
{
    struct arena *arena = arena_new("test");
    struct fabric *fabric = ring(arena);
    const struct routes *routes = routes_new(fabric, arena);
    struct diag diag = {""};
    struct failures f = listed(arena, fabric, routes, "link 4-5 10us 30us; link 5-4 20us 40us", STATUS_OK, &diag);
    CHECK_EQUAL(f.change_count, 4); /* both reasons are one outage from 10 to 40 us, each way */
    CHECK_EQUAL(f.changes[0].time_ps, 10 * US);
    CHECK_EQUAL(f.changes[3].time_ps, 40 * US);
    CHECK(!f.changes[1].is_up && f.changes[2].is_up);
    CHECK_EQUAL(f.epochs->count, 2);
    CHECK_EQUAL(f.epochs->from_ps[0], 15 * US);
    CHECK_EQUAL(f.epochs->from_ps[1], 45 * US);
    CHECK(f.epochs->routes[0] != routes && f.epochs->routes[1] == routes); /* shared again */
    CHECK_EQUAL(routes_next(routes, 4, 1).count, 1);
    struct port_set set = routes_next(f.epochs->routes[0], 4, 1);
    CHECK_EQUAL(set.count, 1);
    CHECK_EQUAL(fabric->port_node[fabric->port_peer[fabric->port_first[4] + port_set_at(&set, 0)]], 7); /* the long way */
    f = listed(arena, fabric, routes, " node 6 1ms ", STATUS_OK, &diag);
    CHECK_EQUAL(f.change_count, 6);
    CHECK_EQUAL(routes_next(f.epochs->routes[0], 4, 2).count, 0); /* host 2 is cut off */
    CHECK_EQUAL(listed(arena, fabric, routes, NULL, STATUS_OK, &diag).change_count, 0);
    static const char *const bad[] = {"link 4-6 1us", "link 4 1us", "node 8 1us", "node x 1us", "node 4", "node 4 5",
                                      "node 4 5us 4us", "cat 4 5us", "link 4-5 1us 2us 3us", "line 16 1us", "link 4-5x 1us"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        listed(arena, fabric, routes, bad[i], STATUS_INPUT, &diag);
        CHECK_HOLDS(diag.text, "failures.list: \"");
    }
    arena_free(arena);
}

static void test_draws(void)
{
    struct arena *arena = arena_new("test");
    struct fabric *fabric = ring(arena);
    const struct routes *routes = routes_new(fabric, arena);
    struct scenario_failures scenario = {.links = 9, .first_ps = 100 * US, .spread_ps = 50 * US, .repair_ps = 7 * US};
    struct failures f;
    struct diag diag = {""};
    CHECK_EQUAL(failures_make(&scenario, fabric, routes, test_seed(), arena, &f, &diag), STATUS_OK);
    CHECK_EQUAL(f.element_count, 4); /* there are no more */
    CHECK_EQUAL(f.change_count, 16);
    for (size_t i = 0; i < f.change_count; i++) {
        CHECK(f.changes[i].time_ps >= 100 * US && f.changes[i].time_ps < 157 * US);
        CHECK(fabric->port_node[f.changes[i].port] >= 4);
    }
    CHECK(f.changes[0].time_ps != f.changes[f.change_count - 1].time_ps - 7 * US);
    arena_free(arena);
}

/* ---- whole runs ------------------------------------------------------------------------------------------------- */

/* PHOTONET, or photonet beside the folder of the tests. */
static const char *program(void)
{
    static char path[512];
    const char *given = getenv("PHOTONET");
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 16);
    path[length > 0 ? length : 0] = 0;
    char *name = strstr(path, "/tests/");
    if (given == NULL && name != NULL) {
        strcpy(name, "/photonet");
    }
    return given != NULL ? given : path;
}

static void job_run(const char *settings, int expected, const char *part, char *output, size_t output_bytes)
{
    int status = test_shell(output, output_bytes,
                            "%s run --trace pattern:alltoall,ranks=16,bytes=1MiB --fabric fat_tree "
                            "--set radix=4 --set tiers=3 %s -o %s/x.h5", program(), settings, test_directory());
    CHECK_EQUAL(status, expected);
    CHECK_HOLDS(output, part);
}

static uint64_t number_of(const char *json, const char *key)
{
    const char *at = strstr(json, key);
    return at != NULL ? strtoull(at + strlen(key) + 3, NULL, 10) : UINT64_MAX;
}

static void digest_of(const char *output, char digest[32])
{
    const char *at = strstr(output, "digest");
    snprintf(digest, 32, "%.31s", at != NULL ? at : "none");
    digest[strcspn(digest, "\n")] = 0;
}

static void test_jobs_survive(void)
{
    static const char *const transports[] = {"window", "nscc", "dcqcn"};
    char output[8192], settings[512], one[32], three[32];
    for (size_t i = 0; i < sizeof transports / sizeof transports[0]; i++) {
        snprintf(settings, sizeof settings,
                 "--transport %s --set failures.links=4 --set failures.switches=1 --set failures.first=5us "
                 "--set failures.spread=20us --set failures.repair=300us --set failures.reaction=30us --seed %d",
                 transports[i], (int)i);
        job_run(settings, 0, "complete", output, sizeof output);
        digest_of(output, one);
        snprintf(settings + strlen(settings), sizeof settings - strlen(settings), " --threads 3");
        job_run(settings, 0, "complete", output, sizeof output);
        digest_of(output, three);
        CHECK_TEXT(one, three);
        snprintf(settings + strlen(settings), sizeof settings - strlen(settings), " --format json");
        job_run(settings, 0, "complete", output, sizeof output);
        CHECK_EQUAL(number_of(output, "failure_count"), 5);
        CHECK_EQUAL(number_of(output, "useful_bytes"), 16 * 15 * 65536);
        uint64_t lost = number_of(output, "lost_count");
        CHECK(lost > 10 && lost < 100000 && number_of(output, "retransmission_count") >= lost / 2);
    }
}

static void test_a_cut_is_a_deadlock(void)
{
    char output[8192];
    job_run("--set failures.list='node 16 20us'", 3, "is deadlocked", output, sizeof output); /* the leaf of host 0 */
    job_run("--set failures.list='link 3-9 20us'", 2, "is not in this fabric", output, sizeof output);
}

TEST_MAIN("failures", TEST(test_lists), TEST(test_draws), TEST(test_jobs_survive), TEST(test_a_cut_is_a_deadlock))
