/* Hop-by-hop credit, as InfiniBand and NVLink have it: nothing is lost, and no end steers.
 *
 * Scope: a packet leaves a port only if the buffer behind the link has room for it; the room is given back a
 * link delay after the packet has left the next port. `buffer` of each link holds what the link that
 * needs most carries until room comes back (there, through the switch, back) and three packets (one that is sent, one
 * that is sent on, one that is next), the least with which a link runs full. Every packet is acknowledged, nothing waits
 * for it; a message keeps or leaves its path as routing.balance says.
 * Virtual lanes break circles where a fabric has rings or regions (queue.lanes); links may lose packets and repeat them
 * (links.retry), which gives no room back twice and takes none for what is lost. Hosts that pass packets on over circuits,
 * slots with two hops and circuits that are set for a phase have no such lanes: with buffers this short they can stand still
 * (sip-ml-ring and lumorph in an all-to-all of 32 x 4 MiB, sirius in a tornado, photonic-rails-h100 in a permutation), which is
 * reported with the ports and ends with exit status 3; there `buffer`=1MB lets all four through.
 * Not modelled: service levels (data and ACKs share one class in each lane); arbitration beyond FIFO; lost credits
 * (counts are absolute, the next one mends them).
 * Checked against: no drop, no repeat, queues no longer than the buffers (tests/test_transport.c). */
#include "netsim/transport/transport.h"

struct credit_params {
    uint64_t buffer_bytes;
};

static const struct param rows[] = {
    PARAM_U64(struct credit_params, buffer_bytes, SIZE, "buffer", "0B", "0B", NULL,
              "buffer behind every link; 0B = a round trip over the link that needs most, its switch, and three packets"),
};

static void queues(const void *values, const struct transport_facts *facts, struct queue_profile *profile)
{
    const struct credit_params *params = values;
    uint64_t trip_bytes = facts->link_trip_bytes + 3 * facts->packet_bytes;
    profile->class[0].credit_bytes = params->buffer_bytes > 0 ? params->buffer_bytes : trip_bytes;
}

const struct transport transport_credit = {
    .name = "credit",
    .summary = "hop-by-hop credit as InfiniBand and NVLink have it, no control at the ends",
    .params = PARAM_TABLE(struct credit_params, rows),
    .queues = queues,
};
