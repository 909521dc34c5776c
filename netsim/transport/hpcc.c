/* HPCC: a window per message, steered by how full the links of its way are (Li et al., SIGCOMM 2019), told by the switches in
 * a few bits of each packet as HPCC-PINT does (Ben Basat et al., SIGCOMM 2020).
 *
 *     each ACK brings U, the largest share of rate * T in flight on a link of the way
 *     U >= eta, or stages increases in a row    window = reference / (U / eta) + ai
 *     else                                      window = reference + ai
 *     once in a round trip                      reference = window
 *     packets leave at window / T
 *
 * Scope: T is the longest idle round trip, and the time of eight packets at least: where cables are short, one packet that waits
 * would else be a whole round trip of them, and windows fall to nothing (rings on a HyperX of 32 Gbit/s and 1 us took five times
 * as long). eta 95 %, stages 5, the first window what the line carries in T and at most that, ai
 * 1/2000 of it: (1 - eta) / 100 messages, which is the 50 Mbit/s at 100 Gbit/s of its published configuration. One path a
 * message, go-back-N over priority flow control with the thresholds of dcqcn.c, as in that configuration. Switches measure U
 * at each departure (load.h) and round it by chance to one of 64 values, 6 to 12 % apart (HPCC-PINT: 8 bits).
 * Windows are the NIC's: inside a server messages go as in roce.c.
 * Not modelled: pauses by hosts that pass packets on, see roce.c; per-hop records of length, bytes and time (42 B a packet, from which a sender of the first paper computes
 * what is told here); their bytes on the wire (PINT: one); selective repeat.
 * Checked against: the physics that hold of every transport, a lone message a little below eta of the line's rate (0.924
 * at eta 0.95 over six links; all of it where hosts reach each other without switches, for nobody measures U there), and
 * queues shorter than dcqcn's in an incast (tests/test_transport.c). No public completion times of the scenarios of
 * tests/peers are known to us. */
#include "netsim/engine/load.h"
#include "netsim/transport/transport.h"

struct hpcc_params {
    double eta;
    uint64_t stages, ai_bytes, xoff_bytes, xon_bytes;
};

static const struct param rows[] = {
    PARAM_REAL(struct hpcc_params, eta, FRACTION, "eta", "95%", "0.5", "1", "share of a link that is aimed at (HPCC: 95 %)"),
    PARAM_U64(struct hpcc_params, stages, COUNT, "stages", "5", "0", "1000",
              "increases in a row after which U is followed upwards as well (HPCC: 5)"),
    PARAM_U64(struct hpcc_params, ai_bytes, SIZE, "ai", "0B", "0B", "1GB",
              "increase in a round trip; 0B = 1/2000 of a bandwidth-delay product"),
    PARAM_U64(struct hpcc_params, xoff_bytes, SIZE, "xoff", "3520kB", "1B", NULL,
              "bytes from one link that a switch holds before it pauses the link (HPCC: 11 % of 32 MB)"),
    PARAM_U64(struct hpcc_params, xon_bytes, SIZE, "xon", "3504kB", "0B", NULL,
              "bytes that it holds when the link may go on"),
};

#define WINDOW_LOG2 8 /* windows are in 2^-8 B */
#define WINDOW_ONE (1 << WINDOW_LOG2)

struct hpcc_shared {
    uint64_t period_ps, eta; /* eta in 1 / LOAD_ONE */
    uint64_t window_max, window_min, ai, packet_bytes; /* the first three in 2^-8 B */
    uint32_t stages;
};

struct hpcc_state {
    uint64_t window, reference; /* 2^-8 B */
    uint64_t acked_bytes, next_bytes; /* in all; the reference moves when what was sent then is acknowledged */
    uint32_t stage;
};

#define PERIOD_PACKETS 8 /* of 4, 8, 16 and 32 the quickest on those rings, no worse elsewhere */
static uint64_t period_ps(const struct transport_facts *facts)
{
    uint64_t least_ps = PERIOD_PACKETS * serialisation_ps(facts->packet_bytes, facts->host_rate_bps);
    return facts->base_rtt_ps > least_ps ? facts->base_rtt_ps : least_ps;
}

static void queues(const void *values, const struct transport_facts *facts, struct queue_profile *profile)
{
    const struct hpcc_params *params = values;
    profile->class[0].xoff_bytes = params->xoff_bytes;
    profile->class[0].xon_bytes = params->xon_bytes;
    profile->load_period_ps = period_ps(facts);
}

static uint64_t window_bytes_max(const void *values, const struct transport_facts *facts)
{
    (void)values;
    return line_bytes(period_ps(facts), facts->host_rate_bps) + facts->packet_bytes;
}

static void prepare(const void *values, const struct transport_facts *facts, void *shared_)
{
    const struct hpcc_params *params = values;
    struct hpcc_shared *shared = shared_;
    uint64_t window_bytes = window_bytes_max(values, facts);
    *shared = (struct hpcc_shared){
        .period_ps = period_ps(facts),
        .eta = (uint64_t)(params->eta * LOAD_ONE),
        .window_max = window_bytes * WINDOW_ONE,
        .window_min = WINDOW_ONE, /* a byte: a packet in a packet's bytes of round trips */
        .ai = params->ai_bytes > 0 ? params->ai_bytes * WINDOW_ONE : window_bytes * WINDOW_ONE / 2000 + 1,
        .packet_bytes = facts->packet_bytes,
        .stages = (uint32_t)params->stages,
    };
}

static void begin(const void *shared_, void *state_, const struct flow_facts *facts)
{
    const struct hpcc_shared *shared = shared_;
    struct hpcc_state *state = state_;
    (void)facts;
    state->window = state->reference = shared->window_max;
}

static void acked(const void *shared_, void *state_, const struct ack_news *news)
{
    const struct hpcc_shared *shared = shared_;
    struct hpcc_state *state = state_;
    uint64_t load = load_of_code(news->load);
    bool is_full = load >= shared->eta || state->stage >= shared->stages;
    uint64_t window = is_full ? state->reference * shared->eta / load : state->reference;
    window += shared->ai;
    window = window < shared->window_min ? shared->window_min : window;
    state->window = window < shared->window_max ? window : shared->window_max;
    state->acked_bytes += news->bytes;
    if (state->acked_bytes > state->next_bytes) {
        state->reference = state->window;
        state->stage = is_full ? 0 : state->stage + 1;
        state->next_bytes = state->acked_bytes + news->flight_bytes;
    }
}

/* At the largest window the port alone paces. */
static uint64_t gap_ps(const void *shared_, void *state_, uint64_t packet_bytes, uint64_t now_ps)
{
    const struct hpcc_shared *shared = shared_;
    const struct hpcc_state *state = state_;
    (void)now_ps;
    if (state->window == shared->window_max) {
        return 0;
    }
    return (uint64_t)((unsigned __int128)shared->period_ps * packet_bytes * WINDOW_ONE / state->window);
}

const struct transport transport_hpcc = {
    .name = "hpcc",
    .summary = "a window steered by in-band telemetry: go-back-N over priority flow control",
    .params = PARAM_TABLE(struct hpcc_params, rows),
    .shared_bytes = sizeof(struct hpcc_shared),
    .state_bytes = sizeof(struct hpcc_state),
    .ack = ACK_IN_ORDER,
    .queues = queues,
    .window_bytes_max = window_bytes_max,
    .prepare = prepare,
    .begin = begin,
    .window = WINDOW_WIDE,
    .window_log2 = WINDOW_LOG2,
    .acked = acked,
    .gap_ps = gap_ps,
};
