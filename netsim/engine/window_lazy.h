/* Nodes that are served whole, without a list of steps: what is usual there.
 *
 *      inbox ──► arrivals, sorted once ─┐
 *                                       ├─► in order of time:  frame ──► pause, credit ──► start the port
 *                frames, sorted ────────┘                      packet ─► choose ─► admit ─► start the port
 *
 *      leave[port]  when what is in service has left: looked at when it can matter, all ports of a node at once
 *
 * What a port sends depends on its own arrivals and frames alone; what others can see of a departure is how much the port
 * still holds (adaptive choice, shared buffers) and how much an input does (pauses, credits). So departures are made
 * up for before somebody looks:
 *
 *   of a port       before a packet or a frame comes to it
 *   of all ports    before an adaptive choice, before an input can go beyond its threshold, and where buffers are shared
 *   of all, in the order of the law   while an input of the node has paused its link, or where credits are returned: then
 *                   each departure may send a frame, whose time is that of the departure
 *   of all          at the end of the window
 *
 * Whatever is rare there goes to coupled_serve, window by window, since both leave a node in the same state: gates, detours,
 * virtual lanes, dark ports, runs that end inside a window, unequal rates where packets cut through, packets that take
 * longer than a window.
 *
 *   window_lazy.c       arrivals in order
 *   window_lazy_body.h  the switch, for vectors of any width (scalar: coupled_serve) */
#ifndef PHOTONET_ENGINE_WINDOW_LAZY_H
#define PHOTONET_ENGINE_WINDOW_LAZY_H

#include "netsim/engine/window_class.h"

/* An arrival: offset in the window | port of arrival | is for this host (I4: what is in transit was sent first), then its
 * place in `where`. All are whole. */
static inline uint64_t lazy_item_ps(const struct window_core *core, uint64_t item)
{
    return item >> (32 + core->key_shift);
}
static inline uint32_t lazy_item_port(const struct window_core *core, uint64_t item)
{
    return (uint32_t)(item >> 33) & ((1u << (core->key_shift - 1)) - 1);
}
static inline bool lazy_item_is_final(uint64_t item)
{
    return item >> 32 & 1;
}
static inline uint32_t lazy_item_at(uint64_t item)
{
    return (uint32_t)item;
}

/* A frame: offset | pause before credit | port | number, which falls with age: chains are read from the newest on (C3). */
enum { FRAME_NUMBER_BITS = 24, FRAME_NUMBER_MAX = (1 << FRAME_NUMBER_BITS) - 1 };
static inline uint64_t lazy_frame_ps(const struct window_core *core, uint64_t item)
{
    return item >> (FRAME_NUMBER_BITS + core->key_shift);
}
static inline uint32_t lazy_frame_port(const struct window_core *core, uint64_t item)
{
    return (uint32_t)(item >> FRAME_NUMBER_BITS) & ((1u << (core->key_shift - 1)) - 1);
}
static inline const struct packet *lazy_frame_packet(const struct frames *frames, uint64_t item)
{
    return &frames->packets[FRAME_NUMBER_MAX - ((uint32_t)item & FRAME_NUMBER_MAX)];
}
void frame_add(struct worker *worker, uint32_t key, const struct packet *frame);
void frames_sort(struct worker *worker);
/* In order, where the offset of an item starts at bit `time_shift`; either array may be the one that is used from then on. */
void lazy_sort(const struct window_core *core, uint64_t **items, uint64_t **spare, uint32_t count, uint32_t time_shift);

/* What has left: the port by which it came and its bytes; dropped as it came. */
enum { LEFT_PORT_SHIFT = META_SIZE_BITS, LEFT_DROPPED = 1 << 30 };
void left_reserve(struct worker *worker, uint32_t more);
static inline void left_put(struct worker *worker, int32_t when_ps, uint32_t in_port, uint32_t what)
{
    struct left_log *left = &worker->left;
    if (__builtin_expect(left->count == left->capacity, 0)) {
        left_reserve(worker, 1);
    }
    left->when_ps[left->count] = when_ps;
    left->what[left->count++] = in_port << LEFT_PORT_SHIFT | what;
}

/* Takes the inbox of a node: arrivals and frames, each in order. */
void lazy_take(struct worker *worker, uint32_t node);
/* The same after chains_take. */
void lazy_take_chains(struct worker *worker, uint32_t node);

#endif
