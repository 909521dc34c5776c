/* Packets of groups at a switch: copied, or combined and sent on. See group.h. */
#include "tests/reference_int.h"

/* What a switch has combined comes back to it as an arrival by a port behind its last one. */
static uint32_t own_port(const struct plain *plain, uint32_t node)
{
    return plain->fabric->port_first[node + 1];
}

/* In and out of the buffer at once. */
static void input_pass(struct plain *plain, const struct event *event)
{
    uint32_t class = class_of(plain->ports[event->port].profile, &event->packet);
    input_hold(plain, event->port, class, event->packet.size_bytes, event->time_ps);
    input_release(plain, event->port, class, event->packet.size_bytes, event->time_ps);
}

static void copies_make(struct plain *plain, const struct event *event, const struct group_hop *hop)
{
    const struct group_table *groups = plain->config.groups;
    uint32_t first = plain->fabric->port_first[event->node], last = ID_NONE;
    bool is_up_too = hop->fan_in == 0 && hop->up_port != ID_NONE;
    for (uint32_t i = 0; i < hop->down_count + is_up_too; i++) {
        uint32_t local = i < hop->down_count ? groups->ports[hop->down_first + i] : hop->up_port;
        if (hop->fan_in == 0 && first + local == event->port) {
            continue;
        }
        if (last != ID_NONE) {
            port_make(plain, last, &event->packet, ID_NONE, event->time_ps);
        }
        last = first + local;
    }
    bool is_own = event->port == own_port(plain, event->node);
    if (last != ID_NONE) {
        port_make(plain, last, &event->packet, is_own ? ID_NONE : event->port, event->time_ps);
    } else if (!is_own) {
        input_pass(plain, event);
    }
}

static void contribution(struct plain *plain, const struct event *event, const struct group_hop *hop)
{
    uint32_t group = event->packet.dst - plain->fabric->host_count;
    input_pass(plain, event);
    if (combine_add(&plain->combines[event->node], group, event->packet.seq, hop->fan_in)) {
        struct event result = *event;
        result.port = own_port(plain, event->node);
        result.argument = plain->result_count++; /* equal times: in the order in which they were complete */
        result.time_ps += plain->config.groups->combine_ps;
        plain->in_flight++;
        event_heap_push(&plain->heap, &result);
    }
}

static void group_count_in(struct plain *plain, const struct event *event)
{
    struct port_counters *in = &plain->ports[event->port].counters;
    struct port_counters *link = &plain->ports[plain->fabric->port_peer[event->port]].counters;
    link->rx_packets++;
    link->rx_bytes += event->packet.size_bytes;
    in->group_in_packets++;
    in->group_in_bytes += event->packet.size_bytes;
}

void on_group(struct plain *plain, const struct event *event)
{
    const struct group_table *groups = plain->config.groups;
    const struct group_hop *hop =
        group_hop_find(groups, event->packet.dst - plain->fabric->host_count, event->node);
    assert(hop != NULL); /* else no host of the group sends by this way */
    bool is_own = event->port == own_port(plain, event->node);
    plain->in_flight--;
    if (!is_own) {
        group_count_in(plain, event);
    }
    bool is_from_above = hop->up_port != ID_NONE && event->port == plain->fabric->port_first[event->node] + hop->up_port;
    if (hop->fan_in == 0 || is_from_above || (is_own && hop->up_port == ID_NONE)) {
        copies_make(plain, event, hop);
    } else if (is_own) {
        port_make(plain, plain->fabric->port_first[event->node] + hop->up_port, &event->packet, ID_NONE, event->time_ps);
    } else {
        contribution(plain, event, hop);
    }
}

void groups_init(struct plain *plain)
{
    const struct group_table *groups = plain->config.groups;
    if (groups == NULL) {
        return;
    }
    plain->combines = arena_array(plain->arena, plain->fabric->node_count, struct combine_table);
    for (uint32_t group = 0; group < groups->count; group++) {
        for (uint32_t i = 0; i < groups->groups[group].hop_count; i++) {
            uint32_t node = groups->hops[groups->groups[group].hop_first + i].node;
            if (plain->combines[node].entries == NULL) {
                combine_table_init(&plain->combines[node], plain->arena, groups->entries_max);
            }
        }
    }
}
