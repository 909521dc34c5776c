/* Links, switches and transmitters that fail during a run, or are degraded, and are repaired or replaced; routes that
 * follow.
 *
 *     link up ────────────┐ fails                  ┌─ repaired ─────────
 *                         └────────────────────────┘
 *     routes      old ─────────────┐ without it          old ────────────
 *                         ◄ reaction ►             ◄ reaction ►
 *
 * Between a failure and the reaction packets run into the dead link and wait or are lost; then what waits there is dropped,
 * and the ends send it again. A change of routes that gives what routes were before shares their tables. A degraded link
 * keeps its routes. A circuit that has a spare is back when the failure has been noticed and the optical switch has
 * settled, locked and been told.
 *
 * Scope: failures at given times (failures.list) and at drawn ones; all directions of what fails at once. One spare replaces
 * a link over optics or a transmitter with all its circuits, the first that fail having them.
 * Not modelled: hosts that fail (a host whose links are all dead is cut off); routes that differ
 * from switch to switch while they change.
 * Checked against: counts and times by hand, every byte delivered once (tests/test_failures.c). */
#ifndef PHOTONET_FAILURES_H
#define PHOTONET_FAILURES_H

#include "netsim/engine/engine.h"
#include "photonet/param.h"

struct scenario_failures {
    uint64_t links, switches; /* drawn */
    uint64_t rate_bps, spares;
    uint64_t first_ps, spread_ps, repair_ps, reaction_ps;
    const char *list;
};
extern const struct param failure_rows[];
#define FAILURE_ROW_COUNT 9

struct failures {
    struct link_change *changes;
    size_t change_count;
    struct route_epochs *epochs; /* NULL where routes do not react in time to matter */
    uint32_t element_count;      /* links, switches and lines that fail, repeated failures counted */
    uint32_t spares_used;
};

/* Nothing fails: all zero. Routes are made from the fabric without what is dead, one table for equal states. */
enum status failures_make(const struct scenario_failures *scenario, const struct fabric *fabric,
                          const struct routes *routes, uint64_t seed, struct arena *arena, struct failures *failures,
                          struct diag *diag);

/* The least rate to which a link is degraded; 0: none is. */
uint64_t failures_slowest_bps(const struct failures *failures);

#endif
