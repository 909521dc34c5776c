/* PAT, parallel aggregated trees (S. Jeaugey, PAT: a new algorithm for all-gather and reduce-scatter operations at scale,
 * 2025; NCCL since 2.23): one binomial tree a shard, all shifted alike, the far step first, when there is least to send.
 *
 *      all_gather   distance 2^(L-1), ..., 2, 1: member self sends on what came from self - t * 2 * distance, t = 0, 1, ...,
 *                   as far as the shard's tree reaches (t * 2 * distance + distance < n)
 *      reduce_scatter   the same arrows turned, the near step first
 *
 * Scope: a message carries as many shards as fit into chunk_bytes (at least one): with large chunks log2(n) messages, with
 * small ones the linear phase of PAT, in which trees follow each other. All (n-1) shards are sent once by every member.
 * Not modelled: NCCL's exact interleaving of the trees; the time of the reduction itself. */
#include "netsim/replay/collective.h"

static uint64_t shard_bytes_of(const struct collective_call *call, bool is_gather)
{
    return is_gather ? call->bytes : (call->bytes + call->members - 1) / call->members;
}

static uint64_t shards_a_message(const struct collective_call *call, bool is_gather)
{
    uint64_t bytes = shard_bytes_of(call, is_gather);
    return bytes == 0 || bytes > call->chunk_bytes ? 1 : call->chunk_bytes / bytes;
}

/* Shards that are sent over this distance. */
static uint64_t shards_at(const struct collective_call *call, uint64_t distance)
{
    return (call->members - 1 - distance) / (2 * distance) + 1;
}

static uint64_t messages_at(const struct collective_call *call, bool is_gather, uint64_t distance)
{
    return (shards_at(call, distance) - 1) / shards_a_message(call, is_gather) + 1;
}

/* A message: of this distance the number-th; `before`: messages of the distances that come before. */
struct pat {
    uint64_t distance, number, before;
};

static uint64_t distance_at(const struct collective_call *call, bool is_gather, uint32_t level)
{
    return UINT64_C(1) << (is_gather ? log2_ceil(call->members) - 1 - level : level);
}

static struct pat pat_of(const struct collective_call *call, bool is_gather, uint64_t k)
{
    struct pat pat = {0};
    for (uint32_t level = 0;; level++) {
        pat.distance = distance_at(call, is_gather, level);
        uint64_t messages = messages_at(call, is_gather, pat.distance);
        if (k < pat.before + messages) {
            pat.number = k - pat.before;
            return pat;
        }
        pat.before += messages;
    }
}

static uint64_t steps_of(const struct collective_call *call, bool is_gather)
{
    uint64_t steps = 0;
    for (uint32_t level = 0; level < log2_ceil(call->members); level++) {
        steps += messages_at(call, is_gather, distance_at(call, is_gather, level));
    }
    return steps;
}

/* Number of the message in which shard t of this distance is sent, counted over all distances. */
static uint64_t message_of(const struct collective_call *call, uint64_t distance, uint64_t t)
{
    uint64_t before = 0;
    for (uint64_t farther = UINT64_C(1) << (log2_ceil(call->members) - 1); farther > distance; farther /= 2) {
        before += messages_at(call, true, farther);
    }
    return before + t / shards_a_message(call, true);
}

/* Receives that the shards of an all-gather's message have come with: shard t * 2d has come over the lowest bit of it. */
static uint64_t gather_needs(const struct collective_call *call, const struct pat *pat)
{
    uint64_t size = shards_a_message(call, true), count = shards_at(call, pat->distance), needs = 0;
    for (uint64_t t = pat->number * size; t < count && t < (pat->number + 1) * size; t++) {
        if (t == 0) {
            continue;
        }
        uint64_t way = t * 2 * pat->distance, last = way & -way;
        uint64_t with = message_of(call, last, (way - last) / (2 * last)) + 1;
        needs = with > needs ? with : needs;
    }
    return needs;
}

static bool gather_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                         struct collective_piece *piece)
{
    (void)lane;
    struct pat pat = pat_of(call, true, k);
    uint64_t size = shards_a_message(call, true), t = pat.number * size + index;
    *piece = piece_shard(call, member_at(call, call->self, -(int64_t)(t * 2 * pat.distance)));
    return index < size && t < shards_at(call, pat.distance);
}

static bool scatter_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                          struct collective_piece *piece)
{
    (void)lane;
    struct pat pat = pat_of(call, false, k);
    uint64_t size = shards_a_message(call, false), t = pat.number * size + index;
    uint32_t owner = member_at(call, call->self, -(int64_t)(t * 2 * pat.distance + pat.distance));
    *piece = piece_chunk(piece_all(call->bytes), owner, call->members);
    piece->is_added = true;
    return index < size && t < shards_at(call, pat.distance);
}

static void gather_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    (void)lane;
    struct pat pat = pat_of(call, true, k);
    uint64_t size = shards_a_message(call, true), left = shards_at(call, pat.distance) - pat.number * size;
    step->send_to = member_at(call, call->self, (int64_t)pat.distance);
    step->recv_from = member_at(call, call->self, -(int64_t)pat.distance);
    step->send_bytes = (left < size ? left : size) * call->bytes;
    step->after_recv = gather_needs(call, &pat);
}

static void scatter_step(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    struct pat pat = pat_of(call, false, k);
    struct collective_piece piece;
    step->send_to = member_at(call, call->self, -(int64_t)pat.distance);
    step->recv_from = member_at(call, call->self, (int64_t)pat.distance);
    for (uint64_t index = 0; scatter_piece(call, lane, k, index, &piece); index++) {
        step->send_bytes += piece.bytes;
    }
    step->after_recv = pat.before;
}

static uint64_t gather_count(const struct collective_call *call, uint32_t lane)
{
    (void)lane;
    return steps_of(call, true);
}

static uint64_t scatter_count(const struct collective_call *call, uint32_t lane)
{
    (void)lane;
    return steps_of(call, false);
}

const struct collective_algorithm collective_pat_all_gather = {
    .name = "pat", .kind = COLLECTIVE_ALL_GATHER, .summary = "binomial tree a shard, far first, aggregated",
    .step_count = gather_count, .step = gather_step, .piece = gather_piece};

const struct collective_algorithm collective_pat_reduce_scatter = {
    .name = "pat", .kind = COLLECTIVE_REDUCE_SCATTER, .summary = "binomial tree a chunk, near first, aggregated",
    .step_count = scatter_count, .step = scatter_step, .piece = scatter_piece};
