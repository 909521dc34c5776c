/* Asserted: programs are shared by content with relative peers; dependencies lose duplicates, get reversed
 * edges and a canonical order equal to a naive search for the lowest ready operation; cycles, unequal
 * collectives and unmatched messages are refused in one line that names the operation; a large shared job is
 * checked within a second. Not asserted: anything about time, which belongs to the replay. */
#include "tests/check.h"

#include "netsim/base/rng.h"
#include "photonet/program.h"

#include <time.h>

static const struct origin here = {.path = "test"};

static uint32_t add(struct job_builder *builder, enum op_kind kind, const char *name)
{
    struct op op = {.kind = kind, .name = name, .duration_ps = 5, .source_id = 100};
    return job_builder_op(builder, &op);
}

static uint32_t message(struct job_builder *builder, enum op_kind kind, uint32_t peer, uint64_t bytes,
                        uint32_t tag)
{
    struct op op = {.kind = kind, .peer = peer, .bytes = bytes, .tag = tag, .source_id = 7, .name = "m"};
    return job_builder_op(builder, &op);
}

static uint32_t collective(struct job_builder *builder, enum collective_kind kind, uint64_t bytes,
                           uint32_t slot)
{
    struct op op = {
        .kind = OP_COLLECTIVE, .collective = kind, .bytes = bytes, .group_slot = slot, .name = "c"};
    return job_builder_op(builder, &op);
}

static uint32_t world(struct job_builder *builder, uint32_t ranks)
{
    uint32_t member[64], group;
    struct diag diag;
    for (uint32_t rank = 0; rank < ranks; rank++) {
        member[rank] = rank;
    }
    CHECK_EQUAL(job_builder_group(builder, "world", member, ranks, here, &group, &diag), STATUS_OK);
    return group;
}

/* A ring of messages: the peers of the last rank wrap round, and still all share one program. */
static void test_ring_is_one_program(void)
{
    enum { RANKS = 7 };
    struct diag diag = {""};
    struct arena *arena = arena_new("test");
    struct job_builder *builder = job_builder_new(arena, "ring", "test", RANKS);
    for (uint32_t rank = 0; rank < RANKS; rank++) {
        job_builder_rank(builder, rank);
        uint32_t send = message(builder, OP_SEND, (rank + 1) % RANKS, 100, 3);
        message(builder, OP_RECV, (rank + RANKS - 1) % RANKS, 100, 3);
        job_builder_dep(builder, add(builder, OP_COMPUTE, "work"), send);
        CHECK_EQUAL(job_builder_rank_end(builder, "r", &diag), STATUS_OK);
    }
    const struct job *job = NULL;
    CHECK_EQUAL(job_builder_finish(builder, &job, &diag), STATUS_OK);
    CHECK_TEXT(diag.text, "");
    CHECK_EQUAL(job->program_count, 1);
    CHECK_EQUAL(job_peer(job, 6, job_program(job, 6), 0), 0);
    CHECK_EQUAL(job_peer(job, 0, job_program(job, 0), 1), 6);
    CHECK_TEXT(op_name(job_program(job, 3), 2), "work");
    CHECK_EQUAL(job_program(job, 0)->stream[0], STREAM_NONE);
    CHECK_EQUAL(job_program(job, 0)->stream[2], STREAM_COMPUTE);
    struct job_totals totals;
    job_totals(job, &totals);
    CHECK_EQUAL(totals.message_bytes, 700);
    CHECK_EQUAL(totals.compute_ps, 35);
    CHECK_EQUAL(totals.ops[OP_RECV], 7);
    arena_free(arena);
}

/* What a kind does not have does not tell programs apart; what it has does. */
static void test_sharing_by_content(void)
{
    struct diag diag = {""};
    struct arena *arena = arena_new("test");
    struct job_builder *builder = job_builder_new(arena, "share", "test", 3);
    for (uint32_t rank = 0; rank < 3; rank++) {
        job_builder_rank(builder, rank);
        struct op op = {
            .kind = OP_COMPUTE, .duration_ps = rank < 2 ? 5 : 6, .tag = rank, .peer = rank, .name = "x"};
        job_builder_op(builder, &op);
        CHECK_EQUAL(job_builder_rank_end(builder, "r", &diag), STATUS_OK);
    }
    const struct job *job = NULL;
    CHECK_EQUAL(job_builder_finish(builder, &job, &diag), STATUS_OK);
    CHECK_EQUAL(job->program_count, 2);
    CHECK_EQUAL(job->rank_program[0], job->rank_program[1]);
    CHECK(job->rank_program[0] != job->rank_program[2]);
    arena_free(arena);
}

/* Line numbers and node ids do not tell programs apart; the first rank's are kept. */
static void test_sharing_ignores_source_ids(void)
{
    struct diag diag = {""};
    struct arena *arena = arena_new("test");
    struct job_builder *builder = job_builder_new(arena, "ids", "test", 3);
    for (uint32_t rank = 0; rank < 3; rank++) {
        job_builder_rank(builder, rank);
        for (uint32_t i = 0; i < 3; i++) {
            struct op op = {.kind = OP_MEMORY,
                            .duration_ps = 5,
                            .bytes = 1000 + i,
                            .source_id = 100 * rank + i,
                            .name = i == 1 ? "one" : "other"};
            job_builder_op(builder, &op);
        }
        CHECK_EQUAL(job_builder_rank_end(builder, "r", &diag), STATUS_OK);
    }
    const struct job *job = NULL;
    CHECK_EQUAL(job_builder_finish(builder, &job, &diag), STATUS_OK);
    CHECK_EQUAL(job->program_count, 1);
    CHECK_EQUAL(job_program(job, 2)->source_id[2], 2);
    CHECK_EQUAL(job_program(job, 2)->bytes[2], 1002);
    CHECK_EQUAL(job_program(job, 2)->duration_ps[0], 5);
    arena_free(arena);
}

/* What a rank needed while it was built is given back: the job keeps little more than the columns. */
static void test_building_leaves_nothing_behind(void)
{
    enum { OPS = 300000 };
    struct diag diag = {""};
    struct arena *arena = arena_new("test");
    struct job_builder *builder = job_builder_new(arena, "lone", "test", 1);
    job_builder_rank(builder, 0);
    for (uint32_t i = 0; i < OPS; i++) {
        char name[32];
        snprintf(name, sizeof name, "operation %u", i / 2);
        struct op op = {.kind = OP_COMPUTE, .duration_ps = i, .source_id = i, .name = name};
        job_builder_op(builder, &op);
        if (i > 0) {
            job_builder_dep(builder, i, i - 1);
        }
    }
    CHECK_EQUAL(job_builder_rank_end(builder, "r", &diag), STATUS_OK);
    const struct job *job = NULL;
    CHECK_EQUAL(job_builder_finish(builder, &job, &diag), STATUS_OK);
    const struct program *program = job_program(job, 0);
    CHECK_TEXT(op_name(program, OPS - 1), "operation 149999");
    CHECK_EQUAL(program->name[OPS - 1], program->name[OPS - 2]);
    CHECK_EQUAL(program->duration_ps[OPS - 1], OPS - 1);
    CHECK(arena_used_bytes(arena) <
          (size_t)OPS * 20); /* children and shared columns; the others have their own arena */
    arena_free(arena);
}

static void test_duplicates_are_cut(void)
{
    struct diag diag = {""};
    struct arena *arena = arena_new("test");
    struct job_builder *builder = job_builder_new(arena, "dups", "test", 1);
    job_builder_rank(builder, 0);
    for (uint32_t i = 0; i < 4; i++) {
        add(builder, OP_COMPUTE, "x");
    }
    const uint32_t on[] = {2, 0, 2, 1, 0, 2};
    for (size_t i = 0; i < sizeof on / sizeof on[0]; i++) {
        job_builder_dep(builder, 3, on[i]);
    }
    job_builder_dep(builder, 0, 1);
    CHECK_EQUAL(job_builder_rank_end(builder, "r", &diag), STATUS_OK);
    const struct job *job = NULL;
    CHECK_EQUAL(job_builder_finish(builder, &job, &diag), STATUS_OK);
    const struct program *program = job_program(job, 0);
    CHECK_EQUAL(program->dep_count, 4);
    const uint32_t first[] = {0, 1, 1, 1, 4}, dep[] = {1, 0, 1, 2}, child_first[] = {0, 1, 3, 4, 4};
    const uint32_t child[] = {3, 0, 3, 3}, order[] = {1, 0, 2, 3};
    CHECK(memcmp(program->dep_first, first, sizeof first) == 0);
    CHECK(memcmp(program->dep, dep, sizeof dep) == 0);
    CHECK(memcmp(program->child_first, child_first, sizeof child_first) == 0);
    CHECK(memcmp(program->child, child, sizeof child) == 0);
    CHECK(memcmp(program->order, order, sizeof order) == 0);
    arena_free(arena);
}

/* The definition, word for word: again and again the lowest operation all of whose dependencies are placed.
 */
static void naive_order(const struct program *program, uint32_t *order)
{
    for (uint32_t op = 0; op < program->op_count; op++) {
        order[op] = ID_NONE;
    }
    for (uint32_t position = 0; position < program->op_count; position++) {
        for (uint32_t op = 0; op < program->op_count; op++) {
            bool is_ready = order[op] == ID_NONE;
            for (uint32_t i = program->dep_first[op]; i < program->dep_first[op + 1]; i++) {
                is_ready &= order[program->dep[i]] != ID_NONE;
            }
            if (is_ready) {
                order[op] = position;
                break;
            }
        }
    }
}

static void test_order_is_canonical(void)
{
    enum { OPS = 40, TRIALS = 200 };
    uint64_t seed = test_seed();
    for (uint32_t trial = 0; trial < TRIALS; trial++) {
        struct diag diag = {""};
        struct arena *arena = arena_new("test");
        struct job_builder *builder = job_builder_new(arena, "random", "test", 1);
        job_builder_rank(builder, 0);
        uint32_t rank_of[OPS];
        for (uint32_t op = 0; op < OPS; op++) {
            add(builder, OP_COMPUTE, NULL);
            rank_of[op] = op;
        }
        for (uint32_t last = OPS - 1; last > 0; last--) { /* a hidden order keeps the graph acyclic */
            uint32_t other = rng_below(rng_draw(seed, trial, last), last + 1), keep = rank_of[last];
            rank_of[last] = rank_of[other];
            rank_of[other] = keep;
        }
        for (uint32_t edge = 0; edge < trial; edge++) {
            uint32_t a = rng_below(rng_draw(seed, trial, 1000 + 2 * edge), OPS);
            uint32_t b = rng_below(rng_draw(seed, trial, 1001 + 2 * edge), OPS);
            if (rank_of[a] != rank_of[b]) {
                job_builder_dep(builder, rank_of[a] > rank_of[b] ? a : b, rank_of[a] > rank_of[b] ? b : a);
            }
        }
        CHECK_EQUAL(job_builder_rank_end(builder, "r", &diag), STATUS_OK);
        const struct job *job = NULL;
        CHECK_EQUAL(job_builder_finish(builder, &job, &diag), STATUS_OK);
        uint32_t expected[OPS];
        naive_order(job_program(job, 0), expected);
        CHECK(memcmp(expected, job_program(job, 0)->order, sizeof expected) == 0);
        arena_free(arena);
    }
}

static enum status cycle(const uint32_t (*edges)[2], size_t count, struct diag *diag)
{
    struct arena *arena = arena_new("test");
    struct job_builder *builder = job_builder_new(arena, "cycle", "test", 1);
    job_builder_rank(builder, 0);
    const char *const names[] = {"a", "b", "c", "d"};
    for (uint32_t i = 0; i < 4; i++) {
        struct op op = {.kind = OP_COMPUTE, .name = names[i], .source_id = 40 + i};
        job_builder_op(builder, &op);
    }
    for (size_t i = 0; i < count; i++) {
        job_builder_dep(builder, edges[i][0], edges[i][1]);
    }
    enum status status = job_builder_rank_end(builder, "x.0.et", diag);
    arena_free(arena);
    return status;
}

static void test_cycles_are_named(void)
{
    struct diag diag = {""};
    const uint32_t self[][2] = {{1, 0}, {2, 2}};
    CHECK_EQUAL(cycle(self, 2, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "x.0.et: compute node 42 \"c\" depends on itself");
    const uint32_t ring[][2] = {{0, 1}, {1, 2}, {2, 1}, {3, 0}};
    CHECK_EQUAL(cycle(ring, 4, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "cycle of 2 operations");
    CHECK_HOLDS(diag.text, "\"b\"");
    CHECK_HOLDS(diag.text, "\"c\"");
    const uint32_t good[][2] = {{0, 1}, {1, 2}, {2, 3}};
    CHECK_EQUAL(cycle(good, 3, &diag), STATUS_OK);
}

/* Two ranks of one group; rank 1's second collective is as given. NULL where refused. */
static enum status collectives(uint32_t count, enum collective_kind kind, uint64_t bytes, struct diag *diag)
{
    struct arena *arena = arena_new("test");
    struct job_builder *builder = job_builder_new(arena, "coll", "test", 2);
    uint32_t group = world(builder, 2);
    for (uint32_t rank = 0; rank < 2; rank++) {
        uint32_t slot = job_builder_slot(builder, rank, group);
        job_builder_rank(builder, rank);
        collective(builder, COLLECTIVE_ALL_REDUCE, 10, slot);
        if (rank == 0) {
            collective(builder, COLLECTIVE_ALL_GATHER, 20, slot);
        } else if (count > 1) {
            collective(builder, kind, bytes, slot);
        }
        CHECK_EQUAL(job_builder_rank_end(builder, rank == 0 ? "c.0.et" : "c.1.et", diag), STATUS_OK);
    }
    const struct job *job;
    enum status status = job_builder_finish(builder, &job, diag);
    CHECK((status == STATUS_OK) == (job != NULL));
    arena_free(arena);
    return status;
}

static void test_collectives_must_agree(void)
{
    struct diag diag = {""};
    CHECK_EQUAL(collectives(2, COLLECTIVE_ALL_GATHER, 20, &diag), STATUS_OK);
    CHECK_EQUAL(collectives(2, COLLECTIVE_ALL_GATHER, 21, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "c.1.et: collective 1 of group \"world\"");
    CHECK_HOLDS(diag.text, "21 B");
    CHECK_HOLDS(diag.text, "c.0.et");
    CHECK_EQUAL(collectives(2, COLLECTIVE_ALL_TO_ALL, 20, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "all_to_all of 20 B");
    CHECK_EQUAL(collectives(1, COLLECTIVE_ALL_REDUCE, 0, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "rank 1 runs 1 collectives");
}

/* An all-to-all among `ranks` with parts for `members`; the last rank has `other` where that is not NULL. */
static enum status unequal_parts(uint32_t ranks, uint32_t members, const uint64_t *bytes, const uint64_t *other,
                                 struct arena *arena, const struct job **job, struct diag *diag)
{
    struct job_builder *builder = job_builder_new(arena, "pairs", "test", ranks);
    uint32_t group = world(builder, ranks), table = job_builder_pairs(builder, members, bytes);
    CHECK_EQUAL(job_builder_pairs(builder, members, bytes), table);
    uint32_t last_table = other != NULL ? job_builder_pairs(builder, members, other) : table;
    for (uint32_t rank = 0; rank < ranks; rank++) {
        struct op op = {.kind = OP_COLLECTIVE,
                        .collective = COLLECTIVE_ALL_TO_ALL,
                        .group_slot = job_builder_slot(builder, rank, group),
                        .pairs = rank + 1 < ranks ? table : last_table,
                        .bytes = 12345};
        job_builder_rank(builder, rank);
        job_builder_op(builder, &op);
        CHECK_EQUAL(job_builder_rank_end(builder, "r", diag), STATUS_OK);
    }
    return job_builder_finish(builder, job, diag);
}

static void test_unequal_parts(void)
{
    const uint64_t bytes[9] = {7, 1, 2, 3, 0, 4, 0, 5, 6}, other[9] = {7, 2, 1, 3, 0, 4, 0, 5, 6};
    struct diag diag = {""};
    struct arena *arena = arena_new("test");
    const struct job *job = NULL;
    CHECK_EQUAL(unequal_parts(3, 3, bytes, NULL, arena, &job, &diag), STATUS_OK);
    CHECK_EQUAL(job->program_count, 1);
    CHECK_EQUAL(job->pair_table_count, 1);
    const struct program *program = job_program(job, 2);
    CHECK_EQUAL(program->bytes[0], 10); /* 28 by 3, rounded up; the operation's own word does not count */
    CHECK_EQUAL(job_pairs(job, program, 0)->bytes_sum, 28);
    CHECK_EQUAL(job_pairs(job, program, 0)->bytes[1 * 3 + 2], 4);
    /* Sums are the same, parts are not. */
    CHECK_EQUAL(unequal_parts(3, 3, bytes, other, arena, &job, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "collective 0 of group \"world\"");
    CHECK_EQUAL(unequal_parts(3, 2, bytes, NULL, arena, &job, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "a table of parts for 2 members; expected one for its 3");
    arena_free(arena);
}

/* They match in canonical order, not in the order of the file. */
static void test_collectives_match_in_order(void)
{
    struct diag diag = {""};
    struct arena *arena = arena_new("test");
    struct job_builder *builder = job_builder_new(arena, "coll", "test", 2);
    uint32_t group = world(builder, 2);
    for (uint32_t rank = 0; rank < 2; rank++) {
        uint32_t slot = job_builder_slot(builder, rank, group);
        job_builder_rank(builder, rank);
        uint32_t a = collective(builder, COLLECTIVE_ALL_REDUCE, rank == 0 ? 10 : 20, slot);
        uint32_t b = collective(builder, COLLECTIVE_ALL_REDUCE, rank == 0 ? 20 : 10, slot);
        job_builder_dep(builder, rank == 0 ? b : a, rank == 0 ? a : b);
        CHECK_EQUAL(job_builder_rank_end(builder, "r", &diag), STATUS_OK);
    }
    const struct job *job;
    CHECK_EQUAL(job_builder_finish(builder, &job, &diag), STATUS_OK);
    arena_free(arena);
}

static void test_groups(void)
{
    struct diag diag = {""};
    struct arena *arena = arena_new("test");
    struct job_builder *builder = job_builder_new(arena, "groups", "test", 4);
    const uint32_t twice[] = {1, 2, 1}, far[] = {0, 4}, pair[] = {2, 3}, turned[] = {3, 2}, one[] = {0};
    uint32_t a, b, c, d, single;
    CHECK_EQUAL(job_builder_group(builder, "g", twice, 3, here, &a, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "names rank 1 twice");
    CHECK_EQUAL(job_builder_group(builder, "g", far, 2, here, &a, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "names rank 4");
    CHECK_EQUAL(job_builder_group(builder, "g", pair, 0, here, &a, &diag), STATUS_INPUT);
    CHECK_EQUAL(job_builder_group(builder, "g", pair, 2, here, &a, &diag), STATUS_OK);
    CHECK_EQUAL(job_builder_group(builder, "g", pair, 2, here, &b, &diag), STATUS_OK);
    CHECK_EQUAL(job_builder_group(builder, "h", pair, 2, here, &c, &diag), STATUS_OK);
    CHECK_EQUAL(job_builder_group(builder, "g", turned, 2, here, &d, &diag), STATUS_OK);
    CHECK_EQUAL(job_builder_group(builder, "one", one, 1, here, &single, &diag), STATUS_OK);
    CHECK_EQUAL(a, b);
    CHECK(a != c && a != d);
    CHECK_EQUAL(job_builder_slot(builder, 0, a), ID_NONE);
    CHECK_EQUAL(job_builder_slot(builder, 2, c), 0);
    CHECK_EQUAL(job_builder_slot(builder, 2, a), 1);
    CHECK_EQUAL(job_builder_slot(builder, 2, c), 0);

    /* Groups of one are legal; unused groups ask for nothing. */
    uint32_t slot = job_builder_slot(builder, 0, single);
    for (uint32_t rank = 0; rank < 4; rank++) {
        job_builder_rank(builder, rank);
        if (rank == 0) {
            collective(builder, COLLECTIVE_ALL_REDUCE, 10, slot);
        }
        CHECK_EQUAL(job_builder_rank_end(builder, "r", &diag), STATUS_OK);
    }
    const struct job *job = NULL;
    CHECK_EQUAL(job_builder_finish(builder, &job, &diag), STATUS_OK);
    CHECK_EQUAL(job_member_index(job, d, 2), 1);
    CHECK_EQUAL(job_member_index(job, d, 0), ID_NONE);
    CHECK_EQUAL(job_group_size(job, single), 1);
    CHECK_EQUAL(job_group(job, 2, 1), a);
    arena_free(arena);
}

/* rank_like into a group that the rank is not in. */
static void test_strangers_are_refused(void)
{
    struct diag diag = {""};
    struct arena *arena = arena_new("test");
    struct job_builder *builder = job_builder_new(arena, "like", "test", 3);
    uint32_t group = world(builder, 2);
    uint32_t slot = job_builder_slot(builder, 0, group);
    job_builder_rank(builder, 0);
    collective(builder, COLLECTIVE_ALL_REDUCE, 10, slot);
    CHECK_EQUAL(job_builder_rank_end(builder, "r.0", &diag), STATUS_OK);
    job_builder_rank_like(builder, 1, 0);
    job_builder_rank_like(builder, 2, 0);
    const struct job *job;
    CHECK_EQUAL(job_builder_finish(builder, &job, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "rank 2 runs collectives of group \"world\"");
    arena_free(arena);
}

static void test_missing_rank(void)
{
    struct diag diag = {""};
    struct arena *arena = arena_new("test");
    struct job_builder *builder = job_builder_new(arena, "gap", "test", 2);
    job_builder_rank(builder, 0);
    CHECK_EQUAL(job_builder_rank_end(builder, "r.0", &diag), STATUS_OK);
    const struct job *job;
    CHECK_EQUAL(job_builder_finish(builder, &job, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "rank 1 of 2 has no operations");
    arena_free(arena);
}

struct sent {
    enum op_kind kind;
    uint32_t rank, peer;
    uint64_t bytes;
    uint32_t tag;
};

static enum status messages(const struct sent *list, size_t count, struct diag *diag)
{
    struct arena *arena = arena_new("test");
    struct job_builder *builder = job_builder_new(arena, "messages", "test", 4);
    enum status status = STATUS_OK;
    for (uint32_t rank = 0; rank < 4 && status == STATUS_OK; rank++) {
        job_builder_rank(builder, rank);
        for (size_t i = 0; i < count; i++) {
            if (list[i].rank == rank) {
                message(builder, list[i].kind, list[i].peer, list[i].bytes, list[i].tag);
            }
        }
        char path[16];
        snprintf(path, sizeof path, "m.%u.et", rank);
        status = job_builder_rank_end(builder, path, diag);
    }
    const struct job *job;
    if (status == STATUS_OK) {
        status = job_builder_finish(builder, &job, diag);
    }
    arena_free(arena);
    return status;
}
#define MESSAGES(list_, diag_) messages(list_, sizeof list_ / sizeof list_[0], diag_)

static void test_messages_must_match(void)
{
    struct diag diag = {""};
    /* Half way round (delta +2 and -2 are one), equal tags in FIFO order, a message to oneself. */
    const struct sent good[] = {{OP_SEND, 0, 2, 10, 1}, {OP_RECV, 2, 0, 10, 1}, {OP_SEND, 3, 1, 5, 0},
                                {OP_RECV, 1, 3, 5, 0},  {OP_SEND, 0, 2, 20, 1}, {OP_RECV, 2, 0, 20, 1},
                                {OP_SEND, 1, 1, 9, 2},  {OP_RECV, 1, 1, 9, 2}};
    CHECK_EQUAL(MESSAGES(good, &diag), STATUS_OK);
    const struct sent swapped[] = {
        {OP_SEND, 0, 2, 10, 1}, {OP_SEND, 0, 2, 20, 1}, {OP_RECV, 2, 0, 20, 1}, {OP_RECV, 2, 0, 10, 1}};
    CHECK_EQUAL(MESSAGES(swapped, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "m.2.et: rank 2: recv node 7 \"m\" takes 20 B from rank 0");
    const struct sent alone[] = {{OP_SEND, 0, 1, 10, 1}};
    CHECK_EQUAL(MESSAGES(alone, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "m.0.et: rank 0: send node 7");
    const struct sent waiting[] = {{OP_RECV, 3, 1, 10, 1}};
    CHECK_EQUAL(MESSAGES(waiting, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "m.3.et: rank 3: recv node 7");
    const struct sent tags[] = {
        {OP_SEND, 0, 1, 10, 1}, {OP_SEND, 0, 1, 10, 2}, {OP_RECV, 1, 0, 10, 1}, {OP_RECV, 1, 0, 10, 3}};
    CHECK_EQUAL(MESSAGES(tags, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "with tag 2");
    const struct sent far[] = {{OP_SEND, 0, 4, 10, 1}};
    CHECK_EQUAL(MESSAGES(far, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "names rank 4; expected ranks below 4");
    const struct sent more[] = {{OP_SEND, 0, 1, 10, 1}, {OP_RECV, 1, 0, 10, 1}, {OP_RECV, 1, 0, 10, 1}};
    CHECK_EQUAL(MESSAGES(more, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "m.1.et: rank 1: recv");
}

/* 16,384 ranks, one program of 4,000 operations over groups of 16: sharing must make this cheap. */
static void test_large_job_is_cheap(void)
{
    enum { RANKS = 16384, GROUP = 16, OPS = 1000 };
    struct diag diag = {""};
    struct arena *arena = arena_new("test");
    struct job_builder *builder = job_builder_new(arena, "large", "test", RANKS);
    clock_t begin = clock();
    for (uint32_t rank = 0; rank < RANKS; rank++) {
        uint32_t member[GROUP], group;
        for (uint32_t i = 0; i < GROUP; i++) {
            member[i] = rank / GROUP * GROUP + i;
        }
        CHECK_EQUAL(job_builder_group(builder, "tp", member, GROUP, here, &group, &diag), STATUS_OK);
        uint32_t slot = job_builder_slot(builder, rank, group);
        if (rank > 0) {
            job_builder_rank_like(builder, rank, 0);
            continue;
        }
        job_builder_rank(builder, rank);
        for (uint32_t i = 0; i < OPS; i++) {
            uint32_t work = add(builder, OP_COMPUTE, "w");
            job_builder_dep(builder, collective(builder, COLLECTIVE_ALL_REDUCE, 1 << 20, slot), work);
            message(builder, OP_SEND, GROUP, 1 << 20, i);
            message(builder, OP_RECV, RANKS - GROUP, 1 << 20, i);
        }
        CHECK_EQUAL(job_builder_rank_end(builder, "r", &diag), STATUS_OK);
    }
    const struct job *job = NULL;
    CHECK_EQUAL(job_builder_finish(builder, &job, &diag), STATUS_OK);
    CHECK_TEXT(diag.text, "");
    CHECK_EQUAL(job->program_count, 1);
    CHECK_EQUAL(job->group_count, RANKS / GROUP);
    CHECK((clock() - begin) / CLOCKS_PER_SEC < 5); /* 0.02 s where it was written */
    CHECK(arena_used_bytes(arena) < 64 << 20);
    arena_free(arena);
}

/* One program, three ways to hand it over: names as they come, names kept before in another order with some that nobody
 * uses, and long rows of dependencies in disorder and twice. Numbers of every width come back as they were. */
static void test_ways_to_hand_over(void)
{
    enum { OPS = 700, NAMES = 40, WAYS = 3, DEPS_MAX = 90 };
    struct diag diag = {""};
    struct arena *arena = arena_new("test");
    struct job_builder *builder = job_builder_new(arena, "ways", "test", WAYS);
    for (uint32_t way = 0; way < WAYS; way++) {
        uint32_t name_id[NAMES];
        char name[16];
        job_builder_rank(builder, way);
        for (uint32_t i = NAMES; i-- > 0 && way == 1;) {
            snprintf(name, sizeof name, "unused %u", i);
            job_builder_name(builder, name, strlen(name));
            snprintf(name, sizeof name, "name %u?", i);
            name_id[i] = job_builder_name(builder, name, strlen(name) - 1);
            CHECK(strncmp(job_builder_name_text(builder, name_id[i]), name, strlen(name) - 1) == 0);
        }
        for (uint32_t i = 0; i < OPS; i++) {
            snprintf(name, sizeof name, "name %u", i % NAMES);
            struct op op = {.kind = i % 2 == 0 ? OP_COMPUTE : OP_MEMORY, .duration_ps = rng_draw(1, 0, i) >> i % 64,
                            .bytes = rng_draw(1, 1, i) >> i % 61, .stream = (uint16_t)(i % 7),
                            .source_id = rng_draw(1, 2, i) >> i % 60, .name = name};
            if (way == 1) {
                op.name = NULL;
                op.name_id = name_id[i % NAMES];
            }
            job_builder_op(builder, &op);
        }
        for (uint32_t k = 0; k < OPS; k++) {
            uint32_t op = way == 2 ? OPS - 1 - k : k, count = op < DEPS_MAX ? op : DEPS_MAX;
            for (uint32_t d = 0; d < count; d++) {
                uint32_t on = op - 1 - (way == 0 ? count - 1 - d : (d * 7 + op) % count);
                job_builder_dep(builder, op, way > 0 && count % 7 == 0 ? op - 1 - d : on);
                if (way == 2) {
                    job_builder_dep(builder, op, op - 1 - d);
                }
            }
        }
        CHECK_EQUAL(job_builder_rank_end(builder, "r", &diag), STATUS_OK);
    }
    const struct job *job = NULL;
    CHECK_EQUAL(job_builder_finish(builder, &job, &diag), STATUS_OK);
    CHECK_EQUAL(job->program_count, 1);
    const struct program *program = &job->programs[0];
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < OPS; i++) {
        char name[16];
        snprintf(name, sizeof name, "name %u", i % NAMES);
        wrong += program->duration_ps[i] != rng_draw(1, 0, i) >> i % 64 || program->stream[i] != i % 7 ||
                 program->source_id[i] != rng_draw(1, 2, i) >> i % 60 || strcmp(op_name(program, i), name) != 0 ||
                 program->bytes[i] != (i % 2 == 0 ? 0 : rng_draw(1, 1, i) >> i % 61) ||
                 program->dep_first[i + 1] - program->dep_first[i] != (i < DEPS_MAX ? i : DEPS_MAX);
    }
    CHECK_EQUAL(wrong, 0);
    arena_free(arena);
}

/* Each field of each kind, small, usual, at its limits and anywhere between, through the short form in which a rank's operations
 * wait and into columns. What a kind does not have is 0. */
static uint64_t draw_of(uint64_t what, uint64_t i, uint64_t most)
{
    static const uint64_t edges[] = {0, 1, 127, 128, 255, 256, 65535, 65536, UINT32_MAX - 1, UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX};
    uint64_t bits = rng_draw(99, what, i), value = bits % 2 == 0 ? edges[bits / 2 % 12] : rng_draw(98, what, i) >> bits / 2 % 64;
    return value <= most ? value : most - value % (most < 64 ? most + 1 : 64);
}

static struct op drawn_op(uint64_t i, uint32_t rank, uint32_t slot)
{
    static const enum op_kind kinds[] = {OP_COMPUTE, OP_MEMORY, OP_SEND, OP_RECV, OP_COLLECTIVE, OP_MARKER};
    static const enum collective_kind collectives[] = {COLLECTIVE_ALL_REDUCE, COLLECTIVE_BROADCAST, COLLECTIVE_BARRIER,
                                                       COLLECTIVE_REDUCE, COLLECTIVE_ALL_TO_ALL};
    enum op_kind kind = kinds[rng_draw(97, 0, i) % 6];
    if (rank == 1 && (kind == OP_SEND || kind == OP_RECV)) {
        kind = kind == OP_SEND ? OP_RECV : OP_SEND; /* the other end */
    }
    return (struct op){.kind = kind, .collective = collectives[rng_draw(97, 1, i) % 5], .duration_ps = draw_of(2, i, UINT64_MAX / 2),
                       .bytes = draw_of(3, i, (UINT64_C(1) << 40) - 1), .peer = 1 - rank, .group_slot = slot,
                       .root = (uint32_t)draw_of(4, i, 1), .tag = (uint32_t)draw_of(5, i, UINT32_MAX),
                       .stream = (uint16_t)draw_of(6, i, UINT16_MAX), .source_id = draw_of(7, i, UINT64_MAX)};
}

static void test_every_field_comes_back(void)
{
    enum { OPS = 6000 };
    struct diag diag = {""};
    struct arena *arena = arena_new("test");
    struct job_builder *builder = job_builder_new(arena, "fields", "test", 2);
    static const uint32_t members[] = {0, 1};
    uint32_t group, wrong = 0;
    CHECK_EQUAL(job_builder_group(builder, "both", members, 2, (struct origin){.path = "t"}, &group, &diag), STATUS_OK);
    for (uint32_t rank = 0; rank < 2; rank++) {
        uint32_t slot = job_builder_slot(builder, rank, group);
        job_builder_rank(builder, rank);
        for (uint64_t i = 0; i < OPS; i++) {
            struct op op = drawn_op(i, rank, slot);
            CHECK_EQUAL(job_builder_op(builder, &op), i);
        }
        CHECK_EQUAL(job_builder_rank_end(builder, "r", &diag), STATUS_OK);
    }
    const struct job *job = NULL;
    CHECK_EQUAL(job_builder_finish(builder, &job, &diag), STATUS_OK);
    CHECK_TEXT(diag.text, "");
    for (uint32_t rank = 0; job != NULL && rank < 2; rank++) {
        const struct program *program = job_program(job, rank);
        for (uint32_t i = 0; i < OPS; i++) {
            const struct op op = drawn_op(i, rank, 0);
            bool is_barrier = op.kind == OP_COLLECTIVE && op.collective == COLLECTIVE_BARRIER;
            bool is_timed = op.kind == OP_COMPUTE || op.kind == OP_MEMORY, is_message = op.kind == OP_SEND || op.kind == OP_RECV;
            bool is_call = op.kind == OP_COLLECTIVE, has_bytes = op.kind == OP_MEMORY || is_message || is_call;
            bool has_root = is_call && (op.collective == COLLECTIVE_BROADCAST || op.collective == COLLECTIVE_REDUCE);
            bool is_free = op.kind == OP_SEND && op.stream == STREAM_COMPUTE;
            uint16_t stream = (is_timed || op.kind == OP_SEND) && !is_free ? op.stream : STREAM_NONE;
            wrong += program->kind[i] != op.kind || program->duration_ps[i] != (is_timed || is_barrier ? op.duration_ps : 0) ||
                     program->bytes[i] != (has_bytes && !is_barrier ? op.bytes : 0) ||
                     program->tag[i] != (is_message ? op.tag : 0) || program->stream[i] != stream ||
                     program->source_id[i] != op.source_id || program->root[i] != (has_root ? op.root : 0) ||
                     (is_call && program->collective[i] != op.collective) ||
                     (is_message && job_peer(job, rank, program, i) != 1 - rank);
        }
    }
    CHECK_EQUAL(wrong, 0);
    arena_free(arena);
}

TEST_MAIN("job", TEST(test_ring_is_one_program), TEST(test_sharing_by_content),
          TEST(test_sharing_ignores_source_ids), TEST(test_building_leaves_nothing_behind),
          TEST(test_duplicates_are_cut), TEST(test_order_is_canonical), TEST(test_cycles_are_named),
          TEST(test_collectives_must_agree), TEST(test_unequal_parts),
          TEST(test_collectives_match_in_order), TEST(test_groups),
          TEST(test_strangers_are_refused), TEST(test_missing_rank), TEST(test_messages_must_match),
          TEST(test_large_job_is_cheap), TEST(test_ways_to_hand_over), TEST(test_every_field_comes_back))
