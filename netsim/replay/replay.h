/* Walks the programs of a job: ready operations, streams, running collectives.
 *
 * The replay knows neither packets nor fabrics. A network carries its messages and wakes it (struct replay_net):
 * the packet engine's endpoints, or SimGrid. It is driven by three calls: a message has been delivered, a message
 * has been acknowledged, an operation's time is over. All that they touch belongs to one rank, so ranks on
 * different threads never meet here, but for the records of collective calls (minimum and maximum of times).
 *
 *     dependencies of an operation all done ──► ready ──► its stream is free ──► runs ──► done ──► its children
 *       compute, memory   one at a time per stream, lowest canonical order first
 *       collective        one at a time per group, in canonical order
 *       send              at once; done when acknowledged
 *       receive           at once; done when the message is there
 *       marker            at once
 *
 * Exposed communication of a rank: time in which a collective, send or receive has started and is not done, and no
 * operation of the compute stream (STREAM_COMPUTE) runs. */
#ifndef PHOTONET_REPLAY_H
#define PHOTONET_REPLAY_H

#include "netsim/replay/noise.h"
#include "netsim/replay/select.h"
#include "netsim/transport/message.h"

#include <stdio.h>

struct replay_net {
    void *context;
    /* Takes a copy of the message. Must not call back before it returns. */
    void (*send)(void *context, const struct message *message, uint64_t now_ps);
    /* Calls replay_event with the argument at `when_ps`. argument < 2^40; with replay_is_look it is no sign of life. */
    void (*timer)(void *context, uint32_t host, uint64_t when_ps, uint64_t argument);
    /* The host is silent, and what it sends from now on is to be as it was at the start. NULL: it always is. */
    void (*renew)(void *context, uint32_t host);
};

#define RANKS_PER_HOST_MAX 256

struct replay_config {
    const struct job *job;
    const uint32_t *rank_host;      /* placement */
    uint32_t host_count;
    struct collective_machine machine;
    const struct collective_policy *policy; /* NULL: `algorithm` below and no protocol */
    uint64_t chunk_bytes;           /* of pipelined collectives */
    uint32_t all_to_all_concurrency;
    const struct collective_algorithm *algorithm[COLLECTIVE_KIND_COUNT]; /* NULL: the default of the kind */
    struct noise noise;             /* all zero: none */
    uint32_t iterations;            /* at least 1; the job that often, one after the other on each rank */
    uint64_t apart_ps;              /* what happens to hosts so far apart they see in order, on whatever threads; 0: anything */
    struct replay_net net;
};

struct replay;
struct replay *replay_new(struct arena *arena, const struct replay_config *config);

/* Refuses a call of more steps than can be counted; to be asked before anything else of a new replay. */
enum status replay_check(const struct replay *replay, struct diag *diag);

/* Teams of ranks that messages of casts go to (collective.h), numbered from 0; with them the network must carry messages to
 * teams (message.h). */
struct replay_team {
    uint32_t number, member_count;
    const char *group;
    const uint32_t *rank; /* per member */
    const uint8_t *uses;  /* per member: TEAM_OWNERS: casts from and to it; TEAM_ALL: combined for all (for all the same) */
    bool is_in_server;    /* over scale-up links */
};
uint32_t replay_team_count(const struct replay *replay);
/* In the order of their numbers. What `team` points to is gone after the visit. */
void replay_teams(const struct replay *replay,
                  void (*visit)(void *context, const struct replay_team *team), void *context);

/* Idle latency of the network inside a server and outside, which the hops of protocols contain. Before the start; 0 else. */
void replay_idle_set(struct replay *replay, const uint64_t idle_ps[MEDIUM_COUNT]);

/* Sets the timers that start every rank, at time 0 or when its job starts. */
void replay_start(struct replay *replay);

void replay_delivered(struct replay *replay, const struct message *message, uint64_t now_ps);
void replay_acked(struct replay *replay, const struct message *message, uint64_t now_ps);
void replay_event(struct replay *replay, uint32_t host, uint64_t argument, uint64_t now_ps);

/* A timer of a rank that looks whether all have come to a barrier. */
bool replay_is_look(uint64_t argument);

const struct job *replay_job_of(const struct replay *replay);
bool replay_is_computing(const struct replay *replay, uint32_t rank); /* its compute stream is busy */

/* ---- what came of it -------------------------------------------------------------------------------------- */

struct replay_rank {
    uint64_t end_ps;           /* of its last operation so far */
    uint64_t message_ps;       /* when it got its last message, or the answer to one */
    /* the first iteration alone: end, compute, exposed communication */
    uint64_t first_end_ps, first_compute_ps, first_exposed_ps;
    uint64_t compute_ps;       /* compute stream busy */
    uint64_t communication_ps; /* communication outstanding */
    uint64_t exposed_ps;       /* communication outstanding, compute stream idle */
    uint64_t done_ops, op_count;
    uint64_t sent_bytes, received_bytes; /* payload */
    uint64_t local_bytes;      /* of what was sent: to ranks of the same host */
    uint64_t received_extra_bytes;       /* what protocols add to it on the wire */
    uint64_t algorithmic_bytes; /* asked for and done: messages received, and of every collective the size that algbw counts */
};
/* As of `now_ps`, with what is under way then; 0: as of its last event. */
void replay_rank(const struct replay *replay, uint32_t rank, uint64_t now_ps, struct replay_rank *result);

/* One collective call of a group, in the last iteration. */
struct replay_call {
    enum collective_kind kind;
    const struct collective_algorithm *algorithm;
    uint32_t group, ordinal, members;
    uint32_t started, ended; /* members so far */
    uint64_t bytes;
    struct collective_call call; /* `self` is left open */
    struct collective_choice choice;
    uint64_t first_start_ps, last_start_ps, end_ps; /* first_start_ps is UINT64_MAX before the first start */
    uint64_t hold_ps; /* a barrier that holds its members: it has no messages, and they look so often whether all are there */
    uint64_t came_ps[2], came[2]; /* of these the last one, and how many in all; of even and of odd iterations */
};
uint32_t replay_call_count(const struct replay *replay);
const struct replay_call *replay_calls(const struct replay *replay); /* call_count of them, live */

uint64_t replay_makespan_ps(const struct replay *replay); /* largest end_ps */
uint64_t replay_first_iteration_ps(const struct replay *replay); /* largest first_end_ps */
uint64_t replay_done_ops(const struct replay *replay);
uint64_t replay_op_count(const struct replay *replay);
bool replay_is_complete(const struct replay *replay);

/* Messages that one iteration will post, and their bytes; exact, and cheap enough to ask before a run. */
struct replay_volume {
    uint64_t messages, bytes;
};
void replay_volume(const struct replay *replay, struct replay_volume *volume);

/* Adds bytes of every (source rank, destination rank) that the job will send: visit is called once per message
 * size and pair, `count` times that size. */
void replay_demand(const struct replay *replay,
                   void (*visit)(void *context, uint32_t src_rank, uint32_t dst_rank, uint64_t bytes, uint64_t count),
                   void *context);

/* Key of a message for digests: the same whatever numbers the job's groups have (identity.c). */
void replay_identity(const struct replay *replay, const struct message *message, uint64_t key[2]);

/* Why nothing moves: for up to `limit` stuck ranks, what each of its started or next operations waits for. */
void replay_explain(const struct replay *replay, FILE *stream, uint32_t limit);

#endif
