#include "netsim/engine/group.h"

#include "netsim/base/rng.h"

void combine_table_init(struct combine_table *table, struct arena *arena, uint32_t entries_max)
{
    uint32_t capacity = 2;
    while (capacity < 2 * (uint64_t)entries_max) {
        capacity *= 2;
    }
    *table = (struct combine_table){.entries = arena_array(arena, capacity, struct combine_entry), .mask = capacity - 1};
}

static uint32_t place_of(const struct combine_table *table, uint64_t key)
{
    uint32_t at = (uint32_t)rng_mix(key) & table->mask;
    while (table->entries[at].key != 0 && table->entries[at].key != key) {
        at = (at + 1) & table->mask;
    }
    return at;
}

/* What follows moves up where it may, so that no search ends too early. */
static void entry_remove(struct combine_table *table, uint32_t at)
{
    table->used--;
    table->entries[at].key = 0;
    for (uint32_t next = (at + 1) & table->mask; table->entries[next].key != 0; next = (next + 1) & table->mask) {
        struct combine_entry entry = table->entries[next];
        table->entries[next].key = 0;
        table->entries[place_of(table, entry.key)] = entry;
    }
}

bool combine_add(struct combine_table *table, uint32_t group, uint32_t seq, uint32_t fan_in)
{
    uint64_t key = ((uint64_t)group << 24 | seq) + 1;
    uint32_t at = place_of(table, key);
    struct combine_entry *entry = &table->entries[at];
    if (entry->key == 0) {
        assert(2 * (table->used + 1) <= table->mask + 1); /* entries_max */
        table->used++;
        *entry = (struct combine_entry){key, 0};
    }
    if (++entry->count < fan_in) {
        return false;
    }
    entry_remove(table, at);
    return true;
}
