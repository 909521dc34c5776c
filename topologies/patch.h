/* Hosts in servers whose network ports are fibres to optical switches, and no packet switch outside the servers.
 *
 *      one plane (optical_patch)                 one a rail (photonic_rails)
 *
 *      ══╧╧══════╧╧══════╧╧══ optical            ══╧══════╧══ rail 0     ══╧══════╧══ rail 1
 *      h0  h1   h2  h3  h4  h5                    h0      h2               h1      h3
 *      └NVLink┘ └NVLink┘ └NVLink┘                 server 0: h0 h1, server 1: h2 h3
 *
 * Circuits join servers where hosts share one and there is one plane: any port of a server will do, since what is
 * inside passes on. On a rail they join hosts: the one of each server that is on this rail. */
#ifndef PHOTONET_TOPOLOGIES_PATCH_H
#define PHOTONET_TOPOLOGIES_PATCH_H

#include "topologies/server.h"

struct patch_values {
    uint64_t hosts, degree;
    uint64_t link_rate_bps, link_delay_ps;
    double fibre_length_m;
    const char *medium, *gpu, *nic, *module, *ocs, *planner;
    uint64_t ports_per_nic, forward_latency_ps, queue_bytes;
    bool has_device_latency;
};

/* Rows of a family whose values struct has the members `patch` and `server`. */
#define PATCH_ROWS(type_, degree_, rate_)                                                                           \
    PARAM_U64(type_, patch.hosts, COUNT, "hosts", "0", "0", "1_048_576",                                            \
              "hosts; 0: as many as the job has ranks (32 without a job)"),                                         \
        PARAM_U64(type_, patch.degree, COUNT, "degree", degree_, "1", "64", "ports of a host, one fibre pair each"), \
        PARAM_U64(type_, patch.link_rate_bps, RATE, "link_rate", rate_, "1Mbps", "100Tbps", "of a port, one way"),  \
        PARAM_U64(type_, patch.link_delay_ps, TIME, "link_delay", "0ps", "0ps", "1s",                               \
                  "propagation of a circuit from host to host; 0ps: from length, medium and optical switch"),       \
        PARAM_REAL(type_, patch.fibre_length_m, LENGTH, "fibre_length", "20m", "0m", "100km",                       \
                   "host to optical switch"),                                                                       \
        PARAM_TEXT(type_, patch.medium, "medium", "smf", "part that gives the delay per metre: smf, hollow_core"),  \
        PARAM_TEXT(type_, patch.gpu, "gpu", "none", "part of a host"),                                              \
        PARAM_TEXT(type_, patch.nic, "nic", "none", "part at a host's ports"),                                      \
        PARAM_U64(type_, patch.ports_per_nic, COUNT, "ports_per_nic", "1", "1", "64",                               \
                  "ports that share one NIC, as the lanes of a module that is broken out"),                         \
        PARAM_TEXT(type_, patch.module, "module", "none", "part at a host's port: DSP, LPO or CPO"),                \
        PARAM_TEXT(type_, patch.ocs, "ocs", "none",                                                                 \
                   "part of the optical switch: its settle, relock and control times make a change dark"),         \
        PARAM_U64(type_, patch.forward_latency_ps, TIME, "forward_latency", "1us", "0ps", "1s",                     \
                  "of a packet that a host forwards for others, NICs not counted (assumption: kernel bypass)"),     \
        PARAM_BOOL(type_, patch.has_device_latency, "device_latency", "yes",                                        \
                   "parts take their time: NIC, modules, FEC, optical switch"),                                     \
        PARAM_U64(type_, patch.queue_bytes, SIZE, "queue", "0B", "0B", NULL, "of an output port; 0B: unbounded")

enum status patch_build(const struct patch_values *values, const struct server_values *server, bool is_by_rail,
                        const struct fabric_request *request, struct fabric *fabric, struct diag *diag);

/* ---- circuits that are set anew for every phase ------------------------------------------------------- */

struct phase_values {
    const char *planner;
    uint32_t phase;
    bool is_ahead, is_paying;
    uint64_t signal_ps, patience_ps;
};

/* Rows of a family whose values struct has the member `phase`. */
#define PHASE_ROWS(type_, planner_, phase_)                                                                         \
    PARAM_TEXT(type_, phase.planner, "planner", planner_,                                                           \
               "who makes the circuits of a phase from its demand (photonet fabric list)"),                         \
        PARAM_CHOICE(type_, phase.phase, "phase", phase_, phase_kind_names,                                         \
                     "what a phase is: job, kind of communicator, n-th call of one"),                               \
        PARAM_BOOL(type_, phase.is_ahead, "ahead", "yes",                                                           \
                   "circuits of the next phase are set when the last one is over; no: when they are asked for"),    \
        PARAM_BOOL(type_, phase.is_paying, "pays", "no",                                                            \
                   "circuits are kept where a change would be dark for longer than it saves"),                      \
        PARAM_U64(type_, phase.signal_ps, TIME, "signal", "5us", "1ns", "1s",                                       \
                  "from a host to the controller (assumption: one round over a management network)"),              \
        PARAM_U64(type_, phase.patience_ps, TIME, "patience", "0ps", "0ps", NULL,                                   \
                  "circuits are taken from a busy phase when another has waited so long; 0ps: never")

struct circuit_rules phase_rules(const struct phase_values *values);

/* The three delays of the part, and the plane itself. */
struct optical build_optical(const struct fabric_request *request, uint32_t node, uint32_t part);

#endif
