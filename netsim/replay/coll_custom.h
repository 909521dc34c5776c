/* Collective algorithms that the user wrote (photonet/custom.h), checked and made into steps of lanes.
 *
 *     custom_read ──► graph: who receives what, in which order everything can run  (coll_custom.c)
 *                       ├──► what is where at the end, by sets of contributions; races  (coll_custom_check.c)
 *                       └──► lanes of steps, shared by all calls  (coll_custom.c)
 *
 * A lane is a block. Blocks that do nothing but send at once, or receive what nobody waits for, share two lanes: the
 * all-pairs exchange of n ranks has two and not n - 1. What a member keeps of a running call is 48 B and 16 B a lane: 128 B
 * up to five lanes.
 *
 * Scope: a step begins when the one before it in its block is through and what it waits for is; a send is through once it is
 * posted, as copies into a peer's buffers are. With collective.ring_chunk (2 MiB a chunk with Simple) the whole goes round in
 * loops, each a part of every chunk, as MSCCL's interpreter does it. Sizes that chunks do not divide: chunk i of n is
 * [bytes*i/n, bytes*(i+1)/n).
 * Not modelled: the time of copies and reductions; the limits of buffers between two GPUs, which sends never wait for. */
#ifndef PHOTONET_COLL_CUSTOM_H
#define PHOTONET_COLL_CUSTOM_H

#include "netsim/replay/collective.h"
#include "photonet/custom.h"

#define CUSTOM_LANES_MAX 256

struct custom_step {
    uint32_t send_to, recv_from; /* members, or ID_NONE */
    uint32_t after_recv;
    uint32_t send_lane, send_as; /* the receive at send_to that this is */
    bool is_waiting;             /* for steps and receives of another lane */
    uint32_t wait_lane, wait_steps, wait_recv;
    uint32_t run_first, run_count; /* chunks that are sent, */
    uint64_t bytes;              /* or bytes, of a call of size_bytes */
};

struct chunk_run {
    uint32_t first, count;
};

struct custom_layout {
    uint32_t lane_count;       /* most of any member */
    const uint32_t *lane_step; /* members * lane_count + 1: first step */
    const struct custom_step *steps;
};

struct custom_program {
    const struct custom_collective *source;
    enum collective_kind kind;
    uint64_t size_bytes;    /* of the call that `bytes` of steps are of */
    uint32_t chunk_divisor; /* chunks of what one rank puts in; chunk i is part i % chunk_divisor of it. 0: bytes are counted */
    struct custom_layout layout[2]; /* of calls in one loop, and in several */
    const struct chunk_run *runs;
};

/* "PATH" or, where the file counts bytes, "PATH@SIZE" with the size of the call it was written for. Refuses what does not do
 * what `kind` promises; kind -1: what the file says. */
enum status custom_open(const char *text, int kind, struct origin at, struct arena *arena,
                        const struct collective_algorithm **algorithm, struct diag *diag);

/* Whether the algorithm can serve the call; `group` is its group's name. */
enum status custom_fits(const struct custom_program *program, enum collective_kind kind, const struct collective_call *call,
                        const char *group, struct diag *diag);

/* ---- coll_custom.c and coll_custom_check.c -------------------------------------------------------------------------- */

struct custom_graph {
    const struct custom_collective *source;
    enum collective_kind kind;
    uint64_t size_bytes;
    struct arena *scratch;
    struct diag *diag;
    uint32_t *block_of;           /* per operation, as all of these */
    uint32_t *sent_to, *got_from; /* the operation at the other end of the message, ID_NONE */
    uint32_t *order;              /* operations, each behind what it waits for */
    struct chunk_run *runs;       /* chunks that are sent: runs[run_first[op]] .. runs[run_first[op + 1] - 1] */
    uint32_t *run_first;
    size_t run_count, run_capacity;
};

/* "PATH:LINE: gpu 2 tb 0 step 3: WHAT", or "PATH.2.et: node 7: WHAT". */
__attribute__((format(printf, 3, 4))) enum status custom_refuse(const struct custom_graph *graph, uint32_t op,
                                                                const char *format, ...);
/* The same of a rank. */
__attribute__((format(printf, 3, 4))) enum status custom_refuse_rank(const struct custom_graph *graph, uint32_t rank,
                                                                     const char *format, ...);

/* Every rank ends with what the collective promises, whatever comes first; finds what each message holds. */
enum status custom_check(struct custom_graph *graph);

#endif
