/* All-to-all by one message a pair: in step k member self sends to self + k + 1 and receives from self - k - 1.
 *
 * Scope: even chunks, or any bytes a pair (all-to-all-v; a pair with none exchanges an empty message). `concurrency`
 * exchanges are under way at once. pairwise: the next one starts when the oldest is over, both its send and its
 * receive. window: the next one starts when any send is over, whatever has come (NCCL's grouped sends and receives).
 * What a member keeps for itself is not sent.
 * Checked against: the closed form of the bytes, (n-1)/n of the buffer (tests/test_replay.c), and SimGrid. */
#include "netsim/replay/collective.h"

static uint64_t step_count(const struct collective_call *call, uint32_t lane)
{
    (void)lane;
    return call->members - 1;
}

static void window_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    (void)lane;
    step->send_to = member_at(call, call->self, (int64_t)k + 1);
    step->recv_from = member_at(call, call->self, -(int64_t)k - 1);
    step->send_bytes = pair_bytes(call, call->self, step->send_to);
    step->after_send = k >= call->concurrency ? k - call->concurrency + 1 : 0;
}

static void pairwise_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    window_step(call, lane, k, step);
    step->after_recv = step->after_send;
}

static bool pair_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                       struct collective_piece *piece)
{
    (void)lane;
    *piece = collective_pair(call, call->self, member_at(call, call->self, (int64_t)k + 1));
    return index == 0;
}

const struct collective_algorithm collective_pairwise_all_to_all = {
    .name = "pairwise", .kind = COLLECTIVE_ALL_TO_ALL, .summary = "exchanges with one member after another",
    .step_count = step_count, .step = pairwise_step, .piece = pair_piece};

const struct collective_algorithm collective_window_all_to_all = {
    .name = "window", .kind = COLLECTIVE_ALL_TO_ALL, .summary = "sends to one member after another, whatever comes",
    .step_count = step_count, .step = window_step, .piece = pair_piece};
