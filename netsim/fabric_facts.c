#include "netsim/fabric_facts.h"

#include "netsim/route/route.h"
#include "netsim/route/shortest.h"

#include <string.h>

#define ALL_HOSTS_MAX 2048 /* searches from every host up to here, from some beyond */
#define SAMPLED_HOSTS 16

static void nodes_count(const struct fabric *fabric, struct fabric_facts *facts)
{
    for (uint32_t node = 0; node < fabric->node_count; node++) {
        uint32_t tier = fabric->node_tier[node], ports = fabric->port_first[node + 1] - fabric->port_first[node];
        if (fabric->node_kind[node] == NODE_SWITCH && tier <= FACTS_TIERS_MAX) {
            facts->switches[tier]++;
            facts->radix[tier] = ports > facts->radix[tier] ? ports : facts->radix[tier];
            facts->tiers = tier > facts->tiers ? tier : facts->tiers;
        }
    }
}

/* Rate over each boundary between tiers; a link between tiers 1 and 3 crosses two of them. */
static void links_count(const struct fabric *fabric, struct fabric_facts *facts)
{
    uint64_t cut_bps[FACTS_TIERS_MAX + 1] = {0};
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        uint32_t node = fabric->port_node[port], peer = fabric->port_peer[port];
        facts->host_bps += node < fabric->host_count ? fabric->rate_bps[port] : 0;
        facts->links += peer != ID_NONE && port < peer;
        uint32_t from = fabric->node_tier[node];
        uint32_t to = peer == ID_NONE ? from : fabric->node_tier[fabric->port_node[peer]];
        for (uint32_t tier = from; tier < to && tier <= FACTS_TIERS_MAX; tier++) {
            cut_bps[tier] += fabric->rate_bps[port];
        }
    }
    facts->bisection_bps = cut_bps[0] / 2;
    for (uint32_t tier = 1; tier < facts->tiers; tier++) {
        facts->bisection_bps = cut_bps[tier] / 2 < facts->bisection_bps ? cut_bps[tier] / 2 : facts->bisection_bps;
    }
    for (uint32_t i = 0; i < fabric->optical_count; i++) {
        facts->fibres += fabric->optical[i].port_count;
    }
}

static void hops_measure(const struct fabric *fabric, struct arena *arena, struct fabric_facts *facts)
{
    uint32_t *distance = arena_array(arena, fabric->node_count, uint32_t);
    uint32_t *queue = arena_array(arena, fabric->node_count, uint32_t);
    facts->is_sampled = fabric->host_count > ALL_HOSTS_MAX;
    uint32_t step = facts->is_sampled ? fabric->host_count / SAMPLED_HOSTS : 1;
    for (uint32_t host = 0; host < fabric->host_count; host += step) {
        shortest_distances(fabric, host, distance, queue);
        for (uint32_t other = 0; other < fabric->host_count; other++) {
            bool is_farther = distance[other] != UINT32_MAX && distance[other] > facts->hops_max;
            facts->hops_max = is_farther ? distance[other] : facts->hops_max;
        }
    }
}

static void delay_measure(const struct fabric *fabric, struct arena *arena, struct fabric_facts *facts)
{
    struct routes *routes = routes_new(fabric, arena);
    uint32_t last = fabric->host_count - 1;
    for (uint32_t node = 0; node != last;) {
        struct port_set set = routes_next(routes, node, last);
        if (set.count == 0) {
            return;
        }
        uint32_t port = fabric->port_first[node] + route_choose(&set, 0);
        facts->far_delay_ps += link_delay_ps(fabric, port) + (node != 0 ? fabric->node_latency_ps[node] : 0);
        node = fabric->port_node[fabric->port_peer[port]];
    }
}

static const struct part *part_named(const struct fabric *fabric, const char *name)
{
    for (uint32_t i = 1; i < fabric->parts->count; i++) {
        if (strcmp(fabric->parts->parts[i].name, name) == 0) {
            return &fabric->parts->parts[i];
        }
    }
    return NULL;
}

static void power_measure(const struct fabric *fabric, struct arena *arena, struct fabric_facts *facts)
{
    const struct energy_input input = {.time_ps = PS_PER_S,
                                       .tx_bytes = arena_array(arena, fabric->port_count, uint64_t),
                                       .host_compute_ps = arena_array(arena, fabric->host_count, uint64_t)};
    struct energy_row *rows;
    energy_account(fabric, &input, arena, &rows, &facts->row_count);
    facts->rows = rows;
    for (uint32_t i = 0; i < facts->row_count; i++) {
        const struct part *part = part_named(fabric, rows[i].part);
        if (rows[i].use == ENERGY_NETWORK) {
            facts->network_w += rows[i].static_pj * 1e-12;
        } else if (rows[i].use == ENERGY_GPU_WAIT) {
            facts->gpu_w += part->value[PART_STATIC_MW].normal * 1e-3 * (double)rows[i].count;
        }
        if (part != NULL && rows[i].use == ENERGY_NETWORK) {
            facts->price_usd += part->value[PART_PRICE_USD].normal * (double)rows[i].count;
            facts->unpriced += part->value[PART_PRICE_USD].source == NULL;
        }
    }
}

void fabric_facts(const struct fabric *fabric, struct arena *arena, struct fabric_facts *facts)
{
    *facts = (struct fabric_facts){.is_planned = fabric->plan == PLAN_NONE || fabric->plan_text != NULL};
    nodes_count(fabric, facts);
    links_count(fabric, facts);
    power_measure(fabric, arena, facts);
    if (facts->is_planned) {
        hops_measure(fabric, arena, facts);
        delay_measure(fabric, arena, facts);
    }
}
