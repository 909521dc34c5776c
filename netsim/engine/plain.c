#include "netsim/engine/plain.h"

#include "netsim/base/rng.h"

/* A packet in an output queue. */
struct waiting {
    struct packet packet;
    uint64_t since_ps;
};

struct port {
    struct waiting *queue; /* ring of capacity 2^k */
    uint32_t head, count, capacity;
    uint64_t queued_bytes; /* packet in service counted */
    uint64_t in_service_bytes;
    bool is_busy, is_dark;
    bool is_transit_next; /* host ports: whose turn it is */
    struct port_counters counters;
};

struct plain {
    struct engine base; /* first: an engine is one of these */
    struct engine_config config;
    const struct fabric *fabric;
    struct arena *arena;
    struct event_heap heap;
    struct port *ports;
    uint64_t *salt; /* per node */
    uint64_t hop_count;
    uint64_t in_flight;
};

/* ---- output queues ---------------------------------------------------------------------------------------- */

static void queue_grow(struct plain *plain, struct port *port)
{
    uint32_t capacity = port->capacity == 0 ? 4 : port->capacity * 2;
    struct waiting *queue = arena_array(plain->arena, capacity, struct waiting);
    for (uint32_t i = 0; i < port->count; i++) {
        queue[i] = port->queue[(port->head + i) & (port->capacity - 1)];
    }
    port->queue = queue;
    port->head = 0;
    port->capacity = capacity;
}

static void queue_push(struct plain *plain, struct port *port, const struct packet *packet, uint64_t now_ps)
{
    if (port->count == port->capacity) {
        queue_grow(plain, port);
    }
    port->queue[(port->head + port->count++) & (port->capacity - 1)] = (struct waiting){*packet, now_ps};
    port->queued_bytes += packet->size_bytes;
    if (port->queued_bytes > port->counters.queue_max_bytes) {
        port->counters.queue_max_bytes = port->queued_bytes;
    }
}

static struct waiting queue_pop(struct port *port)
{
    struct waiting first = port->queue[port->head];
    port->head = (port->head + 1) & (port->capacity - 1);
    port->count--;
    return first;
}

/* ---- sending ---------------------------------------------------------------------------------------------- */

static bool is_host(const struct plain *plain, uint32_t node)
{
    return node < plain->fabric->host_count;
}

/* A packet pulled from the host never waited. */
static bool port_pull(struct plain *plain, uint32_t port_id, uint64_t now_ps, struct waiting *next)
{
    uint32_t node = plain->fabric->port_node[port_id];
    if (!is_host(plain, node)) {
        return false;
    }
    next->since_ps = now_ps;
    if (!plain->config.ops->pull(plain->config.context, node, port_id - plain->fabric->port_first[node], now_ps,
                                 &next->packet)) {
        return false;
    }
    struct port *port = &plain->ports[port_id];
    port->queued_bytes += next->packet.size_bytes;
    if (port->queued_bytes > port->counters.queue_max_bytes) {
        port->counters.queue_max_bytes = port->queued_bytes;
    }
    plain->in_flight++;
    return true;
}

/* The next packet to send: transit and own packets of a host take turns. */
static bool port_next(struct plain *plain, uint32_t port_id, uint64_t now_ps, struct waiting *next)
{
    struct port *port = &plain->ports[port_id];
    if (port->count > 0 && (port->is_transit_next || !port_pull(plain, port_id, now_ps, next))) {
        *next = queue_pop(port);
        port->is_transit_next = false;
        return true;
    }
    if (port->count == 0 && !port_pull(plain, port_id, now_ps, next)) {
        return false;
    }
    port->is_transit_next = true;
    return true;
}

/* When the packet reaches the node behind the link, as that node sees it. */
static uint64_t arrival_ps(const struct plain *plain, uint32_t port_id, const struct packet *packet,
                           uint64_t start_ps, uint64_t sent_ps, bool *is_whole)
{
    const struct fabric *fabric = plain->fabric;
    uint32_t peer = fabric->port_node[fabric->port_peer[port_id]];
    uint64_t seen_ps = sent_ps;
    *is_whole = true;
    if (fabric->node_cut_through[peer] && packet->size_bytes > plain->config.cut_through_bytes) {
        seen_ps = start_ps + serialisation_ps(plain->config.cut_through_bytes, fabric->rate_bps[port_id]);
        *is_whole = false;
    }
    bool is_destination = peer == packet->dst;
    return seen_ps + link_delay_ps(fabric, port_id) + (is_destination ? 0 : fabric->node_latency_ps[peer]);
}

static void waited(struct port_counters *counters, uint64_t since_ps, uint64_t up_ps, uint64_t now_ps)
{
    uint64_t dark_ps = since_ps < up_ps ? up_ps - since_ps : 0;
    counters->dark_wait_ps += dark_ps;
    counters->queue_wait_ps += now_ps - since_ps - dark_ps;
}

static void port_start(struct plain *plain, uint32_t port_id, uint64_t now_ps)
{
    const struct fabric *fabric = plain->fabric;
    struct port *port = &plain->ports[port_id];
    struct waiting next;
    if (port->is_busy || port->is_dark || !port_next(plain, port_id, now_ps, &next)) {
        return;
    }
    uint64_t service_ps = serialisation_ps(next.packet.size_bytes, fabric->rate_bps[port_id]);
    port->is_busy = true;
    port->in_service_bytes = next.packet.size_bytes;
    port->counters.tx_packets++;
    port->counters.tx_bytes += next.packet.size_bytes;
    port->counters.busy_ps += service_ps;
    waited(&port->counters, next.since_ps, fabric->port_up_ps[port_id], now_ps);
    plain->hop_count++;

    uint32_t peer_port = fabric->port_peer[port_id];
    struct event departed = {
        .time_ps = now_ps + service_ps, .kind = EVENT_DEPARTED, .node = fabric->port_node[port_id], .port = port_id};
    event_heap_push(&plain->heap, &departed);
    struct event arrived = {
        .kind = EVENT_ARRIVED, .node = fabric->port_node[peer_port], .port = peer_port, .packet = next.packet,
        .argument = port->counters.tx_packets}; /* a host's latency can make two arrivals on a port coincide */
    arrived.time_ps = arrival_ps(plain, port_id, &next.packet, now_ps, now_ps + service_ps, &arrived.is_whole);
    event_heap_push(&plain->heap, &arrived);
}

/* ---- events ----------------------------------------------------------------------------------------------- */

static uint32_t route_port(const struct plain *plain, uint32_t node, const struct packet *packet)
{
    struct port_set set = routes_next(plain->config.routes, node, packet->dst);
    uint32_t local = route_choose(&set, packet_path_hash(packet, plain->salt[node]));
    return plain->fabric->port_first[node] + local;
}

/* The rest of a packet that must be whole before it goes on: its event again, later. */
static void arrival_repeat(struct plain *plain, const struct event *event)
{
    uint64_t rate_bps = plain->fabric->rate_bps[plain->fabric->port_peer[event->port]];
    struct event whole = *event;
    whole.is_whole = true;
    whole.time_ps += serialisation_ps(event->packet.size_bytes, rate_bps) -
                     serialisation_ps(plain->config.cut_through_bytes, rate_bps);
    event_heap_push(&plain->heap, &whole);
}

static void on_forward(struct plain *plain, const struct event *event)
{
    const struct fabric *fabric = plain->fabric;
    uint32_t out = route_port(plain, event->node, &event->packet);
    uint32_t in_link = fabric->port_peer[event->port];
    if (!event->is_whole && fabric->rate_bps[out] != fabric->rate_bps[in_link]) {
        arrival_repeat(plain, event);
        return;
    }
    struct port *port = &plain->ports[out];
    struct port_counters *in = &plain->ports[in_link].counters;
    in->rx_packets++;
    in->rx_bytes += event->packet.size_bytes;
    if (port->queued_bytes + event->packet.size_bytes > fabric->port_queue_bytes[out]) {
        port->counters.dropped_packets++;
        port->counters.dropped_bytes += event->packet.size_bytes;
        plain->in_flight--;
        return;
    }
    queue_push(plain, port, &event->packet, event->time_ps);
    port_start(plain, out, event->time_ps);
}

static void on_arrived(struct plain *plain, const struct event *event)
{
    if (event->node != event->packet.dst) {
        on_forward(plain, event);
        return;
    }
    struct port_counters *in = &plain->ports[plain->fabric->port_peer[event->port]].counters;
    in->rx_packets++;
    in->rx_bytes += event->packet.size_bytes;
    plain->in_flight--;
    plain->config.ops->receive(plain->config.context, event->node, &event->packet, event->time_ps);
}

static void on_departed(struct plain *plain, const struct event *event)
{
    struct port *port = &plain->ports[event->port];
    port->is_busy = false;
    port->queued_bytes -= port->in_service_bytes;
    port_start(plain, event->port, event->time_ps);
}

static void on_link_up(struct plain *plain, const struct event *event)
{
    plain->ports[event->port].is_dark = false;
    port_start(plain, event->port, event->time_ps);
}

static void on_host_timer(struct plain *plain, const struct event *event)
{
    plain->config.ops->event(plain->config.context, event->node, HOST_TIMER, event->argument, event->time_ps);
}

static void on_host_operation(struct plain *plain, const struct event *event)
{
    plain->config.ops->event(plain->config.context, event->node, HOST_OPERATION, event->argument, event->time_ps);
}

static void (*const on_event[])(struct plain *, const struct event *) = {
    [EVENT_LINK_UP] = on_link_up,
    [EVENT_DEPARTED] = on_departed,
    [EVENT_ARRIVED] = on_arrived,
    [EVENT_HOST_TIMER] = on_host_timer,
    [EVENT_HOST_OPERATION] = on_host_operation,
};

/* ---- the class -------------------------------------------------------------------------------------------- */

static struct engine *plain_create(struct arena *arena, const struct engine_config *config)
{
    const struct fabric *fabric = config->fabric;
    struct plain *plain = arena_one(arena, struct plain);
    plain->base.class = &engine_plain;
    plain->config = *config;
    plain->fabric = fabric;
    plain->arena = arena;
    plain->heap.arena = arena;
    plain->ports = arena_array(arena, fabric->port_count, struct port);
    plain->salt = arena_array(arena, fabric->node_count, uint64_t);
    for (uint32_t node = 0; node < fabric->node_count; node++) {
        plain->salt[node] = rng_draw(config->seed, RNG_SWITCH_SALT, node);
    }
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        if (fabric->port_up_ps[port] > 0) {
            plain->ports[port].is_dark = true;
            struct event up = {.time_ps = fabric->port_up_ps[port], .kind = EVENT_LINK_UP,
                               .node = fabric->port_node[port], .port = port};
            event_heap_push(&plain->heap, &up);
        }
    }
    return &plain->base;
}

static void plain_kick(struct engine *engine, uint32_t host, uint32_t port, uint64_t now_ps)
{
    struct plain *plain = (struct plain *)engine;
    port_start(plain, plain->fabric->port_first[host] + port, now_ps);
}

static void plain_timer(struct engine *engine, uint32_t host, uint64_t when_ps, enum host_event kind,
                        uint64_t argument)
{
    struct plain *plain = (struct plain *)engine;
    struct event event = {.time_ps = when_ps, .node = host, .argument = argument,
                          .kind = kind == HOST_TIMER ? EVENT_HOST_TIMER : EVENT_HOST_OPERATION};
    event_heap_push(&plain->heap, &event);
}

static uint64_t plain_run(struct engine *engine, uint64_t until_ps)
{
    struct plain *plain = (struct plain *)engine;
    const volatile int *interrupted = plain->config.interrupted;
    while (plain->heap.count > 0 && plain->heap.events[0].time_ps <= until_ps) {
        struct event event = event_heap_pop(&plain->heap);
        on_event[event.kind](plain, &event);
        if (interrupted != NULL && *interrupted) {
            break;
        }
    }
    return plain->heap.count > 0 ? plain->heap.events[0].time_ps : TIME_NEVER_PS;
}

static void plain_counters(const struct engine *engine, uint32_t port, struct port_counters *counters)
{
    *counters = ((const struct plain *)engine)->ports[port].counters;
}

static uint64_t plain_hop_count(const struct engine *engine)
{
    return ((const struct plain *)engine)->hop_count;
}

static uint64_t plain_in_flight(const struct engine *engine)
{
    return ((const struct plain *)engine)->in_flight;
}

const struct engine_class engine_plain = {
    .name = "plain",
    .create = plain_create,
    .kick = plain_kick,
    .timer = plain_timer,
    .run = plain_run,
    .counters = plain_counters,
    .hop_count = plain_hop_count,
    .packets_in_flight = plain_in_flight,
};
