/* What the files of the job builder share: job.c (groups, ranks, sharing), job_program.c (one program's
 * columns) and job_check.c (does the whole fit together). Nobody else includes this.
 *
 * A rank's operations are collected in `ops` and `edges`, which are reused from rank to rank. At its end they
 * become one block of columns in `block`; where a program with the same bytes exists, the rank takes that one
 * and nothing is kept. Expected: up to 16,384 ranks that share a few programs of 10^4 operations
 * (generators), or some thousand ranks with programs of their own (imports). */
#ifndef PHOTONET_BASE_JOB_H
#define PHOTONET_BASE_JOB_H

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
void digest_map_clear(struct digest_map *map);

struct edge {
    uint32_t op, on;
};

struct group {
    const char *name;
    uint32_t *rank;
    uint32_t count;
};

struct slots {
    uint32_t *group;
    size_t count, capacity;
};

struct job_builder {
    struct arena *arena;
    const char *name, *format;
    uint32_t rank_count;
    double scale;

    struct program *programs;
    size_t program_count, program_capacity;
    struct digest_map program_map;
    uint32_t *rank_program; /* ID_NONE before rank_end or rank_like */
    const char **rank_path;

    struct group *groups;
    size_t group_count, group_capacity;
    struct digest_map group_map;
    uint32_t *rank_stamp; /* the last check of a group that met the rank: finds ranks named twice */
    uint32_t group_checks;
    struct slots *rank_slots;

    struct import_note *notes;
    size_t note_count, note_capacity;

    /* the rank being built */
    uint32_t rank;  /* ID_NONE between ranks */
    struct op *ops; /* .name is not used: */
    size_t op_count, op_capacity;
    uint32_t *op_names; /* offset into names */
    size_t op_name_count, op_name_capacity;
    struct edge *edges;
    size_t edge_count, edge_capacity;
    char *names;
    size_t names_count, names_capacity;
    struct digest_map name_map;
    uint8_t *block; /* the columns before it is known whether they are new */
    size_t block_bytes, block_capacity;
};

/* ---- job_program.c
 * ------------------------------------------------------------------------------------------ */

/* Lays the collected operations out in builder->block; `program` points into it. No children and no order
 * yet. */
void program_layout(struct job_builder *builder, struct program *program);

/* Moves the columns into the arena, adds children and order; STATUS_INPUT names an operation on a cycle. */
enum status program_keep(struct job_builder *builder, struct program *program, const char *path,
                         struct diag *diag);

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
