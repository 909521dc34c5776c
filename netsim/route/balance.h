/* Load balancing: which entropy a packet carries. Switches hash (source, destination, entropy) to one of the
 * equal next hops, so the entropy alone decides whether a message stays on one path. One line per way in
 * balances.def. */
#ifndef PHOTONET_BALANCE_H
#define PHOTONET_BALANCE_H

#include <stdbool.h>
#include <stdint.h>

enum balance_trait {
    BALANCE_PINNED = 1,        /* all packets of a message leave a host on one port (else on any towards the destination) */
    BALANCE_RECYCLED = 2,      /* a packet takes the entropy of one that was acknowledged without a mark, while the sender
                                  knows such; else `entropy` gives a fresh one */
    BALANCE_FLOWLETS = 4,      /* the ordinal counts flowlets: packets with no longer pause than a given one between them
                                  (Kandula et al. 2007; at the sender, as PLB does, not in switches as LetFlow) */
    BALANCE_SOURCE_ROUTED = 8, /* switches take the entropy as it is: its low byte in tier 1, its high byte above, as a
                                  fraction of the equal next hops */
};

struct balance {
    const char *name;
    const char *summary;
    /* Entropy of the packet `ordinal` (retransmissions counted on) of the message with this identity; of those that
     * use a given number of them, `entropies` is that number, a power of two. */
    uint16_t (*entropy)(uint64_t seed, uint64_t identity, uint64_t ordinal, uint32_t entropies);
    uint32_t traits;
};
extern const struct balance *const balances[]; /* ends with NULL */
extern const char *const balance_names[];      /* for a choice parameter; same order */

/* Of the balance `spray`. */
uint16_t entropy_sprayed(uint64_t seed, uint64_t identity, uint64_t ordinal);

static inline bool balance_has(const struct balance *balance, enum balance_trait trait)
{
    return (balance->traits & trait) != 0;
}

/* What a source-routed packet says at a switch of this tier, in place of a hash: route_choose makes a port of it. */
static inline uint64_t source_route_hash(uint32_t entropy, uint32_t tier)
{
    return (uint64_t)(tier <= 1 ? entropy & 0xff : entropy >> 8) << 56;
}

#endif
