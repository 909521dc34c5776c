/* Ring algorithms: every member sends to the next one and receives from the one before.
 *
 * Scope: one ring, one direction, one channel; a step moves a whole chunk and starts when the chunk that it passes on
 * has arrived. Bytes that a member sends: all-reduce 2(n-1)/n of its buffer, reduce-scatter (n-1)/n,
 * all-gather (n-1) shards.
 * Not modelled: the time of the reduction itself, channels, protocols (LL, LL128).
 * Checked against: those closed forms (tests/test_replay.c) and SimGrid (tests/test_simgrid.c). */
#include "netsim/replay/collective.h"

static uint64_t steps_once(const struct collective_call *call)
{
    return call->members - 1;
}

static uint64_t steps_twice(const struct collective_call *call)
{
    return 2 * (uint64_t)(call->members - 1);
}

static void ring_step(const struct collective_call *call, uint64_t k, struct collective_step *step)
{
    *step = (struct collective_step){
        .send_to = (call->self + 1) % call->members,
        .recv_from = (call->self + call->members - 1) % call->members,
        .send_as = k,
        .after_recv = k,
    };
}

/* Chunk self - k in step k: after n-1 steps member self holds chunk self + 1 reduced, and passes on from there. */
static void all_reduce_step(const struct collective_call *call, uint64_t k, struct collective_step *step)
{
    ring_step(call, k, step);
    uint64_t chunk = (call->self + 2 * (uint64_t)call->members - k) % call->members;
    step->send_bytes = chunk_bytes(call->bytes, chunk, call->members);
}

/* Chunk self - 1 - k in step k, so that member self ends with chunk self. */
static void reduce_scatter_step(const struct collective_call *call, uint64_t k, struct collective_step *step)
{
    ring_step(call, k, step);
    uint64_t chunk = (call->self + 2 * (uint64_t)call->members - 1 - k) % call->members;
    step->send_bytes = chunk_bytes(call->bytes, chunk, call->members);
}

static void all_gather_step(const struct collective_call *call, uint64_t k, struct collective_step *step)
{
    ring_step(call, k, step);
    step->send_bytes = call->bytes;
}

const struct collective_algorithm collective_ring_all_reduce = {
    .name = "ring", .kind = COLLECTIVE_ALL_REDUCE, .summary = "reduce-scatter then all-gather around one ring",
    .step_count = steps_twice, .step = all_reduce_step};

const struct collective_algorithm collective_ring_all_gather = {
    .name = "ring", .kind = COLLECTIVE_ALL_GATHER, .summary = "shards around one ring",
    .step_count = steps_once, .step = all_gather_step};

const struct collective_algorithm collective_ring_reduce_scatter = {
    .name = "ring", .kind = COLLECTIVE_REDUCE_SCATTER, .summary = "chunks around one ring",
    .step_count = steps_once, .step = reduce_scatter_step};
