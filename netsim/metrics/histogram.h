/* A log-linear histogram of times: 2^10 buckets per power of two, so a percentile is right to 0.1 %, at any range,
 * in a fixed 440 KiB; exact smallest and largest values beside it.
 *
 *     value < 1024: bucket = value (exact);  else: exponent e = position of the top bit - 10, bucket = e * 1024 + top bits */
#ifndef PHOTONET_HISTOGRAM_H
#define PHOTONET_HISTOGRAM_H

#include "photonet/arena.h"

#define HISTOGRAM_SUB_BITS 10
#define HISTOGRAM_BUCKETS ((64 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

struct histogram {
    uint64_t *counts; /* HISTOGRAM_BUCKETS */
    uint64_t count, min, max;
};

void histogram_init(struct histogram *histogram, struct arena *arena);
void histogram_add(struct histogram *histogram, uint64_t value);

/* The value below or at which `share` of all values lie (0 < share <= 1): value number ceil(share * count) in
 * order, 0 where there are none. */
uint64_t histogram_percentile(const struct histogram *histogram, double share);

/* Smallest value of a bucket. */
uint64_t histogram_edge(uint32_t bucket);

/* Buckets that are not empty, coarsened to 2^3 per power of two for the result file; returns how many. edges and counts
 * must hold HISTOGRAM_COARSE entries; edges are lower edges. */
#define HISTOGRAM_COARSE (62 * 8)
uint32_t histogram_coarse(const struct histogram *histogram, uint64_t *edges, uint64_t *counts);

#endif
