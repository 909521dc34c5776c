/* Top-of-rack switches joined by cyclic circuits: what rotor, opera and awgr have in common.
 *
 *      host host   host host   host host        ToR i: ports to its hosts, then one port for each other ToR in the order
 *        │   │       │   │       │   │          of their numbers. Ports of one uplink share a line; the gate of a port is
 *        ToR 0       ToR 1       ToR 2   ...    open while the uplink's circuit leads to that ToR. So each port is a
 *       ╱ │ ╲       ╱ │ ╲       ╱ │ ╲           virtual output queue, and the schedule is data.
 *      uplinks ── optical switches ── uplinks
 *
 * Host h hangs at ToR h / hosts_per_tor. Routes are left to tables: a ToR has a direct port to every other, and a fabric
 * with two hops takes its detours over all of them.
 *
 * Not modelled: clock drift between ToRs (it is in the dark time); what a packet that misses its slot costs beyond waiting
 * for the next one. */
#ifndef PHOTONET_TOPOLOGIES_TORS_H
#define PHOTONET_TOPOLOGIES_TORS_H

#include "topologies/build.h"

struct tors_values {
    uint64_t hosts, tors, per_tor;
    uint64_t link_rate_bps, host_link_rate_bps, link_delay_ps, queue_bytes, switch_latency_ps;
    double host_length_m, fibre_length_m;
    const char *medium, *gpu, *nic, *host_module, *switch_module, *uplink_module, *switch_part, *ocs;
    bool is_cut_through, has_device_latency;
};

/* Rows of a family whose values struct has the member `tors`. */
#define TORS_ROWS(type_, per_tor_, link_rate_, fibre_)                                                       \
    PARAM_U64(type_, tors.hosts, COUNT, "hosts", "0", "0", "1_048_576",                                      \
              "hosts; 0: as many as the job has ranks (32 without a job)"),                                  \
        PARAM_U64(type_, tors.tors, COUNT, "tors", "0", "0", "4_096",                                        \
                  "top-of-rack switches; 0: as many as the hosts need"),                                     \
        PARAM_U64(type_, tors.per_tor, COUNT, "hosts_per_tor", per_tor_, "1", "1_024", "at each of them"),   \
        PARAM_U64(type_, tors.link_rate_bps, RATE, "link_rate", link_rate_, "1Mbps", "100Tbps",              \
                  "of an uplink, one way"),                                                                  \
        PARAM_U64(type_, tors.host_link_rate_bps, RATE, "host_link_rate", "0bps", "0bps", "100Tbps",         \
                  "of links to hosts; 0bps: as link_rate"),                                                  \
        PARAM_U64(type_, tors.link_delay_ps, TIME, "link_delay", "0ps", "0ps", "1s",                         \
                  "propagation of every link; 0ps: from length, medium and optical switch"),                 \
        PARAM_REAL(type_, tors.host_length_m, LENGTH, "host_length", "3m", "0m", "100km", "host to ToR"),    \
        PARAM_REAL(type_, tors.fibre_length_m, LENGTH, "fibre_length", fibre_, "0m", "100km",                \
                   "ToR to optical switch"),                                                                 \
        PARAM_TEXT(type_, tors.medium, "medium", "smf",                                                      \
                   "part that gives the delay per metre: smf, hollow_core"),                                 \
        PARAM_TEXT(type_, tors.gpu, "gpu", "none", "part of a host"),                                        \
        PARAM_TEXT(type_, tors.nic, "nic", "none", "part at a host's port"),                                 \
        PARAM_TEXT(type_, tors.host_module, "host_module", "none", "part at the host's end of its link"),    \
        PARAM_TEXT(type_, tors.switch_module, "switch_module", "none", "part at the ToR's end of it"),       \
        PARAM_TEXT(type_, tors.uplink_module, "uplink_module", "none", "part at an uplink: DSP, LPO, CPO"),  \
        PARAM_TEXT(type_, tors.switch_part, "switch", "none", "part of a ToR"),                              \
        PARAM_TEXT(type_, tors.ocs, "ocs", "none", "part of the optical switches"),                          \
        PARAM_U64(type_, tors.switch_latency_ps, TIME, "switch_latency", "0ps", "0ps", "1s",                 \
                  "of a packet through a ToR; 0ps: that of the switch part"),                                \
        PARAM_BOOL(type_, tors.is_cut_through, "cut_through", "no",                                          \
                   "ToRs send on when the header is there, not the whole packet"),                           \
        PARAM_BOOL(type_, tors.has_device_latency, "device_latency", "yes",                                  \
                   "parts take their time: NIC, modules, FEC, ToRs, optical switches"),                      \
        PARAM_U64(type_, tors.queue_bytes, SIZE, "queue", "0B", "0B", NULL,                                  \
                  "of an output port; 0B: unbounded")

/* Who is joined when. Window w is open from windows[w].open_ps to windows[w].close_ps of every period. */
struct tors_plan {
    uint32_t uplinks;
    uint32_t optical_switches; /* each uplink has a fibre to one of as many as there are uplinks, or all end at one */
    uint64_t period_ps;
    const struct gate_window *windows;
    uint32_t window_count;
    bool is_rerouting;         /* gates (fabric.h) */
    enum detour_rule detour;
    uint64_t detour_threshold_bytes;
    uint64_t settle_ps;        /* dark time of a slot, for reports */
    const void *context;
    /* The uplink of ToR `from` that leads to ToR `to`, and the window in which it does. */
    void (*join)(const void *context, uint32_t from, uint32_t to, uint32_t *uplink, uint32_t *window);
};

/* How many ToRs there are: `even` asks for an even number (and gives one, where the user leaves it open). */
enum status tors_count(const struct tors_values *values, const struct fabric_request *request, bool even,
                       uint32_t *tors, struct diag *diag);

/* The number of uplinks where the user leaves it open: the largest divisor of `matchings` that is at most the hosts of a
 * ToR. Refuses one that does not divide them; `key` is the parameter. */
enum status tors_uplinks(const struct tors_values *values, const struct fabric_request *request, const char *key,
                         uint64_t wanted, uint32_t matchings, uint32_t *uplinks, struct diag *diag);

/* Refuses a slot that is no longer than its dark time. */
enum status tors_slot_check(const struct fabric_request *request, const char *slot_key, uint64_t slot_ps,
                            const char *dark_key, uint64_t dark_ps, struct diag *diag);

enum status tors_build(const struct tors_values *values, uint32_t tors, const struct tors_plan *plan,
                       const struct fabric_request *request, struct fabric *fabric, struct diag *diag);

/* Pairs of an even number n of ToRs, in n - 1 perfect matchings (a round-robin tournament): the matching, below n - 1, in
 * which a and b are joined. */
uint32_t tors_matching(uint32_t tors, uint32_t a, uint32_t b);

#endif
