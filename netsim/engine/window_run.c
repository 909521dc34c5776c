/* The windows, one after the other. */
#define _GNU_SOURCE /* syscall */
#include "netsim/engine/window_gate.h"
#include "netsim/engine/window_super.h"

#include <limits.h>
#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

/* ---- the next window -------------------------------------------------------------------------------------- */

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* No timer is earlier: a window that is moved to for one that comes later is empty, once for a bucket of the queue. Nothing
 * will be put before a bucket that begins in this window, so such a one may be sorted for the exact time. */
static uint64_t timers_floor_ps(const struct worker *worker)
{
    uint64_t floor_ps = eventq_floor_ps(worker->timers);
    return floor_ps < worker->end_ps ? eventq_peek_ps(worker->timers) : floor_ps;
}

/* How many windows ahead the worker has something to do, UINT64_MAX for never. */
static uint64_t worker_next(const struct worker *worker)
{
    uint64_t ahead = UINT64_MAX;
    if (worker->pending != 0) {
        uint32_t slots = worker->core->slot_mask + 1;
        uint64_t turned = worker->pending >> worker->slot;
        turned |= worker->slot == 0 ? 0 : worker->pending << (slots - worker->slot);
        ahead = (uint64_t)__builtin_ctzll(turned);
    }
    uint64_t timer_ps = timers_floor_ps(worker);
    if (timer_ps != TIME_NEVER_PS) {
        ahead = min_u64(ahead, windows_ahead(worker, timer_ps));
    }
    if (worker->tells.count > 0) {
        ahead = min_u64(ahead, windows_ahead(worker, control_first_ps(worker)));
    }
    if (worker->far.count > 0) { /* I5 */
        uint64_t far_ahead = windows_ahead(worker, worker->far.items[0].time_ps);
        ahead = min_u64(ahead, far_ahead > worker->core->slot_mask ? far_ahead - worker->core->slot_mask : 0);
    }
    return ahead;
}

/* What the others must know of this worker before the next window. */
static void worker_publish(struct worker *worker)
{
    const volatile int *interrupted = worker->core->config.interrupted;
    worker->public.ahead = worker_next(worker);
    worker->public.control_ps = control_first_ps(worker);
    worker->public.packet_bytes_max = worker->packet_bytes_max;
    worker->public.is_aside = worker->id == 0 && worker->core->is_aside;
    worker->public.is_interrupted = worker->id == 0 && interrupted != NULL && *interrupted;
}

/* All workers come to the same conclusion from what all have published. False: the run is over. */
static bool worker_move(struct worker *worker, uint64_t until_ps)
{
    const struct window_core *core = worker->core;
    uint64_t ahead = UINT64_MAX;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        const struct worker *other = &core->workers[i];
        ahead = min_u64(ahead, other->public.ahead);
        if (other->public.packet_bytes_max > worker->packet_bytes_max) {
            worker->packet_bytes_max = other->public.packet_bytes_max;
        }
    }
    if (ahead == UINT64_MAX || worker->start_ps + ahead * core->width_ps > until_ps) {
        worker->is_idle = true;
        return false;
    }
    if (core->workers[0].public.is_interrupted && worker->window_count > 0) {
        return false;
    }
    worker->start_ps += ahead * core->width_ps;
    worker->slot = (uint32_t)(worker->slot + ahead) & core->slot_mask;
    worker->end_ps = worker->start_ps + core->width_ps;
    worker->sample_offset_ps = core->sample_ps - worker->start_ps;
    if (worker->sample_offset_ps >= core->width_ps - 1) {
        worker->sample_offset_ps = UINT64_MAX; /* nothing of this window is later */
    }
    if (until_ps < worker->end_ps && !core->runs_past) {
        worker->end_ps = until_ps + 1;
    }
    worker->window_count++;
    return true;
}

/* ---- one window ------------------------------------------------------------------------------------------- */

static void timers_take(struct worker *worker)
{
    struct window_core *core = worker->core;
    worker->due_count = 0;
    struct eventq_item item;
    while (eventq_pop_before(worker->timers, worker->end_ps, &item)) {
        struct timer timer = {item.time_ps, item.payload};
        uint32_t node = timer_node(timer.payload);
        node_activate(worker, node, worker->slot);
        if (timer_what(timer.payload) != TIMER_WAKE) {
            struct due due = {timer, core->nodes[node].due_first};
            core->nodes[node].due_first = (uint32_t)worker->due_count;
            vec_push(worker->arena, worker->due, worker->due_count, worker->due_capacity) = due;
        }
    }
}

uint64_t word_take(struct worker *worker, uint32_t word)
{
    struct window_core *core = worker->core;
    uint64_t nodes = 0;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        uint64_t *bits = &core->workers[i].active[(size_t)worker->slot * core->word_count + word];
        if (*bits != 0) {
            nodes |= *bits;
            *bits = 0;
        }
    }
    return nodes;
}

static inline uint32_t node_first(uint32_t word, uint64_t nodes)
{
    return nodes == 0 ? ID_NONE : word * 64 + (uint32_t)__builtin_ctzll(nodes);
}

/* None of the next eight words has anything to do: what most of them have where little goes on. */
static bool words_are_idle(const struct worker *worker, uint32_t word)
{
    const struct window_core *core = worker->core;
    uint64_t any = 0;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        const uint64_t *bits = &core->workers[i].active[(size_t)worker->slot * core->word_count + word];
        for (uint32_t at = 0; at < 8; at++) {
            any |= bits[at];
        }
    }
    return any == 0;
}

static uint32_t words_skip(const struct worker *worker, uint32_t word, uint32_t end)
{
    while (word + 8 <= end && words_are_idle(worker, word)) {
        word += 8;
    }
    return word;
}

static void nodes_serve(struct worker *worker, uint32_t first, uint32_t end,
                        void (*serve)(struct worker *worker, uint32_t node))
{
    struct window_core *core = worker->core;
    for (uint32_t word = words_skip(worker, first / 64, end / 64); word < end / 64;
         word = words_skip(worker, word + 1, end / 64)) {
        for (uint64_t nodes = word_take(worker, word); nodes != 0; nodes &= nodes - 1) {
            uint64_t later = nodes & (nodes - 1), latest = later & (later - 1);
            worker->node_next = node_first(word, later);
            worker->node_after = node_first(word, latest);
            worker->node_third = node_first(word, latest & (latest - 1));
            uint32_t node = node_first(word, nodes);
            if (serve == coupled_serve) { /* the others do it themselves */
                node_touch(core, &core->nodes[node]);
            }
            serve(worker, node);
        }
    }
}

/* A switch does nothing for another one in the same window (I1), so all are known before any is served. */
static void switches_serve(struct worker *worker, uint32_t first, uint32_t end)
{
    const struct window_core *core = worker->core;
    uint32_t nodes[SWITCHES_MAX], count = 0;
    for (uint32_t word = words_skip(worker, first / 64, end / 64); word < end / 64;
         word = words_skip(worker, word + 1, end / 64)) {
        for (uint64_t bits = word_take(worker, word); bits != 0; bits &= bits - 1) {
            nodes[count++] = word * 64 + (uint32_t)__builtin_ctzll(bits);
        }
        if (count + 64 > SWITCHES_MAX) {
            core->switches_serve(worker, nodes, count);
            count = 0;
        }
    }
    core->switches_serve(worker, nodes, count);
}

static bool is_cut(const struct worker *worker)
{
    return worker->end_ps - worker->start_ps < worker->core->width_ps;
}

static bool is_control_due(const struct worker *worker)
{
    uint64_t first_ps = TIME_NEVER_PS;
    for (uint32_t i = 0; i < worker->core->worker_count; i++) {
        first_ps = min_u64(first_ps, worker->core->workers[i].public.control_ps);
    }
    return first_ps < worker->end_ps;
}

static void worker_open(struct worker *worker)
{
    worker->pending &= ~(UINT64_C(1) << worker->slot); /* set again by what a cut window leaves over */
    chunks_collect(worker);
    far_drain(worker);
    timers_take(worker);
}

static void worker_switches(struct worker *worker)
{
    const struct window_core *core = worker->core;
    if (core->switches_serve != NULL) {
        switches_serve(worker, core->switch_first[worker->id], core->switch_super_first[worker->id]);
    } else {
        nodes_serve(worker, core->switch_first[worker->id], core->switch_super_first[worker->id], core->switch_serve);
    }
    supers_serve(worker, core->switch_super_first[worker->id], core->host_first[worker->id]);
}

static void worker_hosts(struct worker *worker)
{
    const struct window_core *core = worker->core;
    nodes_serve(worker, core->host_first[worker->id], core->host_super_first[worker->id], core->host_serve);
    supers_serve(worker, core->host_super_first[worker->id], core->worker_end[worker->id]);
    if (!is_cut(worker)) { /* packets to hosts of this window have set it again */
        worker->pending &= ~(UINT64_C(1) << worker->slot);
    }
}

/* ---- threads ---------------------------------------------------------------------------------------------- */

#define SPIN_COUNT  500  /* pauses of up to 40 ns: threads differ by a few per cent of a window, 10 us and more */
#define YIELD_COUNT 1000 /* of some 300 ns, while nobody else wants the core; then a waiting thread sleeps */
#define YIELD_NS    5000 /* a yield that takes longer has let somebody else run: then it sleeps at once */

static void cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#ifdef __linux__
static void phase_sleep(struct window_core *core, uint32_t phase)
{
    atomic_fetch_add(&core->sleeper_count, 1);
    syscall(SYS_futex, &core->barrier_phase, FUTEX_WAIT_PRIVATE, phase, NULL, NULL, 0); /* not if it has changed */
    atomic_fetch_sub(&core->sleeper_count, 1);
}

static void sleepers_wake(struct window_core *core)
{
    if (atomic_load(&core->sleeper_count) > 0) {
        syscall(SYS_futex, &core->barrier_phase, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    }
}
#else
static void phase_sleep(struct window_core *core, uint32_t phase)
{
    (void)core, (void)phase;
    sched_yield();
}

static void sleepers_wake(struct window_core *core)
{
    (void)core;
}
#endif

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static bool yield_is_long(void)
{
    uint64_t before_ns = clock_ns();
    sched_yield();
    return clock_ns() - before_ns > YIELD_NS;
}

static void barrier_wait(struct window_core *core)
{
    if (core->worker_count == 1) {
        return;
    }
    uint32_t phase = atomic_load_explicit(&core->barrier_phase, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&core->barrier_count, 1, memory_order_acq_rel) + 1 == core->worker_count) {
        atomic_store_explicit(&core->barrier_count, 0, memory_order_relaxed);
        atomic_store(&core->barrier_phase, phase + 1);
        sleepers_wake(core);
        return;
    }
    bool is_wanted = false; /* the core, by others */
    for (uint32_t spins = 0; atomic_load_explicit(&core->barrier_phase, memory_order_acquire) == phase; spins++) {
        if (spins < core->spin_count) {
            cpu_relax();
        } else if (spins < core->spin_count + YIELD_COUNT && !is_wanted) {
            is_wanted = yield_is_long();
        } else {
            phase_sleep(core, phase);
        }
    }
}

/* Threads stand aside, and one serves all, while they would wait for each other longer than they work: where only few nodes
 * have anything to do, or the core of one is wanted by others. Now and then a window is looked at; what is found decides
 * who works, never what comes out. Standing aside lasts twice as long each time, so that changing costs little. */
#ifdef PHOTONET_STRESS
enum { LOOK_EVERY = 1, LOOK_COUNT = 8, ASIDE_LOOKS_MAX = 8, ALWAYS_CHANGES = true };
#else
enum { LOOK_EVERY = 8, LOOK_COUNT = 64, ASIDE_LOOKS_MAX = 1 << 14, ALWAYS_CHANGES = false };
#endif
#define BARRIER_NS 500 /* with a core for each thread: 200 to 800 */

static uint64_t look_ns(bool is_looked_at)
{
    return is_looked_at ? clock_ns() : 0;
}

/* Of worker 0, between the barriers of a window: the others write what they have worked behind the second. */
static void aside_decide(struct window_core *core)
{
    if (core->look_count < LOOK_COUNT) {
        return;
    }
    uint64_t work_ns = 0;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        work_ns += core->workers[i].public.work_ns - core->workers[i].work_seen_ns;
        core->workers[i].work_seen_ns = core->workers[i].public.work_ns;
    }
    core->is_aside = ALWAYS_CHANGES || core->look_wall_ns > work_ns;
    core->aside_looks = core->aside_looks > 0 ? core->aside_looks : LOOK_COUNT;
    core->look_count = core->look_wall_ns = core->look_threads_ns = 0;
}

static void *worker_run(void *worker_)
{
    struct worker *worker = worker_;
    struct window_core *core = worker->core;
    do {
        bool is_looked_at = core->worker_count > 1 && worker->window_count % LOOK_EVERY == 0;
        uint64_t first_ns = look_ns(is_looked_at);
        worker_publish(worker);
        barrier_wait(core); /* I6 */
        if (core->workers[0].public.is_aside) {
            return NULL;
        }
        if (worker->id == 0) {
            aside_decide(core);
        }
        if (!worker_move(worker, core->until_ps)) {
            break;
        }
        if (is_control_due(worker)) {
            barrier_wait(core); /* all have moved */
            if (worker->id == 0) {
                controls_run(core);
            }
            barrier_wait(core); /* G3 */
        }
        uint64_t open_ns = look_ns(is_looked_at);
        worker_open(worker);
        worker_switches(worker);
        uint64_t work_ns = look_ns(is_looked_at) - open_ns;
        barrier_wait(core); /* I6 */
        uint64_t hosts_ns = look_ns(is_looked_at);
        worker_hosts(worker);
        uint64_t end_ns = look_ns(is_looked_at);
        if (is_looked_at) {
            worker->public.work_ns += work_ns + end_ns - hosts_ns;
        }
        if (is_looked_at && worker->id == 0) {
            core->look_wall_ns += end_ns - first_ns;
            core->look_count++;
        }
    } while (worker->end_ps <= core->until_ps);
    worker->is_over = true;
    return NULL;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* A window on one thread; what it would take on several is added to the second. */
static void window_run_serially(struct window_core *core, bool is_looked_at)
{
    uint64_t first_ns = look_ns(is_looked_at), at_ns = first_ns, switches_ns = 0, hosts_ns = 0;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        worker_open(&core->workers[i]);
        worker_switches(&core->workers[i]);
        uint64_t now_ns = look_ns(is_looked_at);
        switches_ns = max_u64(switches_ns, now_ns - at_ns);
        at_ns = now_ns;
    }
    for (uint32_t i = 0; i < core->worker_count; i++) {
        worker_hosts(&core->workers[i]);
        uint64_t now_ns = look_ns(is_looked_at);
        hosts_ns = max_u64(hosts_ns, now_ns - at_ns);
        at_ns = now_ns;
    }
    if (is_looked_at) {
        core->look_wall_ns += at_ns - first_ns;
        core->look_threads_ns += switches_ns + hosts_ns + 2 * BARRIER_NS;
        core->look_count++;
    }
}

/* Threads would gain a quarter at least, and have stood aside for long enough. */
static bool aside_is_over(struct window_core *core)
{
    if (!core->is_aside || core->look_count < core->aside_looks) {
        return false;
    }
    bool is_gain = ALWAYS_CHANGES || core->look_threads_ns < core->look_wall_ns / 4 * 3;
    core->look_count = core->look_wall_ns = core->look_threads_ns = 0;
    return is_gain;
}

/* The same on one thread: where others stand aside, or cannot be had. */
static void workers_run_serially(struct window_core *core)
{
    bool is_going = true;
    while (is_going) {
        if (aside_is_over(core)) {
            core->aside_looks = core->aside_looks < ASIDE_LOOKS_MAX ? 2 * core->aside_looks : ASIDE_LOOKS_MAX;
            core->is_aside = false;
            return;
        }
        for (uint32_t i = 0; i < core->worker_count; i++) {
            worker_publish(&core->workers[i]);
        }
        for (uint32_t i = 0; i < core->worker_count; i++) {
            is_going &= worker_move(&core->workers[i], core->until_ps);
        }
        if (is_going) {
            if (is_control_due(&core->workers[0])) {
                controls_run(core);
            }
            window_run_serially(core, core->workers[0].window_count % LOOK_EVERY == 0);
        }
        is_going &= core->workers[0].end_ps <= core->until_ps;
    }
    core->workers[0].is_over = true;
}

/* Threads live as long as a run: an engine has no end of its own. They wait for `go`, so that nobody starts where
 * not all can. */
static void *thread_main(void *worker_)
{
    struct worker *worker = worker_;
    int32_t go;
    while ((go = atomic_load_explicit(&worker->core->go, memory_order_acquire)) == 0) {
        sched_yield();
    }
    return go > 0 ? worker_run(worker) : NULL;
}

/* False: not all threads can be had, and nothing has happened. */
static bool threads_run(struct window_core *core)
{
    uint32_t started = 1;
    /* One alone waits for nobody, and asking the system costs it three calls a slice. */
    bool has_processors = core->worker_count == 1 || sysconf(_SC_NPROCESSORS_ONLN) >= (long)core->worker_count;
    core->spin_count = has_processors ? SPIN_COUNT : 0;
    atomic_store(&core->go, 0);
    while (started < core->worker_count &&
           pthread_create(&core->workers[started].thread, NULL, thread_main, &core->workers[started]) == 0) {
        started++;
    }
    bool are_all = started == core->worker_count;
    atomic_store_explicit(&core->go, are_all ? 1 : -1, memory_order_release);
    if (are_all) {
        worker_run(&core->workers[0]);
    }
    for (uint32_t i = 1; i < started; i++) {
        pthread_join(core->workers[i].thread, NULL);
    }
    return are_all;
}

static void workers_run(struct window_core *core)
{
    core->workers[0].is_over = false;
    while (!core->workers[0].is_over) {
        if (core->is_aside || !threads_run(core)) {
            workers_run_serially(core);
        }
    }
}

/* ---- the class -------------------------------------------------------------------------------------------- */

static void run_on(struct window_core *core, uint64_t until_ps)
{
    core->until_ps = until_ps > core->done_ps ? until_ps : core->done_ps;
    core->is_on_link_valid = false;
    core->is_running = true;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        core->workers[i].is_idle = false;
        core->workers[i].window_count = 0;
    }
    workers_run(core);
    core->is_running = false;
    if (!core->workers[0].is_idle) {
        core->done_ps = core->workers[0].end_ps - 1;
    } else {
        core->done_ps = core->until_ps < TIME_NEVER_PS ? core->until_ps : window_last_ps(core);
    }
}

static uint64_t window_run(struct engine *engine, uint64_t until_ps)
{
    struct window_core *core = (struct window_core *)engine;
    run_on(core, until_ps);
    return window_first_left_ps(core);
}

static void samples_clear(struct window_core *core)
{
    if (core->late_bytes == NULL) {
        core->late_bytes = arena_array(core->arena, core->fabric->port_count, uint32_t);
    }
    memset(core->late_bytes, 0, core->fabric->port_count * sizeof *core->late_bytes);
}

/* A window that is cut short costs as much as two, and goes packet by packet. */
static uint64_t window_run_past(struct engine *engine, uint64_t until_ps)
{
    struct window_core *core = (struct window_core *)engine;
    samples_clear(core);
    if (core->width_ps > RUN_PAST_PS || until_ps < core->done_ps) {
        return window_run(engine, until_ps);
    }
    core->runs_past = true;
    core->sample_ps = until_ps;
    run_on(core, until_ps);
    core->runs_past = false;
    core->sample_ps = TIME_NEVER_PS;
    uint64_t ahead = UINT64_MAX;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        ahead = min_u64(ahead, worker_next(&core->workers[i]));
    }
    return ahead == UINT64_MAX ? window_first_left_ps(core) : core->workers[0].start_ps + ahead * core->width_ps;
}

/* Between runs: times may lie before the last window where nothing is left to happen. */
static void position_fix(struct window_core *core, uint64_t now_ps)
{
    if (core->is_running || now_ps >= core->workers[0].start_ps) {
        return;
    }
    for (uint32_t i = 0; i < core->worker_count; i++) {
        struct worker *worker = &core->workers[i];
        assert(worker->pending == 0 && worker->far.count == 0);
        worker->start_ps = now_ps / core->width_ps * core->width_ps;
    }
}

static void window_kick(struct engine *engine, uint32_t host, uint32_t port, uint64_t now_ps)
{
    struct window_core *core = (struct window_core *)engine;
    uint32_t node = core->inner[host];
    struct worker *worker = &core->workers[core->nodes[node].owner];
    const struct window_port *kicked = &core->ports[core->nodes[node].port_first + port];
    if (worker->visit.port == kicked) {
        if (worker->visit.state.leave_ps == TIME_NEVER_PS) {
            visit_kick(worker, now_ps);
        }
        return; /* what most kicks are: an arrival has made something to send, but the port is sending */
    }
    if (worker->host_now == node && kicked->is_busy) {
        return;
    }
    position_fix(core, now_ps);
    port_touch(core, &core->nodes[node], port);
    if (core->class_ports != NULL) {
        coupled_kick(worker, node, port, now_ps);
    } else {
        host_kick(worker, node, port, now_ps);
    }
}

static void window_timer(struct engine *engine, uint32_t host, uint64_t when_ps, enum host_event kind,
                         uint64_t argument)
{
    struct window_core *core = (struct window_core *)engine;
    uint32_t node = core->inner[host];
    struct worker *worker = &core->workers[core->nodes[node].owner];
    position_fix(core, when_ps);
    bool is_now = worker->host_now == node && when_ps < worker->end_ps;
    uint64_t payload = timer_payload(node, kind, argument);
    if (is_now) {
        timer_push(&worker->local, when_ps, payload);
    } else {
        eventq_push(worker->timers, when_ps, payload);
    }
}

static void window_sent_bytes(const struct engine *engine, uint64_t *bytes)
{
    const struct window_core *core = (const struct window_core *)engine;
    for (uint32_t port = 0; port < core->fabric->port_count; port++) {
        bytes[port] = core->ports[port].tx_bytes - (core->late_bytes != NULL ? core->late_bytes[port] : 0);
    }
}

static uint64_t window_hop_count(const struct engine *engine)
{
    const struct window_core *core = (const struct window_core *)engine;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        sum += core->workers[i].hop_count;
    }
    return sum;
}

static uint64_t window_in_flight(const struct engine *engine)
{
    const struct window_core *core = (const struct window_core *)engine;
    int64_t sum = 0;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        sum += core->workers[i].in_flight;
    }
    return (uint64_t)sum;
}

static uint64_t window_packets_bytes(const struct engine *engine)
{
    const struct window_core *core = (const struct window_core *)engine;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < core->worker_count; i++) {
        sum += core->workers[i].packets_bytes + core->workers[i].far.capacity * sizeof(struct far_packet);
    }
    return sum;
}

static void window_waiting(const struct engine *engine, uint32_t port,
                           void (*visit)(void *context, uint32_t in_port, bool is_kept_back), void *context)
{
    const struct window_core *core = (const struct window_core *)engine;
    if (core->class_ports != NULL) {
        class_waiting_visit(core, port, visit, context);
    }
}

static uint32_t window_open_classes(const struct engine *engine, uint32_t host, uint32_t port)
{
    const struct window_core *core = (const struct window_core *)engine;
    return core->class_ports == NULL ? 1 : class_open_classes(core, core->fabric->port_first[host] + port);
}

const struct engine_class engine_window = {
    .name = "window",
    .create = window_create,
    .kick = window_kick,
    .timer = window_timer,
    .tell = window_tell,
    .gate = window_gate,
    .run = window_run,
    .run_past = window_run_past,
    .sent_bytes = window_sent_bytes,
    .counters = window_counters,
    .open_classes = window_open_classes,
    .waiting = window_waiting,
    .hop_count = window_hop_count,
    .packets_in_flight = window_in_flight,
    .packets_bytes = window_packets_bytes,
};
