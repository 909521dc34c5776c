#define _GNU_SOURCE /* memfd_create */
#include "netsim/flow/simgrid_int.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#if !PHOTONET_HAVE_SIMGRID

bool flow_simgrid_is_built_in(void)
{
    return false;
}

enum status flow_simgrid_run(struct arena *arena, const struct flow_config *config,
                             struct flow_result *result, struct diag *diag)
{
    (void)arena, (void)config;
    *result = (struct flow_result){0};
    return diag_set(
        diag, STATUS_INPUT,
        "--engine simgrid: this photonet was built without SimGrid; install libsimgrid-dev and build again");
}

#else

bool flow_simgrid_is_built_in(void)
{
    return true;
}

/* SimGrid keeps a table of hosts x hosts, and a route's text is about 100 bytes. */
#define FLOW_HOSTS_MAX 8192
#define FLOW_PAIRS_MAX (UINT32_C(1) << 22)

/* ---- what SimGrid cannot express ----------------------------------------------------------------------- */

static enum status ports_check(const struct fabric *fabric, struct diag *diag)
{
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        if (fabric->port_peer[port] == ID_NONE || fabric->port_up_ps[port] > 0) {
            return diag_set(
                diag, STATUS_INPUT,
                "--engine simgrid: port %u of %s is dark at the start; expected a fabric without circuits",
                port, fabric->name);
        }
        if (fabric->port_queue_bytes[port] != UINT64_MAX) {
            return diag_set(
                diag, STATUS_INPUT,
                "--engine simgrid: the queues of %s are bounded, and flows have none; expected queue: 0B "
                "(unbounded)",
                fabric->name);
        }
    }
    return STATUS_OK;
}

static enum status fabric_check(const struct fabric *fabric, struct diag *diag)
{
    if (fabric->optical_count > 0 || fabric->plan != PLAN_NONE) {
        return diag_set(
            diag, STATUS_INPUT,
            "--engine simgrid: %s (%s) has optical circuits, which SimGrid cannot express; expected a "
            "packet fabric",
            fabric->name, fabric->family);
    }
    return ports_check(fabric, diag);
}

/* ---- the platform -------------------------------------------------------------------------------------- */

struct pair_sum {
    const struct flow_config *config;
    struct platform *platform;
};

static void demand_visit(void *context, uint32_t src_rank, uint32_t dst_rank, uint64_t bytes, uint64_t count)
{
    const struct pair_sum *sum = context;
    const struct flow_config *config = sum->config;
    uint32_t src = config->rank_host[src_rank], dst = config->rank_host[dst_rank];
    if (src != dst) {
        uint64_t wire_bytes = bytes + shape_packets(&config->shape, bytes) * config->shape.header_bytes;
        platform_add(sum->platform, src, dst, wire_bytes * count * config->iterations);
    }
}

static enum status platform_build(struct arena *arena, const struct flow_config *config,
                                  const struct replay *replay, struct platform **platform, struct diag *diag)
{
    const struct platform_config platform_config = {
        .fabric = config->fabric,
        .routes = config->routes,
        .shape = config->shape,
        .is_sprayed = config->is_sprayed,
        .seed = config->seed,
    };
    struct pair_sum sum = {config, platform_new(arena, &platform_config)};
    replay_demand(replay, demand_visit, &sum);
    *platform = sum.platform;
    if (sum.platform->pair_count > FLOW_PAIRS_MAX || config->job->rank_count > FLOW_HOSTS_MAX) {
        return diag_set(diag, STATUS_INPUT,
                        "--engine simgrid: %zu pairs of %u ranks talk; expected at most %u pairs of %d ranks",
                        sum.platform->pair_count, config->job->rank_count, FLOW_PAIRS_MAX, FLOW_HOSTS_MAX);
    }
    return platform_route(sum.platform, diag);
}

/* An open, unnamed file in memory, and the path under which this process and its children find it. */
static enum status memory_file(const char *name, FILE **file, char *path, size_t path_bytes,
                               struct diag *diag)
{
    int fd = memfd_create(name, 0);
    *file = fd < 0 ? NULL : fdopen(fd, "w+");
    if (*file == NULL) {
        return diag_set(diag, STATUS_IO, "cannot make a file in memory for SimGrid: %s", strerror(errno));
    }
    snprintf(path, path_bytes, "/proc/self/fd/%d", fd);
    return STATUS_OK;
}

/* ---- the child ----------------------------------------------------------------------------------------- */

/* What belongs to one simulation; all of it is given back in simulation_end. */
struct simulation {
    const struct flow_config *config;
    struct flow_child child;
    struct flow_tasks *tasks;
    struct platform *platform;
    FILE *platform_file, *errors;
    size_t shared_bytes;
    int records_fd;
    pid_t pid;
};

static enum status shared_map(struct simulation *simulation, struct diag *diag)
{
    struct flow_child *child = &simulation->child;
    size_t ranks_bytes = simulation->config->job->rank_count * sizeof(struct replay_rank);
    size_t calls_bytes = replay_call_count(child->replay) * sizeof(struct replay_call);
    size_t head_bytes = (sizeof(struct flow_shared) + 63) / 64 * 64;
    simulation->shared_bytes = head_bytes + ranks_bytes + calls_bytes;
    void *shared =
        mmap(NULL, simulation->shared_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        return diag_set(diag, STATUS_IO, "cannot share %zu B with SimGrid: %s", simulation->shared_bytes,
                        strerror(errno));
    }
    child->shared = shared;
    child->ranks = (struct replay_rank *)((char *)shared + head_bytes);
    child->calls = (struct replay_call *)((char *)shared + head_bytes + ranks_bytes);
    return STATUS_OK;
}

static _Noreturn void child_main(struct simulation *simulation)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody would read the results */
    dup2(fileno(simulation->errors), STDOUT_FILENO);
    dup2(fileno(simulation->errors), STDERR_FILENO);
    flow_child_run(simulation->tasks);
}

static enum status child_start(struct simulation *simulation, struct diag *diag)
{
    int ends[2];
    if (pipe(ends) != 0) {
        return diag_set(diag, STATUS_IO, "cannot open a pipe to SimGrid: %s", strerror(errno));
    }
    fflush(NULL); /* or the child prints it again */
    simulation->records_fd = ends[0];
    simulation->child.records_fd = ends[1];
    simulation->pid = fork();
    if (simulation->pid == 0) {
        close(ends[0]);
        child_main(simulation);
    }
    close(ends[1]);
    if (simulation->pid < 0) {
        return diag_set(diag, STATUS_IO, "cannot start a process for SimGrid: %s", strerror(errno));
    }
    return STATUS_OK;
}

/* ---- the parent ---------------------------------------------------------------------------------------- */

static void record_take(const struct flow_config *config, struct flow_record *record,
                        struct flow_result *result)
{
    uint32_t src = config->rank_host[record->src_rank], dst = config->rank_host[record->dst_rank];
    result->message_count++;
    result->useful_bytes += record->bytes;
    if (config->stats == NULL) {
        return;
    }
    if (src != dst) {
        record->ideal_ps = config->post_ps + 2 * config->nic_ps +
                           path_idle_ps(config->fabric, config->routes, &config->shape, !config->is_sprayed, src, dst,
                                        record->bytes);
    }
    flowstats_add(config->stats, record);
}

/* Waits for input; passes an interruption on to the child, which then ends in order. */
static void records_wait(const struct simulation *simulation)
{
    const volatile int *interrupted = simulation->config->interrupted;
    struct pollfd poll_fd = {.fd = simulation->records_fd, .events = POLLIN};
    do {
        if (interrupted != NULL && *interrupted) {
            simulation->child.shared->must_stop = 1;
        }
    } while (poll(&poll_fd, 1, 100) <= 0);
}

/* Until the child closes its end. Records may come in pieces. */
static void records_take(const struct simulation *simulation, struct flow_result *result)
{
    struct flow_record records[256];
    size_t have_bytes = 0;
    for (;;) {
        records_wait(simulation);
        ssize_t read_bytes =
            read(simulation->records_fd, (char *)records + have_bytes, sizeof records - have_bytes);
        if (read_bytes == 0 || (read_bytes < 0 && errno != EINTR)) {
            return;
        }
        have_bytes += read_bytes < 0 ? 0 : (size_t)read_bytes;
        size_t count = have_bytes / sizeof records[0];
        for (size_t i = 0; i < count; i++) {
            record_take(simulation->config, &records[i], result);
        }
        have_bytes -= count * sizeof records[0];
        memmove(records, &records[count], have_bytes);
    }
}

/* The first line that SimGrid wrote, for the diagnosis; a backtrace follows it. */
static void errors_first_line(FILE *errors, char *line, int line_bytes)
{
    rewind(errors);
    line[0] = 0;
    if (fgets(line, line_bytes, errors) != NULL) {
        line[strcspn(line, "\n")] = 0;
    }
}

static enum status child_wait(const struct simulation *simulation, struct diag *diag)
{
    int how = 0;
    while (waitpid(simulation->pid, &how, 0) < 0 && errno == EINTR) {
    }
    if (simulation->child.shared->is_finished) {
        return STATUS_OK;
    }
    char line[512];
    errors_first_line(simulation->errors, line, sizeof line);
    return diag_set(
        diag, STATUS_IO, "SimGrid ended early (%s %d): %s", WIFSIGNALED(how) ? "signal" : "status",
        WIFSIGNALED(how) ? WTERMSIG(how) : WEXITSTATUS(how), line[0] == 0 ? "it says nothing" : line);
}

static void ports_collect(const struct simulation *simulation, struct arena *arena,
                          struct flow_result *result)
{
    uint32_t port_count = simulation->config->fabric->port_count;
    uint64_t *port_bytes = arena_array(arena, port_count, uint64_t);
    platform_port_bytes(simulation->platform, port_bytes);
    result->port_bytes = port_bytes;
    if (simulation->config->stats != NULL) {
        uint64_t digest = simulation->config->stats->digest;
        for (uint32_t rank = 0; rank < simulation->config->job->rank_count; rank++) {
            digest = digest_rank(digest, rank, simulation->child.ranks[rank].end_ps, simulation->child.ranks[rank].message_ps);
        }
        result->digest = digest_links(digest, port_bytes, port_count);
    }
}

static enum status result_collect(const struct simulation *simulation, struct arena *arena,
                                  struct flow_result *result)
{
    const struct flow_child *child = &simulation->child;
    const struct flow_config *config = simulation->config;
    struct replay_rank *ranks = arena_array(arena, config->job->rank_count, struct replay_rank);
    struct replay_call *calls = arena_array(arena, replay_call_count(child->replay), struct replay_call);
    memcpy(ranks, child->ranks, config->job->rank_count * sizeof *ranks);
    memcpy(calls, child->calls, replay_call_count(child->replay) * sizeof *calls);
    result->ranks = ranks;
    result->calls = calls;
    result->call_count = replay_call_count(child->replay);
    result->makespan_ps = child->shared->makespan_ps;
    result->first_iteration_ps = child->shared->first_iteration_ps;
    result->done_ops = child->shared->done_ops;
    result->op_count = child->shared->op_count;
    result->is_complete = result->done_ops == result->op_count;
    ports_collect(simulation, arena, result);
    if (result->is_complete) {
        return STATUS_OK;
    }
    if (child->shared->must_stop) {
        return STATUS_INTERRUPTED;
    }
    if (child->shared->is_cut) {
        return STATUS_OK;
    }
    result->explanation = arena_strdup(arena, child->shared->explanation);
    return STATUS_DEADLOCK;
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

static enum status simulation_begin(struct simulation *simulation, struct arena *arena, struct diag *diag)
{
    const struct flow_config *config = simulation->config;
    struct flow_child *child = &simulation->child;
    child->config = config;
    child->arena = arena;
    simulation->tasks = flow_tasks_new(arena, child);
    struct replay_config replay_config = {
        .job = config->job,
        .rank_host = config->rank_host,
        .host_count = config->fabric->host_count,
        .machine = config->machine,
        .policy = config->policy,
        .chunk_bytes = config->chunk_bytes,
        .all_to_all_concurrency = config->all_to_all_concurrency,
        .noise = config->noise,
        .iterations = config->iterations,
        .net = {.context = simulation->tasks, .send = flow_send, .timer = flow_timer},
    };
    child->replay = replay_new(arena, &replay_config);
    replay_idle_set(child->replay, config->idle_ps);
    enum status status = replay_check(child->replay, diag);
    if (status == STATUS_OK && replay_team_count(child->replay) > 0) {
        status = diag_set(diag, STATUS_INPUT, "switches are to combine and copy (nvls, sharp), which engine simgrid has no "
                                              "packets for; expected --engine packet, or another algorithm (collective.*)");
    }
    status = status == STATUS_OK ? platform_build(arena, config, child->replay, &simulation->platform, diag) : status;
    child->platform = simulation->platform;
    if (status == STATUS_OK) {
        status = shared_map(simulation, diag);
    }
    char path[64];
    if (status == STATUS_OK) {
        status = memory_file("simgrid-errors", &simulation->errors, path, sizeof path, diag);
    }
    if (status == STATUS_OK) {
        status = memory_file("simgrid-platform", &simulation->platform_file, child->platform_path,
                             sizeof child->platform_path, diag);
    }
    return status;
}

static void simulation_end(struct simulation *simulation)
{
    if (simulation->platform_file != NULL) {
        fclose(simulation->platform_file);
    }
    if (simulation->errors != NULL) {
        fclose(simulation->errors);
    }
    if (simulation->records_fd > 0) {
        close(simulation->records_fd);
    }
    if (simulation->child.shared != NULL) {
        munmap(simulation->child.shared, simulation->shared_bytes);
    }
}

static enum status simulation_run(struct simulation *simulation, struct arena *arena,
                                  struct flow_result *result, struct diag *diag)
{
    platform_write(simulation->platform, simulation->platform_file);
    enum status status = child_start(simulation, diag);
    if (status != STATUS_OK) {
        return status;
    }
    records_take(simulation, result);
    status = child_wait(simulation, diag);
    return status == STATUS_OK ? result_collect(simulation, arena, result) : status;
}

enum status flow_simgrid_run(struct arena *arena, const struct flow_config *config,
                             struct flow_result *result, struct diag *diag)
{
    *result = (struct flow_result){0};
    enum status status = fabric_check(config->fabric, diag);
    if (status != STATUS_OK) {
        return status;
    }
    struct simulation simulation = {.config = config};
    status = simulation_begin(&simulation, arena, diag);
    if (status == STATUS_OK) {
        status = simulation_run(&simulation, arena, result, diag);
    }
    simulation_end(&simulation);
    return status;
}

#endif
