/* Serves super-nodes: all that happens at their members in a window, in the order of time. */
#include "netsim/engine/window_super.h"
#include "netsim/engine/window_class.h"

#include <string.h>

enum { NUMBER_SHIFT = 1, FINAL_SHIFT = 29, PORT_SHIFT = 30, KIND_SHIFT = 46, MEMBER_SHIFT = 50 };
enum { MEMBER_PORTS_MAX = 16 }; /* that are fetched */
#define NUMBER_MAX ((UINT64_C(1) << (FINAL_SHIFT - NUMBER_SHIFT)) - 1)
#define PORT_MASK  ((UINT64_C(1) << (KIND_SHIFT - PORT_SHIFT)) - 1)
#define KIND_MASK  ((UINT64_C(1) << (MEMBER_SHIFT - KIND_SHIFT)) - 1)

#ifdef PHOTONET_FAULT
#define PORT_FAULT 1u /* the deliberate fault that the differential test must find, as in window_inbox.c */
#else
#define PORT_FAULT 0u
#endif

struct super_run {
    struct eventq *queue;
    uint64_t queue_ps;      /* the start of the window in the queue's time */
    uint32_t first;         /* inner number of the first member */
    uint64_t *active, *touched; /* bits of members, by the words of their inner numbers */
    struct packet *packets; /* by number */
    size_t count, capacity;
};

/* ---- events ----------------------------------------------------------------------------------------------- */

static void event_push(struct worker *worker, uint32_t node, enum step_kind kind, uint32_t port_local, uint64_t time_ps,
                       uint64_t rest)
{
    struct super_run *run = worker->super_run;
    uint32_t member = node - run->first, bit = node - run->first / 64 * 64;
    run->touched[bit / 64] |= UINT64_C(1) << (bit % 64);
    uint64_t payload = (uint64_t)member << MEMBER_SHIFT | (uint64_t)kind << KIND_SHIFT |
                       (uint64_t)(port_local ^ PORT_FAULT) << PORT_SHIFT | rest;
    eventq_push(run->queue, run->queue_ps + (time_ps - worker->start_ps), payload);
}

void super_expect(struct worker *worker, uint32_t node, uint32_t port_local, enum step_kind kind, uint64_t time_ps)
{
    event_push(worker, node, kind, port_local, time_ps, 0);
}

/* A host takes in what is for it or for a group. */
static bool is_final(const struct window_core *core, const struct window_node *node, const struct packet *packet)
{
    return node->is_host && (packet->dst == node->id || packet->dst >= core->fabric->host_count);
}

void super_put(struct worker *worker, uint32_t node, uint64_t time_ps, uint32_t port_whole, const struct packet *packet)
{
    struct super_run *run = worker->super_run;
    const struct window_core *core = worker->core;
    enum step_kind kind = packet->size_bytes > 0 ? STEP_ARRIVED : frame_is_credit(packet) ? STEP_CREDIT : STEP_PAUSE;
    uint64_t number = run->count;
    assert(number <= NUMBER_MAX);
    packet_copy(&vec_push(worker->arena, run->packets, run->count, run->capacity), packet);
    uint64_t rest = (uint64_t)is_final(core, &core->nodes[node], packet) << FINAL_SHIFT | number << NUMBER_SHIFT |
                    (port_whole & 1);
    event_push(worker, node, kind, port_whole >> 1, time_ps, rest);
}

/* ---- FIFOs of switches ------------------------------------------------------------------------------------ */

/* When packets leave matters to a member behind the link. To all others they arrive in a later window: so those FIFOs are
 * brought up to date when something comes, and at the end. */
static bool is_inside(const struct worker *worker, const struct window_port *port)
{
    return worker->core->nodes[port->peer].super == worker->super_now;
}

/* A FIFO with a queue and a peer inside has an event for the time at which the next packet starts: then is_busy. */
static void fifo_expect(struct worker *worker, uint32_t node_id, uint32_t port_local)
{
    struct window_core *core = worker->core;
    const struct window_node *node = &core->nodes[node_id];
    struct window_port *port = &core->ports[node->port_first + port_local];
    if (port->count == 0 || port->is_busy) {
        return;
    }
    core->waiting[node->waiting_first + port_local / 64] |= UINT64_C(1) << (port_local % 64);
    if (port->free_ps < worker->end_ps && is_inside(worker, port)) {
        port->is_busy = true;
        event_push(worker, node_id, STEP_DEPARTED, port_local, port->free_ps, 0);
    }
}

static void fifo_departed(struct worker *worker, uint32_t node_id, uint32_t port_local, uint64_t now_ps)
{
    struct window_port *port = &worker->core->ports[worker->core->nodes[node_id].port_first + port_local];
    port->is_busy = false;
    fifo_advance(worker, port, now_ps);
    fifo_expect(worker, node_id, port_local);
}

static void fifo_arrived(struct worker *worker, uint32_t node_id, uint32_t in_port, bool is_whole, struct packet *packet,
                         uint64_t now_ps)
{
    const struct window_core *core = worker->core;
    const struct window_node *node = &core->nodes[node_id];
    uint32_t out = node_route(core, node, packet);
    uint64_t wait_ps = is_whole ? 0 : tail_wait_ps(core, node, in_port, out, packet);
    if (wait_ps > 0) {
        packet_put(worker, node_id, now_ps + wait_ps, in_port << 1 | 1, packet);
        return;
    }
    fifo_arrive(worker, &core->ports[out], packet, now_ps);
    fifo_expect(worker, node_id, out - node->port_first);
}

static void fifos_enter(struct worker *worker, uint32_t node_id)
{
    const struct window_node *node = &worker->core->nodes[node_id];
    for (uint32_t word = 0; word * 64 < node->port_count; word++) {
        for (uint64_t bits = worker->core->waiting[node->waiting_first + word]; bits != 0; bits &= bits - 1) {
            uint32_t port_local = word * 64 + (uint32_t)__builtin_ctzll(bits);
            const struct window_port *port = &worker->core->ports[node->port_first + port_local];
            __builtin_prefetch(&port->queue[port->head]);
            __builtin_prefetch(&port_since(port)[port->head]);
            fifo_expect(worker, node_id, port_local);
        }
    }
}

static void fifos_leave(struct worker *worker, uint32_t node_id)
{
    const struct window_node *node = &worker->core->nodes[node_id];
    for (uint32_t word = 0; word * 64 < node->port_count; word++) {
        for (uint64_t bits = worker->core->waiting[node->waiting_first + word]; bits != 0; bits &= bits - 1) {
            uint32_t port_local = word * 64 + (uint32_t)__builtin_ctzll(bits);
            struct window_port *port = &worker->core->ports[node->port_first + port_local];
            port->is_busy = false;
            fifo_advance(worker, port, worker->end_ps - 1);
            port_leave(worker, node_id, port_local);
        }
    }
}

/* ---- members ---------------------------------------------------------------------------------------------- */

/* All members' lines are fetched before any is waited for. */
static void member_fetch(struct worker *worker, uint32_t node_id)
{
    const struct window_core *core = worker->core;
    const struct window_node *node = &core->nodes[node_id];
    for (uint32_t i = 0; i < core->worker_count; i++) {
        uintptr_t at = core->workers[i].tails[(size_t)node_id << core->slot_bits | worker->slot];
        if (at != 0) {
            lines_prefetch((const void *)(at & ~(uintptr_t)CHUNK_ROOM_MASK), CHUNK_BYTES / 64);
        }
    }
    for (uint32_t i = 0; i < node->port_count && i < MEMBER_PORTS_MAX; i++) {
        lines_prefetch(&core->ports[node->port_first + i], 2);
    }
}

/* The oldest first: C3. A run may end inside a window: what is later goes back. */
static void inbox_enter(struct worker *worker, uint32_t node)
{
    const struct window_core *core = worker->core;
    arrivals_take(worker, node);
    for (uint32_t i = worker->arrivals.count; i-- > 0;) {
        uint64_t item = worker->arrivals.items[i];
        uint64_t time_ps = worker->start_ps + arrival_offset_ps(core, item);
        uint32_t port_whole = arrival_port(core, item) << 1 | arrival_is_whole(item);
        packet_put(worker, node, time_ps, port_whole, worker->arrivals.where[arrival_at(item)]);
    }
    arrivals_release(worker);
}

static void member_enter(struct worker *worker, uint32_t node_id)
{
    struct window_core *core = worker->core;
    struct window_node *node = &core->nodes[node_id];
    node_due_take(worker, node);
    inbox_enter(worker, node_id);
    worker->whole_now = node_id;
    if (core->class_ports != NULL) {
        coupled_enter(worker, node);
    } else if (node->is_host) {
        host_enter(worker, node_id);
    } else {
        fifos_enter(worker, node_id);
    }
}

static void member_leave(struct worker *worker, uint32_t node_id)
{
    struct window_core *core = worker->core;
    node_touch(core, &core->nodes[node_id]);
    if (core->class_ports != NULL) {
        coupled_leave(worker, node_id);
    } else if (core->nodes[node_id].is_host) {
        host_leave(worker, node_id);
    } else {
        fifos_leave(worker, node_id);
    }
}

static void on_arrived(struct worker *worker, uint32_t node, uint64_t payload, uint32_t port_local, uint64_t now_ps)
{
    struct packet packet; /* the others may move when there are more of them */
    packet_copy(&packet, &worker->super_run->packets[payload >> NUMBER_SHIFT & NUMBER_MAX]);
    struct arrival arrival = {.port = port_local, .is_final = payload >> FINAL_SHIFT & 1, .is_whole = payload & 1,
                              .packet = &packet};
    if (worker->core->class_ports != NULL) {
        coupled_arrive(worker, node, &arrival, now_ps);
    } else if (worker->core->nodes[node].is_host) {
        host_arrive(worker, node, &arrival, now_ps);
    } else {
        fifo_arrived(worker, node, port_local, arrival.is_whole, &packet, now_ps);
    }
}

static void on_step(struct worker *worker, uint32_t node, enum step_kind kind, uint32_t port_local, uint64_t now_ps)
{
    if (worker->core->class_ports != NULL) {
        coupled_step(worker, node, port_local, kind, now_ps);
    } else if (worker->core->nodes[node].is_host) {
        host_step(worker, node, port_local, kind, now_ps);
    } else {
        fifo_departed(worker, node, port_local, now_ps);
    }
}

static void member_now(struct worker *worker, uint32_t node)
{
    worker->whole_now = node;
    worker->host_now = worker->core->nodes[node].is_host ? node : ID_NONE;
}

static void on_event(struct worker *worker, const struct eventq_item *event)
{
    const struct super_run *run = worker->super_run;
    uint32_t node = run->first + (uint32_t)(event->payload >> MEMBER_SHIFT);
    uint32_t port_local = (uint32_t)(event->payload >> PORT_SHIFT & PORT_MASK) ^ PORT_FAULT;
    enum step_kind kind = (enum step_kind)(event->payload >> KIND_SHIFT & KIND_MASK);
    uint64_t now_ps = worker->start_ps + (event->time_ps - run->queue_ps);
    member_now(worker, node);
    if (kind >= STEP_PAUSE) {
        on_arrived(worker, node, event->payload, port_local, now_ps);
    } else {
        on_step(worker, node, kind, port_local, now_ps);
    }
}

static void on_due(struct worker *worker)
{
    struct timer timer = timer_pop(&worker->local);
    const struct engine_config *config = &worker->core->config;
    uint32_t node = timer_node(timer.payload);
    member_now(worker, node);
    config->ops->event(config->context, worker->core->nodes[node].id, timer_what(timer.payload),
                       timer_argument(timer.payload), timer.time_ps);
}

/* ---- a window --------------------------------------------------------------------------------------------- */

static void members_visit(struct worker *worker, const uint64_t *bits, uint32_t word_count,
                          void (*visit)(struct worker *worker, uint32_t node))
{
    uint32_t first = worker->super_run->first / 64 * 64;
    for (uint32_t word = 0; word < word_count; word++) {
        for (uint64_t left = bits[word]; left != 0; left &= left - 1) {
            visit(worker, first + word * 64 + (uint32_t)__builtin_ctzll(left));
        }
    }
}

/* Timers come after all else of their time. */
static void events_run(struct worker *worker)
{
    struct super_run *run = worker->super_run;
    uint64_t offset_ps = run->queue_ps - worker->start_ps; /* wraps */
    for (;;) {
        bool is_due = worker->local.count > 0;
        uint64_t bound_ps = is_due ? worker->local.items[0].time_ps + 1 : worker->end_ps;
        struct eventq_item event;
        if (eventq_pop_before(run->queue, bound_ps + offset_ps, &event)) {
            on_event(worker, &event);
        } else if (is_due) {
            on_due(worker);
        } else {
            return;
        }
    }
}

static void super_serve(struct worker *worker, uint32_t id, uint32_t word_count)
{
    struct super_run *run = worker->super_run;
    run->first = worker->core->supers[id].first;
    run->count = 0;
    worker->super_now = id;
    memcpy(run->touched, run->active, word_count * sizeof *run->touched);
    members_visit(worker, run->active, word_count, member_fetch);
    members_visit(worker, run->active, word_count, member_enter);
    events_run(worker);
    worker->super_now = SUPER_NONE;
    worker->host_now = worker->whole_now = ID_NONE;
    members_visit(worker, run->touched, word_count, member_leave);
    run->queue_ps += worker->core->width_ps;
}

/* S3 */
static uint64_t members_mask(const struct window_super *super)
{
    return (super->count == 64 ? UINT64_MAX : (UINT64_C(1) << super->count) - 1) << super->first % 64;
}

static uint32_t large_serve(struct worker *worker, uint32_t id, uint32_t word, uint64_t nodes)
{
    const struct window_super *super = &worker->core->supers[id];
    uint32_t first = super->first / 64, end = (super->first + super->count + 63) / 64;
    memset(worker->super_run->active, 0, (end - first) * sizeof(uint64_t));
    worker->super_run->active[word - first] = nodes;
    for (uint32_t i = word + 1; i < end; i++) {
        worker->super_run->active[i - first] = word_take(worker, i);
    }
    super_serve(worker, id, end - first);
    return end - 1;
}

void supers_serve(struct worker *worker, uint32_t first, uint32_t end)
{
    const struct window_core *core = worker->core;
    worker->node_next = ID_NONE;
    worker->chunk_next[worker->id] = NULL;
    for (uint32_t word = first / 64; word < end / 64; word++) {
        uint64_t nodes = word_take(worker, word);
        while (nodes != 0) {
            uint32_t id = core->nodes[word * 64 + (uint32_t)__builtin_ctzll(nodes)].super;
            if (core->supers[id].count > 64) {
                word = large_serve(worker, id, word, nodes);
                break;
            }
            worker->super_run->active[0] = nodes & members_mask(&core->supers[id]);
            nodes &= ~members_mask(&core->supers[id]);
            super_serve(worker, id, 1);
        }
    }
}

/* ---- the beginning ---------------------------------------------------------------------------------------- */

void super_runs_make(struct window_core *core)
{
    uint32_t words = 1;
    for (uint32_t i = 0; i < core->super_count; i++) {
        uint32_t own = (core->supers[i].count + 63) / 64;
        words = own > words ? own : words;
    }
    for (uint32_t i = 0; i < core->worker_count; i++) {
        struct super_run *run = arena_one(core->arena, struct super_run);
        run->active = arena_array(core->arena, words, uint64_t);
        run->touched = arena_array(core->arena, words, uint64_t);
        if (core->super_count > 0) {
            run->queue = eventq_new(core->arena, core->body);
        }
        core->workers[i].super_run = run;
        core->workers[i].super_now = SUPER_NONE;
    }
}
