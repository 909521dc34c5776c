/* The controller of circuits: what hosts tell it, and what it does. It acts between two barriers, before anything of the
 * window is served (G3); the others wait. */
#include "netsim/engine/window_gate.h"

static bool tell_before(const struct tell *a, const struct tell *b)
{
    if (a->time_ps != b->time_ps) {
        return a->time_ps < b->time_ps;
    }
    return a->host != b->host ? a->host < b->host : a->number < b->number;
}

static void tell_push(struct worker *worker, const struct tell *tell)
{
    struct tell_heap *heap = &worker->tells;
    vec_push(worker->arena, heap->items, heap->count, heap->capacity) = *tell;
    size_t at = heap->count - 1;
    for (; at > 0 && tell_before(tell, &heap->items[(at - 1) / 2]); at = (at - 1) / 2) {
        heap->items[at] = heap->items[(at - 1) / 2];
    }
    heap->items[at] = *tell;
}

static struct tell tell_pop(struct tell_heap *heap)
{
    struct tell first = heap->items[0], last = heap->items[--heap->count];
    size_t at = 0;
    for (size_t child = 1; child < heap->count; child = 2 * at + 1) {
        child += child + 1 < heap->count && tell_before(&heap->items[child + 1], &heap->items[child]);
        if (!tell_before(&heap->items[child], &last)) {
            break;
        }
        heap->items[at] = heap->items[child];
        at = child;
    }
    heap->items[at] = last;
    return first;
}

uint64_t control_first_ps(const struct worker *worker)
{
    return worker->tells.count > 0 ? worker->tells.items[0].time_ps : TIME_NEVER_PS;
}

/* The worker whose host has told first; NULL where nothing is due in the window. */
static struct worker *first_teller(struct window_core *core)
{
    struct worker *first = NULL;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        struct worker *worker = &core->workers[i];
        if (control_first_ps(worker) < worker->end_ps &&
            (first == NULL || tell_before(&worker->tells.items[0], &first->tells.items[0]))) {
            first = worker;
        }
    }
    return first;
}

void controls_run(struct window_core *core)
{
    for (struct worker *worker; (worker = first_teller(core)) != NULL;) {
        struct tell tell = tell_pop(&worker->tells);
        core->control_ps = tell.time_ps;
        core->config.ops->control(core->config.context, tell.host, tell.argument, tell.time_ps);
    }
}

void window_tell(struct engine *engine, uint32_t host, uint64_t argument, uint64_t now_ps)
{
    struct window_core *core = (struct window_core *)engine;
    assert(core->config.control_delay_ps > 0);
    struct tell tell = {now_ps + core->config.control_delay_ps, argument, host, core->tell_count[host]++};
    tell_push(&core->workers[core->nodes[core->inner[host]].owner], &tell);
}

/* The first moment of which nothing has been served yet: a run may have ended inside the window. */
static uint64_t unserved_ps(const struct window_core *core, const struct worker *worker)
{
    if (!core->is_running) {
        return core->control_ps;
    }
    return worker->start_ps > core->done_ps ? worker->start_ps : core->done_ps + 1;
}

/* The port has not been served up to control_ps yet: what it may start before, by the old rule, stays so. */
void window_gate(struct engine *engine, uint32_t port, uint64_t open_ps, uint64_t close_ps)
{
    struct window_core *core = (struct window_core *)engine;
    uint32_t node = core->inner[core->fabric->port_node[port]];
    struct worker *owner = &core->workers[core->nodes[node].owner];
    assert(gate_of(core, port) != NULL);
    gating_command(core->gate_ports[port].gating, core->arena, core->control_ps, open_ps, close_ps);
    gate_wake(owner, node, port - core->nodes[node].port_first, unserved_ps(core, owner));
}
