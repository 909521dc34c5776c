#include "netsim/route/shortest.h"

#include "netsim/base/rng.h"

#include <string.h>

#define FAR UINT32_MAX

/* Links are duplex, so the ports of a node also name the links that end at it. */
void shortest_distances(const struct fabric *fabric, uint32_t host, uint32_t *distance, uint32_t *queue)
{
    memset(distance, 0xff, fabric->node_count * sizeof *distance);
    uint32_t head = 0, tail = 0;
    distance[host] = 0;
    queue[tail++] = host;
    while (head < tail) {
        uint32_t node = queue[head++];
        for (uint32_t port = fabric->port_first[node]; port < fabric->port_first[node + 1]; port++) {
            uint32_t peer = fabric->port_peer[port];
            uint32_t next = peer == ID_NONE ? node : fabric->port_node[peer];
            if (distance[next] == FAR) {
                distance[next] = distance[node] + 1;
                queue[tail++] = next;
            }
        }
    }
}

/* ---- interned sets ------------------------------------------------------------------------------------------ */

struct pool {
    struct arena *arena;
    struct port_set *sets;
    size_t set_count, set_capacity;
    uint32_t *slots; /* open addressing: set id + 1, 0 = free */
    uint32_t slot_count;
};

static uint64_t ports_hash(const uint16_t *ports, uint32_t count)
{
    uint64_t hash = count;
    for (uint32_t i = 0; i < count; i++) {
        hash = rng_mix(hash * RNG_STEP + ports[i] + 1);
    }
    return hash;
}

static bool set_holds(const struct port_set *set, const uint16_t *ports, uint32_t count)
{
    return set->count == count && (count == 0 || memcmp(set->list, ports, count * sizeof *ports) == 0);
}

static uint32_t *pool_slot(struct pool *pool, const uint16_t *ports, uint32_t count)
{
    uint32_t slot = (uint32_t)ports_hash(ports, count) & (pool->slot_count - 1);
    while (pool->slots[slot] != 0 && !set_holds(&pool->sets[pool->slots[slot] - 1], ports, count)) {
        slot = (slot + 1) & (pool->slot_count - 1);
    }
    return &pool->slots[slot];
}

static void pool_grow(struct pool *pool)
{
    pool->slot_count = pool->slot_count == 0 ? 256 : pool->slot_count * 2;
    pool->slots = arena_array(pool->arena, pool->slot_count, uint32_t);
    for (size_t i = 0; i < pool->set_count; i++) {
        *pool_slot(pool, pool->sets[i].list, pool->sets[i].count) = (uint32_t)i + 1;
    }
}

static uint32_t pool_intern(struct pool *pool, const uint16_t *ports, uint32_t count)
{
    if (2 * pool->set_count >= pool->slot_count) {
        pool_grow(pool);
    }
    uint32_t *slot = pool_slot(pool, ports, count);
    if (*slot == 0) {
        uint16_t *list = arena_array(pool->arena, count, uint16_t);
        memcpy(list, ports, count * sizeof *ports);
        vec_push(pool->arena, pool->sets, pool->set_count, pool->set_capacity) = (struct port_set){count, 0, list};
        *slot = (uint32_t)pool->set_count;
    }
    return *slot - 1;
}

/* ---- the table ----------------------------------------------------------------------------------------------- */

static uint32_t node_ports_max(const struct fabric *fabric)
{
    uint32_t most = 0;
    for (uint32_t node = 0; node < fabric->node_count; node++) {
        uint32_t count = fabric->port_first[node + 1] - fabric->port_first[node];
        most = count > most ? count : most;
    }
    return most;
}

/* Ports of `node` whose links lead one hop nearer; returns their number. */
static uint32_t nearer_ports(const struct fabric *fabric, const uint32_t *distance, uint32_t node, uint16_t *ports)
{
    uint32_t first = fabric->port_first[node], count = 0;
    for (uint32_t port = first; distance[node] != FAR && port < fabric->port_first[node + 1]; port++) {
        uint32_t peer = fabric->port_peer[port];
        if (peer != ID_NONE && distance[fabric->port_node[peer]] + 1 == distance[node]) {
            ports[count++] = (uint16_t)(port - first);
        }
    }
    return count;
}

void shortest_build(struct routes *routes, struct arena *arena)
{
    const struct fabric *fabric = routes->fabric;
    struct arena *scratch = arena_new("shortest paths");
    uint32_t *distance = arena_array(scratch, fabric->node_count, uint32_t);
    uint32_t *queue = arena_array(scratch, fabric->node_count, uint32_t);
    uint16_t *ports = arena_array(scratch, node_ports_max(fabric), uint16_t);
    uint32_t *set_id = arena_array(arena, (size_t)fabric->node_count * fabric->host_count, uint32_t);
    struct pool pool = {.arena = arena};
    for (uint32_t host = 0; host < fabric->host_count; host++) {
        shortest_distances(fabric, host, distance, queue);
        for (uint32_t node = 0; node < fabric->node_count; node++) {
            uint32_t count = nearer_ports(fabric, distance, node, ports);
            set_id[(size_t)node * fabric->host_count + host] = pool_intern(&pool, ports, count);
        }
    }
    routes->set_id = set_id;
    routes->sets = pool.sets;
    routes->set_count = (uint32_t)pool.set_count;
    arena_free(scratch);
}
