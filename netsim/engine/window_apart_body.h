/* A switch whose ports see each other through pauses and adaptive choice alone (window_core.is_apart): its ports are served one
 * after the other, by vectors where they are FIFOs, and what its inputs hold is accounted for afterwards. Included behind
 * window_lazy_body.h.
 *
 *      inbox ─► route ─┬─────────────────────────► batch per port ─► vectors ─┬─► inbox of the peer
 *                      ├─► sorted ─► chosen one by one ──────┘                │
 *                      └─► frames, sorted (their ports one by one)            └─► log: when, by which port it came, bytes
 *                                                                                             │
 *                      bytes that came, per input ────────────────────────────────────────────┴─► accounts ─► pauses
 *
 * A pause that the node sends changes nothing at the node itself; one that it gets is in its inbox when the window begins,
 * and concerns one port. So a port without frames either sends as a FIFO for the whole window, or (paused) nothing. The time
 * of a pause to send matters only for an input that may pass a threshold in this window: one that has paused its link, or that
 * holds, with all that arrives, more than it may. For those alone arrivals and departures are sorted and gone through. */
#include "netsim/engine/window_apart_account_body.h"

/* ---- the node --------------------------------------------------------------------------------------------- */

static bool has_dark_port(const struct lazy *at)
{
    const uint64_t *waiting = &at->core->waiting[at->node->waiting_first];
    for (uint32_t word = 0; word * 64 < at->node->port_count; word++) {
        for (uint64_t bits = waiting[word]; bits != 0; bits &= bits - 1) {
            if (at->ports[word * 64 + (uint32_t)__builtin_ctzll(bits)].is_dark) {
                return true;
            }
        }
    }
    return false;
}

/* Ports that have something to do: packets, frames, or a departure in this window. */
static void apart_ports_serve(const struct lazy *at, bool are_ups_done, bool are_ups_sorted)
{
    struct worker *worker = at->worker;
    const struct route *route = &at->node->route;
    const struct frames *frames = &worker->frames;
    uint64_t has_frames[LAZY_PORTS_MAX / 64] = {0};
    for (uint32_t i = 0; i < frames->count; i++) {
        uint32_t local = lazy_frame_port(at->core, frames->items[i]);
        has_frames[local / 64] |= UINT64_C(1) << (local % 64);
    }
    for (uint32_t word = 0; word * 64 < at->node->port_count; word++) {
        uint64_t ports = ports_with_batch(worker, word) | at->core->waiting[at->node->waiting_first + word] | has_frames[word];
        for (; ports != 0; ports &= ports - 1) {
            uint32_t local = word * 64 + (uint32_t)__builtin_ctzll(ports), count = worker->batch_count[local];
            const struct window_port *port = &at->ports[local];
            bool is_framed = has_frames[word] & ports & -ports;
            worker->batch_count[local] = 0;
            next_port_prefetch(worker);
            bool is_up = local - route->up_port < route->up_count, is_sorted = are_ups_sorted && is_up;
            if (are_ups_done && is_up) {
                continue;
            }
            if (count > 0 || is_framed || (port->is_busy && port->free_ps < worker->end_ps)) {
                apart_port_serve(at, local, count, is_framed, is_sorted);
            } else {
                leave_load(at, local);
            }
        }
    }
}

/* Ports that packets can choose among are FIFOs for the whole window, where a byte takes so many whole picoseconds, and no
 * packet so many that times need more than 32 bits. */
static bool are_ups_fifos(const struct lazy *at)
{
    const struct route *route = &at->node->route;
    const struct frames *frames = &at->worker->frames;
    bool are = at->class_ports->profile->class[0].mark != MARK_DEQUEUE;
    for (uint32_t i = 0; i < frames->count; i++) {
        are &= lazy_frame_port(at->core, frames->items[i]) - route->up_port >= route->up_count;
    }
    for (uint32_t i = route->up_port; i < route->up_port + route->up_count; i++) {
        uint64_t packet_ps = (uint64_t)at->ports[i].ps_per_byte * at->worker->packet_bytes_max;
        are &= is_fifo_now(&at->ports[i], &at->class_ports[i]) && packet_ps != 0 && packet_ps < AGE_PS_MAX;
    }
    return are;
}

/* One of them may have to drop a packet. */
static bool may_ups_drop(const struct lazy *at)
{
    const struct route *route = &at->node->route;
    uint64_t more_bytes = (uint64_t)at->worker->arrivals.count * at->worker->packet_bytes_max;
    bool may = false;
    for (uint32_t i = route->up_port; i < route->up_port + route->up_count; i++) {
        const struct window_port *port = &at->ports[i];
        uint64_t limit_bytes = class_limit_bytes(at->node, port, at->class_ports[i].profile, 0, false);
        may |= port->queued_bytes + more_bytes > limit_bytes;
    }
    return may;
}

/* True: the choices have been dealt to the batches of their ports; else these are done with. */
static bool choices_serve(struct lazy *at, uint32_t packet_count)
{
    at->has_backlogs = backlogs_load(at, packet_count);
    choices_order(at);
    bool may_drop = may_ups_drop(at), has_marks = at->class_ports->profile->class[0].mark != MARK_NEVER;
    bool are_dealt = at->has_backlogs && are_ups_fifos(at) && !(may_drop && has_marks); /* which count what is dropped */
    if (are_dealt) {
        choices_make(at, may_drop);
    } else {
        choices_walk(at);
    }
    at->has_backlogs = false;
    return are_dealt;
}

static void apart_node(struct lazy *at, uint32_t node_id)
{
    struct worker *worker = at->worker;
    next_node_prefetch(worker);
    worker->port_next = 0;
    apart_prefetch(at->core, at->node);
    uint32_t packet_count = apart_take(at, node_id);
    bool has_choices = worker->arrivals.count > 0;
    frames_sort(worker);
    bool are_dealt = has_choices && choices_serve(at, packet_count);
    apart_ports_serve(at, has_choices && !are_dealt, are_dealt);
    accounts_settle(at, packet_count);
    worker->apart_more_count = 0;
    arrivals_release(worker);
    lazy_close(at, node_id, true);
}

/* Where the choice is adaptive, only of the ports that lead up, and to those nothing leads without a choice. */
static bool apart_can(const struct lazy *at)
{
    const struct window_node *node = at->node;
    return at->core->is_apart && (!at->is_adaptive || (node->is_tree && node->route.down_width == 1)) && !has_dark_port(at);
}

void LAZY_SERVE(struct worker *worker, uint32_t node_id)
{
    const struct window_core *core = worker->core;
    struct window_node *node = &core->nodes[node_id];
    const struct queue_profile *profile = core->config.switch_queues;
    struct lazy at = {.worker = worker, .core = core, .node = node, .ports = &core->ports[node->port_first],
                      .class_ports = &core->class_ports[node->port_first], .leave_ps = (lanes *)worker->leave_ps,
                      .backlog = (lanes *)worker->backlog, .vectors = (node->port_count + LANES - 1) / LANES,
                      .port_first = node->port_first, .is_adaptive = profile->is_adaptive, .grade_shift = profile->grade_shift,
                      .is_watched = profile->shared_bytes > 0 || core->has_credits};
    node_touch(worker->core, node);
    if (__builtin_expect(!lazy_can(worker, node), 0)) {
        coupled_serve(worker, node_id);
    } else if (apart_can(&at)) {
        apart_node(&at, node_id);
    } else {
        lazy_node(&at, node_id);
    }
}
