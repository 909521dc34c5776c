/* Adaptive choice where nothing holds up the ports that there are to choose among: all packets of the window choose before any
 * port is served. Part of window_apart_body.h. */
#include "netsim/engine/window_apart_order_body.h"

/* ---- choices, where nothing holds the ports up -------------------------------------------------------------- */

/* Packets that have a choice are dealt to their ports first, in order of time, and served with them later: as the ports are
 * FIFOs for the whole window, it is known when a packet leaves the port that it has chosen, and so what each holds when
 * the next one comes. That stands in vectors, counted from the first of these ports; beyond them all hold too much. */

INLINE void lane_add(lanes *vector, uint32_t lane, int32_t more)
{
#if SWITCH_LANES == 16
    *vector = (lanes)_mm512_mask_add_epi32((__m512i)*vector, (__mmask16)(1u << lane), (__m512i)*vector, (__m512i)splat(more));
#else
    *vector += splat(more) & (lane_ids(0) == splat((int32_t)lane));
#endif
}

INLINE void lane_lower(lanes *vector, uint32_t lane, int32_t other)
{
#if SWITCH_LANES == 16
    *vector = (lanes)_mm512_mask_min_epi32((__m512i)*vector, (__mmask16)(1u << lane), (__m512i)*vector, (__m512i)splat(other));
#else
    *vector = min_lanes(*vector, pick(lane_ids(0) == splat((int32_t)lane), splat(other), splat(INT32_MAX)));
#endif
}

/* What leaves the port in this window of what it holds; the rest is behind that. */
INLINE struct choice_leave *choice_open(const struct lazy *at, uint32_t local, struct choice_port *choice,
                                        struct choice_leave *leave)
{
    const struct window_port *port = &at->ports[local];
    const struct class_port *queues = &at->class_ports[local];
    const struct class_ring *ring = queues->rings;
    uint64_t now_ps = port->free_ps > at->worker->start_ps ? port->free_ps - at->worker->start_ps : 0;
    uint64_t limit_bytes = class_limit_bytes(at->node, port, queues->profile, 0, false);
    choice->limit_bytes = limit_bytes < INT64_MAX ? (int64_t)limit_bytes : INT64_MAX;
    choice->per_byte = (int32_t)port->ps_per_byte;
    choice->next = (uint32_t)(leave - at->worker->leaves);
    if (port->is_busy && now_ps < at->core->width_ps) {
        *leave++ = (struct choice_leave){(int32_t)now_ps, (int32_t)port->in_service_bytes};
    }
    for (uint32_t i = 0; i < ring->count && now_ps < at->core->width_ps; i++) {
        uint32_t size = (uint32_t)ring->items[(ring->head + i) & (ring->capacity - 1)].packet.size_bytes;
        now_ps += size * port->ps_per_byte;
        *leave++ = (struct choice_leave){(int32_t)now_ps, (int32_t)size};
    }
    choice->free_ps = (int32_t)(now_ps < AGE_PS_MAX ? now_ps : AGE_PS_MAX);
    choice->end = (uint32_t)(leave - at->worker->leaves);
    *leave = (struct choice_leave){INT32_MAX, 0};
    return leave;
}

/* Room for all of the window behind each of the ports; the backlogs. */
static void choices_open(const struct lazy *at, int32_t *backlog)
{
    struct worker *worker = at->worker;
    uint32_t first = at->node->route.up_port, ups = at->node->route.up_count, count = worker->arrivals.count;
    uint32_t room = ups * (count + 2);
    for (uint32_t i = 0; i < ups; i++) {
        room += at->ports[first + i].count;
    }
    if (worker->leave_capacity < room) {
        worker->leave_capacity = 2 * room;
        worker->leaves = arena_array(worker->arena, worker->leave_capacity, struct choice_leave);
    }
    struct choice_leave *leave = worker->leaves;
    for (uint32_t i = 0; i < ups; i++) {
        leave = choice_open(at, first + i, &worker->choice_ports[i], leave) + count + 1;
        backlog[i] = (int32_t)at->ports[first + i].queued_bytes;
    }
}

/* What has left the ports by now no longer counts there. */
INLINE void choices_catch_up(const struct worker *worker, int32_t now_ps, lanes *leave_ps, lanes *backlog, uint32_t vectors)
{
    for (uint32_t v = 0; v < vectors; v++) {
        for (uint32_t bits = bits_less(leave_ps[v], splat(now_ps + 1)); bits != 0; bits &= bits - 1) {
            uint32_t lane = (uint32_t)__builtin_ctz(bits);
            struct choice_port *choice = &worker->choice_ports[v * LANES + lane];
            const struct choice_leave *leave = &worker->leaves[choice->next];
            int32_t bytes = 0;
            do {
                bytes += leave->bytes;
                leave++;
            } while (leave->leave_ps <= now_ps);
            choice->next = (uint32_t)(leave - worker->leaves);
            lane_set(&leave_ps[v], lane, leave->leave_ps);
            lane_add(&backlog[v], lane, -bytes);
        }
    }
}

/* A bit per lane that is as low as the lowest; nothing but that waits for a choice, so no word goes to the other side of the
 * machine and back. `is_half`: only the lower half of the lanes counts. */
INLINE uint32_t lanes_lowest(lanes a, bool is_half)
{
#if SWITCH_LANES == 16
    __m512i low = (__m512i)a;
    low = is_half ? low : _mm512_min_epi32(low, _mm512_shuffle_i64x2(low, low, 0x4e));
    low = _mm512_min_epi32(low, _mm512_shuffle_i64x2(low, low, 0xb1));
    low = _mm512_min_epi32(low, _mm512_shuffle_epi32(low, 0x4e));
    low = _mm512_min_epi32(low, _mm512_shuffle_epi32(low, 0xb1));
    uint32_t bits = simd_mask_bits(_mm512_cmpeq_epi32_mask((__m512i)a, low));
    return is_half ? bits & UINT8_MAX : bits;
#elif SWITCH_LANES == 8
    (void)is_half;
    __m256i low = _mm256_min_epi32((__m256i)a, _mm256_permute2x128_si256((__m256i)a, (__m256i)a, 1));
    low = _mm256_min_epi32(low, _mm256_shuffle_epi32(low, 0x4e));
    low = _mm256_min_epi32(low, _mm256_shuffle_epi32(low, 0xb1));
    return (uint32_t)_mm256_movemask_ps((__m256)_mm256_cmpeq_epi32((__m256i)a, low));
#else
    (void)is_half;
    return bits_less(a, splat(lowest_lane(a) + 1));
#endif
}

/* The port that holds least, in grades of 2^shift bytes. Without a branch on ties: they come and go. */
INLINE uint32_t choice_of(const lanes *backlog, uint32_t vectors, bool is_half, uint64_t hash, int32_t shift)
{
    if (vectors == 1) {
        uint32_t bits = lanes_lowest(backlog[0] >> shift, is_half);
        return bit_at(bits, rng_below(hash, (uint32_t)__builtin_popcount(bits)));
    }
    lanes low = backlog[0];
    for (uint32_t v = 1; v < vectors; v++) {
        low = min_lanes(low, backlog[v]);
    }
    lanes least = splat(((lowest_lane(low) >> shift) + 1) << shift);
    uint32_t ties = 0, v = 0;
    for (uint32_t i = 0; i < vectors; i++) {
        ties += (uint32_t)__builtin_popcount(bits_less(backlog[i], least));
    }
    uint32_t wanted = rng_below(hash, ties), bits = bits_less(backlog[0], least);
    for (uint32_t in; wanted >= (in = (uint32_t)__builtin_popcount(bits)); bits = bits_less(backlog[v], least)) {
        wanted -= in;
        v++;
    }
    return v * LANES + bit_at(bits, wanted);
}

/* False: the batch is full. */
INLINE bool batch_put(uint32_t *batch_count, struct apart_batch *batch, uint64_t item)
{
    uint32_t count = *batch_count;
    if (__builtin_expect(count >= BATCH_PACKETS, 0)) {
        return false;
    }
    *batch_count = count + 1;
    batch->keys[count] = (int32_t)(item >> 33);
    batch->metas[count] = (uint32_t)item;
    return true;
}

/* A packet that has chosen its port leaves it behind all that is there; when. */
INLINE int32_t choice_behind(struct worker *worker, struct choice_port *choice, int32_t size, int32_t now_ps)
{
    int32_t start_ps = choice->free_ps > now_ps ? choice->free_ps : now_ps, free_ps = start_ps + size * choice->per_byte;
    worker->leaves[choice->end++] = (struct choice_leave){free_ps, size};
    worker->leaves[choice->end] = (struct choice_leave){INT32_MAX, 0};
    choice->free_ps = free_ps < AGE_PS_MAX ? free_ps : AGE_PS_MAX;
    return free_ps;
}

/* From the choice `i` on. */
INLINE void choices_deal(const struct lazy *at, uint32_t i, lanes *leave_ps, lanes *backlog, uint32_t vectors, bool is_half,
                         bool may_drop)
{
    struct worker *worker = at->worker;
    const uint64_t *items = worker->arrivals.items, *hashes = worker->arrivals.spare;
    uint32_t first = at->node->route.up_port, count = worker->arrivals.count;
    for (; i < count; i++) {
        uint64_t item = items[i];
        int32_t now_ps = (int32_t)lazy_item_ps(at->core, item), size = (int32_t)((uint32_t)item & PACKET_BYTES_MAX);
        choices_catch_up(worker, now_ps, leave_ps, backlog, vectors);
        uint32_t local = choice_of(backlog, vectors, is_half, hashes[i], (int32_t)at->grade_shift);
        uint32_t v = vectors == 1 ? 0 : local / LANES, lane = local - v * LANES;
        struct choice_port *choice = &worker->choice_ports[local];
        if (may_drop && backlog[v][lane] + (int64_t)size > choice->limit_bytes) {
            const struct packet *packet = meta_packet(worker->chunks, (uint32_t)item);
            apart_drop(at, first + local, packet, lazy_item_port(at->core, item), now_ps);
            at->class_ports[first + local].packet_number++;
            continue;
        }
        lane_add(&backlog[v], lane, size);
        lane_lower(&leave_ps[v], lane, choice_behind(worker, choice, size, now_ps));
        if (!batch_put(&worker->batch_count[first + local], &worker->apart_batches[first + local], item)) {
            worker->batch_count[first + local]++;
            apart_more_put(worker, first + local, (int32_t)(item >> 33), (uint32_t)item);
        }
    }
}

/* What has been dealt already, no more than a batch (window_apart_quick_body.h), is behind what was there. */
static void choice_resume(const struct lazy *at, uint32_t local, struct choice_port *choice, int32_t *backlog)
{
    struct worker *worker = at->worker;
    const struct apart_batch *batch = &worker->apart_batches[local];
    for (uint32_t i = 0; i < worker->batch_count[local]; i++) {
        int32_t size = (int32_t)(batch->metas[i] & PACKET_BYTES_MAX);
        choice_behind(worker, choice, size, batch->keys[i] >> (at->core->key_shift - 1));
        *backlog += size;
    }
}

/* The first `done` have been dealt. */
static __attribute__((noinline)) void choices_go_on(const struct lazy *at, uint32_t done, bool may_drop)
{
    enum { CHOICE_VECTORS_MAX = LAZY_PORTS_MAX / LANES };
    struct worker *worker = at->worker;
    uint32_t ups = at->node->route.up_count, first = at->node->route.up_port, vectors = (ups + LANES - 1) / LANES;
    lanes leave_ps[CHOICE_VECTORS_MAX], backlog[CHOICE_VECTORS_MAX];
    for (uint32_t v = 0; v < vectors; v++) {
        leave_ps[v] = backlog[v] = splat(INT32_MAX);
    }
    choices_open(at, (int32_t *)backlog);
    for (uint32_t i = 0; i < ups; i++) {
        choice_resume(at, first + i, &worker->choice_ports[i], (int32_t *)backlog + i);
        ((int32_t *)leave_ps)[i] = worker->leaves[worker->choice_ports[i].next].leave_ps;
    }
    if (vectors == 1 && !may_drop) {
        lanes one_ps = leave_ps[0], bytes = backlog[0]; /* in registers */
        if (ups <= LANES / 2) {
            choices_deal(at, done, &one_ps, &bytes, 1, true, false);
        } else {
            choices_deal(at, done, &one_ps, &bytes, 1, false, false);
        }
    } else {
        choices_deal(at, done, leave_ps, backlog, vectors, false, may_drop);
    }
}
