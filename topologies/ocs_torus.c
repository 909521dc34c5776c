/* A slice of a TPU v4 pod: cubes of 4x4x4 chips on copper, joined by optical switches to a torus of any shape.
 *
 *      cube            cube             optical switches close the rows of cubes of all three dimensions
 *      0─1─2─3 ═══╗ ╔═ 4─5─6─7          (and of a single cube), so a slice needs no cubes that are neighbours
 *      ╚═════════ ╠═╣ ═══════╝
 *             optical switch            96 optical ends a cube: 16 on each of 6 faces
 *
 * Twisted (k x k x 2k and k x 2k x 2k): the link that closes a row of a short dimension ends k further on in every
 * long one. That makes the three dimensions alike (the lattices FCC and BCC of Camarero, Martinez and Beivide, IEEE
 * Trans. Computers 2015), and costs nothing, since the optical switches join what they are told to.
 *
 *      regular 4x4x8, all-to-all:  a link of the long dimension carries twice what one of a short one does
 *      twisted 4x4x8:              all links carry the same, 1.63 times the throughput
 *
 * Slices of less than a cube are meshes of copper with sides of 1, 2 or 4, and have no optical links.
 *
 * Scope: one slice, circuits set once, before the job starts: all links through an optical switch are dark until it
 * has settled, receivers have locked and the control plane is done. Energy counts the boxes that the slice's ends fill
 * (64 cubes: 6144 ends; a pod has 48 boxes of 128 ports in use).
 * Where credits or pauses hold packets back, lanes keep them from closing a circle (netsim/route/lane.h): by all shortest
 * ways, or round twisted rings, by the colours of the chips; in dimension order two a ring.
 * Not modelled: spare cubes and the choice of cubes; circulators
 * (one fibre a duplex link is assumed: a port of the optical switch serves both ways).
 * Checked against: counts of Jouppi et al., TPU v4, ISCA 2023; distances of both tori by search and the 1.63 (4x4x8)
 * and 1.31 (4x8x8) times faster all-to-all of the same paper (tests/test_circuits.c). */
#include "topologies/routers.h"

#include <inttypes.h>
#include <string.h>

#define CUBE 4
#define DIMENSIONS 3

struct ocs_torus {
    struct routers_values routers;
    struct server_values server;
    uint64_t hosts;
    const char *shape, *ocs, *ocs_module, *ocs_medium;
    double ocs_length_m;
    bool is_twisted;
    uint32_t routing;
};

enum ocs_torus_routing { ROUTING_SHORTEST, ROUTING_DIMENSION_ORDER };
static const char *const routing_names[] = {"shortest", "dimension_order", NULL};

static const struct param rows[] = {
    PARAM_TEXT(struct ocs_torus, shape, "shape", "auto",
               "chips as 4x4x8: multiples of 4, or at most 4x4x4 with sides of 1, 2 and 4; auto: for the hosts"),
    PARAM_U64(struct ocs_torus, hosts, COUNT, "hosts", "0", "0", "65536",
              "with shape: auto, at least so many; 0: as many as the job has ranks (64 without a job)"),
    PARAM_BOOL(struct ocs_torus, is_twisted, "twisted", "no",
               "rows of short dimensions are closed with an offset; shapes k x k x 2k and k x 2k x 2k"),
    PARAM_CHOICE(struct ocs_torus, routing, "routing", "shortest", routing_names,
                 "shortest: all shortest ways; dimension_order: one dimension after the other"),
    PARAM_TEXT(struct ocs_torus, ocs, "ocs", "none",
               "part of the optical switch: its settle, relock and control times are charged at the start"),
    PARAM_TEXT(struct ocs_torus, ocs_module, "ocs_module", "none", "part at both ends of a link through it"),
    PARAM_TEXT(struct ocs_torus, ocs_medium, "ocs_medium", "smf", "part that gives the delay per metre: smf, hollow_core"),
    PARAM_REAL(struct ocs_torus, ocs_length_m, LENGTH, "ocs_length", "50m", "0m", "100km",
               "chip to chip through the optical switch (assumption: a row of racks and back)"),
    ROUTERS_ROWS(struct ocs_torus),
    ROUTERS_ROW_FORWARD(struct ocs_torus, "100ns"),
    SERVER_ROWS(struct ocs_torus, "1"),
};

/* ---- shape -------------------------------------------------------------------------------------------- */

static bool is_whole_cubes(const struct routers_sizes *sizes)
{
    bool is_whole = true;
    for (uint32_t i = 0; i < DIMENSIONS; i++) {
        is_whole &= sizes->size[i] % CUBE == 0;
    }
    return is_whole;
}

static bool is_in_cube(const struct routers_sizes *sizes)
{
    bool is_inside = true;
    for (uint32_t i = 0; i < DIMENSIONS; i++) {
        is_inside &= sizes->size[i] == 1 || sizes->size[i] == 2 || sizes->size[i] == 4;
    }
    return is_inside;
}

static void shape_choose(uint32_t hosts, struct routers_sizes *sizes)
{
    if (hosts > CUBE * CUBE * CUBE / 2) {
        routers_sizes_choose((hosts + CUBE * CUBE * CUBE - 1) / (CUBE * CUBE * CUBE), DIMENSIONS, sizes);
        for (uint32_t i = 0; i < DIMENSIONS; i++) {
            sizes->size[i] *= CUBE;
            sizes->product *= CUBE;
        }
        return;
    }
    *sizes = (struct routers_sizes){.count = DIMENSIONS, .size = {1, 1, 1}, .product = 1};
    for (uint32_t i = 0; sizes->product < hosts || sizes->product < 2; i++) {
        sizes->size[DIMENSIONS - 1 - i % DIMENSIONS] *= 2;
        sizes->product *= 2;
    }
}

static enum status shape_find(const struct ocs_torus *values, const struct fabric_request *request,
                              struct routers_sizes *sizes, struct diag *diag)
{
    if (strcmp(values->shape, "auto") == 0) {
        uint32_t hosts = values->hosts > 0 ? (uint32_t)values->hosts : request->hosts_wanted;
        shape_choose(hosts > 0 ? hosts : CUBE * CUBE * CUBE, sizes);
        return STATUS_OK;
    }
    enum status status = routers_sizes_parse("shape", values->shape, request, sizes, diag);
    if (status != STATUS_OK) {
        return status;
    }
    if (sizes->count != DIMENSIONS || sizes->product < 2 || (!is_whole_cubes(sizes) && !is_in_cube(sizes))) {
        return diag_input(diag, build_origin(request, "shape"),
                          "shape %.40s does not divide into cubes of 4x4x4 chips; expected three multiples of 4, or "
                          "sides of 1, 2 and 4 inside one cube",
                          values->shape);
    }
    return STATUS_OK;
}

/* k x k x 2k and k x 2k x 2k in any order: which dimensions are long. */
static enum status twist_find(const struct ocs_torus *values, const struct fabric_request *request,
                              const struct routers_sizes *sizes, bool *is_long, struct diag *diag)
{
    uint32_t least = UINT32_MAX, most = 0, long_count = 0;
    bool is_good = true;
    for (uint32_t i = 0; i < DIMENSIONS; i++) {
        least = sizes->size[i] < least ? sizes->size[i] : least;
        most = sizes->size[i] > most ? sizes->size[i] : most;
    }
    for (uint32_t i = 0; i < DIMENSIONS; i++) {
        is_long[i] = sizes->size[i] == 2 * least;
        long_count += is_long[i];
        is_good &= is_long[i] || sizes->size[i] == least;
    }
    if (values->is_twisted && (!is_good || long_count == 0 || least % CUBE != 0)) {
        return diag_input(diag, build_origin(request, "twisted"),
                          "%" PRIu32 "x%" PRIu32 "x%" PRIu32
                          " cannot be twisted; expected k x k x 2k or k x 2k x 2k with k a multiple of 4",
                          sizes->size[0], sizes->size[1], sizes->size[2]);
    }
    return STATUS_OK;
}

/* ---- edges -------------------------------------------------------------------------------------------- */

struct layout {
    const struct ocs_torus *values;
    const struct routers_sizes *sizes;
    bool is_long[DIMENSIONS];
    bool is_wrapped; /* whole cubes */
};

/* The chip one step further along `dimension`; rows that are closed may end elsewhere in the long dimensions. */
static uint32_t next_chip(const struct layout *layout, const uint32_t *at, uint32_t dimension)
{
    const uint32_t *size = layout->sizes->size;
    uint32_t place[DIMENSIONS] = {at[0], at[1], at[2]};
    bool is_closing = at[dimension] + 1 == size[dimension];
    place[dimension] = is_closing ? 0 : at[dimension] + 1;
    for (uint32_t i = 0; is_closing && layout->values->is_twisted && i < DIMENSIONS; i++) {
        if (i != dimension && !layout->is_long[dimension] && layout->is_long[i]) {
            place[i] = (place[i] + size[i] / 2) % size[i];
        }
    }
    return place[0] + size[0] * (place[1] + size[1] * place[2]);
}

/* Rings that close where they began, one dimension after the other. */
static bool has_rings(const struct layout *layout)
{
    return layout->is_wrapped && !layout->values->is_twisted && layout->values->routing == ROUTING_DIMENSION_ORDER;
}

static size_t edges_list(const struct layout *layout, struct routers_edge *edges, bool *is_through)
{
    const uint32_t *size = layout->sizes->size;
    const struct ocs_torus *values = layout->values;
    size_t count = 0;
    for (uint32_t chip = 0; chip < layout->sizes->product; chip++) {
        uint32_t at[DIMENSIONS] = {chip % size[0], chip / size[0] % size[1], chip / size[0] / size[1]};
        for (uint32_t dimension = 0; dimension < DIMENSIONS; dimension++) {
            bool is_last = at[dimension] + 1 == size[dimension];
            if (is_last && !layout->is_wrapped) {
                continue;
            }
            bool is_optical = layout->is_wrapped && (at[dimension] + 1) % CUBE == 0;
            is_through[count] = is_optical;
            edges[count++] = (struct routers_edge){
                .left = chip,
                .right = next_chip(layout, at, dimension),
                .length_m = is_optical ? values->ocs_length_m : values->routers.link_length_m,
                .cost = ROUTERS_COST,
                .order = values->routing == ROUTING_DIMENSION_ORDER ? (uint8_t)dimension : 0,
                .ring = has_rings(layout) ? (uint8_t)((dimension + 1) | (is_last ? RING_CLOSED : 0)) : 0,
            };
        }
    }
    return count;
}

static enum status optical_find(const struct ocs_torus *values, const struct fabric_request *request,
                                struct routers_optical *optical, struct diag *diag)
{
    const struct build_part_row all[] = {
        {"ocs", values->ocs, BUILD_CLASS(OCS), &optical->switch_part},
        {"ocs_module", values->ocs_module, BUILD_CLASS(MODULE) | BUILD_CLASS(CPO), &optical->module},
        {"ocs_medium", values->ocs_medium, BUILD_CLASS(FIBRE), &optical->medium},
    };
    return build_parts(request, all, sizeof all / sizeof all[0], diag);
}

static enum status ocs_torus_build(const void *all_values, const struct fabric_request *request,
                                   struct fabric *fabric, struct diag *diag)
{
    const struct ocs_torus *values = all_values;
    struct routers_sizes sizes;
    struct routers_optical optical;
    struct layout layout = {.values = values, .sizes = &sizes};
    enum status status = shape_find(values, request, &sizes, diag);
    status = status == STATUS_OK ? twist_find(values, request, &sizes, layout.is_long, diag) : status;
    status = status == STATUS_OK ? optical_find(values, request, &optical, diag) : status;
    if (status != STATUS_OK) {
        return status;
    }
    layout.is_wrapped = is_whole_cubes(&sizes);
    struct routers_edge *edges = arena_array(request->arena, sizes.product * DIMENSIONS, struct routers_edge);
    bool *is_through = arena_array(request->arena, sizes.product * DIMENSIONS, bool);
    optical.is_optical = is_through;
    const struct routers_plan plan = {.hosts = (uint32_t)sizes.product,
                                      .routers = (uint32_t)sizes.product,
                                      .edges = edges,
                                      .edge_count = edges_list(&layout, edges, is_through),
                                      .optical = layout.is_wrapped ? &optical : NULL,
                                      .is_turning = !has_rings(&layout)};
    return routers_build(&values->routers, &values->server, &plan, request, fabric, diag);
}

const struct fabric_family fabric_ocs_torus = {
    .name = "ocs_torus",
    .summary = "cubes of 4x4x4 chips joined by optical switches to a regular or twisted torus (TPU v4)",
    .params = PARAM_TABLE(struct ocs_torus, rows),
    .build = ocs_torus_build,
};
