/* No control at all, for bounds.
 *
 * Scope: a message leaves as fast as its port takes it; every packet is acknowledged, nothing waits for it.
 * Not modelled: any reaction; queues grow as they may. What a bounded queue drops is sent again after the
 * endpoint's timeout. No fabric is faster with another transport on the same paths, but for what its own
 * queues do to others.
 * Checked against: closed forms (tests/test_transport.c). */
#include "netsim/transport/transport.h"

static uint64_t window_bytes_max(const void *values, const struct transport_facts *facts)
{
    (void)values;
    (void)facts;
    return UINT64_MAX;
}

static bool may_send(const void *shared, const void *state, uint64_t flight_bytes, uint64_t packet_bytes)
{
    (void)shared;
    (void)state;
    (void)flight_bytes;
    (void)packet_bytes;
    return true;
}

const struct transport transport_ideal = {
    .name = "ideal",
    .summary = "no control: as fast as the port takes it, for bounds",
    .params = PARAM_TABLE_EMPTY,
    .window_bytes_max = window_bytes_max,
    .may_send = may_send,
};
