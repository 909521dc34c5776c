/* Several jobs as one.
 *
 * Ranks, programs, groups and tables of unequal parts of the second job stand behind those of the first, and
 * so on. Programs name peers and groups relatively, so that they stay what they are; only numbers of tables
 * move on. */
#include "netsim/base/job_mix.h"

#include <string.h>

struct mix {
    struct arena *arena;
    struct job *job;
    struct program *programs;
    uint32_t *rank_program, *group_first, *group_rank, *rank_group_first, *rank_group, *rank_part;
    const char **group_name;
    struct pair_table *pair_tables;
    struct import_note *notes;
};

static void mix_allocate(struct mix *mix, const struct job *const *jobs, uint32_t count)
{
    struct job *job = mix->job;
    size_t members = 0, slots = 0;
    for (uint32_t i = 0; i < count; i++) {
        job->rank_count += jobs[i]->rank_count;
        job->program_count += jobs[i]->program_count;
        job->group_count += jobs[i]->group_count;
        job->pair_table_count += jobs[i]->pair_table_count;
        job->note_count += jobs[i]->note_count;
        members += jobs[i]->group_first[jobs[i]->group_count];
        slots += jobs[i]->rank_group_first[jobs[i]->rank_count];
    }
    mix->programs = arena_array(mix->arena, job->program_count, struct program);
    mix->rank_program = arena_array(mix->arena, job->rank_count, uint32_t);
    mix->rank_part = arena_array(mix->arena, job->rank_count, uint32_t);
    mix->group_first = arena_array(mix->arena, (size_t)job->group_count + 1, uint32_t);
    mix->group_rank = arena_array(mix->arena, members, uint32_t);
    mix->group_name = arena_array(mix->arena, job->group_count, const char *);
    mix->rank_group_first = arena_array(mix->arena, (size_t)job->rank_count + 1, uint32_t);
    mix->rank_group = arena_array(mix->arena, slots, uint32_t);
    mix->pair_tables = arena_array(mix->arena, job->pair_table_count, struct pair_table);
    mix->notes = arena_array(mix->arena, job->note_count, struct import_note);
}

/* Numbers of tables move on by `first`. */
static void pairs_move(struct mix *mix, struct program *program, uint32_t first)
{
    uint32_t *moved = arena_array(mix->arena, program->op_count, uint32_t);
    for (uint32_t op = 0; op < program->op_count; op++) {
        moved[op] = program->pairs[op] == PAIRS_EQUAL ? PAIRS_EQUAL : program->pairs[op] + first;
    }
    program->pairs = moved;
}

/* Adds a job behind those that `at` counts. */
static void job_append(struct mix *mix, const struct job *from, uint32_t part, struct job *at)
{
    uint32_t member = mix->group_first[at->group_count], slot = mix->rank_group_first[at->rank_count];
    for (uint32_t i = 0; i < from->program_count; i++) {
        struct program *program = &mix->programs[at->program_count + i];
        *program = from->programs[i];
        if (from->pair_table_count > 0 && at->pair_table_count > 0) {
            pairs_move(mix, program, at->pair_table_count);
        }
    }
    for (uint32_t i = 0; i < from->group_count; i++) {
        mix->group_first[at->group_count + i + 1] = member + from->group_first[i + 1];
        mix->group_name[at->group_count + i] = from->group_name[i];
    }
    for (uint32_t i = 0; i < from->group_first[from->group_count]; i++) {
        mix->group_rank[member + i] = at->rank_count + from->group_rank[i];
    }
    for (uint32_t rank = 0; rank < from->rank_count; rank++) {
        mix->rank_program[at->rank_count + rank] = at->program_count + from->rank_program[rank];
        mix->rank_part[at->rank_count + rank] = part;
        mix->rank_group_first[at->rank_count + rank + 1] = slot + from->rank_group_first[rank + 1];
    }
    for (uint32_t i = 0; i < from->rank_group_first[from->rank_count]; i++) {
        mix->rank_group[slot + i] = at->group_count + from->rank_group[i];
    }
    for (uint32_t i = 0; i < from->pair_table_count; i++) {
        mix->pair_tables[at->pair_table_count + i] = from->pair_tables[i];
    }
    for (uint32_t i = 0; i < from->note_count; i++) {
        mix->notes[at->note_count + i] = from->notes[i];
    }
    at->rank_count += from->rank_count;
    at->program_count += from->program_count;
    at->group_count += from->group_count;
    at->pair_table_count += from->pair_table_count;
    at->note_count += from->note_count;
}

const struct job *job_mix(struct arena *arena, const struct job *const *jobs, const struct job_part *parts,
                          uint32_t count)
{
    struct job *job = arena_one(arena, struct job), at = {0};
    struct mix mix = {.arena = arena, .job = job};
    struct job_part *own = arena_array(arena, count, struct job_part);
    mix_allocate(&mix, jobs, count);
    job->name = jobs[0]->name;
    job->scale = jobs[0]->scale;
    job->time_factor = jobs[0]->time_factor;
    for (uint32_t i = 0; i < count; i++) {
        own[i] = parts[i];
        own[i].rank_first = at.rank_count;
        own[i].rank_count = jobs[i]->rank_count;
        own[i].group_first = at.group_count;
        job_append(&mix, jobs[i], i, &at);
        job->name = i == 0 ? job->name : arena_printf(arena, "%s + %s", job->name, jobs[i]->name);
        job->full_rank_count += jobs[i]->full_rank_count;
        job->time_factor =
            jobs[i]->time_factor == job->time_factor ? job->time_factor : 1.0; /* there is none for all */
        job->scale = jobs[i]->scale < job->scale ? jobs[i]->scale : job->scale;
    }
    job->arena = arena;
    job->format = count == 1 ? jobs[0]->format : "several";
    job->programs = mix.programs;
    job->rank_program = mix.rank_program;
    job->group_first = mix.group_first;
    job->group_rank = mix.group_rank;
    job->group_name = mix.group_name;
    job->rank_group_first = mix.rank_group_first;
    job->rank_group = mix.rank_group;
    job->pair_tables = mix.pair_tables;
    job->notes = mix.notes;
    job->parts = own;
    job->part_count = count;
    job->rank_part = mix.rank_part;
    return job;
}
