/* The sender's half: which packet leaves next, and what the receiver's answers change. */
#include "netsim/base/rng.h"
#include "netsim/transport/endpoint_int.h"

#include <string.h>

/* ---- what may leave --------------------------------------------------------------------------------------- */

/* Of packets to be sent again the lowest. */
static uint32_t lost_lowest(struct flow *flow)
{
    flow->lost_seq = flow->lost_seq < flow->base_seq ? flow->base_seq : flow->lost_seq;
    while (!set_has(flow, SET_LOST, flow->lost_seq)) {
        flow->lost_seq++;
    }
    return flow->lost_seq;
}

/* The packet that the flow would send next: lost ones first, lowest first. */
static inline bool flow_next(struct flow *flow, uint32_t *seq)
{
    if (__builtin_expect(flow->lost_count > 0, 0)) {
        *seq = lost_lowest(flow);
        return true;
    }
    *seq = flow->next_seq;
    return flow->next_seq < flow->packet_count && flow->next_seq - flow->base_seq <= flow->ring_mask; /* I1 */
}

static inline bool window_is_open(const struct endpoint *endpoint, struct flow *flow, const struct steer *steer,
                                  uint64_t packet_bytes)
{
    if (__builtin_expect(endpoint->transport->pull != NULL, 0)) {
        return pull_may_send(endpoint, flow);
    }
    return flow_is_free(endpoint, flow) ||
           transport_may_send(endpoint->transport, endpoint->shared, steer->state, steer->flight_bytes, packet_bytes);
}

static inline bool flow_may_send(const struct endpoint *endpoint, struct flow *flow, const struct steer *steer)
{
    uint32_t seq;
    return flow_next(flow, &seq) && window_is_open(endpoint, flow, steer, flow_packet_bytes(endpoint, flow, seq));
}

/* ---- rings ------------------------------------------------------------------------------------------------ */

static void ready_push(struct endpoint *endpoint, struct slot_ring *ring, uint32_t slot)
{
    if (ring->count == ring->capacity) {
        uint32_t capacity = ring->capacity == 0 ? 8 : ring->capacity * 2;
        uint32_t *slots = arena_array(endpoint->arena, capacity, uint32_t);
        for (uint32_t i = 0; i < ring->count; i++) {
            slots[i] = ring->slots[(ring->head + i) & (ring->capacity - 1)];
        }
        *ring = (struct slot_ring){slots, 0, ring->count, capacity};
    }
    ring->slots[(ring->head + ring->count++) & (ring->capacity - 1)] = slot;
}

static inline void ready_pop(struct slot_ring *ring)
{
    ring->head = (ring->head + 1) & (ring->capacity - 1);
    ring->count--;
}

/* The first one becomes the last one. */
static inline void ready_rotate(struct slot_ring *ring)
{
    uint32_t mask = ring->capacity - 1, slot = ring->slots[ring->head];
    ring->slots[(ring->head + ring->count) & mask] = slot;
    ring->head = (ring->head + 1) & mask;
}

static void control_push(struct endpoint *endpoint, struct control_ring *ring, const struct packet *packet)
{
    if (ring->count == ring->capacity) {
        uint32_t capacity = ring->capacity == 0 ? 8 : ring->capacity * 2;
        struct packet *packets = arena_array(endpoint->arena, capacity, struct packet);
        for (uint32_t i = 0; i < ring->count; i++) {
            packets[i] = ring->packets[(ring->head + i) & (ring->capacity - 1)];
        }
        *ring = (struct control_ring){packets, 0, ring->count, capacity};
    }
    packet_copy(&ring->packets[(ring->head + ring->count++) & (ring->capacity - 1)], packet);
}

/* A port that has got a packet is asked again when that has left, so only one that found nothing is to be kicked: most
 * kicks would find it busy. */
static inline void port_wake(const struct endpoint *endpoint, uint32_t host_id, uint32_t port, uint64_t now_ps)
{
    const struct host *host = &endpoint->hosts[host_id];
    if (!host->ports[port].is_served && !(host->pulled_ports >> port & 1)) {
        engine_kick(endpoint->engine, host_id, port, now_ps);
    }
}

void control_send(struct endpoint *endpoint, const struct packet *packet, uint64_t now_ps)
{
    uint32_t host = packet->src, port = 0;
    if (endpoint->hosts[host].port_count > 1) {
        struct port_set set = host_routes(endpoint, host, packet->dst, now_ps);
        port = route_choose(&set, packet_path_hash(packet, 0));
    }
    control_send_by(endpoint, packet, port, now_ps);
}

void control_send_by(struct endpoint *endpoint, const struct packet *packet, uint32_t port, uint64_t now_ps)
{
    uint32_t host = packet->src;
    control_push(endpoint, &endpoint->hosts[host].ports[port].control, packet);
    port_wake(endpoint, host, port, now_ps);
}

/* One timer at a time: the flow looks again when it is due. */
static void pace_timer_set(struct endpoint *endpoint, struct flow *flow, uint32_t slot)
{
    if (!flow->is_paced) {
        flow->is_paced = true;
        flow_timer_set(endpoint, flow, slot, FLOW_PACE, *pace_ps(endpoint, steer_of(endpoint, flow)));
    }
}

static void ports_kick(const struct endpoint *endpoint, uint32_t host_id, uint64_t ports, uint64_t now_ps)
{
    for (; ports != 0; ports &= ports - 1) {
        port_wake(endpoint, host_id, (uint32_t)__builtin_ctzll(ports), now_ps);
    }
}

/* Of ports that rest, the first to be asked gets the packet: which one it is, a hash of the packet says, else a message that
 * may send one packet at a time would always leave by the lowest, and so would those of all other hosts. */
static void ports_wake(const struct endpoint *endpoint, const struct flow *flow, uint64_t ports, uint64_t now_ps)
{
    uint32_t host_id = flow->message.src_host;
    uint64_t idle = 0;
    for (uint64_t left = ports; left != 0; left &= left - 1) {
        idle |= endpoint->hosts[host_id].ports[__builtin_ctzll(left)].is_served ? 0 : left & -left;
    }
    uint64_t later = 0, draw = rng_draw(endpoint->config.seed, RNG_WAKE ^ flow_identity(flow), flow->sent_count);
    for (uint32_t i = rng_below(draw, (uint32_t)__builtin_popcountll(idle) + (idle == 0)); i > 0; i--) {
        later |= (idle ^ later) & -(idle ^ later);
    }
    ports_kick(endpoint, host_id, idle ^ later, now_ps);
    ports_kick(endpoint, host_id, later, now_ps);
}

/* A window that an answer cut may have shut on packets that asked for nothing, and are too few to be answered unasked. Without
 * a probe (as Ultra Ethernet has it) nobody would say anything before the timeout. */
static void probe_if_stuck(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps)
{
    uint64_t under_way = flow->next_seq - flow->acked_count - flow->lost_count, all = flow->packet_count;
    bool has_more = flow->lost_count > 0 || flow->next_seq < all;
    bool is_answered = under_way * endpoint->config.shape.packet_bytes >= endpoint->transport->ack_bytes;
    if (!endpoint->probes || flow->has_asked || under_way == 0 || is_answered || !has_more) {
        return;
    }
    flow->has_asked = true;
    const struct packet_parts parts = {
        .dst = flow->message.dst_host, .src = flow->message.src_host, .flow = slot, .seq = flow->next_seq - 1,
        .entropy = (uint16_t)(now_ps / PS_PER_NS), .size_bytes = endpoint->config.shape.ack_bytes, .kind = PACKET_CONTROL,
        .class = endpoint->control_class, .asks_ack = true, .generation = flow->generation};
    struct packet packet;
    packet_compose(&packet, &parts);
    control_send(endpoint, &packet, now_ps);
}

void flow_wake(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps)
{
    uint64_t missing = flow->allowed_ports & ~flow->queued_ports;
    if (missing == 0) { /* as most often */
        return;
    }
    uint32_t host_id = flow->message.src_host;
    struct steer *steer = steer_of(endpoint, flow);
    if (!flow_may_send(endpoint, flow, steer)) {
        probe_if_stuck(endpoint, flow, slot, now_ps);
        return;
    }
    if (is_too_soon(endpoint, steer, now_ps)) {
        pace_timer_set(endpoint, flow, slot);
        return;
    }
    flow->queued_ports |= missing; /* I3 */
    for (uint64_t left = missing; left != 0; left &= left - 1) {
        ready_push(endpoint, &endpoint->hosts[host_id].ports[__builtin_ctzll(left)].ready, slot);
    }
    if (missing & (missing - 1)) {
        ports_wake(endpoint, flow, missing, now_ps);
    } else {
        port_wake(endpoint, host_id, (uint32_t)__builtin_ctzll(missing), now_ps);
    }
}

/* ---- sending ---------------------------------------------------------------------------------------------- */

/* Which of the balance's entropies is next: one a packet, or one a flowlet. */
static uint64_t entropy_ordinal(const struct endpoint *endpoint, struct flow *flow, uint64_t now_ps)
{
    if (!has_flowlets(endpoint)) {
        return flow->sent_count;
    }
    struct flowlet *flowlet = flowlet_of(endpoint, flow);
    flowlet->number += flow->sent_count > 0 && now_ps - flowlet->sent_ps > endpoint->config.flowlet_gap_ps;
    flowlet->sent_ps = now_ps;
    return flowlet->number;
}

static uint16_t entropy_next(const struct endpoint *endpoint, struct flow *flow, uint32_t seq, uint64_t now_ps)
{
    const struct endpoint_config *config = &endpoint->config;
    if (__builtin_expect(flow->reach == REACH_SERVER, 0) && balance_has(config->balance, BALANCE_PINNED)) {
        return entropy_sprayed(config->seed, flow_identity(flow), flow->sent_count);
    }
    uint64_t ordinal = entropy_ordinal(endpoint, flow, now_ps);
    if (!endpoint->recycles) {
        return config->balance->entropy(config->seed, flow_identity(flow), ordinal, config->entropies);
    }
    struct good_entropies *good = good_entropies(endpoint, flow);
    uint16_t entropy;
    if (good->count > 0) {
        entropy = good->value[good->head];
        good->head = (good->head + 1) % GOOD_ENTROPIES;
        good->count--;
    } else {
        entropy = config->balance->entropy(config->seed, flow_identity(flow), ordinal, config->entropies);
    }
    sent_entropies(endpoint, flow)[ring_index(flow, seq)] = entropy;
    return entropy;
}

/* The path of an acknowledged packet was good; of more than GOOD_ENTROPIES the oldest is forgotten. */
static void entropy_keep(const struct endpoint *endpoint, struct flow *flow, uint32_t seq)
{
    struct good_entropies *good = good_entropies(endpoint, flow);
    if (good->count == GOOD_ENTROPIES) {
        good->head = (good->head + 1) % GOOD_ENTROPIES;
        good->count--;
    }
    good->value[(good->head + good->count++) % GOOD_ENTROPIES] = sent_entropies(endpoint, flow)[ring_index(flow, seq)];
}

static struct packet_parts packet_next(const struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint32_t seq,
                                       uint64_t now_ps)
{
    uint64_t small_bytes = endpoint->config.small_bytes;
    bool is_small = small_bytes > 0 && flow->message.bytes <= small_bytes;
    return (struct packet_parts){
        .dst = flow->message.dst_host,
        .src = flow->message.src_host,
        .flow = slot,
        .seq = seq,
        .size_bytes = flow_packet_bytes(endpoint, flow, seq),
        .entropy = entropy_next(endpoint, flow, seq, now_ps),
        .kind = PACKET_DATA,
        .class = is_small ? endpoint->config.small_class : 0,
        .generation = flow->generation,
    };
}

static void lost_clear(struct flow *flow, uint32_t seq)
{
    set_remove(flow, SET_LOST, seq);
    flow->lost_count--;
    if (flow->has_connection) {
        flow_connection(flow)->lost_count--;
    }
}

/* `seq` leaves. Whether it had left before. */
static inline bool sent_note(const struct endpoint *endpoint, struct flow *flow, uint32_t seq)
{
    bool is_in_order = flow_ack(endpoint, flow) == ACK_IN_ORDER, is_repeat = is_in_order && seq < flow->sent_end;
    flow->sent_count++;
    if (__builtin_expect(flow->lost_count > 0, 0)) {
        lost_clear(flow, seq);
        flow->lost_seq++;
        return true;
    }
    flow->next_seq++;
    if (is_in_order && !is_repeat) {
        flow->sent_end = flow->next_seq;
    }
    return is_repeat;
}

/* The sender wants to hear at once of a repeat, of its last packet, of one that shuts its window, and of all where the
 * window is small. */
static inline bool asks_ack(const struct endpoint *endpoint, struct flow *flow, const struct steer *steer, bool is_repeat)
{
    return is_repeat || flow->next_seq == flow->packet_count ||
           !window_is_open(endpoint, flow, steer, flow_packet_bytes(endpoint, flow, 0)) ||
           transport_is_tight(endpoint->transport, steer->state);
}

static inline void flow_send(struct endpoint *endpoint, struct flow *flow, struct steer *steer, struct host *host,
                             uint32_t slot, uint64_t now_ps, struct packet *packet)
{
    const struct transport *transport = endpoint->transport;
    uint32_t seq;
    flow_next(flow, &seq);
    struct packet_parts parts = packet_next(endpoint, flow, slot, seq, now_ps);
    bool is_repeat = sent_note(endpoint, flow, seq);
    host->counters.retransmissions += is_repeat;
    host->counters.data_packets_sent++;
    steer->flight_bytes += parts.size_bytes;
    if (transport->pull != NULL) {
        pull_sent(endpoint, flow, seq, parts.size_bytes, is_repeat);
    }
    if (endpoint->ack == ACK_COALESCED) {
        parts.asks_ack = asks_ack(endpoint, flow, steer, is_repeat);
        flow->has_asked = (is_repeat ? flow->has_asked : parts.asks_ack) & 1;
    }
    if (endpoint->has_times) {
        uint64_t *time = &sent_times(endpoint, flow)[ring_index(flow, seq)];
        *time = now_ps | (is_repeat ? *time & SENT_TWICE : 0);
    }
    if (transport->gap_ps != NULL && !flow_is_free(endpoint, flow)) {
        *pace_ps(endpoint, steer) = now_ps + transport->gap_ps(endpoint->shared, steer->state, parts.size_bytes, now_ps);
    }
    packet_compose(packet, &parts);
}

/* After a packet of the first flow of a port: one packet a turn, flows share a port by round robin. */
static inline void turn_end(struct endpoint *endpoint, struct flow *flow, struct steer *steer, struct slot_ring *ready,
                            uint32_t port, uint64_t now_ps)
{
    bool is_paced = is_too_soon(endpoint, steer, now_ps);
    uint32_t slot = ready->slots[ready->head];
    if (flow->has_connection && flow->next_seq == flow->packet_count) {
        connection_sent_all(endpoint, flow, slot, now_ps);
    }
    if (!is_paced && flow_may_send(endpoint, flow, steer)) {
        ready_rotate(ready);
        return;
    }
    ready_pop(ready);
    flow->queued_ports &= ~(UINT64_C(1) << port);
    if (is_paced) {
        flow_wake(endpoint, flow, slot, now_ps);
    }
}

static inline bool data_pull(struct endpoint *endpoint, struct host *host, uint32_t host_id, uint32_t port, uint64_t now_ps,
                             struct packet *packet)
{
    struct slot_ring *ready = &host->ports[port].ready;
    while (ready->count > 0) {
        uint32_t slot = ready->slots[ready->head];
        struct flow *flow = flow_at(endpoint, host_id, slot);
        struct steer *steer = steer_of(endpoint, flow);
        bool may_send = (flow->allowed_ports >> port & 1) && !is_too_soon(endpoint, steer, now_ps);
        if (may_send && flow_may_send(endpoint, flow, steer)) {
            flow_send(endpoint, flow, steer, host, slot, now_ps, packet);
            turn_end(endpoint, flow, steer, ready, port, now_ps);
            return true;
        }
        ready_pop(ready); /* what stood here may be done, and its slot taken by another */
        flow->queued_ports &= ~(UINT64_C(1) << port);
        if (flow->allowed_ports != 0 && host->port_count == 1) { /* else it may wake ports within this one's pull */
            probe_if_stuck(endpoint, flow, slot, now_ps);
        }
    }
    return false;
}

static bool control_pull(struct control_ring *control, struct packet *packet)
{
    if (control->count == 0) {
        return false;
    }
    packet_copy(packet, &control->packets[control->head]);
    control->head = (control->head + 1) & (control->capacity - 1);
    control->count--;
    return true;
}

/* Where both wait, data has one turn after control_per_data packets of control. */
static bool is_turn_of_data(const struct endpoint *endpoint, struct host_port *port)
{
    uint32_t ratio = endpoint->transport->control_per_data;
    if (port->control.count == 0 || ratio == 0 || port->ready.count == 0) {
        return port->control.count == 0;
    }
    port->turn = port->turn >= ratio ? 0 : port->turn + 1;
    return port->turn == 0;
}

/* Of messages to teams and others in turn. */
static inline bool any_pull(struct endpoint *endpoint, struct host *host, uint32_t host_id, uint32_t port, uint64_t now_ps,
                            struct packet *packet)
{
    if (__builtin_expect(endpoint->team_hosts == NULL, 1)) {
        return data_pull(endpoint, host, host_id, port, now_ps, packet);
    }
    bool is_team_first = team_is_turn(endpoint, host_id, port);
    return (is_team_first && team_pull(endpoint, host_id, port, now_ps, packet)) ||
           data_pull(endpoint, host, host_id, port, now_ps, packet) ||
           (!is_team_first && team_pull(endpoint, host_id, port, now_ps, packet));
}

static inline bool port_pull(struct endpoint *endpoint, struct host *host, uint32_t host_id, uint32_t port, uint64_t now_ps,
                             struct packet *packet)
{
    struct host_port *host_port = &host->ports[port];
    uint32_t open = UINT32_MAX;
    if (endpoint->can_close) {
        open = endpoint->engine->class->open_classes(endpoint->engine, host_id, port);
    }
    bool is_data_first = is_turn_of_data(endpoint, host_port);
    if (!is_data_first && (open >> endpoint->control_class & 1) && control_pull(&host_port->control, packet)) {
        return true;
    }
    if ((open & 1) && any_pull(endpoint, host, host_id, port, now_ps, packet)) {
        return true;
    }
    return is_data_first && (open >> endpoint->control_class & 1) && control_pull(&host_port->control, packet);
}

bool endpoint_pull(struct endpoint *endpoint, uint32_t host_id, uint32_t port, uint64_t now_ps,
                   struct packet *packet)
{
    struct host *host = &endpoint->hosts[host_id];
    host->pulled_ports |= UINT64_C(1) << port; /* the next message of a connection may go by another port at once */
    host->ports[port].is_served = true;
    bool is_there = port_pull(endpoint, host, host_id, port, now_ps, packet);
    host->pulled_ports &= ~(UINT64_C(1) << port);
    host->ports[port].is_served = is_there;
    return is_there;
}

/* ---- answers ---------------------------------------------------------------------------------------------- */

void packet_give_up(struct endpoint *endpoint, struct flow *flow, uint32_t seq)
{
    set_add(flow, SET_LOST, seq);
    flow->lost_seq = flow->lost_count == 0 || seq < flow->lost_seq ? seq : flow->lost_seq;
    flow->lost_count++;
    if (flow->has_connection) {
        flow_connection(flow)->lost_count++;
    }
    steer_of(endpoint, flow)->flight_bytes -= flow_packet_bytes(endpoint, flow, seq);
}

/* Newly acknowledged; what is not under way any more has left the flight already. */
static inline uint64_t packet_acked(const struct endpoint *endpoint, struct flow *flow, struct steer *steer, uint32_t seq)
{
    uint64_t bytes = flow_packet_bytes(endpoint, flow, seq);
    set_add(flow, SET_ACKED, seq);
    flow->acked_count++;
    if (__builtin_expect(flow->lost_count > 0, 0) && set_has(flow, SET_LOST, seq)) {
        lost_clear(flow, seq);
        return bytes;
    }
    steer->flight_bytes -= bytes;
    return bytes;
}

/* Everything that had come when the ACK was sent (I5). The receiver may be adding to its log meanwhile: what it adds is of
 * a later ACK. Looking through the window for what is newly acknowledged took 1800 of 2300 instructions an ACK. */
static uint64_t acked_by_number(const struct endpoint *endpoint, struct flow *flow, struct steer *steer, uint16_t number)
{
    uint32_t end = __atomic_load_n(&flow->received_count, __ATOMIC_ACQUIRE), base = flow->base_seq;
    const uint32_t *log = arrivals(endpoint, flow);
    uint64_t bytes = 0;
    while (flow->acked_count != end) {
        uint32_t arrival = log[ring_index(flow, flow->acked_count)];
        if (!(number & ACK_OF_ALL) && (number - arrival) & (ARRIVAL_ACK_MAX / 2 + 1)) { /* by half of the numbers or more: of a later one */
            break;
        }
        bytes += packet_acked(endpoint, flow, steer, base + ring_index(flow, (arrival >> ARRIVAL_ACK_BITS) - base));
    }
    return bytes;
}

/* All before `end`. */
static uint64_t acked_in_order(struct endpoint *endpoint, struct flow *flow, uint32_t end)
{
    uint64_t bytes = 0;
    for (; flow->base_seq < end && flow->base_seq < flow->next_seq; flow->base_seq++) {
        bytes += flow_packet_bytes(endpoint, flow, flow->base_seq);
        flow->acked_count++;
    }
    steer_of(endpoint, flow)->flight_bytes -= bytes;
    return bytes;
}

static uint64_t ack_apply(struct endpoint *endpoint, struct flow *flow, struct steer *steer, const struct packet *packet)
{
    uint64_t bytes = 0;
    switch (flow_ack(endpoint, flow)) {
    case ACK_IN_ORDER:
        return acked_in_order(endpoint, flow, packet->seq + 1);
    case ACK_COALESCED:
        bytes = acked_by_number(endpoint, flow, steer, packet->entropy);
        break;
    case ACK_EACH:
        bytes = packet_acked(endpoint, flow, steer, packet->seq);
        break;
    }
    flow->base_seq = set_take_run(flow, SET_ACKED, flow->base_seq);
    return bytes;
}

static bool is_under_way(const struct flow *flow, uint32_t seq)
{
    bool is_sent = seq >= flow->base_seq && seq < flow->next_seq;
    return is_sent && (flow->ring == NULL ||
                       !(set_has(flow, SET_ACKED, seq) || set_has(flow, SET_LOST, seq)));
}

/* Round trip of the packet that caused the ACK, 0 where it is not known. */
static uint64_t ack_rtt_ps(const struct endpoint *endpoint, const struct flow *flow, const struct packet *packet,
                           uint64_t now_ps)
{
    if (!endpoint->has_times || !is_under_way(flow, packet->seq)) {
        return 0;
    }
    uint64_t sent = sent_times(endpoint, flow)[ring_index(flow, packet->seq)];
    return sent & SENT_TWICE ? 0 : now_ps - sent;
}

/* Of a message that is over, or (ACK_EACH) of a packet that is acknowledged. */
static bool ack_is_late(const struct endpoint *endpoint, const struct flow *flow, const struct packet *packet)
{
    if (flow->generation != packet->generation || flow->acked_count == flow->packet_count) {
        return true;
    }
    return flow_ack(endpoint, flow) == ACK_EACH &&
           (packet->seq < flow->base_seq || set_has(flow, SET_ACKED, packet->seq));
}

/* On one path nothing overtakes: what was sent before an acknowledged packet and has not arrived is lost. Once for each
 * packet, since a repeat has no place in that order; the timeout is for repeats that are lost too. */
static uint64_t gaps_give_up(struct endpoint *endpoint, struct flow *flow, uint32_t seq)
{
    uint64_t lost_bytes = 0;
    union progress *progress = progress_of(endpoint, flow);
    uint32_t first = progress->gap_end > flow->base_seq ? (uint32_t)progress->gap_end : flow->base_seq;
    for (uint32_t gap = first; gap < seq; gap++) {
        if (!set_has(flow, SET_ACKED, gap) && !set_has(flow, SET_LOST, gap)) {
            packet_give_up(endpoint, flow, gap);
            lost_bytes += flow_packet_bytes(endpoint, flow, gap);
        }
    }
    progress->gap_end = seq > progress->gap_end ? seq : progress->gap_end;
    return lost_bytes;
}

static void gaps_repeat(struct endpoint *endpoint, struct flow *flow, uint32_t seq, uint64_t now_ps)
{
    uint64_t lost_bytes = gaps_give_up(endpoint, flow, seq);
    if (lost_bytes > 0 && endpoint->transport->timed_out != NULL) {
        endpoint->transport->timed_out(endpoint->shared, steer_of(endpoint, flow)->state, lost_bytes, now_ps);
    }
}

void ack_receive(struct endpoint *endpoint, const struct packet *packet, uint64_t now_ps)
{
    uint32_t host_id = packet->dst, slot = packet->flow;
    struct flow *flow = flow_at(endpoint, host_id, slot);
    endpoint->hosts[host_id].counters.acks_received++;
    if (ack_is_late(endpoint, flow, packet)) {
        return;
    }
    struct steer *steer = steer_of(endpoint, flow);
    struct ack_news news = {.now_ps = now_ps, .is_marked = packet->is_marked, .load = packet->load,
                            .rtt_ps = ack_rtt_ps(endpoint, flow, packet, now_ps)};
    if (endpoint->recycles && !packet->is_marked && is_under_way(flow, packet->seq)) {
        entropy_keep(endpoint, flow, packet->seq);
    }
    news.bytes = ack_apply(endpoint, flow, steer, packet);
    if (endpoint->repeats_gaps && flow->reach == REACH_NETWORK) {
        gaps_repeat(endpoint, flow, packet->seq, now_ps);
    }
    news.flight_bytes = steer->flight_bytes;
    if (news.bytes > 0) {
        endpoint->hosts[host_id].counters.moved_ps = now_ps;
        progress_note(endpoint, flow, now_ps);
        backoff_moves(flow);
    }
    if (endpoint->transport->acked != NULL) {
        endpoint->transport->acked(endpoint->shared, steer->state, &news);
    }
    if (endpoint->transport->pull != NULL) {
        pull_commit(endpoint, flow);
    }
    struct connection *connection = flow->has_connection ? connection_of(steer) : NULL;
    if (flow->acked_count == flow->packet_count) {
        flow_finish(endpoint, flow, slot, now_ps);
    } else {
        flow_wake(endpoint, flow, slot, now_ps);
    }
    if (connection != NULL) {
        connection_wake(endpoint, connection, host_id, now_ps);
    }
}

void go_back(struct endpoint *endpoint, struct flow *flow, uint32_t expected)
{
    struct steer *steer = steer_of(endpoint, flow);
    acked_in_order(endpoint, flow, expected);
    for (uint32_t seq = expected; seq < flow->next_seq; seq++) {
        steer->flight_bytes -= flow_packet_bytes(endpoint, flow, seq);
    }
    flow->next_seq = expected;
}

void nack_receive(struct endpoint *endpoint, const struct packet *packet, uint64_t now_ps)
{
    uint32_t slot = packet->flow, seq = packet->seq;
    struct flow *flow = flow_at(endpoint, packet->dst, slot);
    endpoint->hosts[packet->dst].counters.nacks_received++;
    bool is_late = flow->generation != packet->generation || flow->acked_count == flow->packet_count;
    flow->nacks += !is_late;
    if (is_late || !is_under_way(flow, seq)) {
        return;
    }
    if (endpoint->transport->nacked != NULL) {
        const struct ack_news news = {.bytes = flow_packet_bytes(endpoint, flow, seq),
                                      .flight_bytes = steer_of(endpoint, flow)->flight_bytes,
                                      .rtt_ps = ack_rtt_ps(endpoint, flow, packet, now_ps),
                                      .now_ps = now_ps,
                                      .is_marked = packet->is_marked};
        endpoint->transport->nacked(endpoint->shared, steer_of(endpoint, flow)->state, &news);
    }
    if (flow_ack(endpoint, flow) == ACK_IN_ORDER) {
        go_back(endpoint, flow, seq);
    } else {
        packet_give_up(endpoint, flow, seq);
    }
    if (endpoint->transport->pull != NULL) {
        pull_commit(endpoint, flow);
    }
    progress_note(endpoint, flow, now_ps);
    flow_wake(endpoint, flow, slot, now_ps);
    if (flow->has_connection) {
        connection_wake(endpoint, flow_connection(flow), packet->dst, now_ps);
    }
}
