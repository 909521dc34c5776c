/* Routes of the slices of a cyclic schedule (struct slices of the fabric), for messages that do not wait for their direct
 * circuit. */
#ifndef PHOTONET_SLICES_H
#define PHOTONET_SLICES_H

#include "netsim/engine/engine.h"

/* The class of small messages and of acknowledgements. */
#define SLICES_CLASS 1

/* One table a slice, over the ports whose gates are open for all of it; a slice that leaves hosts cut off from each other
 * has the base routes. NULL where the fabric has no slices. */
const struct route_epochs *slices_routes(const struct fabric *fabric, const struct routes *base, struct arena *arena);

/* Adds the class of small messages, served before the others, to queues of one class; those of two (trimming) keep
 * theirs, and only their control packets go by slices. Returns the size up to which a message is small, 0: none is. */
uint64_t slices_queues(const struct fabric *fabric, struct queue_profile *queues);

#endif
