/* Why nothing moves: the deadlock report. */
#include "netsim/replay/replay_int.h"

#include <inttypes.h>

struct explain {
    const struct replay *replay;
    const struct rank *rank;
    FILE *stream;
};

static void op_print(const struct explain *explain, uint32_t op)
{
    const struct program *program = explain->rank->program;
    fprintf(explain->stream, "  rank %u: %s %" PRIu64 " \"%s\"", explain->rank->id, op_kind_name(program->kind[op]),
            program->source_id[op], op_name(program, op));
}

static void receive_explain(void *context, struct match_key key, uint32_t op)
{
    const struct explain *explain = context;
    if (op == MATCH_ARRIVED) {
        return;
    }
    op_print(explain, op);
    fprintf(explain->stream, " waits for a message of rank %u with tag %u (number %" PRIu64 ")\n", key.src_rank,
            (uint32_t)key.key[0], key.key[1]); /* above the tag stands the iteration */
}

static void members_missing(const struct explain *explain, uint32_t group, uint32_t ordinal)
{
    const struct replay *replay = explain->replay;
    const struct replay_call *call = &replay->calls[replay->group_call[group] + ordinal];
    fprintf(explain->stream, " (call %u of group \"%s\": %u of %u members have started)\n", ordinal,
            replay->config.job->group_name[group], call->started, call->members);
}

/* The first lane that is not through. */
static uint32_t lane_stuck(const struct slot *slot)
{
    uint32_t lane = 0;
    while (lane + 1 < slot->lane_count && slot->lanes[lane].recv_done == slot->lanes[lane].step_count &&
           slot->lanes[lane].send_done == slot->lanes[lane].step_count) {
        lane++;
    }
    return lane;
}

static void slot_explain(const struct explain *explain, uint32_t slot_id)
{
    const struct rank *rank = explain->rank;
    const struct slot *slot = &rank->slots[slot_id];
    const struct job *job = explain->replay->config.job;
    if (!slot->is_running) {
        return;
    }
    uint32_t group = job_group(job, rank->id, slot_id), lane_id = lane_stuck(slot);
    const struct lane *lane = &slot->lanes[lane_id];
    op_print(explain, rank->plan->slot_op[rank->plan->slot_first[slot_id] + slot->next]);
    struct collective_step step = {.recv_from = ID_NONE};
    if (lane->recv_done < lane->step_count) {
        const struct collective_call call = call_of(slot->call, slot->self);
        collective_step_of(slot->call->algorithm, &call, lane_id, lane->recv_done, &step);
    }
    if (step.recv_from != ID_NONE) {
        fprintf(explain->stream, " waits for step %u of rank %u", lane->recv_done,
                job->group_rank[job->group_first[group] + step.recv_from]);
    } else {
        fprintf(explain->stream, " waits for %u acknowledgement%s", lane->step_next - lane->send_done,
                plural(lane->step_next - lane->send_done, "s"));
    }
    members_missing(explain, group, slot->next);
}

void replay_explain(const struct replay *replay, FILE *stream, uint32_t limit)
{
    uint32_t stuck = 0, rank_count = replay->config.job->rank_count;
    for (uint32_t id = 0; id < rank_count; id++) {
        const struct rank *rank = &replay->ranks[id];
        if (rank->result.done_ops == rank->result.op_count || stuck++ >= limit) {
            continue;
        }
        fprintf(stream, "  rank %u: %" PRIu64 " of %" PRIu64 " operation%s done\n", id, rank->result.done_ops,
                rank->result.op_count, plural(rank->result.op_count, "s"));
        struct explain explain = {replay, rank, stream};
        match_visit(&rank->table, receive_explain, &explain);
        for (uint32_t slot = 0; slot < rank->program->slot_count; slot++) {
            slot_explain(&explain, slot);
        }
    }
    if (stuck > limit) {
        fprintf(stream, "  and %u more rank%s\n", stuck - limit, plural(stuck - limit, "s"));
    }
}
