/* What is derived from a program once: streams, collectives per slot, numbers of matching messages. */
#include "netsim/replay/replay_int.h"

#include "netsim/base/rng.h"

static const uint32_t *ordered_new(struct arena *arena, const struct program *program)
{
    uint32_t *ordered = arena_array(arena, program->op_count, uint32_t);
    for (uint32_t op = 0; op < program->op_count; op++) {
        ordered[program->order[op]] = op;
    }
    return ordered;
}

static void streams_find(struct arena *arena, uint16_t *index_of, const struct program *program, struct plan *plan)
{
    uint16_t *stream_of = arena_array(arena, program->op_count, uint16_t);
    for (uint32_t op = 0; op < program->op_count; op++) {
        uint16_t stream = program->stream[op];
        if (stream != STREAM_NONE && index_of[stream] == 0) {
            index_of[stream] = (uint16_t)++plan->stream_count;
        }
        stream_of[op] = stream == STREAM_NONE ? STREAM_NONE : (uint16_t)(index_of[stream] - 1);
    }
    plan->compute_stream = index_of[STREAM_COMPUTE] == 0 ? STREAM_NONE : index_of[STREAM_COMPUTE] - 1u;
    plan->stream_of = stream_of;
    for (uint32_t op = 0; op < program->op_count; op++) {
        if (program->stream[op] != STREAM_NONE) {
            index_of[program->stream[op]] = 0;
        }
    }
}

static void slots_find(struct arena *arena, const struct program *program, struct plan *plan, uint32_t *number)
{
    uint32_t *first = arena_array(arena, program->slot_count + 1, uint32_t);
    uint32_t *list = arena_array(arena, program->op_count, uint32_t);
    uint32_t *fill = arena_array(arena, program->slot_count + 1, uint32_t);
    for (uint32_t op = 0; op < program->op_count; op++) {
        first[program->kind[op] == OP_COLLECTIVE ? program->group_slot[op] + 1 : 0]++;
    }
    first[0] = 0;
    for (uint32_t slot = 0; slot < program->slot_count; slot++) {
        first[slot + 1] += first[slot];
    }
    for (uint32_t i = 0; i < program->op_count; i++) {
        uint32_t op = plan->ordered[i];
        if (program->kind[op] == OP_COLLECTIVE) {
            uint32_t slot = program->group_slot[op];
            number[op] = fill[slot];
            list[first[slot] + fill[slot]++] = op;
        }
    }
    plan->slot_first = first;
    plan->slot_op = list;
}

/* Sends and receives count apart: the n-th send meets the n-th receive. */
struct message_count {
    uint64_t key;
    uint32_t count;
    bool is_used;
};

static uint32_t number_next(struct message_count *counts, uint32_t capacity, uint64_t key)
{
    uint32_t at = (uint32_t)rng_mix(key) & (capacity - 1);
    while (counts[at].is_used && counts[at].key != key) {
        at = (at + 1) & (capacity - 1);
    }
    counts[at].is_used = true;
    counts[at].key = key;
    return counts[at].count++;
}

static void messages_number(struct arena *scratch, const struct program *program, const struct plan *plan, uint32_t *number)
{
    uint32_t capacity = 16;
    while (capacity < 2 * program->op_count) {
        capacity *= 2;
    }
    struct message_count *sends = arena_array(scratch, capacity, struct message_count);
    struct message_count *receives = arena_array(scratch, capacity, struct message_count);
    for (uint32_t i = 0; i < program->op_count; i++) {
        uint32_t op = plan->ordered[i];
        uint64_t key = (uint64_t)(uint32_t)program->peer_delta[op] << 32 | program->tag[op];
        if (program->kind[op] == OP_SEND) {
            number[op] = number_next(sends, capacity, key);
        } else if (program->kind[op] == OP_RECV) {
            number[op] = number_next(receives, capacity, key);
        }
    }
}

static void roots_find(struct arena *arena, const struct program *program, struct plan *plan)
{
    uint32_t *roots = arena_array(arena, program->op_count, uint32_t);
    for (uint32_t i = 0; i < program->op_count; i++) {
        uint32_t op = plan->ordered[i];
        if (program->dep_first[op] == program->dep_first[op + 1]) {
            roots[plan->root_count++] = op;
        }
    }
    plan->roots = roots;
}

uint16_t *plan_streams(struct arena *arena)
{
    return arena_array(arena, STREAM_NONE, uint16_t);
}

const struct plan *plan_new(struct arena *arena, struct arena *scratch, uint16_t *index_of, const struct program *program)
{
    struct plan *plan = arena_one(arena, struct plan);
    uint32_t *number = arena_array(arena, program->op_count, uint32_t);
    plan->ordered = ordered_new(arena, program);
    plan->match_number = number;
    streams_find(arena, index_of, program, plan);
    slots_find(arena, program, plan, number);
    messages_number(scratch, program, plan, number);
    roots_find(arena, program, plan);
    return plan;
}
