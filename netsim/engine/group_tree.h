/* Trees of switches for groups (group.h), found in any fabric.
 *
 * The root is a switch from which the farthest member is as near as can be, and all of them together; where several are
 * equal (spines of a tree, planes of a scale-up domain) the caller says which, and so among links side by side. From the root ways are shortest ones over
 * switches; each switch of the tree has one way up, so contributions meet as low as they can. */
#ifndef PHOTONET_ENGINE_GROUP_TREE_H
#define PHOTONET_ENGINE_GROUP_TREE_H

#include "netsim/engine/group.h"

struct tree_hop {
    uint32_t node;
    uint32_t up, up_port;            /* hop above and the port to it, ID_NONE at the root */
    uint32_t down_first, down_count; /* of tree.ports */
};

struct tree {
    const struct fabric *fabric;
    uint32_t root_count; /* how many equal roots there are */
    uint32_t lane_count; /* the fewest links of a member that would do as well as the chosen one, that counted */
    uint32_t member_count;
    struct tree_hop *hops; /* by ascending node */
    uint32_t hop_count;
    uint32_t *ports;       /* counted within the node; to members and to hops below */
    uint32_t *member_port; /* per member: of its host, counted within it: the one to send by */
    uint32_t *member_hop, *member_down; /* per member: the hop at which it hangs, and the port there */
};

/* False where no switch reaches all members without passing a host. `which` chooses among equal roots, in a
 * circle, and with every round the next among equal links. So the trees r + k * root_count, r < root_count, k < lane_count of tree r, share no link of a
 * member. */
bool tree_find(const struct fabric *fabric, const uint32_t *members, uint32_t count, uint32_t which,
               struct arena *arena, struct tree *tree);

/* Groups are added one by one; the number of each is what the packets' dst names: host_count + number. */
struct group_builder {
    struct arena *arena;
    struct group *groups;
    struct group_hop *hops;
    uint32_t *ports;
    size_t group_count, group_capacity, hop_count, hop_capacity, port_count, port_capacity;
};

uint32_t group_add_copy(struct group_builder *builder, const struct tree *tree);   /* from any member to all others */
uint32_t group_add_reduce(struct group_builder *builder, const struct tree *tree); /* from all members to all of them */
/* From all members to one of them. */
uint32_t group_add_reduce_to(struct group_builder *builder, const struct tree *tree, uint32_t member);
struct group_table *groups_build(const struct group_builder *builder, uint64_t combine_ps, uint32_t entries_max);

#endif
