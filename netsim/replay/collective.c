/* The table of collective algorithms, and how nccl-tests counts. */
#include "netsim/replay/collective.h"

#include <string.h>

#define COLLECTIVE(symbol_) extern const struct collective_algorithm collective_##symbol_;
#include "netsim/replay/collectives.def"
#undef COLLECTIVE

const struct collective_algorithm *const collective_algorithms[] = {
#define COLLECTIVE(symbol_) &collective_##symbol_,
#include "netsim/replay/collectives.def"
#undef COLLECTIVE
    NULL,
};

const struct collective_algorithm *collective_find(enum collective_kind kind, const char *name)
{
    for (const struct collective_algorithm *const *row = collective_algorithms; *row != NULL; row++) {
        if ((*row)->kind == kind && (name == NULL || strcmp((*row)->name, name) == 0)) {
            return *row;
        }
    }
    return NULL;
}

struct collective_piece collective_pair(const struct collective_call *call, uint32_t from, uint32_t to)
{
    uint64_t before = call->pairs == NULL ? from * call->bytes + chunk_at(call->bytes, to, call->members) : 0;
    for (size_t pair = 0; call->pairs != NULL && pair < (size_t)from * call->members + to; pair++) {
        before += call->pairs->bytes[pair];
    }
    return (struct collective_piece){.first_byte = before, .bytes = pair_bytes(call, from, to)};
}

uint64_t collective_size_bytes(enum collective_kind kind, uint64_t bytes, uint32_t members)
{
    /* nccl-tests gives an all-gather the size of the whole result. */
    return kind == COLLECTIVE_ALL_GATHER || kind == COLLECTIVE_GATHER ? bytes * members : bytes;
}

double collective_bus_factor(enum collective_kind kind, uint32_t members)
{
    double n = members;
    switch (kind) {
    case COLLECTIVE_ALL_REDUCE:
        return 2 * (n - 1) / n;
    case COLLECTIVE_ALL_GATHER:
    case COLLECTIVE_REDUCE_SCATTER:
    case COLLECTIVE_ALL_TO_ALL:
    case COLLECTIVE_GATHER:
    case COLLECTIVE_SCATTER:
        return (n - 1) / n;
    default:
        return 1;
    }
}
