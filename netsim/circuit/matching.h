/* Matchings of maximum weight in general graphs: Edmonds' blossoms with dual variables, O(n^3).
 *
 * Expected work: some tens to some hundreds of vertices, once a phase and port; 512 vertices take about a second.
 * Rejected: matchings of the bipartite double cover, which join a to b and b to c where circuits are duplex.
 * After Galil, "Efficient algorithms for finding maximum matching in graphs", ACM Computing Surveys 1986. */
#ifndef PHOTONET_MATCHING_H
#define PHOTONET_MATCHING_H

#include "photonet/program.h"

#define MATCHING_HOSTS_MAX 512

struct matching_edge {
    uint32_t left, right;
    uint64_t weight; /* 0: as if it were not there */
};

/* The mate of each vertex, ID_NONE where it has none. Weights are taken to the nearest 2^-32 of the largest. The same
 * edges in the same order give the same matching. */
const uint32_t *matching_find(uint32_t count, const struct matching_edge *edges, size_t edge_count,
                              struct arena *arena);

#endif
