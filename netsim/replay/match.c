#include "netsim/replay/match.h"

#include "netsim/base/rng.h"

struct match_entry {
    struct match_key key;
    uint32_t value;
    bool is_used;
};

static uint32_t home_of(const struct match_table *table, struct match_key key)
{
    uint64_t hash = rng_mix(key.key[0] ^ rng_mix(key.key[1] + RNG_STEP * key.src_rank));
    return (uint32_t)hash & (table->capacity - 1);
}

static bool key_equal(struct match_key a, struct match_key b)
{
    return a.key[0] == b.key[0] && a.key[1] == b.key[1] && a.src_rank == b.src_rank;
}

static void entry_place(struct match_table *table, struct match_key key, uint32_t value)
{
    uint32_t at = home_of(table, key);
    while (table->entries[at].is_used) {
        DASSERT(!key_equal(table->entries[at].key, key));
        at = (at + 1) & (table->capacity - 1);
    }
    table->entries[at] = (struct match_entry){key, value, true};
}

static void table_grow(struct match_table *table, struct arena *arena)
{
    struct match_table old = *table;
    table->capacity = old.capacity == 0 ? 8 : old.capacity * 2;
    table->entries = arena_array(arena, table->capacity, struct match_entry);
    for (uint32_t i = 0; i < old.capacity; i++) {
        if (old.entries[i].is_used) {
            entry_place(table, old.entries[i].key, old.entries[i].value);
        }
    }
}

void match_put(struct match_table *table, struct arena *arena, struct match_key key, uint32_t value)
{
    if (2 * (table->count + 1) > table->capacity) {
        table_grow(table, arena);
    }
    entry_place(table, key, value);
    table->count++;
}

/* Closes the hole at `at`: an entry behind it moves in unless its home lies between the hole and itself. */
static void hole_close(struct match_table *table, uint32_t at)
{
    uint32_t mask = table->capacity - 1;
    for (uint32_t from = (at + 1) & mask; table->entries[from].is_used; from = (from + 1) & mask) {
        uint32_t home = home_of(table, table->entries[from].key);
        if (((from - home) & mask) >= ((from - at) & mask)) {
            table->entries[at] = table->entries[from];
            at = from;
        }
    }
    table->entries[at].is_used = false;
}

bool match_take(struct match_table *table, struct match_key key, uint32_t *value)
{
    if (table->count == 0) {
        return false;
    }
    for (uint32_t at = home_of(table, key); table->entries[at].is_used; at = (at + 1) & (table->capacity - 1)) {
        if (key_equal(table->entries[at].key, key)) {
            *value = table->entries[at].value;
            hole_close(table, at);
            table->count--;
            return true;
        }
    }
    return false;
}

void match_visit(const struct match_table *table,
                 void (*visit)(void *context, struct match_key key, uint32_t value), void *context)
{
    for (uint32_t i = 0; i < table->capacity; i++) {
        if (table->entries[i].is_used) {
            visit(context, table->entries[i].key, table->entries[i].value);
        }
    }
}
