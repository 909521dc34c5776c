/* Profiles of transports.
 *
 * Asserted, for every transport that has some and every one of them: each row's value is one that the option takes; the profile
 * resolves to the same configuration, and runs to the same digest, as the list of its options; the first one is what the
 * transport does without; no two run alike; whatever is set by itself wins, wherever it stands. The options do what they say
 * (window, queue, marks, size of what is trimmed, timeout). Unknown profiles and bad values: one line, status 2. Pages and JSON
 * hold the table. Not asserted: that hardware behaves so. */
#include "netsim/profile.h"
#include "tests/check.h"
#include "tests/net.h"
#include "tests/support_run.h"

#include <stdlib.h>
#include <sys/wait.h>

/* ---- what they resolve to ---------------------------------------------------------------------------------- */

/* The options of a profile as "key=value key=value", behind the transport's name. */
static const char *options_list(const struct transport *transport, uint32_t profile, struct arena *arena)
{
    const char *list = arena_printf(arena, "transport.name=%s", transport->name);
    for (uint32_t i = 0; i < transport->profile_row_count; i++) {
        const struct transport_profile_row *row = &transport->profile_rows[i];
        list = row->text[profile] != NULL ? arena_printf(arena, "%s %s=%s", list, row->key, row->text[profile]) : list;
    }
    return list;
}

static const char *profile_setting(const struct transport *transport, uint32_t profile, struct arena *arena)
{
    return arena_printf(arena, "transport.name=%s transport.profile=%s", transport->name,
                        transport_profile_names(transport)[profile]);
}

/* The resolved configuration without the line that names the profile; "" where it was refused, with a note. */
static const char *resolved(const char *settings, struct arena *arena)
{
    struct trace_setting sets[SETTINGS_MAX];
    struct scenario scenario;
    struct diag diag = {0};
    size_t count = settings_split(arena, settings, sets);
    if (scenario_load(sets, count, NULL, arena, &scenario, &diag) != STATUS_OK) {
        fprintf(stderr, "# %s: %s\n", settings, diag.text);
        return "";
    }
    const char *line = strstr(scenario.text, "  profile: ");
    CHECK(line != NULL);
    return arena_printf(arena, "%.*s%s", (int)(line - scenario.text), scenario.text, strchr(line, '\n'));
}

static void rows_check(const struct transport *transport, struct arena *arena)
{
    const char *const *names = transport_profile_names(transport);
    for (uint32_t i = 0; i < transport->profile_row_count; i++) {
        const struct transport_profile_row *row = &transport->profile_rows[i];
        CHECK(row->why != NULL && row->why[0] != '\0' && strchr(row->why, '\n') == NULL);
        for (uint32_t other = 0; other < i; other++) {
            CHECK(strcmp(row->key, transport->profile_rows[other].key) != 0);
        }
        bool is_set = false;
        for (uint32_t profile = 0; names[profile] != NULL; profile++) {
            is_set |= row->text[profile] != NULL;
        }
        CHECK(is_set);
        if (strncmp(row->key, "transport.", 10) == 0) { /* of which the table is complete, and the first column the default */
            const struct param *param = param_find(&transport->params, row->key + 10);
            CHECK(param != NULL && strcmp(param->default_text, row->text[0]) == 0);
        }
    }
    for (uint32_t profile = 0; names[profile] != NULL; profile++) {
        const char *text = resolved(profile_setting(transport, profile, arena), arena);
        CHECK(text[0] != '\0');
        CHECK_TEXT(text, resolved(options_list(transport, profile, arena), arena));
    }
    CHECK_TEXT(resolved(profile_setting(transport, 0, arena), arena),
                 resolved(arena_printf(arena, "transport.name=%s", transport->name), arena));
}

static void test_lists(void)
{
    struct arena *arena = arena_new("test");
    size_t count = 0;
    for (const struct transport *const *transport = transports; *transport != NULL; transport++) {
        const char *const *names = transport_profile_names(*transport);
        CHECK((names != NULL) == ((*transport)->profile_rows != NULL));
        if (names != NULL) {
            uint32_t name_count = 0;
            while (names[name_count] != NULL) {
                name_count++;
            }
            CHECK(name_count >= 2 && name_count <= TRANSPORT_PROFILES_MAX);
            rows_check(*transport, arena);
            count++;
        }
    }
    CHECK(count >= 4);
    arena_free(arena);
}

static void test_own_settings_win(void)
{
    static const char *const cases[][2] = {
        {"transport.name=nscc transport.profile=htsim routing.balance=ecmp", "  balance: ecmp\n"},
        {"routing.balance=ecmp transport.name=nscc transport.profile=htsim", "  balance: ecmp\n"},
        {"transport.window=3 transport.name=nscc transport.profile=htsim", "  window: 3\n"},
        {"transport.name=nscc queue.full=drop transport.profile=hardware", "  full: drop\n"},
        {"transport.name=nscc transport.profile=htsim transport.profile=hardware", "  balance: reps\n"},
        {"host.connections=4 transport.name=roce transport.profile=htsim", "  connections: 4\n"},
        {"packet.size=1500B transport.name=roce transport.profile=htsim", "  size: 1500B\n"},
        {"transport.name=nscc transport.profile=htsim", "  entropies: 64\n"},
        {"transport.name=roce", "  balance: ecmp\n"},
        {"transport.name=nscc", "  balance: spray\n"},
    };
    struct arena *arena = arena_new("test");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_HOLDS(resolved(cases[i][0], arena), cases[i][1]);
    }
    arena_free(arena);
}

/* ---- what they run to --------------------------------------------------------------------------------------- */

static uint64_t digest_of(const char *trace, const char *settings, struct arena *arena)
{
    return whole_run_good(whole_request(trace, "htsim-128"), NULL, settings, arena).digest;
}

/* Some ways collide and one host is asked for more than its link carries: queues fill, mark, trim and pause. */
static void test_runs(void)
{
    static const char trace[] = "pattern:hotspot,ranks=128,bytes=1MB,count=2,fraction=20%,seed=7";
    for (const struct transport *const *transport = transports; *transport != NULL; transport++) {
        const char *const *names = transport_profile_names(*transport);
        uint64_t digests[TRANSPORT_PROFILES_MAX];
        for (uint32_t i = 0; names != NULL && names[i] != NULL; i++) {
            struct arena *arena = arena_new("test");
            digests[i] = digest_of(trace, profile_setting(*transport, i, arena), arena);
            CHECK_EQUAL(digests[i], digest_of(trace, options_list(*transport, i, arena), arena));
            for (uint32_t other = 0; other < i; other++) {
                CHECK(digests[i] != digests[other]);
            }
            arena_free(arena);
        }
    }
}

/* ---- options ------------------------------------------------------------------------------------------------ */

static struct fabric *small_tree(struct arena *arena)
{
    return net_fabric(arena, "htsim-128", "");
}

static double alone_us(const char *settings)
{
    struct arena *arena = arena_new("test");
    struct net *net = net_new(arena, small_tree(arena), settings, 1, NULL);
    net_post(net, net_add(net, 0, 127, 20000000), 0);
    net_run(net);
    double us = (double)net->messages[1].acked_ps / 1e6;
    arena_free(arena);
    return us;
}

/* One message on an idle way: half a bandwidth-delay product in flight is half the rate. */
static void test_window(void)
{
    double full_us = alone_us("transport.name=nscc"), half_us = alone_us("transport.name=nscc transport.window=0.5");
    CHECK(half_us > 1.9 * full_us && half_us < 2.15 * full_us);
    CHECK_NEAR(alone_us("transport.name=nscc transport.window=1.5"), full_us, 1e-9);
    CHECK_NEAR(alone_us("transport.name=nscc transport.window=8"), full_us, 1e-9);
    double slow_start_us = alone_us("transport.name=nscc transport.initial_window=0.5");
    CHECK(slow_start_us > 1.001 * full_us && slow_start_us < half_us);
    CHECK(alone_us("transport.name=nscc transport.window=0.0001") > half_us); /* a packet at a time, but it ends */
    double eqds_us = alone_us("transport.name=eqds"), eqds_way_us = alone_us("transport.name=eqds transport.window=0");
    CHECK(eqds_way_us < eqds_us);
    CHECK(alone_us("transport.name=eqds transport.window=2") > 1.5 * eqds_us);
}

static struct queue_profile queues_of(const char *settings)
{
    struct arena *arena = arena_new("test");
    struct queue_profile queues = net_new(arena, small_tree(arena), settings, 1, NULL)->queues;
    arena_free(arena);
    return queues;
}

/* 12.506 us at 400 Gbit/s are 151 packets (uet-htsim's own figures: capacity 626,650 B, marks from 128,650 to 502,150 B). */
static void test_queues(void)
{
    struct queue_profile plain = queues_of("transport.name=nscc");
    CHECK_EQUAL(plain.class[0].capacity_bytes, 626650);
    CHECK_EQUAL(plain.class[0].mark_low_bytes, 128650);
    CHECK_EQUAL(plain.class[0].mark_high_bytes, 502150);
    CHECK_EQUAL(plain.class[0].full, FULL_TRIM_EITHER);
    CHECK_EQUAL(plain.class[0].mark, MARK_DEQUEUE);
    CHECK_EQUAL(plain.trim_bytes, 64);
    struct queue_profile set = queues_of("transport.name=nscc transport.queue=2 transport.ecn_low=50% transport.ecn_high=100%");
    CHECK_EQUAL(set.class[0].capacity_bytes, 2 * 626650);
    CHECK_EQUAL(set.class[1].capacity_bytes, 4 * 626650);
    CHECK_EQUAL(set.class[0].mark_low_bytes, 626650);
    CHECK_EQUAL(set.class[0].mark_high_bytes, 2 * 626650);
    struct queue_profile hardware = queues_of("transport.name=nscc transport.profile=hardware");
    CHECK_EQUAL(hardware.class[0].full, FULL_TRIM);
    CHECK_EQUAL(hardware.class[0].mark, MARK_ENQUEUE);
    CHECK_EQUAL(hardware.trim_bytes, 256);
    CHECK_EQUAL(queues_of("transport.name=nscc queue.trim_size=100B").trim_bytes, 100);
    CHECK_EQUAL(queues_of("transport.name=dcqcn transport.profile=hardware").class[0].mark_high_bytes, 1500000);
    CHECK_EQUAL(queues_of("transport.name=roce transport.profile=hardware").class[0].xoff_bytes, 859 * 4096);
    CHECK_EQUAL(queues_of("transport.name=roce transport.profile=htsim").class[0].xoff_bytes, 15 * 4150);
}

static uint64_t makespan_ps(const char *trace, const char *settings)
{
    struct arena *arena = arena_new("test");
    uint64_t end_ps = whole_run_good(whole_request(trace, "htsim-128"), NULL, settings, arena).summary.makespan_ps;
    arena_free(arena);
    return end_ps;
}

/* What links lose comes again after the timeout. */
static void test_timeouts(void)
{
    static const char *const names[] = {"nscc", "eqds"};
    static const char trace[] = "pattern:permutation,ranks=128,bytes=500kB";
    for (size_t i = 0; i < 2; i++) {
        char early[128], late[128];
        snprintf(early, sizeof early, "transport.name=%s links.frame_loss=1e-4 transport.rto=100us", names[i]);
        snprintf(late, sizeof late, "transport.name=%s links.frame_loss=1e-4 transport.rto=5ms", names[i]);
        uint64_t early_ps = makespan_ps(trace, early), late_ps = makespan_ps(trace, late);
        CHECK(early_ps > 100 * PS_PER_US && early_ps < 1000 * PS_PER_US);
        CHECK(late_ps > 5000 * PS_PER_US && late_ps < 10000 * PS_PER_US);
    }
}

/* Cut to less than a packet in an interval of increases, a sender goes on when these allow, not a packet's time at that rate
 * later (33 ms at 1 Mbit/s). */
static void test_low_rates(void)
{
    static const char trace[] = "pattern:permutation,ranks=128,bytes=2MB";
    CHECK(makespan_ps(trace, "transport.name=dcqcn transport.profile=hardware") < 2000 * PS_PER_US);
    uint64_t first_ps = makespan_ps(trace, "transport.name=dcqcn transport.profile=ns3");
    CHECK(makespan_ps(trace, "transport.name=dcqcn transport.profile=ns3 transport.gain=200") != first_ps);
    CHECK(makespan_ps(trace, "transport.name=dcqcn transport.profile=ns3 transport.raise_interval=20us") < first_ps);
    static const char marked[] = "transport.name=dcqcn transport.profile=ns3 queue.ecn_low=50kB queue.ecn_high=200kB";
    char early[256], late[256];
    snprintf(early, sizeof early, "%s transport.raise_interval=20us transport.recoveries=1", marked);
    snprintf(late, sizeof late, "%s transport.raise_interval=20us transport.recoveries=9", marked);
    CHECK(makespan_ps(trace, early) < makespan_ps(trace, late));
}

/* ---- the program -------------------------------------------------------------------------------------------- */

static char output[1 << 18];

/* What it says on the one stream or the other. */
static int photonet(const char *arguments, const char *streams)
{
    char line[4096];
    snprintf(line, sizeof line, "%s %s %s", getenv("PHOTONET"), arguments, streams);
    FILE *pipe = popen(line, "r");
    output[pipe != NULL ? fread(output, 1, sizeof output - 1, pipe) : 0] = 0;
    int state = pipe != NULL ? pclose(pipe) : -1;
    return WIFEXITED(state) ? WEXITSTATUS(state) : 128;
}

static void test_refusals(void)
{
    static const char *const cases[][2] = {
        {"transport.name=nscc --set transport.profile=nvidia", "transport.profile"},
        {"transport.name=roce --set transport.profile=papers", "hardware"},
        {"transport.name=dcqcn --set transport.profile=htsim", "ns3"},
        {"transport.name=window --set transport.profile=htsim", "profile"},
        {"transport.name=nscc --set transport.profile=", "transport.profile"},
        {"transport.name=nscc --set transport.window=65", "64"},
        {"transport.name=nscc --set transport.window=-1", "transport.window"},
        {"transport.name=nscc --set transport.queue=0", "transport.queue"},
        {"transport.name=nscc --set transport.ecn_low=120%", "transport.ecn_low"},
        {"transport.name=eqds --set transport.rto=1", "transport.rto"},
        {"transport.name=dcqcn --set transport.gain=1024", "1023"},
        {"transport.name=nscc --set queue.trim_size=64", "queue.trim_size"},
    };
    if (getenv("PHOTONET") == NULL) {
        test_skip("no program to run");
        return;
    }
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char arguments[512];
        snprintf(arguments, sizeof arguments, "run -t pattern:permutation,ranks=128,bytes=10kB -f htsim-128 --set %s", cases[i][0]);
        CHECK_EQUAL(photonet(arguments, "2>&1 >/dev/null"), 2);
        CHECK_HOLDS(output, cases[i][1]);
        CHECK(strchr(output, '\n') == output + strlen(output) - 1);
    }
}

static void test_pages(void)
{
    if (getenv("PHOTONET") == NULL) {
        test_skip("no program to run");
        return;
    }
    for (const struct transport *const *transport = transports; *transport != NULL; transport++) {
        char arguments[64];
        const char *const *names = transport_profile_names(*transport);
        snprintf(arguments, sizeof arguments, "transport %s", (*transport)->name);
        CHECK_EQUAL(photonet(arguments, ""), 0);
        CHECK_EQUAL(strstr(output, "\nProfiles: ") != NULL, names != NULL);
        for (uint32_t i = 0; i < (*transport)->profile_row_count; i++) {
            char row[128];
            const struct transport_profile_row *at = &(*transport)->profile_rows[i];
            snprintf(row, sizeof row, "\n  %-26s%-13s%-13s%s\n", at->key, at->text[0] != NULL ? at->text[0] : "-",
                     at->text[1] != NULL ? at->text[1] : "-", at->text[2] != NULL ? at->text[2] : "-");
            CHECK_HOLDS(output, row);
        }
    }
    CHECK_EQUAL(photonet("transport nscc --format json", ""), 0);
    CHECK_HOLDS(output, "\"option\": \"routing.balance\"");
    CHECK_HOLDS(output, "\"htsim\": \"spray_n\"");
}

TEST_MAIN("profile", TEST(test_lists), TEST(test_own_settings_win), TEST(test_runs), TEST(test_window), TEST(test_queues),
          TEST(test_timeouts), TEST(test_low_rates), TEST(test_refusals), TEST(test_pages))
