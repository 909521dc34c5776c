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
/* What a window's packets may take at one port, all together: with what is there already (below AGE_PS_MAX, and a packet more)
 * they leave within 31 bits. What is no port is never free before that. */
enum { QUICK_PS_MAX = 1 << 30 };
struct quick {
    lanes leave_ps[QUICK_ROWS + 1][QUICK_VECTORS], bytes[QUICK_ROWS][QUICK_VECTORS]; /* INT32_MIN, 0: no packet */
    int32_t per_byte; /* of all ports */
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
    if (port->is_busy) {
        quick_row(quick, lane, (int32_t)now_ps, (int32_t)port->in_service_bytes);
    }
    bool is_usual = (port->is_busy ? now_ps < AGE_PS_MAX : now_ps == 0) & ((int32_t)port->ps_per_byte == quick->per_byte);
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
    uint64_t per_byte = at->ports[at->node->route.up_port].ps_per_byte;
    if (per_byte * at->worker->packet_bytes_max * at->worker->arrivals.count > QUICK_PS_MAX) {
        return false;
    }
    for (uint32_t v = 0; v < vectors; v++) {
        lanes is_port = lane_ids(v) < splat((int32_t)ups);
        for (uint32_t row = 0; row <= QUICK_ROWS; row++) {
            quick->leave_ps[row][v] = pick(is_port, splat(INT32_MIN), splat(QUICK_PS_MAX));
        }
        for (uint32_t row = 0; row < QUICK_ROWS; row++) {
            quick->bytes[row][v] = ~is_port & splat(row == 0 ? INT32_MAX : 0); /* what is no port holds most */
        }
    }
    bool is_usual = true;
    quick->per_byte = (int32_t)per_byte;
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

/* One of them, in a general register: gcc would look for its number in a mask register. */
INLINE uint64_t bit_wanted(uint64_t bits, uint64_t hash)
{
    uint32_t wanted = rng_below(hash, (uint32_t)__builtin_popcountll(bits));
#ifdef __BMI2__
    uint64_t one = _pdep_u64(UINT64_C(1) << wanted, bits);
#else
    uint64_t one = UINT64_C(1) << bit_at(bits, wanted);
#endif
    __asm__("" : "+r"(one));
    return one;
}

INLINE void quick_put(struct quick *quick, uint32_t vectors, uint64_t one, int32_t size, int32_t now_ps)
{
    uint32_t lane = (uint32_t)__builtin_ctzll(one);
    for (uint32_t v = 0; v < vectors; v++) {
        lanes leaves_ps = max_lanes(quick->leave_ps[0][v], splat(now_ps)) + splat(size * quick->per_byte);
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

/* The ports that hold nothing. */
INLINE uint64_t quick_idle(const struct quick *quick, uint32_t vectors, int32_t now_ps)
{
    uint64_t bits = 0;
    for (uint32_t v = 0; v < vectors; v++) {
        bits |= (uint64_t)bits_less(quick->leave_ps[0][v], splat(now_ps + 1)) << v * LANES;
    }
    return bits;
}

/* How many have been dealt. A choice waits for the one before it; so which ports are idle for the next one is asked before it is
 * known which of them this one takes, which a few operations then take out: 13 cycles, where vectors and back take 22. */
INLINE uint32_t quick_deal(const struct lazy *at, const struct quick *from, uint32_t vectors, bool is_half)
{
    const struct worker *worker = at->worker;
    struct quick quick = *from; /* in registers */
    const uint64_t *items = worker->arrivals.items, *hashes = worker->arrivals.spare;
    uint32_t first = at->node->route.up_port, count = worker->arrivals.count, i = 0;
    uint32_t *batch_counts = worker->batch_count + first;
    struct apart_batch *batches = worker->apart_batches + first;
    int32_t now_ps = (int32_t)lazy_item_ps(at->core, items[0]), next_ps;
    uint64_t idle = quick_idle(&quick, vectors, now_ps), one;
    for (; i < count; i++, now_ps = next_ps) {
        int32_t size = (int32_t)((uint32_t)items[i] & PACKET_BYTES_MAX), left_ps = now_ps + size * quick.per_byte;
        next_ps = (int32_t)lazy_item_ps(at->core, items[i + (i + 1 < count)]);
        uint64_t then = quick_idle(&quick, vectors, next_ps), is_left = all_if(left_ps <= next_ps);
        if (idle != 0) {
            one = bit_wanted(idle, hashes[i]);
            quick_put(&quick, vectors, one, size, now_ps);
            idle = (then & ~one) | (one & is_left);
        } else {
            uint64_t lowest = quick_lowest(&quick, vectors, is_half, now_ps);
            if (__builtin_expect(lowest == 0, 0)) {
                break;
            }
            one = bit_wanted(lowest, hashes[i]);
            quick_put(&quick, vectors, one, size, now_ps);
            idle = quick_idle(&quick, vectors, next_ps);
        }
        uint32_t lane = (uint32_t)__builtin_ctzll(one);
        if (!batch_put(&batch_counts[lane], &batches[lane], items[i])) {
            break;
        }
    }
    return i;
}

static void choices_make(const struct lazy *at, bool may_drop)
{
    struct quick quick;
    uint32_t done = 0, ups = at->node->route.up_count;
    bool can = !may_drop && ups <= QUICK_VECTORS * LANES && at->grade_shift == 0; /* else more than idle ports hold least */
    if (can && quick_open(at, &quick, ups <= LANES ? 1 : QUICK_VECTORS)) {
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
