/* One rank's Chakra file as a compact table: see chakra_rank.h.
 *
 * Facts about the files (which attributes carry which integer kind, what the older schemas looked like) are
 * from the MLCommons Chakra and ASTRA-sim repositories and the trace files in them. */
#include "traces/chakra_rank.h"

#include "traces/chakra.pb-c.h"
#include "traces/chakra_json.h"
#include "traces/chakra_stream.h"
#include "traces/comm_group.h"
#include "photonet/units.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* A petabyte in one operation is a damaged file; 2^60 times the widest element still fits 64 bits. */
#define AMOUNT_MAX      ((UINT64_C(1) << 60) - 1)
#define DURATION_US_MAX (UINT64_MAX / 2 / PS_PER_US)

/* ---- names, once a text ------------------------------------------------------------------------------ */

struct names {
    struct arena *slot_arena; /* owned; ends with the reading */
    const char **slot;        /* open addressing, NULL = free */
    size_t count, capacity;
};

static size_t name_slot(const struct names *names, const char *text, size_t length)
{
    size_t mask = names->capacity - 1;
    size_t slot = (size_t)XXH3_64bits(text, length) & mask;
    while (names->slot[slot] != NULL && strcmp(names->slot[slot], text) != 0) {
        slot = (slot + 1) & mask;
    }
    return slot;
}

static void names_grow(struct names *names, struct arena *arena)
{
    struct names old = *names;
    names->slot_arena = arena_new_within(arena, "names of a rank's Chakra file");
    names->capacity = old.capacity > 0 ? 2 * old.capacity : 256;
    names->slot = arena_array(names->slot_arena, names->capacity, const char *);
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.slot[i] != NULL) {
            names->slot[name_slot(names, old.slot[i], strlen(old.slot[i]))] = old.slot[i];
        }
    }
    arena_free(old.slot_arena);
}

static const char *name_intern(struct names *names, struct arena *arena, const char *text)
{
    if (2 * names->count >= names->capacity) {
        names_grow(names, arena);
    }
    size_t length = strlen(text);
    size_t slot = name_slot(names, text, length);
    if (names->slot[slot] == NULL) {
        names->slot[slot] = arena_strndup(arena, text, length);
        names->count++;
    }
    return names->slot[slot];
}

/* ---- reading ----------------------------------------------------------------------------------------- */

struct reading {
    struct chakra_rank *rank;
    struct chakra_stream *stream;
    struct names names;
    struct diag *diag;
};

static enum status node_refuse(const struct reading *reading, const Chakra__Node *node, const char *what)
{
    return diag_input(reading->diag, (struct origin){.path = reading->rank->path},
                      "node %" PRIu64 " \"%s\": %s", node->id, node->name, what);
}

static bool is_printable(const uint8_t *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] < 0x20 || text[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

/* An attribute begins with its name: 0x0a, length, text. `bytes` may be fewer than the attribute has. */
static bool is_attribute(const uint8_t *at, size_t bytes, size_t attribute_bytes)
{
    if (bytes < 3 || attribute_bytes < 3 || at[0] != 0x0a || (size_t)at[1] + 2 > attribute_bytes) {
        return false;
    }
    size_t shown = at[1] < bytes - 2 ? at[1] : bytes - 2;
    return is_printable(at + 2, shown);
}

/* The older schemas (June to September 2023, proto2) frame records in the same way. Before August there was
 * no metadata: the first record begins with the id of a node, a number. Then field 1 of the metadata was an
 * attribute, where now there is a version. */
static bool is_old_schema(const uint8_t *record, size_t bytes)
{
    if (bytes < 2) {
        return false;
    }
    bool is_node = record[0] == 0x08 || (record[0] == 0x18 && record[1] <= 7);
    return is_node ||
           (record[0] == 0x0a && record[1] < 0x80 && is_attribute(record + 2, bytes - 2, record[1]));
}

/* Metadata of the current schema: a version, or attributes. Again `bytes` may be fewer than `record_bytes`.
 */
static bool is_metadata(const uint8_t *record, size_t bytes, size_t record_bytes)
{
    if (bytes < 3) {
        return false;
    }
    if (record[0] == 0x12) {
        size_t length_bytes = 1;
        while (length_bytes < bytes - 1 && record[length_bytes] >= 0x80) {
            length_bytes++;
        }
        return is_attribute(record + 1 + length_bytes, bytes - 1 - length_bytes,
                            record_bytes - 1 - length_bytes);
    }
    size_t version = record[1], end = 2 + version;
    if (record[0] != 0x0a || end > record_bytes ||
        !is_printable(record + 2, end < bytes ? version : bytes - 2)) {
        return false;
    }
    return end == record_bytes || end >= bytes || record[end] == 0x12;
}

static enum status schema_old(const struct reading *reading)
{
    return diag_input(
        reading->diag, (struct origin){.path = reading->rank->path},
        "is written in a Chakra schema older than \"0.0.4\" (proto2, before October 2023), which "
        "numbers nodes and collectives differently; expected the current schema: convert it again "
        "with a current Chakra");
}

/* What else people point at us. */
static bool is_tar(const uint8_t *head, size_t bytes)
{
    return bytes >= 262 && memcmp(head + 257, "ustar", 5) == 0; /* POSIX ustar and pax, GNU */
}

bool chakra_head_is_foreign(const uint8_t *head, size_t bytes)
{
    return is_tar(head, bytes);
}

bool chakra_head_is_trace(const uint8_t *head, size_t bytes)
{
    if (bytes < 2) {
        return false;
    }
    size_t at = 1;
    uint32_t length = head[0] & 0x7fu;
    for (; head[at - 1] >= 0x80 && at < 5 && at < bytes; at++) {
        length |= (uint32_t)(head[at] & 0x7f) << (7 * at);
    }
    if (length == 0) { /* empty metadata: a node must follow, and it begins with one of its first fields */
        return at + 1 < bytes && memchr("\x08\x12\x18", head[at + 1], 3) != NULL;
    }
    const uint8_t *record = head + at;
    size_t shown = bytes - at < length ? bytes - at : length;
    return length <= CHAKRA_RECORD_BYTES_MAX && length > 2 &&
           (is_metadata(record, shown, length) || is_old_schema(record, shown));
}

static enum status head_check(struct chakra_stream *stream, const char *path, struct diag *diag)
{
    const uint8_t *head;
    size_t bytes;
    enum status status = chakra_stream_head(stream, 512, &head, &bytes, diag);
    struct origin at = {.path = path};
    if (status != STATUS_OK) {
        return status;
    }
    if (bytes == 0) {
        return diag_input(diag, at, "is empty; expected a Chakra execution trace");
    }
    if (is_tar(head, bytes)) {
        return diag_input(diag, at, "is a tar archive; unpack it first");
    }
    return STATUS_OK;
}

enum status chakra_file_check(const char *path, struct diag *diag)
{
    struct arena *arena = arena_new("the head of a Chakra file");
    struct chakra_stream *stream = NULL;
    enum status status = chakra_stream_open(path, arena, &stream, diag);
    if (status == STATUS_OK) {
        status = head_check(stream, path, diag);
    }
    chakra_stream_close(stream);
    arena_free(arena);
    return status;
}

static void pairs_keep(struct chakra_rank *rank, const Chakra__AttributeProto *attr)
{
    static const char name[] = "photonet_pairs.";
    bool is_pairs = strncmp(attr->name, name, sizeof name - 1) == 0 &&
                    attr->value_case == CHAKRA__ATTRIBUTE_PROTO__VALUE_UINT64_LIST;
    if (is_pairs) {
        size_t count = attr->uint64_list->n_values;
        uint64_t *bytes = arena_array(rank->arena, count, uint64_t);
        if (count > 0) {
            memcpy(bytes, attr->uint64_list->values, count * sizeof *bytes);
        }
        vec_push(rank->arena, rank->pairs, rank->pair_count, rank->pair_capacity) =
            (struct chakra_pair_row){strtoull(attr->name + sizeof name - 1, NULL, 10), bytes, count};
    }
}

static void metadata_keep(struct reading *reading, const Chakra__GlobalMetadata *metadata)
{
    struct chakra_rank *rank = reading->rank;
    rank->schema = "";
    rank->scale = 1.0;
    rank->is_current = metadata->version[0] != '\0' || metadata->n_attr > 0;
    for (size_t i = 0; i < metadata->n_attr; i++) {
        const Chakra__AttributeProto *attr = metadata->attr[i];
        if (strcmp(attr->name, "schema") == 0 &&
            attr->value_case == CHAKRA__ATTRIBUTE_PROTO__VALUE_STRING_VAL) {
            rank->schema = arena_strdup(rank->arena, attr->string_val);
        }
        bool is_scale = attr->value_case == CHAKRA__ATTRIBUTE_PROTO__VALUE_DOUBLE_VAL &&
                        attr->double_val > 0.0 && attr->double_val < 1.0;
        if (is_scale && strcmp(attr->name, "photonet_scale") == 0) {
            rank->scale = attr->double_val;
        }
        pairs_keep(rank, attr);
    }
}

static enum status metadata_read(struct reading *reading)
{
    const uint8_t *record;
    uint32_t bytes;
    enum status status = chakra_stream_next(reading->stream, &record, &bytes, reading->diag);
    if (status != STATUS_OK) {
        return status;
    }
    if (is_old_schema(record, bytes)) {
        return schema_old(reading);
    }
    const Chakra__GlobalMetadata *metadata =
        chakra__global_metadata__unpack(chakra_stream_scratch(reading->stream), bytes, record);
    if (metadata == NULL) {
        return chakra_stream_refuse(reading->stream, reading->diag,
                                    "is no GlobalMetadata message; the file is damaged or no Chakra trace");
    }
    metadata_keep(reading, metadata);
    return STATUS_OK;
}

/* ---- attributes -------------------------------------------------------------------------------------- */

enum kind { KIND_NONE, KIND_INTEGER, KIND_OTHER };

static enum kind digits_value(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    return end != text && *end == '\0' && errno == 0 ? KIND_INTEGER : KIND_OTHER;
}

static enum kind unsigned_value(uint64_t from, int64_t *value)
{
    *value = (int64_t)from;
    return from <= INT64_MAX ? KIND_INTEGER : KIND_OTHER;
}

/* Writers differ in the integer kind: comm_size is int64 here and uint64 there, is_cpu_op bool or int32. */
static enum kind attribute_integer(const Chakra__AttributeProto *attr, int64_t *value)
{
#define TAKE(case_, field_)                                                                                  \
    case CHAKRA__ATTRIBUTE_PROTO__VALUE_##case_:                                                             \
        *value = (int64_t)attr->field_;                                                                      \
        return KIND_INTEGER;
    switch (attr->value_case) {
        TAKE(INT32_VAL, int32_val)
        TAKE(INT64_VAL, int64_val)
        TAKE(UINT32_VAL, uint32_val)
        TAKE(SINT32_VAL, sint32_val)
        TAKE(SINT64_VAL, sint64_val)
        TAKE(FIXED32_VAL, fixed32_val)
        TAKE(SFIXED32_VAL, sfixed32_val)
        TAKE(SFIXED64_VAL, sfixed64_val)
        TAKE(BOOL_VAL, bool_val)
    case CHAKRA__ATTRIBUTE_PROTO__VALUE_UINT64_VAL:
        return unsigned_value(attr->uint64_val, value);
    case CHAKRA__ATTRIBUTE_PROTO__VALUE_FIXED64_VAL:
        return unsigned_value(attr->fixed64_val, value);
    case CHAKRA__ATTRIBUTE_PROTO__VALUE_STRING_VAL:
        return digits_value(attr->string_val, value);
    case CHAKRA__ATTRIBUTE_PROTO__VALUE__NOT_SET: /* STAGE writes names without a value */
        return KIND_NONE;
    default:
        return KIND_OTHER;
    }
#undef TAKE
}

#define TYPE(name_)  (1u << CHAKRA__NODE_TYPE__##name_##_NODE)
#define TYPE_MESSAGE (TYPE(COMM_SEND) | TYPE(COMM_RECV))
#define TYPE_COMM    (TYPE_MESSAGE | TYPE(COMM_COLL))
#define TYPE_WORK    (TYPE(COMP) | TYPE(MEM_LOAD) | TYPE(MEM_STORE))

/* The integer attributes that mean something here, and on which nodes: comm_type on a message is the number
 * of the node's own type in the MSCCLang converter's files, and means nothing. */
static const struct attribute {
    const char *name;
    size_t offset;
    uint32_t types;
    uint8_t bytes; /* 0: a flag in `has` alone */
    uint16_t has;
    int64_t low, high;
} attributes[] = {
#define FIELD(field_) offsetof(struct chakra_node, field_)
    {"is_cpu_op", 0, UINT32_MAX, 0, CHAKRA_IS_CPU, INT64_MIN, INT64_MAX},
    {"comm_type", FIELD(comm_type), TYPE(COMM_COLL), 1, CHAKRA_HAS_COMM_TYPE, 0, UINT8_MAX},
    {"comm_size", FIELD(bytes), TYPE_COMM, 8, CHAKRA_HAS_COMM_SIZE, 0, AMOUNT_MAX},
    {"comm_src", FIELD(src), TYPE_MESSAGE, 4, CHAKRA_HAS_SRC, 0, INT32_MAX},
    {"comm_dst", FIELD(dst), TYPE_MESSAGE, 4, CHAKRA_HAS_DST, 0, INT32_MAX},
    {"comm_tag", FIELD(tag), TYPE_MESSAGE, 4, CHAKRA_HAS_TAG, INT32_MIN, UINT32_MAX},
    {"num_ops", FIELD(num_ops), TYPE(COMP), 8, CHAKRA_HAS_NUM_OPS, 0, INT64_MAX},
    {"tensor_size", FIELD(bytes), TYPE_WORK, 8, CHAKRA_HAS_TENSOR_SIZE, 0, AMOUNT_MAX},
    {"duration_ps", FIELD(duration_ps), TYPE_WORK, 8, CHAKRA_HAS_DURATION_PS, 0, INT64_MAX / 2},
    {"root", FIELD(root), TYPE(COMM_COLL), 4, CHAKRA_HAS_ROOT, 0, INT32_MAX},
    {"photonet_pairs", FIELD(root), TYPE(COMM_COLL), 4, CHAKRA_HAS_PAIRS, 1, UINT32_MAX},
    {"photonet_stream", FIELD(stream), UINT32_MAX, 2, CHAKRA_HAS_STREAM, 0, UINT16_MAX},
    {"photonet_marker", 0, UINT32_MAX, 0, CHAKRA_IS_MARKER, 0, 1},
#undef FIELD
};
#define ATTRIBUTE_COUNT (sizeof attributes / sizeof attributes[0])

static void attribute_store(struct chakra_node *node, const struct attribute *row, int64_t value)
{
    uint64_t wide = (uint64_t)value;
    uint32_t word = (uint32_t)wide;
    uint16_t half = (uint16_t)wide;
    uint8_t byte = (uint8_t)wide;
    const void *from = row->bytes == 8   ? (const void *)&wide
                       : row->bytes == 4 ? (const void *)&word
                       : row->bytes == 2 ? (const void *)&half
                                         : (const void *)&byte;
    memcpy((char *)node + row->offset, from, row->bytes);
    if (row->bytes > 0 || value != 0) {
        node->has = (uint16_t)(node->has | row->has);
    } else {
        node->has = (uint16_t)(node->has & ~row->has);
    }
}

static enum status integer_take(const struct reading *reading, const Chakra__Node *from,
                                const struct attribute *row, const Chakra__AttributeProto *attr,
                                struct chakra_node *node)
{
    int64_t value = 0;
    enum kind kind = attribute_integer(attr, &value);
    if (kind == KIND_NONE) {
        return STATUS_OK;
    }
    if (kind == KIND_INTEGER && value >= row->low && value <= row->high) {
        attribute_store(node, row, value);
        return STATUS_OK;
    }
    char what[200];
    if (kind == KIND_INTEGER) {
        snprintf(what, sizeof what, "attribute %s is %" PRId64 "; expected %" PRId64 " to %" PRId64,
                 row->name, value, row->low, row->high);
    } else {
        snprintf(what, sizeof what, "attribute %s is no whole number that fits 64 bits", row->name);
    }
    return node_refuse(reading, from, what);
}

/* Communicators are named by text, in older STAGE files by number. */
static void group_take(struct reading *reading, const Chakra__AttributeProto *attr, struct chakra_node *node)
{
    int64_t value;
    if (attr->value_case == CHAKRA__ATTRIBUTE_PROTO__VALUE_STRING_VAL) {
        node->group = name_intern(&reading->names, reading->rank->arena, attr->string_val);
    } else if (attribute_integer(attr, &value) == KIND_INTEGER) {
        char text[24];
        snprintf(text, sizeof text, "%" PRId64, value);
        node->group = name_intern(&reading->names, reading->rank->arena, text);
    }
}

static void dimensions_take(const Chakra__AttributeProto *attr, struct chakra_node *node)
{
    if (attr->value_case != CHAKRA__ATTRIBUTE_PROTO__VALUE_BOOL_LIST) {
        return;
    }
    for (size_t i = 0; i < attr->bool_list->n_values; i++) {
        if (!attr->bool_list->values[i]) {
            node->has |= CHAKRA_IS_PARTIAL;
        }
    }
}

static enum status attribute_take(struct reading *reading, const Chakra__Node *from,
                                  const Chakra__AttributeProto *attr, struct chakra_node *node)
{
    for (size_t i = 0; i < ATTRIBUTE_COUNT; i++) {
        const struct attribute *row = &attributes[i];
        if (row->name[0] == attr->name[0] && strcmp(row->name, attr->name) == 0) {
            return (row->types >> node->type & 1) != 0 ? integer_take(reading, from, row, attr, node)
                                                       : STATUS_OK;
        }
    }
    if (node->type != CHAKRA__NODE_TYPE__COMM_COLL_NODE) {
        return STATUS_OK;
    }
    if (strcmp(attr->name, "pg_name") == 0 || strcmp(attr->name, "comm_group") == 0) {
        group_take(reading, attr, node);
    } else if (strcmp(attr->name, "involved_dim") == 0) {
        dimensions_take(attr, node);
    }
    return STATUS_OK;
}

/* ---- nodes ------------------------------------------------------------------------------------------- */

static struct chakra_node *node_add(struct chakra_rank *rank)
{
    if ((rank->node_count & (CHAKRA_PAGE_ITEMS - 1)) == 0) {
        vec_push(rank->arena, rank->node_page, rank->node_page_count, rank->node_page_capacity) =
            arena_array(rank->arena, CHAKRA_PAGE_ITEMS, struct chakra_node);
    }
    return chakra_node_at(rank, rank->node_count++);
}

static void parents_add(struct chakra_rank *rank, const uint64_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if ((rank->parent_count & (CHAKRA_PARENT_PAGE_ITEMS - 1)) == 0) {
            vec_push(rank->arena, rank->parent_page, rank->parent_page_count, rank->parent_page_capacity) =
                arena_array(rank->arena, CHAKRA_PARENT_PAGE_ITEMS, uint64_t);
        }
        *chakra_parent_at(rank, rank->parent_count++) = ids[i];
    }
}

static void totals_add(struct chakra_rank *rank, const struct chakra_node *node)
{
    rank->ctrl_dep_count += node->ctrl_count;
    bool is_work = (TYPE_WORK >> node->type & 1) != 0;
    rank->data_dep_count += node->data_count;
    rank->has_duration = rank->has_duration || (is_work && node->duration_ps > 0);
    rank->has_amount = rank->has_amount || (is_work && (node->num_ops > 0 || node->bytes > 0));
    if ((TYPE_COMM >> node->type & 1) != 0 && (node->has & CHAKRA_IS_CPU) == 0) {
        rank->gpu_comm[node->type - CHAKRA__NODE_TYPE__COMM_SEND_NODE]++;
    }
}

static enum status node_keep(struct reading *reading, const Chakra__Node *from)
{
    struct chakra_rank *rank = reading->rank;
    if (rank->node_count == ID_NONE - 1) {
        return node_refuse(reading, from, "is one more than 32 bits can count");
    }
    if ((uint32_t)from->type > CHAKRA__NODE_TYPE__COMM_COLL_NODE) {
        return node_refuse(reading, from, "has an unknown node type; expected 0 to 7");
    }
    if (from->duration_micros > DURATION_US_MAX) {
        return node_refuse(reading, from, "lasts longer than a hundred days; the file is damaged");
    }
    struct chakra_node *node = node_add(rank);
    *node =
        (struct chakra_node){.id = from->id, .parent_first = rank->parent_count, .type = (uint8_t)from->type};
    node->name = name_intern(&reading->names, rank->arena, from->name);
    node->ctrl_count = (uint32_t)from->n_ctrl_deps;
    node->data_count = (uint32_t)from->n_data_deps;
    parents_add(rank, from->ctrl_deps, from->n_ctrl_deps);
    parents_add(rank, from->data_deps, from->n_data_deps);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < from->n_attr && status == STATUS_OK; i++) {
        status = attribute_take(reading, from, from->attr[i], node);
    }
    if ((node->has & CHAKRA_HAS_DURATION_PS) == 0) {
        node->duration_ps = from->duration_micros * PS_PER_US;
    }
    if (node->type == CHAKRA__NODE_TYPE__METADATA_NODE && from->inputs != NULL) {
        comm_group_metadata(from->inputs->values, rank->arena, &rank->groups, &rank->group_count,
                            &rank->group_capacity);
    }
    totals_add(rank, node);
    return status;
}

/* Fields 11 to 20 of a node existed only before October 2023. */
static bool is_old_node(const Chakra__Node *node)
{
    for (unsigned i = 0; i < node->base.n_unknown_fields; i++) {
        uint32_t tag = node->base.unknown_fields[i].tag;
        if (tag > 10 && tag <= 20) {
            return true;
        }
    }
    return false;
}

static enum status nodes_read(struct reading *reading)
{
    for (;;) {
        const uint8_t *record;
        uint32_t bytes;
        enum status status = chakra_stream_next(reading->stream, &record, &bytes, reading->diag);
        if (status != STATUS_OK || record == NULL) {
            return status;
        }
        const Chakra__Node *node =
            chakra__node__unpack(chakra_stream_scratch(reading->stream), bytes, record);
        if (node == NULL) {
            return chakra_stream_refuse(reading->stream, reading->diag,
                                        "is no Node message; the file is damaged");
        }
        if (!reading->rank->is_current && is_old_node(node)) {
            return schema_old(reading);
        }
        status = node_keep(reading, node);
        if (status != STATUS_OK) {
            return status;
        }
    }
}

/* ---- linking: ids to positions ----------------------------------------------------------------------- */

/* Ids are mostly dense: then a plain array is the map. Else open addressing over positions. */
struct id_map {
    uint64_t low;
    bool is_dense;
    uint32_t *position; /* + 1; 0 = free */
    size_t mask;        /* dense: the last entry */
};

/* More than this many array entries a node and hashing takes less memory. */
#define DENSE_SPREAD 6

static void id_range(const struct chakra_rank *rank, uint64_t *low, uint64_t *high)
{
    *low = UINT64_MAX;
    *high = 0;
    for (uint32_t i = 0; i < rank->node_count; i++) {
        uint64_t id = chakra_node_at(rank, i)->id;
        *low = id < *low ? id : *low;
        *high = id > *high ? id : *high;
    }
}

static struct id_map id_map_new(const struct chakra_rank *rank)
{
    uint64_t high;
    struct id_map map = {.is_dense = true};
    id_range(rank, &map.low, &high);
    map.mask = (size_t)(high - map.low);
    if (rank->node_count == 0 || map.mask / DENSE_SPREAD >= rank->node_count) {
        map.is_dense = false;
        map.mask = 7;
        while (map.mask < 2 * (size_t)rank->node_count) {
            map.mask = 2 * map.mask + 1;
        }
    }
    map.position = arena_array(rank->arena, map.mask + 1, uint32_t);
    return map;
}

/* The entry of this id, or the free one where it belongs. NULL where a dense map has no such entry. */
static uint32_t *id_entry(const struct id_map *map, const struct chakra_rank *rank, uint64_t id)
{
    if (map->is_dense) {
        return id >= map->low && id - map->low <= map->mask ? &map->position[id - map->low] : NULL;
    }
    size_t slot = (size_t)XXH3_64bits(&id, sizeof id) & map->mask;
    while (map->position[slot] != 0 && chakra_node_at(rank, map->position[slot] - 1)->id != id) {
        slot = (slot + 1) & map->mask;
    }
    return &map->position[slot];
}

static enum status ids_enter(const struct chakra_rank *rank, const struct id_map *map, struct diag *diag)
{
    for (uint32_t i = 0; i < rank->node_count; i++) {
        const struct chakra_node *node = chakra_node_at(rank, i);
        uint32_t *entry = id_entry(map, rank, node->id);
        if (*entry != 0) {
            return diag_input(diag, (struct origin){.path = rank->path},
                              "node id %" PRIu64 " is given twice (\"%s\" and \"%s\"); expected unique ids",
                              node->id, chakra_node_at(rank, *entry - 1)->name, node->name);
        }
        *entry = i + 1;
    }
    return STATUS_OK;
}

static void parents_link(struct chakra_rank *rank, const struct id_map *map, uint32_t position)
{
    const struct chakra_node *node = chakra_node_at(rank, position);
    for (uint32_t i = 0; i < node->ctrl_count + node->data_count; i++) {
        bool is_ctrl = i < node->ctrl_count;
        uint64_t *parent = chakra_parent_at(rank, node->parent_first + i);
        const uint32_t *entry = id_entry(map, rank, *parent);
        uint32_t found = entry != NULL ? *entry - 1 : ID_NONE; /* 0 - 1 is ID_NONE */
        if (found == ID_NONE) {
            *(is_ctrl ? &rank->ctrl_missing_count : &rank->data_missing_count) += 1;
        } else if (is_ctrl && found == position) {
            rank->ctrl_self_count++;
            found = ID_NONE;
        }
        *parent = found;
    }
}

static enum status rank_link(struct chakra_rank *rank, struct diag *diag)
{
    struct id_map map = id_map_new(rank);
    enum status status = ids_enter(rank, &map, diag);
    for (uint32_t i = 0; i < rank->node_count && status == STATUS_OK; i++) {
        parents_link(rank, &map, i);
    }
    return status;
}

static enum status json_take(void *context, const Chakra__Node *node)
{
    return node_keep(context, node);
}

/* The rest of a file whose head is good. */
static enum status records_read(struct reading *reading)
{
    const uint8_t *head;
    size_t bytes;
    enum status status = chakra_stream_head(reading->stream, 512, &head, &bytes, reading->diag);
    if (status == STATUS_OK && chakra_head_is_json(head, bytes)) {
        struct chakra_rank *rank = reading->rank;
        rank->schema = "";
        rank->scale = 1.0;
        rank->is_current = true;
        return chakra_json_read(rank->path, rank->arena, json_take, reading, reading->diag);
    }
    status = status == STATUS_OK ? metadata_read(reading) : status;
    return status == STATUS_OK ? nodes_read(reading) : status;
}

enum status chakra_rank_read(const char *path, struct arena *arena, struct chakra_rank *rank,
                             struct diag *diag)
{
    *rank = (struct chakra_rank){.arena = arena, .path = path};
    struct reading reading = {.rank = rank, .diag = diag};
    enum status status = chakra_stream_open(path, arena, &reading.stream, diag);
    if (status != STATUS_OK) {
        return status;
    }
    status = head_check(reading.stream, path, diag);
    status = status == STATUS_OK ? records_read(&reading) : status;
    chakra_stream_close(reading.stream);
    arena_free(reading.names.slot_arena);
    return status == STATUS_OK ? rank_link(rank, diag) : status;
}

/* ---- order and cycles -------------------------------------------------------------------------------- */

struct by_id {
    uint64_t id;
    uint32_t position;
};

static int by_id_compare(const void *left, const void *right)
{
    const struct by_id *a = left, *b = right;
    return a->id < b->id ? -1 : a->id > b->id;
}

void chakra_rank_order(const struct chakra_rank *rank, uint32_t *position)
{
    bool is_ascending = true;
    for (uint32_t i = 0; i < rank->node_count; i++) {
        position[i] = i;
        is_ascending =
            is_ascending && (i == 0 || chakra_node_at(rank, i - 1)->id < chakra_node_at(rank, i)->id);
    }
    if (is_ascending) { /* as nearly all writers have it */
        return;
    }
    struct by_id *keys = arena_array(rank->arena, rank->node_count, struct by_id);
    for (uint32_t i = 0; i < rank->node_count; i++) {
        keys[i] = (struct by_id){chakra_node_at(rank, i)->id, i};
    }
    qsort(keys, rank->node_count, sizeof keys[0], by_id_compare);
    for (uint32_t k = 0; k < rank->node_count; k++) {
        position[k] = keys[k].position;
    }
}

/* The edges from parent to child, for Kahn's algorithm: child[first[i] .. first[i + 1]) wait for node i. */
struct children {
    uint64_t *first;
    uint32_t *child;
    uint32_t *wait; /* parents that have not come yet */
};

static void children_count(const struct chakra_rank *rank, enum chakra_deps deps, struct children *children)
{
    for (uint32_t i = 0; i < rank->node_count; i++) {
        uint64_t at, end;
        for (chakra_parents(chakra_node_at(rank, i), deps, &at, &end); at < end; at++) {
            uint64_t parent = *chakra_parent_at(rank, at);
            if (parent != ID_NONE) {
                children->first[parent]++;
                children->wait[i]++;
            }
        }
    }
    for (uint32_t i = 0; i < rank->node_count; i++) {
        children->first[i + 1] += children->first[i];
    }
}

/* first[i] is the end of row i before and its beginning after. */
static void children_fill(const struct chakra_rank *rank, enum chakra_deps deps, struct children *children)
{
    for (uint32_t i = 0; i < rank->node_count; i++) {
        uint64_t at, end;
        for (chakra_parents(chakra_node_at(rank, i), deps, &at, &end); at < end; at++) {
            uint64_t parent = *chakra_parent_at(rank, at);
            if (parent != ID_NONE) {
                children->child[--children->first[parent]] = i;
            }
        }
    }
}

bool chakra_rank_is_acyclic(const struct chakra_rank *rank, enum chakra_deps deps)
{
    struct children children = {
        .first = arena_array(rank->arena, (size_t)rank->node_count + 1, uint64_t),
        .wait = arena_array(rank->arena, rank->node_count, uint32_t),
    };
    children_count(rank, deps, &children);
    children.child = arena_array(rank->arena, children.first[rank->node_count], uint32_t);
    children_fill(rank, deps, &children);
    uint32_t *free_nodes = arena_array(rank->arena, rank->node_count, uint32_t);
    uint32_t free_count = 0;
    for (uint32_t i = 0; i < rank->node_count; i++) {
        if (children.wait[i] == 0) {
            free_nodes[free_count++] = i;
        }
    }
    for (uint32_t next = 0; next < free_count; next++) {
        uint32_t node = free_nodes[next];
        for (uint64_t i = children.first[node]; i < children.first[node + 1]; i++) {
            if (--children.wait[children.child[i]] == 0) {
                free_nodes[free_count++] = children.child[i];
            }
        }
    }
    return free_count == rank->node_count;
}
