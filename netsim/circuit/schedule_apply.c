/* A fabric with a port for every peer of a fibre in place of the fibres, and what each message needs of it. */
#include "netsim/circuit/schedule.h"
#include "netsim/circuit/vertices.h"

#include <inttypes.h>
#include <string.h>

/* A port to be: what it is like comes from a port of the fabric as it is. */
struct new_port {
    uint32_t like;   /* port or fibre */
    uint32_t peer;   /* new port, ID_NONE */
    uint32_t region; /* ID_NONE: no circuit */
    uint32_t pair, copy;
    bool is_left;
};

struct apply {
    struct fabric *fabric;
    struct schedule *schedule;
    struct arena *arena, *scratch;
    uint8_t *is_fibre;        /* per old port */
    uint32_t *old_to_new;
    uint32_t *node_circuits, *node_idle; /* per node: ports for circuits, fibres that none uses */
    uint32_t *port_first;
    struct new_port *ports;
    uint32_t port_count;
    uint32_t ***fibre;        /* [region][2 * pair + is_right][copy] */
    uint8_t *is_used;         /* per old port: a fibre that some circuit has */
};

/* ---- which fibre is whose ------------------------------------------------------------------------------------ */

/* A fibre of the vertex that this configuration does not use yet, preferably one that no circuit has; where others have
 * left none, any: which fibre a circuit has matters to the sum of power only. */
static uint32_t fibre_take(struct apply *apply, const struct vertices *vertices, uint32_t vertex, uint8_t *is_busy)
{
    uint32_t free = ID_NONE;
    for (uint32_t i = vertices->first[vertex]; i < vertices->first[vertex + 1]; i++) {
        uint32_t port = vertices->port[i];
        bool is_better = free == ID_NONE || (apply->is_used[free] && !apply->is_used[port]);
        if (!is_busy[port] && is_better) {
            free = port;
        }
    }
    free = free == ID_NONE ? vertices->port[vertices->first[vertex]] : free;
    apply->is_used[free] = 1;
    is_busy[free] = 1;
    return free;
}

static void fibres_assign(struct apply *apply, uint32_t id)
{
    const struct schedule_region *region = &apply->schedule->regions[id];
    struct vertices vertices;
    vertices_gather(apply->fabric, &apply->fabric->optical[region->optical], apply->scratch, &vertices);
    uint32_t **fibre = arena_array(apply->scratch, 2 * (size_t)region->pair_count, uint32_t *);
    uint8_t *is_busy = arena_array(apply->scratch, apply->fabric->port_count, uint8_t);
    for (uint32_t i = 0; i < 2 * region->pair_count; i++) {
        fibre[i] = arena_array(apply->scratch, region->pairs[i / 2].copies, uint32_t);
        memset(fibre[i], 0xff, region->pairs[i / 2].copies * sizeof *fibre[i]);
    }
    for (uint32_t config = 0; config < region->config_count; config++) {
        memset(is_busy, 0, apply->fabric->port_count);
        for (int pass = 0; pass < 2; pass++) { /* first those that have one */
            for (uint32_t i = 0; i < 2 * region->pair_count; i++) {
                const struct schedule_pair *pair = &region->pairs[i / 2];
                for (uint32_t copy = 0; copy < region->configs[config].copies[i / 2]; copy++) {
                    if (pass == 0 && fibre[i][copy] != ID_NONE) {
                        is_busy[fibre[i][copy]] = 1;
                    } else if (pass == 1 && fibre[i][copy] == ID_NONE) {
                        fibre[i][copy] = fibre_take(apply, &vertices, i % 2 == 0 ? pair->left : pair->right, is_busy);
                    }
                }
            }
        }
    }
    apply->fibre[id] = fibre;
}

/* ---- laying out ---------------------------------------------------------------------------------------------- */

static void circuits_count(struct apply *apply)
{
    const struct fabric *fabric = apply->fabric;
    for (uint32_t id = 0; id < apply->schedule->region_count; id++) {
        const struct schedule_region *region = &apply->schedule->regions[id];
        const struct optical *optical = &fabric->optical[region->optical];
        fibres_assign(apply, id);
        for (uint32_t i = 0; i < optical->port_count; i++) {
            apply->is_fibre[optical->port[i]] = 1;
        }
        for (uint32_t i = 0; i < region->pair_count; i++) {
            apply->node_circuits[region->node_of[region->pairs[i].left]] += region->pairs[i].copies;
            apply->node_circuits[region->node_of[region->pairs[i].right]] += region->pairs[i].copies;
        }
    }
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        apply->node_idle[fabric->port_node[port]] += apply->is_fibre[port] && !apply->is_used[port];
    }
}

/* Ports of a node: those that are no fibres, circuits, fibres that none uses. */
static enum status nodes_lay_out(struct apply *apply, struct diag *diag)
{
    const struct fabric *fabric = apply->fabric;
    uint64_t count = 0;
    apply->port_first = arena_array(apply->arena, (size_t)fabric->node_count + 1, uint32_t);
    for (uint32_t node = 0; node < fabric->node_count; node++) {
        uint64_t kept = 0;
        apply->port_first[node] = (uint32_t)count;
        for (uint32_t port = fabric->port_first[node]; port < fabric->port_first[node + 1]; port++) {
            apply->old_to_new[port] = apply->is_fibre[port] ? ID_NONE : (uint32_t)(count + kept);
            kept += !apply->is_fibre[port];
        }
        kept += apply->node_circuits[node] + apply->node_idle[node];
        if (node < fabric->host_count && kept > FABRIC_HOST_PORTS_MAX) {
            return diag_set(diag, STATUS_INPUT,
                            "fabric %s: host %" PRIu32 " would need %" PRIu64 " ports, %" PRIu32
                            " of them for its peers over circuits; expected at most %d in all",
                            fabric->name, node, kept, apply->node_circuits[node], FABRIC_HOST_PORTS_MAX);
        }
        count += kept;
    }
    apply->port_first[fabric->node_count] = apply->port_count = (uint32_t)count;
    return STATUS_OK;
}

static void ports_lay_out(struct apply *apply)
{
    const struct fabric *fabric = apply->fabric;
    uint32_t *next = arena_array(apply->scratch, fabric->node_count, uint32_t);
    apply->ports = arena_array(apply->scratch, apply->port_count, struct new_port);
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        if (!apply->is_fibre[port]) {
            uint32_t peer = fabric->port_peer[port];
            apply->ports[apply->old_to_new[port]] =
                (struct new_port){.like = port, .peer = peer == ID_NONE ? ID_NONE : apply->old_to_new[peer], .region = ID_NONE};
            next[fabric->port_node[port]]++;
        }
    }
    for (uint32_t id = 0; id < apply->schedule->region_count; id++) {
        struct schedule_region *region = &apply->schedule->regions[id];
        for (uint32_t i = 0; i < region->pair_count; i++) {
            struct schedule_pair *pair = &region->pairs[i];
            uint32_t left = region->node_of[pair->left], right = region->node_of[pair->right];
            pair->left_port = apply->port_first[left] + next[left];
            next[left] += pair->copies;
            pair->right_port = apply->port_first[right] + next[right];
            next[right] += pair->copies;
            for (uint32_t copy = 0; copy < pair->copies; copy++) {
                uint32_t a = pair->left_port + copy, b = pair->right_port + copy;
                apply->ports[a] = (struct new_port){apply->fibre[id][2 * i][copy], b, id, i, copy, true};
                apply->ports[b] = (struct new_port){apply->fibre[id][2 * i + 1][copy], a, id, i, copy, false};
            }
        }
    }
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        uint32_t node = fabric->port_node[port];
        if (apply->is_fibre[port] && !apply->is_used[port]) {
            apply->old_to_new[port] = apply->port_first[node] + next[node]++;
            apply->ports[apply->old_to_new[port]] = (struct new_port){.like = port, .peer = ID_NONE, .region = ID_NONE};
        }
    }
}

/* ---- the fabric anew ----------------------------------------------------------------------------------------- */

#define COLUMN(type_, from_)                                                                          \
    ({                                                                                                \
        type_ *column_ = arena_array(apply->arena, apply->port_count, type_);                         \
        for (uint32_t port_ = 0; port_ < apply->port_count; port_++) {                                \
            column_[port_] = (from_)[apply->ports[port_].like];                                       \
        }                                                                                             \
        column_;                                                                                      \
    })

/* Delays of a circuit are those of its two fibres together; the NIC behind a fibre stands at its first port. */
static void columns_finish(struct apply *apply, uint32_t *adapter, uint32_t *line, uint32_t *gate)
{
    struct fabric *fabric = apply->fabric;
    uint64_t *propagation_ps = arena_array(apply->scratch, apply->port_count, uint64_t);
    uint64_t *device_ps = arena_array(apply->scratch, apply->port_count, uint64_t);
    uint8_t *is_seen = arena_array(apply->scratch, apply->port_count + fabric->port_count, uint8_t);
    memcpy(propagation_ps, fabric->propagation_ps, apply->port_count * sizeof *propagation_ps);
    memcpy(device_ps, fabric->device_ps, apply->port_count * sizeof *device_ps);
    for (uint32_t port = 0; port < apply->port_count; port++) {
        const struct new_port *new = &apply->ports[port];
        gate[port] = ID_NONE;
        if (new->region != ID_NONE) {
            fabric->propagation_ps[port] = propagation_ps[port] + propagation_ps[new->peer];
            fabric->device_ps[port] = device_ps[port] + device_ps[new->peer];
            gate[port] = fabric->gate_count++;
        }
        adapter[port] = is_seen[new->like] ? PART_ID_NONE : adapter[port];
        is_seen[new->like] = 1;
    }
    uint32_t *line_of = arena_array(apply->scratch, apply->port_count + fabric->port_count, uint32_t), lines = 0;
    for (uint32_t port = 0; port < apply->port_count; port++) {
        uint32_t like = apply->ports[port].like;
        line_of[like] = line_of[like] == 0 ? ++lines : line_of[like];
        line[port] = line_of[like] - 1;
    }
}

static void opticals_renew(struct apply *apply)
{
    struct fabric *fabric = apply->fabric;
    struct optical *optical = arena_array(apply->arena, fabric->optical_count, struct optical);
    for (uint32_t id = 0; id < apply->schedule->region_count; id++) {
        const struct schedule_region *region = &apply->schedule->regions[id];
        struct optical *new = &optical[region->optical];
        *new = fabric->optical[region->optical];
        new->port_count = 0;
        new->vertex_of = NULL;
        uint32_t circuits = 0;
        for (uint32_t i = 0; i < region->pair_count; i++) {
            circuits += region->pairs[i].copies;
        }
        const struct optical *before = &fabric->optical[region->optical];
        uint32_t *port = arena_array(apply->arena, 2 * (size_t)circuits + before->port_count, uint32_t);
        for (uint32_t i = 0; i < before->port_count; i++) {
            if (!apply->is_used[before->port[i]]) {
                port[new->port_count++] = apply->old_to_new[before->port[i]];
            }
        }
        for (uint32_t i = 0; i < region->pair_count; i++) {
            for (uint32_t copy = 0; copy < region->pairs[i].copies; copy++) {
                port[new->port_count++] = region->pairs[i].left_port + copy;
                port[new->port_count++] = region->pairs[i].right_port + copy;
            }
        }
        new->port = port;
        fabric->circuit_count += circuits;
    }
    fabric->optical = optical;
}

static void fabric_renew(struct apply *apply)
{
    struct fabric *fabric = apply->fabric;
    struct fabric old = *fabric;
    uint32_t *node = COLUMN(uint32_t, old.port_node), *peer = arena_array(apply->arena, apply->port_count, uint32_t);
    uint32_t *adapter = COLUMN(uint32_t, old.port_adapter), *gate = arena_array(apply->arena, apply->port_count, uint32_t);
    uint32_t *line = arena_array(apply->arena, apply->port_count, uint32_t);
    for (uint32_t port = 0; port < apply->port_count; port++) {
        peer[port] = apply->ports[port].peer;
    }
    fabric->port_first = apply->port_first;
    fabric->port_node = node;
    fabric->port_peer = peer;
    fabric->rate_bps = COLUMN(uint64_t, old.rate_bps);
    fabric->propagation_ps = COLUMN(uint64_t, old.propagation_ps);
    fabric->device_ps = COLUMN(uint64_t, old.device_ps);
    fabric->port_part = COLUMN(uint32_t, old.port_part);
    fabric->port_adapter = adapter;
    fabric->port_up_ps = COLUMN(uint64_t, old.port_up_ps);
    fabric->port_queue_bytes = COLUMN(uint64_t, old.port_queue_bytes);
    fabric->port_cost = old.port_cost != NULL ? COLUMN(uint8_t, old.port_cost) : NULL;
    fabric->port_order = old.port_order != NULL ? COLUMN(uint8_t, old.port_order) : NULL;
    fabric->port_ring = old.port_ring != NULL ? COLUMN(uint8_t, old.port_ring) : NULL;
    fabric->port_loss_mdb = old.port_loss_mdb != NULL ? COLUMN(uint32_t, old.port_loss_mdb) : NULL;
    fabric->light = old.light != NULL ? COLUMN(struct port_light, old.light) : NULL;
    columns_finish(apply, adapter, line, gate);
    fabric->port_gate = gate;
    fabric->port_line = line;
    fabric->gates = arena_array(apply->arena, fabric->gate_count, struct gate); /* I2: no windows */
    fabric->port_count = apply->port_count;
    opticals_renew(apply);
    fabric->plan_text = apply->schedule->text;
}

/* ---- wants --------------------------------------------------------------------------------------------------- */

/* The first configuration of the phase that joins the pair, else any that does. */
static uint32_t config_for(const struct schedule_region *region, uint32_t phase, uint32_t pair)
{
    for (uint32_t i = region->phase_first[phase]; i < region->phase_first[phase + 1]; i++) {
        if (schedule_has(region, region->phase_config[i], pair)) {
            return region->phase_config[i];
        }
    }
    return ID_NONE;
}

/* The region that src and dst meet at, and their pair, joined in the phase; ID_NONE. */
static uint32_t region_of(const struct apply *apply, uint32_t src, uint32_t dst, uint32_t phase, uint32_t *pair,
                          uint32_t *config)
{
    for (uint32_t id = 0; id < apply->schedule->region_count; id++) {
        const struct schedule_region *region = &apply->schedule->regions[id];
        const struct optical *optical = &apply->fabric->optical[region->optical];
        uint32_t left = vertex_of_source(optical, src), right = vertex_of_target(optical, dst);
        if (left == ID_NONE || right == ID_NONE || left == right) {
            continue;
        }
        *pair = schedule_pair_find(region, left, right);
        *config = *pair == ID_NONE ? ID_NONE : config_for(region, phase, *pair);
        if (*config != ID_NONE) {
            return id;
        }
    }
    return ID_NONE;
}

/* Ports of the source: of the circuit where it ends there; else those that lead to the node where it does, unless all of
 * the routes do. */
static uint64_t ports_of(const struct apply *apply, uint32_t src, const struct schedule_want *want)
{
    const struct schedule_region *region = &apply->schedule->regions[want->region[0]];
    const struct schedule_pair *pair = &region->pairs[want->pair[0]];
    const struct fabric *fabric = apply->fabric;
    uint32_t vertex = vertex_of_source(&fabric->optical[region->optical], src);
    uint32_t node = region->node_of[vertex], first = vertex == pair->left ? pair->left_port : pair->right_port;
    uint64_t ports = 0;
    if (node == src) {
        for (uint32_t copy = 0; copy < pair->copies; copy++) {
            ports |= UINT64_C(1) << (first + copy - fabric->port_first[src]);
        }
        return ports;
    }
    for (uint32_t port = fabric->port_first[src]; port < fabric->port_first[src + 1]; port++) {
        bool is_there = fabric->port_peer[port] != ID_NONE && fabric->port_node[fabric->port_peer[port]] == node;
        ports |= (uint64_t)is_there << (port - fabric->port_first[src]);
    }
    return ports;
}

static bool want_make(const struct apply *apply, uint32_t src, uint32_t dst, uint32_t phase, struct schedule_want *want)
{
    uint32_t pair, config, region = region_of(apply, src, dst, phase, &pair, &config);
    if (region == ID_NONE) {
        return false;
    }
    *want = (struct schedule_want){.phase = phase, .dst = dst, .region_count = 1};
    want->region[0] = region;
    want->pair[0] = pair;
    want->config[0] = config;
    want->ports = ports_of(apply, src, want);
    if (apply->fabric->rules.has_other_way) {
        return true; /* acknowledgements go there */
    }
    uint32_t back = region_of(apply, dst, src, phase, &pair, &config);
    if (back != ID_NONE && (back != region || pair != want->pair[0])) {
        want->region[1] = back;
        want->pair[1] = pair;
        want->config[1] = config;
        want->region_count = 2;
    }
    return true;
}

static void wants_make(struct apply *apply, const struct schedule_phase *phases)
{
    struct schedule *schedule = apply->schedule;
    uint32_t hosts = apply->fabric->host_count;
    uint32_t *first = arena_array(apply->arena, (size_t)hosts + 1, uint32_t);
    struct schedule_want *wants = NULL;
    size_t count = 0, capacity = 0;
    for (uint32_t src = 0; src < hosts; src++) {
        for (uint32_t phase = 0; phase < schedule->phase_count; phase++) {
            const struct demand *demand = phases[phase].demand;
            for (uint32_t i = demand->first[src]; i < demand->first[src + 1]; i++) {
                struct schedule_want want;
                if (want_make(apply, src, demand->dst[i], phase, &want)) {
                    vec_push(apply->arena, wants, count, capacity) = want;
                }
            }
        }
        first[src + 1] = (uint32_t)count;
    }
    schedule->want_first = first;
    schedule->wants = wants;
}

uint32_t schedule_want_find(const struct schedule *schedule, uint32_t src, uint32_t phase, uint32_t dst)
{
    uint32_t first = schedule->want_first[src], low = first, high = schedule->want_first[src + 1];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct schedule_want *want = &schedule->wants[middle];
        bool is_before = want->phase != phase ? want->phase < phase : want->dst < dst;
        low = is_before ? middle + 1 : low;
        high = is_before ? high : middle;
    }
    bool is_found = low < schedule->want_first[src + 1] && schedule->wants[low].phase == phase &&
                    schedule->wants[low].dst == dst;
    return is_found ? low - first : ID_NONE;
}

enum status schedule_apply(struct fabric *fabric, struct schedule *schedule, const struct schedule_phase *phases,
                           struct diag *diag)
{
    assert(fabric->plan_text == NULL && fabric->gates == NULL);
    struct apply apply = {.fabric = fabric, .schedule = schedule, .arena = fabric->arena};
    apply.scratch = arena_new("circuit ports");
    apply.is_fibre = arena_array(apply.scratch, fabric->port_count, uint8_t);
    apply.is_used = arena_array(apply.scratch, fabric->port_count, uint8_t);
    apply.old_to_new = arena_array(apply.scratch, fabric->port_count, uint32_t);
    apply.node_circuits = arena_array(apply.scratch, fabric->node_count, uint32_t);
    apply.node_idle = arena_array(apply.scratch, fabric->node_count, uint32_t);
    apply.fibre = arena_array(apply.scratch, schedule->region_count, uint32_t **);
    circuits_count(&apply);
    enum status status = nodes_lay_out(&apply, diag);
    if (status == STATUS_OK) {
        ports_lay_out(&apply);
        fabric_renew(&apply);
        wants_make(&apply, phases);
    }
    arena_free(apply.scratch);
    return status;
}
