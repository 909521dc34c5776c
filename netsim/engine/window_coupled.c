/* A node that is served whole: all that happens there in a window goes through one list, in the order of the law. Hosts,
 * and the switches of coupled profiles (window_class.h), where something is unusual; else window_lazy.h serves them.
 *
 *      inbox ──► sort ──► arrivals ─┐ next of both      link up, departed ──► start the port
 *                                   ├─────────────────► pause, credit ──────► start the port
 *      ports that are busy ─► steps ┘                   arrived ─► choose ─► admit ─► start the port
 *               ▲                                       timer, operation ──► callback (kicks start ports)
 *               └────────────────── a port that starts
 *
 * An item of either is one word: offset in the window | kind | port | transit before final | number | whole. The number
 * falls with age: chains are read from the newest packet on (C3). Steps are a heap of as many items as ports are
 * busy. */
#include "netsim/engine/window_class.h"
#include "netsim/engine/window_gate.h"
#include "netsim/engine/window_super.h"

#include <string.h>

enum { ITEM_NUMBER_BITS = 28, ITEM_PORT_SHIFT = ITEM_NUMBER_BITS + 2, ITEM_KIND_BITS = 3 };
#define ITEM_NUMBER_MAX ((1u << ITEM_NUMBER_BITS) - 1)
#define ITEM_FINAL      (UINT64_C(1) << (ITEM_NUMBER_BITS + 1))

static uint32_t kind_shift(const struct window_core *core)
{
    return ITEM_PORT_SHIFT + core->key_shift - 1;
}

static uint32_t offset_shift(const struct window_core *core)
{
    return kind_shift(core) + ITEM_KIND_BITS;
}

static uint64_t item_make(const struct window_core *core, uint64_t offset_ps, enum step_kind kind, uint32_t port)
{
    return offset_ps << offset_shift(core) | (uint64_t)kind << kind_shift(core) | (uint64_t)port << ITEM_PORT_SHIFT;
}

static enum step_kind item_kind(const struct window_core *core, uint64_t item)
{
    return (enum step_kind)(item >> kind_shift(core) & ((1u << ITEM_KIND_BITS) - 1));
}

static uint32_t item_port(const struct window_core *core, uint64_t item)
{
    return (uint32_t)(item >> ITEM_PORT_SHIFT) & ((1u << (core->key_shift - 1)) - 1);
}

static uint32_t item_at(uint64_t item)
{
    return ITEM_NUMBER_MAX - ((uint32_t)(item >> 1) & ITEM_NUMBER_MAX);
}

/* ---- frames ----------------------------------------------------------------------------------------------- */

static struct packet frame_make(enum frame_kind kind, uint32_t class, bool is_xoff, uint32_t bytes)
{
    return (struct packet){.kind = kind & 3, .class = class & 7, .is_marked = is_xoff, .flow = bytes & (FLOW_SLOTS_MAX - 1)};
}

/* Tells the port at the other end of the link by which packets come in at in_port. */
static void upstream_tell(struct worker *worker, const struct window_port *in, const struct packet *frame, uint64_t now_ps)
{
    packet_put(worker, in->peer, now_ps + frame_delay_ps(in->delay_ps), in->peer_port << 1 | 1, frame);
}

void input_full(struct worker *worker, struct window_node *node, uint32_t in_port, uint32_t class, uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    const struct class_port *queues = &core->class_ports[node->port_first + in_port];
    struct input_class *input = input_of(core, node, in_port, class);
    struct packet frame = frame_make(FRAME_PAUSE, class, true, 0);
    input->high_bytes = INT64_MAX;
    input->low_bytes = (int64_t)queue_xon_bytes(&queues->profile->class[class], queues->headroom_bytes);
    node->pausing_count++;
    upstream_tell(worker, &core->ports[node->port_first + in_port], &frame, now_ps);
}

/* What the class holds before its link is paused. */
static int64_t input_high_bytes(const struct window_core *core, const struct window_node *node,
                                const struct class_port *queues, uint32_t class)
{
    const struct queue_class *rule = &queues->profile->class[class];
    uint64_t high_bytes = queue_xoff_bytes(rule, queues->headroom_bytes);
    return rule->xoff_bytes == 0 || !queue_may_pause(core->fabric, node->id) || high_bytes > INT64_MAX ? INT64_MAX : (int64_t)high_bytes;
}

void input_empty(struct worker *worker, struct window_node *node, uint32_t in_port, uint32_t class, uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    struct input_class *input = input_of(core, node, in_port, class);
    struct packet frame = frame_make(FRAME_PAUSE, class, false, 0);
    input->high_bytes = input_high_bytes(core, node, &core->class_ports[node->port_first + in_port], class);
    input->low_bytes = -1;
    node->pausing_count--;
    upstream_tell(worker, &core->ports[node->port_first + in_port], &frame, now_ps);
}

void input_credit(struct worker *worker, const struct window_port *in, uint32_t class, uint32_t bytes, uint64_t now_ps)
{
    struct packet frame = frame_make(FRAME_CREDIT, class, false, bytes);
    upstream_tell(worker, in, &frame, now_ps);
}

/* The profile of the node behind the link of an input. */
static const struct queue_profile *upstream_profile(const struct window_core *core, const struct window_port *in)
{
    return in->peer_id != ID_NONE ? core->config.host_queues : core->config.switch_queues;
}

void inputs_make(struct window_core *core)
{
    uint32_t host_classes = core->config.host_queues->class_count, classes = core->config.switch_queues->class_count;
    core->input_stride = host_classes > classes ? host_classes : classes;
    core->inputs = pool_alloc(&core->workers[0], (size_t)core->fabric->port_count * core->input_stride * sizeof *core->inputs);
    for (uint32_t id = 0; id < core->fabric->port_count; id++) {
        const struct window_node *node = &core->nodes[core->inner[core->fabric->port_node[id]]];
        const struct queue_profile *upstream = upstream_profile(core, &core->ports[id]);
        for (uint32_t class = 0; class < core->input_stride; class++) {
            struct input_class *input = input_of(core, node, id - node->port_first, class);
            bool is_own = class < core->class_ports[id].profile->class_count;
            input->high_bytes = is_own ? input_high_bytes(core, node, &core->class_ports[id], class) : INT64_MAX;
            input->low_bytes = -1;
            input->is_credited = class < upstream->class_count && upstream->class[class].credit_bytes > 0;
        }
    }
}

/* ---- steps ------------------------------------------------------------------------------------------------ */

/* The first step is done with, and this one takes its place. */
static void step_replace(struct steps *steps, uint64_t step)
{
    size_t at = 0;
    for (size_t child = 1; child < steps->count; child = 2 * at + 1) {
        child += child + 1 < steps->count && steps->items[child + 1] < steps->items[child];
        if (step <= steps->items[child]) {
            break;
        }
        steps->items[at] = steps->items[child];
        at = child;
    }
    steps->items[at] = step;
}

static void step_push(struct worker *worker, uint64_t step)
{
    struct steps *steps = &worker->steps;
    const struct window_core *core = worker->core;
    if (__builtin_expect(worker->super_now != SUPER_NONE, 0)) {
        uint64_t time_ps = worker->start_ps + (step >> offset_shift(core));
        super_expect(worker, worker->whole_now, item_port(core, step), item_kind(core, step), time_ps);
        return;
    }
    if (steps->is_first_done) {
        steps->is_first_done = false;
        step_replace(steps, step);
        return;
    }
    vec_push(worker->arena, steps->items, steps->count, steps->capacity) = step;
    size_t at = steps->count - 1;
    for (; at > 0 && step < steps->items[(at - 1) / 2]; at = (at - 1) / 2) {
        steps->items[at] = steps->items[(at - 1) / 2];
    }
    steps->items[at] = step;
}

static uint64_t *port_bits(const struct window_core *core, const struct window_node *node, uint32_t port)
{
    return &core->waiting[node->waiting_first + port / 64];
}

void coupled_expect(struct worker *worker, uint32_t node_id, uint32_t port_local, enum step_kind kind, uint64_t time_ps)
{
    const struct window_core *core = worker->core;
    *port_bits(core, &core->nodes[node_id], port_local) |= UINT64_C(1) << (port_local % 64); /* C2 */
    if (worker->whole_now != node_id) {
        node_wake(worker, node_id, time_ps);
    } else if (time_ps < worker->end_ps) {
        step_push(worker, item_make(core, time_ps - worker->start_ps, kind, port_local));
    }
}

/* ---- sending ---------------------------------------------------------------------------------------------- */

/* A packet pulled from the host never waited. */
static uint32_t pulled_count(struct worker *worker, uint32_t port_id, struct class_waiting *next, uint64_t now_ps)
{
    struct class_port *queues = &worker->core->class_ports[port_id];
    uint32_t class = class_of(queues->profile, &next->packet);
    next->since_ps = now_ps;
    next->in_port = ID_NONE;
    assert(class_is_open(queues, class, next->packet.size_bytes));
    class_count_bytes(&worker->core->ports[port_id], &queues->rings[class], next->packet.size_bytes);
    worker->in_flight++;
    if (next->packet.size_bytes > worker->packet_bytes_max) {
        worker->packet_bytes_max = next->packet.size_bytes;
    }
    return class;
}

static bool pull_next(struct worker *worker, const struct window_node *node, uint32_t port_id, uint64_t now_ps,
                      struct gate_port *gate, uint32_t *class, struct class_waiting *next)
{
    const struct window_core *core = worker->core;
    if (gate != NULL && !gate_lets_pull(core, port_id, gate, now_ps)) {
        return false;
    }
    if (!core->config.ops->pull(core->config.context, node->id, port_id - node->port_first, now_ps, &next->packet)) {
        return false;
    }
    *class = pulled_count(worker, port_id, next, now_ps);
    return true;
}

void coupled_send(struct worker *worker, const struct window_node *node, uint32_t port_local, const struct packet *packet,
                  uint64_t now_ps)
{
    uint32_t port_id = node->port_first + port_local;
    struct window_port *port = &worker->core->ports[port_id];
    struct class_waiting pulled = {.packet = *packet};
    uint32_t class = pulled_count(worker, port_id, &pulled, now_ps);
    port->is_transit_next = port->is_busy = true;
    class_send(worker, port_id, class, &pulled, now_ps, link_use_usual(worker, port, packet), true);
}

/* What is sent next, which may be in `pulled`, or NULL. Transit and own packets of a host take turns. */
static struct class_waiting *port_next(struct worker *worker, const struct window_node *node, uint32_t port_id,
                                       uint64_t now_ps, struct gate_port *gate, uint32_t *class,
                                       struct class_waiting *pulled)
{
    struct window_port *port = &worker->core->ports[port_id];
    struct class_port *queues = &worker->core->class_ports[port_id];
    uint32_t allowed = gate != NULL ? gate_classes(worker->core, port_id, gate, now_ps) : UINT32_MAX;
    if (!node->is_host) {
        return class_next(port, queues, allowed, class, true);
    }
    struct class_waiting *next = port->is_transit_next ? class_next(port, queues, allowed, class, true) : NULL;
    if (next != NULL) {
        port->is_transit_next = false;
        return next;
    }
    if (pull_next(worker, node, port_id, now_ps, gate, class, pulled)) {
        port->is_transit_next = true;
        return pulled;
    }
    return class_next(port, queues, allowed, class, true);
}

/* What most ports of hosts do: one class, no gate, nothing but what the host itself has. */
static bool host_pull(struct worker *worker, const struct window_node *node, uint32_t port_local, uint64_t now_ps)
{
    struct window_core *core = worker->core;
    struct window_port *port = &core->ports[node->port_first + port_local];
    struct class_port *queues = &core->class_ports[node->port_first + port_local];
    struct packet packet;
    if (!core->config.ops->pull(core->config.context, node->id, port_local, now_ps, &packet)) {
        return false;
    }
    uint32_t size_bytes = packet.size_bytes;
    assert((queues->paused & 1) == 0);
    class_count_bytes(port, queues->rings, size_bytes);
    queues->service_in_port = ID_NONE;
    queues->service_class = 0;
    worker->in_flight++;
    worker->packet_bytes_max = size_bytes > worker->packet_bytes_max ? size_bytes : worker->packet_bytes_max;
    port->is_transit_next = port->is_busy = true;
    uint64_t service_ps = port_service_ps(port, size_bytes);
    port_depart(worker, port, &packet, now_ps, now_ps, service_ps);
    if (port_is_near(worker, port) && now_ps - worker->start_ps < core->width_ps) {
        packet_deliver(worker, port, &packet, now_ps - worker->start_ps, service_ps);
    } else {
        port_deliver(worker, port, &packet, now_ps, port->peer_id == packet.dst);
    }
    return true;
}

/* The same in general. */
static bool port_start(struct worker *worker, uint32_t node_id, uint32_t port_local, uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    const struct window_node *node = &core->nodes[node_id];
    uint32_t port_id = node->port_first + port_local, class;
    struct window_port *port = &core->ports[port_id];
    struct class_waiting pulled;
    struct gate_port *gate = gate_of(core, port_id);
    struct class_waiting *next = port_next(worker, node, port_id, now_ps, gate, &class, &pulled);
    if (next == NULL) {
        if (gate != NULL) {
            gate_wake(worker, node_id, port_local, now_ps);
        }
        return false;
    }
    port->is_busy = true;
    struct link_use use = gate != NULL ? gate_starts(worker, port_id, gate, next, now_ps)
                                       : link_use_usual(worker, port, &next->packet);
    class_send(worker, port_id, class, next, now_ps, use, true);
    return true;
}

/* Sends the next packet if the port is free, up, and has one. */
void coupled_start(struct worker *worker, uint32_t node_id, uint32_t port_local, uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    const struct window_node *node = &core->nodes[node_id];
    struct window_port *port = &core->ports[node->port_first + port_local];
    if (port->is_busy || port->is_dark) {
        return;
    }
    bool is_usual = core->are_hosts_usual && node->is_host && port->count == 0 && !port->is_lossy;
    if (is_usual ? !host_pull(worker, node, port_local, now_ps) : !port_start(worker, node_id, port_local, now_ps)) {
        return;
    }
    *port_bits(core, node, port_local) |= UINT64_C(1) << (port_local % 64); /* C2 */
    if (worker->whole_now == node_id && port->free_ps < worker->end_ps) {
        step_push(worker, item_make(core, port->free_ps - worker->start_ps, STEP_DEPARTED, port_local));
    }
}

void coupled_kick(struct worker *worker, uint32_t node, uint32_t port_local, uint64_t now_ps)
{
    const struct window_port *port = &worker->core->ports[worker->core->nodes[node].port_first + port_local];
    if (port->is_busy) {
        return; /* as most often */
    }
    coupled_start(worker, node, port_local, now_ps);
    if (worker->host_now != node && port->is_busy) {
        node_wake(worker, node, port->free_ps);
    }
}

/* ---- what can happen -------------------------------------------------------------------------------------- */

/* A gate's wake-up that has been overtaken by another one is none. */
static void on_link_up(struct worker *worker, uint32_t node, uint32_t port_local, uint64_t now_ps)
{
    uint32_t port_id = worker->core->nodes[node].port_first + port_local;
    struct window_port *port = &worker->core->ports[port_id];
    struct gate_port *gate = gate_of(worker->core, port_id);
    if (gate != NULL && now_ps != (port->is_dark ? port->free_ps : gate->wake_ps)) {
        return;
    }
    port->is_dark = false;
    if (gate != NULL) {
        gate->wake_ps = TIME_NEVER_PS;
    }
    coupled_start(worker, node, port_local, now_ps);
}

static void on_departed(struct worker *worker, uint32_t node_id, uint32_t port_local, uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    uint32_t port_id = core->nodes[node_id].port_first + port_local;
    struct class_port *queues = &core->class_ports[port_id];
    core->ports[port_id].is_busy = false;
    class_leave(&core->ports[port_id], queues);
    if (queues->service_in_port != ID_NONE) {
        input_left(worker, &core->nodes[node_id], queues->service_in_port, queues->service_in_class,
                   queues->service_in_bytes, now_ps);
    }
    coupled_start(worker, node_id, port_local, now_ps);
}

static void on_frame(struct worker *worker, uint32_t node, uint32_t port, const struct packet *frame, uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    if (frame_obey(&core->class_ports[core->nodes[node].port_first + port], frame, now_ps)) {
        coupled_start(worker, node, port, now_ps);
    }
}

/* ---- arrivals --------------------------------------------------------------------------------------------- */

uint32_t port_least(const struct window_core *core, uint32_t port_first, const struct port_set *set, uint64_t hash,
                    uint32_t grade_shift)
{
    uint64_t least = UINT64_MAX;
    uint32_t ties = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        uint64_t grade = core->ports[port_first + port_set_at(set, i)].queued_bytes >> grade_shift;
        ties = grade < least ? 1 : ties + (grade == least);
        least = grade < least ? grade : least;
    }
    uint32_t wanted = rng_below(hash, ties);
    for (uint32_t i = 0;; i++) {
        uint32_t local = port_set_at(set, i);
        if (core->ports[port_first + local].queued_bytes >> grade_shift == least && wanted-- == 0) {
            return local;
        }
    }
}

uint32_t coupled_route(const struct window_core *core, const struct window_node *node, const struct packet *packet,
                       uint32_t towards, uint64_t now_ps)
{
    const struct queue_profile *profile = node->is_host ? core->config.host_queues : core->config.switch_queues;
    const struct routes *routes = epoch_routes(&core->config, class_of(profile, packet), now_ps);
    struct port_set set = routes_next(routes, node->id, towards);
    uint64_t hash = packet_choice(&core->config, packet, node->id, node->salt);
    if (__builtin_expect(set.count == 0, 0)) {
        return ID_NONE;
    }
    return profile->is_adaptive && set.count > 1 ? port_least(core, node->port_first, &set, hash, profile->grade_shift)
                                                 : route_choose(&set, hash);
}

/* The same where nothing else matters (is_direct). */
static uint32_t direct_route(const struct window_core *core, const struct window_node *node, const struct packet *packet)
{
    struct port_set set = node_set(core, node, packet);
    uint64_t hash = packet_choice(&core->config, packet, node->id, node->salt);
    const struct queue_profile *profile = node->is_host ? core->config.host_queues : core->config.switch_queues;
    if (__builtin_expect(set.count == 0, 0)) {
        return ID_NONE;
    }
    return profile->is_adaptive && set.count > 1 ? port_least(core, node->port_first, &set, hash, profile->grade_shift)
                                                 : route_choose(&set, hash);
}

struct way_here {
    const struct window_core *core;
    const struct window_node *node;
    const struct packet *packet;
    uint64_t now_ps;
};

static uint64_t backlog_bytes(const void *context, uint32_t node, uint32_t host)
{
    const struct way_here *here = context;
    (void)node;
    uint32_t out = coupled_route(here->core, here->node, here->packet, host, here->now_ps);
    return out == ID_NONE ? UINT32_MAX : here->core->ports[here->node->port_first + out].queued_bytes;
}

/* The port by which a packet goes on, counted within the node: its route, or a detour; what it must remember of the choice
 * is written into it. */
static uint32_t way_choose(const struct window_core *core, const struct window_node *node, uint32_t in_port,
                           struct packet *packet, uint64_t now_ps)
{
    const struct window_port *ports = &core->ports[node->port_first];
    const struct packet came = *packet;
    const struct way_here here = {core, node, &came, now_ps};
    uint32_t from = core->nodes[ports[in_port].peer].id, entropy = packet->entropy;
    uint32_t towards = way_towards(core->config.ways, node->id, from, packet->src, packet->dst, &entropy, backlog_bytes, &here);
    packet->entropy = entropy & UINT16_MAX;
    uint32_t out = coupled_route(core, node, packet, towards, now_ps);
    const struct detour *detour = core->fabric->detours == NULL ? NULL : &core->fabric->detours[node->id];
    if (detour == NULL || out == ID_NONE || !detour_is_offered(detour, ports[in_port].peer_id != ID_NONE, out)) {
        return out;
    }
    uint32_t other = detour_choose(detour, &came, node->salt);
    bool is_taken = detour->rule == DETOUR_ALWAYS ||
                    ports[out].queued_bytes > ports[other].queued_bytes + detour->threshold_bytes;
    return is_taken ? other : out;
}

/* The packet must be whole to go on: it arrives again, in this window (then it keeps its place in the list) or later. */
static bool arrival_repeats(struct worker *worker, uint32_t node_id, uint32_t arrived, uint32_t port, uint64_t wait_ps)
{
    const struct window_core *core = worker->core;
    uint64_t *items = worker->arrivals.items, item = items[arrived];
    uint64_t offset_ps = (item >> offset_shift(core)) + wait_ps;
    if (worker->start_ps + offset_ps >= worker->end_ps) {
        packet_put(worker, node_id, worker->start_ps + offset_ps, port << 1 | 1,
                   worker->arrivals.where[item_at(item)]);
        return false;
    }
    uint64_t again = (item + (wait_ps << offset_shift(core))) | 1;
    again += (uint64_t)(port - item_port(core, item)) << ITEM_PORT_SHIFT;
    uint32_t at = arrived; /* its own place is free */
    uint64_t behind = again | ((UINT64_C(1) << (ITEM_NUMBER_BITS + 1)) - 1); /* all of this time and port came before */
    for (; at + 1 < worker->arrivals.count && items[at + 1] < behind; at++) {
        items[at] = items[at + 1];
    }
    items[at] = again;
    return true;
}

/* Puts a packet into the queue of its port. */
static void onward(struct worker *worker, uint32_t node_id, uint32_t in_port, uint32_t out, uint32_t in_class,
                   const struct packet *packet, uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    struct window_node *node = &core->nodes[node_id];
    uint32_t port_id = node->port_first + out, size_bytes = packet->size_bytes;
    struct class_port *queues = &core->class_ports[port_id];
    uint32_t class = class_of(queues->profile, packet);
    queues->packet_number++;
    bool is_fitting = class_fits(node, &core->ports[port_id], queues, class, size_bytes, true);
    input_came(worker, node, in_port, in_class, size_bytes, now_ps);
    if (class_admit(worker, node, port_id, is_fitting, class, packet, in_port, in_class, now_ps, true)) {
        gate_queued(worker, node_id, out, class, now_ps);
        if (core->ports[port_id].is_busy) {
            return; /* as most often */
        }
        coupled_start(worker, node_id, out, now_ps); /* else a sleeping host port would be woken without a kick */
    }
}

void coupled_pass(struct worker *worker, uint32_t node_id, uint32_t in_port, const struct packet *packet, uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    const struct window_node *node = &core->nodes[node_id];
    uint32_t out = direct_route(core, node, packet);
    DASSERT(out != ID_NONE); /* base routes lead everywhere */
    onward(worker, node_id, in_port, out, class_of(core->class_ports[node->port_first].profile, packet), packet, now_ps);
}

/* How many places of the list are done with: 0 where the packet arrives again within it. */
static uint32_t on_transit(struct worker *worker, uint32_t node_id, uint32_t arrived, const struct packet *packet,
                           uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    const struct window_node *node = &core->nodes[node_id];
    uint64_t item = worker->arrivals.items[arrived];
    uint32_t in_port = item_port(core, item), out;
    struct packet changed;
    if (core->is_direct) {
        out = direct_route(core, node, packet);
    } else {
        changed = *packet;
        out = way_choose(core, node, in_port, &changed, now_ps);
    }
    if (__builtin_expect(out == ID_NONE, 0)) {
        gate_stray(worker, node_id, in_port, packet, now_ps);
        return 1;
    }
    if (!(item & 1)) {
        uint64_t wait_ps = tail_wait_ps(core, node, in_port, node->port_first + out, packet);
        if (wait_ps > 0) {
            return !arrival_repeats(worker, node_id, arrived, in_port, wait_ps);
        }
    }
    const struct queue_profile *profile = core->class_ports[node->port_first + out].profile;
    uint32_t in_class = class_of(profile, packet);
    if (!core->is_direct) {
        packet_lane(core->fabric, profile, node->port_first + in_port, node->port_first + out, &changed);
        packet = &changed;
    }
    onward(worker, node_id, in_port, out, in_class, packet, now_ps);
    return 1;
}

/* A packet of a group at a switch. What is combined of it comes back by a port behind the last one, in this window (in the
 * place of the last contribution) or later. */
static uint32_t on_group(struct worker *worker, uint32_t node_id, uint32_t arrived, const struct packet *packet,
                         uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    const struct window_node *node = &core->nodes[node_id];
    uint64_t item = worker->arrivals.items[arrived];
    uint32_t in_port = item_port(core, item);
    if (!(item & 1)) {
        uint64_t wait_ps = tail_last_ps(core, node, in_port, packet);
        return !arrival_repeats(worker, node_id, arrived, in_port, wait_ps);
    }
    if (group_pass(worker, node_id, in_port, packet, now_ps)) {
        return !arrival_repeats(worker, node_id, arrived, node->port_count, core->config.groups->combine_ps);
    }
    return 1;
}

/* What a host takes in leaves the buffer behind the link at once. */
void whole_received(struct worker *worker, const struct window_node *node, uint32_t in_port,
                        const struct packet *packet, uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    const struct window_port *in = &core->ports[node->port_first + in_port];
    worker->in_flight--;
    if (core->has_credits) {
        uint32_t class = class_of(upstream_profile(core, in), packet);
        if (input_of(core, node, in_port, class)->is_credited) {
            input_credit(worker, in, class, packet->size_bytes, now_ps);
        }
    }
    core->config.ops->receive(core->config.context, node->id, packet, now_ps);
}

static uint32_t on_arrived(struct worker *worker, uint32_t node_id, uint32_t arrived, uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    next_port_prefetch(worker);
    uint64_t item = worker->arrivals.items[arrived];
    const struct packet *packet = worker->arrivals.where[item_at(item)];
    if (packet->size_bytes == 0) {
        on_frame(worker, node_id, item_port(core, item), packet, now_ps);
    } else if (packet->dst >= core->fabric->host_count && !core->nodes[node_id].is_host) {
        return on_group(worker, node_id, arrived, packet, now_ps);
    } else if (!(item & ITEM_FINAL)) {
        return on_transit(worker, node_id, arrived, packet, now_ps);
    } else if (!(item & 1)) {
        uint64_t wait_ps = tail_last_ps(core, &core->nodes[node_id], item_port(core, item), packet);
        return !arrival_repeats(worker, node_id, arrived, item_port(core, item), wait_ps);
    } else {
        whole_received(worker, &core->nodes[node_id], item_port(core, item), packet, now_ps);
    }
    return 1;
}

/* A list of one. */
void coupled_arrive(struct worker *worker, uint32_t node_id, const struct arrival *arrival, uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    struct arrivals *arrivals = &worker->arrivals;
    arrivals_reserve(worker, 1);
    arrivals->count = 1;
    arrivals->where[0] = arrival->packet;
    arrivals->items[0] = item_make(core, now_ps - worker->start_ps, STEP_ARRIVED, arrival->port) |
                         (arrival->is_final ? ITEM_FINAL : 0) | (uint64_t)ITEM_NUMBER_MAX << 1 | arrival->is_whole;
    if (on_arrived(worker, node_id, 0, now_ps) == 0) {
        uint64_t again = arrivals->items[0];
        packet_put(worker, node_id, worker->start_ps + (again >> offset_shift(core)), item_port(core, again) << 1 | 1,
                   arrival->packet);
    }
}

/* ---- the list --------------------------------------------------------------------------------------------- */

/* The arrivals of the inbox, which are in keys of `arrivals_take`, as items of this file. */
static void items_make(struct worker *worker)
{
    const struct window_core *core = worker->core;
    struct arrivals *arrivals = &worker->arrivals;
    for (uint32_t i = 0; i < arrivals->count; i++) {
        uint64_t item = arrivals->items[i];
        const struct packet *packet = arrivals->where[i];
        enum step_kind kind = packet->size_bytes > 0          ? STEP_ARRIVED
                              : packet->kind == FRAME_CREDIT ? STEP_CREDIT
                                                              : STEP_PAUSE;
        arrivals->items[i] = item_make(core, arrival_offset_ps(core, item), kind, arrival_port(core, item)) |
                             (item & ARRIVAL_IS_FINAL ? ITEM_FINAL : 0) |
                             (uint64_t)(ITEM_NUMBER_MAX - i) << 1 | arrival_is_whole(item);
    }
}

/* Dealt to buckets by time first: nodes have a hundred arrivals in a window. */
static void items_sort(struct worker *worker)
{
    enum { BITS_MAX = 8, FEW = 16 };
    struct arrivals *arrivals = &worker->arrivals;
    uint32_t count = arrivals->count, starts[(1 << BITS_MAX) + 1];
    if (count <= FEW) {
        arrivals_sort(arrivals->items, count);
        return;
    }
    uint32_t width_bits = 64 - (uint32_t)__builtin_clzll(worker->core->width_ps), bits = 31 - (uint32_t)__builtin_clz(count);
    bits = bits < BITS_MAX ? bits : BITS_MAX;
    uint32_t shift = offset_shift(worker->core) + (width_bits > bits ? width_bits - bits : 0), buckets = 1u << bits;
    uint64_t *items = arrivals->items, *sorted = arrivals->spare;
    memset(starts, 0, (buckets + 1) * sizeof *starts);
    for (uint32_t i = 0; i < count; i++) {
        starts[(items[i] >> shift) + 1]++;
    }
    for (uint32_t i = 0; i < buckets; i++) {
        starts[i + 1] += starts[i];
    }
    for (uint32_t i = count; i-- > 0;) { /* the oldest first */
        sorted[starts[items[i] >> shift]++] = items[i];
    }
    for (uint32_t i = 0, first = 0; i < buckets; first = starts[i++]) { /* each start is its bucket's end now */
        if (starts[i] > first + 1) {
            arrivals_sort(sorted + first, starts[i] - first);
        }
    }
    arrivals->items = sorted;
    arrivals->spare = items;
}

static void gate_steps_take(struct worker *worker, const struct window_node *node, uint32_t local)
{
    const struct gate_port *gate = &worker->core->gate_ports[node->port_first + local];
    const uint64_t times_ps[] = {gate->flush_ps, gate->reroute_ps, gate->wake_ps};
    const enum step_kind kinds[] = {STEP_FLUSH, STEP_REROUTE, STEP_LINK_UP};
    for (uint32_t i = 0; i < 3; i++) {
        if (times_ps[i] < worker->end_ps) {
            step_push(worker, item_make(worker->core, times_ps[i] - worker->start_ps, kinds[i], local));
        }
    }
}

void coupled_enter(struct worker *worker, const struct window_node *node)
{
    const struct window_core *core = worker->core;
    worker->steps.count = 0;
    worker->steps.is_first_done = false;
    for (uint32_t word = 0; word * 64 < node->port_count; word++) {
        for (uint64_t bits = *port_bits(core, node, word * 64); bits != 0; bits &= bits - 1) {
            uint32_t local = word * 64 + (uint32_t)__builtin_ctzll(bits);
            const struct window_port *port = &core->ports[node->port_first + local];
            if (core->gate_ports != NULL) {
                gate_steps_take(worker, node, local);
            }
            if (port->free_ps < worker->end_ps && (port->is_dark || port->is_busy)) {
                enum step_kind kind = port->is_dark ? STEP_LINK_UP : STEP_DEPARTED;
                step_push(worker, item_make(core, port->free_ps - worker->start_ps, kind, local));
            }
        }
    }
}

void coupled_step(struct worker *worker, uint32_t node_id, uint32_t port_local, enum step_kind kind, uint64_t now_ps)
{
    static void (*const on[])(struct worker *, uint32_t, uint32_t, uint64_t) = {
        [STEP_FLUSH] = gate_flush, [STEP_REROUTE] = gate_reroute, [STEP_LINK_UP] = on_link_up,
        [STEP_DEPARTED] = on_departed};
    on[kind](worker, node_id, port_local, now_ps);
}

static void on_step(struct worker *worker, uint32_t node_id, uint64_t step, uint64_t now_ps)
{
    struct steps *steps = &worker->steps;
    steps->is_first_done = true; /* most often a step leads to another one */
    coupled_step(worker, node_id, item_port(worker->core, step), item_kind(worker->core, step), now_ps);
    if (steps->is_first_done) {
        steps->is_first_done = false;
        uint64_t last = steps->items[--steps->count];
        if (steps->count > 0) {
            step_replace(steps, last);
        }
    }
}

void whole_due(struct worker *worker, uint32_t id)
{
    struct timer timer = timer_pop(&worker->local);
    const struct engine_config *config = &worker->core->config;
    config->ops->event(config->context, id, timer_what(timer.payload), timer_argument(timer.payload), timer.time_ps);
}

/* Everything of the window in order; returns how many arrivals are done. */
static uint32_t steps_walk(struct worker *worker, uint32_t node_id)
{
    const struct window_core *core = worker->core;
    struct arrivals *arrivals = &worker->arrivals;
    uint64_t end = item_make(core, worker->end_ps - worker->start_ps - 1, STEP_DUE, 0);
    uint32_t arrived = 0;
    for (;;) {
        uint64_t arrival = arrived < arrivals->count ? arrivals->items[arrived] : UINT64_MAX;
        uint64_t step = worker->steps.count > 0 ? worker->steps.items[0] : UINT64_MAX;
        uint64_t next = step < arrival ? step : arrival;
        next = next < end ? next : UINT64_MAX;
        uint64_t now_ps = worker->start_ps + (next >> offset_shift(core));
        if (worker->local.count > 0 && (next == UINT64_MAX || worker->local.items[0].time_ps < now_ps)) {
            whole_due(worker, core->nodes[node_id].id);
        } else if (next == UINT64_MAX) {
            return arrived;
        } else if (step < arrival) {
            on_step(worker, node_id, step, now_ps);
        } else {
            arrived += on_arrived(worker, node_id, arrived, now_ps);
        }
    }
}

/* A run may end inside a window: what is later goes back, in order (C3). */
static void items_return(struct worker *worker, uint32_t node_id, uint32_t first)
{
    const struct window_core *core = worker->core;
    for (uint32_t i = first; i < worker->arrivals.count; i++) {
        uint64_t item = worker->arrivals.items[i];
        packet_put(worker, node_id, worker->start_ps + (item >> offset_shift(core)),
                   item_port(core, item) << 1 | (item & 1), worker->arrivals.where[item_at(item)]);
    }
}

void coupled_leave(struct worker *worker, uint32_t node_id)
{
    const struct window_core *core = worker->core;
    const struct window_node *node = &core->nodes[node_id];
    uint64_t wake_ps = TIME_NEVER_PS, gates_ps = TIME_NEVER_PS;
    for (uint32_t word = 0; word * 64 < node->port_count; word++) {
        uint64_t *bits = port_bits(core, node, word * 64);
        for (uint64_t left = *bits; left != 0; left &= left - 1) {
            uint32_t port_id = node->port_first + word * 64 + (uint32_t)__builtin_ctzll(left);
            const struct window_port *port = &core->ports[port_id];
            uint64_t gate_ps = core->gate_ports != NULL ? gate_next_ps(&core->gate_ports[port_id]) : TIME_NEVER_PS;
            /* The wake of a dark port stands until its window, which may be this one, cut short. */
            bool is_awaited = port->is_busy || (port->is_dark && port->free_ps < worker->start_ps + core->width_ps);
            wake_ps = is_awaited && port->free_ps < wake_ps ? port->free_ps : wake_ps;
            *bits &= port->is_busy || port->is_dark || gate_ps != TIME_NEVER_PS ? UINT64_MAX : ~(left & -left);
            gates_ps = gate_ps < gates_ps ? gate_ps : gates_ps;
        }
    }
    if (core->gate_ports != NULL && (wake_ps != TIME_NEVER_PS || gates_ps != TIME_NEVER_PS)) {
        gate_node_wake(worker, node_id, gates_ps < wake_ps ? gates_ps : wake_ps); /* cells may be far apart */
    } else if (wake_ps != TIME_NEVER_PS) {
        node_wake(worker, node_id, wake_ps);
    }
}

void coupled_serve(struct worker *worker, uint32_t node_id)
{
    struct window_node *node = &worker->core->nodes[node_id];
    worker->whole_now = node_id;
    worker->host_now = node->is_host ? node_id : ID_NONE;
    next_node_prefetch(worker);
    worker->port_next = 0;
    node_due_take(worker, node);
    arrivals_take(worker, node_id);
    items_make(worker);
    items_sort(worker);
    coupled_enter(worker, node);
    uint32_t arrived = steps_walk(worker, node_id);
    items_return(worker, node_id, arrived);
    arrivals_release(worker);
    coupled_leave(worker, node_id);
    worker->host_now = worker->whole_now = ID_NONE;
}
