/* A result file of made-up runs, for the tests of what reads result files. */
#ifndef PHOTONET_TESTS_SYNTHETIC_H
#define PHOTONET_TESTS_SYNTHETIC_H

#include "photonet/status.h"

#include <stdint.h>

/* Runs `fat-tree-dsp`, `fat-tree-lpo`, `fat-tree-cpo`, `fat-tree-4to1`, `optical-patch` and, beyond five,
 * `extra-N`; all tables filled. The first run's iteration takes 10 ms, the others' a little more or less. */
enum status synthetic_results(const char *path, uint32_t run_count, struct diag *diag);

#endif
