/* From counters to rows of the result file. */
#ifndef PHOTONET_COLLECT_H
#define PHOTONET_COLLECT_H

#include "netsim/sim.h"
#include "photonet/results.h"

/* What any engine leaves behind of a run. Fields that an engine does not know are 0. */
struct facts {
    const struct job *job;
    const struct fabric *fabric;
    const uint32_t *rank_host;
    uint32_t gpus_per_nic;             /* ranks that a host has room for */
    const struct replay_rank *ranks;   /* per rank */
    const struct replay_call *calls;
    uint32_t call_count;
    const struct port_counters *ports; /* per port */
    struct endpoint_counters ends;
    struct flowstats *stats;
    uint64_t hop_count;
    uint64_t makespan_ps;
    uint64_t done_ops, op_count;
    bool is_complete; /* else there is no step: times and energies are those of all that was run */
    uint32_t failure_count, spare_count;
    const struct circuits *circuits; /* NULL: none are set while the job runs */
};

/* Of the packet engine, as they stand now. `cut_ps`: when a run was cut short or stood still; 0: it ended. */
void facts_of_sim(struct sim *sim, uint64_t cut_ps, struct arena *arena, struct facts *facts);

/* Rows of what has ended since the last call: messages and collectives. Needs stats, calls and call_count only. */
struct collect_cursor {
    uint8_t *is_written; /* per call */
};
enum status collect_progress(const struct facts *facts, struct collect_cursor *cursor, struct results_run *run,
                             struct diag *diag);

/* The summary; needs no file. */
void collect_summary(const struct facts *facts, uint32_t iterations, struct arena *arena,
                     struct result_summary *summary);

/* A row for every job. */
const struct result_jobs *collect_jobs(const struct facts *facts, uint32_t iterations, struct arena *arena,
                                       uint32_t *count);

/* All other tables, at the end of a run. */
enum status collect_tables(const struct facts *facts, const struct result_summary *summary, struct results_run *run,
                           struct diag *diag);

/* Of circuits (collect_circuits.c): their rows, those of the optical switches, and what the summary says of them. */
enum status collect_circuits(const struct facts *facts, uint64_t makespan_ps, struct results_run *run, struct diag *diag);
void summarise_circuits(const struct facts *facts, struct result_summary *summary);

/* The row of a call that has ended on all members. */
struct result_collectives collect_call(const struct replay_call *call);

#endif
