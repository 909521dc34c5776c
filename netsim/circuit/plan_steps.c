#include "netsim/circuit/plan_steps.h"

#include <stdlib.h>

/* ---- strides ------------------------------------------------------------------------------------------------- */

static uint32_t common_divisor(uint32_t left, uint32_t right)
{
    return right == 0 ? left : common_divisor(right, left % right);
}

static bool power_fits(uint32_t base, uint32_t exponent, uint32_t limit)
{
    uint64_t power = 1;
    for (uint32_t i = 0; i < exponent && power <= limit; i++) {
        power *= base;
    }
    return power <= limit;
}

/* The largest r with r^exponent <= limit. */
static uint32_t whole_root(uint32_t limit, uint32_t exponent)
{
    uint32_t root = 1;
    while (exponent > 0 && root < limit && power_fits(root + 1, exponent, limit)) {
        root++;
    }
    return root;
}

/* The stride nearest to `wanted` that is prime to the number of hosts, not used before and, since stride s and
 * hosts - s are the same ring, at most half of it; used ones again where there is no other. */
static uint32_t stride_near(uint32_t hosts, uint32_t wanted, const uint32_t *used, uint32_t used_count)
{
    uint32_t best = 1, best_off = UINT32_MAX;
    for (uint32_t stride = 1; stride <= hosts / 2; stride++) {
        uint32_t off = stride > wanted ? stride - wanted : wanted - stride;
        bool is_used = false;
        for (uint32_t i = 0; i < used_count; i++) {
            is_used |= used[i] == stride;
        }
        if (!is_used && common_divisor(hosts, stride) == 1 && off < best_off) {
            best = stride;
            best_off = off;
        }
    }
    return best;
}

static uint32_t free_ports_least(const struct plan_graph *graph)
{
    uint32_t least = UINT32_MAX;
    for (uint32_t host = 0; host < graph->host_count; host++) {
        least = graph->free_ports[host] < least ? graph->free_ports[host] : least;
    }
    return least;
}

#define STRIDES_MAX 32

void steps_strides(struct plan_graph *graph)
{
    uint32_t hosts = graph->host_count, count = free_ports_least(graph) / 2, used[STRIDES_MAX];
    count = hosts < 2 ? 0 : count > STRIDES_MAX ? STRIDES_MAX : count;
    uint32_t ratio = whole_root(hosts, count), wanted = 1;
    for (uint32_t i = 0; i < count; i++) {
        used[i] = stride_near(hosts, wanted, used, i);
        for (uint32_t host = 0; host < hosts; host++) {
            graph_add(graph, host, (host + used[i]) % hosts);
        }
        wanted = wanted > hosts / ratio ? hosts : wanted * ratio;
    }
}

/* ---- connecting ---------------------------------------------------------------------------------------------- */

void steps_relink(struct plan_graph *graph, uint32_t link, uint32_t left, uint32_t right)
{
    struct plan_pair *old = graph_pair(graph, graph->links[link].left, graph->links[link].right);
    struct plan_pair *new = graph_pair(graph, left, right);
    if (old != NULL) {
        old->circuits--;
    }
    if (new != NULL) {
        new->circuits++;
    }
    graph->links[link] = (struct plan_link){left, right};
}

static uint64_t link_bytes(const struct plan_graph *graph, uint32_t link)
{
    const struct plan_pair *pair = graph_pair(graph, graph->links[link].left, graph->links[link].right);
    return pair == NULL ? 0 : pair->bytes / pair->circuits;
}

/* The heaviest links that hold every part together. A link that is not among them is spare: it closes a ring of which
 * it is the lightest, so it can be taken out without cutting anything. */
struct forest {
    uint32_t *part; /* lowest host of a host's part */
    uint32_t part_count;
    struct weighted {
        uint64_t bytes;
        uint32_t link;
    } *order;
    uint8_t *is_spare;
};

static int by_bytes(const void *first, const void *second)
{
    const struct weighted *a = first, *b = second;
    if (a->bytes != b->bytes) {
        return a->bytes > b->bytes ? -1 : 1;
    }
    return a->link < b->link ? -1 : a->link > b->link;
}

static uint32_t find(uint32_t *parent, uint32_t host)
{
    while (parent[host] != host) {
        parent[host] = parent[parent[host]];
        host = parent[host];
    }
    return host;
}

static void forest_grow(const struct plan_graph *graph, struct forest *forest)
{
    forest->part_count = graph->host_count;
    for (uint32_t host = 0; host < graph->host_count; host++) {
        forest->part[host] = host;
    }
    for (uint32_t i = 0; i < graph->link_count; i++) {
        forest->order[i] = (struct weighted){link_bytes(graph, i), i};
    }
    qsort(forest->order, graph->link_count, sizeof *forest->order, by_bytes);
    for (uint32_t i = 0; i < graph->link_count; i++) {
        uint32_t link = forest->order[i].link;
        uint32_t left = find(forest->part, graph->links[link].left);
        uint32_t right = find(forest->part, graph->links[link].right);
        forest->is_spare[link] = left == right;
        forest->part_count -= left != right;
        forest->part[left > right ? left : right] = left > right ? right : left;
    }
    for (uint32_t host = 0; host < graph->host_count; host++) {
        forest->part[host] = find(forest->part, host);
    }
}

static uint32_t free_host(const struct plan_graph *graph, const struct forest *forest, uint32_t part)
{
    for (uint32_t host = 0; host < graph->host_count; host++) {
        if (forest->part[host] == part && graph->free_ports[host] > 0) {
            return host;
        }
    }
    return ID_NONE;
}

static uint32_t lightest_spare(const struct plan_graph *graph, const struct forest *forest, uint32_t part)
{
    for (uint32_t i = graph->link_count; i-- > 0;) {
        uint32_t link = forest->order[i].link;
        if (forest->is_spare[link] && forest->part[graph->links[link].left] == part) {
            return link;
        }
    }
    return ID_NONE;
}

/* The heaviest pair between two parts whose hosts both have free ports. */
static const struct plan_pair *bridge_wanted(const struct plan_graph *graph, const struct forest *forest)
{
    for (uint32_t i = 0; i < graph->pair_count; i++) {
        const struct plan_pair *pair = &graph->pairs[graph->by_weight[i]];
        if (forest->part[pair->left] != forest->part[pair->right] && graph->free_ports[pair->left] > 0 &&
            graph->free_ports[pair->right] > 0) {
            return pair;
        }
    }
    return NULL;
}

/* Where a part has no free port, its lightest spare link gives one. A part without either is a tree with all ports in
 * use, and its hosts have one port each. */
static bool parts_join(struct plan_graph *graph, const struct forest *forest)
{
    const struct plan_pair *pair = bridge_wanted(graph, forest);
    if (pair != NULL) {
        graph_add(graph, pair->left, pair->right);
        return true;
    }
    uint32_t other = 0;
    while (forest->part[other] == 0) {
        other++;
    }
    uint32_t left = free_host(graph, forest, 0), right = free_host(graph, forest, other);
    uint32_t left_link = left == ID_NONE ? lightest_spare(graph, forest, 0) : ID_NONE;
    uint32_t right_link = right == ID_NONE ? lightest_spare(graph, forest, other) : ID_NONE;
    if ((left == ID_NONE && left_link == ID_NONE) || (right == ID_NONE && right_link == ID_NONE)) {
        return false;
    }
    left = left == ID_NONE ? graph->links[left_link].left : left;
    right = right == ID_NONE ? graph->links[right_link].left : right;
    uint32_t first = left_link, second = right_link; /* the later one goes first: removing moves the last one down */
    if (first != ID_NONE && second != ID_NONE && first < second) {
        first = right_link;
        second = left_link;
    }
    if (first != ID_NONE) {
        graph_remove(graph, first);
    }
    if (second != ID_NONE) {
        graph_remove(graph, second);
    }
    graph_add(graph, left, right);
    return true;
}

void steps_connect(struct plan_graph *graph)
{
    struct arena *scratch = arena_new("plan parts");
    struct forest forest = {.part = arena_array(scratch, graph->host_count, uint32_t),
                            .order = arena_array(scratch, graph->link_capacity, struct weighted),
                            .is_spare = arena_array(scratch, graph->link_capacity, uint8_t)};
    forest_grow(graph, &forest);
    while (forest.part_count > 1 && parts_join(graph, &forest)) {
        forest_grow(graph, &forest);
    }
    graph_measure(graph);
    arena_free(scratch);
}

void steps_use_rest(struct plan_graph *graph)
{
    for (;;) {
        uint32_t best_left = ID_NONE, best_right = ID_NONE, most = 1;
        for (uint32_t left = 0; left < graph->host_count; left++) {
            for (uint32_t right = left + 1; graph->free_ports[left] > 0 && right < graph->host_count; right++) {
                uint32_t hops = graph_distance(graph, left, right);
                if (graph->free_ports[right] > 0 && hops > most) {
                    best_left = left;
                    best_right = right;
                    most = hops;
                }
            }
        }
        if (best_left == ID_NONE) {
            return;
        }
        graph_add(graph, best_left, best_right);
    }
}
