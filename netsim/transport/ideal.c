/* No control at all, for bounds.
 *
 * Scope: a message leaves as fast as its port takes it; every packet is acknowledged, nothing waits for it.
 * Not modelled: any reaction; queues grow as they may. What a bounded queue drops is sent again after the
 * endpoint's timeout. No fabric is faster with another transport on the same paths, but for what its own
 * queues do to others.
 * Checked against: closed forms (tests/test_transport.c). */
#include "netsim/transport/transport.h"

const struct transport transport_ideal = {
    .name = "ideal",
    .summary = "no control: as fast as the port takes it, for bounds",
    .params = PARAM_TABLE_EMPTY,
};
