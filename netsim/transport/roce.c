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
 * profile=htsim adds htsim's packets of 4150 B of payload, profile=hardware is RoCEv2 as NICs and switches have it, as far as is
 * published; the table below says what each sets. Without it (mixed) packets are those of the other transports.
 * Buffers are as large as what is on the link when a pause is sent needs; queue.pfc_buffer gives inputs a buffer
 * instead, of which each link's headroom is kept free, and queue.capacity or queue.shared bound it (refused where
 * that would drop).
 * Scale-up links have no go-back-N and no NIC: a message between GPUs of one server takes all links that lead there, every
 * packet by a way of its own, and is taken in any order; only pauses hold it back (dcqcn and hpcc alike, whose rates and
 * windows are the NIC's). What another GPU of the server sends on (PXN) goes to it by all its links too, and by one path from
 * there; the memory between has no order, so it is taken in any order as well. It waits there without bound and holds nobody
 * back; other hosts that pass packets on (tori of chips, circuits between hosts) pause as switches do.
 * Not modelled: pauses of hosts that are full themselves; pause frames take a link's delay but no bandwidth, are not lost, and
 * never expire; selective repeat; htsim sends the last packet of a message at full size too, ours is as long as what is left.
 * Checked against: no drop and no repeat under PFC (tests/test_transport.c), and htsim_roce of csg-htsim
 * 841d9e7 and uet-htsim 40ccb05: microseconds to the last ACK of the messages that they had finished at the
 * end of their runs (245 us, 300 us), ours as the mean over five seeds / theirs of one run each, with profile=htsim (`make
 * golden-peers`). Which messages share a link decides it: our seeds differ among themselves by as much as
 * theirs from ours.
 *
 *                                     minimum              median                 99 %
 *     permutation  128, 400 Gbit/s    53.6 / 53.4, 51.8    121.6 / 114.4, 138.9   214.4 / 231.6, 240.8
 *     permutation 1024, 400 Gbit/s    45.1 / 48.1, 45.1    141.1 / 137.2, 137.9   257.2 / 259.9, 281.3
 *
 * Ratios to the middle of theirs: 1.02, 0.96, 0.91; 0.97, 1.03, 0.95. */
#include "netsim/transport/transport.h"

static const char *const profile_names[] = {"mixed", "htsim", "hardware", NULL};

struct roce_params {
    uint32_t profile;
    uint64_t xoff_packets, xon_packets;
};

static const struct param rows[] = {
    PARAM_CHOICE(struct roce_params, profile, "profile", "mixed", profile_names,
                 "defaults of many options at once: like htsim, like hardware; see the table of profiles"),
    PARAM_U64(struct roce_params, xoff_packets, COUNT, "xoff", "15", "1", "100000",
              "packets from one link that a switch holds before it pauses the link (htsim: 15)"),
    PARAM_U64(struct roce_params, xon_packets, COUNT, "xon", "12", "0", "100000",
              "packets that it holds when the link may go on (htsim: 12)"),
};

static const struct transport_profile_row profile_rows[] = {
    {"routing.balance", {"ecmp", "ecmp", "ecmp"},
     "a queue pair has one UDP source port, by which switches choose one path (RoCEv2: InfiniBand specification, annex 17)"},
    {"packet.size", {NULL, "4214B", "4178B"},
     "htsim: its -mtu of 4150 B is payload. hardware: 4096 B, the largest MTU of InfiniBand, and the header"},
    {"packet.header", {NULL, NULL, "82B"},
     "hardware: preamble 8, Ethernet 14, IPv4 20, UDP 8, BTH 12, ICRC 4, FCS 4 and gap 12 B (IEEE 802.3, InfiniBand "
     "specification, annex 17); htsim has no preamble and gap"},
    {"transport.xoff", {"15", "15", "859"},
     "htsim: -pfc_thresholds 12 15. hardware: 3520 kB, 11 % of what is free of 32 MB (Li et al., HPCC, SIGCOMM 2019)"},
    {"transport.xon", {"12", "12", "855"}, "hardware: 3504 kB"},
    {"host.rto", {NULL, NULL, "4295ms"},
     "hardware: 4.096 us times 2^20, what NCCL asks of queue pairs (NCCL_IB_TIMEOUT, src/transport/net_ib). NICs with adaptive "
     "retransmission are quicker; their default times are not published"},
    {"host.connections", {NULL, "0", "1"},
     "hardware: one queue pair for two ranks, its messages in order (NCCL_IB_QPS_PER_CONNECTION)"},
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
    .profile_rows = profile_rows,
    .profile_row_count = sizeof profile_rows / sizeof profile_rows[0],
    .ack = ACK_IN_ORDER,
    .queues = queues,
};
