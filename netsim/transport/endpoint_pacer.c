/* Which ports of a receiver it paces together.
 *
 * Pulls bring as much as the receiver's ports take in, all of its messages counted. Where routes choose among ports, what is
 * pulled may come by any of them: they are one pacer, at the sum of their rates. Ports that no route puts side by side (a
 * server's links and its NIC; circuits to different peers) each take in what is sent to them alone: a pacer each, or one link
 * would be flooded while another is idle. Ports that are open in turn are one, with the rate of their transmitters.
 *
 *     ports   0 1 2 3   4   5        sets of routes: {0 1} {1 2} {2 3} {4} {5}
 *     pacers  └──0──┘   1   2
 *
 * Links are duplex, so the ports to a host and those from it are of the same sets; by which one of them packets come, their
 * way says. */
#include "netsim/transport/endpoint_int.h"

/* The first of the ports that are together with this one. */
static uint32_t first_of(const uint8_t *with, uint32_t port)
{
    while (with[port] != port) {
        port = with[port];
    }
    return port;
}

/* Whether they were not together before. */
static bool unite(uint8_t *with, uint32_t a, uint32_t b)
{
    uint32_t first = first_of(with, a), other = first_of(with, b);
    with[first > other ? first : other] = (uint8_t)(first < other ? first : other);
    return first != other;
}

/* Also where circuits are set while a job runs: which of a host's links a message takes, no route says then. */
static bool is_in_turn(const struct fabric *fabric, uint32_t first, uint32_t port)
{
    bool has_gate = fabric->port_gate != NULL && fabric->port_gate[first + port] != ID_NONE;
    return has_gate || (fabric->plan == PLAN_PER_PHASE && port >= fabric->server_ports);
}

/* Unites the ports of a host; how many groups they are. */
static uint32_t ports_unite(const struct endpoint *endpoint, uint32_t host_id, uint8_t *with)
{
    const struct endpoint_config *config = &endpoint->config;
    const struct fabric *fabric = config->fabric;
    uint32_t count = endpoint->hosts[host_id].port_count, groups = count, gated = ID_NONE;
    for (uint32_t port = 0; port < count; port++) {
        with[port] = (uint8_t)port;
        if (is_in_turn(fabric, fabric->port_first[host_id], port)) {
            groups -= gated != ID_NONE && unite(with, gated, port);
            gated = port;
        }
    }
    for (uint32_t dst = 0; dst < fabric->host_count && groups > 1; dst++) {
        struct port_set set = {0};
        if (dst != host_id) {
            set = routes_next(config->routes, host_id, dst);
        }
        for (uint32_t i = 1; i < set.count; i++) {
            groups -= unite(with, port_set_at(&set, 0), port_set_at(&set, i));
        }
    }
    return groups;
}

static bool is_line_first(const struct fabric *fabric, uint32_t first, uint32_t port)
{
    if (fabric->port_line == NULL) {
        return true;
    }
    for (uint32_t other = first; other < port; other++) {
        if (fabric->port_line[other] == fabric->port_line[port]) {
            return false;
        }
    }
    return true;
}

static uint64_t interval_ps(const struct endpoint *endpoint, uint64_t rate_bps)
{
    const struct pull_rule *rule = &endpoint->pull;
    return serialisation_ps(rule->frame_bytes, rate_bps) * rule->percent / 100;
}

/* The rates of their transmitters are summed up where they come: ports of lower numbers are numbered already. */
static void host_pacers_make(struct endpoint *endpoint, uint32_t host_id, const uint8_t *with, uint32_t groups)
{
    const struct fabric *fabric = endpoint->config.fabric;
    struct host *host = &endpoint->hosts[host_id];
    uint32_t first = fabric->port_first[host_id], made = 0;
    uint64_t rate_bps[FABRIC_HOST_PORTS_MAX] = {0};
    uint8_t *pacer_of = arena_array(endpoint->arena, host->port_count, uint8_t);
    host->pacers = arena_array(endpoint->arena, groups, struct pull_pacer);
    for (uint32_t port = 0; port < host->port_count; port++) {
        uint32_t leader = first_of(with, port);
        pacer_of[port] = leader == port ? (uint8_t)made++ : pacer_of[leader];
        bool counts = fabric->port_peer[first + port] != ID_NONE && is_line_first(fabric, first, first + port);
        rate_bps[pacer_of[port]] += counts ? fabric->rate_bps[first + port] : 0;
    }
    for (uint32_t i = 0; i < groups; i++) {
        host->pacers[i].interval_ps = rate_bps[i] > 0 ? interval_ps(endpoint, rate_bps[i]) : 0;
    }
    host->pacer_of = groups > 1 ? pacer_of : NULL;
}

void pacers_init(struct endpoint *endpoint)
{
    uint8_t with[FABRIC_HOST_PORTS_MAX];
    for (uint32_t host = 0; host < endpoint->config.fabric->host_count; host++) {
        host_pacers_make(endpoint, host, with, ports_unite(endpoint, host, with));
    }
}

uint32_t pacer_towards(const struct endpoint *endpoint, uint32_t src_host, uint32_t dst_host)
{
    const struct fabric *fabric = endpoint->config.fabric;
    uint32_t node = src_host, in_port = ID_NONE;
    for (uint32_t hop = 0; node != dst_host; hop++) {
        assert(hop <= fabric->node_count); /* routes have no loops */
        struct port_set set = routes_next(endpoint->config.routes, node, dst_host);
        in_port = fabric->port_peer[fabric->port_first[node] + route_choose(&set, 0)];
        node = fabric->port_node[in_port];
    }
    return endpoint->hosts[dst_host].pacer_of[in_port - fabric->port_first[dst_host]];
}
