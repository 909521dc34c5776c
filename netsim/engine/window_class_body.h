/* A port of two classes of which one goes first, all lanes at once: small control packets before data, say. Part of
 * window_switch_body.h, whose sort and scan it uses.
 *
 *      queues ─► first class, last class ┐
 *                (what may start now)    ├─► sort by time ─► scan as of one FIFO ─► who overtakes whom ─► order of service
 *      arrivals ─────────────────────────┘
 *
 * The link is never idle while anything waits, so the work that a packet finds is the same in any order of service. All of
 * it goes before a packet of the last class, and so does what comes to the first class before that packet starts:
 *
 *      start = scan(arrival)  +  service of all of the first class that comes later than it, and before `start`
 *
 * which one pass over the first class, oldest first, finds: what would be too late for the sum so far is too late for good.
 * A packet of the first class comes behind those of the last one that have started by its arrival (a departure is before an
 * arrival of the same time), and starts when the packet in front of it has left.
 *
 * Of a long queue only what may start in this window takes part, and one lane stands for the rest. Bytes in the port, by
 * which packets may be marked or cut down, are never more than the scan says; where they may be too many for that, the port
 * goes packet by packet (window_class.c). */

enum { MIX_FIRST_MAX = 6 }; /* waiting packets of the class that goes first: there are hardly any */
enum { META_CLASS_SHIFT = 16, WORD_CLASS_SHIFT = 56 };

/* ---- what waits ------------------------------------------------------------------------------------------- */

INLINE bool is_ring_young(const struct worker *worker, const struct class_ring *ring)
{
    return ring->count == 0 || worker->start_ps - class_head(ring)->since_ps < AGE_PS_MAX;
}

INLINE uint32_t ring_copy(const struct worker *worker, const struct class_ring *ring, uint32_t count, uint32_t to,
                          struct port_batch *batch)
{
    for (uint32_t i = 0; i < count; i++, to++) {
        const struct class_waiting *waiting = &ring->items[(ring->head + i) & (ring->capacity - 1)];
        batch->packets[to] = waiting->packet;
        batch->times_ps[to] = (int32_t)(int64_t)(waiting->since_ps - worker->start_ps);
        batch->keys[to] = (int32_t)to - BATCH_PACKETS;
    }
    return to;
}

/* What may start in this window becomes the front of the port's batch, the first class in front; it stays in its rings too.
 * A port for which this cannot be done gets an empty front. */
INLINE void mix_waiting_deal(struct worker *worker, uint32_t port_id, uint32_t port_local)
{
    const struct window_core *core = worker->core;
    const struct window_port *port = &core->ports[port_id];
    const struct class_port *queues = &core->class_ports[port_id];
    const struct class_ring *last = &queues->rings[core->mix_last];
    const struct class_ring *first = core->mix_has_first ? &queues->rings[core->mix_first] : NULL;
    struct port_batch *batch = &worker->batches[port_local];
    uint64_t behind_bytes = port->queued_bytes - port->in_service_bytes;
    uint32_t at = 0, firsts = first != NULL ? first->count : 0;
    batch->waiting_count = 0;
    if (firsts > MIX_FIRST_MAX || !is_ring_young(worker, last) || (firsts > 0 && !is_ring_young(worker, first))) {
        return;
    }
    at = firsts > 0 ? ring_copy(worker, first, firsts, 0, batch) : 0;
    uint32_t lasts = last->count < core->mix_waiting_max ? last->count : core->mix_waiting_max;
    at = ring_copy(worker, last, lasts, at, batch);
    batch->behind_lane = BATCH_PACKETS;
    if (lasts < last->count) {
        for (uint32_t i = 0; i < at; i++) {
            behind_bytes -= batch->packets[i].size_bytes;
        }
        batch->behind_bytes = (int32_t)behind_bytes; /* of a port with too much, which is found out later */
        batch->behind_lane = at;
        batch->packets[at] = (struct packet){.class = (uint32_t)core->mix_last & 7};
        batch->times_ps[at] = batch->times_ps[at - 1];
        batch->keys[at] = (int32_t)at - BATCH_PACKETS;
        at++;
    }
    batch->waiting_count = at;
    worker->batch_count[port_local] = at;
}

/* ---- lanes ------------------------------------------------------------------------------------------------ */

#define JOINED(a, b) __builtin_shufflevector(a, b, LANE_IDS)

/* Size and class of each packet of the batch. */
INLINE lanes metas_of(const struct port_batch *batch, uint32_t vector)
{
    const words *in = (const words *)&batch->packets[vector * LANES];
    half parts[2];
    for (uint32_t i = 0; i < 2; i++) {
        words high = ODD(in[2 * i], in[2 * i + 1]);
        words size = high >> WORD_SIZE_SHIFT & splat_word(PACKET_BYTES_MAX);
        words class = high >> (WORD_CLASS_SHIFT - META_CLASS_SHIFT) & splat_word(UINT64_C(7) << META_CLASS_SHIFT);
        parts[i] = __builtin_convertvector(size | class, half);
    }
    return JOINED(parts[0], parts[1]);
}

/* each[i] = each[at[i]] */
INLINE void lanes_permute(lanes *each, const lanes *at, uint32_t vectors)
{
#if SWITCH_LANES == 16
    __m512i first = (__m512i)each[0], second = vectors > 1 ? (__m512i)each[1] : first;
    for (uint32_t v = 0; v < vectors; v++) {
        each[v] = vectors == 1 ? (lanes)_mm512_permutexvar_epi32((__m512i)at[v], first)
                               : (lanes)_mm512_permutex2var_epi32(first, (__m512i)at[v], second);
    }
#else
    union block in, places;
    for (uint32_t v = 0; v < vectors; v++) {
        in.v[v] = each[v];
        places.v[v] = at[v];
    }
    for (uint32_t v = 0; v < vectors; v++) {
        for (uint32_t i = 0; i < LANES; i++) {
            each[v][i] = in.each[places.each[v * LANES + i]];
        }
    }
#endif
}

/* ---- who overtakes whom ----------------------------------------------------------------------------------- */

/* All lanes of a port, in the order of their arrival, then of their service. */
struct mix {
    lanes place[VECTORS_MAX], time[VECTORS_MAX], size[VECTORS_MAX], service[VECTORS_MAX];
    lanes start[VECTORS_MAX], departure[VECTORS_MAX];
    uint32_t first; /* lanes of the class that goes first, as bits */
};

/* What comes to the first class later than a packet of the last one, and before that starts, is served before it. */
INLINE void mix_delay(struct mix *mix, uint32_t vectors, const union block *time, const union block *service)
{
    for (uint32_t left = mix->first; left != 0; left &= left - 1) {
        int32_t lane = __builtin_ctz(left);
        lanes time_ps = splat(time->each[lane]), service_ps = splat(service->each[lane]);
        for (uint32_t v = 0; v < vectors; v++) {
            mix->start[v] += service_ps & (mix->start[v] > time_ps) & (lane_ids(v) < splat(lane));
        }
    }
}

#if SWITCH_LANES == 16
/* One vector: where each lane comes from. The lanes of both classes keep their order among themselves. */
INLINE lanes mix_order(struct mix *mix, const union block *time)
{
    uint32_t first = mix->first, merged = 0, number = 0;
    for (uint32_t left = first; left != 0; left &= left - 1, number++) {
        lanes time_ps = splat(time->each[__builtin_ctz(left)]);
        uint32_t started = simd_mask_bits(_mm512_cmple_epi32_mask((__m512i)mix->start[0], (__m512i)time_ps)) & ~first;
        merged |= 1u << (number + (uint32_t)__builtin_popcount(started & 0xffff));
    }
    __m512i ids = (__m512i)lane_ids(0);
    __m512i lasts = _mm512_maskz_compress_epi32((__mmask16)~first, ids);
    __m512i firsts = _mm512_maskz_compress_epi32((__mmask16)first, ids);
    lasts = _mm512_maskz_expand_epi32((__mmask16)~merged, lasts);
    mix->first = merged;
    return (lanes)_mm512_mask_expand_epi32(lasts, (__mmask16)merged, firsts);
}

INLINE lanes moved_up_one(lanes a, int32_t fill)
{
    return moved_up(a, 1, splat(fill));
}

/* A run of the first class starts packet by packet, as what is in front of each has left: runs are short. */
INLINE void mix_firsts_start(struct mix *mix, int32_t base_ps)
{
    __mmask16 first = (__mmask16)mix->first;
    for (uint32_t runs = first; runs != 0; runs &= runs << 1) {
        lanes start = max_lanes(mix->time[0], moved_up_one(mix->departure[0], base_ps));
        mix->start[0] = (lanes)_mm512_mask_mov_epi32((__m512i)mix->start[0], first, (__m512i)start);
        mix->departure[0] = mix->start[0] + mix->service[0];
    }
}
#endif

/* Any number of vectors: a merge of the two classes. */
INLINE void mix_merge(struct mix *mix, uint32_t vectors, uint32_t count, int32_t base_ps, const union block *time,
                      const union block *service, union block *order)
{
    union block starts, sorted;
    uint32_t firsts = mix->first, lasts = lanes_first(count) & ~mix->first, merged = 0;
    int32_t free_ps = base_ps;
    for (uint32_t v = 0; v < vectors; v++) {
        starts.v[v] = mix->start[v];
        order->v[v] = lane_ids(v);
    }
    for (uint32_t i = 0; i < count; i++) {
        int32_t first = firsts != 0 ? __builtin_ctz(firsts) : 0, last = lasts != 0 ? __builtin_ctz(lasts) : 0;
        bool is_first = firsts != 0 && (lasts == 0 || starts.each[last] > time->each[first]);
        int32_t lane = is_first ? first : last;
        int32_t first_ps = time->each[first] > free_ps ? time->each[first] : free_ps;
        sorted.each[i] = is_first ? first_ps : starts.each[last];
        free_ps = sorted.each[i] + service->each[lane];
        order->each[i] = lane;
        merged |= (uint32_t)is_first << i;
        firsts &= is_first ? firsts - 1 : UINT32_MAX;
        lasts &= is_first ? UINT32_MAX : lasts - 1;
    }
    for (uint32_t i = count; i < vectors * LANES; i++) {
        sorted.each[i] = INT32_MAX / 2; /* behind all others */
    }
    for (uint32_t v = 0; v < vectors; v++) {
        mix->start[v] = sorted.v[v];
    }
    mix->first = merged;
}

/* From the order of arrivals to that of service. */
INLINE void mix_overtake(struct mix *mix, uint32_t vectors, uint32_t count, int32_t base_ps)
{
    union block time, service, order;
    for (uint32_t v = 0; v < vectors; v++) {
        time.v[v] = mix->time[v];
        service.v[v] = mix->service[v];
    }
    mix_delay(mix, vectors, &time, &service);
#if SWITCH_LANES == 16
    if (vectors == 1) {
        order.v[0] = mix_order(mix, &time);
        lanes_permute(mix->start, order.v, 1);
    } else {
        mix_merge(mix, vectors, count, base_ps, &time, &service, &order);
    }
#else
    mix_merge(mix, vectors, count, base_ps, &time, &service, &order);
#endif
    lanes_permute(mix->place, order.v, vectors);
    lanes_permute(mix->time, order.v, vectors);
    lanes_permute(mix->size, order.v, vectors);
    lanes_permute(mix->service, order.v, vectors);
    for (uint32_t v = 0; v < vectors; v++) {
        mix->departure[v] = mix->start[v] + mix->service[v];
    }
#if SWITCH_LANES == 16
    if (vectors == 1) {
        mix_firsts_start(mix, base_ps);
    }
#endif
}

/* ---- the most that was in the port ------------------------------------------------------------------------ */

/* Each arrival finds what has come, less what has left. `time` and `to` (the work up to each) by arrival, the rest by
 * service. */
static __attribute__((noinline)) void mix_record(const struct worker *worker, struct window_port *port,
                                                 const struct port_batch *batch, const union block *time,
                                                 const union block *to, const union block *service,
                                                 const union block *departure)
{
    uint32_t vectors = (batch->count + LANES - 1) / LANES;
    int32_t free_ps = port->free_ps > worker->start_ps ? (int32_t)(port->free_ps - worker->start_ps) : INT32_MIN;
    int32_t in_service_ps = (int32_t)(port->in_service_bytes * port->ps_per_byte);
    lanes top = splat(0);
    for (uint32_t v = 0; v < vectors; v++) {
        lanes work = to->v[v] + (splat(in_service_ps) & (time->v[v] < splat(free_ps)));
        for (uint32_t i = 0; i < batch->count; i++) {
            work -= splat(service->each[i]) & (time->v[v] >= splat(departure->each[i]));
        }
        lanes is_new = (lane_ids(v) < splat((int32_t)batch->count)) & (lane_ids(v) >= splat((int32_t)batch->waiting_count));
        top = max_lanes(top, work & is_new);
    }
    int32_t top_ps = top[0];
    for (uint32_t i = 1; i < LANES; i++) {
        top_ps = top[i] > top_ps ? top[i] : top_ps;
    }
    port_record(port, (uint32_t)top_ps / port->ps_per_byte);
}

/* ---- one port --------------------------------------------------------------------------------------------- */

INLINE void mix_sort(const struct window_core *core, const struct port_batch *batch, uint32_t vectors, lanes *place, lanes *key)
{
    lanes v[VECTORS_MAX];
    if (__builtin_expect(!core->has_place_bits, 0)) {
        batch_rank(batch, vectors, place, key);
        return;
    }
    keys_load(batch, vectors, v);
    sort_block(v, vectors);
    keys_part(v, vectors, place, key);
}

/* The lanes in the order of arrival; `to` becomes the work up to each of them. */
INLINE void mix_arrange(const struct window_core *core, const struct window_port *port, const struct port_batch *batch,
                        uint32_t vectors, struct mix *mix, lanes *to)
{
    lanes key[VECTORS_MAX], meta[VECTORS_MAX];
    mix_sort(core, batch, vectors, mix->place, key);
    for (uint32_t v = 0; v < vectors; v++) {
        meta[v] = metas_of(batch, v);
    }
    lanes_permute(meta, mix->place, vectors);
    mix->first = 0;
    for (uint32_t v = 0; v < vectors; v++) {
        lanes is_packet = lane_ids(v) < splat((int32_t)batch->count);
        lanes class = min_lanes(meta[v] >> META_CLASS_SHIFT, splat((int32_t)core->mix_class_max));
        lanes is_last = class == splat((int32_t)core->mix_last);
        mix->first |= bits_less(splat(0), ~is_last & is_packet & splat(1)) << v * LANES;
        mix->size[v] = meta[v] & splat(PACKET_BYTES_MAX) & is_packet;
        mix->time[v] = key[v] >> (int32_t)(core->key_shift - 1);
        if (v * LANES < MIX_FIRST_MAX + BATCH_WAITING_MAX + 1) { /* what waits is in front, where it was */
            lanes is_old = lane_ids(v) < splat((int32_t)batch->waiting_count);
            mix->time[v] = pick(is_old, *(const lanes *)&batch->times_ps[v * LANES], mix->time[v]);
            lanes is_behind = lane_ids(v) == splat((int32_t)batch->behind_lane);
            mix->size[v] = pick(is_behind & is_old, splat(batch->behind_bytes), mix->size[v]);
        }
        to[v] = mix->service[v] = mix->size[v] * splat((int32_t)port->ps_per_byte);
    }
    prefix_sum(to, vectors);
}

/* False: there may be too much in the port for the vector loops. Finds whether there may be more than ever. */
INLINE bool mix_is_calm(const struct window_port *port, const struct port_batch *batch, const struct mix *mix,
                        uint32_t vectors, int32_t slack_ps, bool *is_raised)
{
    lanes calm = splat(port->calm_ps < INT32_MAX ? (int32_t)port->calm_ps : INT32_MAX), work[VECTORS_MAX];
    uint32_t raised = 0, arrived = lanes_first(batch->count) & ~lanes_first(batch->waiting_count);
    for (uint32_t v = 0; v < vectors; v++) {
        /* The packet in service may be counted whole though some of it has left. */
        lanes waited = mix->start[v] > mix->time[v];
        work[v] = mix->departure[v] - mix->time[v] + (splat(slack_ps) & waited);
        raised |= bits_less(calm, work[v]) << v * LANES;
    }
    *is_raised = (raised & arrived) != 0;
    return !*is_raised || (lanes_marked(port, work, vectors) & arrived) == 0;
}

/* The lanes that start after the time that is asked for. */
static __attribute__((noinline)) void mix_sample(struct worker *worker, const struct window_port *port,
                                                 const struct port_batch *batch, const union block *start)
{
    for (uint32_t i = 0; i < batch->start_count; i++) {
        if ((uint64_t)start->each[i] > worker->sample_offset_ps) {
            port_sample(worker->core, port, batch->packets[i].size_bytes);
        }
    }
}

/* What is found is kept for when it happens, in the order of service. */
INLINE void mix_keep(struct worker *worker, const struct window_port *port, struct port_batch *batch, uint32_t vectors,
                     const struct mix *mix)
{
    uint32_t old = 0;
    lanes wait = splat(0), bytes = splat(0), old_bytes = splat(0), size[VECTORS_MAX];
    arrivals_find(worker, port, batch, vectors, mix->size, mix->start, mix->departure);
    for (uint32_t v = 0; v < vectors; v++) {
        lanes is_old = mix->place[v] < splat((int32_t)batch->waiting_count);
        lanes is_started = lane_ids(v) < splat((int32_t)batch->start_count);
        old |= bits_less(splat(0), is_old & splat(1)) << v * LANES;
        wait += (mix->start[v] - mix->time[v]) & is_started;
        bytes += mix->size[v] & is_started;
        old_bytes += mix->size[v] & is_started & is_old;
        *(lanes *)&batch->times_ps[v * LANES] = mix->time[v];
        *(lanes *)&batch->departures_ps[v * LANES] = mix->departure[v];
    }
    batch_sort(batch, mix->place, vectors, size);
    batch->first = mix->first;
    batch->old = old & lanes_first(batch->count);
    batch->wait_ps = sum_lanes(wait);
    batch->bytes = sum_lanes(bytes);
    batch->old_bytes = sum_lanes(old_bytes);
}

/* False: the port must go packet by packet. */
INLINE bool mix_lanes_scan(struct worker *worker, struct window_port *port, struct port_batch *batch, uint32_t vectors,
                           int32_t base_ps)
{
    const struct window_core *core = worker->core;
    struct mix mix;
    lanes to[VECTORS_MAX], top[VECTORS_MAX];
    int32_t slack_ps = (int32_t)port->service_ps[worker->packet_bytes_max];
    mix_arrange(core, port, batch, vectors, &mix, to);
    for (uint32_t v = 0; v < vectors; v++) {
        top[v] = mix.time[v] - (to[v] - mix.service[v]);
    }
    prefix_max(top, vectors);
    for (uint32_t v = 0; v < vectors; v++) {
        mix.departure[v] = to[v] + max_lanes(top[v], splat(base_ps));
        mix.start[v] = mix.departure[v] - mix.service[v];
    }
    bool is_raised;
    if (!mix_is_calm(port, batch, &mix, vectors, slack_ps, &is_raised)) {
        return false;
    }
    uint32_t behind = batch->behind_lane;
    if (behind < batch->waiting_count && mix.start[behind / LANES][behind % LANES] < (int32_t)core->width_ps) {
        return false; /* some of what is behind may start */
    }
    union block time;
    for (uint32_t v = 0; v < vectors; v++) {
        time.v[v] = mix.time[v];
    }
    if (mix.first != 0) {
        mix_overtake(&mix, vectors, batch->count, base_ps);
    }
    mix_keep(worker, port, batch, vectors, &mix);
    if (__builtin_expect(is_raised || worker->sample_offset_ps < core->width_ps, 0)) {
        union block by_arrival, service, start;
        for (uint32_t v = 0; v < vectors; v++) {
            by_arrival.v[v] = to[v];
            service.v[v] = mix.service[v];
            start.v[v] = mix.start[v];
        }
        if (is_raised) {
            mix_record(worker, port, batch, &time, &by_arrival, &service, (const union block *)batch->departures_ps);
        }
        if (worker->sample_offset_ps < core->width_ps) {
            mix_sample(worker, port, batch, &start);
        }
    }
    return true;
}

/* Of a port with classes: what becomes of the packets. */
static enum batch_way mix_scan(struct worker *worker, struct window_port *port, struct port_batch *batch)
{
    const struct window_core *core = worker->core;
    uint64_t base_ps = port->free_ps > worker->start_ps ? port->free_ps - worker->start_ps : 0;
    uint64_t waiting_bytes = port->queued_bytes - port->in_service_bytes;
    uint64_t work_ps = base_ps + waiting_bytes * port->ps_per_byte;
    if (!core->is_mix || !port_is_near(worker, port) || port->ps_per_byte == 0 || batch->count > BATCH_PACKETS ||
        (waiting_bytes > 0) != (batch->waiting_count > 0) || work_ps >= BASE_PS_MAX || may_mark(port, work_ps)) {
        return BATCH_SLOW;
    }
    peer_prefetch(worker, port);
    bool is_done;
    if (batch->count <= LANES) {
        is_done = mix_lanes_scan(worker, port, batch, 1, (int32_t)base_ps);
    } else if (batch->count <= 2 * LANES) {
        is_done = mix_lanes_scan(worker, port, batch, 2, (int32_t)base_ps);
    } else {
        is_done = mix_lanes_scan(worker, port, batch, VECTORS_MAX, (int32_t)base_ps);
    }
    return is_done ? BATCH_SCANNED : BATCH_SLOW;
}

/* ---- what has been found happens -------------------------------------------------------------------------- */

/* What has come and does not start goes behind its class's queue. */
INLINE void mix_rest_queue(struct worker *worker, struct window_port *port, struct class_port *queues,
                           const struct port_batch *batch)
{
    const struct window_core *core = worker->core;
    uint32_t rest = lanes_first(batch->count) & ~lanes_first(batch->start_count) & ~batch->old;
    for (; rest != 0; rest &= rest - 1) {
        uint32_t lane = (uint32_t)__builtin_ctz(rest);
        uint32_t class = batch->first >> lane & 1 ? core->mix_first : core->mix_last;
        struct class_waiting *place = class_place(worker, port, queues, class);
        place->packet = batch->packets[lane];
        place->since_ps = worker->start_ps + (uint64_t)(int64_t)batch->times_ps[lane];
        queues->rings[class].bytes += batch->packets[lane].size_bytes;
        port->queued_bytes += batch->packets[lane].size_bytes;
    }
}

/* What waited and starts leaves its ring. */
INLINE void mix_ring_leave(struct window_port *port, struct class_port *queues, uint32_t class, uint32_t count, uint64_t bytes)
{
    struct class_ring *ring = &queues->rings[class];
    ring->count -= count;
    ring->head = ring->count > 0 ? (ring->head + count) & (ring->capacity - 1) : 0; /* lines that are warm */
    ring->bytes -= bytes;
    queues->ready &= (uint8_t)~((uint32_t)(ring->count == 0) << class);
    port->count -= count;
    port->queued_bytes -= bytes;
}

INLINE void mix_old_leave(const struct window_core *core, struct window_port *port, struct class_port *queues,
                          const struct port_batch *batch)
{
    uint32_t old = lanes_first(batch->start_count) & batch->old, first_bytes = 0;
    if (__builtin_expect((old & batch->first) != 0, 0)) {
        for (uint32_t left = old & batch->first; left != 0; left &= left - 1) {
            first_bytes += (uint32_t)batch->packets[__builtin_ctz(left)].size_bytes;
        }
        mix_ring_leave(port, queues, core->mix_first, (uint32_t)__builtin_popcount(old & batch->first), first_bytes);
    }
    mix_ring_leave(port, queues, core->mix_last, (uint32_t)__builtin_popcount(old & ~batch->first),
                   (uint64_t)batch->old_bytes - first_bytes);
}

static void mix_send(struct worker *worker, struct window_port *port, const struct port_batch *batch)
{
    const struct window_core *core = worker->core;
    struct class_port *queues = &core->class_ports[port - core->ports];
    queues->packet_number += batch->count - batch->waiting_count;
    starts_send(worker, port, batch);
    if (__builtin_expect(batch->start_count > 0, 1)) {
        uint32_t last = batch->start_count - 1, size = (uint32_t)batch->packets[last].size_bytes;
        uint32_t class = batch->first >> last & 1 ? core->mix_first : core->mix_last;
        class_leave(port, queues);
        mix_old_leave(core, port, queues, batch);
        struct port_sent sent = {batch->start_count, (uint64_t)batch->bytes, (uint64_t)batch->bytes * port->ps_per_byte,
                                 (uint64_t)batch->wait_ps};
        sent_count(worker, port, &sent);
        port->free_ps = worker->start_ps + (uint64_t)batch->departures_ps[last];
        port->in_service_bytes = size;
        port->queued_bytes += size;
        queues->rings[class].bytes += size;
        queues->service_class = (uint8_t)class;
    }
    mix_rest_queue(worker, port, queues, batch);
}
