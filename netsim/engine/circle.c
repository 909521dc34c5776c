#include "netsim/engine/circle.h"

struct asking {
    uint32_t in_port;
    bool is_kept_back, holds;
};

static void on_waiting(void *context, uint32_t in_port, bool is_kept_back)
{
    struct asking *asking = context;
    asking->is_kept_back |= is_kept_back;
    asking->holds |= in_port == asking->in_port;
}

/* The port is kept back itself, and holds packets that came by in_port. */
static bool holds_up(const struct engine *engine, uint32_t port, uint32_t in_port)
{
    struct asking asking = {.in_port = in_port};
    engine->class->waiting(engine, port, on_waiting, &asking);
    return asking.is_kept_back && asking.holds;
}

static bool is_kept_back(const struct engine *engine, uint32_t port)
{
    struct asking asking = {.in_port = ID_NONE};
    engine->class->waiting(engine, port, on_waiting, &asking);
    return asking.is_kept_back;
}

/* The next port after `*next` that `port` waits for, ID_NONE: no more. */
static uint32_t waits_for(const struct engine *engine, const struct fabric *fabric, uint32_t port, uint32_t *next)
{
    uint32_t in_port = fabric->port_peer[port], node = fabric->port_node[in_port];
    while (*next < fabric->port_first[node + 1]) {
        uint32_t other = (*next)++;
        if (holds_up(engine, other, in_port)) {
            return other;
        }
    }
    return ID_NONE;
}

enum { UNSEEN, ON_WAY, DONE };

struct search {
    uint8_t *state;
    uint32_t *next;  /* per port: of the node behind it, to be looked at next */
    uint32_t *way, length;
};

static void step_in(const struct fabric *fabric, struct search *search, uint32_t port)
{
    search->state[port] = ON_WAY;
    search->next[port] = fabric->port_first[fabric->port_node[fabric->port_peer[port]]];
    search->way[search->length++] = port;
}

/* Depth first from one port. True: way[*first] .. way[length - 1] is a circle. */
static bool circle_from(const struct engine *engine, const struct fabric *fabric, struct search *search, uint32_t port,
                        uint32_t *first)
{
    step_in(fabric, search, port);
    while (search->length > 0) {
        uint32_t last = search->way[search->length - 1];
        uint32_t other = waits_for(engine, fabric, last, &search->next[last]);
        if (other == ID_NONE) {
            search->state[last] = DONE;
            search->length--;
        } else if (search->state[other] == UNSEEN) {
            step_in(fabric, search, other);
        } else if (search->state[other] == ON_WAY) {
            for (*first = 0; search->way[*first] != other; (*first)++) {
            }
            return true;
        }
    }
    return false;
}

uint32_t engine_circle(const struct engine *engine, const struct fabric *fabric, uint32_t *ports)
{
    struct arena *scratch = arena_new("circle");
    struct search search = {.state = arena_array(scratch, fabric->port_count, uint8_t),
                            .next = arena_array(scratch, fabric->port_count, uint32_t),
                            .way = arena_array(scratch, fabric->port_count, uint32_t)};
    uint32_t count = 0, first;
    for (uint32_t port = 0; port < fabric->port_count && count == 0; port++) {
        bool is_start = search.state[port] == UNSEEN && fabric->port_peer[port] != ID_NONE && is_kept_back(engine, port);
        if (is_start && circle_from(engine, fabric, &search, port, &first)) {
            for (uint32_t i = first; i < search.length; i++) {
                ports[count++] = search.way[i];
            }
        }
    }
    arena_free(scratch);
    return count;
}

uint32_t engine_kept_back(const struct engine *engine, const struct fabric *fabric, uint32_t *ports)
{
    uint32_t count = 0;
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        if (fabric->port_peer[port] != ID_NONE && is_kept_back(engine, port)) {
            ports[count++] = port;
        }
    }
    return count;
}
