/* Hosts, free ports and the links a planner has made so far.
 *
 * Links are duplex; several may join the same two hosts. Pairs are the demand made symmetric: a circuit serves
 * both ways, so what counts is the busier way. Distances in hops are kept up to date as links are added. */
#ifndef PHOTONET_CIRCUIT_GRAPH_H
#define PHOTONET_CIRCUIT_GRAPH_H

#include "netsim/circuit/planner.h"

#include <stdbool.h>

#define PLANNER(name_, is_series_, summary_)                                                                              \
    enum status plan_##name_(struct plan_graph *graph, struct arena *arena, const char **text, struct diag *diag);
#include "netsim/circuit/planners.def"
#undef PLANNER

#define PLAN_HOSTS_MAX 8192 /* distances take 2 bytes a pair of hosts */
#define PLAN_FAR UINT16_MAX

struct plan_pair {
    uint32_t left, right; /* left < right */
    uint64_t bytes;       /* of the busier direction */
    uint32_t circuits;    /* links between the two */
};

struct plan_link {
    uint32_t left, right;
};

struct plan_graph {
    struct arena *arena;
    uint32_t host_count;
    uint32_t round;       /* of a series, from 0 */
    bool is_cover_wanted; /* a first circuit for some pair is worth more than a second one for a heavier pair */
    const struct demand *demand;
    const struct optical *optical; /* what the circuits go through */
    uint32_t *free_ports;
    struct plan_pair *pairs;  /* sorted by (left, right) */
    uint32_t pair_count;
    const uint32_t *by_weight; /* pairs, heaviest first, equal ones by (left, right) */
    struct plan_link *links;
    uint32_t link_count, link_capacity;
    uint16_t *distance; /* host_count * host_count */
};

/* Ports of every host and their demand; no links. */
struct plan_graph *graph_new(struct arena *arena, uint32_t host_count, const uint32_t *free_ports,
                             const struct demand *demand);
void graph_clear(struct plan_graph *graph, const uint32_t *free_ports);
/* The same ports, demand and links, apart from here on. */
struct plan_graph *graph_copy(const struct plan_graph *graph, struct arena *arena);

struct plan_pair *graph_pair(const struct plan_graph *graph, uint32_t left, uint32_t right); /* NULL: no demand */

void graph_add(struct plan_graph *graph, uint32_t left, uint32_t right);
/* Distances are void until graph_measure. */
void graph_remove(struct plan_graph *graph, uint32_t link);
void graph_measure(struct plan_graph *graph);

static inline uint16_t graph_distance(const struct plan_graph *graph, uint32_t left, uint32_t right)
{
    return graph->distance[(size_t)left * graph->host_count + right];
}

bool graph_connected(const struct plan_graph *graph);

/* How well the links carry the demand, all pairs on shortest ways, split evenly over equal ones. */
struct plan_cost {
    uint64_t score;          /* sum over links of load squared, scaled: what is made small; UINT64_MAX: cut off */
    uint64_t busiest_bytes;  /* one way of the busiest link */
    uint64_t byte_hops;      /* bytes times links */
    uint64_t bytes;
};
void graph_cost(const struct plan_graph *graph, struct plan_cost *cost);

#endif
