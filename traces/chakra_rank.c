/* One rank's Chakra file as a compact table: see chakra_rank.h.
 *
 * Facts about the files (which attributes carry which integer kind, what the older schemas looked like) are
 * from the MLCommons Chakra and ASTRA-sim repositories and the trace files in them. */
#include "traces/chakra_rank.h"

#include "traces/chakra_json.h"
#include "traces/chakra_node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So much of a file decides its schema. */
#define HEAD_BYTES ((size_t)64 << 10)

/* ---- reading ----------------------------------------------------------------------------------------- */

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
bool chakra_record_is_old(const uint8_t *record, size_t shown, size_t record_bytes)
{
    if (shown < 2) {
        return false;
    }
    bool is_node = record[0] == 0x08 || (record[0] == 0x18 && record[1] <= 7);
    return is_node || (record[0] == 0x0a && record[1] < 0x80 && (size_t)record[1] + 2 <= record_bytes &&
                       is_attribute(record + 2, shown - 2, record[1]));
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
           (is_metadata(record, shown, length) || chakra_record_is_old(record, shown, length));
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

static void metadata_keep(struct chakra_rank *rank, const Chakra__GlobalMetadata *metadata)
{
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

static enum status metadata_read(struct chakra_reading *reading)
{
    const uint8_t *record;
    uint32_t bytes;
    enum status status = chakra_stream_next(reading->stream, &record, &bytes, reading->diag);
    if (status != STATUS_OK || reading->schema != CHAKRA_SCHEMA_CURRENT) {
        return status; /* what the older metadata say is of no use here */
    }
    const Chakra__GlobalMetadata *metadata =
        chakra__global_metadata__unpack(chakra_stream_scratch(reading->stream), bytes, record);
    if (metadata == NULL) {
        return chakra_stream_refuse(reading->stream, reading->diag,
                                    "is no GlobalMetadata message; the file is damaged or no Chakra trace");
    }
    metadata_keep(reading->rank, metadata);
    return STATUS_OK;
}

static enum status nodes_read(struct chakra_reading *reading)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK) {
        const uint8_t *record;
        uint32_t bytes;
        status = chakra_stream_next(reading->stream, &record, &bytes, reading->diag);
        if (status != STATUS_OK || record == NULL) {
            return status;
        }
        struct wire_span span = {record, record + bytes};
        status = reading->schema == CHAKRA_SCHEMA_CURRENT ? chakra_node_decode(reading, span)
                                                          : chakra_old_decode(reading, span);
    }
    return status;
}

static enum status schema_unknown(const struct chakra_reading *reading)
{
    return diag_input(reading->diag, (struct origin){.path = reading->rank->path},
                      "is written in a Chakra schema older than \"0.0.4\" (proto2, before August 2023), and no node "
                      "tells which: without attributes or fields above 10 its types have two meanings; expected "
                      "the current schema: convert it again with a current Chakra");
}

/* The rest of a file of protobuf. */
static enum status records_read(struct chakra_reading *reading, struct wire_span head)
{
    reading->schema = reading->rank->version = chakra_schema_find(head);
    if (reading->schema == CHAKRA_SCHEMA_UNKNOWN) {
        return schema_unknown(reading);
    }
    bool has_metadata = reading->schema == CHAKRA_SCHEMA_CURRENT || reading->schema == CHAKRA_SCHEMA_V004;
    enum status status = has_metadata ? metadata_read(reading) : STATUS_OK;
    return status == STATUS_OK ? nodes_read(reading) : status;
}

static enum status json_take(void *context, const Chakra__Node *node)
{
    return chakra_node_convert(context, node);
}

/* The rest of a file whose head is good. */
static enum status file_read(struct chakra_reading *reading)
{
    struct chakra_rank *rank = reading->rank;
    const uint8_t *head;
    size_t bytes;
    enum status status = chakra_stream_head(reading->stream, HEAD_BYTES, &head, &bytes, reading->diag);
    if (status == STATUS_OK && chakra_head_is_json(head, bytes)) {
        return chakra_json_read(rank->path, rank->arena, json_take, reading, reading->diag);
    }
    return status == STATUS_OK ? records_read(reading, (struct wire_span){head, head + bytes}) : status;
}

enum status chakra_rank_read(const char *path, struct arena *arena, struct job_builder *builder,
                             struct chakra_rank *rank, struct diag *diag)
{
    *rank = (struct chakra_rank){
        .arena = arena, .builder = builder, .path = path, .schema = "", .scale = 1.0, .nodes = {.arena = arena}};
    struct chakra_reading reading = {.rank = rank, .diag = diag};
    enum status status = chakra_stream_open(path, arena, &reading.stream, diag);
    if (status != STATUS_OK) {
        return status;
    }
    status = head_check(reading.stream, path, diag);
    status = status == STATUS_OK ? file_read(&reading) : status;
    chakra_stream_close(reading.stream);
    arena_free(reading.groups.slot_arena);
    return status == STATUS_OK ? chakra_rank_link(rank, diag) : status;
}
