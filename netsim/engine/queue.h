/* What an output queue does beyond FIFO: classes, marking, trimming, pauses, credits, shared buffers, adaptive choice.
 *
 *   arrival ─► choose port ─► fits? ──no──► drop, or cut down to a header in the trim class
 *              (hash, or       │ yes
 *               least backlog) ▼
 *                        class queues ─► strict priority, then deficit round robin ─► link
 *                        mark at enqueue      a class that is paused or without        mark at dequeue
 *                        pause upstream       credit is passed over                    resume, return credit
 *
 * A profile holds for all ports of all switches, or of all hosts (whose queues hold packets in transit only: what a
 * host sends itself is pulled, not queued). Byte counts of a class include the packet in service.
 *
 * Least backlog by the byte locks flows to ports: on a permutation of a tree without oversubscription each input comes at
 * line rate, so when its next packet arrives, the port that its last one took is just free, and the others are not. 52 % of
 * the packets take the port of the one before (25 % blindly, four ports). Uplinks never wait, and flows that meet further
 * down meet for long. Round robin among equals is worse (84 us in the first row). Switches compare in coarse grades (Junos:
 * 8 bands of quality), or two random ports (DRILL, SIGCOMM 2017). Iteration of a permutation, mean of seeds 1 to 3, us:
 *
 *                           spray   by the byte   4 KiB   16 KiB   64 KiB   two random ports, by the byte
 *     fat-tree-128, 2 MB     60.9          67.6    66.0     59.8     60.7   59.2
 *     fat-tree-128, 8 MB    204.1         225.7   219.8    200.5    203.9   199.0
 *     fat-tree-1024, 2 MB    61.9          69.6    64.6     61.1     61.8   60.4
 *     htsim-128, 2 MB        61.5          62.8    60.8     60.1     61.3   59.5
 *
 * With ecmp, where equals go by the flow, finer is better (first row: 116 by the byte, 144 by 16 KiB, 218 blindly).
 *
 * Where a rule needs chance, the draw is keyed by (seed, port, number of the packet on that port), so it depends on
 * nothing else. */
#ifndef PHOTONET_QUEUE_H
#define PHOTONET_QUEUE_H

#include "netsim/route/lane.h"
#include "photonet/units.h"

#include <stdbool.h>
#include <stdint.h>

#define CLASSES_MAX 8

enum mark_point { MARK_NEVER, MARK_ENQUEUE, MARK_DEQUEUE };

/* What happens to a packet that does not fit. */
enum full_rule {
    FULL_DROP,
    FULL_TRIM,         /* the arriving packet is cut to a header, which goes to the trim class */
    FULL_TRIM_EITHER,  /* by chance half and half the arriving packet, or the newest one of the queue, whose place the
                          arriving one then takes (htsim's composite queue) */
};

struct queue_class {
    uint32_t priority;        /* 0 first, strictly */
    uint64_t quantum_bytes;   /* share among classes of equal priority (deficit round robin, Shreedhar 1995); >= 1 */
    uint64_t capacity_bytes;  /* 0: the port's queue_bytes of the fabric */
    enum full_rule full;
    uint32_t trim_class;
    enum mark_point mark;     /* ECN: never below low, always above high, linear between; data packets only */
    uint64_t mark_low_bytes, mark_high_bytes;
    /* PFC (IEEE 802.1Qbb): pause the upstream port when more than xoff bytes of this class that came in by one port
     * have not left, resume at xon; xoff 0: never. The frame takes one link delay. Hosts obey; those that pass packets on
     * (queue_may_pause) send it too, for what is not for themselves. */
    uint64_t xoff_bytes, xon_bytes;
    /* > 0: what an input port may hold of this class. Its xoff is what is left without the headroom of its own link
     * (queue_headroom_bytes), its xon as much lower as xon_bytes is below xoff_bytes; xoff_bytes > 0 still says whether. */
    uint64_t buffer_bytes;
    /* Credits (InfiniBand, NVLink): buffer behind every link for this class; 0: none. A packet leaves only if its
     * bytes are free there; they are free again when it has left the next port, plus one link delay. */
    uint64_t credit_bytes;
};

enum { GRADE_SHIFT_MAX = 24 }; /* below the bits of INT32_MAX, which stands for what is no port */
struct queue_profile {
    uint32_t class_count; /* 1 .. CLASSES_MAX; a packet of a higher class goes to the last one */
    uint32_t lane_count;  /* classes are so many blocks, one for each virtual lane; 0 as 1 */
    enum lane_rule lane_rule;
    struct queue_class class[CLASSES_MAX];
    /* Shared buffer with dynamic thresholds (Choudhury, Hahne 1998): a class of a port may hold at most
     * alpha * (shared - used) bytes, alpha = 2^alpha_log2; shared 0: buffers are per port. */
    uint64_t shared_bytes;
    int32_t alpha_log2;
    bool is_adaptive;     /* least backlog among equal next hops; equal backlogs by hash of the packet */
    uint32_t grade_shift; /* backlogs are equal to it that are equal as bytes >> this; <= GRADE_SHIFT_MAX */
    uint32_t trim_bytes;  /* what is left of a trimmed packet */
    /* In-band telemetry: > 0: switches measure how full their links are over this time and data packets keep the largest
     * (load.h): load_depart for every packet that starts on a switch's port, with the serialisation time of what is left
     * in its queue behind it; then, for data, packet.load = max(packet.load, load_code(draw RNG_LOAD ^ port, number of the
     * packet on that port as it started)). The reference engine is the specification (load_tell). */
    uint64_t load_period_ps;
};

/* One class, no limit but the port's: what a port is without a profile. */
extern const struct queue_profile queue_profile_plain;

/* Switches, and hosts that packets for others may go through: a host takes in at once what is for itself. */
static inline bool queue_may_pause(const struct fabric *fabric, uint32_t node)
{
    bool is_end = fabric->is_host_end || fabric->port_first[node + 1] - fabric->port_first[node] <= 1;
    return node >= fabric->host_count || !is_end;
}

/* Bytes that an input must hold behind those at which it asks for a pause: what its link carries while the frame goes up
 * and the last packet comes down, with the packet that is being sent there, one that the frame waits for, and one that
 * is half in (IEEE 802.1Q, annex on buffer requirements, without the times of its pipelines). */
static inline uint64_t queue_headroom_bytes(const struct fabric *fabric, uint32_t in_port, uint64_t packet_bytes)
{
    uint32_t upstream = fabric->port_peer[in_port];
    if (upstream == ID_NONE) {
        return 0;
    }
    uint64_t way_ps = 2 * link_delay_ps(fabric, upstream) + fabric->node_latency_ps[fabric->port_node[in_port]];
    return line_bytes(way_ps, fabric->rate_bps[upstream]) + 3 * packet_bytes;
}

static inline uint64_t queue_xoff_bytes(const struct queue_class *rule, uint64_t headroom_bytes)
{
    return rule->buffer_bytes > headroom_bytes ? rule->buffer_bytes - headroom_bytes : rule->xoff_bytes;
}

static inline uint64_t queue_xon_bytes(const struct queue_class *rule, uint64_t headroom_bytes)
{
    uint64_t xoff_bytes = queue_xoff_bytes(rule, headroom_bytes), gap_bytes = rule->xoff_bytes - rule->xon_bytes;
    return xoff_bytes > gap_bytes ? xoff_bytes - gap_bytes : 0;
}

#endif
