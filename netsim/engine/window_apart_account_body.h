/* What the inputs of the switch hold, and the pauses that follow: all ports have been served, their log says what left and when.
 * Part of window_apart_body.h. */
#include "netsim/engine/window_apart_replay_body.h"

/* ---- accounts --------------------------------------------------------------------------------------------- */

/* An item of a replay: when | what happens | port | bytes; at one time what leaves is before what comes. */
enum { REPLAY_PORT_SHIFT = META_SIZE_BITS, REPLAY_KIND_SHIFT = REPLAY_PORT_SHIFT + 10, REPLAY_WHEN_SHIFT = REPLAY_KIND_SHIFT + 2 };
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

/* Inputs that may pass a threshold: what came and left there, in order, where events_replay does not do it. */
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

/* ---- sums by port ------------------------------------------------------------------------------------------ */

/* Where a node has no more ports than this, sums by port stand in lanes, and a number is added where the lane is its port:
 * in memory a sum may wait for the one before it. */
enum { SUM_VECTORS = 2, SUM_PORTS_MAX = SWITCH_LANES == 16 ? SUM_VECTORS * LANES : 0 };
union port_sums {
    lanes v[SUM_VECTORS];
    int32_t each[SUM_VECTORS * LANES];
};
/* Numbers, each for a port. */
struct port_addends {
    int32_t ports[LANES], bytes[LANES];
};

INLINE bool are_sums_lanes(const struct lazy *at)
{
    return at->node->port_count <= SUM_PORTS_MAX;
}

INLINE void sums_add_to(union port_sums *sums, uint32_t vectors, struct port_addends *addends, uint32_t count)
{
#if SWITCH_LANES == 16
    __asm__("" : "+m"(*addends)); /* the compiler would take them out of vectors again */
#pragma GCC unroll 16
    for (uint32_t i = 0; i < count; i++) {
        __m512i port = _mm512_set1_epi32(addends->ports[i]), more = _mm512_set1_epi32(addends->bytes[i]);
        for (uint32_t v = 0; v < vectors; v++) {
            __mmask16 is_here = _mm512_cmpeq_epi32_mask((__m512i)lane_ids(v), port);
            sums->v[v] = (lanes)_mm512_mask_add_epi32((__m512i)sums->v[v], is_here, (__m512i)sums->v[v], more);
        }
    }
#else
    (void)sums, (void)vectors, (void)addends, (void)count;
#endif
}

INLINE void sums_add(const struct lazy *at, union port_sums *sums, struct port_addends *addends, uint32_t count)
{
    if (at->node->port_count <= LANES) {
        sums_add_to(sums, 1, addends, count);
    } else {
        sums_add_to(sums, SUM_VECTORS, addends, count);
    }
}

/* Bytes that have left, by the port through which they came: in four parts, as a sum waits for the one before it. */
enum { SUM_PARTS = 4 };
static void left_parts_sum(const struct lazy *at, int32_t *left_bytes)
{
    const struct left_log *left = &at->worker->left;
    uint32_t width_ps = (uint32_t)at->core->width_ps, port_count = at->node->port_count;
    int32_t parts[LAZY_PORTS_MAX][SUM_PARTS];
    memset(parts, 0, port_count * sizeof *parts);
    for (uint32_t i = 0; i < left->count; i++) {
        uint32_t what = (uint32_t)left->when_ps[i] < width_ps ? left->what[i] & ~(uint32_t)LEFT_DROPPED : 0;
        parts[what >> LEFT_PORT_SHIFT][i % SUM_PARTS] += (int32_t)(what & PACKET_BYTES_MAX);
    }
    for (uint32_t port = 0; port < port_count; port++) {
        left_bytes[port] = parts[port][0] + parts[port][1] + parts[port][2] + parts[port][3];
    }
}

/* The same in lanes. */
INLINE void left_lanes_sum(const struct lazy *at, int32_t *left_bytes)
{
    const struct left_log *left = &at->worker->left; /* of room for whole vectors */
    lanes width = splat((int32_t)at->core->width_ps), port_mask = splat((LEFT_DROPPED >> LEFT_PORT_SHIFT) - 1);
    union port_sums sums = {0};
    for (uint32_t first = 0; first < left->count; first += LANES) {
        struct port_addends addends;
        lanes what = *(const lanes_loose *)&left->what[first], when_ps = *(const lanes_loose *)&left->when_ps[first];
        lanes is_gone = (when_ps < width) & (lane_ids(0) < splat((int32_t)(left->count - first)));
        *(lanes_loose *)addends.bytes = what & splat(PACKET_BYTES_MAX) & is_gone;
        *(lanes_loose *)addends.ports = what >> LEFT_PORT_SHIFT & port_mask;
        sums_add(at, &sums, &addends, LANES);
    }
    for (uint32_t v = 0; v < SUM_VECTORS; v++) {
        *(lanes_loose *)&left_bytes[v * LANES] = sums.v[v];
    }
}

/* What came and left: of inputs that may pass a threshold in order, of the others at once. */
static void accounts_settle(const struct lazy *at, uint32_t packet_count)
{
    struct worker *worker = at->worker;
    struct input_class *inputs = input_of(at->core, at->node, 0, 0);
    int32_t left_sums[LAZY_PORTS_MAX];
    uint8_t is_near[LAZY_PORTS_MAX + 1];
    int64_t used_bytes = 0;
    uint32_t near_count = 0, port_count = at->node->port_count;
    if (are_sums_lanes(at)) {
        left_lanes_sum(at, left_sums);
    } else {
        left_parts_sum(at, left_sums);
    }
    for (uint32_t port = 0; port < port_count; port++) {
        struct input_class *input = &inputs[port];
        int64_t left_bytes = left_sums[port], came_bytes = worker->came_bytes[port], change_bytes = came_bytes - left_bytes;
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
    if (near_count > 0 && !events_replay(at, is_near, near_count)) {
        inputs_replay(at, is_near, packet_count);
    }
}
