/* What goes back over a link: pause frames and credits. Both take the link's delay and no serialisation. */
#include "tests/reference_int.h"

/* The argument of an event: frames that arrive together are served in the order in which they were sent. */
enum { FRAME_CLASS_SHIFT = 14, FRAME_NUMBER_SHIFT = 17 };

static uint32_t frame_class(const struct event *event)
{
    return event->argument >> FRAME_CLASS_SHIFT & (CLASSES_MAX - 1);
}

const struct queue_profile *profile_of(const struct plain *plain, uint32_t node)
{
    const struct queue_profile *profile =
        node < plain->fabric->host_count ? plain->config.host_queues : plain->config.switch_queues;
    return profile != NULL ? profile : &queue_profile_plain;
}

/* Tells the port at the other end of the link by which packets come in at `in_port`. */
static void upstream_tell(struct plain *plain, uint32_t in_port, enum event_kind kind, uint64_t argument,
                          uint64_t now_ps)
{
    uint32_t upstream = plain->fabric->port_peer[in_port];
    argument |= plain->ports[in_port].frame_number++ << FRAME_NUMBER_SHIFT;
    struct event event = {.time_ps = now_ps + frame_delay_ps(link_delay_ps(plain->fabric, in_port)), .kind = (uint8_t)kind,
                          .node = plain->fabric->port_node[upstream], .port = upstream, .argument = argument};
    event_heap_push(&plain->heap, &event);
}

void input_hold(struct plain *plain, uint32_t in_port, uint32_t class, uint32_t bytes, uint64_t now_ps)
{
    uint32_t node = plain->fabric->port_node[in_port];
    const struct queue_class *rule = &profile_of(plain, node)->class[class];
    struct port *input = &plain->ports[in_port];
    input->held_bytes[class] += bytes;
    plain->used_bytes[node] += bytes;
    bool may_pause = queue_may_pause(plain->fabric, node);
    if (may_pause && rule->xoff_bytes > 0 && input->held_bytes[class] > queue_xoff_bytes(rule, input->headroom_bytes) &&
        !(input->pausing >> class & 1)) {
        input->pausing |= 1u << class;
        upstream_tell(plain, in_port, EVENT_PAUSE, (uint64_t)class << FRAME_CLASS_SHIFT | 1, now_ps);
    }
}

void input_release(struct plain *plain, uint32_t in_port, uint32_t class, uint32_t bytes, uint64_t now_ps)
{
    uint32_t node = plain->fabric->port_node[in_port];
    const struct queue_class *rule = &profile_of(plain, node)->class[class];
    struct port *input = &plain->ports[in_port];
    assert(input->held_bytes[class] >= bytes);
    input->held_bytes[class] -= bytes;
    plain->used_bytes[node] -= bytes;
    if ((input->pausing >> class & 1) && input->held_bytes[class] <= queue_xon_bytes(rule, input->headroom_bytes)) {
        input->pausing &= ~(1u << class);
        upstream_tell(plain, in_port, EVENT_PAUSE, (uint64_t)class << FRAME_CLASS_SHIFT, now_ps);
    }
    input_credit_return(plain, in_port, class, bytes, now_ps);
}

void input_credit_return(struct plain *plain, uint32_t in_port, uint32_t class, uint32_t bytes, uint64_t now_ps)
{
    uint32_t upstream_node = plain->fabric->port_node[plain->fabric->port_peer[in_port]];
    if (profile_of(plain, upstream_node)->class[class].credit_bytes > 0) {
        upstream_tell(plain, in_port, EVENT_CREDIT, (uint64_t)class << FRAME_CLASS_SHIFT | bytes, now_ps);
    }
}

void on_pause(struct plain *plain, const struct event *event)
{
    struct port *port = &plain->ports[event->port];
    uint32_t bit = 1u << frame_class(event);
    if (event->argument & 1) {
        port->counters.pauses++;
        port->paused_since_ps = port->paused == 0 ? event->time_ps : port->paused_since_ps;
        port->paused |= bit;
        return;
    }
    port->paused &= ~bit;
    if (port->paused == 0) {
        port->counters.pause_ps += event->time_ps - port->paused_since_ps;
    }
    port_start(plain, event->port, event->time_ps);
}

void on_credit(struct plain *plain, const struct event *event)
{
    plain->ports[event->port].credit_bytes[frame_class(event)] += event->argument & PACKET_BYTES_MAX;
    port_start(plain, event->port, event->time_ps);
}
