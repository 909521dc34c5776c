/* The embedding API: what `photonet run` does, for a caller in the same process. */
#include "photonet/photonet.h"

#include "netsim/run.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static_assert((int)PHOTONET_OK == STATUS_OK && (int)PHOTONET_USAGE == STATUS_USAGE &&
                  (int)PHOTONET_INPUT == STATUS_INPUT && (int)PHOTONET_DEADLOCK == STATUS_DEADLOCK &&
                  (int)PHOTONET_IO == STATUS_IO && (int)PHOTONET_INTERRUPTED == STATUS_INTERRUPTED,
              "the API promises the statuses of the program");

struct embed_run {
    struct run_result result;
    char digest[17];
};

struct photonet_report {
    struct arena *arena; /* owned; holds the report too */
    struct embed_run *runs;
    size_t run_count;
    struct diag diag;
};

static enum status setting_split(const char *text, struct arena *arena, struct trace_setting *setting,
                                 struct diag *diag)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) {
        return diag_set(diag, STATUS_USAGE, "setting \"%s\": KEY=VALUE was expected", text);
    }
    const char *key = arena_printf(arena, "%.*s", (int)(equals - text), text);
    *setting = (struct trace_setting){key, equals + 1, {arena_printf(arena, "setting %s", text), 0, 0}};
    return STATUS_OK;
}

static enum status settings_split(const struct photonet_request *from, struct arena *arena,
                                  struct run_request *to, struct diag *diag)
{
    struct trace_setting *settings = arena_array(arena, from->setting_count, struct trace_setting);
    for (size_t i = 0; i < from->setting_count; i++) {
        enum status status = setting_split(from->settings[i], arena, &settings[i], diag);
        if (status != STATUS_OK) {
            return status;
        }
    }
    to->settings = settings;
    to->setting_count = from->setting_count;
    return STATUS_OK;
}

static enum status engine_find(const char *name, enum run_engine *engine, struct diag *diag)
{
    bool is_packet = name == NULL || strcmp(name, "packet") == 0;
    *engine = is_packet ? RUN_ENGINE_PACKET : RUN_ENGINE_SIMGRID;
    if (!is_packet && strcmp(name, "simgrid") != 0) {
        return diag_set(diag, STATUS_USAGE, "engine \"%s\": packet or simgrid was expected", name);
    }
    return STATUS_OK;
}

static enum status request_translate(const struct photonet_request *from, struct arena *arena,
                                     struct run_request *to, struct diag *diag)
{
    if (from->request_bytes != sizeof *from) {
        return diag_set(diag, STATUS_USAGE,
                        "request_bytes is %zu, %zu was expected: set it to sizeof the request, "
                        "and build with the header of the library that is linked",
                        from->request_bytes, sizeof *from);
    }
    if (from->trace == NULL || from->fabric_count == 0) {
        return diag_set(diag, STATUS_USAGE, "a request needs a trace and at least one fabric");
    }
    *to = (struct run_request){
        .trace = from->trace,
        .more_traces = from->more_traces,
        .more_trace_count = from->more_trace_count,
        .ranks = from->rank_count,
        .transport = from->transport,
        .seed = from->seed > 0 ? from->seed : 1,
        .until_ps = from->until_ps > 0 ? from->until_ps : TIME_NEVER_PS - 1,
        .iterations = from->iteration_count > 0 ? from->iteration_count : 1,
        .is_quiet = true,
        .command_line = "embedded",
        .interrupted = from->interrupted,
    };
    enum status status = engine_find(from->engine, &to->engine, diag);
    return status == STATUS_OK ? settings_split(from, arena, to, diag) : status;
}

/* What outlives the run's own arena. */
static void run_keep(struct photonet_report *report, const struct run_result *result)
{
    struct embed_run *kept = &report->runs[report->run_count++];
    struct arena *arena = report->arena;
    kept->result = *result;
    kept->result.name = arena_strdup(arena, result->name);
    kept->result.fabric = arena_strdup(arena, result->fabric);
    kept->result.trace = arena_strdup(arena, result->trace);
    kept->result.explanation = result->explanation != NULL ? arena_strdup(arena, result->explanation) : NULL;
    kept->result.plan_text = result->plan_text != NULL ? arena_strdup(arena, result->plan_text) : NULL;
    kept->result.custom_text = result->custom_text != NULL ? arena_strdup(arena, result->custom_text) : NULL;
    snprintf(kept->digest, sizeof kept->digest, "%016" PRIx64, result->digest);
}

static enum status fabrics_run(const struct photonet_request *from, struct run_request *request,
                               const struct job *job, struct results *results, struct photonet_report *report)
{
    enum status status = STATUS_OK;
    report->runs = arena_array(report->arena, from->fabric_count, struct embed_run);
    for (size_t i = 0; i < from->fabric_count && status == STATUS_OK; i++) {
        struct arena *arena = arena_new("embedded run");
        struct run_result result;
        request->fabric = from->fabrics[i];
        status = run_job(request, job, results, arena, &result, &report->diag);
        if (result.status != NULL) {
            run_keep(report, &result);
        }
        arena_free(arena);
    }
    return status;
}

static enum status file_run(const struct photonet_request *from, struct run_request *request,
                            const struct job *job, struct arena *arena, struct photonet_report *report)
{
    if (from->output == NULL) {
        return fabrics_run(from, request, job, NULL, report);
    }
    struct results *results;
    enum status status = results_create(from->output, false, arena, &results, &report->diag);
    if (status != STATUS_OK) {
        return status;
    }
    status = fabrics_run(from, request, job, results, report);
    struct diag closing = {{0}};
    enum status closed = results_close(results, &closing);
    if (status == STATUS_OK && closed != STATUS_OK) {
        report->diag = closing;
        return closed;
    }
    return status;
}

enum photonet_status photonet_run(const struct photonet_request *from, struct photonet_report **report)
{
    struct arena *kept = arena_new("embedded report"), *arena = arena_new("embedded job");
    struct run_request request;
    const struct job *job;
    *report = arena_one(kept, struct photonet_report);
    (*report)->arena = kept;
    enum status status = request_translate(from, arena, &request, &(*report)->diag);
    if (status == STATUS_OK) {
        status = run_read(&request, arena, &job, &(*report)->diag);
    }
    if (status == STATUS_OK) {
        status = file_run(from, &request, job, arena, *report);
    }
    arena_free(arena);
    return (enum photonet_status)status;
}

/* ---- reading a report -------------------------------------------------------------------------------------
 */

const char *photonet_report_error(const struct photonet_report *report)
{
    return report->diag.text;
}

size_t photonet_report_run_count(const struct photonet_report *report)
{
    return report->run_count;
}

const char *photonet_report_text(const struct photonet_report *report, size_t run, const char *name)
{
    if (run >= report->run_count) {
        return NULL;
    }
    const struct embed_run *from = &report->runs[run];
    const struct {
        const char *name, *text;
    } texts[] = {
        {"run", from->result.name},       {"trace", from->result.trace},
        {"fabric", from->result.fabric},  {"status", from->result.status},
        {"digest", from->digest},         {"explanation", from->result.explanation},
        {"plan", from->result.plan_text},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(texts[i].name, name) == 0) {
            return texts[i].text;
        }
    }
    return NULL;
}

static double column_number(const struct result_column *column, const void *row)
{
    const void *at = (const char *)row + column->offset;
    switch (column->type) {
    case COLUMN_U64:
        return (double)*(const uint64_t *)at;
    case COLUMN_U32:
        return (double)*(const uint32_t *)at;
    case COLUMN_F64:
        return *(const double *)at;
    default:
        return (double)NAN;
    }
}

double photonet_report_number(const struct photonet_report *report, size_t run, const char *column_name)
{
    for (const struct result_column *column = result_columns; column->name != NULL && run < report->run_count;
         column++) {
        if (column->table == RESULT_TABLE_summary && strcmp(column->name, column_name) == 0) {
            return column_number(column, &report->runs[run].result.summary);
        }
    }
    return (double)NAN;
}

void photonet_report_free(struct photonet_report *report)
{
    if (report != NULL) {
        arena_free(report->arena);
    }
}
