/* Regional optical switches beside a leaf-spine network: the all-to-all of expert parallelism takes circuits between
 * servers, which are set anew for every call of it; all else takes the packet network.
 *
 *        leaf-spine            every host has a NIC port to it
 *       │   │   │   │
 *      h0  h1  h2  h3 ...      region: servers that share an optical switch
 *      └─NVSwitch─┘
 *          ║║║║ circuits
 *      ═════╧╧╧╧═════ optical switch
 *
 * The hottest pairs of servers get circuits, one after the other, until the fibres are used; pairs without one, and
 * messages of other calls, take the network. Acknowledgements always do.
 *
 * Scope: circuits end at the one scale-up switch of a server (any of its GPUs may use any of them), or at hosts without
 * servers. The demand of a call is known when it starts; the gating network's prediction of it is not modelled.
 * Not modelled: several scale-up switches a server; experts that move.
 * Checked against: MixNet, SIGCOMM 2025: with half of the NICs on circuits as fast as a fat tree of all of them
 * (tests/test_circuits.c). */
#include "topologies/patch.h"
#include "topologies/planes.h"

struct mixnet {
    struct planes_values planes;
    struct fibre_values fibre;
    struct phase_values phase;
    struct server_values server;
};

static const struct param rows[] = {
    PLANES_ROWS(struct mixnet),
    PLANES_ROW_LEAF_UP(struct mixnet),
    FIBRE_ROWS(struct mixnet, "128", "0B", "all_to_all"),
    PHASE_ROWS(struct mixnet, "greedy", "call"),
    SERVER_ROWS(struct mixnet, "1"),
};

static enum status mixnet_build(const void *all_values, const struct fabric_request *request,
                            struct fabric *fabric, struct diag *diag)
{
    const struct mixnet *values = all_values;
    const struct planes_shape shape = {.planes = 1, .spines = PLANES_OWN_SPINES, .fibres = &values->fibre};
    fabric->plan = PLAN_PER_PHASE;
    fabric->planner = values->phase.planner;
    fabric->rules = phase_rules(&values->phase);
    return planes_build(&values->planes, &values->server, &shape, request, fabric, diag);
}

const struct fabric_family fabric_mixnet = {
    .name = "mixnet",
    .summary = "leaf-spine network and regional optical switches for the all-to-all of experts (MixNet)",
    .params = PARAM_TABLE(struct mixnet, rows),
    .build = mixnet_build,
};
