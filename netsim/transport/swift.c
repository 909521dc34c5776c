/* Swift: a window per message, steered by the round trip alone (Kumar et al., SIGCOMM 2020).
 *
 *     target = base + distance + flow scaling
 *     distance: the message's own idle round trip, or hops * `per_hop`
 *     flow scaling: alpha / sqrt(window) + beta in packets, `fs_range` at fs_min packets, 0 from fs_max on
 *
 *     round trip < target     window += ai * acknowledged / window (all of ai in a round trip)
 *     else, once in a round trip    window *= max(1 - beta (round trip - target) / round trip, 1 - max_mdf)
 *     window < 1 packet       one packet in round trip * packet / window
 *
 * Scope: the fabric's window of the paper, over any queues; every packet is acknowledged, a packet is repeated when its
 * time is over and, where a message keeps to one path, when a later one is acknowledged; a loss cuts by max_mdf. All in
 * integers: windows in 2^-16 B, fractions in 2^-10, the square root in 2^-8.
 * Defaults follow the fabric, since targets of another network mean nothing here. The paper scales the target by hops,
 * so that messages from near and far leave room for the same queue; that takes links which are alike. Where those of
 * hosts, racks and rows differ, one `per_hop` starves the near or the far ones (clos-dsp, two senders of 256 MiB, one
 * of them in the receiver's rack: done at 10.96 and 5.71 ms with that of the longest link, at 10.31 and 10.91 here), so
 * that each message is told what its own way takes when idle. Flow scaling then goes by the window that would send as
 * fast over the longest way, for equal windows are no equal rates. What is left: windows of one or two whole packets
 * favour the near (99 senders on fat-tree-128: those in the rack are done after 0.64 of the time).
 * base leaves room for 3/4 of the longest idle round trip in queues (as much as NSCC does), the first window is a
 * bandwidth-delay product (of all ports that a message leaves by), ai is a packet for each 150 kB of it (NSCC's scaling). With
 * base=20us per_hop=3050ns fs_range=100us it is what csg-htsim 841d9e7 runs (swift.cpp), whose beta, max_mdf, fs_min and
 * fs_max these are; the paper gives the formulas and no values.
 * Not modelled: the window for the delay inside hosts (ours take no time to take a packet in); PLB; a retransmission
 * timeout that follows the round trip.
 * Checked against: the physics that hold of every transport, the target delay in a long queue, and pacing below one
 * packet (tests/test_transport.c). No public completion times of the scenarios of tests/peers are known to us. */
#include "netsim/transport/transport.h"

struct swift_params {
    uint64_t base_ps, per_hop_ps, fs_range_ps, window_bytes, ai_bytes;
    double fs_min, fs_max, beta, max_mdf;
};

static const struct param rows[] = {
    PARAM_U64(struct swift_params, base_ps, TIME, "base", "0ns", "0ns", "1s",
              "target of the round trip at no distance; 0ns = 3/4 of the longest idle one (csg-htsim: 20 us)"),
    PARAM_U64(struct swift_params, per_hop_ps, TIME, "per_hop", "0ns", "0ns", "1s",
              "added for each link of the way, as in the paper; 0ns = the idle round trip of the way instead (csg-htsim: 3.05 us)"),
    PARAM_U64(struct swift_params, fs_range_ps, TIME, "fs_range", "0ns", "0ns", "1s",
              "most that small windows add; 0ns = the longest idle round trip (csg-htsim: 100 us)"),
    PARAM_REAL(struct swift_params, fs_min, NUMBER, "fs_min", "0.1", "0.001", "1000", "packets of window at which all of it is added"),
    PARAM_REAL(struct swift_params, fs_max, NUMBER, "fs_max", "100", "0.01", "100000", "packets of window from which nothing is"),
    PARAM_U64(struct swift_params, window_bytes, SIZE, "window", "0B", "0B", NULL,
              "first window; 0B = a bandwidth-delay product of the longest path"),
    PARAM_U64(struct swift_params, ai_bytes, SIZE, "ai", "0B", "0B", "1GB",
              "increase in a round trip; 0B = a packet for each 150 kB of a bandwidth-delay product (csg-htsim: a packet)"),
    PARAM_REAL(struct swift_params, beta, FRACTION, "beta", "0.8", "0", "1", "decrease for all of the delay over target"),
    PARAM_REAL(struct swift_params, max_mdf, FRACTION, "max_mdf", "0.5", "0", "0.99", "most of the window that one decrease takes"),
};

#define WINDOW_LOG2 16 /* windows are in 2^-16 B */
#define WINDOW_ONE (1 << WINDOW_LOG2)
#define FRACTION_ONE 1024
#define ROOT_ONE 256       /* square roots are in 2^-8 */
#define WINDOW_PACKETS_MIN_INVERSE 100 /* a hundredth of a packet: a packet in a hundred round trips */
#define REFERENCE_BDP_BYTES 150000     /* 100 Gbit/s times 12 us (uet-htsim, NSCC) */

struct swift_shared {
    uint64_t base_ps, fs_range_ps;
    uint64_t per_hop_ps; /* 0: each message has a distance of its own */
    uint64_t longest_ps; /* of them */
    uint64_t packet_bytes, ai_bytes;
    uint64_t window_start, window_min, window_max; /* 2^-16 B */
    uint64_t beta, max_mdf;                        /* 2^-10 */
    uint64_t fs_alpha_ps, fs_beta_ps;              /* added: alpha / sqrt(packets) - beta */
};

struct swift_state {
    uint64_t window; /* 2^-16 B */
    uint64_t target_ps; /* without flow scaling */
    uint64_t nearer_ps; /* than the longest idle round trip; 0 where hops are counted */
    uint64_t rtt_ps, decreased_ps;
};

static uint64_t root(uint64_t value)
{
    uint64_t bit = UINT64_C(1) << 62, result = 0;
    while (bit > value) {
        bit >>= 2;
    }
    for (; bit != 0; bit >>= 2) {
        if (value >= result + bit) {
            value -= result + bit;
            result += 2 * bit;
        }
        result >>= 1;
    }
    return result;
}

/* ROOT_ONE / sqrt(n), n in 2^-16 packets. */
static uint64_t root_inverse(uint64_t packets)
{
    return root(((uint64_t)ROOT_ONE * ROOT_ONE << 16) / (packets > 0 ? packets : 1));
}

static uint64_t either(uint64_t given, uint64_t otherwise)
{
    return given > 0 ? given : otherwise;
}

static uint64_t bdp_bytes(const struct transport_facts *facts)
{
    return line_bytes(facts->base_rtt_ps, facts_rate_bps(facts)) + facts->packet_bytes;
}

static void scaling_prepare(const struct swift_params *params, const struct transport_facts *facts,
                            struct swift_shared *shared)
{
    uint64_t low = root_inverse((uint64_t)(params->fs_min * WINDOW_ONE));
    uint64_t high = root_inverse((uint64_t)(params->fs_max * WINDOW_ONE));
    shared->fs_range_ps = either(params->fs_range_ps, facts->base_rtt_ps);
    shared->fs_alpha_ps = low > high ? shared->fs_range_ps * ROOT_ONE / (low - high) : 0;
    shared->fs_beta_ps = shared->fs_alpha_ps * high / ROOT_ONE;
}

/* What fills the line at the longest target; a first window that was asked for may be larger. */
static uint64_t window_bytes_max(const void *values, const struct transport_facts *facts)
{
    const struct swift_params *params = values;
    uint64_t base_ps = either(params->base_ps, facts->base_rtt_ps * 3 / 4);
    uint64_t fs_range_ps = either(params->fs_range_ps, facts->base_rtt_ps);
    uint64_t most_bytes = line_bytes(facts->base_rtt_ps + base_ps + fs_range_ps, facts_rate_bps(facts));
    most_bytes += facts->packet_bytes;
    return params->window_bytes > most_bytes ? params->window_bytes : most_bytes;
}

static void prepare(const void *values, const struct transport_facts *facts, void *shared_)
{
    const struct swift_params *params = values;
    struct swift_shared *shared = shared_;
    uint64_t ai_bytes = facts->packet_bytes * bdp_bytes(facts) / REFERENCE_BDP_BYTES;
    *shared = (struct swift_shared){
        .base_ps = either(params->base_ps, facts->base_rtt_ps * 3 / 4),
        .per_hop_ps = params->per_hop_ps,
        .longest_ps = facts->base_rtt_ps,
        .packet_bytes = facts->packet_bytes,
        .ai_bytes = either(params->ai_bytes, ai_bytes + 1),
        .window_start = either(params->window_bytes, bdp_bytes(facts)) * WINDOW_ONE,
        .window_min = facts->packet_bytes * WINDOW_ONE / WINDOW_PACKETS_MIN_INVERSE,
        .window_max = window_bytes_max(values, facts) * WINDOW_ONE,
        .beta = (uint64_t)(params->beta * FRACTION_ONE),
        .max_mdf = (uint64_t)(params->max_mdf * FRACTION_ONE),
    };
    scaling_prepare(params, facts, shared);
}

static void begin(const void *shared_, void *state_, const struct flow_facts *facts)
{
    const struct swift_shared *shared = shared_;
    struct swift_state *state = state_;
    state->window = shared->window_start;
    uint64_t distance_ps = shared->per_hop_ps > 0 ? facts->hops * shared->per_hop_ps : facts->idle_rtt_ps;
    state->target_ps = shared->base_ps + distance_ps;
    state->nearer_ps = shared->per_hop_ps == 0 && distance_ps < shared->longest_ps ? shared->longest_ps - distance_ps : 0;
    state->rtt_ps = state->target_ps;
}

/* The window that would send as fast over the longest way, in packets and 2^-16: where windows were compared as they are,
 * near and far ones would come to be equal, and rates as round trips are not. */
static uint64_t scaling_packets(const struct swift_shared *shared, const struct swift_state *state)
{
    uint64_t packets = state->window / shared->packet_bytes;
    return packets + (uint64_t)((unsigned __int128)packets * state->nearer_ps / state->rtt_ps);
}

static uint64_t target_now_ps(const struct swift_shared *shared, const struct swift_state *state)
{
    uint64_t added_ps = shared->fs_alpha_ps * root_inverse(scaling_packets(shared, state)) / ROOT_ONE;
    added_ps = added_ps > shared->fs_beta_ps ? added_ps - shared->fs_beta_ps : 0;
    return state->target_ps + (added_ps < shared->fs_range_ps ? added_ps : shared->fs_range_ps);
}

static void window_bound(const struct swift_shared *shared, struct swift_state *state)
{
    state->window = state->window < shared->window_min ? shared->window_min : state->window;
    state->window = state->window > shared->window_max ? shared->window_max : state->window;
}

/* Takes `share` of the window, in 2^-10, but only once in a round trip. */
static void decrease(const struct swift_shared *shared, struct swift_state *state, uint64_t share, uint64_t now_ps)
{
    if (state->decreased_ps != 0 && now_ps - state->decreased_ps < state->rtt_ps) {
        return;
    }
    share = share < shared->max_mdf ? share : shared->max_mdf;
    state->window -= (uint64_t)((unsigned __int128)state->window * share / FRACTION_ONE);
    state->decreased_ps = now_ps;
    window_bound(shared, state);
}

/* A window below one packet grows by ai for each one that is acknowledged. */
static void increase(const struct swift_shared *shared, struct swift_state *state, uint64_t acked_bytes)
{
    uint64_t window_bytes = state->window / WINDOW_ONE;
    window_bytes = window_bytes < shared->packet_bytes ? shared->packet_bytes : window_bytes;
    state->window += shared->ai_bytes * acked_bytes * WINDOW_ONE / window_bytes;
    window_bound(shared, state);
}

static void acked(const void *shared_, void *state_, const struct ack_news *news)
{
    const struct swift_shared *shared = shared_;
    struct swift_state *state = state_;
    if (news->rtt_ps == 0) {
        return;
    }
    state->rtt_ps = news->rtt_ps;
    uint64_t target_ps = target_now_ps(shared, state);
    if (news->rtt_ps < target_ps) {
        increase(shared, state, news->bytes);
        return;
    }
    uint64_t over = (uint64_t)((unsigned __int128)shared->beta * (news->rtt_ps - target_ps) / news->rtt_ps);
    decrease(shared, state, over, news->now_ps);
}

static void nacked(const void *shared_, void *state, const struct ack_news *news)
{
    const struct swift_shared *shared = shared_;
    decrease(shared, state, shared->max_mdf, news->now_ps);
}

static void timed_out(const void *shared_, void *state, uint64_t lost_bytes, uint64_t now_ps)
{
    const struct swift_shared *shared = shared_;
    (void)lost_bytes;
    decrease(shared, state, shared->max_mdf, now_ps);
}

static uint64_t gap_ps(const void *shared_, void *state_, uint64_t packet_bytes, uint64_t now_ps)
{
    const struct swift_shared *shared = shared_;
    const struct swift_state *state = state_;
    (void)now_ps;
    if (state->window >= shared->packet_bytes * WINDOW_ONE) {
        return 0;
    }
    return (uint64_t)((unsigned __int128)state->rtt_ps * packet_bytes * WINDOW_ONE / state->window);
}

const struct transport transport_swift = {
    .name = "swift",
    .summary = "a window steered by the round trip, paced below one packet",
    .params = PARAM_TABLE(struct swift_params, rows),
    .shared_bytes = sizeof(struct swift_shared),
    .state_bytes = sizeof(struct swift_state),
    .ack = ACK_EACH,
    .has_times = true,
    .repeats_gaps = true,
    .wants_way = true,
    .window_bytes_max = window_bytes_max,
    .prepare = prepare,
    .begin = begin,
    .window = WINDOW_WIDE,
    .window_log2 = WINDOW_LOG2,
    .acked = acked,
    .nacked = nacked,
    .timed_out = timed_out,
    .gap_ps = gap_ps,
};
