#include "netsim/output/runs.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>
#include <zlib.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "bits are stored eight bytes at a time");

/* A run is a match at distance 1 (RFC 1951, 3.2.5). A token is a byte, or 256 and how much longer than RUN_MIN a run of the
 * byte before is; in the alphabet of the code runs share symbols, from RUN_FIRST on, and bits behind them tell them apart. */
enum { RUN_MIN = 3, RUN_MAX = 258, TOKENS = 512, END = 256, RUN_FIRST = 257, SYMBOLS = 286, CODE_BITS_MAX = 15 };

struct code {
    uint32_t bits; /* the first one sent is the lowest */
    uint32_t count;
};

struct runs {
    struct arena *arena;
    uint16_t *tokens;
    size_t token_capacity, token_count;
    uint32_t counts[SYMBOLS];
    uint8_t lengths[SYMBOLS];
    struct code symbols[SYMBOLS], codes[TOKENS];
    struct run_kind {
        uint16_t symbol;
        uint8_t extra_bits, extra;
    } kinds[TOKENS - 256]; /* of a run, by how much longer than RUN_MIN it is */
};

/* Four symbols a power of two, the eight shortest and the longest by themselves. */
struct runs *runs_new(struct arena *arena)
{
    struct runs *runs = arena_one(arena, struct runs);
    runs->arena = arena;
    for (uint32_t i = 0, first = 0, symbol = 0; i < TOKENS - 256; i++) {
        uint32_t bits = symbol < 8 ? 0 : symbol / 4 - 1;
        if (i - first == 1u << bits) {
            first = i;
            symbol++;
            bits = symbol < 8 ? 0 : symbol / 4 - 1;
        }
        runs->kinds[i] = (struct run_kind){(uint16_t)(RUN_FIRST + symbol), (uint8_t)bits, (uint8_t)(i - first)};
    }
    runs->kinds[RUN_MAX - RUN_MIN] = (struct run_kind){SYMBOLS - 1, 0, 0};
    return runs;
}

size_t runs_bound(size_t plane_bytes, size_t plane_count)
{
    /* No token takes more than two bytes for each that it stands for; the code and the end of a block take less than 256. */
    return plane_count * (2 * plane_bytes + 256) + 16;
}

/* ---- tokens ----------------------------------------------------------------------------------------------- */

static bool is_run(const uint8_t *bytes, size_t left)
{
    uint32_t word;
    if (left <= RUN_MIN) {
        return false;
    }
    memcpy(&word, bytes, sizeof word);
    return word == bytes[0] * UINT32_C(0x01010101);
}

/* How many bytes at the beginning are equal. */
static size_t run_length(const uint8_t *bytes, size_t left)
{
    uint64_t same = bytes[0] * UINT64_C(0x0101010101010101), word;
    size_t end = 1;
    for (; end + sizeof word <= left; end += sizeof word) {
        memcpy(&word, bytes + end, sizeof word);
        if (word != same) {
            return end + (size_t)__builtin_ctzll(word ^ same) / 8;
        }
    }
    while (end < left && bytes[end] == bytes[0]) {
        end++;
    }
    return end;
}

static size_t run_tokens(struct runs *runs, size_t length)
{
    size_t left = length;
    for (; left >= RUN_MIN; left -= left < RUN_MAX ? left : RUN_MAX) {
        size_t longer = (left < RUN_MAX ? left : RUN_MAX) - RUN_MIN;
        runs->tokens[runs->token_count++] = (uint16_t)(256 + longer);
        runs->counts[runs->kinds[longer].symbol]++;
    }
    return length - left;
}

static void tokens_find(struct runs *runs, const uint8_t *bytes, size_t count)
{
    runs->token_count = 0;
    memset(runs->counts, 0, sizeof runs->counts);
    runs->counts[END] = 1;
    for (size_t at = 0; at < count;) {
        uint8_t byte = bytes[at++];
        runs->tokens[runs->token_count++] = byte;
        runs->counts[byte]++;
        if (is_run(bytes + at - 1, count - at + 1)) {
            at += run_tokens(runs, run_length(bytes + at - 1, count - at + 1) - 1);
        }
    }
}

/* ---- the code --------------------------------------------------------------------------------------------- */

/* Symbols in use, rarest first, as count << 16 | symbol; how many. */
static uint32_t symbols_sort(const struct runs *runs, uint64_t *leaves)
{
    uint32_t count = 0;
    for (uint32_t symbol = 0; symbol < SYMBOLS; symbol++) {
        if (runs->counts[symbol] > 0) {
            leaves[count++] = (uint64_t)runs->counts[symbol] << 16 | symbol;
        }
    }
    for (uint32_t gap = count / 2; gap > 0; gap = gap == 2 ? 1 : gap * 5 / 11) { /* Shell's */
        for (uint32_t i = gap; i < count; i++) {
            uint64_t leaf = leaves[i];
            uint32_t at = i;
            for (; at >= gap && leaves[at - gap] > leaf; at -= gap) {
                leaves[at] = leaves[at - gap];
            }
            leaves[at] = leaf;
        }
    }
    return count;
}

/* Huffman's code, from two queues: leaves by count, and pairs, which come in order. The longest. At least two symbols are in
 * use, as END is one. */
static uint32_t lengths_try(struct runs *runs)
{
    uint64_t leaves[SYMBOLS], weights[2 * SYMBOLS];
    uint32_t parents[2 * SYMBOLS], depths[2 * SYMBOLS], count = symbols_sort(runs, leaves);
    uint32_t leaf = 0, pair = count, longest = 0;
    for (uint32_t i = 0; i < count; i++) {
        weights[i] = leaves[i] >> 16;
    }
    for (uint32_t made = count; made < 2 * count - 1; made++) {
        weights[made] = 0;
        for (uint32_t half = 0; half < 2; half++) {
            uint32_t least = leaf < count && (pair == made || weights[leaf] <= weights[pair]) ? leaf++ : pair++;
            weights[made] += weights[least];
            parents[least] = made;
        }
    }
    depths[2 * count - 2] = 0;
    for (uint32_t i = 2 * count - 2; i-- > 0;) {
        depths[i] = depths[parents[i]] + 1;
    }
    memset(runs->lengths, 0, sizeof runs->lengths);
    for (uint32_t i = 0; i < count; i++) {
        runs->lengths[leaves[i] & 0xffff] = (uint8_t)depths[i];
        longest = depths[i] > longest ? depths[i] : longest;
    }
    return longest;
}

/* Where a code would be too long, rare symbols count for more. */
static void lengths_find(struct runs *runs)
{
    while (lengths_try(runs) > CODE_BITS_MAX) {
        for (uint32_t symbol = 0; symbol < SYMBOLS; symbol++) {
            runs->counts[symbol] = (runs->counts[symbol] + 1) / 2;
        }
    }
}

static uint32_t bits_turn(uint32_t bits, uint32_t count)
{
    uint32_t turned = 0;
    for (uint32_t i = 0; i < count; i++) {
        turned |= (bits >> i & 1) << (count - 1 - i);
    }
    return turned;
}

/* RFC 1951, 3.2.2: lengths tell the codes. The code of a run has the extra bits behind it, and distance 1, one bit. */
static void codes_make(struct runs *runs)
{
    uint32_t used[CODE_BITS_MAX + 1] = {0}, next[CODE_BITS_MAX + 1] = {0};
    for (uint32_t symbol = 0; symbol < SYMBOLS; symbol++) {
        used[runs->lengths[symbol]]++;
    }
    used[0] = 0;
    for (uint32_t length = 1; length <= CODE_BITS_MAX; length++) {
        next[length] = (next[length - 1] + used[length - 1]) << 1;
    }
    for (uint32_t symbol = 0; symbol < SYMBOLS; symbol++) {
        uint32_t length = runs->lengths[symbol];
        runs->symbols[symbol] = (struct code){length == 0 ? 0 : bits_turn(next[length]++, length), length};
    }
    memcpy(runs->codes, runs->symbols, 256 * sizeof *runs->codes);
    for (uint32_t longer = 0; longer < TOKENS - 256; longer++) {
        struct run_kind kind = runs->kinds[longer];
        struct code code = runs->symbols[kind.symbol];
        runs->codes[256 + longer] =
            (struct code){code.bits | (uint32_t)kind.extra << code.count, code.count + kind.extra_bits + 1};
    }
}

/* ---- bits ------------------------------------------------------------------------------------------------- */

struct bits {
    uint8_t *at;
    uint64_t word;
    uint32_t count; /* in the word */
};

static void bits_add(struct bits *to, uint64_t bits, uint32_t count)
{
    to->word |= bits << to->count;
    to->count += count;
}

/* Whole bytes leave; less than eight bits stay. */
static void bits_flush(struct bits *to)
{
    memcpy(to->at, &to->word, sizeof to->word);
    to->at += to->count / 8;
    to->word >>= to->count & ~7u;
    to->count &= 7;
}

static void bits_put(struct bits *to, uint64_t bits, uint32_t count)
{
    bits_add(to, bits, count);
    bits_flush(to);
}

/* Lengths have a code too, always the same one here: four bits each, but 14 and 15 five; the place of 15 is taken by runs of
 * 11 to 138 zeros (18), which have seven bits more. */
enum { ZEROS_MIN = 11, ZEROS_MAX = 138, ZEROS_CODE = 14, LONG_LENGTH = 14, LONG_CODE = 30 };

static void length_put(struct bits *to, uint32_t length)
{
    bool is_long = length >= LONG_LENGTH;
    uint32_t code = is_long ? LONG_CODE + length - LONG_LENGTH : length, count = is_long ? 5 : 4;
    bits_put(to, bits_turn(code, count), count);
}

static uint32_t zeros_put(struct bits *to, uint32_t count)
{
    uint32_t zeros = count < ZEROS_MAX ? count : ZEROS_MAX;
    if (zeros < ZEROS_MIN) {
        length_put(to, 0);
        return 1;
    }
    bits_put(to, bits_turn(ZEROS_CODE, 4) | (zeros - ZEROS_MIN) << 4, 11);
    return zeros;
}

static void head_put(struct bits *to, const struct runs *runs, bool is_last)
{
    /* Lengths of the codes of the lengths, in the order of RFC 1951, 3.2.7: 16 17 18 0 8 7 9 6 10 5 11 4 12 3 13 2 14 1 15 */
    static const uint8_t own[] = {0, 0, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 5, 4, 5};
    uint32_t count = SYMBOLS;
    while (runs->lengths[count - 1] == 0) {
        count--; /* END has a code */
    }
    bits_put(to, (is_last ? 1u : 0u) | 2u << 1 | (count - 257) << 3 | 0u << 8 | (uint32_t)(sizeof own - 4) << 13, 17);
    for (size_t i = 0; i < sizeof own; i++) {
        bits_put(to, own[i], 3);
    }
    for (uint32_t symbol = 0; symbol < count;) {
        uint32_t zeros = 0;
        while (symbol + zeros < count && runs->lengths[symbol + zeros] == 0) {
            zeros++;
        }
        if (zeros > 0) {
            symbol += zeros_put(to, zeros);
        } else {
            length_put(to, runs->lengths[symbol++]);
        }
    }
    length_put(to, 1); /* of the only distance */
}

static void tokens_put(struct bits *to, const struct runs *runs)
{
    const uint16_t *tokens = runs->tokens;
    struct bits bits = *to;
    size_t at = 0;
    for (; at + 2 <= runs->token_count; at += 2) { /* at most 2 * 21 bits */
        struct code first = runs->codes[tokens[at]], second = runs->codes[tokens[at + 1]];
        bits_add(&bits, first.bits, first.count);
        bits_add(&bits, second.bits, second.count);
        bits_flush(&bits);
    }
    if (at < runs->token_count) {
        bits_put(&bits, runs->codes[tokens[at]].bits, runs->codes[tokens[at]].count);
    }
    bits_put(&bits, runs->symbols[END].bits, runs->symbols[END].count);
    *to = bits;
}

/* ---- the stream ------------------------------------------------------------------------------------------- */

/* Of `count` equal bytes more, which are not looked at again: sums of 1 + bytes, and of those sums (RFC 1950, 8.2). */
static uint32_t adler_of_run(uint32_t adler, uint8_t byte, uint64_t count)
{
    const uint64_t modulus = 65521;
    uint64_t sum = adler & 0xffff, sums = adler >> 16;
    sums = (sums + count % modulus * sum + count * (count + 1) / 2 % modulus * byte) % modulus;
    sum = (sum + count % modulus * byte) % modulus;
    return (uint32_t)(sums << 16 | sum);
}

static uint32_t plane_put(struct bits *to, struct runs *runs, const uint8_t *plane, size_t count, bool is_last, uint32_t adler)
{
    tokens_find(runs, plane, count);
    lengths_find(runs);
    codes_make(runs);
    head_put(to, runs, is_last);
    tokens_put(to, runs);
    bool is_run_alone = runs->token_count < count && run_length(plane, count) == count;
    return is_run_alone ? adler_of_run(adler, plane[0], count) : (uint32_t)adler32_z(adler, plane, count);
}

size_t runs_deflate(struct runs *runs, const uint8_t *planes, size_t plane_bytes, size_t plane_count, uint8_t *stream)
{
    assert(plane_bytes > 0 && plane_count > 0);
    if (runs->token_capacity < plane_bytes) {
        runs->token_capacity = plane_bytes;
        runs->tokens = arena_array(runs->arena, plane_bytes, uint16_t);
    }
    struct bits bits = {.at = stream};
    uint32_t adler = 1;
    bits_put(&bits, 0x5e78, 16); /* deflate, 32 KiB of history, level 1 (RFC 1950, 2.2) */
    for (size_t plane = 0; plane < plane_count; plane++) {
        adler = plane_put(&bits, runs, planes + plane * plane_bytes, plane_bytes, plane + 1 == plane_count, adler);
    }
    bits_put(&bits, 0, (8 - bits.count) & 7);
    bits_put(&bits, __builtin_bswap32(adler), 32);
    return (size_t)(bits.at - stream);
}
