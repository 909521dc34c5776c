/* What the tests of trace readers share: files, reading, looking at the job, and the damage that every reader
 * must stand. One job at a time: the next read ends it. */
#ifndef PHOTONET_TESTS_TRACE_CHECK_H
#define PHOTONET_TESTS_TRACE_CHECK_H

#include "photonet/trace.h"
#include "tests/check.h"

struct trace_test {
    struct arena *arena;
    const struct job *job; /* NULL where refused */
    struct diag diag;
};
extern struct trace_test trace_test;

/* A file of the test's own folder, written; its path (good for four more calls). */
const char *trace_file(const char *name, const void *bytes, size_t count);
const char *trace_text(const char *name, const char *text);

/* `settings` is "key=value key=value", NULL for none. Checks that there is one line exactly where there is an error. */
enum status trace_read_with(const char *spec, uint32_t ranks, const char *settings);
/* It must load (returns whether it did) and have this format, or be refused with a line that holds `part`. */
bool trace_loads(const char *spec, uint32_t ranks, const char *settings, const char *format);
void trace_refused(const char *spec, uint32_t ranks, const char *settings, const char *part);

const struct program *trace_program(uint32_t rank);
/* Count (or bytes) of the note whose text holds `what`; 0 where there is none. */
uint64_t trace_note(const char *what);
uint64_t trace_note_bytes(const char *what);
/* Operations of a kind in a rank's program, and the n-th of them from 0 (ID_NONE where there are fewer). */
uint32_t trace_count(uint32_t rank, enum op_kind kind);
uint32_t trace_op(uint32_t rank, enum op_kind kind, uint32_t n);
/* Whether `op` depends on `on`, directly. */
bool trace_waits(uint32_t rank, uint32_t op, uint32_t on);

/* Reads the file cut after every byte: it loads or is refused in one line, and nothing else happens. Returns how
 * many cuts loaded. */
uint32_t trace_cut_everywhere(const char *spec_prefix, const char *name, const void *bytes, size_t count,
                              uint32_t ranks, const char *settings);
/* Reads the file with random damage, `trials` times: bytes changed, left out, doubled and exchanged. */
void trace_damage(const char *spec_prefix, const char *name, const void *bytes, size_t count, uint32_t ranks,
                  const char *settings, uint32_t trials);
/* The same through gzip: both give the same job. */
void trace_same_gzipped(const char *name, const void *bytes, size_t count, uint32_t ranks, const char *settings);

#endif
