/* Circuits that are set anew for every phase of a job: planned before anything runs.
 *
 *     demand of each phase ──► planner ──► configurations of each optical switch ──► fabric with a port for every peer
 *
 * A region is one optical switch. A configuration says which of the region's pairs are joined, and by how many circuits;
 * a phase has one or several configurations that take turns. Equal configurations of different phases are one, so a job
 * whose phases need the same circuits never waits for them.
 *
 *     fibres of vertex a        ports of vertex a (schedule_apply)
 *     f0 ─┐                     a→b copy 0   line f0    configurations 0 and 2
 *     f1 ─┤ optical switch      a→b copy 1   line f1    configuration 0
 *         │                     a→c copy 0   line f0    configuration 1
 *
 * I1  In no configuration has a vertex more circuits than fibres.
 * I2  The ports of a pair are consecutive, and each has a gate; gates are closed until a controller opens them.
 * I3  Where every message needs a circuit (no other way), each pair of a phase is joined by one of its configurations.
 * I4  A pair has as many circuits in one configuration as in any other, or none: who sends knows no configurations, and
 *     would send to ports that are closed.
 * I5  All fibres of a vertex end at one node.
 *
 * A want is what a message needs: the circuit of a pair, and that for its acknowledgements where those go another way. */
#ifndef PHOTONET_SCHEDULE_H
#define PHOTONET_SCHEDULE_H

#include "netsim/circuit/planner.h"

struct schedule_phase {
    const char *name;
    const struct demand *demand; /* between hosts; phases that share one share their plan */
};

struct schedule_pair {
    uint32_t left, right; /* vertices, left < right */
    uint32_t copies;      /* circuits side by side, at most */
    uint32_t left_port, right_port; /* the first of them; set by schedule_apply */
};

struct schedule_config {
    const uint8_t *copies; /* by pair of the region */
    uint32_t circuit_count;
};

struct schedule_region {
    uint32_t optical; /* of the fabric */
    uint64_t dark_ps; /* settle + re-lock + control */
    const uint32_t *node_of; /* by vertex */
    struct schedule_pair *pairs; /* sorted by (left, right) */
    uint32_t pair_count;
    struct schedule_config *configs;
    uint32_t config_count;
    uint32_t *phase_first; /* phase_count + 1 */
    uint32_t *phase_config; /* phase_config[phase_first[p]] ..: those of phase p, in turn */
};

#define WANT_REGIONS_MAX 2
struct schedule_want {
    uint32_t phase, dst; /* host */
    uint64_t ports;      /* of the source host, as bits; 0: by its routes */
    uint32_t region_count;
    uint32_t region[WANT_REGIONS_MAX], pair[WANT_REGIONS_MAX];
    uint32_t config[WANT_REGIONS_MAX]; /* to be set where none that has the pair stands */
};

struct schedule {
    const struct fabric *fabric;
    struct schedule_region *regions;
    uint32_t region_count, phase_count;
    const uint32_t *want_first; /* host_count + 1 */
    const struct schedule_want *wants; /* of a source sorted by (phase, dst) */
    const char *text;
};

/* By the planner and the rules that the fabric names. STATUS_INPUT where pairs cannot be joined. */
enum status schedule_plan(const struct fabric *fabric, const struct schedule_phase *phases, uint32_t phase_count,
                          struct arena *arena, struct schedule **schedule, struct diag *diag);

/* Replaces the fibres of the fabric by ports with gates, and finds the wants. At most once a fabric; routes made before
 * are void. STATUS_INPUT where a host would need too many ports. */
enum status schedule_apply(struct fabric *fabric, struct schedule *schedule, const struct schedule_phase *phases,
                           struct diag *diag);

/* What a message of `phase` from src to dst needs: a number among the wants of src, ID_NONE for none. */
uint32_t schedule_want_find(const struct schedule *schedule, uint32_t src, uint32_t phase, uint32_t dst);

/* A pair of the region's, ID_NONE where it is never joined. */
uint32_t schedule_pair_find(const struct schedule_region *region, uint32_t left, uint32_t right);

static inline bool schedule_has(const struct schedule_region *region, uint32_t config, uint32_t pair)
{
    return config != ID_NONE && region->configs[config].copies[pair] > 0;
}

#endif
