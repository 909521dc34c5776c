/* Laying out a fabric: what all families share.
 *
 *     build_begin(&build, request, fabric, diag, hosts, nodes, ports);
 *     build_node(...)      hosts first, each takes its ports in the order of the calls
 *     build_join(...)      a duplex link between two ports
 *     build_end(&build)    the arrays are the fabric's
 *
 * Sizes are known before, so every array is allocated once. */
#ifndef PHOTONET_TOPOLOGIES_BUILD_H
#define PHOTONET_TOPOLOGIES_BUILD_H

#include "photonet/fabric.h"

/* What a link or one waiting fibre is made of. */
struct build_link {
    uint64_t rate_bps;
    uint64_t delay_ps;    /* propagation */
    uint64_t queue_bytes; /* at both ends, UINT64_MAX = unbounded */
    bool has_device_latency; /* modules, adapters and FEC take their time */
    uint32_t loss_mdb;    /* of fibre and connectors */
};

/* One end of it. */
struct build_end {
    uint32_t port;
    uint32_t module;  /* part */
    uint32_t adapter; /* part, PART_ID_NONE at switches */
    uint64_t adapter_ps; /* latency of the adapter that is passed here, whether or not it is counted here */
};

struct build_node {
    enum node_kind kind;
    uint32_t part;
    uint8_t tier;
    bool is_cut_through;
    uint64_t latency_ps;
};

struct build {
    const struct fabric_request *request;
    struct fabric *fabric;
    struct diag *diag;
    uint32_t node_count, port_count; /* laid out so far */
    uint8_t *node_kind, *node_cut_through, *node_tier;
    uint32_t *node_part, *port_first, *port_node, *port_part, *port_adapter, *port_loss_mdb;
    uint64_t *node_latency_ps, *rate_bps, *port_queue_bytes;
    struct route *route; /* NULL until build_routes */
};

/* Refuses what is larger than the arrays may be; to be asked before build_begin where a user can ask for too much. */
#define BUILD_PORTS_MAX (1u << 26)
#define BUILD_RADIX_MAX 65535 /* ports of a switch: lists of next hops count them in 16 bits */
enum status build_size_check(const struct fabric_request *request, uint64_t node_count, uint64_t port_count,
                             struct diag *diag);
void build_begin(struct build *build, const struct fabric_request *request, struct fabric *fabric,
                 struct diag *diag, uint32_t host_count, uint64_t node_count, uint64_t port_count);
uint32_t build_node(struct build *build, const struct build_node *node, uint32_t port_count);
void build_join(struct build *build, const struct build_link *link, const struct build_end *left,
                const struct build_end *right);
/* A port whose fibre ends at an optical switch. */
void build_fibre(struct build *build, const struct build_link *link, const struct build_end *end);
/* Room for arithmetic routes, one a node. */
struct route *build_routes(struct build *build);
void build_end(struct build *build);

/* Where the user gave `key`, else the `fabric:` line. */
struct origin build_origin(const struct fabric_request *request, const char *key);

/* The part that parameter `key` names. It must be of one of the classes in the mask (bits 1 << class) or
 * none. */
enum status build_part(const struct fabric_request *request, const char *key, const char *name, uint32_t classes,
                       uint32_t *part_id, struct diag *diag);
#define BUILD_CLASS(class_) (1u << PART_##class_)
#define BUILD_LINK_ENDS (BUILD_CLASS(MODULE) | BUILD_CLASS(CPO) | BUILD_CLASS(COPPER))

/* Several of them: parameter, name that was given, classes, and where the id goes. */
struct build_part_row {
    const char *key, *name;
    uint32_t classes;
    uint32_t *part_id;
};
enum status build_parts(const struct fabric_request *request, const struct build_part_row *rows, size_t count,
                        struct diag *diag);

/* Propagation over a length of a medium, rounded to a picosecond. */
uint64_t build_length_ps(const struct part_table *parts, uint32_t medium, double length_m);

/* Loss of the same length with its connectors: two at each end of a link, three on a fibre to an optical switch
 * (module, panel, switch). Nothing where the medium is copper. */
#define BUILD_CONNECTORS_LINK 4
#define BUILD_CONNECTORS_FIBRE 3
uint32_t build_length_loss_mdb(const struct part_table *parts, uint32_t medium, double length_m,
                               uint32_t connectors);

/* A part's quantity as the integer that it is (ps, ports). */
uint64_t build_part_u64(const struct part_table *parts, uint32_t part_id, enum part_quantity quantity);

#define BUILD_HOSTS_DEFAULT 32 /* where neither the user nor a job says how many */

#endif
