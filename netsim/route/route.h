/* Where a packet may go next: one question, two answers behind it.
 *
 * A tree answers by arithmetic (struct route of the fabric), any other fabric from tables of shortest paths
 * (shortest.h). Whoever asks cannot tell which. All next hops of a set are equally far from the destination, so
 * a packet comes one hop nearer with every step and routes have no loops.
 *
 * Scope: all shortest paths by hop count, parallel links counted singly.
 * Not modelled: weights by rate or delay; failures during a run. */
#ifndef PHOTONET_ROUTE_H
#define PHOTONET_ROUTE_H

#include "photonet/fabric.h"

#include <stdbool.h>

/* Ports of one node, counted within the node: `count` consecutive ones from `first`, or a list. */
struct port_set {
    uint32_t count; /* 0: there is no way */
    uint32_t first;
    const uint16_t *list; /* NULL: consecutive */
};

struct routes {
    const struct fabric *fabric;
    /* Tables, NULL where the fabric routes by arithmetic: set of (node, host) = sets[set_id[node * hosts + host]]. */
    const uint32_t *set_id;
    const struct port_set *sets;
    uint32_t set_count;
};

/* Tables are made where the fabric brings no arithmetic; call it again after the connections have changed. */
struct routes *routes_new(const struct fabric *fabric, struct arena *arena);

/* STATUS_INPUT naming the first host below host_count that host 0 cannot reach, and how many there are: links
 * are duplex, so whoever reaches host 0 reaches all others. */
enum status routes_check(const struct routes *routes, uint32_t host_count, struct diag *diag);

static inline struct port_set route_arithmetic(const struct route *route, uint32_t dst)
{
    if (dst < route->down_first || dst >= route->down_last) {
        return (struct port_set){route->up_count, route->up_port, NULL};
    }
    uint32_t child = (dst - route->down_first) / route->down_stride;
    return (struct port_set){route->down_width, route->down_port + child * route->down_width, NULL};
}

/* The next hops of `node` towards host `dst`, which is not `node` itself. */
static inline struct port_set routes_next(const struct routes *routes, uint32_t node, uint32_t dst)
{
    DASSERT(node != dst && dst < routes->fabric->host_count);
    if (routes->set_id == NULL) {
        return route_arithmetic(&routes->fabric->route[node], dst);
    }
    return routes->sets[routes->set_id[(size_t)node * routes->fabric->host_count + dst]];
}

/* The i-th port of a set, i < count. */
static inline uint32_t port_set_at(const struct port_set *set, uint32_t i)
{
    return set->list == NULL ? set->first + i : set->list[i];
}

/* One port of a set that is not empty, the same for equal hashes. */
static inline uint32_t route_choose(const struct port_set *set, uint64_t hash)
{
    DASSERT(set->count > 0);
    return port_set_at(set, (uint32_t)(((unsigned __int128)hash * set->count) >> 64));
}

#endif
