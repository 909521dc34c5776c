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
    bool failed;
    char what[160];
};

/* Most rows of one chunk: 64 KiB of a 64-bit column, enough for deflate to see the repetition and little enough to
 * be written again at each flush. */
#define H5_CHUNK_ROWS 8192

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
};

size_t h5_cell_bytes(const struct h5_meaning *meaning);

/* An empty dataset of one dimension that grows; chunked, shuffled, deflated. */
hid_t h5_column(struct h5 *h5, hid_t group, const struct h5_meaning *meaning, size_t chunk_rows);

/* Rows first .. first + count - 1 become `cells`; the dataset grows as needed. They are a chunk, or its beginning: the
 * rest of it is lost. */
void h5_column_write(struct h5 *h5, hid_t column, const struct h5_meaning *meaning, uint64_t first,
                     size_t count, size_t chunk_rows, const void *cells);

/* A dataset of one or two dimensions, written at once. sizes may be 0. */
hid_t h5_array(struct h5 *h5, hid_t group, const struct h5_meaning *meaning, int rank, const size_t *sizes,
               const void *cells);

/* `scale` becomes a dimension scale under its own name, and labels dimension `dimension` of `dataset`. */
void h5_scale(struct h5 *h5, hid_t scale, const char *name);
void h5_scale_attach(struct h5 *h5, hid_t dataset, hid_t scale, unsigned dimension);

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
