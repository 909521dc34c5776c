/* The packet core's contract: hosts above, links below.
 *
 *      replay, transport          "what to send, what an arrival means"   (struct host_ops)
 *   ───────────────────────────────────────────────────────────────────
 *      engine                     ports, queues, links, switches, time
 *
 * A host port is pulled: whenever it is free and was kicked, the engine asks host_ops.pull for the next packet
 * of this host; packets of others that pass through the host wait in the port's own queue and take turns with
 * pulled ones. Every other node is a switch: an arrival is routed (next hops of the node, one chosen by a hash
 * of the packet's identity and the node's salt), queued at the output port and sent in FIFO order.
 *
 * Time. Serialisation is rounded up to a picosecond once a packet and link. A packet that starts at s on a link
 * arrives
 *     at a host or a store-and-forward switch:  s + serialisation(all of it) + delay of the link
 *     at a cut-through switch:                  s + serialisation(cut bytes) + delay of the link
 * (a cut-through host is a switch to what it passes on, and a host to what is its own), where cut bytes = min(size, cut_through_bytes). In the second case, an output of another rate than the input
 * waits for the rest of the packet (it arrives a second time, whole). A switch's latency follows the arrival.
 * Nothing starts on a port before port_up_ps. Pause and credit frames take the delay of the link, 1 ps at least.
 *
 * Gates (photonet/fabric.h). Without cells, a packet starts only where it ends before its gate closes; the first of a class that does
 * not fit into the rest of the window waits for the next one, and holds up its class. A host's port is pulled only
 * while a packet of packet_bytes_max would fit; where it would not, the engine kicks it as soon as it does.
 *
 * Cells (engine_config.cells; gate.h). A port that has them is busy with a packet from its first cell to its last, also while
 * its gate is closed between two; until then the packet is in the queue, with all its bytes. Behind the link it arrives whole.
 * Queues, marks, trims, pauses and credits know packets only.
 *
 * The controller of circuits is host_ops.control. What a host tells it (engine_tell) reaches it control_delay_ps
 * later; it acts before anything else that happens at that time.
 *
 * Order law. Events at one node are ordered by (time, kind, port, sequence): link or circuit state, departure
 * complete, pause or credit, arrival, timer, operation. Nodes meet through links only, so nothing depends on a
 * global order, and an engine may run nodes in any order that respects the links' delays.
 *
 * A packet pulled for a closed class is an error of the host (engine_class.open_classes tells). pull must not kick its
 * own port.
 *
 * Callbacks of different hosts may run at once in different threads; those of one host never do. They may call
 * engine_kick and engine_timer for their own host only, with times not before `now_ps`. */
#ifndef PHOTONET_ENGINE_H
#define PHOTONET_ENGINE_H

#include "netsim/engine/group.h"
#include "netsim/engine/queue.h"
#include "netsim/route/balance.h"
#include "netsim/route/lane.h"
#include "netsim/route/way.h"
#include "photonet/fabric.h"

#include <string.h>

enum packet_kind { PACKET_DATA, PACKET_ACK, PACKET_NACK, PACKET_CONTROL };

/* 16 bytes, all that moves through the engine. Anything else about a message is looked up at its ends. */
struct packet {
    uint64_t dst : 20, src : 20, flow : 17; /* hosts; slot of the message at its sender, also in its ACKs */
    uint64_t load : 6;                      /* of the fullest link on the way (load.h); an ACK repeats it */
    uint64_t asks_ack : 1;                  /* the sender wants an answer at once; an ACK repeats it */
    uint64_t seq : 24, size_bytes : 14, entropy : 16, kind : 2, class : 3, is_marked : 1, is_trimmed : 1,
        generation : 3;
};
_Static_assert(sizeof(struct packet) == 16, "a packet is two words");

/* Word by word: a load of the whole would have to wait until fields that were just written have left the store buffer. */
static inline void packet_copy(struct packet *to, const struct packet *from)
{
    uint64_t words[2];
    memcpy(words, from, sizeof words);
    __asm__("" : "+r"(words[0]), "+r"(words[1])); /* the compiler would make it one load again */
    memcpy(to, words, sizeof words);
}

/* What an endpoint says of a packet that it sends; the rest of the packet is zero. */
struct packet_parts {
    uint64_t dst, src, flow, load, asks_ack; /* of the first word */
    uint64_t seq, size_bytes, entropy, kind, class, is_marked, generation;
};

/* Composed as two words, of words: field by field, gcc writes half of a word or a byte of it and reads the whole back, which
 * waits for the store buffer (a quarter of the time of an endpoint that sends). */
static inline void packet_compose(struct packet *to, const struct packet_parts *parts)
{
    const uint64_t words[2] = {
        parts->dst | parts->src << 20 | parts->flow << 40 | parts->load << 57 | parts->asks_ack << 63,
        parts->seq | parts->size_bytes << 24 | parts->entropy << 38 | parts->kind << 54 | parts->class << 56 |
            parts->is_marked << 59 | parts->generation << 61,
    };
    memcpy(to, words, sizeof words);
}

#define PACKET_BYTES_MAX 16383
#define FLOW_SLOTS_MAX (1u << 17)
#define FLOW_PACKETS_MAX (1u << 24)
#define HOST_PORTS_MAX 64

#define HUGE_PORTS_MIN 1024 /* fabrics of so many ports have their state in huge pages (arena_use_huge_pages) */

/* Hosts on different threads see in order what happens to them so far apart: no window of any engine is longer. */
#define ENGINE_APART_PS (UINT64_C(1) << 30)

enum host_event { HOST_TIMER, HOST_OPERATION }; /* in the order law: timers before operations */

enum host_expect { EXPECT_FIRST, EXPECT_REST };
struct host_visit;
struct host_ops {
    /* The next packet that `host` sends on its `port` (counted within the host), or false: then the port sleeps
     * until the next kick. */
    bool (*pull)(void *context, uint32_t host, uint32_t port, uint64_t now_ps, struct packet *packet);
    /* A packet for this host has arrived, whole. */
    void (*receive)(void *context, uint32_t host, const struct packet *packet, uint64_t now_ps);
    /* A timer or operation that was set with engine_timer is due. argument < 2^40. */
    void (*event)(void *context, uint32_t host, enum host_event kind, uint64_t argument, uint64_t now_ps);
    /* NULL, or all that the host does in a window by visit_run (visit.h) with what these do: it saves the calls. An engine
     * may ask for it, or not. */
    void (*visit)(void *context, struct host_visit *visit);
    /* NULL, or a hint: `host` will receive these packets (and others that pass by it) soon: what they need may be fetched into
     * the cache, first what finds the rest, a little later that. */
    void (*expect)(void *context, uint32_t host, const struct packet *packets, uint32_t count, enum host_expect what);
    /* What `host` told the controller with engine_tell has reached it; NULL where nobody tells. By one thread at a
     * time, in the order (time, host, order of the calls of that host), and before all else of that time. It may call
     * engine_gate, engine_tell and, for any host, engine_timer. */
    void (*control)(void *context, uint32_t host, uint64_t argument, uint64_t now_ps);
};

/* A directed link, named by the port that sends, goes down or comes back, or goes on at another rate. While it is down
 * nothing starts on it; a packet that has started and whose last bit would leave the link later than that is lost; queued
 * ones wait. A packet keeps the rate at which it has started; at less than the fabric's rate it arrives whole, as where the
 * rates of two links differ. */
struct link_change {
    uint64_t time_ps;
    uint32_t port;
    bool is_up;
    uint64_t rate_bps; /* from now on; 0: the fabric's */
};

/* Which routes hold when: routes[i] from from_ps[i] on, base routes (engine_config.routes) before from_ps[0]. Where
 * period_ps is 0 the times are absolute, and at each of them what waits at a port whose link is down is dropped. */
struct route_epochs {
    uint64_t period_ps; /* > all of from_ps, or 0 */
    uint32_t count;
    uint32_t class_mask; /* bit c: packets of class c go by these; others by the base routes */
    const uint64_t *from_ps; /* ascending */
    const struct routes *const *routes;
};

/* The routes that hold at a time. */
static inline const struct routes *epochs_routes(const struct route_epochs *epochs, const struct routes *base,
                                                 uint64_t now_ps)
{
    uint64_t at_ps = epochs->period_ps > 0 ? now_ps % epochs->period_ps : now_ps;
    uint32_t first = 0, count = epochs->count; /* how many have begun */
    while (count > 0) {
        uint32_t half = count / 2;
        bool has_begun = epochs->from_ps[first + half] <= at_ps;
        first = has_begun ? first + half + 1 : first;
        count = has_begun ? count - half - 1 : half;
    }
    return first == 0 ? base : epochs->routes[first - 1];
}

struct engine_config {
    const struct fabric *fabric;
    const struct routes *routes;
    const struct ways *ways;     /* detours over regions; NULL: shortest ways only */
    bool is_source_routed;       /* switches take the entropy as a port (route/balance.h), not as what is hashed */
    uint64_t seed;               /* salts of the switches' hashes */
    uint32_t cut_through_bytes;  /* what a cut-through switch must have seen: the header */
    uint32_t packet_bytes_max;   /* of this run; a class without credit for so much is closed to pulls */
    struct cell_shape cells;     /* bytes 0: none */
    const struct queue_profile *switch_queues, *host_queues; /* NULL: queue_profile_plain */
    const struct host_ops *ops;
    void *context;               /* of the ops */
    const volatile int *interrupted; /* non-zero: engine_run returns early; may be NULL */
    uint32_t thread_count;       /* 0 and 1: the caller's alone; the result is the same for any */
    const struct link_change *link_changes; /* ascending times */
    size_t link_change_count;
    const struct route_epochs *epochs; /* NULL: `routes` always */
    const struct group_table *groups;  /* group.h; NULL: none */
    uint64_t control_delay_ps;   /* of engine_tell; > 0 where ops->control is used */
    bool links_repeat;           /* what a link loses by bit errors it repeats itself (error.h) */
    const char *simd;            /* body of the vector loops (simd.h); NULL: the widest of this machine */
    uint64_t fuse_ps;            /* nodes joined by links with less lookahead are served together; 0: as is cheapest */
};

/* What an engine counts on each directed link, named by the sending port. */
struct port_counters {
    uint64_t tx_packets, tx_bytes;
    uint64_t busy_ps;          /* time spent sending */
    uint64_t queue_wait_ps;    /* sum over packets: start - arrival at the queue, dark time left out */
    uint64_t dark_wait_ps;     /* time of waiting in which the link was not up or its gate closed, and between the cells of a packet */
    uint64_t queue_max_bytes;  /* packet in service counted */
    uint64_t dropped_packets, dropped_bytes;
    uint64_t marked_packets;
    uint64_t trimmed_packets, trimmed_bytes; /* packets cut down in this queue, and the bytes cut off */
    uint64_t pauses, pause_ps;               /* XOFF frames obeyed by this port, time with a class paused */
    uint64_t rx_packets, rx_bytes; /* at the other end of this link: sent = received + lost + errors + in flight */
    uint64_t lost_packets, lost_bytes; /* on a link that failed, counted when they start */
    uint64_t error_packets, error_bytes; /* lost by bit errors (error.h), counted when they start */
    uint64_t repeats, repeat_bytes;      /* by the link itself; not in tx_packets and tx_bytes, their time is in busy_ps */
    uint64_t stray_packets, stray_bytes; /* received by this port from its link, and without a way on */
    uint64_t cells, padding_bytes; /* of packets that have started; on the wire beyond tx_bytes (repeat_bytes has its own) */
    /* Groups: received by this port and copied or combined by its switch; made by the switch so, and queued at this
     * port. What a switch received = what it queued + strays + group_in - group_out. */
    uint64_t group_in_packets, group_in_bytes, group_out_packets, group_out_bytes;
};

#define RUN_PAST_PS PS_PER_US

struct engine;
struct engine_class {
    const char *name;
    struct engine *(*create)(struct arena *arena, const struct engine_config *config);
    void (*kick)(struct engine *engine, uint32_t host, uint32_t port, uint64_t now_ps);
    void (*timer)(struct engine *engine, uint32_t host, uint64_t when_ps, enum host_event kind, uint64_t argument);
    /* See engine_tell and engine_gate. */
    void (*tell)(struct engine *engine, uint32_t host, uint64_t argument, uint64_t now_ps);
    void (*gate)(struct engine *engine, uint32_t port, uint64_t open_ps, uint64_t close_ps);
    /* Runs all events up to and including until_ps; returns the time of the first one left, TIME_NEVER_PS when
     * nothing is left to happen. */
    uint64_t (*run)(struct engine *engine, uint64_t until_ps);
    /* The same for those who only look: may run on for up to RUN_PAST_PS, and returns a time that is not after the first
     * event left. Then sent_bytes tells of each link (by port) what had started there by until_ps. */
    uint64_t (*run_past)(struct engine *engine, uint64_t until_ps);
    void (*sent_bytes)(const struct engine *engine, uint64_t *bytes);
    void (*counters)(const struct engine *engine, uint32_t port, struct port_counters *counters);
    /* Bit c: class c is neither paused nor without credit on this port of a host. To be asked in pull. */
    uint32_t (*open_classes)(const struct engine *engine, uint32_t host, uint32_t port);
    /* Between runs, for every packet that waits at a port: by which port it came to the node (ID_NONE: the node's own),
     * and whether a pause or a lack of credit keeps its class back. */
    void (*waiting)(const struct engine *engine, uint32_t port,
                    void (*visit)(void *context, uint32_t in_port, bool is_kept_back), void *context);
    uint64_t (*hop_count)(const struct engine *engine); /* packets over links so far */
    uint64_t (*packets_in_flight)(const struct engine *engine); /* queued or on a link */
    /* Memory taken for packets so far, room that stands empty counted; what is taken is kept. NULL: not known. */
    uint64_t (*packets_bytes)(const struct engine *engine);
};
struct engine {
    const struct engine_class *class;
};

extern const struct engine_class engine_window;
/* The reference engine, where the tests or `make bench` have linked it (tests/support_reference.c); else NULL. */
extern const struct engine_class *const engine_reference;

static inline void engine_kick(struct engine *engine, uint32_t host, uint32_t port, uint64_t now_ps)
{
    engine->class->kick(engine, host, port, now_ps);
}

static inline void engine_timer(struct engine *engine, uint32_t host, uint64_t when_ps, enum host_event kind,
                                uint64_t argument)
{
    engine->class->timer(engine, host, when_ps, kind, argument);
}

/* In a callback of `host`, or in control: calls control(host, argument) control_delay_ps later. */
static inline void engine_tell(struct engine *engine, uint32_t host, uint64_t argument, uint64_t now_ps)
{
    engine->class->tell(engine, host, argument, now_ps);
}

/* In control: replaces what the gate of a port (of the fabric; it must have one) does from now on. It is open in
 * [open_ps, close_ps) and closed before and after; open_ps is not before now, close_ps may be TIME_NEVER_PS, and both
 * are where the port closes now. What is in service is finished. */
static inline void engine_gate(struct engine *engine, uint32_t port, uint64_t open_ps, uint64_t close_ps)
{
    engine->class->gate(engine, port, open_ps, close_ps);
}

static inline uint64_t frame_delay_ps(uint64_t delay_ps)
{
    return delay_ps > 0 ? delay_ps : 1;
}

/* The choice of a switch among equal next hops: the same for all packets of one (source, destination, entropy). */
static inline uint64_t packet_path_hash(const struct packet *packet, uint64_t salt)
{
    uint64_t x = ((uint64_t)packet->src << 40) ^ ((uint64_t)packet->dst << 16) ^ packet->entropy ^ salt;
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

/* From which a switch makes its choice: that, or what the packet itself says. */
static inline uint64_t packet_choice(const struct engine_config *config, const struct packet *packet, uint32_t node,
                                     uint64_t salt)
{
    return config->is_source_routed ? source_route_hash(packet->entropy, config->fabric->node_tier[node])
                                    : packet_path_hash(packet, salt);
}

/* A packet that goes on by out_port has the class of its lane there. */
static inline void packet_lane(const struct fabric *fabric, const struct queue_profile *profile, uint32_t in_port,
                               uint32_t out_port, struct packet *packet)
{
    if (profile->lane_count > 1) {
        uint32_t classes = profile->class_count / profile->lane_count, lane = packet->class / classes;
        uint32_t next = lane_next(fabric, profile->lane_rule, in_port, out_port, lane, profile->lane_count,
                                  (packet->entropy & WAY_LONG) != 0);
        packet->class = (packet->class - lane * classes + next * classes) & (CLASSES_MAX - 1);
    }
}

#endif
