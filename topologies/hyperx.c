/* HyperX networks: routers in a grid, all joined to all along every dimension.
 *
 *      dimensions 3x2:    0 ───── 1 ───── 2      `hosts_per_router` hosts at every router; `width` links
 *                         │ ╲_____│_____╱ │      between two routers that differ in one place only
 *                         │       │       │
 *                         3 ───── 4 ───── 5
 *                           ╲___________╱
 *
 * Packets go by all shortest ways: one hop for each place that differs, in any order; with routing.paths=valiant or ugal
 * over a router drawn for each packet (every router is a region), with queue.adaptive by the least loaded hop.
 *
 * Scope: any number of dimensions, widths equal in all of them.
 * Not modelled: detours that are chosen anew in every dimension (DAL), unequal widths.
 * Checked against: Ahn et al., "HyperX", SC 2009: links, diameter and bisection of regular HyperX
 * (tests/test_electrical.c). */
#include "topologies/routers.h"

#include <inttypes.h>
#include <string.h>

struct hyperx {
    struct routers_values routers;
    struct server_values server;
    uint64_t hosts, dimension_count, per_router, width;
    const char *dimensions;
};

static const struct param rows[] = {
    PARAM_TEXT(struct hyperx, dimensions, "dimensions", "auto",
               "sizes as 12x8; auto: as many as dimension_count, as equal as can be, for the hosts"),
    PARAM_U64(struct hyperx, dimension_count, COUNT, "dimension_count", "2", "1", "8", "of dimensions: auto"),
    PARAM_U64(struct hyperx, hosts, COUNT, "hosts", "0", "0", "1_048_576",
              "with dimensions: auto, so many; 0: as many as the job has ranks (32 without a job)"),
    PARAM_U64(struct hyperx, per_router, COUNT, "hosts_per_router", "4", "1", "1024",
              "hosts at every router"),
    PARAM_U64(struct hyperx, width, COUNT, "width", "1", "1", "64", "links between two routers"),
    ROUTERS_ROWS(struct hyperx),
    SERVER_ROWS(struct hyperx, "1"),
};

struct grid {
    struct routers_sizes sizes;
    uint32_t hosts;
};

static enum status grid_find(const struct hyperx *values, const struct fabric_request *request,
                             struct grid *grid, struct diag *diag)
{
    uint32_t per = (uint32_t)values->per_router;
    enum status status = STATUS_OK;
    if (strcmp(values->dimensions, "auto") == 0) {
        grid->hosts = values->hosts > 0 ? (uint32_t)values->hosts : request->hosts_wanted;
        grid->hosts = grid->hosts > 0 ? grid->hosts : BUILD_HOSTS_DEFAULT;
        routers_sizes_choose((grid->hosts + per - 1) / per, (uint32_t)values->dimension_count, &grid->sizes);
    } else {
        status = routers_sizes_parse("dimensions", values->dimensions, request, &grid->sizes, diag);
        uint64_t hosts = grid->sizes.product * per;
        if (status == STATUS_OK && (hosts > FABRIC_HOSTS_MAX || values->hosts > hosts)) {
            return diag_input(diag, build_origin(request, values->hosts > hosts ? "hosts" : "dimensions"),
                              "%" PRIu64 " hosts do not go with %" PRIu64 " routers of %" PRIu32
                              "; expected at most %" PRIu64,
                              values->hosts > 0 ? values->hosts : hosts, grid->sizes.product, per,
                              hosts > FABRIC_HOSTS_MAX ? (uint64_t)FABRIC_HOSTS_MAX : hosts);
        }
        grid->hosts = values->hosts > 0 ? (uint32_t)values->hosts : (uint32_t)hosts;
    }
    return status;
}

/* Pairs of routers along every dimension, times the links of a pair. */
static uint64_t edges_total(const struct hyperx *values, const struct routers_sizes *sizes)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < sizes->count; i++) {
        total +=
            sizes->product * (sizes->size[i] - 1) / 2 * values->width; /* product is a multiple of the size */
    }
    return total;
}

static size_t edges_list(const struct hyperx *values, const struct routers_sizes *sizes,
                         struct routers_edge *edges)
{
    size_t count = 0;
    for (uint32_t router = 0; router < sizes->product; router++) {
        uint32_t stride = 1;
        for (uint32_t i = 0; i < sizes->count; i++) {
            uint32_t others = sizes->size[i] - 1 - router / stride % sizes->size[i];
            for (uint64_t k = 0; k < others * values->width; k++) {
                edges[count++] =
                    (struct routers_edge){router, router + stride * (uint32_t)(1 + k / values->width),
                                          values->routers.link_length_m, ROUTERS_COST, 0, 0};
            }
            stride *= sizes->size[i];
        }
    }
    return count;
}

static enum status hyperx_build(const void *all_values, const struct fabric_request *request,
                                struct fabric *fabric, struct diag *diag)
{
    const struct hyperx *values = all_values;
    struct grid grid;
    enum status status = grid_find(values, request, &grid, diag);
    if (status != STATUS_OK) {
        return status;
    }
    uint64_t total = edges_total(values, &grid.sizes);
    if (total > FABRIC_LINKS_MAX) {
        return diag_input(diag, build_origin(request, "dimensions"),
                          "%" PRIu64 " links are too many; expected at most %u", total, FABRIC_LINKS_MAX);
    }
    struct routers_edge *edges = arena_array(request->arena, total, struct routers_edge);
    const struct routers_plan plan = {.hosts = grid.hosts,
                                      .routers = (uint32_t)grid.sizes.product,
                                      .per_router = (uint32_t)values->per_router,
                                      .edges = edges,
                                      .edge_count = edges_list(values, &grid.sizes, edges)};
    return routers_build(&values->routers, &values->server, &plan, request, fabric, diag);
}

const struct fabric_family fabric_hyperx = {
    .name = "hyperx",
    .summary = "routers in a grid, all joined to all along every dimension",
    .params = PARAM_TABLE(struct hyperx, rows),
    .build = hyperx_build,
};
