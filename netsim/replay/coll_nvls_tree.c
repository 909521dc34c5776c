/* NCCL's NVLSTree: in every server switches combine each member's share for it, the double binary tree of coll_tree.c joins
 * the members of one number in all servers, and switches copy what comes of it.
 *
 *      lane 0        nvls reduce_scatter in the server, chunk after chunk for owner after owner
 *      lanes 1 .. 4  up and down of two trees of servers; a member's chunks go by the trees in turn (even ones by the first)
 *      lane 5        nvls all_gather in the server
 *
 * Scope: all-reduce. Bytes: a member sends the buffer and its share inside; between servers 2 (N - 1) buffers in all, over all
 * members of a server alike. Under way are two chunks a channel and owner, two a channel of a tree.
 * Not modelled: as in coll_switch.c and coll_tree.c.
 * Checked against: closed forms (tests/test_collective.c). */
#include "netsim/replay/collective.h"

extern const struct collective_algorithm collective_tree_all_reduce;

enum { REDUCE_LANE, TREE_LANE, COPY_LANE = TREE_LANE + 4, LANE_COUNT };

#define STEPS_UNDER_WAY 2
#define ARITY 2 /* of trees without chains: steps a chunk */

static uint32_t lane_count(const struct collective_call *call)
{
    (void)call;
    return LANE_COUNT;
}

static uint32_t servers_of(const struct collective_call *call)
{
    return call->members / call->local;
}

/* Of a share. */
static uint64_t chunks_of(const struct collective_call *call)
{
    return parts_of((call->bytes + call->local - 1) / call->local, call->chunk_bytes);
}

static struct collective_piece chunk_piece(const struct collective_call *call, uint32_t owner, uint64_t chunk)
{
    return piece_part(piece_chunk(piece_all(call->bytes), owner, call->local), chunk, call->chunk_bytes);
}

/* The trees as members of one number see them: a byte stands for a chunk, half of them for each tree. */
static struct collective_call tree_call(const struct collective_call *call)
{
    struct collective_call of = *call;
    of.members = servers_of(call);
    of.self = call->self / call->local;
    of.local = 1;
    of.channels = 2;
    of.bytes = 2 * ((chunks_of(call) + 1) / 2);
    of.chunk_bytes = 1;
    return of;
}

static uint64_t step_count(const struct collective_call *call, uint32_t lane)
{
    if (lane == REDUCE_LANE || lane == COPY_LANE) {
        return call->local > 1 ? chunks_of(call) * call->local : 0;
    }
    return servers_of(call) > 1 ? (chunks_of(call) + 1) / 2 * ARITY : 0;
}

/* Step k of a lane of trees is for this chunk of the own share. */
static uint64_t tree_chunk(uint32_t lane, uint64_t k)
{
    return k / ARITY * 2 + (lane - TREE_LANE) / 2;
}

static bool piece_of(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                     struct collective_piece *piece)
{
    if (lane == REDUCE_LANE || lane == COPY_LANE) {
        *piece = chunk_piece(call, (uint32_t)(k % call->local), k / call->local);
        return index == 0;
    }
    *piece = chunk_piece(call, call->self % call->local, tree_chunk(lane, k));
    piece->is_added = (lane - TREE_LANE) % 2 == 0;
    return index == 0;
}

static uint64_t under_way(const struct collective_call *call, uint64_t width, uint64_t k)
{
    uint64_t most = (uint64_t)STEPS_UNDER_WAY * call->channels * width;
    return k < most ? 0 : k - most + 1;
}

/* Receives of the reduction in the server until it has this chunk of the own share. */
static uint64_t reduced_after(const struct collective_call *call, uint64_t chunk)
{
    chunk = chunk < chunks_of(call) ? chunk : chunks_of(call) - 1; /* the empty one that makes the number even */
    return call->local > 1 ? chunk * call->local + call->self % call->local + 1 : 0;
}

static uint32_t member_of(const struct collective_call *call, uint32_t server)
{
    return server == ID_NONE ? ID_NONE : server * call->local + call->self % call->local;
}

static void tree_step(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t bytes, struct collective_step *step)
{
    const struct collective_call of = tree_call(call);
    collective_step_of(&collective_tree_all_reduce, &of, lane - TREE_LANE, k, step);
    step->send_to = member_of(call, step->send_to);
    step->recv_from = member_of(call, step->recv_from);
    step->send_bytes = step->send_to == ID_NONE ? 0 : bytes;
    step->send_lane = lane;
    step->channel = step->channels = 0; /* all of a member's network port */
    step->wait_lane += TREE_LANE;
    step->after_send = under_way(call, ARITY, k);
    step->also_lane = REDUCE_LANE;
    step->also_recv = reduced_after(call, tree_chunk(lane, k));
}

/* The sum of a chunk is there: at a tree's root with what has come up, at the others with what comes down. */
static void sum_wait(const struct collective_call *call, uint64_t chunk, struct collective_step *step)
{
    uint32_t up = (uint32_t)(chunk % 2) * 2;
    const struct collective_call of = tree_call(call);
    struct collective_step last;
    collective_step_of(&collective_tree_all_reduce, &of, up, chunk / 2 * ARITY + ARITY - 1, &last);
    bool is_root = last.send_to == ID_NONE;
    step->wait_lane = TREE_LANE + (is_root ? up : up + 1);
    step->wait_recv = chunk / 2 * ARITY + (is_root ? ARITY : 1);
}

static void server_step(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t bytes, struct collective_step *step)
{
    uint32_t owner = call->self - call->self % call->local + (uint32_t)(k % call->local);
    bool is_own = owner == call->self;
    step->team = TEAM_SERVER;
    step->send_bytes = bytes;
    step->after_send = under_way(call, call->local, k);
    if (lane == REDUCE_LANE) {
        step->cast = CAST_COMBINE_TO;
        step->send_to = owner;
        step->recv_from = is_own ? owner : ID_NONE;
        return;
    }
    step->cast = CAST_COPY;
    step->send_to = is_own ? owner : ID_NONE;
    step->recv_from = is_own ? ID_NONE : owner;
    if (is_own) {
        step->also_lane = REDUCE_LANE;
        step->also_recv = reduced_after(call, k / call->local);
    }
    if (is_own && servers_of(call) > 1) {
        sum_wait(call, k / call->local, step);
    }
}

static void step_of(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    struct collective_piece piece;
    piece_of(call, lane, k, 0, &piece);
    (lane == REDUCE_LANE || lane == COPY_LANE ? server_step : tree_step)(call, lane, k, piece.bytes, step);
}

const struct collective_algorithm collective_nvls_tree_all_reduce = {
    .name = "nvls_tree", .kind = COLLECTIVE_ALL_REDUCE,
    .summary = "nvls in the server, a double binary tree across for each of its members",
    .teams = {[TEAM_SERVER] = TEAM_OWNERS},
    .lane_count = lane_count, .step_count = step_count, .step = step_of, .piece = piece_of};
