/* SimGrid's time-independent traces.
 *
 * Asserted: both layouts; data types and the meaning of init; what blocks and what does not; the requests
 * that wait and waitall end; every collective's kind, size and root; the corrupt lines of
 * MPI_Reduce_scatter_block; receives of unknown length; refusals with file, line and rank; damaged files; the
 * published trace. Not asserted: times, which need a network. */
#include "tests/trace_check.h"

#include "photonet/units.h"

#include <sys/stat.h>

static const char small[] = "# two ranks\r\n"
                            "0 init\r\n"
                            "1 init\n"
                            "0 compute 2e9\n"
                            "0 send 1 7 100000\n"
                            "0 Isend 1 8 100000 5 \n"
                            "0 isend 1 8 10 0\n"
                            "0 sleep 0.5\n"
                            "0 wait 0 1 8\n"
                            "0 wait 0 1 8\n"
                            "0 wait 0 1 9\n"
                            "1 irecv 0 8 100000 5\n"
                            "1 recv 0 7 100000\n"
                            "1 irecv 0 8 10 0\n"
                            "1 waitall 2\n"
                            "1 test 0 1 8\n"
                            "1 sendRecv 6 1 6 1 1 1\n"
                            "0 finalize\n"
                            "1 finalize";

static void test_calls(void)
{
    if (!trace_loads(trace_text("a.txt", small), 0, "speed=4GFLOPs", "smpi_ti")) {
        return;
    }
    const struct program *program = trace_program(0);
    CHECK_EQUAL(trace_test.job->rank_count, 2);
    uint32_t compute = trace_op(0, OP_COMPUTE, 0), sleep = trace_op(0, OP_COMPUTE, 1);
    uint32_t send = trace_op(0, OP_SEND, 0), isend = trace_op(0, OP_SEND, 1), eager = trace_op(0, OP_SEND, 2);
    CHECK_EQUAL(program->duration_ps[compute], 500 * PS_PER_MS);
    CHECK_EQUAL(program->duration_ps[sleep], 500 * PS_PER_MS);
    CHECK(program->stream[sleep] != STREAM_COMPUTE && program->stream[compute] == STREAM_COMPUTE);
    CHECK_EQUAL(program->source_id[send], 5);
    CHECK_EQUAL(program->bytes[send], 100000); /* `init` alone: bytes */
    CHECK_EQUAL(program->bytes[isend], 400000);
    CHECK_EQUAL(program->bytes[eager], 80);
    CHECK(trace_waits(0, send, compute) && trace_waits(0, isend, send) && trace_waits(0, eager, send));
    CHECK(trace_waits(0, sleep, send) && !trace_waits(0, sleep, isend));

    /* The first wait ends the older request, the second one an eager send, which is over already. */
    CHECK_EQUAL(trace_count(0, OP_MARKER), 1);
    uint32_t join = trace_op(0, OP_MARKER, 0);
    CHECK(trace_waits(0, join, isend) && trace_waits(0, join, sleep));
    CHECK_EQUAL(trace_note("request that is not there"), 1);
    CHECK_EQUAL(trace_note("below trace.eager"), 1);
    CHECK_EQUAL(trace_note("test calls"), 1);

    uint32_t all = trace_op(1, OP_MARKER, 0), exchange = trace_op(1, OP_MARKER, 1);
    CHECK(trace_waits(1, all, trace_op(1, OP_RECV, 0)) && trace_waits(1, all, trace_op(1, OP_RECV, 2)));
    CHECK(trace_waits(1, trace_op(1, OP_RECV, 2), trace_op(1, OP_RECV, 1)));
    CHECK(trace_waits(1, exchange, trace_op(1, OP_SEND, 0)) &&
          trace_waits(1, exchange, trace_op(1, OP_RECV, 3)));
    CHECK_EQUAL(trace_program(1)->bytes[trace_op(1, OP_SEND, 0)], 24);
    if (trace_loads(trace_text("a.txt", small), 0, "eager=0B", "smpi_ti")) {
        CHECK_EQUAL(trace_count(0, OP_MARKER), 2);
        CHECK_EQUAL(trace_note("below trace.eager"), 0);
    }
}

/* One line for each of `ranks` ranks, behind an init. */
static const char *everybody(uint32_t ranks, const char *const *lines)
{
    static char text[4096];
    size_t used = 0;
    for (uint32_t rank = 0; rank < ranks; rank++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%u init 1\n%u %s\n", rank, rank,
                                 lines[rank] != NULL ? lines[rank] : lines[0]);
    }
    return trace_text("c.txt", text);
}

static void test_collectives(void)
{
    static const struct {
        const char *line;
        enum collective_kind kind;
        uint64_t bytes;
        uint32_t root;
    } good[] = {
        {"bcast 5e8", COLLECTIVE_BROADCAST, UINT64_C(4000000000), 0}, /* `init 1`: doubles */
        {"bcast 10 2 1", COLLECTIVE_BROADCAST, 40, 2},
        {"reduce 10 0 1 5", COLLECTIVE_REDUCE, 40, 1},
        {"allReduce 1000000000 0", COLLECTIVE_ALL_REDUCE, UINT64_C(8000000000), 0},
        {"barrier", COLLECTIVE_BARRIER, 0, 0},
        {"alltoall 10 10 6 6", COLLECTIVE_ALL_TO_ALL, 30, 0},
        {"allgather 10 10 1 1", COLLECTIVE_ALL_GATHER, 40, 0},
        {"allgatherv 2 2 2 2 1 1", COLLECTIVE_ALL_GATHER, 8, 0},
        {"allgatherv 2 2 2 2", COLLECTIVE_ALL_GATHER, 16, 0},
        {"allgatherv 2 2 3 2 1 1", COLLECTIVE_ALL_GATHER, 10, 0}, /* 28 B among three, rounded up */
        {"allgatherv 2 2 2 2 0 2 4", COLLECTIVE_ALL_GATHER, 16, 0},
        {"allgatherv 2 2 2 2 1 1 0 2 4", COLLECTIVE_ALL_GATHER, 8, 0},
        {"gather 10 0 1 1 1", COLLECTIVE_GATHER, 40, 1},
        {"scatter 0 10 2 1 1", COLLECTIVE_SCATTER, 120, 2},
        {"reducescatter 5 6 7 0 1", COLLECTIVE_REDUCE_SCATTER, 72, 0},
        {"reducescatter 5 6 7 0", COLLECTIVE_REDUCE_SCATTER, 144, 0},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        const char *lines[3] = {good[i].line, NULL, NULL};
        if (trace_loads(everybody(3, lines), 0, NULL, "smpi_ti")) {
            const struct program *program = trace_program(0);
            CHECK_EQUAL(program->op_count, 1);
            CHECK_EQUAL(program->collective[0], good[i].kind);
            CHECK_EQUAL(program->bytes[0], good[i].bytes);
            CHECK_EQUAL(program->root[0], good[i].root);
            CHECK_EQUAL(trace_note("communicators the format has lost"), 3);
            CHECK_EQUAL(trace_test.job->program_count, 1);
        }
    }
    const char *flops[2] = {"allreduce 10 1e9 1", NULL};
    if (trace_loads(everybody(2, flops), 0, NULL, "smpi_ti")) {
        CHECK_EQUAL(trace_program(0)->duration_ps[1], PS_PER_S);
        CHECK(trace_waits(0, 1, 0));
    }
}

static void test_expanded(void)
{
    const char *gatherv[3] = {"gatherv 4 1 6 6", "gatherv 5 4 5 6 1 6 6", "gatherv 6 9 9 9 1 6 6"};
    if (trace_loads(everybody(3, gatherv), 0, NULL,
                    "smpi_ti")) { /* the root's counts are the ones that are good */
        CHECK_EQUAL(trace_count(1, OP_RECV), 2);
        CHECK_EQUAL(trace_program(1)->bytes[trace_op(1, OP_RECV, 1)], 6);
        CHECK_EQUAL(trace_program(0)->bytes[0], 4);
        CHECK_EQUAL(trace_note("gatherv, scatterv"), 3);
    }
    const char *scatterv[3] = {"scatterv 4 5 6 4 0 1 1", "scatterv 5 0 1 1", "scatterv 0 0 0 6 0 1 1"};
    if (trace_loads(everybody(3, scatterv), 0, NULL, "smpi_ti")) {
        CHECK_EQUAL(trace_count(0, OP_SEND), 2);
        CHECK_EQUAL(trace_program(0)->bytes[trace_op(0, OP_SEND, 1)], 24);
    }
    const char *alltoallv[3] = {"alltoallv 9 1 2 3 9 1 4 7 6 6", "alltoallv 9 4 5 6 9 2 5 8 6 6",
                                "alltoallv 9 7 8 9 9 3 6 9 6 6"};
    if (trace_loads(everybody(3, alltoallv), 0, NULL, "smpi_ti")) {
        CHECK_EQUAL(trace_count(0, OP_SEND), 2);
        CHECK_EQUAL(trace_program(0)->bytes[trace_op(0, OP_SEND, 0)], 2);
        CHECK_EQUAL(trace_program(0)->bytes[trace_op(0, OP_RECV, 0)], 7);
    }
    const char *scan[3] = {"scan 10 1e6 6", NULL, NULL};
    if (trace_loads(everybody(3, scan), 0, NULL, "smpi_ti")) {
        CHECK_EQUAL(trace_count(0, OP_RECV), 0);
        CHECK_EQUAL(trace_count(1, OP_RECV) + trace_count(1, OP_COMPUTE) + trace_count(1, OP_SEND), 3);
        CHECK_EQUAL(trace_count(2, OP_SEND), 0);
    }
}

/* c zeros and a type, on any number of ranks. */
static void test_reduce_scatter_block(void)
{
    const char *block[3] = {"reducescatter 0 0 0 0 0 0 0 5 ", NULL, NULL};
    trace_refused(everybody(3, block), 0, NULL,
                  "c.txt:2: rank 0: reducescatter: has 8 arguments for 3 ranks");
    CHECK_HOLDS(trace_test.diag.text, "MPI_Reduce_scatter_block");
    if (trace_loads(everybody(3, block), 0, "reduce_scatter_block=repair", "smpi_ti")) {
        CHECK_EQUAL(trace_program(0)->bytes[0], 7 * 3 * 4);
        CHECK_EQUAL(trace_note("reduce_scatter_block"), 3);
    }
    /* Just as many zeros as there are ranks: still no counts. */
    const char *as_many[3] = {"reducescatter 0 0 0 5", NULL, NULL};
    trace_refused(everybody(3, as_many), 0, NULL, "and no counts");
    if (trace_loads(everybody(3, as_many), 0, "reduce_scatter_block=repair", "smpi_ti")) {
        CHECK_EQUAL(trace_program(0)->bytes[0], 3 * 3 * 4);
    }
    const char *wrong[3] = {"reducescatter 1 2 3 4 5 6", NULL, NULL};
    trace_refused(everybody(3, wrong), 0, NULL, "has 6 arguments; expected 4 to 5");
}

static void test_unknown_length(void)
{
    static const char text[] = "0 init\n0 send 1 5 100\n0 send 1 6 300\n0 isend 1 5 200\n"
                               "1 init\n1 recv 0 5 -1\n1 irecv 0 6 300\n1 irecv 0 5 -1\n1 waitall\n";
    if (trace_loads(trace_text("u.txt", text), 0, NULL, "smpi_ti")) {
        CHECK_EQUAL(trace_program(1)->bytes[0], 100);
        CHECK_EQUAL(trace_program(1)->bytes[1], 300);
        CHECK_EQUAL(trace_program(1)->bytes[2], 200);
        CHECK_EQUAL(trace_note("unknown length"), 2);
        CHECK_EQUAL(trace_note_bytes("unknown length"), 300);
    }
    trace_refused(trace_text("u.txt", "0 init\n1 init\n1 recv 0 5 -1\n"), 0, NULL, "has no send");
}

static void test_refusals(void)
{
    static const struct {
        const char *line, *part;
    } bad[] = {
        {"send 5 1 1", "b.txt:3: rank 0: send: \"5\" is no rank; expected one below 2"},
        {"recv -1 1 1", "\"-1\" is no rank"},
        {"recv 1 -1 1", "\"-1\" is no tag"},
        {"send 1 1", "has 2 arguments; expected 3 to 4"},
        {"send 1 1 -5", "\"-5\" is no count"},
        {"send 1 1 5 99", "\"99\" is no data type"},
        {"send 1 1 1e30", "is no count"},
        {"send 1 1 72057594037927935 27", "elements are too many"},
        {"compute", "has 0 arguments"},
        {"compute -1", "is no amount"},
        {"compute nan", "is no amount"},
        {"compute 1e30", "is no amount"},
        {"bcast 5 7", "\"7\" is no rank"},
        {"dance 5", "unknown action"},
        {"send 1 1 5", "has no counterpart"},
        {"allreduce 5 0", "rank 1 runs 0 collectives"},
        {"gatherv 5", "has 1 arguments on the root; expected the counts of 2 ranks"},
        {"alltoallv 9 1 2", "expected 6 to 8"},
        {"wait 0 1", "expected 3 to 3"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[256];
        snprintf(text, sizeof text, "0 init\n1 init\n0 %s\n", bad[i].line);
        trace_refused(trace_text("b.txt", text), 0, NULL, bad[i].part);
    }
    trace_refused(trace_text("b.txt", "0 send 0 1 5\n0 recv 0 1 5\n"), 0, NULL, "no init stands before it");
    trace_refused(trace_text("b.txt", "0 init\nx init\n"), 0, NULL, "b.txt:2: begins with no rank");
    trace_refused(trace_text("b.txt", "0 init\n9999999 init\n"), 0, NULL, "begins with no rank");
    trace_refused(trace_text("a.txt", small), 3, NULL, "--ranks asks for 3");
    char path[1024];
    snprintf(path, sizeof path, "smpi_ti:%s", trace_text("empty.txt", ""));
    trace_refused(path, 0, NULL, "holds no trace");
    trace_refused("smpi_ti:/dev/null", 0, NULL, "/dev/null: is a device; expected a regular file");
}

static void test_index(void)
{
    char folder[1024];
    snprintf(folder, sizeof folder, "%s/index_files", test_directory());
    mkdir(folder, 0777);
    trace_text("index_files/r0.txt", "0 init\n0 send 1 1 100\n1 send 0 1 9\n0 allreduce 4 0 1");
    trace_text("index_files/r1.txt", "1 init\n1 recv 0 1 100\n1 allreduce 4 0 1\n");
    const char *index = trace_text("index.txt", "index_files/r0.txt\r\nindex_files/r1.txt");
    if (trace_loads(index, 0, NULL, "smpi_ti")) {
        CHECK_EQUAL(trace_test.job->rank_count, 2);
        CHECK_EQUAL(trace_note("lines of another rank"), 1);
        CHECK_EQUAL(trace_count(1, OP_RECV), 1);
    }
    trace_refused(trace_text("index.txt", "index_files/r0.txt\nindex_files/r2.txt\n"), 0, NULL,
                  "index.txt:2: names \"index_files/r2.txt\", which is no file");
    trace_text("index_files/all.txt", small);
    if (trace_loads(trace_text("index.txt", "index_files/all.txt\n"), 0, NULL, "smpi_ti")) {
        CHECK_EQUAL(trace_test.job->rank_count, 2);
    }
}

static void test_damage(void)
{
    trace_same_gzipped("z.txt", small, sizeof small - 1, 0, NULL);
    trace_cut_everywhere("smpi_ti:", "cut.txt", small, sizeof small - 1, 0, NULL);
    trace_cut_everywhere("", "cut.txt", small, sizeof small - 1, 0, NULL);
    trace_damage("smpi_ti:", "d.txt", small, sizeof small - 1, 0, NULL, 2000);
    static const char others[] =
        "0 init 1\n1 init 1\n0 alltoallv 9 1 2 9 1 3 6 6\n1 alltoallv 9 3 5 9 2 5 6 6\n"
        "0 gatherv 4 4 5 0 6 6\n1 gatherv 5 4 5 0 6 6\n0 scatterv 1 2 1 0\n"
        "1 scatterv 1 2 2 0\n0 allgatherv 1 1 2\n1 allgatherv 1 1 2\n0 scan 5 1\n1 scan 5 1\n"
        "0 reducescatter 3 4 1e6 2\n1 reducescatter 3 4 1e6 2\n0 send 1 5 5\n1 recv 0 5 -1\n";
    CHECK(trace_loads(trace_text("o.txt", others), 0, NULL, "smpi_ti"));
    trace_cut_everywhere("smpi_ti:", "cut.txt", others, sizeof others - 1, 0, NULL);
    trace_damage("smpi_ti:", "d.txt", others, sizeof others - 1, 0, "reduce_scatter_block=repair", 2000);
}

static void test_published(void)
{
    const char *path = test_corpus("traces/ti/ti_4ranks.txt");
    if (path == NULL) {
        return;
    }
    trace_refused(path, 0, NULL,
                  "rank-0.txt:8: rank 0: reducescatter: has 17 arguments for 4 ranks and no counts");
    if (trace_loads(path, 0, "reduce_scatter_block=repair", "smpi_ti")) {
        struct job_totals totals;
        job_totals(trace_test.job, &totals);
        CHECK_EQUAL(trace_test.job->rank_count, 4);
        CHECK_EQUAL(trace_note("reduce_scatter_block"), 4);
        CHECK_EQUAL(totals.collective_ops[COLLECTIVE_REDUCE_SCATTER], 8);
        CHECK_EQUAL(totals.collective_bytes[COLLECTIVE_REDUCE_SCATTER], 4 * (4097 * 4 + 16 * 4 * 4));
        CHECK_EQUAL(totals.collective_bytes[COLLECTIVE_ALL_REDUCE], 4 * 2 * 16384);
    }
}

TEST_MAIN("smpi_ti", TEST(test_calls), TEST(test_collectives), TEST(test_expanded),
          TEST(test_reduce_scatter_block), TEST(test_unknown_length), TEST(test_refusals), TEST(test_index),
          TEST(test_damage), TEST(test_published))
