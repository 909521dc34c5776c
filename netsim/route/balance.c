/* The ways to balance load. Draws are keyed by (seed, message, ordinal), so no state is kept. */
#include "netsim/route/balance.h"

#include "netsim/base/rng.h"

#include <stddef.h>

static uint16_t ecmp_entropy(uint64_t seed, uint64_t identity, uint64_t ordinal)
{
    (void)ordinal;
    return (uint16_t)rng_draw(seed, RNG_ENTROPY ^ identity, 0);
}

static uint16_t spray_entropy(uint64_t seed, uint64_t identity, uint64_t ordinal)
{
    return (uint16_t)rng_draw(seed, RNG_ENTROPY ^ identity, ordinal);
}

#define BALANCE(name_, summary_, is_pinned_)                                                                  \
    static const struct balance balance_##name_ = {#name_, summary_, name_##_entropy, is_pinned_};
#include "netsim/route/balances.def"
#undef BALANCE

const struct balance *const balances[] = {
#define BALANCE(name_, summary_, is_pinned_) &balance_##name_,
#include "netsim/route/balances.def"
#undef BALANCE
    NULL,
};

const char *const balance_names[] = {
#define BALANCE(name_, summary_, is_pinned_) #name_,
#include "netsim/route/balances.def"
#undef BALANCE
    NULL,
};
