/* Reads, checks, prints and explains parameters from their rows. */
#include "photonet/param.h"

#include "netsim/base/nearest.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WHY_BYTES  160
#define TEXT_BYTES 256 /* of one value or range as printed in help and messages */

/* Parameters under the pointer below, as the row's type says. */
static void *field(const struct param *row, void *values)
{
    return (char *)values + row->offset;
}

static const void *field_const(const struct param *row, const void *values)
{
    return (const char *)values + row->offset;
}

const struct param *param_find(const struct param_table *table, const char *key)
{
    for (size_t i = 0; i < table->row_count; i++) {
        if (strcmp(table->rows[i].key, key) == 0) {
            return &table->rows[i];
        }
    }
    return NULL;
}

/* ---- messages ------------------------------------------------------------------------------------------ */

/* Appends a list "a | b | c". */
static void choices_print(const char *const *choices, char *text, size_t text_bytes)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; choices[i] != NULL && used < text_bytes; i++) {
        used += (size_t)snprintf(text + used, text_bytes - used, "%s%s", i > 0 ? " | " : "", choices[i]);
    }
}

/* What the row takes: "2 .. 3", "at least 1Mbps", "yes | no", "ring | tree"; empty where anything goes. */
static void expected_print(const struct param *row, char *text, size_t text_bytes)
{
    text[0] = '\0';
    if (row->type == PARAM_TYPE_CHOICE) {
        choices_print(row->choices, text, text_bytes);
    } else if (row->type == PARAM_TYPE_BOOL) {
        snprintf(text, text_bytes, "yes | no");
    } else if (row->low != NULL && row->high != NULL) {
        snprintf(text, text_bytes, "%s .. %s", row->low, row->high);
    } else if (row->low != NULL) {
        snprintf(text, text_bytes, "at least %s", row->low);
    } else if (row->high != NULL) {
        snprintf(text, text_bytes, "at most %s", row->high);
    }
}

static enum status expected_report(const struct param *row, const char *text, const char *what,
                                   struct origin at, struct diag *diag)
{
    char expected[TEXT_BYTES];
    expected_print(row, expected, sizeof expected);
    return diag_input(diag, at, "%s \"%.80s\" %s; expected %s", row->key, text, what, expected);
}

static enum status unknown_report(const struct param_table *table, const char *prefix, const char *key, struct origin at,
                                  struct diag *diag)
{
    const char *nearest = NULL;
    uint32_t distance_min = UINT32_MAX;
    for (size_t i = 0; i < table->row_count; i++) {
        uint32_t distance = edit_distance(key, table->rows[i].key);
        if (distance < distance_min) {
            distance_min = distance;
            nearest = table->rows[i].key;
        }
    }
    if (nearest == NULL) {
        return diag_input(diag, at,
                          "unknown parameter \"%s%.80s\"; expected none, there are no parameters here", prefix, key);
    }
    return diag_input(diag, at, "unknown parameter \"%s%.80s\"; the nearest known one is \"%s%s\"", prefix, key, prefix, nearest);
}

/* ---- assigning ----------------------------------------------------------------------------------------- */

/* A bound is a constant of the program: one that does not parse is a broken row. */
static uint64_t bound_u64(const struct param *row, const char *text)
{
    char why[WHY_BYTES];
    uint64_t bound = 0;
    bool is_good = quantity_parse_u64(row->quantity, text, &bound, why);
    assert(is_good && "a bound of a parameter row does not parse");
    return bound;
}

static double bound_real(const struct param *row, const char *text)
{
    char why[WHY_BYTES];
    double bound = 0;
    bool is_good = quantity_parse_real(row->quantity, text, &bound, why);
    assert(is_good && "a bound of a parameter row does not parse");
    return bound;
}

static enum status u64_assign(const struct param *row, void *values, const char *text, struct origin at,
                              struct diag *diag)
{
    char why[WHY_BYTES];
    uint64_t value;
    if (!quantity_parse_u64(row->quantity, text, &value, why)) {
        return diag_input(diag, at, "%s \"%.80s\" %s", row->key, text, why);
    }
    if (row->low != NULL && value < bound_u64(row, row->low)) {
        return expected_report(row, text, "is too small", at, diag);
    }
    if (row->high != NULL && value > bound_u64(row, row->high)) {
        return expected_report(row, text, "is too large", at, diag);
    }
    memcpy(field(row, values), &value, sizeof value);
    return STATUS_OK;
}

static enum status real_assign(const struct param *row, void *values, const char *text, struct origin at,
                               struct diag *diag)
{
    char why[WHY_BYTES];
    double value;
    if (!quantity_parse_real(row->quantity, text, &value, why)) {
        return diag_input(diag, at, "%s \"%.80s\" %s", row->key, text, why);
    }
    if (row->low != NULL && value < bound_real(row, row->low)) {
        return expected_report(row, text, "is too small", at, diag);
    }
    if (row->high != NULL && value > bound_real(row, row->high)) {
        return expected_report(row, text, "is too large", at, diag);
    }
    memcpy(field(row, values), &value, sizeof value);
    return STATUS_OK;
}

static enum status bool_assign(const struct param *row, void *values, const char *text, struct origin at,
                               struct diag *diag)
{
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i]) == 0) {
            bool value = i % 2 == 1;
            memcpy(field(row, values), &value, sizeof value);
            return STATUS_OK;
        }
    }
    return expected_report(row, text, "is neither yes nor no", at, diag);
}

static enum status choice_assign(const struct param *row, void *values, const char *text, struct origin at,
                                 struct diag *diag)
{
    for (uint32_t i = 0; row->choices[i] != NULL; i++) {
        if (strcmp(text, row->choices[i]) == 0) {
            memcpy(field(row, values), &i, sizeof i);
            return STATUS_OK;
        }
    }
    return expected_report(row, text, "is not one of the choices", at, diag);
}

static enum status row_assign(const struct param *row, void *values, const char *text, struct origin at,
                              struct arena *arena, struct diag *diag)
{
    switch (row->type) {
    case PARAM_TYPE_U64:
        return u64_assign(row, values, text, at, diag);
    case PARAM_TYPE_REAL:
        return real_assign(row, values, text, at, diag);
    case PARAM_TYPE_BOOL:
        return bool_assign(row, values, text, at, diag);
    case PARAM_TYPE_CHOICE:
        return choice_assign(row, values, text, at, diag);
    case PARAM_TYPE_TEXT: {
        const char *copy = arena_strdup(arena, text);
        memcpy(field(row, values), &copy, sizeof copy);
        return STATUS_OK;
    }
    }
    assert(false && "a parameter row has no known type");
    return STATUS_INPUT;
}

enum status param_assign(const struct param_table *table, void *values, const char *key, const char *text,
                         struct origin at, struct arena *arena, struct diag *diag)
{
    return param_assign_in("", table, values, key, text, at, arena, diag);
}

enum status param_assign_in(const char *prefix, const struct param_table *table, void *values, const char *key,
                            const char *text, struct origin at, struct arena *arena, struct diag *diag)
{
    const struct param *row = param_find(table, key);
    if (row == NULL) {
        return unknown_report(table, prefix, key, at, diag);
    }
    char name[TEXT_BYTES];
    struct param named = *row; /* as messages call it */
    snprintf(name, sizeof name, "%s%s", prefix, row->key);
    named.key = name;
    return row_assign(&named, values, text, at, arena, diag);
}

void *param_defaults(const struct param_table *table, struct arena *arena)
{
    void *values = arena_alloc(arena, table->values_bytes);
    for (size_t i = 0; i < table->row_count; i++) {
        const struct param *row = &table->rows[i];
        if (row->default_text == NULL) {
            assert(row->type == PARAM_TYPE_TEXT && "only a text may have no default");
            continue;
        }
        struct diag diag = {""};
        struct origin at = {.path = "default"};
        if (row_assign(row, values, row->default_text, at, arena, &diag) != STATUS_OK) {
            /* The assertion alone would not say which of some hundred rows is meant. */
            fprintf(stderr, "photonet: %s\n", diag.text);
            assert(false && "the default of a parameter row is wrong");
        }
    }
    return values;
}

/* ---- printing ------------------------------------------------------------------------------------------ */

static void u64_print(const struct param *row, const void *values, char *text, size_t text_bytes)
{
    uint64_t value;
    memcpy(&value, field_const(row, values), sizeof value);
    quantity_print_u64(row->quantity, value, text, text_bytes);
}

static void real_print(const struct param *row, const void *values, char *text, size_t text_bytes)
{
    double value;
    memcpy(&value, field_const(row, values), sizeof value);
    quantity_print_real(row->quantity, value, text, text_bytes);
}

/* The word for a bool, a choice or a text. */
static const char *word_of(const struct param *row, const void *values)
{
    const void *place = field_const(row, values);
    if (row->type == PARAM_TYPE_BOOL) {
        return *(const bool *)place ? "yes" : "no";
    }
    if (row->type == PARAM_TYPE_CHOICE) {
        return row->choices[*(const uint32_t *)place];
    }
    const char *text = *(const char *const *)place;
    return text != NULL ? text : "";
}

char *param_text(const struct param *row, const void *values, char *text, size_t text_bytes)
{
    if (row->type == PARAM_TYPE_U64) {
        u64_print(row, values, text, text_bytes);
    } else if (row->type == PARAM_TYPE_REAL) {
        real_print(row, values, text, text_bytes);
    } else {
        snprintf(text, text_bytes, "%s", word_of(row, values));
    }
    return text;
}

/* ---- help ---------------------------------------------------------------------------------------------- */

#define HELP_WIDTH      100
#define HELP_INDENT     2
#define HELP_GAP        2
#define HELP_COLUMN_MAX 40 /* a longer "key = default" has its help begin on the next line */

static int label_print(const struct param *row, const char *prefix, char *text, size_t text_bytes)
{
    const char *value = row->default_text != NULL ? row->default_text : "(none)";
    return snprintf(text, text_bytes, "%s%s = %s", prefix, row->key, value[0] != '\0' ? value : "(empty)");
}

static int help_column(const struct param_table *table, const char *prefix)
{
    int column = 0;
    for (size_t i = 0; i < table->row_count; i++) {
        char label[TEXT_BYTES];
        int wanted = HELP_INDENT + label_print(&table->rows[i], prefix, label, sizeof label) + HELP_GAP;
        if (wanted > column && wanted <= HELP_COLUMN_MAX) {
            column = wanted;
        }
    }
    return column > 0 ? column : HELP_COLUMN_MAX;
}

/* Prints `text` word by word from `column` on; `used` is where the cursor stands. */
static void wrapped_print(const char *text, int used, int column, FILE *stream)
{
    if (used + HELP_GAP > column) {
        fputc('\n', stream);
        used = 0;
    }
    bool is_first = true;
    while (*text != '\0') {
        int bytes = (int)strcspn(text, " ");
        if (!is_first && used + 1 + bytes > HELP_WIDTH) {
            fputc('\n', stream);
            used = 0;
            is_first = true;
        }
        int blanks = is_first ? column - used : 1;
        fprintf(stream, "%*s%.*s", blanks, "", bytes, text);
        used += blanks + bytes;
        is_first = false;
        text += bytes;
        text += strspn(text, " ");
    }
    fputc('\n', stream);
}

void param_help(const struct param_table *table, const char *prefix, FILE *stream)
{
    int column = help_column(table, prefix);
    for (size_t i = 0; i < table->row_count; i++) {
        const struct param *row = &table->rows[i];
        char label[TEXT_BYTES], expected[TEXT_BYTES], help[4 * TEXT_BYTES];
        label_print(row, prefix, label, sizeof label);
        expected_print(row, expected, sizeof expected);
        const char *open = expected[0] != '\0' ? " [" : "", *close = expected[0] != '\0' ? "]" : "";
        snprintf(help, sizeof help, "%s%s%s%s", row->help, open, expected, close);
        int used = fprintf(stream, "%*s%s", HELP_INDENT, "", label);
        wrapped_print(help, used, column, stream);
    }
}
