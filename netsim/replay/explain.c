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

static void slot_explain(const struct explain *explain, uint32_t slot_id)
{
    const struct rank *rank = explain->rank;
    const struct slot *slot = &rank->slots[slot_id];
    const struct job *job = explain->replay->config.job;
    if (!slot->is_running) {
        return;
    }
    uint32_t group = job_group(job, rank->id, slot_id);
    op_print(explain, rank->plan->slot_op[rank->plan->slot_first[slot_id] + slot->next]);
    struct collective_step step = {.recv_from = ID_NONE};
    if (slot->recv_done < slot->step_count) {
        slot->algorithm->step(&slot->call, slot->recv_done, &step);
    }
    if (step.recv_from != ID_NONE) {
        fprintf(explain->stream, " waits for step %" PRIu64 " of rank %u", slot->recv_done,
                job->group_rank[job->group_first[group] + step.recv_from]);
    } else {
        fprintf(explain->stream, " waits for %" PRIu64 " acknowledgements", slot->step_next - slot->send_done);
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
        fprintf(stream, "  rank %u: %" PRIu64 " of %" PRIu64 " operations done\n", id, rank->result.done_ops,
                rank->result.op_count);
        struct explain explain = {replay, rank, stream};
        match_visit(&rank->table, receive_explain, &explain);
        for (uint32_t slot = 0; slot < rank->program->slot_count; slot++) {
            slot_explain(&explain, slot);
        }
    }
    if (stuck > limit) {
        fprintf(stream, "  and %u more ranks\n", stuck - limit);
    }
}
