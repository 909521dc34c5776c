/* Parameters from rows.
 *
 * Asserted: defaults, assignment, ranges, messages, what is printed and the help, over one table that has a
 * row of every type. Not asserted: the rows of the program itself, which the tests of their owners walk. */
#include "tests/check.h"
#include "tests/child.h"

#include "netsim/base/nearest.h"
#include "photonet/param.h"

struct values {
    uint64_t tiers;
    uint64_t link_rate_bps;
    uint64_t seed;
    double loss_db;
    double load;
    bool is_bidi;
    uint32_t algorithm;
    const char *part;
    const char *note;
};

static const char *const algorithms[] = {"ring", "tree", "direct", NULL};

static const struct param rows[] = {
    PARAM_U64(struct values, tiers, COUNT, "tiers", "2", "2", "3", "layers of switches"),
    PARAM_U64(struct values, link_rate_bps, RATE, "link_rate", "400Gbps", "1Mbps", "100Tbps",
              "rate of every link in each of the two directions, as the data sheet of the switch has it in "
              "its table"),
    PARAM_U64(struct values, seed, COUNT, "seed", "1", NULL, NULL, "of the random draws"),
    PARAM_REAL(struct values, loss_db, LOSS, "loss", "1.5dB", "0dB", NULL, "insertion loss"),
    PARAM_REAL(struct values, load, FRACTION, "load", "30%", NULL, "1", "share of the line that is offered"),
    PARAM_BOOL(struct values, is_bidi, "is_bidi", "no", "one fibre for both directions"),
    PARAM_CHOICE(struct values, algorithm, "algorithm", "tree", algorithms, "how to reduce"),
    PARAM_TEXT(struct values, part, "part", NULL, "name of a part"),
    PARAM_TEXT(struct values, note, "note_of_the_one_who_wrote_this_down", "plain text", "anything"),
};
static const struct param_table table = PARAM_TABLE(struct values, rows);

/* Assigns and returns the message, empty where the text was taken. */
static const char *assigned(struct values *values, struct arena *arena, const char *key, const char *text)
{
    static struct diag diag;
    struct origin at = {.path = "f.yaml", .line = 3, .column = 9};
    diag.text[0] = '\0';
    enum status status = param_assign(&table, values, key, text, at, arena, &diag);
    CHECK_EQUAL(status, diag.text[0] == '\0' ? STATUS_OK : STATUS_INPUT);
    return diag.text;
}

static void test_param_defaults(void)
{
    struct arena *arena = arena_new("test");
    const struct values *values = param_defaults(&table, arena);
    CHECK_EQUAL(values->tiers, 2);
    CHECK_EQUAL(values->link_rate_bps, UINT64_C(400000000000));
    CHECK(values->loss_db == 1.5);
    CHECK(values->load == 0.3);
    CHECK(!values->is_bidi);
    CHECK_EQUAL(values->algorithm, 1);
    CHECK(values->part == NULL);
    CHECK_TEXT(values->note, "plain text");
    CHECK(param_find(&table, "loss") == &rows[3]);
    CHECK(param_find(&table, "los") == NULL);
    static const struct param_table empty = PARAM_TABLE_EMPTY;
    CHECK(param_defaults(&empty, arena) != NULL);
    arena_free(arena);
}

static void test_param_assign(void)
{
    struct arena *arena = arena_new("test");
    struct values *values = param_defaults(&table, arena);
    CHECK_TEXT(assigned(values, arena, "tiers", "3"), "");
    CHECK_TEXT(assigned(values, arena, "link_rate", "50GB/s"), "");
    CHECK_TEXT(assigned(values, arena, "loss", "0dB"), "");
    CHECK_TEXT(assigned(values, arena, "load", "-5"), "");
    CHECK_TEXT(assigned(values, arena, "algorithm", "direct"), "");
    char name[] = "QM9700";
    CHECK_TEXT(assigned(values, arena, "part", name), "");
    name[0] = 'x';
    CHECK_EQUAL(values->tiers, 3);
    CHECK_EQUAL(values->link_rate_bps, UINT64_C(400000000000));
    CHECK_EQUAL(values->algorithm, 2);
    CHECK_TEXT(values->part, "QM9700");
    arena_free(arena);
}

static void test_param_bool_forms(void)
{
    struct arena *arena = arena_new("test");
    struct values *values = param_defaults(&table, arena);
    const char *const words[] = {"yes", "no", "true", "false", "on", "off"};
    for (size_t i = 0; i < 6; i++) {
        values->is_bidi = i % 2 == 1;
        CHECK_TEXT(assigned(values, arena, "is_bidi", words[i]), "");
        CHECK_EQUAL(values->is_bidi, i % 2 == 0);
    }
    CHECK_TEXT(assigned(values, arena, "is_bidi", "1"),
               "f.yaml:3:9: is_bidi \"1\" is neither yes nor no; expected yes | no");
    arena_free(arena);
}

static void test_param_refusals(void)
{
    struct arena *arena = arena_new("test");
    struct values *values = param_defaults(&table, arena), before = *values;
    CHECK_TEXT(assigned(values, arena, "tiers", "1"),
               "f.yaml:3:9: tiers \"1\" is too small; expected 2 .. 3");
    CHECK_TEXT(assigned(values, arena, "tiers", "4"),
               "f.yaml:3:9: tiers \"4\" is too large; expected 2 .. 3");
    CHECK_HOLDS(assigned(values, arena, "tiers", "2.5"),
                "tiers \"2.5\" is not a whole number; a count is one");
    CHECK_HOLDS(assigned(values, arena, "link_rate", "400"),
                "f.yaml:3:9: link_rate \"400\" is a bare number; a rate needs a unit: bps");
    CHECK_HOLDS(assigned(values, arena, "link_rate", "999999bps"), "is too small; expected 1Mbps .. 100Tbps");
    CHECK_HOLDS(assigned(values, arena, "loss", "-0.1dB"),
                "loss \"-0.1dB\" is too small; expected at least 0dB");
    CHECK_HOLDS(assigned(values, arena, "load", "101%"), "load \"101%\" is too large; expected at most 1");
    CHECK_HOLDS(assigned(values, arena, "algorithm", "rong"),
                "algorithm \"rong\" is not one of the choices; expected ring | tree | direct");
    CHECK_EQUAL(memcmp(&before, values, sizeof before), 0);
    arena_free(arena);
}

static void test_param_unknown_keys(void)
{
    struct arena *arena = arena_new("test");
    struct values *values = param_defaults(&table, arena);
    CHECK_TEXT(assigned(values, arena, "link_rat", "1"),
               "f.yaml:3:9: unknown parameter \"link_rat\"; the nearest known one is \"link_rate\"");
    CHECK_HOLDS(assigned(values, arena, "tires", "1"), "\"tiers\"");
    CHECK_HOLDS(assigned(values, arena, "Link-Rate", "1"), "\"link_rate\"");
    CHECK_HOLDS(assigned(values, arena, "algoritm", "1"), "\"algorithm\"");
    static const struct param_table empty = PARAM_TABLE_EMPTY;
    struct diag diag;
    CHECK_EQUAL(param_assign(&empty, values, "x", "1", (struct origin){.path = "--set"}, arena, &diag),
                STATUS_INPUT);
    CHECK_TEXT(diag.text, "--set: unknown parameter \"x\"; expected none, there are no parameters here");
    arena_free(arena);
}

static void test_edit_distance(void)
{
    CHECK_EQUAL(edit_distance("", ""), 0);
    CHECK_EQUAL(edit_distance("", "abc"), 3);
    CHECK_EQUAL(edit_distance("kitten", "sitting"), 3);
    CHECK_EQUAL(edit_distance("ab", "ba"), 1);
    CHECK_EQUAL(edit_distance("Link-Rate", "link_rate"), 0);
    CHECK_EQUAL(edit_distance("ca", "abc"), 3); /* optimal string alignment; 2 without its restriction */
    char long_name[200];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    CHECK_EQUAL(edit_distance(long_name, ""), 63);
    CHECK_EQUAL(edit_distance(long_name, long_name), 0);
}

/* What is printed assigns the same value again, in every row. */
static void test_param_text_round_trip(void)
{
    struct arena *arena = arena_new("test");
    struct values *values = param_defaults(&table, arena), *copy = param_defaults(&table, arena);
    const char *const texts[] = {"3", "3.6Tbps", "123", "0.35dB", "12.5%", "yes", "ring", "a b", ""};
    const char *const shown[] = {"3", "3600Gbps", "123", "0.35dB", "0.125", "yes", "ring", "a b", ""};
    for (size_t i = 0; i < table.row_count; i++) {
        char text[128], again[128];
        CHECK_TEXT(assigned(values, arena, rows[i].key, texts[i]), "");
        CHECK_TEXT(param_text(&rows[i], values, text, sizeof text), shown[i]);
        CHECK_TEXT(assigned(copy, arena, rows[i].key, text), "");
        CHECK_TEXT(param_text(&rows[i], copy, again, sizeof again), text);
    }
    arena_free(arena);
}

static void test_param_help(void)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *stream = open_memstream(&text, &bytes);
    param_help(&table, "fabric.", stream);
    fclose(stream);
    CHECK_HOLDS(text, "  fabric.tiers = 2            layers of switches [2 .. 3]\n");
    CHECK_HOLDS(text, "  fabric.part = (none)        name of a part\n");
    CHECK_HOLDS(text, "  fabric.algorithm = tree     how to reduce [ring | tree | direct]\n");
    CHECK_HOLDS(text, "  fabric.note_of_the_one_who_wrote_this_down = plain text\n"
                      "                              anything\n");
    CHECK_HOLDS(text, "[1Mbps .. 100Tbps]\n");
    size_t line_bytes_max = 0;
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        size_t length = strcspn(line, "\n");
        line_bytes_max = length > line_bytes_max ? length : line_bytes_max;
    }
    CHECK(line_bytes_max <= 100);
    free(text);
}

static void bad_default(void)
{
    static const struct param bad_rows[] = {
        PARAM_U64(struct values, tiers, COUNT, "tiers", "9", "2", "3", "layers of switches")};
    static const struct param_table bad_table = PARAM_TABLE(struct values, bad_rows);
    param_defaults(&bad_table, arena_new("test"));
}

static void test_param_wrong_default_aborts(void)
{
    char output[1024];
    CHECK(is_aborted(child_capture(bad_default, output, sizeof output)));
    CHECK_HOLDS(output, "tiers \"9\" is too large; expected 2 .. 3");
}

TEST_MAIN("param", TEST(test_param_defaults), TEST(test_param_assign), TEST(test_param_bool_forms),
          TEST(test_param_refusals), TEST(test_param_unknown_keys), TEST(test_edit_distance),
          TEST(test_param_text_round_trip), TEST(test_param_help), TEST(test_param_wrong_default_aborts))
