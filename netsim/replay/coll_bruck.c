/* Bruck's algorithms: ceil(log2 n) steps for any n.
 *
 * all_gather: member self holds the shards self .. self + 2^k - 1 before step k and sends them, or as many as are missing,
 * to self - 2^k. all_to_all: in step k everything whose way to its receiver has bit k moves on by 2^k; a member sends
 * half of its buffer in each step.
 *
 * Bruck, Ho, Kipnis, Upfal, Weathersby, Efficient algorithms for all-to-all communications in multiport message-passing
 * systems (1997). The way that block takes is the one of its distance, for all-to-all-v too.
 * Not modelled: rotating the buffer in memory before and after. */
#include "netsim/replay/collective.h"

static uint64_t step_count(const struct collective_call *call, uint32_t lane)
{
    (void)lane;
    return log2_ceil(call->members);
}

static uint64_t gather_count(const struct collective_call *call, uint64_t k)
{
    uint64_t distance = UINT64_C(1) << k;
    return distance < call->members - distance ? distance : call->members - distance;
}

static void gather_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    (void)lane;
    int64_t distance = (int64_t)(UINT64_C(1) << k);
    step->send_to = member_at(call, call->self, -distance);
    step->recv_from = member_at(call, call->self, distance);
    step->send_bytes = gather_count(call, k) * call->bytes;
    step->after_recv = k;
}

static bool gather_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                         struct collective_piece *piece)
{
    (void)lane;
    *piece = piece_shard(call, member_at(call, call->self, (int64_t)index));
    return index < gather_count(call, k);
}

/* The index-th way with bit k, of those below `members`: with a one put into the index's bits at k. */
static uint64_t way_of(uint64_t k, uint64_t index)
{
    uint64_t low = index & ((UINT64_C(1) << k) - 1);
    return (index - low) << 1 | UINT64_C(1) << k | low;
}

/* What has bits below k of its way behind it stands this far from its sender. */
static void block_of(const struct collective_call *call, uint64_t k, uint64_t way, uint32_t *from, uint32_t *to)
{
    *from = member_at(call, call->self, -(int64_t)(way & ((UINT64_C(1) << k) - 1)));
    *to = member_at(call, *from, (int64_t)way);
}

static bool exchange_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                           struct collective_piece *piece)
{
    (void)lane;
    uint64_t way = way_of(k, index);
    if (way >= call->members) {
        return false;
    }
    uint32_t from, to;
    block_of(call, k, way, &from, &to);
    *piece = collective_pair(call, from, to);
    return true;
}

static void exchange_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    (void)lane;
    int64_t distance = (int64_t)(UINT64_C(1) << k);
    step->send_to = member_at(call, call->self, distance);
    step->recv_from = member_at(call, call->self, -distance);
    for (uint64_t index = 0; way_of(k, index) < call->members; index++) {
        uint32_t from, to;
        block_of(call, k, way_of(k, index), &from, &to);
        step->send_bytes += pair_bytes(call, from, to);
    }
    step->after_recv = k;
}

const struct collective_algorithm collective_bruck_all_gather = {
    .name = "bruck", .kind = COLLECTIVE_ALL_GATHER, .summary = "1, 2, 4, ... shards to members as far away",
    .step_count = step_count, .step = gather_step, .piece = gather_piece};

const struct collective_algorithm collective_bruck_all_to_all = {
    .name = "bruck", .kind = COLLECTIVE_ALL_TO_ALL, .summary = "half of the buffer in each of log2(n) steps",
    .step_count = step_count, .step = exchange_step, .piece = exchange_piece};
