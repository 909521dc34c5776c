/* Matchings of maximum weight, held against a search through all of them on small random graphs; a ring of odd length,
 * which only blossoms get right, by hand. Not asserted: which of several equal ones. */
#include "netsim/base/rng.h"
#include "netsim/circuit/matching.h"
#include "tests/check.h"

#include <time.h>

static uint64_t best_by_search(uint32_t count, const uint64_t *weight, uint32_t used)
{
    uint32_t first = 0;
    while (first < count && (used >> first & 1)) {
        first++;
    }
    if (first >= count) {
        return 0;
    }
    uint64_t best = best_by_search(count, weight, used | 1u << first);
    for (uint32_t other = first + 1; other < count; other++) {
        if (!(used >> other & 1) && weight[first * count + other] > 0) {
            uint64_t with = weight[first * count + other] +
                            best_by_search(count, weight, used | 1u << first | 1u << other);
            best = with > best ? with : best;
        }
    }
    return best;
}

static uint64_t weight_of(uint32_t count, const uint64_t *weight, const uint32_t *mate)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (mate[i] != ID_NONE) {
            CHECK(mate[i] < count && mate[mate[i]] == i && mate[i] != i);
            sum += mate[i] > i ? weight[i * count + mate[i]] : 0;
        }
    }
    return sum;
}

static void random_graph(uint64_t seed, uint64_t trial)
{
    struct arena *arena = arena_new("test");
    uint32_t count = 2 + rng_below(rng_draw(seed, trial, 0), 9), edge_count = 0;
    uint32_t density = 1 + rng_below(rng_draw(seed, trial, 1), 4), range = 1 + rng_below(rng_draw(seed, trial, 2), 30);
    uint64_t *weight = arena_array(arena, count * count, uint64_t);
    struct matching_edge *edges = arena_array(arena, count * count, struct matching_edge);
    for (uint32_t i = 0; i < count * count; i++) {
        uint64_t draw = rng_draw(seed, trial, 3 + i);
        if (i / count < i % count && rng_below(draw, 4) < density) {
            weight[i] = 1 + rng_below(rng_mix(draw), range);
            edges[edge_count++] = (struct matching_edge){i / count, i % count, weight[i]};
        }
    }
    const uint32_t *mate = matching_find(count, edges, edge_count, arena);
    CHECK_EQUAL(weight_of(count, weight, mate), best_by_search(count, weight, 0));
    arena_free(arena);
}

static void test_random_graphs(void)
{
    uint64_t seed = test_seed();
    for (uint64_t trial = 0; trial < 4000; trial++) {
        random_graph(seed, trial);
    }
}

/* A pentagon with a tail: 0-1-2-3-4-0 of weight 10, 0-5 of 9. Greedy by weight leaves 5 alone: 20; best is 29. */
static void test_odd_ring(void)
{
    struct arena *arena = arena_new("test");
    const struct matching_edge edges[] = {{0, 1, 10}, {1, 2, 10}, {2, 3, 10}, {3, 4, 10}, {4, 0, 10}, {0, 5, 9}};
    const uint32_t *mate = matching_find(6, edges, 6, arena);
    CHECK_EQUAL(mate[0], 5);
    CHECK_EQUAL(mate[1], 2);
    CHECK_EQUAL(mate[3], 4);
    arena_free(arena);
}

static void test_none(void)
{
    struct arena *arena = arena_new("test");
    const uint32_t *mate = matching_find(3, NULL, 0, arena);
    CHECK_EQUAL(mate[0], ID_NONE);
    const struct matching_edge light[] = {{0, 1, 0}};
    CHECK_EQUAL(matching_find(2, light, 1, arena)[0], ID_NONE);
    arena_free(arena);
}

/* Complete graphs with large weights end soon, and no vertex is left over. */
static void test_large(void)
{
    struct arena *arena = arena_new("test");
    uint32_t count = 200, edge_count = 0, alone = 0;
    struct matching_edge *edges = arena_array(arena, count * count, struct matching_edge);
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = i + 1; j < count; j++) {
            edges[edge_count++] = (struct matching_edge){i, j, rng_draw(5, i, j) >> 2 | UINT64_C(1) << 62};
        }
    }
    clock_t start = clock();
    const uint32_t *mate = matching_find(count, edges, edge_count, arena);
    for (uint32_t i = 0; i < count; i++) {
        alone += mate[i] == ID_NONE;
    }
    CHECK_EQUAL(alone, 0);
    CHECK((double)(clock() - start) / CLOCKS_PER_SEC < 20);
    arena_free(arena);
}

TEST_MAIN("matching", TEST(test_random_graphs), TEST(test_odd_ring), TEST(test_none), TEST(test_large))
