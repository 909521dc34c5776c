/* The ring and the all-to-all that uet-htsim's generators write, for comparisons with that simulator.
 *
 * Scope: all-reduce as gen_allreduce.py has it: one ring, 2n - 1 steps, one more than an all-reduce has (the last chunk goes
 * on to a member that has it). There a step starts when the sender of the one before has its last ACK, which is what
 * replay.receive=send_done makes of a delivery. All-to-all as gen_serialn_alltoall.py has it: `concurrency` messages are
 * under way, the next one starts when any of them is acknowledged, and nobody waits for a receive. Partners of one round are
 * far apart: with R rounds, message i of round r goes r + 1 + i R further on; those that are left over come last.
 * Not modelled: the time of the reduction; the moment at which a trigger of that simulator crosses hosts without a delay is
 * one idle way of an ACK after the delivery.
 * Checked against: closed forms (tests/test_collective.c), uet-htsim (tests/test_peers.c). */
#include "netsim/replay/collective.h"

static uint64_t ring_step_count(const struct collective_call *call, uint32_t lane)
{
    (void)lane;
    return 2 * (uint64_t)(call->members - 1) + 1;
}

static uint32_t ring_chunk(const struct collective_call *call, uint64_t k)
{
    return member_at(call, call->self, -(int64_t)k);
}

static void ring_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    (void)lane;
    step->send_to = member_at(call, call->self, 1);
    step->recv_from = member_at(call, call->self, -1);
    step->send_bytes = chunk_bytes(call->bytes, ring_chunk(call, k), call->members);
    step->after_recv = k;
}

static bool ring_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                       struct collective_piece *piece)
{
    (void)lane;
    *piece = piece_chunk(piece_all(call->bytes), ring_chunk(call, k), call->members);
    piece->is_added = k < call->members - 1;
    return index == 0;
}

static uint64_t pair_step_count(const struct collective_call *call, uint32_t lane)
{
    (void)lane;
    return call->members - 1;
}

static int64_t pair_shift(const struct collective_call *call, uint64_t k)
{
    uint64_t partners = call->members - 1, wide = call->concurrency < partners ? call->concurrency : partners;
    uint64_t rounds = partners / wide;
    return (int64_t)(k < rounds * wide ? k / wide + 1 + k % wide * rounds : k + 1);
}

static void pair_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    (void)lane;
    step->send_to = member_at(call, call->self, pair_shift(call, k));
    step->recv_from = member_at(call, call->self, -pair_shift(call, k));
    step->send_bytes = pair_bytes(call, call->self, step->send_to);
    step->after_send = k >= call->concurrency ? k - call->concurrency + 1 : 0;
}

static bool pair_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                       struct collective_piece *piece)
{
    (void)lane;
    *piece = collective_pair(call, call->self, member_at(call, call->self, pair_shift(call, k)));
    return index == 0;
}

const struct collective_algorithm collective_send_done_all_reduce = {
    .name = "send_done", .kind = COLLECTIVE_ALL_REDUCE,
    .summary = "one ring with a step too many, as uet-htsim's generator has it; see replay.receive",
    .step_count = ring_step_count, .step = ring_step, .piece = ring_piece};

const struct collective_algorithm collective_send_done_all_to_all = {
    .name = "send_done", .kind = COLLECTIVE_ALL_TO_ALL,
    .summary = "a message after another in rounds, as uet-htsim's generator has it",
    .step_count = pair_step_count, .step = pair_step, .piece = pair_piece};
