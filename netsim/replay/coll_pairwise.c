/* Pairwise all-to-all: in step k member self sends to self + k + 1 and receives from self - k - 1.
 *
 * Scope: `concurrency` exchanges are under way at once; the next one starts when the oldest is over, both its
 * send and its receive. What a member keeps for itself is not sent. Parts may be unequal (pair_table).
 * Checked against: the closed form of the bytes, (n-1)/n of the buffer (tests/test_replay.c), and SimGrid. */
#include "netsim/replay/collective.h"

static uint64_t step_count(const struct collective_call *call)
{
    return call->members - 1;
}

static void pairwise_step(const struct collective_call *call, uint64_t k, struct collective_step *step)
{
    uint32_t shift = (uint32_t)k + 1;
    uint64_t oldest = k >= call->concurrency ? k - call->concurrency + 1 : 0;
    *step = (struct collective_step){
        .send_to = (call->self + shift) % call->members,
        .recv_from = (call->self + call->members - shift) % call->members,
        .send_as = k,
        .after_recv = oldest,
        .after_send = oldest,
    };
    step->send_bytes = pair_bytes(call, call->self, step->send_to);
}

const struct collective_algorithm collective_pairwise_all_to_all = {
    .name = "pairwise", .kind = COLLECTIVE_ALL_TO_ALL, .summary = "exchanges with one member after another",
    .step_count = step_count, .step = pairwise_step};
