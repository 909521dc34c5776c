/* Reads and prints quantities without ever rounding twice.
 *
 * A number is kept as decimal digits and a power of ten until the unit is known. An integer quantity is then
 * floor(value + 1/2), computed from the digits in 128-bit integers. A real quantity only has units that are
 * powers of ten, so the unit moves the exponent, and strtod sees "digits e exponent": without a decimal
 * point the text means the same in every locale, and the one rounding is the correct one. */
#include "photonet/units.h"

#include <assert.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHY_BYTES 160 /* what units.h asks the caller to provide */

/* ---- tables -------------------------------------------------------------------------------------------- */

/* `scale` is for integer quantities, `exponent` (a power of ten) for real ones. Printing looks for the
 * largest unit, so units stand in growing order; the ones with is_input_only are never printed. */
struct unit {
    const char *name;
    uint64_t scale;
    int exponent;
    bool is_input_only;
};

struct quantity_row {
    const char *noun; /* "a time" */
    const char *unit; /* of the stored value */
    bool is_integer;
    bool is_bare; /* a number without a unit is what is expected */
    bool is_whole;
    const struct unit *units; /* ends with a NULL name */
};

#define KIBI (UINT64_C(1) << 10)
#define MEBI (UINT64_C(1) << 20)
#define GIBI (UINT64_C(1) << 30)
#define TEBI (UINT64_C(1) << 40)
#define KILO UINT64_C(1000)
#define MEGA UINT64_C(1000000)
#define GIGA UINT64_C(1000000000)
#define TERA UINT64_C(1000000000000)
#define PETA UINT64_C(1000000000000000)

/* Prefixes of counts are for input: whoever reads a configuration expects plain digits. */
static const struct unit count_units[] = {
    {"k", KILO, 0, true}, {"Ki", KIBI, 0, true}, {"M", MEGA, 0, true}, {"Mi", MEBI, 0, true},
    {"G", GIGA, 0, true}, {"Gi", GIBI, 0, true}, {"T", TERA, 0, true}, {"Ti", TEBI, 0, true},
    {"P", PETA, 0, true}, {NULL, 0, 0, false},
};
static const struct unit time_units[] = {
    {"ps", 1, 0, false},
    {"ns", PS_PER_NS, 0, false},
    {"us", PS_PER_US, 0, false},
    {"ms", PS_PER_MS, 0, false},
    {"s", PS_PER_S, 0, false},
    {"min", 60 * PS_PER_S, 0, false},
    {"h", 3600 * PS_PER_S, 0, false},
    {NULL, 0, 0, false},
};
static const struct unit size_units[] = {
    {"B", 1, 0, false},      {"kB", KILO, 0, false}, {"KiB", KIBI, 0, false}, {"MB", MEGA, 0, false},
    {"MiB", MEBI, 0, false}, {"GB", GIGA, 0, false}, {"GiB", GIBI, 0, false}, {"TB", TERA, 0, false},
    {"TiB", TEBI, 0, false}, {NULL, 0, 0, false},
};
static const struct unit rate_units[] = {
    {"bps", 1, 0, false},        {"kbps", KILO, 0, false},    {"Mbps", MEGA, 0, false},
    {"Gbps", GIGA, 0, false},    {"Tbps", TERA, 0, false},    {"B/s", 8, 0, true},
    {"kB/s", 8 * KILO, 0, true}, {"MB/s", 8 * MEGA, 0, true}, {"GB/s", 8 * GIGA, 0, true},
    {"TB/s", 8 * TERA, 0, true}, {NULL, 0, 0, false},
};
static const struct unit fraction_units[] = {{"%", 0, -2, true}, {NULL, 0, 0, false}};
static const struct unit power_units[] = {
    {"uW", 0, -3, false}, {"mW", 0, 0, false}, {"W", 0, 3, false},
    {"kW", 0, 6, false},  {"MW", 0, 9, false}, {NULL, 0, 0, false},
};
static const struct unit energy_per_bit_units[] = {
    {"fJ/bit", 0, -3, false}, {"pJ/bit", 0, 0, false}, {"nJ/bit", 0, 3, false}, {NULL, 0, 0, false}};
static const struct unit energy_units[] = {
    {"pJ", 0, 0, false}, {"nJ", 0, 3, false},  {"uJ", 0, 6, false}, {"mJ", 0, 9, false},
    {"J", 0, 12, false}, {"kJ", 0, 15, false}, {NULL, 0, 0, false},
};
static const struct unit loss_units[] = {{"dB", 0, 0, false}, {NULL, 0, 0, false}};
static const struct unit level_units[] = {{"dBm", 0, 0, false}, {NULL, 0, 0, false}};
static const struct unit length_units[] = {
    {"mm", 0, -3, false}, {"cm", 0, -2, true}, {"m", 0, 0, false}, {"km", 0, 3, false}, {NULL, 0, 0, false}};
static const struct unit operation_rate_units[] = {
    {"GFLOPs", 0, 9, false}, {"TFLOPs", 0, 12, false}, {"PFLOPs", 0, 15, false}, {NULL, 0, 0, false}};
static const struct unit no_units[] = {{NULL, 0, 0, false}};

static const struct quantity_row quantity_rows[] = {
    [QUANTITY_COUNT] = {"a count", "1", true, true, true, count_units},
    [QUANTITY_TIME] = {"a time", "ps", true, false, false, time_units},
    [QUANTITY_SIZE] = {"a size", "B", true, false, true, size_units},
    [QUANTITY_RATE] = {"a rate", "bit/s", true, false, false, rate_units},
    [QUANTITY_FRACTION] = {"a fraction", "1", false, true, false, fraction_units},
    [QUANTITY_POWER] = {"a power", "mW", false, false, false, power_units},
    [QUANTITY_ENERGY_PER_BIT] = {"an energy per bit", "pJ/bit", false, false, false, energy_per_bit_units},
    [QUANTITY_ENERGY] = {"an energy", "pJ", false, false, false, energy_units},
    [QUANTITY_LOSS] = {"a loss", "dB", false, false, false, loss_units},
    [QUANTITY_LENGTH] = {"a length", "m", false, false, false, length_units},
    [QUANTITY_OPERATION_RATE] = {"an operation rate", "flop/s", false, false, false, operation_rate_units},
    [QUANTITY_NUMBER] = {"a number", "1", false, true, false, no_units},
    [QUANTITY_LEVEL] = {"a level of light", "dBm", false, false, false, level_units},
};

/* ---- reading ------------------------------------------------------------------------------------------- */

#define DIGITS_MAX   400 /* enough for any double written out in full; longer numbers are refused */
#define EXPONENT_MAX 9999

/* value = 0.DIGITS x 10^point, with the sign apart. Digits hold no leading zero. */
struct decimal {
    char digits[DIGITS_MAX + 1];
    int digit_count;
    int point;
    bool is_negative;
};

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

static const char *blanks_skip(const char *text)
{
    while (is_blank(*text)) {
        text++;
    }
    return text;
}

static bool digit_push(struct decimal *decimal, char digit)
{
    if (decimal->digit_count == 0 && digit == '0') {
        return true;
    }
    if (decimal->digit_count == DIGITS_MAX) {
        return false;
    }
    decimal->digits[decimal->digit_count++] = digit;
    return true;
}

/* "e-12" directly behind a number. Saturates: what is that far away is zero or overflows either way. */
static const char *exponent_read(const char *text, int *exponent)
{
    const char *digits = text + 1 + (text[0] != '\0' && (text[1] == '+' || text[1] == '-'));
    *exponent = 0;
    if ((*text != 'e' && *text != 'E') || !is_digit(*digits)) {
        return text;
    }
    for (; is_digit(*digits); digits++) {
        if (*exponent < EXPONENT_MAX) {
            *exponent = *exponent * 10 + (*digits - '0');
        }
    }
    *exponent = text[1] == '-' ? -*exponent : *exponent;
    return digits;
}

/* The whole part, with underscores between digits. NULL where there are too many digits. */
static const char *whole_read(const char *text, struct decimal *decimal)
{
    for (; is_digit(*text) || (*text == '_' && is_digit(text[-1]) && is_digit(text[1])); text++) {
        if (*text != '_' && !digit_push(decimal, *text)) {
            return NULL;
        }
    }
    decimal->point = decimal->digit_count;
    return text;
}

static const char *part_read(const char *text, struct decimal *decimal)
{
    for (; is_digit(*text); text++) {
        if (!digit_push(decimal, *text)) {
            return NULL;
        }
        decimal->point -= decimal->digit_count == 0;
    }
    return text;
}

static void units_name(const struct quantity_row *row, char *text, size_t text_bytes)
{
    size_t used = 0;
    text[0] = '\0';
    for (const struct unit *unit = row->units; unit->name != NULL && used < text_bytes; unit++) {
        used += (size_t)snprintf(text + used, text_bytes - used, "%s%s", used > 0 ? " " : "", unit->name);
    }
}

static void not_a_number(const struct quantity_row *row, char *why)
{
    char names[100];
    units_name(row, names, sizeof names);
    if (row->is_bare) {
        snprintf(why, WHY_BYTES, "is not a number; expected %s", row->noun);
    } else {
        snprintf(why, WHY_BYTES, "is not a number; %s is a number and a unit: %s", row->noun, names);
    }
}

/* Reads the number at the front of `text`; returns what follows it, or NULL with `why`. */
static const char *decimal_read(const struct quantity_row *row, const char *text, struct decimal *decimal,
                                char *why)
{
    memset(decimal, 0, sizeof *decimal);
    text = blanks_skip(text);
    decimal->is_negative = *text == '-';
    text += *text == '-' || *text == '+';
    if (!is_digit(*text) && !(*text == '.' && is_digit(text[1]))) {
        not_a_number(row, why);
        return NULL;
    }
    if (is_digit(*text)) {
        text = whole_read(text, decimal);
    }
    if (text != NULL && *text == '.') {
        text = part_read(text + 1, decimal);
    }
    if (text == NULL) {
        snprintf(why, WHY_BYTES, "has more than %d digits; expected fewer", DIGITS_MAX);
        return NULL;
    }
    int exponent;
    text = exponent_read(text, &exponent);
    decimal->point += exponent;
    return text;
}

static bool unit_missing(const struct quantity_row *row, char *why)
{
    char names[100];
    units_name(row, names, sizeof names);
    snprintf(why, WHY_BYTES, "is a bare number; %s needs a unit: %s", row->noun, names);
    return false;
}

static bool unit_unknown(const struct quantity_row *row, const char *name, char *why)
{
    char names[100];
    units_name(row, names, sizeof names);
    if (names[0] == '\0') {
        snprintf(why, WHY_BYTES, "has \"%.16s\" behind the number; %s has no unit", name, row->noun);
    } else {
        snprintf(why, WHY_BYTES, "has \"%.16s\" for a unit; %s has: %s%s", name, row->noun,
                 row->is_bare ? "none or " : "", names);
    }
    return false;
}

/* Finds the unit that `text` (what follows the number) names. A bare number has the unit `bare`. */
static bool unit_read(const struct quantity_row *row, const char *text, struct unit *unit, char *why)
{
    const char *name = blanks_skip(text);
    size_t name_bytes = strlen(name);
    while (name_bytes > 0 && is_blank(name[name_bytes - 1])) {
        name_bytes--;
    }
    *unit = (struct unit){.name = "", .scale = 1, .exponent = 0};
    if (name_bytes == 0) {
        return row->is_bare || unit_missing(row, why);
    }
    for (const struct unit *known = row->units; known->name != NULL; known++) {
        if (strlen(known->name) == name_bytes && memcmp(known->name, name, name_bytes) == 0) {
            *unit = *known;
            return true;
        }
    }
    return unit_unknown(row, name, why);
}

static int digit_at(const struct decimal *decimal, int place)
{
    return place >= 0 && place < decimal->digit_count ? decimal->digits[place] - '0' : 0;
}

/* floor(2 x scale x fraction), Horner from the last digit: floor((a + floor(b)) / 10) = floor((a + b) / 10)
 * for whole a, so the nested floors lose nothing. */
static unsigned __int128 fraction_doubled(const struct decimal *decimal, uint64_t scale, bool *has_rest)
{
    unsigned __int128 sum = 0;
    *has_rest = false;
    for (int place = decimal->digit_count - 1; place >= decimal->point; place--) {
        sum += (unsigned __int128)2 * scale * (unsigned)digit_at(decimal, place);
        *has_rest = *has_rest || sum % 10 != 0;
        sum /= 10;
    }
    return sum;
}

static bool too_large(const struct quantity_row *row, char *why)
{
    const char *unit = row->is_bare ? "" : row->unit;
    snprintf(why, WHY_BYTES, "is too large; %s is at most %" PRIu64 "%s%s", row->noun, UINT64_MAX,
             unit[0] != '\0' ? " " : "", unit);
    return false;
}

/* Rounds the decimal times scale to the nearest integer, halves up. */
static bool decimal_scale(const struct decimal *decimal, uint64_t scale, const struct quantity_row *row,
                          uint64_t *value, char *why)
{
    const unsigned __int128 limit = UINT64_MAX;
    unsigned __int128 whole = 0;
    for (int place = 0; place < decimal->point && decimal->digit_count > 0; place++) {
        whole = whole * 10 + (unsigned)digit_at(decimal, place);
        if (whole * scale > limit) {
            return too_large(row, why);
        }
    }
    bool has_rest;
    unsigned __int128 doubled = fraction_doubled(decimal, scale, &has_rest);
    if (row->is_whole && (has_rest || (doubled & 1) != 0)) {
        const char *of = row->is_bare ? "" : row->unit;
        snprintf(why, WHY_BYTES, "is not a whole number%s%s; %s is one", of[0] != '\0' ? " of " : "", of, row->noun);
        return false;
    }
    unsigned __int128 total = whole * scale + ((doubled + 1) >> 1);
    if (total > limit) {
        return too_large(row, why);
    }
    *value = (uint64_t)total;
    return true;
}

bool quantity_parse_u64(enum quantity quantity, const char *text, uint64_t *value, char *why)
{
    const struct quantity_row *row = &quantity_rows[quantity];
    assert(row->is_integer);
    struct decimal decimal;
    struct unit unit;
    const char *rest = decimal_read(row, text, &decimal, why);
    if (rest == NULL || !unit_read(row, rest, &unit, why)) {
        return false;
    }
    if (decimal.is_negative && decimal.digit_count > 0) {
        snprintf(why, WHY_BYTES, "is negative; %s is not", row->noun);
        return false;
    }
    return decimal_scale(&decimal, unit.scale, row, value, why);
}

bool quantity_parse_real(enum quantity quantity, const char *text, double *value, char *why)
{
    const struct quantity_row *row = &quantity_rows[quantity];
    assert(!row->is_integer);
    struct decimal decimal;
    struct unit unit;
    const char *rest = decimal_read(row, text, &decimal, why);
    if (rest == NULL || !unit_read(row, rest, &unit, why)) {
        return false;
    }
    char number[DIGITS_MAX + 32];
    int exponent = decimal.point - decimal.digit_count + unit.exponent;
    snprintf(number, sizeof number, "%s%se%d", decimal.is_negative ? "-" : "",
             decimal.digit_count > 0 ? decimal.digits : "0", exponent);
    *value = strtod(number, NULL);
    if (!isfinite(*value)) {
        snprintf(why, WHY_BYTES, "is too large for a double");
        return false;
    }
    return true;
}

/* ---- printing ------------------------------------------------------------------------------------------ */

char *quantity_print_u64(enum quantity quantity, uint64_t value, char *text, size_t text_bytes)
{
    const struct quantity_row *row = &quantity_rows[quantity];
    assert(row->is_integer);
    const struct unit *best = NULL;
    for (const struct unit *unit = row->units; unit->name != NULL; unit++) {
        /* The first printed unit is the one that values are stored in; zero stays there. */
        if (!unit->is_input_only && (best == NULL || (value != 0 && value % unit->scale == 0))) {
            best = unit;
        }
    }
    snprintf(text, text_bytes, "%" PRIu64 "%s", best != NULL ? value / best->scale : value,
             best != NULL ? best->name : "");
    return text;
}

char *time_print(uint64_t time_ps, char *text, size_t text_bytes)
{
    static const char *const names[] = {"ps", "ns", "us", "ms", "s"};
    bool is_long = time_ps > UINT64_MAX / 1000;
    uint64_t thousandths = is_long ? time_ps : time_ps * 1000; /* of a nanosecond, of a picosecond */
    size_t unit = is_long ? 1 : 0;
    for (; unit + 1 < sizeof names / sizeof names[0] && thousandths >= 1000 * 1000; unit++) {
        thousandths = thousandths / 1000 + (thousandths % 1000 >= 500);
    }
    snprintf(text, text_bytes, "%" PRIu64 ".%03" PRIu64 " %s", thousandths / 1000, thousandths % 1000, names[unit]);
    return text;
}

/* value = 0.DIGITS x 10^point, short enough to be printed. */
struct shortest {
    char digits[DBL_DECIMAL_DIG + 1];
    int digit_count;
    int point;
};

/* The fewest digits that read back as `value` (> 0, finite). */
static void shortest_find(double value, struct shortest *shortest)
{
    memset(shortest, 0, sizeof *shortest);
    for (int digit_count = 1; digit_count <= DBL_DECIMAL_DIG; digit_count++) {
        char printed[48], number[48];
        snprintf(printed, sizeof printed, "%.*e", digit_count - 1, value);
        const char *exponent = strchr(printed, 'e');
        shortest->digit_count = 0;
        for (const char *byte = printed; byte < exponent; byte++) {
            /* Skips the decimal point, whatever this locale uses for it. */
            if (is_digit(*byte)) {
                shortest->digits[shortest->digit_count++] = *byte;
            }
        }
        shortest->point = atoi(exponent + 1) + 1;
        snprintf(number, sizeof number, "%.*se%d", digit_count, shortest->digits,
                 shortest->point - digit_count);
        if (strtod(number, NULL) == value) {
            break;
        }
    }
    while (shortest->digit_count > 1 && shortest->digits[shortest->digit_count - 1] == '0') {
        shortest->digit_count--;
    }
    shortest->digits[shortest->digit_count] = '\0';
}

/* Writes 0.DIGITS x 10^point plainly where that stays short, else with an exponent. */
static void shortest_print(const struct shortest *shortest, int point, char *text, size_t text_bytes)
{
    const char *digits = shortest->digits;
    int count = shortest->digit_count;
    if (point < -3 || point > 15) {
        snprintf(text, text_bytes, "%c%s%se%d", digits[0], count > 1 ? "." : "", digits + 1, point - 1);
    } else if (point <= 0) {
        snprintf(text, text_bytes, "0.%.*s%s", -point, "000", digits);
    } else if (point >= count) {
        snprintf(text, text_bytes, "%s%.*s", digits, point - count, "000000000000000");
    } else {
        snprintf(text, text_bytes, "%.*s.%s", point, digits, digits + point);
    }
}

/* The largest unit that leaves a digit before the point; the smallest for what is smaller still. */
static struct unit unit_choose(const struct quantity_row *row, int point)
{
    struct unit best = {.name = "", .exponent = 0};
    bool is_first = true;
    for (const struct unit *unit = row->units; unit->name != NULL; unit++) {
        if (!unit->is_input_only && (is_first || point > unit->exponent)) {
            best = *unit;
            is_first = false;
        }
    }
    return best;
}

/* Zero is printed in the unit that values are stored in, where that is one of the units. */
static const char *zero_unit(const struct quantity_row *row)
{
    for (const struct unit *unit = row->units; unit->name != NULL; unit++) {
        if (!unit->is_input_only && unit->exponent == 0) {
            return unit->name;
        }
    }
    return unit_choose(row, 0).name;
}

char *quantity_print_real(enum quantity quantity, double value, char *text, size_t text_bytes)
{
    const struct quantity_row *row = &quantity_rows[quantity];
    assert(!row->is_integer);
    if (!isfinite(value)) {
        snprintf(text, text_bytes, "%s", isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
        return text;
    }
    if (value == 0) {
        snprintf(text, text_bytes, "0%s", zero_unit(row));
        return text;
    }
    struct shortest shortest;
    shortest_find(fabs(value), &shortest);
    struct unit unit = unit_choose(row, shortest.point);
    char number[64];
    shortest_print(&shortest, shortest.point - unit.exponent, number, sizeof number);
    snprintf(text, text_bytes, "%s%s%s", value < 0 ? "-" : "", number, unit.name);
    return text;
}

const char *quantity_unit(enum quantity quantity)
{
    return quantity_rows[quantity].unit;
}

bool quantity_is_integer(enum quantity quantity)
{
    return quantity_rows[quantity].is_integer;
}

/* ---- bytes on a line ----------------------------------------------------------------------------------- */

#define BITS_PER_BYTE 8

uint64_t serialisation_ps(uint64_t bytes, uint64_t rate_bps)
{
    assert(rate_bps > 0);
    /* Packets stay below 2 MiB, where one 64-bit division does; the 128-bit one is several times slower. */
    if (bytes <= UINT64_MAX / (BITS_PER_BYTE * PS_PER_S)) {
        uint64_t bit_ps = bytes * (BITS_PER_BYTE * PS_PER_S);
        return bit_ps / rate_bps + (bit_ps % rate_bps != 0);
    }
    unsigned __int128 bit_ps = (unsigned __int128)bytes * (BITS_PER_BYTE * PS_PER_S);
    unsigned __int128 time_ps = bit_ps / rate_bps + (bit_ps % rate_bps != 0);
    return time_ps < TIME_NEVER_PS ? (uint64_t)time_ps : TIME_NEVER_PS;
}

uint64_t line_bytes(uint64_t time_ps, uint64_t rate_bps)
{
    unsigned __int128 bytes = (unsigned __int128)time_ps * rate_bps / (BITS_PER_BYTE * PS_PER_S);
    return bytes < UINT64_MAX ? (uint64_t)bytes : UINT64_MAX;
}
