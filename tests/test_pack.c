/* Chunks of columns as they lie in the result file, read back by zlib and turned by hand.
 *
 * Asserted: both ways of packing give what was put in, for cells of every width, whatever their number, chunks half full or
 * of one cell; that zlib takes the whole stream and its check sum; runs of every length; planes that are one run; counts
 * of which Huffman's code would be too long; that PACK_RUNS stays below its bound and is not larger than what zlib makes of
 * runs by more than codes of small planes; that a bit changed is found. Not asserted: speed. */
#include "netsim/base/rng.h"
#include "netsim/output/pack.h"
#include "netsim/output/runs.h"
#include "tests/check.h"

#include <zlib.h>

/* The planes of a packed chunk; false where zlib does not take all of it. */
static bool stream_read(const void *stream, size_t stream_bytes, uint8_t *planes, size_t bytes)
{
    uint8_t none;
    z_stream from = {.next_in = (uint8_t *)stream, .avail_in = (unsigned)stream_bytes, .next_out = bytes > 0 ? planes : &none,
                     .avail_out = (unsigned)bytes};
    bool is_good = inflateInit(&from) == Z_OK && inflate(&from, Z_FINISH) == Z_STREAM_END;
    is_good = is_good && from.avail_in == 0 && from.avail_out == 0;
    inflateEnd(&from);
    return is_good;
}

static bool is_chunk(struct packed packed, const uint8_t *cells, size_t count, size_t chunk_cells, size_t cell_bytes)
{
    size_t bytes = chunk_cells * cell_bytes;
    struct arena *arena = arena_new("planes");
    uint8_t *planes = arena_alloc(arena, bytes);
    bool is_shuffled = (packed.left_out & 1) == 0;
    bool is_good = (packed.left_out & 2) == 0 ? stream_read(packed.bytes, packed.byte_count, planes, bytes)
                                              : packed.byte_count == bytes && memcpy(planes, packed.bytes, bytes) != NULL;
    for (size_t cell = 0; cell < chunk_cells && is_good; cell++) {
        for (size_t plane = 0; plane < cell_bytes; plane++) {
            uint8_t is = is_shuffled ? planes[plane * chunk_cells + cell] : planes[cell * cell_bytes + plane];
            is_good &= is == (cell < count ? cells[cell * cell_bytes + plane] : 0);
        }
    }
    arena_free(arena);
    return is_good;
}

/* Bytes of a kind: noise, few values, runs of all lengths, steps, one value. */
static void bytes_draw(uint8_t *bytes, size_t count, uint32_t kind, uint64_t seed)
{
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t draw = rng_draw(seed, kind, i);
        switch (kind) {
        case 0:
            bytes[i] = (uint8_t)draw;
            break;
        case 1:
            bytes[i] = (uint8_t)__builtin_ctzll(draw | UINT64_C(1) << 40);
            break;
        case 2:
            left = left == 0 ? 1 + rng_below(draw, 700) : left;
            bytes[i] = (uint8_t)(left-- == 1 || i == 0 ? draw : bytes[i - 1]);
            break;
        case 3:
            bytes[i] = (uint8_t)(i / 8 * (i % 8 == 0));
            break;
        default:
            bytes[i] = (uint8_t)seed;
        }
    }
}

static void test_round_trip(void)
{
    static const size_t widths[] = {1, 2, 4, 8, 16, 64, 256}, counts[] = {1, 2, 3, 7, 40, 257, 1000, 8191, 8192};
    struct arena *arena = arena_new("packer");
    struct packer *packer = packer_new(arena);
    uint64_t seed = test_seed();
    uint8_t *cells = arena_alloc(arena, 65536);
    for (size_t i = 0; i < sizeof widths / sizeof widths[0] * (sizeof counts / sizeof counts[0]) * 5; i++) {
        size_t width = widths[i / 5 % 7], count = counts[i / 35];
        if (width * count > 65536) {
            continue;
        }
        bytes_draw(cells, count * width, (uint32_t)(i % 5), seed + i);
        for (enum pack how = PACK_MATCHES; how <= PACK_RUNS; how++) {
            for (size_t chunk = count; chunk <= count + 300; chunk += 150) {
                CHECK(is_chunk(pack_chunk(packer, how, cells, count, chunk, width), cells, count, chunk, width));
            }
        }
    }
    arena_free(arena);
}

/* Every length of a run, and the ends of a plane in the middle of one. */
static void test_runs(void)
{
    enum { LONGEST = 1100 };
    struct arena *arena = arena_new("runs");
    struct runs *runs = runs_new(arena);
    uint8_t planes[2 * LONGEST], back[2 * LONGEST], *stream = arena_alloc(arena, runs_bound(LONGEST, 2));
    for (size_t length = 1; length < LONGEST; length++) {
        for (size_t before = 0; before < 2; before++) {
            memset(planes, 7, sizeof planes);
            memset(planes + before, (int)length, length);
            size_t bytes = runs_deflate(runs, planes, before + length, 2, stream);
            CHECK(bytes <= runs_bound(before + length, 2));
            CHECK(stream_read(stream, bytes, back, 2 * (before + length)));
            CHECK(memcmp(back, planes, 2 * (before + length)) == 0);
        }
    }
    arena_free(arena);
}

/* Counts that grow like Fibonacci's numbers make codes as long as can be: 22 bits for 2^16 bytes. */
static void test_long_codes(void)
{
    enum { BYTES = 1 << 17 };
    struct arena *arena = arena_new("runs");
    struct runs *runs = runs_new(arena);
    uint8_t *plane = arena_alloc(arena, BYTES), *back = arena_alloc(arena, BYTES);
    uint8_t *stream = arena_alloc(arena, runs_bound(BYTES, 1));
    size_t at = 0, count = 1, before = 1;
    for (uint8_t value = 0; at < BYTES; value++) {
        for (size_t i = 0; i < count && at < BYTES; i++) {
            plane[at++] = value;
        }
        size_t next = count + before;
        before = count;
        count = next;
    }
    for (size_t i = BYTES - 1; i > 0; i--) { /* no runs */
        size_t other = rng_below(rng_draw(1, 2, i), (uint32_t)i + 1);
        uint8_t byte = plane[i];
        plane[i] = plane[other];
        plane[other] = byte;
    }
    size_t bytes = runs_deflate(runs, plane, BYTES, 1, stream);
    CHECK(stream_read(stream, bytes, back, BYTES));
    CHECK(memcmp(back, plane, BYTES) == 0);
    CHECK(bytes < BYTES / 2);
    arena_free(arena);
}

static size_t zlib_runs_bytes(const uint8_t *bytes, size_t count, uint8_t *stream, size_t stream_bytes)
{
    z_stream to = {.next_in = (uint8_t *)bytes, .avail_in = (unsigned)count, .next_out = stream,
                   .avail_out = (unsigned)stream_bytes};
    CHECK_EQUAL(deflateInit2(&to, 2, Z_DEFLATED, MAX_WBITS, 8, Z_RLE), Z_OK);
    CHECK_EQUAL(deflate(&to, Z_FINISH), Z_STREAM_END);
    deflateEnd(&to);
    return stream_bytes - to.avail_out;
}

static void test_size(void)
{
    enum { BYTES = 60000 };
    struct arena *arena = arena_new("runs");
    struct runs *runs = runs_new(arena);
    size_t bound = runs_bound(BYTES, 1);
    uint8_t *plane = arena_alloc(arena, BYTES), *stream = arena_alloc(arena, bound);
    for (uint32_t kind = 0; kind < 5; kind++) {
        bytes_draw(plane, BYTES, kind, 5);
        size_t ours = runs_deflate(runs, plane, BYTES, 1, stream);
        CHECK(ours <= bound);
        size_t theirs = zlib_runs_bytes(plane, BYTES, stream, bound);
        CHECK(ours <= theirs + theirs / 100 + 250);
    }
    arena_free(arena);
}

static void test_fault_is_found(void)
{
    struct arena *arena = arena_new("runs");
    struct runs *runs = runs_new(arena);
    uint8_t planes[4000], back[4000], *stream = arena_alloc(arena, runs_bound(1000, 4));
    uint32_t found = 0;
    bytes_draw(planes, 3000, 1, 3);
    memset(planes + 3000, 9, 1000);
    size_t bytes = runs_deflate(runs, planes, 1000, 4, stream);
    for (size_t at = 2; at < bytes; at++) {
        stream[at] ^= 0x10;
        found += !stream_read(stream, bytes, back, sizeof back);
        stream[at] ^= 0x10;
    }
    CHECK(found + 4 >= bytes - 2); /* the distance of a plane without runs */
    CHECK(stream_read(stream, bytes, back, sizeof back));
    arena_free(arena);
}

TEST_MAIN("pack", TEST(test_round_trip), TEST(test_runs), TEST(test_long_codes), TEST(test_size), TEST(test_fault_is_found))
