/* All that a host does in one window, as one text that those who serve many packets make a body of their own of.
 *
 *     arrivals, in order ──┐
 *     departures ──────────┼──► visit_run ──► receive, pull (inlined where they are named as constants)
 *     timers ──────────────┘        │
 *                                   └──► inbox of the node behind the link
 *
 * Workload: a host of 1024 that all send has 7 arrivals and as many departures in a window, in an order that nobody can
 * predict. Called one by one, through pointers, with the state of the port in memory, the two ends of a packet took 410
 * instructions; so they take 330, of which 80 are for finding and leaving the host (15.0 and 13.9 ns a packet and hop).
 *
 * Invariants
 *   V1  The order law as everywhere: a departure, then an arrival, then a timer.
 *   V2  While a host is visited, its port is what the visit says; the port itself is written when the visit is closed.
 *   V3  Packets arrive at the peer in the order in which they start, so the inbox that is written to seldom changes.
 *   V4  What the visit cannot do ends it: the engine goes on packet by packet, from where it stands.
 *
 * The engine opens a visit only where nothing is unusual (window_host.c): one port, up, nothing in transit, arrivals that came
 * in order. */
#ifndef PHOTONET_ENGINE_VISIT_H
#define PHOTONET_ENGINE_VISIT_H

#include "netsim/engine/engine.h"

#include <stddef.h>

enum { CHUNK_PACKETS = 24, CHUNK_BYTES = 512, CHUNK_ROOM_MASK = CHUNK_BYTES - 1 };

/* Packets on their way to one node in one window. */
struct chunk {
    struct chunk *older;
    uint32_t owner; /* worker that fills it */
    uint32_t count; /* once it is closed, or taken */
    uint32_t keys[CHUNK_PACKETS]; /* offset in the window << key_shift | port of arrival << 1 | is whole */
    struct packet packets[CHUNK_PACKETS];
};
_Static_assert(sizeof(struct chunk) <= CHUNK_BYTES, "a chunk is eight cache lines");

struct worker;
struct window_port;

/* How far a visit has come. Small, so that a body can have a copy of its own: one that no function is told of stays in
 * registers. Times count from the start of the window. */
struct visit_state {
    const struct chunk *chunk; /* of the next arrival; NULL: nothing is left */
    uint32_t lane, received;   /* its place; how many have been received */
    uint64_t end_ps;           /* of the visit; 0: V4 */
    uint64_t leave_ps;         /* what is in service has left; TIME_NEVER_PS: nothing is */
    uint64_t free_ps;          /* the last one has, or will have */
    uint32_t service_bytes, service_class; /* of that */
    uint32_t classes, packets; /* sent: as bits; how many */
    uint64_t bytes, busy_ps;   /* the same */
    uint64_t late_bytes;       /* of these, what has started after sample_ps */
    uintptr_t at;              /* chunk that is written to | room in it */
    uint64_t ahead_ps;         /* where its window begins; VISIT_NO_INBOX: there is none */
};

struct host_visit {
    struct visit_state state;
    uint32_t host;
    uint32_t open_classes;     /* neither paused nor without credit, as bits; does not change within a visit */
    uint64_t start_ps;         /* of the window */
    uint64_t sample_ps;
    struct window_port *port;  /* NULL: nobody is visited */
    /* what packets need that it sends */
    const uint32_t *service_ps; /* by size, up to bytes_max */
    uint64_t reach_ps;         /* beyond the last whole window on the link */
    uint32_t cut_bytes, cut_service_ps; /* larger packets arrive when so much has been sent */
    uint32_t bytes_max;        /* larger ones are more than the port has ever held, or than the engine knows of (V4) */
    uint32_t peer, key;        /* node behind the link; port there, as in the key of a chunk */
    uint32_t slot, slot_mask, key_shift;
    uintptr_t *tails;          /* of the peer, by slot */
    uint64_t width_ps;         /* of a window */
    struct worker *worker;
    struct packet odd;         /* V4: is to start at odd_ps */
    uint64_t odd_ps;           /* TIME_NEVER_PS: there is none */
};

#define VISIT_NO_INBOX (UINT64_C(1) << 62) /* far from all others */
#define VISIT_INLINE static inline __attribute__((always_inline))

/* The next packet, or false: as host_ops.pull. */
typedef bool visit_pull(void *context, struct host_visit *visit, uint64_t now_ps, struct packet *packet);
/* As host_ops.receive; true where the port is to be kicked then. */
typedef bool visit_receive(void *context, struct host_visit *visit, const struct packet *packet, uint64_t now_ps);

/* The chunk that a node's inbox goes on with, and its room (window_inbox.c). */
uintptr_t inbox_open(struct worker *worker, uint32_t node, uint32_t slot);
/* When the next timer of this host is due within the window, else TIME_NEVER_PS; serves it. */
uint64_t visit_due_ps(const struct host_visit *visit);
void visit_due(struct host_visit *visit);

/* Windows from that in which what arrives soonest does: 0, 1 or 2. */
VISIT_INLINE uint32_t visit_windows(const struct host_visit *visit, uint64_t ahead_ps)
{
    return (uint32_t)(ahead_ps >= visit->width_ps) + (uint32_t)(ahead_ps >= 2 * visit->width_ps);
}

VISIT_INLINE uintptr_t *visit_tail(const struct host_visit *visit, uint64_t ahead_ps)
{
    return &visit->tails[(visit->slot + visit_windows(visit, ahead_ps)) & visit->slot_mask];
}

/* V3: the tail that was written to is put back, and that of the window in which the packet arrives taken. */
VISIT_INLINE void visit_inbox_change(const struct host_visit *visit, struct visit_state *state, uint64_t ahead_ps)
{
    if (state->ahead_ps != VISIT_NO_INBOX) {
        *visit_tail(visit, state->ahead_ps) = state->at;
    }
    state->ahead_ps = visit_windows(visit, ahead_ps) * visit->width_ps;
    state->at = *visit_tail(visit, ahead_ps);
}

VISIT_INLINE void visit_put(const struct host_visit *visit, struct visit_state *state, const struct packet *packet,
                            uint64_t ahead_ps, bool is_cut)
{
    if (__builtin_expect(ahead_ps - state->ahead_ps >= visit->width_ps, 0)) {
        visit_inbox_change(visit, state, ahead_ps);
    }
    if (__builtin_expect((state->at & CHUNK_ROOM_MASK) == 0, 0)) {
        uintptr_t *tail = visit_tail(visit, ahead_ps);
        *tail = state->at;
        state->at = inbox_open(visit->worker, visit->peer, (uint32_t)(tail - visit->tails));
    }
    struct chunk *chunk = (struct chunk *)(state->at & ~(uintptr_t)CHUNK_ROOM_MASK);
    uint32_t lane = CHUNK_PACKETS - (state->at & CHUNK_ROOM_MASK);
    packet_copy(&chunk->packets[lane], packet);
    chunk->keys[lane] = (uint32_t)(ahead_ps - state->ahead_ps) << visit->key_shift | (visit->key ^ is_cut);
    state->at--;
}

/* A packet of the host's own starts. */
VISIT_INLINE void visit_send(struct host_visit *visit, struct visit_state *state, const struct packet *packet,
                             uint64_t offset_ps)
{
    uint32_t size = packet->size_bytes, class = packet->class;
    if (__builtin_expect(size > visit->bytes_max, 0)) {
        packet_copy(&visit->odd, packet);
        visit->odd_ps = offset_ps;
        state->leave_ps = state->end_ps = 0; /* V4 */
        return;
    }
    uint64_t service_ps = visit->service_ps[size];
    bool is_cut = size > visit->cut_bytes;
    visit_put(visit, state, packet, offset_ps + (is_cut ? visit->cut_service_ps : service_ps) + visit->reach_ps, is_cut);
    state->leave_ps = state->free_ps = offset_ps + service_ps;
    state->service_bytes = size;
    state->service_class = class;
    state->classes |= 1u << class;
    state->packets++;
    state->bytes += size;
    state->late_bytes += offset_ps > visit->sample_ps ? size : 0;
    state->busy_ps += service_ps;
}

/* The port is free, and asks for a packet. */
VISIT_INLINE void visit_start(struct host_visit *visit, struct visit_state *state, void *context, uint64_t offset_ps,
                              visit_pull *pull)
{
    struct packet packet;
    state->leave_ps = TIME_NEVER_PS;
    if (pull(context, visit, visit->start_ps + offset_ps, &packet)) {
        visit_send(visit, state, &packet, offset_ps);
    }
}

VISIT_INLINE uint64_t visit_arrival_ps(const struct host_visit *visit, const struct visit_state *state)
{
    return state->chunk != NULL ? state->chunk->keys[state->lane] >> visit->key_shift : TIME_NEVER_PS;
}

VISIT_INLINE const struct packet *visit_take(struct visit_state *state)
{
    const struct packet *packet = &state->chunk->packets[state->lane];
    state->received++;
    if (++state->lane == state->chunk->count) {
        state->chunk = state->chunk->older;
        state->lane = 0;
    }
    return packet;
}

/* `state`: that of the visit, or a copy of it which its caller puts back; the latter only where neither pull nor receive
 * kicks the port through the engine. has_timers: some may be set. */
VISIT_INLINE void visit_run(struct host_visit *visit, struct visit_state *state, void *context, bool has_timers,
                            visit_pull *pull, visit_receive *receive)
{
    uint64_t arrival_ps = visit_arrival_ps(visit, state);
    for (;;) {
        if (has_timers && visit_due_ps(visit) < (state->leave_ps < arrival_ps ? state->leave_ps : arrival_ps)) {
            visit_due(visit);
        } else if (state->leave_ps <= arrival_ps) {
            if (state->leave_ps >= state->end_ps) {
                return; /* also where nothing is left at all */
            }
            visit_start(visit, state, context, state->leave_ps, pull);
        } else {
            if (arrival_ps >= state->end_ps || state->chunk->packets[state->lane].dst != visit->host) {
                return;
            }
            const struct packet *packet = visit_take(state);
            if (receive(context, visit, packet, visit->start_ps + arrival_ps) && state->leave_ps == TIME_NEVER_PS) {
                visit_start(visit, state, context, arrival_ps, pull);
            }
            arrival_ps = visit_arrival_ps(visit, state);
        }
    }
}

#endif
