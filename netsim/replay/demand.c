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

static void call_walk(const struct demand_walk *walk, const struct rank *rank, uint32_t op, uint64_t count)
{
    const struct job *job = walk->replay->config.job;
    struct collective_call call = call_of(walk->replay, rank, op);
    if (call.members < 2) {
        return;
    }
    uint32_t group = job_group(job, rank->id, rank->program->group_slot[op]);
    const struct collective_algorithm *algorithm = algorithm_of(walk->replay, rank, op);
    uint64_t steps = algorithm->step_count(&call);
    for (uint64_t k = 0; k < steps; k++) {
        struct collective_step step;
        algorithm->step(&call, k, &step);
        if (step.send_to != ID_NONE) {
            walk->visit(walk->context, rank->id, job->group_rank[job->group_first[group] + step.send_to],
                        step.send_bytes, count);
        }
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
        call_walk(walk, rank, plan->slot_op[i], next - i);
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
