/* The arrivals of a node that is served whole, in order. */
#include "netsim/engine/window_lazy.h"

#include <string.h>

/* ---- order ------------------------------------------------------------------------------------------------ */

enum { FEW = 12, BUCKET_BITS_MAX = 10, CROWD = 24 }; /* insertion sorts a few, and what is hardly out of order */
enum { FEW_BUCKETS = 255, FEW_BUCKET_BITS = 9 };      /* so many items count in a byte */

static void insertion_sort(uint64_t *items, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        uint64_t item = items[i];
        uint32_t at = i;
        for (; at > 0 && items[at - 1] > item; at--) {
            items[at] = items[at - 1];
        }
        items[at] = item;
    }
}

/* Few items, which come newest first: turned round, they are hardly out of order. */
static void few_sort(uint64_t *items, uint32_t count)
{
    for (uint32_t i = 0; i < count / 2; i++) {
        uint64_t item = items[i];
        items[i] = items[count - 1 - i];
        items[count - 1 - i] = item;
    }
    insertion_sort(items, count);
}

/* Where each bucket starts, from how many it has, eight at a time: both fit into a byte. False: one has more than a few. */
static bool bucket_starts(uint8_t *buckets, uint32_t count)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), top = ones << 7;
    uint64_t before = 0, crowds = 0;
    for (uint32_t i = 0; i < count; i += 8) {
        uint64_t here, sums;
        memcpy(&here, buckets + i, sizeof here);
        crowds |= here | ((here & ~top) + (127 - CROWD) * ones);
        sums = here * ones; /* of each byte and those below */
        sums += before * ones;
        before = sums >> 56;
        sums -= here;
        memcpy(buckets + i, &sums, sizeof sums);
    }
    return (crowds & top) == 0;
}

/* Dealt to buckets by time, two or more to an item, so that what insertion has to do is hardly ever anything. Times are spread
 * over the window; where they are not, and the buckets are no help, the sort that is never quadratic takes over. */
static void few_buckets_sort(uint64_t *items, uint64_t *sorted, uint32_t count, uint32_t bits, uint32_t shift)
{
    uint8_t starts[1 << FEW_BUCKET_BITS] __attribute__((aligned(8)));
    memset(starts, 0, (size_t)1 << bits);
    for (uint32_t i = 0; i < count; i++) {
        starts[items[i] >> shift]++;
    }
    bool is_even = bucket_starts(starts, 1u << bits);
    for (uint32_t i = count; i-- > 0;) { /* the oldest first */
        sorted[starts[items[i] >> shift]++] = items[i];
    }
    if (is_even) {
        insertion_sort(sorted, count);
    } else {
        arrivals_sort(sorted, count);
    }
}

/* The same for more. */
static void buckets_sort(uint64_t *items, uint64_t *sorted, uint32_t count, uint32_t time_bits, uint32_t time_shift)
{
    uint32_t ends[1 << BUCKET_BITS_MAX];
    uint32_t bits = 33 - (uint32_t)__builtin_clz(count), crowd = 0;
    bits = bits < BUCKET_BITS_MAX ? bits : BUCKET_BITS_MAX;
    bits = bits < time_bits ? bits : time_bits;
    uint32_t shift = time_shift + time_bits - bits, buckets = 1u << bits;
    if (count <= FEW_BUCKETS && bits >= 3) {
        few_buckets_sort(items, sorted, count, bits, shift);
        return;
    }
    memset(ends, 0, buckets * sizeof *ends);
    for (uint32_t i = 0; i < count; i++) {
        ends[items[i] >> shift]++;
    }
    for (uint32_t i = 0, end = 0; i < buckets; i++) {
        uint32_t here = ends[i];
        crowd = here > crowd ? here : crowd;
        ends[i] = end; /* of those before */
        end += here;
    }
    for (uint32_t i = count; i-- > 0;) { /* the oldest first */
        sorted[ends[items[i] >> shift]++] = items[i];
    }
    if (crowd <= CROWD) {
        insertion_sort(sorted, count);
        return;
    }
    for (uint32_t i = 0, first = 0; i < buckets; first = ends[i++]) {
        if (ends[i] > first + 1) {
            arrivals_sort(sorted + first, ends[i] - first);
        }
    }
}

void lazy_sort(const struct window_core *core, uint64_t **items, uint64_t **spare, uint32_t count, uint32_t time_shift)
{
    uint32_t time_bits = 64 - (uint32_t)__builtin_clzll(core->width_ps);
    if (count <= FEW) {
        few_sort(*items, count);
        return;
    }
    buckets_sort(*items, *spare, count, time_bits, time_shift);
    uint64_t *sorted = *spare;
    *spare = *items;
    *items = sorted;
}

/* ---- what has left ---------------------------------------------------------------------------------------- */

void left_reserve(struct worker *worker, uint32_t more)
{
    struct left_log *left = &worker->left;
    uint32_t capacity = left->capacity == 0 ? 256 : left->capacity;
    while (capacity < left->count + more) {
        capacity *= 2;
    }
    if (capacity == left->capacity) {
        return;
    }
    int32_t *when_ps = arena_array(worker->arena, capacity, int32_t);
    uint32_t *what = arena_array(worker->arena, capacity, uint32_t);
    for (uint32_t i = 0; i < left->count; i++) {
        when_ps[i] = left->when_ps[i];
        what[i] = left->what[i];
    }
    *left = (struct left_log){when_ps, what, left->count, capacity};
}

/* ---- the inbox -------------------------------------------------------------------------------------------- */

static void frames_reserve(struct worker *worker, uint32_t count)
{
    struct frames *frames = &worker->frames;
    if (count <= frames->capacity) {
        return;
    }
    uint32_t capacity = frames->capacity == 0 ? 64 : frames->capacity;
    while (capacity < count) {
        capacity *= 2;
    }
    uint64_t *items = arena_array(worker->arena, capacity, uint64_t);
    struct packet *packets = arena_array(worker->arena, capacity, struct packet);
    for (uint32_t i = 0; i < frames->count; i++) {
        items[i] = frames->items[i];
        packets[i] = frames->packets[i];
    }
    frames->items = items;
    frames->packets = packets;
    frames->spare = arena_array(worker->arena, capacity, uint64_t);
    frames->capacity = capacity;
}

void frame_add(struct worker *worker, uint32_t key, const struct packet *frame)
{
    struct frames *frames = &worker->frames;
    uint32_t key_shift = worker->core->key_shift, port = (key & ((1u << key_shift) - 1)) >> 1, number = frames->count;
    uint64_t item = key >> key_shift << key_shift | (uint32_t)(frame->kind == FRAME_CREDIT) << (key_shift - 1) | port;
    frames_reserve(worker, number + 1);
    DASSERT(number <= FRAME_NUMBER_MAX);
    frames->packets[number] = *frame;
    frames->items[number] = item << FRAME_NUMBER_BITS | (FRAME_NUMBER_MAX - number);
    frames->count++;
}

static void chunk_take(struct worker *worker, struct chunk *chunk, uint32_t id, uint32_t *packet_count)
{
    struct arrivals *arrivals = &worker->arrivals;
    arrivals_reserve(worker, arrivals->count + CHUNK_PACKETS);
    uint64_t *items = arrivals->items;
    struct packet **where = arrivals->where;
    uint32_t count = *packet_count, at = arrivals->count;
    for (uint32_t lane = chunk->count; lane-- > 0; at++) { /* newest first (C3) */
        struct packet *packet = &chunk->packets[lane];
        uint32_t key = chunk->keys[lane];
        where[at] = packet;
        if (__builtin_expect(packet->size_bytes == 0, 0)) {
            frame_add(worker, key, packet);
            continue;
        }
        items[count++] = (uint64_t)(key >> 1) << 33 | (uint64_t)(packet->dst == id) << 32 | at;
    }
    arrivals->count = at;
    *packet_count = count;
}

void frames_sort(struct worker *worker)
{
    struct frames *frames = &worker->frames;
    lazy_sort(worker->core, &frames->items, &frames->spare, frames->count, FRAME_NUMBER_BITS + worker->core->key_shift);
}

/* Of the chains that are taken, newest first. */
static void taken_gather(struct worker *worker, uint32_t node)
{
    struct window_core *core = worker->core;
    struct arrivals *arrivals = &worker->arrivals;
    uint32_t packet_count = 0;
    arrivals->count = worker->frames.count = 0;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        for (struct chunk *chunk = worker->taken[i]; chunk != NULL; chunk = chunk->older) {
            chunk_take(worker, chunk, core->nodes[node].id, &packet_count);
        }
    }
    arrivals->count = packet_count;
    lazy_sort(core, &arrivals->items, &arrivals->spare, packet_count, 32 + core->key_shift);
    frames_sort(worker);
}

void lazy_take(struct worker *worker, uint32_t node)
{
    for (uint32_t i = 0; i < worker->core->worker_count; i++) {
        worker->taken[i] = inbox_take(&worker->core->workers[i], node, worker->slot);
    }
    taken_gather(worker, node);
}

void lazy_take_chains(struct worker *worker, uint32_t node)
{
    for (uint32_t i = 0; i < worker->core->worker_count; i++) {
        worker->taken[i] = chain_reverse(worker->taken[i]);
    }
    taken_gather(worker, node);
}
