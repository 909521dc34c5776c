/* A fixed window per message.
 *
 * Scope: at most `window` bytes of a message are in flight; every data packet is acknowledged by one ACK. The
 * default is one bandwidth-delay product: the rate of a host's port times the round trip over the longest
 * path, on whose way back the ACK waits for one full packet at every link, as it does where both ends send
 * (plus the packet that the rounding cuts). It is the least with which a message fills its link while the
 * other way is full as well: with the idle round trip alone, rings on 100G links of 500 ns ran 10 to 20 %
 * below SimGrid's fluid model, with it 1.5 %.
 * Where messages leave a host by several ports at once, it is what fills all of them.
 * Not modelled: any reaction to congestion: queues grow as far as the windows let them. Lost packets are sent
 * again after the endpoint's timeout.
 * Checked against: the closed form of an idle message (tests/test_engine.c). */
#include "netsim/transport/transport.h"

struct window_params {
    uint64_t window_bytes;
};

static const struct param rows[] = {
    PARAM_U64(struct window_params, window_bytes, SIZE, "window", "0B", NULL, NULL,
              "bytes in flight per message; 0B = one bandwidth-delay product of the longest path"),
};

struct window_shared {
    uint64_t window_bytes;
};

static uint64_t window_bytes_max(const void *values, const struct transport_facts *facts)
{
    const struct window_params *params = values;
    if (params->window_bytes != 0) {
        return params->window_bytes;
    }
    return facts->flight_bytes + facts->packet_bytes;
}

static void prepare(const void *values, const struct transport_facts *facts, void *shared_)
{
    struct window_shared *shared = shared_;
    shared->window_bytes = window_bytes_max(values, facts);
}

const struct transport transport_window = {
    .name = "window",
    .summary = "a fixed window of one bandwidth-delay product, an ACK per packet",
    .params = PARAM_TABLE(struct window_params, rows),
    .shared_bytes = sizeof(struct window_shared),
    .window_bytes_max = window_bytes_max,
    .prepare = prepare,
    .window = WINDOW_SHARED,
};
