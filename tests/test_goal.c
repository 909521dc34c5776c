/* GOAL schedules, in text and in binary.
 *
 * Asserted: operations, streams, dependencies and what becomes of irequires; comments, line ends, labels;
 * text and binary give the same job; every refusal with its line or node; damaged files; the published
 * samples load. Not asserted: times, which differ from LogGOPSim's by what is not modelled. */
#include "tests/trace_check.h"

#include <stddef.h>

static const char text[] = "// made by hand\n"
                           "num_ranks 3\r\n"
                           "\r\n"
                           "/* two\n   lines */ rank 0 {\r\n"
                           "l1: calc 1000 cpu 1\n"
                           "l2: send 5000000000b to 1 tag 5 cpu 2 nic 1\n"
                           "l2 requires l1\n"
                           "l3: send 0b to 0\n"
                           "l3 irequires l2\n"
                           "  l4: recv 0b from 0\t\n"
                           "l4 irequires l3\n"
                           "calc 7\n"
                           "l1: calc 9 // no comment may stand here in the grammar\n";

/* Ends the text: what txt2bin would refuse is cut off. */
static const char *whole(void)
{
    static char buffer[2048];
    snprintf(buffer, sizeof buffer, "%.*s%s", (int)(strstr(text, " // no") - text), text,
             "\nl5: calc 1\nl5 requires l1\n}\n// between\nrank 1 {\nx: recv 5000000000b from 0 tag "
             "5\n}\nrank 2 {\n}");
    return buffer;
}

static void test_text(void)
{
    if (!trace_loads(trace_text("a.goal", whole()), 0, NULL, "goal")) {
        return;
    }
    CHECK_EQUAL(trace_test.job->rank_count, 3);
    const struct program *program = trace_program(0);
    uint32_t calc = trace_op(0, OP_COMPUTE, 0), send = trace_op(0, OP_SEND, 0),
             self = trace_op(0, OP_SEND, 1);
    uint32_t recv = trace_op(0, OP_RECV, 0);
    CHECK_EQUAL(program->duration_ps[calc], 1000000);
    CHECK_EQUAL(program->stream[calc], 1);
    CHECK_EQUAL(program->stream[trace_op(0, OP_COMPUTE, 1)], STREAM_COMPUTE);
    CHECK_EQUAL(program->bytes[send], UINT64_C(5000000000));
    CHECK_EQUAL(program->tag[send], 5);
    CHECK_EQUAL(program->source_id[send], 7);
    CHECK_TEXT(op_name(program, send), "l2");
    CHECK_EQUAL(job_peer(trace_test.job, 0, program, self), 0);

    /* l3 waits for what l2 waits for: calc 1000. l2's start is an operation of its own; l3's hangs on it. */
    uint32_t start = send - 1, self_start = self - 1;
    CHECK_EQUAL(program->kind[start], OP_MARKER);
    CHECK(trace_waits(0, start, calc) && trace_waits(0, send, start) && !trace_waits(0, send, calc));
    CHECK(trace_waits(0, self_start, start) && trace_waits(0, self, self_start));
    CHECK(trace_waits(0, recv, self_start) && !trace_waits(0, recv, self));
    CHECK_EQUAL(trace_count(0, OP_MARKER), 2);

    /* A label given twice keeps its first meaning. */
    CHECK(trace_waits(0, trace_op(0, OP_COMPUTE, 3), calc));
    CHECK_EQUAL(trace_note("irequires"), 2);
    CHECK_EQUAL(trace_note("nic other than 0"), 1);
    CHECK_EQUAL(trace_note("cpu other than 0"), 1);
    CHECK_EQUAL(trace_program(2)->op_count, 0);
}

static void rank0_refused(const char *statement, const char *part)
{
    char buffer[512];
    snprintf(buffer, sizeof buffer, "num_ranks 1\nrank 0 {\na: calc 1\n%s\n}\n", statement);
    trace_refused(trace_text("bad.goal", buffer), 0, NULL, part);
}

static void test_text_refusals(void)
{
    rank0_refused("send 5b to 1 tag -1", "bad.goal:4: send 4 \"\" takes any tag (-1)");
    rank0_refused("b: recv 5b from -1", "bad.goal:4: recv 4 \"b\" takes any source (-1)");
    rank0_refused("send 5 to 0", "bad.goal:4: expected `send SIZEb to RANK`");
    rank0_refused("send 5b from 0", "not \"from\"");
    rank0_refused("send 5b to", "expected `send SIZEb to RANK`");
    rank0_refused("send 5kb to 1", "bad.goal:4: expected `send SIZEb to RANK`, not \"5kb\"");
    rank0_refused("recv -5b from 1", "bad.goal:4: expected `recv SIZEb from RANK`, not \"-5b\"");
    rank0_refused("send 5b too 1", "bad.goal:4: expected `send SIZEb to RANK`, not \"too\"");
    rank0_refused("calc 5b", "expected `calc TIME [cpu C]`");
    rank0_refused("calc 5 nic 1", "expected `calc TIME [cpu C]`");
    rank0_refused("calc 5 cpu 256", "up to 255");
    rank0_refused("calc 99999999999999999999", "not \"99999999999999999999\"");
    rank0_refused("calc 10000000000000000", "expected less than 100 days");
    rank0_refused("send 18446744073709551615b to 0", "expected less than 2^60");
    rank0_refused("a requires b", "bad.goal:4: label \"b\" stands nowhere before");
    rank0_refused("b requires a", "label \"b\"");
    rank0_refused("a requires a", "depends on itself");
    rank0_refused("b: calc 1\na irequires b\nb irequires a", "a cycle of 2 operations");
    rank0_refused("a requires a a", "expected one label");
    rank0_refused("sleep 5", "expected send, recv, calc");
    rank0_refused("send 5b to 9", "names rank 9");
    rank0_refused("send 5b to 0", "has no counterpart");
    rank0_refused("send 5b to 0\nrecv 6b from 0", "takes 6 B from rank 0");
    rank0_refused("}\nrank 0 {", "block of rank 0; expected rank 1");
    trace_refused(trace_text("bad.goal", "num_ranks 2\nrank 0 {\n}\n"), 0, NULL, "ends in rank 1 of 2");
    trace_refused(trace_text("bad.goal", "num_ranks 2\nrank 1 {\n}\n"), 0, NULL,
                  "block of rank 1; expected rank 0");
    trace_refused(trace_text("bad.goal", "num_ranks 0\n"), 0, NULL, "expected `num_ranks N`");
    trace_refused(trace_text("bad.goal", "num_ranks 5000000\n"), 0, NULL, "N from 1 to 1048576");
    trace_refused(trace_text("a.goal", whole()), 4, NULL, "--ranks asks for 4");
}

/* ---- binary ------------------------------------------------------------------------------------------ */

struct buffer {
    uint8_t data[4096];
    size_t count;
};

static void put(struct buffer *buffer, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        buffer->data[buffer->count++] = (uint8_t)(value >> (8 * i));
    }
}

struct row {
    uint32_t deps, kind, peer;
    uint64_t size;
    uint32_t tag, cpu, nic, ends, end_first, starts, start_first;
};

static void section(struct buffer *buffer, const struct row *rows, uint32_t count, uint32_t root_count,
                    const uint32_t *roots, const uint32_t *appendix, size_t appendix_count)
{
    put(buffer, count, 4);
    put(buffer, root_count, 4);
    for (uint32_t i = 0; i < root_count; i++) {
        put(buffer, roots[i], 4);
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        put(buffer, row->deps, 4);
        put(buffer, row->kind, 1);
        put(buffer, row->peer, 4);
        put(buffer, row->size, 8);
        put(buffer, row->tag, 4);
        put(buffer, row->cpu, 1);
        put(buffer, row->nic, 1);
        put(buffer, row->ends, 4);
        put(buffer, row->end_first, 4);
        put(buffer, row->starts, 4);
        put(buffer, row->start_first, 4);
    }
    for (size_t i = 0; i < appendix_count; i++) {
        put(buffer, appendix[i], 4);
    }
}

/* Two ranks: calc -> send - - -> calc, and a receive. `what` is a field of rank 0 to spoil, with `value`. */
static const struct row good[] = {{0, 3, 0, 1000, 0, 1, 0, 1, 0, 0, 0},
                                  {1, 1, 1, 70000, 5, 0, 0, 0, 0, 1, 1},
                                  {1, 3, 0, 5, 0, 0, 0, 0, 0, 0, 0}};

static void binary_make(struct buffer *file, const struct row *rows, uint32_t roots, uint32_t edge)
{
    const struct row receive = {0, 2, 0, 70000, 5, 0, 0, 0, 0, 0, 0};
    const uint32_t first[] = {0}, edges[] = {edge, 2};
    struct buffer a = {.count = 0}, b = {.count = 0};
    section(&a, rows, 3, roots, first, edges, 2);
    section(&b, &receive, 1, 1, first, NULL, 0);
    uint64_t at = 4 + 2 + 2 * 16;
    file->count = 0;
    put(file, 4223, 8);
    put(file, 2, 4);
    put(file, 1, 1);
    put(file, 0, 1);
    put(file, at, 8);
    put(file, at + a.count, 8);
    put(file, at + a.count, 8);
    put(file, at + a.count + b.count, 8);
    memcpy(file->data + file->count, a.data, a.count);
    memcpy(file->data + file->count + a.count, b.data, b.count);
    file->count += a.count + b.count;
}

static const char *binary_save(const struct row *rows, uint32_t roots, uint32_t edge)
{
    static struct buffer file;
    binary_make(&file, rows, roots, edge);
    return trace_file("a.bin", file.data, file.count);
}

static void test_binary(void)
{
    if (!trace_loads(binary_save(good, 1, 1), 0, NULL, "goal_bin")) {
        return;
    }
    CHECK_EQUAL(trace_test.job->rank_count, 2);
    CHECK_EQUAL(trace_program(0)->op_count, 4);
    CHECK_EQUAL(trace_program(0)->stream[0], 1);
    CHECK_EQUAL(trace_program(0)->bytes[2], 70000);
    CHECK_EQUAL(trace_program(0)->source_id[2], 1);
    CHECK(trace_waits(0, 1, 0) && trace_waits(0, 2, 1) && trace_waits(0, 3, 1));
    CHECK_EQUAL(trace_note("irequires"), 1);
}

static void test_binary_refusals(void)
{
    static const struct {
        uint32_t row;
        size_t offset;
        uint32_t value;
        const char *part;
    } bad[] = {
        {0, offsetof(struct row, kind), 4, "rank 0, node 0 is of kind 4"},
        {0, offsetof(struct row, deps), 1, "rank 0 names 1 roots, but 0 nodes wait for nothing"},
        {1, offsetof(struct row, deps), 2, "node 1 waits for 1 nodes more than there are edges"},
        {0, offsetof(struct row, end_first), 4000000000u, "has edges behind the end of its section"},
        {0, offsetof(struct row, ends), 3, "has edges behind the end"},
        {2, offsetof(struct row, starts), 1,
         "node 2 is waited for by node 1, which does not exist or waits for fewer"},
        {0, offsetof(struct row, cpu), 2, "is on cpu 2 and nic 0; the head says at most 1 and 0"},
        {1, offsetof(struct row, tag), UINT32_MAX, "send 1 \"\" takes any tag"},
        {1, offsetof(struct row, peer), 2, "names rank 2"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct row rows[3];
        memcpy(rows, good, sizeof rows);
        memcpy((char *)&rows[bad[i].row] + bad[i].offset, &bad[i].value, 4);
        trace_refused(binary_save(rows, 1, 1), 0, NULL, bad[i].part);
    }
    trace_refused(binary_save(good, 0, 1), 0, NULL, "names 0 roots");
    trace_refused(binary_save(good, 1, 3), 0, NULL, "waited for by node 3, which does not exist");
    static const uint8_t used[14] = {0x26, 0x09};
    trace_refused(trace_file("used.bin", used, sizeof used), 0, NULL, "--save-mem");
    static const uint8_t many[14] = {0x7f, 0x10, [8] = 0, [11] = 255};
    trace_refused(trace_file("many.bin", many, sizeof many), 0, NULL, "expected 1 to 1048576");
}

/* ---- both -------------------------------------------------------------------------------------------- */

static void test_damage(void)
{
    struct buffer file;
    binary_make(&file, good, 1, 1);
    trace_same_gzipped("z.bin", file.data, file.count, 0, NULL);
    trace_same_gzipped("z.goal", whole(), strlen(whole()), 0, NULL);
    CHECK_EQUAL(trace_cut_everywhere("goal_bin:", "c.bin", file.data, file.count, 0, NULL), 0);
    CHECK_EQUAL(trace_cut_everywhere("", "c.bin", file.data, file.count, 0, NULL), 0);
    CHECK_EQUAL(trace_cut_everywhere("goal:", "c.goal", whole(), strlen(whole()), 0, NULL), 0);
    trace_damage("goal_bin:", "d.bin", file.data, file.count, 0, NULL, 4000);
    trace_damage("goal:", "d.goal", whole(), strlen(whole()), 0, NULL, 2000);
}

static uint64_t kinds_sum(void)
{
    uint64_t sum = 0;
    for (uint32_t rank = 0; rank < trace_test.job->rank_count; rank++) {
        const struct program *program = trace_program(rank);
        for (uint32_t op = 0; op < program->op_count; op++) {
            sum = sum * 31 + program->kind[op] * 7919u + program->bytes[op] + program->duration_ps[op];
            sum = sum * 31 + (uint32_t)program->peer_delta[op] + program->tag[op] * 3u + program->stream[op];
            for (uint32_t i = program->dep_first[op]; i < program->dep_first[op + 1]; i++) {
                sum = sum * 31 + program->dep[i];
            }
        }
    }
    return sum;
}

/* txt2bin numbers nodes in the order of the text, so text and binary must give the same operations. */
static void test_published(void)
{
    static const struct {
        const char *name;
        uint32_t ranks, sends, irequires;
        bool has_binary;
    } files[] = {
        {"binary_tree_32", 32, 31, 0, true},
        {"mini4", 4, 2, 1, true},
        {"ring_allreduce_8x1MiB", 8, 112, 104, true},
        {"alltoall_16x64KiB", 16, 240, 224, false},
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char name[128];
        snprintf(name, sizeof name, "traces/goal/%s.goal", files[i].name);
        const char *path = test_corpus(name);
        if (path == NULL || !trace_loads(path, 0, NULL, "goal")) {
            return;
        }
        struct job_totals totals;
        job_totals(trace_test.job, &totals);
        CHECK_EQUAL(trace_test.job->rank_count, files[i].ranks);
        CHECK_EQUAL(totals.ops[OP_SEND], files[i].sends);
        CHECK_EQUAL(trace_note("irequires"), files[i].irequires);
        uint64_t sum = kinds_sum();
        snprintf(name, sizeof name, "traces/goal/%s.bin", files[i].name);
        if (files[i].has_binary && trace_loads(test_corpus(name), 0, NULL, "goal_bin")) {
            CHECK_EQUAL(kinds_sum(), sum);
        }
    }
}

TEST_MAIN("goal", TEST(test_text), TEST(test_text_refusals), TEST(test_binary), TEST(test_binary_refusals),
          TEST(test_damage), TEST(test_published))
