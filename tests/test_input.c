/* Inputs that are no files: pipes, of which opening would wait for ever, and devices, which never end. Asserted: everything that
 * reads a file refuses them in one line, at once. Not asserted: what folders and missing files are told (test of each
 * reader). */
#include "photonet/doc.h"
#include "photonet/input.h"
#include "tests/trace_check.h"

#include <sys/stat.h>

static const char *pipe_path(void)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/pipe", test_directory());
    mkfifo(path, 0600);
    return path;
}

static void test_kinds(void)
{
    struct diag diag = {""};
    CHECK_EQUAL(input_check(pipe_path(), &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "/pipe: is a pipe; expected a regular file");
    CHECK_EQUAL(input_check("/dev/null", &diag), STATUS_INPUT);
    CHECK_TEXT(diag.text, "/dev/null: is a device; expected a regular file");
    CHECK_EQUAL(input_check(test_directory(), &diag), STATUS_OK);
    CHECK_EQUAL(input_check("/nowhere", &diag), STATUS_OK);
    CHECK_EQUAL(input_check(trace_text("file", ""), &diag), STATUS_OK);
}

/* Every reader of a file, named and found. */
static void test_formats(void)
{
    char spec[1200];
    trace_refused(pipe_path(), 0, NULL, "is a pipe");
    for (const struct trace_format *const *format = trace_formats; *format != NULL; format++) {
        if ((*format)->probe != NULL) {
            snprintf(spec, sizeof spec, "%s:%s", (*format)->name, pipe_path());
            trace_refused(spec, 0, NULL, "is a pipe; expected a regular file");
        }
    }
}

static void refused(const char *arguments, const char *part)
{
    char output[4096];
    int code = test_shell(output, sizeof output, "timeout 30 %s %s", getenv("PHOTONET"), arguments);
    CHECK_EQUAL(code, 2);
    CHECK_HOLDS(output, part);
}

/* What other commands and parameters read. */
static void test_commands(void)
{
    if (getenv("PHOTONET") == NULL) {
        test_skip("PHOTONET names no program to run");
        return;
    }
    static const struct {
        const char *before, *after;
    } commands[] = {
        {"run -q -t pattern:ring,ranks=4,bytes=1KiB -f ", ""},
        {"run -q -t pattern:ring,ranks=4,bytes=1KiB,placement=file:", " -f clos-dsp"},
        {"run -q -t pattern:ring,ranks=4,bytes=1KiB -f edge_list --set file=", ""},
        {"run -q -t pattern:ring,ranks=4,bytes=1KiB -f clos-dsp --set collective.all_reduce=custom:", ""},
        {"run -q -t ", " -f clos-dsp"},
        {"trace generate --model ", " -o unwritten"},
        {"trace info ", ""},
        {"compare ", ""},
    };
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        char line[2400];
        snprintf(line, sizeof line, "%s%s%s", commands[i].before, pipe_path(), commands[i].after);
        refused(line, "is a pipe; expected a regular file");
    }
}

TEST_MAIN("input", TEST(test_kinds), TEST(test_formats), TEST(test_commands))
