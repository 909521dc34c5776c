#include "netsim/route/bisection.h"

#include <string.h>

#define FAR UINT32_MAX

struct flow {
    const struct fabric *fabric;
    uint64_t *left_bps; /* per port: what it can still take */
    uint32_t *level;    /* steps from the sources */
    uint32_t *port;     /* per node: arcs before it lead nowhere in this round */
    uint32_t *queue;
    uint32_t *way; /* ports from a source to where the search stands */
    uint32_t source_count;
};

static bool is_sink(const struct flow *flow, uint32_t node)
{
    return node >= flow->source_count && node < flow->fabric->host_count;
}

static bool is_open(const struct flow *flow, uint32_t port)
{
    return flow->left_bps[port] > 0 && flow->fabric->port_peer[port] != ID_NONE;
}

static uint32_t port_to(const struct flow *flow, uint32_t port)
{
    return flow->fabric->port_node[flow->fabric->port_peer[port]];
}

/* Levels of all nodes up to the nearest sinks; false where no sink is left to reach. */
static bool levels_find(struct flow *flow)
{
    const struct fabric *fabric = flow->fabric;
    uint32_t head = 0, tail = 0, nearest = FAR;
    memset(flow->level, 0xff, fabric->node_count * sizeof *flow->level);
    for (; tail < flow->source_count; tail++) {
        flow->level[tail] = 0;
        flow->queue[tail] = tail;
    }
    while (head < tail) {
        uint32_t node = flow->queue[head++];
        if (flow->level[node] >= nearest) {
            break;
        }
        for (uint32_t port = fabric->port_first[node]; port < fabric->port_first[node + 1]; port++) {
            uint32_t next = is_open(flow, port) ? port_to(flow, port) : node;
            if (flow->level[next] == FAR) {
                flow->level[next] = flow->level[node] + 1;
                flow->queue[tail++] = next;
                nearest = is_sink(flow, next) && nearest == FAR ? flow->level[next] : nearest;
            }
        }
    }
    return nearest != FAR;
}

static uint64_t way_use(struct flow *flow, uint32_t length)
{
    uint64_t least_bps = UINT64_MAX;
    for (uint32_t i = 0; i < length; i++) {
        least_bps = flow->left_bps[flow->way[i]] < least_bps ? flow->left_bps[flow->way[i]] : least_bps;
    }
    for (uint32_t i = 0; i < length; i++) {
        flow->left_bps[flow->way[i]] -= least_bps;
        flow->left_bps[flow->fabric->port_peer[flow->way[i]]] += least_bps;
    }
    return least_bps;
}

/* All ways from one source along rising levels. */
static uint64_t source_flow(struct flow *flow, uint32_t source)
{
    const struct fabric *fabric = flow->fabric;
    uint64_t sum_bps = 0;
    uint32_t node = source, length = 0;
    while (true) {
        if (is_sink(flow, node)) {
            sum_bps += way_use(flow, length);
            node = source;
            length = 0;
        }
        uint32_t *port = &flow->port[node];
        while (*port < fabric->port_first[node + 1] &&
               (!is_open(flow, *port) || flow->level[port_to(flow, *port)] != flow->level[node] + 1)) {
            (*port)++;
        }
        if (*port < fabric->port_first[node + 1]) {
            flow->way[length++] = *port;
            node = port_to(flow, *port);
        } else if (length == 0) {
            return sum_bps;
        } else {
            uint32_t back = flow->way[--length];
            node = fabric->port_node[back];
            flow->port[node]++;
        }
    }
}

uint64_t bisection_bps(const struct fabric *fabric)
{
    struct arena *scratch = arena_new("bisection");
    uint32_t nodes = fabric->node_count;
    struct flow flow = {.fabric = fabric,
                        .source_count = fabric->host_count / 2,
                        .left_bps = arena_array(scratch, fabric->port_count, uint64_t),
                        .level = arena_array(scratch, nodes, uint32_t),
                        .port = arena_array(scratch, nodes, uint32_t),
                        .queue = arena_array(scratch, nodes, uint32_t),
                        .way = arena_array(scratch, nodes, uint32_t)};
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        flow.left_bps[port] = fabric_port_mean_bps(fabric, port);
    }
    uint64_t sum_bps = 0;
    while (levels_find(&flow)) {
        memcpy(flow.port, fabric->port_first, nodes * sizeof *flow.port);
        for (uint32_t source = 0; source < flow.source_count; source++) {
            sum_bps += source_flow(&flow, source);
        }
    }
    arena_free(scratch);
    return sum_bps;
}
