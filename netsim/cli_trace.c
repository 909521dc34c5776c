/* photonet trace: what is in a trace, is it sound, make one, turn one into another.
 *
 *     photonet trace info     SPEC [--ranks N] [--set trace.KEY=VALUE]... [--format table|json]
 *     photonet trace validate SPEC [--ranks N] [--set trace.KEY=VALUE]...
 *     photonet trace convert  SPEC -o PREFIX [--to FORMAT] [--ranks N] [--set trace.KEY=VALUE]...
 *     photonet trace generate --model NAME [--KEY VALUE]... -o PREFIX [--to FORMAT] */
#include "netsim/base/job_open.h"
#include "netsim/cli.h"
#include "netsim/inputs.h"
#include "netsim/replay/dry.h"

#include "photonet/units.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_TEXT_BYTES 4352

struct request {
    struct arena *arena;
    struct diag *diag;
    enum status status; /* of what was parsed so far */
    const char *spec;
    uint32_t ranks;
    struct cli_settings settings;
    bool is_json;
    const char *prefix;
    const struct trace_writer *writer;
    const struct trace_model *model;
    void *model_values;
    bool wants_output;
    bool is_generate;
};

/* ---- the command line -------------------------------------------------------------------------------- */

enum { KEY_RANKS = 256, KEY_SET, KEY_DEPS, KEY_FORMAT, KEY_TO, KEY_MODEL, KEY_PARAM };

/* Refuses the command line; the first reason stays. */
__attribute__((format(printf, 2, 3))) static error_t refuse(struct request *request, const char *format, ...)
{
    if (request->status == STATUS_OK) {
        va_list arguments;
        va_start(arguments, format);
        char text[DIAG_BYTES];
        vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        request->status = diag_set(request->diag, STATUS_USAGE, "%s", text);
    }
    return EINVAL;
}

/* trace.KEY and KEY are the same here. */
static error_t setting_add(struct request *request, const char *text)
{
    const char *key = strncmp(text, "trace.", 6) == 0 ? text + 6 : text;
    request->status = cli_setting_add(&request->settings, "--set", key, request->diag);
    return request->status == STATUS_OK ? 0 : EINVAL;
}

static error_t ranks_parse(struct request *request, const char *text)
{
    uint64_t value;
    char why[160];
    if (!quantity_parse_u64(QUANTITY_COUNT, text, &value, why)) {
        return refuse(request, "--ranks %s: %s", text, why);
    }
    if (value == 0 || value > UINT32_MAX / 2) {
        return refuse(request, "--ranks %s: expected a number from 1", text);
    }
    request->ranks = (uint32_t)value;
    return 0;
}

static error_t writer_find(struct request *request, const char *name)
{
    char known[256] = "";
    for (const struct trace_writer *const *writer = trace_writers; *writer != NULL; writer++) {
        if (strcmp((*writer)->name, name) == 0) {
            request->writer = *writer;
            return 0;
        }
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, " %s", (*writer)->name);
    }
    return refuse(request, "--to %s: no such format to write; expected one of:%s", name, known);
}

static error_t format_choose(struct request *request, const char *text)
{
    request->is_json = strcmp(text, "json") == 0;
    bool is_known = request->is_json || strcmp(text, "table") == 0;
    return is_known ? 0 : refuse(request, "--format %s: expected table or json", text);
}

static void writers_help(FILE *stream)
{
    fputs("\nFormats to write:\n", stream);
    for (const struct trace_writer *const *writer = trace_writers; *writer != NULL; writer++) {
        fprintf(stream, "  %-10s %s\n", (*writer)->name, (*writer)->summary);
    }
}

static void formats_help(FILE *stream)
{
    fputs("\nSPEC is a path (the format is found from the content), the prefix of rank files, or "
          "FORMAT:PATH.\n",
          stream);
    for (const struct trace_format *const *format = trace_formats; *format != NULL; format++) {
        fprintf(stream, "\n%s: %s\n", (*format)->name, (*format)->summary);
        param_help(&(*format)->params, "trace.", stream);
    }
}

static void models_help(const struct request *request, FILE *stream)
{
    struct diag diag;
    const struct trace_model *model = request->model;
    fputs("\nNAME is one of these, or the path of a YAML file:\n", stream);
    for (const struct trace_preset *preset = trace_presets; preset->name != NULL; preset++) {
        const struct trace_model *listed;
        if (trace_model_load(preset->name, request->arena, &listed, &diag) == STATUS_OK) {
            fprintf(stream, "  %-16s %s\n", listed->name, listed->summary);
            model = model == NULL ? listed : model;
        }
    }
    fprintf(stream, "\nEach parameter is an option (micro_batches: --micro-batches N) or --set KEY=VALUE. As %s has them:\n",
            model->name);
    param_help(&model->params, "", stream);
}

static error_t arguments_check(struct request *request)
{
    if (request->spec == NULL && request->model == NULL) {
        return refuse(request,
                      request->is_generate ? "no model given; expected --model NAME" : "no trace given");
    }
    if (request->wants_output && request->prefix == NULL) {
        return refuse(request, "no output given; expected -o PREFIX");
    }
    return 0;
}

static error_t common_parse(int key, char *text, struct argp_state *state)
{
    struct request *request = state->input;
    switch (key) {
    case KEY_RANKS:
        return ranks_parse(request, text);
    case KEY_SET:
        return setting_add(request, text);
    case KEY_DEPS:
        return setting_add(request, arena_printf(request->arena, "deps=%s", text));
    case KEY_TO:
        return writer_find(request, text);
    case KEY_FORMAT:
        return format_choose(request, text);
    case 'o':
        request->prefix = text;
        return 0;
    case ARGP_KEY_ARG:
        if (request->spec != NULL || request->is_generate) {
            return refuse(request, "%s: one argument too many", text);
        }
        request->spec = text;
        return 0;
    case ARGP_KEY_END:
        return arguments_check(request);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

#define OPTION_RANKS {"ranks", KEY_RANKS, "N", 0, "ranks of the job; where the trace says another number, it is retargeted by data-parallel replicas", 0}
#define OPTION_SET {"set", KEY_SET, "trace.KEY=VALUE", 0, "a parameter of the format, see below", 0}
#define OPTION_DEPS {"deps", KEY_DEPS, "data|ctrl|both", 0, "dependencies of a Chakra trace that count: trace.deps", 0}
#define OPTION_FORMAT {"format", KEY_FORMAT, "table|json", 0, "how to print (table)", 0}
#define OPTION_OUTPUT {"output", 'o', "PREFIX", 0, "name of what is written: PREFIX.job, PREFIX.0.et, ...", 0}
#define OPTION_TO {"to", KEY_TO, "FORMAT", 0, "format to write (job), see below", 0}

/* *is_done where --help has answered. argp would wrap the lists of parameters once more, so they come behind. */
static enum status request_parse(struct request *request, const struct argp *argp, int argc, char **argv,
                                 bool *is_done)
{
    enum status status = cli_parse(argp, argc, argv, request, is_done, request->diag);
    if (*is_done) {
        if (request->wants_output) {
            writers_help(stdout);
        }
        request->is_generate ? models_help(request, stdout) : formats_help(stdout);
    }
    return request->status != STATUS_OK ? request->status : status;
}

static enum status request_read(struct request *request, const struct job **job)
{
    return job_open(request->spec, request->ranks, request->settings.items, request->settings.count,
                      request->arena, job, request->diag);
}

/* ---- info -------------------------------------------------------------------------------------------- */

struct collective_row {
    uint64_t ops;   /* over all ranks */
    uint64_t bytes; /* put in by all ranks */
};

/* [group * COLLECTIVE_KIND_COUNT + kind] */
static struct collective_row *collective_rows(const struct job *job, struct arena *arena)
{
    struct collective_row *rows =
        arena_array(arena, (size_t)job->group_count * COLLECTIVE_KIND_COUNT, struct collective_row);
    struct collective_row **slots = arena_array(arena, job->program_count, struct collective_row *);
    for (uint32_t i = 0; i < job->program_count; i++) {
        const struct program *program = &job->programs[i];
        slots[i] =
            arena_array(arena, (size_t)program->slot_count * COLLECTIVE_KIND_COUNT, struct collective_row);
        for (uint32_t op = 0; op < program->op_count; op++) {
            if (program->kind[op] == OP_COLLECTIVE) {
                size_t at = (size_t)program->group_slot[op] * COLLECTIVE_KIND_COUNT + program->collective[op];
                slots[i][at].ops++;
                slots[i][at].bytes += program->bytes[op];
            }
        }
    }
    for (uint32_t rank = 0; rank < job->rank_count; rank++) {
        uint32_t program = job->rank_program[rank];
        for (uint32_t i = 0; i < job->programs[program].slot_count * COLLECTIVE_KIND_COUNT; i++) {
            uint32_t group = job_group(job, rank, i / COLLECTIVE_KIND_COUNT);
            size_t at = (size_t)group * COLLECTIVE_KIND_COUNT + i % COLLECTIVE_KIND_COUNT;
            rows[at].ops += slots[program][i].ops;
            rows[at].bytes += slots[program][i].bytes;
        }
    }
    return rows;
}

static json_t *collectives_json(const struct job *job, const struct collective_row *rows)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < job->group_count * COLLECTIVE_KIND_COUNT; i++) {
        uint32_t group = i / COLLECTIVE_KIND_COUNT, size = job_group_size(job, group);
        if (rows[i].ops > 0) {
            json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I, s:I}", "collective",
                                                  collective_name(i % COLLECTIVE_KIND_COUNT), "group",
                                                  job->group_name[group], "group_ranks", (json_int_t)size,
                                                  "calls", (json_int_t)(rows[i].ops / size), "input_bytes",
                                                  (json_int_t)rows[i].bytes));
        }
    }
    return list;
}

static json_t *groups_json(const struct job *job)
{
    json_t *list = json_array();
    for (uint32_t group = 0; group < job->group_count; group++) {
        json_t *ranks = json_array();
        for (uint32_t i = job->group_first[group]; i < job->group_first[group + 1]; i++) {
            json_array_append_new(ranks, json_integer(job->group_rank[i]));
        }
        json_array_append_new(list, json_pack("{s:s, s:o}", "group", job->group_name[group], "ranks", ranks));
    }
    return list;
}

static json_t *notes_json(const struct job *job)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < job->note_count; i++) {
        const struct import_note *note = &job->notes[i];
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:I, s:I}", "what", note->what, "action", note->action,
                                        "count", (json_int_t)note->count, "bytes", (json_int_t)note->bytes));
    }
    return list;
}

/* Names in a trace need not be UTF-8, which jansson insists on: then the document says null. */
static enum status info_json(const struct request *request, const struct job *job,
                             const struct job_totals *totals, const struct collective_row *rows)
{
    json_t *ops = json_object();
    for (enum op_kind kind = 0; kind < OP_KIND_COUNT; kind++) {
        json_object_set_new(ops, op_kind_name(kind), json_integer((json_int_t)totals->ops[kind]));
    }
    uint32_t files;
    uint64_t bytes;
    inputs_count(request->spec, request->arena, &files, &bytes);
    json_t *root =
        json_pack("{s:s*, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:o, s:o, s:o, s:f, s:f, s:I}", "name", job->name,
                  "format", job->format, "files", (json_int_t)files, "file_bytes", (json_int_t)bytes, "ranks",
                  (json_int_t)job->rank_count, "programs",
                  (json_int_t)job->program_count, "groups", (json_int_t)job->group_count, "operations", ops,
                  "compute_ps", (json_int_t)totals->compute_ps, "message_bytes",
                  (json_int_t)totals->message_bytes, "collectives", collectives_json(job, rows), "group_list",
                  groups_json(job), "notes", notes_json(job), "scale", job->scale, "time_factor", job->time_factor,
                  "full_ranks", (json_int_t)job->full_rank_count);
    if (root == NULL || json_dumpf(root, stdout, JSON_INDENT(2)) != 0) {
        json_decref(root);
        return diag_set(request->diag, STATUS_INPUT,
                        "%s: a name in the trace is no UTF-8 text, as JSON needs it", request->spec);
    }
    putchar('\n');
    json_decref(root);
    return STATUS_OK;
}

/* Rounded: --format json has the exact numbers. */
static const char *size_text(uint64_t bytes, char text[32])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1024.0; value /= 1024.0) {
        unit++;
    }
    snprintf(text, 32, "%.5g %s", value, units[unit]);
    return text;
}

/* Groups of one size are one line: a job has hundreds of them. */
static void collectives_print(const struct job *job, const struct collective_row *rows, struct arena *arena)
{
    bool *is_printed = arena_array(arena, (size_t)job->group_count * COLLECTIVE_KIND_COUNT, bool);
    for (uint32_t i = 0; i < job->group_count * COLLECTIVE_KIND_COUNT; i++) {
        if (rows[i].ops == 0 || is_printed[i]) {
            continue;
        }
        uint32_t size = job_group_size(job, i / COLLECTIVE_KIND_COUNT), groups = 0;
        uint64_t calls = 0, bytes = 0;
        for (uint32_t k = i; k < job->group_count * COLLECTIVE_KIND_COUNT; k += COLLECTIVE_KIND_COUNT) {
            if (rows[k].ops > 0 && job_group_size(job, k / COLLECTIVE_KIND_COUNT) == size) {
                is_printed[k] = true;
                groups++;
                calls += rows[k].ops / size;
                bytes += rows[k].bytes;
            }
        }
        char text[32];
        printf("  %-16s %8" PRIu64 " call%s   %5" PRIu32 " group%s of %-6" PRIu32 " %s put in\n",
               collective_name(i % COLLECTIVE_KIND_COUNT), calls, calls == 1 ? " " : "s", groups, groups == 1 ? " " : "s", size,
               size_text(bytes, text));
    }
}

static void notes_print(const struct job *job)
{
    if (job->note_count > 0) {
        printf("import report\n");
    }
    for (uint32_t i = 0; i < job->note_count; i++) {
        const struct import_note *note = &job->notes[i];
        char text[32];
        printf("  %8" PRIu64 " %s%s%s: %s\n", note->count, note->what, note->bytes > 0 ? ", " : "",
               note->bytes > 0 ? size_text(note->bytes, text) : "", note->action);
    }
}

static void info_print(const struct request *request, const struct job *job, const struct job_totals *totals,
                       const struct collective_row *rows)
{
    char text[32];
    uint32_t files;
    uint64_t bytes;
    printf("trace      %s (%s)\n", job->name, job->format);
    inputs_count(request->spec, request->arena, &files, &bytes);
    if (files > 0) {
        printf("read       %" PRIu32 " file%s, %s\n", files, plural(files, "s"), size_text(bytes, text));
    }
    printf("ranks      %" PRIu32 ", running %" PRIu32 " different program%s\n", job->rank_count,
           job->program_count, plural(job->program_count, "s"));
    printf("groups     %" PRIu32 "\n", job->group_count);
    if (job->scale != 1.0) {
        printf("scale      %g of the full step\n", job->scale);
    }
    if (job_is_sample(job)) {
        printf("sample     of a step on %" PRIu32 " ranks that takes %.6g times as long\n", job->full_rank_count,
               job->time_factor);
    }
    printf("operations\n");
    for (enum op_kind kind = 0; kind < OP_KIND_COUNT; kind++) {
        if (totals->ops[kind] == 0) {
            continue;
        }
        printf("  %-16s %8" PRIu64, op_kind_name(kind), totals->ops[kind]);
        if (kind == OP_COMPUTE) {
            printf("         %.6g ms over all ranks", (double)totals->compute_ps / (double)PS_PER_MS);
        } else if (kind == OP_SEND) {
            printf("         %s", size_text(totals->message_bytes, text));
        }
        putchar('\n');
    }
    if (totals->ops[OP_COLLECTIVE] > 0) {
        printf("collectives\n");
        collectives_print(job, rows, request->arena);
    }
    notes_print(job);
}

static enum status info_run(struct request *request)
{
    const struct job *job;
    enum status status = request_read(request, &job);
    if (status != STATUS_OK) {
        return status;
    }
    struct job_totals totals;
    job_totals(job, &totals);
    const struct collective_row *rows = collective_rows(job, request->arena);
    if (request->is_json) {
        return info_json(request, job, &totals, rows);
    }
    info_print(request, job, &totals, rows);
    return STATUS_OK;
}

static enum status command_info(struct request *request, int argc, char **argv)
{
    static const struct argp_option options[] = {OPTION_RANKS, OPTION_SET, OPTION_DEPS, OPTION_FORMAT, {0}};
    static const struct argp argp = {
        options, common_parse, "SPEC", "Says what is in a trace and what the import made of it.",
        NULL,    NULL,         NULL};
    bool is_done;
    enum status status = request_parse(request, &argp, argc, argv, &is_done);
    return status == STATUS_OK && !is_done ? info_run(request) : status;
}

/* ---- validate, convert ------------------------------------------------------------------------------- */

/* No network can bring a circle of operations to an end. */
static enum status job_walk(const struct request *request, const struct job *job)
{
    struct dry_result result;
    if (!dry_run(job, request->arena, &result)) {
        printf("%s: valid; too long to be walked for deadlocks (%" PRIu64 " operations, at most %" PRIu64 ")\n", request->spec,
               result.ops, DRY_OPS_MAX);
        return STATUS_OK;
    }
    if (result.done == result.ops) {
        printf("%s: valid\n", request->spec);
        return STATUS_OK;
    }
    printf("%s", result.text);
    return diag_set(request->diag, STATUS_DEADLOCK,
                    "%s: a deadlock on any network: %u operation%s for each other, %" PRIu64 " of %" PRIu64 " never run",
                    request->spec, result.circle, result.circle == 1 ? " waits" : "s wait", result.ops - result.done, result.ops);
}

static enum status command_validate(struct request *request, int argc, char **argv)
{
    static const struct argp_option options[] = {OPTION_RANKS, OPTION_SET, OPTION_DEPS, {0}};
    static const struct argp argp = {
        options, common_parse, "SPEC",
        "Reads a trace and says whether it can run, and end: on no network where operations of several ranks wait for each other "
        "in a circle.", NULL, NULL, NULL};
    const struct job *job;
    bool is_done;
    enum status status = request_parse(request, &argp, argc, argv, &is_done);
    if (status != STATUS_OK || is_done) {
        return status;
    }
    status = request_read(request, &job);
    return status == STATUS_OK ? job_walk(request, job) : status;
}

static enum status job_write(const struct request *request, const struct job *job)
{
    char wrote[PATH_TEXT_BYTES];
    enum status status = request->writer->write(job, request->prefix, wrote, sizeof wrote, request->diag);
    if (status == STATUS_OK) {
        printf("wrote %s\n", wrote);
    }
    return status;
}

static enum status command_convert(struct request *request, int argc, char **argv)
{
    static const struct argp_option options[] = {OPTION_RANKS, OPTION_SET, OPTION_DEPS, OPTION_OUTPUT, OPTION_TO, {0}};
    static const struct argp argp = {
        options, common_parse, "SPEC -o PREFIX", "Writes a trace in another format.", NULL, NULL, NULL};
    const struct job *job;
    request->wants_output = true;
    bool is_done;
    enum status status = request_parse(request, &argp, argc, argv, &is_done);
    if (status != STATUS_OK || is_done) {
        return status;
    }
    status = request_read(request, &job);
    status = status == STATUS_OK ? job_write(request, job) : status;
    if (status == STATUS_OK) {
        notes_print(job);
    }
    return status;
}

/* ---- generate ---------------------------------------------------------------------------------------- */

/* The options depend on the model, so it is looked for before argp runs. */
static const char *model_name(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--model") == 0 && i + 1 < argc) {
            return argv[i + 1];
        }
        if (strncmp(argv[i], "--model=", 8) == 0) {
            return argv[i] + 8;
        }
    }
    return NULL;
}

static enum status model_find(struct request *request, const char *name)
{
    enum status status = trace_model_load(name, request->arena, &request->model, request->diag);
    if (status == STATUS_OK) {
        request->model_values = param_defaults(&request->model->params, request->arena);
    }
    return status;
}

static void model_assign(struct request *request, const char *option, const char *key, const char *text)
{
    if (request->status == STATUS_OK) {
        request->status = param_assign(&request->model->params, request->model_values, key, text,
                                       (struct origin){.path = option}, request->arena, request->diag);
    }
}

static error_t generate_parse(int key, char *text, struct argp_state *state)
{
    struct request *request = state->input;
    if (key == KEY_MODEL) {
        return 0; /* model_name has seen it */
    }
    size_t row_count = request->model != NULL ? request->model->params.row_count : 0;
    if (key >= KEY_PARAM && (size_t)(key - KEY_PARAM) < row_count) { /* argp's own keys are above */
        const struct param *row = &request->model->params.rows[key - KEY_PARAM];
        model_assign(request, arena_printf(request->arena, "--%s", row->key), row->key, text);
        return 0;
    }
    return common_parse(key, text, state);
}

static char *option_name(const char *key, struct arena *arena)
{
    char *name = arena_strdup(arena, key);
    for (char *at = name; *at != '\0'; at++) {
        *at = *at == '_' ? '-' : *at;
    }
    return name;
}

/* One hidden option a parameter (they are listed below the options), and the alias with underscores. */
static struct argp_option *generate_options(const struct request *request)
{
    static const struct argp_option fixed[] = {
        {"model", KEY_MODEL, "NAME", 0, "model whose training step is made, see below", 0},
        {"set", KEY_SET, "KEY=VALUE", 0, "a parameter of the model", 0},
        OPTION_OUTPUT,
        OPTION_TO,
    };
    size_t fixed_count = sizeof fixed / sizeof fixed[0];
    size_t row_count = request->model != NULL ? request->model->params.row_count : 0;
    struct argp_option *options =
        arena_array(request->arena, fixed_count + 2 * row_count + 1, struct argp_option);
    memcpy(options, fixed, sizeof fixed);
    struct argp_option *at = options + fixed_count;
    for (size_t i = 0; i < row_count; i++) {
        const char *key = request->model->params.rows[i].key;
        const char *name = option_name(key, request->arena);
        *at++ = (struct argp_option){name, KEY_PARAM + (int)i, "VALUE", OPTION_HIDDEN, NULL, 0};
        if (strcmp(name, key) != 0) {
            *at++ = (struct argp_option){key, 0, NULL, OPTION_ALIAS | OPTION_HIDDEN, NULL, 0};
        }
    }
    return options;
}

static enum status command_generate(struct request *request, int argc, char **argv)
{
    request->wants_output = request->is_generate = true;
    const char *name = model_name(argc, argv);
    enum status status = name != NULL ? model_find(request, name) : STATUS_OK;
    if (status != STATUS_OK) {
        return status;
    }
    const struct argp argp = {generate_options(request),
                              generate_parse,
                              "--model NAME -o PREFIX",
                              "Makes the trace of a training step.",
                              NULL,
                              NULL,
                              NULL};
    bool is_done;
    status = request_parse(request, &argp, argc, argv, &is_done);
    if (status != STATUS_OK || is_done) {
        return status;
    }
    for (size_t i = 0; i < request->settings.count && status == STATUS_OK; i++) {
        model_assign(request, "--set", request->settings.items[i].key, request->settings.items[i].text);
        status = request->status;
    }
    const struct job *job;
    if (status == STATUS_OK) {
        status = request->model->generate(request->model, request->model_values, request->arena, &job, request->diag);
    }
    return status == STATUS_OK ? job_write(request, job) : status;
}

/* ---- trace ------------------------------------------------------------------------------------------- */

static const struct subcommand {
    const char *name, *summary;
    enum status (*run)(struct request *request, int argc, char **argv);
} subcommands[] = {
    {"info", "say what is in a trace", command_info},
    {"validate", "say whether a trace can run", command_validate},
    {"convert", "write a trace in another format", command_convert},
    {"generate", "make the trace of a training step", command_generate},
};
#define SUBCOMMAND_COUNT (sizeof subcommands / sizeof subcommands[0])

static enum status trace_help(void)
{
    printf("Usage: photonet trace COMMAND ...\n\n");
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++) {
        printf("  %-10s %s\n", subcommands[i].name, subcommands[i].summary);
    }
    printf("\nphotonet trace COMMAND --help lists the options.\n");
    return STATUS_OK;
}

enum status command_trace(int argc, char **argv, struct diag *diag)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-?") == 0) {
        return trace_help();
    }
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++) {
        if (strcmp(subcommands[i].name, name) != 0) {
            continue;
        }
        struct arena *arena = arena_new("a trace");
        struct request request = {
            .arena = arena, .diag = diag, .settings = {.arena = arena}, .writer = trace_writers[0]};
        argv[1] = arena_printf(arena, "photonet trace %s", name);
        enum status status = subcommands[i].run(&request, argc - 1, argv + 1);
        arena_free(arena);
        return status;
    }
    return diag_set(diag, STATUS_USAGE, "photonet trace: %s%s; expected info, validate, convert or generate",
                    name[0] == '\0' ? "no command given" : "no such command: ", name);
}
