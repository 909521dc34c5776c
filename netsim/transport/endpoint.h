/* Both ends of every message: packets out, acknowledgements back, each byte delivered once.
 *
 *     replay: endpoint_send(host, message)                 replay: delivered(message)     replay: acked(message)
 *                   │                                               ▲                            ▲
 *      ┌────────────▼──── source host ──────────┐      ┌────────────┴─ destination ─┐            │
 *      │ flow slot: window, next_seq, ACK bits  │─────►│ rx half of the same slot:  │──ACKs, ────┘
 *      │ per port: ring of flows with work      │ data │ count, bits of what came   │  NACKs
 *      └────────────────────────────────────────┘      └────────────────────────────┘
 *
 * Workload: up to some hundred messages in flight per host, each of 1 to 10^7 packets; one ACK per data
 * packet, or per some of them (enum ack_policy).
 * Memory: with host.connections=0 192 B a message in flight with ideal, window, roce and credit (200 where a timeout is of the
 * whole), 256 with the others, which keep 40 to 64 B of it to steer it (264: dcqcn that repeats gaps; 24 B more where entropies
 * are recycled), and a ring that grows with its window (endpoint_flow.c: of nscc 12.4 B a packet, of window 0.4); nothing for a
 * finished one, whose slot and ring are used again. Where there are connections, these keep what steers
 * (endpoint_connection.c), and a message has 200 B with nscc as well.
 * A flow is found by (source host, slot), so neither end searches. The source frees the slot when all is
 * acknowledged; the generation in every packet tells late duplicates from a new message in the slot.
 *
 * I1  A packet leaves only if seq < base + n, base being the oldest one not acknowledged and n the entries of the
 *     message's rings (endpoint_flow.c); so they never wrap onto live entries. n is twice the largest window of the
 *     transport in packets, or what the message has, rounded up to a power of two: 512 at 400 Gbit/s over 12 us.
 * I2  Only the source host writes the sender's half, only the destination the receiver's half. What both read (dst,
 *     bytes, packets, message) is written before the first packet leaves.
 * I3  A slot stands in the ring of each port at most once (queued_ports), also when a message left it there that went
 *     by another port and the next message has the slot.
 * I4  One timer of a flow counts, the one set last (timer_ps; for pacing, any that is not too early). Timers cannot be
 *     taken back and outlive messages, and a generation of three bits comes round, so a timer is told by its time.
 * I5  What an ACK_COALESCED reports is looked up by the sender in the receiver's half: the receiver logs every new
 *     packet with the number of the ACK that will report it. The log only grows, and what an ACK does not cover has later
 *     numbers, so the answer is that of the time when the ACK was sent, whatever the receiver does meanwhile. The sender
 *     has read acked_count entries; received_count is written after its entry. An entry is overwritten n packets later,
 *     which by I1 have not left before the sender has read it.
 * I6  Of a message that is complete the receiver only asks whether it is, since the sender may end it and use the slot again
 *     in another thread: the generation changes first, so who finds it unchanged after the counts has the counts of its
 *     message. A late packet of it has one answer, whether it is over at the sender or not.
 * I7  Of a message that was sent in part twice, copies and their answers may be under way when it is over, and a generation
 *     of three bits comes round in eight messages. Its slot rests until so many others of the host rest (SLOTS_AT_REST):
 *     each of those took a timeout or a NACK's round trip, so eight times as many are behind a copy that could be taken for
 *     one of a new message.
 *
 * Lost packets: where queues can drop, a timer per flow sends everything again that has been out for `rto`
 * without an acknowledgement (per packet, where the transport keeps times), and doubles while that is in vain (struct
 * backoff). Where nothing can be lost there are no timers. */
#ifndef PHOTONET_ENDPOINT_H
#define PHOTONET_ENDPOINT_H

#include "netsim/engine/engine.h"
#include "netsim/route/balance.h"
#include "netsim/route/path.h"
#include "netsim/transport/message.h"
#include "netsim/transport/team.h"
#include "netsim/transport/transport.h"

struct endpoint_ops {
    void (*delivered)(void *context, const struct message *message, uint64_t now_ps);
    void (*acked)(void *context, const struct message *message, const struct message_fate *fate, uint64_t now_ps);
    /* Ports of its host that a message may leave by, as bits; 0: as the routes say. NULL: they always do. */
    uint64_t (*ports)(void *context, const struct message *message);
};

struct endpoint_config {
    const struct fabric *fabric;
    const struct routes *routes;
    struct packet_shape shape;
    const struct transport *transport;
    const void *transport_values;
    const struct balance *balance;
    uint32_t entropies; /* of a balance that uses a given number of them; 0: 64 */
    uint64_t flowlet_gap_ps; /* of a balance with flowlets */
    const struct queue_profile *queues; /* of the switches; NULL: plain ones */
    uint64_t small_bytes; /* data of messages of at most so many bytes is of small_class; 0: none */
    uint8_t small_class;
    bool can_fail;     /* links may: packets are lost whatever the queues do */
    uint64_t slowest_bps; /* to which a link is degraded; 0: none is */
    const struct route_epochs *epochs; /* which routes hold when (engine.h); NULL: `routes` always */
    uint64_t rto_ps;   /* where the transport has none of its own */
    uint64_t post_ps;  /* software time between posting and the NIC */
    uint64_t post_gap_ps; /* least time between two messages that a host's NIC takes */
    uint64_t nic_ps;   /* between memory and the line, at each end: PCIe and NIC */
    bool is_told_late; /* the owner hears of a delivery when the sender has the ACK: an idle way back later */
    uint32_t connections; /* for each pair of ranks and channel, messages in order over each; 0: each message is one of its own */
    uint64_t segment_bytes; /* longer messages are carried in parts; 0: as long as sequence numbers reach */
    uint64_t local_bps, local_ps; /* copies of messages between ranks of one host: rate, and time before the first byte */
    const struct team_table *teams; /* whose messages switches copy or combine; NULL: none */
    uint64_t seed;
    const struct endpoint_ops *ops;
    void *context;
};

/* What a transport is told of a fabric. */
struct transport_facts endpoint_facts(const struct fabric *fabric, const struct routes *routes,
                                      const struct packet_shape *shape);

struct endpoint;
struct endpoint *endpoint_new(struct arena *arena, const struct endpoint_config *config);
/* The engine on which it runs; must be set before the first send. */
void endpoint_attach(struct endpoint *endpoint, struct engine *engine);

void endpoint_send(struct endpoint *endpoint, const struct message *message, uint64_t now_ps);

/* To be called by the owner of the engine's host_ops. Timers of the endpoint have arguments below
 * ENDPOINT_ARGUMENTS. */
#define ENDPOINT_ARGUMENTS (UINT64_C(1) << 32)
bool endpoint_pull(struct endpoint *endpoint, uint32_t host, uint32_t port, uint64_t now_ps, struct packet *packet);
void endpoint_receive(struct endpoint *endpoint, uint32_t host, const struct packet *packet, uint64_t now_ps);
/* As host_ops.expect; whether it gains anything. */
bool endpoint_wants_expect(const struct endpoint *endpoint);
void endpoint_expect(const struct endpoint *endpoint, uint32_t host, const struct packet *packets, uint32_t count,
                     enum host_expect what);
void endpoint_timer(struct endpoint *endpoint, uint32_t host, uint64_t argument, uint64_t now_ps);

/* The host's messages draw their paths as they did from the start. Queue pairs keep what they have learnt. */
void endpoint_renew(struct endpoint *endpoint, uint32_t host);

struct endpoint_counters {
    /* duplicates: received in vain, because it had come before or (ACK_IN_ORDER) came before its turn */
    uint64_t data_packets_sent, retransmissions, data_packets_delivered, duplicates, acks_received;
    uint64_t nacks_received, trimmed_packets; /* trimmed: as they arrived at receivers */
    uint64_t reordered, reorder_sum; /* packets that came after one with a higher number; their distances */
    uint64_t payload_bytes_delivered; /* once per destination */
    uint64_t marked_packets;
    uint64_t messages_posted, messages_delivered, messages_acked;
    /* from here on: of several hosts the largest, not the sum */
    uint64_t reorder_max;
    uint64_t moved_ps; /* the last packet that brought something new, or was acknowledged for the first time */
};
void endpoint_counters(const struct endpoint *endpoint, struct endpoint_counters *sum);

/* After which packets count as lost; 0 where none can be. */
uint64_t endpoint_rto_ps(const struct endpoint *endpoint);
/* The longest that a timeout becomes that is repeated in vain; 0 where nothing can be lost. */
uint64_t endpoint_rto_ps_max(const struct endpoint *endpoint);
/* What a full window needs on the slowest link that is degraded; 0: none is. */
uint64_t endpoint_slow_ps(const struct endpoint *endpoint);

/* Longest idle round trip that the default window was computed from. */
uint64_t endpoint_base_rtt_ps(const struct endpoint *endpoint);

#endif
