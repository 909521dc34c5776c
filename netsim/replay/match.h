/* Messages that came before anybody asked, and receives that were posted before the message came.
 *
 * One table a rank: open addressing with linear probing, a power of two of 32-byte entries at most half full,
 * removal by shifting back (no tombstones, so a table that is used forever does not slow down). Typical load: 0 to
 * 8 entries, since a ring's neighbour is at most a few steps ahead. */
#ifndef PHOTONET_MATCH_H
#define PHOTONET_MATCH_H

#include "photonet/arena.h"
#include "photonet/status.h"

#include <stdbool.h>

struct match_key {
    uint64_t key[2];
    uint32_t src_rank;
};

#define MATCH_ARRIVED UINT32_MAX /* the message is here; any other value is the operation that waits for it */

struct match_table {
    struct match_entry *entries;
    uint32_t count, capacity;
};

/* The key must not be in the table. */
void match_put(struct match_table *table, struct arena *arena, struct match_key key, uint32_t value);

/* Removes the entry; false where there is none. */
bool match_take(struct match_table *table, struct match_key key, uint32_t *value);

/* Calls visit for every entry, in an order that depends on the content alone up to hashing. */
void match_visit(const struct match_table *table,
                 void (*visit)(void *context, struct match_key key, uint32_t value), void *context);

#endif
