/* Operations of a stage, and the chains that they stand in. */
#include "traces/transformer_int.h"

#include <stdarg.h>
#include <stdio.h>

uint64_t shrunk(const struct layout *layout, uint64_t amount)
{
    return (amount + layout->plan->shrink - 1) / layout->plan->shrink;
}

uint32_t op_add(struct stage *stage, struct op op, const char *format, ...)
{
    char name[128];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    op.name = name;
    op.source_id = stage->op_count++;
    return job_builder_op(stage->builder, &op);
}

void pending_add(struct stage *stage, uint32_t op)
{
    struct chain *chain = stage->chain;
    vec_push(stage->arena, chain->pending, chain->count, chain->capacity) = op;
}

void op_follow(struct stage *stage, uint32_t op)
{
    const struct chain *chain = stage->chain;
    if (chain->last != ID_NONE) {
        job_builder_dep(stage->builder, op, chain->last);
    }
    for (size_t i = 0; i < chain->count; i++) {
        job_builder_dep(stage->builder, op, chain->pending[i]);
    }
}

uint32_t compute_add(struct stage *stage, const char *what, uint64_t duration_ps)
{
    struct op op = {.kind = OP_COMPUTE, .stream = STREAM_COMPUTE, .duration_ps = shrunk(stage->layout, duration_ps)};
    uint32_t id = op_add(stage, op, "%s mb%u", what, (unsigned)stage->micro_batch);
    op_follow(stage, id);
    stage->chain->last = id;
    stage->chain->count = 0;
    return id;
}

struct op collective_op(const struct stage *stage, enum slot slot, enum collective_kind kind, uint64_t bytes)
{
    return (struct op){.kind = OP_COLLECTIVE,
                       .collective = kind,
                       .stream = STREAM_NONE,
                       .group_slot = stage->slot[slot],
                       .bytes = shrunk(stage->layout, bytes)};
}

void collective_add(struct stage *stage, enum slot slot, enum collective_kind kind, uint64_t bytes, const char *what)
{
    if (has_group(stage, slot)) {
        uint32_t id = op_add(stage, collective_op(stage, slot, kind, bytes), "%s.%s mb%u", what,
                             collective_name(kind), (unsigned)stage->micro_batch);
        op_follow(stage, id);
        stage->chain->count = 0;
        pending_add(stage, id);
    }
}

void message_add(struct stage *stage, enum op_kind kind, uint32_t peer, uint32_t tag, uint64_t bytes, const char *what)
{
    struct op op = {.kind = kind,
                    .stream = STREAM_NONE,
                    .tag = tag,
                    .peer = peer,
                    .bytes = shrunk(stage->layout, bytes)};
    uint32_t id = op_add(stage, op, "%s mb%u", what, (unsigned)stage->micro_batch);
    if (kind == OP_SEND) {
        op_follow(stage, id);
    } else {
        pending_add(stage, id);
    }
}

void chain_fork(struct stage *stage, const struct chain *from, struct chain *to)
{
    to->last = from->last;
    to->count = 0;
    for (size_t i = 0; i < from->count; i++) {
        vec_push(stage->arena, to->pending, to->count, to->capacity) = from->pending[i];
    }
}

/* The present chain goes on behind both. */
void chain_join(struct stage *stage, const struct chain *other)
{
    if (other->last != ID_NONE) {
        pending_add(stage, other->last);
    }
    for (size_t i = 0; i < other->count; i++) {
        pending_add(stage, other->pending[i]);
    }
}
