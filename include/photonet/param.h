/* A parameter is a row.
 *
 * A plug-in declares a plain struct for its values and a const array of rows that point into it. The rows
 * give parsing, range checks, --help, the resolved configuration in the result file and the manual; there is no second
 * list. Example:
 *
 *     struct fat_tree { uint64_t tiers; uint64_t link_rate_bps; bool is_bidi; const char *part; };
 *     static const struct param rows[] = {
 *         PARAM_U64(struct fat_tree, tiers, COUNT, "tiers", "2", "2", "3", "layers of switches"),
 *         PARAM_U64(struct fat_tree, link_rate_bps, RATE, "link_rate", "400Gbps", "1Mbps", "100Tbps", "..."),
 *     };
 *     static const struct param_table table = PARAM_TABLE(struct fat_tree, rows); */
#ifndef PHOTONET_PARAM_H
#define PHOTONET_PARAM_H

#include "photonet/arena.h"
#include "photonet/status.h"
#include "photonet/units.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum param_type {
    PARAM_TYPE_U64,    /* uint64_t; quantity is one of the integer ones */
    PARAM_TYPE_REAL,   /* double; quantity is one of the real ones */
    PARAM_TYPE_BOOL,   /* bool; yes no true false on off */
    PARAM_TYPE_CHOICE, /* uint32_t: index into `choices` */
    PARAM_TYPE_TEXT,   /* const char *, in the arena; NULL default allowed */
};

struct param {
    const char *key;            /* snake_case, without unit: the value carries it */
    enum param_type type;
    enum quantity quantity;     /* U64 and REAL */
    size_t offset;              /* into the values struct */
    const char *default_text;   /* as a user would write it */
    const char *low, *high;     /* inclusive, as text; NULL = unbounded */
    const char *const *choices; /* CHOICE: NULL-terminated */
    const char *help;           /* one line: what it is, and the source of the default where it is a fact */
};

struct param_table {
    const struct param *rows;
    size_t row_count;
    size_t values_bytes;
};

#define PARAM_U64(type_, field_, quantity_, key_, default_, low_, high_, help_)                              \
    { .key = key_, .type = PARAM_TYPE_U64, .quantity = QUANTITY_##quantity_, .offset = offsetof(type_, field_), \
      .default_text = default_, .low = low_, .high = high_, .help = help_ }
#define PARAM_REAL(type_, field_, quantity_, key_, default_, low_, high_, help_)                             \
    { .key = key_, .type = PARAM_TYPE_REAL, .quantity = QUANTITY_##quantity_, .offset = offsetof(type_, field_), \
      .default_text = default_, .low = low_, .high = high_, .help = help_ }
#define PARAM_BOOL(type_, field_, key_, default_, help_)                                                     \
    { .key = key_, .type = PARAM_TYPE_BOOL, .offset = offsetof(type_, field_), .default_text = default_, .help = help_ }
#define PARAM_CHOICE(type_, field_, key_, default_, choices_, help_)                                         \
    { .key = key_, .type = PARAM_TYPE_CHOICE, .offset = offsetof(type_, field_), .default_text = default_,      \
      .choices = choices_, .help = help_ }
#define PARAM_TEXT(type_, field_, key_, default_, help_)                                                     \
    { .key = key_, .type = PARAM_TYPE_TEXT, .offset = offsetof(type_, field_), .default_text = default_, .help = help_ }
#define PARAM_TABLE(type_, rows_)                                                                            \
    { .rows = rows_, .row_count = sizeof rows_ / sizeof rows_[0], .values_bytes = sizeof(type_) }
#define PARAM_TABLE_EMPTY { .rows = NULL, .row_count = 0, .values_bytes = 0 }

/* A zeroed values struct filled with the defaults (which must parse and lie in range: asserted). */
void *param_defaults(const struct param_table *table, struct arena *arena);

/* The row with this key, or NULL. */
const struct param *param_find(const struct param_table *table, const char *key);

/* Parses `text` into the row's field. Unknown key: STATUS_INPUT with the nearest known key named. */
enum status param_assign(const struct param_table *table, void *values, const char *key, const char *text,
                         struct origin at, struct arena *arena, struct diag *diag);
/* The same for a table whose keys the user gives behind a prefix ("links."), which messages then name. */
enum status param_assign_in(const char *prefix, const struct param_table *table, void *values, const char *key,
                            const char *text, struct origin at, struct arena *arena, struct diag *diag);

/* The row's current value as a user would write it. */
char *param_text(const struct param *row, const void *values, char *text, size_t text_bytes);

/* Prints "  key = default   help [low .. high]" lines, wrapped, each key behind `prefix`. */
void param_help(const struct param_table *table, const char *prefix, FILE *stream);

#endif
