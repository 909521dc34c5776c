/* A run through SimGrid instead of the packet engine: the same job, fabric and parameters, the same facts. */
#ifndef PHOTONET_RUN_FLOW_H
#define PHOTONET_RUN_FLOW_H

#include "netsim/collect.h"
#include "netsim/run.h"

/* STATUS_DEADLOCK and STATUS_INTERRUPTED come with filled facts. Packets, queues and waits are unknown to SimGrid:
 * 0. `explanation` of a deadlock, else NULL. */
enum status run_flow(const struct run_request *request, const struct job *job, struct fabric *fabric,
                     const struct scenario *scenario, struct arena *arena, struct facts *facts, uint64_t *digest,
                     const char **explanation, struct diag *diag);

#endif
