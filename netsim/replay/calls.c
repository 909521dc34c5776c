/* Collective calls in progress. */
#include "netsim/base/rng.h"
#include "netsim/replay/coll_custom.h"
#include "netsim/replay/replay_int.h"

#include <inttypes.h>

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

struct collective_call call_of(const struct replay_call *record, uint32_t self)
{
    struct collective_call call = record->call;
    call.self = self;
    return call;
}

const struct replay_call *record_at(const struct replay *replay, const struct rank *rank, uint32_t slot, uint32_t ordinal)
{
    return &replay->calls[replay->group_call[job_group(replay->config.job, rank->id, slot)] + ordinal];
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

/* Members of one server: the same number in all of them, server by server in the group's order; else 1. */
static uint32_t local_of(const struct replay *replay, uint32_t group)
{
    const struct replay_config *config = &replay->config;
    uint32_t members = job_group_size(config->job, group), local = 0, width = config->machine.server_hosts;
    if (width == 0) {
        return 1;
    }
    const uint32_t *ranks = config->job->group_rank + config->job->group_first[group], *host = config->rank_host;
    while (local < members && host[ranks[local]] / width == host[ranks[0]] / width) {
        local++;
    }
    for (uint32_t i = 0; i < members; i++) {
        bool is_first = i % local == 0;
        bool is_same = i > 0 && host[ranks[i]] / width == host[ranks[i - 1]] / width;
        if (members % local != 0 || is_first == is_same) {
            return 1;
        }
    }
    return local;
}

static void call_choose(const struct replay_config *config, const char *group, struct replay_call *record)
{
    static const struct collective_policy plain = {.protocol = PROTOCOL_NONE};
    struct collective_policy policy = config->policy != NULL ? *config->policy : plain;
    for (int kind = 0; config->policy == NULL && kind < COLLECTIVE_KIND_COUNT; kind++) {
        policy.algorithm[kind] = config->algorithm[kind];
    }
    record->choice = collective_choose(&policy, &config->machine, record->kind, &record->call, group);
    record->algorithm = record->choice.algorithm;
    record->call.custom = record->algorithm->custom;
    record->call.channels = record->choice.channels;
    record->call.slices = record->choice.slices;
    record->call.chunk_bytes = record->choice.chunk_bytes;
    record->call.ring_bytes = record->choice.ring_bytes;
}

/* What the call is, from the first member's program: the job's check has made sure that all agree. */
static void call_describe(const struct replay *replay, uint32_t group, uint32_t local, struct replay_call *record)
{
    const struct replay_config *config = &replay->config;
    uint32_t id = job_group_rank(config->job, group, 0);
    const struct rank *rank = &replay->ranks[id];
    uint32_t slot = slot_of_group(config->job, id, group);
    uint32_t op = rank->plan->slot_op[rank->plan->slot_first[slot] + record->ordinal];
    record->kind = rank->program->collective[op];
    record->bytes = rank->program->bytes[op];
    record->hold_ps = record->kind == COLLECTIVE_BARRIER ? rank->program->duration_ps[op] : 0;
    record->hold_ps = record->hold_ps > 0 && record->hold_ps < config->apart_ps ? config->apart_ps : record->hold_ps;
    record->call = (struct collective_call){
        .members = record->members,
        .local = local,
        .root = rank->program->root[op],
        .concurrency = config->all_to_all_concurrency,
        .bytes = record->bytes,
        .chunk_bytes = config->chunk_bytes,
        .pairs = job_pairs(config->job, rank->program, op),
    };
    call_choose(config, config->job->group_name[group], record);
}

/* Calls of a group: those of its first member. */
static uint32_t calls_of_group(const struct replay *replay, uint32_t group)
{
    const struct job *job = replay->config.job;
    if (job_group_size(job, group) == 0) {
        return 0;
    }
    uint32_t rank = job_group_rank(job, group, 0), slot = slot_of_group(job, rank, group);
    const struct plan *plan = replay->ranks[rank].plan;
    bool is_used = slot != ID_NONE && slot < replay->ranks[rank].program->slot_count;
    return is_used ? plan->slot_first[slot + 1] - plan->slot_first[slot] : 0;
}

/* Every member's slot knows its place, and has room for the lanes of the call with most of them. */
static void slots_init(struct replay *replay, uint32_t group)
{
    const struct job *job = replay->config.job;
    uint32_t lanes = 0;
    for (uint32_t i = replay->group_call[group]; i < replay->group_call[group + 1]; i++) {
        uint32_t wanted = collective_lanes(replay->calls[i].algorithm, &replay->calls[i].call);
        assert(wanted <= LANES_MAX);
        lanes = wanted > lanes ? wanted : lanes;
    }
    for (uint32_t i = 0; lanes > 0 && i < job_group_size(job, group); i++) {
        struct rank *rank = &replay->ranks[job_group_rank(job, group, i)];
        uint32_t slot = slot_of_group(job, rank->id, group);
        rank->slots[slot].self = i & (MEMBERS_MAX - 1);
        rank->slots[slot].lanes = arena_array(replay->arena, lanes, struct lane);
    }
}

static void group_init(struct replay *replay, uint32_t group)
{
    uint32_t first = replay->group_call[group], last = replay->group_call[group + 1];
    uint32_t local = first < last ? local_of(replay, group) : 1;
    assert(last - first < ORDINALS_MAX && job_group_size(replay->config.job, group) <= MEMBERS_MAX);
    for (uint32_t i = first; i < last; i++) {
        replay->calls[i].group = group;
        replay->calls[i].ordinal = i - first;
        replay->calls[i].members = job_group_size(replay->config.job, group);
        replay->calls[i].first_start_ps = UINT64_MAX;
        call_describe(replay, group, local, &replay->calls[i]);
    }
    slots_init(replay, group);
}

void calls_init(struct replay *replay)
{
    const struct job *job = replay->config.job;
    uint32_t *first = arena_array(replay->arena, job->group_count + 1, uint32_t);
    for (uint32_t group = 0; group < job->group_count; group++) {
        first[group + 1] = first[group] + calls_of_group(replay, group);
    }
    replay->group_call = first;
    replay->call_count = first[job->group_count];
    replay->calls = arena_array(replay->arena, replay->call_count, struct replay_call);
    for (uint32_t group = 0; group < job->group_count; group++) {
        group_init(replay, group);
    }
    call_teams_init(replay);
    for (uint32_t i = 0; i < replay->call_count; i++) { /* two-way rings have two a channel, and trees two at least */
        const struct collective_choice *choice = &replay->calls[i].choice;
        uint32_t channels = choice->protocol == PROTOCOL_NONE ? 0 : 2 * choice->channels;
        replay->channel_count = channels > replay->channel_count ? channels : replay->channel_count;
    }
    for (uint32_t rank = 0; rank < job->rank_count; rank++) {
        size_t count = MEDIUM_COUNT * (size_t)replay->channel_count;
        replay->ranks[rank].channel_free_ps = count == 0 ? NULL : arena_array(replay->arena, count, uint64_t);
    }
}

/* Of members 0 and 1: where steps depend on the member at all, the root has more or fewer. */
enum status replay_check(const struct replay *replay, struct diag *diag)
{
    for (uint32_t i = 0; i < replay->call_count; i++) {
        const struct replay_call *record = &replay->calls[i];
        const struct custom_program *custom = record->algorithm->custom;
        const char *group = replay->config.job->group_name[record->group];
        if (custom != NULL && custom_fits(custom, record->kind, &record->call, group, diag) != STATUS_OK) {
            return STATUS_INPUT;
        }
        if (record->algorithm->is_of_server && record->call.local != record->members && record->members > 1) {
            return diag_set(diag, STATUS_INPUT,
                            "%s %s of group \"%s\": its %u ranks stand in several servers; expected one scale-up domain (or "
                            "sharp, nvls_sharp; collective.server gives its hosts)", collective_name(record->kind),
                            record->algorithm->name, replay->config.job->group_name[record->group], record->members);
        }
        for (uint32_t self = 0; self < record->members && self < 2 && call_has_steps(record); self++) {
            const struct collective_call call = call_of(record, self);
            for (uint32_t lane = 0; lane < collective_lanes(record->algorithm, &call); lane++) {
                uint64_t steps = record->algorithm->step_count(&call, lane);
                if (steps > UINT32_MAX) {
                    return diag_set(diag, STATUS_INPUT,
                                    "%s %s of %" PRIu64 " B on %u ranks takes %" PRIu64
                                    " steps; expected larger chunks (replay.chunk, collective.ring_chunk)",
                                    collective_name(record->kind), record->algorithm->name, record->bytes,
                                    record->members, steps);
                }
            }
        }
    }
    return STATUS_OK;
}

/* ---- steps ------------------------------------------------------------------------------------------------ */

/* Counts in what has arrived before it was asked for, and steps that receive nothing. */
static void receives_advance(const struct replay *replay, struct rank *rank, struct slot *slot, uint32_t lane_id)
{
    const struct replay_call *record = slot->call;
    const struct collective_call call = call_of(record, slot->self);
    struct lane *lane = &slot->lanes[lane_id];
    for (; lane->recv_done < lane->step_count; lane->recv_done++) {
        struct collective_step step;
        collective_step_of(record->algorithm, &call, lane_id, lane->recv_done, &step);
        if (step.recv_from == ID_NONE) {
            continue;
        }
        uint32_t from = job_group_rank(replay->config.job, record->group, step.recv_from), value;
        struct match_key key = collective_key(rank->iteration, record->group,
                                              step_key(lane_id, slot->next, lane->recv_done), from);
        if (!match_take(&rank->table, key, &value)) {
            return;
        }
    }
}

static bool step_may_go(const struct slot *slot, const struct lane *lane, const struct collective_step *step)
{
    return lane->recv_done >= step->after_recv && lane->send_done >= step->after_send &&
           slot->lanes[step->wait_lane].recv_done >= step->wait_recv &&
           slot->lanes[step->wait_lane].step_next >= step->wait_steps &&
           slot->lanes[step->also_lane].recv_done >= step->also_recv;
}

static enum medium medium_between(const struct replay *replay, const struct rank *rank, uint32_t to)
{
    uint32_t width = replay->config.machine.server_hosts, host = replay->config.rank_host[to];
    return width > 0 && host / width == rank->host / width ? MEDIUM_SCALE_UP : MEDIUM_SCALE_OUT;
}

/* When a message leaves whose sender is ready at start_ps, at the protocol's rate.
 *
 *      channel 0   |======== its share of the rate ========|        Channels run side by side, each at its share. The link is
 *      channel 1   |======== its share of the rate ========|        faster than all of them: what they send together takes it
 *      link                        |=01010101010101010101==|        for the last part of that time.
 *
 * One after the other they would hide their latencies behind each other's bytes, which the rows of NCCL's model do not: there
 * time is latency and bytes over rate, one plus the other. Algorithms without channels do send one message after the other. */
static uint64_t leave_at(const struct replay *replay, struct rank *rank, const struct slot *slot, enum medium medium,
                         const struct collective_step *step, uint64_t wire_bytes, uint64_t start_ps)
{
    uint64_t rate_bps = slot->call->choice.rate_bps[medium], *free_ps = &rank->send_free_ps[medium];
    uint32_t local = slot->call->call.local, shares = step->channels > 0 ? step->channels : 1;
    if (step->channels > 0 && medium == MEDIUM_SCALE_OUT) { /* a member's part of the channels of its server */
        shares = (shares + local - 1) / local;
    }
    if (step->channels > 0) {
        free_ps = &rank->channel_free_ps[medium * replay->channel_count + step->channel];
    }
    start_ps = *free_ps > start_ps ? *free_ps : start_ps;
    uint64_t link_ps = serialisation_ps(wire_bytes * shares, replay->config.machine.rate_bps[medium]);
    *free_ps = start_ps + serialisation_ps(step->send_bytes * shares, rate_bps);
    return *free_ps > start_ps + link_ps ? *free_ps - link_ps : start_ps;
}

/* What the protocol does to a message: it starts when the call's base time is over, its last byte leaves no earlier than the
 * protocol's rate allows, and it takes the hop's time. */
static struct message_extra extra_of(const struct replay *replay, struct rank *rank, const struct slot *slot,
                                     enum medium medium, const struct collective_step *step, uint64_t now_ps)
{
    const struct collective_choice *choice = &slot->call->choice;
    const struct replay_config *config = &replay->config;
    if (choice->protocol == PROTOCOL_NONE) {
        return (struct message_extra){0};
    }
    uint64_t bytes = step->send_bytes, wire_bytes = choice_wire_bytes(choice, bytes);
    uint64_t hop_ps = choice->hop_ps[medium], idle_ps = replay->idle_ps[medium];
    uint64_t leave_ps = slot->start_ps + choice->base_ps;
    leave_ps = now_ps > leave_ps ? now_ps : leave_ps;
    if (choice->rate_bps[medium] > 0 && config->machine.rate_bps[medium] > 0) {
        leave_ps = leave_at(replay, rank, slot, medium, step, wire_bytes, leave_ps);
    }
    uint64_t post_ns = (leave_ps - now_ps + (hop_ps > idle_ps ? hop_ps - idle_ps : 0) + 500) / 1000;
    return (struct message_extra){wire_bytes - bytes, post_ns < UINT32_MAX ? (uint32_t)post_ns : UINT32_MAX};
}

/* As NCCL has it: connections of its own for each communicator, channel and peer. A hash; 0 is for messages of no call. */
static uint32_t step_channel(const struct replay_call *record, const struct collective_step *step, uint32_t lane)
{
    return (uint32_t)rng_mix((uint64_t)(record->group + 1) << 32 | lane << 16 | step->channel) | 1;
}

/* Sends every step of the lane whose turn has come; true where there was one. */
static bool sends_advance(struct replay *replay, struct rank *rank, struct slot *slot, uint32_t slot_id,
                          uint32_t lane_id, uint64_t now_ps)
{
    const struct replay_call *record = slot->call;
    const struct collective_call call = call_of(record, slot->self);
    struct lane *lane = &slot->lanes[lane_id];
    uint32_t before = lane->step_next;
    while (lane->step_next < lane->step_count) {
        struct collective_step step;
        collective_step_of(record->algorithm, &call, lane_id, lane->step_next, &step);
        if (!step_may_go(slot, lane, &step)) {
            break;
        }
        lane->step_next++;
        if (step.send_to == ID_NONE) {
            lane->send_done++;
            continue;
        }
        uint32_t to = job_group_rank(replay->config.job, record->group, step.send_to);
        enum medium medium = step.cast != CAST_NONE ? medium_of_team(&call, step.team) : medium_between(replay, rank, to);
        struct message_to where = {to, team_address(replay, record->group, &call, &step),
                                   step_channel(record, &step, lane_id)};
        struct match_key key =
            collective_key(rank->iteration, record->group, step_key(step.send_lane, slot->next, step.send_as), rank->id);
        message_post(replay, rank, where, key, step.send_bytes, extra_of(replay, rank, slot, medium, &step, now_ps),
                     slot_id, now_ps);
    }
    return lane->step_next > before;
}

/* Acknowledgements of algorithms that send to other lanes are all counted in the first one, so only their sum says anything. */
static bool is_through(const struct slot *slot)
{
    uint64_t unsent = 0;
    for (uint32_t i = 0; i < slot->lane_count; i++) {
        const struct lane *lane = &slot->lanes[i];
        if (lane->recv_done < lane->step_count) {
            return false;
        }
        unsent += (uint64_t)lane->step_count - lane->send_done;
    }
    return unsent == 0;
}

/* Once a lane, but where lanes wait for each other's steps: until nothing moves. */
static void lanes_advance(struct replay *replay, struct rank *rank, struct slot *slot, uint32_t slot_id, uint64_t now_ps)
{
    bool is_moved = true, is_joined = slot->call->algorithm->custom != NULL;
    while (is_moved) {
        is_moved = false;
        for (uint32_t lane = 0; lane < slot->lane_count; lane++) {
            is_moved |= sends_advance(replay, rank, slot, slot_id, lane, now_ps) && is_joined;
        }
    }
}

/* A barrier that holds its members is outside of the network, as that of nccl-tests is: no message of it stands in the way of
 * what is before and behind it. All look at the same times whether the last one had come one such time before, which is long
 * enough ago for everybody to know; so they go on together, and nothing of what was is left on the way. They cannot be two
 * iterations apart, but for one of them the next may have begun. */
static void look_next(struct replay *replay, const struct rank *rank, uint32_t slot_id, uint64_t now_ps)
{
    const struct slot *slot = &rank->slots[slot_id];
    uint64_t hold_ps = slot->call->hold_ps, when_ps = (now_ps / hold_ps + 1) * hold_ps;
    timer_set(replay, rank, rank->plan->slot_op[rank->plan->slot_first[slot_id] + slot->next] | OP_LOOK, when_ps);
}

static void hold_begin(struct replay *replay, const struct rank *rank, uint32_t slot_id, uint64_t now_ps)
{
    struct replay_call *record = record_of(replay, rank, slot_id);
    atomic_most(&record->came_ps[rank->iteration & 1], now_ps);
    __atomic_fetch_add(&record->came[rank->iteration & 1], 1, __ATOMIC_RELAXED);
    look_next(replay, rank, slot_id, now_ps);
}

static bool is_released(const struct replay_call *record, uint32_t iteration, uint64_t now_ps)
{
    uint64_t came = __atomic_load_n(&record->came[iteration & 1], __ATOMIC_RELAXED);
    uint64_t came_ps = __atomic_load_n(&record->came_ps[iteration & 1], __ATOMIC_RELAXED);
    return came == (uint64_t)record->members * (iteration / 2 + 1) && came_ps <= now_ps - record->hold_ps;
}

static void call_end(struct replay *replay, struct rank *rank, uint32_t slot_id, uint64_t now_ps)
{
    struct slot *slot = &rank->slots[slot_id];
    uint32_t op = rank->plan->slot_op[rank->plan->slot_first[slot_id] + slot->next];
    record_end(replay, rank, slot_id, now_ps);
    slot->is_running = false;
    slot->next++;
    communication_end(rank, now_ps);
    const struct replay_call *call = slot->call;
    rank->result.algorithmic_bytes += call->members > 1 ? collective_size_bytes(call->kind, call->bytes, call->members) : 0;
    op_done(rank, op, now_ps);
}

/* Moves the running call on as far as it goes; true where that ended it. A lane may wait for another one's receives. */
static bool slot_advance(struct replay *replay, struct rank *rank, uint32_t slot_id, uint64_t now_ps)
{
    struct slot *slot = &rank->slots[slot_id];
    lanes_advance(replay, rank, slot, slot_id, now_ps);
    if (slot->call->hold_ps > 0 || !is_through(slot)) {
        return false;
    }
    call_end(replay, rank, slot_id, now_ps);
    return true;
}

void slot_look(struct replay *replay, struct rank *rank, uint32_t op, uint64_t now_ps)
{
    uint32_t slot_id = rank->program->group_slot[op];
    if (!is_released(rank->slots[slot_id].call, rank->iteration, now_ps)) {
        look_next(replay, rank, slot_id, now_ps);
        return;
    }
    if (replay->config.net.renew != NULL) {
        replay->config.net.renew(replay->config.net.context, rank->host);
    }
    call_end(replay, rank, slot_id, now_ps);
    slot_start(replay, rank, slot_id, now_ps);
}

static void lanes_begin(const struct replay *replay, struct rank *rank, struct slot *slot)
{
    const struct replay_call *record = slot->call;
    const struct collective_call call = call_of(record, slot->self);
    slot->lane_count = (call_has_steps(record) ? collective_lanes(record->algorithm, &call) : 0) & (2 * LANES_MAX - 1);
    for (uint32_t lane = 0; lane < slot->lane_count; lane++) {
        uint64_t steps = record->algorithm->step_count(&call, lane);
        assert(steps <= UINT32_MAX);
        slot->lanes[lane] = (struct lane){.step_count = (uint32_t)steps};
        receives_advance(replay, rank, slot, lane);
    }
}

static void call_begin(struct replay *replay, struct rank *rank, uint32_t slot_id, uint64_t now_ps)
{
    struct slot *slot = &rank->slots[slot_id];
    slot->call = record_at(replay, rank, slot_id, slot->next);
    slot->is_running = true;
    slot->start_ps = now_ps;
    communication_begin(rank, now_ps);
    record_start(replay, rank, slot_id, now_ps);
    if (slot->call->hold_ps > 0) {
        hold_begin(replay, rank, slot_id, now_ps);
    }
    lanes_begin(replay, rank, slot);
}

/* A loop, not recursion: a group of one member ends its calls at once, however many there are. */
void slot_start(struct replay *replay, struct rank *rank, uint32_t slot_id, uint64_t now_ps)
{
    struct slot *slot = &rank->slots[slot_id];
    uint32_t first = rank->plan->slot_first[slot_id], last = rank->plan->slot_first[slot_id + 1];
    while (!slot->is_running && first + slot->next < last) {
        if (rank->waiting[rank->plan->slot_op[first + slot->next]] > 0) {
            return;
        }
        call_begin(replay, rank, slot_id, now_ps);
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
    uint32_t group = (uint32_t)message->key[0], slot_id = slot_of_group(replay->config.job, rank->id, group);
    uint32_t iteration = (uint32_t)((message->key[0] & ~KEY_COLLECTIVE) >> 32), lane_id = key_lane(message->key[1]);
    struct slot *slot = &rank->slots[slot_id];
    const struct replay_call *record = record_at(replay, rank, slot_id, key_ordinal(message->key[1]));
    uint64_t bytes = choice_payload_bytes(&record->choice, message->bytes);
    rank->result.received_bytes -= message->bytes - bytes;
    rank->result.received_extra_bytes += message->bytes - bytes;
    bool is_now = slot->is_running && slot->next == key_ordinal(message->key[1]) && iteration == rank->iteration;
    if (is_now && slot->lanes[lane_id].recv_done == (uint32_t)message->key[1]) {
        slot->lanes[lane_id].recv_done++;
        receives_advance(replay, rank, slot, lane_id);
        slot_go_on(replay, rank, slot_id, now_ps);
        return;
    }
    match_put(&rank->table, replay->arena, collective_key(iteration, group, message->key[1], message->src_rank),
              MATCH_ARRIVED);
}

void slot_acked(struct replay *replay, struct rank *rank, const struct message *message, uint64_t now_ps)
{
    uint32_t slot_id = message->cookie;
    bool is_joined = rank->slots[slot_id].call->algorithm->custom != NULL;
    rank->slots[slot_id].lanes[is_joined ? 0 : key_lane(message->key[1])].send_done++;
    slot_go_on(replay, rank, slot_id, now_ps);
}
