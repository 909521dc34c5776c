#include "netsim/route/path.h"

/* Sums along one of the equal paths (the first port of every set: equal next hops cost the same). */
struct path_sum {
    uint64_t delay_ps;        /* links and nodes */
    uint64_t first_ps;        /* serialisation that a lone packet pays along the way, last link included */
    uint64_t last_link_ps;    /* serialisation of the last packet on the last link */
    uint64_t slowest_ps;      /* serialisation of a full packet on the slowest link */
    uint64_t full_ps;         /* and on all links together */
    uint64_t gate_ps;         /* longest waits for circuits of a cyclic schedule, twice where there are detours */
};

static uint64_t hop_serialisation_ps(const struct fabric *fabric, const struct packet_shape *shape, uint32_t port,
                                     uint32_t dst, uint64_t bytes)
{
    uint32_t peer = fabric->port_node[fabric->port_peer[port]];
    bool is_cut = peer != dst && fabric->node_cut_through[peer] && bytes > shape->header_bytes &&
                  !fabric_has_cells(fabric, &shape->cells, port);
    return is_cut ? serialisation_ps(shape->header_bytes, fabric->rate_bps[port])
                  : fabric_service_ps(fabric, &shape->cells, port, bytes);
}

/* A packet that cuts through waits for its tail where the next link has another rate. */
static uint64_t rate_change_ps(const struct fabric *fabric, const struct packet_shape *shape, uint32_t in_port,
                               uint32_t out_port, uint64_t bytes)
{
    uint32_t node = fabric->port_node[out_port];
    bool is_cut = fabric->node_cut_through[node] && bytes > shape->header_bytes;
    if (!is_cut || fabric->rate_bps[in_port] == fabric->rate_bps[out_port] ||
        fabric_has_cells(fabric, &shape->cells, in_port)) {
        return 0;
    }
    return serialisation_ps(bytes, fabric->rate_bps[in_port]) -
           serialisation_ps(shape->header_bytes, fabric->rate_bps[in_port]);
}

static void path_walk(const struct fabric *fabric, const struct routes *routes, const struct packet_shape *shape,
                      uint32_t src, uint32_t dst, uint64_t lone_bytes, uint64_t last_bytes, struct path_sum *sum)
{
    *sum = (struct path_sum){0};
    uint32_t node = src, in_port = ID_NONE;
    for (uint32_t hop = 0; node != dst; hop++) {
        assert(hop <= fabric->node_count); /* routes have no loops */
        struct port_set set = routes_next(routes, node, dst);
        uint32_t port = fabric->port_first[node] + route_choose(&set, 0);
        if (in_port != ID_NONE) {
            sum->delay_ps += fabric->node_latency_ps[node];
            sum->first_ps += rate_change_ps(fabric, shape, in_port, port, lone_bytes);
        }
        bool has_detour = fabric->detours != NULL && fabric->detours[node].rule != DETOUR_NONE;
        uint64_t wait_ps = fabric_gate_wait_ps(fabric, port) * (has_detour ? 2 : 1);
        wait_ps *= wait_ps > 0 ? fabric_windows_max(fabric, &shape->cells, port, shape->packet_bytes) : 0;
        sum->gate_ps += wait_ps;
        uint64_t full_ps = fabric_service_ps(fabric, &shape->cells, port, shape->packet_bytes);
        sum->full_ps += full_ps;
        sum->slowest_ps = full_ps > sum->slowest_ps ? full_ps : sum->slowest_ps;
        sum->first_ps += hop_serialisation_ps(fabric, shape, port, dst, lone_bytes);
        sum->last_link_ps = fabric_service_ps(fabric, &shape->cells, port, last_bytes);
        sum->delay_ps += link_delay_ps(fabric, port);
        in_port = port;
        node = fabric->port_node[fabric->port_peer[port]];
    }
}

uint32_t path_hops(const struct fabric *fabric, const struct routes *routes, uint32_t src, uint32_t dst)
{
    uint32_t hops = 0;
    for (uint32_t node = src; node != dst; hops++) {
        assert(hops <= fabric->node_count); /* routes have no loops */
        struct port_set set = routes_next(routes, node, dst);
        node = fabric->port_node[fabric->port_peer[fabric->port_first[node] + route_choose(&set, 0)]];
    }
    return hops;
}

/* ---- width -------------------------------------------------------------------------------------------------- */

#define STEP_NODES_MAX 64

/* The nodes that packets may stand on after so many steps. */
struct step {
    uint32_t nodes[STEP_NODES_MAX];
    uint32_t count;
    bool is_wide; /* more than there is room for */
};

static void step_add(struct step *step, uint32_t node)
{
    for (uint32_t i = 0; i < step->count; i++) {
        if (step->nodes[i] == node) {
            return;
        }
    }
    step->is_wide |= step->count == STEP_NODES_MAX;
    if (step->count < STEP_NODES_MAX) {
        step->nodes[step->count++] = node;
    }
}

/* Rate of all ports by which packets leave the step's nodes; `next` gets where they lead. */
static uint64_t step_go(const struct fabric *fabric, const struct routes *routes, const struct step *step, uint32_t dst,
                        struct step *next)
{
    uint64_t sum_bps = 0;
    *next = (struct step){.count = 0};
    for (uint32_t i = 0; i < step->count; i++) {
        struct port_set set = routes_next(routes, step->nodes[i], dst);
        for (uint32_t k = 0; k < set.count; k++) {
            uint32_t port = fabric->port_first[step->nodes[i]] + port_set_at(&set, k);
            uint32_t node = fabric->port_node[fabric->port_peer[port]];
            sum_bps += fabric->rate_bps[port];
            if (node != dst) {
                step_add(next, node);
            }
        }
    }
    return sum_bps;
}

uint64_t path_rate_bps(const struct fabric *fabric, const struct routes *routes, uint32_t src, uint32_t dst)
{
    struct step steps[2] = {{.nodes = {src}, .count = 1}};
    uint64_t least_bps = UINT64_MAX;
    for (uint32_t hop = 0; steps[hop % 2].count > 0; hop++) {
        assert(hop <= fabric->node_count); /* routes have no loops */
        uint64_t sum_bps = step_go(fabric, routes, &steps[hop % 2], dst, &steps[(hop + 1) % 2]);
        bool is_narrow = sum_bps < least_bps && !steps[hop % 2].is_wide;
        least_bps = is_narrow ? sum_bps : least_bps;
    }
    return least_bps;
}

/* In ports as fast as the slowest link of one way, at least one. */
static uint64_t path_width(const struct fabric *fabric, const struct routes *routes, const struct packet_shape *shape,
                           uint32_t src, uint32_t dst, uint64_t slowest_ps)
{
    uint64_t packet_ps = serialisation_ps(shape->packet_bytes, path_rate_bps(fabric, routes, src, dst));
    return packet_ps > 0 && slowest_ps > packet_ps ? (slowest_ps + packet_ps / 2) / packet_ps : 1;
}

enum reach path_reach(const struct fabric *fabric, const struct routes *routes, uint32_t src, uint32_t dst)
{
    if (src == dst) {
        return REACH_HOST;
    }
    if (fabric->server_hosts <= 1) {
        return REACH_NETWORK;
    }
    struct port_set set = routes_next(routes, src, dst);
    for (uint32_t i = 0; i < set.count; i++) {
        if (port_set_at(&set, i) >= fabric->server_ports) {
            return REACH_NETWORK;
        }
    }
    return src / fabric->server_hosts == dst / fabric->server_hosts ? REACH_SERVER : REACH_STAGED;
}

uint64_t path_idle_ps(const struct fabric *fabric, const struct routes *routes, const struct packet_shape *shape,
                      bool is_pinned, uint32_t src, uint32_t dst, uint64_t bytes)
{
    bool is_one = is_pinned && path_reach(fabric, routes, src, dst) == REACH_NETWORK;
    uint64_t ports = is_one ? 1 : routes_next(routes, src, dst).count;
    uint64_t packets = shape_packets(shape, bytes);
    uint64_t last_bytes = shape_packet_bytes(shape, bytes, packets - 1);
    struct path_sum sum;
    path_walk(fabric, routes, shape, src, dst, packets > 1 ? shape->packet_bytes : last_bytes, last_bytes, &sum);
    if (packets == 1) {
        return sum.first_ps + sum.delay_ps;
    }
    /* By one port: packet n-1, the last full one, comes after n-2 others through the slowest link, the short one behind it. */
    if (ports > 1) {
        ports = path_width(fabric, routes, shape, src, dst, sum.slowest_ps);
    }
    uint64_t rounds = (packets - 1) / ports; /* behind a port's first packet */
    bool is_alone = (packets - 1) % ports == 0; /* the short one, in the last round */
    return is_alone ? (rounds - 1) * sum.slowest_ps + sum.first_ps + sum.last_link_ps + sum.delay_ps
                    : rounds * sum.slowest_ps + sum.first_ps + sum.delay_ps;
}

struct path_rtt path_rtt(const struct fabric *fabric, const struct routes *routes, const struct packet_shape *shape,
                         uint32_t src, uint32_t dst)
{
    struct path_sum out, back;
    path_walk(fabric, routes, shape, src, dst, shape->packet_bytes, shape->packet_bytes, &out);
    path_walk(fabric, routes, shape, dst, src, shape->ack_bytes, shape->ack_bytes, &back);
    uint64_t idle_ps = out.first_ps + out.delay_ps + back.first_ps + back.delay_ps + out.gate_ps + back.gate_ps;
    return (struct path_rtt){idle_ps, idle_ps + back.full_ps, out.gate_ps + back.gate_ps};
}

/* Every source up to 64 hosts, three of them beyond. */
static uint32_t source_step(const struct fabric *fabric)
{
    uint32_t hosts = fabric->host_count;
    return (uint64_t)hosts * hosts <= 4096 || hosts < 3 ? 1 : (hosts - 1) / 2;
}

uint64_t path_flight_bytes_max(const struct fabric *fabric, const struct routes *routes,
                               const struct packet_shape *shape)
{
    uint64_t bytes_max = 0;
    for (uint32_t src = 0; src < fabric->host_count; src += source_step(fabric)) {
        for (uint32_t dst = 0; dst < fabric->host_count; dst++) {
            if (src != dst) {
                uint64_t bytes = line_bytes(path_rtt(fabric, routes, shape, src, dst).duplex_ps,
                                            path_rate_bps(fabric, routes, src, dst));
                bytes += (routes_next(routes, src, dst).count - 1) * shape->packet_bytes; /* each port cuts one */
                bytes_max = bytes > bytes_max ? bytes : bytes_max;
            }
        }
    }
    return bytes_max;
}

struct path_rtt path_rtt_max(const struct fabric *fabric, const struct routes *routes,
                             const struct packet_shape *shape)
{
    struct path_rtt max = {0};
    for (uint32_t src = 0; src < fabric->host_count; src += source_step(fabric)) {
        for (uint32_t dst = 0; dst < fabric->host_count; dst++) {
            if (src == dst) {
                continue;
            }
            struct path_rtt rtt = path_rtt(fabric, routes, shape, src, dst);
            max.idle_ps = rtt.idle_ps > max.idle_ps ? rtt.idle_ps : max.idle_ps;
            max.duplex_ps = rtt.duplex_ps > max.duplex_ps ? rtt.duplex_ps : max.duplex_ps;
            max.gate_ps = rtt.gate_ps > max.gate_ps ? rtt.gate_ps : max.gate_ps;
        }
    }
    return max;
}
