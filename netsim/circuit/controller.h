/* The controller of circuits while a job runs: hosts say which message needs what, it sets configurations.
 *
 *      host posts a message ── told ──► active where its circuits stand, else waits
 *      its last acknowledgement ── told ──► no longer
 *
 *      region:   stands ── nobody active, somebody waits ──► changes (dark) ──► stands
 *
 * C1  A region is changed when no active message needs it, or (patience) when another has waited longer than is allowed.
 * C2  Of those that wait, the one that has waited longest gets all regions that it needs at once; its regions must all be
 *     idle. So nobody holds one region while waiting for another.
 * C3  Circuits that stay keep their light: ports of pairs that both configurations have are not touched.
 * C4  With `is_ahead` a region goes on to the configuration that the job needs next as soon as all messages of the last
 *     phase are over; it was planned from the job's order of messages. Who asks for something else gets it.
 *
 * Dark time is settle + re-lock + control from the decision on. It is exposed from the moment on when a message waits for
 * the new circuits whose rank has no compute running, hidden before.
 *
 * Scope: all regions of a fabric, one controller. Not modelled: controllers that fail; messages that share a circuit being
 * reordered. Work: constant for a message whose circuits stand, else one walk over the wants that wait.
 *
 * Called in the order of the engine's control callbacks, so the result is the same for any number of threads. */
#ifndef PHOTONET_CONTROLLER_H
#define PHOTONET_CONTROLLER_H

#include "netsim/circuit/schedule.h"

/* What a host tells; 40 bits: wants of the host << 2 | is_computing << 1 | is_over. */
static inline uint64_t controller_word(uint32_t want, bool is_computing, bool is_over)
{
    return (uint64_t)want << 2 | (uint64_t)is_computing << 1 | is_over;
}

/* The order in which a region is needed, from the job: `messages` of a phase, then the next turn. */
struct controller_turn {
    uint32_t phase;
    uint64_t messages;
};

struct controller_config {
    const struct fabric *fabric;
    const struct schedule *schedule;
    /* Turns of region r: turn[turn_first[r]] .. turn[turn_first[r + 1]], over and over; none where nothing is known.
     * NULL: of no region. */
    const struct controller_turn *turns;
    const uint32_t *turn_first;
    void *context;
    void (*gate)(void *context, uint32_t port, uint64_t open_ps, uint64_t close_ps); /* as engine_gate */
};

struct controller;
struct controller *controller_new(struct arena *arena, const struct controller_config *config);

/* The first configuration of every region is set from time 0, where it is known; to be called before the run, with the
 * gates of the fabric still closed. */
void controller_start(struct controller *controller);

void controller_told(struct controller *controller, uint32_t host, uint64_t word, uint64_t now_ps);

/* One change of a region. */
struct controller_change {
    uint32_t region, config;
    uint64_t decided_ps, lit_ps;
    uint64_t exposed_ps;
    uint32_t circuits; /* that changed: set anew */
};

struct controller_region {
    uint32_t reconfigurations; /* changes, the first one counted */
    uint64_t circuits;         /* set anew in them */
    uint64_t dark_ps, exposed_ps;
};
void controller_region(const struct controller *controller, uint32_t region, struct controller_region *result);
const struct controller_change *controller_changes(const struct controller *controller, size_t *count);

/* Messages that wait for circuits; for reports on a job that does not go on. */
uint64_t controller_waiting(const struct controller *controller);

#endif
