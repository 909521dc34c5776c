/* The records of a Chakra file, one after the other, in constant memory: see chakra_stream.h. */
#include "traces/chakra_stream.h"

#include "traces/byte_stream.h"

#include <inttypes.h>
#include <stdio.h>

#define SCRATCH_BYTES_START ((size_t)64 << 10)
#define SCRATCH_BYTES_MAX   ((size_t)512 << 20)
/* A 32-bit number takes at most five groups of seven bits. */
#define LENGTH_BYTES_MAX 5

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
    struct byte_stream *bytes; /* owned */
    uint64_t record_at;
    uint64_t record_count;
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
    *stream = arena_one(arena, struct chakra_stream);
    (*stream)->path = path;
    scratch_start(&(*stream)->scratch, arena);
    return byte_stream_open(path, arena, &(*stream)->bytes, diag);
}

void chakra_stream_close(struct chakra_stream *stream)
{
    if (stream != NULL) {
        byte_stream_close(stream->bytes);
    }
}

/* Reads the length in front of a record from its first bytes, of which there is at least one. */
static enum status length_read(struct chakra_stream *stream, const uint8_t *at, size_t there,
                               uint32_t *length, struct diag *diag)
{
    uint64_t value = 0;
    for (size_t i = 0; i < LENGTH_BYTES_MAX && i < there; i++) {
        value |= (uint64_t)(at[i] & 0x7f) << (7 * i);
        if ((at[i] & 0x80) == 0) {
            byte_stream_skip(stream->bytes, i + 1);
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

static enum status truncated(const struct chakra_stream *stream, uint32_t length, size_t there,
                             struct diag *diag)
{
    char what[160];
    snprintf(what, sizeof what, "has %" PRIu32 " bytes, but the file ends after %zu of them; it is truncated",
             length, there);
    return chakra_stream_refuse(stream, diag, what);
}

enum status chakra_stream_next(struct chakra_stream *stream, const uint8_t **record, uint32_t *record_bytes,
                               struct diag *diag)
{
    *record = NULL;
    stream->record_at = byte_stream_offset(stream->bytes);
    uint8_t *bytes;
    size_t there;
    enum status status = byte_stream_peek(stream->bytes, LENGTH_BYTES_MAX, &bytes, &there, diag);
    if (status != STATUS_OK || there == 0) {
        return status;
    }
    stream->record_count++;
    status = length_read(stream, bytes, there, record_bytes, diag);
    if (status == STATUS_OK) {
        status = byte_stream_peek(stream->bytes, *record_bytes, &bytes, &there, diag);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (there < *record_bytes) {
        return truncated(stream, *record_bytes, there, diag);
    }
    *record = bytes;
    byte_stream_skip(stream->bytes, *record_bytes);
    return STATUS_OK;
}

enum status chakra_stream_head(struct chakra_stream *stream, size_t wanted, const uint8_t **head,
                               size_t *head_bytes, struct diag *diag)
{
    DASSERT(stream->record_count == 0);
    uint8_t *bytes = NULL;
    enum status status = byte_stream_peek(stream->bytes, wanted, &bytes, head_bytes, diag);
    *head = bytes;
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
