#include "netsim/fabric_facts.h"

#include "netsim/optics/light.h"
#include "netsim/route/bisection.h"
#include "netsim/route/route.h"

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

static void links_count(const struct fabric *fabric, struct fabric_facts *facts)
{
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        uint32_t peer = fabric->port_peer[port];
        facts->host_bps += fabric->port_node[port] < fabric->host_count ? fabric->rate_bps[port] : 0;
        facts->links += peer != ID_NONE && port < peer;
    }
    for (uint32_t i = 0; i < fabric->optical_count; i++) {
        facts->fibres += fabric->optical[i].port_count;
    }
}

/* Links of the way that a packet takes, 0 where there is none. */
static uint32_t way_hops(const struct fabric *fabric, const struct routes *routes, uint32_t src, uint32_t dst)
{
    uint32_t hops = 0;
    for (uint32_t node = src; node != dst && hops <= fabric->node_count; hops++) {
        struct port_set set = routes_next(routes, node, dst);
        if (set.count == 0) {
            return 0;
        }
        node = fabric->port_node[fabric->port_peer[fabric->port_first[node] + port_set_at(&set, 0)]];
    }
    return hops;
}

static void hops_measure(const struct fabric *fabric, const struct routes *routes, struct fabric_facts *facts)
{
    facts->is_sampled = fabric->host_count > ALL_HOSTS_MAX;
    uint32_t step = facts->is_sampled ? fabric->host_count / SAMPLED_HOSTS : 1;
    for (uint32_t host = 0; host < fabric->host_count; host += step) {
        for (uint32_t other = 0; other < fabric->host_count; other++) {
            uint32_t hops = way_hops(fabric, routes, host, other);
            facts->hops_max = hops > facts->hops_max ? hops : facts->hops_max;
        }
    }
}

static void delay_measure(const struct fabric *fabric, const struct routes *routes, struct fabric_facts *facts)
{
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

/* Of transmitters that have gates. A line's windows are apart, so their lengths add up. */
static void schedule_measure(const struct fabric *fabric, struct arena *arena, struct fabric_facts *facts)
{
    uint64_t *open_ps = arena_array(arena, fabric->port_count, uint64_t);
    uint32_t *count = arena_array(arena, fabric->port_count, uint32_t);
    for (uint32_t port = 0; fabric->port_gate != NULL && port < fabric->port_count; port++) {
        uint32_t gate_id = fabric->port_gate[port], line = fabric->port_line == NULL ? port : fabric->port_line[port];
        const struct gate *gate = gate_id == ID_NONE ? NULL : &fabric->gates[gate_id];
        for (uint32_t i = 0; gate != NULL && gate->period_ps > 0 && i < gate->window_count; i++) {
            const struct gate_window *window = &fabric->gate_windows[gate->window_first + i];
            uint64_t length_ps = window->close_ps - window->open_ps;
            facts->period_ps = gate->period_ps;
            facts->window_ps = length_ps > facts->window_ps ? length_ps : facts->window_ps;
            open_ps[line] += length_ps;
            count[line]++;
        }
    }
    uint64_t lines = 0, sum_ps = 0;
    for (uint32_t line = 0; line < fabric->port_count; line++) {
        lines += count[line] > 0;
        sum_ps += open_ps[line];
        facts->windows = count[line] > facts->windows ? count[line] : facts->windows;
    }
    uint64_t dark_ps = fabric->optical_count > 0 ? fabric->optical[0].settle_ps : 0;
    facts->duty = lines > 0 ? (double)facts->window_ps / (double)(facts->window_ps + dark_ps) : 0;
    facts->joined = lines > 0 ? (double)sum_ps / ((double)facts->period_ps * (double)lines) : 0;
}

static void light_measure(const struct fabric *fabric, struct fabric_facts *facts)
{
    facts->worst_port = light_worst(fabric);
    if (facts->worst_port != ID_NONE) {
        facts->worst_margin_db = fabric->light[facts->worst_port].margin_db;
        facts->worst_loss_db = fabric->light[facts->worst_port].loss_db;
    }
}

void fabric_facts(const struct fabric *fabric, struct arena *arena, struct fabric_facts *facts)
{
    *facts = (struct fabric_facts){.is_planned = fabric->plan == PLAN_NONE || fabric->plan_text != NULL};
    nodes_count(fabric, facts);
    links_count(fabric, facts);
    power_measure(fabric, arena, facts);
    light_measure(fabric, facts);
    schedule_measure(fabric, arena, facts);
    if (facts->is_planned) {
        const struct routes *routes = routes_new(fabric, arena);
        facts->bisection_bps = bisection_bps(fabric);
        hops_measure(fabric, routes, facts);
        delay_measure(fabric, routes, facts);
    }
}

void fabric_facts_cells(const struct fabric *fabric, const struct packet_shape *shape, struct fabric_facts *facts)
{
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        if (fabric_has_cells(fabric, &shape->cells, port)) {
            uint64_t windows = fabric_windows_max(fabric, &shape->cells, port, shape->packet_bytes);
            facts->packet_windows = windows > facts->packet_windows ? windows : facts->packet_windows;
            facts->cell_ports++;
        }
    }
    if (facts->cell_ports > 0) {
        facts->cell_bytes = shape->cells.bytes;
        facts->packet_bytes = shape->packet_bytes;
        facts->packet_cells = cells_count(&shape->cells, shape->packet_bytes);
    }
}
