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

void calls_print(const struct run_result *result, FILE *stream)
{
    fprintf(stream, "#%12s %13s %9s %12s %9s %9s   %s\n", "size", "count", "type", "time", "algbw", "busbw", "used");
    fprintf(stream, "#%12s %13s %9s %12s %9s %9s\n", "(B)", "(elements)", "", "(us)", "(GB/s)", "(GB/s)");
    for (uint32_t i = 0; i < result->call_count; i++) {
        const struct replay_call *call = &result->calls[i];
        if (call->ended < call->members || is_between(result, call)) {
            continue;
        }
        struct result_collectives row = collect_call(call);
        fprintf(stream, " %12" PRIu64 " %13" PRIu64 " %9s %12.2f %9.2f %9.2f   %s %s", row.size_bytes,
                row.size_bytes / FLOAT_BYTES, "float", (double)(row.end_ps - row.last_start_ps) / 1e6, row.algbw_gbps,
                row.busbw_gbps, row.kind, row.algorithm);
        if (call->choice.protocol != PROTOCOL_NONE) {
            fprintf(stream, "/%s", row.protocol);
        }
        fprintf(stream, "/%u\n", row.channels);
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
