/* What the files of netsim/replay share with each other only. */
#ifndef PHOTONET_REPLAY_INT_H
#define PHOTONET_REPLAY_INT_H

#include "netsim/replay/match.h"
#include "netsim/replay/replay.h"
#include "photonet/units.h"

/* What is derived from a program once, for all ranks that run it. */
struct plan {
    uint32_t stream_count;
    const uint16_t *stream_of;    /* per op: index of its stream, STREAM_NONE where it has none */
    uint32_t compute_stream;      /* index of STREAM_COMPUTE, STREAM_NONE where the program has none */
    const uint32_t *slot_first;   /* slot_count + 1: collectives of a slot, in canonical order */
    const uint32_t *slot_op;
    const uint32_t *match_number; /* per op: send, receive: how manieth with its (peer, tag); collective: in its slot */
    const uint32_t *ordered;      /* ops in canonical order (the inverse of program->order) */
    const uint32_t *roots;        /* ops without dependencies */
    uint32_t root_count;
};
const struct plan *plan_new(struct arena *arena, struct arena *scratch, uint16_t *index_of, const struct program *program);

/* What plan_new takes as index_of, for any number of programs one after the other: 1 + index of each stream, left all
 * zero. One for each of a thousand small programs was 130 MB of addresses and two thirds of the time to the first event. */
uint16_t *plan_streams(struct arena *arena);

/* Ready operations of one stream: a min-heap by canonical order, and whether one of them runs. */
struct stream {
    uint32_t *ready; /* values of program->order */
    size_t count, capacity;
    bool is_busy;
    bool is_woken; /* stands in the rank's list of streams to look at */
};

/* One sequence of steps of a running call. */
struct lane {
    uint32_t step_count;
    uint32_t step_next; /* to send */
    uint32_t recv_done; /* contiguous, from step 0 */
    uint32_t send_done;
};

/* The collectives of one group on one rank, one at a time. With its lanes this is all that a member keeps of a running
 * call: at most 128 B for the algorithms that are built in. */
struct slot {
    uint32_t next : 24, is_running : 1; /* position in the plan's list of this slot: the call that runs or comes next */
    uint32_t self : 23;                 /* member index of the rank in the group */
    uint32_t lane_count : 9;            /* of the running call */
    struct lane *lanes;                 /* as many as any call of the slot has */
    const struct replay_call *call;     /* the running one */
    uint64_t start_ps;
};
_Static_assert(sizeof(struct slot) + COLLECTIVE_LANES_MAX * sizeof(struct lane) <= 128, "state of a running collective");

struct rank {
    const struct program *program;
    const struct plan *plan;
    uint32_t id, host, local; /* local: which of the host's ranks */
    uint32_t iteration;
    uint32_t *waiting;        /* per op: dependencies that are not done */
    struct stream *streams;
    struct slot *slots;
    struct match_table table;
    uint32_t *work; /* operations that have become ready or done and are to be looked at */
    size_t work_count, work_capacity;
    uint32_t *woken; /* streams that are free or have something new to start */
    uint32_t woken_count;
    /* accounting of time */
    uint64_t since_ps;
    uint32_t compute_running, communication_running;
    uint64_t send_free_ps[MEDIUM_COUNT]; /* from when on the rank can push more; where a protocol limits it */
    uint64_t *channel_free_ps; /* the same of a medium's channels, replay->channel_count each */
    struct replay_rank result;
};

struct replay {
    struct replay_config config;
    struct arena *arena;
    struct rank *ranks;
    const uint32_t *host_first; /* host_count + 1: ranks of a host */
    const uint32_t *host_rank;
    const struct plan **plans;  /* per program */
    struct replay_call *calls;
    const uint32_t *group_call; /* per group: its first call */
    const uint32_t *group_number; /* per group: identity.c */
    uint32_t call_count;
    uint32_t *group_team;       /* per group and kind of team: the first of its teams, ID_NONE: it needs none */
    uint32_t team_count;
    uint64_t idle_ps[MEDIUM_COUNT];
    uint32_t channel_count; /* most of any call that a protocol paces */
};

/* A collective of nothing is none, as in NCCL (taskAppend in enqueue.cc) and MPI libraries. */
static inline bool call_has_steps(const struct replay_call *record)
{
    return record->members > 1 && (record->bytes > 0 || record->kind == COLLECTIVE_BARRIER) && record->hold_ps == 0;
}

/* In place of an operation in a timer: it starts the rank; with one: it looks whether all have come to that barrier. */
#define OP_START UINT32_MAX
#define OP_LOOK  (UINT32_C(1) << 31)

/* Second word of a collective's key: lane, number of the call on its group, step. */
#define ORDINALS_MAX (1u << 24)
#define LANES_MAX (1u << 8)
#define MEMBERS_MAX (1u << 23) /* of a group that has calls */

static inline uint64_t step_key(uint32_t lane, uint32_t ordinal, uint64_t step)
{
    return (uint64_t)lane << 56 | (uint64_t)ordinal << 32 | step;
}

static inline uint32_t key_lane(uint64_t key)
{
    return (uint32_t)(key >> 56);
}

static inline uint32_t key_ordinal(uint64_t key)
{
    return (uint32_t)(key >> 32) & (ORDINALS_MAX - 1);
}

/* Keys of messages: collectives set the top bit of the first word; the iteration stands in bits 32 to 62 of both. */
#define KEY_COLLECTIVE (UINT64_C(1) << 63)

static inline struct match_key collective_key(uint32_t iteration, uint32_t group, uint64_t step, uint32_t src_rank)
{
    return (struct match_key){{KEY_COLLECTIVE | (uint64_t)iteration << 32 | group, step}, src_rank};
}

static inline struct match_key message_key(uint32_t iteration, uint32_t tag, uint32_t number, uint32_t src_rank)
{
    return (struct match_key){{(uint64_t)iteration << 32 | tag, number}, src_rank};
}

/* ---- identity.c ------------------------------------------------------------------------------------------- */

void identity_init(struct replay *replay);

/* ---- replay.c --------------------------------------------------------------------------------------------- */

/* Books the time since the last change of what runs. */
void rank_account(struct rank *rank, uint64_t now_ps);
void communication_begin(struct rank *rank, uint64_t now_ps);
void communication_end(struct rank *rank, uint64_t now_ps);
/* The operation is done: its children may become ready. Takes effect in rank_work. */
void op_done(struct rank *rank, uint32_t op, uint64_t now_ps);
/* What a protocol adds to a message. */
struct message_extra {
    uint64_t bytes;   /* on the wire, beside the payload */
    uint32_t post_ns; /* later than now; whole nanoseconds, so that messages stay small */
};
void timer_set(struct replay *replay, const struct rank *rank, uint32_t op, uint64_t when_ps);
struct message_to {
    uint32_t rank, team; /* team: address of one (message.h), 0: the rank alone */
    uint32_t channel;    /* of the connection (message.h) */
};
void message_post(struct replay *replay, struct rank *rank, struct message_to to, struct match_key key, uint64_t bytes,
                  struct message_extra extra, uint32_t op, uint64_t now_ps);

static inline uint32_t job_group_rank(const struct job *job, uint32_t group, uint32_t member)
{
    return job->group_rank[job->group_first[group] + member];
}

/* ---- call_teams.c ----------------------------------------------------------------------------------------- */

/* Every group whose calls need them gets teams of its own. */
void call_teams_init(struct replay *replay);
enum medium medium_of_team(const struct collective_call *call, enum collective_team team);
/* The team that a step goes to, as messages name it; 0 for a step that goes to a member. */
uint32_t team_address(const struct replay *replay, uint32_t group, const struct collective_call *call,
                      const struct collective_step *step);

/* ---- calls.c ---------------------------------------------------------------------------------------------- */

void calls_init(struct replay *replay);
/* Starts the next collective of the slot if it is ready and none runs. */
void slot_start(struct replay *replay, struct rank *rank, uint32_t slot, uint64_t now_ps);
void slot_delivered(struct replay *replay, struct rank *rank, const struct message *message, uint64_t now_ps);
void slot_acked(struct replay *replay, struct rank *rank, const struct message *message, uint64_t now_ps);
/* Looks whether the barrier that holds the rank lets it go. */
void slot_look(struct replay *replay, struct rank *rank, uint32_t op, uint64_t now_ps);

/* A call as this member sees it. */
struct collective_call call_of(const struct replay_call *record, uint32_t self);
const struct replay_call *record_at(const struct replay *replay, const struct rank *rank, uint32_t slot, uint32_t ordinal);

#endif
