/* Super-nodes: nodes joined by links that are shorter than the window, served together by one worker.
 *
 *      GPU ─ 5 ns ─ GPU                            ┌───────────────┐
 *       │            │          500 ns             │ one super-node│        window_fuse.c chooses which, and so
 *      GPU ─ 5 ns ─ GPU ──────────────── leaf      └───────────────┘        the width of the window
 *
 *      inboxes of the members ──► events ──► eventq ──► step of one member ──► peer inside, in this window ──► eventq
 *      their ports and timers ──►                             │
 *                                                             └──► all else ──► inboxes, as ever
 *
 * What happens inside a super-node in a window is served in the order of time over all members, each step by the
 * functions for nodes on their own: those of window_coupled.c where there are class_ports, else the FIFOs of window_switch.c
 * and window_host.c. An event is an item of the worker's event queue:
 *
 *      time    of the queue, which never goes back: each super-node and window begins where the last one ended
 *      payload member 14 | kind 4 | port 16 | transit before final 1 | number 28 | whole 1
 *
 * so the order at each node is that of the law; in which order different nodes have equal times does not matter, as
 * nothing reaches another node in no time. Packets stand in an array under their numbers, which rise in the order in which
 * those of a link were sent. Timers come last at any time: they stay in the worker's heap `local`.
 *
 * Invariants
 *   S1  A super-node with a host is served with the hosts, after all nodes without; then its switches' links to hosts
 *       outside are no shorter than the window either (I1).
 *   S2  Of a member that is touched in a window, ports and wake-ups are left as if it had been served alone: between
 *       windows super-nodes have no state of their own.
 *   S3  Super-nodes of up to 64 nodes lie within one word of `active`; larger ones have their words for themselves. */
#ifndef PHOTONET_ENGINE_WINDOW_SUPER_H
#define PHOTONET_ENGINE_WINDOW_SUPER_H

#include "netsim/engine/window.h"

enum { SUPER_NODES_MAX = 1 << 14, SUPER_PORTS_MAX = (1 << 16) - 1 };

struct window_super {
    uint32_t first, count; /* inner numbers */
    uint32_t owner;
    bool has_host;
};

/* ---- which (window_fuse.c) -------------------------------------------------------------------------------- */

bool profile_has_pauses(const struct queue_profile *profile);
bool profile_has_credits(const struct queue_profile *profile);
/* Fills core->supers, super_of and lookahead_ps. */
void supers_choose(struct window_core *core);

/* ---- serving (window_super.c) ----------------------------------------------------------------------------- */

void super_runs_make(struct window_core *core);
/* Those of a range of inner numbers that have something to do in this window. */
void supers_serve(struct worker *worker, uint32_t first, uint32_t end);
/* A member that is being served has this step in this window. */
void super_expect(struct worker *worker, uint32_t node, uint32_t port_local, enum step_kind kind, uint64_t time_ps);

#endif
