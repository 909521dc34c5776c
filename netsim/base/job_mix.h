/* Several jobs as one: see struct job_part. */
#ifndef PHOTONET_BASE_JOB_MIX_H
#define PHOTONET_BASE_JOB_MIX_H

#include "photonet/program.h"

/* The jobs side by side, in this order; parts[i] says what is known of job i but its ranks and groups.
 * Programs are borrowed from the jobs. */
const struct job *job_mix(struct arena *arena, const struct job *const *jobs, const struct job_part *parts,
                          uint32_t count);

#endif
