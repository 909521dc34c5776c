/* The event queue against a sorted array, on random operations, with every body that this machine runs (the NEON
 * text in plain vectors too).
 *
 * Asserted: items come out by (time, payload), equal ones all of them; bounds, peeks, floors, counts and visits; times up to
 * 2^63; pushes before a time that was looked at; buckets of 10^5 items and of one time; that memory is used again;
 * and that a queue with one wrong tie does not pass. Not asserted: speed (see `photonet bench queue`). */
#include "netsim/base/rng.h"
#include "netsim/engine/eventq.h"
#include "photonet/units.h"
#include "tests/check.h"

/* ---- the reference ---------------------------------------------------------------------------------------------- */

struct sorted {
    struct arena *arena;
    struct eventq_item *items; /* last to first, so that taking the first is cheap */
    size_t count, capacity;
};

static void sorted_push(struct sorted *sorted, struct eventq_item item)
{
    vec_push(sorted->arena, sorted->items, sorted->count, sorted->capacity) = item;
    size_t at = sorted->count - 1;
    for (; at > 0 && eventq_key(sorted->items[at - 1]) < eventq_key(item); at--) {
        sorted->items[at] = sorted->items[at - 1];
    }
    sorted->items[at] = item;
}

static uint64_t sorted_first_ps(const struct sorted *sorted)
{
    return sorted->count > 0 ? sorted->items[sorted->count - 1].time_ps : TIME_NEVER_PS;
}

/* ---- random operations ------------------------------------------------------------------------------------------ */

enum { DELAY_KINDS = 7, PAYLOAD_KINDS = 4, BURST = 64 };

struct game {
    struct eventq *q;
    struct sorted sorted;
    uint64_t seed, draw_count;
    uint64_t now_ps;
    uint64_t error_count, digest;
    uint32_t delay_kind, payload_kind;
};

static uint64_t draw(struct game *game)
{
    return rng_draw(game->seed, 0, game->draw_count++);
}

static uint64_t delay_draw(struct game *game)
{
    uint64_t any = draw(game), much = draw(game);
    switch (game->delay_kind) {
    case 0: /* packets */
        return any % 10 < 4 ? 81920 : any % 10 < 8 ? 581920 : 1000000 + much % 19000000;
    case 1: /* dense, with many equal times */
        return any % 50;
    case 2: /* clumps */
        return (any % 8) * 1000000;
    case 3: /* any power of two, up to the whole range */
        return much >> (1 + any % 63);
    case 4: /* no delay at all, now and then some */
        return any % 100 == 0 ? much % 100000 : 0;
    case 5: /* a crowd and a few far away */
        return any % 20 == 0 ? much % (UINT64_C(1) << 50) : much % 3000;
    default: /* sparse */
        return much % (UINT64_C(1) << 44);
    }
}

static uint64_t payload_draw(struct game *game)
{
    uint64_t any = draw(game);
    switch (game->payload_kind) {
    case 0:
        return any % 3; /* equal items */
    case 1:
        return any % 100000;
    case 2:
        return (any % 1000) << 32 | (any >> 32) % 1000; /* node, argument */
    default:
        return any;
    }
}

static void game_push(struct game *game)
{
    const uint64_t limit_ps = UINT64_C(1) << 63;
    uint64_t delay_ps = delay_draw(game);
    uint64_t time_ps = delay_ps < limit_ps - game->now_ps ? game->now_ps + delay_ps : limit_ps - 1;
    struct eventq_item item = {time_ps, payload_draw(game)};
    eventq_push(game->q, item.time_ps, item.payload);
    sorted_push(&game->sorted, item);
}

/* `item` came out of the queue before bound_ps. */
static void item_check(struct game *game, struct eventq_item item, uint64_t bound_ps)
{
    struct sorted *sorted = &game->sorted;
    if (sorted->count == 0 || eventq_key(sorted->items[sorted->count - 1]) != eventq_key(item) ||
        item.time_ps >= bound_ps) {
        game->error_count++;
    }
    sorted->count -= sorted->count > 0;
    game->now_ps = item.time_ps;
    game->digest = rng_mix(game->digest ^ rng_mix(item.time_ps) ^ item.payload);
}

static void game_pop(struct game *game)
{
    struct eventq_item item;
    if (eventq_pop(game->q, &item)) {
        item_check(game, item, TIME_NEVER_PS);
    } else {
        game->error_count += game->sorted.count > 0;
    }
}

static void game_pop_until(struct game *game)
{
    struct eventq_item items[BURST];
    uint64_t bound_ps = game->now_ps + delay_draw(game);
    size_t wanted = draw(game) % BURST, count = eventq_pop_until(game->q, bound_ps, items, wanted);
    for (size_t i = 0; i < count; i++) {
        item_check(game, items[i], bound_ps);
    }
    if (count < wanted) {
        game->error_count += sorted_first_ps(&game->sorted) < bound_ps;
    }
}

static void item_sum(void *sum, const struct eventq_item *item)
{
    *(uint64_t *)sum += rng_mix(rng_mix(item->time_ps) ^ item->payload);
}

static bool is_all_visited(const struct game *game)
{
    uint64_t visited = 0, pending = 0;
    eventq_visit(game->q, item_sum, &visited);
    for (size_t i = 0; i < game->sorted.count; i++) {
        item_sum(&pending, &game->sorted.items[i]);
    }
    return visited == pending;
}

static void game_look(struct game *game)
{
    game->error_count += !is_all_visited(game);
    uint64_t first_ps = sorted_first_ps(&game->sorted);
    game->error_count += eventq_floor_ps(game->q) > first_ps;
    game->error_count += eventq_count(game->q) != game->sorted.count;
    game->error_count += eventq_is_empty(game->q) != (game->sorted.count == 0);
    if (draw(game) % 2 == 0) {
        game->error_count += eventq_peek_ps(game->q) != first_ps;
        game->error_count += eventq_floor_ps(game->q) != first_ps;
    }
}

static void game_step(struct game *game, uint32_t push_share)
{
    uint64_t choice = draw(game) % 100;
    if (choice < push_share) {
        game_push(game);
    } else if (choice < 96) {
        game_pop(game);
    } else if (choice < 98) {
        game_pop_until(game);
    } else {
        game_look(game);
    }
}

/* Grows, holds, shrinks to nothing, several times over with changing delays; on an error fewer would do. */
static void game_play(struct game *game, uint64_t steps)
{
    for (uint64_t i = 0; i < steps && game->error_count == 0; i++) {
        if (i % 997 == 0) {
            game->delay_kind = (uint32_t)(draw(game) % DELAY_KINDS);
            game->payload_kind = (uint32_t)(draw(game) % PAYLOAD_KINDS);
        }
        static const uint32_t push_shares[] = {80, 49, 49, 30};
        game_step(game, push_shares[i / 1500 % 4]);
    }
    while (game->sorted.count > 0 && game->error_count == 0) {
        game_pop(game);
    }
    game_look(game);
}

static struct game game_new(struct arena *arena, enum simd_body body, uint64_t seed)
{
    struct game game = {.q = eventq_new(arena, body), .sorted = {.arena = arena}, .seed = seed};
    return game;
}

static bool is_runnable(enum simd_body body)
{
    return body == SIMD_NEON || simd_is_supported(body);
}

static void test_random(void)
{
    uint64_t seed = test_seed();
    for (uint64_t round = 0; round < 12; round++) {
        uint64_t digest = 0;
        for (enum simd_body body = 0; body < SIMD_BODY_COUNT; body++) {
            if (!is_runnable(body)) {
                continue;
            }
            struct arena *arena = arena_new("test");
            struct game game = game_new(arena, body, rng_mix(seed + round));
            game_play(&game, 24000);
            if (game.error_count > 0) {
                printf(" round %" PRIu64 " body %s draw %" PRIu64 " ...", round, simd_name(body), game.draw_count);
            }
            CHECK_EQUAL(game.error_count, 0);
            CHECK_EQUAL(game.digest, body == 0 ? game.digest : digest);
            digest = game.digest;
            arena_free(arena);
        }
    }
}

/* One pair of equal times in the wrong order must be seen. */
static void test_fault_is_found(void)
{
    uint64_t seed = test_seed();
    for (enum simd_body body = 0; body < SIMD_BODY_COUNT; body++) {
        for (uint32_t is_faulty = 0; is_faulty < 2 && is_runnable(body); is_faulty++) {
            struct arena *arena = arena_new("test");
            struct game game = game_new(arena, body, seed);
            game.delay_kind = game.payload_kind = 1;
            for (uint32_t i = 0; i < 1000; i++) {
                game_push(&game);
            }
            if (is_faulty) {
                eventq_fault(game.q);
            }
            for (uint32_t i = 0; i < 1000; i++) {
                game_pop(&game);
            }
            CHECK_EQUAL(game.error_count > 0, is_faulty);
            arena_free(arena);
        }
    }
}

/* ---- shapes that chance does not make --------------------------------------------------------------------------- */

/* Pushes all, pops all: order by key, nothing lost. */
static void crowd_check(enum simd_body body, uint64_t count, uint64_t step_ps, uint64_t spread_ps, uint64_t payloads)
{
    struct arena *arena = arena_new("test");
    struct eventq *q = eventq_new(arena, body);
    uint64_t sum_in = 0, sum_out = 0, disorder = 0, taken = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t time_ps = 1000000 + i * step_ps + (spread_ps > 0 ? rng_draw(7, 1, i) % spread_ps : 0);
        uint64_t payload = rng_draw(7, 2, i) % payloads;
        sum_in += rng_mix(time_ps ^ rng_mix(payload));
        eventq_push(q, time_ps, payload);
    }
    CHECK_EQUAL(eventq_count(q), count);
    struct eventq_item item, last = {0, 0};
    for (; eventq_pop(q, &item); last = item) {
        disorder += eventq_key(item) < eventq_key(last);
        sum_out += rng_mix(item.time_ps ^ rng_mix(item.payload));
        taken++;
    }
    CHECK_EQUAL(taken, count);
    CHECK_EQUAL(disorder, 0);
    CHECK_EQUAL(sum_out, sum_in);
    CHECK(eventq_is_empty(q));
    arena_free(arena);
}

static void test_crowds(void)
{
    for (enum simd_body body = 0; body < SIMD_BODY_COUNT; body++) {
        if (!is_runnable(body)) {
            continue;
        }
        crowd_check(body, 100000, 0, 0, UINT64_MAX);      /* one time */
        crowd_check(body, 20000, 0, 0, 2);                /* one time, two payloads */
        crowd_check(body, 100000, 0, 1000, 1000000);      /* 100 at each time */
        crowd_check(body, 100000, 0, 100000000, 1000000); /* spread */
        crowd_check(body, 100000, 13, 0, 1);              /* already in order */
        crowd_check(body, 3000, UINT64_C(1) << 51, UINT64_C(1) << 51, 10);
    }
}

/* A crowd pushed behind the current bucket: the heap, and the narrowing that empties it. */
static void test_pushed_late(void)
{
    for (enum simd_body body = 0; body < SIMD_BODY_COUNT; body++) {
        if (!is_runnable(body)) {
            continue;
        }
        struct arena *arena = arena_new("test");
        struct game game = game_new(arena, body, 5);
        eventq_push(game.q, PS_PER_S, 1);
        sorted_push(&game.sorted, (struct eventq_item){PS_PER_S, 1});
        for (game.delay_kind = 0; game.delay_kind < DELAY_KINDS; game.delay_kind++) {
            CHECK_EQUAL(eventq_peek_ps(game.q), sorted_first_ps(&game.sorted));
            for (uint32_t i = 0; i < 1000; i++) {
                game.payload_kind = i % PAYLOAD_KINDS;
                game_push(&game);
            }
            for (uint32_t i = 0; i < 500; i++) {
                game_pop(&game);
            }
        }
        while (game.sorted.count > 0) {
            game_pop(&game);
        }
        CHECK_EQUAL(game.error_count, 0);
        arena_free(arena);
    }
}

static void test_empty(void)
{
    struct arena *arena = arena_new("test");
    struct eventq *q = eventq_new(arena, simd_detect());
    struct eventq_item item = {0, 0};
    CHECK(eventq_is_empty(q));
    CHECK_EQUAL(eventq_count(q), 0);
    CHECK_EQUAL(eventq_peek_ps(q), TIME_NEVER_PS);
    CHECK_EQUAL(eventq_floor_ps(q), TIME_NEVER_PS);
    CHECK(!eventq_pop(q, &item));
    eventq_push(q, 500, 9);
    CHECK(!eventq_pop_before(q, 500, &item));
    CHECK(eventq_pop_before(q, 501, &item));
    CHECK_EQUAL(item.time_ps, 500);
    CHECK_EQUAL(item.payload, 9);
    CHECK(eventq_is_empty(q));
    uint64_t last_ps = (UINT64_C(1) << 63) - 1;
    eventq_push(q, last_ps, 1);
    eventq_push(q, last_ps - 1, 2);
    CHECK_EQUAL(eventq_peek_ps(q), last_ps - 1);
    CHECK(eventq_pop(q, &item) && item.payload == 2);
    CHECK(eventq_pop(q, &item) && item.payload == 1 && item.time_ps == last_ps);
    arena_free(arena);
}

/* A steady load takes no more memory, however long it runs. */
static void test_memory_is_reused(void)
{
    struct arena *arena = arena_new("test");
    struct game game = game_new(arena, simd_detect(), 11);
    for (uint32_t i = 0; i < 1000; i++) {
        eventq_push(game.q, delay_draw(&game), i);
    }
    size_t used_bytes = 0;
    for (uint32_t i = 0; i < 2000000; i++) {
        struct eventq_item item;
        if (!eventq_pop(game.q, &item)) {
            CHECK(false);
            break;
        }
        eventq_push(game.q, item.time_ps + delay_draw(&game), item.payload);
        if (i == 1000000) {
            used_bytes = arena_used_bytes(arena);
        }
    }
    CHECK_EQUAL(eventq_count(game.q), 1000);
    CHECK_EQUAL(arena_used_bytes(arena), used_bytes);
    arena_free(arena);
}

static void test_simd_names(void)
{
    struct diag diag = {{0}};
    enum simd_body body = SIMD_BODY_COUNT;
    CHECK_EQUAL(simd_parse("auto", &body, &diag), STATUS_OK);
    CHECK_EQUAL(body, simd_detect());
    CHECK_EQUAL(simd_parse("scalar", &body, &diag), STATUS_OK);
    CHECK_EQUAL(body, SIMD_SCALAR);
    CHECK_EQUAL(simd_parse("mmx", &body, &diag), STATUS_USAGE);
    CHECK_TEXT(diag.text, "--simd: unknown body \"mmx\"; expected auto scalar neon avx2 avx512");
    for (enum simd_body i = 0; i < SIMD_BODY_COUNT; i++) {
        enum status expected = simd_is_supported(i) ? STATUS_OK : STATUS_USAGE;
        CHECK_EQUAL(simd_parse(simd_name(i), &body, &diag), expected);
    }
}

TEST_MAIN("eventq", TEST(test_random), TEST(test_fault_is_found), TEST(test_crowds), TEST(test_pushed_late),
          TEST(test_empty), TEST(test_memory_is_reused), TEST(test_simd_names))
