#include "traces/roofline.h"

#include <stddef.h>
#include <string.h>

/* The best BF16 matrix products that were measured, over the data sheet's peak. */
#define MATMUL_SOURCE                                                                                        \
    "github.com/stas00/ml-engineering, compute/accelerator, maximum achievable matmul FLOPS (BF16)"
/* H200 has H100's compute dies. Streaming kernels: rough, benchmarks of the STREAM kind report 0.85 to 0.95.
 */
#define STREAM_FRACTION 0.9

const struct gpu_row gpu_rows[] = {
    {"a100", "NVIDIA A100 SXM 80 GB", 312e12, 0.859, 2.039e12, STREAM_FRACTION,
     "NVIDIA A100 80GB data sheet (2021): 312 TFLOPS BF16, 2039 GB/s", MATMUL_SOURCE ": 267.9 of 312"},
    {"h100", "NVIDIA H100 SXM 80 GB", 989e12, 0.803, 3.35e12, STREAM_FRACTION,
     "NVIDIA H100 data sheet: 1979 TFLOPS BF16 with sparsity, half of it dense; 3.35 TB/s",
     MATMUL_SOURCE ": 794.5 of 989"},
    {"h200", "NVIDIA H200 SXM 141 GB", 989e12, 0.803, 4.8e12, STREAM_FRACTION,
     "NVIDIA H200 data sheet: 1979 TFLOPS BF16 with sparsity, half of it dense; 4.8 TB/s",
     MATMUL_SOURCE ": 794.5 of 989"},
    {"b200", "NVIDIA B200 SXM 180 GB", 2250e12, 0.776, 8.0e12, STREAM_FRACTION,
     "NVIDIA DGX B200 data sheet, an eighth of it: 72 PFLOPS FP8 (BF16 half, dense a quarter), 64 TB/s",
     MATMUL_SOURCE ": 1745 of 2250"},
    {.name = NULL},
};

const char *const gpu_names[] = {"a100", "h100", "h200", "b200", NULL};

const struct gpu_row *gpu_find(const char *name)
{
    for (const struct gpu_row *row = gpu_rows; row->name != NULL; row++) {
        if (strcmp(row->name, name) == 0) {
            return row;
        }
    }
    return NULL;
}

uint64_t roofline_ps(const struct gpu_row *gpu, double flops, double bytes)
{
    double compute_s = flops / (gpu->peak_flops * gpu->flop_fraction);
    double memory_s = bytes / (gpu->memory_bytes_per_s * gpu->byte_fraction);
    double ps = (compute_s > memory_s ? compute_s : memory_s) * 1e12;
    if (!(ps > 0.0)) {
        return 0;
    }
    if (ps >= 1e19) { /* just below the range of uint64_t: over a hundred days, a nonsensical input */
        return UINT64_C(10000000000000000000);
    }
    uint64_t whole = (uint64_t)ps;
    return (double)whole < ps ? whole + 1 : whole;
}
