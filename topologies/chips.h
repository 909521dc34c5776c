/* Hosts (chips, GPUs) joined directly by light, without a packet switch: what wdm_ring, ring_hbd and interposer share.
 *
 *      host 0   host 1   host 2           every host has the same number of ports; what its family does not join itself ends
 *       ││││     ││││     ││││            at one optical switch and waits for a planner. Hosts pass on what is not for
 *      ═╧╧╧╧═════╧╧╧╧═════╧╧╧╧═           them.
 *
 * Not modelled: the time of a processor that forwards, beyond forward_latency. */
#ifndef PHOTONET_TOPOLOGIES_CHIPS_H
#define PHOTONET_TOPOLOGIES_CHIPS_H

#include "topologies/build.h"

struct chips_values {
    uint64_t hosts, link_rate_bps, link_delay_ps, forward_latency_ps, queue_bytes;
    double fibre_length_m;
    const char *medium, *gpu, *module, *ocs;
    bool is_cut_through, has_device_latency;
};

/* Rows of a family whose values struct has the member `chips`. */
#define CHIPS_ROWS(type_, link_rate_, length_, forward_)                                                     \
    PARAM_U64(type_, chips.hosts, COUNT, "hosts", "0", "0", "65_536",                                        \
              "hosts; 0: as many as the job has ranks (32 without a job)"),                                  \
        PARAM_U64(type_, chips.link_rate_bps, RATE, "link_rate", link_rate_, "1Mbps", "100Tbps",             \
                  "of a port, one way"),                                                                     \
        PARAM_U64(type_, chips.link_delay_ps, TIME, "link_delay", "0ps", "0ps", "1s",                        \
                  "propagation from host to host; 0ps: from length, medium and optical switch"),             \
        PARAM_REAL(type_, chips.fibre_length_m, LENGTH, "fibre_length", length_, "0m", "100km",              \
                   "of fibre or waveguide at each end of a circuit"),                                        \
        PARAM_TEXT(type_, chips.medium, "medium", "smf",                                                     \
                   "part that gives the delay per metre: smf, hollow_core"),                                 \
        PARAM_TEXT(type_, chips.gpu, "gpu", "none", "part of a host"),                                       \
        PARAM_TEXT(type_, chips.module, "module", "none", "part at a port: DSP, LPO or CPO"),                \
        PARAM_TEXT(type_, chips.ocs, "ocs", "none",                                                          \
                   "part of what sets circuits: its settle, relock and control times are charged at the "    \
                   "start"),                                                                                 \
        PARAM_U64(type_, chips.forward_latency_ps, TIME, "forward_latency", forward_, "0ps", "1s",           \
                  "of a packet that a host passes on (assumption)"),                                         \
        PARAM_BOOL(type_, chips.is_cut_through, "cut_through", "yes",                                        \
                   "hosts pass on when the header is there"),                                                \
        PARAM_BOOL(type_, chips.has_device_latency, "device_latency", "yes",                                 \
                   "parts take their time: modules, FEC, optical switch"),                                   \
        PARAM_U64(type_, chips.queue_bytes, SIZE, "queue", "0B", "0B", NULL,                                 \
                  "of an output port; 0B: unbounded")

struct chips {
    struct build build;
    const struct chips_values *values;
    uint32_t hosts, ports; /* of a host */
    uint32_t gpu, module, ocs, medium;
    struct build_link half; /* one end's share of a circuit */
    uint64_t dark_ps;       /* settle + re-lock + control of the optical part */
};

/* Hosts with `ports` each and one optical node; no link yet. */
enum status chips_begin(struct chips *chips, const struct chips_values *values, uint32_t ports,
                        const struct fabric_request *request, struct fabric *fabric, struct diag *diag);

/* Port `place` of host a to port `place_b` of host b, for good. */
void chips_join(struct chips *chips, uint32_t a, uint32_t place_a, uint32_t b, uint32_t place_b);

/* All ports that were not joined are fibres to the optical switch. `is_switched`: the joined ones lead through it too. */
void chips_end(struct chips *chips, struct fabric *fabric, bool is_switched);

/* As many hosts as are wanted. */
uint32_t chips_hosts(const struct chips_values *values, const struct fabric_request *request);

#endif
