/* One switch in one window, the fast way: one text for all vector widths.
 *
 * A file of three lines defines SWITCH_LANES (32-bit lanes of a vector) and SWITCH_SERVE (the function's name) and
 * includes this. Chunks are routed a vector at a time and dealt to one batch per output port, behind the packets that
 * wait there. A batch is sorted by (time, port of arrival); then, with t the arrivals and c the service times,
 *
 *     S_i = c_0 + .. + c_i               a prefix sum
 *     M_i = max of t_j - S_(j-1), j <= i   a prefix maximum
 *     departure_i = S_i + max(free, M_i)   exact: FIFO service is a (max,+) scan
 *
 * Departures ascend, so what starts in this window is the front of the batch, and each of its parts that reaches the
 * peer in the same window is moved in one piece; what is left over is the queue. There is no loop over packets after
 * dealing, and hardly a branch: a mispredicted one costs most of all here, the more so behind a long chain of vectors. So
 * first all ports are scanned, and only then is sent what the scans have found.
 *
 * Batches of one vector are scanned two at a time, where there are registers for that: neither chain waits for the other. Of
 * larger ones only what arrives is sorted; what waits is in order, and in front. Where little goes on, and one packet is all
 * that a switch has got, no batch is made of it (65 ns a hop became 58, with one flow among 8192 hosts).
 *
 * Keys have room for the place in the batch, so the sort is a bitonic network on 32-bit lanes; where a switch has too many
 * ports for that, places are found by comparing each with each.
 *
 * Whatever is unusual goes to the general code in window_switch.c, by port (more arrivals than a batch holds, a
 * queue that may be full, dark ports, slow links) or by node (unequal rates where packets cut through, a run that
 * ends inside the window). */
#include "netsim/engine/window_class.h"

#include <string.h>

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

INLINE lanes min_lanes(lanes a, lanes b)
{
#if SWITCH_LANES == 16
    return (lanes)_mm512_min_epi32((__m512i)a, (__m512i)b);
#elif SWITCH_LANES == 8
    return (lanes)_mm256_min_epi32((__m256i)a, (__m256i)b);
#else
    return pick(a < b, a, b);
#endif
}

/* A bit per lane whose comparison a < b holds. */
INLINE uint32_t bits_less(lanes a, lanes b)
{
#if SWITCH_LANES == 16
    return simd_mask_bits(_mm512_cmplt_epi32_mask((__m512i)a, (__m512i)b));
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

/* All bits where it holds. The compiler must not see what it is made of: of a choice that nobody can predict it would make a
 * branch again. */
INLINE uint64_t all_if(bool holds)
{
    uint64_t mask = -(uint64_t)holds;
    __asm__("" : "+r"(mask));
    return mask;
}

/* ---- routing ---------------------------------------------------------------------------------------------- */

/* The low and the high words of GROUP packets; the numbers of the lanes. */
#if SWITCH_LANES == 16
#define LANE_IDS   0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
#define EACH(f, d) f(0, d), f(1, d), f(2, d), f(3, d), f(4, d), f(5, d), f(6, d), f(7, d), f(8, d), f(9, d), f(10, d), \
                   f(11, d), f(12, d), f(13, d), f(14, d), f(15, d)
#define EVEN(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14)
#define ODD(a, b)  __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15)
#elif SWITCH_LANES == 8
#define LANE_IDS   0, 1, 2, 3, 4, 5, 6, 7
#define EACH(f, d) f(0, d), f(1, d), f(2, d), f(3, d), f(4, d), f(5, d), f(6, d), f(7, d)
#define EVEN(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6)
#define ODD(a, b)  __builtin_shufflevector(a, b, 1, 3, 5, 7)
#else
#define LANE_IDS   0, 1, 2, 3
#define EACH(f, d) f(0, d), f(1, d), f(2, d), f(3, d)
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

/* Of the low halves: one instruction, where a product of 64 bits takes three and more. */
INLINE words product(words a, words b)
{
#if SWITCH_LANES == 16
    return (words)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif SWITCH_LANES == 8
    return (words)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#else
    return (a & splat_word(UINT32_MAX)) * (b & splat_word(UINT32_MAX));
#endif
}

/* hash * count >> 64 for counts below 2^16. */
INLINE words choose(words hash, words count)
{
    return (product(hash >> 32, count) + (product(hash, count) >> 32)) >> 32;
}

/* Output ports (within the node) of GROUP packets. */
INLINE void group_route(const struct window_node *node, const struct packet *packets, int32_t *outs)
{
    const words_loose *in = (const words_loose *)packets;
    words low = EVEN((words)in[0], (words)in[1]), high = ODD((words)in[0], (words)in[1]);
    const struct route *route = &node->route;
    words hash = path_hash(low, high, node->salt);
    words into = (low & splat_word(WORD_HOST_MASK)) - splat_word(route->down_first); /* wraps below */
    words is_down = (words)(into < splat_word(route->down_last - route->down_first));
    words child = product(into & splat_word(WORD_HOST_MASK), splat_word(node->stride_reciprocal)) >> node->stride_shift;
    words first = (is_down & (splat_word(route->down_port) + product(child, splat_word(route->down_width)))) |
                  (~is_down & splat_word(route->up_port));
    words count = (is_down & splat_word(route->down_width)) | (~is_down & splat_word(route->up_count));
    words out = first + choose(hash, count);
    *(half_loose *)outs = __builtin_convertvector(out, half);
}

INLINE void chunk_route(const struct window_core *core, const struct window_node *node, const struct chunk *chunk,
                        int32_t *outs)
{
    if (__builtin_expect(!node->is_tree, 0)) {
        for (uint32_t lane = 0; lane < chunk->count; lane++) {
            outs[lane] = (int32_t)(node_route(core, node, &chunk->packets[lane]) - node->port_first);
        }
        return;
    }
    _Static_assert(CHUNK_PACKETS % GROUP == 0, "groups stay inside the chunk");
    for (uint32_t at = 0; at < chunk->count; at += GROUP) {
        group_route(node, &chunk->packets[at], outs + at);
    }
}

/* ---- dealing ---------------------------------------------------------------------------------------------- */

static __attribute__((noinline)) void batch_more_put(struct worker *worker, uint32_t port, int32_t key,
                                                     const struct packet *packet)
{
    struct batch_more more = {port, key, *packet};
    vec_push(worker->arena, worker->more, worker->more_count, worker->more_capacity) = more;
}

INLINE void chunk_deal(struct worker *worker, const struct chunk *chunk, const int32_t *outs)
{
    /* The compiler must not suspect these stores of changing the worker. */
    uint32_t *counts = worker->batch_count, lanes_used = chunk->count;
    struct port_batch *batches = worker->batches;
    for (uint32_t lane = 0; lane < lanes_used; lane++) {
        uint32_t port = (uint32_t)outs[lane], count = counts[port];
        int32_t key = (int32_t)(chunk->keys[lane] >> 1);
        counts[port] = count + 1;
        if (__builtin_expect(count >= BATCH_PACKETS, 0)) {
            batch_more_put(worker, port, key, &chunk->packets[lane]);
            continue;
        }
        batches[port].packets[count] = chunk->packets[lane];
        batches[port].keys[count] = key;
    }
}

/* Some chunks are routed before they are dealt: where a chunk ends nobody can predict, and routing takes long enough to be
 * begun before that is known. */
enum { CHUNKS_AHEAD = 8 };

INLINE struct chunk *chunks_deal(struct worker *worker, const struct window_node *node, uint32_t writer,
                                 struct chunk *chunk)
{
    int32_t outs[CHUNKS_AHEAD][CHUNK_PACKETS];
    const struct chunk *chunks[CHUNKS_AHEAD];
    uint32_t count = 0;
    for (; chunk != NULL && count < CHUNKS_AHEAD; chunk = chunk->older) {
        writer_chunk_prefetch(worker, writer);
        chunk_route(worker->core, node, chunk, outs[count]);
        chunks[count++] = chunk;
    }
    for (uint32_t i = 0; i < count; i++) {
        chunk_deal(worker, chunks[i], outs[i]);
    }
    return chunk;
}

static void node_deal(struct worker *worker, const struct window_node *node, uint32_t node_id)
{
    struct window_core *core = worker->core;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        struct chunk *chunk = inbox_take(&core->workers[i], node_id, worker->slot);
        worker->taken[i] = chunk;
        while (chunk != NULL) {
            chunk = chunks_deal(worker, node, i, chunk);
        }
    }
    arrivals_release(worker); /* to be filled again while they are in the first-level cache */
}

/* ---- what waits ------------------------------------------------------------------------------------------- */

#define AGE_PS_MAX (1 << 29) /* of what takes part in a scan of 32 bits */

INLINE bool is_waiting_short(const struct worker *worker, const struct window_port *port)
{
    return port->count <= BATCH_WAITING_MAX && port->head + port->count <= port->capacity &&
           worker->start_ps - port_since(port)[port->head] < AGE_PS_MAX;
}

INLINE void waiting_copy(struct port_batch *batch, const struct packet *queue, const uint64_t *since_ps, uint32_t first,
                         uint64_t start_ps)
{
    memcpy(&batch->packets[first], &queue[first], BATCH_WAITING_MAX / 2 * sizeof *queue);
    for (uint32_t at = first; at < first + BATCH_WAITING_MAX / 2; at += GROUP) {
        words age = *(const words_loose *)&since_ps[at] - splat_word(start_ps);
        *(half_loose *)&batch->times_ps[at] = __builtin_convertvector(age, half);
    }
}

/* A short queue becomes the front of its port's batch; it stays where it is too, for the general code. */
INLINE void waiting_deal(struct worker *worker, uint32_t port_local, const struct window_port *port)
{
    struct port_batch *batch = &worker->batches[port_local];
    bool is_short = is_waiting_short(worker, port);
    batch->waiting_count = is_short ? port->count : 0;
    if (!is_short) {
        return;
    }
    const uint64_t *since_ps = port_since(port) + port->head;
    const struct packet *queue = port->queue + port->head;
    worker->batch_count[port_local] = port->count;
    if (__builtin_expect(port->head != 0, 0)) {
        for (uint32_t i = 0; i < port->count; i++) {
            batch->packets[i] = queue[i];
            batch->times_ps[i] = (int32_t)(int64_t)(since_ps[i] - worker->start_ps);
        }
    } else { /* what is too much does no harm, but fetches lines */
        waiting_copy(batch, queue, since_ps, 0, worker->start_ps);
        if (__builtin_expect(port->count > BATCH_WAITING_MAX / 2, 0)) {
            waiting_copy(batch, queue, since_ps, BATCH_WAITING_MAX / 2, worker->start_ps);
        }
    }
    for (uint32_t at = 0; at < BATCH_WAITING_MAX; at += LANES) {
        *(lanes *)&batch->keys[at] = lane_ids(at / LANES) - splat(BATCH_WAITING_MAX);
    }
}

/* ---- one port, packet by packet --------------------------------------------------------------------------- */

static __attribute__((noinline)) void batch_serve_slow(struct worker *worker, uint32_t node_id, uint32_t port_local,
                                                       uint32_t waiting, uint32_t count)
{
    struct port_batch *batch = &worker->batches[port_local];
    struct arrivals *arrivals = &worker->arrivals;
    arrivals->count = 0;
    arrivals_reserve(worker, count);
    uint32_t inside = count < BATCH_PACKETS ? count : BATCH_PACKETS;
    for (uint32_t i = waiting; i < inside; i++) {
        arrivals_add(arrivals, batch->keys[i], &batch->packets[i]);
    }
    for (size_t i = 0; count > inside && i < worker->more_count; i++) {
        if (worker->more[i].port == port_local) {
            arrivals_add(arrivals, worker->more[i].key, &worker->more[i].packet);
        }
    }
    port_serve(worker, node_id, port_local, arrivals->items, arrivals->count);
}

/* ---- sorting ---------------------------------------------------------------------------------------------- */

union block {
    lanes v[VECTORS_MAX];
    int32_t each[BATCH_PACKETS];
};

#define TURNED(lane, d) ((lane) ^ (d))
INLINE lanes turned(lanes a, uint32_t distance)
{
    switch (distance) {
    case 1:
        return __builtin_shufflevector(a, a, EACH(TURNED, 1));
    case 2:
        return __builtin_shufflevector(a, a, EACH(TURNED, 2));
#if SWITCH_LANES >= 8
    case 4:
        return __builtin_shufflevector(a, a, EACH(TURNED, 4));
#endif
    default:
#if SWITCH_LANES == 16
        return __builtin_shufflevector(a, a, EACH(TURNED, 8));
#else
        return a;
#endif
    }
}

/* A bit per lane of a vector: whether its place in the block has this bit. */
INLINE uint32_t places_with(uint32_t vector, uint32_t bit)
{
    static const uint32_t patterns[] = {[1] = 0xaaaa, [2] = 0xcccc, [4] = 0xf0f0, [8] = 0xff00};
    return bit < LANES ? patterns[bit] : (vector * LANES & bit) != 0 ? 0xffff : 0;
}

INLINE lanes mixed(lanes low, lanes high, uint32_t takes_high)
{
#if SWITCH_LANES == 16
    return (lanes)_mm512_mask_mov_epi32((__m512i)low, (__mmask16)takes_high, (__m512i)high);
#else
    lanes bit = splat(1) << lane_ids(0);
    lanes mask = (splat((int32_t)takes_high) & bit) != splat(0);
    return pick(mask, high, low);
#endif
}

/* One step of the bitonic sort (Batcher 1968): blocks of `size` places, partners `distance` apart. */
INLINE void sort_step(lanes *v, uint32_t vectors, uint32_t size, uint32_t distance)
{
    uint32_t apart = distance / LANES;
#pragma GCC unroll 8
    for (uint32_t i = 0; i < vectors; i++) {
        if (apart > 0 && (i & apart) != 0) {
            continue;
        }
        if (apart > 0) {
            lanes low = min_lanes(v[i], v[i + apart]), high = max_lanes(v[i], v[i + apart]);
            bool is_down = (i * LANES & size) != 0;
            v[i] = is_down ? high : low;
            v[i + apart] = is_down ? low : high;
            continue;
        }
        lanes other = turned(v[i], distance);
        v[i] = mixed(min_lanes(v[i], other), max_lanes(v[i], other), places_with(i, distance) ^ places_with(i, size));
    }
}

/* Written out, so that all is known when it is compiled. */
INLINE void sort_block(lanes *v, uint32_t vectors)
{
    sort_step(v, vectors, 2, 1);
    sort_step(v, vectors, 4, 2);
    sort_step(v, vectors, 4, 1);
    if (vectors * LANES >= 8) {
        sort_step(v, vectors, 8, 4);
        sort_step(v, vectors, 8, 2);
        sort_step(v, vectors, 8, 1);
    }
    if (vectors * LANES >= 16) {
        sort_step(v, vectors, 16, 8);
        sort_step(v, vectors, 16, 4);
        sort_step(v, vectors, 16, 2);
        sort_step(v, vectors, 16, 1);
    }
    if (vectors * LANES >= 32) {
        sort_step(v, vectors, 32, 16);
        sort_step(v, vectors, 32, 8);
        sort_step(v, vectors, 32, 4);
        sort_step(v, vectors, 32, 2);
        sort_step(v, vectors, 32, 1);
    }
}

/* Keys without room for a place. */
static __attribute__((noinline)) void rank_block(const int32_t *keys, uint32_t count, int32_t *places)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t before = 0;
        for (uint32_t j = 0; j < count; j++) {
            before += keys[j] < keys[i];
        }
        places[before] = (int32_t)i;
    }
    for (uint32_t i = count; i < BATCH_PACKETS; i++) {
        places[i] = 0;
    }
}

/* The places of the batch in the order of service, and their keys in this order. */
INLINE void batch_rank(const struct port_batch *batch, uint32_t vectors, lanes *place, lanes *key)
{
    union block places, keys;
    rank_block(batch->keys, batch->count, places.each);
    for (uint32_t i = 0; i < vectors * LANES; i++) {
        keys.each[i] = batch->keys[places.each[i]];
    }
    for (uint32_t i = 0; i < vectors; i++) {
        place[i] = places.v[i];
        key[i] = keys.v[i];
    }
}

INLINE void keys_load(const struct port_batch *batch, uint32_t vectors, lanes *v)
{
    for (uint32_t i = 0; i < vectors; i++) {
        lanes is_packet = lane_ids(i) < splat((int32_t)batch->count);
        v[i] = *(const lanes *)&batch->keys[i * LANES] << PLACE_BITS | lane_ids(i);
        v[i] = pick(is_packet, v[i], splat(INT32_MAX));
    }
}

INLINE void keys_part(const lanes *v, uint32_t vectors, lanes *place, lanes *key)
{
    for (uint32_t i = 0; i < vectors; i++) {
        place[i] = v[i] & splat(BATCH_PACKETS - 1);
        key[i] = v[i] >> PLACE_BITS;
    }
}

/* ---- packets in the order of service ---------------------------------------------------------------------- */

/* Puts the packets of a batch into this order, and finds their sizes. */
#if SWITCH_LANES == 16
#define PAIR(q) 4 * q, 4 * q, 4 * q, 4 * q, 4 * q + 1, 4 * q + 1, 4 * q + 1, 4 * q + 1, 4 * q + 2, 4 * q + 2, 4 * q + 2, \
                4 * q + 2, 4 * q + 3, 4 * q + 3, 4 * q + 3, 4 * q + 3
/* The words of four packets whose places are in the lanes 4 quarter .. of a vector. */
INLINE __m512i quarter_words(lanes place, uint32_t quarter)
{
    static const int32_t pairs[4][16] __attribute__((aligned(64))) = {{PAIR(0)}, {PAIR(1)}, {PAIR(2)}, {PAIR(3)}};
    __m512i twice = _mm512_slli_epi32((__m512i)place, 1);
    __m512i words_of = _mm512_permutexvar_epi32(_mm512_load_si512(pairs[quarter]), twice);
    return _mm512_or_si512(words_of, _mm512_set_epi64(1, 0, 1, 0, 1, 0, 1, 0));
}

/* The sizes in four quarters of a vector. */
INLINE lanes quarters_size(const __m512i *quarter)
{
    __m512i sizes_at = (__m512i)(lanes){2, 6, 10, 14, 18, 22, 26, 30, 2, 6, 10, 14, 18, 22, 26, 30};
    __m512i low = _mm512_permutex2var_epi32(_mm512_srli_epi64(quarter[0], WORD_SIZE_SHIFT), sizes_at,
                                            _mm512_srli_epi64(quarter[1], WORD_SIZE_SHIFT));
    __m512i high = _mm512_permutex2var_epi32(_mm512_srli_epi64(quarter[2], WORD_SIZE_SHIFT), sizes_at,
                                             _mm512_srli_epi64(quarter[3], WORD_SIZE_SHIFT));
    return (lanes)_mm512_inserti64x4(low, _mm512_castsi512_si256(high), 1) & splat(PACKET_BYTES_MAX);
}

/* Of 16 packets, whose places count from the first of them. */
INLINE void packets_sort(struct packet *packets, lanes place, lanes *size)
{
    __m512i from[4], sorted[4];
    for (uint32_t q = 0; q < 4; q++) {
        from[q] = _mm512_loadu_si512(packets + 4 * q);
    }
    for (uint32_t q = 0; q < 4; q++) {
        __m512i at = quarter_words(place, q);
        __m512i low = _mm512_permutex2var_epi64(from[0], at, from[1]);
        __m512i high = _mm512_permutex2var_epi64(from[2], at, from[3]);
        sorted[q] = _mm512_mask_blend_epi64(_mm512_test_epi64_mask(at, _mm512_set1_epi64(16)), low, high);
    }
    *size = quarters_size(sorted);
    for (uint32_t q = 0; q < 4; q++) {
        _mm512_storeu_si512(packets + 4 * q, sorted[q]);
    }
}

INLINE void batch_sort(struct port_batch *batch, const lanes *place, uint32_t vectors, lanes *size)
{
    __m512i *packets = (__m512i *)batch->packets, sorted[4 * VECTORS_MAX];
    if (vectors == 1) {
        packets_sort(batch->packets, place[0], size);
        return;
    }
    for (uint32_t i = 0; i < vectors; i++) {
        for (uint32_t q = 0; q < 4; q++) {
            __m512i at = _mm512_and_si512(quarter_words(place[i], q), _mm512_set1_epi64(2 * BATCH_PACKETS - 1));
            sorted[4 * i + q] = _mm512_i64gather_epi64(at, packets, 8);
        }
        size[i] = quarters_size(&sorted[4 * i]);
    }
    for (uint32_t q = 0; q < 4 * vectors; q++) {
        packets[q] = sorted[q];
    }
}

/* As many as there is room for: 16 at most. */
INLINE void packets_move(const struct packet *from, uint32_t count, struct packet *to)
{
    uint32_t mask = (UINT32_C(1) << (count & 15) << (count & 15)) - 1; /* two bits a packet */
    mask = count == 16 ? UINT32_MAX : mask;
    for (uint32_t q = 0; q < 4; q++) {
        __mmask8 part = (__mmask8)(mask >> 8 * q);
        _mm512_mask_storeu_epi64(to + 4 * q, part, _mm512_loadu_si512(from + 4 * q));
    }
}

INLINE void keys_move(const uint32_t *from, uint32_t count, uint32_t *to)
{
    _mm512_mask_storeu_epi32(to, (__mmask16)((UINT32_C(1) << count) - 1), _mm512_loadu_si512(from));
}

INLINE void times_move(const int32_t *from, uint32_t count, uint64_t start_ps, uint64_t *to)
{
    __m512i start = _mm512_set1_epi64((int64_t)start_ps), times = _mm512_loadu_si512(from);
    uint32_t mask = (UINT32_C(1) << count) - 1;
    __m512i low = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(times));
    __m512i high = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(times, 1));
    _mm512_mask_storeu_epi64(to, (__mmask8)mask, _mm512_add_epi64(low, start));
    _mm512_mask_storeu_epi64(to + 8, (__mmask8)(mask >> 8), _mm512_add_epi64(high, start));
}
#else
INLINE void batch_sort(struct port_batch *batch, const lanes *place, uint32_t vectors, lanes *size)
{
    struct packet sorted[BATCH_PACKETS];
    union block places, sizes;
    for (uint32_t i = 0; i < vectors; i++) {
        places.v[i] = place[i];
    }
    for (uint32_t i = 0; i < vectors * LANES; i++) {
        sorted[i] = batch->packets[places.each[i]];
        sizes.each[i] = (int32_t)sorted[i].size_bytes;
    }
    memcpy(batch->packets, sorted, vectors * LANES * sizeof *sorted);
    for (uint32_t i = 0; i < vectors; i++) {
        size[i] = sizes.v[i];
    }
}

INLINE void packets_move(const struct packet *from, uint32_t count, struct packet *to)
{
    for (uint32_t i = 0; i < count; i++) {
        to[i] = from[i];
    }
}

INLINE void keys_move(const uint32_t *from, uint32_t count, uint32_t *to)
{
    for (uint32_t i = 0; i < count; i++) {
        to[i] = from[i];
    }
}

INLINE void times_move(const int32_t *from, uint32_t count, uint64_t start_ps, uint64_t *to)
{
    for (uint32_t i = 0; i < count; i++) {
        to[i] = start_ps + (uint64_t)(int64_t)from[i];
    }
}
#endif

/* ---- one port, all lanes at once -------------------------------------------------------------------------- */

#if SWITCH_LANES == 16
#define MOVED_UP(a, d, fill) ((lanes)_mm512_alignr_epi32((__m512i)(a), (__m512i)(fill), 16 - (d)))
#else
#define UP(lane, d)          ((lane) < (d) ? (lane) : LANES + (lane) - (d))
#define MOVED_UP(a, d, fill) __builtin_shufflevector(fill, a, EACH(UP, d))
#endif
INLINE lanes moved_up(lanes a, uint32_t distance, lanes fill)
{
    switch (distance) {
    case 1:
        return MOVED_UP(a, 1, fill);
    case 2:
        return MOVED_UP(a, 2, fill);
#if SWITCH_LANES >= 8
    case 4:
        return MOVED_UP(a, 4, fill);
#endif
    default:
#if SWITCH_LANES == 16
        return MOVED_UP(a, 8, fill);
#else
        return a;
#endif
    }
}

INLINE void prefix_sum(lanes *v, uint32_t vectors)
{
    for (uint32_t i = 0; i < vectors; i++) {
#pragma GCC unroll 4
        for (uint32_t distance = 1; distance < LANES; distance *= 2) {
            v[i] += moved_up(v[i], distance, splat(0));
        }
        v[i] += i > 0 ? splat(v[i - 1][LANES - 1]) : splat(0);
    }
}

INLINE void prefix_max(lanes *v, uint32_t vectors)
{
    for (uint32_t i = 0; i < vectors; i++) {
#pragma GCC unroll 4
        for (uint32_t distance = 1; distance < LANES; distance *= 2) {
            v[i] = max_lanes(v[i], moved_up(v[i], distance, splat(INT32_MIN)));
        }
        v[i] = i > 0 ? max_lanes(v[i], splat(v[i - 1][LANES - 1])) : v[i];
    }
}

/* A port whose batch is scanned. The steps take several of these together: none of their chains needs what another finds, so
 * they fill each other's waits. */
struct scan {
    struct window_port *port;
    struct port_batch *batch;
    lanes place[VECTORS_MAX], key[VECTORS_MAX], size[VECTORS_MAX], time[VECTORS_MAX], service[VECTORS_MAX];
    lanes to[VECTORS_MAX], top[VECTORS_MAX], start[VECTORS_MAX], departure[VECTORS_MAX];
};
INLINE void service_find(const struct window_port *port, const lanes *size, uint32_t vectors, lanes *service)
{
    if (__builtin_expect(port->ps_per_byte != 0, 1)) {
        for (uint32_t v = 0; v < vectors; v++) {
            service[v] = size[v] * splat((int32_t)port->ps_per_byte);
        }
        return;
    }
    union block sizes, services;
    for (uint32_t v = 0; v < vectors; v++) {
        sizes.v[v] = size[v];
    }
    for (uint32_t i = 0; i < vectors * LANES; i++) { /* no packet has size 0, and that takes no time */
        services.each[i] = (int32_t)port->service_ps[sizes.each[i]];
    }
    for (uint32_t v = 0; v < vectors; v++) {
        service[v] = services.v[v];
    }
}

INLINE uint32_t lanes_first(uint32_t count)
{
    return (uint32_t)((UINT64_C(1) << count) - 1);
}

/* Where the packets that start will be, and when. */
INLINE void arrivals_find(const struct worker *worker, const struct window_port *port, struct port_batch *batch,
                          uint32_t vectors, const lanes *size, const lanes *start, const lanes *departure)
{
    const struct window_core *core = worker->core;
    lanes width = splat((int32_t)core->width_ps);
    uint32_t starts = 0, here = 0, near = 0;
    for (uint32_t v = 0; v < vectors; v++) {
        lanes ahead = departure[v], whole = splat(1);
        if (__builtin_expect(port->is_peer_cut, 0)) {
            lanes is_cut = size[v] > splat((int32_t)core->config.cut_through_bytes);
            ahead = pick(is_cut, start[v] + splat((int32_t)port->cut_service_ps), ahead);
            whole &= ~is_cut;
        }
        ahead += splat((int32_t)port->reach_ps);
        lanes offset = ahead - (width & (ahead >= width)) - (width & (ahead >= width + width));
        *(lanes *)&batch->keys_out[v * LANES] =
            offset << (int32_t)core->key_shift | splat((int32_t)port->peer_port << 1) | whole;
        starts |= bits_less(start[v], width) << v * LANES;
        here |= bits_less(ahead, width) << v * LANES;
        near |= bits_less(ahead, width + width) << v * LANES;
    }
    starts &= lanes_first(batch->count);
    batch->start_count = (uint32_t)__builtin_popcount(starts); /* times ascend: these are the first lanes */
    batch->here = (uint32_t)__builtin_popcount(starts & here);
    batch->near = (uint32_t)__builtin_popcount(starts & near);
}

/* Bytes in the port as each packet arrives, itself counted; the largest. Exact, all that waits included. */
static __attribute__((noinline)) uint64_t queue_top(const struct worker *worker, const struct window_port *port,
                                                    const struct port_batch *batch, const int32_t *sizes)
{
    uint32_t left = port->count - batch->waiting_count, at = port->head, gone = 0;
    int64_t bytes = port->in_service_bytes, first = bytes, top = 0;
    uint64_t leaves_ps = port->free_ps; /* when the first of `bytes` is gone */
    for (uint32_t i = 0; i < left; i++) {
        bytes += port->queue[(at + i) & (port->capacity - 1)].size_bytes;
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        uint64_t now_ps = worker->start_ps + (uint64_t)(int64_t)batch->times_ps[i];
        while (first > 0 && leaves_ps <= now_ps) {
            bytes -= first;
            first = 0;
            if (left > 0) {
                first = port->queue[at++ & (port->capacity - 1)].size_bytes;
                leaves_ps += port_service_ps(port, (uint64_t)first);
                left--;
            }
        }
        for (; gone < i && batch->departures_ps[gone] <= batch->times_ps[i]; gone++) {
            bytes -= sizes[gone];
        }
        bytes += sizes[i];
        top = i >= batch->waiting_count && bytes > top ? bytes : top;
    }
    return (uint64_t)top;
}

/* The same where nothing but the batch waits and a byte takes the same time everywhere, of those packets only that may find
 * more than ever. */
INLINE uint64_t queue_top_lanes(const struct worker *worker, const struct window_port *port,
                                const struct port_batch *batch, uint32_t vectors, const lanes *departure,
                                uint32_t raised)
{
    int32_t free_ps = port->free_ps > worker->start_ps ? (int32_t)(port->free_ps - worker->start_ps) : INT32_MIN;
    int32_t in_service_ps = (int32_t)(port->in_service_bytes * port->ps_per_byte), top_ps = 0;
    uint32_t packets = lanes_first(batch->count);
    for (; raised != 0; raised &= raised - 1) {
        uint32_t at = (uint32_t)__builtin_ctz(raised), left = 0;
        int32_t time_ps = batch->times_ps[at];
        for (uint32_t v = 0; v < vectors; v++) {
            left |= bits_less(splat(time_ps), departure[v]) << v * LANES;
        }
        left &= packets; /* has not departed: departures ascend, so these are the last ones */
        uint32_t gone = batch->count - (uint32_t)__builtin_popcount(left);
        int32_t work_ps = batch->services_ps[at] - (gone > 0 ? batch->services_ps[gone - 1] : 0);
        work_ps += time_ps < free_ps ? in_service_ps : 0;
        top_ps = work_ps > top_ps ? work_ps : top_ps;
    }
    return (uint32_t)top_ps / port->ps_per_byte;
}

INLINE uint32_t lanes_marked(const struct window_port *port, const lanes *work, uint32_t vectors)
{
    lanes calm = splat(port->mark_calm_ps < INT32_MAX ? (int32_t)port->mark_calm_ps : INT32_MAX);
    uint32_t marked = 0;
    for (uint32_t v = 0; v < vectors; v++) {
        marked |= bits_less(calm, work[v]) << v * LANES;
    }
    return marked;
}

/* More work than ever may have been in the port. False: it must go packet by packet, as drops may be due. */
INLINE bool batch_record(const struct worker *worker, const struct scan *scan, uint32_t vectors, uint32_t raised)
{
    struct window_port *port = scan->port;
    const struct port_batch *batch = scan->batch;
    uint64_t top_bytes;
    if (port->ps_per_byte != 0 && port->count == batch->waiting_count) {
        top_bytes = queue_top_lanes(worker, port, batch, vectors, scan->departure, raised);
    } else {
        union block sizes;
        for (uint32_t v = 0; v < vectors; v++) {
            sizes.v[v] = scan->size[v];
        }
        top_bytes = queue_top(worker, port, batch, sizes.each);
    }
    if (top_bytes > port->capacity_bytes) {
        return false;
    }
    port_record(port, top_bytes);
    return true;
}

/* The lanes that start after the time that is asked for. */
static __attribute__((noinline)) void batch_sample(struct worker *worker, const struct window_port *port,
                                                   const struct port_batch *batch)
{
    for (uint32_t i = 0; i < batch->start_count; i++) {
        int32_t service_ps = batch->services_ps[i] - (i > 0 ? batch->services_ps[i - 1] : 0);
        if ((uint64_t)(batch->departures_ps[i] - service_ps) > worker->sample_offset_ps) {
            port_sample(worker->core, port, batch->packets[i].size_bytes);
        }
    }
}

enum { SCANS_MAX = LANES == 16 ? 2 : 1 }; /* for two there must be registers */
#define EACH_SCAN _Pragma("GCC unroll 4") for (uint32_t k = 0; k < scans; k++)

INLINE void scans_order(const struct window_core *core, struct scan *scan, uint32_t scans, uint32_t vectors)
{
    lanes v[SCANS_MAX][VECTORS_MAX];
    if (__builtin_expect(!core->has_place_bits, 0)) {
        EACH_SCAN batch_rank(scan[k].batch, vectors, scan[k].place, scan[k].key);
        return;
    }
    EACH_SCAN keys_load(scan[k].batch, vectors, v[k]);
    EACH_SCAN sort_block(v[k], vectors);
    EACH_SCAN keys_part(v[k], vectors, scan[k].place, scan[k].key);
}

/* Packets, sizes and times in the order of service. */
INLINE void scan_times(const struct window_core *core, struct scan *scan, uint32_t vectors)
{
    struct port_batch *batch = scan->batch;
    batch_sort(batch, scan->place, vectors, scan->size);
    for (uint32_t v = 0; v < vectors; v++) {
        lanes is_old = lane_ids(v) < splat((int32_t)batch->waiting_count);
        scan->size[v] &= lane_ids(v) < splat((int32_t)batch->count);
        scan->time[v] = scan->key[v] >> (int32_t)(core->key_shift - 1);
        if (v * LANES < BATCH_WAITING_MAX) {
            scan->time[v] = pick(is_old, *(const lanes *)&batch->times_ps[v * LANES], scan->time[v]);
        }
        *(lanes *)&batch->keys[v * LANES] = scan->key[v];
        *(lanes *)&batch->times_ps[v * LANES] = scan->time[v];
    }
}

#if SWITCH_LANES == 16
/* Both of these for a batch of two vectors of which at most one arrives: what waits stands in front, in order. */
INLINE void scan_behind(const struct window_core *core, struct scan *scan)
{
    struct port_batch *batch = scan->batch;
    uint32_t first = batch->waiting_count;
    lanes lane = lane_ids(0), is_new = lane < splat((int32_t)(batch->count - first)), old_size, new_size;
    lanes v = pick(is_new, *(const lanes_loose *)&batch->keys[first] << PLACE_BITS | lane, splat(INT32_MAX));
    sort_block(&v, 1);
    old_size = quarters_size((const __m512i *)batch->packets);
    packets_sort(batch->packets + first, v & splat(BATCH_PACKETS - 1), &new_size);
    lanes key = v >> PLACE_BITS, turn = lane - splat((int32_t)first), is_old = lane < splat((int32_t)first);
    *(lanes_loose *)&batch->keys[first] = key;
    lanes time = (lanes)_mm512_permutexvar_epi32((__m512i)turn, (__m512i)(key >> (int32_t)(core->key_shift - 1)));
    lanes size = (lanes)_mm512_permutexvar_epi32((__m512i)turn, (__m512i)(new_size & is_new));
    scan->time[0] = pick(is_old, *(const lanes *)&batch->times_ps[0], time);
    scan->time[1] = time; /* beyond the batch there are packets of size 0 */
    scan->size[0] = pick(is_old, old_size, size);
    scan->size[1] = size & is_old;
    *(lanes *)&batch->times_ps[0] = scan->time[0];
    *(lanes *)&batch->times_ps[LANES] = scan->time[1];
}
#endif

INLINE void scan_departures(struct scan *scan, uint32_t vectors)
{
    for (uint32_t v = 0; v < vectors; v++) {
        scan->departure[v] = scan->to[v] + max_lanes(scan->top[v], splat(scan->batch->base_ps));
        scan->start[v] = scan->departure[v] - scan->service[v];
        *(lanes *)&scan->batch->services_ps[v * LANES] = scan->to[v];
        *(lanes *)&scan->batch->departures_ps[v * LANES] = scan->departure[v];
    }
}

/* A bit for each packet that may raise what the port has held at most, or be marked: `work`. Sums for the counters. */
INLINE uint32_t scan_sums(const struct worker *worker, const struct scan *scan, uint32_t vectors, lanes *work)
{
    const struct window_port *port = scan->port;
    struct port_batch *batch = scan->batch;
    lanes calm = splat(port->calm_ps < INT32_MAX ? (int32_t)port->calm_ps : INT32_MAX);
    lanes slack = splat((int32_t)port->service_ps[worker->packet_bytes_max]); /* of the largest packet */
    lanes wait = splat(0), bytes = splat(0), width = splat((int32_t)worker->core->width_ps);
    uint32_t raised = 0;
    for (uint32_t v = 0; v < vectors; v++) {
        lanes waited = scan->start[v] - scan->time[v];
        /* The packet in service may be counted whole though some of it has left. */
        work[v] = scan->departure[v] - scan->time[v] + (slack & (waited > splat(0)));
        raised |= bits_less(calm, work[v]) << v * LANES;
        lanes is_started = (scan->start[v] < width) & (lane_ids(v) < splat((int32_t)batch->count));
        wait += waited & is_started;
        bytes += scan->size[v] & is_started;
    }
    batch->wait_ps = sum_lanes(wait);
    batch->bytes = sum_lanes(bytes);
    return raised & lanes_first(batch->count) & ~lanes_first(batch->waiting_count);
}

/* What becomes of a batch; it may be that it must go packet by packet. */
INLINE enum batch_way scan_end(struct worker *worker, const struct scan *scan, uint32_t vectors, const lanes *work,
                               uint32_t raised)
{
    struct window_port *port = scan->port;
    if (__builtin_expect(raised != 0, 0) &&
        ((lanes_marked(port, work, vectors) & raised) != 0 ||
         !batch_record(worker, scan, vectors, raised))) {
        return BATCH_SLOW;
    }
    if (__builtin_expect(worker->sample_offset_ps < worker->core->width_ps, 0)) {
        batch_sample(worker, port, scan->batch);
    }
    return BATCH_SCANNED;
}

/* All that follows from sizes and times. No branch before the end. */
INLINE void scans_finish(struct worker *worker, struct scan *scan, uint32_t scans, uint32_t vectors)
{
    lanes work[SCANS_MAX][VECTORS_MAX];
    uint32_t raised[SCANS_MAX];
    EACH_SCAN {
        service_find(scan[k].port, scan[k].size, vectors, scan[k].service);
        for (uint32_t v = 0; v < vectors; v++) {
            scan[k].to[v] = scan[k].service[v];
        }
        prefix_sum(scan[k].to, vectors);
    }
    EACH_SCAN {
        for (uint32_t v = 0; v < vectors; v++) {
            scan[k].top[v] = scan[k].time[v] - (scan[k].to[v] - scan[k].service[v]);
        }
        prefix_max(scan[k].top, vectors);
    }
    EACH_SCAN scan_departures(&scan[k], vectors);
    EACH_SCAN raised[k] = scan_sums(worker, &scan[k], vectors, work[k]);
    EACH_SCAN arrivals_find(worker, scan[k].port, scan[k].batch, vectors, scan[k].size, scan[k].start,
                            scan[k].departure);
    EACH_SCAN scan[k].batch->way = scan_end(worker, &scan[k], vectors, work[k], raised[k]);
}

/* Some ports, whose batches fill so many vectors each. */
INLINE void scans_run(struct worker *worker, struct scan *scan, uint32_t scans, uint32_t vectors)
{
    scans_order(worker->core, scan, scans, vectors);
    EACH_SCAN scan_times(worker->core, &scan[k], vectors);
    scans_finish(worker, scan, scans, vectors);
}

/* calm_ps first: the other one is on a line that nothing else here needs. */
INLINE bool may_mark(const struct window_port *port, uint64_t work_ps)
{
    return __builtin_expect(work_ps > port->calm_ps, 0) && work_ps > port->mark_calm_ps;
}

/* The ports of a word whose batches fill one vector, and those with more. */
struct scan_list {
    uint32_t narrow_count, wide_count;
    uint8_t narrow[64], wide[64];
};

static __attribute__((noinline)) void wide_scan(struct worker *worker, struct window_port *ports,
                                                struct port_batch *batches, const struct scan_list *list)
{
    for (uint32_t i = 0; i < list->wide_count; i++) {
        struct scan scan[1] = {{.port = ports + list->wide[i], .batch = batches + list->wide[i]}};
        uint32_t count = scan->batch->count;
#if SWITCH_LANES == 16
        if (__builtin_expect(worker->core->has_place_bits && count - scan->batch->waiting_count <= LANES, 1)) {
            scan_behind(worker->core, scan);
            scans_finish(worker, scan, 1, 2);
            continue;
        }
#endif
        if (count <= 2 * LANES) {
            scans_run(worker, scan, 1, 2);
        } else {
            scans_run(worker, scan, 1, VECTORS_MAX);
        }
    }
}

static __attribute__((noinline)) void narrow_scan(struct worker *worker, struct window_port *ports,
                                                  struct port_batch *batches, const struct scan_list *list)
{
    struct scan scan[SCANS_MAX];
    uint32_t count = list->narrow_count, i = 0;
    for (; i + SCANS_MAX <= count; i += SCANS_MAX) {
        for (uint32_t k = 0; k < SCANS_MAX; k++) {
            scan[k].port = ports + list->narrow[i + k];
            scan[k].batch = batches + list->narrow[i + k];
        }
        scans_run(worker, scan, SCANS_MAX, 1);
    }
    for (; SCANS_MAX > 1 && i < count; i++) {
        scan[0].port = ports + list->narrow[i];
        scan[0].batch = batches + list->narrow[i];
        scans_run(worker, scan, 1, 1);
    }
}

/* Of a port that the vector loops may serve. */
INLINE enum batch_way batch_way(const struct worker *worker, const struct window_port *port, struct port_batch *batch)
{
    uint64_t base_ps = port->free_ps > worker->start_ps ? port->free_ps - worker->start_ps : 0;
    uint64_t work_ps = base_ps + port->waiting_ps;
    if (__builtin_expect(batch->count > BATCH_PACKETS || work_ps >= BASE_PS_MAX || may_mark(port, work_ps), 0)) {
        return BATCH_SLOW;
    }
    if (__builtin_expect(batch->count == 1 && port->count == 0, 0)) {
        return BATCH_LONE;
    }
    batch->base_ps = (int32_t)(base_ps + (port->waiting_ps & ~all_if(batch->waiting_count > 0)));
    return BATCH_SCANNED;
}

/* ---- what has been found happens -------------------------------------------------------------------------- */

enum { MOVE_MAX = 16 };

INLINE void chunk_fill(uintptr_t at, const struct port_batch *batch, uint32_t first, uint32_t count)
{
    struct chunk *chunk = (struct chunk *)(at & ~(uintptr_t)CHUNK_ROOM_MASK);
    uint32_t lane = CHUNK_PACKETS - (at & CHUNK_ROOM_MASK);
    packets_move(&batch->packets[first], count, &chunk->packets[lane]);
    keys_move(&batch->keys_out[first], count, &chunk->keys[lane]);
}

/* Sends some packets of a batch to the peer in one of its windows: MOVE_MAX at most. */
INLINE void lanes_send(struct worker *worker, const struct window_port *port, const struct port_batch *batch,
                       uint32_t first, uint32_t end, uint32_t ahead)
{
    const struct window_core *core = worker->core;
    uint32_t slot = (worker->slot + port->reach_slots + ahead) & core->slot_mask, peer = port->peer;
    if (end - first == 1) {
        inbox_put(worker, peer, slot, batch->keys_out[first], &batch->packets[first]);
        return;
    }
    uintptr_t *tail = &worker->tails[(size_t)peer << core->slot_bits | slot], at = *tail;
    uint32_t room = at & CHUNK_ROOM_MASK;
    if (room < end - first) {
        if (room > 0) {
            chunk_fill(at, batch, first, room);
            first += room;
            *tail = at - room;
        }
        at = inbox_open(worker, peer, slot);
    }
    chunk_fill(at, batch, first, end - first);
    *tail = at - (end - first);
}

INLINE void part_send(struct worker *worker, const struct window_port *port, const struct port_batch *batch,
                      uint32_t first, uint32_t end, uint32_t ahead)
{
    while (__builtin_expect(end - first > MOVE_MAX, 0)) {
        lanes_send(worker, port, batch, first, first + MOVE_MAX, ahead);
        first += MOVE_MAX;
    }
    if (first < end) {
        lanes_send(worker, port, batch, first, end, ahead);
    }
}

/* Written out: each has its own way to be predicted. */
INLINE void starts_send(struct worker *worker, const struct window_port *port, const struct port_batch *batch)
{
    part_send(worker, port, batch, 0, batch->here, 0);
    part_send(worker, port, batch, batch->here, batch->near, 1);
    part_send(worker, port, batch, batch->near, batch->start_count, 2);
}

/* What does not start is the queue, or goes behind it. */
INLINE void rest_queue(struct worker *worker, struct window_port *port, const struct port_batch *batch)
{
    uint32_t first = batch->start_count, count = batch->count;
    uint32_t keep = -(uint32_t)(batch->waiting_count == 0); /* else the queue was in the batch */
    port->head &= keep;
    port->count &= keep;
    port->waiting_ps &= (uint64_t)(int64_t)(int32_t)keep;
    if (first == count) {
        return;
    }
    while (__builtin_expect(port->count + count - first > port->capacity, 0)) {
        port_queue_grow(worker, port);
    }
    port->waiting_ps += (uint64_t)(batch->services_ps[count - 1] - (first > 0 ? batch->services_ps[first - 1] : 0));
    if (__builtin_expect(port->count > 0 || count - first > MOVE_MAX, 0)) {
        for (uint32_t i = first; i < count; i++) {
            uint32_t at = (port->head + port->count++) & (port->capacity - 1);
            port->queue[at] = batch->packets[i];
            port_since(port)[at] = worker->start_ps + (uint64_t)(int64_t)batch->times_ps[i];
        }
        return;
    }
    port->head = 0;
    port->count = count - first;
    packets_move(&batch->packets[first], count - first, port->queue);
    times_move(&batch->times_ps[first], count - first, worker->start_ps, port_since(port));
}

INLINE void batch_send(struct worker *worker, struct window_port *port, const struct port_batch *batch)
{
    starts_send(worker, port, batch);
    if (__builtin_expect(batch->start_count > 0, 1)) {
        uint32_t last = batch->start_count - 1;
        struct port_sent sent = {batch->start_count, (uint64_t)batch->bytes, (uint64_t)batch->services_ps[last],
                                 (uint64_t)batch->wait_ps};
        port->in_service_bytes = (uint32_t)batch->packets[last].size_bytes;
        port->free_ps = worker->start_ps + (uint64_t)batch->departures_ps[last];
        sent_count(worker, port, &sent);
    }
    rest_queue(worker, port, batch);
}

/* What waited and starts in this window, of a port that has been up. */
INLINE void waiting_send(struct worker *worker, struct window_port *port)
{
    uint64_t now_ps = port->free_ps - worker->start_ps;
    uint32_t head = port->head, count = port->count, mask = port->capacity - 1, size = 0;
    struct port_sent sent = {0};
    for (; count > 0 && now_ps < worker->core->width_ps; count--, head++) {
        const struct packet *first = &port->queue[head & mask];
        size = (uint32_t)first->size_bytes;
        uint64_t service_ps = packet_send(worker, port, first, now_ps);
        sent.wait_ps += now_ps + worker->start_ps - port_since(port)[head & mask];
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
static bool lone_serve(struct worker *worker, struct window_port *port, uint64_t time_ps, const struct packet *packet)
{
    const struct window_core *core = worker->core;
    uint64_t size = packet->size_bytes;
    uint64_t free_ps = port->free_ps > worker->start_ps ? port->free_ps - worker->start_ps : 0;
    uint32_t before = free_ps > time_ps ? port->in_service_bytes : 0; /* counts whole though some of it has left */
    uint64_t bytes = size + before, start_ps = free_ps > time_ps ? free_ps : time_ps;
    if (bytes > port->queue_max_bytes || (uint64_t)port->service_ps[size] + port->service_ps[before] > port->calm_ps) {
        if (bytes > port->capacity_bytes || (port->mark != NULL && bytes > port->mark->mark_low_bytes)) {
            return false;
        }
        port_record(port, bytes);
    }
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

INLINE bool is_vector_port(const struct worker *worker, struct window_port *port)
{
    if (__builtin_expect(port->is_dark, 0)) {
        port->is_dark = port->up_ps > worker->start_ps ||
                        (port->count > 0 && port_since(port)[port->head] < port->up_ps);
    }
    return port_is_near(worker, port);
}

#include "netsim/engine/window_class_body.h"

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

/* First: what becomes of the packets of a port. */
INLINE void port_scan(struct worker *worker, const struct window_node *node, uint32_t port_local,
                      struct scan_list *list)
{
    struct window_core *core = worker->core;
    struct window_port *port = &core->ports[node->port_first + port_local];
    struct port_batch *batch = &worker->batches[port_local];
    uint32_t count = worker->batch_count[port_local];
    batch->count = count;
    batch->waiting_count &= (uint32_t)all_if(port->count > 0);
    if (core->class_ports != NULL) {
        batch->way = mix_scan(worker, port, batch);
        return;
    }
    bool is_vector = is_vector_port(worker, port);
    if (__builtin_expect(count > 0, 1)) {
        batch->way = is_vector ? batch_way(worker, port, batch) : BATCH_SLOW;
    } else {
        batch->way = is_vector && !may_mark(port, port->waiting_ps) ? BATCH_SENT : BATCH_SLOW;
    }
    list->narrow[list->narrow_count] = list->wide[list->wide_count] = port_local % 64;
    list->narrow_count += (batch->way == BATCH_SCANNED) & (count <= LANES);
    list->wide_count += (batch->way == BATCH_SCANNED) & (count > LANES);
}

/* Second: it happens. */
static __attribute__((noinline)) void port_send_unusual(struct worker *worker, uint32_t node_id, uint32_t port_local,
                                                        struct window_port *port)
{
    struct port_batch *batch = &worker->batches[port_local];
    uint64_t time_ps = (uint64_t)(batch->keys[0] >> (worker->core->key_shift - 1));
    if (batch->way == BATCH_LONE && lone_serve(worker, port, time_ps, &batch->packets[0])) {
        return;
    }
    if (batch->way == BATCH_LONE || batch->way == BATCH_SLOW) {
        batch_serve_slow(worker, node_id, port_local, batch->waiting_count, batch->count);
        return;
    }
    waiting_send(worker, port); /* a long queue, which is not in the batch */
    if (batch->way == BATCH_SCANNED) {
        batch_send(worker, port, batch);
    }
}

INLINE void port_send(struct worker *worker, uint32_t node_id, uint32_t port_local, struct window_port *port)
{
    const struct port_batch *batch = &worker->batches[port_local];
    if (worker->core->class_ports != NULL && batch->way == BATCH_SCANNED) {
        mix_send(worker, port, batch);
    } else if (__builtin_expect(batch->way == BATCH_SCANNED && port->count == batch->waiting_count, 1)) {
        batch_send(worker, port, batch);
    } else {
        port_send_unusual(worker, node_id, port_local, port);
    }
}

/* What will be sent first, and the place of what comes last. */
INLINE void class_waiting_prefetch(const struct window_core *core, uint32_t port_id)
{
    const struct class_port *queues = &core->class_ports[port_id];
    for (uint32_t ready = queues->ready; ready != 0; ready &= ready - 1) {
        const struct class_ring *ring = &queues->rings[__builtin_ctz(ready)];
        lines_prefetch(&ring->items[ring->head], ring->count > 4 ? 4 : 2);
    }
}

/* What the next node will need of one of its ports, whose lines have been fetched. */
INLINE void queue_prefetch(const struct window_core *core, const struct window_node *next, uint32_t port_local)
{
    if (port_local >= next->port_count) {
        return;
    }
    if (core->class_ports != NULL) {
        class_waiting_prefetch(core, next->port_first + port_local);
        return;
    }
    const struct window_port *port = &core->ports[next->port_first + port_local];
    uint64_t waits = all_if(port->count > 0);
    uintptr_t here = (uintptr_t)port;
    uintptr_t queue = here + (((uintptr_t)&port->queue[port->head] - here) & waits);
    uintptr_t since = here + (((uintptr_t)&port_since(port)[port->head] - here) & waits);
    __builtin_prefetch((const void *)queue);
    __builtin_prefetch((const void *)(queue + 64 * (uintptr_t)(port->count > 4)));
    __builtin_prefetch((const void *)since);
}

/* The ports of a word: all are scanned, then all send. */
INLINE void ports_serve(struct worker *worker, const struct window_node *node, uint32_t node_id, uint32_t word,
                        const struct window_node *next, uint64_t *wake_ps)
{
    struct window_core *core = worker->core;
    uint64_t *waiting = &core->waiting[node->waiting_first + word], waits = *waiting;
    const uint64_t ports = ports_with_batch(worker, word) | waits;
    struct scan_list list;
    list.narrow_count = list.wide_count = 0;
    core->touched[node->waiting_first + word] |= ports;
    for (uint64_t left = ports; left != 0; left &= left - 1) {
        uint32_t port_local = word * 64 + (uint32_t)__builtin_ctzll(left);
        lines_prefetch(&core->ports[next->port_first + port_local], 2); /* or of a node behind it */
        if (core->class_ports != NULL) {
            class_port_prefetch(core, next, port_local);
        }
        port_scan(worker, node, port_local, &list);
    }
    struct window_port *first = &core->ports[node->port_first + word * 64];
    narrow_scan(worker, first, &worker->batches[word * 64], &list);
    wide_scan(worker, first, &worker->batches[word * 64], &list);
    for (uint64_t left = ports; left != 0; left &= left - 1) {
        uint32_t port_local = word * 64 + (uint32_t)__builtin_ctzll(left);
        struct window_port *port = &core->ports[node->port_first + port_local];
        worker->batch_count[port_local] = 0;
        queue_prefetch(core, next, port_local);
        port_send(worker, node_id, port_local, port);
        uint64_t bit = UINT64_C(1) << (port_local % 64);
        uint64_t is_left = all_if(port->count > 0), free_ps = port->free_ps | ~is_left;
        waits = (waits & ~bit) | (is_left & bit);
        *wake_ps = free_ps < *wake_ps ? free_ps : *wake_ps;
    }
    *waiting = waits;
}

/* Queues come before the arrivals. */
INLINE void node_waiting_deal(struct worker *worker, const struct window_node *node)
{
    const struct window_core *core = worker->core;
    for (uint32_t word = 0; word * 64 < node->port_count; word++) {
        for (uint64_t ports = core->waiting[node->waiting_first + word]; ports != 0; ports &= ports - 1) {
            uint32_t port_local = word * 64 + (uint32_t)__builtin_ctzll(ports);
            if (core->class_ports != NULL) {
                mix_waiting_deal(worker, node->port_first + port_local, port_local);
            } else {
                waiting_deal(worker, port_local, &core->ports[node->port_first + port_local]);
            }
        }
    }
}

/* The chunk of a switch with one packet, NULL where there may be more, or it may have to wait for others. */
INLINE struct chunk *lone_chunk(const struct worker *worker, const struct window_node *node, uint32_t node_id)
{
    const struct window_core *core = worker->core;
    uintptr_t at = 0, others = 0;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        uintptr_t tail = core->workers[i].tails[(size_t)node_id << core->slot_bits | worker->slot];
        others |= tail != 0 ? at : 0;
        at = tail != 0 ? tail : at;
    }
    struct chunk *chunk = (struct chunk *)(at & ~(uintptr_t)CHUNK_ROOM_MASK);
    bool is_one = (at & CHUNK_ROOM_MASK) == CHUNK_PACKETS - 1 && others == 0 && chunk->older == NULL;
    bool is_usual = node->is_tree && node->port_count <= 64 && core->class_ports == NULL;
    return is_one && is_usual && core->waiting[node->waiting_first] == 0 ? chunk : NULL;
}

/* Where little goes on, most switches have one packet in a window: no batch is made of that. False: nothing has happened. */
static __attribute__((noinline)) bool node_lone_serve(struct worker *worker, const struct window_node *node,
                                                      uint32_t node_id, struct chunk *chunk)
{
    struct window_core *core = worker->core;
    const struct packet *packet = &chunk->packets[0];
    struct port_set set = route_arithmetic(&node->route, (uint32_t)packet->dst);
    uint32_t out = route_choose(&set, packet_path_hash(packet, node->salt));
    struct window_port *port = &core->ports[node->port_first + out];
    uint64_t base_ps = port->free_ps > worker->start_ps ? port->free_ps - worker->start_ps : 0;
    if (!is_vector_port(worker, port) || base_ps >= BASE_PS_MAX || may_mark(port, base_ps) ||
        !lone_serve(worker, port, chunk->keys[0] >> core->key_shift, packet)) {
        return false;
    }
    uint64_t bit = UINT64_C(1) << out;
    core->touched[node->waiting_first] |= bit;
    if (port->count > 0) {
        core->waiting[node->waiting_first] = bit;
        node_wake(worker, node_id, port->free_ps);
    }
    for (uint32_t i = 0; i < core->worker_count; i++) {
        chunks_free(worker, inbox_take(&core->workers[i], node_id, worker->slot));
    }
    return true;
}

void SWITCH_SERVE(struct worker *worker, uint32_t node_id)
{
    struct window_core *core = worker->core;
    const struct window_node *node = &core->nodes[node_id];
    if (__builtin_expect(!node->is_plain || worker->end_ps - worker->start_ps != core->width_ps, 0)) {
        switch_serve_scalar(worker, node_id);
        return;
    }
    struct chunk *lone = lone_chunk(worker, node, node_id);
    if (__builtin_expect(lone != NULL, 0) && node_lone_serve(worker, node, node_id, lone)) {
        return;
    }
    const struct window_node *next = &core->nodes[worker->node_next == ID_NONE ? node_id : worker->node_next];
    next_node_prefetch(worker);
    node_waiting_deal(worker, node);
    node_deal(worker, node, node_id);
    uint64_t wake_ps = TIME_NEVER_PS;
    for (uint32_t word = 0; word * 64 < node->port_count; word++) {
        ports_serve(worker, node, node_id, word, next, &wake_ps);
    }
    if (wake_ps != TIME_NEVER_PS) {
        node_wake(worker, node_id, wake_ps);
    }
    worker->more_count = 0;
}
