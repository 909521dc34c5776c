/* Collectives of time-independent traces: see smpi_ti.h. */
#include "traces/smpi_ti.h"

#include "traces/text_lines.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- collectives ------------------------------------------------------------------------------------- */

enum status ti_do_barrier(struct ti_reading *reading)
{
    ti_collective_add(reading, COLLECTIVE_BARRIER, 0, 0);
    return STATUS_OK;
}

static enum status root_read(const struct ti_reading *reading, size_t at, uint32_t *root)
{
    *root = 0;
    return at < reading->word_count ? ti_rank_read(reading, at, root) : STATUS_OK;
}

enum status ti_do_bcast(struct ti_reading *reading)
{
    uint64_t bytes;
    uint32_t root;
    enum status status = ti_words_expect(reading, 1, 3);
    status = status == STATUS_OK ? ti_bytes_read(reading, 0, 2, &bytes) : status;
    status = status == STATUS_OK ? root_read(reading, 1, &root) : status;
    if (status == STATUS_OK) {
        ti_collective_add(reading, COLLECTIVE_BROADCAST, bytes, root);
    }
    return status;
}

enum status ti_do_reduce(struct ti_reading *reading)
{
    uint64_t bytes;
    uint32_t root;
    enum status status = ti_words_expect(reading, 2, 4);
    status = status == STATUS_OK ? ti_bytes_read(reading, 0, 3, &bytes) : status;
    status = status == STATUS_OK ? root_read(reading, 2, &root) : status;
    if (status == STATUS_OK) {
        ti_collective_add(reading, COLLECTIVE_REDUCE, bytes, root);
        status = ti_flops_add(reading, 1);
    }
    return status;
}

enum status ti_do_allreduce(struct ti_reading *reading)
{
    uint64_t bytes;
    enum status status = ti_words_expect(reading, 2, 3);
    status = status == STATUS_OK ? ti_bytes_read(reading, 0, 2, &bytes) : status;
    if (status == STATUS_OK) {
        ti_collective_add(reading, COLLECTIVE_ALL_REDUCE, bytes, 0);
        status = ti_flops_add(reading, 1);
    }
    return status;
}

static enum status whole_of(const struct ti_reading *reading, uint64_t part, uint64_t *whole)
{
    return __builtin_mul_overflow(part, (uint64_t)reading->rank_count, whole) || *whole > UINT64_MAX >> 4
               ? ti_refuse(reading, "moves more than 2^60 bytes")
               : STATUS_OK;
}

enum status ti_do_alltoall(struct ti_reading *reading)
{
    uint64_t part, bytes;
    enum status status = ti_words_expect(reading, 2, 4);
    status = status == STATUS_OK ? ti_bytes_read(reading, 0, 2, &part) : status;
    status = status == STATUS_OK ? whole_of(reading, part, &bytes) : status;
    if (status == STATUS_OK) {
        ti_collective_add(reading, COLLECTIVE_ALL_TO_ALL, bytes, 0);
    }
    return status;
}

enum status ti_do_allgather(struct ti_reading *reading)
{
    uint64_t bytes;
    enum status status = ti_words_expect(reading, 2, 4);
    status = status == STATUS_OK ? ti_bytes_read(reading, 0, 2, &bytes) : status;
    if (status == STATUS_OK) {
        ti_collective_add(reading, COLLECTIVE_ALL_GATHER, bytes, 0);
    }
    return status;
}

/* Only the root's side of these is sure to be filled in; both sides say the same size. */
static enum status gather_or_scatter(struct ti_reading *reading, bool is_gather)
{
    uint64_t sent, received, bytes;
    uint32_t root;
    enum status status = ti_words_expect(reading, 2, 5);
    status = status == STATUS_OK ? ti_bytes_read(reading, 0, 3, &sent) : status;
    status = status == STATUS_OK ? ti_bytes_read(reading, 1, 4, &received) : status;
    status = status == STATUS_OK ? root_read(reading, 2, &root) : status;
    uint64_t part = status == STATUS_OK && sent > received ? sent : received;
    status = status == STATUS_OK ? whole_of(reading, part, &bytes) : status;
    if (status == STATUS_OK) {
        ti_collective_add(reading, is_gather ? COLLECTIVE_GATHER : COLLECTIVE_SCATTER,
                          is_gather ? part : bytes, root);
    }
    return status;
}

enum status ti_do_gather(struct ti_reading *reading)
{
    return gather_or_scatter(reading, true);
}

enum status ti_do_scatter(struct ti_reading *reading)
{
    return gather_or_scatter(reading, false);
}

/* The sum of rank_count counts from word `first` on; whether they differ. */
static enum status counts_sum(const struct ti_reading *reading, size_t first, uint64_t *sum, bool *is_equal)
{
    uint64_t one = 0, count;
    *sum = 0;
    *is_equal = true;
    for (uint32_t i = 0; i < reading->rank_count; i++) {
        enum status status = ti_count_read(reading, first + i, &count);
        if (status != STATUS_OK) {
            return status;
        }
        one = i == 0 ? count : one;
        *is_equal &= count == one;
        if (__builtin_add_overflow(*sum, count, sum) || *sum > UINT64_MAX >> 10) {
            return ti_refuse(reading, "moves more than 2^54 elements");
        }
    }
    return STATUS_OK;
}

enum status ti_do_allgatherv(struct ti_reading *reading)
{
    uint32_t ranks = reading->rank_count;
    uint64_t elements, each;
    bool is_equal;
    enum status status = ti_words_expect(reading, ranks + 1, 2 * (size_t)ranks + 3);
    bool has_types =
        status == STATUS_OK && (reading->word_count > 2 * (size_t)ranks + 1 ||
                                (reading->word_count > ranks + 1 && reading->word_count <= ranks + 3));
    status = status == STATUS_OK ? counts_sum(reading, 1, &elements, &is_equal) : status;
    status = status == STATUS_OK ? ti_type_read(reading, has_types ? ranks + 1 : SIZE_MAX, &each) : status;
    if (status == STATUS_OK) {
        ti_note(reading, NOTE_UNEQUAL, !is_equal, is_equal ? 0 : elements * each);
        ti_collective_add(reading, COLLECTIVE_ALL_GATHER, (elements * each + ranks - 1) / ranks, 0);
    }
    return status;
}

/* A whole line of reducescatter has the counts of all ranks, flops, and perhaps a type; what SimGrid writes
 * of MPI_Reduce_scatter_block(c) has c zeros and a type. */
static enum status block_read(struct ti_reading *reading, uint64_t *elements, uint64_t *each)
{
    if (reading->values->block_policy == BLOCK_REFUSE) {
        return ti_refuse(
            reading,
            "has %zu arguments for %u ranks and no counts: SimGrid writes "
            "MPI_Reduce_scatter_block so; trace.reduce_scatter_block=repair takes the zeros for its count",
            reading->word_count, reading->rank_count);
    }
    enum status status = ti_words_expect(reading, 2, SIZE_MAX);
    status = status == STATUS_OK ? ti_type_read(reading, reading->word_count - 1, each) : status;
    *elements = (uint64_t)(reading->word_count - 1) * reading->rank_count;
    ti_note(reading, NOTE_BLOCK, 1, 0);
    return status;
}

static bool all_zero(const struct ti_reading *reading, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(reading->word[i], "0") != 0) {
            return false;
        }
    }
    return true;
}

enum status ti_do_reducescatter(struct ti_reading *reading)
{
    uint32_t ranks = reading->rank_count;
    uint64_t elements = 0, each = 0;
    bool is_equal = true;
    size_t words = reading->word_count;
    bool is_block = (words != (size_t)ranks + 1 && words != (size_t)ranks + 2) || all_zero(reading, ranks);
    if (is_block && !all_zero(reading, words > 0 ? words - 1 : 0)) {
        return ti_words_expect(reading, (size_t)ranks + 1, (size_t)ranks + 2);
    }
    enum status status;
    if (is_block) {
        status = block_read(reading, &elements, &each);
    } else {
        status = counts_sum(reading, 0, &elements, &is_equal);
        status = status == STATUS_OK ? ti_type_read(reading, (size_t)ranks + 1, &each) : status;
    }
    if (status != STATUS_OK) {
        return status;
    }
    ti_note(reading, NOTE_UNEQUAL, !is_equal, is_equal ? 0 : elements * each);
    ti_collective_add(reading, COLLECTIVE_REDUCE_SCATTER, elements * each, 0);
    return is_block ? STATUS_OK : ti_flops_add(reading, ranks);
}

/* ---- collectives as messages ------------------------------------------------------------------------- */

enum { TAG_GATHERV, TAG_SCATTERV, TAG_ALLTOALLV, TAG_SCAN };

/* Ends a call of several messages: what comes next waits for all of them. */
static void messages_join(struct ti_reading *reading, uint32_t first, uint32_t count)
{
    uint32_t join = ti_join_add(reading);
    for (uint32_t i = 0; i < count; i++) {
        job_builder_dep(reading->builder, join, first + i);
    }
    reading->previous = join;
}

/* The messages between the root and all others: `counts_at` has a count for each rank. The others send, or
 * receive, word `own_at` elements. */
static enum status star_add(struct ti_reading *reading, bool is_gather, size_t counts_at, size_t own_at,
                            size_t types_at, uint32_t root)
{
    uint32_t tag = COLLECTIVE_TAG + (is_gather ? TAG_GATHERV : TAG_SCATTERV), first = ID_NONE, count = 0;
    uint64_t bytes;
    if (reading->rank != root) {
        enum status status = ti_bytes_read(reading, own_at, types_at + !is_gather, &bytes);
        if (status == STATUS_OK) {
            reading->previous = ti_message_add(reading, is_gather ? OP_SEND : OP_RECV, root, bytes, tag);
        }
        return status;
    }
    for (uint32_t rank = 0; rank < reading->rank_count; rank++) {
        enum status status = ti_bytes_read(reading, counts_at + rank, types_at + is_gather, &bytes);
        if (status != STATUS_OK) {
            return status;
        }
        if (rank != root) {
            uint32_t op = ti_message_add(reading, is_gather ? OP_RECV : OP_SEND, rank, bytes, tag);
            first = count++ == 0 ? op : first;
        }
    }
    if (count > 0) {
        messages_join(reading, first, count);
    }
    return STATUS_OK;
}

/* SimGrid writes the counts on the root only: the others have their own count, the root and two types. With
 * two or three ranks a line of four words could be either. */
static bool star_has_counts(const struct ti_reading *reading)
{
    uint32_t root;
    bool is_short = reading->word_count == 4 && text_u32(reading->word[1], &root) && root != reading->rank &&
                    root < reading->rank_count;
    return reading->word_count > reading->rank_count && !is_short;
}

/* gatherv: own count, counts, root, types. scatterv: counts, own count, root, types. */
static enum status star_do(struct ti_reading *reading, bool is_gather)
{
    size_t ranks = reading->rank_count;
    uint32_t root = 0;
    bool has_counts = star_has_counts(reading);
    enum status status = ti_words_expect(reading, 1, ranks + 4);
    size_t root_at = has_counts ? ranks + 1 : 1;
    status = status == STATUS_OK ? root_read(reading, root_at, &root) : status;
    if (status != STATUS_OK) {
        return status;
    }
    if (!has_counts && root == reading->rank) {
        return ti_refuse(reading,
                         "has %zu arguments on the root; expected the counts of %zu ranks among them",
                         reading->word_count, ranks);
    }
    ti_note(reading, NOTE_EXPANDED, 1, 0);
    return star_add(reading, is_gather, is_gather, is_gather || !has_counts ? 0 : ranks, root_at + 1, root);
}

enum status ti_do_gatherv(struct ti_reading *reading)
{
    return star_do(reading, true);
}

enum status ti_do_scatterv(struct ti_reading *reading)
{
    return star_do(reading, false);
}

enum status ti_do_alltoallv(struct ti_reading *reading)
{
    uint32_t ranks = reading->rank_count, first = ID_NONE, count = 0;
    size_t types_at = 2 * (size_t)ranks + 2;
    enum status status = ti_words_expect(reading, types_at, types_at + 2);
    uint64_t sent, received;
    for (uint32_t step = 1; step < ranks && status == STATUS_OK;
         step++) { /* each begins with its neighbour */
        uint32_t to = (reading->rank + step) % ranks, from = (reading->rank + ranks - step) % ranks;
        status = ti_bytes_read(reading, 1 + (size_t)to, types_at, &sent);
        if (status == STATUS_OK) {
            status = ti_bytes_read(reading, 2 + (size_t)ranks + from, types_at + 1, &received);
        }
        if (status == STATUS_OK) {
            uint32_t op = ti_message_add(reading, OP_RECV, from, received, COLLECTIVE_TAG + TAG_ALLTOALLV);
            ti_message_add(reading, OP_SEND, to, sent, COLLECTIVE_TAG + TAG_ALLTOALLV);
            first = count == 0 ? op : first;
            count += 2;
        }
    }
    if (status == STATUS_OK && count > 0) {
        ti_note(reading, NOTE_EXPANDED, 1, 0);
        messages_join(reading, first, count);
    }
    return status;
}

enum status ti_do_scan(struct ti_reading *reading)
{
    uint64_t bytes;
    enum status status = ti_words_expect(reading, 2, 3);
    status = status == STATUS_OK ? ti_bytes_read(reading, 0, 2, &bytes) : status;
    if (status != STATUS_OK) {
        return status;
    }
    ti_note(reading, NOTE_EXPANDED, 1, 0);
    if (reading->rank > 0) {
        reading->previous =
            ti_message_add(reading, OP_RECV, reading->rank - 1, bytes, COLLECTIVE_TAG + TAG_SCAN);
    }
    status = ti_flops_add(reading, 1);
    if (status == STATUS_OK && reading->rank + 1 < reading->rank_count) {
        reading->previous =
            ti_message_add(reading, OP_SEND, reading->rank + 1, bytes, COLLECTIVE_TAG + TAG_SCAN);
    }
    return status;
}
