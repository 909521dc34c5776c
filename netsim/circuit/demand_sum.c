/* A job posts the same few pairs over and over, so bytes are added up in a hash table of pairs; rows are made at the
 * end, sorted, so that they do not depend on the order of the calls. */
#include "netsim/circuit/planner.h"

#include "netsim/base/rng.h"

#include <stdlib.h>

struct entry {
    uint64_t pair; /* src << 32 | dst, plus 1; 0 = free */
    uint64_t bytes;
};

struct demand_builder {
    struct arena *arena;
    uint32_t host_count;
    uint32_t count, slot_count;
    struct entry *slots;
};

struct demand_builder *demand_builder_new(struct arena *arena, uint32_t host_count)
{
    struct demand_builder *builder = arena_one(arena, struct demand_builder);
    builder->arena = arena;
    builder->host_count = host_count;
    builder->slot_count = 256;
    builder->slots = arena_array(arena, builder->slot_count, struct entry);
    return builder;
}

static struct entry *slot_of(struct demand_builder *builder, uint64_t pair)
{
    uint32_t slot = (uint32_t)rng_mix(pair) & (builder->slot_count - 1);
    while (builder->slots[slot].pair != 0 && builder->slots[slot].pair != pair) {
        slot = (slot + 1) & (builder->slot_count - 1);
    }
    return &builder->slots[slot];
}

static void slots_double(struct demand_builder *builder)
{
    struct entry *old = builder->slots;
    uint32_t old_count = builder->slot_count;
    builder->slot_count *= 2;
    builder->slots = arena_array(builder->arena, builder->slot_count, struct entry);
    for (uint32_t i = 0; i < old_count; i++) {
        if (old[i].pair != 0) {
            *slot_of(builder, old[i].pair) = old[i];
        }
    }
}

void demand_add(struct demand_builder *builder, uint32_t src, uint32_t dst, uint64_t bytes)
{
    assert(src < builder->host_count && dst < builder->host_count && src != dst);
    if (2 * builder->count >= builder->slot_count) {
        slots_double(builder);
    }
    struct entry *entry = slot_of(builder, ((uint64_t)src << 32 | dst) + 1);
    builder->count += entry->pair == 0;
    entry->pair = ((uint64_t)src << 32 | dst) + 1;
    entry->bytes += bytes;
}

static int by_pair(const void *first, const void *second)
{
    const struct entry *a = first, *b = second;
    return a->pair < b->pair ? -1 : a->pair > b->pair;
}

const struct demand *demand_build(struct demand_builder *builder)
{
    struct entry *list = arena_array(builder->arena, builder->count, struct entry);
    uint32_t *first = arena_array(builder->arena, (size_t)builder->host_count + 1, uint32_t);
    uint32_t *dst = arena_array(builder->arena, builder->count, uint32_t);
    uint64_t *bytes = arena_array(builder->arena, builder->count, uint64_t);
    uint32_t count = 0;
    for (uint32_t i = 0; i < builder->slot_count; i++) {
        if (builder->slots[i].pair != 0) {
            list[count++] = builder->slots[i];
        }
    }
    qsort(list, count, sizeof *list, by_pair);
    for (uint32_t i = 0; i < count; i++) {
        first[((list[i].pair - 1) >> 32) + 1]++;
        dst[i] = (uint32_t)(list[i].pair - 1);
        bytes[i] = list[i].bytes;
    }
    for (uint32_t host = 0; host < builder->host_count; host++) {
        first[host + 1] += first[host];
    }
    struct demand *demand = arena_one(builder->arena, struct demand);
    *demand = (struct demand){builder->host_count, first, dst, bytes};
    return demand;
}
