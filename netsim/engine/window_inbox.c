/* Chunks of packets between nodes, packets far ahead, and the timers. */
#include "netsim/engine/window.h"

#include <string.h>
#include <sys/mman.h>

/* ---- memory ----------------------------------------------------------------------------------------------- */

#ifdef PHOTONET_STRESS
enum { CHUNKS_PER_MAKE = 2 };
#else
enum { CHUNKS_PER_MAKE = 64 };
#endif
#define PAGE_BYTES  ((size_t)2 << 20) /* a huge page */
#define SMALL_BYTES ((size_t)64 << 10)

/* A large fabric gets huge pages. The arena sees to that but for blocks which are so large that they lie by themselves. */
static void pool_extend(struct worker *worker, size_t bytes)
{
    bool is_large = worker->core->fabric->port_count >= HUGE_PORTS_MIN;
    size_t block_bytes = is_large ? PAGE_BYTES : SMALL_BYTES;
    block_bytes = (bytes + block_bytes - 1) / block_bytes * block_bytes;
    uint8_t *block = arena_alloc(worker->arena, block_bytes);
    size_t before = -(uintptr_t)block & (PAGE_BYTES - 1);
    if (is_large && block_bytes >= before + PAGE_BYTES) {
        madvise(block + before, (block_bytes - before) / PAGE_BYTES * PAGE_BYTES, MADV_HUGEPAGE); /* may fail */
    }
    worker->pool = block;
    worker->pool_end = block + block_bytes;
}

void *pool_alloc(struct worker *worker, size_t bytes)
{
    bytes = (bytes + 63) / 64 * 64;
    if ((size_t)(worker->pool_end - worker->pool) < bytes) {
        if (bytes >= PAGE_BYTES / 8 && bytes < PAGE_BYTES) {
            return arena_alloc(worker->arena, bytes); /* what is left of the block is for small ones */
        }
        pool_extend(worker, bytes);
    }
    void *memory = worker->pool;
    worker->pool += bytes;
    return memory;
}

void *packets_alloc(struct worker *worker, size_t bytes)
{
    worker->packets_bytes += (bytes + 63) / 64 * 64;
    return pool_alloc(worker, bytes);
}

/* ---- chunks ----------------------------------------------------------------------------------------------- */

static void chunks_make(struct worker *worker)
{
    uint8_t *block = packets_alloc(worker, (CHUNKS_PER_MAKE + 1) * CHUNK_BYTES);
    block += -(uintptr_t)block & CHUNK_ROOM_MASK;
    for (uint32_t i = CHUNKS_PER_MAKE; i-- > 0;) {
        struct chunk *chunk = (struct chunk *)(block + (size_t)i * CHUNK_BYTES);
        chunk->owner = worker->id;
        chunk->older = worker->chunk_free;
        worker->chunk_free = chunk;
    }
}

uintptr_t inbox_open(struct worker *worker, uint32_t node, uint32_t slot)
{
    if (worker->chunk_free == NULL) {
        chunks_make(worker);
    }
    struct chunk *chunk = worker->chunk_free;
    worker->chunk_free = chunk->older;
    __builtin_prefetch(chunk->older, 1); /* the next one, which another core may have read last */
    uintptr_t at = worker->tails[(size_t)node << worker->core->slot_bits | slot];
    struct chunk *older = (struct chunk *)(at & ~(uintptr_t)CHUNK_ROOM_MASK);
    chunk->older = older;
    if (older == NULL) {
        node_activate(worker, node, slot);
    } else {
        older->count = CHUNK_PACKETS - (at & CHUNK_ROOM_MASK);
    }
    return (uintptr_t)chunk | CHUNK_PACKETS;
}

/* Chunks go back to whoever fills them, at the latest two windows later: else a thread that only sends would take new
 * memory for ever (I7). */
void chunks_free(struct worker *worker, struct chunk *chunk)
{
    while (chunk != NULL) {
        struct chunk *older = chunk->older;
        if (chunk->owner == worker->id) {
            chunk->older = worker->chunk_free;
            worker->chunk_free = chunk;
        } else {
            struct chunk_list *list = &worker->returned[worker->parity][chunk->owner];
            list->last = list->first == NULL ? chunk : list->last;
            chunk->older = list->first;
            list->first = chunk;
        }
        chunk = older;
    }
}

/* After a barrier: the others have changed parity too, so nobody touches the lists of the last window. */
void chunks_collect(struct worker *worker)
{
    struct window_core *core = worker->core;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        struct chunk_list *list = &core->workers[i].returned[worker->parity][worker->id];
        if (i != worker->id && list->first != NULL) {
            list->last->older = worker->chunk_free;
            worker->chunk_free = list->first;
            list->first = NULL;
        }
    }
    worker->parity ^= 1;
}

struct chunk *inbox_take(struct worker *writer, uint32_t node, uint32_t slot)
{
    uintptr_t *tail = &writer->tails[(size_t)node << writer->core->slot_bits | slot];
    uintptr_t at = *tail;
    if (at == 0) {
        return NULL;
    }
    *tail = 0;
    struct chunk *chunk = (struct chunk *)(at & ~(uintptr_t)CHUNK_ROOM_MASK);
    chunk->count = CHUNK_PACKETS - (at & CHUNK_ROOM_MASK);
    return chunk;
}

/* ---- arrivals of a node in time order --------------------------------------------------------------------- */

void arrivals_reserve(struct worker *worker, uint32_t count)
{
    struct arrivals *arrivals = &worker->arrivals;
    if (count <= arrivals->capacity) {
        return;
    }
    uint32_t capacity = arrivals->capacity == 0 ? 64 : arrivals->capacity;
    while (capacity < count) {
        capacity *= 2;
    }
    uint64_t *items = arena_array(worker->arena, capacity, uint64_t);
    struct packet **where = arena_array(worker->arena, capacity, struct packet *);
    if (arrivals->count > 0) {
        memcpy(items, arrivals->items, arrivals->count * sizeof *items);
        memcpy(where, arrivals->where, arrivals->count * sizeof *where);
    }
    arrivals->items = items;
    arrivals->spare = arena_array(worker->arena, capacity, uint64_t);
    arrivals->where = where;
    arrivals->capacity = capacity;
}

static inline void lane_gather(struct arrivals *arrivals, struct chunk *chunk, uint32_t lane, uint32_t id,
                               uint32_t group_first)
{
    uint32_t key = chunk->keys[lane], at = arrivals->count++;
    uint32_t dst = chunk->packets[lane].dst;
    uint64_t is_final = dst == id || dst >= group_first ? ARRIVAL_IS_FINAL : 0;
    arrivals->where[at] = &chunk->packets[lane];
    arrivals->items[at] = (uint64_t)(key >> 1) << 32 | is_final | (uint64_t)at << 1 | (key & 1);
}

/* Newest first (C3). */
static void chunk_gather(struct worker *worker, struct chunk *chunk, uint32_t id)
{
    struct arrivals *arrivals = &worker->arrivals;
    uint32_t host_count = worker->core->fabric->host_count; /* dst from here on: groups, which are for any host */
    uint32_t group_first = id < host_count ? host_count : UINT32_MAX;
    id = id < host_count ? id : UINT32_MAX;
    arrivals_reserve(worker, arrivals->count + CHUNK_PACKETS);
    for (uint32_t lane = chunk->count; lane-- > 0;) {
        lane_gather(arrivals, chunk, lane, id, group_first);
    }
}

void arrivals_take(struct worker *worker, uint32_t node)
{
    struct window_core *core = worker->core;
    worker->arrivals.count = 0;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        struct chunk *chunk = inbox_take(&core->workers[i], node, worker->slot);
        worker->taken[i] = chunk;
        for (; chunk != NULL; chunk = chunk->older) {
            chunk_gather(worker, chunk, core->nodes[node].id);
        }
    }
}

struct chunk *chain_reverse(struct chunk *newest)
{
    struct chunk *oldest = NULL;
    while (newest != NULL) {
        struct chunk *older = newest->older;
        newest->older = oldest;
        oldest = newest;
        newest = older;
    }
    return oldest;
}

/* All lanes, used or not: how many are used nobody can predict. */
static inline bool chunk_is_sorted(const struct chunk *chunk)
{
    uint32_t falls = 0;
    for (uint32_t lane = 1; lane < CHUNK_PACKETS; lane++) {
        falls |= (uint32_t)(chunk->keys[lane] < chunk->keys[lane - 1]) & (uint32_t)(lane < chunk->count);
    }
    return falls == 0;
}

static bool chain_is_sorted(const struct chunk *chunk)
{
    bool is_sorted = true;
    uint32_t before = 0;
    for (; chunk != NULL; chunk = chunk->older) {
        is_sorted &= chunk_is_sorted(chunk) & (chunk->keys[0] >= before);
        before = chunk->keys[chunk->count - 1];
    }
    return is_sorted;
}

bool chains_take(struct worker *worker, uint32_t node)
{
    struct window_core *core = worker->core;
    uint32_t chains = 0;
    worker->chain = NULL;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        struct chunk *chunk = chain_reverse(inbox_take(&core->workers[i], node, worker->slot));
        worker->taken[i] = chunk;
        worker->chain = chunk != NULL ? chunk : worker->chain;
        chains += chunk != NULL;
    }
    return chains <= 1 && chain_is_sorted(worker->chain);
}

void arrivals_sort_chains(struct worker *worker, uint32_t node)
{
    struct window_core *core = worker->core;
    struct arrivals *arrivals = &worker->arrivals;
    uint32_t id = core->nodes[node].id;
    arrivals->count = 0;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        for (struct chunk *chunk = worker->taken[i]; chunk != NULL; chunk = chunk->older) {
            arrivals_reserve(worker, arrivals->count + CHUNK_PACKETS);
            for (uint32_t lane = 0; lane < chunk->count; lane++) {
                lane_gather(arrivals, chunk, lane, id, UINT32_MAX);
            }
        }
    }
    arrivals_sort(arrivals->items, arrivals->count);
}

void arrival_return(struct worker *worker, uint32_t node, uint64_t item)
{
    uint64_t time_ps = worker->start_ps + arrival_offset_ps(worker->core, item);
    uint32_t port_whole = arrival_port(worker->core, item) << 1 | arrival_is_whole(item);
    packet_put(worker, node, time_ps, port_whole, worker->arrivals.where[arrival_at(item)]);
}

void arrivals_release(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->core->worker_count; i++) {
        chunks_free(worker, worker->taken[i]);
    }
}

static void sift_down(uint64_t *items, uint32_t at, uint32_t count)
{
    uint64_t item = items[at];
    for (uint32_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        child += child + 1 < count && items[child + 1] > items[child];
        if (items[child] <= item) {
            break;
        }
        items[at] = items[child];
        at = child;
    }
    items[at] = item;
}

#ifdef PHOTONET_FAULT
/* The deliberate fault that the differential test must find: ports of equal times in the wrong order. */
static uint64_t tie_break(uint64_t item)
{
    return item ^ (UINT64_C(1) << 32);
}
#else
static uint64_t tie_break(uint64_t item)
{
    return item;
}
#endif

/* Insertion for what is usual, a heap sort for the rest: no batch is quadratic. */
void arrivals_sort(uint64_t *items, uint32_t count)
{
    if (count > 48) {
        for (uint32_t i = count / 2; i-- > 0;) {
            sift_down(items, i, count);
        }
        for (uint32_t left = count; left-- > 1;) {
            uint64_t last = items[left];
            items[left] = items[0];
            items[0] = last;
            sift_down(items, 0, left);
        }
        return;
    }
    for (uint32_t i = 1; i < count; i++) {
        uint64_t item = items[i];
        uint32_t at = i;
        for (; at > 0 && tie_break(items[at - 1]) > tie_break(item); at--) {
            items[at] = items[at - 1];
        }
        items[at] = item;
    }
}

/* ---- packets beyond the ring ------------------------------------------------------------------------------ */

static bool far_before(const struct far_packet *a, const struct far_packet *b)
{
    return a->time_ps != b->time_ps ? a->time_ps < b->time_ps : a->sequence < b->sequence;
}

void far_put(struct worker *worker, uint32_t node, uint64_t time_ps, uint32_t port_whole,
             const struct packet *packet)
{
    struct far_heap *heap = &worker->far;
    struct far_packet item = {time_ps, heap->sequence++, node, port_whole, *packet};
    vec_push(heap->arena, heap->items, heap->count, heap->capacity) = item;
    size_t at = heap->count - 1;
    for (; at > 0 && far_before(&item, &heap->items[(at - 1) / 2]); at = (at - 1) / 2) {
        heap->items[at] = heap->items[(at - 1) / 2];
    }
    heap->items[at] = item;
}

static struct far_packet far_pop(struct far_heap *heap)
{
    struct far_packet first = heap->items[0], last = heap->items[--heap->count];
    size_t at = 0;
    for (size_t child = 1; child < heap->count; child = 2 * at + 1) {
        child += child + 1 < heap->count && far_before(&heap->items[child + 1], &heap->items[child]);
        if (!far_before(&heap->items[child], &last)) {
            break;
        }
        heap->items[at] = heap->items[child];
        at = child;
    }
    heap->items[at] = last;
    return first;
}

void far_drain(struct worker *worker)
{
    while (worker->far.count > 0 && windows_ahead(worker, worker->far.items[0].time_ps) <= worker->core->slot_mask) {
        DASSERT(windows_ahead(worker, worker->far.items[0].time_ps) > 0); /* I5 */
        struct far_packet item = far_pop(&worker->far);
        packet_put(worker, item.node, item.time_ps, item.port_whole, &item.packet);
    }
}

/* ---- timers ----------------------------------------------------------------------------------------------- */

static bool timer_before(struct timer a, struct timer b)
{
    return a.time_ps != b.time_ps ? a.time_ps < b.time_ps : a.payload < b.payload;
}

void timer_push(struct timer_heap *heap, uint64_t time_ps, uint64_t payload)
{
    struct timer item = {time_ps, payload};
    vec_push(heap->arena, heap->items, heap->count, heap->capacity) = item;
    size_t at = heap->count - 1;
    for (; at > 0 && timer_before(item, heap->items[(at - 1) / 2]); at = (at - 1) / 2) {
        heap->items[at] = heap->items[(at - 1) / 2];
    }
    heap->items[at] = item;
}

struct timer timer_pop(struct timer_heap *heap)
{
    struct timer first = heap->items[0], last = heap->items[--heap->count];
    size_t at = 0;
    for (size_t child = 1; child < heap->count; child = 2 * at + 1) {
        child += child + 1 < heap->count && timer_before(heap->items[child + 1], heap->items[child]);
        if (!timer_before(heap->items[child], last)) {
            break;
        }
        heap->items[at] = heap->items[child];
        at = child;
    }
    heap->items[at] = last;
    return first;
}

void node_due_take(struct worker *worker, struct window_node *node)
{
    for (uint32_t i = node->due_first; i != ID_NONE; i = worker->due[i].next) {
        timer_push(&worker->local, worker->due[i].timer.time_ps, worker->due[i].timer.payload);
    }
    node->due_first = ID_NONE;
}

void wake_far(struct worker *worker, uint32_t node, uint64_t time_ps)
{
    struct worker *owner = &worker->core->workers[worker->core->nodes[node].owner];
    DASSERT(owner == worker || !worker->core->is_running);
    eventq_push(owner->timers, time_ps, timer_payload(node, TIMER_WAKE, 0));
}

#ifdef PHOTONET_STRESS
enum { ROOMS_PER_MAKE = 2 };
#else
enum { ROOMS_PER_MAKE = 64 };
#endif

/* A place for each that is made, and one that is written to but not counted. */
static void room_places_make(struct worker *worker, struct room_stack *rooms, uint32_t more)
{
    uint32_t needed = rooms->made + more + 1, capacity = needed > 2 * rooms->capacity ? needed : 2 * rooms->capacity;
    rooms->made += more;
    if (needed <= rooms->capacity) {
        return;
    }
    struct packet **items = arena_array(worker->arena, capacity, struct packet *);
    if (rooms->count > 0) {
        memcpy(items, rooms->items, rooms->count * sizeof *items);
    }
    rooms->items = items;
    rooms->capacity = capacity;
}

/* Half a vector of packets, and of times, may be read from the smallest one. */
void rooms_make(struct worker *worker, uint32_t bits)
{
    struct room_stack *rooms = &worker->rooms[bits];
    uint32_t more = bits <= 4 ? ROOMS_PER_MAKE >> (bits - ROOM_BITS_MIN) : 1;
    more = more == 0 ? 1 : more;
    room_places_make(worker, rooms, more);
    size_t bytes = (sizeof(struct packet) + sizeof(uint64_t)) << bits;
    uint8_t *block = packets_alloc(worker, more * bytes + 64);
    for (uint32_t i = more; i-- > 0;) {
        rooms->items[rooms->count++] = (struct packet *)(block + i * bytes);
    }
}

void port_queue_grow(struct worker *worker, struct window_port *port)
{
    struct window_port old = *port;
    port->capacity = 0;
    port->queue = NULL;
    port_room_change(worker, port, old.capacity + 1);
    for (uint32_t i = 0; i < old.count; i++) {
        uint32_t at = (old.head + i) & (old.capacity - 1);
        port->queue[i] = old.queue[at];
        port_since(port)[i] = port_since(&old)[at];
    }
    port->head = 0;
    port_room_change(worker, &old, 0);
}
