/* EQDS: receivers hand out credit at the rate of their ports (Olteanu et al., NSDI 2022).
 *
 * Scope: a message starts with a window on speculation; from the first answer on it sends only what its
 * receiver has granted. A receiver grants to all its messages in turn, one pull a packet time, messages with
 * trimmed packets first, then those that asked, then up to a window ahead (endpoint_pull.c). Queues are
 * short and trim; no ECN; selective ACKs, NACKs and repeats as in nscc. As htsim_eqds of uet-htsim 40ccb05
 * and csg-htsim 841d9e7 runs it: window of 64 packets, queues of 35, a pull of 4096 B every 0.99 times a
 * packet of MTU + 38 B on the wire. A receiver of several ports paces together those among which routes choose, at the sum
 * of their rates, and apart those that lead elsewhere: servers' links and the network's, circuits of different peers.
 * Queues before circuits that come and go also hold what a host sends while they are dark.
 * Not modelled: a sender that skips paths on which packets were trimmed (htsim gives such an entropy one
 * miss); speculative credit that is left when the first answer comes is dropped at once (htsim: one packet
 * of it per chance to send); receivers that slow down for an oversubscribed core.
 * Checked against: htsim_eqds of uet-htsim 40ccb05 (csg-htsim 841d9e7 differs from it by up to 9 %):
 * microseconds to the last ACK, ours as the mean over five seeds / theirs of one, with
 * routing.balance=spray_n (`make golden-peers`):
 *
 *                                     minimum        median         99 %           maximum
 *     permutation  128, 400 Gbit/s    53.7 / 54.1    68.8 / 69.3    77.4 / 79.6    78.3 / 79.6
 *     permutation 1024, 400 Gbit/s    45.4 / 45.5    69.4 / 68.9    80.1 / 79.5    81.2 / 80.6
 *
 * Ratios: 0.99, 0.99, 0.97, 0.98; 1.00, 1.01, 1.01, 1.01. */
#include "netsim/transport/transport.h"

struct eqds_params {
    uint64_t window_packets, queue_packets;
};

static const struct param rows[] = {
    PARAM_U64(struct eqds_params, window_packets, COUNT, "window", "64", "1", "100000",
              "packets that are sent before the receiver answers, and the most that is granted ahead (htsim: 64)"),
    PARAM_U64(struct eqds_params, queue_packets, COUNT, "queue", "35", "1", "100000",
              "packets that fit into a switch's output queue (uet-htsim: -q 35)"),
};

static void queues(const void *values, const struct transport_facts *facts, struct queue_profile *profile)
{
    const struct eqds_params *params = values;
    uint64_t queue_bytes = params->queue_packets * facts->packet_bytes + line_bytes(facts->gate_ps, facts->host_rate_bps);
    profile->class_count = 2;
    profile->class[0] = (struct queue_class){.priority = 1, .quantum_bytes = facts->packet_bytes,
                                             .capacity_bytes = queue_bytes, .full = FULL_TRIM_EITHER, .trim_class = 1};
    profile->class[1] = (struct queue_class){.quantum_bytes = facts->packet_bytes, .capacity_bytes = 2 * queue_bytes};
}

static uint64_t rto_ps(const void *values, const struct transport_facts *facts, const struct queue_profile *profile)
{
    (void)values; /* htsim_eqds: 150 us and six full queues */
    return 150 * PS_PER_US + serialisation_ps(6 * profile->class[0].capacity_bytes, facts->drain_bps);
}

/* In flight at most: a window on speculation or granted, and one more granted ahead. */
static uint64_t window_bytes_max(const void *values, const struct transport_facts *facts)
{
    const struct eqds_params *params = values;
    uint64_t ahead_bytes = 2 * params->window_packets * facts->packet_bytes;
    return ahead_bytes + 2 * line_bytes(facts->base_rtt_ps, facts_rate_bps(facts));
}

#define CREDIT_QUANTA 8 /* uet-htsim, eqds.cpp: EqdsSink::_credit_per_pull */
#define FRAME_BYTES 38  /* interframe gap, preamble, Ethernet header and FCS, as its pacer counts them */

static void pull(const void *values, const struct transport_facts *facts, struct pull_rule *rule)
{
    const struct eqds_params *params = values;
    rule->window_bytes = params->window_packets * facts->packet_bytes;
    rule->credit_quanta = CREDIT_QUANTA;
    rule->frame_bytes = facts->packet_bytes + FRAME_BYTES;
    rule->percent = 99; /* uet-htsim: its pull pacers, main_eqds.cpp */
}

const struct transport transport_eqds = {
    .name = "eqds",
    .summary = "receiver-driven credit over short trimming queues",
    .params = PARAM_TABLE(struct eqds_params, rows),
    .ack = ACK_COALESCED,
    .ack_bytes = 16384, /* uet-htsim: EqdsSink::_bytes_unacked_threshold */
    .has_times = true,
    .control_per_data = 10, /* uet-htsim: EqdsNIC, _ratio_control */
    .queues = queues,
    .window_bytes_max = window_bytes_max,
    .rto_ps = rto_ps,
    .pull = pull,
};
