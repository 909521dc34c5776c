/* Run-time detection of instruction sets. */
#include "netsim/base/simd.h"

#include <string.h>

static const char *const names[SIMD_BODY_COUNT] = {
    [SIMD_SCALAR] = "scalar",
    [SIMD_NEON] = "neon",
    [SIMD_AVX2] = "avx2",
    [SIMD_AVX512] = "avx512",
};

const char *simd_name(enum simd_body body)
{
    assert(body < SIMD_BODY_COUNT);
    return names[body];
}

#if defined(__x86_64__)
/* The builtins ask the operating system too: a register that it does not save counts as absent. */
static bool x86_is_supported(enum simd_body body)
{
    __builtin_cpu_init();
    if (body == SIMD_AVX2) {
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
    }
    return body == SIMD_AVX512 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("bmi2");
}
#endif

bool simd_is_supported(enum simd_body body)
{
    if (body == SIMD_SCALAR) {
        return true;
    }
#if defined(__x86_64__)
    return x86_is_supported(body);
#elif defined(__aarch64__)
    return body == SIMD_NEON; /* part of the base architecture */
#else
    return false;
#endif
}

enum simd_body simd_detect(void)
{
    enum simd_body body = SIMD_BODY_COUNT - 1;
    while (!simd_is_supported(body)) {
        body--;
    }
    return body;
}

enum status simd_parse(const char *text, enum simd_body *body, struct diag *diag)
{
    if (strcmp(text, "auto") == 0) {
        *body = simd_detect();
        return STATUS_OK;
    }
    for (enum simd_body i = 0; i < SIMD_BODY_COUNT; i++) {
        if (strcmp(text, names[i]) != 0) {
            continue;
        }
        if (!simd_is_supported(i)) {
            return diag_set(diag, STATUS_USAGE, "--simd: this machine cannot run %s; its best is %s", text,
                            simd_name(simd_detect()));
        }
        *body = i;
        return STATUS_OK;
    }
    return diag_set(diag, STATUS_USAGE, "--simd: unknown body \"%s\"; expected auto scalar neon avx2 avx512", text);
}
