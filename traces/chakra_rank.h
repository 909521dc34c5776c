/* One rank's Chakra file, as a compact table: what is left of the nodes once texts, tensor shapes and foreign
 * attributes are gone.
 *
 *     nodes   [0] id 7  [1] id 3  [2] id 9 ...        in file order, 88 B each, in pages (no copy on growth)
 *                │          │
 *     parents  [ctrl.. data.. | ctrl.. data.. | ...]  ids while reading, positions in `nodes` after linking
 *
 * A real trace has some 800 B a node on disk, so the table is about a tenth of the file, and it lives only
 * until the rank's program is built.
 *
 * Invariants:
 *   1. Ids are unique; they need be neither dense nor in order.
 *   2. After chakra_rank_link every parent is a position below node_count, or ID_NONE where it was ignored.
 *   3. Names are stored once a text. */
#ifndef PHOTONET_TRACES_CHAKRA_RANK_H
#define PHOTONET_TRACES_CHAKRA_RANK_H

#include "photonet/arena.h"
#include "photonet/program.h"
#include "photonet/status.h"

#include <stdbool.h>
#include <stdint.h>

/* What of a node was written in the file. */
enum {
    CHAKRA_HAS_COMM_TYPE = 1 << 0,
    CHAKRA_HAS_COMM_SIZE = 1 << 1,
    CHAKRA_HAS_SRC = 1 << 2,
    CHAKRA_HAS_DST = 1 << 3,
    CHAKRA_HAS_TAG = 1 << 4,
    CHAKRA_HAS_ROOT = 1 << 5,
    CHAKRA_HAS_DURATION_PS = 1 << 6,
    CHAKRA_HAS_TENSOR_SIZE = 1 << 7,
    CHAKRA_HAS_STREAM = 1 << 8,
    CHAKRA_HAS_NUM_OPS = 1 << 9,
    CHAKRA_IS_CPU = 1 << 10,
    CHAKRA_IS_MARKER = 1 << 11,  /* as our own writer marks them */
    CHAKRA_IS_PARTIAL = 1 << 12, /* involved_dim leaves some dimension out */
    CHAKRA_HAS_PAIRS = 1 << 13,
};

/* Schemas with records of their own, see chakra_old.c. */
enum chakra_schema {
    CHAKRA_SCHEMA_CURRENT,
    CHAKRA_SCHEMA_EG,
    CHAKRA_SCHEMA_V002,
    CHAKRA_SCHEMA_V003,
    CHAKRA_SCHEMA_V004,
    CHAKRA_SCHEMA_UNKNOWN, /* an older one, but which? */
};

struct chakra_node {
    uint64_t id;
    uint64_t duration_ps;
    uint64_t num_ops;
    uint64_t bytes; /* comm_size of a communication, else tensor_size; as in the file, perhaps in elements */
    const char *name;
    const char *group; /* pg_name or comm_group, NULL where there is none */
    uint64_t parent_first;
    uint32_t ctrl_count; /* parents: first these, */
    uint32_t data_count; /* then these */
    uint32_t src, dst;
    uint32_t tag;
    uint32_t root; /* of an all-to-all with unequal parts: number of its pair table */
    uint16_t has;
    uint16_t stream;
    uint8_t type;      /* Chakra__NodeType */
    uint8_t comm_type; /* Chakra__CollectiveCommType */
};

/* A communicator that a METADATA node describes. No ranks = all ranks. */
struct chakra_group_row {
    const char *name;
    const uint32_t *ranks;
    uint32_t rank_count;
};

/* Unequal parts of an all-to-all, as our own writer puts them into the metadata: see struct pair_table. */
struct chakra_pair_row {
    uint64_t number;
    const uint64_t *bytes;
    size_t count;
};

#define CHAKRA_PAGE_BITS         12
#define CHAKRA_PAGE_ITEMS        ((size_t)1 << CHAKRA_PAGE_BITS)
#define CHAKRA_PARENT_PAGE_BITS  15
#define CHAKRA_PARENT_PAGE_ITEMS ((size_t)1 << CHAKRA_PARENT_PAGE_BITS)

struct chakra_rank {
    struct arena *arena; /* borrowed; of the rank, not of the job */
    const char *path;
    const char *schema; /* of the metadata, "" where none */
    enum chakra_schema version;
    double scale;       /* share of the full step, as our own writer marks it; else 1 */
    uint32_t node_count;
    struct chakra_node **node_page;
    size_t node_page_count, node_page_capacity;
    uint64_t parent_count;
    uint64_t **parent_page;
    size_t parent_page_count, parent_page_capacity;
    struct chakra_group_row *groups;
    size_t group_count, group_capacity;
    struct chakra_pair_row *pairs;
    size_t pair_count, pair_capacity;
    /* Totals over the nodes. */
    uint64_t ctrl_dep_count;
    uint64_t data_dep_count;
    bool has_duration;    /* of any node that computes or moves memory */
    bool has_amount;      /* num_ops or tensor_size on such a node */
    uint32_t gpu_comm[3]; /* communication nodes on the GPU: send, receive, collective */
    /* What linking found. */
    uint64_t ctrl_self_count, ctrl_missing_count, data_missing_count;
};

static inline struct chakra_node *chakra_node_at(const struct chakra_rank *rank, uint32_t node)
{
    return &rank->node_page[node >> CHAKRA_PAGE_BITS][node & (CHAKRA_PAGE_ITEMS - 1)];
}

static inline uint64_t *chakra_parent_at(const struct chakra_rank *rank, uint64_t parent)
{
    return &rank->parent_page[parent >> CHAKRA_PARENT_PAGE_BITS][parent & (CHAKRA_PARENT_PAGE_ITEMS - 1)];
}

/* Refuses what is no trace: an empty file, a tar archive. */
enum status chakra_file_check(const char *path, struct diag *diag);

/* Whether the first bytes of a file look like a Chakra trace of any schema (protobuf), or like one packed into an
 * archive, which chakra_file_check refuses by name. */
bool chakra_head_is_trace(const uint8_t *head, size_t bytes);
bool chakra_head_is_foreign(const uint8_t *head, size_t bytes);

/* Whether the first record (of which the head shows `record`, and which has `record_bytes`) is of an older schema. */
bool chakra_record_is_old(const uint8_t *record, size_t shown, size_t record_bytes);

/* Ids to positions. Refuses an id that is given twice. */
enum status chakra_rank_link(struct chakra_rank *rank, struct diag *diag);

/* Reads the whole file, protobuf or JSON, and links it. */
enum status chakra_rank_read(const char *path, struct arena *arena, struct chakra_rank *rank,
                             struct diag *diag);

/* The CPU's thread runs beside the GPU's kernels (STREAM_COMPUTE); copies to and from remote memory run beside
 * both, on copy engines. Collectives have the stream of their group and messages none (program.h). */
#define CHAKRA_STREAM_CPU      1
#define CHAKRA_STREAM_MEMORY   2
#define CHAKRA_STREAM_SIZELESS 3 /* communication that lasts as long as the trace says */

/* Which parents count. */
enum chakra_deps { CHAKRA_DEPS_AUTO, CHAKRA_DEPS_DATA, CHAKRA_DEPS_CTRL, CHAKRA_DEPS_BOTH };

/* The nodes in ascending order of their ids: position[k] is the node with the k-th lowest id. That is the
 * order in which ASTRA-sim takes nodes that are free at the same time. */
void chakra_rank_order(const struct chakra_rank *rank, uint32_t *position);

/* Whether every node could run: no cycle through the parents that count under `deps`. */
bool chakra_rank_is_acyclic(const struct chakra_rank *rank, enum chakra_deps deps);

/* The parents of a node that count under `deps`: [*first, *end) for chakra_parent_at. */
static inline void chakra_parents(const struct chakra_node *node, enum chakra_deps deps, uint64_t *first,
                                  uint64_t *end)
{
    *first = node->parent_first + (deps == CHAKRA_DEPS_DATA ? node->ctrl_count : 0);
    *end = node->parent_first + node->ctrl_count + (deps == CHAKRA_DEPS_CTRL ? 0 : node->data_count);
}

#endif
