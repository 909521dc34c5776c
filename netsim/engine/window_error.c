/* Links with bit errors in the windowed engine. A lossy port is never plain: it is served packet by packet, whatever its
 * neighbours are, and ports that lose nothing pay nothing. */
#include "netsim/engine/error.h"
#include "netsim/engine/window.h"

struct error_port {
    struct frame_loss loss;
    uint64_t round_ps;
    uint64_t error_packets, error_bytes, repeats, repeat_bytes;
};

static struct error_port *error_of(const struct window_core *core, const struct window_port *port)
{
    return &core->error_ports[port - core->ports];
}

bool error_draw(struct worker *worker, struct window_port *port, uint64_t wire_bytes, bool may_repeat,
                struct link_use *use)
{
    const struct window_core *core = worker->core;
    struct error_port *error = error_of(core, port);
    uint64_t chance = frame_loss_chance(&error->loss, wire_bytes);
    uint32_t tries = may_repeat && core->config.links_repeat ? LINK_REPEATS_MAX + 1 : 1;
    uint32_t fails = link_fails(core->config.seed, (uint32_t)(port - core->ports), port->tx_packets, chance, tries);
    uint64_t repeats = fails < tries ? fails : tries - 1;
    if (repeats > 0) {
        use->service_ps += repeats * (use->service_ps + error->round_ps);
        use->fate = LINK_CARRIES_WHOLE;
        error->repeats += repeats;
        error->repeat_bytes += repeats * wire_bytes;
    }
    return fails == tries;
}

void error_count(struct worker *worker, const struct window_port *port, const struct packet *packet, struct link_use *use)
{
    struct error_port *error = error_of(worker->core, port);
    error->error_packets++;
    error->error_bytes += packet->size_bytes;
    worker->in_flight--;
    use->fate = LINK_LOSES;
}

void port_transmit_lossy(struct worker *worker, struct window_port *port, const struct packet *packet, uint64_t since_ps,
                         uint64_t start_ps)
{
    struct link_use use = {port_service_ps(port, packet->size_bytes), LINK_CARRIES};
    bool is_destination = port->peer_id == packet->dst;
    if (error_draw(worker, port, packet->size_bytes, true, &use)) {
        error_count(worker, port, packet, &use);
    }
    port_depart(worker, port, packet, since_ps, start_ps, use.service_ps);
    if (use.fate == LINK_CARRIES) {
        port_deliver(worker, port, packet, start_ps, is_destination);
    } else if (use.fate == LINK_CARRIES_WHOLE) {
        port_deliver_whole(worker, port, packet, start_ps + use.service_ps, is_destination);
    }
}

void error_ports_make(struct window_core *core)
{
    const struct fabric *fabric = core->fabric;
    core->error_ports = arena_array(core->arena, fabric->port_count, struct error_port);
    for (uint32_t id = 0; id < fabric->port_count; id++) {
        core->error_ports[id].loss = fabric->port_frame_loss[id];
        core->ports[id].is_lossy = fabric->port_frame_loss[id].chance > 0 && fabric->port_peer[id] != ID_NONE;
        core->error_ports[id].round_ps = core->ports[id].is_lossy ? link_round_ps(fabric, id) : 0;
    }
}

void error_counters(const struct window_core *core, uint32_t port_id, struct port_counters *counters)
{
    const struct error_port *error = &core->error_ports[port_id];
    counters->error_packets = error->error_packets;
    counters->error_bytes = error->error_bytes;
    counters->repeats = error->repeats;
    counters->repeat_bytes = error->repeat_bytes;
    counters->rx_packets -= error->error_packets;
    counters->rx_bytes -= error->error_bytes;
}
