/* Slots of messages, and the rings that remember single packets.
 *
 * A chunk is eight flows of three lines, each with its tail behind it.
 *
 * A ring holds, for a power of two n of consecutive sequence numbers, what the two ends must know of each packet. flow.ring
 * points to its middle, so that what is used most is found without knowing what else there is:
 *
 *     words     whose      what
 *     n/4       sender     16 bits: entropy                       where entropies are recycled
 *     n/2       sender     32 bits: credit asked for              receiver-driven transports
 *     n/2       receiver   32 bits: packets as they came          ACK_COALESCED
 *     n         sender     time of sending                        where the transport wants it
 *  ─► 3 n/64    both       for each 64 packets a word of those acknowledged, to be sent again (sender), received (receiver)
 *
 * n is twice the window in packets, but never more than the message has; go-back-N needs no ring without
 * times. Rings of a host are recycled by size, so a message costs what its own length needs. */
#include "netsim/transport/endpoint_int.h"

#include <string.h>

static void host_add_chunk(struct endpoint *endpoint, uint32_t host_id)
{
    struct host *host = &endpoint->hosts[host_id];
    assert((host->chunk_count + 1) * CHUNK_FLOWS <= FLOW_SLOTS_MAX);
    struct flow *chunk = arena_alloc_array(endpoint->arena, CHUNK_FLOWS, endpoint->flow_bytes);
    vec_push(endpoint->arena, host->chunks, host->chunk_count, host->chunk_capacity) = chunk;
    if (host->chunk_count == 1) {
        endpoint->first_chunks[host_id] = chunk;
    }
}

/* What the receiver of a late packet looks at changes first, and whole (I6); in the order of the fields. */
static void flow_clear(struct flow *flow, uint8_t generation)
{
    static const struct {
        size_t at, end;
    } seen[] = {{offsetof(struct flow, packet_count), offsetof(struct flow, packet_count) + sizeof flow->packet_count},
                {offsetof(struct flow, received_count), offsetof(struct flow, received_count) + sizeof flow->received_count},
                {offsetof(struct flow, generation), offsetof(struct flow, generation) + sizeof flow->generation}};
    size_t at = 0;
    __atomic_store_n(&flow->generation, generation, __ATOMIC_RELAXED);
    __atomic_store_n(&flow->received_count, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&flow->packet_count, 0, __ATOMIC_RELEASE);
    for (size_t i = 0; i < sizeof seen / sizeof seen[0]; i++) {
        memset((uint8_t *)flow + at, 0, seen[i].at - at);
        at = seen[i].end;
    }
    memset((uint8_t *)flow + at, 0, sizeof *flow - at);
}

#define SLOTS_AT_REST 64

/* A slot that was used before; ID_NONE where all of them are in use or rest. */
static uint32_t slot_used_take(struct endpoint *endpoint, struct host *host, uint32_t host_id)
{
    uint32_t slot = host->free_slot;
    if (slot != ID_NONE) {
        host->free_slot = flow_at(endpoint, host_id, slot)->free_next;
    } else if (host->rest_count > SLOTS_AT_REST) {
        slot = host->rest_first;
        host->rest_first = flow_at(endpoint, host_id, slot)->free_next;
        host->rest_count--;
    }
    return slot;
}

uint32_t slot_take(struct endpoint *endpoint, uint32_t host_id)
{
    struct host *host = &endpoint->hosts[host_id];
    uint32_t slot = slot_used_take(endpoint, host, host_id);
    bool is_new = slot == ID_NONE; /* slots never used are in no list: nobody touches them */
    if (is_new && host->slot_count == host->chunk_count * CHUNK_FLOWS) {
        host_add_chunk(endpoint, host_id);
    }
    slot = is_new ? host->slot_count++ : slot;
    struct flow *flow = flow_at(endpoint, host_id, slot);
    uint8_t generation = (flow->generation + 1) & 7;
    uint64_t queued_ports = flow->queued_ports; /* the message before may have left the slot in rings */
    flow_clear(flow, generation);
    flow->ring_mask = UINT32_MAX;
    flow->queued_ports = queued_ports;
    memset(flow_tail(flow), 0, endpoint->flow_bytes - sizeof *flow);
    return slot;
}

void slots_renew(struct endpoint *endpoint, uint32_t host_id)
{
    struct host *host = &endpoint->hosts[host_id];
    uint32_t free_count = 0;
    for (uint32_t slot = host->free_slot; slot != ID_NONE; slot = flow_at(endpoint, host_id, slot)->free_next) {
        free_count++;
    }
    if (free_count < host->slot_count) {
        return;
    }
    for (uint32_t slot = 0; slot < host->slot_count; slot++) {
        flow_at(endpoint, host_id, slot)->queued_ports = 0;
    }
    for (uint32_t port = 0; port < host->port_count; port++) {
        host->ports[port].ready.count = 0;
    }
    host->slot_count = 0;
    host->free_slot = ID_NONE;
}

static uint32_t ring_log2(const struct flow *flow)
{
    return flow->ring_mask == 0 ? 0 : 32 - (uint32_t)__builtin_clz(flow->ring_mask);
}

/* Rests where copies of packets may still be under way (I7). */
static void slot_put(struct endpoint *endpoint, struct host *host, uint32_t host_id, uint32_t slot)
{
    struct flow *flow = flow_at(endpoint, host_id, slot);
    bool is_clean = flow->reach == REACH_HOST || flow->sent_count == flow->packet_count;
    flow->free_next = is_clean ? host->free_slot : ID_NONE;
    if (is_clean) {
        host->free_slot = slot;
        return;
    }
    if (host->rest_count++ == 0) {
        host->rest_first = slot;
    } else {
        flow_at(endpoint, host_id, host->rest_last)->free_next = slot;
    }
    host->rest_last = slot;
}

void slot_free(struct endpoint *endpoint, uint32_t host_id, uint32_t slot)
{
    struct host *host = &endpoint->hosts[host_id];
    struct flow *flow = flow_at(endpoint, host_id, slot);
    flow->timer_ps = TIME_NEVER_PS;
    flow->is_paced = false;
    slot_put(endpoint, host, host_id, slot);
    if (flow->ring != NULL) {
        uint64_t **list = &host->free_rings[ring_log2(flow)];
        memcpy(flow->ring, list, sizeof *list);
        *list = flow->ring;
        flow->ring = NULL;
    }
}

/* Words before the sets, in the order of the drawing. */
static size_t arrival_words(const struct endpoint *endpoint, size_t entries)
{
    return (endpoint->has_times ? entries : 0) + (endpoint->ack == ACK_COALESCED ? (entries + 1) / 2 : 0);
}

static size_t target_words(const struct endpoint *endpoint, size_t entries)
{
    return arrival_words(endpoint, entries) + (endpoint->transport->pull != NULL ? (entries + 1) / 2 : 0);
}

static size_t entropy_words(const struct endpoint *endpoint, size_t entries)
{
    return target_words(endpoint, entries) + (endpoint->recycles ? (entries + 3) / 4 : 0);
}

int32_t *pull_targets(const struct endpoint *endpoint, const struct flow *flow)
{
    return (int32_t *)(flow->ring - target_words(endpoint, (size_t)flow->ring_mask + 1));
}

uint16_t *sent_entropies(const struct endpoint *endpoint, const struct flow *flow)
{
    return (uint16_t *)(flow->ring - entropy_words(endpoint, (size_t)flow->ring_mask + 1));
}

void flow_ring_take(struct endpoint *endpoint, struct flow *flow)
{
    if (flow_ack(endpoint, flow) == ACK_IN_ORDER && !endpoint->has_times) {
        return;
    }
    uint64_t window_packets = flow_is_free(endpoint, flow) ? UINT64_MAX : endpoint->window_packets;
    uint64_t wanted = flow->packet_count < window_packets ? flow->packet_count : window_packets;
    uint32_t log2 = 0, log2_max = endpoint->ack == ACK_COALESCED ? RING_LOG2_COALESCED_MAX : RING_LOG2_MAX;
    while (log2 < log2_max && UINT64_C(1) << log2 < wanted) {
        log2++;
    }
    size_t entries = (size_t)1 << log2, set_words = (entries + 63) / 64 * RING_SETS;
    uint64_t **list = &endpoint->hosts[flow->message.src_host].free_rings[log2];
    flow->ring_mask = (uint32_t)entries - 1;
    flow->ring = *list;
    if (flow->ring == NULL) {
        size_t words = entropy_words(endpoint, entries);
        flow->ring = arena_array(endpoint->arena, words + set_words, uint64_t) + words;
        return;
    }
    memcpy(list, flow->ring, sizeof *list);
    memset(flow->ring, 0, set_words * sizeof *flow->ring); /* the rest is written before it is read */
}
