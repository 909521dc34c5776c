/* Recursive halving and doubling: partners at distances p/2, p/4, ... 1 halve what they reduce, and at 1, 2, ... p/2 double
 * what they hold.
 *
 *      members   0  1  2  3  4  5  6      p = 4, the largest power of two; 3 are left over
 *      fold      0►1   2►3   4►5   6      the even ones of the first 2 * 3 hand over to their neighbour
 *      exchange     0     1     2  3      numbers of those that remain
 *      unfold    0◄1   2◄3   4◄5   6      and get the result from it
 *
 * all_reduce: halving then doubling (Rabenseifner). all_gather: doubling. reduce_scatter: halving. Members that fold put in
 * their whole buffer or shard; one that remains works for both.
 *
 * Thakur, Rabenseifner, Gropp, Optimization of collective communication operations in MPICH (2005).
 * Not modelled: the time of the reduction itself; members that fold send once more than MPICH lets them where the group
 * is no power of two (all-gather: their own shard comes back to them with the rest). */
#include "netsim/replay/collective.h"

enum phase { PHASE_FOLD, PHASE_HALVE, PHASE_DOUBLE, PHASE_UNFOLD };

struct halving_use {
    bool halves, doubles;
};

static uint32_t levels_of(const struct collective_call *call)
{
    return 31 - (uint32_t)__builtin_clz(call->members);
}

static uint32_t left_over(const struct collective_call *call)
{
    return call->members - (1u << levels_of(call));
}

static uint64_t steps_of(const struct collective_call *call, const struct halving_use *use)
{
    return (uint64_t)levels_of(call) * (use->halves + use->doubles) + (left_over(call) > 0 ? 2 : 0);
}

/* Numbers of those that remain; ID_NONE for one that folds. */
static uint32_t number_of(const struct collective_call *call, uint32_t member)
{
    uint32_t left = left_over(call);
    if (member >= 2 * left) {
        return member - left;
    }
    return member % 2 == 1 ? member / 2 : ID_NONE;
}

static uint32_t member_of(const struct collective_call *call, uint32_t number)
{
    uint32_t left = left_over(call);
    return number < left ? 2 * number + 1 : number + left;
}

/* The first member for which the one of this number, or one after it, works. */
static uint32_t share_at(const struct collective_call *call, uint32_t number)
{
    uint32_t left = left_over(call);
    return number < left ? 2 * number : number + left;
}

struct halving {
    enum phase phase;
    uint32_t distance;
};

static struct halving halving_of(const struct collective_call *call, const struct halving_use *use, uint64_t k)
{
    uint32_t levels = levels_of(call);
    if (left_over(call) > 0) {
        if (k == 0) {
            return (struct halving){PHASE_FOLD, 0};
        }
        if (k + 1 == steps_of(call, use)) {
            return (struct halving){PHASE_UNFOLD, 0};
        }
        k--;
    }
    if (use->halves && k < levels) {
        return (struct halving){PHASE_HALVE, 1u << (levels - 1 - k)};
    }
    return (struct halving){PHASE_DOUBLE, 1u << (k - (use->halves ? levels : 0))};
}

/* Shares of the numbers first .. first + count - 1, which are neighbours in the buffer. */
static struct collective_piece shares_piece(const struct collective_call *call, uint32_t first, uint32_t count)
{
    uint32_t from = share_at(call, first), to = share_at(call, first + count);
    uint64_t first_byte = chunk_at(call->bytes, from, call->members);
    return (struct collective_piece){.first_byte = first_byte, .bytes = chunk_at(call->bytes, to, call->members) - first_byte};
}

static struct collective_piece shards_piece(const struct collective_call *call, uint32_t first, uint32_t count)
{
    uint64_t from = share_at(call, first), to = share_at(call, first + count);
    return (struct collective_piece){.first_byte = from * call->bytes, .bytes = (to - from) * call->bytes};
}

/* A partner reduces the half in which its own share lies; doubling turns it round. */
static struct collective_piece exchange_piece(const struct collective_call *call, const struct halving_use *use,
                                              struct halving halving)
{
    uint32_t number = number_of(call, call->self), mask = ~(halving.distance - 1);
    bool is_halving = halving.phase == PHASE_HALVE;
    uint32_t first = (is_halving ? number ^ halving.distance : number) & mask;
    struct collective_piece piece = use->halves ? shares_piece(call, first, halving.distance)
                                                : shards_piece(call, first, halving.distance);
    piece.is_added = is_halving;
    return piece;
}

static struct collective_piece folded_piece(const struct collective_call *call, const struct halving_use *use)
{
    struct collective_piece piece = use->halves ? piece_all(call->bytes) : piece_shard(call, call->self);
    piece.is_added = use->halves;
    return piece;
}

/* What the one that remains gives back: the own chunk of a reduce-scatter, else everything. */
static struct collective_piece unfolded_piece(const struct collective_call *call, const struct halving_use *use)
{
    if (!use->doubles) {
        return piece_chunk(piece_all(call->bytes), call->self - 1, call->members);
    }
    return piece_all(use->halves ? call->bytes : call->members * call->bytes);
}

static struct collective_piece halving_piece(const struct collective_call *call, const struct halving_use *use,
                                             uint64_t k)
{
    struct halving halving = halving_of(call, use, k);
    switch (halving.phase) {
    case PHASE_FOLD:
        return folded_piece(call, use);
    case PHASE_UNFOLD:
        return unfolded_piece(call, use);
    default:
        return exchange_piece(call, use, halving);
    }
}

static void halving_step(const struct collective_call *call, const struct halving_use *use, uint64_t k,
                         struct collective_step *step)
{
    struct halving halving = halving_of(call, use, k);
    uint32_t number = number_of(call, call->self);
    bool is_folded = number == ID_NONE, is_host = !is_folded && number < left_over(call);
    if (halving.phase == PHASE_FOLD) {
        step->send_to = is_folded ? call->self + 1 : ID_NONE;
        step->recv_from = is_host ? call->self - 1 : ID_NONE;
    } else if (halving.phase == PHASE_UNFOLD) {
        step->send_to = is_host ? call->self - 1 : ID_NONE;
        step->recv_from = is_folded ? call->self + 1 : ID_NONE;
    } else if (!is_folded) {
        step->send_to = step->recv_from = member_of(call, number ^ halving.distance);
    }
    step->send_bytes = step->send_to == ID_NONE ? 0 : halving_piece(call, use, k).bytes;
    step->after_recv = k;
}

#define HALVING(symbol_, name_, kind_, summary_, ...)                                                             \
    static const struct halving_use symbol_##_use = {__VA_ARGS__};                                                \
    static uint64_t symbol_##_count(const struct collective_call *call, uint32_t lane)                            \
    {                                                                                                             \
        (void)lane;                                                                                               \
        return steps_of(call, &symbol_##_use);                                                                    \
    }                                                                                                             \
    static void symbol_##_step(const struct collective_call *call, uint32_t lane, uint64_t k,                     \
                               struct collective_step *step)                                                      \
    {                                                                                                             \
        (void)lane;                                                                                               \
        halving_step(call, &symbol_##_use, k, step);                                                              \
    }                                                                                                             \
    static bool symbol_##_piece(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,    \
                                struct collective_piece *piece)                                                   \
    {                                                                                                             \
        (void)lane;                                                                                               \
        *piece = halving_piece(call, &symbol_##_use, k);                                                          \
        return index == 0;                                                                                        \
    }                                                                                                             \
    const struct collective_algorithm collective_##symbol_ = {                                                    \
        .name = name_, .kind = kind_, .summary = summary_, .step_count = symbol_##_count,                         \
        .step = symbol_##_step, .piece = symbol_##_piece};

HALVING(halving_doubling_all_reduce, "halving_doubling", COLLECTIVE_ALL_REDUCE,
        "recursive halving, then recursive doubling", true, true)
HALVING(doubling_all_gather, "recursive_doubling", COLLECTIVE_ALL_GATHER, "partners 1, 2, 4, ... away exchange all they have",
        false, true)
HALVING(halving_reduce_scatter, "recursive_halving", COLLECTIVE_REDUCE_SCATTER,
        "partners ..., 4, 2, 1 away exchange halves", true, false)
