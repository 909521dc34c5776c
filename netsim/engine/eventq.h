/* The pending events of one thread: timers, operations, reconfigurations, and what happens inside super-nodes.
 *
 * An item is a time in picoseconds and a 64-bit payload whose meaning is the caller's. Items come out by
 * (time, payload): the order of equal times is content, never the order of insertion, so that results do not
 * depend on the queue, on threads or on the instruction set. Two items may be equal in both; both come out.
 *
 * Workload. 10^3 to 10^6 items pending, each taken once and usually answered by one push ("hold"). Delays are
 * far from uniform: 40% one serialisation (82 ns), 40% serialisation plus propagation (582 ns), 20% timers
 * (1 to 20 us), a few operations of ms to s. Times never decrease as items come out. Equal times are common: a
 * pair in every third bucket at 10^5 pending, several in each at 10^6 and in symmetric traffic.
 * The engine has two a worker: one for timers of later windows (10^2 to 10^5 pending, wake-ups beyond the ring among them),
 * and one for the events of a super-node in a window (window_super.h: 10^2 to 10^3 pending, many pushed for the next few
 * ns), which is empty at the end of each. The few timers of one host within a window stay in a heap, and so do packets
 * beyond the ring of windows, which are rare.
 *
 * Shape. Time is cut into buckets of one width, any number of picoseconds: the bucket of a time is its product
 * with a 64-bit fraction. `base` is the first bucket that has not been taken yet.
 *
 *          taken           near: 1024 buckets          level 0: 64 digits      level 1: 64 digits   ... level 8
 *    ─────────────────┬──────────────────────────┬─────────────────────────┬──────────────────────── ─ ─
 *      run   (late)   │▒│▒│ │▒│▒│▒│ │▒│▒│ ...     │  ▒▒  │      │  ▒▒  │   │    ▒▒▒▒▒    │           │
 *    ─────────────────┴──────────────────────────┴─────────────────────────┴──────────────────────── ─ ─
 *      sorted array   base     1 bucket each        1024 buckets each         65536 buckets each
 *      + small heap                                                           (times 64 a level)
 *
 * A slot (near bucket or digit) is a list of chunks of unsorted items, newest first; its `tail` is the address
 * behind the last item:
 *
 *     tail[slot] ──────────────────────────┐
 *     ┌──────┬────────┬────────┬─────┬─────▼──┬───────┐          ┌──────┬────────┬── ── ──┬─────────┐
 *     │ link │ item 1 │ item 2 │ ... │        │       │    ┌────►│ link │ item 1 │        │ item 31 │
 *     └──┬───┴────────┴────────┴─────┴────────┴───────┘    │     └──┬───┴────────┴── ── ──┴─────────┘
 *        └─────────────────────────────────────────────────┘        0 = oldest       (512 bytes, aligned)
 *
 * A push is arithmetic and one append. When the run is empty, the next near bucket is sorted into it; when a
 * far digit starts no later than that bucket, its items are pushed again first ("cascade"): an item is moved
 * once a level, at most nine times; with the load above never at 10^3 pending, 0.6 times at 10^5, 1.2 at 10^6.
 *
 * Sorting is where vectors pay: the rank of an item is the number of items before it, found by comparing 8 or
 * 16 keys at a time with each key in turn, and an item goes straight to run[rank]. A key is 31 bits: the time
 * relative to the first item, and, once equal times have been seen, as many leading payload bits as still fit.
 * Ranks of distinct keys add up to 0 + 1 + ... + n - 1; where they do not, some keys are equal, and the bucket is
 * sorted again by insertion on the full key. Buckets of several chunks are sorted chunk by chunk and merged.
 *
 * Invariants
 *   I1  All items in the run and the late heap are earlier than bucket `base`; all items in slots are in it or
 *       behind it.
 *   I2  A near slot holds items of one bucket b, base <= b < base + 1024. A slot of level l holds items of one
 *       digit d of that level, with d - (base's digit) < 64; so no slot mixes two turns of its wheel.
 *   I3  A bit of near_bits and far_bits is set exactly where the slot has items; near_summary has a bit for
 *       each word of near_bits that is not 0.
 *   I4  far_next is the first bucket of the earliest far digit with items, EVENTQ_NONE without one; `base` never
 *       passes it by more than the bucket just taken.
 *   I5  A tail that is a multiple of EVENTQ_CHUNK_BYTES has no room: its chunk is full, or it is 0 (empty).
 *   I6  fast_end == end while the late heap is empty, else fast_end == head, which sends pops the slow way.
 *
 * Width. What a bucket costs as such (about three mispredicted branches, the latency of the sort) is shared by its
 * items; the sort and the chance of a second chunk grow with them. Measured at 10^3 pending with 14 / 22 / 30
 * items a bucket: 9.8 / 6.7 / 8.1 ns a hold. So the width is set for 22 and left alone between 16 and 28, as an
 * average over 128 buckets; outside, all items are filed again, at most once per as many pops and pushes as
 * there are items, so that this stays O(1). A bucket (or a late heap) found far too full narrows the width at
 * once under the same rule, which is what finds the width of a new queue. Equal times cannot be parted, so
 * buckets full of them do not narrow anything.
 *
 * Cost. Push O(1); pop O(1) amortised, O(log n) for n items that share one bucket. 16 bytes an item and a chunk a
 * non-empty slot, 20 bytes at 10^6 pending. Chunks are recycled newest first, so the working set is the
 * pending set, not the wheel. Growth comes from the arena and has no limit.
 *
 * Timers that are moved or cancelled are not searched for. Their owner stores when the timer is really due
 * (TIME_NEVER_PS = not at all), keeps at most one item for it here, and when that comes out early pushes it
 * again at the due time, or drops it. Moving a retransmission timer on every acknowledgement so costs one
 * store. Where several generations of a timer can be pending, some payload bits count the generation.
 *
 * Rejected: binary and 4-ary heaps (6 to 8 times slower at 10^3 pending, 11 to 28 at 10^5 and 10^6; `photonet
 * bench queue` measures them and an ordered tree in every run); vectors inside a heap's node, where the reduction
 * is a dependent chain at each level; a radix heap, four moves an item; a calendar queue, whose buckets have to
 * be sorted as they are filled. Variants measured and dropped: a near wheel of 2^12 buckets (partly filled
 * chunks fall out of the cache: +15 to 40% at 10^6), widths of powers of two only (+30% at unlucky sizes), sort
 * keys without payload bits (+70% at 10^6), chunks at staggered addresses, huge pages, prefetching two chunks
 * ahead (nothing gained), and a count of items kept by each push (eventq_count walks the slots instead). */
#ifndef PHOTONET_ENGINE_EVENTQ_H
#define PHOTONET_ENGINE_EVENTQ_H

#include "netsim/base/simd.h"
#include "photonet/arena.h"

#include <stdbool.h>
#include <stdint.h>

/* The stress build makes growth, wrap-around, cascades and merges happen all the time. */
#ifdef PHOTONET_STRESS
enum { EVENTQ_NEAR_BITS = 2, EVENTQ_FAR_BITS = 2, EVENTQ_CHUNK_ITEMS = 4, EVENTQ_INSERT_MAX = 2 };
#else
enum { EVENTQ_NEAR_BITS = 10, EVENTQ_FAR_BITS = 6, EVENTQ_CHUNK_ITEMS = 32, EVENTQ_INSERT_MAX = 32 };
#endif

enum {
    EVENTQ_NEAR = 1 << EVENTQ_NEAR_BITS,
    EVENTQ_FAR = 1 << EVENTQ_FAR_BITS,
    EVENTQ_LEVELS = (64 - EVENTQ_NEAR_BITS + EVENTQ_FAR_BITS - 1) / EVENTQ_FAR_BITS,
    EVENTQ_SLOTS = EVENTQ_NEAR + EVENTQ_LEVELS * EVENTQ_FAR,
    EVENTQ_NEAR_WORDS = (EVENTQ_NEAR + 63) / 64,
};

struct eventq_item {
    uint64_t time_ps; /* below 2^63 */
    uint64_t payload;
};

#define EVENTQ_CHUNK_BYTES (EVENTQ_CHUNK_ITEMS * sizeof(struct eventq_item))
#define EVENTQ_NONE        UINT64_MAX

/* Open only for the inline functions below. What every push and pop touches comes first. */
struct eventq {
    uint64_t base;
    uint64_t scale; /* buckets a picosecond, times 2^64 */
    uint64_t width_ps;
    uint32_t width_bits; /* 2^width_bits > width_ps */
    uint32_t tie_bits;   /* payload bits in a sort key, 0 until equal times were seen */
    uint32_t tie_shift;  /* payload bits below them */
    bool is_faulty;      /* see eventq_fault */
    struct eventq_item *head, *end, *fast_end; /* I6; the run is what lies from head to end */
    uint64_t far_next;                         /* I4 */
    bool (*refill)(struct eventq *q, uint64_t bound_ps);

    struct eventq_item *late; /* binary heap of items pushed behind `base` that the run had no room for */
    size_t late_count, late_capacity;
    struct eventq_item picked; /* the item that a slow pop took out of the heap */

    struct eventq_item *run, *spare; /* of run_capacity; merges go from one to the other */
    uint64_t run_capacity;

    struct eventq_item *chunk_free; /* list through the links */
    char *fresh, *fresh_end;        /* chunks never used */
    uint64_t chunk_count;

    uint64_t taken_buckets, taken_items, taken_ties; /* since the width was last looked at */
    uint64_t taken_credit, rebuild_cost;             /* items taken since the last rebuild; items it moved */
    uint64_t rebuild_count;
    struct arena *arena; /* borrowed */

    uint64_t near_summary; /* I3 */
    uint64_t near_bits[EVENTQ_NEAR_WORDS];
    uint64_t far_bits[EVENTQ_LEVELS];
    uintptr_t tail[EVENTQ_SLOTS];
};

/* An empty queue, about 13 KiB, whose refills run the given body; the caller has checked that this machine
 * supports it. Not for use by two threads at once. */
struct eventq *eventq_new(struct arena *arena, enum simd_body body);

/* Items pending. Walks the slots: for reports and tests. */
uint64_t eventq_count(const struct eventq *q);
bool eventq_is_empty(const struct eventq *q);

/* Every item, in no order. For questions that are rare. */
void eventq_visit(const struct eventq *q, void (*visit)(void *context, const struct eventq_item *item), void *context);

/* Time of the first item, TIME_NEVER_PS where there is none. Sorts the bucket that it lies in, which makes
 * pushes before that bucket slower (correct all the same); use eventq_floor_ps or pop with a bound where
 * many will follow. */
uint64_t eventq_peek_ps(struct eventq *q);

/* No item is earlier than this; exact where the current bucket has items left. Changes nothing. */
uint64_t eventq_floor_ps(const struct eventq *q);

/* Takes up to `count_max` items earlier than bound_ps, in order; returns how many. */
size_t eventq_pop_until(struct eventq *q, uint64_t bound_ps, struct eventq_item *items, size_t count_max);

/* For the test of the tests: the next pair of equal times comes out in the wrong order. */
void eventq_fault(struct eventq *q);

/* ---- between the files of the queue ----------------------------------------------------------------------- */

void eventq_push_far(struct eventq *q, uint64_t time_ps, uint64_t payload);
struct eventq_item *eventq_open(struct eventq *q, uint64_t slot, uint64_t bucket);
const struct eventq_item *eventq_pop_slow(struct eventq *q, uint64_t bound_ps);
void eventq_adapt(struct eventq *q);
void eventq_run_reserve(struct eventq *q, uint64_t count);
bool eventq_narrow(struct eventq *q, uint64_t count, uint64_t span_ps);

bool eventq_refill_scalar(struct eventq *q, uint64_t bound_ps);
bool eventq_refill_neon(struct eventq *q, uint64_t bound_ps);
bool eventq_refill_avx2(struct eventq *q, uint64_t bound_ps);
bool eventq_refill_avx512(struct eventq *q, uint64_t bound_ps);

/* Order of items as one number. */
static inline unsigned __int128 eventq_key(struct eventq_item item)
{
    return (unsigned __int128)item.time_ps << 64 | item.payload;
}

static inline struct eventq_item *eventq_chunk(uintptr_t tail)
{
    return (struct eventq_item *)((tail - 1) & ~(uintptr_t)(EVENTQ_CHUNK_BYTES - 1));
}

static inline uint64_t eventq_chunk_count(uintptr_t tail)
{
    return (tail - 1) % EVENTQ_CHUNK_BYTES / sizeof(struct eventq_item);
}

/* The tail of the chunk filled before this one; in a free chunk, the next free chunk. */
static inline uintptr_t eventq_chunk_link(const struct eventq_item *chunk)
{
    return (uintptr_t)chunk->time_ps;
}

static inline void eventq_chunk_free(struct eventq *q, struct eventq_item *chunk)
{
    chunk->time_ps = (uintptr_t)q->chunk_free;
    q->chunk_free = chunk;
}

/* A digit of `level` is 2^this buckets. */
static inline uint64_t eventq_level_shift(uint64_t level)
{
    return EVENTQ_NEAR_BITS + level * EVENTQ_FAR_BITS;
}

static inline uint64_t eventq_bucket(const struct eventq *q, uint64_t time_ps)
{
    return (uint64_t)((unsigned __int128)time_ps * q->scale >> 64);
}

/* The first near bucket with items, EVENTQ_NONE where there is none. */
static inline uint64_t eventq_near_next(const struct eventq *q)
{
    uint64_t from = q->base % EVENTQ_NEAR, word = from / 64;
    uint64_t bits = q->near_bits[word] >> (from % 64);
    if (bits != 0) {
        return q->base + (uint64_t)__builtin_ctzll(bits);
    }
    uint64_t behind = q->near_summary & (~UINT64_C(0) << word << 1);
    uint64_t summary = behind != 0 ? behind : q->near_summary;
    if (summary == 0) {
        return EVENTQ_NONE;
    }
    word = (uint64_t)__builtin_ctzll(summary);
    uint64_t slot = word * 64 + (uint64_t)__builtin_ctzll(q->near_bits[word]);
    return q->base + (slot - from) % EVENTQ_NEAR;
}

static inline void eventq_append(struct eventq *q, uint64_t slot, uint64_t bucket, uint64_t time_ps,
                                 uint64_t payload)
{
    struct eventq_item *tail = (struct eventq_item *)q->tail[slot];
    if (__builtin_expect(q->tail[slot] % EVENTQ_CHUNK_BYTES == 0, 0)) { /* I5 */
        tail = eventq_open(q, slot, bucket);
    }
    tail->time_ps = time_ps;
    /* Two plain stores: compilers otherwise build a vector of the two first, three instructions more. */
    __asm__ volatile("" ::: "memory");
    tail->payload = payload;
    q->tail[slot] = (uintptr_t)(tail + 1);
}

/* ---- the calls of the inner loops -------------------------------------------------------------------------- */

/* a < b ? x : y without a branch: clang makes one of the plain form, which the traffic makes unpredictable
 * (12 ns a hold at 10^5 pending, not 7). */
static inline uint64_t eventq_if_below(uint64_t a, uint64_t b, uint64_t x, uint64_t y)
{
#ifdef __x86_64__
    __asm__("cmp %[b], %[a]\n\tcmovb %[x], %[y]" : [y] "+r"(y) : [a] "r"(a), [b] "re"(b), [x] "r"(x) : "cc");
    return y;
#else
    return a < b ? x : y;
#endif
}

/* time_ps is below 2^63 and, for order to mean anything, not before the last item taken. The choice among the
 * near wheel and the first two levels depends on the traffic, so it is made without branches (a branch for the
 * second level saves 0.5 ns a hold where it is never needed, and costs 2 to 4 at 10^6 pending). */
static inline void eventq_push(struct eventq *q, uint64_t time_ps, uint64_t payload)
{
    uint64_t bucket = eventq_bucket(q, time_ps), ahead = bucket - q->base;
    if (__builtin_expect(ahead >= (uint64_t)(EVENTQ_FAR - 1) << eventq_level_shift(1), 0)) {
        eventq_push_far(q, time_ps, payload);
        return;
    }
    uint64_t digit0 = bucket >> EVENTQ_NEAR_BITS, digit1 = digit0 >> EVENTQ_FAR_BITS;
    uint64_t slot0 = EVENTQ_NEAR + digit0 % EVENTQ_FAR, slot = EVENTQ_NEAR + EVENTQ_FAR + digit1 % EVENTQ_FAR;
    slot = eventq_if_below(digit0 - (q->base >> EVENTQ_NEAR_BITS), EVENTQ_FAR, slot0, slot); /* I2 */
    slot = eventq_if_below(ahead, EVENTQ_NEAR, bucket % EVENTQ_NEAR, slot);
    eventq_append(q, slot, bucket, time_ps, payload);
}

/* Takes the first item if there is one earlier than bound_ps. */
static inline bool eventq_pop_before(struct eventq *q, uint64_t bound_ps, struct eventq_item *item)
{
    const struct eventq_item *head = q->head;
    if (__builtin_expect(head == q->fast_end, 0)) {
        head = eventq_pop_slow(q, bound_ps);
        if (head == NULL) {
            return false;
        }
    } else if (head->time_ps >= bound_ps) {
        return false;
    } else {
        q->head++;
    }
    item->time_ps = head->time_ps;
    item->payload = head->payload;
    return true;
}

/* Takes the first item; false where there is none. */
static inline bool eventq_pop(struct eventq *q, struct eventq_item *item)
{
    return eventq_pop_before(q, UINT64_MAX, item);
}

#endif
