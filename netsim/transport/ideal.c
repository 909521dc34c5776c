/* No control at all, for bounds.
 *
 * Scope: a message leaves as fast as its port takes it; every packet is acknowledged, nothing waits for it.
 * Not modelled: any reaction; queues grow as they may. What a bounded queue drops is sent again after the
 * endpoint's timeout. No fabric is much faster with another transport on the same paths, but for what its own
 * queues do to others; one that sends fewer ACKs may be a little faster (a permutation of 2 MB on htsim-128:
 * nscc 59.3 us, this 59.8).
 * Checked against: closed forms (tests/test_transport.c). */
#include "netsim/transport/transport.h"

const struct transport transport_ideal = {
    .name = "ideal",
    .summary = "no control: as fast as the port takes it, for bounds",
    .params = PARAM_TABLE_EMPTY,
};
