/* Hosts or servers joined directly through optical circuit switches, circuits set once a job.
 *
 *      host 0   host 1   host 2   host 3        every port's fibre ends at the optical plane; a planner
 *       ||||     ||||     ||||     ||||         (netsim/circuit) joins ports of hosts that talk, once, from the job's
 *     ═══╧╧╧╧═════╧╧╧╧═════╧╧╧╧═════╧╧╧╧═══     demand; all others reach each other over hosts
 *              optical switches
 *
 * Circuits come up after the optical switch has settled, the receivers have locked again and the control plane is done:
 * three numbers of the switch's part, charged once at the start of the job.
 *
 * With server_gpus the circuits join servers, whose hosts share the ports of all of them over scale-up.
 *
 * Scope: one plane that joins any two ports. It stands for as many boxes as its ports need (power, price).
 * Not modelled: which box a fibre ends at (a real plane of several boxes joins ports of one box only); changes during a
 * job; the processor time that forwarding costs a host.
 * Checked against: TopoOpt, NSDI 2023, for what is joined; hop times by hand (tests/test_plan.c). */
#include "topologies/patch.h"

struct optical_patch {
    struct patch_values patch;
    struct server_values server;
    const char *planner;
};

static const struct param rows[] = {
    PATCH_ROWS(struct optical_patch, "4", "100Gbps"),
    PARAM_TEXT(struct optical_patch, planner, "planner", "per_job",
               "who sets the circuits: per_job (from the demand), strides, ring, none"),
    SERVER_ROWS(struct optical_patch, "1"),
};

static enum status optical_patch_build(const void *all_values, const struct fabric_request *request,
                                       struct fabric *fabric, struct diag *diag)
{
    const struct optical_patch *values = all_values;
    fabric->plan = PLAN_PER_JOB;
    fabric->planner = values->planner;
    return patch_build(&values->patch, &values->server, false, request, fabric, diag);
}

const struct fabric_family fabric_optical_patch = {
    .name = "optical_patch",
    .summary = "hosts joined directly through optical circuit switches, circuits set once a job from its demand",
    .params = PARAM_TABLE(struct optical_patch, rows),
    .build = optical_patch_build,
};
