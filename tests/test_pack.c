/* Chunks of columns as they lie in the result file, read back by zlib and turned by hand.
 *
 * Asserted: both ways of packing give what was put in, for cells of every width, whatever their number, chunks half full or
 * of one cell. Not asserted: speed, size. */
#include "netsim/base/rng.h"
#include "netsim/output/pack.h"
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

TEST_MAIN("pack", TEST(test_round_trip))
