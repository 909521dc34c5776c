/* One rank of a job as a GOAL schedule: what the text and the binary writer share.
 *
 *     compute, memory   calc of nanoseconds on the cpu that its stream names
 *     send, receive     send, recv
 *     marker            calc 0 on the idle cpu, which no stream has
 *     collective        [calc 0] ──► sends and receives of the steps ──► [calc 0], both on the idle cpu:
 *
 *         all-reduce, all-gather, reduce-scatter   one ring: step k sends when receive k - 1 is there
 *         all-to-all                               one message to every other member, all at once
 *         broadcast, reduce                        binomial tree
 *         gather, scatter                          one message between the root and every other member
 *         barrier                                  dissemination, messages of one byte
 *
 * Collectives of one group follow each other and use a tag that no message has, so that they match in order.
 * Nodes stand in the order of the operations. */
#ifndef PHOTONET_TRACES_GOAL_LOWER_H
#define PHOTONET_TRACES_GOAL_LOWER_H

#include "traces/goal.h"

/* What GOAL could not carry, over all ranks. */
struct goal_losses {
    uint64_t rounded;      /* durations that are no whole nanoseconds */
    uint64_t collectives;  /* that became messages, */
    uint64_t messages;     /* so many sends */
    uint64_t held;         /* barriers that let their members go on together */
    uint64_t memory;       /* accesses that became calcs */
    uint64_t send_streams; /* sends that wait for their stream: the cpu is written, nobody is held to it */
};

struct goal_lowering {
    const struct job *job;
    uint32_t tag_first; /* of collectives: + the group's number */
    uint8_t idle_cpu;   /* the highest one */
    struct goal_losses losses;
};

/* Refuses jobs that GOAL has no numbers for. */
enum status goal_lowering_init(struct goal_lowering *lowering, const struct job *job, struct diag *diag);

/* The nodes of a rank and the edges between them (`ends`) in `arena`. */
void goal_lower(struct goal_lowering *lowering, uint32_t rank, struct arena *arena,
                struct goal_rank *lowered);

/* "\n  lost: ..." for each kind of loss, appended to `text`. */
void goal_losses_print(const struct goal_lowering *lowering, char *text, size_t text_bytes);

#endif
