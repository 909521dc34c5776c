/* Graphs of routers, for families that only say which routers are joined: torus, dragonfly, HyperX, lists of
 * links.
 *
 *      per_router: 2                            per_router: 0
 *
 *      router ─── router ─── ...                host ─── host ─── ...
 *       │  │       │  │                          hosts are the routers: what is not for them they pass on
 *      host host  host host
 *
 * Host h hangs at router h / per_router. Ports of a router: its hosts, then its edges in the order of the
 * list; ports of a host: scale-up, then network. Routes are left to tables, by the costs and orders of the
 * edges (fabric.h). */
#ifndef PHOTONET_TOPOLOGIES_ROUTERS_H
#define PHOTONET_TOPOLOGIES_ROUTERS_H

#include "topologies/server.h"

struct routers_values {
    uint64_t link_rate_bps, host_link_rate_bps, link_delay_ps, queue_bytes, switch_latency_ps,
        forward_latency_ps;
    uint64_t ports_per_nic;
    double host_length_m, link_length_m;
    const char *medium, *gpu, *nic, *host_module, *switch_module, *switch_part;
    bool is_cut_through, has_device_latency;
};

/* Rows of a family whose values struct has the members `routers` and `server`. */
#define ROUTERS_ROWS(type_)                                                                                  \
    PARAM_U64(type_, routers.link_rate_bps, RATE, "link_rate", "400Gbps", "1Mbps", "100Tbps",                \
              "of a link between routers, one way"),                                                         \
        PARAM_U64(type_, routers.host_link_rate_bps, RATE, "host_link_rate", "0bps", "0bps", "100Tbps",      \
                  "of links to hosts; 0bps: as link_rate"),                                                  \
        PARAM_U64(type_, routers.link_delay_ps, TIME, "link_delay", "0ps", "0ps", "1s",                      \
                  "propagation of every link; 0ps: from length and medium"),                                 \
        PARAM_REAL(type_, routers.host_length_m, LENGTH, "host_length", "5m", "0m", "100km",                 \
                   "host to router"),                                                                        \
        PARAM_REAL(type_, routers.link_length_m, LENGTH, "link_length", "5m", "0m", "100km",                 \
                   "router to router"),                                                                      \
        PARAM_TEXT(type_, routers.medium, "medium", "smf",                                                   \
                   "part that gives the delay per metre: smf, hollow_core, twinax"),                         \
        PARAM_TEXT(type_, routers.gpu, "gpu", "none", "part of a host"),                                     \
        PARAM_TEXT(type_, routers.nic, "nic", "none", "part at a host's ports"),                             \
        PARAM_U64(type_, routers.ports_per_nic, COUNT, "ports_per_nic", "1", "1", "64",                      \
                  "ports of a host that share a NIC"),                                                       \
        PARAM_TEXT(type_, routers.host_module, "host_module", "none",                                        \
                   "part at the host's end of its links"),                                                   \
        PARAM_TEXT(type_, routers.switch_module, "switch_module", "none",                                    \
                   "part at switch ports: DSP, LPO, CPO or copper"),                                         \
        PARAM_TEXT(type_, routers.switch_part, "switch", "none", "part of a switch"),                        \
        PARAM_U64(type_, routers.switch_latency_ps, TIME, "switch_latency", "0ps", "0ps", "1s",              \
                  "of a packet through a switch; 0ps: that of the switch part"),                             \
        PARAM_BOOL(type_, routers.is_cut_through, "cut_through", "no",                                       \
                   "routers send on when the header is there, not the whole packet"),                        \
        PARAM_BOOL(type_, routers.has_device_latency, "device_latency", "yes",                               \
                   "parts take their time: NIC, modules, FEC, switches"),                                    \
        PARAM_U64(type_, routers.queue_bytes, SIZE, "queue", "0B", "0B", NULL,                               \
                  "of an output port outside the servers; 0B: unbounded")
#define ROUTERS_ROW_FORWARD(type_, default_)                                                                 \
    PARAM_U64(type_, routers.forward_latency_ps, TIME, "forward_latency", default_, "0ps", "1s",             \
              "of a packet that a host passes on, NICs not counted (assumption)")

struct routers_edge {
    uint32_t left, right; /* routers */
    double length_m;
    uint8_t cost, order;
    uint8_t ring; /* fabric.port_ring of both ends */
};

/* A plane of optical switches that some edges go through: circuits that are set once, before the job. */
struct routers_optical {
    uint32_t switch_part, module, medium;
    const bool *is_optical; /* of each edge */
};

struct routers_plan {
    uint32_t hosts, routers;
    uint32_t per_router; /* 0: hosts are the routers, hosts == routers */
    const struct routers_edge *edges;
    size_t edge_count;
    const uint8_t *tier; /* of each router, NULL: 1 */
    const struct routers_optical *optical; /* NULL: no edge is */
    const uint32_t *region; /* of each router, NULL: each its own; not asked where hosts are the routers */
    bool is_turning; /* ways turn from any edge to any other: routers get colours (fabric.node_colour) */
};

/* Costs of edges where nothing else is wanted: above that of scale-up links. */
#define ROUTERS_COST SERVER_NETWORK_COST

enum status routers_build(const struct routers_values *values, const struct server_values *server,
                          const struct routers_plan *plan, const struct fabric_request *request,
                          struct fabric *fabric, struct diag *diag);

/* Sizes. Text of the form "4x4x8" into at most ROUTERS_DIMENSIONS_MAX sizes, each 1 to 65,535. */
#define ROUTERS_DIMENSIONS_MAX 8
struct routers_sizes {
    uint32_t count, size[ROUTERS_DIMENSIONS_MAX];
    uint64_t product;
};
enum status routers_sizes_parse(const char *key, const char *text, const struct fabric_request *request,
                                struct routers_sizes *sizes, struct diag *diag);
/* `count` sizes as equal as can be whose product is `wanted`, or a little more where that makes them more
 * equal (no size more than twice another). */
void routers_sizes_choose(uint32_t wanted, uint32_t count, struct routers_sizes *sizes);

#endif
