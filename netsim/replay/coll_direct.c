/* One message between any two that need one, and no member in between.
 *
 *      gather, scatter    every member exchanges one message with the root (NCCL: grouped send and receive)
 *      all_gather         every shard to every member
 *      reduce_scatter     chunk i of every member to member i
 *      all_reduce direct  that reduce-scatter, then that all-gather of the chunks
 *      all_reduce one_shot  every member's whole buffer to every other one: one step, (n-1) buffers
 *
 * Scope: `concurrency` sends of a member under way at once, in the order self + 1, self + 2, ... (ASTRA-sim: direct with
 * a window). Sizes: a gather's `bytes` is what one member gives; a scatter's is the root's whole buffer.
 * Not modelled: the time of the reduction itself. */
#include "netsim/replay/collective.h"

/* ---- with a root ------------------------------------------------------------------------------------------ */

/* Place of a member behind the root: 1 .. members - 1; the root itself is 0. */
static uint32_t place_of(const struct collective_call *call)
{
    return member_at(call, call->self, -(int64_t)call->root);
}

static uint64_t root_step_count(const struct collective_call *call, uint32_t lane)
{
    (void)lane;
    return place_of(call) == 0 ? call->members - 1 : 1;
}

static void gather_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    (void)lane;
    uint32_t place = place_of(call);
    step->send_to = place == 0 ? ID_NONE : call->root;
    step->recv_from = place == 0 ? member_at(call, call->root, (int64_t)k + 1) : ID_NONE;
    step->send_bytes = call->bytes;
    step->send_as = place - 1;
}

static bool gather_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                         struct collective_piece *piece)
{
    (void)lane;
    (void)k;
    *piece = piece_shard(call, call->self);
    return index == 0;
}

static bool scatter_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                          struct collective_piece *piece)
{
    (void)lane;
    *piece = piece_chunk(piece_all(call->bytes), member_at(call, call->root, (int64_t)k + 1), call->members);
    return index == 0;
}

static void scatter_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    bool is_root = place_of(call) == 0;
    struct collective_piece piece;
    scatter_piece(call, lane, k, 0, &piece);
    step->send_to = is_root ? member_at(call, call->root, (int64_t)k + 1) : ID_NONE;
    step->recv_from = is_root ? ID_NONE : call->root;
    step->send_as = 0;
    step->send_bytes = is_root ? piece.bytes : 0;
}

/* ---- without ---------------------------------------------------------------------------------------------- */

static uint64_t step_count(const struct collective_call *call, uint32_t lane)
{
    (void)lane;
    return call->members - 1;
}

static void exchange_step(const struct collective_call *call, uint64_t k, uint64_t bytes, struct collective_step *step)
{
    step->send_to = member_at(call, call->self, (int64_t)k + 1);
    step->recv_from = member_at(call, call->self, -(int64_t)k - 1);
    step->send_bytes = bytes;
    step->after_send = k >= call->concurrency ? k - call->concurrency + 1 : 0;
}

static void all_gather_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    (void)lane;
    exchange_step(call, k, call->bytes, step);
}

static bool reduce_scatter_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                                 struct collective_piece *piece)
{
    (void)lane;
    *piece = piece_chunk(piece_all(call->bytes), member_at(call, call->self, (int64_t)k + 1), call->members);
    piece->is_added = true;
    return index == 0;
}

static void reduce_scatter_step(const struct collective_call *call, uint32_t lane, uint64_t k,
                                struct collective_step *step)
{
    struct collective_piece piece;
    reduce_scatter_piece(call, lane, k, 0, &piece);
    exchange_step(call, k, piece.bytes, step);
}

static uint32_t two_lanes(const struct collective_call *call)
{
    (void)call;
    return 2;
}

/* Lane 0 reduces and scatters, lane 1 gathers what came of it. */
static bool all_reduce_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                             struct collective_piece *piece)
{
    if (lane == 0) {
        return reduce_scatter_piece(call, lane, k, index, piece);
    }
    *piece = piece_chunk(piece_all(call->bytes), call->self, call->members);
    return index == 0;
}

static void all_reduce_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    struct collective_piece piece;
    all_reduce_piece(call, lane, k, 0, &piece);
    exchange_step(call, k, piece.bytes, step);
    step->wait_recv = lane == 0 ? 0 : call->members - 1; /* of lane 0 */
}

static bool one_shot_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                           struct collective_piece *piece)
{
    (void)lane;
    (void)k;
    *piece = piece_all(call->bytes);
    piece->is_added = piece->is_input = true;
    return index == 0;
}

const struct collective_algorithm collective_direct_gather = {
    .name = "direct", .kind = COLLECTIVE_GATHER, .summary = "every member to the root at once",
    .step_count = root_step_count, .step = gather_step, .piece = gather_piece};

const struct collective_algorithm collective_direct_scatter = {
    .name = "direct", .kind = COLLECTIVE_SCATTER, .summary = "the root to every member at once",
    .step_count = root_step_count, .step = scatter_step, .piece = scatter_piece};

const struct collective_algorithm collective_direct_all_gather = {
    .name = "direct", .kind = COLLECTIVE_ALL_GATHER, .summary = "every shard to every member, `concurrency` at once",
    .step_count = step_count, .step = all_gather_step, .piece = gather_piece};

const struct collective_algorithm collective_direct_reduce_scatter = {
    .name = "direct", .kind = COLLECTIVE_REDUCE_SCATTER, .summary = "every chunk to its member, `concurrency` at once",
    .step_count = step_count, .step = reduce_scatter_step, .piece = reduce_scatter_piece};

const struct collective_algorithm collective_direct_all_reduce = {
    .name = "direct", .kind = COLLECTIVE_ALL_REDUCE, .summary = "direct reduce-scatter, then direct all-gather",
    .lane_count = two_lanes, .step_count = step_count, .step = all_reduce_step, .piece = all_reduce_piece};

const struct collective_algorithm collective_one_shot_all_reduce = {
    .name = "one_shot", .kind = COLLECTIVE_ALL_REDUCE, .summary = "every whole buffer to every member",
    .step_count = step_count, .step = all_gather_step, .piece = one_shot_piece};
