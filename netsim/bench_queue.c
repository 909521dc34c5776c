/* The hold model: take the first of `pending` events, push it again a random delay later.
 *
 * Two laws of delay: `network` (40% 81.92 ns, a 4 KiB packet at 400 Gbit/s; 40% 581.92 ns, the same and 500 ns of
 * fibre; 20% uniform from 1 to 20 us, timers) and `exponential` (mean 1 us). Queues start in the steady state:
 * residual delays. All structures see the same delays and must give the same digest of all that came out.
 *
 * Yardsticks: a binary heap, a 4-ary heap, the C library's ordered tree, the loop without any queue, and the
 * latency of a dependent load from 64 MiB. They hold the same 16-byte items, ordered by (time, payload) too. */
#define _GNU_SOURCE /* tdestroy */
#include "netsim/base/rng.h"
#include "netsim/bench.h"
#include "netsim/engine/eventq.h"

#include <math.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { SEGMENTS = 1024, ROUND_HOLDS = 1000000, ROUNDS_MAX = 99 };
#define PROBE_BYTES ((size_t)64 << 20)
#define LINE_BYTES  64

/* ---- the load --------------------------------------------------------------------------------------------------- */

/* A law of delay as its quantiles, straight between them: one draw is a few instructions and 4 KiB of table. (A
 * long list of delays used in a cycle drives small queues into patterns that a branch predictor learns.) */
struct load {
    const char *name;
    uint32_t quantile_ps[SEGMENTS + 1];
    double mean_ps;
};

INLINE uint64_t delay_draw(const struct load *load, uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407); /* Knuth's MMIX */
    const uint32_t *low_ps = &load->quantile_ps[*state >> 54];
    return low_ps[0] + ((uint64_t)(low_ps[1] - low_ps[0]) * (uint32_t)(*state >> 22) >> 32);
}

static double network_quantile(double share)
{
    return share < 0.4 ? 81920 : share < 0.8 ? 581920 : 1e6 + (share - 0.8) / 0.2 * 19e6;
}

static double exponential_quantile(double share)
{
    return -1e6 * log(1 - share * (1 - 1e-4)); /* cut at 9.2 times the mean */
}

static void load_init(struct load *load, const char *name, double (*quantile)(double share))
{
    load->name = name;
    for (uint32_t i = 0; i <= SEGMENTS; i++) {
        load->quantile_ps[i] = (uint32_t)quantile((double)i / SEGMENTS) + 1;
        load->mean_ps += load->quantile_ps[i] / (double)SEGMENTS;
    }
}

/* The time that a delay still has to run when one looks at a random moment: long delays are met more often. */
static uint64_t residual_ps(const struct load *load, uint64_t event)
{
    for (uint64_t ordinal = 0;; ordinal += 3) {
        uint64_t state = rng_draw(2, event, ordinal);
        double delay_ps = (double)delay_draw(load, &state);
        if (rng_unit(rng_draw(2, event, ordinal + 1)) * load->quantile_ps[SEGMENTS] < delay_ps) {
            return (uint64_t)(delay_ps * rng_unit(rng_draw(2, event, ordinal + 2)));
        }
    }
}

/* ---- the structures --------------------------------------------------------------------------------------------- */

/* One set under measurement. */
struct set {
    const struct structure *structure;
    enum simd_body simd;
    struct arena *arena;
    void *state;
    uint64_t draw_state;
    uint64_t digest;
    double ns_per_hold[ROUNDS_MAX];
};

struct structure {
    const char *name;
    void *(*new)(struct arena *arena, uint64_t pending, enum simd_body simd);
    void (*push)(void *state, struct eventq_item item);
    void (*hold)(struct set *set, const struct load *load, uint64_t count);
    void (*free)(void *state); /* what lies outside of the arena, or NULL */
};

typedef struct eventq_item pop_function(void *state);
typedef void push_function(void *state, struct eventq_item item);

/* The loop that is timed, made once a structure. */
INLINE void hold_run(struct set *set, const struct load *load, uint64_t count, pop_function pop, push_function push)
{
    uint64_t digest = set->digest, draw_state = set->draw_state;
    void *state = set->state;
    for (uint64_t i = 0; i < count; i++) {
        struct eventq_item item = pop(state);
        digest = (digest ^ item.time_ps ^ item.payload << 40) * RNG_STEP;
        digest ^= digest >> 29;
        item.time_ps += delay_draw(load, &draw_state);
        push(state, item);
    }
    set->digest = digest;
    set->draw_state = draw_state;
}

INLINE void queue_push(void *state, struct eventq_item item)
{
    eventq_push(state, item.time_ps, item.payload);
}

INLINE struct eventq_item queue_pop(void *state)
{
    struct eventq_item item;
    if (!eventq_pop(state, &item)) {
        __builtin_unreachable();
    }
    return item;
}

static void *queue_new(struct arena *arena, uint64_t pending, enum simd_body simd)
{
    (void)pending;
    return eventq_new(arena, simd);
}

struct heap {
    struct eventq_item *items;
    uint64_t count;
};

static void *heap_new(struct arena *arena, uint64_t pending, enum simd_body simd)
{
    (void)simd;
    struct heap *heap = arena_one(arena, struct heap);
    heap->items = arena_array(arena, pending + 1, struct eventq_item);
    return heap;
}

INLINE void heap_push(struct heap *heap, struct eventq_item item, uint64_t ways)
{
    uint64_t at = heap->count++;
    while (at > 0 && eventq_key(item) < eventq_key(heap->items[(at - 1) / ways])) {
        heap->items[at] = heap->items[(at - 1) / ways];
        at = (at - 1) / ways;
    }
    heap->items[at] = item;
}

INLINE uint64_t heap_less(const struct eventq_item *items, uint64_t a, uint64_t b)
{
    return a + ((b - a) & -(uint64_t)(eventq_key(items[b]) < eventq_key(items[a]))); /* no branch */
}

/* The least of the children first .. last - 1; a full family by two rounds, as compares at once as can be. */
INLINE uint64_t heap_least(const struct eventq_item *items, uint64_t first, uint64_t last, uint64_t ways)
{
    if (ways == 4 && last - first == 4) {
        return heap_less(items, heap_less(items, first, first + 1), heap_less(items, first + 2, first + 3));
    }
    uint64_t least = first;
    for (uint64_t i = first + 1; i < last; i++) {
        least = heap_less(items, least, i);
    }
    return least;
}

INLINE struct eventq_item heap_pop(struct heap *heap, uint64_t ways)
{
    struct eventq_item top = heap->items[0], item = heap->items[--heap->count];
    uint64_t at = 0, count = heap->count;
    for (uint64_t first; (first = ways * at + 1) < count;) {
        uint64_t last = first + ways < count ? first + ways : count;
        uint64_t child = heap_least(heap->items, first, last, ways);
        if (eventq_key(heap->items[child]) >= eventq_key(item)) {
            break;
        }
        heap->items[at] = heap->items[child];
        at = child;
    }
    heap->items[at] = item;
    return top;
}

INLINE void binary_push(void *state, struct eventq_item item)
{
    heap_push(state, item, 2);
}

INLINE struct eventq_item binary_pop(void *state)
{
    return heap_pop(state, 2);
}

INLINE void quad_push(void *state, struct eventq_item item)
{
    heap_push(state, item, 4);
}

INLINE struct eventq_item quad_pop(void *state)
{
    return heap_pop(state, 4);
}

/* tsearch compares its first argument, the key looked for, with keys in the tree. A probe goes left of all of
 * them and remembers the last: the first in order. */
struct tree_key {
    struct eventq_item item;
    struct tree_key *last_seen;
    bool is_probe;
};

struct tree {
    void *root;
    struct tree_key *keys;
    uint64_t key_count;
    struct tree_key *spare; /* of the item taken last */
};

static int tree_compare(const void *left, const void *right)
{
    struct tree_key *a = (struct tree_key *)(uintptr_t)left, *b = (struct tree_key *)(uintptr_t)right;
    if (a->is_probe) {
        a->last_seen = b;
        return -1;
    }
    unsigned __int128 key_a = eventq_key(a->item), key_b = eventq_key(b->item);
    return key_a < key_b ? -1 : key_a > key_b;
}

static void *tree_new(struct arena *arena, uint64_t pending, enum simd_body simd)
{
    (void)simd;
    struct tree *tree = arena_one(arena, struct tree);
    tree->keys = arena_array(arena, pending, struct tree_key);
    return tree;
}

INLINE void tree_push(void *state, struct eventq_item item)
{
    struct tree *tree = state;
    struct tree_key *key = tree->spare != NULL ? tree->spare : &tree->keys[tree->key_count++];
    tree->spare = NULL;
    key->item = item;
    tsearch(key, &tree->root, tree_compare);
}

INLINE struct eventq_item tree_pop(void *state)
{
    struct tree *tree = state;
    struct tree_key probe = {.is_probe = true};
    tfind(&probe, &tree->root, tree_compare);
    tree->spare = probe.last_seen;
    tdelete(probe.last_seen, &tree->root, tree_compare);
    return tree->spare->item;
}

static void tree_key_keep(void *key)
{
    (void)key; /* lies in the arena */
}

static void tree_free(void *state)
{
    tdestroy(((struct tree *)state)->root, tree_key_keep);
}

/* No queue at all: the cost of the loop, which every other row contains. */
INLINE void none_push(void *state, struct eventq_item item)
{
    *(struct eventq_item *)state = item;
}

INLINE struct eventq_item none_pop(void *state)
{
    return *(struct eventq_item *)state;
}

static void *none_new(struct arena *arena, uint64_t pending, enum simd_body simd)
{
    (void)pending, (void)simd;
    return arena_one(arena, struct eventq_item);
}

#define STRUCTURE_HOLD(name_)                                                                                 \
    static void name_##_hold(struct set *set, const struct load *load, uint64_t count)                        \
    {                                                                                                         \
        hold_run(set, load, count, name_##_pop, name_##_push);                                                \
    }
STRUCTURE_HOLD(queue)
STRUCTURE_HOLD(binary)
STRUCTURE_HOLD(quad)
STRUCTURE_HOLD(tree)
STRUCTURE_HOLD(none)

static const struct structure queue_structure = {"eventq", queue_new, queue_push, queue_hold, NULL};
static const struct structure yardsticks[] = {
    {"binary_heap", heap_new, binary_push, binary_hold, NULL},
    {"4ary_heap", heap_new, quad_push, quad_hold, NULL},
    {"tsearch", tree_new, tree_push, tree_hold, tree_free},
    {"loop_alone", none_new, none_push, none_hold, NULL},
};
enum { YARDSTICK_COUNT = sizeof yardsticks / sizeof yardsticks[0], SETS_MAX = YARDSTICK_COUNT + SIMD_BODY_COUNT };

/* ---- measuring -------------------------------------------------------------------------------------------------- */

static int double_compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

double bench_median(double *samples, uint32_t count)
{
    qsort(samples, count, sizeof *samples, double_compare);
    return samples[count / 2];
}

static void set_start(struct set *set, const struct structure *structure, enum simd_body simd,
                      const struct load *load, uint64_t pending)
{
    *set = (struct set){.structure = structure, .simd = simd, .arena = arena_new("bench queue")};
    set->state = structure->new(set->arena, pending, simd);
    for (uint64_t i = 0; i < pending; i++) {
        structure->push(set->state, (struct eventq_item){residual_ps(load, i), i});
    }
    structure->hold(set, load, pending + ROUND_HOLDS / 10);
}

static void set_end(struct set *set)
{
    if (set->structure->free != NULL) {
        set->structure->free(set->state);
    }
    arena_free(set->arena);
}

static json_t *row_new(const char *load, uint64_t pending, const char *structure, const char *simd,
                       double *samples_ns, uint32_t count, uint64_t digest)
{
    double median_ns = bench_median(samples_ns, count);
    char text[17];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)digest);
    return json_pack("{s:s, s:I, s:s, s:s, s:f, s:f, s:s}", "case", load, "pending", (json_int_t)pending,
                     "structure", structure, "simd", simd, "ns_per_hold", median_ns, "ns_per_hold_min", samples_ns[0],
                     "digest", text);
}

/* All structures at one size; their rounds are interleaved, so that a disturbance meets all of them. */
static void size_measure(const struct bench_request *request, const struct load *load, uint64_t pending, json_t *rows)
{
    struct set sets[SETS_MAX];
    uint32_t count = 0;
    for (enum simd_body body = SIMD_BODY_COUNT; body-- > 0;) {
        if (request->is_simd_given ? body == request->simd : simd_is_supported(body)) {
            set_start(&sets[count++], &queue_structure, body, load, pending);
        }
    }
    for (uint32_t i = 0; i < YARDSTICK_COUNT; i++) {
        set_start(&sets[count++], &yardsticks[i], SIMD_SCALAR, load, pending);
    }
    for (uint32_t round = 0; round < request->round_count; round++) {
        for (uint32_t i = 0; i < count; i++) {
            double start_ns = bench_thread_ns();
            sets[i].structure->hold(&sets[i], load, ROUND_HOLDS);
            sets[i].ns_per_hold[round] = (bench_thread_ns() - start_ns) / ROUND_HOLDS;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        bool is_queue = sets[i].structure == &queue_structure, is_set = sets[i].structure->push != none_push;
        assert(!is_set || sets[i].digest == sets[0].digest);
        json_array_append_new(rows, row_new(load->name, pending, sets[i].structure->name,
                                            is_queue ? simd_name(sets[i].simd) : "none", sets[i].ns_per_hold,
                                            request->round_count, sets[i].digest));
        set_end(&sets[i]);
    }
}

/* A walk through all lines of 64 MiB in one random cycle: each load waits for the one before. */
static json_t *latency_measure(const struct bench_request *request)
{
    struct arena *arena = arena_new("latency probe");
    const uint32_t line_count = PROBE_BYTES / LINE_BYTES, stride = LINE_BYTES / sizeof(uint32_t);
    uint32_t *next = arena_array(arena, (size_t)line_count * stride, uint32_t);
    for (uint32_t i = 0; i < line_count; i++) {
        next[i * stride] = i;
    }
    for (uint32_t i = line_count - 1; i > 0; i--) { /* Sattolo 1986: a permutation of one cycle */
        uint32_t j = rng_below(rng_draw(3, 0, i), i), swap = next[i * stride];
        next[i * stride] = next[j * stride];
        next[j * stride] = swap;
    }
    double samples_ns[ROUNDS_MAX];
    uint32_t at = 0;
    for (uint32_t round = 0; round < request->round_count; round++) {
        double start_ns = bench_thread_ns();
        for (uint32_t i = 0; i < line_count / 2; i++) {
            at = next[at * stride];
        }
        samples_ns[round] = (bench_thread_ns() - start_ns) / (line_count / 2);
    }
    json_t *row = row_new("memory", line_count, "dependent_loads_64MiB", "none", samples_ns, request->round_count, at);
    arena_free(arena);
    return row;
}

json_t *bench_queue(const struct bench_request *request)
{
    json_t *rows = json_array();
    assert(request->round_count >= 1 && request->round_count <= ROUNDS_MAX);
    struct load loads[2] = {{0}};
    load_init(&loads[0], "network", network_quantile);
    load_init(&loads[1], "exponential", exponential_quantile);
    for (uint32_t i = 0; i < sizeof loads / sizeof loads[0]; i++) {
        for (uint64_t pending = 1000; pending <= 1000000 && request->pending == 0; pending *= 10) {
            size_measure(request, &loads[i], pending, rows);
        }
        if (request->pending > 0) {
            size_measure(request, &loads[i], request->pending, rows);
        }
    }
    json_array_append_new(rows, latency_measure(request));
    return rows;
}
