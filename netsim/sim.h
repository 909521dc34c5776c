/* One simulation: the parts of a run joined to each other, in one arena.
 *
 *      replay ──send, timer──► endpoint ──kick, timer──► engine
 *      replay ◄─delivered, acked── endpoint ◄─pull, receive, event── engine
 *
 * Timers of the endpoint are HOST_TIMER events of the engine, those of the replay are HOST_OPERATION events. */
#ifndef PHOTONET_SIM_H
#define PHOTONET_SIM_H

#include "netsim/metrics/flowstats.h"
#include "netsim/replay/replay.h"
#include "netsim/scenario.h"
#include "netsim/transport/endpoint.h"

struct sim {
    struct arena *arena;
    const struct job *job;
    struct fabric *fabric;
    struct scenario scenario;
    const uint32_t *rank_host;
    struct routes *routes;
    struct ways ways;
    struct queue_profile queues, host_queues;
    uint64_t small_bytes; /* messages up to this go by the routes of the moment (slices_queues); 0: none */
    struct replay *replay;
    const struct team_table *teams; /* NULL: switches combine and copy nothing */
    struct endpoint *endpoint;
    struct host_ops ops;
    struct engine *engine;
    struct circuits *circuits; /* NULL: none are set while the job runs */
    struct failures failures;
    _Atomic uint64_t operations_pending; /* computing and the like: timers of the replay */
    struct { uint64_t time_ps, operations, asked_ps; } moved; /* when sim_has_moved was asked last */
    struct flowstats stats;
    struct replay_volume volume;
};

struct sim_config {
    const struct job *job;
    struct fabric *fabric; /* connections of planned fabrics are set by sim_new */
    const struct scenario *scenario;
    uint64_t seed;
    uint32_t iterations;
    uint32_t threads;
    const char *simd;
    const volatile int *interrupted;
};

/* Replay, circuits, routes, endpoints, engine; nothing has happened yet. Refuses where ranks cannot reach each other. */
enum status sim_new(struct arena *arena, const struct sim_config *config, struct sim **sim, struct diag *diag);

/* Runs up to `until_ps`; the time of the first event left, TIME_NEVER_PS when nothing is left to happen. */
uint64_t sim_run(struct sim *sim, uint64_t until_ps);

/* The same, but may run on for up to RUN_PAST_PS (engine.h). */
uint64_t sim_run_past(struct sim *sim, uint64_t until_ps);

/* Where packets can be lost timers run for ever, so that something is always left to happen. So a job is stuck too where in
 * this long no packet has brought or acknowledged anything new, no operation has ended and none is under way, and no link
 * or route changes: twenty timeouts, each as often as links that lose frames need until one comes through and is answered (by
 * chance one such run of 5e8 is given up), or three rounds of the slowest gate (more where the cells of a packet need several
 * windows). TIME_NEVER_PS where nothing repeats for ever. */
uint64_t sim_patience_ps(const struct sim *sim);
/* Since it was asked last, or a link or a route has changed, or will. */
bool sim_has_moved(struct sim *sim, uint64_t now_ps);

/* Message and link bytes worked into one number. */
uint64_t sim_digest(const struct sim *sim);

#endif
