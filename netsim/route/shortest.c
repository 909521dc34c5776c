#include "netsim/route/shortest.h"

#include "netsim/base/rng.h"

#include <stdlib.h>
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

/* ---- interned sets ------------------------------------------------------------------------------------ */

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
        vec_push(pool->arena, pool->sets, pool->set_count, pool->set_capacity) =
            (struct port_set){count, 0, list};
        *slot = (uint32_t)pool->set_count;
    }
    return *slot - 1;
}

/* ---- classes of destinations -------------------------------------------------------------------------- */

static uint32_t port_cost(const struct fabric *fabric, uint32_t port)
{
    return fabric->port_cost == NULL ? 1 : fabric->port_cost[port];
}

static uint32_t neighbour(const struct fabric *fabric, uint32_t port)
{
    return fabric->port_peer[port] == ID_NONE ? ID_NONE : fabric->port_node[fabric->port_peer[port]];
}

static int compare_u64(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* Whom a host hangs at, and at what cost: ascending, each neighbour once with its cheapest link. */
static uint32_t host_hangs(const struct fabric *fabric, uint32_t host, uint64_t *hangs)
{
    uint32_t count = 0, unique = 0;
    for (uint32_t port = fabric->port_first[host]; port < fabric->port_first[host + 1]; port++) {
        uint32_t node = neighbour(fabric, port);
        hangs[count] = (uint64_t)node << 32 | port_cost(fabric, port);
        count += node != ID_NONE;
    }
    qsort(hangs, count, sizeof *hangs, compare_u64);
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || hangs[i] >> 32 != hangs[i - 1] >> 32) {
            hangs[unique++] = hangs[i];
        }
    }
    return unique;
}

struct search {
    const struct fabric *fabric;
    struct arena *scratch, *arena;
    struct pool pool;
    uint32_t *class_of;      /* per host */
    uint32_t *first_member;  /* per class */
    uint32_t *second_member; /* per class, ID_NONE where it has one */
    uint8_t *is_end;         /* per host: passes nothing on */
    uint32_t class_count;
    uint32_t *distance;
    struct entry *entries; /* of the ring of lists */
    uint16_t *ports;
    uint32_t **by_class; /* per node, NULL where one set serves for all */
    struct route_row *rows;
};

/* The class of an equal host met before, or a new one. Open addressing by the list's hash. */
static uint32_t class_find(struct search *search, uint32_t host, uint32_t *slots, uint32_t slot_count,
                           const uint64_t *hangs, uint32_t count, uint64_t *other)
{
    uint64_t hash = count;
    for (uint32_t i = 0; i < count; i++) {
        hash = rng_mix(hash * RNG_STEP + hangs[i]);
    }
    for (uint32_t slot = (uint32_t)hash & (slot_count - 1);; slot = (slot + 1) & (slot_count - 1)) {
        uint32_t class = slots[slot] - 1;
        if (slots[slot] == 0) {
            slots[slot] = ++search->class_count;
            search->first_member[search->class_count - 1] = host;
            search->second_member[search->class_count - 1] = ID_NONE;
            return search->class_count - 1;
        }
        if (host_hangs(search->fabric, search->first_member[class], other) == count &&
            memcmp(hangs, other, count * sizeof *hangs) == 0) {
            search->second_member[class] =
                search->second_member[class] == ID_NONE ? host : search->second_member[class];
            return class;
        }
    }
}

static void classes_make(struct search *search)
{
    const struct fabric *fabric = search->fabric;
    uint32_t hosts = fabric->host_count, slot_count = 4, ports_max = 0;
    for (uint32_t host = 0; host < hosts; host++) {
        uint32_t ports = fabric->port_first[host + 1] - fabric->port_first[host];
        ports_max = ports > ports_max ? ports : ports_max;
    }
    while (slot_count < 2 * hosts) {
        slot_count *= 2;
    }
    uint32_t *slots = arena_array(search->scratch, slot_count, uint32_t);
    uint64_t *hangs = arena_array(search->scratch, ports_max, uint64_t);
    uint64_t *other = arena_array(search->scratch, ports_max, uint64_t);
    for (uint32_t host = 0; host < hosts; host++) {
        uint32_t count = host_hangs(fabric, host, hangs);
        search->is_end[host] = fabric->is_host_end || count <= 1;
        if (search->is_end[host]) {
            search->class_of[host] = class_find(search, host, slots, slot_count, hangs, count, other);
        } else {
            search->class_of[host] = search->class_count++;
            search->first_member[search->class_of[host]] = host;
            search->second_member[search->class_of[host]] = ID_NONE;
        }
    }
}

/* ---- one search --------------------------------------------------------------------------------------- */

#define COSTS 256 /* one list for each distance that may be waiting at once: no link costs more than 255 */

struct entry {
    uint32_t node, next;
};

/* Distances to `dst` from all nodes; those to be looked at wait in lists by distance, some of them twice. */
static void distances_find(struct search *search, uint32_t dst)
{
    const struct fabric *fabric = search->fabric;
    uint32_t *distance = search->distance, head[COSTS], waiting = 1, entry_count = 1;
    memset(distance, 0xff, fabric->node_count * sizeof *distance);
    memset(head, 0xff, sizeof head);
    distance[dst] = 0;
    head[0] = 0;
    search->entries[0] = (struct entry){dst, ID_NONE};
    for (uint32_t now = 0; waiting > 0; now++) {
        while (head[now % COSTS] != ID_NONE) {
            struct entry entry = search->entries[head[now % COSTS]];
            head[now % COSTS] = entry.next;
            waiting--;
            bool is_passed =
                entry.node >= fabric->host_count || entry.node == dst || !search->is_end[entry.node];
            if (distance[entry.node] != now || !is_passed) {
                continue;
            }
            for (uint32_t port = fabric->port_first[entry.node]; port < fabric->port_first[entry.node + 1];
                 port++) {
                uint32_t next = neighbour(fabric, port);
                uint32_t far = now + (next == ID_NONE ? 0 : port_cost(fabric, fabric->port_peer[port]));
                if (next != ID_NONE && far < distance[next]) {
                    distance[next] = far;
                    search->entries[entry_count] = (struct entry){next, head[far % COSTS]};
                    head[far % COSTS] = entry_count++;
                    waiting++;
                }
            }
        }
    }
}

/* What a node's neighbour is away from `dst`, FAR where nothing passes through it. Distances are those of the
 * first member of dst's class, which all others share. */
static uint32_t distance_at(const struct search *search, uint32_t node, uint32_t dst)
{
    if (node == dst) {
        return 0;
    }
    return node < search->fabric->host_count && search->is_end[node] ? FAR : search->distance[node];
}

static uint32_t port_order(const struct fabric *fabric, uint32_t port)
{
    return fabric->port_order == NULL ? 0 : fabric->port_order[port];
}

/* The set of ports of `node`, `away` from dst, whose links lead nearer. */
static uint32_t nearer_set(struct search *search, uint32_t node, uint32_t away, uint32_t dst)
{
    const struct fabric *fabric = search->fabric;
    uint32_t first = fabric->port_first[node], count = 0, order_min = UINT32_MAX;
    for (uint32_t port = first; away != FAR && port < fabric->port_first[node + 1]; port++) {
        uint32_t next = neighbour(fabric, port);
        uint32_t left = next == ID_NONE ? FAR : distance_at(search, next, dst);
        uint32_t order = port_order(fabric, port);
        if (left == FAR || left + port_cost(fabric, port) != away || order > order_min) {
            continue;
        }
        count = order < order_min ? 0 : count;
        order_min = order;
        search->ports[count++] = (uint16_t)(port - first);
    }
    return pool_intern(&search->pool, search->ports, count);
}

/* ---- the table ---------------------------------------------------------------------------------------- */

static uint32_t node_ports_max(const struct fabric *fabric)
{
    uint32_t most = 0;
    for (uint32_t node = 0; node < fabric->node_count; node++) {
        uint32_t count = fabric->port_first[node + 1] - fabric->port_first[node];
        most = count > most ? count : most;
    }
    return most;
}

/* A host with one neighbour sends everything there, by its cheapest links of the lowest order. */
static bool has_one_neighbour(const struct fabric *fabric, uint32_t host)
{
    uint32_t seen = ID_NONE;
    for (uint32_t port = fabric->port_first[host]; port < fabric->port_first[host + 1]; port++) {
        uint32_t node = neighbour(fabric, port);
        if (node != ID_NONE && seen != ID_NONE && node != seen) {
            return false;
        }
        seen = node != ID_NONE ? node : seen;
    }
    return seen != ID_NONE && seen >= fabric->host_count;
}

/* Such a host's set: as if its neighbour were nearer, by the cost of the cheapest link. */
static uint32_t only_set(struct search *search, uint32_t host)
{
    const struct fabric *fabric = search->fabric;
    uint32_t cheapest = UINT32_MAX;
    for (uint32_t port = fabric->port_first[host]; port < fabric->port_first[host + 1]; port++) {
        uint32_t next = neighbour(fabric, port),
                 cost = next == ID_NONE ? UINT32_MAX : port_cost(fabric, port);
        cheapest = cost < cheapest ? cost : cheapest;
        search->distance[next == ID_NONE ? host : next] = 0;
    }
    return nearer_set(search, host, cheapest, ID_NONE);
}

static void rows_make(struct search *search)
{
    const struct fabric *fabric = search->fabric;
    for (uint32_t node = 0; node < fabric->node_count; node++) {
        if (node < fabric->host_count && has_one_neighbour(fabric, node)) {
            search->rows[node].only = only_set(search, node);
        } else {
            search->by_class[node] = arena_array(search->arena, search->class_count, uint32_t);
            search->rows[node].by_class = search->by_class[node];
        }
    }
}

/* Places for the last hops: hosts that share their class with others, at the nodes that they hang at. */
static void directs_make(struct search *search)
{
    const struct fabric *fabric = search->fabric;
    for (uint32_t host = 0; host < fabric->host_count; host++) {
        bool is_shared = search->second_member[search->class_of[host]] != ID_NONE;
        for (uint32_t port = fabric->port_first[host]; is_shared && port < fabric->port_first[host + 1];
             port++) {
            uint32_t node = neighbour(fabric, port);
            struct route_row *row = node == ID_NONE ? NULL : &search->rows[node];
            if (row != NULL) { /* hosts come in ascending order */
                row->direct_first = row->direct_count == 0 ? host : row->direct_first;
                row->direct_count = host + 1 - row->direct_first;
            }
        }
    }
    for (uint32_t node = 0; node < fabric->node_count; node++) {
        struct route_row *row = &search->rows[node];
        uint32_t *direct = arena_array(search->arena, row->direct_count, uint32_t);
        memset(direct, 0xff, row->direct_count * sizeof *direct);
        row->direct = direct;
    }
}

/* The last hop to every member of a class that has several. */
static void members_join(struct search *search, uint32_t host)
{
    const struct fabric *fabric = search->fabric;
    for (uint32_t port = fabric->port_first[host]; port < fabric->port_first[host + 1]; port++) {
        uint32_t node = neighbour(fabric, port);
        if (node != ID_NONE) {
            struct route_row *row = &search->rows[node];
            uint32_t *direct = (uint32_t *)(uintptr_t)&row->direct[host - row->direct_first];
            *direct = nearer_set(search, node, search->distance[node], host);
        }
    }
}

/* Hosts of one class in a list, so that a class finds its members without a walk over all hosts. */
static uint32_t *members_list(const struct search *search, uint32_t *next)
{
    uint32_t *head = arena_array(search->scratch, search->class_count, uint32_t);
    memset(head, 0xff, search->class_count * sizeof *head);
    for (uint32_t host = search->fabric->host_count; host-- > 0;) {
        next[host] = head[search->class_of[host]];
        head[search->class_of[host]] = host;
    }
    return head;
}

static void class_route(struct search *search, uint32_t class, uint32_t member, const uint32_t *next)
{
    const struct fabric *fabric = search->fabric;
    uint32_t first = search->first_member[class], second = search->second_member[class];
    distances_find(search, first);
    for (uint32_t node = 0; node < fabric->node_count; node++) {
        uint32_t *by_class = search->by_class[node];
        if (by_class != NULL && node == first && second != ID_NONE) {
            by_class[class] = nearer_set(search, node, search->distance[second], second);
        } else if (by_class != NULL) {
            by_class[class] = nearer_set(search, node, search->distance[node], first);
        }
    }
    for (; second != ID_NONE && member != ID_NONE; member = next[member]) {
        members_join(search, member);
    }
}

void shortest_build(struct routes *routes, struct arena *arena)
{
    const struct fabric *fabric = routes->fabric;
    struct arena *scratch = arena_new("shortest paths");
    uint32_t nodes = fabric->node_count, hosts = fabric->host_count;
    struct search search = {.fabric = fabric,
                            .scratch = scratch,
                            .arena = arena,
                            .pool = {.arena = arena},
                            .class_of = arena_array(arena, hosts, uint32_t),
                            .first_member = arena_array(scratch, hosts, uint32_t),
                            .second_member = arena_array(scratch, hosts, uint32_t),
                            .is_end = arena_array(scratch, hosts, uint8_t),
                            .distance = arena_array(scratch, nodes, uint32_t),
                            .entries = arena_array(scratch, (size_t)fabric->port_count + 1, struct entry),
                            .ports = arena_array(scratch, node_ports_max(fabric), uint16_t),
                            .by_class = arena_array(scratch, nodes, uint32_t *),
                            .rows = arena_array(arena, nodes, struct route_row)};
    classes_make(&search);
    rows_make(&search);
    directs_make(&search);
    uint32_t *next = arena_array(scratch, hosts, uint32_t);
    uint32_t *member = members_list(&search, next);
    for (uint32_t class = 0; class < search.class_count; class ++) {
        class_route(&search, class, member[class], next);
    }
    routes->rows = search.rows;
    routes->class_of = search.class_of;
    routes->class_count = search.class_count;
    routes->sets = search.pool.sets;
    routes->set_count = (uint32_t)search.pool.set_count;
    arena_free(scratch);
}
