/* What circuits join at one optical switch: hosts, or what the fabric says instead (switches, servers). */
#ifndef PHOTONET_CIRCUIT_VERTICES_H
#define PHOTONET_CIRCUIT_VERTICES_H

#include "netsim/circuit/planner.h"

/* Ports of vertex v are port[first[v]] .. port[first[v + 1]], in the order of the switch's list. */
struct vertices {
    uint32_t count;
    uint32_t *first, *port;
    uint32_t *port_count; /* of each */
};
void vertices_gather(const struct fabric *fabric, const struct optical *optical, struct arena *arena,
                     struct vertices *vertices);

/* The vertex at which what a host sends, or what is sent to it, enters or leaves; ID_NONE: not here. */
static inline uint32_t vertex_of_source(const struct optical *optical, uint32_t host)
{
    return optical->source_vertex == NULL ? host : optical->source_vertex[host];
}

static inline uint32_t vertex_of_target(const struct optical *optical, uint32_t host)
{
    return optical->target_vertex == NULL ? host : optical->target_vertex[host];
}

/* The demand between hosts as demand between vertices; what comes from or goes elsewhere, or stays inside, is left out. */
const struct demand *vertices_demand(const struct optical *optical, uint32_t vertex_count, const struct demand *demand,
                                     struct arena *arena);

#endif
