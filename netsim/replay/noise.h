/* Compute that does not take the same time everywhere and always: noise on every computation, and slow ranks.
 *
 *     a computation takes  duration * slow(rank) * (1 + deviation of (seed, rank, iteration, operation))
 *
 * Scope: computations on the compute stream, which is where kernels run; timers, copies and CPU work on other
 * streams are as the trace has them. Deviations have the given standard deviation: uniform and normal ones
 * have mean 0 and no factor falls below 0; exponential ones only delay, by their mean. Every draw is keyed by
 * what it is for, and all of it is integers (millionths), so that two runs with one seed agree on any
 * machine. Not modelled: noise that several ranks share, such as a slow server; noise that lasts longer than
 * a computation. Checked against: mean, spread and bounds of the draws, and the time of a job with one slow
 * rank, in tests/test_several.c. */
#ifndef PHOTONET_REPLAY_NOISE_H
#define PHOTONET_REPLAY_NOISE_H

#include "photonet/arena.h"
#include "photonet/status.h"

#include <stdbool.h>
#include <stdint.h>

enum noise_distribution { NOISE_NONE, NOISE_UNIFORM, NOISE_NORMAL, NOISE_EXPONENTIAL };
extern const char *const noise_names[]; /* ends with NULL */

#define NOISE_ONE UINT64_C(1000000) /* factors are millionths */

struct noise {
    enum noise_distribution distribution;
    uint64_t amount_ppm; /* standard deviation */
    uint64_t seed;
    const uint64_t *slow_ppm; /* factor of every rank, NULL: all are 1 */
};

/* What a user asks for; see the rows of the section `noise` in netsim/scenario.c. */
struct noise_wish {
    uint32_t distribution;
    double amount, slow_factor;
    uint64_t seed;          /* 0: the run's */
    uint64_t slow_count;    /* drawn by the seed */
    const char *slow_ranks; /* "3,17-19", NULL or "" for none */
};
enum status noise_make(const struct noise_wish *wish, uint64_t run_seed, uint32_t rank_count,
                       struct arena *arena, struct noise *noise, struct diag *diag);

/* How long the computation takes. */
uint64_t noise_duration_ps(const struct noise *noise, uint32_t rank, uint32_t iteration, uint32_t op,
                           uint64_t duration_ps);

static inline bool noise_is_none(const struct noise *noise)
{
    return noise->distribution == NOISE_NONE && noise->slow_ppm == NULL;
}

#endif
