#include "netsim/fabric_load.h"

#include "netsim/base/nearest.h"
#include "netsim/circuit/planner.h"
#include "netsim/optics/light.h"
#include "netsim/replay/replay.h"
#include "photonet/doc.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct loader {
    struct arena *arena;
    struct diag *diag;
    struct fabric_config *config;
    const struct fabric_family *family;
    void *values;
    const char *name;
    struct origin family_at;
    struct trace_setting *all, *left;
    size_t all_count, all_capacity, left_count, left_capacity;
    struct fabric_key *keys;
    size_t key_count, key_capacity;
    size_t part_count;
};

const struct fabric_preset *fabric_preset_find(const char *name)
{
    for (const struct fabric_preset *preset = fabric_presets; preset->name != NULL; preset++) {
        if (strcmp(preset->name, name) == 0) {
            return preset;
        }
    }
    return NULL;
}

/* A comma that "KEY=" follows; NULL where there is none. A file's name may hold anything. */
static const char *spec_comma(const char *text)
{
    for (const char *comma = strchr(text, ','); comma != NULL; comma = strchr(comma + 1, ',')) {
        size_t length = strcspn(comma + 1, ",=");
        if (length > 0 && comma[1 + length] == '=') {
            return comma;
        }
    }
    return NULL;
}

const char *fabric_spec_head(const char *spec, struct arena *arena)
{
    const char *comma = access(spec, F_OK) == 0 ? NULL : spec_comma(spec);
    return comma == NULL ? spec : arena_strndup(arena, spec, (size_t)(comma - spec));
}

/* What stands behind the comma is part of the name: it is what tells two runs of one preset apart. */
const char *fabric_spec_name(const char *spec, struct arena *arena)
{
    const char *head = fabric_spec_head(spec, arena), *slash = strrchr(head, '/');
    const char *base = slash != NULL ? slash + 1 : head, *dot = strrchr(base, '.');
    bool is_yaml = dot != NULL && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0 || strcmp(dot, ".json") == 0);
    int length = is_yaml && dot > base ? (int)(dot - base) : (int)strlen(base);
    char *name = arena_printf(arena, "%.*s%s", length, base, spec + strlen(head));
    for (char *at = strchr(name, '/'); at != NULL; at = strchr(at, '/')) {
        *at = '-'; /* a run is a group of the result file */
    }
    return name;
}

/* The settings behind the spec; what has no "=" belongs to the value before it. */
static void spec_settings(struct loader *loader, const char *options)
{
    while (options != NULL) {
        const char *key = options + 1, *equals = strchr(key, '=');
        options = spec_comma(equals);
        size_t length = options != NULL ? (size_t)(options - equals - 1) : strlen(equals + 1);
        vec_push(loader->arena, loader->all, loader->all_count, loader->all_capacity) = (struct trace_setting){
            .key = arena_strndup(loader->arena, key, (size_t)(equals - key)),
            .text = arena_strndup(loader->arena, equals + 1, length),
            .at = {"--fabric", 0, 0}};
    }
}

/* ---- what the user wrote ------------------------------------------------------------------------------------ */

static enum status flatten(struct loader *loader, const struct doc *map, const char *prefix)
{
    enum status status = STATUS_OK;
    for (const struct doc *child = map->child; status == STATUS_OK && child != NULL; child = child->next) {
        const char *key = prefix[0] == 0 ? child->key : arena_printf(loader->arena, "%s.%s", prefix, child->key);
        if (child->kind == DOC_LIST && strcmp(key, "jobs") == 0) {
            continue; /* netsim/job_list.h */
        }
        if (child->kind == DOC_LIST) {
            return diag_input(loader->diag, child->at, "%s is a list; expected a value or a map", key);
        }
        if (child->kind == DOC_MAP) {
            status = flatten(loader, child, key);
            continue;
        }
        vec_push(loader->arena, loader->all, loader->all_count, loader->all_capacity) =
            (struct trace_setting){key, child->text, child->at};
    }
    return status;
}

static enum status no_such_fabric(const char *spec, struct diag *diag)
{
    const char *nearest = fabric_presets[0].name;
    for (const struct fabric_preset *preset = fabric_presets; preset->name != NULL; preset++) {
        nearest = edit_distance(spec, preset->name) < edit_distance(spec, nearest) ? preset->name : nearest;
    }
    return diag_set(diag, STATUS_INPUT,
                    "%s: neither a file nor a preset nor a family of fabrics; the nearest preset is \"%s\" "
                    "(photonet fabric list names all)",
                    spec, nearest);
}

static enum status spec_read(struct loader *loader, const char *spec)
{
    const struct fabric_preset *preset = fabric_preset_find(spec);
    const struct doc *root = NULL;
    enum status status = STATUS_OK;
    if (preset != NULL) {
        const char *path = arena_printf(loader->arena, "preset:%s", spec);
        status = doc_parse(preset->text, preset->text_bytes, path, loader->arena, &root, loader->diag);
    } else if (fabric_family_find(spec) != NULL) {
        vec_push(loader->arena, loader->all, loader->all_count, loader->all_capacity) =
            (struct trace_setting){"fabric", spec, {spec, 0, 0}};
        return STATUS_OK;
    } else if (access(spec, F_OK) != 0) {
        return no_such_fabric(spec, loader->diag);
    } else {
        status = doc_load(spec, loader->arena, &root, loader->diag);
    }
    if (status == STATUS_OK && root->kind != DOC_MAP) {
        return diag_input(loader->diag, root->at, "is no map; expected lines of KEY: VALUE");
    }
    return status == STATUS_OK ? flatten(loader, root, "") : status;
}

/* ---- what it means ------------------------------------------------------------------------------------------ */

static enum status family_find(struct loader *loader, const char *spec)
{
    const struct trace_setting *named = NULL;
    for (size_t i = 0; i < loader->all_count; i++) {
        named = strcmp(loader->all[i].key, "fabric") == 0 ? &loader->all[i] : named;
    }
    if (named == NULL) {
        struct origin at = {spec, 0, 0};
        return diag_input(loader->diag, at, "names no family; expected a line such as \"fabric: %s\"",
                          fabric_families[0]->name);
    }
    loader->family = fabric_family_find(named->text);
    loader->family_at = named->at;
    if (loader->family != NULL) {
        loader->values = param_defaults(&loader->family->params, loader->arena);
        return STATUS_OK;
    }
    char known[400] = "";
    for (size_t i = 0; fabric_families[i] != NULL; i++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "", fabric_families[i]->name);
    }
    return diag_input(loader->diag, named->at, "unknown family of fabrics \"%.80s\"; expected one of: %s", named->text,
                      known);
}

/* Parts are kept in the text that is resolved, since they are no parameters of the family. */
static enum status setting_apply(struct loader *loader, struct trace_setting *setting)
{
    if (strcmp(setting->key, "fabric") == 0) {
        return STATUS_OK;
    }
    if (strcmp(setting->key, "title") == 0) {
        loader->config->title = setting->text;
        return STATUS_OK;
    }
    if (strcmp(setting->key, "name") == 0) {
        loader->name = setting->text;
        return STATUS_OK;
    }
    if (strncmp(setting->key, "part.", 5) == 0) {
        loader->part_count++;
        return part_assign(loader->config->parts, setting->key + 5, setting->text, setting->at, loader->diag);
    }
    bool is_known = param_find(&loader->family->params, setting->key) != NULL;
    if (!is_known && strchr(setting->key, '.') != NULL) {
        vec_push(loader->arena, loader->left, loader->left_count, loader->left_capacity) = *setting;
        return STATUS_OK;
    }
    vec_push(loader->arena, loader->keys, loader->key_count, loader->key_capacity) =
        (struct fabric_key){setting->key, setting->at};
    return param_assign(&loader->family->params, loader->values, setting->key, setting->text, setting->at,
                        loader->arena, loader->diag);
}

static const char *quoted(struct arena *arena, const char *text)
{
    size_t length = strlen(text), used = 0;
    char *copy = arena_array(arena, 2 * length + 3, char);
    copy[used++] = '"';
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '"' || text[i] == '\\' || text[i] == '\n') {
            copy[used++] = '\\';
        }
        copy[used++] = text[i] == '\n' ? 'n' : text[i];
    }
    copy[used] = '"';
    return copy;
}

static void config_text(struct loader *loader)
{
    struct arena *arena = loader->arena;
    const char *text = arena_printf(arena, "fabric: %s\n", loader->family->name);
    for (size_t i = 0; i < loader->family->params.row_count; i++) {
        const struct param *row = &loader->family->params.rows[i];
        char value[1024];
        param_text(row, loader->values, value, sizeof value);
        const char *shown = value;
        if (row->type == PARAM_TYPE_TEXT) { /* of any length */
            memcpy(&shown, (const char *)loader->values + row->offset, sizeof shown);
            shown = quoted(arena, shown != NULL ? shown : "");
        }
        text = arena_printf(arena, "%s%s: %s\n", text, row->key, shown);
    }
    for (size_t i = 0; loader->part_count > 0 && i < loader->all_count; i++) {
        const struct trace_setting *setting = &loader->all[i];
        if (strncmp(setting->key, "part.", 5) == 0) {
            text = arena_printf(arena, "%s%s: %s\n", text, setting->key, quoted(arena, setting->text));
        }
    }
    loader->config->text = text;
}

static enum status planner_check(const struct loader *loader, const struct fabric *fabric)
{
    if (fabric->plan == PLAN_NONE || planner_find(fabric->planner) != NULL) {
        return STATUS_OK;
    }
    struct origin at = loader->family_at;
    for (size_t i = 0; i < loader->key_count; i++) {
        at = strcmp(loader->keys[i].key, "planner") == 0 ? loader->keys[i].at : at;
    }
    char known[300] = "";
    for (size_t i = 0; planners[i] != NULL; i++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "", planners[i]->name);
    }
    return diag_input(loader->diag, at, "unknown planner \"%.80s\"; expected one of: %s", fabric->planner, known);
}

/* The line that names the optical switch of the link with the least margin, or else the module at it. */
static struct origin light_origin(const struct loader *loader, const struct fabric *fabric)
{
    uint32_t port = light_worst(fabric), optical = port == ID_NONE ? ID_NONE : light_optical_of(fabric, port);
    struct origin at = loader->family_at;
    if (port == ID_NONE) {
        return at;
    }
    uint32_t part_id = optical != ID_NONE ? fabric->optical[optical].part_id : fabric->port_part[port];
    const char *name = fabric->parts->parts[part_id].name;
    for (size_t i = 0; i < loader->all_count; i++) {
        at = strcmp(loader->all[i].text, name) == 0 ? loader->all[i].at : at;
    }
    return at;
}

static enum status light_set_up(const struct loader *loader, struct fabric *fabric)
{
    light_evaluate(fabric);
    return light_check(fabric, light_origin(loader, fabric), loader->diag);
}

/* Ranks that share a host. The setting is the scenario's, which says what is wrong with it; here it counts hosts. */
static uint32_t gpus_per_nic_of(const struct loader *loader)
{
    uint64_t gpus = 1, value;
    char why[160];
    for (size_t i = 0; i < loader->left_count; i++) {
        bool is_it = strcmp(loader->left[i].key, "host.gpus_per_nic") == 0;
        if (is_it && quantity_parse_u64(QUANTITY_COUNT, loader->left[i].text, &value, why) && value > 0 && value <= RANKS_PER_HOST_MAX) {
            gpus = value;
        }
    }
    return (uint32_t)gpus;
}

static enum status build(struct loader *loader, uint32_t ranks_wanted)
{
    uint32_t gpus = gpus_per_nic_of(loader);
    uint32_t hosts_wanted = (uint32_t)(((uint64_t)ranks_wanted + gpus - 1) / gpus);
    struct fabric *fabric = arena_one(loader->arena, struct fabric);
    struct fabric_request request = {
        .arena = loader->arena, .parts = loader->config->parts, .hosts_wanted = hosts_wanted,
        .at = loader->family_at, .keys = loader->keys, .key_count = loader->key_count};
    fabric->name = loader->name;
    fabric->family = loader->family->name;
    enum status status = loader->family->build(loader->values, &request, fabric, loader->diag);
    status = status == STATUS_OK ? planner_check(loader, fabric) : status;
    if (status != STATUS_OK) {
        return status;
    }
    if (fabric->host_count < hosts_wanted && gpus > 1) {
        return diag_input(loader->diag, loader->family_at,
                          "fabric %s has %" PRIu32 " hosts of %" PRIu32 " GPUs each, the job has %" PRIu32
                          " ranks; expected at least %" PRIu32 " hosts", fabric->name, fabric->host_count, gpus, ranks_wanted,
                          hosts_wanted);
    }
    if (fabric->host_count < hosts_wanted) {
        return diag_input(loader->diag, loader->family_at,
                          "fabric %s has %" PRIu32 " hosts, the job has %" PRIu32
                          " ranks; expected at least as many hosts as ranks",
                          fabric->name, fabric->host_count, hosts_wanted);
    }
    loader->config->fabric = fabric;
    status = fabric_validate(fabric, loader->diag);
    return status == STATUS_OK ? light_set_up(loader, fabric) : status;
}

enum status fabric_load(const char *spec, const struct trace_setting *sets, size_t set_count,
                        uint32_t ranks_wanted, struct arena *arena, struct fabric_config *config, struct diag *diag)
{
    struct loader loader = {.arena = arena, .diag = diag, .config = config};
    *config = (struct fabric_config){.parts = part_table_new(arena)};
    loader.name = fabric_spec_name(spec, arena);
    const char *head = fabric_spec_head(spec, arena);
    enum status status = spec_read(&loader, head);
    for (size_t i = 0; status == STATUS_OK && i < set_count; i++) {
        vec_push(arena, loader.all, loader.all_count, loader.all_capacity) = sets[i];
    }
    if (spec[strlen(head)] != '\0') {
        spec_settings(&loader, spec + strlen(head));
    }
    status = status == STATUS_OK ? family_find(&loader, head) : status;
    for (size_t i = 0; status == STATUS_OK && i < loader.all_count; i++) {
        status = setting_apply(&loader, &loader.all[i]);
    }
    if (status != STATUS_OK) {
        return status;
    }
    config->at = loader.family_at;
    config->left = loader.left;
    config->left_count = loader.left_count;
    config_text(&loader);
    return build(&loader, ranks_wanted);
}

/* Circuits that are planned change when the job wants them to: their gates have no cycle. */
static enum status cells_check(const struct fabric *fabric, const struct cell_shape *cells, struct diag *diag)
{
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        if (cells->bytes == 0 || fabric_has_cells(fabric, cells, port)) {
            return STATUS_OK;
        }
    }
    return diag_set(diag, STATUS_INPUT,
                    "packet.cell is %" PRIu32 " B, but no circuit of fabric %s comes and goes by a fixed cycle; expected "
                    "packet.cell_ports=all, or packet.cell for other fabrics alone (-f FABRIC,packet.cell=SIZE)",
                    cells->bytes, fabric->name);
}

enum status fabric_config_check(const struct fabric_config *config, uint64_t packet_bytes, const struct cell_shape *cells,
                                struct diag *diag)
{
    struct diag what = {""};
    struct origin at = config->at;
    if (fabric_check_gates(config->fabric, packet_bytes, cells, &what) == STATUS_OK &&
        cells_check(config->fabric, cells, &what) == STATUS_OK) {
        return STATUS_OK;
    }
    for (size_t i = 0; i < config->left_count; i++) {
        const char *key = config->left[i].key;
        at = strcmp(key, "packet.size") == 0 || strcmp(key, "packet.cell") == 0 ? config->left[i].at : at;
    }
    return diag_input(diag, at, "%s", what.text);
}
