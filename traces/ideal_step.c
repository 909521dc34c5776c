#include "traces/ideal_step.h"

#include <string.h>

/* NCCL 2.30's tuning constants (src/tuner): base latency of a Simple ring, and hops of an LL tree inside a server and
 * between servers. */
#define BASE_PS        UINT64_C(8400000)
#define SERVER_HOP_PS  UINT64_C(600000)
#define NETWORK_HOP_PS UINT64_C(5000000)

static uint64_t wire_ps(double bytes, double bytes_per_s)
{
    return (uint64_t)(bytes / bytes_per_s * 1e12);
}

/* ---- one collective
 * ------------------------------------------------------------------------------------------ */

static uint32_t server_of(uint32_t rank)
{
    return rank / GPUS_PER_SERVER;
}

struct span {
    const uint32_t *member;
    uint32_t members, in_server; /* in_server: members in the first one's server */
};

static struct span span_of(const struct job *job, uint32_t group)
{
    struct span span = {job->group_rank + job->group_first[group], job_group_size(job, group), 0};
    for (uint32_t i = 0; i < span.members; i++) {
        span.in_server += server_of(span.member[i]) == server_of(span.member[0]);
    }
    return span;
}

/* The busiest member decides; a pair's bytes go through the server's wires or the NIC. */
static uint64_t exchange_ps(const struct span *span, const struct pair_table *pairs, uint64_t bytes,
                            const struct gpu_row *gpu)
{
    uint64_t longest_ps = 0;
    for (uint32_t self = 0; self < (pairs == NULL ? 1 : span->members); self++) {
        double sent[2] = {0, 0}, received[2] = {0, 0};
        for (uint32_t other = 0; other < span->members; other++) {
            int is_far = server_of(span->member[self]) != server_of(span->member[other]);
            if (other != self) {
                size_t out = (size_t)self * span->members + other, in = (size_t)other * span->members + self;
                double part = (double)bytes / span->members;
                sent[is_far] += pairs == NULL ? part : (double)pairs->bytes[out];
                received[is_far] += pairs == NULL ? part : (double)pairs->bytes[in];
            }
        }
        for (int i = 0; i < 4; i++) {
            double most = i < 2 ? sent[i % 2] : received[i % 2];
            uint64_t ps = wire_ps(most, i % 2 == 0 ? gpu->server_bytes_per_s : gpu->network_bytes_per_s);
            longest_ps = ps > longest_ps ? ps : longest_ps;
        }
    }
    return longest_ps;
}

static double ring_bytes(enum collective_kind kind, double bytes, double members)
{
    switch (kind) {
    case COLLECTIVE_ALL_REDUCE:
        return 2.0 * bytes * (members - 1.0) / members;
    case COLLECTIVE_ALL_GATHER:
    case COLLECTIVE_GATHER:
        return bytes * (members - 1.0);
    case COLLECTIVE_REDUCE_SCATTER:
    case COLLECTIVE_SCATTER:
        return bytes * (members - 1.0) / members;
    default:
        return bytes;
    }
}

uint64_t ideal_collective_ps(const struct job *job, const struct program *program, uint32_t op, uint32_t group,
                             const struct gpu_row *gpu)
{
    struct span span = span_of(job, group);
    if (span.members < 2) {
        return 0;
    }
    bool is_inside = span.in_server == span.members;
    uint64_t hops_ps = 0;
    for (uint32_t reach = 1; reach < span.members; reach *= 2) {
        hops_ps += is_inside ? SERVER_HOP_PS : NETWORK_HOP_PS;
    }
    if (program->collective[op] == COLLECTIVE_ALL_TO_ALL) {
        return BASE_PS + hops_ps + exchange_ps(&span, job_pairs(job, program, op), program->bytes[op], gpu);
    }
    double nics = gpu->network_bytes_per_s * span.in_server;
    double rate = is_inside || nics > gpu->server_bytes_per_s ? gpu->server_bytes_per_s : nics;
    double bytes = ring_bytes(program->collective[op], (double)program->bytes[op], span.members);
    return BASE_PS + hops_ps + wire_ps(bytes, rate);
}

/* ---- the walk
 * ----------------------------------------------------------------------------------------------- */

struct event {
    uint64_t time_ps, number;
    uint32_t walker, op; /* an operation of a walker is done; op ID_NONE: nothing */
};

/* Messages between two ranks with one tag. */
struct channel {
    uint32_t peer, tag;
    uint64_t arrived, taken, asked;
    uint32_t *waiting; /* receives in the order in which they asked */
    size_t count, capacity;
};

struct walker {
    const struct program *program;
    uint32_t rank;
    uint32_t *waiting;    /* per operation: dependencies not done */
    uint32_t *slot_first, *slot_op, *slot_next;
    uint32_t *ready;      /* computations, a heap by canonical order */
    size_t ready_count, ready_capacity;
    bool is_computing;
    struct channel *channels; /* receives of this rank */
    size_t channel_count, channel_capacity;
};

struct walk {
    const struct job *job;
    const struct gpu_row *gpu;
    struct arena *arena;
    struct walker *walkers;
    uint32_t *walker_of;             /* rank, ID_NONE where another stands for it */
    uint32_t *listed, *arrived;      /* per group: walkers in it, of them at the present collective */
    struct event *events;
    size_t event_count, event_capacity;
    uint64_t now_ps, number, left;
};

static bool is_before(const struct event *a, const struct event *b)
{
    return a->time_ps != b->time_ps ? a->time_ps < b->time_ps : a->number < b->number;
}

static void event_add(struct walk *walk, uint64_t time_ps, uint32_t walker, uint32_t op)
{
    struct event event = {time_ps, walk->number++, walker, op};
    vec_push(walk->arena, walk->events, walk->event_count, walk->event_capacity) = event;
    size_t at = walk->event_count - 1;
    for (; at > 0 && is_before(&event, &walk->events[(at - 1) / 2]); at = (at - 1) / 2) {
        walk->events[at] = walk->events[(at - 1) / 2];
    }
    walk->events[at] = event;
}

static struct event event_take(struct walk *walk)
{
    struct event top = walk->events[0], last = walk->events[--walk->event_count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < walk->event_count; at = child) {
        child += child + 1 < walk->event_count && is_before(&walk->events[child + 1], &walk->events[child]);
        if (is_before(&last, &walk->events[child])) {
            break;
        }
        walk->events[at] = walk->events[child];
    }
    walk->events[at] = last;
    return top;
}

static void ready_add(struct walk *walk, struct walker *walker, uint32_t op)
{
    const uint32_t *order = walker->program->order;
    vec_push(walk->arena, walker->ready, walker->ready_count, walker->ready_capacity) = op;
    size_t at = walker->ready_count - 1;
    for (; at > 0 && order[walker->ready[(at - 1) / 2]] > order[op]; at = (at - 1) / 2) {
        walker->ready[at] = walker->ready[(at - 1) / 2];
    }
    walker->ready[at] = op;
}

static uint32_t ready_take(struct walker *walker)
{
    const uint32_t *order = walker->program->order;
    uint32_t top = walker->ready[0], last = walker->ready[--walker->ready_count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < walker->ready_count; at = child) {
        child += child + 1 < walker->ready_count && order[walker->ready[child + 1]] < order[walker->ready[child]];
        if (order[last] < order[walker->ready[child]]) {
            break;
        }
        walker->ready[at] = walker->ready[child];
    }
    walker->ready[at] = last;
    return top;
}

static void compute_start(struct walk *walk, uint32_t id)
{
    struct walker *walker = &walk->walkers[id];
    if (!walker->is_computing && walker->ready_count > 0) {
        uint32_t op = ready_take(walker);
        walker->is_computing = true;
        event_add(walk, walk->now_ps + walker->program->duration_ps[op], id, op);
    }
}

/* The last walker of a group that comes lets all of them go on; they do the same things in the same order. */
static void collective_start(struct walk *walk, uint32_t id, uint32_t slot)
{
    const struct job *job = walk->job;
    struct walker *walker = &walk->walkers[id];
    uint32_t at = walker->slot_next[slot];
    if (at == walker->slot_first[slot + 1] || walker->waiting[walker->slot_op[at]] > 0) {
        return;
    }
    uint32_t group = job_group(job, walker->rank, slot);
    walker->waiting[walker->slot_op[at]] = ID_NONE; /* runs: nobody starts it again */
    if (++walk->arrived[group] < walk->listed[group]) {
        return;
    }
    walk->arrived[group] = 0;
    uint64_t end_ps = walk->now_ps + ideal_collective_ps(job, walker->program, walker->slot_op[at], group, walk->gpu);
    for (uint32_t i = job->group_first[group]; i < job->group_first[group + 1]; i++) {
        uint32_t other = walk->walker_of[job->group_rank[i]];
        if (other != ID_NONE) {
            struct walker *member = &walk->walkers[other];
            uint32_t theirs = 0;
            while (job_group(job, member->rank, theirs) != group) {
                theirs++;
            }
            event_add(walk, end_ps, other, member->slot_op[member->slot_next[theirs]]);
        }
    }
}

static struct channel *channel_find(struct walk *walk, uint32_t id, uint32_t peer, uint32_t tag)
{
    struct walker *walker = &walk->walkers[id];
    for (size_t i = 0; i < walker->channel_count; i++) {
        if (walker->channels[i].peer == peer && walker->channels[i].tag == tag) {
            return &walker->channels[i];
        }
    }
    vec_push(walk->arena, walker->channels, walker->channel_count, walker->channel_capacity) =
        (struct channel){.peer = peer, .tag = tag};
    return &walker->channels[walker->channel_count - 1];
}

static uint64_t message_ps(const struct walk *walk, uint32_t from, uint32_t to, uint64_t bytes)
{
    bool is_near = server_of(from) == server_of(to);
    return (is_near ? SERVER_HOP_PS : NETWORK_HOP_PS) +
           wire_ps((double)bytes, is_near ? walk->gpu->server_bytes_per_s : walk->gpu->network_bytes_per_s);
}

/* Sends are done when they arrive; a receive takes what arrived, or is asked again then (see send_done). */
static void message_start(struct walk *walk, uint32_t id, uint32_t op)
{
    const struct program *program = walk->walkers[id].program;
    uint32_t rank = walk->walkers[id].rank, peer = job_peer(walk->job, rank, program, op);
    if (program->kind[op] == OP_SEND) {
        event_add(walk, walk->now_ps + message_ps(walk, rank, peer, program->bytes[op]), id, op);
        return;
    }
    struct channel *channel = channel_find(walk, id, peer, program->tag[op]);
    if (channel->taken < channel->arrived) {
        channel->taken++;
        event_add(walk, walk->now_ps, id, op);
    } else {
        vec_push(walk->arena, channel->waiting, channel->count, channel->capacity) = op;
    }
}

static void send_done(struct walk *walk, const struct walker *sender, uint32_t op)
{
    uint32_t to = walk->walker_of[job_peer(walk->job, sender->rank, sender->program, op)];
    if (to == ID_NONE) {
        return;
    }
    struct channel *channel = channel_find(walk, to, sender->rank, sender->program->tag[op]);
    channel->arrived++;
    if (channel->asked < channel->count) {
        channel->taken++;
        event_add(walk, walk->now_ps, to, channel->waiting[channel->asked++]);
    }
}

static void op_start(struct walk *walk, uint32_t id, uint32_t op)
{
    struct walker *walker = &walk->walkers[id];
    switch (walker->program->kind[op]) {
    case OP_COMPUTE:
    case OP_MEMORY:
        ready_add(walk, walker, op);
        compute_start(walk, id);
        break;
    case OP_COLLECTIVE: {
        uint32_t slot = walker->program->group_slot[op];
        if (walker->slot_op[walker->slot_next[slot]] == op) {
            collective_start(walk, id, slot);
        }
        break;
    }
    case OP_SEND:
    case OP_RECV:
        message_start(walk, id, op);
        break;
    default:
        event_add(walk, walk->now_ps, id, op);
    }
}

static void op_end(struct walk *walk, uint32_t id, uint32_t op)
{
    struct walker *walker = &walk->walkers[id];
    const struct program *program = walker->program;
    walk->left--;
    for (uint32_t i = program->child_first[op]; i < program->child_first[op + 1]; i++) {
        if (--walker->waiting[program->child[i]] == 0) {
            op_start(walk, id, program->child[i]);
        }
    }
    if (program->kind[op] == OP_COMPUTE || program->kind[op] == OP_MEMORY) {
        walker->is_computing = false;
        compute_start(walk, id);
    } else if (program->kind[op] == OP_COLLECTIVE) {
        walker->slot_next[program->group_slot[op]]++;
        collective_start(walk, id, program->group_slot[op]);
    } else if (program->kind[op] == OP_SEND) {
        send_done(walk, walker, op);
    }
}

static void slots_fill(struct walk *walk, struct walker *walker)
{
    const struct program *program = walker->program;
    uint32_t *ordered = arena_array(walk->arena, program->op_count, uint32_t);
    walker->slot_first = arena_array(walk->arena, (size_t)program->slot_count + 1, uint32_t);
    walker->slot_op = arena_array(walk->arena, (size_t)program->op_count + 1, uint32_t);
    walker->slot_next = arena_array(walk->arena, (size_t)program->slot_count + 1, uint32_t);
    for (uint32_t op = 0; op < program->op_count; op++) {
        ordered[program->order[op]] = op;
        if (program->kind[op] == OP_COLLECTIVE) {
            walker->slot_first[program->group_slot[op] + 1]++;
        }
    }
    for (uint32_t slot = 0; slot < program->slot_count; slot++) {
        walker->slot_first[slot + 1] += walker->slot_first[slot];
        walker->slot_next[slot] = walker->slot_first[slot];
    }
    for (uint32_t i = 0; i < program->op_count; i++) {
        if (program->kind[ordered[i]] == OP_COLLECTIVE) {
            walker->slot_op[walker->slot_next[program->group_slot[ordered[i]]]++] = ordered[i];
        }
    }
    memcpy(walker->slot_next, walker->slot_first, program->slot_count * sizeof *walker->slot_next);
    walker->slot_op[walker->slot_first[program->slot_count]] = ID_NONE;
}

static void walker_begin(struct walk *walk, uint32_t id, uint32_t rank)
{
    struct walker *walker = &walk->walkers[id];
    const struct program *program = job_program(walk->job, rank);
    *walker = (struct walker){.program = program, .rank = rank};
    walker->waiting = arena_array(walk->arena, program->op_count, uint32_t);
    for (uint32_t op = 0; op < program->op_count; op++) {
        walker->waiting[op] = program->dep_first[op + 1] - program->dep_first[op];
    }
    slots_fill(walk, walker);
    walk->left += program->op_count;
    for (uint32_t slot = 0; slot < program->slot_count; slot++) {
        walk->listed[job_group(walk->job, rank, slot)]++;
    }
}

uint64_t ideal_step_ps(const struct job *job, const uint32_t *ranks, uint32_t rank_count, const struct gpu_row *gpu)
{
    struct arena *arena = arena_new("ideal step");
    struct walk walk = {.job = job, .gpu = gpu, .arena = arena};
    walk.walkers = arena_array(arena, rank_count, struct walker);
    walk.walker_of = arena_array(arena, job->rank_count, uint32_t);
    walk.listed = arena_array(arena, job->group_count, uint32_t);
    walk.arrived = arena_array(arena, job->group_count, uint32_t);
    memset(walk.walker_of, 0xff, job->rank_count * sizeof *walk.walker_of);
    for (uint32_t i = 0; i < rank_count; i++) {
        walk.walker_of[ranks[i]] = i;
        walker_begin(&walk, i, ranks[i]);
    }
    for (uint32_t i = 0; i < rank_count; i++) {
        const struct program *program = walk.walkers[i].program;
        for (uint32_t op = 0; op < program->op_count; op++) {
            if (program->dep_first[op + 1] == program->dep_first[op]) {
                op_start(&walk, i, op);
            }
        }
    }
    while (walk.event_count > 0) {
        struct event event = event_take(&walk);
        walk.now_ps = event.time_ps;
        op_end(&walk, event.walker, event.op);
    }
    assert(walk.left == 0); /* the ranks named do not stand for the job */
    arena_free(arena);
    return walk.now_ps;
}
