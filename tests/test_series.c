/* Link use over time: what the samples of a run of any length hold. Asserted: intervals double, bytes of an interval are those
 * that the engine told, also beyond 32 bits, and what is dropped at the end is in the last interval. Not asserted: the file
 * (tests/test_results.c, tests/test_run.c). */
#include "netsim/series.h"
#include "tests/check.h"

#define PORTS 3

struct steady { /* sends at the rate of each port */
    struct engine base;
    const struct fabric *fabric;
    uint64_t now_ps;
};

static void sent_bytes(const struct engine *engine, uint64_t *bytes)
{
    const struct steady *steady = (const struct steady *)engine;
    for (uint32_t port = 0; port < PORTS; port++) {
        bytes[port] = line_bytes(steady->now_ps, steady->fabric->rate_bps[port]);
    }
}

struct scene {
    struct engine_class class;
    struct fabric fabric;
    struct steady steady;
    struct sim sim;
    struct series series;
    uint64_t rates_bps[PORTS];
};

static struct scene *scene_new(struct arena *arena)
{
    struct scene *scene = arena_one(arena, struct scene);
    const uint64_t rates_bps[PORTS] = {UINT64_C(8000000000), UINT64_C(400000000000), 0};
    memcpy(scene->rates_bps, rates_bps, sizeof rates_bps);
    scene->class.sent_bytes = sent_bytes;
    scene->fabric.port_count = PORTS;
    scene->fabric.rate_bps = scene->rates_bps;
    scene->steady.base.class = &scene->class;
    scene->steady.fabric = &scene->fabric;
    scene->sim.fabric = &scene->fabric;
    scene->sim.engine = &scene->steady.base;
    series_init(&scene->series, &scene->sim, arena);
    return scene;
}

static void scene_run(struct scene *scene, uint64_t end_ps)
{
    while (scene->series.next_ps < end_ps) {
        scene->steady.now_ps = scene->series.next_ps + 1;
        series_sample(&scene->series);
    }
}

static void check_samples(const struct scene *scene)
{
    const struct series *series = &scene->series;
    for (size_t i = 0; i < series->count; i++) {
        for (uint32_t port = 0; port < PORTS; port++) {
            uint64_t want = line_bytes(series->interval_ps, scene->rates_bps[port]);
            CHECK_EQUAL((uint64_t)series->bytes[i * PORTS + port] << series->shift, want >> series->shift << series->shift);
        }
    }
}

static void test_intervals_double(void)
{
    struct arena *arena = arena_new("test");
    struct scene *scene = scene_new(arena);
    scene_run(scene, 200 * PS_PER_US + 1);
    CHECK(scene->series.count == 200 && scene->series.interval_ps == PS_PER_US && scene->series.shift == 0);
    check_samples(scene);
    scene_run(scene, 1000 * PS_PER_US + 1);
    CHECK(scene->series.count == 250 && scene->series.interval_ps == 4 * PS_PER_US && scene->series.shift == 0);
    check_samples(scene);
    arena_free(arena);
}

/* 0.13 s of 400 Gbit/s are 6.5 GB. */
static void test_intervals_of_more_than_32_bits(void)
{
    struct arena *arena = arena_new("test");
    struct scene *scene = scene_new(arena);
    scene_run(scene, 30 * PS_PER_S);
    CHECK(scene->series.interval_ps == UINT64_C(131072) * PS_PER_US && scene->series.shift == 2);
    CHECK(line_bytes(scene->series.interval_ps, scene->rates_bps[1]) > UINT32_MAX);
    check_samples(scene);
    arena_free(arena);
}

TEST_MAIN("series", TEST(test_intervals_double), TEST(test_intervals_of_more_than_32_bits))
