/* The HDF5 objects declared in h5.h. */
#include "netsim/output/h5.h"

#include <hdf5_hl.h>
#include <stdio.h>
#include <string.h>

enum { ARRAY_CHUNK_CELLS = 1 << 16 };

/* ---- life ------------------------------------------------------------------------------------------------- */

/* bytes: 0 for variable length. */
static hid_t text_type(size_t bytes)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, bytes == 0 ? H5T_VARIABLE : bytes);
    H5Tset_cset(type, H5T_CSET_UTF8);
    H5Tset_strpad(type, bytes == 0 ? H5T_STR_NULLTERM : H5T_STR_NULLPAD);
    return type;
}

void h5_begin(struct h5 *h5, struct arena *arena)
{
    *h5 = (struct h5){.packer = packer_new(arena), .text = text_type(0), .scalar = H5Screate(H5S_SCALAR),
                      .access = H5Pcreate(H5P_DATASET_ACCESS), .create = H5I_INVALID_HID};
    /* Rows are written by whole chunks, so a cache of chunks would only hold copies. */
    H5Pset_chunk_cache(h5->access, 0, 0, H5D_CHUNK_CACHE_W0_DEFAULT);
}

void h5_end(struct h5 *h5)
{
    h5_close(h5->create);
    h5_close(h5->access);
    h5_close(h5->scalar);
    h5_close(h5->text);
}

static void fail(struct h5 *h5, const char *kind, const char *name)
{
    if (!h5->failed) {
        h5->failed = true;
        snprintf(h5->what, sizeof h5->what, "%s %s", kind, name);
    }
}

void h5_close(hid_t object)
{
    if (object >= 0) {
        H5Idec_ref(object);
    }
}

hid_t h5_group(struct h5 *h5, hid_t parent, const char *name)
{
    if (h5->failed) {
        return H5I_INVALID_HID;
    }
    hid_t group = H5Gcreate2(parent, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (group < 0) {
        fail(h5, "group", name);
    }
    return group;
}

/* ---- attributes
 * ------------------------------------------------------------------------------------------------ */

/* Of an object that has none of this name. */
static void attr_add(struct h5 *h5, hid_t object, const char *name, hid_t file_type, hid_t memory_type, hid_t space,
                     const void *value)
{
    if (h5->failed) {
        return;
    }
    hid_t attr = H5Acreate2(object, name, file_type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attr < 0 || H5Awrite(attr, memory_type, value) < 0) {
        fail(h5, "attribute", name);
    }
    h5_close(attr);
}

static void attr_write(struct h5 *h5, hid_t object, const char *name, hid_t file_type, hid_t memory_type,
                       hid_t space, const void *value)
{
    if (!h5->failed && H5Aexists(object, name) > 0) {
        H5Adelete(object, name);
    }
    attr_add(h5, object, name, file_type, memory_type, space, value);
}

void h5_attr_text(struct h5 *h5, hid_t object, const char *name, const char *text)
{
    if (text != NULL) {
        attr_write(h5, object, name, h5->text, h5->text, h5->scalar, &text);
    }
}

void h5_attr_texts(struct h5 *h5, hid_t object, const char *name, const char *const *texts, size_t count)
{
    if (h5->failed) {
        return;
    }
    hsize_t size = count;
    hid_t space = H5Screate_simple(1, &size, NULL);
    attr_write(h5, object, name, h5->text, h5->text, space, texts);
    h5_close(space);
}

void h5_attr_u64(struct h5 *h5, hid_t object, const char *name, uint64_t value)
{
    attr_write(h5, object, name, H5T_STD_U64LE, H5T_NATIVE_UINT64, h5->scalar, &value);
}

void h5_attr_f64(struct h5 *h5, hid_t object, const char *name, double value)
{
    attr_write(h5, object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, h5->scalar, &value);
}

/* H5TB readers look for fixed-length ASCII in the attributes that mark a table. */
static void attr_ascii(struct h5 *h5, hid_t object, const char *name, const char *text)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, strlen(text) + 1);
    attr_add(h5, object, name, type, type, h5->scalar, text);
    h5_close(type);
}

/* ---- datasets
 * -------------------------------------------------------------------------------------------------- */

/* A type of its own, to be closed: what stands in the file, or in memory. */
static hid_t cell_type(enum column_type type, size_t text_bytes, bool in_file)
{
    switch (type) {
    case COLUMN_U64:
        return H5Tcopy(in_file ? H5T_STD_U64LE : H5T_NATIVE_UINT64);
    case COLUMN_U32:
        return H5Tcopy(in_file ? H5T_STD_U32LE : H5T_NATIVE_UINT32);
    case COLUMN_F64:
        return H5Tcopy(in_file ? H5T_IEEE_F64LE : H5T_NATIVE_DOUBLE);
    case COLUMN_TEXT:
        return text_type(text_bytes);
    }
    return H5I_INVALID_HID;
}

/* Properties are dear to make, and one dataset mostly has those of the one before. */
static hid_t storage(struct h5 *h5, int rank, const hsize_t *chunk)
{
    bool is_same = h5->create >= 0 && h5->create_rank == rank && memcmp(h5->create_chunk, chunk, (size_t)rank * sizeof *chunk) == 0;
    if (!is_same) {
        h5_close(h5->create);
        h5->create = H5Pcreate(H5P_DATASET_CREATE);
        h5->create_rank = rank;
        memcpy(h5->create_chunk, chunk, (size_t)rank * sizeof *chunk);
        H5Pset_chunk(h5->create, rank, chunk);
        H5Pset_shuffle(h5->create);
        H5Pset_deflate(h5->create, PACK_LEVEL);
        H5Pset_obj_track_times(h5->create, 0);
    }
    return h5->create;
}

static hid_t dataset(struct h5 *h5, hid_t group, const struct h5_meaning *meaning, int rank,
                     const hsize_t *sizes, const hsize_t *chunk)
{
    static const hsize_t unlimited[H5_RANK_MAX] = {H5S_UNLIMITED, H5S_UNLIMITED};
    hid_t type = meaning->is_single ? H5Tcopy(H5T_IEEE_F32LE) : cell_type(meaning->type, meaning->text_bytes, true);
    hid_t space = H5Screate_simple(rank, sizes, unlimited);
    hid_t made = H5Dcreate2(group, meaning->name, type, space, H5P_DEFAULT, storage(h5, rank, chunk), h5->access);
    if (made < 0) {
        fail(h5, "dataset", meaning->name);
    }
    h5_close(space);
    h5_close(type);
    attr_add(h5, made, "units", h5->text, h5->text, h5->scalar, &meaning->unit);
    attr_add(h5, made, "long_name", h5->text, h5->text, h5->scalar, &meaning->meaning);
    if (meaning->type == COLUMN_TEXT) {
        static const char *const encoding = "utf-8"; /* xarray then gives str, not bytes */
        attr_add(h5, made, "_Encoding", h5->text, h5->text, h5->scalar, &encoding);
    }
    return made;
}

hid_t h5_column(struct h5 *h5, hid_t group, const struct h5_meaning *meaning, uint64_t rows, size_t chunk_rows)
{
    hsize_t size = rows, chunk = chunk_rows;
    return h5->failed ? H5I_INVALID_HID : dataset(h5, group, meaning, 1, &size, &chunk);
}

void h5_column_grow(struct h5 *h5, hid_t column, const struct h5_meaning *meaning, uint64_t rows)
{
    hsize_t size = rows;
    if (!h5->failed && H5Dset_extent(column, &size) < 0) {
        fail(h5, "dataset", meaning->name);
    }
}

/* Rows of a dataset that is smaller than that: it grows. */
static bool rows_reserve(hid_t column, hsize_t wanted)
{
    hsize_t size = 0;
    hid_t space = H5Dget_space(column);
    bool good = H5Sget_simple_extent_dims(space, &size, NULL) == 1;
    h5_close(space);
    return good && (size >= wanted || H5Dset_extent(column, &wanted) >= 0);
}

static bool write_rows(hid_t column, hid_t type, hsize_t first, hsize_t count, const void *cells)
{
    bool good = rows_reserve(column, first + count);
    hid_t space = H5Dget_space(column), memory = H5Screate_simple(1, &count, NULL);
    good = good && H5Sselect_hyperslab(space, H5S_SELECT_SET, &first, NULL, &count, NULL) >= 0 &&
           H5Dwrite(column, type, memory, space, H5P_DEFAULT, cells) >= 0;
    h5_close(memory);
    h5_close(space);
    return good;
}

size_t h5_cell_bytes(const struct h5_meaning *meaning)
{
    switch (meaning->type) {
    case COLUMN_U32:
        return sizeof(uint32_t);
    case COLUMN_U64:
        return sizeof(uint64_t);
    case COLUMN_F64:
        return meaning->is_single ? sizeof(float) : sizeof(double);
    case COLUMN_TEXT:
        return meaning->text_bytes;
    }
    return 0;
}

/* Quantities are shuffled to noise and runs; numbers of things and texts repeat in other ways. */
static enum pack how_packed(const struct h5_meaning *meaning)
{
    bool is_quantity = meaning->type == COLUMN_F64 || (meaning->type == COLUMN_U64 && !meaning->is_counting);
    return is_quantity ? PACK_RUNS : PACK_MATCHES;
}

static bool write_chunk(hid_t data, const hsize_t *offset, const struct packed *packed)
{
    return packed->bytes != NULL &&
           H5Dwrite_chunk(data, H5P_DEFAULT, packed->left_out, offset, packed->byte_count, packed->bytes) >= 0;
}

void h5_column_write(struct h5 *h5, hid_t column, const struct h5_meaning *meaning, uint64_t first,
                     size_t count, size_t chunk_rows, const void *cells)
{
    if (h5->failed || count == 0) {
        return;
    }
    hsize_t offset = first;
    struct packed packed = pack_chunk(h5->packer, how_packed(meaning), cells, count, chunk_rows, h5_cell_bytes(meaning));
    if (!write_chunk(column, &offset, &packed)) {
        fail(h5, "dataset", meaning->name);
    }
}

/* The part of an array that is one chunk; whole rows of it where it is as wide as the array. */
static bool array_chunk_write(struct h5 *h5, hid_t data, const struct h5_meaning *meaning, const hsize_t *size,
                              const hsize_t *chunk, const hsize_t *at, const uint8_t *cells, uint8_t *scratch)
{
    size_t cell_bytes = h5_cell_bytes(meaning), chunk_cells = (size_t)(chunk[0] * chunk[1]);
    hsize_t rows = size[0] - at[0] < chunk[0] ? size[0] - at[0] : chunk[0];
    hsize_t wide = size[1] - at[1] < chunk[1] ? size[1] - at[1] : chunk[1];
    const uint8_t *from = cells + (at[0] * size[1] + at[1]) * cell_bytes;
    if (chunk[1] != size[1]) {
        memset(scratch, 0, chunk_cells * cell_bytes);
        for (hsize_t row = 0; row < rows; row++) {
            memcpy(scratch + row * chunk[1] * cell_bytes, from + row * size[1] * cell_bytes, wide * cell_bytes);
        }
        from = scratch;
    }
    struct packed packed = pack_chunk(h5->packer, how_packed(meaning), from, (size_t)(rows * chunk[1]), chunk_cells, cell_bytes);
    return write_chunk(data, at, &packed);
}

static void array_write(struct h5 *h5, hid_t data, const struct h5_meaning *meaning, const hsize_t *size,
                        const hsize_t *chunk, const void *cells)
{
    struct arena *arena = arena_new("chunk of an array");
    uint8_t *scratch = arena_alloc(arena, chunk[1] != size[1] ? (size_t)(chunk[0] * chunk[1]) * h5_cell_bytes(meaning) : 0);
    for (hsize_t row = 0; row < size[0] && !h5->failed; row += chunk[0]) {
        for (hsize_t column = 0; column < size[1] && !h5->failed; column += chunk[1]) {
            if (!array_chunk_write(h5, data, meaning, size, chunk, (const hsize_t[]){row, column}, cells, scratch)) {
                fail(h5, "dataset", meaning->name);
            }
        }
    }
    arena_free(arena);
}

hid_t h5_array(struct h5 *h5, hid_t group, const struct h5_meaning *meaning, int rank, const size_t *sizes,
               const void *cells)
{
    if (h5->failed) {
        return H5I_INVALID_HID;
    }
    hsize_t size[2] = {sizes[0], rank == 2 ? sizes[1] : 1}, chunk[2] = {1, 1};
    size_t left = ARRAY_CHUNK_CELLS;
    for (int i = rank - 1; i >= 0; i--) {
        chunk[i] = size[i] < left ? size[i] : left;
        chunk[i] = chunk[i] == 0 ? 1 : chunk[i];
        left /= chunk[i];
        left = left == 0 ? 1 : left;
    }
    hid_t made = dataset(h5, group, meaning, rank, size, chunk);
    if (made >= 0) {
        array_write(h5, made, meaning, size, chunk, cells);
    }
    return made;
}

void h5_scale(struct h5 *h5, hid_t scale, const char *name)
{
    if (!h5->failed && H5DSset_scale(scale, name) < 0) {
        fail(h5, "dimension scale", name);
    }
}

/* The attributes of the HDF5 Dimension Scale Specification: on a dataset, for each dimension a list of scales; on a scale, what
 * dataset and dimension it is a scale of. */
struct scale_user {
    hobj_ref_t dataset;
    unsigned dimension;
};

static hobj_ref_t reference_to(struct h5 *h5, hid_t object)
{
    hobj_ref_t reference = 0;
    if (!h5->failed && H5Rcreate(&reference, object, ".", H5R_OBJECT, -1) < 0) {
        fail(h5, "dimension scale of", "a dataset");
    }
    return reference;
}

void h5_scaled(struct h5 *h5, hid_t dataset, const hid_t *scales, unsigned rank)
{
    hobj_ref_t references[H5_RANK_MAX];
    hvl_t lists[H5_RANK_MAX];
    hsize_t size = rank;
    for (unsigned i = 0; i < rank; i++) {
        references[i] = reference_to(h5, scales[i]);
        lists[i] = (hvl_t){1, &references[i]};
    }
    hid_t type = H5Tvlen_create(H5T_STD_REF_OBJ), space = H5Screate_simple(1, &size, NULL);
    attr_add(h5, dataset, "DIMENSION_LIST", type, type, space, lists);
    h5_close(space);
    h5_close(type);
}

void h5_scales(struct h5 *h5, hid_t scale, const hid_t *datasets, size_t count, unsigned dimension)
{
    struct scale_user users[H5_SCALED_MAX];
    hsize_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (datasets[i] != scale) {
            users[used++] = (struct scale_user){reference_to(h5, datasets[i]), dimension};
        }
    }
    if (used == 0) {
        return;
    }
    hid_t type = H5Tcreate(H5T_COMPOUND, sizeof *users), space = H5Screate_simple(1, &used, NULL);
    H5Tinsert(type, "dataset", offsetof(struct scale_user, dataset), H5T_STD_REF_OBJ);
    H5Tinsert(type, "dimension", offsetof(struct scale_user, dimension), H5T_NATIVE_INT);
    attr_add(h5, scale, "REFERENCE_LIST", type, type, space, users);
    h5_close(space);
    h5_close(type);
}

/* ---- compound tables
 * --------------------------------------------------------------------------------------------- */

static hid_t record_type(const struct h5_field *fields, size_t field_count, size_t record_bytes)
{
    hid_t type = H5Tcreate(H5T_COMPOUND, record_bytes);
    for (size_t i = 0; i < field_count; i++) {
        hid_t cell = cell_type(fields[i].type, fields[i].text_bytes, false);
        H5Tinsert(type, fields[i].name, fields[i].offset, cell);
        h5_close(cell);
    }
    return type;
}

/* H5TBmake_table would stamp the dataset with its time of creation; the attributes below are what it sets. */
static hid_t record_table(struct h5 *h5, hid_t group, const char *name, const char *title,
                          const struct h5_field *fields, size_t field_count, hid_t type)
{
    static const hsize_t empty = 0, unlimited = H5S_UNLIMITED, chunk = 64;
    hid_t space = H5Screate_simple(1, &empty, &unlimited), packed = H5Tcopy(type);
    H5Tpack(packed);
    hid_t table = H5Dcreate2(group, name, packed, space, H5P_DEFAULT, storage(h5, 1, &chunk), H5P_DEFAULT);
    if (table < 0) {
        fail(h5, "table", name);
    }
    h5_close(packed);
    h5_close(space);
    attr_ascii(h5, table, "CLASS", "TABLE");
    attr_ascii(h5, table, "VERSION", "3.0");
    attr_ascii(h5, table, "TITLE", title);
    for (size_t i = 0; i < field_count; i++) {
        char attr[32];
        snprintf(attr, sizeof attr, "FIELD_%zu_NAME", i);
        attr_ascii(h5, table, attr, fields[i].name);
    }
    return table;
}

void h5_record_append(struct h5 *h5, hid_t group, const char *name, const char *title,
                      const struct h5_field *fields, size_t field_count, size_t record_bytes,
                      const void *record)
{
    if (h5->failed) {
        return;
    }
    hid_t type = record_type(fields, field_count, record_bytes);
    hid_t table = H5Lexists(group, name, H5P_DEFAULT) > 0
                      ? H5Dopen2(group, name, H5P_DEFAULT)
                      : record_table(h5, group, name, title, fields, field_count, type);
    hsize_t size = 0;
    hid_t space = H5Dget_space(table);
    if (space < 0 || H5Sget_simple_extent_dims(space, &size, NULL) != 1 ||
        !write_rows(table, type, size, 1, record)) {
        fail(h5, "table", name);
    }
    h5_close(space);
    h5_close(table);
    h5_close(type);
}
