/* The writer of result files. Asserted: what h5py, xarray and pandas of the system read back; that equal
 * calls give equal bytes; that a process killed at any moment leaves a file with everything up to the last
 * flush; that a failed or empty run leaves what was there. Not asserted: durability over a power cut. */
#define _GNU_SOURCE
#include "tests/check.h"

#include "photonet/results.h"

#include <hdf5.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PYTHON "/usr/bin/python3"

static const struct results_input inputs[] = {{"a/trace.0.et", 123, 0xabcdef}, {"fabric.yaml", 7, 1}};

static struct results_provenance provenance(void)
{
    return (struct results_provenance){
        .command_line = "photonet run --trace x",
        .config_yaml = "fabric:\n  name: test\n",
        .engine = "packet",
        .simd = "scalar",
        .threads = 1,
        .seed = 42,
        .trace = "x",
        .fabric = "test",
        .fabric_family = "fat_tree",
        .scale = 1.0,
        .inputs = inputs,
        .input_count = 2,
    };
}

static const char *path_of(const char *name)
{
    static char paths[8][512]; /* valid for eight calls */
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", test_directory(), name);
    return path;
}

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static struct result_links link_row(uint32_t i)
{
    return (struct result_links){.port = i,
                                 .node = i / 4,
                                 .peer_node = i % 4,
                                 .tier = 1 + i % 2,
                                 .rate_bps = 400000000000,
                                 .tx_bytes = (uint64_t)i * 1000003,
                                 .utilisation = i / 1e6};
}

static struct result_nodes node_row(uint32_t i)
{
    return (struct result_nodes){.node = i, .kind = i % 2 == 0 ? "host" : "switch", .part = "h100"};
}

/* A run with rows in several tables; flushes in the middle. */
static void write_run(struct results *results, const char *name, uint32_t links, uint32_t flush_every)
{
    struct diag diag;
    struct results_run *run;
    struct results_provenance from = provenance();
    CHECK_EQUAL(results_run_begin(results, name, &from, &run, &diag), STATUS_OK);
    for (uint32_t i = 0; i < links; i++) {
        struct result_links row = link_row(i);
        CHECK_EQUAL(results_append(run, RESULT_TABLE_links, &row, 1, &diag), STATUS_OK);
        if (i % flush_every == flush_every - 1) {
            CHECK_EQUAL(results_flush(results, &diag), STATUS_OK);
        }
    }
    for (uint32_t i = 0; i < 9; i++) {
        struct result_nodes row = node_row(i);
        CHECK_EQUAL(results_append(run, RESULT_TABLE_nodes, &row, 1, &diag), STATUS_OK);
    }
    struct result_summary summary = {
        .makespan_ps = 12345678, .iteration_time_ps = 777, .collective_busbw_gbps = 1.5};
    CHECK_EQUAL(results_append(run, RESULT_TABLE_summary, &summary, 1, &diag), STATUS_OK);
    uint64_t edges[4] = {0, 10, 20, 40}, counts[4] = {5, 0, 2, 1}, times[3] = {0, 100, 200};
    uint32_t index[2] = {7, 9};
    float values[6] = {0, 1, 2, 3, 4, 5};
    CHECK_EQUAL(results_histogram(run, "fct", "completion times", "ps", edges, counts, 4, &diag), STATUS_OK);
    CHECK_EQUAL(
        results_timeseries(run, "utilisation", "busy share", "1", "port", times, 3, index, 2, values, &diag),
        STATUS_OK);
    CHECK_EQUAL(results_run_end(run, "complete", 12345678, 0xfeedface12345678, 0.5, &diag), STATUS_OK);
}

static void write_file(const char *path, bool stable, uint32_t links, uint32_t flush_every)
{
    struct arena *arena = arena_new("test");
    struct results *results;
    struct diag diag;
    CHECK_EQUAL(results_create(path, stable, arena, &results, &diag), STATUS_OK);
    write_run(results, "first", links, flush_every);
    write_run(results, "first", 10, flush_every);
    write_run(results, "a/b", 0, flush_every);
    CHECK_EQUAL(results_close(results, &diag), STATUS_OK);
    arena_free(arena);
}

/* Runs a Python script; its output must be "good". */
static void check_python(const char *path, const char *script)
{
    char output[900], script_path[512];
    snprintf(script_path, sizeof script_path, "%s/script.py", test_directory());
    FILE *file = fopen(script_path, "w");
    fputs(script, file);
    fclose(file);
    int status = test_shell(output, sizeof output, "%s %s %s", PYTHON, script_path, path);
    CHECK_EQUAL(status, 0);
    CHECK_TEXT(output, "good\n");
}

static void test_h5py(void)
{
    const char *path = path_of("h5py.h5");
    write_file(path, false, 20000, 5000);
    check_python(
        path,
        "import sys, h5py, numpy as np\n"
        "f = h5py.File(sys.argv[1], 'r')\n"
        "assert f.attrs['format'] == 'photonet-results' and f.attrs['schema_version'] == 1\n"
        "assert list(f['runs']) == ['a-b', 'first', 'first.2'], list(f['runs'])\n"
        "r = f['runs/first']\n"
        "a = r.attrs\n"
        "assert a['status'] == 'complete' and a['digest'] == 'feedface12345678' and a['digest_u64'] == "
        "0xfeedface12345678\n"
        "assert a['seed'] == 42 and a['config_yaml'].startswith('fabric:') and a['makespan_ps'] == 12345678\n"
        "assert 'T' in a['started'] and a['wall_s'] == 0.5\n"
        "i = np.arange(20000)\n"
        "assert (r['links/port'][:] == i).all() and (r['links/tx_bytes'][:] == i * 1000003).all()\n"
        "assert (r['links/utilisation'][:] == i / 1e6).all()\n"
        "assert r['links'].attrs['columns'][0] == 'port'\n"
        "assert list(r['nodes/kind'].asstr()[:3]) == ['host', 'switch', 'host']\n"
        "assert r['summary'].attrs['makespan_ps'] == 12345678 and "
        "r['summary'].attrs['collective_busbw_gbps'] == 1.5\n"
        "assert list(r['inputs/name'].asstr()) == ['a/trace.0.et', 'fabric.yaml']\n"
        "assert list(r['inputs/xxh3'].asstr())[0] == '0000000000abcdef'\n"
        "assert list(r['latency/fct/count']) == [5, 0, 2, 1] and list(r['latency/fct/edge']) == [0, 10, 20, "
        "40]\n"
        "assert r['timeseries/utilisation/utilisation'][2, 1] == 5\n"
        "def check(name, x):\n"
        "    if isinstance(x, h5py.Dataset) and not name.startswith('tables'):\n"
        "        assert x.attrs['units'] and x.attrs['long_name'] and x.chunks, name\n"
        "        assert x.compression == 'gzip' and x.shuffle, name\n"
        "        assert x.attrs.get('CLASS') == b'DIMENSION_SCALE' or len(x.dims[0]) == 1, name\n"
        "f.visititems(check)\n"
        "print('good')\n");
}

static void test_xarray(void)
{
    const char *path = path_of("xarray.h5");
    write_file(path, false, 100, 5000);
    check_python(
        path,
        "import sys, warnings, h5py\n"
        "warnings.simplefilter('ignore')\n"
        "import xarray\n"
        "groups = ['/']\n"
        "h5py.File(sys.argv[1], 'r').visititems(lambda n, x: groups.append(n) if isinstance(x, h5py.Group) "
        "else None)\n"
        "groups.remove('tables')\n"
        "for g in groups:\n"
        "    d = xarray.open_dataset(sys.argv[1], group=g, engine='h5netcdf').load()\n"
        "    if d.dims: d.to_dataframe()\n"
        "d = xarray.open_dataset(sys.argv[1], group='runs/first/links', engine='h5netcdf')\n"
        "assert d.sel(port=7).tx_bytes == 7000021 and d.tx_bytes.attrs['units'] == 'B'\n"
        "d = xarray.open_dataset(sys.argv[1], group='runs/first/nodes', engine='h5netcdf')\n"
        "assert list(d.kind.values[:2]) == ['host', 'switch']\n"
        "d = xarray.open_dataset(sys.argv[1], group='runs/first/timeseries/utilisation', engine='h5netcdf')\n"
        "assert d.utilisation.sel(time_ps=200, port=9) == 5\n"
        "assert len(groups) > 30\n"
        "print('good')\n");
}

static void test_pandas(void)
{
    const char *path = path_of("pandas.h5");
    write_file(path, false, 100, 5000);
    check_python(path,
                 "import sys, warnings\n"
                 "warnings.simplefilter('ignore')\n"
                 "import pandas\n"
                 "d = pandas.read_hdf(sys.argv[1], 'tables/summary')\n"
                 "assert list(d.run) == ['first', 'first.2', 'a-b'] and list(d.status) == ['complete'] * 3\n"
                 "assert d.makespan_ps[0] == 12345678 and d.collective_busbw_gbps[1] == 1.5\n"
                 "print('good')\n");
}

static void test_equal_bytes(void)
{
    char first[512], output[256];
    snprintf(first, sizeof first, "%s", path_of("equal1.h5"));
    write_file(first, true, 20000, 5000);
    sleep(1); /* a second later by the clock */
    write_file(path_of("equal2.h5"), true, 20000, 700);
    CHECK_EQUAL(test_shell(output, sizeof output, "cmp %s %s", first, path_of("equal2.h5")), 0);
    write_file(path_of("equal3.h5"), false, 20000, 5000);
    CHECK_EQUAL(test_shell(output, sizeof output, "cmp -s %s %s", first, path_of("equal3.h5")), 1);
    CHECK_EQUAL(access(path_of("equal1.h5.part"), F_OK), -1);
}

/* ---- what stays when something goes wrong
 * ------------------------------------------------------------------------ */

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
}

static void test_untouched_before_first_run(void)
{
    const char *path = path_of("old.h5");
    char output[256];
    struct arena *arena = arena_new("test");
    struct results *results;
    struct diag diag;
    write_text(path, "precious");
    CHECK_EQUAL(results_create(path, false, arena, &results, &diag), STATUS_OK);
    CHECK_EQUAL(results_close(results, &diag), STATUS_OK);
    CHECK_EQUAL(test_shell(output, sizeof output, "cat %s; ls %s.*", path, path), 2);
    CHECK_HOLDS(output, "precious");
    CHECK_EQUAL(access(path_of("old.h5.part"), F_OK), -1);
    arena_free(arena);
}

/* A run that nobody ends stays interrupted, with its rows; a reader may have the file open meanwhile. */
static void test_interrupted(void)
{
    const char *path = path_of("interrupted.h5");
    struct arena *arena = arena_new("test");
    struct results *results, *second;
    struct results_run *run;
    struct diag diag;
    struct results_provenance from = provenance();
    struct result_links row = link_row(3);
    char *config = arena_alloc(arena, 200001);
    memset(config, '#', 200000);
    from.config_yaml = config;
    CHECK_EQUAL(results_create(path, false, arena, &results, &diag), STATUS_OK);
    CHECK_EQUAL(results_create(path, false, arena, &second, &diag), STATUS_IO);
    CHECK_HOLDS(diag.text, "another process is writing this file");
    CHECK_EQUAL(results_run_begin(results, "", &from, &run, &diag), STATUS_OK);
    CHECK_EQUAL(results_append(run, RESULT_TABLE_links, &row, 1, &diag), STATUS_OK);
    CHECK_EQUAL(results_flush(results, &diag), STATUS_OK);
    check_python(path, "import sys, h5py\n"
                       "f = h5py.File(sys.argv[1], 'r')\n"
                       "r = f['runs/run']\n"
                       "assert r.attrs['status'] == 'interrupted' and len(r.attrs['config_yaml']) == 200000\n"
                       "assert list(r['links/port']) == [3] and 'makespan_ps' not in r.attrs\n"
                       "print('good')\n");
    CHECK_EQUAL(results_close(results, &diag), STATUS_OK);
    check_python(path, "import sys, h5py\n"
                       "r = h5py.File(sys.argv[1], 'r')['runs/run']\n"
                       "assert r.attrs['status'] == 'interrupted' and list(r['links/port']) == [3]\n"
                       "print('good')\n");
    arena_free(arena);
}

static void test_removed_while_writing(void)
{
    const char *path = path_of("removed.h5");
    struct arena *arena = arena_new("test");
    struct results *results;
    struct diag diag;
    CHECK_EQUAL(results_create(path, false, arena, &results, &diag), STATUS_OK);
    write_run(results, "one", 10000, 1000);
    CHECK_EQUAL(unlink(path), 0);
    write_run(results, "two", 10000, 1000);
    write_text(path_of("other"), "somebody else's");
    CHECK_EQUAL(rename(path_of("other"), path), 0);
    write_run(results, "three", 10, 1000);
    CHECK_EQUAL(results_close(results, &diag), STATUS_OK);
    check_python(
        path,
        "import sys, h5py\n"
        "f = h5py.File(sys.argv[1], 'r')\n"
        "assert [len(f['runs'][n]['links/port']) for n in ('one', 'two', 'three')] == [10000, 10000, 10]\n"
        "print('good')\n");
    arena_free(arena);
}

/* Writes with a limit on the size of files until writing fails; what was published before must be readable.
 */
static int write_until_full(const char *path, struct diag *diag)
{
    struct arena *arena = arena_new("test");
    struct results *results;
    struct results_run *run;
    struct results_provenance from = provenance();
    struct rlimit limit = {1 << 20, 1 << 20};
    uint64_t random = 1;
    setrlimit(RLIMIT_FSIZE, &limit);
    signal(SIGXFSZ, SIG_IGN);
    enum status status = results_create(path, false, arena, &results, diag);
    enum status begun = results_run_begin(results, "full", &from, &run, diag);
    for (unsigned i = 0; i < 1000000 && status == STATUS_OK && begun == STATUS_OK; i++) {
        struct result_messages row = {.bytes = random_next(&random), .posted_ps = random_next(&random)};
        status = results_append(run, RESULT_TABLE_messages, &row, 1, diag);
        status = status == STATUS_OK && i % 10000 == 0 ? results_flush(results, diag) : status;
    }
    struct diag again;
    enum status ended = results_run_end(run, "complete", 1, 1, 1, &again);
    enum status closed = results_close(results, &again);
    arena_free(arena);
    H5close(); /* as at exit: what could not be closed before is tried once more */
    return status == STATUS_IO && ended == STATUS_IO && closed == STATUS_IO ? 0 : 1;
}

static void test_disk_full(void)
{
    const char *path = path_of("full.h5");
    char text_path[512], output[DIAG_BYTES];
    snprintf(text_path, sizeof text_path, "%s", path_of("full.txt"));
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct diag diag = {0};
        int failed = write_until_full(path, &diag);
        write_text(text_path, diag.text);
        _exit(failed);
    }
    int status = -1;
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK_EQUAL(status, 0);
    CHECK_EQUAL(test_shell(output, sizeof output, "cat %s", text_path), 0);
    CHECK_HOLDS(output, "full.h5: cannot be written: File too large");
    check_python(path,
                 "import sys, h5py\n"
                 "r = h5py.File(sys.argv[1], 'r')['runs/full']\n"
                 "assert r.attrs['status'] == 'interrupted' and len(r['messages/bytes'][:]) % 10000 == 1\n"
                 "print('good')\n");
}

static void test_refused_paths(void)
{
    struct arena *arena = arena_new("test");
    struct results *results;
    struct diag diag;
    CHECK_EQUAL(results_create("/nonexistent/a.h5", false, arena, &results, &diag), STATUS_IO);
    CHECK_HOLDS(diag.text, "/nonexistent/a.h5: cannot be written: No such file or directory");
    CHECK_EQUAL(results_create(test_directory(), false, arena, &results, &diag), STATUS_IO);
    CHECK_HOLDS(diag.text, "expected the name of a result file");
    CHECK_EQUAL(results_create("/dev/null", false, arena, &results, &diag), STATUS_IO);
    CHECK_HOLDS(diag.text, "expected the name of a result file");
    arena_free(arena);
}

/* ---- kill -9
 * ------------------------------------------------------------------------------------------------------- */

/* What the writing process has flushed, in memory that outlives it. */
struct progress {
    volatile uint32_t runs; /* begun, flushed */
    volatile uint64_t rows; /* of the last of them, flushed */
    volatile uint32_t in_flush;
};

/* Writes runs of links and messages, flushing at random, until it is killed. */
static void write_until_killed(const char *path, uint64_t seed, struct progress *progress)
{
    struct arena *arena = arena_new("killed");
    struct results *results;
    struct results_run *run;
    struct diag diag;
    struct results_provenance from = provenance();
    if (results_create(path, false, arena, &results, &diag) != STATUS_OK) {
        _exit(1);
    }
    for (;;) {
        results_run_begin(results, "run", &from, &run, &diag);
        progress->rows = 0;
        progress->runs++;
        uint32_t row = 0;
        for (uint64_t flushes = random_next(&seed) % 60; flushes > 0; flushes--) {
            for (uint64_t i = random_next(&seed) % 3000; i > 0; i--, row++) {
                struct result_links link = link_row(row);
                struct result_messages message = {.source_rank = row, .bytes = random_next(&seed)};
                results_append(run, RESULT_TABLE_links, &link, 1, &diag);
                results_append(run, RESULT_TABLE_messages, &message, 1, &diag);
            }
            progress->in_flush = 1;
            if (results_flush(results, &diag) != STATUS_OK) {
                _exit(1);
            }
            progress->in_flush = 0;
            progress->rows = row;
        }
        results_run_end(run, "complete", 1, 1, 0.1, &diag);
    }
}

static void wait_us(uint64_t us)
{
    struct timespec time = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    nanosleep(&time, NULL);
}

/* Kills a writer at a random moment; every other time inside a flush. */
static void kill_one(const char *path, uint64_t *random, bool in_flush, struct progress *progress)
{
    uint64_t seed = random_next(random);
    memset(progress, 0, sizeof *progress);
    pid_t child = fork();
    if (child == 0) {
        write_until_killed(path, seed, progress);
    }
    while (progress->runs == 0) {
        wait_us(100);
    }
    wait_us(random_next(random) % 60000);
    for (unsigned spins = 0; in_flush && !progress->in_flush && spins < 100000000; spins++) {
    }
    if (in_flush) {
        wait_us(random_next(random) % 8000);
    }
    CHECK_EQUAL(kill(child, SIGKILL), 0);
    int status;
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_kill(void)
{
    const char *count_text = getenv("PHOTONET_KILLS");
    unsigned count = count_text != NULL ? (unsigned)atoi(count_text) : 60;
    uint64_t random = test_seed();
    struct progress *progress =
        mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char list_path[512];
    snprintf(list_path, sizeof list_path, "%s", path_of("killed.list"));
    FILE *list = fopen(list_path, "w");
    for (unsigned i = 0; i < count; i++) {
        char path[512], output[256];
        snprintf(path, sizeof path, "%s", path_of("killed.h5"));
        kill_one(path, &random, i % 2 == 1, progress);
        fprintf(list, "%s.%u %u %" PRIu64 "\n", path, i, progress->runs, progress->rows);
        CHECK_EQUAL(test_shell(output, sizeof output, "mv %s %s.%u", path, path, i), 0);
    }
    fclose(list);
    munmap(progress, sizeof *progress);
    /* A kill between a publication and the note of it leaves one flush, or one run, more than noted. */
    check_python(
        list_path,
        "import sys, h5py, numpy as np\n"
        "for line in open(sys.argv[1]):\n"
        "    path, runs, rows = line.split()\n"
        "    runs, rows = int(runs), int(rows)\n"
        "    f = h5py.File(path, 'r')\n"
        "    assert len(f['runs']) in (runs, runs + 1), (line, list(f['runs']))\n"
        "    for r in f['runs'].values():\n"
        "        for t in r.values():\n"
        "            for c in t.values():\n"
        "                c[()]\n"
        "        n = len(r['links/port']) if 'links' in r else 0\n"
        "        i = np.arange(n)\n"
        "        if n:\n"
        "            assert (r['links/tx_bytes'][:] == i * 1000003).all(), line\n"
        "            assert (r['messages/source_rank'][:] == i).all() and len(r['messages/row']) == n, line\n"
        "        if r.attrs['ordinal'] == runs - 1:\n"
        "            assert n >= rows and n < rows + 3000, (line, n)\n"
        "            status = ('interrupted', 'complete')\n"
        "        elif r.attrs['ordinal'] == runs:\n"
        "            status = ('interrupted',)\n"
        "        else:\n"
        "            status = ('complete',)\n"
        "        assert r.attrs['status'] in status, line\n"
        "print('good')\n");
}

TEST_MAIN("results", TEST(test_h5py), TEST(test_xarray), TEST(test_pandas), TEST(test_equal_bytes),
          TEST(test_untouched_before_first_run), TEST(test_interrupted), TEST(test_removed_while_writing),
          TEST(test_disk_full), TEST(test_refused_paths), TEST(test_kill))
