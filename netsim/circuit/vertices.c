#include "netsim/circuit/vertices.h"

void vertices_gather(const struct fabric *fabric, const struct optical *optical, struct arena *arena,
                     struct vertices *vertices)
{
    uint32_t count = optical->vertex_of == NULL ? fabric->host_count : optical->vertex_count;
    vertices->count = count;
    vertices->port_count = arena_array(arena, count, uint32_t);
    vertices->first = arena_array(arena, (size_t)count + 1, uint32_t);
    vertices->port = arena_array(arena, optical->port_count, uint32_t);
    uint32_t *of = arena_array(arena, optical->port_count, uint32_t);
    for (uint32_t i = 0; i < optical->port_count; i++) {
        of[i] = optical->vertex_of == NULL ? fabric->port_node[optical->port[i]] : optical->vertex_of[i];
        assert(of[i] < count && fabric->port_peer[optical->port[i]] == ID_NONE);
        vertices->port_count[of[i]]++;
    }
    for (uint32_t vertex = 0; vertex < count; vertex++) {
        vertices->first[vertex + 1] = vertices->first[vertex] + vertices->port_count[vertex];
    }
    uint32_t *next = arena_array(arena, count, uint32_t);
    for (uint32_t i = 0; i < optical->port_count; i++) {
        vertices->port[vertices->first[of[i]] + next[of[i]]++] = optical->port[i];
    }
}

const struct demand *vertices_demand(const struct optical *optical, uint32_t vertex_count, const struct demand *demand,
                                     struct arena *arena)
{
    struct demand_builder *builder = demand_builder_new(arena, vertex_count);
    for (uint32_t src = 0; src < demand->host_count; src++) {
        for (uint32_t i = demand->first[src]; i < demand->first[src + 1]; i++) {
            uint32_t left = vertex_of_source(optical, src), right = vertex_of_target(optical, demand->dst[i]);
            if (left != ID_NONE && right != ID_NONE && left != right) {
                demand_add(builder, left, right, demand->bytes[i]);
            }
        }
    }
    return demand_build(builder);
}
