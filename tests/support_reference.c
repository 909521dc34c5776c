#include "tests/reference_int.h"

#include "netsim/base/rng.h"

/* ---- events ----------------------------------------------------------------------------------------------- */

/* Least backlog, in grades, among equal next hops; equal ones are decided by the hash of the packet. */
static uint32_t port_least(const struct plain *plain, uint32_t first_port, const struct port_set *set, uint64_t hash,
                           uint32_t grade_shift)
{
    uint64_t least = UINT64_MAX;
    uint32_t ties = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        uint64_t grade = plain->ports[first_port + port_set_at(set, i)].queued_bytes >> grade_shift;
        ties = grade < least ? 1 : ties + (grade == least);
        least = grade < least ? grade : least;
    }
    uint32_t wanted = rng_below(hash, ties);
    for (uint32_t i = 0;; i++) {
        uint32_t local = port_set_at(set, i);
        if (plain->ports[first_port + local].queued_bytes >> grade_shift == least && wanted-- == 0) {
            return first_port + local;
        }
    }
}

uint32_t route_port(const struct plain *plain, uint32_t node, const struct packet *packet, uint32_t towards,
                    uint64_t now_ps)
{
    uint32_t class = class_of(profile_of(plain, node), packet);
    struct port_set set = routes_next(epoch_routes(&plain->config, class, now_ps), node, towards);
    uint64_t hash = packet_choice(&plain->config, packet, node, plain->salt[node]);
    uint32_t first_port = plain->fabric->port_first[node];
    if (set.count == 0) {
        return ID_NONE;
    }
    if (profile_of(plain, node)->is_adaptive && set.count > 1) {
        return port_least(plain, first_port, &set, hash, profile_of(plain, node)->grade_shift);
    }
    return first_port + route_choose(&set, hash);
}

struct plain_way {
    const struct plain *plain;
    const struct packet *packet;
    uint64_t now_ps;
};

static uint64_t backlog_bytes(const void *context, uint32_t node, uint32_t host)
{
    const struct plain_way *way = context;
    uint32_t port = route_port(way->plain, node, way->packet, host, way->now_ps);
    return port == ID_NONE ? UINT32_MAX : way->plain->ports[port].queued_bytes;
}

/* The way of a packet that arrives by `in_port`: its route, or a detour. What it must remember is written into it. */
static uint32_t way_port(const struct plain *plain, const struct event *event, struct packet *packet)
{
    const struct fabric *fabric = plain->fabric;
    uint32_t node = event->node, first_port = fabric->port_first[node], entropy = packet->entropy;
    uint32_t from = fabric->port_node[fabric->port_peer[event->port]];
    struct plain_way way = {plain, &event->packet, event->time_ps};
    uint32_t towards = way_towards(plain->config.ways, node, from, packet->src, packet->dst, &entropy, backlog_bytes, &way);
    packet->entropy = entropy & UINT16_MAX;
    uint32_t out = route_port(plain, node, packet, towards, event->time_ps);
    bool is_from_host = from < fabric->host_count;
    if (out == ID_NONE || fabric->detours == NULL ||
        !detour_is_offered(&fabric->detours[node], is_from_host, out - first_port)) {
        return out;
    }
    const struct detour *detour = &fabric->detours[node];
    uint32_t other = first_port + detour_choose(detour, &event->packet, plain->salt[node]);
    bool is_taken = detour->rule == DETOUR_ALWAYS ||
                    plain->ports[out].queued_bytes > plain->ports[other].queued_bytes + detour->threshold_bytes;
    return is_taken ? other : out;
}

/* The rest of a packet that must be whole before it goes on: its event again, later. */
static void arrival_repeat(struct plain *plain, const struct event *event)
{
    uint64_t rate_bps = plain->fabric->rate_bps[plain->fabric->port_peer[event->port]];
    struct event whole = *event;
    whole.is_whole = true;
    whole.time_ps += serialisation_ps(event->packet.size_bytes, rate_bps) -
                     serialisation_ps(plain->config.cut_through_bytes, rate_bps);
    event_heap_push(&plain->heap, &whole);
}

static void on_forward(struct plain *plain, const struct event *event)
{
    const struct fabric *fabric = plain->fabric;
    struct packet packet = event->packet;
    uint32_t out = way_port(plain, event, &packet);
    uint32_t in_link = fabric->port_peer[event->port];
    if (out != ID_NONE && !event->is_whole && fabric->rate_bps[out] != fabric->rate_bps[in_link]) {
        arrival_repeat(plain, event);
        return;
    }
    struct port_counters *in = &plain->ports[in_link].counters;
    in->rx_packets++;
    in->rx_bytes += event->packet.size_bytes;
    if (out == ID_NONE) {
        port_stray(plain, &event->packet, event->port, event->time_ps);
        return;
    }
    const struct queue_profile *profile = profile_of(plain, event->node);
    packet_lane(fabric, profile, event->port, out, &packet);
    port_arrive(plain, out, &packet, event->port, class_of(profile, &event->packet), event->time_ps);
}

/* What a host takes in leaves the buffer behind the link at once. */
static void host_receive(struct plain *plain, const struct event *event)
{
    uint32_t in_link = plain->fabric->port_peer[event->port];
    struct port *sender = &plain->ports[in_link];
    sender->counters.rx_packets++;
    sender->counters.rx_bytes += event->packet.size_bytes;
    plain->in_flight--;
    uint32_t class = class_of(sender->profile, &event->packet);
    input_credit_return(plain, event->port, class, event->packet.size_bytes, event->time_ps); /* no pause: it is never held */
    plain->config.ops->receive(plain->config.context, event->node, &event->packet, event->time_ps);
}

static void on_arrived(struct plain *plain, const struct event *event)
{
    bool is_group = is_for_group(plain, &event->packet), is_host = event->node < plain->fabric->host_count;
    if (is_group && !is_host) {
        if (event->is_whole) {
            on_group(plain, event);
        } else {
            arrival_repeat(plain, event);
        }
        return;
    }
    if (!is_group && event->node != event->packet.dst) {
        on_forward(plain, event);
        return;
    }
    if (!event->is_whole) { /* a host that passes packets on takes its own in when their tails are there */
        arrival_repeat(plain, event);
        return;
    }
    host_receive(plain, event);
}

static void on_departed(struct plain *plain, const struct event *event)
{
    port_departed(plain, event->port, event->time_ps);
}

/* A port is woken once where it comes up, and at each wake_ps. Other wake-ups have been overtaken. */
static bool is_overtaken(const struct plain *plain, const struct event *event)
{
    if (event->kind != EVENT_LINK_UP) {
        return false;
    }
    const struct port *port = &plain->ports[event->port];
    return event->time_ps != (port->is_dark ? plain->fabric->port_up_ps[event->port] : port->wake_ps);
}

static void on_link_up(struct plain *plain, const struct event *event)
{
    struct port *port = &plain->ports[event->port];
    if (!is_overtaken(plain, event)) {
        port->is_dark = false;
        port->wake_ps = TIME_NEVER_PS;
        port_start(plain, event->port, event->time_ps);
    }
}

static void on_flush(struct plain *plain, const struct event *event)
{
    port_flush(plain, event->port, event->time_ps);
}

static void on_reroute(struct plain *plain, const struct event *event)
{
    port_reroute(plain, event->port, event->time_ps);
}

static void on_host_timer(struct plain *plain, const struct event *event)
{
    plain->config.ops->event(plain->config.context, event->node, HOST_TIMER, event->argument, event->time_ps);
}

static void on_host_operation(struct plain *plain, const struct event *event)
{
    plain->config.ops->event(plain->config.context, event->node, HOST_OPERATION, event->argument, event->time_ps);
}

static void (*const on_event[])(struct plain *, const struct event *) = {
    [EVENT_FLUSH] = on_flush,
    [EVENT_REROUTE] = on_reroute,
    [EVENT_LINK_UP] = on_link_up,
    [EVENT_DEPARTED] = on_departed,
    [EVENT_PAUSE] = on_pause,
    [EVENT_CREDIT] = on_credit,
    [EVENT_ARRIVED] = on_arrived,
    [EVENT_HOST_TIMER] = on_host_timer,
    [EVENT_HOST_OPERATION] = on_host_operation,
};

/* ---- the class -------------------------------------------------------------------------------------------- */

/* When routes change for good, what waits at dead links is dropped. */
static void flushes_make(struct plain *plain)
{
    const struct route_epochs *epochs = plain->config.epochs;
    for (uint32_t i = 0; plain->gatings != NULL && epochs != NULL && epochs->period_ps == 0 && i < epochs->count; i++) {
        for (uint32_t port = 0; port < plain->fabric->port_count; port++) {
            if (plain->gatings[port] != NULL && gating_is_down(plain->gatings[port], epochs->from_ps[i])) {
                struct event flush = {.time_ps = epochs->from_ps[i], .kind = EVENT_FLUSH,
                                      .node = plain->fabric->port_node[port], .port = port};
                event_heap_push(&plain->heap, &flush);
            }
        }
    }
}

static struct engine *plain_create(struct arena *arena, const struct engine_config *config)
{
    const struct fabric *fabric = config->fabric;
    struct plain *plain = arena_one(arena, struct plain);
    plain->base.class = &engine_plain;
    plain->config = *config;
    plain->fabric = fabric;
    plain->arena = arena;
    plain->pull_bytes_max = config->packet_bytes_max > 0 ? config->packet_bytes_max : PACKET_BYTES_MAX;
    plain->heap.arena = plain->controls.arena = arena;
    plain->tell_count = arena_array(arena, fabric->host_count, uint32_t);
    plain->gatings = gatings_new(arena, config);
    plain->ports = arena_array(arena, fabric->port_count, struct port);
    plain->used_bytes = arena_array(arena, fabric->node_count, uint64_t);
    plain->salt = arena_array(arena, fabric->node_count, uint64_t);
    for (uint32_t node = 0; node < fabric->node_count; node++) {
        plain->salt[node] = rng_draw(config->seed, RNG_SWITCH_SALT, node);
    }
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        port_init(plain, port);
    }
    flushes_make(plain);
    groups_init(plain);
    return &plain->base;
}

static void plain_kick(struct engine *engine, uint32_t host, uint32_t port, uint64_t now_ps)
{
    struct plain *plain = (struct plain *)engine;
    port_start(plain, plain->fabric->port_first[host] + port, now_ps);
}

static void plain_timer(struct engine *engine, uint32_t host, uint64_t when_ps, enum host_event kind,
                        uint64_t argument)
{
    struct plain *plain = (struct plain *)engine;
    struct event event = {.time_ps = when_ps, .node = host, .argument = argument,
                          .kind = kind == HOST_TIMER ? EVENT_HOST_TIMER : EVENT_HOST_OPERATION};
    event_heap_push(&plain->heap, &event);
}

/* The host's calls are numbered, so that they come in their order. */
static void plain_tell(struct engine *engine, uint32_t host, uint64_t argument, uint64_t now_ps)
{
    struct plain *plain = (struct plain *)engine;
    assert(plain->config.control_delay_ps > 0);
    struct event event = {.time_ps = now_ps + plain->config.control_delay_ps, .node = host,
                          .port = plain->tell_count[host]++, .argument = argument};
    event_heap_push(&plain->controls, &event);
}

static void plain_gate(struct engine *engine, uint32_t port, uint64_t open_ps, uint64_t close_ps)
{
    struct plain *plain = (struct plain *)engine;
    assert(plain->ports[port].gating != NULL);
    gating_command(plain->ports[port].gating, plain->arena, plain->control_ps, open_ps, close_ps);
    port_wake(plain, port, plain->control_ps);
}

static void control_run(struct plain *plain)
{
    struct event event = event_heap_pop(&plain->controls);
    plain->control_ps = event.time_ps;
    plain->config.ops->control(plain->config.context, event.node, event.argument, event.time_ps);
}

/* The first event, or TIME_NEVER_PS; *is_control where it is for the controller. */
static uint64_t event_next_ps(struct plain *plain, bool *is_control)
{
    while (plain->heap.count > 0 && is_overtaken(plain, &plain->heap.events[0])) {
        event_heap_pop(&plain->heap);
    }
    uint64_t first_ps = plain->heap.count > 0 ? plain->heap.events[0].time_ps : TIME_NEVER_PS;
    uint64_t control_ps = plain->controls.count > 0 ? plain->controls.events[0].time_ps : TIME_NEVER_PS;
    *is_control = plain->controls.count > 0 && control_ps <= first_ps;
    return *is_control ? control_ps : first_ps;
}

static uint64_t plain_run(struct engine *engine, uint64_t until_ps)
{
    struct plain *plain = (struct plain *)engine;
    const volatile int *interrupted = plain->config.interrupted;
    bool is_control;
    uint64_t next_ps = event_next_ps(plain, &is_control);
    while (next_ps <= until_ps && next_ps != TIME_NEVER_PS) {
        if (is_control) {
            control_run(plain);
        } else {
            struct event event = event_heap_pop(&plain->heap);
            on_event[event.kind](plain, &event);
        }
        next_ps = event_next_ps(plain, &is_control);
        if (interrupted != NULL && *interrupted) {
            break;
        }
    }
    return next_ps;
}

static void plain_counters(const struct engine *engine, uint32_t port, struct port_counters *counters)
{
    *counters = ((const struct plain *)engine)->ports[port].counters;
}

static void plain_sent_bytes(const struct engine *engine, uint64_t *bytes)
{
    const struct plain *plain = (const struct plain *)engine;
    for (uint32_t port = 0; port < plain->fabric->port_count; port++) {
        bytes[port] = plain->ports[port].counters.tx_bytes;
    }
}

static uint32_t plain_open_classes(const struct engine *engine, uint32_t host, uint32_t port_id)
{
    const struct plain *plain = (const struct plain *)engine;
    const struct port *port = &plain->ports[plain->fabric->port_first[host] + port_id];
    uint32_t open = 0;
    for (uint32_t class = 0; class < port->profile->class_count; class++) {
        open |= (uint32_t)port_class_is_open(plain, port, class, plain->config.packet_bytes_max) << class;
    }
    return open;
}

static void plain_waiting(const struct engine *engine, uint32_t port_id,
                          void (*visit)(void *context, uint32_t in_port, bool is_kept_back), void *context)
{
    const struct plain *plain = (const struct plain *)engine;
    const struct port *port = &plain->ports[port_id];
    for (uint32_t class = 0; class < port->profile->class_count; class++) {
        const struct class_queue *queue = &port->classes[class];
        uint64_t first_bytes = queue->count > 0 ? queue->ring[queue->head].packet.size_bytes : 0;
        bool is_kept_back = !port_class_is_open(plain, port, class, first_bytes);
        for (uint32_t i = 0; i < queue->count; i++) {
            visit(context, queue->ring[(queue->head + i) & (queue->capacity - 1)].in_port, is_kept_back);
        }
    }
}

static uint64_t plain_hop_count(const struct engine *engine)
{
    return ((const struct plain *)engine)->hop_count;
}

static uint64_t plain_in_flight(const struct engine *engine)
{
    return ((const struct plain *)engine)->in_flight;
}

const struct engine_class engine_plain = {
    .name = "plain",
    .create = plain_create,
    .kick = plain_kick,
    .timer = plain_timer,
    .tell = plain_tell,
    .gate = plain_gate,
    .run = plain_run,
    .run_past = plain_run,
    .sent_bytes = plain_sent_bytes,
    .counters = plain_counters,
    .open_classes = plain_open_classes,
    .waiting = plain_waiting,
    .hop_count = plain_hop_count,
    .packets_in_flight = plain_in_flight,
};

const struct engine_class *const engine_reference = &engine_plain;
