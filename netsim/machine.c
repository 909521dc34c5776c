#include "netsim/machine.h"

struct collective_machine machine_of(const struct fabric *fabric, uint32_t server_hosts, uint64_t local_bps)
{
    struct collective_machine machine = {.server_hosts = server_hosts > 0 ? server_hosts : fabric->server_hosts};
    for (uint32_t port = fabric->port_first[0]; port < fabric->port_first[1]; port++) {
        bool is_scale_up = port - fabric->port_first[0] < fabric->server_ports;
        machine.rate_bps[is_scale_up ? MEDIUM_SCALE_UP : MEDIUM_SCALE_OUT] += fabric->rate_bps[port];
    }
    if (machine.server_hosts <= 1 && local_bps > 0) {
        machine.server_hosts = 1;
        machine.rate_bps[MEDIUM_SCALE_UP] = local_bps;
    }
    return machine;
}

#define WORD_BYTES 8

void machine_idle(const struct fabric *fabric, const struct routes *routes, const struct packet_shape *shape,
                  const struct collective_machine *machine, uint64_t idle_ps[MEDIUM_COUNT])
{
    uint32_t width = machine->server_hosts > 1 ? machine->server_hosts : 1;
    idle_ps[MEDIUM_SCALE_UP] = idle_ps[MEDIUM_SCALE_OUT] = 0;
    if (width > 1 && fabric->host_count > 1) {
        idle_ps[MEDIUM_SCALE_UP] = path_idle_ps(fabric, routes, shape, true, 0, 1, WORD_BYTES);
    }
    if (fabric->host_count > width) {
        idle_ps[MEDIUM_SCALE_OUT] = path_idle_ps(fabric, routes, shape, true, 0, width, WORD_BYTES);
    }
}
