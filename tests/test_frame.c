/* The frame around the simulator: that the checkers complain of what they are there for, that the test runner
 * counts crashes, that no source has mutable globals, and that an installation can be compiled against. The
 * simulator's results are tested elsewhere. Runs in the root of the repository. */
#include "tests/check.h"

static char output[1 << 16];
#define SHELL(...) test_shell(output, sizeof output, __VA_ARGS__)

/* Writes one file of a toy tree with the folders that the laws speak of. */
static void toy_write(const char *path, const char *text)
{
    int code = SHELL("cd %s && mkdir -p include topologies traces analysis tests netsim $(dirname %s) && "
                     "printf '%%b' '%s' >%s",
                     test_directory(), path, text, path);
    CHECK_EQUAL(code, 0);
}

static int toy_laws(void)
{
    return SHELL("laws=$PWD/tests/layers.awk; cd %s && $laws", test_directory());
}

static void toy_remove(const char *path)
{
    char name[512];
    snprintf(name, sizeof name, "%s/%s", test_directory(), path);
    CHECK_EQUAL(remove(name), 0);
}

static void breach_found(const char *path, const char *text, const char *complaint)
{
    toy_write(path, text);
    CHECK_EQUAL(toy_laws(), 1);
    CHECK_HOLDS(output, path);
    CHECK_HOLDS(output, complaint);
    CHECK_HOLDS(output, "layers: 0 passed, 1 failed, 0 skipped");
    toy_remove(path);
}

static void test_laws_kept(void)
{
    toy_write("netsim/base/fine.c", "/* malloc( and exit( in words */\\n#include \"photonet/status.h\"\\n");
    toy_write("netsim/engine/finer.c", "#include \"netsim/base/x.h\"\\n"
                                       "const char *s = \"exit(\"; my_exit(a->exit(1));\\n");
    CHECK_EQUAL(toy_laws(), 0);
    CHECK_HOLDS(output, "layers: 1 passed, 0 failed, 0 skipped");
}

static void test_laws_broken(void)
{
    breach_found("netsim/base/up.c", "#include \"netsim/engine/engine.h\"\\n", "engine is not below it");
    breach_found("netsim/route/side.c", "#include \"netsim/metrics/energy.h\"\\n", "metrics is not below it");
    breach_found("netsim/engine/top.c", "#include \"netsim/run.h\"\\n", "run is not below it");
    breach_found("netsim/odd/new.c", "#include \"netsim/base/x.h\"\\n", "has no level");
    breach_found("netsim/fabric.c", "#include \"topologies/build.h\"\\n", "it may include: photonet netsim");
    breach_found("traces/reader.c", "#include \"netsim/base/job.h\"\\n", "it may include: photonet traces");
    breach_found("include/photonet/run.h", "#include \"netsim/run.h\"\\n", "it may include: photonet");
    breach_found("netsim/near.c", "#include \"near.h\"\\n", "written from the root");
    breach_found("netsim/base/file.c", "#include <hdf5.h>\\n", "HDF5 is for");
    breach_found("netsim/base/heap.c", "void *p = malloc(8);\\n", "memory comes from an arena");
    breach_found("netsim/base/quit.c", "/* why */ exit(1);\\n", "only netsim/main.c ends the process");
    breach_found("traces/fine.c", "\\n", "the name is taken by netsim/base/fine.c");
    int code = SHELL("cd %s && { echo 'int f(void)'; echo '{'; seq 71; echo '}'; } >netsim/long.c",
                     test_directory());
    CHECK_EQUAL(code, 0);
    CHECK_EQUAL(toy_laws(), 1);
    CHECK_HOLDS(output, "netsim/long.c:2: a function of 71 lines");
    toy_remove("netsim/long.c");
}

static void program_write(const char *name, const char *body)
{
    int code = SHELL("cd %s && printf '%%b' '#!/bin/sh\\n%s\\n' >%s && chmod +x %s", test_directory(), body,
                     name, name);
    CHECK_EQUAL(code, 0);
}

static void test_runner_adds_up(void)
{
    program_write("good", "echo \"  Test: test_x ... skipped: no corpus ...passed\"; "
                          "echo good: 2 passed, 0 failed, 1 skipped");
    program_write("bad", "echo the reason; echo bad: 1 passed, 3 failed, 0 skipped; exit 1");
    program_write("crash", "echo crash: 7 passed, 0 failed, 0 skipped; kill -SEGV $$");
    program_write("mute", "true");
    program_write("slow", "sleep 20");
    const char *at = test_directory();
    CHECK_EQUAL(SHELL("tests/run.sh -j 2 %s/good", at), 0);
    CHECK_HOLDS(output, "\n2 passed, 0 failed, 1 skipped\n");
    CHECK_HOLDS(output, "skipped: good test_x: no corpus");
    int code = SHELL("PHOTONET_TEST_LIMIT=1 tests/run.sh -j 2 %s/good %s/bad %s/crash %s/mute %s/slow", at,
                     at, at, at, at);
    CHECK_EQUAL(code, 1);
    CHECK_HOLDS(output, "\n3 passed, 6 failed, 1 skipped\n");
    CHECK_HOLDS(output, "| the reason");
    CHECK_HOLDS(output, "| no end within 1 s");
    CHECK_HOLDS(output, "| did not say how many tests passed");
}

/* What `make check` has built and installed, or NULL after a skip. */
static const char *build_folder(void)
{
    const char *build = getenv("PHOTONET_BUILD");
    if (build == NULL) {
        test_skip("PHOTONET_BUILD names no folder");
    }
    return build;
}

/* Constants with pointers are in .data.rel.ro, function-local constants too; what is in .data or .bss can
 * change. The one exception is the flag that a signal sets. */
static void test_no_mutable_globals(void)
{
    const char *build = build_folder();
#ifdef __SANITIZE_ADDRESS__
    test_skip("sanitizers add their own");
#else
    if (build == NULL) {
        return;
    }
    int code = SHELL("nm -f sysv %s/libphotonet.a | awk -F '|' '$7 ~ /^[.](data|bss|tdata|tbss|lbss)/ && "
                     "$7 !~ /^[.]data[.]rel[.]ro/ && $4 ~ /OBJECT|TLS/ { print $1 }' | tr -d ' '",
                     build);
    CHECK_EQUAL(code, 0);
    CHECK_TEXT(output, "cli_interrupted\n");
#endif
}

static void test_every_object_is_in_the_archive(void)
{
    const char *build = build_folder(), *at = test_directory();
    if (build == NULL) {
        return;
    }
    int code = SHELL(
        "ls netsim/*.c netsim/*/*.c topologies/*.c traces/*.c analysis/*.c | grep -v netsim/main.c | "
        "sed 's,.*/,,; s,c$,o,' | sort >%s/sources; ar t %s/libphotonet.a | sort | comm -23 %s/sources -",
        at, build, at);
    CHECK_EQUAL(code, 0);
    CHECK_TEXT(output, "");
}

static void test_installed_files(void)
{
    const char *build = build_folder();
    if (build == NULL) {
        return;
    }
    static const char *const files[] = {
        "bin/photonet",
        "lib/libphotonet.a",
        "lib/libphotonet.so",
        "lib/pkgconfig/photonet.pc",
        "include/photonet/photonet.h",
        "share/man/man1/photonet.1",
        "share/photonet/presets/clos-dsp.yaml",
        "lib/python3*/dist-packages/photonet.py",
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        int code = SHELL("test -s %s/installed/usr/%s || echo %s is not there", build, files[i], files[i]);
        CHECK_EQUAL(code, 0);
        CHECK_TEXT(output, "");
    }
    int code =
        SHELL("nm -D --defined-only %s/installed/usr/lib/libphotonet.so | grep -v ' photonet_'", build);
    CHECK_EQUAL(code, 1);
    CHECK_TEXT(output, "");
}

/* The example in the header's comment is a program. */
static void test_installed_header(void)
{
    const char *build = build_folder(), *at = test_directory();
#ifdef __SANITIZE_ADDRESS__
    test_skip("a sanitizer has to be linked first");
#else
    if (build == NULL) {
        return;
    }
    int code =
        SHELL("{ printf '#include <photonet/photonet.h>\\n#include <stdio.h>\\nint main(void)\\n{\\n'; "
              "sed -n 's/^ \\*     //p' include/photonet/photonet.h; echo 'return 0; }'; } >%s/example.c",
              at);
    CHECK_EQUAL(code, 0);
    code =
        SHELL("cd %s && export PKG_CONFIG_SYSROOT_DIR=%s/installed "
              "PKG_CONFIG_PATH=%s/installed/usr/lib/pkgconfig && "
              "${CC:-cc} -Wall -Wextra -Werror -o example example.c $(pkg-config --cflags --libs photonet)",
              at, build, build);
    CHECK_EQUAL(code, 0);
    CHECK_TEXT(output, "");
    code = SHELL("LD_LIBRARY_PATH=%s/installed/usr/lib %s/example", build, at);
    CHECK_EQUAL(code, 0);
    CHECK_HOLDS(output, "clos-dsp: 0.00");
    CHECK_HOLDS(output, "clos-cpo: 0.00");
#endif
}

TEST_MAIN("frame", TEST(test_laws_kept), TEST(test_laws_broken), TEST(test_runner_adds_up),
          TEST(test_no_mutable_globals), TEST(test_every_object_is_in_the_archive),
          TEST(test_installed_files), TEST(test_installed_header))
