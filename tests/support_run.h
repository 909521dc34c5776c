/* What tests of whole runs and of settings share. */
#ifndef PHOTONET_TESTS_SUPPORT_RUN_H
#define PHOTONET_TESTS_SUPPORT_RUN_H

#include "netsim/run.h"

/* "key=value key=value" to settings that name --set as where they stand; `sets` has room for SETTINGS_MAX. Texts live in
 * the arena. */
#define SETTINGS_MAX 32
size_t settings_split(struct arena *arena, const char *text, struct trace_setting *sets);
/* The same with another letter between them, for values that hold blanks. */
size_t settings_split_at(struct arena *arena, const char *text, const char *separator, struct trace_setting *sets);

/* Seed 1, one iteration, to the end, without progress. */
struct run_request whole_request(const char *trace, const char *fabric);

/* Reads the trace where `job` is NULL, runs. `settings` is "key=value key=value"; NULL: those of the request. */
enum status whole_run(struct run_request request, const struct job *job, const char *settings, struct arena *arena,
                      struct run_result *result, struct diag *diag);
/* One that must end well; says why it did not. */
struct run_result whole_run_good(struct run_request request, const struct job *job, const char *settings,
                                 struct arena *arena);

#endif
