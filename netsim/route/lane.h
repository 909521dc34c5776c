/* Virtual lanes, which keep credits and pauses from closing a circle: a packet changes to a lane where nobody waits for
 * those that wait for it.
 *
 *   rings    a torus in dimension order: two lanes a ring
 *
 *      lane 0   0 ──► 1 ──► 2 ──► 3 ──(closing link)──► 0     a packet starts in lane 0 and is in lane 1 once it has
 *      lane 1   0 ──► 1 ──► 2 ──► 3                           crossed the link that closes the ring
 *
 *            Shortest ways go less than once round, so none in lane 1 reaches the closing link again, and the next dimension
 *            begins with lane 0 again (Dally and Seitz, IEEE Trans. Computers 1987). With detours (way.h) the way to
 *            the middle has lanes 0 and 1, the way from there 2 and 3.
 *   colours  where packets may turn from any link to any other: a lane more with every step from a higher to a lower colour
 *            of nodes, so that colours only rise inside a lane (Günther 1981, the negative hops of Boppana and
 *            Chalasani, ISCA 1993); half as many lanes as hops where two colours do
 *   regions  all others with regions (dragonfly, HyperX): a lane more with every change of region, so that lanes only
 *            rise (Günther 1981; three lanes for a dragonfly with detours, Kim et al., ISCA 2008)
 *
 * Classes come in blocks of one lane each: class c in lane l is class c + l * (classes of a lane). */
#ifndef PHOTONET_LANE_H
#define PHOTONET_LANE_H

#include "photonet/fabric.h"

#include <stdbool.h>

enum lane_rule { LANES_NONE, LANES_RINGS, LANES_RINGS_TWICE, LANES_COLOURS, LANES_REGIONS };

/* The lane on a ring of a packet that came by in_port and leaves by out_port. */
static inline uint32_t lane_on_ring(const struct fabric *fabric, uint32_t in_port, uint32_t out_port, uint32_t lane)
{
    uint8_t in = fabric->port_ring[in_port], out = fabric->port_ring[out_port];
    if (((in ^ out) & ~RING_CLOSED) != 0) {
        return 0;
    }
    return (in & RING_CLOSED) != 0 ? 1 : lane;
}

static inline bool is_new_region(const struct fabric *fabric, uint32_t in_port)
{
    uint32_t here = fabric->node_region[fabric->port_node[in_port]];
    uint32_t from = fabric->node_region[fabric->port_node[fabric->port_peer[in_port]]];
    return here != ID_NONE && from != ID_NONE && here != from;
}

static inline bool is_descent(const struct fabric *fabric, uint32_t in_port)
{
    uint32_t from = fabric->port_node[fabric->port_peer[in_port]];
    return fabric->node_colour[from] > fabric->node_colour[fabric->port_node[in_port]];
}

/* The lane of a packet of `lane` behind the node; is_long: it is on its way to a middle. */
static inline uint32_t lane_next(const struct fabric *fabric, enum lane_rule rule, uint32_t in_port, uint32_t out_port,
                                 uint32_t lane, uint32_t lane_count, bool is_long)
{
    uint32_t turn = is_long ? 0 : 1;
    switch (rule) {
    case LANES_RINGS:
        return lane_on_ring(fabric, in_port, out_port, lane);
    case LANES_RINGS_TWICE:
        return 2 * turn + lane_on_ring(fabric, in_port, out_port, lane / 2 == turn ? lane % 2 : 0);
    case LANES_COLOURS:
        lane += is_descent(fabric, in_port);
        return lane < lane_count ? lane : lane_count - 1;
    case LANES_REGIONS:
        lane += is_new_region(fabric, in_port);
        return lane < lane_count ? lane : lane_count - 1;
    default:
        return lane;
    }
}

#endif
