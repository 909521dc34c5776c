/* The receiver's half: what has come, and when it answers. */
#include "netsim/transport/endpoint_int.h"

static void answer(struct endpoint *endpoint, const struct packet *data, enum packet_kind kind, uint32_t seq,
                   uint16_t entropy, uint64_t now_ps)
{
    const struct packet_parts parts = {
        .dst = data->src, .src = data->dst, .flow = data->flow, .seq = seq & (FLOW_PACKETS_MAX - 1), .entropy = entropy,
        .size_bytes = endpoint->config.shape.ack_bytes, .kind = kind,
        .class = endpoint->control_class, .is_marked = data->is_marked, .asks_ack = data->asks_ack,
        .load = data->load, .generation = data->generation};
    struct packet packet;
    packet_compose(&packet, &parts);
    control_send(endpoint, &packet, now_ps);
}

/* ---- what has come ---------------------------------------------------------------------------------------- */

static bool is_received(const struct endpoint *endpoint, const struct flow *flow, uint32_t seq)
{
    return seq < flow->received_base ||
           (flow->received_count != flow->received_base && flow_ack(endpoint, flow) != ACK_IN_ORDER && set_has(flow, SET_RECEIVED, seq));
}

/* Notes a packet that is new. The sender reads the log up to the count (I5). */
static inline void receive_note(const struct endpoint *endpoint, struct flow *flow, uint32_t seq)
{
    uint32_t count = flow->received_count;
    if (endpoint->ack == ACK_COALESCED) {
        arrivals(endpoint, flow)[ring_index(flow, count)] =
            ring_index(flow, seq) << ARRIVAL_ACK_BITS | (flow->ack_number & ARRIVAL_ACK_MAX);
    }
    __atomic_store_n(&flow->received_count, count + 1, __ATOMIC_RELEASE);
    if (seq != flow->received_base) {
        set_add(flow, SET_RECEIVED, seq);
        return;
    }
    flow->received_base++;
    if (count + 1 != flow->received_base) { /* else nothing has come after a gap */
        flow->received_base = set_take_run(flow, SET_RECEIVED, flow->received_base);
    }
}

/* ---- answers ---------------------------------------------------------------------------------------------- */

/* An ACK_COALESCED names the packet that caused it and carries its own number where others carry the
 * entropy. */
static void ack_send(struct endpoint *endpoint, struct flow *flow, const struct packet *data, uint64_t now_ps)
{
    switch (flow_ack(endpoint, flow)) {
    case ACK_EACH:
        answer(endpoint, data, PACKET_ACK, data->seq, data->entropy, now_ps);
        return;
    case ACK_IN_ORDER:
        answer(endpoint, data, PACKET_ACK, flow->received_base - 1, data->entropy, now_ps);
        return;
    case ACK_COALESCED:
        answer(endpoint, data, PACKET_ACK, data->seq, flow->ack_number & ARRIVAL_ACK_MAX, now_ps);
        flow->ack_number++;
        flow->unanswered_bytes = 0;
        return;
    }
}

/* Where the message is over at the sender too, nobody waits for the answer. It is sent all the same: whether that is so may
 * be decided by another thread in this very window. */
void ack_again(struct endpoint *endpoint, const struct packet *packet, uint64_t now_ps)
{
    enum reach reach = path_reach(endpoint->config.fabric, endpoint->config.routes, packet->src, packet->dst);
    bool is_cumulative = ack_where(endpoint, reach) == ACK_IN_ORDER;
    uint16_t entropy = endpoint->ack == ACK_COALESCED ? (packet->entropy | ACK_OF_ALL) & UINT16_MAX : packet->entropy;
    answer(endpoint, packet, PACKET_ACK, is_cumulative ? FLOW_PACKETS_MAX - 1 : packet->seq, entropy, now_ps);
}

/* Whether a new packet is answered. `is_first`: nothing came before it. */
static bool is_to_be_answered(const struct endpoint *endpoint, struct flow *flow, const struct packet *data,
                              bool is_first)
{
    if (endpoint->ack != ACK_COALESCED) {
        return true;
    }
    flow->owes_ack |= data->asks_ack;
    bool is_without_gap = flow->received_base == flow->received_count;
    bool pays = flow->owes_ack && is_without_gap;
    flow->owes_ack = flow->owes_ack && !is_without_gap;
    bool answers_all = flow->has_nacked; /* the last of them too: a probe asked for it */
    flow->has_nacked = answers_all && !(is_without_gap && flow->received_base > flow->nacked_last);
    return is_first || data->is_marked || data->asks_ack || pays || answers_all ||
           flow->unanswered_bytes >= endpoint->transport->ack_bytes;
}

static void delivered_check(struct endpoint *endpoint, struct flow *flow, const struct packet *last, uint64_t now_ps)
{
    if (flow->received_count == flow->packet_count) {
        if (endpoint->transport->pull != NULL) {
            pull_delivered(endpoint, flow, last);
        }
        if (flow->has_connection) {
            connection_deliver(endpoint, flow, last->flow, now_ps);
        } else {
            flow_deliver(endpoint, flow, now_ps);
        }
    }
}

/* A packet that comes in vain. */
static void duplicate_note(struct host *host, struct flow *flow)
{
    host->counters.duplicates++;
    flow->duplicates++;
}

/* Where a packet stands among those that came before it. */
static void order_note(struct host *host, struct flow *flow, uint32_t seq)
{
    if (seq >= flow->received_end) {
        flow->received_end = seq + 1;
        return;
    }
    uint32_t distance = flow->received_end - 1 - seq;
    flow->reordered++;
    flow->reorder_sum += distance;
    flow->reorder_max = distance > flow->reorder_max ? distance : flow->reorder_max;
    host->counters.reordered++;
    host->counters.reorder_sum += distance;
    host->counters.reorder_max = distance > host->counters.reorder_max ? distance : host->counters.reorder_max;
}

/* Of go-back-N: a packet behind a gap. It is thrown away, so one of its copies comes in vain. */
static void gap_answer(struct endpoint *endpoint, struct flow *flow, const struct packet *packet, uint64_t now_ps)
{
    duplicate_note(&endpoint->hosts[packet->dst], flow);
    uint32_t end = (uint32_t)packet->seq + 1;
    flow->received_end = end > flow->received_end ? end : flow->received_end;
    if (!flow->has_nacked) {
        flow->has_nacked = true;
        answer(endpoint, packet, PACKET_NACK, flow->received_base, packet->entropy, now_ps);
    }
}

/* What has come, beside a NACK that cuts the sender's window (what it does not know to have come could fill that, and nothing
 * would be left to ask) or to a probe. Caused by no packet: the one that was cut may be under way again. */
static void arrivals_tell(struct endpoint *endpoint, struct flow *flow, const struct packet *cut, uint64_t now_ps)
{
    struct packet none = *cut;
    none.seq = FLOW_PACKETS_MAX - 1;
    none.is_marked = 0;
    ack_send(endpoint, flow, &none, now_ps);
}

void probe_receive(struct endpoint *endpoint, const struct packet *packet, uint64_t now_ps)
{
    struct flow *flow = flow_at(endpoint, packet->src, packet->flow);
    if (flow_is_over(flow, packet)) {
        ack_again(endpoint, packet, now_ps);
        return;
    }
    flow->nacked_last = packet->seq > flow->nacked_last ? packet->seq : flow->nacked_last;
    flow->has_nacked |= flow->received_base <= flow->nacked_last;
    if (flow->unanswered_bytes > 0) {
        arrivals_tell(endpoint, flow, packet, now_ps);
    }
}

/* A packet without its payload. Where packets are taken in any order the NACK names the packet itself; go-back-N understands a
 * NACK as "all before this has come", so it names the expected packet: every time when that one was cut, since it may be a
 * repeat's turn again, else as for any packet behind a gap. */
static void trimmed_receive(struct endpoint *endpoint, struct flow *flow, const struct packet *packet, uint64_t now_ps)
{
    endpoint->hosts[packet->dst].counters.trimmed_packets++;
    flow->trimmed++;
    if (flow_ack(endpoint, flow) != ACK_IN_ORDER) {
        answer(endpoint, packet, PACKET_NACK, packet->seq, packet->entropy, now_ps);
        flow->nacked_last = packet->seq > flow->nacked_last ? packet->seq : flow->nacked_last;
        flow->has_nacked = endpoint->ack == ACK_COALESCED && endpoint->transport->window != WINDOW_NONE;
        if (flow->has_nacked && flow->unanswered_bytes > 0) {
            arrivals_tell(endpoint, flow, packet, now_ps);
        }
        return;
    }
    bool is_expected = packet->seq == flow->received_base;
    if (is_expected || !flow->has_nacked) {
        flow->has_nacked = true;
        answer(endpoint, packet, PACKET_NACK, flow->received_base, packet->entropy, now_ps);
    }
}

void data_receive(struct endpoint *endpoint, const struct packet *packet, uint64_t now_ps)
{
    struct flow *flow = flow_at(endpoint, packet->src, packet->flow);
    struct host *host = &endpoint->hosts[packet->dst];
    host->counters.marked_packets += packet->is_marked;
    if (flow_is_over(flow, packet)) {
        host->counters.duplicates++;
        ack_again(endpoint, packet, now_ps);
        return;
    }
    flow->unanswered_bytes += packet->is_trimmed ? 0 : packet->size_bytes;
    if (is_received(endpoint, flow, packet->seq)) {
        duplicate_note(host, flow);
        ack_send(endpoint, flow, packet, now_ps); /* its ACK may have been lost */
        return;
    }
    if (endpoint->transport->pull != NULL) {
        pull_arrived(endpoint, flow, packet, now_ps);
    }
    if (packet->is_trimmed) {
        trimmed_receive(endpoint, flow, packet, now_ps);
        return;
    }
    if (flow_ack(endpoint, flow) == ACK_IN_ORDER && packet->seq > flow->received_base) {
        gap_answer(endpoint, flow, packet, now_ps);
        return;
    }
    bool is_first = flow->received_count == 0;
    order_note(host, flow, packet->seq);
    host->counters.data_packets_delivered++;
    host->counters.payload_bytes_delivered += packet->size_bytes - endpoint->config.shape.header_bytes;
    host->counters.moved_ps = now_ps;
    receive_note(endpoint, flow, packet->seq);
    flow->has_nacked = flow->has_nacked && endpoint->ack == ACK_COALESCED;
    if (is_to_be_answered(endpoint, flow, packet, is_first)) {
        ack_send(endpoint, flow, packet, now_ps);
    }
    delivered_check(endpoint, flow, packet, now_ps);
}
