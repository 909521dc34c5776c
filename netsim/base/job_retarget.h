/* A job taken on n ranks, for m ranks: more or fewer data-parallel replicas of it.
 *
 *     m = k n     k copies side by side, rank i of copy c being rank c n + i. Data-parallel groups become one
 * over all copies, every other group and all messages stay within their copy:
 *
 *                     copy 0   0 ─tp─ 1     copy 1   4 ─tp─ 5
 *                              │dp    │dp            │      │          one group dp: 0 2 4 6, one: 1 3 5 7
 *                              2 ─tp─ 3              6 ─tp─ 7
 *
 *     m = n / k   the first k-th of the members of every data-parallel group stays
 *
 * A group is data-parallel where its name begins with "dp" or "edp", or where it is the only one and has all
 * ranks. What a rank puts in stays the same for an all-reduce, reduce-scatter, broadcast and reduce; the
 * shard of an all-gather is as much smaller as there are more ranks (rounded up). Compute stays as it was.
 *
 * Refused, with the reason, where that has no clear meaning: m neither a multiple nor a part of n; a rank in
 * no data-parallel group; an all-to-all, gather or scatter in one; ranks that stay and need one that goes. */
#ifndef PHOTONET_BASE_JOB_RETARGET_H
#define PHOTONET_BASE_JOB_RETARGET_H

#include "photonet/program.h"

enum status job_retarget(const struct job *from, uint32_t rank_count, struct arena *arena,
                         const struct job **job, struct diag *diag);

#endif
