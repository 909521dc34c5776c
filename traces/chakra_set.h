/* Which files a path means: PREFIX stands for PREFIX.0.et, PREFIX.1.et, ... (or .et.gz), one a rank, numbered
 * without gaps and without leading zeros; a directory for the one set in it; a file for itself. */
#ifndef PHOTONET_TRACES_CHAKRA_SET_H
#define PHOTONET_TRACES_CHAKRA_SET_H

#include "photonet/arena.h"
#include "photonet/status.h"

#include <stdbool.h>
#include <stdint.h>

struct chakra_set {
    const char *prefix; /* as far as the rank number; "dir/w" */
    const char *name;   /* its last part */
    const char **path;  /* rank_count, or one where is_lone */
    uint32_t rank_count;
    bool is_lone;       /* one rank's file, which every rank runs */
    uint32_t lone_rank; /* the rank whose file it is */
};

/* `ranks` is what the user asked for, 0 = as many as there are files. */
enum status chakra_set_find(const char *path, uint32_t ranks, struct arena *arena, struct chakra_set *set,
                            struct diag *diag);

#endif
