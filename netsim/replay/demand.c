/* What a job will send, asked before anything runs: for circuits, estimates and message sampling. */
#include "netsim/replay/replay_int.h"

struct demand_walk {
    const struct replay *replay;
    void (*visit)(void *context, uint32_t src_rank, uint32_t dst_rank, uint64_t bytes, uint64_t count);
    void *context;
};

static bool call_equal(const struct program *program, uint32_t a, uint32_t b)
{
    return program->collective[a] == program->collective[b] && program->bytes[a] == program->bytes[b] &&
           program->root[a] == program->root[b] && program->pairs[a] == program->pairs[b];
}

static void lane_walk(const struct demand_walk *walk, const struct rank *rank, const struct replay_call *record,
                      uint32_t self, uint32_t lane, uint64_t count)
{
    const struct job *job = walk->replay->config.job;
    const struct collective_call call = call_of(record, self);
    uint64_t steps = record->algorithm->step_count(&call, lane);
    for (uint64_t k = 0; k < steps; k++) {
        struct collective_step step;
        collective_step_of(record->algorithm, &call, lane, k, &step);
        if (step.send_to != ID_NONE) {
            walk->visit(walk->context, rank->id, job->group_rank[job->group_first[record->group] + step_peer(&call, &step)],
                        choice_wire_bytes(&record->choice, step.send_bytes), count);
        }
    }
}

static void call_walk(const struct demand_walk *walk, const struct rank *rank, uint32_t slot, uint32_t ordinal,
                      uint64_t count)
{
    const struct replay_call *record = record_at(walk->replay, rank, slot, ordinal);
    if (!call_has_steps(record)) {
        return;
    }
    const struct collective_call call = call_of(record, rank->slots[slot].self);
    for (uint32_t lane = 0; lane < collective_lanes(record->algorithm, &call); lane++) {
        lane_walk(walk, rank, record, call.self, lane, count);
    }
}

/* Runs of equal calls, as a training step has them, are walked once. */
static void slot_walk(const struct demand_walk *walk, const struct rank *rank, uint32_t slot)
{
    const struct plan *plan = rank->plan;
    uint32_t last = plan->slot_first[slot + 1];
    for (uint32_t i = plan->slot_first[slot]; i < last;) {
        uint32_t next = i + 1;
        while (next < last && call_equal(rank->program, plan->slot_op[i], plan->slot_op[next])) {
            next++;
        }
        call_walk(walk, rank, slot, i - plan->slot_first[slot], next - i);
        i = next;
    }
}

void replay_demand(const struct replay *replay,
                   void (*visit)(void *context, uint32_t src_rank, uint32_t dst_rank, uint64_t bytes, uint64_t count),
                   void *context)
{
    const struct demand_walk walk = {replay, visit, context};
    for (uint32_t id = 0; id < replay->config.job->rank_count; id++) {
        const struct rank *rank = &replay->ranks[id];
        for (uint32_t slot = 0; slot < rank->program->slot_count; slot++) {
            slot_walk(&walk, rank, slot);
        }
        for (uint32_t op = 0; op < rank->program->op_count; op++) {
            if (rank->program->kind[op] == OP_SEND) {
                visit(context, id, job_peer(replay->config.job, id, rank->program, op), rank->program->bytes[op], 1);
            }
        }
    }
}

static void volume_add(void *context, uint32_t src_rank, uint32_t dst_rank, uint64_t bytes, uint64_t count)
{
    (void)src_rank;
    (void)dst_rank;
    struct replay_volume *volume = context;
    volume->messages += count;
    volume->bytes += bytes * count;
}

void replay_volume(const struct replay *replay, struct replay_volume *volume)
{
    *volume = (struct replay_volume){0};
    replay_demand(replay, volume_add, volume);
}
