/* What a run would cost, from the job's demand and the fabric's routes, without running it. */
#include "netsim/run.h"

#include "netsim/base/clock.h"
#include "netsim/fabric_load.h"
#include "netsim/sim.h"

#include <string.h>

struct hop_sum {
    const struct sim *sim;
    struct packet_shape shape;
    struct run_estimate *estimate;
    uint32_t src, dst; /* pair of the last visit: rings ask for one pair very often */
    uint64_t hops;
};

static void demand_visit(void *context, uint32_t src_rank, uint32_t dst_rank, uint64_t bytes, uint64_t count)
{
    struct hop_sum *sum = context;
    uint32_t src = sum->sim->rank_host[src_rank], dst = sum->sim->rank_host[dst_rank];
    if (src != sum->src || dst != sum->dst) {
        sum->src = src;
        sum->dst = dst;
        sum->hops = path_hops(sum->sim->fabric, sum->sim->routes, src, dst);
    }
    uint64_t packets = src == dst ? 0 : count * shape_packets(&sum->shape, bytes);
    sum->estimate->messages += count;
    sum->estimate->payload_bytes += bytes * count;
    sum->estimate->packets += packets;
    sum->estimate->packet_hops += 2 * packets * sum->hops; /* an ACK per packet */
}

static enum status sim_build(const struct run_request *request, const struct job *job, struct arena *arena,
                             struct sim **sim, struct diag *diag)
{
    struct fabric_config fabric;
    struct scenario *scenario = arena_one(arena, struct scenario);
    struct trace_setting *settings = arena_array(arena, request->setting_count, struct trace_setting);
    size_t count = 0;
    for (size_t i = 0; i < request->setting_count; i++) {
        if (strncmp(request->settings[i].key, "trace.", 6) != 0) {
            settings[count++] = request->settings[i];
        }
    }
    enum status status = fabric_load(request->fabric, settings, count, job->rank_count, arena, &fabric, diag);
    if (status == STATUS_OK) {
        status = scenario_load(fabric.left, fabric.left_count, request->transport, arena, scenario, diag);
    }
    if (status != STATUS_OK) {
        return status;
    }
    const struct sim_config config = {.job = job, .fabric = fabric.fabric, .scenario = scenario,
                                      .seed = request->seed, .iterations = request->iterations};
    return sim_new(arena, &config, sim, diag);
}

/* Packet-hops per second of this engine here: a ring all-reduce on a small tree, some 300,000 hops. */
static double probe_hops_per_s(void)
{
    struct arena *arena = arena_new("speed probe");
    struct diag diag = {{0}};
    const struct job *job;
    struct sim *sim;
    const struct run_request request = {.fabric = "fat-tree-128", .seed = 1, .iterations = 1};
    double hops_per_s = 0;
    if (trace_read("pattern:all_reduce,ranks=16,bytes=32MiB", 0, NULL, 0, arena, &job, &diag) == STATUS_OK &&
        sim_build(&request, job, arena, &sim, &diag) == STATUS_OK) {
        double start_s = wall_seconds();
        sim_run(sim, TIME_NEVER_PS - 1);
        hops_per_s = (double)sim->engine->class->hop_count(sim->engine) / (wall_seconds() - start_s);
    }
    arena_free(arena);
    return hops_per_s;
}

enum status run_estimate(const struct run_request *request, const struct job *job, struct arena *arena,
                         struct run_estimate *estimate, struct diag *diag)
{
    *estimate = (struct run_estimate){0};
    struct sim *sim;
    enum status status = sim_build(request, job, arena, &sim, diag);
    if (status != STATUS_OK) {
        return status;
    }
    struct hop_sum sum = {.sim = sim, .shape = scenario_shape(&sim->scenario), .estimate = estimate, .src = ID_NONE};
    replay_demand(sim->replay, demand_visit, &sum);
    estimate->messages *= request->iterations;
    estimate->payload_bytes *= request->iterations;
    estimate->packets *= request->iterations;
    estimate->packet_hops *= request->iterations;
    double hops_per_s = probe_hops_per_s();
    estimate->wall_s = hops_per_s > 0 ? (double)estimate->packet_hops / hops_per_s : 0;
    estimate->memory_bytes = arena_reserved_bytes(job->arena) + arena_reserved_bytes(arena);
    return STATUS_OK;
}
