#include "netsim/series.h"

void series_init(struct series *series, const struct sim *sim, struct arena *arena)
{
    *series = (struct series){.sim = sim, .interval_ps = PS_PER_US, .next_ps = PS_PER_US - 1,
                              .port_count = sim->fabric->port_count};
    if (series->port_count > SERIES_LINKS) {
        series->next_ps = TIME_NEVER_PS;
        return;
    }
    series->bytes = arena_alloc_array(arena, SERIES_SAMPLES + 1, series->port_count * sizeof(uint32_t));
    series->sum_bytes = arena_array(arena, series->port_count, uint64_t);
    series->now_bytes = arena_array(arena, series->port_count, uint64_t);
}

static uint32_t *sample_at(const struct series *series, size_t index)
{
    return series->bytes + index * series->port_count;
}

static void sample_take(struct series *series)
{
    const struct engine *engine = series->sim->engine;
    const uint64_t *now_bytes = series->now_bytes;
    uint32_t *sample = sample_at(series, series->count++);
    engine->class->sent_bytes(engine, series->now_bytes);
    for (uint32_t port = 0; port < series->port_count; port++) {
        sample[port] = (uint32_t)((now_bytes[port] - series->sum_bytes[port]) >> series->shift);
    }
    uint64_t *spare = series->sum_bytes;
    series->sum_bytes = series->now_bytes;
    series->now_bytes = spare;
}

/* The last sample was not taken. */
static void sample_drop(struct series *series)
{
    const uint32_t *sample = sample_at(series, --series->count);
    for (uint32_t port = 0; port < series->port_count; port++) {
        series->sum_bytes[port] -= (uint64_t)sample[port] << series->shift;
    }
}

static uint64_t interval_bytes_max(const struct series *series)
{
    const struct fabric *fabric = series->sim->fabric;
    uint64_t rate_bps = 0;
    for (uint32_t port = 0; port < series->port_count; port++) {
        rate_bps = fabric->rate_bps[port] > rate_bps ? fabric->rate_bps[port] : rate_bps;
    }
    return line_bytes(series->interval_ps, rate_bps);
}

static void pairs_join(struct series *series)
{
    series->interval_ps *= 2;
    uint32_t more = interval_bytes_max(series) >> series->shift > UINT32_MAX / 2; /* the other half is for packets that reach over */
    for (size_t i = 0; i < series->count / 2; i++) {
        const uint32_t *first = sample_at(series, 2 * i), *second = sample_at(series, 2 * i + 1);
        uint32_t *to = sample_at(series, i);
        for (uint32_t port = 0; port < series->port_count; port++) {
            to[port] = (uint32_t)(((uint64_t)first[port] + second[port]) >> more);
        }
    }
    series->shift += more;
    series->count /= 2;
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

struct series_link {
    uint32_t port;
    double s_per_byte;
};

/* Share of an interval in which a link sent: bytes over what it could have sent. Rounded to 2^-13, which leaves one of
 * the four bytes zero and a quarter of another: the file is half as large, and written in a third of the time.
 *
 * `shares` may lie where the samples do: there are no more links than ports, so a share is never stored before the
 * counts that follow have been read. */
static void shares_fill(const struct series *series, const uint64_t *time_ps, const struct series_link *links, size_t link_count,
                        float *shares)
{
    for (size_t i = 0; i < series->count; i++) {
        const uint32_t *sample = sample_at(series, i);
        double steps_per_s = SHARE_STEPS / ((double)(time_ps[i] - (i == 0 ? 0 : time_ps[i - 1])) * 1e-12);
        for (size_t j = 0; j < link_count; j++) {
            uint64_t bytes = (uint64_t)sample[links[j].port] << series->shift;
            double steps = (double)(int64_t)bytes * links[j].s_per_byte * steps_per_s;
            shares[i * link_count + j] = (float)(int64_t)(steps + 0.5) * (float)(1 / SHARE_STEPS);
        }
    }
}

enum status series_write(struct series *series, uint64_t end_ps, struct results_run *run, struct diag *diag)
{
    if (series->next_ps == TIME_NEVER_PS || end_ps == 0) {
        return STATUS_OK;
    }
    while (series->count > 0 && series->count * series->interval_ps >= end_ps) {
        sample_drop(series); /* events after the last operation: late timers */
    }
    sample_take(series); /* what is left, up to the end */
    struct arena *scratch = arena_new("series of link use");
    uint64_t *time_ps = arena_array(scratch, series->count, uint64_t);
    uint32_t *ports = arena_array(scratch, series->port_count, uint32_t);
    struct series_link *links = arena_array(scratch, series->port_count, struct series_link);
    size_t link_count = 0;
    for (uint32_t port = 0; port < series->port_count; port++) {
        if (series->sim->fabric->port_peer[port] != ID_NONE) {
            ports[link_count] = port;
            links[link_count++] = (struct series_link){port, 8 / (double)series->sim->fabric->rate_bps[port]};
        }
    }
    for (size_t i = 0; i < series->count; i++) {
        time_ps[i] = i + 1 == series->count ? end_ps : (i + 1) * series->interval_ps;
    }
    float *shares = (float *)series->bytes;
    shares_fill(series, time_ps, links, link_count, shares);
    series->next_ps = TIME_NEVER_PS; /* the samples are gone */
    enum status status = results_timeseries(run, "link_utilisation", "share of the interval that ends at time_ps in which the link sends",
                                            "1", "link", time_ps, series->count, ports, link_count, shares, diag);
    arena_free(scratch);
    return status;
}
