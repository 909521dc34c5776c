/* Teams that calls send to: which there are, who is in them (collective.h). */
#include "netsim/replay/replay_int.h"

enum medium medium_of_team(const struct collective_call *call, enum collective_team team)
{
    bool is_in_server = call->local > 1 && (team == TEAM_SERVER || (team == TEAM_CALL && call->local == call->members));
    return is_in_server ? MEDIUM_SCALE_UP : MEDIUM_SCALE_OUT;
}

static uint32_t *teams_of(const struct replay *replay, uint32_t group)
{
    return &replay->group_team[(size_t)group * TEAM_COUNT];
}

/* Every group whose calls need them gets teams of its own: one, or one a server, or one a number in servers. */
void call_teams_init(struct replay *replay)
{
    uint32_t groups = replay->config.job->group_count;
    replay->group_team = arena_array(replay->arena, (size_t)groups * TEAM_COUNT, uint32_t);
    for (uint32_t i = 0; i < groups * TEAM_COUNT; i++) {
        replay->group_team[i] = ID_NONE;
    }
    for (uint32_t i = 0; i < replay->call_count; i++) {
        const struct replay_call *record = &replay->calls[i];
        for (int team = 0; team < TEAM_COUNT && record->members > 1; team++) {
            uint32_t *first = &teams_of(replay, record->group)[team];
            bool is_new = record->algorithm->teams[team] != 0 && *first == ID_NONE &&
                          team_members(&record->call, (enum collective_team)team) > 1;
            if (is_new) {
                *first = replay->team_count;
                replay->team_count += record->members / team_members(&record->call, (enum collective_team)team);
            }
        }
    }
}

uint32_t replay_team_count(const struct replay *replay)
{
    return replay->team_count;
}

static void team_uses(const struct replay *replay, uint32_t group, enum collective_team kind, uint32_t index, uint8_t *uses)
{
    for (uint32_t i = replay->group_call[group]; i < replay->group_call[group + 1]; i++) {
        const struct replay_call *record = &replay->calls[i];
        uint8_t use = record->algorithm->teams[kind];
        uint32_t places = team_members(&record->call, kind);
        for (uint32_t place = 0; place < places; place++) {
            uint32_t member = team_member(&record->call, kind, index, place);
            bool is_owner = (use & TEAM_OWNERS) != 0 || ((use & TEAM_ROOT) != 0 && member == record->call.root);
            uses[place] |= (uint8_t)((is_owner ? TEAM_OWNERS : 0) | (use & TEAM_ALL));
        }
    }
}

void replay_teams(const struct replay *replay,
                  void (*visit)(void *context, const struct replay_team *team), void *context)
{
    const struct job *job = replay->config.job;
    struct arena *scratch = arena_new("teams");
    for (uint32_t group = 0; replay->team_count > 0 && group < job->group_count; group++) {
        for (int kind = 0; kind < TEAM_COUNT; kind++) {
            uint32_t first = teams_of(replay, group)[kind];
            if (first == ID_NONE) {
                continue;
            }
            const struct replay_call *record = &replay->calls[replay->group_call[group]];
            uint32_t places = team_members(&record->call, (enum collective_team)kind);
            uint32_t *ranks = arena_array(scratch, places, uint32_t);
            for (uint32_t index = 0; index < record->members / places; index++) {
                uint8_t *uses = arena_array(scratch, places, uint8_t);
                for (uint32_t place = 0; place < places; place++) {
                    ranks[place] = job_group_rank(job, group, team_member(&record->call, (enum collective_team)kind, index, place));
                }
                team_uses(replay, group, (enum collective_team)kind, index, uses);
                bool is_in_server = medium_of_team(&record->call, (enum collective_team)kind) == MEDIUM_SCALE_UP;
                const struct replay_team team = {first + index, places, job->group_name[group], ranks, uses, is_in_server};
                visit(context, &team);
            }
        }
    }
    arena_free(scratch);
}

uint32_t team_address(const struct replay *replay, uint32_t group, const struct collective_call *call,
                             const struct collective_step *step)
{
    if (step->cast == CAST_NONE) {
        return 0;
    }
    uint32_t team = teams_of(replay, group)[step->team] + team_index(call, step->team, call->self);
    return MESSAGE_TEAM | (uint32_t)step->cast << MESSAGE_CAST_BIT | team;
}
