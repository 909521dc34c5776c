/* Aggregation blocks joined directly by circuits, without a spine (Jupiter with Apollo).
 *
 *      block 0 ═══╗     ╔═══ block 2        every block has circuits to every other one; how many is planned once a job
 *                 ╠═════╣                   from what blocks send each other
 *      block 1 ═══╝     ╚═══ block 3
 *        │││        optical switches        a packet goes directly, or by one more block: transit
 *       hosts
 *
 * Transit. `always` spreads the packets of every host over all circuits of its block, in proportion to their number
 * (Valiant; the extreme of Jupiter's hedging); `backlog` goes directly unless that queue is longer than the other one by a
 * threshold; `none` goes directly only. A packet that comes from another block goes directly.
 *
 * Scope: a block is one switch here; circuits are duplex (circulators) and set before the job starts.
 * Not modelled: the stages inside a block; weights of transit other than the number of circuits; topology engineering while
 * the job runs.
 * Checked against: Poutievski et al., "Jupiter evolving", SIGCOMM 2022: a planned mesh carries what a spine would, without
 * its switches and half of its optics; bounds by hand (tests/test_circuits.c). */
#include "topologies/patch.h"

#include <inttypes.h>

struct direct_connect {
    uint64_t hosts, block_hosts, uplinks;
    uint64_t link_rate_bps, uplink_rate_bps, switch_latency_ps, queue_bytes, threshold_bytes;
    double host_length_m, fibre_length_m;
    const char *medium, *gpu, *nic, *host_module, *switch_module, *uplink_module, *switch_part, *ocs, *planner;
    bool is_cut_through, has_device_latency;
    uint32_t transit;
};

static const char *const transit_names[] = {"none", "always", "backlog", NULL};
static const enum detour_rule transit_rules[] = {DETOUR_NONE, DETOUR_ALWAYS, DETOUR_BACKLOG};

static const struct param rows[] = {
    PARAM_U64(struct direct_connect, hosts, COUNT, "hosts", "0", "0", "1_048_576",
              "hosts; 0: as many as the job has ranks (32 without a job), in whole blocks"),
    PARAM_U64(struct direct_connect, block_hosts, COUNT, "block_hosts", "8", "1", "32768", "hosts of a block"),
    PARAM_U64(struct direct_connect, uplinks, COUNT, "uplinks", "0", "0", "32768",
              "fibres of a block to the optical switch; 0: as many as hosts, or one for each other block"),
    PARAM_U64(struct direct_connect, link_rate_bps, RATE, "link_rate", "400Gbps", "1Mbps", "100Tbps",
              "of a host's link, one way"),
    PARAM_U64(struct direct_connect, uplink_rate_bps, RATE, "uplink_rate", "0bps", "0bps", "100Tbps",
              "of a circuit, one way; 0bps: as link_rate"),
    PARAM_CHOICE(struct direct_connect, transit, "transit", "backlog", transit_names,
                 "who takes one more block: nobody, every packet by a draw, those whose direct queue is long"),
    PARAM_U64(struct direct_connect, threshold_bytes, SIZE, "transit_threshold", "64KiB", "0B", NULL,
              "transit: backlog; how much longer the direct queue must be (assumption: 16 packets)"),
    PARAM_REAL(struct direct_connect, host_length_m, LENGTH, "host_length", "5m", "0m", "100km", "host to block"),
    PARAM_REAL(struct direct_connect, fibre_length_m, LENGTH, "fibre_length", "100m", "0m", "100km",
               "block to optical switch"),
    PARAM_TEXT(struct direct_connect, medium, "medium", "smf", "part that gives the delay per metre: smf, hollow_core"),
    PARAM_TEXT(struct direct_connect, gpu, "gpu", "none", "part of a host"),
    PARAM_TEXT(struct direct_connect, nic, "nic", "none", "part at a host's port"),
    PARAM_TEXT(struct direct_connect, host_module, "host_module", "none", "part at the host's end of its link"),
    PARAM_TEXT(struct direct_connect, switch_module, "switch_module", "none", "part at the block's end of it"),
    PARAM_TEXT(struct direct_connect, uplink_module, "uplink_module", "none", "part at both ends of a circuit"),
    PARAM_TEXT(struct direct_connect, switch_part, "switch", "none", "part of a block"),
    PARAM_TEXT(struct direct_connect, ocs, "ocs", "none",
               "part of the optical switch: its settle, relock and control times are charged at the start"),
    PARAM_U64(struct direct_connect, switch_latency_ps, TIME, "switch_latency", "0ps", "0ps", "1s",
              "of a packet through a block; 0ps: that of the switch part"),
    PARAM_BOOL(struct direct_connect, is_cut_through, "cut_through", "no",
               "blocks send on when the header is there, not the whole packet"),
    PARAM_BOOL(struct direct_connect, has_device_latency, "device_latency", "yes",
               "parts take their time: NIC, modules, FEC, switches"),
    PARAM_U64(struct direct_connect, queue_bytes, SIZE, "queue", "0B", "0B", NULL, "of an output port; 0B: unbounded"),
    PARAM_TEXT(struct direct_connect, planner, "planner", "mesh",
               "who sets the circuits: mesh (weighted by demand), strides, ring, per_job"),
};

struct direct {
    struct build build;
    const struct direct_connect *values;
    uint32_t hosts, blocks, block_hosts, uplinks;
    uint32_t gpu, nic, host_module, switch_module, uplink_module, box, ocs, medium;
};

static enum status parts_find(struct direct *direct, const struct fabric_request *request, struct diag *diag)
{
    const struct direct_connect *values = direct->values;
    const struct build_part_row all[] = {
        {"gpu", values->gpu, BUILD_CLASS(GPU), &direct->gpu},
        {"nic", values->nic, BUILD_CLASS(NIC), &direct->nic},
        {"host_module", values->host_module, BUILD_LINK_ENDS, &direct->host_module},
        {"switch_module", values->switch_module, BUILD_LINK_ENDS, &direct->switch_module},
        {"uplink_module", values->uplink_module, BUILD_CLASS(MODULE) | BUILD_CLASS(CPO), &direct->uplink_module},
        {"switch", values->switch_part, BUILD_CLASS(SWITCH), &direct->box},
        {"ocs", values->ocs, BUILD_CLASS(OCS), &direct->ocs},
        {"medium", values->medium, BUILD_CLASS(FIBRE), &direct->medium},
    };
    return build_parts(request, all, sizeof all / sizeof all[0], diag);
}

static enum status sizes_find(struct direct *direct, const struct fabric_request *request, struct diag *diag)
{
    const struct direct_connect *values = direct->values;
    uint32_t each = (uint32_t)values->block_hosts;
    uint32_t hosts = values->hosts > 0 ? (uint32_t)values->hosts : request->hosts_wanted;
    hosts = hosts > 0 ? hosts : BUILD_HOSTS_DEFAULT;
    if (values->hosts > 0 && hosts % each != 0) {
        return diag_input(diag, build_origin(request, "hosts"),
                          "%" PRIu32 " hosts do not divide into blocks of %" PRIu32 "; expected for example %" PRIu32,
                          hosts, each, (hosts + each - 1) / each * each);
    }
    direct->blocks = (hosts + each - 1) / each;
    direct->block_hosts = each;
    direct->hosts = direct->blocks * each;
    uint32_t least = direct->blocks - 1;
    direct->uplinks = values->uplinks > 0 ? (uint32_t)values->uplinks : each > least ? each : least;
    if (direct->uplinks < least) {
        return diag_input(diag, build_origin(request, "uplinks"),
                          "%" PRIu32 " uplinks do not join a block to each of %" PRIu32 " others; expected at least as many",
                          direct->uplinks, least);
    }
    if (direct->uplinks + each > BUILD_RADIX_MAX) {
        return diag_input(diag, build_origin(request, "uplinks"), "a block would need %" PRIu32 " ports; expected at most %d",
                          direct->uplinks + each, BUILD_RADIX_MAX);
    }
    return STATUS_OK;
}

static void nodes_lay_out(struct direct *direct)
{
    const struct direct_connect *values = direct->values;
    uint64_t latency_ps = values->switch_latency_ps;
    if (latency_ps == 0 && values->has_device_latency) {
        latency_ps = build_part_u64(direct->build.request->parts, direct->box, PART_LATENCY_PS);
    }
    struct build_node host = {NODE_HOST, direct->gpu, 0, false, 0};
    struct build_node block = {NODE_SWITCH, direct->box, 1, values->is_cut_through, latency_ps};
    struct build_node optical = {NODE_OPTICAL, direct->ocs, 2, false, 0};
    for (uint32_t i = 0; i < direct->hosts; i++) {
        build_node(&direct->build, &host, 1);
    }
    for (uint32_t i = 0; i < direct->blocks; i++) {
        build_node(&direct->build, &block, direct->block_hosts + direct->uplinks);
    }
    build_node(&direct->build, &optical, 0);
}

static void links_lay_out(struct direct *direct)
{
    const struct direct_connect *values = direct->values;
    const struct part_table *parts = direct->build.request->parts;
    struct build_link link = {
        .rate_bps = values->link_rate_bps,
        .delay_ps = build_length_ps(parts, direct->medium, values->host_length_m),
        .queue_bytes = values->queue_bytes > 0 ? values->queue_bytes : UINT64_MAX,
        .has_device_latency = values->has_device_latency,
        .loss_mdb = build_length_loss_mdb(parts, direct->medium, values->host_length_m, BUILD_CONNECTORS_LINK)};
    struct build_link fibre = link;
    uint64_t ocs_ps = values->has_device_latency ? build_part_u64(parts, direct->ocs, PART_LATENCY_PS) : 0;
    fibre.rate_bps = values->uplink_rate_bps > 0 ? values->uplink_rate_bps : link.rate_bps;
    fibre.delay_ps = build_length_ps(parts, direct->medium, values->fibre_length_m) + (ocs_ps + 1) / 2;
    fibre.loss_mdb = build_length_loss_mdb(parts, direct->medium, values->fibre_length_m, BUILD_CONNECTORS_FIBRE);
    uint64_t nic_ps = build_part_u64(parts, direct->nic, PART_LATENCY_PS);
    for (uint32_t host = 0; host < direct->hosts; host++) {
        uint32_t block = direct->hosts + host / direct->block_hosts;
        struct build_end end = {direct->build.port_first[host], direct->host_module, direct->nic, nic_ps};
        struct build_end down = {.port = direct->build.port_first[block] + host % direct->block_hosts,
                                 .module = direct->switch_module};
        build_join(&direct->build, &link, &end, &down);
    }
    for (uint32_t i = 0; i < direct->blocks * direct->uplinks; i++) {
        uint32_t block = direct->hosts + i / direct->uplinks;
        struct build_end end = {.port = direct->build.port_first[block] + direct->block_hosts + i % direct->uplinks,
                                .module = direct->uplink_module};
        build_fibre(&direct->build, &fibre, &end);
    }
}

static void optical_set_up(struct direct *direct, struct fabric *fabric)
{
    struct arena *arena = direct->build.request->arena;
    uint32_t count = direct->blocks * direct->uplinks;
    uint32_t *port = arena_array(arena, count, uint32_t), *vertex_of = arena_array(arena, count, uint32_t);
    uint32_t *block_of = arena_array(arena, direct->hosts, uint32_t);
    struct optical *optical = arena_one(arena, struct optical);
    struct detour *detours = arena_array(arena, fabric->node_count, struct detour);
    for (uint32_t i = 0; i < count; i++) {
        vertex_of[i] = i / direct->uplinks;
        port[i] = fabric->port_first[direct->hosts + vertex_of[i]] + direct->block_hosts + i % direct->uplinks;
    }
    for (uint32_t host = 0; host < direct->hosts; host++) {
        block_of[host] = host / direct->block_hosts;
    }
    for (uint32_t block = 0; block < direct->blocks && direct->blocks > 2; block++) {
        detours[direct->hosts + block] = (struct detour){direct->block_hosts, direct->uplinks,
                                                         transit_rules[direct->values->transit],
                                                         direct->values->threshold_bytes};
    }
    *optical = build_optical(direct->build.request, fabric->node_count - 1, direct->ocs);
    optical->port = port;
    optical->port_count = count;
    optical->vertex_count = direct->blocks;
    optical->vertex_of = vertex_of;
    optical->source_vertex = optical->target_vertex = block_of;
    fabric->optical = optical;
    fabric->optical_count = 1;
    fabric->detours = direct->values->transit > 0 ? detours : NULL;
    fabric->is_host_end = true;
    fabric->plan = PLAN_PER_JOB;
    fabric->planner = direct->values->planner;
}

static enum status direct_connect_build(const void *all_values, const struct fabric_request *request,
                                        struct fabric *fabric, struct diag *diag)
{
    struct direct direct = {.values = all_values};
    enum status status = parts_find(&direct, request, diag);
    status = status == STATUS_OK ? sizes_find(&direct, request, diag) : status;
    uint64_t nodes = (uint64_t)direct.hosts + direct.blocks + 1;
    uint64_t ports = 2 * (uint64_t)direct.hosts + (uint64_t)direct.blocks * direct.uplinks;
    status = status == STATUS_OK ? build_size_check(request, nodes, ports, diag) : status;
    if (status != STATUS_OK) {
        return status;
    }
    build_begin(&direct.build, request, fabric, diag, direct.hosts, nodes, ports);
    nodes_lay_out(&direct);
    links_lay_out(&direct);
    build_end(&direct.build);
    optical_set_up(&direct, fabric);
    return STATUS_OK;
}

const struct fabric_family fabric_direct_connect = {
    .name = "direct_connect",
    .summary = "aggregation blocks in a mesh of circuits weighted by demand, one transit block (Jupiter, Apollo)",
    .params = PARAM_TABLE(struct direct_connect, rows),
    .build = direct_connect_build,
};
