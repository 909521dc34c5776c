/* The loader for notebooks and the notebook, run by the system's Python whatever other python3 stands first
 * in PATH. Asserted: tables, units and shapes that analysis/photonet.py gives; that the notebook runs from
 * start to end, draws its six figures and is committed without outputs. Not asserted: how the figures look.
 */
#include "tests/check.h"
#include "tests/synthetic.h"

#include <sys/stat.h>

#define PYTHON   "/usr/bin/python3"
#define NOTEBOOK "analysis/notebooks/compare.ipynb"

static char results_path[512];

static void results_make(void)
{
    struct diag diag;
    snprintf(results_path, sizeof results_path, "%s/results.h5", test_directory());
    CHECK_EQUAL(synthetic_results(results_path, 5, &diag), STATUS_OK);
}

/* Runs Python statements in an environment with nothing of the user's in it; they print "good". */
static void check_python(const char *statements)
{
    char path[512], output[900];
    snprintf(path, sizeof path, "%s/script.py", test_directory());
    FILE *file = fopen(path, "w");
    fputs(statements, file);
    fclose(file);
    CHECK_EQUAL(test_shell(output, sizeof output,
                           "env -i PYTHONPATH=analysis PYTHONDONTWRITEBYTECODE=1 %s %s %s", PYTHON, path,
                           results_path),
                0);
    CHECK_TEXT(output, "good\n");
}

static void test_loader(void)
{
    results_make();
    check_python(
        "import sys, photonet\n"
        "r = photonet.open(sys.argv[1])\n"
        "assert list(r) == ['fat-tree-dsp', 'fat-tree-lpo', 'fat-tree-cpo', 'fat-tree-4to1', "
        "'optical-patch']\n"
        "s = r.summary\n"
        "assert s.loc['fat-tree-dsp', 'makespan_ps'] == 10**10 and s.makespan_ps.dtype == 'uint64'\n"
        "assert s.attrs['units']['makespan_ps'] == 'ps' and s.attrs['units']['network_w_per_gpu'] == 'W'\n"
        "run = r['optical-patch']\n"
        "assert run.attrs['seed'] == 1 and run.attrs['status'] == 'complete'\n"
        "assert run.links.index.name == 'port' and run.links.attrs['units']['tx_bytes'] == 'B'\n"
        "assert len(run.circuits) == 16 and len(r['fat-tree-dsp'].circuits) == 0\n"
        "assert list(r['fat-tree-dsp'].circuits.columns) == list(run.circuits.columns)\n"
        "assert list(run.energy['class']) == ['gpu', 'nic', 'module', 'ocs']\n"
        "assert run.latency['fct']['count'].sum() > 0 and run.latency['fct'].index.name == 'edge'\n"
        "d = run.xarray('links')\n"
        "assert d.tx_bytes.attrs['units'] == 'B' and d.sel(port=5).peer_node == 69\n"
        "assert len(r.table('ranks')) == 5 * 32 and r.table('ranks').attrs['units']['end_ps'] == 'ps'\n"
        "print('good')\n");
}

static void test_loader_refuses(void)
{
    results_make();
    check_python("import sys, h5py, photonet\n"
                 "def refused(error, text, *paths, name=None):\n"
                 "    try:\n"
                 "        photonet.open(*paths)[name]\n"
                 "    except error as e:\n"
                 "        assert text in str(e), e\n"
                 "    else:\n"
                 "        raise AssertionError(text)\n"
                 "path = sys.argv[1]\n"
                 "refused(FileNotFoundError, 'no such file', path + '.absent')\n"
                 "refused(KeyError, 'there are fat-tree-dsp', path, name='torus')\n"
                 "refused(ValueError, 'is no HDF5 file', sys.argv[0])\n"
                 "h5py.File(path + '.other', 'w').close()\n"
                 "refused(ValueError, 'not of Photonet', path + '.other')\n"
                 "with h5py.File(path, 'a') as f:\n"
                 "    del f['runs/fat-tree-dsp/summary']\n"
                 "    f['runs/fat-tree-dsp'].attrs['status'] = 'interrupted'\n"
                 "s = photonet.open(path).summary\n"
                 "assert s.status[0] == 'interrupted' and s.makespan_ps.isna().sum() == 1 and len(s) == 5\n"
                 "print('good')\n");
}

/* A python3 that fails stands first in PATH, and the home directory is empty. */
static void test_notebook_runs(void)
{
    char output[900], path[512];
    struct stat status;
    results_make();
    snprintf(path, sizeof path, "%s/bin/python3", test_directory());
    CHECK_EQUAL(test_shell(output, sizeof output,
                           "mkdir -p %s/bin && printf '#!/bin/sh\\nexit 1\\n' > %s && chmod +x %s",
                           test_directory(), path, path),
                0);
    int code = test_shell(output, sizeof output,
                          "env -i HOME=%s PATH=%s/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 "
                          "PHOTONET_RESULTS=%s %s -m nbconvert "
                          "--to notebook --execute --output-dir %s --log-level ERROR " NOTEBOOK,
                          test_directory(), test_directory(), results_path, PYTHON, test_directory());
    CHECK_EQUAL(code, 0);
    if (code != 0) {
        printf("%s\n", output);
    }
    snprintf(path, sizeof path, "%s/compare.ipynb", test_directory());
    CHECK_EQUAL(stat(path, &status), 0);
    CHECK_EQUAL(test_shell(output, sizeof output, "grep -c '\"image/png\"' %s", path), 0);
    CHECK_EQUAL(atoi(output), 6);
    CHECK_EQUAL(test_shell(output, sizeof output, "grep -c -e '\"output_type\"' " NOTEBOOK), 1);
}

TEST_MAIN("notebook", TEST(test_loader), TEST(test_loader_refuses), TEST(test_notebook_runs))
