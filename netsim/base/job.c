/* Jobs: names of kinds, the builder, and what is read off a finished job. */
#include "netsim/base/job.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* ---- names
 * -------------------------------------------------------------------------------------------------- */

const char *collective_name(enum collective_kind kind)
{
    static const char *const names[COLLECTIVE_KIND_COUNT] = {
        [COLLECTIVE_ALL_REDUCE] = "all_reduce", [COLLECTIVE_REDUCE] = "reduce",
        [COLLECTIVE_ALL_GATHER] = "all_gather", [COLLECTIVE_GATHER] = "gather",
        [COLLECTIVE_SCATTER] = "scatter",       [COLLECTIVE_BROADCAST] = "broadcast",
        [COLLECTIVE_ALL_TO_ALL] = "all_to_all", [COLLECTIVE_REDUCE_SCATTER] = "reduce_scatter",
        [COLLECTIVE_BARRIER] = "barrier",
    };
    bool is_known = (unsigned)kind < COLLECTIVE_KIND_COUNT && names[kind] != NULL;
    return is_known ? names[kind] : "unknown";
}

const char *op_kind_name(enum op_kind kind)
{
    static const char *const names[OP_KIND_COUNT] = {
        [OP_COMPUTE] = "compute", [OP_COLLECTIVE] = "collective", [OP_SEND] = "send",
        [OP_RECV] = "recv",       [OP_MEMORY] = "memory",         [OP_MARKER] = "marker",
    };
    return (unsigned)kind < OP_KIND_COUNT ? names[kind] : "unknown";
}

/* ---- digests
 * ------------------------------------------------------------------------------------------------ */

#define MAP_CAPACITY_MIN 64

static void map_put(struct digest_map *map, uint64_t key, uint32_t value)
{
    size_t at = (size_t)key & (map->capacity - 1);
    while (map->value[at] != ID_NONE) {
        at = (at + 1) & (map->capacity - 1);
    }
    map->key[at] = key;
    map->value[at] = value;
}

static void map_grow(struct digest_map *map, struct arena *arena)
{
    struct digest_map old = *map;
    map->capacity = old.capacity == 0 ? MAP_CAPACITY_MIN : 2 * old.capacity;
    map->key = arena_array(arena, map->capacity, uint64_t);
    map->value = arena_array(arena, map->capacity, uint32_t);
    memset(map->value, 0xff, map->capacity * sizeof *map->value);
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.value[i] != ID_NONE) {
            map_put(map, old.key[i], old.value[i]);
        }
    }
    map->count = old.count;
}

void digest_map_add(struct digest_map *map, struct arena *arena, uint64_t key, uint32_t value)
{
    if (2 * (map->count + 1) > map->capacity) {
        map_grow(map, arena);
    }
    map_put(map, key, value);
    map->count++;
}

uint32_t digest_map_next(const struct digest_map *map, uint64_t key, uint64_t *cursor)
{
    if (map->capacity == 0) {
        return ID_NONE;
    }
    for (;;) {
        size_t at = (size_t)(*cursor)++ & (map->capacity - 1);
        if (map->value[at] == ID_NONE || map->key[at] == key) {
            return map->value[at];
        }
    }
}

/* ---- the job's frame
 * ---------------------------------------------------------------------------------------- */

struct job_builder *job_builder_new(struct arena *arena, const char *name, const char *format,
                                    uint32_t rank_count)
{
    struct job_builder *builder = arena_one(arena, struct job_builder);
    builder->arena = arena;
    builder->name = arena_strdup(arena, name);
    builder->format = arena_strdup(arena, format);
    builder->rank_count = rank_count;
    builder->scale = builder->time_factor = 1.0;
    builder->full_rank_count = rank_count;
    builder->rank = ID_NONE;
    builder->rank_program = arena_array(arena, rank_count, uint32_t);
    memset(builder->rank_program, 0xff, rank_count * sizeof *builder->rank_program);
    builder->rank_path = arena_array(arena, rank_count, const char *);
    builder->rank_stamp = arena_array(arena, rank_count, uint32_t);
    builder->rank_slots = arena_array(arena, rank_count, struct slots);
    return builder;
}

void job_builder_scale(struct job_builder *builder, double scale)
{
    assert(scale > 0.0 && scale <= 1.0);
    builder->scale = scale;
}

void job_builder_sample(struct job_builder *builder, double time_factor, uint32_t full_rank_count)
{
    assert(time_factor > 0.0 && full_rank_count >= builder->rank_count);
    builder->time_factor = time_factor;
    builder->full_rank_count = full_rank_count;
}

void job_builder_note(struct job_builder *builder, const char *what, const char *action, uint64_t count,
                      uint64_t bytes)
{
    for (size_t i = 0; i < builder->note_count; i++) {
        struct import_note *note = &builder->notes[i];
        if (strcmp(note->what, what) == 0 && strcmp(note->action, action) == 0) {
            note->count += count;
            note->bytes += bytes;
            return;
        }
    }
    vec_push(builder->arena, builder->notes, builder->note_count, builder->note_capacity) =
        (struct import_note){arena_strdup(builder->arena, what), arena_strdup(builder->arena, action), count,
                             bytes};
}

/* ---- groups
 * ------------------------------------------------------------------------------------------------- */

static enum status members_check(struct job_builder *builder, const char *name, const uint32_t *ranks,
                                 uint32_t count, struct origin at, struct diag *diag)
{
    if (count == 0) {
        return diag_input(diag, at, "group \"%s\" names no rank; expected at least one", name);
    }
    uint32_t *stamps = builder->rank_stamp;
    uint32_t stamp = ++builder->group_checks;
    for (uint32_t i = 0; i < count; i++) {
        if (ranks[i] >= builder->rank_count) {
            return diag_input(diag, at, "group \"%s\" names rank %u; expected ranks below %u", name, ranks[i],
                              builder->rank_count);
        }
        if (stamps[ranks[i]] == stamp) {
            return diag_input(diag, at, "group \"%s\" names rank %u twice; expected each rank once", name,
                              ranks[i]);
        }
        stamps[ranks[i]] = stamp;
    }
    return STATUS_OK;
}

static uint32_t group_find(const struct job_builder *builder, uint64_t key, const char *name,
                           const uint32_t *ranks, uint32_t count)
{
    uint64_t cursor = key;
    for (uint32_t id; (id = digest_map_next(&builder->group_map, key, &cursor)) != ID_NONE;) {
        const struct group *group = &builder->groups[id];
        if (group->count == count && strcmp(group->name, name) == 0 &&
            memcmp(group->rank, ranks, count * sizeof *ranks) == 0) {
            return id;
        }
    }
    return ID_NONE;
}

static bool is_ascending(const uint32_t *ranks, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        if (ranks[i - 1] >= ranks[i]) {
            return false;
        }
    }
    return true;
}

enum status job_builder_group(struct job_builder *builder, const char *name, const uint32_t *ranks,
                              uint32_t count, struct origin at, uint32_t *group_id, struct diag *diag)
{
    enum status status = members_check(builder, name, ranks, count, at, diag);
    if (status != STATUS_OK) {
        return status;
    }
    uint64_t key = XXH3_64bits_withSeed(ranks, count * sizeof *ranks, XXH3_64bits(name, strlen(name)));
    *group_id = group_find(builder, key, name, ranks, count);
    if (*group_id != ID_NONE) {
        return STATUS_OK;
    }
    uint32_t *copy = arena_array(builder->arena, count, uint32_t);
    memcpy(copy, ranks, count * sizeof *ranks);
    *group_id = (uint32_t)builder->group_count;
    vec_push(builder->arena, builder->groups, builder->group_count, builder->group_capacity) =
        (struct group){arena_strdup(builder->arena, name), copy, count, is_ascending(ranks, count)};
    digest_map_add(&builder->group_map, builder->arena, key, *group_id);
    return STATUS_OK;
}

static int rank_compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static bool is_member(const struct group *group, uint32_t rank)
{
    if (group->is_ascending) { /* as nearly all are; a million ranks may ask */
        return bsearch(&rank, group->rank, group->count, sizeof rank, rank_compare) != NULL;
    }
    for (uint32_t i = 0; i < group->count; i++) {
        if (group->rank[i] == rank) {
            return true;
        }
    }
    return false;
}

uint32_t job_builder_slot(struct job_builder *builder, uint32_t rank, uint32_t group_id)
{
    assert(rank < builder->rank_count && group_id < builder->group_count);
    struct slots *slots = &builder->rank_slots[rank];
    for (size_t slot = 0; slot < slots->count; slot++) {
        if (slots->group[slot] == group_id) {
            return (uint32_t)slot;
        }
    }
    if (!is_member(&builder->groups[group_id], rank)) {
        return ID_NONE;
    }
    vec_push(builder->arena, slots->group, slots->count, slots->capacity) = group_id;
    return (uint32_t)slots->count - 1;
}

/* ---- unequal parts
 * ----------------------------------------------------------------------------------------- */

static uint32_t pairs_find(const struct job_builder *builder, uint64_t key, uint32_t members,
                           const uint64_t *bytes)
{
    uint64_t cursor = key;
    for (uint32_t id; (id = digest_map_next(&builder->pair_map, key, &cursor)) != ID_NONE;) {
        const struct pair_table *table = &builder->pair_tables[id];
        if (table->members == members &&
            memcmp(table->bytes, bytes, (size_t)members * members * sizeof *bytes) == 0) {
            return id;
        }
    }
    return ID_NONE;
}

uint32_t job_builder_pairs(struct job_builder *builder, uint32_t members, const uint64_t *bytes)
{
    size_t count = (size_t)members * members;
    uint64_t key = XXH3_64bits_withSeed(bytes, count * sizeof *bytes, members);
    uint32_t id = pairs_find(builder, key, members, bytes);
    if (id == ID_NONE) {
        uint64_t *copy = arena_array(builder->arena, count, uint64_t), sum = 0;
        for (size_t i = 0; i < count; i++) {
            copy[i] = bytes[i];
            sum += bytes[i];
        }
        id = (uint32_t)builder->pair_table_count;
        vec_push(builder->arena, builder->pair_tables, builder->pair_table_count,
                 builder->pair_table_capacity) = (struct pair_table){members, sum, copy};
        digest_map_add(&builder->pair_map, builder->arena, key, id);
    }
    return id + 1;
}

/* ---- piles
 * -------------------------------------------------------------------------------------------------- */

void *pile_grow(struct arena *parent, struct pile *pile, const void *items, size_t bytes_each)
{
    struct arena *old = pile->arena;
    pile->arena = arena_new_within(parent, "operations of a rank");
    void *grown = arena_grow(pile->arena, items, pile->count, &pile->capacity, bytes_each);
    arena_free(old);
    return grown;
}

static void piles_end(struct job_builder *builder)
{
    arena_free(builder->collected.arena);
    arena_free(builder->name_pile.arena);
    arena_free(builder->block.arena);
    arena_free(builder->name_slot_pile.arena);
}

/* ---- ranks
 * -------------------------------------------------------------------------------------------------- */

static enum status peers_check(const struct job_builder *builder, const char *path, struct diag *diag)
{
    struct op_walk walk = {0};
    struct stored_op op;
    while (builder->collected.peer_max >= builder->rank_count && op_walk_next(builder, &walk, &op)) {
        bool is_message = op.kind == OP_SEND || op.kind == OP_RECV;
        if (is_message && op.peer >= builder->rank_count) {
            return diag_input(diag, (struct origin){.path = path},
                              "%s node %llu \"%.120s\" names rank %u; expected ranks below %u",
                              op_kind_name(op.kind), (unsigned long long)op.source_id,
                              builder->names + op.name, op.peer, builder->rank_count);
        }
    }
    return STATUS_OK;
}

static uint32_t program_find(const struct job_builder *builder, const struct program *program)
{
    uint64_t cursor = program->digest;
    for (uint32_t id; (id = digest_map_next(&builder->program_map, program->digest, &cursor)) != ID_NONE;) {
        if (program_is_equal(&builder->programs[id], program)) {
            return id;
        }
    }
    return ID_NONE;
}

enum status job_builder_rank_end(struct job_builder *builder, const char *path, struct diag *diag)
{
    assert(builder->rank != ID_NONE);
    uint32_t rank = builder->rank;
    enum status status = peers_check(builder, path, diag);
    if (status != STATUS_OK) {
        return status;
    }
    struct program program;
    names_seal(builder);
    program_layout(builder, &program);
    collected_clear(builder);
    uint32_t id = program_find(builder, &program);
    if (id == ID_NONE) {
        status = program_keep(builder, &program, path, diag);
        if (status != STATUS_OK) {
            return status;
        }
        id = (uint32_t)builder->program_count;
        vec_push(builder->arena, builder->programs, builder->program_count, builder->program_capacity) =
            program;
        digest_map_add(&builder->program_map, builder->arena, program.digest, id);
    }
    builder->rank_program[rank] = id;
    builder->rank_path[rank] = arena_strdup(builder->arena, path);
    builder->rank = ID_NONE;
    return STATUS_OK;
}

void job_builder_rank_like(struct job_builder *builder, uint32_t rank, uint32_t like)
{
    assert(rank < builder->rank_count && builder->rank_program[rank] == ID_NONE);
    assert(like < builder->rank_count && builder->rank_program[like] != ID_NONE);
    struct slots *slots = &builder->rank_slots[rank];
    const struct slots *others = &builder->rank_slots[like];
    if (slots->count == 0) {
        for (size_t slot = 0; slot < others->count; slot++) {
            vec_push(builder->arena, slots->group, slots->count, slots->capacity) = others->group[slot];
        }
    }
    builder->rank_program[rank] = builder->rank_program[like];
    builder->rank_path[rank] = builder->rank_path[like];
}

/* ---- the finished job
 * --------------------------------------------------------------------------------------- */

static void groups_freeze(const struct job_builder *builder, struct job *job)
{
    uint32_t member_count = 0;
    uint32_t *first = arena_array(builder->arena, builder->group_count + 1, uint32_t);
    const char **name = arena_array(builder->arena, builder->group_count, const char *);
    for (size_t i = 0; i < builder->group_count; i++) {
        name[i] = builder->groups[i].name;
        member_count += builder->groups[i].count;
        first[i + 1] = member_count;
    }
    uint32_t *members = arena_array(builder->arena, member_count, uint32_t);
    for (size_t i = 0; i < builder->group_count; i++) {
        memcpy(members + first[i], builder->groups[i].rank, builder->groups[i].count * sizeof *members);
    }
    job->group_count = (uint32_t)builder->group_count;
    job->group_first = first;
    job->group_rank = members;
    job->group_name = name;
}

static void slots_freeze(const struct job_builder *builder, struct job *job)
{
    uint32_t *first = arena_array(builder->arena, (size_t)builder->rank_count + 1, uint32_t);
    for (uint32_t rank = 0; rank < builder->rank_count; rank++) {
        first[rank + 1] = first[rank] + (uint32_t)builder->rank_slots[rank].count;
    }
    uint32_t *groups = arena_array(builder->arena, first[builder->rank_count], uint32_t);
    for (uint32_t rank = 0; rank < builder->rank_count; rank++) {
        const struct slots *slots = &builder->rank_slots[rank];
        if (slots->count > 0) {
            memcpy(groups + first[rank], slots->group, slots->count * sizeof *groups);
        }
    }
    job->rank_group_first = first;
    job->rank_group = groups;
}

enum status job_builder_finish(struct job_builder *builder, const struct job **job, struct diag *diag)
{
    assert(builder->rank == ID_NONE);
    struct origin at = {.path = builder->name};
    piles_end(builder);
    if (builder->rank_count == 0) {
        return diag_input(diag, at, "has no ranks; expected at least one");
    }
    for (uint32_t rank = 0; rank < builder->rank_count; rank++) {
        if (builder->rank_program[rank] == ID_NONE) {
            return diag_input(diag, at, "rank %u of %u has no operations; expected a program for every rank",
                              rank, builder->rank_count);
        }
    }
    struct job *frozen = arena_one(builder->arena, struct job);
    frozen->arena = builder->arena;
    frozen->name = builder->name;
    frozen->format = builder->format;
    frozen->rank_count = builder->rank_count;
    frozen->program_count = (uint32_t)builder->program_count;
    frozen->programs = builder->programs;
    frozen->rank_program = builder->rank_program;
    frozen->pair_tables = builder->pair_tables;
    frozen->pair_table_count = (uint32_t)builder->pair_table_count;
    frozen->notes = builder->notes;
    frozen->note_count = (uint32_t)builder->note_count;
    frozen->scale = builder->scale;
    frozen->time_factor = builder->time_factor;
    frozen->full_rank_count = builder->full_rank_count;
    groups_freeze(builder, frozen);
    slots_freeze(builder, frozen);
    enum status status = job_check(frozen, builder->rank_path, diag);
    *job = status == STATUS_OK ? frozen : NULL;
    return status;
}

/* ---- reading
 * ------------------------------------------------------------------------------------------------ */

uint32_t job_member_index(const struct job *job, uint32_t group, uint32_t rank)
{
    for (uint32_t i = job->group_first[group]; i < job->group_first[group + 1]; i++) {
        if (job->group_rank[i] == rank) {
            return i - job->group_first[group];
        }
    }
    return ID_NONE;
}

static void totals_add(const struct program *program, uint64_t ranks, struct job_totals *totals)
{
    for (uint32_t op = 0; op < program->op_count; op++) {
        totals->ops[program->kind[op]] += ranks;
        totals->compute_ps += program->kind[op] == OP_COMPUTE ? ranks * program->duration_ps[op] : 0;
        totals->message_bytes += program->kind[op] == OP_SEND ? ranks * program->bytes[op] : 0;
        if (program->kind[op] == OP_COLLECTIVE) {
            totals->collective_ops[program->collective[op]] += ranks;
            totals->collective_bytes[program->collective[op]] += ranks * program->bytes[op];
        }
    }
}

void job_totals(const struct job *job, struct job_totals *totals)
{
    *totals = (struct job_totals){0};
    struct arena *scratch = arena_new("totals of a job");
    uint32_t *ranks = arena_array(scratch, job->program_count, uint32_t);
    for (uint32_t rank = 0; rank < job->rank_count; rank++) {
        ranks[job->rank_program[rank]]++;
    }
    for (uint32_t i = 0; i < job->program_count; i++) {
        totals_add(&job->programs[i], ranks[i], totals);
    }
    arena_free(scratch);
}
