/* Reading traces: a training step of two ranks that run the same, and messages among ranks that all differ, each written
 * by every writer there is into a temporary folder and read back; or one trace of the user's own.
 *
 * Every reading is a process of its own, so that its peak of memory is its own too: the highest resident size less what
 * it began with. Bytes are those that it has read from files, time is its CPU time. Beside it stands the same process
 * reading the bytes of the same files and hashing them, which is what no reader can undercut. */
#include "netsim/bench.h"

#include "netsim/base/rng.h"
#include "photonet/trace.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

enum { STEP_RANKS = 2, STEP_LAYERS = 32, STEP_MICRO_BATCHES = 2000 };      /* 256,000 operations */
enum { MESSAGE_RANKS = 32, MESSAGES = 16000 };                             /* a rank, and a computation before each */
enum { PATH_BYTES_MAX = 512, ROUNDS_READ_MAX = 99 };
#define CHUNK_BYTES ((size_t)1 << 20)

/* ---- what is read ----------------------------------------------------------------------------------------------- */

/* Layers forward: a computation, and an all-reduce behind it, with names as trainers give them. */
static void step_rank(struct job_builder *builder, uint32_t group_id)
{
    uint32_t slot = job_builder_slot(builder, 0, group_id), before = ID_NONE;
    uint64_t id = 0;
    for (uint32_t batch = 0; batch < STEP_MICRO_BATCHES; batch++) {
        for (uint32_t layer = 0; layer < 2 * STEP_LAYERS; layer++) {
            char name[64];
            snprintf(name, sizeof name, "layer%u.%s mb%u", layer / 2, layer % 2 == 0 ? "attn" : "mlp", batch);
            uint32_t compute = job_builder_op(builder, &(struct op){.kind = OP_COMPUTE, .duration_ps = 400000000 + layer,
                                                                    .source_id = id++, .name = name});
            if (before != ID_NONE) {
                job_builder_dep(builder, compute, before);
            }
            strcat(name, ".all_reduce");
            before = job_builder_op(builder, &(struct op){.kind = OP_COLLECTIVE, .bytes = 64 << 20, .group_slot = slot,
                                                          .source_id = id++, .name = name});
            job_builder_dep(builder, before, compute);
        }
    }
}

static enum status step_make(struct arena *arena, const struct job **job, struct diag *diag)
{
    struct job_builder *builder = job_builder_new(arena, "step", "bench", STEP_RANKS);
    uint32_t ranks[STEP_RANKS] = {0, 1}, group_id;
    enum status status =
        job_builder_group(builder, "tp", ranks, STEP_RANKS, (struct origin){.path = "bench"}, &group_id, diag);
    if (status != STATUS_OK) {
        return status;
    }
    job_builder_rank(builder, 0);
    step_rank(builder, group_id);
    status = job_builder_rank_end(builder, "bench", diag);
    job_builder_rank_like(builder, 1, 0);
    return status == STATUS_OK ? job_builder_finish(builder, job, diag) : status;
}

/* In round r everybody sends to the one that stands `distance` further: how far and how much is drawn. */
static enum status messages_rank(struct job_builder *builder, uint32_t rank, struct diag *diag)
{
    uint32_t before = ID_NONE;
    job_builder_rank(builder, rank);
    for (uint32_t round = 0; round < MESSAGES; round++) {
        uint32_t distance = 1 + rng_below(rng_draw(5, 0, round), MESSAGE_RANKS - 1);
        uint64_t bytes = 1 + rng_below(rng_draw(5, 1, round), 1 << 24), id = 3 * (uint64_t)round;
        uint32_t to = (rank + distance) % MESSAGE_RANKS, from = (rank + MESSAGE_RANKS - distance) % MESSAGE_RANKS;
        uint32_t compute = job_builder_op(builder, &(struct op){.kind = OP_COMPUTE, .source_id = id,
                                                                .duration_ps = 1000 * (rank + 1)});
        uint32_t send = job_builder_op(builder, &(struct op){.kind = OP_SEND, .bytes = bytes, .peer = to, .tag = round % 64,
                                                             .source_id = id + 1, .stream = STREAM_NONE});
        if (before != ID_NONE) {
            job_builder_dep(builder, compute, before);
        }
        job_builder_dep(builder, send, compute);
        before = job_builder_op(builder, &(struct op){.kind = OP_RECV, .bytes = bytes, .peer = from, .tag = round % 64,
                                                      .source_id = id + 2});
    }
    return job_builder_rank_end(builder, "bench", diag);
}

static enum status messages_make(struct arena *arena, const struct job **job, struct diag *diag)
{
    struct job_builder *builder = job_builder_new(arena, "messages", "bench", MESSAGE_RANKS);
    enum status status = STATUS_OK;
    for (uint32_t rank = 0; rank < MESSAGE_RANKS && status == STATUS_OK; rank++) {
        status = messages_rank(builder, rank, diag);
    }
    return status == STATUS_OK ? job_builder_finish(builder, job, diag) : status;
}

static const struct read_case {
    const char *name;
    enum status (*make)(struct arena *arena, const struct job **job, struct diag *diag);
} cases[] = {{"step", step_make}, {"messages", messages_make}};
enum { CASE_COUNT = sizeof cases / sizeof cases[0] };

/* ---- one reading, in a process of its own ----------------------------------------------------------------------- */

struct reading {
    double cpu_ns;
    uint64_t bytes, peak_bytes, ops;
    uint32_t status;
    char format[32];
    struct diag diag; /* of the refusal */
};

/* A number behind a key in a file of /proc/self, 0 where there is none. */
static uint64_t proc_number(const char *path, const char *key)
{
    char line[256];
    uint64_t number = 0;
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0) {
            number = strtoull(line + strlen(key), NULL, 10);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return number;
}

/* From here on the peak is that of what follows. */
static void peak_reset(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "w");
    if (file != NULL) {
        fputs("5", file);
        fclose(file);
    }
}

static void trace_take(const char *spec, uint32_t ranks, struct arena *arena, struct reading *reading)
{
    const struct job *job;
    reading->status = (uint32_t)trace_read(spec, ranks, NULL, 0, arena, &job, &reading->diag);
    if (reading->status != STATUS_OK) {
        return;
    }
    snprintf(reading->format, sizeof reading->format, "%s", job->format);
    for (uint32_t i = 0; i < job->program_count; i++) {
        reading->ops += job->programs[i].op_count;
    }
}

/* The files of the folder as they stand, hashed. */
static void bytes_take(const char *folder, struct arena *arena, struct reading *reading)
{
    uint8_t *chunk = arena_alloc(arena, CHUNK_BYTES);
    XXH64_hash_t hash = 0;
    DIR *directory = opendir(folder);
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        char path[PATH_BYTES_MAX];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        int file = entry->d_name[0] == '.' ? -1 : open(path, O_RDONLY);
        for (ssize_t got; file >= 0 && (got = read(file, chunk, CHUNK_BYTES)) > 0;) {
            hash = XXH3_64bits_withSeed(chunk, (size_t)got, hash);
        }
        if (file >= 0) {
            close(file);
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
    snprintf(reading->format, sizeof reading->format, "bytes_hashed");
    reading->ops = hash & 1; /* so that nobody leaves the hash out */
}

/* SPEC as trace_read has it, or a folder whose bytes are read. */
static void reading_run(const char *spec, bool is_trace, uint32_t ranks, struct reading *reading)
{
    peak_reset();
    struct arena *arena = arena_new("bench read");
    uint64_t bytes = proc_number("/proc/self/io", "rchar:"), resident = proc_number("/proc/self/status", "VmRSS:");
    double begin_ns = bench_thread_ns();
    if (is_trace) {
        trace_take(spec, ranks, arena, reading);
    } else {
        bytes_take(spec, arena, reading);
    }
    reading->cpu_ns = bench_thread_ns() - begin_ns;
    uint64_t peak = proc_number("/proc/self/status", "VmHWM:");
    reading->bytes = proc_number("/proc/self/io", "rchar:") - bytes;
    reading->peak_bytes = peak > resident ? (peak - resident) * 1024 : 0;
    arena_free(arena);
}

static bool reading_fork(const char *spec, bool is_trace, uint32_t ranks, struct reading *reading)
{
    int ends[2];
    *reading = (struct reading){0};
    if (pipe(ends) != 0) {
        return false;
    }
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        reading_run(spec, is_trace, ranks, reading);
        if (write(ends[1], reading, sizeof *reading) >= 0) {
            close(ends[1]); /* the other end finds out how much has come */
        }
        kill(getpid(), SIGKILL); /* nothing of the parent's, such as buffered output, is to be ended twice */
    }
    close(ends[1]);
    bool is_good = child > 0 && read(ends[0], reading, sizeof *reading) == (ssize_t)sizeof *reading;
    close(ends[0]);
    return child > 0 && waitpid(child, NULL, 0) == child && is_good;
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

static enum status row_measure(const struct bench_request *request, const char *name, const char *spec, bool is_trace,
                               json_t *rows, struct diag *diag)
{
    struct reading reading;
    double cpu_ns[ROUNDS_READ_MAX];
    uint64_t peak_bytes = 0;
    for (uint32_t round = 0; round < request->round_count; round++) {
        if (!reading_fork(spec, is_trace, request->ranks, &reading)) {
            return diag_set(diag, STATUS_IO, "bench read: the process that reads %s has died", spec);
        }
        if (reading.status != STATUS_OK) {
            *diag = reading.diag;
            return (enum status)reading.status;
        }
        cpu_ns[round] = reading.cpu_ns;
        peak_bytes = reading.peak_bytes > peak_bytes ? reading.peak_bytes : peak_bytes;
    }
    double bytes = (double)reading.bytes, median_ns = bench_median(cpu_ns, request->round_count);
    json_array_append_new(
        rows, json_pack("{s:s, s:s, s:f, s:I, s:f, s:f, s:f}", "case", name, "format", reading.format, "MB", bytes / 1e6,
                        "operations", (json_int_t)(is_trace ? reading.ops : 0), "MB_per_s", bytes * 1e3 / median_ns,
                        "MB_per_s_max", bytes * 1e3 / cpu_ns[0], "peak_per_byte", (double)peak_bytes / bytes));
    return STATUS_OK;
}

static void folder_clear(const char *folder)
{
    DIR *directory = opendir(folder);
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        char path[PATH_BYTES_MAX];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            unlink(path);
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
}

/* What the writer has written, by the name of its format: PREFIX.job, PREFIX.0.et, ... */
static enum status format_measure(const struct bench_request *request, const struct read_case *what,
                                  const struct trace_writer *writer, const char *folder, json_t *rows, struct diag *diag)
{
    char prefix[PATH_BYTES_MAX], wrote[512], spec[PATH_BYTES_MAX + 32];
    snprintf(prefix, sizeof prefix, "%s/t", folder);
    struct arena *arena = arena_new("a job to be read");
    const struct job *job;
    enum status status = what->make(arena, &job, diag);
    status = status == STATUS_OK ? writer->write(job, prefix, wrote, sizeof wrote, diag) : status;
    arena_free(arena); /* before the fork: the memory of the one that reads is its own */
    if (status == STATUS_OK) {
        wrote[strcspn(wrote, "\n")] = '\0'; /* below stands what the format could not carry */
        bool is_set = strstr(wrote, " to ") != NULL; /* files of ranks go by what their names begin with */
        snprintf(spec, sizeof spec, "%s:%s", writer->name, is_set ? prefix : wrote);
        status = row_measure(request, what->name, spec, true, rows, diag);
    }
    status = status == STATUS_OK ? row_measure(request, what->name, folder, false, rows, diag) : status;
    folder_clear(folder);
    return status;
}

json_t *bench_read(const struct bench_request *request)
{
    json_t *rows = json_array();
    const char *root = getenv("TMPDIR");
    char folder[PATH_BYTES_MAX / 2];
    struct diag *diag = request->diag;
    enum status status = STATUS_OK;
    if (request->trace != NULL) {
        row_measure(request, "own", request->trace, true, rows, diag);
        return rows;
    }
    snprintf(folder, sizeof folder, "%s/photonet-read-XXXXXX", root != NULL ? root : "/tmp");
    if (mkdtemp(folder) == NULL) {
        diag_set(diag, STATUS_IO, "%s: cannot make a temporary folder", folder);
        return rows;
    }
    for (uint32_t i = 0; i < CASE_COUNT && status == STATUS_OK; i++) {
        for (const struct trace_writer *const *writer = trace_writers; *writer != NULL && status == STATUS_OK; writer++) {
            status = format_measure(request, &cases[i], *writer, folder, rows, diag);
        }
    }
    rmdir(folder);
    return rows;
}
