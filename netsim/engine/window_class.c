/* Ports with classes: what is rare in them, and ports that are served on their own. */
#include "netsim/engine/window_class.h"

#include <string.h>

/* Of 2^k entries. One that another ring has outgrown, where there is one: a third of all would lie idle. */
static struct class_waiting *items_take(struct worker *worker, uint32_t capacity)
{
    struct class_waiting **list = &worker->rings_free[__builtin_ctz(capacity)], *items = *list;
    if (items == NULL) {
        return packets_alloc(worker, capacity * sizeof *items);
    }
    memcpy(list, items, sizeof(void *));
    return items;
}

static void items_put(struct worker *worker, struct class_waiting *items, uint32_t capacity)
{
    struct class_waiting **list = &worker->rings_free[__builtin_ctz(capacity)];
    memcpy(items, list, sizeof(void *));
    *list = items;
}

void class_ring_grow(struct worker *worker, struct class_ring *ring)
{
    uint32_t capacity = ring->capacity == 0 ? CLASS_RING_MIN : ring->capacity * 2;
    struct class_waiting *items = items_take(worker, capacity);
    for (uint32_t i = 0; i < ring->count; i++) {
        items[i] = ring->items[(ring->head + i) & (ring->capacity - 1)];
    }
    if (ring->capacity > 0) {
        items_put(worker, ring->items, ring->capacity);
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

void class_drop(struct worker *worker, struct window_node *node, struct window_port *port,
                const struct class_waiting *waiting, uint64_t now_ps, bool is_coupled)
{
    port->dropped_packets++;
    port->dropped_bytes += waiting->packet.size_bytes;
    worker->in_flight--;
    if (is_coupled && waiting->in_port != ID_NONE) {
        input_left(worker, node, waiting->in_port, waiting->in_class, waiting->in_bytes, now_ps);
    }
}

/* Cuts the packet to a header and puts that into the trim class, where it still has to fit; false where it does not. */
static bool packet_trim(struct worker *worker, struct window_node *node, uint32_t port_id,
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
    class_push(worker, port, queues, class, &waiting);
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
    queues->ready ^= (uint8_t)((ring->count == 0) << class);
    class_push(worker, port, queues, class, waiting);
    packet_trim(worker, node, port_id, newest, rule->trim_class, now_ps, is_coupled);
    return true;
}

/* ---- what is next ----------------------------------------------------------------------------------------- */

/* A class sends while its deficit lasts; each time the turn comes to it, the deficit grows by its quantum. */
uint32_t class_by_turn(struct class_port *queues, uint32_t classes)
{
    for (;;) {
        uint32_t class = queues->turn;
        uint64_t *deficit_bytes = queues->deficit_bytes;
        bool is_ready = classes >> class & 1;
        uint64_t size_bytes = is_ready ? class_head(&queues->rings[class])->packet.size_bytes : 0;
        if (is_ready && deficit_bytes[class] >= size_bytes) {
            deficit_bytes[class] -= size_bytes;
            return class;
        }
        deficit_bytes[class] = is_ready ? deficit_bytes[class] : 0;
        queues->turn = (uint8_t)((class + 1) % queues->profile->class_count);
        if (classes >> queues->turn & 1) {
            deficit_bytes[queues->turn] += queues->profile->class[queues->turn].quantum_bytes;
        }
    }
}

/* ---- telemetry -------------------------------------------------------------------------------------------- */

void class_load_tell(struct worker *worker, uint32_t port_id, struct packet *packet, uint64_t queue_bytes, uint64_t number,
                     uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    const struct window_port *port = &core->ports[port_id];
    struct class_port *queues = &core->class_ports[port_id];
    uint64_t period_ps = queues->profile->load_period_ps;
    if (core->fabric->port_node[port_id] < core->fabric->host_count) {
        return;
    }
    load_depart(&queues->load, period_ps, serialisation_ps(queue_bytes, port->rate_bps),
                port_service_ps(port, packet->size_bytes), now_ps);
    if (packet->kind == PACKET_DATA) {
        uint64_t draw = rng_draw(core->config.seed, RNG_LOAD ^ port_id, number);
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
    while (port->free_ps <= now_ps) {
        class_leave(port, queues);
        uint32_t class;
        struct class_waiting *next = class_next(port, queues, UINT32_MAX, &class, false);
        if (next == NULL) {
            break;
        }
        class_send(worker, port_id, class, next, port->free_ps, link_use_usual(worker, port, &next->packet), false);
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
    if (class_admit(worker, node, port_id, is_fitting, class, packet, 0, class, now_ps, false) && port->free_ps <= now_ps) {
        struct class_waiting *next = class_next(port, queues, UINT32_MAX, &class, false);
        class_send(worker, port_id, class, next, now_ps, link_use_usual(worker, port, &next->packet), false);
    }
}

/* ---- the same where nothing is far or dark ---------------------------------------------------------------- */

/* A packet that may be queued. False where it does not fit. */
CLASS_INLINE bool near_admit(const struct window_core *core, uint32_t port_id, const struct window_port *port,
                             struct class_port *queues, uint32_t class, struct packet *packet)
{
    const struct queue_class *rule = &queues->profile->class[class];
    uint64_t limit_bytes = rule->capacity_bytes > 0 ? rule->capacity_bytes : port->capacity_bytes;
    struct class_ring *ring = &queues->rings[class];
    uint64_t size_bytes = packet->size_bytes;
    queues->packet_number++;
    if (__builtin_expect(ring->bytes + size_bytes > limit_bytes, 0)) {
        return false;
    }
    if (rule->mark == MARK_ENQUEUE) {
        class_mark(core, port_id, queues, rule, packet, ring->bytes);
    }
    ring->bytes += size_bytes;
    return true;
}

/* What a packet is told as it leaves `queue_bytes` behind: the number-th one of the port. */
CLASS_INLINE void near_stamp(struct worker *worker, uint32_t port_id, uint32_t class, struct packet *packet,
                             uint64_t queue_bytes, uint64_t number, uint64_t now_ps)
{
    struct class_port *queues = &worker->core->class_ports[port_id];
    const struct queue_class *rule = &queues->profile->class[class];
    if (rule->mark == MARK_DEQUEUE) {
        class_mark(worker->core, port_id, queues, rule, packet, queues->rings[class].bytes - packet->size_bytes);
    }
    if (__builtin_expect(queues->profile->load_period_ps > 0, 0)) {
        class_load_tell(worker, port_id, packet, queue_bytes, number, now_ps);
    }
}

CLASS_INLINE void near_port_close(struct worker *worker, struct window_port *port, const struct port_sent *sent, uint64_t free_ps,
                                  uint64_t queued_bytes, uint64_t queue_max_bytes)
{
    if (sent->packets > 0) {
        sent_count(worker, port, sent);
    }
    port->free_ps = free_ps > port->free_ps ? free_ps : port->free_ps;
    port->queued_bytes = queued_bytes;
    port_record(port, queue_max_bytes);
}

/* The hot loop: arrivals in order, and between them what leaves. Times count from the start of the window. Packets are
 * changed where they are: copied into a variable, their bits would be taken apart and put together again. */
static void near_port_serve(struct worker *worker, struct window_node *node, uint32_t port_id, const uint64_t *items,
                            uint32_t count)
{
    const struct window_core *core = worker->core;
    struct window_port *port = &core->ports[port_id];
    struct class_port *queues = &core->class_ports[port_id];
    struct class_ring *rings = queues->rings, *service = &rings[queues->service_class];
    struct packet **where = worker->arrivals.where;
    uint64_t last_ps = worker->end_ps - worker->start_ps - 1;
    uint64_t start_ps = worker->start_ps, free_ps = port->free_ps > start_ps ? port->free_ps - start_ps : 0;
    uint64_t queued_bytes = port->queued_bytes, queue_max_bytes = port->queue_max_bytes, service_bytes = port->in_service_bytes;
    struct port_sent sent = {0};
    peer_prefetch(worker, port);
    for (uint32_t i = 0;;) {
        uint64_t now_ps = i < count ? arrival_offset_ps(core, items[i]) : last_ps, since_ps;
        bool is_free = free_ps <= now_ps;
        uint32_t classes = queues->best[queues->ready], class;
        struct packet *packet;
        if (is_free) {
            service->bytes -= service_bytes;
            queued_bytes -= service_bytes;
            service_bytes = 0;
        }
        if (is_free && classes != 0) {
            class = (classes & (classes - 1)) == 0 ? (uint32_t)__builtin_ctz(classes) : class_by_turn(queues, classes);
            struct class_waiting *next = class_pop(port, queues, class);
            packet = &next->packet;
            since_ps = next->since_ps;
        } else if (i == count) {
            break;
        } else {
            packet = where[arrival_at(items[i++])];
            class = class_of(queues->profile, packet);
            since_ps = start_ps + now_ps;
            if (__builtin_expect(!near_admit(core, port_id, port, queues, class, packet), 0)) {
                port->queued_bytes = queued_bytes;
                port_record(port, queue_max_bytes);
                class_overflow(worker, node, port_id, class, &(struct class_waiting){.packet = *packet, .since_ps = since_ps},
                               since_ps, false);
                queued_bytes = port->queued_bytes;
                queue_max_bytes = port->queue_max_bytes;
                free_ps = is_free ? now_ps : free_ps; /* what was cut down may go at once */
                continue;
            }
            queued_bytes += packet->size_bytes;
            queue_max_bytes = queued_bytes > queue_max_bytes ? queued_bytes : queue_max_bytes;
            if (!is_free) {
                struct class_waiting *place = class_place(worker, port, queues, class);
                place->packet = *packet;
                place->since_ps = since_ps;
                continue;
            }
            free_ps = now_ps;
        }
        service = &rings[class];
        service_bytes = packet->size_bytes;
        near_stamp(worker, port_id, class, packet, queued_bytes - service_bytes, port->tx_packets + sent.packets,
                   start_ps + free_ps);
        uint64_t service_ps = packet_send(worker, port, packet, free_ps);
        sent.packets++;
        sent.bytes += service_bytes;
        sent.busy_ps += service_ps;
        sent.wait_ps += start_ps + free_ps - since_ps;
        free_ps += service_ps;
    }
    near_port_close(worker, port, &sent, start_ps + free_ps, queued_bytes, queue_max_bytes);
    port->in_service_bytes = (uint32_t)service_bytes;
    queues->service_class = (uint8_t)(service - rings);
}

void class_port_serve(struct worker *worker, struct window_node *node, uint32_t port_id, const uint64_t *items,
                      uint32_t count)
{
    struct window_port *port = &worker->core->ports[port_id];
    if (__builtin_expect(port->is_dark, 0)) {
        port->is_dark = port->up_ps > worker->start_ps || port->count > 0;
    }
    if (port_is_near(worker, port)) {
        near_port_serve(worker, node, port_id, items, count);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t now_ps = worker->start_ps + arrival_offset_ps(worker->core, items[i]);
        port_arrive(worker, node, port_id, worker->arrivals.where[arrival_at(items[i])], now_ps);
    }
    port_advance(worker, port_id, worker->end_ps - 1);
}

/* ---- the beginning ---------------------------------------------------------------------------------------- */

/* By every set of classes, those of the best priority in it. */
static const uint8_t *best_make(struct arena *arena, const struct queue_profile *profile)
{
    uint8_t *best = arena_array(arena, 1u << CLASSES_MAX, uint8_t);
    for (uint32_t set = 1; set < 1u << profile->class_count; set++) {
        uint32_t priority = UINT32_MAX;
        for (uint32_t class = 0; class < profile->class_count; class++) {
            uint32_t own = profile->class[class].priority;
            if (!(set >> class & 1) || own > priority) {
                continue;
            }
            best[set] = (uint8_t)((own < priority ? 0 : best[set]) | 1u << class);
            priority = own;
        }
    }
    return best;
}

void class_ports_make(struct window_core *core)
{
    const struct fabric *fabric = core->fabric;
    const struct engine_config *config = &core->config;
    const uint8_t *host_best = best_make(core->arena, config->host_queues);
    const uint8_t *switch_best = best_make(core->arena, config->switch_queues);
    core->class_ports = pool_alloc(&core->workers[0], fabric->port_count * sizeof *core->class_ports);
    for (uint32_t id = 0; id < fabric->port_count; id++) {
        struct class_port *queues = &core->class_ports[id];
        bool is_host = fabric->port_node[id] < fabric->host_count;
        queues->profile = is_host ? config->host_queues : config->switch_queues;
        queues->best = is_host ? host_best : switch_best;
        queues->rings = pool_alloc(&core->workers[0], queues->profile->class_count * sizeof *queues->rings);
        for (uint32_t class = 0; class < queues->profile->class_count; class++) {
            queues->credit_bytes[class] = queues->profile->class[class].credit_bytes;
        }
        queues->headroom_bytes = queue_headroom_bytes(fabric, id, config->packet_bytes_max);
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
    if (core->are_hosts_usual) { /* only hosts are asked for */
        return ~(uint32_t)queues->paused & 1;
    }
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
