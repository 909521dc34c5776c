/* Which files a path means: see chakra_set.h. */
#include "traces/chakra_set.h"

#include "traces/chakra_rank.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* More ranks than this in one set is a stray number in a file name. */
#define RANKS_MAX UINT32_C(16777216)

struct rank_file {
    const char *prefix; /* without the directory */
    const char *suffix; /* ".et", ".json", and with ".gz" */
    uint32_t rank;
};

struct listing {
    struct rank_file *files;
    size_t count, capacity;
};

/* Splits "w.12.et" into "w" and 12. */
static bool name_split(const char *name, struct arena *arena, struct rank_file *file)
{
    static const char *const suffixes[] = {".et", ".et.gz", ".json", ".json.gz"};
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        size_t suffix = strlen(suffixes[i]);
        if (length <= suffix || strcmp(name + length - suffix, suffixes[i]) != 0) {
            continue;
        }
        size_t end = length - suffix, begin = end;
        while (begin > 0 && name[begin - 1] >= '0' && name[begin - 1] <= '9') {
            begin--;
        }
        bool is_padded = name[begin] == '0' && end - begin > 1;
        if (begin == end || begin < 2 || name[begin - 1] != '.' || is_padded || end - begin > 8) {
            continue;
        }
        file->prefix = arena_strndup(arena, name, begin - 1);
        file->suffix = suffixes[i];
        file->rank = (uint32_t)strtoul(name + begin, NULL, 10);
        return file->rank < RANKS_MAX;
    }
    return false;
}

static int file_compare(const void *left, const void *right)
{
    const struct rank_file *a = left, *b = right;
    int order = strcmp(a->prefix, b->prefix);
    if (order == 0) {
        order = (a->rank > b->rank) - (a->rank < b->rank);
    }
    return order != 0 ? order : strcmp(a->suffix, b->suffix);
}

/* The rank files of a directory, of one prefix or (NULL) of all, in order. */
static enum status directory_list(const char *directory, const char *prefix, struct arena *arena,
                                  struct listing *listing, struct diag *diag)
{
    DIR *stream = opendir(directory);
    if (stream == NULL) {
        return diag_set(diag, STATUS_INPUT, "%s: cannot list the folder: %s", directory, strerror(errno));
    }
    for (const struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        struct rank_file file;
        bool is_wanted = entry->d_name[0] != '.' && name_split(entry->d_name, arena, &file);
        if (is_wanted && (prefix == NULL || strcmp(prefix, file.prefix) == 0)) {
            vec_push(arena, listing->files, listing->count, listing->capacity) = file;
        }
    }
    closedir(stream);
    if (listing->count > 0) {
        qsort(listing->files, listing->count, sizeof listing->files[0], file_compare);
    }
    return STATUS_OK;
}

/* "DIR/" for "DIR/NAME", "" for "NAME". */
static const char *folder_of(const char *path, struct arena *arena)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? "" : arena_strndup(arena, path, (size_t)(slash - path) + 1);
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static enum status several_sets(const char *path, const struct listing *listing, struct diag *diag)
{
    char names[400];
    size_t used = 0;
    const char *last = "";
    for (size_t i = 0; i < listing->count && used < sizeof names; i++) {
        if (strcmp(last, listing->files[i].prefix) != 0) {
            last = listing->files[i].prefix;
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used > 0 ? ", " : "", last);
        }
    }
    return diag_input(diag, (struct origin){.path = path},
                      "holds several trace sets; expected one of these prefixes behind the folder's name: %s",
                      names);
}

/* Ranks 0, 1, 2, ... once each; of a file and its compressed twin the first is taken. */
static enum status ranks_check(struct listing *listing, const char *folder, struct diag *diag)
{
    size_t kept = 0;
    for (size_t i = 0; i < listing->count; i++) {
        if (kept == 0 || listing->files[kept - 1].rank != listing->files[i].rank) {
            listing->files[kept++] = listing->files[i];
        }
    }
    listing->count = kept;
    for (size_t i = 0; i < kept; i++) {
        const struct rank_file *file = &listing->files[i];
        if (file->rank != i) {
            char path[512];
            snprintf(path, sizeof path, "%s%s.%zu.et", folder, file->prefix, i);
            return diag_input(diag, (struct origin){.path = path},
                              "rank file is missing; expected a file for every rank from 0 to %u",
                              listing->files[kept - 1].rank);
        }
    }
    return STATUS_OK;
}

static const char *rank_path(const char *folder, const struct rank_file *file, struct arena *arena)
{
    return arena_printf(arena, "%s%s.%u%s", folder, file->prefix, file->rank, file->suffix);
}

static enum status ranks_wanted(const char *path, uint32_t ranks, const char *prefix, struct diag *diag)
{
    if (ranks != 0) {
        return STATUS_OK;
    }
    return diag_input(
        diag, (struct origin){.path = path},
        "is the trace of one rank; expected --ranks N to let N ranks run it, or the prefix \"%s\" of "
        "a set with a file for every rank",
        prefix);
}

static enum status set_take(struct listing *listing, const char *folder, uint32_t ranks, struct arena *arena,
                            struct chakra_set *set, struct diag *diag)
{
    enum status status = ranks_check(listing, folder, diag);
    if (status != STATUS_OK) {
        return status;
    }
    set->prefix = arena_printf(arena, "%s%s", folder, listing->files[0].prefix);
    set->name = listing->files[0].prefix;
    set->rank_count = (uint32_t)listing->count;
    set->path = arena_array(arena, listing->count, const char *);
    for (size_t i = 0; i < listing->count; i++) {
        set->path[i] = rank_path(folder, &listing->files[i], arena);
    }
    if (set->rank_count == 1) {
        set->is_lone = true;
        set->rank_count = ranks != 0 ? ranks : 1; /* who names a set means its ranks, be it one */
        return STATUS_OK;
    }
    if (ranks != 0 && ranks != set->rank_count) {
        return diag_input(
            diag, (struct origin){.path = set->prefix},
            "has files of %u ranks, but --ranks is %u; expected as many files as ranks, or one file",
            set->rank_count, ranks);
    }
    return STATUS_OK;
}

static enum status file_take(const char *path, uint32_t ranks, struct arena *arena, struct chakra_set *set,
                             struct diag *diag)
{
    enum status status = chakra_file_check(path, diag);
    if (status != STATUS_OK) {
        return status;
    }
    const char *folder = folder_of(path, arena);
    struct rank_file file;
    if (!name_split(last_part(path), arena, &file)) {
        const char *dot = strrchr(last_part(path), '.');
        size_t length = dot != NULL ? (size_t)(dot - last_part(path)) : strlen(last_part(path));
        file = (struct rank_file){.prefix = arena_strndup(arena, last_part(path), length)};
    }
    set->prefix = arena_printf(arena, "%s%s", folder, file.prefix);
    set->name = file.prefix;
    set->path = arena_array(arena, 1, const char *);
    set->path[0] = arena_strdup(arena, path);
    set->is_lone = true;
    set->rank_count = ranks;
    set->lone_rank = file.rank < ranks ? file.rank : 0;
    return ranks_wanted(path, ranks, set->prefix, diag);
}

enum status chakra_set_find(const char *path, uint32_t ranks, struct arena *arena, struct chakra_set *set,
                            struct diag *diag)
{
    *set = (struct chakra_set){0};
    struct stat info;
    bool is_there = stat(path, &info) == 0;
    if (is_there && !S_ISDIR(info.st_mode)) {
        return file_take(path, ranks, arena, set, diag);
    }
    size_t length = strlen(path);
    bool has_slash = length > 0 && path[length - 1] == '/';
    const char *folder =
        is_there ? (has_slash ? path : arena_printf(arena, "%s/", path)) : folder_of(path, arena);
    struct listing listing = {0};
    enum status status = directory_list(folder[0] != '\0' ? folder : ".", is_there ? NULL : last_part(path),
                                        arena, &listing, diag);
    if (status != STATUS_OK) {
        return status;
    }
    struct origin at = {.path = path};
    if (listing.count == 0) {
        return is_there ? diag_input(diag, at, "holds no rank files; expected PREFIX.0.et, PREFIX.1.et, ...")
                        : diag_input(diag, at,
                                     "no such trace; expected a file, a folder or the prefix of rank files "
                                     "PREFIX.0.et, PREFIX.1.et, ...");
    }
    if (strcmp(listing.files[0].prefix, listing.files[listing.count - 1].prefix) != 0) {
        return several_sets(path, &listing, diag);
    }
    return set_take(&listing, folder, ranks, arena, set, diag);
}
