/* The rank that is being built: its operations, dependencies and names until they become columns.
 *
 *     operation   head  amount  [source id]  [name]  [stream]  what its kind has        9 to 14 bytes, mostly
 *     dependency  operation - that of the last one, operation - what it waits for      2 bytes, packed
 *     names       texts in the order in which they came, each once, and a hash table over them
 *
 * Numbers of operations stand as they are, in four bytes or none where they are small or usual: in base 128 they would
 * take a third less and twice the time. */
#include "netsim/base/job.h"

#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* What a large rank has taken is given back, what a small one has is used again. */
#define KEPT_BYTES ((size_t)1 << 20)

/* ---- names
 * -------------------------------------------------------------------------------------------------- */

#define NAME_SLOTS_MIN 64

static void name_slots_clear(struct job_builder *builder)
{
    struct pile *slots = &builder->name_slot_pile;
    if (slots->capacity * sizeof *builder->name_slots > KEPT_BYTES) {
        arena_free(slots->arena);
        builder->name_slots = NULL;
        *slots = (struct pile){0};
    } else if (slots->count > 0) {
        memset(builder->name_slots, 0, slots->capacity * sizeof *builder->name_slots);
    }
    slots->count = 0;
}

void names_seal(struct job_builder *builder)
{
    if (builder->name_slot_pile.capacity * sizeof *builder->name_slots > KEPT_BYTES) {
        name_slots_clear(builder);
    }
}

void names_clear(struct job_builder *builder)
{
    struct pile *names = &builder->name_pile;
    if (names->capacity > KEPT_BYTES) {
        arena_free(names->arena);
        *names = (struct pile){0};
        builder->names = NULL;
    }
    names->count = 0;
    builder->names_used = 1;
    builder->has_name_beyond = false;
    name_slots_clear(builder);
}

static void names_append(struct job_builder *builder, const char *name, size_t bytes)
{
    struct pile *pile = &builder->name_pile;
    while (pile->capacity - pile->count <= bytes) {
        builder->names = pile_grow(builder->arena, pile, builder->names, 1);
    }
    memcpy(builder->names + pile->count, name, bytes);
    builder->names[pile->count + bytes] = '\0';
    pile->count += bytes + 1;
}

/* The texts are not looked at: their hashes are there. */
static void name_slots_grow(struct job_builder *builder)
{
    struct pile *pile = &builder->name_slot_pile;
    const struct name_slot *from = builder->name_slots;
    size_t from_capacity = pile->capacity;
    struct arena *old = pile->arena;
    pile->arena = arena_new_within(builder->arena, "names of a rank's operations");
    pile->capacity = from_capacity == 0 ? NAME_SLOTS_MIN : 2 * from_capacity;
    struct name_slot *to = builder->name_slots = arena_array(pile->arena, pile->capacity, struct name_slot);
    for (size_t i = 0; i < from_capacity; i++) {
        size_t at = from[i].hash & (pile->capacity - 1);
        while (from[i].at != 0 && to[at].at != 0) {
            at = (at + 1) & (pile->capacity - 1);
        }
        to[at] = from[i].at != 0 ? from[i] : to[at];
    }
    arena_free(old);
}

uint32_t job_builder_name(struct job_builder *builder, const char *text, size_t bytes)
{
    assert(builder->rank != ID_NONE);
    bytes = bytes == 0 ? 0 : strnlen(text, bytes);
    if (bytes == 0) {
        return 0;
    }
    struct pile *pile = &builder->name_slot_pile;
    if (4 * (pile->count + 1) > 3 * pile->capacity) {
        name_slots_grow(builder);
    }
    uint32_t hash = (uint32_t)XXH3_64bits(text, bytes);
    size_t at = hash & (pile->capacity - 1);
    for (struct name_slot *slot; (slot = &builder->name_slots[at])->at != 0; at = (at + 1) & (pile->capacity - 1)) {
        const char *there = builder->names + slot->at;
        if (slot->hash == hash && strncmp(there, text, bytes) == 0 && there[bytes] == '\0') {
            return slot->at;
        }
    }
    assert(builder->name_pile.count + bytes < ID_NONE);
    builder->name_slots[at] = (struct name_slot){hash, (uint32_t)builder->name_pile.count};
    pile->count++;
    names_append(builder, text, bytes);
    return builder->name_slots[at].at;
}

/* Of many names, the slot is seldom in a cache: fetching it meanwhile saves a tenth of the time to read small nodes. */
void job_builder_name_expect(const struct job_builder *builder, const char *text, size_t bytes)
{
    if (builder->name_slot_pile.capacity > 0) {
        uint32_t hash = (uint32_t)XXH3_64bits(text, bytes);
        __builtin_prefetch(&builder->name_slots[hash & (builder->name_slot_pile.capacity - 1)], 1);
    }
}

const char *job_builder_name_text(const struct job_builder *builder, uint32_t name_id)
{
    assert(name_id < builder->name_pile.count);
    return builder->names + name_id;
}

/* Columns have the names in the order of the operations: is this the one that follows those in use? */
static void name_use(struct job_builder *builder, uint32_t name)
{
    if (name == builder->names_used) {
        builder->names_used += strlen(builder->names + name) + 1;
    } else if (name > builder->names_used) {
        builder->has_name_beyond = true;
    }
}

/* ---- operations
 * --------------------------------------------------------------------------------------------- */

enum { HEAD_KIND = 7, HEAD_SOURCE = 1 << 3, HEAD_NAME = 1 << 4, HEAD_STREAM = 1 << 5, HEAD_WIDE = 1 << 6 };
#define OP_BYTES_MAX 64

#define PUT(at_, value_) ((uint8_t *)memcpy((at_), &(value_), sizeof(value_)) + sizeof(value_))
#define GET(at_, value_) (memcpy(&(value_), (at_), sizeof(value_)), (at_) + sizeof(value_))

void collected_clear(struct job_builder *builder)
{
    struct collected *collected = &builder->collected;
    struct collected kept = {.arena = collected->arena, .ops = collected->ops, .deps = collected->deps};
    packed_clear(&kept.ops);
    packed_clear(&kept.deps);
    if (collected->arena == NULL || arena_used_bytes(collected->arena) > KEPT_BYTES) {
        arena_free(collected->arena);
        kept = (struct collected){.arena = arena_new_within(builder->arena, "operations of a rank")};
        kept.ops.arena = kept.deps.arena = kept.arena;
    }
    *collected = kept;
    names_clear(builder);
}

void job_builder_rank(struct job_builder *builder, uint32_t rank)
{
    assert(builder->rank == ID_NONE && rank < builder->rank_count && builder->rank_program[rank] == ID_NONE);
    builder->rank = rank;
    collected_clear(builder);
    names_append(builder, "", 0);
}

static bool has_root(enum collective_kind kind)
{
    return kind == COLLECTIVE_REDUCE || kind == COLLECTIVE_GATHER || kind == COLLECTIVE_SCATTER ||
           kind == COLLECTIVE_BROADCAST;
}

static uint64_t pairs_mean(const struct job_builder *builder, uint32_t pairs)
{
    assert(pairs <= builder->pair_table_count);
    const struct pair_table *table = &builder->pair_tables[pairs - 1];
    return table->bytes_sum / table->members + (table->bytes_sum % table->members > 0);
}

static uint16_t stream_usual(enum op_kind kind)
{
    return kind == OP_COMPUTE || kind == OP_MEMORY ? STREAM_COMPUTE : STREAM_NONE;
}

/* The number that nearly every kind has. */
static uint64_t amount_of(const struct job_builder *builder, const struct op *op)
{
    if (op->kind == OP_COMPUTE || op->kind == OP_MEMORY) {
        return op->duration_ps;
    }
    if (op->kind != OP_COLLECTIVE) {
        return op->kind == OP_MARKER ? 0 : op->bytes;
    }
    bool has_pairs = op->collective == COLLECTIVE_ALL_TO_ALL && op->pairs != PAIRS_EQUAL;
    return op->collective == COLLECTIVE_BARRIER ? op->duration_ps : has_pairs ? pairs_mean(builder, op->pairs) : op->bytes;
}

static uint8_t *collective_pack(struct collected *collected, const struct op *op, uint8_t *at)
{
    uint8_t collective = (uint8_t)op->collective;
    uint32_t root = has_root(op->collective) ? op->root : 0;
    uint32_t pairs = op->collective == COLLECTIVE_ALL_TO_ALL ? op->pairs : PAIRS_EQUAL;
    collected->has_pairs = collected->has_pairs || pairs != PAIRS_EQUAL;
    collected->slot_count = op->group_slot >= collected->slot_count ? op->group_slot + 1 : collected->slot_count;
    at = PUT(at, collective);
    at = PUT(at, op->group_slot);
    at = PUT(at, root);
    return PUT(at, pairs);
}

/* Of the kind alone. What a kind of operation does not have is not stored, so that left-over values never tell programs
 * apart. */
static uint8_t *kind_pack(struct collected *collected, const struct op *op, uint8_t *at)
{
    switch (op->kind) {
    case OP_MEMORY:
        return PUT(at, op->bytes);
    case OP_COLLECTIVE:
        return collective_pack(collected, op, at);
    case OP_SEND:
    case OP_RECV:
        collected->has_messages = true;
        collected->peer_max = op->peer > collected->peer_max ? op->peer : collected->peer_max;
        at = PUT(at, op->peer);
        return PUT(at, op->tag);
    default:
        return at;
    }
}

/* What is stored as the stream of an operation; see program.h. */
static uint16_t stream_of(const struct op *op)
{
    bool is_free_send = op->kind == OP_SEND && op->stream == STREAM_COMPUTE;
    bool has_stream = op->kind == OP_COMPUTE || op->kind == OP_MEMORY || op->kind == OP_SEND;
    return has_stream && !is_free_send ? op->stream : STREAM_NONE;
}

uint32_t job_builder_op(struct job_builder *builder, const struct op *op)
{
    struct collected *collected = &builder->collected;
    assert(builder->rank != ID_NONE && (unsigned)op->kind < OP_KIND_COUNT);
    assert(op->kind != OP_COLLECTIVE || op->group_slot < builder->rank_slots[builder->rank].count);
    assert(op->kind != OP_COLLECTIVE || strcmp(collective_name(op->collective), "unknown") != 0);
    uint32_t name = op->name != NULL ? job_builder_name(builder, op->name, strlen(op->name)) : op->name_id;
    if (name != 0) {
        name_use(builder, name);
    }
    uint16_t stream = stream_of(op);
    uint64_t amount = amount_of(builder, op);
    bool has_source = op->source_id != collected->source_id + 1, has_stream = stream != stream_usual(op->kind);
    bool is_wide = amount > UINT32_MAX;
    uint32_t narrow = (uint32_t)amount;
    uint8_t *head = packed_room(&collected->ops, OP_BYTES_MAX), *at = head + 1;
    *head = (uint8_t)((unsigned)op->kind | (has_source ? HEAD_SOURCE : 0) | (name != 0 ? HEAD_NAME : 0) |
                      (has_stream ? HEAD_STREAM : 0) | (is_wide ? HEAD_WIDE : 0));
    at = is_wide ? PUT(at, amount) : PUT(at, narrow);
    at = has_source ? PUT(at, op->source_id) : at;
    at = name != 0 ? PUT(at, name) : at;
    at = has_stream ? PUT(at, stream) : at;
    packed_end(&collected->ops, kind_pack(collected, op, at));
    collected->source_id = op->source_id;
    return (uint32_t)collected->op_count++;
}

static const uint8_t *kind_unpack(const uint8_t *at, uint64_t amount, struct stored_op *op)
{
    switch ((enum op_kind)op->kind) {
    case OP_MEMORY:
        op->duration_ps = amount;
        return GET(at, op->bytes);
    case OP_COMPUTE:
        op->duration_ps = amount;
        return at;
    case OP_COLLECTIVE:
        at = GET(at, op->collective);
        *(op->collective == COLLECTIVE_BARRIER ? &op->duration_ps : &op->bytes) = amount;
        at = GET(at, op->group_slot);
        at = GET(at, op->root);
        return GET(at, op->pairs);
    case OP_SEND:
    case OP_RECV:
        op->bytes = amount;
        at = GET(at, op->peer);
        return GET(at, op->tag);
    default:
        return at;
    }
}

bool op_walk_next(const struct job_builder *builder, struct op_walk *walk, struct stored_op *op)
{
    walk->packed.packed = &builder->collected.ops;
    if (!packed_walk_on(&walk->packed)) {
        return false;
    }
    const uint8_t *at = walk->packed.at;
    uint8_t head = *at++;
    uint64_t amount;
    uint32_t narrow;
    *op = (struct stored_op){.kind = head & HEAD_KIND, .source_id = walk->source_id + 1};
    op->stream = stream_usual((enum op_kind)op->kind);
    if ((head & HEAD_WIDE) != 0) {
        at = GET(at, amount);
    } else {
        at = GET(at, narrow);
        amount = narrow;
    }
    at = (head & HEAD_SOURCE) != 0 ? GET(at, op->source_id) : at;
    at = (head & HEAD_NAME) != 0 ? GET(at, op->name) : at;
    at = (head & HEAD_STREAM) != 0 ? GET(at, op->stream) : at;
    walk->source_id = op->source_id;
    walk->packed.at = kind_unpack(at, amount, op);
    return true;
}

/* ---- dependencies
 * ------------------------------------------------------------------------------------------- */

void job_builder_dep(struct job_builder *builder, uint32_t op, uint32_t on)
{
    struct collected *collected = &builder->collected;
    assert(builder->rank != ID_NONE);
    uint8_t *at = packed_room(&collected->deps, 2 * PACKED_NUMBER_BYTES_MAX);
    at = packed_put_signed(at, (int64_t)op - (int64_t)collected->dep_op);
    packed_end(&collected->deps, packed_put_signed(at, (int64_t)op - (int64_t)on));
    collected->is_unsorted |= op < collected->dep_op;
    collected->dep_op = op;
    collected->dep_count++;
}
