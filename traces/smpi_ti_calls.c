/* Arguments, operations and computations of time-independent traces: see smpi_ti.h. */
#include "traces/smpi_ti.h"

#include "traces/text_lines.h"

#include "photonet/units.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of the data types by their number (smpi_datatype.cpp). */
static const uint8_t type_bytes[] = {8, 4, 1, 2, 8, 4, 1, 8, 1, 1, 2,  4,  8, 8, 16, 4,
                                     1, 1, 2, 4, 8, 1, 2, 4, 8, 8, 16, 32, 8, 8, 8};
#define TYPE_BYTE   1
#define TYPE_DOUBLE 8

/* ---- arguments --------------------------------------------------------------------------------------- */

enum status ti_words_expect(const struct ti_reading *reading, size_t low, size_t high)
{
    if (reading->word_count < low || reading->word_count > high) {
        return ti_refuse(reading, "has %zu arguments; expected %zu to %zu", reading->word_count, low, high);
    }
    return STATUS_OK;
}

/* Counts may be written as reals ("1e6"). */
enum status ti_count_read(const struct ti_reading *reading, size_t at, uint64_t *count)
{
    double value;
    if (text_u64(reading->word[at], count) && *count <= UINT64_MAX >> 8) {
        return STATUS_OK;
    }
    if (!text_real(reading->word[at], &value) || value >= 0x1p56) {
        return ti_refuse(reading, "\"%.40s\" is no count; expected a number from 0", reading->word[at]);
    }
    *count = (uint64_t)value;
    return STATUS_OK;
}

enum status ti_rank_read(const struct ti_reading *reading, size_t at, uint32_t *rank)
{
    if (!text_u32(reading->word[at], rank) || *rank >= reading->rank_count) {
        return ti_refuse(reading,
                         "\"%.40s\" is no rank; expected one below %u (any source: which message it is would "
                         "depend on the network)",
                         reading->word[at], reading->rank_count);
    }
    return STATUS_OK;
}

enum status ti_tag_read(const struct ti_reading *reading, size_t at, uint32_t *tag)
{
    if (!text_u32(reading->word[at], tag) || *tag >= COLLECTIVE_TAG) {
        return ti_refuse(reading,
                         "\"%.40s\" is no tag; expected a number from 0 (any tag: which message it is would "
                         "depend on the network)",
                         reading->word[at]);
    }
    return STATUS_OK;
}

/* Bytes of an element: of the type that word `at` names, or the file's default. */
enum status ti_type_read(const struct ti_reading *reading, size_t at, uint64_t *bytes)
{
    uint32_t type;
    if (at >= reading->word_count) {
        *bytes = reading->default_type_bytes;
        return *bytes > 0 ? STATUS_OK
                          : ti_refuse(reading, "names no data type, and no init stands before it");
    }
    if (!text_u32(reading->word[at], &type) || type >= sizeof type_bytes) {
        return ti_refuse(reading, "\"%.40s\" is no data type; expected a number below %zu", reading->word[at],
                         sizeof type_bytes);
    }
    *bytes = type_bytes[type];
    return STATUS_OK;
}

/* Bytes of word `at` elements of the type at `type_at`. */
enum status ti_bytes_read(const struct ti_reading *reading, size_t at, size_t type_at, uint64_t *bytes)
{
    uint64_t count, each;
    enum status status = ti_count_read(reading, at, &count);
    status = status == STATUS_OK ? ti_type_read(reading, type_at, &each) : status;
    if (status == STATUS_OK && (__builtin_mul_overflow(count, each, bytes) || *bytes > UINT64_MAX >> 4)) {
        status = ti_refuse(reading, "\"%.40s\" elements are too many", reading->word[at]);
    }
    return status;
}

static enum status duration_read(const struct ti_reading *reading, size_t at, double per_second,
                                 uint64_t *duration_ps)
{
    double amount;
    if (!text_real(reading->word[at], &amount) || amount / per_second * (double)PS_PER_S >= 0x1p63) {
        return ti_refuse(reading, "\"%.40s\" is no amount; expected a number from 0, of less than 100 days",
                         reading->word[at]);
    }
    *duration_ps = (uint64_t)(amount / per_second * (double)PS_PER_S + 0.5);
    return STATUS_OK;
}

/* ---- operations -------------------------------------------------------------------------------------- */

static uint32_t op_add(struct ti_reading *reading, const struct op *op)
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

static void blocking_add(struct ti_reading *reading, const struct op *op)
{
    reading->previous = op_add(reading, op);
}

static void compute_add(struct ti_reading *reading, uint64_t duration_ps, uint16_t stream)
{
    if (duration_ps > 0) {
        struct op op = {.kind = OP_COMPUTE, .duration_ps = duration_ps, .stream = stream};
        blocking_add(reading, &op);
    }
}

/* The flops of a reduction, done when the data are there. */
enum status ti_flops_add(struct ti_reading *reading, size_t at)
{
    uint64_t duration_ps = 0;
    enum status status = STATUS_OK;
    if (at < reading->word_count && reading->word[at][0] != '-') { /* -1: none */
        status = duration_read(reading, at, reading->values->speed, &duration_ps);
    }
    if (status == STATUS_OK) {
        ti_note(reading, NOTE_COMPUTE, duration_ps > 0, 0);
        compute_add(reading, duration_ps, STREAM_COMPUTE);
    }
    return status;
}

uint32_t ti_message_add(struct ti_reading *reading, enum op_kind kind, uint32_t peer, uint64_t bytes,
                        uint32_t tag)
{
    struct op op = {.kind = kind, .peer = peer, .bytes = bytes, .tag = tag, .stream = STREAM_NONE};
    return op_add(reading, &op);
}

/* What comes next waits for the operation, and for what has been waited for so far. */
uint32_t ti_join_add(struct ti_reading *reading)
{
    struct op op = {.kind = OP_MARKER};
    return op_add(reading, &op);
}

void ti_collective_add(struct ti_reading *reading, enum collective_kind kind, uint64_t bytes, uint32_t root)
{
    struct op op = {
        .kind = OP_COLLECTIVE, .collective = kind, .bytes = bytes, .root = root, .group_slot = reading->slot};
    blocking_add(reading, &op);
    ti_note(reading, NOTE_WORLD, 1, bytes);
}

/* ---- computations and the rest ----------------------------------------------------------------------- */

enum status ti_do_compute(struct ti_reading *reading)
{
    uint64_t duration_ps = 0;
    enum status status = ti_words_expect(reading, 1, 1);
    status = status == STATUS_OK ? duration_read(reading, 0, reading->values->speed, &duration_ps) : status;
    if (status == STATUS_OK) {
        ti_note(reading, NOTE_COMPUTE, 1, 0);
        compute_add(reading, duration_ps, STREAM_COMPUTE);
    }
    return status;
}

enum status ti_do_sleep(struct ti_reading *reading)
{
    uint64_t duration_ps = 0;
    enum status status = ti_words_expect(reading, 1, 1);
    status = status == STATUS_OK ? duration_read(reading, 0, 1.0, &duration_ps) : status;
    if (status == STATUS_OK) {
        compute_add(reading, duration_ps, STREAM_SLEEP);
    }
    return status;
}

enum status ti_do_init(struct ti_reading *reading)
{
    reading->default_type_bytes = reading->word_count > 0 ? TYPE_DOUBLE : TYPE_BYTE;
    return STATUS_OK;
}

enum status ti_do_nothing(struct ti_reading *reading)
{
    (void)reading;
    return STATUS_OK;
}

enum status ti_do_communicator(struct ti_reading *reading)
{
    ti_note(reading, NOTE_COMMUNICATOR, 1, 0);
    return STATUS_OK;
}

enum status ti_do_location(struct ti_reading *reading)
{
    ti_note(reading, NOTE_LOCATION, 1, 0);
    return STATUS_OK;
}
