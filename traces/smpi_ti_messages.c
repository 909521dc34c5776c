/* Sends, receives, requests and waits of time-independent traces: see smpi_ti.h. */
#include "traces/smpi_ti.h"

#include "traces/text_lines.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* ---- sends and receives ------------------------------------------------------------------------------ */

static uint64_t triple_hash(uint32_t src, uint32_t dst, uint32_t tag)
{
    uint32_t triple[3] = {src, dst, tag};
    return XXH3_64bits(triple, sizeof triple);
}

static struct ti_channel *channel_find(struct ti_census *census, uint32_t src, uint32_t dst, uint32_t tag)
{
    if (2 * (census->count + 1) > census->slot_count) {
        census->slot_count = census->slot_count == 0 ? 256 : 2 * census->slot_count;
        census->slot = arena_array(census->arena, census->slot_count, uint32_t);
        for (size_t i = 0; i < census->count; i++) {
            const struct ti_channel *channel = &census->channels[i];
            size_t at = triple_hash(channel->src, channel->dst, channel->tag) & (census->slot_count - 1);
            while (census->slot[at] != 0) {
                at = (at + 1) & (census->slot_count - 1);
            }
            census->slot[at] = (uint32_t)i + 1;
        }
    }
    size_t at = triple_hash(src, dst, tag) & (census->slot_count - 1);
    for (; census->slot[at] != 0; at = (at + 1) & (census->slot_count - 1)) {
        struct ti_channel *channel = &census->channels[census->slot[at] - 1];
        if (channel->src == src && channel->dst == dst && channel->tag == tag) {
            return channel;
        }
    }
    struct ti_channel *added = &vec_push(census->arena, census->channels, census->count, census->capacity);
    *added = (struct ti_channel){.src = src, .dst = dst, .tag = tag};
    census->slot[at] = (uint32_t)census->count;
    return added;
}

static void census_add(struct ti_reading *reading, uint32_t dst, uint32_t tag, uint64_t bytes)
{
    if (reading->is_census) {
        struct ti_channel *channel = channel_find(&reading->census, reading->rank, dst, tag);
        vec_push(reading->census.arena, channel->sizes, channel->count, channel->capacity) = bytes;
    }
}

/* The length of the next receive from `src`; `bytes` is what the line says, UINT64_MAX where it says nothing.
 */
static enum status length_find(struct ti_reading *reading, uint32_t src, uint32_t tag, uint64_t *bytes)
{
    bool is_unknown = *bytes == UINT64_MAX;
    if (reading->census.arena == NULL || reading->is_census) {
        reading->needs_census |= is_unknown;
        *bytes = is_unknown ? 0 : *bytes;
        return STATUS_OK;
    }
    struct ti_channel *channel = channel_find(&reading->census, src, reading->rank, tag);
    size_t number = channel->taken++;
    if (!is_unknown) {
        return STATUS_OK;
    }
    if (number >= channel->count) {
        return ti_refuse(reading, "number %zu from rank %u with tag %u has no send; expected one", number,
                         src, tag);
    }
    *bytes = channel->sizes[number];
    ti_note(reading, NOTE_UNKNOWN_SIZE, 1, *bytes);
    return STATUS_OK;
}

static void request_add(struct ti_reading *reading, uint32_t src, uint32_t dst, uint32_t tag, uint32_t op)
{
    uint32_t *link = &reading->request_slot[triple_hash(src, dst, tag) % REQUEST_SLOTS];
    while (*link != ID_NONE) {
        struct ti_request *request = &reading->requests[*link];
        if (request->is_done) {
            *link = request->next; /* nobody asks for it any more */
        } else {
            link = &request->next;
        }
    }
    *link = (uint32_t)reading->request_count; /* before the push, which may move what it points into */
    vec_push(reading->rank_arena, reading->requests, reading->request_count, reading->request_capacity) =
        (struct ti_request){src, dst, tag, op, ID_NONE, false};
}

static enum status send_do(struct ti_reading *reading, bool is_blocking)
{
    uint32_t peer, tag;
    uint64_t bytes;
    enum status status = ti_words_expect(reading, 3, 4);
    status = status == STATUS_OK ? ti_rank_read(reading, 0, &peer) : status;
    status = status == STATUS_OK ? ti_tag_read(reading, 1, &tag) : status;
    status = status == STATUS_OK ? ti_bytes_read(reading, 2, 3, &bytes) : status;
    if (status != STATUS_OK) {
        return status;
    }
    census_add(reading, peer, tag, bytes);
    uint32_t op = ti_message_add(reading, OP_SEND, peer, bytes, tag);
    bool is_eager = bytes < reading->values->eager_bytes;
    ti_note(reading, NOTE_EAGER, is_eager, is_eager ? bytes : 0);
    if (!is_blocking) {
        request_add(reading, reading->rank, peer, tag, is_eager ? ID_NONE : op);
    } else if (!is_eager) {
        reading->previous = op;
    }
    return STATUS_OK;
}

static enum status recv_do(struct ti_reading *reading, bool is_blocking)
{
    uint32_t peer, tag;
    uint64_t bytes = UINT64_MAX;
    enum status status = ti_words_expect(reading, 3, 4);
    status = status == STATUS_OK ? ti_rank_read(reading, 0, &peer) : status;
    status = status == STATUS_OK ? ti_tag_read(reading, 1, &tag) : status;
    if (status == STATUS_OK && strcmp(reading->word[2], "-1") != 0) {
        status = ti_bytes_read(reading, 2, 3, &bytes);
    }
    status = status == STATUS_OK ? length_find(reading, peer, tag, &bytes) : status;
    if (status != STATUS_OK) {
        return status;
    }
    uint32_t op = ti_message_add(reading, OP_RECV, peer, bytes, tag);
    if (is_blocking) {
        reading->previous = op;
    } else {
        request_add(reading, peer, reading->rank, tag, op);
    }
    return STATUS_OK;
}

enum status ti_do_send(struct ti_reading *reading)
{
    return send_do(reading, true);
}

enum status ti_do_isend(struct ti_reading *reading)
{
    return send_do(reading, false);
}

enum status ti_do_recv(struct ti_reading *reading)
{
    return recv_do(reading, true);
}

enum status ti_do_irecv(struct ti_reading *reading)
{
    return recv_do(reading, false);
}

/* Both directions at once, with tag 0. */
enum status ti_do_sendrecv(struct ti_reading *reading)
{
    uint32_t dst, src;
    uint64_t sent, received;
    enum status status = ti_words_expect(reading, 4, 6);
    status = status == STATUS_OK ? ti_bytes_read(reading, 0, 4, &sent) : status;
    status = status == STATUS_OK ? ti_rank_read(reading, 1, &dst) : status;
    status = status == STATUS_OK ? ti_bytes_read(reading, 2, 5, &received) : status;
    status = status == STATUS_OK ? ti_rank_read(reading, 3, &src) : status;
    status = status == STATUS_OK ? length_find(reading, src, 0, &received) : status;
    if (status == STATUS_OK) {
        census_add(reading, dst, 0, sent);
        uint32_t send = ti_message_add(reading, OP_SEND, dst, sent, 0);
        uint32_t recv = ti_message_add(reading, OP_RECV, src, received, 0);
        uint32_t join = ti_join_add(reading);
        job_builder_dep(reading->builder, join, send);
        job_builder_dep(reading->builder, join, recv);
        reading->previous = join;
    }
    return status;
}

enum status ti_do_wait(struct ti_reading *reading)
{
    uint32_t src, dst, tag;
    enum status status = ti_words_expect(reading, 3, 3);
    status = status == STATUS_OK ? ti_rank_read(reading, 0, &src) : status;
    status = status == STATUS_OK ? ti_rank_read(reading, 1, &dst) : status;
    status = status == STATUS_OK ? ti_tag_read(reading, 2, &tag) : status;
    if (status != STATUS_OK) {
        return status;
    }
    uint32_t at = reading->request_slot[triple_hash(src, dst, tag) % REQUEST_SLOTS];
    for (; at != ID_NONE; at = reading->requests[at].next) {
        struct ti_request *request = &reading->requests[at];
        if (!request->is_done && request->src == src && request->dst == dst && request->tag == tag) {
            request->is_done = true;
            if (request->op != ID_NONE) {
                uint32_t join = ti_join_add(reading);
                job_builder_dep(reading->builder, join, request->op);
                reading->previous = join;
            }
            return STATUS_OK;
        }
    }
    ti_note(reading, NOTE_UNKNOWN_WAIT, 1, 0);
    return STATUS_OK;
}

enum status ti_do_waitall(struct ti_reading *reading)
{
    uint32_t join = ID_NONE;
    for (size_t i = 0; i < reading->request_count; i++) {
        const struct ti_request *request = &reading->requests[i];
        if (!request->is_done && request->op != ID_NONE) {
            join = join == ID_NONE ? ti_join_add(reading) : join;
            job_builder_dep(reading->builder, join, request->op);
        }
    }
    reading->previous = join != ID_NONE ? join : reading->previous;
    reading->request_count = 0;
    memset(reading->request_slot, 0xff, REQUEST_SLOTS * sizeof *reading->request_slot);
    return STATUS_OK;
}

enum status ti_do_test(struct ti_reading *reading)
{
    ti_note(reading, NOTE_TEST, 1, 0);
    return STATUS_OK;
}
