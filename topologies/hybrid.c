/* A packet network for mice and circuits for elephants: large messages take an optical switch whose circuits are the
 * matching of maximum weight of what a phase sends (Helios, c-Through), or matchings in turn (Mordia).
 *
 *        leaf-spine           every host has a port to it, and one or more to the optical switch
 *       │   │   │   │
 *      h0  h1  h2  h3
 *      ═╧═══╧═══╧═══╧═ optical switch
 *
 * A message of at least `elephant` bytes whose pair has a circuit takes it; all others, and all acknowledgements, take the
 * packet network.
 *
 * Scope: hosts, or servers of several GPUs with one scale-up switch, at one optical switch. What a phase will send is known
 * (c-Through reads socket buffers, Helios counters of the switches, each a control loop later).
 * Not modelled: circuits between top-of-rack switches; a host (or a server) stands for a rack here, as in Mordia's test bed.
 * Checked against: Helios and c-Through, SIGCOMM 2010: elephants on circuits relieve an oversubscribed network; bounds by
 * hand (tests/test_circuits.c). */
#include "topologies/patch.h"
#include "topologies/planes.h"

struct hybrid {
    struct planes_values planes;
    struct fibre_values fibre;
    struct phase_values phase;
    struct server_values server;
};

static const struct param rows[] = {
    PLANES_ROWS(struct hybrid),
    PLANES_ROW_LEAF_UP(struct hybrid),
    FIBRE_ROWS(struct hybrid, "0", "1MB", "any"),
    PHASE_ROWS(struct hybrid, "matching", "kind"),
    SERVER_ROWS(struct hybrid, "1"),
};

static enum status hybrid_build(const void *all_values, const struct fabric_request *request,
                            struct fabric *fabric, struct diag *diag)
{
    const struct hybrid *values = all_values;
    const struct planes_shape shape = {.planes = 1, .spines = PLANES_OWN_SPINES, .fibres = &values->fibre};
    fabric->plan = PLAN_PER_PHASE;
    fabric->planner = values->phase.planner;
    fabric->rules = phase_rules(&values->phase);
    return planes_build(&values->planes, &values->server, &shape, request, fabric, diag);
}

const struct fabric_family fabric_hybrid = {
    .name = "hybrid",
    .summary = "leaf-spine network for mice, circuits of an optical switch for elephants (Helios, c-Through, Mordia)",
    .params = PARAM_TABLE(struct hybrid, rows),
    .build = hybrid_build,
};
