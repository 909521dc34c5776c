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
 * profile=htsim and profile=hardware choose many options at once; the table below says which. Without it (mixed) ends and queues
 * are htsim's, but every packet draws an entropy of its own of 2^16.
 * What a GPU passes on from scale-up links to its NIC (PXN) waits in memory and is not trimmed there (queue.hosts).
 * Not modelled: a sender that skips paths on which packets were trimmed (htsim gives such an entropy one
 * miss); speculative credit that is left when the first answer comes is dropped at once (htsim: one packet
 * of it per chance to send); receivers that slow down for an oversubscribed core.
 * Checked against: htsim_eqds of uet-htsim 40ccb05 (csg-htsim 841d9e7 differs from it by up to 9 %):
 * microseconds to the last ACK, ours as the mean over five seeds / theirs of one, with
 * profile=htsim (`make golden-peers`):
 *
 *                                     minimum        median         99 %           maximum
 *     permutation  128, 400 Gbit/s    53.7 / 54.1    68.8 / 69.3    77.4 / 79.6    78.3 / 79.6
 *     permutation 1024, 400 Gbit/s    45.4 / 45.5    69.4 / 68.9    80.1 / 79.5    81.2 / 80.6
 *
 * Ratios: 0.99, 0.99, 0.97, 0.98; 1.00, 1.01, 1.01, 1.01. */
#include "netsim/transport/transport.h"

static const char *const profile_names[] = {"mixed", "htsim", "hardware", NULL};

struct eqds_params {
    uint32_t profile;
    uint64_t window_packets, queue_packets, rto_ps;
};

static const struct param rows[] = {
    PARAM_CHOICE(struct eqds_params, profile, "profile", "mixed", profile_names,
                 "defaults of many options at once: like htsim, like hardware; see the table of profiles"),
    PARAM_U64(struct eqds_params, window_packets, COUNT, "window", "64", "0", "100000",
              "packets that are sent before the receiver answers, and the most that is granted ahead (htsim: 64); 0: a bandwidth-delay product"),
    PARAM_U64(struct eqds_params, rto_ps, TIME, "rto", "0ns", "0ns", "10s",
              "a packet is sent again after so long; 0ns: 150 us and the time in which six full queues drain (htsim_eqds)"),
    PARAM_U64(struct eqds_params, queue_packets, COUNT, "queue", "35", "1", "100000",
              "packets that fit into a switch's output queue (uet-htsim: -q 35)"),
};

static const struct transport_profile_row profile_rows[] = {
    {"routing.balance", {"spray", "spray_n", "spray"},
     "htsim: the same few entropies in turn, on fixed uplinks. hardware: every packet its own (Olteanu et al., NSDI 2022); no NIC with "
     "EQDS is sold, this column is of what its receiver-driven heir in Ultra Ethernet 1.0 (RCCC) and trimming switches do"},
    {"routing.entropies", {NULL, "64", NULL}, "htsim: -paths 64"},
    {"queue.full", {"trim_either", "trim_either", "trim"},
     "htsim: by chance the newest packet of the queue. hardware: the packet that is not admitted (SAI's "
     "PACKET_ADMISSION_FAIL_ACTION_DROP_AND_TRIM; SONiC, packet-trimming-design.md)"},
    {"queue.trim_size", {"0B", "0B", "256B"},
     "htsim: the header. hardware: 256 B is the least that Spectrum-4 cuts to (NVIDIA, Cumulus Linux 5.14, Packet Trimming)"},
    {"queue.ecn", {"never", "never", "never"}, "receivers steer"},
    {"transport.window", {"64", "64", "0"},
     "htsim: 64 packets. hardware: a bandwidth-delay product without being asked (EQDS and NDP, Handley et al., SIGCOMM 2017)"},
    {"transport.queue", {"35", "35", "35"}, "htsim: -q 35. hardware: assumed the same"},
    {"transport.rto", {"0ns", "0ns", "0ns"}, "hardware: assumed as in htsim"},
    {"host.connections", {NULL, "0", "1"},
     "htsim: every message begins with a window of its own. hardware: one context a pair of ends, which outlives messages"},
};

/* 0 stands for a bandwidth-delay product. */
static uint64_t window_packets(const struct eqds_params *params, const struct transport_facts *facts)
{
    uint64_t way_bytes = line_bytes(facts->base_rtt_ps, facts_rate_bps(facts));
    return params->window_packets > 0 ? params->window_packets : way_bytes / facts->packet_bytes + 1;
}

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
    const struct eqds_params *params = values;
    uint64_t full_ps = serialisation_ps(6 * profile->class[0].capacity_bytes, facts->drain_bps);
    return params->rto_ps > 0 ? params->rto_ps : 150 * PS_PER_US + full_ps; /* htsim_eqds */
}

/* In flight at most: a window on speculation or granted, and one more granted ahead. */
static uint64_t window_bytes_max(const void *values, const struct transport_facts *facts)
{
    const struct eqds_params *params = values;
    uint64_t ahead_bytes = 2 * window_packets(params, facts) * facts->packet_bytes;
    return ahead_bytes + 2 * line_bytes(facts->base_rtt_ps, facts_rate_bps(facts));
}

#define CREDIT_QUANTA 8 /* uet-htsim, eqds.cpp: EqdsSink::_credit_per_pull */
#define FRAME_BYTES 38  /* interframe gap, preamble, Ethernet header and FCS, as its pacer counts them */

static void pull(const void *values, const struct transport_facts *facts, struct pull_rule *rule)
{
    const struct eqds_params *params = values;
    rule->window_bytes = window_packets(params, facts) * facts->packet_bytes;
    rule->credit_quanta = CREDIT_QUANTA;
    rule->frame_bytes = facts->packet_bytes + FRAME_BYTES;
    rule->percent = 99; /* uet-htsim: its pull pacers, main_eqds.cpp */
}

const struct transport transport_eqds = {
    .name = "eqds",
    .summary = "receiver-driven credit over short trimming queues",
    .params = PARAM_TABLE(struct eqds_params, rows),
    .profile_rows = profile_rows,
    .profile_row_count = sizeof profile_rows / sizeof profile_rows[0],
    .ack = ACK_COALESCED,
    .ack_bytes = 16384, /* uet-htsim: EqdsSink::_bytes_unacked_threshold */
    .has_times = true,
    .control_per_data = 10, /* uet-htsim: EqdsNIC, _ratio_control */
    .queues = queues,
    .window_bytes_max = window_bytes_max,
    .rto_ps = rto_ps,
    .pull = pull,
};
