#include "netsim/collect.h"

#include "netsim/circuits.h"

#include "netsim/metrics/energy.h"

#include <math.h>
#include <string.h>

static bool is_connected(const struct fabric *fabric, uint32_t port)
{
    return fabric->port_peer[port] != ID_NONE;
}

/* Circuits set while the job ran, all regions together. */
static uint32_t circuits_set(const struct circuits *circuits)
{
    uint64_t count = 0;
    for (uint32_t id = 0; id < circuits_schedule(circuits)->region_count; id++) {
        struct controller_region sums;
        controller_region(circuits_controller(circuits), id, &sums);
        count += sums.circuits;
    }
    return count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
}

void facts_of_sim(struct sim *sim, uint64_t cut_ps, struct arena *arena, struct facts *facts)
{
    if (sim->circuits != NULL) {
        sim->fabric->reconfigurations = circuits_set(sim->circuits);
    }
    struct replay_rank *ranks = arena_array(arena, sim->job->rank_count, struct replay_rank);
    struct port_counters *ports = arena_array(arena, sim->fabric->port_count, struct port_counters);
    for (uint32_t rank = 0; rank < sim->job->rank_count; rank++) {
        replay_rank(sim->replay, rank, cut_ps, &ranks[rank]);
    }
    for (uint32_t port = 0; port < sim->fabric->port_count; port++) {
        sim->engine->class->counters(sim->engine, port, &ports[port]);
    }
    *facts = (struct facts){
        .job = sim->job,
        .fabric = sim->fabric,
        .rank_host = sim->rank_host,
        .gpus_per_nic = (uint32_t)sim->scenario.host->gpus_per_nic,
        .ranks = ranks,
        .calls = replay_calls(sim->replay),
        .call_count = replay_call_count(sim->replay),
        .ports = ports,
        .stats = &sim->stats,
        .failure_count = sim->failures.element_count,
        .spare_count = sim->failures.spares_used,
        .hop_count = sim->engine->class->hop_count(sim->engine),
        .makespan_ps = cut_ps > 0 ? cut_ps : replay_makespan_ps(sim->replay),
        .done_ops = replay_done_ops(sim->replay),
        .op_count = replay_op_count(sim->replay),
        .is_complete = replay_is_complete(sim->replay),
        .circuits = sim->circuits,
    };
    endpoint_counters(sim->endpoint, &facts->ends);
}

/* ---- as the run goes -------------------------------------------------------------------------------------- */

struct result_collectives collect_call(const struct replay_call *call)
{
    uint64_t size_bytes = collective_size_bytes(call->kind, call->bytes, call->members);
    uint64_t time_ps = call->end_ps - call->last_start_ps;
    double algbw_gbps = time_ps == 0 ? 0 : (double)size_bytes / (double)time_ps * 1e3; /* B/ps to GB/s */
    return (struct result_collectives){
        .kind = collective_name(call->kind),
        .algorithm = call->algorithm->name,
        .protocol = protocol_names[call->choice.protocol],
        .channels = call->choice.channels,
        .group_id = call->group,
        .ordinal = call->ordinal,
        .members = call->members,
        .bytes = call->bytes,
        .size_bytes = size_bytes,
        .first_start_ps = call->first_start_ps,
        .last_start_ps = call->last_start_ps,
        .end_ps = call->end_ps,
        .algbw_gbps = algbw_gbps,
        .busbw_gbps = algbw_gbps * collective_bus_factor(call->kind, call->members),
    };
}

enum status collect_progress(const struct facts *facts, struct collect_cursor *cursor, struct results_run *run,
                             struct diag *diag)
{
    struct flowstats *stats = facts->stats;
    size_t row_count;
    const struct result_messages *rows = flowstats_take(stats, &row_count);
    enum status status = results_append(run, RESULT_TABLE_messages, rows, row_count, diag);
    if (cursor->is_written == NULL) {
        cursor->is_written = arena_array(stats->arena, facts->call_count, uint8_t);
    }
    for (uint32_t i = 0; i < facts->call_count && status == STATUS_OK; i++) {
        const struct replay_call *call = &facts->calls[i];
        if (!cursor->is_written[i] && call->ended == call->members) {
            struct result_collectives row = collect_call(call);
            cursor->is_written[i] = 1;
            status = results_append(run, RESULT_TABLE_collectives, &row, 1, diag);
        }
    }
    return status;
}

/* ---- tables ----------------------------------------------------------------------------------------------- */

static enum status ranks_collect(const struct facts *facts, uint64_t makespan_ps, struct results_run *run, struct diag *diag)
{
    enum status status = STATUS_OK;
    for (uint32_t id = 0; id < facts->job->rank_count && status == STATUS_OK; id++) {
        const struct replay_rank *rank = &facts->ranks[id];
        uint64_t active_ps = rank->compute_ps + rank->exposed_ps;
        struct result_ranks row = {
            .rank = id,
            .job = facts->job->part_count > 0 ? facts->job->rank_part[id] : 0,
            .host = facts->rank_host[id],
            .end_ps = rank->end_ps,
            .compute_ps = rank->compute_ps,
            .communication_ps = rank->communication_ps,
            .exposed_communication_ps = rank->exposed_ps,
            .idle_ps = active_ps < makespan_ps ? makespan_ps - active_ps : 0,
            .operations = rank->done_ops,
            .sent_bytes = rank->sent_bytes,
            .received_bytes = rank->received_bytes,
            .local_bytes = rank->local_bytes,
        };
        status = results_append(run, RESULT_TABLE_ranks, &row, 1, diag);
    }
    return status;
}

static double margin_db(const struct fabric *fabric, uint32_t port)
{
    bool is_lit = fabric->light != NULL && fabric->light[port].loss_db > 0;
    return is_lit ? fabric->light[port].margin_db : NAN;
}

static struct result_links link_row(const struct facts *facts, uint32_t port, uint64_t makespan_ps)
{
    const struct fabric *fabric = facts->fabric;
    struct port_counters counters = facts->ports[port];
    uint32_t node = fabric->port_node[port], peer = fabric->port_node[fabric->port_peer[port]];
    uint8_t tier = fabric->node_tier[node], peer_tier = fabric->node_tier[peer];
    return (struct result_links){
        .port = port,
        .node = node,
        .peer_node = peer,
        .tier = tier > peer_tier ? tier : peer_tier,
        .rate_bps = fabric->rate_bps[port],
        .delay_ps = link_delay_ps(fabric, port),
        .tx_packets = counters.tx_packets,
        .tx_bytes = counters.tx_bytes,
        .busy_ps = counters.busy_ps,
        .utilisation = makespan_ps == 0 ? 0 : (double)counters.busy_ps / (double)makespan_ps,
        .queue_wait_ps = counters.queue_wait_ps,
        .queue_max_bytes = counters.queue_max_bytes,
        .dropped_packets = counters.dropped_packets,
        .lost_packets = counters.lost_packets,
        .error_packets = counters.error_packets,
        .repeats = counters.repeats,
        .repeat_bytes = counters.repeat_bytes,
        .cells = counters.cells,
        .padding_bytes = counters.padding_bytes,
        .marked_packets = counters.marked_packets,
        .trimmed_packets = counters.trimmed_packets,
        .pauses = counters.pauses,
        .pause_ps = counters.pause_ps,
        .dark_wait_ps = counters.dark_wait_ps,
        .loss_db = fabric->light == NULL ? 0 : fabric->light[port].loss_db,
        .margin_db = margin_db(fabric, port),
    };
}

static enum status links_collect(const struct facts *facts, uint64_t makespan_ps, struct results_run *run, struct diag *diag)
{
    enum status status = STATUS_OK;
    for (uint32_t port = 0; port < facts->fabric->port_count && status == STATUS_OK; port++) {
        if (is_connected(facts->fabric, port)) {
            struct result_links row = link_row(facts, port, makespan_ps);
            status = results_append(run, RESULT_TABLE_links, &row, 1, diag);
        }
    }
    return status;
}

static enum status nodes_collect(const struct facts *facts, struct results_run *run, struct diag *diag)
{
    static const char *const kinds[] = {[NODE_HOST] = "host", [NODE_SWITCH] = "switch", [NODE_OPTICAL] = "optical"};
    const struct fabric *fabric = facts->fabric;
    enum status status = STATUS_OK;
    for (uint32_t node = 0; node < fabric->node_count && status == STATUS_OK; node++) {
        struct result_nodes row = {
            .node = node,
            .kind = kinds[fabric->node_kind[node]],
            .tier = fabric->node_tier[node],
            .part = fabric->parts->parts[fabric->node_part[node]].name,
        };
        for (uint32_t port = fabric->port_first[node]; port < fabric->port_first[node + 1]; port++) {
            struct port_counters counters = facts->ports[port];
            row.tx_bytes += counters.tx_bytes;
            row.forwarded_packets += node < fabric->host_count ? 0 : counters.tx_packets;
        }
        status = results_append(run, RESULT_TABLE_nodes, &row, 1, diag);
    }
    return status;
}

/* Sums over packets and hops of what each link and switch adds. */
static enum status breakdown_collect(const struct facts *facts, struct results_run *run, struct diag *diag)
{
    const struct fabric *fabric = facts->fabric;
    struct result_breakdown rows[] = {{.cause = "serialisation"}, {.cause = "propagation"}, {.cause = "device"},
                                      {.cause = "switch"}, {.cause = "queueing"}, {.cause = "circuit_wait"}};
    uint64_t all_ps = 0;
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        struct port_counters counters = facts->ports[port];
        uint32_t node = fabric->port_node[port];
        rows[0].total_ps += counters.busy_ps;
        rows[1].total_ps += counters.tx_packets * fabric->propagation_ps[port];
        rows[2].total_ps += counters.tx_packets * fabric->device_ps[port];
        rows[3].total_ps += node < fabric->host_count ? 0 : counters.tx_packets * fabric->node_latency_ps[node];
        rows[4].total_ps += counters.queue_wait_ps;
        rows[5].total_ps += counters.dark_wait_ps;
    }
    size_t count = sizeof rows / sizeof rows[0];
    for (size_t i = 0; i < count; i++) {
        all_ps += rows[i].total_ps;
    }
    for (size_t i = 0; i < count; i++) {
        rows[i].share = all_ps == 0 ? 0 : (double)rows[i].total_ps / (double)all_ps;
    }
    return results_append(run, RESULT_TABLE_breakdown, rows, count, diag);
}

static enum status histograms_collect(const struct facts *facts, struct results_run *run, struct diag *diag)
{
    uint64_t edges[HISTOGRAM_COARSE], counts[HISTOGRAM_COARSE];
    uint32_t used = histogram_coarse(&facts->stats->fct_ps, edges, counts);
    enum status status = results_histogram(run, "fct", "messages by completion time (lower edges)", "ps", edges,
                                           counts, used, diag);
    if (status != STATUS_OK) {
        return status;
    }
    used = histogram_coarse(&facts->stats->slowdown_milli, edges, counts);
    return results_histogram(run, "slowdown", "messages by completion time over idle fabric, times 1000 (lower edges)",
                             "1", edges, counts, used, diag);
}

/* ---- energy ----------------------------------------------------------------------------------------------- */

/* Over `time_ps`, in which `share` of `shares` of all bytes were sent; of the compute of the first iteration nothing
 * counts where `is_steady`. */
static void energy_of(const struct facts *facts, uint64_t time_ps, uint64_t share, uint64_t shares, bool is_steady,
                      struct arena *arena, struct energy_row **rows, uint32_t *count)
{
    const struct fabric *fabric = facts->fabric;
    uint64_t *tx_bytes = arena_array(arena, fabric->port_count, uint64_t);
    uint64_t *busy_ps = arena_array(arena, fabric->host_count, uint64_t);
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        uint64_t bytes = facts->ports[port].tx_bytes + facts->ports[port].repeat_bytes + facts->ports[port].padding_bytes;
        tx_bytes[port] = (uint64_t)((unsigned __int128)bytes * share / shares);
    }
    for (uint32_t id = 0; id < facts->job->rank_count; id++) {
        const struct replay_rank *rank = &facts->ranks[id];
        busy_ps[facts->rank_host[id]] += rank->compute_ps - (is_steady ? rank->first_compute_ps : 0);
    }
    const struct energy_input input = {
        .time_ps = time_ps, .tx_bytes = tx_bytes, .host_compute_ps = busy_ps, .gpus_per_host = facts->gpus_per_nic};
    energy_account(fabric, &input, arena, rows, count);
}

static enum status energy_collect(const struct facts *facts, uint64_t makespan_ps, struct results_run *run, struct diag *diag)
{
    struct arena *scratch = arena_new("energy rows");
    struct energy_row *rows;
    uint32_t count;
    energy_of(facts, makespan_ps, 1, 1, false, scratch, &rows, &count);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        double all_pj = rows[i].static_pj + rows[i].dynamic_pj + rows[i].reconfigure_pj;
        struct result_energy row = {
            .part = rows[i].part,
            .class = rows[i].class,
            .use = energy_use_name(rows[i].use),
            .count = rows[i].count,
            .static_j = rows[i].static_pj * 1e-12,
            .dynamic_j = rows[i].dynamic_pj * 1e-12,
            .reconfiguration_j = rows[i].reconfigure_pj * 1e-12,
            .mean_w = makespan_ps == 0 ? 0 : all_pj / (double)makespan_ps, /* pJ per ps */
        };
        status = results_append(run, RESULT_TABLE_energy, &row, 1, diag);
    }
    arena_free(scratch);
    return status;
}

enum status collect_tables(const struct facts *facts, const struct result_summary *summary, struct results_run *run,
                           struct diag *diag)
{
    uint64_t makespan_ps = summary->makespan_ps;
    enum status status = results_append(run, RESULT_TABLE_summary, summary, 1, diag);
    status = status == STATUS_OK ? ranks_collect(facts, makespan_ps, run, diag) : status;
    status = status == STATUS_OK ? links_collect(facts, makespan_ps, run, diag) : status;
    status = status == STATUS_OK ? nodes_collect(facts, run, diag) : status;
    status = status == STATUS_OK ? collect_circuits(facts, makespan_ps, run, diag) : status;
    status = status == STATUS_OK ? energy_collect(facts, makespan_ps, run, diag) : status;
    status = status == STATUS_OK ? breakdown_collect(facts, run, diag) : status;
    return status == STATUS_OK ? histograms_collect(facts, run, diag) : status;
}

/* ---- summary ---------------------------------------------------------------------------------------------- */

/* Of several iterations the first one, with empty queues and dark circuits, is left out of what a step costs. */
struct steady {
    bool is_steady;
    uint64_t iterations; /* that count */
    uint64_t time_ps;    /* of them */
};

/* Time from the first iteration's end to the last one's, mean over ranks: each has its own boundary between steps. */
static uint64_t steady_ps(const struct facts *facts)
{
    unsigned __int128 sum_ps = 0;
    for (uint32_t id = 0; id < facts->job->rank_count; id++) {
        sum_ps += facts->ranks[id].end_ps - facts->ranks[id].first_end_ps;
    }
    return (uint64_t)(sum_ps / facts->job->rank_count);
}

static struct steady steady_of(const struct facts *facts, uint32_t iterations)
{
    if (iterations == 1 || !facts->is_complete) {
        return (struct steady){false, facts->is_complete ? iterations : 1, facts->makespan_ps};
    }
    return (struct steady){true, iterations - 1, steady_ps(facts)};
}

static void ranks_summarise(const struct facts *facts, struct steady steady, struct result_summary *summary)
{
    uint64_t compute_ps = 0, exposed_ps = 0;
    for (uint32_t id = 0; id < facts->job->rank_count; id++) {
        const struct replay_rank *rank = &facts->ranks[id];
        compute_ps += rank->compute_ps - (steady.is_steady ? rank->first_compute_ps : 0);
        exposed_ps += rank->exposed_ps - (steady.is_steady ? rank->first_exposed_ps : 0);
    }
    uint64_t shares = (uint64_t)facts->job->rank_count * steady.iterations;
    summary->compute_ps = compute_ps / shares;
    summary->exposed_communication_ps = exposed_ps / shares;
    uint64_t step_ps = steady.time_ps / steady.iterations;
    summary->exposed_communication_fraction =
        step_ps == 0 ? 0 : (double)summary->exposed_communication_ps / (double)step_ps;
}

static void messages_summarise(const struct facts *facts, struct result_summary *summary)
{
    const struct histogram *fct = &facts->stats->fct_ps, *slowdown = &facts->stats->slowdown_milli;
    const struct endpoint_counters *ends = &facts->ends;
    summary->fct_p50_ps = histogram_percentile(fct, 0.5);
    summary->fct_p95_ps = histogram_percentile(fct, 0.95);
    summary->fct_p99_ps = histogram_percentile(fct, 0.99);
    summary->fct_p999_ps = histogram_percentile(fct, 0.999);
    summary->fct_max_ps = fct->max;
    summary->slowdown_p50 = (double)histogram_percentile(slowdown, 0.5) / 1000;
    summary->slowdown_p99 = (double)histogram_percentile(slowdown, 0.99) / 1000;
    summary->useful_bytes = ends->payload_bytes_delivered;
    for (uint32_t id = 0; id < facts->job->rank_count; id++) {
        summary->useful_bytes -= facts->ranks[id].received_extra_bytes; /* flags of protocols */
        summary->algorithmic_bytes += facts->ranks[id].algorithmic_bytes;
    }
    summary->message_count = ends->messages_delivered;
    summary->packet_count = ends->data_packets_delivered;
    summary->retransmission_count = ends->retransmissions;
    summary->mark_count = ends->marked_packets;
    summary->nack_count = ends->nacks_received;
    summary->duplicate_count = ends->duplicates;
    summary->reordered_count = ends->reordered;
    summary->reorder_distance_max = ends->reorder_max;
    summary->reorder_distance_mean = ends->reordered == 0 ? 0 : (double)ends->reorder_sum / (double)ends->reordered;
}

static void links_summarise(const struct facts *facts, struct result_summary *summary)
{
    for (uint32_t port = 0; port < facts->fabric->port_count; port++) {
        struct port_counters counters = facts->ports[port];
        summary->wire_bytes += counters.tx_bytes;
        summary->drop_count += counters.dropped_packets;
        summary->lost_count += counters.lost_packets + counters.stray_packets;
        summary->link_error_count += counters.error_packets;
        summary->link_repeat_count += counters.repeats;
        summary->pause_count += counters.pauses;
        summary->trim_count += counters.trimmed_packets;
    }
    summary->packet_hop_count = facts->hop_count;
    summary->failure_count = facts->failure_count;
    summary->spare_count = facts->spare_count;
}

static void calls_summarise(const struct facts *facts, struct result_summary *summary)
{
    double weighted = 0, weight = 0;
    for (uint32_t i = 0; i < facts->call_count; i++) {
        const struct replay_call *call = &facts->calls[i];
        if (call->ended == call->members && call->members > 1 && call->bytes > 0) {
            struct result_collectives row = collect_call(call);
            weighted += row.busbw_gbps * (double)row.size_bytes;
            weight += (double)row.size_bytes;
        }
    }
    summary->collective_busbw_gbps = weight == 0 ? 0 : weighted / weight;
}

static void energy_summarise(const struct facts *facts, struct steady steady, uint32_t iterations, struct arena *arena,
                             struct result_summary *summary)
{
    struct energy_row *rows;
    uint32_t count;
    uint64_t all = facts->is_complete ? iterations : 1;
    energy_of(facts, steady.time_ps, steady.iterations, all, steady.is_steady, arena, &rows, &count);
    double network_pj = 0, all_pj = 0, compute_pj = 0, wait_pj = 0, steps = (double)steady.iterations;
    for (uint32_t i = 0; i < count; i++) {
        double row_pj = rows[i].static_pj + rows[i].dynamic_pj + rows[i].reconfigure_pj;
        all_pj += row_pj;
        network_pj += rows[i].use == ENERGY_NETWORK ? row_pj : 0;
        compute_pj += rows[i].use == ENERGY_GPU_COMPUTE ? row_pj : 0;
        wait_pj += rows[i].use == ENERGY_GPU_WAIT ? row_pj : 0;
    }
    struct fabric_bare bare = fabric_bare(facts->fabric);
    summary->unpowered_host_count = bare.hosts;
    summary->unpowered_switch_count = bare.switches;
    summary->unpowered_port_count = bare.ports;
    summary->energy_per_iteration_j = all_pj * 1e-12 / steps;
    summary->network_energy_per_iteration_j = network_pj * 1e-12 / steps;
    summary->gpu_compute_energy_j = compute_pj * 1e-12 / steps;
    summary->gpu_wait_energy_j = wait_pj * 1e-12 / steps;
    if (steady.time_ps > 0) {
        summary->network_w_per_gpu = network_pj / (double)steady.time_ps / facts->fabric->host_count / facts->gpus_per_nic;
    }
    if (summary->algorithmic_bytes > 0) {
        double useful_bits = (double)summary->algorithmic_bytes * 8 * steps / (double)all;
        summary->energy_pj_per_useful_bit = network_pj / useful_bits;
    }
}

void collect_summary(const struct facts *facts, uint32_t iterations, struct arena *arena, struct result_summary *summary)
{
    *summary = (struct result_summary){0};
    summary->makespan_ps = facts->makespan_ps;
    struct steady steady = steady_of(facts, iterations);
    summary->iteration_time_ps = facts->is_complete ? steady.time_ps / steady.iterations : 0;
    summary->sample_time_factor = facts->job->time_factor;
    summary->full_step_time_ps = (uint64_t)((double)summary->iteration_time_ps * facts->job->time_factor);
    summary->full_rank_count = facts->job->full_rank_count;
    summary->operation_count = facts->done_ops;
    ranks_summarise(facts, steady, summary);
    messages_summarise(facts, summary);
    links_summarise(facts, summary);
    summarise_circuits(facts, summary);
    calls_summarise(facts, summary);
    energy_summarise(facts, steady, iterations, arena, summary);
}

/* ---- jobs ------------------------------------------------------------------------------------------------- */

struct job_sums {
    unsigned __int128 steady_ps; /* from the first iteration's end to the last one's, over ranks */
    uint64_t first_compute_ps, first_exposed_ps, compute_ps, exposed_ps;
};

static void rank_add(const struct replay_rank *rank, struct result_jobs *row, struct job_sums *sums)
{
    row->end_ps = rank->end_ps > row->end_ps ? rank->end_ps : row->end_ps;
    row->sent_bytes += rank->sent_bytes;
    row->operations += rank->done_ops;
    row->operations_all += rank->op_count;
    sums->steady_ps += rank->end_ps - (rank->first_end_ps < rank->end_ps ? rank->first_end_ps : rank->end_ps);
    sums->compute_ps += rank->compute_ps;
    sums->exposed_ps += rank->exposed_ps;
    sums->first_compute_ps += rank->first_compute_ps;
    sums->first_exposed_ps += rank->first_exposed_ps;
}

static void job_finish(struct result_jobs *row, const struct job_sums *sums, uint32_t iterations)
{
    bool is_steady = iterations > 1 && row->operations == row->operations_all;
    uint64_t steps = is_steady ? iterations - 1 : iterations, shares = (uint64_t)row->ranks * steps;
    row->makespan_ps = row->end_ps > row->start_ps ? row->end_ps - row->start_ps : 0;
    row->iteration_time_ps = is_steady ? (uint64_t)(sums->steady_ps / shares) : row->makespan_ps / steps;
    row->iteration_time_ps = row->operations == row->operations_all ? row->iteration_time_ps : 0;
    row->compute_ps = (sums->compute_ps - (is_steady ? sums->first_compute_ps : 0)) / shares;
    row->exposed_communication_ps = (sums->exposed_ps - (is_steady ? sums->first_exposed_ps : 0)) / shares;
}

const struct result_jobs *collect_jobs(const struct facts *facts, uint32_t iterations, struct arena *arena,
                                       uint32_t *count)
{
    const struct job *job = facts->job;
    const struct job_part whole = {.name = job->name, .rank_count = job->rank_count};
    const struct job_part *parts = job->part_count > 0 ? job->parts : &whole;
    *count = job->part_count > 0 ? job->part_count : 1;
    struct result_jobs *rows = arena_array(arena, *count, struct result_jobs);
    for (uint32_t i = 0; i < *count; i++) {
        struct job_sums sums = {0};
        rows[i] = (struct result_jobs){
            .name = parts[i].name,
            .first_rank = parts[i].rank_first,
            .ranks = parts[i].rank_count,
            .placement = parts[i].placement == NULL ? "linear" : parts[i].placement,
            .start_ps = parts[i].start_ps,
        };
        for (uint32_t rank = 0; rank < parts[i].rank_count; rank++) {
            rank_add(&facts->ranks[parts[i].rank_first + rank], &rows[i], &sums);
        }
        job_finish(&rows[i], &sums, iterations);
    }
    return rows;
}
