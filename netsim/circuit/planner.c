/* From a fabric to the planners' graph, and from their links back to ports. */
#include "netsim/circuit/planner.h"

#include "netsim/circuit/graph.h"
#include "netsim/circuit/vertices.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PLANNER(name_, is_series_, summary_)                                                                          \
    static const struct planner planner_##name_ = {#name_, summary_, is_series_, plan_##name_};
#include "netsim/circuit/planners.def"
#undef PLANNER

const struct planner *const planners[] = {
#define PLANNER(name_, is_series_, summary_) &planner_##name_,
#include "netsim/circuit/planners.def"
#undef PLANNER
    NULL,
};

const struct planner *planner_find(const char *name)
{
    for (const struct planner *const *planner = planners; *planner != NULL; planner++) {
        if (strcmp((*planner)->name, name) == 0) {
            return *planner;
        }
    }
    return NULL;
}

/* ---- what can be planned ------------------------------------------------------------------------------------- */

static enum status task_check(const struct fabric *fabric, const struct planner *planner, struct diag *diag)
{
    if (fabric->plan != PLAN_PER_JOB || fabric->optical_count != 1) {
        return diag_set(diag, STATUS_INPUT,
                        "fabric %s: has %" PRIu32 " optical switches to plan; expected one (or plane that acts as one)",
                        fabric->name, fabric->optical_count);
    }
    if (planner == NULL) {
        return diag_set(diag, STATUS_INPUT, "fabric %s: unknown planner \"%s\"; the first known one is \"%s\"",
                        fabric->name, fabric->planner, planners[0]->name);
    }
    if (fabric->optical[0].class_of != NULL) {
        return diag_set(diag, STATUS_INPUT,
                        "fabric %s: planner %s joins any two ports; classes of ports are not planned", fabric->name,
                        planner->name);
    }
    if (fabric->host_count > PLAN_HOSTS_MAX) {
        return diag_set(diag, STATUS_INPUT, "fabric %s: %" PRIu32 " hosts are too many to plan; expected at most %d",
                        fabric->name, fabric->host_count, PLAN_HOSTS_MAX);
    }
    return STATUS_OK;
}

static int by_hosts(const struct plan_link *a, const struct plan_link *b)
{
    uint32_t a_low = a->left < a->right ? a->left : a->right, b_low = b->left < b->right ? b->left : b->right;
    uint32_t a_high = a->left + a->right - a_low, b_high = b->left + b->right - b_low;
    return a_low != b_low ? (a_low < b_low ? -1 : 1) : a_high < b_high ? -1 : a_high > b_high;
}

static int links_order(const void *first, const void *second)
{
    return by_hosts(first, second);
}

static void circuits_make(const struct plan_graph *graph, const struct vertices *vertices, struct arena *arena,
                          struct circuit_plan *plan)
{
    struct circuit *circuits = arena_array(arena, graph->link_count, struct circuit);
    uint32_t *next = arena_array(arena, graph->host_count, uint32_t);
    qsort(graph->links, graph->link_count, sizeof *graph->links, links_order);
    for (uint32_t i = 0; i < graph->link_count; i++) {
        uint32_t left = graph->links[i].left, right = graph->links[i].right;
        circuits[i].port_a = vertices->port[vertices->first[left] + next[left]++];
        circuits[i].port_b = vertices->port[vertices->first[right] + next[right]++];
    }
    plan->circuits = circuits;
    plan->count = graph->link_count;
}

/* ---- what must be reached ------------------------------------------------------------------------------------ */

static uint32_t part_of(uint32_t *parent, uint32_t host)
{
    while (parent[host] != host) {
        parent[host] = parent[parent[host]];
        host = parent[host];
    }
    return host;
}

static enum status reach_check(const struct fabric *fabric, const struct plan_graph *graph,
                               const struct vertices *vertices, struct arena *arena, struct diag *diag)
{
    uint32_t *parent = arena_array(arena, graph->host_count, uint32_t);
    for (uint32_t host = 0; host < graph->host_count; host++) {
        parent[host] = host;
    }
    for (uint32_t i = 0; i < graph->link_count; i++) {
        parent[part_of(parent, graph->links[i].left)] = part_of(parent, graph->links[i].right);
    }
    for (uint32_t i = 0; i < graph->pair_count; i++) {
        const struct plan_pair *pair = &graph->pairs[i];
        if (part_of(parent, pair->left) != part_of(parent, pair->right)) {
            return diag_set(diag, STATUS_INPUT,
                            "fabric %s: %s %" PRIu32 " and %" PRIu32 " of the job exchange data, but the %" PRIu32
                            " circuits of planner %s leave no way between them (%" PRIu32
                            " ports each; expected a planner that joins all of them, and 2 ports or more)",
                            fabric->name, vertices->count == fabric->host_count ? "hosts" : "groups of hosts",
                            pair->left, pair->right, graph->link_count, fabric->planner,
                            vertices->port_count[pair->left]);
        }
    }
    return STATUS_OK;
}

enum status plan_circuits(const struct fabric *fabric, const struct demand *demand, struct arena *arena,
                          struct circuit_plan *plan, struct diag *diag)
{
    const struct planner *planner = fabric->planner == NULL ? NULL : planner_find(fabric->planner);
    enum status status = task_check(fabric, planner, diag);
    if (status != STATUS_OK) {
        return status;
    }
    assert(demand->host_count <= fabric->host_count);
    struct arena *scratch = arena_new("circuit plan");
    const struct optical *optical = &fabric->optical[0];
    struct vertices vertices;
    vertices_gather(fabric, optical, scratch, &vertices);
    struct plan_graph *graph = graph_new(scratch, vertices.count, vertices.port_count,
                                         vertices_demand(optical, vertices.count, demand, scratch));
    graph->optical = optical;
    status = planner->plan(graph, arena, &plan->text, diag);
    status = status == STATUS_OK ? reach_check(fabric, graph, &vertices, scratch, diag) : status;
    circuits_make(graph, &vertices, arena, plan);
    arena_free(scratch);
    return status;
}

/* Detours by ports that no circuit has lead nowhere: those that have one come first (circuits_make). */
static void detours_cut(struct fabric *fabric)
{
    struct detour *detours = arena_array(fabric->arena, fabric->node_count, struct detour);
    for (uint32_t node = 0; node < fabric->node_count; node++) {
        detours[node] = fabric->detours[node];
        const uint32_t *peer = fabric->port_peer + fabric->port_first[node] + detours[node].first;
        uint32_t used = 0;
        while (used < detours[node].count && peer[used] != ID_NONE) {
            used++;
        }
        detours[node].count = used;
    }
    fabric->detours = detours;
}

void plan_apply(struct fabric *fabric, const struct circuit_plan *plan)
{
    const struct optical *optical = &fabric->optical[0];
    assert(fabric->plan_text == NULL);
    uint64_t up_ps = optical->settle_ps + optical->relock_ps + optical->control_ps;
    for (uint32_t i = 0; i < plan->count; i++) {
        uint32_t left = plan->circuits[i].port_a, right = plan->circuits[i].port_b;
        uint64_t propagation_ps = fabric->propagation_ps[left] + fabric->propagation_ps[right];
        uint64_t device_ps = fabric->device_ps[left] + fabric->device_ps[right];
        fabric->port_peer[left] = right;
        fabric->port_peer[right] = left;
        fabric->propagation_ps[left] = fabric->propagation_ps[right] = propagation_ps;
        fabric->device_ps[left] = fabric->device_ps[right] = device_ps;
        fabric->port_up_ps[left] = fabric->port_up_ps[right] = up_ps;
    }
    if (fabric->detours != NULL) {
        detours_cut(fabric);
    }
    fabric->circuit_count = plan->count;
    fabric->reconfigurations = plan->count; /* each is set once */
    fabric->plan_text = plan->text;
}
