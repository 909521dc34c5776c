/* Adaptive choice among ports that hold next to nothing, which it is what makes them so. Part of window_apart_body.h.
 *
 * A port holds nothing once its last packet has left, so where one has, the choice is among those, by a single comparison, and
 * what leaves the others meanwhile is nobody's business. Where all have something, it is added up, from the few packets that
 * came last to each; a port with more than that of which it matters ends this, and what is left chooses as in
 * window_apart_choice_body.h. On the permutation of the benchmark, 8 ports, the former are 4 choices of 5, the end next to none.
 *
 *     row 0     1     2     3     4        of each port (lane) the newest packets: when they leave, bytes
 *       leave  leave leave leave  leave    row 0: when the port is free; row 4: whether more count than are here
 *       bytes  bytes bytes bytes */
#include "netsim/engine/window_apart_choice_body.h"

#ifdef PHOTONET_STRESS
enum { QUICK_ROWS = 1 };
#else
enum { QUICK_ROWS = 4 };
#endif
enum { QUICK_VECTORS = 2 };
struct quick {
    lanes leave_ps[QUICK_ROWS + 1][QUICK_VECTORS], bytes[QUICK_ROWS][QUICK_VECTORS]; /* INT32_MIN, 0: no packet */
    lanes per_byte[QUICK_VECTORS];
};

INLINE lanes put_where(lanes here, uint32_t vector, uint64_t one, uint32_t lane, lanes other)
{
#if SWITCH_LANES == 16
    (void)lane;
    return (lanes)_mm512_mask_mov_epi32((__m512i)here, (__mmask16)(one >> vector * LANES), (__m512i)other);
#else
    (void)one;
    return pick(lane_ids(vector) == splat((int32_t)lane), other, here);
#endif
}

static void quick_row(struct quick *quick, uint32_t lane, int32_t leave_ps, int32_t bytes)
{
    int32_t (*leaves)[QUICK_VECTORS * LANES] = (int32_t (*)[QUICK_VECTORS * LANES])quick->leave_ps;
    int32_t (*sizes)[QUICK_VECTORS * LANES] = (int32_t (*)[QUICK_VECTORS * LANES])quick->bytes;
    for (uint32_t row = QUICK_ROWS; row > 0; row--) {
        leaves[row][lane] = leaves[row - 1][lane];
    }
    for (uint32_t row = QUICK_ROWS - 1; row > 0; row--) {
        sizes[row][lane] = sizes[row - 1][lane];
    }
    leaves[0][lane] = leave_ps;
    sizes[0][lane] = bytes;
}

/* False: something there is unusual, or more than leaves in this window. */
INLINE bool quick_open_port(const struct lazy *at, uint32_t local, struct quick *quick, uint32_t lane)
{
    const struct window_port *port = &at->ports[local];
    const struct class_ring *ring = at->class_ports[local].rings;
    uint64_t now_ps = port->free_ps > at->worker->start_ps ? port->free_ps - at->worker->start_ps : 0;
    ((int32_t *)quick->per_byte)[lane] = (int32_t)port->ps_per_byte;
    if (port->is_busy) {
        quick_row(quick, lane, (int32_t)now_ps, (int32_t)port->in_service_bytes);
    }
    bool is_usual = port->is_busy | (now_ps == 0);
    for (uint32_t i = 0; i < ring->count; i++) {
        uint32_t size = (uint32_t)ring->items[(ring->head + i) & (ring->capacity - 1)].packet.size_bytes;
        is_usual &= now_ps < at->core->width_ps;
        if (!is_usual) {
            return false;
        }
        now_ps += size * port->ps_per_byte;
        quick_row(quick, lane, (int32_t)now_ps, (int32_t)size);
    }
    return is_usual;
}

INLINE bool quick_open(const struct lazy *at, struct quick *quick, uint32_t vectors)
{
    uint32_t ups = at->node->route.up_count;
    for (uint32_t v = 0; v < vectors; v++) {
        lanes is_port = lane_ids(v) < splat((int32_t)ups);
        for (uint32_t row = 0; row <= QUICK_ROWS; row++) {
            quick->leave_ps[row][v] = pick(is_port, splat(INT32_MIN), splat(INT32_MAX));
        }
        for (uint32_t row = 0; row < QUICK_ROWS; row++) {
            quick->bytes[row][v] = ~is_port & splat(row == 0 ? INT32_MAX : 0); /* what is no port holds most */
        }
        quick->per_byte[v] = splat(0);
    }
    bool is_usual = true;
    for (uint32_t i = 0; i < ups && is_usual; i++) {
        is_usual = quick_open_port(at, at->node->route.up_port + i, quick, i);
    }
    return is_usual;
}

/* The ports that hold least, as bits; 0: that is not to be seen here. */
INLINE uint64_t quick_lowest(const struct quick *quick, uint32_t vectors, bool is_half, int32_t now_ps)
{
    lanes held[QUICK_VECTORS], now = splat(now_ps), low;
    uint64_t bits = 0, deep = 0;
    for (uint32_t v = 0; v < vectors; v++) {
        held[v] = quick->bytes[0][v];
        for (uint32_t row = 1; row < QUICK_ROWS; row++) {
            held[v] += quick->bytes[row][v] & (quick->leave_ps[row][v] > now);
        }
        deep |= (uint64_t)bits_less(now, quick->leave_ps[QUICK_ROWS][v]) << v * LANES;
    }
    if (vectors == 1) {
        bits = lanes_lowest(held[0], is_half);
    } else {
        low = splat(lowest_lane(min_lanes(held[0], held[1])) + 1);
        bits = bits_less(held[0], low) | (uint64_t)bits_less(held[1], low) << LANES;
    }
    return (bits & deep) != 0 ? 0 : bits;
}

INLINE uint64_t bit_wanted(uint64_t bits, uint32_t wanted)
{
#ifdef __BMI2__
    return _pdep_u64(UINT64_C(1) << wanted, bits);
#else
    return UINT64_C(1) << bit_at(bits, wanted);
#endif
}

INLINE void quick_put(struct quick *quick, uint32_t vectors, uint64_t one, int32_t size, int32_t now_ps)
{
    uint32_t lane = (uint32_t)__builtin_ctzll(one);
    for (uint32_t v = 0; v < vectors; v++) {
        lanes leaves_ps = max_lanes(quick->leave_ps[0][v], splat(now_ps)) + splat(size) * quick->per_byte[v];
        for (uint32_t row = QUICK_ROWS; row > 0; row--) {
            quick->leave_ps[row][v] = put_where(quick->leave_ps[row][v], v, one, lane, quick->leave_ps[row - 1][v]);
        }
        for (uint32_t row = QUICK_ROWS - 1; row > 0; row--) {
            quick->bytes[row][v] = put_where(quick->bytes[row][v], v, one, lane, quick->bytes[row - 1][v]);
        }
        quick->leave_ps[0][v] = put_where(quick->leave_ps[0][v], v, one, lane, leaves_ps);
        quick->bytes[0][v] = put_where(quick->bytes[0][v], v, one, lane, splat(size));
    }
}

/* How many have been dealt. */
INLINE uint32_t quick_deal(const struct lazy *at, struct quick *from, uint32_t vectors, bool is_half)
{
    struct worker *worker = at->worker;
    struct quick quick = *from; /* in registers */
    const uint64_t *items = worker->arrivals.items, salt = at->node->salt;
    uint32_t first = at->node->route.up_port, count = worker->arrivals.count, i = 0;
    for (; i < count; i++) {
        int32_t now_ps = (int32_t)lazy_item_ps(at->core, items[i]), size = (int32_t)((uint32_t)items[i] & PACKET_BYTES_MAX);
        uint64_t hash = packet_path_hash(meta_packet(worker->chunks, (uint32_t)items[i]), salt), bits = 0;
        for (uint32_t v = 0; v < vectors; v++) {
            bits |= (uint64_t)bits_less(quick.leave_ps[0][v], splat(now_ps + 1)) << v * LANES;
        }
        if (bits == 0) {
            bits = quick_lowest(&quick, vectors, is_half, now_ps);
            if (__builtin_expect(bits == 0, 0)) {
                break;
            }
        }
        uint64_t one = bit_wanted(bits, rng_below(hash, (uint32_t)__builtin_popcountll(bits)));
        quick_put(&quick, vectors, one, size, now_ps);
        if (!batch_put(worker, first + (uint32_t)__builtin_ctzll(one), items[i])) {
            break;
        }
    }
    return i;
}

static void choices_make(const struct lazy *at, bool may_drop)
{
    struct quick quick;
    uint32_t done = 0, ups = at->node->route.up_count;
    if (!may_drop && ups <= QUICK_VECTORS * LANES && quick_open(at, &quick, ups <= LANES ? 1 : QUICK_VECTORS)) {
        if (ups <= LANES / 2) {
            done = quick_deal(at, &quick, 1, true);
        } else if (ups <= LANES) {
            done = quick_deal(at, &quick, 1, false);
        } else {
            done = quick_deal(at, &quick, QUICK_VECTORS, false);
        }
    }
    if (done < at->worker->arrivals.count) {
        choices_go_on(at, done, may_drop);
    }
}
