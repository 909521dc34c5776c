/* The reference engine: one binary heap of events, one function per kind of event. It is small, exact and slow (some
 * million packet-hops a second), and it is the specification: any faster engine must give the same digest.
 *
 *   support_reference.c        events: arrivals, departures, timers; the class
 *   support_reference_port.c   output ports: classes, what fits, what is sent next
 *   support_reference_link.c   what goes back over a link: pauses and credits
 *   support_reference_group.c  copying and combining
 *   support_reference_heap.c   pending events
 *
 * Scope: store-and-forward and cut-through switches, hosts that forward, ports that come up later, and all of
 * queue.h.
 * Gates, failures and the controller: gate.h. A port that cannot start what it has because of them has one wake-up
 * pending, at the time when something can; wake-ups that are overtaken by others stay in the heap and are passed over.
 * Checked against: closed forms (tests/test_engine.c), conservation of packets and bytes per link, SimGrid on long
 * transfers (tests/test_simgrid.c); what queues do by closed forms of their own (tests/test_queue.c), and by the transports
 * that need it (tests/test_transport.c, tests/test_peers.c). */
#ifndef PHOTONET_TESTS_REFERENCE_INT_H
#define PHOTONET_TESTS_REFERENCE_INT_H

#include "netsim/engine/error.h"
#include "netsim/engine/gate.h"
#include "netsim/engine/load.h"
#include "tests/reference.h"

/* What can happen at a node, in the order in which equal times are served. */
enum event_kind {
    EVENT_FLUSH,    /* routes have changed: what waits at a dead link is dropped */
    EVENT_REROUTE,  /* a window closes: what waits may be routed again */
    EVENT_LINK_UP,  /* also: a gate lets something start */
    EVENT_DEPARTED, /* the last bit of a packet has left a port */
    EVENT_PAUSE,    /* argument: number of the frame on its link | class | 1 for XOFF, 0 for XON */
    EVENT_CREDIT,   /* argument: number of the frame | class | bytes that are free again */
    EVENT_ARRIVED,  /* at the node behind a port's link, its latency included */
    EVENT_HOST_TIMER,
    EVENT_HOST_OPERATION,
};

struct event {
    uint64_t time_ps;
    uint64_t argument;
    uint32_t node;
    uint32_t port; /* of the node: the one that departs, comes up, is told, or has received */
    uint8_t kind;
    bool is_whole; /* EVENT_ARRIVED at a cut-through switch: the tail is in as well */
    struct packet packet;
};

/* A binary min-heap by (time, node, kind, port, argument). */
struct event_heap {
    struct event *events;
    size_t count, capacity;
    struct arena *arena;
};
void event_heap_push(struct event_heap *heap, const struct event *event);
struct event event_heap_pop(struct event_heap *heap); /* count > 0 */

/* ---- shared by the files of this engine ------------------------------------------------------------------- */

/* A packet in an output queue, or in service. */
struct waiting {
    struct packet packet;
    uint64_t since_ps;
    uint32_t in_port;        /* by which it came, ID_NONE where the host itself sends it */
    uint32_t in_bytes;       /* its size when it came: what pause and credit accounts hold of it */
    uint8_t in_class;
    bool is_new;             /* its input does not know of it yet */
};

struct class_queue {
    struct waiting *ring; /* capacity 2^k */
    uint32_t head, count, capacity;
    uint64_t bytes;       /* packet in service counted */
    uint64_t deficit_bytes;
};

struct port {
    const struct queue_profile *profile;
    struct gating *gating;    /* NULL: may always send */
    uint64_t rate_bps;
    uint64_t wake_ps;         /* pending EVENT_LINK_UP that counts, TIME_NEVER_PS for none */
    uint64_t reroute_ps;      /* pending EVENT_REROUTE, TIME_NEVER_PS for none */
    bool is_pull_wanted;      /* was not pulled because of its gate */
    struct class_queue *classes;
    uint32_t turn;            /* class whose turn it is in the round robin */
    uint64_t queued_bytes;    /* of all classes, packet in service counted */
    struct waiting service;   /* while is_busy */
    uint8_t service_class;
    bool is_busy, is_dark;
    bool is_transit_next;     /* host ports: whose turn it is */
    uint32_t paused;          /* bit per class: told to stop by the node behind the link */
    uint64_t paused_since_ps;
    uint64_t credit_bytes[CLASSES_MAX];
    uint64_t packet_number;   /* keys the draws */
    /* as an input */
    uint64_t held_bytes[CLASSES_MAX]; /* came in here and has not left the node */
    uint64_t headroom_bytes;
    uint32_t pausing;         /* bit per class: XOFF sent to the node behind the link */
    struct port_load load;
    uint64_t frame_number;    /* of pauses and credits so far */
    struct port_counters counters;
};

struct plain {
    struct engine base; /* first: an engine is one of these */
    struct engine_config config;
    const struct fabric *fabric;
    struct arena *arena;
    struct event_heap heap;
    struct event_heap controls; /* node: host, port: number of the call */
    uint32_t *tell_count;  /* per host */
    uint32_t pull_bytes_max; /* what must fit before a host is asked */
    uint64_t control_ps;   /* of the control that runs */
    struct gating **gatings;
    struct port *ports;
    struct combine_table *combines; /* per node, where there are groups */
    uint64_t result_count;
    uint64_t *salt;        /* per node */
    uint64_t *used_bytes;  /* per node: buffered, for shared buffers */
    uint64_t hop_count;
    uint64_t in_flight;
};

/* support_reference_port.c */
void port_init(struct plain *plain, uint32_t port_id);
/* Sends the next packet if the port is free, up, and has one. */
void port_start(struct plain *plain, uint32_t port_id, uint64_t now_ps);
/* A packet for this port has come by in_port: queued, trimmed or dropped. */
void port_arrive(struct plain *plain, uint32_t port_id, const struct packet *packet, uint32_t in_port, uint32_t in_class,
                 uint64_t now_ps);
/* A packet that has come by in_port and has no way on. */
void port_stray(struct plain *plain, const struct packet *packet, uint32_t in_port, uint64_t now_ps);
void port_departed(struct plain *plain, uint32_t port_id, uint64_t now_ps);
bool port_class_is_open(const struct plain *plain, const struct port *port, uint32_t class, uint64_t bytes);
/* A port that is free and has something that its gate keeps back is woken when that may start. */
void port_wake(struct plain *plain, uint32_t port_id, uint64_t now_ps);
void port_flush(struct plain *plain, uint32_t port_id, uint64_t now_ps);
/* A window has closed: what waits for it and may, is routed again. */
void port_reroute(struct plain *plain, uint32_t port_id, uint64_t now_ps);
/* The output port of a packet that is at a node (support_reference.c). */
uint32_t route_port(const struct plain *plain, uint32_t node, const struct packet *packet, uint32_t towards,
                    uint64_t now_ps);

/* Queues what the node itself has made of packets of a group (support_reference_port.c). in_port: whose buffer it takes, or
 * ID_NONE. */
void port_make(struct plain *plain, uint32_t port_id, const struct packet *packet, uint32_t in_port, uint64_t now_ps);

/* support_reference_group.c */
void groups_init(struct plain *plain);
void on_group(struct plain *plain, const struct event *event);
static inline bool is_for_group(const struct plain *plain, const struct packet *packet)
{
    return packet->dst >= plain->fabric->host_count;
}

/* support_reference_link.c */
/* A packet that came by `in_port` is now held by the node, or has left it: pauses, credits. */
void input_hold(struct plain *plain, uint32_t in_port, uint32_t class, uint32_t bytes, uint64_t now_ps);
void input_release(struct plain *plain, uint32_t in_port, uint32_t class, uint32_t bytes, uint64_t now_ps);
/* Its part that concerns the link's credit. */
void input_credit_return(struct plain *plain, uint32_t in_port, uint32_t class, uint32_t bytes, uint64_t now_ps);
void on_pause(struct plain *plain, const struct event *event);
void on_credit(struct plain *plain, const struct event *event);
/* The profile of the node to which a port belongs. */
const struct queue_profile *profile_of(const struct plain *plain, uint32_t node);

static inline uint32_t class_of(const struct queue_profile *profile, const struct packet *packet)
{
    return packet->class < profile->class_count ? packet->class : profile->class_count - 1;
}

#endif
