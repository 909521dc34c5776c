/* photonet run: a trace over one or more fabrics. */
#define _GNU_SOURCE /* memmem */
#include "netsim/base/simd.h"
#include "netsim/calls_table.h"
#include "netsim/cli.h"
#include "netsim/job_list.h"
#include "netsim/run.h"
#include "netsim/scenario.h"
#include "netsim/summary.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { OPT_SET = 256, OPT_ENGINE, OPT_TRANSPORT, OPT_SEED, OPT_UNTIL, OPT_ITERATIONS, OPT_ESTIMATE, OPT_FORMAT,
       OPT_THREADS, OPT_SIMD, OPT_RANKS, OPT_STABLE, OPT_PARAMETERS };

static const struct argp_option options[] = {
    {"trace", 't', "SPEC[,OPTION=VALUE]...", 0, "trace: a file, a prefix of rank files, a directory, or pattern:NAME,key=value; "
     "several are jobs that share the fabric, see below", 0},
    {"fabric", 'f', "FILE|PRESET[,KEY=VALUE]...", 0,
     "fabric, with parameters of its own; several give several runs in one file", 0},
    {"set", OPT_SET, "KEY=VALUE", 0, "a parameter of every fabric, part.NAME.QUANTITY, trace.KEY, packet.KEY, ...", 0},
    {"parameters", OPT_PARAMETERS, NULL, 0, "list the parameters that belong to no fabric and exit", 0},
    {"ranks", OPT_RANKS, "N", 0, "ranks; where the trace says another number, it is retargeted by data-parallel replicas", 0},
    {"engine", OPT_ENGINE, "packet|simgrid", 0, "packet (default), or SimGrid's fluid model as a second opinion", 0},
    {"transport", OPT_TRANSPORT, "NAME", 0, "transport (default: window)", 0},
    {"threads", OPT_THREADS, "N", 0, "threads of the packet engine; any number gives the same result (default: 1)", 0},
    {"simd", OPT_SIMD, "BODY", 0, "scalar, avx2, avx512 or neon; all give the same result (default: the widest)", 0},
    {"seed", OPT_SEED, "N", 0, "seed of all random draws (default: 1)", 0},
    {"until", OPT_UNTIL, "TIME", 0, "stop at this simulated time", 0},
    {"iterations", OPT_ITERATIONS, "N", 0, "repeat the step; all but the first count (default: 1)", 0},
    {"estimate", OPT_ESTIMATE, NULL, 0, "say what the run would cost and exit", 0},
    {"output", 'o', "OUT.h5", 0, "result file", 0},
    {"stable", OPT_STABLE, NULL, 0, "leave wall-clock times out, so that equal runs give equal bytes", 0},
    {"format", OPT_FORMAT, "table|json", 0, "what is printed (default: table)", 0},
    {"quiet", 'q', NULL, 0, "no progress", 0},
    {0},
};

struct arguments {
    struct arena *arena;
    struct diag *diag;
    struct cli_settings settings;
    struct run_request request;
    const char **fabrics;
    size_t fabric_count, fabric_capacity;
    const char **more_traces;
    size_t more_trace_count, more_trace_capacity;
    const char *output;
    bool is_estimate, is_json, is_stable, is_parameters;
};

static error_t usage(struct arguments *arguments, const char *option, const char *text, const char *expected)
{
    return cli_usage(arguments->diag, option, text, expected);
}

static error_t count_parse(struct arguments *arguments, const char *option, const char *text, uint64_t low,
                           uint64_t high, uint64_t *value)
{
    char why[256];
    if (!quantity_parse_u64(QUANTITY_COUNT, text, value, why) || *value < low || *value > high) {
        snprintf(why, sizeof why, "a whole number from %" PRIu64 " to %" PRIu64, low, high);
        return usage(arguments, option, text, why);
    }
    return 0;
}

static error_t engine_parse(struct arguments *arguments, const char *text)
{
    if (strcmp(text, "packet") != 0 && strcmp(text, "simgrid") != 0) {
        return usage(arguments, "--engine", text, "packet or simgrid");
    }
    arguments->request.engine = strcmp(text, "packet") == 0 ? RUN_ENGINE_PACKET : RUN_ENGINE_SIMGRID;
    return 0;
}

static error_t until_parse(struct arguments *arguments, const char *text)
{
    char why[256];
    if (!quantity_parse_u64(QUANTITY_TIME, text, &arguments->request.until_ps, why)) {
        return usage(arguments, "--until", text, "a time with a unit (10ms)");
    }
    return 0;
}

static error_t number_option(struct arguments *arguments, int key, const char *text)
{
    uint64_t value;
    error_t error;
    switch (key) {
    case OPT_RANKS:
        error = count_parse(arguments, "--ranks", text, 1, FABRIC_HOSTS_MAX, &value);
        arguments->request.ranks = (uint32_t)value;
        return error;
    case OPT_THREADS:
        error = count_parse(arguments, "--threads", text, 1, 256, &value);
        arguments->request.threads = (uint32_t)value;
        return error;
    case OPT_ITERATIONS:
        error = count_parse(arguments, "--iterations", text, 1, 1000000, &value);
        arguments->request.iterations = (uint32_t)value;
        return error;
    default:
        return count_parse(arguments, "--seed", text, 0, UINT64_MAX, &arguments->request.seed);
    }
}

static error_t simd_option(struct arguments *arguments, const char *text)
{
    enum simd_body body;
    if (simd_parse(text, &body, arguments->diag) != STATUS_OK) {
        return EINVAL;
    }
    arguments->request.simd = simd_name(body);
    return 0;
}

static error_t option_parse(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case 't':
        if (arguments->request.trace != NULL) {
            vec_push(arguments->arena, arguments->more_traces, arguments->more_trace_count,
                     arguments->more_trace_capacity) = text;
        } else {
            arguments->request.trace = text;
        }
        return 0;
    case 'f':
        vec_push(arguments->arena, arguments->fabrics, arguments->fabric_count, arguments->fabric_capacity) = text;
        return 0;
    case OPT_SET:
        return cli_setting_add(&arguments->settings, "--set", text, arguments->diag) == STATUS_OK ? 0 : EINVAL;
    case OPT_ENGINE:
        return engine_parse(arguments, text);
    case OPT_TRANSPORT:
        arguments->request.transport = text;
        return 0;
    case OPT_UNTIL:
        return until_parse(arguments, text);
    case OPT_FORMAT:
        return cli_format_parse(text, &arguments->is_json, arguments->diag);
    case 'o':
        arguments->output = text;
        return text[0] != '\0' ? 0 : (diag_set(arguments->diag, STATUS_USAGE, "-o: the name of the result file is empty"), EINVAL);
    case OPT_SIMD:
        return simd_option(arguments, text);
    case OPT_THREADS:
    case OPT_RANKS:
    case OPT_SEED:
    case OPT_ITERATIONS:
        return number_option(arguments, key, text);
    case OPT_ESTIMATE:
        arguments->is_estimate = true;
        return 0;
    case OPT_STABLE:
        arguments->is_stable = true;
        return 0;
    case OPT_PARAMETERS:
        arguments->is_parameters = true;
        return 0;
    case 'q':
        arguments->request.is_quiet = true;
        return 0;
    case ARGP_KEY_ARG:
        return usage(arguments, "argument", text, "an option (--trace, --fabric)");
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    options, option_parse, "--trace SPEC --fabric FILE|PRESET [-o OUT.h5]",
    "Replays a trace over one or more fabrics, prints a summary and writes the result file.\v"
    "Several --trace are jobs on one fabric, each with options behind its SPEC: start=TIME; placement=linear, random "
    "(with seed=N, or random:N), rail:N (ranks next to each other on one of N rails) or file:PATH (a host a line); "
    "name=TEXT; ranks=N; trace.KEY=VALUE. For example: --trace a.job,start=1ms,placement=random,seed=3 --trace b.job. "
    "They may stand in a YAML file too, given as --trace FILE, or in the fabric's file without a --trace: "
    "jobs: [{trace: a.job, start: 1ms}, {trace: b.job}]. "
    "Noise on computations and slow ranks: --set noise.amount=5%, --set noise.slow_ranks=3, see --parameters.\n\n"
    "Sizes, times and rates carry their unit: 4MiB, 500ns, 400Gbps. `photonet fabric list` names the presets, "
    "`photonet run --parameters` the other parameters. The last line of a run is its digest: equal runs have equal "
    "digests.", NULL, NULL, NULL};

/* Jobs in a fabric's file are what runs where no --trace says so. */
static enum status scenario_find(struct arguments *arguments, struct diag *diag)
{
    for (size_t i = 0; i < arguments->fabric_count; i++) {
        const char *path = arguments->fabrics[i];
        if (!job_list_is_file(path)) {
            continue;
        }
        if (arguments->request.trace != NULL) {
            return diag_set(diag, STATUS_USAGE, "%s holds jobs; expected no %s beside it", path,
                            arguments->request.is_scenario ? "other list of jobs" : "--trace");
        }
        arguments->request.trace = path;
        arguments->request.is_scenario = true;
    }
    return STATUS_OK;
}

static enum status arguments_check(const struct arguments *arguments, struct diag *diag)
{
    if (arguments->request.trace == NULL) {
        return diag_set(diag, STATUS_USAGE, "--trace is missing; try `photonet run --help`");
    }
    if (arguments->fabric_count == 0) {
        return diag_set(diag, STATUS_USAGE, "--fabric is missing; `photonet fabric list` names the presets");
    }
    return STATUS_OK;
}

/* ---- printing --------------------------------------------------------------------------------------------- */

static void import_print(const struct job *job)
{
    struct job_totals totals;
    job_totals(job, &totals);
    printf("trace   %s (%s): %u rank%s, %u program%s, %u group%s", job->name, job->format, job->rank_count,
           plural(job->rank_count, "s"), job->program_count, plural(job->program_count, "s"), job->group_count,
           plural(job->group_count, "s"));
    for (int kind = 0; kind < OP_KIND_COUNT; kind++) {
        if (totals.ops[kind] > 0) {
            printf(", %" PRIu64 " %s", totals.ops[kind], op_kind_name((enum op_kind)kind));
        }
    }
    printf("\n");
    for (uint32_t i = 0; i < job->note_count; i++) {
        printf("        %" PRIu64 " %s: %s\n", job->notes[i].count, job->notes[i].what, job->notes[i].action);
    }
    if (job->scale != 1) {
        printf("        scaled: the step stands for %.4g of the full one\n", job->scale);
    }
    if (job_is_sample(job)) {
        printf("        sample: of a step on %" PRIu32 " ranks that takes %.4g times as long\n",
               job->full_rank_count, job->time_factor);
    }
}

/* Where there are several, each one's share of what stands above. */
static void jobs_print(const struct run_result *result)
{
    for (uint32_t i = 0; i < result->job_count && result->job_count > 1; i++) {
        const struct result_jobs *job = &result->jobs[i];
        printf("job     %-24s %" PRIu32 " rank%s, iteration time %.3f us, exposed %.3f us, from %.3f us to %.3f us%s\n",
               job->name, job->ranks, plural(job->ranks, "s"), (double)job->iteration_time_ps * 1e-6,
               (double)job->exposed_communication_ps * 1e-6, (double)job->start_ps * 1e-6, (double)job->end_ps * 1e-6,
               job->operations < job->operations_all ? " (not complete)" : "");
    }
}

static json_t *jobs_json(const struct run_result *result)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < result->job_count; i++) {
        const struct result_jobs *job = &result->jobs[i];
        json_array_append_new(
            list, json_pack("{s:s, s:I, s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "name", job->name, "first_rank",
                            (json_int_t)job->first_rank, "ranks", (json_int_t)job->ranks, "placement", job->placement,
                            "start_ps", (json_int_t)job->start_ps, "end_ps", (json_int_t)job->end_ps, "makespan_ps",
                            (json_int_t)job->makespan_ps, "iteration_time_ps", (json_int_t)job->iteration_time_ps,
                            "exposed_communication_ps", (json_int_t)job->exposed_communication_ps, "compute_ps",
                            (json_int_t)job->compute_ps, "sent_bytes", (json_int_t)job->sent_bytes, "operations",
                            (json_int_t)job->operations));
    }
    return list;
}

static void result_print(const struct job *job, const struct run_result *result)
{
    printf("\nrun     %s on %s: %s, %.2f s of wall time\n", result->trace, result->fabric, result->status,
           result->wall_s);
    if (result->gpus_per_nic > 1) {
        printf("        the fabric has %u host%s of %u GPUs each, the job has %u rank%s; energy is that of all\n",
               result->host_count, plural(result->host_count, "s"), result->gpus_per_nic, result->rank_count,
               plural(result->rank_count, "s"));
    } else if (result->host_count != result->rank_count) {
        printf("        the fabric has %u hosts, the job uses %u; energy is that of the whole fabric\n",
               result->host_count, result->rank_count);
    }
    if (result->bare.switches + result->bare.ports > 0) {
        printf("        no part is named for %u switch%s and %u port%s; energy leaves them out\n",
               result->bare.switches, plural(result->bare.switches, "es"), result->bare.ports,
               plural(result->bare.ports, "s"));
    }
    if (result->plan_text != NULL) {
        printf("        circuits: %s\n", result->plan_text);
    }
    fputs(result->custom_text, stdout);
    summary_print(&result->summary, stdout);
    jobs_print(result);
    if (calls_are_benchmark(job, result)) {
        calls_print(result, stdout);
    }
    if (result->explanation != NULL) {
        printf("what everybody waits for:\n%s", result->explanation);
    }
    printf("digest  %016" PRIx64 "\n", result->digest);
}

static json_t *result_json(const struct job *job, const struct run_result *result)
{
    char digest[17];
    snprintf(digest, sizeof digest, "%016" PRIx64, result->digest);
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:f, s:s}", "run", result->name, "trace", result->trace, "fabric",
                               result->fabric, "status", result->status, "wall_s", result->wall_s, "digest", digest);
    json_object_update_new(object, summary_json(&result->summary));
    json_object_set_new(object, "jobs", jobs_json(result));
    if (calls_are_benchmark(job, result)) {
        json_object_set_new(object, "collectives", calls_json(result));
    }
    return object;
}

/* ---- running ---------------------------------------------------------------------------------------------- */

static void estimate_print(const char *fabric, const struct run_estimate *estimate)
{
    printf("%s: %" PRIu64 " message%s, %.4g B of payload, %.4g packets, %.4g packet-hops (acknowledgements counted), "
           "about %.3g s on this machine, %.3g MB before packets\n",
           fabric, estimate->messages, plural(estimate->messages, "s"), (double)estimate->payload_bytes, (double)estimate->packets,
           (double)estimate->packet_hops, estimate->wall_s, (double)estimate->memory_bytes / 1e6);
}

static enum status fabrics_estimate(struct arguments *arguments, const struct job *job, struct diag *diag)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < arguments->fabric_count && status == STATUS_OK; i++) {
        struct arena *arena = arena_new("estimate");
        struct run_estimate estimate;
        arguments->request.fabric = arguments->fabrics[i];
        status = run_estimate(&arguments->request, job, arena, &estimate, diag);
        if (status == STATUS_OK) {
            estimate_print(arguments->fabrics[i], &estimate);
        }
        arena_free(arena);
    }
    return status;
}

/* One fabric after the other. A deadlock on one does not keep the others from running: the first of them is what the
 * command ends with. An interruption ends the row, but what was run is shown. */
static enum status fabrics_run(struct arguments *arguments, const struct job *job, struct results *results,
                               json_t *runs, struct diag *diag)
{
    enum status status = STATUS_OK, stuck = STATUS_OK;
    for (size_t i = 0; i < arguments->fabric_count && status == STATUS_OK; i++) {
        struct arena *arena = arena_new("run");
        struct run_result result;
        struct diag own = {""};
        arguments->request.fabric = arguments->fabrics[i];
        status = run_job(&arguments->request, job, results, arena, &result, &own);
        if (status != STATUS_OK && (stuck == STATUS_OK || status != STATUS_DEADLOCK)) {
            *diag = own;
        }
        if (status == STATUS_DEADLOCK) {
            stuck = status;
            status = STATUS_OK;
        }
        if (result.status != NULL && arguments->is_json) {
            json_array_append_new(runs, result_json(job, &result));
        } else if (result.status != NULL) {
            result_print(job, &result);
            fflush(stdout);
        }
        arena_free(arena);
    }
    return status == STATUS_OK ? stuck : status;
}

/* Several fabrics are looked at before the first one runs: a mistake in the last one is better told now. */
static enum status fabrics_check(struct arguments *arguments, const struct job *job, struct diag *diag)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < arguments->fabric_count && arguments->fabric_count > 1 && status == STATUS_OK; i++) {
        arguments->request.fabric = arguments->fabrics[i];
        status = run_check(&arguments->request, job, diag);
    }
    return status;
}

#define HEAD_BYTES 65536 /* our files name their format within the first 3 KB */

static bool holds(const uint8_t *bytes, size_t count, const void *what, size_t what_bytes)
{
    return memmem(bytes, count, what, what_bytes) != NULL;
}

/* A result file may be replaced, anything else that stands there may not, be it HDF5 too. Bytes are looked at, as a damaged file
 * of HDF5 should not be opened for this. */
static enum status output_check(struct arguments *arguments, struct diag *diag)
{
    static const uint8_t signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    static const char format[] = "photonet-results";
    const char *path = arguments->output;
    struct stat there;
    if (stat(path, &there) != 0 || !S_ISREG(there.st_mode) || there.st_size == 0) {
        return STATUS_OK; /* nothing there, or for the writer to refuse */
    }
    uint8_t *head = arena_alloc(arguments->arena, HEAD_BYTES);
    FILE *file = fopen(path, "rb");
    size_t count = file != NULL ? fread(head, 1, HEAD_BYTES, file) : 0;
    if (file != NULL) {
        fclose(file);
    }
    bool is_ours = count >= sizeof signature && memcmp(head, signature, sizeof signature) == 0 &&
                   holds(head, count, format, sizeof format - 1);
    return is_ours ? STATUS_OK
                   : diag_input(diag, (struct origin){path, 0, 0},
                                "exists and is no result file; expected a new name or a result file to replace");
}

static enum status runs_write(struct arguments *arguments, const struct job *job, json_t *runs, struct diag *diag)
{
    struct results *results = NULL;
    enum status status = fabrics_check(arguments, job, diag);
    if (status == STATUS_OK && arguments->output != NULL) {
        status = output_check(arguments, diag);
    }
    if (status == STATUS_OK && arguments->output != NULL) {
        status = results_create(arguments->output, arguments->is_stable, arguments->arena, &results, diag);
    }
    if (status == STATUS_OK) {
        status = fabrics_run(arguments, job, results, runs, diag);
    }
    if (results != NULL) {
        struct diag closing = {{0}};
        enum status closed = results_close(results, &closing);
        if (status == STATUS_OK && closed != STATUS_OK) {
            status = closed;
            *diag = closing;
        }
    }
    return status;
}

static enum status request_serve(struct arguments *arguments, struct diag *diag)
{
    const struct job *job;
    enum status status = run_read(&arguments->request, arguments->arena, &job, diag);
    if (status != STATUS_OK) {
        return status;
    }
    if (arguments->is_estimate) {
        return fabrics_estimate(arguments, job, diag);
    }
    json_t *runs = json_array();
    if (!arguments->is_json) {
        import_print(job);
    }
    cli_catch_signals();
    status = runs_write(arguments, job, runs, diag);
    if (arguments->is_json && json_array_size(runs) > 0) {
        json_t *document = json_pack("{s:O}", "runs", runs);
        json_dumpf(document, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
        printf("\n");
        json_decref(document);
    }
    json_decref(runs);
    return status;
}

enum status command_run(int argc, char **argv, struct diag *diag)
{
    struct arena *arena = arena_new("command line and job");
    struct arguments arguments = {.arena = arena, .diag = diag, .settings = {.arena = arena}};
    arguments.request = (struct run_request){.seed = 1, .until_ps = TIME_NEVER_PS - 1, .iterations = 1,
                                             .command_line = cli_command_line(argc, argv, arena),
                                             .interrupted = &cli_interrupted};
    bool is_done;
    enum status status = cli_parse(&argp, argc, argv, &arguments, &is_done, diag);
    if (status == STATUS_OK && !is_done && arguments.is_parameters) {
        scenario_help(stdout);
        is_done = true;
    }
    if (status == STATUS_OK && !is_done) {
        arguments.request.more_traces = arguments.more_traces;
        arguments.request.more_trace_count = arguments.more_trace_count;
        arguments.request.settings = arguments.settings.items;
        arguments.request.setting_count = arguments.settings.count;
        status = scenario_find(&arguments, diag);
        status = status == STATUS_OK ? arguments_check(&arguments, diag) : status;
        if (status == STATUS_OK) {
            status = request_serve(&arguments, diag);
        }
    }
    arena_free(arena);
    return status;
}
