/* The jobs of a run: what --trace says.
 *
 *     SPEC[,start=TIME][,placement=linear|random|random:SEED|rail:N|file:PATH][,seed=N][,name=TEXT][,ranks=N][,trace.KEY=VALUE]...
 *
 * `seed` is that of placement=random. Synthetic descriptions (pattern:NAME,key=value) have ranks and seeds of
 * their own; of theirs only start, placement and name are taken, and a seed right behind placement=random. A file
 * whose name is the whole text is that file. A YAML or JSON file with a list `jobs` stands for its jobs, each a map with the same keys:
 *
 *     jobs:
 *       - {trace: a.job, start: 1ms, placement: random, seed: 3}
 *       - {trace: "pattern:ring,ranks=8,bytes=1MiB", name: ring}
 */
#ifndef PHOTONET_JOB_LIST_H
#define PHOTONET_JOB_LIST_H

#include "photonet/trace.h"

struct job_spec {
    const char *spec;      /* for trace_read */
    uint32_t ranks;        /* 0: not said */
    const char *name;      /* NULL: as the job's */
    const char *placement; /* NULL: linear */
    uint64_t start_ps;
    const struct trace_setting *settings; /* of the format, without "trace." */
    size_t setting_count;
    bool has_options; /* beyond the SPEC */
};

enum status job_spec_parse(const char *text, struct arena *arena, struct job_spec *spec, struct diag *diag);

struct job_list_request {
    const char *const *traces;
    size_t trace_count;
    uint32_t ranks;                       /* --ranks: of a lone trace */
    const struct trace_setting *settings; /* of all traces, without "trace." */
    size_t setting_count;
    bool is_scenario; /* the file with the list of jobs says more, which is for others to read */
};

/* Whether the file holds a list of jobs. */
bool job_list_is_file(const char *path);

/* Reads all of them. One without options is the job as it was read; else they are parts of one (struct
 * job_part). */
enum status job_list_read(const struct job_list_request *request, struct arena *arena, const struct job **job,
                          struct diag *diag);

/* "jobs:" and a line each, for the configuration in the result file; "" where there are no parts. */
const char *job_list_text(const struct job *job, struct arena *arena);

#endif
