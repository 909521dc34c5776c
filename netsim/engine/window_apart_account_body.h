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

/* Bytes that have left, by the port through which they came: in four parts, as a sum waits for the one before it. */
enum { SUM_PARTS = 4 };
INLINE void left_sum(const struct lazy *at, int32_t (*left_bytes)[SUM_PARTS])
{
    const struct left_log *left = &at->worker->left;
    uint32_t width_ps = (uint32_t)at->core->width_ps;
    for (uint32_t i = 0; i < left->count; i++) {
        uint32_t what = (uint32_t)left->when_ps[i] < width_ps ? left->what[i] & ~(uint32_t)LEFT_DROPPED : 0;
        left_bytes[what >> LEFT_PORT_SHIFT][i % SUM_PARTS] += (int32_t)(what & PACKET_BYTES_MAX);
    }
}

/* What came and left: of inputs that may pass a threshold in order, of the others at once. */
static void accounts_settle(const struct lazy *at, uint32_t packet_count)
{
    struct worker *worker = at->worker;
    struct input_class *inputs = input_of(at->core, at->node, 0, 0);
    int32_t left_parts[LAZY_PORTS_MAX][SUM_PARTS];
    uint8_t is_near[LAZY_PORTS_MAX + 1];
    int64_t used_bytes = 0;
    uint32_t near_count = 0, port_count = at->node->port_count;
    memset(left_parts, 0, port_count * sizeof *left_parts);
    left_sum(at, left_parts);
    for (uint32_t port = 0; port < port_count; port++) {
        struct input_class *input = &inputs[port];
        const int32_t *parts = left_parts[port];
        int64_t left_bytes = parts[0] + parts[1] + parts[2] + parts[3];
        int64_t came_bytes = worker->came_bytes[port], change_bytes = came_bytes - left_bytes;
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
