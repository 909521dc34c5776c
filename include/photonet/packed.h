/* Numbers in as few bytes as they need: for tables of millions of rows that are written once and walked in order.
 *
 *     block [ item | item | item | room ] ──► block [ item | item | ... ]        no copy on growth
 *
 * A number is written in base 128, lowest digits first, the top bit saying that more follow: 1 byte below 128, at most
 * 10. Signed ones are folded first (0, -1, 1, -2, ...), so that small ones of either sign are short. What goes together
 * is an item, which lies in one piece; it may as well hold numbers as they are. */
#ifndef PHOTONET_PACKED_H
#define PHOTONET_PACKED_H

#include "photonet/arena.h"

#include <stdbool.h>
#include <string.h>

#define PACKED_NUMBER_BYTES_MAX 10
#define PACKED_BLOCK_BYTES_MIN  ((size_t)64 << 10) /* doubling, */
#define PACKED_BLOCK_BYTES_MAX  ((size_t)1 << 20)  /* so far */

struct packed_block {
    struct packed_block *next;
    uint8_t *end; /* of the items */
    size_t capacity;
    uint8_t bytes[];
};

struct packed {
    struct arena *arena;
    struct packed_block *first, *last;
    uint8_t *at, *limit; /* in `last` */
};

/* The next block, one that an earlier use has left or a new one. */
static inline uint8_t *packed_block_next(struct packed *packed, size_t bytes)
{
    struct packed_block *left = packed->last != NULL ? packed->last->next : packed->first;
    if (left == NULL || left->capacity < bytes) {
        size_t capacity = packed->last != NULL ? 2 * packed->last->capacity : PACKED_BLOCK_BYTES_MIN;
        capacity = capacity < PACKED_BLOCK_BYTES_MAX ? capacity : PACKED_BLOCK_BYTES_MAX;
        capacity = capacity < bytes ? bytes : capacity;
        struct packed_block *made =
            (struct packed_block *)arena_alloc(packed->arena, sizeof(struct packed_block) + capacity);
        made->capacity = capacity;
        made->next = left;
        left = made;
    }
    if (packed->last != NULL) {
        packed->last->end = packed->at;
        packed->last->next = left;
    } else {
        packed->first = left;
    }
    packed->last = left;
    packed->limit = left->bytes + left->capacity;
    return packed->at = left->bytes;
}

/* Room for an item of at most so many bytes; packed_end says where it ended. */
static inline uint8_t *packed_room(struct packed *packed, size_t bytes)
{
    return (size_t)(packed->limit - packed->at) >= bytes ? packed->at : packed_block_next(packed, bytes);
}

static inline void packed_end(struct packed *packed, uint8_t *at)
{
    packed->at = at;
}

/* Empty again; the blocks are kept. */
static inline void packed_clear(struct packed *packed)
{
    packed->last = NULL;
    packed->at = packed->limit = NULL;
}

static inline uint8_t *packed_put(uint8_t *at, uint64_t number)
{
    for (; number >= 0x80; number >>= 7) {
        *at++ = (uint8_t)(number | 0x80);
    }
    *at++ = (uint8_t)number;
    return at;
}

static inline uint8_t *packed_put_signed(uint8_t *at, int64_t number)
{
    return packed_put(at, (uint64_t)number << 1 ^ (uint64_t)(number >> 63));
}

static inline const uint8_t *packed_get(const uint8_t *at, uint64_t *number)
{
    uint64_t sum = *at & 0x7fu;
    for (unsigned shift = 7; (*at++ & 0x80) != 0; shift += 7) {
        sum |= (uint64_t)(*at & 0x7fu) << shift;
    }
    *number = sum;
    return at;
}

static inline const uint8_t *packed_get_u32(const uint8_t *at, uint32_t *number)
{
    uint64_t wide;
    at = packed_get(at, &wide);
    *number = (uint32_t)wide;
    return at;
}

static inline const uint8_t *packed_get_signed(const uint8_t *at, int64_t *number)
{
    uint64_t folded;
    at = packed_get(at, &folded);
    *number = (int64_t)(folded >> 1) ^ -(int64_t)(folded & 1);
    return at;
}

/* From the first item on. Start with `packed` alone set; where packed_walk_on is true there is an item at `at`, and
 * whoever has read it sets `at` to its end. Ask no more once it was false. */
struct packed_walk {
    const struct packed *packed;
    const struct packed_block *block;
    const uint8_t *at, *end;
};

static inline bool packed_walk_on(struct packed_walk *walk)
{
    while (walk->at == walk->end) {
        walk->block = walk->block == NULL ? walk->packed->first
                      : walk->block != walk->packed->last ? walk->block->next : NULL;
        if (walk->block == NULL || walk->packed->last == NULL) {
            return false;
        }
        walk->at = walk->block->bytes;
        walk->end = walk->block == walk->packed->last ? walk->packed->at : walk->block->end;
    }
    return true;
}

#endif
