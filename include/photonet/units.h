/* Quantities: text with a unit in, integers out.
 *
 * Inside, time is uint64 picoseconds, a size is uint64 bytes, a rate is uint64 bit/s; power, energy, loss and
 * fractions (which decide no event) are doubles in the unit that the quantity's row names. A bare number is
 * refused wherever a quantity has a unit. Prefixes are decimal (k M G T P), binary ones are Ki Mi Gi Ti.
 * Bytes and bits meet only in this file. */
#ifndef PHOTONET_UNITS_H
#define PHOTONET_UNITS_H

#include "photonet/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum quantity {
    QUANTITY_COUNT,    /* whole number, no unit; "16_384" and "4Ki" are allowed */
    QUANTITY_TIME,     /* ps: ps ns us ms s min h */
    QUANTITY_SIZE,     /* B: B kB MB GB TB KiB MiB GiB TiB */
    QUANTITY_RATE,     /* bit/s: bps kbps Mbps Gbps Tbps, and B/s kB/s MB/s GB/s TB/s */
    QUANTITY_FRACTION, /* 1: 0.25 or 25% */
    QUANTITY_POWER,    /* mW: uW mW W kW MW */
    QUANTITY_ENERGY_PER_BIT, /* pJ/bit: fJ/bit pJ/bit nJ/bit */
    QUANTITY_ENERGY,   /* pJ: pJ nJ uJ mJ J kJ */
    QUANTITY_LOSS,     /* dB */
    QUANTITY_LENGTH,   /* m: mm cm m km */
    QUANTITY_OPERATION_RATE, /* flop/s: GFLOPs TFLOPs PFLOPs (per second) */
    QUANTITY_NUMBER,   /* any real number, no unit */
    QUANTITY_LEVEL,    /* dBm: of light, may be negative */
};

/* Parses all of `text`. Integer quantities (COUNT TIME SIZE RATE) round to nearest from decimal text exactly
 * ("1.2us" = 1200000), but for counts and sizes, which are whole numbers (1.5KiB, not 1.5B); overflow is an error. On failure returns false and writes what was expected to `why`
 * (at least 160 bytes): "is a bare number; a time needs a unit: ps ns us ms s min h". */
bool quantity_parse_u64(enum quantity quantity, const char *text, uint64_t *value, char *why);
bool quantity_parse_real(enum quantity quantity, const char *text, double *value, char *why);

/* Shortest text that reads back as the same value: 400Gbps, 500ns, 64KiB. Returns `text`. */
char *quantity_print_u64(enum quantity quantity, uint64_t value, char *text, size_t text_bytes);
char *quantity_print_real(enum quantity quantity, double value, char *text, size_t text_bytes);

/* For people: three decimals in the largest unit that leaves a digit before the point, as 77.390 ms. Returns `text`. */
char *time_print(uint64_t time_ps, char *text, size_t text_bytes);

/* The unit that the stored value has ("ps", "B", "bit/s", "1", "mW", ...), as the result file prints it. */
const char *quantity_unit(enum quantity quantity);
bool quantity_is_integer(enum quantity quantity);

/* The ending of a word that is counted: "1 operation", "2 operations". */
static inline const char *plural(uint64_t count, const char *ending)
{
    return count == 1 ? "" : ending;
}

#define PS_PER_NS UINT64_C(1000)
#define PS_PER_US UINT64_C(1000000)
#define PS_PER_MS UINT64_C(1000000000)
#define PS_PER_S UINT64_C(1000000000000)
#define TIME_NEVER_PS UINT64_MAX

/* Time to put `bytes` on a line of `rate_bps`, rounded up to a picosecond; 128-bit inside, so any size. */
uint64_t serialisation_ps(uint64_t bytes, uint64_t rate_bps);

/* Bytes that a line of rate_bps carries in time_ps, rounded down. */
uint64_t line_bytes(uint64_t time_ps, uint64_t rate_bps);

#endif
