/* One run: a job on a fabric, from files to rows.
 *
 *      trace ──► job ──► replay ──► transport ──► engine ──► counters ──► rows ──► out.h5
 *      fabric file ──► fabric ──► circuits ──► routes ──┘ */
#ifndef PHOTONET_RUN_H
#define PHOTONET_RUN_H

#include "netsim/base/progress.h"
#include "netsim/replay/replay.h"
#include "photonet/fabric.h"
#include "photonet/results.h"
#include "photonet/trace.h"

enum run_engine { RUN_ENGINE_PACKET, RUN_ENGINE_SIMGRID };

struct run_request {
    const char *trace;      /* SPEC with options, see netsim/job_list.h */
    const char *const *more_traces; /* of further jobs on the same fabric */
    size_t more_trace_count;
    bool is_scenario;       /* `trace` is the fabric's file, which holds the list of jobs */
    const char *fabric;     /* file, preset or family */
    const struct trace_setting *settings;
    size_t setting_count;
    uint32_t ranks;         /* --ranks, 0 = as the trace says */
    const char *transport;  /* NULL = of the fabric file, else the default */
    enum run_engine engine;
    uint32_t threads;       /* of the packet engine; the result is the same for any number */
    const char *simd;       /* body of the vector loops, NULL = the widest of this machine */
    uint64_t seed;
    uint64_t until_ps;      /* TIME_NEVER_PS: to the end */
    uint32_t iterations;
    bool is_quiet;          /* no progress */
    const char *command_line;
    const volatile int *interrupted;
};

/* What a run answers; strings and rows live in the arena. */
struct run_result {
    const char *name;       /* of the run in the file */
    const char *fabric, *trace;
    uint32_t host_count, rank_count; /* of the fabric and of the job */
    uint32_t gpus_per_nic;
    struct fabric_bare bare;         /* what the energy leaves out */
    const char *status;     /* complete, interrupted, deadlock */
    struct result_summary summary;
    uint64_t digest;
    double wall_s;
    const struct result_jobs *jobs; /* a row each */
    uint32_t job_count;
    const char *explanation; /* of a deadlock: several lines, else NULL */
    const struct replay_call *calls; /* collectives */
    uint32_t call_count;
    const char *plan_text;   /* circuits, NULL where there are none */
    const char *custom_text; /* collective algorithms of files, a line each; "" where there are none */
};

/* A job is read once and run on several fabrics. */
enum status run_read(const struct run_request *request, struct arena *arena, const struct job **job, struct diag *diag);

/* Refuses what run_job would refuse before anything runs: the fabric, the parameters, how both fit the job. */
enum status run_check(const struct run_request *request, const struct job *job, struct diag *diag);

/* Runs the job on the request's fabric; `results` may be NULL. STATUS_DEADLOCK and STATUS_INTERRUPTED come with a
 * filled result. */
enum status run_job(const struct run_request *request, const struct job *job, struct results *results,
                    struct arena *arena, struct run_result *result, struct diag *diag);

/* What a run would cost, without running it. */
struct run_estimate {
    uint64_t messages, payload_bytes, packets;
    uint64_t packet_hops;  /* acknowledgements counted */
    double wall_s;         /* at the speed measured in a short probe of this engine on this machine */
    uint64_t memory_bytes; /* job and fabric as built; packets in flight are not counted */
};
enum status run_estimate(const struct run_request *request, const struct job *job, struct arena *arena,
                         struct run_estimate *estimate, struct diag *diag);

#endif
