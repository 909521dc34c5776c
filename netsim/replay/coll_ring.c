/* Ring algorithms: every member sends to the next one and receives from the one before.
 *
 * Scope: one ring in one direction, or two rings in opposite directions with half of the bytes each (steps of the two
 * alternate), which is what duplex links are made for. One channel a direction; a step moves a whole chunk and starts when the chunk that it passes on
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

static uint64_t steps_four_times(const struct collective_call *call)
{
    return 4 * (uint64_t)(call->members - 1);
}

/* A ring seen by one member: which way it turns, and which bytes of every chunk are its share. */
struct ring {
    uint64_t members, self;
    bool is_backward;
    uint64_t share, shares; /* this ring carries part `share` of `shares` of the bytes */
};

/* The member `distance` further on in the ring's direction; distance >= -members. */
static uint32_t ring_member(const struct ring *ring, int64_t distance)
{
    int64_t members = (int64_t)ring->members;
    int64_t at = (int64_t)ring->self + (ring->is_backward ? -distance : distance);
    return (uint32_t)(((at % members) + members) % members);
}

/* Bytes that the ring moves of chunk `chunk` of the buffer. */
static uint64_t ring_chunk_bytes(const struct ring *ring, uint64_t bytes, uint32_t chunk)
{
    return chunk_bytes(chunk_bytes(bytes, ring->share, ring->shares), chunk, ring->members);
}

static void ring_step(const struct ring *ring, uint64_t k, uint64_t after_recv, struct collective_step *step)
{
    *step = (struct collective_step){
        .send_to = ring_member(ring, 1),
        .recv_from = ring_member(ring, -1),
        .send_as = k,
        .after_recv = after_recv,
    };
}

/* Chunk self - j in the ring's step j: after n-1 steps member self holds chunk self + 1 reduced, and passes on from there. */
static uint64_t all_reduce_bytes(const struct ring *ring, uint64_t bytes, uint64_t j)
{
    return ring_chunk_bytes(ring, bytes, ring_member(ring, -(int64_t)j));
}

/* Chunk self - 1 - j in step j, so that member self ends with chunk self. */
static uint64_t reduce_scatter_bytes(const struct ring *ring, uint64_t bytes, uint64_t j)
{
    return ring_chunk_bytes(ring, bytes, ring_member(ring, -1 - (int64_t)j));
}

static uint64_t all_gather_bytes(const struct ring *ring, uint64_t bytes, uint64_t j)
{
    (void)j;
    return chunk_bytes(bytes, ring->share, ring->shares);
}

typedef uint64_t step_bytes(const struct ring *ring, uint64_t bytes, uint64_t j);

static void one_way_step(const struct collective_call *call, uint64_t k, step_bytes *bytes, struct collective_step *step)
{
    const struct ring ring = {call->members, call->self, false, 0, 1};
    ring_step(&ring, k, k, step);
    step->send_bytes = bytes(&ring, call->bytes, k);
}

/* Step 2j is step j of the forward ring, step 2j + 1 that of the backward one. What a step passes on came two
 * steps before. */
static void both_ways_step(const struct collective_call *call, uint64_t k, step_bytes *bytes,
                           struct collective_step *step)
{
    const struct ring ring = {call->members, call->self, k % 2 == 1, k % 2, 2};
    ring_step(&ring, k, k < 2 ? 0 : k - 1, step);
    step->send_bytes = bytes(&ring, call->bytes, k / 2);
}

/* An algorithm: how many steps, and which bytes in each. */
#define RING(symbol_, name_, kind_, summary_, steps_, way_, bytes_)                                           \
    static void symbol_##_step(const struct collective_call *call, uint64_t k, struct collective_step *step)  \
    {                                                                                                         \
        way_(call, k, bytes_, step);                                                                          \
    }                                                                                                         \
    const struct collective_algorithm collective_##symbol_ = {                                                \
        .name = name_, .kind = kind_, .summary = summary_, .step_count = steps_, .step = symbol_##_step};

RING(ring_all_reduce, "ring", COLLECTIVE_ALL_REDUCE, "reduce-scatter then all-gather around one ring", steps_twice,
     one_way_step, all_reduce_bytes)
RING(ring_all_gather, "ring", COLLECTIVE_ALL_GATHER, "shards around one ring", steps_once, one_way_step,
     all_gather_bytes)
RING(ring_reduce_scatter, "ring", COLLECTIVE_REDUCE_SCATTER, "chunks around one ring", steps_once, one_way_step,
     reduce_scatter_bytes)
RING(two_way_ring_all_reduce, "two_way_ring", COLLECTIVE_ALL_REDUCE, "two rings, half of the bytes each way",
     steps_four_times, both_ways_step, all_reduce_bytes)
RING(two_way_ring_all_gather, "two_way_ring", COLLECTIVE_ALL_GATHER, "two rings, half of each shard each way",
     steps_twice, both_ways_step, all_gather_bytes)
RING(two_way_ring_reduce_scatter, "two_way_ring", COLLECTIVE_REDUCE_SCATTER,
     "two rings, half of each chunk each way", steps_twice, both_ways_step, reduce_scatter_bytes)
