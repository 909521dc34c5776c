/* `photonet compare` and the reader below it. Asserted: that what was written is read back; the numbers,
 * marks, ratios and width of the table; that csv and json parse and carry the columns of the result file;
 * that wrong files are refused with one line; that the schema page is current. Not asserted: the exact look
 * of the table. */
#include "tests/check.h"
#include "tests/synthetic.h"

#include "analysis/compare.h"
#include "analysis/schema.h"
#include "photonet/command.h"

#include <jansson.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

/* HDF5 itself loses some bytes where it gives up on a damaged file. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5";
}

const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
    return "print_suppressions=0";
}

static const char *path_of(const char *name)
{
    static char paths[32][512]; /* valid for 32 calls */
    static unsigned next;
    char *path = paths[next++ % 32];
    snprintf(path, sizeof paths[0], "%s/%s", test_directory(), name);
    return path;
}

static const char *synthetic(const char *name, uint32_t run_count)
{
    struct diag diag;
    const char *path = path_of(name);
    CHECK_EQUAL(synthetic_results(path, run_count, &diag), STATUS_OK);
    return path;
}

static void test_tables_read_back(void)
{
    const char *path = synthetic("tables.h5", 5);
    struct arena *arena = arena_new("test");
    struct reader *reader;
    struct diag diag;
    size_t run_count, count;
    void *rows;
    CHECK_EQUAL(reader_open(path, arena, &reader, &diag), STATUS_OK);
    const struct reader_run *runs = reader_runs(reader, &run_count);
    CHECK_EQUAL(run_count, 5);
    CHECK_TEXT(runs[3].name, "fat-tree-4to1"); /* the order of writing, not of the alphabet */
    CHECK_TEXT(runs[4].fabric_family, "optical_patch");
    CHECK_TEXT(runs[1].digest, "1234567890abcdf0");
    CHECK_EQUAL(runs[4].summary.packet_hop_count, 33554436);
    CHECK_EQUAL(reader_table(&runs[4], RESULT_TABLE_energy, arena, &rows, &count, &diag), STATUS_OK);
    CHECK_EQUAL(count, 4);
    CHECK_TEXT(((struct result_energy *)rows)[3].class, "ocs");
    CHECK_NEAR(((struct result_energy *)rows)[3].mean_w, 200, 1e-12);
    CHECK_EQUAL(reader_table(&runs[0], RESULT_TABLE_links, arena, &rows, &count, &diag), STATUS_OK);
    CHECK_EQUAL(count, 128);
    CHECK_EQUAL(((struct result_links *)rows)[100].port, 100);
    CHECK_EQUAL(((struct result_links *)rows)[100].tier, 2);
    CHECK_EQUAL(reader_table(&runs[0], RESULT_TABLE_circuits, arena, &rows, &count, &diag), STATUS_OK);
    CHECK_EQUAL(count, 0);
    reader_close(reader);
    arena_free(arena);
}

/* The text that a format gives for a file; valid until the next call. */
__attribute__((noinline, returns_nonnull)) static const char *printed(void (*print)(const struct comparison *,
                                                                                    FILE *),
                                                                      const char *path, const char *baseline)
{
    static char text[65536];
    struct arena *arena = arena_new("test");
    struct comparison *comparison;
    struct diag diag = {0};
    FILE *out = fmemopen(text, sizeof text, "w");
    CHECK_EQUAL(comparison_load(&path, 1, baseline, arena, &comparison, &diag), STATUS_OK);
    CHECK(diag.text[0] == '\0');
    print(comparison, out);
    fclose(out);
    arena_free(arena);
    return text;
}

/* Makes a file with h5py. */
static void python_file(const char *path, const char *statements)
{
    char output[900];
    CHECK_EQUAL(test_shell(output, sizeof output,
                           "/usr/bin/python3 -c \"import h5py; f = h5py.File('%s', 'a'); %s\"", path,
                           statements),
                0);
    CHECK_TEXT(output, "");
}

static size_t longest_line(const char *text)
{
    size_t longest = 0;
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        longest = length > longest ? length : longest;
        text += length + (text[length] != '\0');
    }
    return longest;
}

static void test_table(void)
{
    for (uint32_t run_count = 1; run_count <= 9; run_count++) {
        const char *text = printed(compare_table, synthetic("table.h5", run_count), NULL);
        CHECK(longest_line(text) <= COMPARE_WIDTH);
        CHECK_HOLDS(text, "llama3-8b tp4 pp2 dp4");
        CHECK_HOLDS(text, "Definitions");
        CHECK_HOLDS(text, "the size that");
    }
    const char *text = printed(compare_table, synthetic("table.h5", 5), NULL);
    CHECK_HOLDS(text,
                "  iteration time      ms    10.00  9.900* 0.99x 9.900* 0.99x 11.40  1.14x 10.30  1.03x\n");
    CHECK_HOLDS(text, "  bus bandwidth     GB/s    38.50  39.29  1.02x 39.69* 1.03x 20.26  0.53x");
    CHECK_HOLDS(text, "ratios to fat-tree-dsp");
    CHECK_HOLDS(text, "  exposed share        %    20.00  19.00* 0.95x 19.00* 0.95x 34.00  1.70x");
    CHECK_HOLDS(text,
                "  reconfiguration     us        0      0      =     0      =     0      = 25.00       \n");
    CHECK(strstr(text, "pauses") == NULL); /* zero in all runs */
    text = printed(compare_table, path_of("table.h5"), "optical-patch");
    CHECK_HOLDS(text, "  iteration time      ms 10.00  0.97x");
}

/* A power that leaves out what names no part is marked, is no best value and has no ratio to one that is whole; and a
 * status is printed whole. */
static void test_incomplete(void)
{
    const char *path = synthetic("lacking.h5", 5);
    const char *text = printed(compare_table, path, NULL);
    CHECK_HOLDS(text, "  network per GPU      W    94.50  78.50  0.83x 73.70* 0.78x");
    CHECK(strstr(text, "too low") == NULL && strstr(text, "no part") == NULL);
    python_file(path, "f['runs/fat-tree-cpo/summary/unpowered_port_count'][0] = 384; "
                      "f['runs/fat-tree-dsp'].attrs['status'] = 'interrupted'");
    text = printed(compare_table, path, NULL);
    CHECK_HOLDS(text, "  network per GPU      W    94.50  78.50* 0.83x 73.70?       ");
    CHECK_HOLDS(text, "  no part: ports                0      0      =   384            0      =     0      =\n");
    CHECK(strstr(text, "no part: hosts") == NULL);
    CHECK_HOLDS(text, "\n? too low: ");
    CHECK_HOLDS(text, "interrupted     complete     complete");
    CHECK_HOLDS(text, "  GPUs waiting  "); /* the hosts have parts */
    text = printed(compare_markdown, path, NULL);
    CHECK_HOLDS(text, "| network_w_per_gpu | 94.5 | 78.5 (0.831x) | 73.7? |");
    CHECK_HOLDS(printed(compare_json, path, NULL), "\"unpowered_port_count\": 384");
    text = printed(compare_table, path, "fat-tree-cpo");
    CHECK_HOLDS(text, "interrupted");
    CHECK(longest_line(text) <= COMPARE_WIDTH);
}

static void test_csv(void)
{
    const char *text = printed(compare_csv, synthetic("csv.h5", 3), NULL);
    CHECK_HOLDS(text, "file,run,status,engine,trace,fabric,fabric_family,digest,scale,iteration_time_ps,");
    CHECK_HOLDS(
        text,
        "csv.h5,fat-tree-lpo,complete,packet,llama3-8b tp4 pp2 dp4,fat-tree-lpo,fat_tree,1234567890abcdf0,1,"
        "9900000001,7400000000,");
    size_t lines = 0, commas = 0;
    for (const char *at = text; *at != '\0'; at++) {
        lines += *at == '\n';
        commas += *at == ',';
    }
    CHECK_EQUAL(lines, 4);
    CHECK_EQUAL(commas % 4, 0);
}

static void test_json(void)
{
    json_error_t error;
    json_t *root = json_loads(printed(compare_json, synthetic("json.h5", 5), "fat-tree-cpo"),
                              JSON_REJECT_DUPLICATES, &error);
    CHECK(root != NULL);
    CHECK_TEXT(json_string_value(json_object_get(root, "baseline")), "fat-tree-cpo");
    json_t *run = json_array_get(json_object_get(root, "runs"), 4);
    CHECK_TEXT(json_string_value(json_object_get(run, "run")), "optical-patch");
    CHECK_EQUAL(json_integer_value(json_object_get(run, "packet_hop_count")), 33554436);
    CHECK_NEAR(json_real_value(json_object_get(run, "exposed_communication_fraction")), 0.23, 0);
    for (const struct result_column *column = result_columns; column->name != NULL; column++) {
        CHECK(column->table != RESULT_TABLE_summary || json_is_number(json_object_get(run, column->name)));
    }
    json_decref(root);
}

static void test_markdown(void)
{
    const char *text = printed(compare_markdown, synthetic("md.h5", 2), NULL);
    CHECK_HOLDS(text, "| | fat-tree-dsp | fat-tree-lpo |\n|---|---:|---:|\n");
    CHECK_HOLDS(text, "| iteration_time_ps | 10000000000 | 9900000001 (0.99x) |\n");
}

static void test_numbers(void)
{
    static const struct {
        double value;
        bool is_whole;
        const char *text;
    } cases[] = {{0, false, "0"},
                 {1, true, "1"},
                 {12345, true, "12345"},
                 {123456, true, "1e+05"},
                 {999.96, false, "1000"},
                 {99.996, false, "100.0"},
                 {9.9996, false, "10.00"},
                 {0.99996, false, "1.000"},
                 {0.0123456, false, "0.012"},
                 {0.001, false, "1e-03"},
                 {(double)NAN, false, "-"},
                 {0.5, false, "0.500"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[16];
        CHECK_TEXT(metric_print(cases[i].value, cases[i].is_whole, text), cases[i].text);
        CHECK(strlen(text) <= 5);
    }
}

/* ---- what is refused
 * --------------------------------------------------------------------------------------------- */

static enum status load(const char *path, const char *baseline, struct diag *diag)
{
    struct arena *arena = arena_new("test");
    struct comparison *comparison;
    enum status status = comparison_load(&path, 1, baseline, arena, &comparison, diag);
    arena_free(arena);
    return status;
}

static void check_refused(const char *path, const char *baseline, const char *why)
{
    struct diag diag = {0};
    CHECK_EQUAL(load(path, baseline, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, why);
    CHECK(strchr(diag.text, '\n') == NULL);
}

static void test_usage_refused(void)
{
    static const struct {
        char *arguments[4];
        const char *why;
    } cases[] = {
        {{"--frmat", "csv", "x.h5"},
         "--frmat is not an option or lacks its value; try `photonet compare --help`"},
        {{"--format", "xml", "x.h5"}, "--format: xml is not known; expected table, csv, json or md"},
        {{"x.h5", "--format"}, "--format is not an option or lacks its value"},
        {{NULL}, "no result file is given; expected FILE.h5..."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct diag diag = {0};
        char *argv[6] = {"photonet compare"};
        int argc = 1;
        while (argc < 4 && cases[i].arguments[argc - 1] != NULL) {
            argv[argc] = cases[i].arguments[argc - 1];
            argc++;
        }
        CHECK_EQUAL(command_compare(argc, argv, &diag), STATUS_USAGE);
        CHECK_HOLDS(diag.text, cases[i].why);
    }
    struct diag diag = {0};
    CHECK_EQUAL(command_schema(2, (char *[]){"photonet schema", "links", NULL}, &diag), STATUS_USAGE);
    CHECK_TEXT(diag.text, "argument links: schema takes none");
}

static void test_refused(void)
{
    const char *path = synthetic("good.h5", 2);
    char output[256];
    check_refused(path_of("absent.h5"), NULL, "absent.h5: cannot be read: No such file");
    check_refused(test_directory(), NULL, "is no HDF5 file");
    check_refused(path, "optical",
                  "--baseline: no run is named optical; expected one of fat-tree-dsp, fat-tree-lpo");
    FILE *file = fopen(path_of("text.h5"), "w");
    fputs("not a result\n", file);
    fclose(file);
    check_refused(path_of("text.h5"), NULL, "text.h5: is no HDF5 file");
    python_file(path_of("other.h5"), "f['x'] = 1");
    check_refused(path_of("other.h5"), NULL, "other.h5: is an HDF5 file but not of Photonet");
    python_file(path_of("none.h5"), "f.attrs['format'] = 'photonet-results'; f.attrs['schema_version'] = 1");
    check_refused(path_of("none.h5"), NULL, "none.h5: holds no runs");
    python_file(path_of("newer.h5"), "f.attrs['format'] = 'photonet-results'; f.attrs['schema_version'] = 2");
    check_refused(path_of("newer.h5"), NULL, "newer.h5: has schema version 2; expected at most 1");
    CHECK_EQUAL(test_shell(output, sizeof output, "cp %s %s", path, path_of("odd.h5")), 0);
    python_file(path_of("odd.h5"),
                "g = f['runs/fat-tree-lpo/summary']; del g['drop_count']; g['drop_count'] = 'x'");
    check_refused(path_of("odd.h5"), NULL, "/runs/fat-tree-lpo/summary/drop_count cannot be read");
}

/* Cut or altered anywhere, a file is refused or read, and nothing worse. */
static void test_damaged(void)
{
    const char *path = synthetic("whole.h5", 1), *damaged = path_of("damaged.h5");
    struct stat status;
    static char bytes[1 << 20];
    FILE *file = fopen(path, "r");
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    CHECK(stat(path, &status) == 0 && (size_t)status.st_size == size);
    for (size_t cut = 1; cut < size; cut += size / 37) {
        struct diag diag = {0};
        file = fopen(damaged, "w");
        fwrite(bytes, 1, size - cut, file);
        fclose(file);
        CHECK_EQUAL(load(damaged, NULL, &diag), STATUS_INPUT);
        CHECK_HOLDS(diag.text, "damaged.h5: is ");
    }
    uint64_t random = test_seed();
    for (unsigned i = 0; i < 300; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        size_t at = (size_t)(random >> 20) % size;
        char old = bytes[at];
        struct diag diag = {0};
        bytes[at] = (char)(random >> 8);
        file = fopen(damaged, "w");
        fwrite(bytes, 1, size, file);
        fclose(file);
        bytes[at] = old;
        enum status found = load(damaged, NULL, &diag);
        CHECK(found == STATUS_OK || (found == STATUS_INPUT && diag.text[0] != '\0'));
    }
}

/* Same names in two files; a run that did not end. */
static void test_many_files(void)
{
    const char *paths[2] = {synthetic("one.h5", 2), synthetic("two.h5", 1)};
    char wanted[600];
    struct arena *arena = arena_new("test");
    struct comparison *comparison;
    struct diag diag;
    python_file(paths[1], "r = f['runs/fat-tree-dsp']; del r['summary']; r.attrs['status'] = 'interrupted'");
    snprintf(wanted, sizeof wanted, "one.h5:fat-tree-dsp");
    CHECK_EQUAL(comparison_load(paths, 2, "fat-tree-lpo", arena, &comparison, &diag), STATUS_OK);
    CHECK_EQUAL(comparison->run_count, 3);
    CHECK_EQUAL(comparison->baseline, 1);
    CHECK_TEXT(comparison->names[0], wanted);
    CHECK(isnan(comparison_value(comparison, &comparison->metrics[0], 2)));
    CHECK_EQUAL(comparison_load(paths, 2, wanted, arena, &comparison, &diag), STATUS_OK);
    CHECK_EQUAL(comparison->baseline, 0);
    CHECK_EQUAL(comparison_load(paths, 2, "fat-tree-dsp", arena, &comparison, &diag), STATUS_INPUT);
    char text[16384];
    FILE *out = fmemopen(text, sizeof text, "w");
    compare_table(comparison, out);
    fclose(out);
    CHECK(strstr(text, "interrupted") != NULL);
    CHECK(longest_line(text) <= COMPARE_WIDTH);
    arena_free(arena);
}

/* ---- the schema page
 * --------------------------------------------------------------------------------------------- */

/* With PHOTONET_UPDATE set the page is written instead: that is how analysis/schema.md is made. */
static void test_schema_is_current(void)
{
    static char stored[65536], made[65536];
    FILE *out = fmemopen(made, sizeof made, "w");
    schema_print(out);
    fclose(out);
    if (getenv("PHOTONET_UPDATE") != NULL) {
        FILE *page = fopen("analysis/schema.md", "w");
        fputs(made, page);
        fclose(page);
    }
    FILE *page = fopen("analysis/schema.md", "r");
    CHECK(page != NULL);
    if (page != NULL) {
        stored[fread(stored, 1, sizeof stored - 1, page)] = '\0';
        fclose(page);
        CHECK(strcmp(stored, made) == 0); /* else run this program with PHOTONET_UPDATE=1 */
    }
}

TEST_MAIN("compare", TEST(test_tables_read_back), TEST(test_table), TEST(test_incomplete), TEST(test_csv), TEST(test_json),
          TEST(test_markdown), TEST(test_numbers), TEST(test_refused), TEST(test_usage_refused),
          TEST(test_damaged), TEST(test_many_files), TEST(test_schema_is_current))
