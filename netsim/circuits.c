#include "netsim/circuits.h"

#include <string.h>

/* Phases that a rank's messages over one region belong to, in their order. */
struct turns {
    struct controller_turn *turn;
    size_t count, capacity;
};

struct circuits {
    struct arena *arena;
    struct fabric *fabric;
    const struct replay *replay;
    const uint32_t *rank_host;
    struct phases *phases;
    struct schedule *schedule;
    struct controller *controller;
    struct engine *engine; /* NULL: circuits are set before the run */
    struct gate_window *windows;
};

/* ---- demand -------------------------------------------------------------------------------------------------- */

struct demand_sum {
    const struct circuits *circuits;
    struct demand_builder **builders; /* by phase */
};

static bool is_for_circuits(const struct circuits *circuits, uint32_t src_host, uint32_t dst_host, uint64_t bytes)
{
    return src_host != dst_host && bytes >= circuits->fabric->rules.least_bytes;
}

#define ACK_BYTES 1 /* where circuits are the only way, acknowledgements need one too; what they weigh does not matter */

static void demand_visit(void *context, uint32_t phase, uint32_t src_rank, uint32_t dst_rank, uint64_t bytes)
{
    const struct demand_sum *sum = context;
    const struct circuits *circuits = sum->circuits;
    uint32_t src = circuits->rank_host[src_rank], dst = circuits->rank_host[dst_rank];
    if (is_for_circuits(circuits, src, dst, bytes)) {
        demand_add(sum->builders[phase], src, dst, bytes > 0 ? bytes : 1);
        if (!circuits->fabric->rules.has_other_way) {
            demand_add(sum->builders[phase], dst, src, ACK_BYTES);
        }
    }
}

static struct schedule_phase *demands_find(struct circuits *circuits, uint32_t rank_count)
{
    uint32_t count = phases_count(circuits->phases);
    struct demand_sum sum = {circuits, arena_array(circuits->arena, count, struct demand_builder *)};
    struct schedule_phase *list = arena_array(circuits->arena, count, struct schedule_phase);
    for (uint32_t phase = 0; phase < count; phase++) {
        sum.builders[phase] = demand_builder_new(circuits->arena, circuits->fabric->host_count);
    }
    for (uint32_t rank = 0; rank < rank_count; rank++) {
        phases_walk(circuits->phases, rank, demand_visit, &sum);
    }
    for (uint32_t phase = 0; phase < count; phase++) {
        list[phase] = (struct schedule_phase){phases_name(circuits->phases, phase), demand_build(sum.builders[phase])};
    }
    return list;
}

/* ---- order --------------------------------------------------------------------------------------------------- */

struct order {
    const struct circuits *circuits;
    struct turns *turns; /* by region */
};

static void order_visit(void *context, uint32_t phase, uint32_t src_rank, uint32_t dst_rank, uint64_t bytes)
{
    const struct order *order = context;
    const struct circuits *circuits = order->circuits;
    uint32_t src = circuits->rank_host[src_rank], dst = circuits->rank_host[dst_rank];
    uint32_t want = is_for_circuits(circuits, src, dst, bytes) ? schedule_want_find(circuits->schedule, src, phase, dst)
                                                               : ID_NONE;
    if (want == ID_NONE) {
        return;
    }
    const struct schedule *schedule = circuits->schedule;
    struct turns *turns = &order->turns[schedule->wants[schedule->want_first[src] + want].region[0]];
    if (turns->count == 0 || turns->turn[turns->count - 1].phase != phase) {
        vec_push(circuits->arena, turns->turn, turns->count, turns->capacity) = (struct controller_turn){phase, 0};
    }
    turns->turn[turns->count - 1].messages++;
}

/* Adds the messages of one rank to the turns of all, where its phases come in their order; false where they do not. */
static bool turns_add(struct turns *all, const struct turns *rank)
{
    size_t at = 0;
    for (size_t i = 0; i < rank->count; i++) {
        while (at < all->count && all->turn[at].phase != rank->turn[i].phase) {
            at++;
        }
        if (at == all->count) {
            return false;
        }
        all->turn[at++].messages += rank->turn[i].messages;
    }
    return true;
}

/* The turns of every region: those of the rank with most of them, if all others' come in the same order. */
static void order_find(struct circuits *circuits, uint32_t rank_count, struct controller_config *config)
{
    uint32_t regions = circuits->schedule->region_count;
    struct turns *lists = arena_array(circuits->arena, (size_t)rank_count * regions, struct turns);
    struct turns *all = arena_array(circuits->arena, regions, struct turns);
    uint32_t *first = arena_array(circuits->arena, regions + 1, uint32_t);
    for (uint32_t rank = 0; rank < rank_count; rank++) {
        struct order order = {circuits, &lists[(size_t)rank * regions]};
        phases_walk(circuits->phases, rank, order_visit, &order);
    }
    struct controller_turn *turns = NULL;
    size_t count = 0, capacity = 0;
    for (uint32_t region = 0; region < regions; region++) {
        const struct turns *longest = &lists[region];
        for (uint32_t rank = 1; rank < rank_count; rank++) {
            const struct turns *list = &lists[(size_t)rank * regions + region];
            longest = list->count > longest->count ? list : longest;
        }
        for (size_t i = 0; i < longest->count; i++) {
            vec_push(circuits->arena, all[region].turn, all[region].count, all[region].capacity) =
                (struct controller_turn){longest->turn[i].phase, 0};
        }
        bool is_good = true;
        for (uint32_t rank = 0; rank < rank_count; rank++) {
            is_good = is_good && turns_add(&all[region], &lists[(size_t)rank * regions + region]);
        }
        for (size_t i = 0; is_good && i < all[region].count; i++) {
            vec_push(circuits->arena, turns, count, capacity) = all[region].turn[i];
        }
        first[region + 1] = (uint32_t)count;
    }
    config->turns = turns;
    config->turn_first = first;
}

/* ---- gates --------------------------------------------------------------------------------------------------- */

/* Before the run: a window without an end. */
static void gate_preset(struct circuits *circuits, uint32_t port, uint64_t open_ps)
{
    struct fabric *fabric = circuits->fabric;
    struct gate *gates = (struct gate *)fabric->gates;
    uint32_t window = fabric->gate_window_count++;
    circuits->windows[window] = (struct gate_window){open_ps, TIME_NEVER_PS};
    gates[fabric->port_gate[port]].window_first = window;
    gates[fabric->port_gate[port]].window_count = 1;
}

static void on_gate(void *context, uint32_t port, uint64_t open_ps, uint64_t close_ps)
{
    struct circuits *circuits = context;
    if (circuits->engine != NULL) {
        engine_gate(circuits->engine, port, open_ps, close_ps);
    } else {
        gate_preset(circuits, port, open_ps);
    }
}

/* ---- life ---------------------------------------------------------------------------------------------------- */

enum status circuits_new(struct arena *arena, struct fabric *fabric, const struct replay *replay,
                         const uint32_t *rank_host, struct circuits **result, struct diag *diag)
{
    struct circuits *circuits = arena_one(arena, struct circuits);
    uint32_t ranks = replay_job_of(replay)->rank_count;
    *result = circuits;
    *circuits = (struct circuits){.arena = arena, .fabric = fabric, .replay = replay, .rank_host = rank_host};
    circuits->phases = phases_new(replay, fabric->rules.phase, fabric->rules.traffic, arena);
    const struct schedule_phase *list = demands_find(circuits, ranks);
    uint32_t count = phases_count(circuits->phases);
    enum status status = schedule_plan(fabric, list, count, arena, &circuits->schedule, diag);
    status = status == STATUS_OK ? schedule_apply(fabric, circuits->schedule, list, diag) : status;
    if (status != STATUS_OK) {
        return status;
    }
    struct controller_config config = {
        .fabric = fabric, .schedule = circuits->schedule, .context = circuits, .gate = on_gate};
    if (fabric->rules.is_ahead) {
        order_find(circuits, ranks, &config);
    }
    circuits->windows = arena_array(arena, fabric->gate_count, struct gate_window);
    fabric->gate_windows = circuits->windows;
    circuits->controller = controller_new(arena, &config);
    controller_start(circuits->controller);
    return STATUS_OK;
}

void circuits_attach(struct circuits *circuits, struct engine *engine)
{
    circuits->engine = engine;
}

/* ---- as the job runs ----------------------------------------------------------------------------------------- */

static uint32_t want_of(const struct circuits *circuits, const struct message *message)
{
    if (!is_for_circuits(circuits, message->src_host, message->dst_host, message->bytes)) {
        return ID_NONE;
    }
    uint32_t phase = phases_of(circuits->phases, message);
    return phase == ID_NONE ? ID_NONE
                            : schedule_want_find(circuits->schedule, message->src_host, phase, message->dst_host);
}

uint64_t circuits_ports(const struct circuits *circuits, const struct message *message)
{
    const struct schedule *schedule = circuits->schedule;
    uint32_t want = want_of(circuits, message);
    return want == ID_NONE ? 0 : schedule->wants[schedule->want_first[message->src_host] + want].ports;
}

void circuits_posted(struct circuits *circuits, const struct message *message, uint64_t now_ps)
{
    uint32_t want = want_of(circuits, message);
    if (want != ID_NONE) {
        bool is_computing = replay_is_computing(circuits->replay, message->src_rank);
        engine_tell(circuits->engine, message->src_host, controller_word(want, is_computing, false), now_ps);
    }
}

void circuits_acked(struct circuits *circuits, const struct message *message, uint64_t now_ps)
{
    uint32_t want = want_of(circuits, message);
    if (want != ID_NONE) {
        engine_tell(circuits->engine, message->src_host, controller_word(want, false, true), now_ps);
    }
}

void circuits_told(struct circuits *circuits, uint32_t host, uint64_t argument, uint64_t now_ps)
{
    controller_told(circuits->controller, host, argument, now_ps);
}

const struct schedule *circuits_schedule(const struct circuits *circuits)
{
    return circuits->schedule;
}

const struct controller *circuits_controller(const struct circuits *circuits)
{
    return circuits->controller;
}
