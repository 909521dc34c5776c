/* Which host a rank runs on.
 *
 *     linear         the free hosts in their order
 *     random:SEED    free hosts drawn by the seed ("random": seed 1)
 *     rail:N         N hosts of different rails make a server: first all free hosts of rail 0, then those of
 * rail 1, ... file:PATH      a host a line, for rank 0, 1, ...; several ranks may have one host
 *
 * Jobs are placed one after the other, those by file first. A host has one rank, or gpus_per_nic neighbouring ones of one
 * job, unless a file says otherwise. */
#ifndef PHOTONET_PLACEMENT_H
#define PHOTONET_PLACEMENT_H

#include "photonet/fabric.h"
#include "photonet/program.h"

/* Whether `text` is one of the above, without a look at the file. */
enum status placement_check(const char *text, struct origin at, struct diag *diag);

/* Hosts of all ranks of the job, in the arena. */
enum status placement_make(const struct job *job, uint32_t host_count, uint32_t gpus_per_nic, struct arena *arena,
                           const uint32_t **rank_host, struct diag *diag);

#endif
