/* Which instruction set the vector loops use, chosen once at start.
 *
 * A hot loop is one text, compiled once a body by files named after it (eventq_avx2.c): see eventq.h. All
 * bodies give the same results, so that the choice is about speed only; `--simd` forces one for measurements
 * and tests. */
#ifndef PHOTONET_BASE_SIMD_H
#define PHOTONET_BASE_SIMD_H

#include "photonet/status.h"

#include <stdbool.h>
#include <stdint.h>

enum simd_body {
    SIMD_SCALAR, /* plain C: any machine, and the one to count instructions with */
    SIMD_NEON,   /* 16-byte vectors: every 64-bit ARM */
    SIMD_AVX2,   /* 32-byte vectors, x86-64-v3 */
    SIMD_AVX512, /* 64-byte vectors and masks: F, BW, DQ, VL, CD */
    SIMD_BODY_COUNT,
};

const char *simd_name(enum simd_body body); /* "scalar", "neon", "avx2", "avx512" */

/* Whether this machine can run the body; the scalar one it always can. */
bool simd_is_supported(enum simd_body body);

/* The widest body that this machine can run. */
enum simd_body simd_detect(void);

/* "auto" or the name of a body; STATUS_USAGE where the name is unknown or this machine cannot run it. */
enum status simd_parse(const char *text, enum simd_body *body, struct diag *diag);

/* What a comparison of AVX-512 gives, as a number. gcc 12 likes to keep it in a mask register; where it runs out of those it stores
 * 16 bits and loads 32 or 64, the bits behind included (kmovw, then mov: seen with -fsanitize=undefined, wrong ports were
 * served). So it has to be in a general register at once. */
static inline uint32_t simd_mask_bits(uint32_t mask)
{
    __asm__("" : "+r"(mask));
    return mask;
}

#endif
