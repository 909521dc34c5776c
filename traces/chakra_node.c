/* Nodes on their way into the table of a rank: see chakra_node.h. */
#include "traces/chakra_node.h"

#include "traces/comm_group.h"
#include "photonet/units.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* A petabyte in one operation is a damaged file; 2^60 times the widest element still fits 64 bits. */
#define AMOUNT_MAX      ((UINT64_C(1) << 60) - 1)
#define DURATION_US_MAX (UINT64_MAX / 2 / PS_PER_US)

/* ---- groups, once a text ----------------------------------------------------------------------------- */

/* Where the text is, or the free slot where it belongs. Stored texts end with a 0. */
static size_t group_slot(const struct chakra_names *names, const char *text, size_t length)
{
    size_t mask = names->capacity - 1;
    size_t slot = (size_t)XXH3_64bits(text, length) & mask;
    while (names->slot[slot] != NULL &&
           (strncmp(names->slot[slot], text, length) != 0 || names->slot[slot][length] != '\0')) {
        slot = (slot + 1) & mask;
    }
    return slot;
}

static void groups_grow(struct chakra_names *names, struct arena *arena)
{
    struct chakra_names old = *names;
    names->slot_arena = arena_new_within(arena, "groups of a rank's Chakra file");
    names->capacity = old.capacity > 0 ? 2 * old.capacity : 256;
    names->slot = arena_array(names->slot_arena, names->capacity, const char *);
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.slot[i] != NULL) {
            names->slot[group_slot(names, old.slot[i], strlen(old.slot[i]))] = old.slot[i];
        }
    }
    arena_free(old.slot_arena);
}

static const char *group_keep(struct chakra_reading *reading, struct wire_span text)
{
    struct chakra_names *names = &reading->groups;
    if (2 * names->count >= names->capacity) {
        groups_grow(names, reading->rank->arena);
    }
    const char *from = text.at == NULL ? "" : (const char *)text.at;
    size_t length = strnlen(from, wire_bytes(text)); /* a text ends at its first 0 */
    size_t slot = group_slot(names, from, length);
    if (names->slot[slot] == NULL) {
        names->slot[slot] = arena_strndup(reading->rank->arena, from, length);
        names->count++;
    }
    return names->slot[slot];
}

/* ---- attributes -------------------------------------------------------------------------------------- */

enum status chakra_node_refuse(const struct chakra_reading *reading, const struct chakra_node *node,
                               const char *what)
{
    return diag_input(reading->diag, (struct origin){.path = reading->rank->path},
                      "node %" PRIu64 " \"%.*s\": %s", node->id, (int)wire_bytes(reading->name),
                      reading->name.at == NULL ? "" : (const char *)reading->name.at, what);
}

bool chakra_integer_text(struct wire_span text, int64_t *value)
{
    bool is_negative = text.at < text.end && *text.at == '-';
    uint64_t sum = 0;
    const uint8_t *at = text.at + is_negative;
    for (; at < text.end && *at >= '0' && *at <= '9' && sum <= INT64_MAX / 10; at++) {
        sum = sum * 10 + (uint64_t)(*at - '0');
    }
    *value = is_negative ? -(int64_t)sum : (int64_t)sum;
    return at == text.end && at > text.at + is_negative && sum <= INT64_MAX;
}

#define TYPE(name_)  (1u << CHAKRA__NODE_TYPE__##name_##_NODE)
#define TYPE_MESSAGE (TYPE(COMM_SEND) | TYPE(COMM_RECV))
#define TYPE_COMM    (TYPE_MESSAGE | TYPE(COMM_COLL))
#define TYPE_WORK    (TYPE(COMP) | TYPE(MEM_LOAD) | TYPE(MEM_STORE))

/* The integer attributes that mean something here, and on which nodes: comm_type on a message is the number
 * of the node's own type in the MSCCLang converter's files, and means nothing. */
static const struct attribute {
    const char *name;
    size_t name_bytes;
    size_t offset;
    uint32_t types;
    uint8_t bytes; /* 0: a flag in `has` alone */
    uint16_t has;
    int64_t low, high;
} attributes[] = {
#define FIELD(field_) offsetof(struct chakra_node, field_)
#define NAME(name_)   name_, sizeof(name_) - 1
    {NAME("is_cpu_op"), 0, UINT32_MAX, 0, CHAKRA_IS_CPU, INT64_MIN, INT64_MAX},
    {NAME("comm_type"), FIELD(comm_type), TYPE(COMM_COLL), 1, CHAKRA_HAS_COMM_TYPE, 0, UINT8_MAX},
    {NAME("comm_size"), FIELD(bytes), TYPE_COMM, 8, CHAKRA_HAS_COMM_SIZE, 0, AMOUNT_MAX},
    {NAME("comm_src"), FIELD(src), TYPE_MESSAGE, 4, CHAKRA_HAS_SRC, 0, INT32_MAX},
    {NAME("comm_dst"), FIELD(dst), TYPE_MESSAGE, 4, CHAKRA_HAS_DST, 0, INT32_MAX},
    {NAME("comm_tag"), FIELD(tag), TYPE_MESSAGE, 4, CHAKRA_HAS_TAG, INT32_MIN, UINT32_MAX},
    {NAME("num_ops"), FIELD(num_ops), TYPE(COMP), 8, CHAKRA_HAS_NUM_OPS, 0, INT64_MAX},
    {NAME("tensor_size"), FIELD(bytes), TYPE_WORK, 8, CHAKRA_HAS_TENSOR_SIZE, 0, AMOUNT_MAX},
    {NAME("duration_ps"), FIELD(duration_ps), TYPE_WORK, 8, CHAKRA_HAS_DURATION_PS, 0, INT64_MAX / 2},
    {NAME("root"), FIELD(root), TYPE(COMM_COLL), 4, CHAKRA_HAS_ROOT, 0, INT32_MAX},
    {NAME("photonet_pairs"), FIELD(root), TYPE(COMM_COLL), 4, CHAKRA_HAS_PAIRS, 1, UINT32_MAX},
    {NAME("photonet_hold"), FIELD(num_ops), TYPE(COMM_COLL), 8, CHAKRA_HAS_NUM_OPS, 0, INT64_MAX / 2},
    {NAME("photonet_stream"), FIELD(stream), UINT32_MAX, 2, CHAKRA_HAS_STREAM, 0, UINT16_MAX},
    {NAME("photonet_marker"), 0, UINT32_MAX, 0, CHAKRA_IS_MARKER, 0, 1},
#undef FIELD
#undef NAME
};
#define ATTRIBUTE_COUNT (sizeof attributes / sizeof attributes[0])

/* The row of this name, NULL where it means nothing here. Rows are few and names short: length and first
 * letter rule out nearly all. */
static const struct attribute *attribute_find(struct wire_span name)
{
    for (size_t i = 0; i < ATTRIBUTE_COUNT; i++) {
        if (wire_is(name, attributes[i].name, attributes[i].name_bytes)) {
            return &attributes[i];
        }
    }
    return NULL;
}

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

static enum status integer_take(const struct chakra_reading *reading, const struct attribute *row,
                                const struct chakra_value *value, struct chakra_node *node)
{
    int64_t integer = value->integer;
    bool is_integer = value->kind == CHAKRA_VALUE_INTEGER ||
                      (value->kind == CHAKRA_VALUE_TEXT && chakra_integer_text(value->text, &integer));
    if (value->kind == CHAKRA_VALUE_NONE) {
        return STATUS_OK;
    }
    if (is_integer && integer >= row->low && integer <= row->high) {
        attribute_store(node, row, integer);
        return STATUS_OK;
    }
    char what[200];
    if (is_integer) {
        snprintf(what, sizeof what, "attribute %s is %" PRId64 "; expected %" PRId64 " to %" PRId64,
                 row->name, integer, row->low, row->high);
    } else {
        snprintf(what, sizeof what, "attribute %s is no whole number that fits 64 bits", row->name);
    }
    return chakra_node_refuse(reading, node, what);
}

/* Communicators are named by text, in older STAGE files by number. */
static void group_take(struct chakra_reading *reading, const struct chakra_value *value,
                       struct chakra_node *node)
{
    if (value->kind == CHAKRA_VALUE_TEXT) {
        node->group = group_keep(reading, value->text);
    } else if (value->kind == CHAKRA_VALUE_INTEGER) {
        char text[24];
        int length = snprintf(text, sizeof text, "%" PRId64, value->integer);
        node->group =
            group_keep(reading, (struct wire_span){(const uint8_t *)text, (const uint8_t *)text + length});
    }
}

enum status chakra_node_attribute(struct chakra_reading *reading, struct chakra_node *node,
                                  const struct chakra_value *value)
{
    const struct attribute *row = attribute_find(value->name);
    if (row != NULL) {
        return (row->types >> node->type & 1) != 0 ? integer_take(reading, row, value, node) : STATUS_OK;
    }
    if (node->type != CHAKRA__NODE_TYPE__COMM_COLL_NODE) {
        return STATUS_OK;
    }
    if (WIRE_IS(value->name, "pg_name") || WIRE_IS(value->name, "comm_group")) {
        group_take(reading, value, node);
    } else if (WIRE_IS(value->name, "involved_dim") && value->kind == CHAKRA_VALUE_BOOLS &&
               value->is_partial) {
        node->has |= CHAKRA_IS_PARTIAL;
    }
    return STATUS_OK;
}

/* ---- nodes ------------------------------------------------------------------------------------------- */

void chakra_node_parent(struct chakra_reading *reading, struct chakra_node *node, bool is_ctrl, uint64_t id)
{
    DASSERT(!is_ctrl || node->data_count == 0);
    vec_push(reading->rank->arena, reading->parents, reading->parent_count, reading->parent_capacity) = id;
    *(is_ctrl ? &node->ctrl_count : &node->data_count) += 1;
}

enum status chakra_node_open(struct chakra_reading *reading, uint64_t id, struct wire_span name,
                             uint64_t type, uint64_t duration_us, struct chakra_node **out)
{
    struct chakra_rank *rank = reading->rank;
    struct chakra_node *node = *out = &reading->node;
    *node = (struct chakra_node){.id = id};
    reading->name = name;
    reading->parent_count = 0;
    job_builder_name_expect(rank->builder, (const char *)name.at, wire_bytes(name));
    if (rank->node_count == ID_NONE - 1) {
        return chakra_node_refuse(reading, node, "is one more than 32 bits can count");
    }
    if (type > CHAKRA__NODE_TYPE__COMM_COLL_NODE) {
        return chakra_node_refuse(reading, node, "has an unknown node type; expected 0 to 7");
    }
    if (duration_us > DURATION_US_MAX) {
        return chakra_node_refuse(reading, node, "lasts longer than a hundred days; the file is damaged");
    }
    node->type = (uint8_t)type;
    return STATUS_OK;
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

void chakra_node_close(struct chakra_reading *reading, struct chakra_node *node, uint64_t duration_us)
{
    if ((node->has & CHAKRA_HAS_DURATION_PS) == 0) {
        node->duration_ps = duration_us * PS_PER_US;
    }
    totals_add(reading->rank, node);
    node->name =
        job_builder_name(reading->rank->builder, (const char *)reading->name.at, wire_bytes(reading->name));
    chakra_rank_add(reading->rank, node, reading->parents);
}

/* ---- messages of the JSON reader ------------------------------------------------------------------------
 */

static struct wire_span text_span(const char *text)
{
    return (struct wire_span){(const uint8_t *)text, (const uint8_t *)text + strlen(text)};
}

static struct chakra_value message_value(const Chakra__AttributeProto *attr)
{
    struct chakra_value value = {.name = text_span(attr->name), .kind = CHAKRA_VALUE_OTHER};
    if (attr->value_case == CHAKRA__ATTRIBUTE_PROTO__VALUE_INT64_VAL) {
        value.kind = CHAKRA_VALUE_INTEGER;
        value.integer = attr->int64_val;
    } else if (attr->value_case == CHAKRA__ATTRIBUTE_PROTO__VALUE_STRING_VAL) {
        value.kind = CHAKRA_VALUE_TEXT;
        value.text = text_span(attr->string_val);
    }
    return value;
}

enum status chakra_node_convert(struct chakra_reading *reading, const Chakra__Node *from)
{
    struct chakra_node *node;
    enum status status = chakra_node_open(reading, from->id, text_span(from->name), (uint64_t)from->type,
                                          from->duration_micros, &node);
    if (status != STATUS_OK) {
        return status;
    }
    for (size_t i = 0; i < from->n_ctrl_deps; i++) {
        chakra_node_parent(reading, node, true, from->ctrl_deps[i]);
    }
    for (size_t i = 0; i < from->n_data_deps; i++) {
        chakra_node_parent(reading, node, false, from->data_deps[i]);
    }
    for (size_t i = 0; i < from->n_attr && status == STATUS_OK; i++) {
        struct chakra_value value = message_value(from->attr[i]);
        status = chakra_node_attribute(reading, node, &value);
    }
    chakra_node_close(reading, node, from->duration_micros);
    return status;
}
