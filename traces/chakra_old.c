/* Records of the Chakra schemas before October 2023 (proto2, the same framing), told apart by their content:
 *
 *     schema   when           node types        collectives           metadata   a node's facts
 *     EG       June 2023      1 MEM_LOAD ..     1 AR 2 A2A 3 AG 4 RS  none       fields 4 to 20
 *     V002     July 2023      6 COLL            0 AR 1 A2A 2 AG 3 RS  none       attributes: 5 int, 6 text
 *     V003     July 2023      1 METADATA,       as V002               none       attributes: 4 bool, 6 int, 7
 * text V004     August 2023    2 MEM_LOAD ..     as V002,              field 1    as V003; then 4 bool, 6
 * uint, 7 int, 7 COLL            then 4 BROADCAST      an attr.   8 text
 *
 * Scope: parents (field 4) are data dependencies, times are microseconds, communicator_id 0 is all ranks;
 * everything is brought into the current numbering and goes on as a node of today. Not modelled: tensor
 * places and shapes. Checked against: hand-made files (tests/test_chakra.c) only: no file of these schemas
 * has been published. Field numbers: mlcommons/chakra at ec3832c, 2719463, 9d917e3, b03abd2, 7bab792. */
#include "traces/chakra_node.h"

static enum status damaged(const struct chakra_reading *reading)
{
    return chakra_stream_refuse(
        reading->stream, reading->diag,
        "is no Node message of the older schema that the file is written in; it is damaged");
}

/* Attributes of a node, in all schemas but EG. */
#define FIELD_ATTRIBUTE 11

/* ---- which schema? --------------------------------------------------------------------------------------
 */

/* What the value of an attribute says: V002 has 5 int and 6 text, V003 4 bool, 6 int and 7 text. */
static enum chakra_schema attribute_schema(struct wire_span attribute)
{
    struct wire_field field;
    while (attribute.at < attribute.end && wire_next(&attribute, &field)) {
        bool is_number = field.type == WIRE_VARINT, is_text = field.type == WIRE_BYTES;
        bool is_float = field.type == WIRE_FIXED32;
        if ((field.number == 5 && is_number) || (field.number == 6 && is_text) ||
            (field.number == 4 && is_float)) {
            return CHAKRA_SCHEMA_V002;
        }
        if ((field.number == 4 && is_number) || (field.number == 6 && is_number) ||
            (field.number == 7 && is_text) || (field.number == 5 && is_float)) {
            return CHAKRA_SCHEMA_V003;
        }
    }
    return CHAKRA_SCHEMA_UNKNOWN;
}

/* What one node says. */
static enum chakra_schema record_schema(struct wire_span record)
{
    struct wire_field field;
    enum chakra_schema found = CHAKRA_SCHEMA_UNKNOWN;
    while (record.at < record.end && wire_next(&record, &field) && found == CHAKRA_SCHEMA_UNKNOWN) {
        if (field.number >= FIELD_ATTRIBUTE && field.number <= 20 && field.type == WIRE_VARINT) {
            found = CHAKRA_SCHEMA_EG;
        } else if (field.number == 7 && field.type == WIRE_VARINT) {
            found = CHAKRA_SCHEMA_EG; /* simulated_run_time, where later ones have texts */
        } else if (field.number == FIELD_ATTRIBUTE && field.type == WIRE_BYTES) {
            found = attribute_schema(field.bytes);
        } else if (field.number == 3 && field.type == WIRE_VARINT && field.value == 7) {
            found = CHAKRA_SCHEMA_V003; /* a type that the ones before do not have */
        }
    }
    return found;
}

static bool has_attribute_field(struct wire_span record)
{
    struct wire_field field;
    while (record.at < record.end && wire_next(&record, &field)) {
        if (field.number == FIELD_ATTRIBUTE) {
            return true;
        }
    }
    return false;
}

/* The next whole record of the head; false where none is left. */
static bool record_next(struct wire_span *head, struct wire_span *record)
{
    uint64_t length;
    if (!wire_varint(head, &length) || length > wire_bytes(*head)) {
        return false;
    }
    *record = (struct wire_span){head->at, head->at + length};
    head->at += length;
    return true;
}

enum chakra_schema chakra_schema_find(struct wire_span head)
{
    struct wire_span record;
    uint64_t length;
    struct wire_span rest = head;
    if (!wire_varint(&rest, &length)) {
        return CHAKRA_SCHEMA_CURRENT;
    }
    struct wire_span first = {rest.at, length < wire_bytes(rest) ? rest.at + length : rest.end};
    if (length > 0 && !chakra_record_is_old(first.at, wire_bytes(first), length)) {
        return CHAKRA_SCHEMA_CURRENT;
    }
    bool has_metadata = length == 0 || first.at[0] == 0x0a;
    if (length > 0 && has_metadata) {
        return CHAKRA_SCHEMA_V004;
    }
    enum chakra_schema found = has_metadata ? CHAKRA_SCHEMA_CURRENT : CHAKRA_SCHEMA_UNKNOWN;
    while (found == (has_metadata ? CHAKRA_SCHEMA_CURRENT : CHAKRA_SCHEMA_UNKNOWN) &&
           record_next(&head, &record)) {
        if (!has_metadata) {
            found = record_schema(record);
        } else if (has_attribute_field(record)) {
            found =
                CHAKRA_SCHEMA_V004; /* metadata without a word, and attributes where today there are none */
        }
    }
    return found;
}

/* ---- numbers of then to numbers of now ------------------------------------------------------------------
 */

/* Without METADATA, types count from MEM_LOAD = 1. */
static uint64_t type_now(const struct chakra_reading *reading, uint64_t type)
{
    bool is_shifted = reading->schema == CHAKRA_SCHEMA_EG || reading->schema == CHAKRA_SCHEMA_V002;
    return is_shifted && type > 0 ? type + 1 : type;
}

/* Out of range: what it was, which is refused where it is used. */
static int64_t collective_now(const struct chakra_reading *reading, int64_t kind)
{
    static const int64_t now[] = {
        CHAKRA__COLLECTIVE_COMM_TYPE__ALL_REDUCE, CHAKRA__COLLECTIVE_COMM_TYPE__ALL_TO_ALL,
        CHAKRA__COLLECTIVE_COMM_TYPE__ALL_GATHER, CHAKRA__COLLECTIVE_COMM_TYPE__REDUCE_SCATTER,
        CHAKRA__COLLECTIVE_COMM_TYPE__BROADCAST,
    };
    int64_t at = reading->schema == CHAKRA_SCHEMA_EG ? kind - 1 : kind;
    return at >= 0 && at < (int64_t)(sizeof now / sizeof now[0]) ? now[at] : UINT8_MAX;
}

/* ---- attributes -----------------------------------------------------------------------------------------
 */

/* No two schemas mean different things by one field and wire type, but for the sign of 6. */
static bool attribute_decode(struct wire_span message, struct chakra_value *value)
{
    *value = (struct chakra_value){.name = {NULL, NULL}};
    struct wire_field field;
    while (message.at < message.end) {
        if (!wire_next(&message, &field)) {
            return false;
        }
        if (field.number == 1 && field.type == WIRE_BYTES) {
            value->name = field.bytes;
        } else if (field.type == WIRE_VARINT && field.number >= 4 && field.number <= 7) {
            value->kind = CHAKRA_VALUE_INTEGER;
            value->integer = (int64_t)field.value;
        } else if (field.type == WIRE_BYTES && field.number >= 6 && field.number <= 8) {
            value->kind = CHAKRA_VALUE_TEXT;
            value->text = field.bytes;
        } else if (field.type == WIRE_VARINT && field.number >= 8 && field.number <= 9) {
            value->kind = CHAKRA_VALUE_BOOLS; /* a list, one field an entry */
            value->is_partial = value->is_partial || field.value == 0;
        } else if (field.number > 3 && value->kind == CHAKRA_VALUE_NONE) {
            value->kind = CHAKRA_VALUE_OTHER;
        }
    }
    return true;
}

static struct chakra_value integer_value(const char *name, int64_t integer)
{
    const uint8_t *at = (const uint8_t *)name;
    return (struct chakra_value){
        .name = {at, at + strlen(name)}, .kind = CHAKRA_VALUE_INTEGER, .integer = integer};
}

/* An attribute of the later schemas; a runtime goes to *duration_us. */
static enum status attribute_take(struct chakra_reading *reading, struct chakra_node *node,
                                  struct wire_span message, uint64_t *duration_us)
{
    struct chakra_value value;
    if (!attribute_decode(message, &value)) {
        return damaged(reading);
    }
    bool is_integer = value.kind == CHAKRA_VALUE_INTEGER && value.integer >= 0;
    if (is_integer && (WIRE_IS(value.name, "runtime") || WIRE_IS(value.name, "simulated_run_time"))) {
        *duration_us = (uint64_t)value.integer;
        return STATUS_OK;
    }
    if (is_integer && WIRE_IS(value.name, "comm_type")) {
        value.integer = collective_now(reading, value.integer);
    }
    return chakra_node_attribute(reading, node, &value);
}

/* Fields 4 to 20 of the first schema, as the attributes that they became. Its sends and receives name both
 * sides. */
static enum status field_take(struct chakra_reading *reading, struct chakra_node *node,
                              const struct wire_field *field)
{
    static const char *const names[] = {
        [6] = "tensor_size", [12] = "num_ops",  [13] = "comm_type", [15] = "comm_group",
        [16] = "comm_src",   [17] = "comm_dst", [18] = "comm_size", [19] = "comm_tag",
    };
    bool is_known = field->number < sizeof names / sizeof names[0] && names[field->number] != NULL;
    if (!is_known || field->type != WIRE_VARINT || field->value > INT64_MAX) {
        return STATUS_OK;
    }
    struct chakra_value value = integer_value(names[field->number], (int64_t)field->value);
    if (field->number == 13) {
        value.integer = collective_now(reading, value.integer);
    }
    return chakra_node_attribute(reading, node, &value);
}

/* ---- nodes ----------------------------------------------------------------------------------------------
 */

struct outline {
    uint64_t id, type, duration_us;
    struct wire_span name;
};

static bool outline_take(struct chakra_reading *reading, struct wire_span record, struct outline *outline)
{
    *outline = (struct outline){0};
    while (record.at < record.end) {
        struct wire_field field;
        if (!wire_next(&record, &field)) {
            return false;
        }
        bool is_number = field.type == WIRE_VARINT;
        if (field.number <= 3 && is_number != (field.number != 2)) {
            return false;
        }
        if (field.number == 1) {
            outline->id = field.value;
        } else if (field.number == 2) {
            outline->name = field.bytes;
        } else if (field.number == 3) {
            outline->type = type_now(reading, field.value);
        } else if (field.number == 7 && is_number && reading->schema == CHAKRA_SCHEMA_EG) {
            outline->duration_us = field.value;
        }
    }
    return true;
}

static bool parents_take(struct chakra_reading *reading, struct chakra_node *node,
                         const struct wire_field *field)
{
    struct wire_span list = field->bytes;
    if (field->type == WIRE_VARINT) {
        chakra_node_parent(reading, node, false, field->value);
        return true;
    }
    while (field->type == WIRE_BYTES && list.at < list.end) {
        uint64_t id;
        if (!wire_varint(&list, &id)) {
            return false;
        }
        chakra_node_parent(reading, node, false, id);
    }
    return field->type == WIRE_BYTES;
}

enum status chakra_old_decode(struct chakra_reading *reading, struct wire_span record)
{
    struct outline outline;
    struct chakra_node *node;
    if (!outline_take(reading, record, &outline)) {
        return damaged(reading);
    }
    enum status status =
        chakra_node_open(reading, outline.id, outline.name, outline.type, outline.duration_us, &node);
    while (status == STATUS_OK && record.at < record.end) {
        struct wire_field field;
        wire_next(&record, &field);
        if (field.number == 4) {
            status = parents_take(reading, node, &field) ? STATUS_OK : damaged(reading);
        } else if (reading->schema == CHAKRA_SCHEMA_EG) {
            status = field_take(reading, node, &field);
        } else if (field.number == FIELD_ATTRIBUTE && field.type == WIRE_BYTES) {
            status = attribute_take(reading, node, field.bytes, &outline.duration_us);
        }
    }
    if (status == STATUS_OK) {
        chakra_node_close(reading, node, outline.duration_us);
    }
    return status;
}
