/* One port whose pauses are known for the whole window: by vectors where one span of it lets packets start and none can be marked
 * or dropped, else in one pass or packet by packet. What leaves goes into a log for the accounts. Part of window_apart_body.h. */
#include "netsim/engine/window_apart_wait_body.h"

/* ---- ports in general ------------------------------------------------------------------------------------- */

/* When what is in service leaves, into the vector. */
INLINE void leave_load(const struct lazy *at, uint32_t local)
{
    const struct window_port *port = &at->ports[local];
    uint64_t leave_ps = port->free_ps - at->worker->start_ps;
    int32_t word_ps = leave_ps < INT32_MAX ? (int32_t)leave_ps : INT32_MAX - 1;
    lane_set(at->leave_ps, local, port->is_busy ? word_ps : INT32_MAX);
}

/* Nothing has waited in the dark. */
INLINE bool is_lit(const struct window_port *port, const struct class_port *queues)
{
    return port->count == 0 || class_head(queues->rings)->since_ps >= port->up_ps;
}

/* Nor is it paused: without frames it is a FIFO for the whole window. */
INLINE bool is_fifo_now(const struct window_port *port, const struct class_port *queues)
{
    return queues->paused == 0 && is_lit(port, queues);
}

/* A port has sent what it can in this window, and knows what is in service and when that leaves. */
INLINE void apart_port_close(const struct lazy *at, uint32_t local, uint64_t waiting_bytes)
{
    struct window_port *port = &at->ports[local];
    struct class_port *queues = &at->class_ports[local];
    port->is_busy = port->free_ps >= at->worker->end_ps;
    port->in_service_bytes = port->is_busy ? port->in_service_bytes : 0;
    port->queued_bytes = queues->rings->bytes = waiting_bytes + port->in_service_bytes;
    queues->ready = port->count > 0;
    leave_load(at, local);
}

/* What is in service may leave in this window. */
INLINE void service_log(struct worker *worker, const struct window_port *port, const struct class_port *queues)
{
    if (port->is_busy && port->free_ps < worker->end_ps) {
        left_put(worker, (int32_t)(port->free_ps - worker->start_ps), queues->service_in_port, queues->service_in_bytes);
    }
}

/* ---- one by one ------------------------------------------------------------------------------------------- */

static __attribute__((noinline)) void apart_frame(const struct lazy *at, uint64_t item)
{
    struct worker *worker = at->worker;
    uint32_t local = lazy_frame_port(at->core, item);
    uint64_t offset_ps = lazy_frame_ps(at->core, item), now_ps = worker->start_ps + offset_ps;
    port_catch_up(at, local, (int32_t)offset_ps, LAZY_APART);
    if (frame_obey(&at->class_ports[local], lazy_frame_packet(&worker->frames, item), now_ps) &&
        !at->ports[local].is_busy) {
        lazy_start(at, local, now_ps, LAZY_APART);
    }
}

/* The packets that have a choice, and the frames for the ports they have it among. Only those stand in `leave_ps` now. */
static void choices_walk(const struct lazy *at)
{
    struct worker *worker = at->worker;
    const struct frames *frames = &worker->frames;
    const struct route *route = &at->node->route;
    const struct port_set ups = {.first = route->up_port, .count = route->up_count};
    uint32_t frame = 0, count = worker->arrivals.count;
    for (uint32_t i = 0; i < ups.count; i++) {
        leave_load(at, ups.first + i);
    }
    for (uint32_t i = 0;; i++) {
        uint64_t item = i < count ? worker->arrivals.items[i] : UINT64_MAX;
        int32_t offset_ps = (int32_t)(i < count ? lazy_item_ps(at->core, item) : at->core->width_ps - 1);
        for (; frame < frames->count && (int32_t)lazy_frame_ps(at->core, frames->items[frame]) <= offset_ps; frame++) {
            if (lazy_frame_port(at->core, frames->items[frame]) - ups.first < ups.count) {
                apart_frame(at, frames->items[frame]);
            }
        }
        ports_catch_up(at, offset_ps, LAZY_APART);
        if (i == count) {
            return;
        }
        const struct packet *packet = meta_packet(worker->chunks, (uint32_t)item);
        uint32_t local = choice_least(at, &ups, packet);
        lazy_admit(at, local, packet, lazy_item_port(at->core, item), offset_ps, LAZY_APART);
    }
}

/* The frames of one port, in order: the next one from `frame` on, which may be the end. */
INLINE uint32_t frame_next(const struct lazy *at, uint32_t frame, uint32_t local)
{
    const struct frames *frames = &at->worker->frames;
    while (frame < frames->count && lazy_frame_port(at->core, frames->items[frame]) != local) {
        frame++;
    }
    return frame;
}

/* The packets of a batch in the order of service, as items of `arrivals`: by the network where its keys have room for places. */
INLINE void apart_lanes_order(const struct apart_batch *batch, uint32_t vectors, uint32_t count, uint64_t *items)
{
    union apart_block order;
    for (uint32_t v = 0; v < vectors; v++) {
        lanes keys = *(const lanes_loose *)&batch->keys[v * LANES] << PLACE_BITS | lane_ids(v);
        order.v[v] = pick(lane_ids(v) < splat((int32_t)count), keys, splat(INT32_MAX));
    }
    sort_block(order.v, vectors);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t key = (uint32_t)order.each[i] >> PLACE_BITS, meta = batch->metas[order.each[i] & (BATCH_PACKETS - 1)];
        items[i] = (uint64_t)key << 33 | meta;
    }
}

static __attribute__((noinline)) void apart_order(const struct lazy *at, uint32_t local, uint32_t count)
{
    struct worker *worker = at->worker;
    const struct apart_batch *batch = &worker->apart_batches[local];
    struct arrivals *arrivals = &worker->arrivals;
    uint32_t inside = count < BATCH_PACKETS ? count : BATCH_PACKETS, items = 0;
    arrivals->count = 0;
    arrivals_reserve(worker, count + 1);
    if (count <= BATCH_PACKETS && at->core->has_place_bits) {
        if (count <= LANES) {
            apart_lanes_order(batch, 1, count, arrivals->items);
        } else {
            apart_lanes_order(batch, VECTORS_MAX_APART, count, arrivals->items);
        }
        return;
    }
    for (uint32_t i = inside; i-- > 0;) {
        arrivals->items[items++] = (uint64_t)batch->keys[i] << 33 | batch->metas[i];
    }
    for (size_t i = 0; count > inside && i < worker->apart_more_count; i++) {
        if (worker->apart_more[i].port == local) {
            arrivals->items[items++] = (uint64_t)worker->apart_more[i].key << 33 | worker->apart_more[i].meta;
        }
    }
    lazy_sort(at->core, &arrivals->items, &arrivals->spare, count, 32 + at->core->key_shift);
}

static __attribute__((noinline)) void apart_port_walk(const struct lazy *at, uint32_t local, uint32_t count)
{
    struct worker *worker = at->worker;
    const struct arrivals *arrivals = &worker->arrivals;
    const struct frames *frames = &worker->frames;
    uint32_t frame = frame_next(at, 0, local);
    apart_order(at, local, count);
    leave_load(at, local);
    for (uint32_t i = 0; i < count; i++) {
        int32_t offset_ps = (int32_t)lazy_item_ps(at->core, arrivals->items[i]);
        while (frame < frames->count && (int32_t)lazy_frame_ps(at->core, frames->items[frame]) <= offset_ps) {
            apart_frame(at, frames->items[frame]);
            frame = frame_next(at, frame + 1, local);
        }
        port_catch_up(at, local, offset_ps, LAZY_APART);
        lazy_admit(at, local, meta_packet(worker->chunks, (uint32_t)arrivals->items[i]),
                   lazy_item_port(at->core, arrivals->items[i]), offset_ps, LAZY_APART);
    }
    for (; frame < frames->count; frame = frame_next(at, frame + 1, local)) {
        apart_frame(at, frames->items[frame]);
    }
    port_catch_up(at, local, (int32_t)at->core->width_ps - 1, LAZY_APART);
}

/* ---- one by one, where the port sends all the time or not at all ------------------------------------------- */

struct apart_pass {
    uint64_t free_ps;    /* from the start of the window: when what comes next may start; UINT64_MAX: the port is paused */
    uint64_t held_bytes; /* in the port, as far as `gone` has been looked at */
    uint64_t limit_bytes, top_bytes;
    uint32_t gone;       /* of the log, in which stands what leaves the port, in order */
    uint32_t in_port, bytes; /* of what was sent last */
    uint64_t waiting_bytes;
    struct port_sent sent;
};

/* What has left by now. */
INLINE void pass_catch_up(const struct worker *worker, struct apart_pass *pass, int32_t now_ps)
{
    const struct left_log *left = &worker->left;
    for (; pass->gone < left->count && left->when_ps[pass->gone] <= now_ps; pass->gone++) {
        uint32_t what = left->what[pass->gone];
        pass->held_bytes -= what & LEFT_DROPPED ? 0 : what & PACKET_BYTES_MAX;
    }
}

INLINE void pass_admit(const struct lazy *at, uint32_t local, struct apart_pass *pass, uint64_t item, bool is_marking)
{
    struct worker *worker = at->worker;
    struct window_port *port = &at->ports[local];
    struct class_port *queues = &at->class_ports[local];
    const struct queue_class *rule = &queues->profile->class[0];
    struct packet *packet = meta_packet(worker->chunks, (uint32_t)item);
    uint64_t time_ps = lazy_item_ps(at->core, item), start_ps = pass->free_ps > time_ps ? pass->free_ps : time_ps;
    uint32_t in_port = lazy_item_port(at->core, item), size_bytes = (uint32_t)item & PACKET_BYTES_MAX;
    pass_catch_up(worker, pass, (int32_t)time_ps);
    queues->packet_number++;
    if (__builtin_expect(pass->held_bytes + size_bytes > pass->limit_bytes, 0)) {
        apart_drop(at, local, packet, in_port, (int32_t)time_ps);
        return;
    }
    if (is_marking) {
        class_mark(at->core, at->port_first + local, queues, rule, packet, pass->held_bytes);
    }
    pass->held_bytes += size_bytes;
    pass->top_bytes = pass->held_bytes > pass->top_bytes ? pass->held_bytes : pass->top_bytes;
    if (start_ps >= at->core->width_ps) {
        struct class_waiting *place = class_place(worker, port, queues, 0);
        *place = (struct class_waiting){.packet = *packet, .since_ps = worker->start_ps + time_ps, .in_port = in_port,
                                        .in_bytes = packet->size_bytes};
        pass->waiting_bytes += size_bytes;
        return;
    }
    uint64_t service_ps = packet_send(worker, port, packet, start_ps);
    pass->sent.packets++;
    pass->sent.bytes += size_bytes;
    pass->sent.busy_ps += service_ps;
    pass->sent.wait_ps += start_ps - time_ps;
    pass->free_ps = start_ps + service_ps;
    pass->in_port = in_port;
    pass->bytes = size_bytes;
    left_put(worker, (int32_t)pass->free_ps, in_port, size_bytes);
}

static void pass_close(const struct lazy *at, uint32_t local, const struct apart_pass *pass)
{
    struct window_port *port = &at->ports[local];
    port_record(port, pass->top_bytes);
    if (pass->sent.packets > 0) {
        port->free_ps = at->worker->start_ps + pass->free_ps;
        port->in_service_bytes = pass->bytes;
        in_service_set(&at->class_ports[local], pass->in_port, pass->bytes);
        sent_count(at->worker, port, &pass->sent);
    }
    apart_port_close(at, local, pass->waiting_bytes);
}

/* A port without frames that is a FIFO for the whole window, or paused: as apart_port_walk, but nothing needs to be looked up
 * that this packet has not changed. */
static __attribute__((noinline)) void apart_port_pass(const struct lazy *at, uint32_t local, uint32_t count,
                                                      const struct apart_span *span, bool is_ordered)
{
    struct worker *worker = at->worker;
    struct window_port *port = &at->ports[local];
    struct class_port *queues = &at->class_ports[local];
    const uint64_t *items;
    struct apart_pass pass = {.free_ps = UINT64_MAX, .held_bytes = port->queued_bytes, .gone = worker->left.count};
    pass.limit_bytes = class_limit_bytes(at->node, port, queues->profile, 0, false);
    service_log(worker, port, queues);
    pass.waiting_bytes = port->queued_bytes - port->in_service_bytes;
    if (queues->paused == 0) {
        pass.waiting_bytes -= apart_waiting_send(at, local, span);
        pass.free_ps = port->free_ps > worker->start_ps ? port->free_ps - worker->start_ps : 0;
    }
    if (!is_ordered) {
        apart_order(at, local, count);
    }
    items = worker->arrivals.items;
    if (queues->profile->class[0].mark == MARK_ENQUEUE) {
        for (uint32_t i = 0; i < count; i++) {
            pass_admit(at, local, &pass, items[i], true);
        }
    } else {
        for (uint32_t i = 0; i < count; i++) {
            pass_admit(at, local, &pass, items[i], false);
        }
    }
    pass_close(at, local, &pass);
}

/* ---- all lanes at once ------------------------------------------------------------------------------------ */

/* Bytes in the port as each packet of the batch arrives, itself counted; the largest. Exact: all that is there before and came
 * before it, but for what has left by then, of which only what leaves in this window needs a look. */
static __attribute__((noinline)) int32_t apart_top(const struct lazy *at, uint32_t local, const struct apart_span *span,
                                                   const struct apart_served *served, uint32_t vectors)
{
    const struct window_port *port = &at->ports[local];
    const struct class_ring *ring = at->class_ports[local].rings;
    uint64_t leaves_ps = port->is_busy ? port->free_ps - at->worker->start_ps : UINT64_MAX, width_ps = at->core->width_ps;
    uint64_t start_ps = apart_free_ps(at->worker, port, span);
    int32_t bytes = (int32_t)port->in_service_bytes;
    lanes queued[VECTORS_MAX_APART], top = splat(0);
    for (uint32_t v = 0; v < vectors; v++) {
        queued[v] = served->bytes.v[v] + splat((int32_t)port->queued_bytes);
    }
    for (uint32_t i = 0;; i++) { /* in service, then the queue */
        for (uint32_t v = 0; v < vectors && leaves_ps < width_ps; v++) {
            queued[v] -= (served->time_ps.v[v] >= splat((int32_t)leaves_ps)) & splat(bytes);
        }
        if (i == ring->count || start_ps >= (uint64_t)span->until_ps) {
            break;
        }
        bytes = (int32_t)ring->items[(ring->head + i) & (ring->capacity - 1)].packet.size_bytes;
        leaves_ps = start_ps = start_ps + port_service_ps(port, (uint64_t)bytes);
    }
    for (uint32_t j = 0; j < served->left_count; j++) {
        for (uint32_t v = 0; v < vectors; v++) {
            queued[v] -= splat(served->size.each[j]) & (served->time_ps.v[v] >= splat(served->departure_ps.each[j]));
        }
    }
    for (uint32_t v = 0; v < vectors; v++) {
        top = max_lanes(top, queued[v] & (lane_ids(v) < splat((int32_t)served->count)));
    }
    return top_lane(top);
}

/* Puts what does not start behind the queue. */
INLINE void apart_rest_wait(const struct lazy *at, uint32_t local, const struct apart_served *served)
{
    struct worker *worker = at->worker;
    struct class_ring *ring = at->class_ports[local].rings;
    uint32_t more = served->count - served->start_count, port_mask = (1u << (at->core->key_shift - 1)) - 1;
    while (__builtin_expect(ring->count + more > ring->capacity, 0)) {
        class_ring_grow(worker, ring);
    }
    uint32_t end = ring->head + ring->count, mask = ring->capacity - 1;
    for (uint32_t i = served->start_count; i < served->count; i++, end++) {
        struct class_waiting *place = &ring->items[end & mask];
        place->packet = *meta_packet(worker->chunks, served->metas[i]);
        place->since_ps = worker->start_ps + (uint64_t)served->time_ps.each[i];
        place->in_port = (uint32_t)served->key.each[i] & port_mask;
        place->in_bytes = served->size.each[i] & PACKET_BYTES_MAX;
        place->in_class = 0;
    }
    ring->count += more;
    at->ports[local].count += more;
}

/* What leaves in this window. */
INLINE void lanes_log(const struct lazy *at, const struct apart_served *served, uint32_t vectors)
{
    struct left_log *left = &at->worker->left;
    lanes port_mask = splat((1 << (at->core->key_shift - 1)) - 1);
    if (__builtin_expect(left->count + vectors * LANES > left->capacity, 0)) {
        left_reserve(at->worker, vectors * LANES);
    }
    for (uint32_t v = 0; v < vectors; v++) { /* the others do no harm */
        *(lanes_loose *)&left->when_ps[left->count + v * LANES] = served->departure_ps.v[v];
        *(lanes_loose *)&left->what[left->count + v * LANES] =
            (served->key.v[v] & port_mask) << LEFT_PORT_SHIFT | served->size.v[v];
    }
    left->count += served->left_count;
}

/* One packet to a port where nothing waits: what most ports have where little goes on. False: not to be had that simply. */
static bool apart_lone(const struct lazy *at, uint32_t local)
{
    struct worker *worker = at->worker;
    struct window_port *port = &at->ports[local];
    struct class_port *queues = &at->class_ports[local];
    const struct queue_class *rule = &queues->profile->class[0];
    int32_t key = worker->apart_batches[local].keys[0];
    struct packet *packet = meta_packet(worker->chunks, worker->apart_batches[local].metas[0]);
    uint32_t in_port = (uint32_t)key & ((1u << (at->core->key_shift - 1)) - 1), size = (uint32_t)packet->size_bytes;
    uint64_t time_ps = (uint64_t)(key >> (at->core->key_shift - 1));
    uint64_t free_ps = port->is_busy ? port->free_ps - worker->start_ps : 0;
    uint64_t held_bytes = free_ps > time_ps ? port->in_service_bytes : 0;
    uint64_t start_ps = free_ps > time_ps ? free_ps : time_ps;
    if (start_ps >= at->core->width_ps || (rule->mark != MARK_NEVER && held_bytes > rule->mark_low_bytes) ||
        held_bytes + size > class_limit_bytes(at->node, port, queues->profile, 0, false)) {
        return false;
    }
    if (port->is_busy) {
        left_put(worker, (int32_t)free_ps, queues->service_in_port, queues->service_in_bytes);
    }
    port_record(port, held_bytes + size);
    struct port_sent sent = {.packets = 1, .bytes = size, .wait_ps = start_ps - time_ps};
    sent.busy_ps = packet_send(worker, port, packet, start_ps);
    left_put(worker, (int32_t)(start_ps + sent.busy_ps), in_port, size);
    in_service_set(queues, in_port, size);
    queues->packet_number++;
    port->in_service_bytes = size;
    port->free_ps = worker->start_ps + start_ps + sent.busy_ps;
    sent_count(worker, port, &sent);
    apart_port_close(at, local, 0);
    return true;
}

/* The batch is served so. */
INLINE void apart_commit(const struct lazy *at, uint32_t local, uint32_t vectors, const struct apart_span *span,
                         const struct apart_served *served)
{
    struct worker *worker = at->worker;
    struct window_port *port = &at->ports[local];
    struct class_port *queues = &at->class_ports[local];
    uint64_t waiting_bytes = port->queued_bytes - port->in_service_bytes;
    service_log(worker, port, queues);
    waiting_bytes -= apart_waiting_send(at, local, span);
    waiting_bytes += (uint64_t)served->bytes.each[served->count - 1];
    lanes_log(at, served, vectors);
    if (served->start_count > 0) {
        uint32_t last = served->start_count - 1;
        apart_starts_send(worker, port, served);
        apart_count(worker, port, served);
        in_service_set(queues, (uint32_t)served->key.each[last] & ((1u << (at->core->key_shift - 1)) - 1),
                       port->in_service_bytes);
        waiting_bytes -= (uint64_t)served->bytes.each[last];
    }
    apart_rest_wait(at, local, served);
    queues->packet_number += served->count;
    apart_port_close(at, local, waiting_bytes);
}

/* What a port may hold before its packets might be marked, or dropped. */
struct apart_calm {
    uint64_t mark_bytes, limit_bytes;
    bool is_exact; /* work tells nothing of the bytes it is for */
};

INLINE bool apart_batch(const struct lazy *at, uint32_t local, uint32_t vectors, uint32_t count, int32_t base_ps,
                        const struct apart_span *span, const struct apart_calm *calm, bool is_sorted)
{
    struct worker *worker = at->worker;
    struct window_port *port = &at->ports[local];
    struct apart_served served;
    if (count == 0 || count > vectors * LANES) {
        __builtin_unreachable(); /* told, the compiler sees that every lane in use has been set */
    }
    peer_prefetch(worker, port);
    if (is_sorted) {
        apart_take_order(&worker->apart_batches[local], vectors, &served);
    } else {
        apart_sort(at->core, &worker->apart_batches[local], vectors, count, &served);
    }
    apart_scan(worker, port, vectors, count, span, base_ps, &served);
    uint64_t work_ps = (uint64_t)served.work_ps_max;
    if (!calm->is_exact && calm->mark_bytes < UINT32_MAX && work_ps > calm->mark_bytes * port->ps_per_byte) {
        return false;
    }
    if (calm->is_exact || work_ps > port->calm_ps) {
        uint64_t top_bytes = (uint64_t)apart_top(at, local, span, &served, vectors);
        if (top_bytes > calm->limit_bytes || (calm->is_exact && top_bytes > calm->mark_bytes)) {
            return false;
        }
        port_record(port, top_bytes);
    }
    apart_commit(at, local, vectors, span, &served);
    return true;
}

/* ---- more than a batch ------------------------------------------------------------------------------------ */

/* Bytes in the port, as far as the log of what leaves has been looked at. */
struct apart_held {
    int64_t bytes;
    uint32_t gone;
};

/* As apart_top, of a piece that is served: what leaves stands in the log, in order. */
static __attribute__((noinline)) int64_t piece_top(const struct worker *worker, const struct apart_served *served,
                                                   uint32_t vectors, struct apart_held *held)
{
    const struct left_log *left = &worker->left;
    int32_t first_ps = served->time_ps.each[0], last_ps = served->time_ps.each[served->count - 1];
    lanes queued[VECTORS_MAX_APART], top = splat(0);
    for (; held->gone < left->count && left->when_ps[held->gone] <= first_ps; held->gone++) {
        held->bytes -= left->what[held->gone] & PACKET_BYTES_MAX;
    }
    for (uint32_t v = 0; v < vectors; v++) {
        queued[v] = served->bytes.v[v];
    }
    for (uint32_t i = held->gone; i < left->count && left->when_ps[i] <= last_ps; i++) {
        for (uint32_t v = 0; v < vectors; v++) {
            queued[v] -= (served->time_ps.v[v] >= splat(left->when_ps[i])) &
                         splat((int32_t)(left->what[i] & PACKET_BYTES_MAX));
        }
    }
    top = splat(INT32_MIN);
    for (uint32_t v = 0; v < vectors; v++) {
        lanes is_packet = lane_ids(v) < splat((int32_t)served->count);
        top = max_lanes(top, pick(is_packet, queued[v], splat(INT32_MIN)));
    }
    return held->bytes + top_lane(top);
}

INLINE void piece_take(const uint64_t *items, uint32_t vectors, struct apart_served *served)
{
    for (uint32_t i = 0; i < vectors * LANES; i += GROUP) {
        words item = *(const words_loose *)&items[i];
        *(half_loose *)&served->key.each[i] = __builtin_convertvector(item >> 33, half);
        *(half_loose *)&served->metas[i] = __builtin_convertvector(item, half);
    }
}

/* The port is served piece by piece, each of which finds what the one before has left. False: the packets are in order, and it
 * may be that one of them is marked or dropped. */
static __attribute__((noinline)) bool apart_pieces(const struct lazy *at, uint32_t local, uint32_t count,
                                                   const struct apart_span *span, const struct apart_calm *calm)
{
    struct worker *worker = at->worker;
    struct window_port *port = &at->ports[local];
    struct apart_held held = {.bytes = (int64_t)port->queued_bytes, .gone = worker->left.count};
    uint64_t bytes = port->queued_bytes, top_bytes = 0;
    apart_order(at, local, count);
    const uint64_t *items = worker->arrivals.items;
    for (uint32_t i = 0; i < count; i++) {
        bytes += items[i] & PACKET_BYTES_MAX;
    }
    if (bytes > calm->limit_bytes || bytes > calm->mark_bytes || bytes * port->ps_per_byte >= BASE_PS_MAX_APART) {
        return false;
    }
    struct apart_span still = *span;
    for (uint32_t first = 0; first < count; first += PIECE_PACKETS) {
        struct apart_served served;
        uint32_t here = count - first < PIECE_PACKETS ? count - first : PIECE_PACKETS;
        uint64_t waiting_bytes = port->queued_bytes - port->in_service_bytes;
        uint64_t base_ps = apart_free_ps(worker, port, &still) + waiting_bytes * port->ps_per_byte;
        piece_take(&items[first], VECTORS_MAX_APART, &served);
        apart_scan(worker, port, VECTORS_MAX_APART, here, &still, (int32_t)base_ps, &served);
        apart_commit(at, local, VECTORS_MAX_APART, &still, &served);
        still.until_ps = served.start_count < here ? 0 : still.until_ps; /* nor does what is behind it */
        if (calm->is_exact || (uint64_t)served.work_ps_max > port->calm_ps) {
            uint64_t top = (uint64_t)piece_top(worker, &served, VECTORS_MAX_APART, &held);
            top_bytes = top > top_bytes ? top : top_bytes;
        }
        held.bytes += served.bytes.each[here - 1];
    }
    port_record(port, top_bytes);
    return true;
}

/* ---- the port --------------------------------------------------------------------------------------------- */

/* False: its frames are more than one that starts or stops it. */
INLINE bool span_find(const struct lazy *at, uint32_t local, bool has_frames, struct apart_span *span)
{
    const struct frames *frames = &at->worker->frames;
    bool is_paused = at->class_ports[local].paused != 0;
    *span = (struct apart_span){.until_ps = is_paused ? 0 : (int32_t)at->core->width_ps, .is_whole = !is_paused, .frame = ID_NONE};
    if (__builtin_expect(!has_frames, 1)) {
        return true;
    }
    uint32_t number = frame_next(at, 0, local);
    const struct packet *frame = lazy_frame_packet(frames, frames->items[number]);
    int32_t when_ps = (int32_t)lazy_frame_ps(at->core, frames->items[number]);
    span->frame = number;
    if (frame->is_marked && !is_paused) {
        span->until_ps = when_ps + 1;
        span->cut = -1;
        span->is_whole = false;
    } else if (!frame->is_marked && is_paused) {
        span->from_ps = when_ps;
        span->until_ps = (int32_t)at->core->width_ps;
    }
    return frame->kind == FRAME_PAUSE && frame_next(at, number + 1, local) == frames->count;
}

/* Nothing comes: at most what waits is sent. */
INLINE void apart_drain(const struct lazy *at, uint32_t local, const struct apart_span *span)
{
    struct window_port *port = &at->ports[local];
    uint64_t waiting_bytes = port->queued_bytes - port->in_service_bytes;
    service_log(at->worker, port, &at->class_ports[local]);
    waiting_bytes -= apart_waiting_send(at, local, span);
    apart_port_close(at, local, waiting_bytes);
}

/* By vectors, where they know enough of the port. */
INLINE bool apart_lanes(const struct lazy *at, uint32_t local, uint32_t count, const struct apart_span *span, bool is_sorted,
                        bool *is_ordered)
{
    const struct window_port *port = &at->ports[local];
    const struct queue_profile *profile = at->class_ports[local].profile;
    const struct queue_class *rule = &profile->class[0];
    struct apart_calm calm = {.mark_bytes = rule->mark == MARK_NEVER ? UINT64_MAX : rule->mark_low_bytes,
                              .limit_bytes = class_limit_bytes(at->node, port, profile, 0, false)};
    if (count == 0 && (rule->mark != MARK_DEQUEUE || port->queued_bytes <= calm.mark_bytes)) {
        apart_drain(at, local, span);
        return true;
    }
    uint64_t waiting_bytes = port->queued_bytes - port->in_service_bytes;
    uint64_t base_ps = apart_free_ps(at->worker, port, span) + waiting_bytes * port->ps_per_byte;
    calm.is_exact = !span->is_whole;
    if (count == 0 || port->ps_per_byte == 0 || port->queued_bytes > calm.mark_bytes || base_ps >= BASE_PS_MAX_APART) {
        return false;
    }
    *is_ordered = count > PIECES_FROM;
    if (*is_ordered) {
        return apart_pieces(at, local, count, span, &calm);
    } else if (count <= LANES) {
        return apart_batch(at, local, 1, count, (int32_t)base_ps, span, &calm, is_sorted);
    } else if (count <= 2 * LANES) {
        return apart_batch(at, local, 2, count, (int32_t)base_ps, span, &calm, is_sorted);
    } else {
        return apart_batch(at, local, VECTORS_MAX_APART, count, (int32_t)base_ps, span, &calm, is_sorted);
    }
}

static void apart_port_serve(const struct lazy *at, uint32_t local, uint32_t count, bool has_frames, bool is_sorted)
{
    const struct window_port *port = &at->ports[local];
    struct class_port *queues = &at->class_ports[local];
    struct apart_span span;
    bool is_ordered = false, is_known = span_find(at, local, has_frames, &span) && is_lit(port, queues);
    if (count == 1 && !has_frames && port->count == 0 && queues->paused == 0 && apart_lone(at, local)) {
        return;
    }
    if (is_known && apart_lanes(at, local, count, &span, is_sorted, &is_ordered)) {
        if (has_frames) {
            const struct frames *frames = &at->worker->frames;
            uint64_t item = frames->items[span.frame], now_ps = at->worker->start_ps + lazy_frame_ps(at->core, item);
            frame_obey(queues, lazy_frame_packet(frames, item), now_ps);
        }
        return;
    }
    if (is_known && !has_frames && queues->profile->class[0].mark != MARK_DEQUEUE) {
        apart_port_pass(at, local, count, &span, is_ordered);
    } else {
        apart_port_walk(at, local, count);
    }
}
