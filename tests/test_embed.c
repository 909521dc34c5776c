/* The embedding API: that a run answers as the program does, that reports survive their run, and that every
 * kind of bad request is refused with one line. Runs themselves are tested elsewhere. */
#include "photonet/photonet.h"
#include "tests/check.h"

#include <math.h>
#include <unistd.h>

#define TRACE "pattern:all_reduce,ranks=16,bytes=1MiB"

static const char *const fabrics[] = {"clos-dsp", "clos-cpo"};

static void test_two_runs(void)
{
    const struct photonet_request request = PHOTONET_REQUEST(TRACE, fabrics, 2);
    struct photonet_report *report;
    CHECK_EQUAL(photonet_run(&request, &report), PHOTONET_OK);
    CHECK_TEXT(photonet_report_error(report), "");
    CHECK_EQUAL(photonet_report_run_count(report), 2);
    for (size_t run = 0; run < 2; run++) {
        CHECK_TEXT(photonet_report_text(report, run, "fabric"), fabrics[run]);
        CHECK_TEXT(photonet_report_text(report, run, "status"), "complete");
        CHECK_EQUAL(strlen(photonet_report_text(report, run, "digest")), 16);
        /* Ring all-reduce: 2 (n - 1) / n of the buffer a rank, 16 ranks. */
        CHECK_NEAR(photonet_report_number(report, run, "useful_bytes"), 2.0 * 15 * (1 << 20), 1e-12);
        CHECK(photonet_report_number(report, run, "iteration_time_ps") > 0);
    }
    photonet_report_free(report);
}

static void test_as_the_program(void)
{
    const char *program = getenv("PHOTONET");
    if (program == NULL) {
        test_skip("PHOTONET names no binary");
        return;
    }
    const struct photonet_request request = PHOTONET_REQUEST(TRACE, fabrics, 1);
    struct photonet_report *report;
    static char output[65536];
    char digest[64];
    CHECK_EQUAL(photonet_run(&request, &report), PHOTONET_OK);
    CHECK_EQUAL(test_shell(output, sizeof output, "%s run -q -t %s -f %s", program, TRACE, fabrics[0]), 0);
    snprintf(digest, sizeof digest, "digest  %s\n", photonet_report_text(report, 0, "digest"));
    CHECK_HOLDS(output, digest);
    photonet_report_free(report);
}

static void test_settings_reach_the_run(void)
{
    static const char *const settings[] = {"packet.size=1KiB"};
    struct photonet_request request = PHOTONET_REQUEST(TRACE, fabrics, 1);
    struct photonet_report *large, *small, *again;
    CHECK_EQUAL(photonet_run(&request, &large), PHOTONET_OK);
    CHECK_EQUAL(photonet_run(&request, &again), PHOTONET_OK);
    request.settings = settings;
    request.setting_count = 1;
    CHECK_EQUAL(photonet_run(&request, &small), PHOTONET_OK);
    CHECK(photonet_report_number(small, 0, "packet_count") >
          photonet_report_number(large, 0, "packet_count"));
    CHECK(strcmp(photonet_report_text(small, 0, "digest"), photonet_report_text(large, 0, "digest")) != 0);
    CHECK_TEXT(photonet_report_text(again, 0, "digest"), photonet_report_text(large, 0, "digest"));
    photonet_report_free(large);
    photonet_report_free(small);
    photonet_report_free(again);
}

static void test_file(void)
{
    char path[512];
    snprintf(path, sizeof path, "%s/embedded.h5", test_directory());
    struct photonet_request request = PHOTONET_REQUEST(TRACE, fabrics, 1);
    struct photonet_report *report;
    request.output = path;
    CHECK_EQUAL(photonet_run(&request, &report), PHOTONET_OK);
    CHECK_EQUAL(access(path, R_OK), 0);
    photonet_report_free(report);
    request.output = "/nonexistent/embedded.h5";
    CHECK_EQUAL(photonet_run(&request, &report), PHOTONET_IO);
    CHECK_HOLDS(photonet_report_error(report), "/nonexistent/embedded.h5");
    photonet_report_free(report);
}

static void test_nothing_there(void)
{
    const struct photonet_request request = PHOTONET_REQUEST(TRACE, fabrics, 1);
    struct photonet_report *report;
    CHECK_EQUAL(photonet_run(&request, &report), PHOTONET_OK);
    CHECK(photonet_report_text(report, 0, "no such text") == NULL);
    CHECK(photonet_report_text(report, 1, "fabric") == NULL);
    CHECK(isnan(photonet_report_number(report, 0, "no_such_column")));
    CHECK(isnan(photonet_report_number(report, 1, "iteration_time_ps")));
    photonet_report_free(report);
    photonet_report_free(NULL);
}

static void refused(struct photonet_request request, enum photonet_status status, const char *part)
{
    struct photonet_report *report;
    CHECK_EQUAL(photonet_run(&request, &report), status);
    CHECK_HOLDS(photonet_report_error(report), part);
    CHECK(strchr(photonet_report_error(report), '\n') == NULL);
    CHECK_EQUAL(photonet_report_run_count(report), 0);
    photonet_report_free(report);
}

static void test_refused(void)
{
    static const char *const no_fabric[] = {"no-such-fabric"}, *const no_value[] = {"packet.size"},
                             *const no_unit[] = {"packet.size=1024"};
    const struct photonet_request good = PHOTONET_REQUEST(TRACE, fabrics, 1);
    struct photonet_request bad = good;
    bad.request_bytes = 8;
    refused(bad, PHOTONET_USAGE, "request_bytes");
    refused((struct photonet_request)PHOTONET_REQUEST(NULL, fabrics, 1), PHOTONET_USAGE, "needs a trace");
    refused((struct photonet_request)PHOTONET_REQUEST(TRACE, fabrics, 0), PHOTONET_USAGE, "one fabric");
    refused((struct photonet_request)PHOTONET_REQUEST("/nonexistent", fabrics, 1), PHOTONET_INPUT,
            "/nonexistent");
    refused((struct photonet_request)PHOTONET_REQUEST(TRACE, no_fabric, 1), PHOTONET_INPUT, "no-such-fabric");
    bad = good;
    bad.engine = "clockwork";
    refused(bad, PHOTONET_USAGE, "clockwork");
    bad = good;
    bad.setting_count = 1;
    bad.settings = no_value;
    refused(bad, PHOTONET_USAGE, "KEY=VALUE");
    bad.settings = no_unit;
    refused(bad, PHOTONET_INPUT, "packet.size");
}

static void test_interrupted(void)
{
    static const volatile int is_stopped = 1;
    struct photonet_request request = PHOTONET_REQUEST(TRACE, fabrics, 2);
    struct photonet_report *report;
    request.interrupted = &is_stopped;
    CHECK_EQUAL(photonet_run(&request, &report), PHOTONET_INTERRUPTED);
    CHECK_EQUAL(photonet_report_run_count(report), 1);
    CHECK_TEXT(photonet_report_text(report, 0, "status"), "interrupted");
    photonet_report_free(report);
}

/* Two jobs on one fabric: what --trace twice does. */
static void test_more_traces(void)
{
    static const char *const more[] = {TRACE ",start=1ms"};
    struct photonet_request request = PHOTONET_REQUEST(TRACE, fabrics, 1);
    struct photonet_report *alone, *both;
    CHECK_EQUAL(photonet_run(&request, &alone), PHOTONET_OK);
    request.more_traces = more;
    request.more_trace_count = 1;
    CHECK_EQUAL(photonet_run(&request, &both), PHOTONET_OK);
    CHECK_TEXT(photonet_report_error(both), "");
    CHECK(photonet_report_number(both, 0, "makespan_ps") >= 1e9);
    CHECK_EQUAL((uint64_t)photonet_report_number(both, 0, "useful_bytes"),
                2 * (uint64_t)photonet_report_number(alone, 0, "useful_bytes"));
    photonet_report_free(alone);
    photonet_report_free(both);
}

TEST_MAIN("embed", TEST(test_two_runs), TEST(test_as_the_program), TEST(test_settings_reach_the_run),
          TEST(test_file), TEST(test_nothing_there), TEST(test_refused), TEST(test_interrupted), TEST(test_more_traces))
