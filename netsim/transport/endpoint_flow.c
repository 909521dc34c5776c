/* Slots of messages, and the rings that remember single packets.
 *
 * A ring holds, for a power of two of consecutive sequence numbers, what the two ends must know of each packet:
 *
 *     words     whose      what
 *     n/64      sender     acknowledged
 *     n/64      sender     to be sent again
 *     n/64      receiver   received
 *     n/2       receiver   32 bits: packets as they came          ACK_COALESCED
 *     n         sender     time of sending                        where the transport wants it
 *     n/2       sender     32 bits: credit asked for              receiver-driven transports
 *     n/4       sender     16 bits: entropy                       where entropies are recycled
 *
 * n is twice the window in packets, but never more than the message has; go-back-N needs no ring without
 * times. Rings of a host are recycled by size, so a message costs what its own length needs. */
#include "netsim/transport/endpoint_int.h"

#include <string.h>

static void host_add_chunk(struct endpoint *endpoint, uint32_t host_id)
{
    struct host *host = &endpoint->hosts[host_id];
    assert((host->chunk_count + 1) * CHUNK_FLOWS <= FLOW_SLOTS_MAX);
    vec_push(endpoint->arena, host->chunks, host->chunk_count, host->chunk_capacity) =
        arena_alloc_array(endpoint->arena, CHUNK_FLOWS, endpoint->flow_bytes);
}

/* What the receiver of a late packet looks at changes first, and whole (I6); in the order of the fields. */
static void flow_clear(const struct endpoint *endpoint, struct flow *flow, uint8_t generation)
{
    static const struct {
        size_t at, end;
    } seen[] = {{offsetof(struct flow, packet_count), offsetof(struct flow, packet_count) + sizeof flow->packet_count},
                {offsetof(struct flow, generation), offsetof(struct flow, generation) + sizeof flow->generation},
                {offsetof(struct flow, received_count), offsetof(struct flow, received_count) + sizeof flow->received_count}};
    size_t at = 0;
    __atomic_store_n(&flow->generation, generation, __ATOMIC_RELAXED);
    __atomic_store_n(&flow->received_count, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&flow->packet_count, 0, __ATOMIC_RELEASE);
    for (size_t i = 0; i < sizeof seen / sizeof seen[0]; i++) {
        memset((uint8_t *)flow + at, 0, seen[i].at - at);
        at = seen[i].end;
    }
    memset((uint8_t *)flow + at, 0, endpoint->flow_bytes - at);
}

uint32_t slot_take(struct endpoint *endpoint, uint32_t host_id)
{
    struct host *host = &endpoint->hosts[host_id];
    bool is_new = host->free_slot == ID_NONE; /* slots never used are not in the list: nobody touches them */
    if (is_new && host->slot_count == host->chunk_count * CHUNK_FLOWS) {
        host_add_chunk(endpoint, host_id);
    }
    uint32_t slot = is_new ? host->slot_count++ : host->free_slot;
    struct flow *flow = flow_at(endpoint, host_id, slot);
    host->free_slot = is_new ? ID_NONE : flow->next_slot;
    uint8_t generation = (flow->generation + 1) & 7;
    uint64_t queued_ports = flow->queued_ports; /* the message before may have left the slot in rings */
    flow_clear(endpoint, flow, generation);
    flow->steer = (struct steer *)((uint8_t *)flow + endpoint->steer_offset);
    flow->queued_ports = queued_ports;
    return slot;
}

void slot_free(struct endpoint *endpoint, uint32_t host_id, uint32_t slot)
{
    struct host *host = &endpoint->hosts[host_id];
    struct flow *flow = flow_at(endpoint, host_id, slot);
    flow->timer_ps = TIME_NEVER_PS;
    flow->is_paced = false;
    flow->next_slot = host->free_slot;
    host->free_slot = slot;
    if (flow->ring != NULL) {
        uint64_t **list = &host->free_rings[flow->ring_log2];
        memcpy(flow->ring, list, sizeof *list);
        *list = flow->ring;
        flow->ring = NULL;
    }
}

/* Words up to the entropies, which stand last. */
static size_t ring_words_before_entropies(const struct endpoint *endpoint, const struct flow *flow)
{
    size_t words = ring_words(flow), entries = (size_t)1 << flow->ring_log2;
    size_t arrival_words = endpoint->ack == ACK_COALESCED ? (entries + 1) / 2 : 0;
    size_t time_words = endpoint->has_times ? entries : 0;
    return 3 * words + arrival_words + time_words + (endpoint->transport->pull != NULL ? (entries + 1) / 2 : 0);
}

static size_t ring_total_words(const struct endpoint *endpoint, const struct flow *flow)
{
    size_t entries = (size_t)1 << flow->ring_log2;
    return ring_words_before_entropies(endpoint, flow) + (endpoint->recycles ? (entries + 3) / 4 : 0);
}

uint16_t *sent_entropies(const struct endpoint *endpoint, const struct flow *flow)
{
    return (uint16_t *)(flow->ring + ring_words_before_entropies(endpoint, flow));
}

void flow_ring_take(struct endpoint *endpoint, struct flow *flow)
{
    if (endpoint->ack == ACK_IN_ORDER && !endpoint->has_times) {
        return;
    }
    uint64_t wanted = flow->packet_count < endpoint->window_packets ? flow->packet_count : endpoint->window_packets;
    uint32_t log2_max = endpoint->ack == ACK_COALESCED ? RING_LOG2_COALESCED_MAX : RING_LOG2_MAX;
    while (flow->ring_log2 < log2_max && UINT64_C(1) << flow->ring_log2 < wanted) {
        flow->ring_log2++;
    }
    size_t words = ring_total_words(endpoint, flow);
    uint64_t **list = &endpoint->hosts[flow->message.src_host].free_rings[flow->ring_log2];
    flow->ring = *list;
    if (flow->ring == NULL) {
        flow->ring = arena_array(endpoint->arena, words, uint64_t);
        return;
    }
    memcpy(list, flow->ring, sizeof *list);
    memset(flow->ring, 0, 3 * ring_words(flow) * sizeof *flow->ring); /* the rest is written before it is read */
}
