/* Traces on more and fewer ranks. Asserted: a generated model of dp replicas that is retargeted to more or
 * fewer has the groups, peers, bytes and, with data parallelism outermost, the time of one generated so; what
 * a rank puts into all-gathers of data-parallel groups is divided anew; every case without a clear meaning is
 * refused with its reason. Not asserted: compute, which stays as it was. */
#include "netsim/base/job_open.h"
#include "netsim/base/job_retarget.h"
#include "netsim/run.h"
#include "tests/trace_check.h"
#include "tests/support_run.h"

static const struct job *model_job(struct arena *arena, const char *pp, const char *dp, const char *shards)
{
    const struct trace_model *model;
    const char *const settings[][2] = {{"tp", "2"},
                                       {"pp", pp},
                                       {"dp", dp},
                                       {"layers", "4"},
                                       {"micro_batches", "2"},
                                       {"shrink", "1000"},
                                       {"distributed_optimizer", shards}};
    struct diag diag = {""};
    CHECK_EQUAL(trace_model_load("llama3-8b", arena, &model, &diag), STATUS_OK);
    void *values = param_defaults(&model->params, arena);
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if (param_find(&model->params, settings[i][0]) != NULL) {
            CHECK_EQUAL(param_assign(&model->params, values, settings[i][0], settings[i][1],
                                     (struct origin){.path = "test"}, arena, &diag),
                        STATUS_OK);
        }
    }
    const struct job *job = NULL;
    CHECK_EQUAL(model->generate(model, values, arena, &job, &diag), STATUS_OK);
    CHECK_TEXT(diag.text, "");
    return job;
}

static uint64_t digest_of(const struct job *job, uint64_t *makespan_ps)
{
    struct arena *arena = arena_new("run");
    struct run_result result = whole_run_good(whole_request("t", "clos-dsp"), job, NULL, arena);
    uint64_t digest = result.digest;
    *makespan_ps = result.summary.makespan_ps;
    arena_free(arena);
    return digest;
}

static void totals_compare(const struct job *a, const struct job *b)
{
    struct job_totals x, y;
    job_totals(a, &x);
    job_totals(b, &y);
    CHECK_EQUAL(y.message_bytes, x.message_bytes);
    CHECK_EQUAL(y.compute_ps, x.compute_ps);
    for (int kind = 0; kind < COLLECTIVE_KIND_COUNT; kind++) {
        CHECK_EQUAL(y.collective_ops[kind], x.collective_ops[kind]);
        CHECK_EQUAL(y.collective_bytes[kind], x.collective_bytes[kind]);
    }
}

/* Without pipeline stages, data parallelism is the outermost dimension: the same job. */
static void test_model(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag = {""};
    const struct job *two = model_job(arena, "1", "2", "no"), *eight = model_job(arena, "1", "8", "no"),
                     *made = NULL;
    CHECK_EQUAL(job_retarget(two, 16, arena, &made, &diag), STATUS_OK);
    CHECK_TEXT(diag.text, "");
    if (made != NULL) {
        uint64_t made_ps, eight_ps;
        totals_compare(eight, made);
        digest_of(made, &made_ps); /* another one: its groups are numbered copy by copy */
        digest_of(eight, &eight_ps);
        CHECK_EQUAL(made_ps, eight_ps);
    }
    CHECK_EQUAL(job_retarget(eight, 4, arena, &made, &diag), STATUS_OK);
    if (made != NULL) {
        uint64_t made_ps, two_ps;
        totals_compare(two, made);
        CHECK_EQUAL(digest_of(made, &made_ps), digest_of(two, &two_ps));
    }
    CHECK_EQUAL(job_retarget(two, 4, arena, &made, &diag), STATUS_OK);
    CHECK(made == two);
    arena_free(arena);
}

/* With stages in between ranks are numbered differently, but do the same. */
static void test_stages(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag = {""};
    const struct job *two = model_job(arena, "2", "2", "no"), *six = model_job(arena, "2", "6", "no"),
                     *made = NULL;
    CHECK_EQUAL(job_retarget(two, 24, arena, &made, &diag), STATUS_OK);
    CHECK_TEXT(diag.text, "");
    if (made != NULL) {
        uint64_t made_ps;
        totals_compare(six, made);
        digest_of(made, &made_ps);
    }
    CHECK_EQUAL(job_retarget(six, 8, arena, &made, &diag), STATUS_OK);
    CHECK_TEXT(diag.text, "");
    if (made != NULL) {
        totals_compare(two, made);
    }
    arena_free(arena);
}

/* ---- made by hand ---------------------------------------------------------------------------------------
 */

struct shape {
    const char *data_name, *model_name;
    enum collective_kind data_kind;
    bool has_messages; /* between the two ranks of the data-parallel pair */
};

/* Ranks 0 to 3: data-parallel pairs {0, 2} and {1, 3}, others {0, 1} and {2, 3}. */
static const struct job *square(struct arena *arena, struct shape shape)
{
    static const uint32_t data[2][2] = {{0, 2}, {1, 3}}, other[2][2] = {{0, 1}, {2, 3}};
    struct job_builder *builder = job_builder_new(arena, "square", "test", 4);
    struct diag diag = {""};
    uint32_t data_id[2], other_id[2];
    for (uint32_t i = 0; i < 2; i++) {
        char name[2][32];
        snprintf(name[0], 32, "%s%u", shape.data_name, i);
        snprintf(name[1], 32, "%s%u", shape.model_name, i);
        job_builder_group(builder, name[0], data[i], 2, (struct origin){.path = "t"}, &data_id[i], &diag);
        job_builder_group(builder, name[1], other[i], 2, (struct origin){.path = "t"}, &other_id[i], &diag);
    }
    for (uint32_t rank = 0; rank < 4; rank++) {
        uint32_t slots[] = {job_builder_slot(builder, rank, data_id[rank % 2]),
                            job_builder_slot(builder, rank, other_id[rank / 2])};
        job_builder_rank(builder, rank);
        struct op op = {.kind = OP_COLLECTIVE,
                        .collective = COLLECTIVE_ALL_REDUCE,
                        .bytes = 1001,
                        .group_slot = slots[1]};
        job_builder_op(builder, &op);
        op.collective = shape.data_kind;
        op.group_slot = slots[0];
        job_builder_op(builder, &op);
        uint32_t across = rank ^ (shape.has_messages ? 2 : 1);
        struct op send = {.kind = OP_SEND, .bytes = 5, .peer = across},
                  recv = {.kind = OP_RECV, .bytes = 5, .peer = across};
        job_builder_op(builder, &send);
        job_builder_op(builder, &recv);
        CHECK_EQUAL(job_builder_rank_end(builder, "t", &diag), STATUS_OK);
    }
    const struct job *job = NULL;
    CHECK_EQUAL(job_builder_finish(builder, &job, &diag), STATUS_OK);
    CHECK_TEXT(diag.text, "");
    return job;
}

static void test_groups_and_peers(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag = {""};
    const struct job *made = NULL;
    const struct job *from = square(arena, (struct shape){"dp", "tp", COLLECTIVE_ALL_GATHER, false});
    CHECK_EQUAL(job_retarget(from, 12, arena, &made, &diag), STATUS_OK);
    CHECK_TEXT(diag.text, "");
    for (uint32_t rank = 0; rank < 12 && made != NULL; rank++) {
        const struct program *program = job_program(made, rank);
        uint32_t model = job_group(made, rank, program->group_slot[0]),
                 data = job_group(made, rank, program->group_slot[1]);
        CHECK_EQUAL(job_group_size(made, model), 2);
        CHECK_EQUAL(made->group_rank[made->group_first[model]], rank / 2 * 2);
        CHECK_EQUAL(job_group_size(made, data), 6);
        for (uint32_t i = 0; i < 6; i++) {
            CHECK_EQUAL(made->group_rank[made->group_first[data] + i], rank % 2 + 2 * i);
        }
        CHECK_EQUAL(program->bytes[0], 1001);
        CHECK_EQUAL(program->bytes[1], 334); /* 1001 / 3, rounded up */
        CHECK_EQUAL(job_peer(made, rank, program, 2), rank ^ 1);
    }
    CHECK_EQUAL(job_retarget(from, 2, arena, &made, &diag), STATUS_OK);
    CHECK_EQUAL(made != NULL ? job_program(made, 0)->bytes[1] : 0, 2002);
    arena_free(arena);
}

/* The report says which ranks are new, and that nobody has changed what they compute. */
static void test_report(void)
{
    char output[8192], path[600];
    const char *given = getenv("PHOTONET"), *program = given != NULL ? given : "build/photonet";
    static const struct {
        uint32_t ranks;
        const char *lines[2];
    } cases[] = {{32, {"        16 ranks beyond those of the trace: data-parallel replicas: groups dp and edp, or the only one, grow\n",
                       " computations: each as long as in the trace, though more replicas would share out some (optimizer, batch)\n"}},
                 {8, {"         8 ranks of the trace left out: fewer data-parallel replicas: groups dp and edp, or the only one, shrink\n",
                      " computations: each as long as in the trace, though fewer replicas would have more of some (optimizer, batch)\n"}}};
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/retargeted", test_directory());
        CHECK_EQUAL(test_shell(output, sizeof output,
                               "%s trace convert model:llama3-8b,tp=2,pp=2,dp=4,layers=4,micro_batches=2 --ranks %u -o %s", program,
                               cases[i].ranks, path), 0);
        CHECK_HOLDS(output, "wrote ");
        CHECK_HOLDS(output, cases[i].lines[0]);
        CHECK_HOLDS(output, cases[i].lines[1]);
    }
}

static void job_refused(struct shape shape, uint32_t ranks, const char *part)
{
    struct arena *arena = arena_new("test");
    struct diag diag = {""};
    const struct job *made;
    CHECK_EQUAL(job_retarget(square(arena, shape), ranks, arena, &made, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, part);
    arena_free(arena);
}

static void test_refusals(void)
{
    const struct shape good = {"dp", "tp", COLLECTIVE_ALL_REDUCE, false};
    job_refused(
        good, 6,
        "is a job of 4 ranks and cannot be one of 6: replicas make it larger or smaller by a whole factor");
    job_refused(good, 1, "data-parallel group dp0 has 2 members, which 4 does not divide");
    job_refused((struct shape){"data", "tp", COLLECTIVE_ALL_REDUCE, false}, 8,
                "rank 0 is in no data-parallel group");
    job_refused((struct shape){"dp", "tp", COLLECTIVE_ALL_TO_ALL, false}, 8,
                "all_to_all \"\" of data-parallel group dp0");
    job_refused((struct shape){"dp", "dp_also", COLLECTIVE_ALL_REDUCE, false}, 2,
                "1 ranks are the first in all");
    job_refused((struct shape){"dp", "tp", COLLECTIVE_ALL_REDUCE, true}, 2,
                "rank 0 of one replica exchanges messages");
}

/* Through the reader: one group of all ranks grows; formats that leave the number open take it themselves. */
static void test_open(void)
{
    char spec[700], prefix[600], wrote[4352];
    struct arena *arena = arena_new("test");
    struct diag diag = {""};
    const struct job *job = NULL;
    snprintf(prefix, sizeof prefix, "%s/world", test_directory());
    CHECK_EQUAL(trace_read("pattern:all_gather,ranks=4,bytes=4096B", 0, NULL, 0, arena, &job, &diag),
                STATUS_OK);
    CHECK_EQUAL(trace_writers[0]->write(job, prefix, wrote, sizeof wrote, &diag), STATUS_OK);
    snprintf(spec, sizeof spec, "%s.job", prefix);
    CHECK_EQUAL(job_open(spec, 16, NULL, 0, arena, &job, &diag), STATUS_OK);
    CHECK_TEXT(diag.text, "");
    CHECK_EQUAL(job->rank_count, 16);
    CHECK_EQUAL(job_group_size(job, 0), 16);
    CHECK_EQUAL(job_program(job, 15)->bytes[0], 1024);
    CHECK_EQUAL(job_open(spec, 5, NULL, 0, arena, &job, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "cannot be one of 5");
    CHECK_EQUAL(job_open("/nowhere", 5, NULL, 0, arena, &job, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "no such trace");
    arena_free(arena);
}

TEST_MAIN("retarget", TEST(test_model), TEST(test_stages), TEST(test_groups_and_peers), TEST(test_report), TEST(test_refusals),
          TEST(test_open))
