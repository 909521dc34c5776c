/* When a port may start to send: windows of its gate, what a controller made of them, and the times when its link is
 * down. All of it arithmetic on lists that are known (or have been told); nothing is polled.
 *
 *      link   ────────────────┐          ┌──────────────────     up / down: struct link_change, port_up_ps
 *                             └──────────┘
 *      gate    ┌──┐  ┌──┐  ┌──┐  ┌──┐  ┌──────────────           windows, replaced by what a controller says
 *           ───┘  └──┘  └──┘  └──┘  └──┘ ▲ engine_gate
 *      start   ███    ██                   ██████████            the packet must end before the window does
 *
 * The list of rules is kept for the whole run (one entry per command), so that the dark part of any wait can be told
 * afterwards and queues need not carry it.
 *
 * Cells (struct cell_shape): a packet starts where its first cell fits, and only where there are windows for all of them; the
 * next ones follow at once or as soon as they fit. From the first to the last the port has it in service, dark or not:
 *
 *      gate    ┌──────┐              ┌──────┐              ┌──     a packet of five cells, two to a window
 *           ───┘      └──────────────┘      └──────────────┘
 *      cells   1   2                 3   4                 5       it arrives, whole, behind the fifth
 *
 * All of them go at the rate, and by the windows, that hold when it starts. Where the link goes down before the last bit has
 * left it the packet is lost, as one that is not cut, and cells that would start later are not sent.
 *
 * Scope: one port; both engines use it. A link that goes down loses what would leave it later; one that is degraded sends
 * more slowly.
 * Not modelled: a transmission that is cut short. In-band telemetry counts by the fabric's rate, and packets without the
 * padding and headers of their cells. A packet of a better class does not go between the cells of another one.
 * Checked against: a search picosecond by picosecond (tests/test_gate.c). */
#ifndef PHOTONET_ENGINE_GATE_H
#define PHOTONET_ENGINE_GATE_H

#include "netsim/engine/engine.h"

/* What holds from from_ps on. */
struct gate_rule {
    uint64_t from_ps, period_ps;
    uint64_t open_ps; /* sum of the windows */
    const struct gate_window *windows; /* of the fabric; NULL: `own` */
    uint32_t count;
    struct gate_window own;            /* of a command */
};

struct link_edge {
    uint64_t time_ps;
    uint64_t rate_bps; /* 0: the fabric's */
    bool is_up;
};

struct gating {
    struct cell_shape cells; /* bytes 0: packets go as they are */
    struct gate_rule *rules; /* ascending; empty: no gate */
    size_t rule_count, rule_capacity;
    struct link_edge *edges; /* ascending; up before the first */
    size_t edge_count, edge_capacity;
    bool is_rerouting;
};

/* Per port of the fabric, NULL for a port that may always send; NULL where all are such. */
struct gating **gatings_new(struct arena *arena, const struct engine_config *config);

/* What becomes of a packet that starts. */
struct sending {
    uint64_t service_ps; /* until its last bit is on the link, or it is given up */
    uint64_t busy_ps;    /* in which the link sends */
    bool is_cut;         /* the link goes down between two of its cells: the packet is lost, the others are not sent */
};
/* Of one that may start then; rate_bps is the fabric's. */
struct sending gating_sending(const struct gating *gating, uint64_t start_ps, uint64_t bytes, uint64_t rate_bps);
/* Its bytes on the wire. */
static inline uint64_t gating_wire_bytes(const struct gating *gating, uint64_t bytes)
{
    return gating->cells.bytes == 0 ? bytes : cells_count(&gating->cells, bytes) * gating->cells.bytes;
}
/* Whether the link sends at another rate than the fabric's. */
bool gating_is_degraded(const struct gating *gating, uint64_t now_ps);
/* The earliest start, not before now_ps, of a packet; TIME_NEVER_PS for never. */
uint64_t gating_send_ps(const struct gating *gating, uint64_t now_ps, uint64_t bytes, uint64_t rate_bps);
/* The same of a transmission of that length, whatever the rate. */
uint64_t gating_start_ps(const struct gating *gating, uint64_t now_ps, uint64_t service_ps);
/* Whether what starts then and leaves the link at end_ps is lost. */
bool gating_is_lost(const struct gating *gating, uint64_t start_ps, uint64_t end_ps);
bool gating_is_down(const struct gating *gating, uint64_t now_ps);
/* Time in between in which the gate was closed or the link down. */
uint64_t gating_dark_ps(const struct gating *gating, uint64_t since_ps, uint64_t until_ps);
/* The first end of a window after now_ps; TIME_NEVER_PS for never. */
uint64_t gating_close_ps(const struct gating *gating, uint64_t now_ps);
/* engine_gate at now_ps, which may be ahead of what is asked next. */
void gating_command(struct gating *gating, struct arena *arena, uint64_t now_ps, uint64_t open_ps,
                    uint64_t close_ps);

/* The routes that hold for a packet at a time. */
static inline const struct routes *epoch_routes(const struct engine_config *config, uint32_t class, uint64_t now_ps)
{
    const struct route_epochs *epochs = config->epochs;
    if (epochs == NULL || !(epochs->class_mask >> class & 1)) {
        return config->routes;
    }
    return epochs_routes(epochs, config->routes, now_ps);
}

/* The hash of a detour differs from packet to packet of a flow. */
static inline uint32_t detour_choose(const struct detour *detour, const struct packet *packet, uint64_t salt)
{
    uint64_t hash = packet_path_hash(packet, salt ^ (packet->seq + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15));
    return detour->first + (uint32_t)(((unsigned __int128)hash * detour->count) >> 64);
}

/* Whether a packet that came in by a link from `from` and is routed to `port` of the node may take another way. */
static inline bool detour_is_offered(const struct detour *detour, bool is_from_host, uint32_t port)
{
    return is_from_host && detour->rule != DETOUR_NONE && port - detour->first < detour->count;
}

#endif
