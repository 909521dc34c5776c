/* Load balancing: which entropy a packet carries. Switches hash (source, destination, entropy) to one of the
 * equal next hops, so the entropy alone decides whether a message stays on one path. One line per way in
 * balances.def. */
#ifndef PHOTONET_BALANCE_H
#define PHOTONET_BALANCE_H

#include <stdint.h>

struct balance {
    const char *name;
    const char *summary;
    /* Entropy of the packet `ordinal` (retransmissions counted on) of the message with this identity; of those that
     * use a given number of them, `entropies` is that number, a power of two. */
    uint16_t (*entropy)(uint64_t seed, uint64_t identity, uint64_t ordinal, uint32_t entropies);
    /* All packets of a message leave a host on one port (else on any port towards the destination). */
    int is_pinned;
    /* A packet takes the entropy of one that was acknowledged without a mark, while the sender knows such; else `entropy`
     * gives a fresh one. */
    int is_recycled;
};
extern const struct balance *const balances[]; /* ends with NULL */
extern const char *const balance_names[];      /* for a choice parameter; same order */

#endif
