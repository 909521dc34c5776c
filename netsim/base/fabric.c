/* What every fabric must hold, whoever built it. */
#include "netsim/base/fabric_gates.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

const char *const phase_kind_names[] = {"job", "kind", "call", NULL};
const char *const circuit_traffic_names[] = {"any", "all_to_all", NULL};

char *fabric_node_text(const struct fabric *fabric, uint32_t node, char *text, size_t text_bytes)
{
    enum node_kind kind = fabric->node_kind[node];
    if (kind == NODE_SWITCH) {
        snprintf(text, text_bytes, "switch %" PRIu32 " (tier %u)", node, fabric->node_tier[node]);
    } else {
        snprintf(text, text_bytes, "%s %" PRIu32, kind == NODE_HOST ? "host" : "optical switch", node);
    }
    return text;
}

__attribute__((format(printf, 4, 5)))
static enum status broken(const struct fabric *fabric, uint32_t node, struct diag *diag, const char *format, ...)
{
    char what[256], name[48];
    va_list list;
    va_start(list, format);
    vsnprintf(what, sizeof what, format, list);
    va_end(list);
    return diag_set(diag, STATUS_INPUT, "fabric %s: %s %s", fabric->name,
                    fabric_node_text(fabric, node, name, sizeof name), what);
}

static enum status check_node(const struct fabric *fabric, uint32_t node, struct diag *diag)
{
    uint32_t first = fabric->port_first[node], last = fabric->port_first[node + 1];
    bool is_host = node < fabric->host_count;
    if (is_host != (fabric->node_kind[node] == NODE_HOST)) {
        return broken(fabric, node, diag, "is out of order; expected the hosts first, then the switches");
    }
    if (last < first || last > fabric->port_count) {
        return broken(fabric, node, diag, "has ports %" PRIu32 " to %" PRIu32 "; expected them inside 0 to %" PRIu32,
                      first, last, fabric->port_count);
    }
    if (is_host && first == last) {
        return broken(fabric, node, diag, "has no port; expected at least one");
    }
    if (is_host && last - first > FABRIC_HOST_PORTS_MAX) {
        return broken(fabric, node, diag, "has %" PRIu32 " ports; expected at most %d", last - first,
                      FABRIC_HOST_PORTS_MAX);
    }
    if (fabric->node_part[node] >= fabric->parts->count) {
        return broken(fabric, node, diag, "is of part %" PRIu32 ", which does not exist", fabric->node_part[node]);
    }
    return STATUS_OK;
}

static enum status check_port(const struct fabric *fabric, uint32_t port, struct diag *diag)
{
    uint32_t node = fabric->port_node[port], peer = fabric->port_peer[port];
    uint32_t local = port - fabric->port_first[node];
    if (fabric->rate_bps[port] == 0) {
        return broken(fabric, node, diag, "sends with 0 bit/s on port %" PRIu32 "; expected a rate", local);
    }
    if (fabric->port_part[port] >= fabric->parts->count || fabric->port_adapter[port] >= fabric->parts->count) {
        return broken(fabric, node, diag, "has a part on port %" PRIu32 " that does not exist", local);
    }
    if (peer == ID_NONE) {
        return fabric->plan != PLAN_NONE || fabric->optical_count > 0
                   ? STATUS_OK
                   : broken(fabric, node, diag, "has nothing at port %" PRIu32 "; expected a link", local);
    }
    if (peer >= fabric->port_count || peer == port || fabric->port_peer[peer] != port) {
        return broken(fabric, node, diag, "sends on port %" PRIu32 " to a port that does not send back", local);
    }
    return STATUS_OK;
}

static enum status check_optical(const struct fabric *fabric, const struct optical *optical, struct diag *diag)
{
    if (optical->node >= fabric->node_count || fabric->node_kind[optical->node] != NODE_OPTICAL) {
        return diag_set(diag, STATUS_INPUT, "fabric %s: node %" PRIu32 " is no optical switch", fabric->name,
                        optical->node);
    }
    for (uint32_t i = 0; i < optical->port_count; i++) {
        if (optical->port[i] >= fabric->port_count) {
            return broken(fabric, optical->node, diag, "ends a fibre of port %" PRIu32 ", which does not exist",
                          optical->port[i]);
        }
    }
    return STATUS_OK;
}

/* Links are duplex, so one walk from host 0 finds all that belongs together. */
static enum status check_connected(const struct fabric *fabric, struct diag *diag)
{
    struct arena *scratch = arena_new("fabric check");
    uint32_t *queue = arena_array(scratch, (size_t)fabric->node_count + 1, uint32_t); /* one is written ahead */
    uint8_t *is_seen = arena_array(scratch, fabric->node_count, uint8_t);
    uint32_t head = 0, tail = 0;
    queue[tail++] = 0;
    is_seen[0] = 1;
    while (head < tail) {
        uint32_t node = queue[head++];
        for (uint32_t port = fabric->port_first[node]; port < fabric->port_first[node + 1]; port++) {
            uint32_t peer = fabric->port_peer[port];
            uint32_t next = peer == ID_NONE ? node : fabric->port_node[peer];
            queue[tail] = next;
            tail += !is_seen[next];
            is_seen[next] = 1;
        }
    }
    uint32_t lost = 0;
    while (lost < fabric->host_count && is_seen[lost]) {
        lost++;
    }
    arena_free(scratch);
    return lost == fabric->host_count
               ? STATUS_OK
               : broken(fabric, lost, diag, "is cut off from host 0; expected every host to reach every other");
}

static enum status check_parts_of(const struct fabric *fabric, struct diag *diag)
{
    enum status status = STATUS_OK;
    for (uint32_t node = 0; status == STATUS_OK && node < fabric->node_count; node++) {
        status = check_node(fabric, node, diag);
    }
    for (uint32_t port = 0; status == STATUS_OK && port < fabric->port_count; port++) {
        status = check_port(fabric, port, diag);
    }
    for (uint32_t i = 0; status == STATUS_OK && i < fabric->optical_count; i++) {
        status = check_optical(fabric, &fabric->optical[i], diag);
    }
    return status;
}

enum status fabric_validate(const struct fabric *fabric, struct diag *diag)
{
    if (fabric->host_count == 0 || fabric->host_count > FABRIC_HOSTS_MAX) {
        return diag_set(diag, STATUS_INPUT, "fabric %s: has %" PRIu32 " hosts; expected 1 to %u", fabric->name,
                        fabric->host_count, FABRIC_HOSTS_MAX);
    }
    enum status status = check_parts_of(fabric, diag);
    status = status == STATUS_OK ? fabric_gates_validate(fabric, diag) : status;
    bool is_planned = fabric->plan == PLAN_NONE || fabric->plan_text != NULL;
    return status != STATUS_OK || !is_planned ? status : check_connected(fabric, diag);
}
