/* How long a kernel takes: the roofline of a GPU, one set of efficiency rows for all models.
 *
 *     duration = max(flops / (peak * share * 0.85), bytes / (memory rate * byte share))
 *
 * The share depends on the kind of kernel: matrix products in BF16 or FP8, or fused attention; 0.85 is
 * STEP_FRACTION.
 *
 * Scope: dense matrix kernels, attention, and kernels bound by memory, one at a time, on one GPU.
 * Not modelled: launch overhead, wave quantisation, small matrices (which reach less than the share),
 * clocks under a power cap, kernels of different kinds that overlap. Checked against: hand-computed values in
 * tests/test_generate.c; published iteration times in tests/test_published.c. */
#ifndef PHOTONET_TRACES_ROOFLINE_H
#define PHOTONET_TRACES_ROOFLINE_H

#include "photonet/status.h"

enum kernel {
    KERNEL_BF16,      /* matrix products of BF16 */
    KERNEL_FP8,       /* matrix products of FP8 */
    KERNEL_ATTENTION, /* fused attention in BF16, forward and backward together */
    KERNEL_COUNT,
};

struct gpu_row {
    const char *name; /* "h100" */
    const char *title;
    double peak_flops[KERNEL_COUNT];    /* dense, flop/s; 0: the GPU has no such thing */
    double flop_fraction[KERNEL_COUNT]; /* of the peak that large kernels of the kind reach */
    double memory_bytes_per_s;          /* of the GPU's own memory */
    double byte_fraction;               /* of the memory rate that streaming kernels reach */
    /* What a collective's ring gets out of the wires, for estimates without a fabric (ideal_step.h) only. */
    double server_bytes_per_s, network_bytes_per_s;
    const char *source; /* of peaks and memory rate */
    const char *fraction_source;
    const char *wire_source;
};

extern const struct gpu_row gpu_rows[]; /* ends with name == NULL */
extern const char *const gpu_names[];   /* the same names for a PARAM_CHOICE, NULL-terminated */

#define GPUS_PER_SERVER 8 /* of all rows: HGX and OAM boards */

/* What kernels in a step reach of the best ones measured alone: other shapes than the best, clocks that fall under
 * sustained load, gaps between launches. One number for all GPUs and models, calibrated on MegaScale's four times
 * (arXiv 2402.15627, table 2; tests/test_published.c); every other published time is a check. */
#define STEP_FRACTION 0.85

const struct gpu_row *gpu_find(const char *name); /* NULL where unknown */

/* Rounded up; 0 for no work. Both in one kernel; bytes are those read and written in the GPU's memory. */
uint64_t roofline_ps(const struct gpu_row *gpu, enum kernel kernel, double flops, double bytes);

#endif
