#include "netsim/failures.h"

#include "netsim/base/rng.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const struct param failure_rows[FAILURE_ROW_COUNT] = {
    PARAM_U64(struct scenario_failures, links, COUNT, "links", "0", "0", "1000000",
              "links between switches (of any kind where there are none) that fail, drawn by the seed"),
    PARAM_U64(struct scenario_failures, switches, COUNT, "switches", "0", "0", "1000000",
              "packet switches that fail, drawn by the seed"),
    PARAM_U64(struct scenario_failures, rate_bps, RATE, "rate", "0bps", "0bps", "100Tbps",
              "drawn links are degraded to so much, each way; 0bps: they are dead"),
    PARAM_U64(struct scenario_failures, first_ps, TIME, "first", "0ns", "0ns", NULL, "before this nothing drawn fails"),
    PARAM_U64(struct scenario_failures, spread_ps, TIME, "spread", "0ns", "0ns", NULL,
              "drawn failures are evenly spread over so long from `first` on; 0ns: all at once"),
    PARAM_U64(struct scenario_failures, repair_ps, TIME, "repair", "0ns", "0ns", NULL,
              "what has failed is back after so long; 0ns: never"),
    PARAM_U64(struct scenario_failures, reaction_ps, TIME, "reaction", "10ms", "0ns", NULL,
              "routes change so long after a failure or a repair, and so long it takes to call for a spare"),
    PARAM_U64(struct scenario_failures, spares, COUNT, "spares", "0", "0", "1000000",
              "spare ports of optical switches: the first so many circuits or transmitters that die come back once their switch has been set anew"),
    PARAM_TEXT(struct scenario_failures, list, "list", NULL,
               "failures at given times: \"link 3-40 10us 50us; node 17 1ms; line 96 2ms; link 3-4 1us at 100Gbps\": what, when, back when (never without), at which rate (dead without)"),
};

/* ---- what fails ------------------------------------------------------------------------------------------- */

/* A link (named by one port of it), a node, or a transmitter. */
struct fault {
    enum fault_kind { FAULT_LINK, FAULT_NODE, FAULT_LINE } kind;
    uint32_t thing;
    uint64_t from_ps, until_ps;
    uint64_t rate_bps; /* what is left; 0: dead */
};

/* What a fault does to one port. */
struct outage {
    uint32_t port;
    uint64_t from_ps, until_ps, rate_bps;
};

struct outages {
    const struct fabric *fabric;
    struct arena *arena;
    struct fault *faults;
    size_t fault_count, fault_capacity;
    struct outage *items;
    size_t count, capacity;
};

static void fault_add(struct outages *outages, const struct fault *fault)
{
    vec_push(outages->arena, outages->faults, outages->fault_count, outages->fault_capacity) = *fault;
}

static void port_fails(struct outages *outages, uint32_t port, const struct fault *fault)
{
    struct outage outage = {port, fault->from_ps, fault->until_ps, fault->rate_bps};
    vec_push(outages->arena, outages->items, outages->count, outages->capacity) = outage;
}

static void link_fails(struct outages *outages, uint32_t port, const struct fault *fault)
{
    port_fails(outages, port, fault);
    if (outages->fabric->port_peer[port] != ID_NONE) {
        port_fails(outages, outages->fabric->port_peer[port], fault);
    }
}

static void node_fails(struct outages *outages, uint32_t node, const struct fault *fault)
{
    const struct fabric *fabric = outages->fabric;
    for (uint32_t port = fabric->port_first[node]; port < fabric->port_first[node + 1]; port++) {
        link_fails(outages, port, fault);
    }
    for (uint32_t i = 0; i < fabric->optical_count; i++) { /* an optical switch has no ports of its own */
        const struct optical *optical = &fabric->optical[i];
        for (uint32_t j = 0; j < optical->port_count && optical->node == node; j++) {
            port_fails(outages, optical->port[j], fault); /* both ends of a circuit are in the list */
        }
    }
}

/* A transmitter, or the port of an optical switch behind it: all circuits that it may have. */
static void line_fails(struct outages *outages, uint32_t line, const struct fault *fault)
{
    const struct fabric *fabric = outages->fabric;
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        if ((fabric->port_line != NULL ? fabric->port_line[port] : port) == line) {
            link_fails(outages, port, fault);
        }
    }
}

/* ---- spares ----------------------------------------------------------------------------------------------- */

static const struct optical *optical_of(const struct fabric *fabric, uint32_t port)
{
    for (uint32_t i = 0; i < fabric->optical_count; i++) {
        for (uint32_t j = 0; j < fabric->optical[i].port_count; j++) {
            if (fabric->optical[i].port[j] == port) {
                return &fabric->optical[i];
            }
        }
    }
    return NULL;
}

/* The first fibre of what fails that ends at an optical switch decides. */
static const struct optical *fault_optical(const struct fabric *fabric, const struct fault *fault)
{
    const struct optical *optical = NULL;
    if (fault->kind == FAULT_LINK) {
        return optical_of(fabric, fault->thing);
    }
    for (uint32_t port = 0; fault->kind == FAULT_LINE && port < fabric->port_count && optical == NULL; port++) {
        bool is_of_line = (fabric->port_line != NULL ? fabric->port_line[port] : port) == fault->thing;
        optical = is_of_line ? optical_of(fabric, port) : NULL;
    }
    return optical;
}

/* A dead fibre is replaced by a spare one: noticed after the reaction, there when the switch has been set. */
static bool spare_takes_over(const struct fabric *fabric, uint64_t reaction_ps, struct fault *fault)
{
    const struct optical *optical = fault->rate_bps == 0 ? fault_optical(fabric, fault) : NULL;
    if (optical == NULL) {
        return false;
    }
    uint64_t back_ps = fault->from_ps + reaction_ps + optical->settle_ps + optical->relock_ps + optical->control_ps;
    if (back_ps >= fault->until_ps) {
        return false;
    }
    fault->until_ps = back_ps;
    return true;
}

static int fault_order(const void *a_, const void *b_)
{
    const struct fault *a = a_, *b = b_;
    if (a->from_ps != b->from_ps) {
        return a->from_ps < b->from_ps ? -1 : 1;
    }
    return a->kind != b->kind ? (a->kind < b->kind ? -1 : 1) : (a->thing > b->thing) - (a->thing < b->thing);
}

/* In the order of time, so that the first to fail get the spares. */
static uint32_t faults_apply(struct outages *outages, uint64_t spares, uint64_t reaction_ps)
{
    static void (*const fails[])(struct outages *, uint32_t, const struct fault *) = {
        [FAULT_LINK] = link_fails, [FAULT_NODE] = node_fails, [FAULT_LINE] = line_fails};
    uint32_t used = 0;
    if (outages->fault_count == 0) {
        return 0;
    }
    qsort(outages->faults, outages->fault_count, sizeof *outages->faults, fault_order);
    for (size_t i = 0; i < outages->fault_count; i++) {
        struct fault *fault = &outages->faults[i];
        used += used < spares && spare_takes_over(outages->fabric, reaction_ps, fault);
        fails[fault->kind](outages, fault->thing, fault);
    }
    return used;
}

/* ---- drawn ------------------------------------------------------------------------------------------------ */

static bool is_between_switches(const struct fabric *fabric, uint32_t port)
{
    uint32_t peer = fabric->port_peer[port];
    return peer != ID_NONE && fabric->port_node[port] >= fabric->host_count && fabric->port_node[peer] >= fabric->host_count;
}

/* `wanted` of `count` things in drawn order (Fisher, Yates); each fails at a time of its own. */
static void some_fail(const struct scenario_failures *s, uint64_t seed, enum fault_kind kind, uint32_t *things, uint32_t count,
                      uint64_t wanted, struct outages *outages)
{
    uint64_t purpose = kind == FAULT_LINK ? 1 : 2;
    for (uint32_t i = 0; i < count && i < wanted; i++) {
        uint64_t draw = rng_draw(seed, RNG_FAILURE ^ purpose, 2 * (uint64_t)i), when = rng_draw(seed, RNG_FAILURE ^ purpose, 2 * (uint64_t)i + 1);
        uint32_t at = i + rng_below(draw, count - i);
        struct fault fault = {.kind = kind, .thing = things[at], .rate_bps = kind == FAULT_LINK ? s->rate_bps : 0};
        things[at] = things[i];
        fault.from_ps = s->first_ps + (uint64_t)(((unsigned __int128)when * s->spread_ps) >> 64);
        fault.until_ps = s->repair_ps > 0 ? fault.from_ps + s->repair_ps : TIME_NEVER_PS;
        fault_add(outages, &fault);
    }
}

static enum status too_many(const char *key, uint64_t wanted, uint32_t count, const char *what, const struct fabric *fabric,
                            struct diag *diag)
{
    return diag_set(diag, STATUS_INPUT, "failures.%s is %" PRIu64 ", but %s has %u %s; expected at most as many", key, wanted,
                    fabric->name, count, what);
}

/* Links between switches; where there are none, any. */
static enum status drawn_fail(const struct scenario_failures *s, uint64_t seed, struct outages *outages, struct arena *scratch,
                              struct diag *diag)
{
    const struct fabric *fabric = outages->fabric;
    uint32_t *things = arena_array(scratch, (size_t)fabric->port_count + fabric->node_count, uint32_t), count = 0;
    int any = 0;
    for (; any < 2 && count == 0; any++) {
        for (uint32_t port = 0; port < fabric->port_count; port++) {
            bool is_one = fabric->port_peer[port] != ID_NONE && port < fabric->port_peer[port];
            if (is_one && (any || is_between_switches(fabric, port))) {
                things[count++] = port;
            }
        }
    }
    if (s->links > count) {
        return too_many("links", s->links, count, any > 1 ? "links" : "links between switches", fabric, diag);
    }
    some_fail(s, seed, FAULT_LINK, things, count, s->links, outages);
    count = 0;
    for (uint32_t node = fabric->host_count; node < fabric->node_count; node++) {
        if (fabric->node_kind[node] == NODE_SWITCH) {
            things[count++] = node;
        }
    }
    if (s->switches > count) {
        return too_many("switches", s->switches, count, "packet switches", fabric, diag);
    }
    some_fail(s, seed, FAULT_NODE, things, count, s->switches, outages);
    return STATUS_OK;
}

/* ---- listed ----------------------------------------------------------------------------------------------- */

#define WORDS_MAX 6 /* what, which, when, back when, at, rate */

static enum status list_broken(const char *item, const char *what, struct diag *diag)
{
    return diag_set(diag, STATUS_INPUT,
                    "failures.list: \"%s\" %s; expected \"link A-B TIME [TIME] [at RATE]\", \"node N TIME [TIME]\" or \"line N "
                    "TIME [TIME]\", apart by semicolons", item, what);
}

/* Times and rate, which stand behind what fails. */
static bool fault_parse(char *words[WORDS_MAX], uint32_t count, struct fault *fault)
{
    char why[160];
    fault->until_ps = TIME_NEVER_PS;
    if (count > 4 && strcmp(words[count - 2], "at") == 0) {
        if (!quantity_parse_u64(QUANTITY_RATE, words[count - 1], &fault->rate_bps, why) || fault->rate_bps == 0) {
            return false;
        }
        count -= 2;
    }
    return count >= 3 && count <= 4 && quantity_parse_u64(QUANTITY_TIME, words[2], &fault->from_ps, why) &&
           (count < 4 || quantity_parse_u64(QUANTITY_TIME, words[3], &fault->until_ps, why)) &&
           fault->until_ps > fault->from_ps;
}

/* One or several parallel links between two nodes. */
static bool links_fail(struct outages *outages, uint32_t a, uint32_t b, struct fault fault)
{
    const struct fabric *fabric = outages->fabric;
    bool is_any = false;
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        uint32_t peer = fabric->port_peer[port];
        if (peer != ID_NONE && fabric->port_node[port] == a && fabric->port_node[peer] == b) {
            fault.thing = port;
            fault_add(outages, &fault);
            is_any = true;
        }
    }
    return is_any;
}

static bool node_has_links(const struct fabric *fabric, uint32_t node)
{
    bool has_links = fabric->port_first[node + 1] > fabric->port_first[node];
    for (uint32_t i = 0; i < fabric->optical_count; i++) {
        has_links |= fabric->optical[i].node == node && fabric->optical[i].port_count > 0;
    }
    return has_links;
}

static enum status listed_fails(const char *item, char *words[WORDS_MAX], uint32_t count, struct outages *outages,
                                struct diag *diag)
{
    const struct fabric *fabric = outages->fabric;
    struct fault fault = {.kind = FAULT_LINK};
    char *end, *rest;
    if (!fault_parse(words, count, &fault)) {
        return list_broken(item, "has no time, is back before it fails, or has no rate behind \"at\"", diag);
    }
    unsigned long a = strtoul(words[1], &end, 10), b = *end == '-' ? strtoul(end + 1, &rest, 10) : 0;
    bool is_link = strcmp(words[0], "link") == 0;
    if (end == words[1] || (is_link ? *end != '-' || rest == end + 1 || *rest != 0 : *end != 0)) {
        return list_broken(item, "names nothing", diag);
    }
    if (is_link) {
        bool is_there = a < fabric->node_count && b < fabric->node_count && links_fail(outages, (uint32_t)a, (uint32_t)b, fault);
        return is_there ? STATUS_OK : list_broken(item, "is not in this fabric", diag);
    }
    fault.thing = (uint32_t)a;
    fault.kind = strcmp(words[0], "node") == 0 ? FAULT_NODE : FAULT_LINE;
    bool is_there = fault.kind == FAULT_NODE ? a < fabric->node_count && node_has_links(fabric, fault.thing)
                                             : strcmp(words[0], "line") == 0 && a < fabric->port_count;
    fault_add(outages, &fault);
    return is_there ? STATUS_OK : list_broken(item, "is not in this fabric, or has no links", diag);
}

static enum status list_fails(const char *list, struct outages *outages, struct arena *scratch, struct diag *diag)
{
    char *rest = arena_strdup(scratch, list != NULL ? list : "");
    enum status status = STATUS_OK;
    for (char *item; status == STATUS_OK && (item = strtok_r(rest, ";", &rest)) != NULL;) {
        const char *whole = arena_strdup(scratch, item);
        char *words[WORDS_MAX + 1] = {0};
        uint32_t count = 0;
        for (char *word; count <= WORDS_MAX && (word = strtok_r(item, " ", &item)) != NULL;) {
            words[count++] = word;
        }
        if (count > WORDS_MAX) {
            status = list_broken(whole, "says too much", diag);
        } else if (count > 0) {
            status = listed_fails(whole, words, count, outages, diag);
        }
    }
    return status;
}

/* ---- changes ---------------------------------------------------------------------------------------------- */

static int outage_order(const void *a_, const void *b_)
{
    const struct outage *a = a_, *b = b_;
    return a->port != b->port ? (a->port < b->port ? -1 : 1) : (a->from_ps > b->from_ps) - (a->from_ps < b->from_ps);
}

static int change_order(const void *a_, const void *b_)
{
    const struct link_change *a = a_, *b = b_;
    return a->time_ps != b->time_ps ? (a->time_ps < b->time_ps ? -1 : 1) : (a->port > b->port) - (a->port < b->port);
}

static int time_order(const void *a_, const void *b_)
{
    const uint64_t *a = a_, *b = b_;
    return (*a > *b) - (*a < *b);
}

/* How a port is at a time: dead by any of its outages, else at the least of their rates. */
static struct link_change port_then(const struct outage *outages, size_t count, uint64_t time_ps)
{
    struct link_change then = {.time_ps = time_ps, .port = outages[0].port, .is_up = true};
    for (size_t i = 0; i < count; i++) {
        const struct outage *outage = &outages[i];
        if (outage->from_ps <= time_ps && time_ps < outage->until_ps) {
            then.is_up &= outage->rate_bps > 0;
            then.rate_bps = then.rate_bps == 0 || outage->rate_bps < then.rate_bps ? outage->rate_bps : then.rate_bps;
        }
    }
    then.rate_bps = then.is_up ? then.rate_bps : 0;
    return then;
}

/* Whenever one of a port's outages begins or ends, it may change. */
static void port_changes(const struct outage *outages, size_t count, uint64_t *times_ps, struct failures *failures)
{
    size_t times = 0;
    for (size_t i = 0; i < count; i++) {
        times_ps[times++] = outages[i].from_ps;
        times_ps[times++] = outages[i].until_ps;
    }
    qsort(times_ps, times, sizeof *times_ps, time_order);
    struct link_change before = {.is_up = true};
    for (size_t i = 0; i < times && times_ps[i] != TIME_NEVER_PS; i++) {
        struct link_change then = port_then(outages, count, times_ps[i]);
        if (then.is_up != before.is_up || then.rate_bps != before.rate_bps) {
            failures->changes[failures->change_count++] = then;
            before = then;
        }
    }
}

static void changes_make(struct outages *outages, struct arena *scratch, struct failures *failures)
{
    qsort(outages->items, outages->count, sizeof *outages->items, outage_order);
    failures->changes = arena_array(outages->arena, 2 * outages->count, struct link_change);
    uint64_t *times_ps = arena_array(scratch, 2 * outages->count, uint64_t);
    for (size_t first = 0, next; first < outages->count; first = next) {
        for (next = first + 1; next < outages->count && outages->items[next].port == outages->items[first].port; next++) {
        }
        port_changes(&outages->items[first], next - first, times_ps, failures);
    }
    qsort(failures->changes, failures->change_count, sizeof *failures->changes, change_order);
}

/* A link can only be degraded to less than it has. */
static enum status rates_check(const struct outages *outages, struct diag *diag)
{
    const struct fabric *fabric = outages->fabric;
    for (size_t i = 0; i < outages->count; i++) {
        const struct outage *outage = &outages->items[i];
        if (outage->rate_bps >= fabric->rate_bps[outage->port]) {
            char node[48];
            return diag_set(diag, STATUS_INPUT,
                            "failures: a link of %s has %" PRIu64 " bit/s and cannot be degraded to %" PRIu64 " bit/s; expected less",
                            fabric_node_text(fabric, fabric->port_node[outage->port], node, sizeof node),
                            fabric->rate_bps[outage->port], outage->rate_bps);
        }
    }
    return STATUS_OK;
}

/* ---- routes ----------------------------------------------------------------------------------------------- */

static const struct routes *routes_without(const struct fabric *fabric, const uint8_t *is_down, struct arena *arena)
{
    struct fabric *less = arena_one(arena, struct fabric);
    *less = *fabric;
    less->route = NULL; /* arithmetic knows of no failures */
    less->port_peer = arena_array(arena, fabric->port_count, uint32_t);
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        less->port_peer[port] = is_down[port] ? ID_NONE : fabric->port_peer[port];
    }
    return routes_new(less, arena);
}

struct state {
    uint8_t *is_down;
    const struct routes *routes;
};

/* The routes of a state of the links: those of an equal one before. */
static const struct routes *routes_of(const struct fabric *fabric, struct state *states, uint32_t *count,
                                      const uint8_t *is_down, struct arena *arena)
{
    for (uint32_t i = 0; i < *count; i++) {
        if (memcmp(states[i].is_down, is_down, fabric->port_count) == 0) {
            return states[i].routes;
        }
    }
    struct state *state = &states[(*count)++];
    state->is_down = arena_array(arena, fabric->port_count, uint8_t);
    memcpy(state->is_down, is_down, fabric->port_count);
    state->routes = routes_without(fabric, is_down, arena);
    return state->routes;
}

static void epochs_make(const struct fabric *fabric, const struct routes *routes, uint64_t reaction_ps,
                        struct arena *arena, struct failures *failures)
{
    size_t changes = failures->change_count;
    uint64_t *from_ps = arena_array(arena, changes, uint64_t);
    const struct routes **then = arena_array(arena, changes, const struct routes *);
    struct state *states = arena_array(arena, changes + 1, struct state);
    uint8_t *is_down = arena_array(arena, fabric->port_count, uint8_t);
    uint32_t state_count = 1, epochs = 0;
    states[0] = (struct state){arena_array(arena, fabric->port_count, uint8_t), routes};
    for (size_t i = 0; i < changes; i++) {
        const struct link_change *change = &failures->changes[i];
        is_down[change->port] = !change->is_up;
        if (i + 1 == changes || change[1].time_ps != change->time_ps) {
            from_ps[epochs] = change->time_ps + reaction_ps;
            then[epochs++] = routes_of(fabric, states, &state_count, is_down, arena);
        }
    }
    failures->epochs = arena_one(arena, struct route_epochs);
    *failures->epochs = (struct route_epochs){.count = epochs, .class_mask = UINT32_MAX, .from_ps = from_ps, .routes = then};
}

static enum status faults_make(const struct scenario_failures *scenario, uint64_t seed, struct outages *outages,
                               struct arena *scratch, struct failures *failures, struct diag *diag)
{
    if (scenario->spares > 0 && outages->fabric->optical_count == 0) {
        return diag_set(diag, STATUS_INPUT, "failures.spares: fabric %s has no optical switch that could set a spare; expected 0",
                        outages->fabric->name);
    }
    enum status status = drawn_fail(scenario, seed, outages, scratch, diag);
    status = status == STATUS_OK ? list_fails(scenario->list, outages, scratch, diag) : status;
    if (status != STATUS_OK) {
        return status;
    }
    failures->element_count = (uint32_t)outages->fault_count;
    failures->spares_used = faults_apply(outages, scenario->spares, scenario->reaction_ps);
    return rates_check(outages, diag);
}

enum status failures_make(const struct scenario_failures *scenario, const struct fabric *fabric,
                          const struct routes *routes, uint64_t seed, struct arena *arena, struct failures *failures,
                          struct diag *diag)
{
    *failures = (struct failures){0};
    struct arena *scratch = arena_new_within(arena, "failures");
    struct outages outages = {.fabric = fabric, .arena = arena};
    enum status status = faults_make(scenario, seed, &outages, scratch, failures, diag);
    if (status == STATUS_OK && outages.count > 0) {
        changes_make(&outages, scratch, failures);
        epochs_make(fabric, routes, scenario->reaction_ps, arena, failures);
    }
    arena_free(scratch);
    return status;
}

uint64_t failures_slowest_bps(const struct failures *failures)
{
    uint64_t slowest_bps = 0;
    for (size_t i = 0; i < failures->change_count; i++) {
        uint64_t rate_bps = failures->changes[i].rate_bps;
        slowest_bps = rate_bps > 0 && (slowest_bps == 0 || rate_bps < slowest_bps) ? rate_bps : slowest_bps;
    }
    return slowest_bps;
}
