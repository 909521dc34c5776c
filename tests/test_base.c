/* The small parts of the base library: diagnostics, arena, random draws, progress.
 *
 * Asserted: exact texts and values, alignment and zeroing of memory, one line and an abort where memory
 * cannot be had, what a terminal and a log see of the progress. Not asserted: the statistical quality of the
 * random draws beyond gross faults (SplitMix64 is tested elsewhere), and behaviour when the system is really
 * out of memory. Quantities, parameters and documents have test programs of their own. */
#define _GNU_SOURCE
#include "tests/check.h"
#include "tests/child.h"

#include "netsim/base/clock.h"
#include "netsim/base/progress.h"
#include "netsim/base/rng.h"
#include "photonet/arena.h"
#include "photonet/status.h"
#include "photonet/units.h"

#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t line_count(const char *text)
{
    size_t count = 0;
    for (; *text != '\0'; text++) {
        count += *text == '\n';
    }
    return count;
}

/* ---- diagnostics --------------------------------------------------------------------------------------- */

static void test_diag_format(void)
{
    struct diag diag = {""};
    struct origin at = {.path = "fabric.yaml", .line = 3, .column = 14};
    CHECK_EQUAL(diag_set(&diag, STATUS_IO, "cannot open %s", "x.h5"), STATUS_IO);
    CHECK_TEXT(diag.text, "cannot open x.h5");
    CHECK_EQUAL(diag_input(&diag, at, "bad %d; expected %s", 7, "8"), STATUS_INPUT);
    CHECK_TEXT(diag.text, "fabric.yaml:3:14: bad 7; expected 8");
    at.column = 0;
    diag_input(&diag, at, "bad");
    CHECK_TEXT(diag.text, "fabric.yaml:3: bad");
    at.line = 0;
    diag_input(&diag, at, "bad");
    CHECK_TEXT(diag.text, "fabric.yaml: bad");
}

static void test_diag_is_one_printable_line(void)
{
    struct diag diag;
    diag_input(&diag, (struct origin){.path = "a\nb"}, "key \"x\ny\033[31m\"");
    CHECK_TEXT(diag.text, "a?b: key \"x?y?[31m\"");
    diag_set(&diag, STATUS_INPUT,
             "gr\xc3\xb6\xc3\x9f"
             "e");
    CHECK_TEXT(diag.text, "gr\xc3\xb6\xc3\x9f"
                          "e");
}

static void test_diag_too_long(void)
{
    char text[3000];
    struct diag diag;
    for (size_t offset = 0; offset < 3; offset++) {
        /* Three-byte characters at all three offsets: the cut never leaves a part of one. */
        memset(text, 'x', offset);
        for (size_t i = offset; i + 3 < sizeof text; i += 3) {
            memcpy(text + i, "\xe2\x82\xac", 4);
        }
        diag_set(&diag, STATUS_INPUT, "%s", text);
        size_t length = strlen(diag.text);
        CHECK(length < DIAG_BYTES && length > DIAG_BYTES - 4);
        CHECK_EQUAL((length - offset) % 3, 0);
    }
    memset(text, 'p', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    diag_input(&diag, (struct origin){.path = text, .line = 12}, "the reason");
    CHECK_HOLDS(diag.text, ":12: the reason");
}

/* ---- arena --------------------------------------------------------------------------------------------- */

static bool is_zero(const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static void test_arena_alignment_and_zero(void)
{
    struct arena *arena = arena_new("test");
    uint64_t seed = test_seed();
    size_t total_bytes = 0;
    bool is_aligned = true, is_zeroed = true;
    for (uint64_t i = 0; i < 3000; i++) {
        uint64_t draw = rng_draw(seed, 1, i);
        size_t bytes = rng_below(draw, draw % 50 == 0 ? 300000 : 300);
        unsigned char *memory = arena_alloc(arena, bytes);
        is_aligned = is_aligned && (uintptr_t)memory % (bytes >= 64 ? 64 : 16) == 0;
        is_zeroed = is_zeroed && is_zero(memory, bytes);
        memset(memory, 0xa5, bytes);
        total_bytes += bytes;
    }
    CHECK(is_aligned);
    CHECK(is_zeroed);
    CHECK_EQUAL(arena_used_bytes(arena), total_bytes);
    CHECK(arena_reserved_bytes(arena) >= total_bytes);
    CHECK(arena_reserved_bytes(arena) < total_bytes * 3);
    arena_free(arena);
    arena_free(NULL);
}

static void test_arena_pieces_do_not_overlap(void)
{
    struct arena *arena = arena_new("test");
    unsigned char *pieces[600];
    for (unsigned i = 0; i < 600; i++) {
        /* The sizes cross the ends of blocks and include the ones that get a block of their own. */
        pieces[i] = arena_alloc(arena, i * 37);
        memset(pieces[i], (int)(i & 0xff), i * 37);
    }
    bool is_kept = true;
    for (unsigned i = 0; i < 600; i++) {
        for (unsigned byte = 0; byte < i * 37; byte++) {
            is_kept = is_kept && pieces[i][byte] == (i & 0xff);
        }
    }
    CHECK(is_kept);
    CHECK(arena_alloc(arena, 0) != arena_alloc(arena, 0));
    arena_free(arena);
}

/* Freed early, freed with the parent, and a child of a child: nothing twice and nothing left (the sanitizer
 * build counts). */
static void test_arena_within_another(void)
{
    struct arena *parent = arena_new("test");
    struct arena *child[4];
    for (size_t i = 0; i < 4; i++) {
        child[i] = arena_new_within(parent, "child");
        memset(arena_alloc(child[i], 100000), 1, 100000);
    }
    memset(arena_alloc(arena_new_within(child[2], "grandchild"), 10), 1, 10);
    arena_free(child[1]);
    arena_free(child[3]);
    char *text = arena_strdup(child[0], "alive");
    arena_free(child[2]);
    CHECK_TEXT(text, "alive");
    CHECK(arena_reserved_bytes(parent) < 100000);
    arena_free(parent);
}

static void test_arena_text(void)
{
    struct arena *arena = arena_new("test");
    CHECK_TEXT(arena_strdup(arena, "ring"), "ring");
    CHECK_TEXT(arena_strdup(arena, ""), "");
    CHECK_TEXT(arena_strndup(arena, "ring", 2), "ri");
    CHECK_TEXT(arena_strndup(arena, "ring", 99), "ring");
    CHECK_TEXT(arena_printf(arena, "%s-%d", "node", 7), "node-7");
    const char *wide_text = arena_printf(arena, "%0*d", 100000, 7);
    CHECK_EQUAL(strlen(wide_text), 100000);
    arena_free(arena);
}

static void test_arena_growing_array(void)
{
    struct arena *arena = arena_new("test");
    uint32_t *items = NULL;
    size_t count = 0, capacity = 0;
    for (uint32_t i = 0; i < 100000; i++) {
        vec_push(arena, items, count, capacity) = i * 3;
    }
    CHECK_EQUAL(count, 100000);
    bool is_kept = true;
    for (uint32_t i = 0; i < 100000; i++) {
        is_kept = is_kept && items[i] == i * 3;
    }
    CHECK(is_kept);
    CHECK(capacity < 2 * count);
    CHECK(arena_used_bytes(arena) <= 2 * capacity * sizeof *items);
    arena_free(arena);
}

static void array_overflow(void)
{
    arena_alloc_array(arena_new("the flow table"), SIZE_MAX / 8, 9);
}

static void array_impossible(void)
{
    arena_alloc(arena_new("the flow table"), SIZE_MAX - 5);
}

static bool is_out_of_memory(int wait_status)
{
    return WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == STATUS_MEMORY;
}

static void test_arena_overflow_ends(void)
{
    char output[512];
    CHECK(is_out_of_memory(child_capture(array_overflow, output, sizeof output)));
    CHECK_HOLDS(output, "out of memory: 2305843009213693951 items of 9 bytes for the flow table");
    CHECK_EQUAL(line_count(output), 1);
    CHECK(is_out_of_memory(child_capture(array_impossible, output, sizeof output)));
    CHECK_HOLDS(output, "out of memory: 18446744073709551610 bytes for the flow table");
    CHECK_EQUAL(line_count(output), 1);
}

/* ---- random draws -------------------------------------------------------------------------------------- */

static void test_rng_is_fixed(void)
{
    /* Digests of runs depend on these: a change here moves every golden row. */
    CHECK_EQUAL(rng_draw(0, 0, 0), rng_draw(0, 0, 0));
    CHECK_EQUAL(rng_mix(0), 0);
    CHECK_EQUAL(rng_mix(RNG_STEP), UINT64_C(0xe220a8397b1dcdaf)); /* first output of SplitMix64 with seed 0 */
    CHECK_EQUAL(rng_draw(1, 2, 3), rng_mix(rng_mix(rng_mix(1 + RNG_STEP) ^ (2 + RNG_STEP)) + 4 * RNG_STEP));
}

/* Chi-square over `cells`, normalised to mean 0 and deviation 1. */
static double chi_square(const uint64_t *counts, size_t cells, double expected)
{
    double sum = 0;
    for (size_t i = 0; i < cells; i++) {
        sum += ((double)counts[i] - expected) * ((double)counts[i] - expected) / expected;
    }
    return (sum - (double)(cells - 1)) / sqrt(2.0 * (double)(cells - 1));
}

/* Along each of the three words in turn, since a user may hold any two of them fixed. */
static void test_rng_is_even(void)
{
    enum { CELLS = 100, DRAWS = 200000 };
    uint64_t seed = test_seed();
    for (int axis = 0; axis < 3; axis++) {
        uint64_t counts[CELLS] = {0};
        double sum = 0;
        for (uint64_t i = 0; i < DRAWS; i++) {
            uint64_t draw = rng_draw(axis == 0 ? i : seed, axis == 1 ? i : 7, axis == 2 ? i : 3);
            counts[rng_below(draw, CELLS)]++;
            sum += rng_unit(draw);
        }
        CHECK(fabs(chi_square(counts, CELLS, (double)DRAWS / CELLS)) < 6);
        CHECK_NEAR(sum / DRAWS, 0.5, 0.01);
    }
}

static void test_rng_avalanche(void)
{
    /* Turning one bit of any word turns half of the bits of the draw. */
    uint64_t seed = test_seed(), turned_count = 0, pair_count = 0;
    for (uint64_t i = 0; i < 200; i++) {
        uint64_t words[3] = {rng_draw(seed, 20, i), i, i * i};
        uint64_t draw = rng_draw(words[0], words[1], words[2]);
        for (unsigned bit = 0; bit < 192; bit++, pair_count++) {
            words[bit / 64] ^= UINT64_C(1) << bit % 64;
            turned_count += (uint64_t)__builtin_popcountll(draw ^ rng_draw(words[0], words[1], words[2]));
            words[bit / 64] ^= UINT64_C(1) << bit % 64;
        }
    }
    CHECK_NEAR((double)turned_count / (double)pair_count, 32, 0.005);
}

static int word_compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static void test_rng_streams_differ(void)
{
    enum { SIDE = 40 };
    static uint64_t draws[SIDE * SIDE * SIDE];
    size_t count = 0, equal_count = 0;
    for (uint64_t seed = 0; seed < SIDE; seed++) {
        for (uint64_t stream = 0; stream < SIDE; stream++) {
            for (uint64_t ordinal = 0; ordinal < SIDE; ordinal++) {
                draws[count++] = rng_draw(seed, stream, ordinal);
            }
        }
    }
    qsort(draws, count, sizeof draws[0], word_compare);
    for (size_t i = 1; i < count; i++) {
        equal_count += draws[i] == draws[i - 1];
    }
    CHECK_EQUAL(equal_count, 0);
    CHECK_EQUAL(rng_below(UINT64_MAX, 7), 6);
    CHECK_EQUAL(rng_below(0, 7), 0);
    CHECK_EQUAL(rng_below(UINT64_MAX, UINT32_MAX), UINT32_MAX - 1);
    CHECK(rng_unit(UINT64_MAX) < 1.0);
    CHECK(rng_unit(0) == 0.0);
}

/* ---- progress ------------------------------------------------------------------------------------------ */

static void test_progress_text(void)
{
    char text[160], small[8];
    CHECK_TEXT(progress_text(1250 * PS_PER_US, 0.42, 31.2e6, 70, text, sizeof text),
               "1.25 ms simulated, 42.0 % done, 31.2 M packet-hops/s, 1 min 10 s left");
    CHECK_TEXT(progress_text(0, -1, -1, -1, text, sizeof text), "0.00 ns simulated");
    CHECK_TEXT(progress_text(2 * PS_PER_S, -1, 2500, -1, text, sizeof text),
               "2.00 s simulated, 2.5 k packet-hops/s");
    CHECK_TEXT(progress_text(500 * PS_PER_NS, 0.001, -1, 7500, text, sizeof text),
               "500.00 ns simulated, 0.1 % done, 2 h 5 min left");
    CHECK_TEXT(progress_text(0, 1e-18, -1, 1e20, text, sizeof text), "0.00 ns simulated, 0.0 % done");
    CHECK_TEXT(progress_text(0, 0.5, 1, 1, small, sizeof small), "0.00 ns");
}

static void progress_run(void)
{
    struct arena *arena = arena_new("test");
    struct progress *progress = progress_new(arena, false);
    double started_s = wall_seconds();
    uint64_t hop_count = 0;
    while (wall_seconds() - started_s < 0.7) {
        progress_update(progress, hop_count * 1000, 0.5, hop_count);
        hop_count += 1000;
        usleep(1000);
    }
    progress_end(progress);
    arena_free(arena);
}

static void progress_quiet(void)
{
    struct progress *progress = progress_new(arena_new("test"), true);
    usleep(300000);
    progress_update(progress, 1, 0.5, 1);
    progress_end(progress);
}

static void test_progress_in_a_log(void)
{
    char output[4096];
    CHECK_EQUAL(child_capture(progress_run, output, sizeof output), 0);
    CHECK_TEXT(output, ""); /* 30 s have not passed */
}

static size_t part_count(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *found = text; (found = strstr(found, part)) != NULL; found++) {
        count++;
    }
    return count;
}

/* The kernel hands over what was written to a terminal piece by piece, a little later. */
static size_t terminal_read(int terminal, char *output, size_t output_bytes)
{
    size_t used = 0;
    struct pollfd ready = {.fd = terminal, .events = POLLIN};
    while (used + 1 < output_bytes && poll(&ready, 1, 300) == 1) {
        ssize_t got = read(terminal, output + used, output_bytes - 1 - used);
        if (got <= 0) {
            break;
        }
        used += (size_t)got;
    }
    output[used] = '\0';
    return used;
}

static void test_progress_on_a_terminal(void)
{
    char output[4096];
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal < 0 || grantpt(terminal) != 0 || unlockpt(terminal) != 0) {
        test_skip("no pseudo-terminal");
        return;
    }
    int line = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    CHECK_EQUAL(child_run(progress_quiet, line), 0);
    CHECK_EQUAL(child_run(progress_run, line), 0);
    size_t got = terminal_read(terminal, output, sizeof output);
    close(line);
    close(terminal);
    CHECK_HOLDS(output, "simulated, 50.0 % done, ");
    CHECK_HOLDS(output, "packet-hops/s");
    CHECK(part_count(output, "simulated") >= 1 && part_count(output, "simulated") <= 3);
    CHECK_EQUAL(part_count(output, "\n"), 0);
    CHECK(got > 4 && strcmp(output + got - 4, "\r\033[K") == 0);
}

TEST_MAIN("base", TEST(test_diag_format), TEST(test_diag_is_one_printable_line), TEST(test_diag_too_long),
          TEST(test_arena_alignment_and_zero), TEST(test_arena_pieces_do_not_overlap), TEST(test_arena_within_another), TEST(test_arena_text),
          TEST(test_arena_growing_array), TEST(test_arena_overflow_ends), TEST(test_rng_is_fixed),
          TEST(test_rng_is_even), TEST(test_rng_avalanche), TEST(test_rng_streams_differ),
          TEST(test_progress_text), TEST(test_progress_in_a_log), TEST(test_progress_on_a_terminal))
