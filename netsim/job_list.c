#include "netsim/job_list.h"

#include "netsim/base/job_mix.h"
#include "netsim/base/job_open.h"
#include "netsim/placement.h"
#include "photonet/doc.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define RANKS_MAX (UINT32_C(1) << 20)

struct parsing {
    const char *text;
    struct arena *arena;
    struct job_spec *spec;
    struct trace_setting *settings;
    size_t capacity;
    const char *seed; /* of placement=random */
    bool is_synthetic, is_behind_random; /* the option before is placement=random */
    struct origin at; /* of a list in a file; path NULL: `text` stands on the command line */
    struct diag *diag;
};

static struct origin origin_of(const struct parsing *parsing)
{
    return parsing->at.path != NULL
               ? parsing->at
               : (struct origin){.path = arena_printf(parsing->arena, "--trace %s", parsing->text)};
}

static bool is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

/* Descriptions that no file stands behind: their commas are their own. */
static bool is_synthetic(const char *text)
{
    for (const struct trace_format *const *format = trace_formats; *format != NULL; format++) {
        size_t length = strlen((*format)->name);
        if ((*format)->probe == NULL && strncmp(text, (*format)->name, length) == 0 && text[length] == ':') {
            return true;
        }
    }
    return false;
}

/* ---- options --------------------------------------------------------------------------------------------
 */

static enum status start_take(struct parsing *parsing, const char *value)
{
    char why[160];
    return quantity_parse_u64(QUANTITY_TIME, value, &parsing->spec->start_ps, why)
               ? STATUS_OK
               : diag_input(parsing->diag, origin_of(parsing), "start %s: %s", value, why);
}

static enum status ranks_take(struct parsing *parsing, const char *value)
{
    char why[160];
    uint64_t ranks;
    if (!quantity_parse_u64(QUANTITY_COUNT, value, &ranks, why) || ranks == 0 || ranks > RANKS_MAX) {
        return diag_input(parsing->diag, origin_of(parsing), "ranks %s: expected a number from 1 to %u",
                          value, RANKS_MAX);
    }
    parsing->spec->ranks = (uint32_t)ranks;
    return STATUS_OK;
}

static enum status placement_take(struct parsing *parsing, const char *value)
{
    parsing->spec->placement = value;
    return placement_check(value, origin_of(parsing), parsing->diag);
}

static enum status name_take(struct parsing *parsing, const char *value)
{
    parsing->spec->name = value;
    return STATUS_OK;
}

static enum status seed_take(struct parsing *parsing, const char *value)
{
    parsing->seed = value;
    return STATUS_OK;
}

static const struct option {
    const char *key;
    enum status (*take)(struct parsing *parsing, const char *value);
    bool is_of_files; /* synthetic descriptions mean something else by it, but for a seed right behind placement=random */
} options[] = {
    {"start", start_take, false}, {"placement", placement_take, false},
    {"name", name_take, false},   {"ranks", ranks_take, true},
    {"seed", seed_take, true},
};

static const struct option *option_find(const struct parsing *parsing, const char *key, size_t length)
{
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        bool is_equal = strlen(options[i].key) == length && strncmp(options[i].key, key, length) == 0;
        bool is_ours = options[i].take == seed_take && parsing->is_behind_random;
        if (is_equal && (is_ours || !(parsing->is_synthetic && options[i].is_of_files))) {
            return &options[i];
        }
    }
    return NULL;
}

/* One "key=value" behind a comma. What is not ours belongs to a synthetic description, or is a mistake. */
static enum status item_take(struct parsing *parsing, const char *item)
{
    struct job_spec *spec = parsing->spec;
    size_t length = strcspn(item, "=");
    const char *value = item[length] == '=' ? item + length + 1 : NULL;
    const struct option *option = value != NULL ? option_find(parsing, item, length) : NULL;
    if (option != NULL) {
        spec->has_options = true;
        return option->take(parsing, value);
    }
    if (value != NULL && strncmp(item, "trace.", 6) == 0) {
        spec->has_options = true;
        const char *key = arena_strndup(parsing->arena, item + 6, length - 6);
        vec_push(parsing->arena, parsing->settings, spec->setting_count, parsing->capacity) =
            (struct trace_setting){key, value, origin_of(parsing)};
        spec->settings = parsing->settings;
        return STATUS_OK;
    }
    if (parsing->is_synthetic) {
        spec->spec = arena_printf(parsing->arena, "%s,%s", spec->spec, item);
        return STATUS_OK;
    }
    return diag_input(
        parsing->diag, origin_of(parsing),
        "\"%s\" is no option of a job; expected start=, placement=, seed=, name=, ranks= or trace.KEY=",
        item);
}

/* random and seed=7 are random:7. */
static enum status seed_apply(struct parsing *parsing)
{
    struct job_spec *spec = parsing->spec;
    if (parsing->seed == NULL) {
        return STATUS_OK;
    }
    if (spec->placement == NULL || strcmp(spec->placement, "random") != 0) {
        return diag_input(parsing->diag, origin_of(parsing), "seed=%s: expected it beside placement=random",
                          parsing->seed);
    }
    return placement_take(parsing, arena_printf(parsing->arena, "random:%s", parsing->seed));
}

enum status job_spec_parse(const char *text, struct arena *arena, struct job_spec *spec, struct diag *diag)
{
    struct parsing parsing = {
        .text = text, .arena = arena, .spec = spec, .is_synthetic = is_synthetic(text), .diag = diag};
    *spec = (struct job_spec){.spec = text};
    if (strchr(text, ',') == NULL || is_file(text)) {
        return STATUS_OK;
    }
    enum status status = STATUS_OK;
    size_t length = strcspn(text, ",");
    spec->spec = arena_strndup(arena, text, length);
    for (const char *at = text + length; *at == ',' && status == STATUS_OK; at += length + 1) {
        length = strcspn(at + 1, ",");
        const char *item = arena_strndup(arena, at + 1, length);
        status = item_take(&parsing, item);
        parsing.is_behind_random = strcmp(item, "placement=random") == 0;
    }
    return status == STATUS_OK ? seed_apply(&parsing) : status;
}

/* ---- lists in files -------------------------------------------------------------------------------------
 */

static const struct doc *jobs_of(const struct doc *root)
{
    const struct doc *jobs = doc_get(root, "jobs");
    return jobs != NULL && jobs->kind == DOC_LIST ? jobs : NULL;
}

/* Text with a line "jobs:", or an object with "jobs" first, among its first few thousand characters. */
static bool has_jobs(const char *path)
{
    char head[4096];
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode)) {
        return false;
    }
    FILE *file = fopen(path, "rb");
    size_t got = file == NULL ? 0 : fread(head, 1, sizeof head - 1, file);
    if (file != NULL) {
        fclose(file);
    }
    head[got] = 0;
    const char *word = head + strspn(head, " \t\r\n{");
    return memchr(head, 0, got) == NULL &&
           (strncmp(head, "jobs:", 5) == 0 || strstr(head, "\njobs:") != NULL || strncmp(word, "\"jobs\"", 6) == 0);
}

static enum status pair_take(struct parsing *parsing, const struct doc *pair)
{
    struct job_spec *spec = parsing->spec;
    parsing->at = pair->at;
    if (pair->kind != DOC_SCALAR) {
        return diag_input(parsing->diag, pair->at, "%s of a job is a list or a map; expected a value", pair->key);
    }
    if (strcmp(pair->key, "trace") == 0) {
        spec->spec = pair->text;
        return STATUS_OK;
    }
    spec->has_options = true;
    if (strncmp(pair->key, "trace.", 6) == 0) {
        vec_push(parsing->arena, parsing->settings, spec->setting_count, parsing->capacity) =
            (struct trace_setting){pair->key + 6, pair->text, pair->at};
        spec->settings = parsing->settings;
        return STATUS_OK;
    }
    const struct option *option = option_find(parsing, pair->key, strlen(pair->key));
    return option != NULL ? option->take(parsing, pair->text)
                          : diag_input(parsing->diag, pair->at,
                                       "unknown key \"%s\" of a job; expected trace, start, placement, seed, name, ranks or "
                                       "trace.KEY",
                                       pair->key);
}

static enum status map_take(const struct doc *map, struct arena *arena, struct job_spec *spec, struct diag *diag)
{
    struct parsing parsing = {.arena = arena, .spec = spec, .at = map->at, .diag = diag};
    *spec = (struct job_spec){0};
    if (map->kind != DOC_MAP) {
        return diag_input(diag, map->at, "a job is no map; expected {trace: SPEC, start: TIME, ...}");
    }
    enum status status = STATUS_OK;
    for (const struct doc *pair = map->child; pair != NULL && status == STATUS_OK; pair = pair->next) {
        status = pair_take(&parsing, pair);
    }
    parsing.at = map->at;
    if (status == STATUS_OK && spec->spec == NULL) {
        return diag_input(diag, map->at, "a job without a trace; expected trace: SPEC");
    }
    return status == STATUS_OK ? seed_apply(&parsing) : status;
}

/* Keys beside `jobs` are the fabric's and the run's, where the file is a scenario. */
static enum status others_check(const struct doc *root, struct diag *diag)
{
    for (const struct doc *child = root->child; child != NULL; child = child->next) {
        if (strcmp(child->key, "jobs") != 0) {
            return diag_input(diag, child->at, "\"%s\" beside jobs; expected jobs alone, or the file behind --fabric without "
                                               "a --trace", child->key);
        }
    }
    return STATUS_OK;
}

struct spec_list {
    struct job_spec *items;
    size_t count, capacity;
};

static enum status file_specs(const char *path, bool is_scenario, struct arena *arena, struct spec_list *list,
                              struct diag *diag)
{
    const struct doc *root;
    enum status status = doc_load(path, arena, &root, diag);
    if (status != STATUS_OK) {
        return status;
    }
    const struct doc *jobs = jobs_of(root);
    if (jobs == NULL || jobs->child == NULL) {
        return diag_input(diag, root->at, "jobs is no list, or an empty one; expected jobs: [{trace: SPEC}, ...]");
    }
    status = is_scenario ? STATUS_OK : others_check(root, diag);
    for (const struct doc *item = jobs->child; item != NULL && status == STATUS_OK; item = item->next) {
        struct job_spec *spec = &vec_push(arena, list->items, list->count, list->capacity);
        status = map_take(item, arena, spec, diag);
    }
    return status;
}

bool job_list_is_file(const char *path)
{
    return has_jobs(path);
}

/* ---- reading --------------------------------------------------------------------------------------------
 */

/* Settings of all traces, then those of this one. */
static enum status spec_read(const struct job_list_request *request, const struct job_spec *spec,
                             struct arena *arena, const struct job **job, struct diag *diag)
{
    size_t count = request->setting_count + spec->setting_count;
    struct trace_setting *settings = arena_array(arena, count, struct trace_setting);
    for (size_t i = 0; i < count; i++) {
        settings[i] =
            i < request->setting_count ? request->settings[i] : spec->settings[i - request->setting_count];
    }
    return job_open(spec->spec, spec->ranks > 0 ? spec->ranks : request->ranks, settings, count, arena, job,
                    diag);
}

/* A name that another job has too gets its number. */
static const char *part_name(const struct job_part *parts, size_t count, const char *name,
                             struct arena *arena)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(parts[i].name, name) == 0) {
            return arena_printf(arena, "%s#%zu", name, count);
        }
    }
    return name;
}

static enum status specs_find(const struct job_list_request *request, struct arena *arena, struct spec_list *list,
                              struct diag *diag)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < request->trace_count && status == STATUS_OK; i++) {
        if (has_jobs(request->traces[i])) {
            status = file_specs(request->traces[i], request->is_scenario, arena, list, diag);
        } else {
            struct job_spec *spec = &vec_push(arena, list->items, list->count, list->capacity);
            status = job_spec_parse(request->traces[i], arena, spec, diag);
        }
    }
    return status;
}

enum status job_list_read(const struct job_list_request *request, struct arena *arena, const struct job **job,
                          struct diag *diag)
{
    struct spec_list list = {0};
    enum status status = specs_find(request, arena, &list, diag);
    if (status != STATUS_OK) {
        return status;
    }
    const struct job **jobs = arena_array(arena, list.count, const struct job *);
    struct job_part *parts = arena_array(arena, list.count, struct job_part);
    bool has_options = list.count > 1;
    if (list.count > 1 && request->ranks > 0) {
        return diag_set(diag, STATUS_USAGE,
                        "--ranks with several traces: expected ranks=N behind the trace it is for");
    }
    for (size_t i = 0; i < list.count; i++) {
        const struct job_spec *spec = &list.items[i];
        status = spec_read(request, spec, arena, &jobs[i], diag);
        if (status != STATUS_OK) {
            return status;
        }
        parts[i] = (struct job_part){
            .name = part_name(parts, i, spec->name != NULL ? spec->name : jobs[i]->name, arena),
            .spec = spec->spec,
            .start_ps = spec->start_ps,
            .placement = spec->placement,
        };
        has_options = has_options || spec->has_options;
    }
    *job = has_options ? job_mix(arena, jobs, parts, (uint32_t)list.count) : jobs[0];
    return STATUS_OK;
}

const char *job_list_text(const struct job *job, struct arena *arena)
{
    const char *text = job->part_count > 0 ? "jobs:\n" : "";
    for (uint32_t i = 0; i < job->part_count; i++) {
        const struct job_part *part = &job->parts[i];
        text = arena_printf(arena,
                            "%s  - {name: \"%s\", trace: \"%s\", ranks: %" PRIu32 ", start: %" PRIu64
                            "ps, placement: \"%s\"}\n",
                            text, part->name, part->spec, part->rank_count, part->start_ps,
                            part->placement == NULL ? "linear" : part->placement);
    }
    return text;
}
