/* What an idle path costs: the yardstick for windows (round trip) and for slowdowns (ideal completion time). */
#ifndef PHOTONET_PATH_H
#define PHOTONET_PATH_H

#include "netsim/route/route.h"

/* How packets are cut; the same for all of a run. */
struct packet_shape {
    uint64_t packet_bytes; /* full packet on the wire */
    uint64_t header_bytes; /* of it; also what a cut-through switch must see */
    uint64_t ack_bytes;
    struct cell_shape cells; /* which ports cut them again */
};

static inline uint64_t shape_payload_bytes(const struct packet_shape *shape)
{
    return shape->packet_bytes - shape->header_bytes;
}

/* Packets of a message; an empty one has one packet, which is all header. */
static inline uint64_t shape_packets(const struct packet_shape *shape, uint64_t bytes)
{
    uint64_t payload_bytes = shape_payload_bytes(shape);
    return bytes == 0 ? 1 : (bytes + payload_bytes - 1) / payload_bytes;
}

/* Wire bytes of packet `seq` of a message. */
static inline uint64_t shape_packet_bytes(const struct packet_shape *shape, uint64_t bytes, uint64_t seq)
{
    uint64_t left_bytes = bytes - seq * shape_payload_bytes(shape);
    uint64_t payload_bytes = shape_payload_bytes(shape);
    return shape->header_bytes + (left_bytes < payload_bytes ? left_bytes : payload_bytes);
}

/* Time from the start of the first bit at the source to the last bit at the destination, the fabric being idle
 * and the source never waiting for a window. Exact where all links of the path have one rate; where they
 * differ, packets queue at the slowest link only, and the time is that of the slowest link's pipeline. A message
 * that is not pinned to one port of its host leaves by all that lead to the destination at once. */
uint64_t path_idle_ps(const struct fabric *fabric, const struct routes *routes, const struct packet_shape *shape,
                      bool is_pinned, uint32_t src, uint32_t dst, uint64_t bytes);

/* How a message leaves its host. Links of a scale-up domain lie side by side between the same chips and are one bundle to
 * whoever sends: a message takes all of them, whatever its transport does in the network. */
enum reach {
    REACH_NETWORK, /* by the network */
    REACH_STAGED,  /* over scale-up links to a GPU that sends it on into the network (PXN) */
    REACH_SERVER,  /* over scale-up links to another host of its server */
    REACH_HOST     /* not at all: a copy */
};
enum reach path_reach(const struct fabric *fabric, const struct routes *routes, uint32_t src, uint32_t dst);

/* Links from src to dst. */
uint32_t path_hops(const struct fabric *fabric, const struct routes *routes, uint32_t src, uint32_t dst);

/* What all equal ways from src to dst carry together, bit/s: the narrowest step of them. Steps of more than 64 nodes count
 * as wide enough. */
uint64_t path_rate_bps(const struct fabric *fabric, const struct routes *routes, uint32_t src, uint32_t dst);

/* Round trip of one full packet and its ACK; where circuits come and go, after the longest wait for each. */
struct path_rtt {
    uint64_t idle_ps;   /* nothing else moves */
    uint64_t duplex_ps; /* on every link of the way back the ACK waits for one full packet in service, as it does where
                           both ends send; a window of less than this cannot fill a duplex link */
    uint64_t gate_ps;   /* of either: the waits for circuits, there and back */
};
struct path_rtt path_rtt(const struct fabric *fabric, const struct routes *routes, const struct packet_shape *shape,
                         uint32_t src, uint32_t dst);

/* The largest of each over the pairs of hosts: exact over all pairs where there are at most 4096, else over the pairs
 * of host 0, the middle host and the last host with all others. */
struct path_rtt path_rtt_max(const struct fabric *fabric, const struct routes *routes,
                             const struct packet_shape *shape);

/* The largest product of rate and duplex round trip over the same pairs, in bytes, where messages are sprayed over the
 * ports of their host; a packet more for every port but the first, since each sends whole packets. */
uint64_t path_flight_bytes_max(const struct fabric *fabric, const struct routes *routes,
                               const struct packet_shape *shape);

#endif
