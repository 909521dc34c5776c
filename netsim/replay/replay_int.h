/* What the files of netsim/replay share with each other only. */
#ifndef PHOTONET_REPLAY_INT_H
#define PHOTONET_REPLAY_INT_H

#include "netsim/replay/match.h"
#include "netsim/replay/replay.h"

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
const struct plan *plan_new(struct arena *arena, struct arena *scratch, const struct program *program);

/* Ready operations of one stream: a min-heap by canonical order, and whether one of them runs. */
struct stream {
    uint32_t *ready; /* values of program->order */
    size_t count, capacity;
    bool is_busy;
    bool is_woken; /* stands in the rank's list of streams to look at */
};

/* The collectives of one group on one rank, one at a time. */
struct slot {
    uint32_t next;      /* position in the plan's list of this slot: the call that runs or comes next */
    bool is_running;
    struct collective_call call;
    const struct collective_algorithm *algorithm;
    uint64_t step_count;
    uint64_t step_next; /* to send */
    uint64_t recv_done; /* contiguous, from step 0 */
    uint64_t send_done;
    uint64_t start_ps;
};

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
    uint32_t call_count;
};

/* Keys of messages: collectives set the top bit of the first word; the iteration stands in bits 32 to 62 of both. */
#define KEY_COLLECTIVE (UINT64_C(1) << 63)

static inline struct match_key collective_key(uint32_t iteration, uint32_t group, uint32_t ordinal, uint64_t step,
                                              uint32_t src_rank)
{
    return (struct match_key){{KEY_COLLECTIVE | (uint64_t)iteration << 32 | group, (uint64_t)ordinal << 32 | step},
                              src_rank};
}

static inline struct match_key message_key(uint32_t iteration, uint32_t tag, uint32_t number, uint32_t src_rank)
{
    return (struct match_key){{(uint64_t)iteration << 32 | tag, number}, src_rank};
}

/* ---- replay.c --------------------------------------------------------------------------------------------- */

/* Books the time since the last change of what runs. */
void rank_account(struct rank *rank, uint64_t now_ps);
void communication_begin(struct rank *rank, uint64_t now_ps);
void communication_end(struct rank *rank, uint64_t now_ps);
/* The operation is done: its children may become ready. Takes effect in rank_work. */
void op_done(struct rank *rank, uint32_t op, uint64_t now_ps);
void message_post(struct replay *replay, struct rank *rank, uint32_t dst_rank, struct match_key key, uint64_t bytes,
                  uint32_t op, uint64_t now_ps);

/* ---- calls.c ---------------------------------------------------------------------------------------------- */

void calls_init(struct replay *replay);
/* Starts the next collective of the slot if it is ready and none runs. */
void slot_start(struct replay *replay, struct rank *rank, uint32_t slot, uint64_t now_ps);
void slot_delivered(struct replay *replay, struct rank *rank, const struct message *message, uint64_t now_ps);
void slot_acked(struct replay *replay, struct rank *rank, uint32_t op, uint64_t now_ps);

/* The call that `op` of a rank makes, as its algorithm wants it. */
struct collective_call call_of(const struct replay *replay, const struct rank *rank, uint32_t op);
const struct collective_algorithm *algorithm_of(const struct replay *replay, const struct rank *rank, uint32_t op);

#endif
