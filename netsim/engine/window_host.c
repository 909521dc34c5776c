/* One host in one window: every event of it in the order of the law, callbacks included. Hosts that forward use
 * the same loop. */
#include "netsim/engine/window_super.h"

/* ---- sending ---------------------------------------------------------------------------------------------- */

/* What the host itself sends has not waited. */
static __attribute__((noinline)) void pulled_transmit(struct worker *worker, struct window_port *port,
                                                      const struct packet *packet, uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    uint64_t offset_ps = now_ps - worker->start_ps;
    if (__builtin_expect(!port_is_near(worker, port) || offset_ps >= core->width_ps, 0)) {
        port_transmit(worker, port, packet, now_ps, now_ps);
        return;
    }
    uint64_t service_ps = packet_send(worker, port, packet, offset_ps);
    struct port_sent sent = {.packets = 1, .bytes = packet->size_bytes, .busy_ps = service_ps};
    sent_count(worker, port, &sent);
    port->free_ps = now_ps + service_ps;
    port->in_service_bytes = (uint32_t)packet->size_bytes;
}

static void own_send(struct worker *worker, struct window_port *port, const struct packet *packet, uint64_t now_ps)
{
    port_queued(port, packet->size_bytes);
    if (packet->size_bytes > worker->packet_bytes_max) {
        worker->packet_bytes_max = packet->size_bytes;
    }
    port->is_transit_next = true;
    port->is_busy = true;
    worker->in_flight++;
    pulled_transmit(worker, port, packet, now_ps);
}

/* Asks a port that is free for a packet of the host's own, and sends it. */
static bool own_start(struct worker *worker, const struct window_node *host, uint32_t port_local,
                      struct window_port *port, uint64_t now_ps)
{
    const struct engine_config *config = &worker->core->config;
    struct packet packet;
    if (!config->ops->pull(config->context, host->id, port_local, now_ps, &packet)) {
        return false;
    }
    own_send(worker, port, &packet, now_ps);
    return true;
}

static void transit_start(struct worker *worker, struct window_port *port, uint64_t now_ps)
{
    uint64_t since_ps;
    struct packet *first = port_pop(port, &since_ps);
    fifo_mark(worker->core, port, first, MARK_DEQUEUE, port->queued_bytes - first->size_bytes, port->transit_packets);
    port->is_transit_next = false;
    port->is_busy = true;
    port_transmit(worker, port, first, since_ps, now_ps);
}

/* Transit and own packets take turns. */
static void port_start(struct worker *worker, uint32_t node, uint32_t port_local, uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    const struct window_node *host = &core->nodes[node];
    struct window_port *port = &core->ports[host->port_first + port_local];
    if (port->is_busy || port->is_dark) {
        return;
    }
    bool is_transit = port->count > 0 && port->is_transit_next;
    if ((is_transit || !own_start(worker, host, port_local, port, now_ps)) && port->count > 0) {
        transit_start(worker, port, now_ps);
    }
    if (__builtin_expect(worker->super_now != SUPER_NONE, 0) && port->is_busy && port->free_ps < worker->end_ps) {
        super_expect(worker, node, port_local, STEP_DEPARTED, port->free_ps);
    }
}

void host_kick(struct worker *worker, uint32_t node, uint32_t port, uint64_t now_ps)
{
    port_start(worker, node, port, now_ps);
    struct window_port *kicked = &worker->core->ports[worker->core->nodes[node].port_first + port];
    if (worker->host_now != node && kicked->is_busy) {
        node_wake(worker, node, kicked->free_ps);
    }
}

/* ---- what can happen -------------------------------------------------------------------------------------- */

enum host_kind { HOST_LINK_UP, HOST_DEPARTED, HOST_ARRIVED, HOST_DUE }; /* the order law */

struct host_step {
    uint64_t time_ps;
    uint32_t kind, port;
};

static void step_ports(const struct window_core *core, const struct window_node *host, struct host_step *step)
{
    for (uint32_t i = 0; i < host->port_count; i++) {
        const struct window_port *port = &core->ports[host->port_first + i];
        if (!port->is_busy && !port->is_dark) {
            continue;
        }
        uint32_t kind = port->is_dark ? HOST_LINK_UP : HOST_DEPARTED;
        if (port->free_ps < step->time_ps || (port->free_ps == step->time_ps && kind < step->kind)) {
            *step = (struct host_step){port->free_ps, kind, i};
        }
    }
}

static struct host_step host_next(const struct worker *worker, const struct window_node *host, uint32_t arrived)
{
    const struct window_core *core = worker->core;
    struct host_step step = {worker->end_ps, 0, 0}; /* nothing before the end */
    step_ports(core, host, &step);
    if (arrived < worker->arrivals.count) {
        uint64_t time_ps = worker->start_ps + arrival_offset_ps(core, worker->arrivals.items[arrived]);
        if (time_ps < step.time_ps) {
            step = (struct host_step){time_ps, HOST_ARRIVED, 0};
        }
    }
    if (worker->local.count > 0 && worker->local.items[0].time_ps < step.time_ps) {
        step = (struct host_step){worker->local.items[0].time_ps, HOST_DUE, 0};
    }
    return step;
}

void host_step(struct worker *worker, uint32_t node, uint32_t port_local, enum step_kind kind, uint64_t now_ps)
{
    struct window_port *port = &worker->core->ports[worker->core->nodes[node].port_first + port_local];
    if (kind == STEP_LINK_UP) {
        port->is_dark = false;
    } else {
        port->is_busy = false;
        port->queued_bytes -= port->in_service_bytes;
        port->in_service_bytes = 0;
    }
    port_start(worker, node, port_local, now_ps);
}

static void on_due(struct worker *worker, uint32_t node)
{
    struct timer timer = timer_pop(&worker->local);
    const struct engine_config *config = &worker->core->config;
    config->ops->event(config->context, worker->core->nodes[node].id, timer_what(timer.payload),
                       timer_argument(timer.payload), timer.time_ps);
}

/* ---- arrivals --------------------------------------------------------------------------------------------- */

/* The packet must be whole to go on: it arrives again, in this window or later. */
static void arrival_repeat(struct worker *worker, uint32_t node, uint32_t arrived, uint64_t time_ps)
{
    struct arrivals *arrivals = &worker->arrivals;
    uint64_t item = arrivals->items[arrived];
    uint32_t key_port = arrival_port(worker->core, item) << 1 | 1;
    if (time_ps >= worker->end_ps) {
        packet_put(worker, node, time_ps, key_port, arrivals->where[arrival_at(item)]);
        return;
    }
    uint64_t key = (time_ps - worker->start_ps) << worker->core->key_shift | key_port;
    uint64_t again = (key >> 1) << 32 | (uint32_t)item | 1;
    uint32_t at = arrived; /* its own place is free */
    for (; at + 1 < arrivals->count && arrivals->items[at + 1] < again; at++) {
        arrivals->items[at] = arrivals->items[at + 1];
    }
    arrivals->items[at] = again;
}

/* False where the packet must arrive again. */
static bool on_forward(struct worker *worker, uint32_t node, uint64_t item, struct packet *packet,
                       uint64_t now_ps, uint64_t *again_ps)
{
    const struct window_core *core = worker->core;
    const struct window_node *host = &core->nodes[node];
    uint32_t out = node_route(core, host, packet);
    uint64_t wait_ps = arrival_is_whole(item) ? 0 : tail_wait_ps(core, host, arrival_port(core, item), out, packet);
    if (wait_ps > 0) {
        *again_ps = now_ps + wait_ps;
        return false;
    }
    struct window_port *port = &core->ports[out];
    port->transit_packets++;
    if (port->queued_bytes + packet->size_bytes > port->capacity_bytes) {
        port->dropped_packets++;
        port->dropped_bytes += packet->size_bytes;
        worker->in_flight--;
        return true; /* a port that sleeps is woken by kicks only */
    }
    fifo_mark(core, port, packet, MARK_ENQUEUE, port->queued_bytes, port->transit_packets);
    port_queued(port, packet->size_bytes);
    port_push(worker, port, packet, now_ps);
    port_start(worker, node, out - host->port_first, now_ps);
    return true;
}

/* How many places of the list are done with: 0 where the packet arrives again within it. */
static uint32_t on_arrived(struct worker *worker, uint32_t node, uint32_t arrived, uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    uint64_t item = worker->arrivals.items[arrived], again_ps;
    struct packet *packet = worker->arrivals.where[arrival_at(item)];
    bool is_final = packet->dst == core->nodes[node].id;
    if (is_final && arrival_is_whole(item)) {
        worker->in_flight--;
        core->config.ops->receive(core->config.context, packet->dst, packet, now_ps);
        return 1;
    }
    if (is_final) {
        again_ps = now_ps + tail_last_ps(core, &core->nodes[node], arrival_port(core, item), packet);
    } else if (on_forward(worker, node, item, packet, now_ps, &again_ps)) {
        return 1;
    }
    arrival_repeat(worker, node, arrived, again_ps);
    return again_ps >= worker->end_ps;
}

/* ---- the loop --------------------------------------------------------------------------------------------- */

/* For super-nodes: what the ports will do in this window. */
void host_enter(struct worker *worker, uint32_t node)
{
    const struct window_node *host = &worker->core->nodes[node];
    for (uint32_t i = 0; i < host->port_count; i++) {
        const struct window_port *port = &worker->core->ports[host->port_first + i];
        if ((port->is_busy || port->is_dark) && port->free_ps < worker->end_ps) {
            super_expect(worker, node, i, port->is_dark ? STEP_LINK_UP : STEP_DEPARTED, port->free_ps);
        }
    }
}

/* A list of one. */
void host_arrive(struct worker *worker, uint32_t node, const struct arrival *arrival, uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    struct arrivals *arrivals = &worker->arrivals;
    arrivals_reserve(worker, 1);
    arrivals->count = 1;
    arrivals->where[0] = arrival->packet;
    uint64_t key = (now_ps - worker->start_ps) << (core->key_shift - 1) | arrival->port;
    arrivals->items[0] = key << 32 | (arrival->is_final ? ARRIVAL_IS_FINAL : 0) | arrival->is_whole;
    if (on_arrived(worker, node, 0, now_ps) == 0) {
        uint64_t again_ps = worker->start_ps + arrival_offset_ps(core, arrivals->items[0]);
        packet_put(worker, node, again_ps, arrival->port << 1 | 1, arrival->packet);
    }
}

void host_leave(struct worker *worker, uint32_t node)
{
    const struct window_core *core = worker->core;
    const struct window_node *host = &core->nodes[node];
    for (uint32_t i = 0; i < host->port_count; i++) {
        const struct window_port *port = &core->ports[host->port_first + i];
        /* The wake of a dark port stands until its window, which may be this one, cut short. */
        if (port->is_busy || (port->is_dark && port->free_ps < worker->start_ps + core->width_ps)) {
            node_wake(worker, node, port->free_ps);
        }
    }
    worker->host_now = ID_NONE;
}

/* Whatever it is, in the order of the law; `arrived` packets are done. */
static void host_serve_rest(struct worker *worker, uint32_t node, uint32_t arrived)
{
    for (;;) {
        struct host_step step = host_next(worker, &worker->core->nodes[node], arrived);
        if (step.time_ps >= worker->end_ps) {
            break;
        }
        if (step.kind <= HOST_DEPARTED) {
            host_step(worker, node, step.port, step.kind == HOST_LINK_UP ? STEP_LINK_UP : STEP_DEPARTED, step.time_ps);
        } else if (step.kind == HOST_ARRIVED) {
            arrived += on_arrived(worker, node, arrived, step.time_ps);
        } else {
            on_due(worker, node);
        }
    }
    for (; arrived < worker->arrivals.count; arrived++) {
        arrival_return(worker, node, worker->arrivals.items[arrived]);
    }
}

/* The usual host: one port, one link that has brought all in order, nothing in transit. What the visit leaves over is for the
 * general loop; returns how many arrivals are done, and whether that is all. */
static uint32_t host_visit(struct worker *worker, const struct window_node *host, bool *is_all)
{
    struct host_visit *visit = &worker->visit;
    if (!host->is_ordered || !visit_open(worker, host)) {
        return 0;
    }
    visit_serve(worker);
    uint32_t received = visit_close(worker);
    if (__builtin_expect(visit->odd_ps != TIME_NEVER_PS, 0)) {
        own_send(worker, &worker->core->ports[host->port_first], &visit->odd, worker->start_ps + visit->odd_ps);
    } else {
        *is_all = visit->state.chunk == NULL && worker->local.count == 0;
    }
    return received;
}

void host_serve(struct worker *worker, uint32_t node)
{
    struct window_node *host = &worker->core->nodes[node];
    worker->host_now = node;
    next_node_prefetch(worker);
    if (worker->node_next != ID_NONE) {
        lines_prefetch(&worker->core->ports[worker->core->nodes[worker->node_next].port_first], 2);
    }
    hosts_expect(worker);
    node_touch(worker->core, host);
    node_due_take(worker, host);
    bool is_all = false;
    uint32_t received = chains_take(worker, node) ? host_visit(worker, host, &is_all) : 0;
    if (!is_all) {
        arrivals_sort_chains(worker, node);
        host_serve_rest(worker, node, received);
    }
    arrivals_release(worker);
    host_leave(worker, node);
    hosts_fetch(worker);
}
