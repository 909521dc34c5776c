/* How a function says that it failed.
 *
 * Bad input, bad usage and I/O failures travel as an `enum status` (whose values are the exit statuses of
 * the program) with one line of text in a `struct diag`. Broken invariants are asserts. Out of memory ends
 * the process at once with STATUS_MEMORY (see arena.h). Only netsim/main.c prints errors and exits.
 *
 * The one line reads `path:line:column: what; what was expected`; line and column are left out where 0. */
#ifndef PHOTONET_STATUS_H
#define PHOTONET_STATUS_H

#include <stdarg.h>
#include <stdint.h>

enum status {
    STATUS_OK = 0,
    STATUS_USAGE = 1,         /* the command line is wrong */
    STATUS_INPUT = 2,         /* a file, a parameter or a combination of them is wrong */
    STATUS_DEADLOCK = 3,      /* the simulated job cannot progress */
    STATUS_IO = 4,            /* writing results failed, or starting a process */
    STATUS_MEMORY = 5,        /* the system has no memory left */
    STATUS_INTERRUPTED = 130, /* a signal ended the run; results so far are in the file */
};

#define DIAG_BYTES 1024

/* One line of explanation, without a newline. Empty where nothing failed. */
struct diag {
    char text[DIAG_BYTES];
};

/* Where a piece of input stands. path may name an option ("--set"); line and column count from 1, 0 = unknown. */
struct origin {
    const char *path;
    uint32_t line;
    uint32_t column;
};

/* Writes `text` formatted, returns `status`: `return diag_set(diag, STATUS_IO, "cannot open %s", path);` */
__attribute__((format(printf, 3, 4)))
enum status diag_set(struct diag *diag, enum status status, const char *format, ...);

/* The same with the origin in front; always STATUS_INPUT. */
__attribute__((format(printf, 3, 4)))
enum status diag_input(struct diag *diag, struct origin at, const char *format, ...);

/* The same for functions that take a format themselves; `before` stands in front of what is formatted. */
__attribute__((format(printf, 4, 0)))
enum status diag_input_list(struct diag *diag, struct origin at, const char *before, const char *format, va_list arguments);

/* DASSERT guards the inner loops; it is on in debug, sanitizer and stress builds. assert() is always on. */
#include <assert.h>
#ifdef PHOTONET_DEBUG
#define DASSERT(condition) assert(condition)
#else
#define DASSERT(condition) ((void)0)
#endif

#endif
