/* The windowed engine: the same result as the reference engine of the tests, some fifteen times as fast (see `photonet bench engine`).
 *
 * Workload: 10^3 to 10^4 hosts and switches of 16 to 512 ports; 10^5 to 10^6 packets in flight, each of which needs some
 * tens of nanoseconds at each of six nodes. Links are 5 ns to 100 us long; at 500 ns and 400 Gbit/s a busy port sends
 * 12 packets (6 of data, 6 ACKs) while one travels. Sometimes everybody sends, sometimes one host of 8192.
 *
 * Time is cut into windows no longer than a packet is under way between two switches (delay of the link, latency
 * of the switch behind it, one byte). What a node does in a window then depends on nothing that happens elsewhere
 * in the same window, so the nodes are served one after the other, each with all its arrivals of the window at once.
 * There is no global queue of events.
 *
 *        window        0 (now)      1            2            3          beyond the ring
 *                   ┌───────────┬────────────┬────────────┬───────────┐
 *   inbox of node n │ ▓▓▓▓▓ ▓▓  │ ▓▓▓▓▓ ▓    │ ▓▓         │           │   heap of far packets
 *                   └─────┬─────┴────────────┴────────────┴───────────┘
 *                         ▼                    ▲  chunks of 24 packets and 24 keys of 32 bits:
 *       route all, a vector at a time          │  offset in the window | port of arrival | whole
 *                         ▼                    │
 *       batch per output port: what waits      │
 *       there, and behind it what arrives      │
 *                         ▼                    │
 *       sort; departures by (max,+) scan       │
 *                         ▼ (all ports)        │
 *       the front, which starts inside the window ──► inbox of the peer, in one piece
 *       the rest ──► queue of the port, until a later window
 *
 *   order in a window:   all switches ──► all hosts    (barrier between them where threads share the nodes)
 *
 * Hosts come last, so links to hosts may be as short as they like: a packet from a switch reaches its host in the same
 * window. What a host sends passes the latency of a switch before it can matter.
 *
 * Invariants
 *   I1  width <= lookahead of every link that neither leads from a switch to a host nor stays within a super-node: a
 *       packet that is sent in a window arrives in a later one (or, at a host, in the same one); so does a pause or a
 *       credit, which is faster. Nodes that shorter links join are served together (window_super.h).
 *   I2  Transmissions are committed only if they start inside the window, so that whatever reaches a port by the
 *       start of a window can still change all that the port does.
 *   I3  A node with anything to do in a window has its bit set in `active` of some worker, and the window its bit in
 *       `pending`: a packet, a departure that lets a queued packet start, a host's departure, a timer, a port that
 *       comes up. A host of a window that was cut short by the end of a run has it set again.
 *   I4  Equal times at a node are decided by (kind, port), which the key carries; on one link two packets coincide
 *       only at a host with a latency, where the one in transit was sent first.
 *   I5  Packets beyond the ring wait in a heap and move into the ring when their window becomes its last: never into the
 *       window that is being served, whose inboxes others read.
 *   I6  Two barriers a window. Before the first each worker publishes when it next has something to do, after it
 *       all draw the same conclusion; the second parts switches from hosts. A word of memory is written by one
 *       worker between two barriers, and read by others only in another such span. Where threads would wait longer
 *       than they work, all but one go home for a while, and that one serves all.
 *   I7  A chunk goes back to the worker that fills it: its own when its packets have been copied or handed over, another's
 *       one window after it was read.
 *   I8  Received packets are not counted: they are those sent less those on the link (window_count.c).
 *
 * Cost: a window costs one look at the bits of all nodes (150 words for 8192 hosts), a node some 100 ns, a port 50 ns, a
 * packet about 30 instructions more; windows in which nothing happens cost nothing. At 1024 hosts a port has 9 packets in
 * a window, and a switch that is served has 130. Of 13.8 ns a packet and hop on a core of Sapphire Rapids at 4 GHz, routing
 * and dealing are 2.7, the scans 3.2, moving what they have found 3.5, and the hosts 3.6. It is no longer memory that costs
 * (128 hosts: 13.4 ns), but instructions, 330 of them for the two ends of a packet, and branches that nobody can predict, of
 * which each costs 7 ns (0.5 a hop, says callgrind: is a chunk full, is something left over, which comes first at a host).
 * Memory: 21 bytes a packet on a link, 24 in a queue; with all that stands empty, 46 a packet in flight (`bench engine`).
 *
 * Escapes: windows narrow with the radix (key bits) and stretch, at the price of the vector loops, with the delay,
 * so that the ring reaches as far as most packets; batches beyond 32 packets, times beyond 31 bits, unequal rates
 * at cut-through switches, queues that may be full, dark ports, and runs that end inside a window go packet by packet
 * (window_switch.c). -DPHOTONET_STRESS shrinks the ring and the tables, so that tests live there.
 *
 * Rejected, after measuring (ns per packet-hop at 1024 hosts on one core of Zen 5, prototypes): a heap of one event
 * per hop (42), a hierarchical wheel of events (25), a heap of links (34), one sort per switch and window (19),
 * departures computed ahead of the window (8: but then no pause, credit or priority can change them any more).
 * One growing array per inbox: its slack falls out of the second-level cache; chunks are reused while they are warm.
 * Here, in ns on Sapphire Rapids at 1024 hosts: batches that are compared each with each and sent packet by packet (24,
 * against 20 for the bitonic network: its chain is longer, but what is sorted moves without a loop over packets, what
 * waited included); scan and send port by port (20.2, against 19.4 for all scans first: a branch that is mispredicted behind a
 * scan waits for all of it); what other threads read of a worker beside what it writes (11.5 on two threads, against
 * 9.2); threads that sleep after 8 us of waiting (12.9, against 11.5); -mtune for the machine, -march=x86-64-v3 for all,
 * profiles for the compiler (no difference); four scans at once (none, against two: 14.8, against 15.1 for one); a bit for
 * each scan that must be looked at, left to the second loop (15.6, against 14.9); chunks of 12 packets (15.5, against 14.4).
 *
 * Where there are gates, failing links, a controller or groups, all nodes are served whole (window_gate.h).
 * Marks alone leave a port to the vector loops until a window brings it more than they begin at; so do pauses until the
 * port gets one, and the vector loops are followed by an account of what the inputs hold. Packets with an adaptive choice
 * choose one after the other, in some 8 ns, before their ports are served. Ports of two classes, one of which goes first, and
 * ports that trim are served by the vector loops too, while they can neither mark nor trim (window_class_body.h); those with
 * more classes, credits or shared buffers packet by packet (window_class.h).
 *
 * Where all links are short, or too many nodes hang together by them, windows are as narrow as the links are short: a hop
 * then costs what visiting a node costs.
 *
 *   window_build.c   numbering, width of the window, what the vector loops may serve
 *   window_fuse.c    which nodes are fused into super-nodes; window_super.h, window_super.c: how those are served
 *   window_run.c     windows, threads; the class
 *   window_inbox.c   chunks, far packets, timers
 *   window_switch.c  a switch, packet by packet; window_switch_body.h: the same for vectors of any width, of the parts
 *                    window_lanes_body.h, window_sort_body.h, window_scan_body.h, window_class_body.h (two classes)
 *   window_host.c    a host, event by event; visit.h, window_visit.c: in one piece, where nothing is unusual
 *   window_class.h, window_class.c, window_coupled.c   what is more than a FIFO
 *   window_lazy.h, window_lazy*.[hc], window_apart*_body.h   the same where nothing is unusual
 *   window_gate.h, window_gate.c, window_control.c   gates, failures, groups; the controller
 *   window_error.c   links that lose packets by bit errors
 *   window_count.c   what is asked between runs
 *
 * Checked against: the reference engine of the tests, callback by callback and counter by counter (tests/test_engine_window.c). */
#ifndef PHOTONET_ENGINE_WINDOW_H
#define PHOTONET_ENGINE_WINDOW_H

#include "netsim/base/simd.h"
#include "netsim/engine/engine.h"
#include "netsim/engine/eventq.h"
#include "netsim/engine/visit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#ifdef PHOTONET_STRESS
enum { SLOTS_MAX = 4, RATE_TABLES_MAX = 1, CLASS_RING_MIN = 1 };
#else
enum { SLOTS_MAX = 64, RATE_TABLES_MAX = 64, CLASS_RING_MIN = 8 };
#endif
enum { LAZY_PORTS_MAX = 512, HOST_LOOK_MAX = 8 }; /* beyond: all ports of a node are too many to be looked at again and again */
enum { SLOTS_MIN = 4 };

/* Two cache lines that every window touches, then what is rare. */
struct window_port {
    uint64_t free_ps;    /* the packet in service has left, or the port comes up */
    uint64_t waiting_ps; /* service of all that waits */
    struct packet *queue; /* ring of capacity 2^k; behind it, for each, since when it waits */
    uint32_t head, count, capacity;
    uint32_t peer, peer_port;   /* inner number of the node behind the link; port there */
    uint32_t reach_ps;          /* is_plain: delay and latency beyond the last whole window in them */
    uint32_t ps_per_byte;       /* 0 where that is no whole number */
    uint8_t reach_slots;        /* is_plain: these whole windows */
    bool is_plain;              /* sends to a switch or a final host: the vector loops may serve it */
    bool is_peer_cut;
    bool is_dark;
    const uint32_t *service_ps; /* by size; NULL: computed */

    uint64_t calm_ps; /* work up to here neither raises queue_max_bytes nor is marked */
    uint64_t queued_bytes;
    uint32_t in_service_bytes;
    bool is_busy, is_transit_next; /* hosts only: their departures are events */
    bool is_lossy;                 /* error_ports has its rate; never is_plain */
    uint64_t tx_packets, tx_bytes, busy_ps, queue_wait_ps, queue_max_bytes;

    uint64_t rate_bps;
    uint64_t delay_ps, latency_ps; /* link; node behind it unless it is the destination */
    uint64_t up_ps, capacity_bytes;
    uint64_t dark_wait_ps, dropped_packets, dropped_bytes;
    const struct queue_class *mark; /* NULL: nothing is marked; with class_ports: see there */
    uint64_t mark_calm_ps;   /* while no more work than this is in the port, nothing is marked */
    uint64_t marked_packets, transit_packets; /* the latter of hosts: keys the draws */
    uint32_t peer_id;        /* host behind the link, ID_NONE for a switch */
    uint32_t cut_service_ps; /* of what a cut-through switch must have seen */
} __attribute__((aligned(64)));
_Static_assert(offsetof(struct window_port, rate_bps) == 128, "the hot part is two lines");

struct window_node {
    uint32_t id; /* in the fabric */
    uint32_t port_first, port_count;
    uint32_t owner; /* worker */
    bool is_host, is_cut;
    bool is_plain;                /* no packet waits for its tail: the vector loops may serve it */
    bool is_ordered;              /* a host with one link, which brings nearly everything in the order in which it was sent */
    bool is_tree;                 /* `route` finds the way, else the tables or rails do */
    uint32_t super;               /* of core->supers, ID_NONE: served alone */
    uint32_t waiting_first;       /* word of core->waiting */
    struct route route;
    uint32_t stride_shift, stride_reciprocal; /* x / down_stride = x * reciprocal >> shift for x < 2^20 */
    uint32_t due_first; /* list in worker.due */
    uint64_t salt;
    uint64_t used_bytes; /* buffered, for shared buffers */
    uint32_t near_bytes_max; /* no port takes longer than a window for so much, and `is_plain` holds for all; 0: never */
    uint32_t pausing_count; /* classes of its inputs whose links it has paused */
    uint64_t far_wake_ps; /* of a gate, in worker.timers; 0: none */
    struct combine_table combine; /* of groups */
};

/* Room for what waits at a port, for a power of two of packets; behind them, since when each waits. */
enum { ROOM_BITS_MIN = 2, ROOM_NONE = 32 };
struct room_stack {
    struct packet **items; /* [0] of ROOM_NONE: NULL */
    uint32_t count, capacity;
    uint32_t made;
};

struct chunk_list {
    struct chunk *first, *last;
};

/* Timers of the window that is served, of one node or super-node, so that they are few: a binary heap by (time, payload). */
struct timer {
    uint64_t time_ps;
    uint64_t payload; /* inner number of the node << 42 | what << 40 | argument */
};
struct timer_heap {
    struct timer *items;
    size_t count, capacity;
    struct arena *arena;
};
enum timer_what { TIMER_WAKE = 2 }; /* beside enum host_event */

#define TIMER_ARGUMENT_BITS 40
static inline uint64_t timer_payload(uint32_t node, uint32_t what, uint64_t argument)
{
    DASSERT(argument >> TIMER_ARGUMENT_BITS == 0);
    return (uint64_t)node << (TIMER_ARGUMENT_BITS + 2) | (uint64_t)what << TIMER_ARGUMENT_BITS | argument;
}
static inline uint32_t timer_node(uint64_t payload)
{
    return (uint32_t)(payload >> (TIMER_ARGUMENT_BITS + 2));
}
static inline uint32_t timer_what(uint64_t payload)
{
    return (uint32_t)(payload >> TIMER_ARGUMENT_BITS) & 3;
}
static inline uint64_t timer_argument(uint64_t payload)
{
    return payload & ((UINT64_C(1) << TIMER_ARGUMENT_BITS) - 1);
}

void timer_push(struct timer_heap *heap, uint64_t time_ps, uint64_t payload);
struct timer timer_pop(struct timer_heap *heap);

/* What hosts tell the controller: a binary heap by (time, host, number of the call). */
struct tell {
    uint64_t time_ps, argument;
    uint32_t host, number;
};
struct tell_heap {
    struct tell *items;
    size_t count, capacity;
};

/* A packet beyond the ring of windows. */
struct far_packet {
    uint64_t time_ps, sequence;
    uint32_t node, port_whole;
    struct packet packet;
};
struct far_heap {
    struct far_packet *items;
    size_t count, capacity;
    uint64_t sequence;
    struct arena *arena;
};

struct due {
    struct timer timer;
    uint32_t next;
};

/* An arrival in the order of service: offset and port; whether it is for this host; place in `where`; is whole.
 * On one link only a host's latency makes two arrivals coincide, one in transit and a later one for the host. */
struct arrivals {
    uint64_t *items;
    struct packet **where; /* in chunks, which are read for the last time: packets may be changed there */
    uint64_t *spare; /* of the same capacity */
    uint32_t count, capacity;
};

/* What a node that is served whole will do in this window: a heap of items (window_coupled.c). */
struct steps {
    uint64_t *items;
    size_t count, capacity;
    bool is_first_done; /* the first one is being served: the next to be pushed takes its place */
};

/* Pauses and credits that arrive in this window (window_lazy.h). */
struct frames {
    uint64_t *items, *spare; /* of the same capacity */
    struct packet *packets;  /* by number */
    uint32_t count, capacity;
};

/* What has left the ports of a node in this window, for the accounts of its inputs (window_apart_account_body.h). */
struct left_log {
    int32_t *when_ps;
    uint32_t *what; /* port by which it came | bytes; 0: nothing */
    uint32_t count, capacity;
};

/* What a port has sent in a window. */
struct port_sent {
    uint64_t packets, bytes, busy_ps, wait_ps;
};

/* Ports with an adaptive choice, while the choices of a node are made (window_apart_choice_body.h). */
struct choice_port {
    uint32_t next, end; /* of what leaves there in this window, in `leaves` */
    int32_t free_ps, per_byte;
    int64_t limit_bytes;
};
struct choice_leave {
    int32_t leave_ps, bytes;
};

/* What arrives for one output port in one window, unsorted, where ports are served apart (window_apart_deal_body.h). */
enum { META_SIZE_BITS = 14, META_LANE_BITS = 5 };
struct apart_batch {
    int32_t keys[1 << 5];   /* as those of port_batch */
    uint32_t metas[1 << 5]; /* chunk << META_LANE_BITS + META_SIZE_BITS | lane << META_SIZE_BITS | size */
};
struct apart_more {
    uint32_t port;
    int32_t key;
    uint32_t meta;
};

/* What waits for one output port, where that is little, and behind it what arrives there in one window. First unsorted, then
 * in the order of service, with what becomes of each. */
enum { PLACE_BITS = 5, BATCH_PACKETS = 1 << PLACE_BITS, BATCH_WAITING_MAX = 16 };
enum batch_way { BATCH_SENT, BATCH_SCANNED, BATCH_LONE, BATCH_SLOW };
struct port_batch {
    struct packet packets[BATCH_PACKETS];
    int32_t keys[BATCH_PACKETS]; /* offset << (key_shift - 1) | port of arrival: distinct; below 0 for what waits */
    int32_t times_ps[BATCH_PACKETS]; /* all times count from the start of the window */
    int32_t departures_ps[BATCH_PACKETS], services_ps[BATCH_PACKETS]; /* the latter: of all up to this one */
    uint32_t keys_out[BATCH_PACKETS]; /* at the peer */
    uint32_t waiting_count; /* of a port with something in its queue: 0 where that is too much, and stays there */
    uint32_t count;         /* waiting and arrived */
    uint32_t start_count;   /* start in this window: the first ones */
    uint32_t here, near;    /* how many of these arrive one window later at most, two at most */
    int32_t bytes, wait_ps; /* of those that start */
    int32_t base_ps;        /* when the port is free for the first one */
    /* With classes (window_class_body.h): the lane that stands for the end of a long queue, and its bytes; lanes of the
     * class that goes first, and of what waited, as bits; the bytes of what waited and starts. */
    uint32_t behind_lane;
    int32_t behind_bytes;
    uint32_t first, old;
    int32_t old_bytes;
    enum batch_way way;
} __attribute__((aligned(64)));
struct batch_more {
    uint32_t port;
    int32_t key;
    struct packet packet;
};

struct worker {
    /* Read by all, written by none while they run: whatever is written beside it would be fetched again and again. */
    struct window_core *core;
    uint32_t id;
    pthread_t thread;
    uintptr_t *tails;              /* [node << slot_bits | slot]: chunk that is filled | room left in it */
    uint64_t *active;              /* [slot][node / 64]: nodes with something to do then */
    struct chunk_list *returned[2]; /* per owner: chunks of others that are read, by parity of the window */
    struct { /* written before a barrier, read by all after it */
        uint64_t ahead;
        uint64_t control_ps;       /* of the first tell that is due */
        uint32_t packet_bytes_max;
        bool is_interrupted;
        bool is_aside;             /* of the first worker: it will serve all, the others stand aside */
        uint64_t work_ns;          /* in windows that were looked at; read between the barriers of a window */
    } public __attribute__((aligned(128))); /* lines are fetched in pairs */
    /* Of this worker alone. */
    bool is_idle __attribute__((aligned(128))); /* the run has ended because nothing is left until its end */
    bool is_over;                  /* the run has ended */
    uint64_t work_seen_ns;         /* public.work_ns when it was last looked at by the first worker */
    uint64_t window_count;         /* of this run */
    uint32_t slot;                 /* of the current window in the ring */
    uint64_t start_ps, end_ps;     /* of the current window; the end is exclusive */
    uint64_t sample_offset_ps;     /* core->sample_ps - start_ps; UINT64_MAX where no packet of this window starts later */
    uint64_t pending;              /* slots with a bit in `active` */
    struct chunk *chunk_free;
    struct room_stack rooms[ROOM_NONE + 1]; /* by bits of their capacity: which nobody uses */
    uint32_t parity;
    struct eventq *timers;         /* of this worker's nodes, due in later windows; payload: timer_payload */
    struct tell_heap tells;        /* of this worker's hosts to the controller */
    struct timer_heap local;       /* of the host that runs, due in this window */
    uint32_t host_now;             /* inner number, ID_NONE outside */
    struct host_visit visit;       /* of that one */
    uint32_t whole_now;            /* the same of the node that is served whole */
    uint32_t super_now;            /* super-node that is served, else SUPER_NONE, which no node has */
    struct super_run *super_run;   /* window_super.c */
    struct steps steps;            /* of that one */
    uint32_t node_next, node_after, node_third; /* which will be served next, after that one, and then; ID_NONE: unknown */
    const struct chunk **chunk_next; /* of that one, per writer: fetched into the cache meanwhile */
    uint32_t port_next;            /* the same, for nodes that are served whole */
    struct far_heap far;
    struct due *due;
    size_t due_count, due_capacity;
    struct arrivals arrivals;
    struct frames frames;
    struct apart_batch *apart_batches; /* per port of a switch, and one more */
    struct apart_more *apart_more; /* arrivals beyond BATCH_PACKETS at a port */
    size_t apart_more_count, apart_more_capacity;
    struct chunk **chunks;         /* of the node that is served */
    uint32_t chunk_capacity;
    struct left_log left;
    struct choice_port *choice_ports; /* per port of a node */
    struct choice_leave *leaves;
    uint32_t leave_capacity;
    uint32_t *came_bytes;          /* per port of a node: what arrives there in this window; all 0 between nodes */
    int32_t *leave_ps, *backlog;   /* per port of a node, a vector's worth more (window_lazy.h); leave_ps: all never */
    struct chunk **taken;          /* per writer: chunks that `arrivals` points into */
    struct chunk *chain;           /* the one of these that is not empty, if there is but one */
    uint32_t *outs;
    uint32_t out_capacity;
    struct class_waiting *rings_free[32]; /* of classes, outgrown, by the logarithm of their entries */
    struct class_ring *again;      /* what waited at a port whose routes have changed (window_gate.c) */
    uint32_t *port_end;            /* per port of a switch: where its arrivals end in port_items */
    uint64_t *port_items;
    struct port_batch *batches;    /* per port of a switch: its arrivals, for the vector loops */
    uint32_t *batch_count;
    struct batch_more *more;       /* arrivals beyond BATCH_PACKETS at a port */
    size_t more_count, more_capacity;
    uint32_t packet_bytes_max;     /* of all that has been sent */
    int64_t in_flight;
    uint64_t hop_count;
    struct arena *arena;
    uint8_t *pool, *pool_end;
    uint64_t packets_bytes;        /* taken from it for packets */
} __attribute__((aligned(128)));

struct window_core {
    struct engine base; /* first: an engine is one of these */
    struct engine_config config;
    const struct fabric *fabric;
    struct arena *arena;
    struct window_node *nodes;   /* by inner number: of each worker the switches, then the hosts */
    uint32_t *inner;             /* node of the fabric -> inner number */
    uint32_t node_count;         /* inner ones, padding counted */
    uint32_t word_count;
    /* Inner numbers, per worker; multiples of 64. Behind the switches, and behind the hosts, super-nodes. */
    uint32_t *switch_first, *switch_super_first, *host_first, *host_super_first, *worker_end;
    struct window_super *supers; /* window_super.h */
    uint32_t *super_of;          /* node of the fabric -> of supers */
    uint32_t super_count;
    uint64_t lookahead_ps;       /* of the shortest link that is not within one, or of the controller */
    enum simd_body body;
    struct window_port *ports;
    struct class_port *class_ports; /* NULL: all ports are FIFOs */
    struct error_port *error_ports; /* NULL: no link loses packets by bit errors (window_error.c) */
    struct input_class *inputs;     /* beside them: input_stride for each port */
    uint32_t input_stride;
    struct gate_port *gate_ports;   /* NULL: no gates, failures, controller or groups (window_gate.h) */
    uint64_t control_ps;            /* of the control that runs */
    uint32_t *tell_count;           /* per host of the fabric */
    bool is_coupled;             /* switches are served whole (window_class.h) */
    bool is_apart;               /* ports of its switches can be served one by one (window_apart_body.h) */
    bool is_mix;                 /* their ports have one class, or two of which one goes first (window_class_body.h): */
    bool mix_has_first;          /* two */
    uint8_t mix_first, mix_last, mix_class_max; /* the classes; the largest of both */
    uint32_t mix_waiting_max;    /* of the last class: more cannot start in a window, or are too many */
    bool has_credits;            /* switches or hosts spend them */
    bool are_hosts_usual;        /* of one class, which may be paused at most, without gates (window_coupled.c) */
    bool are_hosts_plain;        /* of any classes, which may be paused at most, without gates and telemetry (window_visit.c) */
    bool is_direct;              /* the way of a packet depends on nothing but the routes, backlogs and itself */
    uint64_t *waiting;           /* bit per port, each node from a word of its own; hosts: with class_ports only */
    uint64_t *touched;           /* the same: served since the last look at when it is free (window_count.c) */
    uint32_t *port_words;        /* the port of bit 0 of each such word */
    uint32_t port_word_count;
    uint64_t free_last_ps;       /* of the ports whose bit has been cleared again */
    void (*switch_serve)(struct worker *worker, uint32_t node); /* unless `switches_serve` does */
    void (*switches_serve)(struct worker *worker, const uint32_t *nodes, uint32_t count);
    void (*host_serve)(struct worker *worker, uint32_t node);
    uint64_t width_ps, width_reciprocal;
    uint32_t slot_bits, slot_mask;
    uint32_t key_shift;          /* of the offset in a key */
    bool has_place_bits;         /* keys of batches have room for a place in the batch: PLACE_BITS */
    struct worker *workers;
    uint32_t worker_count;
    bool is_running;
    uint64_t until_ps;           /* of this run */
    bool runs_past;              /* whose last window is not cut short */
    uint64_t sample_ps;          /* then: until_ps, else TIME_NEVER_PS; what starts later is in late_bytes too */
    uint32_t *late_bytes;        /* per port */
    uint32_t spin_count;         /* before a waiting thread yields */
    bool is_aside;               /* threads stand aside (window_run.c), for so many looks; what these have found: */
    uint64_t aside_looks, look_count, look_wall_ns, look_threads_ns;
    atomic_uint barrier_count __attribute__((aligned(64)));
    atomic_uint barrier_phase __attribute__((aligned(64)));
    atomic_uint sleeper_count;
    atomic_int go;               /* threads may start, or (below 0) must go home */
    uint64_t done_ps;            /* every event up to here has happened */
    struct link_load *on_link;   /* made by window_counters, valid until the next run */
    bool is_on_link_valid;
};

struct link_load {
    uint64_t packets, bytes;
};

/* ---- inboxes (window_inbox.c) ----------------------------------------------------------------------------- */

/* Zeroed, aligned to 64 bytes; the latter is for packets, and counted. */
void *pool_alloc(struct worker *worker, size_t bytes);
void *packets_alloc(struct worker *worker, size_t bytes);
#define SUPER_NONE (ID_NONE - 1)
/* Into a super-node that is being served, in this window (window_super.c). */
void super_put(struct worker *worker, uint32_t node, uint64_t time_ps, uint32_t port_whole, const struct packet *packet);
void far_put(struct worker *worker, uint32_t node, uint64_t time_ps, uint32_t port_whole,
             const struct packet *packet);
void far_drain(struct worker *worker); /* what has come within the ring */
void wake_far(struct worker *worker, uint32_t node, uint64_t time_ps);
/* The chain of a node that one writer has filled, newest first. */
struct chunk *inbox_take(struct worker *writer, uint32_t node, uint32_t slot);
void chunks_free(struct worker *worker, struct chunk *chunk);
void chunks_collect(struct worker *worker);
struct chunk *chain_reverse(struct chunk *newest);

static inline uint64_t windows_ahead(const struct worker *worker, uint64_t time_ps)
{
    uint64_t ahead_ps = time_ps - worker->start_ps;
    if (ahead_ps >> 32 != 0 || worker->core->width_reciprocal == 0) { /* a window of 1 ps has none */
        return ahead_ps / worker->core->width_ps;
    }
    return (uint64_t)(((unsigned __int128)ahead_ps * worker->core->width_reciprocal) >> 64);
}

static inline void node_activate(struct worker *worker, uint32_t node, uint32_t slot)
{
    worker->active[(size_t)slot * worker->core->word_count + node / 64] |= UINT64_C(1) << (node % 64);
    worker->pending |= UINT64_C(1) << slot;
}

/* tails: those of the node. */
static inline void tail_put(struct worker *worker, uint32_t node, uint32_t slot, uintptr_t *tails, uint32_t key,
                            const struct packet *packet)
{
    uintptr_t at = tails[slot];
    if ((at & CHUNK_ROOM_MASK) == 0) {
        at = inbox_open(worker, node, slot);
    }
    struct chunk *chunk = (struct chunk *)(at & ~(uintptr_t)CHUNK_ROOM_MASK);
    uint32_t lane = CHUNK_PACKETS - (at & CHUNK_ROOM_MASK);
    packet_copy(&chunk->packets[lane], packet);
    chunk->keys[lane] = key;
    tails[slot] = at - 1;
}

static inline void inbox_put(struct worker *worker, uint32_t node, uint32_t slot, uint32_t key,
                             const struct packet *packet)
{
    tail_put(worker, node, slot, &worker->tails[(size_t)node << worker->core->slot_bits], key, packet);
}

/* Sends a packet to a node at a time that is not before the current window. */
static inline void packet_put(struct worker *worker, uint32_t node, uint64_t time_ps, uint32_t port_whole,
                              const struct packet *packet)
{
    const struct window_core *core = worker->core;
    DASSERT(time_ps >= worker->start_ps);
    uint64_t ahead = windows_ahead(worker, time_ps);
    if (ahead > core->slot_mask) {
        far_put(worker, node, time_ps, port_whole, packet);
        return;
    }
    if (core->nodes[node].super == worker->super_now && time_ps < worker->end_ps) {
        super_put(worker, node, time_ps, port_whole, packet);
        return;
    }
    uint64_t offset_ps = time_ps - worker->start_ps - ahead * core->width_ps;
    uint32_t slot = (worker->slot + (uint32_t)ahead) & core->slot_mask;
    inbox_put(worker, node, slot, (uint32_t)offset_ps << core->key_shift | port_whole, packet);
}

/* The node has something to do at this time. */
static inline void node_wake(struct worker *worker, uint32_t node, uint64_t time_ps)
{
    uint64_t ahead = windows_ahead(worker, time_ps);
    if (ahead > worker->core->slot_mask) {
        wake_far(worker, node, time_ps);
        return;
    }
    node_activate(worker, node, (worker->slot + (uint32_t)ahead) & worker->core->slot_mask);
}

/* ---- ports ------------------------------------------------------------------------------------------------ */

void port_queue_grow(struct worker *worker, struct window_port *port);
void rooms_make(struct worker *worker, uint32_t bits);

/* Without a branch, as nobody can predict how many packets wait: the port gets room for so many instead of what it has,
 * which is used again while it is warm. What is in it is not moved. */
static inline void port_room_change(struct worker *worker, struct window_port *port, uint32_t count)
{
    uint32_t old_bits = (uint32_t)__builtin_ctzll(port->capacity | UINT64_C(1) << ROOM_NONE);
    uint32_t bits = 32 - (uint32_t)__builtin_clz((count - 1) | ((1u << ROOM_BITS_MIN) - 1)); /* of 0: ROOM_NONE */
    struct room_stack *old = &worker->rooms[old_bits], *new = &worker->rooms[bits];
    DASSERT(old_bits == ROOM_NONE || old->count < old->made);
    old->items[old->count] = port->queue;
    old->count += old_bits != ROOM_NONE;
    if (__builtin_expect(new->count < (uint32_t)(count > 0), 0)) {
        rooms_make(worker, bits);
    }
    new->count -= count > 0;
    port->queue = new->items[new->count];
    port->capacity = (uint32_t)(UINT64_C(1) << bits);
}

static inline uint64_t port_service_ps(const struct window_port *port, uint64_t size_bytes)
{
    return port->service_ps != NULL ? port->service_ps[size_bytes] : serialisation_ps(size_bytes, port->rate_bps);
}

/* More than ever before, maybe. */
static inline void port_record(struct window_port *port, uint64_t bytes)
{
    if (bytes > port->queue_max_bytes) {
        bool is_packet = bytes <= PACKET_BYTES_MAX; /* the first one of a port: no need to divide */
        port->queue_max_bytes = bytes;
        port->calm_ps = is_packet ? port_service_ps(port, bytes) : serialisation_ps(bytes, port->rate_bps);
        port->calm_ps -= 1; /* rounded down */
        port->calm_ps = port->calm_ps < port->mark_calm_ps ? port->calm_ps : port->mark_calm_ps;
    }
}

static inline void port_queued(struct window_port *port, uint64_t size_bytes)
{
    port->queued_bytes += size_bytes;
    if (port->queued_bytes > port->queue_max_bytes) {
        port_record(port, port->queued_bytes);
    }
}

/* Since when each packet of the queue waits. */
static inline uint64_t *port_since(const struct window_port *port)
{
    return (uint64_t *)(port->queue + port->capacity);
}

static inline void port_push(struct worker *worker, struct window_port *port, const struct packet *packet,
                             uint64_t now_ps)
{
    if (port->count == port->capacity) {
        port_queue_grow(worker, port);
    }
    uint32_t at = (port->head + port->count++) & (port->capacity - 1);
    packet_copy(&port->queue[at], packet);
    port_since(port)[at] = now_ps;
    port->waiting_ps += port_service_ps(port, packet->size_bytes);
}

/* It stays where it is until the next one is pushed: a copy of what was just written word by word waits for the store. */
static inline struct packet *port_pop(struct window_port *port, uint64_t *since_ps)
{
    struct packet *first = &port->queue[port->head];
    *since_ps = port_since(port)[port->head];
    port->head = (port->head + 1) & (port->capacity - 1);
    port->count--;
    port->waiting_ps -= port_service_ps(port, first->size_bytes);
    return first;
}

/* Counts apart what starts after the time that is asked for. */
static inline void port_sample(struct window_core *core, const struct window_port *port, uint64_t size_bytes)
{
    core->late_bytes[port - core->ports] += (uint32_t)size_bytes;
}

/* Puts a packet on the link at start_ps, for service_ps. */
static inline void port_depart(struct worker *worker, struct window_port *port, const struct packet *packet,
                               uint64_t since_ps, uint64_t start_ps, uint64_t service_ps)
{
    struct window_core *core = worker->core;
    uint64_t dark_ps = port->up_ps > since_ps ? port->up_ps - since_ps : 0;
    port->tx_packets++;
    port->tx_bytes += packet->size_bytes;
    port->busy_ps += service_ps;
    port->dark_wait_ps += dark_ps;
    port->queue_wait_ps += start_ps - since_ps - dark_ps;
    worker->hop_count++;
    if (__builtin_expect(start_ps > core->sample_ps, 0)) {
        port_sample(core, port, packet->size_bytes);
    }
    port->free_ps = start_ps + service_ps;
    port->in_service_bytes = packet->size_bytes;
}

/* Lets it arrive; it has departed at start_ps. */
static inline void port_deliver(struct worker *worker, const struct window_port *port, const struct packet *packet,
                                uint64_t start_ps, bool is_destination)
{
    const struct window_core *core = worker->core;
    bool is_cut = port->is_peer_cut && packet->size_bytes > core->config.cut_through_bytes;
    uint64_t seen_ps = start_ps + port_service_ps(port, is_cut ? core->config.cut_through_bytes : packet->size_bytes);
    uint64_t arrival_ps = seen_ps + port->delay_ps + (is_destination ? 0 : port->latency_ps);
    packet_put(worker, port->peer, arrival_ps, port->peer_port << 1 | !is_cut, packet);
}

/* The same from a degraded link: whole. */
static inline void port_deliver_whole(struct worker *worker, const struct window_port *port, const struct packet *packet,
                                      uint64_t end_ps, bool is_destination)
{
    uint64_t arrival_ps = end_ps + port->delay_ps + (is_destination ? 0 : port->latency_ps);
    packet_put(worker, port->peer, arrival_ps, port->peer_port << 1 | 1, packet);
}

/* What a link does with a packet that starts: a failing one loses it, a degraded one takes longer and hands it over
 * whole, and so does one that repeats it. */
enum link_fate { LINK_CARRIES, LINK_CARRIES_WHOLE, LINK_LOSES };
struct link_use {
    uint64_t service_ps;
    enum link_fate fate;
};

/* On a lossy link (window_error.c), for a packet of so many bytes on the wire: adds the time of the repeats; true where it is
 * lost all the same, which is for the caller to count. Before port_depart. */
bool error_draw(struct worker *worker, struct window_port *port, uint64_t wire_bytes, bool may_repeat,
                struct link_use *use);
void error_count(struct worker *worker, const struct window_port *port, const struct packet *packet, struct link_use *use);
void port_transmit_lossy(struct worker *worker, struct window_port *port, const struct packet *packet, uint64_t since_ps,
                         uint64_t start_ps);

static inline void port_transmit(struct worker *worker, struct window_port *port, const struct packet *packet,
                                 uint64_t since_ps, uint64_t start_ps)
{
    if (__builtin_expect(port->is_lossy, 0)) {
        port_transmit_lossy(worker, port, packet, since_ps, start_ps);
        return;
    }
    port_depart(worker, port, packet, since_ps, start_ps, port_service_ps(port, packet->size_bytes));
    port_deliver(worker, port, packet, start_ps, port->peer_id == packet->dst);
}

/* Up, nothing left that waited in the dark, and no packet takes longer than a window: arrivals are at most two windows
 * beyond those of the delay. */
static inline bool port_is_near(const struct worker *worker, const struct window_port *port)
{
    return port->is_plain && !port->is_dark && port->service_ps[worker->packet_bytes_max] <= worker->core->width_ps;
}

/* Lets a packet that starts at start_ps (counted from the start of this window, and inside it) on such a port arrive. */
static inline void packet_deliver(struct worker *worker, const struct window_port *port, const struct packet *packet,
                                  uint64_t start_ps, uint64_t service_ps)
{
    const struct window_core *core = worker->core;
    uint64_t width = core->width_ps;
    bool is_cut = port->is_peer_cut && packet->size_bytes > core->config.cut_through_bytes;
    uint64_t ahead = start_ps + (is_cut ? port->cut_service_ps : service_ps) + port->reach_ps;
    uint32_t slots = (uint32_t)(ahead >= width) + (uint32_t)(ahead >= 2 * width);
    uint32_t key = (uint32_t)(ahead - slots * width) << core->key_shift | port->peer_port << 1 | !is_cut;
    inbox_put(worker, port->peer, (worker->slot + port->reach_slots + slots) & core->slot_mask, key, packet);
}

/* The same, returning its service. */
static inline uint64_t packet_send(struct worker *worker, const struct window_port *port, const struct packet *packet,
                                   uint64_t start_ps)
{
    if (__builtin_expect(start_ps > worker->sample_offset_ps, 0)) {
        port_sample(worker->core, port, packet->size_bytes);
    }
    uint64_t service_ps = port->service_ps[packet->size_bytes];
    packet_deliver(worker, port, packet, start_ps, service_ps);
    return service_ps;
}

static inline void sent_count(struct worker *worker, struct window_port *port, const struct port_sent *sent)
{
    port->tx_packets += sent->packets;
    port->tx_bytes += sent->bytes;
    port->busy_ps += sent->busy_ps;
    port->queue_wait_ps += sent->wait_ps;
    worker->hop_count += sent->packets;
}

static inline void port_touch(struct window_core *core, const struct window_node *node, uint32_t port_local)
{
    core->touched[node->waiting_first + port_local / 64] |= UINT64_C(1) << (port_local % 64);
}

/* All ports of a node; bits without a port are left out. */
static inline void node_touch(struct window_core *core, const struct window_node *node)
{
    for (uint32_t local = 0; local < node->port_count; local += 64) {
        uint32_t more = node->port_count - local;
        core->touched[node->waiting_first + local / 64] = UINT64_MAX >> (more < 64 ? 64 - more : 0);
    }
}

/* A switch's port is done for this window. */
static inline void port_leave(struct worker *worker, uint32_t node, uint32_t port_local)
{
    struct window_core *core = worker->core;
    const struct window_port *port = &core->ports[core->nodes[node].port_first + port_local];
    uint64_t *word = &core->waiting[core->nodes[node].waiting_first + port_local / 64];
    uint64_t bit = UINT64_C(1) << (port_local % 64);
    if (port->count > 0) {
        *word |= bit;
        node_wake(worker, node, port->free_ps);
    } else {
        *word &= ~bit;
    }
}

/* The next hops of a packet, without a division where that is possible. */
static inline struct port_set node_set(const struct window_core *core, const struct window_node *node,
                                       const struct packet *packet)
{
    if (__builtin_expect(!node->is_tree, 0)) {
        return routes_next(core->config.routes, node->id, packet->dst);
    }
    const struct route *route = &node->route;
    uint32_t into = packet->dst - route->down_first; /* wraps below */
    bool is_down = into < route->down_last - route->down_first;
    uint32_t child = (uint32_t)((uint64_t)(into & 0xfffff) * node->stride_reciprocal >> node->stride_shift);
    return (struct port_set){.first = is_down ? route->down_port + child * route->down_width : route->up_port,
                             .count = is_down ? route->down_width : route->up_count};
}

/* The output port of a packet at a node. */
static inline uint32_t node_route(const struct window_core *core, const struct window_node *node,
                                  const struct packet *packet)
{
    struct port_set set = node_set(core, node, packet);
    return node->port_first + route_choose(&set, packet_choice(&core->config, packet, node->id, node->salt));
}

/* How much longer a packet that is not whole must be waited for before it goes out on a link of another rate;
 * 0: it may go. */
static inline uint64_t tail_wait_ps(const struct window_core *core, const struct window_node *node,
                                    uint32_t in_port, uint32_t out, const struct packet *packet)
{
    const struct window_port *in = &core->ports[core->fabric->port_peer[node->port_first + in_port]];
    if (in->rate_bps == core->ports[out].rate_bps) {
        return 0;
    }
    return port_service_ps(in, packet->size_bytes) - port_service_ps(in, core->config.cut_through_bytes);
}

/* The same for a packet that has reached its host. */
static inline uint64_t tail_last_ps(const struct window_core *core, const struct window_node *node, uint32_t in_port,
                                    const struct packet *packet)
{
    const struct window_port *in = &core->ports[core->fabric->port_peer[node->port_first + in_port]];
    return port_service_ps(in, packet->size_bytes) - port_service_ps(in, core->config.cut_through_bytes);
}

/* ---- nodes ------------------------------------------------------------------------------------------------ */

void arrivals_take(struct worker *worker, uint32_t node); /* newest first (C3 of window_class.h) */
/* The same in two steps, of which the second is seldom needed: takes the chains, oldest first, and tells whether there is
 * but one (worker->chain) whose keys ascend; makes sorted arrivals of them. No frames, no groups. */
bool chains_take(struct worker *worker, uint32_t node);
void arrivals_sort_chains(struct worker *worker, uint32_t node);
void arrivals_reserve(struct worker *worker, uint32_t count);
static inline void arrivals_add(struct arrivals *arrivals, int32_t key, struct packet *packet)
{
    arrivals->where[arrivals->count] = packet;
    arrivals->items[arrivals->count] = (uint64_t)key << 32 | (uint64_t)arrivals->count << 1 | 1;
    arrivals->count++;
}
void arrivals_sort(uint64_t *items, uint32_t count);
/* A run may end inside a window: what is later goes back. */
void arrival_return(struct worker *worker, uint32_t node, uint64_t item);
void arrivals_release(struct worker *worker);

static inline uint64_t arrival_offset_ps(const struct window_core *core, uint64_t item)
{
    return item >> (31 + core->key_shift);
}
static inline uint32_t arrival_port(const struct window_core *core, uint64_t item)
{
    return (uint32_t)(item >> 32) & ((1u << (core->key_shift - 1)) - 1);
}
#define ARRIVAL_IS_FINAL (UINT64_C(1) << 31)
static inline uint32_t arrival_at(uint64_t item)
{
    return (uint32_t)item >> 1 & INT32_MAX >> 1;
}
static inline bool arrival_is_whole(uint64_t item)
{
    return item & 1;
}

/* Memory is what a packet waits for: 6 MB are touched in every window at 1024 hosts. So while a node is served, the
 * chunks and ports of the next one are fetched, a little at a time. */
static inline void lines_prefetch(const void *first, uint32_t lines)
{
    for (uint32_t i = 0; i < lines; i++) {
        __builtin_prefetch((const uint8_t *)first + 64 * i);
    }
}

static inline void writer_chunk_prefetch(struct worker *worker, uint32_t writer)
{
    const struct chunk *chunk = worker->chunk_next[writer];
    if (chunk != NULL) {
        worker->chunk_next[writer] = chunk->older;
        lines_prefetch(chunk->older, CHUNK_BYTES / 64);
    }
}

static inline void next_chunk_prefetch(struct worker *worker)
{
    writer_chunk_prefetch(worker, worker->id);
}

static inline void next_node_prefetch(struct worker *worker)
{
    const struct window_core *core = worker->core;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        worker->chunk_next[i] = NULL;
        if (worker->node_next == ID_NONE) {
            continue;
        }
        uintptr_t at = core->workers[i].tails[(size_t)worker->node_next << core->slot_bits | worker->slot];
        worker->chunk_next[i] = (const struct chunk *)(at & ~(uintptr_t)CHUNK_ROOM_MASK);
        if (at != 0) {
            lines_prefetch(worker->chunk_next[i], CHUNK_BYTES / 64); /* how many are used nobody can predict */
        }
    }
}

/* The lines that packets will be written to, if they come soon. */
static inline void peer_prefetch(const struct worker *worker, const struct window_port *port)
{
    const struct window_core *core = worker->core;
    const uintptr_t *tails = &worker->tails[(size_t)port->peer << core->slot_bits];
    bool is_later = port->reach_slots == 0 && port->peer_id == ID_NONE; /* I1; the inbox of now is being read */
    for (uint32_t i = is_later; i < 2; i++) {
        uintptr_t at = tails[(worker->slot + port->reach_slots + i) & core->slot_mask];
        uintptr_t chunk = at & ~(uintptr_t)CHUNK_ROOM_MASK; /* 0 where none is open: a number, no pointer */
        uint32_t lane = CHUNK_PACKETS - (at & CHUNK_ROOM_MASK);
        uintptr_t next = chunk + offsetof(struct chunk, packets) + lane * sizeof(struct packet);
        __builtin_prefetch((const void *)next, 1);
        __builtin_prefetch((const void *)(next + 64), 1);
        __builtin_prefetch((const void *)(chunk + offsetof(struct chunk, keys) + lane * sizeof(uint32_t)), 1);
    }
}

/* The nodes of a word that have something to do in this window; they are taken off the list (window_run.c). */
uint64_t word_take(struct worker *worker, uint32_t word);
/* Timers of a node that are due, into the heap `local`. */
void node_due_take(struct worker *worker, struct window_node *node);
void host_serve(struct worker *worker, uint32_t node);
/* For super-nodes: a host that is served event by event. An arrival may come again later, whole: by packet_put. */
struct arrival {
    uint32_t port;
    bool is_final, is_whole;
    struct packet *packet;
};
enum step_kind {
    STEP_FLUSH, STEP_REROUTE, STEP_LINK_UP, STEP_DEPARTED, STEP_PAUSE, STEP_CREDIT, STEP_ARRIVED, STEP_DUE, /* the order law */
};
void host_enter(struct worker *worker, uint32_t node);
void host_arrive(struct worker *worker, uint32_t node, const struct arrival *arrival, uint64_t now_ps);
void host_step(struct worker *worker, uint32_t node, uint32_t port_local, enum step_kind kind, uint64_t now_ps);
void host_leave(struct worker *worker, uint32_t node);
void host_kick(struct worker *worker, uint32_t node, uint32_t port, uint64_t now_ps);
/* Opens a visit of a host whose chain is taken; false where something about it is unusual. Runs it. Closes it, and returns
 * how many arrivals are done; a packet that the visit could not send is left in it (odd_ps). */
bool visit_open(struct worker *worker, const struct window_node *host);
void visit_serve(struct worker *worker);
uint32_t visit_close(struct worker *worker);
/* What the next hosts will need is fetched a little ahead: before a host is served, and when it has been. */
void hosts_expect(const struct worker *worker);
void hosts_fetch(const struct worker *worker);
/* The port is that of the visit, and free. */
void visit_kick(struct worker *worker, uint64_t now_ps);
/* A switch: one text (window_switch_body.h) for all vector widths, and the general one that they fall back to. */
void switch_serve_scalar(struct worker *worker, uint32_t node);
enum { SWITCHES_MAX = 96 }; /* that are served together */
void switches_serve_neon(struct worker *worker, const uint32_t *nodes, uint32_t count);
void switches_serve_avx2(struct worker *worker, const uint32_t *nodes, uint32_t count);
void switches_serve_avx512(struct worker *worker, const uint32_t *nodes, uint32_t count);
/* Marks a packet that finds `bytes` (at the point in question) in a FIFO; `number` counts the packets of the port. */
void fifo_mark(const struct window_core *core, struct window_port *port, struct packet *packet, enum mark_point point,
               uint64_t bytes, uint64_t number);
/* A FIFO of a switch: everything that leaves or starts up to now; a packet comes. */
void fifo_advance(struct worker *worker, struct window_port *port, uint64_t now_ps);
void fifo_arrive(struct worker *worker, struct window_port *port, struct packet *packet, uint64_t now_ps);
/* One port of a switch, packet by packet. */
void port_serve(struct worker *worker, uint32_t node, uint32_t port_local, uint64_t *items, uint32_t count);

/* ---- links with bit errors (window_error.c) ------------------------------------------------------------------ */

void error_ports_make(struct window_core *core);
void error_counters(const struct window_core *core, uint32_t port_id, struct port_counters *counters);

/* ---- ports with classes (window_class.c), nodes that are served whole (window_coupled.c) --------------------- */

struct class_port;
struct input_class;
void class_ports_make(struct window_core *core);
void inputs_make(struct window_core *core);
/* Serves an uncoupled port on its own over its sorted arrivals. */
void class_port_serve(struct worker *worker, struct window_node *node, uint32_t port_id, const uint64_t *items,
                      uint32_t count);
void coupled_serve(struct worker *worker, uint32_t node);
/* For super-nodes, as with host_enter. */
void coupled_enter(struct worker *worker, const struct window_node *node);
void coupled_arrive(struct worker *worker, uint32_t node, const struct arrival *arrival, uint64_t now_ps);
void coupled_step(struct worker *worker, uint32_t node, uint32_t port_local, enum step_kind kind, uint64_t now_ps);
void coupled_leave(struct worker *worker, uint32_t node);
/* The same for what is usual (window_lazy.h). */
void lazy_serve_neon(struct worker *worker, uint32_t node);
void lazy_serve_avx2(struct worker *worker, uint32_t node);
void lazy_serve_avx512(struct worker *worker, uint32_t node);
void coupled_kick(struct worker *worker, uint32_t node, uint32_t port, uint64_t now_ps);
void lazy_host_serve(struct worker *worker, uint32_t node);
/* For it: a timer that is due; a packet for the host, and one that goes on (is_direct). */
void whole_due(struct worker *worker, uint32_t id);
void whole_received(struct worker *worker, const struct window_node *node, uint32_t in_port, const struct packet *packet,
                 uint64_t now_ps);
void coupled_pass(struct worker *worker, uint32_t node, uint32_t in_port, const struct packet *packet, uint64_t now_ps);
/* For window_gate.c: starts a port that is free and has something; has a step come in the window that is served, or the
 * node woken for it; keeps a port's bit. */
void coupled_start(struct worker *worker, uint32_t node, uint32_t port_local, uint64_t now_ps);
void coupled_expect(struct worker *worker, uint32_t node, uint32_t port_local, enum step_kind kind, uint64_t time_ps);
/* A packet of the host's own that was pulled by something else: starts. */
void coupled_send(struct worker *worker, const struct window_node *node, uint32_t port_local, const struct packet *packet,
                  uint64_t now_ps);
/* The output port of a packet without detours, counted within the node, ID_NONE for no way. */
uint32_t coupled_route(const struct window_core *core, const struct window_node *node, const struct packet *packet,
                       uint32_t towards, uint64_t now_ps);
/* Least backlog, in grades, among equal next hops; equal ones are decided by the hash of the packet. */
uint32_t port_least(const struct window_core *core, uint32_t port_first, const struct port_set *set, uint64_t hash,
                    uint32_t grade_shift);
uint32_t class_open_classes(const struct window_core *core, uint32_t port_id);
void class_waiting_visit(const struct window_core *core, uint32_t port_id,
                         void (*visit)(void *context, uint32_t in_port, bool is_kept_back), void *context);
void class_counters(const struct window_core *core, uint32_t port_id, struct port_counters *counters);

struct engine *window_create(struct arena *arena, const struct engine_config *config);
void window_counters(const struct engine *engine, uint32_t port, struct port_counters *counters);
uint64_t window_first_left_ps(struct window_core *core);
uint64_t window_last_ps(struct window_core *core);

#endif
