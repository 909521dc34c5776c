/* The contract of a transport: one file in netsim/transport/, one line in transports.def.
 *
 * The endpoint (endpoint.h) owns what all transports share: messages, packets, acknowledgements, duplicates,
 * timeouts. A transport decides how much of a message may be in flight. Its state of a message is `state_bytes`
 * of plain data that the endpoint stores and zeroes. */
#ifndef PHOTONET_TRANSPORT_H
#define PHOTONET_TRANSPORT_H

#include "photonet/param.h"

/* What a transport knows of a fabric before anything runs. */
struct transport_facts {
    uint64_t base_rtt_ps;    /* idle round trip of a full packet and its ACK over the longest path */
    uint64_t duplex_rtt_ps;  /* the same where the ACK waits for a full packet on every link; see path.h */
    uint64_t host_rate_bps;  /* fastest port of a host */
    uint64_t packet_bytes;   /* full packet on the wire */
};

struct transport {
    const char *name;
    const char *summary;
    struct param_table params; /* keys are given as transport.KEY */
    uint32_t state_bytes;
    /* The most that may_send will ever allow. */
    uint64_t (*window_bytes_max)(const void *values, const struct transport_facts *facts);
    void (*begin)(const void *values, const struct transport_facts *facts, void *state);
    /* May `packet_bytes` more leave while `flight_bytes` are not acknowledged? Must be true for flight 0. */
    bool (*may_send)(const void *state, uint64_t flight_bytes, uint64_t packet_bytes);
    void (*acked)(void *state, uint64_t acked_bytes, bool is_marked, uint64_t now_ps); /* may be NULL */
    void (*timed_out)(void *state, uint64_t now_ps);                                   /* may be NULL */
};
extern const struct transport *const transports[]; /* ends with NULL */
const struct transport *transport_find(const char *name);

#endif
