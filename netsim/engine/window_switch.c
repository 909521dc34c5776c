/* One switch in one window: its arrivals are dealt to output ports, and every port is served on its own. This is the
 * general way, packet by packet; window_switch_body.h has the fast one for what is usual. */
#include "netsim/engine/window.h"

#include "netsim/base/rng.h"

#include <string.h>

/* ---- a port ----------------------------------------------------------------------------------------------- */

void fifo_mark(const struct window_core *core, struct window_port *port, struct packet *packet, enum mark_point point,
               uint64_t bytes, uint64_t number)
{
    const struct queue_class *rule = port->mark;
    if (rule == NULL || rule->mark != point || bytes <= rule->mark_low_bytes || packet->kind != PACKET_DATA ||
        packet->is_trimmed) {
        return;
    }
    uint64_t span_bytes = rule->mark_high_bytes - rule->mark_low_bytes;
    uint64_t draw = rng_draw(core->config.seed, RNG_MARK ^ (uint64_t)(port - core->ports), number);
    if (bytes >= rule->mark_high_bytes ||
        (uint64_t)((unsigned __int128)draw * span_bytes >> 64) < bytes - rule->mark_low_bytes) {
        port->marked_packets += !packet->is_marked;
        packet->is_marked = 1;
    }
}

/* What has come to a port of a switch so far. */
static uint64_t arrived_count(const struct window_port *port)
{
    return port->tx_packets + port->count + port->dropped_packets;
}

/* Everything that leaves or starts up to now. A port with a queue is busy until free_ps, or dark. */
void fifo_advance(struct worker *worker, struct window_port *port, uint64_t now_ps)
{
    while (port->free_ps <= now_ps) {
        port->queued_bytes -= port->in_service_bytes;
        port->in_service_bytes = 0;
        if (port->count == 0) {
            break;
        }
        uint64_t number = arrived_count(port), since_ps;
        struct packet *first = port_pop(port, &since_ps);
        fifo_mark(worker->core, port, first, MARK_DEQUEUE, port->queued_bytes - first->size_bytes, number);
        port_transmit(worker, port, first, since_ps, port->free_ps);
    }
}

void fifo_arrive(struct worker *worker, struct window_port *port, struct packet *packet, uint64_t now_ps)
{
    fifo_advance(worker, port, now_ps);
    if (port->queued_bytes + packet->size_bytes > port->capacity_bytes) {
        port->dropped_packets++;
        port->dropped_bytes += packet->size_bytes;
        worker->in_flight--;
        return;
    }
    fifo_mark(worker->core, port, packet, MARK_ENQUEUE, port->queued_bytes, arrived_count(port) + 1);
    port_queued(port, packet->size_bytes);
    if (port->free_ps <= now_ps) {
        port_transmit(worker, port, packet, now_ps, now_ps);
    } else {
        port_push(worker, port, packet, now_ps);
    }
}

/* The vector loops leave queued_bytes alone; before the general code looks at it, it is counted anew. */
static void port_requeue(struct window_port *port)
{
    port->queued_bytes = port->in_service_bytes;
    for (uint32_t i = 0; i < port->count; i++) {
        port->queued_bytes += port->queue[(port->head + i) & (port->capacity - 1)].size_bytes;
    }
}

void port_serve(struct worker *worker, uint32_t node_id, uint32_t port_local, uint64_t *items, uint32_t count)
{
    struct window_node *node = &worker->core->nodes[node_id];
    struct window_port *port = &worker->core->ports[node->port_first + port_local];
    arrivals_sort(items, count);
    port_touch(worker->core, node, port_local);
    if (worker->core->class_ports != NULL) {
        class_port_serve(worker, node, node->port_first + port_local, items, count);
        return;
    }
    port_requeue(port);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t now_ps = worker->start_ps + arrival_offset_ps(worker->core, items[i]);
        fifo_arrive(worker, port, worker->arrivals.where[arrival_at(items[i])], now_ps);
    }
    fifo_advance(worker, port, worker->end_ps - 1);
}

/* ---- dealing ---------------------------------------------------------------------------------------------- */

/* The output port (counted within the node) of one arrival, which may be put off to when it is whole; ID_NONE: it
 * has been sent back into the inbox. */
static uint32_t arrival_deal(struct worker *worker, uint32_t node, uint64_t *item)
{
    const struct window_core *core = worker->core;
    const struct window_node *here = &core->nodes[node];
    const struct packet *packet = worker->arrivals.where[arrival_at(*item)];
    uint64_t offset_end_ps = worker->end_ps - worker->start_ps;
    if (arrival_offset_ps(core, *item) >= offset_end_ps) {
        arrival_return(worker, node, *item);
        return ID_NONE;
    }
    uint32_t out = node_route(core, here, packet);
    if (!arrival_is_whole(*item)) {
        uint64_t wait_ps = tail_wait_ps(core, here, arrival_port(core, *item), out, packet);
        uint64_t whole_ps = worker->start_ps + arrival_offset_ps(core, *item) + wait_ps;
        if (whole_ps >= worker->end_ps) {
            packet_put(worker, node, whole_ps, arrival_port(core, *item) << 1 | 1, packet);
            return ID_NONE;
        }
        *item += wait_ps << (31 + core->key_shift);
    }
    return out - here->port_first;
}

static void outs_reserve(struct worker *worker)
{
    if (worker->out_capacity < worker->arrivals.capacity) {
        worker->out_capacity = worker->arrivals.capacity;
        worker->outs = arena_array(worker->arena, worker->out_capacity, uint32_t);
        worker->port_items = arena_array(worker->arena, worker->out_capacity, uint64_t);
    }
}

/* A counting sort by output port: the arrivals of port p end at port_end[p] of port_items. */
static void arrivals_deal(struct worker *worker, uint32_t node)
{
    const struct window_node *here = &worker->core->nodes[node];
    struct arrivals *arrivals = &worker->arrivals;
    uint32_t *port_end = worker->port_end;
    outs_reserve(worker);
    memset(port_end, 0, here->port_count * sizeof *port_end);
    for (uint32_t i = 0; i < arrivals->count; i++) {
        worker->outs[i] = arrival_deal(worker, node, &arrivals->items[i]);
        if (worker->outs[i] != ID_NONE) {
            port_end[worker->outs[i]]++;
        }
    }
    uint32_t before = 0;
    for (uint32_t i = 0; i < here->port_count; i++) {
        uint32_t count = port_end[i];
        port_end[i] = before;
        before += count;
    }
    for (uint32_t i = 0; i < arrivals->count; i++) {
        if (worker->outs[i] != ID_NONE) {
            worker->port_items[port_end[worker->outs[i]]++] = arrivals->items[i];
        }
    }
}

void switch_serve_scalar(struct worker *worker, uint32_t node)
{
    const struct window_node *here = &worker->core->nodes[node];
    arrivals_take(worker, node);
    arrivals_deal(worker, node);
    uint32_t first = 0;
    for (uint32_t i = 0; i < here->port_count; i++) {
        const struct window_port *port = &worker->core->ports[here->port_first + i];
        uint32_t end = worker->port_end[i];
        if (end > first || port->count > 0) {
            port_serve(worker, node, i, worker->port_items + first, end - first);
        }
        port_leave(worker, node, i);
        first = end;
    }
    arrivals_release(worker);
}
