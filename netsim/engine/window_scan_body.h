/* What becomes of the packets of a port, all lanes at once: the (max,+) scan over a sorted batch, what may be marked, how full
 * the port was. Nothing happens yet. Part of window_switch_body.h. */

/* ---- one port, all lanes at once -------------------------------------------------------------------------- */

#if SWITCH_LANES == 16
#define MOVED_UP(a, d, fill) ((lanes)_mm512_alignr_epi32((__m512i)(a), (__m512i)(fill), 16 - (d)))
#else
#define UP(lane, d)          ((lane) < (d) ? (lane) : LANES + (lane) - (d))
#define MOVED_UP(a, d, fill) __builtin_shufflevector(fill, a, EACH(UP, d))
#endif
INLINE lanes moved_up(lanes a, uint32_t distance, lanes fill)
{
    switch (distance) {
    case 1:
        return MOVED_UP(a, 1, fill);
    case 2:
        return MOVED_UP(a, 2, fill);
#if SWITCH_LANES >= 8
    case 4:
        return MOVED_UP(a, 4, fill);
#endif
    default:
#if SWITCH_LANES == 16
        return MOVED_UP(a, 8, fill);
#else
        return a;
#endif
    }
}

INLINE void prefix_sum(lanes *v, uint32_t vectors)
{
    for (uint32_t i = 0; i < vectors; i++) {
#pragma GCC unroll 4
        for (uint32_t distance = 1; distance < LANES; distance *= 2) {
            v[i] += moved_up(v[i], distance, splat(0));
        }
        v[i] += i > 0 ? splat(v[i - 1][LANES - 1]) : splat(0);
    }
}

INLINE void prefix_max(lanes *v, uint32_t vectors)
{
    for (uint32_t i = 0; i < vectors; i++) {
#pragma GCC unroll 4
        for (uint32_t distance = 1; distance < LANES; distance *= 2) {
            v[i] = max_lanes(v[i], moved_up(v[i], distance, splat(INT32_MIN)));
        }
        v[i] = i > 0 ? max_lanes(v[i], splat(v[i - 1][LANES - 1])) : v[i];
    }
}

/* A port whose batch is scanned. The steps take several of these together: none of their chains needs what another finds, so
 * they fill each other's waits. */
struct scan {
    struct window_port *port;
    struct port_batch *batch;
    lanes place[VECTORS_MAX], key[VECTORS_MAX], size[VECTORS_MAX], time[VECTORS_MAX], service[VECTORS_MAX];
    lanes to[VECTORS_MAX], top[VECTORS_MAX], start[VECTORS_MAX], departure[VECTORS_MAX];
};
INLINE void service_find(const struct window_port *port, const lanes *size, uint32_t vectors, lanes *service)
{
    if (__builtin_expect(port->ps_per_byte != 0, 1)) {
        for (uint32_t v = 0; v < vectors; v++) {
            service[v] = size[v] * splat((int32_t)port->ps_per_byte);
        }
        return;
    }
    union block sizes, services;
    for (uint32_t v = 0; v < vectors; v++) {
        sizes.v[v] = size[v];
    }
    for (uint32_t i = 0; i < vectors * LANES; i++) { /* no packet has size 0, and that takes no time */
        services.each[i] = (int32_t)port->service_ps[sizes.each[i]];
    }
    for (uint32_t v = 0; v < vectors; v++) {
        service[v] = services.v[v];
    }
}

INLINE uint32_t lanes_first(uint32_t count)
{
    return (uint32_t)((UINT64_C(1) << count) - 1);
}

/* Where the packets that start will be, and when. */
INLINE void arrivals_find(const struct worker *worker, const struct window_port *port, struct port_batch *batch,
                          uint32_t vectors, const lanes *size, const lanes *start, const lanes *departure)
{
    const struct window_core *core = worker->core;
    lanes width = splat((int32_t)core->width_ps);
    uint32_t starts = 0, here = 0, near = 0;
    for (uint32_t v = 0; v < vectors; v++) {
        lanes ahead = departure[v], whole = splat(1);
        if (__builtin_expect(port->is_peer_cut, 0)) {
            lanes is_cut = size[v] > splat((int32_t)core->config.cut_through_bytes);
            ahead = pick(is_cut, start[v] + splat((int32_t)port->cut_service_ps), ahead);
            whole &= ~is_cut;
        }
        ahead += splat((int32_t)port->reach_ps);
        lanes offset = ahead - (width & (ahead >= width)) - (width & (ahead >= width + width));
        *(lanes *)&batch->keys_out[v * LANES] =
            offset << (int32_t)core->key_shift | splat((int32_t)port->peer_port << 1) | whole;
        starts |= bits_less(start[v], width) << v * LANES;
        here |= bits_less(ahead, width) << v * LANES;
        near |= bits_less(ahead, width + width) << v * LANES;
    }
    starts &= lanes_first(batch->count);
    batch->start_count = (uint32_t)__builtin_popcount(starts); /* times ascend: these are the first lanes */
    batch->here = (uint32_t)__builtin_popcount(starts & here);
    batch->near = (uint32_t)__builtin_popcount(starts & near);
}

/* Bytes in the port as each packet arrives, itself counted; the largest. Exact, all that waits included. */
static __attribute__((noinline)) uint64_t queue_top(const struct worker *worker, const struct window_port *port,
                                                    const struct port_batch *batch, const int32_t *sizes)
{
    uint32_t left = port->count - batch->waiting_count, at = port->head, gone = 0;
    int64_t bytes = port->in_service_bytes, first = bytes, top = 0;
    uint64_t leaves_ps = port->free_ps; /* when the first of `bytes` is gone */
    for (uint32_t i = 0; i < left; i++) {
        bytes += port->queue[(at + i) & (port->capacity - 1)].size_bytes;
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        uint64_t now_ps = worker->start_ps + (uint64_t)(int64_t)batch->times_ps[i];
        while (first > 0 && leaves_ps <= now_ps) {
            bytes -= first;
            first = 0;
            if (left > 0) {
                first = port->queue[at++ & (port->capacity - 1)].size_bytes;
                leaves_ps += port_service_ps(port, (uint64_t)first);
                left--;
            }
        }
        for (; gone < i && batch->departures_ps[gone] <= batch->times_ps[i]; gone++) {
            bytes -= sizes[gone];
        }
        bytes += sizes[i];
        top = i >= batch->waiting_count && bytes > top ? bytes : top;
    }
    return (uint64_t)top;
}

/* The same where nothing but the batch waits and a byte takes the same time everywhere, of those packets only that may find
 * more than ever. */
INLINE uint64_t queue_top_lanes(const struct worker *worker, const struct window_port *port,
                                const struct port_batch *batch, uint32_t vectors, const lanes *departure,
                                uint32_t raised)
{
    int32_t free_ps = port->free_ps > worker->start_ps ? (int32_t)(port->free_ps - worker->start_ps) : INT32_MIN;
    int32_t in_service_ps = (int32_t)(port->in_service_bytes * port->ps_per_byte), top_ps = 0;
    uint32_t packets = lanes_first(batch->count);
    for (; raised != 0; raised &= raised - 1) {
        uint32_t at = (uint32_t)__builtin_ctz(raised), left = 0;
        int32_t time_ps = batch->times_ps[at];
        for (uint32_t v = 0; v < vectors; v++) {
            left |= bits_less(splat(time_ps), departure[v]) << v * LANES;
        }
        left &= packets; /* has not departed: departures ascend, so these are the last ones */
        uint32_t gone = batch->count - (uint32_t)__builtin_popcount(left);
        int32_t work_ps = batch->services_ps[at] - (gone > 0 ? batch->services_ps[gone - 1] : 0);
        work_ps += time_ps < free_ps ? in_service_ps : 0;
        top_ps = work_ps > top_ps ? work_ps : top_ps;
    }
    return (uint32_t)top_ps / port->ps_per_byte;
}

INLINE uint32_t lanes_marked(const struct window_port *port, const lanes *work, uint32_t vectors)
{
    lanes calm = splat(port->mark_calm_ps < INT32_MAX ? (int32_t)port->mark_calm_ps : INT32_MAX);
    uint32_t marked = 0;
    for (uint32_t v = 0; v < vectors; v++) {
        marked |= bits_less(calm, work[v]) << v * LANES;
    }
    return marked;
}

/* More work than ever may have been in the port. False: it must go packet by packet, as drops may be due. */
INLINE bool batch_record(const struct worker *worker, const struct scan *scan, uint32_t vectors, uint32_t raised)
{
    struct window_port *port = scan->port;
    const struct port_batch *batch = scan->batch;
    uint64_t top_bytes;
    if (port->ps_per_byte != 0 && port->count == batch->waiting_count) {
        top_bytes = queue_top_lanes(worker, port, batch, vectors, scan->departure, raised);
    } else {
        union block sizes;
        for (uint32_t v = 0; v < vectors; v++) {
            sizes.v[v] = scan->size[v];
        }
        top_bytes = queue_top(worker, port, batch, sizes.each);
    }
    if (top_bytes > port->capacity_bytes) {
        return false;
    }
    port_record(port, top_bytes);
    return true;
}

/* The lanes that start after the time that is asked for. */
static __attribute__((noinline)) void batch_sample(struct worker *worker, const struct window_port *port,
                                                   const struct port_batch *batch)
{
    for (uint32_t i = 0; i < batch->start_count; i++) {
        int32_t service_ps = batch->services_ps[i] - (i > 0 ? batch->services_ps[i - 1] : 0);
        if ((uint64_t)(batch->departures_ps[i] - service_ps) > worker->sample_offset_ps) {
            port_sample(worker->core, port, batch->packets[i].size_bytes);
        }
    }
}

enum { SCANS_MAX = LANES == 16 ? 2 : 1 }; /* for two there must be registers */
#define EACH_SCAN _Pragma("GCC unroll 4") for (uint32_t k = 0; k < scans; k++)

INLINE void scans_order(const struct window_core *core, struct scan *scan, uint32_t scans, uint32_t vectors)
{
    lanes v[SCANS_MAX][VECTORS_MAX];
    if (__builtin_expect(!core->has_place_bits, 0)) {
        EACH_SCAN batch_rank(scan[k].batch, vectors, scan[k].place, scan[k].key);
        return;
    }
    EACH_SCAN keys_load(scan[k].batch, vectors, v[k]);
    EACH_SCAN sort_block(v[k], vectors);
    EACH_SCAN keys_part(v[k], vectors, scan[k].place, scan[k].key);
}

/* Packets, sizes and times in the order of service. */
INLINE void scan_times(const struct window_core *core, struct scan *scan, uint32_t vectors)
{
    struct port_batch *batch = scan->batch;
    batch_sort(batch, scan->place, vectors, scan->size);
    for (uint32_t v = 0; v < vectors; v++) {
        lanes is_old = lane_ids(v) < splat((int32_t)batch->waiting_count);
        scan->size[v] &= lane_ids(v) < splat((int32_t)batch->count);
        scan->time[v] = scan->key[v] >> (int32_t)(core->key_shift - 1);
        if (v * LANES < BATCH_WAITING_MAX) {
            scan->time[v] = pick(is_old, *(const lanes *)&batch->times_ps[v * LANES], scan->time[v]);
        }
        *(lanes *)&batch->keys[v * LANES] = scan->key[v];
        *(lanes *)&batch->times_ps[v * LANES] = scan->time[v];
    }
}

#if SWITCH_LANES == 16
/* Both of these for a batch of two vectors of which at most one arrives: what waits stands in front, in order. */
INLINE void scan_behind(const struct window_core *core, struct scan *scan)
{
    struct port_batch *batch = scan->batch;
    uint32_t first = batch->waiting_count;
    lanes lane = lane_ids(0), is_new = lane < splat((int32_t)(batch->count - first)), old_size, new_size;
    lanes v = pick(is_new, *(const lanes_loose *)&batch->keys[first] << PLACE_BITS | lane, splat(INT32_MAX));
    sort_block(&v, 1);
    old_size = quarters_size((const __m512i *)batch->packets);
    packets_sort(batch->packets + first, v & splat(BATCH_PACKETS - 1), &new_size);
    lanes key = v >> PLACE_BITS, turn = lane - splat((int32_t)first), is_old = lane < splat((int32_t)first);
    *(lanes_loose *)&batch->keys[first] = key;
    lanes time = (lanes)_mm512_permutexvar_epi32((__m512i)turn, (__m512i)(key >> (int32_t)(core->key_shift - 1)));
    lanes size = (lanes)_mm512_permutexvar_epi32((__m512i)turn, (__m512i)(new_size & is_new));
    scan->time[0] = pick(is_old, *(const lanes *)&batch->times_ps[0], time);
    scan->time[1] = time; /* beyond the batch there are packets of size 0 */
    scan->size[0] = pick(is_old, old_size, size);
    scan->size[1] = size & is_old;
    *(lanes *)&batch->times_ps[0] = scan->time[0];
    *(lanes *)&batch->times_ps[LANES] = scan->time[1];
}
#endif

INLINE void scan_departures(struct scan *scan, uint32_t vectors)
{
    for (uint32_t v = 0; v < vectors; v++) {
        scan->departure[v] = scan->to[v] + max_lanes(scan->top[v], splat(scan->batch->base_ps));
        scan->start[v] = scan->departure[v] - scan->service[v];
        *(lanes *)&scan->batch->services_ps[v * LANES] = scan->to[v];
        *(lanes *)&scan->batch->departures_ps[v * LANES] = scan->departure[v];
    }
}

/* A bit for each packet that may raise what the port has held at most, or be marked: `work`. Sums for the counters. */
INLINE uint32_t scan_sums(const struct worker *worker, const struct scan *scan, uint32_t vectors, lanes *work)
{
    const struct window_port *port = scan->port;
    struct port_batch *batch = scan->batch;
    lanes calm = splat(port->calm_ps < INT32_MAX ? (int32_t)port->calm_ps : INT32_MAX);
    lanes slack = splat((int32_t)port->service_ps[worker->packet_bytes_max]); /* of the largest packet */
    lanes wait = splat(0), bytes = splat(0), width = splat((int32_t)worker->core->width_ps);
    uint32_t raised = 0;
    for (uint32_t v = 0; v < vectors; v++) {
        lanes waited = scan->start[v] - scan->time[v];
        /* The packet in service may be counted whole though some of it has left. */
        work[v] = scan->departure[v] - scan->time[v] + (slack & (waited > splat(0)));
        raised |= bits_less(calm, work[v]) << v * LANES;
        lanes is_started = (scan->start[v] < width) & (lane_ids(v) < splat((int32_t)batch->count));
        wait += waited & is_started;
        bytes += scan->size[v] & is_started;
    }
    batch->wait_ps = sum_lanes(wait);
    batch->bytes = sum_lanes(bytes);
    return raised & lanes_first(batch->count) & ~lanes_first(batch->waiting_count);
}

/* What becomes of a batch; it may be that it must go packet by packet. */
INLINE enum batch_way scan_end(struct worker *worker, const struct scan *scan, uint32_t vectors, const lanes *work,
                               uint32_t raised)
{
    struct window_port *port = scan->port;
    if (__builtin_expect(raised != 0, 0) &&
        ((lanes_marked(port, work, vectors) & raised) != 0 ||
         !batch_record(worker, scan, vectors, raised))) {
        return BATCH_SLOW;
    }
    if (__builtin_expect(worker->sample_offset_ps < worker->core->width_ps, 0)) {
        batch_sample(worker, port, scan->batch);
    }
    return BATCH_SCANNED;
}

/* All that follows from sizes and times. No branch before the end. */
INLINE void scans_finish(struct worker *worker, struct scan *scan, uint32_t scans, uint32_t vectors)
{
    lanes work[SCANS_MAX][VECTORS_MAX];
    uint32_t raised[SCANS_MAX];
    EACH_SCAN {
        service_find(scan[k].port, scan[k].size, vectors, scan[k].service);
        for (uint32_t v = 0; v < vectors; v++) {
            scan[k].to[v] = scan[k].service[v];
        }
        prefix_sum(scan[k].to, vectors);
    }
    EACH_SCAN {
        for (uint32_t v = 0; v < vectors; v++) {
            scan[k].top[v] = scan[k].time[v] - (scan[k].to[v] - scan[k].service[v]);
        }
        prefix_max(scan[k].top, vectors);
    }
    EACH_SCAN scan_departures(&scan[k], vectors);
    EACH_SCAN raised[k] = scan_sums(worker, &scan[k], vectors, work[k]);
    EACH_SCAN arrivals_find(worker, scan[k].port, scan[k].batch, vectors, scan[k].size, scan[k].start,
                            scan[k].departure);
    EACH_SCAN scan[k].batch->way = scan_end(worker, &scan[k], vectors, work[k], raised[k]);
}

/* Some ports, whose batches fill so many vectors each. */
INLINE void scans_run(struct worker *worker, struct scan *scan, uint32_t scans, uint32_t vectors)
{
    scans_order(worker->core, scan, scans, vectors);
    EACH_SCAN scan_times(worker->core, &scan[k], vectors);
    scans_finish(worker, scan, scans, vectors);
}

/* calm_ps first: the other one is on a line that nothing else here needs. */
INLINE bool may_mark(const struct window_port *port, uint64_t work_ps)
{
    return __builtin_expect(work_ps > port->calm_ps, 0) && work_ps > port->mark_calm_ps;
}

/* The ports of a word whose batches fill one vector, and those with more. */
struct scan_list {
    uint32_t narrow_count, wide_count;
    uint8_t narrow[64], wide[64];
};

static __attribute__((noinline)) void wide_scan(struct worker *worker, struct window_port *ports,
                                                struct port_batch *batches, const struct scan_list *list)
{
    for (uint32_t i = 0; i < list->wide_count; i++) {
        struct scan scan[1] = {{.port = ports + list->wide[i], .batch = batches + list->wide[i]}};
        uint32_t count = scan->batch->count;
#if SWITCH_LANES == 16
        if (__builtin_expect(worker->core->has_place_bits && count - scan->batch->waiting_count <= LANES, 1)) {
            scan_behind(worker->core, scan);
            scans_finish(worker, scan, 1, 2);
            continue;
        }
#endif
        if (count <= 2 * LANES) {
            scans_run(worker, scan, 1, 2);
        } else {
            scans_run(worker, scan, 1, VECTORS_MAX);
        }
    }
}

static __attribute__((noinline)) void narrow_scan(struct worker *worker, struct window_port *ports,
                                                  struct port_batch *batches, const struct scan_list *list)
{
    struct scan scan[SCANS_MAX];
    uint32_t count = list->narrow_count, i = 0;
    for (; i + SCANS_MAX <= count; i += SCANS_MAX) {
        for (uint32_t k = 0; k < SCANS_MAX; k++) {
            scan[k].port = ports + list->narrow[i + k];
            scan[k].batch = batches + list->narrow[i + k];
        }
        scans_run(worker, scan, SCANS_MAX, 1);
    }
    for (; SCANS_MAX > 1 && i < count; i++) {
        scan[0].port = ports + list->narrow[i];
        scan[0].batch = batches + list->narrow[i];
        scans_run(worker, scan, 1, 1);
    }
}

/* Of a port that the vector loops may serve. */
INLINE enum batch_way batch_way(const struct worker *worker, const struct window_port *port, struct port_batch *batch)
{
    uint64_t base_ps = port->free_ps > worker->start_ps ? port->free_ps - worker->start_ps : 0;
    uint64_t work_ps = base_ps + port->waiting_ps;
    if (__builtin_expect(batch->count > BATCH_PACKETS || work_ps >= BASE_PS_MAX || may_mark(port, work_ps), 0)) {
        return BATCH_SLOW;
    }
    if (__builtin_expect(batch->count == 1 && port->count == 0, 0)) {
        return BATCH_LONE;
    }
    batch->base_ps = (int32_t)(base_ps + (port->waiting_ps & ~all_if(batch->waiting_count > 0)));
    return BATCH_SCANNED;
}
