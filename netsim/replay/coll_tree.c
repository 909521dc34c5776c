/* NCCL's double binary tree (Sanders, Speck, Traeff, Two-tree algorithms for full bandwidth broadcast, reduction and scan,
 * 2009): two trees in which an inner node of one is a leaf of the other, each with half of the bytes, up and down at once.
 *
 *      first tree of 8    0              The second is the mirror image (even count) or shifted by one (odd count); built
 *                         └► 4           from the bits of the numbers as in NCCL 2.30, src/graph/trees.cc.
 *                       2 ◄┴► 6
 *                     1◄┴►3 5◄┴►7
 *
 * Scope: the trees join servers; inside a server a chain leads from the member that stands in the tree through all others
 * (NCCL's intra-node chain), and which one that is turns with the channel. One server is one chain, members without servers
 * are trees alone. A channel belongs to one tree, so there are at least two, and moves its share in steps of chunk_bytes.
 * Lanes: tree 0 up, tree 0 down, tree 1 up, tree 1 down. Two steps a channel of a lane are under way (see coll_chain.c).
 * Bytes: every member but the root sends each byte up once, and every one receives it once: 2(n-1) buffers.
 * Not modelled: the time of the reduction itself. */
#include "netsim/replay/collective.h"

#define CHILDREN_MAX 3 /* NCCL_MAX_TREE_ARITY */
#define STEPS_UNDER_WAY 2

/* Neighbours in a tree, members or ID_NONE. */
struct kin {
    uint32_t parent, child[CHILDREN_MAX];
};

/* ---- the tree of `count` numbers, root 0 ------------------------------------------------------------------- */

static struct kin binary_kin(uint32_t count, uint32_t number)
{
    struct kin kin = {ID_NONE, {ID_NONE, ID_NONE, ID_NONE}};
    uint32_t bit = 1;
    while (bit < count && (bit & number) == 0) {
        bit <<= 1;
    }
    if (number == 0) {
        kin.child[1] = count > 1 ? bit >> 1 : ID_NONE;
        return kin;
    }
    uint32_t up = (number ^ bit) | (bit << 1);
    kin.parent = up < count ? up : number ^ bit;
    uint32_t low = bit >> 1;
    if (low > 0) {
        kin.child[0] = number - low;
        while (low > 0 && number + low >= count) {
            low >>= 1;
        }
        kin.child[1] = low > 0 ? number + low : ID_NONE;
    }
    return kin;
}

/* Number of the node in the second tree's numbering, and back: a mirror is its own inverse. */
static uint32_t turned(uint32_t count, uint32_t number, bool is_back)
{
    if (number == ID_NONE) {
        return ID_NONE;
    }
    if (count % 2 == 0) {
        return count - 1 - number;
    }
    return is_back ? (number + 1) % count : (number + count - 1) % count;
}

static struct kin double_kin(uint32_t count, uint32_t number, uint32_t tree)
{
    if (tree == 0) {
        return binary_kin(count, number);
    }
    struct kin kin = binary_kin(count, turned(count, number, false));
    kin.parent = turned(count, kin.parent, true);
    for (uint32_t i = 0; i < CHILDREN_MAX; i++) {
        kin.child[i] = turned(count, kin.child[i], true);
    }
    return kin;
}

/* ---- trees of servers, chains in them --------------------------------------------------------------------- */

/* A member of server `server`, `place` members behind the one in the tree of this channel. */
static uint32_t chain_member(const struct collective_call *call, uint32_t channel, uint32_t server, uint32_t place)
{
    return server == ID_NONE ? ID_NONE : server * call->local + (channel + place) % call->local;
}

static struct kin kin_of(const struct collective_call *call, uint32_t tree, uint32_t channel, uint32_t member)
{
    uint32_t local = call->local, server = member / local, place = (member % local + local - channel % local) % local;
    struct kin kin = {ID_NONE, {ID_NONE, ID_NONE, ID_NONE}};
    if (place > 0) {
        kin.parent = chain_member(call, channel, server, place - 1);
    } else {
        kin = double_kin(call->members / local, server, tree);
        kin.parent = chain_member(call, channel, kin.parent, 0);
        kin.child[0] = chain_member(call, channel, kin.child[0], 0);
        kin.child[1] = chain_member(call, channel, kin.child[1], 0);
    }
    kin.child[2] = place + 1 < local ? chain_member(call, channel, server, place + 1) : ID_NONE;
    return kin;
}

static uint32_t child_number(const struct collective_call *call, uint32_t tree, uint32_t channel, uint32_t parent,
                             uint32_t member)
{
    struct kin kin = kin_of(call, tree, channel, parent);
    return kin.child[0] == member ? 0 : kin.child[1] == member ? 1 : 2;
}

/* ---- steps ------------------------------------------------------------------------------------------------
 *
 * A lane has all channels of its tree and way, and a member may be a leaf in one and far from the leaves in another. Chunk
 * after chunk in turn, what is early would wait for what is late; so each channel is put off by the hops that its chunks have
 * behind them: chunk j of channel c comes at j + delay(c), and those of one moment by channel. A sender's delay is below
 * its receiver's, so no two members wait for each other. */

static uint32_t channels_of_tree(const struct collective_call *call)
{
    return call->channels < 2 ? 1 : call->channels / 2;
}

static uint32_t lane_count(const struct collective_call *call)
{
    (void)call;
    return 4;
}

/* Children that anybody has: in a chain one, in a tree without chains two. */
static uint32_t arity_of(const struct collective_call *call)
{
    return call->local == call->members ? 1 : call->local == 1 ? 2 : CHILDREN_MAX;
}

/* The child behind step i of arity; chains have child 2 only. */
static uint32_t child_at(const struct collective_call *call, const struct kin *kin, uint32_t i)
{
    return kin->child[call->local == call->members ? 2 : i];
}

static uint64_t shares_of(const struct collective_call *call)
{
    return 2 * (uint64_t)channels_of_tree(call);
}

static uint64_t chunks_of(const struct collective_call *call)
{
    return parts_of((call->bytes + shares_of(call) - 1) / shares_of(call), call->chunk_bytes);
}

/* Levels below and above a number of a tree. */
static uint32_t height_of(uint32_t count, uint32_t number)
{
    return number == 0 ? log2_ceil(count) : (uint32_t)__builtin_ctz(number);
}

static uint32_t depth_of(uint32_t count, uint32_t number)
{
    uint32_t depth = 0;
    for (; number != 0; number = binary_kin(count, number).parent) {
        depth++;
    }
    return depth;
}

/* Hops that a chunk has behind it where it comes to this member. */
static uint32_t delay_of(const struct collective_call *call, uint32_t tree, uint32_t channel, uint32_t member, bool is_down)
{
    uint32_t local = call->local, servers = call->members / local, server = member / local;
    uint32_t place = (member % local + local - channel % local) % local;
    uint32_t number = tree == 0 ? server : turned(servers, server, false);
    if (is_down) {
        return depth_of(servers, number) + place;
    }
    return local - 1 - place + (place == 0 ? height_of(servers, number) : 0);
}

/* One lane of one member. */
struct tree_lane {
    const struct collective_call *call;
    uint32_t tree, member;
    bool is_down;
    uint64_t chunks;
};

static struct tree_lane lane_of(const struct collective_call *call, uint32_t lane, uint32_t member)
{
    return (struct tree_lane){call, lane / 2, member, lane % 2 == 1, chunks_of(call)};
}

static uint32_t channel_at(const struct tree_lane *lane, uint32_t i)
{
    return 2 * i + lane->tree;
}

static uint64_t lane_delay(const struct tree_lane *lane, uint32_t i)
{
    return delay_of(lane->call, lane->tree, channel_at(lane, i), lane->member, lane->is_down);
}

/* Chunks of all channels before moment `when`, and of this moment those of channels before the i-th. */
static uint64_t chunks_before(const struct tree_lane *lane, uint64_t when, uint32_t i)
{
    uint64_t count = 0;
    for (uint32_t other = 0; other < channels_of_tree(lane->call); other++) {
        uint64_t end = when + (other < i), delay = lane_delay(lane, other);
        uint64_t passed = end > delay ? end - delay : 0;
        count += passed < lane->chunks ? passed : lane->chunks;
    }
    return count;
}

static uint64_t step_of(const struct tree_lane *lane, uint64_t chunk, uint32_t i)
{
    return chunks_before(lane, chunk + lane_delay(lane, i), i) * arity_of(lane->call);
}

struct tree_place {
    uint32_t tree, channel, i, number; /* number: of the channel in its lane */
    uint64_t chunk;
    bool is_down;
};

static struct tree_place place_of(const struct collective_call *call, uint32_t lane_id, uint64_t k)
{
    struct tree_lane lane = lane_of(call, lane_id, call->self);
    uint64_t wanted = k / arity_of(call), low = 0, high = lane.chunks + call->members;
    while (low + 1 < high) { /* the last moment before which there are not more */
        uint64_t middle = low + (high - low) / 2;
        *(chunks_before(&lane, middle, 0) <= wanted ? &low : &high) = middle;
    }
    uint64_t left = wanted - chunks_before(&lane, low, 0);
    uint32_t number = 0;
    for (;; number++) {
        uint64_t delay = lane_delay(&lane, number);
        bool is_now = low >= delay && low - delay < lane.chunks;
        if (is_now && left-- == 0) {
            return (struct tree_place){.tree = lane.tree, .channel = channel_at(&lane, number), .number = number,
                                       .i = (uint32_t)(k % arity_of(call)), .chunk = low - delay,
                                       .is_down = lane.is_down};
        }
    }
}

static uint64_t step_count(const struct collective_call *call, uint32_t lane)
{
    (void)lane;
    return chunks_of(call) * channels_of_tree(call) * arity_of(call);
}

static bool tree_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                       struct collective_piece *piece)
{
    struct tree_place place = place_of(call, lane, k);
    *piece = piece_chunk(piece_all(call->bytes), place.channel, shares_of(call));
    *piece = piece_part(*piece, place.chunk, call->chunk_bytes);
    piece->is_added = !place.is_down;
    return index == 0;
}

static void up_step(const struct collective_call *call, const struct tree_place *place, const struct kin *kin, uint64_t k,
                    struct collective_step *step)
{
    uint32_t arity = arity_of(call);
    step->recv_from = child_at(call, kin, place->i);
    step->after_recv = k + 1;
    if (place->i + 1 < arity || kin->parent == ID_NONE) {
        return;
    }
    uint32_t number = child_number(call, place->tree, place->channel, kin->parent, call->self);
    struct tree_lane there = lane_of(call, 2 * place->tree, kin->parent);
    step->send_to = kin->parent;
    step->send_as = step_of(&there, place->chunk, place->number) + (arity == 1 ? 0 : number);
}

/* The root passes down what has come up; the others what they have received as step 0 of the chunk. */
static void down_step(const struct collective_call *call, const struct tree_place *place, const struct kin *kin,
                      uint64_t k, struct collective_step *step)
{
    uint64_t first = k - place->i;
    step->recv_from = place->i == 0 ? kin->parent : ID_NONE;
    step->send_to = child_at(call, kin, place->i);
    if (step->send_to != ID_NONE) {
        struct tree_lane there = lane_of(call, 2 * place->tree + 1, step->send_to);
        step->send_as = step_of(&there, place->chunk, place->number);
    }
    struct tree_lane up = lane_of(call, 2 * place->tree, call->self);
    step->after_recv = kin->parent == ID_NONE ? 0 : first + 1;
    step->wait_lane = 2 * place->tree;
    step->wait_recv = kin->parent == ID_NONE ? step_of(&up, place->chunk, place->number) + arity_of(call) : 0;
}

static void tree_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    struct tree_place place = place_of(call, lane, k);
    struct kin kin = kin_of(call, place.tree, place.channel, call->self);
    struct collective_piece piece;
    (place.is_down ? down_step : up_step)(call, &place, &kin, k, step);
    tree_piece(call, lane, k, 0, &piece);
    step->send_bytes = step->send_to == ID_NONE ? 0 : piece.bytes;
    step->channel = place.channel;
    step->channels = (uint32_t)shares_of(call);
    uint64_t under_way = (uint64_t)STEPS_UNDER_WAY * channels_of_tree(call) * arity_of(call);
    step->after_send = k < under_way ? 0 : k - under_way + 1;
}

const struct collective_algorithm collective_tree_all_reduce = {
    .name = "tree", .kind = COLLECTIVE_ALL_REDUCE, .summary = "double binary tree of servers, chains inside",
    .lane_count = lane_count, .step_count = step_count, .step = tree_step, .piece = tree_piece};
