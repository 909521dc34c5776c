/* Tables of shortest paths, for fabrics without arithmetic routes.
 *
 * One search a class of destinations (route.h), against the direction of the links, over hosts and switches
 * alike: hosts forward where that is the shortest way and the fabric lets them. Costs are small whole
 * numbers, so nearest nodes come from a ring of 256 lists and not from a heap. The sets of next hops are
 * interned, since few different ones exist (a node of 4 ports has at most 15): a table costs 4 bytes a (node,
 * class) pair. Time grows with classes * ports. */
#ifndef PHOTONET_SHORTEST_H
#define PHOTONET_SHORTEST_H

#include "netsim/route/route.h"

/* Fills rows, class_of, sets and their counts; pairs without a way get the empty set. */
void shortest_build(struct routes *routes, struct arena *arena);

/* Hops from every node to `host`, whatever they cost and whoever passes on, UINT32_MAX where there is no way.
 * `queue` has room for node_count ids. */
void shortest_distances(const struct fabric *fabric, uint32_t host, uint32_t *distance, uint32_t *queue);

#endif
