/* A bump allocator over a list of growing blocks.
 *
 * Invariants:
 *   1. The first block of the list is the one that small requests are cut from; `cursor` and `end` lie in it,
 * or are NULL before the first small request.
 *   2. Bytes from `cursor` to `end` are zero: blocks come from calloc and nothing is handed out twice. Large
 *      blocks are mapped, so that untouched reserve costs address space and no memory: calloc would do that too,
 *      but not any more after large blocks have been freed (glibc's threshold follows them), and then clears all.
 *   3. A request that would waste most of a block gets a block of its own behind the first, so that one large
 *      array does not strand the room left in the current block.
 *   4. After arena_use_huge_pages requests are cut from large blocks, but for those that are a large part of one: these have
 *      small pages, since much of a large table may stay untouched.
 *   5. An arena within another is in the parent's list of children until it ends; the parent's end is its own.
 * Threads may allocate from one arena: a spin lock is taken, since a request is short and two rarely meet. */
#include "photonet/arena.h"
#include "photonet/status.h"

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BLOCK_BYTES_MIN ((size_t)8 << 10) /* a thousand small arenas of 64 KiB were 67 MB to clear */
#define LARGE_BYTES     ((size_t)64 << 20) /* addresses; memory comes with the first use of a page */
#define PAGE_BYTES      ((size_t)2 << 20)  /* a huge one */
#ifdef __SANITIZE_ADDRESS__
#define MAP_BYTES_MIN SIZE_MAX /* mapped blocks have no guards */
#else
#define MAP_BYTES_MIN ((size_t)256 << 10)
#endif
#define ALIGN_LARGE     ((size_t)64) /* a cache line, and the width of an AVX-512 register */
#define ALIGN_SMALL     ((size_t)16) /* max_align_t on the machines we know */
#define GROW_COUNT_MIN  ((size_t)8)

struct block {
    struct block *next; /* owned */
    size_t mapped_bytes; /* 0: from calloc */
};

struct arena {
    struct block *blocks; /* owned */
    struct arena *parent; /* borrowed, NULL for one on its own */
    struct arena *children, *next_sibling, **sibling_link; /* children are owned */
    char *cursor;
    char *end;
    size_t block_bytes_next;
    size_t used_bytes;
    size_t reserved_bytes;
    bool is_large; /* blocks have LARGE_BYTES from now on */
    const char *purpose; /* borrowed; a literal in practice */
    atomic_flag is_locked;
};

static _Noreturn void memory_out(size_t count, size_t bytes_each, const char *purpose)
{
    fflush(stdout);
    if (count == 1) {
        fprintf(stderr, "photonet: out of memory: %zu bytes for %s\n", bytes_each, purpose);
    } else {
        fprintf(stderr, "photonet: out of memory: %zu items of %zu bytes for %s\n", count, bytes_each,
                purpose);
    }
    _exit(STATUS_MEMORY); /* handlers of exit() would want memory too */
}

static void *system_take(size_t bytes, const char *purpose)
{
    void *memory = calloc(1, bytes);
    if (memory == NULL) {
        memory_out(1, bytes, purpose);
    }
    return memory;
}

struct arena *arena_new(const char *purpose)
{
    struct arena *arena = system_take(sizeof *arena, purpose);
    arena->purpose = purpose;
    arena->block_bytes_next = BLOCK_BYTES_MIN;
    return arena;
}

struct arena *arena_new_within(struct arena *parent, const char *purpose)
{
    struct arena *arena = arena_new(purpose);
    arena->parent = parent;
    arena->next_sibling = parent->children;
    arena->sibling_link = &parent->children;
    if (arena->next_sibling != NULL) {
        arena->next_sibling->sibling_link = &arena->next_sibling;
    }
    parent->children = arena;
    return arena;
}

static void parent_leave(struct arena *arena)
{
    *arena->sibling_link = arena->next_sibling;
    if (arena->next_sibling != NULL) {
        arena->next_sibling->sibling_link = arena->sibling_link;
    }
}

void arena_free(struct arena *arena)
{
    if (arena == NULL) {
        return;
    }
    while (arena->children != NULL) { /* as deep as arenas are nested: two in practice */
        arena_free(arena->children);
    }
    if (arena->parent != NULL) {
        parent_leave(arena);
    }
    for (struct block *block = arena->blocks; block != NULL;) {
        struct block *next = block->next;
        if (block->mapped_bytes > 0) {
            munmap(block, block->mapped_bytes);
        } else {
            free(block);
        }
        block = next;
    }
    free(arena);
}

void arena_use_huge_pages(struct arena *arena)
{
    arena->is_large = MAP_BYTES_MIN < LARGE_BYTES;
}

static size_t padding_bytes(const char *cursor, size_t align)
{
    return (size_t)(-(uintptr_t)cursor & (align - 1));
}

static struct block *block_take(struct arena *arena, size_t bytes)
{
    arena->reserved_bytes += bytes;
    if (bytes < MAP_BYTES_MIN) {
        return system_take(bytes, arena->purpose);
    }
    struct block *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) {
        memory_out(1, bytes, arena->purpose);
    }
    block->mapped_bytes = bytes;
    if (arena->is_large && bytes == LARGE_BYTES) {
        char *first = (char *)block + padding_bytes((char *)block, PAGE_BYTES), *end = (char *)block + bytes;
        madvise(first, (size_t)(end - first) / PAGE_BYTES * PAGE_BYTES, MADV_HUGEPAGE); /* may fail: then it is only slower */
    }
    return block;
}

static void *own_block_alloc(struct arena *arena, size_t bytes, size_t align)
{
    struct block *block = block_take(arena, sizeof *block + align + bytes);
    if (arena->blocks == NULL) {
        arena->blocks = block;
    } else {
        block->next = arena->blocks->next;
        arena->blocks->next = block;
    }
    char *start = (char *)(block + 1);
    return start + padding_bytes(start, align);
}

static void current_block_replace(struct arena *arena)
{
    size_t bytes = arena->is_large ? LARGE_BYTES : arena->block_bytes_next;
    struct block *block = block_take(arena, bytes);
    block->next = arena->blocks;
    arena->blocks = block;
    arena->cursor = (char *)(block + 1);
    arena->end = (char *)block + bytes;
    if (bytes < LARGE_BYTES) {
        arena->block_bytes_next = bytes * 2;
    }
}

/* The largest request that is cut from a block, rather than to get one of its own. */
static size_t part_bytes_max(const struct arena *arena)
{
    return arena->is_large ? LARGE_BYTES / 16 : arena->block_bytes_next / 4;
}

static void *take(struct arena *arena, size_t bytes)
{
    size_t taken = bytes > 0 ? bytes : 1;
    size_t align = bytes >= ALIGN_LARGE ? ALIGN_LARGE : ALIGN_SMALL;
    if (taken > SIZE_MAX / 2) {
        memory_out(1, bytes, arena->purpose);
    }
    arena->used_bytes += bytes;
    size_t padding = padding_bytes(arena->cursor, align);
    if ((size_t)(arena->end - arena->cursor) < padding + taken) {
        if (taken > part_bytes_max(arena)) {
            return own_block_alloc(arena, taken, align);
        }
        current_block_replace(arena);
        padding = padding_bytes(arena->cursor, align);
    }
    char *memory = arena->cursor + padding;
    arena->cursor = memory + taken;
    return memory;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    while (atomic_flag_test_and_set_explicit(&arena->is_locked, memory_order_acquire)) {
        sched_yield();
    }
    void *memory = take(arena, bytes);
    atomic_flag_clear_explicit(&arena->is_locked, memory_order_release);
    return memory;
}

void *arena_alloc_array(struct arena *arena, size_t count, size_t bytes_each)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, bytes_each, &bytes)) {
        memory_out(count, bytes_each, arena->purpose);
    }
    return arena_alloc(arena, bytes);
}

char *arena_strndup(struct arena *arena, const char *text, size_t length)
{
    size_t kept = strnlen(text, length);
    char *copy = arena_alloc(arena, kept + 1);
    memcpy(copy, text, kept);
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return arena_strndup(arena, text, strlen(text));
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    assert(format != NULL);
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    assert(length >= 0);
    char *text = arena_alloc(arena, (size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

size_t arena_used_bytes(const struct arena *arena)
{
    return arena->used_bytes;
}

size_t arena_reserved_bytes(const struct arena *arena)
{
    return arena->reserved_bytes - (arena->is_large ? (size_t)(arena->end - arena->cursor) : 0);
}

void *arena_grow(struct arena *arena, const void *items, size_t count, size_t *capacity, size_t bytes_each)
{
    if (*capacity > SIZE_MAX / 2) {
        memory_out(*capacity, bytes_each, arena->purpose);
    }
    *capacity = *capacity < GROW_COUNT_MIN ? GROW_COUNT_MIN : *capacity * 2;
    void *grown = arena_alloc_array(arena, *capacity, bytes_each);
    if (count > 0) {
        memcpy(grown, items, count * bytes_each);
    }
    return grown;
}
