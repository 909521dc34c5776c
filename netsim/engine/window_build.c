/* Numbers, ports and the width of the window, before anything runs. */
#include "netsim/engine/window_gate.h"
#include "netsim/engine/window_super.h"

#include <string.h>

#include "netsim/base/rng.h"
#include "netsim/base/simd.h"

/* ---- numbering -------------------------------------------------------------------------------------------- */

static bool is_host(const struct fabric *fabric, uint32_t node)
{
    return node < fabric->host_count;
}

static uint32_t round_up_64(uint32_t count)
{
    return (count + 63) / 64 * 64;
}

/* Nodes of a tier are split into equal runs, so that pods stay together where a builder numbers them so. */
static void owners_assign(const struct fabric *fabric, uint32_t worker_count, uint32_t *owner)
{
    uint32_t tier_size[256] = {0}, tier_seen[256] = {0};
    for (uint32_t node = 0; node < fabric->node_count; node++) {
        tier_size[fabric->node_tier[node]]++;
    }
    for (uint32_t node = 0; node < fabric->node_count; node++) {
        uint8_t tier = fabric->node_tier[node];
        owner[node] = (uint32_t)((uint64_t)tier_seen[tier]++ * worker_count / tier_size[tier]);
    }
}

static uint32_t number_nodes(struct window_core *core, const uint32_t *owner, uint32_t worker, bool hosts, uint32_t next)
{
    for (uint32_t node = 0; node < core->fabric->node_count; node++) {
        if (owner[node] == worker && is_host(core->fabric, node) == hosts && core->super_of[node] == ID_NONE) {
            core->inner[node] = next++;
        }
    }
    return round_up_64(next);
}

/* A super-node goes to whoever would have its first node. */
static void supers_assign(const struct window_core *core, uint32_t *owner)
{
    for (uint32_t node = core->fabric->node_count; node-- > 0;) {
        if (core->super_of[node] != ID_NONE) {
            core->supers[core->super_of[node]].owner = owner[node];
        }
    }
    for (uint32_t node = 0; node < core->fabric->node_count; node++) {
        owner[node] = core->super_of[node] != ID_NONE ? core->supers[core->super_of[node]].owner : owner[node];
    }
}

/* S3 of window_super.h */
static uint32_t number_supers(struct window_core *core, uint32_t worker, bool hosts, uint32_t next)
{
    for (uint32_t i = 0; i < core->super_count; i++) {
        struct window_super *super = &core->supers[i];
        if (super->owner != worker || super->has_host != hosts) {
            continue;
        }
        next = next % 64 + super->count > 64 ? round_up_64(next) : next;
        super->first = next;
        next = super->count > 64 ? round_up_64(next + super->count) : next + super->count;
    }
    return round_up_64(next);
}

static void number_members(struct window_core *core)
{
    uint32_t *seen = arena_array(core->arena, core->super_count, uint32_t);
    for (uint32_t node = 0; node < core->fabric->node_count; node++) {
        uint32_t super = core->super_of[node];
        if (super != ID_NONE) {
            core->inner[node] = core->supers[super].first + seen[super]++;
        }
    }
}

static void nodes_number(struct window_core *core)
{
    const struct fabric *fabric = core->fabric;
    uint32_t *owner = arena_array(core->arena, fabric->node_count, uint32_t);
    owners_assign(fabric, core->worker_count, owner);
    supers_assign(core, owner);
    core->inner = arena_array(core->arena, fabric->node_count, uint32_t);
    core->switch_first = arena_array(core->arena, core->worker_count, uint32_t);
    core->switch_super_first = arena_array(core->arena, core->worker_count, uint32_t);
    core->host_first = arena_array(core->arena, core->worker_count, uint32_t);
    core->host_super_first = arena_array(core->arena, core->worker_count, uint32_t);
    core->worker_end = arena_array(core->arena, core->worker_count, uint32_t);
    uint32_t next = 0;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        core->switch_first[i] = next;
        core->switch_super_first[i] = number_nodes(core, owner, i, false, next);
        core->host_first[i] = number_supers(core, i, false, core->switch_super_first[i]);
        core->host_super_first[i] = number_nodes(core, owner, i, true, core->host_first[i]);
        core->worker_end[i] = next = number_supers(core, i, true, core->host_super_first[i]);
    }
    number_members(core);
    core->node_count = next;
    core->word_count = next / 64;
    core->nodes = pool_alloc(&core->workers[0], next * sizeof *core->nodes);
    for (uint32_t node = 0; node < fabric->node_count; node++) {
        core->nodes[core->inner[node]] = (struct window_node){
            .id = node,
            .owner = owner[node],
            .port_first = fabric->port_first[node],
            .port_count = fabric->port_first[node + 1] - fabric->port_first[node],
            .is_host = is_host(fabric, node),
            .is_cut = fabric->node_cut_through[node],
            .due_first = ID_NONE,
            .super = core->super_of[node],
            .salt = rng_draw(core->config.seed, RNG_SWITCH_SALT, node),
        };
    }
}

/* ---- ports ------------------------------------------------------------------------------------------------ */

struct rate_table {
    uint64_t rate_bps;
    const uint32_t *service_ps;
};

/* Serialisation by size, one table a rate; NULL where times do not fit or rates are too many. */
static const uint32_t *rate_table_find(struct window_core *core, struct rate_table *tables, uint32_t *count,
                                       uint64_t rate_bps)
{
    for (uint32_t i = 0; i < *count; i++) {
        if (tables[i].rate_bps == rate_bps) {
            return tables[i].service_ps;
        }
    }
    if (*count == RATE_TABLES_MAX || serialisation_ps(PACKET_BYTES_MAX, rate_bps) > UINT32_MAX) {
        return NULL;
    }
    uint32_t *service_ps = arena_array(core->arena, PACKET_BYTES_MAX + 1, uint32_t);
    for (uint32_t size = 0; size <= PACKET_BYTES_MAX; size++) {
        service_ps[size] = (uint32_t)serialisation_ps(size, rate_bps);
    }
    tables[(*count)++] = (struct rate_table){rate_bps, service_ps};
    return service_ps;
}

/* Bytes that a port may hold without a mark, a cut or a drop. */
static uint64_t calm_bytes_of(const struct window_core *core, const struct window_port *port,
                              const struct queue_profile *profile)
{
    if (core->class_ports == NULL) {
        return profile->class[0].mark == MARK_NEVER ? UINT64_MAX : profile->class[0].mark_low_bytes;
    }
    uint64_t calm_bytes = UINT64_MAX;
    for (uint32_t i = 0; i < profile->class_count; i++) {
        const struct queue_class *class = &profile->class[i];
        uint64_t low_bytes = class->mark == MARK_NEVER ? UINT64_MAX : class->mark_low_bytes;
        uint64_t full_bytes = class->capacity_bytes > 0 ? class->capacity_bytes : port->capacity_bytes;
        calm_bytes = low_bytes < calm_bytes ? low_bytes : calm_bytes;
        calm_bytes = full_bytes < calm_bytes ? full_bytes : calm_bytes;
    }
    return calm_bytes;
}

static void port_make(struct window_core *core, uint32_t id, const uint32_t *service_ps)
{
    const struct fabric *fabric = core->fabric;
    struct window_port *port = &core->ports[id];
    port->service_ps = service_ps;
    port->rate_bps = fabric->rate_bps[id];
    const struct queue_profile *profile =
        is_host(fabric, fabric->port_node[id]) ? core->config.host_queues : core->config.switch_queues;
    const struct queue_class *class = &profile->class[0];
    bool has_own = core->class_ports == NULL && class->capacity_bytes > 0;
    port->capacity_bytes = has_own ? class->capacity_bytes : fabric->port_queue_bytes[id];
    port->mark = class->mark == MARK_NEVER ? NULL : class;
    port->mark_calm_ps = UINT64_MAX;
    uint64_t calm_bytes = calm_bytes_of(core, port, profile);
    if (calm_bytes < UINT64_MAX) { /* rounded down, as every packet's service is rounded up */
        uint64_t low_bytes = calm_bytes < UINT32_MAX ? calm_bytes : UINT32_MAX;
        port->mark_calm_ps = (uint64_t)((unsigned __int128)low_bytes * (8 * PS_PER_S) / port->rate_bps);
    }
    port->up_ps = port->free_ps = fabric->port_up_ps[id];
    port->is_dark = port->up_ps > 0;
    port->peer = ID_NONE;
    uint32_t peer_port = fabric->port_peer[id];
    if (peer_port == ID_NONE) {
        return;
    }
    uint32_t peer = fabric->port_node[peer_port];
    port->peer = core->inner[peer];
    port->peer_id = is_host(fabric, peer) ? peer : ID_NONE;
    port->peer_port = peer_port - fabric->port_first[peer];
    port->is_peer_cut = fabric->node_cut_through[peer];
    port->delay_ps = link_delay_ps(fabric, id);
    port->latency_ps = fabric->node_latency_ps[peer];
}

static void ports_make(struct window_core *core)
{
    const struct fabric *fabric = core->fabric;
    struct rate_table tables[RATE_TABLES_MAX];
    uint32_t table_count = 0;
    core->ports = pool_alloc(&core->workers[0], fabric->port_count * sizeof *core->ports);
    for (uint32_t id = 0; id < fabric->port_count; id++) {
        port_make(core, id, rate_table_find(core, tables, &table_count, fabric->rate_bps[id]));
    }
}

/* A host's port comes up by itself: it may have been waiting for it with something to send. So does any port of a node
 * that is served whole (C2 of window_class.h). */
static void ports_wake(struct window_core *core)
{
    for (uint32_t id = 0; id < core->fabric->port_count; id++) {
        uint32_t node_id = core->inner[core->fabric->port_node[id]];
        const struct window_node *node = &core->nodes[node_id];
        bool is_served_whole = node->is_host || core->is_coupled || node->super != ID_NONE;
        if (!core->ports[id].is_dark || !is_served_whole) {
            continue;
        }
        node_wake(&core->workers[node->owner], node_id, core->ports[id].up_ps);
        if (core->class_ports != NULL) {
            uint32_t local = id - node->port_first;
            core->waiting[node->waiting_first + local / 64] |= UINT64_C(1) << (local % 64);
        }
    }
}

/* ---- the window ------------------------------------------------------------------------------------------- */

#define WORKERS_MAX 64
#define BYTE_PS    (8 * PS_PER_S)
#define WIDTH_BITS 19 /* 524 ns: what the vector loops sort in 32 bits beside a port and a place */

/* A port with classes costs more for each window, whatever it brings, so its windows are nearly twice as wide where the
 * ports leave a bit for that: no wider than a run may go on. */
static uint64_t width_wanted_ps(const struct window_core *core, uint32_t port_bits)
{
    _Static_assert(RUN_PAST_PS <= 1 << (WIDTH_BITS + 1), "one bit more");
    bool has_room = WIDTH_BITS + 1 + port_bits + PLACE_BITS < 31;
    return core->class_ports != NULL && has_room ? RUN_PAST_PS : UINT64_C(1) << WIDTH_BITS;
}

static void width_choose(struct window_core *core)
{
    const struct fabric *fabric = core->fabric;
    uint64_t lookahead_ps = core->lookahead_ps, reach_ps = 0; /* I1, G3 */
    uint32_t ports_max = 1;
    for (uint32_t id = 0; id < fabric->port_count; id++) {
        const struct window_port *port = &core->ports[id];
        uint64_t latest_ps = port_service_ps(port, PACKET_BYTES_MAX) + port->delay_ps + port->latency_ps;
        reach_ps = latest_ps > reach_ps ? latest_ps : reach_ps;
        uint32_t node = fabric->port_node[id];
        uint32_t ports = fabric->port_first[node + 1] - fabric->port_first[node];
        ports_max = ports > ports_max ? ports : ports_max;
    }
    uint32_t port_bits = 32 - (uint32_t)__builtin_clz(ports_max);
    core->key_shift = port_bits + 1;
    uint64_t width_ps_max = UINT64_C(1) << (32 - core->key_shift);
    uint64_t wanted_ps = reach_ps / (SLOTS_MAX - 2) + 1; /* the ring should reach as far as packets do */
    uint64_t least_ps = width_wanted_ps(core, port_bits);
    wanted_ps = wanted_ps > least_ps ? wanted_ps : least_ps;
    core->width_ps = lookahead_ps < wanted_ps ? lookahead_ps : wanted_ps;
    core->width_ps = core->width_ps < width_ps_max ? core->width_ps : width_ps_max;
    assert(core->width_ps <= ENGINE_APART_PS);
    core->width_reciprocal = UINT64_MAX / core->width_ps + 1;
    core->has_place_bits = (core->width_ps << (core->key_shift - 1)) >> (31 - PLACE_BITS) == 0;
#ifdef PHOTONET_STRESS
    core->has_place_bits &= core->width_ps % 2 == 0;
#endif
    uint32_t slots = SLOTS_MIN;
    while (slots < SLOTS_MAX && slots < reach_ps / core->width_ps + 4) { /* port_is_plain wants as many */
        slots *= 2;
    }
    core->slot_mask = slots - 1;
    core->slot_bits = (uint32_t)__builtin_ctz(slots);
}

/* ---- what the vector loops may serve ------------------------------------------------------------------------ */

#define PLAIN_WIDTH_PS   (UINT64_C(1) << 26) /* 32 waits of a window each add up within 31 bits */
#define PLAIN_SERVICE_PS (UINT64_C(1) << 25) /* so do 32 services: 5 Gbit/s and more */

static bool port_is_plain(const struct window_core *core, uint32_t id)
{
    const struct window_port *port = &core->ports[id];
    if (port->peer == ID_NONE || port->service_ps == NULL || core->width_ps > PLAIN_WIDTH_PS ||
        port->service_ps[PACKET_BYTES_MAX] > PLAIN_SERVICE_PS) {
        return false;
    }
    uint32_t super = core->nodes[core->inner[core->fabric->port_node[id]]].super;
    if (super != ID_NONE && super == core->nodes[port->peer].super) {
        return false; /* within a super-node */
    }
    bool is_final = core->nodes[port->peer].is_host && port->latency_ps == 0; /* else it depends on the packet */
    return (is_final || !core->nodes[port->peer].is_host) &&
           (port->delay_ps + port->latency_ps) / core->width_ps + 3 <= core->slot_mask;
}

static void plain_ports_find(struct window_core *core)
{
    for (uint32_t id = 0; id < core->fabric->port_count; id++) {
        struct window_port *port = &core->ports[id];
        port->is_plain = !port->is_lossy && port_is_plain(core, id);
        port->reach_slots = (uint8_t)((port->delay_ps + port->latency_ps) / core->width_ps);
        port->reach_ps = (uint32_t)((port->delay_ps + port->latency_ps) % core->width_ps);
        port->cut_service_ps = (uint32_t)port_service_ps(port, core->config.cut_through_bytes & PACKET_BYTES_MAX);
        if (BYTE_PS % port->rate_bps == 0 && BYTE_PS / port->rate_bps * PACKET_BYTES_MAX < PLAIN_SERVICE_PS) {
            port->ps_per_byte = (uint32_t)(BYTE_PS / port->rate_bps);
        }
    }
}

/* Unequal rates make packets wait for their tails at a cut-through switch: the general code does that. */
static bool has_one_rate(const struct window_core *core, const struct window_node *node)
{
    uint64_t rate_bps = core->ports[node->port_first].rate_bps;
    for (uint32_t id = node->port_first; id < node->port_first + node->port_count; id++) {
        uint32_t peer = core->fabric->port_peer[id];
        if (core->ports[id].rate_bps != rate_bps || (peer != ID_NONE && core->ports[peer].rate_bps != rate_bps)) {
            return false;
        }
    }
    return true;
}

static bool node_is_plain(const struct window_core *core, const struct window_node *node)
{
    return node->port_count > 0 && (!node->is_cut || has_one_rate(core, node));
}

/* Without tables and rails, the way is found for a vector of packets at once. */
static bool node_is_tree(const struct window_core *core, const struct window_node *node)
{
    return core->config.routes->rows == NULL && core->fabric->route[node->id].rails <= 1 &&
           !core->config.is_source_routed;
}

/* x / stride = x * reciprocal >> shift for all x < 2^20: Granlund and Montgomery, PLDI 1994, theorem 4.2. */
static void stride_invert(struct window_node *node)
{
    uint32_t stride = node->route.down_stride > 0 ? node->route.down_stride : 1;
    uint32_t bits = stride == 1 ? 0 : 32 - (uint32_t)__builtin_clz(stride - 1);
    node->stride_shift = 20 + bits;
    node->stride_reciprocal = (uint32_t)((UINT64_C(1) << node->stride_shift) / stride + 1);
}

/* Ports that lead nowhere never send. */
static uint32_t node_near_bytes(const struct window_core *core, const struct window_node *node)
{
    uint32_t near_bytes = node->is_plain && node->port_count <= LAZY_PORTS_MAX ? PACKET_BYTES_MAX : 0;
    for (uint32_t id = node->port_first; id < node->port_first + node->port_count; id++) {
        const struct window_port *port = &core->ports[id];
        if (port->peer == ID_NONE) {
            continue;
        }
        near_bytes = port->is_plain ? near_bytes : 0;
        while (near_bytes > 0 && port->service_ps[near_bytes] > core->width_ps) {
            near_bytes--;
        }
    }
    return near_bytes;
}

static void plain_nodes_find(struct window_core *core)
{
    uint32_t words = 0;
    for (uint32_t i = 0; i < core->node_count; i++) {
        struct window_node *node = &core->nodes[i];
        node->waiting_first = words;
        words += (node->port_count + 63) / 64;
        node->is_plain = node_is_plain(core, node);
        node->is_ordered = node->is_host && node->port_count == 1 && !node->is_cut &&
                           core->fabric->node_latency_ps[node->id] == 0;
        node->near_bytes_max = node_near_bytes(core, node);
        node->is_tree = node->port_count > 0 && node_is_tree(core, node);
        if (node->is_tree) {
            node->route = core->fabric->route[node->id];
            stride_invert(node);
        }
    }
    core->waiting = pool_alloc(&core->workers[0], words * sizeof *core->waiting);
    core->touched = pool_alloc(&core->workers[0], words * sizeof *core->touched);
    memset(core->waiting, 0, words * sizeof *core->waiting); /* pages are made now */
    memset(core->touched, 0, words * sizeof *core->touched);
    core->port_words = arena_array(core->arena, words, uint32_t);
    core->port_word_count = words;
    for (uint32_t i = 0; i < core->node_count; i++) {
        const struct window_node *node = &core->nodes[i];
        for (uint32_t local = 0; local < node->port_count; local++) {
            core->port_words[node->waiting_first + local / 64] = node->port_first + (local & ~63u);
            if (core->ports[node->port_first + local].free_ps > 0) { /* it comes up */
                port_touch(core, node, local);
            }
        }
    }
}

static void body_choose(struct window_core *core)
{
    static void (*const serve[SIMD_BODY_COUNT])(struct worker *, const uint32_t *, uint32_t) = {
        [SIMD_NEON] = switches_serve_neon,
#ifdef __x86_64__
        [SIMD_AVX2] = switches_serve_avx2,
        [SIMD_AVX512] = switches_serve_avx512,
#endif
    };
    enum simd_body body = simd_detect();
    struct diag diag;
    if (core->config.simd != NULL && strcmp(core->config.simd, "neon") == 0) {
        body = SIMD_NEON; /* plain vector types: runs anywhere, for tests */
    } else if (core->config.simd != NULL) {
        enum status status = simd_parse(core->config.simd, &body, &diag);
        assert(status == STATUS_OK); /* whoever takes it from a user checks it */
    }
    static void (*const lazy[SIMD_BODY_COUNT])(struct worker *, uint32_t) = {
        [SIMD_SCALAR] = coupled_serve,
        [SIMD_NEON] = lazy_serve_neon,
#ifdef __x86_64__
        [SIMD_AVX2] = lazy_serve_avx2,
        [SIMD_AVX512] = lazy_serve_avx512,
#endif
    };
    bool is_lazy = core->is_direct && core->gate_ports == NULL;
    core->body = body;
    core->switches_serve = core->is_coupled ? NULL : serve[body];
    core->switch_serve = !core->is_coupled ? switch_serve_scalar : is_lazy ? lazy[body] : coupled_serve;
    core->host_serve = core->class_ports == NULL ? host_serve : is_lazy ? lazy_host_serve : coupled_serve;
}

/* Whether ports with classes that are served on their own may be served by the vector loops, where nothing is unusual. */
static void mix_choose(struct window_core *core)
{
    const struct queue_profile *profile = core->config.switch_queues;
    const struct queue_class *class = profile->class;
    core->mix_has_first = profile->class_count == 2;
    core->is_mix = core->class_ports != NULL && !core->is_coupled && profile->load_period_ps == 0 &&
                   (profile->class_count == 1 || (core->mix_has_first && class[0].priority != class[1].priority));
    core->mix_class_max = (uint8_t)(profile->class_count - 1);
    core->mix_first = core->mix_has_first && class[1].priority < class[0].priority;
    core->mix_last = core->mix_has_first && !core->mix_first;
    uint64_t packet_ps = TIME_NEVER_PS;
    for (uint32_t id = 0; id < core->fabric->port_count; id++) {
        uint64_t service_ps = port_service_ps(&core->ports[id], core->config.packet_bytes_max);
        packet_ps = service_ps < packet_ps ? service_ps : packet_ps;
    }
    uint64_t fit = packet_ps > 0 ? core->width_ps / packet_ps + 2 : BATCH_WAITING_MAX;
    core->mix_waiting_max = fit < BATCH_WAITING_MAX ? (uint32_t)fit : BATCH_WAITING_MAX;
}

/* ---- workers ---------------------------------------------------------------------------------------------- */

static void worker_make(struct window_core *core, uint32_t id)
{
    struct worker *worker = &core->workers[id];
    uint32_t ports_max = 1;
    for (uint32_t node = 0; node < core->node_count; node++) {
        ports_max = core->nodes[node].port_count > ports_max ? core->nodes[node].port_count : ports_max;
    }
    worker->rooms[ROOM_NONE].items = pool_alloc(worker, sizeof(struct packet *));
    worker->timers = eventq_new(core->arena, core->body);
    worker->local.arena = worker->far.arena = core->arena;
    worker->host_now = worker->whole_now = ID_NONE;
    worker->end_ps = 1;
    worker->tails = pool_alloc(worker, sizeof(uintptr_t) * core->node_count << core->slot_bits);
    worker->active = pool_alloc(worker, sizeof(uint64_t) * core->word_count << core->slot_bits);
    memset(worker->tails, 0, sizeof(uintptr_t) * core->node_count << core->slot_bits); /* pages are made now */
    worker->returned[0] = pool_alloc(worker, core->worker_count * sizeof *worker->returned[0]);
    worker->returned[1] = pool_alloc(worker, core->worker_count * sizeof *worker->returned[1]);
    worker->taken = pool_alloc(worker, core->worker_count * sizeof *worker->taken);
    worker->chunk_next = pool_alloc(worker, core->worker_count * sizeof *worker->chunk_next);
    worker->port_end = pool_alloc(worker, ports_max * sizeof *worker->port_end);
    worker->batches = pool_alloc(worker, ports_max * sizeof *worker->batches);
    worker->batch_count = pool_alloc(worker, round_up_64(ports_max + 1) * sizeof *worker->batch_count);
    worker->apart_batches = pool_alloc(worker, (ports_max + 1) * sizeof(struct apart_batch));
    worker->came_bytes = pool_alloc(worker, round_up_64(ports_max + 1) * sizeof(uint32_t));
    worker->choice_ports = pool_alloc(worker, ports_max * sizeof(struct choice_port));
    worker->leave_ps = pool_alloc(worker, round_up_64(ports_max) * sizeof *worker->leave_ps);
    worker->backlog = pool_alloc(worker, round_up_64(ports_max) * sizeof *worker->backlog);
    for (uint32_t port = 0; port < round_up_64(ports_max); port++) {
        worker->leave_ps[port] = INT32_MAX;
    }
}

/* One FIFO a port that drops what does not fit, and marks at most. */
static bool profile_is_fifo(const struct queue_profile *profile)
{
    const struct queue_class *class = &profile->class[0];
    return profile->class_count == 1 && profile->shared_bytes == 0 && !profile->is_adaptive &&
           profile->load_period_ps == 0 && class->full == FULL_DROP && class->xoff_bytes == 0 && class->credit_bytes == 0;
}

/* What one port of a switch does can matter to another one, or to the node behind a link at once; or a switch decides
 * more about a packet than by which port it leaves. */
static bool switches_are_coupled(const struct engine_config *config)
{
    const struct queue_profile *profile = config->switch_queues;
    bool has_detours = config->ways != NULL && config->ways->rule != WAY_MINIMAL;
    bool have_hosts_pauses = profile_has_pauses(config->host_queues) && !config->fabric->is_host_end;
    return have_hosts_pauses || has_detours || profile->lane_count > 1 || profile->is_adaptive || profile->shared_bytes > 0 || profile_has_pauses(profile) ||
           profile_has_credits(profile) || profile_has_credits(config->host_queues);
}

/* Ports of a switch see each other through pauses and adaptive choice only, and do nothing that takes more than an account
 * of bytes (window_apart_body.h). */
static bool ports_are_apart(const struct engine_config *config)
{
    const struct queue_profile *profile = config->switch_queues;
    return profile->class_count == 1 && config->host_queues->class_count == 1 && profile->shared_bytes == 0 &&
           profile->load_period_ps == 0 && profile->class[0].full == FULL_DROP;
}

static void profiles_take(struct window_core *core)
{
    struct engine_config *config = &core->config;
    config->switch_queues = config->switch_queues != NULL ? config->switch_queues : &queue_profile_plain;
    config->host_queues = config->host_queues != NULL ? config->host_queues : &queue_profile_plain;
    core->is_coupled = gates_are_needed(config) || switches_are_coupled(config);
    core->has_credits = profile_has_credits(config->switch_queues) || profile_has_credits(config->host_queues);
    core->is_apart = ports_are_apart(config) && !core->has_credits;
    core->are_hosts_plain = !gates_are_needed(config) && !core->has_credits && config->host_queues->load_period_ps == 0;
    core->are_hosts_usual = core->are_hosts_plain && config->host_queues->class_count == 1;
    core->is_direct = (config->ways == NULL || config->ways->rule == WAY_MINIMAL) && config->fabric->detours == NULL &&
                      config->epochs == NULL && config->groups == NULL && config->switch_queues->lane_count <= 1 &&
                      config->host_queues->lane_count <= 1;
    if (core->is_coupled || !profile_is_fifo(config->switch_queues) || !profile_is_fifo(config->host_queues)) {
        class_ports_make(core);
    }
}

static struct worker *workers_alloc(struct arena *arena, uint32_t count)
{
    uint8_t *block = arena_alloc(arena, count * sizeof(struct worker) + _Alignof(struct worker));
    return (struct worker *)(block + (-(uintptr_t)block & (_Alignof(struct worker) - 1)));
}

struct engine *window_create(struct arena *arena, const struct engine_config *config)
{
    if (config->fabric->port_count >= HUGE_PORTS_MIN) {
        arena_use_huge_pages(arena);
    }
    struct window_core *core = arena_one(arena, struct window_core);
    core->base.class = &engine_window;
    core->config = *config;
    core->fabric = config->fabric;
    core->arena = arena;
    core->sample_ps = TIME_NEVER_PS;
    core->worker_count = config->thread_count < 1 ? 1 : config->thread_count;
    core->worker_count = core->worker_count < WORKERS_MAX ? core->worker_count : WORKERS_MAX;
    core->workers = workers_alloc(arena, core->worker_count);
    for (uint32_t i = 0; i < core->worker_count; i++) {
        core->workers[i] = (struct worker){.core = core, .id = i, .arena = arena};
    }
    profiles_take(core);
    supers_choose(core);
    nodes_number(core);
    ports_make(core);
    if (core->fabric->port_frame_loss != NULL) {
        error_ports_make(core);
    }
    if (core->class_ports != NULL) {
        inputs_make(core);
    }
    if (gates_are_needed(config)) {
        gate_ports_make(core);
    }
    width_choose(core);
    plain_ports_find(core);
    plain_nodes_find(core);
    body_choose(core);
    mix_choose(core);
    for (uint32_t i = 0; i < core->worker_count; i++) {
        worker_make(core, i);
    }
    super_runs_make(core);
    ports_wake(core);
    if (core->gate_ports != NULL) {
        gate_ports_wake(core);
    }
    return &core->base;
}
