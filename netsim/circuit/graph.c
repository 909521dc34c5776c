#include "netsim/circuit/graph.h"

#include <stdlib.h>
#include <string.h>

/* ---- pairs -------------------------------------------------------------------------------------------------- */

struct directed {
    uint32_t left, right;
    uint64_t forth_bytes, back_bytes;
};

static int by_hosts(const void *first, const void *second)
{
    const struct directed *a = first, *b = second;
    if (a->left != b->left) {
        return a->left < b->left ? -1 : 1;
    }
    return a->right < b->right ? -1 : a->right > b->right;
}

static size_t directed_list(const struct demand *demand, struct directed *list)
{
    size_t count = 0;
    for (uint32_t src = 0; src < demand->host_count; src++) {
        for (uint32_t i = demand->first[src]; i < demand->first[src + 1]; i++) {
            uint32_t dst = demand->dst[i];
            if (src != dst) {
                list[count++] = src < dst ? (struct directed){src, dst, demand->bytes[i], 0}
                                          : (struct directed){dst, src, 0, demand->bytes[i]};
            }
        }
    }
    return count;
}

static void pairs_make(struct plan_graph *graph)
{
    const struct demand *demand = graph->demand;
    struct directed *list = arena_array(graph->arena, demand->first[demand->host_count], struct directed);
    size_t count = directed_list(demand, list), kept = 0;
    qsort(list, count, sizeof *list, by_hosts);
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && by_hosts(&list[kept - 1], &list[i]) == 0) {
            list[kept - 1].forth_bytes += list[i].forth_bytes;
            list[kept - 1].back_bytes += list[i].back_bytes;
        } else {
            list[kept++] = list[i];
        }
    }
    graph->pairs = arena_array(graph->arena, kept, struct plan_pair);
    graph->pair_count = (uint32_t)kept;
    for (size_t i = 0; i < kept; i++) {
        uint64_t forth = list[i].forth_bytes, back = list[i].back_bytes;
        graph->pairs[i] = (struct plan_pair){list[i].left, list[i].right, forth > back ? forth : back, 0};
    }
}

struct weighted {
    uint64_t bytes;
    uint32_t pair;
};

static int by_bytes(const void *first, const void *second)
{
    const struct weighted *a = first, *b = second;
    if (a->bytes != b->bytes) {
        return a->bytes > b->bytes ? -1 : 1;
    }
    return a->pair < b->pair ? -1 : a->pair > b->pair;
}

static void pairs_order(struct plan_graph *graph)
{
    struct weighted *list = arena_array(graph->arena, graph->pair_count, struct weighted);
    uint32_t *order = arena_array(graph->arena, graph->pair_count, uint32_t);
    for (uint32_t i = 0; i < graph->pair_count; i++) {
        list[i] = (struct weighted){graph->pairs[i].bytes, i};
    }
    qsort(list, graph->pair_count, sizeof *list, by_bytes);
    for (uint32_t i = 0; i < graph->pair_count; i++) {
        order[i] = list[i].pair;
    }
    graph->by_weight = order;
}

struct plan_pair *graph_pair(const struct plan_graph *graph, uint32_t left, uint32_t right)
{
    uint32_t small = left < right ? left : right, large = left < right ? right : left;
    uint32_t low = 0, high = graph->pair_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct plan_pair *pair = &graph->pairs[middle];
        bool is_before = pair->left != small ? pair->left < small : pair->right < large;
        low = is_before ? middle + 1 : low;
        high = is_before ? high : middle;
    }
    bool is_found = low < graph->pair_count && graph->pairs[low].left == small && graph->pairs[low].right == large;
    return is_found ? &graph->pairs[low] : NULL;
}

/* ---- links -------------------------------------------------------------------------------------------------- */

static void distances_clear(struct plan_graph *graph)
{
    memset(graph->distance, 0xff, (size_t)graph->host_count * graph->host_count * sizeof *graph->distance);
    for (uint32_t host = 0; host < graph->host_count; host++) {
        graph->distance[(size_t)host * graph->host_count + host] = 0;
    }
}

void graph_clear(struct plan_graph *graph, const uint32_t *free_ports)
{
    memcpy(graph->free_ports, free_ports, graph->host_count * sizeof *free_ports);
    for (uint32_t i = 0; i < graph->pair_count; i++) {
        graph->pairs[i].circuits = 0;
    }
    graph->link_count = 0;
    distances_clear(graph);
}

static void graph_allocate(struct plan_graph *graph, uint32_t links_max)
{
    graph->free_ports = arena_array(graph->arena, graph->host_count, uint32_t);
    graph->distance = arena_array(graph->arena, (size_t)graph->host_count * graph->host_count, uint16_t);
    graph->links = arena_array(graph->arena, links_max, struct plan_link);
    graph->link_capacity = links_max;
}

struct plan_graph *graph_new(struct arena *arena, uint32_t host_count, const uint32_t *free_ports,
                             const struct demand *demand)
{
    struct plan_graph *graph = arena_one(arena, struct plan_graph);
    *graph = (struct plan_graph){.arena = arena, .host_count = host_count, .demand = demand};
    uint64_t ports = 0;
    for (uint32_t host = 0; host < host_count; host++) {
        ports += free_ports[host];
    }
    graph_allocate(graph, (uint32_t)(ports / 2));
    pairs_make(graph);
    pairs_order(graph);
    graph_clear(graph, free_ports);
    return graph;
}

struct plan_graph *graph_copy(const struct plan_graph *graph, struct arena *arena)
{
    struct plan_graph *copy = arena_one(arena, struct plan_graph);
    *copy = *graph;
    copy->arena = arena;
    graph_allocate(copy, graph->link_capacity);
    copy->pairs = arena_array(arena, graph->pair_count, struct plan_pair);
    memcpy(copy->pairs, graph->pairs, graph->pair_count * sizeof *graph->pairs);
    memcpy(copy->free_ports, graph->free_ports, graph->host_count * sizeof *graph->free_ports);
    memcpy(copy->links, graph->links, graph->link_count * sizeof *graph->links);
    memcpy(copy->distance, graph->distance,
           (size_t)graph->host_count * graph->host_count * sizeof *graph->distance);
    return copy;
}

/* A new link shortens every way that is shorter over it, in either direction. */
static void distances_shorten(struct plan_graph *graph, uint32_t left, uint32_t right)
{
    uint32_t hosts = graph->host_count;
    const uint16_t *from_left = &graph->distance[(size_t)left * hosts];
    const uint16_t *from_right = &graph->distance[(size_t)right * hosts];
    for (uint32_t src = 0; src < hosts; src++) {
        uint32_t to_left = from_left[src], to_right = from_right[src];
        uint16_t *row = &graph->distance[(size_t)src * hosts];
        if (src == left || src == right || (to_left == PLAN_FAR && to_right == PLAN_FAR)) {
            continue; /* the two rows that are read stay as they are until all others are done */
        }
        for (uint32_t dst = 0; dst < hosts; dst++) {
            uint32_t over_left = to_left + 1 + from_right[dst], over_right = to_right + 1 + from_left[dst];
            uint32_t best = over_left < over_right ? over_left : over_right;
            row[dst] = best < row[dst] ? (uint16_t)best : row[dst];
        }
    }
    for (uint32_t dst = 0; dst < hosts; dst++) {
        uint32_t to_left = from_left[dst], to_right = from_right[dst];
        uint16_t new_left = to_right + 1 < to_left ? (uint16_t)(to_right + 1) : (uint16_t)to_left;
        uint16_t new_right = to_left + 1 < to_right ? (uint16_t)(to_left + 1) : (uint16_t)to_right;
        graph->distance[(size_t)left * hosts + dst] = new_left;
        graph->distance[(size_t)right * hosts + dst] = new_right;
    }
}

void graph_add(struct plan_graph *graph, uint32_t left, uint32_t right)
{
    assert(left != right && graph->free_ports[left] > 0 && graph->free_ports[right] > 0);
    assert(graph->link_count < graph->link_capacity);
    graph->links[graph->link_count++] = (struct plan_link){left, right};
    graph->free_ports[left]--;
    graph->free_ports[right]--;
    struct plan_pair *pair = graph_pair(graph, left, right);
    if (pair != NULL) {
        pair->circuits++;
    }
    if (graph_distance(graph, left, right) > 1) {
        distances_shorten(graph, left, right);
    }
}

void graph_remove(struct plan_graph *graph, uint32_t link)
{
    struct plan_link old = graph->links[link];
    graph->links[link] = graph->links[--graph->link_count];
    graph->free_ports[old.left]++;
    graph->free_ports[old.right]++;
    struct plan_pair *pair = graph_pair(graph, old.left, old.right);
    if (pair != NULL) {
        pair->circuits--;
    }
}

/* ---- walking ------------------------------------------------------------------------------------------------- */

/* Links as rows: neighbours of host h are peer[first[h] .. first[h + 1]), parallel links listed singly. */
struct rows {
    uint32_t *first, *peer, *link;
    uint32_t *queue;
    uint16_t *distance;
};

static void rows_make(const struct plan_graph *graph, struct arena *arena, struct rows *rows)
{
    uint32_t hosts = graph->host_count;
    rows->first = arena_array(arena, (size_t)hosts + 2, uint32_t);
    rows->peer = arena_array(arena, 2 * (size_t)graph->link_count, uint32_t);
    rows->link = arena_array(arena, 2 * (size_t)graph->link_count, uint32_t);
    rows->queue = arena_array(arena, hosts, uint32_t);
    rows->distance = arena_array(arena, hosts, uint16_t);
    for (uint32_t i = 0; i < graph->link_count; i++) {
        rows->first[graph->links[i].left + 2]++;
        rows->first[graph->links[i].right + 2]++;
    }
    for (uint32_t host = 0; host < hosts; host++) {
        rows->first[host + 2] += rows->first[host + 1];
    }
    for (uint32_t i = 0; i < graph->link_count; i++) {
        uint32_t left = graph->links[i].left, right = graph->links[i].right;
        uint32_t at_left = rows->first[left + 1]++, at_right = rows->first[right + 1]++;
        rows->peer[at_left] = right;
        rows->link[at_left] = 2 * i; /* 2i: from left to right, 2i + 1: back */
        rows->peer[at_right] = left;
        rows->link[at_right] = 2 * i + 1;
    }
}

/* Fills rows->distance and rows->queue (hosts by growing distance); returns how many can be reached. */
static uint32_t rows_walk(const struct rows *rows, uint32_t hosts, uint32_t from)
{
    uint32_t head = 0, tail = 0;
    memset(rows->distance, 0xff, hosts * sizeof *rows->distance);
    rows->distance[from] = 0;
    rows->queue[tail++] = from;
    while (head < tail) {
        uint32_t host = rows->queue[head++];
        for (uint32_t i = rows->first[host]; i < rows->first[host + 1]; i++) {
            uint32_t peer = rows->peer[i];
            if (rows->distance[peer] == PLAN_FAR) {
                rows->distance[peer] = (uint16_t)(rows->distance[host] + 1);
                rows->queue[tail++] = peer;
            }
        }
    }
    return tail;
}

void graph_measure(struct plan_graph *graph)
{
    struct arena *scratch = arena_new("plan distances");
    struct rows rows;
    rows_make(graph, scratch, &rows);
    for (uint32_t host = 0; host < graph->host_count; host++) {
        rows_walk(&rows, graph->host_count, host);
        memcpy(&graph->distance[(size_t)host * graph->host_count], rows.distance,
               graph->host_count * sizeof *rows.distance);
    }
    arena_free(scratch);
}

bool graph_connected(const struct plan_graph *graph)
{
    struct arena *scratch = arena_new("plan walk");
    struct rows rows;
    rows_make(graph, scratch, &rows);
    uint32_t reached = rows_walk(&rows, graph->host_count, 0);
    arena_free(scratch);
    return reached == graph->host_count;
}

/* ---- cost ---------------------------------------------------------------------------------------------------- */

struct loads {
    uint64_t *host_bytes; /* on their way to the destination at hand */
    uint64_t *link_bytes; /* 2 a link: there and back */
};

/* Sends what has gathered at `host` on to the neighbours that are nearer, in equal parts. */
static void host_forward(const struct rows *rows, const struct loads *loads, uint32_t host)
{
    uint32_t ways = 0;
    for (uint32_t i = rows->first[host]; i < rows->first[host + 1]; i++) {
        ways += rows->distance[rows->peer[i]] + 1 == rows->distance[host];
    }
    uint64_t left_bytes = loads->host_bytes[host];
    for (uint32_t i = rows->first[host]; left_bytes > 0 && i < rows->first[host + 1]; i++) {
        if (rows->distance[rows->peer[i]] + 1 == rows->distance[host]) {
            uint64_t part_bytes = left_bytes / ways--;
            loads->link_bytes[rows->link[i]] += part_bytes;
            loads->host_bytes[rows->peer[i]] += part_bytes;
            left_bytes -= part_bytes;
        }
    }
    loads->host_bytes[host] = 0;
}

/* The demand by destination: rows of (src, bytes), the transpose of what is given. */
struct columns {
    uint32_t *first, *src;
    uint64_t *bytes;
};

static void columns_make(const struct plan_graph *graph, struct arena *arena, struct columns *columns)
{
    const struct demand *demand = graph->demand;
    uint32_t total = demand->first[demand->host_count];
    columns->first = arena_array(arena, (size_t)graph->host_count + 2, uint32_t);
    columns->src = arena_array(arena, total, uint32_t);
    columns->bytes = arena_array(arena, total, uint64_t);
    for (uint32_t i = 0; i < total; i++) {
        columns->first[demand->dst[i] + 2]++;
    }
    for (uint32_t host = 0; host < graph->host_count; host++) {
        columns->first[host + 2] += columns->first[host + 1];
    }
    for (uint32_t src = 0; src < demand->host_count; src++) {
        for (uint32_t i = demand->first[src]; i < demand->first[src + 1]; i++) {
            uint32_t at = columns->first[demand->dst[i] + 1]++;
            columns->src[at] = src;
            columns->bytes[at] = demand->bytes[i];
        }
    }
}

/* False where a host cannot reach `dst`. */
static bool destination_load(const struct plan_graph *graph, const struct rows *rows, const struct columns *columns,
                             const struct loads *loads, uint32_t dst)
{
    uint32_t reached = rows_walk(rows, graph->host_count, dst);
    for (uint32_t i = columns->first[dst]; i < columns->first[dst + 1]; i++) {
        loads->host_bytes[columns->src[i]] += columns->bytes[i];
    }
    for (uint32_t i = reached; i-- > 1;) {
        host_forward(rows, loads, rows->queue[i]);
    }
    loads->host_bytes[dst] = 0;
    return reached == graph->host_count;
}

/* Loads are scaled to 20 bits before they are squared, so that sums of millions of links fit. */
static void loads_sum(const struct plan_graph *graph, const struct loads *loads, struct plan_cost *cost)
{
    for (uint32_t i = 0; i < 2 * graph->link_count; i++) {
        uint64_t bytes = loads->link_bytes[i];
        cost->busiest_bytes = bytes > cost->busiest_bytes ? bytes : cost->busiest_bytes;
        cost->byte_hops += bytes;
    }
    uint64_t unit_bytes = cost->bytes / (UINT64_C(1) << 20) + 1;
    for (uint32_t i = 0; i < 2 * graph->link_count; i++) {
        uint64_t load = loads->link_bytes[i] / unit_bytes;
        cost->score += load * load;
    }
}

void graph_cost(const struct plan_graph *graph, struct plan_cost *cost)
{
    struct arena *scratch = arena_new("plan cost");
    struct rows rows;
    struct columns columns;
    rows_make(graph, scratch, &rows);
    columns_make(graph, scratch, &columns);
    struct loads loads = {.host_bytes = arena_array(scratch, graph->host_count, uint64_t),
                          .link_bytes = arena_array(scratch, 2 * (size_t)graph->link_count, uint64_t)};
    *cost = (struct plan_cost){0};
    bool is_whole = true;
    for (uint32_t dst = 0; is_whole && dst < graph->host_count; dst++) {
        is_whole = destination_load(graph, &rows, &columns, &loads, dst);
        for (uint32_t i = columns.first[dst]; i < columns.first[dst + 1]; i++) {
            cost->bytes += columns.bytes[i];
        }
    }
    if (is_whole) {
        loads_sum(graph, &loads, cost);
    } else {
        cost->score = UINT64_MAX;
    }
    arena_free(scratch);
}
