#include "netsim/route/way.h"

#define HOPS_MAX 64

const char *const way_names[] = {"minimal", "valiant", "ugal", NULL};

/* The region of the switches that a host hangs at: those of one host are of one region. */
static uint32_t region_of(const struct fabric *fabric, uint32_t host)
{
    for (uint32_t port = fabric->port_first[host]; port < fabric->port_first[host + 1]; port++) {
        uint32_t peer = fabric->port_peer[port];
        if (peer != ID_NONE && fabric->node_region[fabric->port_node[peer]] != ID_NONE) {
            return fabric->node_region[fabric->port_node[peer]];
        }
    }
    return ID_NONE;
}

enum status ways_init(struct ways *ways, enum way_rule rule, uint64_t threshold_bytes, const struct routes *routes,
                      struct arena *arena, struct diag *diag)
{
    const struct fabric *fabric = routes->fabric;
    *ways = (struct ways){.rule = rule, .threshold_bytes = threshold_bytes, .routes = routes};
    if (rule == WAY_MINIMAL) {
        return STATUS_OK;
    }
    if (fabric->node_region == NULL) { /* where it is not, hosts are ends: no packet comes by its source again */
        return diag_set(diag, STATUS_INPUT,
                        "routing.paths is %s, but fabric %s (%s) has shortest ways only; expected minimal, or a "
                        "dragonfly, hyperx or torus whose hosts hang at switches",
                        way_names[rule], fabric->name, fabric->family);
    }
    uint32_t *host_region = arena_array(arena, fabric->host_count, uint32_t);
    for (uint32_t host = 0; host < fabric->host_count; host++) {
        host_region[host] = region_of(fabric, host);
    }
    ways->node_region = fabric->node_region;
    ways->host_region = host_region;
    return STATUS_OK;
}

/* ID_NONE where it lies in the region of one of the ends: then the shortest way is the long one. */
static uint32_t middle_of(const struct ways *ways, uint32_t src, uint32_t dst, uint32_t entropy)
{
    uint64_t key = (uint64_t)src << 40 ^ (uint64_t)dst << 16 ^ (entropy & (WAY_LONG - 1));
    uint32_t middle = rng_below(rng_mix(key * RNG_STEP), ways->routes->fabric->host_count);
    uint32_t region = ways->host_region[middle];
    bool is_at_end = region == ways->host_region[src] || region == ways->host_region[dst];
    return region == ID_NONE || is_at_end ? ID_NONE : middle;
}

/* Hops from *node to `host`, or to the first node of the region of `host`, which is left in *node. */
static uint32_t hops_count(const struct ways *ways, uint32_t *node, uint32_t host, bool is_to_region)
{
    const struct fabric *fabric = ways->routes->fabric;
    uint32_t hops = 0;
    while (*node != host && hops < HOPS_MAX &&
           !(is_to_region && ways->node_region[*node] == ways->host_region[host])) {
        struct port_set set = routes_next(ways->routes, *node, host);
        *node = fabric->port_node[fabric->port_peer[fabric->port_first[*node] + port_set_at(&set, 0)]];
        hops++;
    }
    return hops;
}

static bool is_detour_shorter(const struct ways *ways, uint32_t node, uint32_t middle, uint32_t dst,
                              way_backlog *backlog, const void *context)
{
    uint32_t at = node;
    uint64_t straight_hops = hops_count(ways, &at, dst, false);
    at = node;
    uint64_t detour_hops = hops_count(ways, &at, middle, true);
    detour_hops += hops_count(ways, &at, dst, false);
    return backlog(context, node, dst) * straight_hops >
           backlog(context, node, middle) * detour_hops + ways->threshold_bytes;
}

uint32_t way_towards_slow(const struct ways *ways, uint32_t node, uint32_t from, uint32_t src, uint32_t dst,
                          uint32_t *entropy, way_backlog *backlog, const void *context)
{
    bool is_long = (*entropy & WAY_LONG) != 0, is_first = from == src;
    if (!is_first && !is_long) {
        return dst;
    }
    uint32_t middle = middle_of(ways, src, dst, *entropy);
    if (middle == ID_NONE || node == middle || ways->node_region[node] == ways->host_region[middle]) {
        is_long = false;
    } else if (is_first) { /* the bit was the balance's */
        is_long = ways->node_region[node] != ID_NONE &&
                  (ways->rule == WAY_VALIANT || is_detour_shorter(ways, node, middle, dst, backlog, context));
    }
    *entropy = is_long ? *entropy | WAY_LONG : *entropy & ~WAY_LONG;
    return is_long ? middle : dst;
}
