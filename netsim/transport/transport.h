/* The contract of a transport: one file in netsim/transport/, one line in transports.def.
 *
 * The endpoint (endpoint.h) owns what all transports share: messages, packets, acknowledgements, duplicates,
 * timeouts. A transport decides how much of a message may be in flight, how fast it leaves, how receivers
 * answer, and what it wants of the queues on the way. Its state of a message is `state_bytes` of plain data
 * that the endpoint stores and zeroes; what is the same for all messages of a run is computed once into
 * `shared_bytes`. */
#ifndef PHOTONET_TRANSPORT_H
#define PHOTONET_TRANSPORT_H

#include "netsim/engine/queue.h"
#include "photonet/param.h"

/* What a transport knows of a fabric before anything runs. */
struct transport_facts {
    uint64_t base_rtt_ps;    /* idle round trip of a full packet and its ACK over the longest path */
    uint64_t duplex_rtt_ps;  /* the same where the ACK waits for a full packet on every link; see path.h */
    uint64_t gate_ps;        /* of these, the longest waits for circuits that come and go, there and back; 0: none do */
    uint64_t host_rate_bps;  /* fastest port of a host */
    uint64_t drain_bps;      /* at which full queues drain: the same, less where circuits stand for a share of the time only */
    uint64_t flight_bytes;   /* in flight where one message fills its way while the other is full as well: duplex round
                                trip times host rate, more where messages leave by several ports at once */
    uint64_t packet_bytes;   /* full packet on the wire */
    uint64_t header_bytes;   /* of it */
    uint64_t link_trip_ps;   /* longest there and back over one link, with the latency of the node behind it each way */
    uint64_t link_trip_bytes; /* most that one link carries from a packet's start to when its room is given back: there, once
                                through the latency of the node behind, and back */
};

/* What one message can use: a host's port, more where it leaves by several at once. */
static inline uint64_t facts_rate_bps(const struct transport_facts *facts)
{
    uint64_t duplex_ps = facts->duplex_rtt_ps > 0 ? facts->duplex_rtt_ps : 1;
    uint64_t rate_bps = (uint64_t)((unsigned __int128)facts->flight_bytes * 8 * PS_PER_S / duplex_ps);
    return rate_bps > facts->host_rate_bps ? rate_bps : facts->host_rate_bps;
}

/* How a receiver answers. */
enum ack_policy {
    ACK_EACH,      /* every packet by an ACK, which is for that packet alone */
    ACK_COALESCED, /* selective ACKs that report all that came: for the first packet of a message, a marked one, one
                      that asks for it, every ack_bytes, and once more when the gaps before one that asked are filled. The
                      last packet of a message asks, repeats do, one that shuts the window does, and all packets where
                      WINDOW_BOUNDED says that the window is too small to wait for ack_bytes. Where there is a window, a
                      NACK brings one of what has come, and all is answered until what was sent before it is there: else
                      what the sender has not heard of can fill the window that the NACK has cut, until its timeout.
                      Where an ACK has cut it so, the sender asks (endpoint_send.c, probe_if_stuck) */
    ACK_IN_ORDER,  /* go-back-N: one cumulative ACK for every packet in order; others are thrown away, the first of
                      them answered by a NACK that names the expected one */
};

/* What an acknowledgement told the sender. */
struct ack_news {
    uint64_t bytes;        /* newly acknowledged, on the wire */
    uint64_t flight_bytes; /* now */
    uint64_t rtt_ps;       /* of the packet that caused the ACK; 0 where that cannot be told (repeated packets) */
    uint64_t now_ps;
    bool is_marked;
    uint8_t load;          /* of the fullest link on the packet's way, as a code of load.h; 0 where none is measured */
};

/* What a transport is told of a message when it begins. */
struct flow_facts {
    uint64_t now_ps;
    /* 0 unless the transport wants_way: */
    uint32_t hops;         /* links to the destination */
    uint64_t idle_rtt_ps;  /* of a full packet there and its ACK back, nothing else moving; see path.h */
};

/* Credit that receivers hand out (endpoint_pull.c). */
struct pull_rule {
    uint64_t window_bytes;   /* on speculation at the start; the most that is granted ahead */
    uint32_t credit_quanta;  /* of 512 B, in one pull */
    uint64_t frame_bytes;    /* a pull for so much that the receiver's ports take in, */
    uint32_t percent;        /* after so much of the time of it */
};

/* What a profile sets: a transport with a parameter `profile` (a choice) has a table of these, one row an option. The value of
 * the chosen column stands for the option wherever it is not set otherwise (netsim/profile.h). */
#define TRANSPORT_PROFILES_MAX 3
struct transport_profile_row {
    const char *key;                          /* of any section: transport.window, routing.balance, queue.full */
    const char *text[TRANSPORT_PROFILES_MAX]; /* by profile, as a user would write it; NULL: what the option has without one */
    const char *why;                          /* which behaviour of whom this is, with its source, or that it is assumed */
};

/* What may be in flight of a message. */
enum window_kind {
    WINDOW_NONE,
    WINDOW_SHARED,  /* of all messages: what is shared begins with a uint64_t, in bytes */
    WINDOW_WIDE,    /* the state begins with a uint64_t, in 2^-window_log2 B */
    WINDOW_BOUNDED, /* ACK_COALESCED: the state begins with two uint32_t: the window in bytes, and the most that it may be now */
};

struct transport {
    const char *name;
    const char *summary;
    struct param_table params; /* keys are given as transport.KEY */
    const struct transport_profile_row *profile_rows; /* NULL: no profiles */
    uint32_t profile_row_count;
    uint32_t shared_bytes, state_bytes;
    enum ack_policy ack;
    enum ack_policy (*ack_of)(const void *values); /* where a parameter decides it; NULL: ack */
    uint32_t ack_bytes;         /* ACK_COALESCED: wire bytes that are acknowledged together */
    bool has_times;             /* wants ack_news.rtt_ps, and repeats single packets when their time is over */
    bool repeats_gaps;          /* ACK_EACH, one path a message: a packet is lost when a later one is acknowledged; has times */
    bool wants_way;             /* flow_facts.hops and idle_rtt_ps */
    enum window_kind window;
    uint8_t window_log2;        /* WINDOW_WIDE: in 2^-window_log2 B */
    uint32_t control_per_data;  /* ACKs that a host sends before a data packet has its turn; 0: all of them */
    /* The queues that the transport wants in switches, written into *profile, which holds plain ones
     * (queue.h). NULL: plain ones. Class 0 is for data; ACKs and the like go to class 1 where there is one. */
    void (*queues)(const void *values, const struct transport_facts *facts, struct queue_profile *profile);
    /* The most that the window will ever be; NULL: no limit. */
    uint64_t (*window_bytes_max)(const void *values, const struct transport_facts *facts);
    /* Time after which a packet counts as lost; NULL or 0: host.rto. */
    uint64_t (*rto_ps)(const void *values, const struct transport_facts *facts, const struct queue_profile *profile);
    /* The same while fewer than rto_few packets of a message are under way; rto_ps is the longer one. NULL: no other. */
    uint64_t (*rto_low_ps)(const void *values, const struct transport_facts *facts, uint64_t rto_ps);
    uint32_t rto_few;
    void (*prepare)(const void *values, const struct transport_facts *facts, void *shared);
    /* All of the following may be NULL. */
    void (*begin)(const void *shared, void *state, const struct flow_facts *facts);
    void (*acked)(const void *shared, void *state, const struct ack_news *news);
    /* A packet was cut down on its way, or (ACK_IN_ORDER) others came before it. news.bytes are the
     * packet's, and are still counted in flight. */
    void (*nacked)(const void *shared, void *state, const struct ack_news *news);
    void (*timed_out)(const void *shared, void *state, uint64_t lost_bytes, uint64_t now_ps);
    /* Time from the start of a packet to the earliest start of the next one of this message. */
    uint64_t (*gap_ps)(const void *shared, void *state, uint64_t packet_bytes, uint64_t now_ps);
    /* Receiver-driven where there is one: with ACK_COALESCED and times only. */
    void (*pull)(const void *values, const struct transport_facts *facts, struct pull_rule *rule);
};
/* What the head of each file says, for `photonet transport`; compiled in (pages.awk). Ends with name == NULL. */
struct transport_page {
    const char *name;
    const char *text;
};
extern const struct transport_page transport_pages[];

extern const struct transport *const transports[]; /* ends with NULL */

static inline enum ack_policy transport_ack(const struct transport *transport, const void *values)
{
    return transport->ack_of != NULL ? transport->ack_of(values) : transport->ack;
}

/* May `packet_bytes` more leave while `flight_bytes` are not acknowledged? One packet always may. */
static inline bool transport_may_send(const struct transport *transport, const void *shared, const void *state,
                                      uint64_t flight_bytes, uint64_t packet_bytes)
{
    if (transport->window == WINDOW_NONE || flight_bytes == 0) {
        return true;
    }
    if (transport->window == WINDOW_BOUNDED) {
        return flight_bytes + packet_bytes <= *(const uint32_t *)state;
    }
    const uint64_t *window = (const uint64_t *)(transport->window == WINDOW_SHARED ? shared : state);
    return flight_bytes + packet_bytes <= *window >> transport->window_log2;
}

/* Whether ack_bytes are so much of the largest window that waiting for them would shut it again and again: with a window of
 * 1.5 bandwidth-delay products, of which one is under way, the other third must hold what is not acknowledged yet, and a
 * packet: a quarter is on the safe side (7/24 at 24 packets). */
static inline bool transport_is_tight(const struct transport *transport, const void *state)
{
    return transport->window == WINDOW_BOUNDED && ((const uint32_t *)state)[1] < 4 * (uint64_t)transport->ack_bytes;
}

const struct transport *transport_find(const char *name);

/* Names of the profiles, ending with NULL, the default first; NULL where the transport has none. */
const char *const *transport_profile_names(const struct transport *transport);

#endif
