/* Tables of shortest paths, for fabrics without arithmetic routes.
 *
 * One breadth-first search a host, against the direction of the links, over hosts and switches alike: hosts
 * forward where that is the shortest way. The sets of next hops are interned, since few different ones exist
 * (a node of 4 ports has at most 15), so the table costs 4 bytes a (node, host) pair: 16 MB for 2000 nodes.
 * Time grows with hosts * ports. */
#ifndef PHOTONET_SHORTEST_H
#define PHOTONET_SHORTEST_H

#include "netsim/route/route.h"

/* Fills set_id, sets and set_count; pairs without a way get the empty set. */
void shortest_build(struct routes *routes, struct arena *arena);

/* Hops from every node to `host`, UINT32_MAX where there is no way. `queue` has room for node_count ids. */
void shortest_distances(const struct fabric *fabric, uint32_t host, uint32_t *distance, uint32_t *queue);

#endif
