/* A trace on as many ranks as asked for. */
#ifndef PHOTONET_BASE_JOB_OPEN_H
#define PHOTONET_BASE_JOB_OPEN_H

#include "photonet/trace.h"

/* As trace_read; where the trace has another number of ranks of its own, the job is retargeted
 * (job_retarget.h). */
enum status job_open(const char *spec, uint32_t ranks, const struct trace_setting *settings,
                     size_t setting_count, struct arena *arena, const struct job **job, struct diag *diag);

#endif
