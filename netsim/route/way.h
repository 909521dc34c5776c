/* The long way round: detours over a third region, for fabrics whose shortest ways are few (dragonfly, HyperX, tori of
 * switches).
 *
 *       region of src                region of the middle             region of dst
 *      ┌─────────────┐   long way   ┌─────────────┐                  ┌─────────────┐
 *      │ h ─ switch ─┼─────────────►┼─ switch ─ ──┼─────────────────►┼─ switch ─ h │
 *      └──────┼──────┘              └─────────────┘   shortest way   └──────┼──────┘
 *             └────────────────────── shortest way ─────────────────────────┘
 *
 * The first switch decides for every packet and writes it into the top bit of the entropy (WAY_LONG), which leaves 15
 * bits to the balance. The middle is a host drawn from (source, destination, entropy): all switches find the same one, so
 * nothing else travels with the packet. In the middle's region the bit is taken away, and the packet goes on as any other.
 *
 *   valiant  always, unless the middle is in the region of one of the ends (Valiant 1982)
 *   ugal     where backlog * hops of the shortest way exceeds that of the detour plus a threshold (UGAL-L: Singh 2005;
 *            Kim et al., ISCA 2008). Backlogs are those of the deciding switch alone: no knowledge travels.
 *
 * Scope: switches with regions (fabric.node_region).
 * Not modelled: decisions behind the first switch (progressive UGAL); more than one middle drawn per packet.
 * Detours can close circles of credits or pauses: lane.h has the virtual lanes that break them.
 * Checked against: throughput of adversarial traffic by hand (tests/test_way.c). */
#ifndef PHOTONET_WAY_H
#define PHOTONET_WAY_H

#include "netsim/base/rng.h"
#include "netsim/route/route.h"

enum way_rule { WAY_MINIMAL, WAY_VALIANT, WAY_UGAL };
extern const char *const way_names[]; /* for a choice parameter; same order */

#define WAY_LONG UINT32_C(0x8000) /* in a packet's entropy */

struct ways {
    enum way_rule rule;
    uint64_t threshold_bytes; /* ugal */
    const struct routes *routes;
    const uint32_t *node_region; /* of the fabric */
    const uint32_t *host_region;
};

/* STATUS_INPUT where the fabric has no regions. */
enum status ways_init(struct ways *ways, enum way_rule rule, uint64_t threshold_bytes, const struct routes *routes,
                      struct arena *arena, struct diag *diag);

/* Backlog in bytes of the port that a packet would take at this node on its way to `host`. */
typedef uint64_t way_backlog(const void *context, uint32_t node, uint32_t host);

/* The host that a packet at this switch goes towards next: dst or a middle. Sets WAY_LONG in the entropy or takes it
 * away. `from` is the node that has sent the packet here. */
uint32_t way_towards_slow(const struct ways *ways, uint32_t node, uint32_t from, uint32_t src, uint32_t dst,
                          uint32_t *entropy, way_backlog *backlog, const void *context);

static inline uint32_t way_towards(const struct ways *ways, uint32_t node, uint32_t from, uint32_t src, uint32_t dst,
                                   uint32_t *entropy, way_backlog *backlog, const void *context)
{
    if (ways == NULL || ways->rule == WAY_MINIMAL) {
        return dst;
    }
    return way_towards_slow(ways, node, from, src, dst, entropy, backlog, context);
}

#endif
