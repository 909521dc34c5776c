/* How long a step takes where nothing contends: the job's programs walked with closed forms for communication.
 *
 *     collective   8.4 us + log2(n) hops + bytes on the wire a rank / rate; the rate is the server's where all members
 *                  are in one, else that of the members' NICs in a server (at most the server's)
 *     message      a hop + bytes / rate
 *
 * Scope: an estimate without a fabric; it tells by what factor a sample's time is to be multiplied, and how a model's
 * compute times stand to published iteration times. Equal ranks are walked once: `ranks` names those that stand for
 * all, of a group's members only the named ones are waited for.
 * Not modelled: contention, routes, protocols; collectives slow no kernel down.
 * Checked against: closed forms and published times (tests/test_published.c). */
#ifndef PHOTONET_TRACES_IDEAL_STEP_H
#define PHOTONET_TRACES_IDEAL_STEP_H

#include "photonet/program.h"
#include "traces/roofline.h"

uint64_t ideal_step_ps(const struct job *job, const uint32_t *ranks, uint32_t rank_count, const struct gpu_row *gpu);

/* One collective of the job; bytes as an operation has them. */
uint64_t ideal_collective_ps(const struct job *job, const struct program *program, uint32_t op, uint32_t group,
                             const struct gpu_row *gpu);

#endif
