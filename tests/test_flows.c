/* Lists of flows: htsim's connection matrices and CSV.
 *
 * Asserted: sends and receives of every flow, start times as timers on a stream of their own, the three kinds
 * of triggers within a rank and between ranks, units, every refusal with its line, damaged files; the
 * published matrices load. Not asserted: when the flows end, which belongs to the replay. */
#include "tests/trace_check.h"

static const char cm[] = "# a comment\n"
                         "Nodes 8\r\n"
                         "Connections 5\n"
                         "Triggers 2\n"
                         "0->1 id 11 start 0 size 2000000 send_done_trigger 1\n"
                         "0->2 id 12 trigger 1 size 3000000000000\n"
                         "3->0\tid 13 start 7000.0 size 0 recv_done_trigger 2\n"
                         "4->4 id 14 start 5e3 size 9 send_done_trigger 2 prio 1\n"
                         "5->6 trigger 2 size 4\n"
                         "trigger id 1 oneshot\n"
                         "trigger id 2 barrier count 2";

static void test_cm(void)
{
    if (!trace_loads(trace_text("a.cm", cm), 0, NULL, "htsim_cm")) {
        return;
    }
    CHECK_EQUAL(trace_test.job->rank_count, 8);
    CHECK_EQUAL(trace_count(0, OP_SEND), 3); /* two flows and the signal to rank 5 */
    CHECK_EQUAL(trace_count(0, OP_RECV), 1);
    CHECK_EQUAL(trace_program(0)->source_id[trace_op(0, OP_SEND, 0)], 11);
    CHECK_EQUAL(trace_program(0)->bytes[trace_op(0, OP_SEND, 1)], UINT64_C(3000000000000));
    CHECK_EQUAL(job_peer(trace_test.job, 3, trace_program(3), trace_op(3, OP_SEND, 0)), 0);

    /* A start time is a timer that is no compute. */
    CHECK_EQUAL(trace_program(3)->duration_ps[trace_op(3, OP_COMPUTE, 0)], 7000);
    CHECK_EQUAL(trace_program(3)->stream[trace_op(3, OP_COMPUTE, 0)], 1);
    CHECK(trace_waits(3, trace_op(3, OP_SEND, 0), trace_op(3, OP_COMPUTE, 0)));
    CHECK_EQUAL(trace_count(0, OP_COMPUTE), 0);
    CHECK_EQUAL(trace_note("start time"), 2);

    /* Trigger 1 stays on rank 0; trigger 2 needs ranks 0 (receiver of 3->0) and 4, and tells rank 5. */
    CHECK_EQUAL(trace_note("from one rank to another"), 2); /* from 0 and 4 to 5 */
    uint32_t join = trace_op(0, OP_MARKER, 0), await = trace_op(0, OP_MARKER, 2);
    CHECK(trace_waits(0, join, trace_op(0, OP_SEND, 0)));
    CHECK(trace_waits(0, await, join));
    CHECK(trace_waits(0, trace_op(0, OP_SEND, 1), await));
    CHECK_EQUAL(trace_count(4, OP_SEND), 2); /* the flow to itself and the signal */
    CHECK_EQUAL(trace_count(4, OP_RECV), 1);
    CHECK_EQUAL(trace_count(5, OP_RECV), 2);
    CHECK_EQUAL(trace_program(5)->bytes[trace_op(5, OP_RECV, 0)], 0);
    CHECK(trace_waits(5, trace_op(5, OP_SEND, 0), trace_op(5, OP_MARKER, 0)));
    CHECK(trace_waits(5, trace_op(5, OP_MARKER, 0), trace_op(5, OP_RECV, 1)));
    CHECK_EQUAL(trace_count(7, OP_SEND), 0);
    CHECK_EQUAL(trace_note("priorities"), 1);
}

static void test_cm_multishot(void)
{
    static const char text[] = "Nodes 4\nConnections 5\nTriggers 1\n"
                               "0->1 id 1 start 1 size 1 send_done_trigger 9\n"
                               "0->1 id 2 start 2 size 1 send_done_trigger 9\n"
                               "0->1 id 3 start 2 size 1 send_done_trigger 9\n"
                               "0->2 id 4 trigger 9 size 1\n"
                               "0->3 id 5 trigger 9 size 1\n"
                               "trigger id 9 multishot\n";
    if (trace_loads(trace_text("m.cm", text), 0, "start_unit=us", "htsim_cm")) {
        CHECK_EQUAL(trace_count(0, OP_COMPUTE), 2);
        CHECK_EQUAL(trace_program(0)->duration_ps[trace_op(0, OP_COMPUTE, 1)], 1000000);
        CHECK(trace_waits(0, trace_op(0, OP_COMPUTE, 1), trace_op(0, OP_COMPUTE, 0)));
        CHECK_EQUAL(trace_note("multishot"), 2);
        CHECK_EQUAL(trace_note("start nothing more"), 1);
        CHECK_EQUAL(trace_note("from one rank to another"), 0);
        CHECK_EQUAL(trace_program(0)->tag[trace_op(0, OP_SEND, 2)],
                    0); /* flow 4: sends stand by start time */
        /* Equal pairs of ranks have different tags. */
        CHECK_EQUAL(trace_program(1)->tag[trace_op(1, OP_RECV, 2)], 2);
    }
}

static void test_cm_refusals(void)
{
    static const struct {
        const char *text, *part;
    } bad[] = {
        {"Nodes 4\nConnections 2\n0->1 start 0 size 5\n", "says Connections 2 but holds 1"},
        {"Nodes 4\nConnections 1\n0->4 start 0 size 5\n",
         "bad.cm:3: flow from 0 to 4; expected nodes below 4"},
        {"Nodes 4\nConnections 1\n0->1 start 0\n", "bad.cm:3: flow without a size"},
        {"Nodes 4\nConnections 1\n0->1 size 5\n", "neither a start nor a trigger"},
        {"Nodes 4\nConnections 1\n0->1 start 0 trigger 1 size 5\n", "both a start and a trigger"},
        {"Nodes 4\nConnections 1\n0->1 trigger 1 size 5\n", "bad.cm:3: trigger 1 is used but not defined"},
        {"Nodes 4\nConnections 1\nTriggers 1\n0->1 trigger 1 size 5\ntrigger id 1 oneshot\n",
         "bad.cm:5: trigger 1 fires after 1 of its events but has 0"},
        {"Nodes 4\nConnections 1\n0->1 start -1 size 5\n", "bad.cm:3: start -1; expected a time in ps"},
        {"Nodes 4\nConnections 1\n0->1 start 0 size 5 colour 3\n", "unknown word \"colour\""},
        {"Nodes 4\nConnections 1\n0->1 start 0 size 99999999999999999999\n", "size 99999999999999999999"},
        {"Nodes 4\nConnections 0\n", "holds no flow"},
        {"Nodes 4\nFlows 1\n", "bad.cm:2: begins with \"Flows\""},
        {"Nodes 99999999\n", "expected a whole number up to 1048576"},
        {"Nodes 0\nConnections 0\n", "has no nodes"},
        {"Nodes 4\nConnections 1\nTriggers 2\n0->1 start 0 size 1\ntrigger id 1 oneshot\ntrigger id 1 "
         "barrier\n",
         "defined twice"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        trace_refused(trace_text("bad.cm", bad[i].text), 0, NULL, bad[i].part);
    }
    trace_refused(trace_text("a.cm", cm), 7, NULL, "--ranks asks for 7");
    CHECK(trace_loads(trace_text("a.cm", cm), 9, NULL, "htsim_cm"));
}

static const char csv[] = "\xef\xbb\xbf# made by hand\r\n"
                          "id;Source;destination;size (KiB);start[us];colour\r\n"
                          "7;0;1;64;0;red\r\n"
                          "\"8\"; 1 ;2;2MB;12.5;blue\r\n"
                          "9;1;2;1;3ns;";

static void test_csv(void)
{
    if (!trace_loads(trace_text("f.csv", csv), 0, NULL, "flows_csv")) {
        return;
    }
    CHECK_EQUAL(trace_test.job->rank_count, 3);
    CHECK_EQUAL(trace_program(0)->bytes[0], 65536);
    CHECK_EQUAL(trace_program(0)->source_id[0], 7);
    CHECK_EQUAL(trace_program(1)->bytes[trace_op(1, OP_SEND, 1)], 2000000); /* the later one */
    CHECK_EQUAL(trace_program(1)->duration_ps[trace_op(1, OP_COMPUTE, 0)], 3000);
    CHECK_EQUAL(trace_program(1)->duration_ps[trace_op(1, OP_COMPUTE, 1)], 12497000);
    CHECK_EQUAL(trace_note("columns of other names"), 1);
    if (trace_loads(trace_text("g.csv", "src,dst,bytes\n3,3,0\n"), 8, NULL, "flows_csv")) {
        CHECK_EQUAL(trace_test.job->rank_count, 8);
        CHECK_EQUAL(trace_note("without a start time"), 1);
    }
}

static void test_csv_refusals(void)
{
    static const struct {
        const char *text, *part;
    } bad[] = {
        {"src,dst,bytes,start\n0,1,5,3\n", "bad.csv:2:7: \"3\" is a bare number; a time needs a unit"},
        {"src,dst,size\n0,1,5\n", "bad.csv:2:5: \"5\" is a bare number; a size needs a unit"},
        {"src,dst,bytes\n0,-1,5\n", "bad.csv:2:3: \"-1\" is no rank"},
        {"src,dst,bytes\n0,1\n", "bad.csv:2: has 2 fields; expected 3"},
        {"src,dst,bytes\n0,1,5,\n", "has 4 fields; expected 3"},
        {"src,dst,bytes,to\n0,1,5,6\n", "column \"to\" is named twice"},
        {"src,dst,bytes\n", "holds no flow"},
        {"src,bytes\n0,5\n", "names no dst"},
        {"src,dst,bytes\n0,1,99999999TB\n", "bad.csv:2:5"},
        {"src,dst,bytes\n0,5000000,1\n", "is no rank"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char spec[1200];
        snprintf(spec, sizeof spec, "flows_csv:%s", trace_text("bad.csv", bad[i].text));
        trace_refused(spec, 0, NULL, bad[i].part);
    }
    trace_refused(trace_text("f.csv", csv), 2, NULL, "--ranks asks for 2");
}

static void test_damage(void)
{
    trace_same_gzipped("z.cm", cm, sizeof cm - 1, 0, NULL);
    trace_same_gzipped("z.csv", csv, sizeof csv - 1, 0, NULL);
    /* What a matrix says of itself tells every cut; a CSV says nothing, and some cuts leave whole rows. */
    CHECK_EQUAL(trace_cut_everywhere("htsim_cm:", "cut.cm", cm, sizeof cm - 1, 0, NULL), 0);
    CHECK(trace_cut_everywhere("flows_csv:", "cut.csv", csv, sizeof csv - 1, 0, NULL) < 40);
    trace_cut_everywhere("", "cut2.csv", csv, sizeof csv - 1, 0, NULL);
    trace_damage("htsim_cm:", "d.cm", cm, sizeof cm - 1, 0, NULL, 2000);
    trace_damage("flows_csv:", "d.csv", csv, sizeof csv - 1, 0, NULL, 2000);
}

static void test_published(void)
{
    static const struct {
        const char *path;
        uint32_t ranks, flows;
    } files[] = {
        {"peers/one_128.cm", 128, 1},
        {"peers/one_near.cm", 128, 1},
        {"peers/perm_128n_128c_2MB.cm", 128, 128},
        {"peers/perm_1024n_1024c_0u_2000000b.cm", 1024, 1024},
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        const char *path = test_corpus(files[i].path);
        if (path == NULL) {
            return;
        }
        if (trace_loads(path, 0, NULL, "htsim_cm")) {
            struct job_totals totals;
            job_totals(trace_test.job, &totals);
            CHECK_EQUAL(trace_test.job->rank_count, files[i].ranks);
            CHECK_EQUAL(totals.ops[OP_SEND], files[i].flows);
            CHECK_EQUAL(totals.message_bytes, files[i].flows * UINT64_C(2000000));
        }
    }
}

TEST_MAIN("flows", TEST(test_cm), TEST(test_cm_multishot), TEST(test_cm_refusals), TEST(test_csv),
          TEST(test_csv_refusals), TEST(test_damage), TEST(test_published))
