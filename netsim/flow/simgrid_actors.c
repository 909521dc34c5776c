/* The process that simulates: tasks of the replay, done by SimGrid actors.
 *
 *      replay ──► ring of tasks ──► idle actor, or a new one ──► sg_host_sendto, sg_actor_sleep_until ──► replay ...
 *
 * SimGrid's C interface tells nobody when a communication ends but the actor that waits for it, so whatever
 * is under way has an actor of its own: a message or a timer each. Actors are kept and used again; there are
 * as many as there were tasks at once (a ring of n ranks: about 2n). An actor that has told the replay goes
 * on with the first new task itself and wakes or makes actors for the others.
 *
 * Actors change only inside calls of SimGrid, so between two such calls an actor has the replay for itself;
 * the replay's callbacks contain none (they only fill the ring).
 *
 * The main actor sleeps until nothing is left to happen and ends the process from within, because SimGrid
 * would end the other actors with C++ exceptions through frames of C. */
#include "netsim/flow/simgrid_int.h"

#if PHOTONET_HAVE_SIMGRID

#include "netsim/base/rng.h"
#include "netsim/flow/simgrid_api.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

enum task_kind { TASK_MESSAGE, TASK_LOCAL, TASK_ACK, TASK_TIMER };

struct task {
    enum task_kind kind;
    uint32_t host;         /* TASK_TIMER */
    uint32_t channel, lane; /* TASK_MESSAGE, where there are connections: which of the channel's */
    uint64_t when_ps;      /* all but TASK_MESSAGE; the time at which it is over */
    uint64_t argument;     /* TASK_TIMER */
    uint64_t delivered_ps; /* TASK_ACK */
    struct message message;
};

/* A connection of a pair of ranks: one message of it moves at a time, the others wait. */
struct lane_task {
    struct task task;
    struct lane_task *next;
};

struct lane {
    uint64_t key; /* source rank, destination rank, channel; lanes of a pair stand one behind the other */
    uint32_t posted; /* of the pair's first lane: messages so far */
    bool is_there, is_busy;
    struct lane_task *first, *last;
};

#define RECORDS_AT_ONCE 512

struct flow_tasks {
    struct simgrid_api simgrid;
    struct flow_child *child;
    struct task *ring; /* capacity 2^k */
    size_t head, count, capacity;
    uint64_t now_ps; /* never goes back, however SimGrid's clock is rounded */
    uint32_t idle;   /* actors that wait for `wake` and have not been called */
    uint32_t called; /* actors on their way to the ring */
    uint32_t busy;
    uint32_t actor_count;
    bool is_over;
    sg_sem_t wake, done;
    sg_host_t *hosts; /* NULL where the host never talks */
    sg_host_t home;   /* of the actors */
    struct lane *lanes; /* open addressing by pair, `connections` of them an entry; capacity 2^k entries */
    size_t pair_count, pair_capacity;
    struct lane_task *free_lane_tasks;
    struct flow_record records[RECORDS_AT_ONCE];
    size_t record_count;
};

/* ---- the ring ------------------------------------------------------------------------------------------ */

static void task_push(struct flow_tasks *tasks, const struct task *task)
{
    if (tasks->count == tasks->capacity) {
        size_t capacity = tasks->capacity * 2;
        struct task *ring = arena_array(tasks->child->arena, capacity, struct task);
        for (size_t i = 0; i < tasks->count; i++) {
            ring[i] = tasks->ring[(tasks->head + i) & (tasks->capacity - 1)];
        }
        tasks->ring = ring;
        tasks->head = 0;
        tasks->capacity = capacity;
    }
    tasks->ring[(tasks->head + tasks->count++) & (tasks->capacity - 1)] = *task;
}

static struct task task_pop(struct flow_tasks *tasks)
{
    struct task task = tasks->ring[tasks->head];
    tasks->head = (tasks->head + 1) & (tasks->capacity - 1);
    tasks->count--;
    return task;
}

/* ---- connections --------------------------------------------------------------------------------------- */

static struct lane *lanes_probe(const struct flow_tasks *tasks, uint64_t key)
{
    for (size_t at = rng_mix(key);; at++) {
        struct lane *lanes = &tasks->lanes[(at & (tasks->pair_capacity - 1)) * tasks->child->config->connections];
        if (!lanes->is_there || lanes->key == key) {
            return lanes;
        }
    }
}

static void lanes_grow(struct flow_tasks *tasks)
{
    uint32_t wide = tasks->child->config->connections;
    struct lane *old = tasks->lanes;
    size_t old_capacity = tasks->pair_capacity;
    tasks->pair_capacity = old_capacity == 0 ? 64 : old_capacity * 2;
    tasks->lanes = arena_array(tasks->child->arena, tasks->pair_capacity * wide, struct lane);
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i * wide].is_there) {
            memcpy(lanes_probe(tasks, old[i * wide].key), &old[i * wide], wide * sizeof *old);
        }
    }
}

static uint64_t lane_key(const struct task *task)
{
    return ((uint64_t)task->message.src_rank << 32 | task->message.dst_rank) ^ rng_mix(task->channel);
}

/* The lane of a new message; they are used in turn. */
static struct lane *lane_next(struct flow_tasks *tasks, struct task *task)
{
    if (tasks->pair_count * 2 >= tasks->pair_capacity) {
        lanes_grow(tasks);
    }
    struct lane *lanes = lanes_probe(tasks, lane_key(task));
    tasks->pair_count += !lanes->is_there;
    lanes->is_there = true;
    lanes->key = lane_key(task);
    task->lane = lanes->posted++ % tasks->child->config->connections;
    return &lanes[task->lane];
}

static void lane_wait(struct flow_tasks *tasks, struct lane *lane, const struct task *task)
{
    struct lane_task *waiting = tasks->free_lane_tasks;
    if (waiting == NULL) {
        waiting = arena_one(tasks->child->arena, struct lane_task);
    } else {
        tasks->free_lane_tasks = waiting->next;
    }
    *waiting = (struct lane_task){.task = *task};
    if (lane->first == NULL) {
        lane->first = waiting;
    } else {
        lane->last->next = waiting;
    }
    lane->last = waiting;
}

/* The last byte of a message has left: the next one of its connection goes. */
static void lane_go_on(struct flow_tasks *tasks, const struct task *task)
{
    struct lane *lane = lanes_probe(tasks, lane_key(task)) + task->lane;
    struct lane_task *first = lane->first;
    lane->is_busy = first != NULL;
    if (first != NULL) {
        lane->first = first->next;
        task_push(tasks, &first->task);
        first->next = tasks->free_lane_tasks;
        tasks->free_lane_tasks = first;
    }
}

void flow_send(void *context, const struct message *message, uint64_t now_ps)
{
    struct flow_tasks *tasks = context;
    const struct flow_config *config = tasks->child->config;
    struct task task = {.kind = TASK_MESSAGE, .channel = message->channel, .message = *message};
    task.message.posted_ps = now_ps;
    if (message->src_host == message->dst_host) {
        task.kind = TASK_LOCAL;
        task.when_ps = now_ps + config->local_ps + serialisation_ps(message->bytes, config->local_bps);
    }
    if (config->connections > 0 && task.kind == TASK_MESSAGE) {
        struct lane *lane = lane_next(tasks, &task);
        if (lane->is_busy) {
            lane_wait(tasks, lane, &task);
            return;
        }
        lane->is_busy = true;
    }
    task_push(tasks, &task);
}

void flow_timer(void *context, uint32_t host, uint64_t when_ps, uint64_t argument)
{
    const struct task task = {.kind = TASK_TIMER, .host = host, .when_ps = when_ps, .argument = argument};
    task_push(context, &task);
}

struct flow_tasks *flow_tasks_new(struct arena *arena, struct flow_child *child)
{
    struct flow_tasks *tasks = arena_one(arena, struct flow_tasks);
    tasks->child = child;
    tasks->capacity = 64;
    tasks->ring = arena_array(arena, tasks->capacity, struct task);
    return tasks;
}

/* ---- time and results ---------------------------------------------------------------------------------- */

static void actors_call(struct flow_tasks *tasks, size_t own);

static uint64_t clock_read(struct flow_tasks *tasks)
{
    uint64_t clock_ps = (uint64_t)(tasks->simgrid.simgrid_get_clock() * 1e12 + 0.5);
    tasks->now_ps = clock_ps > tasks->now_ps ? clock_ps : tasks->now_ps;
    return tasks->now_ps;
}

static void sleep_until(const struct flow_tasks *tasks, uint64_t when_ps)
{
    tasks->simgrid.sg_actor_sleep_until((double)when_ps * 1e-12);
}

static void records_flush(struct flow_tasks *tasks)
{
    const char *from = (const char *)tasks->records;
    size_t left_bytes = tasks->record_count * sizeof tasks->records[0];
    while (left_bytes > 0) {
        ssize_t written_bytes = write(tasks->child->records_fd, from, left_bytes);
        if (written_bytes < 0) {
            _exit(STATUS_IO); /* nobody reads any more */
        }
        from += written_bytes;
        left_bytes -= (size_t)written_bytes;
    }
    tasks->record_count = 0;
}

static void record(struct flow_tasks *tasks, const struct message *message, uint64_t delivered_ps,
                   uint64_t acked_ps)
{
    struct flow_record *row = &tasks->records[tasks->record_count++];
    *row = (struct flow_record){
        .src_rank = message->src_rank,
        .dst_rank = message->dst_rank,
        .bytes = message->bytes,
        .posted_ps = message->posted_ps,
        .delivered_ps = delivered_ps,
        .acked_ps = acked_ps,
    };
    replay_identity(tasks->child->replay, message, row->key);
    if (tasks->record_count == RECORDS_AT_ONCE) {
        records_flush(tasks);
    }
}

/* ---- tasks --------------------------------------------------------------------------------------------- */

/* The last ACK on an idle way back. */
static uint64_t ack_ps(const struct flow_config *config, const struct message *message)
{
    const struct packet_shape ack = {config->shape.ack_bytes, config->shape.ack_bytes - 1,
                                     config->shape.ack_bytes, config->shape.cells};
    return path_idle_ps(config->fabric, config->routes, &ack, true, message->dst_host, message->src_host, 1);
}

static void message_run(struct flow_tasks *tasks, struct task *task)
{
    const struct flow_config *config = tasks->child->config;
    const struct message *message = &task->message;
    uint64_t ready_ps = message->posted_ps + message_post_ps(message) + config->post_ps + config->nic_ps;
    if (ready_ps > tasks->now_ps) {
        sleep_until(tasks, ready_ps);
    }
    uint64_t wire_bytes =
        message->bytes + shape_packets(&config->shape, message->bytes) * config->shape.header_bytes;
    tasks->simgrid.sg_host_sendto(tasks->hosts[message->src_host], tasks->hosts[message->dst_host], (double)wire_bytes);
    if (config->connections > 0) {
        lane_go_on(tasks, task);
        actors_call(tasks, 0);
    }
    sleep_until(tasks, clock_read(tasks) + config->nic_ps +
                platform_latency_ps(tasks->child->platform, message->src_host, message->dst_host));
    uint64_t now_ps = clock_read(tasks);
    task->kind = TASK_ACK;
    task->delivered_ps = now_ps;
    task->when_ps = now_ps + ack_ps(config, message);
    replay_delivered(tasks->child->replay, message, now_ps);
    task_push(tasks, task);
}

static void local_run(struct flow_tasks *tasks, const struct task *task)
{
    sleep_until(tasks, task->when_ps);
    uint64_t now_ps = clock_read(tasks);
    record(tasks, &task->message, now_ps, now_ps);
    replay_delivered(tasks->child->replay, &task->message, now_ps);
    replay_acked(tasks->child->replay, &task->message, now_ps);
}

static void ack_run(struct flow_tasks *tasks, const struct task *task)
{
    sleep_until(tasks, task->when_ps);
    uint64_t now_ps = clock_read(tasks);
    record(tasks, &task->message, task->delivered_ps, now_ps);
    replay_acked(tasks->child->replay, &task->message, now_ps);
}

static void timer_run(struct flow_tasks *tasks, const struct task *task)
{
    sleep_until(tasks, task->when_ps);
    replay_event(tasks->child->replay, task->host, task->argument, clock_read(tasks));
}

static void task_run(struct flow_tasks *tasks, struct task *task)
{
    switch (task->kind) {
    case TASK_MESSAGE:
        message_run(tasks, task);
        break;
    case TASK_LOCAL:
        local_run(tasks, task);
        break;
    case TASK_ACK:
        ack_run(tasks, task);
        break;
    case TASK_TIMER:
        timer_run(tasks, task);
        break;
    }
}

/* ---- actors -------------------------------------------------------------------------------------------- */

static void actor_main(int argc, char **argv);

static void actor_start(struct flow_tasks *tasks)
{
    const char *name = "task";
    const char *const argv[] = {name, NULL};
    sg_actor_t actor = tasks->simgrid.sg_actor_init(name, tasks->home);
    tasks->simgrid.sg_actor_set_data(actor, tasks);
    tasks->actor_count++;
    tasks->simgrid.sg_actor_start_(actor, actor_main, 1, argv);
}

static bool must_stop(const struct flow_tasks *tasks)
{
    return tasks->is_over || tasks->child->shared->must_stop;
}

/* Calls an actor for every task in the ring but the `own` ones that the caller does itself. */
static void actors_call(struct flow_tasks *tasks, size_t own)
{
    while (tasks->count > tasks->called + own && !must_stop(tasks)) {
        tasks->called++;
        if (tasks->idle > 0) {
            tasks->idle--;
            tasks->simgrid.sg_sem_release(tasks->wake);
        } else {
            actor_start(tasks);
        }
    }
}

static void over(struct flow_tasks *tasks)
{
    if (!tasks->is_over) {
        tasks->is_over = true;
        tasks->simgrid.sg_sem_release(tasks->done);
    }
}

static void actor_main(int argc, char **argv)
{
    (void)argc, (void)argv;
    struct flow_tasks *tasks = simgrid_self_data();
    for (;;) {
        tasks->called--;
        tasks->busy++;
        while (tasks->count > 0 && !must_stop(tasks)) {
            struct task task = task_pop(tasks);
            task_run(tasks, &task);
            actors_call(tasks, 1);
        }
        tasks->busy--;
        if (must_stop(tasks) || (tasks->busy == 0 && tasks->called == 0 && tasks->count == 0)) {
            over(tasks);
        }
        tasks->idle++;
        tasks->simgrid.sg_sem_acquire(tasks->wake);
    }
}

static void results_store(struct flow_tasks *tasks)
{
    struct flow_child *child = tasks->child;
    struct flow_shared *shared = child->shared;
    records_flush(tasks);
    for (uint32_t rank = 0; rank < child->config->job->rank_count; rank++) {
        replay_rank(child->replay, rank, 0, &child->ranks[rank]);
    }
    for (uint32_t i = 0; i < replay_call_count(child->replay); i++) {
        child->calls[i] = replay_calls(child->replay)[i];
    }
    shared->makespan_ps = replay_makespan_ps(child->replay);
    shared->first_iteration_ps = replay_first_iteration_ps(child->replay);
    shared->done_ops = replay_done_ops(child->replay);
    shared->op_count = replay_op_count(child->replay);
    FILE *text = fmemopen(shared->explanation, sizeof shared->explanation - 1, "w");
    if (text != NULL && shared->done_ops < shared->op_count) {
        replay_explain(child->replay, text, FLOW_EXPLAINED_RANKS);
    }
    if (text != NULL) {
        fclose(text);
    }
    shared->is_finished = true;
}

static void main_actor(int argc, char **argv)
{
    (void)argc, (void)argv;
    struct flow_tasks *tasks = simgrid_self_data();
    uint64_t until_ps = tasks->child->config->until_ps;
    replay_start(tasks->child->replay);
    actors_call(tasks, 0);
    bool is_begun = tasks->actor_count > 0; /* a stop may come first, and a job may be empty */
    if (is_begun && until_ps == TIME_NEVER_PS) {
        tasks->simgrid.sg_sem_acquire(tasks->done);
    } else if (is_begun) {
        tasks->child->shared->is_cut = tasks->simgrid.sg_sem_acquire_timeout(tasks->done, (double)until_ps * 1e-12);
    }
    results_store(tasks);
    _exit(STATUS_OK);
}

/* ---- the process --------------------------------------------------------------------------------------- */

/* CM02 as it was published. Times are right to a picosecond, not to SimGrid's default of 10 us; gamma is a
 * window that never limits. Stacks: the replay needs few kilobytes, SimGrid itself more. */
static const char *const options[] = {
    "photonet",
    "--cfg=network/model:CM02",
    "--cfg=network/crosstraffic:0",
    "--cfg=network/TCP-gamma:1e30",
    "--cfg=network/weight-S:0",
    "--cfg=network/latency-factor:1e-15", /* platform.h, I3 */
    "--cfg=network/bandwidth-factor:1",
    "--cfg=surf/precision:1e-12",
    "--cfg=contexts/stack-size:256",
    "--log=root.thres:critical",
    "--log=root.fmt:%m%n",
};
#define OPTION_COUNT (sizeof options / sizeof options[0])

static void simgrid_begin(struct flow_tasks *tasks)
{
    char *argv[OPTION_COUNT + 1] = {NULL};
    memcpy(argv, options, sizeof options);
    int argc = OPTION_COUNT;
    tasks->simgrid.simgrid_init(&argc, argv);
    signal(SIGINT, SIG_IGN); /* the parent decides */
    tasks->simgrid.simgrid_load_platform(tasks->child->platform_path);
}

static void hosts_find(struct flow_tasks *tasks)
{
    uint32_t host_count = tasks->child->config->fabric->host_count;
    tasks->hosts = arena_array(tasks->child->arena, host_count, sg_host_t);
    for (uint32_t host = 0; host < host_count; host++) {
        char name[16];
        snprintf(name, sizeof name, "h%u", host);
        tasks->hosts[host] = tasks->simgrid.sg_host_by_name(name);
    }
    tasks->home = tasks->simgrid.sg_host_by_name("actors");
}

void flow_child_run(struct flow_tasks *tasks)
{
    if (!simgrid_api_load(&tasks->simgrid)) {
        _exit(STATUS_IO); /* the parent shows what has been written */
    }
    simgrid_begin(tasks);
    hosts_find(tasks);
    tasks->wake = tasks->simgrid.sg_sem_init(0);
    tasks->done = tasks->simgrid.sg_sem_init(0);
    const char *name = "main";
    const char *const argv[] = {name, NULL};
    sg_actor_t actor = tasks->simgrid.sg_actor_init(name, tasks->home);
    tasks->simgrid.sg_actor_set_data(actor, tasks);
    tasks->simgrid.sg_actor_start_(actor, main_actor, 1, argv);
    tasks->simgrid.simgrid_run();
    _exit(STATUS_IO); /* the main actor ends the process; here something went wrong */
}

#endif
