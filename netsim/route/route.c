#include "netsim/route/route.h"

#include "netsim/route/shortest.h"

#include <inttypes.h>

struct routes *routes_new(const struct fabric *fabric, struct arena *arena)
{
    struct routes *routes = arena_one(arena, struct routes);
    routes->fabric = fabric;
    if (fabric->route == NULL) {
        shortest_build(routes, arena);
    }
    return routes;
}

/* A pair may have a next hop for a while and then none: follow the first port. */
static bool reaches(const struct routes *routes, uint32_t src, uint32_t dst)
{
    const struct fabric *fabric = routes->fabric;
    uint32_t node = src;
    for (uint32_t hop = 0; node != dst; hop++) {
        struct port_set set = routes_next(routes, node, dst);
        if (set.count == 0 || hop > fabric->node_count) {
            return false;
        }
        node = fabric->port_node[fabric->port_peer[fabric->port_first[node] + port_set_at(&set, 0)]];
    }
    return true;
}

enum status routes_check(const struct routes *routes, uint32_t host_count, struct diag *diag)
{
    uint64_t lost = 0;
    uint32_t first_dst = 0;
    /* Links are duplex, so the ways from and to host 0 stand for all: whoever reaches it reaches the others. */
    for (uint32_t host = 1; host < host_count; host++) {
        if (!reaches(routes, 0, host) || !reaches(routes, host, 0)) {
            first_dst = lost == 0 ? host : first_dst;
            lost++;
        }
    }
    if (lost == 0) {
        return STATUS_OK;
    }
    return diag_set(diag, STATUS_INPUT,
                    "%s: host 0 cannot reach host %" PRIu32 " (%" PRIu64 " of %" PRIu32
                    " hosts are cut off from it); expected a connected fabric",
                    routes->fabric->name, first_dst, lost, host_count);
}
