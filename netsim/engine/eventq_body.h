/* The part of the event queue that refills the run: one text for all instruction sets.
 *
 * A three-line file defines EVENTQ_BODY, the suffix of the function's name, and EVENTQ_LANES, the 32-bit lanes of
 * a vector (1: no vectors), and includes this. The design and the invariants I1 to I6 are in eventq.h. */
#include "netsim/engine/eventq.h"

#include <string.h>
#if EVENTQ_LANES == 16
#include <immintrin.h>
#endif

#define PASTE(a_, b_)          a_##b_
#define PASTE_EXPANDED(a_, b_) PASTE(a_, b_)
#define INLINE                 static inline __attribute__((always_inline))

#ifdef PHOTONET_STRESS
#define ADAPT_BUCKETS 4
#define NARROW_ITEMS  8
#else
#define ADAPT_BUCKETS 128
#define NARROW_ITEMS  128 /* a bucket fuller than that is worth a look at once */
#endif
#define BLOCK 32 /* slots that a rank sort sees at most: the link and the items of a chunk */

/* ---- sort of a chunk ------------------------------------------------------------------------------------------ */

/* Sorts the items of one chunk on the full key. slots[0] is the link. */
static void insertion_sort(struct eventq *q, const struct eventq_item *slots, uint32_t count,
                           struct eventq_item *out)
{
    for (uint32_t i = 0; i < count; i++) {
        struct eventq_item item = slots[i + 1];
        uint32_t at = i;
        for (; at > 0 && eventq_key(item) < eventq_key(out[at - 1]); at--) {
            out[at] = out[at - 1];
        }
        out[at] = item;
    }
    for (uint32_t i = 1; i < count; i++) {
        q->taken_ties += out[i].time_ps == out[i - 1].time_ps;
    }
}

/* Times of a bucket differ by at most its width, so from here up they are less than 2^(width_bits + 1). */
INLINE uint32_t key_base_low(const struct eventq *q, const struct eventq_item *slots)
{
    return (uint32_t)slots[1].time_ps - (1u << q->width_bits);
}

/* The keys' payload bits tell order only where no payload has bits above them. If one has, they are taken from
 * higher up from now on. */
INLINE bool are_payloads_covered(struct eventq *q, uint64_t payloads)
{
    if (__builtin_expect(payloads >> q->tie_shift >> q->tie_bits == 0, 1)) {
        return true;
    }
    q->tie_shift = 64 - (uint32_t)__builtin_clzll(payloads) - q->tie_bits;
    return false;
}

#if EVENTQ_LANES > 1
enum { LANES = EVENTQ_LANES, VECTORS_MAX = BLOCK / EVENTQ_LANES };
typedef uint32_t lanes __attribute__((vector_size(LANES * 4)));
typedef int32_t signed_lanes __attribute__((vector_size(LANES * 4)));
typedef uint64_t words __attribute__((vector_size(LANES * 4)));

/* The sort keys of up to BLOCK slots, as vectors and one by one. */
union keys {
    signed_lanes v[VECTORS_MAX];
    int32_t each[BLOCK];
};

/* PICK: the 32-bit word `w` (0: low half of the time, 2: of the payload) of each item of two vectors, in the low
 * half of a vector. JOIN: the low halves of two vectors. */
#if EVENTQ_LANES == 16
#define LANE_IDS      0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
#define PICK(a, b, w) __builtin_shufflevector(a, b, w, w + 4, w + 8, w + 12, w + 16, w + 20, w + 24, w + 28,       \
                                              0, 0, 0, 0, 0, 0, 0, 0)
#define JOIN(a, b)    __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23)
#elif EVENTQ_LANES == 8
#define LANE_IDS      0, 1, 2, 3, 4, 5, 6, 7
#define PICK(a, b, w) __builtin_shufflevector(a, b, w, w + 4, w + 8, w + 12, 0, 0, 0, 0)
#define JOIN(a, b)    __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11)
#else
#define LANE_IDS      0, 1, 2, 3
#define PICK(a, b, w) __builtin_shufflevector(a, b, w, w + 4, 0, 0)
#define JOIN(a, b)    __builtin_shufflevector(a, b, 0, 1, 4, 5)
#endif

/* Keys of LANES slots from `first` on; slots without an item get the largest key. With ties, the leading bits of
 * the payload go below the time, and `payloads` collects the bits that any payload has. */
INLINE signed_lanes keys_load(const struct eventq *q, const struct eventq_item *slots, uint32_t first,
                              uint32_t count, uint32_t base_low, bool is_tied, words *payloads)
{
    const lanes *in = (const lanes *)(slots + first);
    lanes id = (lanes){LANE_IDS} + (first - 1); /* the link's wraps round */
    lanes is_item = (lanes)(id < count);
    lanes key = JOIN(PICK(in[0], in[1], 0), PICK(in[2], in[3], 0)) - base_low;
    if (is_tied) {
        lanes moved[4];
        for (uint32_t i = 0; i < 4; i++) {
            *payloads |= (words)in[i];
            moved[i] = (lanes)((words)in[i] >> q->tie_shift);
        }
        lanes low = JOIN(PICK(moved[0], moved[1], 2), PICK(moved[2], moved[3], 2));
        key = key << q->tie_bits | (low & ((1u << q->tie_bits) - 1));
    }
    return (signed_lanes)((key & is_item) | (~is_item & INT32_MAX));
}

/* Stores each slot at its rank, those without an item behind the others; true where all keys were distinct. Equal keys
 * leave a hole and lose an item. */
#if EVENTQ_LANES == 16
INLINE bool ranks_scatter(const struct eventq_item *slots, uint32_t count, uint32_t vectors,
                          const union keys *key, struct eventq_item *out)
{
    uint32_t total = 0;
    for (uint32_t i = 0; i <= count; i += 8) {
#pragma GCC unroll 8
        for (uint32_t j = i; j < i + 8; j++) {
            __m512i pivot = _mm512_set1_epi32(key->each[j]);
            uint32_t before = simd_mask_bits(_mm512_cmplt_epi32_mask((__m512i)key->v[0], pivot));
            if (vectors == 2) {
                before |= simd_mask_bits(_mm512_cmplt_epi32_mask((__m512i)key->v[1], pivot)) << 16;
            }
            uint32_t rank = (uint32_t)__builtin_popcount(before);
            total += rank;
            out[rank] = slots[j];
        }
    }
    uint32_t pads = (count / 8 + 1) * 8 - count;
    return total == count * (count - 1) / 2 + pads * count;
}
#else
INLINE bool ranks_scatter(const struct eventq_item *slots, uint32_t count, uint32_t vectors,
                          const union keys *key, struct eventq_item *out)
{
    union keys rank;
    signed_lanes before[VECTORS_MAX] = {{0}}, sum = {0};
    for (uint32_t i = 0; i <= count; i += 8) {
#pragma GCC unroll 8
        for (uint32_t j = i; j < i + 8; j++) {
            for (uint32_t v = 0; v < vectors; v++) {
                before[v] -= (signed_lanes)(key->v[v] > key->each[j]);
            }
        }
    }
    for (uint32_t v = 0; v < vectors; v++) {
        rank.v[v] = before[v];
        sum += before[v];
    }
    for (uint32_t i = 0; i <= count; i += 4) {
#pragma GCC unroll 4
        for (uint32_t j = i; j < i + 4; j++) {
            out[rank.each[j]] = slots[j];
        }
    }
    int32_t total = 0;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        total += sum[lane];
    }
    return (uint32_t)total == count * (count - 1) / 2 + (vectors * LANES - count) * count;
}
#endif

INLINE void rank_sort(struct eventq *q, const struct eventq_item *slots, uint32_t count, uint32_t slot_count,
                      bool is_tied, struct eventq_item *out)
{
    uint32_t base_low = key_base_low(q, slots);
    union keys key;
    words payloads = {0};
    for (uint32_t v = 0; v < slot_count / LANES; v++) {
        key.v[v] = keys_load(q, slots, v * LANES, count, base_low, is_tied, &payloads);
    }
    __asm__("" : "+m"(key)); /* broadcast from memory: from registers it would cost two shuffles a key */
    bool is_sorted = ranks_scatter(slots, count, slot_count / LANES, &key, out);
    if (is_tied) {
        uint64_t payload = 0; /* slots without an item hold older payloads or 0, so they may be looked at too */
        for (uint32_t i = 1; i < LANES / 2; i += 2) {
            payload |= payloads[i];
        }
        is_sorted &= are_payloads_covered(q, payload);
    }
    if (__builtin_expect(!is_sorted, 0)) {
        insertion_sort(q, slots, count, out);
    }
}

/* Sorts the items of one chunk; writes up to 4 slots behind them. The four cases are compiled apart. */
static void chunk_sort(struct eventq *q, const struct eventq_item *slots, uint32_t count, struct eventq_item *out)
{
    if (q->tie_bits != 0 && count < 16) {
        rank_sort(q, slots, count, 16, true, out);
    } else if (q->tie_bits != 0) {
        rank_sort(q, slots, count, 32, true, out);
    } else if (count < 16) {
        rank_sort(q, slots, count, 16, false, out);
    } else {
        rank_sort(q, slots, count, 32, false, out);
    }
}
#else
/* The same by one key at a time; compilers make what they can of the inner loop. */
static void chunk_sort(struct eventq *q, const struct eventq_item *slots, uint32_t count, struct eventq_item *out)
{
    uint32_t key[BLOCK], total = 0, base_low = key_base_low(q, slots);
    uint64_t payloads = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t low = (uint32_t)(slots[i + 1].payload >> q->tie_shift) & ((1u << q->tie_bits) - 1);
        key[i] = ((uint32_t)slots[i + 1].time_ps - base_low) << q->tie_bits | low;
        payloads |= slots[i + 1].payload;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t rank = 0;
        for (uint32_t j = 0; j < count; j++) {
            rank += key[j] < key[i];
        }
        total += rank;
        out[rank] = slots[i + 1];
    }
    bool is_sorted = total == count * (count - 1) / 2;
    if (q->tie_bits != 0) {
        is_sorted &= are_payloads_covered(q, payloads);
    }
    if (!is_sorted) {
        insertion_sort(q, slots, count, out);
    }
}
#endif

/* ---- sort of several chunks ------------------------------------------------------------------------------------ */

static void merge(const struct eventq_item *a, const struct eventq_item *a_end, const struct eventq_item *b_end,
                  struct eventq_item *out)
{
    const struct eventq_item *b = a_end;
    while (a < a_end && b < b_end) {
        bool is_b = eventq_key(*b) < eventq_key(*a);
        *out++ = *(is_b ? b : a);
        b += is_b;
        a += !is_b;
    }
    memcpy(out, a, (size_t)(a_end - a) * sizeof *a);
    memcpy(out + (a_end - a), b, (size_t)(b_end - b) * sizeof *b);
}

static uint64_t chunks_count(uintptr_t tail)
{
    uint64_t count = 0;
    for (; tail != 0; tail = eventq_chunk_link(eventq_chunk(tail))) {
        count += eventq_chunk_count(tail);
    }
    return count;
}

/* Sorts each chunk into its place in q->run and frees it. The newest comes last: it alone may be short. */
static void chunks_sort_each(struct eventq *q, uintptr_t tail, uint64_t count)
{
    uint64_t at = (count - 1) / (EVENTQ_CHUNK_ITEMS - 1) * (EVENTQ_CHUNK_ITEMS - 1);
    struct eventq_item sorted[BLOCK + 4];
    while (tail != 0) {
        struct eventq_item *chunk = eventq_chunk(tail);
        uint32_t part = (uint32_t)eventq_chunk_count(tail);
        chunk_sort(q, chunk, part, sorted);
        memcpy(q->run + at, sorted, part * sizeof *sorted);
        at -= EVENTQ_CHUNK_ITEMS - 1;
        tail = eventq_chunk_link(chunk);
        eventq_chunk_free(q, chunk);
    }
}

/* Sorts a bucket of several chunks into q->run: each chunk, then merges of neighbours. Returns the count. */
static uint64_t chunks_sort(struct eventq *q, uintptr_t tail)
{
    uint64_t count = chunks_count(tail);
    eventq_run_reserve(q, count);
    chunks_sort_each(q, tail, count);
    for (uint64_t width = EVENTQ_CHUNK_ITEMS - 1; width < count; width *= 2) {
        struct eventq_item *from = q->run, *end = from + count;
        for (uint64_t i = 0; i < count; i += 2 * width) {
            const struct eventq_item *middle = count - i < width ? end : from + i + width;
            const struct eventq_item *last = count - i < 2 * width ? end : from + i + 2 * width;
            merge(from + i, middle, last, q->spare + i);
        }
        q->run = q->spare;
        q->spare = from;
    }
    for (uint64_t i = 1; i < count; i++) {
        q->taken_ties += q->run[i].time_ps == q->run[i - 1].time_ps;
    }
    return count;
}

/* ---- the wheel -------------------------------------------------------------------------------------------------- */

/* First bucket of the level's first digit with items, EVENTQ_NONE where there is none. */
INLINE uint64_t far_start(const struct eventq *q, uint64_t level)
{
    uint64_t bits = q->far_bits[level];
    if (bits == 0) {
        return EVENTQ_NONE;
    }
    uint64_t shift = eventq_level_shift(level), digit = q->base >> shift, from = digit % EVENTQ_FAR;
    uint64_t ahead = bits >> from != 0 ? (uint64_t)__builtin_ctzll(bits >> from)
                                       : (uint64_t)__builtin_ctzll(bits) + EVENTQ_FAR - from;
    return (digit + ahead) << shift;
}

/* Takes the digit that starts at far_next out of its level and moves base there. Returns its tail. */
static uintptr_t far_take(struct eventq *q, uint64_t *level)
{
    *level = 0;
    while (far_start(q, *level) != q->far_next) {
        (*level)++;
    }
    q->base = q->far_next;
    uint64_t digit = (q->base >> eventq_level_shift(*level)) % EVENTQ_FAR;
    uint64_t slot = EVENTQ_NEAR + *level * EVENTQ_FAR + digit;
    uintptr_t tail = q->tail[slot];
    q->tail[slot] = 0;
    q->far_bits[*level] &= ~(UINT64_C(1) << digit);
    q->far_next = EVENTQ_NONE;
    for (uint64_t i = 0; i < EVENTQ_LEVELS; i++) {
        uint64_t start = far_start(q, i);
        q->far_next = start < q->far_next ? start : q->far_next;
    }
    return tail;
}

/* The first `items` slots of the newest chunk; harmless where there is none. */
INLINE void chunk_prefetch(uintptr_t tail, uint32_t items)
{
    uintptr_t chunk = (uintptr_t)eventq_chunk(tail);
    for (uint32_t i = 0; i < items; i += 4) {
        __builtin_prefetch((const void *)(chunk + i * sizeof(struct eventq_item)));
    }
}

/* Files the items of the first far digit again, nearer. */
static void cascade(struct eventq *q)
{
    uint64_t level;
    uintptr_t tail = far_take(q, &level);
    while (tail != 0) {
        struct eventq_item *chunk = eventq_chunk(tail);
        uint64_t count = eventq_chunk_count(tail);
        tail = eventq_chunk_link(chunk);
        chunk_prefetch(tail, EVENTQ_CHUNK_ITEMS);
        for (uint64_t i = 1; level == 0 && i <= count; i++) { /* a digit of level 0 is the near wheel, once */
            uint64_t bucket = eventq_bucket(q, chunk[i].time_ps);
            eventq_append(q, bucket % EVENTQ_NEAR, bucket, chunk[i].time_ps, chunk[i].payload);
        }
        for (uint64_t i = 1; level != 0 && i <= count; i++) {
            eventq_push(q, chunk[i].time_ps, chunk[i].payload);
        }
        eventq_chunk_free(q, chunk);
    }
}

/* Narrows the buckets where this one is far too full and the narrower ones would part its items. */
static bool is_narrowed(struct eventq *q, uintptr_t tail)
{
    uint64_t count = chunks_count(tail), least_ps = UINT64_MAX, most_ps = 0;
    if (count < NARROW_ITEMS || q->width_ps == 1) {
        return false;
    }
    for (; tail != 0; tail = eventq_chunk_link(eventq_chunk(tail))) {
        const struct eventq_item *chunk = eventq_chunk(tail), *end = chunk + eventq_chunk_count(tail);
        for (const struct eventq_item *item = chunk + 1; item <= end; item++) {
            least_ps = item->time_ps < least_ps ? item->time_ps : least_ps;
            most_ps = item->time_ps > most_ps ? item->time_ps : most_ps;
        }
    }
    return eventq_narrow(q, count, most_ps - least_ps);
}

/* The fault of eventq_fault. */
static void ties_swap(struct eventq *q)
{
    for (struct eventq_item *item = q->head; q->is_faulty && item + 1 < q->end; item++) {
        if (item[0].time_ps == item[1].time_ps && item[0].payload != item[1].payload) {
            struct eventq_item first = item[0];
            item[0] = item[1];
            item[1] = first;
            q->is_faulty = false;
        }
    }
}

/* Takes near bucket `bucket` as the new run. */
INLINE void bucket_take(struct eventq *q, uint64_t bucket)
{
    uint64_t slot = bucket % EVENTQ_NEAR, bits = q->near_bits[slot / 64] & ~(UINT64_C(1) << (slot % 64));
    uintptr_t tail = q->tail[slot];
    struct eventq_item *chunk = eventq_chunk(tail);
    uint64_t count = eventq_chunk_count(tail);
    q->tail[slot] = 0;
    q->near_bits[slot / 64] = bits; /* I3 */
    q->near_summary &= ~((uint64_t)(bits == 0) << (slot / 64));
    q->base = bucket + 1;
    if (__builtin_expect(eventq_chunk_link(chunk) == 0, 1)) {
        chunk_sort(q, chunk, (uint32_t)count, q->run);
        eventq_chunk_free(q, chunk);
    } else {
        count = chunks_sort(q, tail);
    }
    q->head = q->run;
    q->end = q->fast_end = q->run + count;
    q->taken_credit += count;
    q->taken_items += count;
    q->taken_buckets++;
    chunk_prefetch(q->tail[(slot + 1) % EVENTQ_NEAR], 24); /* worth 7% at 10^6 pending */
    if (__builtin_expect(q->is_faulty, 0)) {
        ties_swap(q);
    }
}

/* Fills the empty run from the first bucket if that starts before bound_ps. False where it does not. */
bool PASTE_EXPANDED(eventq_refill_, EVENTQ_BODY)(struct eventq *q, uint64_t bound_ps)
{
    if (q->taken_buckets >= ADAPT_BUCKETS) {
        eventq_adapt(q);
    }
    for (;;) {
        uint64_t bucket = eventq_near_next(q), start = bucket < q->far_next ? bucket : q->far_next;
        if (start == EVENTQ_NONE || bound_ps == 0 || start > eventq_bucket(q, bound_ps - 1)) {
            return false;
        }
        if (q->far_next <= bucket) {
            cascade(q); /* I4 */
            continue;
        }
        uintptr_t tail = q->tail[bucket % EVENTQ_NEAR];
        if (__builtin_expect(eventq_chunk_link(eventq_chunk(tail)) != 0, 0) && is_narrowed(q, tail)) {
            continue;
        }
        bucket_take(q, bucket);
        return true;
    }
}
