/* How much the network carries between two halves of the hosts: the least cut between hosts 0 to n/2 - 1 and
 * the others.
 *
 * Switches may stand on either side of the cut, so it is a flow problem, solved by Dinic's blocking flows
 * with the ports as arcs (the port that sends back is the arc of the residue). For a torus halved along its
 * last dimension, which is its bisection where that dimension is the largest; for a Clos its narrowest
 * tier. */
#ifndef PHOTONET_BISECTION_H
#define PHOTONET_BISECTION_H

#include "photonet/fabric.h"

/* bit/s one way; 0 with less than two hosts. */
uint64_t bisection_bps(const struct fabric *fabric);

#endif
