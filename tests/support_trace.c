/* What the tests of trace readers share: see trace_check.h. */
#include "tests/trace_check.h"

#include "netsim/base/rng.h"

#include <zlib.h>

struct trace_test trace_test;

#define SETTINGS_MAX 8
#define PATH_BYTES   1024

static const char *path_of(const char *name)
{
    static char paths[5][PATH_BYTES];
    static unsigned next;
    char *path = paths[next++ % 5];
    snprintf(path, PATH_BYTES, "%s/%s", test_directory(), name);
    return path;
}

const char *trace_file(const char *name, const void *bytes, size_t count)
{
    const char *path = path_of(name);
    FILE *stream = fopen(path, "wb");
    if (stream == NULL || fwrite(bytes, 1, count, stream) != count || fclose(stream) != 0) {
        perror(path);
        exit(1);
    }
    return path;
}

const char *trace_text(const char *name, const char *text)
{
    return trace_file(name, text, strlen(text));
}

enum status trace_read_with(const char *spec, uint32_t ranks, const char *settings)
{
    char text[512], *cursor = text;
    struct trace_setting list[SETTINGS_MAX];
    size_t count = 0;
    snprintf(text, sizeof text, "%s", settings == NULL ? "" : settings);
    for (char *word; (word = strtok_r(cursor, " ", &cursor)) != NULL;) {
        char *equal = strchr(word, '=');
        *equal = '\0';
        list[count++] = (struct trace_setting){word, equal + 1, {.path = "--set"}};
    }
    arena_free(trace_test.arena);
    trace_test = (struct trace_test){.arena = arena_new("test")};
    enum status status =
        trace_read(spec, ranks, list, count, trace_test.arena, &trace_test.job, &trace_test.diag);
    CHECK(strchr(trace_test.diag.text, '\n') == NULL);
    CHECK((status == STATUS_OK) == (trace_test.diag.text[0] == '\0'));
    CHECK((status == STATUS_OK) == (trace_test.job != NULL));
    return status;
}

bool trace_loads(const char *spec, uint32_t ranks, const char *settings, const char *format)
{
    enum status status = trace_read_with(spec, ranks, settings);
    CHECK_EQUAL(status, STATUS_OK);
    if (status != STATUS_OK) {
        printf("%s\n", trace_test.diag.text);
        return false;
    }
    CHECK_TEXT(trace_test.job->format, format);
    return true;
}

void trace_refused(const char *spec, uint32_t ranks, const char *settings, const char *part)
{
    CHECK_EQUAL(trace_read_with(spec, ranks, settings), STATUS_INPUT);
    CHECK_HOLDS(trace_test.diag.text, part);
}

const struct program *trace_program(uint32_t rank)
{
    return job_program(trace_test.job, rank);
}

static const struct import_note *note_find(const char *what)
{
    for (uint32_t i = 0; i < trace_test.job->note_count; i++) {
        if (strstr(trace_test.job->notes[i].what, what) != NULL) {
            return &trace_test.job->notes[i];
        }
    }
    return NULL;
}

uint64_t trace_note(const char *what)
{
    const struct import_note *note = note_find(what);
    return note == NULL ? 0 : note->count;
}

uint64_t trace_note_bytes(const char *what)
{
    const struct import_note *note = note_find(what);
    return note == NULL ? 0 : note->bytes;
}

uint32_t trace_op(uint32_t rank, enum op_kind kind, uint32_t n)
{
    const struct program *program = trace_program(rank);
    for (uint32_t op = 0; op < program->op_count; op++) {
        if (program->kind[op] == kind && n-- == 0) {
            return op;
        }
    }
    return ID_NONE;
}

uint32_t trace_count(uint32_t rank, enum op_kind kind)
{
    uint32_t count = 0;
    while (trace_op(rank, kind, count) != ID_NONE) {
        count++;
    }
    return count;
}

bool trace_waits(uint32_t rank, uint32_t op, uint32_t on)
{
    const struct program *program = trace_program(rank);
    for (uint32_t i = program->dep_first[op]; i < program->dep_first[op + 1]; i++) {
        if (program->dep[i] == on) {
            return true;
        }
    }
    return false;
}

/* ---- damage ------------------------------------------------------------------------------------------ */

static enum status damaged_read(const char *spec_prefix, const char *path, uint32_t ranks,
                                const char *settings)
{
    char spec[PATH_BYTES + 64];
    snprintf(spec, sizeof spec, "%s%s", spec_prefix, path);
    enum status status = trace_read_with(spec, ranks, settings);
    CHECK(status == STATUS_OK || status == STATUS_INPUT);
    return status;
}

uint32_t trace_cut_everywhere(const char *spec_prefix, const char *name, const void *bytes, size_t count,
                              uint32_t ranks, const char *settings)
{
    uint32_t loaded = 0;
    for (size_t length = 0; length < count; length++) {
        loaded += damaged_read(spec_prefix, trace_file(name, bytes, length), ranks, settings) == STATUS_OK;
    }
    trace_file(name, bytes, count);
    return loaded;
}

static size_t damage_once(uint8_t *bytes, size_t count, uint64_t seed, uint64_t trial, uint64_t step)
{
    /* Digits and separators reach further into a text reader than any byte does. */
    static const uint8_t letters[] = "0123456789 -.,:;\n\t{}[]\"x";
    uint64_t draw = rng_draw(seed, trial, 4 * step);
    size_t at = rng_below(rng_draw(seed, trial, 4 * step + 1), (uint32_t)count);
    uint64_t value = rng_draw(seed, trial, 4 * step + 2);
    switch (rng_below(draw, 5)) {
    case 0:
        bytes[at] = (uint8_t)(value >> 40);
        return count;
    case 1:
        bytes[at] = letters[rng_below(value, sizeof letters - 1)];
        return count;
    case 2:
        memmove(bytes + at, bytes + at + 1, count - at - 1);
        return count - 1;
    case 3:
        memmove(bytes + at + 1, bytes + at, count - at);
        return count + 1;
    default:
        bytes[at] ^= (uint8_t)(1u << (value >> 61));
        return count;
    }
}

#define DAMAGES_MAX 4

void trace_damage(const char *spec_prefix, const char *name, const void *bytes, size_t count, uint32_t ranks,
                  const char *settings, uint32_t trials)
{
    uint64_t seed = test_seed();
    uint8_t *copy = malloc(count + DAMAGES_MAX);
    uint32_t loaded = 0;
    for (uint32_t trial = 0; trial < trials && copy != NULL; trial++) {
        size_t length = count;
        memcpy(copy, bytes, count);
        for (uint64_t step = 0; step <= trial % DAMAGES_MAX && length > 1; step++) {
            length = damage_once(copy, length, seed, trial, step);
        }
        loaded += damaged_read(spec_prefix, trace_file(name, copy, length), ranks, settings) == STATUS_OK;
    }
    printf(" %u of %u damaged files load ...", loaded, trials);
    free(copy);
    trace_file(name, bytes, count);
}

static uint64_t job_fold(const struct job *job)
{
    uint64_t sum = job->rank_count;
    for (uint32_t rank = 0; rank < job->rank_count; rank++) {
        sum = sum * UINT64_C(0x9e3779b97f4a7c15) + job_program(job, rank)->digest;
    }
    return sum;
}

void trace_same_gzipped(const char *name, const void *bytes, size_t count, uint32_t ranks,
                        const char *settings)
{
    CHECK_EQUAL(trace_read_with(trace_file(name, bytes, count), ranks, settings), STATUS_OK);
    uint64_t plain = trace_test.job != NULL ? job_fold(trace_test.job) : 0;
    char packed[PATH_BYTES];
    snprintf(packed, sizeof packed, "%s.gz", path_of(name));
    gzFile stream = gzopen(packed, "wb");
    CHECK(stream != NULL && gzwrite(stream, bytes, (unsigned)count) == (int)count);
    gzclose(stream);
    CHECK_EQUAL(trace_read_with(packed, ranks, settings), STATUS_OK);
    CHECK_EQUAL(trace_test.job != NULL ? job_fold(trace_test.job) : 1, plain);
}
