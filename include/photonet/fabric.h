/* The flat fabric that every topology builds and the engine runs on.
 *
 *     node 0..host_count-1 are hosts (GPUs); then packet switches and optical switches, in any order
 *     ports of node n are port_first[n] .. port_first[n + 1]; port p sends on one directed link to port_peer[p]
 *
 *        host 3            switch 40
 *        port 3 ─────────► port 97        link of port 3: rate_bps[3], propagation_ps[3] + device_ps[3]
 *               ◄─────────                link of port 97: the way back
 *
 * A directed link is named by the port that sends on it. A port whose fibre ends at an optical switch has
 * port_peer = ID_NONE until a planner of circuits (netsim/circuit) joins it to another one; the optical switch
 * itself has no packet ports: optics is a schedule, not a second engine.
 *
 * Circuits that come and go are gates: a transmitter that is joined to one peer after the other is as many ports, one
 * for each peer, each with a queue and a gate that is open while the circuit stands. Ports of one transmitter share a
 * line (port_line), and their gates are never open at once.
 *
 * Routes: most fabrics are trees, and a tree needs a few numbers a node and no table (struct route). All others
 * leave `route` NULL and get shortest paths with all equal next hops, computed from the connections; port_cost,
 * port_order and is_host_end say what is short and which of the equal ones are taken. */
#ifndef PHOTONET_FABRIC_H
#define PHOTONET_FABRIC_H

#include "photonet/component.h"
#include "photonet/program.h"

#define FABRIC_HOSTS_MAX (1u << 20)
#define FABRIC_LINKS_MAX (1u << 24)
#define FABRIC_HOST_PORTS_MAX 64 /* transports keep the ports of a host as bits of a word */

enum node_kind {
    NODE_HOST,    /* runs ranks; forwards packets of others where the fabric routes through it */
    NODE_SWITCH,  /* packet switch */
    NODE_OPTICAL, /* circuit switch: no ports in the engine's sense */
};

/* The next hops of a node towards host d:
 *   down_first <= d < down_last: the `down_width` consecutive ports from
 *                                down_port + (d - down_first) / down_stride * down_width
 *   otherwise:                   the up_count consecutive ports from up_port
 * Ports are counted within the node. down_stride >= 1.
 *
 * With rails > 1, host d is on rail d % rails, and
 *   rail != ROUTE_ALL_RAILS: all hosts of other rails are up, as if outside down_first to down_last
 *   rail == ROUTE_ALL_RAILS: below each child of the tree stand `rails` of them: child * rails + d % rails */
struct route {
    uint32_t down_first, down_last, down_stride;
    uint16_t down_port, down_width;
    uint16_t up_port, up_count;
    uint16_t rails, rail;
};
#define ROUTE_ALL_RAILS UINT16_MAX

/* An optical circuit switch (or a plane of them that acts as one), and the ports whose fibres end there. */
struct optical {
    uint32_t node;
    uint32_t part_id;       /* latency of the fibre through it, loss, power, prices */
    uint64_t settle_ps, relock_ps, control_ps; /* three separate delays of a reconfiguration */
    uint32_t port_count;    /* fibres that end here */
    const uint32_t *port;   /* host or switch ports, port_peer = ID_NONE until planned */
    /* Which ports may be joined: all with all where NULL, else class_of[i] == class_of[j]. */
    const uint32_t *class_of;
    /* A ring of fibres instead, host to host in order: so many wavelengths (or bundles), 0: it is none; is_reused: one
     * may serve several arcs that do not touch. */
    uint32_t wavelengths;
    bool is_reused;
    /* Whom circuits join. NULL: hosts. Else fibre i is one of vertex vertex_of[i] (a host, a switch, a server), and what
     * host s sends to host d needs a circuit between source_vertex[s] and target_vertex[d] if they differ; where one of
     * them is ID_NONE it does not come here. */
    uint32_t vertex_count;
    const uint32_t *vertex_of, *source_vertex, *target_vertex;
};

/* Slices of a cyclic schedule that have routes of their own: slice s, from s * slice_ps on, those over ports whose gates are
 * open for all of it. Messages of at most cutoff_bytes go by them, larger ones by the base routes. count 0: none. */
struct slices {
    uint64_t slice_ps;
    uint32_t count;
    uint64_t cutoff_bytes;
};

/* What the light of a link comes to, by the lanes of the module at the port that sends (netsim/optics/light.h). */
struct port_light {
    double loss_db;   /* all losses between laser and detector */
    double margin_db; /* below 0: the circuit does not come up. INFINITY: no lane is described for the module */
    double laser_mw;  /* electricity of the lasers at this end that is not in the module's watts */
    double tuning_mw; /* of the heaters at this end */
};

/* What a link loses after the FEC. A packet of the run's full size that starts on it is lost with `chance`; any other one in
 * proportion to the codewords that it meets: max(bits_min, bits_more + its bits) over the same of a full one, bits_full. */
struct frame_loss {
    uint64_t chance; /* in units of 2^-64; 0: it loses none */
    uint32_t bits_full, bits_more, bits_min;
};

#define RING_CLOSED 0x80 /* in port_ring */

/* Circuits are set before the job starts, or anew for every phase of it by a controller (netsim/circuit). */
enum plan_kind { PLAN_NONE, PLAN_PER_JOB, PLAN_PER_PHASE };

/* What a phase of a job is: all of it; messages of one kind of communicator (tensor, pipeline, data parallel ...); the
 * n-th call of such a communicator. */
enum phase_kind { PHASE_JOB, PHASE_KIND, PHASE_CALL };
extern const char *const phase_kind_names[]; /* for a choice parameter */

/* What may take them. */
enum circuit_traffic { TRAFFIC_ANY, TRAFFIC_ALL_TO_ALL };
extern const char *const circuit_traffic_names[];

/* How circuits are set with PLAN_PER_PHASE. */
struct circuit_rules {
    enum phase_kind phase;
    enum circuit_traffic traffic;
    bool has_other_way;     /* packets without a circuit reach their destination too */
    bool is_ahead;          /* the circuits of the next phase are set when the last one is over, not when asked for */
    bool is_paying;         /* circuits are kept where a change would cost more than it saves */
    uint64_t least_bytes;   /* smaller messages go the other way */
    uint64_t signal_ps;     /* from a host to the controller; > 0 */
    uint64_t patience_ps;   /* others that wait longer get their circuits though the last ones are busy */
    const uint64_t *other_bps; /* per host: what it sends the other way */
};

/* A transmission may start at t where open <= t and t + its service <= close. */
struct gate_window {
    uint64_t open_ps, close_ps;
};

/* When a port may send. Windows are ascending and disjoint; two that touch are two: no packet spans them. Repeated ones
 * open within the period, and the last may close after its end, up to where the first opens again. */
struct gate {
    uint64_t period_ps;                  /* 0: the windows are absolute and do not repeat */
    uint32_t window_first, window_count; /* of fabric->gate_windows; count 0: closed until a controller opens it */
    bool is_rerouting; /* what still waits when a window closes is routed again (classes of engine_config.epochs) */
};

/* Cells: ports that send a packet as pieces of one size, as slotted switches do. The last one is padded. Those are the
 * ports with a cyclic gate, or all. Where what waits is routed again when a window closes (is_rerouting), nothing is left
 * half sent: there a packet's cells go in one window, like a packet. */
struct cell_shape {
    uint32_t bytes; /* of each on the wire; 0: packets go as they are */
    uint32_t header_bytes; /* of it; less than all */
    bool is_everywhere;
};

static inline uint64_t cells_count(const struct cell_shape *cells, uint64_t packet_bytes)
{
    uint32_t payload_bytes = cells->bytes - cells->header_bytes;
    return (packet_bytes + payload_bytes - 1) / payload_bytes;
}

/* Two hops over circuits instead of one, for a packet that has come from a host and whose route leaves the node by one
 * of `count` consecutive ports from `first` (counted within the node): it may leave by any of them. A packet that
 * comes from another switch goes by its route, so a detour has exactly two hops and no packet needs to remember. */
enum detour_rule {
    DETOUR_NONE,
    DETOUR_ALWAYS,  /* Valiant: each packet by a hash of (source, destination, entropy, sequence) over all the ports */
    DETOUR_BACKLOG, /* the route, unless its port holds more than `threshold_bytes` more than the hashed one */
};
struct detour {
    uint32_t first, count; /* count 0: none */
    enum detour_rule rule;
    uint64_t threshold_bytes;
};

struct fabric {
    struct arena *arena;
    const char *name;   /* of the configuration: "fat-tree-128" */
    const char *family; /* "fat_tree" */
    uint32_t host_count, node_count, port_count;
    /* Scale-up domains: hosts s * server_hosts and following are server s, and the first server_ports ports of each (of a
     * full server) are scale-up ones. 0: there are none. */
    uint32_t server_hosts, server_ports;

    /* per node */
    const uint8_t *node_kind;
    const uint32_t *port_first;       /* node_count + 1 */
    const uint64_t *node_latency_ps;  /* of a packet through this node (host: forwarding for others) */
    const uint8_t *node_cut_through;  /* 1: cut-through, 0: store-and-forward */
    const uint32_t *node_part;        /* GPU, switch box, optical switch */
    const uint8_t *node_tier;         /* 0 host, 1 leaf, 2 ... : for reports */

    /* per port: the link that it sends on */
    const uint32_t *port_node;
    uint32_t *port_peer;
    const uint64_t *rate_bps;
    uint64_t *propagation_ps;         /* fibre or copper; of the own fibre only while port_peer = ID_NONE */
    uint64_t *device_ps;              /* modules, adapters and FEC of both ends; of the own end (and half of the
                                         FEC) only while port_peer = ID_NONE */
    const uint32_t *port_part;        /* module or cable at this end */
    const uint32_t *port_adapter;     /* NIC behind a host's port, else PART_ID_NONE */
    uint64_t *port_up_ps;             /* dark before; 0 where nothing is reconfigured */
    const uint64_t *port_queue_bytes; /* capacity of the output queue, UINT64_MAX = unbounded */

    /* Loss of fibre and connectors of the link, of the own fibre only where it ends at an optical switch (whose loss
     * comes from its part); NULL: 0. `light` is computed from it when the fabric is loaded; NULL: nothing is lit. */
    const uint32_t *port_loss_mdb;
    const struct port_light *light;
    const struct frame_loss *port_frame_loss; /* per port, NULL: no link loses any */

    /* Gates, all NULL where every port may always send. */
    const struct gate *gates;
    const struct gate_window *gate_windows;
    uint32_t gate_count, gate_window_count;
    const uint32_t *port_gate;        /* per port: of `gates`, ID_NONE: always open */
    const uint32_t *port_line;        /* per port: number of its transmitter, below port_count; NULL: each its own */
    const struct detour *detours;     /* per node, or NULL */
    struct slices slices;

    const struct route *route;        /* node_count, or NULL */
    /* Where route is NULL. A way is as long as the sum of its links' costs (NULL: 1 each; both ways of a link cost
     * the same, never 0). Of equally near next hops those of the lowest order are taken (NULL: all alike), which is
     * how a torus sends by dimensions in order. */
    const uint8_t *port_cost, *port_order;
    bool is_host_end;                 /* no way leads through a host */
    /* Rings of a torus (netsim/route/lane.h): per port the dimension of its link + 1, 0 where it is of no ring, with
     * RING_CLOSED on the link that closes the ring. NULL: no rings. */
    const uint8_t *port_ring;
    /* Where packets turn from any link to any other, as by all shortest ways of a torus: per node a number that differs from
     * its neighbours' (lane.h). NULL: they do not. */
    const uint8_t *node_colour;
    /* Regions that a packet may make a detour over (netsim/route/way.h): per node. NULL: every switch is its own. */
    const uint32_t *node_region;

    uint32_t optical_count;
    const struct optical *optical;
    enum plan_kind plan;
    const char *planner;              /* a row of netsim/circuit/planners.def; NULL with PLAN_NONE */
    struct circuit_rules rules;       /* with PLAN_PER_PHASE */
    const char *plan_text;            /* what was planned, for reports; NULL before */
    uint32_t circuit_count;           /* duplex circuits that are set */
    uint32_t reconfigurations;        /* circuits set, each time they are set */

    const struct part_table *parts;
};

/* A key that the user gave, and where. */
struct fabric_key {
    const char *key;
    struct origin at;
};

/* What a builder gets. */
struct fabric_request {
    struct arena *arena;
    const struct part_table *parts;
    uint32_t hosts_wanted; /* ranks of the job; a family may size itself by it where `hosts` is not given; 0 = unknown */
    struct origin at;      /* the `fabric:` line, for errors about combinations */
    const struct fabric_key *keys; /* for errors about one key */
    size_t key_count;
};

struct fabric_family {
    const char *name;    /* "fat_tree" */
    const char *summary; /* one line */
    struct param_table params;
    enum status (*build)(const void *values, const struct fabric_request *request, struct fabric *fabric,
                         struct diag *diag);
};
extern const struct fabric_family *const fabric_families[]; /* ends with a NULL */
const struct fabric_family *fabric_family_find(const char *name);

/* Built-in configurations: the YAML texts of topologies/presets, compiled in. Ends with name == NULL. */
struct fabric_preset {
    const char *name; /* "fat-tree-128" */
    const char *text;
    size_t text_bytes;
};
extern const struct fabric_preset fabric_presets[];

/* Checks what every fabric must hold (peers are mutual, rates not 0, hosts have ports, part ids exist, every
 * host reaches every other where nothing is left to a planner) and names the node that breaks it. */
enum status fabric_validate(const struct fabric *fabric, struct diag *diag);
/* STATUS_INPUT where a packet of that size, or a cell, could not pass some window of a gate, with the numbers. */
enum status fabric_check_gates(const struct fabric *fabric, uint64_t packet_bytes_max, const struct cell_shape *cells,
                               struct diag *diag);

static inline bool fabric_has_cells(const struct fabric *fabric, const struct cell_shape *cells, uint32_t port)
{
    if (cells->bytes == 0) {
        return false;
    }
    uint32_t gate = fabric->port_gate == NULL ? ID_NONE : fabric->port_gate[port];
    return cells->is_everywhere || (gate != ID_NONE && fabric->gates[gate].period_ps > 0);
}

/* How long the port sends a packet. */
static inline uint64_t fabric_service_ps(const struct fabric *fabric, const struct cell_shape *cells, uint32_t port,
                                         uint64_t packet_bytes)
{
    if (!fabric_has_cells(fabric, cells, port)) {
        return serialisation_ps(packet_bytes, fabric->rate_bps[port]);
    }
    return cells_count(cells, packet_bytes) * serialisation_ps(cells->bytes, fabric->rate_bps[port]);
}

/* What a packet is on the wire of the port, its last cell padded. */
static inline uint64_t fabric_wire_bytes(const struct fabric *fabric, const struct cell_shape *cells, uint32_t port,
                                         uint64_t packet_bytes)
{
    return fabric_has_cells(fabric, cells, port) ? cells_count(cells, packet_bytes) * cells->bytes : packet_bytes;
}

/* The most windows of its gate that a packet needs one after the other; 1 where it goes in one. */
uint64_t fabric_windows_max(const struct fabric *fabric, const struct cell_shape *cells, uint32_t port,
                            uint64_t packet_bytes);

/* "host 3", "switch 40 (tier 2)", "optical switch 64". Returns `text`; 48 bytes hold any. */
char *fabric_node_text(const struct fabric *fabric, uint32_t node, char *text, size_t text_bytes);

/* What a port can send over a long time: of a cyclic gate the share in which it is open. */
static inline uint64_t fabric_port_mean_bps(const struct fabric *fabric, uint32_t port)
{
    uint32_t id = fabric->port_gate == NULL ? ID_NONE : fabric->port_gate[port];
    if (id == ID_NONE || fabric->gates[id].period_ps == 0) {
        return fabric->rate_bps[port];
    }
    const struct gate *gate = &fabric->gates[id];
    unsigned __int128 open_ps = 0;
    for (uint32_t i = 0; i < gate->window_count; i++) {
        const struct gate_window *window = &fabric->gate_windows[gate->window_first + i];
        open_ps += window->close_ps - window->open_ps;
    }
    return (uint64_t)(open_ps * fabric->rate_bps[port] / gate->period_ps);
}

/* The longest for which a cyclic gate is closed; 0 for ports without one. */
static inline uint64_t fabric_gate_wait_ps(const struct fabric *fabric, uint32_t port)
{
    uint32_t id = fabric->port_gate == NULL ? ID_NONE : fabric->port_gate[port];
    if (id == ID_NONE || fabric->gates[id].period_ps == 0 || fabric->gates[id].window_count == 0) {
        return 0;
    }
    const struct gate *gate = &fabric->gates[id];
    const struct gate_window *windows = &fabric->gate_windows[gate->window_first];
    uint64_t longest_ps = windows[0].open_ps + gate->period_ps - windows[gate->window_count - 1].close_ps;
    for (uint32_t i = 1; i < gate->window_count; i++) {
        uint64_t closed_ps = windows[i].open_ps - windows[i - 1].close_ps;
        longest_ps = closed_ps > longest_ps ? closed_ps : longest_ps;
    }
    return longest_ps;
}

/* A link inside a server: its lanes are drawn with the chips at its ends. */
static inline bool fabric_is_in_server(const struct fabric *fabric, uint32_t port)
{
    uint32_t node = fabric->port_node[port];
    uint32_t host_port = node < fabric->host_count ? port : fabric->port_peer[port];
    if (fabric->server_hosts == 0 || host_port == ID_NONE || fabric->port_node[host_port] >= fabric->host_count) {
        return false;
    }
    return host_port - fabric->port_first[fabric->port_node[host_port]] < fabric->server_ports;
}

/* What has no part, and therefore no power in any account. */
struct fabric_bare {
    uint32_t hosts, switches, ports;
};
static inline struct fabric_bare fabric_bare(const struct fabric *fabric)
{
    struct fabric_bare bare = {0};
    for (uint32_t node = 0; node < fabric->node_count; node++) {
        bool is_bare = fabric->node_part[node] == PART_ID_NONE;
        bare.hosts += is_bare && fabric->node_kind[node] == NODE_HOST;
        bare.switches += is_bare && fabric->node_kind[node] != NODE_HOST;
    }
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        bare.ports += fabric->port_part[port] == PART_ID_NONE && !fabric_is_in_server(fabric, port);
    }
    return bare;
}

static inline uint64_t link_delay_ps(const struct fabric *fabric, uint32_t port)
{
    return fabric->propagation_ps[port] + fabric->device_ps[port];
}

#endif
