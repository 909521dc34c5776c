/* In-switch reduction and multicast: NVLink SHARP (NVLS) inside a server, SHARP over any tree of switches, both together.
 *
 *      nvls all_reduce         lane 0  chunk by chunk, for owner after owner: all send the owner's chunk, the switches combine
 *                                      it on the way to the owner (multimem.ld_reduce)
 *                              lane 1  the owner sends it, the switches copy it to all others (multimem.st)
 *           reduce_scatter     lane 0; all_gather  lane 1; reduce, broadcast  the same for the root alone
 *      sharp all_reduce        one lane: all send a chunk, it is combined on the way up the tree and copied on the way down
 *           others             as those of nvls
 *      nvls_sharp all_reduce   lane 0  nvls reduce_scatter in the server; lane 1  sharp all_reduce of each member's chunks among
 *                                      those of its number in all servers; lane 2  nvls all_gather in the server
 *
 * Bytes of a member, for n members: nvls all_reduce sends all of the buffer for the owners and its own share (S + S/n), and
 * receives S; so NCCL does it on one server (src/device/all_reduce.h of NCCL 2.30, registered buffers). sharp all_reduce sends S and receives S. Whatever the number of members: an inter-switch link
 * carries S once up and once down.
 *
 * A chunk is a message of chunk_bytes; under way are two a channel and owner (the second keeps the links busy while the first
 * is acknowledged). What the switches, their tables and the
 * flow control do: netsim/engine/group.h, netsim/transport/team.h.
 *
 * Scope: regular groups. nvls: all members in one server whose switches can reduce. nvls_sharp: the same number of members in
 * every server.
 * Not modelled: the time of the reduction in a GPU (there is none with nvls); memory and synchronisation flags; the requests of
 * ld_reduce, which go the other way: here contributions are pushed within a window. What NCCL copies into its buffers first.
 * Checked against: closed forms (tests/test_collective.c), bytes a link, alpha-beta times (tests/test_switch_reduce.c); nccl-tests
 * of 8 H100 (README). */
#include "netsim/replay/collective.h"

/* Chunks in turn for all owners (or one), of the shares that a range is cut into. */
struct use {
    enum collective_team team;
    uint32_t owners; /* in the team */
    uint32_t first;  /* the owner where there is one */
    uint64_t share_bytes; /* of the largest share */
};

static struct use use_of(const struct collective_call *call, enum collective_team team)
{
    uint32_t owners = team_members(call, team);
    return (struct use){team, owners, 0, (call->bytes + owners - 1) / owners};
}

static struct use use_of_root(const struct collective_call *call)
{
    return (struct use){TEAM_CALL, 1, call->root, call->bytes};
}

static uint64_t chunks_of(const struct collective_call *call, const struct use *use)
{
    return parts_of(use->share_bytes, call->chunk_bytes);
}

static uint64_t steps_of(const struct collective_call *call, const struct use *use)
{
    return use->owners < 2 && use->team == TEAM_SERVER ? 0 : chunks_of(call, use) * use->owners;
}

static uint32_t owner_of(const struct use *use, uint64_t k)
{
    return use->first + (uint32_t)(k % use->owners);
}

static struct collective_piece owned_piece(const struct collective_call *call, const struct use *use, uint64_t k)
{
    struct collective_piece share = piece_chunk(piece_all(call->bytes), k % use->owners, use->owners);
    return piece_part(share, k / use->owners, call->chunk_bytes);
}

static uint64_t chunks_under_way(const struct collective_call *call)
{
    return 2 * (uint64_t)call->channels;
}

static void limit_set(const struct collective_call *call, const struct use *use, uint64_t k, struct collective_step *step)
{
    uint64_t under_way = chunks_under_way(call) * use->owners;
    step->after_send = k < under_way ? 0 : k - under_way + 1;
}

/* All send, one has the sum. */
static void combine_step(const struct collective_call *call, const struct use *use, uint64_t k, uint64_t bytes,
                         struct collective_step *step)
{
    uint32_t index = team_index(call, use->team, call->self);
    step->cast = CAST_COMBINE_TO;
    step->team = use->team;
    step->send_to = team_member(call, use->team, index, owner_of(use, k));
    step->recv_from = step->send_to == call->self ? call->self : ID_NONE;
    step->send_bytes = bytes;
    limit_set(call, use, k, step);
}

/* One sends, all others have it. */
static void copy_step(const struct collective_call *call, const struct use *use, uint64_t k, uint64_t bytes,
                      struct collective_step *step)
{
    uint32_t index = team_index(call, use->team, call->self), owner = team_member(call, use->team, index, owner_of(use, k));
    step->cast = CAST_COPY;
    step->team = use->team;
    step->send_to = owner == call->self ? call->self : ID_NONE;
    step->recv_from = owner == call->self ? ID_NONE : owner;
    step->send_bytes = bytes;
    limit_set(call, use, k, step);
}

static uint32_t two_lanes(const struct collective_call *call)
{
    (void)call;
    return 2;
}

/* ---- nvls: all-reduce ------------------------------------------------------------------------------------- */

static uint64_t nvls_count(const struct collective_call *call, uint32_t lane)
{
    (void)lane;
    struct use use = use_of(call, TEAM_CALL);
    return steps_of(call, &use);
}

static bool nvls_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                       struct collective_piece *piece)
{
    (void)lane;
    struct use use = use_of(call, TEAM_CALL);
    *piece = owned_piece(call, &use, k);
    return index == 0;
}

static void nvls_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    struct use use = use_of(call, TEAM_CALL);
    uint64_t bytes = owned_piece(call, &use, k).bytes;
    if (lane == 0) {
        combine_step(call, &use, k, bytes, step);
        return;
    }
    copy_step(call, &use, k, bytes, step);
    step->wait_recv = k + 1; /* of lane 0 */
}

/* ---- one lane: reduce-scatter, all-gather, reduce, broadcast ---------------------------------------------- */

static void reduce_scatter_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    nvls_step(call, lane, k, step);
}

/* Shares are whole shards. */
static struct use gather_use(const struct collective_call *call)
{
    return (struct use){TEAM_CALL, call->members, 0, call->bytes};
}

static uint64_t gather_count(const struct collective_call *call, uint32_t lane)
{
    (void)lane;
    struct use use = gather_use(call);
    return steps_of(call, &use);
}

static bool gather_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                         struct collective_piece *piece)
{
    (void)lane;
    struct use use = gather_use(call);
    *piece = piece_part(piece_shard(call, owner_of(&use, k)), k / use.owners, call->chunk_bytes);
    return index == 0;
}

static void gather_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    struct use use = gather_use(call);
    struct collective_piece piece;
    gather_piece(call, lane, k, 0, &piece);
    copy_step(call, &use, k, piece.bytes, step);
}

static uint64_t root_count(const struct collective_call *call, uint32_t lane)
{
    (void)lane;
    struct use use = use_of_root(call);
    return steps_of(call, &use);
}

static bool root_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                       struct collective_piece *piece)
{
    (void)lane;
    *piece = piece_part(piece_all(call->bytes), k, call->chunk_bytes);
    return index == 0;
}

static void reduce_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    struct use use = use_of_root(call);
    struct collective_piece piece;
    root_piece(call, lane, k, 0, &piece);
    combine_step(call, &use, k, piece.bytes, step);
}

static void broadcast_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    struct use use = use_of_root(call);
    struct collective_piece piece;
    root_piece(call, lane, k, 0, &piece);
    copy_step(call, &use, k, piece.bytes, step);
}

/* ---- sharp: all-reduce ------------------------------------------------------------------------------------ */

static void sharp_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    struct use use = use_of_root(call);
    struct collective_piece piece;
    root_piece(call, lane, k, 0, &piece);
    step->cast = CAST_COMBINE;
    step->team = TEAM_CALL;
    step->send_to = step->recv_from = call->self;
    step->send_bytes = piece.bytes;
    limit_set(call, &use, k, step);
}

/* ---- nvls_sharp: all-reduce ------------------------------------------------------------------------------- */

enum { REDUCE_LANE, ACROSS_LANE, GATHER_LANE };

static uint32_t three_lanes(const struct collective_call *call)
{
    (void)call;
    return 3;
}

/* Across: the own share, chunk by chunk. */
static uint64_t both_count(const struct collective_call *call, uint32_t lane)
{
    struct use use = use_of(call, TEAM_SERVER);
    if (lane == ACROSS_LANE) {
        return call->local == call->members ? 0 : chunks_of(call, &use);
    }
    return steps_of(call, &use);
}

/* Number of the step among those for all owners. */
static uint64_t both_number(const struct collective_call *call, uint32_t lane, uint64_t k)
{
    return lane == ACROSS_LANE ? k * call->local + call->self % call->local : k;
}

static bool both_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                       struct collective_piece *piece)
{
    struct use use = use_of(call, TEAM_SERVER);
    *piece = owned_piece(call, &use, both_number(call, lane, k));
    return index == 0;
}

static void across_step(const struct collective_call *call, uint64_t k, uint64_t bytes, struct collective_step *step)
{
    step->cast = CAST_COMBINE;
    step->team = TEAM_RAIL;
    step->send_to = step->recv_from = call->self;
    step->send_bytes = bytes;
    step->after_send = k < chunks_under_way(call) ? 0 : k - chunks_under_way(call) + 1;
    step->wait_recv = call->local > 1 ? both_number(call, ACROSS_LANE, k) + 1 : 0; /* of lane REDUCE_LANE */
}

static void both_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    struct use use = use_of(call, TEAM_SERVER);
    uint64_t bytes = owned_piece(call, &use, both_number(call, lane, k)).bytes;
    if (lane == REDUCE_LANE) {
        combine_step(call, &use, k, bytes, step);
    } else if (lane == ACROSS_LANE) {
        across_step(call, k, bytes, step);
    } else {
        bool is_one = call->local == call->members;
        copy_step(call, &use, k, bytes, step);
        step->wait_lane = is_one ? REDUCE_LANE : ACROSS_LANE;
        step->wait_recv = is_one ? k + 1 : k / call->local + 1;
    }
}

const struct collective_algorithm collective_nvls_all_reduce = {
    .name = "nvls", .kind = COLLECTIVE_ALL_REDUCE, .summary = "the server's switches combine for each owner, and copy what it has",
    .teams = {[TEAM_CALL] = TEAM_OWNERS}, .is_of_server = true,
    .lane_count = two_lanes, .step_count = nvls_count, .step = nvls_step, .piece = nvls_piece};

const struct collective_algorithm collective_nvls_reduce_scatter = {
    .name = "nvls", .kind = COLLECTIVE_REDUCE_SCATTER, .summary = "the server's switches combine for each owner",
    .teams = {[TEAM_CALL] = TEAM_OWNERS}, .is_of_server = true,
    .step_count = nvls_count, .step = reduce_scatter_step, .piece = nvls_piece};

const struct collective_algorithm collective_nvls_all_gather = {
    .name = "nvls", .kind = COLLECTIVE_ALL_GATHER, .summary = "the server's switches copy",
    .teams = {[TEAM_CALL] = TEAM_OWNERS}, .is_of_server = true,
    .step_count = gather_count, .step = gather_step, .piece = gather_piece};

const struct collective_algorithm collective_nvls_broadcast = {
    .name = "nvls", .kind = COLLECTIVE_BROADCAST, .summary = "the server's switches copy",
    .teams = {[TEAM_CALL] = TEAM_ROOT}, .is_of_server = true,
    .step_count = root_count, .step = broadcast_step, .piece = root_piece};

const struct collective_algorithm collective_nvls_reduce = {
    .name = "nvls", .kind = COLLECTIVE_REDUCE, .summary = "the server's switches combine",
    .teams = {[TEAM_CALL] = TEAM_ROOT}, .is_of_server = true,
    .step_count = root_count, .step = reduce_step, .piece = root_piece};

const struct collective_algorithm collective_sharp_all_reduce = {
    .name = "sharp", .kind = COLLECTIVE_ALL_REDUCE, .summary = "a tree of switches combines on the way up and copies down",
    .teams = {[TEAM_CALL] = TEAM_ALL},
    .step_count = root_count, .step = sharp_step, .piece = root_piece};

const struct collective_algorithm collective_sharp_reduce_scatter = {
    .name = "sharp", .kind = COLLECTIVE_REDUCE_SCATTER, .summary = "a tree of switches combines for each owner",
    .teams = {[TEAM_CALL] = TEAM_OWNERS},
    .step_count = nvls_count, .step = reduce_scatter_step, .piece = nvls_piece};

const struct collective_algorithm collective_sharp_all_gather = {
    .name = "sharp", .kind = COLLECTIVE_ALL_GATHER, .summary = "a tree of switches copies",
    .teams = {[TEAM_CALL] = TEAM_OWNERS},
    .step_count = gather_count, .step = gather_step, .piece = gather_piece};

const struct collective_algorithm collective_sharp_broadcast = {
    .name = "sharp", .kind = COLLECTIVE_BROADCAST, .summary = "a tree of switches copies",
    .teams = {[TEAM_CALL] = TEAM_ROOT},
    .step_count = root_count, .step = broadcast_step, .piece = root_piece};

const struct collective_algorithm collective_sharp_reduce = {
    .name = "sharp", .kind = COLLECTIVE_REDUCE, .summary = "a tree of switches combines on the way to the root",
    .teams = {[TEAM_CALL] = TEAM_ROOT},
    .step_count = root_count, .step = reduce_step, .piece = root_piece};

const struct collective_algorithm collective_nvls_sharp_all_reduce = {
    .name = "nvls_sharp", .kind = COLLECTIVE_ALL_REDUCE,
    .summary = "nvls in the server, a tree of switches across for each of its members",
    .teams = {[TEAM_SERVER] = TEAM_OWNERS, [TEAM_RAIL] = TEAM_ALL},
    .lane_count = three_lanes, .step_count = both_count, .step = both_step, .piece = both_piece};
