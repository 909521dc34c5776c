/* Optimal string alignment distance over three rows. */
#include "netsim/base/nearest.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#define NAME_BYTES_MAX 63

static char letter(char byte)
{
    return byte == '-' ? '_' : (char)tolower((unsigned char)byte);
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

uint32_t edit_distance(const char *left, const char *right)
{
    uint32_t rows[3][NAME_BYTES_MAX + 1];
    size_t left_bytes = strnlen(left, NAME_BYTES_MAX), right_bytes = strnlen(right, NAME_BYTES_MAX);
    for (size_t j = 0; j <= right_bytes; j++) {
        rows[0][j] = (uint32_t)j;
    }
    for (size_t i = 1; i <= left_bytes; i++) {
        uint32_t *row = rows[i % 3];
        const uint32_t *above = rows[(i + 2) % 3], *above_two = rows[(i + 1) % 3];
        row[0] = (uint32_t)i;
        for (size_t j = 1; j <= right_bytes; j++) {
            char a = letter(left[i - 1]), b = letter(right[j - 1]);
            row[j] = smaller(smaller(row[j - 1], above[j]) + 1, above[j - 1] + (a != b));
            if (i > 1 && j > 1 && a == letter(right[j - 2]) && letter(left[i - 2]) == b) {
                row[j] = smaller(row[j], above_two[j - 2] + 1);
            }
        }
    }
    return rows[left_bytes % 3][right_bytes];
}
