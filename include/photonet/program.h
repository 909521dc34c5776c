/* The replayable job: what every trace reader produces and what the replay walks.
 *
 * A job is a set of programs, a map rank -> program, and communicator groups. A program is columns of
 * operations with dependencies in compressed rows; it names peers and groups relatively, so that ranks which
 * do the same thing share one program:
 *
 *     rank 0 ─┐                         op      kind     duration  bytes  peer  slot  deps
 *     rank 1 ─┼─► program 0 ──────────► 0       compute  7 us
 *     rank 2 ─┘                         1       coll     -         1 MiB        0     0
 *     rank 3 ───► program 1             2       send     -         64 KiB +4          1
 *
 *     group of (rank r, slot s) = rank_group[rank_group_first[r] + s]; members in ring order = group_rank[...]
 *
 * Everything lives in the arena that the reader was given and is const once the reader returns. */
#ifndef PHOTONET_PROGRAM_H
#define PHOTONET_PROGRAM_H

#include "photonet/arena.h"
#include "photonet/status.h"

#include <stdbool.h>
#include <stdint.h>

enum op_kind {
    OP_COMPUTE,    /* runs for duration_ps on its stream */
    OP_COLLECTIVE, /* with the members of its group */
    OP_SEND,       /* done when the last byte is acknowledged */
    OP_RECV,       /* done when the matching message has arrived; occupies no stream */
    OP_MEMORY,     /* a local or remote memory access with a duration; like compute */
    OP_MARKER,     /* no work: joins dependencies */
    OP_KIND_COUNT,
};

/* The field's names; the values are those of Chakra's CollectiveCommType. */
enum collective_kind {
    COLLECTIVE_ALL_REDUCE = 0,
    COLLECTIVE_REDUCE = 1,
    COLLECTIVE_ALL_GATHER = 2,
    COLLECTIVE_GATHER = 3,
    COLLECTIVE_SCATTER = 4,
    COLLECTIVE_BROADCAST = 5,
    COLLECTIVE_ALL_TO_ALL = 6,
    COLLECTIVE_REDUCE_SCATTER = 7,
    COLLECTIVE_BARRIER = 9,
    COLLECTIVE_KIND_COUNT = 10, /* 8, reduce_scatter_block, is read as 7 */
};
const char *collective_name(enum collective_kind kind); /* "all_reduce" */
const char *op_kind_name(enum op_kind kind);

#define ID_NONE UINT32_MAX

/* What the members of an all-to-all send to each other, where that is not the same for all (all-to-all-v):
 *
 *     bytes[from * members + to], from and to being member indices; the diagonal stays at home and is not sent
 *
 * Tables are numbered from 1; 0, which is what an operation has unless it says otherwise, means equal parts. The
 * operation's `bytes` is then what one member puts in on average (the diagonal included, rounded up), so that it is
 * the same on all of them and totals are right. */
#define PAIRS_EQUAL 0
struct pair_table {
    uint32_t members;
    uint64_t bytes_sum;    /* of all pairs */
    const uint64_t *bytes; /* members * members */
};

/* Streams: 0 is compute; a collective runs on the stream of its group, so that collectives of one group run
 * one after the other and those of different groups overlap (NCCL: one stream per communicator). Sends run
 * without a limit unless a stream other than 0 is given. The builder stores STREAM_NONE for collectives, receives,
 * markers and unlimited sends. */
#define STREAM_COMPUTE 0
#define STREAM_NONE UINT16_MAX

/* One operation, as a reader builds it; see program_builder below. */
struct op {
    enum op_kind kind;
    enum collective_kind collective; /* OP_COLLECTIVE */
    uint64_t duration_ps;            /* OP_COMPUTE, OP_MEMORY. A barrier: 0, or its members go on together, at a multiple
                                        of it and no sooner than so long after the last one has come, without a message, and
                                        what follows finds the hosts as at the start: a benchmark's (nccl-tests) */
    uint64_t bytes;                  /* SEND, RECV: message. COLLECTIVE: what one rank puts in: the buffer of an
                                        all-reduce or broadcast, the shard of an all-gather, the whole input of a
                                        reduce-scatter or all-to-all */
    uint32_t peer;                   /* SEND, RECV: absolute rank (stored relative to the own rank) */
    uint32_t group_slot;             /* COLLECTIVE: index into the rank's groups */
    uint32_t root;                   /* COLLECTIVE with a root: member index */
    uint32_t pairs;                  /* ALL_TO_ALL with unequal parts: number of a table from job_builder_pairs, which
                                        also sets `bytes`; PAIRS_EQUAL for equal parts */
    uint32_t tag;                    /* SEND, RECV: equal (source, destination, tag) match in FIFO order */
    uint16_t stream;
    uint64_t source_id;              /* node id or line in the trace, for reports; does not tell programs apart */
    const char *name;                /* may be NULL: */
    uint32_t name_id;                /* then what job_builder_name gave, or 0 */
};

/* The canonical order of a program is its lexicographically smallest topological order: of the operations whose
 * dependencies all stand before, the one with the lowest index comes next (so it is 0, 1, 2, ... where no
 * dependency points forward). It decides whatever time does not:
 *   - the collectives of one group run in this order on every member, and the i-th of one member is the i-th of all;
 *   - sends and receives with equal (source, destination, tag) are numbered in it, and equal numbers match;
 *   - of several ready operations of one stream the first in it is started first. */
struct program {
    uint32_t op_count;
    uint32_t dep_count;
    uint32_t names_bytes;
    uint32_t slot_count;         /* 1 + the highest group slot in use, 0 without collectives */
    const uint8_t *kind;         /* enum op_kind */
    const uint8_t *collective;   /* enum collective_kind */
    const uint16_t *stream;
    const uint64_t *duration_ps;
    const uint64_t *bytes;
    const int32_t *peer_delta;   /* peer rank = (own rank + delta) modulo the job's rank count */
    const uint32_t *group_slot;
    const uint32_t *root;
    const uint32_t *pairs;       /* PAIRS_EQUAL but where an all-to-all has unequal parts; see job_pairs */
    const uint32_t *tag;
    const uint64_t *source_id;   /* as the first rank that runs this program has them: ranks that differ in nothing
                                    else share it, and reports then give the first one's numbers */
    const uint32_t *name;        /* offset into `names` */
    const char *names;           /* strings, each ended by 0; offset 0 is "" */
    const uint32_t *dep_first;   /* op_count + 1; deps of op i are dep[dep_first[i] .. dep_first[i + 1]) */
    const uint32_t *dep;         /* operations of the same program that must have finished; ascending, no duplicates */
    const uint32_t *child_first; /* op_count + 1; the same edges turned round: */
    const uint32_t *child;       /* child[child_first[i] .. child_first[i + 1]) wait for op i; ascending */
    const uint32_t *order;       /* position of op i in the canonical order, see below */
    uint64_t digest;             /* XXH3 over all columns but source_id; equal programs are stored once */
};

/* One line of the import report: how often something was met, and what was done about it. */
struct import_note {
    const char *what;  /* "CPU-side duplicates of GPU collectives" */
    const char *action; /* "dropped" */
    uint64_t count;
    uint64_t bytes;    /* 0 where it makes no sense */
};

/* One of several jobs that share a fabric. Together they are a job too, whose ranks, programs, groups and tables are
 * theirs, one after the other:
 *
 *     rank 0 .. 31 of job 0, then 0 .. 15 of job 1 ──► rank 0 .. 47, parts[1].rank_first = 32 */
struct job_part {
    const char *name;      /* as the job's, or what the user calls it */
    const char *spec;      /* what it was read from */
    uint32_t rank_first, rank_count;
    uint32_t group_first;
    uint64_t start_ps;     /* when its ranks start */
    const char *placement; /* as netsim/placement.h reads it, NULL: linear */
};

struct job {
    struct arena *arena; /* borrowed */
    const char *name;    /* for run names: "llama3-8b.tp4.pp2.dp4" */
    const char *format;  /* name of the reader */
    uint32_t rank_count;
    uint32_t program_count;
    uint32_t group_count;
    const struct program *programs;
    const uint32_t *rank_program;     /* rank_count */
    const uint32_t *group_first;      /* group_count + 1 */
    const uint32_t *group_rank;       /* members of all groups, in ring order */
    const char *const *group_name;    /* group_count */
    const uint32_t *rank_group_first; /* rank_count + 1 */
    const uint32_t *rank_group;       /* group ids */
    const struct pair_table *pair_tables; /* table i + 1 */
    uint32_t pair_table_count;
    const struct import_note *notes;
    uint32_t note_count;
    double scale;                     /* 1, or the share of the full step that is left (reported, marked) */
    double time_factor;               /* 1, or by what the step's time is to be multiplied where layers or micro-batches
                                         are a sample of those asked for */
    uint32_t full_rank_count;         /* rank_count, or those of the job of which these replicas are a sample */
    const struct job_part *parts;     /* NULL and 0: this is one job, which starts at 0 and is placed linearly */
    uint32_t part_count;
    const uint32_t *rank_part;        /* rank_count, where there are parts */
};

/* ---- building --------------------------------------------------------------------------------------------- */

struct job_builder; /* in the arena */

struct job_builder *job_builder_new(struct arena *arena, const char *name, const char *format, uint32_t rank_count);

/* Adds a group, returns its id. The same member list twice is one group unless the names differ. A rank named
 * twice or out of range: STATUS_INPUT at `at`. */
enum status job_builder_group(struct job_builder *builder, const char *name, const uint32_t *ranks, uint32_t count,
                              struct origin at, uint32_t *group_id, struct diag *diag);

/* The slot of a group for a rank (added on first use); ID_NONE where the rank is no member. */
uint32_t job_builder_slot(struct job_builder *builder, uint32_t rank, uint32_t group_id);

/* Adds a table of an all-to-all among `members` (copied); equal ones are one. Returns its number for struct op. */
uint32_t job_builder_pairs(struct job_builder *builder, uint32_t members, const uint64_t *bytes);

/* Starts the program of `rank`. Operations are numbered from 0 in the order of the calls. */
void job_builder_rank(struct job_builder *builder, uint32_t rank);
uint32_t job_builder_op(struct job_builder *builder, const struct op *op);
/* Keeps a text of the rank that has been started, once, for op.name_id: for readers that meet names long before they can
 * tell what the operations are. 0 is "". */
uint32_t job_builder_name(struct job_builder *builder, const char *text, size_t bytes);
void job_builder_name_expect(const struct job_builder *builder, const char *text, size_t bytes); /* it comes soon */
const char *job_builder_name_text(const struct job_builder *builder, uint32_t name_id); /* until the next name */
/* `op` waits for `on`; forward references are allowed, duplicates are harmless. */
void job_builder_dep(struct job_builder *builder, uint32_t op, uint32_t on);

/* Ends the rank: cuts unneeded duplicates, detects a cycle (STATUS_INPUT naming an operation on it), looks the
 * program up by digest and shares it (source_id apart). `path` names the file in errors. */
enum status job_builder_rank_end(struct job_builder *builder, const char *path, struct diag *diag);

/* The rank runs the program that `like` runs (which must have ended). Where `rank` has no slots yet it takes the
 * groups of `like`, of which it must be a member (else job_builder_finish refuses). */
void job_builder_rank_like(struct job_builder *builder, uint32_t rank, uint32_t like);

/* Counts up the note with this text. */
void job_builder_note(struct job_builder *builder, const char *what, const char *action, uint64_t count, uint64_t bytes);

/* The share of the full step that this one stands for; 1 unless set. */
void job_builder_scale(struct job_builder *builder, double scale);

/* The step is a sample: its time stands for `time_factor` times as long, its ranks for so many; neither unless set. */
void job_builder_sample(struct job_builder *builder, double time_factor, uint32_t full_rank_count);

/* Checks the whole job (every rank has a program; the i-th collective of a group has one kind and size on all
 * its members, and a table of pairs as many members as the group; sends and receives match one to one in count and size) and freezes it. */
enum status job_builder_finish(struct job_builder *builder, const struct job **job, struct diag *diag);

/* ---- reading ---------------------------------------------------------------------------------------------- */

static inline const struct program *job_program(const struct job *job, uint32_t rank)
{
    return &job->programs[job->rank_program[rank]];
}

static inline uint32_t job_group(const struct job *job, uint32_t rank, uint32_t slot)
{
    return job->rank_group[job->rank_group_first[rank] + slot];
}

static inline uint32_t job_group_size(const struct job *job, uint32_t group)
{
    return job->group_first[group + 1] - job->group_first[group];
}

static inline uint32_t job_peer(const struct job *job, uint32_t rank, const struct program *program, uint32_t op)
{
    int64_t first = 0, count = job->rank_count;
    if (job->part_count > 0) {
        first = job->parts[job->rank_part[rank]].rank_first;
        count = job->parts[job->rank_part[rank]].rank_count;
    }
    return (uint32_t)(first + ((int64_t)rank - first + program->peer_delta[op] + count) % count);
}

static inline const char *op_name(const struct program *program, uint32_t op)
{
    return program->names + program->name[op];
}

/* The table of an all-to-all with unequal parts, NULL for every other operation. */
static inline const struct pair_table *job_pairs(const struct job *job, const struct program *program, uint32_t op)
{
    return program->pairs[op] == PAIRS_EQUAL ? NULL : &job->pair_tables[program->pairs[op] - 1];
}

static inline bool job_is_sample(const struct job *job)
{
    return job->time_factor != 1.0 || job->full_rank_count != job->rank_count;
}

/* Position of a rank in a group, ID_NONE where it is no member. Linear in the group's size. */
uint32_t job_member_index(const struct job *job, uint32_t group, uint32_t rank);

/* Totals by kind over all ranks: operations, compute time, bytes put in. */
struct job_totals {
    uint64_t ops[OP_KIND_COUNT];
    uint64_t compute_ps;
    uint64_t message_bytes;
    uint64_t collective_ops[COLLECTIVE_KIND_COUNT];
    uint64_t collective_bytes[COLLECTIVE_KIND_COUNT];
};
void job_totals(const struct job *job, struct job_totals *totals);

#endif
