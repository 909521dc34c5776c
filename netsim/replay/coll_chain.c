/* Pipelined chains: a broadcast runs from the root around the ring, a reduce around the ring to the root, in
 * steps of chunk_bytes.
 *
 * A member has two steps under way: the second keeps the link busy while the first waits for its acknowledgement. Were
 * all of them handed over at once, they would share the link and all arrive at the end, and nothing would be pipelined.
 *
 * Scope: NCCL's ring broadcast and reduce with one channel.
 * Not modelled: the time of the reduction itself. */
#include "netsim/replay/collective.h"

static uint64_t step_count(const struct collective_call *call)
{
    return call->bytes == 0 ? 1 : (call->bytes + call->chunk_bytes - 1) / call->chunk_bytes;
}

#define STEPS_UNDER_WAY 2

/* `place` is the position in the chain: 0 has the data first. */
static void chain_step(const struct collective_call *call, uint32_t place, uint64_t k, struct collective_step *step)
{
    uint64_t left_bytes = call->bytes - k * call->chunk_bytes;
    *step = (struct collective_step){
        .send_to = place + 1 < call->members ? (call->self + 1) % call->members : ID_NONE,
        .recv_from = place > 0 ? (call->self + call->members - 1) % call->members : ID_NONE,
        .send_bytes = left_bytes < call->chunk_bytes ? left_bytes : call->chunk_bytes,
        .send_as = k,
        .after_recv = place > 0 ? k + 1 : 0,
        .after_send = k < STEPS_UNDER_WAY ? 0 : k - STEPS_UNDER_WAY + 1,
    };
}

static void broadcast_step(const struct collective_call *call, uint64_t k, struct collective_step *step)
{
    chain_step(call, (call->self + call->members - call->root) % call->members, k, step);
}

static void reduce_step(const struct collective_call *call, uint64_t k, struct collective_step *step)
{
    chain_step(call, (call->self + call->members - call->root - 1) % call->members, k, step);
}

const struct collective_algorithm collective_chain_broadcast = {
    .name = "chain", .kind = COLLECTIVE_BROADCAST, .summary = "pipelined from the root around the ring",
    .step_count = step_count, .step = broadcast_step};

const struct collective_algorithm collective_chain_reduce = {
    .name = "chain", .kind = COLLECTIVE_REDUCE, .summary = "pipelined around the ring to the root",
    .step_count = step_count, .step = reduce_step};
