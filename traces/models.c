/* Models: presets compiled in from models/, files of the user, and the format "model", which makes a step where a
 * trace is asked for: model:NAME,key=value,... */
#include "traces/transformer.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- by name
 * ------------------------------------------------------------------------------------------------ */

static enum status model_generate(const struct trace_model *model, const void *values, struct arena *arena,
                                  const struct job **job, struct diag *diag)
{
    return transformer_generate(model->shape, values, arena, job, diag);
}

static const struct trace_preset *preset_find(const char *name)
{
    for (const struct trace_preset *preset = trace_presets; preset->name != NULL; preset++) {
        if (strcmp(preset->name, name) == 0) {
            return preset;
        }
    }
    return NULL;
}

static enum status no_such_model(const char *name, struct diag *diag)
{
    char known[512] = "";
    for (const struct trace_preset *preset = trace_presets; preset->name != NULL; preset++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, " %s", preset->name);
    }
    return diag_input(diag, (struct origin){.path = name},
                      "no such model; expected the path of a YAML file, or one of:%s", known);
}

/* "models/my.yaml" is called "my". */
static const char *name_of(const char *path, struct arena *arena)
{
    const char *slash = strrchr(path, '/'), *base = slash == NULL ? path : slash + 1;
    const char *dot = strrchr(base, '.');
    return dot != NULL && dot > base ? arena_strndup(arena, base, (size_t)(dot - base)) : base;
}

enum status trace_model_load(const char *name, struct arena *arena, const struct trace_model **model,
                             struct diag *diag)
{
    const struct trace_preset *preset = preset_find(name);
    const struct doc *root = NULL;
    enum status status;
    if (preset != NULL) {
        const char *path = arena_printf(arena, "model:%s", name);
        status = doc_parse(preset->text, preset->text_bytes, path, arena, &root, diag);
    } else {
        status = access(name, F_OK) == 0 ? doc_load(name, arena, &root, diag) : no_such_model(name, diag);
    }
    struct transformer_shape *shape = arena_one(arena, struct transformer_shape);
    struct param *rows;
    if (status == STATUS_OK) {
        status = transformer_load(name_of(name, arena), root, arena, shape, &rows, diag);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct trace_model *made = arena_one(arena, struct trace_model);
    *made = (struct trace_model){.name = shape->name,
                                 .summary = shape->title != NULL ? shape->title : shape->name,
                                 .params = {rows, transformer_row_count, sizeof(struct transformer_plan)},
                                 .shape = shape,
                                 .generate = model_generate};
    *model = made;
    return STATUS_OK;
}

/* ---- as a trace
 * --------------------------------------------------------------------------------------------- */

static enum status settings_read(const struct trace_model *model, void *values, char *text, struct origin at,
                                 struct arena *arena, struct diag *diag)
{
    enum status status = STATUS_OK;
    for (char *rest = text, *word; status == STATUS_OK && (word = strsep(&rest, ",")) != NULL;) {
        char *value = strchr(word, '=');
        if (value == NULL) {
            return diag_input(diag, at, "\"%s\" is no setting; expected KEY=VALUE", word);
        }
        *value++ = '\0';
        status = param_assign(&model->params, values, word, value, at, arena, diag);
    }
    return status;
}

static enum status model_read(const struct trace_source *source, struct arena *arena, const struct job **job,
                              struct diag *diag)
{
    char *name = arena_strdup(arena, source->path), *settings = strchr(name, ',');
    struct origin at = {.path = arena_printf(arena, "model:%s", source->path)};
    const struct trace_model *model;
    if (settings != NULL) {
        *settings++ = '\0';
    }
    enum status status = trace_model_load(name, arena, &model, diag);
    if (status != STATUS_OK) {
        return status;
    }
    void *values = param_defaults(&model->params, arena);
    status = settings != NULL ? settings_read(model, values, settings, at, arena, diag) : STATUS_OK;
    if (status == STATUS_OK) {
        status = model->generate(model, values, arena, job, diag);
    }
    if (status == STATUS_OK && source->ranks > 0 && source->ranks != (*job)->rank_count) {
        return diag_input(diag, at, "makes %u ranks, but --ranks is %u; expected dp (or another dimension) to fit",
                          (unsigned)(*job)->rank_count, (unsigned)source->ranks);
    }
    return status;
}

extern const struct trace_format trace_format_model;
const struct trace_format trace_format_model = {
    .name = "model",
    .summary = "a training step made on the spot: model:NAME,tp=8,dp=4,... (see trace generate)",
    .params = PARAM_TABLE_EMPTY,
    .probe = NULL,
    .read = model_read,
};
