#include "netsim/metrics/flowstats.h"

#include <stdlib.h>
#include <xxhash.h>

void flowstats_init(struct flowstats *stats, struct arena *arena, uint64_t expected, uint64_t kept)
{
    *stats = (struct flowstats){.arena = arena};
    histogram_init(&stats->fct_ps, arena);
    histogram_init(&stats->slowdown_milli, arena);
    while (kept > 0 && expected / (stats->sample_mask + 1) > kept) {
        stats->sample_mask = stats->sample_mask * 2 + 1;
    }
    if (kept == 0) {
        stats->sample_mask = UINT64_MAX;
    }
}

static void row_keep(struct flowstats *stats, const struct flow_record *record)
{
    vec_push(stats->arena, stats->rows, stats->row_count, stats->row_capacity) = (struct result_messages){
        .source_rank = record->src_rank,
        .destination_rank = record->dst_rank,
        .bytes = record->bytes,
        .posted_ps = record->posted_ps,
        .delivered_ps = record->delivered_ps,
        .acked_ps = record->acked_ps,
        .ideal_ps = record->ideal_ps,
        .retransmissions = record->retransmissions,
        .nacks = record->nacks,
        .trimmed_packets = record->trimmed,
        .duplicates = record->duplicates,
        .reordered_packets = record->reordered,
        .reorder_distance_max = record->reorder_max,
        .reorder_distance_mean = record->reordered == 0 ? 0 : (double)record->reorder_sum / record->reordered,
    };
}

void flowstats_add(struct flowstats *stats, const struct flow_record *record)
{
    uint64_t fct_ps = record->delivered_ps - record->posted_ps;
    uint64_t identity[4] = {(uint64_t)record->src_rank << 32 | record->dst_rank, record->key[0], record->key[1],
                            record->bytes};
    uint64_t hash = XXH3_64bits(identity, sizeof identity);
    uint64_t digest = XXH3_64bits_withSeed(&record->delivered_ps, sizeof record->delivered_ps, hash);
    while (atomic_flag_test_and_set_explicit(&stats->is_locked, memory_order_acquire)) {
    }
    stats->digest += digest;
    histogram_add(&stats->fct_ps, fct_ps);
    if (record->ideal_ps > 0) {
        histogram_add(&stats->slowdown_milli, (uint64_t)((double)fct_ps * 1000 / (double)record->ideal_ps + 0.5));
    }
    if ((hash & stats->sample_mask) == 0) {
        row_keep(stats, record);
    }
    atomic_flag_clear_explicit(&stats->is_locked, memory_order_release);
}

static int compare_u64(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int row_compare(const void *a_, const void *b_)
{
    const struct result_messages *a = a_, *b = b_;
    const int orders[] = {compare_u64(a->acked_ps, b->acked_ps), compare_u64(a->source_rank, b->source_rank),
                          compare_u64(a->destination_rank, b->destination_rank),
                          compare_u64(a->posted_ps, b->posted_ps), compare_u64(a->bytes, b->bytes),
                          compare_u64(a->delivered_ps, b->delivered_ps)};
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        if (orders[i] != 0) {
            return orders[i];
        }
    }
    return 0;
}

const struct result_messages *flowstats_take(struct flowstats *stats, size_t *count)
{
    if (stats->row_count > 1) {
        qsort(stats->rows, stats->row_count, sizeof *stats->rows, row_compare);
    }
    *count = stats->row_count;
    stats->row_count = 0;
    return stats->rows;
}

uint64_t digest_rank(uint64_t digest, uint32_t rank, uint64_t end_ps, uint64_t message_ps)
{
    uint64_t words[2] = {rank, end_ps};
    return end_ps > message_ps ? digest + XXH3_64bits(words, sizeof words) : digest;
}

uint64_t digest_links(uint64_t digest, const uint64_t *link_bytes, uint32_t count)
{
    return XXH3_64bits_withSeed(link_bytes, count * sizeof *link_bytes, digest);
}
