/* Rail-optimised leaf-spine networks: GPU r of every server on the leaves of rail r, all leaves under common
 * spines.
 *
 *        s     s     s     s          common spines
 *        │╲   ╱│╲   ╱│╲   ╱│
 *       l0    l1    l2    l3          a rail group: `down` servers, one leaf a rail
 *       ││    ││    ││    ││
 *   ┌── g0 ── g1 ── g2 ── g3 ──┐      server 0, scale-up inside
 *   └── g0 ── g1 ── g2 ── g3 ──┘      server 1
 *
 * Traffic between the same GPUs of a rail group passes one leaf. Between rails either the spines carry it, or
 * (`pxn`) the sender's server does: over scale-up to its GPU on the destination's rail, and out there. The
 * latter is what NCCL calls PXN and does by default.
 *
 * Scope: two tiers; scale-up with switches or as a mesh inside every server.
 * Not modelled: NICs that serve several GPUs; three tiers; the choice of NCCL, which also aggregates messages
 * under PXN.
 * Checked against: counts and diameters by hand, arithmetic routes against searches
 * (tests/test_electrical.c). */
#include "topologies/planes.h"

#include <inttypes.h>

struct rail_optimised {
    struct planes_values planes;
    struct server_values server;
    bool is_forwarding;
};

static const struct param rows[] = {
    PLANES_ROWS(struct rail_optimised),
    PLANES_ROW_LEAF_UP(struct rail_optimised),
    SERVER_ROWS(struct rail_optimised, "8"),
    PARAM_BOOL(struct rail_optimised, is_forwarding, "pxn", "yes",
               "traffic between rails goes over scale-up to the GPU on the right rail, not over the spines"),
    PLANES_ROW_FORWARD(struct rail_optimised),
};

static enum status rail_optimised_build(const void *all_values, const struct fabric_request *request,
                                        struct fabric *fabric, struct diag *diag)
{
    const struct rail_optimised *values = all_values;
    const struct planes_shape shape = {.planes = (uint32_t)values->server.gpus,
                                       .is_striped = true,
                                       .is_forwarding = values->is_forwarding && values->server.gpus > 1,
                                       .spines = PLANES_COMMON_SPINES};
    return planes_build(&values->planes, &values->server, &shape, request, fabric, diag);
}

const struct fabric_family fabric_rail_optimised = {
    .name = "rail_optimised",
    .summary = "leaf-spine with GPU r of every server on rail r, scale-up inside the servers",
    .params = PARAM_TABLE(struct rail_optimised, rows),
    .build = rail_optimised_build,
};
