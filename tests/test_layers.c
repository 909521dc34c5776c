/* Tables of layers: ASTRA-sim 1.0's text workloads and SimAI's; AICB's lists of collectives.
 *
 * Asserted: the order of operations of every policy; groups; what is left out and counted; kinds, sizes
 * beyond 32 bits, CRLF, tabs; which of the two formats a file is; refusals; damaged files; the published
 * workloads. Not asserted: times; the order in which ASTRA-sim's queue takes collectives, which is not
 * modelled. */
#include "tests/trace_check.h"

/* The names of a rank's operations in canonical order, without the rows' prefix: "a.forward b.forward ...".
 */
static const char *sequence(void)
{
    static char text[8192];
    const struct program *program = trace_program(0);
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t position = 0; position < program->op_count; position++) {
        for (uint32_t op = 0; op < program->op_count; op++) {
            if (program->order[op] == position) {
                used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", used > 0 ? " " : "",
                                         op_name(program, op));
            }
        }
    }
    return text;
}

static uint32_t op_named(const char *name, uint32_t n)
{
    const struct program *program = trace_program(0);
    for (uint32_t op = 0; op < program->op_count; op++) {
        if (strcmp(op_name(program, op), name) == 0 && n-- == 0) {
            return op;
        }
    }
    return ID_NONE;
}

static bool waits(const char *name, const char *on)
{
    return trace_waits(0, op_named(name, 0), op_named(on, 0));
}

#define ROWS                                                                                                 \
    "2\na -1 10 ALLGATHER 100 20 ALLREDUCE 200 30 ALLREDUCE 300 0\nb -1 11 NONE 0 21 ALLTOALL 5000000000 "   \
    "31 NONE 0 0\n"

static bool astra(const char *head, uint32_t ranks, const char *settings)
{
    char text[1024];
    snprintf(text, sizeof text, "%s\r\n%s", head, ROWS);
    return trace_loads(trace_text("w.txt", text), ranks, settings, "astra_text");
}

static void test_data(void)
{
    if (astra("DATA", 4, NULL)) {
        CHECK_TEXT(sequence(), "a.forward b.forward b.weight_gradient b.input_gradient a.weight_gradient "
                               "a.weight_gradient.all_reduce");
        CHECK(waits("a.weight_gradient.all_reduce", "a.weight_gradient"));
        CHECK_EQUAL(trace_note("policy never runs"), 3);
        CHECK_EQUAL(trace_note_bytes("policy never runs"), UINT64_C(5000000300));
        CHECK_EQUAL(trace_program(0)->duration_ps[0], 10000);
        CHECK_EQUAL(job_group_size(trace_test.job, 0), 4);
        CHECK_EQUAL(trace_test.job->program_count, 1);
    }
    if (astra("DATA\t\t", 4, "passes=2 cycle=2ns")) {
        /* The second pass waits for the first one's gradients, row by row. */
        CHECK(trace_waits(0, op_named("a.weight_gradient.wait", 0),
                          op_named("a.weight_gradient.all_reduce", 0)));
        CHECK(trace_waits(0, op_named("a.forward", 1), op_named("a.weight_gradient.wait", 0)));
        CHECK_EQUAL(trace_program(0)->duration_ps[0], 20000);
    }
}

static void test_hybrid(void)
{
    if (astra("HYBRID_DATA_MODEL", 8, "first_dimension=2")) {
        CHECK_TEXT(sequence(),
                   "a.forward a.forward.all_gather b.forward b.input_gradient "
                   "b.input_gradient.all_to_all b.weight_gradient b.input_gradient.wait a.input_gradient "
                   "a.weight_gradient a.weight_gradient.all_reduce");
        CHECK(waits("b.forward", "a.forward.all_gather"));     /* blocks */
        CHECK(waits("b.weight_gradient", "b.input_gradient")); /* runs beside */
        CHECK(waits("a.input_gradient", "b.input_gradient.wait"));
        CHECK_EQUAL(trace_note("policy never runs"), 1); /* the input gradient of row 0 */
        const struct job *job = trace_test.job;
        uint32_t model = job_group(job, 5, 0), data = job_group(job, 5, 1);
        CHECK_TEXT(job->group_name[model], "model");
        CHECK_EQUAL(job->group_rank[job->group_first[model]], 4); /* 4 5 */
        CHECK_EQUAL(job_group_size(job, model), 2);
        CHECK_EQUAL(job->group_rank[job->group_first[data]], 1); /* 1 3 5 7 */
        CHECK_EQUAL(job_group_size(job, data), 4);
        uint32_t gather = op_named("a.forward.all_gather", 0);
        CHECK_EQUAL(trace_program(0)->bytes[gather], 100); /* a rank's part */
        CHECK_EQUAL(trace_program(0)->bytes[op_named("b.input_gradient.all_to_all", 0)],
                    UINT64_C(5000000000));
    }
    if (astra("HYBRID_MODEL_DATA", 8, "first_dimension=2")) {
        CHECK_EQUAL(job_group_size(trace_test.job, job_group(trace_test.job, 5, 0)), 4); /* model: far */
        CHECK_EQUAL(job_group_size(trace_test.job, job_group(trace_test.job, 5, 1)), 2);
    }
    if (astra("MODEL", 4, NULL)) {
        CHECK_EQUAL(trace_note("policy never runs"), 2);
        CHECK_EQUAL(trace_count(0, OP_COLLECTIVE), 2);
    }
    if (astra("DISTRIBUTED_INFERENCE", 4, NULL)) {
        CHECK_TEXT(sequence(), "a.forward a.forward.all_gather b.forward");
    }
}

static void test_transformer(void)
{
    if (astra("HYBRID_TRANSFORMER\tmodel_parallel_NPU_group: 2\t", 8, NULL)) {
        CHECK_TEXT(sequence(), "a.forward a.forward.all_gather b.forward b.input_gradient "
                               "b.input_gradient.all_to_all b.weight_gradient a.input_gradient "
                               "a.input_gradient.all_reduce a.weight_gradient a.weight_gradient.all_reduce");
        CHECK(waits("b.weight_gradient", "b.input_gradient.all_to_all")); /* blocks */
    }
    static const char checkpoints[] = "HYBRID_TRANSFORMER_FWD_IN_BCKWD model_parallel_NPU_group: 1 "
                                      "checkpoints: 1 0 checkpoint_initiates: 1 2\n3\n"
                                      "a -1 1 NONE 0 2 NONE 0 3 NONE 0 10\nb -1 1 NONE 0 2 NONE 0 3 NONE 0 "
                                      "10\nc -1 1 NONE 0 2 NONE 0 3 NONE 0 10";
    if (trace_loads(trace_text("f.txt", checkpoints), 2, NULL, "astra_text")) {
        CHECK_TEXT(sequence(),
                   "a.forward b.forward c.forward a.forward b.forward c.input_gradient c.weight_gradient "
                   "b.input_gradient b.weight_gradient a.input_gradient a.weight_gradient");
    }
}

static void test_dlrm_and_others(void)
{
    static const char dlrm[] =
        "HYBRID_DLRM 1\n3\ne -1 5 ALLTOALL 100 6 ALLTOALL 200 7 NONE 0 8\n"
        "b -1 5 NONE 0 6 NONE 0 7 ALLREDUCE 10 8\nt -1 5 NONE 0 6 NONE 0 7 ALLREDUCE 10 8\n";
    if (trace_loads(trace_text("d.txt", dlrm), 4, NULL, "astra_text")) {
        CHECK(waits("b.forward", "e.forward")); /* the exchange of the embeddings runs beside */
        CHECK(waits("e.forward.wait", "e.forward.update") && waits("t.forward", "e.forward.wait"));
        CHECK(waits("e.input_gradient.all_to_all", "t.input_gradient"));
        CHECK(waits("e.input_gradient.wait", "e.input_gradient.update"));
        CHECK(trace_program(0)->stream[op_named("e.forward.update", 0)] != STREAM_COMPUTE);
    }
    static const char custom[] = "HYBRID_CUSTOMIZED\n2\na -1 1 ALLREDUCE 10 1 NONE 0 1 ALLREDUCE 20 0 DATA\n"
                                 "b -1 1 ALLREDUCEALLTOALL 10 1 NONE 0 1 BROADCAST 20 0 MODEL\n";
    if (trace_loads(trace_text("c.txt", custom), 4, "first_dimension=2", "astra_text")) {
        CHECK_EQUAL(trace_count(0, OP_COLLECTIVE), 3); /* a's gradient; b's two */
        CHECK(waits("b.forward.all_to_all", "b.forward.all_reduce"));
        CHECK_EQUAL(trace_note("unknown kind BROADCAST"), 1);
        CHECK_EQUAL(trace_note_bytes("unknown kind BROADCAST"), 20);
        CHECK_EQUAL(trace_note("policy never runs"), 1);
    }
    static const char micro[] = "MICRO\n2\na -1 5 NONE 0 5 NONE 0 5  ALLREDUCE 1048576 5\r\n"
                                "b -1 5 NONE 0 5 NONE 0 5  ALLTOALL 64 0\r\n";
    if (trace_loads(trace_text("m.txt", micro), 4, NULL, "astra_text")) {
        CHECK_TEXT(sequence(),
                   "a.weight_gradient.all_reduce a.weight_gradient.update b.weight_gradient.all_to_all");
        CHECK_EQUAL(trace_note("rows of a MICRO"), 2);
    }
}

static const char simai[] =
    "HYBRID_TRANSFORMER_FWD_IN_BCKWD model_parallel_NPU_group: 2 ep: 2 pp: 3 vpp: 8 ga: 24 all_gpus: 24 "
    "checkpoints: 0 checkpoint_initiates: 0 pp_comm 50331648\n3\n"
    "norm\t-1\t1\tNONE\t0\t1\tNONE\t0\t1\tALLGATHER\t10000000001\t0\n"
    "moe -1 7.0 ALLTOALL_EP 100 8 ALLTOALL 200 9 REDUCESCATTER_DP_EP 38654705664 0\n"
    "x -1 1 ALLREDUCE 0 1 BROADCAST 5 1 ALLREDUCEALLTOALL 6 0";

static void test_simai(void)
{
    if (!trace_loads(trace_text("s.txt", simai), 0, NULL, "simai_text")) {
        return;
    }
    const struct job *job = trace_test.job;
    CHECK_EQUAL(job->rank_count, 24);
    CHECK_EQUAL(job->program_count, 1);
    static const struct {
        const char *op, *group;
        uint32_t size, first, second; /* of rank 13: stage 1 (8..15), data 2, tensor 1 */
        uint64_t bytes;
    } good[] = {
        {"norm.weight_gradient.all_gather", "data", 4, 9, 11,
         UINT64_C(2500000001)}, /* the result among four */
        {"moe.forward.all_to_all", "expert", 2, 13, 15, 100},
        {"moe.input_gradient.all_to_all", "model", 2, 12, 13, 200},
        {"moe.weight_gradient.reduce_scatter", "expert_data", 2, 9, 13, UINT64_C(38654705664)},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint32_t op = op_named(good[i].op, 0);
        CHECK(op != ID_NONE);
        if (op != ID_NONE) {
            uint32_t group = job_group(job, 13, trace_program(13)->group_slot[op]);
            const uint32_t *member = job->group_rank + job->group_first[group];
            CHECK_TEXT(job->group_name[group], good[i].group);
            CHECK_EQUAL(job_group_size(job, group), good[i].size);
            CHECK_EQUAL(member[0], good[i].first);
            CHECK_EQUAL(member[1], good[i].second);
            CHECK_EQUAL(trace_program(13)->bytes[op], good[i].bytes);
        }
    }
    CHECK_EQUAL(trace_program(0)->duration_ps[op_named("moe.forward", 0)], 7000);
    CHECK_EQUAL(trace_note("pipeline stages"), 3);
    CHECK_EQUAL(trace_note_bytes("messages between pipeline stages"), UINT64_C(2 * 8 * 24) * 50331648);
    CHECK_EQUAL(trace_note("of no bytes"), 1);
    CHECK_EQUAL(trace_note("kind BROADCAST"), 1);
    CHECK_EQUAL(trace_note("kind ALLREDUCEALLTOALL"), 1);
    if (trace_loads(trace_text("s.txt", simai), 12, "all_gather=part", "simai_text")) {
        CHECK_EQUAL(trace_program(0)->bytes[op_named("norm.weight_gradient.all_gather", 0)],
                    UINT64_C(10000000001));
        CHECK_EQUAL(trace_note("that the file was made for"), 24);
        CHECK_EQUAL(trace_note("group of one rank"), 1); /* one expert a rank is left */
    }
}

static const char aicb[] =
    "[rank0 ~ rank15]\r\n"
    "comm_type,comm_group,comm_group_size,msg_size,stage,dst,src,additional,_elapsed_time,algbw,busbw,count\n"
    "CommType.all_reduce,CommGroup.tp_group,2,5000000000,forward,None,None,,None,None,None,2\n"
    "CommType.all_gather,CommGroup.dp_group,4,10,init,None,None,,None,None,None,1\n"
    "CommType.broadcast,CommGroup.tp_group,2,24,init,None,1,,None,None,None,1\n"
    "CommType.all_to_all,CommGroup.ep_group,4.0,64,moe,None,None,,None,None,None,1\n"
    "CommType.computation,None,None,0,x,None,None,,None,None,None,1\n"
    "CommType.isend,CommGroup.pp_group,2,4,x,None,None,,None,None,None,1\n"
    "CommType.epoch_end,None,None,0,,None,None,,None,None,None,1";

static void test_aicb(void)
{
    if (!trace_loads(trace_text("a.csv", aicb), 0, NULL, "aicb_csv")) {
        return;
    }
    const struct job *job = trace_test.job;
    const struct program *program = trace_program(11);
    CHECK_EQUAL(job->rank_count, 16);
    CHECK_EQUAL(program->op_count, 5);
    CHECK_EQUAL(program->bytes[1], UINT64_C(5000000000));
    CHECK(trace_waits(11, 1, 0));
    CHECK_EQUAL(program->bytes[2], 3); /* ten bytes among four, rounded up */
    CHECK_EQUAL(program->root[3], 1);
    uint32_t data = job_group(job, 11, program->group_slot[2]);
    CHECK_EQUAL(job->group_rank[job->group_first[data]], 9); /* 9 11 13 15 */
    CHECK_EQUAL(trace_note("computation rows"), 1);
    CHECK_EQUAL(trace_note("pipeline messages"), 1);
    CHECK_EQUAL(trace_note("other kinds"), 1);
    trace_refused(trace_text("a.csv", aicb), 12, NULL,
                  "has groups dp_group of 4 ranks, 2 apart, which do not fill 12");
    static const char head[] = "comm_type,comm_group,comm_group_size,msg_size,stage,dst,src,count\n";
    static const struct {
        const char *row, *part;
    } bad[] = {
        {"CommType.all_reduce,CommGroup.tp_group,2,x,,None,None,1", "bad.csv:2: msg_size is \"x\""},
        {"CommType.all_reduce,CommGroup.pp_group,2,1,,None,None,1", "group \"pp_group\""},
        {"CommType.all_reduce,CommGroup.tp_group,0,1,,None,None,1", "has 0 ranks"},
        {"CommType.broadcast,CommGroup.tp_group,2,1,,None,2,1", "src is \"2\"; expected a number up to 1"},
        {"CommType.all_reduce,CommGroup.tp_group,2,1,,None,None,1", "expected --ranks N"},
        {"CommType.wave,CommGroup.tp_group,2,1,,None,None,1", "holds no collective"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[512];
        snprintf(text, sizeof text, "%s%s\n", head, bad[i].row);
        trace_refused(trace_text("bad.csv", text), 0, NULL, bad[i].part);
    }
    trace_same_gzipped("z.csv", aicb, sizeof aicb - 1, 0, NULL);
    trace_cut_everywhere("aicb_csv:", "cut.csv", aicb, sizeof aicb - 1, 0, NULL);
    trace_damage("aicb_csv:", "d.csv", aicb, sizeof aicb - 1, 0, NULL, 2000);
    const char *path = test_corpus("traces/simai_text/aicb/G13B-M1-C01_GPT13B_megatron_tp8_pp1_mbs1.csv");
    if (path != NULL && trace_loads(path, 0, NULL, "aicb_csv")) {
        CHECK_EQUAL(trace_test.job->rank_count, 128);
        CHECK_EQUAL(trace_count(0, OP_COLLECTIVE), 179);
    }
}

static void table_refused(const char *text, uint32_t ranks, const char *part)
{
    trace_refused(trace_text("bad.txt", text), ranks, NULL, part);
}

static void test_refusals(void)
{
    table_refused("DATA\n" ROWS, 0, "expected --ranks N");
    table_refused("HYBRID_DATA_MODEL\n" ROWS, 4, "expected trace.first_dimension=N");
    table_refused("HYBRID_TRANSFORMER\n" ROWS, 4, "bad.txt:1: has no model_parallel_NPU_group");
    table_refused("HYBRID_TRANSFORMER model_parallel_NPU_group: 3\n" ROWS, 4, "model groups of 3 ranks");
    table_refused("HYBRID_TRANSFORMER model_parallel_NPU_group: x\n" ROWS, 4, "is followed by \"x\"");
    table_refused("HYBRID_DLRM\n" ROWS, 4, "bad.txt:1: has no last bottom layer");
    table_refused("DATA 7\n" ROWS, 4, "unknown word \"7\" behind the policy");
    table_refused("DATA\nx\n", 4, "bad.txt:2: \"x\" is no number of rows");
    table_refused("DATA\n0\n", 4, "is no number of rows");
    table_refused("DATA\n2\na -1 1 NONE 0 1 NONE 0 1 NONE 0 1\n", 4, "ends in row 2 of 2, before its name");
    table_refused("DATA\n1\na -1 1 NONE 0 1 NONE\n", 4, "ends in row 1 of 1, before its communication size");
    table_refused("DATA\n1\na -1 1 NONE 0 1 NONE 0 1 NONE 0 1 b\n", 4,
                  "goes on with \"b\" behind its 1 rows");
    table_refused("DATA\n1\na -1 -1 NONE 0 1 NONE 0 1 NONE 0 1\n", 4,
                  "bad.txt:3: row 1: compute time is \"-1\"");
    table_refused("DATA\n1\na -1 1000000000000000000 NONE 0 1 NONE 0 1 NONE 0 1\n", 4, "computes too long");
    table_refused("HYBRID_TRANSFORMER_FWD_IN_BCKWD model_parallel_NPU_group: 1 checkpoints: 1 1 "
                  "checkpoint_initiates: 1 0\n" ROWS,
                  2, "row 0 starts from a checkpoint, but none");
    table_refused("HYBRID_TRANSFORMER_FWD_IN_BCKWD model_parallel_NPU_group: 1 checkpoints: 1 2\n" ROWS, 2,
                  "expected rows below 2");
    table_refused("HYBRID_CUSTOMIZED\n1\na -1 1 NONE 0 1 NONE 0 1 NONE 0 1 MICRO\n", 2,
                  "has the policy \"MICRO\"");
    trace_refused(trace_text("s.txt", simai), 13, NULL,
                  "13 ranks in tensor groups of 2 and 3 pipeline stages");
    trace_refused(trace_text("s.txt", simai), 6, NULL, "expert groups of 2 among 1");
    table_refused("MICRO\n1\nmicro_test -1 1 NONE 0 1 NONE 0 1 NONE 0 1\n", 0, "says nothing of all_gpus");
}

static void test_damage(void)
{
    static const char text[] = "HYBRID_TRANSFORMER\tmodel_parallel_NPU_group: 2\r\n" ROWS;
    trace_same_gzipped("z.txt", text, sizeof text - 1, 4, NULL);
    trace_same_gzipped("z2.txt", simai, sizeof simai - 1, 0, NULL);
    /* Only the last number may be cut into another one. */
    CHECK(trace_cut_everywhere("astra_text:", "cut.txt", text, sizeof text - 1, 4, NULL) <= 2);
    CHECK_EQUAL(trace_cut_everywhere("simai_text:", "cut.txt", simai, sizeof simai - 1, 0, NULL), 0);
    trace_damage("astra_text:", "d.txt", text, sizeof text - 1, 4, NULL, 2000);
    trace_damage("simai_text:", "d.txt", simai, sizeof simai - 1, 0, NULL, 2000);
}

static void test_published(void)
{
    static const struct {
        const char *path, *format, *settings;
        uint32_t ranks, collectives; /* of one rank */
    } files[] = {
        {"traces/astra1_text/DLRM_HybridParallel.txt", "astra_text", NULL, 16, 9},
        {"traces/astra1_text/MLP_HybridParallel_Data_Model.txt", "astra_text", "first_dimension=4", 16, 17},
        {"traces/astra1_text/MLP_ModelParallel.txt", "astra_text", NULL, 16, 11},
        {"traces/astra1_text/Resnet50_DataParallel.txt", "astra_text", NULL, 16, 54},
        {"traces/astra1_text/Transformer_HybridParallel.txt", "astra_text", NULL, 16, 70},
        {"traces/astra1_text/Transformer_HybridParallel_Fwd_In_Bckwd.txt", "astra_text", NULL, 16, 29},
        {"traces/astra1_text/microAllReduce.txt", "astra_text", NULL, 16, 1},
        {"traces/astra1_text/microAllToAll.txt", "astra_text", NULL, 16, 1},
        {"traces/simai_text/microAllReduce.txt", "simai_text", NULL, 0, 2},
        {"traces/simai_text/workload_analytical.txt", "simai_text", NULL, 0, 3324},
        {"traces/simai_text/aicb/L7B-D1-C02_Llama7B_deepspeed_zero3_A100.txt", "simai_text", NULL, 16, 13},
        {"traces/simai_text/aicb/L7B-M1-C04_Llama7B_megatron_tp2_pp1_mbs1_A100.txt", "simai_text", NULL, 16,
         141},
        {"traces/simai_text/aicb/all_gather.txt", "simai_text", NULL, 16, 19},
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        const char *path = test_corpus(files[i].path);
        if (path == NULL) {
            return;
        }
        if (trace_loads(path, files[i].ranks, files[i].settings, files[i].format)) {
            CHECK_EQUAL(trace_count(0, OP_COLLECTIVE), files[i].collectives);
            CHECK_EQUAL(trace_test.job->program_count, 1);
        }
    }
}

TEST_MAIN("layers", TEST(test_data), TEST(test_hybrid), TEST(test_transformer), TEST(test_dlrm_and_others),
          TEST(test_simai), TEST(test_aicb), TEST(test_refusals), TEST(test_damage), TEST(test_published))
