/* The queues of a run: what the transport wants, with the parameters of the section `queue` put over it. */
#ifndef PHOTONET_QUEUES_H
#define PHOTONET_QUEUES_H

#include "netsim/engine/engine.h"
#include "netsim/transport/transport.h"

/* Zero, "transport" and "no" leave what the transport wants. All but `shared`, `adaptive` and `adaptive_grade` are
 * of class 0, data. */
struct scenario_queue {
    uint64_t capacity_bytes, trim_bytes, mark_low_bytes, mark_high_bytes;
    uint32_t mark, full;
    uint64_t xoff_bytes, xon_bytes, buffer_bytes, credit_bytes;
    uint64_t shared_bytes;
    uint32_t alpha, passing, grade;
    bool has_lanes, is_adaptive, is_lossy;
};
#define QUEUE_ROW_COUNT 17
extern const struct param queue_rows[QUEUE_ROW_COUNT];

void queues_profile(const struct scenario_queue *queue, const struct transport *transport, const void *transport_values,
                    const struct transport_facts *facts, struct queue_profile *profile);

/* Those of hosts, from those of switches: what a GPU passes on for others of its server came over scale-up links and waits in
 * memory for its NIC (PXN of NCCL), where nothing trims, drops or marks. Credits, pauses and classes are the same. */
void queues_hosts(const struct scenario_queue *queue, const struct fabric *fabric, const struct queue_profile *switches,
                  struct queue_profile *hosts);

/* Gives every class the lanes that it needs where credits or pauses could close a circle (route/lane.h). */
enum status queues_lanes(const struct scenario_queue *queue, const struct routes *routes, bool has_detours,
                         struct queue_profile *profile, struct diag *diag);

/* The most that the queue of a port of a switch, or of a host that passes packets on, can get in class 0 under the profile's pauses or credits: over all other inputs
 * of the node, credit, or xoff and what is on the way until the pause is obeyed (a round trip of the link, and a packet at
 * either end). UINT64_MAX: nothing holds it back; 0: a port of a host that passes nothing on. */
uint64_t queues_need_bytes(const struct queue_profile *profile, const struct fabric *fabric, uint64_t packet_bytes,
                           uint32_t port);

/* Refuses queues that hold no packet, and pauses and credits over queues so small that they drop. */
enum status queues_check(const struct queue_profile *profile, const struct fabric *fabric, uint64_t packet_bytes,
                         struct diag *diag);

/* The fastest engine that serves such queues. */
const struct engine_class *engine_class_for(const struct queue_profile *profile);

#endif
