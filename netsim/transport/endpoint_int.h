/* What the files of the endpoint share with each other only.
 *
 *   endpoint.c          messages: posting, opening, timers, the end; life of the endpoint
 *   endpoint_connection.c  messages in order, segments
 *   endpoint_flow.c     slots and what hangs at them: rings of bits, times and arrivals
 *   endpoint_send.c     which packet a host port sends next; what ACKs and NACKs change at the sender
 *   endpoint_receive.c  what the receiver notes, and when it answers
 *   endpoint_pull.c     credit that receivers hand out
 *   endpoint_pacer.c    which ports of a receiver it paces together
 *   endpoint_team.c     messages that switches copy or combine */
#ifndef PHOTONET_ENDPOINT_INT_H
#define PHOTONET_ENDPOINT_INT_H

#include "netsim/transport/endpoint.h"

/* What a transport steers: a message, or a connection of which messages are a part. */
struct steer {
    uint64_t flight_bytes;   /* sent, neither acknowledged nor given up */
    uint64_t state[];        /* of the transport, then struct good_entropies, struct flowlet and the pace, where there are such */
};

/* Messages of a pair of ranks in order; endpoint_connection.c. */
struct connection {
    uint64_t key; /* of its pair */
    uint32_t channel;
    bool is_begun;               /* the transport knows of it */
    uint32_t head, cursor, tail; /* slots */
    uint32_t posted;             /* messages so far */
    uint32_t lost_count;         /* packets of all messages that are to be sent again */
    uint32_t delivered, held;    /* of the receiver: messages so far; slot of one that is complete too early */
    struct steer steer;
};

static inline struct connection *connection_of(const struct steer *steer)
{
    return (struct connection *)((uint8_t *)steer - offsetof(struct connection, steer));
}

struct pair {
    uint64_t key; /* source rank, destination rank */
    uint32_t channel, posted;
    struct connection *connections;
};

/* A message that is carried in segments. */
struct parent {
    struct message message;
    struct message_fate fate;
    uint32_t count, acked, delivered; /* the last one is the receiver's */
    uint32_t number, next_free;       /* in host.parents */
};

/* Three lines: the receiver's with what both read, the sender's, what is seldom looked at. Behind them what only some keep (the
 * tail), a fourth line of most. A packet touches one of them at the receiver and three at the sender. What is never wanted at
 * the same time shares its place. */
struct flow {
    uint64_t *ring;         /* both: bits and times of so many packets, see below; NULL: none */
    uint32_t ring_mask;     /* both: entries - 1, a power of two less one; UINT32_MAX: no ring */
    uint32_t packet_count;  /* both */
    uint32_t received_count, received_base; /* everything before the base has come */
    union {
        struct {
            uint32_t received_end;     /* one past the highest that has come */
            uint32_t unanswered_bytes; /* accepted since the last ACK */
        };
        uint32_t held_next;    /* once all has come, too early for its connection: the next one of those, see there */
        uint64_t delivered_ps; /* once it is delivered; read by the sender after the last ACK */
    };
    uint64_t reorder_sum;
    uint32_t reordered, reorder_max;
    uint32_t trimmed, duplicates;
    uint32_t nacked_last : 24; /* of the packets that came cut down, the last of the message */
    uint32_t owes_ack : 1;  /* one more when no gap is left */
    uint32_t has_nacked : 1; /* ACK_IN_ORDER: the expected packet; ACK_COALESCED with windows: any, and not all before
                               nacked_last have come since, or not itself */
    uint16_t ack_number;    /* of the next ACK (ACK_COALESCED) */
    uint8_t generation;     /* both */
    uint8_t has_parent : 1; /* both: part of a message, see parent_of */
    uint8_t has_connection : 1; /* both; else the message is one of its own */
    uint8_t reach : 2;      /* both: enum reach */

    /* sender's half */
    uint64_t allowed_ports;
    uint64_t queued_ports;  /* bit p: stands in the ring of port p (I3); belongs to the slot */
    uint32_t next_seq, base_seq, acked_count;
    uint32_t lost_count;    /* packets to be sent again */
    uint32_t sent_count;    /* data packets sent, repeats counted */
    uint32_t number;        /* low part of flow_identity */
    struct message message; /* both; its first words are in this line */
    uint64_t timer_ps;      /* when the timer that counts is due (I4) */
    uint8_t number_high;
    bool is_paced : 1;      /* a timer is set to when the pace allows a packet */
    bool has_asked : 1;     /* an answer will come: the last new packet asked for one, or a probe since */
    bool is_early : 1;      /* software and NIC are still busy with it */
    bool waits_turn : 1;    /* others of the connection have packets to send first */
    /* Timeouts that follow each other without anything new acknowledged between them double the next one, from the second on
     * (RFC 6298, 5.5). As an acknowledgement may be for the first copy of what was sent twice, the longer timeout stays until
     * all that was out at the last one is acknowledged (Karn's rule, ibid. 3). */
    bool is_backing_off : 1; /* there was a timeout */
    bool has_moved : 1;      /* something new was acknowledged since the last one */
    uint8_t backoff;         /* the timeout is so often doubled */
    uint32_t backoff_until;  /* base_seq that ends it */
    uint32_t nacks;
    union {
        uint32_t lost_seq;  /* no packet to be sent again is before it */
        uint32_t sent_end;  /* ACK_IN_ORDER: all before it were sent once, also where the sender has gone back */
        uint32_t free_next; /* of a free slot */
    };
    union {
        struct steer steer;          /* its own */
        struct steer *shared_steer;  /* both: of its connection, where there are such */
    };
};
_Static_assert(FLOW_PACKETS_MAX == 1 << 24, "flow.nacked_last");
_Static_assert(sizeof(struct flow) == 192 && offsetof(struct flow, allowed_ports) == 64, "three lines");

/* The tail of a flow: the rest of its own struct steer or, where there are connections, this; then struct pull_state, where
 * receivers hand out credit, and union progress, where there is a timeout of the whole or gaps are repeated. */
struct membership {
    uint32_t ordinal;       /* both: in the connection */
    uint32_t next_slot;     /* sender's */
};

union progress {
    uint64_t moved_ps; /* last acknowledgement of something new, or last repeat; for a timeout of the whole */
    uint64_t gap_end;  /* repeats_gaps: what is missing before it has been sent again */
};

#define BACKOFF_MIN 10 /* the most that a timeout doubles, more where links are slow: 0.1 s of the default of 100 us */
#define BACKOFF_MAX 20

#define CHUNK_FLOWS 8
#define RING_LOG2_MAX 24
#define RING_LOG2_COALESCED_MAX 17 /* an arrival has so many bits for its place: 545 MB in flight of a message */

/* Flow slots or control packets waiting for a port; grows, never shrinks. */
struct slot_ring {
    uint32_t *slots;
    uint32_t head, count, capacity;
};

struct control_ring {
    struct packet *packets;
    uint32_t head, count, capacity;
};

struct host_port {
    _Alignas(64) struct slot_ring ready;
    struct control_ring control;
    uint32_t turn;  /* control packets sent since data had its turn */
    bool is_served; /* got a packet when it asked last */
};

/* Entropies that came back unmarked, oldest first (REPS: Bonato et al., arXiv 2407.21625, which has 8 of them); behind the transport's state where routing.balance recycles. */
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

/* Credit of a message, behind the flow where the transport is receiver-driven. */
struct pull_state {
    /* sender's half */
    int64_t credit_bytes, speculative_bytes;
    uint32_t pulled;          /* quanta granted so far, as the sender knows */
    bool is_committed;        /* the receiver has answered */
    /* receiver's half, in quanta */
    uint8_t lists;            /* of the receiver's pacer, in which the message stands */
    uint8_t pacer;            /* number + 1; 0: not known yet */
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

/* Ports of a receiver among which routes choose: one pull a packet time of theirs together. */
struct pull_pacer {
    struct pull_list repeat, active, idle;
    uint64_t next_ps;         /* no pull before */
    uint64_t interval_ps;
    bool is_pulling;          /* a timer is set for it */
};

/* A message that is on its way from the NIC to memory. */
struct landing {
    uint64_t when_ps;
    struct message message;
};

struct landing_ring {
    struct landing *landings;
    uint32_t head, count, capacity;
};

struct host {
    _Alignas(64) struct flow **chunks;
    struct host_port *ports;
    uint32_t port_count;
    uint64_t pulled_ports;                    /* those that are asking for a packet, which must not be kicked */
    uint32_t free_slot, slot_count;           /* list through free_next; slots ever used */
    uint32_t rest_first, rest_last, rest_count; /* slots at rest (I7), oldest first, through free_next */
    uint64_t message_count;
    uint64_t post_ps;                         /* the NIC takes no message before */
    struct endpoint_counters counters;
    size_t chunk_count, chunk_capacity;
    struct pair *pairs;                       /* open addressing by key; capacity 2^k */
    uint32_t pair_count, pair_capacity;
    struct connection *free_connections;      /* of pairs that are closed; list through the first word */
    struct parent **parents;
    size_t parent_count, parent_capacity;
    uint32_t free_parent;                     /* number + 1; 0: none */
    struct landing_ring landings;
    struct pull_pacer *pacers;                /* NULL: receivers hand out no credit */
    uint8_t *pacer_of;                        /* by port; NULL: there is one pacer */
    uint64_t *free_rings[RING_LOG2_MAX + 1];  /* by size; lists through their first word */
};

struct endpoint {
    struct endpoint_config config;
    const struct transport *transport;
    enum ack_policy ack;
    void *shared; /* the transport's */
    struct arena *arena;
    struct engine *engine;
    struct host *hosts;
    struct flow **first_chunks;   /* of each host: few enough to stay in the cache, where most messages are found without its host */
    struct team_host *team_hosts; /* NULL: no teams */
    struct transport_facts facts;
    bool can_lose, can_close; /* queues drop; classes can be paused or without credit */
    bool probes;             /* the window may shut on packets that the receiver does not answer yet */
    uint32_t control_class;
    uint64_t rto_ps, segment_bytes;
    uint64_t rto_low_ps;     /* while few packets are under way; 0: rto_ps */
    uint64_t window_packets; /* twice what may be in flight (I1) */
    struct pull_rule pull;
    bool recycles;           /* entropies */
    bool has_times;          /* the transport wants them, or gaps may be repeated */
    bool repeats_gaps;       /* what is acknowledged past a packet means that it is lost */
    bool is_paced;           /* by the transport */
    size_t good_offset, flowlet_offset, pace_offset; /* in steer->state */
    size_t flow_bytes;       /* with the tail */
    size_t pull_offset, progress_offset; /* in a tail */
    bool has_progress;
    uint32_t backoff_max;    /* doublings */
    size_t connection_bytes;
};

/* The ports of a host towards another one, by the routes of now; where these know no way, by those that did. */
static inline struct port_set host_routes(const struct endpoint *endpoint, uint32_t host, uint32_t dst, uint64_t now_ps)
{
    const struct endpoint_config *config = &endpoint->config;
    if (__builtin_expect(config->epochs != NULL, 0)) {
        struct port_set set = routes_next(epochs_routes(config->epochs, config->routes, now_ps), host, dst);
        return set.count > 0 ? set : routes_next(config->routes, host, dst);
    }
    return routes_next(config->routes, host, dst);
}

/* ---- endpoint_flow.c -------------------------------------------------------------------------------------- */

static inline struct flow *flow_at(const struct endpoint *endpoint, uint32_t host, uint32_t slot)
{
    struct flow *chunk = slot < CHUNK_FLOWS ? endpoint->first_chunks[host] : endpoint->hosts[host].chunks[slot / CHUNK_FLOWS];
    return (struct flow *)((uint8_t *)chunk + slot % CHUNK_FLOWS * endpoint->flow_bytes);
}

static inline uint8_t *flow_tail(const struct flow *flow)
{
    return (uint8_t *)(flow + 1);
}

static inline struct membership *membership_of(const struct flow *flow)
{
    return (struct membership *)flow_tail(flow);
}

static inline union progress *progress_of(const struct endpoint *endpoint, const struct flow *flow)
{
    return (union progress *)(flow_tail(flow) + endpoint->progress_offset);
}

/* Its own, or of its connection. */
static inline struct steer *steer_of(const struct endpoint *endpoint, const struct flow *flow)
{
    return endpoint->config.connections == 0 ? (struct steer *)&flow->steer : flow->shared_steer;
}

static inline struct connection *flow_connection(const struct flow *flow)
{
    return connection_of(flow->shared_steer);
}

/* No packet starts before; only where the transport paces. */
static inline uint64_t *pace_ps(const struct endpoint *endpoint, struct steer *steer)
{
    return (uint64_t *)((uint8_t *)steer->state + endpoint->pace_offset);
}

static inline bool is_too_soon(const struct endpoint *endpoint, struct steer *steer, uint64_t now_ps)
{
    return endpoint->is_paced && *pace_ps(endpoint, steer) > now_ps;
}

/* (Source host, number of the message or connection there): keys its random draws. */
static inline uint64_t flow_identity(const struct flow *flow)
{
    return (uint64_t)flow->message.src_host << 40 | (uint64_t)flow->number_high << 32 | flow->number;
}

static inline void flow_identity_set(struct flow *flow, uint64_t identity)
{
    flow->number = (uint32_t)identity;
    flow->number_high = identity >> 32 & 0xff;
}

/* Over scale-up links the packets of a message go by all of them at once, also where messages are pinned to a port. */
static inline bool flow_is_pinned(const struct endpoint *endpoint, const struct flow *flow)
{
    return balance_has(endpoint->config.balance, BALANCE_PINNED) && flow->reach == REACH_NETWORK;
}

/* Those that come by several links overtake each other, so receivers take them in any order: memory has no order. */
static inline enum ack_policy ack_where(const struct endpoint *endpoint, enum reach reach)
{
    return __builtin_expect(reach != REACH_NETWORK, 0) && endpoint->ack == ACK_IN_ORDER ? ACK_EACH : endpoint->ack;
}

static inline enum ack_policy flow_ack(const struct endpoint *endpoint, const struct flow *flow)
{
    return ack_where(endpoint, flow->reach);
}

/* A message that never comes to a NIC, which is what windows and rates of go-back-N are for: queues that pause hold it back,
 * and nothing else. */
static inline bool flow_is_free(const struct endpoint *endpoint, const struct flow *flow)
{
    return __builtin_expect(flow->reach == REACH_SERVER, 0) && endpoint->ack == ACK_IN_ORDER;
}

uint32_t slot_take(struct endpoint *endpoint, uint32_t host_id);
void slot_free(struct endpoint *endpoint, uint32_t host_id, uint32_t slot);
/* Where all are free they are taken in order again. */
void slots_renew(struct endpoint *endpoint, uint32_t host_id);
/* The rings of a message whose packet_count is set. */
void flow_ring_take(struct endpoint *endpoint, struct flow *flow);

static inline uint32_t ring_index(const struct flow *flow, uint32_t seq)
{
    return seq & flow->ring_mask;
}

/* Sets of packets by sequence number, modulo the entries. */
enum ring_set { SET_ACKED, SET_LOST, SET_RECEIVED, RING_SETS }; /* the sender's: acknowledged, to be sent again; the receiver's */

static inline uint64_t *set_word(const struct flow *flow, enum ring_set set, uint32_t index)
{
    return &flow->ring[index / 64 * RING_SETS + set];
}

static inline bool set_has(const struct flow *flow, enum ring_set set, uint32_t seq)
{
    uint32_t index = ring_index(flow, seq);
    return *set_word(flow, set, index) >> (index % 64) & 1;
}

static inline void set_add(const struct flow *flow, enum ring_set set, uint32_t seq)
{
    uint32_t index = ring_index(flow, seq);
    *set_word(flow, set, index) |= UINT64_C(1) << (index % 64);
}

static inline void set_remove(const struct flow *flow, enum ring_set set, uint32_t seq)
{
    uint32_t index = ring_index(flow, seq);
    *set_word(flow, set, index) &= ~(UINT64_C(1) << (index % 64));
}

/* Takes what is in the set from `seq` on without a gap out of it; the first one that is not in it. Word by word: a shift
 * brings zeroes in, and the bits beyond the entries of a short ring are zeroes too. */
static inline uint32_t set_take_run(const struct flow *flow, enum ring_set set, uint32_t seq)
{
    for (;;) {
        uint32_t index = ring_index(flow, seq), bit = index % 64;
        uint64_t *word = set_word(flow, set, index), gaps = ~(*word >> bit);
        uint32_t run = gaps == 0 ? 64 : (uint32_t)__builtin_ctzll(gaps);
        if (run == 0) {
            return seq;
        }
        *word &= ~(UINT64_MAX >> (64 - run) << bit);
        seq += run;
    }
}

/* Sender, where the transport has_times: when the packet was sent last, or what SENT_TWICE says. */
static inline uint64_t *sent_times(const struct endpoint *endpoint, const struct flow *flow)
{
    (void)endpoint;
    return flow->ring - ((size_t)flow->ring_mask + 1);
}
#define SENT_TWICE (UINT64_C(1) << 63) /* after a timeout: an ACK may be for either */

/* Receiver, ACK_COALESCED: packets in the order in which they came, each as its place in the ring and the number of the ACK
 * that reports it. The k-th one stands at k modulo the entries. */
#define ARRIVAL_ACK_BITS 15
#define ARRIVAL_ACK_MAX ((1u << ARRIVAL_ACK_BITS) - 1)
#define ACK_OF_ALL (1u << ARRIVAL_ACK_BITS) /* in place of a number: the message is complete */
static inline uint32_t *arrivals(const struct endpoint *endpoint, const struct flow *flow)
{
    size_t entries = (size_t)flow->ring_mask + 1;
    return (uint32_t *)(flow->ring - (endpoint->has_times ? entries : 0)) - entries;
}

/* Sender, receiver-driven transports: how much credit it asked for with each packet. */
int32_t *pull_targets(const struct endpoint *endpoint, const struct flow *flow);
/* Sender, where entropies are recycled: that of the packet as it was sent last. */
uint16_t *sent_entropies(const struct endpoint *endpoint, const struct flow *flow);

/* All packets but the last one are full. */
static inline uint64_t flow_packet_bytes(const struct endpoint *endpoint, const struct flow *flow, uint32_t seq)
{
    const struct packet_shape *shape = &endpoint->config.shape;
    return seq + 1 < flow->packet_count ? shape->packet_bytes : shape_packet_bytes(shape, flow->message.bytes, seq);
}

static inline struct good_entropies *good_entropies(const struct endpoint *endpoint, const struct flow *flow)
{
    return (struct good_entropies *)((uint8_t *)steer_of(endpoint, flow)->state + endpoint->good_offset);
}

/* A timeout is of single packets, else of all that is out. */
static inline bool repeats_singly(const struct endpoint *endpoint)
{
    return endpoint->has_times && endpoint->ack != ACK_IN_ORDER;
}

/* Something new is acknowledged. */
static inline void backoff_moves(struct flow *flow)
{
    flow->has_moved = true;
    if (__builtin_expect(flow->is_backing_off, 0) && flow->base_seq >= flow->backoff_until) {
        flow->is_backing_off = flow->has_moved = false;
        flow->backoff = 0;
        flow->backoff_until = 0;
    }
}

static inline void progress_note(const struct endpoint *endpoint, struct flow *flow, uint64_t now_ps)
{
    if (endpoint->has_progress && !repeats_singly(endpoint)) {
        progress_of(endpoint, flow)->moved_ps = now_ps;
    }
}

static inline bool has_flowlets(const struct endpoint *endpoint)
{
    return balance_has(endpoint->config.balance, BALANCE_FLOWLETS);
}

static inline struct flowlet *flowlet_of(const struct endpoint *endpoint, const struct flow *flow)
{
    return (struct flowlet *)((uint8_t *)steer_of(endpoint, flow)->state + endpoint->flowlet_offset);
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

void control_send_by(struct endpoint *endpoint, const struct packet *packet, uint32_t port, uint64_t now_ps);

/* ---- endpoint_team.c ------------------------------------------------------------------------------------ */

void teams_init(struct endpoint *endpoint);
/* The first bit may leave at start_ps. */
void team_send(struct endpoint *endpoint, const struct message *message, uint64_t start_ps, uint64_t now_ps);
void team_due(struct endpoint *endpoint, uint32_t host_id, uint32_t slot, uint64_t now_ps);
bool team_pull(struct endpoint *endpoint, uint32_t host_id, uint32_t port, uint64_t now_ps, struct packet *packet);
bool team_is_turn(const struct endpoint *endpoint, uint32_t host, uint32_t port);
void team_receive(struct endpoint *endpoint, uint32_t host, const struct packet *packet, uint64_t now_ps);

/* ---- endpoint_receive.c ----------------------------------------------------------------------------------- */

void data_receive(struct endpoint *endpoint, const struct packet *packet, uint64_t now_ps);
/* Asks what has come, and to be told of each packet up to its number. */
void probe_receive(struct endpoint *endpoint, const struct packet *packet, uint64_t now_ps);
/* All of the message of this packet has come; it may be over at the sender too. */
static inline bool flow_is_over(const struct flow *flow, const struct packet *packet)
{
    uint32_t received = __atomic_load_n(&flow->received_count, __ATOMIC_ACQUIRE);
    uint32_t packets = __atomic_load_n(&flow->packet_count, __ATOMIC_ACQUIRE);
    return received == packets || __atomic_load_n(&flow->generation, __ATOMIC_RELAXED) != packet->generation; /* I6 */
}
/* Says so, in answer to any packet of it. */
void ack_again(struct endpoint *endpoint, const struct packet *packet, uint64_t now_ps);

/* ---- endpoint_pull.c: of receiver-driven transports only -------------------------------------------------- */

void pull_begin(struct endpoint *endpoint, struct flow *flow);
bool pull_may_send(const struct endpoint *endpoint, struct flow *flow);
void pull_sent(struct endpoint *endpoint, struct flow *flow, uint32_t seq, uint64_t bytes, bool is_repeat);
void pull_commit(struct endpoint *endpoint, struct flow *flow);
/* Asks for credit where nothing is under way that could bring it. */
void pull_ask(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps);
void pull_arrived(struct endpoint *endpoint, struct flow *flow, const struct packet *packet, uint64_t now_ps);
void pull_delivered(struct endpoint *endpoint, struct flow *flow, const struct packet *packet);
void control_receive(struct endpoint *endpoint, const struct packet *packet, uint64_t now_ps);
void pull_due(struct endpoint *endpoint, uint32_t host_id, uint32_t pacer, uint64_t now_ps);

/* ---- endpoint_pacer.c ------------------------------------------------------------------------------------- */

void pacers_init(struct endpoint *endpoint);
/* That of the ports by which packets from another host come. */
uint32_t pacer_towards(const struct endpoint *endpoint, uint32_t src_host, uint32_t dst_host);

/* ---- endpoint.c ------------------------------------------------------------------------------------------- */

enum flow_timer { FLOW_TIMER, FLOW_PACE };
#define PULL_TIMER (UINT64_C(2) << 27) /* and a pacer: arguments of the host's own timers */
#define LANDING_TIMER (UINT64_C(3) << 27)
#define TEAM_TIMER (UINT64_C(1) << 31) /* and a slot */
void flow_timer_set(struct endpoint *endpoint, struct flow *flow, uint32_t slot, enum flow_timer kind,
                    uint64_t when_ps);
/* Its turn has come, or the NIC has it: begins to send when both are so. */
void flow_start(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps);
/* Everything is acknowledged. */
void flow_finish(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps);
/* And it is its turn to be: tells the owner and frees the slot. */
void flow_end(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps);
/* The last byte has come to the receiving host: tells the owner when the NIC has written it. */
void delivery_tell(struct endpoint *endpoint, const struct message *message, uint64_t now_ps);
/* The receiver has all of it, and of what comes before. */
void flow_deliver(struct endpoint *endpoint, struct flow *flow, uint64_t now_ps);

/* ---- endpoint_connection.c -------------------------------------------------------------------------------- */

void connection_join(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint32_t channel);
/* The last packet has left for the first time. */
void connection_sent_all(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps);
void connection_wake(struct endpoint *endpoint, const struct connection *connection, uint32_t host_id, uint64_t now_ps);
void connection_finish(struct endpoint *endpoint, struct connection *connection, uint32_t host_id, uint64_t now_ps);
void connection_deliver(struct endpoint *endpoint, struct flow *flow, uint32_t slot, uint64_t now_ps);

struct parent *parent_take(struct endpoint *endpoint, const struct message *message, uint32_t count);
/* Its number stands where a message that is whole keeps what posting takes: that of a part, its parent knows. */
static inline struct parent *parent_of(const struct endpoint *endpoint, const struct flow *flow)
{
    return flow->has_parent ? endpoint->hosts[flow->message.src_host].parents[flow->message.post_ns - 1] : NULL;
}
/* One more segment is acknowledged, with this fate. True for the last one: message and fate are then the whole's. */
bool parent_finish(struct endpoint *endpoint, struct parent *parent, struct message *message, struct message_fate *fate);

#endif
