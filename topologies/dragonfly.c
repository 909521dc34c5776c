/* Dragonflies: groups of routers, every pair of groups joined directly.
 *
 *      variant: palm_tree                            variant: plus (Dragonfly+, Megafly)
 *
 *        ┌─ to other groups ─┐                         ┌─ to other groups ─┐
 *        r ─── r ─── r ─── r   all joined to all       s     s     s     s    spines: global links only
 *        │ ╲___╱ ╲___╱ ╲___│                           │ ╲ ╱ │ ╲ ╱ │ ╲ ╱ │    every leaf to every spine
 *        hh    hh    hh    hh                          l     l     l     l
 *                                                      hh    hh    hh    hh
 *
 * Global ports of group i are numbered over its routers from left to right; port j leads to group i - 1 - j
 * (modulo the number of groups), which is the palm-tree arrangement; a smaller network than the full one goes
 * round several times. Shortest ways have at most one global link, with a local hop before and behind it where
 * needed. Two global links cost more than that, so they are taken by detours over a third group only
 * (routing.paths: valiant, ugal).
 *
 * Sizes. p hosts, a routers, h global ports a router. `hosts_per_router` 0: the smallest balanced one (a = 2p
 * = 2h; plus: a = p = h) that holds the hosts. `groups` 0: as many as the hosts need.
 *
 * Scope: canonical dragonfly with complete groups; Dragonfly+ with as many spines as leaves.
 * Not modelled: groups of two dimensions (Cray Aries).
 * Checked against: Kim et al., ISCA 2008, for the 1,056-host example; Camarero et al., TACO 2014, for the
 * arrangement; Shpiner et al., HiPINEB 2017, for Dragonfly+ (tests/test_electrical.c). */
#include "topologies/routers.h"

#include <inttypes.h>

struct dragonfly {
    struct routers_values routers;
    struct server_values server;
    uint64_t hosts, groups, group_routers, per_router, global_ports, pair_links, local_links;
    double global_length_m;
    uint32_t variant;
};

enum variant { VARIANT_PALM_TREE, VARIANT_PLUS };
static const char *const variant_names[] = {"palm_tree", "plus", NULL};

static const struct param rows[] = {
    PARAM_CHOICE(struct dragonfly, variant, "variant", "palm_tree", variant_names,
                 "palm_tree: routers of a group joined all to all; plus: leaves and spines"),
    PARAM_U64(struct dragonfly, hosts, COUNT, "hosts", "0", "0", "1_048_576",
              "0: as groups says, or else as many as the job has ranks (32 without a job)"),
    PARAM_U64(struct dragonfly, groups, COUNT, "groups", "0", "0", "65_536", "0: as many as the hosts need"),
    PARAM_U64(
        struct dragonfly, group_routers, COUNT, "routers_per_group", "0", "0", "1024",
        "with plus: leaves, and as many spines; 0: balanced, 2 * hosts_per_router (plus: hosts_per_router)"),
    PARAM_U64(struct dragonfly, per_router, COUNT, "hosts_per_router", "0", "0", "1024",
              "0: the smallest balanced dragonfly for the hosts"),
    PARAM_U64(struct dragonfly, global_ports, COUNT, "global_ports", "0", "0", "1024",
              "of a router (plus: of a spine) to other groups; 0: as many as hosts_per_router"),
    PARAM_U64(struct dragonfly, pair_links, COUNT, "group_links", "0", "0", "65_536",
              "links between two groups; 0: as many as the global ports allow"),
    PARAM_U64(struct dragonfly, local_links, COUNT, "local_links", "1", "1", "64",
              "links between two routers of a group that are joined"),
    PARAM_REAL(struct dragonfly, global_length_m, LENGTH, "global_length", "30m", "0m", "100km",
               "group to group"),
    ROUTERS_ROWS(struct dragonfly),
    SERVER_ROWS(struct dragonfly, "1"),
};

/* Local, global, local is 2 + 6 + 2; two global links are at least 12. */
#define GLOBAL_COST 6

struct layout {
    const struct dragonfly *values;
    uint32_t hosts, groups, per, leaves, spines; /* spines: 0 in a palm tree */
    uint32_t globals;                            /* routers with global ports in a group */
    uint32_t ports;                              /* global ports of each of them */
    uint32_t pair_links;
};

static bool is_plus(const struct dragonfly *values)
{
    return values->variant == VARIANT_PLUS;
}

/* Hosts of the full balanced network with p hosts a router. */
static uint64_t balanced_hosts(const struct dragonfly *values, uint64_t p)
{
    uint64_t routers = is_plus(values) ? p : 2 * p;
    return (routers * p + 1) * routers * p;
}

static enum status layout_find(const struct dragonfly *values, const struct fabric_request *request,
                               struct layout *layout, struct diag *diag)
{
    uint64_t hosts = values->hosts;
    if (hosts == 0 && (values->groups == 0 || values->per_router == 0)) {
        hosts = request->hosts_wanted > 0 ? request->hosts_wanted : BUILD_HOSTS_DEFAULT;
    }
    uint64_t per = values->per_router;
    while (per == 0 || (values->per_router == 0 && balanced_hosts(values, per) < hosts)) {
        per++;
    }
    uint64_t routers = values->group_routers > 0 ? values->group_routers : is_plus(values) ? per : 2 * per;
    uint64_t groups = values->groups > 0 ? values->groups : (hosts + routers * per - 1) / (routers * per);
    hosts = hosts > 0 ? hosts : groups * routers * per;
    *layout = (struct layout){.values = values,
                              .per = (uint32_t)per,
                              .leaves = (uint32_t)routers,
                              .spines = is_plus(values) ? (uint32_t)routers : 0,
                              .globals = (uint32_t)routers,
                              .groups = (uint32_t)groups,
                              .hosts = (uint32_t)hosts,
                              .ports = (uint32_t)(values->global_ports > 0 ? values->global_ports : per)};
    if (hosts > groups * routers * per || hosts > FABRIC_HOSTS_MAX || hosts < 2) {
        return diag_input(diag, build_origin(request, values->hosts > 0 ? "hosts" : "groups"),
                          "%" PRIu64 " hosts do not go with %" PRIu64 " groups of %" PRIu64
                          " routers of %" PRIu64 "; expected 2 to %" PRIu64 ", and at most %u",
                          hosts, groups, routers, per, groups * routers * per, FABRIC_HOSTS_MAX);
    }
    return STATUS_OK;
}

static enum status pairs_find(const struct fabric_request *request, struct layout *layout, struct diag *diag)
{
    const struct dragonfly *values = layout->values;
    uint64_t ports = (uint64_t)layout->globals * layout->ports, others = layout->groups - 1;
    uint64_t links = others == 0 ? 0 : values->pair_links > 0 ? values->pair_links : ports / others;
    if (others > 0 && (links == 0 || links * others > ports)) {
        return diag_input(diag, build_origin(request, values->pair_links > 0 ? "group_links" : "groups"),
                          "%" PRIu32 " groups need %" PRIu64 " global ports in each; %" PRIu32
                          " routers of %" PRIu32 " have %" PRIu64,
                          layout->groups, (links == 0 ? 1 : links) * others, layout->globals, layout->ports,
                          ports);
    }
    layout->pair_links = (uint32_t)links;
    return STATUS_OK;
}

/* ---- edges -------------------------------------------------------------------------------------------- */

static uint32_t group_size(const struct layout *layout)
{
    return layout->leaves + layout->spines;
}

/* Leaves of all groups come first, so that host h hangs at router h / per; then the spines. */
static uint32_t leaf_id(const struct layout *layout, uint32_t group, uint32_t leaf)
{
    return group * layout->leaves + leaf;
}

static uint32_t spine_id(const struct layout *layout, uint32_t group, uint32_t spine)
{
    return layout->groups * layout->leaves + group * layout->spines + spine;
}

static size_t locals_list(const struct layout *layout, uint32_t group, struct routers_edge *edges)
{
    size_t count = 0;
    for (uint32_t leaf = 0; leaf < layout->leaves; leaf++) {
        uint32_t first = layout->spines > 0 ? 0 : leaf + 1,
                 last = layout->spines > 0 ? layout->spines : layout->leaves;
        for (uint32_t i = first; i < last; i++) {
            uint32_t other = layout->spines > 0 ? spine_id(layout, group, i) : leaf_id(layout, group, i);
            for (uint64_t link = 0; link < layout->values->local_links; link++) {
                edges[count++] =
                    (struct routers_edge){leaf_id(layout, group, leaf), other,
                                          layout->values->routers.link_length_m, ROUTERS_COST, 0, 0};
            }
        }
    }
    return count;
}

/* The router that has global port j of a group: all ports in use are spread evenly from left to right. */
static uint32_t global_id(const struct layout *layout, uint32_t group, uint32_t j)
{
    uint64_t used = (uint64_t)layout->pair_links * (layout->groups - 1);
    uint32_t router = (uint32_t)(j * (uint64_t)layout->globals / used);
    return layout->spines > 0 ? spine_id(layout, group, router) : leaf_id(layout, group, router);
}

/* Port j of a group leads to port `round` + others - 1 - j % others of the other one, which leads back. */
static size_t globals_list(const struct layout *layout, uint32_t group, struct routers_edge *edges)
{
    uint32_t others = layout->groups - 1;
    size_t count = 0;
    for (uint32_t j = 0; j < layout->pair_links * others; j++) {
        uint32_t other = (group + layout->groups - 1 - j % others) % layout->groups;
        uint32_t back = j / others * others + others - 1 - j % others;
        if (group < other) {
            edges[count++] =
                (struct routers_edge){global_id(layout, group, j), global_id(layout, other, back),
                                      layout->values->global_length_m, GLOBAL_COST, 0, 0};
        }
    }
    return count;
}

static uint64_t edges_total(const struct layout *layout)
{
    uint64_t locals = layout->spines > 0 ? (uint64_t)layout->leaves * layout->spines
                                         : (uint64_t)layout->leaves * (layout->leaves - 1) / 2;
    uint64_t pairs = (uint64_t)layout->groups * (layout->groups - 1) / 2;
    return locals * layout->values->local_links * layout->groups + pairs * layout->pair_links;
}

static enum status dragonfly_build(const void *all_values, const struct fabric_request *request,
                                   struct fabric *fabric, struct diag *diag)
{
    const struct dragonfly *values = all_values;
    struct layout layout;
    enum status status = layout_find(values, request, &layout, diag);
    status = status == STATUS_OK ? pairs_find(request, &layout, diag) : status;
    if (status != STATUS_OK) {
        return status;
    }
    if (edges_total(&layout) > FABRIC_LINKS_MAX) {
        return diag_input(diag, build_origin(request, "groups"),
                          "%" PRIu64 " links are too many; expected at most %u", edges_total(&layout),
                          FABRIC_LINKS_MAX);
    }
    struct routers_edge *edges = arena_array(request->arena, edges_total(&layout), struct routers_edge);
    uint32_t routers = layout.groups * group_size(&layout);
    uint8_t *tier = arena_array(request->arena, routers, uint8_t);
    uint32_t *region = arena_array(request->arena, routers, uint32_t);
    size_t count = 0;
    uint32_t leaves = layout.groups * layout.leaves;
    for (uint32_t i = 0; i < routers; i++) {
        tier[i] = i < leaves ? 1 : 2;
        region[i] = i < leaves ? i / layout.leaves : (i - leaves) / layout.spines;
    }
    for (uint32_t group = 0; group < layout.groups; group++) {
        count += locals_list(&layout, group, edges + count);
        count += globals_list(&layout, group, edges + count);
    }
    const struct routers_plan plan = {.hosts = layout.hosts,
                                      .routers = routers,
                                      .per_router = layout.per,
                                      .edges = edges,
                                      .edge_count = count,
                                      .tier = tier,
                                      .region = region};
    return routers_build(&values->routers, &values->server, &plan, request, fabric, diag);
}

const struct fabric_family fabric_dragonfly = {
    .name = "dragonfly",
    .summary = "groups of routers, every pair of groups joined: palm tree or Dragonfly+",
    .params = PARAM_TABLE(struct dragonfly, rows),
    .build = dragonfly_build,
};
