/* A fabric made by hand, from a list of links: for tests that want one certain shape. */
#ifndef PHOTONET_TESTS_HAND_H
#define PHOTONET_TESTS_HAND_H

#include "photonet/fabric.h"

struct hand_link {
    uint32_t a, b; /* nodes; ports are numbered in the order of the links */
    uint64_t rate_bps, delay_ps;
};

/* Nodes below `hosts` are hosts, the others store-and-forward switches without latency; queues are unbounded, nothing
 * is dark, routes are left to the search for shortest paths. What a test wants otherwise it writes into the columns,
 * which are writable through hand_column. */
struct fabric *hand_fabric(struct arena *arena, uint32_t hosts, uint32_t nodes, const struct hand_link *links,
                           size_t count);

#define hand_column(type_, column_) ((type_ *)(uintptr_t)(column_))

/* The port of node a that sends to node b (the first where there are several). */
uint32_t hand_port(const struct fabric *fabric, uint32_t a, uint32_t b);

#endif
