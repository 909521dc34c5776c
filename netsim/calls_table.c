#include "netsim/calls_table.h"

#include "netsim/collect.h"

#include <inttypes.h>

bool calls_are_benchmark(const struct job *job, const struct run_result *result)
{
    struct job_totals totals;
    job_totals(job, &totals);
    bool is_pure = true;
    for (int kind = 0; kind < OP_KIND_COUNT; kind++) {
        is_pure &= kind == OP_COLLECTIVE || kind == OP_MARKER || totals.ops[kind] == 0;
    }
    return is_pure && job->group_count == 1 && result->call_count >= 1;
}

/* A barrier between calls that move something is no row. */
static bool is_between(const struct run_result *result, const struct replay_call *call)
{
    bool is_alone = true;
    for (uint32_t i = 0; i < result->call_count && is_alone; i++) {
        is_alone = result->calls[i].kind == COLLECTIVE_BARRIER;
    }
    return call->kind == COLLECTIVE_BARRIER && !is_alone;
}

#define FLOAT_BYTES 4 /* nccl-tests counts elements of its default type */

/* What nccl-tests calls the count: elements of the buffer, or of one rank's share where every rank has one of its own. */
static uint64_t elements_of(const struct replay_call *call, uint64_t size_bytes)
{
    bool is_shared = call->kind == COLLECTIVE_ALL_REDUCE || call->kind == COLLECTIVE_REDUCE || call->kind == COLLECTIVE_BROADCAST ||
                     call->kind == COLLECTIVE_BARRIER;
    return size_bytes / FLOAT_BYTES / (is_shared ? 1 : call->members);
}

static bool is_same(const struct replay_call *a, const struct replay_call *b)
{
    return a->kind == b->kind && a->bytes == b->bytes && a->call.root == b->call.root && b->ended == b->members;
}

static void row_print(const struct replay_call *first, uint32_t count, FILE *stream)
{
    /* From the start of the first to the end of the last: calls of a row overlap as far as they depend on nothing. */
    struct replay_call mean = *first;
    uint64_t sum_ps = first[count - 1].end_ps - first->last_start_ps;
    mean.end_ps = mean.last_start_ps + sum_ps / count;
    struct result_collectives row = collect_call(&mean);
    fprintf(stream, " %12" PRIu64 " %13" PRIu64 " %9s %12.2f %9.2f %9.2f   %s %s", row.size_bytes,
            elements_of(first, row.size_bytes), "float", (double)sum_ps / count / 1e6, row.algbw_gbps, row.busbw_gbps, row.kind,
            row.algorithm);
    if (first->choice.protocol != PROTOCOL_NONE) {
        fprintf(stream, "/%s", row.protocol);
    }
    fprintf(stream, "/%u", row.channels);
    if (count > 1) {
        fprintf(stream, ", mean of %u calls", count);
    }
    fprintf(stream, "\n");
}

void calls_print(const struct run_result *result, FILE *stream)
{
    fprintf(stream, "#%12s %13s %9s %12s %9s %9s   %s\n", "size", "count", "type", "time", "algbw", "busbw", "used");
    fprintf(stream, "#%12s %13s %9s %12s %9s %9s\n", "(B)", "(elements)", "", "(us)", "(GB/s)", "(GB/s)");
    for (uint32_t i = 0, next; i < result->call_count; i = next) {
        const struct replay_call *call = &result->calls[i];
        next = i + 1;
        if (call->ended < call->members || is_between(result, call)) {
            continue;
        }
        while (next < result->call_count && is_same(call, &result->calls[next])) {
            next++;
        }
        row_print(call, next - i, stream);
    }
}

json_t *calls_json(const struct run_result *result)
{
    json_t *rows = json_array();
    for (uint32_t i = 0; i < result->call_count; i++) {
        const struct replay_call *call = &result->calls[i];
        if (call->ended < call->members || is_between(result, call)) {
            continue;
        }
        struct result_collectives row = collect_call(call);
        json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:f}", "kind", row.kind,
                                              "algorithm", row.algorithm, "protocol", row.protocol, "channels",
                                              (json_int_t)row.channels, "members", (json_int_t)row.members,
                                              "size_bytes", (json_int_t)row.size_bytes, "last_start_ps",
                                              (json_int_t)row.last_start_ps, "end_ps", (json_int_t)row.end_ps,
                                              "algbw_gbps", row.algbw_gbps, "busbw_gbps", row.busbw_gbps));
    }
    return rows;
}
