/* Choices in the order of time: by a sorting network where the keys of all have room for their places, else lazy_sort. Part of
 * window_apart_body.h.
 *
 * A network of 128 places takes some 4 cycles an item, where dealing them to buckets takes 20. */
#include "netsim/engine/window_apart_deal_body.h"

#if SWITCH_LANES >= 8
enum { ORDER_BITS_MAX = SWITCH_LANES == 16 ? 8 : 7, ORDER_VECTORS_MAX = (1 << ORDER_BITS_MAX) / LANES };

/* Keys of 31 bits lose those above, which are 0, to their places; turned so that a comparison with sign will do. */
static __attribute__((noinline)) void order_places(const uint64_t *items, uint32_t count, uint32_t bits, lanes *v)
{
    int32_t *keys = (int32_t *)v;
    uint32_t vectors = (1u << bits) / LANES;
    for (uint32_t i = 0; i < count; i++) {
        keys[i] = (int32_t)(((uint32_t)(items[i] >> 33) << bits | i) ^ (uint32_t)INT32_MIN);
    }
    for (uint32_t i = count; i < vectors * LANES; i++) {
        keys[i] = INT32_MAX;
    }
}

INLINE void order_sort(lanes *from, uint32_t vectors)
{
    lanes v[ORDER_VECTORS_MAX];
    for (uint32_t i = 0; i < vectors; i++) {
        v[i] = from[i];
    }
    sort_block(v, vectors);
    for (uint32_t i = 0; i < vectors; i++) {
        from[i] = v[i];
    }
}

static bool order_by_network(const struct lazy *at)
{
    struct arrivals *arrivals = &at->worker->arrivals;
    uint32_t count = arrivals->count, bits = 32 - (uint32_t)__builtin_clz(count - 1);
    bits = bits < 5 ? 5 : bits;
    if (bits > ORDER_BITS_MAX || at->core->width_ps << (at->core->key_shift - 1) >> (32 - bits) != 0) {
        return false;
    }
    lanes v[ORDER_VECTORS_MAX];
    order_places(arrivals->items, count, bits, v);
    if (bits == 5) {
        order_sort(v, 32 / LANES);
    } else if (bits == 6) {
        order_sort(v, 64 / LANES);
    } else if (bits == 7) {
        order_sort(v, 128 / LANES);
    } else {
        order_sort(v, ORDER_VECTORS_MAX);
    }
    const uint32_t *places = (const uint32_t *)v;
    uint64_t *items = arrivals->items, *sorted = arrivals->spare;
    for (uint32_t i = 0; i < count; i++) {
        sorted[i] = items[places[i] & ((1u << bits) - 1)];
    }
    arrivals->spare = items;
    arrivals->items = sorted;
    return true;
}
#endif

/* What the choices among equals are made by, into `spare`: made at the choice, it would be what that waits for after each branch
 * that was predicted wrongly. Beside it, since in order of time hardly a sum has to wait for itself, what came. */
static void choices_hash(const struct lazy *at)
{
    const struct arrivals *arrivals = &at->worker->arrivals;
    struct chunk *const *chunks = at->worker->chunks;
    uint32_t *came_bytes = at->worker->came_bytes, count = arrivals->count;
    const uint64_t *items = arrivals->items, salt = at->node->salt;
    uint64_t *hashes = arrivals->spare;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t item = items[i];
        came_bytes[lazy_item_port(at->core, item)] += (uint32_t)item & PACKET_BYTES_MAX;
        hashes[i] = packet_path_hash(meta_packet(chunks, (uint32_t)item), salt); /* is_tree: no source routes */
    }
}

static void choices_order(const struct lazy *at)
{
    struct arrivals *arrivals = &at->worker->arrivals;
    bool is_done = false;
#if SWITCH_LANES >= 8
    is_done = arrivals->count > LANES && order_by_network(at);
#endif
    if (!is_done) {
        lazy_sort(at->core, &arrivals->items, &arrivals->spare, arrivals->count, 32 + at->core->key_shift);
    }
    choices_hash(at);
}
