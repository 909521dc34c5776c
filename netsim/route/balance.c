/* The ways to balance load. Draws are keyed by (seed, message, ordinal), so no state is kept. */
#include "netsim/route/balance.h"

#include "netsim/base/rng.h"

#include <stddef.h>

static uint16_t ecmp_entropy(uint64_t seed, uint64_t identity, uint64_t ordinal, uint32_t entropies)
{
    (void)ordinal;
    (void)entropies;
    return (uint16_t)rng_draw(seed, RNG_ENTROPY ^ identity, 0);
}

static uint16_t spray_entropy(uint64_t seed, uint64_t identity, uint64_t ordinal, uint32_t entropies)
{
    (void)entropies;
    return (uint16_t)rng_draw(seed, RNG_ENTROPY ^ identity, ordinal);
}

/* All n values in turn, their order permuted by an XOR that is drawn anew each round; the bits above are the
 * message's own. Switches map the few values to fixed uplinks, unevenly, for as long as the message lasts
 * (as uet-htsim does). */
static uint16_t spray_n_entropy(uint64_t seed, uint64_t identity, uint64_t ordinal, uint32_t entropies)
{
    uint64_t mask = entropies - 1;
    uint64_t above = rng_draw(seed, RNG_ENTROPY ^ identity, UINT64_MAX);
    uint64_t order = rng_draw(seed, RNG_ENTROPY ^ identity, ordinal / entropies);
    return (uint16_t)((above & ~mask) | ((ordinal ^ order) & mask));
}

/* Recycled entropies need fresh ones to begin with. */
#define reps_entropy spray_entropy

#define BALANCE(name_, summary_, is_pinned_, is_recycled_)                                                                  \
    static const struct balance balance_##name_ = {#name_, summary_, name_##_entropy, is_pinned_, is_recycled_};
#include "netsim/route/balances.def"
#undef BALANCE

const struct balance *const balances[] = {
#define BALANCE(name_, summary_, is_pinned_, is_recycled_) &balance_##name_,
#include "netsim/route/balances.def"
#undef BALANCE
    NULL,
};

const char *const balance_names[] = {
#define BALANCE(name_, summary_, is_pinned_, is_recycled_) #name_,
#include "netsim/route/balances.def"
#undef BALANCE
    NULL,
};
