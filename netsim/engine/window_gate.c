#include "netsim/engine/window_gate.h"

/* ---- starting --------------------------------------------------------------------------------------------- */

static uint64_t start_ps(const struct window_core *core, uint32_t port_id, const struct gate_port *gate, uint64_t bytes,
                         uint64_t now_ps)
{
    return gating_send_ps(gate->gating, now_ps, bytes, core->ports[port_id].rate_bps);
}

static uint64_t pull_bytes(const struct window_core *core)
{
    return core->config.packet_bytes_max > 0 ? core->config.packet_bytes_max : PACKET_BYTES_MAX;
}

bool gate_lets_pull(const struct window_core *core, uint32_t port_id, struct gate_port *gate, uint64_t now_ps)
{
    gate->is_pull_wanted = start_ps(core, port_id, gate, pull_bytes(core), now_ps) != now_ps;
    return !gate->is_pull_wanted;
}

uint32_t gate_classes(const struct window_core *core, uint32_t port_id, const struct gate_port *gate, uint64_t now_ps)
{
    const struct class_port *queues = &core->class_ports[port_id];
    uint32_t allowed = 0;
    for (uint32_t class = 0; class < queues->profile->class_count; class++) {
        const struct class_ring *ring = &queues->rings[class];
        bool may_start = ring->count > 0 &&
                         start_ps(core, port_id, gate, class_head(ring)->packet.size_bytes, now_ps) == now_ps;
        allowed |= (uint32_t)may_start << class;
    }
    return allowed;
}

/* port_depart counts as dark what is before up_ps; here it is that and the gate. */
static void dark_count(struct window_port *port, const struct gate_port *gate, uint64_t since_ps, uint64_t now_ps)
{
    uint64_t counted_ps = port->up_ps > since_ps ? port->up_ps - since_ps : 0;
    uint64_t dark_ps = gating_dark_ps(gate->gating, since_ps, now_ps);
    port->dark_wait_ps += dark_ps - counted_ps;
    port->queue_wait_ps -= dark_ps - counted_ps;
}

/* Cells arrive as a packet; port_depart takes all the time for busy, and here what lies between them is counted as dark. */
static void cells_count_in(struct window_port *port, struct gate_port *gate, uint64_t bytes, const struct sending *sending,
                           struct link_use *use)
{
    uint64_t between_ps = sending->service_ps - sending->busy_ps;
    port->busy_ps -= between_ps;
    port->dark_wait_ps += between_ps;
    gate->cells += cells_count(&gate->gating->cells, bytes);
    gate->padding_bytes += gating_wire_bytes(gate->gating, bytes) - bytes;
    use->fate = LINK_CARRIES_WHOLE;
}

struct link_use gate_starts(struct worker *worker, uint32_t port_id, struct gate_port *gate, const struct class_waiting *next,
                            uint64_t now_ps)
{
    struct window_port *port = &worker->core->ports[port_id];
    uint64_t bytes = next->packet.size_bytes;
    struct sending sending = gating_sending(gate->gating, now_ps, bytes, port->rate_bps);
    struct link_use use = {.service_ps = sending.service_ps};
    gate->wake_ps = TIME_NEVER_PS;
    assert(bytes <= pull_bytes(worker->core) || next->in_port != ID_NONE);
    dark_count(port, gate, next->since_ps, now_ps);
    use.fate = gating_is_degraded(gate->gating, now_ps) ? LINK_CARRIES_WHOLE : LINK_CARRIES;
    if (gate->gating->cells.bytes > 0) {
        cells_count_in(port, gate, bytes, &sending, &use);
    }
    bool is_error = port->is_lossy && !sending.is_cut && error_draw(worker, port, gating_wire_bytes(gate->gating, bytes),
                                                                    gate->gating->rule_count == 0, &use);
    if (!sending.is_cut && !gating_is_lost(gate->gating, now_ps, now_ps + use.service_ps + port->delay_ps)) {
        if (is_error) {
            error_count(worker, port, &next->packet, &use);
        }
        return use;
    }
    gate->lost_packets++;
    gate->lost_bytes += bytes;
    worker->in_flight--;
    use.fate = LINK_LOSES;
    return use;
}

/* ---- waking ----------------------------------------------------------------------------------------------- */

void gate_wake(struct worker *worker, uint32_t node_id, uint32_t port_local, uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    uint32_t port_id = core->nodes[node_id].port_first + port_local;
    const struct class_port *queues = &core->class_ports[port_id];
    struct gate_port *gate = &core->gate_ports[port_id];
    if (gate->gating == NULL || core->ports[port_id].is_busy || core->ports[port_id].is_dark) {
        return;
    }
    uint64_t wake_ps = TIME_NEVER_PS;
    for (uint32_t class = 0; class < queues->profile->class_count; class++) {
        const struct class_ring *ring = &queues->rings[class];
        if (ring->count > 0 && class_is_open(queues, class, class_head(ring)->packet.size_bytes)) {
            uint64_t first_ps = start_ps(core, port_id, gate, class_head(ring)->packet.size_bytes, now_ps);
            wake_ps = first_ps < wake_ps ? first_ps : wake_ps;
        }
    }
    if (gate->is_pull_wanted) {
        uint64_t first_ps = start_ps(core, port_id, gate, pull_bytes(core), now_ps);
        wake_ps = first_ps < wake_ps ? first_ps : wake_ps;
    }
    bool is_new = wake_ps != gate->wake_ps && wake_ps != TIME_NEVER_PS;
    gate->wake_ps = wake_ps;
    if (is_new) {
        coupled_expect(worker, node_id, port_local, STEP_LINK_UP, wake_ps);
    }
}

/* A node that is often served must not leave a timer each time for the same far opening. */
void gate_node_wake(struct worker *worker, uint32_t node_id, uint64_t time_ps)
{
    struct window_node *node = &worker->core->nodes[node_id];
    bool is_far = windows_ahead(worker, time_ps) > worker->core->slot_mask;
    if (is_far && node->far_wake_ps >= worker->end_ps && node->far_wake_ps <= time_ps) {
        return;
    }
    node->far_wake_ps = is_far ? time_ps : node->far_wake_ps;
    node_wake(worker, node_id, time_ps);
}

/* ---- routes change ---------------------------------------------------------------------------------------- */

/* The first change of routes after now_ps at which this link is down. */
static uint64_t flush_next_ps(const struct window_core *core, const struct gating *gating, uint64_t now_ps)
{
    const struct route_epochs *epochs = core->config.epochs;
    for (uint32_t i = 0; epochs != NULL && epochs->period_ps == 0 && i < epochs->count; i++) {
        if (epochs->from_ps[i] > now_ps && gating_is_down(gating, epochs->from_ps[i])) {
            return epochs->from_ps[i];
        }
    }
    return TIME_NEVER_PS;
}

static void flush_expect(struct worker *worker, uint32_t node_id, uint32_t port_local, uint64_t time_ps)
{
    const struct window_core *core = worker->core;
    core->gate_ports[core->nodes[node_id].port_first + port_local].flush_ps = time_ps;
    if (time_ps != TIME_NEVER_PS) {
        coupled_expect(worker, node_id, port_local, STEP_FLUSH, time_ps);
    }
}

static struct class_waiting ring_take(struct window_port *port, struct class_port *queues, uint32_t class)
{
    struct class_waiting first = *class_pop(port, queues, class);
    queues->rings[class].bytes -= first.packet.size_bytes;
    port->queued_bytes -= first.packet.size_bytes;
    return first;
}

void gate_flush(struct worker *worker, uint32_t node_id, uint32_t port_local, uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    struct window_node *node = &core->nodes[node_id];
    uint32_t port_id = node->port_first + port_local;
    struct class_port *queues = &core->class_ports[port_id];
    for (uint32_t class = 0; class < queues->profile->class_count; class++) {
        while (queues->rings[class].count > 0) {
            struct class_waiting first = ring_take(&core->ports[port_id], queues, class);
            class_drop(worker, node, &core->ports[port_id], &first, now_ps, true);
        }
    }
    flush_expect(worker, node_id, port_local, flush_next_ps(core, core->gate_ports[port_id].gating, now_ps));
    gate_wake(worker, node_id, port_local, now_ps);
}

/* ---- a window closes -------------------------------------------------------------------------------------- */

void gate_reroute_expect(struct worker *worker, uint32_t node_id, uint32_t port_local, uint32_t class, uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    struct gate_port *gate = gate_of(core, core->nodes[node_id].port_first + port_local);
    const struct route_epochs *epochs = core->config.epochs;
    if (gate == NULL || !gate->gating->is_rerouting || epochs == NULL || !(epochs->class_mask >> class & 1) ||
        gate->reroute_ps != TIME_NEVER_PS) {
        return;
    }
    gate->reroute_ps = gating_close_ps(gate->gating, now_ps);
    if (gate->reroute_ps != TIME_NEVER_PS) {
        coupled_expect(worker, node_id, port_local, STEP_REROUTE, gate->reroute_ps);
    }
}

/* Into the queue of a port, by whose buffer the packet came it keeps. */
static void waiting_admit(struct worker *worker, uint32_t node_id, uint32_t port_local, struct class_waiting *waiting,
                          uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    struct window_node *node = &core->nodes[node_id];
    uint32_t port_id = node->port_first + port_local;
    struct class_port *queues = &core->class_ports[port_id];
    uint32_t class = class_of(queues->profile, &waiting->packet);
    queues->packet_number++;
    bool is_fitting = class_fits(node, &core->ports[port_id], queues, class, waiting->packet.size_bytes, true);
    if (class_admit_waiting(worker, node, port_id, is_fitting, class, waiting, now_ps, true)) {
        gate_queued(worker, node_id, port_local, class, now_ps);
        coupled_start(worker, node_id, port_local, now_ps);
    }
}

static void stray_count(struct worker *worker, uint32_t node_id, uint32_t in_port, const struct packet *packet)
{
    struct gate_port *gate = &worker->core->gate_ports[worker->core->nodes[node_id].port_first + in_port];
    gate->stray_packets++;
    gate->stray_bytes += packet->size_bytes;
    worker->in_flight--;
}

void gate_stray(struct worker *worker, uint32_t node_id, uint32_t in_port, const struct packet *packet, uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    struct window_node *node = &core->nodes[node_id];
    assert(core->gate_ports != NULL); /* base routes lead everywhere */
    uint32_t class = class_of(core->class_ports[node->port_first].profile, packet);
    input_came(worker, node, in_port, class, packet->size_bytes, now_ps);
    stray_count(worker, node_id, in_port, packet);
    input_left(worker, node, in_port, class, packet->size_bytes, now_ps);
}

static void route_again(struct worker *worker, uint32_t node_id, uint32_t port_local, struct class_waiting *waiting,
                        uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    bool is_group = waiting->packet.dst >= core->fabric->host_count;
    const struct packet *packet = &waiting->packet;
    uint32_t out = is_group ? port_local : coupled_route(core, &core->nodes[node_id], packet, packet->dst, now_ps);
    if (out == ID_NONE) {
        stray_count(worker, node_id, waiting->in_port, &waiting->packet);
        input_left(worker, &worker->core->nodes[node_id], waiting->in_port, waiting->in_class, waiting->in_bytes, now_ps);
    } else {
        waiting_admit(worker, node_id, out, waiting, now_ps);
    }
}

void gate_reroute(struct worker *worker, uint32_t node_id, uint32_t port_local, uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    uint32_t port_id = core->nodes[node_id].port_first + port_local;
    struct window_port *port = &core->ports[port_id];
    struct class_port *queues = &core->class_ports[port_id];
    struct gate_port *gate = &core->gate_ports[port_id];
    struct class_ring *again = worker->again; /* one of its own each time would fill memory slice by slice */
    again->count = 0;
    gate->reroute_ps = TIME_NEVER_PS;
    for (uint32_t class = 0; class < queues->profile->class_count; class++) {
        while ((core->config.epochs->class_mask >> class & 1) && queues->rings[class].count > 0) {
            struct class_waiting first = ring_take(port, queues, class);
            uint64_t dark_ps = gating_dark_ps(gate->gating, first.since_ps, now_ps);
            port->dark_wait_ps += dark_ps;
            port->queue_wait_ps += now_ps - first.since_ps - dark_ps;
            first.since_ps = now_ps;
            if (again->count == again->capacity) {
                class_ring_grow(worker, again);
            }
            again->items[again->count++] = first;
        }
    }
    for (uint32_t i = 0; i < again->count; i++) {
        route_again(worker, node_id, port_local, &again->items[i], now_ps);
    }
    gate_wake(worker, node_id, port_local, now_ps);
}

/* ---- groups ----------------------------------------------------------------------------------------------- */

/* Queues what the node itself has made. in_port: whose buffer it takes, or ID_NONE. */
static void packet_make(struct worker *worker, uint32_t node_id, uint32_t port_local, const struct packet *packet,
                        uint32_t in_port, uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    struct window_node *node = &core->nodes[node_id];
    uint32_t port_id = node->port_first + port_local;
    struct class_port *queues = &core->class_ports[port_id];
    uint32_t class = class_of(queues->profile, packet), size_bytes = packet->size_bytes;
    worker->in_flight++;
    core->gate_ports[port_id].group_out_packets++;
    core->gate_ports[port_id].group_out_bytes += size_bytes;
    queues->packet_number++;
    bool is_fitting = class_fits(node, &core->ports[port_id], queues, class, size_bytes, true);
    if (in_port != ID_NONE) {
        input_came(worker, node, in_port, class, size_bytes, now_ps);
    }
    if (class_admit(worker, node, port_id, is_fitting, class, packet, in_port, class, now_ps, true)) {
        gate_queued(worker, node_id, port_local, class, now_ps);
        coupled_start(worker, node_id, port_local, now_ps);
    }
}

/* In and out of the buffer at once. */
static void input_pass(struct worker *worker, uint32_t node_id, uint32_t in_port, const struct packet *packet,
                       uint64_t now_ps)
{
    struct window_node *node = &worker->core->nodes[node_id];
    uint32_t class = class_of(worker->core->class_ports[node->port_first].profile, packet);
    input_came(worker, node, in_port, class, packet->size_bytes, now_ps);
    input_left(worker, node, in_port, class, packet->size_bytes, now_ps);
}

static void copies_make(struct worker *worker, uint32_t node_id, uint32_t in_port, const struct packet *packet_,
                        const struct group_hop *hop, uint64_t now_ps)
{
    const struct group_table *groups = worker->core->config.groups;
    const struct packet packet = *packet_;
    bool is_up_too = hop->fan_in == 0 && hop->up_port != ID_NONE;
    bool is_own = in_port == worker->core->nodes[node_id].port_count;
    uint32_t last = ID_NONE;
    for (uint32_t i = 0; i < hop->down_count + is_up_too; i++) {
        uint32_t port = i < hop->down_count ? groups->ports[hop->down_first + i] : hop->up_port;
        if (hop->fan_in == 0 && port == in_port) {
            continue;
        }
        if (last != ID_NONE) {
            packet_make(worker, node_id, last, &packet, ID_NONE, now_ps);
        }
        last = port;
    }
    if (last != ID_NONE) {
        packet_make(worker, node_id, last, &packet, is_own ? ID_NONE : in_port, now_ps);
    } else if (!is_own) {
        input_pass(worker, node_id, in_port, &packet, now_ps);
    }
}

static bool contribution(struct worker *worker, uint32_t node_id, uint32_t in_port, const struct packet *packet,
                         const struct group_hop *hop, uint64_t now_ps)
{
    struct window_node *node = &worker->core->nodes[node_id];
    input_pass(worker, node_id, in_port, packet, now_ps);
    bool is_last = combine_add(&node->combine, packet->dst - worker->core->fabric->host_count, packet->seq, hop->fan_in);
    worker->in_flight += is_last;
    return is_last;
}

bool group_pass(struct worker *worker, uint32_t node_id, uint32_t in_port, const struct packet *packet, uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    const struct window_node *node = &core->nodes[node_id];
    const struct group_hop *hop = group_hop_find(core->config.groups, packet->dst - core->fabric->host_count, node->id);
    assert(hop != NULL); /* else no host of the group sends by this way */
    bool is_own = in_port == node->port_count;
    worker->in_flight--;
    if (!is_own) {
        core->gate_ports[node->port_first + in_port].group_in_packets++;
        core->gate_ports[node->port_first + in_port].group_in_bytes += packet->size_bytes;
    }
    if (hop->fan_in == 0 || in_port == hop->up_port || (is_own && hop->up_port == ID_NONE)) {
        copies_make(worker, node_id, in_port, packet, hop, now_ps);
    } else if (is_own) {
        packet_make(worker, node_id, hop->up_port, packet, ID_NONE, now_ps);
    } else {
        return contribution(worker, node_id, in_port, packet, hop, now_ps);
    }
    return false;
}

/* ---- the beginning ---------------------------------------------------------------------------------------- */

bool gates_are_needed(const struct engine_config *config)
{
    return config->fabric->port_gate != NULL || config->fabric->detours != NULL || config->link_change_count > 0 ||
           config->epochs != NULL || config->ops->control != NULL || config->groups != NULL || config->cells.is_everywhere;
}

static void combines_make(struct window_core *core)
{
    const struct group_table *groups = core->config.groups;
    for (uint32_t group = 0; groups != NULL && group < groups->count; group++) {
        for (uint32_t i = 0; i < groups->groups[group].hop_count; i++) {
            uint32_t node = core->inner[groups->hops[groups->groups[group].hop_first + i].node];
            if (core->nodes[node].combine.entries == NULL) {
                combine_table_init(&core->nodes[node].combine, core->arena, groups->entries_max);
            }
        }
    }
}

void gate_ports_make(struct window_core *core)
{
    struct gating **gatings = gatings_new(core->arena, &core->config);
    core->gate_ports = arena_array(core->arena, core->fabric->port_count, struct gate_port);
    core->tell_count = arena_array(core->arena, core->fabric->host_count, uint32_t);
    for (uint32_t id = 0; id < core->fabric->port_count; id++) {
        struct gate_port *gate = &core->gate_ports[id];
        gate->wake_ps = gate->reroute_ps = gate->flush_ps = TIME_NEVER_PS;
        gate->gating = gatings != NULL ? gatings[id] : NULL;
    }
    for (uint32_t i = 0; i < core->worker_count; i++) {
        core->workers[i].again = arena_one(core->arena, struct class_ring);
    }
    combines_make(core);
}

void gate_ports_wake(struct window_core *core)
{
    for (uint32_t id = 0; id < core->fabric->port_count; id++) {
        struct gate_port *gate = gate_of(core, id);
        if (gate == NULL) {
            continue;
        }
        uint32_t node = core->inner[core->fabric->port_node[id]];
        const struct route_epochs *epochs = core->config.epochs;
        bool is_first = epochs != NULL && epochs->period_ps == 0 && epochs->count > 0 && epochs->from_ps[0] == 0 &&
                        gating_is_down(gate->gating, 0);
        flush_expect(&core->workers[core->nodes[node].owner], node, id - core->nodes[node].port_first,
                     is_first ? 0 : flush_next_ps(core, gate->gating, 0));
    }
}

void gate_counters(const struct window_core *core, uint32_t port_id, struct port_counters *counters)
{
    const struct gate_port *gate = &core->gate_ports[port_id];
    counters->lost_packets = gate->lost_packets;
    counters->lost_bytes = gate->lost_bytes;
    counters->rx_packets -= gate->lost_packets;
    counters->rx_bytes -= gate->lost_bytes;
    counters->stray_packets = gate->stray_packets;
    counters->stray_bytes = gate->stray_bytes;
    counters->cells = gate->cells;
    counters->padding_bytes = gate->padding_bytes;
    counters->group_in_packets = gate->group_in_packets;
    counters->group_in_bytes = gate->group_in_bytes;
    counters->group_out_packets = gate->group_out_packets;
    counters->group_out_bytes = gate->group_out_bytes;
}
