/* From a rank's program to GOAL's sends, receives and calcs: see goal_lower.h.
 *
 * Not modelled: the algorithm that a run would choose for a collective; names; the scale of the step.
 * Checked against: payload and completion of the lowered job, and equal digests where nothing was lost
 * (tests/test_round_trip.c). */
#include "traces/goal_lower.h"

#include "photonet/units.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* At some 40 B a line, a thousand million are more text than a disk likes. */
#define NODES_MAX UINT64_C(1000000000)

/* One call, seen by one member. */
struct call {
    struct goal_lowering *lowering;
    struct goal_rank *to;
    const uint32_t *member; /* ranks */
    const struct pair_table *pairs;
    uint32_t members, self, root, tag, start;
    uint64_t bytes;
    uint64_t source_id;
};

static uint32_t node_add(struct goal_rank *to, struct goal_node node)
{
    vec_push(to->arena, to->nodes, to->node_count, to->node_capacity) = node;
    return (uint32_t)to->node_count - 1;
}

static void edge_add(struct goal_rank *to, uint32_t node, uint32_t on)
{
    vec_push(to->arena, to->ends, to->end_count, to->end_capacity) = (struct goal_edge){node, on};
}

static uint32_t idle_add(const struct goal_lowering *lowering, struct goal_rank *to, uint64_t source_id)
{
    return node_add(to,
                    (struct goal_node){.kind = GOAL_CALC, .cpu = lowering->idle_cpu, .source_id = source_id});
}

/* ---- steps of collectives -------------------------------------------------------------------------------
 */

/* A message of the call to or from a member; it waits for `after`. */
static uint32_t step_add(const struct call *call, uint8_t kind, uint32_t member, uint64_t bytes,
                         uint32_t after)
{
    uint32_t node = node_add(call->to, (struct goal_node){.kind = kind,
                                                          .size = bytes,
                                                          .peer = call->member[member],
                                                          .tag = call->tag,
                                                          .source_id = call->source_id});
    edge_add(call->to, node, after);
    call->lowering->losses.messages += kind == GOAL_SEND;
    return node;
}

static uint32_t turned(const struct call *call, uint64_t distance)
{
    return (uint32_t)((call->self + distance) % call->members);
}

/* Part `index` of the buffer. */
static uint64_t part_bytes(const struct call *call, uint64_t index)
{
    unsigned __int128 bytes = call->bytes;
    return (uint64_t)(bytes * (index + 1) / call->members) - (uint64_t)(bytes * index / call->members);
}

/* What member self sends in step k: as netsim's ring has it, an all-reduce being a reduce-scatter that ends
 * one member further on and an all-gather. */
static uint64_t ring_bytes(const struct call *call, enum collective_kind kind, uint64_t k, uint32_t self)
{
    uint64_t n = call->members, behind = kind == COLLECTIVE_ALL_REDUCE ? k : k + 1;
    return kind == COLLECTIVE_ALL_GATHER ? call->bytes : part_bytes(call, (self + 2 * n - behind % n) % n);
}

static void ring_lower(const struct call *call, enum collective_kind kind)
{
    uint64_t steps = (uint64_t)(call->members - 1) * (kind == COLLECTIVE_ALL_REDUCE ? 2 : 1);
    uint32_t next = turned(call, 1), before = turned(call, call->members - 1), received = call->start;
    for (uint64_t k = 0; k < steps; k++) {
        step_add(call, GOAL_SEND, next, ring_bytes(call, kind, k, call->self), received);
        received = step_add(call, GOAL_RECV, before, ring_bytes(call, kind, k, before), call->start);
    }
}

static void all_to_all_lower(const struct call *call, enum collective_kind kind)
{
    (void)kind;
    for (uint32_t k = 1; k < call->members; k++) {
        uint32_t to = turned(call, k), from = turned(call, call->members - k);
        uint64_t sent = part_bytes(call, to), received = part_bytes(call, call->self);
        if (call->pairs != NULL) {
            sent = call->pairs->bytes[(size_t)call->self * call->members + to];
            received = call->pairs->bytes[(size_t)from * call->members + call->self];
        }
        step_add(call, GOAL_SEND, to, sent, call->start);
        step_add(call, GOAL_RECV, from, received, call->start);
    }
}

/* Members counted from the root; the parent of place p is p without its lowest bit, its children set lower
 * ones. */
static void tree_lower(const struct call *call, enum collective_kind kind)
{
    uint32_t n = call->members, place = (call->self + n - call->root) % n, ready = call->start;
    uint32_t low = place == 0 ? UINT32_MAX : place & (~place + 1);
    bool is_reduce = kind == COLLECTIVE_REDUCE;
    uint32_t parent = place == 0 ? 0 : (place - low + call->root) % n, join = ID_NONE;
    if (place != 0 && !is_reduce) {
        ready = step_add(call, GOAL_RECV, parent, call->bytes, call->start);
    }
    uint32_t first = (uint32_t)call->to->node_count;
    for (uint32_t bit = 1; bit != 0 && bit < low && bit < n - place; bit *= 2) {
        step_add(call, is_reduce ? GOAL_RECV : GOAL_SEND, (place + bit + call->root) % n, call->bytes, ready);
    }
    if (place != 0 && is_reduce) {
        uint32_t children_end = (uint32_t)call->to->node_count;
        join = step_add(call, GOAL_SEND, parent, call->bytes, call->start);
        for (uint32_t child = first; child < children_end; child++) {
            edge_add(call->to, join, child);
        }
    }
}

static void direct_lower(const struct call *call, enum collective_kind kind)
{
    bool is_gather = kind == COLLECTIVE_GATHER, is_root = call->self == call->root;
    for (uint32_t k = 1; k < call->members && is_root; k++) {
        uint32_t member = turned(call, k);
        step_add(call, is_gather ? GOAL_RECV : GOAL_SEND, member,
                 is_gather ? call->bytes : part_bytes(call, member), call->start);
    }
    if (!is_root) {
        step_add(call, is_gather ? GOAL_SEND : GOAL_RECV, call->root,
                 is_gather ? call->bytes : part_bytes(call, call->self), call->start);
    }
}

static void barrier_lower(const struct call *call, enum collective_kind kind)
{
    (void)kind;
    uint32_t received = call->start;
    for (uint64_t distance = 1; distance < call->members; distance *= 2) {
        step_add(call, GOAL_SEND, turned(call, distance), 1, received);
        uint32_t next = step_add(call, GOAL_RECV, turned(call, call->members - distance), 1, call->start);
        if (received != call->start) {
            edge_add(call->to, next, received); /* a round ends after the one before it */
        }
        received = next;
    }
}

static void (*const lower[COLLECTIVE_KIND_COUNT])(const struct call *call, enum collective_kind kind) = {
    [COLLECTIVE_ALL_REDUCE] = ring_lower,     [COLLECTIVE_ALL_GATHER] = ring_lower,
    [COLLECTIVE_REDUCE_SCATTER] = ring_lower, [COLLECTIVE_ALL_TO_ALL] = all_to_all_lower,
    [COLLECTIVE_BROADCAST] = tree_lower,      [COLLECTIVE_REDUCE] = tree_lower,
    [COLLECTIVE_GATHER] = direct_lower,       [COLLECTIVE_SCATTER] = direct_lower,
    [COLLECTIVE_BARRIER] = barrier_lower,
};

/* Nodes of one call on its busiest member, both ends counted. */
static uint64_t call_nodes(enum collective_kind kind, uint64_t members)
{
    switch (kind) {
    case COLLECTIVE_ALL_REDUCE:
        return 4 * members;
    case COLLECTIVE_BARRIER:
    case COLLECTIVE_BROADCAST:
    case COLLECTIVE_REDUCE:
        return 66;
    default:
        return 2 * members + 2;
    }
}

/* ---- a rank ---------------------------------------------------------------------------------------------
 */

/* The nodes that stand for an operation: it begins with the first and ends with the last. */
struct span {
    uint32_t first, last;
};

static struct span collective_lower(struct goal_lowering *lowering, uint32_t rank,
                                    const struct program *program, uint32_t op, struct goal_rank *to)
{
    const struct job *job = lowering->job;
    uint32_t group = job_group(job, rank, program->group_slot[op]);
    struct call call = {
        .lowering = lowering,
        .to = to,
        .member = job->group_rank + job->group_first[group],
        .members = job_group_size(job, group),
        .self = job_member_index(job, group, rank),
        .root = program->root[op],
        .pairs = job_pairs(job, program, op),
        .tag = lowering->tag_first + group,
        .bytes = program->bytes[op],
        .source_id = program->source_id[op],
    };
    enum collective_kind kind = (enum collective_kind)program->collective[op];
    lowering->losses.collectives++;
    lowering->losses.held += program->duration_ps[op] > 0;
    call.start = idle_add(lowering, to, call.source_id);
    if (call.members > 1) {
        lower[kind](&call, kind);
    }
    uint32_t end = idle_add(lowering, to, call.source_id);
    for (uint32_t node = call.start; node < end; node++) {
        edge_add(to, end, node);
    }
    return (struct span){call.start, end};
}

static uint32_t timed_lower(struct goal_lowering *lowering, const struct program *program, uint32_t op,
                            struct goal_rank *to)
{
    uint64_t duration_ps = program->duration_ps[op];
    lowering->losses.rounded += duration_ps % PS_PER_NS != 0;
    lowering->losses.memory += program->kind[op] == OP_MEMORY;
    return node_add(
        to, (struct goal_node){.kind = GOAL_CALC,
                               .size = duration_ps / PS_PER_NS + (duration_ps % PS_PER_NS >= PS_PER_NS / 2),
                               .cpu = (uint8_t)program->stream[op],
                               .source_id = program->source_id[op]});
}

static uint32_t message_lower(struct goal_lowering *lowering, uint32_t rank, const struct program *program,
                              uint32_t op, struct goal_rank *to)
{
    bool is_send = program->kind[op] == OP_SEND, has_stream = program->stream[op] != STREAM_NONE;
    lowering->losses.send_streams += is_send && has_stream;
    return node_add(to, (struct goal_node){.kind = is_send ? GOAL_SEND : GOAL_RECV,
                                           .size = program->bytes[op],
                                           .peer = job_peer(lowering->job, rank, program, op),
                                           .tag = program->tag[op],
                                           .cpu = has_stream ? (uint8_t)program->stream[op] : 0,
                                           .source_id = program->source_id[op]});
}

static struct span op_lower(struct goal_lowering *lowering, uint32_t rank, const struct program *program,
                            uint32_t op, struct goal_rank *to)
{
    uint32_t node;
    switch ((enum op_kind)program->kind[op]) {
    case OP_COLLECTIVE:
        return collective_lower(lowering, rank, program, op, to);
    case OP_COMPUTE:
    case OP_MEMORY:
        node = timed_lower(lowering, program, op, to);
        break;
    case OP_SEND:
    case OP_RECV:
        node = message_lower(lowering, rank, program, op, to);
        break;
    default:
        node = idle_add(lowering, to, program->source_id[op]);
        break;
    }
    return (struct span){node, node};
}

/* The collectives of one group follow each other in canonical order. */
static void slots_chain(const struct program *program, const struct span *spans, struct goal_rank *to)
{
    uint32_t *sequence = arena_array(to->arena, program->op_count, uint32_t);
    uint32_t *last = arena_array(to->arena, program->slot_count, uint32_t); /* op + 1 */
    for (uint32_t op = 0; op < program->op_count; op++) {
        sequence[program->order[op]] = op;
    }
    for (uint32_t i = 0; i < program->op_count && program->slot_count > 0; i++) {
        uint32_t op = sequence[i];
        if (program->kind[op] != OP_COLLECTIVE) {
            continue;
        }
        uint32_t *before = &last[program->group_slot[op]];
        if (*before != 0) {
            edge_add(to, spans[op].first, spans[*before - 1].last);
        }
        *before = op + 1;
    }
}

void goal_lower(struct goal_lowering *lowering, uint32_t rank, struct arena *arena, struct goal_rank *lowered)
{
    const struct program *program = job_program(lowering->job, rank);
    *lowered = (struct goal_rank){.arena = arena};
    struct span *spans = arena_array(arena, program->op_count, struct span);
    for (uint32_t op = 0; op < program->op_count; op++) {
        spans[op] = op_lower(lowering, rank, program, op, lowered);
    }
    for (uint32_t op = 0; op < program->op_count; op++) {
        for (uint32_t i = program->dep_first[op]; i < program->dep_first[op + 1]; i++) {
            edge_add(lowered, spans[op].first, spans[program->dep[i]].last);
        }
    }
    slots_chain(program, spans, lowered);
}

/* ---- the whole job --------------------------------------------------------------------------------------
 */

static uint64_t nodes_count(const struct job *job)
{
    uint64_t count = 0;
    for (uint32_t rank = 0; rank < job->rank_count; rank++) {
        const struct program *program = job_program(job, rank);
        count += program->op_count;
        for (uint32_t op = 0; op < program->op_count && program->slot_count > 0 && count <= NODES_MAX; op++) {
            if (program->kind[op] == OP_COLLECTIVE) {
                uint32_t group = job_group(job, rank, program->group_slot[op]);
                count +=
                    call_nodes((enum collective_kind)program->collective[op], job_group_size(job, group));
            }
        }
        if (count > NODES_MAX) {
            return count;
        }
    }
    return count;
}

enum status goal_lowering_init(struct goal_lowering *lowering, const struct job *job, struct diag *diag)
{
    struct origin at = {.path = job->name};
    uint32_t tag_max = 0, stream_max = 0;
    *lowering = (struct goal_lowering){.job = job};
    for (uint32_t i = 0; i < job->program_count; i++) {
        const struct program *program = &job->programs[i];
        for (uint32_t op = 0; op < program->op_count; op++) {
            uint32_t stream = program->stream[op];
            tag_max = program->tag[op] > tag_max ? program->tag[op] : tag_max;
            stream_max = stream != STREAM_NONE && stream > stream_max ? stream : stream_max;
        }
    }
    if (stream_max >= UINT8_MAX) {
        return diag_input(diag, at, "uses stream %u; GOAL has cpus 0 to 255, one of which must be free",
                          stream_max);
    }
    if ((uint64_t)tag_max + 1 + job->group_count >= GOAL_ANY) {
        return diag_input(diag, at, "uses tag %u and %u groups; GOAL's tags end at %u", tag_max,
                          job->group_count, GOAL_ANY - 1);
    }
    if (nodes_count(job) > NODES_MAX) {
        return diag_input(diag, at,
                          "is more than %" PRIu64 " operations once its collectives are sends and receives; "
                          "expected fewer, or another format (job, chakra_et)",
                          NODES_MAX);
    }
    lowering->tag_first = tag_max + 1;
    lowering->idle_cpu = (uint8_t)(stream_max + 1);
    return STATUS_OK;
}

__attribute__((format(printf, 3, 4))) static void say(char *text, size_t text_bytes, const char *format, ...)
{
    size_t used = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + used, text_bytes - used, format, arguments);
    va_end(arguments);
}

void goal_losses_print(const struct goal_lowering *lowering, char *text, size_t text_bytes)
{
    const struct goal_losses *lost = &lowering->losses;
    if (lost->collectives > 0) {
        say(text, text_bytes,
            "\n  %" PRIu64 " collective%s became %" PRIu64 " message%s: a run no longer chooses their algorithm",
            lost->collectives, plural(lost->collectives, "s"), lost->messages, plural(lost->messages, "s"));
    }
    if (lost->held > 0) {
        say(text, text_bytes, lost->held == 1 ? "\n  %" PRIu64 " barrier no longer lets its members go on together"
                                              : "\n  %" PRIu64 " barriers no longer let their members go on together",
            lost->held);
    }
    if (lost->rounded > 0) {
        say(text, text_bytes, "\n  %" PRIu64 " duration%s rounded to whole nanoseconds", lost->rounded, plural(lost->rounded, "s"));
    }
    if (lost->memory > 0) {
        say(text, text_bytes, lost->memory == 1 ? "\n  %" PRIu64 " memory access became a computation"
                                                : "\n  %" PRIu64 " memory accesses became computations", lost->memory);
    }
    if (lost->send_streams > 0) {
        say(text, text_bytes, lost->send_streams == 1 ? "\n  %" PRIu64 " send no longer waits for its stream"
                                                      : "\n  %" PRIu64 " sends no longer wait for their stream",
            lost->send_streams);
    }
    if (lowering->job->scale < 1) {
        say(text, text_bytes, "\n  the step was scaled to %.4g of the full one, which a schedule cannot say",
            lowering->job->scale);
    }
    if (job_is_sample(lowering->job)) {
        say(text, text_bytes, "\n  the step is a sample of %" PRIu32 " ranks, whose time is to be multiplied by %.6g; a schedule "
                              "cannot say so", lowering->job->full_rank_count, lowering->job->time_factor);
    }
}
