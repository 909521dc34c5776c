/* Rail-only networks: GPU r of every server on the one switch of rail r, and no spine.
 *
 *       l0    l1    l2    l3          one switch a rail
 *       ││    ││    ││    ││
 *   ┌── g0 ── g1 ── g2 ── g3 ──┐      server 0, scale-up inside
 *   └── g0 ── g1 ── g2 ── g3 ──┘      server 1
 *
 * Between rails there is only one way: over scale-up to the own server's GPU on the destination's rail, which
 * passes packets on to its NIC.
 *
 * Scope: one switch a rail, as large as it must be; scale-up with switches or as a mesh inside every server.
 * In a mesh the destination's server passes on as often as the sender's.
 * Not modelled: rails of several switches (multi_plane with attach: one has them); what passing on costs a
 * GPU beside its latency; passing on in stages. Packets are passed on one by one here, so scale-up and
 * network overlap, and an all-to-all is as fast as with spines while scale-up is faster than the NICs. The
 * published 8 to 11 % more are what the scale-up stage takes where it comes after the network's: NIC rate
 * over scale-up rate, 25 / 300 GB/s for A100 and 50 / 450 GB/s for H100.
 * Checked against: Wang et al., "Rail-only", Hot Interconnects 2024, for what is joined; counts, routes and
 * the cost against rail_optimised (tests/test_electrical.c). */
#include "topologies/planes.h"

#include <inttypes.h>

struct rail_only {
    struct planes_values planes;
    struct server_values server;
};

static const struct param rows[] = {
    PLANES_ROWS(struct rail_only),
    SERVER_ROWS(struct rail_only, "8"),
    PLANES_ROW_FORWARD(struct rail_only),
};

static enum status rail_only_build(const void *all_values, const struct fabric_request *request,
                                   struct fabric *fabric, struct diag *diag)
{
    const struct rail_only *values = all_values;
    const struct planes_shape shape = {.planes = (uint32_t)values->server.gpus,
                                       .is_striped = true,
                                       .is_forwarding = values->server.gpus > 1,
                                       .spines = PLANES_NO_SPINES};
    return planes_build(&values->planes, &values->server, &shape, request, fabric, diag);
}

const struct fabric_family fabric_rail_only = {
    .name = "rail_only",
    .summary = "one switch a rail and no spine: traffic between rails is passed on over scale-up",
    .params = PARAM_TABLE(struct rail_only, rows),
    .build = rail_only_build,
};
