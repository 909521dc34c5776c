/* Folded Clos networks of one to three tiers of switches ("fat trees"), with scale-up inside the servers or
 * without.
 *
 *     tiers: 2, radix 4                    tiers: 3, radix 4
 *     spine    s   s                       core      c  c  c  c       a core switch has ports to every pod
 *             / \ / \                               /  /    \  \
 *     leaf   l   l   l   l                 pod    a  a        a  a    aggregation i of a pod: core group i
 *     host  .. .. .. ..                           l  l        l  l    leaf j of a pod: all its aggregations
 *                                          host  .. ..       .. ..
 *
 * A leaf with `radix` ports and oversubscription D:U has radix * D / (D + U) ports down and the rest up. Host
 * h hangs at leaf h / down, and everything is numbered from left to right, so routes are arithmetic.
 *
 * Sizes. `radix` given and `hosts` not: the full tree. `hosts` given (or known from the job): exactly so many
 * hosts; leaves and pods are filled from the left, and only as many as are needed are built. Without `radix`
 * it is the smallest (D + U) * 2^n whose tree holds the hosts. Where fewer leaves (or pods) than the radix
 * are built, the switches above are merged: as few spines (or cores a group) as have ports enough, with
 * several links to each leaf (or aggregation). Oversubscription stays exact; a single leaf or pod has nothing
 * above it.
 *
 * Scope: one port a host and, in a server (server.h), its scale-up links; equal links between switches, all
 * shortest paths.
 * Not modelled: several planes or rails (families of their own), unequal switches in one tier.
 * Checked against: the k-ary fat tree of Al-Fares et al., SIGCOMM 2008, as in htsim (presets htsim-128 and
 * htsim-1024), and all routes against breadth-first search (tests/test_fabric.c). */
#include "topologies/server.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct fat_tree {
    struct server_values server;
    uint64_t tiers, hosts, radix;
    const char *oversubscription;
    uint64_t link_rate_bps, host_link_rate_bps;
    uint64_t link_delay_ps;
    double host_length_m, switch_length_m;
    const char *medium, *gpu, *nic, *host_module, *leaf_module, *switch_module, *switch_part;
    uint64_t switch_latency_ps;
    bool is_cut_through, has_device_latency;
    uint64_t queue_bytes;
};

static const struct param rows[] = {
    PARAM_U64(struct fat_tree, tiers, COUNT, "tiers", "2", "1", "3", "tiers of switches; 1 is a star"),
    PARAM_U64(struct fat_tree, hosts, COUNT, "hosts", "0", "0", "1_048_576",
              "hosts; 0: as many as the radix gives, or else as the job has ranks (32 without a job)"),
    PARAM_U64(struct fat_tree, radix, COUNT, "radix", "0", "0", "65_534",
              "ports of a switch; 0: the smallest that holds the hosts"),
    PARAM_TEXT(struct fat_tree, oversubscription, "oversubscription", "1:1",
               "ports down : ports up of a leaf, as 4:1 or 1.5"),
    PARAM_U64(struct fat_tree, link_rate_bps, RATE, "link_rate", "400Gbps", "1Mbps", "100Tbps",
              "of all links, one way"),
    PARAM_U64(struct fat_tree, host_link_rate_bps, RATE, "host_link_rate", "0bps", "0bps", "100Tbps",
              "of links to hosts; 0bps: as link_rate"),
    PARAM_U64(struct fat_tree, link_delay_ps, TIME, "link_delay", "0ps", "0ps", "1s",
              "propagation of every link; 0ps: from length and medium"),
    PARAM_REAL(struct fat_tree, host_length_m, LENGTH, "host_length", "5m", "0m", "100km", "host to leaf"),
    PARAM_REAL(struct fat_tree, switch_length_m, LENGTH, "switch_length", "30m", "0m", "100km", "switch to switch"),
    PARAM_TEXT(struct fat_tree, medium, "medium", "smf",
               "part that gives the delay per metre: smf, hollow_core, twinax"),
    PARAM_TEXT(struct fat_tree, gpu, "gpu", "none", "part of a host"),
    PARAM_TEXT(struct fat_tree, nic, "nic", "none", "part at a host's port"),
    PARAM_TEXT(struct fat_tree, host_module, "host_module", "none", "part at the host's end of its link"),
    PARAM_TEXT(struct fat_tree, leaf_module, "leaf_module", "same",
               "part at a leaf's ports to hosts; same: as switch_module"),
    PARAM_TEXT(struct fat_tree, switch_module, "switch_module", "none",
               "part at switch ports: DSP, LPO, CPO or copper"),
    PARAM_TEXT(struct fat_tree, switch_part, "switch", "none", "part of a switch"),
    PARAM_U64(struct fat_tree, switch_latency_ps, TIME, "switch_latency", "0ps", "0ps", "1s",
              "of a packet through a switch; 0ps: that of the switch part"),
    PARAM_BOOL(struct fat_tree, is_cut_through, "cut_through", "no",
               "switches send on when the header is there, not the whole packet"),
    PARAM_BOOL(struct fat_tree, has_device_latency, "device_latency", "yes",
               "parts take their time: NIC, modules, FEC, switches"),
    PARAM_U64(struct fat_tree, queue_bytes, SIZE, "queue", "0B", "0B", NULL, "of an output port; 0B: unbounded"),
    SERVER_ROWS(struct fat_tree, "1"),
};

/* ---- shape -------------------------------------------------------------------------------------------- */

struct ratio {
    uint32_t down, up; /* reduced */
};

struct shape {
    uint32_t tiers, hosts, radix;
    uint32_t down, up;      /* ports of a leaf */
    uint32_t pod_leaves;    /* of a full pod; with two tiers all leaves are one pod */
    uint32_t leaves, pods;
    uint32_t middles;       /* spines, or aggregations a pod */
    uint32_t middle_width;  /* parallel links leaf - spine; 1 with three tiers */
    uint32_t cores;         /* of one group */
    uint32_t core_width;    /* parallel links aggregation - core */
    uint32_t leaf_first, middle_first, core_first; /* nodes */
};

static uint32_t common_divisor(uint32_t left, uint32_t right)
{
    return right == 0 ? left : common_divisor(right, left % right);
}

static uint32_t round_up_div(uint32_t count, uint32_t by)
{
    return (count + by - 1) / by;
}

/* "4:1", "3:2", "1.5", "2": both parts whole and below 10,000 once written as a fraction. */
static enum status ratio_parse(const char *text, struct origin at, struct ratio *ratio, struct diag *diag)
{
    char *end = NULL;
    unsigned long down = strtoul(text, &end, 10), up = 1;
    bool is_good = isdigit((unsigned char)text[0]);
    if (is_good && *end == ':') {
        is_good = isdigit((unsigned char)end[1]);
        up = strtoul(end + 1, &end, 10);
    } else if (is_good && *end == '.') {
        for (end++; isdigit((unsigned char)*end) && up < 10000; end++) {
            down = down * 10 + (unsigned long)(*end - '0');
            up *= 10;
        }
    }
    if (!is_good || *end != 0 || down == 0 || up == 0 || down > 99999 || up > 10000) {
        return diag_input(diag, at,
                          "oversubscription: \"%.40s\" is no ratio; expected down:up as 4:1, or a number as 1.5", text);
    }
    uint32_t divisor = common_divisor((uint32_t)down, (uint32_t)up);
    *ratio = (struct ratio){(uint32_t)down / divisor, (uint32_t)up / divisor};
    return STATUS_OK;
}

/* Hosts of the full tree. */
static uint64_t capacity(uint32_t tiers, uint32_t radix, struct ratio ratio)
{
    uint64_t down = (uint64_t)radix * ratio.down / (ratio.down + ratio.up);
    switch (tiers) {
    case 1:
        return radix;
    case 2:
        return down * radix;
    default:
        return down * (radix / 2) * radix;
    }
}

static bool radix_divides(uint32_t tiers, uint32_t radix, struct ratio ratio)
{
    return tiers == 1 || (radix % (ratio.down + ratio.up) == 0 && (tiers < 3 || radix % 2 == 0));
}

static uint32_t radix_smallest(uint32_t tiers, uint32_t hosts, struct ratio ratio)
{
    uint32_t radix = tiers == 1 ? 1 : ratio.down + ratio.up;
    while (capacity(tiers, radix, ratio) < hosts || !radix_divides(tiers, radix, ratio)) {
        radix *= 2;
    }
    return radix;
}

static enum status radix_check(const struct fat_tree *values, const struct fabric_request *request,
                               struct ratio ratio, struct diag *diag)
{
    uint32_t tiers = (uint32_t)values->tiers, radix = (uint32_t)values->radix;
    if (radix == 0 || radix_divides(tiers, radix, ratio)) {
        return STATUS_OK;
    }
    uint32_t below = radix, above = radix;
    while (below > 0 && !radix_divides(tiers, below, ratio)) {
        below--;
    }
    while (!radix_divides(tiers, above, ratio)) {
        above++;
    }
    return diag_input(diag, build_origin(request, "radix"),
                      "radix %" PRIu32 " does not divide into %" PRIu32 ":%" PRIu32
                      " (down:up) over %" PRIu32 " tiers; expected for example %" PRIu32,
                      radix, ratio.down, ratio.up, tiers, below > 0 ? below : above);
}

/* The fewest switches above `below` ones that each send `links` links up: a divisor of links, such that the
 * ports of `radix` suffice. */
static uint32_t merged(uint32_t links, uint32_t below, uint32_t radix)
{
    for (uint32_t count = 1; count < links; count++) {
        if (links % count == 0 && (uint64_t)below * (links / count) <= radix) {
            return count;
        }
    }
    return links;
}

static void shape_above(struct shape *shape)
{
    bool is_two = shape->tiers == 2;
    shape->leaves = shape->tiers == 1 ? 1 : round_up_div(shape->hosts, shape->down);
    shape->pod_leaves = shape->tiers == 3 ? shape->radix / 2 : shape->leaves;
    shape->pods = round_up_div(shape->leaves, shape->pod_leaves);
    shape->middle_width = 1;
    if (is_two && shape->leaves > 1) {
        shape->middles = merged(shape->up, shape->leaves, shape->radix);
        shape->middle_width = shape->up / shape->middles;
    } else if (shape->tiers == 3) {
        shape->middles = shape->up;
    }
    if (shape->tiers == 3 && shape->pods > 1) {
        shape->cores = merged(shape->radix / 2, shape->pods, shape->radix);
        shape->core_width = shape->radix / 2 / shape->cores;
    }
    shape->leaf_first = shape->hosts;
    shape->middle_first = shape->leaf_first + shape->leaves;
    shape->core_first = shape->middle_first + shape->middles * shape->pods;
}

#define RADIX_MAX 65534 /* routes count ports of switches above the star in 16 bits */

static enum status size_check(const struct fabric_request *request, uint32_t tiers, uint32_t radix,
                              struct ratio ratio, uint64_t hosts, struct diag *diag)
{
    uint64_t most = capacity(tiers, radix, ratio);
    if (tiers > 1 && radix > RADIX_MAX) {
        return diag_input(diag, build_origin(request, "oversubscription"),
                          "%" PRIu32 ":%" PRIu32 " needs switches of %" PRIu32 " ports; expected a ratio that does "
                          "with %d", ratio.down, ratio.up, radix, RADIX_MAX);
    }
    if (hosts > most || hosts > FABRIC_HOSTS_MAX) {
        return diag_input(diag, build_origin(request, hosts > FABRIC_HOSTS_MAX ? "radix" : "hosts"),
                          "%" PRIu64 " hosts are too many; a tree of radix %" PRIu32 " with %" PRIu32
                          " tiers and %" PRIu32 ":%" PRIu32 " holds %" PRIu64 " (at most %u)",
                          hosts, radix, tiers, ratio.down, ratio.up, most, FABRIC_HOSTS_MAX);
    }
    return STATUS_OK;
}

static enum status shape_find(const struct fat_tree *values, const struct fabric_request *request,
                              struct shape *shape, struct diag *diag)
{
    struct ratio ratio = {1, 1};
    enum status status =
        ratio_parse(values->oversubscription, build_origin(request, "oversubscription"), &ratio, diag);
    status = status == STATUS_OK ? radix_check(values, request, ratio, diag) : status;
    if (status != STATUS_OK) {
        return status;
    }
    uint32_t tiers = (uint32_t)values->tiers, wanted = (uint32_t)values->hosts;
    if (wanted == 0 && values->radix == 0) {
        wanted = request->hosts_wanted > 0 ? request->hosts_wanted : BUILD_HOSTS_DEFAULT;
    }
    uint32_t radix = values->radix > 0 ? (uint32_t)values->radix : radix_smallest(tiers, wanted, ratio);
    uint64_t hosts = wanted > 0 ? wanted : capacity(tiers, radix, ratio);
    status = size_check(request, tiers, radix, ratio, hosts, diag);
    if (status != STATUS_OK) {
        return status;
    }
    uint32_t down = tiers == 1 ? radix : radix / (ratio.down + ratio.up) * ratio.down;
    *shape = (struct shape){.tiers = tiers, .hosts = (uint32_t)hosts, .radix = radix, .down = down, .up = radix - down};
    shape_above(shape);
    return STATUS_OK;
}

static uint32_t min_u32(uint32_t left, uint32_t right)
{
    return left < right ? left : right;
}

static uint32_t leaf_hosts(const struct shape *shape, uint32_t leaf)
{
    return min_u32(shape->down, shape->hosts - leaf * shape->down);
}

static uint32_t pod_leaves(const struct shape *shape, uint32_t pod)
{
    return min_u32(shape->pod_leaves, shape->leaves - pod * shape->pod_leaves);
}

static uint32_t leaf_ups(const struct shape *shape)
{
    return shape->middles * shape->middle_width;
}

static uint32_t middle_ups(const struct shape *shape)
{
    return shape->cores * shape->core_width;
}

/* ---- building ----------------------------------------------------------------------------------------- */

struct parts {
    uint32_t gpu, nic, host_module, leaf_module, switch_module, box, medium;
};

static enum status parts_find(const struct fat_tree *values, const struct fabric_request *request,
                              struct parts *parts, struct diag *diag)
{
    const char *leaf_module = strcmp(values->leaf_module, "same") == 0 ? values->switch_module : values->leaf_module;
    const struct build_part_row all[] = {
        {"gpu", values->gpu, BUILD_CLASS(GPU), &parts->gpu},
        {"nic", values->nic, BUILD_CLASS(NIC), &parts->nic},
        {"host_module", values->host_module, BUILD_LINK_ENDS, &parts->host_module},
        {"leaf_module", leaf_module, BUILD_LINK_ENDS, &parts->leaf_module},
        {"switch_module", values->switch_module, BUILD_LINK_ENDS, &parts->switch_module},
        {"switch", values->switch_part, BUILD_CLASS(SWITCH), &parts->box},
        {"medium", values->medium, BUILD_CLASS(FIBRE) | BUILD_CLASS(COPPER), &parts->medium},
    };
    return build_parts(request, all, sizeof all / sizeof all[0], diag);
}

struct tree {
    struct build build;
    struct server server;
    struct shape shape;
    struct parts parts;
    const struct fat_tree *values;
    struct build_link host_link, switch_link;
    uint64_t nic_latency_ps;
};

static uint64_t link_delay(const struct tree *tree, const struct fabric_request *request, double length_m)
{
    return tree->values->link_delay_ps > 0 ? tree->values->link_delay_ps
                                           : build_length_ps(request->parts, tree->parts.medium, length_m);
}

static void links_set_up(struct tree *tree, const struct fabric_request *request)
{
    const struct fat_tree *values = tree->values;
    tree->switch_link = (struct build_link){
        .rate_bps = values->link_rate_bps,
        .delay_ps = link_delay(tree, request, values->switch_length_m),
        .queue_bytes = values->queue_bytes > 0 ? values->queue_bytes : UINT64_MAX,
        .has_device_latency = values->has_device_latency,
        .loss_mdb = build_length_loss_mdb(request->parts, tree->parts.medium, values->switch_length_m,
                                          BUILD_CONNECTORS_LINK),
    };
    tree->host_link = tree->switch_link;
    tree->host_link.loss_mdb = build_length_loss_mdb(request->parts, tree->parts.medium, values->host_length_m,
                                                     BUILD_CONNECTORS_LINK);
    tree->host_link.delay_ps = link_delay(tree, request, values->host_length_m);
    tree->host_link.rate_bps = values->host_link_rate_bps > 0 ? values->host_link_rate_bps : values->link_rate_bps;
    tree->nic_latency_ps = build_part_u64(request->parts, tree->parts.nic, PART_LATENCY_PS);
}

static void nodes_lay_out(struct tree *tree)
{
    const struct shape *shape = &tree->shape;
    const struct fat_tree *values = tree->values;
    uint64_t latency_ps = values->switch_latency_ps;
    if (latency_ps == 0 && values->has_device_latency) {
        latency_ps = build_part_u64(tree->build.request->parts, tree->parts.box, PART_LATENCY_PS);
    }
    struct build_node host = {NODE_HOST, tree->parts.gpu, 0, false, 0};
    struct build_node box = {NODE_SWITCH, tree->parts.box, 1, values->is_cut_through, latency_ps};
    for (uint32_t i = 0; i < shape->hosts; i++) {
        build_node(&tree->build, &host, server_host_ports(&tree->server, i) + 1);
    }
    for (uint32_t leaf = 0; leaf < shape->leaves; leaf++) {
        build_node(&tree->build, &box, leaf_hosts(shape, leaf) + leaf_ups(shape));
    }
    box.tier = 2;
    for (uint32_t i = 0; i < shape->middles * shape->pods; i++) {
        uint32_t leaves = pod_leaves(shape, i / shape->middles);
        build_node(&tree->build, &box, leaves * shape->middle_width + middle_ups(shape));
    }
    box.tier = 3;
    for (uint32_t i = 0; i < shape->middles * shape->cores; i++) {
        build_node(&tree->build, &box, shape->pods * shape->core_width);
    }
    server_lay_out(&tree->server, &tree->build);
}

static void join_switches(struct tree *tree, uint32_t lower_port, uint32_t upper_port)
{
    struct build_end lower = {.port = lower_port, .module = tree->parts.switch_module};
    struct build_end upper = {.port = upper_port, .module = tree->parts.switch_module};
    build_join(&tree->build, &tree->switch_link, &lower, &upper);
}

static void leaf_join(struct tree *tree, uint32_t leaf)
{
    const struct shape *shape = &tree->shape;
    const uint32_t *port_first = tree->build.port_first;
    uint32_t hosts = leaf_hosts(shape, leaf), first = port_first[shape->leaf_first + leaf];
    for (uint32_t i = 0; i < hosts; i++) {
        uint32_t number = leaf * shape->down + i;
        struct build_end host = {.port = port_first[number] + server_host_ports(&tree->server, number),
                                 .module = tree->parts.host_module, .adapter = tree->parts.nic,
                                 .adapter_ps = tree->nic_latency_ps};
        struct build_end down = {.port = first + i, .module = tree->parts.leaf_module};
        build_join(&tree->build, &tree->host_link, &host, &down);
    }
    uint32_t pod = leaf / shape->pod_leaves, width = shape->middle_width;
    for (uint32_t up = 0; up < leaf_ups(shape); up++) {
        uint32_t middle = shape->middle_first + pod * shape->middles + up / width;
        join_switches(tree, first + hosts + up, port_first[middle] + leaf % shape->pod_leaves * width + up % width);
    }
}

/* `middle` counts over all pods; number i of a pod sends up to core group i. */
static void middle_join(struct tree *tree, uint32_t middle)
{
    const struct shape *shape = &tree->shape;
    const uint32_t *port_first = tree->build.port_first;
    uint32_t pod = middle / shape->middles, group = middle % shape->middles, width = shape->core_width;
    uint32_t first = port_first[shape->middle_first + middle] + pod_leaves(shape, pod) * shape->middle_width;
    for (uint32_t up = 0; up < middle_ups(shape); up++) {
        uint32_t core = shape->core_first + group * shape->cores + up / width;
        join_switches(tree, first + up, port_first[core] + pod * width + up % width);
    }
}

static void routes_set_up(struct tree *tree)
{
    const struct shape *shape = &tree->shape;
    uint32_t down = shape->down, pod_hosts = shape->down * shape->pod_leaves;
    if (tree->server.is_mesh) {
        tree->build.fabric->port_cost = server_costs(&tree->server, &tree->build);
        tree->build.fabric->is_host_end = true;
        return;
    }
    struct route *route = build_routes(&tree->build);
    server_routes(&tree->server, route, 1, 0);
    for (uint32_t leaf = 0; leaf < shape->leaves; leaf++) {
        uint32_t hosts = leaf_hosts(shape, leaf);
        route[shape->leaf_first + leaf] = (struct route){
            .down_first = leaf * down, .down_last = leaf * down + hosts, .down_stride = 1, .down_width = 1,
            .up_port = (uint16_t)hosts, .up_count = (uint16_t)leaf_ups(shape)};
    }
    for (uint32_t i = 0; i < shape->middles * shape->pods; i++) {
        uint32_t pod = i / shape->middles, leaves = pod_leaves(shape, pod);
        route[shape->middle_first + i] = (struct route){
            .down_first = pod * pod_hosts, .down_last = min_u32(shape->hosts, (pod + 1) * pod_hosts),
            .down_stride = down, .down_width = (uint16_t)shape->middle_width,
            .up_port = (uint16_t)(leaves * shape->middle_width), .up_count = (uint16_t)middle_ups(shape)};
    }
    for (uint32_t i = 0; i < shape->middles * shape->cores; i++) {
        route[shape->core_first + i] = (struct route){
            .down_last = shape->hosts, .down_stride = pod_hosts, .down_width = (uint16_t)shape->core_width};
    }
}

static uint64_t ports_total(const struct shape *shape)
{
    uint64_t leaf_links = (uint64_t)shape->leaves * leaf_ups(shape);
    uint64_t middle_links = (uint64_t)shape->middles * shape->pods * middle_ups(shape);
    return 2 * (shape->hosts + leaf_links + middle_links);
}

static enum status fat_tree_build(const void *all_values, const struct fabric_request *request,
                                  struct fabric *fabric, struct diag *diag)
{
    struct tree tree = {.values = all_values};
    enum status status = shape_find(tree.values, request, &tree.shape, diag);
    status = status == STATUS_OK ? parts_find(tree.values, request, &tree.parts, diag) : status;
    status = status == STATUS_OK ? server_find(&tree.values->server, request, tree.shape.hosts,
                                               tree.values->has_device_latency, &tree.server, diag)
                                 : status;
    if (status != STATUS_OK) {
        return status;
    }
    const struct shape *shape = &tree.shape;
    uint64_t nodes = (uint64_t)shape->core_first + (uint64_t)shape->middles * shape->cores +
                     server_node_count(&tree.server);
    uint64_t ports = ports_total(shape) + server_port_count(&tree.server);
    status = build_size_check(request, nodes, ports, diag);
    if (status != STATUS_OK) {
        return status;
    }
    build_begin(&tree.build, request, fabric, diag, shape->hosts, nodes, ports);
    links_set_up(&tree, request);
    nodes_lay_out(&tree);
    for (uint32_t leaf = 0; leaf < shape->leaves; leaf++) {
        leaf_join(&tree, leaf);
    }
    for (uint32_t middle = 0; middle < shape->middles * shape->pods; middle++) {
        middle_join(&tree, middle);
    }
    server_join(&tree.server, &tree.build);
    routes_set_up(&tree);
    build_end(&tree.build);
    return STATUS_OK;
}

const struct fabric_family fabric_fat_tree = {
    .name = "fat_tree",
    .summary = "folded Clos of one to three tiers of packet switches, any oversubscription at the leaf",
    .params = PARAM_TABLE(struct fat_tree, rows),
    .build = fat_tree_build,
};
