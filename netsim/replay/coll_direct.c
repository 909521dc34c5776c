/* Gather and scatter: every member exchanges one message with the root (NCCL: grouped send and receive).
 *
 * Sizes: a gather's `bytes` is what one member gives; a scatter's is the root's whole buffer. */
#include "netsim/replay/collective.h"

/* Place of a member behind the root: 1 .. members - 1; the root itself is 0. */
static uint32_t place_of(const struct collective_call *call)
{
    return (call->self + call->members - call->root) % call->members;
}

static uint64_t step_count(const struct collective_call *call)
{
    return place_of(call) == 0 ? call->members - 1 : 1;
}

static void gather_step(const struct collective_call *call, uint64_t k, struct collective_step *step)
{
    uint32_t place = place_of(call);
    *step = (struct collective_step){
        .send_to = place == 0 ? ID_NONE : call->root,
        .recv_from = place == 0 ? (call->root + (uint32_t)k + 1) % call->members : ID_NONE,
        .send_bytes = call->bytes,
        .send_as = place - 1,
    };
}

static void scatter_step(const struct collective_call *call, uint64_t k, struct collective_step *step)
{
    bool is_root = place_of(call) == 0;
    *step = (struct collective_step){
        .send_to = is_root ? (call->root + (uint32_t)k + 1) % call->members : ID_NONE,
        .recv_from = is_root ? ID_NONE : call->root,
        .send_as = 0,
    };
    step->send_bytes = is_root ? chunk_bytes(call->bytes, step->send_to, call->members) : 0;
}

const struct collective_algorithm collective_direct_gather = {
    .name = "direct", .kind = COLLECTIVE_GATHER, .summary = "every member to the root at once",
    .step_count = step_count, .step = gather_step};

const struct collective_algorithm collective_direct_scatter = {
    .name = "direct", .kind = COLLECTIVE_SCATTER, .summary = "the root to every member at once",
    .step_count = step_count, .step = scatter_step};
