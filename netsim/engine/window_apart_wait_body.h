/* What waits at a port and is sent in this window, a vector of packets at a time. Part of window_apart_body.h.
 *
 *     ring  ─► sizes ─► sums ─► when each starts and leaves ─► log, keys at the peer
 *           └─────────────────────────────────────────────► packets, to the peer
 *
 * A port that was paused, or gets more than it can send, sends some 13 packets from its queue in a window: of lossless RoCE
 * on the permutation of 1024 hosts, a fourth of all. */
#include "netsim/engine/window_apart_quick_body.h"

enum { WAIT_PACKETS = 16, WAIT_VECTORS = WAIT_PACKETS / LANES };
#ifdef PHOTONET_STRESS
enum { WAIT_AT_ONCE = 3 };
#else
enum { WAIT_AT_ONCE = WAIT_PACKETS };
#endif
enum { WAIT_WIDTH_PS_MAX = 1 << 25 }; /* sums of so many times stay within 31 bits, as no packet takes longer than a window */

union wait_block {
    lanes v[WAIT_VECTORS];
    int32_t each[WAIT_PACKETS];
};
/* The first packets of a queue. Sizes are 0 behind them. */
struct wait_step {
    union wait_block size, bytes, departure_ps; /* bytes: up to this one, itself counted */
    union wait_block what;                      /* as in left_log */
    uint32_t keys_out[WAIT_PACKETS + LANES];   /* more than can be used, as they are moved a vector at a time */
    uint32_t count;
    uint32_t start_count, here, near, left_count; /* as in apart_served */
    int32_t start_ps_sum;
};
struct wait_packets {
    const struct class_waiting *items;
    uint32_t head, mask;
};

/* What has been sent last. */
INLINE void in_service_set(struct class_port *queues, uint32_t in_port, uint32_t bytes)
{
    queues->service_in_port = in_port;
    queues->service_in_bytes = (uint16_t)bytes;
    queues->service_in_class = 0;
    queues->service_class = 0;
}

/* When a port can start what comes next, from the start of the window. */
INLINE uint64_t apart_free_ps(const struct worker *worker, const struct window_port *port, const struct apart_span *span)
{
    uint64_t free_ps = port->free_ps > worker->start_ps ? port->free_ps - worker->start_ps : 0;
    return free_ps > (uint64_t)span->from_ps ? free_ps : (uint64_t)span->from_ps;
}

/* One by one. */
static __attribute__((noinline)) uint64_t waiting_send_each(const struct lazy *at, uint32_t local,
                                                            const struct apart_span *span)
{
    struct worker *worker = at->worker;
    struct window_port *port = &at->ports[local];
    struct class_port *queues = &at->class_ports[local];
    struct class_ring *ring = queues->rings;
    uint64_t now_ps = apart_free_ps(worker, port, span), until_ps = (uint64_t)span->until_ps;
    uint32_t mask = ring->capacity - 1, head = ring->head, left = ring->count;
    const struct class_waiting *first = NULL;
    struct port_sent sent = {0};
    for (; left > 0 && now_ps < until_ps; left--, head++) {
        first = &ring->items[head & mask];
        uint32_t size = (uint32_t)first->packet.size_bytes;
        uint64_t service_ps = packet_send(worker, port, &first->packet, now_ps);
        sent.wait_ps += now_ps + worker->start_ps - first->since_ps;
        sent.busy_ps += service_ps;
        sent.bytes += size;
        now_ps += service_ps;
        left_put(worker, (int32_t)now_ps, first->in_port, size);
    }
    if (first == NULL) {
        return 0;
    }
    sent.packets = ring->count - left;
    in_service_set(queues, first->in_port, first->packet.size_bytes);
    port->free_ps = worker->start_ps + now_ps;
    port->in_service_bytes = (uint32_t)first->packet.size_bytes;
    port->count = ring->count = left;
    ring->head = head & mask;
    sent_count(worker, port, &sent);
    return sent.bytes;
}

INLINE void step_take(const struct wait_packets *from, uint32_t count, struct wait_step *step)
{
#pragma GCC unroll 16
    for (uint32_t i = 0; i < WAIT_PACKETS; i++) { /* all, since where a loop ends nobody can predict */
        const struct class_waiting *waiting = &from->items[(from->head + i) & from->mask];
        uint32_t size = (uint32_t)waiting->packet.size_bytes;
        step->size.each[i] = (int32_t)size;
        step->what.each[i] = (int32_t)(waiting->in_port << LEFT_PORT_SHIFT | size);
    }
    for (uint32_t v = 0; v < WAIT_VECTORS; v++) {
        step->size.v[v] &= lane_ids(v) < splat((int32_t)count);
    }
    step->count = count;
}

INLINE void step_scan(const struct window_core *core, const struct window_port *port, int32_t now_ps, int32_t until_ps,
                      struct wait_step *step)
{
    lanes sum[WAIT_VECTORS], begin = splat(0), width = splat((int32_t)core->width_ps);
    lanes per_byte = splat((int32_t)port->ps_per_byte);
    uint32_t starts = 0, here = 0, near = 0, left = 0;
    for (uint32_t v = 0; v < WAIT_VECTORS; v++) {
        sum[v] = step->size.v[v];
    }
    prefix_sum(sum, WAIT_VECTORS);
    for (uint32_t v = 0; v < WAIT_VECTORS; v++) {
        lanes departure = sum[v] * per_byte + splat(now_ps), start = departure - step->size.v[v] * per_byte;
        lanes ahead = lanes_ahead(core, port, step->size.v[v], start, departure, (lanes_loose *)&step->keys_out[v * LANES]);
        lanes is_start = (start < splat(until_ps)) & (lane_ids(v) < splat((int32_t)step->count));
        begin += start & is_start;
        step->bytes.v[v] = sum[v];
        step->departure_ps.v[v] = departure;
        starts |= bits_less(is_start, splat(0)) << v * LANES;
        here |= bits_less(ahead, width) << v * LANES;
        near |= bits_less(ahead, width + width) << v * LANES;
        left |= bits_less(departure, width) << v * LANES;
    }
    step->start_count = (uint32_t)__builtin_popcount(starts); /* times ascend: these are the first lanes */
    step->here = (uint32_t)__builtin_popcount(starts & here);
    step->near = (uint32_t)__builtin_popcount(starts & near);
    step->left_count = (uint32_t)__builtin_popcount(starts & left);
    step->start_ps_sum = sum_lanes(begin);
}

/* As apart_packets_copy. */
INLINE void wait_packets_copy(const void *from, uint32_t first, uint32_t count, struct chunk *to, uint32_t lane)
{
    const struct wait_packets *packets = from;
    uint32_t head = packets->head + first, more = (count + MOVE_PACKETS - 1) / MOVE_PACKETS * MOVE_PACKETS;
    more = lane + more > CHUNK_PACKETS ? count : more;
    for (uint32_t i = 0; i < more; i++) {
        to->packets[lane + i] = packets->items[(head + i) & packets->mask].packet;
    }
}

INLINE void step_send(struct worker *worker, const struct window_port *port, const struct wait_packets *from,
                      const struct wait_step *step)
{
    struct left_log *left = &worker->left;
    if (__builtin_expect(left->count + WAIT_PACKETS > left->capacity, 0)) {
        left_reserve(worker, WAIT_PACKETS);
    }
    for (uint32_t v = 0; v < WAIT_VECTORS; v++) { /* the others do no harm */
        *(lanes_loose *)&left->when_ps[left->count + v * LANES] = step->departure_ps.v[v];
        *(lanes_loose *)&left->what[left->count + v * LANES] = step->what.v[v];
    }
    left->count += step->left_count;
    apart_part_send(worker, port, step->keys_out, 0, step->here, 0, wait_packets_copy, from);
    apart_part_send(worker, port, step->keys_out, step->here, step->near, 1, wait_packets_copy, from);
    apart_part_send(worker, port, step->keys_out, step->near, step->start_count, 2, wait_packets_copy, from);
}

/* When it starts less since when it waits, of all that the step sends. */
INLINE uint64_t step_wait_ps(const struct worker *worker, const struct wait_packets *from, const struct wait_step *step)
{
    uint64_t wait_ps = (uint64_t)step->start_ps_sum + step->start_count * worker->start_ps;
    for (uint32_t i = 0; i < step->start_count; i++) {
        wait_ps -= from->items[(from->head + i) & from->mask].since_ps;
    }
    return wait_ps;
}

/* All that has been sent from the queue. */
static void waiting_sent(struct worker *worker, struct window_port *port, struct class_port *queues,
                         const struct wait_packets *from, const struct port_sent *sent, uint64_t free_ps)
{
    struct class_ring *ring = queues->rings;
    const struct class_waiting *last = &from->items[(from->head - 1) & from->mask];
    in_service_set(queues, last->in_port, last->packet.size_bytes);
    port->free_ps = worker->start_ps + free_ps;
    port->in_service_bytes = (uint32_t)last->packet.size_bytes;
    ring->count -= (uint32_t)sent->packets;
    port->count = ring->count;
    ring->head = ring->count > 0 ? from->head & from->mask : 0; /* what is used again and again stays in the cache */
    sent_count(worker, port, sent);
}

static __attribute__((noinline)) uint64_t waiting_send_lanes(const struct lazy *at, uint32_t local, const struct apart_span *span)
{
    struct worker *worker = at->worker;
    struct window_port *port = &at->ports[local];
    const struct class_ring *ring = at->class_ports[local].rings;
    struct wait_packets from = {ring->items, ring->head, ring->capacity - 1};
    uint64_t now_ps = apart_free_ps(worker, port, span);
    uint32_t left = ring->count;
    struct port_sent sent = {0};
    while (left > 0 && now_ps < (uint64_t)span->until_ps) {
        struct wait_step step;
        step_take(&from, left < WAIT_AT_ONCE ? left : WAIT_AT_ONCE, &step);
        step_scan(at->core, port, (int32_t)now_ps, span->until_ps, &step);
        step_send(worker, port, &from, &step);
        sent.wait_ps += step_wait_ps(worker, &from, &step);
        sent.packets += step.start_count;
        sent.bytes += (uint64_t)step.bytes.each[step.start_count - 1];
        now_ps = (uint64_t)step.departure_ps.each[step.start_count - 1];
        from.head += step.start_count;
        left -= step.start_count;
    }
    sent.busy_ps = sent.bytes * port->ps_per_byte;
    if (sent.packets > 0) {
        waiting_sent(worker, port, &at->class_ports[local], &from, &sent, now_ps);
    }
    return sent.bytes;
}

/* What waited and starts in this window; its bytes. */
INLINE uint64_t apart_waiting_send(const struct lazy *at, uint32_t local, const struct apart_span *span)
{
    const struct worker *worker = at->worker;
    const struct window_port *port = &at->ports[local];
    if (port->count == 0) {
        return 0;
    }
    uint64_t width_ps = at->core->width_ps;
    if (port->ps_per_byte == 0 || width_ps > WAIT_WIDTH_PS_MAX || worker->sample_offset_ps < width_ps) {
        return waiting_send_each(at, local, span);
    }
    return waiting_send_lanes(at, local, span);
}
