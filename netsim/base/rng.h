/* Random numbers without state: a draw is a function of (seed, stream, ordinal).
 *
 * Whoever draws names itself (a link, a flow) as the stream and counts its own draws, so that no result
 * depends on the order in which the parts of a simulation run, nor on how many threads they run on.
 *
 * Each word is folded in through the 64-bit finaliser of Stafford ("Mix13"), the one SplitMix64 uses
 * (Steele, Lea, Flood, OOPSLA 2014): for a fixed (seed, stream) the draws are a SplitMix64 sequence, which
 * passes BigCrush. The functions are inline because routing draws one number per packet and hop, and
 * because the compiler then hoists the folding of seed and stream out of loops. */
#ifndef PHOTONET_BASE_RNG_H
#define PHOTONET_BASE_RNG_H

#include <stdint.h>

/* 2^64 divided by the golden ratio, made odd; the increment of SplitMix64. */
#define RNG_STEP UINT64_C(0x9e3779b97f4a7c15)

static inline uint64_t rng_mix(uint64_t word)
{
    word = (word ^ (word >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ (word >> 27)) * UINT64_C(0x94d049bb133111eb);
    return word ^ (word >> 31);
}

static inline uint64_t rng_draw(uint64_t seed, uint64_t stream, uint64_t ordinal)
{
    uint64_t state = rng_mix(seed + RNG_STEP);
    state = rng_mix(state ^ (stream + RNG_STEP));
    return rng_mix(state + (ordinal + 1) * RNG_STEP);
}

/* Streams in use, each far from the others' (stream ^ identity) values; add here, never reuse. */
#define RNG_SWITCH_SALT (UINT64_C(1) << 60) /* ordinal: node */
#define RNG_ENTROPY (UINT64_C(2) << 60)     /* ^ message identity; ordinal: packet */
#define RNG_HOST_PORT (UINT64_C(3) << 60)   /* ordinal: message identity */
#define RNG_MARK (UINT64_C(4) << 60)        /* ^ port; ordinal: packet on that port */
#define RNG_TRIM (UINT64_C(5) << 60)        /* ^ port; ordinal: packet on that port */
#define RNG_LOAD (UINT64_C(6) << 60)        /* ^ port; ordinal: packets that have started on that port */
#define RNG_NOISE (UINT64_C(7) << 60)       /* ^ rank; ordinal: iteration and operation */
#define RNG_SLOW (UINT64_C(8) << 60)        /* ordinal: slow ranks chosen so far */
#define RNG_FAILURE (UINT64_C(10) << 60)    /* ^ kind; ordinal: what fails, when */
#define RNG_ERROR (UINT64_C(11) << 60)      /* ^ port; ordinal: packets that have started on that port, and the try */
#define RNG_WAKE (UINT64_C(12) << 60)       /* ^ message identity; ordinal: packets sent */
#define RNG_PLACE (UINT64_C(9) << 60)       /* ^ job; ordinal: hosts chosen so far */

/* 0 .. bound - 1 by multiply and shift (Lemire 2019); no value is favoured by more than bound / 2^64. */
static inline uint32_t rng_below(uint64_t draw, uint32_t bound)
{
    return (uint32_t)(((unsigned __int128)draw * bound) >> 64);
}

/* [0, 1), a multiple of 2^-53. */
static inline double rng_unit(uint64_t draw)
{
    return (double)(draw >> 11) * 0x1p-53;
}

#endif
