/* One rank of a GOAL schedule on its way to a program: what the text and the binary reader share.
 *
 *     B requires A     B may begin when A has ended: a dependency
 *     B irequires A    B may begin when A has begun. Programs know ends only, so A's beginning becomes an
 *                      operation without work: it waits for all that A waits for, and A and B wait for it.
 *                      (Of A's wait for its cpu nothing is known here: B does not wait for that.)
 *
 *         before     C ──► A - - -► B          after     C ──► [start of A] ──► A
 *                                                                     └───────► B
 *
 * The start of an operation that waits for nothing is no operation: what waits for it waits for nothing. */
#ifndef PHOTONET_TRACES_GOAL_H
#define PHOTONET_TRACES_GOAL_H

#include "photonet/trace.h"

/* The numbers of the binary format. */
enum goal_kind { GOAL_SEND = 1, GOAL_RECV = 2, GOAL_CALC = 3 };
#define GOAL_ANY UINT32_MAX /* as a tag, or as the source of a receive */

struct goal_node {
    uint64_t size; /* bytes; of a calc nanoseconds */
    uint32_t peer, tag;
    uint8_t kind, cpu, nic;
    uint64_t source_id;
    const char *name; /* the label, NULL where there is none */
};

struct goal_edge {
    uint32_t node, on;
};

/* What goes into the import report, over all ranks. */
struct goal_counts {
    uint64_t irequires, nics, message_cpus;
};

struct goal_rank {
    struct arena *arena; /* borrowed */
    const char *path;
    struct goal_node *nodes;
    size_t node_count, node_capacity;
    struct goal_edge *ends; /* requires */
    size_t end_count, end_capacity;
    struct goal_edge *starts; /* irequires */
    size_t start_count, start_capacity;
};

/* Refuses what has no meaning here: wildcards, calcs beyond the range of the clock. `at` is the node's place. */
enum status goal_node_check(const struct goal_node *node, struct origin at, struct diag *diag);

/* The operation that a node becomes, and its share of the counts. */
void goal_op(const struct goal_node *node, struct op *op, struct goal_counts *counts);

/* Adds all operations and dependencies of the rank that the builder has begun. */
void goal_rank_add(const struct goal_rank *rank, struct job_builder *builder, struct goal_counts *counts);

void goal_notes_add(const struct goal_counts *counts, struct job_builder *builder);

#endif
