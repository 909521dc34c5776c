/* Does a job fit together? The i-th collective of a group must be the same on all members, and sends and
 * receives must match one to one.
 *
 * Both are decided by digests: a program's collectives are folded per group slot, and its messages per (peer
 * delta), once; ranks then compare digests, so 16,384 ranks with four programs cost four walks and some
 * look-ups a rank. Only where two digests differ are the programs walked side by side to name the first
 * difference. */
#include "netsim/base/job.h"

#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* The collectives of a program on one of its group slots, in canonical order. */
struct slot_summary {
    uint64_t digest;
    uint32_t count;
    uint32_t root_max;
    uint32_t pair_members_min, pair_members_max; /* of its tables of unequal parts; both 0 without */
};

struct message {
    int32_t delta; /* from sender to receiver */
    uint32_t tag;
    uint32_t op;
};

/* The messages of a program to (or from) one peer delta: `count` from `first`, ordered by tag and canonical
 * order.
 */
struct run {
    int32_t delta;
    uint32_t first, count;
    uint64_t digest; /* of tags and sizes */
};

struct side {
    uint32_t message_count;
    struct run *run;
    uint32_t run_count;
};

struct summary {
    struct slot_summary *slots;
    struct side sends, receives;
};

struct check {
    const struct job *job;
    const char *const *rank_path;
    struct arena *scratch;
    struct summary *summaries; /* a program each */
    struct diag *diag;
    uint32_t *sequence;             /* room for the longest program */
    struct message *list, *sorting; /* room for the longest side of a program */
};

static uint64_t fold(uint64_t digest, uint64_t a, uint64_t b)
{
    uint64_t words[2] = {a, b};
    return XXH3_64bits_withSeed(words, sizeof words, digest + 1);
}

static struct origin rank_origin(const struct check *check, uint32_t rank)
{
    return (struct origin){.path = check->rank_path[rank]};
}

/* Operations in canonical order; NULL where that is the order in which they stand, as it mostly is. */
static const uint32_t *sequence_of(const struct program *program, uint32_t *room)
{
    for (uint32_t op = 0; op < program->op_count; op++) {
        if (program->order[op] != op) {
            program_sequence(program, room);
            return room;
        }
    }
    return NULL;
}

static inline uint32_t op_at(const uint32_t *sequence, uint32_t position)
{
    return sequence == NULL ? position : sequence[position];
}

/* ---- collectives
 * -------------------------------------------------------------------------------------------- */

static void pair_members_note(struct slot_summary *slot, uint32_t members)
{
    bool is_first = slot->pair_members_max == 0;
    slot->pair_members_min = is_first || members < slot->pair_members_min ? members : slot->pair_members_min;
    slot->pair_members_max = members > slot->pair_members_max ? members : slot->pair_members_max;
}

static void slots_summarise(const struct job *job, const struct program *program, const uint32_t *sequence,
                            struct slot_summary *slots)
{
    for (uint32_t position = 0; position < program->op_count && program->slot_count > 0; position++) {
        uint32_t op = op_at(sequence, position);
        if (program->kind[op] == OP_COLLECTIVE) {
            struct slot_summary *slot = &slots[program->group_slot[op]];
            uint64_t what = (uint64_t)program->collective[op] << 32 | program->root[op];
            slot->digest = fold(slot->digest, what, program->bytes[op]);
            if (program->pairs[op] != PAIRS_EQUAL) {
                slot->digest = fold(slot->digest, program->pairs[op], 0);
                pair_members_note(slot, job_pairs(job, program, op)->members);
            }
            slot->count++;
            slot->root_max = program->root[op] > slot->root_max ? program->root[op] : slot->root_max;
        }
    }
}

static uint32_t slot_of(const struct job *job, uint32_t rank, uint32_t group)
{
    for (uint32_t i = job->rank_group_first[rank]; i < job->rank_group_first[rank + 1]; i++) {
        if (job->rank_group[i] == group) {
            return i - job->rank_group_first[rank];
        }
    }
    return ID_NONE;
}

/* The collectives that `rank` runs in `group`; all zero where there are none. */
static struct slot_summary member_summary(const struct check *check, uint32_t rank, uint32_t group)
{
    uint32_t slot = slot_of(check->job, rank, group), program = check->job->rank_program[rank];
    if (slot == ID_NONE || slot >= check->job->programs[program].slot_count) {
        return (struct slot_summary){0};
    }
    return check->summaries[program].slots[slot];
}

/* The collectives of `rank` in `group`, in canonical order. */
static const uint32_t *collectives_list(const struct check *check, uint32_t rank, uint32_t group,
                                        uint32_t *count)
{
    const struct program *program = job_program(check->job, rank);
    uint32_t slot = slot_of(check->job, rank, group);
    uint32_t *list = arena_array(check->scratch, program->op_count, uint32_t);
    program_sequence(program, list);
    *count = 0;
    for (uint32_t position = 0; position < program->op_count; position++) {
        uint32_t op = list[position];
        if (program->kind[op] == OP_COLLECTIVE && program->group_slot[op] == slot) {
            list[(*count)++] = op;
        }
    }
    return list;
}

static bool collective_is_equal(const struct program *a, uint32_t i, const struct program *b, uint32_t j)
{
    return a->collective[i] == b->collective[j] && a->bytes[i] == b->bytes[j] && a->root[i] == b->root[j] &&
           a->pairs[i] == b->pairs[j];
}

static enum status collective_missing(const struct check *check, uint32_t group, uint32_t with, uint32_t op,
                                      uint32_t without, uint32_t count)
{
    struct op_text text;
    return diag_input(
        check->diag, rank_origin(check, without),
        "rank %u runs %u collectives of group \"%s\", but rank %u goes on with %s (%s); expected the "
        "same on all members",
        without, count, check->job->group_name[group], with,
        op_describe(job_program(check->job, with), op, &text), check->rank_path[with]);
}

static enum status collective_report(const struct check *check, uint32_t group, uint32_t ordinal,
                                     uint32_t rank, uint32_t i, uint32_t other, uint32_t j)
{
    const struct program *a = job_program(check->job, rank), *b = job_program(check->job, other);
    struct op_text text_a, text_b;
    return diag_input(
        check->diag, rank_origin(check, rank),
        "collective %u of group \"%s\": rank %u has %s, %s of %llu B, root %u; expected %s of %llu B, "
        "root %u, as rank %u has (%s in %s)",
        ordinal, check->job->group_name[group], rank, op_describe(a, i, &text_a),
        collective_name(a->collective[i]), (unsigned long long)a->bytes[i], a->root[i],
        collective_name(b->collective[j]), (unsigned long long)b->bytes[j], b->root[j], other,
        op_describe(b, j, &text_b), check->rank_path[other]);
}

static enum status collective_differs(const struct check *check, uint32_t group, uint32_t rank,
                                      uint32_t other)
{
    const struct program *a = job_program(check->job, rank), *b = job_program(check->job, other);
    uint32_t a_count, b_count;
    const uint32_t *a_list = collectives_list(check, rank, group, &a_count);
    const uint32_t *b_list = collectives_list(check, other, group, &b_count);
    for (uint32_t i = 0; i < a_count && i < b_count; i++) {
        if (!collective_is_equal(a, a_list[i], b, b_list[i])) {
            return collective_report(check, group, i, rank, a_list[i], other, b_list[i]);
        }
    }
    assert(a_count != b_count); /* else the digests would be equal */
    return a_count < b_count ? collective_missing(check, group, other, b_list[a_count], rank, a_count)
                             : collective_missing(check, group, rank, a_list[b_count], other, b_count);
}

static enum status group_check(const struct check *check, uint32_t group, uint32_t *slots_met)
{
    const struct job *job = check->job;
    const uint32_t *member = job->group_rank + job->group_first[group];
    uint32_t count = job_group_size(job, group);
    struct slot_summary first = member_summary(check, member[0], group);
    for (uint32_t i = 0; i < count; i++) {
        struct slot_summary mine = member_summary(check, member[i], group);
        *slots_met += slot_of(job, member[i], group) != ID_NONE;
        if (mine.digest != first.digest || mine.count != first.count) {
            return collective_differs(check, group, member[i], member[0]);
        }
    }
    if (first.root_max >= count) {
        return diag_input(check->diag, rank_origin(check, member[0]),
                          "a collective of group \"%s\" has root %u; expected one of its %u members",
                          job->group_name[group], first.root_max, count);
    }
    uint32_t wrong = first.pair_members_min != count ? first.pair_members_min : first.pair_members_max;
    if (first.pair_members_max > 0 && wrong != count) {
        return diag_input(check->diag, rank_origin(check, member[0]),
                          "an all-to-all of group \"%s\" has a table of parts for %u members; expected one "
                          "for its %u",
                          job->group_name[group], wrong, count);
    }
    return STATUS_OK;
}

/* Somebody took over the groups of another rank without being in them. */
static enum status stranger_report(const struct check *check)
{
    const struct job *job = check->job;
    for (uint32_t rank = 0; rank < job->rank_count; rank++) {
        for (uint32_t i = job->rank_group_first[rank]; i < job->rank_group_first[rank + 1]; i++) {
            uint32_t group = job->rank_group[i];
            if (job_member_index(job, group, rank) == ID_NONE) {
                return diag_input(
                    check->diag, rank_origin(check, rank),
                    "rank %u runs collectives of group \"%s\", of which it is no member; expected its "
                    "own groups",
                    rank, job->group_name[group]);
            }
        }
    }
    assert(false);
    return STATUS_INPUT;
}

static enum status collectives_check(const struct check *check)
{
    const struct job *job = check->job;
    uint32_t slots_met = 0;
    enum status status = STATUS_OK;
    for (uint32_t group = 0; group < job->group_count && status == STATUS_OK; group++) {
        status = group_check(check, group, &slots_met);
    }
    bool has_strangers = status == STATUS_OK && slots_met != job->rank_group_first[job->rank_count];
    return has_strangers ? stranger_report(check) : status;
}

/* ---- messages
 * ----------------------------------------------------------------------------------------------- */

/* Ascending by delta, then by tag; counted from the lowest ones, so that few bytes of the keys differ. */
struct base {
    int32_t delta;
    uint32_t tag;
};

static inline uint64_t message_key(const struct message *message, struct base base)
{
    return (uint64_t)((uint32_t)message->delta - (uint32_t)base.delta) << 32 | (message->tag - base.tag);
}

/* Stable, so that messages of one key stay in the order of the program: a counting sort for each byte of the
 * keys in which they differ, mostly two of eight. With qsort, a schedule of two partners spent a third of its
 * reading here. Returns where the sorted ones are: in `from` or in `to`. */
static struct message *messages_sort(struct message *from, struct message *to, uint32_t count, struct base base)
{
    uint64_t differing = 0;
    for (uint32_t i = 1; i < count; i++) {
        differing |= message_key(&from[i], base) ^ message_key(&from[0], base);
    }
    for (unsigned shift = 0; shift < 64; shift += 8) {
        if ((differing >> shift & 0xff) == 0) {
            continue;
        }
        uint32_t first[257] = {0};
        for (uint32_t i = 0; i < count; i++) {
            first[(message_key(&from[i], base) >> shift & 0xff) + 1]++;
        }
        for (unsigned byte = 0; byte < 256; byte++) {
            first[byte + 1] += first[byte];
        }
        for (uint32_t i = 0; i < count; i++) {
            to[first[message_key(&from[i], base) >> shift & 0xff]++] = from[i];
        }
        struct message *swapped = from;
        from = to;
        to = swapped;
    }
    return from;
}

/* The delta as the sender sees it, in the builder's range (-ranks/2, ranks/2]. */
static int32_t sender_delta(int32_t receiver_delta, uint32_t ranks)
{
    bool is_half = 2 * (int64_t)receiver_delta == (int64_t)ranks;
    return is_half ? receiver_delta : -receiver_delta;
}

/* The messages of one kind in order, in `list` or `sorting`, which have room for them. */
static const struct message *messages_list(const struct check *check, const struct program *program,
                                           enum op_kind kind, const uint32_t *sequence, struct message *list,
                                           struct message *sorting)
{
    uint32_t count = 0;
    struct base base = {INT32_MAX, UINT32_MAX};
    bool is_sorted = true; /* as a program with one partner a side mostly is */
    for (uint32_t position = 0; position < program->op_count; position++) {
        uint32_t op = op_at(sequence, position);
        if (program->kind[op] != kind) {
            continue;
        }
        int32_t delta = program->peer_delta[op];
        uint32_t tag = program->tag[op];
        delta = kind == OP_SEND ? delta : sender_delta(delta, check->job->rank_count);
        list[count] = (struct message){delta, tag, op};
        if (count > 0) {
            const struct message *before = &list[count - 1];
            is_sorted = is_sorted && (before->delta < delta || (before->delta == delta && before->tag <= tag));
        }
        base.delta = delta < base.delta ? delta : base.delta;
        base.tag = tag < base.tag ? tag : base.tag;
        count++;
    }
    return is_sorted ? list : messages_sort(list, sorting, count, base);
}

/* For reports, which are rare and want both sides at once. */
static const struct message *messages_again(const struct check *check, uint32_t rank, enum op_kind kind)
{
    const struct program *program = job_program(check->job, rank);
    const struct summary *summary = &check->summaries[check->job->rank_program[rank]];
    uint32_t count = (kind == OP_SEND ? &summary->sends : &summary->receives)->message_count;
    return messages_list(check, program, kind, sequence_of(program, check->sequence),
                         arena_array(check->scratch, count, struct message),
                         arena_array(check->scratch, count, struct message));
}

static void side_summarise(const struct check *check, const struct program *program, enum op_kind kind,
                           const uint32_t *sequence, struct side *side)
{
    size_t capacity = 0, run_count = 0;
    if (side->message_count == 0) {
        return;
    }
    const struct message *messages = messages_list(check, program, kind, sequence, check->list, check->sorting);
    for (uint32_t i = 0; i < side->message_count; i++) {
        const struct message *message = &messages[i];
        if (i == 0 || message->delta != messages[i - 1].delta) {
            vec_push(check->scratch, side->run, run_count, capacity) = (struct run){message->delta, i, 0, 0};
        }
        struct run *run = &side->run[run_count - 1];
        run->digest = fold(run->digest, message->tag, program->bytes[message->op]);
        run->count++;
    }
    side->run_count = (uint32_t)run_count;
}

static const struct run *run_find(const struct side *side, int32_t delta)
{
    uint32_t low = 0, high = side->run_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (side->run[middle].delta < delta) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < side->run_count && side->run[low].delta == delta ? &side->run[low] : NULL;
}

static enum status unmatched(const struct check *check, uint32_t rank, const struct message *message,
                             uint32_t peer)
{
    const struct program *program = job_program(check->job, rank);
    bool is_send = program->kind[message->op] == OP_SEND;
    struct op_text text;
    return diag_input(
        check->diag, rank_origin(check, rank),
        "rank %u: %s, %llu B %s rank %u with tag %u, has no counterpart there; expected a matching %s in "
        "%s",
        rank, op_describe(program, message->op, &text), (unsigned long long)program->bytes[message->op],
        is_send ? "to" : "from", peer, message->tag, is_send ? "receive" : "send", check->rank_path[peer]);
}

/* Names the first message that differs between the two sorted lists; either may be empty. */
static enum status messages_differ(const struct check *check, uint32_t from, const struct run *sent,
                                   uint32_t to, const struct run *received)
{
    const struct program *a = job_program(check->job, from), *b = job_program(check->job, to);
    const struct message *send = messages_again(check, from, OP_SEND);
    const struct message *receive = messages_again(check, to, OP_RECV);
    uint32_t i = sent == NULL ? 0 : sent->first, i_end = sent == NULL ? 0 : i + sent->count;
    uint32_t j = received == NULL ? 0 : received->first, j_end = received == NULL ? 0 : j + received->count;
    for (;; i++, j++) {
        assert(i < i_end || j < j_end); /* else the digests would be equal */
        if (j == j_end || (i < i_end && send[i].tag < receive[j].tag)) {
            return unmatched(check, from, &send[i], to);
        }
        if (i == i_end || receive[j].tag < send[i].tag) {
            return unmatched(check, to, &receive[j], from);
        }
        if (a->bytes[send[i].op] != b->bytes[receive[j].op]) {
            struct op_text text_a, text_b;
            return diag_input(
                check->diag, rank_origin(check, to),
                "rank %u: %s takes %llu B from rank %u with tag %u; expected %llu B, as %s sends (%s)", to,
                op_describe(b, receive[j].op, &text_b), (unsigned long long)b->bytes[receive[j].op], from,
                send[i].tag, (unsigned long long)a->bytes[send[i].op], op_describe(a, send[i].op, &text_a),
                check->rank_path[from]);
        }
    }
}

static uint32_t rank_shift(uint32_t rank, int64_t delta, uint32_t ranks)
{
    return (uint32_t)(((int64_t)rank + delta + (int64_t)ranks) % (int64_t)ranks);
}

/* What `rank` sends is what the others receive from it, and nobody waits for anything from it that it does
 * not send. */
static enum status rank_check(const struct check *check, uint32_t rank)
{
    const struct job *job = check->job;
    const struct summary *mine = &check->summaries[job->rank_program[rank]];
    for (uint32_t i = 0; i < mine->sends.run_count; i++) {
        const struct run *sent = &mine->sends.run[i];
        uint32_t peer = rank_shift(rank, sent->delta, job->rank_count);
        const struct run *received =
            run_find(&check->summaries[job->rank_program[peer]].receives, sent->delta);
        if (received == NULL || received->digest != sent->digest || received->count != sent->count) {
            return messages_differ(check, rank, sent, peer, received);
        }
    }
    for (uint32_t i = 0; i < mine->receives.run_count; i++) {
        const struct run *received = &mine->receives.run[i];
        uint32_t peer = rank_shift(rank, -(int64_t)received->delta, job->rank_count);
        if (run_find(&check->summaries[job->rank_program[peer]].sends, received->delta) == NULL) {
            return messages_differ(check, peer, NULL, rank, received);
        }
    }
    return STATUS_OK;
}

/* ---- all
 * ---------------------------------------------------------------------------------------------------- */

/* Counts messages, and takes room for the longest program and its longest side. */
static void rooms_take(struct check *check)
{
    uint32_t ops_max = 0, messages_max = 0;
    for (uint32_t i = 0; i < check->job->program_count; i++) {
        const struct program *program = &check->job->programs[i];
        struct summary *summary = &check->summaries[i];
        uint32_t sends = 0, receives = 0;
        for (uint32_t op = 0; op < program->op_count; op++) {
            sends += program->kind[op] == OP_SEND;
            receives += program->kind[op] == OP_RECV;
        }
        summary->sends.message_count = sends;
        summary->receives.message_count = receives;
        uint32_t longest = sends > receives ? sends : receives;
        messages_max = longest > messages_max ? longest : messages_max;
        ops_max = program->op_count > ops_max ? program->op_count : ops_max;
    }
    check->sequence = arena_array(check->scratch, ops_max, uint32_t);
    check->list = arena_array(check->scratch, messages_max, struct message);
    check->sorting = arena_array(check->scratch, messages_max, struct message);
}

static void programs_summarise(struct check *check)
{
    const struct job *job = check->job;
    rooms_take(check);
    for (uint32_t i = 0; i < job->program_count; i++) {
        const struct program *program = &job->programs[i];
        struct summary *summary = &check->summaries[i];
        const uint32_t *sequence = sequence_of(program, check->sequence);
        summary->slots = arena_array(check->scratch, program->slot_count, struct slot_summary);
        slots_summarise(job, program, sequence, summary->slots);
        side_summarise(check, program, OP_SEND, sequence, &summary->sends);
        side_summarise(check, program, OP_RECV, sequence, &summary->receives);
    }
}

enum status job_check(const struct job *job, const char *const *rank_path, struct diag *diag)
{
    struct arena *scratch = arena_new("check of a job");
    struct check check = {.job = job, .rank_path = rank_path, .scratch = scratch, .diag = diag};
    check.summaries = arena_array(scratch, job->program_count, struct summary);
    programs_summarise(&check);
    enum status status = collectives_check(&check);
    for (uint32_t rank = 0; rank < job->rank_count && status == STATUS_OK; rank++) {
        status = rank_check(&check, rank);
    }
    arena_free(scratch);
    return status;
}
