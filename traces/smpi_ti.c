/* Reader of SimGrid's time-independent traces, which smpirun -trace-ti writes of MPI programs.
 *
 *     index          ti_files/rank-0.txt        rank-0.txt   0 init
 *                    ti_files/rank-1.txt                     0 isend 1 7 4096 5
 *                    (line i is rank i's file; one                0 wait 0 1 7
 *                    line alone is a file of all ranks)      0 allreduce 4096 0 5
 *
 * Scope: every action of SimGrid's replay, in one file of all ranks or in a file a rank. A rank is a chain of
 * blocking calls; isend and irecv run beside it until wait or waitall. compute is flops over trace.speed,
 * sleep a timer on a stream of its own. Counts are elements: their type stands on the line, or is a byte
 * (`init`) or a double (`init` with an argument). gatherv, scatterv and alltoallv are messages of their exact
 * sizes; scan and exscan are a chain of messages from rank to rank. A receive of unknown length (-1) has the
 * length of its send. Communicators are lost in this format: a collective of part of the ranks is written
 * like one of all, and is replayed as one of all; the import report says how many there are.
 * MPI_Reduce_scatter_block(count) is written as `count` zeros where the counts of all ranks belong; such a
 * line is refused, or with trace.reduce_scatter_block=repair read as count elements a rank. Not modelled:
 * unequal parts of allgatherv and reducescatter (their total is split evenly), test (never waits), locations,
 * the copies and protocol thresholds of an MPI library but one: sends below trace.eager do not wait
 * (SimGrid's smpi/send-is-detached-thresh). MPI_ANY_SOURCE and MPI_ANY_TAG are refused.
 * Checked against: smpi_replay.cpp of simgrid/simgrid (12a63c7) by reading it, its examples by loading them,
 * a trace of SimGrid 3.32, and hand-made files in tests/test_smpi_ti.c. */
#include "traces/smpi_ti.h"

#include "traces/flow_list.h"
#include "traces/text_lines.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static const char *const block_choices[] = {[BLOCK_REFUSE] = "refuse", [BLOCK_REPAIR] = "repair", NULL};

static const struct param rows[] = {
    PARAM_REAL(struct ti_values, speed, OPERATION_RATE, "speed", "1GFLOPs", "0.001GFLOPs", "1000PFLOPs",
               "operations per second of a rank: the trace has amounts, no times"),
    PARAM_U64(struct ti_values, eager_bytes, SIZE, "eager", "64KiB", "0B", "1000TB",
              "a send of fewer bytes does not wait for its message (SimGrid's default)"),
    PARAM_CHOICE(struct ti_values, block_policy, "reduce_scatter_block", "refuse", block_choices,
                 "lines of MPI_Reduce_scatter_block, whose counts SimGrid writes as zeros"),
};
static const struct {
    const char *what, *action;
} note_texts[NOTE_COUNT] = {
    [NOTE_WORLD] = {"collectives, whose communicators the format has lost", "run over all ranks"},
    [NOTE_COMMUNICATOR] = {"communicators made by the program", "lost: the format does not keep their ranks"},
    [NOTE_BLOCK] = {"reduce_scatter_block lines with zeros for counts",
                    "repaired: as many elements a rank as there are zeros"},
    [NOTE_COMPUTE] = {"computations, which the trace counts in flops", "timed at trace.speed"},
    [NOTE_UNEQUAL] = {"allgatherv and reducescatter of unequal parts", "split evenly"},
    [NOTE_EXPANDED] = {"gatherv, scatterv, alltoallv, scan and exscan calls", "replayed as messages"},
    [NOTE_UNKNOWN_SIZE] = {"receives of unknown length", "have the length of their send"},
    [NOTE_UNKNOWN_WAIT] = {"waits for a request that is not there", "ignored"},
    [NOTE_TEST] = {"test calls", "ignored: they never wait"},
    [NOTE_LOCATION] = {"location lines", "ignored"},
    [NOTE_OTHER_RANK] = {"lines of another rank in a rank's file", "ignored"},
    [NOTE_EAGER] = {"sends below trace.eager", "not waited for"},
};
void ti_note(struct ti_reading *reading, enum ti_note which, uint64_t count, uint64_t bytes)
{
    reading->note_count[which] += count;
    reading->note_bytes[which] += bytes;
}

__attribute__((format(printf, 2, 3))) enum status ti_refuse(const struct ti_reading *reading,
                                                            const char *format, ...)
{
    char before[80];
    va_list arguments;
    snprintf(before, sizeof before, "rank %u: %.40s: ", reading->rank, reading->action);
    va_start(arguments, format);
    enum status status = diag_input_list(reading->diag, reading->at, before, format, arguments);
    va_end(arguments);
    return status;
}

/* ---- lines ------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum status (*run)(struct ti_reading *reading);
} actions[] = {
    {"compute", ti_do_compute},
    {"send", ti_do_send},
    {"recv", ti_do_recv},
    {"isend", ti_do_isend},
    {"irecv", ti_do_irecv},
    {"wait", ti_do_wait},
    {"waitall", ti_do_waitall},
    {"test", ti_do_test},
    {"sendrecv", ti_do_sendrecv},
    {"bcast", ti_do_bcast},
    {"reduce", ti_do_reduce},
    {"allreduce", ti_do_allreduce},
    {"barrier", ti_do_barrier},
    {"alltoall", ti_do_alltoall},
    {"alltoallv", ti_do_alltoallv},
    {"allgather", ti_do_allgather},
    {"allgatherv", ti_do_allgatherv},
    {"gather", ti_do_gather},
    {"gatherv", ti_do_gatherv},
    {"scatter", ti_do_scatter},
    {"scatterv", ti_do_scatterv},
    {"reducescatter", ti_do_reducescatter},
    {"scan", ti_do_scan},
    {"exscan", ti_do_scan},
    {"sleep", ti_do_sleep},
    {"location", ti_do_location},
    {"init", ti_do_init},
    {"finalize", ti_do_nothing},
    {"comm_size", ti_do_nothing},
    {"comm_split", ti_do_communicator},
    {"comm_dup", ti_do_communicator},
};
#define ACTION_COUNT (sizeof actions / sizeof actions[0])

/* Older traces write sendRecv, allReduce, Isend and so on. */
static size_t action_find(const char *name)
{
    size_t i = 0;
    while (i < ACTION_COUNT && strcasecmp(actions[i].name, name) != 0) {
        i++;
    }
    return i;
}

/* A line without its rank. */
static enum status action_read(struct ti_reading *reading, char *cursor)
{
    const char *name = text_word(&cursor);
    size_t action = name == NULL ? ACTION_COUNT : action_find(name);
    reading->action = name == NULL ? "" : name;
    if (action == ACTION_COUNT) {
        return ti_refuse(reading,
                         "unknown action; expected one of SimGrid's replay: compute, send, allreduce, ...");
    }
    reading->action = actions[action].name;
    reading->word_count = 0;
    for (char *word; (word = text_word(&cursor)) != NULL;) {
        vec_push(reading->scratch, reading->word, reading->word_count, reading->word_capacity) = word;
    }
    return actions[action].run(reading);
}

static bool line_is_empty(const char *line)
{
    line += strspn(line, " \t");
    return line[0] == '\0' || line[0] == '#';
}

/* Splits the rank off. */
static bool line_rank(char **line, uint32_t *rank)
{
    return text_u32(text_word(line), rank);
}

static enum status rank_lines_read(struct ti_reading *reading, const char *path)
{
    struct text_lines lines;
    enum status status = text_open(path, reading->rank_arena, &lines, reading->diag);
    char *line = NULL;
    while (status == STATUS_OK && (status = text_next(&lines, &line, reading->diag)) == STATUS_OK &&
           line != NULL) {
        uint32_t rank;
        reading->at = (struct origin){.path = path, .line = lines.line};
        if (line_is_empty(line)) {
            continue;
        }
        if (!line_rank(&line, &rank)) {
            status = text_refuse(&lines, reading->diag, "begins with no rank; expected `RANK ACTION ...`");
        } else if (rank != reading->rank) {
            ti_note(reading, NOTE_OTHER_RANK, 1, 0);
        } else {
            status = action_read(reading, line);
        }
    }
    text_close(&lines);
    return status;
}

static enum status stored_lines_read(struct ti_reading *reading)
{
    enum status status = STATUS_OK;
    uint32_t at = reading->first_line[reading->rank];
    char *copy = NULL;
    size_t capacity = 0;
    for (; at != ID_NONE && status == STATUS_OK; at = reading->lines[at].next) {
        size_t bytes = strlen(reading->lines[at].text) + 1;
        if (bytes > capacity) {
            capacity = 2 * bytes;
            copy = arena_alloc(reading->rank_arena, capacity);
        }
        memcpy(copy, reading->lines[at].text,
               bytes); /* words are ended in place, and there may be a second pass */
        reading->at = (struct origin){.path = reading->path, .line = reading->lines[at].number};
        status = action_read(reading, copy);
    }
    return status;
}

static enum status rank_build(struct ti_reading *reading, uint32_t rank)
{
    reading->rank_arena = arena_new_within(reading->scratch, "a rank's time-independent trace");
    reading->rank = rank;
    reading->previous = ID_NONE;
    reading->default_type_bytes = 0;
    reading->requests = NULL;
    reading->request_count = reading->request_capacity = 0;
    reading->request_slot = arena_array(reading->rank_arena, REQUEST_SLOTS, uint32_t);
    memset(reading->request_slot, 0xff, REQUEST_SLOTS * sizeof *reading->request_slot);
    reading->slot = job_builder_slot(reading->builder, rank, reading->world);
    job_builder_rank(reading->builder, rank);
    const char *path = reading->is_shared ? reading->path : reading->rank_path[rank];
    enum status status = reading->is_shared ? stored_lines_read(reading) : rank_lines_read(reading, path);
    arena_free(reading->rank_arena);
    return status == STATUS_OK ? job_builder_rank_end(reading->builder, path, reading->diag) : status;
}

/* ---- files ------------------------------------------------------------------------------------------- */

static bool is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

/* A path of the index: as it is, or beside the index. False where there is no such file. */
static bool path_resolve(const char *index, const char *name, char path[PATH_TEXT_BYTES])
{
    const char *slash = strrchr(index, '/');
    int folder = slash == NULL || name[0] == '/' ? 0 : (int)(slash - index) + 1;
    int length = snprintf(path, PATH_TEXT_BYTES, "%.*s%s", folder, index, name);
    if (length < PATH_TEXT_BYTES && is_file(path)) {
        return true;
    }
    length = snprintf(path, PATH_TEXT_BYTES, "%s", name);
    return length < PATH_TEXT_BYTES && is_file(path);
}

static enum status index_read(struct ti_reading *reading, const char *path, size_t *count)
{
    struct text_lines lines;
    size_t capacity = 0;
    *count = 0;
    enum status status = text_open(path, reading->scratch, &lines, reading->diag);
    char *line = NULL;
    while (status == STATUS_OK && (status = text_next(&lines, &line, reading->diag)) == STATUS_OK &&
           line != NULL) {
        char *name = text_word(&line), found[PATH_TEXT_BYTES];
        if (name == NULL || name[0] == '#') {
            continue;
        }
        if (!path_resolve(path, name, found)) {
            status =
                text_refuse(&lines, reading->diag,
                            "names \"%.200s\", which is no file; expected rank %zu's trace", name, *count);
        } else if (*count >= TRACE_RANKS_MAX) {
            status =
                text_refuse(&lines, reading->diag, "too many ranks; expected at most %u", TRACE_RANKS_MAX);
        } else {
            vec_push(reading->scratch, reading->rank_path, *count, capacity) =
                arena_strdup(reading->scratch, found);
        }
    }
    text_close(&lines);
    return status;
}

static enum status shared_line_add(struct ti_reading *reading, const struct text_lines *lines, char *line)
{
    uint32_t rank;
    if (!line_rank(&line, &rank) || rank >= TRACE_RANKS_MAX || reading->line_count >= ID_NONE) {
        return text_refuse(lines, reading->diag, "begins with no rank; expected `RANK ACTION ...`");
    }
    for (; reading->rank_count <= rank; reading->rank_count++) {
        reading->first_line[reading->rank_count] = reading->last_line[reading->rank_count] = ID_NONE;
    }
    uint32_t number = (uint32_t)reading->line_count;
    uint32_t *link = reading->first_line[rank] == ID_NONE ? &reading->first_line[rank]
                                                          : &reading->lines[reading->last_line[rank]].next;
    *link = number;
    reading->last_line[rank] = number;
    vec_push(reading->scratch, reading->lines, reading->line_count, reading->line_capacity) =
        (struct ti_line){arena_strdup(reading->scratch, line), lines->line, ID_NONE};
    return STATUS_OK;
}

static enum status shared_read(struct ti_reading *reading, const char *path)
{
    struct text_lines lines;
    reading->is_shared = true;
    reading->path = path;
    reading->first_line = arena_array(reading->scratch, TRACE_RANKS_MAX, uint32_t);
    reading->last_line = arena_array(reading->scratch, TRACE_RANKS_MAX, uint32_t);
    enum status status = text_open(path, reading->scratch, &lines, reading->diag);
    char *line = NULL;
    while (status == STATUS_OK && (status = text_next(&lines, &line, reading->diag)) == STATUS_OK &&
           line != NULL) {
        status = line_is_empty(line) ? STATUS_OK : shared_line_add(reading, &lines, line);
    }
    text_close(&lines);
    return status;
}

/* Whether the file begins with a line of a trace, not with a path. */
static enum status is_trace(struct ti_reading *reading, const char *path, bool *answer)
{
    struct text_lines lines;
    *answer = false;
    enum status status = text_open(path, reading->scratch, &lines, reading->diag);
    char *line = NULL;
    while (status == STATUS_OK && (status = text_next(&lines, &line, reading->diag)) == STATUS_OK &&
           line != NULL) {
        uint32_t rank;
        if (!line_is_empty(line)) {
            *answer = line_rank(&line, &rank);
            break;
        }
    }
    text_close(&lines);
    return status;
}

static enum status files_find(struct ti_reading *reading, const struct trace_source *source)
{
    bool is_one = false;
    size_t count = 0;
    struct origin at = {.path = source->path};
    enum status status = is_trace(reading, source->path, &is_one);
    if (status == STATUS_OK && !is_one) {
        status = index_read(reading, source->path, &count);
        reading->rank_count = (uint32_t)count;
    }
    if (status == STATUS_OK && (is_one || count == 1)) {
        reading->rank_count = 0;
        status = shared_read(reading, is_one ? source->path : reading->rank_path[0]);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (reading->rank_count == 0) {
        return diag_input(reading->diag, at,
                          "holds no trace; expected lines `RANK ACTION ...`, or paths of rank files");
    }
    if (source->ranks != 0 && source->ranks != reading->rank_count) {
        return diag_input(reading->diag, at, "has %u ranks, but --ranks asks for %u; expected no --ranks",
                          reading->rank_count, source->ranks);
    }
    return STATUS_OK;
}

static enum status ranks_build(struct ti_reading *reading, const struct trace_source *source,
                               struct arena *arena)
{
    memset(reading->note_count, 0, sizeof reading->note_count);
    memset(reading->note_bytes, 0, sizeof reading->note_bytes);
    reading->builder =
        job_builder_new(arena, trace_name(arena, source->path), "smpi_ti", reading->rank_count);
    uint32_t *all = arena_array(reading->scratch, reading->rank_count, uint32_t);
    for (uint32_t rank = 0; rank < reading->rank_count; rank++) {
        all[rank] = rank;
    }
    struct origin at = {.path = source->path};
    enum status status = job_builder_group(reading->builder, "world", all, reading->rank_count, at,
                                           &reading->world, reading->diag);
    for (uint32_t rank = 0; rank < reading->rank_count && status == STATUS_OK; rank++) {
        status = rank_build(reading, rank);
    }
    return status;
}

/* Receives of unknown length are rare: only where one is met, two more passes find what was sent. */
static enum status passes_run(struct ti_reading *reading, const struct trace_source *source,
                              struct arena *arena)
{
    enum status status = ranks_build(reading, source, arena);
    if (status == STATUS_OK && reading->needs_census) {
        struct arena *trial = arena_new_within(reading->scratch, "a pass that only looks at sizes");
        reading->census.arena = reading->scratch;
        reading->is_census = true;
        status = ranks_build(reading, source, trial);
        reading->is_census = false;
        arena_free(trial);
        status = status == STATUS_OK ? ranks_build(reading, source, arena) : status;
    }
    return status;
}

static enum status ti_read(const struct trace_source *source, struct arena *arena, const struct job **job,
                           struct diag *diag)
{
    struct ti_reading reading = {.values = source->values,
                                 .scratch = arena_new_within(arena, "a time-independent trace"),
                                 .diag = diag};
    enum status status = files_find(&reading, source);
    status = status == STATUS_OK ? passes_run(&reading, source, arena) : status;
    for (enum ti_note which = 0; which < NOTE_COUNT && status == STATUS_OK; which++) {
        if (reading.note_count[which] > 0) {
            job_builder_note(reading.builder, note_texts[which].what, note_texts[which].action,
                             reading.note_count[which], reading.note_bytes[which]);
        }
    }
    arena_free(reading.scratch);
    return status == STATUS_OK ? job_builder_finish(reading.builder, job, diag) : status;
}

/* ---- probing ----------------------------------------------------------------------------------------- */

/* The head begins with a line `RANK ACTION`. */
static bool head_is_trace(const char *text, size_t count)
{
    char line[64];
    size_t at = 0;
    while (at < count && strchr("\n\r \t#", text[at]) != NULL && text[at] != '\0') {
        const char *newline = memchr(text + at, '\n', count - at);
        at = text[at] != '#' ? at + 1 : newline == NULL ? count : (size_t)(newline - text);
    }
    size_t length = count - at < sizeof line - 1 ? count - at : sizeof line - 1;
    memcpy(line, text + at, length);
    line[length] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    uint32_t rank;
    char *cursor = line;
    if (!line_rank(&cursor, &rank)) {
        return false;
    }
    const char *action = text_word(&cursor);
    return action != NULL && action_find(action) < ACTION_COUNT;
}

static bool file_is_trace(const char *path)
{
    char head[256];
    struct diag diag;
    struct arena *arena = arena_new("a look at a file");
    struct byte_stream *stream;
    uint8_t *bytes;
    size_t count = 0;
    if (byte_stream_open(path, arena, &stream, &diag) == STATUS_OK &&
        byte_stream_peek(stream, sizeof head, &bytes, &count, &diag) == STATUS_OK) {
        count = count < sizeof head ? count : sizeof head;
        memcpy(head, bytes, count);
    } else {
        count = 0;
    }
    byte_stream_close(stream);
    arena_free(arena);
    return head_is_trace(head, count);
}

static bool ti_probe(const char *path, const uint8_t *head, size_t head_bytes)
{
    if (head_is_trace((const char *)head, head_bytes)) {
        return true;
    }
    struct text_head text = {(const char *)head, (const char *)head + head_bytes};
    char name[1024], found[PATH_TEXT_BYTES];
    while (text_head_line(&text, name, sizeof name)) {
        if (name[0] != '\0' && name[0] != '#') {
            return path_resolve(path, name, found) && file_is_trace(found);
        }
    }
    return false;
}

const struct trace_format trace_format_smpi_ti = {
    .name = "smpi_ti",
    .summary = "SimGrid's time-independent traces of MPI programs (smpirun -trace-ti)",
    .params = PARAM_TABLE(struct ti_values, rows),
    .probe = ti_probe,
    .read = ti_read,
};
