/* `photonet bench engine`: the packet core on a full permutation, and its yardsticks. */
#ifndef PHOTONET_BENCH_ENGINE_H
#define PHOTONET_BENCH_ENGINE_H

#include "photonet/status.h"

#include <stdio.h>

struct bench_engine_options {
    uint32_t radix;        /* of the three-tier tree: 16 for 1024 hosts, 32 for 8192 */
    uint32_t flows;        /* active ones; 0: a flow from every host */
    uint32_t flow_packets; /* of 4 KiB */
    uint32_t thread_count;
    const char *simd;      /* NULL: the widest body of this machine */
    const char *engine;    /* "window" or "plain" */
    uint32_t repeats;      /* the median is reported */
    int is_endpoint;       /* with the real endpoints instead of a minimal host */
};

/* Prints one JSON object per line. */
enum status bench_engine(const struct bench_engine_options *options, FILE *stream, struct diag *diag);

#endif
