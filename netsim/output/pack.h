/* Chunks of a dataset as they lie in the file: shuffled and deflated here, and handed to HDF5 as they are.
 *
 *      cells ──► bytes of equal weight together (HDF5's shuffle filter) ──► zlib stream (its deflate filter)
 *
 * Any reader undoes it with the two filters that the dataset names. HDF5's own pipeline makes a new zlib state and new
 * buffers for every chunk, knows one strategy for all data, and packs the unused rest of a chunk like the rest: for the
 * hundred small columns of a run that was 0.4 of 0.7 thousand million instructions. */
#ifndef PHOTONET_OUTPUT_PACK_H
#define PHOTONET_OUTPUT_PACK_H

#include "photonet/arena.h"

#include <stdint.h>

/* PACK_RUNS looks for repeated bytes only: numbers that hardly ever occur twice (time series) take half of the time and
 * are smaller by a fifth. */
enum pack { PACK_MATCHES, PACK_RUNS };

#define PACK_LEVEL 2 /* of 9; see pack.c */

struct packer;
struct packer *packer_new(struct arena *arena);

struct packed {
    const void *bytes; /* valid until the next call; NULL: zlib has failed */
    size_t byte_count;
    uint32_t left_out; /* bit 0: not shuffled, bit 1: not deflated, as HDF5's filter mask has it */
};

/* A chunk of `chunk_cells` of which the first `count` are given; the others are zeros. */
struct packed pack_chunk(struct packer *packer, enum pack how, const void *cells, size_t count, size_t chunk_cells,
                         size_t cell_bytes);

#endif
