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
    PARAM_U64(struct scenario_failures, first_ps, TIME, "first", "0ns", "0ns", NULL, "before this nothing drawn fails"),
    PARAM_U64(struct scenario_failures, spread_ps, TIME, "spread", "0ns", "0ns", NULL,
              "drawn failures are evenly spread over so long from `first` on; 0ns: all at once"),
    PARAM_U64(struct scenario_failures, repair_ps, TIME, "repair", "0ns", "0ns", NULL,
              "what has failed is back after so long; 0ns: never"),
    PARAM_U64(struct scenario_failures, reaction_ps, TIME, "reaction", "10ms", "0ns", NULL,
              "routes change so long after a failure or a repair"),
    PARAM_TEXT(struct scenario_failures, list, "list", NULL,
               "failures at given times: \"link 3-40 10us 50us; node 17 1ms; line 96 2ms\": what, when, back when (never without)"),
};

/* ---- when which port is down ------------------------------------------------------------------------------ */

struct outage {
    uint32_t port;
    uint64_t from_ps, until_ps;
};

struct outages {
    const struct fabric *fabric;
    struct arena *arena;
    struct outage *items;
    size_t count, capacity;
    uint32_t element_count;
};

static void port_fails(struct outages *outages, uint32_t port, uint64_t from_ps, uint64_t until_ps)
{
    struct outage outage = {port, from_ps, until_ps};
    vec_push(outages->arena, outages->items, outages->count, outages->capacity) = outage;
}

static void link_fails(struct outages *outages, uint32_t port, uint64_t from_ps, uint64_t until_ps)
{
    port_fails(outages, port, from_ps, until_ps);
    if (outages->fabric->port_peer[port] != ID_NONE) {
        port_fails(outages, outages->fabric->port_peer[port], from_ps, until_ps);
    }
}

static void node_fails(struct outages *outages, uint32_t node, uint64_t from_ps, uint64_t until_ps)
{
    const struct fabric *fabric = outages->fabric;
    for (uint32_t port = fabric->port_first[node]; port < fabric->port_first[node + 1]; port++) {
        link_fails(outages, port, from_ps, until_ps);
    }
    for (uint32_t i = 0; i < fabric->optical_count; i++) { /* an optical switch has no ports of its own */
        const struct optical *optical = &fabric->optical[i];
        for (uint32_t j = 0; j < optical->port_count && optical->node == node; j++) {
            port_fails(outages, optical->port[j], from_ps, until_ps); /* both ends of a circuit are in the list */
        }
    }
}

/* A transmitter, or the port of an optical switch behind it: all circuits that it may have. */
static void line_fails(struct outages *outages, uint32_t line, uint64_t from_ps, uint64_t until_ps)
{
    const struct fabric *fabric = outages->fabric;
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        if ((fabric->port_line != NULL ? fabric->port_line[port] : port) == line) {
            link_fails(outages, port, from_ps, until_ps);
        }
    }
}

/* ---- drawn ------------------------------------------------------------------------------------------------ */

static bool is_between_switches(const struct fabric *fabric, uint32_t port)
{
    uint32_t peer = fabric->port_peer[port];
    return peer != ID_NONE && fabric->port_node[port] >= fabric->host_count && fabric->port_node[peer] >= fabric->host_count;
}

/* `wanted` of `count` things in drawn order (Fisher, Yates); each fails at a time of its own. */
static void some_fail(const struct scenario_failures *s, uint64_t seed, uint64_t purpose, uint32_t *things, uint32_t count,
                      uint64_t wanted, void (*fail)(struct outages *, uint32_t, uint64_t, uint64_t),
                      struct outages *outages)
{
    for (uint32_t i = 0; i < count && i < wanted; i++) {
        uint64_t draw = rng_draw(seed, RNG_FAILURE ^ purpose, 2 * (uint64_t)i), when = rng_draw(seed, RNG_FAILURE ^ purpose, 2 * (uint64_t)i + 1);
        uint32_t at = i + rng_below(draw, count - i), thing = things[at];
        things[at] = things[i];
        uint64_t from_ps = s->first_ps + (uint64_t)(((unsigned __int128)when * s->spread_ps) >> 64);
        fail(outages, thing, from_ps, s->repair_ps > 0 ? from_ps + s->repair_ps : TIME_NEVER_PS);
        outages->element_count++;
    }
}

static void drawn_fail(const struct scenario_failures *s, uint64_t seed, struct outages *outages, struct arena *scratch)
{
    const struct fabric *fabric = outages->fabric;
    uint32_t *things = arena_array(scratch, (size_t)fabric->port_count + fabric->node_count, uint32_t), count = 0;
    for (int any = 0; any < 2 && count == 0; any++) {
        for (uint32_t port = 0; port < fabric->port_count; port++) {
            bool is_one = fabric->port_peer[port] != ID_NONE && port < fabric->port_peer[port];
            if (is_one && (any || is_between_switches(fabric, port))) {
                things[count++] = port;
            }
        }
    }
    some_fail(s, seed, 1, things, count, s->links, link_fails, outages);
    count = 0;
    for (uint32_t node = fabric->host_count; node < fabric->node_count; node++) {
        if (fabric->node_kind[node] == NODE_SWITCH) {
            things[count++] = node;
        }
    }
    some_fail(s, seed, 2, things, count, s->switches, node_fails, outages);
}

/* ---- listed ----------------------------------------------------------------------------------------------- */

static enum status list_broken(const char *item, const char *what, struct diag *diag)
{
    return diag_set(diag, STATUS_INPUT,
                    "failures.list: \"%s\" %s; expected \"link A-B TIME [TIME]\", \"node N TIME [TIME]\" or \"line N TIME "
                    "[TIME]\", apart by semicolons", item, what);
}

static enum status listed_fails(const char *item, char *words[4], uint32_t count, struct outages *outages,
                                struct diag *diag)
{
    const struct fabric *fabric = outages->fabric;
    uint64_t from_ps, until_ps = TIME_NEVER_PS;
    char why[160], *end, *rest;
    if (count < 3 || !quantity_parse_u64(QUANTITY_TIME, words[2], &from_ps, why) ||
        (count > 3 && !quantity_parse_u64(QUANTITY_TIME, words[3], &until_ps, why)) || until_ps <= from_ps) {
        return list_broken(item, "has no time, or is back before it fails", diag);
    }
    unsigned long a = strtoul(words[1], &end, 10), b = *end == '-' ? strtoul(end + 1, &rest, 10) : 0;
    bool is_link = strcmp(words[0], "link") == 0;
    if (end == words[1] || (is_link ? *end != '-' || rest == end + 1 || *rest != 0 : *end != 0)) {
        return list_broken(item, "names nothing", diag);
    }
    outages->element_count++;
    if (strcmp(words[0], "node") == 0 && a < fabric->node_count) {
        size_t none = outages->count;
        node_fails(outages, (uint32_t)a, from_ps, until_ps);
        return outages->count > none ? STATUS_OK : list_broken(item, "has no links", diag);
    }
    if (strcmp(words[0], "line") == 0 && a < fabric->port_count) {
        line_fails(outages, (uint32_t)a, from_ps, until_ps);
        return STATUS_OK;
    }
    size_t before = outages->count;
    for (uint32_t port = 0; is_link && port < fabric->port_count; port++) {
        uint32_t peer = fabric->port_peer[port];
        if (peer != ID_NONE && fabric->port_node[port] == a && fabric->port_node[peer] == b) {
            link_fails(outages, port, from_ps, until_ps);
        }
    }
    return outages->count > before ? STATUS_OK : list_broken(item, "is not in this fabric", diag);
}

static enum status list_fails(const char *list, struct outages *outages, struct arena *scratch, struct diag *diag)
{
    char *rest = arena_strdup(scratch, list != NULL ? list : "");
    enum status status = STATUS_OK;
    for (char *item; status == STATUS_OK && (item = strtok_r(rest, ";", &rest)) != NULL;) {
        const char *whole = arena_strdup(scratch, item);
        char *words[5] = {0};
        uint32_t count = 0;
        for (char *word; count < 5 && (word = strtok_r(item, " ", &item)) != NULL;) {
            words[count++] = word;
        }
        if (count > 4) {
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
    if (a->time_ps != b->time_ps) {
        return a->time_ps < b->time_ps ? -1 : 1;
    }
    return a->port != b->port ? (a->port < b->port ? -1 : 1) : a->is_up - b->is_up;
}

/* What is down for two reasons comes back after the longer one. */
static void changes_make(struct outages *outages, struct failures *failures)
{
    qsort(outages->items, outages->count, sizeof *outages->items, outage_order);
    failures->changes = arena_array(outages->arena, 2 * outages->count, struct link_change);
    for (size_t i = 0; i < outages->count;) {
        struct outage merged = outages->items[i++];
        for (; i < outages->count && outages->items[i].port == merged.port && outages->items[i].from_ps <= merged.until_ps; i++) {
            uint64_t until_ps = outages->items[i].until_ps;
            merged.until_ps = until_ps > merged.until_ps ? until_ps : merged.until_ps;
        }
        failures->changes[failures->change_count++] = (struct link_change){merged.from_ps, merged.port, false};
        if (merged.until_ps != TIME_NEVER_PS) {
            failures->changes[failures->change_count++] = (struct link_change){merged.until_ps, merged.port, true};
        }
    }
    qsort(failures->changes, failures->change_count, sizeof *failures->changes, change_order);
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

enum status failures_make(const struct scenario_failures *scenario, const struct fabric *fabric,
                          const struct routes *routes, uint64_t seed, struct arena *arena, struct failures *failures,
                          struct diag *diag)
{
    *failures = (struct failures){0};
    struct arena *scratch = arena_new_within(arena, "failures");
    struct outages outages = {.fabric = fabric, .arena = arena};
    drawn_fail(scenario, seed, &outages, scratch);
    enum status status = list_fails(scenario->list, &outages, scratch, diag);
    arena_free(scratch);
    if (status != STATUS_OK || outages.count == 0) {
        return status;
    }
    failures->element_count = outages.element_count;
    changes_make(&outages, failures);
    epochs_make(fabric, routes, scenario->reaction_ps, arena, failures);
    return STATUS_OK;
}
