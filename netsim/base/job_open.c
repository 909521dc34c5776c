#include "netsim/base/job_open.h"

#include "netsim/base/job_retarget.h"

/* Readers know whether their traces leave the number of ranks open, and take it; those that have one of their
 * own refuse another. Then the trace is read as it is. Where that is no better, the first reason stands. */
enum status job_open(const char *spec, uint32_t ranks, const struct trace_setting *settings,
                     size_t setting_count, struct arena *arena, const struct job **job, struct diag *diag)
{
    enum status status = trace_read(spec, ranks, settings, setting_count, arena, job, diag);
    if (status != STATUS_INPUT || ranks == 0) {
        return status;
    }
    const struct job *whole;
    struct diag again = {""};
    if (trace_read(spec, 0, settings, setting_count, arena, &whole, &again) != STATUS_OK ||
        whole->rank_count == ranks) {
        return status;
    }
    diag->text[0] = '\0';
    return job_retarget(whole, ranks, arena, job, diag);
}
