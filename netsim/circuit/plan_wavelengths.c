/* Circuits on a ring of fibres (struct optical with wavelengths): which pairs, along which arc, on which bundle.
 *
 * First the ring itself, a circuit for every two neighbours, on one bundle where wavelengths are reused; then pairs by
 * demand: rounds with a falling threshold give a circuit to each pair whose demand, shared by the circuits it has, is above
 * it, so that heavy pairs get several and equal ones equally many. Of equal pairs those with short arcs come first: they
 * leave most room for others, and no host or segment is served before all the rest. An arc goes the short way where a
 * bundle is free on all of it, else the long way. Bundles are bits: an arc's free ones are what no segment of it has taken.
 *
 * Scope: circuits are duplex, one direction of the arc on each of the two fibres.
 * Not modelled: bundles that are cut up anew to make room (first fit is within 5/3 of the best colouring of arcs, Tucker
 * 1975, and needs no more than twice the load).
 * Checked against: neighbours, pairs and capacity of a segment (tests/test_photonic.c). */
#include "netsim/circuit/graph.h"

#include <inttypes.h>
#include <stdlib.h>

/* A pair, and the short arc between its hosts. */
struct arc {
    uint64_t bytes;
    uint32_t pair, first, length; /* from host `first` clockwise over so many segments */
};

struct arcs {
    struct plan_graph *graph;
    const struct arc *order; /* all pairs, heaviest first */
    uint64_t *taken; /* per segment host to host + 1: bit per bundle */
    uint64_t all;    /* bundles that there are */
    bool is_reused, is_ring; /* a plane joins any two ports */
    uint64_t used;   /* anywhere */
};

static uint32_t arc_length(const struct plan_graph *graph, uint32_t left, uint32_t right, bool *is_short)
{
    uint32_t clockwise = (right + graph->host_count - left) % graph->host_count;
    *is_short = clockwise <= graph->host_count - clockwise;
    return *is_short ? clockwise : graph->host_count - clockwise;
}

static int arcs_order(const void *first, const void *second)
{
    const struct arc *a = first, *b = second;
    if (a->bytes != b->bytes) {
        return a->bytes > b->bytes ? -1 : 1;
    }
    if (a->length != b->length) {
        return a->length < b->length ? -1 : 1;
    }
    return a->first < b->first ? -1 : a->first > b->first;
}

static const struct arc *arcs_sorted(const struct plan_graph *graph)
{
    struct arc *order = arena_array(graph->arena, graph->pair_count, struct arc);
    for (uint32_t i = 0; i < graph->pair_count; i++) {
        const struct plan_pair *pair = &graph->pairs[i];
        bool is_short;
        uint32_t length = arc_length(graph, pair->left, pair->right, &is_short);
        order[i] = (struct arc){pair->bytes, i, is_short ? pair->left : pair->right, length};
    }
    qsort(order, graph->pair_count, sizeof *order, arcs_order);
    return order;
}

/* Bundles that are taken somewhere on the arc from `first` over `length` segments. */
static uint64_t arc_taken(const struct arcs *arcs, uint32_t first, uint32_t length)
{
    uint64_t taken = arcs->is_reused ? 0 : arcs->used;
    for (uint32_t i = 0; i < length; i++) {
        taken |= arcs->taken[(first + i) % arcs->graph->host_count];
    }
    return taken;
}

static bool arc_take(struct arcs *arcs, uint32_t first, uint32_t length)
{
    uint64_t free = arcs->all & ~arc_taken(arcs, first, length);
    if (free == 0 || !arcs->is_ring) {
        return !arcs->is_ring;
    }
    uint64_t bundle = free & -free;
    for (uint32_t i = 0; i < length; i++) {
        arcs->taken[(first + i) % arcs->graph->host_count] |= bundle;
    }
    arcs->used |= bundle;
    return true;
}

static bool circuit_add(struct arcs *arcs, uint32_t left, uint32_t right)
{
    struct plan_graph *graph = arcs->graph;
    bool is_short;
    uint32_t length = arc_length(graph, left, right, &is_short), rest = graph->host_count - length;
    if (graph->free_ports[left] == 0 || graph->free_ports[right] == 0) {
        return false;
    }
    if (!arc_take(arcs, is_short ? left : right, length) && !arc_take(arcs, is_short ? right : left, rest)) {
        return false;
    }
    graph_add(graph, left, right);
    return true;
}

/* Without reuse a path is enough, and may be all that there are bundles for. */
static void neighbours_add(struct arcs *arcs)
{
    uint32_t hosts = arcs->graph->host_count;
    for (uint32_t host = 0; host + (hosts <= 2) < hosts; host++) {
        circuit_add(arcs, host, (host + 1) % hosts);
    }
}

/* The largest share of a pair's demand that one more circuit would take off. */
static uint64_t share(const struct plan_pair *pair)
{
    return pair->bytes / (pair->circuits + 1);
}

static bool round_add(struct arcs *arcs, uint64_t threshold_bytes)
{
    const struct plan_graph *graph = arcs->graph;
    bool is_any = false;
    for (uint32_t i = 0; i < graph->pair_count; i++) {
        const struct plan_pair *pair = &graph->pairs[arcs->order[i].pair];
        if (pair->bytes < threshold_bytes) {
            break; /* heaviest first */
        }
        if (share(pair) >= threshold_bytes && pair->bytes > 0) {
            is_any |= circuit_add(arcs, pair->left, pair->right);
        }
    }
    return is_any;
}

enum status plan_wavelengths(struct plan_graph *graph, struct arena *arena, const char **text, struct diag *diag)
{
    const struct optical *optical = graph->optical;
    (void)diag;
    struct arcs arcs = {.graph = graph, .order = arcs_sorted(graph), .taken = arena_array(graph->arena, graph->host_count, uint64_t),
                        .all = optical->wavelengths >= 64 ? UINT64_MAX : (UINT64_C(1) << optical->wavelengths) - 1,
                        .is_reused = optical->is_reused, .is_ring = optical->wavelengths > 0};
    neighbours_add(&arcs);
    uint64_t most_bytes = graph->pair_count > 0 ? arcs.order[0].bytes : 0;
    for (uint64_t threshold_bytes = most_bytes; threshold_bytes > 0; threshold_bytes /= 2) {
        while (round_add(&arcs, threshold_bytes)) {
        }
    }
    *text = arena_printf(arena, "%" PRIu32 " circuits on %d of %" PRIu32 " bundles of wavelengths", graph->link_count,
                         __builtin_popcountll(arcs.used), optical->wavelengths);
    return STATUS_OK;
}
