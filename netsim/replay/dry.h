/* Whether a job can end on any network at all.
 *
 * The job is walked without one: computing takes no time, a message is there as soon as it has been sent (a send never waits
 * for its receive in a replay), and a member of a collective is through when everybody has started whose data it must get:
 * all members, or the root of what the root gives away. What is left then waits in a circle, since every operation that is
 * stuck waits for another one that is; whatever a network does, it cannot end. Streams do not matter: what runs on one ends by
 * itself. The order in which the walk goes does not matter either: nothing that has become possible becomes impossible again.
 *
 * Work: some tens of nanoseconds and 4 B an operation of every rank, 64 B a message that is under way.
 * Not seen: deadlocks that only some algorithms of a collective have (of one without bytes, or with parts without bytes, nobody
 * counts as waiting), and those of buffers in the network. */
#ifndef PHOTONET_DRY_H
#define PHOTONET_DRY_H

#include "photonet/program.h"

#include <stdio.h>

#define DRY_OPS_MAX (UINT64_C(1) << 26) /* 256 MB of counters and a few seconds */

struct dry_result {
    uint64_t ops, done; /* over all ranks; done < ops: the rest never runs */
    uint32_t circle;    /* operations that wait for each other in a circle */
    const char *text;   /* a line for each of them, ranks and operations named; "" without one */
};

/* False where the job has more than DRY_OPS_MAX operations: nobody has looked, and only `ops` is set. */
bool dry_run(const struct job *job, struct arena *arena, struct dry_result *result);

#endif
