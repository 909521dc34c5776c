/* Collective calls in progress. */
#include "netsim/replay/replay_int.h"

static uint32_t slot_of_group(const struct job *job, uint32_t rank, uint32_t group)
{
    uint32_t first = job->rank_group_first[rank], last = job->rank_group_first[rank + 1];
    for (uint32_t i = first; i < last; i++) {
        if (job->rank_group[i] == group) {
            return i - first;
        }
    }
    return ID_NONE;
}

static uint32_t group_rank(const struct job *job, uint32_t group, uint32_t member)
{
    return job->group_rank[job->group_first[group] + member];
}

struct collective_call call_of(const struct replay *replay, const struct rank *rank, uint32_t op)
{
    const struct job *job = replay->config.job;
    uint32_t group = job_group(job, rank->id, rank->program->group_slot[op]);
    return (struct collective_call){
        .members = job_group_size(job, group),
        .self = job_member_index(job, group, rank->id),
        .root = rank->program->root[op],
        .bytes = rank->program->bytes[op],
        .chunk_bytes = replay->config.chunk_bytes,
        .concurrency = replay->config.all_to_all_concurrency,
        .pairs = job_pairs(job, rank->program, op),
    };
}

const struct collective_algorithm *algorithm_of(const struct replay *replay, const struct rank *rank, uint32_t op)
{
    enum collective_kind kind = rank->program->collective[op];
    const struct collective_algorithm *chosen = replay->config.algorithm[kind];
    return chosen != NULL ? chosen : collective_find(kind, NULL);
}

/* ---- records ---------------------------------------------------------------------------------------------- */

static struct replay_call *record_of(struct replay *replay, const struct rank *rank, uint32_t slot)
{
    uint32_t group = job_group(replay->config.job, rank->id, slot);
    return &replay->calls[replay->group_call[group] + rank->slots[slot].next];
}

/* Of several iterations the last one is recorded. */
static bool is_recorded(const struct replay *replay, const struct rank *rank)
{
    return rank->iteration + 1 == replay->config.iterations;
}

/* Members may run on different threads; minimum and maximum do not depend on who comes first. */
static void atomic_least(uint64_t *least, uint64_t value)
{
    uint64_t seen = __atomic_load_n(least, __ATOMIC_RELAXED);
    while (value < seen && !__atomic_compare_exchange_n(least, &seen, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

static void atomic_most(uint64_t *most, uint64_t value)
{
    uint64_t seen = __atomic_load_n(most, __ATOMIC_RELAXED);
    while (value > seen && !__atomic_compare_exchange_n(most, &seen, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

static void record_start(struct replay *replay, const struct rank *rank, uint32_t slot_id, uint64_t now_ps)
{
    if (!is_recorded(replay, rank)) {
        return;
    }
    struct replay_call *call = record_of(replay, rank, slot_id);
    atomic_least(&call->first_start_ps, now_ps);
    atomic_most(&call->last_start_ps, now_ps);
    __atomic_fetch_add(&call->started, 1, __ATOMIC_RELAXED);
}

static void record_end(struct replay *replay, const struct rank *rank, uint32_t slot_id, uint64_t now_ps)
{
    if (!is_recorded(replay, rank)) {
        return;
    }
    struct replay_call *call = record_of(replay, rank, slot_id);
    atomic_most(&call->end_ps, now_ps);
    __atomic_fetch_add(&call->ended, 1, __ATOMIC_RELAXED);
}

/* What the call is, from the first member's program: the job's check has made sure that all agree. */
static void call_describe(const struct replay *replay, uint32_t group, struct replay_call *call)
{
    const struct job *job = replay->config.job;
    uint32_t id = group_rank(job, group, 0);
    const struct rank *rank = &replay->ranks[id];
    uint32_t slot = slot_of_group(job, id, group);
    uint32_t op = rank->plan->slot_op[rank->plan->slot_first[slot] + call->ordinal];
    call->algorithm = algorithm_of(replay, rank, op);
    call->kind = rank->program->collective[op];
    call->bytes = rank->program->bytes[op];
}

void calls_init(struct replay *replay)
{
    const struct job *job = replay->config.job;
    uint32_t *first = arena_array(replay->arena, job->group_count + 1, uint32_t);
    for (uint32_t group = 0; group < job->group_count; group++) {
        uint32_t calls = 0;
        if (job_group_size(job, group) > 0) {
            uint32_t rank = group_rank(job, group, 0);
            uint32_t slot = slot_of_group(job, rank, group);
            const struct plan *plan = replay->ranks[rank].plan;
            bool is_used = slot != ID_NONE && slot < replay->ranks[rank].program->slot_count;
            calls = is_used ? plan->slot_first[slot + 1] - plan->slot_first[slot] : 0;
        }
        first[group + 1] = first[group] + calls;
    }
    replay->group_call = first;
    replay->call_count = first[job->group_count];
    replay->calls = arena_array(replay->arena, replay->call_count, struct replay_call);
    for (uint32_t group = 0; group < job->group_count; group++) {
        for (uint32_t i = first[group]; i < first[group + 1]; i++) {
            replay->calls[i].group = group;
            replay->calls[i].ordinal = i - first[group];
            replay->calls[i].members = job_group_size(job, group);
            replay->calls[i].first_start_ps = UINT64_MAX;
            call_describe(replay, group, &replay->calls[i]);
        }
    }
}

/* ---- steps ------------------------------------------------------------------------------------------------ */

/* Counts in what has arrived before it was asked for, and steps that receive nothing. */
static void receives_advance(const struct replay *replay, struct rank *rank, uint32_t slot_id, uint32_t group)
{
    const struct job *job = replay->config.job;
    struct slot *slot = &rank->slots[slot_id];
    while (slot->recv_done < slot->step_count) {
        struct collective_step step;
        slot->algorithm->step(&slot->call, slot->recv_done, &step);
        uint32_t value;
        if (step.recv_from != ID_NONE &&
            !match_take(&rank->table,
                        collective_key(rank->iteration, group, slot->next, slot->recv_done,
                                       group_rank(job, group, step.recv_from)),
                        &value)) {
            return;
        }
        slot->recv_done++;
    }
}

/* Sends every step whose turn has come. */
static void sends_advance(struct replay *replay, struct rank *rank, uint32_t slot_id, uint32_t group, uint64_t now_ps)
{
    const struct job *job = replay->config.job;
    struct slot *slot = &rank->slots[slot_id];
    uint32_t op = rank->plan->slot_op[rank->plan->slot_first[slot_id] + slot->next];
    while (slot->step_next < slot->step_count) {
        struct collective_step step;
        slot->algorithm->step(&slot->call, slot->step_next, &step);
        if (slot->recv_done < step.after_recv || slot->send_done < step.after_send) {
            return;
        }
        slot->step_next++;
        if (step.send_to == ID_NONE) {
            slot->send_done++;
            continue;
        }
        message_post(replay, rank, group_rank(job, group, step.send_to),
                     collective_key(rank->iteration, group, slot->next, step.send_as, rank->id), step.send_bytes, op,
                     now_ps);
    }
}

/* Moves the running call on as far as it goes; true where that ended it. */
static bool slot_advance(struct replay *replay, struct rank *rank, uint32_t slot_id, uint64_t now_ps)
{
    struct slot *slot = &rank->slots[slot_id];
    uint32_t group = job_group(replay->config.job, rank->id, slot_id);
    receives_advance(replay, rank, slot_id, group);
    sends_advance(replay, rank, slot_id, group, now_ps);
    if (slot->recv_done < slot->step_count || slot->send_done < slot->step_count) {
        return false;
    }
    uint32_t op = rank->plan->slot_op[rank->plan->slot_first[slot_id] + slot->next];
    record_end(replay, rank, slot_id, now_ps);
    slot->is_running = false;
    slot->next++;
    communication_end(rank, now_ps);
    op_done(rank, op, now_ps);
    return true;
}

static void call_begin(struct replay *replay, struct rank *rank, uint32_t slot_id, uint32_t op, uint64_t now_ps)
{
    struct slot *slot = &rank->slots[slot_id];
    slot->call = call_of(replay, rank, op);
    slot->algorithm = algorithm_of(replay, rank, op);
    slot->step_count = slot->call.members > 1 ? slot->algorithm->step_count(&slot->call) : 0;
    slot->step_next = slot->recv_done = slot->send_done = 0;
    slot->is_running = true;
    slot->start_ps = now_ps;
    communication_begin(rank, now_ps);
    record_start(replay, rank, slot_id, now_ps);
}

/* A loop, not recursion: a group of one member ends its calls at once, however many there are. */
void slot_start(struct replay *replay, struct rank *rank, uint32_t slot_id, uint64_t now_ps)
{
    struct slot *slot = &rank->slots[slot_id];
    uint32_t first = rank->plan->slot_first[slot_id], last = rank->plan->slot_first[slot_id + 1];
    while (!slot->is_running && first + slot->next < last) {
        uint32_t op = rank->plan->slot_op[first + slot->next];
        if (rank->waiting[op] > 0) {
            return;
        }
        call_begin(replay, rank, slot_id, op, now_ps);
        if (!slot_advance(replay, rank, slot_id, now_ps)) {
            return;
        }
    }
}

static void slot_go_on(struct replay *replay, struct rank *rank, uint32_t slot_id, uint64_t now_ps)
{
    if (slot_advance(replay, rank, slot_id, now_ps)) {
        slot_start(replay, rank, slot_id, now_ps);
    }
}

void slot_delivered(struct replay *replay, struct rank *rank, const struct message *message, uint64_t now_ps)
{
    uint32_t group = (uint32_t)message->key[0];
    uint32_t slot_id = slot_of_group(replay->config.job, rank->id, group);
    struct slot *slot = &rank->slots[slot_id];
    uint32_t ordinal = (uint32_t)(message->key[1] >> 32);
    uint64_t step = message->key[1] & UINT32_MAX;
    uint32_t iteration = (uint32_t)((message->key[0] & ~KEY_COLLECTIVE) >> 32);
    bool is_now = slot->is_running && slot->next == ordinal && iteration == rank->iteration;
    if (is_now && slot->recv_done == step) {
        slot->recv_done++;
        slot_go_on(replay, rank, slot_id, now_ps);
        return;
    }
    match_put(&rank->table, replay->arena, collective_key(iteration, group, ordinal, step, message->src_rank),
              MATCH_ARRIVED);
}

void slot_acked(struct replay *replay, struct rank *rank, uint32_t op, uint64_t now_ps)
{
    uint32_t slot = rank->program->group_slot[op];
    rank->slots[slot].send_done++;
    slot_go_on(replay, rank, slot, now_ps);
}
