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

uint16_t entropy_sprayed(uint64_t seed, uint64_t identity, uint64_t ordinal)
{
    return (uint16_t)rng_draw(seed, RNG_ENTROPY ^ identity, ordinal);
}

static uint16_t spray_entropy(uint64_t seed, uint64_t identity, uint64_t ordinal, uint32_t entropies)
{
    (void)entropies;
    return entropy_sprayed(seed, identity, ordinal);
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

/* Recycled entropies need fresh ones to begin with; flowlets are numbered instead of packets. */
#define reps_entropy    spray_entropy
#define flowlet_entropy spray_entropy

/* The bits of `index` behind the point, turned round: 0, 1/2, 1/4, 3/4, ... in 256ths. */
static uint32_t inverse_of_two(uint32_t index)
{
    uint32_t bits = index & 0xff, turned = 0;
    for (uint32_t i = 0; i < 8; i++) {
        turned |= (bits >> i & 1) << (7 - i);
    }
    return turned;
}

/* The same to the base of three: 0, 1/3, 2/3, 1/9, ... */
static uint32_t inverse_of_three(uint32_t index)
{
    uint32_t numerator = 0, denominator = 1;
    for (uint32_t i = 0; i < 6; i++, index /= 3) {
        numerator = numerator * 3 + index % 3;
        denominator *= 3;
    }
    return numerator * 256 / denominator;
}

/* The sequence of Halton (1960): any run of it covers the pairs of ports of two tiers about evenly. Every message begins
 * elsewhere, or all would meet at the same switches. */
static uint16_t source_entropy(uint64_t seed, uint64_t identity, uint64_t ordinal, uint32_t entropies)
{
    (void)entropies;
    uint32_t index = (uint32_t)(rng_draw(seed, RNG_ENTROPY ^ identity, UINT64_MAX) >> 48) + (uint32_t)ordinal;
    return (uint16_t)(inverse_of_two(index) | inverse_of_three(index) << 8);
}

#define BALANCE(name_, summary_, traits_)                                                                     \
    static const struct balance balance_##name_ = {#name_, summary_, name_##_entropy, traits_};
#include "netsim/route/balances.def"
#undef BALANCE

const struct balance *const balances[] = {
#define BALANCE(name_, summary_, traits_) &balance_##name_,
#include "netsim/route/balances.def"
#undef BALANCE
    NULL,
};

const char *const balance_names[] = {
#define BALANCE(name_, summary_, traits_) #name_,
#include "netsim/route/balances.def"
#undef BALANCE
    NULL,
};
