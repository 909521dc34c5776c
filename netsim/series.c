#include "netsim/series.h"

void series_init(struct series *series, const struct sim *sim, struct arena *arena)
{
    *series = (struct series){.sim = sim, .interval_ps = PS_PER_US, .next_ps = PS_PER_US - 1,
                              .port_count = sim->fabric->port_count};
    if (series->port_count > SERIES_LINKS) {
        series->next_ps = TIME_NEVER_PS;
        return;
    }
    series->bytes = arena_alloc_array(arena, SERIES_SAMPLES + 1, series->port_count * sizeof(uint64_t));
}

static uint64_t *sample_at(const struct series *series, size_t index)
{
    return series->bytes + index * series->port_count;
}

static void sample_take(struct series *series)
{
    const struct engine *engine = series->sim->engine;
    engine->class->sent_bytes(engine, sample_at(series, series->count++));
}

/* The second sample of every pair is the end of both. */
static void pairs_join(struct series *series)
{
    for (size_t i = 0; i < series->count / 2; i++) {
        const uint64_t *from = sample_at(series, 2 * i + 1);
        uint64_t *to = sample_at(series, i);
        for (uint32_t port = 0; port < series->port_count; port++) {
            to[port] = from[port];
        }
    }
    series->count /= 2;
    series->interval_ps *= 2;
}

void series_sample(struct series *series)
{
    sample_take(series);
    if (series->count == SERIES_SAMPLES) {
        pairs_join(series);
    }
    series->next_ps = (series->count + 1) * series->interval_ps - 1;
}

#define SHARE_STEPS 8192.0

/* Share of an interval in which a link sent: bytes over what it could have sent. Rounded to 2^-13, which leaves five of
 * the eight bytes of most numbers zero: the file is half as large, and written in a third of the time.
 *
 * `shares` may lie where the samples do: there are no more links than ports, so a share is never stored before the
 * counts that follow have been read. `before` is zero, a cell a link. */
static void shares_fill(const struct series *series, const uint64_t *time_ps, const uint32_t *ports, size_t links,
                        uint64_t *before, double *shares)
{
    const struct fabric *fabric = series->sim->fabric;
    for (size_t i = 0; i < series->count; i++) {
        uint64_t begin_ps = i == 0 ? 0 : time_ps[i - 1];
        double seconds = (double)(time_ps[i] - begin_ps) * 1e-12;
        for (size_t j = 0; j < links; j++) {
            uint64_t bytes = sample_at(series, i)[ports[j]];
            double bits = (double)(bytes - before[j]) * 8;
            double share = bits / (seconds * (double)fabric->rate_bps[ports[j]]);
            before[j] = bytes;
            shares[i * links + j] = (double)(uint64_t)(share * SHARE_STEPS + 0.5) * (1 / SHARE_STEPS);
        }
    }
}

enum status series_write(struct series *series, uint64_t end_ps, struct results_run *run, struct diag *diag)
{
    if (series->next_ps == TIME_NEVER_PS || end_ps == 0) {
        return STATUS_OK;
    }
    while (series->count > 0 && series->count * series->interval_ps >= end_ps) {
        series->count--; /* events after the last operation: late timers */
    }
    sample_take(series); /* what is left, up to the end */
    struct arena *scratch = arena_new("series of link use");
    uint64_t *time_ps = arena_array(scratch, series->count, uint64_t);
    uint32_t *ports = arena_array(scratch, series->port_count, uint32_t);
    size_t links = 0;
    for (uint32_t port = 0; port < series->port_count; port++) {
        if (series->sim->fabric->port_peer[port] != ID_NONE) {
            ports[links++] = port;
        }
    }
    for (size_t i = 0; i < series->count; i++) {
        time_ps[i] = i + 1 == series->count ? end_ps : (i + 1) * series->interval_ps;
    }
    double *shares = (double *)series->bytes;
    shares_fill(series, time_ps, ports, links, arena_array(scratch, links, uint64_t), shares);
    series->next_ps = TIME_NEVER_PS; /* the samples are gone */
    enum status status = results_timeseries(run, "link_utilisation", "share of the interval that ends at time_ps in which the link sends",
                                            "1", "link", time_ps, series->count, ports, links, shares, diag);
    arena_free(scratch);
    return status;
}
