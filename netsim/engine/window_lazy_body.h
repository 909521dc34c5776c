/* A switch that is served whole (window_lazy.h): one text for all vector widths, included behind window_switch_body.h, whose
 * lanes it uses, with LAZY_SERVE as the function's name.
 *
 * What all ports are asked for stands in vectors of the worker, and is changed a vector at a time, since a vector that is
 * loaded waits for a word that has just been stored into it: when each port's packet in service has left, counted from
 * the start of the window (INT32_MAX: nothing is in service), and the bytes of each port where the choice is adaptive. */
#include "netsim/engine/window_lazy.h"

/* Ports of several classes; of one; of one, where what inputs hold is accounted for afterwards (window_apart_body.h). */
enum lazy_mode { LAZY_CLASSES, LAZY_SINGLE, LAZY_APART };

struct lazy {
    struct worker *worker;
    const struct window_core *core;
    struct window_node *node;
    struct window_port *ports;        /* of the node */
    struct class_port *class_ports;
    lanes *leave_ps, *backlog;
    uint32_t vectors, port_first, grade_shift;
    bool is_adaptive, has_backlogs, is_watched; /* watched: each packet sees what all ports have done, in order */
};

INLINE void lane_set(lanes *all, uint32_t at, int32_t value)
{
    lanes *vector = &all[at / LANES];
#if SWITCH_LANES == 16
    *vector = (lanes)_mm512_mask_set1_epi32((__m512i)*vector, (__mmask16)(1u << at % LANES), value);
#elif SWITCH_LANES == 8
    __m256i is_here = (__m256i)(lane_ids(0) == splat((int32_t)(at % LANES)));
    *vector = (lanes)_mm256_blendv_epi8((__m256i)*vector, (__m256i)splat(value), is_here);
#else
    *vector = pick(lane_ids(0) == splat((int32_t)(at % LANES)), splat(value), *vector);
#endif
}

INLINE int32_t lowest_lane(lanes a)
{
#if SWITCH_LANES == 16
    return _mm512_reduce_min_epi32((__m512i)a);
#elif SWITCH_LANES == 8
    __m128i low = _mm_min_epi32(_mm256_castsi256_si128((__m256i)a), _mm256_extracti128_si256((__m256i)a, 1));
    low = _mm_min_epi32(low, _mm_shuffle_epi32(low, 0x4e));
    return _mm_cvtsi128_si32(_mm_min_epi32(low, _mm_shuffle_epi32(low, 0xb1)));
#else
    int32_t low = a[0];
    for (uint32_t i = 1; i < LANES; i++) {
        low = a[i] < low ? a[i] : low;
    }
    return low;
#endif
}

/* ---- sending ---------------------------------------------------------------------------------------------- */

INLINE void lazy_send(const struct lazy *at, uint32_t local, uint32_t class, struct class_waiting *next, uint64_t now_ps)
{
    struct worker *worker = at->worker;
    struct window_port *port = &at->ports[local];
    struct link_use use = link_use_usual(worker, port, &next->packet);
    class_start(worker, at->port_first + local, class, next, now_ps, use, true);
    if (__builtin_expect(use.fate != LINK_CARRIES, 0)) {
        if (use.fate != LINK_LOSES) {
            class_deliver(worker, port, &next->packet, now_ps, use, true);
        }
    } else {
        packet_deliver(worker, port, &next->packet, now_ps - worker->start_ps, use.service_ps);
    }
    uint64_t leave_ps = port->free_ps - worker->start_ps;
    port->is_busy = true;
    lane_set(at->leave_ps, local, leave_ps < INT32_MAX ? (int32_t)leave_ps : INT32_MAX - 1);
}

/* A port that is free sends what may go. */
INLINE void lazy_start(const struct lazy *at, uint32_t local, uint64_t now_ps, enum lazy_mode mode)
{
    struct window_port *port = &at->ports[local];
    struct class_port *queues = &at->class_ports[local];
    uint32_t class = 0;
    struct class_waiting *next = NULL;
    if (!mode) {
        next = class_next(port, queues, UINT32_MAX, &class, true);
    } else if (port->count > 0 && class_is_open(queues, 0, class_head(queues->rings)->packet.size_bytes)) {
        next = class_pop(port, queues, 0);
    }
    if (next != NULL) {
        lazy_send(at, local, class, next, now_ps);
    }
}

INLINE void lazy_departed(const struct lazy *at, uint32_t local, enum lazy_mode mode)
{
    struct window_port *port = &at->ports[local];
    struct class_port *queues = &at->class_ports[local];
    uint64_t now_ps = port->free_ps;
    port->is_busy = false;
    class_leave(port, queues);
    if (mode == LAZY_APART) {
        left_put(at->worker, (int32_t)(now_ps - at->worker->start_ps), queues->service_in_port, queues->service_in_bytes);
    } else {
        input_left(at->worker, at->node, queues->service_in_port, queues->service_in_class, queues->service_in_bytes,
                   now_ps);
    }
    if (at->has_backlogs) {
        lane_set(at->backlog, local, (int32_t)port->queued_bytes);
    }
    lane_set(at->leave_ps, local, INT32_MAX);
    lazy_start(at, local, now_ps, mode);
}

/* ---- making up for what has happened ---------------------------------------------------------------------- */

INLINE int32_t lazy_leave_ps(const struct lazy *at, uint32_t local)
{
    return ((const int32_t *)at->leave_ps)[local];
}

INLINE void port_catch_up(const struct lazy *at, uint32_t local, int32_t until_ps, enum lazy_mode mode)
{
    while (lazy_leave_ps(at, local) <= until_ps) {
        lazy_departed(at, local, mode);
    }
}

/* One departure after the other: by time, then by port. */
INLINE void ports_catch_up_in_order(const struct lazy *at, int32_t until_ps, enum lazy_mode mode)
{
    for (;;) {
        lanes low = at->leave_ps[0];
        for (uint32_t v = 1; v < at->vectors; v++) {
            low = pick(at->leave_ps[v] < low, at->leave_ps[v], low);
        }
        int32_t first_ps = lowest_lane(low);
        if (first_ps > until_ps) {
            return;
        }
        uint32_t v = 0, bits;
        while ((bits = bits_less(at->leave_ps[v], splat(first_ps + 1))) == 0) {
            v++;
        }
        lazy_departed(at, v * LANES + (uint32_t)__builtin_ctz(bits), mode);
    }
}

INLINE void ports_catch_up(const struct lazy *at, int32_t until_ps, enum lazy_mode mode)
{
    if (mode != LAZY_APART && (at->is_watched || at->node->pausing_count > 0)) {
        ports_catch_up_in_order(at, until_ps, mode);
        return;
    }
    for (uint32_t v = 0; v < at->vectors; v++) {
        for (uint32_t bits = bits_less(at->leave_ps[v], splat(until_ps + 1)); bits != 0; bits &= bits - 1) {
            port_catch_up(at, v * LANES + (uint32_t)__builtin_ctz(bits), until_ps, mode);
        }
    }
}

/* ---- choosing --------------------------------------------------------------------------------------------- */

/* The wanted-th bit that is set. */
INLINE uint32_t bit_at(uint64_t bits, uint32_t wanted)
{
#ifdef __BMI2__
    return (uint32_t)__builtin_ctzll(_pdep_u64(UINT64_C(1) << wanted, bits));
#else
    while (wanted-- > 0) {
        bits &= bits - 1;
    }
    return (uint32_t)__builtin_ctzll(bits);
#endif
}

/* Least backlog among consecutive ports, as port_least of window_coupled.c. Without a branch on ties: they come and go. */
INLINE uint32_t lanes_least(const struct lazy *at, uint32_t first, uint32_t count, const struct packet *packet)
{
    uint32_t v_first = first / LANES, vectors = (first + count - 1) / LANES + 1 - v_first, ties = 0, v = 0;
    lanes here[LAZY_PORTS_MAX / LANES + 1], low = splat(INT32_MAX);
    uint64_t bits[LAZY_PORTS_MAX / LANES + 1], hash = packet_choice(&at->core->config, packet, at->node->id, at->node->salt);
    for (uint32_t i = 0; i < vectors; i++) {
        lanes place = lane_ids(v_first + i) - splat((int32_t)first);
        lanes is_outside = (place < splat(0)) | (place >= splat((int32_t)count));
        here[i] = max_lanes(at->backlog[v_first + i] >> (int32_t)at->grade_shift, is_outside & splat(INT32_MAX));
        low = pick(here[i] < low, here[i], low);
    }
    lanes least = splat(lowest_lane(low) + 1);
    for (uint32_t i = 0; i < vectors; i++) {
        bits[i] = bits_less(here[i], least);
        ties += (uint32_t)__builtin_popcountll(bits[i]);
    }
    uint32_t wanted = rng_below(hash, ties);
    for (uint32_t in; wanted >= (in = (uint32_t)__builtin_popcountll(bits[v])); v++) {
        wanted -= in;
    }
    return (v_first + v) * LANES + bit_at(bits[v], wanted);
}

/* The same where they stand in one vector, v, of which `is_outside` masks the others. */
INLINE uint32_t lanes_least_of(const struct lazy *at, uint32_t v, lanes is_outside, uint64_t hash)
{
    lanes here = max_lanes(at->backlog[v], is_outside & splat(INT32_MAX));
    uint32_t bits = bits_less(here, splat(lowest_lane(here) + 1));
    return v * LANES + bit_at(bits, rng_below(hash, (uint32_t)__builtin_popcount(bits)));
}

INLINE uint32_t choice_least(const struct lazy *at, const struct port_set *set, const struct packet *packet)
{
    if (at->has_backlogs && set->list == NULL) {
        return lanes_least(at, set->first, set->count, packet);
    }
    return port_least(at->core, at->port_first, set,
                      packet_choice(&at->core->config, packet, at->node->id, at->node->salt), at->grade_shift);
}

/* Sees what the ports have done by now as far as it matters. */
INLINE uint32_t lazy_choose(const struct lazy *at, const struct packet *packet, int32_t offset_ps, enum lazy_mode mode)
{
    struct port_set set = node_set(at->core, at->node, packet);
    DASSERT(set.count > 0); /* base routes lead everywhere */
    bool is_choice = set.count > 1, is_by_backlog = is_choice && at->is_adaptive;
    if (is_by_backlog || at->is_watched || at->node->pausing_count > 0) {
        ports_catch_up(at, offset_ps, mode);
    }
    if (is_by_backlog) {
        return choice_least(at, &set, packet);
    }
    return route_choose(&set, is_choice ? packet_choice(&at->core->config, packet, at->node->id, at->node->salt) : 0);
}

/* ---- arriving --------------------------------------------------------------------------------------------- */

/* Nothing else is done to what does not fit. */
static __attribute__((noinline)) bool apart_drop(const struct lazy *at, uint32_t local, const struct packet *packet,
                                                 uint32_t in_port, int32_t offset_ps)
{
    struct window_port *port = &at->ports[local];
    port->dropped_packets++;
    port->dropped_bytes += packet->size_bytes;
    at->worker->in_flight--;
    left_put(at->worker, offset_ps, in_port, packet->size_bytes | LEFT_DROPPED);
    return false;
}

/* Drops or trims. */
static __attribute__((noinline)) bool lazy_overflow(const struct lazy *at, uint32_t local, uint32_t class,
                                                    const struct packet *packet, uint32_t in_port, uint64_t now_ps)
{
    struct class_waiting waiting = {.packet = *packet, .since_ps = now_ps, .in_port = in_port,
                                    .in_bytes = packet->size_bytes, .in_class = (uint8_t)class};
    return class_overflow(at->worker, at->node, at->port_first + local, class, &waiting, now_ps, true);
}

/* To a port that has nothing to do: it need not wait. */
INLINE void lazy_pass(const struct lazy *at, uint32_t local, uint32_t class, const struct packet *packet, uint32_t in_port,
                      uint64_t now_ps)
{
    struct class_port *queues = &at->class_ports[local];
    const struct queue_class *rule = &queues->profile->class[class];
    struct class_waiting waiting = {.packet = *packet, .since_ps = now_ps, .in_port = in_port,
                                    .in_bytes = packet->size_bytes, .in_class = (uint8_t)class};
    if (rule->mark == MARK_ENQUEUE) {
        class_mark(at->core, at->port_first + local, queues, rule, &waiting.packet, queues->rings[class].bytes);
    }
    class_count_bytes(&at->ports[local], &queues->rings[class], packet->size_bytes);
    lazy_send(at, local, class, &waiting, now_ps);
}

/* More than it may hold, it seems: if not all departures have been looked at, it may not be so. */
static __attribute__((noinline)) void lazy_look(const struct lazy *at, int32_t until_ps)
{
    if (at->class_ports->profile->class_count == 1) {
        ports_catch_up(at, until_ps, LAZY_SINGLE);
    } else {
        ports_catch_up(at, until_ps, LAZY_CLASSES);
    }
}

/* A packet has come to its port, whose departures are made up for. */
INLINE void lazy_admit(const struct lazy *at, uint32_t local, const struct packet *packet, uint32_t in_port, int32_t offset_ps,
                       enum lazy_mode mode)
{
    struct worker *worker = at->worker;
    uint64_t now_ps = worker->start_ps + (uint64_t)offset_ps;
    uint32_t size_bytes = packet->size_bytes;
    struct window_port *port = &at->ports[local];
    struct class_port *queues = &at->class_ports[local];
    uint32_t class = mode == LAZY_CLASSES ? class_of(queues->profile, packet) : 0;
    queues->packet_number++;
    bool is_fitting = class_fits(at->node, port, queues, class, size_bytes, mode != LAZY_APART), is_queued = true;
    if (mode != LAZY_APART) {
        input_came(worker, at->node, in_port, class, size_bytes, now_ps);
    }
    if (__builtin_expect(!is_fitting, 0)) {
        is_queued = mode == LAZY_APART ? apart_drop(at, local, packet, in_port, offset_ps)
                                       : lazy_overflow(at, local, class, packet, in_port, now_ps);
    } else if (!port->is_busy && port->count == 0 && class_is_open(queues, class, size_bytes)) {
        lazy_pass(at, local, class, packet, in_port, now_ps);
        is_queued = false;
    } else {
        class_admit(worker, at->node, at->port_first + local, true, class, packet, in_port, class, now_ps, true);
    }
    if (at->has_backlogs) {
        lane_set(at->backlog, local, (int32_t)port->queued_bytes);
    }
    if (is_queued && __builtin_expect(!port->is_busy, 0)) {
        lazy_start(at, local, now_ps, mode);
    }
}

INLINE void lazy_arrived(const struct lazy *at, uint64_t item, enum lazy_mode mode)
{
    const struct packet *packet = at->worker->arrivals.where[lazy_item_at(item)];
    uint32_t in_port = lazy_item_port(at->core, item);
    int32_t offset_ps = (int32_t)lazy_item_ps(at->core, item);
    uint32_t local = lazy_choose(at, packet, offset_ps, mode);
    port_catch_up(at, local, offset_ps, mode);
    uint32_t class = mode == LAZY_CLASSES ? class_of(at->class_ports[local].profile, packet) : 0;
    const struct input_class *input = input_of(at->core, at->node, in_port, class);
    if (__builtin_expect(input->held_bytes + (int64_t)packet->size_bytes > input->high_bytes, 0)) {
        lazy_look(at, offset_ps);
    }
    lazy_admit(at, local, packet, in_port, offset_ps, mode);
}

static __attribute__((noinline)) void lazy_frame(const struct lazy *at, uint64_t item)
{
    struct worker *worker = at->worker;
    uint32_t local = lazy_frame_port(at->core, item);
    uint64_t offset_ps = lazy_frame_ps(at->core, item);
    if (at->is_watched || at->node->pausing_count > 0) {
        lazy_look(at, (int32_t)offset_ps);
    } else {
        port_catch_up(at, local, (int32_t)offset_ps, LAZY_CLASSES);
    }
    const struct packet *frame = lazy_frame_packet(&worker->frames, item);
    if (frame_obey(&at->class_ports[local], frame, worker->start_ps + offset_ps) && !at->ports[local].is_busy) {
        lazy_start(at, local, worker->start_ps + offset_ps, LAZY_CLASSES);
    }
}

/* ---- the node --------------------------------------------------------------------------------------------- */

/* Packets and frames in order; of the same time frames first. */
INLINE void lazy_walk(const struct lazy *at, enum lazy_mode mode)
{
    struct worker *worker = at->worker;
    const struct frames *frames = &worker->frames;
    const uint64_t *items = worker->arrivals.items;
    uint32_t frame = 0;
    for (uint32_t i = 0; i < worker->arrivals.count; i++) {
        uint64_t offset_ps = lazy_item_ps(at->core, items[i]);
        while (frame < frames->count && lazy_frame_ps(at->core, frames->items[frame]) <= offset_ps) {
            lazy_frame(at, frames->items[frame++]);
        }
        if (i % 4 == 0) {
            next_port_prefetch(worker);
        }
        lazy_arrived(at, items[i], mode);
    }
    while (frame < frames->count) {
        lazy_frame(at, frames->items[frame++]);
    }
    ports_catch_up(at, (int32_t)at->core->width_ps - 1, mode);
}

/* What waits and is in service at the start. False where a port is dark. */
static bool lazy_open(const struct lazy *at)
{
    const uint64_t *waiting = &at->core->waiting[at->node->waiting_first];
    for (uint32_t word = 0; word * 64 < at->node->port_count; word++) {
        for (uint64_t bits = waiting[word]; bits != 0; bits &= bits - 1) {
            uint32_t local = word * 64 + (uint32_t)__builtin_ctzll(bits);
            const struct window_port *port = &at->ports[local];
            uint64_t leave_ps = port->free_ps - at->worker->start_ps;
            if (port->is_dark) {
                return false;
            }
            at->worker->leave_ps[local] = leave_ps < INT32_MAX ? (int32_t)leave_ps : INT32_MAX - 1;
        }
    }
    return true;
}

/* Backlogs as words of 32 bits, unless so much is here that they might not fit, or be of one grade with what is no port. */
static bool backlogs_load(const struct lazy *at, uint32_t arrivals)
{
    uint64_t bytes_max = at->node->used_bytes + (uint64_t)arrivals * PACKET_BYTES_MAX;
    if (!at->is_adaptive || bytes_max >= INT32_MAX / 2) {
        return false;
    }
    for (uint32_t local = 0; local < at->node->port_count; local++) {
        at->worker->backlog[local] = (int32_t)at->ports[local].queued_bytes;
    }
    return true;
}

/* Bits of the ports that are busy; the node is woken for the first one. `leave_ps` is left as it was found. */
static void lazy_close(const struct lazy *at, uint32_t node_id, bool is_served)
{
    uint64_t *waiting = &at->core->waiting[at->node->waiting_first];
    lanes low = splat(INT32_MAX);
    for (uint32_t word = 0; word * 64 < at->node->port_count; word++) {
        uint64_t busy = 0;
        for (uint32_t v = 0; v < 64 / LANES; v++) {
            lanes *leave_ps = &at->leave_ps[word * (64 / LANES) + v];
            busy |= (uint64_t)bits_less(*leave_ps, splat(INT32_MAX)) << v * LANES;
            low = pick(*leave_ps < low, *leave_ps, low);
            *leave_ps = splat(INT32_MAX);
        }
        waiting[word] = is_served ? busy : waiting[word];
    }
    int32_t first_ps = lowest_lane(low);
    if (is_served && first_ps < INT32_MAX) {
        node_wake(at->worker, node_id, at->worker->start_ps + (uint64_t)first_ps);
    }
}

static bool lazy_can(const struct worker *worker, const struct window_node *node)
{
    const struct window_core *core = worker->core;
    return worker->end_ps - worker->start_ps == core->width_ps && worker->packet_bytes_max <= node->near_bytes_max;
}

static void lazy_node(struct lazy *at, uint32_t node_id)
{
    struct worker *worker = at->worker;
    if (__builtin_expect(!lazy_open(at), 0)) {
        lazy_close(at, node_id, false);
        coupled_serve(worker, node_id);
        return;
    }
    next_node_prefetch(worker);
    worker->port_next = 0;
    lazy_take(worker, node_id);
    at->has_backlogs = backlogs_load(at, worker->arrivals.count);
    if (at->class_ports->profile->class_count == 1) {
        lazy_walk(at, LAZY_SINGLE);
    } else {
        lazy_walk(at, LAZY_CLASSES);
    }
    arrivals_release(worker);
    lazy_close(at, node_id, true);
}
