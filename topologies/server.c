#include "topologies/server.h"

#include <inttypes.h>
#include <string.h>

/* ---- shape -------------------------------------------------------------------------------------------- */

/* Even, the rest to the outer ones, first and last in turn. */
uint32_t server_switch_links(const struct server *server, uint32_t number)
{
    uint32_t even = server->links / server->switches, rest = server->links % server->switches;
    uint32_t from_left = (rest + 1) / 2, from_right = rest / 2;
    return even + (number < from_left || number >= server->switches - from_right);
}

uint32_t server_gpus(const struct server *server, uint32_t number)
{
    uint32_t left = server->hosts - number * server->gpus;
    return left < server->gpus ? left : server->gpus;
}

static uint32_t mesh_width(const struct server *server)
{
    return server->links / (server->gpus - 1);
}

uint32_t server_host_ports(const struct server *server, uint32_t host)
{
    if (!server->is_on) {
        return 0;
    }
    uint32_t others = server_gpus(server, host / server->gpus) - 1;
    return server->is_mesh ? others * mesh_width(server) : server->links;
}

uint64_t server_node_count(const struct server *server)
{
    return server->is_on && !server->is_mesh ? (uint64_t)server->count * server->switches : 0;
}

uint64_t server_port_count(const struct server *server)
{
    uint64_t ports = 0;
    for (uint32_t number = 0; server->is_on && number < server->count; number++) {
        ports += (uint64_t)server_gpus(server, number) * server_host_ports(server, number * server->gpus);
    }
    return server->is_mesh ? ports : 2 * ports + server_node_count(server) * server->up;
}

static enum status shape_check(const struct server *server, const struct fabric_request *request,
                               struct diag *diag)
{
    if (server->is_mesh && server->links % (server->gpus - 1) != 0) {
        return diag_input(diag, build_origin(request, "nvlink_links"),
                          "%" PRIu32 " scale-up links do not divide into a mesh of %" PRIu32
                          " hosts; expected a multiple of %" PRIu32 ", or nvlink_switches",
                          server->links, server->gpus, server->gpus - 1);
    }
    if (!server->is_mesh && server->switches > server->links) {
        return diag_input(diag, build_origin(request, "nvlink_switches"),
                          "%" PRIu32 " scale-up switches are more than the %" PRIu32
                          " links of a host; expected at least one link to each",
                          server->switches, server->links);
    }
    uint64_t ports = server->is_mesh ? 0 : (uint64_t)server->gpus * server_switch_links(server, 0);
    if (ports > BUILD_RADIX_MAX) {
        return diag_input(diag, build_origin(request, "nvlink_switches"),
                          "a scale-up switch would need %" PRIu64 " ports for %" PRIu32
                          " hosts; expected at most %d",
                          ports, server->gpus, BUILD_RADIX_MAX);
    }
    return STATUS_OK;
}

static enum status parts_find(struct server *server, const struct fabric_request *request,
                              bool has_device_latency, struct diag *diag)
{
    const struct server_values *values = server->values;
    uint32_t medium = 0;
    enum status status =
        build_part(request, "nvlink", values->module, BUILD_LINK_ENDS, &server->module, diag);
    status = status == STATUS_OK
                 ? build_part(request, "nvswitch", values->box, BUILD_CLASS(SWITCH), &server->box.part, diag)
                 : status;
    status = status == STATUS_OK ? part_find(request->parts, "twinax", request->at, &medium, diag) : status;
    server->box.kind = NODE_SWITCH;
    server->box.tier = 1;
    server->box.is_cut_through = values->is_cut_through;
    server->box.latency_ps =
        has_device_latency ? build_part_u64(request->parts, server->box.part, PART_LATENCY_PS) : 0;
    server->link = (struct build_link){.rate_bps = values->link_rate_bps,
                                       .delay_ps = build_length_ps(request->parts, medium, values->length_m),
                                       .queue_bytes = UINT64_MAX,
                                       .has_device_latency = has_device_latency};
    return status;
}

enum status server_find(const struct server_values *values, const struct fabric_request *request,
                        uint32_t hosts, bool has_device_latency, struct server *server, struct diag *diag)
{
    *server = (struct server){.values = values,
                              .hosts = hosts,
                              .gpus = (uint32_t)values->gpus,
                              .links = (uint32_t)values->links,
                              .switches = (uint32_t)values->switches};
    server->is_on = values->gpus > 1;
    server->is_mesh = server->is_on && values->switches == 0;
    server->count = (hosts + server->gpus - 1) / server->gpus;
    enum status status = server->is_on ? shape_check(server, request, diag) : STATUS_OK;
    return status == STATUS_OK ? parts_find(server, request, has_device_latency, diag) : status;
}

/* ---- building ----------------------------------------------------------------------------------------- */

void server_lay_out(struct server *server, struct build *build)
{
    server->node_first = build->node_count;
    for (uint32_t i = 0; i < server_node_count(server); i++) {
        uint32_t links = server_switch_links(server, i % server->switches);
        build_node(build, &server->box, server_gpus(server, i / server->switches) * links + server->up);
    }
}

static void link_join(const struct server *server, struct build *build, uint32_t left_port,
                      uint32_t right_port)
{
    struct build_end left = {.port = left_port, .module = server->module};
    struct build_end right = {.port = right_port, .module = server->module};
    build_join(build, &server->link, &left, &right);
}

/* GPU i of a server to all switches of it: ports in the order of switches, at the switch in the order of
 * GPUs. */
static void host_join(const struct server *server, struct build *build, uint32_t host)
{
    uint32_t first = server->node_first + host / server->gpus * server->switches,
             port = build->port_first[host];
    for (uint32_t s = 0; s < server->switches; s++) {
        uint32_t links = server_switch_links(server, s);
        for (uint32_t i = 0; i < links; i++) {
            link_join(server, build, port++, build->port_first[first + s] + host % server->gpus * links + i);
        }
    }
}

/* Port block of `other` at `host`: all others in order, oneself left out. */
static uint32_t mesh_port(const struct server *server, const struct build *build, uint32_t host,
                          uint32_t other)
{
    uint32_t place = other % server->gpus - (other > host);
    return build->port_first[host] + place * mesh_width(server);
}

static void mesh_join(const struct server *server, struct build *build, uint32_t host)
{
    uint32_t last = host / server->gpus * server->gpus + server_gpus(server, host / server->gpus);
    for (uint32_t other = host + 1; other < last; other++) {
        for (uint32_t i = 0; i < mesh_width(server); i++) {
            link_join(server, build, mesh_port(server, build, host, other) + i,
                      mesh_port(server, build, other, host) + i);
        }
    }
}

void server_join(const struct server *server, struct build *build)
{
    build->fabric->server_hosts = server->is_on ? server->gpus : 0;
    build->fabric->server_ports = server_host_ports(server, 0);
    for (uint32_t host = 0; server->is_on && host < server->hosts; host++) {
        if (server->is_mesh) {
            mesh_join(server, build, host);
        } else {
            host_join(server, build, host);
        }
    }
}

/* ---- routes ------------------------------------------------------------------------------------------- */

/* Of a server whose hosts pass nothing on: down is the own server, up the NIC. */
static struct route host_route(const struct server *server, uint32_t host, uint32_t nic_ports)
{
    uint32_t first = host / server->gpus * server->gpus;
    return (struct route){.down_first = first,
                          .down_last = first + server_gpus(server, host / server->gpus),
                          .down_stride = server->gpus,
                          .down_width = (uint16_t)server->links,
                          .up_port = (uint16_t)server->links,
                          .up_count = (uint16_t)nic_ports};
}

/* Of hosts that do: down is the own rail by the NIC (a host of the own rail in the own server is oneself), up
 * all others by scale-up. */
static struct route rail_route(const struct server *server, uint32_t host, uint32_t nic_ports, uint32_t rails)
{
    return (struct route){.down_last = server->hosts,
                          .down_stride = server->hosts,
                          .down_port = (uint16_t)server->links,
                          .down_width = (uint16_t)nic_ports,
                          .up_count = (uint16_t)server->links,
                          .rails = (uint16_t)rails,
                          .rail = (uint16_t)(host % rails)};
}

static struct route switch_route(const struct server *server, uint32_t number, uint32_t links, uint32_t rails)
{
    struct route route = {
        .down_first = number * server->gpus, .down_stride = 1, .down_width = (uint16_t)links};
    route.down_last = route.down_first + server_gpus(server, number);
    if (rails > 0) {
        route.down_first = 0;
        route.down_last = route.down_stride = server->hosts;
        route.rails = (uint16_t)rails;
        route.rail = ROUTE_ALL_RAILS;
    }
    return route;
}

void server_routes(const struct server *server, struct route *route, uint32_t nic_ports, uint32_t rails)
{
    assert(!server->is_mesh && (rails == 0 || rails == server->gpus));
    for (uint32_t host = 0; host < server->hosts; host++) {
        if (!server->is_on) {
            route[host] = (struct route){.down_stride = 1, .up_count = (uint16_t)nic_ports};
        } else if (rails > 0) {
            route[host] = rail_route(server, host, nic_ports, rails);
        } else {
            route[host] = host_route(server, host, nic_ports);
        }
    }
    for (uint32_t i = 0; i < server_node_count(server); i++) {
        route[server->node_first + i] = switch_route(
            server, i / server->switches, server_switch_links(server, i % server->switches), rails);
    }
}

uint8_t *server_costs(const struct server *server, const struct build *build)
{
    uint32_t ports = build->fabric->port_count;
    uint8_t *cost = arena_array(build->request->arena, ports, uint8_t);
    memset(cost, server->is_on ? SERVER_NETWORK_COST : 1, ports);
    for (uint32_t host = 0; host < server->hosts; host++) {
        for (uint32_t i = 0; i < server_host_ports(server, host); i++) {
            uint32_t port = build->port_first[host] + i;
            cost[port] = cost[build->fabric->port_peer[port]] = 1;
        }
    }
    return cost;
}
