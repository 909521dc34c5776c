/* Leaf and spine in planes: what rail-optimised, rail-only and multi-plane networks have in common.
 *
 *      spread: every host in every plane             striped: host h in plane h % planes (a rail)
 *
 *      plane 0      plane 1                          plane 0      plane 1        spines of one plane each, or
 *       s   s        s   s                            s   s        s   s         common to all (rail-optimised),
 *       l   l        l   l                            l   l        l   l         or none (rail-only)
 *       │╲  │╲──────╱│  ╱│                           h0  h4       h1  h5
 *      h0  h1  h2  h3 ...                            h2  h6       h3  h7
 *
 * Leaf j of a plane holds the j-th `down` hosts of its plane. As few spines as have ports enough are built,
 * with several links to each leaf. Everything is numbered from left to right, so routes are arithmetic
 * (struct route); servers with a mesh inside leave them to tables.
 *
 * Sizes. `hosts`, or as many as the job has, rounded up to full servers where planes are striped. `radix` 0
 * is the smallest power of two that holds them. */
#ifndef PHOTONET_TOPOLOGIES_PLANES_H
#define PHOTONET_TOPOLOGIES_PLANES_H

#include "topologies/server.h"

struct planes_values {
    uint64_t hosts, radix, leaf_up, ports_per_nic;
    uint64_t link_rate_bps, link_delay_ps, queue_bytes, forward_latency_ps, switch_latency_ps;
    double host_length_m, switch_length_m;
    const char *medium, *gpu, *nic, *host_module, *switch_module, *switch_part;
    bool is_cut_through, has_device_latency;
};

/* Rows of a family whose values struct has the members `planes` and `server`. */
#define PLANES_ROWS(type_)                                                                                   \
    PARAM_U64(type_, planes.hosts, COUNT, "hosts", "0", "0", "1_048_576",                                    \
              "hosts; 0: as many as the job has ranks (32 without a job)"),                                  \
        PARAM_U64(type_, planes.radix, COUNT, "radix", "0", "0", "65_534",                                   \
                  "ports of a switch; 0: the smallest power of two that holds the hosts"),                   \
        PARAM_U64(type_, planes.ports_per_nic, COUNT, "ports_per_nic", "1", "1", "64",                       \
                  "ports of a host that share a NIC"),                                                       \
        PARAM_U64(type_, planes.link_rate_bps, RATE, "link_rate", "400Gbps", "1Mbps", "100Tbps",             \
                  "of a link of the network, one way"),                                                      \
        PARAM_U64(type_, planes.link_delay_ps, TIME, "link_delay", "0ps", "0ps", "1s",                       \
                  "propagation of every link of the network; 0ps: from length and medium"),                  \
        PARAM_REAL(type_, planes.host_length_m, LENGTH, "host_length", "5m", "0m", "100km", "host to leaf"), \
        PARAM_REAL(type_, planes.switch_length_m, LENGTH, "switch_length", "30m", "0m", "100km",             \
                   "switch to switch"),                                                                      \
        PARAM_TEXT(type_, planes.medium, "medium", "smf",                                                    \
                   "part that gives the delay per metre: smf, hollow_core, twinax"),                         \
        PARAM_TEXT(type_, planes.gpu, "gpu", "none", "part of a host"),                                      \
        PARAM_TEXT(type_, planes.nic, "nic", "none", "part at a host's ports"),                              \
        PARAM_TEXT(type_, planes.host_module, "host_module", "none", "part at the host's end of its links"), \
        PARAM_TEXT(type_, planes.switch_module, "switch_module", "none",                                     \
                   "part at switch ports: DSP, LPO, CPO or copper"),                                         \
        PARAM_TEXT(type_, planes.switch_part, "switch", "none", "part of a switch"),                         \
        PARAM_U64(type_, planes.switch_latency_ps, TIME, "switch_latency", "0ps", "0ps", "1s",               \
                  "of a packet through a switch; 0ps: that of the switch part"),                             \
        PARAM_BOOL(type_, planes.is_cut_through, "cut_through", "no",                                        \
                   "switches send on when the header is there, not the whole packet"),                       \
        PARAM_BOOL(type_, planes.has_device_latency, "device_latency", "yes",                                \
                   "parts take their time: NIC, modules, FEC, switches"),                                    \
        PARAM_U64(type_, planes.queue_bytes, SIZE, "queue", "0B", "0B", NULL,                                \
                  "of an output port outside the servers; 0B: unbounded")
#define PLANES_ROW_LEAF_UP(type_)                                                                            \
    PARAM_U64(type_, planes.leaf_up, COUNT, "leaf_up", "0", "0", "65_533",                                   \
              "ports of a leaf to spines; 0: half of the radix")
#define PLANES_ROW_FORWARD(type_)                                                                            \
    PARAM_U64(type_, planes.forward_latency_ps, TIME, "forward_latency", "1us", "0ps", "1s",                 \
              "of a packet that a GPU passes on, NICs not counted (assumption: a copy to memory and a new "  \
              "request)")

/* Fibres to optical switches beside the network: of a host, or where hosts share a server of the scale-up switch in it,
 * which then needs to be one. Optical switch i joins those of the i-th `region_hosts` hosts. */
struct fibre_values {
    uint64_t per_host, rate_bps, region_hosts, least_bytes;
    double length_m;
    const char *medium, *module, *ocs;
    uint32_t traffic;
};

/* Rows of a family whose values struct has the member `fibre`. */
#define FIBRE_ROWS(type_, region_, least_, traffic_)                                                         \
    PARAM_U64(type_, fibre.per_host, COUNT, "circuits", "1", "1", "32",                                      \
              "fibres to the optical switch a host, beside its ports to the network"),                       \
        PARAM_U64(type_, fibre.rate_bps, RATE, "circuit_rate", "400Gbps", "1Mbps", "100Tbps",                \
                  "of one of them, one way"),                                                                \
        PARAM_U64(type_, fibre.region_hosts, COUNT, "region_hosts", region_, "0", "1_048_576",               \
                  "hosts that share an optical switch; 0: all"),                                             \
        PARAM_REAL(type_, fibre.length_m, LENGTH, "circuit_length", "20m", "0m", "100km",                    \
                   "host to optical switch"),                                                                \
        PARAM_TEXT(type_, fibre.medium, "circuit_medium", "smf", "part that gives their delay per metre"),   \
        PARAM_TEXT(type_, fibre.module, "circuit_module", "none", "part at the host's end of a fibre"),      \
        PARAM_TEXT(type_, fibre.ocs, "ocs", "none",                                                          \
                   "part of the optical switch: its settle, relock and control times make a change dark"),   \
        PARAM_U64(type_, fibre.least_bytes, SIZE, "elephant", least_, "0B", NULL,                            \
                  "smaller messages never take circuits"),                                                   \
        PARAM_CHOICE(type_, fibre.traffic, "traffic", traffic_, circuit_traffic_names,                       \
                     "what may take circuits: any message, those of all_to_all calls")

enum planes_spines { PLANES_NO_SPINES, PLANES_OWN_SPINES, PLANES_COMMON_SPINES };

struct planes_shape {
    uint32_t planes;
    bool is_striped;    /* host h in plane h % planes; else every host in every plane */
    bool is_forwarding; /* striped: hosts pass on to the rail of the destination, over scale-up */
    enum planes_spines spines;
    const struct fibre_values *fibres; /* NULL: none; hosts are not striped then */
};

enum status planes_build(const struct planes_values *values, const struct server_values *server,
                         const struct planes_shape *shape, const struct fabric_request *request,
                         struct fabric *fabric, struct diag *diag);

#endif
