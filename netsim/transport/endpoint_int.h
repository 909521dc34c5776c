/* What the files of the endpoint share with each other only.
 *
 *   endpoint.c          messages: posting, opening, timers, the end; life of the endpoint
 *   endpoint_flow.c     slots and what hangs at them: rings of bits, times and arrivals
 *   endpoint_send.c     which packet a host port sends next; what ACKs and NACKs change at the sender
 *   endpoint_receive.c  what the receiver notes, and when it answers
 *   endpoint_pull.c     credit that receivers hand out */
#ifndef PHOTONET_ENDPOINT_INT_H
#define PHOTONET_ENDPOINT_INT_H

#include "netsim/transport/endpoint.h"

struct flow {
    /* read by both ends (I2) */
    struct message message;
    uint64_t *ring;      /* bits and times of ring_entries packets, see endpoint_flow.c; NULL: none */
    uint32_t packet_count;
    uint8_t generation;
    uint8_t ring_log2;   /* ring_entries = 2^ring_log2 */
    bool is_local;

    /* sender's half */
    bool is_paced;           /* a timer is set for pace_ps */
    uint64_t identity;       /* (source host, number of the message there): keys its random draws */
    uint32_t next_seq, base_seq, acked_count;
    uint32_t lost_count, lost_seq; /* packets to be sent again; none of them is before lost_seq */
    uint32_t sent_end;       /* all before it were sent once, also where the sender has gone back */
    uint32_t gap_end;        /* what is missing before it has been sent again (repeats_gaps) */
    uint32_t sent_count;     /* data packets sent, repeats counted */
    uint32_t nacks;
    uint64_t flight_bytes;   /* sent, neither acknowledged nor given up */
    uint64_t progress_ps;    /* last acknowledgement of something new, or last repeat */
    uint64_t queued_ports;   /* bit p: stands in the ring of port p (I3); belongs to the slot */
    uint64_t allowed_ports;
    uint64_t timer_ps;       /* when the timer that counts is due (I4) */
    uint64_t pace_ps;        /* no packet starts before */
    uint32_t next_free;

    /* receiver's half */
    uint32_t received_count, received_base; /* everything before the base has come */
    uint32_t received_end;                  /* one past the highest that has come */
    uint32_t trimmed, duplicates, reordered, reorder_max;
    uint64_t reorder_sum;
    uint32_t unanswered_bytes;              /* accepted since the last ACK */
    uint16_t ack_number;                    /* of the next ACK (ACK_COALESCED) */
    bool owes_ack;                          /* one more when no gap is left */
    bool has_nacked;                        /* ACK_IN_ORDER: the expected packet */
    uint64_t delivered_ps;                  /* read by the sender after the last ACK */

    uint64_t state[]; /* of the transport */
};

#define CHUNK_FLOWS 32
#define RING_LOG2_MAX 24

/* Flow slots or control packets waiting for a port; grows, never shrinks. */
struct slot_ring {
    uint32_t *slots;
    uint32_t head, count, capacity;
};

struct control_ring {
    struct packet *packets;
    uint32_t head, count, capacity;
};

/* Entropies that came back unmarked, oldest first (REPS: Bonato et al., arXiv 2407.21625, which has 8 of
 * them); behind the transport's state where routing.balance recycles. */
#define GOOD_ENTROPIES 8
struct good_entropies {
    uint16_t value[GOOD_ENTROPIES];
    uint32_t head, count;
};

/* Behind the transport's state where routing.balance has flowlets. */
struct flowlet {
    uint64_t sent_ps; /* the last packet */
    uint64_t number;
};

/* Credit of a message, behind the transport's state where the transport is receiver-driven. */
struct pull_state {
    /* sender's half */
    int64_t credit_bytes, speculative_bytes;
    uint32_t pulled;          /* quanta granted so far, as the sender knows */
    bool is_committed;        /* the receiver has answered */
    /* receiver's half, in quanta */
    uint8_t lists;            /* of the receiver's host, in which the message stands */
    int32_t target, granted;  /* what the sender wants in all, and has got */
    int32_t repeat;           /* for trimmed packets, to be granted first */
};

struct pull_entry {
    uint32_t host, slot; /* host ID_NONE: the message is delivered */
};

struct pull_list {
    struct pull_entry *entries;
    uint32_t head, count, capacity;
};

struct host {
    struct flow **chunks;
    size_t chunk_count, chunk_capacity;
    uint32_t free_slot;                       /* list through next_free */
    uint64_t *free_rings[RING_LOG2_MAX + 1];  /* by size; lists through their first word */
    uint64_t message_count;
    struct slot_ring *ready;                  /* per port */
    struct control_ring *control;             /* per port */
    uint32_t *turn;                           /* per port: control packets sent since data had its turn */
    struct pull_list pull_repeat, pull_active, pull_idle;
    uint64_t pull_ps;                         /* no pull before */
    bool is_pulling;                          /* a timer is set for it */
    struct endpoint_counters counters;
};

struct endpoint {
    struct endpoint_config config;
    const struct transport *transport;
    enum ack_policy ack;
    void *shared; /* the transport's */
    struct arena *arena;
    struct engine *engine;
    struct host *hosts;
    struct transport_facts facts;
    bool can_lose, can_close; /* queues drop; classes can be paused or without credit */
    uint32_t control_class;
    uint64_t rto_ps;
    uint64_t window_packets; /* twice what may be in flight (I1) */
    struct pull_rule pull;
    bool recycles;           /* entropies */
    bool has_times;          /* the transport wants them, or gaps may be repeated */
    bool repeats_gaps;       /* what is acknowledged past a packet means that it is lost */
    size_t good_offset, flowlet_offset, pull_offset; /* of struct good_entropies, flowlet and pull_state in flow->state */
    size_t flow_bytes;       /* struct flow and what stands behind it */
};

/* ---- endpoint_flow.c -------------------------------------------------------------------------------------- */

static inline struct flow *flow_at(const struct endpoint *endpoint, uint32_t host, uint32_t slot)
{
    uint8_t *chunk = (uint8_t *)endpoint->hosts[host].chunks[slot / CHUNK_FLOWS];
    return (struct flow *)(chunk + (slot % CHUNK_FLOWS) * endpoint->flow_bytes);
}

uint32_t slot_take(struct endpoint *endpoint, uint32_t host_id);
void slot_free(struct endpoint *endpoint, uint32_t host_id, uint32_t slot);
/* The rings of a message whose packet_count is set. */
void flow_ring_take(struct endpoint *endpoint, struct flow *flow);

/* The parts of a ring: sets of packets by sequence number, indexed modulo the number of entries. */
static inline uint32_t ring_words(const struct flow *flow)
{
    return flow->ring_log2 < 6 ? 1 : 1u << (flow->ring_log2 - 6);
}

static inline uint32_t ring_index(const struct flow *flow, uint32_t seq)
{
    return seq & ((1u << flow->ring_log2) - 1);
}

static inline uint64_t *acked_bits(const struct flow *flow) /* sender */
{
    return flow->ring;
}

static inline uint64_t *lost_bits(const struct flow *flow) /* sender: to be sent again */
{
    return flow->ring + ring_words(flow);
}

static inline uint64_t *received_bits(const struct flow *flow) /* receiver, ACK_EACH */
{
    return flow->ring + 2 * ring_words(flow);
}

/* Receiver, ACK_COALESCED: the number of the ACK that reports the packet, and the round of the ring. */
static inline uint16_t *arrivals(const struct flow *flow)
{
    return (uint16_t *)(flow->ring + 2 * ring_words(flow));
}

/* Sender, where the transport has_times: when the packet was sent last, or what SENT_TWICE says. */
static inline uint64_t *sent_times(const struct endpoint *endpoint, const struct flow *flow)
{
    uint32_t words = ring_words(flow), entries = 1u << flow->ring_log2;
    bool is_coalesced = endpoint->ack == ACK_COALESCED;
    return flow->ring + 2 * words + (is_coalesced ? (entries + 3) / 4 : words);
}
#define SENT_TWICE (UINT64_C(1) << 63) /* after a timeout: an ACK may be for either */

static inline bool bit_get(const struct flow *flow, const uint64_t *bits, uint32_t seq)
{
    uint32_t index = ring_index(flow, seq);
    return bits[index / 64] >> (index % 64) & 1;
}

static inline void bit_put(const struct flow *flow, uint64_t *bits, uint32_t seq, bool is_set)
{
    uint32_t index = ring_index(flow, seq);
    uint64_t mask = UINT64_C(1) << (index % 64);
    bits[index / 64] = is_set ? bits[index / 64] | mask : bits[index / 64] & ~mask;
}

static inline uint64_t flow_packet_bytes(const struct endpoint *endpoint, const struct flow *flow, uint32_t seq)
{
    return shape_packet_bytes(&endpoint->config.shape, flow->message.bytes, seq);
}

/* Sender, where entropies are recycled: that of the packet as it was sent last. */
uint16_t *sent_entropies(const struct endpoint *endpoint, const struct flow *flow);

static inline struct good_entropies *good_entropies(const struct endpoint *endpoint, struct flow *flow)
{
    return (struct good_entropies *)((uint8_t *)flow->state + endpoint->good_offset);
}

static inline bool has_flowlets(const struct endpoint *endpoint)
{
    return balance_has(endpoint->config.balance, BALANCE_FLOWLETS);
}

static inline struct flowlet *flowlet_of(const struct endpoint *endpoint, struct flow *flow)
{
    return (struct flowlet *)((uint8_t *)flow->state + endpoint->flowlet_offset);
}

/* ---- endpoint_send.c -------------------------------------------------------------------------------------- */

/* Puts the flow into the rings of the ports that it may use and wakes them. */
void flow_wake(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps);
/* The packet is not under way any more and has to be sent again. */
void packet_give_up(struct endpoint *endpoint, struct flow *flow, uint32_t seq);
/* Back to the expected packet: what was sent behind it is thrown away by the receiver (ACK_IN_ORDER). */
void go_back(struct endpoint *endpoint, struct flow *flow, uint32_t expected);
void ack_receive(struct endpoint *endpoint, const struct packet *packet, uint64_t now_ps);
void nack_receive(struct endpoint *endpoint, const struct packet *packet, uint64_t now_ps);
/* A packet for another host that is no data: sent before data, in the order of these calls. */
void control_send(struct endpoint *endpoint, const struct packet *packet, uint64_t now_ps);

/* ---- endpoint_receive.c ----------------------------------------------------------------------------------- */

void data_receive(struct endpoint *endpoint, const struct packet *packet, uint64_t now_ps);

/* ---- endpoint_pull.c: of receiver-driven transports only -------------------------------------------------- */

void pull_begin(struct endpoint *endpoint, struct flow *flow);
bool pull_may_send(const struct endpoint *endpoint, struct flow *flow);
void pull_sent(struct endpoint *endpoint, struct flow *flow, uint32_t seq, uint64_t bytes);
void pull_commit(struct endpoint *endpoint, struct flow *flow);
/* Asks for credit where nothing is under way that could bring it. */
void pull_ask(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps);
void pull_arrived(struct endpoint *endpoint, struct flow *flow, const struct packet *packet, uint64_t now_ps);
void pull_delivered(struct endpoint *endpoint, struct flow *flow, const struct packet *packet);
void control_receive(struct endpoint *endpoint, const struct packet *packet, uint64_t now_ps);
void pull_due(struct endpoint *endpoint, uint32_t host_id, uint64_t now_ps);

/* ---- endpoint.c ------------------------------------------------------------------------------------------- */

enum flow_timer { FLOW_TIMER, FLOW_PACE };
#define PULL_TIMER (UINT64_C(2) << 27) /* argument of the host's own timer */
void flow_timer_set(struct endpoint *endpoint, struct flow *flow, uint32_t slot, enum flow_timer kind,
                    uint64_t when_ps);
/* Everything is acknowledged: tells the owner and frees the slot. */
void flow_finish(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps);

#endif
