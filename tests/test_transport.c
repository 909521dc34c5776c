/* What must hold of every transport in the table, whatever it does, on small trees with random traffic.
 *
 * Asserted of each: idle messages take the closed form; no message is faster than its idle path, no host
 * receives more than its link carries; n-to-1 incast drains at the rate of the last link; equal messages
 * that share a link get equal shares; every byte is delivered once while queues drop, trim, mark, pause and
 * reorder; nothing is dropped or repeated under PFC or credits; equal seeds give equal runs. Not asserted:
 * agreement with other simulators (test_peers.c).
 * The traffic is random; the seed is printed. */
#include "netsim/base/rng.h"
#include "netsim/engine/load.h"
#include "netsim/transport/endpoint_int.h"
#include "tests/check.h"
#include "tests/hand.h"
#include "tests/net.h"
#include "tests/reference.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define RATE_BPS 400e9
#define TREE "radix=8 tiers=2 link_rate=400Gbps link_delay=500ns" /* 32 hosts, 8 leaves, 4 spines */

/* A transport with one value of one of its choices. */
struct subject {
    const struct transport *transport;
    const char *settings;
    enum ack_policy ack;
};

static char *settings_of(struct arena *arena, const struct subject *subject, const char *more)
{
    return arena_printf(arena, "%s %s", subject->settings, more);
}

static double wire_bytes(const struct net *net, uint64_t bytes)
{
    struct packet_shape shape = scenario_shape(&net->scenario);
    return (double)(bytes + shape_packets(&shape, bytes) * shape.header_bytes);
}

typedef void check(const struct subject *subject, struct arena *arena);

static struct subject subject_of(struct arena *arena, const char *name, const char *more)
{
    const struct transport *transport = transport_find(name);
    void *values = param_defaults(&transport->params, arena);
    struct diag diag;
    const char *equals = strchr(more, '=');
    if (equals != NULL) {
        char *key = arena_strdup(arena, more + strlen("transport."));
        key[strcspn(key, "=")] = 0;
        CHECK_EQUAL(param_assign(&transport->params, values, key, equals + 1, (struct origin){"test", 0, 0}, arena, &diag),
                    STATUS_OK);
    }
    struct subject subject = {.transport = transport, .ack = transport_ack(transport, values)};
    bool is_one_path = subject.ack == ACK_IN_ORDER || (transport->repeats_gaps && *more != 0);
    bool has_profile = strncmp(more, "transport.profile=", 18) == 0; /* which says how load is balanced */
    subject.settings = arena_printf(arena, "transport.name=%s %s%s %s", name, is_one_path || !has_profile ? "routing.balance=" : "",
                                    is_one_path ? "ecmp" : has_profile ? "" : "spray_n", more);
    return subject;
}

static void check_run(check *run, const struct transport *transport, const char *more)
{
    struct arena *arena = arena_new("test");
    struct subject subject = subject_of(arena, transport->name, more);
    printf("%s %s ", transport->name, more);
    run(&subject, arena);
    arena_free(arena);
}

/* Every transport as it is, and with the other values of its choices. */
static void each_transport(check *run)
{
    for (const struct transport *const *transport = transports; *transport != NULL; transport++) {
        check_run(run, *transport, "");
        for (size_t i = 0; i < (*transport)->params.row_count; i++) {
            const struct param *row = &(*transport)->params.rows[i];
            for (uint32_t k = 0; row->type == PARAM_TYPE_CHOICE && row->choices[k] != NULL; k++) {
                char more[96];
                snprintf(more, sizeof more, "transport.%s=%s", row->key, row->choices[k]);
                if (strcmp(row->choices[k], row->default_text) != 0) {
                    check_run(run, *transport, more);
                }
            }
        }
    }
}

/* ---- idle ------------------------------------------------------------------------------------------------- */

/* The scenario of the peers: see test_engine.c for the closed form. */
static void idle(const struct subject *subject, struct arena *arena)
{
    static const struct {
        uint32_t dst;
        uint64_t links;
    } flows[] = {{127, 6}, {1, 2}};
    const struct fabric *fabric = net_fabric(arena, "htsim-128", "");
    for (size_t i = 0; i < 2; i++) {
        struct net *net = net_new(arena, fabric, settings_of(arena, subject, ""), 1, NULL);
        net_post(net, net_add(net, 0, flows[i].dst, 2000000), 0);
        net_run(net);
        net_check_drained(net);
        struct packet_shape shape = scenario_shape(&net->scenario);
        uint64_t packets = shape_packets(&shape, 2000000), full_ps = serialisation_ps(shape.packet_bytes, RATE_BPS);
        uint64_t left_bytes = 2000000 + packets * shape.header_bytes - (packets - 1) * shape.packet_bytes;
        uint64_t out_ps = (packets + flows[i].links - 2) * full_ps + serialisation_ps(left_bytes, RATE_BPS) +
                          flows[i].links * PS_PER_US;
        CHECK_EQUAL(net->messages[1].retransmissions, 0);
        if (subject->transport->pull != NULL) { /* two windows of credit are less than this way holds, and pulls have a pace */
            CHECK(net->messages[1].delivered_ps > out_ps && net->messages[1].delivered_ps < out_ps * 4 / 3);
            continue;
        }
        if (net->queues.load_period_ps > 0) { /* not all of the line is aimed at, once it is known to be full */
            CHECK(net->messages[1].delivered_ps >= out_ps && net->messages[1].delivered_ps < out_ps * 51 / 50);
            continue;
        }
        CHECK_EQUAL(net->messages[1].delivered_ps, out_ps);
        CHECK_EQUAL(net->messages[1].acked_ps, out_ps + flows[i].links * (1280 + PS_PER_US));
    }
}

static void test_idle(void)
{
    each_transport(idle);
}

/* ---- bounds ----------------------------------------------------------------------------------------------- */

static void traffic_add(struct net *net, uint64_t seed, uint32_t count)
{
    uint32_t hosts = net->fabric->host_count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t src = rng_below(rng_draw(seed, 1, i), hosts);
        uint32_t dst = (src + 1 + rng_below(rng_draw(seed, 2, i), hosts - 1)) % hosts;
        uint64_t bytes = rng_draw(seed, 3, i) % 1000000 >> rng_draw(seed, 4, i) % 16;
        net_post(net, net_add(net, src, dst, bytes), rng_draw(seed, 5, i) % (20 * PS_PER_US));
    }
}

/* A short last packet may overtake the full one before it on another path, and saves its own time on the
 * last link. */
#define PACKET_PS 83000

static void bounds_check(const struct net *net)
{
    struct packet_shape shape = scenario_shape(&net->scenario);
    double *received = arena_array(net->arena, net->fabric->host_count, double);
    for (size_t i = 1; i < net->count; i++) {
        const struct net_message *message = &net->messages[i];
        uint64_t idle_ps = path_idle_ps(net->fabric, net->routes, &shape, false, message->src, message->dst,
                                        message->bytes);
        CHECK(message->delivered_ps - message->posted_ps + PACKET_PS >= idle_ps);
        received[message->dst] += wire_bytes(net, message->bytes);
        CHECK((double)net_end_ps(net) >= received[message->dst] * 8e12 / RATE_BPS);
    }
}

static void bounds(const struct subject *subject, struct arena *arena)
{
    struct net *net = net_new(arena, net_fabric(arena, "fat_tree", TREE), settings_of(arena, subject, ""),
                              test_seed(), NULL);
    traffic_add(net, test_seed(), 300);
    net_run(net);
    net_check_drained(net);
    bounds_check(net);
}

static void test_no_transport_beats_the_fluid_bound(void)
{
    each_transport(bounds);
}

/* ---- one link shared -------------------------------------------------------------------------------------- */

#define SENDERS 8
#define LONG_BYTES 8000000

static struct net *incast_at(const struct subject *subject, struct arena *arena, uint64_t begin_ps)
{
    struct net *net = net_new(arena, net_fabric(arena, "fat_tree", TREE), settings_of(arena, subject, ""), 3, NULL);
    for (uint32_t i = 0; i < SENDERS; i++) {
        net_post(net, net_add(net, 4 + 3 * i, 0, LONG_BYTES), begin_ps);
    }
    net_run(net);
    net_check_drained(net);
    return net;
}

static struct net *incast(const struct subject *subject, struct arena *arena)
{
    return incast_at(subject, arena, 0);
}

static bool drops_packets(const struct net *net)
{
    return net->queues.class[0].capacity_bytes > 0 && net->queues.class[0].full == FULL_DROP;
}

/* Of DCQCN: rates that are cut every 4 us and raised every 300 us. */
static bool is_slow_to_rise(const struct subject *subject)
{
    return subject->transport->gap_ps != NULL && strstr(subject->settings, "transport.profile=") != NULL;
}

/* All links but the last are free, so that one never rests: it is done one idle round trip after its own
 * time at the latest, and 5 % more for windows that are found out. */
static void drains(const struct subject *subject, struct arena *arena)
{
    const struct net *net = incast(subject, arena);
    double link_ps = SENDERS * wire_bytes(net, LONG_BYTES) * 8e12 / RATE_BPS;
    CHECK((double)net_end_ps(net) > link_ps);
    double slack = subject->transport->gap_ps != NULL ? 1.1 : 1.05; /* a rate that was cut too far takes its time */
    slack = drops_packets(net) ? 1.4 : slack;                       /* and what is lost waits for a timeout at times */
    slack = is_slow_to_rise(subject) ? 2 : slack;
    CHECK((double)net_end_ps(net) < link_ps * slack + (double)net->facts.base_rtt_ps);
}

static void test_incast_takes_the_last_link(void)
{
    each_transport(drains);
}

/* Jain's index of what the messages got, 1 where all got the same. */
static void shares(const struct subject *subject, struct arena *arena)
{
    const struct net *net = incast(subject, arena);
    double sum = 0, squares = 0;
    for (size_t i = 1; i < net->count; i++) {
        double share = 1e12 / (double)net->messages[i].delivered_ps;
        sum += share;
        squares += share * share;
    }
    bool is_uneven = net->queues.class[0].xoff_bytes > 0 || drops_packets(net); /* shares by inputs, or by luck */
    CHECK(sum * sum / (SENDERS * squares) > (is_uneven ? 0.85 : 0.97));
}

static void test_long_messages_share_evenly(void)
{
    each_transport(shares);
}

/* ---- once ------------------------------------------------------------------------------------------------- */

/* A host rate four times that of the links to switches makes queues overflow everywhere. */
#define TIGHT TREE " oversubscription=3:1"

static void run_lossy(const struct subject *subject, struct arena *arena, const char *more, uint64_t seed)
{
    struct net *net = net_new(arena, net_fabric(arena, "fat_tree", TIGHT), settings_of(arena, subject, more), seed,
                              NULL);
    traffic_add(net, seed, 200);
    net_run(net);
    net_check_drained(net);
    struct port_counters sum = net_counters_sum(net);
    struct endpoint_counters ends;
    endpoint_counters(net->endpoint, &ends);
    CHECK(sum.dropped_packets + sum.trimmed_packets > 0);
    CHECK(ends.retransmissions > 0);
}

static void loses(const struct subject *subject, struct arena *arena)
{
    const uint64_t seed = test_seed();
    run_lossy(subject, arena, "queue.capacity=30000B queue.full=drop queue.xoff=1GB queue.xon=1GB host.rto=60us", seed);
}

static void test_every_byte_once_under_drops(void)
{
    each_transport(loses);
}

static void trims(const struct subject *subject, struct arena *arena)
{
    const char *more = "queue.capacity=30000B queue.xoff=1GB queue.xon=1GB host.rto=60us queue.full=";
    run_lossy(subject, arena, arena_printf(arena, "%strim", more), test_seed());
    run_lossy(subject, arena, arena_printf(arena, "%strim_either", more), test_seed() + 1);
}

static void test_every_byte_once_under_trimming(void)
{
    each_transport(trims);
}

/* A frame in a hundred on every link, of data and of ACKs; rates that were halved without a queue take their time. */
static void errs(const struct subject *subject, struct arena *arena)
{
    for (uint64_t seed = test_seed(); seed < test_seed() + 3; seed++) {
        struct net *net = net_new(arena, net_fabric(arena, "fat_tree", TREE),
                                  settings_of(arena, subject, "links.frame_loss=0.01 host.rto=60us"), seed, NULL);
        traffic_add(net, seed, 200);
        net_run(net);
        net_check_drained(net);
        struct endpoint_counters ends;
        endpoint_counters(net->endpoint, &ends);
        CHECK(net_counters_sum(net).error_packets > 80);
        CHECK_EQUAL(net_counters_sum(net).repeats, 0);
        CHECK(ends.retransmissions > 50);
    }
}

static void test_every_byte_once_under_bit_errors(void)
{
    each_transport(errs);
}

/* The same where the links repeat: the ends notice nothing but the time, whatever holds the queues. */
static void links_mend(const struct subject *subject, struct arena *arena)
{
    static const char *const more[] = {"", "queue.xoff=20000B queue.xon=12000B queue.capacity=100MB host.rto=10s",
                                       "queue.credit=40000B queue.capacity=100MB host.rto=10s"};
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        const char *all = arena_printf(arena, "links.frame_loss=0.01 links.retry=go_back_n %s", more[i]);
        struct net *net = net_new(arena, net_fabric(arena, "fat_tree", TREE), settings_of(arena, subject, all),
                                  test_seed() + i, NULL);
        traffic_add(net, test_seed() + i, 200);
        net_run(net);
        net_check_drained(net);
        struct endpoint_counters ends;
        endpoint_counters(net->endpoint, &ends);
        struct port_counters sum = net_counters_sum(net);
        CHECK(sum.repeats > 100);
        CHECK_EQUAL(sum.error_packets, 0);
        CHECK(i == 0 || (sum.dropped_packets == 0 && ends.duplicates == 0 && ends.retransmissions == sum.trimmed_packets));
        bounds_check(net);
    }
}

static void test_links_that_repeat_lose_nothing(void)
{
    each_transport(links_mend);
}

static void run_lossless(const struct subject *subject, struct arena *arena, const char *more)
{
    for (uint64_t seed = test_seed(); seed < test_seed() + 5; seed++) {
        struct net *net = net_new(arena, net_fabric(arena, "fat_tree", TIGHT), settings_of(arena, subject, more), seed,
                                  NULL);
        traffic_add(net, seed, 200);
        net_run(net);
        net_check_drained(net);
        struct endpoint_counters ends;
        endpoint_counters(net->endpoint, &ends);
        CHECK_EQUAL(net_counters_sum(net).dropped_packets, 0);
        CHECK_EQUAL(ends.duplicates, 0);
        CHECK_EQUAL(ends.retransmissions, net_counters_sum(net).trimmed_packets);
    }
}

static void pauses(const struct subject *subject, struct arena *arena)
{
    run_lossless(subject, arena, "queue.xoff=20000B queue.xon=12000B queue.capacity=100MB host.rto=10s");
}

static void test_no_drop_under_pfc(void)
{
    each_transport(pauses);
}

static void credits(const struct subject *subject, struct arena *arena)
{
    run_lossless(subject, arena, "queue.credit=40000B queue.capacity=100MB host.rto=10s");
}

static void test_no_drop_under_credits(void)
{
    each_transport(credits);
}

/* The most that any port of the fabric can get under such settings. */
static uint64_t need_bytes_max(const struct subject *subject, struct arena *arena, const struct fabric *fabric, const char *rule)
{
    const struct net *net = net_new(arena, fabric, settings_of(arena, subject, rule), 1, NULL);
    uint64_t most_bytes = 0;
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        uint64_t bytes = queues_need_bytes(&net->queues, fabric, 4150, port);
        most_bytes = bytes > most_bytes ? bytes : most_bytes;
    }
    return most_bytes;
}

/* Random traffic over random pauses or credits, and queues that hold exactly what queues_need_bytes says. */
static void never_drops_on(const struct subject *subject, struct arena *arena, const struct fabric *fabric, bool has_pauses,
                           uint64_t seed)
{
    uint64_t xoff_bytes = 4150 * (1 + rng_draw(seed, 3, 0) % 30), xon_bytes = rng_draw(seed, 4, 0) % xoff_bytes;
    const char *rule = has_pauses ? arena_printf(arena, "queue.xoff=%luB queue.xon=%luB", xoff_bytes, xon_bytes + 1)
                                  : arena_printf(arena, "queue.credit=%luB", xoff_bytes);
    const char *bounded = arena_printf(arena, "%s queue.capacity=%luB host.rto=10s", rule,
                                       need_bytes_max(subject, arena, fabric, rule));
    struct net *net = net_new(arena, fabric, settings_of(arena, subject, bounded), seed, NULL);
    struct diag diag;
    CHECK_EQUAL(queues_check(&net->queues, fabric, 4150, &diag), STATUS_OK);
    traffic_add(net, seed, 200);
    for (uint32_t src = 1; src < 8; src++) {
        net_post(net, net_add(net, src, 0, 300000), 0);
    }
    net_run(net);
    net_check_drained(net);
    CHECK_EQUAL(net_counters_sum(net).dropped_packets, 0);
    CHECK_EQUAL(net_counters_sum(net).trimmed_packets, 0);
}

static void never_drops(const struct subject *subject, struct arena *arena)
{
    for (uint64_t round = 0; round < 4; round++) {
        uint64_t seed = rng_draw(test_seed(), 77, round);
        uint32_t tiers = 2 + rng_below(rng_draw(seed, 1, 0), 2), delay_ns = 1 + rng_below(rng_draw(seed, 2, 0), 2000);
        const char *tree = arena_printf(arena, "radix=%u tiers=%u link_rate=400Gbps link_delay=%uns oversubscription=%u:1",
                                        tiers == 3 ? 4u : 8u, tiers, delay_ns, 1 + rng_below(rng_draw(seed, 5, 0), 3));
        never_drops_on(subject, arena, net_fabric(arena, "fat_tree", tree), round % 2 == 0, seed);
    }
}

/* The same where all switching is done by hosts. */
static void never_drops_at_hosts(const struct subject *subject, struct arena *arena)
{
    static const char *const shapes[] = {"8", "4x4", "5x3", "3x3x3"};
    for (uint64_t round = 0; round < 8; round++) {
        uint64_t seed = rng_draw(test_seed(), 79, round);
        uint32_t delay_ns = 1 + rng_below(rng_draw(seed, 2, 0), 2000);
        const char *torus = arena_printf(arena, "dimensions=%s link_rate=400Gbps link_delay=%uns", shapes[round / 2], delay_ns);
        never_drops_on(subject, arena, net_fabric(arena, "torus", torus), round % 2 == 0, seed);
    }
}

static void test_no_drop_where_hosts_pass_packets_on(void)
{
    each_transport(never_drops_at_hosts);
}

/* And they hold each other back: hosts 1 to 4 of a ring send to host 0, which 1 passes on. */
static void test_hosts_pause_hosts(void)
{
    struct arena *arena = arena_new("test");
    const char *names[] = {"roce", "credit"};
    for (size_t i = 0; i < 2; i++) {
        const struct subject subject = subject_of(arena, names[i], "");
        const struct fabric *fabric = net_fabric(arena, "torus", "dimensions=9 link_rate=400Gbps link_delay=500ns");
        struct net *net = net_new(arena, fabric, settings_of(arena, &subject, ""), 1, NULL);
        for (uint32_t src = 1; src <= 4; src++) {
            net_post(net, net_add(net, src, 0, LONG_BYTES), 0);
        }
        net_run(net);
        net_check_drained(net);
        uint64_t held_bytes = need_bytes_max(&subject, arena, fabric, "");
        for (uint32_t port = 0; port < fabric->port_count; port++) {
            CHECK(net_counters(net, port).queue_max_bytes <= held_bytes + 4150);
        }
        CHECK_EQUAL(net_counters_sum(net).pauses > 0, i == 0);
    }
    arena_free(arena);
}

static void test_no_drop_where_queues_hold_the_headroom(void)
{
    each_transport(never_drops);
}

static void refused(struct arena *arena, const char *settings, const char *why)
{
    const struct fabric *fabric = net_fabric(arena, "fat_tree", TREE);
    const struct net *net = net_new(arena, fabric, settings, 1, NULL);
    struct diag diag = {""};
    enum status status = queues_check(&net->queues, fabric, 4150, &diag);
    CHECK_EQUAL(status, why == NULL ? STATUS_OK : STATUS_INPUT);
    if (why != NULL) {
        CHECK_HOLDS(diag.text, why);
    }
}

static void test_queues_that_must_drop_are_refused(void)
{
    struct arena *arena = arena_new("test");
    refused(arena, "transport.name=roce queue.capacity=300kB", "queues of 300000 B drop packets although links are held back");
    refused(arena, "transport.name=roce queue.capacity=300kB queue.lossy=yes", NULL);
    refused(arena, "transport.name=roce queue.capacity=30MB", NULL);
    refused(arena, "transport.name=credit queue.capacity=100kB", "(credit of all other inputs)");
    refused(arena, "transport.name=credit transport.buffer=4149B", "lets no packet of 4150 B");
    refused(arena, "transport.name=roce queue.xoff=1kB queue.xon=500B", "links stop at 1000 B (xoff), before a packet of 4150 B");
    refused(arena, "transport.name=roce queue.xoff=4150B queue.xon=500B", NULL);
    refused(arena, "transport.name=roce transport.xon=16", "above the 61290 B at which they stop");
    refused(arena, "transport.name=roce queue.shared=1MB", "queue.shared of 1000000 B drops");
    refused(arena, "transport.name=nscc queue.capacity=4149B", "hold no packet");
    refused(arena, "transport.name=nscc", NULL);
    arena_free(arena);
}

/* Pauses and credits must have held somebody back, else the two tests above say nothing. */
static void test_pauses_and_credits_bite(void)
{
    struct arena *arena = arena_new("test");
    const struct subject roce = subject_of(arena, "roce", "");
    const struct fabric *fabric = net_fabric(arena, "fat_tree", TIGHT);
    uint64_t end_ps[3];
    static const char *const more[] = {"queue.xoff=1GB queue.xon=1GB", "queue.xoff=20000B queue.xon=12000B",
                                       "queue.xoff=1GB queue.xon=1GB queue.credit=20000B"};
    uint64_t queue_bytes[3], pauses_seen[3];
    for (size_t i = 0; i < 3; i++) {
        struct net *net = net_new(arena, fabric, settings_of(arena, &roce, more[i]), 5, NULL);
        traffic_add(net, 5, 200);
        net_run(net);
        end_ps[i] = net_end_ps(net);
        queue_bytes[i] = 0;
        pauses_seen[i] = net_counters_sum(net).pauses;
        for (uint32_t port = 0; port < fabric->port_count; port++) {
            uint64_t port_bytes = net_counters(net, port).queue_max_bytes;
            queue_bytes[i] = port_bytes > queue_bytes[i] ? port_bytes : queue_bytes[i];
        }
    }
    CHECK_EQUAL(pauses_seen[0], 0);
    CHECK(pauses_seen[1] > 0);
    CHECK(queue_bytes[1] < queue_bytes[0]);
    CHECK(queue_bytes[2] < queue_bytes[0]);
    CHECK(end_ps[2] >= end_ps[0]);
    arena_free(arena);
}

/* Links that were paused, by the tier of who was told to stop: 0 hosts, 1 leaves, 2 spines. */
static uint64_t storm(struct arena *arena, const char *settings, uint32_t senders, uint64_t links[3], uint64_t *pause_ps)
{
    const struct fabric *fabric = net_fabric(arena, "fat_tree", TREE);
    struct net *net = net_new(arena, fabric, settings, 1, NULL);
    for (uint32_t i = 0; i < senders; i++) {
        net_post(net, net_add(net, 8 + i, 0, 1000000), 0);
    }
    size_t victim = net_add(net, 8, 4, 1000000); /* from a sender's host to an idle one beside the crowded host's leaf */
    net_post(net, victim, 0);
    net_run(net);
    net_check_drained(net);
    CHECK_EQUAL(net_counters_sum(net).dropped_packets, 0);
    *pause_ps = 0;
    memset(links, 0, 3 * sizeof *links);
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        struct port_counters counters = net_counters(net, port);
        links[fabric->node_tier[fabric->port_node[port]]] += counters.pauses > 0;
        CHECK((counters.pauses > 0) == (counters.pause_ps > 0));
        CHECK(counters.pause_ps + counters.busy_ps <= net_end_ps(net) + counters.pauses * PACKET_PS); /* a packet is finished */
        *pause_ps += counters.pause_ps;
    }
    return net->messages[victim].delivered_ps;
}

/* A crowd at one host pauses its leaf's inputs, then the spines', then those of the leaves where it sends, and holds up a
 * message that goes elsewhere; without a crowd nobody is paused. All of it is counted where it happens. */
static void test_pause_storms_spread_and_are_counted(void)
{
    struct arena *arena = arena_new("test");
    const char *const tight = "transport.name=ideal queue.xoff=20000B queue.xon=12000B";
    uint64_t links[3], calm_ps, pause_ps;
    calm_ps = storm(arena, tight, 0, links, &pause_ps);
    CHECK_EQUAL(links[0] + links[1] + links[2] + pause_ps, 0);
    uint64_t stormy_ps = storm(arena, tight, 16, links, &pause_ps);
    printf(" paused links of %" PRIu64 " hosts, %" PRIu64 " leaves, %" PRIu64 " spines; victim %.1f for %.1f us ...", links[0],
           links[1], links[2], (double)stormy_ps * 1e-6, (double)calm_ps * 1e-6);
    CHECK(links[2] == 4 && links[1] >= 8 && links[0] >= 8);
    CHECK(pause_ps > 100 * PS_PER_US);
    CHECK(stormy_ps > 3 * calm_ps);
    arena_free(arena);
}

/* Over one path what is missing is lost: it is sent again by itself, long before the timeout, and nothing else is. */
static void test_single_losses_are_repeated_singly(void)
{
    struct arena *arena = arena_new("test");
    struct net *net = net_new(arena, net_fabric(arena, "fat_tree", TIGHT),
                              "transport.name=dcqcn transport.repeat=selective queue.capacity=100000B", 1, NULL);
    traffic_add(net, 1, 200);
    net_run(net);
    net_check_drained(net);
    struct endpoint_counters ends;
    endpoint_counters(net->endpoint, &ends);
    uint64_t lost = net_counters_sum(net).dropped_packets;
    CHECK(lost > 0);
    CHECK(ends.retransmissions >= lost && ends.retransmissions < lost + lost / 4 + 10); /* ACKs may be lost too */
    arena_free(arena);
}

/* 31 messages at once for one host, whose queue holds ten packets: the end of the last one. */
static uint64_t crowd_ps(struct arena *arena, uint64_t bytes, const char *more)
{
    const char *settings = arena_printf(arena, "transport.name=dcqcn transport.repeat=selective queue.capacity=41000B "
                                               "transport.rto=320us %s", more);
    struct net *net = net_new(arena, net_fabric(arena, "fat_tree", TREE), settings, 1, NULL);
    for (uint32_t host = 1; host < 32; host++) {
        net_post(net, net_add(net, host, 0, bytes), 0);
    }
    net_run(net);
    net_check_drained(net);
    CHECK(net_counters_sum(net).dropped_packets > 0);
    return net_end_ps(net);
}

/* IRN's two timeouts: what has no packet behind it that could tell is repeated after the short one, round by round. */
static void test_few_packets_are_repeated_soon(void)
{
    struct arena *arena = arena_new("test");
    uint64_t one_ps = crowd_ps(arena, 4000, ""), late_ps = crowd_ps(arena, 4000, "transport.rto_low=320us");
    uint64_t soon_ps = crowd_ps(arena, 4000, "transport.rto_low=50us"), three_ps = crowd_ps(arena, 12000, "");
    uint64_t rounds = late_ps / (320 * PS_PER_US);
    CHECK(rounds >= 1 && rounds <= 3);
    CHECK(late_ps - rounds * 320 * PS_PER_US < 30 * PS_PER_US);
    CHECK_EQUAL(one_ps - rounds * 100 * PS_PER_US, late_ps - rounds * 320 * PS_PER_US);
    CHECK_EQUAL(soon_ps - rounds * 50 * PS_PER_US, late_ps - rounds * 320 * PS_PER_US);
    CHECK(three_ps > 320 * PS_PER_US); /* three are not few */
    arena_free(arena);
}

/* Over many paths packets overtake each other, and go-back-N throws them away: slow, but every byte comes
 * once. */
static void reorders(const struct subject *subject, struct arena *arena)
{
    const char *settings = arena_printf(arena, "%s routing.balance=spray", subject->settings);
    struct net *net = net_new(arena, net_fabric(arena, "fat_tree", TREE), settings, 1, NULL);
    for (uint32_t host = 0; host < 32; host++) {
        net_post(net, net_add(net, host, (host + 4) % 32, 100000), 0);
        net_post(net, net_add(net, host, (host + 9) % 32, 100000), 0);
    }
    net_run(net);
    net_check_drained(net);
    struct endpoint_counters ends;
    endpoint_counters(net->endpoint, &ends);
    CHECK(ends.reordered > 0 || subject->ack == ACK_IN_ORDER);
    CHECK_EQUAL(ends.data_packets_sent, ends.data_packets_delivered + ends.duplicates);
}

static void test_every_byte_once_under_reordering(void)
{
    each_transport(reorders);
}

/* Reordering told per message adds up to what hosts count; an ecmp message has none; distances are those of RFC 4737. */
static void test_reordering_is_told(void)
{
    struct arena *arena = arena_new("test");
    static const char *const settings[] = {"transport.name=window routing.balance=spray",
                                           "transport.name=window routing.balance=ecmp"};
    for (size_t i = 0; i < 2; i++) {
        struct net *net = net_new(arena, net_fabric(arena, "fat_tree", TREE), settings[i], 1, NULL);
        traffic_add(net, 7, 300);
        net_run(net);
        net_check_drained(net);
        struct endpoint_counters ends;
        endpoint_counters(net->endpoint, &ends);
        uint64_t reordered = 0, sum = 0, max = 0;
        for (size_t k = 1; k < net->count; k++) {
            const struct message_fate *fate = &net->messages[k].fate;
            reordered += fate->reordered;
            sum += fate->reorder_sum;
            max = fate->reorder_max > max ? fate->reorder_max : max;
            CHECK(fate->reorder_sum >= fate->reordered && fate->reorder_sum <= (uint64_t)fate->reordered * fate->reorder_max);
        }
        CHECK_EQUAL(ends.reordered, reordered);
        CHECK_EQUAL(ends.reorder_sum, sum);
        CHECK_EQUAL(ends.reorder_max, max);
        CHECK((reordered > 0) == (i == 0));
    }
    arena_free(arena);
}

/* Packets 0 1 4 3 2 5: two come late, by one and by two. */
static void test_reorder_distance(void)
{
    struct arena *arena = arena_new("test");
    struct net *net = net_new(arena, net_fabric(arena, "fat_tree", TREE), "transport.name=window", 1, NULL);
    net_post(net, net_add(net, 0, 1, 100000), 0);
    net->engine->class->run(net->engine, 0);
    static const uint32_t order[] = {0, 1, 4, 3, 2, 5};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        const struct packet packet = {.dst = 1, .src = 0, .flow = 0, .seq = order[i] & 0xffffff, .size_bytes = 4150,
                                      .generation = flow_at(net->endpoint, 0, 0)->generation & 7u};
        endpoint_receive(net->endpoint, 1, &packet, 1);
    }
    struct endpoint_counters ends;
    endpoint_counters(net->endpoint, &ends);
    CHECK_EQUAL(ends.reordered, 2);
    CHECK_EQUAL(ends.reorder_sum, 3);
    CHECK_EQUAL(ends.reorder_max, 2);
    arena_free(arena);
}

/* ---- recycled entropies ----------------------------------------------------------------------------------- */

/* Half of the uplinks of a leaf have a quarter of the rate: a sender that repeats unmarked paths finds that
 * out. */
static uint64_t uneven_end_ps(struct arena *arena, const char *balance)
{
    struct fabric *fabric = net_fabric(arena, "fat_tree", TREE);
    uint64_t *rate_bps = hand_column(uint64_t, fabric->rate_bps);
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        uint32_t node = fabric->port_node[port], peer = fabric->port_node[fabric->port_peer[port]];
        uint32_t spine = fabric->node_tier[node] == 2 ? node : fabric->node_tier[peer] == 2 ? peer : 1;
        rate_bps[port] = spine % 4 == 0 ? rate_bps[port] / 4 : rate_bps[port];
    }
    struct net *net = net_new(arena, fabric, arena_printf(arena, "transport.name=nscc routing.balance=%s", balance), 1,
                              NULL);
    for (uint32_t host = 0; host < 4; host++) {
        net_post(net, net_add(net, host, 16 + host, LONG_BYTES), 0);
    }
    net_run(net);
    net_check_drained(net);
    return net_end_ps(net);
}

static void test_recycling_avoids_slow_paths(void)
{
    struct arena *arena = arena_new("test");
    uint64_t blind_ps = uneven_end_ps(arena, "spray"), recycled_ps = uneven_end_ps(arena, "reps");
    CHECK(recycled_ps < blind_ps * 9 / 10);
    arena_free(arena);
}

/* ---- delay ------------------------------------------------------------------------------------------------ */

struct hand_flow {
    const struct transport *transport;
    void *shared, *state;
};

static const struct transport_facts hand_facts = {
    .base_rtt_ps = 12500000, .duplex_rtt_ps = 12500000, .host_rate_bps = 400000000000, .packet_bytes = 4150, .header_bytes = 64,
    .link_trip_ps = 2000000};

/* A message of 6 links and 9 us on a network of 12.5 us, 400 Gbit/s and packets of 4150 B; `key` NULL: by defaults. */
static struct hand_flow hand_flow_with(struct arena *arena, const char *name, const char *key, const char *value)
{
    const struct flow_facts begin = {.now_ps = 0, .hops = 6, .idle_rtt_ps = 9000000};
    struct hand_flow flow = {.transport = transport_find(name)};
    void *values = param_defaults(&flow.transport->params, arena);
    struct diag diag;
    if (key != NULL) {
        CHECK_EQUAL(param_assign(&flow.transport->params, values, key, value, (struct origin){"test", 0, 0}, arena, &diag), STATUS_OK);
    }
    flow.shared = arena_alloc(arena, flow.transport->shared_bytes);
    flow.state = arena_alloc(arena, flow.transport->state_bytes);
    flow.transport->prepare(values, &hand_facts, flow.shared);
    flow.transport->begin(flow.shared, flow.state, &begin);
    return flow;
}

static struct hand_flow hand_flow(struct arena *arena, const char *name)
{
    return hand_flow_with(arena, name, NULL, NULL);
}

/* The most that may be in flight. */
static uint64_t hand_window(const struct hand_flow *flow)
{
    uint64_t bytes = 0;
    while (transport_may_send(flow->transport, flow->shared, flow->state, bytes + 1, 1)) {
        bytes++;
    }
    return bytes + 1;
}

static void test_swift_follows_its_target(void)
{
    struct arena *arena = arena_new("test");
    struct hand_flow flow = hand_flow(arena, "swift");
    const uint64_t target_ps = 12500000 * 3 / 4 + 9000000; /* flow scaling is over at 100 packets */
    uint64_t start = hand_window(&flow);
    CHECK(start >= 625000 && start < 630000);
    struct ack_news news = {.bytes = 4150, .now_ps = 50000000, .rtt_ps = target_ps - 1000};
    flow.transport->acked(flow.shared, flow.state, &news);
    CHECK(hand_window(&flow) > start && hand_window(&flow) < start + 200);
    news.rtt_ps = 2 * target_ps; /* half of the delay is over the target: 0.4 of the window goes, once a round trip */
    flow.transport->acked(flow.shared, flow.state, &news);
    CHECK_NEAR((double)hand_window(&flow), (double)start * 0.6, 0.01);
    news.now_ps += target_ps;
    flow.transport->acked(flow.shared, flow.state, &news);
    CHECK_NEAR((double)hand_window(&flow), (double)start * 0.6, 0.01);
    CHECK_EQUAL(flow.transport->gap_ps(flow.shared, flow.state, 4150, news.now_ps), 0);
    arena_free(arena);
}

/* One that is set is multiplied by the links of the way, whatever the way itself takes. */
static void test_swift_counts_hops_where_told(void)
{
    struct arena *arena = arena_new("test");
    struct hand_flow flow = hand_flow_with(arena, "swift", "per_hop", "2us");
    const uint64_t target_ps = 12500000 * 3 / 4 + 6 * 2000000;
    uint64_t start = hand_window(&flow);
    struct ack_news news = {.bytes = 4150, .now_ps = 50000000, .rtt_ps = target_ps - 1000};
    flow.transport->acked(flow.shared, flow.state, &news);
    uint64_t raised = hand_window(&flow);
    CHECK(raised > start);
    news.rtt_ps = target_ps + target_ps / 8; /* a ninth of the delay is over the target */
    flow.transport->acked(flow.shared, flow.state, &news);
    CHECK_NEAR((double)hand_window(&flow), (double)raised * (1 - 0.8 / 9), 0.01);
    arena_free(arena);
}

/* Two senders behind the receiver's own switch and two from the far end of the fabric, links of hosts longer and of rows much
 * longer than the others: all are done when the link has carried all, for each has had its quarter of it. */
static void test_swift_shares_between_near_and_far(void)
{
    static const char *const fabrics[] = {"clos-dsp", "fat-tree-128", "dragonfly-1056"};
    for (size_t i = 0; i < sizeof fabrics / sizeof fabrics[0]; i++) {
        struct arena *arena = arena_new("test");
        struct net *net = net_new(arena, net_fabric(arena, fabrics[i], ""), "transport.name=swift", 1, NULL);
        const uint32_t last = net->fabric->host_count - 1, sources[] = {0, 2, last - 1, last};
        CHECK_EQUAL(path_hops(net->fabric, net->routes, 0, 1), 2);
        CHECK(path_hops(net->fabric, net->routes, last, 1) > 2);
        for (size_t k = 0; k < 4; k++) {
            net_post(net, net_add(net, sources[k], 1, 64000000), 0);
        }
        net_run(net);
        net_check_drained(net);
        double link_ps = 4 * wire_bytes(net, 64000000) * 8e12 / RATE_BPS;
        for (size_t k = 1; k <= 4; k++) {
            CHECK_NEAR((double)net->messages[k].delivered_ps, link_ps * 0.95, 0.06);
        }
        arena_free(arena);
    }
}

/* Marks above the target cut the window once their mean delay is above it, at most once in a round trip; below it they do
 * nothing, and delay without marks raises the window. */
static void test_nscc_has_four_answers(void)
{
    struct arena *arena = arena_new("test");
    struct hand_flow flow = hand_flow(arena, "nscc");
    const uint64_t target_ps = 12500000 * 3 / 4;
    uint64_t start = hand_window(&flow);
    CHECK_NEAR((double)start, 1.5 * 625000, 0.01);
    struct ack_news news = {.bytes = 4150, .now_ps = 50000000, .rtt_ps = 12500000 + target_ps / 2, .is_marked = true};
    for (uint32_t i = 0; i < 200; i++, news.now_ps += 100000) {
        flow.transport->acked(flow.shared, flow.state, &news);
    }
    CHECK(hand_window(&flow) >= start); /* it only gains what every round trip adds, up to its most */
    news.rtt_ps = 12500000 + 3 * target_ps;
    for (uint32_t i = 0; i < 200; i++, news.now_ps += 100000) {
        flow.transport->acked(flow.shared, flow.state, &news);
    }
    uint64_t low = hand_window(&flow);
    CHECK(low < start * 9 / 10 && low > start / 8); /* two round trips: two cuts of a half at most */
    news.is_marked = false;
    for (uint32_t i = 0; i < 200; i++, news.now_ps += 100000) {
        flow.transport->acked(flow.shared, flow.state, &news);
    }
    CHECK(hand_window(&flow) > low);
    arena_free(arena);
}

/* The rate as the gap behind a packet that takes less than any timer tells it; with what goes before it a million bytes are sent. */
static double hand_gbps(const struct hand_flow *flow, uint64_t now_ps)
{
    enum { LOOK = 5000 };
    flow->transport->gap_ps(flow->shared, flow->state, 1000000 - LOOK, now_ps);
    uint64_t gap_ps = flow->transport->gap_ps(flow->shared, flow->state, LOOK, now_ps);
    return gap_ps == 0 ? 400 : 8e3 * LOOK / (double)gap_ps;
}

static void hand_mark(const struct hand_flow *flow, uint64_t now_ps)
{
    const struct ack_news news = {.bytes = 4150, .now_ps = now_ps, .is_marked = true};
    flow->transport->acked(flow->shared, flow->state, &news);
}

/* Zhu et al. 2015 with the usual values: a mark takes alpha / 2 of the rate, at most one in 50 us; every 55 us half of what is
 * lacking to the target comes back, five times, then the target goes up by ai (5 Mbit/s at 25 Gbit/s). */
static void test_dcqcn_recovers_by_time(void)
{
    struct arena *arena = arena_new("test");
    struct hand_flow flow = hand_flow(arena, "dcqcn");
    const uint64_t first_ps = PS_PER_MS, second_ps = first_ps + 300 * PS_PER_US, third_ps = second_ps + 50 * PS_PER_US;
    const struct ack_news calm = {.bytes = 4150, .now_ps = first_ps};
    flow.transport->acked(flow.shared, flow.state, &calm);
    CHECK_NEAR(hand_gbps(&flow, first_ps), 400, 0);
    hand_mark(&flow, first_ps);
    CHECK_NEAR(hand_gbps(&flow, first_ps), 200, 1e-5);
    hand_mark(&flow, first_ps + 50 * PS_PER_US - 1);
    CHECK_NEAR(hand_gbps(&flow, first_ps + 55 * PS_PER_US - 1), 200, 1e-5);
    for (uint32_t i = 1; i <= 5; i++) {
        CHECK_NEAR(hand_gbps(&flow, first_ps + 55 * i * PS_PER_US), 400 - ldexp(200, -(int)i), 1e-5);
    }
    double target = 393.75, alpha = pow(255. / 256, 5), rate = target * (1 - alpha / 2);
    hand_mark(&flow, second_ps);
    CHECK_NEAR(hand_gbps(&flow, second_ps), rate, 1e-5);
    hand_mark(&flow, third_ps); /* nothing has come back: the target stays */
    alpha = alpha * 255 / 256 + 1. / 256;
    rate *= 1 - alpha / 2;
    CHECK_NEAR(hand_gbps(&flow, third_ps), rate, 1e-5);
    for (uint32_t i = 1; i <= 8; i++) {
        target += i > 5 ? 0.005 * 400 / 25 : 0;
        rate = (rate + target) / 2;
        CHECK_NEAR(hand_gbps(&flow, third_ps + 55 * i * PS_PER_US), rate, 1e-5);
    }
    arena_free(arena);
}

/* 10 MB sent do the same, and where both have come more than five times the target goes up by more each time; no rate is below
 * the least one. */
static void test_dcqcn_recovers_by_bytes(void)
{
    struct arena *arena = arena_new("test");
    struct hand_flow flow = hand_flow(arena, "dcqcn");
    uint64_t now_ps = PS_PER_MS;
    for (uint32_t i = 0; i < 20; i++, now_ps += 50 * PS_PER_US) {
        hand_mark(&flow, now_ps);
    }
    CHECK_NEAR(hand_gbps(&flow, now_ps), 1, 1e-5);
    double rate = 1, target = 400;
    for (uint32_t sent = 2; sent <= 50; sent++) {
        rate = sent % 10 == 0 ? (rate + target) / 2 : rate;
        CHECK_NEAR(hand_gbps(&flow, now_ps), rate, 1e-5);
    }
    now_ps += 55 * PS_PER_US;
    target = hand_gbps(&flow, now_ps); /* a mark after an increase by time makes the rate the target */
    CHECK_NEAR(target, (rate + 400) / 2, 1e-5);
    hand_mark(&flow, now_ps);
    rate = hand_gbps(&flow, now_ps);
    CHECK(rate < target * 0.6 && rate > target * 0.4);
    for (uint32_t sent = 2; sent <= 80; sent++) { /* of these the last two are the second stage */
        target += sent > 50 && sent % 10 == 0 ? 0.005 * 400 / 25 : 0;
        rate = sent % 10 == 0 ? (rate + target) / 2 : rate;
        CHECK_NEAR(hand_gbps(&flow, now_ps), rate, 1e-5);
    }
    for (uint32_t i = 1; i <= 8; i++) { /* by time five in the second stage, the others in the third; they send 1 MB each */
        target += i > 5 ? (i - 5) * 0.05 * 400 / 25 : 0.005 * 400 / 25;
        rate = (rate + target) / 2;
        CHECK_NEAR(hand_gbps(&flow, now_ps + 55 * i * PS_PER_US), rate, 1e-5);
    }
    flow = hand_flow(arena, "dcqcn");
    hand_mark(&flow, now_ps);
    rate = 200;
    for (uint32_t sent = 1; sent <= 80; sent++) { /* more than the line is no target */
        rate = sent % 10 == 0 ? (rate + 400) / 2 : rate;
        CHECK_NEAR(hand_gbps(&flow, now_ps), rate, 1e-5);
    }
    arena_free(arena);
}

/* uet-htsim: queues of 625,000 B or 151 packets, marked from 31 packets (20 %) to 121 (80 %); headers have twice as much. */
static void test_nscc_has_the_queues_of_htsim(void)
{
    struct arena *arena = arena_new("test");
    const struct transport *nscc = transport_find("nscc");
    struct queue_profile profile = queue_profile_plain;
    nscc->queues(param_defaults(&nscc->params, arena), &hand_facts, &profile);
    CHECK_EQUAL(profile.class_count, 2);
    CHECK(profile.class[1].priority < profile.class[0].priority && profile.class[0].trim_class == 1);
    CHECK_EQUAL(profile.class[0].capacity_bytes, 151 * 4150);
    CHECK_EQUAL(profile.class[0].mark_low_bytes, 31 * 4150);
    CHECK_EQUAL(profile.class[0].mark_high_bytes, 121 * 4150);
    CHECK_EQUAL(profile.class[1].capacity_bytes, 2 * 151 * 4150);
    arena_free(arena);
}

/* A full window on the slowest link, of at most 1024 packets, and for an hour at most. */
static void test_patience_with_slow_links(void)
{
    struct arena *arena = arena_new("test");
    struct endpoint *endpoint = net_new(arena, net_fabric(arena, "fat_tree", TREE), "packet.size=4150B", 1, NULL)->endpoint;
    CHECK_EQUAL(endpoint_slow_ps(endpoint), 0); /* no link is degraded */
    endpoint->config.slowest_bps = 33200000;     /* a packet in a millisecond */
    endpoint->window_packets = 10;
    CHECK_EQUAL(endpoint_slow_ps(endpoint), 10 * PS_PER_MS);
    endpoint->window_packets = 5000;
    CHECK_EQUAL(endpoint_slow_ps(endpoint), 1024 * PS_PER_MS);
    endpoint->config.slowest_bps = 3320; /* ten seconds */
    CHECK_EQUAL(endpoint_slow_ps(endpoint), 3600 * PS_PER_S);
    endpoint->window_packets = 360;
    CHECK_EQUAL(endpoint_slow_ps(endpoint), 3600 * PS_PER_S);
    endpoint->window_packets = 359;
    CHECK_EQUAL(endpoint_slow_ps(endpoint), 3590 * PS_PER_S);
    arena_free(arena);
}

static void test_swift_paces_below_a_packet(void)
{
    struct arena *arena = arena_new("test");
    struct hand_flow flow = hand_flow(arena, "swift");
    struct ack_news news = {.bytes = 4150, .now_ps = 1, .rtt_ps = 100000000};
    for (uint32_t i = 0; i < 40; i++) {
        news.now_ps += news.rtt_ps;
        flow.transport->acked(flow.shared, flow.state, &news);
    }
    uint64_t gap_ps = flow.transport->gap_ps(flow.shared, flow.state, 4150, news.now_ps);
    CHECK(gap_ps > news.rtt_ps && gap_ps <= 101 * news.rtt_ps);
    news.rtt_ps = 20000000; /* below the target again: a packet a round trip soon */
    for (uint32_t i = 0; i < 4; i++) {
        flow.transport->acked(flow.shared, flow.state, &news);
    }
    CHECK_EQUAL(flow.transport->gap_ps(flow.shared, flow.state, 4150, news.now_ps), 0);
    arena_free(arena);
}

/* Many long messages to one host: the queue is what the targets leave room for, flow scaling included. */
static void test_swift_keeps_queues_short(void)
{
    struct arena *arena = arena_new("test");
    const struct subject swift = subject_of(arena, "swift", ""), ideal = subject_of(arena, "ideal", "");
    const struct net *net = incast(&swift, arena), *plain = incast(&ideal, arena);
    uint64_t longest = 0, plain_longest = 0;
    for (uint32_t port = 0; port < net->fabric->port_count; port++) {
        uint64_t bytes = net_counters(net, port).queue_max_bytes, plain_bytes = net_counters(plain, port).queue_max_bytes;
        longest = bytes > longest ? bytes : longest;
        plain_longest = plain_bytes > plain_longest ? plain_bytes : plain_longest;
    }
    uint64_t first_bytes = SENDERS * line_bytes(net->facts.base_rtt_ps, (uint64_t)RATE_BPS);
    CHECK(longest <= first_bytes + SENDERS * 2 * 4150);
    CHECK(longest < plain_longest / 4);
    arena_free(arena);
}

/* ---- telemetry -------------------------------------------------------------------------------------------- */

static void test_load_is_told_without_bias(void)
{
    const uint64_t period_ps = 12500000;
    for (uint64_t share = 26; share < 4000; share += 37) { /* percent */
        struct port_load load = {.busy_ps = period_ps * share / 100};
        double sum = 0, widest = 0;
        for (uint64_t i = 0; i < 4000; i++) {
            double told = (double)load_of_code(load_code(&load, period_ps, rng_draw(1, share, i))) / LOAD_ONE;
            sum += told;
            double off = told * 100 / (double)share - 1;
            widest = off > widest ? off : off < -widest ? -off : widest;
        }
        CHECK_NEAR(sum / 4000, (double)share / 100, 0.004);
        CHECK(widest <= 0.126);
    }
    struct port_load idle = {0}, flooded = {.busy_ps = period_ps * 1000};
    CHECK_EQUAL(load_code(&idle, period_ps, 0), 0);
    CHECK_EQUAL(load_code(&flooded, period_ps, UINT64_MAX), LOAD_CODE_MAX);
}

/* A link that always sends is full: U goes to 1 with the period as time constant, and further with what waits. */
static void test_load_of_a_full_link(void)
{
    struct port_load load = {0};
    for (uint64_t now_ps = 0; now_ps < 100000000; now_ps += 83000) {
        load_depart(&load, 12500000, 0, 83000, now_ps);
    }
    CHECK_NEAR((double)load.busy_ps / 12500000, 1, 0.01);
    for (uint64_t now_ps = 100000000; now_ps < 200000000; now_ps += 83000) {
        load_depart(&load, 12500000, 12500000, 83000, now_ps);
    }
    CHECK_NEAR((double)load.busy_ps / 12500000, 2, 0.01);
    load_depart(&load, 12500000, 0, 83000, 300000000); /* after a rest it is empty, but for the packet before it */
    CHECK_EQUAL(load.busy_ps, 83000);
}

static void test_hpcc_aims_below_the_line(void)
{
    struct arena *arena = arena_new("test");
    struct net *net = net_new(arena, net_fabric(arena, "htsim-128", ""), "transport.name=hpcc", 1, NULL);
    net_post(net, net_add(net, 0, 127, 50000000), 0);
    net_run(net);
    net_check_drained(net);
    double line_ps = wire_bytes(net, 50000000) * 8e12 / RATE_BPS;
    CHECK((double)net_end_ps(net) > line_ps / 0.97 && (double)net_end_ps(net) < line_ps / 0.91);
    arena_free(arena);
}

static uint64_t incast_queue_ps(struct arena *arena, const char *name)
{
    const struct subject subject = subject_of(arena, name, "");
    const struct net *net = incast(&subject, arena);
    uint64_t longest_ps = 0;
    for (uint32_t port = 0; port < net->fabric->port_count; port++) {
        uint64_t wait_ps = net_counters(net, port).queue_wait_ps;
        longest_ps = wait_ps > longest_ps ? wait_ps : longest_ps;
    }
    return longest_ps;
}

static void test_hpcc_keeps_queues_shorter_than_dcqcn(void)
{
    struct arena *arena = arena_new("test");
    CHECK(incast_queue_ps(arena, "hpcc") < incast_queue_ps(arena, "dcqcn") / 2);
    arena_free(arena);
}

/* ---- connections ------------------------------------------------------------------------------------------ */

/* Few pairs with many messages each, so that they follow each other on a connection. */
static void pairs_add(struct net *net, uint64_t seed, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t src = rng_below(rng_draw(seed, 1, i), 8), dst = 8 + rng_below(rng_draw(seed, 2, i), 3);
        uint64_t bytes = rng_draw(seed, 3, i) % 300000 >> rng_draw(seed, 4, i) % 12;
        net_post(net, net_add(net, src, dst, bytes), rng_draw(seed, 5, i) % (20 * PS_PER_US));
    }
}

/* Messages of a pair that were posted one after the other on one connection end one after the other. */
static void order_check(const struct net *net)
{
    for (size_t i = 1; i < net->count; i++) {
        for (size_t k = 1; k < net->count; k++) {
            const struct net_message *a = &net->messages[i], *b = &net->messages[k];
            if (a->src == b->src && a->dst == b->dst && a->posted_ps < b->posted_ps) {
                CHECK(a->delivered_ps <= b->delivered_ps && a->acked_ps <= b->acked_ps);
            }
        }
    }
}

static void follows(const struct subject *subject, struct arena *arena)
{
    static const char *const more[] = {"host.connections=0", "host.connections=1", "host.connections=1 host.segment=40kB host.nic_latency=300ns",
                                       "host.connections=3 host.segment=40kB host.post_gap=200ns",
                                       ("host.connections=1 queue.capacity=30000B queue.full=drop queue.xoff=1GB queue.xon=1GB "
                                        "host.rto=60us")};
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        struct net *net = net_new(arena, net_fabric(arena, "fat_tree", TIGHT), settings_of(arena, subject, more[i]),
                                  test_seed() + i, NULL);
        pairs_add(net, test_seed() + i, 150);
        net_run(net);
        net_check_drained(net);
        if (strstr(more[i], "connections=1") != NULL) {
            order_check(net);
        }
    }
}

static void test_connections_keep_order(void)
{
    each_transport(follows);
}

#define PARTS 10
#define PART_BYTES 204300 /* 50 whole packets */

/* To host 127, or every one to a host before it. */
static const struct net *parts_run(struct arena *arena, const char *more, uint32_t apart, uint32_t channels)
{
    struct net *net = net_new(arena, net_fabric(arena, "htsim-128", ""),
                              arena_printf(arena, "transport.name=ideal %s", more), 1, NULL);
    for (uint32_t i = 0; i < PARTS; i++) {
        size_t part = net_add(net, 0, 127 - apart * i, PART_BYTES);
        net->messages[part].channel = i % channels;
        net_post(net, part, 0);
    }
    net_run(net);
    net_check_drained(net);
    return net;
}

/* Over one connection, as there is unless more are asked for, the messages leave one after the other without a gap; each by
 * itself, on a channel of its own or to a host of its own, they share the port. */
static void test_a_connection_is_a_pipeline(void)
{
    struct arena *arena = arena_new("test");
    const uint64_t packet_ps = 83000, way_ps = 5 * packet_ps + 6 * PS_PER_US;
    const struct net *alone = parts_run(arena, "host.connections=0", 0, 1), *together = parts_run(arena, "", 0, 1);
    const struct net *channels = parts_run(arena, "", 0, PARTS), *two = parts_run(arena, "", 0, 2);
    const struct net *apart = parts_run(arena, "", 1, 1);
    for (uint32_t i = 1; i <= PARTS; i++) {
        CHECK_EQUAL(together->messages[i].delivered_ps, i * 50 * packet_ps + way_ps);
        CHECK(alone->messages[i].delivered_ps > 48 * PARTS * packet_ps + way_ps);
        CHECK(apart->messages[i].delivered_ps > 48 * PARTS * packet_ps + way_ps);
        CHECK_EQUAL(channels->messages[i].delivered_ps, alone->messages[i].delivered_ps);
        uint64_t of_pair_ps = (i + 1) / 2 * 100 * packet_ps + way_ps;
        CHECK(two->messages[i].delivered_ps <= of_pair_ps + 5 * packet_ps);
        CHECK(two->messages[i].delivered_ps + 5 * packet_ps >= of_pair_ps);
    }
    arena_free(arena);
}

/* Ten segments are the ten messages, told as one; the NIC is passed at both ends; posting takes its time. */
static void test_hosts_take_time(void)
{
    struct arena *arena = arena_new("test");
    const uint64_t line_ps = PARTS * 50 * 83000 + 5 * 83000 + 6 * PS_PER_US;
    struct net *net = net_new(arena, net_fabric(arena, "htsim-128", ""),
                              "transport.name=ideal host.segment=204300B host.connections=2 host.nic_latency=700ns host.post=1us",
                              1, NULL);
    net_post(net, net_add(net, 0, 127, PARTS * PART_BYTES), 0);
    net_run(net);
    net_check_drained(net);
    CHECK_EQUAL(net->messages[1].delivered_ps, line_ps + 2 * 700000 + PS_PER_US);
    CHECK_EQUAL(net->messages[1].fate.delivered_ps, net->messages[1].delivered_ps);
    const struct net *spaced = parts_run(arena, "host.post_gap=10us", 0, 1); /* a message takes 4.15 us */
    for (uint32_t i = 1; i <= PARTS; i++) {
        CHECK_EQUAL(spaced->messages[i].delivered_ps, (i - 1) * 10 * PS_PER_US + 50 * 83000 + 5 * 83000 + 6 * PS_PER_US);
    }
    arena_free(arena);
}

/* What is steered outlives a message: the second one starts with the window that the first one has left. */
static void test_windows_outlive_messages(void)
{
    struct arena *arena = arena_new("test");
    uint64_t first_ps[2];
    static const char *const more[] = {"host.connections=0", ""};
    for (size_t i = 0; i < 2; i++) {
        struct net *net = net_new(arena, net_fabric(arena, "fat_tree", TREE),
                                  arena_printf(arena, "transport.name=swift %s", more[i]), 1, NULL);
        for (uint32_t src = 0; src < 7; src++) {
            net_post(net, net_add(net, 4 + src, 0, 2000000), 0);
        }
        size_t late = net_add(net, 4, 0, 1000000);
        net_post(net, late, 200 * PS_PER_US);
        net_run(net);
        net_check_drained(net);
        first_ps[i] = net->messages[late].delivered_ps;
    }
    CHECK(first_ps[0] != first_ps[1]);
    arena_free(arena);
}

/* From one host to all others: pairs come, are forgotten and come again, and none loses its place to another. */
static void comes_and_goes(const struct subject *subject, struct arena *arena)
{
    for (uint32_t seed = 0; seed < 4; seed++) {
        struct net *net = net_new(arena, net_fabric(arena, "htsim-128", ""), settings_of(arena, subject, "host.connections=1"),
                                  test_seed() + seed, NULL);
        for (uint32_t i = 0; i < 600; i++) {
            size_t message = net_add(net, 5, 6 + rng_below(rng_draw(test_seed(), seed, i), 40), rng_draw(seed, 1, i) % 20000);
            net_post(net, message, (i + 1) * (100 * PS_PER_NS << 2 * seed));
        }
        net_run(net);
        net_check_drained(net);
        order_check(net);
    }
}

static void test_pairs_come_and_go(void)
{
    each_transport(comes_and_goes);
}

/* A pair that is quiet takes no memory, where its transport learns nothing. */
static void test_quiet_pairs_are_forgotten(void)
{
    size_t bytes[2];
    static const char *const settings[] = {"transport.name=roce host.connections=0", "transport.name=roce"};
    for (uint32_t i = 0; i < 2; i++) {
        struct arena *arena = arena_new("test");
        struct net *net = net_new(arena, net_fabric(arena, "htsim-128", ""), settings[i], 1, NULL);
        for (uint32_t dst = 1; dst < 128; dst++) {
            net_post(net, net_add(net, 0, dst, 4000), dst * 100 * PS_PER_US);
        }
        net_run(net);
        net_check_drained(net);
        bytes[i] = arena_used_bytes(arena);
        arena_free(arena);
    }
    CHECK(bytes[1] < bytes[0] + 1000); /* a pair has a hundred */
}

/* The message behind one that has left may go by another port at once, within the request of the first port. */
static void test_connections_over_many_ports(void)
{
    struct arena *arena = arena_new("test");
    const struct fabric *fabric = net_fabric(arena, "multi_plane", "hosts=16 planes=4 radix=8 link_rate=100Gbps link_delay=1us");
    struct net *net = net_new(arena, fabric, "", 1, NULL);
    for (uint32_t i = 0; i < 40; i++) { /* all wait for the first one, so that all ports rest when it goes */
        size_t message = net_add(net, 1, 2, 3000);
        net->messages[message].post_ns = i == 0 ? 1000 : 0;
        net_post(net, message, 0);
    }
    net_run(net);
    net_check_drained(net);
    arena_free(arena);
}

static uint64_t connections_hash(struct arena *arena, const struct engine_class *engine)
{
    struct net *net = net_new(arena, net_fabric(arena, "fat_tree", TREE),
                              "transport.name=window host.connections=2 host.segment=50kB host.nic_latency=400ns", 1, engine);
    pairs_add(net, 3, 300);
    net_run(net);
    net_check_drained(net);
    uint64_t hash = 0;
    for (size_t i = 1; i < net->count; i++) {
        hash = rng_mix(hash ^ net->messages[i].acked_ps) + net->messages[i].delivered_ps;
    }
    return hash;
}

static void test_connections_are_the_same_on_every_engine(void)
{
    struct arena *arena = arena_new("test");
    CHECK_EQUAL(connections_hash(arena, &engine_plain), connections_hash(arena, &engine_window));
    arena_free(arena);
}

/* ---- what it costs ---------------------------------------------------------------------------------------- */

static uint64_t hash_of(const struct subject *subject, struct arena *arena, uint64_t seed)
{
    struct net *net = net_new(arena, net_fabric(arena, "fat_tree", TIGHT), settings_of(arena, subject, ""), seed,
                              NULL);
    traffic_add(net, 11, 100);
    net_run(net);
    uint64_t hash = 0;
    for (size_t i = 1; i < net->count; i++) {
        hash = rng_mix(hash ^ net->messages[i].acked_ps) + net->messages[i].delivered_ps;
    }
    return hash;
}

static void repeats(const struct subject *subject, struct arena *arena)
{
    CHECK_EQUAL(hash_of(subject, arena, 1), hash_of(subject, arena, 1));
    CHECK(hash_of(subject, arena, 1) != hash_of(subject, arena, 2));
}

static void test_equal_seeds_equal_runs(void)
{
    each_transport(repeats);
}

/* What happens to a message does not depend on when it is. */
static void keeps_time(const struct subject *subject, struct arena *arena)
{
    const uint64_t late_ps = 100 * PS_PER_MS;
    const struct net *first = incast_at(subject, arena, 0), *late = incast_at(subject, arena, late_ps);
    for (size_t i = 1; i < first->count; i++) {
        CHECK_EQUAL(late->messages[i].acked_ps - late_ps, first->messages[i].acked_ps);
    }
}

static void test_a_later_run_is_the_same(void)
{
    each_transport(keeps_time);
}

/* A selective ACK for about every fourth packet, and each arrival reported by one of them. */
static void test_acks_are_coalesced(void)
{
    struct arena *arena = arena_new("test");
    struct net *net = net_new(arena, net_fabric(arena, "htsim-128", ""),
                              "transport.name=nscc routing.balance=spray_n", 1, NULL);
    net_post(net, net_add(net, 0, 127, 2000000), 0);
    net_run(net);
    struct endpoint_counters ends;
    endpoint_counters(net->endpoint, &ends);
    CHECK_EQUAL(ends.data_packets_sent, 490);
    CHECK(ends.acks_received > 490 / 5 && ends.acks_received < 490 / 3);
    arena_free(arena);
}

/* A star whose round trip is a few packets: ACKs for 16 KB each would let the window stand still between them (1.55 times the
 * line's time with links of no delay, 1.4 at 10 ns), and ACKs wait for full packets where both ends send. */
static void test_nscc_fills_short_ways(void)
{
    static const char *const delays[] = {"1ps", "1ns", "10ns", "50ns", "100ns", "200ns", "300ns", "400ns", "1us"};
    for (size_t i = 0; i < 2 * sizeof delays / sizeof delays[0]; i++) {
        struct arena *arena = arena_new("test");
        const struct fabric *fabric =
            net_fabric(arena, "fat_tree", arena_printf(arena, "tiers=1 hosts=2 link_rate=400Gbps link_delay=%s", delays[i / 2]));
        struct net *net = net_new(arena, fabric, "transport.name=nscc routing.balance=spray_n", 1, NULL);
        net_post(net, net_add(net, 0, 1, 10000000), 0);
        if (i % 2 == 1) {
            net_post(net, net_add(net, 1, 0, 10000000), 0);
        }
        net_run(net);
        net_check_drained(net);
        double bytes = wire_bytes(net, 10000000), forth_s = bytes * 8 / RATE_BPS;
        double acks_s = i % 2 == 1 ? forth_s * 64 / 4150 : 0; /* one a packet at most on the same link */
        double took_s = (double)(net->messages[1].delivered_ps) / 1e12 - 2e-12 * (double)link_delay_ps(fabric, 0);
        CHECK(took_s >= forth_s);
        CHECK(took_s <= (forth_s + acks_s) * 1.03);
        arena_free(arena);
    }
}

/* Links of one switch with cables of different length: each has its own xoff in one size of buffer, and none drops. */
static void test_headroom_follows_the_cable(void)
{
    struct arena *arena = arena_new("test");
    const struct fabric *fabric = net_fabric(arena, "fat_tree", "hosts=32 radix=8 tiers=2 link_delay=0ps switch_length=300m host_length=3m");
    struct queue_class rule = {.xoff_bytes = 60000, .xon_bytes = 50000, .buffer_bytes = 500000};
    uint32_t leaf = fabric->host_count, host_port = fabric->port_first[leaf], up_port = fabric->port_first[leaf + 1] - 1;
    uint64_t near_bytes = queue_headroom_bytes(fabric, host_port, 4150), far_bytes = queue_headroom_bytes(fabric, up_port, 4150);
    CHECK(far_bytes > near_bytes + 100000); /* 600 m there and back at 400 Gbit/s are 146 kB */
    CHECK_EQUAL(queue_xoff_bytes(&rule, far_bytes), 500000 - far_bytes);
    CHECK_EQUAL(queue_xon_bytes(&rule, far_bytes), 490000 - far_bytes);
    rule.buffer_bytes = 0;
    CHECK_EQUAL(queue_xoff_bytes(&rule, far_bytes), 60000);
    CHECK_EQUAL(queue_xon_bytes(&rule, far_bytes), 50000);
    arena_free(arena);
}

/* ---- defaults that follow the fabric ------------------------------------------------------------------------ */

/* A long message on an idle way of `rate_bps`: what a transport takes for granted of links must fit whatever takes the time. */
static void line_check(const struct subject *subject, struct arena *arena, const struct fabric *fabric, uint32_t dst, double rate_bps)
{
    struct net *net = net_new(arena, fabric, settings_of(arena, subject, ""), 1, NULL);
    net_post(net, net_add(net, 0, dst, LONG_BYTES), 0);
    net_run(net);
    net_check_drained(net);
    double line_ps = wire_bytes(net, LONG_BYTES) * 8e12 / rate_bps, slack = 1.02;
    slack = subject->transport->pull != NULL ? 1.05 : slack;     /* the pace of pulls, and the first answer */
    slack = net->queues.load_period_ps > 0 ? 1 / 0.91 : slack;   /* 95 % are aimed at, told in steps of 6 % and more */
    CHECK((double)net_end_ps(net) > line_ps);
    CHECK((double)net_end_ps(net) < line_ps * slack + 2 * (double)net->facts.base_rtt_ps);
}

/* Cables of 5 m and switches that take a microsecond or two: the time is in the switches. */
static void slow_switches(const struct subject *subject, struct arena *arena)
{
    const char *tree = "radix=8 tiers=2 link_rate=400Gbps link_delay=25ns switch_latency=1us";
    line_check(subject, arena, net_fabric(arena, "fat_tree", tree), 31, RATE_BPS);
}

static void test_slow_switches_do_not_slow_the_line(void)
{
    each_transport(slow_switches);
}

/* Uplinks four times as fast as the ports of hosts, shared by three of these: no link between switches is held back. */
static void test_credit_fills_links_faster_than_hosts(void)
{
    struct arena *arena = arena_new("test");
    const char *tree = "radix=5 tiers=2 link_rate=800Gbps host_link_rate=200Gbps link_delay=2us oversubscription=4:1";
    struct net *net = net_new(arena, net_fabric(arena, "fat_tree", tree), "transport.name=credit", 1, NULL);
    for (uint32_t host = 0; host < 3; host++) {
        net_post(net, net_add(net, host, 16 + host, LONG_BYTES), 0);
    }
    net_run(net);
    net_check_drained(net);
    CHECK((double)net_end_ps(net) < wire_bytes(net, LONG_BYTES) * 8e12 / 200e9 * 1.02 + (double)net->facts.base_rtt_ps);
    arena_free(arena);
}

/* Four planes of 100 Gbit/s: a message that is sprayed has all of them. */
static void planes(const struct subject *subject, struct arena *arena)
{
    bool is_one_path = strstr(subject->settings, "ecmp") != NULL;
    const struct fabric *fabric = net_fabric(arena, "multi_plane", "hosts=16 planes=4 radix=8 link_rate=100Gbps link_delay=1us");
    line_check(subject, arena, fabric, 15, is_one_path ? 100e9 : 400e9);
}

static void test_a_message_fills_all_planes(void)
{
    each_transport(planes);
}

/* How much longer than its planes' share of the line an incast takes, with one seed. */
static double crowded_share(const struct subject *subject, struct arena *arena, uint64_t seed)
{
    const struct fabric *fabric = net_fabric(arena, "multi_plane", "hosts=16 planes=4 radix=8 link_rate=100Gbps link_delay=1us");
    struct net *net = net_new(arena, fabric, settings_of(arena, subject, ""), seed, NULL);
    for (uint32_t src = 4; src < 12; src++) {
        net_post(net, net_add(net, src, 0, LONG_BYTES / 4), 0);
    }
    net_run(net);
    net_check_drained(net);
    double line_ps = 8 * wire_bytes(net, LONG_BYTES / 4) * 8e12 / RATE_BPS;
    return ((double)net_end_ps(net) - (double)net->facts.base_rtt_ps) / line_ps;
}

/* Messages of many hosts to one: no plane of it is loaded more than the others, whoever steers. A mean, since the last
 * message's luck is worth 2 %. */
static void crowded_planes(const struct subject *subject, struct arena *arena)
{
    double sum = 0;
    if (strstr(subject->settings, "ecmp") != NULL) {
        return;
    }
    for (uint64_t seed = 1; seed <= 4; seed++) {
        sum += crowded_share(subject, arena, seed);
    }
    CHECK(sum / 4 < 1.06);
}

static void test_incast_takes_all_planes(void)
{
    each_transport(crowded_planes);
}

/* Four neighbours in a torus send to the host between them, each over a link of its own. */
static void neighbours(const struct subject *subject, struct arena *arena)
{
    static const uint32_t of_0[] = {1, 4, 5, 20};
    const struct fabric *fabric = net_fabric(arena, "torus", "dimensions=5x5 link_rate=100Gbps link_delay=1us");
    struct net *net = net_new(arena, fabric, settings_of(arena, subject, ""), 1, NULL);
    for (size_t i = 0; i < 4; i++) {
        net_post(net, net_add(net, of_0[i], 0, LONG_BYTES), 0);
    }
    net_run(net);
    net_check_drained(net);
    double line_ps = wire_bytes(net, LONG_BYTES) * 8e12 / 100e9;
    CHECK((double)net_end_ps(net) > line_ps);
    CHECK((double)net_end_ps(net) < line_ps * 1.1 + 2 * (double)net->facts.base_rtt_ps);
}

static void test_a_receiver_uses_all_its_links(void)
{
    each_transport(neighbours);
}

/* Slots of 100 ns: a queue behind one drains at a fraction of its line, and that is no reason to send anything twice. */
static void test_nothing_is_repeated_for_waiting_in_slots(void)
{
    struct arena *arena = arena_new("test");
    const struct fabric *fabric = net_fabric(arena, "sirius", "");
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct net *net = net_new(arena, fabric, "transport.name=nscc routing.balance=spray_n packet.size=562B", seed, NULL);
        for (uint32_t i = 0; i < 16 * 15; i++) {
            uint32_t src = i / 15, dst = (src + 1 + i % 15) % 16;
            net_post(net, net_add(net, src, dst, 62500), 0);
        }
        net_run(net);
        net_check_drained(net);
        struct endpoint_counters ends;
        endpoint_counters(net->endpoint, &ends);
        CHECK(ends.marked_packets > 0);
        CHECK_EQUAL(ends.retransmissions, ends.trimmed_packets);
        CHECK_EQUAL(ends.duplicates, 0);
    }
    arena_free(arena);
}

static struct port_counters host_counters(const struct net *net)
{
    struct port_counters sum = {0};
    for (uint32_t port = 0; port < net->fabric->port_first[net->fabric->host_count]; port++) {
        struct port_counters own = net_counters(net, port);
        sum.dropped_packets += own.dropped_packets;
        sum.trimmed_packets += own.trimmed_packets;
        sum.marked_packets += own.marked_packets;
    }
    return sum;
}

/* Posts one message, and how long it takes but for a round trip, over what its bytes take at this rate. */
static double lone_ratio(struct arena *arena, const struct subject *subject, const char *spec, uint32_t dst, double rate_bps)
{
    const uint64_t bytes = 4 << 20;
    struct net *net = net_new(arena, net_fabric(arena, spec, ""), settings_of(arena, subject, ""), 1, NULL);
    net_post(net, net_add(net, 0, dst, bytes), 0);
    net_run(net);
    net_check_drained(net);
    CHECK(net->messages[1].retransmissions == net->messages[1].fate.trimmed);
    double line_ps = wire_bytes(net, bytes) * 8e12 / rate_bps;
    return ((double)net->messages[1].delivered_ps - (double)net->facts.base_rtt_ps) / line_ps;
}

/* 18 links by four switches, where a hash chooses the link behind the switch; 18 links by as many switches; and over
 * scale-up links to a GPU with a NIC that is faster than each of them. */
static void stripes(const struct subject *subject, struct arena *arena)
{
    bool is_in_order = subject->ack == ACK_IN_ORDER, has_nic_rate = !is_in_order && subject->transport->gap_ps != NULL;
    CHECK(has_nic_rate || lone_ratio(arena, subject, "nvl72", 1, 18 * RATE_BPS) < 1.05);
    CHECK(!is_in_order || lone_ratio(arena, subject, "clos-h100", 1, 9 * RATE_BPS) < 1.1);
    CHECK(lone_ratio(arena, subject, "rail-h100", 15, RATE_BPS) < 1.05);
}

static void test_scale_up_links_are_striped(void)
{
    each_transport(stripes);
}

/* Go-back-N under loss, in a server and through GPUs that pass on. */
static void loses_in_servers(const struct subject *subject, struct arena *arena)
{
    if (subject->ack != ACK_IN_ORDER) {
        return;
    }
    const uint64_t seed = test_seed();
    const char *more = "queue.capacity=30000B queue.full=drop queue.xoff=1GB queue.xon=1GB host.rto=60us";
    struct net *net = net_new(arena, net_fabric(arena, "rail-h100", "hosts=16"), settings_of(arena, subject, more), seed, NULL);
    traffic_add(net, seed, 100);
    for (uint32_t src = 1; src < 8; src++) {
        net_post(net, net_add(net, src, 0, 300000), 0);
        net_post(net, net_add(net, src, 8, 100000), 0);
    }
    net_run(net);
    net_check_drained(net);
    CHECK(net_counters_sum(net).dropped_packets > 0);
}

static void test_every_byte_once_in_servers(void)
{
    each_transport(loses_in_servers);
}

#define FORWARDED_BYTES 4000000

/* Seven GPUs send over scale-up links to the eighth, whose NIC is slower than these: what waits there waits in memory. */
static void forwarded(const struct subject *subject, struct arena *arena)
{
    const struct fabric *fabric = net_fabric(arena, "rail-h100", "hosts=16");
    struct net *net = net_new(arena, fabric, settings_of(arena, subject, ""), 1, NULL);
    for (uint32_t src = 0; src < 7; src++) {
        net_post(net, net_add(net, src, 15, FORWARDED_BYTES), 0);
    }
    net_run(net);
    net_check_drained(net);
    struct port_counters at_hosts = host_counters(net);
    CHECK_EQUAL(at_hosts.dropped_packets + at_hosts.trimmed_packets + at_hosts.marked_packets, 0);
    bool is_cautious = subject->ack == ACK_IN_ORDER && subject->transport->acked != NULL; /* rates that recover slowly */
    double slack = is_cautious ? 1.8 : 1.15;
    CHECK((double)net_end_ps(net) < 7 * wire_bytes(net, FORWARDED_BYTES) * 8e12 / RATE_BPS * slack + (double)net->facts.base_rtt_ps);
}

static void test_hosts_pass_on_from_memory(void)
{
    each_transport(forwarded);
}

/* A port that is dark for long makes timeouts long. Nothing is lost here but what is trimmed, so nobody waits for one, of
 * messages with a window of their own and of those that share one. */
static void leisure_run(const struct subject *subject, struct arena *arena, uint32_t messages, uint64_t seed)
{
    struct fabric *fabric = net_fabric(arena, "fat_tree", TREE);
    uint64_t *up_ps = hand_column(uint64_t, fabric->port_up_ps);
    up_ps[fabric->port_first[31]] = 50 * PS_PER_MS;
    const char *settings = settings_of(arena, subject, "queue.capacity=20kB queue.full=trim");
    struct net *net = net_new(arena, fabric, settings, seed, NULL);
    if (net->queues.class_count < 2) {
        return; /* ACKs that find a queue full are lost */
    }
    for (uint32_t i = 0; i < 4 * 27 * messages; i++) {
        uint32_t src = 4 + i / messages % 27, more_kB = messages > 1 ? 9 + 4 * (i % messages) : 100;
        net_post(net, net_add(net, src, i / messages / 27, 1000 * (more_kB + src)), 0);
    }
    net_run(net);
    net_check_drained(net);
    struct endpoint_counters ends;
    endpoint_counters(net->endpoint, &ends);
    CHECK(ends.trimmed_packets > 1000 && net_counters_sum(net).dropped_packets == 0);
    CHECK(net_end_ps(net) < 10 * PS_PER_MS);
}

static void trimmed_at_leisure(const struct subject *subject, struct arena *arena)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        leisure_run(subject, arena, 1, seed);
    }
}

static void trimmed_in_connections(const struct subject *subject, struct arena *arena)
{
    struct subject connected = *subject;
    connected.settings = settings_of(arena, subject, "host.connections=1");
    leisure_run(&connected, arena, 6, 10);
    leisure_run(&connected, arena, 6, 28);
}

static void test_trimming_needs_no_timeout(void)
{
    each_transport(trimmed_at_leisure);
    each_transport(trimmed_in_connections);
}

/* Rings over cables of 5 m: a round trip is a few packets, and both ways are full. */
static void test_hpcc_fills_short_ways(void)
{
    struct arena *arena = arena_new("test");
    const char *tree = "hosts=8 radix=8 tiers=1 link_rate=32Gbps link_delay=25ns switch_latency=100ns";
    struct net *net = net_new(arena, net_fabric(arena, "fat_tree", tree), "transport.name=hpcc", 1, NULL);
    for (uint32_t host = 0; host < 8; host++) {
        net_post(net, net_add(net, host, (host + 1) % 8, LONG_BYTES), 0);
    }
    net_run(net);
    net_check_drained(net);
    CHECK((double)net_end_ps(net) < wire_bytes(net, LONG_BYTES) * 8e12 / 32e9 / 0.85);
    arena_free(arena);
}

static size_t flow_bytes(const struct subject *subject, struct arena *arena, const char *more)
{
    const struct net *net = net_new(arena, net_fabric(arena, "fat_tree", TREE), settings_of(arena, subject, more), 1, NULL);
    bool has_entropies = net->endpoint->recycles && net->endpoint->config.connections == 0;
    return net->endpoint->flow_bytes - (has_entropies ? sizeof(struct good_entropies) : 0);
}

/* Three lines, four where the transport keeps something of a message; eight bytes more where that and gaps fill the fourth.
 * What connections keep messages do not: 200 B, and what credit or gaps take. */
static void is_small(const struct subject *subject, struct arena *arena)
{
    const char *name = subject->transport->name;
    bool keeps_nothing = strcmp(name, "ideal") == 0 || strcmp(name, "credit") == 0 || strcmp(name, "roce") == 0 ||
                         strcmp(name, "window") == 0;
    bool is_selective = strcmp(name, "dcqcn") == 0 && subject->ack == ACK_EACH;
    CHECK_EQUAL(flow_bytes(subject, arena, "host.connections=0"), keeps_nothing ? 192 : is_selective ? 264 : 256);
    size_t shared_bytes = subject->transport->pull != NULL ? 256 : is_selective ? 208 : 200;
    CHECK_EQUAL(flow_bytes(subject, arena, "host.connections=1"), shared_bytes);
}

static void test_a_message_in_flight_is_small(void)
{
    each_transport(is_small);
}

/* Fields and words say the same. */
static void test_packets_are_composed_of_all_their_fields(void)
{
    const struct packet_parts parts = {.dst = 0xabcde, .src = 0x54321, .flow = 0x1a5a5, .load = 0x2a, .asks_ack = 1, .seq = 0x123456,
                                       .size_bytes = 0x2345, .entropy = 0xbeef, .kind = 2, .class = 5, .is_marked = 1, .generation = 6};
    struct packet packet;
    packet_compose(&packet, &parts);
    CHECK(packet.dst == parts.dst && packet.src == parts.src && packet.flow == parts.flow && packet.load == parts.load);
    CHECK(packet.asks_ack && packet.is_marked && !packet.is_trimmed);
    CHECK(packet.seq == parts.seq && packet.size_bytes == parts.size_bytes && packet.entropy == parts.entropy);
    CHECK(packet.kind == parts.kind && packet.class == parts.class && packet.generation == parts.generation);
}

TEST_MAIN("transport", TEST(test_idle), TEST(test_no_transport_beats_the_fluid_bound),
          TEST(test_incast_takes_the_last_link), TEST(test_long_messages_share_evenly),
          TEST(test_every_byte_once_under_drops), TEST(test_every_byte_once_under_bit_errors),
          TEST(test_links_that_repeat_lose_nothing), TEST(test_every_byte_once_under_trimming),
          TEST(test_every_byte_once_under_reordering), TEST(test_single_losses_are_repeated_singly), TEST(test_few_packets_are_repeated_soon),
          TEST(test_reordering_is_told), TEST(test_reorder_distance), TEST(test_connections_keep_order),
          TEST(test_a_connection_is_a_pipeline), TEST(test_hosts_take_time), TEST(test_windows_outlive_messages),
          TEST(test_pairs_come_and_go), TEST(test_quiet_pairs_are_forgotten), TEST(test_connections_over_many_ports),
          TEST(test_connections_are_the_same_on_every_engine), TEST(test_no_drop_under_pfc), TEST(test_no_drop_under_credits),
          TEST(test_no_drop_where_queues_hold_the_headroom), TEST(test_no_drop_where_hosts_pass_packets_on),
          TEST(test_hosts_pause_hosts),
          TEST(test_queues_that_must_drop_are_refused), TEST(test_pauses_and_credits_bite),
          TEST(test_pause_storms_spread_and_are_counted),
          TEST(test_recycling_avoids_slow_paths),
          TEST(test_nscc_has_four_answers), TEST(test_nscc_has_the_queues_of_htsim),
          TEST(test_patience_with_slow_links), TEST(test_dcqcn_recovers_by_time), TEST(test_dcqcn_recovers_by_bytes), TEST(test_swift_follows_its_target),
          TEST(test_swift_counts_hops_where_told), TEST(test_swift_shares_between_near_and_far), TEST(test_swift_paces_below_a_packet), TEST(test_swift_keeps_queues_short),
          TEST(test_load_is_told_without_bias), TEST(test_load_of_a_full_link), TEST(test_hpcc_aims_below_the_line),
          TEST(test_hpcc_keeps_queues_shorter_than_dcqcn), TEST(test_equal_seeds_equal_runs), TEST(test_a_later_run_is_the_same), TEST(test_acks_are_coalesced), TEST(test_nscc_fills_short_ways),
          TEST(test_headroom_follows_the_cable),
          TEST(test_slow_switches_do_not_slow_the_line), TEST(test_credit_fills_links_faster_than_hosts),
          TEST(test_a_message_fills_all_planes), TEST(test_incast_takes_all_planes), TEST(test_a_receiver_uses_all_its_links),
          TEST(test_hosts_pass_on_from_memory), TEST(test_scale_up_links_are_striped),
          TEST(test_every_byte_once_in_servers), TEST(test_nothing_is_repeated_for_waiting_in_slots), TEST(test_trimming_needs_no_timeout),
          TEST(test_hpcc_fills_short_ways), TEST(test_a_message_in_flight_is_small),
          TEST(test_packets_are_composed_of_all_their_fields))
