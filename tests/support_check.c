/* The test harness declared in check.h, on CUnit's basic interface. */
#include "tests/check.h"

#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned skip_count;
static char directory[256];

void test_skip(const char *why)
{
    static CU_pTest last; /* a test that skips several of its parts is one skipped test */
    skip_count += CU_get_current_test() != last;
    last = CU_get_current_test();
    printf(" skipped: %s ...", why);
}

const char *test_corpus(const char *relative)
{
    static char path[4096];
    const char *corpus = getenv("PHOTONET_CORPUS");
    if (corpus == NULL || corpus[0] == '\0') {
        test_skip("PHOTONET_CORPUS is not set");
        return NULL;
    }
    snprintf(path, sizeof path, "%s/%s", corpus, relative);
    if (access(path, R_OK) != 0) {
        test_skip("not in PHOTONET_CORPUS");
        return NULL;
    }
    return path;
}

static void directory_remove(void)
{
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    if (system(command) != 0) {
        fprintf(stderr, "cannot remove %s\n", directory);
    }
}

const char *test_directory(void)
{
    if (directory[0] == '\0') {
        const char *base = getenv("TMPDIR");
        snprintf(directory, sizeof directory, "%s/photonet-test.XXXXXX", base != NULL ? base : "/tmp");
        if (mkdtemp(directory) == NULL) {
            perror(directory);
            exit(1);
        }
        atexit(directory_remove);
    }
    return directory;
}

uint64_t test_seed(void)
{
    const char *text = getenv("PHOTONET_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : 20261120;
    printf(" seed %" PRIu64 " ...", seed);
    return seed;
}

int test_shell(char *output, size_t output_bytes, const char *format, ...)
{
    char command[8192];
    va_list arguments;
    va_start(arguments, format);
    size_t length = (size_t)vsnprintf(command, sizeof command - 8, format, arguments);
    va_end(arguments);
    if (length >= sizeof command - 8) {
        fprintf(stderr, "test_shell: command too long\n");
        exit(1);
    }
    strcat(command, " 2>&1");
    fflush(stdout);
    FILE *pipe = popen(command, "r");
    if (pipe == NULL) {
        perror("popen");
        exit(1);
    }
    size_t got = fread(output, 1, output_bytes - 1, pipe);
    output[got] = '\0';
    char rest[4096];
    while (fread(rest, 1, sizeof rest, pipe) > 0) {
    }
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int test_suite_run(const char *suite, const struct test *tests, size_t count)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (CU_initialize_registry() != CUE_SUCCESS) {
        return 1;
    }
    CU_pSuite added = CU_add_suite(suite, NULL, NULL);
    for (size_t i = 0; i < count; i++) {
        CU_add_test(added, tests[i].name, tests[i].run);
    }
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_tests_failed();
    unsigned run = CU_get_number_of_tests_run();
    printf("%s: %u passed, %u failed, %u skipped\n", suite, run - failed - skip_count, failed, skip_count);
    CU_cleanup_registry();
    return failed == 0 ? 0 : 1;
}
