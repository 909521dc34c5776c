/* Dissemination barrier (Hensgen, Finkel, Manber 1988): in step k an empty message goes 2^k members on. */
#include "netsim/replay/collective.h"

static uint64_t step_count(const struct collective_call *call, uint32_t lane)
{
    (void)lane;
    return log2_ceil(call->members);
}

static void barrier_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    (void)lane;
    int64_t shift = (int64_t)(UINT64_C(1) << k);
    step->send_to = member_at(call, call->self, shift);
    step->recv_from = member_at(call, call->self, -shift);
    step->after_recv = k;
}

static bool barrier_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                          struct collective_piece *piece)
{
    (void)call;
    (void)lane;
    (void)k;
    *piece = (struct collective_piece){0};
    return index == 0;
}

const struct collective_algorithm collective_dissemination_barrier = {
    .name = "dissemination", .kind = COLLECTIVE_BARRIER, .summary = "empty messages 1, 2, 4, ... members on",
    .step_count = step_count, .step = barrier_step, .piece = barrier_piece};
