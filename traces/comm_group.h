/* The communicators of a Chakra set: who is in the group that a collective names.
 *
 * A collective names its group by a text (pg_name). "" and "0" mean all ranks, as ASTRA-sim has it. Any other
 * name is looked up, in this order, in
 *   1. the group file: one JSON object, name -> list of ranks in ring order ({"1": [0, 1], "2": [2, 3]}), which
 *      is trace.comm_group, PREFIX.json or comm_group.json beside the rank files; read when first needed;
 *   2. the METADATA nodes of the rank's own file (PyTorch writes its process groups there). */
#ifndef PHOTONET_TRACES_COMM_GROUP_H
#define PHOTONET_TRACES_COMM_GROUP_H

#include "traces/chakra_rank.h"

struct comm_groups;

/* `path` is the group file that the user gave, NULL to look for PREFIX.json and comm_group.json. */
struct comm_groups *comm_groups_new(struct arena *arena, struct job_builder *builder, uint32_t rank_count,
                                    const char *prefix, const char *path);

/* The group of all ranks. */
enum status comm_groups_world(struct comm_groups *groups, uint32_t *group_id, struct diag *diag);

/* The group with this name as `rank` sees it. *group_id is ID_NONE where
 * nothing describes it. */
enum status comm_groups_find(struct comm_groups *groups, const struct chakra_rank *rank, const char *name,
                             uint32_t *group_id, struct diag *diag);

/* Members of a group that one of the two above returned. */
uint32_t comm_groups_size(const struct comm_groups *groups, uint32_t group_id);

/* Adds the groups that a METADATA node's text describes: a list of objects {"pg_name": "1", "ranks": [0, 4]}
 * inside a quoted list. Other texts add nothing. */
void comm_group_metadata(const char *text, struct arena *arena, struct chakra_group_row **rows, size_t *count,
                         size_t *capacity);

#endif
