/* DCQCN: RoCEv2 with a rate per message that ECN marks cut and time and bytes raise (Zhu et al., SIGCOMM 2015), over go-back-N
 * and priority flow control, or over selective repeat without it.
 *
 *     mark seen      target = rate (once), rate *= 1 - alpha / 2, alpha = (1 - g) alpha + g; at most once in 50 us
 *     every 55 us    without a mark, since the first cut, alpha = (1 - g) alpha
 *     every 55 us, and every 10 MB, since the last cut: an increase
 *                    the first five of either kind    rate halves its distance to the target
 *                    more than five of one kind       target += ai first
 *                    more than five of both           target += i * hai first, i counting such increases
 *
 * Scope: repeat=go_back_n: go-back-N over priority flow control as in roce.c, marks from 100 KB to 400 KB of queue and steps
 * of 5 and 50 Mbit/s for each 25 Gbit/s of the host's port (Li et al., HPCC, SIGCOMM 2019, section 5.1 and
 * its published configuration), pauses well above the marks, so that rates act first; everything else as in
 * the first paper's table of parameters. Rates are whole bit/s, alpha has 32 bits, so no floating point
 * decides a time.
 * repeat=selective: as IRN (Mittal et al., SIGCOMM 2018): no pauses; receivers take packets in any order and acknowledge each
 * one; what was sent before an acknowledged packet and is missing is sent again, once, and after `rto` whenever it is
 * missing, or after `rto_low` where fewer than three packets of the message are under way; at most a bandwidth-delay
 * product (of the longest path) is in flight; queues of twice that, marked from an eighth to a half of them (the ratio of
 * the thresholds above). For one path a message.
 * profile=papers is what stands above. profile=ns3 is the simulator of HPCC's authors, profile=hardware NVIDIA's adapters and
 * switches with their defaults; the table below says what each sets.
 * clamp_target: the published configuration of HPCC has it off (CLAMP_TARGET_RATE 0), and so have ConnectX adapters
 * (clamp_tgt_rate 0, clamp_tgt_rate_after_time_inc 1 in NVIDIA's "DCQCN parameters"), which is what "no" does here. Thresholds
 * of pauses: HPCC's switches share 32 MB and pause an input at 11 % of what is free; ours have the figure for an empty switch.
 * Rates are the NIC's: over scale-up links messages go as in roce.c. With repeat=selective they keep rate and flight there too.
 * Not modelled: pauses by hosts that pass packets on, see roce.c; CNPs as packets of their own (a marked ACK that is the first in 50 us is one); a chance of
 * marking below 1 at the upper threshold (it is linear up to 1); with host.connections=0, rates that outlive a
 * message (each starts at the rate of the port).
 * Checked against: the physics that hold of every transport, single losses repeated singly (tests/test_transport.c). No public completion
 * times of the scenarios of tests/peers are known to us. */
#include "netsim/transport/transport.h"

static const char *const profile_names[] = {"papers", "ns3", "hardware", NULL};
enum repeat { REPEAT_GO_BACK_N, REPEAT_SELECTIVE };
static const char *const repeat_names[] = {"go_back_n", "selective", NULL};

struct dcqcn_params {
    uint32_t profile, repeat;
    uint64_t rto_ps, rto_low_ps;
    uint64_t xoff_bytes, xon_bytes;
    uint64_t cut_ps, alpha_ps, raise_ps, raise_bytes;
    uint64_t ai_bps, hai_bps, rate_bps_min;
    uint64_t recoveries, gain; /* the latter in 1/1024 */
    bool clamps_target;
};

static const struct param rows[] = {
    PARAM_CHOICE(struct dcqcn_params, profile, "profile", "papers", profile_names,
                 "defaults of many options at once: the papers', a simulator's, adapters'; see the table of profiles"),
    PARAM_CHOICE(struct dcqcn_params, repeat, "repeat", "go_back_n", repeat_names,
                 "go_back_n: over pauses, nothing is lost; selective: over queues that drop (IRN)"),
    PARAM_U64(struct dcqcn_params, rto_ps, TIME, "rto", "0ns", "0ns", "10s",
              "selective: a packet is sent again after so long; 0ns = an idle round trip and six full queues (IRN: 320 us)"),
    PARAM_U64(struct dcqcn_params, rto_low_ps, TIME, "rto_low", "0ns", "0ns", "10s",
              "selective: the same while fewer than 3 packets are under way; 0ns = 5/16 of rto, not below the idle round trip (IRN: 100 us)"),
    PARAM_U64(struct dcqcn_params, xoff_bytes, SIZE, "xoff", "3520kB", "1B", NULL,
              "bytes from one link that a switch holds before it pauses the link (HPCC: 11 % of 32 MB)"),
    PARAM_U64(struct dcqcn_params, xon_bytes, SIZE, "xon", "3504kB", "0B", NULL,
              "bytes that it holds when the link may go on"),
    PARAM_U64(struct dcqcn_params, cut_ps, TIME, "cut_interval", "50us", "1ns", "1s",
              "least time between two cuts of a message's rate (Zhu 2015: 50 us)"),
    PARAM_U64(struct dcqcn_params, alpha_ps, TIME, "alpha_interval", "55us", "1ns", "1s",
              "time without a mark after which alpha falls (Zhu 2015: 55 us)"),
    PARAM_U64(struct dcqcn_params, raise_ps, TIME, "raise_interval", "55us", "1ns", "1s",
              "time between increases (Zhu 2015: 55 us)"),
    PARAM_U64(struct dcqcn_params, raise_bytes, SIZE, "raise_bytes", "10MB", "1B", "1TB",
              "bytes between increases (Zhu 2015: 10 MB)"),
    PARAM_U64(struct dcqcn_params, ai_bps, RATE, "ai", "0bps", "0bps", "1Tbps",
              "additive increase; 0bps: 5 Mbit/s for each 25 Gbit/s of the port"),
    PARAM_U64(struct dcqcn_params, hai_bps, RATE, "hai", "0bps", "0bps", "1Tbps",
              "hyper increase; 0bps: 50 Mbit/s for each 25 Gbit/s of the port"),
    PARAM_U64(struct dcqcn_params, rate_bps_min, RATE, "rate_min", "1Gbps", "1Mbps", "1Tbps",
              "least rate of a message (HPCC's configuration: 1000 Mbit/s)"),
    PARAM_U64(struct dcqcn_params, recoveries, COUNT, "recoveries", "5", "1", "31",
              "increases of one kind that only halve the distance to the target (Zhu 2015: 5)"),
    PARAM_U64(struct dcqcn_params, gain, COUNT, "gain", "4", "1", "1023",
              "share of alpha that is made anew each time, in 1024ths (Zhu 2015: 1/256)"),
    PARAM_BOOL(struct dcqcn_params, clamps_target, "clamp_target", "no",
               "every cut lowers the target, as in Zhu 2015; else only the first after an increase by time (HPCC's configuration)"),
};

/* ns3: github.com/alibaba-edu/High-Precision-Congestion-Control, simulation/run.py of mode dcqcn. hardware: NVIDIA, "DCQCN
 * parameters" of ConnectX-4 and later (names of the driver in brackets), and switches of its "RoCE" configuration (Onyx, Cumulus
 * Linux: ECN absolute, 150 to 1500 KB). */
static const struct transport_profile_row profile_rows[] = {
    {"transport.cut_interval", {"50us", "4us", "4us"},
     "papers: Zhu 2015. ns3: RATE_DECREASE_INTERVAL. hardware: rate_reduce_monitor_period, min_time_between_cnps"},
    {"transport.alpha_interval", {"55us", "1us", "1us"}, "papers: Zhu 2015. ns3: ALPHA_RESUME_INTERVAL. hardware: dce_tcp_rtt"},
    {"transport.gain", {"4", "4", "5"}, "papers, ns3: 1/256. hardware: dce_tcp_g of 1019, of 1024"},
    {"transport.raise_interval", {"55us", "300us", "300us"}, "papers: Zhu 2015. ns3: RP_TIMER. hardware: rpg_time_reset"},
    {"transport.raise_bytes", {"10MB", "1TB", "32767kB"},
     "papers: Zhu 2015. ns3: has no increase by bytes. hardware: rpg_byte_reset of 32767, the register's largest, taken for kB: "
     "its description has 150 where IEEE 802.1Qau has 150,000 B"},
    {"transport.recoveries", {"5", "1", "1"}, "papers: Zhu 2015. ns3: FAST_RECOVERY_TIMES. hardware: rpg_threshold"},
    {"transport.ai", {"0bps", "0bps", "5Mbps"}, "papers, ns3: 5 Mbit/s for each 25 Gbit/s of the port. hardware: rpg_ai_rate"},
    {"transport.hai", {"0bps", "0bps", "50Mbps"}, "papers, ns3: 50 Mbit/s for each 25 Gbit/s. hardware: rpg_hai_rate"},
    {"transport.rate_min", {"1Gbps", "1Gbps", "1Mbps"}, "papers, ns3: MIN_RATE. hardware: rpg_min_rate"},
    {"transport.clamp_target", {"no", "no", "no"}, "ns3: CLAMP_TARGET_RATE. hardware: clamp_tgt_rate"},
    {"transport.xoff", {"3520kB", "3520kB", "3520kB"}, "ns3: 11 % of what is free of 32 MB. hardware: assumed the same"},
    {"transport.xon", {"3504kB", "3504kB", "3504kB"}, "ns3: four packets of 4000 B less. hardware: assumed the same"},
    {"queue.ecn", {"enqueue", "dequeue", "enqueue"},
     "ns3: when a packet leaves (SwitchNode::SwitchNotifyDequeue). hardware: by what waits when it arrives (DCTCP, Alizadeh et "
     "al., SIGCOMM 2010, on Broadcom's Triumph; RFC 3168); assumed of today's chips, which do not say"},
    {"queue.ecn_low", {NULL, NULL, "150kB"}, "papers, ns3: 100 KB for each 25 Gbit/s. hardware: the switches' default"},
    {"queue.ecn_high", {NULL, NULL, "1500kB"}, "papers, ns3: 400 KB for each 25 Gbit/s. hardware: the switches' default"},
    {"packet.size", {NULL, NULL, "4178B"}, "hardware: 4096 B, the largest MTU of InfiniBand, and the header"},
    {"packet.header", {NULL, NULL, "82B"},
     "hardware: preamble 8, Ethernet 14, IPv4 20, UDP 8, BTH 12, ICRC 4, FCS 4 and gap 12 B (IEEE 802.3, InfiniBand "
     "specification, annex 17)"},
    {"host.rto", {NULL, NULL, "4295ms"},
     "hardware: 4.096 us times 2^20, what NCCL asks of queue pairs (NCCL_IB_TIMEOUT, src/transport/net_ib)"},
    {"host.connections", {NULL, "0", "1"},
     "ns3: a queue pair a message. hardware: one for two ranks, whose rate outlives messages (NCCL_IB_QPS_PER_CONNECTION)"},
};

#define REFERENCE_RATE_BPS UINT64_C(25000000000)
#define GAIN_ONE_LOG2 10
#define ALPHA_ONE (UINT64_C(1) << 32)

struct dcqcn_shared {
    uint64_t window_bytes; /* first: read by the endpoint */
    struct dcqcn_params params;
    uint64_t line_bps;
};

struct dcqcn_state {
    uint64_t rate_bps, target_bps, alpha; /* alpha in 2^-32 */
    uint64_t cut_ps, alpha_ps;            /* last cut, and when alpha falls */
    uint64_t sent_bytes;                  /* since the last increase by bytes */
    uint32_t by_time;                     /* increases since the last cut; so is known when the next one is due */
    uint16_t by_bytes, hyper;             /* not beyond COUNT_MAX: the line's rate is reached long before */
};
_Static_assert(sizeof(struct dcqcn_state) == 56, "a message in flight is small");
#define COUNT_MAX UINT16_MAX

static uint64_t at_line_rate(uint64_t value, const struct transport_facts *facts)
{
    return (uint64_t)((unsigned __int128)value * facts->host_rate_bps / REFERENCE_RATE_BPS);
}

static uint64_t bdp_bytes(const struct transport_facts *facts)
{
    return line_bytes(facts->base_rtt_ps, facts->host_rate_bps) + facts->packet_bytes;
}

static void queues(const void *values, const struct transport_facts *facts, struct queue_profile *profile)
{
    const struct dcqcn_params *params = values;
    struct queue_class *class = &profile->class[0];
    class->mark = MARK_ENQUEUE;
    if (params->repeat == REPEAT_SELECTIVE) {
        class->capacity_bytes = 2 * bdp_bytes(facts);
        class->mark_low_bytes = class->capacity_bytes / 8;
        class->mark_high_bytes = class->capacity_bytes / 2;
        return;
    }
    class->xoff_bytes = params->xoff_bytes;
    class->xon_bytes = params->xon_bytes;
    class->mark_low_bytes = at_line_rate(100000, facts);
    class->mark_high_bytes = at_line_rate(400000, facts);
}

static enum ack_policy ack_of(const void *values)
{
    const struct dcqcn_params *params = values;
    return params->repeat == REPEAT_SELECTIVE ? ACK_EACH : ACK_IN_ORDER;
}

static uint64_t window_bytes_max(const void *values, const struct transport_facts *facts)
{
    const struct dcqcn_params *params = values;
    return params->repeat == REPEAT_SELECTIVE ? bdp_bytes(facts) : UINT64_MAX;
}

/* The longest way with full queues on its six links, as IRN has it: 24 us and six times 48 us. */
static uint64_t rto_ps(const void *values, const struct transport_facts *facts, const struct queue_profile *profile)
{
    const struct dcqcn_params *params = values;
    if (params->repeat == REPEAT_GO_BACK_N) {
        return 0;
    }
    uint64_t full_ps = serialisation_ps(6 * profile->class[0].capacity_bytes, facts->drain_bps);
    return params->rto_ps > 0 ? params->rto_ps : facts->base_rtt_ps + full_ps;
}

/* IRN: 100 us of 320. */
static uint64_t rto_low_ps(const void *values, const struct transport_facts *facts, uint64_t rto_ps)
{
    const struct dcqcn_params *params = values;
    uint64_t low_ps = rto_ps * 5 / 16 > facts->base_rtt_ps ? rto_ps * 5 / 16 : facts->base_rtt_ps;
    low_ps = params->rto_low_ps > 0 ? params->rto_low_ps : low_ps;
    return low_ps < rto_ps ? low_ps : rto_ps;
}

static void prepare(const void *values, const struct transport_facts *facts, void *shared_)
{
    struct dcqcn_shared *shared = shared_;
    shared->params = *(const struct dcqcn_params *)values;
    shared->line_bps = facts->host_rate_bps;
    shared->window_bytes = window_bytes_max(values, facts);
    struct dcqcn_params *params = &shared->params;
    params->ai_bps = params->ai_bps > 0 ? params->ai_bps : at_line_rate(5000000, facts);
    params->hai_bps = params->hai_bps > 0 ? params->hai_bps : at_line_rate(50000000, facts);
    params->rate_bps_min = params->rate_bps_min < shared->line_bps ? params->rate_bps_min : shared->line_bps;
}

static void begin(const void *shared_, void *state_, const struct flow_facts *facts)
{
    const struct dcqcn_shared *shared = shared_;
    struct dcqcn_state *state = state_;
    (void)facts;
    state->rate_bps = state->target_bps = shared->line_bps;
    state->alpha = ALPHA_ONE;
    state->alpha_ps = TIME_NEVER_PS; /* until the first cut: the time before says nothing (so in HPCC's published code) */
}

static void raise(const struct dcqcn_shared *shared, struct dcqcn_state *state)
{
    uint32_t more = state->by_time > state->by_bytes ? state->by_time : state->by_bytes;
    uint32_t less = state->by_time < state->by_bytes ? state->by_time : state->by_bytes;
    if (less > shared->params.recoveries) {
        state->hyper = (uint16_t)(state->hyper + (state->hyper < COUNT_MAX));
        state->target_bps += state->hyper * shared->params.hai_bps;
    } else if (more > shared->params.recoveries) {
        state->target_bps += shared->params.ai_bps;
    }
    state->target_bps = state->target_bps < shared->line_bps ? state->target_bps : shared->line_bps;
    state->rate_bps = (state->rate_bps + state->target_bps + 1) / 2;
}

static uint64_t raise_due_ps(const struct dcqcn_shared *shared, const struct dcqcn_state *state)
{
    return state->cut_ps + (state->by_time + UINT64_C(1)) * shared->params.raise_ps;
}

/* What time has done since the last look. Timers need no events: nobody asks in between. */
static void time_pass(const struct dcqcn_shared *shared, struct dcqcn_state *state, uint64_t now_ps)
{
    while (state->alpha_ps <= now_ps && state->alpha > 0) {
        state->alpha -= (state->alpha * shared->params.gain + (1u << GAIN_ONE_LOG2) - 1) >> GAIN_ONE_LOG2;
        state->alpha_ps += shared->params.alpha_ps;
    }
    while (state->rate_bps < shared->line_bps && raise_due_ps(shared, state) <= now_ps) {
        state->by_time++;
        raise(shared, state);
    }
}

static void cut(const struct dcqcn_shared *shared, struct dcqcn_state *state, uint64_t now_ps)
{
    unsigned __int128 off_bps = (unsigned __int128)state->rate_bps * state->alpha >> 33;
    uint64_t rate_bps = state->rate_bps - (uint64_t)off_bps;
    bool is_first = state->by_time > 0 || state->cut_ps == 0; /* since an increase */
    state->target_bps = is_first || shared->params.clamps_target ? state->rate_bps : state->target_bps;
    state->rate_bps = rate_bps > shared->params.rate_bps_min ? rate_bps : shared->params.rate_bps_min;
    uint64_t gain = shared->params.gain;
    state->alpha = state->alpha - (state->alpha * gain >> GAIN_ONE_LOG2) + (ALPHA_ONE * gain >> GAIN_ONE_LOG2);
    state->alpha = state->alpha < ALPHA_ONE ? state->alpha : ALPHA_ONE;
    state->cut_ps = now_ps;
    state->alpha_ps = now_ps + shared->params.alpha_ps;
    state->sent_bytes = 0;
    state->by_time = 0;
    state->by_bytes = state->hyper = 0;
}

static void acked(const void *shared_, void *state_, const struct ack_news *news)
{
    const struct dcqcn_shared *shared = shared_;
    struct dcqcn_state *state = state_;
    bool is_first = state->cut_ps == 0 || news->now_ps - state->cut_ps >= shared->params.cut_ps;
    if (news->is_marked && is_first) {
        time_pass(shared, state, news->now_ps);
        cut(shared, state, news->now_ps);
    }
}

/* Until a packet's bits have passed. Where that outlasts an interval of increases, these count: at 1 Mbit/s a packet would else
 * wait for 33 ms, though the rate is high again after 300 us. A wait that is shorter ends as it began. */
static uint64_t wait_ps(const struct dcqcn_shared *shared, const struct dcqcn_state *state, uint64_t packet_bytes,
                        uint64_t now_ps)
{
    uint64_t plain_ps = serialisation_ps(packet_bytes, state->rate_bps), at_ps = now_ps;
    if (plain_ps <= shared->params.raise_ps) {
        return plain_ps;
    }
    struct dcqcn_state ahead = *state;
    unsigned __int128 left = (unsigned __int128)packet_bytes * 8 * PS_PER_S;
    while (ahead.rate_bps < shared->line_bps && left > (unsigned __int128)ahead.rate_bps * (raise_due_ps(shared, &ahead) - at_ps)) {
        left -= (unsigned __int128)ahead.rate_bps * (raise_due_ps(shared, &ahead) - at_ps);
        at_ps = raise_due_ps(shared, &ahead);
        ahead.by_time++;
        raise(shared, &ahead);
    }
    return at_ps - now_ps + (uint64_t)((left + ahead.rate_bps - 1) / ahead.rate_bps);
}

/* At the port's rate the port alone paces. */
static uint64_t gap_ps(const void *shared_, void *state_, uint64_t packet_bytes, uint64_t now_ps)
{
    const struct dcqcn_shared *shared = shared_;
    struct dcqcn_state *state = state_;
    if (state->rate_bps == shared->line_bps) {
        return 0;
    }
    time_pass(shared, state, now_ps);
    state->sent_bytes += packet_bytes;
    if (state->sent_bytes >= shared->params.raise_bytes) {
        state->sent_bytes -= shared->params.raise_bytes;
        state->by_bytes = (uint16_t)(state->by_bytes + (state->by_bytes < COUNT_MAX));
        raise(shared, state);
    }
    return wait_ps(shared, state, packet_bytes, now_ps);
}

const struct transport transport_dcqcn = {
    .name = "dcqcn",
    .summary = "RoCEv2 with ECN-steered rates: go-back-N over priority flow control, or selective repeat",
    .params = PARAM_TABLE(struct dcqcn_params, rows),
    .profile_rows = profile_rows,
    .profile_row_count = sizeof profile_rows / sizeof profile_rows[0],
    .shared_bytes = sizeof(struct dcqcn_shared),
    .state_bytes = sizeof(struct dcqcn_state),
    .ack_of = ack_of,
    .repeats_gaps = true,
    .queues = queues,
    .window_bytes_max = window_bytes_max,
    .rto_ps = rto_ps,
    .rto_low_ps = rto_low_ps,
    .rto_few = 3, /* IRN: N */
    .window = WINDOW_SHARED,
    .prepare = prepare,
    .begin = begin,
    .acked = acked,
    .gap_ps = gap_ps,
};
