/* Which of the known names did the user mean? For "did you mean" in messages. */
#ifndef PHOTONET_BASE_NEAREST_H
#define PHOTONET_BASE_NEAREST_H

#include <stdint.h>

/* Insertions, deletions, substitutions and swaps of neighbours that lead from one to the other; capitals
 * and "-" for "_" count nothing. Only the first 63 bytes of each are looked at. */
uint32_t edit_distance(const char *left, const char *right);

#endif
