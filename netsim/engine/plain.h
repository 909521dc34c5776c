/* The plain engine: one binary heap of events, one function per kind of event. It is small, exact and slow (about a
 * million packet-hops a second), and it is the specification: any faster engine must give the same digest.
 *
 * Scope: output queues with a capacity (tail drop), store-and-forward and cut-through switches, hosts that forward,
 * ports that come up later, one FIFO class.
 * Not modelled: priorities, pauses, credits, marking, trimming, shared buffers, links that fail.
 * Checked against: closed forms of idle flows, incast and shared links (tests/test_engine.c), conservation of packets and
 * bytes per link, SimGrid on long transfers (tests/test_simgrid.c). */
#ifndef PHOTONET_ENGINE_PLAIN_H
#define PHOTONET_ENGINE_PLAIN_H

#include "netsim/engine/engine.h"

/* What can happen at a node, in the order in which equal times are served. */
enum event_kind {
    EVENT_LINK_UP,
    EVENT_DEPARTED, /* the last bit of a packet has left a port */
    EVENT_ARRIVED,  /* at the node behind a port's link, its latency included */
    EVENT_HOST_TIMER,
    EVENT_HOST_OPERATION,
};

struct event {
    uint64_t time_ps;
    uint64_t argument; /* timers and operations */
    uint32_t node;
    uint32_t port; /* of the node: the one that departs, comes up, or has received */
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

#endif
