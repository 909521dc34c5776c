/* Reader of Chakra's JSON variant, which its feeder takes beside protobuf.
 *
 *     {"workload_graph": [
 *        {"Id": 216, "Name": "aten::add", "NodeType": 4, "ctrlDeps": [3], "data_deps": [], "runtime": 318,
 *         "is_cpu_op": true},
 *        {"Id": 430, "Name": "all-reduce", "NodeType": 7, "data_deps": [216], "comm_type": 0, "comm_size":
 * 1048576}], "workload_name": "...", "ngpus": 8, "soc": "..."}
 *
 * Scope: the keys of Chakra's feeder, and num_ops, pg_name and root, which it does not read; runtime is
 * microseconds and may have a fraction. Nodes become the messages of the protobuf schema and take the same
 * way from there (chakra_et.c). Not modelled: comm_priority, and keys of no meaning, which are passed over.
 * Not a Chakra trace, and refused by name: PyTorch's execution trace, from which Chakra's converter makes
 * one. Checked against: the JSON traces in mlcommons/chakra's tests, and hand-made ones in
 * tests/test_chakra_json.c. */
#include "traces/chakra_json.h"

#include "traces/byte_stream.h"

#include "photonet/units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As long as a record of the protobuf variant may be. */
#define TOKEN_BYTES_MAX ((size_t)32 << 20)
#define DEPTH_MAX       64

bool chakra_head_is_json(const uint8_t *head, size_t bytes)
{
    static const char key_letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    const char *text = (const char *)head, *end = text + bytes;
    static const char spaces[] = " \t\r\n", begin[] = "{\"";
    for (size_t i = 0; i < 2; i++) { /* brace and quote, with spaces before each */
        while (text < end && *text != '\0' && strchr(spaces, *text) != NULL) {
            text++;
        }
        if (text == end || *text++ != begin[i]) {
            return false;
        }
    }
    /* A record of 123 bytes begins with '{' too, but not with a JSON key. */
    while (text < end && *text != '\0' && strchr(key_letters, *text) != NULL) {
        text++;
    }
    return end - text >= 2 && text[0] == '"' && (text[1] == ':' || text[1] == ' ');
}

/* ---- tokens ------------------------------------------------------------------------------------------ */

/* The kinds of token are the characters that they begin with; and these: */
enum { TOKEN_END = 0, TOKEN_STRING = '"', TOKEN_NUMBER = '0', TOKEN_WORD = 'w' };

struct json {
    struct byte_stream *stream;
    const char *path;
    struct diag *diag;
    uint32_t line;
    char kind;
    char *text;              /* of a string, a number or a word, ended by 0; good until the next token */
    char text_after;         /* what stood where the 0 is */
    size_t length, consumed; /* bytes of the token still in the stream */
};

static enum status refuse(const struct json *json, const char *what)
{
    struct origin at = {.path = json->path, .line = json->line};
    return diag_input(json->diag, at, "%s", what);
}

static enum status spaces_skip(struct json *json)
{
    for (;;) {
        uint8_t *bytes;
        size_t count;
        enum status status = byte_stream_peek(json->stream, 1, &bytes, &count, json->diag);
        if (status != STATUS_OK || count == 0) {
            return status;
        }
        size_t at = 0;
        while (at < count &&
               (bytes[at] == ' ' || bytes[at] == '\t' || bytes[at] == '\r' || bytes[at] == '\n')) {
            json->line += bytes[at++] == '\n';
        }
        byte_stream_skip(json->stream, at);
        if (at < count) {
            return STATUS_OK;
        }
    }
}

static int hex_digits(const uint8_t *at)
{
    int value = 0;
    for (int i = 0; i < 4; i++) {
        int digit = at[i] >= '0' && at[i] <= '9'   ? at[i] - '0'
                    : at[i] >= 'a' && at[i] <= 'f' ? at[i] - 'a' + 10
                    : at[i] >= 'A' && at[i] <= 'F' ? at[i] - 'A' + 10
                                                   : -1;
        if (digit < 0) {
            return -1;
        }
        value = 16 * value + digit;
    }
    return value;
}

static size_t utf8_put(uint8_t *to, uint32_t letter)
{
    if (letter < 0x80) {
        to[0] = (uint8_t)letter;
        return 1;
    }
    size_t count = letter < 0x800 ? 2 : letter < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = count - 1; i > 0; i--) {
        to[i] = (uint8_t)(0x80 | (letter & 0x3f));
        letter >>= 6;
    }
    to[0] = (uint8_t)(lead[count] | letter);
    return count;
}

/* Reads the four digits (or eleven, of a pair) behind "\u"; returns bytes read, 0 where they are wrong. */
static size_t escape_read(const uint8_t *at, const uint8_t *end, uint32_t *letter)
{
    int high = end - at >= 4 ? hex_digits(at) : -1;
    if (high < 0) {
        return 0;
    }
    *letter = (uint32_t)high;
    if (high < 0xd800 || high > 0xdfff) {
        return 4;
    }
    int low = end - at >= 10 && at[4] == '\\' && at[5] == 'u' ? hex_digits(at + 6) : -1;
    if (high > 0xdbff || low < 0xdc00 || low > 0xdfff) {
        return 0;
    }
    *letter = 0x10000 + (((uint32_t)high - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
    return 10;
}

/* Resolves escapes in place: what they stand for is never longer. */
static enum status string_decode(struct json *json, uint8_t *bytes, size_t count)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    const uint8_t *at = bytes, *end = bytes + count;
    uint8_t *to = bytes;
    while (at < end) {
        if (*at < 0x20) {
            return refuse(json, "holds a control character in a string; the file is damaged");
        }
        if (*at != '\\') {
            *to++ = *at++;
            continue;
        }
        at++;
        uint32_t letter = 0;
        const char *found = at < end && *at != '\0' ? strchr(letters, *at) : NULL;
        size_t used = 1;
        if (found != NULL) {
            letter = (uint8_t)meanings[found - letters];
        } else if (at < end && *at == 'u') {
            used += escape_read(at + 1, end, &letter);
        }
        if (letter == 0 || (found == NULL && used == 1)) {
            return refuse(
                json,
                "holds an unknown escape in a string; expected \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX");
        }
        at += used;
        to += utf8_put(to, letter);
    }
    *to = '\0';
    json->text = (char *)bytes;
    json->length = (size_t)(to - bytes);
    return STATUS_OK;
}

static enum status string_read(struct json *json)
{
    size_t at = 1, count = 0;
    uint8_t *bytes;
    for (size_t wanted = 256;; wanted *= 2) {
        enum status status = byte_stream_peek(json->stream, wanted, &bytes, &count, json->diag);
        if (status != STATUS_OK) {
            return status;
        }
        while (at < count && bytes[at] != '"') {
            at += bytes[at] == '\\' ? 2 : 1;
        }
        if (at < count) {
            break;
        }
        if (count < wanted || count > TOKEN_BYTES_MAX) {
            return refuse(json, count < wanted ? "ends within a string; it is truncated"
                                               : "holds a string longer than 32 MiB");
        }
    }
    json->consumed = at + 1;
    return string_decode(json, bytes + 1, at - 1);
}

/* A number, true, false or null. */
static enum status word_read(struct json *json)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.";
    uint8_t *bytes;
    size_t count, length = 0;
    enum status status = byte_stream_peek(json->stream, 128, &bytes, &count, json->diag);
    if (status != STATUS_OK) {
        return status;
    }
    while (length < count && bytes[length] != '\0' && strchr(letters, bytes[length]) != NULL) {
        length++;
    }
    if (length == 0 || length > 64) {
        return refuse(json, "is no JSON here; expected a value");
    }
    json->kind = bytes[0] == '-' || (bytes[0] >= '0' && bytes[0] <= '9') ? TOKEN_NUMBER : TOKEN_WORD;
    json->text = (char *)bytes;
    json->length = json->consumed = length;
    json->text_after = json->text[length];
    json->text[length] = '\0';
    return STATUS_OK;
}

/* Goes on to the next token. The bytes of the last one are given up only now, so that its text stays good. */
static enum status token_next(struct json *json)
{
    if (json->kind == TOKEN_NUMBER || json->kind == TOKEN_WORD) {
        json->text[json->length] = json->text_after;
    }
    byte_stream_skip(json->stream, json->consumed);
    json->consumed = json->length = 0;
    json->kind = TOKEN_END;
    enum status status = spaces_skip(json);
    uint8_t *bytes;
    size_t count = 0;
    status = status == STATUS_OK ? byte_stream_peek(json->stream, 1, &bytes, &count, json->diag) : status;
    if (status != STATUS_OK || count == 0) {
        return status;
    }
    json->kind = (char)bytes[0];
    if (bytes[0] != '\0' && strchr("{}[]:,", bytes[0]) != NULL) {
        json->consumed = 1;
        return STATUS_OK;
    }
    return bytes[0] == '"' ? string_read(json) : word_read(json);
}

static enum status token_expect(struct json *json, char kind, const char *what)
{
    enum status status = token_next(json);
    return status == STATUS_OK && json->kind != kind
               ? refuse(json, json->kind == TOKEN_END ? "ends too early; it is truncated" : what)
               : status;
}

/* Passes over the value that begins with the current token. */
static enum status value_skip(struct json *json)
{
    unsigned depth = 0;
    for (;;) {
        if (json->kind == TOKEN_END) {
            return refuse(json, "ends too early; it is truncated");
        }
        depth += json->kind == '{' || json->kind == '[';
        bool is_close = json->kind == '}' || json->kind == ']';
        if (depth > DEPTH_MAX || (is_close && depth == 0)) {
            return refuse(json, "is no JSON here; expected a value");
        }
        depth -= is_close;
        if (depth == 0) {
            return json->kind == ':' || json->kind == ',' ? refuse(json, "is no JSON here; expected a value")
                                                          : STATUS_OK;
        }
        enum status status = token_next(json);
        if (status != STATUS_OK) {
            return status;
        }
    }
}

/* ---- nodes ------------------------------------------------------------------------------------------- */

enum { ATTRIBUTE_MAX = 12 };

struct node_reading {
    struct json *json;
    struct arena *arena;
    Chakra__Node node;
    bool has_id, has_type;
    uint64_t *ctrl_deps, *data_deps;
    size_t ctrl_capacity, data_capacity;
    size_t ctrl_count, data_count;
    char *name;
    size_t name_capacity;
    char group[128];
    Chakra__AttributeProto attributes[ATTRIBUTE_MAX];
    Chakra__AttributeProto *attribute_list[ATTRIBUTE_MAX];
};

static enum status key_refuse(const struct node_reading *reading, const char *key, const char *expected)
{
    struct origin at = {.path = reading->json->path, .line = reading->json->line};
    return diag_input(reading->json->diag, at, "node %" PRIu64 " \"%.100s\": %.40s is \"%.40s\"; expected %s",
                      reading->node.id, reading->node.name, key,
                      reading->json->text == NULL || reading->json->length == 0 ? "no value"
                                                                                : reading->json->text,
                      expected);
}

/* The current token as a whole number; true and false are 1 and 0. */
static bool whole_number(const struct json *json, int64_t *value)
{
    if (json->kind == TOKEN_WORD) {
        *value = strcmp(json->text, "true") == 0;
        return *value != 0 || strcmp(json->text, "false") == 0;
    }
    char *end;
    errno = 0;
    *value = json->kind == TOKEN_NUMBER ? strtoll(json->text, &end, 10) : 0;
    return json->kind == TOKEN_NUMBER && *end == '\0' && errno == 0;
}

static enum status integer_read(struct node_reading *reading, const char *key, int64_t low, int64_t *value)
{
    bool is_good = whole_number(reading->json, value) && *value >= low;
    return is_good ? STATUS_OK
                   : key_refuse(reading, key, low == 0 ? "a whole number from 0" : "a whole number");
}

static Chakra__AttributeProto *attribute_add(struct node_reading *reading, const char *name)
{
    Chakra__AttributeProto *attribute = &reading->attributes[reading->node.n_attr];
    if (reading->node.n_attr == ATTRIBUTE_MAX) {
        attribute = &reading->attributes[--reading->node.n_attr]; /* keys given twice: the last one counts */
    }
    chakra__attribute_proto__init(attribute);
    attribute->name = (char *)(uintptr_t)name;
    reading->attribute_list[reading->node.n_attr++] = attribute;
    return attribute;
}

static void integer_add(struct node_reading *reading, const char *name, int64_t value)
{
    Chakra__AttributeProto *attribute = attribute_add(reading, name);
    attribute->value_case = CHAKRA__ATTRIBUTE_PROTO__VALUE_INT64_VAL;
    attribute->int64_val = value;
}

static enum status deps_read(struct node_reading *reading, const char *key, uint64_t **deps, size_t *capacity,
                             size_t *count)
{
    struct json *json = reading->json;
    *count = 0;
    if (json->kind != '[') {
        return key_refuse(reading, key, "a list of node ids");
    }
    enum status status = token_next(json);
    while (status == STATUS_OK && json->kind != ']') {
        int64_t id;
        status = integer_read(reading, key, 0, &id);
        if (status == STATUS_OK) {
            vec_push(reading->arena, *deps, *count, *capacity) = (uint64_t)id;
            status = token_next(json);
        }
        if (status == STATUS_OK && json->kind == ',') {
            status = token_next(json);
        } else if (status == STATUS_OK && json->kind != ']') {
            status = key_refuse(reading, key, "a list of node ids");
        }
    }
    return status;
}

/* Microseconds; a fraction becomes picoseconds. */
static enum status runtime_read(struct node_reading *reading, const char *key)
{
    int64_t whole;
    if (whole_number(reading->json, &whole) && whole >= 0) {
        reading->node.duration_micros = (uint64_t)whole;
        return STATUS_OK;
    }
    char *end = NULL;
    double micros = reading->json->kind == TOKEN_NUMBER ? strtod(reading->json->text, &end) : -1.0;
    if (end == NULL || *end != '\0' || !(micros >= 0.0 && micros < 1e12)) {
        return key_refuse(reading, key, "microseconds from 0, less than 12 days");
    }
    integer_add(reading, "duration_ps", (int64_t)(micros * (double)PS_PER_US + 0.5));
    return STATUS_OK;
}

static enum status name_read(struct node_reading *reading, const char *key)
{
    struct json *json = reading->json;
    if (json->kind != TOKEN_STRING) {
        return key_refuse(reading, key, "a text");
    }
    if (json->length + 1 > reading->name_capacity) {
        reading->name_capacity = 2 * (json->length + 1);
        reading->name = arena_alloc(reading->arena, reading->name_capacity);
    }
    memcpy(reading->name, json->text, json->length + 1);
    reading->node.name = reading->name;
    return STATUS_OK;
}

static enum status group_read(struct node_reading *reading, const char *key)
{
    struct json *json = reading->json;
    if ((json->kind != TOKEN_STRING && json->kind != TOKEN_NUMBER) || json->length >= sizeof reading->group) {
        return key_refuse(reading, key, "the name of a group");
    }
    memcpy(reading->group, json->text, json->length + 1);
    Chakra__AttributeProto *attribute = attribute_add(reading, "pg_name");
    attribute->value_case = CHAKRA__ATTRIBUTE_PROTO__VALUE_STRING_VAL;
    attribute->string_val = reading->group;
    return STATUS_OK;
}

static bool is_key(const char *key, const char *one, const char *other)
{
    return strcmp(key, one) == 0 || strcmp(key, other) == 0;
}

/* Ids and types stand in fields of the message, the rest in attributes. */
static enum status field_read(struct node_reading *reading, const char *key)
{
    static const char *const integers[] = {"is_cpu_op", "comm_type", "comm_size", "comm_src",   "comm_dst",
                                           "comm_tag",  "num_ops",   "root",      "tensor_size"};
    int64_t value = 0;
    enum status status;
    if (is_key(key, "Id", "id")) {
        status = integer_read(reading, key, 0, &value);
        reading->node.id = (uint64_t)value;
        reading->has_id = true;
        return status;
    }
    if (is_key(key, "NodeType", "type")) {
        status = integer_read(reading, key, 0, &value);
        reading->node.type = value > UINT8_MAX ? UINT8_MAX : (Chakra__NodeType)value;
        reading->has_type = true;
        return status;
    }
    if (is_key(key, "Name", "name")) {
        return name_read(reading, key);
    }
    if (is_key(key, "ctrlDeps", "ctrl_deps")) {
        return deps_read(reading, key, &reading->ctrl_deps, &reading->ctrl_capacity, &reading->ctrl_count);
    }
    if (is_key(key, "data_deps", "dataDeps")) {
        return deps_read(reading, key, &reading->data_deps, &reading->data_capacity, &reading->data_count);
    }
    if (is_key(key, "runtime", "duration_micros")) {
        return runtime_read(reading, key);
    }
    if (is_key(key, "pg_name", "comm_group")) {
        return group_read(reading, key);
    }
    for (size_t i = 0; i < sizeof integers / sizeof integers[0]; i++) {
        if (strcmp(integers[i], key) == 0) {
            status = integer_read(reading, key, INT64_MIN, &value);
            integer_add(reading, integers[i], value);
            return status;
        }
    }
    return value_skip(reading->json);
}

/* The members of an object whose brace is the current token, up to its end. */
static enum status members_read(struct json *json, enum status (*member)(void *context, const char *key),
                                void *context)
{
    enum status status = token_next(json);
    while (status == STATUS_OK && json->kind != '}') {
        char key[64];
        if (json->kind != TOKEN_STRING) {
            return refuse(json, json->kind == TOKEN_END ? "ends too early; it is truncated"
                                                        : "is no JSON here; expected a key");
        }
        snprintf(key, sizeof key, "%.63s", json->text);
        status = token_expect(json, ':', "is no JSON here; expected a colon");
        status = status == STATUS_OK ? token_next(json) : status;
        status = status == STATUS_OK ? member(context, key) : status;
        status = status == STATUS_OK ? token_next(json) : status;
        if (status == STATUS_OK && json->kind == ',') {
            status = token_next(json);
        } else if (status == STATUS_OK && json->kind != '}') {
            return refuse(json, json->kind == TOKEN_END ? "ends too early; it is truncated"
                                                        : "is no JSON here; expected a comma or a brace");
        }
    }
    return status;
}

static enum status node_member(void *context, const char *key)
{
    return field_read(context, key);
}

static enum status node_read(struct node_reading *reading)
{
    chakra__node__init(&reading->node);
    reading->node.name = (char *)(uintptr_t) "";
    reading->node.attr = reading->attribute_list;
    reading->has_id = reading->has_type = false;
    reading->ctrl_count = reading->data_count = 0;
    if (reading->json->kind != '{') {
        bool is_end = reading->json->kind == TOKEN_END;
        return refuse(reading->json,
                      is_end ? "ends too early; it is truncated"
                             : "workload_graph holds something else than nodes; expected objects");
    }
    enum status status = members_read(reading->json, node_member, reading);
    if (status == STATUS_OK && (!reading->has_id || !reading->has_type)) {
        struct origin at = {.path = reading->json->path, .line = reading->json->line};
        status = diag_input(reading->json->diag, at, "node %" PRIu64 " \"%.100s\" has no %s; expected one",
                            reading->node.id, reading->node.name, reading->has_id ? "NodeType" : "Id");
    }
    reading->node.ctrl_deps = reading->ctrl_deps;
    reading->node.n_ctrl_deps = reading->ctrl_count;
    reading->node.data_deps = reading->data_deps;
    reading->node.n_data_deps = reading->data_count;
    return status;
}

/* ---- the file ---------------------------------------------------------------------------------------- */

struct file_reading {
    struct node_reading node;
    enum status (*take)(void *context, const Chakra__Node *node);
    void *context;
    bool has_graph, has_pytorch_nodes;
};

static enum status graph_read(struct file_reading *reading)
{
    struct json *json = reading->node.json;
    reading->has_graph = true;
    if (json->kind != '[') {
        return refuse(json, "workload_graph is no list; expected the nodes");
    }
    enum status status = token_next(json);
    while (status == STATUS_OK && json->kind != ']') {
        status = node_read(&reading->node);
        status = status == STATUS_OK ? reading->take(reading->context, &reading->node.node) : status;
        status = status == STATUS_OK ? token_next(json) : status;
        if (status == STATUS_OK && json->kind == ',') {
            status = token_next(json);
        } else if (status == STATUS_OK && json->kind != ']') {
            status = refuse(json, json->kind == TOKEN_END
                                      ? "ends too early; it is truncated"
                                      : "is no JSON here; expected a comma or the end of the list");
        }
    }
    return status;
}

static enum status file_member(void *context, const char *key)
{
    struct file_reading *reading = context;
    if (strcmp(key, "workload_graph") == 0) {
        return graph_read(reading);
    }
    reading->has_pytorch_nodes |= strcmp(key, "nodes") == 0;
    return value_skip(reading->node.json);
}

static enum status file_read(struct file_reading *reading)
{
    struct json *json = reading->node.json;
    enum status status = token_expect(json, '{', "is no JSON object");
    status = status == STATUS_OK ? members_read(json, file_member, reading) : status;
    status = status == STATUS_OK ? token_next(json) : status;
    if (status == STATUS_OK && json->kind != TOKEN_END) {
        return refuse(json, "goes on behind its end; expected one JSON object");
    }
    if (status == STATUS_OK && !reading->has_graph) {
        struct origin at = {.path = json->path};
        return diag_input(
            json->diag, at, "%s; expected Chakra's workload_graph",
            reading->has_pytorch_nodes
                ? "is a PyTorch execution trace, from which chakra_converter makes a Chakra trace"
                : "is JSON without workload_graph");
    }
    return status;
}

enum status chakra_json_read(const char *path, struct arena *arena,
                             enum status (*take)(void *context, const Chakra__Node *node), void *context,
                             struct diag *diag)
{
    struct json json = {.path = path, .diag = diag, .line = 1};
    enum status status = byte_stream_open(path, arena, &json.stream, diag);
    if (status == STATUS_OK) {
        struct file_reading reading = {
            .node = {.json = &json, .arena = arena}, .take = take, .context = context};
        status = file_read(&reading);
    }
    byte_stream_close(json.stream);
    return status;
}
