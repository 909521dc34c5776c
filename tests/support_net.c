#include "tests/net.h"

#include "netsim/fabric_load.h"
#include "tests/check.h"
#include "tests/support_run.h"

static void net_send(struct net *net, size_t index, uint64_t now_ps)
{
    struct net_message *sent = &net->messages[index];
    sent->posted_ps = now_ps;
    const struct message message = {.src_rank = sent->src, .dst_rank = sent->dst, .src_host = sent->src,
                                    .dst_host = sent->dst, .bytes = sent->bytes, .key = {index, 0}, .cookie = (uint32_t)index,
                                    .channel = sent->channel, .post_ns = sent->post_ns};
    endpoint_send(net->endpoint, &message, now_ps);
}

static void on_delivered(void *context, const struct message *message, uint64_t now_ps)
{
    struct net_message *sent = &((struct net *)context)->messages[message->cookie];
    sent->delivered++;
    sent->delivered_ps = now_ps;
}

static void on_acked(void *context, const struct message *message, const struct message_fate *fate, uint64_t now_ps)
{
    struct net *net = context;
    struct net_message *sent = &net->messages[message->cookie];
    sent->acked++;
    sent->acked_ps = now_ps;
    sent->retransmissions = fate->retransmissions;
    sent->fate = *fate;
    CHECK_EQUAL(fate->delivered_ps, sent->delivered_ps);
    if (sent->then != 0) {
        net_post(net, sent->then, now_ps);
    } else if (sent->then_of != NULL && sent->then_of->next < sent->then_of->end) {
        net_post(net, sent->then_of->next++, now_ps);
    }
}

static bool on_pull(void *context, uint32_t host, uint32_t port, uint64_t now_ps, struct packet *packet)
{
    return endpoint_pull(((struct net *)context)->endpoint, host, port, now_ps, packet);
}

static void on_receive(void *context, uint32_t host, const struct packet *packet, uint64_t now_ps)
{
    endpoint_receive(((struct net *)context)->endpoint, host, packet, now_ps);
}

static void on_event(void *context, uint32_t host, enum host_event kind, uint64_t argument, uint64_t now_ps)
{
    struct net *net = context;
    if (kind == HOST_TIMER) {
        endpoint_timer(net->endpoint, host, argument, now_ps);
    } else {
        net_send(net, argument, now_ps);
    }
}

/* ---- building --------------------------------------------------------------------------------------------- */

static void must(enum status status, const struct diag *diag)
{
    if (status != STATUS_OK) {
        printf("%s\n", diag->text);
        exit(1); /* what follows would use what is not there */
    }
}

struct fabric *net_fabric(struct arena *arena, const char *spec, const char *text)
{
    struct trace_setting settings[SETTINGS_MAX];
    struct fabric_config config;
    struct diag diag;
    size_t count = settings_split(arena, text, settings);
    must(fabric_load(spec, settings, count, 0, arena, &config, &diag), &diag);
    return config.fabric;
}

static void endpoint_make(struct net *net, uint64_t seed)
{
    static const struct endpoint_ops ops = {.delivered = on_delivered, .acked = on_acked};
    const struct scenario *scenario = &net->scenario;
    const struct endpoint_config config = {
        .fabric = net->fabric,
        .routes = net->routes,
        .shape = scenario_shape(scenario),
        .transport = scenario->transport,
        .transport_values = scenario->transport_values,
        .balance = balances[scenario->routing->balance],
        .entropies = (uint32_t)scenario->routing->entropies,
        .flowlet_gap_ps = scenario->routing->flowlet_gap_ps,
        .queues = &net->queues,
        .can_fail = links_can_lose(scenario->links, net->fabric),
        .rto_ps = scenario->host->rto_ps,
        .post_ps = scenario->host->post_ps,
        .post_gap_ps = scenario->host->post_gap_ps,
        .nic_ps = scenario->host->nic_ps,
        .connections = (uint32_t)scenario->host->connections,
        .segment_bytes = scenario->host->segment_bytes,
        .local_bps = scenario->host->local_bps,
        .seed = seed,
        .ops = &ops,
        .context = net,
    };
    net->endpoint = endpoint_new(net->arena, &config);
}

static void engine_make(struct net *net, uint64_t seed, const struct engine_class *class)
{
    static const struct host_ops ops = {.pull = on_pull, .receive = on_receive, .event = on_event};
    const struct engine_config config = {
        .fabric = net->fabric,
        .routes = net->routes,
        .ways = &net->ways,
        .seed = seed,
        .cut_through_bytes = (uint32_t)net->scenario.packet->header_bytes,
        .packet_bytes_max = (uint32_t)net->scenario.packet->size_bytes,
        .cells = scenario_shape(&net->scenario).cells,
        .links_repeat = net->scenario.links->retry != 0,
        .switch_queues = &net->queues,
        .host_queues = &net->host_queues,
        .ops = &ops,
        .context = net,
    };
    net->engine = (class != NULL ? class : engine_class_for(&net->queues))->create(net->arena, &config);
    endpoint_attach(net->endpoint, net->engine);
}

struct net *net_new(struct arena *arena, const struct fabric *fabric, const char *text, uint64_t seed,
                    const struct engine_class *engine)
{
    struct trace_setting settings[SETTINGS_MAX];
    struct diag diag;
    struct net *net = arena_one(arena, struct net);
    size_t count = settings_split(arena, text, settings);
    struct fabric *own = arena_one(arena, struct fabric); /* what its links lose is the scenario's */
    *own = *fabric;
    *net = (struct net){.arena = arena, .fabric = own, .routes = routes_new(own, arena)};
    must(scenario_load(settings, count, NULL, arena, &net->scenario, &diag), &diag);
    const struct cell_shape cells = scenario_shape(&net->scenario).cells;
    must(links_errors(net->scenario.links, own, net->scenario.packet->size_bytes, &cells, &diag), &diag);
    struct packet_shape shape = scenario_shape(&net->scenario);
    net->facts = endpoint_facts(own, net->routes, &shape);
    const struct scenario_routing *routing = net->scenario.routing;
    must(ways_init(&net->ways, (enum way_rule)routing->paths, routing->ugal_threshold_bytes, net->routes, arena, &diag), &diag);
    queues_profile(net->scenario.queue, net->scenario.transport, net->scenario.transport_values, &net->facts,
                   &net->queues);
    must(queues_lanes(net->scenario.queue, net->routes, net->ways.rule != WAY_MINIMAL, &net->queues, &diag), &diag);
    queues_hosts(net->scenario.queue, own, &net->queues, &net->host_queues);
    endpoint_make(net, seed);
    engine_make(net, seed, engine);
    vec_push(arena, net->messages, net->count, net->capacity) = (struct net_message){0}; /* number 0 is none */
    return net;
}

/* ---- running ---------------------------------------------------------------------------------------------- */

size_t net_add(struct net *net, uint32_t src, uint32_t dst, uint64_t bytes)
{
    vec_push(net->arena, net->messages, net->count, net->capacity) =
        (struct net_message){.src = src, .dst = dst, .bytes = bytes};
    return net->count - 1;
}

void net_post(struct net *net, size_t message, uint64_t when_ps)
{
    engine_timer(net->engine, net->messages[message].src, when_ps, HOST_OPERATION, message);
}

void net_run(struct net *net)
{
    net->engine->class->run(net->engine, 20 * PS_PER_S);
}

uint64_t net_end_ps(const struct net *net)
{
    uint64_t end_ps = 0;
    for (size_t i = 1; i < net->count; i++) {
        end_ps = net->messages[i].acked_ps > end_ps ? net->messages[i].acked_ps : end_ps;
    }
    return end_ps;
}

struct port_counters net_counters(const struct net *net, uint32_t port)
{
    struct port_counters counters;
    net->engine->class->counters(net->engine, port, &counters);
    return counters;
}

struct port_counters net_counters_sum(const struct net *net)
{
    uint64_t sum[sizeof(struct port_counters) / 8] = {0}, one[sizeof(struct port_counters) / 8];
    for (uint32_t port = 0; port < net->fabric->port_count; port++) {
        struct port_counters counters = net_counters(net, port);
        memcpy(one, &counters, sizeof one);
        for (size_t i = 0; i < sizeof sum / 8; i++) {
            sum[i] += one[i];
        }
    }
    struct port_counters result;
    memcpy(&result, sum, sizeof result);
    return result;
}

/* What messages are told of their fate is what their hosts have counted. */
static void fates_check(const struct net *net, const struct endpoint_counters *ends)
{
    struct endpoint_counters sum = {0};
    for (size_t i = 1; i < net->count; i++) {
        const struct message_fate *fate = &net->messages[i].fate;
        sum.retransmissions += fate->retransmissions;
        sum.nacks_received += fate->nacks;
        sum.trimmed_packets += fate->trimmed;
        sum.duplicates += fate->duplicates;
        sum.reordered += fate->reordered;
        sum.reorder_sum += fate->reorder_sum;
        sum.reorder_max = fate->reorder_max > sum.reorder_max ? fate->reorder_max : sum.reorder_max;
    }
    CHECK_EQUAL(sum.retransmissions, ends->retransmissions);
    CHECK_EQUAL(sum.nacks_received, ends->nacks_received);
    CHECK_EQUAL(sum.trimmed_packets, ends->trimmed_packets);
    CHECK(sum.duplicates <= ends->duplicates); /* those that come when all is told are counted only */
    CHECK_EQUAL(sum.reordered, ends->reordered);
    CHECK_EQUAL(sum.reorder_sum, ends->reorder_sum);
    CHECK_EQUAL(sum.reorder_max, ends->reorder_max);
}

void net_check_drained(const struct net *net)
{
    CHECK_EQUAL(net->engine->class->packets_in_flight(net->engine), 0);
    for (uint32_t port = 0; port < net->fabric->port_count; port++) {
        struct port_counters counters = net_counters(net, port);
        CHECK_EQUAL(counters.rx_packets + counters.error_packets, counters.tx_packets);
        CHECK_EQUAL(counters.rx_bytes + counters.error_bytes, counters.tx_bytes);
    }
    uint64_t bytes = 0;
    for (size_t i = 1; i < net->count; i++) {
        CHECK_EQUAL(net->messages[i].delivered, 1);
        CHECK_EQUAL(net->messages[i].acked, 1);
        bytes += net->messages[i].bytes;
    }
    struct endpoint_counters ends;
    endpoint_counters(net->endpoint, &ends);
    CHECK_EQUAL(ends.payload_bytes_delivered, bytes);
    CHECK_EQUAL(ends.messages_posted, net->count - 1);
    CHECK_EQUAL(ends.messages_acked, net->count - 1);
    fates_check(net, &ends);
}
