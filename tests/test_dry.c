/* The walk of a job without a network. Asserted: pairs that both receive first, circles of receives and collectives, of
 * collectives in another order, and of a broadcast's root are found, with ranks and operations named in the order of the
 * circle; on random jobs it says what a replay over a network says; every generator's step can end; `trace validate` ends with
 * status 3. Not asserted: deadlocks of buffers in the network, which it does not see.
 * The random jobs print their seed. */
#include "netsim/replay/dry.h"

#include "netsim/base/rng.h"
#include "tests/check.h"
#include "tests/support_run.h"

static const struct origin at = {"test", 0, 0};

static const char *program(void)
{
    const char *given = getenv("PHOTONET");
    return given != NULL ? given : "build/photonet";
}

/* ---- jobs by hand ----------------------------------------------------------------------------------------- */

static uint32_t op_add(struct job_builder *builder, struct op op, uint32_t after)
{
    uint32_t id = job_builder_op(builder, &op);
    if (after != ID_NONE) {
        job_builder_dep(builder, id, after);
    }
    return id;
}

static struct op message(enum op_kind kind, uint32_t peer, uint64_t source_id, const char *name)
{
    return (struct op){.kind = kind, .peer = peer, .bytes = 1000, .tag = 1, .stream = STREAM_NONE, .source_id = source_id, .name = name};
}

static const struct job *job_end(struct job_builder *builder)
{
    struct diag diag = {""};
    const struct job *job = NULL;
    CHECK_EQUAL(job_builder_finish(builder, &job, &diag), STATUS_OK);
    CHECK_TEXT(diag.text, "");
    return job;
}

static void rank_end(struct job_builder *builder)
{
    struct diag diag = {""};
    CHECK_EQUAL(job_builder_rank_end(builder, "test", &diag), STATUS_OK);
}

/* Each of n ranks sends to the next one and receives from the one before; `first` of them receive first. */
static const struct job *ring(struct arena *arena, uint32_t ranks, uint32_t first)
{
    struct job_builder *builder = job_builder_new(arena, "ring", "test", ranks);
    for (uint32_t rank = 0; rank < ranks; rank++) {
        job_builder_rank(builder, rank);
        struct op give = message(OP_SEND, (rank + 1) % ranks, 7, "give"), take = message(OP_RECV, (rank + ranks - 1) % ranks, 5, "take");
        op_add(builder, rank < first ? give : take, op_add(builder, rank < first ? take : give, ID_NONE));
        rank_end(builder);
    }
    return job_end(builder);
}

static void test_both_receive_first(void)
{
    struct arena *arena = arena_new("test");
    struct dry_result result;
    CHECK(dry_run(ring(arena, 2, 2), arena, &result));
    CHECK_EQUAL(result.ops, 4);
    CHECK_EQUAL(result.done, 0);
    CHECK_EQUAL(result.circle, 2);
    CHECK_TEXT(result.text, "  rank 0: recv 5 \"take\" waits for send 7 \"give\" of rank 1, which comes after\n"
                            "  rank 1: recv 5 \"take\" waits for send 7 \"give\" of rank 0, which comes after the first\n");
    CHECK(dry_run(ring(arena, 2, 1), arena, &result));
    CHECK_EQUAL(result.done, 4);
    CHECK_TEXT(result.text, "");
    for (uint32_t first = 0; first <= 40; first++) {
        CHECK(dry_run(ring(arena, 40, first), arena, &result));
        CHECK_EQUAL(result.done, first == 40 ? 0 : 80);
    }
    CHECK_EQUAL(result.circle, 40);
    CHECK_HOLDS(result.text, "  and so on, 40 in all, back to the first\n");
    arena_free(arena);
}

/* Two ranks and two groups of both, whose collectives they start in another order. */
static void test_collectives_crossed(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag = {""};
    struct job_builder *builder = job_builder_new(arena, "crossed", "test", 2);
    static const uint32_t members[] = {0, 1};
    uint32_t groups[2];
    CHECK_EQUAL(job_builder_group(builder, "tp", members, 2, at, &groups[0], &diag), STATUS_OK);
    CHECK_EQUAL(job_builder_group(builder, "dp", members, 2, at, &groups[1], &diag), STATUS_OK);
    for (uint32_t rank = 0; rank < 2; rank++) {
        job_builder_rank(builder, rank);
        uint32_t last = ID_NONE;
        for (uint32_t i = 0; i < 2; i++) {
            uint32_t slot = job_builder_slot(builder, rank, groups[i ^ rank]);
            last = op_add(builder, (struct op){.kind = OP_COLLECTIVE, .collective = COLLECTIVE_ALL_REDUCE, .bytes = 1000,
                                               .source_id = 10 + (i ^ rank), .name = (i ^ rank) == 0 ? "one" : "other", .group_slot = slot}, last);
        }
        rank_end(builder);
    }
    struct dry_result result;
    CHECK(dry_run(job_end(builder), arena, &result));
    CHECK_EQUAL(result.done, 0);
    CHECK_TEXT(result.text,
               "  rank 0: all_reduce 10 \"one\" (call 0 of group \"tp\") waits for all_reduce 10 \"one\" (call 0 of group \"tp\") of rank 1, "
               "which comes after\n"
               "  rank 1: all_reduce 11 \"other\" (call 0 of group \"dp\") waits for all_reduce 11 \"other\" (call 0 of group \"dp\") of rank 0, "
               "which comes after the first\n");
    arena_free(arena);
}

/* A broadcast's root waits for nobody and the others for it; of a reduce it is the other way round. */
static void rooted(enum collective_kind kind, bool root_receives_first, bool can_end)
{
    struct arena *arena = arena_new("test");
    struct diag diag = {""};
    struct job_builder *builder = job_builder_new(arena, "rooted", "test", 3);
    static const uint32_t members[] = {0, 1, 2};
    uint32_t group;
    CHECK_EQUAL(job_builder_group(builder, "all", members, 3, at, &group, &diag), STATUS_OK);
    for (uint32_t rank = 0; rank < 3; rank++) {
        job_builder_rank(builder, rank);
        struct op call = {.kind = OP_COLLECTIVE, .collective = kind, .bytes = 1000, .root = 1, .source_id = 3, .name = "call",
                          .group_slot = job_builder_slot(builder, rank, group)};
        uint32_t last = ID_NONE;
        if (rank == 1 && root_receives_first) { /* a message that rank 2 sends behind its call */
            last = op_add(builder, message(OP_RECV, 2, 5, "take"), last);
        }
        if (rank == 2 && !root_receives_first) {
            last = op_add(builder, message(OP_RECV, 1, 5, "take"), last);
        }
        last = op_add(builder, call, last);
        if (rank == 2 && root_receives_first) {
            op_add(builder, message(OP_SEND, 1, 7, "give"), last);
        }
        if (rank == 1 && !root_receives_first) {
            op_add(builder, message(OP_SEND, 2, 7, "give"), last);
        }
        rank_end(builder);
    }
    struct dry_result result;
    CHECK(dry_run(job_end(builder), arena, &result));
    CHECK_EQUAL(result.done == result.ops, can_end);
    CHECK_EQUAL(result.circle, can_end ? 0 : 2);
    if (!can_end) {
        CHECK_HOLDS(result.text, "recv 5 \"take\" waits for send 7 \"give\" of rank ");
    }
    arena_free(arena);
}

static void test_roots(void)
{
    rooted(COLLECTIVE_BROADCAST, false, true);
    rooted(COLLECTIVE_BROADCAST, true, false);
    rooted(COLLECTIVE_SCATTER, false, true);
    rooted(COLLECTIVE_SCATTER, true, false);
    rooted(COLLECTIVE_REDUCE, true, true);
    rooted(COLLECTIVE_REDUCE, false, false);
    rooted(COLLECTIVE_GATHER, true, true);
    rooted(COLLECTIVE_GATHER, false, false);
    rooted(COLLECTIVE_ALL_GATHER, true, false);
    rooted(COLLECTIVE_BARRIER, false, false);
}

/* ---- random ones ------------------------------------------------------------------------------------------ */

#define RANKS 4
#define EVENTS 14

struct event {
    bool is_message;
    uint32_t src, dst, group;
    enum collective_kind kind;
};

/* Messages with tags of their own, and collectives of two overlapping groups in one order. Ranks have them in an order that is
 * jumbled somewhat, each operation behind the one before or not. */
static const struct job *random_job(struct arena *arena, uint64_t seed, bool has_roots)
{
    static const enum collective_kind kinds[] = {COLLECTIVE_ALL_REDUCE, COLLECTIVE_ALL_GATHER, COLLECTIVE_BARRIER,
                                                 COLLECTIVE_BROADCAST, COLLECTIVE_REDUCE};
    struct diag diag = {""};
    struct job_builder *builder = job_builder_new(arena, "random", "test", RANKS);
    static const uint32_t members[2][3] = {{0, 1, 2}, {1, 2, 3}};
    uint32_t groups[2];
    CHECK_EQUAL(job_builder_group(builder, "low", members[0], 3, at, &groups[0], &diag), STATUS_OK);
    CHECK_EQUAL(job_builder_group(builder, "high", members[1], 3, at, &groups[1], &diag), STATUS_OK);
    struct event events[EVENTS];
    for (uint32_t i = 0; i < EVENTS; i++) {
        uint32_t src = rng_below(rng_draw(seed, 1, i), RANKS);
        events[i] = (struct event){rng_below(rng_draw(seed, 2, i), 3) > 0, src, (src + 1 + rng_below(rng_draw(seed, 3, i), RANKS - 1)) % RANKS,
                                   rng_below(rng_draw(seed, 4, i), 2), kinds[rng_below(rng_draw(seed, 5, i), has_roots ? 5 : 3)]};
    }
    for (uint32_t rank = 0; rank < RANKS; rank++) {
        uint32_t order[EVENTS], last = ID_NONE;
        for (uint32_t i = 0; i < EVENTS; i++) {
            order[i] = i;
        }
        for (uint32_t i = 0; i + 1 < EVENTS; i++) { /* not past another collective of the group */
            const struct event *one = &events[order[i]], *other = &events[order[i + 1]];
            bool is_bound = !one->is_message && !other->is_message && one->group == other->group;
            if (!is_bound && rng_below(rng_draw(seed, 10 + rank, i), 5) == 0) {
                uint32_t kept = order[i];
                order[i] = order[i + 1];
                order[i + 1] = kept;
            }
        }
        job_builder_rank(builder, rank);
        for (uint32_t i = 0; i < EVENTS; i++) {
            const struct event *event = &events[order[i]];
            bool is_in = event->is_message ? rank == event->src || rank == event->dst : event->group == 0 ? rank < 3 : rank > 0;
            if (!is_in) {
                continue;
            }
            struct op op = message(rank == event->src ? OP_SEND : OP_RECV, rank == event->src ? event->dst : event->src, order[i], "");
            op.tag = order[i];
            if (!event->is_message) {
                op = (struct op){.kind = OP_COLLECTIVE, .collective = event->kind, .bytes = event->kind == COLLECTIVE_BARRIER ? 0 : 3000,
                                 .root = event->src % 3 * (event->kind == COLLECTIVE_BROADCAST || event->kind == COLLECTIVE_REDUCE),
                                 .source_id = order[i], .group_slot = job_builder_slot(builder, rank, groups[event->group])};
            }
            last = op_add(builder, op, rng_below(rng_draw(seed, 20 + rank, i), 8) > 0 ? last : ID_NONE);
        }
        rank_end(builder);
    }
    return job_end(builder);
}

static void test_random_jobs_end_as_they_do_in_a_replay(void)
{
    uint64_t seed = test_seed();
    uint32_t stuck = 0, count = 400;
    for (uint32_t i = 0; i < count; i++) {
        struct arena *arena = arena_new("test");
        bool has_roots = i % 2 == 1;
        const struct job *job = random_job(arena, rng_mix(seed + i), has_roots);
        struct dry_result dry;
        struct run_result run;
        struct diag diag = {""};
        CHECK(dry_run(job, arena, &dry));
        enum status status = whole_run(whole_request("job", "fat_tree"), job, "tiers=1 hosts=4", arena, &run, &diag);
        CHECK(status == STATUS_OK || status == STATUS_DEADLOCK);
        bool is_stuck = dry.done < dry.ops;
        CHECK(!is_stuck || status == STATUS_DEADLOCK);
        CHECK(has_roots || is_stuck == (status == STATUS_DEADLOCK)); /* trees wait for members in between too */
        CHECK_EQUAL(dry.circle > 0, is_stuck);
        stuck += is_stuck;
        arena_free(arena);
    }
    printf("%u of %u stuck ...", stuck, count);
    CHECK(stuck > count / 5 && stuck < 4 * count / 5);
}

/* ---- the program ------------------------------------------------------------------------------------------ */

static void validates(const char *goal, int expected, const char *part)
{
    char path[600], output[8192];
    snprintf(path, sizeof path, "%s/crossed.goal", test_directory());
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(goal, file) >= 0);
    fclose(file);
    CHECK_EQUAL(test_shell(output, sizeof output, "%s trace validate %s", program(), path), expected);
    CHECK_HOLDS(output, part);
}

static void test_validate_says_so(void)
{
    const char *const crossed = "num_ranks 2\nrank 0 {\nl1: recv 8b from 1 tag 3\nl2: send 8b to 1 tag 3\nl2 requires l1\n}\n"
                                "rank 1 {\nl1: recv 8b from 0 tag 3\nl2: send 8b to 0 tag 3\nl2 requires l1\n}\n";
    const char *const straight = "num_ranks 2\nrank 0 {\nl1: recv 8b from 1 tag 3\nl2: send 8b to 1 tag 3\nl2 requires l1\n}\n"
                                 "rank 1 {\nl1: recv 8b from 0 tag 3\nl2: send 8b to 0 tag 3\nl1 requires l2\n}\n";
    validates(crossed, 3, "crossed.goal: a deadlock on any network: 2 operations wait for each other, 4 of 4 never run");
    validates(crossed, 3, "  rank 0: recv ");
    validates(straight, 0, "crossed.goal: valid");
}

TEST_MAIN("dry", TEST(test_both_receive_first), TEST(test_collectives_crossed), TEST(test_roots),
          TEST(test_random_jobs_end_as_they_do_in_a_replay), TEST(test_validate_says_so))
