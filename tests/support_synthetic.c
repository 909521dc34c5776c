/* The file declared in synthetic.h: 32 ranks, one leaf-spine fabric, figures of the right size and no
 * meaning. */
#include "tests/synthetic.h"

#include "photonet/results.h"

#include <stdio.h>

enum { RANKS = 32, LINKS = 128, MESSAGES = 400, BINS = 24 };

static const struct look {
    const char *name, *family, *module, *class;
    double exposed_share, module_w, slowdown;
} looks[] = {
    {"fat-tree-dsp", "fat_tree", "dr4_400g_dsp", "module", 0.20, 8.0, 1.0},
    {"fat-tree-lpo", "fat_tree", "dr4_400g_lpo", "module", 0.19, 4.0, 0.98},
    {"fat-tree-cpo", "fat_tree", "cpo_400g", "cpo", 0.19, 2.8, 0.97},
    {"fat-tree-4to1", "fat_tree", "dr4_400g_dsp", "module", 0.34, 8.0, 1.9},
    {"optical-patch", "optical_patch", "dr4_400g_dsp", "module", 0.23, 8.0, 1.2},
};
enum { LOOK_COUNT = sizeof looks / sizeof looks[0] };

struct filling {
    struct results_run *run;
    const struct look *look;
    uint64_t makespan_ps;
    struct diag *diag;
    enum status status;
};

static void row_add(struct filling *filling, enum result_table table, const void *row)
{
    if (filling->status == STATUS_OK) {
        filling->status = results_append(filling->run, table, row, 1, filling->diag);
    }
}

static uint64_t noise(uint64_t i)
{
    i = (i ^ (i >> 31)) * UINT64_C(0x9e3779b97f4a7c15);
    return (i ^ (i >> 29)) % 1000;
}

static void ranks_add(struct filling *filling)
{
    for (uint32_t i = 0; i < RANKS; i++) {
        double exposed = filling->look->exposed_share * (0.9 + 0.0002 * (double)noise(i));
        uint64_t makespan_ps = filling->makespan_ps;
        struct result_ranks row = {.rank = i,
                                   .host = i,
                                   .end_ps = makespan_ps - noise(i) * 1000,
                                   .compute_ps = (uint64_t)((0.97 - exposed) * (double)makespan_ps),
                                   .communication_ps = (uint64_t)(0.5 * (double)makespan_ps),
                                   .exposed_communication_ps = (uint64_t)(exposed * (double)makespan_ps),
                                   .idle_ps = makespan_ps / 50,
                                   .operations = 500,
                                   .sent_bytes = 1 << 30,
                                   .received_bytes = 1 << 30};
        row_add(filling, RESULT_TABLE_ranks, &row);
    }
}

static void links_add(struct filling *filling)
{
    for (uint32_t i = 0; i < LINKS; i++) {
        bool is_up = i >= LINKS / 2;
        double busy = (is_up ? 0.3 : 0.2) * filling->look->slowdown * (0.5 + 0.001 * (double)noise(i + 77));
        struct result_links row = {.port = i,
                                   .node = i / 2,
                                   .peer_node = 64 + i % 8,
                                   .tier = is_up ? 2 : 1,
                                   .rate_bps = 400000000000,
                                   .delay_ps = 500000,
                                   .tx_packets = 100000 + noise(i),
                                   .tx_bytes = (uint64_t)(busy * (double)filling->makespan_ps * 0.05),
                                   .busy_ps = (uint64_t)(busy * (double)filling->makespan_ps),
                                   .utilisation = busy,
                                   .queue_wait_ps = noise(i) * 1000000,
                                   .queue_max_bytes = noise(i) * 1000};
        row_add(filling, RESULT_TABLE_links, &row);
    }
    for (uint32_t i = 0; i < 40; i++) {
        struct result_nodes row = {.node = i,
                                   .kind = i < RANKS ? "host" : "switch",
                                   .tier = i < RANKS ? 0 : 1,
                                   .part = i < RANKS ? "h100" : "tomahawk4",
                                   .tx_bytes = 1000 * (uint64_t)i};
        row_add(filling, RESULT_TABLE_nodes, &row);
    }
}

static void messages_add(struct filling *filling)
{
    for (uint32_t i = 0; i < MESSAGES; i++) {
        uint64_t bytes = UINT64_C(4096) << (noise(i) % 12), ideal_ps = 2000000 + bytes * 20;
        double slowdown = 1.0 + filling->look->slowdown * 1e-6 * (double)(noise(i + 5) * noise(i + 9));
        uint64_t posted_ps = filling->makespan_ps / MESSAGES * i;
        uint64_t delivered_ps = posted_ps + (uint64_t)(slowdown * (double)ideal_ps);
        struct result_messages row = {.source_rank = i % RANKS,
                                      .destination_rank = (i + 1) % RANKS,
                                      .bytes = bytes,
                                      .posted_ps = posted_ps,
                                      .delivered_ps = delivered_ps,
                                      .acked_ps = delivered_ps + 1000000,
                                      .ideal_ps = ideal_ps};
        row_add(filling, RESULT_TABLE_messages, &row);
    }
    for (uint32_t i = 0; i < 40; i++) {
        static const char *const kinds[] = {"all_reduce", "all_gather", "reduce_scatter", "all_to_all"};
        struct result_collectives row = {.kind = kinds[i % 4],
                                         .algorithm = i % 4 == 3 ? "pairwise" : "ring",
                                         .group_id = i % 5,
                                         .ordinal = i / 5,
                                         .members = 8,
                                         .bytes = 1 << 20,
                                         .size_bytes = 1 << 20,
                                         .end_ps = 1000000000,
                                         .algbw_gbps = 20,
                                         .busbw_gbps = 35 + 0.01 * (double)noise(i)};
        row_add(filling, RESULT_TABLE_collectives, &row);
    }
}

static void energy_add(struct filling *filling)
{
    double seconds = (double)filling->makespan_ps * 1e-12;
    bool is_optical = filling->look == &looks[4];
    const struct result_energy rows[] = {
        {"h100", "gpu", "gpu_wait", RANKS, 400 * RANKS * seconds, 300 * RANKS * seconds, 0, 700 * RANKS},
        {"connectx7", "nic", "network", RANKS, 20 * RANKS * seconds, 0.01, 0, 21 * RANKS},
        {filling->look->module, filling->look->class, "network", LINKS, filling->look->module_w * LINKS * seconds, 0.02,
         0, filling->look->module_w * LINKS},
        {is_optical ? "polatis_ocs" : "tomahawk4", is_optical ? "ocs" : "switch", "network", 4,
         (is_optical ? 50 : 450) * 4 * seconds, 0.01, is_optical ? 0.001 : 0, (is_optical ? 50 : 450) * 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        row_add(filling, RESULT_TABLE_energy, &rows[i]);
    }
    static const char *const causes[] = {"serialisation", "propagation", "device",
                                         "switch",        "queueing",    "circuit_wait"};
    for (size_t i = 0; i < 6; i++) {
        struct result_breakdown row = {causes[i], 1000000 * (6 - i), (double)(6 - i) / 21};
        row_add(filling, RESULT_TABLE_breakdown, &row);
    }
    for (uint32_t i = 0; i < 16 && is_optical; i++) {
        struct result_circuits row = {.port_a = 2 * i,
                                      .port_b = 2 * i + 1,
                                      .node_a = 2 * i,
                                      .node_b = 2 * i + 1,
                                      .usable_from_ps = 25000000000,
                                      .usable_until_ps = filling->makespan_ps,
                                      .a_to_b_bytes = 1 << 28,
                                      .b_to_a_bytes = 1 << 28};
        row_add(filling, RESULT_TABLE_circuits, &row);
    }
}

static void summary_add(struct filling *filling, uint32_t ordinal)
{
    double step_s = (double)filling->makespan_ps * 1e-12, network_w = filling->look->module_w * LINKS + 2000;
    struct result_summary row = {
        .makespan_ps = filling->makespan_ps,
        .iteration_time_ps = filling->makespan_ps,
        .exposed_communication_ps = (uint64_t)(filling->look->exposed_share * (double)filling->makespan_ps),
        .exposed_communication_fraction = filling->look->exposed_share,
        .compute_ps = 7400000000,
        .reconfiguration_ps = ordinal == 4 ? 25000000 : 0,
        .collective_busbw_gbps = 38.5 / filling->look->slowdown,
        .fct_p50_ps = 3456789,
        .fct_p95_ps = 23456789,
        .fct_p99_ps = (uint64_t)(45678901 * filling->look->slowdown),
        .fct_p999_ps = 98765432,
        .fct_max_ps = 123456789,
        .slowdown_p50 = 1.1,
        .slowdown_p99 = 2.5 * filling->look->slowdown,
        .energy_per_iteration_j = (700 * RANKS + network_w) * step_s,
        .network_energy_per_iteration_j = network_w * step_s,
        .gpu_compute_energy_j = 500 * RANKS * step_s,
        .gpu_wait_energy_j = 200 * RANKS * step_s,
        .network_w_per_gpu = network_w / RANKS,
        .energy_pj_per_useful_bit = network_w * step_s / (8.0 * RANKS * (1 << 30)) * 1e12,
        .useful_bytes = UINT64_C(34359738368),
        .algorithmic_bytes = UINT64_C(34359738368),
        .wire_bytes = UINT64_C(150000000000),
        .message_count = 12345,
        .packet_count = 8388608,
        .packet_hop_count = 33554432 + ordinal,
        .operation_count = 16000,
    };
    row_add(filling, RESULT_TABLE_summary, &row);
}

static void histogram_add(struct filling *filling)
{
    uint64_t edges[BINS], counts[BINS];
    for (uint32_t i = 0; i < BINS; i++) {
        edges[i] = UINT64_C(1000000) << (i / 2);
        edges[i] += i % 2 * (edges[i] / 2);
        counts[i] = i < 12 ? i * i : (BINS - i) * (BINS - i);
    }
    if (filling->status == STATUS_OK) {
        filling->status = results_histogram(filling->run, "fct", "message completion times", "ps", edges,
                                            counts, BINS, filling->diag);
    }
}

static enum status run_add(struct results *results, uint32_t ordinal, struct diag *diag)
{
    const struct look *look = &looks[ordinal % LOOK_COUNT];
    char name[32];
    if (ordinal < LOOK_COUNT) {
        snprintf(name, sizeof name, "%s", look->name);
    } else {
        snprintf(name, sizeof name, "extra-%u", ordinal);
    }
    struct filling filling = {
        .look = look, .diag = diag, .makespan_ps = (uint64_t)(1e10 * (0.8 + look->exposed_share)) + ordinal};
    struct results_provenance from = {
        .command_line = "photonet run ...",
        .config_yaml = "fabric:\n  family: fat_tree\n",
        .engine = "packet",
        .simd = "scalar",
        .threads = 1,
        .seed = 1,
        .trace = "llama3-8b tp4 pp2 dp4",
        .fabric = name,
        .fabric_family = look->family,
        .scale = 1.0,
    };
    filling.status = results_run_begin(results, name, &from, &filling.run, diag);
    ranks_add(&filling);
    links_add(&filling);
    messages_add(&filling);
    energy_add(&filling);
    histogram_add(&filling);
    summary_add(&filling, ordinal);
    return filling.status != STATUS_OK ? filling.status
                                       : results_run_end(filling.run, "complete", filling.makespan_ps,
                                                         UINT64_C(0x1234567890abcdef) + ordinal, 1.5, diag);
}

enum status synthetic_results(const char *path, uint32_t run_count, struct diag *diag)
{
    struct arena *arena = arena_new("synthetic results");
    struct results *results;
    enum status status = results_create(path, false, arena, &results, diag);
    for (uint32_t i = 0; i < run_count && status == STATUS_OK; i++) {
        status = run_add(results, i, diag);
    }
    if (status == STATUS_OK) {
        status = results_close(results, diag);
    }
    arena_free(arena);
    return status;
}
