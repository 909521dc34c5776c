/* Steps that planners share. */
#ifndef PHOTONET_PLAN_STEPS_H
#define PHOTONET_PLAN_STEPS_H

#include "netsim/circuit/graph.h"

/* Two ports of every host a stride: host i to host i + stride for strides prime to the number of hosts, in a geometric
 * series from 1, as TopoOpt's TotientPerms (NSDI 2023), so that few hops lead anywhere. Takes as many as the poorest
 * host has pairs of ports. */
void steps_strides(struct plan_graph *graph);

/* Joins all parts that are cut off from each other; takes light links apart for it where no ports are free. What
 * cannot be joined (hosts with one port) stays. */
void steps_connect(struct plan_graph *graph);

/* Ports that are still free go to hosts far apart, whatever their demand. */
void steps_use_rest(struct plan_graph *graph);

/* Link `link` now joins these two hosts; distances are void until graph_measure. */
void steps_relink(struct plan_graph *graph, uint32_t link, uint32_t left, uint32_t right);

#endif
