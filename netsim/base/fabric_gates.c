/* What the gates of a fabric must hold: windows in order, one transmitter at one peer at a time, room for a packet. */
#include "netsim/base/fabric_gates.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct span {
    uint64_t open_ps, close_ps, period_ps;
    uint32_t line, port;
};

static enum status gate_broken(const struct fabric *fabric, uint32_t gate, const char *what, struct diag *diag)
{
    return diag_set(diag, STATUS_INPUT, "fabric %s: gate %" PRIu32 " %s", fabric->name, gate, what);
}

static enum status check_gate(const struct fabric *fabric, uint32_t id, struct diag *diag)
{
    const struct gate *gate = &fabric->gates[id];
    if (gate->window_first > fabric->gate_window_count ||
        gate->window_count > fabric->gate_window_count - gate->window_first) {
        return gate_broken(fabric, id, "has windows that do not exist", diag);
    }
    const struct gate_window *windows = &fabric->gate_windows[gate->window_first];
    uint64_t before_ps = 0;
    for (uint32_t i = 0; i < gate->window_count; i++) {
        if (windows[i].open_ps < before_ps || windows[i].close_ps <= windows[i].open_ps) {
            return gate_broken(fabric, id, "has windows out of order; expected ascending, disjoint ones", diag);
        }
        before_ps = windows[i].close_ps;
    }
    if (gate->period_ps > 0 && gate->window_count > 0 &&
        (windows[gate->window_count - 1].open_ps >= gate->period_ps ||
         before_ps - windows[0].open_ps > gate->period_ps)) {
        return gate_broken(fabric, id, "has windows that do not lie inside its period", diag);
    }
    return STATUS_OK;
}

static int span_order(const void *a_, const void *b_)
{
    const struct span *a = a_, *b = b_;
    if (a->line != b->line) {
        return a->line < b->line ? -1 : 1;
    }
    if (a->open_ps != b->open_ps) {
        return a->open_ps < b->open_ps ? -1 : 1;
    }
    return a->port < b->port ? -1 : a->port > b->port;
}

/* A port that is always open has one window without an end. */
static size_t spans_put(const struct fabric *fabric, uint32_t port, struct span *spans)
{
    uint32_t gate_id = fabric->port_gate[port], line = fabric->port_line[port];
    if (gate_id == ID_NONE) {
        spans[0] = (struct span){0, TIME_NEVER_PS, 0, line, port};
        return 1;
    }
    const struct gate *gate = &fabric->gates[gate_id];
    for (uint32_t i = 0; i < gate->window_count; i++) {
        const struct gate_window *window = &fabric->gate_windows[gate->window_first + i];
        spans[i] = (struct span){window->open_ps, window->close_ps, gate->period_ps, line, port};
    }
    return gate->window_count;
}

static char *span_text(const struct fabric *fabric, const struct span *span, char *text, size_t text_bytes)
{
    char node_text[48], open[32], close[32] = "for ever";
    uint32_t node = fabric->port_node[span->port];
    quantity_print_u64(QUANTITY_TIME, span->open_ps, open, sizeof open);
    if (span->close_ps != TIME_NEVER_PS) {
        quantity_print_u64(QUANTITY_TIME, span->close_ps, close, sizeof close);
    }
    snprintf(text, text_bytes, "port %" PRIu32 " of %s (open from %s to %s)",
             span->port - fabric->port_first[node], fabric_node_text(fabric, node, node_text, sizeof node_text), open,
             close);
    return text;
}

static enum status check_pair(const struct fabric *fabric, const struct span *a, const struct span *b, bool is_around,
                              struct diag *diag)
{
    char text_a[192], text_b[192];
    if (a->line != b->line || a == b) {
        return STATUS_OK;
    }
    bool has_one_period = a->period_ps == b->period_ps;
    uint64_t open_ps = b->open_ps + (is_around ? b->period_ps : 0);
    if (has_one_period && a->close_ps <= open_ps) {
        return STATUS_OK;
    }
    return diag_set(diag, STATUS_INPUT, "fabric %s: %s and %s have one transmitter; expected %s", fabric->name,
                    span_text(fabric, a, text_a, sizeof text_a), span_text(fabric, b, text_b, sizeof text_b),
                    has_one_period ? "windows that are apart" : "gates of one period");
}

static enum status check_spans(const struct fabric *fabric, const struct span *spans, size_t count, struct diag *diag)
{
    enum status status = STATUS_OK;
    size_t line_first = 0;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        bool is_last = i + 1 == count || spans[i + 1].line != spans[i].line;
        if (!is_last) {
            status = check_pair(fabric, &spans[i], &spans[i + 1], false, diag);
        } else {
            bool is_cyclic = spans[i].period_ps > 0;
            status = is_cyclic ? check_pair(fabric, &spans[i], &spans[line_first], true, diag) : STATUS_OK;
            line_first = i + 1;
        }
    }
    return status;
}

static enum status check_lines(const struct fabric *fabric, struct diag *diag)
{
    size_t count = 0, at = 0;
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        uint32_t gate = fabric->port_gate[port];
        count += gate == ID_NONE ? 1 : fabric->gates[gate].window_count;
    }
    struct arena *scratch = arena_new("gate check");
    struct span *spans = arena_array(scratch, count, struct span);
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        at += spans_put(fabric, port, spans + at);
    }
    qsort(spans, count, sizeof *spans, span_order);
    enum status status = check_spans(fabric, spans, count, diag);
    arena_free(scratch);
    return status;
}

static enum status check_port_gates(const struct fabric *fabric, struct diag *diag)
{
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        if (fabric->port_gate[port] != ID_NONE && fabric->port_gate[port] >= fabric->gate_count) {
            return diag_set(diag, STATUS_INPUT, "fabric %s: port %" PRIu32 " has gate %" PRIu32 ", which does not exist",
                            fabric->name, port, fabric->port_gate[port]);
        }
    }
    return STATUS_OK;
}

static enum status check_detours(const struct fabric *fabric, struct diag *diag)
{
    for (uint32_t node = 0; node < fabric->node_count; node++) {
        const struct detour *detour = &fabric->detours[node];
        uint32_t ports = fabric->port_first[node + 1] - fabric->port_first[node];
        if (detour->first > ports || detour->count > ports - detour->first) {
            char name[48];
            return diag_set(diag, STATUS_INPUT,
                            "fabric %s: %s has detours by ports %" PRIu32 " to %" PRIu32 " of %" PRIu32, fabric->name,
                            fabric_node_text(fabric, node, name, sizeof name), detour->first,
                            detour->first + detour->count, ports);
        }
    }
    return STATUS_OK;
}

enum status fabric_gates_validate(const struct fabric *fabric, struct diag *diag)
{
    enum status status = STATUS_OK;
    for (uint32_t gate = 0; fabric->gates != NULL && status == STATUS_OK && gate < fabric->gate_count; gate++) {
        status = check_gate(fabric, gate, diag);
    }
    if (status == STATUS_OK && fabric->port_gate != NULL) {
        status = check_port_gates(fabric, diag);
    }
    if (status == STATUS_OK && fabric->port_gate != NULL && fabric->port_line != NULL) {
        status = check_lines(fabric, diag);
    }
    return status == STATUS_OK && fabric->detours != NULL ? check_detours(fabric, diag) : status;
}

static uint64_t shortest_window_ps(const struct fabric *fabric, const struct gate *gate)
{
    uint64_t shortest_ps = TIME_NEVER_PS;
    for (uint32_t i = 0; i < gate->window_count; i++) {
        const struct gate_window *window = &fabric->gate_windows[gate->window_first + i];
        uint64_t length_ps = window->close_ps - window->open_ps;
        shortest_ps = length_ps < shortest_ps ? length_ps : shortest_ps;
    }
    return shortest_ps;
}

/* What must fit into a window: a packet, a cell, or the cells of a packet. */
struct piece {
    const char *what, *remedy;
    uint64_t bytes, service_ps, count; /* the last: of a packet */
};

static struct piece piece_of(const struct fabric *fabric, uint32_t port, uint64_t packet_bytes,
                             const struct cell_shape *cells)
{
    uint64_t service_ps = fabric_service_ps(fabric, cells, port, packet_bytes);
    if (!fabric_has_cells(fabric, cells, port)) {
        return (struct piece){"a packet", "packets (packet.size)", packet_bytes, service_ps, 1};
    }
    uint64_t count = cells_count(cells, packet_bytes);
    if (fabric->gates[fabric->port_gate[port]].is_rerouting) {
        return (struct piece){"a packet in cells", "packets (packet.size)", count * cells->bytes, service_ps, 1};
    }
    return (struct piece){"a cell", "cells (packet.cell)", cells->bytes, service_ps / count, count};
}

static enum status window_short(const struct fabric *fabric, uint32_t port, uint64_t window_ps, const struct piece *piece,
                                struct diag *diag)
{
    char node[48], window[32], service[32];
    return diag_set(diag, STATUS_INPUT,
                    "fabric %s: a window of port %" PRIu32 " of %s lasts %s, %s of %" PRIu64
                    " B takes %s; expected longer windows or smaller %s",
                    fabric->name, port - fabric->port_first[fabric->port_node[port]],
                    fabric_node_text(fabric, fabric->port_node[port], node, sizeof node),
                    quantity_print_u64(QUANTITY_TIME, window_ps, window, sizeof window), piece->what, piece->bytes,
                    quantity_print_u64(QUANTITY_TIME, piece->service_ps, service, sizeof service), piece->remedy);
}

enum status fabric_check_gates(const struct fabric *fabric, uint64_t packet_bytes_max, const struct cell_shape *cells,
                               struct diag *diag)
{
    for (uint32_t port = 0; fabric->port_gate != NULL && port < fabric->port_count; port++) {
        if (fabric->port_gate[port] == ID_NONE) {
            continue;
        }
        struct piece piece = piece_of(fabric, port, packet_bytes_max, cells);
        uint64_t window_ps = shortest_window_ps(fabric, &fabric->gates[fabric->port_gate[port]]);
        if (piece.service_ps > window_ps) {
            return window_short(fabric, port, window_ps, &piece, diag);
        }
    }
    return STATUS_OK;
}

uint64_t fabric_windows_max(const struct fabric *fabric, const struct cell_shape *cells, uint32_t port,
                            uint64_t packet_bytes)
{
    if (fabric->port_gate == NULL || fabric->port_gate[port] == ID_NONE || !fabric_has_cells(fabric, cells, port)) {
        return 1;
    }
    struct piece piece = piece_of(fabric, port, packet_bytes, cells);
    uint64_t fitting = shortest_window_ps(fabric, &fabric->gates[fabric->port_gate[port]]) / piece.service_ps;
    return fitting == 0 ? 1 : 1 + (piece.count - 1 + fitting - 1) / fitting; /* one cell in the first, then all that fit */
}
