/* Network-signalled congestion control of Ultra Ethernet: a window per message, steered by delay and ECN marks.
 *
 *                     below target delay        above it
 *     not marked      increase by the distance  increase by a fixed share (the queue is draining)
 *     marked          nothing                   decrease by how far the mean delay is above
 *
 * plus quick adapt: where packets were trimmed, or the delay is four times the target, and little came
 * through in a round trip, the window becomes what came through.
 *
 * Scope: sender-based control as uet-htsim 40ccb05 runs it (-sender_cc_only -sender_cc_algo nscc): window of
 * 1.5 bandwidth-delay products at the start and at most; coalesced selective ACKs; NACKs for trimmed
 * packets, which are sent again first; a timeout per packet; trimming and linear ECN at dequeue in queues of
 * one bandwidth-delay product, control packets in a class of their own. All constants are the public ones of
 * uet-htsim (htsim/sim/uec.cpp, initNsccParams and processAck), which states them as those of the Ultra
 * Ethernet specification 1.0, scaled from 100 Gbit/s and 12 us.
 * profile=htsim chooses what uet-htsim does down to what nobody would guess, profile=hardware what NICs and switches do as far
 * as is published; the table below says what each sets, option by option. Without it (mixed) ends and queues are uet-htsim's,
 * but every packet draws an entropy of its own of 2^16: so did all runs of this transport before there were profiles.
 * Where the round trip is a few packets, which uet-htsim's scenarios never have: the window (unless one is set) is a
 * bandwidth-delay product and what ACKs wait for on their way (more than half of it then), and every packet asks for its ACK where one for each 16 KB
 * would leave the window shut between them (below 64 KB of window; uet-htsim's -sack_threshold is set for a whole run).
 * A GPU that passes packets on from scale-up links to its NIC (PXN) stages them in memory: nothing is trimmed or marked there,
 * and the window follows the delay (queue.hosts).
 * Where messages leave a host by several ports at once, the window is for what these carry together; queues are for one port.
 * A receiver that sends a NACK says with it what else has come, and answers all packets until no gap is left. In uet-htsim a
 * window that a NACK cuts can be full of packets that have come and are not acknowledged yet; the sender then waits for its
 * timeout, which is the end of its tails (and was of ours: 253.6 in place of 232.1 below; with optical switches, milliseconds).
 * A window that is cut on packets that did not ask for an ACK, fewer than are answered together, is followed by a probe (a
 * control packet of Ultra Ethernet, of the size of an ACK): the receiver says what has come and answers all up to there.
 * uet-htsim waits for its timeout there too.
 * Behind circuits that come and go in slots, the longest wait for them is part of the idle round trip, however short a sample
 * is, and full queues drain at the share of the line that one circuit has: else the timeout sends again what is waiting.
 * Not modelled: receiver credit (RCCC) beside it; with host.connections=0, as in uet-htsim and below, each message starts with
 * a full window; the limit of 64 packets on what a selective ACK reports (all arrivals are reported);
 * ECN is decided when a packet starts to leave, uet-htsim decides when it has left; the 32-bit overflow of
 * its accumulated increase.
 * Checked against: closed forms of idle messages, line rate on short ways (tests/test_transport.c), and uet-htsim 40ccb05
 * (github.com/ultraethernet/uet-htsim, htsim_uec, with its own flow lists and generators): microseconds to
 * the last ACK, ours as the mean over five seeds / theirs of one, with profile=htsim (`make
 * golden-peers`):
 *
 *                                     minimum        median           99 %             maximum
 *     permutation  128, 400 Gbit/s     52.2 / 51.8    60.3 / 62.5      66.8 / 66.3      67.3 / 66.4
 *     permutation  128, 100 Gbit/s    180.6 / 179.4  203.1 / 204.0    220.3 / 229.9    227.7 / 232.0
 *     permutation 1024, 400 Gbit/s     44.9 / 44.9    62.3 / 62.2      67.9 / 68.7      69.2 / 70.2
 *     permutation 1024, 100 Gbit/s    168.0 / 167.7  206.7 / 207.0    222.6 / 226.9    232.1 / 271.8 (a timeout)
 *     ring 128, neighbours in order                 1376.8 / 1376.9  2721.8 / 2721.5  2749.8 / 2749.2
 *     ring 128, random order                        2229.6 / 2248.3  4404.2 / 4441.9  4454.8 / 4493.8
 *     all-to-all 128, 8 at a time      24.8 / 24.9   241.6 / 237.7    442.0 / 436.0    477.7 / 462.8
 *     all-to-all 128, all at once     332.3 / 333.2  354.8 / 354.3    359.3 / 358.5    361.0 / 359.1
 *
 * Ratios of the medians: 0.97, 1.00, 1.00, 1.00, 1.00, 0.99, 1.02, 1.00; of the maxima 1.01, 0.98, 0.99, 0.85, 1.00, 0.99,
 * 1.03, 1.01. The rings and all-to-alls once more through the replay, collectives of the name send_done, makespans of five
 * seeds: 2738 / 2749 (0.996), 4441 / 4494 (0.988), 467 / 463 (1.010), 361 / 359 (1.004). */
#include "netsim/transport/transport.h"

static const char *const profile_names[] = {"mixed", "htsim", "hardware", NULL};

struct nscc_params {
    uint32_t profile;
    uint64_t target_ps, rto_ps;
    double window, window_first, queue; /* bandwidth-delay products */
    double mark_low, mark_high;         /* of the queue */
    bool has_quick_adapt;
};

static const struct param rows[] = {
    PARAM_CHOICE(struct nscc_params, profile, "profile", "mixed", profile_names,
                 "defaults of many options at once: like uet-htsim, like hardware; see the table of profiles"),
    PARAM_U64(struct nscc_params, target_ps, TIME, "target", "0ns", "0ns", "1s",
              "target of the queueing delay; 0ns = 0.75 of the longest idle round trip (uet-htsim, with trimming)"),
    PARAM_BOOL(struct nscc_params, has_quick_adapt, "quick_adapt", "yes", "cut the window to what came through"),
    PARAM_REAL(struct nscc_params, window, NUMBER, "window", "0", "0", "64",
               "most in flight, in bandwidth-delay products; 0: 1.5, and on short ways what ACKs wait for"),
    PARAM_REAL(struct nscc_params, window_first, NUMBER, "initial_window", "0", "0", "64",
               "the same when a message begins, at most the window; 0: the window"),
    PARAM_REAL(struct nscc_params, queue, NUMBER, "queue", "1", "0.01", "1000",
               "of data at a switch port, in bandwidth-delay products; control packets have twice that"),
    PARAM_REAL(struct nscc_params, mark_low, FRACTION, "ecn_low", "20%", "0%", "100%", "of the queue: never marked below"),
    PARAM_REAL(struct nscc_params, mark_high, FRACTION, "ecn_high", "80%", "0%", "100%",
               "of the queue: always marked above, with linear chance between"),
    PARAM_U64(struct nscc_params, rto_ps, TIME, "rto", "0ns", "0ns", "10s",
              "a packet is sent again after so long; 0ns: 15 us and the time in which six full queues drain (uet-htsim)"),
};

/* Where hardware differs and nothing is published we leave what uet-htsim has, and say so. */
static const struct transport_profile_row profile_rows[] = {
    {"routing.balance", {"spray", "spray_n", "reps"},
     "htsim: the same few entropies in turn, on fixed uplinks (-load_balancing_algo oblivious). hardware: entropies that came "
     "back unmarked are used again (REPS: Bonato et al., arXiv 2407.21625, run on FPGA NICs; Ultra Ethernet 1.0 leaves the "
     "choice to the vendor: Hoefler et al., arXiv 2508.08906)"},
    {"routing.entropies", {NULL, "64", NULL},
     "htsim: 64. Others draw from all 2^16 values of a UDP source port"},
    {"queue.full", {"trim_either", "trim_either", "trim"},
     "htsim: by chance the newest packet of the queue. hardware: the packet that is not admitted (SAI's "
     "PACKET_ADMISSION_FAIL_ACTION_DROP_AND_TRIM; SONiC, packet-trimming-design.md)"},
    {"queue.trim_size", {"0B", "0B", "256B"},
     "htsim: the header. hardware: 256 B is the least that Spectrum-4 cuts to (NVIDIA, Cumulus Linux 5.14, Packet Trimming)"},
    {"queue.ecn", {"dequeue", "dequeue", "enqueue"},
     "htsim: by what is left when a packet leaves. hardware: by what waits when it arrives (DCTCP, Alizadeh et al., SIGCOMM "
     "2010, on Broadcom's Triumph; RFC 3168); assumed of today's chips, which do not say"},
    {"transport.ecn_low", {"20%", "20%", "20%"}, "hardware: assumed as in htsim; operators set it"},
    {"transport.ecn_high", {"80%", "80%", "80%"}, "hardware: assumed as in htsim; operators set it"},
    {"transport.queue", {"1", "1", "1"}, "hardware: assumed as in htsim; operators set it"},
    {"transport.window", {"0", "1.5", "0"},
     "htsim: 1.5, also on ways of a few packets. hardware: MaxWnd is set by operators from the longest round trip; assumed not "
     "to starve short ways"},
    {"transport.initial_window", {"0", "0", "0"}, "all of it from the first packet on"},
    {"transport.rto", {"0ns", "0ns", "0ns"}, "hardware: assumed as in htsim"},
    {"host.connections", {NULL, "0", "1"},
     "htsim: every message begins anew with a full window. hardware: one context of congestion control a pair of ends and "
     "class, which outlives messages (Ultra Ethernet 1.0: CCC)"},
};

/* The reference network to which the constants are scaled: 100 Gbit/s times 12 us (uet-htsim). */
#define REFERENCE_BDP_BYTES 150000.0
#define REFERENCE_RTT_PS 12e6

struct nscc_shared {
    uint64_t network_rtt_ps, target_ps, gate_ps, rate_bps;
    int64_t packet_bytes;
    uint32_t window_bytes_max, window_bytes_first;
    uint32_t delay_log2; /* delays are kept in 2^delay_log2 ps */
    uint64_t duplex_bytes, window_parts;
    bool has_quick_adapt;
    double alpha;    /* bytes per ps: proportional increase */
    double fair;     /* bytes: fair increase */
    double eta;      /* bytes: each round trip */
    double fast;     /* share of the acknowledged bytes: fast increase */
};

/* What is in flight of a message is less than 2^31 B (RING_LOG2_COALESCED_MAX packets of PACKET_BYTES_MAX), so counts of it
 * need no more, and leave a bit; those of a connection stay there. So do windows. */
struct nscc_state {
    uint32_t window_bytes, window_bytes_max; /* read by the endpoint */
    uint32_t base_rtt, delay_mean;           /* in 2^delay_log2 ps */
    int64_t increase;             /* bytes times bytes, to be divided by the window */
    uint32_t received_bytes;      /* since the increase was applied: some packets, and what one ACK reports */
    uint32_t achieved_bytes;      /* acknowledged in this period of quick adapt; not beyond 2^32 - 1 */
    uint32_t fast_bytes : 31;     /* acknowledged with hardly any delay; not beyond 2^31 - 1 */
    uint32_t is_fast : 1;
    uint32_t to_ignore_bytes : 31; /* that are still to be acknowledged before marks and NACKs count again */
    uint32_t is_armed : 1;
    uint64_t adapt_ps, decreased_ps, adjusted_ps;
};
_Static_assert(sizeof(struct nscc_state) == 64, "a message in flight is small: this is its fourth line");

#define BYTES_MAX ((UINT32_C(1) << 31) - 1)
static uint32_t bytes_bound(uint64_t bytes)
{
    return bytes < BYTES_MAX ? (uint32_t)bytes : BYTES_MAX;
}

static uint64_t bdp_bytes(const struct transport_facts *facts)
{
    return line_bytes(facts->base_rtt_ps, facts->host_rate_bps);
}

#define PARTS 100000 /* shares are whole numbers of these from here on */
static uint64_t parts_of(double share)
{
    return (uint64_t)(share * PARTS + 0.5);
}

/* The part of so many packets, rounded up as uet-htsim does. */
static uint64_t part_packets(uint64_t packets, double share)
{
    return (packets * parts_of(share) + PARTS - 1) / PARTS;
}

static uint64_t queue_packets(const struct nscc_params *params, const struct transport_facts *facts)
{
    return part_packets((bdp_bytes(facts) + facts->packet_bytes - 1) / facts->packet_bytes, params->queue);
}

static void queues(const void *values, const struct transport_facts *facts, struct queue_profile *profile)
{
    const struct nscc_params *params = values;
    uint64_t packets = queue_packets(params, facts), queue_bytes = packets * facts->packet_bytes;
    profile->class_count = 2;
    profile->class[0] = (struct queue_class){
        .priority = 1,
        .quantum_bytes = facts->packet_bytes,
        .capacity_bytes = queue_bytes,
        .full = FULL_TRIM_EITHER,
        .trim_class = 1,
        .mark = MARK_DEQUEUE,
        .mark_low_bytes = part_packets(packets, params->mark_low) * facts->packet_bytes,
        .mark_high_bytes = part_packets(packets, params->mark_high) * facts->packet_bytes,
    };
    profile->class[1] = (struct queue_class){.quantum_bytes = facts->packet_bytes, .capacity_bytes = 2 * queue_bytes};
}

/* 15 us and the time in which six full queues drain (uet-htsim: two priorities times three hops). */
static uint64_t rto_ps(const void *values, const struct transport_facts *facts, const struct queue_profile *profile)
{
    const struct nscc_params *params = values;
    uint64_t full_ps = serialisation_ps(6 * profile->class[0].capacity_bytes, facts->drain_bps);
    return params->rto_ps > 0 ? params->rto_ps : 15 * PS_PER_US + full_ps;
}

/* What ACKs that wait for full packets on their way add to what must be under way, and the packet that does not fit in whole. */
static uint64_t duplex_bytes(const struct transport_facts *facts)
{
    return line_bytes(facts->duplex_rtt_ps - facts->base_rtt_ps, facts_rate_bps(facts)) + facts->packet_bytes;
}

/* `parts` of a bandwidth-delay product. 0: uet-htsim's factor; where the round trip is a few packets, half of it is less than
 * its ACKs wait for. */
static uint64_t window_of(uint64_t way_bytes, uint64_t duplex, uint64_t parts)
{
    if (parts > 0) {
        return (uint64_t)((unsigned __int128)way_bytes * parts / PARTS);
    }
    uint64_t spare_bytes = way_bytes / 2;
    return way_bytes + (spare_bytes > duplex ? spare_bytes : duplex);
}

/* Of a message, which may leave by several ports at once; queues are of one. */
static uint64_t way_bytes(const struct transport_facts *facts)
{
    return line_bytes(facts->base_rtt_ps, facts_rate_bps(facts));
}

static uint64_t window_bytes_max(const void *values, const struct transport_facts *facts)
{
    const struct nscc_params *params = values;
    uint64_t window_bytes = window_of(way_bytes(facts), duplex_bytes(facts), parts_of(params->window));
    return window_bytes > facts->packet_bytes ? window_bytes : facts->packet_bytes;
}

static uint64_t window_bytes_first(const struct nscc_params *params, const struct transport_facts *facts)
{
    uint64_t most_bytes = window_bytes_max(params, facts), parts = parts_of(params->window_first);
    uint64_t first_bytes = parts > 0 ? window_of(way_bytes(facts), 0, parts) : most_bytes;
    first_bytes = first_bytes > facts->packet_bytes ? first_bytes : facts->packet_bytes;
    return first_bytes < most_bytes ? first_bytes : most_bytes;
}

static uint32_t window_bound_max(uint64_t window_bytes)
{
    return window_bytes < UINT32_MAX ? (uint32_t)window_bytes : UINT32_MAX;
}

/* 32 bits hold DELAYS_MAX times what is usual: 0, and nothing is rounded, up to 0.13 ms of round trip and target. */
#define DELAYS_MAX 32
static uint32_t delay_log2_of(uint64_t usual_ps)
{
    uint32_t log2 = 0;
    while (usual_ps * DELAYS_MAX >> log2 > UINT32_MAX) {
        log2++;
    }
    return log2;
}

static void prepare(const void *values, const struct transport_facts *facts, void *shared_)
{
    const struct nscc_params *params = values;
    struct nscc_shared *shared = shared_;
    double payload_bytes = (double)(facts->packet_bytes - facts->header_bytes);
    uint64_t target_ps = params->target_ps > 0 ? params->target_ps : facts->base_rtt_ps * 3 / 4;
    double scale_bdp = (double)way_bytes(facts) / REFERENCE_BDP_BYTES;
    double scale_delay = (double)target_ps / REFERENCE_RTT_PS;
    *shared = (struct nscc_shared){
        .network_rtt_ps = facts->base_rtt_ps,
        .target_ps = target_ps,
        .gate_ps = facts->gate_ps,
        .rate_bps = facts_rate_bps(facts),
        .packet_bytes = (int64_t)facts->packet_bytes,
        .window_bytes_max = window_bound_max(window_bytes_max(values, facts)),
        .window_bytes_first = window_bound_max(window_bytes_first(params, facts)),
        .window_parts = parts_of(params->window),
        .delay_log2 = delay_log2_of(facts->base_rtt_ps > target_ps ? facts->base_rtt_ps : target_ps),
        .duplex_bytes = duplex_bytes(facts),
        .has_quick_adapt = params->has_quick_adapt,
        .alpha = 4 * payload_bytes * scale_bdp * scale_delay / (double)target_ps,
        .fair = 5 * payload_bytes * scale_bdp,
        .eta = 0.15 * payload_bytes * scale_bdp,
        .fast = 0.25 * scale_bdp,
    };
}

static void begin(const void *shared_, void *state_, const struct flow_facts *facts)
{
    const struct nscc_shared *shared = shared_;
    struct nscc_state *state = state_;
    state->window_bytes = shared->window_bytes_first;
    state->window_bytes_max = shared->window_bytes_max;
    state->base_rtt = (uint32_t)(shared->network_rtt_ps >> shared->delay_log2);
    state->adjusted_ps = facts->now_ps;
}

/* ---- delay ------------------------------------------------------------------------------------------------ */

static uint64_t base_rtt_ps(const struct nscc_shared *shared, const struct nscc_state *state)
{
    return (uint64_t)state->base_rtt << shared->delay_log2;
}

static uint64_t delay_ps_mean(const struct nscc_shared *shared, const struct nscc_state *state)
{
    return (uint64_t)state->delay_mean << shared->delay_log2;
}

/* A packet that found all its circuits standing says nothing of how long they are dark, and to wait for them is no queueing
 * (reTCP, NSDI 2020, finds the same of TCP's samples). */
static void base_rtt_update(const struct nscc_shared *shared, struct nscc_state *state, uint64_t rtt_ps)
{
    uint64_t longest_ps = rtt_ps + shared->gate_ps;
    if (rtt_ps != 0 && longest_ps < base_rtt_ps(shared, state)) {
        state->base_rtt = (uint32_t)(longest_ps >> shared->delay_log2);
        uint64_t way_bytes = line_bytes(longest_ps, shared->rate_bps), packet_bytes = (uint64_t)shared->packet_bytes;
        uint64_t most_bytes = window_of(way_bytes, shared->duplex_bytes, shared->window_parts);
        state->window_bytes_max = window_bound_max(most_bytes > packet_bytes ? most_bytes : packet_bytes);
    }
}

#define MEAN_WEIGHT 0.0125 /* of a sample */

/* A long delay without a mark is that of a queue which has drained meanwhile: it counts a quarter of the
 * round trip. */
static void delay_mean_update(const struct nscc_shared *shared, struct nscc_state *state, uint64_t delay_ps,
                              bool is_marked)
{
    bool is_over = !is_marked && delay_ps > shared->target_ps;
    double sample_ps = is_over ? 0.25 * (double)base_rtt_ps(shared, state) : (double)delay_ps;
    double mean_ps = MEAN_WEIGHT * sample_ps + (1 - MEAN_WEIGHT) * (double)delay_ps_mean(shared, state);
    uint64_t mean = (uint64_t)mean_ps >> shared->delay_log2;
    state->delay_mean = mean < UINT32_MAX ? (uint32_t)mean : UINT32_MAX;
}

/* ---- the window ------------------------------------------------------------------------------------------- */

static void window_set(const struct nscc_shared *shared, struct nscc_state *state, int64_t window_bytes)
{
    window_bytes = window_bytes < shared->packet_bytes ? shared->packet_bytes : window_bytes;
    state->window_bytes = window_bytes > state->window_bytes_max ? state->window_bytes_max : (uint32_t)window_bytes;
}

/* The end of a period: true where the window was cut. */
static bool adapt_now(const struct nscc_shared *shared, struct nscc_state *state, const struct ack_news *news,
                      bool is_wanted)
{
    bool is_due = state->adapt_ps != 0 && is_wanted && state->achieved_bytes < (uint64_t)state->window_bytes_max >> 3;
    if (is_due) {
        int64_t achieved_bytes = (int64_t)state->achieved_bytes;
        state->window_bytes = (uint32_t)(achieved_bytes > shared->packet_bytes ? achieved_bytes : shared->packet_bytes);
        state->to_ignore_bytes = bytes_bound(news->flight_bytes) & BYTES_MAX;
        state->is_armed = false;
    }
    state->achieved_bytes = 0;
    state->adapt_ps = news->now_ps + base_rtt_ps(shared, state) + shared->target_ps;
    return is_due;
}

/* True where quick adapt takes the answer, so that nothing else is made of it. `is_bad`: marked or a NACK. */
static bool quick_adapt(const struct nscc_shared *shared, struct nscc_state *state, const struct ack_news *news,
                        bool is_lost, uint64_t delay_ps)
{
    bool is_bad = is_lost || news->is_marked, is_taken = false;
    if (!shared->has_quick_adapt) {
        return false;
    }
    if (state->to_ignore_bytes > 0 && is_bad) {
        is_taken = true;
    } else if (news->now_ps > state->adapt_ps) {
        bool is_wanted = state->is_armed || is_lost || delay_ps > 4 * shared->target_ps;
        is_taken = adapt_now(shared, state, news, is_wanted);
    }
    if (is_taken) {
        state->increase = 0;
        state->received_bytes = 0;
    }
    return is_taken;
}

static void increase_by_distance(const struct nscc_shared *shared, struct nscc_state *state, uint64_t bytes,
                                 uint64_t delay_ps)
{
    if (delay_ps < PS_PER_US) {
        state->fast_bytes = bytes_bound(state->fast_bytes + bytes) & BYTES_MAX;
        if (state->fast_bytes > (uint64_t)state->window_bytes || state->is_fast) {
            window_set(shared, state, (int64_t)((double)state->window_bytes + (double)bytes * shared->fast));
            state->is_fast = true;
            return;
        }
    } else {
        state->fast_bytes = 0;
    }
    state->is_fast = false;
    double distance_ps = (double)(shared->target_ps - delay_ps);
    state->increase = (int64_t)((double)state->increase + shared->alpha * (double)bytes * distance_ps);
}

static void decrease(const struct nscc_shared *shared, struct nscc_state *state, uint64_t now_ps)
{
    state->is_fast = false;
    state->fast_bytes = 0;
    uint64_t delay_ps = delay_ps_mean(shared, state);
    if (delay_ps <= shared->target_ps || now_ps - state->decreased_ps <= base_rtt_ps(shared, state)) {
        return;
    }
    double mean_ps = (double)delay_ps;
    double factor = 1 - 0.8 * (mean_ps - (double)shared->target_ps) / mean_ps;
    window_set(shared, state, (int64_t)((double)state->window_bytes * (factor > 0.5 ? factor : 0.5)));
    state->decreased_ps = now_ps;
}

static void increase_apply(const struct nscc_shared *shared, struct nscc_state *state, uint64_t now_ps)
{
    bool is_period_over = now_ps - state->adjusted_ps >= shared->network_rtt_ps;
    if (state->received_bytes <= 8 * (uint64_t)shared->packet_bytes && !is_period_over) {
        return;
    }
    window_set(shared, state, state->window_bytes + state->increase / state->window_bytes);
    if (is_period_over) {
        window_set(shared, state, (int64_t)((double)state->window_bytes + shared->eta));
        state->adjusted_ps = now_ps;
    }
    state->increase = 0;
    state->received_bytes = 0;
}

static void window_update(const struct nscc_shared *shared, struct nscc_state *state, const struct ack_news *news,
                          uint64_t delay_ps)
{
    bool is_above = delay_ps >= shared->target_ps;
    if (!news->is_marked && is_above) {
        state->increase = (int64_t)((double)state->increase + shared->fair * (double)news->bytes);
    } else if (!news->is_marked) {
        increase_by_distance(shared, state, news->bytes, delay_ps);
    } else if (is_above) {
        decrease(shared, state, news->now_ps);
    }
    window_set(shared, state, state->window_bytes); /* its bound may have come down */
    increase_apply(shared, state, news->now_ps);
}

/* ---- answers ---------------------------------------------------------------------------------------------- */

static void ignored_count(struct nscc_state *state, uint64_t bytes)
{
    state->to_ignore_bytes -= (bytes < state->to_ignore_bytes ? bytes : state->to_ignore_bytes) & BYTES_MAX;
}

static void acked(const void *shared_, void *state_, const struct ack_news *news)
{
    const struct nscc_shared *shared = shared_;
    struct nscc_state *state = state_;
    uint64_t achieved_bytes = state->achieved_bytes + news->bytes;
    state->achieved_bytes = (uint32_t)(achieved_bytes < UINT32_MAX ? achieved_bytes : UINT32_MAX);
    state->received_bytes += (uint32_t)news->bytes;
    ignored_count(state, news->bytes);
    uint64_t delay_ps = delay_ps_mean(shared, state);
    if (news->rtt_ps != 0) {
        base_rtt_update(shared, state, news->rtt_ps);
        uint64_t base_ps = base_rtt_ps(shared, state);
        delay_ps = news->rtt_ps > base_ps ? news->rtt_ps - base_ps : 0;
        delay_mean_update(shared, state, delay_ps, news->is_marked);
    }
    if (!quick_adapt(shared, state, news, false, delay_ps)) {
        window_update(shared, state, news, delay_ps);
    }
}

static void nacked(const void *shared_, void *state_, const struct ack_news *news)
{
    const struct nscc_shared *shared = shared_;
    struct nscc_state *state = state_;
    ignored_count(state, news->bytes);
    base_rtt_update(shared, state, news->rtt_ps);
    delay_mean_update(shared, state, shared->network_rtt_ps, true);
    state->is_armed = true;
    if (!quick_adapt(shared, state, news, true, 0)) {
        window_set(shared, state, state->window_bytes - (int64_t)news->bytes);
    }
}

static void timed_out(const void *shared_, void *state_, uint64_t lost_bytes, uint64_t now_ps)
{
    const struct nscc_shared *shared = shared_;
    struct nscc_state *state = state_;
    (void)now_ps;
    window_set(shared, state, state->window_bytes - (int64_t)lost_bytes);
}

const struct transport transport_nscc = {
    .name = "nscc",
    .summary = "Ultra Ethernet, sender-based: window steered by delay and ECN, trimming, selective ACKs",
    .params = PARAM_TABLE(struct nscc_params, rows),
    .profile_rows = profile_rows,
    .profile_row_count = sizeof profile_rows / sizeof profile_rows[0],
    .shared_bytes = sizeof(struct nscc_shared),
    .state_bytes = sizeof(struct nscc_state),
    .ack = ACK_COALESCED,
    .ack_bytes = 16384, /* uet-htsim: UecSink::_bytes_unacked_threshold */
    .has_times = true,
    .control_per_data = 10, /* uet-htsim: UecNIC, _ratio_control */
    .queues = queues,
    .window_bytes_max = window_bytes_max,
    .rto_ps = rto_ps,
    .prepare = prepare,
    .begin = begin,
    .window = WINDOW_BOUNDED,
    .acked = acked,
    .nacked = nacked,
    .timed_out = timed_out,
};
