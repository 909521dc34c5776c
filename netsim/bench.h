/* Measurements of the parts whose speed the product promises, each beside its yardsticks measured in the same run.
 *
 * A benchmark returns rows, all with the same columns; `photonet bench` prints them as a table or as JSON under
 * the machine, compiler and commit. Times of one thread are its CPU time, so that a busy machine disturbs less;
 * what remains is told by ns_..._min beside the median. Trust ratios within one run. */
#ifndef PHOTONET_BENCH_H
#define PHOTONET_BENCH_H

#include "netsim/base/simd.h"
#include "photonet/status.h"

#include <jansson.h>
#include <time.h>

struct bench_request {
    uint32_t round_count;   /* medians are of so many */
    bool is_simd_given;     /* measure one body only, else every one that this machine has */
    enum simd_body simd;
    uint64_t pending;       /* queue: one size only, 0 = 10^3 to 10^6 */
    uint32_t radix;         /* engine: trees of this radix only, 0 = 16 and 32 */
    const char *trace;      /* read: this trace only (SPEC), NULL for those that the benchmark writes */
    uint32_t ranks;         /* read: of that trace, 0 = as it says */
    struct diag *diag;      /* read: says why, where it could not */
};

/* Hold model of the event queue and of other pending-event sets, and a memory-latency probe. */
json_t *bench_queue(const struct bench_request *request);

/* The packet core on permutations of 2 MB flows over a three-tier tree (400G, 500 ns links, 4 KiB packets, a 64 B ACK per
 * packet, sprayed), one of them over servers of eight hosts behind links of 20 to 50 ns, the reference engine on the same
 * where it is linked, and a memory-latency probe. A hop is one packet over one link; hops
 * of ACKs are counted in ns_per_hop, not in ns_per_data_hop. Times of several threads are wall clock. bytes_per_packet is all
 * memory that the engine has taken for packets, slack and what stands empty included, over the most packets in flight. */
json_t *bench_engine(const struct bench_request *request);

/* Traces, written by every writer into a temporary folder and read back: megabytes (10^6) of the files per second of CPU
 * time, and the most memory that reading took, in bytes per byte of the files; the plain bytes, hashed, beside. */
json_t *bench_read(const struct bench_request *request);

static inline double bench_thread_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Sorts the samples; the upper one of the two middle ones where their number is even. */
double bench_median(double *samples, uint32_t count);

#endif
