/* Ports of the windowed engine that have classes, marks, trims, pauses or credits: everything of queue.h.
 *
 *   window_class.c     the port: what fits, what is marked, cut down or dropped, what is sent next
 *   window_coupled.c   a node that is served whole, in the order of the law: the general way
 *   window_class_body.h   a port of two classes of which one goes first, in vectors
 *   window_lazy.h, window_lazy_host.c, window_lazy_body.h   the same without a list of steps, where nothing is unusual
 *   window_apart_body.h   switches that have pauses and adaptive choice at most, port by port; of the parts
 *                    window_apart_scan_body.h, window_apart_deal_body.h, window_apart_order_body.h,
 *                    window_apart_choice_body.h, window_apart_quick_body.h, window_apart_wait_body.h,
 *                    window_apart_port_body.h, window_apart_replay_body.h, window_apart_account_body.h
 *
 * A `struct window_port` keeps what all ports have (link, time, counters); this is what stands beside it:
 *
 *                        class 0   ┌──┬──┬──┬──┐
 *      arrival ─ admit ─►          └──┴──┴──┴──┘ ─► next ─► send (port_transmit)
 *                        class 1   ┌──┬──┐      ring of capacity 2^k, made as it grows
 *                                  └──┴──┘
 *
 * Nodes are of two kinds. Where no port of a switch can see what another one does (no pause, credit, shared buffer or
 * adaptive choice), each port is served on its own, over its sorted arrivals, and a departure is noticed when the
 * next thing happens there. All others are coupled: a departure tells the node behind the link at its very moment, and
 * other ports how much is left. Such a node is served whole. In general all that happens there goes through one list in the
 * order of the law; where there are no gates, detours or lanes, departures are made up for when somebody could see them;
 * and where ports see each other through pauses and adaptive choice alone, they are served one by one again. All three leave
 * a node in the same state, and which one serves it is decided window by window. `is_coupled` is a constant wherever it is
 * passed.
 *
 * Cost, adaptive choice and pauses at 1024 hosts (AVX-512, a busy Xeon virtual machine, runs in turn): 116 ns a packet-hop
 * through the list, 61 with departures made up for and ports apart, 50 with choices that are sent at once, beside 18 of plain
 * FIFOs. On a core of Sapphire Rapids at 4.1 GHz: 43 so, 35 with choices that are dealt first and batches in order, beside 16.5 of
 * plain FIFOs; hosts were 9 of it, choices 9 (a chain of some 80 cycles for each), 1.8 branches a hop mispredicted (says
 * callgrind), and memory but 3 (128 hosts). There again, 36.8 became 30 where idle ports are found by one comparison, choices
 * put in order by a network and packets dealt from vectors, beside 15 of plain FIFOs: ports are 8.7 of it, hosts 8, choices
 * and their order 3.3, dealing 2; 27 without a choice by backlog. Rejected: accounts in the order of time while ports are
 * served, since hardly ever may an input pass a threshold; all ports scanned before any sends, as with plain FIFOs (2 % more);
 * queues longer than the window appended to without a scan (1.5 % more); fetching what ports will write to while choices are
 * made, or a third line of each port (no gain); three rows of newest packets instead of four (none).
 *
 * Pauses and credits ("frames") travel through the inboxes as packets of size 0, one link delay and no
 * serialisation: the window is no wider than that delay where frames may go to a switch, or from host to host.
 *
 * Invariants
 *   C1  port->count is the number of packets in all rings, `ready` tells which are not empty; port->queued_bytes and the
 *       ring's bytes count the packet in service too, until it has left.
 *   C2  A port that is busy or dark has its bit in core->waiting if its node is coupled or a host; the node is woken
 *       when the first busy one is done.
 *   C3  Frames of one link arrive in the order in which they were sent, also where times are equal. */
#ifndef PHOTONET_ENGINE_WINDOW_CLASS_H
#define PHOTONET_ENGINE_WINDOW_CLASS_H

#include "netsim/base/rng.h"
#include "netsim/engine/load.h"
#include "netsim/engine/window.h"

struct class_waiting {
    struct packet packet;
    uint64_t since_ps;
    uint32_t in_port;  /* of this node, by which it came; ID_NONE where the host itself sends it */
    uint16_t in_bytes; /* its size when it came: what pause and credit accounts hold of it */
    uint8_t in_class;
};

struct class_ring {
    struct class_waiting *items; /* capacity 2^k */
    uint32_t head, count, capacity;
    uint64_t bytes;
};

struct class_port {
    const struct queue_profile *profile;
    const uint8_t *best;      /* of the profile: by the classes that may send, those of the best priority */
    struct class_ring *rings;
    uint64_t packet_number;   /* keys the draws */
    uint64_t marked_packets, trimmed_packets;
    uint32_t service_in_port; /* of the packet in service */
    uint16_t service_in_bytes;
    uint8_t service_in_class, service_class;
    uint8_t ready;            /* bit per class: not empty */
    uint8_t paused;           /* bit per class: told to stop by the node behind the link */
    uint8_t turn;             /* class whose turn it is in the round robin */
    uint64_t credit_bytes[CLASSES_MAX];
    uint64_t deficit_bytes[CLASSES_MAX];
    uint64_t headroom_bytes; /* as an input */
    uint64_t paused_since_ps;
    struct port_load load;
    uint64_t trimmed_bytes, pauses, pause_ps;
} __attribute__((aligned(64)));
_Static_assert(offsetof(struct class_port, credit_bytes) == 64, "what every packet needs is one line");

/* A class at an input: what came in there and has not left the node, and at which bytes the link must be paused (more than
 * `high`) or may go on (no more than `low`): one compare for each packet, whichever of both it is waiting for. */
struct input_class {
    int64_t held_bytes;
    int64_t high_bytes; /* INT64_MAX: never, or paused already */
    int64_t low_bytes;  /* -1: not paused */
    uint64_t is_credited; /* the node behind the link spends credits of this class */
};

#define CLASS_INLINE static inline __attribute__((always_inline))

/* ---- frames (window_coupled.c) ---------------------------------------------------------------------------- */

/* A packet of size 0: `class` is the class, `is_marked` says XOFF, `flow` has the bytes. */
enum frame_kind { FRAME_PAUSE, FRAME_CREDIT };
static inline bool frame_is_credit(const struct packet *packet)
{
    return packet->kind == FRAME_CREDIT;
}

/* Takes a frame in; true where the port may be able to start something now. */
static inline bool frame_obey(struct class_port *queues, const struct packet *frame, uint64_t now_ps)
{
    uint8_t class_bit = (uint8_t)(1u << frame->class);
    if (frame->kind == FRAME_CREDIT) {
        queues->credit_bytes[frame->class] += frame->flow;
        return true;
    }
    if (frame->is_marked) {
        queues->pauses++;
        queues->paused_since_ps = queues->paused == 0 ? now_ps : queues->paused_since_ps;
        queues->paused |= class_bit;
        return false;
    }
    queues->paused &= (uint8_t)~class_bit;
    if (queues->paused == 0) {
        queues->pause_ps += now_ps - queues->paused_since_ps;
    }
    return true;
}

/* The class at the input has passed `high`, or `low`: the link is paused, or goes on. */
void input_full(struct worker *worker, struct window_node *node, uint32_t in_port, uint32_t class, uint64_t now_ps);
void input_empty(struct worker *worker, struct window_node *node, uint32_t in_port, uint32_t class, uint64_t now_ps);
void input_credit(struct worker *worker, const struct window_port *in, uint32_t class, uint32_t bytes, uint64_t now_ps);

CLASS_INLINE struct input_class *input_of(const struct window_core *core, const struct window_node *node,
                                          uint32_t in_port, uint32_t class)
{
    return &core->inputs[((size_t)node->port_first + in_port) * core->input_stride + class];
}

/* A packet has come by in_port (of the node) into the node's buffers. */
CLASS_INLINE void input_came(struct worker *worker, struct window_node *node, uint32_t in_port, uint32_t class,
                             uint32_t bytes, uint64_t now_ps)
{
    struct input_class *input = input_of(worker->core, node, in_port, class);
    input->held_bytes += bytes;
    node->used_bytes += bytes;
    if (__builtin_expect(input->held_bytes > input->high_bytes, 0)) {
        input_full(worker, node, in_port, class, now_ps);
    }
}

/* It has left the node, or is dropped: resume, credit. */
CLASS_INLINE void input_left(struct worker *worker, struct window_node *node, uint32_t in_port, uint32_t class,
                             uint32_t bytes, uint64_t now_ps)
{
    struct input_class *input = input_of(worker->core, node, in_port, class);
    input->held_bytes -= bytes;
    node->used_bytes -= bytes;
    if (__builtin_expect(input->held_bytes <= input->low_bytes, 0)) {
        input_empty(worker, node, in_port, class, now_ps);
    }
    if (input->is_credited) {
        input_credit(worker, &worker->core->ports[node->port_first + in_port], class, bytes, now_ps);
    }
}

/* ---- rings ------------------------------------------------------------------------------------------------ */

void class_ring_grow(struct worker *worker, struct class_ring *ring);

CLASS_INLINE uint32_t class_of(const struct queue_profile *profile, const struct packet *packet)
{
    return packet->class < profile->class_count ? packet->class : profile->class_count - 1;
}

CLASS_INLINE void class_count_bytes(struct window_port *port, struct class_ring *ring, uint64_t bytes)
{
    ring->bytes += bytes;
    port->queued_bytes += bytes;
    if (__builtin_expect(port->queued_bytes > port->queue_max_bytes, 0)) {
        port_record(port, port->queued_bytes);
    }
}

/* The place behind the newest packet, which the caller fills, and whose bytes it counts. */
CLASS_INLINE struct class_waiting *class_place(struct worker *worker, struct window_port *port, struct class_port *queues,
                                               uint32_t class)
{
    struct class_ring *ring = &queues->rings[class];
    if (__builtin_expect(ring->count == ring->capacity, 0)) {
        class_ring_grow(worker, ring);
    }
    queues->ready |= (uint8_t)(1u << class);
    port->count++;
    return &ring->items[(ring->head + ring->count++) & (ring->capacity - 1)];
}

CLASS_INLINE void class_push(struct worker *worker, struct window_port *port, struct class_port *queues,
                             uint32_t class, const struct class_waiting *waiting)
{
    *class_place(worker, port, queues, class) = *waiting;
    class_count_bytes(port, &queues->rings[class], waiting->packet.size_bytes);
}

CLASS_INLINE const struct class_waiting *class_head(const struct class_ring *ring)
{
    return &ring->items[ring->head];
}

/* ---- what fits -------------------------------------------------------------------------------------------- */

/* Bytes that the class may hold now. */
CLASS_INLINE uint64_t class_limit_bytes(const struct window_node *node, const struct window_port *port,
                                        const struct queue_profile *profile, uint32_t class, bool is_coupled)
{
    uint64_t own_bytes = profile->class[class].capacity_bytes;
    uint64_t limit_bytes = own_bytes > 0 ? own_bytes : port->capacity_bytes;
    if (!is_coupled || profile->shared_bytes == 0) {
        return limit_bytes;
    }
    uint64_t free_bytes = node->used_bytes < profile->shared_bytes ? profile->shared_bytes - node->used_bytes : 0;
    int32_t shift = profile->alpha_log2;
    uint64_t threshold_bytes = shift >= 0 ? free_bytes << shift : free_bytes >> -shift;
    return threshold_bytes < limit_bytes ? threshold_bytes : limit_bytes;
}

CLASS_INLINE bool class_fits(const struct window_node *node, const struct window_port *port,
                             const struct class_port *queues, uint32_t class, uint64_t bytes, bool is_coupled)
{
    uint64_t held_bytes = queues->rings[class].bytes;
    uint64_t limit_bytes = class_limit_bytes(node, port, queues->profile, class, is_coupled);
    return held_bytes <= limit_bytes && bytes <= limit_bytes - held_bytes;
}

/* ---- marks ------------------------------------------------------------------------------------------------ */

bool class_draw_mark(const struct window_core *core, uint32_t port_id, const struct queue_class *rule, uint64_t bytes);

/* Never below low, always from high on, linear between. */
CLASS_INLINE void class_mark(const struct window_core *core, uint32_t port_id, struct class_port *queues,
                             const struct queue_class *rule, struct packet *packet, uint64_t bytes)
{
    if (bytes <= rule->mark_low_bytes || packet->kind != PACKET_DATA || packet->is_trimmed) {
        return;
    }
    if (bytes >= rule->mark_high_bytes || class_draw_mark(core, port_id, rule, bytes)) {
        queues->marked_packets += !packet->is_marked;
        packet->is_marked = 1;
    }
}

/* ---- arriving --------------------------------------------------------------------------------------------- */

void class_drop(struct worker *worker, struct window_node *node, struct window_port *port,
                const struct class_waiting *waiting, uint64_t now_ps, bool is_coupled);

/* A packet that does not fit: drops or trims. True where anything was queued in the end. */
bool class_overflow(struct worker *worker, struct window_node *node, uint32_t port_id, uint32_t class,
                    const struct class_waiting *waiting, uint64_t now_ps, bool is_coupled);

/* Queues, trims or drops a packet; true where anything was queued. The accounts of its input know it already. */
CLASS_INLINE bool class_admit_waiting(struct worker *worker, struct window_node *node, uint32_t port_id,
                                      bool is_fitting, uint32_t class, struct class_waiting *waiting, uint64_t now_ps,
                                      bool is_coupled)
{
    struct window_port *port = &worker->core->ports[port_id];
    struct class_port *queues = &worker->core->class_ports[port_id];
    if (__builtin_expect(!is_fitting, 0)) {
        return class_overflow(worker, node, port_id, class, waiting, now_ps, is_coupled);
    }
    struct class_ring *ring = &queues->rings[class];
    if (queues->profile->class[class].mark == MARK_ENQUEUE) {
        class_mark(worker->core, port_id, queues, &queues->profile->class[class], &waiting->packet, ring->bytes);
    }
    class_push(worker, port, queues, class, waiting);
    return true;
}

CLASS_INLINE bool class_admit(struct worker *worker, struct window_node *node, uint32_t port_id, bool is_fitting,
                              uint32_t class, const struct packet *packet, uint32_t in_port, uint32_t in_class,
                              uint64_t now_ps, bool is_coupled)
{
    struct window_port *port = &worker->core->ports[port_id];
    struct class_port *queues = &worker->core->class_ports[port_id];
    if (__builtin_expect(!is_fitting, 0)) {
        struct class_waiting waiting = {.packet = *packet, .since_ps = now_ps, .in_port = in_port,
                                        .in_bytes = packet->size_bytes, .in_class = (uint8_t)in_class};
        return class_overflow(worker, node, port_id, class, &waiting, now_ps, is_coupled);
    }
    struct class_ring *ring = &queues->rings[class];
    struct class_waiting *place = class_place(worker, port, queues, class);
    place->packet = *packet;
    place->since_ps = now_ps;
    place->in_port = in_port;
    place->in_bytes = packet->size_bytes;
    place->in_class = (uint8_t)in_class;
    if (queues->profile->class[class].mark == MARK_ENQUEUE) {
        class_mark(worker->core, port_id, queues, &queues->profile->class[class], &place->packet, ring->bytes);
    }
    class_count_bytes(port, ring, packet->size_bytes);
    return true;
}

/* ---- sending ---------------------------------------------------------------------------------------------- */

CLASS_INLINE bool class_is_open(const struct class_port *queues, uint32_t class, uint64_t bytes)
{
    return !(queues->paused >> class & 1) &&
           (queues->profile->class[class].credit_bytes == 0 || queues->credit_bytes[class] >= bytes);
}

/* Classes of the best priority that have a packet which may leave, as bits. */
CLASS_INLINE uint32_t classes_best(const struct class_port *queues, uint32_t allowed, bool is_coupled)
{
    uint32_t ready = queues->ready & allowed;
    for (uint32_t left = is_coupled ? ready : 0; left != 0; left &= left - 1) {
        uint32_t class = (uint32_t)__builtin_ctz(left);
        ready ^= class_is_open(queues, class, class_head(&queues->rings[class])->packet.size_bytes) ? 0 : 1u << class;
    }
    return queues->best[ready];
}

/* Deficit round robin among several classes. */
uint32_t class_by_turn(struct class_port *queues, uint32_t classes);

/* The packet stays where it is, until another one is queued. */
CLASS_INLINE struct class_waiting *class_pop(struct window_port *port, struct class_port *queues, uint32_t class)
{
    struct class_ring *ring = &queues->rings[class];
    struct class_waiting *first = &ring->items[ring->head];
    ring->head = (ring->head + 1) & (ring->capacity - 1);
    ring->count--;
    queues->ready ^= (uint8_t)((ring->count == 0) << class);
    port->count--;
    return first;
}

/* Takes the next packet out of its ring; NULL where none of the classes `allowed` (a bit each) may leave. */
CLASS_INLINE struct class_waiting *class_next(struct window_port *port, struct class_port *queues, uint32_t allowed,
                                              uint32_t *class, bool is_coupled)
{
    uint32_t classes = classes_best(queues, allowed, is_coupled);
    if (classes == 0) {
        return NULL;
    }
    bool is_one = (classes & (classes - 1)) == 0;
    *class = is_one ? (uint32_t)__builtin_ctz(classes) : class_by_turn(queues, classes);
    return class_pop(port, queues, *class);
}

/* In-band telemetry: the port's own load, and the largest of its way into a data packet. */
void class_load_tell(struct worker *worker, uint32_t port_id, struct packet *packet, uint64_t queue_bytes, uint64_t number,
                     uint64_t now_ps);

CLASS_INLINE struct link_use link_use_usual(struct worker *worker, struct window_port *port, const struct packet *packet)
{
    struct link_use use = {port_service_ps(port, packet->size_bytes), LINK_CARRIES};
    if (__builtin_expect(port->is_lossy, 0) && error_draw(worker, port, packet->size_bytes, true, &use)) {
        error_count(worker, port, packet, &use);
    }
    return use;
}

CLASS_INLINE void class_deliver(struct worker *worker, const struct window_port *port, const struct packet *packet,
                                uint64_t now_ps, struct link_use use, bool is_coupled)
{
    bool is_group = is_coupled && port->peer_id != ID_NONE && packet->dst >= worker->core->fabric->host_count;
    bool is_destination = port->peer_id == packet->dst || is_group;
    if (__builtin_expect(use.fate == LINK_CARRIES_WHOLE, 0)) {
        port_deliver_whole(worker, port, packet, now_ps + use.service_ps, is_destination);
    } else if (port_is_near(worker, port) && now_ps - worker->start_ps < worker->core->width_ps) {
        packet_deliver(worker, port, packet, now_ps - worker->start_ps, use.service_ps);
    } else {
        port_deliver(worker, port, packet, now_ps, is_destination);
    }
}

/* A packet starts; a link that loses it never takes the buffer behind it. */
CLASS_INLINE void class_start(struct worker *worker, uint32_t port_id, uint32_t class, struct class_waiting *next,
                              uint64_t now_ps, struct link_use use, bool is_coupled)
{
    bool is_lost = use.fate == LINK_LOSES;
    struct window_core *core = worker->core;
    struct window_port *port = &core->ports[port_id];
    struct class_port *queues = &core->class_ports[port_id];
    const struct queue_class *rule = &queues->profile->class[class];
    if (next->in_port != ID_NONE && rule->mark == MARK_DEQUEUE) {
        class_mark(core, port_id, queues, rule, &next->packet, queues->rings[class].bytes - next->packet.size_bytes);
    }
    if (__builtin_expect(queues->profile->load_period_ps > 0, 0)) {
        class_load_tell(worker, port_id, &next->packet, port->queued_bytes - next->packet.size_bytes, port->tx_packets,
                        now_ps);
    }
    queues->service_class = (uint8_t)class;
    if (is_coupled) {
        queues->service_in_port = next->in_port;
        queues->service_in_bytes = next->in_bytes;
        queues->service_in_class = next->in_class;
        queues->credit_bytes[class] -= !is_lost && rule->credit_bytes > 0 ? next->packet.size_bytes : 0;
    }
    port_depart(worker, port, &next->packet, next->since_ps, now_ps, use.service_ps);
}

/* The same, and it is on the link. */
CLASS_INLINE void class_send(struct worker *worker, uint32_t port_id, uint32_t class, struct class_waiting *next,
                             uint64_t now_ps, struct link_use use, bool is_coupled)
{
    class_start(worker, port_id, class, next, now_ps, use, is_coupled);
    if (use.fate != LINK_LOSES) {
        class_deliver(worker, &worker->core->ports[port_id], &next->packet, now_ps, use, is_coupled);
    }
}

/* The packet in service has left. */
CLASS_INLINE void class_leave(struct window_port *port, struct class_port *queues)
{
    queues->rings[queues->service_class].bytes -= port->in_service_bytes;
    port->queued_bytes -= port->in_service_bytes;
    port->in_service_bytes = 0;
}

/* Lines of a port with classes: itself and its rings, which stand in the order of the ports. */
CLASS_INLINE void class_port_prefetch(const struct window_core *core, const struct window_node *node, uint32_t port_local)
{
    const struct class_port *first = &core->class_ports[node->port_first];
    uint32_t ring_lines = (first->profile->class_count * (uint32_t)sizeof(struct class_ring) + 63) / 64;
    lines_prefetch(&first[port_local], 1);
    lines_prefetch((const uint8_t *)first->rings + (size_t)port_local * ring_lines * 64, ring_lines);
}

/* As next_node_prefetch, a little more. */
CLASS_INLINE void next_port_prefetch(struct worker *worker)
{
    const struct window_core *core = worker->core;
    next_chunk_prefetch(worker);
    if (worker->node_next != ID_NONE && worker->port_next < core->nodes[worker->node_next].port_count) {
        const struct window_node *next = &core->nodes[worker->node_next];
        lines_prefetch(&core->ports[next->port_first + worker->port_next], 2);
        class_port_prefetch(core, next, worker->port_next);
        worker->port_next++;
    }
}

#endif
