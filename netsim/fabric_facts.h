/* What can be said of a fabric without running anything. */
#ifndef PHOTONET_FABRIC_FACTS_H
#define PHOTONET_FABRIC_FACTS_H

#include "netsim/metrics/energy.h"
#include "netsim/route/path.h"

#include <stdbool.h>

#define FACTS_TIERS_MAX 8

struct fabric_facts {
    uint32_t tiers;                          /* of packet switches */
    uint32_t switches[FACTS_TIERS_MAX + 1];  /* by tier, from 1 */
    uint32_t radix[FACTS_TIERS_MAX + 1];     /* most connected ports of a switch of the tier */
    uint64_t links;                          /* duplex, fibres to optical switches not counted */
    uint64_t fibres;                         /* to optical switches */
    uint64_t host_bps;                       /* sum of all hosts' ports, one way */
    bool is_planned;                         /* false: links, bisection and hops are not known before a job */
    uint64_t bisection_bps;                  /* between the first and the second half of the hosts, one way */
    uint32_t hops_max;                       /* links on the longest way that packets take */
    bool is_sampled;                         /* hops_max over some of the hosts only */
    /* Where ports send cells, else all 0: the ports, and of a full packet the cells and the most slots that they take. */
    uint64_t cell_bytes, cell_ports, packet_bytes, packet_cells, packet_windows;
    uint64_t period_ps;                      /* of a cyclic schedule, 0: there is none */
    uint64_t window_ps;                      /* longest time for which a circuit stands */
    uint32_t windows;                        /* of a transmitter in a period, at most */
    double duty;                             /* share of a slot that is not dark */
    double joined;                           /* share of the time in which a transmitter reaches another, mean over all */
    uint32_t worst_port;                     /* the least margin of a link budget, ID_NONE: nothing is lit */
    double worst_margin_db, worst_loss_db;
    uint64_t far_delay_ps;                   /* links and switches from host 0 to the last host, nothing sent */
    const struct energy_row *rows;           /* a second without traffic: pJ are watts * 1e12; GPUs waiting */
    uint32_t row_count;
    double network_w;                        /* static */
    double gpu_w;                            /* busy */
    double price_usd;                        /* of the network's parts that have one */
    uint32_t unpriced;                       /* kinds of parts that have none */
};

void fabric_facts(const struct fabric *fabric, struct arena *arena, struct fabric_facts *facts);
/* The cells among them. */
void fabric_facts_cells(const struct fabric *fabric, const struct packet_shape *shape, struct fabric_facts *facts);

#endif
