/* A host whose queues have classes, pauses or credits, without a list of steps (window_lazy.h): it has few ports, so what
 * happens next is found by looking at all of them. Callbacks want everything at its time. */
#include "netsim/engine/window_lazy.h"

struct host_walk {
    struct worker *worker;
    struct window_node *node;
    uint32_t node_id;
    uint32_t arrival, frame; /* the next of each */
};

/* The port whose packet in service leaves first, before end_ps; ID_NONE: none. */
static uint32_t departure_next(const struct host_walk *walk, uint64_t *when_ps)
{
    const struct window_port *ports = &walk->worker->core->ports[walk->node->port_first];
    uint32_t first = ID_NONE;
    for (uint32_t i = 0; i < walk->node->port_count; i++) {
        if (ports[i].is_busy && ports[i].free_ps < *when_ps) {
            *when_ps = ports[i].free_ps;
            first = i;
        }
    }
    return first;
}

static void on_departed(const struct host_walk *walk, uint32_t local, uint64_t now_ps)
{
    struct worker *worker = walk->worker;
    uint32_t port_id = walk->node->port_first + local;
    struct class_port *queues = &worker->core->class_ports[port_id];
    worker->core->ports[port_id].is_busy = false;
    class_leave(&worker->core->ports[port_id], queues);
    if (queues->service_in_port != ID_NONE) {
        input_left(worker, walk->node, queues->service_in_port, queues->service_in_class, queues->service_in_bytes, now_ps);
    }
    coupled_start(worker, walk->node_id, local, now_ps);
}

static void on_frame(const struct host_walk *walk, uint64_t item, uint64_t now_ps)
{
    struct worker *worker = walk->worker;
    uint32_t local = lazy_frame_port(worker->core, item);
    struct class_port *queues = &worker->core->class_ports[walk->node->port_first + local];
    if (frame_obey(queues, lazy_frame_packet(&worker->frames, item), now_ps)) {
        coupled_start(worker, walk->node_id, local, now_ps);
    }
}

static void on_arrived(const struct host_walk *walk, uint64_t item, uint64_t now_ps)
{
    struct worker *worker = walk->worker;
    const struct packet *packet = worker->arrivals.where[lazy_item_at(item)];
    uint32_t in_port = lazy_item_port(worker->core, item);
    if (lazy_item_is_final(item)) {
        whole_received(worker, walk->node, in_port, packet, now_ps);
    } else {
        coupled_pass(worker, walk->node_id, in_port, packet, now_ps);
    }
}

/* The same for a host of one port without frames, as most are, until the end of the window: nothing but two times to compare. */
static void host_walk_one(struct host_walk *walk)
{
    struct worker *worker = walk->worker;
    const struct window_core *core = worker->core;
    const struct window_port *port = &core->ports[walk->node->port_first];
    const struct arrivals *arrivals = &worker->arrivals;
    uint64_t start_ps = worker->start_ps, end_ps = worker->end_ps;
    for (;;) {
        bool is_left = walk->arrival == arrivals->count;
        uint64_t item = is_left ? UINT64_MAX : arrivals->items[walk->arrival];
        uint64_t arrival_ps = is_left ? end_ps : start_ps + lazy_item_ps(core, item);
        uint64_t leave_ps = port->is_busy ? port->free_ps : UINT64_MAX;
        uint64_t now_ps = leave_ps <= arrival_ps ? leave_ps : arrival_ps;
        if (worker->local.count > 0 && worker->local.items[0].time_ps < (now_ps < end_ps ? now_ps : end_ps)) {
            whole_due(worker, walk->node->id);
        } else if (leave_ps <= arrival_ps && leave_ps < end_ps) {
            on_departed(walk, 0, leave_ps);
        } else if (is_left) {
            return;
        } else {
            next_chunk_prefetch(worker);
            walk->arrival++;
            on_arrived(walk, item, arrival_ps);
        }
    }
}

/* The next event in the order of the law: departure, frame, arrival, timer. False: there is none in this window. */
static bool host_event_next(struct host_walk *walk)
{
    struct worker *worker = walk->worker;
    const struct window_core *core = worker->core;
    const struct arrivals *arrivals = &worker->arrivals;
    const struct frames *frames = &worker->frames;
    uint64_t now_ps = worker->end_ps;
    uint32_t local = departure_next(walk, &now_ps);
    enum { NONE, DEPARTED, FRAME, ARRIVED } kind = local != ID_NONE ? DEPARTED : NONE;
    if (walk->frame < frames->count) {
        uint64_t frame_ps = worker->start_ps + lazy_frame_ps(core, frames->items[walk->frame]);
        kind = frame_ps < now_ps ? FRAME : kind;
        now_ps = frame_ps < now_ps ? frame_ps : now_ps;
    }
    if (walk->arrival < arrivals->count) {
        uint64_t arrival_ps = worker->start_ps + lazy_item_ps(core, arrivals->items[walk->arrival]);
        kind = arrival_ps < now_ps ? ARRIVED : kind;
        now_ps = arrival_ps < now_ps ? arrival_ps : now_ps;
    }
    if (worker->local.count > 0 && worker->local.items[0].time_ps < now_ps) {
        whole_due(worker, walk->node->id);
    } else if (kind == ARRIVED) {
        on_arrived(walk, arrivals->items[walk->arrival++], now_ps);
    } else if (kind == DEPARTED) {
        on_departed(walk, local, now_ps);
    } else if (kind == FRAME) {
        on_frame(walk, frames->items[walk->frame++], now_ps);
    } else {
        return false;
    }
    return true;
}

/* Bits of the ports that are busy; the node is woken for the first one. */
static void host_close(const struct host_walk *walk)
{
    const struct window_core *core = walk->worker->core;
    uint64_t *waiting = &core->waiting[walk->node->waiting_first], wake_ps = TIME_NEVER_PS, busy = 0;
    for (uint32_t i = 0; i < walk->node->port_count; i++) {
        const struct window_port *port = &core->ports[walk->node->port_first + i];
        busy |= (uint64_t)port->is_busy << i;
        wake_ps = port->is_busy && port->free_ps < wake_ps ? port->free_ps : wake_ps;
    }
    *waiting = busy;
    if (wake_ps != TIME_NEVER_PS) {
        node_wake(walk->worker, walk->node_id, wake_ps);
    }
}

static bool host_can(const struct worker *worker, const struct window_node *node)
{
    const struct window_core *core = worker->core;
    bool can = worker->end_ps - worker->start_ps == core->width_ps && !node->is_cut && node->port_count <= HOST_LOOK_MAX;
    for (uint32_t i = 0; can && i < node->port_count; i++) {
        can = !core->ports[node->port_first + i].is_dark;
    }
    return can;
}

/* Packets of no bytes. */
static bool chain_has_frames(const struct chunk *chunk)
{
    bool has_frames = false;
    for (; chunk != NULL; chunk = chunk->older) {
        for (uint32_t lane = 0; lane < chunk->count; lane++) {
            has_frames |= chunk->packets[lane].size_bytes == 0;
        }
    }
    return has_frames;
}

/* The usual host as one piece (visit.h), while no frame comes to it; true where that is all of it. Else the walk goes on. */
static bool host_visit(struct host_walk *walk)
{
    struct worker *worker = walk->worker;
    struct host_visit *visit = &worker->visit;
    bool is_one = chains_take(worker, walk->node_id) && walk->node->is_ordered;
    if (is_one && !chain_has_frames(worker->chain) && visit_open(worker, walk->node)) {
        visit_serve(worker);
        walk->arrival = visit_close(worker);
        if (visit->odd_ps == TIME_NEVER_PS && visit->state.chunk == NULL && worker->local.count == 0) {
            return true;
        }
        if (visit->odd_ps != TIME_NEVER_PS) {
            coupled_send(worker, walk->node, 0, &visit->odd, worker->start_ps + visit->odd_ps);
        }
    }
    lazy_take_chains(worker, walk->node_id);
    return false;
}

static void host_walk(struct host_walk *walk)
{
    if (walk->node->port_count == 1 && walk->worker->frames.count == 0) {
        host_walk_one(walk);
        return;
    }
    while (host_event_next(walk)) {
        next_chunk_prefetch(walk->worker);
    }
}

void lazy_host_serve(struct worker *worker, uint32_t node_id)
{
    struct host_walk walk = {.worker = worker, .node = &worker->core->nodes[node_id], .node_id = node_id};
    node_touch(worker->core, walk.node);
    if (__builtin_expect(!host_can(worker, walk.node), 0)) {
        coupled_serve(worker, node_id);
        return;
    }
    worker->host_now = node_id;
    next_node_prefetch(worker);
    hosts_expect(worker);
    worker->port_next = 0;
    next_port_prefetch(worker);
    node_due_take(worker, walk.node);
    if (!host_visit(&walk)) {
        host_walk(&walk);
    }
    arrivals_release(worker);
    host_close(&walk);
    worker->host_now = ID_NONE;
    hosts_fetch(worker);
}
