#include "topologies/tors.h"

#include <inttypes.h>
#include <stdio.h>

struct tors {
    struct build build;
    const struct tors_values *values;
    const struct tors_plan *plan;
    uint32_t hosts, count;
    uint32_t gpu, nic, host_module, switch_module, uplink_module, box, ocs, medium;
};

/* ---- sizes ---------------------------------------------------------------------------------------------------- */

static uint32_t hosts_wanted(const struct tors_values *values, const struct fabric_request *request)
{
    uint32_t hosts = values->hosts > 0 ? (uint32_t)values->hosts : request->hosts_wanted;
    bool is_open = hosts == 0 && values->tors > 0;
    return is_open ? (uint32_t)(values->tors * values->per_tor) : hosts > 0 ? hosts : BUILD_HOSTS_DEFAULT;
}

enum status tors_count(const struct tors_values *values, const struct fabric_request *request, bool even,
                       uint32_t *tors, struct diag *diag)
{
    uint64_t hosts = hosts_wanted(values, request);
    *tors = (uint32_t)((hosts + values->per_tor - 1) / values->per_tor);
    *tors += even && *tors % 2 == 1;
    *tors = *tors < 2 ? 2 : *tors;
    if (values->tors == 0) {
        return STATUS_OK;
    }
    *tors = (uint32_t)values->tors;
    if (*tors < 2 || (even && *tors % 2 == 1)) {
        return diag_input(diag, build_origin(request, "tors"),
                          "tors: %" PRIu32 " switches cannot be joined in pairs; expected an even number", *tors);
    }
    if (*tors * values->per_tor < hosts) {
        return diag_input(diag, build_origin(request, "tors"),
                          "tors: %" PRIu32 " switches with %" PRIu64 " hosts each hold %" PRIu64 " hosts, not %" PRIu64
                          "; expected at least %" PRIu64 " switches",
                          *tors, values->per_tor, *tors * values->per_tor, hosts,
                          (hosts + values->per_tor - 1) / values->per_tor);
    }
    return STATUS_OK;
}

static void divisors_text(uint32_t number, char *text, size_t text_bytes)
{
    size_t used = 0;
    for (uint32_t i = 1; i <= number && used < text_bytes; i++) {
        if (number % i == 0) {
            used += (size_t)snprintf(text + used, text_bytes - used, "%s%" PRIu32, used > 0 ? ", " : "", i);
        }
    }
}

enum status tors_uplinks(const struct tors_values *values, const struct fabric_request *request, const char *key,
                         uint64_t wanted, uint32_t matchings, uint32_t *uplinks, struct diag *diag)
{
    *uplinks = 1;
    for (uint32_t i = 2; wanted == 0 && i <= values->per_tor && i <= matchings; i++) {
        *uplinks = matchings % i == 0 ? i : *uplinks;
    }
    if (wanted == 0) {
        return STATUS_OK;
    }
    *uplinks = (uint32_t)wanted;
    if (wanted <= matchings && matchings % wanted == 0) {
        return STATUS_OK;
    }
    char divisors[120];
    divisors_text(matchings, divisors, sizeof divisors);
    return diag_input(diag, build_origin(request, key),
                      "%s: %" PRIu32 " matchings do not divide among %" PRIu64 "; expected one of %s", key, matchings,
                      wanted, divisors);
}

enum status tors_slot_check(const struct fabric_request *request, const char *slot_key, uint64_t slot_ps,
                            const char *dark_key, uint64_t dark_ps, struct diag *diag)
{
    char slot[32], dark[32];
    bool is_slot_given = build_origin(request, slot_key).line != request->at.line;
    return slot_ps > dark_ps
               ? STATUS_OK
               : diag_input(diag, build_origin(request, is_slot_given ? slot_key : dark_key),
                            "%s of %s is dark for all of it (%s: %s); expected it longer than that", slot_key,
                            quantity_print_u64(QUANTITY_TIME, slot_ps, slot, sizeof slot), dark_key,
                            quantity_print_u64(QUANTITY_TIME, dark_ps, dark, sizeof dark));
}

/* Circle method: the last one stands still, the others meet where their numbers add up to the matching. */
uint32_t tors_matching(uint32_t tors, uint32_t a, uint32_t b)
{
    uint32_t last = tors - 1;
    if (a == last || b == last) {
        uint32_t other = a == last ? b : a;
        return 2 * other % last;
    }
    return (a + b) % last;
}

/* ---- layout --------------------------------------------------------------------------------------------------- */

static uint32_t tor_hosts(const struct tors *tors, uint32_t tor)
{
    uint32_t per = (uint32_t)tors->values->per_tor, first = tor * per;
    return first >= tors->hosts ? 0 : tors->hosts - first < per ? tors->hosts - first : per;
}

static uint32_t circuit_port(const struct tors *tors, uint32_t from, uint32_t to)
{
    uint32_t first = tors->build.port_first[tors->hosts + from] + tor_hosts(tors, from);
    return first + (to < from ? to : to - 1);
}

static enum status parts_find(struct tors *tors, const struct fabric_request *request, struct diag *diag)
{
    const struct tors_values *values = tors->values;
    const struct build_part_row all[] = {
        {"gpu", values->gpu, BUILD_CLASS(GPU), &tors->gpu},
        {"nic", values->nic, BUILD_CLASS(NIC), &tors->nic},
        {"host_module", values->host_module, BUILD_LINK_ENDS, &tors->host_module},
        {"switch_module", values->switch_module, BUILD_LINK_ENDS, &tors->switch_module},
        {"uplink_module", values->uplink_module, BUILD_CLASS(MODULE) | BUILD_CLASS(CPO), &tors->uplink_module},
        {"switch", values->switch_part, BUILD_CLASS(SWITCH), &tors->box},
        {"ocs", values->ocs, BUILD_CLASS(OCS), &tors->ocs},
        {"medium", values->medium, BUILD_CLASS(FIBRE), &tors->medium},
    };
    return build_parts(request, all, sizeof all / sizeof all[0], diag);
}

static void nodes_lay_out(struct tors *tors)
{
    const struct tors_values *values = tors->values;
    uint64_t latency_ps = values->switch_latency_ps;
    if (latency_ps == 0 && values->has_device_latency) {
        latency_ps = build_part_u64(tors->build.request->parts, tors->box, PART_LATENCY_PS);
    }
    struct build_node host = {NODE_HOST, tors->gpu, 0, false, 0};
    struct build_node box = {NODE_SWITCH, tors->box, 1, values->is_cut_through, latency_ps};
    struct build_node core = {NODE_OPTICAL, tors->ocs, 2, false, 0};
    for (uint32_t i = 0; i < tors->hosts; i++) {
        build_node(&tors->build, &host, 1);
    }
    for (uint32_t i = 0; i < tors->count; i++) {
        build_node(&tors->build, &box, tor_hosts(tors, i) + tors->count - 1);
    }
    for (uint32_t i = 0; i < tors->plan->optical_switches; i++) {
        build_node(&tors->build, &core, 0);
    }
}

static struct build_link link_of(const struct tors *tors, uint64_t rate_bps)
{
    return (struct build_link){
        .rate_bps = rate_bps,
        .delay_ps = tors->values->link_delay_ps,
        .queue_bytes = tors->values->queue_bytes > 0 ? tors->values->queue_bytes : UINT64_MAX,
        .has_device_latency = tors->values->has_device_latency,
    };
}

static void hosts_join(struct tors *tors)
{
    const struct tors_values *values = tors->values;
    const struct part_table *parts = tors->build.request->parts;
    struct build_link link = link_of(tors, values->host_link_rate_bps > 0 ? values->host_link_rate_bps
                                                                         : values->link_rate_bps);
    link.delay_ps = link.delay_ps > 0 ? link.delay_ps : build_length_ps(parts, tors->medium, values->host_length_m);
    link.loss_mdb = build_length_loss_mdb(parts, tors->medium, values->host_length_m, BUILD_CONNECTORS_LINK);
    for (uint32_t host = 0; host < tors->hosts; host++) {
        uint32_t tor = host / (uint32_t)values->per_tor, place = host % (uint32_t)values->per_tor;
        struct build_end up = {.port = tors->build.port_first[host], .module = tors->host_module,
                               .adapter = tors->nic, .adapter_ps = build_part_u64(parts, tors->nic, PART_LATENCY_PS)};
        struct build_end down = {.port = tors->build.port_first[tors->hosts + tor] + place,
                                 .module = tors->switch_module};
        build_join(&tors->build, &link, &up, &down);
    }
}

/* The circuit's way is both fibres and the switch between them; each end keeps the loss of its own fibre. */
static void circuits_join(struct tors *tors)
{
    const struct tors_values *values = tors->values;
    const struct part_table *parts = tors->build.request->parts;
    struct build_link link = link_of(tors, values->link_rate_bps);
    if (link.delay_ps == 0) {
        link.delay_ps = 2 * build_length_ps(parts, tors->medium, values->fibre_length_m);
        link.delay_ps += values->has_device_latency ? build_part_u64(parts, tors->ocs, PART_LATENCY_PS) : 0;
    }
    link.loss_mdb = build_length_loss_mdb(parts, tors->medium, values->fibre_length_m, BUILD_CONNECTORS_FIBRE);
    for (uint32_t from = 0; from < tors->count; from++) {
        for (uint32_t to = from + 1; to < tors->count; to++) {
            struct build_end left = {.port = circuit_port(tors, from, to), .module = tors->uplink_module};
            struct build_end right = {.port = circuit_port(tors, to, from), .module = tors->uplink_module};
            build_join(&tors->build, &link, &left, &right);
        }
    }
}

/* ---- the schedule --------------------------------------------------------------------------------------------- */

static void gates_set_up(const struct tors *tors, struct fabric *fabric)
{
    struct arena *arena = fabric->arena;
    const struct tors_plan *plan = tors->plan;
    struct gate *gates = arena_array(arena, plan->window_count, struct gate);
    for (uint32_t i = 0; i < plan->window_count; i++) {
        gates[i] = (struct gate){plan->period_ps, i, 1, plan->is_rerouting};
    }
    uint32_t *port_gate = arena_array(arena, fabric->port_count, uint32_t);
    uint32_t *port_line = arena_array(arena, fabric->port_count, uint32_t);
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        port_gate[port] = ID_NONE;
        port_line[port] = port;
    }
    uint32_t *first = arena_array(arena, (size_t)tors->count * plan->uplinks, uint32_t); /* port of the line + 1 */
    for (uint32_t from = 0; from < tors->count; from++) {
        for (uint32_t to = 0; to < tors->count; to++) {
            uint32_t uplink, window, port = from == to ? 0 : circuit_port(tors, from, to);
            if (from != to) {
                plan->join(plan->context, from, to, &uplink, &window);
                uint32_t *line = &first[from * plan->uplinks + uplink];
                *line = *line == 0 ? port + 1 : *line;
                port_gate[port] = window;
                port_line[port] = *line - 1;
            }
        }
    }
    fabric->gates = gates;
    fabric->gate_count = fabric->gate_window_count = plan->window_count;
    fabric->gate_windows = plan->windows;
    fabric->port_gate = port_gate;
    fabric->port_line = port_line;
}

static void detours_set_up(const struct tors *tors, struct fabric *fabric)
{
    struct detour *detours = arena_array(fabric->arena, fabric->node_count, struct detour);
    for (uint32_t tor = 0; tor < tors->count; tor++) {
        detours[tors->hosts + tor] = (struct detour){tor_hosts(tors, tor), tors->count - 1, tors->plan->detour,
                                                     tors->plan->detour_threshold_bytes};
    }
    fabric->detours = tors->plan->detour == DETOUR_NONE ? NULL : detours;
}

static void optical_set_up(const struct tors *tors, struct fabric *fabric)
{
    const struct tors_plan *plan = tors->plan;
    struct arena *arena = fabric->arena;
    uint32_t all = tors->count * (tors->count - 1);
    struct optical *optical = arena_array(arena, plan->optical_switches, struct optical);
    for (uint32_t i = 0; i < plan->optical_switches; i++) {
        uint32_t *ports = arena_array(arena, all, uint32_t), count = 0;
        for (uint32_t from = 0; from < tors->count; from++) {
            for (uint32_t to = 0; to < tors->count; to++) {
                uint32_t uplink = 0, window;
                if (from != to) {
                    plan->join(plan->context, from, to, &uplink, &window);
                }
                if (from != to && (plan->optical_switches == 1 || uplink == i)) {
                    ports[count++] = circuit_port(tors, from, to);
                }
            }
        }
        optical[i] = (struct optical){.node = tors->hosts + tors->count + i, .part_id = tors->ocs,
                                      .settle_ps = plan->settle_ps, .port_count = count, .port = ports};
    }
    fabric->optical = optical;
    fabric->optical_count = plan->optical_switches;
}

enum status tors_build(const struct tors_values *values, uint32_t tors_count, const struct tors_plan *plan,
                       const struct fabric_request *request, struct fabric *fabric, struct diag *diag)
{
    struct tors tors = {.values = values, .plan = plan, .count = tors_count, .hosts = hosts_wanted(values, request)};
    enum status status = parts_find(&tors, request, diag);
    uint64_t nodes = (uint64_t)tors.hosts + tors_count + plan->optical_switches;
    uint64_t ports = 2 * (uint64_t)tors.hosts + (uint64_t)tors_count * (tors_count - 1);
    status = status == STATUS_OK ? build_size_check(request, nodes, ports, diag) : status;
    if (status != STATUS_OK) {
        return status;
    }
    if (values->per_tor + tors_count - 1 > BUILD_RADIX_MAX) {
        return diag_input(diag, build_origin(request, "tors"), "a ToR would need %" PRIu64 " ports; expected at most %d",
                          values->per_tor + tors_count - 1, BUILD_RADIX_MAX);
    }
    build_begin(&tors.build, request, fabric, diag, tors.hosts, nodes, ports);
    nodes_lay_out(&tors);
    hosts_join(&tors);
    circuits_join(&tors);
    build_end(&tors.build);
    gates_set_up(&tors, fabric);
    detours_set_up(&tors, fabric);
    optical_set_up(&tors, fabric);
    fabric->is_host_end = true;
    return STATUS_OK;
}
