/* Whole runs, through run_job and through the program itself.
 *
 * Asserted: equal runs have equal digests and equal bytes; the summary's definitions; what an estimate says before; how
 * runs end that do not complete: deadlock, --until, a signal; that bad input is refused in one line and leaves no file.
 * Not asserted: any particular time beyond closed forms; real traces (test of real traces). */
#include "analysis/reader.h"
#include "netsim/run.h"
#include "tests/check.h"
#include "tests/support_run.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- through run_job -------------------------------------------------------------------------------------- */

struct done {
    struct arena *arena;
    enum status status;
    struct diag diag;
    const struct job *job;
    struct run_result result;
    struct run_estimate estimate;
};

/* `settings` is "key=value key=value". */
static struct done run(struct run_request request, const char *settings)
{
    struct done done = {.arena = arena_new("test")};
    struct trace_setting sets[SETTINGS_MAX];
    request.settings = sets;
    request.setting_count = settings_split(done.arena, settings, sets);
    done.status = run_read(&request, done.arena, &done.job, &done.diag);
    if (done.status == STATUS_OK) {
        CHECK_EQUAL(run_estimate(&request, done.job, done.arena, &done.estimate, &done.diag), STATUS_OK);
        done.status = run_job(&request, done.job, NULL, done.arena, &done.result, &done.diag);
    }
    if (done.result.status == NULL) {
        printf("%s\n", done.diag.text);
        exit(1); /* what follows would look at a result that is not there */
    }
    return done;
}

static uint64_t digest_of(const char *trace, const char *fabric, const char *settings, uint64_t seed)
{
    struct run_request request = whole_request(trace, fabric);
    request.seed = seed;
    struct done done = run(request, settings);
    CHECK_EQUAL(done.status, STATUS_OK);
    CHECK_TEXT(done.result.status, "complete");
    arena_free(done.arena);
    return done.result.digest;
}

/* Two ranks; `calc` nanoseconds on rank 1 behind the message, and on rank 0, which nobody waits for. */
static const char *tail_trace(unsigned behind, unsigned beside)
{
    static char path[700];
    snprintf(path, sizeof path, "%s/tail.goal", test_directory());
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    fprintf(file, "num_ranks 2\nrank 0 {\nl1: send 100000b to 1 tag 1\nl2: calc %u\n}\nrank 1 {\nl1: recv 100000b from 0 tag 1\n"
                  "l2: calc %u\nl2 requires l1\n}\n", beside, behind);
    fclose(file);
    return path;
}

/* What a rank computes behind its last message is part of what happened. */
static void test_digest_sees_the_last_computation(void)
{
    for (int engine = RUN_ENGINE_PACKET; engine <= RUN_ENGINE_SIMGRID; engine++) {
        uint64_t digests[4];
        static const unsigned cases[4][2] = {{5000, 100}, {6000, 100}, {5000, 100000}, {5000, 200}};
        for (int i = 0; i < 4; i++) {
            struct run_request request = whole_request(tail_trace(cases[i][0], cases[i][1]), "fat_tree");
            request.engine = (enum run_engine)engine;
            struct done done = run(request, "tiers=1 hosts=2");
            if (engine == RUN_ENGINE_SIMGRID && done.status == STATUS_INPUT) {
                return; /* not built in */
            }
            CHECK_EQUAL(done.status, STATUS_OK);
            digests[i] = done.result.digest;
            arena_free(done.arena);
        }
        CHECK(digests[0] != digests[1]);
        CHECK(digests[0] != digests[2]);
        CHECK_EQUAL(digests[0], digests[3]); /* over before the answer is back */
    }
}

static void test_equal_runs_have_equal_digests(void)
{
    static const char *const traces[] = {"pattern:alltoall,ranks=16,bytes=1MiB", "pattern:random,ranks=32,bytes=200kB,count=3",
                                         "pattern:incast,ranks=16,bytes=300kB"};
    for (size_t i = 0; i < sizeof traces / sizeof traces[0]; i++) {
        uint64_t digest = digest_of(traces[i], "fat-tree-128", "", 1);
        CHECK_EQUAL(digest_of(traces[i], "fat-tree-128", "", 1), digest);
        CHECK(digest_of(traces[i], "fat-tree-128", "", 2) != digest);
        CHECK(digest_of(traces[i], "fat-tree-128", "routing.balance=ecmp", 1) != digest);
        CHECK(digest_of(traces[i], "fat-tree-128", "link_delay=777ns", 1) != digest);
    }
}

/* Rings on a star: nobody meets anybody, so a step is one message on an idle path, but for the ACKs of the step in
 * the other direction (64 B for 4150 B, 1.5 %). */
static void test_summary_of_a_ring_all_reduce(void)
{
    const uint64_t bytes = 8 << 20, chunk_bytes = 1 << 20, messages = 8 * 14;
    struct done done = run(whole_request("pattern:ring_allreduce,ranks=8,bytes=8MiB", "fat_tree"),
                           "tiers=1 hosts=8 link_delay=1us link_rate=400Gbps device_latency=no");
    const struct result_summary *summary = &done.result.summary;
    uint64_t packets = (chunk_bytes + 4085) / 4086 * messages, last_bytes = chunk_bytes % 4086 + 64;
    uint64_t idle_ps = (chunk_bytes / 4086 + 1) * 83000 + last_bytes * 20 + 2 * PS_PER_US;
    CHECK_EQUAL(done.status, STATUS_OK);
    CHECK_EQUAL(summary->operation_count, 8);
    CHECK_EQUAL(summary->message_count, messages);
    CHECK_EQUAL(summary->useful_bytes, 2 * 7 * bytes);
    CHECK_EQUAL(summary->packet_count, packets);
    CHECK_EQUAL(summary->packet_hop_count, 4 * packets);
    CHECK_EQUAL(summary->wire_bytes, 2 * (summary->useful_bytes + 128 * packets));
    CHECK_EQUAL(summary->drop_count + summary->retransmission_count + summary->compute_ps, 0);
    CHECK_EQUAL(summary->iteration_time_ps, summary->makespan_ps);
    CHECK(summary->makespan_ps > 14 * idle_ps);
    CHECK_NEAR((double)summary->makespan_ps, 14 * (double)idle_ps, 0.025);
    CHECK(summary->fct_p50_ps >= idle_ps && summary->fct_p50_ps <= summary->fct_p99_ps);
    CHECK(summary->fct_p99_ps <= summary->fct_max_ps && summary->fct_max_ps < idle_ps * 103 / 100);
    CHECK_NEAR(summary->slowdown_p50, (double)summary->fct_p50_ps / (double)idle_ps, 0.002);
    CHECK_NEAR(summary->exposed_communication_fraction, 1, 0.01);
    /* bus bandwidth as nccl-tests has it: size over time, times 2 (n - 1) / n; GB/s */
    CHECK_NEAR(summary->collective_busbw_gbps, (double)bytes / (double)summary->makespan_ps * 1e3 * 1.75, 1e-9);
    arena_free(done.arena);
}

/* Each alone, or an error of one would hide in the mean over calls. All of them come near the 50 GB/s of a link. */
static void test_bus_bandwidth_of_other_kinds(void)
{
    static const struct {
        const char *trace;
        double size_bytes, factor;
    } kinds[] = {{"pattern:all_gather,ranks=8,bytes=4MiB", 32 << 20, 0.875},
                 {"pattern:reduce_scatter,ranks=8,bytes=32MiB", 32 << 20, 0.875},
                 {"pattern:alltoall,ranks=8,bytes=32MiB", 32 << 20, 0.875},
                 {"pattern:broadcast,ranks=4,bytes=64MiB", 64 << 20, 1}}; /* a pipeline of 128 steps and 2 more hops */
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct done done = run(whole_request(kinds[i].trace, "fat_tree"), "tiers=1 hosts=8 link_delay=1us");
        double busbw_gbps = done.result.summary.collective_busbw_gbps;
        double algbw_gbps = kinds[i].size_bytes / (double)done.result.summary.makespan_ps * 1e3;
        CHECK_NEAR(busbw_gbps, algbw_gbps * kinds[i].factor, 1e-9);
        CHECK(busbw_gbps > 43 && busbw_gbps < 50); /* two steps of a chain share the link, which costs the pipeline some */
        arena_free(done.arena);
    }
}

/* An incast over priority flow control loses nothing, and pauses; with room in every queue and no PFC nobody does. */
static void test_pauses_are_counted(void)
{
    struct done done = run(whole_request("pattern:incast,ranks=16,bytes=1MiB", "clos-dsp"),
                           "transport.name=roce routing.balance=ecmp");
    CHECK(done.result.summary.pause_count > 0);
    CHECK_EQUAL(done.result.summary.drop_count, 0);
    arena_free(done.arena);
    done = run(whole_request("pattern:incast,ranks=16,bytes=1MiB", "clos-dsp"), "transport.name=window");
    CHECK_EQUAL(done.result.summary.pause_count, 0);
    arena_free(done.arena);
}

static void test_compute_and_iterations(void)
{
    struct run_request request = whole_request("pattern:ring_allreduce,ranks=4,bytes=1MiB,count=3,compute=20us", "fat-tree-128");
    struct done once = run(request, "");
    CHECK_EQUAL(once.result.summary.compute_ps, 60 * PS_PER_US);
    struct done first = run(whole_request("pattern:ring_allreduce,ranks=4,bytes=1MiB", "fat-tree-128"), "");
    CHECK_NEAR(once.result.summary.collective_busbw_gbps, first.result.summary.collective_busbw_gbps, 0.02);
    arena_free(first.arena);
    uint64_t time_ps = once.result.summary.iteration_time_ps;
    CHECK(once.result.summary.exposed_communication_ps + 60 * PS_PER_US <= time_ps);
    CHECK_NEAR(once.result.summary.exposed_communication_fraction,
               (double)once.result.summary.exposed_communication_ps / (double)time_ps, 1e-12);
    request.iterations = 5;
    struct done more = run(request, "");
    CHECK_EQUAL(more.status, STATUS_OK);
    CHECK_EQUAL(more.result.summary.operation_count, 5 * once.result.summary.operation_count);
    CHECK_EQUAL(more.result.summary.useful_bytes, 5 * once.result.summary.useful_bytes);
    CHECK_EQUAL(more.result.summary.algorithmic_bytes, 5 * once.result.summary.algorithmic_bytes);
    CHECK_EQUAL(more.result.summary.compute_ps, 60 * PS_PER_US); /* of one step */
    CHECK_NEAR(more.result.summary.makespan_ps, 5 * (double)time_ps, 0.02);
    CHECK_NEAR(more.result.summary.iteration_time_ps, (double)time_ps, 0.02);
    arena_free(once.arena);
    arena_free(more.arena);
}

static void test_estimate_counts_what_runs(void)
{
    static const char *const traces[] = {"pattern:ring_allreduce,ranks=24,bytes=3MB", "pattern:alltoall,ranks=13,bytes=1MB",
                                         "pattern:permutation,ranks=64,bytes=123457B,count=2"};
    for (size_t i = 0; i < sizeof traces / sizeof traces[0]; i++) {
        struct done done = run(whole_request(traces[i], "fat-tree-128"), "");
        CHECK_EQUAL(done.estimate.messages, done.result.summary.message_count);
        CHECK_EQUAL(done.estimate.payload_bytes, done.result.summary.useful_bytes);
        CHECK_EQUAL(done.estimate.packets, done.result.summary.packet_count);
        CHECK_EQUAL(done.estimate.packet_hops, done.result.summary.packet_hop_count);
        arena_free(done.arena);
    }
}

/* ---- runs that do not complete ---------------------------------------------------------------------------- */

/* Three ranks in a circle, a group for each pair of neighbours: rank r first calls the one with r + 1, then the one with
 * r - 1, which is the first of that rank. Before that, an exchange that works. */
static const struct job *deadlock_job(struct arena *arena)
{
    struct diag diag = {""};
    struct job_builder *builder = job_builder_new(arena, "crossed", "test", 3);
    const struct origin at = {"test", 0, 0};
    static const uint32_t members[3][2] = {{0, 1}, {1, 2}, {2, 0}};
    static const char *const names[] = {"first pair", "second pair", "third pair"};
    uint32_t groups[3];
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_EQUAL(job_builder_group(builder, names[i], members[i], 2, at, &groups[i], &diag), STATUS_OK);
    }
    for (uint32_t rank = 0; rank < 3; rank++) {
        job_builder_rank(builder, rank);
        struct op op = {.kind = OP_SEND, .peer = (rank + 1) % 3, .bytes = 100000, .tag = 5, .stream = STREAM_NONE,
                        .source_id = 1, .name = "give"};
        uint32_t give = job_builder_op(builder, &op);
        op.kind = OP_RECV;
        op.peer = (rank + 2) % 3;
        op.source_id = 2;
        uint32_t last = job_builder_op(builder, &op);
        job_builder_dep(builder, last, give);
        for (uint32_t i = 0; i < 2; i++) {
            uint32_t slot = job_builder_slot(builder, rank, groups[i == 0 ? rank : (rank + 2) % 3]);
            op = (struct op){.kind = OP_COLLECTIVE, .collective = COLLECTIVE_ALL_REDUCE, .bytes = 1000,
                             .source_id = 20 + i, .name = i == 0 ? "forth" : "back", .group_slot = slot};
            uint32_t now = job_builder_op(builder, &op);
            job_builder_dep(builder, now, last);
            last = now;
        }
        CHECK_EQUAL(job_builder_rank_end(builder, "test", &diag), STATUS_OK);
    }
    const struct job *job = NULL;
    CHECK_EQUAL(job_builder_finish(builder, &job, &diag), STATUS_OK);
    CHECK_TEXT(diag.text, "");
    return job;
}

static void test_deadlock_is_found_and_explained(void)
{
    struct arena *arena = arena_new("test");
    struct run_request request = whole_request("test", "fat-tree-128");
    struct run_result result;
    struct diag diag;
    CHECK_EQUAL(run_job(&request, deadlock_job(arena), NULL, arena, &result, &diag), STATUS_DEADLOCK);
    CHECK_TEXT(result.status, "deadlock");
    CHECK_HOLDS(diag.text, "the job on fat-tree-128 is deadlocked: nothing moves after ");
    CHECK_HOLDS(diag.text, ", 6 of 12 operations done");
    CHECK_HOLDS(result.explanation, "rank 0: 2 of 4 operations done\n");
    CHECK_HOLDS(result.explanation, "rank 0: collective 20 \"forth\" waits for step 0 of rank 1 (call 0 of group \"first "
                                    "pair\": 1 of 2 members have started)\n");
    CHECK_HOLDS(result.explanation, "rank 2: collective 20 \"forth\" waits for step 0 of rank 0");
    CHECK(strstr(result.explanation, "buffers") == NULL && strstr(diag.text, "buffers") == NULL);
    CHECK_EQUAL(result.summary.operation_count, 6);
    CHECK_EQUAL(result.summary.useful_bytes, 300000 + 3 * 500); /* all first steps have arrived */
    arena_free(arena);
}

static void test_until_and_interruption_by_flag(void)
{
    struct run_request request = whole_request("pattern:ring,ranks=32,bytes=4kB,count=1000", "fat-tree-128");
    request.until_ps = 23 * PS_PER_US; /* an operation every few microseconds */
    struct done done = run(request, "");
    CHECK_EQUAL(done.status, STATUS_OK);
    CHECK_TEXT(done.result.status, "interrupted");
    CHECK_EQUAL(done.result.summary.makespan_ps, 23 * PS_PER_US);
    CHECK_EQUAL(done.result.summary.iteration_time_ps, 0); /* no step has ended */
    CHECK_EQUAL(done.result.summary.exposed_communication_ps, 23 * PS_PER_US); /* what is under way counts */
    CHECK_NEAR(done.result.summary.exposed_communication_fraction, 1, 1e-12);
    CHECK(done.result.summary.packet_count > 32 * 3 && done.result.summary.packet_count < 32 * 10);
    arena_free(done.arena);
    const volatile int interrupted = 1;
    request.until_ps = TIME_NEVER_PS - 1;
    request.interrupted = &interrupted;
    done = run(request, "");
    CHECK_EQUAL(done.status, STATUS_INTERRUPTED);
    CHECK_TEXT(done.result.status, "interrupted");
    arena_free(done.arena);
}

/* ---- through the program ---------------------------------------------------------------------------------- */

/* PHOTONET, or build/photonet where this is build/tests/test_run; NULL after a skip. */
static const char *program(void)
{
    static char path[4096];
    const char *named = getenv("PHOTONET");
    if (named != NULL) {
        return named;
    }
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 16);
    path[length > 0 ? length : 0] = '\0';
    for (int i = 0; i < 2 && strrchr(path, '/') != NULL; i++) {
        *strrchr(path, '/') = '\0';
    }
    strcat(path, "/photonet");
    if (access(path, X_OK) != 0) {
        test_skip("the program is not built");
        return NULL;
    }
    return path;
}

static char output[65536];
#define SHELL(...) test_shell(output, sizeof output, __VA_ARGS__)

static const char *in_directory(const char *name)
{
    static char path[4][300];
    static int next;
    char *at = path[next++ % 4];
    snprintf(at, sizeof path[0], "%s/%s", test_directory(), name);
    return at;
}

/* Status and digest of the only run of a file, as the reader of result files sees it. */
static void file_holds(const char *path, const char *status)
{
    struct arena *arena = arena_new("test");
    struct reader *reader;
    struct diag diag = {""};
    size_t count = 0;
    CHECK_EQUAL(reader_open(path, arena, &reader, &diag), STATUS_OK);
    CHECK_TEXT(diag.text, "");
    if (diag.text[0] == '\0') {
        const struct reader_run *runs = reader_runs(reader, &count);
        CHECK_EQUAL(count, 1);
        CHECK_TEXT(runs[0].status, status);
        CHECK(runs[0].has_summary);
        reader_close(reader);
    }
    arena_free(arena);
}

static void test_program_deadlocks_with_a_report(void)
{
    const char *photonet = program();
    if (photonet == NULL) {
        return;
    }
    struct arena *arena = arena_new("test");
    struct diag diag = {""};
    char wrote[256];
    const struct trace_writer *writer = NULL;
    for (size_t i = 0; trace_writers[i] != NULL; i++) {
        writer = strcmp(trace_writers[i]->name, "chakra_et") == 0 ? trace_writers[i] : writer;
    }
    CHECK_EQUAL(writer->write(deadlock_job(arena), in_directory("crossed"), wrote, sizeof wrote, &diag), STATUS_OK);
    CHECK_TEXT(diag.text, "");
    CHECK_EQUAL(SHELL("%s run -q --trace %s --fabric clos-dsp -o %s", photonet, in_directory("crossed"),
                      in_directory("deadlock.h5")), 3);
    CHECK_HOLDS(output, "deadlock");
    CHECK_HOLDS(output, "what everybody waits for:\n");
    CHECK_HOLDS(output, "\"forth\" waits for step 0 of rank 1");
    CHECK_HOLDS(output, "photonet: the job on clos-dsp is deadlocked: nothing moves after ");
    file_holds(in_directory("deadlock.h5"), "deadlock");
    arena_free(arena);
}

static void test_program_stops_at_a_time(void)
{
    const char *photonet = program();
    if (photonet == NULL) {
        return;
    }
    const char *path = in_directory("until.h5");
    int code = SHELL("%s run -q --trace pattern:alltoall,ranks=16,bytes=4MiB --fabric clos-dsp --until 30us -o %s",
                     photonet, path);
    CHECK_EQUAL(code, 0);
    CHECK_HOLDS(output, ": interrupted, ");
    file_holds(path, "interrupted");
    code = SHELL("%s run -q --trace pattern:alltoall,ranks=16,bytes=4MiB --fabric clos-dsp -o %s", photonet, path);
    CHECK_EQUAL(code, 0);
    file_holds(path, "complete"); /* replaced */
}

/* Signature and names of what others may store; a text; the beginning of a file of ours. */
static void test_program_spares_files_of_others(void)
{
    const char *photonet = program();
    if (photonet == NULL) {
        return;
    }
    const char *path = in_directory("other.h5");
    const char *contents[] = {"\\211HDF\\r\\n\\032\\n and weights of a model", "photonet-results, a text", "\\211HDF"};
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        CHECK_EQUAL(SHELL("printf '%s' > %s", contents[i], path), 0);
        CHECK_EQUAL(SHELL("cp %s %s.kept && %s run -q --trace pattern:ring,ranks=4,bytes=4KiB --fabric clos-dsp -o %s", path, path,
                          photonet, path), 2);
        CHECK_HOLDS(output, "other.h5: exists and is no result file");
        CHECK_EQUAL(SHELL("cmp %s %s.kept", path, path), 0);
    }
}

/* The program in a child with its output in a file. */
static pid_t program_start(const char *photonet, const char *log, const char *result)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        int file = open(log, O_CREAT | O_WRONLY | O_TRUNC, 0600);
        dup2(file, 1);
        dup2(file, 2);
        execl(photonet, photonet, "run", "-q", "--trace", "pattern:alltoall,ranks=128,bytes=1GiB,count=100", "--fabric",
              "fat-tree-128", "-o", result, (char *)NULL);
        _exit(99);
    }
    return child;
}

/* Its wait status; after a minute it is killed. */
static int program_wait(pid_t child)
{
    int status = -1;
    for (int tries = 0; tries < 3000; tries++) {
        if (waitpid(child, &status, WNOHANG) == child) {
            return status;
        }
        usleep(20000);
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return status;
}

static void test_program_is_interrupted_by_a_signal(void)
{
    const char *photonet = program();
    if (photonet == NULL) {
        return;
    }
    static const int signals[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < 2; i++) {
        const char *result = in_directory("signal.h5"), *log = in_directory("signal.log");
        unlink(result);
        pid_t child = program_start(photonet, log, result);
        for (int tries = 0; tries < 1000 && access(result, R_OK) != 0; tries++) {
            usleep(20000);
        }
        usleep(300000); /* well into the run, which would take hours */
        kill(child, signals[i]);
        int status = program_wait(child);
        CHECK(WIFEXITED(status));
        CHECK_EQUAL(WEXITSTATUS(status), 130);
        file_holds(result, "interrupted");
        SHELL("cat %s", log);
        CHECK_HOLDS(output, "photonet: interrupted; results so far are kept\n");
    }
}

static void test_program_repeats_itself_to_the_byte(void)
{
    const char *photonet = program();
    if (photonet == NULL) {
        return;
    }
    char digest[2][64];
    for (int i = 0; i < 2; i++) {
        int code = SHELL("cd %s && %s run -q --trace pattern:random,ranks=64,bytes=100kB --fabric clos-dsp --fabric "
                         "fat-tree-128 --stable -o stable.h5 && mv stable.h5 stable%d.h5", test_directory(), photonet, i);
        CHECK_EQUAL(code, 0);
        const char *last = strstr(output, "digest");
        snprintf(digest[i], sizeof digest[i], "%.24s", last == NULL ? "" : last);
    }
    CHECK_TEXT(digest[0], digest[1]);
    CHECK_EQUAL(strlen(digest[0]), 24);
    CHECK_EQUAL(SHELL("cmp %s %s", in_directory("stable0.h5"), in_directory("stable1.h5")), 0);
}

/* ---- bad input -------------------------------------------------------------------------------------------- */

#define GOOD_TRACE "--trace pattern:ring_allreduce,ranks=8,bytes=1MiB "
#define GOOD GOOD_TRACE "--fabric fat-tree-128 "

/* Refused with this status in one line that holds `part`; the result file is not there, or what it was. */
static void refused(const char *photonet, int status, const char *arguments, const char *part)
{
    int code = SHELL("{ mkdir -p %s/bad && cd %s/bad && %s run -q %s -o out.h5 >stdout; code=$?; "
                     "test \"$(ls)\" = stdout || echo left: $(ls); rm -f *; exit $code; }", test_directory(),
                     test_directory(), photonet, arguments);
    CHECK_EQUAL(code, status);
    CHECK_HOLDS(output, "photonet: ");
    CHECK_HOLDS(output, part);
    CHECK(strchr(output, '\n') != NULL && strchr(output, '\n')[1] == '\0'); /* nothing left behind, one line said */
    code = SHELL("cd %s/bad && echo old >out.h5 && %s run -q %s -o out.h5 >stdout 2>&1; cat out.h5; rm -f *",
                 test_directory(), photonet, arguments);
    CHECK_TEXT(output, "old\n");
}

/* What is counted once is one thing. */
static void test_one_is_no_plural(void)
{
    const char *photonet = program();
    if (photonet == NULL) {
        return;
    }
    CHECK_EQUAL(SHELL("%s run -q -t pattern:all_reduce,ranks=1 -f fat-tree-128", photonet), 0);
    CHECK_HOLDS(output, ": 1 rank, 1 program, 1 group, 1 collective\n");
    CHECK_EQUAL(SHELL("%s run -q -t pattern:all_reduce,ranks=2 -f fat-tree-128", photonet), 0);
    CHECK_HOLDS(output, ": 2 ranks, 1 program, 1 group, 2 collective\n");
    CHECK_EQUAL(SHELL("%s fabric info clos-dsp --hosts 2", photonet), 0);
    CHECK_HOLDS(output, "1 switch, up to 2 ports in use\n");
    CHECK_HOLDS(output, "; 1 kind of parts has no price and is not counted\n");
}

static void test_bad_input_is_refused_and_leaves_nothing(void)
{
    const char *photonet = program();
    if (photonet == NULL) {
        return;
    }
    static const struct {
        int status;
        const char *arguments, *part;
    } rows[] = {
        {2, GOOD "--set radixx=8", "--set: unknown parameter \"radixx\"; the nearest known one is \"radix\""},
        {2, GOOD "--set link_rate=400", "link_rate \"400\" is a bare number; a rate needs a unit"},
        {2, GOOD "--set packet.size=4150", "size \"4150\" is a bare number"},
        {2, GOOD "--set packet.size=4150.5B", "size \"4150.5B\" is not a whole number of B; a size is one"},
        {2, GOOD "--set packet.sizes=4150B", "unknown parameter \"packet.sizes\""},
        {2, GOOD "--set transport.windows=4150B", "unknown parameter \"transport.windows\""},
        {2, GOOD "--set nothing.size=4150B", "unknown key \"nothing.size\""},
        {2, GOOD "--set packet.size=65B --set packet.header=65B", "a packet needs payload"},
        {2, GOOD "--set hosts=4", "has 4 hosts, the job has 8 ranks"},
        {2, GOOD "--set routing.balance=best", "\"best\" is not one of the choices"},
        {2, GOOD "--set collective.all_reduce=best", "unknown algorithm \"best\" for all_reduce"},
        {2, GOOD "--transport best", "--transport: unknown transport \"best\""},
        {2, GOOD "--set trace.bites=1MiB", "unknown parameter \"trace.bites\""},
        {2, GOOD_TRACE "--fabric fat-tree-129", "neither a file nor a preset nor a family"},
        {2, GOOD "--fabric fat-tree-129", "neither a file nor a preset nor a family"}, /* the second one */
        {2, "--fabric fat-tree-128 --trace pattern:rings", "unknown pattern \"rings\""},
        {2, "--fabric fat-tree-128 --trace pattern:ring,ranks=8,bytes=5", "bytes \"5\" is a bare number"},
        {2, "--fabric fat-tree-128 --trace ./nothing", "./nothing: no such trace"},
        {1, "--fabric fat-tree-128", "--trace is missing"},
        {1, GOOD_TRACE, "--fabric is missing"},
        {1, GOOD "--until 5", "--until 5: a time with a unit"},
        {1, GOOD "--seed x", "--seed x: a whole number"},
        {1, GOOD "--set radix", "--set radix: KEY=VALUE was expected"},
        {1, GOOD "--frobnicate", "frobnicate"},
        {1, GOOD "-o ''", "-o: the name of the result file is empty"},
        {2, GOOD_TRACE "--fabric /nowhere.yaml", "/nowhere.yaml"},
        {2, GOOD_TRACE "--fabric /", "/: "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        refused(photonet, rows[i].status, rows[i].arguments, rows[i].part);
    }
}

static void test_bad_files_are_named_with_line_and_column(void)
{
    const char *photonet = program();
    if (photonet == NULL) {
        return;
    }
    static const struct {
        const char *text, *part;
    } files[] = {
        {"fabric: fat_tree\nradixx: 8\n", "fabric.yaml:2:9: unknown parameter \"radixx\""},
        {"fabric: fat_tree\nlink_rate: 400\n", "fabric.yaml:2:12: link_rate \"400\" is a bare number"},
        {"fabric: fat_tree\ntiers: 1\nhosts: 4\n", "fabric.yaml:"},
        {"fabric: fat_tree\npacket: {size: 1kB, heade: 3B}\n", "fabric.yaml:2:"},
        {"fabric: [\n", "fabric.yaml:"},
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        FILE *file = fopen(in_directory("fabric.yaml"), "w");
        fputs(files[i].text, file);
        fclose(file);
        refused(photonet, 2, GOOD_TRACE "--fabric ../fabric.yaml", files[i].part);
    }
}

static void test_unwritable_output_is_an_io_failure(void)
{
    const char *photonet = program();
    if (photonet == NULL) {
        return;
    }
    CHECK_EQUAL(SHELL("{ %s run -q " GOOD "-o %s/nowhere/out.h5 >/dev/null; }", photonet, test_directory()), 4);
    CHECK_HOLDS(output, "nowhere/out.h5");
    CHECK_EQUAL(SHELL("{ %s run -q " GOOD ">/dev/full; }", photonet), 4);
    CHECK_HOLDS(output, "cannot write the output");
}

/* The summary says what names no part, for those who compare watts. */
static void test_what_names_no_part_is_counted(void)
{
    const char *photonet = program();
    if (photonet == NULL) {
        return;
    }
    CHECK_EQUAL(SHELL("%s run -q -t pattern:permutation,ranks=16,bytes=1MB -f tpu-v4-cube --format json", photonet), 0);
    CHECK_HOLDS(output, "\"unpowered_port_count\": 384");
    CHECK_HOLDS(output, "\"unpowered_host_count\": 0");
    CHECK_EQUAL(SHELL("%s run -q -t pattern:permutation,ranks=16,bytes=1MB -f htsim-128", photonet), 0);
    CHECK_HOLDS(output, "slowdown ");
    CHECK(strstr(output, "busbw") == NULL); /* there are no collectives */
    CHECK_EQUAL(SHELL("%s run -q -t pattern:permutation,ranks=16,bytes=1MB -f clos-dsp --format json", photonet), 0);
    CHECK_HOLDS(output, "\"unpowered_port_count\": 0");
}

/* What an algorithm moves is no measure of what was asked for: in-switch reduction moves half of what rings do. */
static void test_energy_is_per_bit_that_was_asked_for(void)
{
    static const struct {
        const char *trace, *settings;
        uint64_t bytes;
    } cases[] = {
        {"pattern:all_reduce,ranks=8,bytes=8MiB", "collective.all_reduce=ring", 8 << 23},
        {"pattern:all_reduce,ranks=8,bytes=8MiB", "collective.all_reduce=nvls", 8 << 23},
        {"pattern:all_reduce,ranks=8,bytes=8MiB", "collective.all_reduce=halving_doubling", 8 << 23},
        {"pattern:all_gather,ranks=8,bytes=1MiB", "", 8 << 23}, /* a shard each: the result counts */
        {"pattern:reduce_scatter,ranks=8,bytes=8MiB", "", 8 << 23},
        {"pattern:alltoall,ranks=8,bytes=8MiB", "", 8 << 23},
        {"pattern:broadcast,ranks=8,bytes=8MiB", "", 8 << 23},
        {"pattern:incast,ranks=8,bytes=1MiB", "", 7 << 20},
        {"pattern:all_reduce,ranks=1,bytes=8MiB", "", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct done done = run(whole_request(cases[i].trace, "dgx-h100"), cases[i].settings);
        const struct result_summary *summary = &done.result.summary;
        CHECK_EQUAL(done.status, STATUS_OK);
        CHECK_EQUAL(summary->algorithmic_bytes, cases[i].bytes);
        double network_j = summary->network_energy_per_iteration_j;
        CHECK_NEAR(summary->energy_pj_per_useful_bit, cases[i].bytes == 0 ? 0 : network_j * 1e12 / 8 / (double)cases[i].bytes, 1e-9);
        arena_free(done.arena);
    }
}

/* The rows of a table: time in us by size; how many there are. */
static uint32_t rows_read(const char *said, double *us, double *bytes, uint32_t most)
{
    uint32_t rows = 0;
    for (const char *at = strstr(said, "(GB/s)    (GB/s)\n"); at != NULL && rows < most; rows++) {
        at = strchr(at, '\n');
        double count;
        if (at == NULL || sscanf(at, " %lf %lf float %lf", &bytes[rows], &count, &us[rows]) != 3) {
            return rows;
        }
        at++;
    }
    return rows;
}

static uint32_t table_of(const char *arguments, double *us, double *bytes, uint32_t most)
{
    char said[16384];
    CHECK_EQUAL(test_shell(said, sizeof said, "%s run -q -t pattern:nccl,%s", program(), arguments), 0);
    CHECK(strstr(said, "barrier") == NULL);
    return rows_read(said, us, bytes, most);
}

/* Neither what was before nor what comes behind counts into a row: members begin together, in silence, and no message of a
 * barrier is in the way. */
static void test_rows_of_nccl_stand_alone(void)
{
    static const char *const ops[] = {"broadcast", "reduce", "gather", "scatter", "all_reduce", "all_gather", "reduce_scatter", "alltoall"};
    static const char *const nets[] = {"dgx-h100 --set collective.select=nccl", "clos-dsp --iterations 2 --threads 2"};
    if (program() == NULL) {
        return;
    }
    for (size_t i = 0; i < 2 * sizeof ops / sizeof ops[0]; i++) {
        char arguments[256];
        double us[4] = {0}, bytes[4] = {0}, alone_us = 0, alone_bytes = 0;
        snprintf(arguments, sizeof arguments, "op=%s,ranks=8,min=32KiB,max=2MiB,factor=8 -f %s", ops[i / 2], nets[i % 2]);
        CHECK_EQUAL(table_of(arguments, us, bytes, 4), 3);
        for (uint32_t row = 0; row < 3; row++) {
            snprintf(arguments, sizeof arguments, "op=%s,ranks=8,min=%.0fB,max=%.0fB -f %s", ops[i / 2], bytes[row], bytes[row], nets[i % 2]);
            CHECK_EQUAL(table_of(arguments, &alone_us, &alone_bytes, 1), 1);
            CHECK(us[row] > 0);
            CHECK(us[row] == alone_us && bytes[row] == alone_bytes);
        }
    }
}

/* Ranks on several threads leave a barrier together, in every iteration. */
static void test_barriers_hold_on_any_thread(void)
{
    char one[64] = "", said[64] = "";
    for (int threads = 1; program() != NULL && threads <= 4; threads++) {
        CHECK_EQUAL(SHELL("%s run -q -t pattern:nccl,op=alltoall,ranks=16,min=1KiB,max=64KiB,factor=8,settle=1ps -f clos-dsp "
                          "--iterations 3 --threads %d", program(), threads), 0);
        const char *digest = strstr(output, "digest  ");
        CHECK(digest != NULL);
        snprintf(threads == 1 ? one : said, sizeof one, "%.30s", digest == NULL ? "" : digest);
        CHECK(threads == 1 || strcmp(one, said) == 0);
    }
}

/* What has no whole share of 16 B for each rank is a row of nothing. Counts are those of a rank's share, or of the buffer. */
static void test_rows_of_nccl_are_whole_shares(void)
{
    double us[8], bytes[8];
    if (program() == NULL) {
        return;
    }
    CHECK_EQUAL(table_of("op=all_gather,ranks=8,min=1B,max=256B,factor=2 -f dgx-h100 --set collective.select=nccl", us, bytes, 8), 8);
    CHECK(bytes[0] == 0 && us[0] == 0 && bytes[6] == 0 && us[6] == 0);
    CHECK(bytes[7] == 128 && us[7] > 1);
    CHECK_EQUAL(table_of("op=broadcast,ranks=8,min=1B,max=4B,factor=2 -f dgx-h100", us, bytes, 8), 3);
    CHECK(bytes[1] == 0 && us[1] == 0 && bytes[2] == 4 && us[2] > 0);
    CHECK_EQUAL(SHELL("%s run -q -t pattern:nccl,op=alltoall,ranks=6,min=1000B,max=1000B -f dgx-h100", program()), 0);
    CHECK_HOLDS(output, "          960            40     float");
    CHECK_EQUAL(SHELL("%s run -q -t pattern:nccl,op=reduce,ranks=6,min=1000B,max=1000B -f dgx-h100", program()), 0);
    CHECK_HOLDS(output, "         1000           250     float");
}

/* Calls of one size follow each other on each rank, without a barrier: a row is what one of them takes on average. */
static void test_rows_of_nccl_are_means(void)
{
    double one_us, many_us, bytes;
    if (program() == NULL) {
        return;
    }
    CHECK_EQUAL(table_of("op=broadcast,ranks=8,min=1MiB,max=1MiB -f dgx-h100", &one_us, &bytes, 1), 1);
    CHECK_EQUAL(table_of("op=broadcast,ranks=8,min=1MiB,max=1MiB,count=20 -f dgx-h100", &many_us, &bytes, 1), 1);
    CHECK_EQUAL(SHELL("%s run -q -t pattern:nccl,op=broadcast,ranks=8,min=1MiB,max=2MiB,count=20 -f dgx-h100", program()), 0);
    const char *mean = strstr(output, "/1, mean of 20 calls\n");
    CHECK(mean != NULL && strstr(mean + 1, "/1, mean of 20 calls\n") != NULL);
    /* The root sends the next one while the last ones get this one: the bytes over the rate, and a way once in twenty. */
    CHECK(many_us < 0.9 * one_us);
    CHECK(many_us * 20 > one_us + 19 * 1048576.0 * 8 / 3.6e12 * 1e6);
}

TEST_MAIN("run", TEST(test_equal_runs_have_equal_digests), TEST(test_digest_sees_the_last_computation), TEST(test_summary_of_a_ring_all_reduce),
          TEST(test_bus_bandwidth_of_other_kinds), TEST(test_pauses_are_counted),
          TEST(test_compute_and_iterations), TEST(test_estimate_counts_what_runs),
          TEST(test_deadlock_is_found_and_explained), TEST(test_until_and_interruption_by_flag),
          TEST(test_program_deadlocks_with_a_report), TEST(test_rows_of_nccl_stand_alone), TEST(test_barriers_hold_on_any_thread), TEST(test_rows_of_nccl_are_whole_shares),
          TEST(test_rows_of_nccl_are_means), TEST(test_energy_is_per_bit_that_was_asked_for), TEST(test_program_stops_at_a_time), TEST(test_program_spares_files_of_others),
          TEST(test_program_is_interrupted_by_a_signal), TEST(test_program_repeats_itself_to_the_byte),
          TEST(test_one_is_no_plural), TEST(test_bad_input_is_refused_and_leaves_nothing), TEST(test_bad_files_are_named_with_line_and_column),
          TEST(test_unwritable_output_is_an_io_failure), TEST(test_what_names_no_part_is_counted))
