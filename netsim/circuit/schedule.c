#include "netsim/circuit/schedule.h"

#include "netsim/circuit/graph.h"
#include "netsim/circuit/vertices.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS_MAX 4096

/* Links of one configuration, sorted by (left, right), left < right. */
struct linkset {
    struct plan_link *links;
    uint32_t count;
};

struct work {
    const struct fabric *fabric;
    const struct planner *planner;
    const struct schedule_phase *phases;
    uint32_t phase_count;
    struct arena *arena, *scratch;
    struct diag *diag;
    /* of the region at hand */
    const struct optical *optical;
    struct vertices vertices;
    struct linkset *sets;
    size_t set_count, set_capacity;
    uint32_t *phase_first;
    uint32_t *phase_set;
    size_t phase_set_count, phase_set_capacity;
};

/* ---- configurations ------------------------------------------------------------------------------------------ */

static int links_order(const void *first, const void *second)
{
    const struct plan_link *a = first, *b = second;
    if (a->left != b->left) {
        return a->left < b->left ? -1 : 1;
    }
    return a->right < b->right ? -1 : a->right > b->right;
}

/* The number of the configuration with these links; equal ones are one. */
static uint32_t set_add(struct work *work, const struct plan_link *links, uint32_t count)
{
    struct linkset set = {arena_array(work->arena, count, struct plan_link), count};
    for (uint32_t i = 0; i < count; i++) {
        uint32_t left = links[i].left, right = links[i].right;
        set.links[i] = left < right ? links[i] : (struct plan_link){right, left};
    }
    qsort(set.links, count, sizeof *set.links, links_order);
    for (uint32_t i = 0; i < work->set_count; i++) {
        const struct linkset *other = &work->sets[i];
        if (other->count == count && memcmp(other->links, set.links, count * sizeof *set.links) == 0) {
            return i;
        }
    }
    vec_push(work->arena, work->sets, work->set_count, work->set_capacity) = set;
    return (uint32_t)work->set_count - 1;
}

/* What is left to be served after a round: of a series what its circuits have not carried while the first of them was
 * busy, otherwise what had no circuit. */
static const struct demand *rest_of(struct work *work, const struct plan_graph *graph, uint8_t *is_joined)
{
    struct demand_builder *builder = demand_builder_new(work->scratch, graph->host_count);
    uint64_t turn_bytes = UINT64_MAX;
    for (uint32_t i = 0; i < graph->pair_count; i++) {
        const struct plan_pair *pair = &graph->pairs[i];
        if (pair->circuits > 0 && pair->bytes > 0) {
            uint64_t each = (pair->bytes + pair->circuits - 1) / pair->circuits;
            turn_bytes = each < turn_bytes ? each : turn_bytes;
        }
    }
    for (uint32_t i = 0; i < graph->pair_count; i++) {
        const struct plan_pair *pair = &graph->pairs[i];
        bool is_by_bytes = work->planner->is_series && strcmp(work->planner->name, "cyclic") != 0;
        uint64_t gone = pair->circuits == 0 ? 0 : is_by_bytes ? turn_bytes * pair->circuits : pair->bytes;
        is_joined[i] |= pair->circuits > 0;
        if (pair->bytes > gone) {
            demand_add(builder, pair->left, pair->right, pair->bytes - gone);
        }
    }
    return demand_build(builder);
}

static bool is_empty(const struct demand *demand)
{
    return demand->first[demand->host_count] == 0;
}

static enum status unjoined_say(const struct work *work, const struct demand *demand)
{
    uint32_t left = 0;
    while (demand->first[left + 1] == 0) {
        left++;
    }
    return diag_set(work->diag, STATUS_INPUT,
                    "fabric %s: planner %s never joins groups of hosts %" PRIu32 " and %" PRIu32
                    ", which exchange data and have no other way (%" PRIu32 " and %" PRIu32 " fibres)",
                    work->fabric->name, work->planner->name, left, demand->dst[0], work->vertices.port_count[left],
                    work->vertices.port_count[demand->dst[0]]);
}

/* Rounds until nothing is left over; where there is another way, one round unless the planner makes series. */
static enum status phase_plan(struct work *work, const struct demand *demand)
{
    bool is_optional = work->fabric->rules.has_other_way;
    uint64_t before_bytes = UINT64_MAX;
    for (uint32_t round = 0; round < ROUNDS_MAX && !is_empty(demand); round++) {
        const char *text;
        struct plan_graph *graph =
            graph_new(work->scratch, work->vertices.count, work->vertices.port_count, demand);
        graph->round = round;
        graph->is_cover_wanted = !is_optional;
        enum status status = work->planner->plan(graph, work->scratch, &text, work->diag);
        if (status != STATUS_OK) {
            return status;
        }
        uint8_t *is_joined = arena_array(work->scratch, graph->pair_count, uint8_t);
        uint64_t left_bytes = 0;
        demand = rest_of(work, graph, is_joined);
        for (uint32_t i = 0; i < demand->first[demand->host_count]; i++) {
            left_bytes += demand->bytes[i];
        }
        bool is_stuck = left_bytes >= before_bytes && strcmp(work->planner->name, "cyclic") != 0;
        if (is_stuck || round + 1 == ROUNDS_MAX) {
            return is_optional ? STATUS_OK : unjoined_say(work, demand);
        }
        before_bytes = left_bytes;
        if (graph->link_count > 0) {
            uint32_t set = set_add(work, graph->links, graph->link_count);
            vec_push(work->arena, work->phase_set, work->phase_set_count, work->phase_set_capacity) = set;
        }
        if (is_optional && !work->planner->is_series) {
            break;
        }
    }
    return STATUS_OK;
}

/* ---- does it pay ------------------------------------------------------------------------------------------- */

/* How long a phase takes over some configurations, one after the other; a pair goes by the first that joins it, all else
 * the other way. TIME_NEVER_PS where there is none. In ps; sums of bytes times 8 over bit/s. */
static uint64_t phase_time_ps(const struct work *work, const struct demand *demand, const uint32_t *sets, size_t count)
{
    struct plan_graph *graph = graph_new(work->scratch, work->vertices.count, work->vertices.port_count, demand);
    uint64_t rate_bps = work->fabric->rate_bps[work->optical->port[0]], time_ps = 0;
    uint64_t *other_bytes = arena_array(work->scratch, work->vertices.count, uint64_t);
    uint64_t *other_bps = arena_array(work->scratch, work->vertices.count, uint64_t);
    for (size_t k = 0; k < count; k++) {
        const struct linkset *set = &work->sets[sets[k]];
        uint64_t slowest_ps = 0;
        for (uint32_t i = 0; i < set->count;) {
            uint32_t next = i;
            while (next < set->count && links_order(&set->links[i], &set->links[next]) == 0) {
                next++;
            }
            struct plan_pair *pair = graph_pair(graph, set->links[i].left, set->links[i].right);
            if (pair != NULL && pair->circuits == 0) {
                pair->circuits = next - i;
                uint64_t pair_ps = serialisation_ps(pair->bytes / pair->circuits, rate_bps);
                slowest_ps = pair_ps > slowest_ps ? pair_ps : slowest_ps;
            }
            i = next;
        }
        time_ps += slowest_ps + (k > 0 ? work->optical->settle_ps + work->optical->relock_ps + work->optical->control_ps : 0);
    }
    bool is_left = false;
    for (uint32_t i = 0; i < graph->pair_count; i++) {
        if (graph->pairs[i].circuits == 0) {
            other_bytes[graph->pairs[i].left] += graph->pairs[i].bytes;
            other_bytes[graph->pairs[i].right] += graph->pairs[i].bytes;
            is_left = true;
        }
    }
    if (is_left && (!work->fabric->rules.has_other_way || work->fabric->rules.other_bps == NULL)) {
        return TIME_NEVER_PS;
    }
    uint64_t slowest_ps = 0;
    for (uint32_t host = 0; is_left && host < work->fabric->host_count; host++) {
        uint32_t vertex = vertex_of_source(work->optical, host);
        other_bps[vertex == ID_NONE ? 0 : vertex] += vertex == ID_NONE ? 0 : work->fabric->rules.other_bps[host];
    }
    for (uint32_t vertex = 0; is_left && vertex < work->vertices.count; vertex++) {
        uint64_t vertex_ps = other_bps[vertex] > 0 ? serialisation_ps(other_bytes[vertex], other_bps[vertex]) : 0;
        slowest_ps = vertex_ps > slowest_ps ? vertex_ps : slowest_ps;
    }
    return time_ps > slowest_ps ? time_ps : slowest_ps;
}

/* Circuits of the phase before are kept where new ones would save less than the time in which they are dark. A phase is
 * taken to come once a step; bytes are those of a whole step. */
static void pay_or_keep(struct work *work, uint32_t phase, const struct demand *demand)
{
    uint32_t first = work->phase_first[phase];
    size_t count = work->phase_set_count - first;
    uint64_t dark_ps = work->optical->settle_ps + work->optical->relock_ps + work->optical->control_ps;
    if (first == 0 || count == 0) {
        return;
    }
    uint32_t kept = work->phase_set[first - 1];
    uint64_t new_ps = phase_time_ps(work, demand, &work->phase_set[first], count);
    uint64_t kept_ps = phase_time_ps(work, demand, &kept, 1);
    if (kept_ps <= new_ps || kept_ps - new_ps <= dark_ps) {
        work->phase_set[first] = kept;
        work->phase_set_count = first + 1;
    }
}

/* ---- one region ---------------------------------------------------------------------------------------------- */

static uint32_t part_of(uint32_t *parent, uint32_t vertex)
{
    while (parent[vertex] != vertex) {
        parent[vertex] = parent[parent[vertex]];
        vertex = parent[vertex];
    }
    return vertex;
}

/* Where circuits are the only way, a chain joins what no phase does, so that there are routes between all: it belongs to
 * no phase and is never set. */
static void chain_add(struct work *work)
{
    uint32_t count = work->vertices.count, link_count = 0, tail = ID_NONE;
    uint32_t *parent = arena_array(work->scratch, count, uint32_t);
    struct plan_link *links = arena_array(work->scratch, count, struct plan_link);
    for (uint32_t vertex = 0; vertex < count; vertex++) {
        parent[vertex] = vertex;
    }
    for (size_t k = 0; k < work->set_count; k++) {
        for (uint32_t i = 0; i < work->sets[k].count; i++) {
            parent[part_of(parent, work->sets[k].links[i].left)] = part_of(parent, work->sets[k].links[i].right);
        }
    }
    for (uint32_t vertex = 0; vertex < count; vertex++) {
        if (part_of(parent, vertex) == vertex) {
            if (tail != ID_NONE) {
                links[link_count++] = (struct plan_link){tail, vertex};
            }
            tail = vertex;
        }
    }
    if (link_count > 0) {
        set_add(work, links, link_count);
    }
}

static enum status region_check(struct work *work, struct schedule_region *region)
{
    uint32_t *node_of = arena_array(work->arena, work->vertices.count, uint32_t);
    for (uint32_t vertex = 0; vertex < work->vertices.count; vertex++) {
        for (uint32_t i = work->vertices.first[vertex]; i < work->vertices.first[vertex + 1]; i++) {
            uint32_t node = work->fabric->port_node[work->vertices.port[i]];
            if (i > work->vertices.first[vertex] && node != node_of[vertex]) {
                char left[48], right[48];
                return diag_set(work->diag, STATUS_INPUT,
                                "fabric %s: the fibres of group %" PRIu32 " end at %s and at %s; expected one node, "
                                "whose circuits can be set anew",
                                work->fabric->name, vertex,
                                fabric_node_text(work->fabric, node_of[vertex], left, sizeof left),
                                fabric_node_text(work->fabric, node, right, sizeof right)); /* I5 */
            }
            node_of[vertex] = node;
        }
    }
    region->node_of = node_of;
    return STATUS_OK;
}

static enum status phases_plan(struct work *work, struct schedule_region *region)
{
    work->phase_first = arena_array(work->arena, (size_t)work->phase_count + 1, uint32_t);
    enum status status = STATUS_OK;
    for (uint32_t phase = 0; status == STATUS_OK && phase < work->phase_count; phase++) {
        struct arena *outer = work->scratch;
        work->scratch = arena_new("phase plan");
        const struct demand *demand = vertices_demand(work->optical, work->vertices.count, work->phases[phase].demand,
                                                      work->scratch);
        status = phase_plan(work, demand);
        if (status == STATUS_OK && work->fabric->rules.is_paying) {
            pay_or_keep(work, phase, demand);
        }
        arena_free(work->scratch);
        work->scratch = outer;
        work->phase_first[phase + 1] = (uint32_t)work->phase_set_count;
    }
    region->phase_first = work->phase_first;
    region->phase_config = work->phase_set;
    return status;
}

/* All pairs that are ever joined, once. */
static void pairs_make(struct work *work, struct schedule_region *region)
{
    size_t all = 0, count = 0;
    for (size_t k = 0; k < work->set_count; k++) {
        all += work->sets[k].count;
    }
    struct plan_link *links = arena_array(work->scratch, all, struct plan_link);
    for (size_t k = 0; k < work->set_count; k++) {
        memcpy(links + count, work->sets[k].links, work->sets[k].count * sizeof *links);
        count += work->sets[k].count;
    }
    qsort(links, count, sizeof *links, links_order);
    region->pairs = arena_array(work->arena, count, struct schedule_pair);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || links_order(&links[i - 1], &links[i]) != 0) {
            region->pairs[region->pair_count++] = (struct schedule_pair){.left = links[i].left, .right = links[i].right};
        }
    }
}

uint32_t schedule_pair_find(const struct schedule_region *region, uint32_t left, uint32_t right)
{
    const struct plan_link wanted = {left < right ? left : right, left < right ? right : left};
    uint32_t low = 0, high = region->pair_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct plan_link here = {region->pairs[middle].left, region->pairs[middle].right};
        int order = links_order(&here, &wanted);
        if (order == 0) {
            return middle;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return ID_NONE;
}

static void configs_make(struct work *work, struct schedule_region *region)
{
    uint32_t pairs = region->pair_count;
    region->config_count = (uint32_t)work->set_count;
    region->configs = arena_array(work->arena, work->set_count, struct schedule_config);
    uint8_t *least = arena_array(work->scratch, pairs, uint8_t);
    memset(least, 0xff, pairs);
    for (uint32_t k = 0; k < region->config_count; k++) {
        uint8_t *copies = arena_array(work->arena, pairs, uint8_t);
        for (uint32_t i = 0; i < work->sets[k].count; i++) {
            uint32_t pair = schedule_pair_find(region, work->sets[k].links[i].left, work->sets[k].links[i].right);
            copies[pair] = (uint8_t)(copies[pair] < UINT8_MAX ? copies[pair] + 1 : UINT8_MAX);
        }
        for (uint32_t i = 0; i < pairs; i++) {
            least[i] = copies[i] > 0 && copies[i] < least[i] ? copies[i] : least[i];
        }
        region->configs[k].copies = copies;
    }
    for (uint32_t k = 0; k < region->config_count; k++) {
        uint8_t *copies = (uint8_t *)region->configs[k].copies;
        for (uint32_t i = 0; i < pairs; i++) {
            copies[i] = copies[i] > least[i] ? least[i] : copies[i]; /* I4 */
            region->configs[k].circuit_count += copies[i];
            region->pairs[i].copies = copies[i] > region->pairs[i].copies ? copies[i] : region->pairs[i].copies;
        }
    }
}

/* I1: a plan that uses a port twice at once. */
static enum status configs_check(const struct work *work, const struct schedule_region *region)
{
    for (uint32_t k = 0; k < region->config_count; k++) {
        uint32_t *used = arena_array(work->scratch, work->vertices.count, uint32_t);
        for (uint32_t i = 0; i < region->pair_count; i++) {
            used[region->pairs[i].left] += region->configs[k].copies[i];
            used[region->pairs[i].right] += region->configs[k].copies[i];
        }
        for (uint32_t vertex = 0; vertex < work->vertices.count; vertex++) {
            bool is_chain = k + 1 == region->config_count && work->vertices.port_count[vertex] < 2;
            if (used[vertex] > work->vertices.port_count[vertex] && !is_chain) {
                return diag_set(work->diag, STATUS_INPUT,
                                "fabric %s: planner %s uses ports of group %" PRIu32 " twice: %" PRIu32
                                " circuits at once, %" PRIu32 " fibres",
                                work->fabric->name, work->planner->name, vertex, used[vertex],
                                work->vertices.port_count[vertex]);
            }
        }
    }
    return STATUS_OK;
}

static enum status region_plan(struct work *work, uint32_t id, struct schedule_region *region)
{
    work->optical = &work->fabric->optical[id];
    work->sets = NULL;
    work->phase_set = NULL;
    work->set_count = work->set_capacity = work->phase_set_count = work->phase_set_capacity = 0;
    vertices_gather(work->fabric, work->optical, work->scratch, &work->vertices);
    *region = (struct schedule_region){
        .optical = id, .dark_ps = work->optical->settle_ps + work->optical->relock_ps + work->optical->control_ps};
    enum status status = region_check(work, region);
    status = status == STATUS_OK ? phases_plan(work, region) : status;
    if (status != STATUS_OK) {
        return status;
    }
    if (!work->fabric->rules.has_other_way) {
        chain_add(work);
    }
    pairs_make(work, region);
    configs_make(work, region);
    return configs_check(work, region);
}

static const char *text_of(const struct schedule *schedule, const struct planner *planner, struct arena *arena)
{
    uint32_t configs = 0, circuits = 0;
    for (uint32_t i = 0; i < schedule->region_count; i++) {
        configs += schedule->regions[i].config_count;
        for (uint32_t k = 0; k < schedule->regions[i].config_count; k++) {
            uint32_t here = schedule->regions[i].configs[k].circuit_count;
            circuits = here > circuits ? here : circuits;
        }
    }
    return arena_printf(arena, "%" PRIu32 " phase%s, planner %s: %" PRIu32 " configuration%s of %" PRIu32
                        " optical switch%s, at most %" PRIu32 " circuit%s at once in one",
                        schedule->phase_count, plural(schedule->phase_count, "s"), planner->name, configs, plural(configs, "s"),
                        schedule->region_count, plural(schedule->region_count, "es"), circuits, plural(circuits, "s"));
}

enum status schedule_plan(const struct fabric *fabric, const struct schedule_phase *phases, uint32_t phase_count,
                          struct arena *arena, struct schedule **result, struct diag *diag)
{
    struct schedule *schedule = arena_one(arena, struct schedule);
    *result = schedule;
    *schedule = (struct schedule){.fabric = fabric, .region_count = fabric->optical_count, .phase_count = phase_count};
    schedule->regions = arena_array(arena, fabric->optical_count, struct schedule_region);
    struct work work = {.fabric = fabric, .planner = planner_find(fabric->planner), .phases = phases,
                        .phase_count = phase_count, .arena = arena, .diag = diag};
    assert(work.planner != NULL);
    enum status status = STATUS_OK;
    work.scratch = arena_new("circuit plan");
    for (uint32_t i = 0; status == STATUS_OK && i < fabric->optical_count; i++) {
        status = region_plan(&work, i, &schedule->regions[i]);
    }
    arena_free(work.scratch);
    schedule->text = status == STATUS_OK ? text_of(schedule, work.planner, arena) : NULL;
    return status;
}
