/* The tables of formats and writers, and trace_read, which finds the format that a SPEC means. */
#include "photonet/input.h"
#include "photonet/trace.h"

#include <dirent.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#define TRACE_FORMAT(name_) extern const struct trace_format trace_format_##name_;
#include "traces/formats.def"
#undef TRACE_FORMAT
#define TRACE_WRITER(name_) extern const struct trace_writer trace_writer_##name_;
#include "traces/writers.def"
#undef TRACE_WRITER

const struct trace_format *const trace_formats[] = {
#define TRACE_FORMAT(name_) &trace_format_##name_,
#include "traces/formats.def"
#undef TRACE_FORMAT
    NULL,
};

const struct trace_writer *const trace_writers[] = {
#define TRACE_WRITER(name_) &trace_writer_##name_,
#include "traces/writers.def"
#undef TRACE_WRITER
    NULL,
};

/* Enough for a metadata record and some nodes of every binary format, and a screenful of every text one. */
#define HEAD_BYTES 4096
#define PATH_BYTES 4096

struct names {
    char text[512];
};

static const char *format_names(struct names *names)
{
    size_t used = 0;
    names->text[0] = '\0';
    for (const struct trace_format *const *format = trace_formats; *format != NULL; format++) {
        int wrote = snprintf(names->text + used, sizeof names->text - used, "%s%s", used > 0 ? " " : "",
                             (*format)->name);
        used += (size_t)wrote;
        if (used >= sizeof names->text) {
            break;
        }
    }
    return names->text;
}

static const struct trace_format *format_find(const char *name, size_t length)
{
    for (const struct trace_format *const *format = trace_formats; *format != NULL; format++) {
        if (strlen((*format)->name) == length && memcmp((*format)->name, name, length) == 0) {
            return *format;
        }
    }
    return NULL;
}

static bool is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

static bool is_directory(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static bool exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

/* Whether `a` stands for a set of rank files better than `b`: rank 0's file first, then the first by name. */
static bool is_better(const char *a, const char *b)
{
    bool a_is_first = strstr(a, ".0.") != NULL, b_is_first = strstr(b, ".0.") != NULL;
    if (b[0] == '\0' || a_is_first != b_is_first) {
        return b[0] == '\0' || a_is_first;
    }
    return strcmp(a, b) < 0;
}

/* The file of `directory` that stands for a set: its name begins with `prefix`. False where there is none. */
static bool first_file(const char *directory, const char *prefix, char path[PATH_BYTES])
{
    DIR *stream = opendir(directory);
    if (stream == NULL) {
        return false;
    }
    char best[256] = "";
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        const char *name = entry->d_name;
        if (name[0] != '.' && strncmp(name, prefix, strlen(prefix)) == 0 && is_better(name, best)) {
            snprintf(path, PATH_BYTES, "%s/%s", directory, name);
            if (is_file(path)) {
                snprintf(best, sizeof best, "%s", name);
            }
        }
    }
    closedir(stream);
    return best[0] != '\0' && snprintf(path, PATH_BYTES, "%s/%s", directory, best) < PATH_BYTES;
}

/* The file whose head decides what `path` is: itself, the first of a directory, the first of a prefix. */
static bool head_file(const char *path, char file[PATH_BYTES])
{
    if (strlen(path) + 2 >= PATH_BYTES) {
        return false;
    }
    if (is_file(path)) {
        snprintf(file, PATH_BYTES, "%s", path);
        return true;
    }
    if (is_directory(path)) {
        return first_file(path, "", file);
    }
    char folder[PATH_BYTES], name[PATH_BYTES], prefix[PATH_BYTES];
    snprintf(folder, sizeof folder, "%s", path);
    snprintf(name, sizeof name, "%s", path);
    snprintf(prefix, sizeof prefix, "%.*s.", PATH_BYTES - 2, basename(name));
    return first_file(dirname(folder), prefix, file);
}

static enum status format_probe(const char *path, const struct trace_format **found, struct diag *diag)
{
    char file[PATH_BYTES];
    struct origin at = {.path = path};
    if (input_check(path, diag) != STATUS_OK) {
        return STATUS_INPUT;
    }
    if (!head_file(path, file)) {
        return is_directory(path)
                   ? diag_input(diag, at, "is a folder without files; expected one that holds PREFIX.0.et, PREFIX.1.et, ...")
                   : diag_input(diag, at,
                                "no such trace; expected a file, a folder, or the prefix of rank files "
                                "PREFIX.0.et, PREFIX.1.et, ...");
    }
    gzFile stream = gzopen(file, "rb"); /* reads plain files too */
    if (stream == NULL) {
        return diag_set(diag, STATUS_INPUT, "%s: cannot open", file);
    }
    uint8_t head[HEAD_BYTES];
    int got = gzread(stream, head, sizeof head);
    gzclose(stream);
    for (const struct trace_format *const *format = trace_formats; *format != NULL; format++) {
        if ((*format)->probe != NULL && got >= 0 && (*format)->probe(path, head, (size_t)got)) {
            *found = *format;
            return STATUS_OK;
        }
    }
    struct names names;
    at.path = file;
    return diag_input(diag, at, "is no trace of a known format; expected one of: %s", format_names(&names));
}

static enum status folder_refuse(const char *path, const struct trace_format *format, struct diag *diag)
{
    char file[PATH_BYTES];
    bool has_file = head_file(path, file);
    return diag_input(diag, (struct origin){.path = path}, "is a folder; %s is read from one file%s%s", format->name,
                      has_file ? ", as " : "", has_file ? file : "");
}

/* SPEC is FORMAT:PATH, or a path that may itself hold a colon. */
static enum status spec_split(const char *spec, const struct trace_format **format, const char **path,
                              struct diag *diag)
{
    size_t word = strspn(spec, "abcdefghijklmnopqrstuvwxyz0123456789_");
    *path = spec;
    *format = NULL;
    if (word == 0 || spec[word] != ':') {
        return STATUS_OK;
    }
    *format = format_find(spec, word);
    if (*format != NULL) {
        *path = spec + word + 1;
        return STATUS_OK;
    }
    if (exists(spec)) {
        return STATUS_OK;
    }
    struct names names;
    return diag_input(diag, (struct origin){.path = spec},
                      "unknown trace format \"%.*s\"; expected one of: %s", (int)word, spec,
                      format_names(&names));
}

/* NAME is NAME.job where that is the file: what was written with -o NAME is read as NAME. It goes before rank files of
 * that prefix. */
static const char *job_path(const char *path, struct arena *arena)
{
    const char *named = arena_printf(arena, "%s.job", path);
    return !exists(path) && is_file(named) ? named : path;
}

enum status trace_read(const char *spec, uint32_t ranks, const struct trace_setting *settings,
                       size_t setting_count, struct arena *arena, const struct job **job, struct diag *diag)
{
    const struct trace_format *format;
    struct trace_source source = {.ranks = ranks};
    enum status status = spec_split(spec, &format, &source.path, diag);
    if (status == STATUS_OK && (format == NULL || format == &trace_format_job)) {
        source.path = job_path(source.path, arena);
    }
    if (status == STATUS_OK && format == NULL) {
        status = format_probe(source.path, &format, diag);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (format->probe != NULL && !format->is_set && is_directory(source.path)) {
        return folder_refuse(source.path, format, diag);
    }
    void *values = param_defaults(&format->params, arena);
    for (size_t i = 0; i < setting_count && status == STATUS_OK; i++) {
        status = param_assign_in("trace.", &format->params, values, settings[i].key, settings[i].text, settings[i].at, arena, diag);
    }
    source.values = values;
    return status == STATUS_OK ? format->read(&source, arena, job, diag) : status;
}
