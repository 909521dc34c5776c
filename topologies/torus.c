/* Tori and meshes of any dimensions.
 *
 *      dimensions 4x3:    ┌─ 0 ── 1 ── 2 ── 3 ─┐     the first dimension runs fastest; with `wrap` the ends of
 *                         └──┼────┼────┼────┼──┘     every row and column are joined (drawn for one row)
 *                            4 ── 5 ── 6 ── 7
 *                            │    │    │    │
 *                            8 ── 9 ── 10 ─ 11
 *
 * Hosts are the routers (hosts_per_router: 0), as in a TPU pod, or hang at them. Packets go by one dimension
 * after the other (`routing: dimension_order`), by either way round where both are equally far, or by all
 * shortest ways.
 *
 * A dimension of size 2 has one link between its two routers, with `wrap` or without; one of size 1 has none.
 *
 * Scope: equal links in all dimensions; wrapped or not, all dimensions alike.
 * Where credits or pauses hold packets back, lanes keep them from closing a circle (netsim/route/lane.h): two in dimension
 * order, more by all shortest ways.
 * Not modelled: twisted tori (a family of its own), adaptive routing with lanes to escape to.
 * Checked against: Dally and Towles, "Principles and Practices of Interconnection Networks", 2004, chapter 5:
 * links, diameter and bisection of k-ary n-cubes and meshes (tests/test_electrical.c). */
#include "topologies/routers.h"

#include <inttypes.h>
#include <string.h>

struct torus {
    struct routers_values routers;
    struct server_values server;
    uint64_t hosts, dimension_count, per_router;
    const char *dimensions;
    bool is_wrapped;
    uint32_t routing;
};

enum torus_routing { ROUTING_DIMENSION_ORDER, ROUTING_SHORTEST };
static const char *const routing_names[] = {"dimension_order", "shortest", NULL};

static const struct param rows[] = {
    PARAM_TEXT(struct torus, dimensions, "dimensions", "auto",
               "sizes as 4x4x8; auto: as many as dimension_count, as equal as can be, for the hosts"),
    PARAM_U64(struct torus, dimension_count, COUNT, "dimension_count", "3", "1", "8", "of dimensions: auto"),
    PARAM_U64(struct torus, hosts, COUNT, "hosts", "0", "0", "1_048_576",
              "with dimensions: auto, at least so many; 0: as many as the job has ranks (32 without a job)"),
    PARAM_U64(struct torus, per_router, COUNT, "hosts_per_router", "0", "0", "64",
              "0: hosts are the routers"),
    PARAM_BOOL(struct torus, is_wrapped, "wrap", "yes", "no: a mesh"),
    PARAM_CHOICE(struct torus, routing, "routing", "dimension_order", routing_names,
                 "dimension_order: one dimension after the other; shortest: all shortest ways"),
    ROUTERS_ROWS(struct torus),
    ROUTERS_ROW_FORWARD(struct torus, "100ns"),
    SERVER_ROWS(struct torus, "1"),
};

static enum status sizes_find(const struct torus *values, const struct fabric_request *request,
                              struct routers_sizes *sizes, struct diag *diag)
{
    if (strcmp(values->dimensions, "auto") != 0) {
        return routers_sizes_parse("dimensions", values->dimensions, request, sizes, diag);
    }
    uint32_t hosts = values->hosts > 0 ? (uint32_t)values->hosts : request->hosts_wanted;
    hosts = hosts > 0 ? hosts : BUILD_HOSTS_DEFAULT;
    uint32_t per = values->per_router > 0 ? (uint32_t)values->per_router : 1;
    routers_sizes_choose((hosts + per - 1) / per, (uint32_t)values->dimension_count, sizes);
    return STATUS_OK;
}

static uint64_t edges_max(const struct routers_sizes *sizes)
{
    return sizes->product * sizes->count;
}

static uint8_t edge_order(const struct torus *values, uint32_t dimension)
{
    return values->routing == ROUTING_DIMENSION_ORDER ? (uint8_t)dimension : 0;
}

/* Rings in dimension order are what two virtual lanes keep free of deadlock; of other ways they do not. */
static uint8_t edge_ring(const struct torus *values, uint32_t dimension, bool is_last)
{
    if (!values->is_wrapped || values->routing != ROUTING_DIMENSION_ORDER) {
        return 0;
    }
    return (uint8_t)((dimension + 1) | (is_last ? RING_CLOSED : 0));
}

/* The edge to the next router of every dimension, from all routers that have one. */
static size_t edges_list(const struct torus *values, const struct routers_sizes *sizes,
                         struct routers_edge *edges)
{
    size_t count = 0;
    for (uint32_t router = 0; router < sizes->product; router++) {
        uint32_t stride = 1;
        for (uint32_t dimension = 0; dimension < sizes->count; dimension++) {
            uint32_t size = sizes->size[dimension], place = router / stride % size;
            bool is_last = place + 1 == size;
            bool is_joined = !is_last || (values->is_wrapped && size > 2);
            if (is_joined) {
                edges[count++] =
                    (struct routers_edge){router, router + stride - (is_last ? size * stride : 0),
                                          values->routers.link_length_m, ROUTERS_COST,
                                          edge_order(values, dimension), edge_ring(values, dimension, is_last)};
            }
            stride *= size;
        }
    }
    return count;
}

static enum status torus_build(const void *all_values, const struct fabric_request *request,
                               struct fabric *fabric, struct diag *diag)
{
    const struct torus *values = all_values;
    struct routers_sizes sizes;
    enum status status = sizes_find(values, request, &sizes, diag);
    if (status != STATUS_OK) {
        return status;
    }
    uint32_t per = values->per_router > 0 ? (uint32_t)values->per_router : 1;
    if (sizes.product * per > FABRIC_HOSTS_MAX || sizes.product * per < 2) {
        return diag_input(diag, build_origin(request, "dimensions"), "%" PRIu64 " hosts; expected 2 to %u",
                          sizes.product * per, FABRIC_HOSTS_MAX);
    }
    struct routers_edge *edges = arena_array(request->arena, edges_max(&sizes), struct routers_edge);
    const struct routers_plan plan = {.hosts = (uint32_t)sizes.product * per,
                                      .routers = (uint32_t)sizes.product,
                                      .per_router = (uint32_t)values->per_router,
                                      .edges = edges,
                                      .edge_count = edges_list(values, &sizes, edges),
                                      .is_turning = values->routing == ROUTING_SHORTEST};
    return routers_build(&values->routers, &values->server, &plan, request, fabric, diag);
}

const struct fabric_family fabric_torus = {
    .name = "torus",
    .summary = "torus or mesh of any dimensions, hosts as routers or at them",
    .params = PARAM_TABLE(struct torus, rows),
    .build = torus_build,
};
