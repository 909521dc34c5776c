/* Circuits for a whole job, from its demand.
 *
 * Three first plans are made, the cheapest is kept and improved:
 *   greedy    the pair that gains most gets the next circuit (see gain), over and over; parts that are cut off are
 *             joined afterwards at the expense of the lightest links
 *   ring      first one ring (or path) through all hosts along the heaviest pairs, then greedy with the ports left
 *   strides   rings with strides prime to the number of hosts, then greedy with a port left over
 * Improving is exchanging the ends of two links where that makes the cost smaller. Cost is the sum over links of the
 * squared load when all demand takes shortest ways, split evenly: heavy pairs get circuits of their own or several, and
 * light ones few hops. Everything is in integers and ties go to the lower host, so equal demand gives equal circuits.
 *
 * A ring in the demand that is heavy enough (an all-reduce alone, say) gets its circuits link by link, and where ports
 * are left, twice. Every host reaches every other where hosts have two ports or more.
 *
 * Scope: one optical switch (or plane that acts as one) that joins any two ports; one plan for the whole job.
 * Not modelled: TopoOpt's alternation with the parallelisation of the job; different demand in different phases.
 * Checked against: rings, pairs and all-to-all with known best plans (tests/test_plan.c).
 * After: Wang et al., TopoOpt, NSDI 2023 (TotientPerms for all-reduce, matching for the rest). */
#include "netsim/circuit/graph.h"
#include "netsim/circuit/plan_steps.h"

#include "netsim/base/rng.h"

#include <inttypes.h>

/* ---- greedy ------------------------------------------------------------------------------------------------- */

/* What one more circuit saves: every link that a pair no longer crosses, or half of what its circuits carry. */
static uint64_t gain(const struct plan_graph *graph, const struct plan_pair *pair)
{
    uint32_t hops = graph_distance(graph, pair->left, pair->right);
    if (hops == 1) {
        return pair->circuits < 64 ? pair->bytes >> pair->circuits : 0;
    }
    uint32_t saved = hops == PLAN_FAR ? graph->host_count : hops - 1;
    unsigned __int128 whole = (unsigned __int128)pair->bytes * saved;
    return whole > UINT64_MAX ? UINT64_MAX : (uint64_t)whole;
}

#define BATCH_MAX 64

struct best {
    uint64_t gain;
    const struct plan_pair *pair;
};

/* The pairs that gain most, best first; among equal ones the earlier. */
static uint32_t best_pairs(const struct plan_graph *graph, struct best *best, uint32_t wanted)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < graph->pair_count; i++) {
        const struct plan_pair *pair = &graph->pairs[i];
        if (pair->bytes == 0 || graph->free_ports[pair->left] == 0 || graph->free_ports[pair->right] == 0) {
            continue;
        }
        struct best new = {gain(graph, pair), pair};
        if (new.gain == 0 || (count == wanted && new.gain <= best[count - 1].gain)) {
            continue;
        }
        uint32_t at = count < wanted ? count++ : count - 1;
        for (; at > 0 && best[at - 1].gain < new.gain; at--) {
            best[at] = best[at - 1];
        }
        best[at] = new;
    }
    return count;
}

/* Large graphs take several pairs from one look at the distances. */
static void greedy_fill(struct plan_graph *graph)
{
    uint32_t wanted = graph->host_count <= 256 ? 1 : graph->host_count / 32;
    wanted = wanted > BATCH_MAX ? BATCH_MAX : wanted;
    struct best best[BATCH_MAX];
    uint32_t count;
    while ((count = best_pairs(graph, best, wanted)) > 0) {
        for (uint32_t i = 0; i < count; i++) {
            const struct plan_pair *pair = best[i].pair;
            if (graph->free_ports[pair->left] > 0 && graph->free_ports[pair->right] > 0) {
                graph_add(graph, pair->left, pair->right);
            }
        }
    }
}

/* ---- ring ---------------------------------------------------------------------------------------------------- */

static uint32_t find(uint32_t *parent, uint32_t host)
{
    while (parent[host] != host) {
        parent[host] = parent[parent[host]];
        host = parent[host];
    }
    return host;
}

struct paths {
    uint32_t *parent;
    uint8_t *degree;
    uint32_t count;
};

static bool path_extend(struct plan_graph *graph, struct paths *paths, uint32_t left, uint32_t right)
{
    bool has_ends = paths->degree[left] < 2 && paths->degree[right] < 2;
    bool has_ports = graph->free_ports[left] > 0 && graph->free_ports[right] > 0;
    bool is_cycle = find(paths->parent, left) == find(paths->parent, right);
    bool closes_all = is_cycle && paths->count == 1 && graph->host_count > 2;
    if (!has_ends || !has_ports || (is_cycle && !closes_all)) {
        return false;
    }
    paths->parent[find(paths->parent, left)] = find(paths->parent, right);
    paths->count -= !is_cycle;
    paths->degree[left]++;
    paths->degree[right]++;
    graph_add(graph, left, right);
    return true;
}

static uint32_t other_end(const struct plan_graph *graph, struct paths *paths, uint32_t host)
{
    for (uint32_t end = 0; end < graph->host_count; end++) {
        if (end != host && paths->degree[end] < 2 && find(paths->parent, end) == find(paths->parent, host)) {
            return end;
        }
    }
    return host; /* a path of one host */
}

/* Paths along the heaviest pairs, joined end to end in the order of the hosts. */
static void ring_lay(struct plan_graph *graph, struct arena *scratch)
{
    uint32_t hosts = graph->host_count, tail = ID_NONE;
    struct paths paths = {.parent = arena_array(scratch, hosts, uint32_t),
                          .degree = arena_array(scratch, hosts, uint8_t), .count = hosts};
    for (uint32_t host = 0; host < hosts; host++) {
        paths.parent[host] = host;
    }
    for (uint32_t i = 0; i < graph->pair_count; i++) {
        const struct plan_pair *pair = &graph->pairs[graph->by_weight[i]];
        path_extend(graph, &paths, pair->left, pair->right);
    }
    for (uint32_t host = 0; host < hosts; host++) {
        bool is_other = tail == ID_NONE || find(paths.parent, host) != find(paths.parent, tail);
        if (paths.degree[host] < 2 && is_other) {
            uint32_t end = other_end(graph, &paths, host);
            bool is_joined = tail == ID_NONE || path_extend(graph, &paths, tail, host);
            tail = is_joined ? end : tail;
        }
    }
}

/* ---- improving ----------------------------------------------------------------------------------------------- */

/* Takes the ends of two links apart and joins them the other way round. False where that is no exchange. */
static bool exchange(struct plan_graph *graph, uint32_t first, uint32_t second, bool is_crossed)
{
    struct plan_link one = graph->links[first], two = graph->links[second];
    uint32_t other_left = is_crossed ? two.right : two.left, other_right = is_crossed ? two.left : two.right;
    if (first == second || one.left == other_left || one.right == other_right) {
        return false;
    }
    steps_relink(graph, first, one.left, other_left);
    steps_relink(graph, second, one.right, other_right);
    return true;
}

static void exchange_back(struct plan_graph *graph, uint32_t first, uint32_t second, struct plan_link one,
                          struct plan_link two)
{
    steps_relink(graph, first, one.left, one.right);
    steps_relink(graph, second, two.left, two.right);
}

#define IMPROVE_TRIES_MAX 6000
#define IMPROVE_WORK      UINT64_C(100000000) /* about a second */

static void improve(struct plan_graph *graph, struct plan_cost *cost)
{
    uint64_t work_each = (uint64_t)graph->host_count * (4 * (uint64_t)graph->link_count + graph->host_count) + 1;
    uint64_t tries = IMPROVE_WORK / work_each;
    tries = graph->link_count < 2 ? 0 : tries > IMPROVE_TRIES_MAX ? IMPROVE_TRIES_MAX : tries;
    for (uint64_t i = 0; i < tries; i++) {
        uint64_t draw = rng_draw(graph->host_count, graph->link_count, i); /* any fixed sequence will do */
        uint32_t first = rng_below(draw, graph->link_count), second = rng_below(rng_mix(draw), graph->link_count);
        struct plan_link one = graph->links[first], two = graph->links[second];
        if (!exchange(graph, first, second, draw & 1)) {
            continue;
        }
        struct plan_cost new;
        graph_cost(graph, &new);
        if (new.score < cost->score) {
            *cost = new;
        } else {
            exchange_back(graph, first, second, one, two);
        }
    }
}

/* ---- choosing ------------------------------------------------------------------------------------------------ */

/* Where the demand does not care, the first one wins: few hops between any two hosts. */
enum first_plan { FIRST_STRIDES, FIRST_RING, FIRST_GREEDY, FIRST_COUNT };

static void first_plan_make(struct plan_graph *graph, enum first_plan which, struct arena *scratch)
{
    if (which == FIRST_RING) {
        ring_lay(graph, scratch);
    } else if (which == FIRST_STRIDES) {
        steps_strides(graph);
    }
    greedy_fill(graph);
    steps_connect(graph);
    greedy_fill(graph);
    steps_use_rest(graph);
}

enum status plan_per_job(struct plan_graph *graph, struct arena *arena, const char **text, struct diag *diag)
{
    static const char *const names[FIRST_COUNT] = {"strides", "ring", "greedy"};
    (void)diag;
    struct plan_graph *best = NULL;
    struct plan_cost best_cost = {.score = UINT64_MAX};
    const char *name = NULL;
    for (enum first_plan which = 0; which < FIRST_COUNT; which++) {
        struct plan_graph *trial = graph_copy(graph, graph->arena);
        struct plan_cost cost;
        first_plan_make(trial, which, graph->arena);
        graph_cost(trial, &cost);
        if (best == NULL || cost.score < best_cost.score) {
            best = trial;
            best_cost = cost;
            name = names[which];
        }
    }
    improve(best, &best_cost);
    *graph = *best;
    double hops = best_cost.bytes > 0 ? (double)best_cost.byte_hops / (double)best_cost.bytes : 0;
    *text = arena_printf(arena, "%" PRIu32 " circuits for the job's demand (%s first): %.2f hops a byte, "
                         "%.1f MB one way over the busiest",
                         graph->link_count, name, hops, (double)best_cost.busiest_bytes / 1e6);
    return STATUS_OK;
}
