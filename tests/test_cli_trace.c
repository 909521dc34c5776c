/* photonet trace: each subcommand in a process of its own, as main would call it.
 *
 * Asserted: what is printed, exit statuses, that JSON is one document with the documented keys, that a trace
 * written by convert and generate reads back.
 * Not asserted: the texts that argp makes. */
#include "photonet/command.h"
#include "photonet/trace.h"
#include "tests/check.h"

#include <jansson.h>
#include <sys/wait.h>
#include <unistd.h>

static char output[65536];

static void child_run(char **words, int count)
{
    struct diag diag = {{0}};
    setvbuf(stdout, NULL, _IOFBF, BUFSIZ);
    enum status status = command_trace(count, words, &diag);
    if (status != STATUS_OK) {
        printf("%s\n", diag.text);
    }
    fflush(stdout);
    _exit((int)status);
}

/* Runs `photonet trace LINE` (words apart by spaces); output and errors go to `output`. Returns the exit
 * status. */
static int run(const char *line)
{
    char path[600], copy[4096], *words[32] = {(char[]){"photonet trace"}};
    int count = 1;
    snprintf(path, sizeof path, "%s/output", test_directory());
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok(copy, " "); word != NULL && count < 31; word = strtok(NULL, " ")) {
        words[count++] = word;
    }
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        if (freopen(path, "w", stdout) == NULL || dup2(fileno(stdout), 2) < 0) {
            _exit(99);
        }
        child_run(words, count);
    }
    int state = 0;
    waitpid(child, &state, 0);
    FILE *stream = fopen(path, "r");
    output[stream != NULL ? fread(output, 1, sizeof output - 1, stream) : 0] = '\0';
    if (stream != NULL) {
        fclose(stream);
    }
    return WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
}

static int run_here(const char *format, const char *name)
{
    char line[2048], prefix[600];
    snprintf(prefix, sizeof prefix, "%s/%s", test_directory(), name);
    snprintf(line, sizeof line, format, prefix);
    return run(line);
}

static void test_usage(void)
{
    CHECK_EQUAL(run(""), STATUS_USAGE);
    CHECK_HOLDS(output, "no command given; expected info");
    CHECK_EQUAL(run("look"), STATUS_USAGE);
    CHECK_HOLDS(output, "no such command: look");
    CHECK_EQUAL(run("--help"), STATUS_OK);
    CHECK_HOLDS(output, "generate");
    CHECK_EQUAL(run("info"), STATUS_USAGE);
    CHECK_HOLDS(output, "no trace given");
    CHECK_EQUAL(run("info a b"), STATUS_USAGE);
    CHECK_EQUAL(run("info --ranks many a"), STATUS_USAGE);
    CHECK_EQUAL(run("info --ranks 0 a"), STATUS_USAGE);
    CHECK_EQUAL(run("info --format xml a"), STATUS_USAGE);
    CHECK_EQUAL(run("info --nonsense a"), STATUS_USAGE);
    CHECK_HOLDS(output, "unrecognized option '--nonsense'; try `photonet trace info --help`\n");
    CHECK_EQUAL(run("info a --ranks"), STATUS_USAGE);
    CHECK_HOLDS(output, "requires an argument");
    CHECK_EQUAL(run("info --set deps a"), STATUS_USAGE);
    CHECK_EQUAL(run("convert pattern:ring,ranks=4"), STATUS_USAGE);
    CHECK_HOLDS(output, "expected -o PREFIX");
    CHECK_EQUAL(run("convert pattern:ring,ranks=4 -o x --to xml"), STATUS_USAGE);
    CHECK_HOLDS(output, "chakra_et");
    CHECK_EQUAL(run("generate -o x"), STATUS_USAGE);
    CHECK_EQUAL(run("generate --model none -o x"), STATUS_INPUT);
    CHECK_HOLDS(output, "none: no such model; expected the path of a YAML file, or one of: deepseek-v3");
}

static void test_help(void)
{
    CHECK_EQUAL(run("info --help"), STATUS_OK);
    CHECK_HOLDS(output, "trace.element_bytes");
    CHECK_EQUAL(run("generate --help"), STATUS_OK);
    CHECK_HOLDS(output, "--model");
}

static void test_info(void)
{
    CHECK_EQUAL(run("info pattern:all_reduce,ranks=4,bytes=1MiB,count=3,compute=5us"), STATUS_OK);
    CHECK_HOLDS(output, "ranks      4, running 1 different program\n");
    CHECK_HOLDS(output, "all_reduce              3 calls       1 group  of 4      12 MiB put in");
    CHECK_HOLDS(output, "0.06 ms over all ranks");
    CHECK_EQUAL(run("info /nowhere/at/all"), STATUS_INPUT);
    CHECK_EQUAL(run("validate pattern:ring,ranks=4"), STATUS_OK);
    CHECK_TEXT(output, "pattern:ring,ranks=4: valid\n");
    CHECK_EQUAL(run("validate pattern:ring,ranks=4,bytes=10"), STATUS_INPUT);
    CHECK_HOLDS(output, "bytes");
}

static void test_info_json(void)
{
    CHECK_EQUAL(run("info --format json pattern:all_gather,ranks=4,bytes=1MiB,count=3,compute=5us"),
                STATUS_OK);
    json_t *root = json_loads(output, 0, NULL);
    CHECK(root != NULL);
    if (root == NULL) {
        return;
    }
    CHECK_EQUAL(json_integer_value(json_object_get(root, "ranks")), 4);
    CHECK_EQUAL(json_integer_value(json_object_get(root, "compute_ps")), 4 * 3 * 5000000);
    CHECK_EQUAL(json_integer_value(json_object_get(json_object_get(root, "operations"), "collective")), 12);
    const json_t *row = json_array_get(json_object_get(root, "collectives"), 0);
    CHECK_TEXT(json_string_value(json_object_get(row, "collective")), "all_gather");
    CHECK_EQUAL(json_integer_value(json_object_get(row, "group_ranks")), 4);
    CHECK_EQUAL(json_integer_value(json_object_get(row, "calls")), 3);
    CHECK_EQUAL(json_integer_value(json_object_get(row, "input_bytes")), 12 << 20);
    json_decref(root);
}

static void test_convert(void)
{
    CHECK_EQUAL(run_here("convert pattern:ring,ranks=5,bytes=64KiB,compute=1500ns --to chakra_et -o %s", "ring"),
                STATUS_OK);
    CHECK_HOLDS(output, "ring.0.et to ");
    CHECK_EQUAL(run_here("info %s", "ring"), STATUS_OK);
    CHECK_HOLDS(output, "ranks      5, running 1 different program\n");
    CHECK_HOLDS(output, "send                    5         320 KiB");
    CHECK_HOLDS(output, "0.0075 ms over all ranks");
    CHECK_EQUAL(run_here("info --set trace.deps=sideways %s", "ring"), STATUS_INPUT);
    CHECK_EQUAL(run_here("validate --ranks 7 %s", "ring"), STATUS_INPUT);
    CHECK_HOLDS(output, "is a job of 5 ranks and cannot be one of 7: replicas");
    CHECK_EQUAL(run_here("convert pattern:ring,ranks=5 -o %s", "no/such/folder/ring"), STATUS_IO);
    CHECK_EQUAL(run_here("convert pattern:ring,ranks=6,bytes=64KiB -o %s", "hexagon"), STATUS_OK);
    CHECK_HOLDS(output, "hexagon.job\n");
    CHECK_EQUAL(run_here("info %s", "hexagon"), STATUS_OK); /* the name alone means it too */
    CHECK_HOLDS(output, "(job)\nread       1 file, ");
    CHECK_EQUAL(run_here("convert pattern:ring,ranks=6,bytes=64KiB --to chakra_et -o %s", "hexagon"), STATUS_OK);
    CHECK_EQUAL(run_here("info %s", "hexagon"), STATUS_OK);
    CHECK_HOLDS(output, "(job)\nread       1 file, "); /* the rank files beside it are not read */
    CHECK_HOLDS(output, "\nranks      6, running 1 different program\n");
    CHECK_EQUAL(run_here("validate --ranks 7 %s.job", "hexagon"), STATUS_INPUT);
}

/* Every model in the table makes a trace, of two replicas and few layers, that reads back. */
static void test_generate(void)
{
    for (const struct trace_preset *model = trace_presets; model->name != NULL; model++) {
        char format[240];
        snprintf(format, sizeof format,
                 "generate --model %s --pp 2 --layers 4 --micro-batches 4 --dp 2 --ep 1 --virtual-stages 1 -o %%s",
                 model->name);
        CHECK_EQUAL(run_here(format, model->name), STATUS_OK);
        CHECK_EQUAL(run_here("validate %s", model->name), STATUS_OK);
        CHECK_HOLDS(output, ": valid\n");
        snprintf(format, sizeof format, "generate --model=%s --no-such-parameter 4 -o %%s", model->name);
        CHECK_EQUAL(run_here(format, model->name), STATUS_USAGE);
        snprintf(format, sizeof format, "generate --model=%s --set no_such_parameter=4 -o %%s", model->name);
        CHECK_EQUAL(run_here(format, model->name), STATUS_INPUT);
        CHECK_HOLDS(output, "no_such_parameter");
    }
}

TEST_MAIN("cli_trace", TEST(test_usage), TEST(test_help), TEST(test_info), TEST(test_info_json),
          TEST(test_convert), TEST(test_generate))
