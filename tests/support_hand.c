/* The fabrics declared in hand.h. */
#include "tests/hand.h"

static void nodes_make(struct fabric *fabric, struct arena *arena, const uint32_t *port_first)
{
    uint32_t count = fabric->node_count;
    uint8_t *kind = arena_array(arena, count, uint8_t), *tier = arena_array(arena, count, uint8_t);
    for (uint32_t node = 0; node < count; node++) {
        kind[node] = node < fabric->host_count ? NODE_HOST : NODE_SWITCH;
        tier[node] = node >= fabric->host_count;
    }
    fabric->node_kind = kind;
    fabric->node_tier = tier;
    fabric->port_first = port_first;
    fabric->node_latency_ps = arena_array(arena, count, uint64_t);
    fabric->node_cut_through = arena_array(arena, count, uint8_t);
    fabric->node_part = arena_array(arena, count, uint32_t);
}

static void ports_make(struct fabric *fabric, struct arena *arena)
{
    uint32_t count = fabric->port_count;
    uint64_t *queue_bytes = arena_array(arena, count, uint64_t);
    for (uint32_t port = 0; port < count; port++) {
        queue_bytes[port] = UINT64_MAX;
    }
    fabric->port_node = arena_array(arena, count, uint32_t);
    fabric->port_peer = arena_array(arena, count, uint32_t);
    fabric->rate_bps = arena_array(arena, count, uint64_t);
    fabric->propagation_ps = arena_array(arena, count, uint64_t);
    fabric->device_ps = arena_array(arena, count, uint64_t);
    fabric->port_part = arena_array(arena, count, uint32_t);
    fabric->port_adapter = arena_array(arena, count, uint32_t);
    fabric->port_up_ps = arena_array(arena, count, uint64_t);
    fabric->port_queue_bytes = queue_bytes;
}

static void link_end(struct fabric *fabric, const struct hand_link *link, uint32_t node, uint32_t port, uint32_t peer)
{
    hand_column(uint32_t, fabric->port_node)[port] = node;
    fabric->port_peer[port] = peer;
    hand_column(uint64_t, fabric->rate_bps)[port] = link->rate_bps;
    fabric->propagation_ps[port] = link->delay_ps;
}

struct fabric *hand_fabric(struct arena *arena, uint32_t hosts, uint32_t nodes, const struct hand_link *links,
                           size_t count)
{
    struct fabric *fabric = arena_one(arena, struct fabric);
    *fabric = (struct fabric){.arena = arena, .name = "hand", .family = "hand", .host_count = hosts,
                              .node_count = nodes, .port_count = 2 * (uint32_t)count};
    uint32_t *first = arena_array(arena, nodes + 1, uint32_t), *next = arena_array(arena, nodes, uint32_t);
    for (size_t i = 0; i < count; i++) {
        first[links[i].a + 1]++;
        first[links[i].b + 1]++;
    }
    for (uint32_t node = 0; node < nodes; node++) {
        first[node + 1] += first[node];
        next[node] = first[node];
    }
    nodes_make(fabric, arena, first);
    ports_make(fabric, arena);
    for (size_t i = 0; i < count; i++) {
        uint32_t a = next[links[i].a]++, b = next[links[i].b]++;
        link_end(fabric, &links[i], links[i].a, a, b);
        link_end(fabric, &links[i], links[i].b, b, a);
    }
    fabric->parts = part_table_new(arena);
    return fabric;
}

uint32_t hand_port(const struct fabric *fabric, uint32_t a, uint32_t b)
{
    for (uint32_t port = fabric->port_first[a]; port < fabric->port_first[a + 1]; port++) {
        if (fabric->port_node[fabric->port_peer[port]] == b) {
            return port;
        }
    }
    return ID_NONE;
}
