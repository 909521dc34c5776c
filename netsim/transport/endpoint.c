#include "netsim/transport/endpoint.h"

#include "netsim/base/rng.h"

#include <string.h>

struct flow {
    /* read by both ends (I2) */
    struct message message;
    uint64_t packet_count;
    uint64_t identity; /* (source host, number of the message there): keys its random draws */
    uint32_t generation;

    /* sender's half */
    uint64_t next_seq, base_seq, acked_count;
    uint64_t resend_seq, resend_end; /* sequence numbers that are to be looked at for sending again */
    uint64_t flight_bytes;
    uint64_t sent_count;             /* data packets sent, repeats counted */
    uint64_t progress_ps;            /* last acknowledgement of something new, or last repeat */
    uint64_t queued_ports;           /* bit p: stands in the ring of port p (I3); belongs to the slot */
    uint64_t allowed_ports;
    uint64_t timer_ps;               /* when the timer that counts is due (I4) */
    bool is_local;
    uint32_t next_free;

    /* receiver's half */
    uint64_t received_count;
    uint64_t received_base;          /* everything before has come */
    uint64_t delivered_ps;           /* read by the sender after the last ACK */

    /* window_bits bits of acknowledged packets (sender), as many of received ones (receiver), then the state of
     * the transport */
    uint64_t words[];
};

#define CHUNK_FLOWS 32

/* Flow slots or ACKs waiting for a port; grows, never shrinks. */
struct slot_ring {
    uint32_t *slots;
    uint32_t head, count, capacity;
};

struct ack_ring {
    struct packet *packets;
    uint32_t head, count, capacity;
};

struct host {
    struct flow **chunks;
    size_t chunk_count, chunk_capacity;
    uint32_t free_slot; /* list through next_free */
    uint64_t message_count;
    struct slot_ring *ready; /* per port */
    struct ack_ring *acks;   /* per port */
    struct endpoint_counters counters;
};

struct endpoint {
    struct endpoint_config config;
    struct arena *arena;
    struct engine *engine;
    struct host *hosts;
    struct transport_facts facts;
    bool can_lose;
    uint32_t window_bits; /* I1; a power of two */
    size_t flow_bytes;    /* struct flow and what stands behind it */
};

/* ---- slots ------------------------------------------------------------------------------------------------ */

static struct flow *flow_at(const struct endpoint *endpoint, uint32_t host, uint32_t slot)
{
    uint8_t *chunk = (uint8_t *)endpoint->hosts[host].chunks[slot / CHUNK_FLOWS];
    return (struct flow *)(chunk + (slot % CHUNK_FLOWS) * endpoint->flow_bytes);
}

static uint64_t *acked_bits(struct flow *flow)
{
    return flow->words;
}

static uint64_t *received_bits(const struct endpoint *endpoint, struct flow *flow)
{
    return flow->words + endpoint->window_bits / 64;
}

static void *transport_state(const struct endpoint *endpoint, struct flow *flow)
{
    return flow->words + endpoint->window_bits / 32;
}

static void host_add_chunk(struct endpoint *endpoint, uint32_t host_id)
{
    struct host *host = &endpoint->hosts[host_id];
    uint32_t first = (uint32_t)host->chunk_count * CHUNK_FLOWS;
    assert(first + CHUNK_FLOWS <= FLOW_SLOTS_MAX);
    vec_push(endpoint->arena, host->chunks, host->chunk_count, host->chunk_capacity) =
        arena_alloc_array(endpoint->arena, CHUNK_FLOWS, endpoint->flow_bytes);
    for (uint32_t i = CHUNK_FLOWS; i-- > 0;) {
        flow_at(endpoint, host_id, first + i)->next_free = host->free_slot;
        host->free_slot = first + i;
    }
}

static uint32_t slot_take(struct endpoint *endpoint, uint32_t host_id)
{
    struct host *host = &endpoint->hosts[host_id];
    if (host->free_slot == ID_NONE) {
        host_add_chunk(endpoint, host_id);
    }
    uint32_t slot = host->free_slot;
    struct flow *flow = flow_at(endpoint, host_id, slot);
    host->free_slot = flow->next_free;
    uint32_t generation = flow->generation + 1;
    uint64_t queued_ports = flow->queued_ports; /* the message before may have left the slot in rings */
    memset(flow, 0, endpoint->flow_bytes);
    flow->generation = generation & 7;
    flow->queued_ports = queued_ports;
    return slot;
}

static void slot_free(struct endpoint *endpoint, uint32_t host_id, uint32_t slot)
{
    struct host *host = &endpoint->hosts[host_id];
    struct flow *flow = flow_at(endpoint, host_id, slot);
    flow->timer_ps = TIME_NEVER_PS;
    flow->next_free = host->free_slot;
    host->free_slot = slot;
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

static uint32_t ready_pop(struct slot_ring *ring)
{
    uint32_t slot = ring->slots[ring->head];
    ring->head = (ring->head + 1) & (ring->capacity - 1);
    ring->count--;
    return slot;
}

static void ack_push(struct endpoint *endpoint, struct ack_ring *ring, const struct packet *packet)
{
    if (ring->count == ring->capacity) {
        uint32_t capacity = ring->capacity == 0 ? 8 : ring->capacity * 2;
        struct packet *packets = arena_array(endpoint->arena, capacity, struct packet);
        for (uint32_t i = 0; i < ring->count; i++) {
            packets[i] = ring->packets[(ring->head + i) & (ring->capacity - 1)];
        }
        *ring = (struct ack_ring){packets, 0, ring->count, capacity};
    }
    ring->packets[(ring->head + ring->count++) & (ring->capacity - 1)] = *packet;
}

/* ---- sending ---------------------------------------------------------------------------------------------- */

static bool bit_get(const struct endpoint *endpoint, const uint64_t *bits, uint64_t seq)
{
    seq &= endpoint->window_bits - 1;
    return bits[seq / 64] >> (seq % 64) & 1;
}

static void bit_put(const struct endpoint *endpoint, uint64_t *bits, uint64_t seq, bool is_set)
{
    seq &= endpoint->window_bits - 1;
    uint64_t mask = UINT64_C(1) << (seq % 64);
    bits[seq / 64] = is_set ? bits[seq / 64] | mask : bits[seq / 64] & ~mask;
}

/* Skips what has been acknowledged meanwhile. */
static bool flow_has_resend(const struct endpoint *endpoint, struct flow *flow)
{
    if (flow->resend_seq < flow->base_seq) {
        flow->resend_seq = flow->base_seq;
    }
    while (flow->resend_seq < flow->resend_end && bit_get(endpoint, acked_bits(flow), flow->resend_seq)) {
        flow->resend_seq++;
    }
    return flow->resend_seq < flow->resend_end;
}

static bool flow_may_send(const struct endpoint *endpoint, struct flow *flow)
{
    if (flow_has_resend(endpoint, flow)) {
        return true;
    }
    if (flow->next_seq == flow->packet_count || flow->next_seq >= flow->base_seq + endpoint->window_bits) { /* I1 */
        return false;
    }
    uint64_t bytes = shape_packet_bytes(&endpoint->config.shape, flow->message.bytes, flow->next_seq);
    return endpoint->config.transport->may_send(transport_state(endpoint, flow), flow->flight_bytes, bytes);
}

/* Puts the flow into the rings of the ports that it may use and wakes them. */
static void flow_wake(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps)
{
    uint32_t host_id = flow->message.src_host;
    uint64_t missing = flow->allowed_ports & ~flow->queued_ports;
    if (missing == 0 || !flow_may_send(endpoint, flow)) {
        return;
    }
    flow->queued_ports |= missing; /* I3 */
    for (uint64_t left = missing; left != 0; left &= left - 1) {
        ready_push(endpoint, &endpoint->hosts[host_id].ready[__builtin_ctzll(left)], slot);
    }
    for (uint64_t left = missing; left != 0; left &= left - 1) {
        engine_kick(endpoint->engine, host_id, (uint32_t)__builtin_ctzll(left), now_ps);
    }
}

static uint64_t ports_towards(const struct endpoint *endpoint, uint32_t host, uint32_t dst, uint64_t identity)
{
    struct port_set set = routes_next(endpoint->config.routes, host, dst);
    if (endpoint->config.balance->is_pinned) {
        return UINT64_C(1) << route_choose(&set, rng_draw(endpoint->config.seed, RNG_HOST_PORT, identity));
    }
    uint64_t ports = 0;
    for (uint32_t i = 0; i < set.count; i++) {
        ports |= UINT64_C(1) << port_set_at(&set, i);
    }
    return ports;
}

static void timer_set(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t when_ps)
{
    flow->timer_ps = when_ps;
    engine_timer(endpoint->engine, flow->message.src_host, when_ps, HOST_TIMER,
                 (uint64_t)flow->generation << 24 | slot);
}

/* A message between ranks of one host: a copy, which takes bytes / local_bps. */
static void local_send(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps)
{
    flow->is_local = true;
    uint64_t copy_ps = serialisation_ps(flow->message.bytes, endpoint->config.local_bps);
    timer_set(endpoint, flow, slot, now_ps + copy_ps);
}

/* From here on the message may use its ports. */
static void flow_open(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps)
{
    flow->allowed_ports = ports_towards(endpoint, flow->message.src_host, flow->message.dst_host, flow->identity);
    flow->progress_ps = now_ps;
    if (endpoint->can_lose) {
        timer_set(endpoint, flow, slot, now_ps + endpoint->config.rto_ps);
    }
    flow_wake(endpoint, flow, slot, now_ps);
}

void endpoint_send(struct endpoint *endpoint, const struct message *message, uint64_t now_ps)
{
    uint32_t host_id = message->src_host;
    struct host *host = &endpoint->hosts[host_id];
    uint32_t slot = slot_take(endpoint, host_id);
    struct flow *flow = flow_at(endpoint, host_id, slot);
    flow->message = *message;
    flow->message.posted_ps = now_ps;
    flow->packet_count = shape_packets(&endpoint->config.shape, message->bytes);
    assert(flow->packet_count <= FLOW_PACKETS_MAX);
    flow->identity = (uint64_t)host_id << 40 | host->message_count++;
    flow->progress_ps = now_ps;
    host->counters.messages_posted++;
    if (message->dst_host == host_id) {
        local_send(endpoint, flow, slot, now_ps);
        return;
    }
    endpoint->config.transport->begin(endpoint->config.transport_values, &endpoint->facts, transport_state(endpoint, flow));
    if (endpoint->config.post_ps > 0) {
        timer_set(endpoint, flow, slot, now_ps + endpoint->config.post_ps);
        return;
    }
    flow_open(endpoint, flow, slot, now_ps);
}

static void packet_fill(const struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t seq,
                        struct packet *packet)
{
    const struct endpoint_config *config = &endpoint->config;
    *packet = (struct packet){
        .dst = flow->message.dst_host & (FABRIC_HOSTS_MAX - 1),
        .src = flow->message.src_host & (FABRIC_HOSTS_MAX - 1),
        .flow = slot & (FLOW_SLOTS_MAX - 1),
        .seq = seq & (FLOW_PACKETS_MAX - 1),
        .size_bytes = shape_packet_bytes(&config->shape, flow->message.bytes, seq) & PACKET_BYTES_MAX,
        .entropy = config->balance->entropy(config->seed, flow->identity, flow->sent_count),
        .kind = PACKET_DATA,
        .generation = flow->generation & 7,
    };
}

static void flow_send(struct endpoint *endpoint, struct flow *flow, uint32_t slot, struct packet *packet)
{
    struct host *host = &endpoint->hosts[flow->message.src_host];
    if (flow_has_resend(endpoint, flow)) {
        packet_fill(endpoint, flow, slot, flow->resend_seq++, packet);
        host->counters.retransmissions++;
    } else {
        packet_fill(endpoint, flow, slot, flow->next_seq++, packet);
        flow->flight_bytes += packet->size_bytes;
    }
    flow->sent_count++;
    host->counters.data_packets_sent++;
}

bool endpoint_pull(struct endpoint *endpoint, uint32_t host_id, uint32_t port, uint64_t now_ps,
                   struct packet *packet)
{
    (void)now_ps;
    struct host *host = &endpoint->hosts[host_id];
    struct ack_ring *acks = &host->acks[port];
    if (acks->count > 0) {
        *packet = acks->packets[acks->head];
        acks->head = (acks->head + 1) & (acks->capacity - 1);
        acks->count--;
        return true;
    }
    struct slot_ring *ready = &host->ready[port];
    while (ready->count > 0) {
        uint32_t slot = ready_pop(ready);
        struct flow *flow = flow_at(endpoint, host_id, slot);
        flow->queued_ports &= ~(UINT64_C(1) << port);
        if (!(flow->allowed_ports >> port & 1) || !flow_may_send(endpoint, flow)) {
            continue; /* what stood here may be done, and its slot taken by another */
        }
        flow_send(endpoint, flow, slot, packet);
        if (flow_may_send(endpoint, flow)) { /* one packet a turn: flows share a port by round robin */
            flow->queued_ports |= UINT64_C(1) << port;
            ready_push(endpoint, ready, slot);
        }
        return true;
    }
    return false;
}

/* ---- receiving -------------------------------------------------------------------------------------------- */

static void ack_send(struct endpoint *endpoint, const struct packet *data, uint64_t now_ps)
{
    struct packet ack = {
        .dst = data->src, .src = data->dst, .flow = data->flow, .seq = data->seq, .entropy = data->entropy,
        .size_bytes = endpoint->config.shape.ack_bytes & PACKET_BYTES_MAX, .kind = PACKET_ACK,
        .is_marked = data->is_marked, .generation = data->generation};
    uint32_t host = ack.src;
    struct port_set set = routes_next(endpoint->config.routes, host, ack.dst);
    uint32_t port = route_choose(&set, packet_path_hash(&ack, 0));
    ack_push(endpoint, &endpoint->hosts[host].acks[port], &ack);
    engine_kick(endpoint->engine, host, port, now_ps);
}

/* True where the packet is new. */
static bool receive_note(const struct endpoint *endpoint, struct flow *flow, uint64_t seq)
{
    if (seq < flow->received_base || bit_get(endpoint, received_bits(endpoint, flow), seq)) {
        return false;
    }
    bit_put(endpoint, received_bits(endpoint, flow), seq, true);
    flow->received_count++;
    while (bit_get(endpoint, received_bits(endpoint, flow), flow->received_base)) {
        bit_put(endpoint, received_bits(endpoint, flow), flow->received_base++, false);
    }
    return true;
}

static void data_receive(struct endpoint *endpoint, const struct packet *packet, uint64_t now_ps)
{
    struct flow *flow = flow_at(endpoint, packet->src, packet->flow);
    struct host *host = &endpoint->hosts[packet->dst];
    host->counters.marked_packets += packet->is_marked;
    if (flow->generation != packet->generation || !receive_note(endpoint, flow, packet->seq)) {
        host->counters.duplicates++;
        ack_send(endpoint, packet, now_ps); /* its ACK may have been lost */
        return;
    }
    host->counters.data_packets_delivered++;
    host->counters.payload_bytes_delivered += packet->size_bytes - endpoint->config.shape.header_bytes;
    ack_send(endpoint, packet, now_ps);
    if (flow->received_count == flow->packet_count) {
        host->counters.messages_delivered++;
        flow->delivered_ps = now_ps;
        endpoint->config.ops->delivered(endpoint->config.context, &flow->message, now_ps);
    }
}

static void flow_finish(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps)
{
    struct message message = flow->message;
    uint64_t delivered_ps = flow->delivered_ps;
    uint32_t retransmissions = (uint32_t)(flow->sent_count - (flow->is_local ? 0 : flow->packet_count));
    endpoint->hosts[message.src_host].counters.messages_acked++;
    slot_free(endpoint, message.src_host, slot);
    endpoint->config.ops->acked(endpoint->config.context, &message, delivered_ps, retransmissions, now_ps);
}

static void ack_receive(struct endpoint *endpoint, const struct packet *packet, uint64_t now_ps)
{
    uint32_t host_id = packet->dst, slot = packet->flow;
    struct flow *flow = flow_at(endpoint, host_id, slot);
    endpoint->hosts[host_id].counters.acks_received++;
    bool is_late = flow->generation != packet->generation || packet->seq < flow->base_seq ||
                   flow->acked_count == flow->packet_count;
    if (is_late || bit_get(endpoint, acked_bits(flow), packet->seq)) {
        return;
    }
    uint64_t bytes = shape_packet_bytes(&endpoint->config.shape, flow->message.bytes, packet->seq);
    bit_put(endpoint, acked_bits(flow), packet->seq, true);
    flow->acked_count++;
    flow->flight_bytes -= bytes;
    flow->progress_ps = now_ps;
    while (flow->base_seq < flow->next_seq && bit_get(endpoint, acked_bits(flow), flow->base_seq)) {
        bit_put(endpoint, acked_bits(flow), flow->base_seq++, false);
    }
    if (endpoint->config.transport->acked != NULL) {
        endpoint->config.transport->acked(transport_state(endpoint, flow), bytes, packet->is_marked, now_ps);
    }
    if (flow->acked_count == flow->packet_count) {
        flow_finish(endpoint, flow, slot, now_ps);
        return;
    }
    flow_wake(endpoint, flow, slot, now_ps);
}

void endpoint_receive(struct endpoint *endpoint, uint32_t host, const struct packet *packet, uint64_t now_ps)
{
    DASSERT(packet->dst == host);
    (void)host;
    if (packet->kind == PACKET_DATA) {
        data_receive(endpoint, packet, now_ps);
    } else {
        ack_receive(endpoint, packet, now_ps);
    }
}

/* ---- timers ----------------------------------------------------------------------------------------------- */

static void local_finish(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps)
{
    struct message message = flow->message;
    endpoint->hosts[message.src_host].counters.messages_delivered++;
    endpoint->hosts[message.src_host].counters.payload_bytes_delivered += message.bytes;
    flow->delivered_ps = now_ps;
    endpoint->config.ops->delivered(endpoint->config.context, &message, now_ps);
    flow_finish(endpoint, flow, slot, now_ps);
}

/* Sends everything again that is out and has been quiet for rto; else looks again when that may be. */
static void repeat_if_due(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps)
{
    uint64_t due_ps = flow->progress_ps + endpoint->config.rto_ps;
    if (due_ps > now_ps) {
        timer_set(endpoint, flow, slot, due_ps);
        return;
    }
    flow->resend_seq = flow->base_seq;
    flow->resend_end = flow->next_seq;
    flow->progress_ps = now_ps;
    if (endpoint->config.transport->timed_out != NULL) {
        endpoint->config.transport->timed_out(transport_state(endpoint, flow), now_ps);
    }
    timer_set(endpoint, flow, slot, now_ps + endpoint->config.rto_ps);
    flow_wake(endpoint, flow, slot, now_ps);
}

void endpoint_timer(struct endpoint *endpoint, uint32_t host, uint64_t argument, uint64_t now_ps)
{
    uint32_t slot = (uint32_t)(argument & (FLOW_SLOTS_MAX - 1));
    struct flow *flow = flow_at(endpoint, host, slot);
    if (flow->generation != argument >> 24 || flow->timer_ps != now_ps) {
        return; /* I4 */
    }
    if (flow->is_local) {
        local_finish(endpoint, flow, slot, now_ps);
        return;
    }
    if (flow->allowed_ports == 0) {
        flow_open(endpoint, flow, slot, now_ps);
        return;
    }
    repeat_if_due(endpoint, flow, slot, now_ps);
}

/* ---- life ------------------------------------------------------------------------------------------------- */

static void hosts_init(struct endpoint *endpoint)
{
    const struct fabric *fabric = endpoint->config.fabric;
    endpoint->hosts = arena_array(endpoint->arena, fabric->host_count, struct host);
    for (uint32_t i = 0; i < fabric->host_count; i++) {
        uint32_t ports = fabric->port_first[i + 1] - fabric->port_first[i];
        struct host *host = &endpoint->hosts[i];
        host->free_slot = ID_NONE;
        host->ready = arena_array(endpoint->arena, ports, struct slot_ring);
        host->acks = arena_array(endpoint->arena, ports, struct ack_ring);
    }
}

static void facts_init(struct endpoint *endpoint)
{
    const struct endpoint_config *config = &endpoint->config;
    const struct fabric *fabric = config->fabric;
    endpoint->facts.packet_bytes = config->shape.packet_bytes;
    struct path_rtt rtt = path_rtt_max(fabric, config->routes, &config->shape);
    endpoint->facts.base_rtt_ps = rtt.idle_ps;
    endpoint->facts.duplex_rtt_ps = rtt.duplex_ps;
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        endpoint->can_lose |= fabric->port_queue_bytes[port] != UINT64_MAX;
        if (fabric->port_node[port] < fabric->host_count && fabric->rate_bps[port] > endpoint->facts.host_rate_bps) {
            endpoint->facts.host_rate_bps = fabric->rate_bps[port];
        }
    }
}

static void window_init(struct endpoint *endpoint)
{
    const struct endpoint_config *config = &endpoint->config;
    uint64_t window_bytes = config->transport->window_bytes_max(config->transport_values, &endpoint->facts);
    uint64_t packets = window_bytes / config->shape.packet_bytes + 1;
    endpoint->window_bits = 64;
    while (endpoint->window_bits < 2 * packets && endpoint->window_bits < FLOW_PACKETS_MAX) {
        endpoint->window_bits *= 2;
    }
    size_t bytes = sizeof(struct flow) + endpoint->window_bits / 4 + config->transport->state_bytes;
    endpoint->flow_bytes = (bytes + 15) / 16 * 16;
}

struct endpoint *endpoint_new(struct arena *arena, const struct endpoint_config *config)
{
    struct endpoint *endpoint = arena_one(arena, struct endpoint);
    endpoint->arena = arena;
    endpoint->config = *config;
    hosts_init(endpoint);
    facts_init(endpoint);
    window_init(endpoint);
    return endpoint;
}

void endpoint_attach(struct endpoint *endpoint, struct engine *engine)
{
    endpoint->engine = engine;
}

uint64_t endpoint_base_rtt_ps(const struct endpoint *endpoint)
{
    return endpoint->facts.base_rtt_ps;
}

void endpoint_counters(const struct endpoint *endpoint, struct endpoint_counters *sum)
{
    *sum = (struct endpoint_counters){0};
    for (uint32_t i = 0; i < endpoint->config.fabric->host_count; i++) {
        const uint64_t *from = (const uint64_t *)&endpoint->hosts[i].counters;
        uint64_t *to = (uint64_t *)sum;
        for (size_t field = 0; field < sizeof *sum / sizeof *to; field++) {
            to[field] += from[field];
        }
    }
}
