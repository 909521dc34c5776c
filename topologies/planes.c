#include "topologies/planes.h"

#include "topologies/patch.h"

#include <inttypes.h>

struct planes {
    struct build build;
    struct server server;
    const struct planes_values *values;
    const struct planes_shape *shape;
    uint32_t hosts, radix, down, up;
    uint32_t plane_hosts; /* of one plane */
    uint32_t leaves;      /* of one plane */
    uint32_t spines;      /* of one plane, or of all where they are common */
    uint32_t width;       /* links from a leaf to a spine */
    uint32_t leaf_first, spine_first;
    uint32_t gpu, nic, host_module, switch_module, box, medium;
    uint64_t nic_latency_ps;
    struct build_link host_link, switch_link;
    /* fibres to optical switches, where there are any */
    struct build_link fibre_link;
    uint32_t fibre_module, fibre_medium, ocs, regions, region_hosts, optical_first;
};

/* ---- shape -------------------------------------------------------------------------------------------- */

static uint32_t round_up_div(uint32_t count, uint32_t by)
{
    return (count + by - 1) / by;
}

static bool is_common(const struct planes *planes)
{
    return planes->shape->spines == PLANES_COMMON_SPINES;
}

/* Leaves that one spine must reach. */
static uint32_t leaves_below(const struct planes *planes)
{
    return is_common(planes) ? planes->leaves * planes->shape->planes : planes->leaves;
}

/* Leaves that a spine can reach bound the plane. */
static uint64_t leaves_max(const struct planes *planes, uint32_t radix)
{
    if (planes->shape->spines == PLANES_NO_SPINES) {
        return 1;
    }
    return is_common(planes) ? radix / planes->shape->planes : radix;
}

static uint32_t ports_down(const struct planes *planes, uint32_t radix)
{
    uint32_t up = planes->values->leaf_up > 0 ? (uint32_t)planes->values->leaf_up : radix / 2;
    up = planes->shape->spines == PLANES_NO_SPINES ? 0 : up;
    return up < radix ? radix - up : 0;
}

static uint64_t capacity(const struct planes *planes, uint32_t radix)
{
    return leaves_max(planes, radix) * ports_down(planes, radix);
}

#define RADIX_MAX 65534 /* routes count ports of a switch in 16 bits */

static uint32_t radix_smallest(const struct planes *planes)
{
    uint32_t radix = 2;
    while (radix < RADIX_MAX / 2 && capacity(planes, radix) < planes->plane_hosts) {
        radix *= 2;
    }
    return radix;
}

static enum status hosts_find(struct planes *planes, uint32_t gpus, const struct fabric_request *request,
                              struct diag *diag)
{
    uint32_t hosts = (uint32_t)planes->values->hosts, count = planes->shape->planes;
    if (hosts == 0) {
        hosts = request->hosts_wanted > 0 ? request->hosts_wanted : BUILD_HOSTS_DEFAULT;
        hosts = planes->shape->is_striped ? round_up_div(hosts, count) * count : hosts;
    }
    if (planes->shape->is_striped && gpus != count) {
        return diag_input(diag, build_origin(request, "server_gpus"),
                          "servers of %" PRIu32 " GPUs cannot have one in each of %" PRIu32
                          " planes; expected as many GPUs as planes",
                          gpus, count);
    }
    if (planes->shape->is_striped && hosts % count != 0) {
        return diag_input(diag, build_origin(request, "hosts"),
                          "%" PRIu32 " hosts do not divide into servers of %" PRIu32
                          " with one GPU a rail; expected for example %" PRIu32,
                          hosts, count, round_up_div(hosts, count) * count);
    }
    planes->hosts = hosts;
    planes->plane_hosts = planes->shape->is_striped ? hosts / count : hosts;
    return STATUS_OK;
}

/* The fewest spines that all leaves can share evenly: a divisor of a leaf's ports up. */
static void spines_choose(struct planes *planes)
{
    for (planes->spines = 1; planes->spines < planes->up; planes->spines++) {
        uint64_t ports = (uint64_t)leaves_below(planes) * (planes->up / planes->spines);
        if (planes->up % planes->spines == 0 && ports <= planes->radix) {
            break;
        }
    }
    planes->width = planes->up / planes->spines;
}

static enum status shape_find(struct planes *planes, const struct fabric_request *request, struct diag *diag)
{
    planes->radix = planes->values->radix > 0 ? (uint32_t)planes->values->radix : radix_smallest(planes);
    planes->down = ports_down(planes, planes->radix);
    if (planes->down == 0) {
        return diag_input(diag, build_origin(request, "leaf_up"),
                          "%" PRIu64 " ports of a leaf up leave none of %" PRIu32
                          " for hosts; expected fewer",
                          planes->values->leaf_up, planes->radix);
    }
    if (capacity(planes, planes->radix) < planes->plane_hosts) {
        return diag_input(diag, build_origin(request, planes->values->radix > 0 ? "radix" : "hosts"),
                          "%" PRIu32 " hosts in a plane are too many; switches of %" PRIu32
                          " ports hold %" PRIu64 " (%" PRIu64 " leaves of %" PRIu32 ")",
                          planes->plane_hosts, planes->radix, capacity(planes, planes->radix),
                          leaves_max(planes, planes->radix), planes->down);
    }
    planes->leaves = round_up_div(planes->plane_hosts, planes->down);
    planes->up = planes->shape->spines == PLANES_NO_SPINES || leaves_below(planes) == 1
                     ? 0
                     : planes->radix - planes->down;
    planes->width = 1;
    if (planes->up > 0) {
        spines_choose(planes);
    }
    return STATUS_OK;
}

/* ---- building ----------------------------------------------------------------------------------------- */

static enum status fibre_parts_find(struct planes *planes, const struct fabric_request *request, struct diag *diag)
{
    const struct fibre_values *values = planes->shape->fibres;
    const struct build_part_row all[] = {
        {"circuit_module", values->module, BUILD_CLASS(MODULE) | BUILD_CLASS(CPO), &planes->fibre_module},
        {"circuit_medium", values->medium, BUILD_CLASS(FIBRE), &planes->fibre_medium},
        {"ocs", values->ocs, BUILD_CLASS(OCS), &planes->ocs},
    };
    return build_parts(request, all, sizeof all / sizeof all[0], diag);
}

static enum status parts_find(struct planes *planes, const struct fabric_request *request, struct diag *diag)
{
    const struct planes_values *values = planes->values;
    const struct build_part_row all[] = {
        {"gpu", values->gpu, BUILD_CLASS(GPU), &planes->gpu},
        {"nic", values->nic, BUILD_CLASS(NIC), &planes->nic},
        {"host_module", values->host_module, BUILD_LINK_ENDS, &planes->host_module},
        {"switch_module", values->switch_module, BUILD_LINK_ENDS, &planes->switch_module},
        {"switch", values->switch_part, BUILD_CLASS(SWITCH), &planes->box},
        {"medium", values->medium, BUILD_CLASS(FIBRE) | BUILD_CLASS(COPPER), &planes->medium},
    };
    enum status status = build_parts(request, all, sizeof all / sizeof all[0], diag);
    return status == STATUS_OK && planes->shape->fibres != NULL ? fibre_parts_find(planes, request, diag) : status;
}

static uint32_t nic_ports(const struct planes *planes)
{
    return planes->shape->is_striped ? 1 : planes->shape->planes;
}

/* At a host; those of a server are at its switch. */
static uint32_t host_fibres(const struct planes *planes)
{
    bool has_any = planes->shape->fibres != NULL && !planes->server.is_on;
    return has_any ? (uint32_t)planes->shape->fibres->per_host : 0;
}

static uint32_t leaf_hosts(const struct planes *planes, uint32_t leaf)
{
    uint32_t left = planes->plane_hosts - leaf * planes->down;
    return left < planes->down ? left : planes->down;
}

/* Leaves of common spines are numbered group by group, others plane by plane. */
static uint32_t leaf_node(const struct planes *planes, uint32_t plane, uint32_t leaf)
{
    return planes->leaf_first +
           (is_common(planes) ? leaf * planes->shape->planes + plane : plane * planes->leaves + leaf);
}

static uint32_t leaf_of(const struct planes *planes, uint32_t number)
{
    return is_common(planes) ? number / planes->shape->planes : number % planes->leaves;
}

static uint32_t plane_of(const struct planes *planes, uint32_t number)
{
    return is_common(planes) ? number % planes->shape->planes : number / planes->leaves;
}

static uint32_t spine_total(const struct planes *planes)
{
    return is_common(planes) ? planes->spines : planes->spines * planes->shape->planes;
}

static void links_set_up(struct planes *planes)
{
    const struct planes_values *values = planes->values;
    const struct part_table *parts = planes->build.request->parts;
    planes->switch_link = (struct build_link){
        .rate_bps = values->link_rate_bps,
        .delay_ps = values->link_delay_ps > 0
                        ? values->link_delay_ps
                        : build_length_ps(parts, planes->medium, values->switch_length_m),
        .queue_bytes = values->queue_bytes > 0 ? values->queue_bytes : UINT64_MAX,
        .has_device_latency = values->has_device_latency,
        .loss_mdb =
            build_length_loss_mdb(parts, planes->medium, values->switch_length_m, BUILD_CONNECTORS_LINK),
    };
    planes->host_link = planes->switch_link;
    planes->host_link.loss_mdb =
        build_length_loss_mdb(parts, planes->medium, values->host_length_m, BUILD_CONNECTORS_LINK);
    if (values->link_delay_ps == 0) {
        planes->host_link.delay_ps = build_length_ps(parts, planes->medium, values->host_length_m);
    }
    planes->nic_latency_ps = build_part_u64(parts, planes->nic, PART_LATENCY_PS);
}

static void nodes_lay_out(struct planes *planes)
{
    const struct planes_values *values = planes->values;
    uint32_t leaves = planes->leaves * planes->shape->planes;
    uint64_t latency_ps = values->switch_latency_ps;
    if (latency_ps == 0 && values->has_device_latency) {
        latency_ps = build_part_u64(planes->build.request->parts, planes->box, PART_LATENCY_PS);
    }
    struct build_node host = {NODE_HOST, planes->gpu, 0, false,
                              planes->shape->is_forwarding ? values->forward_latency_ps : 0};
    struct build_node box = {NODE_SWITCH, planes->box, 1, values->is_cut_through, latency_ps};
    for (uint32_t i = 0; i < planes->hosts; i++) {
        build_node(&planes->build, &host,
                   server_host_ports(&planes->server, i) + nic_ports(planes) + host_fibres(planes));
    }
    for (uint32_t i = 0; i < leaves; i++) {
        build_node(&planes->build, &box, leaf_hosts(planes, leaf_of(planes, i)) + planes->up);
    }
    box.tier = 2;
    for (uint32_t i = 0; i < spine_total(planes); i++) {
        build_node(&planes->build, &box, leaves_below(planes) * planes->width);
    }
    server_lay_out(&planes->server, &planes->build);
    struct build_node optical = {NODE_OPTICAL, planes->ocs, 1, false, 0};
    planes->optical_first = planes->build.node_count;
    for (uint32_t i = 0; i < planes->regions; i++) {
        build_node(&planes->build, &optical, 0);
    }
}

static void host_join(struct planes *planes, uint32_t plane, uint32_t leaf, uint32_t place)
{
    struct build *build = &planes->build;
    bool is_striped = planes->shape->is_striped;
    uint32_t number = leaf * planes->down + place;
    uint32_t host = is_striped ? number * planes->shape->planes + plane : number,
             nic = is_striped ? 0 : plane;
    struct build_end end = {.port = build->port_first[host] + server_host_ports(&planes->server, host) + nic,
                            .module = planes->host_module,
                            .adapter = nic % planes->values->ports_per_nic == 0 ? planes->nic : PART_ID_NONE,
                            .adapter_ps = planes->nic_latency_ps};
    struct build_end down = {.port = build->port_first[leaf_node(planes, plane, leaf)] + place,
                             .module = planes->switch_module};
    build_join(build, &planes->host_link, &end, &down);
}

static void leaf_join(struct planes *planes, uint32_t plane, uint32_t leaf)
{
    struct build *build = &planes->build;
    uint32_t hosts = leaf_hosts(planes, leaf), node = leaf_node(planes, plane, leaf);
    for (uint32_t i = 0; i < hosts; i++) {
        host_join(planes, plane, leaf, i);
    }
    uint32_t spine_first = planes->spine_first + (is_common(planes) ? 0 : plane * planes->spines);
    uint32_t place = is_common(planes) ? leaf * planes->shape->planes + plane : leaf;
    for (uint32_t up = 0; up < planes->up; up++) {
        uint32_t spine = spine_first + up / planes->width;
        struct build_end lower = {.port = build->port_first[node] + hosts + up,
                                  .module = planes->switch_module};
        struct build_end upper = {.port =
                                      build->port_first[spine] + place * planes->width + up % planes->width,
                                  .module = planes->switch_module};
        build_join(build, &planes->switch_link, &lower, &upper);
    }
}

/* ---- routes ------------------------------------------------------------------------------------------- */

static struct route leaf_route(const struct planes *planes, uint32_t plane, uint32_t leaf)
{
    uint32_t stride = planes->shape->is_striped ? planes->shape->planes : 1, hosts = leaf_hosts(planes, leaf);
    struct route route = {.down_first = leaf * planes->down * stride,
                          .down_stride = stride,
                          .down_width = 1,
                          .up_port = (uint16_t)hosts,
                          .up_count = (uint16_t)planes->up};
    route.down_last = route.down_first + hosts * stride;
    route.rails = planes->shape->is_striped ? (uint16_t)planes->shape->planes : 0;
    route.rail = (uint16_t)plane;
    return route;
}

static struct route spine_route(const struct planes *planes)
{
    uint32_t stride = planes->down * (planes->shape->is_striped ? planes->shape->planes : 1);
    return (struct route){.down_last = planes->hosts,
                          .down_stride = stride,
                          .down_width = (uint16_t)planes->width,
                          .rails = is_common(planes) ? (uint16_t)planes->shape->planes : 0,
                          .rail = ROUTE_ALL_RAILS};
}

static void routes_set_up(struct planes *planes)
{
    const struct planes_shape *shape = planes->shape;
    if (planes->server.is_mesh || (shape->fibres != NULL && planes->server.is_on)) {
        planes->build.fabric->port_cost = server_costs(&planes->server, &planes->build);
        planes->build.fabric->is_host_end = !shape->is_forwarding;
        return;
    }
    struct route *route = build_routes(&planes->build);
    server_routes(&planes->server, route, nic_ports(planes), shape->is_forwarding ? shape->planes : 0);
    for (uint32_t i = 0; i < planes->leaves * shape->planes; i++) {
        route[planes->leaf_first + i] = leaf_route(planes, plane_of(planes, i), leaf_of(planes, i));
    }
    for (uint32_t i = 0; i < spine_total(planes); i++) {
        route[planes->spine_first + i] = spine_route(planes);
    }
}

/* ---- optical switches --------------------------------------------------------------------------------- */

static enum status regions_find(struct planes *planes, const struct fabric_request *request, struct diag *diag)
{
    const struct fibre_values *values = planes->shape->fibres;
    const struct server *server = &planes->server;
    planes->region_hosts = values->region_hosts > 0 ? (uint32_t)values->region_hosts : planes->hosts;
    if (server->is_on && (server->is_mesh || server->switches != 1)) {
        return diag_input(diag, build_origin(request, "nvlink_switches"),
                          "circuits of a server end at its scale-up switch; expected nvlink_switches: 1, not %" PRIu32,
                          server->switches);
    }
    if (server->is_on && planes->region_hosts % server->gpus != 0 && values->region_hosts > 0) {
        return diag_input(diag, build_origin(request, "region_hosts"),
                          "%" PRIu32 " hosts of a region do not divide into servers of %" PRIu32 "; expected for example %" PRIu32,
                          planes->region_hosts, server->gpus,
                          (planes->region_hosts + server->gpus - 1) / server->gpus * server->gpus);
    }
    planes->regions = round_up_div(planes->hosts, planes->region_hosts);
    planes->server.up = server->is_on ? server->gpus * (uint32_t)values->per_host : 0;
    return STATUS_OK;
}

/* The circuit's way is halved between its two fibres. */
static void fibre_set_up(struct planes *planes)
{
    const struct fibre_values *values = planes->shape->fibres;
    const struct part_table *parts = planes->build.request->parts;
    uint64_t ocs_ps = planes->values->has_device_latency ? build_part_u64(parts, planes->ocs, PART_LATENCY_PS) : 0;
    planes->fibre_link = planes->switch_link;
    planes->fibre_link.rate_bps = values->rate_bps;
    planes->fibre_link.delay_ps = build_length_ps(parts, planes->fibre_medium, values->length_m) + (ocs_ps + 1) / 2;
    planes->fibre_link.loss_mdb =
        build_length_loss_mdb(parts, planes->fibre_medium, values->length_m, BUILD_CONNECTORS_FIBRE);
}

/* Vertices of a region are its servers, or its hosts. */
static void region_set_up(struct planes *planes, uint32_t region, struct optical *optical)
{
    struct arena *arena = planes->build.request->arena;
    uint32_t first = region * planes->region_hosts, gpus = planes->server.is_on ? planes->server.gpus : 1;
    uint32_t hosts = planes->hosts - first < planes->region_hosts ? planes->hosts - first : planes->region_hosts;
    uint32_t vertices = round_up_div(hosts, gpus), each = (uint32_t)planes->shape->fibres->per_host * gpus;
    uint32_t *port = arena_array(arena, (size_t)vertices * each, uint32_t);
    uint32_t *vertex_of = arena_array(arena, (size_t)vertices * each, uint32_t);
    uint32_t *vertex = arena_array(arena, planes->hosts, uint32_t);
    *optical = build_optical(planes->build.request, planes->optical_first + region, planes->ocs);
    for (uint32_t host = 0; host < planes->hosts; host++) {
        bool is_here = host >= first && host < first + hosts;
        vertex[host] = is_here ? (host - first) / gpus : ID_NONE;
    }
    for (uint32_t i = 0; i < vertices * each; i++) {
        uint32_t number = i / each, node = first + number;
        if (planes->server.is_on) {
            node = planes->server.node_first + first / gpus + number;
        }
        vertex_of[i] = number;
        port[i] = planes->build.port_first[node + 1] - each + i % each; /* the last ones of the node */
        struct build_end end = {.port = port[i], .module = planes->fibre_module, .adapter = PART_ID_NONE};
        build_fibre(&planes->build, &planes->fibre_link, &end);
    }
    optical->port = port;
    optical->port_count = vertices * each;
    optical->vertex_count = vertices;
    optical->vertex_of = vertex_of;
    optical->source_vertex = optical->target_vertex = vertex;
}

#define CIRCUIT_COST 200 /* routes take the network; who has a circuit is told */

static void regions_set_up(struct planes *planes, struct fabric *fabric)
{
    struct arena *arena = planes->build.request->arena;
    struct optical *optical = arena_array(arena, planes->regions, struct optical);
    uint64_t *other_bps = arena_array(arena, planes->hosts, uint64_t);
    fibre_set_up(planes);
    for (uint32_t region = 0; region < planes->regions; region++) {
        region_set_up(planes, region, &optical[region]);
    }
    for (uint32_t host = 0; host < planes->hosts; host++) {
        other_bps[host] = planes->values->link_rate_bps * nic_ports(planes);
    }
    uint8_t *cost = (uint8_t *)fabric->port_cost;
    for (uint32_t region = 0; cost != NULL && region < planes->regions; region++) {
        for (uint32_t i = 0; i < optical[region].port_count; i++) {
            cost[optical[region].port[i]] = CIRCUIT_COST;
        }
    }
    fabric->optical = optical;
    fabric->optical_count = planes->regions;
    fabric->rules.has_other_way = true;
    fabric->rules.least_bytes = planes->shape->fibres->least_bytes;
    fabric->rules.traffic = planes->shape->fibres->traffic;
    fabric->rules.other_bps = other_bps;
}

/* ---- all of it ---------------------------------------------------------------------------------------- */

static enum status planes_lay_out(struct planes *planes, const struct fabric_request *request,
                                  struct fabric *fabric, struct diag *diag)
{
    uint32_t count = planes->shape->planes;
    planes->leaf_first = planes->hosts;
    planes->spine_first = planes->leaf_first + planes->leaves * count;
    uint64_t nodes = (uint64_t)planes->spine_first + spine_total(planes) + server_node_count(&planes->server) +
                     planes->regions;
    uint64_t ports =
        2 * ((uint64_t)planes->hosts * nic_ports(planes) + (uint64_t)planes->leaves * count * planes->up) +
        server_port_count(&planes->server) + (uint64_t)planes->hosts * host_fibres(planes);
    enum status status = build_size_check(request, nodes, ports, diag);
    if (status != STATUS_OK) {
        return status;
    }
    build_begin(&planes->build, request, fabric, diag, planes->hosts, nodes, ports);
    links_set_up(planes);
    nodes_lay_out(planes);
    for (uint32_t plane = 0; plane < count; plane++) {
        for (uint32_t leaf = 0; leaf < planes->leaves; leaf++) {
            leaf_join(planes, plane, leaf);
        }
    }
    server_join(&planes->server, &planes->build);
    routes_set_up(planes);
    if (planes->regions > 0) {
        regions_set_up(planes, fabric);
    }
    build_end(&planes->build);
    return STATUS_OK;
}

enum status planes_build(const struct planes_values *values, const struct server_values *server,
                         const struct planes_shape *shape, const struct fabric_request *request,
                         struct fabric *fabric, struct diag *diag)
{
    struct planes planes = {.values = values, .shape = shape};
    enum status status = hosts_find(&planes, (uint32_t)server->gpus, request, diag);
    status = status == STATUS_OK ? shape_find(&planes, request, diag) : status;
    status = status == STATUS_OK ? parts_find(&planes, request, diag) : status;
    status = status == STATUS_OK ? server_find(server, request, planes.hosts, values->has_device_latency,
                                               &planes.server, diag)
                                 : status;
    status = status == STATUS_OK && shape->fibres != NULL ? regions_find(&planes, request, diag) : status;
    return status == STATUS_OK ? planes_lay_out(&planes, request, fabric, diag) : status;
}
