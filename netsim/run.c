#include "netsim/run.h"

#include "netsim/base/clock.h"
#include "netsim/base/simd.h"
#include "netsim/collect.h"
#include "netsim/engine/circle.h"
#include "netsim/fabric_load.h"
#include "netsim/inputs.h"
#include "netsim/job_list.h"
#include "netsim/replay/coll_custom.h"
#include "netsim/run_flow.h"
#include "netsim/series.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FLUSH_WALL_S 2.0
#define SLICE_WALL_S 0.05

/* What a run is made of, before anything moves. */
struct run_parts {
    struct fabric_config fabric;
    struct scenario scenario;
};

static bool is_trace_setting(const struct trace_setting *setting)
{
    return strncmp(setting->key, "trace.", 6) == 0;
}

/* The settings that are (or are not) the trace reader's, which knows its keys without the prefix. */
static const struct trace_setting *settings_pick(const struct run_request *request, bool of_trace, struct arena *arena,
                                                 size_t *count)
{
    struct trace_setting *picked = arena_array(arena, request->setting_count, struct trace_setting);
    *count = 0;
    for (size_t i = 0; i < request->setting_count; i++) {
        if (is_trace_setting(&request->settings[i]) == of_trace) {
            picked[*count] = request->settings[i];
            picked[(*count)++].key += of_trace ? 6 : 0;
        }
    }
    return picked;
}

enum status run_read(const struct run_request *request, struct arena *arena, const struct job **job, struct diag *diag)
{
    struct job_list_request list = {.trace_count = 1 + request->more_trace_count, .ranks = request->ranks,
                                    .is_scenario = request->is_scenario};
    const char **traces = arena_array(arena, list.trace_count, const char *);
    traces[0] = request->trace;
    for (size_t i = 0; i < request->more_trace_count; i++) {
        traces[i + 1] = request->more_traces[i];
    }
    list.traces = traces;
    list.settings = settings_pick(request, true, arena, &list.setting_count);
    return job_list_read(&list, arena, job, diag);
}

static enum status parts_load(const struct run_request *request, const struct job *job, struct arena *arena,
                              struct run_parts *parts, struct diag *diag)
{
    size_t count;
    const struct trace_setting *settings = settings_pick(request, false, arena, &count);
    enum status status =
        fabric_load(request->fabric, settings, count, job->rank_count, arena, &parts->fabric, diag);
    if (status != STATUS_OK) {
        return status;
    }
    status = scenario_load(parts->fabric.left, parts->fabric.left_count, request->transport, arena, &parts->scenario,
                           diag);
    if (status != STATUS_OK) {
        return status;
    }
    struct packet_shape shape = scenario_shape(&parts->scenario);
    return fabric_config_check(&parts->fabric, shape.packet_bytes, &shape.cells, diag);
}

enum status run_check(const struct run_request *request, const struct job *job, struct diag *diag)
{
    struct arena *scratch = arena_new("check of a run");
    struct run_parts parts;
    enum status status = parts_load(request, job, scratch, &parts, diag);
    arena_free(scratch);
    return status;
}

/* ---- the file --------------------------------------------------------------------------------------------- */

static const char *import_report_text(const struct job *job, struct arena *arena)
{
    const char *text = "";
    for (uint32_t i = 0; i < job->note_count; i++) {
        const struct import_note *note = &job->notes[i];
        text = arena_printf(arena, "%s%" PRIu64 " %s: %s\n", text, note->count, note->what, note->action);
    }
    return text;
}

/* What the run is of, in one line. */
static const char *traces_text(const struct run_request *request, const struct job *job, struct arena *arena)
{
    const char *text = job->part_count > 0 ? job->parts[0].spec : request->trace;
    for (uint32_t i = 1; i < job->part_count; i++) {
        text = arena_printf(arena, "%s + %s", text, job->parts[i].spec);
    }
    return text;
}

static enum status file_begin(const struct run_request *request, const struct job *job,
                              const struct run_parts *parts, struct results *results, struct results_run **run,
                              struct arena *arena, struct diag *diag)
{
    struct results_provenance from = {
        .command_line = request->command_line,
        .config_yaml = arena_printf(arena, "%s%s%s", parts->fabric.text, parts->scenario.text,
                                    job_list_text(job, arena)),
        .engine = request->engine == RUN_ENGINE_PACKET ? "packet" : "simgrid",
        .simd = request->simd != NULL ? request->simd : simd_name(simd_detect()),
        .threads = request->threads > 0 ? request->threads : 1,
        .seed = request->seed,
        .trace = traces_text(request, job, arena),
        .fabric = parts->fabric.fabric->name,
        .fabric_family = parts->fabric.fabric->family,
        .import_report = import_report_text(job, arena),
        .scale = job->scale,
    };
    uint32_t count = job->part_count > 0 ? job->part_count : 1, customs = 0;
    for (const struct custom_entry *entry = parts->scenario.policy.custom; entry != NULL; entry = entry->next) {
        customs++;
    }
    bool is_list = job->part_count > 0 && job_list_is_file(request->trace) && !request->is_scenario;
    const char **traces = arena_array(arena, count + customs + 1, const char *);
    traces[0] = request->trace;
    for (uint32_t i = 0; i < job->part_count; i++) {
        traces[i] = job->parts[i].spec;
    }
    for (const struct custom_entry *entry = parts->scenario.policy.custom; entry != NULL; entry = entry->next) {
        traces[count++] = entry->algorithm->custom->source->path;
    }
    if (is_list) {
        traces[count++] = request->trace;
    }
    inputs_find(traces, count, request->fabric, arena, &from.inputs, &from.input_count);
    return results_run_begin(results, parts->fabric.fabric->name, &from, run, diag);
}

/* ---- the loop --------------------------------------------------------------------------------------------- */

struct run_loop {
    const struct run_request *request;
    struct sim *sim;
    struct results *results;  /* NULL: no file */
    struct results_run *run;
    struct facts live;        /* what collect_progress needs */
    struct collect_cursor cursor;
    struct progress *progress;
    struct series series;
    bool is_stuck;            /* timers run, but nothing moves */
    double flushed_s;
    uint64_t flushed_ps;
    uint64_t reached_ps;      /* simulated so far */
};

static enum status loop_flush(struct run_loop *loop, struct diag *diag)
{
    if (loop->results == NULL) {
        loop->sim->stats.row_count = 0;
        return STATUS_OK;
    }
    enum status status = collect_progress(&loop->live, &loop->cursor, loop->run, diag);
    loop->flushed_s = wall_seconds();
    return status == STATUS_OK ? results_flush(loop->results, diag) : status;
}

static bool flush_is_due(const struct run_loop *loop, uint64_t now_ps)
{
    uint64_t every_ps = loop->sim->scenario.results->flush_ps;
    return every_ps > 0 ? now_ps / every_ps > loop->flushed_ps / every_ps
                        : wall_seconds() - loop->flushed_s > FLUSH_WALL_S;
}

static double share_done(const struct sim *sim)
{
    return (double)replay_done_ops(sim->replay) / (double)replay_op_count(sim->replay);
}

/* The engine may run on for a little, but not past a time that somebody asks for. */
static bool is_close(uint64_t until_ps, uint64_t limit_ps)
{
    return until_ps >= limit_ps || limit_ps - until_ps <= RUN_PAST_PS;
}

/* Before the next event there is nothing to look for. */
static uint64_t look_next_ps(uint64_t look_ps, uint64_t patience_ps, uint64_t next_ps)
{
    uint64_t idle = next_ps != TIME_NEVER_PS && next_ps > look_ps ? (next_ps - look_ps) / patience_ps : 0;
    return look_ps > TIME_NEVER_PS - (idle + 1) * patience_ps ? TIME_NEVER_PS : look_ps + (idle + 1) * patience_ps;
}

/* In slices of simulated time that take about SLICE_WALL_S each, so that progress is shown, files are flushed and
 * signals are heard. The slices do not change what happens. */
static enum status loop_run(struct run_loop *loop, struct diag *diag)
{
    const struct run_request *request = loop->request;
    uint64_t slice_ps = 10 * PS_PER_US, next_ps = 0, patience_ps = sim_patience_ps(loop->sim), look_ps = patience_ps;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !loop->is_stuck && next_ps != TIME_NEVER_PS && next_ps <= request->until_ps &&
           !(request->interrupted != NULL && *request->interrupted)) {
        uint64_t until_ps = next_ps > TIME_NEVER_PS - 1 - slice_ps ? TIME_NEVER_PS - 1 : next_ps + slice_ps;
        until_ps = is_close(until_ps, loop->series.next_ps) ? loop->series.next_ps : until_ps;
        until_ps = until_ps > request->until_ps ? request->until_ps : until_ps;
        until_ps = until_ps > look_ps ? look_ps : until_ps;
        double start_s = wall_seconds();
        bool is_exact = is_close(until_ps, request->until_ps) || is_close(until_ps, look_ps);
        next_ps = is_exact ? sim_run(loop->sim, until_ps) : sim_run_past(loop->sim, until_ps);
        double took_s = wall_seconds() - start_s;
        loop->reached_ps = until_ps;
        if (until_ps == look_ps) {
            loop->is_stuck = !sim_has_moved(loop->sim, until_ps);
            look_ps = look_next_ps(look_ps, patience_ps, next_ps);
        }
        if (until_ps == loop->series.next_ps) {
            series_sample(&loop->series);
        }
        if (took_s < SLICE_WALL_S / 2 && slice_ps < PS_PER_S) {
            slice_ps *= 2;
        } else if (took_s > SLICE_WALL_S * 2 && slice_ps > 1000) {
            slice_ps /= 2;
        }
        progress_update(loop->progress, until_ps, share_done(loop->sim),
                        loop->sim->engine->class->hop_count(loop->sim->engine));
        if (flush_is_due(loop, until_ps)) {
            loop->flushed_ps = until_ps;
            status = loop_flush(loop, diag);
        }
    }
    progress_end(loop->progress);
    return status;
}

/* ---- the end ---------------------------------------------------------------------------------------------- */

/* Per link: sent = received + lost with it + in flight; per message: delivered once; where nothing was lost or cut, every data packet
 * that left has arrived, new or a second time. Broken accounts are a bug. */
static void conservation_check(const struct sim *sim)
{
    const struct engine_class *class = sim->engine->class;
    uint64_t sent = 0, received = 0, lost = 0, cut = 0;
    for (uint32_t port = 0; port < sim->fabric->port_count; port++) {
        struct port_counters counters;
        class->counters(sim->engine, port, &counters);
        assert(counters.rx_packets <= counters.tx_packets && counters.rx_bytes <= counters.tx_bytes);
        sent += counters.tx_packets;
        received += counters.rx_packets;
        lost += counters.dropped_packets + counters.trimmed_packets + counters.lost_packets + counters.error_packets +
                counters.stray_packets;
        cut += counters.lost_packets + counters.error_packets;
    }
    struct endpoint_counters ends;
    endpoint_counters(sim->endpoint, &ends);
    assert(ends.messages_delivered <= ends.messages_posted && ends.messages_acked <= ends.messages_delivered);
    if (class->packets_in_flight(sim->engine) == 0) {
        assert(sent == received + cut);
        assert(lost > 0 || ends.data_packets_sent == ends.data_packets_delivered + ends.duplicates);
    }
}

/* The ports that pauses or credits keep back when nothing moves: those of a circle, if one has closed, else all. */
struct held {
    uint32_t *ports;
    uint32_t count;
    bool is_circle;
};

static struct held held_of(const struct sim *sim, struct arena *arena)
{
    struct held held = {.ports = arena_array(arena, sim->fabric->port_count, uint32_t)};
    held.count = engine_circle(sim->engine, sim->fabric, held.ports);
    held.is_circle = held.count > 0;
    held.count = held.is_circle ? held.count : engine_kept_back(sim->engine, sim->fabric, held.ports);
    return held;
}

#define HELD_LINES_MAX 64
static void held_explain(const struct sim *sim, const struct held *held, FILE *stream)
{
    const struct fabric *fabric = sim->fabric;
    const char *ports = plural(held->count, "s");
    if (held->is_circle) {
        fprintf(stream, "  buffers wait for each other in a circle, whatever the trace asks for: queue.lanes where the fabric has rings or "
                        "regions, routing.paths or more room (transport.buffer, queue.xoff) break it\n"
                        "  cyclic buffer dependency: %u port%s wait for room, each behind the next, the last behind the first:\n",
                held->count, ports);
    } else if (held->count > 0) {
        fprintf(stream, "  buffers are full of packets that cannot leave, whatever the trace asks for: their links are dark or cut; more room "
                        "(transport.buffer, queue.xoff) lets others by\n  %u port%s kept back, in no circle:\n",
                held->count, ports);
    }
    for (uint32_t i = 0; i < held->count && i < HELD_LINES_MAX; i++) {
        char text[48];
        uint32_t node = fabric->port_node[held->ports[i]];
        fprintf(stream, "    port %u of %s\n", held->ports[i] - fabric->port_first[node],
                fabric_node_text(fabric, node, text, sizeof text));
    }
    if (held->count > HELD_LINES_MAX) {
        fprintf(stream, "    and %u more\n", held->count - HELD_LINES_MAX);
    }
}

static const char *explanation_text(const struct sim *sim, const struct held *held, struct arena *arena)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *stream = open_memstream(&text, &bytes);
    held_explain(sim, held, stream);
    replay_explain(sim->replay, stream, 16);
    fclose(stream);
    const char *copy = arena_strdup(arena, text);
    free(text);
    return copy;
}

/* When a run that did not end was cut short, or stood still; 0: it ended. */
static uint64_t cut_ps_of(const struct run_loop *loop, bool is_stuck)
{
    struct endpoint_counters ends;
    if (replay_is_complete(loop->sim->replay)) {
        return 0;
    }
    if (!is_stuck) {
        return loop->reached_ps;
    }
    /* The last thing that happened to anybody: an operation ended, or a packet brought something new. */
    endpoint_counters(loop->sim->endpoint, &ends);
    uint64_t ended_ps = replay_makespan_ps(loop->sim->replay);
    return ends.moved_ps > ended_ps ? ends.moved_ps : ended_ps;
}

static enum status deadlock_say(const struct facts *facts, const struct held *held, struct diag *diag)
{
    char time[32];
    const char *why = held->is_circle ? "; buffers wait for each other in a circle"
                      : held->count > 0 ? "; buffers are full of packets for links that are dark or cut" : "";
    return diag_set(diag, STATUS_DEADLOCK,
                    "the job on %s is deadlocked: nothing moves after %s, %" PRIu64 " of %" PRIu64 " operation%s done%s",
                    facts->fabric->name, time_print(facts->makespan_ps, time, sizeof time), facts->done_ops, facts->op_count,
                    plural(facts->op_count, "s"), why);
}

/* What a run that has ended, or was ended, is called. `held` NULL: something is left to happen. */
static enum status verdict_of(const struct run_request *request, const struct facts *facts, const struct held *held,
                              struct run_result *result, struct diag *diag)
{
    if (facts->is_complete) {
        result->status = "complete";
        return STATUS_OK;
    }
    result->status = held != NULL ? "deadlock" : "interrupted";
    if (held != NULL) {
        return deadlock_say(facts, held, diag);
    }
    bool is_signal = request->interrupted != NULL && *request->interrupted;
    return is_signal ? diag_set(diag, STATUS_INTERRUPTED, "interrupted; results so far are kept") : STATUS_OK;
}

static enum status file_end(const struct facts *facts, struct collect_cursor *cursor, const struct run_result *result,
                            struct results *results, struct results_run *run, struct diag *diag)
{
    if (results == NULL) {
        return STATUS_OK;
    }
    enum status status = collect_progress(facts, cursor, run, diag);
    if (status == STATUS_OK) {
        status = collect_tables(facts, &result->summary, run, diag);
    }
    if (status == STATUS_OK) {
        status = results_append(run, RESULT_TABLE_jobs, result->jobs, result->job_count, diag);
    }
    if (status == STATUS_OK) {
        status = results_run_end(run, result->status, result->summary.makespan_ps, result->digest, result->wall_s,
                                 diag);
    }
    return status == STATUS_OK ? results_flush(results, diag) : status;
}

static enum status packets_run(const struct run_request *request, const struct job *job, struct run_parts *parts,
                               struct results *results, struct arena *arena, struct run_result *result,
                               struct diag *diag)
{
    double start_s = wall_seconds();
    struct run_loop loop = {.request = request, .results = results, .flushed_s = start_s};
    const struct sim_config config = {.job = job, .fabric = parts->fabric.fabric, .scenario = &parts->scenario,
                                      .seed = request->seed, .iterations = request->iterations,
                                      .threads = request->threads, .simd = request->simd,
                                      .interrupted = request->interrupted};
    enum status status = sim_new(arena, &config, &loop.sim, diag);
    if (status == STATUS_OK && results != NULL) {
        status = file_begin(request, job, parts, results, &loop.run, arena, diag);
    }
    if (status != STATUS_OK) {
        return status;
    }
    loop.live = (struct facts){.stats = &loop.sim->stats, .calls = replay_calls(loop.sim->replay),
                               .call_count = replay_call_count(loop.sim->replay)};
    loop.series.next_ps = TIME_NEVER_PS;
    if (results != NULL) {
        series_init(&loop.series, loop.sim, arena);
    }
    loop.progress = progress_new(arena, request->is_quiet);
    status = loop_run(&loop, diag);
    if (status != STATUS_OK) {
        return status;
    }
    struct facts facts;
    conservation_check(loop.sim);
    bool is_stuck = loop.is_stuck || sim_run(loop.sim, 0) == TIME_NEVER_PS;
    facts_of_sim(loop.sim, cut_ps_of(&loop, is_stuck), arena, &facts);
    result->calls = facts.calls;
    result->call_count = facts.call_count;
    collect_summary(&facts, request->iterations, arena, &result->summary);
    result->jobs = collect_jobs(&facts, request->iterations, arena, &result->job_count);
    result->digest = sim_digest(loop.sim);
    result->plan_text = loop.sim->fabric->plan_text;
    result->wall_s = wall_seconds() - start_s;
    struct held held = is_stuck && !facts.is_complete ? held_of(loop.sim, arena) : (struct held){.count = 0};
    enum status verdict = verdict_of(request, &facts, is_stuck ? &held : NULL, result, diag);
    result->explanation = verdict == STATUS_DEADLOCK ? explanation_text(loop.sim, &held, arena) : NULL;
    if (results != NULL) {
        status = series_write(&loop.series, facts.makespan_ps, loop.run, diag);
    }
    if (status == STATUS_OK) {
        status = file_end(&facts, &loop.cursor, result, results, loop.run, diag);
    }
    return status != STATUS_OK ? status : verdict;
}

static enum status fluid_run(const struct run_request *request, const struct job *job, struct run_parts *parts,
                             struct results *results, struct arena *arena, struct run_result *result,
                             struct diag *diag)
{
    double start_s = wall_seconds();
    struct facts facts;
    const struct scenario_failures *fails = parts->scenario.failures;
    if (fails->links > 0 || fails->switches > 0 || fails->list != NULL) {
        return diag_set(diag, STATUS_INPUT, "--engine simgrid knows of no failures; expected none of failures.links, "
                                            "failures.switches and failures.list");
    }
    const struct scenario_links *links = parts->scenario.links;
    if (links->frame_loss > 0 || links->pre_fec_ber > 0 || links->post_fec_ber > 0) {
        return diag_set(diag, STATUS_INPUT, "--engine simgrid knows of no bit errors; expected none of links.frame_loss, "
                                            "links.pre_fec_ber and links.post_fec_ber");
    }
    enum status verdict = run_flow(request, job, parts->fabric.fabric, &parts->scenario, arena, &facts, &result->digest,
                                   &result->explanation, diag);
    if (verdict != STATUS_OK && verdict != STATUS_DEADLOCK && verdict != STATUS_INTERRUPTED) {
        return verdict;
    }
    result->calls = facts.calls;
    result->call_count = facts.call_count;
    collect_summary(&facts, request->iterations, arena, &result->summary);
    result->jobs = collect_jobs(&facts, request->iterations, arena, &result->job_count);
    result->wall_s = wall_seconds() - start_s;
    verdict = verdict_of(request, &facts, verdict == STATUS_DEADLOCK ? &(struct held){.count = 0} : NULL, result, diag);
    struct results_run *run = NULL;
    struct collect_cursor cursor = {0};
    enum status status =
        results == NULL ? STATUS_OK : file_begin(request, job, parts, results, &run, arena, diag);
    if (status == STATUS_OK) {
        status = file_end(&facts, &cursor, result, results, run, diag);
    }
    return status != STATUS_OK ? status : verdict;
}

enum status run_job(const struct run_request *request, const struct job *job, struct results *results,
                    struct arena *arena, struct run_result *result, struct diag *diag)
{
    *result = (struct run_result){.trace = job->name};
    struct run_parts parts;
    enum status status = parts_load(request, job, arena, &parts, diag);
    if (status != STATUS_OK) {
        return status;
    }
    result->name = result->fabric = parts.fabric.fabric->name;
    result->host_count = parts.fabric.fabric->host_count;
    result->gpus_per_nic = (uint32_t)parts.scenario.host->gpus_per_nic;
    result->bare = fabric_bare(parts.fabric.fabric);
    result->rank_count = job->rank_count;
    result->custom_text = collective_customs_text(&parts.scenario.policy, "        ", arena);
    return (request->engine == RUN_ENGINE_PACKET ? packets_run : fluid_run)(request, job, &parts, results, arena, result,
                                                                            diag);
}
