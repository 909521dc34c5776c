#include "netsim/engine/gate.h"

/* What runs for every packet is made twice, for a count of cells that is 1 whoever looks, and for others. */
#define GATE_INLINE static inline __attribute__((always_inline))

/* ---- windows ---------------------------------------------------------------------------------------------- */

static const struct gate_window *rule_windows(const struct gate_rule *rule)
{
    return rule->windows != NULL ? rule->windows : &rule->own;
}

/* The first window that ends after `at_ps` (a phase, where windows repeat). */
static uint32_t window_find(const struct gate_rule *rule, uint64_t at_ps)
{
    uint32_t first = 0, count = rule->count;
    while (count > 0) {
        uint32_t half = count / 2;
        bool is_over = rule_windows(rule)[first + half].close_ps <= at_ps;
        first = is_over ? first + half + 1 : first;
        count = is_over ? count - half - 1 : half;
    }
    return first;
}

/* From one window on: the first start from at_ps on; TIME_NEVER_PS where none of them has room. */
static uint64_t windows_start_ps(const struct gate_rule *rule, uint32_t first, uint64_t at_ps, uint64_t service_ps)
{
    for (uint32_t i = first; i < rule->count; i++) {
        const struct gate_window *window = &rule_windows(rule)[i];
        uint64_t start_ps = at_ps > window->open_ps ? at_ps : window->open_ps;
        if (start_ps <= window->close_ps && service_ps <= window->close_ps - start_ps) {
            return start_ps;
        }
    }
    return TIME_NEVER_PS;
}

GATE_INLINE uint64_t rule_start_ps(const struct gate_rule *rule, uint64_t now_ps, uint64_t service_ps)
{
    if (rule->count == 0) {
        return TIME_NEVER_PS;
    }
    if (rule->period_ps == 0) {
        return windows_start_ps(rule, window_find(rule, now_ps), now_ps, service_ps);
    }
    uint64_t phase_ps = now_ps % rule->period_ps, round_ps = now_ps - phase_ps;
    if (phase_ps + rule->period_ps + service_ps <= rule_windows(rule)[rule->count - 1].close_ps) {
        return now_ps; /* the last window of the round before */
    }
    uint64_t start_ps = windows_start_ps(rule, window_find(rule, phase_ps), phase_ps, service_ps);
    if (start_ps != TIME_NEVER_PS) {
        return round_ps + start_ps;
    }
    start_ps = windows_start_ps(rule, 0, 0, service_ps);
    return start_ps != TIME_NEVER_PS ? round_ps + rule->period_ps + start_ps : TIME_NEVER_PS;
}

/* Whether the windows from now on, which do not repeat, hold so many cells. */
static bool windows_hold(const struct gate_rule *rule, uint64_t now_ps, uint64_t cell_ps, uint64_t count)
{
    for (uint32_t i = window_find(rule, now_ps); i < rule->count; i++) {
        const struct gate_window *window = &rule_windows(rule)[i];
        uint64_t from_ps = now_ps > window->open_ps ? now_ps : window->open_ps;
        uint64_t fitting = (window->close_ps - from_ps) / cell_ps;
        if (fitting >= count) {
            return true;
        }
        count -= fitting;
    }
    return false;
}

static uint64_t rule_close_ps(const struct gate_rule *rule, uint64_t now_ps)
{
    if (rule->count == 0) {
        return TIME_NEVER_PS;
    }
    if (rule->period_ps == 0) {
        uint32_t next = window_find(rule, now_ps);
        return next < rule->count ? rule_windows(rule)[next].close_ps : TIME_NEVER_PS;
    }
    uint64_t phase_ps = now_ps % rule->period_ps, round_ps = now_ps - phase_ps;
    uint64_t last_ps = rule_windows(rule)[rule->count - 1].close_ps;
    if (phase_ps + rule->period_ps < last_ps) {
        return round_ps + last_ps - rule->period_ps;
    }
    uint32_t next = window_find(rule, phase_ps);
    return next < rule->count ? round_ps + rule_windows(rule)[next].close_ps
                              : round_ps + rule->period_ps + rule_windows(rule)[0].close_ps;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Open time from 0 to at_ps. */
static uint64_t rule_open_ps(const struct gate_rule *rule, uint64_t at_ps)
{
    uint64_t sum_ps = 0, phase_ps = at_ps;
    if (rule->period_ps > 0) {
        phase_ps = at_ps % rule->period_ps;
        sum_ps = at_ps / rule->period_ps * rule->open_ps;
        uint64_t last_ps = rule->count > 0 ? rule_windows(rule)[rule->count - 1].close_ps : 0;
        sum_ps += last_ps > rule->period_ps ? least(phase_ps, last_ps - rule->period_ps) : 0;
    }
    uint64_t end_ps = rule->period_ps > 0 ? least(phase_ps, rule->period_ps) : phase_ps;
    for (uint32_t i = 0; i < rule->count && rule_windows(rule)[i].open_ps < end_ps; i++) {
        sum_ps += least(end_ps, rule_windows(rule)[i].close_ps) - rule_windows(rule)[i].open_ps;
    }
    return sum_ps;
}

/* ---- rules ------------------------------------------------------------------------------------------------ */

/* The rule that holds at a time: one of the last. */
static size_t rule_find(const struct gating *gating, uint64_t now_ps)
{
    size_t at = gating->rule_count - 1;
    while (at > 0 && gating->rules[at].from_ps > now_ps) {
        at--;
    }
    return at;
}

/* What is put on the link without a pause: a packet, or so many cells one after the other. */
struct train {
    uint64_t each_ps, count;
};

/* Cells that fit into a window that comes again all go, sooner or later. */
GATE_INLINE uint64_t rule_train_ps(const struct gate_rule *rule, uint64_t now_ps, struct train train)
{
    uint64_t start_ps = rule_start_ps(rule, now_ps, train.each_ps);
    bool is_long = train.count > 1 && rule->period_ps == 0 && start_ps != TIME_NEVER_PS;
    return is_long && !windows_hold(rule, start_ps, train.each_ps, train.count) ? TIME_NEVER_PS : start_ps;
}

/* Rules of which some may hold only from a later time on. */
GATE_INLINE uint64_t rules_start_ps(const struct gating *gating, uint64_t now_ps, struct train train)
{
    for (size_t at = rule_find(gating, now_ps);; at++) {
        uint64_t start_ps = rule_train_ps(&gating->rules[at], now_ps, train);
        if (at + 1 == gating->rule_count || start_ps < gating->rules[at + 1].from_ps) {
            return start_ps;
        }
        now_ps = gating->rules[at + 1].from_ps;
    }
}

static void rule_add(struct gating *gating, struct arena *arena, const struct gate_rule *rule)
{
    vec_push(arena, gating->rules, gating->rule_count, gating->rule_capacity) = *rule;
}

void gating_command(struct gating *gating, struct arena *arena, uint64_t now_ps, uint64_t open_ps, uint64_t close_ps)
{
    assert(gating->rule_count > 0 && (open_ps >= now_ps));
    struct gate_rule rule = {.from_ps = now_ps, .count = open_ps < close_ps, .own = {open_ps, close_ps}};
    rule_add(gating, arena, &rule);
}

/* Closed gates between two times, by all the rules that held then. */
static uint64_t closed_ps(const struct gating *gating, uint64_t since_ps, uint64_t until_ps)
{
    uint64_t sum_ps = 0;
    for (size_t i = gating->rule_count; i-- > 0 && since_ps < until_ps;) {
        const struct gate_rule *rule = &gating->rules[i];
        uint64_t from_ps = rule->from_ps > since_ps ? rule->from_ps : since_ps;
        if (from_ps < until_ps) {
            sum_ps += until_ps - from_ps - (rule_open_ps(rule, until_ps) - rule_open_ps(rule, from_ps));
            until_ps = from_ps;
        }
    }
    return sum_ps;
}

/* ---- the link --------------------------------------------------------------------------------------------- */

/* How many edges have happened by now. */
static size_t edges_done(const struct gating *gating, uint64_t now_ps)
{
    size_t first = 0, count = gating->edge_count;
    while (count > 0) {
        size_t half = count / 2;
        bool is_done = gating->edges[first + half].time_ps <= now_ps;
        first = is_done ? first + half + 1 : first;
        count = is_done ? count - half - 1 : half;
    }
    return first;
}

bool gating_is_down(const struct gating *gating, uint64_t now_ps)
{
    size_t done = edges_done(gating, now_ps);
    return done > 0 && !gating->edges[done - 1].is_up;
}

/* From when on the link is up, now or later. */
GATE_INLINE uint64_t link_up_ps(const struct gating *gating, uint64_t now_ps)
{
    size_t done = edges_done(gating, now_ps);
    if (done == 0 || gating->edges[done - 1].is_up) {
        return now_ps;
    }
    while (done < gating->edge_count && (!gating->edges[done].is_up ||
           (done + 1 < gating->edge_count && gating->edges[done + 1].time_ps == gating->edges[done].time_ps))) {
        done++;
    }
    return done < gating->edge_count ? gating->edges[done].time_ps : TIME_NEVER_PS;
}

bool gating_is_lost(const struct gating *gating, uint64_t start_ps, uint64_t end_ps)
{
    for (size_t i = edges_done(gating, start_ps); i < gating->edge_count && gating->edges[i].time_ps < end_ps; i++) {
        if (!gating->edges[i].is_up) {
            return true;
        }
    }
    return false;
}

GATE_INLINE uint64_t train_start_ps(const struct gating *gating, uint64_t now_ps, struct train train)
{
    uint64_t start_ps = now_ps;
    for (;;) {
        uint64_t up_ps = link_up_ps(gating, start_ps);
        if (up_ps == TIME_NEVER_PS || gating->rule_count == 0) {
            return up_ps;
        }
        start_ps = rules_start_ps(gating, up_ps, train);
        if (start_ps == up_ps || start_ps == TIME_NEVER_PS) {
            return start_ps;
        }
    }
}

uint64_t gating_start_ps(const struct gating *gating, uint64_t now_ps, uint64_t service_ps)
{
    return train_start_ps(gating, now_ps, (struct train){service_ps, 1});
}

static uint64_t rate_at(const struct gating *gating, uint64_t now_ps)
{
    size_t done = edges_done(gating, now_ps);
    return done > 0 ? gating->edges[done - 1].rate_bps : 0;
}

static uint64_t bytes_ps(const struct gating *gating, uint64_t start_ps, uint64_t bytes, uint64_t rate_bps)
{
    uint64_t degraded_bps = rate_at(gating, start_ps);
    return serialisation_ps(bytes, degraded_bps > 0 ? degraded_bps : rate_bps);
}

/* A packet that starts then. */
GATE_INLINE struct train train_of(const struct gating *gating, uint64_t start_ps, uint64_t bytes, uint64_t rate_bps,
                                   bool has_cells)
{
    if (!has_cells) {
        return (struct train){bytes_ps(gating, start_ps, bytes, rate_bps), 1};
    }
    uint64_t cell_ps = bytes_ps(gating, start_ps, gating->cells.bytes, rate_bps), count = cells_count(&gating->cells, bytes);
    return gating->is_rerouting ? (struct train){count * cell_ps, 1} : (struct train){cell_ps, count};
}

/* When the link goes down next. */
static uint64_t link_down_ps(const struct gating *gating, uint64_t now_ps)
{
    for (size_t i = edges_done(gating, now_ps); i < gating->edge_count; i++) {
        if (!gating->edges[i].is_up) {
            return gating->edges[i].time_ps;
        }
    }
    return TIME_NEVER_PS;
}

/* Window by window. */
static struct sending cells_sending(const struct gating *gating, uint64_t start_ps, struct train train)
{
    const struct gate_rule *rule = gating->rule_count > 0 ? &gating->rules[rule_find(gating, start_ps)] : NULL;
    uint64_t sent = 0, now_ps = start_ps, end_ps = start_ps, down_ps = link_down_ps(gating, start_ps);
    while (sent < train.count && now_ps < down_ps) {
        uint64_t close_ps = rule != NULL ? rule_close_ps(rule, now_ps) : TIME_NEVER_PS;
        uint64_t count = least(train.count - sent, (close_ps - now_ps) / train.each_ps);
        count = least(count, (down_ps - now_ps - 1) / train.each_ps + 1); /* those that start before it goes down */
        sent += count;
        end_ps = now_ps + count * train.each_ps;
        now_ps = rule != NULL && sent < train.count ? rule_start_ps(rule, end_ps, train.each_ps) : end_ps;
    }
    return (struct sending){end_ps - start_ps, sent * train.each_ps, sent < train.count};
}

struct sending gating_sending(const struct gating *gating, uint64_t start_ps, uint64_t bytes, uint64_t rate_bps)
{
    if (gating->cells.bytes == 0) {
        uint64_t service_ps = bytes_ps(gating, start_ps, bytes, rate_bps);
        return (struct sending){service_ps, service_ps, false};
    }
    struct train train = train_of(gating, start_ps, bytes, rate_bps, true);
    return train.count == 1 ? (struct sending){train.each_ps, train.each_ps, false} : cells_sending(gating, start_ps, train);
}

bool gating_is_degraded(const struct gating *gating, uint64_t now_ps)
{
    return rate_at(gating, now_ps) > 0;
}

/* From one change of the link to the next its rate is one, and so is the time that the packet takes. */
GATE_INLINE uint64_t send_ps(const struct gating *gating, uint64_t now_ps, uint64_t bytes, uint64_t rate_bps, bool has_cells)
{
    for (;;) {
        uint64_t start_ps = train_start_ps(gating, now_ps, train_of(gating, now_ps, bytes, rate_bps, has_cells));
        size_t done = edges_done(gating, now_ps);
        if (done == gating->edge_count || start_ps < gating->edges[done].time_ps) {
            return start_ps;
        }
        now_ps = gating->edges[done].time_ps;
    }
}

uint64_t gating_send_ps(const struct gating *gating, uint64_t now_ps, uint64_t bytes, uint64_t rate_bps)
{
    return gating->cells.bytes == 0 ? send_ps(gating, now_ps, bytes, rate_bps, false)
                                    : send_ps(gating, now_ps, bytes, rate_bps, true);
}

uint64_t gating_dark_ps(const struct gating *gating, uint64_t since_ps, uint64_t until_ps)
{
    uint64_t sum_ps = 0;
    for (size_t i = edges_done(gating, since_ps); since_ps < until_ps; i++) {
        bool is_up = i == 0 || gating->edges[i - 1].is_up;
        uint64_t end_ps = i < gating->edge_count ? least(gating->edges[i].time_ps, until_ps) : until_ps;
        sum_ps += !is_up ? end_ps - since_ps : gating->rule_count > 0 ? closed_ps(gating, since_ps, end_ps) : 0;
        since_ps = end_ps;
    }
    return sum_ps;
}

uint64_t gating_close_ps(const struct gating *gating, uint64_t now_ps)
{
    return gating->rule_count > 0 ? rule_close_ps(&gating->rules[rule_find(gating, now_ps)], now_ps) : TIME_NEVER_PS;
}

/* ---- making ----------------------------------------------------------------------------------------------- */

static struct gating *gating_of(struct arena *arena, struct gating **all, uint32_t port)
{
    if (all[port] == NULL) {
        all[port] = arena_one(arena, struct gating);
    }
    return all[port];
}

static void gate_add(struct arena *arena, struct gating *gating, const struct fabric *fabric, const struct gate *gate)
{
    struct gate_rule rule = {.period_ps = gate->period_ps, .count = gate->window_count};
    rule.windows = gate->window_count > 0 ? &fabric->gate_windows[gate->window_first] : NULL;
    for (uint32_t i = 0; i < rule.count; i++) {
        rule.open_ps += rule.windows[i].close_ps - rule.windows[i].open_ps;
    }
    rule_add(gating, arena, &rule);
    gating->is_rerouting = gate->is_rerouting;
}

static void edge_add(struct arena *arena, struct gating *gating, const struct link_edge *edge)
{
    const struct link_edge first = {.is_up = true};
    const struct link_edge *before = gating->edge_count == 0 ? &first : &gating->edges[gating->edge_count - 1];
    if (edge->is_up != before->is_up || edge->rate_bps != before->rate_bps) {
        vec_push(arena, gating->edges, gating->edge_count, gating->edge_capacity) = *edge;
    }
}

/* A port that comes up later than a failure of it, or a repair, is down until then. */
static void edges_delay(struct arena *arena, struct gating *gating, uint64_t up_ps)
{
    struct gating late = {0};
    struct link_edge then = {.is_up = true};
    size_t i = 0;
    edge_add(arena, &late, &(struct link_edge){0});
    for (; i < gating->edge_count && gating->edges[i].time_ps <= up_ps; i++) {
        then = gating->edges[i];
    }
    then.time_ps = up_ps;
    edge_add(arena, &late, &then);
    for (; i < gating->edge_count; i++) {
        edge_add(arena, &late, &gating->edges[i]);
    }
    gating->edges = late.edges;
    gating->edge_count = late.edge_count;
    gating->edge_capacity = late.edge_capacity;
}

static void cells_add(struct arena *arena, const struct engine_config *config, struct gating **all)
{
    for (uint32_t port = 0; port < config->fabric->port_count; port++) {
        if (fabric_has_cells(config->fabric, &config->cells, port)) {
            gating_of(arena, all, port)->cells = config->cells;
        }
    }
}

struct gating **gatings_new(struct arena *arena, const struct engine_config *config)
{
    const struct fabric *fabric = config->fabric;
    if (fabric->port_gate == NULL && config->link_change_count == 0 && config->cells.bytes == 0) {
        return NULL;
    }
    struct gating **all = arena_array(arena, fabric->port_count, struct gating *);
    for (uint32_t port = 0; fabric->port_gate != NULL && port < fabric->port_count; port++) {
        if (fabric->port_gate[port] != ID_NONE) {
            gate_add(arena, gating_of(arena, all, port), fabric, &fabric->gates[fabric->port_gate[port]]);
        }
    }
    for (size_t i = 0; i < config->link_change_count; i++) {
        const struct link_change *change = &config->link_changes[i];
        const struct link_edge edge = {change->time_ps, change->is_up ? change->rate_bps : 0, change->is_up};
        edge_add(arena, gating_of(arena, all, change->port), &edge);
    }
    cells_add(arena, config, all);
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        if (all[port] != NULL && fabric->port_up_ps[port] > 0) {
            edges_delay(arena, all[port], fabric->port_up_ps[port]);
        }
    }
    return all;
}
