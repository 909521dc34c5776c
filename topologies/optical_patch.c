/* Hosts joined directly through optical circuit switches, circuits set once a job.
 *
 *      host 0   host 1   host 2   host 3        every port's fibre ends at the optical plane; a planner
 *       ||||     ||||     ||||     ||||         (netsim/circuit) joins ports of hosts that talk, once, from the job's
 *     ═══╧╧╧╧═════╧╧╧╧═════╧╧╧╧═════╧╧╧╧═══     demand; all others reach each other over hosts
 *              optical switches
 *
 * Circuits come up after the optical switch has settled, the receivers have locked again and the control plane is done:
 * three numbers of the switch's part, charged once at the start of the job.
 *
 * Scope: one plane that joins any two ports. It stands for as many boxes as its ports need (power, price).
 * Not modelled: which box a fibre ends at (a real plane of several boxes joins ports of one box only); changes during a
 * job; the processor time that forwarding costs a host.
 * Checked against: TopoOpt, NSDI 2023, for what is joined; hop times by hand (tests/test_plan.c). */
#include "topologies/build.h"

#include <inttypes.h>

struct optical_patch {
    uint64_t hosts, degree;
    uint64_t link_rate_bps, link_delay_ps;
    double fibre_length_m;
    const char *medium, *gpu, *nic, *module, *ocs, *planner;
    uint64_t ports_per_nic, forward_latency_ps, queue_bytes;
    bool has_device_latency;
};

static const struct param rows[] = {
    PARAM_U64(struct optical_patch, hosts, COUNT, "hosts", "0", "0", "1_048_576",
              "hosts; 0: as many as the job has ranks (32 without a job)"),
    PARAM_U64(struct optical_patch, degree, COUNT, "degree", "4", "1", "64", "ports of a host, one fibre pair each"),
    PARAM_U64(struct optical_patch, link_rate_bps, RATE, "link_rate", "100Gbps", "1Mbps", "100Tbps",
              "of a port, one way"),
    PARAM_U64(struct optical_patch, link_delay_ps, TIME, "link_delay", "0ps", "0ps", "1s",
              "propagation of a circuit from host to host; 0ps: from length, medium and optical switch"),
    PARAM_REAL(struct optical_patch, fibre_length_m, LENGTH, "fibre_length", "20m", "0m", "100km",
               "host to optical switch"),
    PARAM_TEXT(struct optical_patch, medium, "medium", "smf", "part that gives the delay per metre: smf, hollow_core"),
    PARAM_TEXT(struct optical_patch, gpu, "gpu", "none", "part of a host"),
    PARAM_TEXT(struct optical_patch, nic, "nic", "none", "part at a host's ports"),
    PARAM_U64(struct optical_patch, ports_per_nic, COUNT, "ports_per_nic", "1", "1", "64",
              "ports that share one NIC, as the lanes of a module that is broken out"),
    PARAM_TEXT(struct optical_patch, module, "module", "none", "part at a host's port: DSP, LPO or CPO"),
    PARAM_TEXT(struct optical_patch, ocs, "ocs", "none",
               "part of the optical switch: its settle, relock and control times are charged at the start"),
    PARAM_U64(struct optical_patch, forward_latency_ps, TIME, "forward_latency", "1us", "0ps", "1s",
              "of a packet that a host forwards for others, NICs not counted (assumption: kernel bypass)"),
    PARAM_BOOL(struct optical_patch, has_device_latency, "device_latency", "yes",
               "parts take their time: NIC, modules, FEC, optical switch"),
    PARAM_U64(struct optical_patch, queue_bytes, SIZE, "queue", "0B", "0B", NULL, "of an output port; 0B: unbounded"),
    PARAM_TEXT(struct optical_patch, planner, "planner", "per_job",
               "who sets the circuits: per_job (from the demand), strides, ring, none"),
};

struct patch {
    struct build build;
    const struct optical_patch *values;
    uint32_t hosts, degree;
    uint32_t gpu, nic, module, ocs, medium;
    struct build_link fibre; /* from a host to the optical switch */
    uint64_t nic_latency_ps;
};

static enum status parts_find(struct patch *patch, const struct fabric_request *request, struct diag *diag)
{
    const struct optical_patch *values = patch->values;
    const struct {
        const char *key, *name;
        uint32_t classes;
        uint32_t *part_id;
    } all[] = {
        {"gpu", values->gpu, BUILD_CLASS(GPU), &patch->gpu},
        {"nic", values->nic, BUILD_CLASS(NIC), &patch->nic},
        {"module", values->module, BUILD_CLASS(MODULE) | BUILD_CLASS(CPO), &patch->module},
        {"ocs", values->ocs, BUILD_CLASS(OCS), &patch->ocs},
        {"medium", values->medium, BUILD_CLASS(FIBRE), &patch->medium},
    };
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < sizeof all / sizeof all[0]; i++) {
        status = build_part(request, all[i].key, all[i].name, all[i].classes, all[i].part_id, diag);
    }
    return status;
}

/* The circuit's way is halved between its two fibres, rounded up so that no circuit is faster than asked for. */
static void fibre_set_up(struct patch *patch, const struct fabric_request *request)
{
    const struct optical_patch *values = patch->values;
    uint64_t ocs_ps = values->has_device_latency ? build_part_u64(request->parts, patch->ocs, PART_LATENCY_PS) : 0;
    uint64_t half_ps = build_length_ps(request->parts, patch->medium, values->fibre_length_m) + (ocs_ps + 1) / 2;
    patch->fibre = (struct build_link){
        .rate_bps = values->link_rate_bps,
        .delay_ps = values->link_delay_ps > 0 ? (values->link_delay_ps + 1) / 2 : half_ps,
        .queue_bytes = values->queue_bytes > 0 ? values->queue_bytes : UINT64_MAX,
        .has_device_latency = values->has_device_latency,
        .loss_mdb = build_length_loss_mdb(request->parts, patch->medium, values->fibre_length_m,
                                          BUILD_CONNECTORS_FIBRE),
    };
    patch->nic_latency_ps = build_part_u64(request->parts, patch->nic, PART_LATENCY_PS);
}

static void hosts_lay_out(struct patch *patch)
{
    struct build_node host = {NODE_HOST, patch->gpu, 0, false, patch->values->forward_latency_ps};
    struct build_node box = {NODE_OPTICAL, patch->ocs, 1, false, 0};
    for (uint32_t i = 0; i < patch->hosts; i++) {
        build_node(&patch->build, &host, patch->degree);
    }
    build_node(&patch->build, &box, 0);
    for (uint32_t port = 0; port < patch->hosts * patch->degree; port++) {
        bool is_counted = port % patch->degree % patch->values->ports_per_nic == 0; /* the NIC's first port */
        struct build_end end = {.port = port, .module = patch->module,
                                .adapter = is_counted ? patch->nic : PART_ID_NONE,
                                .adapter_ps = patch->nic_latency_ps};
        build_fibre(&patch->build, &patch->fibre, &end);
    }
}

static void optical_set_up(struct patch *patch, struct fabric *fabric)
{
    const struct fabric_request *request = patch->build.request;
    uint32_t *ports = arena_array(request->arena, fabric->port_count, uint32_t);
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        ports[port] = port;
    }
    struct optical *optical = arena_one(request->arena, struct optical);
    *optical = (struct optical){
        .node = patch->hosts,
        .part_id = patch->ocs,
        .settle_ps = build_part_u64(request->parts, patch->ocs, PART_SETTLE_PS),
        .relock_ps = build_part_u64(request->parts, patch->ocs, PART_RELOCK_PS),
        .control_ps = build_part_u64(request->parts, patch->ocs, PART_CONTROL_PS),
        .port_count = fabric->port_count,
        .port = ports,
    };
    fabric->optical = optical;
    fabric->optical_count = 1;
    fabric->plan = PLAN_PER_JOB;
    fabric->planner = patch->values->planner;
}

static enum status optical_patch_build(const void *all_values, const struct fabric_request *request,
                                       struct fabric *fabric, struct diag *diag)
{
    struct patch patch = {.values = all_values};
    enum status status = parts_find(&patch, request, diag);
    if (status != STATUS_OK) {
        return status;
    }
    patch.degree = (uint32_t)patch.values->degree;
    patch.hosts = patch.values->hosts > 0 ? (uint32_t)patch.values->hosts : request->hosts_wanted;
    patch.hosts = patch.hosts > 0 ? patch.hosts : BUILD_HOSTS_DEFAULT;
    if (patch.degree == 1 && patch.hosts > 2) {
        return diag_input(diag, build_origin(request, "degree"),
                          "degree 1 joins hosts in pairs and leaves %" PRIu32
                          " hosts cut off from each other; expected 2 or more",
                          patch.hosts);
    }
    build_begin(&patch.build, request, fabric, diag, patch.hosts, (uint64_t)patch.hosts + 1,
                (uint64_t)patch.hosts * patch.degree);
    fibre_set_up(&patch, request);
    hosts_lay_out(&patch);
    build_end(&patch.build);
    optical_set_up(&patch, fabric);
    return STATUS_OK;
}

const struct fabric_family fabric_optical_patch = {
    .name = "optical_patch",
    .summary = "hosts joined directly through optical circuit switches, circuits set once a job from its demand",
    .params = PARAM_TABLE(struct optical_patch, rows),
    .build = optical_patch_build,
};
