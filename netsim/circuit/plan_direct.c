/* Circuits for pairs that talk, and for nobody else: what they do not reach goes another way, or waits for its turn. */
#include "netsim/circuit/graph.h"
#include "netsim/circuit/matching.h"

#include <inttypes.h>

static bool has_ports(const struct plan_graph *graph, const struct plan_pair *pair)
{
    return pair->bytes > 0 && graph->free_ports[pair->left] > 0 && graph->free_ports[pair->right] > 0;
}

/* What decides who is next: bytes a circuit with the new one; a pair without any first, where cover is wanted. */
static bool is_hotter(const struct plan_graph *graph, const struct plan_pair *pair, const struct plan_pair *than)
{
    if (graph->is_cover_wanted && (pair->circuits == 0) != (than->circuits == 0)) {
        return pair->circuits == 0;
    }
    return pair->bytes / (pair->circuits + 1) > than->bytes / (than->circuits + 1);
}

enum status plan_greedy(struct plan_graph *graph, struct arena *arena, const char **text, struct diag *diag)
{
    (void)diag;
    while (true) {
        const struct plan_pair *best = NULL;
        for (uint32_t i = 0; i < graph->pair_count; i++) {
            const struct plan_pair *pair = &graph->pairs[i];
            if (has_ports(graph, pair) && (best == NULL || is_hotter(graph, pair, best))) {
                best = pair;
            }
        }
        if (best == NULL) {
            break;
        }
        graph_add(graph, best->left, best->right);
    }
    *text = arena_printf(arena, "%" PRIu32 " circuit%s for the hottest pairs", graph->link_count, plural(graph->link_count, "s"));
    return STATUS_OK;
}

/* ---- matchings --------------------------------------------------------------------------------------------- */

/* One matching of the hosts that have a port left, heaviest in all; the number of its links. */
static uint32_t matching_add(struct plan_graph *graph, struct arena *scratch)
{
    uint32_t hosts = graph->host_count, links = 0, edge_count = 0;
    struct matching_edge *edges = arena_array(scratch, graph->pair_count, struct matching_edge);
    for (uint32_t i = 0; i < graph->pair_count; i++) {
        const struct plan_pair *pair = &graph->pairs[i];
        if (has_ports(graph, pair)) {
            edges[edge_count++] = (struct matching_edge){pair->left, pair->right, pair->bytes / (pair->circuits + 1)};
        }
    }
    const uint32_t *mate = matching_find(hosts, edges, edge_count, scratch);
    for (uint32_t host = 0; host < hosts; host++) {
        if (mate[host] != ID_NONE && mate[host] > host) {
            graph_add(graph, host, mate[host]);
            links++;
        }
    }
    return links;
}

static enum status matchings_fill(struct plan_graph *graph, struct diag *diag)
{
    if (graph->host_count > MATCHING_HOSTS_MAX) {
        return diag_set(diag, STATUS_INPUT,
                        "%" PRIu32 " groups of hosts are too many for exact matchings; expected at most %d, or planner greedy",
                        graph->host_count, MATCHING_HOSTS_MAX);
    }
    struct arena *scratch = arena_new("matching");
    while (matching_add(graph, scratch) > 0) {
    }
    arena_free(scratch);
    return STATUS_OK;
}

enum status plan_matching(struct plan_graph *graph, struct arena *arena, const char **text, struct diag *diag)
{
    enum status status = matchings_fill(graph, diag);
    *text = arena_printf(arena, "%" PRIu32 " circuit%s in matchings of maximum weight", graph->link_count,
                         plural(graph->link_count, "s"));
    return status;
}

/* The series ends where what is left over is nothing: planner.h. */
enum status plan_bvn(struct plan_graph *graph, struct arena *arena, const char **text, struct diag *diag)
{
    enum status status = matchings_fill(graph, diag);
    *text = arena_printf(arena, "matchings that add up to the demand");
    return status;
}

/* ---- fixed -------------------------------------------------------------------------------------------------- */

/* The circle method: of n (even) hosts, the last meets host `slot`, others meet where their numbers add up to twice that,
 * modulo n - 1; n - 1 slots join every pair once. With an odd number one rests in each slot. */
static uint32_t circle_mate(uint32_t hosts, uint32_t host, uint32_t slot)
{
    uint32_t even = hosts + (hosts & 1), last = even - 1;
    if (host == last) {
        return slot;
    }
    uint32_t mate = (2 * slot + last - host) % last;
    return mate != host ? mate : last;
}

enum status plan_cyclic(struct plan_graph *graph, struct arena *arena, const char **text, struct diag *diag)
{
    (void)diag;
    uint32_t hosts = graph->host_count, slots = hosts + (hosts & 1) - 1, ports = UINT32_MAX;
    for (uint32_t host = 0; host < hosts; host++) {
        ports = graph->free_ports[host] < ports ? graph->free_ports[host] : ports;
    }
    for (uint32_t i = 0; hosts > 1 && i < ports; i++) {
        uint32_t slot = (uint32_t)(((uint64_t)graph->round * ports + i) % slots);
        for (uint32_t host = 0; host < hosts; host++) {
            uint32_t mate = circle_mate(hosts, host, slot);
            if (mate > host && mate < hosts) {
                graph_add(graph, host, mate);
            }
        }
    }
    *text = arena_printf(arena, "all pairs in turn");
    return STATUS_OK;
}

/* ---- mesh --------------------------------------------------------------------------------------------------- */

enum status plan_mesh(struct plan_graph *graph, struct arena *arena, const char **text, struct diag *diag)
{
    uint32_t hosts = graph->host_count, even = hosts > 1 ? UINT32_MAX : 0; /* of ports for each of the others */
    for (uint32_t host = 0; host < hosts && hosts > 1; host++) {
        uint32_t each = graph->free_ports[host] / (hosts - 1);
        even = each < even ? each : even;
        if (each == 0) {
            return diag_set(diag, STATUS_INPUT,
                            "%" PRIu32 " ports do not join one block to each of %" PRIu32 " others; expected at least as many",
                            graph->free_ports[host], hosts - 1);
        }
    }
    const char *rest;
    for (uint32_t left = 0; left < hosts; left++) {
        for (uint32_t right = left + 1; right < hosts; right++) {
            graph_add(graph, left, right);
        }
    }
    graph->is_cover_wanted = false;
    enum status status = plan_greedy(graph, arena, &rest, diag);
    for (uint32_t i = 1; i < even; i++) { /* where nobody talks, evenly */
        for (uint32_t left = 0; left < hosts; left++) {
            for (uint32_t right = left + 1; right < hosts; right++) {
                if (graph->free_ports[left] > 0 && graph->free_ports[right] > 0) {
                    graph_add(graph, left, right);
                }
            }
        }
    }
    *text = arena_printf(arena, "%" PRIu32 " circuits, a mesh of %" PRIu32 " blocks weighted by their demand",
                         graph->link_count, hosts);
    return status;
}
