#include "netsim/run_flow.h"

#include "netsim/flow/simgrid.h"
#include "netsim/machine.h"
#include "netsim/placement.h"

/* Bytes over links are those of the whole job, whatever part of it was run. */
static struct port_counters *ports_of(const struct fabric *fabric, const uint64_t *port_bytes, struct arena *arena)
{
    struct port_counters *ports = arena_array(arena, fabric->port_count, struct port_counters);
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        ports[port].tx_bytes = ports[port].rx_bytes = port_bytes[port];
        ports[port].busy_ps = serialisation_ps(port_bytes[port], fabric->rate_bps[port]);
    }
    return ports;
}

static void facts_fill(const struct flow_config *config, const struct flow_result *result, struct arena *arena,
                       struct facts *facts)
{
    *facts = (struct facts){
        .job = config->job,
        .fabric = config->fabric,
        .rank_host = config->rank_host,
        .ranks = result->ranks,
        .calls = result->calls,
        .call_count = result->call_count,
        .ports = ports_of(config->fabric, result->port_bytes, arena),
        .stats = config->stats,
        .makespan_ps = result->makespan_ps,
        .done_ops = result->done_ops,
        .op_count = result->op_count,
        .is_complete = result->is_complete,
    };
    facts->ends.messages_delivered = result->message_count;
    facts->ends.payload_bytes_delivered = result->useful_bytes;
}

enum status run_flow(const struct run_request *request, const struct job *job, struct fabric *fabric,
                     const struct scenario *scenario, struct arena *arena, struct facts *facts, uint64_t *digest,
                     const char **explanation, struct diag *diag)
{
    struct routes *routes = fabric->plan == PLAN_NONE ? routes_new(fabric, arena) : NULL;
    struct flowstats *stats = arena_one(arena, struct flowstats);
    struct flow_result result = {0};
    struct noise noise;
    const uint32_t *rank_host;
    enum status status = placement_make(job, fabric->host_count, (uint32_t)scenario->host->gpus_per_nic, arena, &rank_host, diag);
    if (status == STATUS_OK) {
        status = noise_make(scenario->noise, request->seed, job->rank_count, arena, &noise, diag);
    }
    if (status != STATUS_OK) {
        return status;
    }
    flowstats_init(stats, arena, 0, scenario->results->messages_max);
    struct flow_config config = {
        .job = job,
        .rank_host = rank_host,
        .fabric = fabric,
        .routes = routes,
        .shape = scenario_shape(scenario),
        .is_sprayed = !balance_has(balances[scenario->routing->balance], BALANCE_PINNED),
        .seed = request->seed,
        .policy = &scenario->policy,
        .machine = machine_of(fabric, (uint32_t)scenario->collective->server_hosts, scenario_shared_bps(scenario)),
        .chunk_bytes = scenario->replay->chunk_bytes,
        .all_to_all_concurrency = (uint32_t)scenario->replay->all_to_all_concurrency,
        .noise = noise,
        .iterations = request->iterations,
        .post_ps = scenario->host->post_ps,
        .nic_ps = scenario->host->nic_ps,
        .connections = (uint32_t)scenario->host->connections,
        .local_bps = scenario->host->local_bps,
        .local_ps = scenario->host->local_ps,
        .until_ps = request->until_ps,
        .stats = stats,
        .interrupted = request->interrupted,
    };
    if (routes != NULL) {
        machine_idle(fabric, routes, &config.shape, &config.machine, config.idle_ps);
    }
    status = flow_simgrid_run(arena, &config, &result, diag);
    if (status == STATUS_OK || status == STATUS_DEADLOCK || status == STATUS_INTERRUPTED) {
        facts_fill(&config, &result, arena, facts);
        facts->gpus_per_nic = (uint32_t)scenario->host->gpus_per_nic;
        *digest = result.digest;
        *explanation = result.explanation;
    }
    return status;
}
