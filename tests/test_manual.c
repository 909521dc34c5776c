/* photonet transport: the page of every transport in the table.
 *
 * Asserted: each says what is modelled, what is not and what it was checked against, and lists its parameters; those that
 * agree with a peer name it with a table; the installed manual page holds them all; an unknown name is one line and status 2.
 * Not asserted: that the pages are right. */
#include "netsim/transport/transport.h"
#include "photonet/command.h"
#include "tests/check.h"

#include <stdlib.h>
#include <sys/wait.h>

static char output[1 << 18];

/* Runs a line of shell; what it prints goes to `output`. Returns the exit status. */
static int shell(const char *line)
{
    FILE *pipe = popen(line, "r");
    output[pipe != NULL ? fread(output, 1, sizeof output - 1, pipe) : 0] = 0;
    int state = pipe != NULL ? pclose(pipe) : -1;
    return WIFEXITED(state) ? WEXITSTATUS(state) : 128;
}

static bool is_there(void)
{
    if (getenv("PHOTONET") == NULL || getenv("PHOTONET_BUILD") == NULL) {
        test_skip("no program to run");
        return false;
    }
    return true;
}

static int photonet(const char *arguments)
{
    char line[4096];
    snprintf(line, sizeof line, "%s %s 2>&1", getenv("PHOTONET"), arguments);
    return shell(line);
}

static void test_pages(void)
{
    if (!is_there()) {
        return;
    }
    for (const struct transport *const *transport = transports; *transport != NULL; transport++) {
        char arguments[64], key[96];
        snprintf(arguments, sizeof arguments, "transport %s", (*transport)->name);
        CHECK_EQUAL(photonet(arguments), 0);
        CHECK_HOLDS(output, (*transport)->summary);
        CHECK_HOLDS(output, "\nScope: ");
        CHECK_HOLDS(output, "\nNot modelled: ");
        CHECK_HOLDS(output, "\nChecked against: ");
        CHECK(strstr(output, "*/") == NULL);
        for (size_t i = 0; i < (*transport)->params.row_count; i++) {
            snprintf(key, sizeof key, "transport.%s = %s", (*transport)->params.rows[i].key,
                     (*transport)->params.rows[i].default_text);
            CHECK_HOLDS(output, key);
        }
    }
}

/* Ours, theirs, ratio and source. */
static void test_pages_hold_the_peers(void)
{
    if (!is_there()) {
        return;
    }
    static const char *const names[] = {"nscc", "eqds", "roce"};
    for (size_t i = 0; i < 3; i++) {
        char arguments[64];
        snprintf(arguments, sizeof arguments, "transport %s", names[i]);
        CHECK_EQUAL(photonet(arguments), 0);
        CHECK_HOLDS(output, "    permutation  128, 400 Gbit/s ");
        CHECK_HOLDS(output, "\nRatios");
        CHECK_HOLDS(output, "uet-htsim 40ccb05");
    }
}

static void test_list_and_errors(void)
{
    if (!is_there()) {
        return;
    }
    CHECK_EQUAL(photonet("transport"), 0);
    for (const struct transport *const *transport = transports; *transport != NULL; transport++) {
        CHECK_HOLDS(output, (*transport)->summary);
    }
    CHECK_EQUAL(photonet("transport --format json swift"), 0);
    CHECK_HOLDS(output, "\"transport\": \"swift\"");
    CHECK_EQUAL(photonet("transport nope"), 2);
    CHECK_TEXT(output, "photonet: transport: unknown transport \"nope\"; `photonet transport` lists them\n");
    CHECK_EQUAL(photonet("transport nscc eqds"), 1);
    CHECK_EQUAL(photonet("transport --format yaml"), 1);
}

static void test_manual_page(void)
{
    if (!is_there()) {
        return;
    }
    char line[4096];
    snprintf(line, sizeof line, "cat %s/install/photonet.1 2>&1", getenv("PHOTONET_BUILD"));
    CHECK_EQUAL(shell(line), 0);
    for (const struct transport *const *transport = transports; *transport != NULL; transport++) {
        CHECK_HOLDS(output, (*transport)->name);
    }
    CHECK_HOLDS(output, "PHOTONET TRANSPORT NSCC");
    CHECK_HOLDS(output, "52.2 / 51.8");
}

TEST_MAIN("manual", TEST(test_pages), TEST(test_pages_hold_the_peers), TEST(test_list_and_errors), TEST(test_manual_page))
