/* Link use over time: bytes of every link in equal intervals, whatever the length of the run.
 *
 * Sampling starts at 1 us. When SERIES_SAMPLES intervals are full, pairs of them become one and the interval doubles, so a
 * run of any length ends with between half of SERIES_SAMPLES and all of them. A packet belongs to the interval in which it
 * starts, and what starts at the very end to the next one: so an interval ends where a window of the engine does, of which
 * then nothing needs to be counted apart (5 % of a run). An interval of a link has 32 bits: where what the fastest link sends in
 * one may not fit, all are halved when the interval doubles (400 Gbit/s: from 11 s on; shares have 13 bits). Fabrics of more
 * than SERIES_LINKS links have no series: 256 x 8192 numbers are 8 MiB. */
#ifndef PHOTONET_SERIES_H
#define PHOTONET_SERIES_H

#include "netsim/sim.h"
#include "photonet/results.h"

#define SERIES_SAMPLES 256
#define SERIES_LINKS 8192

struct series {
    const struct sim *sim;
    uint64_t interval_ps;
    uint64_t next_ps;     /* when the next sample is due; TIME_NEVER_PS: there is no series */
    size_t count;
    uint32_t port_count;
    uint32_t shift;       /* bytes are in 2^shift */
    uint32_t *bytes;      /* [SERIES_SAMPLES + 1][port_count]: sent in each interval */
    uint64_t *sum_bytes;  /* [port_count]: up to the last sample */
    uint64_t *now_bytes;  /* [port_count]: of the one that is taken */
};

void series_init(struct series *series, const struct sim *sim, struct arena *arena);
/* To be called at next_ps exactly. */
void series_sample(struct series *series);
/* Writes timeseries/link_utilisation; `end_ps` ends the last interval, which may be short. */
enum status series_write(struct series *series, uint64_t end_ps, struct results_run *run, struct diag *diag);

#endif
