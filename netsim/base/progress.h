/* How far a long computation is, on stderr.
 *
 * On a terminal one line is redrawn at most five times a second; elsewhere a line is printed every 30 s, so
 * that the log of a batch job stays short. Nothing is printed before the first interval has passed: short
 * runs stay silent. */
#ifndef PHOTONET_BASE_PROGRESS_H
#define PHOTONET_BASE_PROGRESS_H

#include "photonet/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress;

struct progress *progress_new(struct arena *arena, bool is_quiet);

/* May be called often: it costs a look at the clock. share_done is 0 .. 1, negative where unknown; hop_count
 * is the packet-hops so far. */
void progress_update(struct progress *progress, uint64_t simulated_ps, double share_done, uint64_t hop_count);

/* Takes the line off the terminal. Before anything else is printed there. */
void progress_end(struct progress *progress);

/* The line itself: "1.25 ms simulated, 42.0 % done, 31.2 M packet-hops/s, 1 min 10 s left". hops_per_s and
 * left_s negative = unknown. Returns `text`. */
char *progress_text(uint64_t simulated_ps, double share_done, double hops_per_s, double left_s, char *text,
                    size_t text_bytes);

#endif
