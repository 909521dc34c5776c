/* Gates, failing links, the controller and groups in the windowed engine. What stands here beside a port is there in runs
 * that have any of them; their nodes are all served whole (window_coupled.c), so that the order of the law is that of
 * the code.
 *
 *      controller ──► rules of gates (gate.h), known before the window in which they begin to hold
 *      port that cannot start ──► wake_ps: by arithmetic over the rules, nothing is polled
 *      window closes ──► reroute_ps                      routes change ──► flush_ps
 *
 * Invariants
 *   G1  wake_ps is when something that waits at a free port may start, TIME_NEVER_PS where nothing waits; a step for an
 *       earlier value of it does nothing.
 *   G2  A port with any of the three times has its bit in core->waiting, and its node is woken by the first of them.
 *   G3  The window is no wider than the control delay: all that the controller will be told in a window was told before it,
 *       and it acts before anything is served. */
#ifndef PHOTONET_ENGINE_WINDOW_GATE_H
#define PHOTONET_ENGINE_WINDOW_GATE_H

#include "netsim/engine/gate.h"
#include "netsim/engine/window_class.h"

struct gate_port {
    struct gating *gating; /* NULL: may always send */
    uint64_t wake_ps, reroute_ps, flush_ps;
    bool is_pull_wanted; /* was not pulled because of its gate */
    uint64_t lost_packets, lost_bytes, stray_packets, stray_bytes;
    uint64_t group_in_packets, group_in_bytes, group_out_packets, group_out_bytes;
    uint64_t cells, padding_bytes;
};

static inline struct gate_port *gate_of(const struct window_core *core, uint32_t port_id)
{
    if (core->gate_ports == NULL || core->gate_ports[port_id].gating == NULL) {
        return NULL;
    }
    return &core->gate_ports[port_id];
}

static inline uint64_t gate_next_ps(const struct gate_port *gate)
{
    uint64_t next_ps = gate->wake_ps < gate->reroute_ps ? gate->wake_ps : gate->reroute_ps;
    return next_ps < gate->flush_ps ? next_ps : gate->flush_ps;
}

/* ---- ports (window_gate.c) -------------------------------------------------------------------------------- */

bool gates_are_needed(const struct engine_config *config);
void gate_ports_make(struct window_core *core);
void gate_ports_wake(struct window_core *core); /* when the workers stand: the first flushes */
/* Whether the largest packet that a host may send fits in now; if not, the port is woken when it does. */
bool gate_lets_pull(const struct window_core *core, uint32_t port_id, struct gate_port *gate, uint64_t now_ps);
/* Bit per class whose first packet may start now, as far as the gate is concerned. */
uint32_t gate_classes(const struct window_core *core, uint32_t port_id, const struct gate_port *gate, uint64_t now_ps);
/* A packet starts: its dark time is counted, and what the link does with it is told. */
struct link_use gate_starts(struct worker *worker, uint32_t port_id, struct gate_port *gate, const struct class_waiting *next,
                 uint64_t now_ps);
void gate_wake(struct worker *worker, uint32_t node, uint32_t port_local, uint64_t now_ps); /* G1 */
void gate_node_wake(struct worker *worker, uint32_t node, uint64_t time_ps);
void gate_flush(struct worker *worker, uint32_t node, uint32_t port_local, uint64_t now_ps);
void gate_reroute(struct worker *worker, uint32_t node, uint32_t port_local, uint64_t now_ps);
void gate_stray(struct worker *worker, uint32_t node, uint32_t in_port, const struct packet *packet, uint64_t now_ps);
void gate_reroute_expect(struct worker *worker, uint32_t node, uint32_t port_local, uint32_t class, uint64_t now_ps);
void gate_counters(const struct window_core *core, uint32_t port_id, struct port_counters *counters);

/* Something has been queued. */
static inline void gate_queued(struct worker *worker, uint32_t node, uint32_t port_local, uint32_t class, uint64_t now_ps)
{
    if (__builtin_expect(worker->core->gate_ports != NULL, 0)) {
        gate_reroute_expect(worker, node, port_local, class, now_ps);
    }
}

/* A packet of a group, whole: copied, sent up, or put into the table; true where it completes an entry there. */
bool group_pass(struct worker *worker, uint32_t node, uint32_t in_port, const struct packet *packet, uint64_t now_ps);

/* ---- the controller (window_control.c) ---------------------------------------------------------------------- */

uint64_t control_first_ps(const struct worker *worker); /* of what this worker's hosts have told */
void controls_run(struct window_core *core);            /* all that is due in the window; one thread */
void window_tell(struct engine *engine, uint32_t host, uint64_t argument, uint64_t now_ps);
void window_gate(struct engine *engine, uint32_t port, uint64_t open_ps, uint64_t close_ps);

#endif
