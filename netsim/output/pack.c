#include "netsim/output/pack.h"

#include <stdbool.h>
#include <string.h>
#include <zlib.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "cells are stored as they lie in memory; files are little-endian");

/* PACK_LEVEL: two million rows of messages take 2.3 s and 22.5 MB; level 4 saves two per cent of that and takes half as
 * long again, level 9 saves no more and takes five times as long. */

#define RAW_BYTES_MAX 256 /* shorter chunks are stored as they are: zlib's tables cost more than they save */

struct packer {
    struct arena *arena;
    z_stream streams[PACK_RUNS + 1];
    bool is_ready[PACK_RUNS + 1];
    uint8_t *planes, *packed;
    size_t planes_capacity, packed_capacity;
};

struct packer *packer_new(struct arena *arena)
{
    struct packer *packer = arena_one(arena, struct packer);
    packer->arena = arena;
    return packer;
}

static void *zlib_alloc(void *arena, unsigned count, unsigned bytes_each)
{
    return arena_alloc_array(arena, count, bytes_each);
}

static void zlib_free(void *arena, void *bytes)
{
    (void)arena, (void)bytes; /* with the arena */
}

/* Streams are made once and used again for every chunk. */
static bool stream_begin(struct packer *packer, enum pack how)
{
    z_stream *stream = &packer->streams[how];
    if (packer->is_ready[how]) {
        return deflateReset(stream) == Z_OK;
    }
    packer->is_ready[how] = true;
    *stream = (z_stream){.zalloc = zlib_alloc, .zfree = zlib_free, .opaque = packer->arena};
    return deflateInit2(stream, PACK_LEVEL, Z_DEFLATED, MAX_WBITS, 8, how == PACK_RUNS ? Z_RLE : Z_DEFAULT_STRATEGY) == Z_OK;
}

static void reserve(struct packer *packer, uint8_t **bytes, size_t *capacity, size_t wanted)
{
    if (*capacity < wanted) {
        *capacity = wanted;
        *bytes = arena_alloc(packer->arena, wanted);
    }
}

/* ---- shuffling -------------------------------------------------------------------------------------------- */

/* Eight words of eight bytes as a matrix, transposed: bytes of equal weight become one word. */
static void words_transpose(uint64_t words[8])
{
    static const uint64_t masks[3] = {0x00ff00ff00ff00ff, 0x0000ffff0000ffff, 0x00000000ffffffff};
    for (int level = 0; level < 3; level++) {
        int step = 1 << level, shift = 8 << level;
        for (int i = 0; i < 8; i++) {
            if (!(i & step)) {
                uint64_t change = (words[i] >> shift ^ words[i + step]) & masks[level];
                words[i] ^= change << shift;
                words[i + step] ^= change;
            }
        }
    }
}

static void shuffle_words(const uint8_t *cells, size_t count, size_t chunk_cells, uint8_t *planes)
{
    for (size_t at = 0; at + 8 <= count; at += 8) {
        uint64_t words[8];
        memcpy(words, cells + at * 8, sizeof words);
        words_transpose(words);
        for (size_t plane = 0; plane < 8; plane++) {
            memcpy(planes + plane * chunk_cells + at, &words[plane], 8);
        }
    }
}

static inline void shuffle_bytes(const uint8_t *restrict cells, size_t first, size_t count, size_t chunk_cells,
                                 size_t cell_bytes, uint8_t *restrict planes)
{
    for (size_t plane = 0; plane < cell_bytes; plane++) {
        uint8_t *to = planes + plane * chunk_cells;
        for (size_t at = first; at < count; at++) {
            to[at] = cells[at * cell_bytes + plane];
        }
        memset(to + count, 0, chunk_cells - count);
    }
}

/* Planes of a chunk: byte 0 of all cells, then byte 1 of all, ... */
static void shuffle(const uint8_t *cells, size_t count, size_t chunk_cells, size_t cell_bytes, uint8_t *planes)
{
    if (cell_bytes == 8) {
        shuffle_words(cells, count, chunk_cells, planes);
        shuffle_bytes(cells, count / 8 * 8, count, chunk_cells, cell_bytes, planes);
    } else if (cell_bytes == 4) {
        shuffle_bytes(cells, 0, count, chunk_cells, 4, planes); /* a loop of its own: with a vector of cells a step */
    } else {
        shuffle_bytes(cells, 0, count, chunk_cells, cell_bytes, planes);
    }
}

/* ---- chunks ----------------------------------------------------------------------------------------------- */

struct packed pack_chunk(struct packer *packer, enum pack how, const void *cells, size_t count, size_t chunk_cells,
                         size_t cell_bytes)
{
    size_t chunk_bytes = chunk_cells * cell_bytes;
    reserve(packer, &packer->planes, &packer->planes_capacity, chunk_bytes);
    if (chunk_bytes <= RAW_BYTES_MAX) {
        memcpy(packer->planes, cells, count * cell_bytes);
        memset(packer->planes + count * cell_bytes, 0, chunk_bytes - count * cell_bytes);
        return (struct packed){packer->planes, chunk_bytes, 3};
    }
    shuffle(cells, count, chunk_cells, cell_bytes, packer->planes);
    if (!stream_begin(packer, how)) {
        return (struct packed){0};
    }
    z_stream *stream = &packer->streams[how];
    size_t bound_bytes = deflateBound(stream, chunk_bytes);
    reserve(packer, &packer->packed, &packer->packed_capacity, bound_bytes);
    stream->next_in = packer->planes;
    stream->avail_in = (unsigned)chunk_bytes;
    stream->next_out = packer->packed;
    stream->avail_out = (unsigned)bound_bytes;
    if (deflate(stream, Z_FINISH) != Z_STREAM_END) {
        return (struct packed){0};
    }
    return (struct packed){packer->packed, bound_bytes - stream->avail_out, 0};
}
