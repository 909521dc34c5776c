/* How long a kernel takes: the roofline of a GPU.
 *
 *     duration = max(flops / (peak * flop fraction), bytes / (memory rate * byte fraction))
 *
 * Scope: dense BF16 matrix kernels and kernels bound by memory, one at a time, on one GPU.
 * Not modelled: launch overhead, wave quantisation, small matrices (which reach less than the fraction),
 * clocks under a power cap, kernels of different kinds that overlap. Checked against: hand-computed values in
 * tests/test_generate.c. */
#ifndef PHOTONET_TRACES_ROOFLINE_H
#define PHOTONET_TRACES_ROOFLINE_H

#include "photonet/status.h"

struct gpu_row {
    const char *name; /* "h100" */
    const char *title;
    double peak_flops;         /* dense BF16, flop/s */
    double flop_fraction;      /* of the peak that large matrix products reach */
    double memory_bytes_per_s; /* of the GPU's own memory */
    double byte_fraction;      /* of the memory rate that streaming kernels reach */
    const char *source;        /* of the two rates */
    const char *fraction_source;
};

extern const struct gpu_row gpu_rows[]; /* ends with name == NULL */
extern const char *const gpu_names[];   /* the same names for a PARAM_CHOICE, NULL-terminated */

const struct gpu_row *gpu_find(const char *name); /* NULL where unknown */

/* Rounded up; 0 for no work. Both in one kernel; bytes are those read and written in the GPU's memory. */
uint64_t roofline_ps(const struct gpu_row *gpu, double flops, double bytes);

#endif
