/* The packets of a batch in the order of service: a sorting network on keys that carry their place, then the packets moved to
 * where they belong. Part of window_switch_body.h. */

/* ---- sorting ---------------------------------------------------------------------------------------------- */

union block {
    lanes v[VECTORS_MAX];
    int32_t each[BATCH_PACKETS];
};

#define TURNED(lane, d) ((lane) ^ (d))
INLINE lanes turned(lanes a, uint32_t distance)
{
    switch (distance) {
    case 1:
        return __builtin_shufflevector(a, a, EACH(TURNED, 1));
    case 2:
        return __builtin_shufflevector(a, a, EACH(TURNED, 2));
#if SWITCH_LANES >= 8
    case 4:
        return __builtin_shufflevector(a, a, EACH(TURNED, 4));
#endif
    default:
#if SWITCH_LANES == 16
        return __builtin_shufflevector(a, a, EACH(TURNED, 8));
#else
        return a;
#endif
    }
}

/* A bit per lane of a vector: whether its place in the block has this bit. */
INLINE uint32_t places_with(uint32_t vector, uint32_t bit)
{
    static const uint32_t patterns[] = {[1] = 0xaaaa, [2] = 0xcccc, [4] = 0xf0f0, [8] = 0xff00};
    return bit < LANES ? patterns[bit] : (vector * LANES & bit) != 0 ? 0xffff : 0;
}

INLINE lanes mixed(lanes low, lanes high, uint32_t takes_high)
{
#if SWITCH_LANES == 16
    return (lanes)_mm512_mask_mov_epi32((__m512i)low, (__mmask16)takes_high, (__m512i)high);
#else
    lanes bit = splat(1) << lane_ids(0);
    lanes mask = (splat((int32_t)takes_high) & bit) != splat(0);
    return pick(mask, high, low);
#endif
}

/* One step of the bitonic sort (Batcher 1968): blocks of `size` places, partners `distance` apart. */
INLINE void sort_step(lanes *v, uint32_t vectors, uint32_t size, uint32_t distance)
{
    uint32_t apart = distance / LANES;
#pragma GCC unroll 16
    for (uint32_t i = 0; i < vectors; i++) {
        if (apart > 0 && (i & apart) != 0) {
            continue;
        }
        if (apart > 0) {
            lanes low = min_lanes(v[i], v[i + apart]), high = max_lanes(v[i], v[i + apart]);
            bool is_down = (i * LANES & size) != 0;
            v[i] = is_down ? high : low;
            v[i + apart] = is_down ? low : high;
            continue;
        }
        lanes other = turned(v[i], distance);
        v[i] = mixed(min_lanes(v[i], other), max_lanes(v[i], other), places_with(i, distance) ^ places_with(i, size));
    }
}

/* One round of the bitonic sort: sorted blocks of half the size become blocks of this one, where there are as many places.
 * Written out, so that all is known when it is compiled. */
INLINE void sort_round(lanes *v, uint32_t vectors, uint32_t size)
{
    if (size > vectors * LANES) {
        return;
    }
    if (size >= 256) {
        sort_step(v, vectors, size, 128);
    }
    if (size >= 128) {
        sort_step(v, vectors, size, 64);
    }
    if (size >= 64) {
        sort_step(v, vectors, size, 32);
    }
    if (size >= 32) {
        sort_step(v, vectors, size, 16);
    }
    if (size >= 16) {
        sort_step(v, vectors, size, 8);
    }
    if (size >= 8) {
        sort_step(v, vectors, size, 4);
    }
    if (size >= 4) {
        sort_step(v, vectors, size, 2);
    }
    sort_step(v, vectors, size, 1);
}

/* Up to 256 places. */
INLINE void sort_block(lanes *v, uint32_t vectors)
{
    sort_round(v, vectors, 2);
    sort_round(v, vectors, 4);
    sort_round(v, vectors, 8);
    sort_round(v, vectors, 16);
    sort_round(v, vectors, 32);
    sort_round(v, vectors, 64);
    sort_round(v, vectors, 128);
    sort_round(v, vectors, 256);
}

/* Keys without room for a place. */
static __attribute__((noinline)) void rank_block(const int32_t *keys, uint32_t count, int32_t *places)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t before = 0;
        for (uint32_t j = 0; j < count; j++) {
            before += keys[j] < keys[i];
        }
        places[before] = (int32_t)i;
    }
    for (uint32_t i = count; i < BATCH_PACKETS; i++) {
        places[i] = 0;
    }
}

/* The places of the batch in the order of service, and their keys in this order. */
INLINE void batch_rank(const struct port_batch *batch, uint32_t vectors, lanes *place, lanes *key)
{
    union block places, keys;
    rank_block(batch->keys, batch->count, places.each);
    for (uint32_t i = 0; i < vectors * LANES; i++) {
        keys.each[i] = batch->keys[places.each[i]];
    }
    for (uint32_t i = 0; i < vectors; i++) {
        place[i] = places.v[i];
        key[i] = keys.v[i];
    }
}

INLINE void keys_load(const struct port_batch *batch, uint32_t vectors, lanes *v)
{
    for (uint32_t i = 0; i < vectors; i++) {
        lanes is_packet = lane_ids(i) < splat((int32_t)batch->count);
        v[i] = *(const lanes *)&batch->keys[i * LANES] << PLACE_BITS | lane_ids(i);
        v[i] = pick(is_packet, v[i], splat(INT32_MAX));
    }
}

INLINE void keys_part(const lanes *v, uint32_t vectors, lanes *place, lanes *key)
{
    for (uint32_t i = 0; i < vectors; i++) {
        place[i] = v[i] & splat(BATCH_PACKETS - 1);
        key[i] = v[i] >> PLACE_BITS;
    }
}

/* ---- packets in the order of service ---------------------------------------------------------------------- */

/* Puts the packets of a batch into this order, and finds their sizes. */
#if SWITCH_LANES == 16
#define PAIR(q) 4 * q, 4 * q, 4 * q, 4 * q, 4 * q + 1, 4 * q + 1, 4 * q + 1, 4 * q + 1, 4 * q + 2, 4 * q + 2, 4 * q + 2, \
                4 * q + 2, 4 * q + 3, 4 * q + 3, 4 * q + 3, 4 * q + 3
/* The words of four packets whose places are in the lanes 4 quarter .. of a vector. */
INLINE __m512i quarter_words(lanes place, uint32_t quarter)
{
    static const int32_t pairs[4][16] __attribute__((aligned(64))) = {{PAIR(0)}, {PAIR(1)}, {PAIR(2)}, {PAIR(3)}};
    __m512i twice = _mm512_slli_epi32((__m512i)place, 1);
    __m512i words_of = _mm512_permutexvar_epi32(_mm512_load_si512(pairs[quarter]), twice);
    return _mm512_or_si512(words_of, _mm512_set_epi64(1, 0, 1, 0, 1, 0, 1, 0));
}

/* The sizes in four quarters of a vector. */
INLINE lanes quarters_size(const __m512i *quarter)
{
    __m512i sizes_at = (__m512i)(lanes){2, 6, 10, 14, 18, 22, 26, 30, 2, 6, 10, 14, 18, 22, 26, 30};
    __m512i low = _mm512_permutex2var_epi32(_mm512_srli_epi64(quarter[0], WORD_SIZE_SHIFT), sizes_at,
                                            _mm512_srli_epi64(quarter[1], WORD_SIZE_SHIFT));
    __m512i high = _mm512_permutex2var_epi32(_mm512_srli_epi64(quarter[2], WORD_SIZE_SHIFT), sizes_at,
                                             _mm512_srli_epi64(quarter[3], WORD_SIZE_SHIFT));
    return (lanes)_mm512_inserti64x4(low, _mm512_castsi512_si256(high), 1) & splat(PACKET_BYTES_MAX);
}

/* Of 16 packets, whose places count from the first of them. */
INLINE void packets_sort(struct packet *packets, lanes place, lanes *size)
{
    __m512i from[4], sorted[4];
    for (uint32_t q = 0; q < 4; q++) {
        from[q] = _mm512_loadu_si512(packets + 4 * q);
    }
    for (uint32_t q = 0; q < 4; q++) {
        __m512i at = quarter_words(place, q);
        __m512i low = _mm512_permutex2var_epi64(from[0], at, from[1]);
        __m512i high = _mm512_permutex2var_epi64(from[2], at, from[3]);
        sorted[q] = _mm512_mask_blend_epi64(_mm512_test_epi64_mask(at, _mm512_set1_epi64(16)), low, high);
    }
    *size = quarters_size(sorted);
    for (uint32_t q = 0; q < 4; q++) {
        _mm512_storeu_si512(packets + 4 * q, sorted[q]);
    }
}

INLINE void batch_sort(struct port_batch *batch, const lanes *place, uint32_t vectors, lanes *size)
{
    __m512i *packets = (__m512i *)batch->packets, sorted[4 * VECTORS_MAX];
    if (vectors == 1) {
        packets_sort(batch->packets, place[0], size);
        return;
    }
    for (uint32_t i = 0; i < vectors; i++) {
        for (uint32_t q = 0; q < 4; q++) {
            __m512i at = _mm512_and_si512(quarter_words(place[i], q), _mm512_set1_epi64(2 * BATCH_PACKETS - 1));
            sorted[4 * i + q] = _mm512_i64gather_epi64(at, packets, 8);
        }
        size[i] = quarters_size(&sorted[4 * i]);
    }
    for (uint32_t q = 0; q < 4 * vectors; q++) {
        packets[q] = sorted[q];
    }
}

/* As many as there is room for: 16 at most. */
INLINE void packets_move(const struct packet *from, uint32_t count, struct packet *to)
{
    uint32_t mask = (UINT32_C(1) << (count & 15) << (count & 15)) - 1; /* two bits a packet */
    mask = count == 16 ? UINT32_MAX : mask;
    for (uint32_t q = 0; q < 4; q++) {
        __mmask8 part = (__mmask8)(mask >> 8 * q);
        _mm512_mask_storeu_epi64(to + 4 * q, part, _mm512_loadu_si512(from + 4 * q));
    }
}

INLINE void keys_move(const uint32_t *from, uint32_t count, uint32_t *to)
{
    _mm512_mask_storeu_epi32(to, (__mmask16)((UINT32_C(1) << count) - 1), _mm512_loadu_si512(from));
}

INLINE void times_move(const int32_t *from, uint32_t count, uint64_t start_ps, uint64_t *to)
{
    __m512i start = _mm512_set1_epi64((int64_t)start_ps), times = _mm512_loadu_si512(from);
    uint32_t mask = (UINT32_C(1) << count) - 1;
    __m512i low = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(times));
    __m512i high = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(times, 1));
    _mm512_mask_storeu_epi64(to, (__mmask8)mask, _mm512_add_epi64(low, start));
    _mm512_mask_storeu_epi64(to + 8, (__mmask8)(mask >> 8), _mm512_add_epi64(high, start));
}
#else
INLINE void batch_sort(struct port_batch *batch, const lanes *place, uint32_t vectors, lanes *size)
{
    struct packet sorted[BATCH_PACKETS];
    union block places, sizes;
    for (uint32_t i = 0; i < vectors; i++) {
        places.v[i] = place[i];
    }
    for (uint32_t i = 0; i < vectors * LANES; i++) {
        sorted[i] = batch->packets[places.each[i]];
        sizes.each[i] = (int32_t)sorted[i].size_bytes;
    }
    memcpy(batch->packets, sorted, vectors * LANES * sizeof *sorted);
    for (uint32_t i = 0; i < vectors; i++) {
        size[i] = sizes.v[i];
    }
}

INLINE void packets_move(const struct packet *from, uint32_t count, struct packet *to)
{
    for (uint32_t i = 0; i < count; i++) {
        to[i] = from[i];
    }
}

INLINE void keys_move(const uint32_t *from, uint32_t count, uint32_t *to)
{
    for (uint32_t i = 0; i < count; i++) {
        to[i] = from[i];
    }
}

INLINE void times_move(const int32_t *from, uint32_t count, uint64_t start_ps, uint64_t *to)
{
    for (uint32_t i = 0; i < count; i++) {
        to[i] = start_ps + (uint64_t)(int64_t)from[i];
    }
}
#endif
