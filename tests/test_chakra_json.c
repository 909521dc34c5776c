/* Chakra's JSON variant.
 *
 * Asserted: every key, in both spellings; escapes; fractions of microseconds; the JSON and the protobuf form
 * of one trace are one job (by converting); sets of rank files; refusals with their line; damaged files; the
 * published traces. What nodes mean is asserted in test_chakra.c: both forms take the same way. */
#include "photonet/units.h"
#include "tests/trace_check.h"

static const char text[] =
    "{\"workload_name\": \"w\", \"nested\": [{\"workload_graph\": [1, -2.5e3, null]}, \"}\"],\r\n"
    " \"workload_graph\" : [\n"
    "  {\"Id\": 7, \"Name\": \"a\\u00e4\\ud83d\\ude00\\\"\\n\", \"NodeType\": 4, \"ctrlDeps\": [], "
    "\"data_deps\": [], "
    "\"runtime\": 318, \"is_cpu_op\": false},\n"
    "  {\"id\": 9, \"name\": \"ar\", \"type\": 7, \"data_deps\": [7, 8], \"comm_type\": 0, \"comm_size\": "
    "5000000000, "
    "\"comm_priority\": 1, \"is_cpu_op\": 0},\n"
    "  {\"Id\": 8, \"NodeType\": 4, \"Name\": \"c\", \"dataDeps\": [7], \"ctrl_deps\": [7], \"runtime\": "
    "0.25, \"is_cpu_op\": true},\n"
    "  {\"Id\": 10, \"NodeType\": 5, \"Name\": \"s\", \"comm_size\": 12, \"comm_src\": 0, \"comm_dst\": 0, "
    "\"comm_tag\": 3},\n"
    "  {\"Id\": 11, \"NodeType\": 6, \"Name\": \"r\", \"comm_size\": 12, \"comm_src\": 0, \"comm_dst\": 0, "
    "\"comm_tag\": 3},\n"
    "  {\"Id\": 12, \"NodeType\": 2, \"Name\": \"m\", \"tensor_size\": 64, \"runtime\": 2, \"extra\": "
    "{\"x\": [true]}}\n"
    " ], \"ngpus\": 8}\n";

static void test_nodes(void)
{
    if (!trace_loads(trace_text("t.0.json", text), 1, NULL, "chakra_json")) {
        return;
    }
    const struct program *program = trace_program(0);
    CHECK_EQUAL(program->op_count, 6);
    uint32_t a = trace_op(0, OP_COMPUTE, 0), c = trace_op(0, OP_COMPUTE, 1),
             ar = trace_op(0, OP_COLLECTIVE, 0);
    CHECK_TEXT(op_name(program, a), "a\xc3\xa4\xf0\x9f\x98\x80\"\n");
    CHECK_EQUAL(program->duration_ps[a], 318 * PS_PER_US);
    CHECK_EQUAL(program->stream[a], STREAM_COMPUTE);
    CHECK_EQUAL(program->duration_ps[c], 250000);
    CHECK(program->stream[c] != STREAM_COMPUTE);
    CHECK_EQUAL(program->bytes[ar], UINT64_C(5000000000));
    CHECK_EQUAL(program->source_id[ar], 9);
    CHECK(trace_waits(0, ar, a) && trace_waits(0, ar, c) && trace_waits(0, c, a));
    CHECK_EQUAL(program->tag[trace_op(0, OP_SEND, 0)], 3);
    CHECK_EQUAL(program->bytes[trace_op(0, OP_MEMORY, 0)], 64);
    CHECK_EQUAL(trace_note("control dependencies"), 1);
}

static void test_set(void)
{
    static const char send[] =
        "{\"workload_graph\": [{\"Id\": 0, \"NodeType\": 5, \"comm_dst\": 1, \"comm_size\": 5}]}";
    static const char receive[] =
        "{\"workload_graph\": [{\"Id\": 0, \"NodeType\": 6, \"comm_src\": 0, \"comm_size\": 5}]}";
    trace_text("set.0.json", send);
    trace_text("set.1.json", receive);
    char prefix[1024];
    snprintf(prefix, sizeof prefix, "%s/set", test_directory());
    if (trace_loads(prefix, 0, NULL, "chakra_json")) {
        CHECK_EQUAL(trace_test.job->rank_count, 2);
        CHECK_EQUAL(trace_count(1, OP_RECV), 1);
    }
}

static void refused(const char *content, const char *part)
{
    char spec[1100];
    snprintf(spec, sizeof spec, "chakra_json:%s", trace_text("bad.0.json", content));
    trace_refused(spec, 2, NULL, part);
}

#define NODE(text_) "{\"workload_graph\": [\n" text_ "]}"

static void test_refusals(void)
{
    refused(NODE("{\"Id\": 4, \"NodeType\": 4, \"Name\": \"x\"},\n{\"Id\": 4, \"NodeType\": 4}"),
            "given twice");
    refused(NODE("{\"NodeType\": 4}"), "bad.0.json:2: node 0 \"\" has no Id");
    refused(NODE("{\"Id\": 4}"), "has no NodeType");
    refused(NODE("{\"Id\": 4, \"NodeType\": 9}"), "unknown node type");
    refused(NODE("{\"Id\": -4, \"NodeType\": 4}"), "Id is \"-4\"; expected a whole number from 0");
    refused(NODE("{\"Id\": 4, \"Name\": \"x\", \"NodeType\": \"COMP\"}"),
            "node 4 \"x\": NodeType is \"COMP\"");
    refused(NODE("{\"Id\": 4, \"NodeType\": 4, \"data_deps\": 3}"), "data_deps is \"3\"; expected a list");
    refused(NODE("{\"Id\": 4, \"NodeType\": 4, \"data_deps\": [3 4]}"), "expected a list of node ids");
    refused(NODE("{\"Id\": 4, \"NodeType\": 4, \"runtime\": -1}"), "runtime is \"-1\"");
    refused(NODE("{\"Id\": 4, \"NodeType\": 4, \"runtime\": 99999999999999999999}"), "runtime is");
    refused(NODE("{\"Id\": 4, \"NodeType\": 7, \"Name\": \"x\"}"),
            "node 4 \"x\": collective without comm_type and comm_size");
    refused(NODE("{\"Id\": 4, \"NodeType\": 7, \"comm_type\": 0, \"comm_size\": 1.5}"),
            "comm_size is \"1.5\"");
    refused(NODE("{\"Id\": 4, \"NodeType\": 4, \"Name\": \"\\x\"}"), "unknown escape");
    refused(NODE("{\"Id\": 4, \"NodeType\": 4, \"Name\": \"\\ud800\"}"), "unknown escape");
    refused(NODE("{\"Id\": 4, \"NodeType\": 4, \"Name\": \"a\tb\"}"), "control character");
    refused(NODE("7"), "bad.0.json:2: workload_graph holds something else than nodes");
    refused(NODE("{\"Id\": 4, \"NodeType\": 4}") "x", "goes on behind its end");
    refused("{\"workload_graph\": [", "ends too early");
    refused("{\"workload_graph\": 4}", "is no list");
    refused("{\"schema\": \"1.0.2\", \"nodes\": []}", "is a PyTorch execution trace");
    refused("{\"1\": [0, 1]}", "is JSON without workload_graph");
}

static void test_sizeless(void)
{
    static const char content[] = NODE("{\"Id\": 4, \"NodeType\": 7, \"Name\": \"x\", \"runtime\": 28},\n"
                                       "{\"Id\": 5, \"NodeType\": 5, \"comm_size\": 28, \"runtime\": 1},\n"
                                       "{\"Id\": 6, \"NodeType\": 7, \"comm_type\": 9}");
    if (trace_loads(trace_text("z.0.json", content), 2, "sizeless=duration", "chakra_json")) {
        CHECK_EQUAL(trace_count(0, OP_COLLECTIVE), 1); /* the barrier needs no size */
        CHECK_EQUAL(trace_program(0)->duration_ps[0], 28 * PS_PER_US);
        CHECK(trace_program(0)->stream[0] != STREAM_COMPUTE);
        CHECK_EQUAL(trace_note("without kind, size or partner"), 2);
    }
}

static void test_damage(void)
{
    trace_same_gzipped("z.0.json", text, sizeof text - 1, 1, NULL);
    CHECK_EQUAL(trace_cut_everywhere("chakra_json:", "c.0.json", text, sizeof text - 1, 1, NULL),
                1); /* the last \n */
    trace_cut_everywhere("", "c.0.json", text, sizeof text - 1, 1, NULL);
    trace_damage("chakra_json:", "d.0.json", text, sizeof text - 1, 1, "sizeless=duration", 4000);
}

static void test_published(void)
{
    const char *path = test_corpus("traces/chakra/mlcommons_tests/json_trace.tar.gz");
    if (path == NULL) {
        return;
    }
    char output[512], file[1200];
    CHECK_EQUAL(test_shell(output, sizeof output, "tar -xzf '%s' -C '%s' --strip-components=1", path,
                           test_directory()),
                0);
    static const struct {
        const char *name;
        uint32_t ops, sizeless, duplicates;
    } files[] = {{"chakra.0.json", 3664, 7, 14}, {"small_chakra.0.json", 7, 1, 2}};
    for (size_t i = 0; i < 2; i++) {
        snprintf(file, sizeof file, "%s/%s", test_directory(), files[i].name);
        trace_refused(file, 8, NULL, "node 435 \"ncclKernel_Broadcast_RING_LL_Sum_int8_t(");
        CHECK_HOLDS(trace_test.diag.text, "collective without comm_type and comm_size");
        if (trace_loads(file, 8, "sizeless=duration", "chakra_json")) {
            CHECK_EQUAL(trace_program(0)->op_count, files[i].ops);
            CHECK_EQUAL(trace_note("without kind, size or partner"), files[i].sizeless);
            CHECK_EQUAL(trace_note("CPU-side duplicates"), files[i].duplicates);
        }
    }
    snprintf(file, sizeof file, "%s", test_corpus("traces/chakra/mlcommons_tests/1.0.2-chakra.0.0.4.tgz"));
    CHECK_EQUAL(test_shell(output, sizeof output, "tar -xzf '%s' -C '%s'", file, test_directory()), 0);
    snprintf(file, sizeof file, "%s/1.0.2-chakra.0.0.4.json", test_directory());
    trace_refused(file, 8, NULL, "is a PyTorch execution trace");
}

/* A collective in a trace lasts as long as its slowest rank let it: how long is for the simulation to find. And kernels are
 * called after LL whatever their protocol is: a name says nothing. */
static void test_what_is_not_believed(void)
{
    static const char *const names[] = {"ncclKernel_AllReduce_RING_LL_Sum_float", "ncclDevKernel_AllGather_TREE_LL128", "x"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char node[400];
        snprintf(node, sizeof node, "{\"workload_graph\": [{\"Id\": 0, \"Name\": \"%s\", \"NodeType\": 7, \"comm_type\": 0, "
                                    "\"comm_size\": 1048576, \"runtime\": %zu000, \"data_deps\": []}]}", names[i], i);
        if (trace_loads(trace_text("n.0.json", node), 4, NULL, "chakra_json")) {
            const struct program *program = trace_program(0);
            CHECK_EQUAL(program->kind[0], OP_COLLECTIVE);
            CHECK_EQUAL(program->collective[0], COLLECTIVE_ALL_REDUCE);
            CHECK_EQUAL(program->bytes[0], 1048576);
            CHECK_EQUAL(program->duration_ps[0], 0);
        }
    }
}

TEST_MAIN("chakra_json", TEST(test_nodes), TEST(test_what_is_not_believed), TEST(test_set), TEST(test_refusals), TEST(test_sizeless),
          TEST(test_damage), TEST(test_published))
