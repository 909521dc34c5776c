#include "netsim/sim.h"

#include "netsim/circuit/planner.h"
#include "netsim/circuits.h"
#include "netsim/engine/window.h"
#include "netsim/machine.h"
#include "netsim/placement.h"
#include "netsim/slices.h"
#include "netsim/teams.h"

#include <inttypes.h>

/* ---- replay to endpoint ----------------------------------------------------------------------------------- */

static void net_send(void *context, const struct message *message, uint64_t now_ps)
{
    struct sim *sim = context;
    if (sim->circuits != NULL) {
        circuits_posted(sim->circuits, message, now_ps);
    }
    endpoint_send(sim->endpoint, message, now_ps);
}

static void net_timer(void *context, uint32_t host, uint64_t when_ps, uint64_t argument)
{
    struct sim *sim = context;
    sim->operations_pending += !replay_is_look(argument);
    engine_timer(sim->engine, host, when_ps, HOST_OPERATION, argument);
}

static void net_renew(void *context, uint32_t host)
{
    struct sim *sim = context;
    endpoint_renew(sim->endpoint, host);
}

/* ---- endpoint to replay ----------------------------------------------------------------------------------- */

static void on_delivered(void *context, const struct message *message, uint64_t now_ps)
{
    struct sim *sim = context;
    replay_delivered(sim->replay, message, now_ps);
}

static void on_acked(void *context, const struct message *message, const struct message_fate *fate, uint64_t now_ps)
{
    struct sim *sim = context;
    struct packet_shape shape = scenario_shape(&sim->scenario);
    struct flow_record record = {
        .src_rank = message->src_rank,
        .dst_rank = message->dst_rank,
        .bytes = message->bytes,
        .posted_ps = message->posted_ps,
        .delivered_ps = fate->delivered_ps,
        .acked_ps = now_ps,
        .retransmissions = fate->retransmissions,
        .nacks = fate->nacks,
        .trimmed = fate->trimmed,
        .duplicates = fate->duplicates,
        .reordered = fate->reordered,
        .reorder_max = fate->reorder_max,
        .reorder_sum = fate->reorder_sum,
    };
    replay_identity(sim->replay, message, record.key);
    if (message->src_host != message->dst_host) {
        bool is_pinned = balance_has(balances[sim->scenario.routing->balance], BALANCE_PINNED);
        record.ideal_ps = message_post_ps(message) + sim->scenario.host->post_ps + 2 * sim->scenario.host->nic_ps +
                          path_idle_ps(sim->fabric, sim->routes, &shape, is_pinned, message->src_host,
                                       message->dst_host, message->bytes);
    }
    flowstats_add(&sim->stats, &record);
    if (sim->circuits != NULL) {
        circuits_acked(sim->circuits, message, now_ps);
    }
    replay_acked(sim->replay, message, now_ps);
}

static uint64_t on_ports(void *context, const struct message *message)
{
    const struct sim *sim = context;
    return sim->circuits == NULL ? 0 : circuits_ports(sim->circuits, message);
}

static const struct endpoint_ops endpoint_ops = {.delivered = on_delivered, .acked = on_acked, .ports = on_ports};

/* ---- engine to endpoint and replay ------------------------------------------------------------------------ */

static bool on_pull(void *context, uint32_t host, uint32_t port, uint64_t now_ps, struct packet *packet)
{
    struct sim *sim = context;
    return endpoint_pull(sim->endpoint, host, port, now_ps, packet);
}

static void on_receive(void *context, uint32_t host, const struct packet *packet, uint64_t now_ps)
{
    struct sim *sim = context;
    endpoint_receive(sim->endpoint, host, packet, now_ps);
}

static void on_expect(void *context, uint32_t host, const struct packet *packets, uint32_t count, enum host_expect what)
{
    const struct sim *sim = context;
    endpoint_expect(sim->endpoint, host, packets, count, what);
}

static void on_event(void *context, uint32_t host, enum host_event kind, uint64_t argument, uint64_t now_ps)
{
    struct sim *sim = context;
    if (kind == HOST_TIMER) {
        endpoint_timer(sim->endpoint, host, argument, now_ps);
    } else {
        sim->operations_pending -= !replay_is_look(argument);
        replay_event(sim->replay, host, argument, now_ps);
    }
}

static void on_control(void *context, uint32_t host, uint64_t argument, uint64_t now_ps)
{
    struct sim *sim = context;
    circuits_told(sim->circuits, host, argument, now_ps);
}

static struct host_ops host_ops(const struct sim *sim)
{
    return (struct host_ops){.pull = on_pull, .receive = on_receive, .event = on_event,
                             .expect = endpoint_wants_expect(sim->endpoint) ? on_expect : NULL,
                             .control = sim->circuits != NULL ? on_control : NULL};
}

/* ---- building --------------------------------------------------------------------------------------------- */

/* Whether a selector may count on switches that combine inside servers: what they can, and that nothing is lost as far as
 * is known before routes are made (teams_make looks again). */
static bool can_reduce(const struct sim *sim)
{
    const struct scenario *scenario = &sim->scenario;
    const struct transport_facts facts = {.base_rtt_ps = PS_PER_US, .duplex_rtt_ps = PS_PER_US, .host_rate_bps = 8000000000,
                                          .packet_bytes = scenario->packet->size_bytes,
                                          .header_bytes = scenario->packet->header_bytes, .flight_bytes = 1 << 20};
    struct queue_profile queues;
    queues_profile(scenario->queue, scenario->transport, scenario->transport_values, &facts, &queues);
    const struct scenario_failures *failures = scenario->failures;
    const struct teams_request request = {
        .fabric = sim->fabric, .queues = &queues, .has_circuits = sim->fabric->plan == PLAN_PER_PHASE,
        .can_fail = failures->links > 0 || failures->switches > 0 || failures->list != NULL};
    uint8_t *seen = arena_array(sim->arena, sim->fabric->host_count, uint8_t);
    bool is_alone = true; /* one rank a host */
    for (uint32_t rank = 0; rank < sim->job->rank_count; rank++) {
        is_alone &= seen[sim->rank_host[rank]]++ == 0;
    }
    return is_alone && teams_scale_up_reduces(sim->fabric, scenario->links->retry != 0) && teams_hindrance(&request) == NULL;
}

static enum status replay_init(struct sim *sim, const struct sim_config *config, struct diag *diag)
{
    struct noise noise;
    enum status status = placement_make(sim->job, sim->fabric->host_count, (uint32_t)sim->scenario.host->gpus_per_nic, sim->arena,
                                        &sim->rank_host, diag);
    if (status == STATUS_OK) {
        status = noise_make(sim->scenario.noise, config->seed, sim->job->rank_count, sim->arena, &noise, diag);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct collective_machine machine = machine_of(sim->fabric, (uint32_t)sim->scenario.collective->server_hosts,
                                                   scenario_shared_bps(&sim->scenario));
    machine.can_reduce = can_reduce(sim);
    struct replay_config replay_config = {
        .job = sim->job,
        .rank_host = sim->rank_host,
        .host_count = sim->fabric->host_count,
        .machine = machine,
        .policy = &sim->scenario.policy,
        .chunk_bytes = sim->scenario.replay->chunk_bytes,
        .all_to_all_concurrency = (uint32_t)sim->scenario.replay->all_to_all_concurrency,
        .noise = noise,
        .iterations = config->iterations,
        .apart_ps = ENGINE_APART_PS,
        .net = {.context = sim, .send = net_send, .timer = net_timer, .renew = net_renew},
    };
    sim->replay = replay_new(sim->arena, &replay_config);
    status = replay_check(sim->replay, diag);
    if (status == STATUS_OK) {
        replay_volume(sim->replay, &sim->volume);
    }
    return status;
}

struct demand_sum {
    const struct sim *sim;
    struct demand_builder *builder;
};

static void demand_visit(void *context, uint32_t src_rank, uint32_t dst_rank, uint64_t bytes, uint64_t count)
{
    const struct demand_sum *sum = context;
    uint32_t src = sum->sim->rank_host[src_rank], dst = sum->sim->rank_host[dst_rank];
    if (src != dst) {
        demand_add(sum->builder, src, dst, bytes * count);
    }
}

/* Circuits of a fabric that plans them from what the job will send. */
static enum status circuits_set(struct sim *sim, struct diag *diag)
{
    if (sim->fabric->plan == PLAN_NONE) {
        return STATUS_OK;
    }
    if (sim->fabric->plan == PLAN_PER_PHASE) {
        return circuits_new(sim->arena, sim->fabric, sim->replay, sim->rank_host, &sim->circuits, diag);
    }
    struct demand_sum sum = {sim, demand_builder_new(sim->arena, sim->fabric->host_count)};
    replay_demand(sim->replay, demand_visit, &sum);
    struct circuit_plan plan;
    enum status status = plan_circuits(sim->fabric, demand_build(sum.builder), sim->arena, &plan, diag);
    if (status == STATUS_OK) {
        plan_apply(sim->fabric, &plan);
    }
    return status;
}

/* Two circuits one after the other bring packets of a message in any order, of which go-back-N keeps next to none: it
 * would send for ever. */
/* Those that take packets in any order, as they come or when told to. */
static const char *unordered_list(struct arena *arena)
{
    const char *list = "";
    for (size_t i = 0; transports[i] != NULL; i++) {
        const struct transport *transport = transports[i];
        const void *values = param_defaults(&transport->params, arena);
        bool has_choice = param_find(&transport->params, "repeat") != NULL;
        if (transport_ack(transport, values) != ACK_IN_ORDER || has_choice) {
            list = arena_printf(arena, "%s%s%s%s", list, list[0] != '\0' ? ", " : "", transport->name,
                                has_choice ? " with transport.repeat=selective" : "");
        }
    }
    return list;
}

static enum status order_check(const struct sim *sim, struct diag *diag)
{
    const struct fabric *fabric = sim->fabric;
    const struct transport *transport = sim->scenario.transport;
    bool has_detours = false;
    for (uint32_t node = 0; fabric->detours != NULL && node < fabric->node_count; node++) {
        has_detours |= fabric->detours[node].count > 0 && fabric->detours[node].rule != DETOUR_NONE;
    }
    if (!has_detours || transport_ack(transport, sim->scenario.transport_values) != ACK_IN_ORDER) {
        return STATUS_OK;
    }
    return diag_set(diag, STATUS_INPUT,
                    "%s sends the packets of a message over different circuits, where they overtake each other, and "
                    "transport %s starts again at every gap; expected one of: %s",
                    fabric->name, transport->name, unordered_list(sim->arena));
}

/* Routes, detours and queues, in this order: each follows from those before. */
static enum status routes_make(struct sim *sim, struct diag *diag)
{
    const struct scenario *scenario = &sim->scenario;
    const struct scenario_routing *routing = scenario->routing;
    sim->routes = routes_new(sim->fabric, sim->arena);
    enum status status = routes_check(sim->routes, sim->fabric->host_count, diag);
    if (status == STATUS_OK) {
        status = order_check(sim, diag);
    }
    if (status == STATUS_OK) {
        status = ways_init(&sim->ways, (enum way_rule)routing->paths, routing->ugal_threshold_bytes, sim->routes,
                           sim->arena, diag);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct packet_shape shape = scenario_shape(scenario);
    struct transport_facts facts = endpoint_facts(sim->fabric, sim->routes, &shape);
    queues_profile(scenario->queue, scenario->transport, scenario->transport_values, &facts, &sim->queues);
    sim->small_bytes = slices_queues(sim->fabric, &sim->queues);
    status = queues_lanes(scenario->queue, sim->routes, sim->ways.rule != WAY_MINIMAL, &sim->queues, diag);
    if (status == STATUS_OK) {
        status = queues_check(&sim->queues, sim->fabric, shape.packet_bytes, diag);
    }
    queues_hosts(scenario->queue, sim->fabric, &sim->queues, &sim->host_queues);
    return status;
}

static enum status teams_set(struct sim *sim, struct diag *diag)
{
    if (replay_team_count(sim->replay) == 0) {
        return STATUS_OK;
    }
    const struct packet_shape shape = scenario_shape(&sim->scenario);
    const struct teams_request request = {
        .fabric = sim->fabric,
        .replay = sim->replay,
        .rank_host = sim->rank_host,
        .queues = &sim->queues,
        .shape = shape,
        .rtt_ps = path_rtt_max(sim->fabric, sim->routes, &shape).duplex_ps,
        .can_fail = sim->failures.change_count > 0,
        .has_circuits = sim->circuits != NULL,
        .links_repeat = sim->scenario.links->retry != 0,
    };
    return teams_make(&request, sim->arena, &sim->teams, diag);
}

static void network_init(struct sim *sim, const struct sim_config *config)
{
    const struct scenario *scenario = &sim->scenario;
    const struct queue_profile *queues = &sim->queues;
    struct packet_shape shape = scenario_shape(scenario);
    const struct endpoint_config endpoint_config = {
        .small_bytes = sim->small_bytes,
        .small_class = SLICES_CLASS,
        .fabric = sim->fabric,
        .routes = sim->routes,
        .shape = shape,
        .transport = scenario->transport,
        .transport_values = scenario->transport_values,
        .balance = balances[scenario->routing->balance],
        .entropies = (uint32_t)scenario->routing->entropies,
        .flowlet_gap_ps = scenario->routing->flowlet_gap_ps,
        .queues = queues,
        .can_fail = sim->failures.change_count > 0 || links_can_lose(scenario->links, sim->fabric),
        .slowest_bps = failures_slowest_bps(&sim->failures),
        .epochs = sim->failures.epochs,
        .rto_ps = scenario->host->rto_ps,
        .post_ps = scenario->host->post_ps,
        .post_gap_ps = scenario->host->post_gap_ps,
        .nic_ps = scenario->host->nic_ps,
        .is_told_late = scenario->replay->receive == 1,
        .connections = (uint32_t)scenario->host->connections,
        .segment_bytes = scenario->host->segment_bytes,
        .local_bps = scenario->host->local_bps,
        .teams = sim->teams,
        .local_ps = scenario->host->local_ps,
        .seed = config->seed,
        .ops = &endpoint_ops,
        .context = sim,
    };
    sim->endpoint = endpoint_new(sim->arena, &endpoint_config);
    sim->ops = host_ops(sim);
    const struct engine_config engine_config = {
        .epochs = sim->failures.epochs != NULL ? sim->failures.epochs : slices_routes(sim->fabric, sim->routes, sim->arena),
        .link_changes = sim->failures.changes,
        .link_change_count = sim->failures.change_count,
        .links_repeat = scenario->links->retry != 0,
        .fabric = sim->fabric,
        .routes = sim->routes,
        .ways = &sim->ways,
        .is_source_routed = balance_has(balances[scenario->routing->balance], BALANCE_SOURCE_ROUTED),
        .seed = config->seed,
        .thread_count = config->threads,
        .simd = config->simd,
        .cut_through_bytes = (uint32_t)scenario->packet->header_bytes,
        .packet_bytes_max = (uint32_t)scenario->packet->size_bytes,
        .cells = shape.cells,
        .switch_queues = queues,
        .host_queues = &sim->host_queues,
        .ops = &sim->ops,
        .control_delay_ps = sim->circuits != NULL ? sim->fabric->rules.signal_ps : 0,
        .context = sim,
        .groups = sim->teams != NULL ? sim->teams->groups : NULL,
        .interrupted = config->interrupted,
    };
    sim->engine = engine_class_for(queues)->create(sim->arena, &engine_config);
    endpoint_attach(sim->endpoint, sim->engine);
    if (sim->circuits != NULL) {
        circuits_attach(sim->circuits, sim->engine);
    }
}

static void idle_tell(struct sim *sim)
{
    struct packet_shape shape = scenario_shape(&sim->scenario);
    struct collective_machine machine = machine_of(sim->fabric, (uint32_t)sim->scenario.collective->server_hosts,
                                                   scenario_shared_bps(&sim->scenario));
    uint64_t idle_ps[MEDIUM_COUNT];
    machine_idle(sim->fabric, sim->routes, &shape, &machine, idle_ps);
    replay_idle_set(sim->replay, idle_ps);
}

enum status sim_new(struct arena *arena, const struct sim_config *config, struct sim **result, struct diag *diag)
{
    if (config->fabric->port_count >= HUGE_PORTS_MIN) {
        arena_use_huge_pages(arena);
    }
    struct sim *sim = arena_one(arena, struct sim);
    *result = sim;
    sim->arena = arena;
    sim->job = config->job;
    sim->fabric = config->fabric;
    sim->scenario = *config->scenario;
    const struct packet_shape whole = scenario_shape(&sim->scenario);
    enum status status = links_errors(sim->scenario.links, sim->fabric, whole.packet_bytes, &whole.cells, diag);
    status = status == STATUS_OK ? replay_init(sim, config, diag) : status;
    if (status == STATUS_OK) {
        const struct packet_shape shape = scenario_shape(&sim->scenario);
        status = fabric_check_gates(sim->fabric, shape.packet_bytes, &shape.cells, diag);
    }
    if (status == STATUS_OK) {
        status = circuits_set(sim, diag);
    }
    if (status == STATUS_OK) {
        status = routes_make(sim, diag);
    }
    if (status != STATUS_OK) {
        return status;
    }
    status = failures_make(sim->scenario.failures, sim->fabric, sim->routes, config->seed, arena, &sim->failures, diag);
    if (status == STATUS_OK && sim->failures.epochs != NULL && sim->small_bytes > 0) {
        status = diag_set(diag, STATUS_INPUT, "%s: failures change routes, which this fabric changes by itself with the "
                                              "slices of its schedule; expected one of the two", sim->fabric->name);
    }
    if (status != STATUS_OK) {
        return status;
    }
    status = teams_set(sim, diag);
    if (status != STATUS_OK) {
        return status;
    }
    idle_tell(sim);
    network_init(sim, config);
    flowstats_init(&sim->stats, arena, sim->volume.messages * config->iterations,
                   sim->scenario.results->messages_max);
    replay_start(sim->replay);
    return STATUS_OK;
}

uint64_t sim_run(struct sim *sim, uint64_t until_ps)
{
    return sim->engine->class->run(sim->engine, until_ps);
}

uint64_t sim_run_past(struct sim *sim, uint64_t until_ps)
{
    return sim->engine->class->run_past(sim->engine, until_ps);
}

/* On the longest way that packets take, there and back; a sender that waits for credit needs its question answered first. */
static uint64_t tries_of(const struct sim *sim)
{
    uint32_t hosts = sim->fabric->host_count, step = hosts > 64 ? (hosts - 1) / 2 : 1, hops_max = 0;
    for (uint32_t src = 0; sim->fabric->port_frame_loss != NULL && src < hosts; src += step) {
        for (uint32_t dst = 0; dst < hosts; dst++) {
            uint32_t hops = src == dst ? 0 : path_hops(sim->fabric, sim->routes, src, dst);
            hops_max = hops > hops_max ? hops : hops_max;
        }
    }
    hops_max *= sim->ways.rule != WAY_MINIMAL ? 2 : 1;
    return links_tries(sim->scenario.links, sim->fabric, hops_max * (sim->scenario.transport->pull != NULL ? 3 : 2));
}

/* Three rounds of the slowest gate, and one more for each further window that the cells of a packet need. */
static uint64_t rounds_ps_max(const struct sim *sim)
{
    const struct fabric *fabric = sim->fabric;
    const struct packet_shape shape = scenario_shape(&sim->scenario);
    uint64_t longest_ps = 0;
    for (uint32_t port = 0; fabric->port_gate != NULL && port < fabric->port_count; port++) {
        uint32_t gate = fabric->port_gate[port];
        uint64_t windows = fabric_windows_max(fabric, &shape.cells, port, shape.packet_bytes);
        uint64_t rounds_ps = gate == ID_NONE ? 0 : (2 + windows) * fabric->gates[gate].period_ps;
        longest_ps = rounds_ps > longest_ps ? rounds_ps : longest_ps;
    }
    return longest_ps;
}

/* Twenty of the longest times after which anything is tried again, as often as links lose it. */
uint64_t sim_patience_ps(const struct sim *sim)
{
    uint64_t rto_ps = endpoint_rto_ps_max(sim->endpoint), tries = rto_ps > 0 ? 20 * tries_of(sim) : 0;
    rto_ps = tries > 0 && rto_ps < TIME_NEVER_PS / 2 ? rto_ps + endpoint_slow_ps(sim->endpoint) : rto_ps;
    uint64_t patience_ps = tries > 0 && rto_ps > TIME_NEVER_PS / tries ? TIME_NEVER_PS : rto_ps * tries;
    uint64_t rounds_ps = rounds_ps_max(sim);
    patience_ps = patience_ps > 0 && rounds_ps > patience_ps ? rounds_ps : patience_ps;
    return patience_ps > 0 ? patience_ps : TIME_NEVER_PS;
}

/* Links or routes have changed since it was asked last, or will: a repair brings back what ran into a dead link, other
 * routes lead around it. */
static bool has_way_changed(const struct sim *sim)
{
    const struct failures *failures = &sim->failures;
    const struct route_epochs *epochs = failures->epochs;
    uint64_t links_ps = failures->change_count > 0 ? failures->changes[failures->change_count - 1].time_ps : 0;
    uint64_t routes_ps = epochs != NULL && epochs->count > 0 ? epochs->from_ps[epochs->count - 1] : 0;
    return failures->change_count > 0 && (links_ps >= sim->moved.asked_ps || routes_ps >= sim->moved.asked_ps);
}

bool sim_has_moved(struct sim *sim, uint64_t now_ps)
{
    struct endpoint_counters ends;
    endpoint_counters(sim->endpoint, &ends);
    uint64_t operations = replay_done_ops(sim->replay);
    bool has_moved = sim->operations_pending > 0 || ends.moved_ps != sim->moved.time_ps ||
                     operations != sim->moved.operations || has_way_changed(sim);
    sim->moved.time_ps = ends.moved_ps;
    sim->moved.asked_ps = now_ps;
    sim->moved.operations = operations;
    return has_moved;
}

uint64_t sim_digest(const struct sim *sim)
{
    uint32_t ports = sim->fabric->port_count;
    struct arena *scratch = arena_new("digest");
    uint64_t *bytes = arena_array(scratch, ports, uint64_t);
    for (uint32_t port = 0; port < ports; port++) {
        struct port_counters counters;
        sim->engine->class->counters(sim->engine, port, &counters);
        bytes[port] = counters.tx_bytes;
    }
    uint64_t digest = sim->stats.digest;
    for (uint32_t rank = 0; rank < sim->job->rank_count; rank++) {
        struct replay_rank end;
        replay_rank(sim->replay, rank, 0, &end);
        digest = digest_rank(digest, rank, end.end_ps, end.message_ps);
    }
    digest = digest_links(digest, bytes, ports);
    arena_free(scratch);
    return digest;
}
