/* Which nodes are fused into super-nodes, and how wide the window may be for it. */
#include "netsim/engine/window_super.h"

/* ---- how short a link is ---------------------------------------------------------------------------------- */

bool profile_has_credits(const struct queue_profile *profile)
{
    bool has = false;
    for (uint32_t class = 0; class < profile->class_count; class++) {
        has |= profile->class[class].credit_bytes > 0;
    }
    return has;
}

bool profile_has_pauses(const struct queue_profile *profile)
{
    bool has = false;
    for (uint32_t class = 0; class < profile->class_count; class++) {
        has |= profile->class[class].xoff_bytes > 0;
    }
    return has;
}

static bool is_host(const struct fabric *fabric, uint32_t node)
{
    return node < fabric->host_count;
}

/* A node may send pauses or credits over the link of this port. */
static bool port_has_frames(const struct window_core *core, uint32_t id, uint32_t peer)
{
    uint32_t node = core->fabric->port_node[id];
    const struct queue_profile *own = is_host(core->fabric, node) ? core->config.host_queues : core->config.switch_queues;
    return profile_has_credits(is_host(core->fabric, peer) ? core->config.host_queues : core->config.switch_queues) ||
           (profile_has_pauses(own) && queue_may_pause(core->fabric, node));
}

/* How long what a node sends is under way at least. */
static uint64_t port_lookahead_ps(const struct window_core *core, uint32_t id)
{
    const struct fabric *fabric = core->fabric;
    if (fabric->port_peer[id] == ID_NONE) {
        return TIME_NEVER_PS;
    }
    uint32_t peer = fabric->port_node[fabric->port_peer[id]];
    if (port_has_frames(core, id, peer)) {
        return frame_delay_ps(link_delay_ps(fabric, id));
    }
    uint64_t latency_ps = is_host(fabric, peer) ? 0 : fabric->node_latency_ps[peer];
    return serialisation_ps(1, fabric->rate_bps[id]) + link_delay_ps(fabric, id) + latency_ps;
}

/* ---- one way to fuse -------------------------------------------------------------------------------------- */

struct fusion {
    const struct window_core *core;
    const uint64_t *lookahead_ps; /* per port */
    uint32_t *parent;             /* per node: towards the first of its set */
    uint32_t *nodes, *ports;      /* per first node: of its set */
    bool *has_host;
};

static uint32_t set_of(struct fusion *fusion, uint32_t node)
{
    uint32_t *parent = fusion->parent;
    for (; parent[node] != node; node = parent[node]) {
        parent[node] = parent[parent[node]];
    }
    return node;
}

static bool sets_join(struct fusion *fusion, uint32_t a, uint32_t b)
{
    a = set_of(fusion, a);
    b = set_of(fusion, b);
    if (a == b) {
        return false;
    }
    uint32_t first = a < b ? a : b, other = a < b ? b : a;
    fusion->parent[other] = first;
    fusion->nodes[first] += fusion->nodes[other];
    fusion->ports[first] += fusion->ports[other];
    fusion->has_host[first] |= fusion->has_host[other];
    return true;
}

static void sets_reset(struct fusion *fusion)
{
    const struct fabric *fabric = fusion->core->fabric;
    for (uint32_t node = 0; node < fabric->node_count; node++) {
        fusion->parent[node] = node;
        fusion->nodes[node] = 1;
        fusion->ports[node] = fabric->port_first[node + 1] - fabric->port_first[node];
        fusion->has_host[node] = is_host(fabric, node);
    }
}

/* The link is shorter than the window and within it matters, as hosts are served after switches (S1). */
static bool is_short(struct fusion *fusion, uint32_t id, uint64_t width_ps)
{
    const struct fabric *fabric = fusion->core->fabric;
    if (fusion->lookahead_ps[id] >= width_ps) {
        return false;
    }
    uint32_t node = fabric->port_node[id], peer = fabric->port_node[fabric->port_peer[id]];
    return !is_host(fabric, peer) || fusion->has_host[set_of(fusion, node)];
}

/* Joins over all links that are short: again and again, since a set that has got a host has got more of them. */
static void sets_make(struct fusion *fusion, uint64_t width_ps)
{
    const struct fabric *fabric = fusion->core->fabric;
    sets_reset(fusion);
    for (bool is_joined = true; is_joined;) {
        is_joined = false;
        for (uint32_t id = 0; id < fabric->port_count; id++) {
            if (is_short(fusion, id, width_ps)) {
                uint32_t peer = fabric->port_node[fabric->port_peer[id]];
                is_joined |= sets_join(fusion, fabric->port_node[id], peer);
            }
        }
    }
}

/* ---- which way is cheapest -------------------------------------------------------------------------------- */

#define USEFUL_WIDTH_PS (UINT64_C(1) << 19) /* width_choose takes no more, unless packets reach far */

/* What a packet-hop costs, in 2^-10 of one in windows of USEFUL_WIDTH_PS. Measured with `photonet bench engine`: the
 * permutation of 1024 hosts took 25, 36, 41, 53, 81, 111, 207 and 326 ns where all links were 500, 250, 150, 100, 50, 25, 10
 * and 5 ns long, nearly as the root of the width; and in super-nodes of nine 110 to 125 ns, in one of all nodes 160 to 230
 * (on a busy machine, all of one hour). */
#define HOP_SUPER        (UINT64_C(5) << 10)
#define GAIN_LEAST       4   /* a quarter: such figures are rough */
#define NODES_CHEAP_MAX  128 /* so many are cached: servers of any kind, cubes of 64 */

static uint64_t hop_window(uint64_t width_ps)
{
    uint64_t square = (USEFUL_WIDTH_PS << 20) / width_ps, root = UINT64_C(1) << 32;
    for (uint64_t next = root / 2; next < root; next = (root + square / root) / 2) { /* Newton's, rounded down */
        root = next;
    }
    return root;
}

/* Of a packet over each link; UINT64_MAX where a super-node is too large, or more than the share of one worker. */
static uint64_t fusion_cost(const struct fusion *fusion, uint64_t width_ps)
{
    const struct window_core *core = fusion->core;
    uint64_t fused_ports = 0, ports = core->fabric->port_count;
    for (uint32_t node = 0; node < core->fabric->node_count; node++) {
        if (fusion->parent[node] != node || fusion->nodes[node] == 1) {
            continue;
        }
        if (fusion->nodes[node] > NODES_CHEAP_MAX || (uint64_t)fusion->ports[node] * core->worker_count > ports) {
            return UINT64_MAX;
        }
        fused_ports += fusion->ports[node];
    }
    return fused_ports * HOP_SUPER + (ports - fused_ports) * hop_window(width_ps);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The shortest lookahead at or above a bound, at most USEFUL_WIDTH_PS, and no longer than the controller allows (G3). */
static uint64_t width_from(const struct fusion *fusion, uint64_t bound_ps)
{
    const struct window_core *core = fusion->core;
    uint64_t width_ps = USEFUL_WIDTH_PS;
    for (uint32_t id = 0; id < core->fabric->port_count; id++) {
        if (fusion->lookahead_ps[id] >= bound_ps) {
            width_ps = min_u64(width_ps, fusion->lookahead_ps[id]);
        }
    }
    return width_ps;
}

/* A few widths are tried: the least lookahead of each half octave, from the shortest on. */
static uint64_t width_cheapest(struct fusion *fusion, uint64_t limit_ps)
{
    uint64_t best_ps = 0, best_cost = UINT64_MAX;
    for (uint64_t bound_ps = 1;;) {
        uint64_t width_ps = min_u64(width_from(fusion, bound_ps), limit_ps);
        sets_make(fusion, width_ps);
        uint64_t cost = fusion_cost(fusion, width_ps);
        if (best_ps == 0 || (cost < best_cost && best_cost - cost >= best_cost / GAIN_LEAST)) {
            best_ps = width_ps;
            best_cost = cost;
        }
        if (width_ps >= USEFUL_WIDTH_PS || width_ps == limit_ps) {
            return best_ps;
        }
        bound_ps = width_ps + width_ps / 2 + 1;
    }
}

/* ---- the result ------------------------------------------------------------------------------------------- */

static void supers_list(struct window_core *core, struct fusion *fusion)
{
    const struct fabric *fabric = core->fabric;
    uint32_t *super_of = core->super_of;
    for (uint32_t node = 0; node < fabric->node_count; node++) {
        core->super_count += fusion->parent[node] == node && fusion->nodes[node] > 1;
    }
    core->supers = arena_array(core->arena, core->super_count, struct window_super);
    uint32_t count = 0;
    for (uint32_t node = 0; node < fabric->node_count; node++) { /* the first of a set comes before its others */
        uint32_t first = set_of(fusion, node);
        if (first == node && fusion->nodes[node] > 1) {
            super_of[node] = count++;
            core->supers[super_of[node]].has_host = fusion->has_host[node];
        }
        super_of[node] = first == node && fusion->nodes[node] == 1 ? ID_NONE : super_of[first];
        if (super_of[node] != ID_NONE) {
            core->supers[super_of[node]].count++;
        }
    }
}

static uint64_t lookahead_left_ps(const struct window_core *core, struct fusion *fusion, uint64_t limit_ps)
{
    const struct fabric *fabric = core->fabric;
    uint64_t least_ps = limit_ps;
    for (uint32_t id = 0; id < fabric->port_count; id++) {
        if (fabric->port_peer[id] == ID_NONE) {
            continue;
        }
        uint32_t node = fabric->port_node[id], peer = fabric->port_node[fabric->port_peer[id]];
        bool is_after = is_host(fabric, peer) && !fusion->has_host[set_of(fusion, node)];
        if (!is_after && set_of(fusion, node) != set_of(fusion, peer)) {
            least_ps = min_u64(least_ps, fusion->lookahead_ps[id]);
        }
    }
    return least_ps;
}

static bool has_ports_few(const struct fabric *fabric)
{
    bool is_few = true;
    for (uint32_t node = 0; node < fabric->node_count; node++) {
        is_few &= fabric->port_first[node + 1] - fabric->port_first[node] < SUPER_PORTS_MAX;
    }
    return is_few;
}

static bool are_sets_small(const struct fusion *fusion)
{
    bool are_small = true;
    for (uint32_t node = 0; node < fusion->core->fabric->node_count; node++) {
        are_small &= fusion->nodes[node] <= SUPER_NODES_MAX;
    }
    return are_small;
}

#define FUSE_NEVER_PS 1 /* no link is shorter */

void supers_choose(struct window_core *core)
{
    const struct fabric *fabric = core->fabric;
    struct arena *arena = arena_new_within(core->arena, "short links");
    uint64_t *lookahead_ps = arena_array(arena, fabric->port_count, uint64_t);
    struct fusion fusion = {.core = core, .lookahead_ps = lookahead_ps};
    fusion.parent = arena_array(arena, fabric->node_count, uint32_t);
    fusion.nodes = arena_array(arena, fabric->node_count, uint32_t);
    fusion.ports = arena_array(arena, fabric->node_count, uint32_t);
    fusion.has_host = arena_array(arena, fabric->node_count, bool);
    core->super_of = arena_array(core->arena, fabric->node_count, uint32_t);
    uint64_t limit_ps = core->config.control_delay_ps > 0 ? core->config.control_delay_ps : TIME_NEVER_PS;
    for (uint32_t id = 0; id < fabric->port_count; id++) {
        lookahead_ps[id] = port_lookahead_ps(core, id);
    }
    uint64_t fuse_ps = core->config.fuse_ps;
    if (!has_ports_few(fabric)) {
        fuse_ps = FUSE_NEVER_PS;
    } else if (fuse_ps == 0) {
        fuse_ps = width_cheapest(&fusion, limit_ps);
    }
    sets_make(&fusion, fuse_ps);
    if (!are_sets_small(&fusion)) { /* asked for by the caller, not chosen */
        sets_make(&fusion, FUSE_NEVER_PS);
    }
    supers_list(core, &fusion);
    core->lookahead_ps = lookahead_left_ps(core, &fusion, limit_ps);
    arena_free(arena);
}
