/* The contract of a trace format: one file in traces/, one line in traces/formats.def. */
#ifndef PHOTONET_TRACE_H
#define PHOTONET_TRACE_H

#include "photonet/param.h"
#include "photonet/program.h"

/* What the user asked for. */
struct trace_source {
    const char *path;          /* a file, a directory, a prefix PATH of PATH.0.et..., or a synthetic description */
    const void *values;        /* the format's own parameters, struct of its param_table */
    uint32_t ranks;            /* --ranks, 0 = as the trace says */
};

struct trace_format {
    const char *name;          /* "chakra_et"; SPEC may be "chakra_et:PATH" */
    const char *summary;       /* one line */
    struct param_table params; /* keys are given as trace.KEY */
    bool is_set;               /* a folder, or a prefix of rank files, is one trace */
    /* True where `path` looks like this format; head holds the first bytes, unpacked where gzipped, of the file that
     * stands for the path (the file itself, or the first rank's). Never called for synthetic formats (NULL). */
    bool (*probe)(const char *path, const uint8_t *head, size_t head_bytes);
    /* Reads everything into the arena. Refuses with one line; nothing is skipped without a note. */
    enum status (*read)(const struct trace_source *source, struct arena *arena, const struct job **job,
                        struct diag *diag);
};

/* Writes a job as files of a format. */
struct trace_writer {
    const char *name;
    const char *summary;
    /* PREFIX.R.et and so on; existing files are replaced only when complete. Names what it wrote in `wrote`,
     * and below, a line each, what the format could not carry. */
    enum status (*write)(const struct job *job, const char *prefix, char *wrote, size_t wrote_bytes,
                         struct diag *diag);
};

/* Makes a job from a description of the model and its parallelism. */
struct trace_model {
    const char *name;          /* "llama3-8b" */
    const char *summary;
    struct param_table params; /* tp, pp, dp, layers, sequence, micro_batches, gpu, ... with the model's defaults */
    const void *shape;         /* the generator's own */
    enum status (*generate)(const struct trace_model *model, const void *values, struct arena *arena,
                            const struct job **job, struct diag *diag);
};

/* Models compiled in from traces/models/; ends with name == NULL. */
struct trace_preset {
    const char *name, *text;
    size_t text_bytes;
};
extern const struct trace_preset trace_presets[];

/* A preset by its name, or a YAML file by its path. */
enum status trace_model_load(const char *name, struct arena *arena, const struct trace_model **model,
                             struct diag *diag);

/* The tables, joined by the linker; each ends with a NULL. */
extern const struct trace_format *const trace_formats[];
extern const struct trace_writer *const trace_writers[];

/* Splits SPEC into format and path, finds the format by content where none is named, reads. `settings` gives the
 * format's parameters (keys that the format does not know are refused). */
struct trace_setting {
    const char *key, *text; /* the key without "trace." */
    struct origin at;
};
enum status trace_read(const char *spec, uint32_t ranks, const struct trace_setting *settings, size_t setting_count,
                       struct arena *arena, const struct job **job, struct diag *diag);

#endif
