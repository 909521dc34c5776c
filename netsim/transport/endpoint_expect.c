/* Fetches what packets will need that arrive soon. A host of a large run is served every window, and in between a thousand
 * others are: its messages have left the cache by then, and two thirds of the time of an endpoint was waiting for them. */
#include "netsim/transport/endpoint_int.h"

#include <string.h>

static inline void lines_fetch(const void *first, size_t lines)
{
    for (size_t i = 0; i < lines; i++) {
        __builtin_prefetch((const uint8_t *)first + 64 * i);
    }
}

static inline bool is_data(const struct packet *packet)
{
    return packet->kind == PACKET_DATA;
}

/* Of a message whose other end is elsewhere. */
static inline bool is_known(uint32_t host, const struct packet *packet)
{
    return packet->dst == host && packet->size_bytes > 0 && packet->kind != PACKET_CONTROL;
}

/* Ends and slot of its message, as they stand in the packet. */
static inline uint64_t packet_way(const struct packet *packet)
{
    uint64_t word;
    memcpy(&word, packet, sizeof word);
    return word & ((UINT64_C(1) << 57) - 1);
}

static inline const struct flow *packet_flow(const struct endpoint *endpoint, uint32_t host, const struct packet *packet)
{
    return flow_at(endpoint, is_data(packet) ? packet->src : host, packet->flow);
}

/* The lines of it (struct flow): the receiver's, or those of the sender. */
static inline void flow_fetch(const struct flow *flow, const struct packet *packet)
{
    __builtin_prefetch(flow);
    if (!is_data(packet)) {
        lines_fetch(&flow->allowed_ports, 2);
        __builtin_prefetch(flow_tail(flow));
    }
}

/* What its rings know of the packet: whether it has come, and where that is noted, or when it was sent. Another thread may be
 * making a new message of this one: then something else is fetched. Which packets are data nobody can predict, so there is
 * no branch about that. */
static inline void ring_fetch(const struct endpoint *endpoint, const struct flow *flow, const struct packet *packet)
{
    const struct flow seen = {.ring = __atomic_load_n(&flow->ring, __ATOMIC_RELAXED),
                              .ring_mask = __atomic_load_n(&flow->ring_mask, __ATOMIC_RELAXED)};
    uint32_t count = __atomic_load_n(&flow->received_count, __ATOMIC_RELAXED);
    if (__builtin_expect(seen.ring == NULL, 0)) {
        return;
    }
    uint32_t index = ring_index(&seen, packet->seq);
    uintptr_t noted = (uintptr_t)&arrivals(endpoint, &seen)[ring_index(&seen, count)];
    uintptr_t sent = (uintptr_t)&sent_times(endpoint, &seen)[index];
    __builtin_prefetch(set_word(&seen, SET_RECEIVED, index));
    __builtin_prefetch((const void *)(sent ^ ((sent ^ noted) & -(uintptr_t)is_data(packet))));
}

static void host_fetch(const struct endpoint *endpoint, uint32_t host)
{
    lines_fetch(&endpoint->hosts[host], 4); /* with the counters */
    lines_fetch(endpoint->hosts[host].ports, 1);
}

/* A kilobyte or two of a hundred packets; without times and logs all of it is in the cache, or soon is. */
bool endpoint_wants_expect(const struct endpoint *endpoint)
{
    return endpoint->has_times || endpoint->ack == ACK_COALESCED;
}

void endpoint_expect(const struct endpoint *endpoint, uint32_t host, const struct packet *packets, uint32_t count,
                     enum host_expect what)
{
    if (what == EXPECT_FIRST) {
        host_fetch(endpoint, host);
    } else {
        __builtin_prefetch(endpoint->hosts[host].ports->ready.slots);
        __builtin_prefetch(endpoint->hosts[host].ports->control.packets);
    }
    uint64_t last[2] = {UINT64_MAX, UINT64_MAX}; /* of ACKs and of data */
    for (uint32_t i = 0; i < count; i++) {
        const struct packet *packet = &packets[i];
        uint64_t way = packet_way(packet);
        if ((what == EXPECT_FIRST && way == last[is_data(packet)]) || !is_known(host, packet)) {
            continue;
        }
        last[is_data(packet)] = way;
        const struct flow *flow = packet_flow(endpoint, host, packet);
        if (what == EXPECT_FIRST) {
            flow_fetch(flow, packet);
        } else {
            ring_fetch(endpoint, flow, packet);
        }
    }
}
