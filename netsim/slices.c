#include "netsim/slices.h"

#include <string.h>

/* Windows of a cycle may reach into the next one. */
static bool is_open_for(const struct fabric *fabric, uint32_t port, uint64_t from_ps, uint64_t until_ps)
{
    uint32_t id = fabric->port_gate[port];
    if (id == ID_NONE) {
        return true;
    }
    const struct gate *gate = &fabric->gates[id];
    for (uint32_t i = 0; i < gate->window_count; i++) {
        const struct gate_window *window = &fabric->gate_windows[gate->window_first + i];
        uint64_t next_ps = gate->period_ps; /* the same window seen from the cycle before */
        bool is_now = window->open_ps <= from_ps && until_ps <= window->close_ps;
        bool is_before = window->close_ps > next_ps && until_ps <= window->close_ps - next_ps;
        if (is_now || is_before) {
            return true;
        }
    }
    return false;
}

static const struct routes *slice_routes(const struct fabric *fabric, uint32_t slice, const struct routes *base,
                                         struct arena *arena)
{
    struct fabric *open = arena_one(arena, struct fabric);
    uint64_t from_ps = slice * fabric->slices.slice_ps;
    *open = *fabric;
    open->port_peer = arena_array(arena, fabric->port_count, uint32_t);
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        uint32_t peer = fabric->port_peer[port];
        bool is_open = peer != ID_NONE && is_open_for(fabric, port, from_ps, from_ps + fabric->slices.slice_ps) &&
                       is_open_for(fabric, peer, from_ps, from_ps + fabric->slices.slice_ps);
        open->port_peer[port] = is_open ? peer : ID_NONE;
    }
    struct diag diag;
    const struct routes *routes = routes_new(open, arena);
    return routes_check(routes, fabric->host_count, &diag) == STATUS_OK ? routes : base;
}

const struct route_epochs *slices_routes(const struct fabric *fabric, const struct routes *base, struct arena *arena)
{
    uint32_t count = fabric->slices.count;
    if (count == 0 || fabric->port_gate == NULL) {
        return NULL;
    }
    uint64_t *from_ps = arena_array(arena, count, uint64_t);
    const struct routes **routes = arena_array(arena, count, const struct routes *);
    for (uint32_t slice = 0; slice < count; slice++) {
        from_ps[slice] = slice * fabric->slices.slice_ps;
        routes[slice] = slice_routes(fabric, slice, base, arena);
    }
    struct route_epochs *epochs = arena_one(arena, struct route_epochs);
    *epochs = (struct route_epochs){.period_ps = count * fabric->slices.slice_ps, .count = count,
                                    .class_mask = 1u << SLICES_CLASS, .from_ps = from_ps, .routes = routes};
    return epochs;
}

uint64_t slices_queues(const struct fabric *fabric, struct queue_profile *queues)
{
    const struct queue_class *data = &queues->class[0];
    bool can_close = data->xoff_bytes > 0 || data->credit_bytes > 0; /* a second class would have to be asked for too */
    if (fabric->slices.count == 0 || queues->class_count != 1 || can_close) {
        return 0;
    }
    queues->class_count = 2;
    queues->class[SLICES_CLASS] = queues->class[0];
    queues->class[0].priority = (uint8_t)(queues->class[SLICES_CLASS].priority + 1);
    return fabric->slices.cutoff_bytes;
}
