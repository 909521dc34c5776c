/* The windows, one after the other. */
#include "netsim/engine/window.h"

/* ---- the next window -------------------------------------------------------------------------------------- */

/* How many windows ahead the worker has something to do, UINT64_MAX for never. */
static uint64_t worker_next(const struct worker *worker)
{
    uint64_t ahead = UINT64_MAX;
    if (worker->pending != 0) {
        uint32_t slots = worker->core->slot_mask + 1;
        uint64_t turned = worker->pending >> worker->slot;
        turned |= worker->slot == 0 ? 0 : worker->pending << (slots - worker->slot);
        ahead = (uint64_t)__builtin_ctzll(turned);
    }
    if (worker->timers.count > 0 && ahead > 0) {
        uint64_t timer_ahead = windows_ahead(worker, worker->timers.items[0].time_ps);
        ahead = timer_ahead < ahead ? timer_ahead : ahead;
    }
    if (worker->far.count > 0) {
        uint64_t far_ahead = windows_ahead(worker, worker->far.items[0].time_ps);
        ahead = far_ahead < ahead ? far_ahead : ahead;
    }
    return ahead;
}

static void worker_move(struct worker *worker, uint64_t ahead, uint64_t until_ps)
{
    const struct window_core *core = worker->core;
    worker->start_ps += ahead * core->width_ps;
    worker->slot = (uint32_t)(worker->slot + ahead) & core->slot_mask;
    worker->end_ps = worker->start_ps + core->width_ps;
    if (until_ps < worker->end_ps) {
        worker->end_ps = until_ps + 1;
    }
}

/* ---- one window ------------------------------------------------------------------------------------------- */

static void timers_take(struct worker *worker)
{
    struct window_core *core = worker->core;
    worker->due_count = 0;
    while (worker->timers.count > 0 && worker->timers.items[0].time_ps < worker->end_ps) {
        struct timer timer = timer_pop(&worker->timers);
        uint32_t node = timer_node(timer.payload);
        node_activate(worker, node, worker->slot);
        if (timer_what(timer.payload) != TIMER_WAKE) {
            struct due due = {timer, core->nodes[node].due_first};
            core->nodes[node].due_first = (uint32_t)worker->due_count;
            vec_push(worker->arena, worker->due, worker->due_count, worker->due_capacity) = due;
        }
    }
}

/* The nodes of a word that have something to do in this window; they are taken off the list. */
static uint64_t word_take(struct worker *worker, uint32_t word)
{
    struct window_core *core = worker->core;
    uint64_t nodes = 0;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        uint64_t *bits = &core->workers[i].active[(size_t)worker->slot * core->word_count + word];
        nodes |= *bits;
        *bits = 0;
    }
    return nodes;
}

static void nodes_serve(struct worker *worker, uint32_t first, uint32_t end,
                        void (*serve)(struct worker *worker, uint32_t node))
{
    for (uint32_t word = first / 64; word < end / 64; word++) {
        for (uint64_t nodes = word_take(worker, word); nodes != 0; nodes &= nodes - 1) {
            uint64_t later = nodes & (nodes - 1);
            worker->node_next = later == 0 ? ID_NONE : word * 64 + (uint32_t)__builtin_ctzll(later);
            serve(worker, word * 64 + (uint32_t)__builtin_ctzll(nodes));
        }
    }
}

static void window_serve(struct worker *worker)
{
    const struct window_core *core = worker->core;
    far_drain(worker);
    timers_take(worker);
    worker->pending &= ~(UINT64_C(1) << worker->slot); /* set again by what a cut window leaves over */
    nodes_serve(worker, core->switch_first[worker->id], core->host_first[worker->id], core->switch_serve);
    nodes_serve(worker, core->host_first[worker->id], core->worker_end[worker->id], host_serve);
}

/* ---- the class -------------------------------------------------------------------------------------------- */

static uint64_t window_run(struct engine *engine, uint64_t until_ps)
{
    struct window_core *core = (struct window_core *)engine;
    struct worker *worker = &core->workers[0];
    const volatile int *interrupted = core->config.interrupted;
    until_ps = until_ps > core->done_ps ? until_ps : core->done_ps;
    core->is_on_link_valid = false;
    core->is_running = true;
    for (;;) {
        uint64_t ahead = worker_next(worker);
        if (ahead == UINT64_MAX || worker->start_ps + ahead * core->width_ps > until_ps) {
            core->done_ps = until_ps < TIME_NEVER_PS ? until_ps : window_last_ps(core);
            break;
        }
        worker_move(worker, ahead, until_ps);
        window_serve(worker);
        core->done_ps = worker->end_ps - 1;
        if (core->done_ps == until_ps || (interrupted != NULL && *interrupted)) {
            break;
        }
    }
    core->is_running = false;
    return window_first_left_ps(core);
}

/* Between runs: times may lie before the last window where nothing is left to happen. */
static void position_fix(struct window_core *core, uint64_t now_ps)
{
    if (core->is_running || now_ps >= core->workers[0].start_ps) {
        return;
    }
    for (uint32_t i = 0; i < core->worker_count; i++) {
        struct worker *worker = &core->workers[i];
        assert(worker->pending == 0 && worker->far.count == 0);
        worker->start_ps = now_ps / core->width_ps * core->width_ps;
    }
}

static void window_kick(struct engine *engine, uint32_t host, uint32_t port, uint64_t now_ps)
{
    struct window_core *core = (struct window_core *)engine;
    uint32_t node = core->inner[host];
    position_fix(core, now_ps);
    host_kick(&core->workers[core->nodes[node].owner], node, port, now_ps);
}

static void window_timer(struct engine *engine, uint32_t host, uint64_t when_ps, enum host_event kind,
                         uint64_t argument)
{
    struct window_core *core = (struct window_core *)engine;
    uint32_t node = core->inner[host];
    struct worker *worker = &core->workers[core->nodes[node].owner];
    position_fix(core, when_ps);
    bool is_now = worker->host_now == node && when_ps < worker->end_ps;
    timer_push(is_now ? &worker->local : &worker->timers, when_ps, timer_payload(node, kind, argument));
}

static uint64_t window_hop_count(const struct engine *engine)
{
    const struct window_core *core = (const struct window_core *)engine;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        sum += core->workers[i].hop_count;
    }
    return sum;
}

static uint64_t window_in_flight(const struct engine *engine)
{
    const struct window_core *core = (const struct window_core *)engine;
    int64_t sum = 0;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        sum += core->workers[i].in_flight;
    }
    return (uint64_t)sum;
}

static uint32_t window_open_classes(const struct engine *engine, uint32_t host, uint32_t port)
{
    (void)engine, (void)host, (void)port;
    return 1;
}

const struct engine_class engine_window = {
    .name = "window",
    .create = window_create,
    .kick = window_kick,
    .timer = window_timer,
    .run = window_run,
    .counters = window_counters,
    .open_classes = window_open_classes,
    .hop_count = window_hop_count,
    .packets_in_flight = window_in_flight,
};
