#include "netsim/transport/endpoint_int.h"

#include "netsim/base/rng.h"

/* ---- messages --------------------------------------------------------------------------------------------- */

/* Of the ports that a message may use, those that it will use. */
static uint64_t ports_given(const struct endpoint *endpoint, const struct flow *flow, uint64_t ports)
{
    if (!flow_is_pinned(endpoint, flow)) {
        return ports;
    }
    uint32_t left = rng_below(rng_draw(endpoint->config.seed, RNG_HOST_PORT, flow_identity(flow)),
                              (uint32_t)__builtin_popcountll(ports));
    for (; left > 0; left--) {
        ports &= ports - 1;
    }
    return ports & -ports;
}

static uint64_t ports_towards(const struct endpoint *endpoint, const struct flow *flow, uint64_t now_ps)
{
    struct port_set set = host_routes(endpoint, flow->message.src_host, flow->message.dst_host, now_ps);
    if (flow_is_pinned(endpoint, flow)) {
        return UINT64_C(1) << route_choose(&set, rng_draw(endpoint->config.seed, RNG_HOST_PORT, flow_identity(flow)));
    }
    uint64_t ports = 0;
    for (uint32_t i = 0; i < set.count; i++) {
        ports |= UINT64_C(1) << port_set_at(&set, i);
    }
    return ports;
}

/* Of equal times the lower slot comes first, however often it has been used. */
#define TIMER_SLOT_BIT 3
#define TIMER_KIND_BIT 27

void flow_timer_set(struct endpoint *endpoint, struct flow *flow, uint32_t slot, enum flow_timer kind,
                    uint64_t when_ps)
{
    if (kind == FLOW_TIMER) {
        flow->timer_ps = when_ps;
    }
    engine_timer(endpoint->engine, flow->message.src_host, when_ps, HOST_TIMER,
                 (uint64_t)kind << TIMER_KIND_BIT | (uint64_t)slot << TIMER_SLOT_BIT | flow->generation);
}

/* A message between ranks of one host: a copy, which takes local_ps and bytes / local_bps, whatever else is copied. */
static void local_send(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps)
{
    uint64_t copy_ps = endpoint->config.local_ps + serialisation_ps(flow->message.bytes, endpoint->config.local_bps);
    flow_timer_set(endpoint, flow, slot, FLOW_TIMER, now_ps + message_post_ps(&flow->message) + copy_ps);
}

static void transport_begin(const struct endpoint *endpoint, struct flow *flow, uint64_t now_ps)
{
    const struct transport *transport = endpoint->transport;
    struct flow_facts facts = {.now_ps = now_ps};
    struct connection *connection = flow->has_connection ? flow_connection(flow) : NULL;
    bool is_begun = connection != NULL && connection->is_begun;
    if (transport->begin == NULL || is_begun) {
        return;
    }
    if (connection != NULL) {
        connection->is_begun = true;
    }
    if (transport->wants_way) {
        const struct endpoint_config *config = &endpoint->config;
        uint32_t src = flow->message.src_host, dst = flow->message.dst_host;
        facts.hops = path_hops(config->fabric, config->routes, src, dst);
        facts.idle_rtt_ps = path_rtt(config->fabric, config->routes, &config->shape, src, dst).idle_ps;
    }
    transport->begin(endpoint->shared, steer_of(endpoint, flow)->state, &facts);
}

/* The ports of the source that a message may leave by now: those that its owner names, else those of the routes. */
static uint64_t ports_allowed(const struct endpoint *endpoint, const struct flow *flow, uint64_t now_ps)
{
    const struct endpoint_config *config = &endpoint->config;
    uint64_t ports = config->ops->ports != NULL ? config->ops->ports(config->context, &flow->message) : 0;
    return ports != 0 ? ports_given(endpoint, flow, ports) : ports_towards(endpoint, flow, now_ps);
}

/* From here on the message may use its ports. */
static void flow_open(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps)
{
    flow->allowed_ports = ports_allowed(endpoint, flow, now_ps);
    progress_note(endpoint, flow, now_ps);
    transport_begin(endpoint, flow, now_ps);
    if (endpoint->transport->pull != NULL) {
        pull_begin(endpoint, flow);
    }
    if (endpoint->can_lose) {
        uint64_t look_ps = endpoint->rto_low_ps > 0 ? endpoint->rto_low_ps : endpoint->rto_ps;
        flow_timer_set(endpoint, flow, slot, FLOW_TIMER, now_ps + look_ps);
    }
    flow_wake(endpoint, flow, slot, now_ps);
}

void flow_start(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps)
{
    if (!flow->is_early && !flow->waits_turn) {
        flow_open(endpoint, flow, slot, now_ps);
    }
}

/* When the first bit may leave: after software and NIC, one message at a time where the NIC has a gap. */
static uint64_t ready_ps(const struct endpoint *endpoint, struct host *host, uint64_t now_ps)
{
    const struct endpoint_config *config = &endpoint->config;
    uint64_t taken_ps = now_ps + config->post_ps;
    if (config->post_gap_ps > 0) {
        taken_ps = taken_ps > host->post_ps ? taken_ps : host->post_ps;
        host->post_ps = taken_ps + config->post_gap_ps;
    }
    return taken_ps + config->nic_ps;
}

/* A whole message, or a segment of one. */
static void flow_post(struct endpoint *endpoint, const struct message *message, struct parent *parent, uint64_t now_ps)
{
    uint32_t host_id = message->src_host;
    struct host *host = &endpoint->hosts[host_id];
    uint32_t slot = slot_take(endpoint, host_id);
    struct flow *flow = flow_at(endpoint, host_id, slot);
    flow->message = *message;
    flow->message.posted_ps = now_ps;
    if (parent != NULL) {
        flow->has_parent = true;
        flow->message.post_ns = parent->number;
    }
    uint32_t packets = (uint32_t)shape_packets(&endpoint->config.shape, message->bytes);
    __atomic_store_n(&flow->packet_count, packets, __ATOMIC_RELEASE);
    flow_identity_set(flow, host->message_count++);
    flow->reach = path_reach(endpoint->config.fabric, endpoint->config.routes, host_id, message->dst_host) & 3;
    if (flow->reach == REACH_HOST) {
        local_send(endpoint, flow, slot, now_ps);
        return;
    }
    flow_ring_take(endpoint, flow);
    if (endpoint->config.connections > 0) {
        connection_join(endpoint, flow, slot, message->channel);
    }
    uint64_t start_ps = ready_ps(endpoint, host, now_ps + message_post_ps(message));
    if (start_ps > now_ps) {
        flow->is_early = true;
        flow_timer_set(endpoint, flow, slot, FLOW_TIMER, start_ps);
        return;
    }
    flow_start(endpoint, flow, slot, now_ps);
}

void endpoint_send(struct endpoint *endpoint, const struct message *message, uint64_t now_ps)
{
    uint64_t segment_bytes = endpoint->segment_bytes;
    endpoint->hosts[message->src_host].counters.messages_posted++;
    if ((message->dst_host & MESSAGE_TEAM) != 0) {
        struct host *host = &endpoint->hosts[message->src_host];
        team_send(endpoint, message, ready_ps(endpoint, host, now_ps + message_post_ps(message)), now_ps);
        return;
    }
    if (message->bytes <= segment_bytes || message->src_host == message->dst_host) {
        flow_post(endpoint, message, NULL, now_ps);
        return;
    }
    uint64_t count = (message->bytes + segment_bytes - 1) / segment_bytes;
    struct parent *parent = parent_take(endpoint, message, (uint32_t)count);
    parent->message.posted_ps = now_ps;
    for (uint64_t i = 0; i < count; i++) {
        struct message part = *message;
        part.bytes = i + 1 < count ? segment_bytes : message->bytes - i * segment_bytes;
        flow_post(endpoint, &part, parent, now_ps);
    }
}

/* ---- the end of messages ---------------------------------------------------------------------------------- */

void flow_end(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps)
{
    struct message message = flow->message;
    struct parent *parent = parent_of(endpoint, flow);
    struct message_fate fate = {
        .delivered_ps = flow->delivered_ps,
        .retransmissions = flow->reach == REACH_HOST ? 0 : flow->sent_count - flow->packet_count,
        .nacks = flow->nacks,
        .trimmed = flow->trimmed,
        .duplicates = flow->duplicates,
        .reordered = flow->reordered,
        .reorder_max = flow->reorder_max,
        .reorder_sum = flow->reorder_sum,
    };
    slot_free(endpoint, message.src_host, slot);
    if (parent == NULL || parent_finish(endpoint, parent, &message, &fate)) {
        endpoint->hosts[message.src_host].counters.messages_acked++;
        endpoint->config.ops->acked(endpoint->config.context, &message, &fate, now_ps);
    }
}

void flow_finish(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps)
{
    if (flow->has_connection) {
        connection_finish(endpoint, flow_connection(flow), flow->message.src_host, now_ps);
    } else {
        flow_end(endpoint, flow, slot, now_ps);
    }
}

/* Until the NIC has written it to memory. */
static void landing_push(struct endpoint *endpoint, const struct message *message, uint64_t when_ps)
{
    struct landing_ring *ring = &endpoint->hosts[message->dst_host].landings;
    if (ring->count == ring->capacity) {
        uint32_t capacity = ring->capacity == 0 ? 8 : ring->capacity * 2;
        struct landing *landings = arena_array(endpoint->arena, capacity, struct landing);
        for (uint32_t i = 0; i < ring->count; i++) {
            landings[i] = ring->landings[(ring->head + i) & (ring->capacity - 1)];
        }
        *ring = (struct landing_ring){landings, 0, ring->count, capacity};
    }
    ring->landings[(ring->head + ring->count++) & (ring->capacity - 1)] = (struct landing){when_ps, *message};
    engine_timer(endpoint->engine, message->dst_host, when_ps, HOST_TIMER, LANDING_TIMER);
}

/* The first one that is due, in the order in which they came: nearly always the oldest. */
static void landing_due(struct endpoint *endpoint, uint32_t host_id, uint64_t now_ps)
{
    struct landing_ring *ring = &endpoint->hosts[host_id].landings;
    uint32_t mask = ring->capacity - 1, at = 0;
    while (ring->landings[(ring->head + at) & mask].when_ps != now_ps) {
        at++;
    }
    struct landing landing = ring->landings[(ring->head + at) & mask];
    for (; at > 0; at--) {
        ring->landings[(ring->head + at) & mask] = ring->landings[(ring->head + at - 1) & mask];
    }
    ring->head = (ring->head + 1) & mask;
    ring->count--;
    endpoint->config.ops->delivered(endpoint->config.context, &landing.message, landing.when_ps);
}

void delivery_tell(struct endpoint *endpoint, const struct message *message, uint64_t now_ps)
{
    if (endpoint->config.nic_ps > 0) {
        landing_push(endpoint, message, now_ps + endpoint->config.nic_ps);
    } else {
        endpoint->config.ops->delivered(endpoint->config.context, message, now_ps);
    }
}

void flow_deliver(struct endpoint *endpoint, struct flow *flow, uint64_t now_ps)
{
    const struct message *message = &flow->message;
    flow->delivered_ps = now_ps + endpoint->config.nic_ps;
    struct parent *parent = parent_of(endpoint, flow);
    if (parent != NULL) {
        message = &parent->message;
        if (++parent->delivered < parent->count) {
            return;
        }
    }
    endpoint->hosts[message->dst_host].counters.messages_delivered++;
    uint64_t told_ps = flow->delivered_ps;
    if (endpoint->config.is_told_late) {
        const struct endpoint_config *config = &endpoint->config;
        const struct packet_shape ack = {config->shape.ack_bytes, config->shape.ack_bytes - 1, config->shape.ack_bytes,
                                         config->shape.cells};
        told_ps += path_idle_ps(config->fabric, config->routes, &ack, true, message->dst_host, message->src_host, 1);
    }
    if (told_ps > now_ps) {
        landing_push(endpoint, message, told_ps);
    } else {
        endpoint->config.ops->delivered(endpoint->config.context, message, now_ps);
    }
}

void endpoint_receive(struct endpoint *endpoint, uint32_t host, const struct packet *packet, uint64_t now_ps)
{
    if (__builtin_expect(packet->dst != host, 0)) {
        team_receive(endpoint, host, packet, now_ps);
        return;
    }
    switch (packet->kind) {
    case PACKET_DATA:
        data_receive(endpoint, packet, now_ps);
        return;
    case PACKET_ACK:
        ack_receive(endpoint, packet, now_ps);
        return;
    case PACKET_NACK:
        nack_receive(endpoint, packet, now_ps);
        return;
    case PACKET_CONTROL:
        control_receive(endpoint, packet, now_ps);
        return;
    }
}

/* ---- timers ----------------------------------------------------------------------------------------------- */

static void local_finish(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps)
{
    struct message message = flow->message;
    endpoint->hosts[message.src_host].counters.messages_delivered++;
    endpoint->hosts[message.src_host].counters.payload_bytes_delivered += message.bytes;
    endpoint->hosts[message.src_host].counters.moved_ps = now_ps;
    flow->delivered_ps = now_ps;
    endpoint->config.ops->delivered(endpoint->config.context, &message, now_ps);
    flow_end(endpoint, flow, slot, now_ps);
}

/* Gives everything up that is out; the bytes of it. */
static uint64_t all_give_up(struct endpoint *endpoint, struct flow *flow)
{
    const struct steer *steer = steer_of(endpoint, flow);
    uint64_t flight_bytes = steer->flight_bytes;
    if (flow_ack(endpoint, flow) == ACK_IN_ORDER) {
        go_back(endpoint, flow, flow->base_seq);
        return flight_bytes - steer->flight_bytes;
    }
    for (uint32_t seq = flow->base_seq; seq < flow->next_seq; seq++) {
        if (!set_has(flow, SET_ACKED, seq) && !set_has(flow, SET_LOST, seq)) {
            packet_give_up(endpoint, flow, seq);
        }
    }
    return flight_bytes - steer->flight_bytes;
}

/* So often doubled; as it is where that would be beyond all runs. */
static uint64_t backed_off_ps(uint64_t rto_ps, uint32_t level)
{
    return rto_ps > TIME_NEVER_PS >> (BACKOFF_MAX + 4) ? rto_ps : rto_ps << level;
}

/* A timeout that gave up what was sent before `end`. */
static void backoff_count(const struct endpoint *endpoint, struct flow *flow, uint32_t end)
{
    bool is_repeated = flow->is_backing_off && !flow->has_moved;
    flow->backoff = (uint8_t)(flow->backoff + (is_repeated && flow->backoff < endpoint->backoff_max));
    flow->backoff_until = end > flow->backoff_until ? end : flow->backoff_until;
    flow->is_backing_off = true;
    flow->has_moved = false;
}

/* Sends everything again that is out and has been quiet for rto; else looks again when that may be. */
static uint64_t flow_repeat(struct endpoint *endpoint, struct flow *flow, uint64_t now_ps, uint64_t *next_ps)
{
    union progress *progress = progress_of(endpoint, flow);
    uint64_t due_ps = progress->moved_ps + backed_off_ps(endpoint->rto_ps, flow->backoff);
    if (due_ps > now_ps) {
        *next_ps = due_ps;
        return 0;
    }
    uint32_t end = flow->next_seq;
    uint64_t lost_bytes = all_give_up(endpoint, flow);
    if (lost_bytes > 0) {
        backoff_count(endpoint, flow, end);
    }
    progress->moved_ps = now_ps;
    *next_ps = now_ps + backed_off_ps(endpoint->rto_ps, flow->backoff);
    return lost_bytes;
}

/* After which time a packet counts as lost now. */
static uint64_t rto_now_ps(const struct endpoint *endpoint, const struct flow *flow)
{
    uint32_t under_way = flow->next_seq - flow->acked_count - flow->lost_count;
    bool is_low = endpoint->rto_low_ps > 0 && under_way < endpoint->transport->rto_few;
    return backed_off_ps(is_low ? endpoint->rto_low_ps : endpoint->rto_ps, flow->backoff);
}

/* The same for each packet by itself. Where there is a shorter timeout for few packets, it is due soon enough to see that
 * they have become few. */
static uint64_t packets_repeat(struct endpoint *endpoint, struct flow *flow, uint64_t now_ps, uint64_t *next_ps)
{
    uint64_t *times = sent_times(endpoint, flow), lost_bytes = 0, rto_ps = rto_now_ps(endpoint, flow);
    uint32_t lost_end = 0;
    *next_ps = now_ps + (endpoint->rto_low_ps > 0 ? endpoint->rto_low_ps : endpoint->rto_ps);
    for (uint32_t seq = flow->base_seq; seq < flow->next_seq; seq++) {
        if (set_has(flow, SET_ACKED, seq) || set_has(flow, SET_LOST, seq)) {
            continue;
        }
        uint64_t *time = &times[ring_index(flow, seq)], due_ps = (*time & ~SENT_TWICE) + rto_ps;
        if (due_ps <= now_ps) {
            packet_give_up(endpoint, flow, seq);
            *time |= SENT_TWICE;
            lost_bytes += flow_packet_bytes(endpoint, flow, seq);
            lost_end = seq + 1;
        } else {
            *next_ps = due_ps < *next_ps ? due_ps : *next_ps;
        }
    }
    if (lost_bytes > 0) {
        backoff_count(endpoint, flow, lost_end);
    }
    return lost_bytes;
}

static void repeat_if_due(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps)
{
    uint64_t next_ps;
    uint64_t lost_bytes = repeats_singly(endpoint) ? packets_repeat(endpoint, flow, now_ps, &next_ps)
                                                   : flow_repeat(endpoint, flow, now_ps, &next_ps);
    if (endpoint->config.epochs != NULL) {
        flow->allowed_ports = ports_allowed(endpoint, flow, now_ps);
    }
    if (lost_bytes > 0 && endpoint->transport->timed_out != NULL) {
        endpoint->transport->timed_out(endpoint->shared, steer_of(endpoint, flow)->state, lost_bytes, now_ps);
    }
    if (endpoint->transport->pull != NULL) {
        pull_ask(endpoint, flow, slot, now_ps);
    }
    flow_timer_set(endpoint, flow, slot, FLOW_TIMER, next_ps);
    flow_wake(endpoint, flow, slot, now_ps);
}

static void pace_over(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps)
{
    if (flow->is_paced) { /* too early where it is not the one set last: it is set again (I4) */
        flow->is_paced = false;
        flow_wake(endpoint, flow, slot, now_ps);
    }
}

void endpoint_renew(struct endpoint *endpoint, uint32_t host_id)
{
    struct host *host = &endpoint->hosts[host_id];
    host->message_count = 0;
    slots_renew(endpoint, host_id);
    for (uint32_t port = 0; port < host->port_count; port++) {
        host->ports[port].turn = 0;
    }
}

void endpoint_timer(struct endpoint *endpoint, uint32_t host, uint64_t argument, uint64_t now_ps)
{
    if (argument >= PULL_TIMER && argument < LANDING_TIMER) {
        pull_due(endpoint, host, (uint32_t)(argument - PULL_TIMER), now_ps);
        return;
    }
    if (argument == LANDING_TIMER) {
        landing_due(endpoint, host, now_ps);
        return;
    }
    if (argument >= TEAM_TIMER) {
        team_due(endpoint, host, (uint32_t)(argument & (FLOW_SLOTS_MAX - 1)), now_ps);
        return;
    }
    uint32_t slot = (uint32_t)(argument >> TIMER_SLOT_BIT & (FLOW_SLOTS_MAX - 1));
    struct flow *flow = flow_at(endpoint, host, slot);
    if (flow->generation != (argument & 7)) {
        return;
    }
    if (argument >> TIMER_KIND_BIT == FLOW_PACE) {
        pace_over(endpoint, flow, slot, now_ps);
        return;
    }
    if (flow->timer_ps != now_ps) {
        return; /* I4 */
    }
    if (flow->reach == REACH_HOST) {
        local_finish(endpoint, flow, slot, now_ps);
        return;
    }
    if (flow->is_early) {
        flow->is_early = false;
        flow_start(endpoint, flow, slot, now_ps);
        return;
    }
    repeat_if_due(endpoint, flow, slot, now_ps);
}

/* ---- life ------------------------------------------------------------------------------------------------- */

static void hosts_init(struct endpoint *endpoint)
{
    const struct fabric *fabric = endpoint->config.fabric;
    endpoint->hosts = arena_array(endpoint->arena, fabric->host_count, struct host);
    endpoint->first_chunks = arena_array(endpoint->arena, fabric->host_count, struct flow *);
    struct host_port *host_ports = arena_array(endpoint->arena, fabric->port_first[fabric->host_count], struct host_port);
    for (uint32_t i = 0; i < fabric->host_count; i++) {
        struct host *host = &endpoint->hosts[i];
        host->free_slot = ID_NONE;
        host->ports = host_ports + fabric->port_first[i];
        host->port_count = fabric->port_first[i + 1] - fabric->port_first[i];
    }
}

static bool has_host_of_many_ports(const struct fabric *fabric)
{
    return fabric->port_first[fabric->host_count] > fabric->host_count;
}

static void link_note(const struct fabric *fabric, uint32_t port, struct transport_facts *facts)
{
    uint32_t peer = fabric->port_peer[port];
    if (peer == ID_NONE) {
        return;
    }
    uint64_t way_ps = link_delay_ps(fabric, port) + link_delay_ps(fabric, peer);
    uint64_t latency_ps = fabric->node_latency_ps[fabric->port_node[peer]], trip_ps = way_ps + 2 * latency_ps;
    uint64_t bytes = line_bytes(way_ps + latency_ps, fabric->rate_bps[port]);
    facts->link_trip_ps = trip_ps > facts->link_trip_ps ? trip_ps : facts->link_trip_ps;
    facts->link_trip_bytes = bytes > facts->link_trip_bytes ? bytes : facts->link_trip_bytes;
}

/* Of ports that are open in turn the slowest, as a mean over a cycle; one that never opens has no queue. */
static uint64_t drain_bps(const struct fabric *fabric, uint64_t host_bps)
{
    uint64_t least_bps = host_bps;
    for (uint32_t port = 0; fabric->port_gate != NULL && port < fabric->port_count; port++) {
        uint64_t mean_bps = fabric_port_mean_bps(fabric, port);
        bool is_in_turn = mean_bps < fabric->rate_bps[port] && mean_bps > 0;
        least_bps = is_in_turn && mean_bps < least_bps ? mean_bps : least_bps;
    }
    return least_bps;
}

struct transport_facts endpoint_facts(const struct fabric *fabric, const struct routes *routes,
                                      const struct packet_shape *shape)
{
    struct path_rtt rtt = path_rtt_max(fabric, routes, shape);
    struct transport_facts facts = {.packet_bytes = shape->packet_bytes, .header_bytes = shape->header_bytes,
                                    .base_rtt_ps = rtt.idle_ps, .duplex_rtt_ps = rtt.duplex_ps, .gate_ps = rtt.gate_ps};
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        bool is_host = fabric->port_node[port] < fabric->host_count;
        link_note(fabric, port, &facts);
        if (is_host && fabric->rate_bps[port] > facts.host_rate_bps) {
            facts.host_rate_bps = fabric->rate_bps[port];
        }
    }
    facts.drain_bps = drain_bps(fabric, facts.host_rate_bps);
    facts.flight_bytes = line_bytes(facts.duplex_rtt_ps, facts.host_rate_bps);
    if (has_host_of_many_ports(fabric)) {
        uint64_t flight_bytes = path_flight_bytes_max(fabric, routes, shape);
        facts.flight_bytes = flight_bytes > facts.flight_bytes ? flight_bytes : facts.flight_bytes;
    }
    return facts;
}

uint64_t endpoint_rto_ps(const struct endpoint *endpoint)
{
    return endpoint->can_lose ? endpoint->rto_ps : 0;
}

uint64_t endpoint_rto_ps_max(const struct endpoint *endpoint)
{
    return backed_off_ps(endpoint_rto_ps(endpoint), endpoint->backoff_max);
}

#define SLOW_PS_MAX (3600 * PS_PER_S) /* longer would be patience with what nobody waits for */
#define SLOW_PACKETS_MAX 1024 /* 4 MB of packets of 4 KiB, where windows have no limit */
uint64_t endpoint_slow_ps(const struct endpoint *endpoint)
{
    uint64_t packets = endpoint->window_packets < SLOW_PACKETS_MAX ? endpoint->window_packets : SLOW_PACKETS_MAX;
    uint64_t rate_bps = endpoint->config.slowest_bps;
    uint64_t packet_ps = rate_bps == 0 ? 0 : serialisation_ps(endpoint->config.shape.packet_bytes, rate_bps);
    return packet_ps > SLOW_PS_MAX / packets ? SLOW_PS_MAX : packets * packet_ps;
}

/* Until what stands before the slowest link is through. */
static void backoff_init(struct endpoint *endpoint)
{
    uint64_t slow_ps = endpoint_slow_ps(endpoint);
    endpoint->backoff_max = BACKOFF_MIN;
    while (endpoint->backoff_max < BACKOFF_MAX && backed_off_ps(endpoint->rto_ps, endpoint->backoff_max) < slow_ps) {
        endpoint->backoff_max++;
    }
}

/* The longest that a packet may have to wait for light: until circuits are up, for a round of a schedule, for one
 * change of an optical switch. What waits in the dark is not lost. */
static uint64_t dark_ps_max(const struct fabric *fabric, const struct packet_shape *shape)
{
    uint64_t dark_ps = 0;
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        dark_ps = fabric->port_up_ps[port] > dark_ps ? fabric->port_up_ps[port] : dark_ps;
        uint32_t gate = fabric->port_gate == NULL ? ID_NONE : fabric->port_gate[port];
        uint64_t round_ps = gate == ID_NONE ? 0 : fabric->gates[gate].period_ps;
        round_ps *= round_ps > 0 ? fabric_windows_max(fabric, &shape->cells, port, shape->packet_bytes) : 0;
        dark_ps = round_ps > dark_ps ? round_ps : dark_ps;
    }
    for (uint32_t i = 0; i < fabric->optical_count; i++) {
        const struct optical *optical = &fabric->optical[i];
        uint64_t change_ps = optical->settle_ps + optical->relock_ps + optical->control_ps;
        dark_ps = change_ps > dark_ps ? change_ps : dark_ps;
    }
    return dark_ps;
}

/* What the queues mean for the ends. */
static void queues_look(struct endpoint *endpoint, const struct queue_profile *profile)
{
    const struct fabric *fabric = endpoint->config.fabric;
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        endpoint->can_lose |= fabric->port_queue_bytes[port] != UINT64_MAX;
    }
    endpoint->can_lose |= endpoint->config.can_fail || profile->shared_bytes > 0;
    /* Go-back-N throws packets away that overtake others. */
    bool is_one_path = balance_has(endpoint->config.balance, BALANCE_PINNED) && !profile->is_adaptive;
    endpoint->can_lose |= endpoint->ack == ACK_IN_ORDER && !is_one_path;
    for (uint32_t class = 0; class < profile->class_count; class++) {
        endpoint->can_lose |= profile->class[class].capacity_bytes > 0;
        endpoint->can_close |= profile->class[class].xoff_bytes > 0 || profile->class[class].credit_bytes > 0;
    }
    uint32_t classes = profile->class_count / (profile->lane_count > 1 ? profile->lane_count : 1);
    endpoint->control_class = classes > 1 ? 1 : 0;
    if (endpoint->transport->rto_ps != NULL) {
        endpoint->rto_ps = endpoint->transport->rto_ps(endpoint->config.transport_values, &endpoint->facts, profile);
    }
    endpoint->rto_ps = endpoint->rto_ps == 0 ? endpoint->config.rto_ps : endpoint->rto_ps;
    if (endpoint->transport->rto_low_ps != NULL && endpoint->has_times && endpoint->ack != ACK_IN_ORDER) {
        endpoint->rto_low_ps = endpoint->transport->rto_low_ps(endpoint->config.transport_values, &endpoint->facts, endpoint->rto_ps);
        endpoint->rto_low_ps += 2 * dark_ps_max(endpoint->config.fabric, &endpoint->config.shape);
    }
    endpoint->rto_ps += 2 * dark_ps_max(endpoint->config.fabric, &endpoint->config.shape);
}

/* Whole lines, where an eighth more at most makes it so: else the lines of a flow are not those of the memory. */
static size_t flow_bytes_of(size_t tail_bytes)
{
    size_t bytes = sizeof(struct flow) + tail_bytes, lines_bytes = (bytes + 63) / 64 * 64;
    return (lines_bytes - bytes) * 8 <= bytes ? lines_bytes : bytes;
}

/* What stands behind a message or a connection, and behind a message. */
static void tails_init(struct endpoint *endpoint)
{
    const struct transport *transport = endpoint->transport;
    endpoint->is_paced = transport->gap_ps != NULL;
    endpoint->good_offset = (transport->state_bytes + 7) / 8 * 8;
    endpoint->flowlet_offset = endpoint->good_offset + (endpoint->recycles ? sizeof(struct good_entropies) : 0);
    endpoint->pace_offset = endpoint->flowlet_offset + (has_flowlets(endpoint) ? sizeof(struct flowlet) : 0);
    size_t state_bytes = endpoint->pace_offset + (endpoint->is_paced ? sizeof(uint64_t) : 0);
    endpoint->connection_bytes = sizeof(struct connection) + state_bytes;
    endpoint->pull_offset = endpoint->config.connections > 0 ? sizeof(struct membership) : state_bytes;
    if (transport->pull != NULL) {
        transport->pull(endpoint->config.transport_values, &endpoint->facts, &endpoint->pull);
    }
    endpoint->progress_offset = endpoint->pull_offset + (transport->pull != NULL ? sizeof(struct pull_state) : 0);
    endpoint->has_progress = endpoint->repeats_gaps || (endpoint->can_lose && !repeats_singly(endpoint));
    size_t tail_bytes = endpoint->progress_offset + (endpoint->has_progress ? sizeof(union progress) : 0);
    endpoint->flow_bytes = flow_bytes_of(tail_bytes);
}

static void transport_init(struct endpoint *endpoint)
{
    const struct endpoint_config *config = &endpoint->config;
    const struct transport *transport = config->transport;
    endpoint->shared = arena_alloc(endpoint->arena, transport->shared_bytes + 1);
    if (transport->prepare != NULL) {
        transport->prepare(config->transport_values, &endpoint->facts, endpoint->shared);
    }
    endpoint->window_packets = UINT64_MAX;
    if (transport->window_bytes_max != NULL) {
        uint64_t window_bytes = transport->window_bytes_max(config->transport_values, &endpoint->facts);
        endpoint->window_packets = 2 * (window_bytes / config->shape.packet_bytes + 1);
    }
    endpoint->recycles = balance_has(config->balance, BALANCE_RECYCLED) && (endpoint->ack != ACK_IN_ORDER || endpoint->has_times);
    endpoint->probes = endpoint->ack == ACK_COALESCED && transport->window != WINDOW_NONE;
    endpoint->repeats_gaps = transport->repeats_gaps && endpoint->ack == ACK_EACH && balance_has(config->balance, BALANCE_PINNED);
    tails_init(endpoint);
    if (transport->pull != NULL) {
        pacers_init(endpoint);
    }
}

struct endpoint *endpoint_new(struct arena *arena, const struct endpoint_config *config)
{
    struct endpoint *endpoint = arena_one(arena, struct endpoint);
    endpoint->arena = arena;
    endpoint->config = *config;
    endpoint->config.entropies = config->entropies == 0 ? 64 : config->entropies;
    endpoint->segment_bytes = shape_payload_bytes(&config->shape) * (uint64_t)FLOW_PACKETS_MAX;
    if (config->segment_bytes > 0 && config->segment_bytes < endpoint->segment_bytes) {
        endpoint->segment_bytes = config->segment_bytes;
    }
    endpoint->transport = config->transport;
    endpoint->ack = transport_ack(config->transport, config->transport_values);
    endpoint->has_times = config->transport->has_times || (config->transport->repeats_gaps && endpoint->ack == ACK_EACH);
    endpoint->facts = endpoint_facts(config->fabric, config->routes, &config->shape);
    hosts_init(endpoint);
    queues_look(endpoint, config->queues != NULL ? config->queues : &queue_profile_plain);
    transport_init(endpoint);
    backoff_init(endpoint);
    teams_init(endpoint);
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
        for (size_t field = 0; field < offsetof(struct endpoint_counters, reorder_max) / sizeof *to; field++) {
            to[field] += from[field];
        }
        uint64_t reorder_max = endpoint->hosts[i].counters.reorder_max;
        sum->reorder_max = reorder_max > sum->reorder_max ? reorder_max : sum->reorder_max;
        uint64_t moved_ps = endpoint->hosts[i].counters.moved_ps;
        sum->moved_ps = moved_ps > sum->moved_ps ? moved_ps : sum->moved_ps;
    }
}
