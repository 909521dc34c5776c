#include "traces/roofline.h"

#include <stddef.h>
#include <string.h>

/* The best matrix products that were measured, over the data sheet's peak. */
#define MATMUL_SOURCE                                                                                        \
    "matrix products: github.com/stas00/ml-engineering, compute/accelerator, maximum achievable matmul FLOPS"
/* Streaming kernels: rough, benchmarks of the STREAM kind report 0.85 to 0.95. */
#define STREAM_FRACTION 0.9

#define H100_PEAKS {989e12, 1979e12, 989e12}
/* Attention: FlashAttention-3 (arXiv 2407.08608, figures 5 and 6), head dimension 128, causal, 8k to 16k: about 640
 * TFLOPS forward and 520 backward, of which 2/7 and 5/7 of the work. */
#define H100_FRACTIONS {0.803, 0.709, 0.55}
#define H100_FRACTION_SOURCE                                                                                 \
    MATMUL_SOURCE ": 794.5 of 989 (BF16), 1402.6 of 1979 (FP8); attention: FlashAttention-3, arXiv "         \
                  "2407.08608, figures 5 and 6, about 550 of 989"
#define H100_WIRES                                                                                           \
    "NCCL's model of NVLink 4: 18 links of 20.6 GB/s in a ring; 46 to 48 GB/s of a 400G NIC "                 \
    "(github.com/NVIDIA/nccl-tests issue 290)"

const struct gpu_row gpu_rows[] = {
    {"a100", "NVIDIA A100 SXM 80 GB", {312e12, 0, 312e12}, {0.859, 0, 0.61}, 2.039e12, STREAM_FRACTION,
     240e9, 22.7e9, "NVIDIA A100 80GB data sheet (2021): 312 TFLOPS BF16, 2039 GB/s",
     MATMUL_SOURCE ": 267.9 of 312 (BF16); attention: FlashAttention-2, arXiv 2307.08691, figures 4 to 6, "
                   "head dimension 128, causal, about 190 of 312",
     "NCCL's model of NVLink 3: 12 links of 20 GB/s in a ring; 91 GB/s over four 200G NICs "
     "(github.com/NVIDIA/nccl-tests issue 100)"},
    {"h100", "NVIDIA H100 SXM 80 GB", H100_PEAKS, H100_FRACTIONS, 3.35e12, STREAM_FRACTION, 370e9, 47e9,
     "NVIDIA H100 data sheet: 1979 TFLOPS BF16, 3958 FP8 with sparsity, half of it dense; 3.35 TB/s",
     H100_FRACTION_SOURCE, H100_WIRES},
    {"h800", "NVIDIA H800 SXM 80 GB", H100_PEAKS, H100_FRACTIONS, 3.35e12, STREAM_FRACTION, 160e9, 47e9,
     "H100's compute and memory; NVLink cut to 400 GB/s both ways (DeepSeek-V3, arXiv 2412.19437, section 3.1; "
     "ISCA 2025)",
     H100_FRACTION_SOURCE,
     "160 GB/s of NVLink, 40 to 50 GB/s of a 400G NIC: arXiv 2412.19437 section 3.2.2 and DeepSeek's ISCA 2025 "
     "paper"},
    {"h200", "NVIDIA H200 SXM 141 GB", H100_PEAKS, H100_FRACTIONS, 4.8e12, STREAM_FRACTION, 370e9, 47e9,
     "NVIDIA H200 data sheet: 1979 TFLOPS BF16, 3958 FP8 with sparsity, half of it dense; 4.8 TB/s",
     H100_FRACTION_SOURCE " (H200 has H100's compute dies)", H100_WIRES},
    {"b200", "NVIDIA B200 SXM 180 GB", {2250e12, 4500e12, 2250e12}, {0.776, 0.7, 0.6}, 8.0e12, STREAM_FRACTION,
     721e9, 47e9,
     "NVIDIA DGX B200 data sheet, an eighth of it: 72 PFLOPS FP8 with sparsity (dense half, BF16 a quarter), 64 "
     "TB/s",
     MATMUL_SOURCE ": 1745 of 2250 (BF16); FP8 and attention rough, as H100's",
     "NCCL's model of NVLink 5: 18 links of 40.1 GB/s in a ring; a 400G NIC as H100's"},
    {"mi300x", "AMD Instinct MI300X 192 GB", {1307.4e12, 2614.9e12, 1307.4e12}, {0.541, 0.487, 0.35}, 5.3e12,
     0.81, 310e9, 47e9,
     "AMD Instinct MI300X data sheet (2023): 1307.4 TFLOPS BF16, 2614.9 FP8, 5.3 TB/s",
     "AMD, Measuring Max-Achievable FLOPs part 2 (rocm.blogs.amd.com, 2025): 708 (BF16) and 1273 (FP8); "
     "attention rough; streaming 4.3 of 5.3 TB/s (rough, BabelStream reports)",
     "seven links of 64 GB/s, of which RCCL's rings get about 310 GB/s (rough); a 400G NIC as H100's"},
    {.name = NULL},
};

const char *const gpu_names[] = {"a100", "h100", "h800", "h200", "b200", "mi300x", NULL};

const struct gpu_row *gpu_find(const char *name)
{
    for (const struct gpu_row *row = gpu_rows; row->name != NULL; row++) {
        if (strcmp(row->name, name) == 0) {
            return row;
        }
    }
    return NULL;
}

uint64_t roofline_ps(const struct gpu_row *gpu, enum kernel kernel, double flops, double bytes)
{
    double compute_s = flops > 0.0 ? flops / (gpu->peak_flops[kernel] * gpu->flop_fraction[kernel] * STEP_FRACTION) : 0.0;
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
