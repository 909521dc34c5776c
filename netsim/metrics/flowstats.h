/* Statistics of finished messages: completion times, slowdowns, the run's digest, sampled rows.
 *
 * The digest is a sum of hashes, so that it depends on what happened and not on the order in which hosts report it; the
 * same holds for the histograms. Hosts on several threads may report at once: a spin lock is taken, once a message. Rows
 * are put in order of time when they are taken. */
#ifndef PHOTONET_FLOWSTATS_H
#define PHOTONET_FLOWSTATS_H

#include "netsim/metrics/histogram.h"
#include "photonet/results.h"

#include <stdatomic.h>

/* A finished message. */
struct flow_record {
    uint32_t src_rank, dst_rank;
    uint64_t bytes, key[2];
    uint64_t posted_ps, delivered_ps, acked_ps, ideal_ps;
    uint32_t retransmissions, nacks, trimmed, duplicates; /* struct message_fate */
    uint32_t reordered, reorder_max;
    uint64_t reorder_sum;
};

struct flowstats {
    struct arena *arena;
    struct histogram fct_ps;
    struct histogram slowdown_milli; /* slowdown times 1000 */
    uint64_t digest;
    uint64_t sample_mask; /* a message is kept where (hash & sample_mask) == 0 */
    atomic_flag is_locked;
    struct result_messages *rows; /* kept and not yet taken */
    size_t row_count, row_capacity;
};

/* `expected` messages in all, of which at most about `kept` are kept as rows. */
void flowstats_init(struct flowstats *stats, struct arena *arena, uint64_t expected, uint64_t kept);
void flowstats_add(struct flowstats *stats, const struct flow_record *record);

/* The kept rows in order of acknowledgement, then ranks, posting and size; they are the caller's until the next add. */
const struct result_messages *flowstats_take(struct flowstats *stats, size_t *count);

/* The digest with the end of a rank worked in: of one that goes on behind its last message, or nothing would tell how long.
 * In any order of ranks. */
uint64_t digest_rank(uint64_t digest, uint32_t rank, uint64_t end_ps, uint64_t message_ps);

/* The digest with the bytes of every link worked in; last. */
uint64_t digest_links(uint64_t digest, const uint64_t *link_bytes, uint32_t count);

#endif
