/* A packet fabric as flow-level simulators see one: links with a capacity and a latency, one route for each
 * ordered pair of hosts that talk.
 *
 *      host 0 ──► leaf ═══════════► spines ═══════════► leaf ──► host 9        packets: one of four next hops each
 *              1 link   4 links             4 links         1 link
 *      host 0 ──► [link] ─► [one link of 4 x rate] ─► [one of 4 x rate] ─► [link]    flows: a route of four links
 *
 * Sprayed packets use all equal next hops alike, so in the limit of many packets the ports that a layer of
 * the way uses are one pipe: a bundle. The rate of a bundle is the least rate / share of its ports (share:
 * what part of the bytes a port takes; equal parts at a switch, in proportion to the rate at the ports of the
 * source host). With per-flow balancing a pair takes one path, drawn by the hash that the switches use, and
 * every bundle has one port.
 *
 * I1  A port is in at most one bundle. Where two pairs would use different, overlapping sets of ports (or
 *     the same ports in other shares), no bundle is right for both, and the fabric is refused.
 * I2  The latency of a link is that of its fibre and devices and, where it ends at a switch, of that
 *     switch: its processing, and the time in which the first packet comes in (a full packet; at a
 *     cut-through switch the header). A host that passes packets on is a link of its own behind the one that
 *     ends there: it has a latency and as much capacity as anyone asks for. So latency + bytes / rate is
 *     exactly path_idle_ps of a message of full packets over links of one rate.
 * I3  Every route begins with a link of its source host that limits nobody and has PLATFORM_WEIGHT as its
 *     latency: CM02 divides a shared link in inverse proportion to the latencies of the routes, as
 *     long-distance TCP does, while hosts and switches here take turns packet by packet. Beside so large a
 *     latency all routes are equal. Who simulates must scale latencies away (network/latency-factor) and let
 *     platform_latency_ps pass by other means.
 *
 * Workload: all-to-all of 1024 hosts is a million pairs of 2 to 6 links.
 *
 * Not modelled: what depends on the order of single packets (the queues of random spraying, a short last
 * packet, ACKs on the way back). */
#ifndef PHOTONET_PLATFORM_H
#define PHOTONET_PLATFORM_H

#include "netsim/route/path.h"

#include <stdio.h>

struct platform_config {
    const struct fabric *fabric;
    const struct routes *routes;
    struct packet_shape shape;
    bool is_sprayed;
    uint64_t seed;
};

/* A bundle of ports, in the order in which they were first used. */
struct platform_link {
    uint64_t rate_bps, latency_ps;
    uint64_t pass_ps; /* through the hosts at its end, where they pass packets on */
    bool is_passed;
    uint32_t port_first, port_count; /* in platform->ports */
    uint64_t wire_bytes;
};

struct platform_pair {
    uint32_t src, dst;
    uint64_t wire_bytes;
    uint64_t latency_ps;               /* of all its links */
    uint32_t route_first, route_count; /* in platform->route_links */
};

#define PLATFORM_PASS (UINT32_C(1) << 31) /* in route_links: the hosts at the end of this link */

struct platform {
    struct platform_config config;
    struct arena *arena;
    struct platform_link *links;
    size_t link_count, link_capacity;
    uint32_t *ports;
    size_t port_count, port_capacity;
    struct platform_pair *pairs;
    size_t pair_count, pair_capacity;
    uint32_t *route_links;
    size_t route_link_count, route_link_capacity;
    uint32_t *pair_map; /* open addressing by (src, dst): 1 + index into pairs, 0 = free */
    size_t pair_map_capacity;
    uint32_t *port_link; /* per port of the fabric, ID_NONE (I1) */
    double *port_share;
};

struct platform *platform_new(struct arena *arena, const struct platform_config *config);

/* src sends so many bytes to dst, headers counted; adds up. src != dst. */
void platform_add(struct platform *platform, uint32_t src, uint32_t dst, uint64_t wire_bytes);

/* Finds the links and routes of all pairs; STATUS_INPUT where I1 cannot be held. */
enum status platform_route(struct platform *platform, struct diag *diag);

/* Of a pair that was added and has a route. */
uint64_t platform_latency_ps(const struct platform *platform, uint32_t src, uint32_t dst);

#define PLATFORM_WEIGHT "1s" /* I3 */

/* SimGrid's platform file, version 4.1. Host n is called hn. */
void platform_write(const struct platform *platform, FILE *stream);

/* Adds the bytes of all pairs to the ports that carry them (an array of the fabric's port_count). */
void platform_port_bytes(const struct platform *platform, uint64_t *port_bytes);

#endif
