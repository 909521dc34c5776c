/* One switch in one window, the fast way: one text for all vector widths.
 *
 * A file of three lines defines SWITCH_LANES (32-bit lanes of a vector) and SWITCH_SERVE (the function's name) and
 * includes this. Chunks are routed a vector at a time and dealt to one batch per output port; a batch is served
 * without sorting it. With t the arrivals, c the service times and "before" the order (time, port of arrival):
 *
 *     S_i = sum of c_j over j before i                    one compare and add per j, all i at once
 *     M_i = max of t_j - S_j over j before i, and i       one compare and max per j
 *     departure_i = S_i + c_i + max(free, M_i)            exact: FIFO service is a (max,+) scan
 *
 * which has no dependent chain longer than the batch, unlike a sorting network. The number of j before i is the place
 * of i in the queue, should it have to wait for the next window.
 *
 * Whatever is unusual goes to the general code in window_switch.c, by port (more arrivals than a batch holds, a
 * queue that may be full, dark ports, slow links) or by node (unequal rates where packets cut through, a run that
 * ends inside the window). */
#include "netsim/engine/window_class.h"

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))

enum {
    LANES = SWITCH_LANES,
    GROUP = LANES / 2, /* packets that are routed at once: 64-bit lanes */
    VECTORS_MAX = BATCH_PACKETS / LANES,
    BASE_PS_MAX = 1 << 29,
};
typedef int32_t lanes __attribute__((vector_size(LANES * 4)));
typedef int32_t lanes_loose __attribute__((vector_size(LANES * 4), aligned(4)));
typedef uint64_t words __attribute__((vector_size(LANES * 4)));
typedef uint64_t words_loose __attribute__((vector_size(LANES * 4), aligned(8)));
typedef int32_t half_loose __attribute__((vector_size(LANES * 2), aligned(4)));
typedef int32_t half __attribute__((vector_size(LANES * 2)));

/* ---- lanes ------------------------------------------------------------------------------------------------ */

INLINE lanes splat(int32_t value)
{
    return value - (lanes){0};
}

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

INLINE words splat_word(uint64_t value)
{
    return value - (words){0};
}

INLINE lanes pick(lanes mask, lanes yes, lanes no)
{
    return (mask & yes) | (~mask & no);
}

INLINE lanes max_lanes(lanes a, lanes b)
{
#if SWITCH_LANES == 16
    return (lanes)_mm512_max_epi32((__m512i)a, (__m512i)b);
#elif SWITCH_LANES == 8
    return (lanes)_mm256_max_epi32((__m256i)a, (__m256i)b);
#else
    return pick(a > b, a, b);
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

/* A bit per lane whose comparison a < b holds. */
INLINE uint32_t bits_less(lanes a, lanes b)
{
#if SWITCH_LANES == 16
    return _mm512_cmplt_epi32_mask((__m512i)a, (__m512i)b);
#elif SWITCH_LANES == 8
    return (uint32_t)_mm256_movemask_ps((__m256)(a < b));
#else
    uint32_t bits = 0;
    for (uint32_t i = 0; i < LANES; i++) {
        bits |= (uint32_t)(a[i] < b[i]) << i;
    }
    return bits;
#endif
}

INLINE int32_t sum_lanes(lanes a)
{
#if SWITCH_LANES == 16
    return _mm512_reduce_add_epi32((__m512i)a);
#else
    int32_t sum = 0;
    for (uint32_t i = 0; i < LANES; i++) {
        sum += a[i];
    }
    return sum;
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

/* ---- routing ---------------------------------------------------------------------------------------------- */

/* The low and the high words of GROUP packets; the numbers of the lanes. */
#if SWITCH_LANES == 16
#define LANE_IDS   0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
#define EVEN(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14)
#define ODD(a, b)  __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15)
#elif SWITCH_LANES == 8
#define LANE_IDS   0, 1, 2, 3, 4, 5, 6, 7
#define EVEN(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6)
#define ODD(a, b)  __builtin_shufflevector(a, b, 1, 3, 5, 7)
#else
#define LANE_IDS   0, 1, 2, 3
#define EVEN(a, b) __builtin_shufflevector(a, b, 0, 2)
#define ODD(a, b)  __builtin_shufflevector(a, b, 1, 3)
#endif

INLINE lanes lane_ids(uint32_t vector)
{
    return (lanes){LANE_IDS} + splat((int32_t)(vector * LANES));
}

/* The fields of struct packet, as bits of its two words; checked in window_build.c. */
enum { WORD_SRC_SHIFT = 20, WORD_HOST_MASK = 0xfffff, WORD_SIZE_SHIFT = 24, WORD_ENTROPY_SHIFT = 38 };

INLINE words path_hash(words low, words high, uint64_t salt)
{
    words dst = low & splat_word(WORD_HOST_MASK), src = low >> WORD_SRC_SHIFT & splat_word(WORD_HOST_MASK);
    words x = (src << 40) ^ (dst << 16) ^ (high >> WORD_ENTROPY_SHIFT & splat_word(0xffff)) ^ splat_word(salt);
    x ^= x >> 32;
    x *= splat_word(UINT64_C(0xd6e8feb86659fd93));
    x ^= x >> 32;
    x *= splat_word(UINT64_C(0xd6e8feb86659fd93));
    return x ^ x >> 32;
}

/* hash * count >> 64 for counts below 2^16. */
INLINE words choose(words hash, words count)
{
    words low = (hash & splat_word(UINT32_MAX)) * count;
    return ((hash >> 32) * count + (low >> 32)) >> 32;
}

/* Output ports (within the node) and sizes of GROUP packets. */
INLINE void group_route(const struct window_node *node, const struct packet *packets, int32_t *outs, int32_t *sizes)
{
    const words_loose *in = (const words_loose *)packets;
    words low = EVEN((words)in[0], (words)in[1]), high = ODD((words)in[0], (words)in[1]);
    const struct route *route = &node->route;
    words hash = path_hash(low, high, node->salt);
    words into = (low & splat_word(WORD_HOST_MASK)) - splat_word(route->down_first); /* wraps below */
    words is_down = (words)(into < splat_word(route->down_last - route->down_first));
    words child = ((into & splat_word(WORD_HOST_MASK)) * splat_word(node->stride_reciprocal)) >> node->stride_shift;
    words first = (is_down & (splat_word(route->down_port) + child * splat_word(route->down_width))) |
                  (~is_down & splat_word(route->up_port));
    words count = (is_down & splat_word(route->down_width)) | (~is_down & splat_word(route->up_count));
    words out = first + choose(hash, count);
    words size = high >> WORD_SIZE_SHIFT & splat_word(PACKET_BYTES_MAX);
    *(half_loose *)outs = __builtin_convertvector(out, half);
    *(half_loose *)sizes = __builtin_convertvector(size, half);
}

INLINE void chunk_route(const struct window_core *core, const struct window_node *node, const struct chunk *chunk,
                        uint32_t room, int32_t *outs, int32_t *sizes)
{
    for (uint32_t lane = room; lane < CHUNK_PACKETS && __builtin_expect(!node->is_tree, 0); lane++) {
        outs[lane] = (int32_t)(node_route(core, node, &chunk->packets[lane]) - node->port_first);
        sizes[lane] = chunk->packets[lane].size_bytes;
    }
    if (__builtin_expect(!node->is_tree, 0)) {
        return;
    }
    for (uint32_t at = 0; at + GROUP <= CHUNK_PACKETS; at += GROUP) {
        group_route(node, &chunk->packets[at], outs + at, sizes + at);
    }
    if (CHUNK_PACKETS % GROUP != 0) {
        uint32_t at = CHUNK_PACKETS - GROUP;
        group_route(node, &chunk->packets[at], outs + at, sizes + at);
    }
}

/* ---- dealing ---------------------------------------------------------------------------------------------- */

static __attribute__((noinline)) void batch_more_put(struct worker *worker, uint32_t port, int32_t key, uint32_t meta)
{
    struct batch_more more = {port, key, meta};
    vec_push(worker->arena, worker->more, worker->more_count, worker->more_capacity) = more;
}

INLINE void chunk_deal(struct worker *worker, const struct window_node *node, const struct chunk *chunk,
                       uint32_t chunk_id, uint32_t room)
{
    int32_t outs[CHUNK_PACKETS], sizes[CHUNK_PACKETS];
    chunk_route(worker->core, node, chunk, room, outs, sizes);
    /* The compiler must not suspect these stores of changing the worker. */
    uint32_t *counts = worker->batch_count;
    struct port_batch *batches = worker->batches;
    uint32_t meta_chunk = chunk_id << (4 + META_SIZE_BITS);
    for (uint32_t lane = room; lane < CHUNK_PACKETS; lane++) {
        uint32_t port = (uint32_t)outs[lane], count = counts[port];
        int32_t key = (int32_t)(chunk->keys[lane] >> 1);
        uint32_t meta = meta_chunk | lane << META_SIZE_BITS | (uint32_t)sizes[lane];
        counts[port] = count + 1;
        if (__builtin_expect(count >= BATCH_PACKETS, 0)) {
            batch_more_put(worker, port, key, meta);
            continue;
        }
        batches[port].keys[count] = key;
        batches[port].metas[count] = meta;
    }
}

static __attribute__((noinline)) void chunks_reserve(struct worker *worker)
{
    uint32_t capacity = worker->chunk_capacity == 0 ? 64 : worker->chunk_capacity * 2;
    struct chunk **chunks = arena_array(worker->arena, capacity, struct chunk *);
    for (uint32_t i = 0; i < worker->chunk_capacity; i++) {
        chunks[i] = worker->chunks[i];
    }
    worker->chunks = chunks;
    worker->chunk_capacity = capacity;
}

static void node_deal(struct worker *worker, const struct window_node *node, uint32_t node_id)
{
    struct window_core *core = worker->core;
    uint32_t chunk_count = 0;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        uint32_t room;
        struct chunk *chunk = inbox_take(&core->workers[i], node_id, worker->slot, &room);
        worker->taken[i] = chunk;
        for (; chunk != NULL; chunk = chunk->older, room = 0) {
            if (chunk_count == worker->chunk_capacity) {
                chunks_reserve(worker);
            }
            worker->chunks[chunk_count] = chunk;
            next_chunk_prefetch(worker);
            chunk_deal(worker, node, chunk, chunk_count++, room);
        }
    }
}

INLINE struct packet *meta_packet(struct chunk *const *chunks, uint32_t meta)
{
    return &chunks[meta >> (META_SIZE_BITS + 4)]->packets[meta >> META_SIZE_BITS & 15];
}

/* ---- one port, packet by packet --------------------------------------------------------------------------- */

static __attribute__((noinline)) void batch_serve_slow(struct worker *worker, uint32_t node_id, uint32_t port_local,
                                                       uint32_t count)
{
    const struct port_batch *batch = &worker->batches[port_local];
    struct arrivals *arrivals = &worker->arrivals;
    arrivals->count = 0;
    arrivals_reserve(worker, count);
    uint32_t inside = count < BATCH_PACKETS ? count : BATCH_PACKETS;
    for (uint32_t i = inside; i-- > 0;) { /* chunks are read from the newest packet on: so they are nearly sorted */
        arrivals_add(arrivals, batch->keys[i], meta_packet(worker->chunks, batch->metas[i]));
    }
    for (size_t i = 0; count > inside && i < worker->more_count; i++) {
        if (worker->more[i].port == port_local) {
            arrivals_add(arrivals, worker->more[i].key, meta_packet(worker->chunks, worker->more[i].meta));
        }
    }
    port_serve(worker, node_id, port_local, arrivals->items, arrivals->count);
}

/* ---- one port, all lanes at once -------------------------------------------------------------------------- */

union block {
    lanes v[VECTORS_MAX];
    int32_t each[BATCH_PACKETS];
};

struct served {
    union block start_ps, departure_ps, key_out;
    uint32_t starts[3]; /* lanes that start in this window, by the window of their arrival */
    uint32_t waits;     /* the others */
    uint32_t start_count;
    uint32_t last;         /* lane that starts last */
    int32_t departure_last; /* when it is gone; -1: none starts */
    int32_t busy_ps, wait_ps, bytes;
    int32_t work_ps_max; /* no packet finds more work than that in the port, itself counted */
};

INLINE void service_load(const struct window_port *port, const union block *size, uint32_t vectors,
                         union block *service)
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
INLINE void scan(const union block *key, const union block *time, const union block *service, uint32_t vectors,
                 uint32_t count, int32_t base_ps, union block *departure)
{
    union block before, level;
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
    lanes top[VECTORS_MAX];
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

/* Bytes in the port as each packet arrives, itself counted; the largest. Exact, all that waits included. */
static __attribute__((noinline)) int32_t queue_top(const struct worker *worker, const struct window_port *port, const union block *key,
                         const union block *time, const union block *size, const struct served *served,
                         uint32_t vectors, uint32_t count)
{
    lanes queued[VECTORS_MAX], top = splat(0);
    for (uint32_t v = 0; v < vectors; v++) {
        queued[v] = size->v[v];
    }
    for (uint32_t j = 0; j < count; j++) {
        for (uint32_t v = 0; v < vectors; v++) {
            lanes is_there = (key->v[v] > splat(key->each[j])) & (splat(served->departure_ps.each[j]) > time->v[v]);
            queued[v] += is_there & splat(size->each[j]);
        }
    }
    uint64_t leaves_ps = port->free_ps;
    int32_t bytes = (int32_t)port->in_service_bytes;
    for (uint32_t i = 0;; i++) { /* what was there before: in service, then the queue */
        int32_t leaves = leaves_ps > worker->start_ps ? (int32_t)(leaves_ps - worker->start_ps) : 0;
        for (uint32_t v = 0; v < vectors; v++) {
            queued[v] += (splat(leaves) > time->v[v]) & splat(bytes);
        }
        if (i == port->count) {
            break;
        }
        const struct packet *packet = &port->queue[(port->head + i) & (port->capacity - 1)].packet;
        bytes = packet->size_bytes;
        leaves_ps += port_service_ps(port, packet->size_bytes);
    }
    for (uint32_t v = 0; v < vectors; v++) {
        top = max_lanes(top, queued[v] & (lane_ids(v) < splat((int32_t)count)));
    }
    return top_lane(top);
}

/* Everything about the batch that needs no memory but its own. slack_ps: service of the largest packet. */
INLINE void batch_scan(const struct worker *worker, const struct window_port *port, const struct port_batch *batch,
                       uint32_t vectors, uint32_t count, int32_t base_ps, int32_t slack_ps, union block *key,
                       union block *time, union block *size, struct served *served)
{
    const struct window_core *core = worker->core;
    union block service;
    for (uint32_t v = 0; v < vectors; v++) {
        lanes is_packet = lane_ids(v) < splat((int32_t)count);
        key->v[v] = pick(is_packet, *(const lanes_loose *)&batch->keys[v * LANES], splat(INT32_MAX));
        size->v[v] = *(const lanes_loose *)&batch->metas[v * LANES] & splat(PACKET_BYTES_MAX) & is_packet;
        time->v[v] = key->v[v] >> (int32_t)(core->key_shift - 1);
    }
    service_load(port, size, vectors, &service);
    scan(key, time, &service, vectors, count, base_ps, &served->departure_ps);
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

/* Sends some lanes to the peer in one of its windows. */
INLINE void lanes_send(struct worker *worker, const struct window_port *port, const struct port_batch *batch,
                       const struct served *served, uint32_t starts, uint32_t ahead)
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
        at--;
        struct chunk *chunk = (struct chunk *)(at & ~(uintptr_t)CHUNK_ROOM_MASK);
        chunk->packets[at & CHUNK_ROOM_MASK] = *meta_packet(chunks, batch->metas[lane]);
        chunk->keys[at & CHUNK_ROOM_MASK] = (uint32_t)served->key_out.each[lane];
    } while (starts != 0);
    *tail = at;
}

/* Puts the lanes that do not start behind the queue, each at its place. */
INLINE void lanes_wait(struct worker *worker, struct window_port *port, const struct port_batch *batch,
                       const struct served *served, const union block *key, const union block *time, uint32_t vectors)
{
    uint32_t more = (uint32_t)__builtin_popcount(served->waits);
    while (__builtin_expect(port->count + more > port->capacity, 0)) {
        port_queue_grow(worker, port);
    }
    uint32_t first = port->head + port->count - served->start_count;
    for (uint32_t waits = served->waits; waits != 0; waits &= waits - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(waits);
        uint32_t rank = 0; /* how many of the batch are before it */
        for (uint32_t v = 0; v < vectors; v++) {
            rank += (uint32_t)__builtin_popcount(bits_less(key->v[v], splat_at(&key->each[lane])));
        }
        struct window_waiting *place = &port->queue[(first + rank) & (port->capacity - 1)];
        place->packet = *meta_packet(worker->chunks, batch->metas[lane]);
        place->since_ps = worker->start_ps + (uint64_t)time->each[lane];
        port->waiting_ps += (uint64_t)(served->departure_ps.each[lane] - served->start_ps.each[lane]);
    }
    port->count += more;
}

/* What waited and starts in this window, of a port that has been up. */
INLINE void waiting_send(struct worker *worker, struct window_port *port)
{
    uint64_t now_ps = port->free_ps - worker->start_ps;
    uint32_t head = port->head, count = port->count, mask = port->capacity - 1, size = 0;
    struct port_sent sent = {0};
    for (; count > 0 && now_ps < worker->core->width_ps; count--, head++) {
        const struct window_waiting *first = &port->queue[head & mask];
        size = (uint32_t)first->packet.size_bytes;
        uint64_t service_ps = packet_send(worker, port, &first->packet, now_ps);
        sent.wait_ps += now_ps + worker->start_ps - first->since_ps;
        sent.busy_ps += service_ps;
        sent.bytes += size;
        now_ps += service_ps;
    }
    if (sent.bytes == 0) {
        return;
    }
    sent.packets = port->count - count;
    port->free_ps = worker->start_ps + now_ps;
    port->in_service_bytes = size;
    port->waiting_ps -= sent.busy_ps;
    port->head = head & mask;
    port->count = count;
    sent_count(worker, port, &sent);
}

/* A batch of one where nothing waits: what most ports have when little goes on. False: not to be had that simply. */
static bool lone_serve(struct worker *worker, struct window_port *port, const struct port_batch *batch)
{
    const struct window_core *core = worker->core;
    const struct packet *packet = meta_packet(worker->chunks, batch->metas[0]);
    uint64_t time_ps = (uint64_t)(batch->keys[0] >> (core->key_shift - 1)), size = packet->size_bytes;
    uint64_t free_ps = port->free_ps > worker->start_ps ? port->free_ps - worker->start_ps : 0;
    uint64_t bytes = size + (free_ps > time_ps ? port->in_service_bytes : 0);
    if (bytes > port->capacity_bytes || (port->mark != NULL && bytes > port->mark->mark_low_bytes)) {
        return false;
    }
    port_record(port, bytes);
    uint64_t start_ps = free_ps > time_ps ? free_ps : time_ps;
    if (start_ps >= core->width_ps) {
        port_push(worker, port, packet, worker->start_ps + time_ps);
        return true;
    }
    struct port_sent sent = {.packets = 1, .bytes = size, .wait_ps = start_ps - time_ps};
    sent.busy_ps = packet_send(worker, port, packet, start_ps);
    port->in_service_bytes = (uint32_t)size;
    port->free_ps = worker->start_ps + start_ps + sent.busy_ps;
    sent_count(worker, port, &sent);
    return true;
}

/* The lanes that start after the time that is asked for. */
static __attribute__((noinline)) void batch_sample(struct worker *worker, const struct window_port *port,
                                                   const struct served *served, const union block *size)
{
    uint32_t starts = served->starts[0] | served->starts[1] | served->starts[2];
    for (; starts != 0; starts &= starts - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(starts);
        if ((uint64_t)served->start_ps.each[lane] > worker->sample_offset_ps) {
            port_sample(worker->core, port, (uint64_t)size->each[lane]);
        }
    }
}

INLINE void batch_count(struct worker *worker, struct window_port *port, const struct served *served,
                        const union block *size)
{
    if (__builtin_expect(worker->sample_offset_ps < worker->core->width_ps, 0)) {
        batch_sample(worker, port, served, size);
    }
    if (served->start_count > 0) {
        struct port_sent sent = {served->start_count, (uint64_t)served->bytes, (uint64_t)served->busy_ps,
                            (uint64_t)served->wait_ps};
        port->in_service_bytes = (uint32_t)size->each[served->last];
        port->free_ps = worker->start_ps + (uint64_t)served->departure_last;
        sent_count(worker, port, &sent);
    }
}

/* False: this port must go packet by packet. */
INLINE bool batch_serve(struct worker *worker, struct window_port *port, const struct port_batch *batch,
                        uint32_t vectors, uint32_t count, int32_t base_ps, int32_t slack_ps)
{
    union block key, time, size;
    struct served served;
    if (count == 0 || count > vectors * LANES) {
        __builtin_unreachable(); /* told, the compiler sees that every lane in use has been set */
    }
    peer_prefetch(worker, port);
    batch_scan(worker, port, batch, vectors, count, base_ps, slack_ps, &key, &time, &size, &served);
    if ((uint64_t)served.work_ps_max > port->mark_calm_ps) {
        return false;
    }
    if ((uint64_t)served.work_ps_max > port->calm_ps) {
        uint64_t top_bytes = (uint64_t)queue_top(worker, port, &key, &time, &size, &served, vectors, count);
        if (top_bytes > port->capacity_bytes) {
            return false;
        }
        port_record(port, top_bytes);
    }
    waiting_send(worker, port);
    for (uint32_t i = 0; i < 3; i++) {
        if (served.starts[i] != 0) {
            lanes_send(worker, port, batch, &served, served.starts[i], i);
        }
    }
    batch_count(worker, port, &served, &size);
    if (served.waits != 0) {
        lanes_wait(worker, port, batch, &served, &key, &time, vectors);
    }
    return true;
}

INLINE bool is_vector_port(const struct worker *worker, struct window_port *port)
{
    if (__builtin_expect(port->is_dark, 0)) {
        port->is_dark = port->up_ps > worker->start_ps ||
                        (port->count > 0 && port->queue[port->head].since_ps < port->up_ps);
    }
    return port_is_near(worker, port);
}

static void port_batch_serve(struct worker *worker, uint32_t node_id, uint32_t port_local, struct window_port *port,
                             uint32_t count)
{
    const struct port_batch *batch = &worker->batches[port_local];
    uint64_t base_ps = port->free_ps > worker->start_ps ? port->free_ps - worker->start_ps : 0;
    base_ps += port->waiting_ps;
    bool is_fast = worker->core->class_ports == NULL && is_vector_port(worker, port) && count <= BATCH_PACKETS &&
                   base_ps < BASE_PS_MAX && base_ps <= port->mark_calm_ps;
    uint32_t slack_ps = is_fast ? port->service_ps[worker->packet_bytes_max] : 0;
    if (__builtin_expect(is_fast, 1)) {
        if (count == 1 && port->count == 0) {
            is_fast = lone_serve(worker, port, batch);
        } else if (count <= LANES) {
            is_fast = batch_serve(worker, port, batch, 1, count, (int32_t)base_ps, (int32_t)slack_ps);
        } else if (count <= 2 * LANES) {
            is_fast = batch_serve(worker, port, batch, 2, count, (int32_t)base_ps, (int32_t)slack_ps);
        } else {
            is_fast = batch_serve(worker, port, batch, VECTORS_MAX, count, (int32_t)base_ps, (int32_t)slack_ps);
        }
    }
    if (__builtin_expect(!is_fast, 0)) {
        batch_serve_slow(worker, node_id, port_local, count);
    }
}

/* ---- the node --------------------------------------------------------------------------------------------- */

/* The ports of a word that have got something. */
INLINE uint64_t ports_with_batch(const struct worker *worker, uint32_t word)
{
    uint64_t ports = 0;
    for (uint32_t at = 0; at < 64; at += LANES) {
        lanes count = *(const lanes_loose *)&worker->batch_count[word * 64 + at];
        ports |= (uint64_t)bits_less(splat(0), count) << at;
    }
    return ports;
}

static void port_turn(struct worker *worker, uint32_t node_id, uint32_t port_local, uint64_t *wake_ps)
{
    struct window_core *core = worker->core;
    const struct window_node *node = &core->nodes[node_id];
    struct window_port *port = &core->ports[node->port_first + port_local];
    uint32_t count = worker->batch_count[port_local];
    worker->batch_count[port_local] = 0;
    if (count > 0) {
        port_batch_serve(worker, node_id, port_local, port, count);
    } else if (core->class_ports == NULL && is_vector_port(worker, port) && port->waiting_ps <= port->mark_calm_ps) {
        waiting_send(worker, port);
    } else {
        port_serve(worker, node_id, port_local, NULL, 0);
    }
    uint64_t *word = &core->waiting[node->waiting_first + port_local / 64], bit = UINT64_C(1) << (port_local % 64);
    if (port->count == 0) {
        *word &= ~bit;
        return;
    }
    *word |= bit;
    *wake_ps = port->free_ps < *wake_ps ? port->free_ps : *wake_ps;
}

/* What will be sent first, and the place of what comes last. */
INLINE void class_waiting_prefetch(const struct window_core *core, uint32_t port_id)
{
    const struct class_port *queues = &core->class_ports[port_id];
    for (uint32_t ready = queues->ready; ready != 0; ready &= ready - 1) {
        const struct class_ring *ring = &queues->rings[__builtin_ctz(ready)];
        lines_prefetch(&ring->items[ring->head], 2);
        lines_prefetch(&ring->items[(ring->head + ring->count) & (ring->capacity - 1)], 1);
    }
}

static void waiting_prefetch(const struct window_core *core, const struct window_node *node)
{
    for (uint32_t word = 0; word * 64 < node->port_count; word++) {
        for (uint64_t ports = core->waiting[node->waiting_first + word]; ports != 0; ports &= ports - 1) {
            uint32_t port_id = node->port_first + word * 64 + (uint32_t)__builtin_ctzll(ports);
            const struct window_port *port = &core->ports[port_id];
            if (core->class_ports != NULL) {
                class_waiting_prefetch(core, port_id);
            } else {
                lines_prefetch(&port->queue[port->head], 2);
            }
        }
    }
}

void SWITCH_SERVE(struct worker *worker, uint32_t node_id)
{
    struct window_core *core = worker->core;
    const struct window_node *node = &core->nodes[node_id];
    if (__builtin_expect(!node->is_plain || worker->end_ps - worker->start_ps != core->width_ps, 0)) {
        switch_serve_scalar(worker, node_id);
        return;
    }
    next_node_prefetch(worker);
    waiting_prefetch(core, node);
    node_deal(worker, node, node_id);
    const struct window_port *next_ports = worker->node_next == ID_NONE
                                               ? core->ports
                                               : &core->ports[core->nodes[worker->node_next].port_first];
    uint64_t wake_ps = TIME_NEVER_PS;
    for (uint32_t word = 0; word * 64 < node->port_count; word++) {
        uint64_t ports = ports_with_batch(worker, word) | core->waiting[node->waiting_first + word];
        for (; ports != 0; ports &= ports - 1) {
            uint32_t port_local = word * 64 + (uint32_t)__builtin_ctzll(ports);
            lines_prefetch(&next_ports[port_local], 2);
            if (core->class_ports != NULL && worker->node_next != ID_NONE) {
                class_port_prefetch(core, &core->nodes[worker->node_next], port_local);
            }
            port_turn(worker, node_id, port_local, &wake_ps);
        }
    }
    if (wake_ps != TIME_NEVER_PS) {
        node_wake(worker, node_id, wake_ps);
    }
    worker->more_count = 0;
    arrivals_release(worker);
}
