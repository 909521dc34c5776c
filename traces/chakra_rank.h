/* One rank's Chakra file, as a compact table: what is left of the nodes once texts, tensor shapes and foreign
 * attributes are gone.
 *
 *     nodes    [id 7, what it has, its parents][id 3 ...][id 9 ...]      in file order, packed: 10 to 30 B each, and 1 or 2 a
 *                                                                        parent, which is stored as its distance
 *     id map   64 ids a page: which of them there are, and how many there are in the pages before
 *
 * The number of a node is how many ids are lower: that is the order in which ASTRA-sim takes nodes that are free at the
 * same time, and the number of the node's operation. The map finds it without a table of nodes: three bits a node where
 * ids are dense. A real trace has some 800 B a node on disk, so the table is a few per cent of the file; of tiny nodes it
 * is a third, and it lives only until the rank's operations are handed to the builder.
 *
 * Invariants:
 *   1. Ids are unique; they need be neither dense nor in order.
 *   2. Names are the builder's, groups are stored once a text. */
#ifndef PHOTONET_TRACES_CHAKRA_RANK_H
#define PHOTONET_TRACES_CHAKRA_RANK_H

#include "photonet/packed.h"
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
    const char *group;      /* pg_name or comm_group, NULL where there is none */
    const uint8_t *parents; /* packed */
    uint32_t ctrl_count;    /* parents: first these, */
    uint32_t data_count;    /* then these */
    uint32_t name;          /* the builder's */
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

/* From an id to the number of its node. */
struct chakra_id_map {
    bool is_hashed;     /* pages far apart are looked up in `page`, others follow each other from `page_low` on */
    uint64_t page_low;
    size_t page_count;  /* hashed: a power of two */
    uint64_t *page;     /* hashed only: id / 64; there where bits are */
    uint64_t *bits;     /* by page: the ids that exist */
    uint32_t *before;   /* by page: nodes with lower ids than it */
};

struct chakra_rank {
    struct arena *arena; /* borrowed; of the rank, not of the job */
    struct job_builder *builder; /* borrowed; has the names */
    const char *path;
    const char *schema; /* of the metadata, "" where none */
    enum chakra_schema version;
    double scale;       /* share of the full step, as our own writer marks it; else 1 */
    uint32_t node_count;
    struct packed nodes;
    uint64_t id_low, id_high, id_last;
    bool is_unordered; /* ids do not ascend in the file */
    struct chakra_id_map ids;
    const uint8_t **node_at; /* by number; NULL where the file has the nodes in order */
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
};

static inline const char *chakra_name_of(const struct chakra_rank *rank, const struct chakra_node *node)
{
    return job_builder_name_text(rank->builder, node->name);
}

/* Refuses what is no trace: an empty file, a tar archive. */
enum status chakra_file_check(const char *path, struct diag *diag);

/* Whether the first bytes of a file look like a Chakra trace of any schema (protobuf), or like one packed into an
 * archive, which chakra_file_check refuses by name. */
bool chakra_head_is_trace(const uint8_t *head, size_t bytes);
bool chakra_head_is_foreign(const uint8_t *head, size_t bytes);

/* Whether the first record (of which the head shows `record`, and which has `record_bytes`) is of an older schema. */
bool chakra_record_is_old(const uint8_t *record, size_t shown, size_t record_bytes);

/* Adds a node with the ids of its parents, those of control dependencies first. */
void chakra_rank_add(struct chakra_rank *rank, const struct chakra_node *node, const uint64_t *parents);

/* Makes ids numbers. Refuses an id that is given twice. */
enum status chakra_rank_link(struct chakra_rank *rank, struct diag *diag);

/* Reads the whole file, protobuf or JSON, and links it. The builder has started the rank. */
enum status chakra_rank_read(const char *path, struct arena *arena, struct job_builder *builder,
                             struct chakra_rank *rank, struct diag *diag);

/* The CPU's thread runs beside the GPU's kernels (STREAM_COMPUTE); copies to and from remote memory run beside
 * both, on copy engines. Collectives have the stream of their group and messages none (program.h). */
#define CHAKRA_STREAM_CPU      1
#define CHAKRA_STREAM_MEMORY   2
#define CHAKRA_STREAM_SIZELESS 3 /* communication that lasts as long as the trace says */

/* Which parents count. */
enum chakra_deps { CHAKRA_DEPS_AUTO, CHAKRA_DEPS_DATA, CHAKRA_DEPS_CTRL, CHAKRA_DEPS_BOTH };

/* The nodes in ascending order of their ids. Start with `rank` alone set; ask no more once it was false. */
struct chakra_walk {
    const struct chakra_rank *rank;
    struct packed_walk packed;
    uint32_t next; /* number of the node that comes next */
};
bool chakra_walk_next(struct chakra_walk *walk, struct chakra_node *node);

/* Number of the node with this id, ID_NONE where there is none. */
uint32_t chakra_number(const struct chakra_rank *rank, uint64_t id);

/* The parents of a node that count under `deps`, one after the other. */
struct chakra_parent_walk {
    const struct chakra_rank *rank;
    const uint8_t *at;
    uint64_t node_id;
    uint32_t ctrl_left, data_left;
};
struct chakra_parent_walk chakra_parents(const struct chakra_rank *rank, const struct chakra_node *node,
                                         enum chakra_deps deps);
struct chakra_parent {
    uint32_t number; /* ID_NONE: not in the file */
    bool is_ctrl;
};
static inline bool chakra_parent_next(struct chakra_parent_walk *walk, struct chakra_parent *parent)
{
    parent->is_ctrl = walk->ctrl_left > 0;
    if (!parent->is_ctrl && walk->data_left == 0) {
        return false;
    }
    int64_t distance;
    walk->at = packed_get_signed(walk->at, &distance);
    parent->number = chakra_number(walk->rank, walk->node_id - (uint64_t)distance);
    *(parent->is_ctrl ? &walk->ctrl_left : &walk->data_left) -= 1;
    return true;
}

/* Whether control and data dependencies agree: those of control lead somewhere and not to the node itself, and every
 * node could run under both. */
struct chakra_ctrl {
    uint64_t self_count, missing_count;
    bool is_sound;
};
struct chakra_ctrl chakra_ctrl_survey(const struct chakra_rank *rank);

#endif
