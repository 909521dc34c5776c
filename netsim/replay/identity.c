/* Who a message is, however the trace numbers its groups.
 *
 * Collectives' messages are keyed by the number of their group. Formats number groups as they meet them, so a trace that went
 * through another format kept every time and got another digest. In digests and samples groups are therefore numbered anew:
 * those that have calls, by their members, equal ones by what their first member calls first. */
#include "netsim/replay/replay_int.h"

#include <stdlib.h>

struct known {
    const uint32_t *members;
    uint32_t count, first, id; /* first: place of its first call in the program of its first member */
};

static int known_order(const void *a_, const void *b_)
{
    const struct known *a = a_, *b = b_;
    for (uint32_t i = 0; i < a->count && i < b->count; i++) {
        if (a->members[i] != b->members[i]) {
            return a->members[i] < b->members[i] ? -1 : 1;
        }
    }
    if (a->count != b->count) {
        return a->count < b->count ? -1 : 1;
    }
    return a->first != b->first ? (a->first < b->first ? -1 : 1) : (a->id > b->id) - (a->id < b->id);
}

static uint32_t first_call(const struct replay *replay, uint32_t group)
{
    const struct job *job = replay->config.job;
    uint32_t rank = job_group_rank(job, group, 0), slot = 0;
    while (job_group(job, rank, slot) != group) {
        slot++;
    }
    const struct plan *plan = replay->ranks[rank].plan;
    return replay->ranks[rank].program->order[plan->slot_op[plan->slot_first[slot]]];
}

void identity_init(struct replay *replay)
{
    const struct job *job = replay->config.job;
    struct arena *scratch = arena_new("numbering groups");
    struct known *known = arena_array(scratch, job->group_count, struct known);
    uint32_t *number = arena_array(replay->arena, job->group_count, uint32_t), count = 0;
    for (uint32_t group = 0; group < job->group_count; group++) {
        if (replay->group_call[group] < replay->group_call[group + 1]) {
            known[count++] = (struct known){job->group_rank + job->group_first[group], job_group_size(job, group),
                                            first_call(replay, group), group};
        }
    }
    if (count > 1) {
        qsort(known, count, sizeof *known, known_order);
    }
    for (uint32_t i = 0; i < count; i++) {
        number[known[i].id] = i;
    }
    replay->group_number = number;
    arena_free(scratch);
}

void replay_identity(const struct replay *replay, const struct message *message, uint64_t key[2])
{
    key[0] = message->key[0];
    key[1] = message->key[1];
    if (key[0] & KEY_COLLECTIVE) {
        uint32_t group = (uint32_t)key[0];
        key[0] = (key[0] & ~(uint64_t)UINT32_MAX) | replay->group_number[group];
    }
}
