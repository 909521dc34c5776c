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
 * queue that may be full, dark ports, slow links) or by node (tables of routes, unequal rates where packets cut
 * through, a run that ends inside the window). */
#include "netsim/engine/window.h"

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))

enum {
    LANES = SWITCH_LANES,
    GROUP = LANES / 2, /* packets that are routed at once: 64-bit lanes */
    VECTORS_MAX = BATCH_PACKETS / LANES,
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

/* The low and the high words of GROUP packets. */
#if SWITCH_LANES == 16
#define EVEN(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14)
#define ODD(a, b)  __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15)
#elif SWITCH_LANES == 8
#define EVEN(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6)
#define ODD(a, b)  __builtin_shufflevector(a, b, 1, 3, 5, 7)
#else
#define EVEN(a, b) __builtin_shufflevector(a, b, 0, 2)
#define ODD(a, b)  __builtin_shufflevector(a, b, 1, 3)
#endif

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
    for (uint32_t at = 0; at + GROUP <= CHUNK_PACKETS; at += GROUP) {
        group_route(node, &chunk->packets[at], outs + at, sizes + at);
    }
    if (CHUNK_PACKETS % GROUP != 0) {
        uint32_t at = CHUNK_PACKETS - GROUP;
        group_route(node, &chunk->packets[at], outs + at, sizes + at);
    }
    for (uint32_t lane = room; lane < CHUNK_PACKETS; lane++) {
        uint32_t port = (uint32_t)outs[lane], count = worker->batch_count[port]++;
        int32_t key = (int32_t)(chunk->keys[lane] >> 1);
        uint32_t meta = (chunk_id << 4 | lane) << META_SIZE_BITS | (uint32_t)sizes[lane];
        if (__builtin_expect(count >= BATCH_PACKETS, 0)) {
            batch_more_put(worker, port, key, meta);
            continue;
        }
        worker->batches[port].keys[count] = key;
        worker->batches[port].metas[count] = meta;
    }
}

static __attribute__((noinline)) void chunks_reserve(struct worker *worker)
{
    uint32_t capacity = worker->chunk_capacity == 0 ? 64 : worker->chunk_capacity * 2;
    const struct chunk **chunks = arena_array(worker->arena, capacity, const struct chunk *);
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
            chunk_deal(worker, node, chunk, chunk_count++, room);
        }
    }
}

INLINE const struct packet *meta_packet(const struct worker *worker, uint32_t meta)
{
    return &worker->chunks[meta >> (META_SIZE_BITS + 4)]->packets[meta >> META_SIZE_BITS & 15];
}

/* ---- one port, packet by packet --------------------------------------------------------------------------- */

static __attribute__((noinline)) void batch_serve_slow(struct worker *worker, uint32_t port_local,
                                                       struct window_port *port, uint32_t count)
{
    const struct port_batch *batch = &worker->batches[port_local];
    struct arrivals *arrivals = &worker->arrivals;
    arrivals->count = 0;
    arrivals_reserve(worker, count);
    uint32_t inside = count < BATCH_PACKETS ? count : BATCH_PACKETS;
    for (uint32_t i = 0; i < inside; i++) {
        arrivals_add(arrivals, batch->keys[i], meta_packet(worker, batch->metas[i]));
    }
    for (size_t i = 0; count > inside && i < worker->more_count; i++) {
        if (worker->more[i].port == port_local) {
            arrivals_add(arrivals, worker->more[i].key, meta_packet(worker, worker->more[i].meta));
        }
    }
    port_serve(worker, port, arrivals->items, arrivals->count);
}

/* ---- one port, all lanes at once -------------------------------------------------------------------------- */

union block {
    lanes v[VECTORS_MAX];
    int32_t each[BATCH_PACKETS];
};

struct served {
    union block start_ps, departure_ps, key_out, rank;
    uint32_t starts[3]; /* lanes that start in this window, by the window of their arrival */
    uint32_t waits;     /* the others */
    uint32_t start_count;
    int32_t busy_ps, wait_ps, bytes_started, bytes_all;
    int32_t work_ps_max; /* least upper bound needed to know that the queue's record stands */
};

INLINE void service_load(const struct window_port *port, const union block *size, uint32_t vectors, uint32_t count,
                         union block *service)
{
    if (__builtin_expect(port->ps_per_byte != 0, 1)) {
        for (uint32_t v = 0; v < vectors; v++) {
            service->v[v] = size->v[v] * splat((int32_t)port->ps_per_byte);
        }
        return;
    }
    for (uint32_t v = 0; v < vectors; v++) {
        service->v[v] = splat(0);
    }
    for (uint32_t i = 0; i < count; i++) {
        service->each[i] = (int32_t)port->service_ps[size->each[i]];
    }
}

/* S, M and the places in the queue. */
INLINE void scan(const union block *key, const union block *time, const union block *service, uint32_t vectors,
                 uint32_t count, int32_t base_ps, union block *rank, union block *departure)
{
    union block before, level;
    for (uint32_t v = 0; v < vectors; v++) {
        before.v[v] = rank->v[v] = splat(0);
    }
    for (uint32_t j = 0; j < count; j += 4) {
#pragma GCC unroll 4
        for (uint32_t k = j; k < j + 4; k++) {
            lanes pivot = splat(key->each[k]), more = splat(service->each[k]);
            for (uint32_t v = 0; v < vectors; v++) {
                before.v[v] = add_after(before.v[v], key->v[v], pivot, more);
                rank->v[v] = add_after(rank->v[v], key->v[v], pivot, splat(1));
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
            lanes pivot = splat(key->each[k]), other = splat(level.each[k]);
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
static int32_t queue_top(const struct worker *worker, const struct window_port *port, const union block *key,
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
        lanes id = (lanes){LANE_IDS} + splat((int32_t)(v * LANES));
        top = max_lanes(top, queued[v] & (id < splat((int32_t)count)));
    }
    return top_lane(top);
}

/* Everything about the batch that needs no memory but its own. */
INLINE void batch_scan(const struct worker *worker, const struct window_port *port, const struct port_batch *batch,
                       uint32_t vectors, uint32_t count, int32_t base_ps, union block *key, union block *time,
                       union block *size, struct served *served)
{
    const struct window_core *core = worker->core;
    int32_t width = (int32_t)core->width_ps, cut_bytes = (int32_t)core->config.cut_through_bytes;
    union block service;
    for (uint32_t v = 0; v < vectors; v++) {
        lanes id = (lanes){LANE_IDS} + splat((int32_t)(v * LANES));
        lanes is_packet = id < splat((int32_t)count);
        key->v[v] = pick(is_packet, *(const lanes *)&batch->keys[v * LANES], splat(INT32_MAX));
        size->v[v] = *(const lanes *)&batch->metas[v * LANES] & splat(PACKET_BYTES_MAX) & is_packet;
        time->v[v] = key->v[v] >> (core->key_shift - 1);
    }
    service_load(port, size, vectors, count, &service);
    scan(key, time, &service, vectors, count, base_ps, &served->rank, &served->departure_ps);
    lanes busy = splat(0), wait = splat(0), bytes = splat(0), all = splat(0), work = splat(0);
    served->starts[0] = served->starts[1] = served->starts[2] = served->waits = 0;
    for (uint32_t v = 0; v < vectors; v++) {
        lanes id = (lanes){LANE_IDS} + splat((int32_t)(v * LANES));
        lanes is_packet = id < splat((int32_t)count), departure = served->departure_ps.v[v];
        lanes start = pick(is_packet, departure - service.v[v], splat(INT32_MAX));
        lanes is_started = start < splat(width);
        served->start_ps.v[v] = start;
        lanes waited = start - time->v[v];
        busy += service.v[v] & is_started;
        wait += waited & is_started;
        bytes += size->v[v] & is_started;
        all += size->v[v];
        /* One packet in service may be counted whole though some of it has left. */
        lanes slack = splat(port->ps_per_byte_max * worker->packet_bytes_max) & (waited > splat(0));
        work = max_lanes(work, (departure - time->v[v] + slack) & is_packet);
        lanes is_cut = splat(-port->is_peer_cut) & (size->v[v] > splat(cut_bytes));
        lanes seen = pick(is_cut, start + splat(port->cut_service_ps), departure);
        lanes ahead = seen + splat((int32_t)port->reach_ps);
        lanes is_next = ahead >= splat(width), is_after = ahead >= splat(2 * width);
        lanes offset = ahead - (splat(width) & is_next) - (splat(width) & is_after);
        served->key_out.v[v] = offset << core->key_shift | splat((int32_t)port->peer_port << 1) | (~is_cut & splat(1));
        uint32_t started = bits_less(start, splat(width)) << v * LANES;
        uint32_t next = ~bits_less(ahead, splat(width)) << v * LANES;
        uint32_t after = ~bits_less(ahead, splat(2 * width)) << v * LANES;
        served->starts[0] |= started & ~next;
        served->starts[1] |= started & next & ~after;
        served->starts[2] |= started & after;
        served->waits |= ~started & ((UINT32_C(1) << (LANES - 1) << 1) - 1) << v * LANES;
    }
    served->waits &= (uint32_t)((UINT64_C(1) << count) - 1);
    served->start_count = (uint32_t)__builtin_popcount(served->starts[0] | served->starts[1] | served->starts[2]);
    served->busy_ps = sum_lanes(busy);
    served->wait_ps = sum_lanes(wait);
    served->bytes_started = sum_lanes(bytes);
    served->bytes_all = sum_lanes(all);
    served->work_ps_max = top_lane(work);
}
