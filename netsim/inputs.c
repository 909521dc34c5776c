#include "netsim/inputs.h"

#include "netsim/fabric_load.h"

#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

struct input_list {
    struct arena *arena;
    bool is_counted_only; /* without digests */
    struct results_input *items;
    size_t count, capacity;
};

static bool file_digest(const char *path, uint64_t *bytes, uint64_t *digest)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return false;
    }
    static const size_t block_bytes = 1 << 16;
    struct arena *scratch = arena_new("digest of an input");
    uint8_t *block = arena_alloc(scratch, block_bytes);
    XXH3_state_t *state = XXH3_createState();
    XXH3_64bits_reset(state);
    *bytes = 0;
    for (size_t got; (got = fread(block, 1, block_bytes, file)) > 0; *bytes += got) {
        XXH3_64bits_update(state, block, got);
    }
    *digest = XXH3_64bits_digest(state);
    bool is_good = ferror(file) == 0;
    XXH3_freeState(state);
    arena_free(scratch);
    fclose(file);
    return is_good;
}

static void file_add(struct input_list *list, const char *path)
{
    struct stat stat_;
    uint64_t bytes, digest = 0;
    if (stat(path, &stat_) != 0 || !S_ISREG(stat_.st_mode)) {
        return;
    }
    bytes = (uint64_t)stat_.st_size;
    if (!list->is_counted_only && !file_digest(path, &bytes, &digest)) {
        return;
    }
    vec_push(list->arena, list->items, list->count, list->capacity) =
        (struct results_input){arena_strdup(list->arena, path), bytes, digest};
}

/* Characters of the path that mean something to glob lose their meaning. */
static const char *glob_quoted(struct arena *arena, const char *path)
{
    char *quoted = arena_alloc(arena, 2 * strlen(path) + 1), *to = quoted;
    for (const char *from = path; *from != '\0'; from++) {
        if (strchr("*?[]\\", *from) != NULL) {
            *to++ = '\\';
        }
        *to++ = *from;
    }
    return quoted;
}

static void pattern_add(struct input_list *list, const char *path, const char *tail)
{
    glob_t found;
    const char *pattern = arena_printf(list->arena, "%s%s", glob_quoted(list->arena, path), tail);
    if (glob(pattern, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            file_add(list, found.gl_pathv[i]);
        }
    }
    globfree(&found);
}

static void trace_add(struct input_list *list, const char *trace_spec)
{
    struct stat stat_;
    const char *colon = strchr(trace_spec, ':');
    const char *path = colon != NULL && stat(trace_spec, &stat_) != 0 ? colon + 1 : trace_spec;
    bool is_job = path == trace_spec || strncmp(trace_spec, "job:", 4) == 0;
    const char *job_path = arena_printf(list->arena, "%s.job", path);
    if (is_job && access(path, F_OK) != 0 && access(job_path, F_OK) == 0) {
        file_add(list, job_path); /* what a name alone means, whatever else begins so */
    } else if (stat(path, &stat_) == 0 && S_ISDIR(stat_.st_mode)) {
        pattern_add(list, path, "/*");
    } else {
        file_add(list, path);
        pattern_add(list, path, ".[0-9]*");
        pattern_add(list, path, ".json");
        pattern_add(list, path, ".job");
    }
}

void inputs_find(const char *const *trace_specs, uint32_t trace_count, const char *fabric_spec, struct arena *arena,
                 const struct results_input **inputs, uint32_t *count)
{
    struct input_list list = {.arena = arena};
    for (uint32_t i = 0; i < trace_count; i++) {
        trace_add(&list, trace_specs[i]);
    }
    file_add(&list, fabric_spec_head(fabric_spec, arena));
    *inputs = list.items;
    *count = (uint32_t)list.count;
}

void inputs_count(const char *trace_spec, struct arena *arena, uint32_t *files, uint64_t *bytes)
{
    struct input_list list = {.arena = arena, .is_counted_only = true};
    trace_add(&list, trace_spec);
    *files = (uint32_t)list.count;
    *bytes = 0;
    for (size_t i = 0; i < list.count; i++) {
        *bytes += list.items[i].bytes;
    }
}
