/* Scale-up domains: every GPU on every plane of switches, as NVLink and UALink build them.
 *
 *      one tier                                 two tiers (`pod` given)
 *
 *      switch  switch  switch  ...              spine   spine        spine   spine     `spines` of each plane
 *        ╲ ╲    ╱│╲    ╱ ╱                        ╲ ╲   ╱ ╱            ╲ ╲   ╱ ╱
 *         ╲ ╲  ╱ │ ╲  ╱ ╱                         switch 0             switch 1       one a plane and pod
 *         GPU   GPU   GPU  ...                      GPU  GPU  GPU ...                 on all of its pod
 *
 * Links that do not divide evenly over the switches go to the outer ones first: 18 over 4 is 5, 4, 4, 5. A
 * message's packets are spread over all links of a GPU, and over the links from a switch to a GPU by hash.
 *
 * Scope: any number of GPUs, links and switches; every link a port of its own; switches 0: a mesh of direct
 * links.
 * Switches combine and copy where their part has reduce_entries (NVLink SHARP; netsim/engine/group.h).
 * Not modelled: credits of the links unless the transport has them (credit; else their queues have no bound), the NICs
 * beside the domain (families with server_gpus have both).
 * Checked against: link counts of HGX A100, DGX H100, GH200 and NVL72 and their bandwidth per GPU
 * (tests/test_electrical.c). */
#include "topologies/server.h"

#include <inttypes.h>

struct scale_up {
    struct server_values server; /* gpus: set here, not by a row */
    uint64_t hosts, pod, up_links, spines;
    const char *gpu, *spine_box;
    double spine_length_m;
    bool has_device_latency;
};

static const struct param rows[] = {
    PARAM_U64(struct scale_up, hosts, COUNT, "hosts", "0", "0", "65_534",
              "GPUs; 0: as many as the job has ranks (32 without a job)"),
    PARAM_U64(struct scale_up, pod, COUNT, "pod", "0", "0", "65_534",
              "GPUs on one set of switches; 0: all, which makes one tier"),
    PARAM_U64(struct scale_up, server.links, COUNT, "links", "18", "1", "64",
              "of a GPU (18: Nvidia H100 and GB200, recalled)"),
    PARAM_U64(struct scale_up, server.switches, COUNT, "switches", "18", "0", "64",
              "planes of switches (18: NVL72, recalled); 0: a mesh of direct links"),
    PARAM_U64(struct scale_up, server.link_rate_bps, RATE, "link_rate", "400Gbps", "1Mbps", "100Tbps",
              "of a link, one way (NVLink 5: 50 GB/s)"),
    PARAM_U64(struct scale_up, up_links, COUNT, "up_links", "0", "0", "32_767",
              "two tiers: links of a switch to its spines; 0: as many as to its GPUs"),
    PARAM_U64(struct scale_up, spines, COUNT, "spines", "1", "1", "32_767",
              "two tiers: spines of each plane"),
    PARAM_REAL(struct scale_up, server.length_m, LENGTH, "length", "1m", "0m", "1km",
               "of a link to a GPU, copper"),
    PARAM_REAL(struct scale_up, spine_length_m, LENGTH, "spine_length", "10m", "0m", "1km",
               "of a link to a spine, fibre"),
    PARAM_TEXT(struct scale_up, gpu, "gpu", "none", "part of a host"),
    PARAM_TEXT(struct scale_up, server.module, "module", "none", "part at both ends of a link"),
    PARAM_TEXT(struct scale_up, server.box, "switch", "none", "part of a switch, per chip"),
    PARAM_TEXT(struct scale_up, spine_box, "spine", "none", "part of a spine"),
    PARAM_BOOL(struct scale_up, server.is_cut_through, "cut_through", "yes",
               "switches send on when the header is there"),
    PARAM_BOOL(struct scale_up, has_device_latency, "device_latency", "yes",
               "parts take their time: modules, FEC, switches"),
};

struct domain {
    struct build build;
    struct server server;
    struct server_values server_values;
    const struct scale_up *values;
    uint32_t hosts, gpu, spine_box, fibre;
    uint32_t spines, width; /* of one plane; links from a switch to each spine; 0 with one tier */
    uint32_t spine_first;
};

/* ---- shape -------------------------------------------------------------------------------------------- */

static enum status tiers_find(struct domain *domain, const struct fabric_request *request, struct diag *diag)
{
    struct server *server = &domain->server;
    if (server->count <= 1 || server->is_mesh) {
        return server->count <= 1
                   ? STATUS_OK
                   : diag_input(diag, build_origin(request, "switches"),
                                "pods of direct links have no switches to join them; expected switches");
    }
    uint32_t links = server_switch_links(server, server->switches / 2);
    if (domain->values->up_links == 0 && server->links % server->switches != 0) {
        return diag_input(diag, build_origin(request, "switches"),
                          "%" PRIu32 " links do not divide over %" PRIu32
                          " planes of two tiers; expected as many to each, or up_links",
                          server->links, server->switches);
    }
    server->up = domain->values->up_links > 0 ? (uint32_t)domain->values->up_links : server->gpus * links;
    domain->spines = (uint32_t)domain->values->spines;
    domain->width = server->up / domain->spines;
    if (server->up % domain->spines != 0) {
        return diag_input(diag, build_origin(request, "spines"),
                          "%" PRIu32 " links of a switch do not divide over %" PRIu32
                          " spines; expected a divisor",
                          server->up, domain->spines);
    }
    if ((uint64_t)server->gpus * links + server->up > BUILD_RADIX_MAX) {
        return diag_input(diag, build_origin(request, "up_links"),
                          "a switch would need %" PRIu64 " ports; expected at most %d",
                          (uint64_t)server->gpus * links + server->up, BUILD_RADIX_MAX);
    }
    if ((uint64_t)server->count * domain->width > BUILD_RADIX_MAX) {
        return diag_input(diag, build_origin(request, "spines"),
                          "a spine would need %" PRIu64 " ports for %" PRIu32
                          " pods; expected more spines or larger pods",
                          (uint64_t)server->count * domain->width, server->count);
    }
    return STATUS_OK;
}

static enum status domain_find(struct domain *domain, const struct fabric_request *request, struct diag *diag)
{
    const struct scale_up *values = domain->values;
    domain->hosts = values->hosts > 0 ? (uint32_t)values->hosts : request->hosts_wanted;
    domain->hosts = domain->hosts > 0 ? domain->hosts : BUILD_HOSTS_DEFAULT;
    domain->server_values = values->server;
    domain->server_values.gpus = values->pod > 0 ? values->pod : domain->hosts;
    if (domain->server_values.gpus < 2) {
        return diag_input(diag, build_origin(request, values->pod > 0 ? "pod" : "hosts"),
                          "one GPU needs no scale-up domain; expected 2 or more");
    }
    const struct build_part_row all[] = {
        {"gpu", values->gpu, BUILD_CLASS(GPU), &domain->gpu},
        {"spine", values->spine_box, BUILD_CLASS(SWITCH), &domain->spine_box},
        {"spine_length", "smf", BUILD_CLASS(FIBRE), &domain->fibre},
    };
    enum status status = build_parts(request, all, sizeof all / sizeof all[0], diag);
    status = status == STATUS_OK ? server_find(&domain->server_values, request, domain->hosts,
                                               values->has_device_latency, &domain->server, diag)
                                 : status;
    return status == STATUS_OK ? tiers_find(domain, request, diag) : status;
}

/* ---- building ----------------------------------------------------------------------------------------- */

static uint32_t spine_total(const struct domain *domain)
{
    return domain->spines * domain->server.switches;
}

static void nodes_lay_out(struct domain *domain)
{
    struct server *server = &domain->server;
    struct build_node host = {NODE_HOST, domain->gpu, 0, false, 0};
    for (uint32_t i = 0; i < domain->hosts; i++) {
        build_node(&domain->build, &host, server_host_ports(server, i));
    }
    server_lay_out(server, &domain->build);
    domain->spine_first = domain->build.node_count;
    struct build_node spine = server->box;
    spine.tier = 2;
    spine.part = domain->spine_box;
    spine.latency_ps = domain->values->has_device_latency
                           ? build_part_u64(domain->build.request->parts, spine.part, PART_LATENCY_PS)
                           : 0;
    for (uint32_t i = 0; i < spine_total(domain); i++) {
        build_node(&domain->build, &spine, server->count * domain->width);
    }
}

/* Ports of a switch to its GPUs. */
static uint32_t ports_down(const struct domain *domain, uint32_t pod, uint32_t plane)
{
    return server_gpus(&domain->server, pod) * server_switch_links(&domain->server, plane);
}

static void switch_join(struct domain *domain, uint32_t pod, uint32_t plane)
{
    struct build *build = &domain->build;
    const struct server *server = &domain->server;
    struct build_link link = server->link;
    link.delay_ps = build_length_ps(build->request->parts, domain->fibre, domain->values->spine_length_m);
    uint32_t first = build->port_first[server->node_first + pod * server->switches + plane] +
                     ports_down(domain, pod, plane);
    for (uint32_t up = 0; up < server->up; up++) {
        uint32_t spine = domain->spine_first + plane * domain->spines + up / domain->width;
        struct build_end lower = {.port = first + up, .module = server->module};
        struct build_end upper = {.port = build->port_first[spine] + pod * domain->width + up % domain->width,
                                  .module = server->module};
        build_join(build, &link, &lower, &upper);
    }
}

/* A GPU sends by all its links; a switch down where the GPU is its own and else to all spines of its
 * plane. */
static void routes_set_up(struct domain *domain)
{
    const struct server *server = &domain->server;
    if (server->is_mesh) {
        domain->build.fabric->is_host_end = true;
        return;
    }
    struct route *route = build_routes(&domain->build);
    server_routes(server, route, 0, 0);
    for (uint32_t host = 0; host < domain->hosts; host++) {
        route[host] = (struct route){.down_stride = 1, .up_count = (uint16_t)server->links};
    }
    for (uint32_t i = 0; i < server->count * server->switches; i++) {
        route[server->node_first + i].up_port =
            (uint16_t)ports_down(domain, i / server->switches, i % server->switches);
        route[server->node_first + i].up_count = (uint16_t)server->up;
    }
    for (uint32_t i = 0; i < spine_total(domain); i++) {
        route[domain->spine_first + i] = (struct route){
            .down_last = domain->hosts, .down_stride = server->gpus, .down_width = (uint16_t)domain->width};
    }
}

static enum status scale_up_build(const void *all_values, const struct fabric_request *request,
                                  struct fabric *fabric, struct diag *diag)
{
    struct domain domain = {.values = all_values};
    enum status status = domain_find(&domain, request, diag);
    if (status != STATUS_OK) {
        return status;
    }
    const struct server *server = &domain.server;
    uint64_t nodes = domain.hosts + server_node_count(server) + spine_total(&domain);
    uint64_t ports =
        server_port_count(server) + (uint64_t)spine_total(&domain) * server->count * domain.width;
    status = build_size_check(request, nodes, ports, diag);
    if (status != STATUS_OK) {
        return status;
    }
    build_begin(&domain.build, request, fabric, diag, domain.hosts, nodes, ports);
    nodes_lay_out(&domain);
    server_join(server, &domain.build);
    for (uint32_t i = 0; server->up > 0 && i < server->count * server->switches; i++) {
        switch_join(&domain, i / server->switches, i % server->switches);
    }
    routes_set_up(&domain);
    build_end(&domain.build);
    return STATUS_OK;
}

const struct fabric_family fabric_scale_up = {
    .name = "scale_up",
    .summary = "one scale-up domain of one or two tiers: every GPU on every plane of switches",
    .params = PARAM_TABLE(struct scale_up, rows),
    .build = scale_up_build,
};
