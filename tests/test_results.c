/* The writer of result files. Asserted: what h5py, xarray and pandas of the system read back; that equal calls give
 * equal bytes; that a process killed at any moment leaves a file with everything up to the last flush; that a
 * failed or empty run leaves what was there. Not asserted: durability over a power cut. */
#define _GNU_SOURCE
#include "tests/check.h"

#include "photonet/results.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PYTHON "/usr/bin/python3"

static const struct results_input inputs[] = {{"a/trace.0.et", 123, 0xabcdef}, {"fabric.yaml", 7, 1}};

static struct results_provenance provenance(void)
{
    return (struct results_provenance){
        .command_line = "photonet run --trace x", .config_yaml = "fabric:\n  name: test\n", .engine = "packet",
        .simd = "scalar", .threads = 1, .seed = 42, .trace = "x", .fabric = "test", .fabric_family = "fat_tree",
        .scale = 1.0, .inputs = inputs, .input_count = 2,
    };
}

static const char *path_of(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", test_directory(), name);
    return path;
}

static struct result_links link_row(uint32_t i)
{
    return (struct result_links){.port = i, .node = i / 4, .peer_node = i % 4, .tier = 1 + i % 2,
                                 .rate_bps = 400000000000, .tx_bytes = (uint64_t)i * 1000003, .utilisation = i / 1e6};
}

static struct result_nodes node_row(uint32_t i)
{
    return (struct result_nodes){.node = i, .kind = i % 2 == 0 ? "host" : "switch", .part = "h100"};
}

/* A run with rows in several tables; flushes in the middle. */
static void write_run(struct results *results, const char *name, uint32_t links)
{
    struct diag diag;
    struct results_run *run;
    struct results_provenance from = provenance();
    CHECK_EQUAL(results_run_begin(results, name, &from, &run, &diag), STATUS_OK);
    for (uint32_t i = 0; i < links; i++) {
        struct result_links row = link_row(i);
        CHECK_EQUAL(results_append(run, RESULT_TABLE_links, &row, 1, &diag), STATUS_OK);
        if (i % 5000 == 4999) {
            CHECK_EQUAL(results_flush(results, &diag), STATUS_OK);
        }
    }
    for (uint32_t i = 0; i < 9; i++) {
        struct result_nodes row = node_row(i);
        CHECK_EQUAL(results_append(run, RESULT_TABLE_nodes, &row, 1, &diag), STATUS_OK);
    }
    struct result_summary summary = {.makespan_ps = 12345678, .iteration_time_ps = 777, .collective_busbw_gbps = 1.5};
    CHECK_EQUAL(results_append(run, RESULT_TABLE_summary, &summary, 1, &diag), STATUS_OK);
    uint64_t edges[4] = {0, 10, 20, 40}, counts[4] = {5, 0, 2, 1}, times[3] = {0, 100, 200};
    uint32_t index[2] = {7, 9};
    double values[6] = {0, 1, 2, 3, 4, 5};
    CHECK_EQUAL(results_histogram(run, "fct", "completion times", "ps", edges, counts, 4, &diag), STATUS_OK);
    CHECK_EQUAL(results_timeseries(run, "utilisation", "busy share", "1", "port", times, 3, index, 2, values, &diag),
                STATUS_OK);
    CHECK_EQUAL(results_run_end(run, "complete", 12345678, 0xfeedface12345678, 0.5, &diag), STATUS_OK);
}

static void write_file(const char *path, bool stable, uint32_t links)
{
    struct arena *arena = arena_new("test");
    struct results *results;
    struct diag diag;
    CHECK_EQUAL(results_create(path, stable, arena, &results, &diag), STATUS_OK);
    write_run(results, "first", links);
    write_run(results, "first", 10);
    write_run(results, "a/b", 0);
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
    int status = test_shell(output, sizeof output, "%s -W error %s %s", PYTHON, script_path, path);
    CHECK_EQUAL(status, 0);
    CHECK_TEXT(output, "good\n");
}

static void test_h5py(void)
{
    const char *path = path_of("h5py.h5");
    write_file(path, false, 20000);
    check_python(path,
        "import sys, h5py, numpy as np\n"
        "f = h5py.File(sys.argv[1], 'r')\n"
        "assert f.attrs['format'] == 'photonet-results' and f.attrs['schema_version'] == 1\n"
        "assert list(f['runs']) == ['a-b', 'first', 'first.2'], list(f['runs'])\n"
        "r = f['runs/first']\n"
        "a = r.attrs\n"
        "assert a['status'] == 'complete' and a['digest'] == 'feedface12345678' and a['digest_u64'] == 0xfeedface12345678\n"
        "assert a['seed'] == 42 and a['config_yaml'].startswith('fabric:') and a['makespan_ps'] == 12345678\n"
        "assert 'T' in a['started'] and a['wall_s'] == 0.5\n"
        "i = np.arange(20000)\n"
        "assert (r['links/port'][:] == i).all() and (r['links/tx_bytes'][:] == i * 1000003).all()\n"
        "assert (r['links/utilisation'][:] == i / 1e6).all()\n"
        "assert r['links'].attrs['columns'][0] == 'port'\n"
        "assert list(r['nodes/kind'].asstr()[:3]) == ['host', 'switch', 'host']\n"
        "assert r['summary'].attrs['makespan_ps'] == 12345678 and r['summary'].attrs['collective_busbw_gbps'] == 1.5\n"
        "assert list(r['inputs/name'].asstr()) == ['a/trace.0.et', 'fabric.yaml']\n"
        "assert list(r['inputs/xxh3'].asstr())[0] == '0000000000abcdef'\n"
        "assert list(r['latency/fct/count']) == [5, 0, 2, 1] and list(r['latency/fct/edge']) == [0, 10, 20, 40]\n"
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
    write_file(path, false, 100);
    check_python(path,
        "import sys, warnings, h5py\n"
        "warnings.simplefilter('ignore')\n"
        "import xarray\n"
        "groups = ['/']\n"
        "h5py.File(sys.argv[1], 'r').visititems(lambda n, x: groups.append(n) if isinstance(x, h5py.Group) else None)\n"
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
    write_file(path, false, 100);
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
    write_file(first, true, 20000);
    sleep(1); /* a second later by the clock */
    write_file(path_of("equal2.h5"), true, 20000);
    CHECK_EQUAL(test_shell(output, sizeof output, "cmp %s %s", first, path_of("equal2.h5")), 0);
    write_file(path_of("equal3.h5"), false, 20000);
    CHECK_EQUAL(test_shell(output, sizeof output, "cmp -s %s %s", first, path_of("equal3.h5")), 1);
    CHECK_EQUAL(access(path_of("equal1.h5.part"), F_OK), -1);
}

TEST_MAIN("results", TEST(test_h5py), TEST(test_xarray), TEST(test_pandas), TEST(test_equal_bytes))
