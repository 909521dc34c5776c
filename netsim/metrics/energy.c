/* Every installed thing is visited once; sums are kept by part, and become rows in the order of classes and parts.
 *
 * What a bit is charged to:
 *   modules, copper, NICs   a part's full power moves its rate in both directions at once, so a bit that goes out or
 *                           comes in costs half its energy per bit: full load both ways gives the data sheet's watts
 *   switches                each bit that is sent on, once
 * All ports of a fabric are installed: they draw their static power for the whole time, with or without traffic,
 * and an optical port also while it is dark. A switch whose power is given per capacity has that of its ports; one whose
 * power is given per box is as many boxes as its ports' rates need (two chips of 64 ports where a tray is one switch).
 *
 * Ports of one line are one transmitter: its module is counted once, and carries what all of them carry. Lasers and ring
 * heaters that are not in the modules' watts are rows of their own (port_light). Circuits of a cyclic schedule are set
 * anew each time their gate opens.
 *
 * Not modelled: gating of lanes and lasers; sleep; cooling outside the boxes; hosts' processors.
 * Checked against: full-load watts per host of three- and two-tier networks, energy per bit at several loads, NVL72 with
 * optics instead of copper (tests/test_energy.c). */
#include "netsim/metrics/energy.h"

#include <math.h>

#define MW_PS_IN_PJ 1e-3 /* a milliwatt for a picosecond */

const char *energy_use_name(enum energy_use use)
{
    return use == ENERGY_GPU_COMPUTE ? "gpu_compute" : use == ENERGY_GPU_WAIT ? "gpu_wait" : "network";
}

struct sum {
    uint64_t count;
    double static_mw, dynamic_pj, reconfigure_pj;
};

struct account {
    const struct fabric *fabric;
    const struct energy_input *input;
    struct sum *parts; /* by part */
    struct sum overhead, laser, tuning;
    const uint8_t *is_first; /* per port: the first of its line */
};

static double normal(const struct account *account, uint32_t part, enum part_quantity quantity)
{
    return part_normal(account->fabric->parts, part, quantity);
}

static const uint8_t *lines_first(const struct fabric *fabric, struct arena *arena)
{
    uint8_t *is_first = arena_array(arena, fabric->port_count, uint8_t);
    uint8_t *is_seen = arena_array(arena, fabric->port_count, uint8_t);
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        uint32_t line = fabric->port_line == NULL ? port : fabric->port_line[port];
        is_first[port] = !is_seen[line];
        is_seen[line] = 1;
    }
    return is_first;
}

/* Bits that go out of a port and come in at it. */
static double port_bits(const struct account *account, uint32_t port)
{
    uint32_t peer = account->fabric->port_peer[port];
    uint64_t rx_bytes = peer == ID_NONE ? 0 : account->input->tx_bytes[peer];
    return 8 * ((double)account->input->tx_bytes[port] + (double)rx_bytes);
}

/* One end of a link, or a NIC with `bits` through it in both directions together. */
static struct sum end_sum(const struct account *account, uint32_t part, double bits)
{
    return (struct sum){.count = part != PART_ID_NONE,
                        .static_mw = normal(account, part, PART_STATIC_MW),
                        .dynamic_pj = normal(account, part, PART_DYNAMIC_PJ_BIT) * bits / 2};
}

static void sum_add(struct sum *sum, const struct sum *more);

/* The module at a port, and its light. */
static struct sum module_account(struct account *account, uint32_t port)
{
    const struct fabric *fabric = account->fabric;
    struct sum module = end_sum(account, fabric->port_part[port], port_bits(account, port));
    if (!account->is_first[port]) {
        module.count = 0;
        module.static_mw = 0;
    } else if (fabric->light != NULL) {
        const struct port_light *light = &fabric->light[port];
        struct sum laser = {.count = light->laser_mw > 0, .static_mw = light->laser_mw};
        struct sum tuning = {.count = light->tuning_mw > 0, .static_mw = light->tuning_mw};
        sum_add(&account->laser, &laser);
        sum_add(&account->tuning, &tuning);
    }
    sum_add(&account->parts[fabric->port_part[port]], &module);
    return module;
}

static void sum_add(struct sum *sum, const struct sum *more)
{
    sum->count += more->count;
    sum->static_mw += more->static_mw;
    sum->dynamic_pj += more->dynamic_pj;
    sum->reconfigure_pj += more->reconfigure_pj;
}

/* The NIC of a host's port also serves the ports behind it that name none. */
static void host_account(struct account *account, uint32_t host)
{
    const struct fabric *fabric = account->fabric;
    uint32_t adapter = PART_ID_NONE;
    for (uint32_t port = fabric->port_first[host]; port < fabric->port_first[host + 1]; port++) {
        double bits = port_bits(account, port);
        module_account(account, port);
        adapter = fabric->port_adapter[port] != PART_ID_NONE ? fabric->port_adapter[port] : adapter;
        struct sum nic = end_sum(account, adapter, bits);
        if (fabric->port_adapter[port] == PART_ID_NONE) {
            nic.count = 0;
            nic.static_mw = 0;
        }
        sum_add(&account->parts[adapter], &nic);
    }
}

/* Boxes that carry so much together; 1 where the part does not say how much it carries. */
static uint64_t boxes_of(const struct account *account, uint32_t part, double rate_bps)
{
    double box_bps = normal(account, part, PART_PORTS) * normal(account, part, PART_RATE_BPS);
    return box_bps > 0 && rate_bps > box_bps ? (uint64_t)ceil(rate_bps / box_bps - 1e-9) : 1;
}

static void switch_account(struct account *account, uint32_t node)
{
    const struct fabric *fabric = account->fabric;
    uint32_t part = fabric->node_part[node];
    struct sum box = {0}, inside = {0};
    double all_bps = 0;
    for (uint32_t port = fabric->port_first[node]; port < fabric->port_first[node + 1]; port++) {
        struct sum module = module_account(account, port);
        sum_add(&inside, &module);
        all_bps += account->is_first[port] ? (double)fabric->rate_bps[port] : 0;
        box.dynamic_pj += normal(account, part, PART_DYNAMIC_PJ_BIT) * 8 * (double)account->input->tx_bytes[port];
    }
    box.count = part == PART_ID_NONE ? 0 : boxes_of(account, part, all_bps);
    box.static_mw = normal(account, part, PART_STATIC_MW) * (double)box.count +
                    normal(account, part, PART_STATIC_MW_PER_GBPS) * all_bps * 1e-9;
    sum_add(&account->parts[part], &box);
    sum_add(&inside, &box);
    double share = normal(account, part, PART_OVERHEAD_FRACTION);
    struct sum overhead = {share > 0 ? box.count : 0, share * inside.static_mw, share * inside.dynamic_pj, 0};
    sum_add(&account->overhead, &overhead);
}

/* How often gates of these ports open in a cyclic schedule; a duplex circuit has two. */
static double openings(const struct account *account, const struct optical *optical)
{
    const struct fabric *fabric = account->fabric;
    double count = 0;
    for (uint32_t i = 0; fabric->port_gate != NULL && i < optical->port_count; i++) {
        uint32_t gate = fabric->port_gate[optical->port[i]];
        bool is_cyclic = gate != ID_NONE && fabric->gates[gate].period_ps > 0;
        count += is_cyclic ? (double)fabric->gates[gate].window_count * (double)account->input->time_ps /
                                 (double)fabric->gates[gate].period_ps
                           : 0;
    }
    return count / 2;
}

/* A plane is as many boxes as its fibres need. */
static void optical_account(struct account *account, const struct optical *optical)
{
    uint32_t part = optical->part_id, fibres = 0;
    for (uint32_t i = 0; i < optical->port_count; i++) {
        fibres += account->is_first[optical->port[i]];
    }
    double ports = normal(account, part, PART_PORTS);
    uint64_t box_ports = ports >= 1 ? (uint64_t)ports : fibres;
    uint64_t boxes = box_ports > 0 ? (fibres + box_ports - 1) / box_ports : 0;
    bool is_first = optical == account->fabric->optical; /* circuits set are counted for all of them together */
    double circuits = (is_first ? account->fabric->reconfigurations : 0) + openings(account, optical);
    struct sum sum = {.count = boxes,
                      .static_mw = normal(account, part, PART_STATIC_MW) * (double)boxes,
                      .reconfigure_pj = normal(account, part, PART_RECONFIGURE_PJ) * circuits};
    sum_add(&account->parts[part], &sum);
}

static void network_account(struct account *account)
{
    const struct fabric *fabric = account->fabric;
    for (uint32_t node = 0; node < fabric->node_count; node++) {
        if (fabric->node_kind[node] == NODE_HOST) {
            host_account(account, node);
        } else if (fabric->node_kind[node] == NODE_SWITCH) {
            switch_account(account, node);
        }
    }
    for (uint32_t i = 0; i < fabric->optical_count; i++) {
        optical_account(account, &fabric->optical[i]);
    }
}

/* ---- rows --------------------------------------------------------------------------------------------------- */

struct row_list {
    struct arena *arena;
    struct energy_row *rows;
    size_t count, capacity;
};

static void row_add(struct row_list *list, const struct energy_row *row)
{
    vec_push(list->arena, list->rows, list->count, list->capacity) = *row;
}

/* Hosts of one part compute for a while and wait for the rest; hosts without a rank wait all the time. */
static void gpu_rows(const struct account *account, uint32_t part, struct row_list *list)
{
    const struct fabric *fabric = account->fabric;
    double compute_ps = 0, wait_ps = 0;
    uint64_t count = 0, gpus = account->input->gpus_per_host > 0 ? account->input->gpus_per_host : 1;
    for (uint32_t host = 0; host < fabric->host_count; host++) {
        if (fabric->node_part[host] == part) {
            uint64_t busy_ps = account->input->host_compute_ps[host], time_ps = gpus * account->input->time_ps;
            busy_ps = busy_ps < time_ps ? busy_ps : time_ps;
            compute_ps += (double)busy_ps;
            wait_ps += (double)(time_ps - busy_ps);
            count += gpus;
        }
    }
    struct energy_row row = {.part = fabric->parts->parts[part].name, .class = part_class_name(PART_GPU),
                             .use = ENERGY_GPU_COMPUTE, .count = count};
    row.static_pj = normal(account, part, PART_STATIC_MW) * compute_ps * MW_PS_IN_PJ;
    if (count > 0) {
        row_add(list, &row);
        row.use = ENERGY_GPU_WAIT;
        row.static_pj = normal(account, part, PART_IDLE_MW) * wait_ps * MW_PS_IN_PJ;
        row_add(list, &row);
    }
}

static void network_row(const struct account *account, const char *name, const char *class, const struct sum *sum,
                        struct row_list *list)
{
    struct energy_row row = {.part = name, .class = class, .use = ENERGY_NETWORK, .count = sum->count,
                             .static_pj = sum->static_mw * (double)account->input->time_ps * MW_PS_IN_PJ,
                             .dynamic_pj = sum->dynamic_pj, .reconfigure_pj = sum->reconfigure_pj};
    if (sum->count > 0) {
        row_add(list, &row);
    }
}

void energy_account(const struct fabric *fabric, const struct energy_input *input, struct arena *arena,
                    struct energy_row **rows, uint32_t *count)
{
    struct account account = {.fabric = fabric, .input = input,
                              .parts = arena_array(arena, fabric->parts->count, struct sum),
                              .is_first = lines_first(fabric, arena)};
    struct row_list list = {.arena = arena};
    network_account(&account);
    for (enum part_class class = PART_GPU; class < PART_CLASS_COUNT; class++) {
        for (uint32_t part = 1; part < fabric->parts->count; part++) {
            const struct part *of = &fabric->parts->parts[part];
            if (of->class == class && class == PART_GPU) {
                gpu_rows(&account, part, &list);
            } else if (of->class == class) {
                network_row(&account, of->name, part_class_name(class), &account.parts[part], &list);
            }
        }
    }
    network_row(&account, "lasers", "laser", &account.laser, &list);
    network_row(&account, "ring_tuning", "laser", &account.tuning, &list);
    network_row(&account, "box_overhead", "overhead", &account.overhead, &list);
    *rows = list.rows;
    *count = (uint32_t)list.count;
}
