/* The parameters of a run that belong to no plug-in: packets, hosts, load balancing, replay, results.
 *
 * A setting `packet.size` is the row `size` of the section `packet`. A section is one row in scenario.c. The
 * section `transport` is that of the transport which transport.name or --transport chooses. */
#ifndef PHOTONET_SCENARIO_H
#define PHOTONET_SCENARIO_H

#include "netsim/failures.h"
#include "netsim/links.h"
#include "netsim/queues.h"
#include "netsim/replay/noise.h"
#include "netsim/replay/select.h"
#include "netsim/route/balance.h"
#include "netsim/route/path.h"
#include "netsim/transport/transport.h"
#include "photonet/trace.h"

struct scenario_packet {
    uint64_t size_bytes, header_bytes, ack_bytes, cell_bytes, cell_header_bytes;
    uint32_t cell_ports; /* 1: all */
};

struct scenario_routing {
    uint32_t balance, paths;
    uint64_t entropies, flowlet_gap_ps, ugal_threshold_bytes;
};

struct scenario_host {
    uint64_t post_ps, post_gap_ps, nic_ps, local_bps, local_ps, rto_ps, connections, segment_bytes, gpus_per_nic;
};

struct scenario_replay {
    uint64_t chunk_bytes, all_to_all_concurrency;
    uint32_t receive; /* 1: known when the sender has heard of it */
};

/* Names of algorithms, NULL or "" = the default of the kind. */
struct scenario_collective {
    const char *name[COLLECTIVE_KIND_COUNT];
    uint32_t select, protocol, generation; /* choices */
    uint64_t channels, slices, ring_bytes, server_hosts;
    double efficiency;
    const char *rules;
};

struct scenario_results {
    uint64_t messages_max, flush_ps;
};

struct scenario {
    struct scenario_packet *packet;
    struct scenario_routing *routing;
    struct scenario_queue *queue;
    struct scenario_host *host;
    struct scenario_replay *replay;
    struct scenario_collective *collective;
    struct noise_wish *noise;
    struct scenario_failures *failures;
    struct scenario_links *links;
    struct scenario_results *results;
    struct collective_policy policy; /* what `collective` says */
    const struct transport *transport;
    void *transport_values;
    const char *text; /* all of it resolved, as YAML */
};

/* `transport` NULL: what transport.name says, else the default. Unknown keys are refused where they stand. */
enum status scenario_load(const struct trace_setting *settings, size_t count, const char *transport,
                          struct arena *arena, struct scenario *scenario, struct diag *diag);

/* All rows of all sections, transports and collective algorithms, for --help. */
void scenario_help(FILE *stream);

/* Rate of copies between ranks that share a host; 0: none do. */
static inline uint64_t scenario_shared_bps(const struct scenario *scenario)
{
    return scenario->host->gpus_per_nic > 1 ? scenario->host->local_bps : 0;
}

static inline struct packet_shape scenario_shape(const struct scenario *scenario)
{
    const struct scenario_packet *packet = scenario->packet;
    const struct cell_shape cells = {(uint32_t)packet->cell_bytes, (uint32_t)packet->cell_header_bytes,
                                     packet->cell_bytes > 0 && packet->cell_ports == 1};
    return (struct packet_shape){packet->size_bytes, packet->header_bytes, packet->ack_bytes, cells};
}

#endif
