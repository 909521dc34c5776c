#include "topologies/patch.h"

#include <inttypes.h>

struct patch {
    struct build build;
    struct server server;
    const struct patch_values *values;
    bool is_by_rail;
    uint32_t hosts, degree, planes;
    uint32_t optical_first; /* node */
    uint32_t gpu, nic, module, ocs, medium;
    struct build_link fibre; /* from a host to the optical switch */
    uint64_t nic_latency_ps;
};

/* ---- parts and sizes ---------------------------------------------------------------------------------- */

static enum status parts_find(struct patch *patch, const struct fabric_request *request, struct diag *diag)
{
    const struct patch_values *values = patch->values;
    const struct build_part_row all[] = {
        {"gpu", values->gpu, BUILD_CLASS(GPU), &patch->gpu},
        {"nic", values->nic, BUILD_CLASS(NIC), &patch->nic},
        {"module", values->module, BUILD_CLASS(MODULE) | BUILD_CLASS(CPO), &patch->module},
        {"ocs", values->ocs, BUILD_CLASS(OCS), &patch->ocs},
        {"medium", values->medium, BUILD_CLASS(FIBRE), &patch->medium},
    };
    return build_parts(request, all, sizeof all / sizeof all[0], diag);
}

/* The circuit's way is halved between its two fibres, rounded up so that no circuit is faster than asked for. */
static void fibre_set_up(struct patch *patch, const struct fabric_request *request)
{
    const struct patch_values *values = patch->values;
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

static enum status sizes_find(struct patch *patch, const struct server_values *server,
                              const struct fabric_request *request, struct diag *diag)
{
    uint32_t gpus = (uint32_t)server->gpus;
    patch->degree = (uint32_t)patch->values->degree;
    patch->hosts = patch->values->hosts > 0 ? (uint32_t)patch->values->hosts : request->hosts_wanted;
    patch->hosts = patch->hosts > 0 ? patch->hosts : BUILD_HOSTS_DEFAULT;
    if (patch->values->hosts == 0 && patch->is_by_rail) {
        patch->hosts = (patch->hosts + gpus - 1) / gpus * gpus;
    }
    if (patch->is_by_rail && patch->hosts % gpus != 0) {
        return diag_input(diag, build_origin(request, "hosts"),
                          "%" PRIu32 " hosts do not divide into servers of %" PRIu32
                          " with one GPU a rail; expected for example %" PRIu32,
                          patch->hosts, gpus, (patch->hosts + gpus - 1) / gpus * gpus);
    }
    if (patch->degree == 1 && patch->hosts > 2 && gpus == 1 && !patch->is_by_rail) {
        return diag_input(diag, build_origin(request, "degree"),
                          "degree 1 joins hosts in pairs and leaves %" PRIu32
                          " hosts cut off from each other; expected 2 or more",
                          patch->hosts);
    }
    patch->planes = patch->is_by_rail ? gpus : 1;
    return STATUS_OK;
}

/* ---- laying out --------------------------------------------------------------------------------------- */

static uint32_t fibre_port(const struct patch *patch, uint32_t host, uint32_t place)
{
    return patch->build.port_first[host] + server_host_ports(&patch->server, host) + place;
}

static void nodes_lay_out(struct patch *patch)
{
    struct build_node host = {NODE_HOST, patch->gpu, 0, false, patch->values->forward_latency_ps};
    struct build_node box = {NODE_OPTICAL, patch->ocs, 1, false, 0};
    for (uint32_t i = 0; i < patch->hosts; i++) {
        build_node(&patch->build, &host, server_host_ports(&patch->server, i) + patch->degree);
    }
    patch->optical_first = patch->build.node_count;
    for (uint32_t i = 0; i < patch->planes; i++) {
        build_node(&patch->build, &box, 0);
    }
    server_lay_out(&patch->server, &patch->build);
}

static void fibres_lay_out(struct patch *patch)
{
    for (uint32_t host = 0; host < patch->hosts; host++) {
        for (uint32_t i = 0; i < patch->degree; i++) {
            bool is_counted = i % patch->values->ports_per_nic == 0; /* the NIC's first port */
            struct build_end end = {.port = fibre_port(patch, host, i),
                                    .module = patch->module,
                                    .adapter = is_counted ? patch->nic : PART_ID_NONE,
                                    .adapter_ps = patch->nic_latency_ps};
            build_fibre(&patch->build, &patch->fibre, &end);
        }
    }
}

struct optical build_optical(const struct fabric_request *request, uint32_t node, uint32_t part)
{
    return (struct optical){
        .node = node,
        .part_id = part,
        .settle_ps = build_part_u64(request->parts, part, PART_SETTLE_PS),
        .relock_ps = build_part_u64(request->parts, part, PART_RELOCK_PS),
        .control_ps = build_part_u64(request->parts, part, PART_CONTROL_PS),
    };
}

/* Plane `plane` and its fibres. Vertices are servers; without servers hosts, and nothing need be said. */
static void plane_set_up(struct patch *patch, uint32_t plane, struct optical *optical)
{
    struct arena *arena = patch->build.request->arena;
    uint32_t step = patch->is_by_rail ? patch->planes : 1, gpus = patch->server.gpus;
    uint32_t *port = arena_array(arena, (size_t)patch->hosts / step * patch->degree, uint32_t);
    uint32_t *vertex_of = arena_array(arena, (size_t)patch->hosts / step * patch->degree, uint32_t);
    uint32_t *target = arena_array(arena, patch->hosts, uint32_t), *source = arena_array(arena, patch->hosts, uint32_t);
    *optical = build_optical(patch->build.request, patch->optical_first + plane, patch->ocs);
    for (uint32_t host = 0; host < patch->hosts; host++) {
        bool is_here = host % step == plane;
        source[host] = host / gpus;
        target[host] = is_here ? host / gpus : ID_NONE;
        for (uint32_t i = 0; is_here && i < patch->degree; i++) {
            vertex_of[optical->port_count] = host / gpus;
            port[optical->port_count++] = fibre_port(patch, host, i);
        }
    }
    optical->port = port;
    if (gpus > 1) {
        optical->vertex_count = patch->server.count;
        optical->vertex_of = vertex_of;
        optical->source_vertex = source;
        optical->target_vertex = target;
    }
}

/* Scale-up first where both lead on: what is for another rail changes to it inside its own server. */
static void ways_set_up(struct patch *patch, struct fabric *fabric)
{
    uint8_t *cost = arena_array(patch->build.request->arena, fabric->port_count, uint8_t);
    uint8_t *order = arena_array(patch->build.request->arena, fabric->port_count, uint8_t);
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        bool is_fibre = fabric->port_peer[port] == ID_NONE;
        cost[port] = patch->server.is_on && is_fibre ? SERVER_NETWORK_COST : 1;
        order[port] = is_fibre;
    }
    fabric->port_cost = cost;
    fabric->port_order = order;
}

static enum status lay_out(struct patch *patch, const struct fabric_request *request, struct fabric *fabric,
                           struct diag *diag)
{
    uint64_t nodes = (uint64_t)patch->hosts + patch->planes + server_node_count(&patch->server);
    uint64_t ports = (uint64_t)patch->hosts * patch->degree + server_port_count(&patch->server);
    enum status status = build_size_check(request, nodes, ports, diag);
    if (status != STATUS_OK) {
        return status;
    }
    build_begin(&patch->build, request, fabric, diag, patch->hosts, nodes, ports);
    fibre_set_up(patch, request);
    nodes_lay_out(patch);
    fibres_lay_out(patch);
    server_join(&patch->server, &patch->build);
    build_end(&patch->build);
    struct optical *optical = arena_array(request->arena, patch->planes, struct optical);
    for (uint32_t plane = 0; plane < patch->planes; plane++) {
        plane_set_up(patch, plane, &optical[plane]);
    }
    fabric->optical = optical;
    fabric->optical_count = patch->planes;
    if (patch->server.is_on) {
        ways_set_up(patch, fabric);
    }
    return STATUS_OK;
}

enum status patch_build(const struct patch_values *values, const struct server_values *server, bool is_by_rail,
                        const struct fabric_request *request, struct fabric *fabric, struct diag *diag)
{
    struct patch patch = {.values = values, .is_by_rail = is_by_rail};
    enum status status = parts_find(&patch, request, diag);
    status = status == STATUS_OK ? sizes_find(&patch, server, request, diag) : status;
    status = status == STATUS_OK ? server_find(server, request, patch.hosts, values->has_device_latency,
                                               &patch.server, diag)
                                 : status;
    return status == STATUS_OK ? lay_out(&patch, request, fabric, diag) : status;
}

struct circuit_rules phase_rules(const struct phase_values *values)
{
    return (struct circuit_rules){
        .phase = values->phase,
        .is_ahead = values->is_ahead,
        .is_paying = values->is_paying,
        .signal_ps = values->signal_ps,
        .patience_ps = values->patience_ps,
    };
}
