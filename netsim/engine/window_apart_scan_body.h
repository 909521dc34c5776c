/* A batch of a port whose packets stay where they are, unsorted: what window_apart_body.h scans, since behind each packet
 * stands by which port it came. With t the arrivals, c the service times and "before" the order (time, port of arrival):
 *
 *     S_i = sum of c_j over j before i                    one compare and add per j, all i at once
 *     M_i = max of t_j - S_j over j before i, and i       one compare and max per j
 *     departure_i = S_i + c_i + max(free, M_i)            exact: FIFO service is a (max,+) scan
 *
 * Included behind window_lazy_body.h. */
#include "netsim/engine/window_lazy.h"

enum { VECTORS_MAX_APART = BATCH_PACKETS / LANES, BASE_PS_MAX_APART = 1 << 29 };

/* ---- lanes ------------------------------------------------------------------------------------------------ */

/* From memory, so that no register is moved between the two sides of the machine. */
INLINE lanes splat_at(const int32_t *value)
{
#if SWITCH_LANES == 16
    __m512i all;
    __asm__("vpbroadcastd %1, %0" : "=v"(all) : "m"(*value));
    return (lanes)all;
#elif SWITCH_LANES == 8
    __m256i all;
    __asm__("vpbroadcastd %1, %0" : "=x"(all) : "m"(*value));
    return (lanes)all;
#else
    return splat(*value);
#endif
}

/* Adds `more` where mask > pivot. */
INLINE lanes add_after(lanes sum, lanes key, lanes pivot, lanes more)
{
#if SWITCH_LANES == 16
    __mmask16 after = _mm512_cmpgt_epi32_mask((__m512i)key, (__m512i)pivot);
    return (lanes)_mm512_mask_add_epi32((__m512i)sum, after, (__m512i)sum, (__m512i)more);
#else
    return sum + (more & (key > pivot));
#endif
}

INLINE lanes max_after(lanes top, lanes key, lanes pivot, lanes other)
{
#if SWITCH_LANES == 16
    __mmask16 after = _mm512_cmpgt_epi32_mask((__m512i)key, (__m512i)pivot);
    return (lanes)_mm512_mask_max_epi32((__m512i)top, after, (__m512i)top, (__m512i)other);
#else
    return pick(key > pivot, max_lanes(top, other), top);
#endif
}

INLINE int32_t top_lane(lanes a)
{
#if SWITCH_LANES == 16
    return _mm512_reduce_max_epi32((__m512i)a);
#else
    int32_t top = a[0];
    for (uint32_t i = 1; i < LANES; i++) {
        top = a[i] > top ? a[i] : top;
    }
    return top;
#endif
}

/* ---- arrivals --------------------------------------------------------------------------------------------- */

static __attribute__((noinline)) void apart_more_put(struct worker *worker, uint32_t port, int32_t key, uint32_t meta)
{
    struct apart_more more = {port, key, meta};
    vec_push(worker->arena, worker->apart_more, worker->apart_more_count, worker->apart_more_capacity) = more;
}

static __attribute__((noinline)) void apart_chunks_reserve(struct worker *worker)
{
    uint32_t capacity = worker->chunk_capacity == 0 ? 64 : worker->chunk_capacity * 2;
    struct chunk **chunks = arena_array(worker->arena, capacity, struct chunk *);
    for (uint32_t i = 0; i < worker->chunk_capacity; i++) {
        chunks[i] = worker->chunks[i];
    }
    worker->chunks = chunks;
    worker->chunk_capacity = capacity;
}

INLINE struct packet *meta_packet(struct chunk *const *chunks, uint32_t meta)
{
    return &chunks[meta >> (META_SIZE_BITS + META_LANE_BITS)]->packets[meta >> META_SIZE_BITS & ((1u << META_LANE_BITS) - 1)];
}

/* ---- the scan --------------------------------------------------------------------------------------------- */

union apart_block {
    lanes v[VECTORS_MAX_APART];
    int32_t each[BATCH_PACKETS];
};

struct apart_served {
    union apart_block start_ps, departure_ps, key_out;
    uint32_t starts[3]; /* lanes that start in this window, by the window of their arrival */
    uint32_t waits;     /* the others */
    uint32_t start_count;
    uint32_t last;         /* lane that starts last */
    int32_t departure_last; /* when it is gone; -1: none starts */
    int32_t busy_ps, wait_ps, bytes;
    int32_t work_ps_max; /* no packet finds more work than that in the port, itself counted */
};

INLINE void apart_services(const struct window_port *port, const union apart_block *size, uint32_t vectors,
                           union apart_block *service)
{
    if (__builtin_expect(port->ps_per_byte != 0, 1)) {
        for (uint32_t v = 0; v < vectors; v++) {
            service->v[v] = size->v[v] * splat((int32_t)port->ps_per_byte);
        }
        return;
    }
    for (uint32_t i = 0; i < vectors * LANES; i++) { /* no packet has size 0, and that takes no time */
        service->each[i] = (int32_t)port->service_ps[size->each[i]];
    }
}

/* S, M and the departures. */
INLINE void apart_fifo(const union apart_block *key, const union apart_block *time, const union apart_block *service,
                       uint32_t vectors, uint32_t count, int32_t base_ps, union apart_block *departure)
{
    union apart_block before, level;
    for (uint32_t v = 0; v < vectors; v++) {
        before.v[v] = splat(0);
    }
    for (uint32_t j = 0; j < count; j += 4) {
#pragma GCC unroll 4
        for (uint32_t k = j; k < j + 4; k++) {
            lanes pivot = splat_at(&key->each[k]), more = splat_at(&service->each[k]);
            for (uint32_t v = 0; v < vectors; v++) {
                before.v[v] = add_after(before.v[v], key->v[v], pivot, more);
            }
        }
    }
    lanes top[VECTORS_MAX_APART];
    for (uint32_t v = 0; v < vectors; v++) {
        level.v[v] = time->v[v] - before.v[v];
        top[v] = max_lanes(level.v[v], splat(base_ps));
    }
    for (uint32_t j = 0; j < count; j += 4) {
#pragma GCC unroll 4
        for (uint32_t k = j; k < j + 4; k++) {
            lanes pivot = splat_at(&key->each[k]), other = splat_at(&level.each[k]);
            for (uint32_t v = 0; v < vectors; v++) {
                top[v] = max_after(top[v], key->v[v], pivot, other);
            }
        }
    }
    for (uint32_t v = 0; v < vectors; v++) {
        departure->v[v] = before.v[v] + service->v[v] + top[v];
    }
}

/* Everything about the batch that needs no memory but its own. slack_ps: service of the largest packet. */
INLINE void apart_scan(const struct worker *worker, const struct window_port *port, const struct apart_batch *batch,
                       uint32_t vectors, uint32_t count, int32_t base_ps, int32_t slack_ps, union apart_block *key,
                       union apart_block *time, union apart_block *size, struct apart_served *served)
{
    const struct window_core *core = worker->core;
    union apart_block service;
    for (uint32_t v = 0; v < vectors; v++) {
        lanes is_packet = lane_ids(v) < splat((int32_t)count);
        key->v[v] = pick(is_packet, *(const lanes_loose *)&batch->keys[v * LANES], splat(INT32_MAX));
        size->v[v] = *(const lanes_loose *)&batch->metas[v * LANES] & splat(PACKET_BYTES_MAX) & is_packet;
        time->v[v] = key->v[v] >> (int32_t)(core->key_shift - 1);
    }
    apart_services(port, size, vectors, &service);
    apart_fifo(key, time, &service, vectors, count, base_ps, &served->departure_ps);
    lanes busy = splat(0), wait = splat(0), bytes = splat(0), work = splat(0), latest = splat(-1);
    lanes width = splat((int32_t)core->width_ps);
    served->starts[0] = served->starts[1] = served->starts[2] = 0;
    for (uint32_t v = 0; v < vectors; v++) {
        lanes is_packet = lane_ids(v) < splat((int32_t)count), departure = served->departure_ps.v[v];
        lanes start = pick(is_packet, departure - service.v[v], width); /* empty lanes never start */
        lanes is_started = start < width, waited = start - time->v[v];
        served->start_ps.v[v] = start;
        busy += service.v[v] & is_started;
        wait += waited & is_started;
        bytes += size->v[v] & is_started;
        latest = max_lanes(latest, pick(is_started, departure, splat(-1)));
        /* The packet in service may be counted whole though some of it has left. */
        lanes slack = splat(slack_ps) & (waited > splat(0));
        work = max_lanes(work, (departure - time->v[v] + slack) & is_packet);
        lanes is_cut = splat(-(int32_t)port->is_peer_cut) & (size->v[v] > splat((int32_t)core->config.cut_through_bytes));
        lanes ahead = pick(is_cut, start + splat((int32_t)port->cut_service_ps), departure) + splat((int32_t)port->reach_ps);
        lanes offset = ahead - (width & (ahead >= width)) - (width & (ahead >= width + width));
        served->key_out.v[v] =
            offset << (int32_t)core->key_shift | splat((int32_t)port->peer_port << 1) | (splat(1) & ~is_cut);
        uint32_t started = bits_less(start, width), here = bits_less(ahead, width), near = bits_less(ahead, width + width);
        served->starts[0] |= (started & here) << v * LANES;
        served->starts[1] |= (started & near & ~here) << v * LANES;
        served->starts[2] |= (started & ~near) << v * LANES;
    }
    uint32_t started = served->starts[0] | served->starts[1] | served->starts[2];
    served->waits = (uint32_t)((UINT64_C(1) << count) - 1) & ~started;
    served->start_count = (uint32_t)__builtin_popcount(started);
    served->wait_ps = sum_lanes(wait);
    served->bytes = sum_lanes(bytes);
    served->busy_ps = port->ps_per_byte != 0 ? served->bytes * (int32_t)port->ps_per_byte : sum_lanes(busy);
    served->work_ps_max = top_lane(work);
    served->departure_last = top_lane(latest);
    uint32_t earlier = 0;
    for (uint32_t v = 0; v < vectors; v++) {
        earlier |= bits_less(served->departure_ps.v[v], splat(served->departure_last)) << v * LANES;
    }
    served->last = (uint32_t)__builtin_ctz((started & ~earlier) | UINT32_C(1) << 31);
}

/* ---- what is sent ----------------------------------------------------------------------------------------- */

/* Sends some lanes to the peer in one of its windows. */
INLINE void apart_lanes_send(struct worker *worker, const struct window_port *port, const struct apart_batch *batch,
                       const struct apart_served *served, uint32_t starts, uint32_t ahead)
{
    const struct window_core *core = worker->core;
    struct chunk *const *chunks = worker->chunks;
    uint32_t slot = (worker->slot + port->reach_slots + ahead) & core->slot_mask, peer = port->peer;
    uintptr_t *tail = &worker->tails[(size_t)peer << core->slot_bits | slot], at = *tail;
    do {
        uint32_t lane = (uint32_t)__builtin_ctz(starts);
        starts &= starts - 1;
        if (__builtin_expect((at & CHUNK_ROOM_MASK) == 0, 0)) {
            *tail = at;
            at = inbox_open(worker, peer, slot);
        }
        struct chunk *chunk = (struct chunk *)(at & ~(uintptr_t)CHUNK_ROOM_MASK);
        uint32_t place = CHUNK_PACKETS - (at & CHUNK_ROOM_MASK);
        chunk->packets[place] = *meta_packet(chunks, batch->metas[lane]);
        chunk->keys[place] = (uint32_t)served->key_out.each[lane];
        at--;
    } while (starts != 0);
    *tail = at;
}

/* The lanes that start after the time that is asked for. */
static __attribute__((noinline)) void apart_sample(struct worker *worker, const struct window_port *port,
                                                   const struct apart_served *served, const union apart_block *size)
{
    uint32_t starts = served->starts[0] | served->starts[1] | served->starts[2];
    for (; starts != 0; starts &= starts - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(starts);
        if ((uint64_t)served->start_ps.each[lane] > worker->sample_offset_ps) {
            port_sample(worker->core, port, (uint64_t)size->each[lane]);
        }
    }
}

INLINE void apart_count(struct worker *worker, struct window_port *port, const struct apart_served *served,
                        const union apart_block *size)
{
    if (__builtin_expect(worker->sample_offset_ps < worker->core->width_ps, 0)) {
        apart_sample(worker, port, served, size);
    }
    if (served->start_count > 0) {
        struct port_sent sent = {served->start_count, (uint64_t)served->bytes, (uint64_t)served->busy_ps,
                            (uint64_t)served->wait_ps};
        port->in_service_bytes = (uint32_t)size->each[served->last];
        port->free_ps = worker->start_ps + (uint64_t)served->departure_last;
        sent_count(worker, port, &sent);
    }
}

static void apart_prefetch(const struct window_core *core, const struct window_node *node)
{
    for (uint32_t word = 0; word * 64 < node->port_count; word++) {
        for (uint64_t ports = core->waiting[node->waiting_first + word]; ports != 0; ports &= ports - 1) {
            class_waiting_prefetch(core, node->port_first + word * 64 + (uint32_t)__builtin_ctzll(ports));
        }
    }
}

