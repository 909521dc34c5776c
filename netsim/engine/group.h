/* Groups: packets that switches copy or combine on their way (in-network reduction and multicast).
 *
 * A packet whose dst is not below host_count is for group dst - host_count. A group is a tree of switches; its hosts hang
 * at them by one link each and send into the tree by it.
 *
 *     copying (fan_in 0)              combining (fan_in > 0)
 *     a packet leaves by all ports     what comes from below waits until fan_in packets of one (group, seq) are there;
 *     of the tree but the one by       combine_ps later one packet, that of the last to come, goes up, or at the root
 *     which it came                    down; what comes from above, or from the root itself, goes out by all down ports
 *
 *                 ┌──────┐ fan_in 2                          ┌──────┐
 *                 │ root │                                   │ root │ down: both ports, or those towards one host
 *                 └─▲──▲─┘                                   └─┬──┬─┘
 *              ┌────┘  └────┐                             ┌────┘  └────┐
 *           ┌──┴──┐      ┌──┴──┐ fan_in 2              ┌──▼──┐      ┌──▼──┐
 *           └▲───▲┘      └▲───▲┘                       └┬───┬┘      └┬───┬┘
 *            h0  h1       h2  h3                        h0  h1       h2  h3
 *
 * A host that gets a packet of a group receives it (host_ops.receive), whatever its dst. Packets of a group are served
 * store-and-forward by cut-through switches too, and have one size for one (group, seq).
 *
 * The table of a switch holds entries_max pairs (group, seq) that are not complete. Who sends must see to it that no
 * more are needed (a window of packets per group); the engine asserts it. A seq may be used again as soon as its result
 * has come back.
 *
 * Scope: both engines. Buffers: a contribution is out of the input's buffer as soon as it is in the table; of a packet that
 * is copied, the copy of the last port in the list holds the input's buffer until it leaves.
 * Not modelled: loss of a contribution (the entry then waits for ever, and the run ends as a deadlock): groups need queues
 * that lose nothing, and links that lose nothing or repeat it (error.h). Arithmetic: a combined packet is as large as each of its parts.
 * Checked against: closed forms and conservation (tests/test_engine_group.c), one engine against the other. */
#ifndef PHOTONET_ENGINE_GROUP_H
#define PHOTONET_ENGINE_GROUP_H

#include "photonet/fabric.h"

/* A switch in the tree of a group. Ports are counted within the node. */
struct group_hop {
    uint32_t node;
    uint32_t fan_in;                 /* packets to combine; 0: the group copies */
    uint32_t up_port;                /* ID_NONE at the root; of a copying group: one more port of the tree */
    uint32_t down_first, down_count; /* of group_table.ports */
};

struct group {
    uint32_t hop_first, hop_count; /* of group_table.hops, by ascending node */
};

struct group_table {
    uint32_t count;
    const struct group *groups;
    const struct group_hop *hops;
    const uint32_t *ports;
    uint64_t combine_ps;  /* from the last contribution to the result */
    uint32_t entries_max; /* of one switch */
};

/* NULL where the node is not in the tree. */
static inline const struct group_hop *group_hop_find(const struct group_table *table, uint32_t group, uint32_t node)
{
    const struct group_hop *hops = &table->hops[table->groups[group].hop_first];
    uint32_t first = 0, count = table->groups[group].hop_count;
    while (count > 0) {
        uint32_t half = count / 2;
        bool is_before = hops[first + half].node < node;
        first = is_before ? first + half + 1 : first;
        count = is_before ? count - half - 1 : half;
    }
    return first < table->groups[group].hop_count && hops[first].node == node ? &hops[first] : NULL;
}

/* What a switch has got of the pairs (group, seq) that are not complete: open addressing, at most half full. */
struct combine_entry {
    uint64_t key; /* 0: free */
    uint32_t count;
};
struct combine_table {
    struct combine_entry *entries;
    uint32_t used, mask;
};

void combine_table_init(struct combine_table *table, struct arena *arena, uint32_t entries_max);
/* One more contribution; true where it is the last of fan_in. */
bool combine_add(struct combine_table *table, uint32_t group, uint32_t seq, uint32_t fan_in);

#endif
