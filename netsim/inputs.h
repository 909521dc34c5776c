/* The files that a run was made of, with their digests: what makes a result reproducible. */
#ifndef PHOTONET_INPUTS_H
#define PHOTONET_INPUTS_H

#include "photonet/arena.h"
#include "photonet/results.h"

/* The files behind trace SPECs (a file, a directory, a prefix of rank files; each with or without FORMAT:) and a fabric
 * (none for a preset). Files that cannot be read are left out: whoever read them has complained already. */
void inputs_find(const char *const *trace_specs, uint32_t trace_count, const char *fabric_spec, struct arena *arena,
                 const struct results_input **inputs, uint32_t *count);

/* The same files, counted only. */
void inputs_count(const char *trace_spec, struct arena *arena, uint32_t *files, uint64_t *bytes);

#endif
