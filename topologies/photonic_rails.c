/* Rails of optical switches: GPU r of every server on the optical switch of rail r, which is set anew for every phase.
 *
 *      ═══╧═══════╧═══════╧═══ rail 1      data parallel:  rings over servers 0 1 2 ...
 *      ═╧═╪═════╧═╪═════╧═╪═══ rail 0      pipeline:       pairs of neighbouring stages
 *       │ │     │ │     │ │
 *      h0 h1   h2 h3   h4 h5               the phases of a step come one after the other, so a few ports of a GPU
 *      server 0  ...                       serve all of them, one after the other
 *
 * What no circuit of a phase reaches gets circuits of its own, in turn, until all of its pairs have had one: circuits
 * join one to one, and a GPU reaches as many others at once as it has ports. Between rails packets go over scale-up in
 * the own server first.
 *
 * Scope: one optical switch a rail that joins any two of its ports; a change is dark for the circuits that change.
 * Not modelled: simplex circuits (both ways of a fibre pair end at the same peer here, in Opus a ring may use one port);
 * changes of the job's order of groups; failures of the controller.
 * Checked against: Opus, "Photonic rails in ML datacenters", 2025: below 6 % slower at switch times up to 10 ms, then
 * linear (tests/test_circuits.c). */
#include "topologies/patch.h"

struct photonic_rails {
    struct patch_values patch;
    struct phase_values phase;
    struct server_values server;
};

static const struct param rows[] = {
    PATCH_ROWS(struct photonic_rails, "2", "200Gbps"),
    PHASE_ROWS(struct photonic_rails, "greedy", "kind"),
    SERVER_ROWS(struct photonic_rails, "8"),
};

static enum status photonic_rails_build(const void *all_values, const struct fabric_request *request,
                                        struct fabric *fabric, struct diag *diag)
{
    const struct photonic_rails *values = all_values;
    fabric->plan = PLAN_PER_PHASE;
    fabric->planner = values->phase.planner;
    fabric->rules = phase_rules(&values->phase);
    return patch_build(&values->patch, &values->server, true, request, fabric, diag);
}

const struct fabric_family fabric_photonic_rails = {
    .name = "photonic_rails",
    .summary = "servers on rails of optical switches, circuits set anew for every phase of parallelism (Opus)",
    .params = PARAM_TABLE(struct photonic_rails, rows),
    .build = photonic_rails_build,
};
