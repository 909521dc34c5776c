/* Quantities.
 *
 * Asserted: exact values against closed forms and against plain 128-bit arithmetic written here; that what is
 * printed reads back bit for bit; what is refused, and the words that tell a user what was expected. Not
 * asserted: the complete wording. */
#include "tests/check.h"

#include "netsim/base/rng.h"
#include "photonet/units.h"

#include <float.h>
#include <locale.h>
#include <math.h>

#define WHY_BYTES 160

/* ---- whole quantities ---------------------------------------------------------------------------------- */

/* A value that no test expects, so that a refusal that writes one is seen. */
#define REFUSED UINT64_C(0xdeadbeefdeadbeef)

static uint64_t parsed(enum quantity quantity, const char *text)
{
    uint64_t value = REFUSED;
    char why[WHY_BYTES] = "";
    return quantity_parse_u64(quantity, text, &value, why) ? value : REFUSED;
}

static const char *refusal(enum quantity quantity, const char *text)
{
    static char why[WHY_BYTES];
    uint64_t value;
    double real;
    snprintf(why, sizeof why, "was accepted");
    if (quantity_is_integer(quantity)) {
        quantity_parse_u64(quantity, text, &value, why);
    } else {
        quantity_parse_real(quantity, text, &real, why);
    }
    return why;
}

static void test_time_is_exact(void)
{
    CHECK_EQUAL(parsed(QUANTITY_TIME, "1.2us"), 1200000);
    CHECK_EQUAL(parsed(QUANTITY_TIME, "500ns"), 500000);
    CHECK_EQUAL(parsed(QUANTITY_TIME, "500 ns"), 500000);
    CHECK_EQUAL(parsed(QUANTITY_TIME, "  500\tns  "), 500000);
    CHECK_EQUAL(parsed(QUANTITY_TIME, "0ps"), 0);
    CHECK_EQUAL(parsed(QUANTITY_TIME, "1min"), 60 * PS_PER_S);
    CHECK_EQUAL(parsed(QUANTITY_TIME, "0.5h"), 1800 * PS_PER_S);
    CHECK_EQUAL(parsed(QUANTITY_TIME, "1_000.5ns"), 1000500);
    CHECK_EQUAL(parsed(QUANTITY_TIME, ".25us"), 250000);
    CHECK_EQUAL(parsed(QUANTITY_TIME, "+3s"), 3 * PS_PER_S);
    CHECK_EQUAL(parsed(QUANTITY_TIME, "1.5e3ns"), 1500000);
    CHECK_EQUAL(parsed(QUANTITY_TIME, "15e-1ns"), 1500);
    /* A double holds 53 bits and would give ...616 for the last of these. */
    CHECK_EQUAL(parsed(QUANTITY_TIME, "18446744073709551615ps"), UINT64_MAX);
    CHECK_EQUAL(parsed(QUANTITY_TIME, "18446744.073709551615s"), UINT64_MAX);
    CHECK_EQUAL(parsed(QUANTITY_TIME, "9007.199254740993s"), UINT64_C(9007199254740993));
}

static void test_time_rounds_to_nearest(void)
{
    CHECK_EQUAL(parsed(QUANTITY_TIME, "0.4999ps"), 0);
    CHECK_EQUAL(parsed(QUANTITY_TIME, "0.5ps"), 1);
    CHECK_EQUAL(parsed(QUANTITY_TIME, "1.4999999999999999999999999999999999999999ps"), 1);
    CHECK_EQUAL(parsed(QUANTITY_TIME, "1.50000000000000000000000000000000000000001ps"), 2);
    CHECK_EQUAL(parsed(QUANTITY_TIME, "0.0004999ns"), 0);
    CHECK_EQUAL(parsed(QUANTITY_TIME, "0.0005ns"), 1);
    CHECK_EQUAL(parsed(QUANTITY_TIME, "0.33333333333333333333s"), UINT64_C(333333333333));
    CHECK_EQUAL(parsed(QUANTITY_TIME, "0.66666666666666666666s"), UINT64_C(666666666667));
    CHECK_EQUAL(parsed(QUANTITY_TIME, "1e-30s"), 0);
    CHECK_EQUAL(parsed(QUANTITY_TIME, "0e99999999999s"), 0);
}

static void test_sizes_and_counts(void)
{
    CHECK_EQUAL(parsed(QUANTITY_SIZE, "64KiB"), 65536);
    CHECK_EQUAL(parsed(QUANTITY_SIZE, "4150B"), 4150);
    CHECK_EQUAL(parsed(QUANTITY_SIZE, "1.5kB"), 1500);
    CHECK_EQUAL(parsed(QUANTITY_SIZE, "0.5GiB"), UINT64_C(1) << 29);
    CHECK_EQUAL(parsed(QUANTITY_SIZE, "2TB"), UINT64_C(2000000000000));
    CHECK_EQUAL(parsed(QUANTITY_COUNT, "16_384"), 16384);
    CHECK_EQUAL(parsed(QUANTITY_COUNT, "4Ki"), 4096);
    CHECK_EQUAL(parsed(QUANTITY_COUNT, "1.5k"), 1500);
    CHECK_EQUAL(parsed(QUANTITY_COUNT, "1e6"), 1000000);
    CHECK_EQUAL(parsed(QUANTITY_COUNT, "2.0"), 2);
    CHECK_EQUAL(parsed(QUANTITY_COUNT, "007"), 7);
}

static void test_rates_in_bits_and_bytes(void)
{
    CHECK_EQUAL(parsed(QUANTITY_RATE, "400Gbps"), UINT64_C(400000000000));
    CHECK_EQUAL(parsed(QUANTITY_RATE, "50GB/s"), UINT64_C(400000000000));
    CHECK_EQUAL(parsed(QUANTITY_RATE, "1B/s"), 8);
    CHECK_EQUAL(parsed(QUANTITY_RATE, "3.6Tbps"), UINT64_C(3600000000000));
    CHECK_EQUAL(parsed(QUANTITY_RATE, "0.45TB/s"), UINT64_C(3600000000000));
    CHECK_EQUAL(parsed(QUANTITY_RATE, "53.125Gbps"), UINT64_C(53125000000));
}

static void test_bare_numbers_are_refused(void)
{
    CHECK_TEXT(refusal(QUANTITY_TIME, "400"), "is a bare number; a time needs a unit: ps ns us ms s min h");
    CHECK_TEXT(refusal(QUANTITY_TIME, "0"), "is a bare number; a time needs a unit: ps ns us ms s min h");
    CHECK_TEXT(refusal(QUANTITY_SIZE, "64 "),
               "is a bare number; a size needs a unit: B kB KiB MB MiB GB GiB TB TiB");
    CHECK_HOLDS(refusal(QUANTITY_RATE, "400"), "is a bare number; a rate needs a unit: bps kbps Mbps Gbps");
    CHECK_HOLDS(refusal(QUANTITY_POWER, "1.5"), "is a bare number; a power needs a unit: uW mW W kW MW");
    CHECK_HOLDS(refusal(QUANTITY_LOSS, "3"), "needs a unit: dB");
    CHECK_HOLDS(refusal(QUANTITY_ENERGY_PER_BIT, "3"), "needs a unit: fJ/bit pJ/bit nJ/bit");
}

static void test_wrong_texts_are_refused(void)
{
    CHECK_HOLDS(refusal(QUANTITY_TIME, "1.2uS"), "has \"uS\" for a unit; a time has: ps ns us ms s min h");
    CHECK_HOLDS(refusal(QUANTITY_SIZE, "1Gb"), "has \"Gb\" for a unit");
    CHECK_HOLDS(refusal(QUANTITY_RATE, "1Gbps/s"), "has \"Gbps/s\" for a unit");
    CHECK_HOLDS(refusal(QUANTITY_COUNT, "7B"), "has \"B\" for a unit; a count has: none or k Ki");
    CHECK_HOLDS(refusal(QUANTITY_NUMBER, "7x"), "a number has no unit");
    CHECK_HOLDS(refusal(QUANTITY_COUNT, "2.5"), "is not a whole number");
    CHECK_HOLDS(refusal(QUANTITY_COUNT, "2.00000000000000000000000000000001"), "is not a whole number");
    CHECK_HOLDS(refusal(QUANTITY_COUNT, "1e-1"), "is not a whole number");
    CHECK_TEXT(refusal(QUANTITY_SIZE, "1.5B"), "is not a whole number of B; a size is one");
    CHECK_HOLDS(refusal(QUANTITY_SIZE, "0.1KiB"), "is not a whole number of B");
    CHECK_HOLDS(refusal(QUANTITY_SIZE, "0.5B"), "is not a whole number of B");
    CHECK_EQUAL(parsed(QUANTITY_SIZE, "1.5KiB"), 1536);
    CHECK_EQUAL(parsed(QUANTITY_SIZE, "1.0B"), 1);
    CHECK_EQUAL(parsed(QUANTITY_SIZE, "1.0009765625KiB"), 1025);
    CHECK_EQUAL(parsed(QUANTITY_TIME, "1.5ps"), 2); /* there are smaller times, and rates, than these */
    CHECK_HOLDS(refusal(QUANTITY_TIME, "-5ns"), "is negative; a time is not");
    CHECK_HOLDS(refusal(QUANTITY_TIME, "5ns 6ns"), "for a unit");
    const char *const no_numbers[] = {"",      " ",    "ns",  "-",   "+",    ".",
                                      "._5ns", "_5ns", "nan", "inf", "e5ns", "--5ns"};
    for (size_t i = 0; i < sizeof no_numbers / sizeof no_numbers[0]; i++) {
        CHECK_HOLDS(refusal(QUANTITY_TIME, no_numbers[i]),
                    "is not a number; a time is a number and a unit: ps");
    }
    const char *const no_units[] = {"5__0ns", "5_ns",  "1.5_0ns", "0x10ns",
                                    "1e ns",  "1e+ns", "1,5ns",   "1.2.3ns"};
    for (size_t i = 0; i < sizeof no_units / sizeof no_units[0]; i++) {
        CHECK_HOLDS(refusal(QUANTITY_TIME, no_units[i]), "for a unit");
    }
}

static void test_overflow_is_refused(void)
{
    CHECK_HOLDS(refusal(QUANTITY_TIME, "18446744073709551616ps"),
                "is too large; a time is at most 18446744073709551615 ps");
    CHECK_HOLDS(refusal(QUANTITY_TIME, "18446744073709551615.5ps"), "is too large");
    CHECK_HOLDS(refusal(QUANTITY_TIME, "5125h"), "is too large");
    CHECK(parsed(QUANTITY_TIME, "5124h") != REFUSED);
    CHECK_HOLDS(refusal(QUANTITY_COUNT, "1e20"), "is too large; a count is at most 18446744073709551615");
    CHECK_HOLDS(refusal(QUANTITY_COUNT, "1e999999999999"), "is too large");
    CHECK_HOLDS(refusal(QUANTITY_SIZE, "99999999999999999999999999999999999999999999999999TiB"),
                "is too large");
    CHECK_HOLDS(refusal(QUANTITY_NUMBER, "1e309"), "is too large for a double");
    char digits[1000];
    memset(digits, '7', sizeof digits);
    digits[sizeof digits - 1] = '\0';
    CHECK_HOLDS(refusal(QUANTITY_COUNT, digits), "has more than 400 digits");
    memset(digits, '0', sizeof digits - 2);
    CHECK_EQUAL(parsed(QUANTITY_COUNT, digits), 7);
}

/* m / 10^f units of `scale`, against the same in plain 128-bit arithmetic; bytes are whole. */
static void test_decimals_against_wide_integers(void)
{
    static const struct {
        const char *name;
        enum quantity quantity;
        uint64_t scale;
    } units[] = {
        {"ps", QUANTITY_TIME, 1},
        {"us", QUANTITY_TIME, PS_PER_US},
        {"min", QUANTITY_TIME, 60 * PS_PER_S},
        {"KiB", QUANTITY_SIZE, 1024},
        {"TiB", QUANTITY_SIZE, 1ULL << 40},
        {"MB", QUANTITY_SIZE, 1000000},
        {"Gbps", QUANTITY_RATE, 1000000000},
        {"kB/s", QUANTITY_RATE, 8000},
    };
    uint64_t seed = test_seed(), wrong_count = 0;
    for (uint64_t i = 0; i < 50000; i++) {
        uint64_t unit_id = rng_below(rng_draw(seed, 2, i), sizeof units / sizeof units[0]);
        uint64_t mantissa = rng_draw(seed, 3, i) >> (20 + rng_below(rng_draw(seed, 4, i), 44));
        uint64_t power = 1;
        int place = (int)rng_below(rng_draw(seed, 5, i), 16);
        for (int digit = 0; digit < place; digit++) {
            power *= 10;
        }
        unsigned __int128 expected =
            ((unsigned __int128)mantissa * units[unit_id].scale * 2 + power) / ((unsigned __int128)power * 2);
        /* A one in front keeps the leading zeros of the fraction; "5.ns" is as good as "5ns". */
        char fraction[24], text[64];
        snprintf(fraction, sizeof fraction, "%" PRIu64, power + mantissa % power);
        snprintf(text, sizeof text, "%" PRIu64 ".%s%s", mantissa / power, fraction + 1, units[unit_id].name);
        uint64_t value = parsed(units[unit_id].quantity, text);
        bool is_broken = units[unit_id].quantity == QUANTITY_SIZE && (unsigned __int128)mantissa * units[unit_id].scale % power != 0;
        wrong_count += value != (is_broken || expected > UINT64_MAX ? REFUSED : (uint64_t)expected);
    }
    CHECK_EQUAL(wrong_count, 0);
}

static const char *printed(enum quantity quantity, uint64_t value)
{
    static char text[64];
    return quantity_print_u64(quantity, value, text, sizeof text);
}

static void test_whole_quantities_print(void)
{
    CHECK_TEXT(printed(QUANTITY_RATE, UINT64_C(400000000000)), "400Gbps");
    CHECK_TEXT(printed(QUANTITY_RATE, UINT64_C(3600000000000)), "3600Gbps");
    CHECK_TEXT(printed(QUANTITY_RATE, UINT64_C(8000000000000)), "8Tbps");
    CHECK_TEXT(printed(QUANTITY_RATE, 8), "8bps");
    CHECK_TEXT(printed(QUANTITY_TIME, 500000), "500ns");
    CHECK_TEXT(printed(QUANTITY_TIME, 1234567), "1234567ps");
    CHECK_TEXT(printed(QUANTITY_TIME, 60 * PS_PER_S), "1min");
    CHECK_TEXT(printed(QUANTITY_TIME, 0), "0ps");
    CHECK_TEXT(printed(QUANTITY_TIME, TIME_NEVER_PS), "18446744073709551615ps");
    CHECK_TEXT(printed(QUANTITY_SIZE, 65536), "64KiB");
    CHECK_TEXT(printed(QUANTITY_SIZE, 4150), "4150B");
    CHECK_TEXT(printed(QUANTITY_SIZE, 2000), "2kB");
    CHECK_TEXT(printed(QUANTITY_COUNT, 16384), "16384");
    CHECK_TEXT(printed(QUANTITY_COUNT, 0), "0");
    char small[4];
    CHECK_TEXT(quantity_print_u64(QUANTITY_SIZE, 65536, small, sizeof small), "64K");
    char time[32];
    CHECK_TEXT(time_print(0, time, sizeof time), "0.000 ps");
    CHECK_TEXT(time_print(999, time, sizeof time), "999.000 ps");
    CHECK_TEXT(time_print(1000, time, sizeof time), "1.000 ns");
    CHECK_TEXT(time_print(77389785480, time, sizeof time), "77.390 ms");
    CHECK_TEXT(time_print(999999, time, sizeof time), "999.999 ns");
    CHECK_TEXT(time_print(3600 * PS_PER_S, time, sizeof time), "3600.000 s");
    CHECK_TEXT(time_print(UINT64_MAX, time, sizeof time), "18446744.074 s"); /* 2^64 ps */
}

static void test_whole_quantities_round_trip(void)
{
    uint64_t seed = test_seed(), wrong_count = 0;
    const enum quantity quantities[] = {QUANTITY_COUNT, QUANTITY_TIME, QUANTITY_SIZE, QUANTITY_RATE};
    for (uint64_t i = 0; i < 40000; i++) {
        enum quantity quantity = quantities[i % 4];
        uint64_t value = rng_draw(seed, 6, i) >> rng_below(rng_draw(seed, 7, i), 64);
        for (uint32_t zeros = rng_below(rng_draw(seed, 8, i), 16); zeros > 0 && value < UINT64_MAX / 10;
             zeros--) {
            value *= 10;
        }
        wrong_count += parsed(quantity, printed(quantity, value)) != value;
    }
    CHECK_EQUAL(wrong_count, 0);
}

/* ---- real quantities ----------------------------------------------------------------------------------- */

static double real(enum quantity quantity, const char *text)
{
    double value = NAN;
    char why[WHY_BYTES];
    return quantity_parse_real(quantity, text, &value, why) ? value : NAN;
}

/* Real results are compared for equality on purpose: reading is correctly rounded. */
static void test_real_quantities_parse(void)
{
    CHECK(real(QUANTITY_FRACTION, "25%") == 0.25);
    CHECK(real(QUANTITY_FRACTION, "0.25") == 0.25);
    CHECK(real(QUANTITY_FRACTION, "33.3 %") == 0.333);
    CHECK(real(QUANTITY_POWER, "1.1W") == 1100);
    CHECK(real(QUANTITY_POWER, "0.1uW") == 1e-4);
    CHECK(real(QUANTITY_POWER, "2.3MW") == 2.3e9);
    CHECK(real(QUANTITY_ENERGY_PER_BIT, "700fJ/bit") == 0.7);
    CHECK(real(QUANTITY_ENERGY, "1kJ") == 1e15);
    CHECK(real(QUANTITY_ENERGY, "0.3J") == 3e11);
    CHECK(real(QUANTITY_LOSS, "-1.5dB") == -1.5);
    CHECK(real(QUANTITY_LENGTH, "30cm") == 0.3);
    CHECK(real(QUANTITY_LENGTH, "2.5 km") == 2500);
    CHECK(real(QUANTITY_OPERATION_RATE, "989TFLOPs") == 989e12);
    CHECK(real(QUANTITY_NUMBER, "6.02214076e23") == 6.02214076e23);
    CHECK(real(QUANTITY_NUMBER, "-1_000.5") == -1000.5);
    CHECK(real(QUANTITY_NUMBER, "0") == 0);
    CHECK(real(QUANTITY_NUMBER, "1e-400") == 0);
    CHECK(isnan(real(QUANTITY_NUMBER, "nan")));
    CHECK(isnan(real(QUANTITY_NUMBER, "0x1p3")));
}

static const char *real_printed(enum quantity quantity, double value)
{
    static char text[64];
    return quantity_print_real(quantity, value, text, sizeof text);
}

static void test_real_quantities_print(void)
{
    CHECK_TEXT(real_printed(QUANTITY_FRACTION, 0.25), "0.25");
    CHECK_TEXT(real_printed(QUANTITY_FRACTION, 1), "1");
    CHECK_TEXT(real_printed(QUANTITY_POWER, 0), "0mW");
    CHECK_TEXT(real_printed(QUANTITY_POWER, 1100), "1.1W");
    CHECK_TEXT(real_printed(QUANTITY_POWER, 0.05), "50uW");
    CHECK_TEXT(real_printed(QUANTITY_POWER, 1e-5), "0.01uW");
    CHECK_TEXT(real_printed(QUANTITY_ENERGY_PER_BIT, 0.7), "700fJ/bit");
    CHECK_TEXT(real_printed(QUANTITY_LENGTH, 0.3), "300mm");
    CHECK_TEXT(real_printed(QUANTITY_LENGTH, 2500), "2.5km");
    CHECK_TEXT(real_printed(QUANTITY_LOSS, -1.5), "-1.5dB");
    CHECK_TEXT(real_printed(QUANTITY_OPERATION_RATE, 989e12), "989TFLOPs");
    CHECK_TEXT(real_printed(QUANTITY_NUMBER, 0.1 + 0.2), "0.30000000000000004");
    CHECK_TEXT(real_printed(QUANTITY_NUMBER, 123456789), "123456789");
    CHECK_TEXT(real_printed(QUANTITY_NUMBER, 6.02214076e23), "6.02214076e23");
    CHECK_TEXT(real_printed(QUANTITY_NUMBER, 1e-9), "1e-9");
    CHECK_TEXT(real_printed(QUANTITY_NUMBER, DBL_MAX), "1.7976931348623157e308");
    CHECK_TEXT(real_printed(QUANTITY_NUMBER, NAN), "nan");
    CHECK_TEXT(real_printed(QUANTITY_NUMBER, -INFINITY), "-inf");
}

static uint64_t real_wrong_count(uint64_t seed, uint64_t count)
{
    uint64_t wrong_count = 0;
    for (uint64_t i = 0; i < count; i++) {
        enum quantity quantity = (enum quantity)(QUANTITY_FRACTION + rng_below(rng_draw(seed, 9, i), 8));
        uint64_t bits = rng_draw(seed, 10, i);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (i % 2 == 0) {
            /* Half of them of the size that occurs, half of any size. */
            value = ldexp(rng_unit(bits) - 0.5, (int)rng_below(rng_draw(seed, 11, i), 80) - 40);
        }
        wrong_count += isfinite(value) && real(quantity, real_printed(quantity, value)) != value;
    }
    return wrong_count;
}

static void test_real_quantities_round_trip(void)
{
    CHECK_EQUAL(real_wrong_count(test_seed(), 40000), 0);
    CHECK(real(QUANTITY_ENERGY, real_printed(QUANTITY_ENERGY, DBL_MIN / 8)) == DBL_MIN / 8);
    CHECK(real(QUANTITY_POWER, real_printed(QUANTITY_POWER, DBL_MAX)) == DBL_MAX);
}

/* Built for the test where the machine has the sources of locales but none with a decimal comma. */
static const char *comma_locale_set(void)
{
    const char *found = setlocale(LC_NUMERIC, "de_DE.UTF-8");
    if (found == NULL) {
        char output[4096];
        test_shell(output, sizeof output, "localedef -i de_DE -f UTF-8 '%s/de_DE.UTF-8'", test_directory());
        setenv("LOCPATH", test_directory(), 1);
        found = setlocale(LC_NUMERIC, "de_DE.UTF-8");
        unsetenv("LOCPATH");
    }
    return found;
}

static void test_locale_changes_nothing(void)
{
    if (comma_locale_set() == NULL) {
        test_skip("no locale with a decimal comma");
        return;
    }
    CHECK_TEXT(localeconv()->decimal_point, ",");
    CHECK(real(QUANTITY_NUMBER, "1.5") == 1.5);
    CHECK_TEXT(real_printed(QUANTITY_NUMBER, 1.5), "1.5");
    CHECK_EQUAL(real_wrong_count(1, 1000), 0);
    setlocale(LC_NUMERIC, "C");
}

static void test_quantity_units(void)
{
    CHECK_TEXT(quantity_unit(QUANTITY_COUNT), "1");
    CHECK_TEXT(quantity_unit(QUANTITY_TIME), "ps");
    CHECK_TEXT(quantity_unit(QUANTITY_SIZE), "B");
    CHECK_TEXT(quantity_unit(QUANTITY_RATE), "bit/s");
    CHECK_TEXT(quantity_unit(QUANTITY_POWER), "mW");
    CHECK_TEXT(quantity_unit(QUANTITY_OPERATION_RATE), "flop/s");
    CHECK(quantity_is_integer(QUANTITY_RATE));
    CHECK(!quantity_is_integer(QUANTITY_FRACTION));
}

/* ---- bytes on a line ----------------------------------------------------------------------------------- */

static void test_serialisation_closed_forms(void)
{
    const uint64_t gbps = 1000000000, tbps = 1000 * gbps;
    CHECK_EQUAL(serialisation_ps(0, 400 * gbps), 0);
    CHECK_EQUAL(serialisation_ps(1, 400 * gbps), 20);
    CHECK_EQUAL(serialisation_ps(4150, 400 * gbps), 83000);
    CHECK_EQUAL(serialisation_ps(1, 3600 * gbps), 3);       /* 2.2 */
    CHECK_EQUAL(serialisation_ps(4150, 3600 * gbps), 9223); /* 9222.2 */
    CHECK_EQUAL(serialisation_ps(9, 3600 * gbps), 20);      /* exact: nothing is added */
    CHECK_EQUAL(serialisation_ps(1, 100 * tbps), 1);        /* 0.08 */
    CHECK_EQUAL(serialisation_ps(1, 1), 8 * PS_PER_S);
    CHECK_EQUAL(serialisation_ps(1, UINT64_MAX), 1);
    CHECK_EQUAL(serialisation_ps(UINT64_C(1) << 40, 400 * gbps), UINT64_C(21990232555520));
    CHECK_EQUAL(serialisation_ps(UINT64_MAX, 8 * PS_PER_S), UINT64_MAX);
    CHECK_EQUAL(serialisation_ps(UINT64_MAX, 1), TIME_NEVER_PS);
    CHECK_EQUAL(line_bytes(0, 400 * gbps), 0);
    CHECK_EQUAL(line_bytes(19, 400 * gbps), 0);
    CHECK_EQUAL(line_bytes(20, 400 * gbps), 1);
    CHECK_EQUAL(line_bytes(PS_PER_S, 400 * gbps), 50 * gbps);
    CHECK_EQUAL(line_bytes(UINT64_MAX, UINT64_MAX), UINT64_MAX);
}

/* The time is the least in which the line carries the bytes. */
static void test_serialisation_is_the_least_time(void)
{
    uint64_t seed = test_seed(), wrong_count = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        uint64_t bytes = rng_draw(seed, 12, i) >> (8 + rng_below(rng_draw(seed, 13, i), 56));
        uint64_t rate_bps = (rng_draw(seed, 14, i) >> rng_below(rng_draw(seed, 15, i), 50)) | 1;
        if (i < 1000) {
            /* Across the change from 64-bit to 128-bit arithmetic. */
            bytes = UINT64_MAX / (8 * PS_PER_S) - 500 + i;
        }
        unsigned __int128 need = (unsigned __int128)bytes * 8 * PS_PER_S;
        uint64_t time_ps = serialisation_ps(bytes, rate_bps);
        if (time_ps == TIME_NEVER_PS) {
            wrong_count += (unsigned __int128)(TIME_NEVER_PS - 1) * rate_bps >= need;
            continue;
        }
        wrong_count += (unsigned __int128)time_ps * rate_bps < need;
        wrong_count += time_ps > 0 && (unsigned __int128)(time_ps - 1) * rate_bps >= need;
        wrong_count += line_bytes(time_ps, rate_bps) < bytes;
        wrong_count += time_ps > 0 && line_bytes(time_ps - 1, rate_bps) >= bytes;
    }
    CHECK_EQUAL(wrong_count, 0);
}

TEST_MAIN("units", TEST(test_time_is_exact), TEST(test_time_rounds_to_nearest), TEST(test_sizes_and_counts),
          TEST(test_rates_in_bits_and_bytes), TEST(test_bare_numbers_are_refused),
          TEST(test_wrong_texts_are_refused), TEST(test_overflow_is_refused),
          TEST(test_decimals_against_wide_integers), TEST(test_whole_quantities_print),
          TEST(test_whole_quantities_round_trip), TEST(test_real_quantities_parse),
          TEST(test_real_quantities_print), TEST(test_real_quantities_round_trip),
          TEST(test_locale_changes_nothing), TEST(test_quantity_units), TEST(test_serialisation_closed_forms),
          TEST(test_serialisation_is_the_least_time))
