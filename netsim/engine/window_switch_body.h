/* One switch in one window, the fast way: one text for all vector widths.
 *
 * A file of three lines defines SWITCH_LANES (32-bit lanes of a vector) and SWITCHES_SERVE (the function's name) and
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
 * larger ones only what arrives is sorted; what waits is in order, and in front. Where little goes on, and a few packets are
 * all that a switch has got, each for another port, no batch is made of them; and such switches are looked at together, so
 * that none waits alone for its lines of memory, most of which nobody has touched for long (with one flow among 8192 hosts
 * 62 ns a hop became 51, 43 to 40 where a flow ten times as long finds half of them in the cache).
 *
 * Keys have room for the place in the batch, so the sort is a bitonic network on 32-bit lanes; where a switch has too many
 * ports for that, places are found by comparing each with each.
 *
 * Whatever is unusual goes to the general code in window_switch.c, by port (more arrivals than a batch holds, a
 * queue that may be full, dark ports, slow links) or by node (unequal rates where packets cut through, a run that
 * ends inside the window). */
#include "netsim/engine/window_lanes_body.h"

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

#include "netsim/engine/window_sort_body.h"
#include "netsim/engine/window_scan_body.h"

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

INLINE uint64_t rest_service_ps(const struct port_batch *batch)
{
    uint32_t first = batch->start_count;
    return (uint64_t)(batch->services_ps[batch->count - 1] - (first > 0 ? batch->services_ps[first - 1] : 0));
}

/* Behind a queue that was too long for the batch, or of more than there are lanes for. */
static __attribute__((noinline)) void rest_queue_behind(struct worker *worker, struct window_port *port,
                                                        const struct port_batch *batch)
{
    uint32_t first = batch->start_count, count = batch->count;
    if (batch->waiting_count > 0) { /* the queue was in the batch */
        port->head = port->count = 0;
        port->waiting_ps = 0;
    }
    if (first < count) {
        port->waiting_ps += rest_service_ps(batch);
    }
    while (port->count + count - first > port->capacity) {
        port_queue_grow(worker, port);
    }
    for (uint32_t i = first; i < count; i++) {
        uint32_t at = (port->head + port->count++) & (port->capacity - 1);
        port->queue[at] = batch->packets[i];
        port_since(port)[at] = worker->start_ps + (uint64_t)(int64_t)batch->times_ps[i];
    }
}

/* What does not start is the queue, or goes behind it. */
INLINE void rest_queue(struct worker *worker, struct window_port *port, const struct port_batch *batch)
{
    uint32_t first = batch->start_count, count = batch->count - first;
    if (__builtin_expect(port->count != batch->waiting_count || count > MOVE_MAX, 0)) {
        rest_queue_behind(worker, port, batch);
        return;
    }
    port_room_change(worker, port, count);
    port->head = 0;
    port->count = count;
    port->waiting_ps = 0;
    if (count == 0) {
        return;
    }
    port->waiting_ps = rest_service_ps(batch);
    packets_move(&batch->packets[first], count, port->queue);
    times_move(&batch->times_ps[first], count, worker->start_ps, port_since(port));
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

/* ---- where little goes on ---------------------------------------------------------------------------------- */

/* What a switch has got where that is a few packets, each for a port of its own: no batch is made of those. */
enum { FEW_MAX = 4, FEW_ROOM = GROUP > FEW_MAX ? GROUP : FEW_MAX };
struct few {
    struct chunk *chunk; /* NULL: something else */
    uint32_t count;
    int32_t outs[FEW_ROOM];
    uint64_t ports; /* the same as bits */
};

/* The chunk of such a switch, NULL where there may be more packets, or they may have to wait for others. */
INLINE struct chunk *few_chunk(const struct worker *worker, const struct window_node *node, uint32_t node_id,
                               uint32_t *count)
{
    const struct window_core *core = worker->core;
    uintptr_t at = 0, others = 0;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        uintptr_t tail = core->workers[i].tails[(size_t)node_id << core->slot_bits | worker->slot];
        others |= tail != 0 ? at : 0;
        at = tail != 0 ? tail : at;
    }
    struct chunk *chunk = (struct chunk *)(at & ~(uintptr_t)CHUNK_ROOM_MASK);
    *count = CHUNK_PACKETS - (uint32_t)(at & CHUNK_ROOM_MASK);
    bool is_few = at != 0 && *count <= FEW_MAX && others == 0 && chunk->older == NULL;
    bool is_usual = node->is_plain && node->is_tree && node->port_count <= 64 && core->class_ports == NULL;
    return is_few && is_usual && core->waiting[node->waiting_first] == 0 ? chunk : NULL;
}

INLINE void few_find(const struct worker *worker, uint32_t node_id, struct few *few)
{
    const struct window_core *core = worker->core;
    const struct window_node *node = &core->nodes[node_id];
    struct chunk *chunk = few_chunk(worker, node, node_id, &few->count);
    few->chunk = NULL;
    if (chunk == NULL) {
        return;
    }
    for (uint32_t at = 0; at < few->count; at += GROUP) {
        group_route(node, &chunk->packets[at], few->outs + at);
    }
    uint64_t ports = 0, twice = 0;
    for (uint32_t i = 0; i < few->count; i++) {
        uint64_t bit = UINT64_C(1) << few->outs[i];
        twice |= ports & bit;
        ports |= bit;
        lines_prefetch(&core->ports[node->port_first + (uint32_t)few->outs[i]], 2);
    }
    few->ports = ports;
    few->chunk = twice == 0 ? chunk : NULL;
}

/* Packet by packet, as a batch would be that is not for the vector loops. */
static __attribute__((noinline)) void few_serve_slow(struct worker *worker, uint32_t node_id, uint32_t port_local,
                                                     uint32_t key, struct packet *packet)
{
    struct arrivals *arrivals = &worker->arrivals;
    arrivals->count = 0;
    arrivals_reserve(worker, 1);
    arrivals_add(arrivals, (int32_t)(key >> 1), packet);
    port_serve(worker, node_id, port_local, arrivals->items, arrivals->count);
}

static void few_serve(struct worker *worker, uint32_t node_id, const struct few *few)
{
    struct window_core *core = worker->core;
    const struct window_node *node = &core->nodes[node_id];
    struct chunk *chunk = few->chunk;
    uint64_t waits = 0, wake_ps = TIME_NEVER_PS;
    for (uint32_t i = 0; i < few->count; i++) {
        uint32_t out = (uint32_t)few->outs[i];
        struct window_port *port = &core->ports[node->port_first + out];
        uint64_t base_ps = port->free_ps > worker->start_ps ? port->free_ps - worker->start_ps : 0;
        if (!is_vector_port(worker, port) || base_ps >= BASE_PS_MAX || may_mark(port, base_ps) ||
            !lone_serve(worker, port, chunk->keys[i] >> core->key_shift, &chunk->packets[i])) {
            few_serve_slow(worker, node_id, out, chunk->keys[i], &chunk->packets[i]);
        }
        uint64_t is_left = all_if(port->count > 0), free_ps = port->free_ps | ~is_left;
        waits |= is_left & UINT64_C(1) << out;
        wake_ps = free_ps < wake_ps ? free_ps : wake_ps;
    }
    core->touched[node->waiting_first] |= few->ports;
    if (__builtin_expect(waits != 0, 0)) {
        core->waiting[node->waiting_first] = waits;
        node_wake(worker, node_id, wake_ps);
    }
    for (uint32_t i = 0; i < core->worker_count; i++) {
        chunks_free(worker, inbox_take(&core->workers[i], node_id, worker->slot));
    }
}

/* ---- the switches of a window ------------------------------------------------------------------------------- */

static void switch_serve(struct worker *worker, uint32_t node_id)
{
    struct window_core *core = worker->core;
    const struct window_node *node = &core->nodes[node_id];
    if (__builtin_expect(!node->is_plain, 0)) {
        switch_serve_scalar(worker, node_id);
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

/* What has got but a few packets waits for memory most of all, so the lines of all of them are fetched before any is served. */
void SWITCHES_SERVE(struct worker *worker, const uint32_t *nodes, uint32_t count)
{
    struct few few[SWITCHES_MAX];
    if (__builtin_expect(worker->end_ps - worker->start_ps != worker->core->width_ps, 0)) {
        for (uint32_t i = 0; i < count; i++) {
            switch_serve_scalar(worker, nodes[i]);
        }
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        lines_prefetch(&worker->core->nodes[nodes[i]], 3);
    }
    for (uint32_t i = 0; i < count; i++) {
        few_find(worker, nodes[i], &few[i]);
    }
    for (uint32_t i = 0; i < count; i++) {
        worker->node_next = i + 1 < count ? nodes[i + 1] : ID_NONE;
        if (few[i].chunk != NULL) {
            few_serve(worker, nodes[i], &few[i]);
        } else {
            switch_serve(worker, nodes[i]);
        }
    }
}
