/* Hierarchies of two levels: inside the server over scale-up, then across servers among the members of one number.
 *
 *      all_reduce       lane 0  reduce-scatter around the server: member l has chunk l of its server's sum
 *                       lane 1  all-reduce of chunk l around the members l of all servers
 *                       lane 2  all-gather around the server
 *      all_gather       lane 0  shards around the members l of all servers; lane 1  each of them around the server
 *      reduce_scatter   the same turned round: lane 0 around the server, for one server's chunks after the other; lane 1 across
 *      all_to_all       lane 0  what is for the members l' of all servers to member l' of the own one; lane 1  across, the whole
 *                       server's in one message (PXN in NCCL, the dispatch of DeepSeek-V3)
 *
 * Scope: rings on both levels. An all-reduce goes in parts, so large that a step across moves chunk_bytes; the lanes work
 * on different parts at once. In a group whose members stand in no regular servers each member is a server: then this is
 * a flat ring. Bytes across servers: all-reduce 2(N-1)/N of bytes/local a member for N servers.
 * Not modelled: the time of the reduction itself. */
#include "netsim/replay/collective.h"

/* Where a member stands. */
struct seat {
    uint32_t servers, local, server, number;
};

static struct seat seat_of(const struct collective_call *call)
{
    return (struct seat){call->members / call->local, call->local, call->self / call->local, call->self % call->local};
}

static uint32_t beside(struct seat seat, int64_t distance)
{
    int64_t local = seat.local, at = ((seat.number + distance) % local + local) % local;
    return seat.server * seat.local + (uint32_t)at;
}

static uint32_t server_beside(struct seat seat, int64_t distance)
{
    int64_t servers = seat.servers;
    return (uint32_t)(((seat.server + distance) % servers + servers) % servers);
}

static uint32_t across(struct seat seat, int64_t distance)
{
    return server_beside(seat, distance) * seat.local + seat.number;
}

static void neighbours_set(struct seat seat, bool is_across, struct collective_step *step)
{
    step->send_to = is_across ? across(seat, 1) : beside(seat, 1);
    step->recv_from = is_across ? across(seat, -1) : beside(seat, -1);
}

static uint32_t two_lanes(const struct collective_call *call)
{
    (void)call;
    return 2;
}

/* ---- all-reduce ------------------------------------------------------------------------------------------- */

enum { REDUCE_LANE, ACROSS_LANE, GATHER_LANE };

static uint32_t three_lanes(const struct collective_call *call)
{
    (void)call;
    return 3;
}

static uint64_t all_reduce_round(struct seat seat, uint32_t lane)
{
    return lane == ACROSS_LANE ? 2 * (uint64_t)(seat.servers - 1) : seat.local - 1;
}

static uint64_t part_bytes_of(const struct collective_call *call)
{
    return call->chunk_bytes * call->members;
}

static uint64_t all_reduce_count(const struct collective_call *call, uint32_t lane)
{
    return parts_of(call->bytes, part_bytes_of(call)) * all_reduce_round(seat_of(call), lane);
}

static bool all_reduce_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                             struct collective_piece *piece)
{
    struct seat seat = seat_of(call);
    uint64_t round = all_reduce_round(seat, lane);
    int64_t j = (int64_t)(k % round);
    struct collective_piece part = piece_part(piece_all(call->bytes), k / round, part_bytes_of(call));
    if (lane == ACROSS_LANE) {
        *piece = piece_chunk(piece_chunk(part, seat.number, seat.local), server_beside(seat, -j), seat.servers);
        piece->is_added = j < (int64_t)seat.servers - 1;
    } else {
        uint32_t owner = beside(seat, lane == REDUCE_LANE ? -j - 1 : -j) % seat.local;
        *piece = piece_chunk(part, owner, seat.local);
        piece->is_added = lane == REDUCE_LANE;
    }
    return index == 0;
}

/* The first step of a part waits for the part in the lane before; of one server there is nothing across. */
static void all_reduce_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    struct seat seat = seat_of(call);
    struct collective_piece piece;
    uint64_t round = all_reduce_round(seat, lane), part = k / round;
    all_reduce_piece(call, lane, k, 0, &piece);
    neighbours_set(seat, lane == ACROSS_LANE, step);
    step->send_bytes = piece.bytes;
    step->after_recv = k;
    step->wait_lane = lane == GATHER_LANE && seat.servers > 1 ? ACROSS_LANE : REDUCE_LANE;
    step->wait_recv = lane == REDUCE_LANE ? 0 : (part + 1) * all_reduce_round(seat, step->wait_lane);
}

/* ---- all-gather: lane 0 across, lane 1 around the server --------------------------------------------------- */

static uint64_t all_gather_count(const struct collective_call *call, uint32_t lane)
{
    struct seat seat = seat_of(call);
    return lane == 0 ? seat.servers - 1 : (uint64_t)seat.servers * (seat.local - 1);
}

static bool all_gather_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                             struct collective_piece *piece)
{
    struct seat seat = seat_of(call);
    uint64_t round = seat.local - 1;
    uint32_t owner = across(seat, -(int64_t)k);
    if (lane == 1) {
        owner = server_beside(seat, -(int64_t)(k / round)) * seat.local + beside(seat, -(int64_t)(k % round)) % seat.local;
    }
    *piece = piece_shard(call, owner);
    return index == 0;
}

static void all_gather_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    struct seat seat = seat_of(call);
    neighbours_set(seat, lane == 0, step);
    step->send_bytes = call->bytes;
    step->after_recv = k;
    step->wait_recv = lane == 0 ? 0 : k / (seat.local - 1); /* of lane 0 */
}

/* ---- reduce-scatter: lane 0 around the server, lane 1 across ---------------------------------------------- */

static uint64_t reduce_scatter_count(const struct collective_call *call, uint32_t lane)
{
    return all_gather_count(call, 1 - lane);
}

static bool reduce_scatter_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                                 struct collective_piece *piece)
{
    struct seat seat = seat_of(call);
    uint64_t round = seat.local - 1;
    uint32_t owner = across(seat, -1 - (int64_t)k);
    if (lane == 0) {
        owner = server_beside(seat, -1 - (int64_t)(k / round)) * seat.local +
                beside(seat, -1 - (int64_t)(k % round)) % seat.local;
    }
    *piece = piece_chunk(piece_all(call->bytes), owner, call->members);
    piece->is_added = true;
    return index == 0;
}

static void reduce_scatter_step(const struct collective_call *call, uint32_t lane, uint64_t k,
                                struct collective_step *step)
{
    struct seat seat = seat_of(call);
    struct collective_piece piece;
    reduce_scatter_piece(call, lane, k, 0, &piece);
    neighbours_set(seat, lane == 1, step);
    step->send_bytes = piece.bytes;
    step->after_recv = k;
    step->wait_recv = lane == 0 ? 0 : (k + 1) * (seat.local - 1); /* of lane 0 */
}

/* ---- all-to-all ------------------------------------------------------------------------------------------- */

static uint64_t all_to_all_count(const struct collective_call *call, uint32_t lane)
{
    struct seat seat = seat_of(call);
    return lane == 0 ? seat.local - 1 : seat.servers - 1;
}

/* Pair `index` of step k: in lane 0 what oneself has for the members of one number, in lane 1 what the server has for one
 * member. */
static bool exchange_pair(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index, uint32_t *from,
                          uint32_t *to)
{
    struct seat seat = seat_of(call);
    int64_t distance = (int64_t)k + 1;
    if (lane == 0) {
        *from = call->self;
        *to = (uint32_t)index * seat.local + beside(seat, distance) % seat.local;
        return index < seat.servers;
    }
    *from = seat.server * seat.local + (uint32_t)index;
    *to = across(seat, distance);
    return index < seat.local;
}

static bool exchange_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                           struct collective_piece *piece)
{
    uint32_t from, to;
    if (!exchange_pair(call, lane, k, index, &from, &to)) {
        return false;
    }
    *piece = collective_pair(call, from, to);
    return true;
}

static void exchange_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    struct seat seat = seat_of(call);
    int64_t distance = (int64_t)k + 1;
    uint32_t from, to;
    step->send_to = lane == 0 ? beside(seat, distance) : across(seat, distance);
    step->recv_from = lane == 0 ? beside(seat, -distance) : across(seat, -distance);
    for (uint64_t index = 0; exchange_pair(call, lane, k, index, &from, &to); index++) {
        step->send_bytes += pair_bytes(call, from, to);
    }
    step->after_send = k >= call->concurrency ? k - call->concurrency + 1 : 0;
    step->wait_recv = lane == 0 ? 0 : seat.local - 1; /* of lane 0 */
}

const struct collective_algorithm collective_hierarchical_all_reduce = {
    .name = "hierarchical", .kind = COLLECTIVE_ALL_REDUCE, .summary = "rings: around the server, across, around the server",
    .lane_count = three_lanes, .step_count = all_reduce_count, .step = all_reduce_step, .piece = all_reduce_piece};

const struct collective_algorithm collective_hierarchical_all_gather = {
    .name = "hierarchical", .kind = COLLECTIVE_ALL_GATHER, .summary = "rings: across, around the server",
    .lane_count = two_lanes, .step_count = all_gather_count, .step = all_gather_step, .piece = all_gather_piece};

const struct collective_algorithm collective_hierarchical_reduce_scatter = {
    .name = "hierarchical", .kind = COLLECTIVE_REDUCE_SCATTER, .summary = "rings: around the server, across",
    .lane_count = two_lanes, .step_count = reduce_scatter_count, .step = reduce_scatter_step,
    .piece = reduce_scatter_piece};

const struct collective_algorithm collective_hierarchical_all_to_all = {
    .name = "hierarchical", .kind = COLLECTIVE_ALL_TO_ALL, .summary = "inside the server to the right number, then across",
    .lane_count = two_lanes, .step_count = all_to_all_count, .step = exchange_step, .piece = exchange_piece};
