/* Memory that lives as long as a run.
 *
 * One run owns one arena; what is in it is never freed singly, so there is no ownership to follow inside a
 * run. Blocks grow geometrically from malloc (the only caller of it in the project). All memory is zeroed.
 * Out of memory ends the process with one line that names the size and the purpose, and STATUS_MEMORY. */
#ifndef PHOTONET_ARENA_H
#define PHOTONET_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct arena;

struct arena *arena_new(const char *purpose);
/* An arena that ends with `parent` at the latest: for what may be given back earlier, whoever fails on the way. */
struct arena *arena_new_within(struct arena *parent, const char *purpose);
void arena_free(struct arena *arena); /* NULL is allowed */

/* Zeroed, aligned to 64 bytes where bytes >= 64, else to 16. bytes == 0 gives a unique valid pointer. */
void *arena_alloc(struct arena *arena, size_t bytes);

/* From now on in huge pages where the system has them, for what is gone through again and again and is many megabytes: with
 * small ones every second step to something else misses the TLB. Up to a huge page more of memory is used. */
void arena_use_huge_pages(struct arena *arena);

/* count * bytes_each with an overflow check. */
void *arena_alloc_array(struct arena *arena, size_t count, size_t bytes_each);
#define arena_array(arena, count, type) ((type *)arena_alloc_array((arena), (count), sizeof(type)))
#define arena_one(arena, type) ((type *)arena_alloc((arena), sizeof(type)))

char *arena_strdup(struct arena *arena, const char *text);
char *arena_strndup(struct arena *arena, const char *text, size_t length);
__attribute__((format(printf, 2, 3))) char *arena_printf(struct arena *arena, const char *format, ...);

/* Bytes handed out so far, and bytes taken from the system. */
size_t arena_used_bytes(const struct arena *arena);
size_t arena_reserved_bytes(const struct arena *arena);

/* A growing array inside an arena. `items` is a pointer lvalue, `count` and `capacity` size_t lvalues:
 *     vec_push(arena, items, count, capacity) = item;
 * Growth doubles and leaves the old copy behind: at most as many bytes again as the array holds. */
#define vec_push(arena, items, count, capacity)                                                               \
    (*((count) == (capacity)                                                                                  \
           ? ((items) = arena_grow((arena), (items), (count), &(capacity), sizeof *(items)), &(items)[(count)++]) \
           : &(items)[(count)++]))
void *arena_grow(struct arena *arena, const void *items, size_t count, size_t *capacity, size_t bytes_each);

#endif
