/* Noise: see noise.h. */
#include "netsim/replay/noise.h"

#include "netsim/base/rng.h"

#include <stdlib.h>
#include <string.h>

const char *const noise_names[] = {[NOISE_NONE] = "none",
                                   [NOISE_UNIFORM] = "uniform",
                                   [NOISE_NORMAL] = "normal",
                                   [NOISE_EXPONENTIAL] = "exponential",
                                   NULL};

/* ---- who is slow ----------------------------------------------------------------------------------------
 */

static enum status list_refuse(const char *text, uint32_t rank_count, struct diag *diag)
{
    return diag_set(diag, STATUS_INPUT, "noise.slow_ranks \"%s\": expected ranks below %u, as in 3,17-19",
                    text, rank_count);
}

static bool rank_parse(const char **at, uint32_t rank_count, uint32_t *rank)
{
    char *end;
    unsigned long value = strtoul(*at, &end, 10);
    bool is_good = **at >= '0' && **at <= '9' && value < rank_count;
    *at = end;
    *rank = (uint32_t)value;
    return is_good;
}

static enum status list_mark(const char *text, uint32_t rank_count, uint64_t factor_ppm, uint64_t *slow_ppm,
                             struct diag *diag)
{
    const char *at = text;
    while (*at != '\0') {
        uint32_t first, last;
        if (!rank_parse(&at, rank_count, &first)) {
            return list_refuse(text, rank_count, diag);
        }
        last = first;
        if (*at == '-' && (at++, !rank_parse(&at, rank_count, &last) || last < first)) {
            return list_refuse(text, rank_count, diag);
        }
        for (uint32_t rank = first; rank <= last; rank++) {
            slow_ppm[rank] = factor_ppm;
        }
        if (*at == ',' && at[1] != '\0') {
            at++;
        } else if (*at != '\0') {
            return list_refuse(text, rank_count, diag);
        }
    }
    return STATUS_OK;
}

/* `count` ranks without repetition: the first places of a shuffle. */
static void some_mark(uint64_t seed, uint32_t rank_count, uint64_t count, uint64_t factor_ppm,
                      uint64_t *slow_ppm)
{
    struct arena *scratch = arena_new("slow ranks");
    uint32_t *rank = arena_array(scratch, rank_count, uint32_t);
    for (uint32_t i = 0; i < rank_count; i++) {
        rank[i] = i;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = i + rng_below(rng_draw(seed, RNG_SLOW, i), rank_count - i), chosen = rank[at];
        rank[at] = rank[i];
        slow_ppm[chosen] = factor_ppm;
    }
    arena_free(scratch);
}

static uint64_t millionths(double value)
{
    return (uint64_t)(value * (double)NOISE_ONE + 0.5);
}

enum status noise_make(const struct noise_wish *wish, uint64_t run_seed, uint32_t rank_count,
                       struct arena *arena, struct noise *noise, struct diag *diag)
{
    *noise = (struct noise){
        .distribution = wish->amount > 0 ? (enum noise_distribution)wish->distribution : NOISE_NONE,
        .amount_ppm = millionths(wish->amount),
        .seed = wish->seed > 0 ? wish->seed : run_seed,
    };
    bool has_list = wish->slow_ranks != NULL && wish->slow_ranks[0] != '\0';
    if (wish->slow_count > rank_count) {
        return diag_set(diag, STATUS_INPUT, "noise.slow_count is %llu, but there are %u ranks",
                        (unsigned long long)wish->slow_count, rank_count);
    }
    if (!has_list && wish->slow_count == 0) {
        return STATUS_OK;
    }
    uint64_t *slow_ppm = arena_array(arena, rank_count, uint64_t), factor_ppm = millionths(wish->slow_factor);
    for (uint32_t rank = 0; rank < rank_count; rank++) {
        slow_ppm[rank] = NOISE_ONE;
    }
    noise->slow_ppm = slow_ppm;
    some_mark(noise->seed, rank_count, wish->slow_count, factor_ppm, slow_ppm);
    return has_list ? list_mark(wish->slow_ranks, rank_count, factor_ppm, slow_ppm, diag) : STATUS_OK;
}

/* ---- draws ----------------------------------------------------------------------------------------------
 */

/* -ln of (word + 1) / 2^32 in millionths: the logarithm to base 2 by squaring, 24 digits, then times ln 2. */
static uint64_t minus_ln_ppm(uint32_t word)
{
    uint64_t x = (uint64_t)word + 1;
    unsigned top = 63u - (unsigned)__builtin_clzll(x);                  /* 0 to 32 */
    uint64_t mantissa = x << 31 >> top, log2_q24 = (uint64_t)top << 24; /* mantissa: 1 to 2, 31 digits */
    for (uint64_t digit = UINT64_C(1) << 23; digit > 0; digit >>= 1) {
        mantissa = mantissa * mantissa >> 31;
        if (mantissa >> 32 != 0) {
            mantissa >>= 1;
            log2_q24 |= digit;
        }
    }
    return ((UINT64_C(32) << 24) - log2_q24) * 693147 >> 24;
}

/* Of mean 0 (exponential: 1) and standard deviation 1, in millionths. */
static int64_t deviation_ppm(enum noise_distribution distribution, uint64_t seed, uint64_t stream,
                             uint64_t ordinal)
{
    uint64_t draw = rng_draw(seed, stream, ordinal);
    if (distribution == NOISE_UNIFORM) { /* from -sqrt(3) to sqrt(3) */
        return (int64_t)rng_below(draw, 2 * 1732051 + 1) - 1732051;
    }
    if (distribution == NOISE_EXPONENTIAL) {
        return (int64_t)minus_ln_ppm((uint32_t)(draw >> 32));
    }
    int64_t sum = 0; /* of twelve uniform numbers: normal but for its tails, which end at 6 */
    for (int i = 0; i < 6; i++, draw = rng_mix(draw + RNG_STEP)) {
        sum += (int64_t)(uint32_t)draw + (int64_t)(draw >> 32);
    }
    return (int64_t)((((__int128)sum - ((__int128)6 << 32)) * (int64_t)NOISE_ONE) / ((__int128)1 << 32));
}

uint64_t noise_duration_ps(const struct noise *noise, uint32_t rank, uint32_t iteration, uint32_t op,
                           uint64_t duration_ps)
{
    unsigned __int128 duration = duration_ps;
    if (noise->slow_ppm != NULL) {
        duration = duration * noise->slow_ppm[rank] / NOISE_ONE;
    }
    if (noise->distribution != NOISE_NONE) {
        __int128 deviation =
            deviation_ppm(noise->distribution, noise->seed, RNG_NOISE ^ rank, (uint64_t)iteration << 32 | op);
        __int128 factor_ppm =
            (__int128)NOISE_ONE + deviation * (__int128)noise->amount_ppm / (__int128)NOISE_ONE;
        duration = factor_ppm > 0 ? duration * (unsigned __int128)factor_ppm / NOISE_ONE : 0;
    }
    return duration < UINT64_MAX / 4 ? (uint64_t)duration : UINT64_MAX / 4;
}
