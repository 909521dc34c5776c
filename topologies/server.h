/* Servers: hosts (GPUs) that share a scale-up domain, under any scale-out fabric.
 *
 *      nvlink_switches: 4 (DGX H100)                  nvlink_switches: 0 (mesh)
 *
 *      ═══ NIC ══ NIC ══ NIC ══ ...                   NIC ═ host ─── host ═ NIC
 *           │      │      │                                  │   ╲ ╱   │
 *         host   host   host   ...                           │   ╱ ╲   │
 *         ╱╱│╲╲  ╱╱│╲╲  ╱╱│╲╲     5 + 4 + 4 + 5       NIC ═ host ─── host ═ NIC
 *       switch switch switch switch
 *
 * Hosts s * gpus to (s + 1) * gpus - 1 are server s; the last one may be partly filled. A host's scale-up
 * ports come before its NIC ports. Links that do not divide evenly go to the outer switches first: 18 over 4
 * is 5, 4, 4, 5.
 *
 * Routes. Packets to the same server take the scale-up links, whatever is outside; no packet passes through a
 * host that it is not for, but in the fabrics that say so. The arithmetic of a server with switches is one
 * line a host and one a switch; a mesh has none, and the fabric around it leaves its routes to tables. There
 * a scale-up link costs 1 and a network link SERVER_NETWORK_COST, so that scale-up is preferred wherever both
 * lead.
 *
 * Scope: NVLink, UALink and their like, one tier. Every link is a port of its own. What the transceivers of
 * copper links burn is in the watts of the chips at both ends.
 * Switches combine and copy where their part has reduce_entries (NVLink SHARP; netsim/engine/group.h).
 * Not modelled: credits of the links unless the transport has them (credit; else their queues have no bound); how addresses
 * are spread over links (packets are, by hash; those of teams in turn). */
#ifndef PHOTONET_TOPOLOGIES_SERVER_H
#define PHOTONET_TOPOLOGIES_SERVER_H

#include "topologies/build.h"

#define SERVER_NETWORK_COST 2

struct server_values {
    uint64_t gpus, links, switches, link_rate_bps;
    double length_m;
    const char *module, *box;
    bool is_cut_through;
};

/* Rows of a family whose values struct has the member `server`. */
#define SERVER_ROWS(type_, gpus_)                                                                            \
    PARAM_U64(type_, server.gpus, COUNT, "server_gpus", gpus_, "1", "65_534",                                \
              "hosts that share a scale-up domain; 1: none have one"),                                       \
        PARAM_U64(type_, server.links, COUNT, "nvlink_links", "18", "1", "56",                               \
                  "scale-up links of a host (18: Nvidia H100 and GB200, recalled)"),                         \
        PARAM_U64(type_, server.switches, COUNT, "nvlink_switches", "4", "0", "56",                          \
                  "scale-up switches of a server (4: DGX H100, recalled); 0: a mesh of direct links"),       \
        PARAM_U64(type_, server.link_rate_bps, RATE, "nvlink_rate", "200Gbps", "1Mbps", "100Tbps",           \
                  "of a scale-up link, one way (NVLink 3 and 4: 25 GB/s)"),                                  \
        PARAM_REAL(type_, server.length_m, LENGTH, "nvlink_length", "1m", "0m", "1km",                       \
                   "of a scale-up link, copper"),                                                            \
        PARAM_TEXT(type_, server.module, "nvlink", "none", "part at both ends of a scale-up link"),          \
        PARAM_TEXT(type_, server.box, "nvswitch", "none", "part of a scale-up switch, per chip"),            \
        PARAM_BOOL(type_, server.is_cut_through, "nvlink_cut_through", "yes",                                \
                   "scale-up switches send on when the header is there")

struct server {
    const struct server_values *values;
    uint32_t hosts, gpus, links, switches; /* links: of a host in a full server */
    uint32_t count;                        /* servers */
    uint32_t up;         /* ports of a switch that lead out of the server, behind the others: 0, or
                                              set before server_lay_out by a family of two tiers */
    uint32_t node_first; /* of the switches, set by server_lay_out */
    bool is_on, is_mesh;
    struct build_node box;
    struct build_link link;
    uint32_t module;
};

/* Checks and looks up; is_on is false where a server is a single host. */
enum status server_find(const struct server_values *values, const struct fabric_request *request,
                        uint32_t hosts, bool has_device_latency, struct server *server, struct diag *diag);

uint32_t server_host_ports(const struct server *server,
                           uint32_t host); /* scale-up ports, the first of the host's */
uint64_t server_node_count(const struct server *server);
uint64_t server_port_count(const struct server *server); /* at hosts and at switches, `up` counted */
/* Links from every host to switch `number` of its server. */
uint32_t server_switch_links(const struct server *server, uint32_t number);
uint32_t server_gpus(const struct server *server, uint32_t number); /* of server `number` */

/* The switches, after all other nodes. */
void server_lay_out(struct server *server, struct build *build);
void server_join(const struct server *server, struct build *build);

/* Arithmetic routes of hosts with nic_ports ports outside, and of the switches. With `rails` > 0 hosts also
 * pass on: a packet for rail r of another server goes to GPU r of the own one first, and out by its NIC. */
void server_routes(const struct server *server, struct route *route, uint32_t nic_ports, uint32_t rails);

/* Costs of all ports for tables: 1 inside servers, SERVER_NETWORK_COST outside, 1 everywhere without
 * servers. */
uint8_t *server_costs(const struct server *server, const struct build *build);

#endif
