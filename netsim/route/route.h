/* Where a packet may go next: one question, two answers behind it.
 *
 * A tree answers by arithmetic (struct route of the fabric), any other fabric from tables of shortest paths
 * (shortest.h). Whoever asks cannot tell which. All next hops of a set are equally far from the destination,
 * so a packet comes nearer with every step and routes have no loops.
 *
 * Tables are shared. Hosts that hang at the same nodes and pass nothing on are one class of destinations:
 * every node has one entry for all of them, and only the nodes that they hang at tell them apart (the last
 * hop). A host with a single neighbour has one set for everything. 8,192 hosts, eight to a server and to a
 * switch, need 40 MB and not 320.
 *
 * Scope: all shortest paths by the costs that the fabric gives its links (by hop count where it gives none),
 * parallel links counted singly.
 * Not modelled: weights by load (least backlog among equal next hops: queue.h; detours: way.h). Failures are routes of their
 * own from then on (engine_config.epochs). */
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

/* The next hops of one node, as indices of sets. */
struct route_row {
    const uint32_t *by_class; /* NULL: `only` for all */
    uint32_t only;
    uint32_t direct_first, direct_count; /* hosts that hang here and share their class with others */
    const uint32_t *direct;              /* ID_NONE: not one of them */
};

struct routes {
    const struct fabric *fabric;
    /* Tables, NULL where the fabric routes by arithmetic. */
    const struct route_row *rows; /* per node */
    const uint32_t *class_of;     /* per host */
    const struct port_set *sets;
    uint32_t class_count, set_count;
};

/* Tables are made where the fabric brings no arithmetic; call it again after the connections have changed. */
struct routes *routes_new(const struct fabric *fabric, struct arena *arena);

/* STATUS_INPUT naming the first host below host_count that host 0 cannot reach, and how many there are: links
 * are duplex, so whoever reaches host 0 reaches all others. */
enum status routes_check(const struct routes *routes, uint32_t host_count, struct diag *diag);

static inline struct port_set route_arithmetic(const struct route *route, uint32_t dst)
{
    uint32_t rail = route->rails > 1 ? dst % route->rails : 0;
    bool is_other_rail = route->rails > 1 && route->rail != ROUTE_ALL_RAILS && route->rail != rail;
    if (dst < route->down_first || dst >= route->down_last || is_other_rail) {
        return (struct port_set){route->up_count, route->up_port, NULL};
    }
    uint32_t child = (dst - route->down_first) / route->down_stride;
    child = route->rails > 1 && route->rail == ROUTE_ALL_RAILS ? child * route->rails + rail : child;
    return (struct port_set){route->down_width, route->down_port + child * route->down_width, NULL};
}

static inline uint32_t route_set_id(const struct routes *routes, uint32_t node, uint32_t dst)
{
    const struct route_row *row = &routes->rows[node];
    uint32_t place = dst - row->direct_first;
    if (place < row->direct_count && row->direct[place] != ID_NONE) {
        return row->direct[place];
    }
    return row->by_class == NULL ? row->only : row->by_class[routes->class_of[dst]];
}

/* The next hops of `node` towards host `dst`, which is not `node` itself. */
static inline struct port_set routes_next(const struct routes *routes, uint32_t node, uint32_t dst)
{
    DASSERT(node != dst && dst < routes->fabric->host_count);
    if (routes->rows == NULL) {
        return route_arithmetic(&routes->fabric->route[node], dst);
    }
    return routes->sets[route_set_id(routes, node, dst)];
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
