/* One program: from collected operations and edges to columns, reversed edges and the canonical order.
 *
 * The columns lie in one block, widest first, so that equal programs are equal bytes from duration_ps on:
 *
 *     8 bytes each   source_id, duration_ps, bytes
 *     4 bytes each   peer_delta, tag (not without messages), group_slot, root (not without collectives),
 *                    pairs (not without unequal parts), name, dep_first, dep
 *     2 bytes each   stream
 *     1 byte each    kind, collective, names
 *
 * The columns that are left out, and the order of programs that stand in order, are shared by all programs.
 */
#include "netsim/base/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* The block's columns while they can still be written. */
struct columns {
    uint64_t *duration_ps, *bytes, *source_id;
    int32_t *peer_delta;
    uint32_t *group_slot, *root, *pairs, *tag, *name, *dep_first, *dep;
    uint16_t *stream;
    uint8_t *kind, *collective;
    char *names;
};

static void *take(uint8_t **cursor, size_t count, size_t bytes_each)
{
    void *taken = *cursor;
    *cursor += count * bytes_each;
    return taken;
}

/* What decides the size of a block. */
struct shape {
    size_t ops, deps, names_bytes;
    bool has_messages, has_collectives, has_pairs;
};

static size_t block_bytes(const struct shape *shape)
{
    size_t op_bytes = 3 * sizeof(uint64_t) + 2 * sizeof(uint32_t) + sizeof(uint16_t) + 2 * sizeof(uint8_t);
    op_bytes += (shape->has_messages ? 2 : 0) * sizeof(uint32_t);
    op_bytes += (shape->has_collectives ? 2 : 0) * sizeof(uint32_t);
    op_bytes += (shape->has_pairs ? 1 : 0) * sizeof(uint32_t);
    return shape->ops * op_bytes + (shape->deps + 1) * sizeof(uint32_t) + shape->names_bytes;
}

/* Columns that the program has no use for become `zeros`. */
static void columns_place(uint8_t *block, const struct shape *shape, uint32_t *zeros, struct columns *at)
{
    uint8_t *cursor = block;
    size_t ops = shape->ops;
    at->source_id = take(&cursor, ops, sizeof(uint64_t));
    at->duration_ps = take(&cursor, ops, sizeof(uint64_t));
    at->bytes = take(&cursor, ops, sizeof(uint64_t));
    at->peer_delta = shape->has_messages ? take(&cursor, ops, sizeof(int32_t)) : (int32_t *)zeros;
    at->tag = shape->has_messages ? take(&cursor, ops, sizeof(uint32_t)) : zeros;
    at->group_slot = shape->has_collectives ? take(&cursor, ops, sizeof(uint32_t)) : zeros;
    at->root = shape->has_collectives ? take(&cursor, ops, sizeof(uint32_t)) : zeros;
    at->pairs = shape->has_pairs ? take(&cursor, ops, sizeof(uint32_t)) : zeros;
    at->name = take(&cursor, ops, sizeof(uint32_t));
    at->dep_first = take(&cursor, ops + 1, sizeof(uint32_t));
    at->dep = take(&cursor, shape->deps, sizeof(uint32_t));
    at->stream = take(&cursor, ops, sizeof(uint16_t));
    at->kind = take(&cursor, ops, sizeof(uint8_t));
    at->collective = take(&cursor, ops, sizeof(uint8_t));
    at->names = take(&cursor, shape->names_bytes, sizeof(char));
    assert((size_t)(cursor - block) == block_bytes(shape));
}

static void columns_publish(const struct columns *at, struct program *program)
{
    program->duration_ps = at->duration_ps;
    program->bytes = at->bytes;
    program->source_id = at->source_id;
    program->peer_delta = at->peer_delta;
    program->group_slot = at->group_slot;
    program->root = at->root;
    program->pairs = at->pairs;
    program->tag = at->tag;
    program->name = at->name;
    program->dep_first = at->dep_first;
    program->dep = at->dep;
    program->stream = at->stream;
    program->kind = at->kind;
    program->collective = at->collective;
    program->names = at->names;
}

/* ---- layout
 * ------------------------------------------------------------------------------------------------- */

/* Into (-ranks/2, ranks/2], so that a ring's last rank sends "one up" like the others. */
static int32_t delta_between(uint32_t from, uint32_t to, uint32_t ranks)
{
    int64_t delta = (int64_t)to - (int64_t)from;
    if (2 * delta > (int64_t)ranks) {
        delta -= (int64_t)ranks;
    } else if (2 * delta <= -(int64_t)ranks) {
        delta += (int64_t)ranks;
    }
    return (int32_t)delta;
}

static void op_store(const struct job_builder *builder, const struct shape *shape, size_t i,
                     const struct stored_op *op, const struct columns *at)
{
    bool is_message = op->kind == OP_SEND || op->kind == OP_RECV;
    at->kind[i] = op->kind;
    at->collective[i] = op->collective;
    at->stream[i] = op->stream;
    at->duration_ps[i] = op->duration_ps;
    at->bytes[i] = op->bytes;
    if (shape->has_messages) {
        uint32_t from = builder->rank, to = op->peer;
        at->peer_delta[i] = is_message ? delta_between(from, to, builder->rank_count) : 0;
        at->tag[i] = op->tag;
    }
    if (shape->has_collectives) {
        at->group_slot[i] = op->group_slot;
        at->root[i] = op->root;
    }
    if (shape->has_pairs) {
        at->pairs[i] = op->pairs;
    }
    at->source_id[i] = op->source_id;
    at->name[i] = op->name;
}

static void ops_store(const struct job_builder *builder, const struct shape *shape, const struct columns *at)
{
    struct op_walk walk = {0};
    struct stored_op op;
    for (size_t i = 0; op_walk_next(builder, &walk, &op); i++) {
        op_store(builder, shape, i, &op, at);
    }
    memcpy(at->names, builder->names, shape->names_bytes);
}

/* Puts the names into the order in which operations have them, as most readers give them. */
static void names_sort(const struct job_builder *builder, struct shape *shape, const struct columns *at)
{
    struct arena *scratch = arena_new("names of a rank in order");
    uint32_t *place = arena_array(scratch, shape->names_bytes, uint32_t), end = 1;
    for (size_t i = 0; i < shape->ops; i++) {
        uint32_t name = at->name[i];
        if (name != 0 && place[name] == 0) {
            const char *text = builder->names + name;
            size_t bytes = strlen(text) + 1;
            memcpy(at->names + end, text, bytes);
            place[name] = end;
            end += (uint32_t)bytes;
        }
        at->name[i] = place[name];
    }
    shape->names_bytes = end;
    arena_free(scratch);
}

/* Longer rows are sorted digit by digit. */
#define ROW_SHORT 32

static void row_insert(uint32_t *row, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        uint32_t item = row[i], at = i;
        for (; at > 0 && row[at - 1] > item; at--) {
            row[at] = row[at - 1];
        }
        row[at] = item;
    }
}

/* A counting sort for each byte in which the items differ. */
static void row_count_sort(uint32_t *row, uint32_t count, uint32_t *other)
{
    uint32_t differing = 0, *from = row, *to = other;
    for (uint32_t i = 1; i < count; i++) {
        differing |= row[i] ^ row[0];
    }
    for (unsigned shift = 0; shift < 32; shift += 8) {
        if ((differing >> shift & 0xff) == 0) {
            continue;
        }
        uint32_t first[257] = {0};
        for (uint32_t i = 0; i < count; i++) {
            first[(from[i] >> shift & 0xff) + 1]++;
        }
        for (unsigned byte = 0; byte < 256; byte++) {
            first[byte + 1] += first[byte];
        }
        for (uint32_t i = 0; i < count; i++) {
            to[first[from[i] >> shift & 0xff]++] = from[i];
        }
        uint32_t *swapped = from;
        from = to;
        to = swapped;
    }
    if (from != row) {
        memcpy(row, from, count * sizeof *row);
    }
}

/* Room to sort the longest row in. */
struct sorting {
    struct arena *arena;
    uint32_t *items;
    uint32_t capacity;
};

static void row_sort(uint32_t *row, uint32_t count, struct sorting *sorting)
{
    if (count <= ROW_SHORT) {
        row_insert(row, count);
        return;
    }
    if (sorting->capacity < count) {
        sorting->capacity = 2 * count;
        sorting->items = arena_array(sorting->arena, sorting->capacity, uint32_t);
    }
    row_count_sort(row, count, sorting->items);
}

/* Sorts a row unless it is sorted (it mostly is), cuts duplicates, returns what is left. */
static uint32_t row_clean(uint32_t *row, uint32_t count, struct sorting *sorting)
{
    bool is_sorted = true;
    for (uint32_t i = 1; i < count; i++) {
        is_sorted &= row[i - 1] <= row[i];
    }
    if (!is_sorted) {
        row_sort(row, count, sorting);
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (kept == 0 || row[i] != row[kept - 1]) {
            row[kept++] = row[i];
        }
    }
    return kept;
}

/* Dependencies to rows that may be in disorder: first[op] is where each ends. */
static void rows_fill(const struct job_builder *builder, size_t ops, uint32_t *first, uint32_t *dep)
{
    struct dep_walk counting = {0}, filling = {0};
    while (dep_walk_next(builder, &counting)) {
        assert(counting.op < ops && counting.on < ops);
        first[counting.op + 1]++;
    }
    for (size_t op = 0; op < ops; op++) {
        first[op + 1] += first[op];
    }
    while (dep_walk_next(builder, &filling)) {
        dep[first[filling.op]++] = filling.on;
    }
}

/* The same where the operations come in order, as most readers give them. */
static void rows_append(const struct job_builder *builder, size_t ops, uint32_t *first, uint32_t *dep)
{
    struct dep_walk walk = {0};
    uint32_t at = 0;
    size_t op = 0;
    while (dep_walk_next(builder, &walk)) {
        assert(walk.op < ops && walk.on < ops);
        for (; op < walk.op; op++) {
            first[op] = at;
        }
        dep[at++] = walk.on;
    }
    for (; op < ops; op++) {
        first[op] = at;
    }
}

/* Dependencies to compressed rows; returns how many are left without duplicates. */
static uint32_t deps_store(const struct job_builder *builder, uint32_t *first, uint32_t *dep)
{
    size_t ops = builder->collected.op_count;
    struct sorting sorting = {.arena = arena_new("sorting of dependencies")};
    (builder->collected.is_unsorted ? rows_fill : rows_append)(builder, ops, first, dep);
    uint32_t kept = 0, begin = 0;
    for (size_t op = 0; op < ops; op++) {
        uint32_t end = first[op], count = row_clean(dep + begin, end - begin, &sorting);
        if (kept != begin) {
            memmove(dep + kept, dep + begin, count * sizeof *dep);
        }
        first[op] = kept;
        kept += count;
        begin = end;
    }
    first[ops] = kept;
    arena_free(sorting.arena);
    return kept;
}

/* Larger blocks are not copied when they are kept: they have an arena of their own. */
#define BLOCK_SHARED_BYTES ((size_t)1 << 20)

static void block_reserve(struct job_builder *builder, size_t bytes)
{
    struct block *block = &builder->block;
    if (block->capacity < bytes) {
        arena_free(block->arena);
        block->arena = arena_new_within(builder->arena, "columns of a program");
        block->capacity = bytes > BLOCK_SHARED_BYTES ? bytes : 2 * bytes;
        block->bytes = arena_alloc(block->arena, block->capacity);
    }
}

/* At least `count` entries of zeros, or of 0, 1, 2, ...; older ones stay with the programs that have them. */
static uint32_t *zeros_reserve(struct job_builder *builder, size_t count)
{
    if (builder->shared_capacity < count) {
        size_t doubled = 2 * builder->shared_capacity;
        builder->shared_capacity = count > doubled ? count : doubled;
        builder->zeros = arena_array(builder->arena, builder->shared_capacity, uint32_t);
        builder->identity = NULL;
    }
    return builder->zeros;
}

static const uint32_t *identity_reserve(struct job_builder *builder, size_t count)
{
    zeros_reserve(builder, count);
    if (builder->identity == NULL) {
        builder->identity = arena_array(builder->arena, builder->shared_capacity, uint32_t);
        for (uint32_t i = 0; i < builder->shared_capacity; i++) {
            builder->identity[i] = i;
        }
    }
    return builder->identity;
}

/* Where there are messages, their columns stand right behind `bytes`; unequal parts right before the names. */
static struct shape program_shape(const struct program *program)
{
    const void *behind = program->bytes + program->op_count;
    return (struct shape){program->op_count,
                          program->dep_count,
                          program->names_bytes,
                          program->peer_delta == behind,
                          program->slot_count > 0,
                          program->pairs + program->op_count == program->name};
}

/* What is compared and hashed: everything behind source_id. */
static size_t compared_bytes(const struct program *program)
{
    struct shape shape = program_shape(program);
    return block_bytes(&shape) - program->op_count * sizeof *program->source_id;
}

void program_layout(struct job_builder *builder, struct program *program)
{
    const struct collected *collected = &builder->collected;
    struct shape shape = {collected->op_count,     collected->dep_count,      builder->name_pile.count,
                          collected->has_messages, collected->slot_count > 0, collected->has_pairs};
    assert(shape.ops < ID_NONE && shape.deps < ID_NONE && shape.names_bytes < ID_NONE);
    uint32_t *zeros = zeros_reserve(builder, shape.ops);
    struct columns at;
    block_reserve(builder, block_bytes(&shape));
    columns_place(builder->block.bytes, &shape, zeros, &at);
    memset(at.dep_first, 0, (shape.ops + 1) * sizeof *at.dep_first);
    shape.deps = deps_store(builder, at.dep_first, at.dep);

    /* The rows have shrunk by the duplicates: what follows them moves up. dep itself stays where it is. */
    columns_place(builder->block.bytes, &shape, zeros, &at);
    ops_store(builder, &shape, &at);
    if (builder->has_name_beyond || builder->names_used != shape.names_bytes) {
        names_sort(builder, &shape, &at);
    }
    builder->block.used = block_bytes(&shape);
    *program = (struct program){.op_count = (uint32_t)shape.ops,
                                .dep_count = (uint32_t)shape.deps,
                                .slot_count = collected->slot_count,
                                .names_bytes = (uint32_t)shape.names_bytes};
    columns_publish(&at, program);
    XXH64_hash_t seed = (uint64_t)program->op_count << 32 | program->dep_count;
    program->digest = XXH3_64bits_withSeed(program->duration_ps, compared_bytes(program), seed);
}

bool program_is_equal(const struct program *a, const struct program *b)
{
    if (a->digest != b->digest || a->op_count != b->op_count || a->dep_count != b->dep_count ||
        a->names_bytes != b->names_bytes || a->slot_count != b->slot_count ||
        compared_bytes(a) != compared_bytes(b)) {
        return false;
    }
    return memcmp(a->duration_ps, b->duration_ps, compared_bytes(a)) == 0;
}

/* ---- order
 * -------------------------------------------------------------------------------------------------- */

static void children_fill(struct program *program, uint32_t *first, uint32_t *child)
{
    for (uint32_t i = 0; i < program->dep_count; i++) {
        first[program->dep[i] + 1]++;
    }
    for (uint32_t op = 0; op < program->op_count; op++) {
        first[op + 1] += first[op];
    }
    for (uint32_t op = 0; op < program->op_count; op++) {
        for (uint32_t i = program->dep_first[op]; i < program->dep_first[op + 1]; i++) {
            child[first[program->dep[i]]++] = op;
        }
    }
    memmove(first + 1, first, program->op_count * sizeof *first);
    first[0] = 0;
    program->child_first = first;
    program->child = child;
}

/* A binary heap of operation numbers, lowest on top. */
struct heap {
    uint32_t *item;
    uint32_t count;
};

static void heap_push(struct heap *heap, uint32_t item)
{
    uint32_t at = heap->count++;
    for (; at > 0 && heap->item[(at - 1) / 2] > item; at = (at - 1) / 2) {
        heap->item[at] = heap->item[(at - 1) / 2];
    }
    heap->item[at] = item;
}

static uint32_t heap_pop(struct heap *heap)
{
    uint32_t top = heap->item[0], item = heap->item[--heap->count], at = 0;
    for (uint32_t child; (child = 2 * at + 1) < heap->count; at = child) {
        child += child + 1 < heap->count && heap->item[child + 1] < heap->item[child];
        if (heap->item[child] >= item) {
            break;
        }
        heap->item[at] = heap->item[child];
    }
    heap->item[at] = item;
    return top;
}

static bool is_in_order(const struct program *program)
{
    for (uint32_t op = 0; op < program->op_count; op++) {
        for (uint32_t i = program->dep_first[op]; i < program->dep_first[op + 1]; i++) {
            if (program->dep[i] >= op) {
                return false;
            }
        }
    }
    return true;
}

/* Kahn's algorithm; `waiting` counts the dependencies that are not done. Returns how many operations can run.
 */
static uint32_t order_fill(const struct program *program, uint32_t *order, uint32_t *waiting,
                           uint32_t *heap_items)
{
    struct heap heap = {heap_items, 0};
    uint32_t done = 0;
    for (uint32_t op = 0; op < program->op_count; op++) {
        waiting[op] = program->dep_first[op + 1] - program->dep_first[op];
        if (waiting[op] == 0) {
            heap_push(&heap, op);
        }
    }
    while (heap.count > 0) {
        uint32_t op = heap_pop(&heap);
        order[op] = done++;
        for (uint32_t i = program->child_first[op]; i < program->child_first[op + 1]; i++) {
            if (--waiting[program->child[i]] == 0) {
                heap_push(&heap, program->child[i]);
            }
        }
    }
    return done;
}

static uint32_t waits_for(const struct program *program, const uint32_t *waiting, uint32_t op)
{
    for (uint32_t i = program->dep_first[op]; i < program->dep_first[op + 1]; i++) {
        if (waiting[program->dep[i]] > 0) {
            return program->dep[i];
        }
    }
    return ID_NONE;
}

static enum status cycle_report(const struct program *program, const uint32_t *waiting, const char *path,
                                struct diag *diag)
{
    uint32_t op = 0, length = 1;
    while (waiting[op] == 0) {
        op++;
    }
    for (uint32_t step = 0; step < program->op_count; step++) {
        op = waits_for(program, waiting, op); /* after so many steps it is on the cycle */
    }
    uint32_t next = waits_for(program, waiting, op);
    for (uint32_t at = next; at != op; at = waits_for(program, waiting, at)) {
        length++;
    }
    struct op_text a, b;
    struct origin origin = {.path = path};
    if (length == 1) {
        return diag_input(diag, origin, "%s depends on itself; expected dependencies without a cycle",
                          op_describe(program, op, &a));
    }
    return diag_input(diag, origin,
                      "%s depends on itself through %s, a cycle of %u operations; expected none",
                      op_describe(program, op, &a), op_describe(program, next, &b), length);
}

static void block_keep(struct job_builder *builder, struct program *program)
{
    struct block *block = &builder->block;
    if (block->capacity > BLOCK_SHARED_BYTES) {
        *block = (struct block){0}; /* it ends with the job's arena */
        return;
    }
    uint8_t *kept = arena_alloc(builder->arena, block->used);
    memcpy(kept, block->bytes, block->used);
    struct columns at;
    struct shape shape = program_shape(program);
    columns_place(kept, &shape, builder->zeros, &at);
    columns_publish(&at, program);
}

enum status program_keep(struct job_builder *builder, struct program *program, const char *path,
                         struct diag *diag)
{
    uint32_t ops = program->op_count;
    block_keep(builder, program);
    children_fill(program, arena_array(builder->arena, (size_t)ops + 1, uint32_t),
                  arena_array(builder->arena, program->dep_count, uint32_t));
    if (is_in_order(program)) {
        program->order = identity_reserve(builder, ops);
        return STATUS_OK;
    }
    uint32_t *order = arena_array(builder->arena, ops, uint32_t);
    program->order = order;
    struct arena *scratch = arena_new("order of a program");
    uint32_t *waiting = arena_array(scratch, ops, uint32_t);
    uint32_t done = order_fill(program, order, waiting, arena_array(scratch, ops, uint32_t));
    enum status status = done == ops ? STATUS_OK : cycle_report(program, waiting, path, diag);
    arena_free(scratch);
    return status;
}

void program_sequence(const struct program *program, uint32_t *sequence)
{
    for (uint32_t op = 0; op < program->op_count; op++) {
        sequence[program->order[op]] = op;
    }
}

const char *op_describe(const struct program *program, uint32_t op, struct op_text *text)
{
    const char *name = op_name(program, op);
    unsigned long long id = program->source_id[op];
    if (name[0] == '\0') {
        snprintf(text->text, sizeof text->text, "%s node %llu", op_kind_name(program->kind[op]), id);
    } else {
        snprintf(text->text, sizeof text->text, "%s node %llu \"%.120s\"", op_kind_name(program->kind[op]),
                 id, name);
    }
    return text->text;
}
