/* Vertices are 1 to n here, blossoms n + 1 to 2n; 0 is nobody. A blossom is a ring of odd length: petals in order, the
 * base first. Duals are doubled, so that everything is whole. */
#include "netsim/circuit/matching.h"

#include <string.h>

enum label { LABEL_NONE, LABEL_OUTER, LABEL_INNER };

struct edge {
    uint32_t from, to;
    int64_t weight;
};

struct matcher {
    uint32_t n, all, top; /* all: vertices and blossoms there is room for; top: in use */
    struct edge *edge;    /* (all + 1) squared: the tightest between two of them */
    int64_t *dual;
    uint32_t *match, *slack, *outer, *parent; /* outer: the outermost blossom around it */
    uint8_t *label;
    uint32_t *seen, seen_now;
    uint32_t *petal_of; /* (blossom, vertex): which petal holds it */
    uint32_t **petals, *petal_count;
    uint32_t *queue, queue_head, queue_count;
    uint32_t *stack; /* for walks down nested blossoms */
    struct edge *pairs;
};

static struct edge *edge_of(const struct matcher *matcher, uint32_t from, uint32_t to)
{
    return &matcher->edge[(size_t)from * (matcher->all + 1) + to];
}

static uint32_t *petal_with(const struct matcher *matcher, uint32_t blossom, uint32_t vertex)
{
    return &matcher->petal_of[(size_t)blossom * (matcher->n + 1) + vertex];
}

static int64_t gap(const struct matcher *matcher, const struct edge *edge)
{
    return matcher->dual[edge->from] + matcher->dual[edge->to] -
           2 * edge_of(matcher, edge->from, edge->to)->weight;
}

static void slack_update(struct matcher *matcher, uint32_t from, uint32_t to)
{
    uint32_t best = matcher->slack[to];
    if (best == 0 || gap(matcher, edge_of(matcher, from, to)) < gap(matcher, edge_of(matcher, best, to))) {
        matcher->slack[to] = from;
    }
}

static void slack_set(struct matcher *matcher, uint32_t to)
{
    matcher->slack[to] = 0;
    for (uint32_t from = 1; from <= matcher->n; from++) {
        if (edge_of(matcher, from, to)->weight > 0 && matcher->outer[from] != to &&
            matcher->label[matcher->outer[from]] == LABEL_OUTER) {
            slack_update(matcher, from, to);
        }
    }
}

/* Calls for every vertex and blossom inside, itself first. */
static void outer_set(struct matcher *matcher, uint32_t of, uint32_t outer)
{
    uint32_t depth = 0;
    matcher->stack[depth++] = of;
    while (depth > 0) {
        uint32_t now = matcher->stack[--depth];
        matcher->outer[now] = outer;
        for (uint32_t i = 0; now > matcher->n && i < matcher->petal_count[now]; i++) {
            matcher->stack[depth++] = matcher->petals[now][i];
        }
    }
}

static void queue_push(struct matcher *matcher, uint32_t of)
{
    uint32_t depth = 0;
    matcher->stack[depth++] = of;
    while (depth > 0) {
        uint32_t now = matcher->stack[--depth];
        if (now <= matcher->n) {
            matcher->queue[matcher->queue_count++] = now;
            continue;
        }
        for (uint32_t i = matcher->petal_count[now]; i-- > 0;) {
            matcher->stack[depth++] = matcher->petals[now][i];
        }
    }
}

static void reverse(uint32_t *list, uint32_t count)
{
    for (uint32_t i = 0; i < count / 2; i++) {
        uint32_t kept = list[i];
        list[i] = list[count - 1 - i];
        list[count - 1 - i] = kept;
    }
}

/* Where a petal stands, the ring being turned so that the way from the base to it is even. */
static uint32_t petal_place(struct matcher *matcher, uint32_t blossom, uint32_t petal)
{
    uint32_t place = 0, count = matcher->petal_count[blossom];
    while (matcher->petals[blossom][place] != petal) {
        place++;
    }
    if (place % 2 == 1) {
        reverse(matcher->petals[blossom] + 1, count - 1);
        place = count - place;
    }
    return place;
}

static void petals_rotate(struct matcher *matcher, uint32_t blossom, uint32_t by)
{
    uint32_t count = matcher->petal_count[blossom], *list = matcher->petals[blossom];
    reverse(list, by);
    reverse(list + by, count - by);
    reverse(list, count);
}

/* `of` is matched by its edge to `to`; inside a blossom the petals before the one that the edge leaves pair up. */
static void match_set(struct matcher *matcher, uint32_t of, uint32_t to)
{
    uint32_t depth = 0;
    matcher->pairs[depth++] = (struct edge){of, to, 0};
    while (depth > 0) {
        struct edge now = matcher->pairs[--depth];
        struct edge edge = *edge_of(matcher, now.from, now.to);
        matcher->match[now.from] = edge.to;
        if (now.from <= matcher->n) {
            continue;
        }
        uint32_t petal = *petal_with(matcher, now.from, edge.from);
        uint32_t place = petal_place(matcher, now.from, petal);
        const uint32_t *petals = matcher->petals[now.from];
        for (uint32_t i = 0; i < place; i++) {
            matcher->pairs[depth++] = (struct edge){petals[i], petals[i ^ 1], 0};
        }
        matcher->pairs[depth++] = (struct edge){petal, now.to, 0};
        petals_rotate(matcher, now.from, place);
    }
}

static void augment(struct matcher *matcher, uint32_t from, uint32_t to)
{
    while (true) {
        uint32_t next = matcher->outer[matcher->match[from]];
        match_set(matcher, from, to);
        if (next == 0) {
            return;
        }
        match_set(matcher, next, matcher->outer[matcher->parent[next]]);
        from = matcher->outer[matcher->parent[next]];
        to = next;
    }
}

/* The first that both ways to the roots share, 0 where they end at different ones. */
static uint32_t common_of(struct matcher *matcher, uint32_t left, uint32_t right)
{
    matcher->seen_now++;
    while (left != 0 || right != 0) {
        if (left != 0) {
            if (matcher->seen[left] == matcher->seen_now) {
                return left;
            }
            matcher->seen[left] = matcher->seen_now;
            left = matcher->outer[matcher->match[left]];
            left = left != 0 ? matcher->outer[matcher->parent[left]] : 0;
        }
        uint32_t kept = left;
        left = right;
        right = kept;
    }
    return 0;
}

static void petal_add(struct matcher *matcher, uint32_t blossom, uint32_t petal)
{
    matcher->petals[blossom][matcher->petal_count[blossom]++] = petal;
}

static void side_add(struct matcher *matcher, uint32_t blossom, uint32_t from, uint32_t common)
{
    for (uint32_t at = from; at != common;) {
        uint32_t inner = matcher->outer[matcher->match[at]];
        petal_add(matcher, blossom, at);
        petal_add(matcher, blossom, inner);
        queue_push(matcher, inner);
        at = matcher->outer[matcher->parent[inner]];
    }
}

static void blossom_edges(struct matcher *matcher, uint32_t blossom)
{
    for (uint32_t x = 1; x <= matcher->top; x++) {
        edge_of(matcher, blossom, x)->weight = edge_of(matcher, x, blossom)->weight = 0;
    }
    for (uint32_t x = 1; x <= matcher->n; x++) {
        *petal_with(matcher, blossom, x) = 0;
    }
    for (uint32_t i = 0; i < matcher->petal_count[blossom]; i++) {
        uint32_t petal = matcher->petals[blossom][i];
        for (uint32_t x = 1; x <= matcher->top; x++) {
            if (edge_of(matcher, blossom, x)->weight == 0 ||
                gap(matcher, edge_of(matcher, petal, x)) < gap(matcher, edge_of(matcher, blossom, x))) {
                *edge_of(matcher, blossom, x) = *edge_of(matcher, petal, x);
                *edge_of(matcher, x, blossom) = *edge_of(matcher, x, petal);
            }
        }
        for (uint32_t x = 1; x <= matcher->n; x++) {
            bool is_inside = petal <= matcher->n ? x == petal : *petal_with(matcher, petal, x) != 0;
            if (is_inside) {
                *petal_with(matcher, blossom, x) = petal;
            }
        }
    }
}

static void blossom_add(struct matcher *matcher, uint32_t left, uint32_t common, uint32_t right)
{
    uint32_t blossom = matcher->n + 1;
    while (blossom <= matcher->top && matcher->outer[blossom] != 0) {
        blossom++;
    }
    matcher->top += blossom > matcher->top;
    assert(matcher->top <= matcher->all);
    matcher->dual[blossom] = 0;
    matcher->label[blossom] = LABEL_OUTER;
    matcher->match[blossom] = matcher->match[common];
    matcher->petal_count[blossom] = 0;
    petal_add(matcher, blossom, common);
    side_add(matcher, blossom, left, common);
    reverse(matcher->petals[blossom] + 1, matcher->petal_count[blossom] - 1);
    side_add(matcher, blossom, right, common);
    outer_set(matcher, blossom, blossom);
    blossom_edges(matcher, blossom);
    slack_set(matcher, blossom);
}

static void blossom_expand(struct matcher *matcher, uint32_t blossom)
{
    uint32_t count = matcher->petal_count[blossom], *petals = matcher->petals[blossom];
    for (uint32_t i = 0; i < count; i++) {
        outer_set(matcher, petals[i], petals[i]);
    }
    uint32_t entry = *petal_with(matcher, blossom, edge_of(matcher, blossom, matcher->parent[blossom])->from);
    uint32_t place = petal_place(matcher, blossom, entry);
    for (uint32_t i = 0; i < place; i += 2) {
        uint32_t inner = petals[i], outer = petals[i + 1];
        matcher->parent[inner] = edge_of(matcher, outer, inner)->from;
        matcher->label[inner] = LABEL_INNER;
        matcher->label[outer] = LABEL_OUTER;
        matcher->slack[inner] = 0;
        slack_set(matcher, outer);
        queue_push(matcher, outer);
    }
    matcher->label[entry] = LABEL_INNER;
    matcher->parent[entry] = matcher->parent[blossom];
    for (uint32_t i = place + 1; i < count; i++) {
        matcher->label[petals[i]] = LABEL_NONE;
        slack_set(matcher, petals[i]);
    }
    matcher->outer[blossom] = 0;
}

/* A tight edge between an outer vertex and another one; true where the matching has grown. */
static bool edge_found(struct matcher *matcher, const struct edge *edge)
{
    uint32_t from = matcher->outer[edge->from], to = matcher->outer[edge->to];
    if (matcher->label[to] == LABEL_NONE) {
        uint32_t mate = matcher->outer[matcher->match[to]];
        matcher->parent[to] = edge->from;
        matcher->label[to] = LABEL_INNER;
        matcher->slack[to] = matcher->slack[mate] = 0;
        matcher->label[mate] = LABEL_OUTER;
        queue_push(matcher, mate);
        return false;
    }
    if (matcher->label[to] == LABEL_OUTER) {
        uint32_t common = common_of(matcher, from, to);
        if (common == 0) {
            augment(matcher, from, to);
            augment(matcher, to, from);
            return true;
        }
        blossom_add(matcher, from, common, to);
    }
    return false;
}

static bool trees_grow(struct matcher *matcher)
{
    while (matcher->queue_head < matcher->queue_count) {
        uint32_t from = matcher->queue[matcher->queue_head++];
        if (matcher->label[matcher->outer[from]] == LABEL_INNER) {
            continue;
        }
        for (uint32_t to = 1; to <= matcher->n; to++) {
            const struct edge *edge = edge_of(matcher, from, to);
            if (edge->weight == 0 || matcher->outer[from] == matcher->outer[to]) {
                continue;
            }
            if (gap(matcher, edge) > 0) {
                slack_update(matcher, from, matcher->outer[to]);
            } else if (edge_found(matcher, edge)) {
                return true;
            }
        }
    }
    return false;
}

static int64_t duals_step(const struct matcher *matcher)
{
    int64_t step = INT64_MAX;
    for (uint32_t x = 1; x <= matcher->top; x++) {
        if (matcher->outer[x] != x) {
            continue;
        }
        int64_t bound = INT64_MAX;
        if (x > matcher->n && matcher->label[x] == LABEL_INNER) {
            bound = matcher->dual[x] / 2;
        }
        if (matcher->slack[x] != 0 && matcher->label[x] != LABEL_INNER) {
            int64_t slack = gap(matcher, edge_of(matcher, matcher->slack[x], x));
            slack = matcher->label[x] == LABEL_OUTER ? slack / 2 : slack;
            bound = slack < bound ? slack : bound;
        }
        step = bound < step ? bound : step;
    }
    return step;
}

/* False where a free vertex has nothing left to pay with: the matching cannot be made heavier. */
static bool duals_move(struct matcher *matcher, int64_t step)
{
    for (uint32_t x = 1; x <= matcher->n; x++) {
        if (matcher->label[matcher->outer[x]] == LABEL_OUTER && matcher->dual[x] <= step) {
            return false;
        }
    }
    for (uint32_t x = 1; x <= matcher->n; x++) {
        uint8_t label = matcher->label[matcher->outer[x]];
        matcher->dual[x] += label == LABEL_OUTER ? -step : label == LABEL_INNER ? step : 0;
    }
    for (uint32_t x = matcher->n + 1; x <= matcher->top; x++) {
        if (matcher->outer[x] == x) {
            uint8_t label = matcher->label[x];
            matcher->dual[x] += label == LABEL_OUTER ? 2 * step : label == LABEL_INNER ? -2 * step : 0;
        }
    }
    return true;
}

/* One more pair, or false. */
static bool phase_run(struct matcher *matcher)
{
    memset(matcher->label, LABEL_NONE, matcher->all + 1);
    memset(matcher->slack, 0, (matcher->all + 1) * sizeof *matcher->slack);
    matcher->queue_head = matcher->queue_count = 0;
    for (uint32_t x = 1; x <= matcher->top; x++) {
        if (matcher->outer[x] == x && matcher->match[x] == 0) {
            matcher->parent[x] = 0;
            matcher->label[x] = LABEL_OUTER;
            queue_push(matcher, x);
        }
    }
    bool has_free = matcher->queue_count > 0;
    while (has_free) {
        if (trees_grow(matcher)) {
            return true;
        }
        if (!duals_move(matcher, duals_step(matcher))) {
            return false;
        }
        matcher->queue_head = matcher->queue_count = 0;
        for (uint32_t x = 1; x <= matcher->top; x++) {
            uint32_t from = matcher->slack[x];
            bool is_tight = matcher->outer[x] == x && from != 0 && matcher->outer[from] != x &&
                            gap(matcher, edge_of(matcher, from, x)) == 0;
            if (is_tight && edge_found(matcher, edge_of(matcher, from, x))) {
                return true;
            }
        }
        for (uint32_t x = matcher->n + 1; x <= matcher->top; x++) {
            if (matcher->outer[x] == x && matcher->label[x] == LABEL_INNER && matcher->dual[x] == 0) {
                blossom_expand(matcher, x);
            }
        }
    }
    return false;
}

static struct matcher *matcher_new(uint32_t n, struct arena *arena)
{
    struct matcher *matcher = arena_one(arena, struct matcher);
    uint32_t all = 2 * n;
    *matcher = (struct matcher){.n = n, .all = all, .top = n};
    matcher->edge = arena_array(arena, (size_t)(all + 1) * (all + 1), struct edge);
    matcher->petal_of = arena_array(arena, (size_t)(all + 1) * (n + 1), uint32_t);
    matcher->dual = arena_array(arena, all + 1, int64_t);
    matcher->match = arena_array(arena, all + 1, uint32_t);
    matcher->slack = arena_array(arena, all + 1, uint32_t);
    matcher->outer = arena_array(arena, all + 1, uint32_t);
    matcher->parent = arena_array(arena, all + 1, uint32_t);
    matcher->seen = arena_array(arena, all + 1, uint32_t);
    matcher->label = arena_array(arena, all + 1, uint8_t);
    matcher->petals = arena_array(arena, all + 1, uint32_t *);
    matcher->petal_count = arena_array(arena, all + 1, uint32_t);
    matcher->queue = arena_array(arena, 4 * (size_t)all + 4, uint32_t);
    matcher->stack = arena_array(arena, 2 * (size_t)all + 2, uint32_t);
    matcher->pairs = arena_array(arena, 4 * (size_t)all + 4, struct edge);
    for (uint32_t x = 1; x <= all; x++) {
        matcher->petals[x] = x > n ? arena_array(arena, 2 * (size_t)n + 2, uint32_t) : NULL;
        matcher->outer[x] = x <= n ? x : 0;
        for (uint32_t y = 1; y <= all; y++) {
            *edge_of(matcher, x, y) = (struct edge){x, y, 0};
        }
    }
    return matcher;
}

const uint32_t *matching_find(uint32_t count, const struct matching_edge *edges, size_t edge_count,
                              struct arena *arena)
{
    struct arena *scratch = arena_new("matching");
    struct matcher *matcher = matcher_new(count, scratch);
    uint64_t most = 0;
    uint32_t shift = 0;
    for (size_t i = 0; i < edge_count; i++) {
        most = edges[i].weight > most ? edges[i].weight : most;
    }
    while (most >> shift > UINT64_C(1) << 32) {
        shift++;
    }
    for (size_t i = 0; i < edge_count; i++) {
        uint32_t left = edges[i].left + 1, right = edges[i].right + 1;
        int64_t weight = (int64_t)(edges[i].weight >> shift);
        if (left != right && weight > edge_of(matcher, left, right)->weight) {
            edge_of(matcher, left, right)->weight = edge_of(matcher, right, left)->weight = weight;
        }
    }
    for (uint32_t x = 1; x <= count; x++) {
        matcher->dual[x] = (int64_t)(most >> shift);
    }
    while (phase_run(matcher)) {
    }
    uint32_t *mate = arena_array(arena, count, uint32_t);
    for (uint32_t x = 1; x <= count; x++) {
        mate[x - 1] = matcher->match[x] != 0 ? matcher->match[x] - 1 : ID_NONE;
    }
    arena_free(scratch);
    return mate;
}
