/* The communicators of a Chakra set: see comm_group.h. */
#include "traces/comm_group.h"

#include "photonet/doc.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct named_group {
    const char *name;
    uint32_t group_id;
};

struct members {
    const uint32_t *ranks;
    uint32_t count;
};

struct comm_groups {
    struct arena *arena;
    struct job_builder *builder;
    uint32_t rank_count;
    const char *prefix, *path;
    bool is_loaded;
    bool has_world;
    uint32_t world_id;
    struct named_group *named; /* of the group file, by name */
    size_t named_count, named_capacity;
    struct members *members; /* by group id: nobody else adds groups to the builder, which counts from 0 */
    size_t members_count, members_capacity;
};

struct comm_groups *comm_groups_new(struct arena *arena, struct job_builder *builder, uint32_t rank_count,
                                    const char *prefix, const char *path)
{
    struct comm_groups *groups = arena_one(arena, struct comm_groups);
    *groups = (struct comm_groups){
        .arena = arena, .builder = builder, .rank_count = rank_count, .prefix = prefix, .path = path};
    return groups;
}

static enum status group_add(struct comm_groups *groups, const char *name, const uint32_t *ranks,
                             uint32_t count, struct origin at, uint32_t *group_id, struct diag *diag)
{
    enum status status = job_builder_group(groups->builder, name, ranks, count, at, group_id, diag);
    if (status == STATUS_OK && *group_id == groups->members_count) {
        uint32_t *copy = arena_array(groups->arena, count, uint32_t);
        memcpy(copy, ranks, count * sizeof copy[0]);
        vec_push(groups->arena, groups->members, groups->members_count, groups->members_capacity) =
            (struct members){copy, count};
    }
    return status;
}

enum status comm_groups_world(struct comm_groups *groups, uint32_t *group_id, struct diag *diag)
{
    enum status status = STATUS_OK;
    if (!groups->has_world) {
        uint32_t *ranks = arena_array(groups->arena, groups->rank_count, uint32_t);
        for (uint32_t i = 0; i < groups->rank_count; i++) {
            ranks[i] = i;
        }
        struct origin at = {.path = groups->prefix};
        status = group_add(groups, "world", ranks, groups->rank_count, at, &groups->world_id, diag);
        groups->has_world = status == STATUS_OK;
    }
    *group_id = groups->world_id;
    return status;
}

uint32_t comm_groups_size(const struct comm_groups *groups, uint32_t group_id)
{
    return groups->members[group_id].count;
}

/* ---- the group file ---------------------------------------------------------------------------------- */

static bool is_world_name(const char *name)
{
    return name[0] == '\0' || strcmp(name, "0") == 0;
}

static enum status rank_parse(const struct doc *item, uint32_t *rank, struct diag *diag)
{
    char *end = NULL;
    unsigned long value = item->kind == DOC_SCALAR && item->text[0] >= '0' && item->text[0] <= '9'
                              ? strtoul(item->text, &end, 10)
                              : 0;
    if (end == NULL || *end != '\0' || value >= UINT32_MAX) {
        return diag_input(diag, item->at, "\"%s\" is no rank; expected a whole number from 0",
                          item->kind == DOC_SCALAR ? item->text : "...");
    }
    *rank = (uint32_t)value;
    return STATUS_OK;
}

static enum status entry_load(struct comm_groups *groups, const struct doc *entry, struct diag *diag)
{
    if (entry->kind != DOC_LIST || entry->child_count == 0) {
        return diag_input(diag, entry->at, "group \"%s\" is no list of ranks; expected [0, 1, ...]",
                          entry->key);
    }
    if (is_world_name(entry->key) && entry->child_count != groups->rank_count) {
        return diag_input(diag, entry->at,
                          "group \"%s\" has %u members; this name means all ranks, expected %u", entry->key,
                          entry->child_count, groups->rank_count);
    }
    uint32_t *ranks = arena_array(groups->arena, entry->child_count, uint32_t);
    uint32_t count = 0;
    for (const struct doc *item = entry->child; item != NULL; item = item->next) {
        enum status status = rank_parse(item, &ranks[count++], diag);
        if (status != STATUS_OK) {
            return status;
        }
    }
    uint32_t group_id;
    enum status status = group_add(groups, entry->key, ranks, count, entry->at, &group_id, diag);
    if (status == STATUS_OK) {
        vec_push(groups->arena, groups->named, groups->named_count, groups->named_capacity) =
            (struct named_group){entry->key, group_id};
    }
    return status;
}

static int named_compare(const void *left, const void *right)
{
    const struct named_group *a = left, *b = right;
    return strcmp(a->name, b->name);
}

static const char *group_path(const struct comm_groups *groups)
{
    if (groups->path != NULL) {
        return groups->path;
    }
    const char *path = arena_printf(groups->arena, "%s.json", groups->prefix);
    if (access(path, F_OK) == 0) {
        return path;
    }
    const char *slash = strrchr(groups->prefix, '/');
    int folder_length = slash != NULL ? (int)(slash - groups->prefix + 1) : 0;
    path = arena_printf(groups->arena, "%.*scomm_group.json", folder_length, groups->prefix);
    return access(path, F_OK) == 0 ? path : NULL;
}

static enum status groups_load(struct comm_groups *groups, struct diag *diag)
{
    groups->is_loaded = true;
    const char *path = group_path(groups);
    if (path == NULL) {
        return STATUS_OK;
    }
    const struct doc *root;
    enum status status = doc_load(path, groups->arena, &root, diag);
    if (status == STATUS_OK && root->kind != DOC_MAP) {
        status = diag_input(diag, root->at, "is no map of groups; expected {\"1\": [0, 1], ...}");
    }
    if (status != STATUS_OK) {
        return status;
    }
    for (const struct doc *entry = root->child; entry != NULL && status == STATUS_OK; entry = entry->next) {
        status = entry_load(groups, entry, diag);
    }
    if (groups->named_count > 0) {
        qsort(groups->named, groups->named_count, sizeof groups->named[0], named_compare);
    }
    return status;
}

/* ---- finding ----------------------------------------------------------------------------------------- */

static enum status own_find(struct comm_groups *groups, const struct chakra_rank *rank, const char *name,
                            uint32_t *group_id, struct diag *diag)
{
    for (size_t i = 0; i < rank->group_count; i++) {
        const struct chakra_group_row *row = &rank->groups[i];
        if (strcmp(row->name, name) != 0) {
            continue;
        }
        if (row->rank_count == 0) {
            return comm_groups_world(groups, group_id, diag);
        }
        struct origin at = {.path = rank->path};
        return group_add(groups, name, row->ranks, row->rank_count, at, group_id, diag);
    }
    return STATUS_OK;
}

enum status comm_groups_find(struct comm_groups *groups, const struct chakra_rank *rank, const char *name,
                             uint32_t *group_id, struct diag *diag)
{
    if (is_world_name(name)) {
        return comm_groups_world(groups, group_id, diag);
    }
    *group_id = ID_NONE;
    enum status status = groups->is_loaded ? STATUS_OK : groups_load(groups, diag);
    if (status != STATUS_OK) {
        return status;
    }
    const struct named_group key = {.name = name};
    const struct named_group *found =
        groups->named_count > 0 ? bsearch(&key, groups->named, groups->named_count, sizeof key, named_compare)
                                : NULL;
    if (found != NULL) {
        *group_id = found->group_id;
        return STATUS_OK;
    }
    return own_find(groups, rank, name, group_id, diag);
}

/* ---- METADATA nodes ---------------------------------------------------------------------------------- */

/* From the first "[{" to the last "}]" stands the list; around it stand the brackets and quotes of another.
 */
static json_t *list_load(const char *text)
{
    const char *first = strstr(text, "[{");
    const char *last = NULL;
    for (const char *at = first; at != NULL; at = strstr(at + 1, "}]")) {
        last = at;
    }
    if (first == NULL || last == first || last == NULL) {
        return NULL;
    }
    return json_loadb(first, (size_t)(last + 2 - first), 0, NULL);
}

static bool row_fill(const json_t *object, struct arena *arena, struct chakra_group_row *row)
{
    const char *name = json_string_value(json_object_get(object, "pg_name"));
    const json_t *ranks = json_object_get(object, "ranks");
    if (name == NULL || !json_is_array(ranks)) {
        return false;
    }
    uint32_t *list = arena_array(arena, json_array_size(ranks), uint32_t);
    for (size_t i = 0; i < json_array_size(ranks); i++) {
        const json_t *item = json_array_get(ranks, i);
        json_int_t value = json_integer_value(item);
        if (!json_is_integer(item) || value < 0 || value >= UINT32_MAX) {
            return false;
        }
        list[i] = (uint32_t)value;
    }
    *row = (struct chakra_group_row){arena_strdup(arena, name), list, (uint32_t)json_array_size(ranks)};
    return true;
}

void comm_group_metadata(const char *text, struct arena *arena, struct chakra_group_row **rows, size_t *count,
                         size_t *capacity)
{
    if (strstr(text, "pg_name") == NULL) {
        return;
    }
    json_t *list = list_load(text);
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct chakra_group_row row;
        if (row_fill(json_array_get(list, i), arena, &row)) {
            vec_push(arena, *rows, *count, *capacity) = row;
        }
    }
    json_decref(list);
}
