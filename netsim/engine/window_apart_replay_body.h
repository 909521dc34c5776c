/* What came and left by each of the inputs that may pass a threshold in this window, in the order of time: a list for each, which
 * a sorting network orders, and a sum of its bytes up to each event. Part of window_apart_body.h.
 *
 *      inbox, log ─► list per input ─► sorted ─► bytes held after each event ─► first one beyond `high` (or down to `low`),
 *                                                                               from there on the first one down to `low` ...
 *
 * Where lists are too long, inputs too many or windows too wide, nothing is done, and the accounts go event by event. */
#include "netsim/engine/window_apart_port_body.h"

/* An event: when | kind, in the order of the law | place in the list, once it is sorted. */
enum replay_kind { REPLAY_LEFT, REPLAY_CAME, REPLAY_DROPPED };
enum { EVENT_KIND_BITS = 2, EVENT_PLACE_BITS = 6, EVENTS_MAX = 1 << EVENT_PLACE_BITS, EVENT_INPUTS_MAX = 32 };
enum { EVENT_VECTORS_MAX = EVENTS_MAX / LANES };
#ifdef PHOTONET_STRESS
enum { EVENTS_ROOM = 20 };
#else
enum { EVENTS_ROOM = EVENTS_MAX };
#endif

union event_block {
    lanes v[EVENT_VECTORS_MAX];
    int32_t each[EVENTS_MAX];
};
struct event_list {
    union event_block keys, bytes; /* of what left: below 0 */
};
struct events {
    uint32_t near_bits;                         /* ports with a list, where they are no more than 32 */
    uint8_t list_of[LAZY_PORTS_MAX + 1];        /* its number + 1; 0: not near */
    uint16_t ports[EVENT_INPUTS_MAX];           /* by list */
    uint32_t counts[EVENT_INPUTS_MAX];
    uint32_t list_count;
    struct event_list lists[EVENT_INPUTS_MAX];
};

/* ---- collecting ------------------------------------------------------------------------------------------- */

/* A bit per lane whose port has a list. */
INLINE uint32_t ports_listed(const struct lazy *at, const struct events *events, lanes ports)
{
    uint32_t bits = 0;
    if (__builtin_expect(at->node->port_count <= 32, 1)) {
        return bits_less(splat(0), splat((int32_t)events->near_bits) >> ports & splat(1));
    }
    for (uint32_t lane = 0; lane < LANES; lane++) {
        bits |= (uint32_t)(events->list_of[ports[lane]] > 0) << lane;
    }
    return bits;
}

/* What is too much overwrites what there is, but is counted. */
INLINE void event_put(struct events *events, uint32_t port, uint32_t when_ps, enum replay_kind kind, int32_t bytes)
{
    uint32_t list = events->list_of[port] - 1u, place = events->counts[list] & (EVENTS_MAX - 1);
    events->lists[list].keys.each[place] = (int32_t)(when_ps << EVENT_KIND_BITS | (uint32_t)kind);
    events->lists[list].bytes.each[place] = bytes;
    events->counts[list] += bytes != 0;
}

INLINE void came_list(const struct lazy *at, const struct chunk *chunk, struct events *events)
{
    uint32_t port_mask = (1u << (at->core->key_shift - 1)) - 1;
    for (uint32_t first = 0; first < chunk->count; first += LANES) {
        uint32_t left = chunk->count - first, here = lanes_first(left < LANES ? left : LANES);
        lanes ports = *(const lanes_loose *)&chunk->keys[first] >> 1 & splat((int32_t)port_mask);
        for (uint32_t bits = ports_listed(at, events, ports) & here; bits != 0; bits &= bits - 1) {
            uint32_t lane = first + (uint32_t)__builtin_ctz(bits), key = chunk->keys[lane];
            event_put(events, key >> 1 & port_mask, key >> at->core->key_shift, REPLAY_CAME,
                      (int32_t)chunk->packets[lane].size_bytes);
        }
    }
}

INLINE void left_list(const struct lazy *at, struct events *events)
{
    const struct left_log *log = &at->worker->left; /* of room for whole vectors */
    lanes port_mask = splat((LEFT_DROPPED >> LEFT_PORT_SHIFT) - 1);
    for (uint32_t first = 0; first < log->count; first += LANES) {
        uint32_t left = log->count - first, here = lanes_first(left < LANES ? left : LANES);
        lanes when_ps = *(const lanes_loose *)&log->when_ps[first];
        lanes ports = *(const lanes_loose *)&log->what[first] >> LEFT_PORT_SHIFT & port_mask;
        here &= bits_less(when_ps, splat((int32_t)at->core->width_ps));
        for (uint32_t bits = ports_listed(at, events, ports) & here; bits != 0; bits &= bits - 1) {
            uint32_t i = first + (uint32_t)__builtin_ctz(bits), what = log->what[i];
            event_put(events, what >> LEFT_PORT_SHIFT & (uint32_t)port_mask[0], (uint32_t)log->when_ps[i],
                      what & LEFT_DROPPED ? REPLAY_DROPPED : REPLAY_LEFT, -(int32_t)(what & PACKET_BYTES_MAX));
        }
    }
}

/* False: one of the lists is too long. */
INLINE bool events_collect(const struct lazy *at, struct events *events)
{
    const struct worker *worker = at->worker;
    bool have_room = true;
    for (uint32_t writer = 0; writer < at->core->worker_count; writer++) {
        for (const struct chunk *chunk = worker->taken[writer]; chunk != NULL; chunk = chunk->older) {
            came_list(at, chunk, events);
        }
    }
    left_list(at, events);
    for (uint32_t i = 0; i < events->list_count; i++) {
        have_room &= events->counts[i] <= EVENTS_ROOM;
    }
    return have_room;
}

/* ---- an input --------------------------------------------------------------------------------------------- */

/* What stands at these places of a block of so many vectors. */
INLINE lanes block_at(const union event_block *block, lanes place, uint32_t vectors)
{
#if SWITCH_LANES == 16
    __m512i at = (__m512i)place, low, high;
    if (vectors == 1) {
        return (lanes)_mm512_permutexvar_epi32(at, (__m512i)block->v[0]);
    }
    low = _mm512_permutex2var_epi32((__m512i)block->v[0], at, (__m512i)block->v[1]);
    if (vectors == 2) {
        return (lanes)low;
    }
    high = _mm512_permutex2var_epi32((__m512i)block->v[2], at, (__m512i)block->v[3]);
    return (lanes)_mm512_mask_mov_epi32(low, _mm512_test_epi32_mask(at, _mm512_set1_epi32(2 * LANES)), high);
#elif SWITCH_LANES == 8
    (void)vectors;
    return (lanes)_mm256_i32gather_epi32(block->each, (__m256i)place, 4);
#else
    (void)vectors;
    lanes found;
    for (uint32_t i = 0; i < LANES; i++) {
        found[i] = block->each[place[i]];
    }
    return found;
#endif
}

/* The list in order; in place of its bytes, how many more are held after each event. */
INLINE void events_sum(struct event_list *list, uint32_t count, uint32_t vectors)
{
    lanes key[EVENT_VECTORS_MAX], sum[EVENT_VECTORS_MAX];
    for (uint32_t v = 0; v < vectors; v++) {
        lanes is_event = lane_ids(v) < splat((int32_t)count);
        key[v] = pick(is_event, list->keys.v[v] << EVENT_PLACE_BITS | lane_ids(v), splat(INT32_MAX));
        list->bytes.v[v] &= is_event;
    }
    sort_block(key, vectors);
    for (uint32_t v = 0; v < vectors; v++) {
        lanes is_event = lane_ids(v) < splat((int32_t)count);
        sum[v] = block_at(&list->bytes, key[v] & splat((int32_t)(vectors * LANES) - 1), vectors) & is_event;
    }
    prefix_sum(sum, vectors);
    for (uint32_t v = 0; v < vectors; v++) {
        list->keys.v[v] = key[v] >> EVENT_PLACE_BITS;
        list->bytes.v[v] = sum[v];
    }
}

/* Pauses the link where the input passes `high`, lets it go on where it is down to `low`: one after the other. */
INLINE void events_tell(const struct lazy *at, uint32_t port, const struct event_list *list, uint32_t count, uint32_t vectors)
{
    struct input_class *input = input_of(at->core, at->node, port, 0);
    int64_t held_bytes = input->held_bytes, change_bytes = list->bytes.each[count - 1];
    uint64_t came = 0, todo = UINT64_MAX >> (64 - count), hits;
    for (uint32_t v = 0; v < vectors; v++) {
        lanes kind = list->keys.v[v] & splat((1 << EVENT_KIND_BITS) - 1);
        came |= (uint64_t)bits_less(kind ^ splat(REPLAY_CAME), splat(1)) << v * LANES;
    }
    for (;;) {
        bool is_paused = input->low_bytes >= 0;
        int64_t more_bytes = (is_paused ? input->low_bytes : input->high_bytes) - held_bytes;
        more_bytes = more_bytes > INT32_MAX ? INT32_MAX : more_bytes < INT32_MIN ? INT32_MIN : more_bytes;
        lanes limit = splat((int32_t)more_bytes);
        hits = 0;
        for (uint32_t v = 0; v < vectors; v++) {
            hits |= (uint64_t)bits_less(limit, list->bytes.v[v]) << v * LANES;
        }
        hits = (is_paused ? ~hits & ~came : hits & came) & todo;
        if (hits == 0) {
            break;
        }
        uint32_t i = (uint32_t)__builtin_ctzll(hits);
        uint64_t now_ps = at->worker->start_ps + (uint64_t)(list->keys.each[i] >> EVENT_KIND_BITS);
        todo &= (UINT64_MAX - 1) << i;
        if (is_paused) {
            input_empty(at->worker, at->node, port, 0, now_ps);
        } else {
            input_full(at->worker, at->node, port, 0, now_ps);
        }
    }
    input->held_bytes += change_bytes;
    at->node->used_bytes += (uint64_t)change_bytes;
}

INLINE void input_replay(const struct lazy *at, uint32_t port, struct event_list *list, uint32_t count, uint32_t vectors)
{
    events_sum(list, count, vectors);
    events_tell(at, port, list, count, vectors);
}

/* ---- the node --------------------------------------------------------------------------------------------- */

INLINE void event_lists_open(const struct lazy *at, const uint8_t *is_near, struct events *events)
{
    events->list_count = events->near_bits = 0;
    for (uint32_t port = 0; port < at->node->port_count; port++) {
        events->list_of[port] = is_near[port] ? (uint8_t)(events->list_count + 1) : 0;
        events->near_bits |= (uint32_t)(is_near[port] & (port < 32)) << port % 32;
        events->ports[events->list_count] = (uint16_t)port;
        events->counts[events->list_count] = 0;
        events->list_count += is_near[port];
    }
}

/* False: not to be had that simply, and nothing has been done. */
static __attribute__((noinline)) bool events_replay(const struct lazy *at, const uint8_t *is_near, uint32_t near_count)
{
    struct events events;
    uint64_t when_max = at->core->width_ps << (EVENT_KIND_BITS + EVENT_PLACE_BITS);
    if (near_count >= EVENT_INPUTS_MAX || when_max > INT32_MAX) {
        return false;
    }
    event_lists_open(at, is_near, &events);
    if (!events_collect(at, &events)) {
        return false;
    }
    for (uint32_t i = 0; i < near_count; i++) {
        uint32_t count = events.counts[i];
        if (count == 0) {
            continue;
        }
        if (count <= 16) {
            input_replay(at, events.ports[i], &events.lists[i], count, 16 / LANES);
        } else if (count <= 32) {
            input_replay(at, events.ports[i], &events.lists[i], count, 32 / LANES);
        } else {
            input_replay(at, events.ports[i], &events.lists[i], count, EVENT_VECTORS_MAX);
        }
    }
    return true;
}
