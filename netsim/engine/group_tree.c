#include "netsim/engine/group_tree.h"

#include <string.h>

struct search {
    const struct fabric *fabric;
    uint32_t *distance, *queue; /* per node */
};

static bool is_switch(const struct fabric *fabric, uint32_t node)
{
    return fabric->node_kind[node] == NODE_SWITCH;
}

static uint32_t peer_node(const struct fabric *fabric, uint32_t port)
{
    uint32_t peer = fabric->port_peer[port];
    return peer == ID_NONE ? ID_NONE : fabric->port_node[peer];
}

/* Hops from `from` to every switch, over switches. */
static void distances(const struct search *search, uint32_t from)
{
    const struct fabric *fabric = search->fabric;
    uint32_t head = 0, tail = 0;
    memset(search->distance, 0xff, fabric->node_count * sizeof *search->distance);
    search->distance[from] = 0;
    search->queue[tail++] = from;
    while (head < tail) {
        uint32_t node = search->queue[head++];
        for (uint32_t port = fabric->port_first[node]; port < fabric->port_first[node + 1]; port++) {
            uint32_t next = peer_node(fabric, port);
            if (next != ID_NONE && is_switch(fabric, next) && search->distance[next] == UINT32_MAX) {
                search->distance[next] = search->distance[node] + 1;
                search->queue[tail++] = next;
            }
        }
    }
}

/* ---- the root --------------------------------------------------------------------------------------------- */

static bool has_same_switches(const struct fabric *fabric, uint32_t a, uint32_t b)
{
    uint32_t ports = fabric->port_first[a + 1] - fabric->port_first[a];
    if (fabric->port_first[b + 1] - fabric->port_first[b] != ports) {
        return false;
    }
    for (uint32_t i = 0; i < ports; i++) {
        if (peer_node(fabric, fabric->port_first[a] + i) != peer_node(fabric, fabric->port_first[b] + i)) {
            return false;
        }
    }
    return true;
}

/* Neighbours at the same switches are as far from everything: one search for a row of them. */
static void members_measure(const struct search *search, const uint32_t *members, uint32_t count, uint64_t *cost)
{
    const struct fabric *fabric = search->fabric;
    for (uint32_t first = 0, next; first < count; first = next) {
        for (next = first + 1; next < count && has_same_switches(fabric, members[first], members[next]); next++) {
        }
        distances(search, members[first]);
        for (uint32_t node = fabric->host_count; node < fabric->node_count; node++) {
            uint64_t far = search->distance[node], farthest = cost[node] >> 32;
            bool is_out = far == UINT32_MAX || cost[node] == UINT64_MAX;
            farthest = far > farthest ? far : farthest;
            cost[node] = is_out ? UINT64_MAX : farthest << 32 | ((cost[node] & UINT32_MAX) + far * (next - first));
        }
    }
}

static uint32_t root_choose(const struct search *search, const uint32_t *members, uint32_t count, uint32_t which,
                            struct arena *scratch, uint32_t *root_count)
{
    const struct fabric *fabric = search->fabric;
    uint64_t *cost = arena_array(scratch, fabric->node_count, uint64_t), best = UINT64_MAX;
    members_measure(search, members, count, cost);
    *root_count = 0;
    for (uint32_t node = fabric->host_count; node < fabric->node_count; node++) {
        bool is_possible = is_switch(fabric, node) && cost[node] != UINT64_MAX;
        *root_count = is_possible && cost[node] < best ? 1 : *root_count + (is_possible && cost[node] == best);
        best = is_possible && cost[node] < best ? cost[node] : best;
    }
    if (*root_count == 0) {
        return ID_NONE;
    }
    uint32_t wanted = which % *root_count;
    for (uint32_t node = fabric->host_count;; node++) {
        if (is_switch(fabric, node) && cost[node] == best && wanted-- == 0) {
            return node;
        }
    }
}

/* ---- the tree --------------------------------------------------------------------------------------------- */

static bool is_nearer(const struct search *search, uint32_t port, uint32_t distance)
{
    uint32_t next = peer_node(search->fabric, port);
    return next != ID_NONE && is_switch(search->fabric, next) && search->distance[next] == distance - 1;
}

/* A port of a node that leads a step nearer to the root; how many there are. */
static uint32_t port_towards(const struct search *search, uint32_t node, uint32_t distance, uint32_t lane,
                             uint32_t *count)
{
    const struct fabric *fabric = search->fabric;
    *count = 0;
    for (uint32_t port = fabric->port_first[node]; port < fabric->port_first[node + 1]; port++) {
        *count += is_nearer(search, port, distance);
    }
    uint32_t wanted = lane % *count;
    for (uint32_t port = fabric->port_first[node];; port++) {
        if (is_nearer(search, port, distance) && wanted-- == 0) {
            return port;
        }
    }
}

static uint32_t host_distance(const struct search *search, uint32_t host)
{
    const struct fabric *fabric = search->fabric;
    uint32_t nearest = UINT32_MAX;
    for (uint32_t port = fabric->port_first[host]; port < fabric->port_first[host + 1]; port++) {
        uint32_t next = peer_node(fabric, port);
        bool is_way = next != ID_NONE && is_switch(fabric, next) && search->distance[next] != UINT32_MAX;
        nearest = is_way && search->distance[next] + 1 < nearest ? search->distance[next] + 1 : nearest;
    }
    return nearest;
}

/* Marks the switches on the way from a member to the root: their port up. */
static void way_mark(const struct search *search, struct tree *tree, uint32_t host, uint32_t lane, uint32_t *up_port,
                     uint32_t *member_port)
{
    const struct fabric *fabric = search->fabric;
    uint32_t lanes, others, port = port_towards(search, host, host_distance(search, host), lane, &lanes);
    tree->lane_count = lanes < tree->lane_count ? lanes : tree->lane_count;
    *member_port = port;
    for (uint32_t node = peer_node(fabric, port); up_port[node] == ID_NONE && search->distance[node] > 0;
         node = peer_node(fabric, port)) {
        port = port_towards(search, node, search->distance[node], lane, &others);
        up_port[node] = port;
    }
}

/* Ports in use of a node, counted into the tree. */
static void hop_make(const struct fabric *fabric, struct tree *tree, uint32_t node, const uint32_t *hop_of,
                     const uint32_t *up_port, const uint8_t *is_down, uint32_t *port_count)
{
    struct tree_hop *hop = &tree->hops[hop_of[node]];
    uint32_t first = fabric->port_first[node];
    *hop = (struct tree_hop){node, ID_NONE, ID_NONE, *port_count, 0};
    if (up_port[node] != ID_NONE) {
        hop->up = hop_of[peer_node(fabric, up_port[node])];
        hop->up_port = up_port[node] - first;
    }
    for (uint32_t port = first; port < fabric->port_first[node + 1]; port++) {
        if (is_down[port]) {
            tree->ports[(*port_count)++] = port - first;
            hop->down_count++;
        }
    }
}

static void hops_make(const struct fabric *fabric, struct tree *tree, uint32_t root, const uint32_t *up_port,
                      struct arena *arena, struct arena *scratch)
{
    uint8_t *is_down = arena_array(scratch, fabric->port_count, uint8_t);
    uint32_t *hop_of = arena_array(scratch, fabric->node_count, uint32_t), downs = tree->member_count;
    for (uint32_t node = fabric->host_count; node < fabric->node_count; node++) {
        bool is_in = node == root || up_port[node] != ID_NONE;
        hop_of[node] = is_in ? tree->hop_count++ : ID_NONE;
        if (is_in && node != root) {
            is_down[fabric->port_peer[up_port[node]]] = 1;
            downs++;
        }
    }
    for (uint32_t i = 0; i < tree->member_count; i++) {
        uint32_t down = fabric->port_peer[tree->member_port[i]], node = fabric->port_node[down];
        is_down[down] = 1;
        tree->member_hop[i] = hop_of[node];
        tree->member_down[i] = down - fabric->port_first[node];
    }
    tree->hops = arena_array(arena, tree->hop_count, struct tree_hop);
    tree->ports = arena_array(arena, downs, uint32_t);
    uint32_t port_count = 0;
    for (uint32_t node = fabric->host_count; node < fabric->node_count; node++) {
        if (hop_of[node] != ID_NONE) {
            hop_make(fabric, tree, node, hop_of, up_port, is_down, &port_count);
        }
    }
}

bool tree_find(const struct fabric *fabric, const uint32_t *members, uint32_t count, uint32_t which,
               struct arena *arena, struct tree *tree)
{
    struct arena *scratch = arena_new_within(arena, "group tree");
    struct search search = {fabric, arena_array(scratch, fabric->node_count, uint32_t),
                            arena_array(scratch, fabric->node_count, uint32_t)};
    *tree = (struct tree){.fabric = fabric, .member_count = count, .lane_count = UINT32_MAX};
    uint32_t root = root_choose(&search, members, count, which, scratch, &tree->root_count);
    if (root != ID_NONE) {
        uint32_t *up_port = arena_array(scratch, fabric->node_count, uint32_t);
        memset(up_port, 0xff, fabric->node_count * sizeof *up_port);
        tree->member_port = arena_array(arena, count, uint32_t);
        tree->member_hop = arena_array(arena, count, uint32_t);
        tree->member_down = arena_array(arena, count, uint32_t);
        distances(&search, root);
        for (uint32_t i = 0; i < count; i++) {
            way_mark(&search, tree, members[i], which / tree->root_count, up_port, &tree->member_port[i]);
        }
        hops_make(fabric, tree, root, up_port, arena, scratch);
        for (uint32_t i = 0; i < count; i++) {
            tree->member_port[i] -= fabric->port_first[members[i]];
        }
    }
    arena_free(scratch);
    return root != ID_NONE;
}

/* ---- groups ----------------------------------------------------------------------------------------------- */

static void hop_add(struct group_builder *builder, const struct tree_hop *hop, uint32_t fan_in, const uint32_t *down,
                    uint32_t down_count)
{
    struct group_hop made = {hop->node, fan_in, hop->up_port, (uint32_t)builder->port_count, down_count};
    vec_push(builder->arena, builder->hops, builder->hop_count, builder->hop_capacity) = made;
    for (uint32_t i = 0; i < down_count; i++) {
        vec_push(builder->arena, builder->ports, builder->port_count, builder->port_capacity) = down[i];
    }
}

static uint32_t group_begin(struct group_builder *builder, const struct tree *tree)
{
    struct group group = {(uint32_t)builder->hop_count, tree->hop_count};
    vec_push(builder->arena, builder->groups, builder->group_count, builder->group_capacity) = group;
    return (uint32_t)builder->group_count - 1;
}

static uint32_t group_add_all(struct group_builder *builder, const struct tree *tree, bool is_combining)
{
    uint32_t group = group_begin(builder, tree);
    for (uint32_t i = 0; i < tree->hop_count; i++) {
        const struct tree_hop *hop = &tree->hops[i];
        hop_add(builder, hop, is_combining ? hop->down_count : 0, &tree->ports[hop->down_first], hop->down_count);
    }
    return group;
}

uint32_t group_add_copy(struct group_builder *builder, const struct tree *tree)
{
    return group_add_all(builder, tree, false);
}

uint32_t group_add_reduce(struct group_builder *builder, const struct tree *tree)
{
    return group_add_all(builder, tree, true);
}

/* The port of a hop that leads down to the member, ID_NONE where the way down does not pass. */
static uint32_t down_towards(const struct tree *tree, uint32_t hop, uint32_t member, const struct fabric *fabric)
{
    if (tree->member_hop[member] == hop) {
        return tree->member_down[member];
    }
    for (uint32_t at = tree->member_hop[member]; tree->hops[at].up != ID_NONE; at = tree->hops[at].up) {
        if (tree->hops[at].up == hop) {
            uint32_t up = fabric->port_first[tree->hops[at].node] + tree->hops[at].up_port;
            return fabric->port_peer[up] - fabric->port_first[tree->hops[hop].node];
        }
    }
    return ID_NONE;
}

uint32_t group_add_reduce_to(struct group_builder *builder, const struct tree *tree, uint32_t member)
{
    uint32_t group = group_begin(builder, tree);
    for (uint32_t i = 0; i < tree->hop_count; i++) {
        uint32_t down = down_towards(tree, i, member, tree->fabric);
        hop_add(builder, &tree->hops[i], tree->hops[i].down_count, &down, down != ID_NONE);
    }
    return group;
}

struct group_table *groups_build(const struct group_builder *builder, uint64_t combine_ps, uint32_t entries_max)
{
    struct group_table *table = arena_one(builder->arena, struct group_table);
    *table = (struct group_table){(uint32_t)builder->group_count, builder->groups, builder->hops, builder->ports,
                                  combine_ps, entries_max};
    return table;
}
