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
#include "traces/flow_list.h"
#include "traces/text_lines.h"

#include "photonet/units.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <xxhash.h>

enum block_policy { BLOCK_REFUSE, BLOCK_REPAIR };
static const char *const block_choices[] = {[BLOCK_REFUSE] = "refuse", [BLOCK_REPAIR] = "repair", NULL};

struct values {
    double speed;
    uint64_t eager_bytes;
    uint32_t block_policy;
};

static const struct param rows[] = {
    PARAM_REAL(struct values, speed, OPERATION_RATE, "speed", "1GFLOPs", "0.001GFLOPs", "1000PFLOPs",
               "operations per second of a rank: the trace has amounts, no times"),
    PARAM_U64(struct values, eager_bytes, SIZE, "eager", "64KiB", "0B", "1000TB",
              "a send of fewer bytes does not wait for its message (SimGrid's default)"),
    PARAM_CHOICE(struct values, block_policy, "reduce_scatter_block", "refuse", block_choices,
                 "lines of MPI_Reduce_scatter_block, whose counts SimGrid writes as zeros"),
};

/* Timers of sleep. */
#define STREAM_SLEEP 1
/* Messages that collectives become have tags from here on; MPI's are below. */
#define COLLECTIVE_TAG  (UINT32_C(1) << 31)
#define PATH_TEXT_BYTES 4096

/* Bytes of the data types by their number (smpi_datatype.cpp). */
static const uint8_t type_bytes[] = {8, 4, 1, 2, 8, 4, 1, 8, 1, 1, 2,  4,  8, 8, 16, 4,
                                     1, 1, 2, 4, 8, 1, 2, 4, 8, 8, 16, 32, 8, 8, 8};
#define TYPE_BYTE   1
#define TYPE_DOUBLE 8

enum note {
    NOTE_WORLD,
    NOTE_COMMUNICATOR,
    NOTE_BLOCK,
    NOTE_COMPUTE,
    NOTE_UNEQUAL,
    NOTE_EXPANDED,
    NOTE_UNKNOWN_SIZE,
    NOTE_UNKNOWN_WAIT,
    NOTE_TEST,
    NOTE_LOCATION,
    NOTE_OTHER_RANK,
    NOTE_EAGER,
    NOTE_COUNT,
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

/* ---- state ------------------------------------------------------------------------------------------- */

/* A line of a file that holds all ranks. */
struct stored_line {
    const char *text;
    uint32_t number, next; /* of the same rank; ID_NONE at the end */
};

struct request {
    uint32_t src, dst, tag;
    uint32_t op;   /* ID_NONE: nothing to wait for */
    uint32_t next; /* with the same slot; ID_NONE at the end */
    bool is_done;
};

/* Sizes of the sends of one (src, dst, tag), in order, for receives of unknown length. */
struct channel {
    uint32_t src, dst, tag;
    uint64_t *sizes;
    size_t count, capacity, taken;
};

struct census {
    struct arena *arena;
    struct channel *channels;
    size_t count, capacity;
    uint32_t *slot; /* open addressing, channel + 1 */
    size_t slot_count;
};

struct reading {
    const struct values *values;
    struct arena *scratch;
    struct diag *diag;
    const char *path; /* of the index, or of the file of all ranks */
    const char **rank_path;
    uint32_t rank_count;
    bool is_shared;
    struct stored_line *lines;
    size_t line_count, line_capacity;
    uint32_t *first_line, *last_line; /* by rank */
    struct job_builder *builder;
    uint32_t world;
    struct census census;
    bool needs_census, is_census; /* a length is unknown; this pass collects sizes */
    uint64_t note_count[NOTE_COUNT], note_bytes[NOTE_COUNT];

    /* the rank being read */
    struct arena *rank_arena;
    uint32_t rank, slot;
    struct origin at;
    uint32_t previous;           /* what the next call waits for, ID_NONE at first */
    unsigned default_type_bytes; /* 0 before init */
    struct request *requests;
    size_t request_count, request_capacity;
    uint32_t *request_slot; /* REQUEST_SLOTS heads of chains */
    char **word;            /* arguments behind the action */
    size_t word_count, word_capacity;
    const char *action;
};
#define REQUEST_SLOTS 4096

static void note(struct reading *reading, enum note which, uint64_t count, uint64_t bytes)
{
    reading->note_count[which] += count;
    reading->note_bytes[which] += bytes;
}

__attribute__((format(printf, 2, 3))) static enum status refuse(const struct reading *reading,
                                                                const char *format, ...)
{
    char what[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    return diag_input(reading->diag, reading->at, "rank %u: %.40s: %s", reading->rank, reading->action, what);
}

/* ---- arguments --------------------------------------------------------------------------------------- */

static enum status words_expect(const struct reading *reading, size_t low, size_t high)
{
    if (reading->word_count < low || reading->word_count > high) {
        return refuse(reading, "has %zu arguments; expected %zu to %zu", reading->word_count, low, high);
    }
    return STATUS_OK;
}

/* Counts may be written as reals ("1e6"). */
static enum status count_read(const struct reading *reading, size_t at, uint64_t *count)
{
    double value;
    if (text_u64(reading->word[at], count) && *count <= UINT64_MAX >> 8) {
        return STATUS_OK;
    }
    if (!text_real(reading->word[at], &value) || value >= 0x1p56) {
        return refuse(reading, "\"%.40s\" is no count; expected a number from 0", reading->word[at]);
    }
    *count = (uint64_t)value;
    return STATUS_OK;
}

static enum status rank_read(const struct reading *reading, size_t at, uint32_t *rank)
{
    if (!text_u32(reading->word[at], rank) || *rank >= reading->rank_count) {
        return refuse(reading,
                      "\"%.40s\" is no rank; expected one below %u (any source: which message it is would "
                      "depend on the network)",
                      reading->word[at], reading->rank_count);
    }
    return STATUS_OK;
}

static enum status tag_read(const struct reading *reading, size_t at, uint32_t *tag)
{
    if (!text_u32(reading->word[at], tag) || *tag >= COLLECTIVE_TAG) {
        return refuse(reading,
                      "\"%.40s\" is no tag; expected a number from 0 (any tag: which message it is would "
                      "depend on the network)",
                      reading->word[at]);
    }
    return STATUS_OK;
}

/* Bytes of an element: of the type that word `at` names, or the file's default. */
static enum status type_read(const struct reading *reading, size_t at, uint64_t *bytes)
{
    uint32_t type;
    if (at >= reading->word_count) {
        *bytes = reading->default_type_bytes;
        return *bytes > 0 ? STATUS_OK : refuse(reading, "names no data type, and no init stands before it");
    }
    if (!text_u32(reading->word[at], &type) || type >= sizeof type_bytes) {
        return refuse(reading, "\"%.40s\" is no data type; expected a number below %zu", reading->word[at],
                      sizeof type_bytes);
    }
    *bytes = type_bytes[type];
    return STATUS_OK;
}

/* Bytes of word `at` elements of the type at `type_at`. */
static enum status bytes_read(const struct reading *reading, size_t at, size_t type_at, uint64_t *bytes)
{
    uint64_t count, each;
    enum status status = count_read(reading, at, &count);
    status = status == STATUS_OK ? type_read(reading, type_at, &each) : status;
    if (status == STATUS_OK && (__builtin_mul_overflow(count, each, bytes) || *bytes > UINT64_MAX >> 4)) {
        status = refuse(reading, "\"%.40s\" elements are too many", reading->word[at]);
    }
    return status;
}

static enum status duration_read(const struct reading *reading, size_t at, double per_second,
                                 uint64_t *duration_ps)
{
    double amount;
    if (!text_real(reading->word[at], &amount) || amount / per_second * (double)PS_PER_S >= 0x1p63) {
        return refuse(reading, "\"%.40s\" is no amount; expected a number from 0, of less than 100 days",
                      reading->word[at]);
    }
    *duration_ps = (uint64_t)(amount / per_second * (double)PS_PER_S + 0.5);
    return STATUS_OK;
}

/* ---- operations -------------------------------------------------------------------------------------- */

static uint32_t op_add(struct reading *reading, const struct op *op)
{
    struct op whole = *op;
    whole.source_id = reading->at.line;
    whole.name = reading->action;
    uint32_t added = job_builder_op(reading->builder, &whole);
    if (reading->previous != ID_NONE) {
        job_builder_dep(reading->builder, added, reading->previous);
    }
    return added;
}

static void blocking_add(struct reading *reading, const struct op *op)
{
    reading->previous = op_add(reading, op);
}

static void compute_add(struct reading *reading, uint64_t duration_ps, uint16_t stream)
{
    if (duration_ps > 0) {
        struct op op = {.kind = OP_COMPUTE, .duration_ps = duration_ps, .stream = stream};
        blocking_add(reading, &op);
    }
}

/* The flops of a reduction, done when the data are there. */
static enum status flops_add(struct reading *reading, size_t at)
{
    uint64_t duration_ps = 0;
    enum status status = STATUS_OK;
    if (at < reading->word_count && reading->word[at][0] != '-') { /* -1: none */
        status = duration_read(reading, at, reading->values->speed, &duration_ps);
    }
    if (status == STATUS_OK) {
        note(reading, NOTE_COMPUTE, duration_ps > 0, 0);
        compute_add(reading, duration_ps, STREAM_COMPUTE);
    }
    return status;
}

static uint32_t message_add(struct reading *reading, enum op_kind kind, uint32_t peer, uint64_t bytes,
                            uint32_t tag)
{
    struct op op = {.kind = kind, .peer = peer, .bytes = bytes, .tag = tag, .stream = STREAM_NONE};
    return op_add(reading, &op);
}

/* What comes next waits for the operation, and for what has been waited for so far. */
static uint32_t join_add(struct reading *reading)
{
    struct op op = {.kind = OP_MARKER};
    return op_add(reading, &op);
}

static void collective_add(struct reading *reading, enum collective_kind kind, uint64_t bytes, uint32_t root)
{
    struct op op = {
        .kind = OP_COLLECTIVE, .collective = kind, .bytes = bytes, .root = root, .group_slot = reading->slot};
    blocking_add(reading, &op);
    note(reading, NOTE_WORLD, 1, bytes);
}

/* ---- sends and receives ------------------------------------------------------------------------------ */

static uint64_t triple_hash(uint32_t src, uint32_t dst, uint32_t tag)
{
    uint32_t triple[3] = {src, dst, tag};
    return XXH3_64bits(triple, sizeof triple);
}

static struct channel *channel_find(struct census *census, uint32_t src, uint32_t dst, uint32_t tag)
{
    if (2 * (census->count + 1) > census->slot_count) {
        census->slot_count = census->slot_count == 0 ? 256 : 2 * census->slot_count;
        census->slot = arena_array(census->arena, census->slot_count, uint32_t);
        for (size_t i = 0; i < census->count; i++) {
            const struct channel *channel = &census->channels[i];
            size_t at = triple_hash(channel->src, channel->dst, channel->tag) & (census->slot_count - 1);
            while (census->slot[at] != 0) {
                at = (at + 1) & (census->slot_count - 1);
            }
            census->slot[at] = (uint32_t)i + 1;
        }
    }
    size_t at = triple_hash(src, dst, tag) & (census->slot_count - 1);
    for (; census->slot[at] != 0; at = (at + 1) & (census->slot_count - 1)) {
        struct channel *channel = &census->channels[census->slot[at] - 1];
        if (channel->src == src && channel->dst == dst && channel->tag == tag) {
            return channel;
        }
    }
    struct channel *added = &vec_push(census->arena, census->channels, census->count, census->capacity);
    *added = (struct channel){.src = src, .dst = dst, .tag = tag};
    census->slot[at] = (uint32_t)census->count;
    return added;
}

static void census_add(struct reading *reading, uint32_t dst, uint32_t tag, uint64_t bytes)
{
    if (reading->is_census) {
        struct channel *channel = channel_find(&reading->census, reading->rank, dst, tag);
        vec_push(reading->census.arena, channel->sizes, channel->count, channel->capacity) = bytes;
    }
}

/* The length of the next receive from `src`; `bytes` is what the line says, UINT64_MAX where it says nothing.
 */
static enum status length_find(struct reading *reading, uint32_t src, uint32_t tag, uint64_t *bytes)
{
    bool is_unknown = *bytes == UINT64_MAX;
    if (reading->census.arena == NULL || reading->is_census) {
        reading->needs_census |= is_unknown;
        *bytes = is_unknown ? 0 : *bytes;
        return STATUS_OK;
    }
    struct channel *channel = channel_find(&reading->census, src, reading->rank, tag);
    size_t number = channel->taken++;
    if (!is_unknown) {
        return STATUS_OK;
    }
    if (number >= channel->count) {
        return refuse(reading, "number %zu from rank %u with tag %u has no send; expected one", number, src,
                      tag);
    }
    *bytes = channel->sizes[number];
    note(reading, NOTE_UNKNOWN_SIZE, 1, *bytes);
    return STATUS_OK;
}

static void request_add(struct reading *reading, uint32_t src, uint32_t dst, uint32_t tag, uint32_t op)
{
    uint32_t *link = &reading->request_slot[triple_hash(src, dst, tag) % REQUEST_SLOTS];
    while (*link != ID_NONE) {
        struct request *request = &reading->requests[*link];
        if (request->is_done) {
            *link = request->next; /* nobody asks for it any more */
        } else {
            link = &request->next;
        }
    }
    *link = (uint32_t)reading->request_count; /* before the push, which may move what it points into */
    vec_push(reading->rank_arena, reading->requests, reading->request_count, reading->request_capacity) =
        (struct request){src, dst, tag, op, ID_NONE, false};
}

static enum status send_do(struct reading *reading, bool is_blocking)
{
    uint32_t peer, tag;
    uint64_t bytes;
    enum status status = words_expect(reading, 3, 4);
    status = status == STATUS_OK ? rank_read(reading, 0, &peer) : status;
    status = status == STATUS_OK ? tag_read(reading, 1, &tag) : status;
    status = status == STATUS_OK ? bytes_read(reading, 2, 3, &bytes) : status;
    if (status != STATUS_OK) {
        return status;
    }
    census_add(reading, peer, tag, bytes);
    uint32_t op = message_add(reading, OP_SEND, peer, bytes, tag);
    bool is_eager = bytes < reading->values->eager_bytes;
    note(reading, NOTE_EAGER, is_eager, is_eager ? bytes : 0);
    if (!is_blocking) {
        request_add(reading, reading->rank, peer, tag, is_eager ? ID_NONE : op);
    } else if (!is_eager) {
        reading->previous = op;
    }
    return STATUS_OK;
}

static enum status recv_do(struct reading *reading, bool is_blocking)
{
    uint32_t peer, tag;
    uint64_t bytes = UINT64_MAX;
    enum status status = words_expect(reading, 3, 4);
    status = status == STATUS_OK ? rank_read(reading, 0, &peer) : status;
    status = status == STATUS_OK ? tag_read(reading, 1, &tag) : status;
    if (status == STATUS_OK && strcmp(reading->word[2], "-1") != 0) {
        status = bytes_read(reading, 2, 3, &bytes);
    }
    status = status == STATUS_OK ? length_find(reading, peer, tag, &bytes) : status;
    if (status != STATUS_OK) {
        return status;
    }
    uint32_t op = message_add(reading, OP_RECV, peer, bytes, tag);
    if (is_blocking) {
        reading->previous = op;
    } else {
        request_add(reading, peer, reading->rank, tag, op);
    }
    return STATUS_OK;
}

static enum status do_send(struct reading *reading)
{
    return send_do(reading, true);
}

static enum status do_isend(struct reading *reading)
{
    return send_do(reading, false);
}

static enum status do_recv(struct reading *reading)
{
    return recv_do(reading, true);
}

static enum status do_irecv(struct reading *reading)
{
    return recv_do(reading, false);
}

/* Both directions at once, with tag 0. */
static enum status do_sendrecv(struct reading *reading)
{
    uint32_t dst, src;
    uint64_t sent, received;
    enum status status = words_expect(reading, 4, 6);
    status = status == STATUS_OK ? bytes_read(reading, 0, 4, &sent) : status;
    status = status == STATUS_OK ? rank_read(reading, 1, &dst) : status;
    status = status == STATUS_OK ? bytes_read(reading, 2, 5, &received) : status;
    status = status == STATUS_OK ? rank_read(reading, 3, &src) : status;
    status = status == STATUS_OK ? length_find(reading, src, 0, &received) : status;
    if (status == STATUS_OK) {
        census_add(reading, dst, 0, sent);
        uint32_t send = message_add(reading, OP_SEND, dst, sent, 0);
        uint32_t recv = message_add(reading, OP_RECV, src, received, 0);
        uint32_t join = join_add(reading);
        job_builder_dep(reading->builder, join, send);
        job_builder_dep(reading->builder, join, recv);
        reading->previous = join;
    }
    return status;
}

static enum status do_wait(struct reading *reading)
{
    uint32_t src, dst, tag;
    enum status status = words_expect(reading, 3, 3);
    status = status == STATUS_OK ? rank_read(reading, 0, &src) : status;
    status = status == STATUS_OK ? rank_read(reading, 1, &dst) : status;
    status = status == STATUS_OK ? tag_read(reading, 2, &tag) : status;
    if (status != STATUS_OK) {
        return status;
    }
    uint32_t at = reading->request_slot[triple_hash(src, dst, tag) % REQUEST_SLOTS];
    for (; at != ID_NONE; at = reading->requests[at].next) {
        struct request *request = &reading->requests[at];
        if (!request->is_done && request->src == src && request->dst == dst && request->tag == tag) {
            request->is_done = true;
            if (request->op != ID_NONE) {
                uint32_t join = join_add(reading);
                job_builder_dep(reading->builder, join, request->op);
                reading->previous = join;
            }
            return STATUS_OK;
        }
    }
    note(reading, NOTE_UNKNOWN_WAIT, 1, 0);
    return STATUS_OK;
}

static enum status do_waitall(struct reading *reading)
{
    uint32_t join = ID_NONE;
    for (size_t i = 0; i < reading->request_count; i++) {
        const struct request *request = &reading->requests[i];
        if (!request->is_done && request->op != ID_NONE) {
            join = join == ID_NONE ? join_add(reading) : join;
            job_builder_dep(reading->builder, join, request->op);
        }
    }
    reading->previous = join != ID_NONE ? join : reading->previous;
    reading->request_count = 0;
    memset(reading->request_slot, 0xff, REQUEST_SLOTS * sizeof *reading->request_slot);
    return STATUS_OK;
}

static enum status do_test(struct reading *reading)
{
    note(reading, NOTE_TEST, 1, 0);
    return STATUS_OK;
}

/* ---- computations and the rest ----------------------------------------------------------------------- */

static enum status do_compute(struct reading *reading)
{
    uint64_t duration_ps = 0;
    enum status status = words_expect(reading, 1, 1);
    status = status == STATUS_OK ? duration_read(reading, 0, reading->values->speed, &duration_ps) : status;
    if (status == STATUS_OK) {
        note(reading, NOTE_COMPUTE, 1, 0);
        compute_add(reading, duration_ps, STREAM_COMPUTE);
    }
    return status;
}

static enum status do_sleep(struct reading *reading)
{
    uint64_t duration_ps = 0;
    enum status status = words_expect(reading, 1, 1);
    status = status == STATUS_OK ? duration_read(reading, 0, 1.0, &duration_ps) : status;
    if (status == STATUS_OK) {
        compute_add(reading, duration_ps, STREAM_SLEEP);
    }
    return status;
}

static enum status do_init(struct reading *reading)
{
    reading->default_type_bytes = reading->word_count > 0 ? TYPE_DOUBLE : TYPE_BYTE;
    return STATUS_OK;
}

static enum status do_nothing(struct reading *reading)
{
    (void)reading;
    return STATUS_OK;
}

static enum status do_communicator(struct reading *reading)
{
    note(reading, NOTE_COMMUNICATOR, 1, 0);
    return STATUS_OK;
}

static enum status do_location(struct reading *reading)
{
    note(reading, NOTE_LOCATION, 1, 0);
    return STATUS_OK;
}

/* ---- collectives ------------------------------------------------------------------------------------- */

static enum status do_barrier(struct reading *reading)
{
    collective_add(reading, COLLECTIVE_BARRIER, 0, 0);
    return STATUS_OK;
}

static enum status root_read(const struct reading *reading, size_t at, uint32_t *root)
{
    *root = 0;
    return at < reading->word_count ? rank_read(reading, at, root) : STATUS_OK;
}

static enum status do_bcast(struct reading *reading)
{
    uint64_t bytes;
    uint32_t root;
    enum status status = words_expect(reading, 1, 3);
    status = status == STATUS_OK ? bytes_read(reading, 0, 2, &bytes) : status;
    status = status == STATUS_OK ? root_read(reading, 1, &root) : status;
    if (status == STATUS_OK) {
        collective_add(reading, COLLECTIVE_BROADCAST, bytes, root);
    }
    return status;
}

static enum status do_reduce(struct reading *reading)
{
    uint64_t bytes;
    uint32_t root;
    enum status status = words_expect(reading, 2, 4);
    status = status == STATUS_OK ? bytes_read(reading, 0, 3, &bytes) : status;
    status = status == STATUS_OK ? root_read(reading, 2, &root) : status;
    if (status == STATUS_OK) {
        collective_add(reading, COLLECTIVE_REDUCE, bytes, root);
        status = flops_add(reading, 1);
    }
    return status;
}

static enum status do_allreduce(struct reading *reading)
{
    uint64_t bytes;
    enum status status = words_expect(reading, 2, 3);
    status = status == STATUS_OK ? bytes_read(reading, 0, 2, &bytes) : status;
    if (status == STATUS_OK) {
        collective_add(reading, COLLECTIVE_ALL_REDUCE, bytes, 0);
        status = flops_add(reading, 1);
    }
    return status;
}

static enum status whole_of(const struct reading *reading, uint64_t part, uint64_t *whole)
{
    return __builtin_mul_overflow(part, (uint64_t)reading->rank_count, whole) || *whole > UINT64_MAX >> 4
               ? refuse(reading, "moves more than 2^60 bytes")
               : STATUS_OK;
}

static enum status do_alltoall(struct reading *reading)
{
    uint64_t part, bytes;
    enum status status = words_expect(reading, 2, 4);
    status = status == STATUS_OK ? bytes_read(reading, 0, 2, &part) : status;
    status = status == STATUS_OK ? whole_of(reading, part, &bytes) : status;
    if (status == STATUS_OK) {
        collective_add(reading, COLLECTIVE_ALL_TO_ALL, bytes, 0);
    }
    return status;
}

static enum status do_allgather(struct reading *reading)
{
    uint64_t bytes;
    enum status status = words_expect(reading, 2, 4);
    status = status == STATUS_OK ? bytes_read(reading, 0, 2, &bytes) : status;
    if (status == STATUS_OK) {
        collective_add(reading, COLLECTIVE_ALL_GATHER, bytes, 0);
    }
    return status;
}

/* Only the root's side of these is sure to be filled in; both sides say the same size. */
static enum status gather_or_scatter(struct reading *reading, bool is_gather)
{
    uint64_t sent, received, bytes;
    uint32_t root;
    enum status status = words_expect(reading, 2, 5);
    status = status == STATUS_OK ? bytes_read(reading, 0, 3, &sent) : status;
    status = status == STATUS_OK ? bytes_read(reading, 1, 4, &received) : status;
    status = status == STATUS_OK ? root_read(reading, 2, &root) : status;
    uint64_t part = status == STATUS_OK && sent > received ? sent : received;
    status = status == STATUS_OK ? whole_of(reading, part, &bytes) : status;
    if (status == STATUS_OK) {
        collective_add(reading, is_gather ? COLLECTIVE_GATHER : COLLECTIVE_SCATTER, is_gather ? part : bytes,
                       root);
    }
    return status;
}

static enum status do_gather(struct reading *reading)
{
    return gather_or_scatter(reading, true);
}

static enum status do_scatter(struct reading *reading)
{
    return gather_or_scatter(reading, false);
}

/* The sum of rank_count counts from word `first` on; whether they differ. */
static enum status counts_sum(const struct reading *reading, size_t first, uint64_t *sum, bool *is_equal)
{
    uint64_t one = 0, count;
    *sum = 0;
    *is_equal = true;
    for (uint32_t i = 0; i < reading->rank_count; i++) {
        enum status status = count_read(reading, first + i, &count);
        if (status != STATUS_OK) {
            return status;
        }
        one = i == 0 ? count : one;
        *is_equal &= count == one;
        if (__builtin_add_overflow(*sum, count, sum) || *sum > UINT64_MAX >> 10) {
            return refuse(reading, "moves more than 2^54 elements");
        }
    }
    return STATUS_OK;
}

static enum status do_allgatherv(struct reading *reading)
{
    uint32_t ranks = reading->rank_count;
    uint64_t elements, each;
    bool is_equal;
    enum status status = words_expect(reading, ranks + 1, 2 * (size_t)ranks + 3);
    bool has_types =
        status == STATUS_OK && (reading->word_count > 2 * (size_t)ranks + 1 ||
                                (reading->word_count > ranks + 1 && reading->word_count <= ranks + 3));
    status = status == STATUS_OK ? counts_sum(reading, 1, &elements, &is_equal) : status;
    status = status == STATUS_OK ? type_read(reading, has_types ? ranks + 1 : SIZE_MAX, &each) : status;
    if (status == STATUS_OK) {
        note(reading, NOTE_UNEQUAL, !is_equal, is_equal ? 0 : elements * each);
        collective_add(reading, COLLECTIVE_ALL_GATHER, (elements * each + ranks - 1) / ranks, 0);
    }
    return status;
}

/* A whole line of reducescatter has the counts of all ranks, flops, and perhaps a type; what SimGrid writes
 * of MPI_Reduce_scatter_block(c) has c zeros and a type. */
static enum status block_read(struct reading *reading, uint64_t *elements, uint64_t *each)
{
    if (reading->values->block_policy == BLOCK_REFUSE) {
        return refuse(
            reading,
            "has %zu arguments for %u ranks and no counts: SimGrid writes "
            "MPI_Reduce_scatter_block so; trace.reduce_scatter_block=repair takes the zeros for its count",
            reading->word_count, reading->rank_count);
    }
    enum status status = words_expect(reading, 2, SIZE_MAX);
    status = status == STATUS_OK ? type_read(reading, reading->word_count - 1, each) : status;
    *elements = (uint64_t)(reading->word_count - 1) * reading->rank_count;
    note(reading, NOTE_BLOCK, 1, 0);
    return status;
}

static bool all_zero(const struct reading *reading, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(reading->word[i], "0") != 0) {
            return false;
        }
    }
    return true;
}

static enum status do_reducescatter(struct reading *reading)
{
    uint32_t ranks = reading->rank_count;
    uint64_t elements = 0, each = 0;
    bool is_equal = true;
    size_t words = reading->word_count;
    bool is_block = (words != (size_t)ranks + 1 && words != (size_t)ranks + 2) || all_zero(reading, ranks);
    if (is_block && !all_zero(reading, words > 0 ? words - 1 : 0)) {
        return words_expect(reading, (size_t)ranks + 1, (size_t)ranks + 2);
    }
    enum status status;
    if (is_block) {
        status = block_read(reading, &elements, &each);
    } else {
        status = counts_sum(reading, 0, &elements, &is_equal);
        status = status == STATUS_OK ? type_read(reading, (size_t)ranks + 1, &each) : status;
    }
    if (status != STATUS_OK) {
        return status;
    }
    note(reading, NOTE_UNEQUAL, !is_equal, is_equal ? 0 : elements * each);
    collective_add(reading, COLLECTIVE_REDUCE_SCATTER, elements * each, 0);
    return is_block ? STATUS_OK : flops_add(reading, ranks);
}

/* ---- collectives as messages ------------------------------------------------------------------------- */

enum { TAG_GATHERV, TAG_SCATTERV, TAG_ALLTOALLV, TAG_SCAN };

/* Ends a call of several messages: what comes next waits for all of them. */
static void messages_join(struct reading *reading, uint32_t first, uint32_t count)
{
    uint32_t join = join_add(reading);
    for (uint32_t i = 0; i < count; i++) {
        job_builder_dep(reading->builder, join, first + i);
    }
    reading->previous = join;
}

/* The messages between the root and all others: `counts_at` has a count for each rank. The others send, or
 * receive, word `own_at` elements. */
static enum status star_add(struct reading *reading, bool is_gather, size_t counts_at, size_t own_at,
                            size_t types_at, uint32_t root)
{
    uint32_t tag = COLLECTIVE_TAG + (is_gather ? TAG_GATHERV : TAG_SCATTERV), first = ID_NONE, count = 0;
    uint64_t bytes;
    if (reading->rank != root) {
        enum status status = bytes_read(reading, own_at, types_at + !is_gather, &bytes);
        if (status == STATUS_OK) {
            reading->previous = message_add(reading, is_gather ? OP_SEND : OP_RECV, root, bytes, tag);
        }
        return status;
    }
    for (uint32_t rank = 0; rank < reading->rank_count; rank++) {
        enum status status = bytes_read(reading, counts_at + rank, types_at + is_gather, &bytes);
        if (status != STATUS_OK) {
            return status;
        }
        if (rank != root) {
            uint32_t op = message_add(reading, is_gather ? OP_RECV : OP_SEND, rank, bytes, tag);
            first = count++ == 0 ? op : first;
        }
    }
    if (count > 0) {
        messages_join(reading, first, count);
    }
    return STATUS_OK;
}

/* SimGrid writes the counts on the root only: the others have their own count, the root and two types. With
 * two or three ranks a line of four words could be either. */
static bool star_has_counts(const struct reading *reading)
{
    uint32_t root;
    bool is_short = reading->word_count == 4 && text_u32(reading->word[1], &root) && root != reading->rank &&
                    root < reading->rank_count;
    return reading->word_count > reading->rank_count && !is_short;
}

/* gatherv: own count, counts, root, types. scatterv: counts, own count, root, types. */
static enum status star_do(struct reading *reading, bool is_gather)
{
    size_t ranks = reading->rank_count;
    uint32_t root = 0;
    bool has_counts = star_has_counts(reading);
    enum status status = words_expect(reading, 1, ranks + 4);
    size_t root_at = has_counts ? ranks + 1 : 1;
    status = status == STATUS_OK ? root_read(reading, root_at, &root) : status;
    if (status != STATUS_OK) {
        return status;
    }
    if (!has_counts && root == reading->rank) {
        return refuse(reading, "has %zu arguments on the root; expected the counts of %zu ranks among them",
                      reading->word_count, ranks);
    }
    note(reading, NOTE_EXPANDED, 1, 0);
    return star_add(reading, is_gather, is_gather, is_gather || !has_counts ? 0 : ranks, root_at + 1, root);
}

static enum status do_gatherv(struct reading *reading)
{
    return star_do(reading, true);
}

static enum status do_scatterv(struct reading *reading)
{
    return star_do(reading, false);
}

static enum status do_alltoallv(struct reading *reading)
{
    uint32_t ranks = reading->rank_count, first = ID_NONE, count = 0;
    size_t types_at = 2 * (size_t)ranks + 2;
    enum status status = words_expect(reading, types_at, types_at + 2);
    uint64_t sent, received;
    for (uint32_t step = 1; step < ranks && status == STATUS_OK;
         step++) { /* each begins with its neighbour */
        uint32_t to = (reading->rank + step) % ranks, from = (reading->rank + ranks - step) % ranks;
        status = bytes_read(reading, 1 + (size_t)to, types_at, &sent);
        if (status == STATUS_OK) {
            status = bytes_read(reading, 2 + (size_t)ranks + from, types_at + 1, &received);
        }
        if (status == STATUS_OK) {
            uint32_t op = message_add(reading, OP_RECV, from, received, COLLECTIVE_TAG + TAG_ALLTOALLV);
            message_add(reading, OP_SEND, to, sent, COLLECTIVE_TAG + TAG_ALLTOALLV);
            first = count == 0 ? op : first;
            count += 2;
        }
    }
    if (status == STATUS_OK && count > 0) {
        note(reading, NOTE_EXPANDED, 1, 0);
        messages_join(reading, first, count);
    }
    return status;
}

static enum status do_scan(struct reading *reading)
{
    uint64_t bytes;
    enum status status = words_expect(reading, 2, 3);
    status = status == STATUS_OK ? bytes_read(reading, 0, 2, &bytes) : status;
    if (status != STATUS_OK) {
        return status;
    }
    note(reading, NOTE_EXPANDED, 1, 0);
    if (reading->rank > 0) {
        reading->previous =
            message_add(reading, OP_RECV, reading->rank - 1, bytes, COLLECTIVE_TAG + TAG_SCAN);
    }
    status = flops_add(reading, 1);
    if (status == STATUS_OK && reading->rank + 1 < reading->rank_count) {
        reading->previous =
            message_add(reading, OP_SEND, reading->rank + 1, bytes, COLLECTIVE_TAG + TAG_SCAN);
    }
    return status;
}

/* ---- lines ------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum status (*run)(struct reading *reading);
} actions[] = {
    {"compute", do_compute},
    {"send", do_send},
    {"recv", do_recv},
    {"isend", do_isend},
    {"irecv", do_irecv},
    {"wait", do_wait},
    {"waitall", do_waitall},
    {"test", do_test},
    {"sendrecv", do_sendrecv},
    {"bcast", do_bcast},
    {"reduce", do_reduce},
    {"allreduce", do_allreduce},
    {"barrier", do_barrier},
    {"alltoall", do_alltoall},
    {"alltoallv", do_alltoallv},
    {"allgather", do_allgather},
    {"allgatherv", do_allgatherv},
    {"gather", do_gather},
    {"gatherv", do_gatherv},
    {"scatter", do_scatter},
    {"scatterv", do_scatterv},
    {"reducescatter", do_reducescatter},
    {"scan", do_scan},
    {"exscan", do_scan},
    {"sleep", do_sleep},
    {"location", do_location},
    {"init", do_init},
    {"finalize", do_nothing},
    {"comm_size", do_nothing},
    {"comm_split", do_communicator},
    {"comm_dup", do_communicator},
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
static enum status action_read(struct reading *reading, char *cursor)
{
    const char *name = text_word(&cursor);
    size_t action = name == NULL ? ACTION_COUNT : action_find(name);
    reading->action = name == NULL ? "" : name;
    if (action == ACTION_COUNT) {
        return refuse(reading,
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

static enum status rank_lines_read(struct reading *reading, const char *path)
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
            note(reading, NOTE_OTHER_RANK, 1, 0);
        } else {
            status = action_read(reading, line);
        }
    }
    text_close(&lines);
    return status;
}

static enum status stored_lines_read(struct reading *reading)
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

static enum status rank_build(struct reading *reading, uint32_t rank)
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

static enum status index_read(struct reading *reading, const char *path, size_t *count)
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

static enum status shared_line_add(struct reading *reading, const struct text_lines *lines, char *line)
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
        (struct stored_line){arena_strdup(reading->scratch, line), lines->line, ID_NONE};
    return STATUS_OK;
}

static enum status shared_read(struct reading *reading, const char *path)
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
static enum status is_trace(struct reading *reading, const char *path, bool *answer)
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

static enum status files_find(struct reading *reading, const struct trace_source *source)
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

static enum status ranks_build(struct reading *reading, const struct trace_source *source,
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
static enum status passes_run(struct reading *reading, const struct trace_source *source, struct arena *arena)
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
    struct reading reading = {.values = source->values,
                              .scratch = arena_new_within(arena, "a time-independent trace"),
                              .diag = diag};
    enum status status = files_find(&reading, source);
    status = status == STATUS_OK ? passes_run(&reading, source, arena) : status;
    for (enum note which = 0; which < NOTE_COUNT && status == STATUS_OK; which++) {
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
    .params = PARAM_TABLE(struct values, rows),
    .probe = ti_probe,
    .read = ti_read,
};
