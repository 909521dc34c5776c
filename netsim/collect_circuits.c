#include "netsim/circuits.h"
#include "netsim/collect.h"

/* When a circuit could carry packets. */
struct light {
    uint64_t first_ps, last_ps, lit_ps, count;
};

/* Of the pair's circuits, which are all there or none (I4 of schedule.h), from the changes of its region. */
static struct light light_of(const struct facts *facts, uint32_t region_id, uint32_t pair, uint64_t makespan_ps)
{
    const struct schedule_region *region = &circuits_schedule(facts->circuits)->regions[region_id];
    size_t count;
    const struct controller_change *changes = controller_changes(circuits_controller(facts->circuits), &count);
    struct light light = {0, 0, 0, 0};
    uint64_t since_ps = TIME_NEVER_PS; /* lit since */
    for (size_t i = 0; i <= count; i++) {
        bool is_end = i == count;
        if (!is_end && changes[i].region != region_id) {
            continue;
        }
        bool is_on = !is_end && schedule_has(region, changes[i].config, pair);
        uint64_t now_ps = is_end || changes[i].decided_ps > makespan_ps ? makespan_ps : changes[i].decided_ps;
        if (!is_on && since_ps != TIME_NEVER_PS) {
            light.lit_ps += now_ps > since_ps ? now_ps - since_ps : 0;
            light.last_ps = now_ps;
            since_ps = TIME_NEVER_PS;
        } else if (is_on && since_ps == TIME_NEVER_PS) {
            since_ps = changes[i].lit_ps;
            light.first_ps = light.count == 0 ? since_ps : light.first_ps;
            light.count++;
        }
    }
    return light;
}

static struct result_circuits circuit_row(const struct facts *facts, uint32_t port)
{
    const struct fabric *fabric = facts->fabric;
    uint32_t peer = fabric->port_peer[port];
    return (struct result_circuits){
        .port_a = port,
        .port_b = peer,
        .node_a = fabric->port_node[port],
        .node_b = fabric->port_node[peer],
        .a_to_b_bytes = facts->ports[port].tx_bytes,
        .b_to_a_bytes = facts->ports[peer].tx_bytes,
    };
}

/* The time before until_ps in which a gate with a fixed schedule was open: whole rounds, and of the rest what a window of the
 * round before leaves, and its own. */
static uint64_t gate_open_ps(const struct fabric *fabric, const struct gate *gate, uint64_t until_ps)
{
    uint64_t rounds = gate->period_ps > 0 ? until_ps / gate->period_ps : 0, open_ps = 0;
    uint64_t rest_ps = until_ps - rounds * gate->period_ps;
    for (uint32_t i = 0; i < gate->window_count; i++) {
        const struct gate_window *window = &fabric->gate_windows[gate->window_first + i];
        uint64_t close_ps = window->close_ps < rest_ps ? window->close_ps : rest_ps, over_ps = 0;
        if (gate->period_ps > 0 && window->close_ps > gate->period_ps) {
            over_ps = window->close_ps - gate->period_ps;
        }
        open_ps += rounds * (window->close_ps - window->open_ps) + (over_ps < rest_ps ? over_ps : rest_ps);
        open_ps += close_ps > window->open_ps ? close_ps - window->open_ps : 0;
    }
    return open_ps;
}

/* Whether the last window of a round reaches into the next one, so that the gate is open at the start. */
static bool gate_is_open_first(const struct fabric *fabric, const struct gate *gate)
{
    return gate->period_ps > 0 && gate->window_count > 0 &&
           fabric->gate_windows[gate->window_first + gate->window_count - 1].close_ps > gate->period_ps;
}

/* How often a circuit was set before until_ps: one of a fixed cycle once a window, any other once. */
static uint64_t set_count_of(const struct fabric *fabric, uint32_t port, uint64_t until_ps)
{
    uint32_t gate_id = fabric->port_gate == NULL ? ID_NONE : fabric->port_gate[port];
    if (gate_id == ID_NONE || fabric->gates[gate_id].period_ps == 0) {
        return 1;
    }
    const struct gate *gate = &fabric->gates[gate_id];
    uint64_t rounds = until_ps / gate->period_ps, rest_ps = until_ps % gate->period_ps;
    uint64_t count = rounds * gate->window_count + gate_is_open_first(fabric, gate);
    for (uint32_t i = 0; i < gate->window_count; i++) {
        count += fabric->gate_windows[gate->window_first + i].open_ps < rest_ps;
    }
    return count;
}

static void gate_fill(const struct fabric *fabric, uint32_t port, uint64_t makespan_ps, struct result_circuits *row)
{
    if (fabric->port_gate == NULL || fabric->port_gate[port] == ID_NONE) {
        return;
    }
    const struct gate *gate = &fabric->gates[fabric->port_gate[port]];
    if (gate->window_count > 0) {
        const struct gate_window *windows = &fabric->gate_windows[gate->window_first];
        row->usable_from_ps = gate_is_open_first(fabric, gate) ? 0 : windows[0].open_ps;
        row->set_count = set_count_of(fabric, port, makespan_ps);
        row->lit_ps = gate_open_ps(fabric, gate, makespan_ps);
    }
}

/* Circuits that are set once, and those of a fixed schedule. */
static enum status fixed_collect(const struct facts *facts, uint64_t makespan_ps, struct results_run *run,
                                 struct diag *diag)
{
    const struct fabric *fabric = facts->fabric;
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < fabric->optical_count; i++) {
        const struct optical *optical = &fabric->optical[i];
        for (uint32_t j = 0; j < optical->port_count && status == STATUS_OK; j++) {
            uint32_t port = optical->port[j], peer = fabric->port_peer[port];
            if (peer != ID_NONE && peer > port) {
                struct result_circuits row = circuit_row(facts, port);
                row.usable_from_ps = fabric->port_up_ps[port];
                row.usable_until_ps = makespan_ps;
                row.set_count = 1;
                row.lit_ps = makespan_ps > row.usable_from_ps ? makespan_ps - row.usable_from_ps : 0;
                gate_fill(fabric, port, makespan_ps, &row);
                status = results_append(run, RESULT_TABLE_circuits, &row, 1, diag);
            }
        }
    }
    return status;
}

static enum status region_collect(const struct facts *facts, uint32_t id, uint64_t makespan_ps, struct results_run *run,
                                  struct diag *diag)
{
    const struct schedule_region *region = &circuits_schedule(facts->circuits)->regions[id];
    struct controller_region sums;
    controller_region(circuits_controller(facts->circuits), id, &sums);
    const struct result_regions row = {
        .node = facts->fabric->optical[region->optical].node,
        .configurations = region->config_count,
        .reconfigurations = sums.reconfigurations,
        .circuits_set = sums.circuits,
        .dark_ps = sums.dark_ps,
        .exposed_ps = sums.exposed_ps,
        .hidden_ps = sums.dark_ps - sums.exposed_ps,
    };
    enum status status = results_append(run, RESULT_TABLE_regions, &row, 1, diag);
    for (uint32_t i = 0; i < region->pair_count; i++) {
        const struct light light = light_of(facts, id, i, makespan_ps);
        for (uint32_t copy = 0; copy < region->pairs[i].copies && status == STATUS_OK; copy++) {
            struct result_circuits circuit = circuit_row(facts, region->pairs[i].left_port + copy);
            circuit.usable_from_ps = light.first_ps;
            circuit.usable_until_ps = light.last_ps;
            circuit.set_count = light.count;
            circuit.lit_ps = light.lit_ps;
            status = results_append(run, RESULT_TABLE_circuits, &circuit, 1, diag);
        }
    }
    return status;
}

enum status collect_circuits(const struct facts *facts, uint64_t makespan_ps, struct results_run *run, struct diag *diag)
{
    if (facts->circuits == NULL) {
        return fixed_collect(facts, makespan_ps, run, diag);
    }
    enum status status = STATUS_OK;
    for (uint32_t id = 0; status == STATUS_OK && id < circuits_schedule(facts->circuits)->region_count; id++) {
        status = region_collect(facts, id, makespan_ps, run, diag);
    }
    return status;
}

/* Settings of circuits by fixed cycles, as the table of circuits has them. */
static uint64_t cyclic_count(const struct fabric *fabric, uint64_t makespan_ps)
{
    uint64_t count = 0;
    for (uint32_t i = 0; fabric->port_gate != NULL && i < fabric->optical_count; i++) {
        const struct optical *optical = &fabric->optical[i];
        for (uint32_t j = 0; j < optical->port_count; j++) {
            uint32_t port = optical->port[j], peer = fabric->port_peer[port], gate = fabric->port_gate[port];
            bool is_cyclic = gate != ID_NONE && fabric->gates[gate].period_ps > 0;
            count += is_cyclic && peer != ID_NONE && peer > port ? set_count_of(fabric, port, makespan_ps) : 0;
        }
    }
    return count;
}

static uint64_t within(uint64_t time_ps, uint64_t most_ps)
{
    return time_ps < most_ps ? time_ps : most_ps;
}

void summarise_circuits(const struct facts *facts, struct result_summary *summary)
{
    const struct fabric *fabric = facts->fabric;
    summary->reconfiguration_count = fabric->reconfigurations + cyclic_count(fabric, summary->makespan_ps);
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        uint64_t up_ps = fabric->port_up_ps[port], exposed_ps = facts->ports[port].tx_bytes > 0 ? up_ps : 0;
        summary->reconfiguration_ps = up_ps > summary->reconfiguration_ps ? up_ps : summary->reconfiguration_ps;
        if (exposed_ps > summary->reconfiguration_exposed_ps) {
            summary->reconfiguration_exposed_ps = exposed_ps;
        }
    }
    uint32_t regions = facts->circuits != NULL ? circuits_schedule(facts->circuits)->region_count : 0;
    uint64_t dark_ps = 0, exposed_ps = 0;
    for (uint32_t id = 0; id < regions; id++) {
        struct controller_region sums;
        controller_region(circuits_controller(facts->circuits), id, &sums);
        dark_ps += sums.dark_ps;
        exposed_ps += sums.exposed_ps;
    }
    summary->reconfiguration_ps += regions > 0 ? dark_ps / regions : 0;
    summary->reconfiguration_exposed_ps += regions > 0 ? exposed_ps / regions : 0;
    /* Circuits may still be dark when the job ends that has no use for them. */
    summary->reconfiguration_ps = within(summary->reconfiguration_ps, summary->makespan_ps);
    summary->reconfiguration_exposed_ps = within(summary->reconfiguration_exposed_ps, summary->reconfiguration_ps);
}
