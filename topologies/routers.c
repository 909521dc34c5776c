#include "topologies/routers.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>

struct routers {
    struct build build;
    struct server server;
    const struct routers_values *values;
    const struct routers_plan *plan;
    uint32_t *degree; /* edges of each router */
    uint32_t router_first;
    uint32_t gpu, nic, host_module, switch_module, box, medium;
    uint64_t nic_latency_ps;
    struct build_link link; /* without its delay */
    uint32_t *circuit_port; /* ends of optical edges */
    uint32_t circuit_port_count;
};

/* ---- parts -------------------------------------------------------------------------------------------- */

static enum status parts_find(struct routers *routers, const struct fabric_request *request,
                              struct diag *diag)
{
    const struct routers_values *values = routers->values;
    const struct build_part_row all[] = {
        {"gpu", values->gpu, BUILD_CLASS(GPU), &routers->gpu},
        {"nic", values->nic, BUILD_CLASS(NIC), &routers->nic},
        {"host_module", values->host_module, BUILD_LINK_ENDS, &routers->host_module},
        {"switch_module", values->switch_module, BUILD_LINK_ENDS, &routers->switch_module},
        {"switch", values->switch_part, BUILD_CLASS(SWITCH), &routers->box},
        {"medium", values->medium, BUILD_CLASS(FIBRE) | BUILD_CLASS(COPPER), &routers->medium},
    };
    return build_parts(request, all, sizeof all / sizeof all[0], diag);
}

static uint64_t delay_ps(const struct routers *routers, double length_m)
{
    return routers->values->link_delay_ps > 0
               ? routers->values->link_delay_ps
               : build_length_ps(routers->build.request->parts, routers->medium, length_m);
}

static uint32_t loss_mdb(const struct routers *routers, double length_m)
{
    return build_length_loss_mdb(routers->build.request->parts, routers->medium, length_m, BUILD_CONNECTORS_LINK);
}

static void link_set_up(struct routers *routers)
{
    const struct routers_values *values = routers->values;
    routers->link = (struct build_link){
        .rate_bps = values->link_rate_bps,
        .queue_bytes = values->queue_bytes > 0 ? values->queue_bytes : UINT64_MAX,
        .has_device_latency = values->has_device_latency,
    };
    routers->nic_latency_ps = build_part_u64(routers->build.request->parts, routers->nic, PART_LATENCY_PS);
}

/* ---- nodes and links ---------------------------------------------------------------------------------- */

static bool is_direct(const struct routers *routers)
{
    return routers->plan->per_router == 0;
}

static uint32_t router_hosts(const struct routers *routers, uint32_t router)
{
    uint32_t per = routers->plan->per_router, hosts = routers->plan->hosts;
    if (per == 0 || router * per >= hosts) {
        return 0;
    }
    return hosts - router * per < per ? hosts - router * per : per;
}

/* And whether a router has too many. */
static enum status degrees_count(struct routers *routers, struct diag *diag)
{
    routers->degree = arena_array(routers->build.request->arena, routers->plan->routers, uint32_t);
    for (size_t i = 0; i < routers->plan->edge_count; i++) {
        routers->degree[routers->plan->edges[i].left]++;
        routers->degree[routers->plan->edges[i].right]++;
    }
    for (uint32_t i = 0; i < routers->plan->routers; i++) {
        if (router_hosts(routers, i) + routers->degree[i] > BUILD_RADIX_MAX) {
            return diag_input(diag, routers->build.request->at,
                              "router %" PRIu32 " would need %" PRIu32 " ports; expected at most %d", i,
                              router_hosts(routers, i) + routers->degree[i], BUILD_RADIX_MAX);
        }
    }
    return STATUS_OK;
}

static void nodes_lay_out(struct routers *routers)
{
    const struct routers_values *values = routers->values;
    const struct routers_plan *plan = routers->plan;
    uint64_t latency_ps = values->switch_latency_ps;
    if (latency_ps == 0 && values->has_device_latency) {
        latency_ps = build_part_u64(routers->build.request->parts, routers->box, PART_LATENCY_PS);
    }
    struct build_node host = {NODE_HOST, routers->gpu, 0, is_direct(routers) && values->is_cut_through,
                              is_direct(routers) ? values->forward_latency_ps : 0};
    struct build_node box = {NODE_SWITCH, routers->box, 1, values->is_cut_through, latency_ps};
    for (uint32_t i = 0; i < plan->hosts; i++) {
        build_node(&routers->build, &host,
                   server_host_ports(&routers->server, i) + (is_direct(routers) ? routers->degree[i] : 1));
    }
    routers->router_first = is_direct(routers) ? 0 : routers->build.node_count;
    for (uint32_t i = 0; !is_direct(routers) && i < plan->routers; i++) {
        box.tier = plan->tier != NULL ? plan->tier[i] : 1;
        build_node(&routers->build, &box, router_hosts(routers, i) + routers->degree[i]);
    }
    server_lay_out(&routers->server, &routers->build);
}

/* The end of a link at network port `place` of a host. */
static struct build_end host_end(const struct routers *routers, uint32_t host, uint32_t place)
{
    return (struct build_end){
        .port = routers->build.port_first[host] + server_host_ports(&routers->server, host) + place,
        .module = routers->host_module,
        .adapter = place % routers->values->ports_per_nic == 0 ? routers->nic : PART_ID_NONE,
        .adapter_ps = routers->nic_latency_ps};
}

static void hosts_join(struct routers *routers)
{
    struct build_link link = routers->link;
    link.delay_ps = delay_ps(routers, routers->values->host_length_m);
    link.loss_mdb = loss_mdb(routers, routers->values->host_length_m);
    link.rate_bps =
        routers->values->host_link_rate_bps > 0 ? routers->values->host_link_rate_bps : link.rate_bps;
    for (uint32_t host = 0; !is_direct(routers) && host < routers->plan->hosts; host++) {
        uint32_t router = routers->router_first + host / routers->plan->per_router;
        struct build_end end = host_end(routers, host, 0);
        struct build_end down = {.port = routers->build.port_first[router] + host % routers->plan->per_router,
                                 .module = routers->switch_module};
        build_join(&routers->build, &link, &end, &down);
    }
}

static struct build_end router_end(const struct routers *routers, uint32_t router, uint32_t place)
{
    if (is_direct(routers)) {
        return host_end(routers, router, place);
    }
    uint32_t first = routers->build.port_first[routers->router_first + router];
    return (struct build_end){.port = first + router_hosts(routers, router) + place,
                              .module = routers->switch_module};
}

/* A circuit: other modules at its ends, another medium, and the way through the switch. */
static void circuit_set_up(const struct routers *routers, double length_m, struct build_link *link,
                           struct build_end *left, struct build_end *right)
{
    const struct routers_optical *optical = routers->plan->optical;
    const struct part_table *parts = routers->build.request->parts;
    left->module = right->module = optical->module;
    link->loss_mdb = build_length_loss_mdb(parts, optical->medium, length_m / 2, BUILD_CONNECTORS_FIBRE);
    if (routers->values->link_delay_ps == 0) {
        link->delay_ps = build_length_ps(parts, optical->medium, length_m);
        link->delay_ps +=
            link->has_device_latency ? build_part_u64(parts, optical->switch_part, PART_LATENCY_PS) : 0;
    }
}

/* Costs of the server's links are known before. */
static void edges_join(struct routers *routers, uint8_t *cost, uint8_t *order, uint8_t *ring)
{
    const struct routers_plan *plan = routers->plan;
    uint32_t *place = arena_array(routers->build.request->arena, plan->routers, uint32_t);
    for (size_t i = 0; i < plan->edge_count; i++) {
        const struct routers_edge *edge = &plan->edges[i];
        struct build_end left = router_end(routers, edge->left, place[edge->left]++);
        struct build_end right = router_end(routers, edge->right, place[edge->right]++);
        struct build_link link = routers->link;
        link.delay_ps = delay_ps(routers, edge->length_m);
        link.loss_mdb = loss_mdb(routers, edge->length_m);
        if (plan->optical != NULL && plan->optical->is_optical[i]) {
            circuit_set_up(routers, edge->length_m, &link, &left, &right);
            routers->circuit_port[routers->circuit_port_count++] = left.port;
            routers->circuit_port[routers->circuit_port_count++] = right.port;
        }
        build_join(&routers->build, &link, &left, &right);
        cost[left.port] = cost[right.port] = edge->cost;
        order[left.port] = order[right.port] = edge->order;
        ring[left.port] = ring[right.port] = edge->ring;
    }
}

/* All circuits are set at the start; they are dark until the last of the three delays is over. */
static void optical_set_up(struct routers *routers, struct fabric *fabric)
{
    const struct part_table *parts = routers->build.request->parts;
    struct optical *optical = arena_one(routers->build.request->arena, struct optical);
    uint32_t part = routers->plan->optical->switch_part;
    *optical = (struct optical){
        .node = fabric->node_count - 1,
        .part_id = part,
        .settle_ps = build_part_u64(parts, part, PART_SETTLE_PS),
        .relock_ps = build_part_u64(parts, part, PART_RELOCK_PS),
        .control_ps = build_part_u64(parts, part, PART_CONTROL_PS),
        .port_count = routers->circuit_port_count,
        .port = routers->circuit_port,
    };
    for (uint32_t i = 0; i < optical->port_count; i++) {
        fabric->port_up_ps[optical->port[i]] = optical->settle_ps + optical->relock_ps + optical->control_ps;
    }
    fabric->optical = optical;
    fabric->optical_count = 1;
    fabric->circuit_count = fabric->reconfigurations = optical->port_count / 2;
}

/* Of every node: only routers have one. */
static const uint32_t *regions(const struct routers *routers)
{
    const struct routers_plan *plan = routers->plan;
    if (is_direct(routers)) {
        return NULL;
    }
    uint32_t *region = arena_array(routers->build.request->arena, routers->build.node_count, uint32_t);
    for (uint32_t node = 0; node < routers->build.node_count; node++) {
        uint32_t router = node - routers->router_first; /* wraps for hosts */
        region[node] = router >= plan->routers ? ID_NONE : plan->region != NULL ? plan->region[router] : router;
    }
    return region;
}

enum { NOT_FOUND, FOUND, COLOURED };

struct colouring {
    const struct fabric *fabric;
    uint32_t first, routers; /* nodes */
    uint8_t *colour, *state; /* per node */
    uint32_t *found, found_count;
};

/* The least colour that no neighbour has; neighbours that nobody has found yet are next. */
static void router_colour(struct colouring *colouring, uint32_t node)
{
    const struct fabric *fabric = colouring->fabric;
    uint64_t taken[4] = {0};
    uint32_t least = 0;
    for (uint32_t port = fabric->port_first[node]; port < fabric->port_first[node + 1]; port++) {
        uint32_t peer = fabric->port_node[fabric->port_peer[port]];
        if (peer - colouring->first >= colouring->routers) { /* wraps below */
            continue;
        }
        if (colouring->state[peer] == COLOURED) {
            taken[colouring->colour[peer] / 64] |= UINT64_C(1) << colouring->colour[peer] % 64;
        } else if (colouring->state[peer] == NOT_FOUND) {
            colouring->state[peer] = FOUND;
            colouring->found[colouring->found_count++] = peer;
        }
    }
    while (least < UINT8_MAX && (taken[least / 64] >> least % 64 & 1) != 0) {
        least++;
    }
    colouring->colour[node] = (uint8_t)least;
    colouring->state[node] = COLOURED;
}

/* Greedy, in the order in which routers are found from the first one: two colours wherever two do. */
static const uint8_t *colours(const struct routers *routers, const struct fabric *fabric)
{
    struct arena *arena = routers->build.request->arena;
    struct colouring colouring = {.fabric = fabric, .routers = routers->plan->routers};
    colouring.first = is_direct(routers) ? 0 : routers->router_first;
    colouring.colour = arena_array(arena, fabric->node_count, uint8_t);
    colouring.state = arena_array(arena, fabric->node_count, uint8_t);
    colouring.found = arena_array(arena, fabric->node_count, uint32_t);
    for (uint32_t router = 0, done = 0; router < colouring.routers; router++) {
        if (colouring.state[colouring.first + router] == NOT_FOUND) {
            colouring.state[colouring.first + router] = FOUND;
            colouring.found[colouring.found_count++] = colouring.first + router;
        }
        for (; done < colouring.found_count; done++) {
            router_colour(&colouring, colouring.found[done]);
        }
    }
    return colouring.colour;
}

static bool has_rings(const struct routers_plan *plan)
{
    for (size_t i = 0; i < plan->edge_count; i++) {
        if (plan->edges[i].ring != 0) {
            return true;
        }
    }
    return false;
}

static enum status lay_out(struct routers *routers, const struct fabric_request *request,
                           struct fabric *fabric, struct diag *diag)
{
    const struct routers_plan *plan = routers->plan;
    uint64_t nodes = plan->hosts + (is_direct(routers) ? 0 : (uint64_t)plan->routers) +
                     server_node_count(&routers->server) + (plan->optical != NULL);
    uint64_t ports = 2 * ((is_direct(routers) ? 0 : (uint64_t)plan->hosts) + plan->edge_count) +
                     server_port_count(&routers->server);
    enum status status = build_size_check(request, nodes, ports, diag);
    status = status == STATUS_OK ? degrees_count(routers, diag) : status;
    if (status != STATUS_OK) {
        return status;
    }
    build_begin(&routers->build, request, fabric, diag, plan->hosts, nodes, ports);
    link_set_up(routers);
    nodes_lay_out(routers);
    if (plan->optical != NULL) {
        struct build_node box = {NODE_OPTICAL, plan->optical->switch_part, 1, false, 0};
        build_node(&routers->build, &box, 0);
        routers->circuit_port = arena_array(request->arena, 2 * plan->edge_count, uint32_t);
    }
    server_join(&routers->server, &routers->build);
    uint8_t *cost = server_costs(&routers->server, &routers->build);
    uint8_t *order = arena_array(request->arena, ports, uint8_t);
    hosts_join(routers);
    uint8_t *ring = arena_array(request->arena, ports, uint8_t);
    edges_join(routers, cost, order, ring);
    build_end(&routers->build);
    if (plan->optical != NULL) {
        optical_set_up(routers, fabric);
    }
    fabric->port_cost = cost;
    fabric->port_order = order;
    fabric->is_host_end = !is_direct(routers);
    fabric->port_ring = has_rings(plan) ? ring : NULL;
    fabric->node_region = regions(routers);
    fabric->node_colour = plan->is_turning ? colours(routers, fabric) : NULL;
    return STATUS_OK;
}

enum status routers_build(const struct routers_values *values, const struct server_values *server,
                          const struct routers_plan *plan, const struct fabric_request *request,
                          struct fabric *fabric, struct diag *diag)
{
    struct routers routers = {.values = values, .plan = plan, .build.request = request};
    enum status status = parts_find(&routers, request, diag);
    status = status == STATUS_OK ? server_find(server, request, plan->hosts, values->has_device_latency,
                                               &routers.server, diag)
                                 : status;
    return status == STATUS_OK ? lay_out(&routers, request, fabric, diag) : status;
}

/* ---- sizes -------------------------------------------------------------------------------------------- */

enum status routers_sizes_parse(const char *key, const char *text, const struct fabric_request *request,
                                struct routers_sizes *sizes, struct diag *diag)
{
    *sizes = (struct routers_sizes){.product = 1};
    const char *at = text;
    bool is_good = true;
    while (is_good) {
        char *end = NULL;
        unsigned long size = isdigit((unsigned char)*at) ? strtoul(at, &end, 10) : 0;
        is_good =
            size >= 1 && size <= 65535 && sizes->count < ROUTERS_DIMENSIONS_MAX && (*end == 0 || *end == 'x');
        if (is_good) {
            sizes->size[sizes->count++] = (uint32_t)size;
            sizes->product *= size;
            is_good = sizes->product <= FABRIC_HOSTS_MAX;
        }
        if (is_good && *end == 0) {
            return STATUS_OK;
        }
        at = is_good ? end + 1 : at;
    }
    return diag_input(
        diag, build_origin(request, key),
        "%s: \"%.60s\" is no list of sizes; expected 1 to %d whole numbers as 4x4x8, their product at "
        "most %u",
        key, text, ROUTERS_DIMENSIONS_MAX, FABRIC_HOSTS_MAX);
}

/* Largest divisor of `number` that is no larger than its `root`-th root. */
static uint32_t divisor_near_root(uint32_t number, uint32_t root)
{
    uint32_t best = 1;
    for (uint32_t divisor = 1; divisor <= number; divisor++) {
        uint64_t power = 1;
        for (uint32_t i = 0; i < root && power <= number; i++) {
            power *= divisor;
        }
        if (power > number) {
            break;
        }
        best = number % divisor == 0 ? divisor : best;
    }
    return best;
}

void routers_sizes_choose(uint32_t wanted, uint32_t count, struct routers_sizes *sizes)
{
    for (uint32_t product = wanted;; product++) {
        uint32_t left = product, most = 0, least = UINT32_MAX;
        *sizes = (struct routers_sizes){.count = count, .product = product};
        for (uint32_t i = 0; i < count; i++) {
            sizes->size[i] = i + 1 == count ? left : divisor_near_root(left, count - i);
            left /= sizes->size[i];
            most = sizes->size[i] > most ? sizes->size[i] : most;
            least = sizes->size[i] < least ? sizes->size[i] : least;
        }
        if (most <= 2 * least) {
            return;
        }
    }
}
