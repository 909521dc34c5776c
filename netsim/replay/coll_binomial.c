/* Binomial trees: the distance halves from step to step (broadcast, scatter) or doubles (reduce, gather).
 *
 *      members behind the root   0  1  2  3  4  5  6  7          broadcast and scatter: from above
 *      distance 4                0 ────────► 4                   reduce and gather: the arrows turned, from below
 *      distance 2                0 ──► 2     4 ──► 6
 *      distance 1                0►1   2►3   4►5   6►7
 *
 * Scope: whole messages: the buffer (broadcast, reduce) or the parts of the whole subtree (scatter, gather). Thakur,
 * Rabenseifner, Gropp, Optimization of collective communication operations in MPICH (2005).
 *
 * scatter_all_gather: a broadcast of large buffers after van de Geijn: that scatter, then the chunks around a ring. The
 * second lane is the ring; the root takes part in it, so that every member sends as much.
 * Not modelled: the time of the reduction itself. */
#include "netsim/replay/collective.h"

static uint64_t step_count(const struct collective_call *call, uint32_t lane)
{
    (void)lane;
    return log2_ceil(call->members);
}

static uint32_t place_of(const struct collective_call *call)
{
    return member_at(call, call->self, -(int64_t)call->root);
}

static uint64_t distance_at(const struct collective_call *call, uint64_t k, bool is_down)
{
    return UINT64_C(1) << (is_down ? log2_ceil(call->members) - 1 - k : k);
}

/* Who meets at this distance: the upper one of a pair has a multiple of twice the distance. ID_NONE: nobody. */
static uint32_t lower_of(const struct collective_call *call, uint64_t distance)
{
    uint64_t place = place_of(call);
    return place % (2 * distance) == 0 && place + distance < call->members
               ? member_at(call, call->self, (int64_t)distance)
               : ID_NONE;
}

static uint32_t upper_of(const struct collective_call *call, uint64_t distance)
{
    return place_of(call) % (2 * distance) == distance ? member_at(call, call->self, -(int64_t)distance) : ID_NONE;
}

/* The subtree that hangs on the lower one of the pair: places first .. first + count - 1. */
struct subtree {
    uint64_t first, count;
};

static struct subtree subtree_of(const struct collective_call *call, uint64_t distance)
{
    uint64_t place = place_of(call), first = place % (2 * distance) == 0 ? place + distance : place;
    uint64_t left = call->members - first;
    return (struct subtree){first, left < distance ? left : distance};
}

/* Its members as ranges: one or, round the end, two. */
static bool subtree_range(const struct collective_call *call, struct subtree subtree, uint64_t index, uint64_t *first,
                          uint64_t *count)
{
    *first = (subtree.first + call->root) % call->members;
    uint64_t up = call->members - *first, here = subtree.count < up ? subtree.count : up;
    if (index == 1) {
        *first = 0;
    }
    *count = index == 0 ? here : subtree.count - here;
    return index < 2 && *count > 0;
}

static struct collective_piece chunks_of(const struct collective_call *call, uint64_t first, uint64_t count)
{
    uint64_t from = chunk_at(call->bytes, first, call->members);
    return (struct collective_piece){.first_byte = from, .bytes = chunk_at(call->bytes, first + count, call->members) - from};
}

static bool down_part_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                            struct collective_piece *piece)
{
    (void)lane;
    uint64_t first, count;
    bool is_there = subtree_range(call, subtree_of(call, distance_at(call, k, true)), index, &first, &count);
    *piece = chunks_of(call, first, count);
    return is_there;
}

static bool up_part_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                          struct collective_piece *piece)
{
    (void)lane;
    uint64_t first, count;
    bool is_there = subtree_range(call, subtree_of(call, distance_at(call, k, false)), index, &first, &count);
    *piece = (struct collective_piece){.first_byte = first * call->bytes, .bytes = count * call->bytes};
    return is_there;
}

static bool whole_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                        struct collective_piece *piece)
{
    (void)lane;
    (void)k;
    *piece = piece_all(call->bytes);
    return index == 0;
}

static bool added_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                        struct collective_piece *piece)
{
    bool is_there = whole_piece(call, lane, k, index, piece);
    piece->is_added = true;
    return is_there;
}

static void broadcast_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    (void)lane;
    uint64_t distance = distance_at(call, k, true);
    step->send_to = lower_of(call, distance);
    step->recv_from = upper_of(call, distance);
    step->send_bytes = call->bytes;
    step->after_recv = k;
}

static void reduce_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    (void)lane;
    uint64_t distance = distance_at(call, k, false);
    step->send_to = upper_of(call, distance);
    step->recv_from = lower_of(call, distance);
    step->send_bytes = call->bytes;
    step->after_recv = k;
}

static uint64_t pieces_bytes(const struct collective_call *call, uint64_t k,
                             bool (*piece)(const struct collective_call *, uint32_t, uint64_t, uint64_t,
                                           struct collective_piece *))
{
    struct collective_piece one;
    uint64_t bytes = 0;
    for (uint64_t index = 0; piece(call, 0, k, index, &one); index++) {
        bytes += one.bytes;
    }
    return bytes;
}

static void scatter_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    broadcast_step(call, lane, k, step);
    step->send_bytes = pieces_bytes(call, k, down_part_piece);
}

static void gather_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    reduce_step(call, lane, k, step);
    step->send_bytes = subtree_of(call, distance_at(call, k, false)).count * call->bytes;
}

/* ---- scatter, then around a ring -------------------------------------------------------------------------- */

static uint32_t two_lanes(const struct collective_call *call)
{
    (void)call;
    return 2;
}

static uint64_t two_step_count(const struct collective_call *call, uint32_t lane)
{
    return lane == 0 ? log2_ceil(call->members) : call->members - 1;
}

static bool two_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                      struct collective_piece *piece)
{
    if (lane == 0) {
        return down_part_piece(call, lane, k, index, piece);
    }
    *piece = chunks_of(call, member_at(call, call->self, -(int64_t)k), 1);
    return index == 0;
}

static void two_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    if (lane == 0) {
        scatter_step(call, lane, k, step);
        return;
    }
    struct collective_piece piece;
    two_piece(call, lane, k, 0, &piece);
    step->send_to = member_at(call, call->self, 1);
    step->recv_from = member_at(call, call->self, -1);
    step->send_bytes = piece.bytes;
    step->after_recv = k;
    step->wait_recv = log2_ceil(call->members); /* of lane 0 */
}

#define BINOMIAL(symbol_, kind_, summary_, step_, piece_)                                                        \
    const struct collective_algorithm collective_##symbol_ = {.name = "binomial", .kind = kind_, .summary = summary_, \
                                                              .step_count = step_count, .step = step_,               \
                                                              .piece = piece_};

BINOMIAL(binomial_broadcast, COLLECTIVE_BROADCAST, "whole buffer down a binomial tree", broadcast_step, whole_piece)
BINOMIAL(binomial_reduce, COLLECTIVE_REDUCE, "whole buffer up a binomial tree", reduce_step, added_piece)
BINOMIAL(binomial_scatter, COLLECTIVE_SCATTER, "subtrees' chunks down a binomial tree", scatter_step, down_part_piece)
BINOMIAL(binomial_gather, COLLECTIVE_GATHER, "subtrees' shards up a binomial tree", gather_step, up_part_piece)

const struct collective_algorithm collective_scatter_all_gather_broadcast = {
    .name = "scatter_all_gather", .kind = COLLECTIVE_BROADCAST, .summary = "binomial scatter, then chunks around a ring",
    .lane_count = two_lanes, .step_count = two_step_count, .step = two_step, .piece = two_piece};
