/* The records of a Chakra file, one after the other, in constant memory: see chakra_stream.h. */
#include "traces/chakra_stream.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define BUFFER_BYTES_START  ((size_t)256 << 10)
#define SCRATCH_BYTES_START ((size_t)64 << 10)
#define SCRATCH_BYTES_MAX   ((size_t)512 << 20)
/* A 32-bit number takes at most five groups of seven bits. */
#define LENGTH_BYTES_MAX 5
/* zlib counts one read in an int. */
#define READ_BYTES_MAX ((size_t)1 << 30)

/* A bump allocator; when it is full it goes on in a block twice as large, which is the one kept. */
struct scratch {
    ProtobufCAllocator allocator;
    struct arena *arena;
    uint8_t *bytes;
    size_t used, capacity;
    size_t taken; /* since the last reset, over all blocks */
};

struct chakra_stream {
    const char *path;
    struct arena *arena;
    gzFile file; /* owned */
    uint8_t *buffer;
    size_t begin, end, capacity;
    uint64_t offset; /* of `begin` in the unpacked file */
    uint64_t record_at;
    uint64_t record_count;
    bool is_ended;
    struct scratch scratch;
};

static void *scratch_alloc(void *data, size_t bytes)
{
    struct scratch *scratch = data;
    bytes = (bytes + 15) & ~(size_t)15;
    if (bytes > SCRATCH_BYTES_MAX - scratch->taken) {
        return NULL;
    }
    if (bytes > scratch->capacity - scratch->used) {
        while (scratch->capacity < bytes || scratch->capacity < 2 * scratch->used) {
            scratch->capacity *= 2;
        }
        scratch->bytes = arena_alloc(scratch->arena, scratch->capacity);
        scratch->used = 0;
    }
    void *room = scratch->bytes + scratch->used;
    scratch->used += bytes;
    scratch->taken += bytes;
    return room;
}

static void scratch_free(void *data, void *room)
{
    (void)data;
    (void)room;
}

ProtobufCAllocator *chakra_stream_scratch(struct chakra_stream *stream)
{
    stream->scratch.used = 0;
    stream->scratch.taken = 0;
    return &stream->scratch.allocator;
}

static void scratch_start(struct scratch *scratch, struct arena *arena)
{
    scratch->allocator.alloc = scratch_alloc;
    scratch->allocator.free = scratch_free;
    scratch->allocator.allocator_data = scratch;
    scratch->arena = arena;
    scratch->capacity = SCRATCH_BYTES_START;
    scratch->bytes = arena_alloc(arena, scratch->capacity);
}

enum status chakra_stream_open(const char *path, struct arena *arena, struct chakra_stream **stream,
                               struct diag *diag)
{
    gzFile file = gzopen(path, "rb");
    if (file == NULL) {
        return diag_set(diag, STATUS_IO, "%s: cannot open for reading", path);
    }
    *stream = arena_one(arena, struct chakra_stream);
    (*stream)->path = path;
    (*stream)->arena = arena;
    (*stream)->file = file;
    (*stream)->capacity = BUFFER_BYTES_START;
    (*stream)->buffer = arena_alloc(arena, BUFFER_BYTES_START);
    scratch_start(&(*stream)->scratch, arena);
    return STATUS_OK;
}

void chakra_stream_close(struct chakra_stream *stream)
{
    if (stream != NULL && stream->file != NULL) {
        gzclose_r(stream->file);
        stream->file = NULL;
    }
}

static enum status read_failure(struct chakra_stream *stream, struct diag *diag)
{
    int code;
    const char *text = gzerror(stream->file, &code);
    if (code == Z_ERRNO) {
        return diag_set(diag, STATUS_IO, "%s: cannot read", stream->path);
    }
    return diag_input(diag, (struct origin){.path = stream->path},
                      "gzip data are damaged or truncated (%s); expected a whole gzip file", text);
}

/* Makes room behind `end`: moves the rest to the front, doubles the buffer if that is not enough. */
static void buffer_make_room(struct chakra_stream *stream)
{
    size_t rest = stream->end - stream->begin;
    uint8_t *target = stream->buffer;
    if (rest > stream->capacity / 2) {
        stream->capacity *= 2;
        target = arena_alloc(stream->arena, stream->capacity);
    }
    memmove(target, stream->buffer + stream->begin, rest);
    stream->buffer = target;
    stream->begin = 0;
    stream->end = rest;
}

/* Has at least `wanted` bytes behind `begin`, or all that there are. */
static enum status buffer_fill(struct chakra_stream *stream, size_t wanted, struct diag *diag)
{
    while (stream->end - stream->begin < wanted && !stream->is_ended) {
        buffer_make_room(stream);
        size_t room = stream->capacity - stream->end;
        unsigned ask = (unsigned)(room < READ_BYTES_MAX ? room : READ_BYTES_MAX);
        int got = gzread(stream->file, stream->buffer + stream->end, ask);
        int code = Z_OK;
        gzerror(stream->file, &code);
        if (got < 0 || (code != Z_OK && code != Z_STREAM_END)) {
            return read_failure(stream, diag);
        }
        stream->end += (size_t)got;
        stream->is_ended = (unsigned)got < ask;
    }
    return STATUS_OK;
}

static void consume(struct chakra_stream *stream, size_t bytes)
{
    stream->begin += bytes;
    stream->offset += bytes;
}

/* Reads the length in front of a record; it has been seen that there is at least one byte. */
static enum status length_read(struct chakra_stream *stream, uint32_t *length, struct diag *diag)
{
    const uint8_t *at = stream->buffer + stream->begin;
    size_t there = stream->end - stream->begin;
    uint64_t value = 0;
    for (size_t i = 0; i < LENGTH_BYTES_MAX && i < there; i++) {
        value |= (uint64_t)(at[i] & 0x7f) << (7 * i);
        if ((at[i] & 0x80) == 0) {
            consume(stream, i + 1);
            *length = (uint32_t)value;
            return value <= CHAKRA_RECORD_BYTES_MAX
                       ? STATUS_OK
                       : chakra_stream_refuse(stream, diag,
                                              "says that it is longer than 32 MiB; the file is "
                                              "damaged or no Chakra trace");
        }
    }
    return chakra_stream_refuse(stream, diag,
                                there < LENGTH_BYTES_MAX
                                    ? "the file ends within the length; it is truncated"
                                    : "its length is no number of 32 bits; the file is damaged or no "
                                      "Chakra trace");
}

static enum status truncated(const struct chakra_stream *stream, uint32_t length, struct diag *diag)
{
    char what[160];
    snprintf(what, sizeof what, "has %" PRIu32 " bytes, but the file ends after %zu of them; it is truncated",
             length, stream->end - stream->begin);
    return chakra_stream_refuse(stream, diag, what);
}

enum status chakra_stream_next(struct chakra_stream *stream, const uint8_t **record, uint32_t *record_bytes,
                               struct diag *diag)
{
    *record = NULL;
    stream->record_at = stream->offset;
    enum status status = buffer_fill(stream, LENGTH_BYTES_MAX, diag);
    if (status != STATUS_OK || stream->begin == stream->end) {
        return status;
    }
    stream->record_count++;
    status = length_read(stream, record_bytes, diag);
    if (status == STATUS_OK) {
        status = buffer_fill(stream, *record_bytes, diag);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (stream->end - stream->begin < *record_bytes) {
        return truncated(stream, *record_bytes, diag);
    }
    *record = stream->buffer + stream->begin;
    consume(stream, *record_bytes);
    return STATUS_OK;
}

enum status chakra_stream_head(struct chakra_stream *stream, size_t wanted, const uint8_t **head,
                               size_t *head_bytes, struct diag *diag)
{
    DASSERT(stream->record_count == 0);
    enum status status = buffer_fill(stream, wanted, diag);
    *head = stream->buffer + stream->begin;
    *head_bytes = stream->end - stream->begin;
    return status;
}

uint64_t chakra_stream_record(const struct chakra_stream *stream)
{
    return stream->record_count - 1;
}

enum status chakra_stream_refuse(const struct chakra_stream *stream, struct diag *diag, const char *what)
{
    return diag_input(diag, (struct origin){.path = stream->path},
                      "record %" PRIu64 " at byte %" PRIu64 ": %s", chakra_stream_record(stream),
                      stream->record_at, what);
}
