/* Photonet inside another program.
 *
 * One call runs a trace over one or more fabrics, as `photonet run` does, and answers with a report that the caller
 * reads by column name (the columns of the result file; `photonet run --format json` shows them) and frees.
 *
 *     const char *fabrics[] = {"clos-dsp", "clos-cpo"};
 *     struct photonet_request request = PHOTONET_REQUEST("pattern:all_reduce,ranks=16,bytes=64MiB", fabrics, 2);
 *     struct photonet_report *report;
 *     if (photonet_run(&request, &report) != PHOTONET_OK) {
 *         fprintf(stderr, "%s\n", photonet_report_error(report));
 *     }
 *     for (size_t run = 0; run < photonet_report_run_count(report); run++) {
 *         printf("%s: %g s\n", photonet_report_text(report, run, "fabric"),
 *                photonet_report_number(report, run, "iteration_time_ps") * 1e-12);
 *     }
 *     photonet_report_free(report);
 *
 * Build with `cc example.c $(pkg-config --cflags --libs photonet)`.
 *
 * Nothing is printed, no signal is caught, no environment variable is read. Calls from several threads may run at the
 * same time where none of them writes a file (HDF5 serves one thread). A lack of memory ends the process (status 5), as
 * does a broken invariant of the simulator (abort). This header stands alone and includes nothing of the simulator's own. */
#ifndef PHOTONET_H
#define PHOTONET_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PHOTONET_API __attribute__((visibility("default")))

/* The exit statuses of the program. */
enum photonet_status {
    PHOTONET_OK = 0,
    PHOTONET_USAGE = 1,         /* the request is incomplete or contradicts itself */
    PHOTONET_INPUT = 2,         /* a trace, a fabric or a setting is wrong */
    PHOTONET_DEADLOCK = 3,      /* the simulated job cannot progress */
    PHOTONET_IO = 4,            /* the result file cannot be written */
    PHOTONET_INTERRUPTED = 130, /* *interrupted became non-zero */
};

/* What to run. Fields that are zero or NULL take their default. Everything pointed to is borrowed for the call. */
struct photonet_request {
    size_t request_bytes;            /* sizeof this struct, so that later versions can add fields at its end */
    const char *trace;               /* SPEC of `photonet run --trace`, with its options */
    const char *const *fabrics;      /* files or presets */
    size_t fabric_count;
    const char *const *settings;     /* "KEY=VALUE" each, as after --set */
    size_t setting_count;
    const char *engine;              /* "packet" (default) or "simgrid" */
    const char *transport;           /* default: as the fabric file says, else "window" */
    const char *output;              /* result file to write; default: none */
    uint32_t rank_count;             /* default: as the trace says */
    uint32_t iteration_count;        /* default: 1 */
    uint64_t seed;                   /* default: 1 */
    uint64_t until_ps;               /* stop at this simulated time; default: run to the end */
    const volatile int *interrupted; /* looked at some twenty times a second; default: never stops */
    const char *const *more_traces;  /* further jobs on the same fabric, as several --trace */
    size_t more_trace_count;
};
#define PHOTONET_REQUEST(trace_, fabrics_, fabric_count_)                                                   \
    {sizeof(struct photonet_request), (trace_), (fabrics_), (fabric_count_), NULL, 0, NULL, NULL, NULL, 0, 0, 0, 0, NULL, \
     NULL, 0}

struct photonet_report; /* opaque */

/* Runs every fabric in turn and stops at the first that fails; runs before it, and a deadlocked or interrupted one,
 * are in the report. *report is always set and always to be freed. */
PHOTONET_API enum photonet_status photonet_run(const struct photonet_request *request,
                                               struct photonet_report **report);

/* One line on what failed; empty where nothing did. Valid until the report is freed, as all strings below are. */
PHOTONET_API const char *photonet_report_error(const struct photonet_report *report);

PHOTONET_API size_t photonet_report_run_count(const struct photonet_report *report);

/* "run", "trace", "fabric", "status" (complete, interrupted, deadlock), "digest" (16 hexadecimal digits),
 * "explanation" (of a deadlock), "plan" (of optical circuits). NULL where there is no such text. */
PHOTONET_API const char *photonet_report_text(const struct photonet_report *report, size_t run, const char *name);

/* A number of the run's summary by its column name, unit included: "iteration_time_ps", "network_w_per_gpu".
 * NaN where there is no such column. Whole numbers are exact up to 2^53. */
PHOTONET_API double photonet_report_number(const struct photonet_report *report, size_t run, const char *column);

PHOTONET_API void photonet_report_free(struct photonet_report *report);

#ifdef __cplusplus
}
#endif

#endif
