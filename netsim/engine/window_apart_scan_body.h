/* A batch of a port whose packets stay where they are until they are sent: what window_apart_port_body.h scans, since the key
 * of each packet tells by which port it came. Sorted and scanned as in window_switch_body.h, but that nothing waits in front of it.
 *
 * Included behind window_lazy_body.h. */
#include "netsim/engine/window_lazy.h"

enum { VECTORS_MAX_APART = BATCH_PACKETS / LANES, BASE_PS_MAX_APART = 1 << 29 };
#ifdef PHOTONET_STRESS
enum { PIECE_PACKETS = 2, PIECES_FROM = 2 };
#else
enum { PIECE_PACKETS = BATCH_PACKETS, PIECES_FROM = BATCH_PACKETS }; /* more than that is served in pieces of so many packets */
#endif

/* ---- lanes ------------------------------------------------------------------------------------------------ */

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

enum { MOVE_PACKETS = 4 }; /* are copied at once where there is room: a loop of 1 to 9 ends where nobody can predict */

/* A batch in the order of service, and what becomes of each packet. Sums count from the first packet. */
struct apart_served {
    union apart_block key, size, time_ps, departure_ps, bytes;
    uint32_t keys_out[BATCH_PACKETS + LANES]; /* at the peer; more than can be used, as they are moved a vector at a time */
    uint32_t metas[BATCH_PACKETS + MOVE_PACKETS] __attribute__((aligned(64))); /* the same; 0 behind the last packet */
    uint32_t count;
    uint32_t start_count;  /* start in this window: the first ones */
    uint32_t here, near;   /* how many of these arrive one window later at most, two at most */
    uint32_t left_count;   /* have left by its end */
    int32_t wait_ps;       /* of those that start */
    int32_t work_ps_max;   /* no packet finds more work than that in the port, itself counted */
};

/* What stands at these places. */
INLINE lanes metas_at(const uint32_t *metas, lanes place, uint32_t vectors)
{
#if SWITCH_LANES == 16
    __m512i low = _mm512_loadu_si512(metas), at = (__m512i)place;
    return (lanes)(vectors == 1 ? _mm512_permutexvar_epi32(at, low)
                                : _mm512_permutex2var_epi32(low, at, _mm512_loadu_si512(metas + LANES)));
#elif SWITCH_LANES == 8
    (void)vectors;
    return (lanes)_mm256_i32gather_epi32((const int *)metas, (__m256i)place, 4);
#else
    (void)vectors;
    lanes found;
    for (uint32_t i = 0; i < LANES; i++) {
        found[i] = (int32_t)metas[place[i]];
    }
    return found;
#endif
}

/* The batch in the order of service. */
INLINE void apart_sort(const struct window_core *core, const struct apart_batch *batch, uint32_t vectors, uint32_t count,
                       struct apart_served *served)
{
    lanes place[VECTORS_MAX_APART];
    if (__builtin_expect(core->has_place_bits, 1)) {
        for (uint32_t v = 0; v < vectors; v++) {
            lanes keys = *(const lanes_loose *)&batch->keys[v * LANES] << PLACE_BITS | lane_ids(v);
            place[v] = pick(lane_ids(v) < splat((int32_t)count), keys, splat(INT32_MAX));
        }
        sort_block(place, vectors);
        for (uint32_t v = 0; v < vectors; v++) {
            served->key.v[v] = place[v] >> PLACE_BITS;
            *(lanes_loose *)&served->metas[v * LANES] = metas_at(batch->metas, place[v] & splat(BATCH_PACKETS - 1), vectors);
        }
        return;
    }
    union apart_block places;
    rank_block(batch->keys, count, places.each);
    for (uint32_t i = 0; i < vectors * LANES; i++) {
        served->key.each[i] = batch->keys[places.each[i]];
        served->metas[i] = batch->metas[places.each[i]];
    }
}

INLINE void apart_take_order(const struct apart_batch *batch, uint32_t vectors, struct apart_served *served)
{
    for (uint32_t v = 0; v < vectors; v++) {
        served->key.v[v] = *(const lanes_loose *)&batch->keys[v * LANES];
        *(lanes_loose *)&served->metas[v * LANES] = *(const lanes_loose *)&batch->metas[v * LANES];
    }
}

/* When a port may send in this window: what starts is not before `from`, and before `until`; where a pause ends it, a packet that
 * comes with the pause, at until - 1, is too late, though one that waited is not. */
struct apart_span {
    int32_t from_ps, until_ps;
    int32_t cut; /* -1: a pause ends it */
    bool is_whole;
    uint64_t frame; /* that begins or ends it, or changes nothing; ID_NONE: there is none */
};

/* When each departs: FIFO service is a (max,+) scan. */
INLINE void apart_fifo(int32_t per_byte, uint32_t vectors, int32_t base_ps, struct apart_served *served)
{
    lanes sum[VECTORS_MAX_APART], top[VECTORS_MAX_APART];
    for (uint32_t v = 0; v < vectors; v++) {
        sum[v] = served->size.v[v];
    }
    prefix_sum(sum, vectors);
    for (uint32_t v = 0; v < vectors; v++) {
        served->bytes.v[v] = sum[v];
        top[v] = served->time_ps.v[v] - (sum[v] - served->size.v[v]) * splat(per_byte);
    }
    prefix_max(top, vectors);
    for (uint32_t v = 0; v < vectors; v++) {
        served->departure_ps.v[v] = sum[v] * splat(per_byte) + max_lanes(top[v], splat(base_ps));
    }
}

/* When packets that start and leave then arrive, beyond the whole windows of the port's reach; and their keys at the peer. */
INLINE lanes lanes_ahead(const struct window_core *core, const struct window_port *port, lanes size, lanes start, lanes departure,
                         lanes_loose *keys_out)
{
    lanes ahead = departure, whole = splat(1), width = splat((int32_t)core->width_ps);
    if (__builtin_expect(port->is_peer_cut, 0)) {
        lanes is_cut = size > splat((int32_t)core->config.cut_through_bytes);
        ahead = pick(is_cut, start + splat((int32_t)port->cut_service_ps), ahead);
        whole &= ~is_cut;
    }
    ahead += splat((int32_t)port->reach_ps);
    lanes offset = ahead - (width & (ahead >= width)) - (width & (ahead >= width + width));
    *keys_out = offset << (int32_t)core->key_shift | splat((int32_t)port->peer_port << 1) | whole;
    return ahead;
}

/* Everything about the batch, whose order is known, that needs no memory but its own. */
INLINE void apart_scan(const struct worker *worker, const struct window_port *port, uint32_t vectors, uint32_t count,
                       const struct apart_span *span, int32_t base_ps, struct apart_served *served)
{
    const struct window_core *core = worker->core;
    int32_t slack_ps = (int32_t)port->service_ps[worker->packet_bytes_max];
    int32_t per_byte = (int32_t)port->ps_per_byte;
    for (uint32_t v = 0; v < vectors; v++) {
        lanes *meta = (lanes *)&served->metas[v * LANES];
        *meta &= lane_ids(v) < splat((int32_t)count);
        served->size.v[v] = *meta & splat(PACKET_BYTES_MAX);
        served->time_ps.v[v] = served->key.v[v] >> (int32_t)(core->key_shift - 1);
    }
    memset(&served->metas[vectors * LANES], 0, MOVE_PACKETS * sizeof *served->metas);
    apart_fifo(per_byte, vectors, base_ps, served);
    lanes wait = splat(0), work = splat(0), width = splat((int32_t)core->width_ps);
    uint32_t starts = 0, here = 0, near = 0, left = 0;
    for (uint32_t v = 0; v < vectors; v++) {
        lanes is_packet = lane_ids(v) < splat((int32_t)count), departure = served->departure_ps.v[v];
        lanes start = departure - served->size.v[v] * splat(per_byte), waited = start - served->time_ps.v[v];
        lanes limit = splat(span->until_ps) + ((served->time_ps.v[v] >= splat(span->until_ps - 1)) & splat(span->cut));
        wait += waited & (start < limit) & is_packet;
        /* The packet in service may be counted whole though some of it has left. */
        lanes slack = splat(slack_ps) & (waited > splat(0));
        work = max_lanes(work, (departure - served->time_ps.v[v] + slack) & is_packet);
        lanes ahead = lanes_ahead(core, port, served->size.v[v], start, departure, (lanes_loose *)&served->keys_out[v * LANES]);
        starts |= bits_less(start, limit) << v * LANES;
        here |= bits_less(ahead, width) << v * LANES;
        near |= bits_less(ahead, width + width) << v * LANES;
        left |= bits_less(departure, width) << v * LANES;
    }
    starts &= lanes_first(count);
    served->count = count;
    served->start_count = (uint32_t)__builtin_popcount(starts); /* times ascend: these are the first lanes */
    served->here = (uint32_t)__builtin_popcount(starts & here);
    served->near = (uint32_t)__builtin_popcount(starts & near);
    served->left_count = (uint32_t)__builtin_popcount(starts & left);
    served->wait_ps = sum_lanes(wait);
    served->work_ps_max = top_lane(work);
}

/* ---- what is sent ----------------------------------------------------------------------------------------- */

/* Copies so many packets, of which this is the first, to their places in a chunk. */
typedef void apart_copy(const void *from, uint32_t first, uint32_t count, struct chunk *to, uint32_t lane);

struct apart_packets {
    struct chunk *const *chunks;
    const uint32_t *metas;
};

/* From where they stand; what is too much is overwritten by what comes next. */
INLINE void apart_packets_copy(const void *from, uint32_t first, uint32_t count, struct chunk *to, uint32_t lane)
{
    const struct apart_packets *packets = from;
    struct chunk *const *chunks = packets->chunks;
    const uint32_t *metas = packets->metas + first;
    uint32_t more = (count + MOVE_PACKETS - 1) / MOVE_PACKETS * MOVE_PACKETS;
    if (__builtin_expect(lane + more > CHUNK_PACKETS, 0)) {
        for (uint32_t i = 0; i < count; i++) {
            packet_copy(&to->packets[lane + i], meta_packet(chunks, metas[i]));
        }
        return;
    }
    for (uint32_t i = 0; i < more; i += MOVE_PACKETS) {
#pragma GCC unroll 4
        for (uint32_t k = i; k < i + MOVE_PACKETS; k++) {
            packet_copy(&to->packets[lane + k], meta_packet(chunks, metas[k]));
        }
    }
}

/* Sends some of what starts to the peer in one of its windows. With nothing to send the list is not even read: the
 * windows ahead of a port's reach can come round to the slot whose lists another worker takes at this moment. */
INLINE void apart_part_send(struct worker *worker, const struct window_port *port, const uint32_t *keys, uint32_t first,
                            uint32_t end, uint32_t ahead, apart_copy *copy, const void *from)
{
    if (first >= end) {
        return;
    }
    const struct window_core *core = worker->core;
    uint32_t slot = (worker->slot + port->reach_slots + ahead) & core->slot_mask, peer = port->peer;
    uintptr_t *tail = &worker->tails[(size_t)peer << core->slot_bits | slot], at = *tail;
    while (first < end) {
        if (__builtin_expect((at & CHUNK_ROOM_MASK) == 0, 0)) {
            *tail = at;
            at = inbox_open(worker, peer, slot);
        }
        struct chunk *chunk = (struct chunk *)(at & ~(uintptr_t)CHUNK_ROOM_MASK);
        uint32_t room = at & CHUNK_ROOM_MASK, lane = CHUNK_PACKETS - room;
        uint32_t count = end - first < room ? end - first : room;
        count = count < MOVE_MAX ? count : MOVE_MAX;
        keys_move(&keys[first], count, &chunk->keys[lane]);
        copy(from, first, count, chunk, lane);
        first += count;
        at -= count;
    }
    *tail = at;
}

/* Written out: each has its own way to be predicted. */
INLINE void apart_starts_send(struct worker *worker, const struct window_port *port, const struct apart_served *served)
{
    const struct apart_packets from = {worker->chunks, served->metas};
    const uint32_t *keys = served->keys_out;
    apart_part_send(worker, port, keys, 0, served->here, 0, apart_packets_copy, &from);
    apart_part_send(worker, port, keys, served->here, served->near, 1, apart_packets_copy, &from);
    apart_part_send(worker, port, keys, served->near, served->start_count, 2, apart_packets_copy, &from);
}

/* The packets that start after the time that is asked for. */
static __attribute__((noinline)) void apart_sample(struct worker *worker, const struct window_port *port,
                                                   const struct apart_served *served)
{
    for (uint32_t i = 0; i < served->start_count; i++) {
        int32_t service_ps = served->size.each[i] * (int32_t)port->ps_per_byte;
        if ((uint64_t)(served->departure_ps.each[i] - service_ps) > worker->sample_offset_ps) {
            port_sample(worker->core, port, (uint64_t)served->size.each[i]);
        }
    }
}

INLINE void apart_count(struct worker *worker, struct window_port *port, const struct apart_served *served)
{
    if (__builtin_expect(worker->sample_offset_ps < worker->core->width_ps, 0)) {
        apart_sample(worker, port, served);
    }
    uint32_t last = served->start_count - 1;
    uint64_t bytes = (uint64_t)served->bytes.each[last];
    struct port_sent sent = {served->start_count, bytes, bytes * port->ps_per_byte, (uint64_t)served->wait_ps};
    port->in_service_bytes = (uint32_t)served->size.each[last];
    port->free_ps = worker->start_ps + (uint64_t)served->departure_ps.each[last];
    sent_count(worker, port, &sent);
}

/* As much of a queue as a port sends in a window, mostly, and where it goes on. */
enum { QUEUE_AHEAD = 14, QUEUE_BEHIND = 4 };
static void apart_prefetch(const struct window_core *core, const struct window_node *node)
{
    for (uint32_t word = 0; word * 64 < node->port_count; word++) {
        for (uint64_t ports = core->waiting[node->waiting_first + word]; ports != 0; ports &= ports - 1) {
            const struct class_port *queues = &core->class_ports[node->port_first + word * 64 + (uint32_t)__builtin_ctzll(ports)];
            const struct class_ring *ring = queues->rings;
            uint32_t ahead = ring->count < QUEUE_AHEAD ? ring->count : QUEUE_AHEAD, mask = ring->capacity - 1;
            ahead = queues->paused != 0 ? 0 : ahead;
            for (uint32_t i = 0; i < ahead; i += 2) {
                __builtin_prefetch(&ring->items[(ring->head + i) & mask]);
            }
            for (uint32_t i = 0; i < QUEUE_BEHIND && ring->count > 0; i += 2) {
                __builtin_prefetch(&ring->items[(ring->head + ring->count + i) & mask], 1);
            }
        }
    }
}

