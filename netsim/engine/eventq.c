/* The parts of the event queue that are rare or gain nothing from vectors; the design is in eventq.h. */
#include "netsim/engine/eventq.h"

#include "photonet/units.h"

#include <string.h>

#ifdef PHOTONET_STRESS
#define CHUNKS_FIRST     1u
#define LATE_COUNT_CHECK 2u
#else
#define CHUNKS_FIRST     32u
#define LATE_COUNT_CHECK 64u
#endif
#define CHUNKS_GROWN_MAX 8192u /* 4 MiB at a time */

/* The vector loops load whole registers: up to 16 items from the start of any chunk. */
#define CHUNKS_PAD_BYTES (32 * sizeof(struct eventq_item))

/* Between the widths of 10^3 and 10^5 pending packets. Found anew within the first buckets. */
#define WIDTH_FIRST_PS 4096u
/* 1 ms. Times within a bucket and their sort keys fit 31 bits; wider buckets would save nothing measurable. */
#define WIDTH_MAX_PS ((1u << 30) - 1)

/* Items a bucket: aimed at, and where the width is changed; eventq.h says why. */
#define BUCKET_ITEMS_AIM  22u
#define BUCKET_ITEMS_SLIM 16u
#define BUCKET_ITEMS_WIDE 28u
/* Narrowing must part items, not just shrink a bucket around equal times. */
#define BUCKET_TIMES_WIDE 4u
/* Equal times in one of so many buckets turn payload bits in the sort key on. */
#define BUCKETS_PER_TIE 16u

static void width_set(struct eventq *q, uint64_t width_ps)
{
    q->width_ps = width_ps;
    q->width_bits = 64u - (uint32_t)__builtin_clzll(width_ps);
    q->scale = UINT64_MAX / width_ps;
}

struct eventq *eventq_new(struct arena *arena, enum simd_body body)
{
    static bool (*const refills[SIMD_BODY_COUNT])(struct eventq *, uint64_t) = {
        [SIMD_SCALAR] = eventq_refill_scalar,
        [SIMD_NEON] = eventq_refill_neon, /* plain vector types: testable on any machine */
#ifdef __x86_64__
        [SIMD_AVX2] = eventq_refill_avx2,
        [SIMD_AVX512] = eventq_refill_avx512,
#endif
    };
    assert(refills[body] != NULL);
    struct eventq *q = arena_one(arena, struct eventq);
    q->arena = arena;
    width_set(q, WIDTH_FIRST_PS);
    q->refill = refills[body];
    q->far_next = EVENTQ_NONE;
    eventq_run_reserve(q, 2 * EVENTQ_INSERT_MAX);
    return q;
}

/* ---- chunks -------------------------------------------------------------------------------------------------- */

static void chunks_grow(struct eventq *q)
{
    uint64_t count = q->chunk_count < CHUNKS_FIRST ? CHUNKS_FIRST : q->chunk_count / 2 + 1;
    count = count < CHUNKS_GROWN_MAX ? count : CHUNKS_GROWN_MAX;
    size_t bytes = count * EVENTQ_CHUNK_BYTES;
    char *room = arena_alloc(q->arena, EVENTQ_CHUNK_BYTES + bytes + CHUNKS_PAD_BYTES);
    q->fresh = room + -(uintptr_t)room % EVENTQ_CHUNK_BYTES;
    q->fresh_end = q->fresh + bytes;
    q->chunk_count += count;
}

static struct eventq_item *chunk_take(struct eventq *q)
{
    struct eventq_item *chunk = q->chunk_free;
    if (chunk != NULL) {
        q->chunk_free = (struct eventq_item *)eventq_chunk_link(chunk);
        return chunk;
    }
    if (q->fresh == q->fresh_end) {
        chunks_grow(q);
    }
    chunk = (struct eventq_item *)(void *)q->fresh;
    q->fresh += EVENTQ_CHUNK_BYTES;
    return chunk;
}

/* Gives the slot a new chunk; returns the place of its first item. */
struct eventq_item *eventq_open(struct eventq *q, uint64_t slot, uint64_t bucket)
{
    struct eventq_item *chunk = chunk_take(q);
    *chunk = (struct eventq_item){q->tail[slot], 0};
    if (slot < EVENTQ_NEAR) {
        q->near_bits[slot / 64] |= UINT64_C(1) << (slot % 64);
        q->near_summary |= UINT64_C(1) << (slot / 64);
    } else {
        uint64_t level = (slot - EVENTQ_NEAR) / EVENTQ_FAR, shift = eventq_level_shift(level);
        uint64_t start = bucket >> shift << shift;
        q->far_bits[level] |= UINT64_C(1) << (slot % EVENTQ_FAR);
        q->far_next = start < q->far_next ? start : q->far_next; /* I4 */
    }
    return chunk + 1;
}

/* ---- items behind base --------------------------------------------------------------------------------------- */

static bool is_less(struct eventq_item a, struct eventq_item b)
{
    return eventq_key(a) < eventq_key(b);
}

static void late_insert(struct eventq_item *late, size_t at, struct eventq_item item)
{
    for (; at > 0 && is_less(item, late[(at - 1) / 2]); at = (at - 1) / 2) {
        late[at] = late[(at - 1) / 2];
    }
    late[at] = item;
}

static void late_remove_first(struct eventq *q)
{
    struct eventq_item *late = q->late, item = late[--q->late_count];
    size_t at = 0, count = q->late_count;
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        child += child + 1 < count && is_less(late[child + 1], late[child]);
        if (!is_less(late[child], item)) {
            break;
        }
        late[at] = late[child];
    }
    late[at] = item;
}

static void run_insert(struct eventq *q, struct eventq_item item)
{
    if (q->end == q->run + q->run_capacity) {
        size_t count = (size_t)(q->end - q->head);
        assert(count < q->run_capacity);
        memmove(q->run, q->head, count * sizeof item);
        q->head = q->run;
        q->end = q->run + count;
    }
    struct eventq_item *at = q->end++;
    for (; at > q->head && is_less(item, at[-1]); at--) {
        *at = at[-1];
    }
    *at = item;
    q->fast_end = q->end;
}

static void late_narrow(struct eventq *q);

/* A short run takes the item itself; the heap is for bursts, and for long runs of equal times. */
static void late_push(struct eventq *q, struct eventq_item item)
{
    if (q->late_count == 0 && q->end - q->head < EVENTQ_INSERT_MAX) {
        run_insert(q, item);
        return;
    }
    vec_push(q->arena, q->late, q->late_count, q->late_capacity) = item;
    late_insert(q->late, q->late_count - 1, item);
    q->fast_end = q->head; /* I6 */
    if (q->late_count >= LATE_COUNT_CHECK && (q->late_count & (q->late_count - 1)) == 0) {
        late_narrow(q);
    }
}

/* ---- the rare halves of push and pop ------------------------------------------------------------------------- */

void eventq_push_far(struct eventq *q, uint64_t time_ps, uint64_t payload)
{
    uint64_t bucket = eventq_bucket(q, time_ps), level = 0;
    assert(time_ps < UINT64_C(1) << 63);
    if (bucket < q->base) {
        late_push(q, (struct eventq_item){time_ps, payload});
        return;
    }
    while ((bucket >> eventq_level_shift(level)) - (q->base >> eventq_level_shift(level)) >= EVENTQ_FAR) {
        level++; /* I2; ends at the last level, which has digits for all 64 bits */
    }
    uint64_t digit = (bucket >> eventq_level_shift(level)) % EVENTQ_FAR;
    eventq_append(q, EVENTQ_NEAR + level * EVENTQ_FAR + digit, bucket, time_ps, payload);
}

const struct eventq_item *eventq_pop_slow(struct eventq *q, uint64_t bound_ps)
{
    if (q->late_count == 0) {
        return q->refill(q, bound_ps) && q->head->time_ps < bound_ps ? q->head++ : NULL;
    }
    bool is_late = q->head == q->end || is_less(q->late[0], *q->head);
    q->picked = is_late ? q->late[0] : *q->head;
    if (q->picked.time_ps >= bound_ps) {
        return NULL;
    }
    if (is_late) {
        late_remove_first(q);
    } else {
        q->head++;
    }
    q->fast_end = q->late_count > 0 ? q->head : q->end; /* I6 */
    return &q->picked;
}

size_t eventq_pop_until(struct eventq *q, uint64_t bound_ps, struct eventq_item *items, size_t count_max)
{
    size_t count = 0;
    while (count < count_max && eventq_pop_before(q, bound_ps, &items[count])) {
        count++;
    }
    return count;
}

/* ---- questions ----------------------------------------------------------------------------------------------- */

uint64_t eventq_count(const struct eventq *q)
{
    uint64_t count = q->late_count + (uint64_t)(q->end - q->head);
    for (uint32_t slot = 0; slot < EVENTQ_SLOTS; slot++) {
        for (uintptr_t tail = q->tail[slot]; tail != 0; tail = eventq_chunk_link(eventq_chunk(tail))) {
            count += eventq_chunk_count(tail);
        }
    }
    return count;
}

void eventq_visit(const struct eventq *q, void (*visit)(void *context, const struct eventq_item *item), void *context)
{
    for (const struct eventq_item *item = q->head; item < q->end; item++) {
        visit(context, item);
    }
    for (size_t i = 0; i < q->late_count; i++) {
        visit(context, &q->late[i]);
    }
    for (uint32_t slot = 0; slot < EVENTQ_SLOTS; slot++) {
        for (uintptr_t tail = q->tail[slot]; tail != 0; tail = eventq_chunk_link(eventq_chunk(tail))) {
            for (uint64_t i = 1; i <= eventq_chunk_count(tail); i++) {
                visit(context, &eventq_chunk(tail)[i]);
            }
        }
    }
}

bool eventq_is_empty(const struct eventq *q)
{
    return q->head == q->end && q->late_count == 0 && q->near_summary == 0 && q->far_next == EVENTQ_NONE;
}

/* The first picosecond of a bucket. */
static uint64_t bucket_start_ps(const struct eventq *q, uint64_t bucket)
{
    return (uint64_t)((((unsigned __int128)bucket << 64) + q->scale - 1) / q->scale);
}

uint64_t eventq_floor_ps(const struct eventq *q)
{
    if (q->head < q->end || q->late_count > 0) {
        uint64_t run_ps = q->head < q->end ? q->head->time_ps : TIME_NEVER_PS;
        uint64_t late_ps = q->late_count > 0 ? q->late[0].time_ps : TIME_NEVER_PS;
        return run_ps < late_ps ? run_ps : late_ps;
    }
    uint64_t near = eventq_near_next(q), bucket = near < q->far_next ? near : q->far_next;
    return bucket == EVENTQ_NONE ? TIME_NEVER_PS : bucket_start_ps(q, bucket);
}

uint64_t eventq_peek_ps(struct eventq *q)
{
    if (q->head == q->end && q->late_count == 0) {
        q->refill(q, UINT64_MAX);
    }
    return eventq_floor_ps(q);
}

void eventq_fault(struct eventq *q)
{
    q->is_faulty = true;
}

/* ---- width --------------------------------------------------------------------------------------------------- */

/* Room for a run of `count` items and what the sort stores behind it. The run must be empty. */
void eventq_run_reserve(struct eventq *q, uint64_t count)
{
    uint64_t capacity = count + 64;
    if (capacity <= q->run_capacity) {
        return;
    }
    capacity = capacity > 2 * q->run_capacity ? capacity : 2 * q->run_capacity;
    q->run = arena_array(q->arena, capacity, struct eventq_item);
    q->spare = arena_array(q->arena, capacity, struct eventq_item);
    q->run_capacity = capacity;
    q->head = q->end = q->fast_end = q->run;
}

/* Takes all chunks out of the wheel into one list; the second word of a link counts the items of its chunk. */
static struct eventq_item *wheel_empty(struct eventq *q)
{
    struct eventq_item *all = NULL;
    for (uint32_t slot = 0; slot < EVENTQ_SLOTS; slot++) {
        uintptr_t tail = q->tail[slot];
        q->tail[slot] = 0;
        while (tail != 0) {
            struct eventq_item *chunk = eventq_chunk(tail);
            uint64_t count = eventq_chunk_count(tail);
            tail = eventq_chunk_link(chunk);
            *chunk = (struct eventq_item){(uintptr_t)all, count};
            all = chunk;
        }
    }
    memset(q->near_bits, 0, sizeof q->near_bits);
    memset(q->far_bits, 0, sizeof q->far_bits);
    q->near_summary = 0;
    q->far_next = EVENTQ_NONE;
    return all;
}

static void items_push(struct eventq *q, const struct eventq_item *items, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        eventq_push(q, items[i].time_ps, items[i].payload);
    }
}

/* Files all items again under a new width. None is earlier than base_ps, so the run and the heap end empty and
 * are not written to while they are read. */
static void rebuild(struct eventq *q, uint64_t width_ps, uint64_t base_ps)
{
    struct eventq_item *chunk = wheel_empty(q), *head = q->head;
    uint64_t run_count = (uint64_t)(q->end - q->head), late_count = q->late_count;
    q->rebuild_cost = run_count + late_count;
    q->head = q->end = q->fast_end = q->run;
    q->late_count = 0;
    width_set(q, width_ps);
    q->base = eventq_bucket(q, base_ps);
    q->tie_bits = 0;
    while (chunk != NULL) {
        struct eventq_item *next = (struct eventq_item *)eventq_chunk_link(chunk);
        items_push(q, chunk + 1, chunk->payload);
        q->rebuild_cost += chunk->payload;
        eventq_chunk_free(q, chunk);
        chunk = next;
    }
    items_push(q, head, run_count);
    items_push(q, q->late, late_count);
    assert(q->head == q->end && q->late_count == 0);
    q->taken_credit = 0;
    q->taken_buckets = q->taken_items = q->taken_ties = 0;
    q->rebuild_count++;
}

/* A rebuild may cost as much as was taken since the last one, and as was pushed: this pays the last one's items, the
 * pushes since then pay for the rest. */
static bool is_rebuild_paid(const struct eventq *q)
{
    return q->taken_credit >= q->rebuild_cost;
}

/* The width at which `count` items spread over span_ps lie BUCKET_ITEMS_AIM to a bucket. */
static uint64_t width_for(uint64_t count, uint64_t span_ps)
{
    unsigned __int128 width_ps = (unsigned __int128)span_ps * BUCKET_ITEMS_AIM / count;
    return width_ps > WIDTH_MAX_PS ? WIDTH_MAX_PS : width_ps > 0 ? (uint64_t)width_ps : 1;
}

/* Before a refill: `count` items lie within span_ps in one bucket. True where all were filed again. */
bool eventq_narrow(struct eventq *q, uint64_t count, uint64_t span_ps)
{
    uint64_t width_ps = width_for(count, span_ps);
    if (span_ps == 0 || width_ps > q->width_ps / 2 || !is_rebuild_paid(q)) {
        return false;
    }
    rebuild(q, width_ps, bucket_start_ps(q, q->base));
    return true;
}

static void late_narrow(struct eventq *q)
{
    uint64_t least_ps = q->late[0].time_ps, most_ps = least_ps;
    for (size_t i = 0; i < q->late_count; i++) {
        most_ps = q->late[i].time_ps > most_ps ? q->late[i].time_ps : most_ps;
    }
    uint64_t width_ps = width_for(q->late_count, most_ps - least_ps);
    q->taken_credit += q->late_count / 2; /* pushed since the last look */
    if (most_ps == least_ps || width_ps > q->width_ps / 2 || !is_rebuild_paid(q)) {
        return;
    }
    rebuild(q, width_ps, q->head < q->end && q->head->time_ps < least_ps ? q->head->time_ps : least_ps);
}

/* Looks at the buckets taken since the last time, with an empty run. */
void eventq_adapt(struct eventq *q)
{
    uint64_t items = q->taken_items, buckets = q->taken_buckets, ties = q->taken_ties;
    bool is_wide = items > BUCKET_ITEMS_WIDE * buckets && items - ties > BUCKET_TIMES_WIDE * buckets;
    bool is_slim = items < BUCKET_ITEMS_SLIM * buckets;
    q->taken_buckets = q->taken_items = q->taken_ties = 0;
    if (ties * BUCKETS_PER_TIE > buckets && q->tie_bits == 0) {
        q->tie_bits = 30 - q->width_bits;
        q->tie_shift = 0;
    }
    uint64_t width_ps = width_for(items, buckets * q->width_ps);
    if ((is_wide || is_slim) && width_ps != q->width_ps && is_rebuild_paid(q)) {
        rebuild(q, width_ps, bucket_start_ps(q, q->base));
    }
}
