/* From a fabric to the planners' graph, and from their links back to ports. */
#include "netsim/circuit/planner.h"

#include "netsim/circuit/graph.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PLANNER(name_, summary_) static const struct planner planner_##name_ = {#name_, summary_, plan_##name_};
#include "netsim/circuit/planners.def"
#undef PLANNER

const struct planner *const planners[] = {
#define PLANNER(name_, summary_) &planner_##name_,
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

/* Ports of hosts that end at the switch, host by host in the order of the ports. */
struct ports {
    uint32_t *first, *port; /* host_count + 1 */
    uint32_t *count;        /* of each host */
};

static void ports_gather(const struct fabric *fabric, struct arena *arena, struct ports *ports)
{
    const struct optical *optical = &fabric->optical[0];
    uint32_t hosts = fabric->host_count;
    ports->count = arena_array(arena, hosts, uint32_t);
    ports->first = arena_array(arena, (size_t)hosts + 1, uint32_t);
    ports->port = arena_array(arena, optical->port_count, uint32_t);
    for (uint32_t i = 0; i < optical->port_count; i++) {
        assert(fabric->port_node[optical->port[i]] < hosts && fabric->port_peer[optical->port[i]] == ID_NONE);
        ports->count[fabric->port_node[optical->port[i]]]++;
    }
    for (uint32_t host = 0; host < hosts; host++) {
        ports->first[host + 1] = ports->first[host] + ports->count[host];
    }
    uint32_t *next = arena_array(arena, hosts, uint32_t);
    for (uint32_t i = 0; i < optical->port_count; i++) {
        uint32_t host = fabric->port_node[optical->port[i]];
        ports->port[ports->first[host] + next[host]++] = optical->port[i];
    }
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

static void circuits_make(const struct plan_graph *graph, const struct ports *ports, struct arena *arena,
                          struct circuit_plan *plan)
{
    struct circuit *circuits = arena_array(arena, graph->link_count, struct circuit);
    uint32_t *next = arena_array(arena, graph->host_count, uint32_t);
    qsort(graph->links, graph->link_count, sizeof *graph->links, links_order);
    for (uint32_t i = 0; i < graph->link_count; i++) {
        uint32_t left = graph->links[i].left, right = graph->links[i].right;
        circuits[i].port_a = ports->port[ports->first[left] + next[left]++];
        circuits[i].port_b = ports->port[ports->first[right] + next[right]++];
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
                               const struct ports *ports, struct arena *arena, struct diag *diag)
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
                            "fabric %s: hosts %" PRIu32 " and %" PRIu32 " of the job exchange data, but the %" PRIu32
                            " circuits of planner %s leave no way between them (%" PRIu32
                            " ports a host; expected a planner that joins all hosts, and 2 ports or more)",
                            fabric->name, pair->left, pair->right, graph->link_count, fabric->planner,
                            ports->count[pair->left]);
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
    struct ports ports;
    ports_gather(fabric, scratch, &ports);
    struct plan_graph *graph = graph_new(scratch, fabric->host_count, ports.count, demand);
    graph->optical = &fabric->optical[0];
    status = planner->plan(graph, arena, &plan->text, diag);
    status = status == STATUS_OK ? reach_check(fabric, graph, &ports, scratch, diag) : status;
    circuits_make(graph, &ports, arena, plan);
    arena_free(scratch);
    return status;
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
    fabric->circuit_count = plan->count;
    fabric->reconfigurations = plan->count; /* each is set once */
    fabric->plan_text = plan->text;
}
