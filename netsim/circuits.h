/* Circuits that a controller sets while the job runs, joined to a simulation.
 *
 *      before: replay ──demand by phase──► schedule ──► fabric with gates
 *      during: posted, acknowledged ──engine_tell──► controller ──engine_gate──► ports */
#ifndef PHOTONET_CIRCUITS_H
#define PHOTONET_CIRCUITS_H

#include "netsim/circuit/controller.h"
#include "netsim/engine/engine.h"
#include "netsim/replay/phases.h"

struct circuits;

/* Plans the circuits of a fabric with PLAN_PER_PHASE and changes the fabric; the engine is made afterwards. */
enum status circuits_new(struct arena *arena, struct fabric *fabric, const struct replay *replay,
                         const uint32_t *rank_host, struct circuits **circuits, struct diag *diag);
void circuits_attach(struct circuits *circuits, struct engine *engine);

/* In a callback of the message's source host: tells the controller. */
void circuits_posted(struct circuits *circuits, const struct message *message, uint64_t now_ps);
/* Ports of its host that a message may leave by, as bits; 0: as the routes say. */
uint64_t circuits_ports(const struct circuits *circuits, const struct message *message);
void circuits_acked(struct circuits *circuits, const struct message *message, uint64_t now_ps);
/* host_ops.control */
void circuits_told(struct circuits *circuits, uint32_t host, uint64_t argument, uint64_t now_ps);

const struct schedule *circuits_schedule(const struct circuits *circuits);
const struct controller *circuits_controller(const struct circuits *circuits);

#endif
