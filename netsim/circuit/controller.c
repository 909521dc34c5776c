#include "netsim/circuit/controller.h"

/* One want of one host, while messages need it. */
struct need {
    uint64_t count;      /* messages outstanding */
    uint64_t since_ps;   /* waits since, where it waits */
    uint64_t number;     /* of those that wait, in order */
    uint32_t host, want;
    bool is_active;      /* its circuits stand, or will when they are lit */
    bool is_urgent;      /* the rank of a message had nothing to compute */
};

struct region {
    const struct schedule_region *plan;
    uint32_t config;     /* that stands or is being set; ID_NONE */
    uint64_t lit_ps;     /* dark before, as far as circuits are new */
    uint64_t active;     /* messages */
    uint32_t turn;       /* of the job's order */
    uint64_t *turn_left; /* by turn: messages of it to come to their end */
    struct controller_region sums;
    size_t change;       /* the last one's number, plus one */
};

struct controller {
    struct controller_config config;
    struct arena *arena;
    struct region *regions;
    struct need *needs;  /* as schedule->wants */
    uint32_t *waiting;   /* numbers of needs that wait, any order */
    size_t waiting_count, waiting_capacity;
    uint64_t next_number;
    struct controller_change *changes;
    size_t change_count, change_capacity;
};

static const struct schedule_want *want_of(const struct controller *controller, uint32_t need)
{
    return &controller->config.schedule->wants[need];
}

/* ---- changing ------------------------------------------------------------------------------------------------ */

static void pair_gate(const struct controller *controller, const struct schedule_pair *pair, uint32_t first,
                      uint32_t last, uint64_t open_ps, uint64_t close_ps)
{
    for (uint32_t copy = first; copy < last; copy++) {
        controller->config.gate(controller->config.context, pair->left_port + copy, open_ps, close_ps);
        controller->config.gate(controller->config.context, pair->right_port + copy, open_ps, close_ps);
    }
}

/* C3: closes what goes, opens what comes; the number of circuits that come. */
static uint32_t circuits_change(const struct controller *controller, const struct schedule_region *plan, uint32_t from,
                                uint32_t to, uint64_t lit_ps)
{
    uint32_t set = 0;
    for (uint32_t i = 0; i < plan->pair_count; i++) {
        uint32_t before = from == ID_NONE ? 0 : plan->configs[from].copies[i], after = plan->configs[to].copies[i];
        pair_gate(controller, &plan->pairs[i], after, before, TIME_NEVER_PS, TIME_NEVER_PS);
        pair_gate(controller, &plan->pairs[i], before, after, lit_ps, TIME_NEVER_PS);
        set += after > before ? after - before : 0;
    }
    return set;
}

static void change_expose(struct controller *controller, struct region *region, uint64_t from_ps)
{
    struct controller_change *change = &controller->changes[region->change - 1];
    uint64_t exposed_ps = from_ps < change->lit_ps ? change->lit_ps - from_ps : 0;
    if (exposed_ps > change->exposed_ps) {
        region->sums.exposed_ps += exposed_ps - change->exposed_ps;
        change->exposed_ps = exposed_ps;
    }
}

static void region_change(struct controller *controller, uint32_t id, uint32_t config, uint64_t now_ps)
{
    struct region *region = &controller->regions[id];
    uint64_t lit_ps = now_ps + region->plan->dark_ps;
    uint32_t set = circuits_change(controller, region->plan, region->config, config, lit_ps);
    struct controller_change change = {id, config, now_ps, lit_ps, 0, set};
    vec_push(controller->arena, controller->changes, controller->change_count, controller->change_capacity) = change;
    region->change = controller->change_count;
    region->config = config;
    region->lit_ps = lit_ps;
    region->sums.reconfigurations++;
    region->sums.circuits += set;
    region->sums.dark_ps += region->plan->dark_ps;
}

/* ---- who is active ------------------------------------------------------------------------------------------- */

static bool is_served(const struct controller *controller, const struct schedule_want *want)
{
    bool is_served = true;
    for (uint32_t i = 0; i < want->region_count; i++) {
        const struct region *region = &controller->regions[want->region[i]];
        is_served &= schedule_has(region->plan, region->config, want->pair[i]);
    }
    return is_served;
}

static void need_activate(struct controller *controller, struct need *need, const struct schedule_want *want,
                          uint64_t now_ps)
{
    need->is_active = true;
    for (uint32_t i = 0; i < want->region_count; i++) {
        struct region *region = &controller->regions[want->region[i]];
        region->active += need->count;
        if (need->is_urgent && now_ps < region->lit_ps && region->change > 0) {
            change_expose(controller, region, now_ps);
        }
    }
}

static void waiting_add(struct controller *controller, uint32_t id, uint64_t now_ps)
{
    struct need *need = &controller->needs[id];
    need->since_ps = now_ps;
    need->number = controller->next_number++;
    vec_push(controller->arena, controller->waiting, controller->waiting_count, controller->waiting_capacity) = id;
}

/* Those that wait and are served by what stands now become active. */
static void waiting_look(struct controller *controller, uint64_t now_ps)
{
    size_t kept = 0;
    for (size_t i = 0; i < controller->waiting_count; i++) {
        uint32_t id = controller->waiting[i];
        struct need *need = &controller->needs[id];
        if (need->count > 0 && is_served(controller, want_of(controller, id))) {
            need_activate(controller, need, want_of(controller, id), now_ps);
        } else if (need->count > 0) {
            controller->waiting[kept++] = id;
        }
    }
    controller->waiting_count = kept;
}

/* What was active over circuits that go waits again. */
static void active_look(struct controller *controller, uint32_t region_id, uint64_t now_ps)
{
    uint32_t all = controller->config.schedule->want_first[controller->config.fabric->host_count];
    for (uint32_t id = 0; id < all && controller->regions[region_id].active > 0; id++) {
        struct need *need = &controller->needs[id];
        const struct schedule_want *want = want_of(controller, id);
        if (need->count == 0 || !need->is_active || is_served(controller, want)) {
            continue;
        }
        need->is_active = false;
        for (uint32_t i = 0; i < want->region_count; i++) {
            controller->regions[want->region[i]].active -= need->count;
        }
        waiting_add(controller, id, now_ps);
    }
}

/* ---- deciding ------------------------------------------------------------------------------------------------ */

/* C1: all of the want's regions may be changed. */
static bool may_change(const struct controller *controller, const struct need *need, const struct schedule_want *want,
                       uint64_t now_ps)
{
    uint64_t patience_ps = controller->config.fabric->rules.patience_ps;
    bool is_impatient = patience_ps > 0 && now_ps - need->since_ps >= patience_ps;
    bool may = true;
    for (uint32_t i = 0; i < want->region_count; i++) {
        const struct region *region = &controller->regions[want->region[i]];
        bool has_it = schedule_has(region->plan, region->config, want->pair[i]);
        bool is_lit = now_ps >= region->lit_ps;
        may &= has_it || region->active == 0 || (is_impatient && is_lit);
    }
    return may;
}

static uint32_t longest_waiting(const struct controller *controller, uint64_t now_ps)
{
    uint32_t best = ID_NONE;
    for (size_t i = 0; i < controller->waiting_count; i++) {
        uint32_t id = controller->waiting[i];
        const struct need *need = &controller->needs[id];
        bool is_longer = best == ID_NONE || need->number < controller->needs[best].number;
        best = is_longer && may_change(controller, need, want_of(controller, id), now_ps) ? id : best;
    }
    return best;
}

static void need_serve(struct controller *controller, uint32_t id, uint64_t now_ps)
{
    const struct schedule_want *want = want_of(controller, id);
    for (uint32_t i = 0; i < want->region_count; i++) {
        const struct region *region = &controller->regions[want->region[i]];
        if (!schedule_has(region->plan, region->config, want->pair[i])) {
            region_change(controller, want->region[i], want->config[i], now_ps);
            active_look(controller, want->region[i], now_ps);
        }
    }
    waiting_look(controller, now_ps);
}

/* C2 */
static void waiting_serve(struct controller *controller, uint64_t now_ps)
{
    uint32_t id;
    while (controller->waiting_count > 0 && (id = longest_waiting(controller, now_ps)) != ID_NONE) {
        need_serve(controller, id, now_ps);
    }
}

/* ---- ahead --------------------------------------------------------------------------------------------------- */

static uint32_t turn_count(const struct controller *controller, uint32_t region)
{
    const uint32_t *first = controller->config.turn_first;
    return first == NULL ? 0 : first[region + 1] - first[region];
}

static const struct controller_turn *turn_now(const struct controller *controller, uint32_t region)
{
    return &controller->config.turns[controller->config.turn_first[region] + controller->regions[region].turn];
}

/* The configuration that the turn begins with; ID_NONE where the phase has none here. */
static uint32_t turn_config(const struct controller *controller, uint32_t id)
{
    const struct schedule_region *plan = controller->regions[id].plan;
    uint32_t phase = turn_now(controller, id)->phase;
    return plan->phase_first[phase] < plan->phase_first[phase + 1] ? plan->phase_config[plan->phase_first[phase]]
                                                                   : ID_NONE;
}

/* The turn from the present one on that still expects a message of the phase; ID_NONE. */
static uint32_t turn_of(const struct controller *controller, uint32_t id, uint32_t phase)
{
    uint32_t count = turn_count(controller, id), first = count > 0 ? controller->config.turn_first[id] : 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t turn = (controller->regions[id].turn + i) % count;
        if (controller->config.turns[first + turn].phase == phase && controller->regions[id].turn_left[turn] > 0) {
            return turn;
        }
    }
    return ID_NONE;
}

/* C4: a message of the region is over. */
static void turn_count_down(struct controller *controller, uint32_t id, uint32_t phase, uint64_t now_ps)
{
    struct region *region = &controller->regions[id];
    uint32_t turn = turn_of(controller, id, phase);
    if (turn == ID_NONE || --region->turn_left[turn] > 0 || turn != region->turn) {
        return;
    }
    while (region->turn_left[region->turn] == 0) {
        region->turn_left[region->turn] = turn_now(controller, id)->messages;
        region->turn = (region->turn + 1) % turn_count(controller, id);
    }
    uint32_t config = turn_config(controller, id);
    bool is_ahead = controller->config.fabric->rules.is_ahead;
    if (is_ahead && region->active == 0 && config != ID_NONE && config != region->config) {
        region_change(controller, id, config, now_ps);
        waiting_look(controller, now_ps);
    }
}

/* ---- being told ---------------------------------------------------------------------------------------------- */

static void need_begin(struct controller *controller, uint32_t id, bool is_computing, uint64_t now_ps)
{
    struct need *need = &controller->needs[id];
    const struct schedule_want *want = want_of(controller, id);
    need->is_urgent = need->count == 0 ? !is_computing : need->is_urgent || !is_computing;
    need->count++;
    if (need->count > 1) { /* active or waiting already */
        for (uint32_t i = 0; need->is_active && i < want->region_count; i++) {
            controller->regions[want->region[i]].active++;
        }
        return;
    }
    if (is_served(controller, want)) {
        need_activate(controller, need, want, now_ps);
    } else {
        need->is_active = false;
        waiting_add(controller, id, now_ps);
    }
}

static void need_end(struct controller *controller, uint32_t id, uint64_t now_ps)
{
    struct need *need = &controller->needs[id];
    const struct schedule_want *want = want_of(controller, id);
    assert(need->count > 0);
    need->count--;
    for (uint32_t i = 0; need->is_active && i < want->region_count; i++) {
        controller->regions[want->region[i]].active--;
    }
    if (!need->is_active && need->count == 0) {
        waiting_look(controller, now_ps); /* it goes from the list */
    }
    turn_count_down(controller, want->region[0], want->phase, now_ps);
}

void controller_told(struct controller *controller, uint32_t host, uint64_t word, uint64_t now_ps)
{
    uint32_t id = controller->config.schedule->want_first[host] + (uint32_t)(word >> 2);
    if (word & 1) {
        need_end(controller, id, now_ps);
    } else {
        need_begin(controller, id, word >> 1 & 1, now_ps);
    }
    waiting_serve(controller, now_ps);
}

/* ---- life ---------------------------------------------------------------------------------------------------- */

struct controller *controller_new(struct arena *arena, const struct controller_config *config)
{
    struct controller *controller = arena_one(arena, struct controller);
    const struct schedule *schedule = config->schedule;
    uint32_t hosts = config->fabric->host_count;
    *controller = (struct controller){.config = *config, .arena = arena};
    controller->regions = arena_array(arena, schedule->region_count, struct region);
    controller->needs = arena_array(arena, schedule->want_first[hosts], struct need);
    for (uint32_t id = 0; id < schedule->region_count; id++) {
        controller->regions[id] = (struct region){.plan = &schedule->regions[id], .config = ID_NONE};
        uint32_t turns = turn_count(controller, id);
        controller->regions[id].turn_left = arena_array(arena, turns, uint64_t);
        for (uint32_t i = 0; i < turns; i++) {
            controller->regions[id].turn_left[i] = config->turns[config->turn_first[id] + i].messages;
        }
    }
    return controller;
}

void controller_start(struct controller *controller)
{
    for (uint32_t id = 0; id < controller->config.schedule->region_count; id++) {
        uint32_t config = turn_count(controller, id) > 0 ? turn_config(controller, id) : ID_NONE;
        if (config != ID_NONE) {
            region_change(controller, id, config, 0);
        }
    }
}

void controller_region(const struct controller *controller, uint32_t region, struct controller_region *result)
{
    *result = controller->regions[region].sums;
}

const struct controller_change *controller_changes(const struct controller *controller, size_t *count)
{
    *count = controller->change_count;
    return controller->changes;
}

uint64_t controller_waiting(const struct controller *controller)
{
    uint64_t messages = 0;
    for (size_t i = 0; i < controller->waiting_count; i++) {
        messages += controller->needs[controller->waiting[i]].count;
    }
    return messages;
}
