#include "netsim/replay/replay_int.h"

/* ---- time accounting -------------------------------------------------------------------------------------- */

void rank_account(struct rank *rank, uint64_t now_ps)
{
    uint64_t passed_ps = now_ps - rank->since_ps;
    rank->since_ps = now_ps;
    rank->result.compute_ps += rank->compute_running > 0 ? passed_ps : 0;
    rank->result.communication_ps += rank->communication_running > 0 ? passed_ps : 0;
    rank->result.exposed_ps += rank->communication_running > 0 && rank->compute_running == 0 ? passed_ps : 0;
}

void communication_begin(struct rank *rank, uint64_t now_ps)
{
    rank_account(rank, now_ps);
    rank->communication_running++;
}

void communication_end(struct rank *rank, uint64_t now_ps)
{
    rank_account(rank, now_ps);
    assert(rank->communication_running > 0);
    rank->communication_running--;
}

/* ---- streams ---------------------------------------------------------------------------------------------- */

static void ready_push(struct arena *arena, struct stream *stream, uint32_t order)
{
    vec_push(arena, stream->ready, stream->count, stream->capacity) = order;
    size_t at = stream->count - 1;
    for (; at > 0 && stream->ready[(at - 1) / 2] > order; at = (at - 1) / 2) {
        stream->ready[at] = stream->ready[(at - 1) / 2];
    }
    stream->ready[at] = order;
}

static uint32_t ready_pop(struct stream *stream)
{
    uint32_t first = stream->ready[0], last = stream->ready[--stream->count];
    size_t at = 0;
    for (size_t child = 1; child < stream->count; child = 2 * at + 1) {
        child += child + 1 < stream->count && stream->ready[child + 1] < stream->ready[child];
        if (last <= stream->ready[child]) {
            break;
        }
        stream->ready[at] = stream->ready[child];
        at = child;
    }
    stream->ready[at] = last;
    return first;
}

/* ---- operations ------------------------------------------------------------------------------------------- */

void message_post(struct replay *replay, struct rank *rank, struct message_to to, struct match_key key, uint64_t bytes,
                  struct message_extra extra, uint32_t op, uint64_t now_ps)
{
    struct message message = {
        .src_rank = rank->id,
        .dst_rank = to.rank,
        .src_host = rank->host,
        .dst_host = to.team != 0 ? to.team : replay->config.rank_host[to.rank],
        .bytes = bytes + extra.bytes,
        .post_ns = extra.post_ns,
        .key = {key.key[0], key.key[1]},
        .cookie = op,
        .channel = to.channel,
    };
    rank->result.sent_bytes += bytes;
    rank->result.local_bytes += message.src_host == message.dst_host ? bytes : 0;
    replay->config.net.send(replay->config.net.context, &message, now_ps);
}

void timer_set(struct replay *replay, const struct rank *rank, uint32_t op, uint64_t when_ps)
{
    replay->config.net.timer(replay->config.net.context, rank->host, when_ps, (uint64_t)rank->local << 32 | op);
}

static void send_start(struct replay *replay, struct rank *rank, uint32_t op, uint64_t now_ps)
{
    uint32_t peer = job_peer(replay->config.job, rank->id, rank->program, op);
    struct match_key key = message_key(rank->iteration, rank->program->tag[op], rank->plan->match_number[op],
                                       rank->id);
    communication_begin(rank, now_ps);
    message_post(replay, rank, (struct message_to){.rank = peer}, key, rank->program->bytes[op], (struct message_extra){0}, op,
                 now_ps);
}

static void recv_start(struct replay *replay, struct rank *rank, uint32_t op, uint64_t now_ps)
{
    uint32_t peer = job_peer(replay->config.job, rank->id, rank->program, op);
    struct match_key key = message_key(rank->iteration, rank->program->tag[op], rank->plan->match_number[op], peer);
    uint32_t value;
    if (match_take(&rank->table, key, &value)) {
        op_done(rank, op, now_ps);
        return;
    }
    communication_begin(rank, now_ps);
    match_put(&rank->table, replay->arena, key, op);
}

static void timed_start(struct replay *replay, struct rank *rank, uint32_t op, uint64_t now_ps)
{
    uint64_t duration_ps = rank->program->duration_ps[op];
    if (rank->plan->stream_of[op] == rank->plan->compute_stream) {
        rank_account(rank, now_ps);
        rank->compute_running++;
        if (!noise_is_none(&replay->config.noise)) {
            duration_ps = noise_duration_ps(&replay->config.noise, rank->id, rank->iteration, op, duration_ps);
        }
    }
    timer_set(replay, rank, op, now_ps + duration_ps);
}

static void marker_start(struct replay *replay, struct rank *rank, uint32_t op, uint64_t now_ps)
{
    (void)replay;
    op_done(rank, op, now_ps);
}

static void collective_start(struct replay *replay, struct rank *rank, uint32_t op, uint64_t now_ps)
{
    slot_start(replay, rank, rank->program->group_slot[op], now_ps);
}

static void (*const op_start[OP_KIND_COUNT])(struct replay *, struct rank *, uint32_t, uint64_t) = {
    [OP_COMPUTE] = timed_start,
    [OP_MEMORY] = timed_start,
    [OP_SEND] = send_start,
    [OP_RECV] = recv_start,
    [OP_MARKER] = marker_start,
    [OP_COLLECTIVE] = collective_start,
};

static void stream_start(struct replay *replay, struct rank *rank, uint32_t stream_id, uint64_t now_ps)
{
    struct stream *stream = &rank->streams[stream_id];
    if (stream->is_busy || stream->count == 0) {
        return;
    }
    uint32_t op = rank->plan->ordered[ready_pop(stream)];
    stream->is_busy = true;
    op_start[rank->program->kind[op]](replay, rank, op, now_ps);
}

/* Streams start when everything that becomes ready at this moment is known, or the order of it would count. */
static void stream_wake(struct rank *rank, uint32_t stream)
{
    if (!rank->streams[stream].is_woken) {
        rank->streams[stream].is_woken = true;
        rank->woken[rank->woken_count++] = stream;
    }
}

static void op_ready(struct replay *replay, struct rank *rank, uint32_t op, uint64_t now_ps)
{
    uint32_t stream = rank->plan->stream_of[op];
    if (stream == STREAM_NONE) {
        op_start[rank->program->kind[op]](replay, rank, op, now_ps);
        return;
    }
    ready_push(replay->arena, &rank->streams[stream], rank->program->order[op]);
    stream_wake(rank, stream);
}

void op_done(struct rank *rank, uint32_t op, uint64_t now_ps)
{
    rank->result.done_ops++;
    rank->result.end_ps = now_ps;
    rank->work[rank->work_count++] = op;
}

static void rank_begin(struct replay *replay, struct rank *rank, uint64_t now_ps)
{
    for (uint32_t i = 0; i < rank->plan->root_count; i++) {
        op_ready(replay, rank, rank->plan->roots[i], now_ps);
    }
}

/* Everything anew for the next iteration; ranks do not wait for each other in between. */
static void rank_reset(struct rank *rank)
{
    rank->iteration++;
    for (uint32_t op = 0; op < rank->program->op_count; op++) {
        rank->waiting[op] = rank->program->dep_first[op + 1] - rank->program->dep_first[op];
    }
    for (uint32_t slot = 0; slot < rank->program->slot_count; slot++) {
        rank->slots[slot].next = 0;
    }
}

/* Makes the children of everything that is done ready, until nothing more follows at this moment. A list, not
 * recursion: chains of markers are as long as the input makes them. */
static void rank_settle(struct replay *replay, struct rank *rank, uint64_t now_ps)
{
    const struct program *program = rank->program;
    while (rank->work_count > 0) {
        uint32_t op = rank->work[--rank->work_count];
        uint32_t stream = rank->plan->stream_of[op];
        if (stream != STREAM_NONE) {
            rank->streams[stream].is_busy = false;
            stream_wake(rank, stream);
        }
        for (uint32_t i = program->child_first[op]; i < program->child_first[op + 1]; i++) {
            uint32_t child = program->child[i];
            if (--rank->waiting[child] == 0) {
                op_ready(replay, rank, child, now_ps);
            }
        }
    }
    for (uint32_t i = 0; i < rank->woken_count; i++) {
        rank->streams[rank->woken[i]].is_woken = false;
        stream_start(replay, rank, rank->woken[i], now_ps);
    }
    rank->woken_count = 0;
}

static void rank_work(struct replay *replay, struct rank *rank, uint64_t now_ps)
{
    rank_settle(replay, rank, now_ps);
    while (rank->result.done_ops == (uint64_t)rank->program->op_count * (rank->iteration + 1)) {
        if (rank->iteration == 0) {
            rank_account(rank, now_ps);
            rank->result.first_end_ps = rank->result.end_ps;
            rank->result.first_compute_ps = rank->result.compute_ps;
            rank->result.first_exposed_ps = rank->result.exposed_ps;
        }
        if (rank->iteration + 1 == replay->config.iterations) {
            return;
        }
        rank_reset(rank);
        rank_begin(replay, rank, now_ps);
        rank_settle(replay, rank, now_ps);
    }
}

/* ---- what the network tells ------------------------------------------------------------------------------- */

void replay_delivered(struct replay *replay, const struct message *message, uint64_t now_ps)
{
    struct rank *rank = &replay->ranks[message->dst_rank];
    rank->result.received_bytes += message->bytes;
    rank->result.message_ps = now_ps;
    if (message->key[0] & KEY_COLLECTIVE) {
        slot_delivered(replay, rank, message, now_ps);
    } else {
        struct match_key key = {{message->key[0], message->key[1]}, message->src_rank};
        uint32_t op;
        rank->result.algorithmic_bytes += message->bytes;
        if (match_take(&rank->table, key, &op)) {
            communication_end(rank, now_ps);
            op_done(rank, op, now_ps);
        } else {
            match_put(&rank->table, replay->arena, key, MATCH_ARRIVED);
        }
    }
    rank_work(replay, rank, now_ps);
}

void replay_acked(struct replay *replay, const struct message *message, uint64_t now_ps)
{
    struct rank *rank = &replay->ranks[message->src_rank];
    uint32_t op = message->cookie;
    rank->result.message_ps = now_ps;
    if (message->key[0] & KEY_COLLECTIVE) {
        slot_acked(replay, rank, message, now_ps);
    } else {
        communication_end(rank, now_ps);
        op_done(rank, op, now_ps);
    }
    rank_work(replay, rank, now_ps);
}

void replay_event(struct replay *replay, uint32_t host, uint64_t argument, uint64_t now_ps)
{
    uint32_t op = (uint32_t)argument;
    struct rank *rank = &replay->ranks[replay->host_rank[replay->host_first[host] + (argument >> 32)]];
    if (op == OP_START) {
        rank_begin(replay, rank, now_ps);
    } else if (replay_is_look(argument)) {
        slot_look(replay, rank, op & ~OP_LOOK, now_ps);
    } else {
        if (rank->plan->stream_of[op] == rank->plan->compute_stream) {
            rank_account(rank, now_ps);
            rank->compute_running--;
        }
        op_done(rank, op, now_ps);
    }
    rank_work(replay, rank, now_ps);
}

/* ---- life ------------------------------------------------------------------------------------------------- */

static void hosts_init(struct replay *replay)
{
    const struct replay_config *config = &replay->config;
    uint32_t ranks = config->job->rank_count;
    uint32_t *first = arena_array(replay->arena, config->host_count + 1, uint32_t);
    uint32_t *list = arena_array(replay->arena, ranks, uint32_t);
    uint32_t *fill = arena_array(replay->arena, config->host_count, uint32_t);
    for (uint32_t rank = 0; rank < ranks; rank++) {
        first[config->rank_host[rank] + 1]++;
    }
    for (uint32_t host = 0; host < config->host_count; host++) {
        first[host + 1] += first[host];
    }
    for (uint32_t rank = 0; rank < ranks; rank++) {
        uint32_t host = config->rank_host[rank];
        assert(fill[host] < RANKS_PER_HOST_MAX);
        replay->ranks[rank].host = host;
        replay->ranks[rank].local = fill[host];
        list[first[host] + fill[host]++] = rank;
    }
    replay->host_first = first;
    replay->host_rank = list;
}

static void rank_init(struct replay *replay, uint32_t id)
{
    const struct job *job = replay->config.job;
    struct rank *rank = &replay->ranks[id];
    const struct program *program = job_program(job, id);
    rank->id = id;
    rank->program = program;
    rank->plan = replay->plans[job->rank_program[id]];
    rank->streams = arena_array(replay->arena, rank->plan->stream_count, struct stream);
    rank->woken = arena_array(replay->arena, rank->plan->stream_count, uint32_t);
    rank->slots = arena_array(replay->arena, program->slot_count, struct slot);
    rank->waiting = arena_array(replay->arena, program->op_count, uint32_t);
    rank->work = arena_array(replay->arena, program->op_count, uint32_t);
    for (uint32_t op = 0; op < program->op_count; op++) {
        rank->waiting[op] = program->dep_first[op + 1] - program->dep_first[op];
    }
    rank->result.op_count = (uint64_t)program->op_count * replay->config.iterations;
}

#define SCRATCH_BYTES ((size_t)16 << 20)

/* Many small programs share one scratch arena: one for each took 10 % of the instructions of a short run. */
static void plans_init(struct replay *replay)
{
    const struct job *job = replay->config.job;
    struct arena *scratch = arena_new("numbering messages");
    uint16_t *index_of = plan_streams(replay->arena);
    replay->plans = arena_array(replay->arena, job->program_count, const struct plan *);
    for (uint32_t i = 0; i < job->program_count; i++) {
        replay->plans[i] = plan_new(replay->arena, scratch, index_of, &job->programs[i]);
        if (arena_used_bytes(scratch) > SCRATCH_BYTES) {
            arena_free(scratch);
            scratch = arena_new("numbering messages");
        }
    }
    arena_free(scratch);
}

struct replay *replay_new(struct arena *arena, const struct replay_config *config)
{
    struct replay *replay = arena_one(arena, struct replay);
    replay->config = *config;
    assert(config->iterations > 0);
    replay->arena = arena;
    replay->ranks = arena_array(arena, config->job->rank_count, struct rank);
    plans_init(replay);
    for (uint32_t rank = 0; rank < config->job->rank_count; rank++) {
        rank_init(replay, rank);
    }
    hosts_init(replay);
    calls_init(replay);
    identity_init(replay);
    return replay;
}

void replay_idle_set(struct replay *replay, const uint64_t idle_ps[MEDIUM_COUNT])
{
    for (int medium = 0; medium < MEDIUM_COUNT; medium++) {
        replay->idle_ps[medium] = idle_ps[medium];
    }
}

void replay_start(struct replay *replay)
{
    const struct job *job = replay->config.job;
    for (uint32_t rank = 0; rank < job->rank_count; rank++) {
        uint64_t start_ps = job->part_count > 0 ? job->parts[job->rank_part[rank]].start_ps : 0;
        timer_set(replay, &replay->ranks[rank], OP_START, start_ps);
    }
}

bool replay_is_look(uint64_t argument)
{
    return ((uint32_t)argument & OP_LOOK) != 0 && (uint32_t)argument != OP_START;
}

const struct job *replay_job_of(const struct replay *replay)
{
    return replay->config.job;
}

bool replay_is_computing(const struct replay *replay, uint32_t rank)
{
    return replay->ranks[rank].compute_running > 0;
}

/* ---- results ---------------------------------------------------------------------------------------------- */

void replay_rank(const struct replay *replay, uint32_t id, uint64_t now_ps, struct replay_rank *result)
{
    struct rank rank = replay->ranks[id];
    if (now_ps > rank.since_ps) {
        rank_account(&rank, now_ps);
    }
    *result = rank.result;
}

uint32_t replay_call_count(const struct replay *replay)
{
    return replay->call_count;
}

const struct replay_call *replay_calls(const struct replay *replay)
{
    return replay->calls;
}

uint64_t replay_makespan_ps(const struct replay *replay)
{
    uint64_t end_ps = 0;
    for (uint32_t rank = 0; rank < replay->config.job->rank_count; rank++) {
        end_ps = replay->ranks[rank].result.end_ps > end_ps ? replay->ranks[rank].result.end_ps : end_ps;
    }
    return end_ps;
}

uint64_t replay_first_iteration_ps(const struct replay *replay)
{
    uint64_t end_ps = 0;
    for (uint32_t rank = 0; rank < replay->config.job->rank_count; rank++) {
        uint64_t first_ps = replay->ranks[rank].result.first_end_ps;
        end_ps = first_ps > end_ps ? first_ps : end_ps;
    }
    return end_ps;
}

uint64_t replay_done_ops(const struct replay *replay)
{
    uint64_t done = 0;
    for (uint32_t rank = 0; rank < replay->config.job->rank_count; rank++) {
        done += replay->ranks[rank].result.done_ops;
    }
    return done;
}

uint64_t replay_op_count(const struct replay *replay)
{
    uint64_t count = 0;
    for (uint32_t rank = 0; rank < replay->config.job->rank_count; rank++) {
        count += replay->ranks[rank].result.op_count;
    }
    return count;
}

bool replay_is_complete(const struct replay *replay)
{
    return replay_done_ops(replay) == replay_op_count(replay);
}
