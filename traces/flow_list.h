/* A list of flows as a job: what the readers of htsim_cm and flows_csv share.
 *
 *     flow 3: rank 7 ──bytes──► rank 2, begins at 5 us      rank 7   [timer 5 us, stream 1] ──► send
 *                                                           rank 2   recv
 *     trigger 9: fires when flows 1 and 3 are over          rank 2   recv ──► join ──► signal to rank 4
 *                and starts flow 8 of rank 4                rank 4   signal ──► send
 *
 * A start time is the end of a chain of timers, computations on FLOW_STREAM_TIMER: a rank's flows start on the
 * picosecond whatever the compute stream does, and the timers are no compute time. A trigger between ranks is a
 * message of no bytes. Every flow has a tag of its own among those of its two ranks, so any order matches. */
#ifndef PHOTONET_TRACES_FLOW_LIST_H
#define PHOTONET_TRACES_FLOW_LIST_H

#include "photonet/trace.h"

#define FLOW_STREAM_TIMER 1
/* As many as the synthetic patterns take. */
#define TRACE_RANKS_MAX (UINT32_C(1) << 20)

struct flow {
    uint32_t src, dst;
    uint64_t bytes, start_ps;
    uint64_t id;      /* for reports */
    uint32_t trigger; /* index of the trigger that starts it, ID_NONE where its time does */
};

/* What makes a trigger fire: it does when all that it waits for are over. */
struct flow_event {
    uint32_t trigger;
    uint32_t flow;
    bool is_received; /* when the last byte has arrived; else when it is acknowledged */
};

struct flow_list {
    const char *path;
    uint32_t rank_count;
    const struct flow *flows;
    size_t flow_count;
    const struct flow_event *events;
    size_t event_count;
    uint32_t trigger_count;
};

/* Adds the programs of all ranks. Sources, destinations and indices are in range. */
enum status flow_list_build(const struct flow_list *list, struct job_builder *builder, struct diag *diag);

#endif
