#include "netsim/replay/dry.h"

#include "netsim/replay/replay_int.h"

#include <inttypes.h>
#include <string.h>

#define OP_DONE UINT32_MAX /* in place of a count of dependencies; 0: none is left, and the operation waits for other ranks */

/* Whom a member of a collective waits for. */
enum need { NEED_NOBODY, NEED_ROOT, NEED_ALL };

struct dry_slot {
    uint32_t next;   /* call of the slot that runs or comes next */
    bool is_running;
};

/* An operation of a rank. */
struct spot {
    uint32_t rank, op;
};

struct dry {
    const struct job *job;
    struct arena *arena;
    const struct plan **plans;  /* per program */
    const size_t *op_first;     /* per rank */
    const size_t *slot_first;   /* per rank */
    uint32_t *waiting;          /* per op of all ranks */
    struct dry_slot *slots;     /* of all ranks */
    const size_t *call_first;   /* per group */
    uint32_t *started;          /* per call */
    struct match_table *tables; /* per rank */
    struct spot *work;          /* ready, to be looked at */
    size_t work_count, work_capacity;
    uint64_t done;
};

static const struct plan *plan_of(const struct dry *dry, uint32_t rank)
{
    return dry->plans[dry->job->rank_program[rank]];
}

static uint32_t *waiting_of(const struct dry *dry, struct spot spot)
{
    return &dry->waiting[dry->op_first[spot.rank] + spot.op];
}

static struct dry_slot *slot_at(const struct dry *dry, uint32_t rank, uint32_t slot)
{
    return &dry->slots[dry->slot_first[rank] + slot];
}

/* ID_NONE: the rank has no operation in the group. */
static uint32_t slot_in(const struct dry *dry, uint32_t rank, uint32_t group)
{
    for (uint32_t slot = 0; slot < job_program(dry->job, rank)->slot_count; slot++) {
        if (job_group(dry->job, rank, slot) == group) {
            return slot;
        }
    }
    return ID_NONE;
}

/* The call of a slot; ID_NONE past the last one. */
static uint32_t call_op(const struct dry *dry, uint32_t rank, uint32_t slot, uint32_t ordinal)
{
    const struct plan *plan = plan_of(dry, rank);
    uint32_t at = plan->slot_first[slot] + ordinal;
    return at < plan->slot_first[slot + 1] ? plan->slot_op[at] : ID_NONE;
}

static bool pairs_are_full(const struct pair_table *table)
{
    for (uint32_t i = 0; i < table->members * table->members; i++) {
        if (table->bytes[i] == 0 && i % (table->members + 1) != 0) {
            return false;
        }
    }
    return true;
}

static bool is_root(const struct dry *dry, uint32_t rank, uint32_t group, uint32_t op)
{
    return job_group_rank(dry->job, group, job_program(dry->job, rank)->root[op]) == rank;
}

/* Of the root or another member. The weakest that holds for every algorithm: whose data must it get? */
static enum need need_of(const struct dry *dry, const struct program *program, uint32_t op, uint32_t group, bool of_root)
{
    uint32_t members = job_group_size(dry->job, group);
    const struct pair_table *pairs = job_pairs(dry->job, program, op);
    if (program->collective[op] == COLLECTIVE_BARRIER) {
        return NEED_ALL;
    }
    switch ((enum collective_kind)program->collective[op]) {
    case COLLECTIVE_BROADCAST:
    case COLLECTIVE_SCATTER:
        return program->bytes[op] < members || of_root ? NEED_NOBODY : NEED_ROOT;
    case COLLECTIVE_REDUCE:
    case COLLECTIVE_GATHER:
        return program->bytes[op] < members || !of_root ? NEED_NOBODY : NEED_ALL;
    default:
        return program->bytes[op] < members || (pairs != NULL && !pairs_are_full(pairs)) ? NEED_NOBODY : NEED_ALL;
    }
}

/* ---- the walk --------------------------------------------------------------------------------------------- */

static void work_push(struct dry *dry, struct spot spot)
{
    if (dry->work_count == dry->work_capacity) {
        struct spot *work = arena_array(dry->arena, 2 * dry->work_capacity, struct spot);
        memcpy(work, dry->work, dry->work_count * sizeof *work);
        dry->work = work;
        dry->work_capacity *= 2;
    }
    dry->work[dry->work_count++] = spot;
}

static void spot_done(struct dry *dry, struct spot spot)
{
    const struct program *program = job_program(dry->job, spot.rank);
    *waiting_of(dry, spot) = OP_DONE;
    dry->done++;
    for (uint32_t i = program->child_first[spot.op]; i < program->child_first[spot.op + 1]; i++) {
        struct spot child = {spot.rank, program->child[i]};
        if (--*waiting_of(dry, child) == 0) {
            work_push(dry, child);
        }
    }
}

static void message_sent(struct dry *dry, struct spot spot)
{
    const struct program *program = job_program(dry->job, spot.rank);
    uint32_t peer = job_peer(dry->job, spot.rank, program, spot.op), waits;
    struct match_key key = message_key(0, program->tag[spot.op], plan_of(dry, spot.rank)->match_number[spot.op], spot.rank);
    if (match_take(&dry->tables[peer], key, &waits)) {
        spot_done(dry, (struct spot){peer, waits});
    } else {
        match_put(&dry->tables[peer], dry->arena, key, MATCH_ARRIVED);
    }
    spot_done(dry, spot);
}

static void message_wanted(struct dry *dry, struct spot spot)
{
    const struct program *program = job_program(dry->job, spot.rank);
    uint32_t peer = job_peer(dry->job, spot.rank, program, spot.op), arrived;
    struct match_key key = message_key(0, program->tag[spot.op], plan_of(dry, spot.rank)->match_number[spot.op], peer);
    if (match_take(&dry->tables[spot.rank], key, &arrived)) {
        spot_done(dry, spot);
    } else {
        match_put(&dry->tables[spot.rank], dry->arena, key, spot.op);
    }
}

/* The member is through with its call; the next one of the slot may be waiting for its turn. */
static void member_end(struct dry *dry, uint32_t rank, uint32_t slot_id)
{
    struct dry_slot *slot = slot_at(dry, rank, slot_id);
    uint32_t op = call_op(dry, rank, slot_id, slot->next++), next = call_op(dry, rank, slot_id, slot->next);
    slot->is_running = false;
    bool is_ready = next != ID_NONE && *waiting_of(dry, (struct spot){rank, next}) == 0;
    spot_done(dry, (struct spot){rank, op});
    if (is_ready) { /* else it is pushed when it becomes so */
        work_push(dry, (struct spot){rank, next});
    }
}

static bool is_met(const struct dry *dry, uint32_t rank, uint32_t slot_id, uint32_t group)
{
    const struct program *program = job_program(dry->job, rank);
    uint32_t ordinal = slot_at(dry, rank, slot_id)->next, op = call_op(dry, rank, slot_id, ordinal);
    enum need need = need_of(dry, program, op, group, is_root(dry, rank, group, op));
    if (need == NEED_ROOT) {
        uint32_t root = job_group_rank(dry->job, group, program->root[op]);
        const struct dry_slot *slot = slot_at(dry, root, slot_in(dry, root, group));
        return slot->next > ordinal || (slot->next == ordinal && slot->is_running);
    }
    return need == NEED_NOBODY || dry->started[dry->call_first[group] + ordinal] == job_group_size(dry->job, group);
}

/* Everybody who waits in this call and need not any more. */
static void call_look(struct dry *dry, uint32_t group, uint32_t ordinal)
{
    for (uint32_t i = 0; i < job_group_size(dry->job, group); i++) {
        uint32_t rank = job_group_rank(dry->job, group, i), slot_id = slot_in(dry, rank, group);
        const struct dry_slot *slot = slot_at(dry, rank, slot_id);
        if (slot->is_running && slot->next == ordinal && is_met(dry, rank, slot_id, group)) {
            member_end(dry, rank, slot_id);
        }
    }
}

static void member_start(struct dry *dry, struct spot spot)
{
    const struct program *program = job_program(dry->job, spot.rank);
    uint32_t slot_id = program->group_slot[spot.op], group = job_group(dry->job, spot.rank, slot_id);
    struct dry_slot *slot = slot_at(dry, spot.rank, slot_id);
    uint32_t ordinal = slot->next, members = job_group_size(dry->job, group);
    if (slot->is_running || ordinal != plan_of(dry, spot.rank)->match_number[spot.op]) {
        return; /* not its turn */
    }
    slot->is_running = true;
    uint32_t started = ++dry->started[dry->call_first[group] + ordinal];
    bool frees = is_root(dry, spot.rank, group, spot.op) && need_of(dry, program, spot.op, group, false) == NEED_ROOT;
    if (started == members || frees) {
        call_look(dry, group, ordinal);
    } else if (is_met(dry, spot.rank, slot_id, group)) {
        member_end(dry, spot.rank, slot_id);
    }
}

static void work_do(struct dry *dry)
{
    while (dry->work_count > 0) {
        struct spot spot = dry->work[--dry->work_count];
        switch ((enum op_kind)job_program(dry->job, spot.rank)->kind[spot.op]) {
        case OP_SEND:
            message_sent(dry, spot);
            break;
        case OP_RECV:
            message_wanted(dry, spot);
            break;
        case OP_COLLECTIVE:
            member_start(dry, spot);
            break;
        default:
            spot_done(dry, spot);
        }
    }
}

/* ---- the circle ------------------------------------------------------------------------------------------- */

/* What keeps an operation of the same rank from running: one whose own dependencies are done. */
static struct spot spot_front(const struct dry *dry, struct spot spot)
{
    const struct program *program = job_program(dry->job, spot.rank);
    while (*waiting_of(dry, spot) > 0) {
        uint32_t i = program->dep_first[spot.op];
        while (*waiting_of(dry, (struct spot){spot.rank, program->dep[i]}) == OP_DONE) {
            i++;
        }
        spot.op = program->dep[i];
    }
    return spot;
}

static struct spot send_of(const struct dry *dry, struct spot receive)
{
    const struct program *program = job_program(dry->job, receive.rank);
    struct spot send = {.rank = job_peer(dry->job, receive.rank, program, receive.op)};
    const struct program *from = job_program(dry->job, send.rank);
    uint32_t number = plan_of(dry, receive.rank)->match_number[receive.op];
    while (from->kind[send.op] != OP_SEND || from->tag[send.op] != program->tag[receive.op] ||
           plan_of(dry, send.rank)->match_number[send.op] != number ||
           job_peer(dry->job, send.rank, from, send.op) != receive.rank) {
        send.op++; /* the job's check has made sure that there is one */
    }
    return send;
}

/* Of a collective: an earlier one of its slot, or the same one of a member that has not come to it. */
static struct spot call_blocker(const struct dry *dry, struct spot spot)
{
    const struct program *program = job_program(dry->job, spot.rank);
    uint32_t slot_id = program->group_slot[spot.op], group = job_group(dry->job, spot.rank, slot_id);
    uint32_t ordinal = plan_of(dry, spot.rank)->match_number[spot.op], next = slot_at(dry, spot.rank, slot_id)->next;
    if (next != ordinal) {
        return (struct spot){spot.rank, call_op(dry, spot.rank, slot_id, next)};
    }
    bool wants_root = need_of(dry, program, spot.op, group, is_root(dry, spot.rank, group, spot.op)) == NEED_ROOT;
    for (uint32_t i = wants_root ? program->root[spot.op] : 0; i < job_group_size(dry->job, group); i++) {
        uint32_t rank = job_group_rank(dry->job, group, i), slot = slot_in(dry, rank, group);
        const struct dry_slot *at = slot_at(dry, rank, slot);
        if (at->next < ordinal || (at->next == ordinal && !at->is_running)) {
            return (struct spot){rank, call_op(dry, rank, slot, ordinal)};
        }
    }
    assert(false); /* somebody has not started, or this one would be through */
    return spot;
}

/* What a stuck operation waits for; stuck itself. */
static struct spot spot_blocker(const struct dry *dry, struct spot spot)
{
    return job_program(dry->job, spot.rank)->kind[spot.op] == OP_RECV ? send_of(dry, spot) : call_blocker(dry, spot);
}

static struct spot spot_follow(const struct dry *dry, struct spot spot)
{
    return spot_front(dry, spot_blocker(dry, spot));
}

static bool spots_equal(struct spot one, struct spot other)
{
    return one.rank == other.rank && one.op == other.op;
}

/* Two walkers, one twice as fast: they meet on the circle. */
static struct spot circle_find(const struct dry *dry)
{
    struct spot slow = {0, 0}, fast;
    while (*waiting_of(dry, slow) == OP_DONE || dry->op_first[slow.rank] == dry->op_first[slow.rank + 1]) {
        bool is_last = dry->op_first[slow.rank] + slow.op + 1 >= dry->op_first[slow.rank + 1];
        slow = is_last ? (struct spot){slow.rank + 1, 0} : (struct spot){slow.rank, slow.op + 1};
    }
    slow = fast = spot_front(dry, slow);
    do {
        slow = spot_follow(dry, slow);
        fast = spot_follow(dry, spot_follow(dry, fast));
    } while (!spots_equal(slow, fast));
    return slow;
}

static const char *spot_text(const struct dry *dry, struct spot spot)
{
    const struct program *program = job_program(dry->job, spot.rank);
    const char *text = arena_printf(dry->arena, "%s %" PRIu64 " \"%s\"",
                                    program->kind[spot.op] == OP_COLLECTIVE ? collective_name(program->collective[spot.op])
                                                                            : op_kind_name(program->kind[spot.op]),
                                    program->source_id[spot.op], op_name(program, spot.op));
    if (program->kind[spot.op] == OP_COLLECTIVE) {
        text = arena_printf(dry->arena, "%s (call %u of group \"%s\")", text, plan_of(dry, spot.rank)->match_number[spot.op],
                            dry->job->group_name[job_group(dry->job, spot.rank, program->group_slot[spot.op])]);
    }
    return text;
}

#define CIRCLE_LINES_MAX 16

static void circle_write(const struct dry *dry, struct dry_result *result)
{
    const struct spot first = circle_find(dry);
    struct spot spot = first;
    result->text = "";
    do {
        struct spot wanted = spot_blocker(dry, spot), next = spot_front(dry, wanted);
        const char *behind = spots_equal(wanted, next) ? "" : ", which comes after";
        if (result->circle++ < CIRCLE_LINES_MAX) {
            result->text = arena_printf(dry->arena, "%s  rank %u: %s waits for %s of rank %u%s%s\n", result->text, spot.rank,
                                        spot_text(dry, spot), spot_text(dry, wanted), wanted.rank, behind,
                                        !spots_equal(next, first) ? "" : *behind != 0 ? " the first" : ", the first");
        }
        spot = next;
    } while (!spots_equal(spot, first));
    if (result->circle > CIRCLE_LINES_MAX) {
        result->text = arena_printf(dry->arena, "%s  and so on, %u in all, back to the first\n", result->text, result->circle);
    }
}

/* ---- life ------------------------------------------------------------------------------------------------- */

static void calls_count(struct dry *dry)
{
    const struct job *job = dry->job;
    size_t *first = arena_array(dry->arena, job->group_count + 1, size_t);
    for (uint32_t group = 0; group < job->group_count; group++) {
        uint32_t rank = job_group_size(job, group) > 0 ? job_group_rank(job, group, 0) : 0;
        uint32_t slot = slot_in(dry, rank, group);
        const uint32_t *slot_op = plan_of(dry, rank)->slot_first;
        first[group + 1] = first[group] + (slot != ID_NONE ? slot_op[slot + 1] - slot_op[slot] : 0);
    }
    dry->call_first = first;
    dry->started = arena_array(dry->arena, first[job->group_count] + 1, uint32_t);
}

static void dry_init(struct dry *dry, struct arena *scratch)
{
    const struct job *job = dry->job;
    size_t *op_first = arena_array(dry->arena, job->rank_count + 1, size_t);
    size_t *slot_first = arena_array(dry->arena, job->rank_count + 1, size_t);
    uint16_t *index_of = plan_streams(scratch);
    dry->plans = arena_array(dry->arena, job->program_count, const struct plan *);
    for (uint32_t i = 0; i < job->program_count; i++) {
        dry->plans[i] = plan_new(dry->arena, scratch, index_of, &job->programs[i]);
    }
    for (uint32_t rank = 0; rank < job->rank_count; rank++) {
        op_first[rank + 1] = op_first[rank] + job_program(job, rank)->op_count;
        slot_first[rank + 1] = slot_first[rank] + job_program(job, rank)->slot_count;
    }
    dry->op_first = op_first;
    dry->slot_first = slot_first;
    dry->waiting = arena_array(dry->arena, op_first[job->rank_count] + 1, uint32_t);
    dry->slots = arena_array(dry->arena, slot_first[job->rank_count] + 1, struct dry_slot);
    dry->tables = arena_array(dry->arena, job->rank_count, struct match_table);
    dry->work_capacity = 1024;
    dry->work = arena_array(dry->arena, dry->work_capacity, struct spot);
    calls_count(dry);
}

/* A rank after the other: each goes as far as it can. */
static void ranks_start(struct dry *dry)
{
    for (uint32_t rank = 0; rank < dry->job->rank_count; rank++) {
        const struct program *program = job_program(dry->job, rank);
        for (uint32_t op = 0; op < program->op_count; op++) {
            *waiting_of(dry, (struct spot){rank, op}) = program->dep_first[op + 1] - program->dep_first[op];
        }
    }
    for (uint32_t rank = 0; rank < dry->job->rank_count; rank++) {
        const struct plan *plan = plan_of(dry, rank);
        for (uint32_t i = plan->root_count; i-- > 0;) {
            work_push(dry, (struct spot){rank, plan->roots[i]});
        }
        work_do(dry);
    }
}

bool dry_run(const struct job *job, struct arena *arena, struct dry_result *result)
{
    *result = (struct dry_result){.text = ""};
    for (uint32_t rank = 0; rank < job->rank_count; rank++) {
        result->ops += job_program(job, rank)->op_count;
    }
    if (result->ops > DRY_OPS_MAX) {
        return false;
    }
    struct arena *own = arena_new("walk without a network"), *scratch = arena_new("plans");
    struct dry dry = {.job = job, .arena = own};
    dry_init(&dry, scratch);
    arena_free(scratch);
    ranks_start(&dry);
    result->done = dry.done;
    if (dry.done < result->ops) {
        circle_write(&dry, result);
        result->text = arena_strdup(arena, result->text);
    }
    arena_free(own);
    return true;
}
