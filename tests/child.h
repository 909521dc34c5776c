/* Runs a piece of a test in a child process: for what aborts, or looks at its stderr. */
#ifndef PHOTONET_TESTS_CHILD_H
#define PHOTONET_TESTS_CHILD_H

#include <stdbool.h>
#include <stddef.h>

/* Runs `body` in a child with stderr on `descriptor`; returns the wait status, 0 where it returned. */
int child_run(void (*body)(void), int descriptor);

/* The same with what it wrote to stderr (at most a pipe full) in `output`. */
int child_capture(void (*body)(void), char *output, size_t output_bytes);

/* The child ended in abort(). */
bool is_aborted(int wait_status);

#endif
