/* Planners of optical circuits: demand in, circuits out.
 *
 * A planner is one function and one line in planners.def. It joins ports whose fibres end at one optical switch
 * (struct optical of the fabric) into duplex circuits; plan_apply writes them into the fabric: peers, delays through
 * the switch, and the time until which the ports are dark (settle + re-lock + control). */
#ifndef PHOTONET_PLANNER_H
#define PHOTONET_PLANNER_H

#include "photonet/fabric.h"

#include <stdbool.h>

/* Bytes between hosts in compressed rows: of source s, entries first[s] .. first[s + 1]; no entry has src = dst. */
struct demand {
    uint32_t host_count;
    const uint32_t *first; /* host_count + 1 */
    const uint32_t *dst;   /* ascending within a source */
    const uint64_t *bytes;
};

struct demand_builder;
struct demand_builder *demand_builder_new(struct arena *arena, uint32_t host_count);
void demand_add(struct demand_builder *builder, uint32_t src, uint32_t dst, uint64_t bytes); /* sums up */
const struct demand *demand_build(struct demand_builder *builder);

struct circuit {
    uint32_t port_a, port_b; /* of the fabric */
    uint32_t optical;        /* index into fabric->optical */
};

struct circuit_plan {
    const struct circuit *circuits;
    uint32_t count;
    const char *text; /* "per_job: 32 hosts x 4 ports, ring strides 1 5, 31 direct pairs ..." */
};

/* The graph that planners work on (graph.h), and a row of planners.def: it adds links to an empty graph and leaves one
 * line about them, an arena string, in `text`. A planner of a series is asked again, graph->round being 1, 2 ..., with
 * the demand that its links so far have left over; others once, or where each pair must have a circuit some time with
 * those pairs that had none. */
struct plan_graph;
struct planner {
    const char *name;
    const char *summary;
    bool is_series;
    enum status (*plan)(struct plan_graph *graph, struct arena *arena, const char **text, struct diag *diag);
};
extern const struct planner *const planners[]; /* ends with a NULL */
const struct planner *planner_find(const char *name);

/* By the planner that the fabric names. STATUS_INPUT where the demand cannot be served at all. */
enum status plan_circuits(const struct fabric *fabric, const struct demand *demand, struct arena *arena,
                          struct circuit_plan *plan, struct diag *diag);

/* At most once a fabric; routes made before are void. */
void plan_apply(struct fabric *fabric, const struct circuit_plan *plan);

#endif
