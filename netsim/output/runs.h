/* A zlib stream of bytes that seldom repeat in any other way than by standing next to their like: Huffman codes and runs.
 *
 *      plane 0 ──► block with a code of its own ┐
 *      plane 1 ──► block ...                    ├──► zlib stream, which any inflate reads (RFC 1950, RFC 1951)
 *      ...                                      ┘
 *
 * Shuffled columns of numbers are such bytes: a plane of low bytes is close to noise, a plane of high ones a single run.
 * zlib finds the same runs with Z_RLE, but looks at each byte in three places and mixes planes in one code. */
#ifndef PHOTONET_OUTPUT_RUNS_H
#define PHOTONET_OUTPUT_RUNS_H

#include "photonet/arena.h"

#include <stdint.h>

struct runs;
struct runs *runs_new(struct arena *arena);

/* Room that a stream may need. */
size_t runs_bound(size_t plane_bytes, size_t plane_count);

/* The stream of `plane_count` planes of `plane_bytes` each, at least one byte of each; how long it is. */
size_t runs_deflate(struct runs *runs, const uint8_t *planes, size_t plane_bytes, size_t plane_count, uint8_t *stream);

#endif
