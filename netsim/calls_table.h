/* The collectives of a run as nccl-tests prints them. */
#ifndef PHOTONET_CALLS_TABLE_H
#define PHOTONET_CALLS_TABLE_H

#include "netsim/run.h"

#include <jansson.h>

/* A job of nothing but collectives of one group: a benchmark. */
bool calls_are_benchmark(const struct job *job, const struct run_result *result);

void calls_print(const struct run_result *result, FILE *stream);
json_t *calls_json(const struct run_result *result); /* an array; keys are columns of the collectives table */

#endif
