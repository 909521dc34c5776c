#include "netsim/replay/phases.h"

#include "netsim/replay/replay_int.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

/* A kind of groups. */
struct kind {
    const char *name; /* of a group; of it name_bytes count */
    size_t name_bytes;
    uint32_t members, distance;
    uint32_t first_phase, phase_count;
};

struct phases {
    const struct replay *replay;
    enum phase_kind kind;
    enum circuit_traffic traffic;
    struct kind *kinds;
    size_t kind_count, kind_capacity;
    uint32_t *kind_of; /* by group */
    uint32_t count;
    const char **names;
};

static size_t name_letters(const char *name)
{
    size_t bytes = name == NULL ? 0 : strlen(name);
    while (bytes > 0 && (isdigit((unsigned char)name[bytes - 1]) || strchr("._-#: ", name[bytes - 1]) != NULL)) {
        bytes--;
    }
    return bytes;
}

static struct kind kind_make(const struct job *job, uint32_t group)
{
    const uint32_t *rank = &job->group_rank[job->group_first[group]];
    struct kind kind = {.name = job->group_name[group], .members = job_group_size(job, group)};
    kind.name_bytes = name_letters(kind.name);
    kind.distance = kind.members > 1 ? rank[1] - rank[0] : 0;
    return kind;
}

static bool kind_is(const struct kind *kind, const struct kind *other)
{
    return kind->name_bytes == other->name_bytes && kind->members == other->members &&
           kind->distance == other->distance && memcmp(kind->name, other->name, kind->name_bytes) == 0;
}

static uint32_t kind_find(struct phases *phases, struct arena *arena, uint32_t group)
{
    struct kind kind = kind_make(phases->replay->config.job, group);
    for (uint32_t i = 0; i < phases->kind_count; i++) {
        if (kind_is(&phases->kinds[i], &kind)) {
            return i;
        }
    }
    vec_push(arena, phases->kinds, phases->kind_count, phases->kind_capacity) = kind;
    return (uint32_t)phases->kind_count - 1;
}

static uint32_t group_calls(const struct replay *replay, uint32_t group)
{
    uint32_t groups = replay->config.job->group_count;
    uint32_t next = group + 1 < groups ? replay->group_call[group + 1] : replay->call_count;
    return next - replay->group_call[group];
}

static void names_make(struct phases *phases, struct arena *arena)
{
    phases->names = arena_array(arena, phases->count, const char *);
    phases->names[0] = phases->kind == PHASE_JOB ? "job" : "point to point";
    for (uint32_t i = 0; phases->kind != PHASE_JOB && i < phases->kind_count; i++) {
        const struct kind *kind = &phases->kinds[i];
        for (uint32_t k = 0; k < kind->phase_count; k++) {
            char *name = arena_printf(arena, "%.*s x%" PRIu32 " +%" PRIu32, (int)kind->name_bytes,
                                      kind->name_bytes > 0 ? kind->name : "", kind->members, kind->distance);
            phases->names[kind->first_phase + k] =
                phases->kind == PHASE_CALL ? arena_printf(arena, "%s call %" PRIu32, name, k) : name;
        }
    }
}

struct phases *phases_new(const struct replay *replay, enum phase_kind kind, enum circuit_traffic traffic,
                          struct arena *arena)
{
    struct phases *phases = arena_one(arena, struct phases);
    const struct job *job = replay->config.job;
    *phases = (struct phases){.replay = replay, .kind = kind, .traffic = traffic, .count = 1};
    phases->kind_of = arena_array(arena, job->group_count, uint32_t);
    for (uint32_t group = 0; group < job->group_count; group++) {
        uint32_t calls = kind == PHASE_CALL ? group_calls(replay, group) : 1;
        phases->kind_of[group] = kind_find(phases, arena, group);
        struct kind *of = &phases->kinds[phases->kind_of[group]];
        of->phase_count = calls > of->phase_count ? calls : of->phase_count;
    }
    for (uint32_t i = 0; kind != PHASE_JOB && i < phases->kind_count; i++) {
        phases->kinds[i].first_phase = phases->count;
        phases->count += phases->kinds[i].phase_count;
    }
    names_make(phases, arena);
    return phases;
}

uint32_t phases_count(const struct phases *phases)
{
    return phases->count;
}

const char *phases_name(const struct phases *phases, uint32_t phase)
{
    return phases->names[phase];
}

static uint32_t call_phase(const struct phases *phases, uint32_t group, uint32_t ordinal)
{
    const struct replay *replay = phases->replay;
    if (phases->traffic == TRAFFIC_ALL_TO_ALL &&
        replay->calls[replay->group_call[group] + ordinal].kind != COLLECTIVE_ALL_TO_ALL) {
        return ID_NONE;
    }
    if (phases->kind == PHASE_JOB) {
        return 0;
    }
    return phases->kinds[phases->kind_of[group]].first_phase + (phases->kind == PHASE_CALL ? ordinal : 0);
}

uint32_t phases_of(const struct phases *phases, const struct message *message)
{
    bool is_call = (message->key[0] & KEY_COLLECTIVE) != 0;
    if (is_call) {
        return call_phase(phases, (uint32_t)message->key[0], key_ordinal(message->key[1]));
    }
    return phases->traffic == TRAFFIC_ANY ? 0 : ID_NONE;
}

static void call_walk(const struct phases *phases, const struct rank *rank, uint32_t op, phases_visit *visit,
                      void *context)
{
    const struct replay *replay = phases->replay;
    const struct job *job = replay->config.job;
    uint32_t slot = rank->program->group_slot[op], ordinal = rank->plan->match_number[op];
    const struct replay_call *record = record_at(replay, rank, slot, ordinal);
    uint32_t phase = call_phase(phases, record->group, ordinal);
    if (!call_has_steps(record) || phase == ID_NONE) {
        return;
    }
    const struct collective_call call = call_of(record, rank->slots[slot].self);
    for (uint32_t lane = 0; lane < collective_lanes(record->algorithm, &call); lane++) {
        uint64_t steps = record->algorithm->step_count(&call, lane);
        for (uint64_t k = 0; k < steps; k++) {
            struct collective_step step;
            collective_step_of(record->algorithm, &call, lane, k, &step);
            if (step.send_to != ID_NONE && step.cast == CAST_NONE) {
                visit(context, phase, rank->id, job->group_rank[job->group_first[record->group] + step.send_to],
                      choice_wire_bytes(&record->choice, step.send_bytes));
            }
        }
    }
}

void phases_walk(const struct phases *phases, uint32_t id, phases_visit *visit, void *context)
{
    const struct rank *rank = &phases->replay->ranks[id];
    const struct program *program = rank->program;
    for (uint32_t i = 0; i < program->op_count; i++) {
        uint32_t op = rank->plan->ordered[i];
        if (program->kind[op] == OP_COLLECTIVE) {
            call_walk(phases, rank, op, visit, context);
        } else if (program->kind[op] == OP_SEND && phases->traffic == TRAFFIC_ANY) {
            visit(context, 0, id, job_peer(phases->replay->config.job, id, program, op), program->bytes[op]);
        }
    }
}
