/* Dissemination barrier (Hensgen, Finkel, Manber 1988): in step k an empty message goes 2^k members on. */
#include "netsim/replay/collective.h"

static uint64_t step_count(const struct collective_call *call)
{
    uint64_t steps = 0;
    while ((UINT64_C(1) << steps) < call->members) {
        steps++;
    }
    return steps;
}

static void barrier_step(const struct collective_call *call, uint64_t k, struct collective_step *step)
{
    uint32_t shift = (uint32_t)((UINT64_C(1) << k) % call->members);
    *step = (struct collective_step){
        .send_to = (call->self + shift) % call->members,
        .recv_from = (call->self + call->members - shift) % call->members,
        .send_as = k,
        .after_recv = k,
    };
}

const struct collective_algorithm collective_dissemination_barrier = {
    .name = "dissemination", .kind = COLLECTIVE_BARRIER, .summary = "empty messages 1, 2, 4, ... members on",
    .step_count = step_count, .step = barrier_step};
