/* RoCEv2 on a lossless network, without rate control: go-back-N over priority flow control.
 *
 * Scope: a sender has no window and no pace of its own: its port's rate and PFC are all that holds it back.
 * Receivers take packets in order only and acknowledge each one; one out of order is thrown away and
 * answered by a NACK with the expected number, from which the sender starts again (it does not happen while
 * a message keeps to one path and nothing is lost: use it with routing.balance=ecmp). Switches pause the
 * link by which more than `xoff` packets came that have not left, and let it go on at `xon`; data and ACKs
 * share one queue and are paused alike. As htsim's RoCE (htsim_roce of csg-htsim 841d9e7 and uet-htsim
 * 40ccb05) runs it without DCQCN: 15 and 12 packets (`-pfc_thresholds 12 15`), counted in payload bytes as
 * there.
 * Buffers are as large as what is on the link when a pause is sent needs; queue.pfc_buffer gives inputs a buffer
 * instead, of which each link's headroom is kept free, and queue.capacity or queue.shared bound it (refused where
 * that would drop).
 * Not modelled: hosts obey pauses and send none, as in htsim: where hosts pass packets on (tori of chips, circuits between hosts)
 * what waits in them has no bound and holds nobody back (credit has lanes and buffers there too); pause frames take a link's delay but no bandwidth, are not lost, and never expire; selective repeat.
 * Checked against: no drop and no repeat under PFC (tests/test_transport.c), and htsim_roce of csg-htsim
 * 841d9e7 and uet-htsim 40ccb05: microseconds to the last ACK of the messages that they had finished at the
 * end of their runs (245 us, 300 us), ours as the mean over five seeds / theirs of one run each (`make
 * golden-peers`). Which messages share a link decides it: our seeds differ among themselves by as much as
 * theirs from ours.
 *
 *                                     minimum              median                 99 %
 *     permutation  128, 400 Gbit/s    53.6 / 53.4, 51.8    121.6 / 114.4, 138.9   214.4 / 231.6, 240.8
 *     permutation 1024, 400 Gbit/s    45.1 / 48.1, 45.1    141.1 / 137.2, 137.9   257.2 / 259.9, 281.3
 *
 * Ratios to the middle of theirs: 1.02, 0.96, 0.91; 0.97, 1.03, 0.95. */
#include "netsim/transport/transport.h"

struct roce_params {
    uint64_t xoff_packets, xon_packets;
};

static const struct param rows[] = {
    PARAM_U64(struct roce_params, xoff_packets, COUNT, "xoff", "15", "1", "100000",
              "packets from one link that a switch holds before it pauses the link (htsim: 15)"),
    PARAM_U64(struct roce_params, xon_packets, COUNT, "xon", "12", "0", "100000",
              "packets that it holds when the link may go on (htsim: 12)"),
};

static void queues(const void *values, const struct transport_facts *facts, struct queue_profile *profile)
{
    const struct roce_params *params = values;
    uint64_t payload_bytes = facts->packet_bytes - facts->header_bytes;
    profile->class[0].xoff_bytes = params->xoff_packets * payload_bytes;
    profile->class[0].xon_bytes = params->xon_packets * payload_bytes;
}

const struct transport transport_roce = {
    .name = "roce",
    .summary = "RoCEv2 without rate control: go-back-N over priority flow control",
    .params = PARAM_TABLE(struct roce_params, rows),
    .ack = ACK_IN_ORDER,
    .queues = queues,
};
