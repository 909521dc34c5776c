/* Nodes on their way into the table of a rank: what the decoders of all schemas share (chakra_node.c), and
 * the decoders. A decoder opens a node, gives its parents (control ones first) and attributes, and closes it.
 */
#ifndef PHOTONET_TRACES_CHAKRA_NODE_H
#define PHOTONET_TRACES_CHAKRA_NODE_H

#include "traces/chakra_rank.h"
#include "traces/chakra_stream.h"
#include "traces/chakra_wire.h"

#include "traces/chakra.pb-c.h"

/* Names of groups, once a text. */
struct chakra_names {
    struct arena *slot_arena; /* owned; ends with the reading */
    const char **slot;        /* open addressing, NULL = free */
    size_t count, capacity;
};

struct chakra_reading {
    struct chakra_rank *rank;
    struct chakra_stream *stream;
    struct chakra_names groups;
    struct chakra_node node;  /* the one that is open */
    struct wire_span name;    /* of it, until it is closed */
    uint64_t *parents;        /* of it */
    size_t parent_count, parent_capacity;
    enum chakra_schema schema;
    struct diag *diag;
};

/* The value of an attribute: writers differ in the kind of integers, so there is one. */
enum chakra_value_kind {
    CHAKRA_VALUE_NONE, /* STAGE writes names without a value */
    CHAKRA_VALUE_INTEGER,
    CHAKRA_VALUE_TEXT,
    CHAKRA_VALUE_BOOLS, /* partial: some is false */
    CHAKRA_VALUE_OTHER,
};

struct chakra_value {
    struct wire_span name;
    enum chakra_value_kind kind;
    int64_t integer;
    struct wire_span text;
    bool is_partial;
};

/* The file refuses: "PATH: node 7 "x": WHAT". */
enum status chakra_node_refuse(const struct chakra_reading *reading, const struct chakra_node *node,
                               const char *what);

/* Opens a node of the current numbering of types; refuses unknown types and endless durations. */
enum status chakra_node_open(struct chakra_reading *reading, uint64_t id, struct wire_span name,
                             uint64_t type, uint64_t duration_us, struct chakra_node **node);
void chakra_node_parent(struct chakra_reading *reading, struct chakra_node *node, bool is_ctrl, uint64_t id);
enum status chakra_node_attribute(struct chakra_reading *reading, struct chakra_node *node,
                                  const struct chakra_value *value);
void chakra_node_close(struct chakra_reading *reading, struct chakra_node *node, uint64_t duration_us);

/* A text attribute that is a whole number counts as one; false where it is none. */
bool chakra_integer_text(struct wire_span text, int64_t *value);

/* ---- decoders -------------------------------------------------------------------------------------------
 */

/* A record of the current schema. */
enum status chakra_node_decode(struct chakra_reading *reading, struct wire_span record);
/* A message of the current schema, as the JSON reader makes them. */
enum status chakra_node_convert(struct chakra_reading *reading, const Chakra__Node *from);
/* A record of an older schema. */
enum status chakra_old_decode(struct chakra_reading *reading, struct wire_span record);

/* Which schema the records are of: `head` begins with the first record and may end anywhere. */
enum chakra_schema chakra_schema_find(struct wire_span head);

#endif
