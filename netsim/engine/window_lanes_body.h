/* Vectors of SWITCH_LANES 32-bit lanes, and what is done with whole ones: comparisons to bits, sums, masks that hide a choice
 * from the compiler. Part of window_switch_body.h. */
#include "netsim/engine/window_class.h"

#include <string.h>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))

enum {
    LANES = SWITCH_LANES,
    GROUP = LANES / 2, /* packets that are routed at once: 64-bit lanes */
    VECTORS_MAX = BATCH_PACKETS / LANES,
    BASE_PS_MAX = 1 << 29,
};
typedef int32_t lanes __attribute__((vector_size(LANES * 4)));
typedef int32_t lanes_loose __attribute__((vector_size(LANES * 4), aligned(4)));
typedef uint64_t words __attribute__((vector_size(LANES * 4)));
typedef uint64_t words_loose __attribute__((vector_size(LANES * 4), aligned(8)));
typedef int32_t half_loose __attribute__((vector_size(LANES * 2), aligned(4)));
typedef int32_t half __attribute__((vector_size(LANES * 2)));

/* ---- lanes ------------------------------------------------------------------------------------------------ */

INLINE lanes splat(int32_t value)
{
    return value - (lanes){0};
}

INLINE words splat_word(uint64_t value)
{
    return value - (words){0};
}

INLINE lanes pick(lanes mask, lanes yes, lanes no)
{
    return (mask & yes) | (~mask & no);
}

INLINE lanes max_lanes(lanes a, lanes b)
{
#if SWITCH_LANES == 16
    return (lanes)_mm512_max_epi32((__m512i)a, (__m512i)b);
#elif SWITCH_LANES == 8
    return (lanes)_mm256_max_epi32((__m256i)a, (__m256i)b);
#else
    return pick(a > b, a, b);
#endif
}

INLINE lanes min_lanes(lanes a, lanes b)
{
#if SWITCH_LANES == 16
    return (lanes)_mm512_min_epi32((__m512i)a, (__m512i)b);
#elif SWITCH_LANES == 8
    return (lanes)_mm256_min_epi32((__m256i)a, (__m256i)b);
#else
    return pick(a < b, a, b);
#endif
}

/* A bit per lane whose comparison a < b holds. */
INLINE uint32_t bits_less(lanes a, lanes b)
{
#if SWITCH_LANES == 16
    return simd_mask_bits(_mm512_cmplt_epi32_mask((__m512i)a, (__m512i)b));
#elif SWITCH_LANES == 8
    return (uint32_t)_mm256_movemask_ps((__m256)(a < b));
#else
    uint32_t bits = 0;
    for (uint32_t i = 0; i < LANES; i++) {
        bits |= (uint32_t)(a[i] < b[i]) << i;
    }
    return bits;
#endif
}

INLINE int32_t sum_lanes(lanes a)
{
#if SWITCH_LANES == 16
    return _mm512_reduce_add_epi32((__m512i)a);
#else
    int32_t sum = 0;
    for (uint32_t i = 0; i < LANES; i++) {
        sum += a[i];
    }
    return sum;
#endif
}

/* All bits where it holds. The compiler must not see what it is made of: of a choice that nobody can predict it would make a
 * branch again. */
INLINE uint64_t all_if(bool holds)
{
    uint64_t mask = -(uint64_t)holds;
    __asm__("" : "+r"(mask));
    return mask;
}
