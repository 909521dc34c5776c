/* Pipelined chains: a broadcast runs from the root around the ring, a reduce around the ring to the root, in
 * steps of chunk_bytes.
 *
 * A member has two steps a channel under way: the second keeps the link busy while the first waits for its
 * acknowledgement. Were all of them handed over at once, they would share the link and all arrive at the end, and nothing
 * would be pipelined.
 *
 * Scope: NCCL's ring broadcast and reduce; channels are chunks under way at once on the one chain.
 * Not modelled: the time of the reduction itself. */
#include "netsim/replay/collective.h"

static uint64_t step_count(const struct collective_call *call, uint32_t lane)
{
    (void)lane;
    return parts_of(call->bytes, call->chunk_bytes);
}

#define STEPS_UNDER_WAY 2

/* `place` is the position in the chain: 0 has the data first. */
static void chain_step(const struct collective_call *call, uint32_t place, uint64_t k, struct collective_step *step)
{
    uint64_t under_way = (uint64_t)STEPS_UNDER_WAY * call->channels;
    step->send_to = place + 1 < call->members ? member_at(call, call->self, 1) : ID_NONE;
    step->recv_from = place > 0 ? member_at(call, call->self, -1) : ID_NONE;
    step->send_bytes = piece_part(piece_all(call->bytes), k, call->chunk_bytes).bytes;
    step->after_recv = place > 0 ? k + 1 : 0;
    step->after_send = k < under_way ? 0 : k - under_way + 1;
}

static void broadcast_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    (void)lane;
    chain_step(call, member_at(call, call->self, -(int64_t)call->root), k, step);
}

static void reduce_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    (void)lane;
    chain_step(call, member_at(call, call->self, -(int64_t)call->root - 1), k, step);
}

static bool broadcast_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                            struct collective_piece *piece)
{
    (void)lane;
    *piece = piece_part(piece_all(call->bytes), k, call->chunk_bytes);
    return index == 0;
}

static bool reduce_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                         struct collective_piece *piece)
{
    bool is_there = broadcast_piece(call, lane, k, index, piece);
    piece->is_added = true;
    return is_there;
}

const struct collective_algorithm collective_chain_broadcast = {
    .name = "chain", .kind = COLLECTIVE_BROADCAST, .summary = "pipelined from the root around the ring",
    .step_count = step_count, .step = broadcast_step, .piece = broadcast_piece};

const struct collective_algorithm collective_chain_reduce = {
    .name = "chain", .kind = COLLECTIVE_REDUCE, .summary = "pipelined around the ring to the root",
    .step_count = step_count, .step = reduce_step, .piece = reduce_piece};
