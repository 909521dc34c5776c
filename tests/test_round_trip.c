/* Every sample through every writer. Asserted: what a writer wrote is read back; its replay has the same
 * digest, but where the format cannot carry what decides it (GOAL: collectives, fractions of nanoseconds,
 * streams of sends), where the writer says so and the payload of messages is that of the collectives' closed
 * form; the lowered collectives of every kind, 2 to 9 ranks and all roots, move the bytes they should. Not
 * asserted: that a lowered collective takes the time of one that the replay chooses. */
#include "netsim/run.h"
#include "tests/trace_check.h"
#include "tests/support_run.h"

#include <math.h>
#include <unistd.h>

struct outcome {
    enum status status;
    uint64_t digest, useful_bytes, op_count;
};

static struct outcome job_run(const struct job *job)
{
    struct outcome outcome = {STATUS_INPUT, 0, 0, 0};
    struct arena *arena = arena_new("round trip");
    struct diag diag = {""};
    struct run_result result;
    outcome.status = whole_run(whole_request("round trip", "clos-dsp"), job, NULL, arena, &result, &diag);
    outcome.digest = result.digest;
    outcome.useful_bytes = result.summary.useful_bytes;
    if (outcome.status != STATUS_OK) {
        printf(" %s ...", diag.text);
    }
    arena_free(arena);
    return outcome;
}

static bool is_goal(const struct trace_writer *writer)
{
    return strncmp(writer->name, "goal", 4) == 0;
}

/* Whether GOAL can say everything that decides the replay. */
static bool goal_carries(const struct job *job)
{
    for (uint32_t i = 0; i < job->program_count; i++) {
        const struct program *program = &job->programs[i];
        for (uint32_t op = 0; op < program->op_count; op++) {
            bool is_send = program->kind[op] == OP_SEND;
            if (program->kind[op] == OP_COLLECTIVE || program->duration_ps[op] % 1000 != 0 ||
                (is_send && program->stream[op] != STREAM_NONE)) {
                return false;
            }
        }
    }
    return true;
}

/* A barrier of GOAL has messages of one byte: LogGOPSim cannot do with none. */
static uint64_t barrier_bytes(const struct job *job)
{
    uint64_t bytes = 0;
    for (uint32_t rank = 0; rank < job->rank_count; rank++) {
        const struct program *program = job_program(job, rank);
        for (uint32_t op = 0; op < program->op_count; op++) {
            if (program->kind[op] == OP_COLLECTIVE && program->collective[op] == COLLECTIVE_BARRIER) {
                uint32_t members = job_group_size(job, job_group(job, rank, program->group_slot[op]));
                for (uint32_t reached = 1; reached < members; reached *= 2) {
                    bytes++;
                }
            }
        }
    }
    return bytes;
}

static const char *written_path(const struct trace_writer *writer, const char *wrote)
{
    static char path[1200];
    (void)wrote;
    snprintf(path, sizeof path, "%s/trip%s", test_directory(),
             strcmp(writer->name, "job") == 0        ? ".job"
             : strcmp(writer->name, "goal") == 0     ? ".goal"
             : strcmp(writer->name, "goal_bin") == 0 ? ".bin"
                                                     : "");
    return path;
}

static void files_remove(void)
{
    char output[256];
    test_shell(output, sizeof output, "rm -f %s/trip*", test_directory());
}

static void writer_check(const struct trace_writer *writer, const struct job *job,
                         const struct outcome *expected)
{
    char prefix[1024], wrote[4352] = "";
    struct diag diag = {""};
    files_remove();
    snprintf(prefix, sizeof prefix, "%s/trip", test_directory());
    CHECK_EQUAL(writer->write(job, prefix, wrote, sizeof wrote, &diag), STATUS_OK);
    CHECK_TEXT(diag.text, "");
    if (!trace_loads(written_path(writer, wrote), 0, NULL, writer->name)) {
        return;
    }
    struct outcome outcome = job_run(trace_test.job);
    bool carries = !is_goal(writer) || goal_carries(job);
    CHECK_EQUAL(outcome.status, STATUS_OK);
    if (carries) {
        CHECK_EQUAL(outcome.digest, expected->digest);
    } else {
        CHECK(strchr(wrote, '\n') != NULL); /* it says what is lost */
    }
    CHECK_EQUAL(outcome.useful_bytes, expected->useful_bytes + (carries ? 0 : barrier_bytes(job)));
}

/* The bytes of collectives do not depend on the algorithms that are asked here; trees and barriers do. */
static void job_check_all(const struct job *job)
{
    struct outcome expected = job_run(job);
    CHECK_EQUAL(expected.status, STATUS_OK);
    for (const struct trace_writer *const *writer = trace_writers;
         *writer != NULL && expected.status == STATUS_OK; writer++) {
        writer_check(*writer, job, &expected);
    }
}

static void spec_check(const char *spec, uint32_t ranks, const char *settings)
{
    struct trace_test kept;
    CHECK_EQUAL(trace_read_with(spec, ranks, settings), STATUS_OK);
    if (trace_test.job == NULL) {
        printf(" %s ...", trace_test.diag.text);
        return;
    }
    kept = trace_test;
    trace_test = (struct trace_test){0}; /* the next read must not end it */
    job_check_all(kept.job);
    arena_free(kept.arena);
}

static void test_patterns(void)
{
    spec_check("pattern:ring,ranks=5,bytes=64KiB,compute=1500ns", 0, NULL);
    spec_check("pattern:all_reduce,ranks=8,bytes=1MiB,count=3,compute=5us", 0, NULL);
    spec_check("pattern:all_to_all,ranks=8,bytes=1MiB", 0, NULL);
    spec_check("pattern:permutation,ranks=16,bytes=100kB", 0, NULL);
    spec_check("pattern:incast,ranks=9,bytes=100kB", 0, NULL);
    spec_check("pattern:nccl,op=gather,ranks=4,min=1KiB,max=16KiB,factor=4", 0, NULL); /* barriers that hold */
}

/* Groups that are numbered in another order when they come back, since ranks meet them in another one: a pipeline from both
 * ends, whose group of all ranks is used last. */
static void test_steps(void)
{
    spec_check("model:deepseek-v3,layers=5,pp=2,dp=4,ep=4,micro_batches=4,shrink=4096", 0, NULL);
    spec_check("model:mixtral-8x7b,layers=4,pp=2,dp=2,tp=2,ep=4,micro_batches=2,sequence_parallel=yes,shrink=4096", 0, NULL);
}

static const struct {
    const char *path, *settings;
    uint32_t ranks;
    bool is_prefix;
} samples[] = {
    {"traces/chakra/astra_custom_ring_8npus_1MB/custom_allreduce.0.et", NULL, 0, true},
    {"traces/chakra/astra_microbench/all_gather_8npus_1MB/all_gather.0.et", NULL, 0, true},
    {"traces/chakra/astra_microbench/all_reduce_8npus_1MB/all_reduce.0.et", NULL, 0, true},
    {"traces/chakra/astra_microbench/all_to_all_8npus_1MB/all_to_all.0.et", NULL, 0, true},
    {"traces/chakra/astra_microbench/reduce_scatter_8npus_1MB/reduce_scatter.0.et", NULL, 0, true},
    {"traces/chakra/astra_feederv3_branch/AllReduce_1MB.0.et", NULL, 0, true},
    {"traces/chakra/stage_llama_dp2tp2pp2/w.0.et", NULL, 0, true},
    {"traces/goal/mini4.goal", NULL, 0, false},
    {"traces/goal/mini4.bin", NULL, 0, false},
    {"traces/goal/binary_tree_32.goal", NULL, 0, false},
    {"traces/goal/ring_allreduce_8x1MiB.goal", NULL, 0, false},
    {"traces/goal/alltoall_16x64KiB.goal", NULL, 0, false},
    {"traces/astra1_text/microAllReduce.txt", NULL, 4, false},
    {"traces/astra1_text/microAllToAll.txt", NULL, 4, false},
    {"traces/astra1_text/MLP_ModelParallel.txt", NULL, 4, false},
    {"traces/astra1_text/MLP_HybridParallel_Data_Model.txt", "first_dimension=2", 4, false},
    {"traces/astra1_text/DLRM_HybridParallel.txt", NULL, 4, false},
    {"traces/ti/ti_4ranks.txt", "reduce_scatter_block=repair", 0, false},
    {"traces/simai_text/aicb/all_gather.txt", NULL, 4, false},
    {"peers/one_128.cm", NULL, 0, false},
    {"peers/perm_128n_128c_2MB.cm", NULL, 0, false},
};

static void test_samples(void)
{
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        char spec[4096];
        const char *path = test_corpus(samples[i].path);
        if (path == NULL) {
            return;
        }
        snprintf(spec, sizeof spec, "%s", path);
        if (samples[i].is_prefix) {
            *strstr(spec, ".0.et") = '\0';
        }
        spec_check(spec, samples[i].ranks, samples[i].settings);
    }
}

/* Small steps of all models. */
static void model_set(const struct trace_model *model, void *values, const char *key, const char *text,
                      struct arena *arena)
{
    struct diag diag = {""};
    if (param_find(&model->params, key) != NULL) {
        CHECK_EQUAL(
            param_assign(&model->params, values, key, text, (struct origin){.path = "test"}, arena, &diag),
            STATUS_OK);
    }
}

static void test_models(void)
{
    static const char *const settings[][2] = {{"tp", "2"}, {"pp", "2"}, {"dp", "2"}, {"ep", "2"}, {"cp", "1"},
                                              {"layers", "4"}, {"micro_batches", "4"}, {"sequence", "512"},
                                              {"sequence_parallel", "yes"}, {"virtual_stages", "1"},
                                              {"shrink", "1000"}};
    for (const struct trace_preset *preset = trace_presets; preset->name != NULL; preset++) {
        struct arena *arena = arena_new("test");
        struct diag diag = {""};
        const struct trace_model *model;
        const struct job *job = NULL;
        CHECK_EQUAL(trace_model_load(preset->name, arena, &model, &diag), STATUS_OK);
        void *values = param_defaults(&model->params, arena);
        bool has_experts = strcmp(param_find(&model->params, "ep")->default_text, "1") != 0;
        for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
            if (has_experts || strcmp(settings[i][0], "ep") != 0) {
                model_set(model, values, settings[i][0], settings[i][1], arena);
            }
        }
        CHECK_EQUAL(model->generate(model, values, arena, &job, &diag), STATUS_OK);
        CHECK_TEXT(diag.text, "");
        if (job != NULL) {
            job_check_all(job);
        }
        arena_free(arena);
    }
}

/* ---- lowered collectives --------------------------------------------------------------------------------
 */

static const struct job *collective_job(struct arena *arena, enum collective_kind kind, uint32_t ranks,
                                        uint32_t root, uint64_t bytes)
{
    uint32_t members[16], group;
    uint64_t pairs[16 * 16];
    struct diag diag = {""};
    struct job_builder *builder = job_builder_new(arena, "collective", "test", ranks + 1);
    for (uint32_t i = 0; i < ranks; i++) {
        members[i] = ranks - i; /* rank 0 is no member */
    }
    for (uint32_t i = 0; i < ranks * ranks; i++) {
        pairs[i] = i % 7 * 1000;
    }
    job_builder_group(builder, "g", members, ranks, (struct origin){.path = "t"}, &group, &diag);
    bool has_pairs = kind == COLLECTIVE_ALL_TO_ALL && root == 1;
    uint32_t table = has_pairs ? job_builder_pairs(builder, ranks, pairs) : PAIRS_EQUAL;
    bool is_rooted = kind == COLLECTIVE_BROADCAST || kind == COLLECTIVE_REDUCE || kind == COLLECTIVE_GATHER ||
                     kind == COLLECTIVE_SCATTER;
    for (uint32_t rank = 0; rank <= ranks; rank++) {
        uint32_t slot = rank > 0 ? job_builder_slot(builder, rank, group) : 0;
        job_builder_rank(builder, rank);
        for (int i = 0; i < 2 && rank > 0; i++) { /* two calls, to be kept apart */
            struct op op = {.kind = OP_COLLECTIVE,
                            .collective = kind,
                            .bytes = bytes,
                            .group_slot = slot,
                            .root = is_rooted ? root : 0,
                            .pairs = table};
            job_builder_op(builder, &op);
        }
        job_builder_rank_end(builder, "t", &diag);
    }
    const struct job *job = NULL;
    CHECK_EQUAL(job_builder_finish(builder, &job, &diag), STATUS_OK);
    CHECK_TEXT(diag.text, "");
    return job;
}

/* Of both calls. */
static uint64_t closed_form(enum collective_kind kind, uint64_t n, uint64_t root, uint64_t bytes)
{
    uint64_t rounds = 0, unequal = 0;
    while (UINT64_C(1) << rounds < n) {
        rounds++;
    }
    for (uint64_t i = 0; i < n * n; i++) {
        unequal += i / n == i % n ? 0 : i % 7 * 1000;
    }
    uint64_t own = bytes * (root + 1) / n - bytes * root / n;
    switch (kind) {
    case COLLECTIVE_ALL_REDUCE:
        return 2 * 2 * (n - 1) * bytes;
    case COLLECTIVE_REDUCE_SCATTER:
        return 2 * (n - 1) * bytes;
    case COLLECTIVE_ALL_TO_ALL:
        return 2 * (root == 1 ? unequal : (n - 1) * bytes);
    case COLLECTIVE_ALL_GATHER:
        return 2 * n * (n - 1) * bytes;
    case COLLECTIVE_SCATTER:
        return 2 * (bytes - own);
    case COLLECTIVE_BARRIER:
        return 2 * n * rounds;
    default:
        return 2 * (n - 1) * bytes;
    }
}

static void lowered_check(enum collective_kind kind, uint32_t ranks, uint32_t root)
{
    extern const struct trace_writer trace_writer_goal, trace_writer_goal_bin;
    const struct trace_writer *writer = root % 2 == 0 ? &trace_writer_goal : &trace_writer_goal_bin;
    char prefix[1024], wrote[4352];
    struct diag diag = {""};
    struct arena *arena = arena_new("test");
    const uint64_t bytes = 10007;
    snprintf(prefix, sizeof prefix, "%s/trip", test_directory());
    const struct job *job = collective_job(arena, kind, ranks, root, bytes);
    CHECK_EQUAL(writer->write(job, prefix, wrote, sizeof wrote, &diag), STATUS_OK);
    if (trace_loads(written_path(writer, wrote), 0, NULL, writer->name)) {
        struct outcome outcome = job_run(trace_test.job);
        CHECK_EQUAL(outcome.status, STATUS_OK);
        CHECK_EQUAL(outcome.useful_bytes, closed_form(kind, ranks, root, bytes));
    }
    arena_free(arena);
}

static void test_lowered(void)
{
    for (uint32_t ranks = 1; ranks <= 9; ranks += ranks < 5 ? 1 : 4) {
        for (uint32_t kind = 0; kind < COLLECTIVE_KIND_COUNT; kind++) {
            for (uint32_t root = 0; root < ranks && strcmp(collective_name(kind), "unknown") != 0; root++) {
                lowered_check((enum collective_kind)kind, ranks, root);
            }
        }
    }
}

/* ---- refusals -------------------------------------------------------------------------------------------
 */

static void test_refusals(void)
{
    extern const struct trace_writer trace_writer_goal, trace_writer_goal_bin;
    const struct trace_writer *const writers[] = {&trace_writer_goal, &trace_writer_goal_bin};
    static const struct {
        struct op op;
        const char *part;
    } cases[] = {
        {{.kind = OP_COMPUTE, .stream = 255}, "uses stream 255; GOAL has cpus 0 to 255"},
        {{.kind = OP_SEND, .tag = UINT32_MAX - 1}, "uses tag 4294967294"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena *arena = arena_new("test");
        struct diag diag = {""};
        char wrote[4352], prefix[1024];
        struct job_builder *builder = job_builder_new(arena, "odd", "test", 1);
        struct op mate = cases[i].op;
        mate.kind = mate.kind == OP_SEND ? OP_RECV : OP_MARKER;
        job_builder_rank(builder, 0);
        job_builder_op(builder, &cases[i].op);
        job_builder_op(builder, &mate);
        job_builder_rank_end(builder, "odd", &diag);
        const struct job *job = NULL;
        CHECK_EQUAL(job_builder_finish(builder, &job, &diag), STATUS_OK);
        snprintf(prefix, sizeof prefix, "%s/odd", test_directory());
        for (size_t k = 0; k < 2; k++) {
            CHECK_EQUAL(writers[k]->write(job, prefix, wrote, sizeof wrote, &diag), STATUS_INPUT);
            CHECK_HOLDS(diag.text, cases[i].part);
        }
        snprintf(prefix, sizeof prefix, "%s/odd.goal", test_directory());
        CHECK_EQUAL(access(prefix, F_OK), -1);
        arena_free(arena);
    }
}

/* Only the job file has a place for what a sample stands for. */
static void test_samples_are_told(void)
{
    char prefix[1024];
    snprintf(prefix, sizeof prefix, "%s/sample", test_directory());
    CHECK(trace_loads("model:llama3-8b,sample_layers=4,sample_ranks=8,shrink=1000", 0, NULL, "generated"));
    for (size_t i = 0; trace_test.job != NULL && trace_writers[i] != NULL; i++) {
        char wrote[4352] = "";
        struct diag diag = {""};
        CHECK_EQUAL(trace_writers[i]->write(trace_test.job, prefix, wrote, sizeof wrote, &diag), STATUS_OK);
        CHECK((strstr(wrote, "is a sample of 32 ranks") != NULL) == (strcmp(trace_writers[i]->name, "job") != 0));
    }
}

TEST_MAIN("round_trip", TEST(test_samples_are_told), TEST(test_patterns), TEST(test_steps), TEST(test_samples), TEST(test_models), TEST(test_lowered),
          TEST(test_refusals))
