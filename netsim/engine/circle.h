/* Circles of waiting: what a lossless fabric without lanes stands still of.
 *
 *      port 3 of switch 1 ──link──► buffer of switch 2, full of packets for its port 0
 *              ▲                                                    │ which waits for room behind its link
 *              └──────────────── buffer of switch 1 ◄───────────────┘
 *
 * A port that pause or credit keeps back waits for those ports of the node behind its link that hold packets which
 * came over that very link. */
#ifndef PHOTONET_ENGINE_CIRCLE_H
#define PHOTONET_ENGINE_CIRCLE_H

#include "netsim/engine/engine.h"

/* To be asked between runs. The ports of one circle, each waiting for the next and the last for the first; 0: there is
 * none. `ports` has room for port_count. */
uint32_t engine_circle(const struct engine *engine, const struct fabric *fabric, uint32_t *ports);

/* The same of all ports that pause or credit keep back, in a circle or behind a port that is dark or cut. */
uint32_t engine_kept_back(const struct engine *engine, const struct fabric *fabric, uint32_t *ports);

#endif
