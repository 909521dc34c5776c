/* A switch whose ports see each other through pauses and adaptive choice alone (window_core.is_apart): its ports are served one
 * after the other, by vectors where they are FIFOs, and what its inputs hold is accounted for afterwards. Included behind
 * window_lazy_body.h.
 *
 *      inbox ─► route ─┬─────────────────────────► batch per port ─► vectors ─┬─► inbox of the peer
 *                      ├─► sorted ─► chosen one by one ──────┘                │
 *                      └─► frames, sorted (their ports one by one)            └─► log: when, by which port it came, bytes
 *                                                                                             │
 *                      bytes that came, per input ────────────────────────────────────────────┴─► accounts ─► pauses
 *
 * A pause that the node sends changes nothing at the node itself; one that it gets is in its inbox when the window begins,
 * and concerns one port. So a port without frames either sends as a FIFO for the whole window, or (paused) nothing. The time
 * of a pause to send matters only for an input that may pass a threshold in this window: one that has paused its link, or that
 * holds, with all that arrives, more than it may. For those alone arrivals and departures are sorted and gone through. */
#include "netsim/engine/window_apart_scan_body.h"

/* ---- dealing ---------------------------------------------------------------------------------------------- */

/* Output ports of GROUP packets in a tree; port_count where there is a choice by backlog. */
INLINE void group_choose(const struct window_node *node, const struct packet *packets, int32_t *outs)
{
    const words_loose *in = (const words_loose *)packets;
    words low = EVEN((words)in[0], (words)in[1]);
    const struct route *route = &node->route;
    words into = (low & splat_word(WORD_HOST_MASK)) - splat_word(route->down_first); /* wraps below */
    words is_down = (words)(into < splat_word(route->down_last - route->down_first));
    words child = product(into & splat_word(WORD_HOST_MASK), splat_word(node->stride_reciprocal)) >> node->stride_shift;
    uint32_t up = route->up_count == 1 ? route->up_port : node->port_count;
    words out = (is_down & (splat_word(route->down_port) + child)) | (~is_down & splat_word(up));
    *(half_loose *)outs = __builtin_convertvector(out, half);
}

INLINE void chunk_choose(const struct lazy *at, const struct chunk *chunk, int32_t *outs)
{
    if (!at->is_adaptive) {
        chunk_route(at->core, at->node, chunk, outs);
        return;
    }
    for (uint32_t first = 0; first < chunk->count; first += GROUP) {
        group_choose(at->node, &chunk->packets[first], outs + first);
    }
}

/* What has a choice is dealt to no port, but put into the list behind `choices`; the new end of it. */
INLINE uint64_t *apart_deal(const struct lazy *at, const struct chunk *chunk, uint32_t chunk_id, uint64_t *choices)
{
    struct worker *worker = at->worker;
    int32_t outs[CHUNK_PACKETS];
    chunk_choose(at, chunk, outs);
    uint32_t *counts = worker->batch_count, *came_bytes = worker->came_bytes, none = at->node->port_count;
    struct apart_batch *batches = worker->apart_batches;
    uint32_t meta_chunk = chunk_id << (META_LANE_BITS + META_SIZE_BITS), port_mask = (1u << (at->core->key_shift - 1)) - 1;
    for (uint32_t lane = chunk->count; lane-- > 0;) { /* newest first (C3) */
        uint32_t key = chunk->keys[lane] >> 1, size = (uint32_t)chunk->packets[lane].size_bytes, out = (uint32_t)outs[lane];
        uint32_t meta = meta_chunk | lane << META_SIZE_BITS | size, count;
        if (__builtin_expect(size == 0, 0)) {
            frame_add(worker, chunk->keys[lane], &chunk->packets[lane]);
            continue;
        }
        came_bytes[key & port_mask] += size;
        *choices = (uint64_t)key << 33 | meta; /* as lazy_item, and whole does not matter */
        choices += out == none;
        count = counts[out];
        counts[out] = count + 1;
        if (__builtin_expect(count >= BATCH_PACKETS, 0)) {
            apart_more_put(worker, out, (int32_t)key, meta);
            continue;
        }
        batches[out].keys[count] = (int32_t)key;
        batches[out].metas[count] = meta;
    }
    counts[none] = 0;
    return choices;
}

/* Takes the inbox; how many packets it had. */
static uint32_t apart_take(const struct lazy *at, uint32_t node_id)
{
    struct worker *worker = at->worker;
    struct arrivals *arrivals = &worker->arrivals;
    uint32_t chunk_count = 0, packet_count = 0;
    arrivals->count = worker->frames.count = worker->left.count = 0;
    for (uint32_t i = 0; i < at->core->worker_count; i++) {
        struct chunk *chunk = inbox_take(&at->core->workers[i], node_id, worker->slot);
        worker->taken[i] = chunk;
        for (; chunk != NULL; chunk = chunk->older) {
            if (chunk_count == worker->chunk_capacity) {
                apart_chunks_reserve(worker);
            }
            worker->chunks[chunk_count] = chunk;
            next_chunk_prefetch(worker);
            arrivals_reserve(worker, arrivals->count + CHUNK_PACKETS + 1);
            uint64_t *end = apart_deal(at, chunk, chunk_count++, &arrivals->items[arrivals->count]);
            arrivals->count = (uint32_t)(end - arrivals->items);
            packet_count += chunk->count;
        }
    }
    return packet_count;
}

/* ---- ports in general ------------------------------------------------------------------------------------- */

/* When what is in service leaves, into the vector. */
INLINE void leave_load(const struct lazy *at, uint32_t local)
{
    const struct window_port *port = &at->ports[local];
    uint64_t leave_ps = port->free_ps - at->worker->start_ps;
    int32_t word_ps = leave_ps < INT32_MAX ? (int32_t)leave_ps : INT32_MAX - 1;
    lane_set(at->leave_ps, local, port->is_busy ? word_ps : INT32_MAX);
}

/* What has been sent last. */
INLINE void in_service_set(struct class_port *queues, uint32_t in_port, uint32_t bytes)
{
    queues->service_in_port = in_port;
    queues->service_in_bytes = (uint16_t)bytes;
    queues->service_in_class = 0;
    queues->service_class = 0;
}

/* Not paused, and nothing has waited in the dark: without frames it is a FIFO for the whole window. */
INLINE bool is_fifo_now(const struct window_port *port, const struct class_port *queues)
{
    return queues->paused == 0 && (port->count == 0 || class_head(queues->rings)->since_ps >= port->up_ps);
}

/* A port has sent what it can in this window, and knows what is in service and when that leaves. */
INLINE void apart_port_close(const struct lazy *at, uint32_t local, uint64_t waiting_bytes)
{
    struct window_port *port = &at->ports[local];
    struct class_port *queues = &at->class_ports[local];
    port->is_busy = port->free_ps >= at->worker->end_ps;
    port->in_service_bytes = port->is_busy ? port->in_service_bytes : 0;
    port->queued_bytes = queues->rings->bytes = waiting_bytes + port->in_service_bytes;
    queues->ready = port->count > 0;
    leave_load(at, local);
}

/* ---- what waits ------------------------------------------------------------------------------------------- */

/* What waited and starts in this window; its bytes. */
INLINE uint64_t apart_waiting_send(const struct lazy *at, uint32_t local)
{
    struct worker *worker = at->worker;
    struct window_port *port = &at->ports[local];
    struct class_port *queues = &at->class_ports[local];
    struct class_ring *ring = queues->rings;
    uint64_t now_ps = port->free_ps > worker->start_ps ? port->free_ps - worker->start_ps : 0;
    uint32_t mask = ring->capacity - 1, head = ring->head, left = ring->count;
    const struct class_waiting *first = NULL;
    struct port_sent sent = {0};
    for (; left > 0 && now_ps < at->core->width_ps; left--, head++) {
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

/* Room for all of the window behind each of the ports; the first leaves and backlogs. */
static void choices_open(const struct lazy *at, int32_t *leave_ps, int32_t *backlog)
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
        leave_ps[i] = worker->leaves[worker->choice_ports[i].next].leave_ps;
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

/* The port that holds least. Without a branch on ties: they come and go. */
INLINE uint32_t choice_of(const lanes *backlog, uint32_t vectors, bool is_half, uint64_t hash)
{
    if (vectors == 1) {
        uint32_t bits = lanes_lowest(backlog[0], is_half);
        return bit_at(bits, rng_below(hash, (uint32_t)__builtin_popcount(bits)));
    }
    lanes low = backlog[0];
    for (uint32_t v = 1; v < vectors; v++) {
        low = min_lanes(low, backlog[v]);
    }
    lanes least = splat(lowest_lane(low) + 1);
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

/* A packet that has chosen its port leaves it behind all that is there. */
INLINE void choice_deal(struct worker *worker, uint32_t local, struct choice_port *choice, uint64_t item, int32_t now_ps,
                        lanes *leave_ps, uint32_t lane)
{
    uint32_t meta = (uint32_t)item, count = worker->batch_count[local]++;
    int32_t size = (int32_t)(meta & PACKET_BYTES_MAX), start_ps = choice->free_ps > now_ps ? choice->free_ps : now_ps;
    int32_t free_ps = start_ps + size * choice->per_byte;
    worker->leaves[choice->end++] = (struct choice_leave){free_ps, size};
    worker->leaves[choice->end] = (struct choice_leave){INT32_MAX, 0};
    choice->free_ps = free_ps < AGE_PS_MAX ? free_ps : AGE_PS_MAX;
    lane_lower(leave_ps, lane, free_ps);
    if (__builtin_expect(count >= BATCH_PACKETS, 0)) {
        apart_more_put(worker, local, (int32_t)(item >> 33), meta);
        return;
    }
    worker->apart_batches[local].keys[count] = (int32_t)(item >> 33);
    worker->apart_batches[local].metas[count] = meta;
}

INLINE void choices_deal(const struct lazy *at, lanes *leave_ps, lanes *backlog, uint32_t vectors, bool is_half,
                         bool may_drop)
{
    struct worker *worker = at->worker;
    const uint64_t *items = worker->arrivals.items, salt = at->node->salt;
    uint32_t first = at->node->route.up_port, count = worker->arrivals.count;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t item = items[i];
        int32_t now_ps = (int32_t)lazy_item_ps(at->core, item), size = (int32_t)((uint32_t)item & PACKET_BYTES_MAX);
        const struct packet *packet = meta_packet(worker->chunks, (uint32_t)item);
        uint64_t hash = packet_path_hash(packet, salt); /* is_tree: no source routes */
        choices_catch_up(worker, now_ps, leave_ps, backlog, vectors);
        uint32_t local = choice_of(backlog, vectors, is_half, hash), v = vectors == 1 ? 0 : local / LANES, lane = local - v * LANES;
        struct choice_port *choice = &worker->choice_ports[local];
        if (may_drop && backlog[v][lane] + (int64_t)size > choice->limit_bytes) {
            apart_drop(at, first + local, packet, lazy_item_port(at->core, item), now_ps);
            at->class_ports[first + local].packet_number++;
            continue;
        }
        lane_add(&backlog[v], lane, size);
        choice_deal(worker, first + local, choice, item, now_ps, &leave_ps[v], lane);
    }
}

static void choices_make(const struct lazy *at, bool may_drop)
{
    enum { CHOICE_VECTORS_MAX = LAZY_PORTS_MAX / LANES };
    uint32_t vectors = ((uint32_t)at->node->route.up_count + LANES - 1) / LANES;
    lanes leave_ps[CHOICE_VECTORS_MAX], backlog[CHOICE_VECTORS_MAX];
    for (uint32_t v = 0; v < vectors; v++) {
        leave_ps[v] = backlog[v] = splat(INT32_MAX);
    }
    choices_open(at, (int32_t *)leave_ps, (int32_t *)backlog);
    if (vectors == 1 && !may_drop) {
        lanes one_ps = leave_ps[0], bytes = backlog[0]; /* in registers */
        if (at->node->route.up_count <= LANES / 2) {
            choices_deal(at, &one_ps, &bytes, 1, true, false);
        } else {
            choices_deal(at, &one_ps, &bytes, 1, false, false);
        }
    } else {
        choices_deal(at, leave_ps, backlog, vectors, false, may_drop);
    }
}

/* ---- one by one ------------------------------------------------------------------------------------------- */

static __attribute__((noinline)) void apart_frame(const struct lazy *at, uint64_t item)
{
    struct worker *worker = at->worker;
    uint32_t local = lazy_frame_port(at->core, item);
    uint64_t offset_ps = lazy_frame_ps(at->core, item), now_ps = worker->start_ps + offset_ps;
    port_catch_up(at, local, (int32_t)offset_ps, LAZY_APART);
    if (frame_obey(&at->class_ports[local], lazy_frame_packet(&worker->frames, item), now_ps) &&
        !at->ports[local].is_busy) {
        lazy_start(at, local, now_ps, LAZY_APART);
    }
}

/* The packets that have a choice, and the frames for the ports they have it among. Only those stand in `leave_ps` now. */
static void choices_walk(const struct lazy *at)
{
    struct worker *worker = at->worker;
    const struct frames *frames = &worker->frames;
    const struct route *route = &at->node->route;
    const struct port_set ups = {.first = route->up_port, .count = route->up_count};
    uint32_t frame = 0, count = worker->arrivals.count;
    for (uint32_t i = 0; i < ups.count; i++) {
        leave_load(at, ups.first + i);
    }
    for (uint32_t i = 0;; i++) {
        uint64_t item = i < count ? worker->arrivals.items[i] : UINT64_MAX;
        int32_t offset_ps = (int32_t)(i < count ? lazy_item_ps(at->core, item) : at->core->width_ps - 1);
        for (; frame < frames->count && (int32_t)lazy_frame_ps(at->core, frames->items[frame]) <= offset_ps; frame++) {
            if (lazy_frame_port(at->core, frames->items[frame]) - ups.first < ups.count) {
                apart_frame(at, frames->items[frame]);
            }
        }
        ports_catch_up(at, offset_ps, LAZY_APART);
        if (i == count) {
            return;
        }
        const struct packet *packet = meta_packet(worker->chunks, (uint32_t)item);
        uint32_t local = choice_least(at, &ups, packet);
        lazy_admit(at, local, packet, lazy_item_port(at->core, item), offset_ps, LAZY_APART);
    }
}

/* The frames of one port, in order: the next one from `frame` on, which may be the end. */
INLINE uint32_t frame_next(const struct lazy *at, uint32_t frame, uint32_t local)
{
    const struct frames *frames = &at->worker->frames;
    while (frame < frames->count && lazy_frame_port(at->core, frames->items[frame]) != local) {
        frame++;
    }
    return frame;
}

/* The packets of a batch in the order of service, as items of `arrivals`: by the network where its keys have room for places. */
INLINE void apart_lanes_order(const struct apart_batch *batch, uint32_t vectors, uint32_t count, uint64_t *items)
{
    union apart_block order;
    for (uint32_t v = 0; v < vectors; v++) {
        lanes keys = *(const lanes_loose *)&batch->keys[v * LANES] << PLACE_BITS | lane_ids(v);
        order.v[v] = pick(lane_ids(v) < splat((int32_t)count), keys, splat(INT32_MAX));
    }
    sort_block(order.v, vectors);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t key = (uint32_t)order.each[i] >> PLACE_BITS, meta = batch->metas[order.each[i] & (BATCH_PACKETS - 1)];
        items[i] = (uint64_t)key << 33 | meta;
    }
}

static __attribute__((noinline)) void apart_order(const struct lazy *at, uint32_t local, uint32_t count)
{
    struct worker *worker = at->worker;
    const struct apart_batch *batch = &worker->apart_batches[local];
    struct arrivals *arrivals = &worker->arrivals;
    uint32_t inside = count < BATCH_PACKETS ? count : BATCH_PACKETS, items = 0;
    arrivals->count = 0;
    arrivals_reserve(worker, count + 1);
    if (count <= BATCH_PACKETS && at->core->has_place_bits) {
        if (count <= LANES) {
            apart_lanes_order(batch, 1, count, arrivals->items);
        } else {
            apart_lanes_order(batch, VECTORS_MAX_APART, count, arrivals->items);
        }
        return;
    }
    for (uint32_t i = inside; i-- > 0;) {
        arrivals->items[items++] = (uint64_t)batch->keys[i] << 33 | batch->metas[i];
    }
    for (size_t i = 0; count > inside && i < worker->apart_more_count; i++) {
        if (worker->apart_more[i].port == local) {
            arrivals->items[items++] = (uint64_t)worker->apart_more[i].key << 33 | worker->apart_more[i].meta;
        }
    }
    lazy_sort(at->core, &arrivals->items, &arrivals->spare, count, 32 + at->core->key_shift);
}

static __attribute__((noinline)) void apart_port_walk(const struct lazy *at, uint32_t local, uint32_t count)
{
    struct worker *worker = at->worker;
    const struct arrivals *arrivals = &worker->arrivals;
    const struct frames *frames = &worker->frames;
    uint32_t frame = frame_next(at, 0, local);
    apart_order(at, local, count);
    leave_load(at, local);
    for (uint32_t i = 0; i < count; i++) {
        int32_t offset_ps = (int32_t)lazy_item_ps(at->core, arrivals->items[i]);
        while (frame < frames->count && (int32_t)lazy_frame_ps(at->core, frames->items[frame]) <= offset_ps) {
            apart_frame(at, frames->items[frame]);
            frame = frame_next(at, frame + 1, local);
        }
        port_catch_up(at, local, offset_ps, LAZY_APART);
        lazy_admit(at, local, meta_packet(worker->chunks, (uint32_t)arrivals->items[i]),
                   lazy_item_port(at->core, arrivals->items[i]), offset_ps, LAZY_APART);
    }
    for (; frame < frames->count; frame = frame_next(at, frame + 1, local)) {
        apart_frame(at, frames->items[frame]);
    }
    port_catch_up(at, local, (int32_t)at->core->width_ps - 1, LAZY_APART);
}

/* ---- one by one, where the port sends all the time or not at all ------------------------------------------- */

struct apart_pass {
    uint64_t free_ps;    /* from the start of the window: when what comes next may start; UINT64_MAX: the port is paused */
    uint64_t held_bytes; /* in the port, as far as `gone` has been looked at */
    uint64_t limit_bytes, top_bytes;
    uint32_t gone;       /* of the log, in which stands what leaves the port, in order */
    uint32_t in_port, bytes; /* of what was sent last */
    uint64_t waiting_bytes;
    struct port_sent sent;
};

/* What has left by now. */
INLINE void pass_catch_up(const struct worker *worker, struct apart_pass *pass, int32_t now_ps)
{
    const struct left_log *left = &worker->left;
    for (; pass->gone < left->count && left->when_ps[pass->gone] <= now_ps; pass->gone++) {
        uint32_t what = left->what[pass->gone];
        pass->held_bytes -= what & LEFT_DROPPED ? 0 : what & PACKET_BYTES_MAX;
    }
}

INLINE void pass_admit(const struct lazy *at, uint32_t local, struct apart_pass *pass, uint64_t item, bool is_marking)
{
    struct worker *worker = at->worker;
    struct window_port *port = &at->ports[local];
    struct class_port *queues = &at->class_ports[local];
    const struct queue_class *rule = &queues->profile->class[0];
    struct packet *packet = meta_packet(worker->chunks, (uint32_t)item);
    uint64_t time_ps = lazy_item_ps(at->core, item), start_ps = pass->free_ps > time_ps ? pass->free_ps : time_ps;
    uint32_t in_port = lazy_item_port(at->core, item), size_bytes = (uint32_t)item & PACKET_BYTES_MAX;
    pass_catch_up(worker, pass, (int32_t)time_ps);
    queues->packet_number++;
    if (__builtin_expect(pass->held_bytes + size_bytes > pass->limit_bytes, 0)) {
        apart_drop(at, local, packet, in_port, (int32_t)time_ps);
        return;
    }
    if (is_marking) {
        class_mark(at->core, at->port_first + local, queues, rule, packet, pass->held_bytes);
    }
    pass->held_bytes += size_bytes;
    pass->top_bytes = pass->held_bytes > pass->top_bytes ? pass->held_bytes : pass->top_bytes;
    if (start_ps >= at->core->width_ps) {
        struct class_waiting *place = class_place(worker, port, queues, 0);
        *place = (struct class_waiting){.packet = *packet, .since_ps = worker->start_ps + time_ps, .in_port = in_port,
                                        .in_bytes = packet->size_bytes};
        pass->waiting_bytes += size_bytes;
        return;
    }
    uint64_t service_ps = packet_send(worker, port, packet, start_ps);
    pass->sent.packets++;
    pass->sent.bytes += size_bytes;
    pass->sent.busy_ps += service_ps;
    pass->sent.wait_ps += start_ps - time_ps;
    pass->free_ps = start_ps + service_ps;
    pass->in_port = in_port;
    pass->bytes = size_bytes;
    left_put(worker, (int32_t)pass->free_ps, in_port, size_bytes);
}

static void pass_close(const struct lazy *at, uint32_t local, const struct apart_pass *pass)
{
    struct window_port *port = &at->ports[local];
    port_record(port, pass->top_bytes);
    if (pass->sent.packets > 0) {
        port->free_ps = at->worker->start_ps + pass->free_ps;
        port->in_service_bytes = pass->bytes;
        in_service_set(&at->class_ports[local], pass->in_port, pass->bytes);
        sent_count(at->worker, port, &pass->sent);
    }
    apart_port_close(at, local, pass->waiting_bytes);
}

/* A port without frames that is a FIFO for the whole window, or paused: as apart_port_walk, but nothing needs to be looked up
 * that this packet has not changed. */
static __attribute__((noinline)) void apart_port_pass(const struct lazy *at, uint32_t local, uint32_t count)
{
    struct worker *worker = at->worker;
    struct window_port *port = &at->ports[local];
    struct class_port *queues = &at->class_ports[local];
    const uint64_t *items;
    struct apart_pass pass = {.free_ps = UINT64_MAX, .held_bytes = port->queued_bytes, .gone = worker->left.count};
    pass.limit_bytes = class_limit_bytes(at->node, port, queues->profile, 0, false);
    if (port->is_busy && port->free_ps < worker->end_ps) {
        left_put(worker, (int32_t)(port->free_ps - worker->start_ps), queues->service_in_port, queues->service_in_bytes);
    }
    pass.waiting_bytes = port->queued_bytes - port->in_service_bytes;
    if (queues->paused == 0) {
        pass.waiting_bytes -= apart_waiting_send(at, local);
        pass.free_ps = port->free_ps > worker->start_ps ? port->free_ps - worker->start_ps : 0;
    }
    apart_order(at, local, count);
    items = worker->arrivals.items;
    if (queues->profile->class[0].mark == MARK_ENQUEUE) {
        for (uint32_t i = 0; i < count; i++) {
            pass_admit(at, local, &pass, items[i], true);
        }
    } else {
        for (uint32_t i = 0; i < count; i++) {
            pass_admit(at, local, &pass, items[i], false);
        }
    }
    pass_close(at, local, &pass);
}

/* ---- all lanes at once ------------------------------------------------------------------------------------ */

/* Bytes in the port as each packet of the batch arrives, itself counted; the largest. Exact: all that is there before and came
 * before it, but for what has left by then, of which only what leaves in this window needs a look. */
static __attribute__((noinline)) int32_t apart_top(const struct lazy *at, uint32_t local, const struct apart_served *served,
                                                   uint32_t vectors)
{
    const struct window_port *port = &at->ports[local];
    const struct class_ring *ring = at->class_ports[local].rings;
    uint64_t leaves_ps = port->free_ps > at->worker->start_ps ? port->free_ps - at->worker->start_ps : 0;
    int32_t bytes = port->is_busy ? (int32_t)port->in_service_bytes : 0;
    lanes queued[VECTORS_MAX_APART], top = splat(0);
    for (uint32_t v = 0; v < vectors; v++) {
        queued[v] = served->bytes.v[v] + splat((int32_t)port->queued_bytes);
    }
    for (uint32_t i = 0; leaves_ps < at->core->width_ps; i++) { /* in service, then the queue */
        for (uint32_t v = 0; v < vectors; v++) {
            queued[v] -= (served->time_ps.v[v] >= splat((int32_t)leaves_ps)) & splat(bytes);
        }
        if (i == ring->count) {
            break;
        }
        bytes = (int32_t)ring->items[(ring->head + i) & (ring->capacity - 1)].packet.size_bytes;
        leaves_ps += port_service_ps(port, (uint64_t)bytes);
    }
    for (uint32_t j = 0; j < served->left_count; j++) {
        for (uint32_t v = 0; v < vectors; v++) {
            queued[v] -= splat(served->size.each[j]) & (served->time_ps.v[v] >= splat(served->departure_ps.each[j]));
        }
    }
    for (uint32_t v = 0; v < vectors; v++) {
        top = max_lanes(top, queued[v] & (lane_ids(v) < splat((int32_t)served->count)));
    }
    return top_lane(top);
}

/* Puts what does not start behind the queue. */
INLINE void apart_rest_wait(const struct lazy *at, uint32_t local, const struct apart_served *served)
{
    struct worker *worker = at->worker;
    struct class_ring *ring = at->class_ports[local].rings;
    uint32_t more = served->count - served->start_count, port_mask = (1u << (at->core->key_shift - 1)) - 1;
    while (__builtin_expect(ring->count + more > ring->capacity, 0)) {
        class_ring_grow(worker, ring);
    }
    uint32_t end = ring->head + ring->count, mask = ring->capacity - 1;
    for (uint32_t i = served->start_count; i < served->count; i++, end++) {
        struct class_waiting *place = &ring->items[end & mask];
        place->packet = *meta_packet(worker->chunks, served->metas[i]);
        place->since_ps = worker->start_ps + (uint64_t)served->time_ps.each[i];
        place->in_port = (uint32_t)served->key.each[i] & port_mask;
        place->in_bytes = served->size.each[i] & PACKET_BYTES_MAX;
        place->in_class = 0;
    }
    ring->count += more;
    at->ports[local].count += more;
}

/* What leaves in this window. */
INLINE void lanes_log(const struct lazy *at, const struct apart_served *served, uint32_t vectors)
{
    struct left_log *left = &at->worker->left;
    lanes port_mask = splat((1 << (at->core->key_shift - 1)) - 1);
    if (__builtin_expect(left->count + vectors * LANES > left->capacity, 0)) {
        left_reserve(at->worker, vectors * LANES);
    }
    for (uint32_t v = 0; v < vectors; v++) { /* the others do no harm */
        *(lanes_loose *)&left->when_ps[left->count + v * LANES] = served->departure_ps.v[v];
        *(lanes_loose *)&left->what[left->count + v * LANES] =
            (served->key.v[v] & port_mask) << LEFT_PORT_SHIFT | served->size.v[v];
    }
    left->count += served->left_count;
}

/* One packet to a port where nothing waits: what most ports have where little goes on. False: not to be had that simply. */
static bool apart_lone(const struct lazy *at, uint32_t local)
{
    struct worker *worker = at->worker;
    struct window_port *port = &at->ports[local];
    struct class_port *queues = &at->class_ports[local];
    const struct queue_class *rule = &queues->profile->class[0];
    int32_t key = worker->apart_batches[local].keys[0];
    struct packet *packet = meta_packet(worker->chunks, worker->apart_batches[local].metas[0]);
    uint32_t in_port = (uint32_t)key & ((1u << (at->core->key_shift - 1)) - 1), size = (uint32_t)packet->size_bytes;
    uint64_t time_ps = (uint64_t)(key >> (at->core->key_shift - 1));
    uint64_t free_ps = port->is_busy ? port->free_ps - worker->start_ps : 0;
    uint64_t held_bytes = free_ps > time_ps ? port->in_service_bytes : 0;
    uint64_t start_ps = free_ps > time_ps ? free_ps : time_ps;
    if (start_ps >= at->core->width_ps || (rule->mark != MARK_NEVER && held_bytes > rule->mark_low_bytes) ||
        held_bytes + size > class_limit_bytes(at->node, port, queues->profile, 0, false)) {
        return false;
    }
    if (port->is_busy) {
        left_put(worker, (int32_t)free_ps, queues->service_in_port, queues->service_in_bytes);
    }
    port_record(port, held_bytes + size);
    struct port_sent sent = {.packets = 1, .bytes = size, .wait_ps = start_ps - time_ps};
    sent.busy_ps = packet_send(worker, port, packet, start_ps);
    left_put(worker, (int32_t)(start_ps + sent.busy_ps), in_port, size);
    in_service_set(queues, in_port, size);
    queues->packet_number++;
    port->in_service_bytes = size;
    port->free_ps = worker->start_ps + start_ps + sent.busy_ps;
    sent_count(worker, port, &sent);
    apart_port_close(at, local, 0);
    return true;
}

/* False: this port must go packet by packet. */
INLINE bool apart_batch(const struct lazy *at, uint32_t local, uint32_t vectors, uint32_t count, int32_t base_ps,
                        uint64_t mark_calm_ps, bool is_sorted)
{
    struct worker *worker = at->worker;
    struct window_port *port = &at->ports[local];
    struct class_port *queues = &at->class_ports[local];
    struct apart_served served;
    if (count == 0 || count > vectors * LANES) {
        __builtin_unreachable(); /* told, the compiler sees that every lane in use has been set */
    }
    peer_prefetch(worker, port);
    if (is_sorted) {
        apart_take_order(&worker->apart_batches[local], vectors, &served);
    } else {
        apart_sort(at->core, &worker->apart_batches[local], vectors, count, &served);
    }
    apart_scan(worker, port, vectors, count, base_ps, (int32_t)port->service_ps[worker->packet_bytes_max], &served);
    if ((uint64_t)served.work_ps_max > mark_calm_ps) {
        return false;
    }
    if ((uint64_t)served.work_ps_max > port->calm_ps) {
        uint64_t top_bytes = (uint64_t)apart_top(at, local, &served, vectors);
        if (top_bytes > class_limit_bytes(at->node, port, queues->profile, 0, false)) {
            return false;
        }
        port_record(port, top_bytes);
    }
    uint64_t waiting_bytes = port->queued_bytes - port->in_service_bytes;
    if (port->is_busy && port->free_ps < worker->end_ps) {
        left_put(worker, (int32_t)(port->free_ps - worker->start_ps), queues->service_in_port, queues->service_in_bytes);
    }
    waiting_bytes -= apart_waiting_send(at, local);
    waiting_bytes += (uint64_t)served.bytes.each[count - 1];
    lanes_log(at, &served, vectors);
    if (served.start_count > 0) {
        uint32_t last = served.start_count - 1;
        apart_starts_send(worker, port, &served);
        apart_count(worker, port, &served);
        in_service_set(queues, (uint32_t)served.key.each[last] & ((1u << (at->core->key_shift - 1)) - 1),
                       port->in_service_bytes);
        waiting_bytes -= (uint64_t)served.bytes.each[last];
    }
    apart_rest_wait(at, local, &served);
    queues->packet_number += count;
    apart_port_close(at, local, waiting_bytes);
    return true;
}

static void apart_port_serve(const struct lazy *at, uint32_t local, uint32_t count, bool has_frames, bool is_sorted)
{
    const struct window_port *port = &at->ports[local];
    const struct class_port *queues = &at->class_ports[local];
    const struct queue_class *rule = &queues->profile->class[0];
    bool is_fast = !has_frames && count > 1 && count <= BATCH_PACKETS && port->ps_per_byte != 0 && is_fifo_now(port, queues);
    if (is_fast) {
        uint64_t per_byte = port->ps_per_byte, free_ps = port->free_ps > at->worker->start_ps
                                                             ? port->free_ps - at->worker->start_ps : 0;
        uint64_t waiting_bytes = port->queued_bytes - port->in_service_bytes;
        uint64_t base_ps = waiting_bytes < BASE_PS_MAX_APART ? free_ps + waiting_bytes * per_byte : BASE_PS_MAX_APART;
        uint64_t calm_ps = rule->mark == MARK_NEVER ? UINT64_MAX
                           : rule->mark_low_bytes < UINT32_MAX ? rule->mark_low_bytes * per_byte : UINT32_MAX * per_byte;
        is_fast = base_ps < BASE_PS_MAX_APART && base_ps <= calm_ps;
        if (is_fast && count <= LANES) {
            is_fast = apart_batch(at, local, 1, count, (int32_t)base_ps, calm_ps, is_sorted);
        } else if (is_fast && count <= 2 * LANES) {
            is_fast = apart_batch(at, local, 2, count, (int32_t)base_ps, calm_ps, is_sorted);
        } else if (is_fast) {
            is_fast = apart_batch(at, local, VECTORS_MAX_APART, count, (int32_t)base_ps, calm_ps, is_sorted);
        }
    }
    if (count == 1 && !has_frames && port->count == 0 && queues->paused == 0) {
        is_fast = apart_lone(at, local);
    }
    if (is_fast) {
        return;
    }
    if (!has_frames && rule->mark != MARK_DEQUEUE && (queues->paused != 0 || is_fifo_now(port, queues))) {
        apart_port_pass(at, local, count);
    } else {
        apart_port_walk(at, local, count);
    }
}

/* ---- accounts --------------------------------------------------------------------------------------------- */

/* An item of a replay: when | what happens | port | bytes; at one time what leaves is before what comes. */
enum { REPLAY_PORT_SHIFT = META_SIZE_BITS, REPLAY_KIND_SHIFT = REPLAY_PORT_SHIFT + 10, REPLAY_WHEN_SHIFT = REPLAY_KIND_SHIFT + 2 };
enum replay_kind { REPLAY_LEFT, REPLAY_CAME, REPLAY_DROPPED };
_Static_assert(LAZY_PORTS_MAX <= 1 << (REPLAY_KIND_SHIFT - REPLAY_PORT_SHIFT), "a replay has room for all ports");

/* What came by the inputs that may pass a threshold, `is_near`, behind `items`; the new end. */
INLINE uint64_t *came_collect(const struct lazy *at, const struct chunk *chunk, const uint8_t *is_near, uint64_t *items)
{
    uint32_t port_mask = (1u << (at->core->key_shift - 1)) - 1;
    for (uint32_t lane = 0; lane < chunk->count; lane++) {
        uint32_t key = chunk->keys[lane], port = key >> 1 & port_mask, bytes = (uint32_t)chunk->packets[lane].size_bytes;
        *items = (uint64_t)(key >> at->core->key_shift) << REPLAY_WHEN_SHIFT | (uint64_t)REPLAY_CAME << REPLAY_KIND_SHIFT |
                 port << REPLAY_PORT_SHIFT | bytes;
        items += is_near[port] & (bytes > 0);
    }
    return items;
}

INLINE uint64_t *left_collect(const struct lazy *at, const uint8_t *is_near, uint64_t *items)
{
    const struct left_log *left = &at->worker->left;
    uint32_t width_ps = (uint32_t)at->core->width_ps;
    for (uint32_t i = 0; i < left->count; i++) {
        uint32_t when_ps = (uint32_t)left->when_ps[i], what = left->what[i] & ~(uint32_t)LEFT_DROPPED;
        uint64_t kind = left->what[i] & LEFT_DROPPED ? REPLAY_DROPPED : REPLAY_LEFT;
        *items = (uint64_t)when_ps << REPLAY_WHEN_SHIFT | kind << REPLAY_KIND_SHIFT | what;
        items += is_near[what >> LEFT_PORT_SHIFT] & (when_ps < width_ps) & ((what & PACKET_BYTES_MAX) > 0);
    }
    return items;
}

/* Inputs that may pass a threshold: what came and left there, in order. */
static __attribute__((noinline)) void inputs_replay(const struct lazy *at, const uint8_t *is_near, uint32_t packet_count)
{
    struct worker *worker = at->worker;
    struct arrivals *arrivals = &worker->arrivals;
    arrivals->count = 0;
    arrivals_reserve(worker, packet_count + worker->left.count + 1);
    uint64_t *end = arrivals->items;
    for (uint32_t writer = 0; writer < at->core->worker_count; writer++) {
        for (const struct chunk *chunk = worker->taken[writer]; chunk != NULL; chunk = chunk->older) {
            end = came_collect(at, chunk, is_near, end);
        }
    }
    end = left_collect(at, is_near, end);
    uint32_t count = (uint32_t)(end - arrivals->items);
    lazy_sort(at->core, &arrivals->items, &arrivals->spare, count, REPLAY_WHEN_SHIFT);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t item = arrivals->items[i], now_ps = worker->start_ps + (item >> REPLAY_WHEN_SHIFT);
        uint32_t bytes = (uint32_t)item & PACKET_BYTES_MAX;
        uint32_t port = (uint32_t)item >> REPLAY_PORT_SHIFT & ((1u << (REPLAY_KIND_SHIFT - REPLAY_PORT_SHIFT)) - 1);
        if ((item >> REPLAY_KIND_SHIFT & 3) == REPLAY_CAME) {
            input_came(worker, at->node, port, 0, bytes, now_ps);
        } else {
            input_left(worker, at->node, port, 0, bytes, now_ps);
        }
    }
}

/* Bytes that have left, by the port through which they came: in four parts, as a sum waits for the one before it. */
enum { SUM_PARTS = 4 };
INLINE void left_sum(const struct lazy *at, int32_t (*left_bytes)[SUM_PARTS])
{
    const struct left_log *left = &at->worker->left;
    uint32_t width_ps = (uint32_t)at->core->width_ps;
    for (uint32_t i = 0; i < left->count; i++) {
        uint32_t what = (uint32_t)left->when_ps[i] < width_ps ? left->what[i] & ~(uint32_t)LEFT_DROPPED : 0;
        left_bytes[what >> LEFT_PORT_SHIFT][i % SUM_PARTS] += (int32_t)(what & PACKET_BYTES_MAX);
    }
}

/* What came and left: of inputs that may pass a threshold in order, of the others at once. */
static void accounts_settle(const struct lazy *at, uint32_t packet_count)
{
    struct worker *worker = at->worker;
    struct input_class *inputs = input_of(at->core, at->node, 0, 0);
    int32_t left_parts[LAZY_PORTS_MAX][SUM_PARTS];
    uint8_t is_near[LAZY_PORTS_MAX + 1];
    int64_t used_bytes = 0;
    uint32_t near_count = 0, port_count = at->node->port_count;
    memset(left_parts, 0, port_count * sizeof *left_parts);
    left_sum(at, left_parts);
    for (uint32_t port = 0; port < port_count; port++) {
        struct input_class *input = &inputs[port];
        const int32_t *parts = left_parts[port];
        int64_t left_bytes = parts[0] + parts[1] + parts[2] + parts[3];
        int64_t came_bytes = worker->came_bytes[port], change_bytes = came_bytes - left_bytes;
        bool is_over = input->held_bytes + came_bytes > input->high_bytes; /* INT64_MAX where it is over already */
        bool is_under = (input->held_bytes - left_bytes <= input->low_bytes) & (input->low_bytes >= 0);
        worker->came_bytes[port] = 0;
        is_near[port] = is_over | is_under;
        near_count += is_near[port];
        change_bytes = is_near[port] ? 0 : change_bytes;
        input->held_bytes += change_bytes;
        used_bytes += change_bytes;
    }
    at->node->used_bytes += (uint64_t)used_bytes;
    if (near_count > 0) {
        inputs_replay(at, is_near, packet_count);
    }
}

/* ---- the node --------------------------------------------------------------------------------------------- */

static bool has_dark_port(const struct lazy *at)
{
    const uint64_t *waiting = &at->core->waiting[at->node->waiting_first];
    for (uint32_t word = 0; word * 64 < at->node->port_count; word++) {
        for (uint64_t bits = waiting[word]; bits != 0; bits &= bits - 1) {
            if (at->ports[word * 64 + (uint32_t)__builtin_ctzll(bits)].is_dark) {
                return true;
            }
        }
    }
    return false;
}

/* Ports that have something to do: packets, frames, or a departure in this window. */
static void apart_ports_serve(const struct lazy *at, bool are_ups_done, bool are_ups_sorted)
{
    struct worker *worker = at->worker;
    const struct route *route = &at->node->route;
    const struct frames *frames = &worker->frames;
    uint64_t has_frames[LAZY_PORTS_MAX / 64] = {0};
    for (uint32_t i = 0; i < frames->count; i++) {
        uint32_t local = lazy_frame_port(at->core, frames->items[i]);
        has_frames[local / 64] |= UINT64_C(1) << (local % 64);
    }
    for (uint32_t word = 0; word * 64 < at->node->port_count; word++) {
        uint64_t ports = ports_with_batch(worker, word) | at->core->waiting[at->node->waiting_first + word] | has_frames[word];
        for (; ports != 0; ports &= ports - 1) {
            uint32_t local = word * 64 + (uint32_t)__builtin_ctzll(ports), count = worker->batch_count[local];
            const struct window_port *port = &at->ports[local];
            bool is_framed = has_frames[word] & ports & -ports;
            worker->batch_count[local] = 0;
            next_port_prefetch(worker);
            bool is_up = local - route->up_port < route->up_count, is_sorted = are_ups_sorted && is_up;
            if (are_ups_done && is_up) {
                continue;
            }
            if (count > 0 || is_framed || (port->is_busy && port->free_ps < worker->end_ps)) {
                apart_port_serve(at, local, count, is_framed, is_sorted);
            } else {
                leave_load(at, local);
            }
        }
    }
}

/* Ports that packets can choose among are FIFOs for the whole window, where a byte takes so many whole picoseconds. */
static bool are_ups_fifos(const struct lazy *at)
{
    const struct route *route = &at->node->route;
    const struct frames *frames = &at->worker->frames;
    bool are = at->class_ports->profile->class[0].mark != MARK_DEQUEUE;
    for (uint32_t i = 0; i < frames->count; i++) {
        are &= lazy_frame_port(at->core, frames->items[i]) - route->up_port >= route->up_count;
    }
    for (uint32_t i = route->up_port; i < route->up_port + route->up_count; i++) {
        are &= is_fifo_now(&at->ports[i], &at->class_ports[i]) && at->ports[i].ps_per_byte != 0;
    }
    return are;
}

/* One of them may have to drop a packet. */
static bool may_ups_drop(const struct lazy *at)
{
    const struct route *route = &at->node->route;
    uint64_t more_bytes = (uint64_t)at->worker->arrivals.count * at->worker->packet_bytes_max;
    bool may = false;
    for (uint32_t i = route->up_port; i < route->up_port + route->up_count; i++) {
        const struct window_port *port = &at->ports[i];
        uint64_t limit_bytes = class_limit_bytes(at->node, port, at->class_ports[i].profile, 0, false);
        may |= port->queued_bytes + more_bytes > limit_bytes;
    }
    return may;
}

/* True: the choices have been dealt to the batches of their ports; else these are done with. */
static bool choices_serve(struct lazy *at, uint32_t packet_count)
{
    struct arrivals *arrivals = &at->worker->arrivals;
    at->has_backlogs = backlogs_load(at, packet_count);
    lazy_sort(at->core, &arrivals->items, &arrivals->spare, arrivals->count, 32 + at->core->key_shift);
    bool may_drop = may_ups_drop(at), has_marks = at->class_ports->profile->class[0].mark != MARK_NEVER;
    bool are_dealt = at->has_backlogs && are_ups_fifos(at) && !(may_drop && has_marks); /* which count what is dropped */
    if (are_dealt) {
        choices_make(at, may_drop);
    } else {
        choices_walk(at);
    }
    at->has_backlogs = false;
    return are_dealt;
}

static void apart_node(struct lazy *at, uint32_t node_id)
{
    struct worker *worker = at->worker;
    next_node_prefetch(worker);
    worker->port_next = 0;
    apart_prefetch(at->core, at->node);
    uint32_t packet_count = apart_take(at, node_id);
    bool has_choices = worker->arrivals.count > 0;
    frames_sort(worker);
    bool are_dealt = has_choices && choices_serve(at, packet_count);
    apart_ports_serve(at, has_choices && !are_dealt, are_dealt);
    accounts_settle(at, packet_count);
    worker->apart_more_count = 0;
    arrivals_release(worker);
    lazy_close(at, node_id, true);
}

/* Where the choice is adaptive, only of the ports that lead up, and to those nothing leads without a choice. */
static bool apart_can(const struct lazy *at)
{
    const struct window_node *node = at->node;
    return at->core->is_apart && (!at->is_adaptive || (node->is_tree && node->route.down_width == 1)) && !has_dark_port(at);
}

void LAZY_SERVE(struct worker *worker, uint32_t node_id)
{
    const struct window_core *core = worker->core;
    struct window_node *node = &core->nodes[node_id];
    const struct queue_profile *profile = core->config.switch_queues;
    struct lazy at = {.worker = worker, .core = core, .node = node, .ports = &core->ports[node->port_first],
                      .class_ports = &core->class_ports[node->port_first], .leave_ps = (lanes *)worker->leave_ps,
                      .backlog = (lanes *)worker->backlog, .vectors = (node->port_count + LANES - 1) / LANES,
                      .port_first = node->port_first, .is_adaptive = profile->is_adaptive,
                      .is_watched = profile->shared_bytes > 0 || core->has_credits};
    node_touch(worker->core, node);
    if (__builtin_expect(!lazy_can(worker, node), 0)) {
        coupled_serve(worker, node_id);
    } else if (apart_can(&at)) {
        apart_node(&at, node_id);
    } else {
        lazy_node(&at, node_id);
    }
}
