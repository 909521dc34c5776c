/* What the two halves of the SimGrid engine share: the parent (simgrid.c) and the process that simulates
 * (simgrid_actors.c). */
#ifndef PHOTONET_SIMGRID_INT_H
#define PHOTONET_SIMGRID_INT_H

#include "netsim/flow/platform.h"
#include "netsim/flow/simgrid.h"

#define FLOW_EXPLANATION_BYTES 16384
#define FLOW_EXPLAINED_RANKS   16

/* One mapping, shared by both; behind it the ranks, then the calls. The parent writes must_stop, the child the rest. */
struct flow_shared {
    volatile int must_stop;
    bool is_finished; /* the simulation ended in order: what follows is valid */
    bool is_cut;      /* at until_ps: more was to happen */
    uint64_t makespan_ps, first_iteration_ps, done_ops, op_count;
    char explanation[FLOW_EXPLANATION_BYTES];
};

struct flow_child {
    const struct flow_config *config;
    struct arena *arena;
    struct replay *replay;
    const struct platform *platform;
    struct flow_shared *shared;
    struct replay_rank *ranks; /* in the shared memory */
    struct replay_call *calls;
    int records_fd; /* struct flow_record of every finished message */
    char platform_path[64];
};

/* Tasks that the replay has asked for; see simgrid_actors.c. */
struct flow_tasks;
struct flow_tasks *flow_tasks_new(struct arena *arena, struct flow_child *child);
void flow_send(void *tasks, const struct message *message, uint64_t now_ps); /* struct replay_net */
void flow_timer(void *tasks, uint32_t host, uint64_t when_ps, uint64_t argument);

/* Runs the simulation in this process and ends it. */
_Noreturn void flow_child_run(struct flow_tasks *tasks);

#endif
