/* Builds the tree from libyaml's events.
 *
 * Invariants:
 *   1. stack[0 .. depth) are the maps and lists that are open; the rest of the tree is complete.
 *   2. An alias shares the children of its anchor, so that it costs one node of memory. What bounds the tree
 *      is what a reader would walk: node_count counts the shared nodes again at every alias.
 *   3. A scalar, and whatever stands in a list, is at its own first character. A map or list under a key is
 *      at its key: that is the line to name where something is missing from it, and a block map would
 *      otherwise be at the first key inside.
 * A copy by alias keeps the position of the anchored text, since that is the text to correct. */
#include "photonet/doc.h"

#include "photonet/input.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>
#include <yaml.h>

#define DEPTH_MAX      64
#define NODE_COUNT_MAX ((size_t)4 << 20)
/* 16 bytes for each of the nodes allowed. A larger file is no configuration. */
#define FILE_BYTES_MAX  ((size_t)64 << 20)
#define SLOT_COUNT_MIN  ((size_t)64)
#define READ_BYTES_MIN  ((size_t)64 << 10)
#define SHOWN_BYTES_MAX 80 /* of a key in a message */

/* A finished piece that aliases may refer to. */
struct anchor {
    const struct doc *node;
    size_t node_count; /* of the node and all below */
    uint32_t height;   /* 0 for a scalar */
};

/* One table holds the keys of every map (map = the map, node = what stands under the key) and the anchors
 * (map = NULL). */
struct slot {
    const struct doc *map;
    const char *name; /* NULL = empty */
    struct origin at;
    struct anchor anchor;
};

/* A map or list that is open. */
struct level {
    struct doc *node;
    struct doc *last;      /* last child so far */
    const char *key;       /* read, its value is due; NULL = none */
    struct origin key_at;  /* of that key */
    const char *anchor;    /* NULL = none */
    size_t node_count_low; /* nodes before this one */
    uint32_t height;
};

struct reader {
    yaml_parser_t yaml;
    const char *text;
    size_t text_bytes;
    const char *path;
    struct arena *arena;   /* the tree */
    struct arena *scratch; /* what is needed while reading */
    struct diag *diag;
    struct doc *root;
    struct level stack[DEPTH_MAX];
    uint32_t depth;
    size_t node_count;
    struct slot *slots;
    size_t slot_count; /* a power of two */
    size_t slot_used_count;
};

/* ---- positions ----------------------------------------------------------------------------------------- */

static uint32_t position_clamp(size_t position)
{
    return position < UINT32_MAX ? (uint32_t)position + 1 : UINT32_MAX;
}

static struct origin origin_of(const struct reader *reader, yaml_mark_t mark)
{
    return (struct origin){
        .path = reader->path, .line = position_clamp(mark.line), .column = position_clamp(mark.column)};
}

/* libyaml names the byte where text stops being text, not the line. */
static struct origin origin_of_byte(const struct reader *reader, size_t offset)
{
    yaml_mark_t mark = {0};
    for (size_t i = 0; i < offset && i < reader->text_bytes; i++) {
        unsigned char byte = (unsigned char)reader->text[i];
        if (byte == '\n') {
            mark.line++;
            mark.column = 0;
        } else if ((byte & 0xc0) != 0x80) {
            mark.column++;
        }
    }
    return origin_of(reader, mark);
}

/* ---- the table of keys and anchors --------------------------------------------------------------------- */

static struct slot *slot_find(struct slot *slots, size_t slot_count, const struct doc *map, const char *name)
{
    size_t place = XXH3_64bits_withSeed(name, strlen(name), (uintptr_t)map) & (slot_count - 1);
    while (slots[place].name != NULL && (slots[place].map != map || strcmp(slots[place].name, name) != 0)) {
        place = (place + 1) & (slot_count - 1);
    }
    return &slots[place];
}

static void slots_double(struct reader *reader)
{
    size_t slot_count = reader->slot_count > 0 ? reader->slot_count * 2 : SLOT_COUNT_MIN;
    struct slot *slots = arena_array(reader->scratch, slot_count, struct slot);
    for (size_t i = 0; i < reader->slot_count; i++) {
        if (reader->slots[i].name != NULL) {
            *slot_find(slots, slot_count, reader->slots[i].map, reader->slots[i].name) = reader->slots[i];
        }
    }
    reader->slots = slots;
    reader->slot_count = slot_count;
}

/* The slot of (map, name), which is empty (name == NULL) where there is none yet. */
static struct slot *slot_get(struct reader *reader, const struct doc *map, const char *name)
{
    if (reader->slot_used_count * 2 >= reader->slot_count) {
        slots_double(reader);
    }
    return slot_find(reader->slots, reader->slot_count, map, name);
}

static void slot_fill(struct reader *reader, struct slot *slot, const struct doc *map, const char *name)
{
    reader->slot_used_count += slot->name == NULL;
    slot->map = map;
    slot->name = name;
}

static void anchor_add(struct reader *reader, const char *name, struct anchor anchor)
{
    if (name == NULL) {
        return;
    }
    /* YAML lets an anchor be given again; the latest one counts. */
    struct slot *slot = slot_get(reader, NULL, name);
    slot_fill(reader, slot, NULL, name);
    slot->anchor = anchor;
}

/* ---- building the tree --------------------------------------------------------------------------------- */

static enum status nodes_count(struct reader *reader, size_t added, struct origin at)
{
    if (added > NODE_COUNT_MAX - reader->node_count) {
        return diag_input(reader->diag, at,
                          "more than %zu pieces, aliases expanded; expected a smaller document",
                          NODE_COUNT_MAX);
    }
    reader->node_count += added;
    return STATUS_OK;
}

/* height: how many levels the node adds to those that are open. */
static enum status depth_check(struct reader *reader, uint32_t height, struct origin at)
{
    if (reader->depth + height > DEPTH_MAX) {
        return diag_input(reader->diag, at, "nested more than %d deep; expected a flatter document",
                          DEPTH_MAX);
    }
    return STATUS_OK;
}

static struct level *top_level(struct reader *reader)
{
    return reader->depth > 0 ? &reader->stack[reader->depth - 1] : NULL;
}

static bool is_key_due(struct reader *reader)
{
    const struct level *top = top_level(reader);
    return top != NULL && top->node->kind == DOC_MAP && top->key == NULL;
}

static enum status key_take(struct reader *reader, const char *key, struct origin at)
{
    struct level *top = top_level(reader);
    if (strcmp(key, "<<") == 0) {
        return diag_input(reader->diag, at,
                          "merge key \"<<\" is not supported; expected the keys themselves");
    }
    struct slot *slot = slot_get(reader, top->node, key);
    if (slot->name != NULL) {
        return diag_input(reader->diag, at, "key \"%.*s\" is given twice; the first is in line %u",
                          SHOWN_BYTES_MAX, key, (unsigned)slot->at.line);
    }
    slot_fill(reader, slot, top->node, key);
    slot->at = at;
    top->key = key;
    top->key_at = at;
    return STATUS_OK;
}

/* Hangs a node where the parser stands. */
static void node_attach(struct reader *reader, struct doc *node, uint32_t height)
{
    struct level *top = top_level(reader);
    if (top == NULL) {
        reader->root = node;
        return;
    }
    node->key = top->key;
    top->key = NULL;
    if (top->last == NULL) {
        top->node->child = node;
    } else {
        top->last->next = node;
    }
    top->last = node;
    top->node->child_count++;
    if (top->height < height + 1) {
        top->height = height + 1;
    }
}

/* A copy of `text` that C can treat as a string. */
static enum status text_copy(struct reader *reader, const yaml_char_t *text, size_t length, struct origin at,
                             const char **copy)
{
    if (memchr(text, '\0', length) != NULL) {
        return diag_input(reader->diag, at, "text holds a NUL character; expected text without one");
    }
    *copy = arena_strndup(reader->arena, (const char *)text, length);
    return STATUS_OK;
}

static const char *name_copy(struct reader *reader, const yaml_char_t *name)
{
    return name != NULL ? arena_strdup(reader->scratch, (const char *)name) : NULL;
}

static enum status scalar_read(struct reader *reader, const yaml_event_t *event)
{
    struct origin at = origin_of(reader, event->start_mark);
    const char *text = NULL;
    enum status status = nodes_count(reader, 1, at);
    if (status == STATUS_OK) {
        status = text_copy(reader, event->data.scalar.value, event->data.scalar.length, at, &text);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct doc *node = arena_one(reader->arena, struct doc);
    *node = (struct doc){.kind = DOC_SCALAR, .at = at, .text = text};
    anchor_add(reader, name_copy(reader, event->data.scalar.anchor), (struct anchor){node, 1, 0});
    if (is_key_due(reader)) {
        return key_take(reader, text, at);
    }
    node_attach(reader, node, 0);
    return STATUS_OK;
}

static enum status container_open(struct reader *reader, enum doc_kind kind, const yaml_char_t *anchor,
                                  yaml_mark_t mark)
{
    struct origin at = origin_of(reader, mark);
    if (is_key_due(reader)) {
        return diag_input(reader->diag, at, "a map or list stands for a key; expected text");
    }
    enum status status = depth_check(reader, 1, at);
    if (status == STATUS_OK) {
        status = nodes_count(reader, 1, at);
    }
    if (status != STATUS_OK) {
        return status;
    }
    const struct level *top = top_level(reader);
    struct doc *node = arena_one(reader->arena, struct doc);
    *node = (struct doc){.kind = kind, .at = top != NULL && top->key != NULL ? top->key_at : at};
    node_attach(reader, node, 0);
    reader->stack[reader->depth++] = (struct level){
        .node = node,
        .anchor = name_copy(reader, anchor),
        .node_count_low = reader->node_count - 1,
        .height = 1,
    };
    return STATUS_OK;
}

static void container_close(struct reader *reader)
{
    struct level closed = reader->stack[--reader->depth];
    struct level *top = top_level(reader);
    if (top != NULL && top->height < closed.height + 1) {
        top->height = closed.height + 1;
    }
    anchor_add(reader, closed.anchor,
               (struct anchor){closed.node, reader->node_count - closed.node_count_low, closed.height});
}

/* An alias inside its own anchor finds none: an anchor is known once its node is complete. */
static enum status alias_read(struct reader *reader, const yaml_event_t *event)
{
    struct origin at = origin_of(reader, event->start_mark);
    const char *name = (const char *)event->data.alias.anchor;
    const struct slot *slot = slot_get(reader, NULL, name);
    if (slot->name == NULL) {
        return diag_input(reader->diag, at,
                          "alias \"*%.*s\" has no complete anchor before it; expected \"&%.*s\"",
                          SHOWN_BYTES_MAX, name, SHOWN_BYTES_MAX, name);
    }
    struct anchor anchor = slot->anchor;
    enum status status = depth_check(reader, anchor.height, at);
    if (status == STATUS_OK) {
        status = nodes_count(reader, anchor.node_count, at);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (is_key_due(reader)) {
        return anchor.node->kind == DOC_SCALAR
                   ? key_take(reader, anchor.node->text, at)
                   : diag_input(reader->diag, at, "a map or list stands for a key; expected text");
    }
    struct doc *node = arena_one(reader->arena, struct doc);
    *node = *anchor.node;
    node->next = NULL;
    node_attach(reader, node, anchor.height);
    return STATUS_OK;
}

static enum status event_take(struct reader *reader, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (reader->root != NULL) {
            return diag_input(reader->diag, origin_of(reader, event->start_mark),
                              "a second document begins; expected one document in a file");
        }
        return STATUS_OK;
    case YAML_ALIAS_EVENT:
        return alias_read(reader, event);
    case YAML_SCALAR_EVENT:
        return scalar_read(reader, event);
    case YAML_SEQUENCE_START_EVENT:
        return container_open(reader, DOC_LIST, event->data.sequence_start.anchor, event->start_mark);
    case YAML_MAPPING_START_EVENT:
        return container_open(reader, DOC_MAP, event->data.mapping_start.anchor, event->start_mark);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        container_close(reader);
        return STATUS_OK;
    default:
        return STATUS_OK;
    }
}

/* ---- running libyaml ----------------------------------------------------------------------------------- */

static enum status yaml_error_report(struct reader *reader)
{
    const yaml_parser_t *yaml = &reader->yaml;
    const char *problem = yaml->problem != NULL ? yaml->problem : "no reason given";
    if (yaml->error == YAML_MEMORY_ERROR) {
        fprintf(stderr, "photonet: out of memory: libyaml reading %zu bytes of %s\n", reader->text_bytes,
                reader->path);
        _exit(STATUS_MEMORY);
    }
    if (yaml->error == YAML_READER_ERROR) {
        return diag_input(reader->diag, origin_of_byte(reader, yaml->problem_offset),
                          "not text: %s; expected YAML in UTF-8", problem);
    }
    struct origin at = origin_of(reader, yaml->problem_mark);
    if (yaml->context == NULL) {
        return diag_input(reader->diag, at, "not YAML: %s; expected valid YAML", problem);
    }
    return diag_input(reader->diag, at, "not YAML: %s %s that begins in line %zu; expected valid YAML",
                      problem, yaml->context, yaml->context_mark.line + 1);
}

static enum status events_read(struct reader *reader)
{
    for (bool is_end = false; !is_end;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&reader->yaml, &event)) {
            return yaml_error_report(reader);
        }
        is_end = event.type == YAML_STREAM_END_EVENT;
        enum status status = event_take(reader, &event);
        yaml_event_delete(&event);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

/* What a file of comments and "---" comes to. */
static bool is_empty(const struct doc *root)
{
    return root->kind == DOC_SCALAR && root->text[0] == '\0';
}

enum status doc_parse(const char *text, size_t length, const char *path, struct arena *arena,
                      const struct doc **root, struct diag *diag)
{
    /* A byte order mark is no part of the text; libyaml would refuse it here and editors show no trace of it.
     */
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        length -= 3;
    }
    struct reader reader = {
        .text = text,
        .text_bytes = length,
        .path = arena_strdup(arena, path),
        .arena = arena,
        .scratch = arena_new("reading a document"),
        .diag = diag,
    };
    if (!yaml_parser_initialize(&reader.yaml)) {
        reader.yaml.error = YAML_MEMORY_ERROR;
        return yaml_error_report(&reader);
    }
    yaml_parser_set_input_string(&reader.yaml, (const unsigned char *)text, length);
    /* Without this libyaml guesses UTF-16 from a byte order mark, and positions in bytes lose their meaning.
     */
    yaml_parser_set_encoding(&reader.yaml, YAML_UTF8_ENCODING);
    enum status status = events_read(&reader);
    yaml_parser_delete(&reader.yaml);
    arena_free(reader.scratch);
    if (status == STATUS_OK && (reader.root == NULL || is_empty(reader.root))) {
        reader.root = arena_one(arena, struct doc);
        *reader.root = (struct doc){.kind = DOC_MAP, .at = {.path = reader.path, .line = 1, .column = 1}};
    }
    *root = status == STATUS_OK ? reader.root : NULL;
    return status;
}

/* ---- files --------------------------------------------------------------------------------------------- */

/* All of the stream, in the arena. Its length is not asked for beforehand: it may be a pipe. */
static enum status stream_read(FILE *stream, const char *path, struct arena *arena, char **text,
                               size_t *length, struct diag *diag)
{
    size_t capacity = READ_BYTES_MIN, used = 0;
    char *bytes = arena_alloc(arena, capacity);
    for (size_t got; (got = fread(bytes + used, 1, capacity - used, stream)) > 0;) {
        used += got;
        if (used > FILE_BYTES_MAX) {
            return diag_set(diag, STATUS_INPUT, "%s: larger than %zu MiB; expected a configuration", path,
                            FILE_BYTES_MAX >> 20);
        }
        if (used == capacity) {
            bytes = arena_grow(arena, bytes, used, &capacity, 1);
        }
    }
    if (ferror(stream)) {
        return diag_set(diag, STATUS_INPUT, "%s: cannot be read: %s", path, strerror(errno));
    }
    *text = bytes;
    *length = used;
    return STATUS_OK;
}

enum status doc_load(const char *path, struct arena *arena, const struct doc **root, struct diag *diag)
{
    *root = NULL;
    if (input_check(path, diag) != STATUS_OK) {
        return STATUS_INPUT;
    }
    FILE *stream = fopen(path, "rb");
    if (stream == NULL) {
        return diag_set(diag, STATUS_INPUT, "%s: cannot be opened: %s", path, strerror(errno));
    }
    struct arena *scratch = arena_new("the text of a document");
    char *text = NULL;
    size_t length = 0;
    enum status status = stream_read(stream, path, scratch, &text, &length, diag);
    fclose(stream);
    if (status == STATUS_OK) {
        status = doc_parse(text, length, path, arena, root, diag);
    }
    arena_free(scratch);
    return status;
}

const struct doc *doc_get(const struct doc *map, const char *key)
{
    if (map == NULL || map->kind != DOC_MAP) {
        return NULL;
    }
    for (const struct doc *child = map->child; child != NULL; child = child->next) {
        if (strcmp(child->key, key) == 0) {
            return child;
        }
    }
    return NULL;
}
