/* `photonet compare`: loads the summaries of all runs in the files, names them and finds the baseline. */
#include "analysis/compare.h"

#include "analysis/arguments.h"
#include "photonet/command.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum { NAMES_TOLD_BYTES = 600 };

/* ---- loading
 * ----------------------------------------------------------------------------------------------------- */

static bool name_is_unique(const struct comparison *comparison, size_t run)
{
    for (size_t i = 0; i < comparison->run_count; i++) {
        if (i != run && strcmp(comparison->runs[i]->name, comparison->runs[run]->name) == 0) {
            return false;
        }
    }
    return true;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* True where two files have one name in different directories. */
static bool are_paths_needed(const struct comparison *comparison)
{
    for (size_t i = 1; i < comparison->run_count; i++) {
        for (size_t j = 0; j < i; j++) {
            const char *a = comparison->runs[i]->path, *b = comparison->runs[j]->path;
            if (strcmp(a, b) != 0 && strcmp(base_name(a), base_name(b)) == 0) {
                return true;
            }
        }
    }
    return false;
}

static void runs_name(struct comparison *comparison)
{
    bool is_path = are_paths_needed(comparison);
    comparison->names = arena_array(comparison->arena, comparison->run_count, const char *);
    for (size_t i = 0; i < comparison->run_count; i++) {
        const struct reader_run *run = comparison->runs[i];
        comparison->names[i] = name_is_unique(comparison, i)
                                   ? run->name
                                   : arena_printf(comparison->arena, "%s:%s",
                                                  is_path ? run->path : base_name(run->path), run->name);
    }
}

/* "a, b, c", cut where it gets long. */
static void names_tell(const struct comparison *comparison, char text[NAMES_TOLD_BYTES])
{
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 0; i < comparison->run_count; i++) {
        size_t left = NAMES_TOLD_BYTES - length;
        size_t wanted =
            (size_t)snprintf(text + length, left, "%s%s", i > 0 ? ", " : "", comparison->names[i]);
        if (wanted + 8 >= left) {
            snprintf(text + length, left, ", ...");
            return;
        }
        length += wanted;
    }
}

static enum status baseline_find(struct comparison *comparison, const char *wanted, struct diag *diag)
{
    char names[NAMES_TOLD_BYTES];
    size_t found = 0;
    if (wanted == NULL) {
        return STATUS_OK;
    }
    for (size_t i = 0; i < comparison->run_count; i++) {
        if (strcmp(comparison->names[i], wanted) == 0) {
            comparison->baseline = i;
            found++;
        }
    }
    if (found == 1) {
        return STATUS_OK;
    }
    names_tell(comparison, names);
    return diag_input(diag, (struct origin){"--baseline", 0, 0}, "no run is named %s; expected one of %s",
                      wanted, names);
}

enum status comparison_load(const char *const *paths, size_t path_count, const char *baseline,
                            struct arena *arena, struct comparison **out, struct diag *diag)
{
    struct comparison *comparison = arena_one(arena, struct comparison);
    size_t capacity = 0;
    comparison->arena = arena;
    comparison->metrics = metric_list(arena, &comparison->metric_count);
    for (size_t i = 0; i < path_count; i++) {
        struct reader *reader;
        size_t count;
        enum status status = reader_open(paths[i], arena, &reader, diag);
        if (status != STATUS_OK) {
            return status;
        }
        const struct reader_run *runs = reader_runs(reader, &count);
        for (size_t run = 0; run < count; run++) {
            vec_push(arena, comparison->runs, comparison->run_count, capacity) = &runs[run];
        }
        reader_close(reader); /* all that is compared has been loaded */
    }
    runs_name(comparison);
    *out = comparison;
    return baseline_find(comparison, baseline, diag);
}

double comparison_value(const struct comparison *comparison, const struct metric *metric, size_t run)
{
    const struct reader_run *from = comparison->runs[run];
    return from->has_summary ? metric_value(metric, &from->summary) : (double)NAN;
}

bool comparison_is_incomplete(const struct comparison *comparison, const struct metric *metric, size_t run)
{
    const struct reader_run *from = comparison->runs[run];
    return from->has_summary && metric_is_incomplete(metric, &from->summary);
}

/* ---- the command
 * ------------------------------------------------------------------------------------------------- */

static const struct output_format {
    const char *name;
    void (*print)(const struct comparison *comparison, FILE *out);
} formats[] = {
    {"table", compare_table},
    {"csv", compare_csv},
    {"json", compare_json},
    {"md", compare_markdown},
};

struct options {
    const char **paths;
    size_t path_count;
    const char *baseline;
    const struct output_format *format;
    struct diag *diag;
};

static const struct argp_option option_rows[] = {
    {"baseline", 'b', "RUN", 0, "the run that ratios are taken to (default: the first)", 0},
    {"format", 'f', "FORMAT", 0,
     "table (default), csv, json or md; all but table use the columns of the result file", 0},
    {0},
};

static const struct output_format *format_find(const char *name)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (strcmp(formats[i].name, name) == 0) {
            return &formats[i];
        }
    }
    return NULL;
}

static error_t option_parse(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case 'b':
        options->baseline = text;
        return 0;
    case 'f':
        options->format = format_find(text);
        if (options->format == NULL) {
            diag_set(options->diag, STATUS_USAGE,
                     "--format: %s is not known; expected table, csv, json or md", text);
            return EINVAL;
        }
        return 0;
    case ARGP_KEY_ARG:
        options->paths[options->path_count++] = text;
        return 0;
    case ARGP_KEY_END:
        if (options->path_count == 0) {
            diag_set(options->diag, STATUS_USAGE, "no result file is given; expected FILE.h5...");
            return EINVAL;
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

enum status command_compare(int argc, char **argv, struct diag *diag)
{
    static const struct argp argp = {
        .options = option_rows,
        .parser = option_parse,
        .args_doc = "FILE.h5...",
        .doc = "Sets all runs of the files side by side: time, messages, energy and traffic, with ratios to "
               "a baseline.",
    };
    struct arena *arena = arena_new("compare");
    struct options options = {
        .paths = arena_array(arena, (size_t)argc + 1, const char *), .format = &formats[0], .diag = diag};
    struct comparison *comparison;
    bool is_done;
    enum status status = arguments_parse(&argp, argc, argv, &options, &is_done, diag);
    if (status == STATUS_OK && !is_done) {
        status =
            comparison_load(options.paths, options.path_count, options.baseline, arena, &comparison, diag);
        if (status == STATUS_OK) {
            options.format->print(comparison, stdout);
        }
    }
    arena_free(arena);
    return status;
}
