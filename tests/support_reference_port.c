/* Output ports: classes of queues, what fits into them, what is sent next. */
#include "tests/reference_int.h"

#include "netsim/base/rng.h"

/* ---- queues of a class ------------------------------------------------------------------------------------ */

static void queue_grow(struct plain *plain, struct class_queue *queue)
{
    uint32_t capacity = queue->capacity == 0 ? 4 : queue->capacity * 2;
    struct waiting *ring = arena_array(plain->arena, capacity, struct waiting);
    for (uint32_t i = 0; i < queue->count; i++) {
        ring[i] = queue->ring[(queue->head + i) & (queue->capacity - 1)];
    }
    queue->ring = ring;
    queue->head = 0;
    queue->capacity = capacity;
}

static struct waiting *queue_head(struct class_queue *queue)
{
    return &queue->ring[queue->head];
}

static struct waiting queue_pop(struct class_queue *queue)
{
    struct waiting first = *queue_head(queue);
    queue->head = (queue->head + 1) & (queue->capacity - 1);
    queue->count--;
    return first;
}

static struct waiting queue_pop_newest(struct class_queue *queue)
{
    queue->count--;
    return queue->ring[(queue->head + queue->count) & (queue->capacity - 1)];
}

static void port_count_bytes(struct port *port, uint32_t class, uint64_t bytes)
{
    port->classes[class].bytes += bytes;
    port->queued_bytes += bytes;
    if (port->queued_bytes > port->counters.queue_max_bytes) {
        port->counters.queue_max_bytes = port->queued_bytes;
    }
}

static void port_push(struct plain *plain, struct port *port, uint32_t class, const struct waiting *waiting)
{
    struct class_queue *queue = &port->classes[class];
    if (queue->count == queue->capacity) {
        queue_grow(plain, queue);
    }
    queue->ring[(queue->head + queue->count++) & (queue->capacity - 1)] = *waiting;
    port_count_bytes(port, class, waiting->packet.size_bytes);
}

/* ---- arriving --------------------------------------------------------------------------------------------- */

/* Bytes that the class may hold now. */
static uint64_t class_limit_bytes(const struct plain *plain, uint32_t port_id, uint32_t class)
{
    const struct port *port = &plain->ports[port_id];
    uint64_t own_bytes = port->profile->class[class].capacity_bytes;
    uint64_t limit_bytes = own_bytes > 0 ? own_bytes : plain->fabric->port_queue_bytes[port_id];
    uint64_t shared_bytes = port->profile->shared_bytes;
    if (shared_bytes == 0) {
        return limit_bytes;
    }
    uint64_t used_bytes = plain->used_bytes[plain->fabric->port_node[port_id]];
    uint64_t free_bytes = used_bytes < shared_bytes ? shared_bytes - used_bytes : 0;
    int32_t shift = port->profile->alpha_log2;
    uint64_t threshold_bytes = shift >= 0 ? free_bytes << shift : free_bytes >> -shift;
    return threshold_bytes < limit_bytes ? threshold_bytes : limit_bytes;
}

static bool packet_fits(const struct plain *plain, uint32_t port_id, uint32_t class, uint64_t bytes)
{
    uint64_t held_bytes = plain->ports[port_id].classes[class].bytes, limit_bytes = class_limit_bytes(plain, port_id, class);
    return held_bytes <= limit_bytes && bytes <= limit_bytes - held_bytes;
}

static uint64_t port_draw(const struct plain *plain, uint32_t port_id, uint64_t purpose)
{
    return rng_draw(plain->config.seed, purpose ^ port_id, plain->ports[port_id].packet_number);
}

/* Never below low, always from high on, linear between. */
static bool is_to_be_marked(const struct plain *plain, uint32_t port_id, const struct queue_class *rule, uint64_t bytes)
{
    if (bytes <= rule->mark_low_bytes) {
        return false;
    }
    if (bytes >= rule->mark_high_bytes) {
        return true;
    }
    uint64_t span_bytes = rule->mark_high_bytes - rule->mark_low_bytes;
    uint64_t draw = port_draw(plain, port_id, RNG_MARK);
    return (uint64_t)((unsigned __int128)draw * span_bytes >> 64) < bytes - rule->mark_low_bytes;
}

static void mark(struct plain *plain, uint32_t port_id, struct packet *packet, enum mark_point point, uint64_t bytes)
{
    struct port *port = &plain->ports[port_id];
    const struct queue_class *rule = &port->profile->class[class_of(port->profile, packet)];
    if (rule->mark == point && packet->kind == PACKET_DATA && !packet->is_trimmed &&
        is_to_be_marked(plain, port_id, rule, bytes)) {
        port->counters.marked_packets += !packet->is_marked;
        packet->is_marked = 1;
    }
}

static void packet_drop(struct plain *plain, struct port *port, const struct waiting *waiting, uint64_t now_ps)
{
    port->counters.dropped_packets++;
    port->counters.dropped_bytes += waiting->packet.size_bytes;
    plain->in_flight--;
    if (waiting->in_port != ID_NONE) {
        input_release(plain, waiting->in_port, waiting->in_class, waiting->in_bytes, now_ps);
    }
}

/* It cannot go on: there is no route. */
static void packet_stray(struct plain *plain, const struct waiting *waiting, uint64_t now_ps)
{
    struct port_counters *counters = &plain->ports[waiting->in_port].counters;
    counters->stray_packets++;
    counters->stray_bytes += waiting->packet.size_bytes;
    plain->in_flight--;
    input_release(plain, waiting->in_port, waiting->in_class, waiting->in_bytes, now_ps);
}

void port_stray(struct plain *plain, const struct packet *packet, uint32_t in_port, uint64_t now_ps)
{
    uint32_t class = class_of(plain->ports[in_port].profile, packet);
    struct waiting waiting = {.packet = *packet, .in_port = in_port, .in_bytes = packet->size_bytes,
                              .in_class = (uint8_t)class};
    input_hold(plain, in_port, class, packet->size_bytes, now_ps);
    packet_stray(plain, &waiting, now_ps);
}

/* Cuts the packet to a header and puts that into the trim class, where it still has to fit; false where it does not. */
static bool packet_trim(struct plain *plain, uint32_t port_id, struct waiting waiting, uint32_t trim_class,
                        uint64_t now_ps)
{
    struct port *port = &plain->ports[port_id];
    uint32_t left_bytes = port->profile->trim_bytes < waiting.packet.size_bytes ? port->profile->trim_bytes
                                                                                 : (uint32_t)waiting.packet.size_bytes;
    port->counters.trimmed_packets++;
    port->counters.trimmed_bytes += waiting.packet.size_bytes - left_bytes;
    waiting.packet.size_bytes = left_bytes & PACKET_BYTES_MAX;
    waiting.packet.is_trimmed = 1;
    waiting.packet.class = trim_class & 7;
    if (!packet_fits(plain, port_id, trim_class, left_bytes)) {
        packet_drop(plain, port, &waiting, now_ps);
        return false;
    }
    port_push(plain, port, trim_class, &waiting);
    return true;
}

/* Half and half by chance, the newest waiting packet gives its place up instead of the arriving one. */
static bool newest_gives_way(const struct plain *plain, uint32_t port_id, uint32_t class)
{
    const struct port *port = &plain->ports[port_id];
    return port->profile->class[class].full == FULL_TRIM_EITHER && port->classes[class].count > 0 &&
           port_draw(plain, port_id, RNG_TRIM) >> 63 == 1;
}

/* True where anything was queued in the end. */
static bool queue_is_full(struct plain *plain, uint32_t port_id, uint32_t class, const struct waiting *waiting,
                          uint64_t now_ps)
{
    struct port *port = &plain->ports[port_id];
    const struct queue_class *rule = &port->profile->class[class];
    if (rule->full == FULL_DROP || waiting->packet.kind != PACKET_DATA) {
        packet_drop(plain, port, waiting, now_ps);
        return false;
    }
    if (!newest_gives_way(plain, port_id, class)) {
        return packet_trim(plain, port_id, *waiting, rule->trim_class, now_ps);
    }
    struct waiting newest = queue_pop_newest(&port->classes[class]);
    port->classes[class].bytes -= newest.packet.size_bytes;
    port->queued_bytes -= newest.packet.size_bytes;
    port_push(plain, port, class, waiting);
    packet_trim(plain, port_id, newest, rule->trim_class, now_ps);
    return true;
}

/* Ports that hand their packets back when a window closes look at what waits then. */
static void reroute_expect(struct plain *plain, uint32_t port_id, uint32_t class, uint64_t now_ps)
{
    struct port *port = &plain->ports[port_id];
    const struct route_epochs *epochs = plain->config.epochs;
    if (port->gating == NULL || !port->gating->is_rerouting || epochs == NULL || !(epochs->class_mask >> class & 1) ||
        port->reroute_ps != TIME_NEVER_PS) {
        return;
    }
    port->reroute_ps = gating_close_ps(port->gating, now_ps);
    if (port->reroute_ps != TIME_NEVER_PS) {
        struct event event = {.time_ps = port->reroute_ps, .kind = EVENT_REROUTE,
                              .node = plain->fabric->port_node[port_id], .port = port_id};
        event_heap_push(&plain->heap, &event);
    }
}

/* Queues a packet that the node holds, or does what is to be done where it does not fit. */
static void port_admit(struct plain *plain, uint32_t port_id, struct waiting *waiting, uint64_t now_ps)
{
    struct port *port = &plain->ports[port_id];
    uint32_t class = class_of(port->profile, &waiting->packet);
    port->packet_number++;
    bool is_fitting = packet_fits(plain, port_id, class, waiting->packet.size_bytes);
    if (waiting->is_new) {
        waiting->is_new = false;
        input_hold(plain, waiting->in_port, waiting->in_class, waiting->in_bytes, now_ps);
    }
    bool is_queued = is_fitting || queue_is_full(plain, port_id, class, waiting, now_ps);
    if (is_fitting) {
        mark(plain, port_id, &waiting->packet, MARK_ENQUEUE, port->classes[class].bytes);
        port_push(plain, port, class, waiting);
    }
    if (is_queued) { /* else a sleeping host port would be woken without a kick */
        reroute_expect(plain, port_id, class, now_ps);
        port_start(plain, port_id, now_ps);
    }
}

void port_arrive(struct plain *plain, uint32_t port_id, const struct packet *packet, uint32_t in_port, uint32_t in_class,
                 uint64_t now_ps)
{
    struct waiting waiting = {.packet = *packet, .since_ps = now_ps, .in_port = in_port,
                              .in_bytes = packet->size_bytes, .in_class = (uint8_t)in_class, .is_new = true};
    port_admit(plain, port_id, &waiting, now_ps);
}

void port_make(struct plain *plain, uint32_t port_id, const struct packet *packet, uint32_t in_port, uint64_t now_ps)
{
    struct port *port = &plain->ports[port_id];
    uint32_t class = class_of(port->profile, packet);
    struct waiting waiting = {.packet = *packet, .since_ps = now_ps, .in_port = in_port,
                              .in_bytes = packet->size_bytes, .in_class = (uint8_t)class, .is_new = in_port != ID_NONE};
    plain->in_flight++;
    port->counters.group_out_packets++;
    port->counters.group_out_bytes += packet->size_bytes;
    port_admit(plain, port_id, &waiting, now_ps);
}

/* ---- sending ---------------------------------------------------------------------------------------------- */

bool port_class_is_open(const struct plain *plain, const struct port *port, uint32_t class, uint64_t bytes)
{
    (void)plain;
    if (port->paused >> class & 1) {
        return false;
    }
    return port->profile->class[class].credit_bytes == 0 || port->credit_bytes[class] >= bytes;
}

/* When a packet of that size may start as far as gate and link are concerned. */
static uint64_t gate_start_ps(const struct port *port, uint64_t bytes, uint64_t now_ps)
{
    return port->gating == NULL ? now_ps
                                : gating_send_ps(port->gating, now_ps, bytes, port->rate_bps);
}

static bool has_cells(const struct port *port)
{
    return port->gating != NULL && port->gating->cells.bytes > 0;
}

static struct sending port_sending(const struct port *port, uint64_t bytes, uint64_t start_ps)
{
    uint64_t service_ps = serialisation_ps(bytes, port->rate_bps);
    return port->gating == NULL ? (struct sending){service_ps, service_ps, false}
                                : gating_sending(port->gating, start_ps, bytes, port->rate_bps);
}

static bool class_may_send(const struct plain *plain, struct port *port, uint32_t class, uint64_t now_ps)
{
    struct class_queue *queue = &port->classes[class];
    return queue->count > 0 && port_class_is_open(plain, port, class, queue_head(queue)->packet.size_bytes) &&
           gate_start_ps(port, queue_head(queue)->packet.size_bytes, now_ps) == now_ps;
}

/* Classes of the best priority that have a packet which may leave, as bits. */
static uint32_t classes_best(const struct plain *plain, struct port *port, uint64_t now_ps)
{
    uint32_t best = 0, priority = UINT32_MAX;
    for (uint32_t class = 0; class < port->profile->class_count; class++) {
        uint32_t own = port->profile->class[class].priority;
        if (own > priority || !class_may_send(plain, port, class, now_ps)) {
            continue;
        }
        best = own < priority ? 0 : best;
        priority = own;
        best |= 1u << class;
    }
    return best;
}

/* Deficit round robin among several classes: a class sends while its deficit lasts; each time the turn comes to it, the deficit grows
 * by its quantum. */
static uint32_t class_by_turn(struct port *port, uint32_t classes)
{
    for (;;) {
        uint32_t class = port->turn;
        struct class_queue *queue = &port->classes[class];
        if (classes >> class & 1 && queue->deficit_bytes >= queue_head(queue)->packet.size_bytes) {
            queue->deficit_bytes -= queue_head(queue)->packet.size_bytes;
            return class;
        }
        queue->deficit_bytes = classes >> class & 1 ? queue->deficit_bytes : 0;
        port->turn = (class + 1) % port->profile->class_count;
        if (classes >> port->turn & 1) {
            port->classes[port->turn].deficit_bytes += port->profile->class[port->turn].quantum_bytes;
        }
    }
}

static bool transit_next(struct plain *plain, struct port *port, uint64_t now_ps, struct waiting *next)
{
    uint32_t classes = classes_best(plain, port, now_ps);
    if (classes == 0) {
        return false;
    }
    bool is_one = (classes & (classes - 1)) == 0;
    uint32_t class = is_one ? (uint32_t)__builtin_ctz(classes) : class_by_turn(port, classes);
    *next = queue_pop(&port->classes[class]);
    return true;
}

/* A packet pulled from the host never waited. */
static bool pull_next(struct plain *plain, uint32_t port_id, uint64_t now_ps, struct waiting *next)
{
    uint32_t node = plain->fabric->port_node[port_id];
    if (node >= plain->fabric->host_count) {
        return false;
    }
    struct port *port = &plain->ports[port_id];
    *next = (struct waiting){.since_ps = now_ps, .in_port = ID_NONE};
    port->is_pull_wanted = gate_start_ps(port, plain->pull_bytes_max, now_ps) != now_ps;
    if (port->is_pull_wanted || !plain->config.ops->pull(plain->config.context, node, port_id - plain->fabric->port_first[node], now_ps,
                                 &next->packet)) {
        return false;
    }
    uint32_t class = class_of(port->profile, &next->packet);
    assert(port->gating == NULL || next->packet.size_bytes <= plain->pull_bytes_max);
    assert(port_class_is_open(plain, port, class, next->packet.size_bytes));
    port_count_bytes(port, class, next->packet.size_bytes);
    plain->in_flight++;
    return true;
}

/* The next packet to send: transit and own packets of a host take turns. */
static bool port_next(struct plain *plain, uint32_t port_id, uint64_t now_ps, struct waiting *next)
{
    struct port *port = &plain->ports[port_id];
    if (port->is_transit_next && transit_next(plain, port, now_ps, next)) {
        port->is_transit_next = false;
        return true;
    }
    if (pull_next(plain, port_id, now_ps, next)) {
        port->is_transit_next = true;
        return true;
    }
    return transit_next(plain, port, now_ps, next);
}

/* What becomes of a packet on the link. */
struct passage {
    uint64_t service_ps, between_ps; /* the latter of it: between two cells */
    uint32_t repeats;
    bool is_lost;
};

/* When the packet reaches the node behind the link, as that node sees it. */
static uint64_t arrival_ps(const struct plain *plain, uint32_t port_id, const struct packet *packet,
                           uint64_t start_ps, const struct passage *passage, bool *is_whole)
{
    const struct fabric *fabric = plain->fabric;
    uint32_t peer = fabric->port_node[fabric->port_peer[port_id]];
    uint64_t seen_ps = start_ps + passage->service_ps;
    *is_whole = true;
    const struct gating *gating = plain->ports[port_id].gating;
    bool is_degraded = gating != NULL && gating_is_degraded(gating, start_ps);
    if (fabric->node_cut_through[peer] && packet->size_bytes > plain->config.cut_through_bytes && !is_degraded &&
        passage->repeats == 0 && !has_cells(&plain->ports[port_id])) {
        seen_ps = start_ps + serialisation_ps(plain->config.cut_through_bytes, fabric->rate_bps[port_id]);
        *is_whole = false;
    }
    bool is_destination = peer < fabric->host_count && (peer == packet->dst || is_for_group(plain, packet));
    return seen_ps + link_delay_ps(fabric, port_id) + (is_destination ? 0 : fabric->node_latency_ps[peer]);
}

static void wait_count(struct port *port, uint64_t since_ps, uint64_t up_ps, uint64_t now_ps)
{
    struct port_counters *counters = &port->counters;
    uint64_t dark_ps = since_ps < up_ps ? up_ps - since_ps : 0;
    dark_ps = port->gating != NULL ? gating_dark_ps(port->gating, since_ps, now_ps) : dark_ps;
    counters->dark_wait_ps += dark_ps;
    counters->queue_wait_ps += now_ps - since_ps - dark_ps;
}

static void loss_count(struct plain *plain, uint64_t *packets, uint64_t *bytes, const struct packet *packet)
{
    ++*packets;
    *bytes += packet->size_bytes;
    plain->in_flight--;
}

/* Tries until one gets through, one after the other; a link whose gate opens and closes tries once. */
static bool link_tries(const struct plain *plain, uint32_t port_id, uint64_t wire_bytes, struct passage *passage)
{
    const struct port *port = &plain->ports[port_id];
    const struct frame_loss *losses = plain->fabric->port_frame_loss;
    if (losses == NULL || losses[port_id].chance == 0) {
        return true;
    }
    bool may_repeat = plain->config.links_repeat && (port->gating == NULL || port->gating->rule_count == 0);
    uint64_t chance = frame_loss_chance(&losses[port_id], wire_bytes), once_ps = passage->service_ps;
    for (;;) {
        uint64_t ordinal = port->counters.tx_packets << 7 | passage->repeats;
        if (rng_draw(plain->config.seed, RNG_ERROR ^ port_id, ordinal) >= chance) {
            return true;
        }
        if (!may_repeat || passage->repeats == LINK_REPEATS_MAX) {
            return false;
        }
        passage->repeats++;
        passage->service_ps += once_ps + link_round_ps(plain->fabric, port_id);
    }
}

/* Lost by bit errors, or where the link goes down before the last bit has left it; its buffer behind the link is never
 * taken then. */
static struct passage link_passage(struct plain *plain, uint32_t port_id, const struct packet *packet, uint64_t now_ps)
{
    struct port *port = &plain->ports[port_id];
    struct port_counters *counters = &port->counters;
    struct sending sending = port_sending(port, packet->size_bytes, now_ps);
    struct passage passage = {sending.service_ps, sending.service_ps - sending.busy_ps, 0, false};
    uint64_t wire_bytes = packet->size_bytes;
    if (has_cells(port)) {
        wire_bytes = gating_wire_bytes(port->gating, packet->size_bytes);
        counters->cells += wire_bytes / port->gating->cells.bytes;
        counters->padding_bytes += wire_bytes - packet->size_bytes;
        counters->dark_wait_ps += passage.between_ps;
    }
    bool is_error = !sending.is_cut && !link_tries(plain, port_id, wire_bytes, &passage);
    uint64_t end_ps = now_ps + passage.service_ps + link_delay_ps(plain->fabric, port_id);
    counters->repeats += passage.repeats;
    counters->repeat_bytes += passage.repeats * wire_bytes;
    if (sending.is_cut || (port->gating != NULL && gating_is_lost(port->gating, now_ps, end_ps))) {
        loss_count(plain, &counters->lost_packets, &counters->lost_bytes, packet);
        passage.is_lost = true;
    } else if (is_error) {
        loss_count(plain, &counters->error_packets, &counters->error_bytes, packet);
        passage.is_lost = true;
    }
    return passage;
}

static void link_send(struct plain *plain, uint32_t port_id, const struct packet *packet, uint64_t now_ps,
                      const struct passage *passage)
{
    const struct fabric *fabric = plain->fabric;
    uint32_t peer_port = fabric->port_peer[port_id];
    uint64_t service_ps = passage->service_ps;
    plain->ports[port_id].counters.busy_ps += service_ps - passage->between_ps;
    plain->hop_count++;
    struct event departed = {
        .time_ps = now_ps + service_ps, .kind = EVENT_DEPARTED, .node = fabric->port_node[port_id], .port = port_id};
    event_heap_push(&plain->heap, &departed);
    if (passage->is_lost) {
        return;
    }
    struct event arrived = {
        .kind = EVENT_ARRIVED, .node = fabric->port_node[peer_port], .port = peer_port, .packet = *packet,
        .argument = plain->ports[port_id].counters.tx_packets}; /* a host's latency can make two arrivals coincide */
    arrived.time_ps = arrival_ps(plain, port_id, packet, now_ps, passage, &arrived.is_whole);
    event_heap_push(&plain->heap, &arrived);
}

/* In-band telemetry: the port's own load, and the largest of its way into a data packet. */
static void load_tell(struct plain *plain, uint32_t port_id, struct packet *packet, uint64_t now_ps)
{
    struct port *port = &plain->ports[port_id];
    uint64_t period_ps = port->profile->load_period_ps, rate_bps = plain->fabric->rate_bps[port_id];
    if (period_ps == 0 || plain->fabric->port_node[port_id] < plain->fabric->host_count) {
        return;
    }
    load_depart(&port->load, period_ps, serialisation_ps(port->queued_bytes - packet->size_bytes, rate_bps),
                serialisation_ps(packet->size_bytes, rate_bps), now_ps);
    if (packet->kind == PACKET_DATA) {
        uint64_t draw = rng_draw(plain->config.seed, RNG_LOAD ^ port_id, port->counters.tx_packets);
        uint32_t code = load_code(&port->load, period_ps, draw);
        packet->load = (code > packet->load ? code : packet->load) & LOAD_CODE_MAX;
    }
}

void port_start(struct plain *plain, uint32_t port_id, uint64_t now_ps)
{
    struct port *port = &plain->ports[port_id];
    struct waiting next;
    if (port->is_busy || port->is_dark) {
        return;
    }
    if (!port_next(plain, port_id, now_ps, &next)) {
        port_wake(plain, port_id, now_ps);
        return;
    }
    port->wake_ps = TIME_NEVER_PS;
    uint32_t class = class_of(port->profile, &next.packet);
    uint64_t bytes = next.packet.size_bytes;
    if (next.in_port != ID_NONE) {
        mark(plain, port_id, &next.packet, MARK_DEQUEUE, port->classes[class].bytes - bytes);
    }
    load_tell(plain, port_id, &next.packet, now_ps);
    port->is_busy = true;
    port->service = next;
    port->service_class = (uint8_t)class;
    struct passage passage = link_passage(plain, port_id, &next.packet, now_ps);
    port->credit_bytes[class] -= !passage.is_lost && port->profile->class[class].credit_bytes > 0 ? bytes : 0;
    port->counters.tx_packets++;
    port->counters.tx_bytes += bytes;
    wait_count(port, next.since_ps, plain->fabric->port_up_ps[port_id], now_ps);
    link_send(plain, port_id, &next.packet, now_ps, &passage);
}

void port_wake(struct plain *plain, uint32_t port_id, uint64_t now_ps)
{
    struct port *port = &plain->ports[port_id];
    if (port->gating == NULL || port->is_busy || port->is_dark) {
        return;
    }
    uint64_t wake_ps = TIME_NEVER_PS;
    for (uint32_t class = 0; class < port->profile->class_count; class++) {
        struct class_queue *queue = &port->classes[class];
        if (queue->count > 0 && port_class_is_open(plain, port, class, queue_head(queue)->packet.size_bytes)) {
            uint64_t start_ps = gate_start_ps(port, queue_head(queue)->packet.size_bytes, now_ps);
            wake_ps = start_ps < wake_ps ? start_ps : wake_ps;
        }
    }
    if (port->is_pull_wanted) {
        uint64_t start_ps = gate_start_ps(port, plain->pull_bytes_max, now_ps);
        wake_ps = start_ps < wake_ps ? start_ps : wake_ps;
    }
    if (wake_ps != port->wake_ps && wake_ps != TIME_NEVER_PS) {
        struct event up = {.time_ps = wake_ps, .kind = EVENT_LINK_UP, .node = plain->fabric->port_node[port_id],
                           .port = port_id};
        event_heap_push(&plain->heap, &up);
    }
    port->wake_ps = wake_ps;
}

void port_flush(struct plain *plain, uint32_t port_id, uint64_t now_ps)
{
    struct port *port = &plain->ports[port_id];
    if (!gating_is_down(port->gating, now_ps)) {
        return;
    }
    for (uint32_t class = 0; class < port->profile->class_count; class++) {
        struct class_queue *queue = &port->classes[class];
        while (queue->count > 0) {
            struct waiting first = queue_pop(queue);
            queue->bytes -= first.packet.size_bytes;
            port->queued_bytes -= first.packet.size_bytes;
            packet_drop(plain, port, &first, now_ps);
        }
    }
    port_wake(plain, port_id, now_ps);
}

void port_reroute(struct plain *plain, uint32_t port_id, uint64_t now_ps)
{
    struct port *port = &plain->ports[port_id];
    struct class_queue again = {0};
    port->reroute_ps = TIME_NEVER_PS;
    for (uint32_t class = 0; class < port->profile->class_count; class++) {
        struct class_queue *queue = &port->classes[class];
        for (; (plain->config.epochs->class_mask >> class & 1) && queue->count > 0;) {
            struct waiting first = queue_pop(queue);
            queue->bytes -= first.packet.size_bytes;
            port->queued_bytes -= first.packet.size_bytes;
            wait_count(port, first.since_ps, plain->fabric->port_up_ps[port_id], now_ps);
            first.since_ps = now_ps;
            if (again.count == again.capacity) {
                queue_grow(plain, &again);
            }
            again.ring[again.head + again.count++] = first;
        }
    }
    for (uint32_t i = 0; i < again.count; i++) {
        struct waiting *waiting = &again.ring[i];
        uint32_t out = is_for_group(plain, &waiting->packet)
                           ? port_id
                           : route_port(plain, plain->fabric->port_node[port_id], &waiting->packet, waiting->packet.dst,
                                         now_ps);
        if (out == ID_NONE) {
            packet_stray(plain, waiting, now_ps);
        } else {
            port_admit(plain, out, waiting, now_ps);
        }
    }
    port_wake(plain, port_id, now_ps);
}

void port_departed(struct plain *plain, uint32_t port_id, uint64_t now_ps)
{
    struct port *port = &plain->ports[port_id];
    struct waiting done = port->service;
    port->is_busy = false;
    port->classes[port->service_class].bytes -= done.packet.size_bytes;
    port->queued_bytes -= done.packet.size_bytes;
    if (done.in_port != ID_NONE) {
        input_release(plain, done.in_port, done.in_class, done.in_bytes, now_ps);
    }
    port_start(plain, port_id, now_ps);
}

void port_init(struct plain *plain, uint32_t port_id)
{
    struct port *port = &plain->ports[port_id];
    port->profile = profile_of(plain, plain->fabric->port_node[port_id]);
    port->gating = plain->gatings != NULL ? plain->gatings[port_id] : NULL;
    port->rate_bps = plain->fabric->rate_bps[port_id];
    port->wake_ps = port->reroute_ps = TIME_NEVER_PS;
    port->classes = arena_array(plain->arena, port->profile->class_count, struct class_queue);
    for (uint32_t class = 0; class < port->profile->class_count; class++) {
        port->credit_bytes[class] = port->profile->class[class].credit_bytes;
    }
    port->headroom_bytes = queue_headroom_bytes(plain->fabric, port_id, plain->config.packet_bytes_max);
    if (plain->fabric->port_up_ps[port_id] > 0) {
        port->is_dark = true;
        struct event up = {.time_ps = plain->fabric->port_up_ps[port_id], .kind = EVENT_LINK_UP,
                           .node = plain->fabric->port_node[port_id], .port = port_id};
        event_heap_push(&plain->heap, &up);
    }
}
