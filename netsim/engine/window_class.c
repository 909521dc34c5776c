/* Ports with classes: what is rare in them, and ports that are served on their own. */
#include "netsim/engine/window_class.h"

void class_ring_grow(struct worker *worker, struct class_ring *ring)
{
    uint32_t capacity = ring->capacity == 0 ? CLASS_RING_MIN : ring->capacity * 2;
    struct class_waiting *items = pool_alloc(worker, capacity * sizeof *items);
    for (uint32_t i = 0; i < ring->count; i++) {
        items[i] = ring->items[(ring->head + i) & (ring->capacity - 1)];
    }
    ring->items = items;
    ring->head = 0;
    ring->capacity = capacity;
}

/* ---- draws ------------------------------------------------------------------------------------------------ */

static uint64_t port_draw(const struct window_core *core, uint32_t port_id, uint64_t purpose)
{
    return rng_draw(core->config.seed, purpose ^ port_id, core->class_ports[port_id].packet_number);
}

bool class_draw_mark(const struct window_core *core, uint32_t port_id, const struct queue_class *rule, uint64_t bytes)
{
    uint64_t span_bytes = rule->mark_high_bytes - rule->mark_low_bytes;
    uint64_t draw = port_draw(core, port_id, RNG_MARK);
    return (uint64_t)((unsigned __int128)draw * span_bytes >> 64) < bytes - rule->mark_low_bytes;
}

/* ---- what does not fit ------------------------------------------------------------------------------------ */

void class_drop(struct worker *worker, const struct window_node *node, struct window_port *port,
                const struct class_waiting *waiting, uint64_t now_ps, bool is_coupled)
{
    port->dropped_packets++;
    port->dropped_bytes += waiting->packet.size_bytes;
    worker->in_flight--;
    if (is_coupled && waiting->in_port != ID_NONE) {
        input_left(worker, worker->core->inner[node->id], waiting->in_port, waiting->in_class, waiting->in_bytes, now_ps);
    }
}

/* Cuts the packet to a header and puts that into the trim class, where it still has to fit; false where it does not. */
static bool packet_trim(struct worker *worker, const struct window_node *node, uint32_t port_id,
                        struct class_waiting waiting, uint32_t class, uint64_t now_ps, bool is_coupled)
{
    struct window_port *port = &worker->core->ports[port_id];
    struct class_port *queues = &worker->core->class_ports[port_id];
    uint32_t left_bytes = queues->profile->trim_bytes < waiting.packet.size_bytes ? queues->profile->trim_bytes
                                                                                   : (uint32_t)waiting.packet.size_bytes;
    queues->trimmed_packets++;
    queues->trimmed_bytes += waiting.packet.size_bytes - left_bytes;
    waiting.packet.size_bytes = left_bytes & PACKET_BYTES_MAX;
    waiting.packet.is_trimmed = 1;
    waiting.packet.class = class & 7;
    if (!class_fits(node, port, queues, class, left_bytes, is_coupled)) {
        class_drop(worker, node, port, &waiting, now_ps, is_coupled);
        return false;
    }
    class_push(worker, port, &queues->rings[class], &waiting);
    return true;
}

/* Half and half by chance, the newest waiting packet gives its place up instead of the arriving one. */
static bool newest_gives_way(const struct window_core *core, uint32_t port_id, uint32_t class)
{
    const struct class_port *queues = &core->class_ports[port_id];
    return queues->profile->class[class].full == FULL_TRIM_EITHER && queues->rings[class].count > 0 &&
           port_draw(core, port_id, RNG_TRIM) >> 63 == 1;
}

bool class_overflow(struct worker *worker, struct window_node *node, uint32_t port_id, uint32_t class,
                    const struct class_waiting *waiting, uint64_t now_ps, bool is_coupled)
{
    struct window_port *port = &worker->core->ports[port_id];
    struct class_port *queues = &worker->core->class_ports[port_id];
    const struct queue_class *rule = &queues->profile->class[class];
    if (rule->full == FULL_DROP || waiting->packet.kind != PACKET_DATA) {
        class_drop(worker, node, port, waiting, now_ps, is_coupled);
        return false;
    }
    if (!newest_gives_way(worker->core, port_id, class)) {
        return packet_trim(worker, node, port_id, *waiting, rule->trim_class, now_ps, is_coupled);
    }
    struct class_ring *ring = &queues->rings[class];
    struct class_waiting newest = ring->items[(ring->head + --ring->count) & (ring->capacity - 1)];
    port->count--;
    ring->bytes -= newest.packet.size_bytes;
    port->queued_bytes -= newest.packet.size_bytes;
    class_push(worker, port, ring, waiting);
    packet_trim(worker, node, port_id, newest, rule->trim_class, now_ps, is_coupled);
    return true;
}

/* ---- what is next ----------------------------------------------------------------------------------------- */

/* A class sends while its deficit lasts; each time the turn comes to it, the deficit grows by its quantum. */
uint32_t class_by_turn(struct class_port *queues, uint32_t classes)
{
    for (;;) {
        uint32_t class = queues->turn;
        struct class_ring *ring = &queues->rings[class];
        if (classes >> class & 1 && ring->deficit_bytes >= class_head(ring)->packet.size_bytes) {
            ring->deficit_bytes -= class_head(ring)->packet.size_bytes;
            return class;
        }
        ring->deficit_bytes = classes >> class & 1 ? ring->deficit_bytes : 0;
        queues->turn = (class + 1) % queues->profile->class_count;
        if (classes >> queues->turn & 1) {
            queues->rings[queues->turn].deficit_bytes += queues->profile->class[queues->turn].quantum_bytes;
        }
    }
}

/* ---- telemetry -------------------------------------------------------------------------------------------- */

void class_load_tell(struct worker *worker, uint32_t port_id, struct packet *packet, uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    const struct window_port *port = &core->ports[port_id];
    struct class_port *queues = &core->class_ports[port_id];
    uint64_t period_ps = queues->profile->load_period_ps;
    if (core->fabric->port_node[port_id] < core->fabric->host_count) {
        return;
    }
    load_depart(&queues->load, period_ps, serialisation_ps(port->queued_bytes - packet->size_bytes, port->rate_bps),
                port_service_ps(port, packet->size_bytes), now_ps);
    if (packet->kind == PACKET_DATA) {
        uint64_t draw = rng_draw(core->config.seed, RNG_LOAD ^ port_id, port->tx_packets);
        uint32_t code = load_code(&queues->load, period_ps, draw);
        packet->load = (code > packet->load ? code : packet->load) & LOAD_CODE_MAX;
    }
}

/* ---- a port on its own ------------------------------------------------------------------------------------ */

/* Everything that leaves or starts up to now. A port with a queue is busy until free_ps, or dark. */
CLASS_INLINE void port_advance(struct worker *worker, uint32_t port_id, uint64_t now_ps)
{
    struct window_port *port = &worker->core->ports[port_id];
    struct class_port *queues = &worker->core->class_ports[port_id];
    struct class_waiting next;
    while (port->free_ps <= now_ps) {
        class_leave(port, queues);
        if (!class_next(port, queues, &next, UINT32_MAX, false)) {
            break;
        }
        class_send(worker, port_id, &next, port->free_ps, false, false);
    }
}

CLASS_INLINE void port_arrive(struct worker *worker, struct window_node *node, uint32_t port_id,
                              const struct packet *packet, uint64_t now_ps)
{
    struct window_port *port = &worker->core->ports[port_id];
    struct class_port *queues = &worker->core->class_ports[port_id];
    port_advance(worker, port_id, now_ps);
    uint32_t class = class_of(queues->profile, packet);
    queues->packet_number++;
    bool is_fitting = class_fits(node, port, queues, class, packet->size_bytes, false);
    struct class_waiting next;
    if (class_admit(worker, node, port_id, is_fitting, class, packet, 0, class, now_ps, false) && port->free_ps <= now_ps &&
        class_next(port, queues, &next, UINT32_MAX, false)) {
        class_send(worker, port_id, &next, now_ps, false, false);
    }
}

void class_port_serve(struct worker *worker, struct window_node *node, uint32_t port_id, const uint64_t *items,
                      uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint64_t now_ps = worker->start_ps + arrival_offset_ps(worker->core, items[i]);
        port_arrive(worker, node, port_id, worker->arrivals.where[arrival_at(items[i])], now_ps);
    }
    port_advance(worker, port_id, worker->end_ps - 1);
}

/* ---- the beginning ---------------------------------------------------------------------------------------- */

void class_ports_make(struct window_core *core)
{
    const struct fabric *fabric = core->fabric;
    core->class_ports = pool_alloc(&core->workers[0], fabric->port_count * sizeof *core->class_ports);
    for (uint32_t id = 0; id < fabric->port_count; id++) {
        struct class_port *queues = &core->class_ports[id];
        const struct queue_profile *profile =
            fabric->port_node[id] < fabric->host_count ? core->config.host_queues : core->config.switch_queues;
        queues->profile = profile;
        queues->rings = pool_alloc(&core->workers[0], profile->class_count * sizeof *queues->rings);
        for (uint32_t class = 0; class < profile->class_count; class++) {
            queues->credit_bytes[class] = profile->class[class].credit_bytes;
        }
    }
}

/* ---- what is asked ---------------------------------------------------------------------------------------- */

void class_waiting_visit(const struct window_core *core, uint32_t port_id,
                         void (*visit)(void *context, uint32_t in_port, bool is_kept_back), void *context)
{
    const struct class_port *queues = &core->class_ports[port_id];
    uint32_t port_first = core->fabric->port_first[core->fabric->port_node[port_id]];
    for (uint32_t class = 0; class < queues->profile->class_count; class++) {
        const struct class_ring *ring = &queues->rings[class];
        bool is_kept_back = ring->count > 0 && !class_is_open(queues, class, class_head(ring)->packet.size_bytes);
        for (uint32_t i = 0; i < ring->count; i++) {
            uint32_t in_port = ring->items[(ring->head + i) & (ring->capacity - 1)].in_port;
            visit(context, in_port == ID_NONE ? ID_NONE : port_first + in_port, is_kept_back);
        }
    }
}

uint32_t class_open_classes(const struct window_core *core, uint32_t port_id)
{
    const struct class_port *queues = &core->class_ports[port_id];
    uint32_t open = 0;
    for (uint32_t class = 0; class < queues->profile->class_count; class++) {
        open |= (uint32_t)class_is_open(queues, class, core->config.packet_bytes_max) << class;
    }
    return open;
}

void class_counters(const struct window_core *core, uint32_t port_id, struct port_counters *counters)
{
    const struct class_port *queues = &core->class_ports[port_id];
    counters->marked_packets = queues->marked_packets;
    counters->trimmed_packets = queues->trimmed_packets;
    counters->trimmed_bytes = queues->trimmed_bytes;
    counters->pauses = queues->pauses;
    counters->pause_ps = queues->pause_ps;
}
