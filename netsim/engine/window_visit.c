/* The engine's side of a visit (visit.h): from the port to the visit, and back. */
#include "netsim/engine/window_class.h"

/* ---- the general body: hosts that are asked through pointers ----------------------------------------------- */

static bool pull_asked(void *context, struct host_visit *visit, uint64_t now_ps, struct packet *packet)
{
    const struct host_ops *ops = visit->worker->core->config.ops;
    return ops->pull(context, visit->host, 0, now_ps, packet);
}

/* Kicks come by visit_kick. */
static bool receive_asked(void *context, struct host_visit *visit, const struct packet *packet, uint64_t now_ps)
{
    const struct host_ops *ops = visit->worker->core->config.ops;
    ops->receive(context, visit->host, packet, now_ps);
    return false;
}

void visit_serve(struct worker *worker)
{
    const struct engine_config *config = &worker->core->config;
    if (config->ops->visit != NULL) {
        config->ops->visit(config->context, &worker->visit);
    } else {
        visit_run(&worker->visit, &worker->visit.state, config->context, true, pull_asked, receive_asked);
    }
}

void visit_kick(struct worker *worker, uint64_t now_ps)
{
    visit_start(&worker->visit, &worker->visit.state, worker->core->config.context, now_ps - worker->start_ps, pull_asked);
}

/* ---- timers ------------------------------------------------------------------------------------------------ */

uint64_t visit_due_ps(const struct host_visit *visit)
{
    const struct timer_heap *due = &visit->worker->local;
    return due->count > 0 ? due->items[0].time_ps - visit->start_ps : TIME_NEVER_PS;
}

void visit_due(struct host_visit *visit)
{
    const struct engine_config *config = &visit->worker->core->config;
    struct timer timer = timer_pop(&visit->worker->local);
    config->ops->event(config->context, visit->host, timer_what(timer.payload), timer_argument(timer.payload),
                       timer.time_ps);
}

/* ---- opening and closing ----------------------------------------------------------------------------------- */

/* Where the port has classes: what is in service is taken out of them. */
static bool classes_open(const struct window_core *core, struct host_visit *visit, const struct window_node *host)
{
    struct class_port *queues = &core->class_ports[host->port_first];
    bool is_transit = visit->port->is_busy && queues->service_in_port != ID_NONE;
    if (!core->are_hosts_plain || is_transit) {
        return false;
    }
    visit->state.service_class = queues->service_class;
    visit->open_classes = ~(uint32_t)queues->paused;
    queues->rings[queues->service_class].bytes = 0;
    return true;
}

static void classes_close(const struct window_core *core, const struct host_visit *visit, uint32_t service_bytes)
{
    const struct visit_state *state = &visit->state;
    struct class_port *queues = &core->class_ports[visit->port - core->ports];
    uint32_t last = queues->profile->class_count - 1;
    uint32_t beyond = state->classes >> last != 0; /* counted as of the last class */
    assert((((state->classes & ((1u << last) - 1)) | beyond << last) & ~visit->open_classes) == 0);
    queues->service_class = (uint8_t)(state->service_class < last ? state->service_class : last);
    queues->rings[queues->service_class].bytes = service_bytes;
    if (state->packets > 0) {
        queues->service_in_port = ID_NONE;
    }
}

/* What all its packets need. */
static void way_open(const struct worker *worker, struct host_visit *visit, const struct window_port *port)
{
    const struct window_core *core = worker->core;
    uint32_t known = worker->packet_bytes_max;
    visit->service_ps = port->service_ps;
    visit->reach_ps = port->reach_ps;
    visit->cut_bytes = port->is_peer_cut ? core->config.cut_through_bytes : UINT32_MAX;
    visit->cut_service_ps = port->cut_service_ps;
    visit->bytes_max = port->queue_max_bytes < known ? (uint32_t)port->queue_max_bytes : known;
    visit->peer = port->peer;
    visit->key = port->peer_port << 1 | 1;
    visit->slot = worker->slot + port->reach_slots;
    visit->slot_mask = core->slot_mask;
    visit->key_shift = core->key_shift;
    visit->tails = &worker->tails[(size_t)port->peer << core->slot_bits];
    visit->width_ps = core->width_ps;
}

bool visit_open(struct worker *worker, const struct window_node *host)
{
    const struct window_core *core = worker->core;
    struct window_port *port = &core->ports[host->port_first];
    if (port->count > 0 || !port_is_near(worker, port)) {
        return false;
    }
    struct host_visit *visit = &worker->visit;
    uint64_t free_ps = port->free_ps - worker->start_ps;
    visit->state = (struct visit_state){
        .chunk = worker->chain, .end_ps = worker->end_ps - worker->start_ps, .free_ps = free_ps,
        .leave_ps = port->is_busy ? free_ps : TIME_NEVER_PS, .service_bytes = port->in_service_bytes,
        .ahead_ps = VISIT_NO_INBOX};
    visit->worker = worker;
    visit->host = host->id;
    visit->open_classes = UINT32_MAX;
    visit->start_ps = worker->start_ps;
    visit->sample_ps = worker->sample_offset_ps;
    visit->odd_ps = TIME_NEVER_PS;
    visit->port = port;
    if (core->class_ports != NULL && !classes_open(core, visit, host)) {
        visit->port = NULL;
        return false;
    }
    way_open(worker, visit, port);
    return true;
}

uint32_t visit_close(struct worker *worker)
{
    struct host_visit *visit = &worker->visit;
    const struct visit_state *state = &visit->state;
    struct window_port *port = visit->port;
    bool is_busy = state->leave_ps != TIME_NEVER_PS && visit->odd_ps == TIME_NEVER_PS;
    if (state->ahead_ps != VISIT_NO_INBOX) {
        *visit_tail(visit, state->ahead_ps) = state->at;
    }
    port->free_ps = visit->start_ps + state->free_ps;
    port->is_busy = is_busy;
    port->in_service_bytes = is_busy ? state->service_bytes : 0;
    port->queued_bytes = port->in_service_bytes;
    port->is_transit_next |= state->packets > 0;
    const struct port_sent sent = {.packets = state->packets, .bytes = state->bytes, .busy_ps = state->busy_ps};
    sent_count(worker, port, &sent);
    if (state->late_bytes > 0) {
        port_sample(worker->core, port, state->late_bytes);
    }
    if (worker->core->class_ports != NULL) {
        classes_close(worker->core, visit, port->in_service_bytes);
    }
    worker->in_flight += (int64_t)state->packets - state->received;
    visit->port = NULL;
    return state->received;
}

/* ---- what is needed soon ----------------------------------------------------------------------------------- */

static uintptr_t newest_chunk(const struct worker *writer, uint32_t node, uint32_t slot)
{
    return writer->tails[(size_t)node << writer->core->slot_bits | slot];
}

void hosts_fetch(const struct worker *worker)
{
    const struct window_core *core = worker->core;
    if (core->config.ops->expect == NULL || worker->node_third == ID_NONE) {
        return;
    }
    for (uint32_t i = 0; i < core->worker_count; i++) {
        uintptr_t at = newest_chunk(&core->workers[i], worker->node_third, worker->slot);
        if (at != 0) {
            lines_prefetch((const void *)(at & ~(uintptr_t)CHUNK_ROOM_MASK), CHUNK_BYTES / 64);
        }
    }
}

static void host_expect(const struct worker *worker, uint32_t node, enum host_expect what)
{
    const struct window_core *core = worker->core;
    const struct engine_config *config = &core->config;
    for (uint32_t i = 0; node != ID_NONE && i < core->worker_count; i++) {
        uintptr_t at = newest_chunk(&core->workers[i], node, worker->slot);
        if (at != 0) {
            const struct chunk *chunk = (const struct chunk *)(at & ~(uintptr_t)CHUNK_ROOM_MASK);
            uint32_t count = (uint32_t)(CHUNK_PACKETS - (at & CHUNK_ROOM_MASK));
            config->ops->expect(config->context, core->nodes[node].id, chunk->packets, count, what);
        }
    }
}

/* Of the hosts after the one that is served now, the chunk of the third is fetched when this one has been served; before the
 * next one is, what the packets in it are for; and before the one after that, what hangs at it. */
void hosts_expect(const struct worker *worker)
{
    if (worker->core->config.ops->expect != NULL) {
        host_expect(worker, worker->node_next, EXPECT_REST);
        host_expect(worker, worker->node_after, EXPECT_FIRST);
    }
}
