/* Multi-plane leaf-spine networks: several equal networks side by side that meet in the hosts only.
 *
 *      attach: every                                 attach: one
 *      a port of every host in every plane,          GPU r of every server in plane r; between planes
 *      as the lanes of a NIC that is broken out      packets are passed on over scale-up
 *
 *      plane 0      plane 1                          plane 0      plane 1
 *       s   s        s   s                            s   s        s   s
 *       l   l        l   l                            l   l        l   l
 *       │╲  │╲──────╱│  ╱│                           g0  g0       g1  g1
 *      h0  h1  h2  h3 ...                             └───┼────────┘   │   servers
 *                                                         └────────────┘
 *
 * A plane has the radix of its lanes: 64 ports of 800G are 512 ports of 100G, and two tiers reach where one
 * plane needs three.
 *
 * Scope: leaves and spines, equal planes; with attach: every a host sends a message's packets over all
 * planes.
 * Not modelled: unequal planes, planes that fail as one (their switches may), what it costs NICs to undo reordering.
 * Checked against: DeepSeek-V3 (ISCA 2025): 8 planes of two tiers with 64-port switches hold 16,384 GPUs
 * (tests/test_electrical.c). */
#include "topologies/planes.h"

#include <inttypes.h>

struct multi_plane {
    struct planes_values planes;
    struct server_values server;
    uint64_t plane_count;
    uint32_t attach;
};

enum attach { ATTACH_EVERY, ATTACH_ONE };
static const char *const attach_names[] = {"every", "one", NULL};

static const struct param rows[] = {
    PARAM_U64(struct multi_plane, plane_count, COUNT, "planes", "4", "1", "8", "networks side by side"),
    PARAM_CHOICE(struct multi_plane, attach, "attach", "every", attach_names,
                 "every: a host has a port in every plane; one: GPU r of a server is in plane r"),
    PLANES_ROWS(struct multi_plane),
    PLANES_ROW_LEAF_UP(struct multi_plane),
    SERVER_ROWS(struct multi_plane, "1"),
    PLANES_ROW_FORWARD(struct multi_plane),
};

static enum status multi_plane_build(const void *all_values, const struct fabric_request *request,
                                     struct fabric *fabric, struct diag *diag)
{
    const struct multi_plane *values = all_values;
    bool is_striped = values->attach == ATTACH_ONE && values->plane_count > 1;
    const struct planes_shape shape = {.planes = (uint32_t)values->plane_count,
                                       .is_striped = is_striped,
                                       .is_forwarding = is_striped,
                                       .spines = PLANES_OWN_SPINES};
    return planes_build(&values->planes, &values->server, &shape, request, fabric, diag);
}

const struct fabric_family fabric_multi_plane = {
    .name = "multi_plane",
    .summary = "several leaf-spine networks side by side that meet in the hosts",
    .params = PARAM_TABLE(struct multi_plane, rows),
    .build = multi_plane_build,
};
