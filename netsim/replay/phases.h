/* Phases of a job: which messages belong together for those who plan circuits.
 *
 *     PHASE_JOB    all
 *     PHASE_KIND   sends and receives; calls of all groups of one kind: of one name (without its number), one size, one
 *                  distance between members
 *     PHASE_CALL   sends and receives; the n-th call of all groups of one kind */
#ifndef PHOTONET_PHASES_H
#define PHOTONET_PHASES_H

#include "netsim/replay/replay.h"
#include "photonet/fabric.h"

struct phases;
/* Messages that are none of `traffic` belong to no phase. */
struct phases *phases_new(const struct replay *replay, enum phase_kind kind, enum circuit_traffic traffic,
                          struct arena *arena);
uint32_t phases_count(const struct phases *phases);
const char *phases_name(const struct phases *phases, uint32_t phase);
/* ID_NONE: of none. */
uint32_t phases_of(const struct phases *phases, const struct message *message);

/* All messages that a rank posts in one iteration: once for every operation, peer and size, operations in canonical
 * order. */
typedef void phases_visit(void *context, uint32_t phase, uint32_t src_rank, uint32_t dst_rank, uint64_t bytes);
void phases_walk(const struct phases *phases, uint32_t rank, phases_visit *visit, void *context);

#endif
