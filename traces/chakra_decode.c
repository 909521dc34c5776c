/* Records of the current Chakra schema, in force since October 2023, decoded in place.
 *
 * Field numbers are those of traces/chakra.proto. As protobuf has it, fields may come in any order, of a
 * field given twice the last one counts, lists may be packed or not, unknown fields are passed over; a known
 * field of another wire type makes the record damaged. */
#include "traces/chakra_node.h"

#include "traces/comm_group.h"

static enum status damaged(const struct chakra_reading *reading)
{
    return chakra_stream_refuse(reading->stream, reading->diag, "is no Node message; the file is damaged");
}

/* ---- attributes -----------------------------------------------------------------------------------------
 */

enum { VALUE_FIRST = 3, VALUE_LAST = 32 };

/* Wire types of the values 3 to 32: odd numbers are scalars, even ones lists in messages of their own. */
static const uint8_t value_wire[VALUE_LAST + 1] = {
    [3] = WIRE_FIXED64,  [4] = WIRE_BYTES,    [5] = WIRE_FIXED32,  [6] = WIRE_BYTES,    [7] = WIRE_VARINT,
    [8] = WIRE_BYTES,    [9] = WIRE_VARINT,   [10] = WIRE_BYTES,   [11] = WIRE_VARINT,  [12] = WIRE_BYTES,
    [13] = WIRE_VARINT,  [14] = WIRE_BYTES,   [15] = WIRE_VARINT,  [16] = WIRE_BYTES,   [17] = WIRE_VARINT,
    [18] = WIRE_BYTES,   [19] = WIRE_FIXED32, [20] = WIRE_BYTES,   [21] = WIRE_FIXED64, [22] = WIRE_BYTES,
    [23] = WIRE_FIXED32, [24] = WIRE_BYTES,   [25] = WIRE_FIXED64, [26] = WIRE_BYTES,   [27] = WIRE_VARINT,
    [28] = WIRE_BYTES,   [29] = WIRE_BYTES,   [30] = WIRE_BYTES,   [31] = WIRE_BYTES,   [32] = WIRE_BYTES,
};

static int64_t unzigzag(uint64_t value)
{
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

static void unsigned_set(struct chakra_value *value, uint64_t number)
{
    value->kind = number <= INT64_MAX ? CHAKRA_VALUE_INTEGER : CHAKRA_VALUE_OTHER;
    value->integer = (int64_t)number;
}

/* Whether some entry of a BoolList is false. */
static bool bools_are_partial(struct wire_span list)
{
    struct wire_field field;
    bool is_partial = false;
    while (list.at < list.end && wire_next(&list, &field)) {
        if (field.number == 1 && field.type == WIRE_VARINT) {
            is_partial = is_partial || field.value == 0;
        }
        while (field.number == 1 && field.type == WIRE_BYTES && field.bytes.at < field.bytes.end) {
            uint64_t entry;
            if (!wire_varint(&field.bytes, &entry)) {
                break;
            }
            is_partial = is_partial || entry == 0;
        }
    }
    return is_partial;
}

/* Writers differ in the integer kind: comm_size is int64 here and uint64 there, is_cpu_op bool or int32. */
static void value_take(const struct wire_field *field, struct chakra_value *value)
{
    value->kind = CHAKRA_VALUE_INTEGER;
    switch (field->number) {
    case 7:  /* int32: negative numbers take ten bytes */
    case 23: /* sfixed32 */
        value->integer = (int32_t)(uint32_t)field->value;
        break;
    case 9:  /* int64 */
    case 25: /* sfixed64 */
        value->integer = (int64_t)field->value;
        break;
    case 11: /* uint32 */
    case 19: /* fixed32 */
        value->integer = (uint32_t)field->value;
        break;
    case 13: /* uint64 */
    case 21: /* fixed64 */
        unsigned_set(value, field->value);
        break;
    case 15: /* sint32 */
    case 17: /* sint64 */
        value->integer = unzigzag(field->value);
        break;
    case 27:
        value->integer = field->value != 0;
        break;
    case 28:
        value->kind = CHAKRA_VALUE_BOOLS;
        value->is_partial = bools_are_partial(field->bytes);
        break;
    case 29:
        value->kind = CHAKRA_VALUE_TEXT;
        value->text = field->bytes;
        break;
    default:
        value->kind = CHAKRA_VALUE_OTHER;
        break;
    }
}

static bool attribute_decode(struct wire_span message, struct chakra_value *value)
{
    *value = (struct chakra_value){.name = {NULL, NULL}};
    while (message.at < message.end) {
        struct wire_field field;
        if (!wire_next(&message, &field)) {
            return false;
        }
        bool is_value = field.number >= VALUE_FIRST && field.number <= VALUE_LAST;
        if ((is_value && field.type != value_wire[field.number]) ||
            (field.number <= 2 && field.type != WIRE_BYTES)) {
            return false;
        }
        if (field.number == 1) {
            value->name = field.bytes;
        } else if (is_value) {
            value_take(&field, value);
        }
    }
    return true;
}

/* ---- nodes ----------------------------------------------------------------------------------------------
 */

/* What of a node comes before its lists are looked at. */
struct outline {
    uint64_t id, type, duration_us;
    struct wire_span name, inputs;
    struct wire_span
        lists[3]; /* from the first to behind the last field of each; at is NULL where there is none */
};

/* The fields that are looked at again, each in a walk of its own. */
enum { LIST_CTRL, LIST_DATA, LIST_ATTRIBUTES };
static const uint32_t list_field[] = {[LIST_CTRL] = 4, [LIST_DATA] = 5, [LIST_ATTRIBUTES] = 10};

enum { FIELD_LAST = 10 };

/* 1 id, 3 type, 6 start time, 7 duration are numbers, 4 and 5 either, the others texts and messages. */
static bool is_of_type(const struct wire_field *field)
{
    static const uint16_t numbers = 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7;
    static const uint16_t texts = 1 << 2 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 10;
    uint16_t bit = (uint16_t)(1u << field->number);
    return (field->type == WIRE_VARINT && (numbers & bit) != 0) ||
           (field->type == WIRE_BYTES && (texts & bit) != 0);
}

static void list_note(struct wire_span *list, const uint8_t *at, const uint8_t *end)
{
    list->at = list->at == NULL ? at : list->at;
    list->end = end;
}

static bool outline_take(struct wire_span record, struct outline *outline)
{
    *outline = (struct outline){0};
    while (record.at < record.end) {
        struct wire_field field;
        const uint8_t *at = record.at;
        if (!wire_next(&record, &field) || (field.number <= FIELD_LAST && !is_of_type(&field))) {
            return false;
        }
        switch (field.number) {
        case 1:
            outline->id = field.value;
            break;
        case 2:
            outline->name = field.bytes;
            break;
        case 3:
            outline->type = field.value;
            break;
        case 4:
        case 5:
            list_note(&outline->lists[field.number - 4], at, record.at);
            break;
        case 10:
            list_note(&outline->lists[LIST_ATTRIBUTES], at, record.at);
            break;
        case 7:
            outline->duration_us = field.value;
            break;
        case 8:
            outline->inputs = field.bytes;
            break;
        default:
            break;
        }
    }
    return true;
}

/* The parents of one list, whichever way it is written. */
static bool parents_take(struct chakra_reading *reading, struct chakra_node *node, struct wire_span fields,
                         bool is_ctrl)
{
    struct wire_field field;
    while (fields.at < fields.end && wire_next(&fields, &field)) {
        if (field.number != list_field[is_ctrl ? LIST_CTRL : LIST_DATA]) {
            continue;
        }
        if (field.type == WIRE_VARINT) {
            chakra_node_parent(reading, node, is_ctrl, field.value);
            continue;
        }
        while (field.bytes.at < field.bytes.end) {
            uint64_t id;
            if (!wire_varint(&field.bytes, &id)) {
                return false;
            }
            chakra_node_parent(reading, node, is_ctrl, id);
        }
    }
    return true;
}

static enum status attributes_take(struct chakra_reading *reading, struct chakra_node *node,
                                   struct wire_span fields)
{
    struct wire_field field;
    enum status status = STATUS_OK;
    while (fields.at < fields.end && wire_next(&fields, &field) && status == STATUS_OK) {
        struct chakra_value value;
        if (field.number == list_field[LIST_ATTRIBUTES]) {
            status = attribute_decode(field.bytes, &value) ? chakra_node_attribute(reading, node, &value)
                                                           : damaged(reading);
        }
    }
    return status;
}

/* Communicators that a METADATA node describes in the first text of its inputs. */
static void inputs_take(struct chakra_reading *reading, struct wire_span inputs)
{
    struct chakra_rank *rank = reading->rank;
    struct wire_field field;
    const char *values = "";
    while (inputs.at < inputs.end && wire_next(&inputs, &field)) {
        if (field.number == 1 && field.type == WIRE_BYTES) {
            values = arena_strndup(rank->arena, (const char *)field.bytes.at, wire_bytes(field.bytes));
        }
    }
    comm_group_metadata(values, rank->arena, &rank->groups, &rank->group_count, &rank->group_capacity);
}

enum status chakra_node_decode(struct chakra_reading *reading, struct wire_span record)
{
    struct outline outline;
    struct chakra_node *node;
    if (!outline_take(record, &outline)) {
        return damaged(reading);
    }
    enum status status =
        chakra_node_open(reading, outline.id, outline.name, outline.type, outline.duration_us, &node);
    if (status != STATUS_OK) {
        return status;
    }
    if (!parents_take(reading, node, outline.lists[LIST_CTRL], true) ||
        !parents_take(reading, node, outline.lists[LIST_DATA], false)) {
        return damaged(reading);
    }
    status = attributes_take(reading, node, outline.lists[LIST_ATTRIBUTES]);
    if (node->type == CHAKRA__NODE_TYPE__METADATA_NODE && outline.inputs.at != NULL) {
        inputs_take(reading, outline.inputs);
    }
    chakra_node_close(reading, node, outline.duration_us);
    return status;
}
