/* Collectives as state machines, never expanded lists.
 *
 * An algorithm answers one question: what does member `self` of `members` do in step k? The replay keeps four
 * numbers per running call (next step to send, contiguous receives, sends done, and which call it is), so a ring
 * all-reduce over 16,384 ranks, which has 537 million steps, costs some tens of bytes a rank.
 *
 *      step k of member self:   wait until receives 0 .. after_recv-1 have arrived and after_send sends are done,
 *                               then send send_bytes to send_to, as that member's receive number send_as;
 *                               receive number k comes from recv_from (ID_NONE: step k has no receive)
 *
 * A call is over on a member when all its sends are acknowledged and all its receives have arrived.
 * Sizes: `bytes` is what one rank puts in (see struct op); chunk i of n of it is [bytes*i/n, bytes*(i+1)/n). */
#ifndef PHOTONET_COLLECTIVE_H
#define PHOTONET_COLLECTIVE_H

#include "photonet/program.h"

struct collective_call {
    uint32_t members, self, root;
    uint64_t bytes;
    uint64_t chunk_bytes;  /* pipelined algorithms: bytes per step */
    uint32_t concurrency;  /* all-to-all: exchanges under way at once */
    const struct pair_table *pairs; /* all-to-all with unequal parts, else NULL */
};

struct collective_step {
    uint32_t send_to;   /* member, or ID_NONE */
    uint32_t recv_from; /* member, or ID_NONE */
    uint64_t send_bytes;
    uint64_t send_as;    /* number of the receive at send_to that this is */
    uint64_t after_recv; /* receives that must have arrived, from the first */
    uint64_t after_send; /* sends that must be done (acknowledged), whichever they are */
};

struct collective_algorithm {
    const char *name; /* "ring" */
    enum collective_kind kind;
    const char *summary;
    uint64_t (*step_count)(const struct collective_call *call);
    void (*step)(const struct collective_call *call, uint64_t k, struct collective_step *step);
};

/* The first row of a kind is its default. */
extern const struct collective_algorithm *const collective_algorithms[]; /* ends with NULL */
const struct collective_algorithm *collective_find(enum collective_kind kind, const char *name); /* NULL name = default */

/* Size as nccl-tests counts it, and the factor from algbw to busbw (nccl-tests, doc/PERFORMANCE.md). */
uint64_t collective_size_bytes(enum collective_kind kind, uint64_t bytes, uint32_t members);
double collective_bus_factor(enum collective_kind kind, uint32_t members);

static inline uint64_t chunk_at(uint64_t bytes, uint64_t index, uint64_t count)
{
    return (uint64_t)((unsigned __int128)bytes * index / count);
}

static inline uint64_t chunk_bytes(uint64_t bytes, uint64_t index, uint64_t count)
{
    return chunk_at(bytes, index + 1, count) - chunk_at(bytes, index, count);
}

/* What `from` sends to `to` in an all-to-all. */
static inline uint64_t pair_bytes(const struct collective_call *call, uint32_t from, uint32_t to)
{
    return call->pairs == NULL ? chunk_bytes(call->bytes, to, call->members)
                               : call->pairs->bytes[(size_t)from * call->members + to];
}

#endif
