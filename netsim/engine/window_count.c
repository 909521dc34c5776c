/* What is asked between runs: counters of a link, and when something happens next. */
#include "netsim/engine/window_gate.h"

/* ---- every packet on a link ------------------------------------------------------------------------------- */

/* time_ps is when it arrives. */
typedef void on_packet(void *context, uint32_t node, uint32_t port, uint64_t time_ps, const struct packet *packet);

static void chain_walk(const struct worker *worker, uint32_t node, uint32_t slot, on_packet *visit, void *context)
{
    const struct window_core *core = worker->core;
    uintptr_t at = worker->tails[(size_t)node << core->slot_bits | slot];
    uint32_t count = CHUNK_PACKETS - (at & CHUNK_ROOM_MASK);
    uint64_t start_ps = worker->start_ps + ((slot - worker->slot) & core->slot_mask) * core->width_ps;
    const struct chunk *chunk = (const struct chunk *)(at & ~(uintptr_t)CHUNK_ROOM_MASK);
    for (; chunk != NULL; chunk = chunk->older, count = chunk != NULL ? chunk->count : 0) {
        for (uint32_t lane = 0; lane < count; lane++) {
            uint32_t key = chunk->keys[lane];
            uint32_t port = (key & ((1u << core->key_shift) - 1)) >> 1;
            visit(context, node, port, start_ps + (key >> core->key_shift), &chunk->packets[lane]);
        }
    }
}

/* I3: whoever has something in an inbox has its bit. */
static void slot_walk(const struct worker *worker, uint32_t slot, on_packet *visit, void *context)
{
    const struct window_core *core = worker->core;
    const uint64_t *active = &worker->active[(size_t)slot * core->word_count];
    for (uint32_t word = 0; word < core->word_count; word++) {
        for (uint64_t nodes = active[word]; nodes != 0; nodes &= nodes - 1) {
            chain_walk(worker, word * 64 + (uint32_t)__builtin_ctzll(nodes), slot, visit, context);
        }
    }
}

static void links_walk(const struct window_core *core, on_packet *visit, void *context)
{
    for (uint32_t i = 0; i < core->worker_count; i++) {
        const struct worker *worker = &core->workers[i];
        for (uint64_t slots = worker->pending; slots != 0; slots &= slots - 1) {
            slot_walk(worker, (uint32_t)__builtin_ctzll(slots), visit, context);
        }
        for (size_t k = 0; k < worker->far.count; k++) {
            const struct far_packet *far = &worker->far.items[k];
            visit(context, far->node, far->port_whole >> 1, far->time_ps, &far->packet);
        }
    }
}

/* ---- counters --------------------------------------------------------------------------------------------- */

static void count_on_link(void *context, uint32_t node, uint32_t port, uint64_t time_ps, const struct packet *packet)
{
    struct window_core *core = context;
    (void)time_ps;
    if (port == core->nodes[node].port_count) {
        return; /* combined, on no link */
    }
    if (packet->size_bytes == 0) { /* a pause or a credit */
        return;
    }
    struct link_load *load = &core->on_link[core->fabric->port_peer[core->nodes[node].port_first + port]];
    load->packets++;
    load->bytes += packet->size_bytes;
}

static void on_link_make(struct window_core *core)
{
    if (core->on_link == NULL) {
        core->on_link = arena_array(core->arena, core->fabric->port_count, struct link_load);
    }
    for (uint32_t i = 0; i < core->fabric->port_count; i++) {
        core->on_link[i] = (struct link_load){0};
    }
    links_walk(core, count_on_link, core);
    core->is_on_link_valid = true;
}

/* Received is sent less what is on the link now, so that the hot loops need not count it. */
void window_counters(const struct engine *engine, uint32_t port, struct port_counters *counters)
{
    struct window_core *core = (struct window_core *)engine;
    if (!core->is_on_link_valid) {
        on_link_make(core);
    }
    const struct window_port *from = &core->ports[port];
    *counters = (struct port_counters){
        .tx_packets = from->tx_packets,
        .tx_bytes = from->tx_bytes,
        .busy_ps = from->busy_ps,
        .queue_wait_ps = from->queue_wait_ps,
        .dark_wait_ps = from->dark_wait_ps,
        .queue_max_bytes = from->queue_max_bytes,
        .dropped_packets = from->dropped_packets,
        .dropped_bytes = from->dropped_bytes,
    };
    counters->marked_packets = from->marked_packets;
    if (core->class_ports != NULL) {
        class_counters(core, port, counters);
    }
    counters->rx_packets = counters->tx_packets - core->on_link[port].packets;
    counters->rx_bytes = counters->tx_bytes - core->on_link[port].bytes;
    if (core->gate_ports != NULL) {
        gate_counters(core, port, counters);
    }
    if (core->error_ports != NULL) {
        error_counters(core, port, counters);
    }
}

/* ---- what is left ----------------------------------------------------------------------------------------- */

static void first_of_packets(void *context, uint32_t node, uint32_t port, uint64_t time_ps,
                             const struct packet *packet)
{
    (void)node, (void)port, (void)packet;
    uint64_t *first_ps = context;
    *first_ps = time_ps < *first_ps ? time_ps : *first_ps;
}

/* Wake-ups are not events: what they are for is. */
static void first_of_timers(void *context, const struct eventq_item *timer)
{
    uint64_t *first_ps = context;
    bool is_first = timer_what(timer->payload) != TIMER_WAKE && timer->time_ps < *first_ps;
    *first_ps = is_first ? timer->time_ps : *first_ps;
}

static uint64_t timers_first_ps(const struct worker *worker, uint64_t first_ps)
{
    eventq_visit(worker->timers, first_of_timers, &first_ps);
    uint64_t control_ps = control_first_ps(worker);
    return control_ps < first_ps ? control_ps : first_ps;
}

/* The first departure or coming up after done_ps, and the last one of all. Only ports that were served since the last look
 * are looked at; those that have nothing left are then forgotten. */
static uint64_t ports_look(struct window_core *core, uint64_t *last_ps)
{
    uint64_t first_ps = TIME_NEVER_PS;
    *last_ps = 0;
    for (uint32_t word = 0; word < core->port_word_count; word++) {
        for (uint64_t ports = core->touched[word]; ports != 0; ports &= ports - 1) {
            uint32_t bit = (uint32_t)__builtin_ctzll(ports);
            uint64_t free_ps = core->ports[core->port_words[word] + bit].free_ps;
            *last_ps = free_ps > *last_ps ? free_ps : *last_ps;
            if (free_ps > core->done_ps) {
                first_ps = free_ps < first_ps ? free_ps : first_ps;
            } else {
                core->free_last_ps = free_ps > core->free_last_ps ? free_ps : core->free_last_ps;
                core->touched[word] ^= UINT64_C(1) << bit;
            }
        }
    }
    *last_ps = core->free_last_ps > *last_ps ? core->free_last_ps : *last_ps;
    return first_ps;
}

/* The first event that is left; that a packet leaves an output port or a port comes up is one. */
uint64_t window_first_left_ps(struct window_core *core)
{
    uint64_t first_ps = TIME_NEVER_PS;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        first_ps = timers_first_ps(&core->workers[i], first_ps);
    }
    for (uint32_t id = 0; core->gate_ports != NULL && id < core->fabric->port_count; id++) {
        uint64_t gate_ps = gate_next_ps(&core->gate_ports[id]);
        first_ps = gate_ps < first_ps ? gate_ps : first_ps;
    }
    uint64_t last_ps, port_ps = ports_look(core, &last_ps);
    first_ps = port_ps < first_ps ? port_ps : first_ps;
    links_walk(core, first_of_packets, &first_ps);
    return first_ps;
}

/* When nothing is left: nothing has happened after this. */
uint64_t window_last_ps(struct window_core *core)
{
    uint64_t last_ps, end_ps = core->workers[0].end_ps - 1;
    ports_look(core, &last_ps);
    return last_ps > end_ps ? last_ps : end_ps;
}
