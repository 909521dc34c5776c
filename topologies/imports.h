/* Networks of other simulators, written out as the list of links that edge_list reads.
 *
 *   htsim .topo          Nodes, Tiers, Podsize, and per Tier Downlink_speed_Gbps, Radix_Down, Radix_Up,
 *                        Downlink_Latency_ns, Switch_Latency_ns, Bundle, Oversubscribed
 *   ASTRA-sim network    topology: [Ring, FullyConnected, Switch], npus_count, bandwidth (GB/s, 2^30 B each),
 *                        latency (ns), one of each a dimension; the first dimension runs fastest
 *
 * A switch's latency stands half on each link that it ends. */
#ifndef PHOTONET_TOPOLOGIES_IMPORTS_H
#define PHOTONET_TOPOLOGIES_IMPORTS_H

#include "photonet/arena.h"
#include "photonet/doc.h"
#include "photonet/status.h"

/* `text` is cut in place. *list is in the arena. */
enum status import_htsim(char *text, const char *path, struct arena *arena, char **list, struct diag *diag);
enum status import_astra(const struct doc *root, struct arena *arena, char **list, struct diag *diag);

#endif
