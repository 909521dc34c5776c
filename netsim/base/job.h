/* What the files of the job builder share: job.c (groups, ranks, sharing), job_program.c (one program's
 * columns) and job_check.c (does the whole fit together). Nobody else includes this.
 *
 * A rank's operations and dependencies are collected in a short form (job_rank.c), some 10 bytes each, in blocks that are reused from rank to rank. At its end they become one block of columns; where a program
 * with the same bytes exists, the rank takes that one and nothing is kept. What a large rank has taken ends before its
 * columns get their companions: one rank alone may have gigabytes, and the job keeps only the columns. Expected: up to
 * 16,384 ranks that share a few programs of 10^4 operations (generators), or some thousand ranks with programs of their
 * own (imports). */
#ifndef PHOTONET_BASE_JOB_H
#define PHOTONET_BASE_JOB_H

#include "photonet/packed.h"
#include "photonet/program.h"

/* From a digest to numbers of things with that digest: open addressing, equal keys allowed. */
struct digest_map {
    uint64_t *key;   /* capacity, a power of two */
    uint32_t *value; /* ID_NONE = free */
    size_t count, capacity;
};
void digest_map_add(struct digest_map *map, struct arena *arena, uint64_t key, uint32_t value);
/* The next value under `key` from *cursor on (start with the key), ID_NONE at the end. */
uint32_t digest_map_next(const struct digest_map *map, uint64_t key, uint64_t *cursor);

/* An operation on its way into the columns. What its kind does not have is 0. */
struct stored_op {
    uint64_t source_id;
    uint64_t duration_ps, bytes;
    uint32_t peer, tag;
    uint32_t group_slot, root;
    uint32_t name; /* offset into names */
    uint32_t pairs;
    uint16_t stream;
    uint8_t kind, collective;
};

/* A growing array with an arena of its own within the job's. The items are a pointer beside it. */
struct pile {
    struct arena *arena; /* owned, NULL while empty */
    size_t count, capacity;
};
void *pile_grow(struct arena *parent, struct pile *pile, const void *items, size_t bytes_each);
#define pile_push(parent_, pile_, items_)                                                             \
    (*((pile_).count == (pile_).capacity                                                              \
           ? ((items_) = pile_grow((parent_), &(pile_), (items_), sizeof *(items_)),                  \
              &(items_)[(pile_).count++])                                                             \
           : &(items_)[(pile_).count++]))

struct group {
    const char *name;
    uint32_t *rank;
    uint32_t count;
    bool is_ascending;
};

struct slots {
    uint32_t *group;
    size_t count, capacity;
};

struct job_builder {
    struct arena *arena;
    const char *name, *format;
    uint32_t rank_count;
    double scale, time_factor;
    uint32_t full_rank_count;

    struct program *programs;
    size_t program_count, program_capacity;
    struct digest_map program_map;
    uint32_t *zeros, *identity; /* shared columns, see job_program.c; identity is NULL until needed */
    size_t shared_capacity;
    uint32_t *rank_program; /* ID_NONE before rank_end or rank_like */
    const char **rank_path;

    struct group *groups;
    size_t group_count, group_capacity;
    struct digest_map group_map;
    uint32_t *rank_stamp; /* the last check of a group that met the rank: finds ranks named twice */
    uint32_t group_checks;
    struct slots *rank_slots;

    struct pair_table *pair_tables;
    size_t pair_table_count, pair_table_capacity;
    struct digest_map pair_map;

    struct import_note *notes;
    size_t note_count, note_capacity;

    /* the rank being built; ended by job_builder_finish */
    uint32_t rank; /* ID_NONE between ranks */
    struct collected {
        struct arena *arena; /* owned, NULL while empty */
        struct packed ops, deps;
        uint64_t op_count, dep_count;
        uint64_t source_id; /* of the last operation */
        uint32_t dep_op;    /* of the last dependency */
        uint32_t peer_max;
        bool has_messages, has_pairs;
        bool is_unsorted; /* some dependency is of an operation before that of the last one */
        uint32_t slot_count;
    } collected;
    char *names; /* texts, each ended by a 0 */
    struct pile name_pile;
    uint64_t names_used;  /* names begin with so many bytes of texts that operations have */
    bool has_name_beyond; /* of some operation when it came: the texts do not stand in the order of operations */
    struct name_slot {
        uint32_t hash, at; /* at: offset into names, 0 = free */
    } *name_slots;
    struct pile name_slot_pile; /* count: slots in use */
    struct block {
        struct arena *arena; /* owned */
        uint8_t *bytes;
        size_t used, capacity;
    } block; /* the columns before it is known whether they are new */
};

/* ---- job_rank.c
 * ------------------------------------------------------------------------------------------ */

/* No names come any more. */
void names_seal(struct job_builder *builder);
/* Nothing is collected; gives back what a large rank has taken. */
void collected_clear(struct job_builder *builder);
void names_clear(struct job_builder *builder);
/* The collected operations and dependencies one after the other, from zeroed walks on; false behind the last. */
struct op_walk {
    struct packed_walk packed;
    uint64_t source_id;
};
bool op_walk_next(const struct job_builder *builder, struct op_walk *walk, struct stored_op *op);
struct dep_walk {
    struct packed_walk packed;
    uint32_t op, on;
};
static inline bool dep_walk_next(const struct job_builder *builder, struct dep_walk *walk)
{
    walk->packed.packed = &builder->collected.deps;
    if (!packed_walk_on(&walk->packed)) {
        return false;
    }
    int64_t step, back;
    walk->packed.at = packed_get_signed(packed_get_signed(walk->packed.at, &step), &back);
    walk->op += (uint32_t)step;
    walk->on = walk->op - (uint32_t)back;
    return true;
}

/* ---- job_program.c
 * ------------------------------------------------------------------------------------------ */

/* Lays the collected operations out in builder->block; `program` points into it. No children and no order
 * yet. */
void program_layout(struct job_builder *builder, struct program *program);

/* Makes the columns the job's, adds children and order; STATUS_INPUT names an operation on a cycle. */
enum status program_keep(struct job_builder *builder, struct program *program, const char *path,
                         struct diag *diag);

/* Equal but for source_id. */
bool program_is_equal(const struct program *a, const struct program *b);

/* Operation at each position of the canonical order: the inverse of program->order. `sequence` has op_count
 * places. */
void program_sequence(const struct program *program, uint32_t *sequence);

/* `node 17 "x"`, for errors. */
struct op_text {
    char text[192];
};
const char *op_describe(const struct program *program, uint32_t op, struct op_text *text);

/* ---- job_check.c
 * -------------------------------------------------------------------------------------------- */

enum status job_check(const struct job *job, const char *const *rank_path, struct diag *diag);

#endif
