/* The inbox of a switch whose ports are served one after the other: taken, routed and dealt into a batch per port, what has an
 * adaptive choice into a list of its own. Part of window_apart_body.h. */
#include "netsim/engine/window_apart_scan_body.h"

/* ---- dealing ---------------------------------------------------------------------------------------------- */

/* Output ports of GROUP packets in a tree; port_count where there is a choice by backlog. */
INLINE void group_choose(const struct window_node *node, const struct packet *packets, int32_t *outs)
{
    const words_loose *in = (const words_loose *)packets;
    words low = EVEN((words)in[0], (words)in[1]);
    const struct route *route = &node->route;
    words into = (low & splat_word(WORD_HOST_MASK)) - splat_word(route->down_first); /* wraps below */
    words is_down = (words)(into < splat_word(route->down_last - route->down_first));
    words child = product(into & splat_word(WORD_HOST_MASK), splat_word(node->stride_reciprocal)) >> node->stride_shift;
    uint32_t up = route->up_count == 1 ? route->up_port : node->port_count;
    words out = (is_down & (splat_word(route->down_port) + child)) | (~is_down & splat_word(up));
    *(half_loose *)outs = __builtin_convertvector(out, half);
}

/* Of a group within a chunk. */
INLINE void chunk_choose(const struct lazy *at, const struct chunk *chunk, uint32_t first, int32_t *outs)
{
    if (at->is_adaptive) {
        group_choose(at->node, &chunk->packets[first], outs);
    } else if (__builtin_expect(at->node->is_tree, 1)) {
        group_route(at->node, &chunk->packets[first], outs);
    } else {
        for (uint32_t i = 0; i < GROUP && first + i < chunk->count; i++) {
            outs[i] = (int32_t)(node_route(at->core, at->node, &chunk->packets[first + i]) - at->node->port_first);
        }
    }
}

/* What is to be dealt to the batches, gathered from many chunks: where a chunk ends nobody can predict. */
enum { DEALT_MAX = 8 * CHUNK_PACKETS };
struct dealt {
    uint64_t items[DEALT_MAX + CHUNK_PACKETS]; /* as lazy_item, but for the last bit, which does not matter; below it a meta */
    int32_t outs[DEALT_MAX + CHUNK_PACKETS];
    uint32_t count;
};

static void dealt_flush(const struct lazy *at, struct dealt *dealt)
{
    /* The compiler must not suspect these stores of changing the worker. */
    struct worker *worker = at->worker;
    uint32_t *counts = worker->batch_count, *came_bytes = worker->came_bytes, end = dealt->count;
    struct apart_batch *batches = worker->apart_batches;
    uint32_t port_mask = (1u << (at->core->key_shift - 1)) - 1;
    for (uint32_t i = 0; i < end; i++) {
        uint32_t key = (uint32_t)(dealt->items[i] >> 33), meta = (uint32_t)dealt->items[i], out = (uint32_t)dealt->outs[i];
        uint32_t count = counts[out];
        came_bytes[key & port_mask] += meta & PACKET_BYTES_MAX;
        counts[out] = count + 1;
        if (__builtin_expect(count >= BATCH_PACKETS, 0)) {
            apart_more_put(worker, out, (int32_t)key, meta);
            continue;
        }
        batches[out].keys[count] = (int32_t)key;
        batches[out].metas[count] = meta;
    }
    dealt->count = 0;
}

/* As items: those with a choice behind `choices`, whose new end it returns, the others behind what is to be dealt. */
#if SWITCH_LANES == 16
INLINE uint64_t *group_part(const struct lazy *at, const struct chunk *chunk, uint32_t first, uint32_t meta_chunk,
                            struct dealt *dealt, uint64_t *choices)
{
    struct worker *worker = at->worker;
    const words_loose *in = (const words_loose *)&chunk->packets[first];
    int32_t outs[GROUP] __attribute__((aligned(32)));
    chunk_choose(at, chunk, first, outs);
    __m512i high = (__m512i)ODD((words)in[0], (words)in[1]), lane = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    __m512i size = _mm512_and_si512(_mm512_srli_epi64(high, WORD_SIZE_SHIFT), _mm512_set1_epi64(PACKET_BYTES_MAX));
    __m512i key = _mm512_cvtepu32_epi64(_mm256_loadu_si256((const __m256i *)&chunk->keys[first]));
    __m512i meta = _mm512_add_epi64(_mm512_slli_epi64(lane, META_SIZE_BITS),
                                    _mm512_set1_epi64(meta_chunk | first << META_SIZE_BITS));
    __m512i item = _mm512_or_si512(_mm512_slli_epi64(_mm512_srli_epi64(key, 1), 33), _mm512_or_si512(meta, size));
    __m256i out = _mm256_load_si256((const __m256i *)outs);
    uint32_t here = chunk->count - first < GROUP ? (1u << (chunk->count - first)) - 1 : (1u << GROUP) - 1;
    uint32_t has_size = simd_mask_bits(_mm512_test_epi64_mask(size, size)) & here;
    uint32_t is_choice = simd_mask_bits(_mm256_cmpeq_epi32_mask(out, _mm256_set1_epi32((int32_t)at->node->port_count)));
    for (uint32_t frames = here & ~has_size; frames != 0; frames &= ~(1u << (31 - __builtin_clz(frames)))) { /* C3 */
        uint32_t at_lane = first + 31 - (uint32_t)__builtin_clz(frames);
        frame_add(worker, chunk->keys[at_lane], &chunk->packets[at_lane]);
    }
    uint32_t choice_bits = has_size & is_choice, other_bits = has_size & ~is_choice;
    _mm512_storeu_si512(choices, _mm512_maskz_compress_epi64((__mmask8)choice_bits, item));
    _mm512_storeu_si512(&dealt->items[dealt->count], _mm512_maskz_compress_epi64((__mmask8)other_bits, item));
    _mm256_storeu_si256((__m256i *)&dealt->outs[dealt->count], _mm256_maskz_compress_epi32((__mmask8)other_bits, out));
    dealt->count += (uint32_t)__builtin_popcount(other_bits);
    return choices + __builtin_popcount(choice_bits);
}
#else
INLINE uint64_t *group_part(const struct lazy *at, const struct chunk *chunk, uint32_t first, uint32_t meta_chunk,
                            struct dealt *dealt, uint64_t *choices)
{
    struct worker *worker = at->worker;
    int32_t outs[GROUP], none = (int32_t)at->node->port_count;
    uint32_t end = chunk->count - first < GROUP ? chunk->count - first : GROUP;
    chunk_choose(at, chunk, first, outs);
    for (uint32_t i = end; i-- > 0;) { /* newest first (C3) */
        uint32_t lane = first + i, size = (uint32_t)chunk->packets[lane].size_bytes;
        if (__builtin_expect(size == 0, 0)) {
            frame_add(worker, chunk->keys[lane], &chunk->packets[lane]);
            continue;
        }
        uint64_t item = (uint64_t)(chunk->keys[lane] >> 1) << 33 | meta_chunk | lane << META_SIZE_BITS | size;
        *choices = dealt->items[dealt->count] = item;
        dealt->outs[dealt->count] = outs[i];
        choices += outs[i] == none;
        dealt->count += outs[i] != none;
    }
    return choices;
}
#endif

/* The groups of a chunk, the newest first (C3). */
INLINE uint64_t *chunk_part(const struct lazy *at, const struct chunk *chunk, uint32_t chunk_id, struct dealt *dealt,
                            uint64_t *choices)
{
    uint32_t meta_chunk = chunk_id << (META_LANE_BITS + META_SIZE_BITS);
    for (uint32_t first = (chunk->count + GROUP - 1) / GROUP * GROUP; first > 0; first -= GROUP) {
        choices = group_part(at, chunk, first - GROUP, meta_chunk, dealt, choices);
    }
    if (__builtin_expect(dealt->count > DEALT_MAX - GROUP, 0)) {
        dealt_flush(at, dealt);
    }
    return choices;
}

/* Takes the inbox; how many packets it had. */
static uint32_t apart_take(const struct lazy *at, uint32_t node_id)
{
    struct worker *worker = at->worker;
    struct arrivals *arrivals = &worker->arrivals;
    struct dealt dealt;
    uint32_t chunk_count = 0, packet_count = 0;
    arrivals->count = worker->frames.count = worker->left.count = dealt.count = 0;
    for (uint32_t i = 0; i < at->core->worker_count; i++) {
        struct chunk *chunk = inbox_take(&at->core->workers[i], node_id, worker->slot);
        worker->taken[i] = chunk;
        for (; chunk != NULL; chunk = chunk->older) {
            if (chunk_count == worker->chunk_capacity) {
                apart_chunks_reserve(worker);
            }
            worker->chunks[chunk_count] = chunk;
            next_chunk_prefetch(worker);
            arrivals_reserve(worker, arrivals->count + CHUNK_PACKETS + GROUP);
            uint64_t *end = chunk_part(at, chunk, chunk_count++, &dealt, &arrivals->items[arrivals->count]);
            arrivals->count = (uint32_t)(end - arrivals->items);
            packet_count += chunk->count;
        }
    }
    dealt_flush(at, &dealt);
    return packet_count;
}
