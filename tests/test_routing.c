/* Asserted: every copy of a token arrives somewhere, and at most top_k of a token's at one expert's rank; shares follow
 * the power law, or the histogram; tokens keep to their groups; draws repeat and differ by seed, layer and number; bad
 * histograms are refused where they are wrong. Not asserted: bytes (test of the generator). */
#include "tests/check.h"

#include "traces/routing.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static struct transformer_shape experts(uint64_t count, uint64_t top_k)
{
    return (struct transformer_shape){.name = "test", .experts = count, .top_k = top_k};
}

static uint64_t *drawn(const struct transformer_shape *shape, uint64_t ep, double zipf, uint64_t seed, uint64_t layer,
                       uint64_t draw, uint64_t tokens, struct arena *arena)
{
    const struct transformer_plan plan = {.ep = ep, .zipf = zipf, .routing_seed = seed};
    const struct popularity measured = {0};
    uint64_t *counts = arena_array(arena, ep * ep, uint64_t);
    routing_draw(shape, &plan, &measured, layer, draw, tokens, arena, counts);
    return counts;
}

static void test_sums(void)
{
    static const uint64_t cases[][4] = {{8, 2, 8, 4096}, {8, 8, 4, 100}, {256, 8, 64, 1}, {16, 1, 2, 5000}, {64, 6, 1, 33}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena *arena = arena_new("test");
        struct transformer_shape shape = experts(cases[i][0], cases[i][1]);
        uint64_t ep = cases[i][2], tokens = cases[i][3], *counts = drawn(&shape, ep, 1.2, 7, 3, 0, tokens, arena);
        for (uint64_t from = 0; from < ep; from++) {
            uint64_t sum = 0;
            for (uint64_t to = 0; to < ep; to++) {
                sum += counts[from * ep + to];
                CHECK(counts[from * ep + to] <= tokens * cases[i][0] / ep); /* an expert takes a token once */
            }
            CHECK_EQUAL(sum, tokens * cases[i][1]);
        }
        arena_free(arena);
    }
}

/* With one expert a token and a rank an expert, shares are the law's. */
static void test_power_law(void)
{
    struct arena *arena = arena_new("test");
    struct transformer_shape shape = experts(8, 1);
    double shares[8] = {0}, sum = 0, sorted;
    uint64_t *counts = drawn(&shape, 8, 1.0, 1, 0, 0, 1024, arena);
    for (int i = 0; i < 64; i++) {
        shares[i % 8] += (double)counts[i] / (8 * 1024);
    }
    for (int i = 0; i < 8; i++) {
        for (int j = i + 1; j < 8; j++) {
            sorted = shares[i] > shares[j] ? shares[i] : shares[j];
            shares[j] = shares[i] > shares[j] ? shares[j] : shares[i];
            shares[i] = sorted;
        }
        sum += 1.0 / (i + 1);
    }
    for (int i = 0; i < 8; i++) {
        CHECK_NEAR(shares[i], 1.0 / (i + 1) / sum, 0.12);
    }
    arena_free(arena);
}

static void test_groups(void)
{
    struct arena *arena = arena_new("test");
    struct transformer_shape shape = experts(64, 4);
    shape.expert_groups = 8;
    shape.groups_per_token = 1;
    /* A rank a group, one group a token: all copies of a token go to one rank. */
    uint64_t *counts = drawn(&shape, 8, 0.5, 1, 0, 0, 500, arena);
    for (int i = 0; i < 64; i++) {
        CHECK_EQUAL(counts[i] % 4, 0);
    }
    arena_free(arena);
}

static void test_draws(void)
{
    struct arena *arena = arena_new("test");
    struct transformer_shape shape = experts(16, 2);
    size_t bytes = 16 * 16 * sizeof(uint64_t);
    const uint64_t *first = drawn(&shape, 16, 1, 1, 0, 0, 300, arena);
    CHECK(memcmp(first, drawn(&shape, 16, 1, 1, 0, 0, 300, arena), bytes) == 0);
    CHECK(memcmp(first, drawn(&shape, 16, 1, 2, 0, 0, 300, arena), bytes) != 0);
    CHECK(memcmp(first, drawn(&shape, 16, 1, 1, 1, 0, 300, arena), bytes) != 0);
    CHECK(memcmp(first, drawn(&shape, 16, 1, 1, 0, 1, 300, arena), bytes) != 0);
    arena_free(arena);
}

static enum status load(const char *text, uint64_t count, struct arena *arena, struct popularity *popularity,
                        struct diag *diag)
{
    char path[] = "/tmp/photonet-histogram-XXXXXX";
    int file = mkstemp(path);
    CHECK(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text));
    close(file);
    diag->text[0] = '\0';
    enum status status = histogram_load(path, count, arena, popularity, diag);
    unlink(path);
    return status;
}

static void test_histogram(void)
{
    struct arena *arena = arena_new("test");
    struct popularity popularity = {0};
    struct diag diag;
    struct transformer_shape shape = experts(4, 1);
    const struct transformer_plan plan = {.ep = 4, .routing_seed = 1};
    uint64_t counts[16];
    CHECK_EQUAL(load("[[0, 0, 0, 9], [3, 1, 0, 0]]\n", 4, arena, &popularity, &diag), STATUS_OK);
    CHECK_EQUAL(popularity.rows, 2);
    routing_draw(&shape, &plan, &popularity, 0, 0, 1000, arena, counts);
    CHECK_EQUAL(counts[3], 1000);
    routing_draw(&shape, &plan, &popularity, 3, 0, 1000, arena, counts); /* rows repeat */
    CHECK_NEAR((double)counts[0], 750, 0.1);
    CHECK_EQUAL(counts[0] + counts[1], 1000);
    CHECK_EQUAL(load("- 1\n- 2\n- 3\n- 4\n", 4, arena, &popularity, &diag), STATUS_OK);
    const struct {
        const char *text, *says;
    } bad[] = {{"[1, 2, 3]", "has 3 numbers; expected 4"},
               {"[1, 2, 3, 4, 5]", "expected 4 numbers"},
               {"[1, 2, x, 4]", ":1:8:"},
               {"[1, 2, -3, 4]", "from 0 to 1e9"},
               {"a: 3", "is no list"},
               {"[]", "is no list"},
               {"[0, 0, 0, 0]", ":1:1: has nothing but zeros; expected an expert that tokens go to"},
               {"- [1, 2, 3, 4]\n- [0, 0.0, 0e3, 0]", ":2:3: has nothing but zeros"},
               {"[[1, 2, 3, 4], 5]", "is no list; expected one a layer"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_EQUAL(load(bad[i].text, 4, arena, &popularity, &diag), STATUS_INPUT);
        CHECK_HOLDS(diag.text, bad[i].says);
    }
    arena_free(arena);
}

/* Weights so small that each draw hits a border between experts: who is drawn, and that nobody behind the last one is. */
static void test_borders(void)
{
    struct arena *arena = arena_new("test");
    struct transformer_shape shape = experts(4, 1);
    const struct transformer_plan plan = {.ep = 4, .routing_seed = 5};
    /* A row for each of two layers, and what memory holds behind them. */
    static const uint64_t weight[] = {1, 1, 1, 1, 3, 1, 0, 0, UINT64_C(1) << 40, 0, 0, 0};
    const struct popularity popularity = {4, 2, weight};
    for (uint64_t layer = 0; layer < 5; layer++) {
        uint64_t counts[17] = {[16] = 77}, to[4] = {0};
        routing_draw(&shape, &plan, &popularity, layer, 0, 1000, arena, counts);
        for (int i = 0; i < 16; i++) {
            to[i % 4] += counts[i];
        }
        CHECK_EQUAL(counts[16], 77);
        CHECK_EQUAL(to[0] + to[1] + to[2] + to[3], 4000);
        for (int i = 0; i < 4; i++) {
            double share = layer % 2 == 0 ? 0.25 : i == 0 ? 0.75 : i == 1 ? 0.25 : 0;
            CHECK(fabs((double)to[i] / 4000 - share) < 0.03); /* four standard errors */
        }
    }
    /* Who has two of three, in threes of a rank each: experts 2 and 3 stand on either side of a rank's border. */
    shape = experts(6, 1);
    const struct transformer_plan halves = {.ep = 2, .routing_seed = 5};
    static const uint64_t one[] = {0, 0, 1, 1, 0, 0, 99};
    const struct popularity middle = {6, 1, one};
    uint64_t counts[4];
    routing_draw(&shape, &halves, &middle, 0, 0, 1000, arena, counts);
    CHECK_EQUAL(counts[0] + counts[1], 1000);
    CHECK(counts[0] > 440 && counts[0] < 560 && counts[2] > 440 && counts[2] < 560);
    /* Everybody is chosen where there are as many as a token wants; the last one too. */
    shape = experts(5, 5);
    const struct transformer_plan all = {.ep = 5, .routing_seed = 5};
    static const uint64_t steep[] = {UINT64_C(1) << 40, 1, 1, 1, 1, 0};
    const struct popularity cliff = {5, 1, steep};
    uint64_t each[25];
    routing_draw(&shape, &all, &cliff, 0, 0, 300, arena, each);
    for (int i = 0; i < 25; i++) {
        CHECK_EQUAL(each[i], 300);
    }
    /* A group more than a token may take: four of its experts come from two groups of two. */
    shape = experts(8, 4);
    shape.expert_groups = 4;
    shape.groups_per_token = 2;
    uint64_t *groups = drawn(&shape, 4, 0, 1, 0, 0, 1, arena);
    for (int from = 0; from < 4; from++) {
        uint64_t taken = 0;
        for (int group = 0; group < 4; group++) {
            taken += groups[4 * from + group] > 0;
            CHECK(groups[4 * from + group] == 0 || groups[4 * from + group] == 2);
        }
        CHECK_EQUAL(taken, 2);
    }
    arena_free(arena);
}

/* Popularity without mercy: the rest of a token's experts are still found. */
static void test_extreme(void)
{
    struct arena *arena = arena_new("test");
    struct popularity popularity = {0};
    struct diag diag;
    struct transformer_shape shape = experts(4, 3);
    const struct transformer_plan plan = {.ep = 4, .routing_seed = 1};
    uint64_t counts[16];
    CHECK_EQUAL(load("[1e9, 0, 0, 0]", 4, arena, &popularity, &diag), STATUS_OK);
    routing_draw(&shape, &plan, &popularity, 0, 0, 200, arena, counts);
    CHECK_EQUAL(counts[0], 200);
    CHECK_EQUAL(counts[1] + counts[2] + counts[3], 400);
    arena_free(arena);
}

TEST_MAIN("routing", TEST(test_sums), TEST(test_power_law), TEST(test_groups), TEST(test_draws), TEST(test_histogram), TEST(test_borders),
          TEST(test_extreme))
