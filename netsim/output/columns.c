/* The column table of results.h, out of columns.def. */
#include "photonet/results.h"

#define COLUMN_TYPE_u64  COLUMN_U64
#define COLUMN_TYPE_u32  COLUMN_U32
#define COLUMN_TYPE_f64  COLUMN_F64
#define COLUMN_TYPE_text COLUMN_TEXT

const struct result_column result_columns[] = {
#define RESULT_COLUMN(table_, field_, type_, unit_, meaning_)                                                \
    {RESULT_TABLE_##table_,                                                                                  \
     #field_,                                                                                                \
     COLUMN_TYPE_##type_,                                                                                    \
     offsetof(struct result_##table_, field_),                                                               \
     unit_,                                                                                                  \
     meaning_},
#include "photonet/columns.def"
    {RESULT_TABLE_COUNT, NULL, COLUMN_U64, 0, NULL, NULL},
};

const size_t result_row_bytes[RESULT_TABLE_COUNT] = {
#define RESULT_TABLE(table_, meaning_) [RESULT_TABLE_##table_] = sizeof(struct result_##table_),
#include "photonet/columns.def"
};

const char *const result_table_names[RESULT_TABLE_COUNT] = {
#define RESULT_TABLE(table_, meaning_) [RESULT_TABLE_##table_] = #table_,
#include "photonet/columns.def"
};

const char *const result_table_meanings[RESULT_TABLE_COUNT] = {
#define RESULT_TABLE(table_, meaning_) [RESULT_TABLE_##table_] = meaning_,
#include "photonet/columns.def"
};

/* A column without a unit cannot be written. */
#define RESULT_COLUMN(table_, field_, type_, unit_, meaning_)                                                \
    _Static_assert(sizeof unit_ > 1 && sizeof meaning_ > 1,                                                  \
                   #table_ "." #field_ " needs a unit and a meaning");
#include "photonet/columns.def"
