/* Planners that do not look at the demand: yardsticks for those that do. */
#include "netsim/circuit/plan_steps.h"

#include <inttypes.h>

enum status plan_strides(struct plan_graph *graph, struct arena *arena, const char **text, struct diag *diag)
{
    (void)diag;
    steps_strides(graph);
    steps_connect(graph);
    steps_use_rest(graph);
    *text = arena_printf(arena, "%" PRIu32 " circuits in rings with strides prime to %" PRIu32 " hosts",
                         graph->link_count, graph->host_count);
    return STATUS_OK;
}

enum status plan_ring(struct plan_graph *graph, struct arena *arena, const char **text, struct diag *diag)
{
    (void)diag;
    uint32_t hosts = graph->host_count, rounds = 0;
    for (bool has_ports = hosts > 1; has_ports; rounds += has_ports) {
        for (uint32_t host = 0; host < hosts; host++) {
            has_ports &= graph->free_ports[host] >= 2;
        }
        for (uint32_t host = 0; has_ports && host < hosts; host++) {
            graph_add(graph, host, (host + 1) % hosts);
        }
    }
    *text = arena_printf(arena, "%" PRIu32 " circuits in one ring of %" PRIu32 " hosts, %" PRIu32 " side by side",
                         graph->link_count, hosts, rounds);
    return STATUS_OK;
}

enum status plan_none(struct plan_graph *graph, struct arena *arena, const char **text, struct diag *diag)
{
    (void)graph;
    (void)diag;
    *text = arena_strdup(arena, "no circuits");
    return STATUS_OK;
}
