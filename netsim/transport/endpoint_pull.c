/* Receiver-driven credit: who may send is decided where the packets arrive.
 *
 *     sender                                              receiver
 *     first window on speculation, then on credit  ─data─►  notes how far the sender wants to be granted (target)
 *     adds what was granted since the last pull    ◄─pull─  one pull per packet time of the host's ports, in turn:
 *                                                            1. messages with trimmed packets
 *                                                            2. messages granted less than their target
 *                                                            3. messages beyond it, up to one window more
 *     nothing under way and no credit: asks        ─ask──►  grants what was lost
 *
 * Credit is counted in quanta of 512 B from the message's start, modulo 2^24 in packets. The target of a
 * packet is looked up in the sender's half when it arrives; it is written before the packet leaves, and
 * again only for a repeat of one that has arrived without its payload. */
#include "netsim/transport/endpoint_int.h"

#define QUANTUM_BYTES 512 /* uet-htsim, eqdspacket.h: PULL_QUANTUM */
#define PULL_MASK 0xffffffu

enum { IN_REPEAT = 1, IN_ACTIVE = 2, IN_IDLE = 4 };

static struct pull_state *pull_state(const struct endpoint *endpoint, struct flow *flow)
{
    return (struct pull_state *)(flow_tail(flow) + endpoint->pull_offset);
}

/* ---- the sender's half ------------------------------------------------------------------------------------ */

void pull_begin(struct endpoint *endpoint, struct flow *flow)
{
    struct pull_state *pull = pull_state(endpoint, flow);
    pull->speculative_bytes = (int64_t)endpoint->pull.window_bytes;
}

bool pull_may_send(const struct endpoint *endpoint, struct flow *flow)
{
    const struct pull_state *pull = pull_state(endpoint, flow);
    bool is_new = flow->lost_count == 0;
    return pull->credit_bytes > 0 || (is_new && !pull->is_committed && pull->speculative_bytes > 0);
}

static int64_t unsent_bytes(const struct endpoint *endpoint, const struct flow *flow)
{
    const struct packet_shape *shape = &endpoint->config.shape;
    uint64_t packets = flow->packet_count - flow->next_seq;
    uint64_t sent_bytes = flow->next_seq * shape_payload_bytes(shape);
    return packets == 0 ? 0 : (int64_t)(packets * shape->header_bytes + flow->message.bytes - sent_bytes);
}

/* How far the sender wants to be granted, from the start of the message: a window beyond what it has, or all
 * that is left; while it speculates at least a packet more, since it will stop when the answer comes
 * (uec.cpp, computePullTarget). */
static int32_t target_now(const struct endpoint *endpoint, const struct flow *flow, const struct pull_state *pull)
{
    int64_t window_bytes = (int64_t)endpoint->pull.window_bytes, unsent = unsent_bytes(endpoint, flow);
    int64_t packet_bytes = (int64_t)endpoint->facts.packet_bytes;
    int64_t wanted_bytes = unsent < window_bytes ? unsent : window_bytes;
    wanted_bytes -= pull->credit_bytes + pull->speculative_bytes;
    if (!pull->is_committed && unsent > 0 && wanted_bytes < packet_bytes) {
        wanted_bytes = packet_bytes;
    }
    wanted_bytes += (int64_t)pull->pulled * QUANTUM_BYTES;
    return (int32_t)((wanted_bytes + QUANTUM_BYTES - 1) / QUANTUM_BYTES);
}

void pull_sent(struct endpoint *endpoint, struct flow *flow, uint32_t seq, uint64_t bytes, bool is_repeat)
{
    struct pull_state *pull = pull_state(endpoint, flow);
    if (pull->credit_bytes > 0) {
        pull->credit_bytes -= (int64_t)bytes;
    } else {
        pull->speculative_bytes -= (int64_t)bytes;
    }
    if (!is_repeat || !(sent_times(endpoint, flow)[ring_index(flow, seq)] & SENT_TWICE)) {
        pull_targets(endpoint, flow)[ring_index(flow, seq)] = target_now(endpoint, flow, pull);
    }
}

/* The receiver knows of the message: no more speculation. */
void pull_commit(struct endpoint *endpoint, struct flow *flow)
{
    struct pull_state *pull = pull_state(endpoint, flow);
    pull->is_committed = true;
    pull->speculative_bytes = 0;
}

void pull_ask(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps)
{
    const struct pull_state *pull = pull_state(endpoint, flow);
    bool is_quiet = flow->acked_count + flow->lost_count >= flow->next_seq; /* nothing under way */
    bool is_waiting = flow->lost_count > 0 || (is_quiet && flow->next_seq < flow->packet_count);
    if (!is_waiting || pull->credit_bytes > 0) {
        return;
    }
    pull_commit(endpoint, flow);
    uint32_t packets = flow->lost_count > 0 ? flow->lost_count : 1;
    struct packet packet = {.dst = flow->message.dst_host & (FABRIC_HOSTS_MAX - 1),
                            .src = flow->message.src_host & (FABRIC_HOSTS_MAX - 1),
                            .flow = slot & (FLOW_SLOTS_MAX - 1),
                            .seq = packets & PULL_MASK,
                            .size_bytes = endpoint->config.shape.ack_bytes & PACKET_BYTES_MAX,
                            .entropy = (uint16_t)(now_ps / PS_PER_NS),
                            .kind = PACKET_CONTROL,
                            .class = endpoint->control_class & 7,
                            .asks_ack = 1,
                            .generation = flow->generation & 7u};
    control_send(endpoint, &packet, now_ps);
}

static void pull_receive(struct endpoint *endpoint, const struct packet *packet, uint64_t now_ps)
{
    struct flow *flow = flow_at(endpoint, packet->dst, packet->flow);
    if (flow->generation != packet->generation || flow->acked_count == flow->packet_count) {
        return;
    }
    struct pull_state *pull = pull_state(endpoint, flow);
    uint32_t quanta = ((uint32_t)packet->seq - pull->pulled) & PULL_MASK;
    if (quanta <= PULL_MASK / 2) { /* else a later pull has overtaken this one */
        int64_t window_bytes = (int64_t)endpoint->pull.window_bytes;
        pull->pulled += quanta;
        pull->credit_bytes += (int64_t)quanta * QUANTUM_BYTES;
        pull->credit_bytes = pull->credit_bytes < window_bytes ? pull->credit_bytes : window_bytes;
    }
    pull_commit(endpoint, flow);
    flow_wake(endpoint, flow, packet->flow, now_ps);
}

/* ---- the receiver's half ---------------------------------------------------------------------------------- */

static void list_push(struct endpoint *endpoint, struct pull_list *list, const struct pull_entry *entry)
{
    if (list->count == list->capacity) {
        uint32_t capacity = list->capacity == 0 ? 8 : list->capacity * 2;
        struct pull_entry *entries = arena_array(endpoint->arena, capacity, struct pull_entry);
        for (uint32_t i = 0; i < list->count; i++) {
            entries[i] = list->entries[(list->head + i) & (list->capacity - 1)];
        }
        *list = (struct pull_list){entries, 0, list->count, capacity};
    }
    list->entries[(list->head + list->count++) & (list->capacity - 1)] = *entry;
}

/* The first entry that is still wanted. */
static bool list_pop(struct pull_list *list, struct pull_entry *entry)
{
    while (list->count > 0) {
        *entry = list->entries[list->head];
        list->head = (list->head + 1) & (list->capacity - 1);
        list->count--;
        if (entry->host != ID_NONE) {
            return true;
        }
    }
    return false;
}

static void list_remove(struct pull_list *list, uint32_t host, uint32_t slot)
{
    for (uint32_t i = 0; i < list->count; i++) {
        struct pull_entry *entry = &list->entries[(list->head + i) & (list->capacity - 1)];
        if (entry->host == host && entry->slot == slot) {
            entry->host = ID_NONE;
        }
    }
}

static struct pull_list *list_of(struct pull_pacer *pacer, uint8_t which)
{
    return which == IN_REPEAT ? &pacer->repeat : which == IN_ACTIVE ? &pacer->active : &pacer->idle;
}

static void list_join(struct endpoint *endpoint, struct pull_pacer *pacer, struct pull_state *pull, uint8_t which,
                      const struct pull_entry *entry)
{
    if (!(pull->lists & which)) {
        pull->lists |= which;
        list_push(endpoint, list_of(pacer, which), entry);
    }
}

/* Of a message, at its receiver: found when its first packet comes. */
static struct pull_pacer *pacer_of(const struct endpoint *endpoint, const struct packet *packet, struct pull_state *pull)
{
    const struct host *host = &endpoint->hosts[packet->dst];
    if (pull->pacer == 0) {
        pull->pacer = (uint8_t)(1 + (host->pacer_of == NULL ? 0 : pacer_towards(endpoint, packet->src, packet->dst)));
    }
    return &host->pacers[pull->pacer - 1];
}

static void pacer_wake(struct endpoint *endpoint, uint32_t host_id, struct pull_pacer *pacer, uint64_t now_ps)
{
    if (!pacer->is_pulling) {
        uint64_t number = (uint64_t)(pacer - endpoint->hosts[host_id].pacers);
        pacer->is_pulling = true;
        engine_timer(endpoint->engine, host_id, now_ps > pacer->next_ps ? now_ps : pacer->next_ps, HOST_TIMER,
                     PULL_TIMER + number);
    }
}

void pull_arrived(struct endpoint *endpoint, struct flow *flow, const struct packet *packet, uint64_t now_ps)
{
    struct pull_state *pull = pull_state(endpoint, flow);
    struct pull_pacer *pacer = pacer_of(endpoint, packet, pull);
    const struct pull_entry entry = {packet->src, packet->flow};
    int32_t target = __atomic_load_n(&pull_targets(endpoint, flow)[ring_index(flow, packet->seq)], __ATOMIC_RELAXED);
    if (packet->is_trimmed) {
        pull->repeat += (int32_t)((endpoint->facts.packet_bytes + QUANTUM_BYTES - 1) / QUANTUM_BYTES);
        list_join(endpoint, pacer, pull, IN_REPEAT, &entry);
    }
    if (target > pull->target) {
        pull->target = target;
        if (pull->repeat == 0) {
            list_join(endpoint, pacer, pull, IN_ACTIVE, &entry);
        }
    }
    if (pull->lists != 0) {
        pacer_wake(endpoint, packet->dst, pacer, now_ps);
    }
}

void pull_delivered(struct endpoint *endpoint, struct flow *flow, const struct packet *packet)
{
    struct pull_state *pull = pull_state(endpoint, flow);
    for (uint8_t which = IN_REPEAT; which <= IN_IDLE; which *= 2) {
        if (pull->lists & which) {
            list_remove(list_of(pacer_of(endpoint, packet, pull), which), packet->src, packet->flow);
        }
    }
    pull->lists = 0;
}

static void ask_receive(struct endpoint *endpoint, const struct packet *packet, uint64_t now_ps)
{
    struct flow *flow = flow_at(endpoint, packet->src, packet->flow);
    if (flow_is_over(flow, packet)) { /* the last ACK was lost, and without credit nothing is repeated */
        ack_again(endpoint, packet, now_ps);
        return;
    }
    struct pull_state *pull = pull_state(endpoint, flow);
    uint64_t packet_quanta = (endpoint->facts.packet_bytes + QUANTUM_BYTES - 1) / QUANTUM_BYTES;
    pull->repeat = (int32_t)(packet->seq * packet_quanta);
    const struct pull_entry entry = {packet->src, packet->flow};
    struct pull_pacer *pacer = pacer_of(endpoint, packet, pull);
    list_join(endpoint, pacer, pull, IN_REPEAT, &entry);
    pacer_wake(endpoint, packet->dst, pacer, now_ps);
}

void control_receive(struct endpoint *endpoint, const struct packet *packet, uint64_t now_ps)
{
    if (endpoint->probes) {
        probe_receive(endpoint, packet, now_ps);
    } else if (packet->asks_ack) {
        ask_receive(endpoint, packet, now_ps);
    } else {
        pull_receive(endpoint, packet, now_ps);
    }
}

static void pull_send(struct endpoint *endpoint, uint32_t host_id, const struct pull_entry *entry,
                      const struct flow *flow, struct pull_state *pull, uint64_t now_ps)
{
    int32_t quanta = (int32_t)endpoint->pull.credit_quanta;
    pull->repeat = pull->repeat > quanta ? pull->repeat - quanta : 0;
    pull->granted += quanta;
    struct packet packet = {.dst = entry->host & (FABRIC_HOSTS_MAX - 1),
                            .src = host_id & (FABRIC_HOSTS_MAX - 1),
                            .flow = entry->slot & (FLOW_SLOTS_MAX - 1),
                            .seq = (uint32_t)pull->granted & PULL_MASK,
                            .size_bytes = endpoint->config.shape.ack_bytes & PACKET_BYTES_MAX,
                            .entropy = (uint16_t)pull->granted,
                            .kind = PACKET_CONTROL,
                            .class = endpoint->control_class & 7,
                            .generation = flow->generation & 7u};
    control_send(endpoint, &packet, now_ps);
}

/* After a pull: where the message waits for the next one. */
static void list_rejoin(struct endpoint *endpoint, struct pull_pacer *pacer, struct pull_state *pull, uint8_t from,
                        const struct pull_entry *entry)
{
    bool is_short = pull->target > pull->granted;
    pull->lists &= (uint8_t)~from;
    if (from == IN_REPEAT) {
        if (pull->repeat > 0 || is_short) {
            list_join(endpoint, pacer, pull, pull->repeat > 0 ? IN_REPEAT : IN_ACTIVE, entry);
        }
        return;
    }
    int32_t beyond_max = (int32_t)(endpoint->pull.window_bytes / QUANTUM_BYTES);
    if (from == IN_ACTIVE) {
        list_join(endpoint, pacer, pull, is_short ? IN_ACTIVE : IN_IDLE, entry);
    } else if (!is_short && pull->granted - pull->target < beyond_max) {
        list_join(endpoint, pacer, pull, IN_IDLE, entry);
    }
}

void pull_due(struct endpoint *endpoint, uint32_t host_id, uint32_t number, uint64_t now_ps)
{
    struct pull_pacer *pacer = &endpoint->hosts[host_id].pacers[number];
    struct pull_entry entry;
    uint8_t from = IN_REPEAT;
    while (from <= IN_IDLE && !list_pop(list_of(pacer, from), &entry)) {
        from *= 2;
    }
    pacer->is_pulling = false;
    if (from > IN_IDLE) {
        return;
    }
    struct flow *flow = flow_at(endpoint, entry.host, entry.slot);
    struct pull_state *pull = pull_state(endpoint, flow);
    pull_send(endpoint, host_id, &entry, flow, pull, now_ps);
    list_rejoin(endpoint, pacer, pull, from, &entry);
    pacer->next_ps = now_ps + pacer->interval_ps;
    if (pacer->repeat.count + pacer->active.count + pacer->idle.count > 0) {
        pacer_wake(endpoint, host_id, pacer, now_ps);
    }
}
