/* Asserted: every pattern name reads, its operations and partners are those of its definition, repetitions
 * wait for one another, seeds repeat, --ranks overrides; unknown names, keys and unusable values are refused
 * with what is known; SPEC splits into format and path. Not asserted: the statistical quality of the random
 * partners. */
#include "tests/check.h"

#include "photonet/trace.h"

#include <unistd.h>

static enum status pattern(const char *spec, uint32_t ranks, struct arena *arena, const struct job **job,
                           struct diag *diag)
{
    *job = NULL;
    diag->text[0] = '\0';
    return trace_read(spec, ranks, NULL, 0, arena, job, diag);
}

static void test_collectives(void)
{
    const struct {
        const char *name;
        enum collective_kind kind;
    } cases[] = {{"all_reduce", COLLECTIVE_ALL_REDUCE}, {"ring_allreduce", COLLECTIVE_ALL_REDUCE},
                 {"all_gather", COLLECTIVE_ALL_GATHER}, {"reduce_scatter", COLLECTIVE_REDUCE_SCATTER},
                 {"alltoall", COLLECTIVE_ALL_TO_ALL},   {"all_to_all", COLLECTIVE_ALL_TO_ALL},
                 {"broadcast", COLLECTIVE_BROADCAST}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena *arena = arena_new("test");
        const struct job *job;
        struct diag diag;
        char spec[128];
        snprintf(spec, sizeof spec, "pattern:%s,ranks=128,bytes=4MiB,count=3,compute=7us", cases[i].name);
        CHECK_EQUAL(pattern(spec, 0, arena, &job, &diag), STATUS_OK);
        CHECK_TEXT(diag.text, "");
        CHECK_EQUAL(job->rank_count, 128);
        CHECK_EQUAL(job->program_count, 1);
        CHECK_EQUAL(job_group_size(job, 0), 128);
        const struct program *program = job_program(job, 77);
        CHECK_EQUAL(program->op_count, 6);
        CHECK_EQUAL(program->dep_count, 5);
        CHECK_EQUAL(program->duration_ps[2], 7 * PS_PER_US);
        CHECK_EQUAL(program->collective[5], cases[i].kind);
        CHECK_EQUAL(program->bytes[5], 4 << 20);
        arena_free(arena);
    }
}

/* Receiver of each rank's send in its first repetition, ID_NONE where it sends nothing. */
static void partners(const struct job *job, uint32_t *target)
{
    for (uint32_t rank = 0; rank < job->rank_count; rank++) {
        const struct program *program = job_program(job, rank);
        target[rank] = ID_NONE;
        for (uint32_t op = 0; op < program->op_count; op++) {
            if (program->kind[op] == OP_SEND && program->source_id[op] == 0) {
                target[rank] = job_peer(job, rank, program, op);
            }
        }
    }
}

#define RANKS 16
static const struct job *partners_of(const char *spec, struct arena *arena, uint32_t *target)
{
    const struct job *job;
    struct diag diag;
    CHECK_EQUAL(pattern(spec, RANKS, arena, &job, &diag), STATUS_OK);
    CHECK_TEXT(diag.text, "");
    partners(job, target);
    return job;
}

static void test_shifts(void)
{
    const struct {
        const char *spec;
        uint32_t distance;
    } cases[] = {{"pattern:tornado", 7}, {"pattern:bisection", 8}, {"pattern:ring", 1}};
    for (size_t i = 0; i < 3; i++) {
        struct arena *arena = arena_new("test");
        uint32_t target[RANKS];
        const struct job *job = partners_of(cases[i].spec, arena, target);
        CHECK_EQUAL(job->program_count, 1);
        for (uint32_t rank = 0; rank < RANKS; rank++) {
            CHECK_EQUAL(target[rank], (rank + cases[i].distance) % RANKS);
        }
        arena_free(arena);
    }
}

static void test_permutation(void)
{
    struct arena *arena = arena_new("test");
    uint32_t target[RANKS], again[RANKS], other[RANKS], seen = 0;
    partners_of("pattern:permutation,seed=3", arena, target);
    partners_of("pattern:permutation,seed=3", arena, again);
    partners_of("pattern:permutation,seed=4", arena, other);
    for (uint32_t rank = 0; rank < RANKS; rank++) {
        CHECK(target[rank] != rank);
        seen |= 1u << target[rank];
    }
    CHECK_EQUAL(seen, (1u << RANKS) - 1);
    CHECK(memcmp(target, again, sizeof target) == 0);
    CHECK(memcmp(target, other, sizeof target) != 0);
    arena_free(arena);
}

static void test_incast(void)
{
    struct arena *arena = arena_new("test");
    uint32_t target[RANKS];
    const struct job *job = partners_of("pattern:incast,dst=2,senders=4,bytes=5kB", arena, target);
    for (uint32_t rank = 0; rank < RANKS; rank++) {
        CHECK_EQUAL(target[rank], rank <= 4 && rank != 2 ? 2 : ID_NONE);
    }
    struct job_totals totals;
    job_totals(job, &totals);
    CHECK_EQUAL(totals.message_bytes, 20000);
    job = partners_of("pattern:incast", arena, target);
    job_totals(job, &totals);
    CHECK_EQUAL(totals.ops[OP_RECV], RANKS - 1);
    CHECK_EQUAL(target[1], ID_NONE);
    arena_free(arena);
}

static void test_random_partners(void)
{
    struct arena *arena = arena_new("test");
    uint32_t target[RANKS], hot = 0;
    const struct job *job = partners_of("pattern:random,count=5", arena, target);
    struct job_totals totals;
    job_totals(job, &totals);
    CHECK_EQUAL(totals.ops[OP_SEND], 5 * RANKS);
    for (uint32_t rank = 0; rank < RANKS; rank++) {
        CHECK(target[rank] != rank);
    }
    partners_of("pattern:hotspot,dst=3,fraction=100%", arena, target);
    for (uint32_t rank = 0; rank < RANKS; rank++) {
        hot += target[rank] == 3;
    }
    CHECK_EQUAL(hot, RANKS - 1);
    arena_free(arena);
}

static void test_sendrecv(void)
{
    struct arena *arena = arena_new("test");
    uint32_t target[RANKS];
    const struct job *job = partners_of("pattern:sendrecv,src=5,dst=9,bytes=2MB,count=2", arena, target);
    CHECK_EQUAL(target[5], 9);
    CHECK_EQUAL(target[9], ID_NONE);
    const struct program *program = job_program(job, 5);
    uint64_t sent = 0;
    for (uint32_t op = 0; op < program->op_count; op++) {
        sent += program->kind[op] == OP_SEND ? program->bytes[op] : 0;
    }
    CHECK_EQUAL(sent, 4000000);
    /* The second message waits for the first. */
    CHECK_EQUAL(program->kind[3], OP_SEND);
    CHECK_EQUAL(program->dep[program->dep_first[3]], 2);
    CHECK_EQUAL(program->dep[program->dep_first[3] - 1], 1);
    partners_of("pattern:sendrecv,src=5,dst=5", arena, target);
    CHECK_EQUAL(target[5], 5);
    arena_free(arena);
}

static void test_refusals(void)
{
    const struct {
        const char *spec, *says;
    } cases[] = {
        {"pattern:allgather", "unknown pattern \"allgather\"; expected one of: all_reduce"},
        {"pattern:", "unknown pattern \"\""},
        {"pattern:ring,rank=3",
         "unknown setting \"rank=3\" of ring; expected KEY=VALUE with one of: ranks bytes"},
        {"pattern:ring,seed=3", "unknown setting \"seed=3\" of ring"},
        {"pattern:ring,ranks", "unknown setting \"ranks\""},
        {"pattern:ring,", "unknown setting \"\""},
        {"pattern:ring,bytes=4", "bare number"},
        {"pattern:ring,ranks=0", "ranks"},
        {"pattern:ring,ranks=1", "ring over 1 ranks"},
        {"pattern:bisection,ranks=7", "even number"},
        {"pattern:incast,ranks=4,senders=4", "fewer senders"},
        {"pattern:sendrecv,ranks=4,dst=4", "dst is rank 4 of 4"},
        {"pattern:broadcast,ranks=4,root=4", "root is rank 4 of 4"},
        {"pattern:random,ranks=1000000,count=1000000", "too many messages"},
        {"patern:ring", "unknown trace format \"patern\"; expected one of: job chakra_et"},
        {"/no/such/file", "/no/such/file: no such trace"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena *arena = arena_new("test");
        const struct job *job;
        struct diag diag;
        CHECK_EQUAL(pattern(cases[i].spec, 0, arena, &job, &diag), STATUS_INPUT);
        CHECK_HOLDS(diag.text, cases[i].says);
        CHECK(job == NULL);
        arena_free(arena);
    }
}

static void test_settings_and_text_combine(void)
{
    struct arena *arena = arena_new("test");
    struct origin at = {.path = "--set"};
    struct trace_setting settings[] = {{"ranks", "12", at}, {"bytes", "3kB", at}};
    const struct job *job = NULL;
    struct diag diag;
    CHECK_EQUAL(trace_read("pattern:all_reduce,bytes=5kB", 0, settings, 2, arena, &job, &diag), STATUS_OK);
    CHECK_EQUAL(job->rank_count, 12);
    CHECK_EQUAL(job_program(job, 0)->bytes[0], 5000);
    CHECK_TEXT(job->name, "all_reduce.n12.5kB");
    CHECK_TEXT(job->format, "pattern");
    struct trace_setting wrong[] = {{"colour", "red", at}};
    CHECK_EQUAL(trace_read("pattern:all_reduce", 0, wrong, 1, arena, &job, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "colour");
    arena_free(arena);
}

/* A file that no reader knows, an empty folder, and a name with a colon. */
static void test_unknown_files(void)
{
    struct arena *arena = arena_new("test");
    const struct job *job;
    struct diag diag;
    char path[512];
    snprintf(path, sizeof path, "%s/some:text", test_directory());
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs("\xff\xff\xff\xff\xff\xff neither\n", file) >= 0 && fclose(file) == 0);
    CHECK_EQUAL(pattern(path, 0, arena, &job, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "is no trace of a known format; expected one of: job chakra_et");
    CHECK_EQUAL(pattern(test_directory(), 0, arena, &job, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "some:text: is no trace");
    unlink(path);
    CHECK_EQUAL(pattern(test_directory(), 0, arena, &job, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "is a folder without files");
    arena_free(arena);
}

/* Sizes as nccl-tests counts them: of all-gather and gather the result; where ranks have shares of their own, of whole 16 B.
 * A call of each size, `count` times, each behind the one before, on one group, and a barrier that holds before each size. */
static void test_nccl(void)
{
    static const struct {
        const char *op;
        enum collective_kind kind;
        uint64_t least, most; /* a rank's bytes of sizes 64 B and 64 KiB on six ranks */
    } cases[] = {{"all_reduce", COLLECTIVE_ALL_REDUCE, 64, 65536},     {"all_gather", COLLECTIVE_ALL_GATHER, 0, 10912},
                 {"reduce_scatter", COLLECTIVE_REDUCE_SCATTER, 0, 65472}, {"alltoall", COLLECTIVE_ALL_TO_ALL, 0, 65472},
                 {"broadcast", COLLECTIVE_BROADCAST, 64, 65536},       {"reduce", COLLECTIVE_REDUCE, 64, 65536},
                 {"gather", COLLECTIVE_GATHER, 0, 10912},              {"scatter", COLLECTIVE_SCATTER, 0, 65472}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena *arena = arena_new("test");
        const struct job *job;
        struct diag diag;
        char spec[160];
        snprintf(spec, sizeof spec, "pattern:nccl,op=%s,ranks=6,min=64B,max=64KiB,factor=32,count=3,root=5", cases[i].op);
        CHECK_EQUAL(pattern(spec, 0, arena, &job, &diag), STATUS_OK);
        CHECK_TEXT(diag.text, "");
        const struct program *program = job_program(job, 3);
        bool has_root = cases[i].kind == COLLECTIVE_BROADCAST || cases[i].kind == COLLECTIVE_REDUCE ||
                        cases[i].kind == COLLECTIVE_GATHER || cases[i].kind == COLLECTIVE_SCATTER;
        CHECK_EQUAL(job->rank_count, 6);
        CHECK_EQUAL(job_group_size(job, 0), 6);
        CHECK_EQUAL(program->op_count, 12); /* 64 B, 2 KiB, 64 KiB */
        CHECK_EQUAL(program->dep_count, 11);
        for (uint32_t op = 0; op < program->op_count; op++) {
            bool is_between = op % 4 == 0;
            CHECK_EQUAL(program->duration_ps[op], is_between ? 2 * PS_PER_MS : 0);
            CHECK_EQUAL(program->kind[op], OP_COLLECTIVE);
            CHECK_EQUAL(program->collective[op], is_between ? COLLECTIVE_BARRIER : cases[i].kind);
            CHECK_EQUAL(program->root[op], has_root && !is_between ? 5 : 0);
            CHECK(op == 0 || program->dep[program->dep_first[op]] == op - 1);
        }
        CHECK_EQUAL(program->bytes[1], cases[i].least);
        CHECK_EQUAL(program->bytes[3], cases[i].least);
        CHECK_EQUAL(program->bytes[11], cases[i].most);
        snprintf(spec, sizeof spec, "pattern:nccl,op=%s,ranks=6,min=64B,max=64KiB,factor=32,settle=0ps", cases[i].op); /* as they are */
        CHECK_EQUAL(pattern(spec, 0, arena, &job, &diag), STATUS_OK);
        CHECK_EQUAL(job_program(job, 3)->op_count, 5);
        CHECK_EQUAL(job_program(job, 3)->collective[1], COLLECTIVE_BARRIER);
        CHECK_EQUAL(job_program(job, 3)->duration_ps[1], 0);
        arena_free(arena);
    }
}

static void test_nccl_refusals(void)
{
    static const struct {
        const char *spec, *part;
    } bad[] = {{"pattern:nccl,op=all_reduced", "all_reduced"},
               {"pattern:nccl,min=2MiB,max=1MiB", "min is above max"},
               {"pattern:nccl,ranks=1", "nccl over 1 ranks; expected at least 2"},
               {"pattern:nccl,bytes=1MiB", "unknown setting \"bytes=1MiB\" of nccl"},
               {"pattern:nccl,factor=1", "factor"},
               {"pattern:nccl,min=0B", "min"},
               {"pattern:nccl,ranks=4,root=4,op=broadcast", "root is rank 4 of 4 ranks"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct arena *arena = arena_new("test");
        const struct job *job;
        struct diag diag;
        CHECK_EQUAL(pattern(bad[i].spec, 0, arena, &job, &diag), STATUS_INPUT);
        CHECK_HOLDS(diag.text, bad[i].part);
        arena_free(arena);
    }
}

TEST_MAIN("pattern", TEST(test_collectives), TEST(test_nccl), TEST(test_nccl_refusals), TEST(test_shifts), TEST(test_permutation), TEST(test_incast),
          TEST(test_random_partners), TEST(test_sendrecv), TEST(test_refusals),
          TEST(test_settings_and_text_combine), TEST(test_unknown_files))
