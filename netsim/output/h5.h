/* The few HDF5 objects that the result file is made of, with one error state for all of them.
 *
 * After the first failure every function returns at once and does nothing, so that callers read as a list of
 * what is written; h5.failed says so at the end and h5.what names the object. Objects are made without times,
 * or equal runs would not give equal bytes. */
#ifndef PHOTONET_OUTPUT_H5_H
#define PHOTONET_OUTPUT_H5_H

#include "netsim/output/pack.h"
#include "photonet/results.h"

#include <hdf5.h>

struct h5 {
    struct packer *packer;
    hid_t text, scalar, access; /* type, space and properties that nearly all objects have; h5_begin */
    hid_t create;               /* properties of the last dataset */
    int create_rank;
    hsize_t create_chunk[2];
    bool failed;
    char what[160];
};

/* Most rows of one chunk: 64 KiB of a 64-bit column, enough for deflate to see the repetition and little enough to
 * be written again at each flush. */
#define H5_CHUNK_ROWS 8192

void h5_begin(struct h5 *h5, struct arena *arena);
void h5_end(struct h5 *h5);

hid_t h5_group(struct h5 *h5, hid_t parent, const char *name);

/* Attributes. Texts are variable-length UTF-8, which h5py and xarray give as str and which may pass the 64
 * KiB that an object header holds. Setting one again replaces it; a NULL text is left out. */
void h5_attr_text(struct h5 *h5, hid_t object, const char *name, const char *text);
void h5_attr_texts(struct h5 *h5, hid_t object, const char *name, const char *const *texts, size_t count);
void h5_attr_u64(struct h5 *h5, hid_t object, const char *name, uint64_t value);
void h5_attr_f64(struct h5 *h5, hid_t object, const char *name, double value);

/* What a dataset says about itself. text_bytes is the width of a text column, else 0. */
struct h5_meaning {
    const char *name, *unit, *meaning;
    enum column_type type;
    size_t text_bytes;
    bool is_counting; /* 0, 1, 2 ... or the like: packs well by matches */
    bool is_single;   /* COLUMN_F64 in half of the bytes */
};

size_t h5_cell_bytes(const struct h5_meaning *meaning);

/* A dataset of one dimension that can grow; chunked, shuffled, deflated. */
hid_t h5_column(struct h5 *h5, hid_t group, const struct h5_meaning *meaning, uint64_t rows, size_t chunk_rows);
void h5_column_grow(struct h5 *h5, hid_t column, const struct h5_meaning *meaning, uint64_t rows);

/* Rows first .. first + count - 1, which it has, become `cells`. They are a chunk, or its beginning: the rest of it is
 * lost. */
void h5_column_write(struct h5 *h5, hid_t column, const struct h5_meaning *meaning, uint64_t first,
                     size_t count, size_t chunk_rows, const void *cells);

/* A dataset of one or two dimensions, written at once. sizes may be 0. */
hid_t h5_array(struct h5 *h5, hid_t group, const struct h5_meaning *meaning, int rank, const size_t *sizes,
               const void *cells);

/* `scale` becomes a dimension scale under its own name. */
void h5_scale(struct h5 *h5, hid_t scale, const char *name);

/* It labels dimension `dimension` of all these datasets (but itself, if it is one of them), which is told on both sides: on each
 * dataset its scales, all dimensions at once; on the scale all datasets at once. H5DSattach_scale reads and writes the
 * scale's list anew for every dataset: a fifth of the time of the file of a short run. */
#define H5_RANK_MAX 2
#define H5_SCALED_MAX 64 /* datasets of a scale */
void h5_scaled(struct h5 *h5, hid_t dataset, const hid_t *scales, unsigned rank);
void h5_scales(struct h5 *h5, hid_t scale, const hid_t *datasets, size_t count, unsigned dimension);

/* A compound table as H5TB makes them, one record appended a call. */
struct h5_field {
    const char *name;
    enum column_type type;
    size_t offset, text_bytes;
};
void h5_record_append(struct h5 *h5, hid_t group, const char *name, const char *title,
                      const struct h5_field *fields, size_t field_count, size_t record_bytes,
                      const void *record);

void h5_close(hid_t object); /* of any kind; negative ones are ignored */

#endif
