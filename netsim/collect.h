/* From counters to rows of the result file. */
#ifndef PHOTONET_COLLECT_H
#define PHOTONET_COLLECT_H

#include "netsim/sim.h"
#include "photonet/results.h"

/* Rows of what has ended since the last call: messages and collectives. */
struct collect_cursor {
    uint8_t *is_written; /* per call */
};
enum status collect_progress(struct sim *sim, struct collect_cursor *cursor, struct results_run *run,
                             struct diag *diag);

/* The summary; needs no file. */
void collect_summary(struct sim *sim, uint32_t iterations, struct arena *arena, struct result_summary *summary);

/* All other tables, at the end of a run. */
enum status collect_tables(struct sim *sim, const struct result_summary *summary, struct results_run *run,
                           struct diag *diag);

#endif
