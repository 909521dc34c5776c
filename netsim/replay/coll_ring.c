/* Ring algorithms: every member sends to the next one and receives from the one before.
 *
 * Scope: `channels` rings side by side, each with its share of the bytes, in one direction or, two_way, each in both, which
 * is what duplex links are made for. A step moves a whole chunk of a channel, in `slices` messages, and starts when what it
 * passes on has arrived; a buffer of more than ring_bytes a chunk goes round in loops. (NCCL 2.30, Simple: chunks of 2 MiB in
 * slices of 1 MiB.) Bytes that a member sends: all-reduce 2(n-1)/n of its buffer, reduce-scatter (n-1)/n, all-gather
 * (n-1) shards.
 *
 * Order of a ring. One channel, or all members in one server, or one a server: the order of the group. Several channels over
 * several servers: channel c enters every other server at member c and leaves it at member c + 1, and the ones between the
 * other way round, so that the rings cross servers from a member to the one of the same number (of the same rail), and all
 * members' network ports have the same share; as NCCL does where it may cross NICs (NCCL_CROSS_NIC).
 *
 * Up to four lanes; of more channels some share a lane, and there none gets ahead of another by a whole step.
 *
 * Not modelled: the time of the reduction itself.
 * Checked against: those closed forms (tests/test_collective.c, tests/test_replay.c) and SimGrid (tests/test_simgrid.c). */
#include "netsim/replay/collective.h"

#define LANES_MAX 4

static uint32_t lane_count(const struct collective_call *call)
{
    return call->channels < LANES_MAX ? call->channels : LANES_MAX;
}

/* What a kind of collective does with a ring. */
struct ring_use {
    uint32_t ways;
    bool reduces, gathers;
};

/* One ring, seen by one member, and what stands in one number of a step. */
struct ring {
    const struct collective_call *call;
    const struct ring_use *use;
    uint32_t channel, way;
    uint64_t loop, j, slice; /* j: step of the ring */
};

static uint64_t ring_steps(const struct collective_call *call, const struct ring_use *use)
{
    return (uint64_t)(call->members - 1) * (use->reduces + use->gathers);
}

static uint32_t rings_of_lane(const struct collective_call *call, const struct ring_use *use, uint32_t lane)
{
    uint32_t lanes = lane_count(call);
    return use->ways * ((call->channels - lane + lanes - 1) / lanes);
}

/* An all-gather passes whole shards on, the others chunks of the buffer. */
static uint64_t loop_bytes(const struct collective_call *call, const struct ring_use *use)
{
    return use->reduces ? call->ring_bytes * call->members : call->ring_bytes;
}

static uint64_t loops_of(const struct collective_call *call, const struct ring_use *use)
{
    uint64_t shares = (uint64_t)use->ways * call->channels;
    return parts_of((call->bytes + shares - 1) / shares, loop_bytes(call, use));
}

static uint64_t steps_of(const struct collective_call *call, const struct ring_use *use, uint32_t lane)
{
    return loops_of(call, use) * ring_steps(call, use) * rings_of_lane(call, use, lane) * call->slices;
}

/* Steps of a lane: loop by loop, step by step of the rings, ring by ring, slice by slice. */
static struct ring ring_of(const struct collective_call *call, const struct ring_use *use, uint32_t lane, uint64_t k)
{
    uint32_t step = (uint32_t)k, steps = (uint32_t)ring_steps(call, use); /* divisions of 64 bits are slow */
    uint32_t rings = rings_of_lane(call, use, lane), sliced = step / call->slices;
    uint32_t round = sliced / rings, number = sliced % rings;
    return (struct ring){.call = call, .use = use, .slice = step % call->slices, .way = number % use->ways,
                         .channel = lane + number / use->ways * lane_count(call), .loop = round / steps,
                         .j = round % steps};
}

/* ---- the order of a ring ---------------------------------------------------------------------------------- */

static bool is_crossing(const struct collective_call *call)
{
    return call->channels > 1 && call->local > 1 && call->local < call->members;
}

static uint32_t place_of(const struct ring *ring, uint32_t member)
{
    const struct collective_call *call = ring->call;
    if (!is_crossing(call)) {
        return member;
    }
    uint32_t server = member / call->local, number = member % call->local, first = ring->channel % call->local;
    uint32_t along = server % 2 == 0 ? first + call->local - number : number + call->local - (first + 1) % call->local;
    return server * call->local + along % call->local;
}

static uint32_t member_of(const struct ring *ring, uint64_t place)
{
    const struct collective_call *call = ring->call;
    if (!is_crossing(call)) {
        return (uint32_t)place;
    }
    uint32_t server = (uint32_t)place / call->local, along = (uint32_t)place % call->local;
    uint32_t first = ring->channel % call->local;
    uint32_t number = server % 2 == 0 ? first + call->local - along : first + 1 + along;
    return server * call->local + number % call->local;
}

/* The member `distance` further on in the ring's direction. */
static uint32_t ring_member(const struct ring *ring, int64_t distance)
{
    uint32_t place = place_of(ring, ring->call->self);
    return member_of(ring, member_at(ring->call, place, ring->way == 1 ? -distance : distance));
}

/* ---- bytes ------------------------------------------------------------------------------------------------ */

/* A reduction ends at the member whose chunk it is, or, in an all-reduce, one step before: chunk self - j in step j, so that
 * after n-1 steps member self holds chunk self + 1 reduced, and passes on from there. */
static struct collective_piece ring_piece(const struct ring *ring)
{
    const struct collective_call *call = ring->call;
    const struct ring_use *use = ring->use;
    uint64_t shares = (uint64_t)use->ways * call->channels, share = (uint64_t)ring->channel * use->ways + ring->way;
    bool is_scatter = use->reduces && !use->gathers;
    uint32_t owner = ring_member(ring, -(int64_t)ring->j - is_scatter);
    struct collective_piece piece = use->reduces ? piece_all(call->bytes) : piece_shard(call, owner);
    /* A reduce-scatter leaves chunk i with member i, so its channels share each chunk; an all-reduce shares the buffer. */
    if (is_scatter) {
        piece = piece_chunk(piece_chunk(piece, owner, call->members), share, shares);
        piece = piece_part(piece, ring->loop, call->ring_bytes);
    } else {
        piece = piece_part(piece_chunk(piece, share, shares), ring->loop, loop_bytes(call, use));
        piece = use->reduces ? piece_chunk(piece, owner, call->members) : piece;
    }
    piece.is_added = use->reduces && ring->j < call->members - 1u;
    return piece_chunk(piece, ring->slice, call->slices);
}

static void ring_step(const struct collective_call *call, const struct ring_use *use, uint32_t lane, uint64_t k,
                      struct collective_step *step)
{
    struct ring ring = ring_of(call, use, lane, k);
    uint64_t round = (uint64_t)rings_of_lane(call, use, lane) * call->slices;
    step->send_to = ring_member(&ring, 1);
    step->recv_from = ring_member(&ring, -1);
    step->send_bytes = ring_piece(&ring).bytes;
    step->channel = ring.channel * use->ways + ring.way;
    step->channels = call->channels * use->ways;
    step->after_recv = k < round ? 0 : k - round + 1;
}

static bool ring_piece_at(const struct collective_call *call, const struct ring_use *use, uint32_t lane, uint64_t k,
                          uint64_t index, struct collective_piece *piece)
{
    struct ring ring = ring_of(call, use, lane, k);
    *piece = ring_piece(&ring);
    return index == 0;
}

#define RING(symbol_, name_, kind_, summary_, ...)                                                                \
    static const struct ring_use symbol_##_use = {__VA_ARGS__};                                                   \
    static uint64_t symbol_##_count(const struct collective_call *call, uint32_t lane)                            \
    {                                                                                                             \
        return steps_of(call, &symbol_##_use, lane);                                                              \
    }                                                                                                             \
    static void symbol_##_step(const struct collective_call *call, uint32_t lane, uint64_t k,                     \
                               struct collective_step *step)                                                      \
    {                                                                                                             \
        ring_step(call, &symbol_##_use, lane, k, step);                                                           \
    }                                                                                                             \
    static bool symbol_##_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,    \
                                struct collective_piece *piece)                                                   \
    {                                                                                                             \
        return ring_piece_at(call, &symbol_##_use, lane, k, index, piece);                                        \
    }                                                                                                             \
    const struct collective_algorithm collective_##symbol_ = {                                                    \
        .name = name_, .kind = kind_, .summary = summary_, .lane_count = lane_count,                              \
        .step_count = symbol_##_count, .step = symbol_##_step, .piece = symbol_##_piece};

RING(ring_all_reduce, "ring", COLLECTIVE_ALL_REDUCE, "reduce-scatter then all-gather around rings", 1, true, true)
RING(ring_all_gather, "ring", COLLECTIVE_ALL_GATHER, "shards around rings", 1, false, true)
RING(ring_reduce_scatter, "ring", COLLECTIVE_REDUCE_SCATTER, "chunks around rings", 1, true, false)
RING(two_way_ring_all_reduce, "two_way_ring", COLLECTIVE_ALL_REDUCE, "rings, half of the bytes each way", 2, true, true)
RING(two_way_ring_all_gather, "two_way_ring", COLLECTIVE_ALL_GATHER, "rings, half of each shard each way", 2, false, true)
RING(two_way_ring_reduce_scatter, "two_way_ring", COLLECTIVE_REDUCE_SCATTER, "rings, half of each chunk each way", 2, true,
     false)
