#include "netsim/metrics/histogram.h"

#include <math.h>

#define SUB (UINT64_C(1) << HISTOGRAM_SUB_BITS)

static uint32_t bucket_of(uint64_t value)
{
    if (value < SUB) {
        return (uint32_t)value;
    }
    uint32_t exponent = 63u - (uint32_t)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
    return (uint32_t)((exponent + 1) * SUB + (value >> exponent) - SUB);
}

uint64_t histogram_edge(uint32_t bucket)
{
    if (bucket < SUB) {
        return bucket;
    }
    uint64_t exponent = bucket / SUB - 1;
    return (bucket % SUB + SUB) << exponent;
}

void histogram_init(struct histogram *histogram, struct arena *arena)
{
    *histogram = (struct histogram){.min = UINT64_MAX};
    histogram->counts = arena_array(arena, HISTOGRAM_BUCKETS, uint64_t);
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->counts[bucket_of(value)]++;
    histogram->count++;
    histogram->min = value < histogram->min ? value : histogram->min;
    histogram->max = value > histogram->max ? value : histogram->max;
}

uint64_t histogram_percentile(const struct histogram *histogram, double share)
{
    uint64_t rank = (uint64_t)ceil(share * (double)histogram->count), seen = 0;
    for (uint32_t bucket = 0; bucket < HISTOGRAM_BUCKETS && histogram->count > 0; bucket++) {
        seen += histogram->counts[bucket];
        if (seen >= rank && seen > 0) {
            uint64_t middle = histogram_edge(bucket) + (histogram_edge(bucket + 1) - histogram_edge(bucket)) / 2;
            middle = middle < histogram->min ? histogram->min : middle;
            return middle > histogram->max ? histogram->max : middle;
        }
    }
    return 0;
}

uint32_t histogram_coarse(const struct histogram *histogram, uint64_t *edges, uint64_t *counts)
{
    uint32_t used = 0;
    for (uint32_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        if (histogram->counts[bucket] == 0) {
            continue;
        }
        uint64_t edge = histogram_edge(bucket);
        uint32_t shift = edge < 8 ? 0 : 63u - (uint32_t)__builtin_clzll(edge) - 3;
        edge = edge >> shift << shift;
        if (used == 0 || edges[used - 1] != edge) {
            edges[used] = edge;
            counts[used++] = 0;
        }
        counts[used - 1] += histogram->counts[bucket];
    }
    return used;
}
