/* The flow-level engine: the same replay, carried by SimGrid instead of packets. A second opinion on
 * makespans, and much faster on long messages.
 *
 *      replay ──send, timer──► tasks ──► actors ──► SimGrid: CM02, max-min sharing over links (platform.h)
 *      replay ◄─delivered, acked, event──┘
 *
 * Scope: packet fabrics of any shape and speed; sprayed packets as bundles of links, per-flow balancing as
 * one path a pair of hosts; compute and local copies as durations. A message takes its bytes (wire bytes,
 * with one header a packet) at the rates of max-min sharing, messages on a shared link having equal shares,
 * and then the latency of its route. The sender knows of a delivery when an idle way back has passed.
 * Not modelled: gaps between messages (host.post_gap), segments; windows and queues (sharing is ideal), the bandwidth of ACKs (64 B a 4150 B packet: 1.5 % of
 * the way back), congestion control, losses, marks, pauses; messages shorter than a packet pay for a whole
 * one at every store-and-forward switch. Refused by name: circuits (optical switches, ports that come up
 * late), bounded queues, sprayed routes that overlap in part (platform.h).
 * Checked against: the packet engine on long transfers, closed forms of single messages
 * (tests/test_simgrid.c).
 *
 * Model: Casanova and Marchal, "A Network Model for Simulation of Grid Application", LIP RR-2002-40 (CM02);
 * SimGrid 3.32 options network/model:CM02, no cross-traffic, no TCP window. Its default LV08 is calibrated to
 * TCP over wide-area networks: it multiplies latencies by 13.01 and rates by 0.97.
 *
 * SimGrid takes one platform per process and aborts on errors, so every simulation has a process of its own;
 * finished messages come back through a pipe, the rest through shared memory. */
#ifndef PHOTONET_SIMGRID_H
#define PHOTONET_SIMGRID_H

#include "netsim/metrics/flowstats.h"
#include "netsim/replay/replay.h"
#include "netsim/route/path.h"

struct flow_config {
    const struct job *job;
    const uint32_t *rank_host; /* placement */
    const struct fabric *fabric;
    const struct routes *routes;
    struct packet_shape shape;
    bool is_sprayed; /* else one path for each ordered pair of hosts */
    uint64_t seed;
    const struct collective_policy *policy; /* NULL: the default algorithms */
    struct collective_machine machine;
    uint64_t idle_ps[MEDIUM_COUNT]; /* see replay_idle_set */
    uint64_t chunk_bytes;
    uint32_t all_to_all_concurrency, iterations;
    struct noise noise;
    uint64_t post_ps, nic_ps, local_bps, local_ps; /* as in struct endpoint_config */
    uint32_t connections;                /* likewise: messages of one follow each other, 0: none waits for another */
    uint64_t until_ps;               /* TIME_NEVER_PS: to the end */
    struct flowstats *stats;         /* is told of every finished message; may be NULL */
    const volatile int *interrupted; /* may be NULL */
};

struct flow_result {
    uint64_t makespan_ps, first_iteration_ps;
    uint64_t done_ops, op_count;
    uint64_t message_count;          /* delivered and acknowledged */
    uint64_t useful_bytes;           /* payload of them */
    bool is_complete;                /* all operations done */
    const struct replay_rank *ranks; /* per rank */
    const struct replay_call *calls;
    uint32_t call_count;
    const uint64_t
        *port_bytes;         /* per port of the fabric: what the whole job sends over it, headers counted */
    uint64_t digest;         /* of stats and port_bytes; 0 without stats */
    const char *explanation; /* of a deadlock, else NULL */
};

/* STATUS_INPUT: refused, or SimGrid is not built in. STATUS_DEADLOCK and STATUS_INTERRUPTED come with a filled result. */
enum status flow_simgrid_run(struct arena *arena, const struct flow_config *config,
                             struct flow_result *result, struct diag *diag);

/* False where the program was built without SimGrid. */
bool flow_simgrid_is_built_in(void);

#endif
