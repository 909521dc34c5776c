/* Replicas of a job: see job_retarget.h. Checked against: closed forms of groups, peers and bytes, and equal
 * digests of a generated model and one that was retargeted to its size (tests/test_retarget.c). */
#include "netsim/base/job_retarget.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct retarget {
    const struct job *from;
    struct arena *arena, *scratch;
    struct diag *diag;
    uint32_t rank_count;
    uint32_t copies, parts; /* one of them is 1 */
    bool *is_data;          /* per group: data-parallel */
    uint32_t *rank_to;      /* new number of an old rank in copy 0, ID_NONE where it goes */
    uint32_t *group_to;     /* per (copy, old group): id of the new one */
    uint32_t *table_to;     /* per table of unequal parts: its number */
    struct job_builder *builder;
    uint64_t resized; /* all-gathers with another shard */
};

__attribute__((format(printf, 2, 3))) static enum status refuse(const struct retarget *retarget,
                                                                const char *format, ...)
{
    char before[80];
    va_list arguments;
    snprintf(before, sizeof before, "is a job of %u ranks and cannot be one of %u: ", retarget->from->rank_count,
             retarget->rank_count);
    va_start(arguments, format);
    enum status status = diag_input_list(retarget->diag, (struct origin){.path = retarget->from->name}, before, format,
                                         arguments);
    va_end(arguments);
    return status;
}

/* ---- is the meaning clear? ------------------------------------------------------------------------------
 */

static bool is_lone_world(const struct job *job)
{
    return job->group_count == 1 && job_group_size(job, 0) == job->rank_count;
}

static void data_groups_find(struct retarget *retarget)
{
    const struct job *job = retarget->from;
    retarget->is_data = arena_array(retarget->scratch, job->group_count, bool);
    for (uint32_t group = 0; group < job->group_count; group++) {
        const char *name = job->group_name[group];
        retarget->is_data[group] =
            strncmp(name, "dp", 2) == 0 || strncmp(name, "edp", 3) == 0 || is_lone_world(job);
    }
}

static enum status ranks_check(const struct retarget *retarget)
{
    const struct job *job = retarget->from;
    for (uint32_t rank = 0; rank < job->rank_count; rank++) {
        bool is_member = false;
        for (uint32_t i = job->rank_group_first[rank]; i < job->rank_group_first[rank + 1]; i++) {
            is_member = is_member || retarget->is_data[job->rank_group[i]];
        }
        if (!is_member) {
            return refuse(retarget,
                          "rank %u is in no data-parallel group (one whose name begins with dp or edp, or "
                          "the only one, "
                          "of all ranks), so that a replica of it would exchange nothing with it",
                          rank);
        }
    }
    return STATUS_OK;
}

static bool is_scalable(enum collective_kind kind)
{
    return kind != COLLECTIVE_ALL_TO_ALL && kind != COLLECTIVE_GATHER && kind != COLLECTIVE_SCATTER;
}

static enum status collectives_check(const struct retarget *retarget)
{
    const struct job *job = retarget->from;
    for (uint32_t rank = 0; rank < job->rank_count; rank++) {
        const struct program *program = job_program(job, rank);
        for (uint32_t op = 0; op < program->op_count && program->slot_count > 0; op++) {
            uint32_t group =
                program->kind[op] == OP_COLLECTIVE ? job_group(job, rank, program->group_slot[op]) : 0;
            bool is_wrong = program->kind[op] == OP_COLLECTIVE && retarget->is_data[group] &&
                            !is_scalable((enum collective_kind)program->collective[op]);
            if (is_wrong) {
                return refuse(
                    retarget,
                    "%s \"%.80s\" of data-parallel group %.40s says what each pair of ranks exchanges, which "
                    "more ranks do not tell",
                    collective_name((enum collective_kind)program->collective[op]), op_name(program, op),
                    job->group_name[group]);
            }
        }
    }
    return STATUS_OK;
}

/* Fewer replicas: of every data-parallel group the first members stay. */
static enum status ranks_keep(struct retarget *retarget)
{
    const struct job *job = retarget->from;
    bool *goes = arena_array(retarget->scratch, job->rank_count, bool);
    for (uint32_t group = 0; group < job->group_count; group++) {
        uint32_t size = job_group_size(job, group);
        if (retarget->is_data[group] && size % retarget->parts != 0) {
            return refuse(retarget, "data-parallel group %.40s has %u members, which %u does not divide",
                          job->group_name[group], size, retarget->parts);
        }
        for (uint32_t i = size / retarget->parts; i < size && retarget->is_data[group]; i++) {
            goes[job->group_rank[job->group_first[group] + i]] = true;
        }
    }
    uint32_t kept = 0;
    for (uint32_t rank = 0; rank < job->rank_count; rank++) {
        retarget->rank_to[rank] = goes[rank] ? ID_NONE : kept++;
    }
    return kept == retarget->rank_count
               ? STATUS_OK
               : refuse(retarget, "%u ranks are the first in all of their data-parallel groups", kept);
}

/* Who stays needs nobody who goes. */
static enum status closed_check(const struct retarget *retarget)
{
    const struct job *job = retarget->from;
    for (uint32_t group = 0; group < job->group_count; group++) {
        const uint32_t *member = job->group_rank + job->group_first[group];
        for (uint32_t i = 1; i < job_group_size(job, group) && !retarget->is_data[group]; i++) {
            bool is_first_kept = retarget->rank_to[member[0]] != ID_NONE;
            if ((retarget->rank_to[member[i]] != ID_NONE) != is_first_kept) {
                return refuse(retarget, "group %.40s joins ranks of different replicas (%u and %u)",
                              job->group_name[group], member[0], member[i]);
            }
        }
    }
    for (uint32_t rank = 0; rank < job->rank_count; rank++) {
        const struct program *program = job_program(job, rank);
        for (uint32_t op = 0; op < program->op_count && retarget->rank_to[rank] != ID_NONE; op++) {
            bool is_message = program->kind[op] == OP_SEND || program->kind[op] == OP_RECV;
            uint32_t peer = is_message ? job_peer(job, rank, program, op) : rank;
            if (retarget->rank_to[peer] == ID_NONE) {
                return refuse(retarget, "rank %u of one replica exchanges messages with rank %u of another",
                              rank, peer);
            }
        }
    }
    return STATUS_OK;
}

/* ---- building -------------------------------------------------------------------------------------------
 */

/* The members of an old group that are there, in copy `copy`, or in all copies. */
static uint32_t members_collect(const struct retarget *retarget, uint32_t group, uint32_t copy,
                                uint32_t copies, uint32_t *members)
{
    const struct job *job = retarget->from;
    uint32_t count = 0;
    for (uint32_t c = copy; c < copy + copies; c++) {
        for (uint32_t i = job->group_first[group]; i < job->group_first[group + 1]; i++) {
            uint32_t to = retarget->rank_to[job->group_rank[i]];
            if (to != ID_NONE) {
                members[count++] = c * job->rank_count + to;
            }
        }
    }
    return count;
}

static enum status group_add(struct retarget *retarget, uint32_t group, uint32_t copy, uint32_t *members)
{
    const struct job *job = retarget->from;
    uint32_t *id = &retarget->group_to[(size_t)copy * job->group_count + group];
    bool is_data = retarget->is_data[group];
    if (is_data && copy > 0) {
        *id = retarget->group_to[group];
        return STATUS_OK;
    }
    uint32_t count = members_collect(retarget, group, copy, is_data ? retarget->copies : 1, members);
    const char *name = job->group_name[group];
    if (copy > 0) {
        name = arena_printf(retarget->scratch, "%s.copy%u", name, copy);
    }
    *id = ID_NONE;
    return count == 0 ? STATUS_OK
                      : job_builder_group(retarget->builder, name, members, count,
                                          (struct origin){.path = job->name}, id, retarget->diag);
}

static enum status groups_add(struct retarget *retarget)
{
    const struct job *job = retarget->from;
    uint32_t *members = arena_array(retarget->scratch, retarget->rank_count + job->rank_count, uint32_t);
    enum status status = STATUS_OK;
    retarget->group_to =
        arena_array(retarget->scratch, (size_t)retarget->copies * job->group_count, uint32_t);
    for (uint32_t copy = 0; copy < retarget->copies; copy++) {
        for (uint32_t group = 0; group < job->group_count && status == STATUS_OK; group++) {
            status = group_add(retarget, group, copy, members);
        }
    }
    return status;
}

static void slots_add(struct retarget *retarget, uint32_t rank, uint32_t copy)
{
    const struct job *job = retarget->from;
    uint32_t to = copy * job->rank_count + retarget->rank_to[rank];
    for (uint32_t i = job->rank_group_first[rank]; i < job->rank_group_first[rank + 1]; i++) {
        uint32_t slot = job_builder_slot(
            retarget->builder, to, retarget->group_to[(size_t)copy * job->group_count + job->rank_group[i]]);
        assert(slot == i - job->rank_group_first[rank]);
    }
}

/* The whole stays what it was, and is divided among more. */
static uint64_t shard_bytes(const struct retarget *retarget, uint64_t bytes)
{
    unsigned __int128 whole = (unsigned __int128)bytes * retarget->from->rank_count;
    return (uint64_t)((whole + retarget->rank_count - 1) / retarget->rank_count);
}

static struct op op_make(struct retarget *retarget, uint32_t rank, const struct program *program, uint32_t op)
{
    const struct job *job = retarget->from;
    enum op_kind kind = (enum op_kind)program->kind[op];
    struct op made = {
        .kind = kind,
        .collective = (enum collective_kind)program->collective[op],
        .duration_ps = program->duration_ps[op],
        .bytes = program->bytes[op],
        .group_slot = program->group_slot[op],
        .root = program->root[op],
        .pairs = program->pairs[op] == PAIRS_EQUAL ? PAIRS_EQUAL : retarget->table_to[program->pairs[op] - 1],
        .tag = program->tag[op],
        .stream = program->stream[op],
        .source_id = program->source_id[op],
        .name = op_name(program, op),
    };
    if (kind == OP_SEND || kind == OP_RECV) {
        made.peer = retarget->rank_to[job_peer(job, rank, program, op)];
    } else if (kind == OP_COLLECTIVE && made.collective == COLLECTIVE_ALL_GATHER &&
               retarget->is_data[job_group(job, rank, made.group_slot)]) {
        made.bytes = shard_bytes(retarget, made.bytes);
        retarget->resized += retarget->copies;
    }
    return made;
}

static enum status rank_build(struct retarget *retarget, uint32_t rank)
{
    const struct program *program = job_program(retarget->from, rank);
    job_builder_rank(retarget->builder, retarget->rank_to[rank]);
    for (uint32_t op = 0; op < program->op_count; op++) {
        struct op made = op_make(retarget, rank, program, op);
        job_builder_op(retarget->builder, &made);
    }
    for (uint32_t op = 0; op < program->op_count; op++) {
        for (uint32_t i = program->dep_first[op]; i < program->dep_first[op + 1]; i++) {
            job_builder_dep(retarget->builder, op, program->dep[i]);
        }
    }
    return job_builder_rank_end(retarget->builder, retarget->from->name, retarget->diag);
}

/* Copies run the program of copy 0, whose peers are as far away. */
static enum status ranks_add(struct retarget *retarget)
{
    const struct job *job = retarget->from;
    for (uint32_t rank = 0; rank < job->rank_count; rank++) {
        if (retarget->rank_to[rank] == ID_NONE) {
            continue;
        }
        slots_add(retarget, rank, 0);
        enum status status = rank_build(retarget, rank);
        if (status != STATUS_OK) {
            return status;
        }
        for (uint32_t copy = 1; copy < retarget->copies; copy++) {
            slots_add(retarget, rank, copy);
            job_builder_rank_like(retarget->builder, copy * job->rank_count + retarget->rank_to[rank],
                                  retarget->rank_to[rank]);
        }
    }
    return STATUS_OK;
}

/* Of all ranks that are left, or made. */
static uint64_t compute_count(const struct retarget *retarget)
{
    uint64_t count = 0;
    for (uint32_t rank = 0; rank < retarget->from->rank_count; rank++) {
        const struct program *program = job_program(retarget->from, rank);
        for (uint32_t op = 0; op < program->op_count && retarget->rank_to[rank] != ID_NONE; op++) {
            count += program->kind[op] == OP_COMPUTE || program->kind[op] == OP_MEMORY;
        }
    }
    return count * retarget->copies;
}

static void notes_add(struct retarget *retarget)
{
    const struct job *job = retarget->from;
    for (uint32_t i = 0; i < job->note_count; i++) {
        job_builder_note(retarget->builder, job->notes[i].what, job->notes[i].action, job->notes[i].count,
                         job->notes[i].bytes);
    }
    job_builder_note(
        retarget->builder,
        retarget->copies > 1 ? "ranks beyond those of the trace" : "ranks of the trace left out",
        retarget->copies > 1
            ? "data-parallel replicas: groups dp and edp, or the only one, grow"
            : "fewer data-parallel replicas: groups dp and edp, or the only one, shrink",
        retarget->copies > 1 ? retarget->rank_count - job->rank_count
                             : job->rank_count - retarget->rank_count,
        0);
    uint64_t computes = compute_count(retarget);
    if (computes > 0) {
        job_builder_note(retarget->builder, "computations",
                         retarget->copies > 1
                             ? "each as long as in the trace, though more replicas would share out some (optimizer, batch)"
                             : "each as long as in the trace, though fewer replicas would have more of some (optimizer, batch)",
                         computes, 0);
    }
    if (retarget->resized > 0) {
        job_builder_note(retarget->builder, "all-gathers of data-parallel groups",
                         "shards resized, the whole as it was", retarget->resized, 0);
    }
}

static void job_begin(struct retarget *retarget)
{
    const struct job *job = retarget->from;
    const char *name = arena_printf(retarget->scratch, "%s.on%u", job->name, retarget->rank_count);
    retarget->builder = job_builder_new(retarget->arena, name, job->format, retarget->rank_count);
    job_builder_scale(retarget->builder, job->scale);
    bool is_whole = job->full_rank_count == job->rank_count || job->full_rank_count < retarget->rank_count;
    job_builder_sample(retarget->builder, job->time_factor,
                       is_whole ? retarget->rank_count : job->full_rank_count);
    retarget->table_to = arena_array(retarget->scratch, job->pair_table_count, uint32_t);
    for (uint32_t i = 0; i < job->pair_table_count; i++) {
        retarget->table_to[i] =
            job_builder_pairs(retarget->builder, job->pair_tables[i].members, job->pair_tables[i].bytes);
    }
}

static enum status ranks_number(struct retarget *retarget)
{
    uint32_t n = retarget->from->rank_count, m = retarget->rank_count;
    if (m % n != 0 && n % m != 0) {
        return refuse(retarget, "replicas make it larger or smaller by a whole factor only");
    }
    retarget->copies = m > n ? m / n : 1;
    retarget->parts = m > n ? 1 : n / m;
    retarget->rank_to = arena_array(retarget->scratch, n, uint32_t);
    for (uint32_t rank = 0; rank < n; rank++) {
        retarget->rank_to[rank] = rank;
    }
    data_groups_find(retarget);
    enum status status = ranks_check(retarget);
    status = status == STATUS_OK ? collectives_check(retarget) : status;
    if (status == STATUS_OK && retarget->parts > 1) {
        status = ranks_keep(retarget);
        status = status == STATUS_OK ? closed_check(retarget) : status;
    }
    return status;
}

enum status job_retarget(const struct job *from, uint32_t rank_count, struct arena *arena,
                         const struct job **job, struct diag *diag)
{
    if (rank_count == from->rank_count) {
        *job = from;
        return STATUS_OK;
    }
    struct retarget retarget = {.from = from,
                                .arena = arena,
                                .scratch = arena_new_within(arena, "retargeting a job"),
                                .diag = diag,
                                .rank_count = rank_count};
    enum status status = ranks_number(&retarget);
    if (status == STATUS_OK) {
        job_begin(&retarget);
        status = groups_add(&retarget);
        status = status == STATUS_OK ? ranks_add(&retarget) : status;
    }
    if (status == STATUS_OK) {
        notes_add(&retarget);
        status = job_builder_finish(retarget.builder, job, diag);
    }
    arena_free(retarget.scratch);
    return status;
}
