/* A file as a stream of bytes: see byte_stream.h. */
#include "traces/byte_stream.h"

#include "photonet/input.h"

#include <string.h>
#include <zlib.h>

#define BUFFER_BYTES_START ((size_t)256 << 10)
/* zlib counts one read in an int. */
#define READ_BYTES_MAX ((size_t)1 << 30)

struct byte_stream {
    const char *path;
    struct arena *arena;        /* borrowed */
    struct arena *buffer_arena; /* owned */
    gzFile file;                /* owned */
    uint8_t *buffer;            /* capacity + 1 bytes */
    size_t begin, end, capacity;
    uint64_t offset; /* of `begin` in the unpacked file */
    bool is_ended;
};

static void buffer_take(struct byte_stream *stream, size_t capacity)
{
    stream->buffer_arena = arena_new_within(stream->arena, "the read buffer of a file");
    stream->buffer = arena_alloc(stream->buffer_arena, capacity + 1);
    stream->capacity = capacity;
}

enum status byte_stream_open(const char *path, struct arena *arena, struct byte_stream **stream,
                             struct diag *diag)
{
    *stream = NULL;
    if (input_check(path, diag) != STATUS_OK) {
        return STATUS_INPUT;
    }
    gzFile file = gzopen(path, "rb");
    if (file == NULL) {
        return diag_set(diag, STATUS_INPUT, "%s: cannot open for reading", path);
    }
    *stream = arena_one(arena, struct byte_stream);
    (*stream)->path = arena_strdup(arena, path);
    (*stream)->arena = arena;
    (*stream)->file = file;
    buffer_take(*stream, BUFFER_BYTES_START);
    return STATUS_OK;
}

void byte_stream_close(struct byte_stream *stream)
{
    if (stream != NULL && stream->file != NULL) {
        gzclose_r(stream->file);
        stream->file = NULL;
        arena_free(stream->buffer_arena);
        stream->buffer_arena = NULL;
    }
}

static enum status read_failure(struct byte_stream *stream, struct diag *diag)
{
    int code;
    const char *text = gzerror(stream->file, &code);
    if (code == Z_ERRNO) {
        return diag_set(diag, STATUS_INPUT, "%s: cannot read", stream->path);
    }
    return diag_input(diag, (struct origin){.path = stream->path},
                      "gzip data are damaged or truncated (%s); expected a whole gzip file", text);
}

/* Makes room behind `end`: moves the rest to the front, doubles the buffer if that is not enough. */
static void buffer_make_room(struct byte_stream *stream)
{
    size_t rest = stream->end - stream->begin;
    if (rest > stream->capacity / 2) {
        struct arena *old = stream->buffer_arena;
        const uint8_t *from = stream->buffer + stream->begin;
        buffer_take(stream, 2 * stream->capacity);
        memcpy(stream->buffer, from, rest);
        arena_free(old);
    } else {
        memmove(stream->buffer, stream->buffer + stream->begin, rest);
    }
    stream->begin = 0;
    stream->end = rest;
}

enum status byte_stream_peek(struct byte_stream *stream, size_t wanted, uint8_t **bytes, size_t *count,
                             struct diag *diag)
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
    *bytes = stream->buffer + stream->begin;
    *count = stream->end - stream->begin;
    return STATUS_OK;
}

void byte_stream_skip(struct byte_stream *stream, size_t count)
{
    DASSERT(count <= stream->end - stream->begin);
    stream->begin += count;
    stream->offset += count;
}

uint64_t byte_stream_offset(const struct byte_stream *stream)
{
    return stream->offset;
}

const char *byte_stream_path(const struct byte_stream *stream)
{
    return stream->path;
}
