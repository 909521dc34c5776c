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

INLINE void chunk_choose(const struct lazy *at, const struct chunk *chunk, int32_t *outs)
{
    if (!at->is_adaptive) {
        chunk_route(at->core, at->node, chunk, outs);
        return;
    }
    for (uint32_t first = 0; first < chunk->count; first += GROUP) {
        group_choose(at->node, &chunk->packets[first], outs + first);
    }
}

/* What has a choice is dealt to no port, but put into the list behind `choices`; the new end of it. */
INLINE uint64_t *apart_deal(const struct lazy *at, const struct chunk *chunk, uint32_t chunk_id, uint64_t *choices)
{
    struct worker *worker = at->worker;
    int32_t outs[CHUNK_PACKETS];
    chunk_choose(at, chunk, outs);
    uint32_t *counts = worker->batch_count, *came_bytes = worker->came_bytes, none = at->node->port_count;
    struct apart_batch *batches = worker->apart_batches;
    uint32_t meta_chunk = chunk_id << (META_LANE_BITS + META_SIZE_BITS), port_mask = (1u << (at->core->key_shift - 1)) - 1;
    for (uint32_t lane = chunk->count; lane-- > 0;) { /* newest first (C3) */
        uint32_t key = chunk->keys[lane] >> 1, size = (uint32_t)chunk->packets[lane].size_bytes, out = (uint32_t)outs[lane];
        uint32_t meta = meta_chunk | lane << META_SIZE_BITS | size, count;
        if (__builtin_expect(size == 0, 0)) {
            frame_add(worker, chunk->keys[lane], &chunk->packets[lane]);
            continue;
        }
        came_bytes[key & port_mask] += size;
        *choices = (uint64_t)key << 33 | meta; /* as lazy_item, and whole does not matter */
        choices += out == none;
        count = counts[out];
        counts[out] = count + 1;
        if (__builtin_expect(count >= BATCH_PACKETS, 0)) {
            apart_more_put(worker, out, (int32_t)key, meta);
            continue;
        }
        batches[out].keys[count] = (int32_t)key;
        batches[out].metas[count] = meta;
    }
    counts[none] = 0;
    return choices;
}

/* Takes the inbox; how many packets it had. */
static uint32_t apart_take(const struct lazy *at, uint32_t node_id)
{
    struct worker *worker = at->worker;
    struct arrivals *arrivals = &worker->arrivals;
    uint32_t chunk_count = 0, packet_count = 0;
    arrivals->count = worker->frames.count = worker->left.count = 0;
    for (uint32_t i = 0; i < at->core->worker_count; i++) {
        struct chunk *chunk = inbox_take(&at->core->workers[i], node_id, worker->slot);
        worker->taken[i] = chunk;
        for (; chunk != NULL; chunk = chunk->older) {
            if (chunk_count == worker->chunk_capacity) {
                apart_chunks_reserve(worker);
            }
            worker->chunks[chunk_count] = chunk;
            next_chunk_prefetch(worker);
            arrivals_reserve(worker, arrivals->count + CHUNK_PACKETS + 1);
            uint64_t *end = apart_deal(at, chunk, chunk_count++, &arrivals->items[arrivals->count]);
            arrivals->count = (uint32_t)(end - arrivals->items);
            packet_count += chunk->count;
        }
    }
    return packet_count;
}
