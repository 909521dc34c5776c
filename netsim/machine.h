/* What collectives are told of a fabric: servers, rates, idle latencies. */
#ifndef PHOTONET_MACHINE_H
#define PHOTONET_MACHINE_H

#include "netsim/replay/select.h"
#include "netsim/route/path.h"

/* `server_hosts` 0: as the fabric says; where it has no servers, ranks that share a host are one, over local copies of
 * local_bps (0: none share one). Rates are those of host 0. */
struct collective_machine machine_of(const struct fabric *fabric, uint32_t server_hosts, uint64_t local_bps);

/* Of a message of a few bytes from host 0 to its neighbour in the server, and to the next server. */
void machine_idle(const struct fabric *fabric, const struct routes *routes, const struct packet_shape *shape,
                  const struct collective_machine *machine, uint64_t idle_ps[MEDIUM_COUNT]);

#endif
