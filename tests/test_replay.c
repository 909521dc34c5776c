/* The replay on a toy network in which a message takes alpha + beta * bytes, whatever else is under way.
 *
 * Asserted: streams and their order; exposed communication; matching of equal tags, early messages, iterations; groups of
 * one; chains too long for recursion; what a deadlock report says; alpha-beta times of rings; volume and demand, asked
 * before, equal what is sent. Not asserted: who sends what in a collective (test of the collectives), packets. */
#include "netsim/base/rng.h"
#include "netsim/replay/replay.h"
#include "photonet/units.h"
#include "tests/check.h"

#define US PS_PER_US

/* ---- jobs ------------------------------------------------------------------------------------------------- */

struct making {
    struct arena *arena;
    struct job_builder *builder;
    uint32_t ranks, rank;
};

static struct making make(struct arena *arena, uint32_t ranks)
{
    return (struct making){arena, job_builder_new(arena, "toy", "test", ranks), ranks, 0};
}

static void rank_begin(struct making *making, uint32_t rank)
{
    making->rank = rank;
    job_builder_rank(making->builder, rank);
}

static void rank_end(struct making *making)
{
    struct diag diag = {""};
    CHECK_EQUAL(job_builder_rank_end(making->builder, "test", &diag), STATUS_OK);
    CHECK_TEXT(diag.text, "");
}

static const struct job *made(struct making *making)
{
    const struct job *job = NULL;
    struct diag diag = {""};
    if (job_builder_finish(making->builder, &job, &diag) != STATUS_OK) {
        printf("%s\n", diag.text);
        exit(1); /* what follows would run a job that is not there */
    }
    return job;
}

static uint32_t group(struct making *making, const char *name, uint32_t first, uint32_t count)
{
    uint32_t members[64], id;
    struct diag diag;
    for (uint32_t i = 0; i < count; i++) {
        members[i] = first + i;
    }
    struct origin at = {"test", 0, 0};
    CHECK_EQUAL(job_builder_group(making->builder, name, members, count, at, &id, &diag), STATUS_OK);
    return id;
}

static uint32_t compute_on(struct making *making, uint16_t stream, uint64_t duration_ps)
{
    const struct op op = {.kind = OP_COMPUTE, .stream = stream, .duration_ps = duration_ps, .name = "compute"};
    return job_builder_op(making->builder, &op);
}

static uint32_t compute(struct making *making, uint64_t duration_ps)
{
    return compute_on(making, STREAM_COMPUTE, duration_ps);
}

static uint32_t message(struct making *making, enum op_kind kind, uint32_t peer, uint64_t bytes, uint32_t tag)
{
    const struct op op = {.kind = kind, .peer = peer, .bytes = bytes, .tag = tag, .stream = STREAM_NONE,
                          .source_id = 100 + tag, .name = "message"};
    return job_builder_op(making->builder, &op);
}

static uint32_t collective_from(struct making *making, uint32_t group_id, enum collective_kind kind, uint64_t bytes,
                                uint32_t root)
{
    const struct op op = {.kind = OP_COLLECTIVE, .collective = kind, .bytes = bytes, .source_id = 7, .name = "call",
                          .root = root, .group_slot = job_builder_slot(making->builder, making->rank, group_id)};
    return job_builder_op(making->builder, &op);
}

static uint32_t collective(struct making *making, uint32_t group_id, enum collective_kind kind, uint64_t bytes)
{
    return collective_from(making, group_id, kind, bytes, 0);
}

static uint32_t marker(struct making *making)
{
    const struct op op = {.kind = OP_MARKER, .name = "marker"};
    return job_builder_op(making->builder, &op);
}

static void after(struct making *making, uint32_t op, uint32_t on)
{
    job_builder_dep(making->builder, op, on);
}

/* ---- the toy network -------------------------------------------------------------------------------------- */

enum toy_kind { TOY_DELIVERED, TOY_ACKED, TOY_EVENT };

struct toy_event {
    uint64_t time_ps, number, argument;
    enum toy_kind kind;
    uint32_t host;
    struct message message;
};

struct toy {
    struct arena *arena;
    struct replay *replay;
    uint64_t alpha_ps, beta_ps, ack_ps, number, end_ps;
    struct toy_event *events; /* a binary heap */
    size_t count, capacity;
    struct message *sent;     /* all of them */
    size_t sent_count, sent_capacity;
};

static bool toy_before(const struct toy_event *a, const struct toy_event *b)
{
    return a->time_ps != b->time_ps ? a->time_ps < b->time_ps : a->number < b->number;
}

static void toy_push(struct toy *toy, struct toy_event event)
{
    event.number = toy->number++;
    vec_push(toy->arena, toy->events, toy->count, toy->capacity) = event;
    size_t at = toy->count - 1;
    for (; at > 0 && toy_before(&event, &toy->events[(at - 1) / 2]); at = (at - 1) / 2) {
        toy->events[at] = toy->events[(at - 1) / 2];
    }
    toy->events[at] = event;
}

static struct toy_event toy_pop(struct toy *toy)
{
    struct toy_event first = toy->events[0], last = toy->events[--toy->count];
    size_t at = 0;
    for (size_t child = 1; child < toy->count; child = 2 * at + 1) {
        child += child + 1 < toy->count && toy_before(&toy->events[child + 1], &toy->events[child]);
        if (!toy_before(&toy->events[child], &last)) {
            break;
        }
        toy->events[at] = toy->events[child];
        at = child;
    }
    toy->events[at] = last;
    return first;
}

static void toy_send(void *context, const struct message *message_, uint64_t now_ps)
{
    struct toy *toy = context;
    uint64_t there_ps = now_ps + message_post_ps(message_) + toy->alpha_ps + toy->beta_ps * message_->bytes;
    struct message kept = *message_;
    kept.posted_ps = now_ps;
    vec_push(toy->arena, toy->sent, toy->sent_count, toy->sent_capacity) = kept;
    toy_push(toy, (struct toy_event){.time_ps = there_ps, .kind = TOY_DELIVERED, .message = kept});
    toy_push(toy, (struct toy_event){.time_ps = there_ps + toy->ack_ps, .kind = TOY_ACKED, .message = kept});
}

static void toy_timer(void *context, uint32_t host, uint64_t when_ps, uint64_t argument)
{
    CHECK(argument < UINT64_C(1) << 40);
    toy_push(context, (struct toy_event){.time_ps = when_ps, .kind = TOY_EVENT, .host = host, .argument = argument});
}

static void toy_run(struct toy *toy)
{
    while (toy->count > 0) {
        struct toy_event event = toy_pop(toy);
        toy->end_ps = event.time_ps;
        if (event.kind == TOY_EVENT) {
            replay_event(toy->replay, event.host, event.argument, event.time_ps);
        } else if (event.kind == TOY_DELIVERED) {
            replay_delivered(toy->replay, &event.message, event.time_ps);
        } else {
            replay_acked(toy->replay, &event.message, event.time_ps);
        }
    }
}

struct toy_options {
    uint64_t alpha_ps, beta_ps, ack_ps, chunk_bytes;
    uint32_t iterations, ranks_per_host; /* 0 = 1 */
    const struct collective_algorithm *all_reduce, *algorithm; /* the second for its own kind */
    const struct collective_policy *policy; /* instead of them */
    struct collective_machine machine;
};

static struct toy *toy_new(struct arena *arena, const struct job *job, const struct toy_options *options)
{
    struct toy *toy = arena_one(arena, struct toy);
    *toy = (struct toy){.arena = arena, .alpha_ps = options->alpha_ps, .beta_ps = options->beta_ps,
                        .ack_ps = options->ack_ps};
    uint32_t share = options->ranks_per_host == 0 ? 1 : options->ranks_per_host;
    uint32_t *rank_host = arena_array(arena, job->rank_count, uint32_t);
    for (uint32_t rank = 0; rank < job->rank_count; rank++) {
        rank_host[rank] = rank / share;
    }
    struct replay_config config = {
        .job = job, .rank_host = rank_host, .host_count = job->rank_count / share + 1,
        .chunk_bytes = options->chunk_bytes == 0 ? 512 : options->chunk_bytes, .all_to_all_concurrency = 2,
        .iterations = options->iterations == 0 ? 1 : options->iterations,
        .policy = options->policy, .machine = options->machine,
        .net = {.context = toy, .send = toy_send, .timer = toy_timer}};
    config.algorithm[COLLECTIVE_ALL_REDUCE] = options->all_reduce;
    if (options->algorithm != NULL) {
        config.algorithm[options->algorithm->kind] = options->algorithm;
    }
    toy->replay = replay_new(arena, &config);
    return toy;
}

/* Runs the job to its end. */
static struct toy *toy_finish(struct arena *arena, const struct job *job, const struct toy_options *options)
{
    struct toy *toy = toy_new(arena, job, options);
    replay_start(toy->replay);
    toy_run(toy);
    CHECK(replay_is_complete(toy->replay));
    CHECK_EQUAL(replay_done_ops(toy->replay), replay_op_count(toy->replay));
    return toy;
}

static struct replay_rank rank_of(const struct toy *toy, uint32_t rank)
{
    struct replay_rank result;
    replay_rank(toy->replay, rank, 0, &result);
    return result;
}

/* When the message of so many bytes was posted: tests mark moments with messages of one, two, ... bytes. */
static uint64_t posted_ps(const struct toy *toy, uint64_t bytes)
{
    for (size_t i = 0; i < toy->sent_count; i++) {
        if (toy->sent[i].bytes == bytes) {
            return toy->sent[i].posted_ps;
        }
    }
    return TIME_NEVER_PS;
}

/* The end of `op` on this rank is marked by a message of `bytes` to rank 1, which must take it. */
static void mark(struct making *making, uint32_t op, uint64_t bytes)
{
    after(making, message(making, OP_SEND, 1, bytes, 1000 + (uint32_t)bytes), op);
}

static void marks_take(struct making *making, uint64_t bytes_max)
{
    for (uint64_t bytes = 1; bytes <= bytes_max; bytes++) {
        message(making, OP_RECV, 0, bytes, 1000 + (uint32_t)bytes);
    }
}

/* Rank 0 is made; rank 1 takes its marks, and both run to the end. */
static struct toy *toy_finish_marked(struct making *making, uint64_t bytes_max)
{
    rank_end(making);
    rank_begin(making, 1);
    marks_take(making, bytes_max);
    rank_end(making);
    return toy_finish(making->arena, made(making), &(struct toy_options){0});
}

/* ---- streams ---------------------------------------------------------------------------------------------- */

static void test_one_stream_is_serial_two_overlap(void)
{
    struct arena *arena = arena_new("test");
    for (uint16_t second = 0; second < 2; second++) {
        struct making making = make(arena, 1);
        rank_begin(&making, 0);
        compute(&making, 10 * US);
        compute_on(&making, second, 7 * US);
        rank_end(&making);
        struct toy *toy = toy_finish(arena, made(&making), &(struct toy_options){0});
        CHECK_EQUAL(replay_makespan_ps(toy->replay), second == 0 ? 17 * US : 10 * US);
        CHECK_EQUAL(rank_of(toy, 0).compute_ps, second == 0 ? 17 * US : 10 * US); /* stream 1 is not compute */
        CHECK_EQUAL(rank_of(toy, 0).communication_ps, 0);
    }
    arena_free(arena);
}

/* Whatever becomes ready at one moment starts in canonical order, not in the order of the numbers: operation 0 waits for
 * 2 and 3, operation 1 for 2 only; canonical is 2 1 3 0. Both are ready when 2 ends. */
static void test_ready_at_once_starts_in_canonical_order(void)
{
    struct arena *arena = arena_new("test");
    struct making making = make(arena, 2);
    rank_begin(&making, 0);
    uint32_t late = compute(&making, 5 * US), early = compute(&making, 3 * US);
    uint32_t both = compute(&making, 10 * US), other = compute_on(&making, 1, US);
    after(&making, late, both);
    after(&making, late, other);
    after(&making, early, both);
    mark(&making, late, 1);
    mark(&making, early, 2);
    struct toy *toy = toy_finish_marked(&making, 2);
    CHECK_EQUAL(posted_ps(toy, 2), 13 * US);
    CHECK_EQUAL(posted_ps(toy, 1), 18 * US);
    arena_free(arena);
}

/* The same at the start, where markers stand between: the compute behind the marker comes first in canonical order. */
static void test_markers_take_no_turn(void)
{
    struct arena *arena = arena_new("test");
    struct making making = make(arena, 2);
    rank_begin(&making, 0);
    uint32_t begin = marker(&making), first = compute(&making, 10 * US), second = compute(&making, US);
    after(&making, first, begin);
    mark(&making, first, 1);
    mark(&making, second, 2);
    struct toy *toy = toy_finish_marked(&making, 2);
    CHECK_EQUAL(posted_ps(toy, 1), 10 * US);
    CHECK_EQUAL(posted_ps(toy, 2), 11 * US);
    arena_free(arena);
}

/* Many ready computes of one stream run in order, although they become ready in any order. */
static void test_a_stream_is_a_queue_by_order(void)
{
    enum { COUNT = 200 };
    struct arena *arena = arena_new("test");
    struct making making = make(arena, 2);
    rank_begin(&making, 0);
    uint32_t block = compute(&making, 1000 * US), ops[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) { /* what they wait for ends while the stream is taken, in random order */
        uint32_t wait = compute_on(&making, (uint16_t)(1 + i), US * (1 + rng_below(rng_draw(1, 1, i), 900)));
        ops[i] = compute(&making, (1 + i) * US);
        after(&making, ops[i], wait);
        mark(&making, ops[i], 1 + i);
    }
    struct toy *toy = toy_finish_marked(&making, COUNT);
    uint64_t expected_ps = 1000 * US;
    for (uint64_t i = 0; i < COUNT; i++) {
        expected_ps += (1 + i) * US;
        CHECK_EQUAL(posted_ps(toy, 1 + i), expected_ps);
    }
    CHECK_EQUAL(block, 0);
    arena_free(arena);
}

/* ---- accounting ------------------------------------------------------------------------------------------- */

/* A transfer of 15 us under a compute of 10 us: 5 us of it are exposed; whoever waits for it is exposed all the time. */
static void test_exposed_communication(void)
{
    struct arena *arena = arena_new("test");
    struct making making = make(arena, 2);
    rank_begin(&making, 0);
    compute(&making, 10 * US);
    message(&making, OP_SEND, 1, 100, 1);
    rank_end(&making);
    rank_begin(&making, 1);
    compute_on(&making, 1, 12 * US); /* not the compute stream */
    message(&making, OP_RECV, 0, 100, 1);
    rank_end(&making);
    struct toy *toy = toy_finish(arena, made(&making), &(struct toy_options){.alpha_ps = 14 * US, .ack_ps = US});
    CHECK_EQUAL(rank_of(toy, 0).compute_ps, 10 * US);
    CHECK_EQUAL(rank_of(toy, 0).communication_ps, 15 * US);
    CHECK_EQUAL(rank_of(toy, 0).exposed_ps, 5 * US);
    CHECK_EQUAL(rank_of(toy, 0).sent_bytes, 100);
    CHECK_EQUAL(rank_of(toy, 1).communication_ps, 14 * US);
    CHECK_EQUAL(rank_of(toy, 1).exposed_ps, 14 * US);
    CHECK_EQUAL(rank_of(toy, 1).compute_ps, 0);
    CHECK_EQUAL(rank_of(toy, 1).received_bytes, 100);
    CHECK_EQUAL(rank_of(toy, 1).end_ps, 14 * US);
    CHECK_EQUAL(replay_makespan_ps(toy->replay), 15 * US);
    arena_free(arena);
}

/* Several at once count once: send 0-20, compute 5-8 and 30-40, receive 35-50 and 36-44. */
static void test_overlapping_communication_counts_once(void)
{
    struct arena *arena = arena_new("test");
    struct making making = make(arena, 2);
    rank_begin(&making, 0);
    message(&making, OP_SEND, 1, 20, 1);
    message(&making, OP_SEND, 1, 15, 2);
    uint32_t wait = compute_on(&making, 1, 5 * US), first = compute(&making, 3 * US);
    uint32_t pause = compute_on(&making, 1, 22 * US), second = compute(&making, 10 * US);
    uint32_t to_receive = compute_on(&making, 1, 27 * US), later = compute_on(&making, 2, 36 * US);
    after(&making, first, wait);
    after(&making, pause, first);
    after(&making, second, pause);
    after(&making, to_receive, wait);
    after(&making, to_receive, first);
    after(&making, message(&making, OP_RECV, 1, 50, 3), to_receive);
    after(&making, message(&making, OP_RECV, 1, 44, 4), later);
    rank_end(&making);
    rank_begin(&making, 1);
    message(&making, OP_RECV, 0, 20, 1);
    message(&making, OP_RECV, 0, 15, 2);
    message(&making, OP_SEND, 0, 50, 3);
    message(&making, OP_SEND, 0, 44, 4);
    rank_end(&making);
    struct toy *toy = toy_finish(arena, made(&making), &(struct toy_options){.beta_ps = US});
    struct replay_rank rank = rank_of(toy, 0);
    /* stream 1 runs 0-5, then the pause 8-30, then the other one 30-57: its receive finds its message there */
    CHECK_EQUAL(rank.compute_ps, 13 * US);
    CHECK_EQUAL(rank.communication_ps, 20 * US + 8 * US);
    CHECK_EQUAL(rank.exposed_ps, 17 * US + 4 * US);
    arena_free(arena);
}

/* ---- matching --------------------------------------------------------------------------------------------- */

/* The second of two messages with one tag overtakes the first: still the first receive gets the first one. */
static void test_equal_tags_match_in_order(void)
{
    struct arena *arena = arena_new("test");
    struct making making = make(arena, 2);
    rank_begin(&making, 1);
    message(&making, OP_SEND, 0, 500, 9);
    message(&making, OP_SEND, 0, 30, 9);
    marks_take(&making, 2);
    rank_end(&making);
    rank_begin(&making, 0);
    mark(&making, message(&making, OP_RECV, 1, 500, 9), 1);
    mark(&making, message(&making, OP_RECV, 1, 30, 9), 2);
    rank_end(&making);
    struct toy *toy = toy_finish(arena, made(&making), &(struct toy_options){.beta_ps = US});
    CHECK_EQUAL(posted_ps(toy, 1), 500 * US);
    CHECK_EQUAL(posted_ps(toy, 2), 30 * US);
    arena_free(arena);
}

/* Messages that come before they are asked for wait, cost nothing, and go to the one that asks for them. */
static void test_early_messages(void)
{
    enum { COUNT = 300 };
    struct arena *arena = arena_new("test");
    struct making making = make(arena, 3);
    for (uint32_t rank = 1; rank < 3; rank++) {
        rank_begin(&making, rank);
        for (uint32_t i = 0; i < COUNT; i++) {
            message(&making, OP_SEND, 0, 10, i / 3);
        }
        rank_end(&making);
    }
    rank_begin(&making, 0);
    uint32_t work = compute(&making, 100 * US);
    for (uint32_t i = 0; i < 2 * COUNT; i++) { /* the last sent is the first wanted */
        uint32_t receive = message(&making, OP_RECV, 1 + i % 2, 10, (COUNT - 1 - i / 2) / 3);
        after(&making, receive, work);
        work = receive;
    }
    rank_end(&making);
    struct toy *toy = toy_finish(arena, made(&making), &(struct toy_options){.alpha_ps = US});
    CHECK_EQUAL(rank_of(toy, 0).end_ps, 100 * US);
    CHECK_EQUAL(rank_of(toy, 0).communication_ps, 0);
    CHECK_EQUAL(rank_of(toy, 0).received_bytes, 2 * COUNT * 10);
    arena_free(arena);
}

/* ---- iterations ------------------------------------------------------------------------------------------- */

/* Rank 0 runs ahead through all iterations; rank 1 works 50 us before each receive. */
static void test_iterations_do_not_mix(void)
{
    struct arena *arena = arena_new("test");
    struct making making = make(arena, 2);
    rank_begin(&making, 0);
    message(&making, OP_SEND, 1, 10, 1);
    rank_end(&making);
    rank_begin(&making, 1);
    uint32_t work = compute(&making, 50 * US);
    after(&making, message(&making, OP_RECV, 0, 10, 1), work);
    rank_end(&making);
    const struct toy_options options = {.alpha_ps = US, .ack_ps = US, .iterations = 20};
    struct toy *toy = toy_finish(arena, made(&making), &options);
    CHECK_EQUAL(rank_of(toy, 0).end_ps, 20 * 2 * US);
    CHECK_EQUAL(rank_of(toy, 0).first_end_ps, 2 * US);
    CHECK_EQUAL(rank_of(toy, 1).end_ps, 20 * 50 * US);
    CHECK_EQUAL(rank_of(toy, 1).compute_ps, 20 * 50 * US);
    CHECK_EQUAL(rank_of(toy, 1).received_bytes, 200);
    CHECK_EQUAL(replay_first_iteration_ps(toy->replay), 50 * US);
    CHECK_EQUAL(replay_op_count(toy->replay), 20 * 3);
    CHECK_EQUAL(toy->sent_count, 20);
    arena_free(arena);
}

/* Broadcasts whose root runs ahead of the others by whole iterations. */
static void test_iterations_of_collectives(void)
{
    struct arena *arena = arena_new("test");
    struct making making = make(arena, 4);
    uint32_t all = group(&making, "all", 0, 4);
    for (uint32_t rank = 0; rank < 4; rank++) {
        rank_begin(&making, rank);
        uint32_t work = compute(&making, (1 + 30 * rank) * US);
        after(&making, collective(&making, all, COLLECTIVE_BROADCAST, 1500), work);
        after(&making, collective(&making, all, COLLECTIVE_BROADCAST, 700), work);
        rank_end(&making);
    }
    struct toy *toy = toy_finish(arena, made(&making), &(struct toy_options){.alpha_ps = 1000, .iterations = 7});
    CHECK_EQUAL(toy->sent_count, 7 * 3 * (3 + 2));
    CHECK(rank_of(toy, 0).end_ps < 3 * 31 * US);
    CHECK_EQUAL(rank_of(toy, 3).received_bytes, 7 * 2200);
    CHECK(rank_of(toy, 3).end_ps >= 7 * 91 * US);
    arena_free(arena);
}

/* ---- collectives ------------------------------------------------------------------------------------------ */

/* A group of one moves nothing and ends at once, however many calls there are. */
static void test_groups_of_one(void)
{
    struct arena *arena = arena_new("test");
    struct making making = make(arena, 1);
    uint32_t alone = group(&making, "alone", 0, 1);
    rank_begin(&making, 0);
    for (int kind = 0; kind < COLLECTIVE_KIND_COUNT; kind++) {
        for (int i = 0; i < 10000 && kind != 8; i++) {
            collective(&making, alone, (enum collective_kind)kind, 1000);
        }
    }
    rank_end(&making);
    struct toy *toy = toy_finish(arena, made(&making), &(struct toy_options){.alpha_ps = US});
    CHECK_EQUAL(replay_makespan_ps(toy->replay), 0);
    CHECK_EQUAL(toy->sent_count, 0);
    CHECK_EQUAL(replay_call_count(toy->replay), 90000);
    CHECK_EQUAL((&replay_calls(toy->replay)[89999])->ended, 1);
    arena_free(arena);
}

static const struct job *all_reduce_job(struct arena *arena, uint32_t ranks, uint64_t bytes)
{
    struct making making = make(arena, ranks);
    uint32_t all = group(&making, "all", 0, ranks);
    for (uint32_t rank = 0; rank < ranks; rank++) {
        rank_begin(&making, rank);
        collective(&making, all, COLLECTIVE_ALL_REDUCE, bytes);
        rank_end(&making);
    }
    return made(&making);
}

/* 2 (n - 1) steps of alpha + chunk * beta, and the ACK of the last one; half the bytes each way where two rings turn. */
static void test_ring_takes_alpha_and_beta(void)
{
    struct arena *arena = arena_new("test");
    for (uint32_t ranks = 2; ranks <= 9; ranks++) {
        const struct job *job = all_reduce_job(arena, ranks, ranks * 1000);
        struct toy_options options = {.alpha_ps = 3 * US, .beta_ps = 7000, .ack_ps = US / 2};
        struct toy *toy = toy_finish(arena, job, &options);
        uint64_t steps = 2 * (ranks - 1);
        CHECK_EQUAL(replay_makespan_ps(toy->replay), steps * (3 * US + 1000 * 7000) + US / 2);
        CHECK_EQUAL(rank_of(toy, ranks - 1).sent_bytes, steps * 1000);
        CHECK_EQUAL(rank_of(toy, 0).exposed_ps, replay_makespan_ps(toy->replay));
        options.all_reduce = collective_find(COLLECTIVE_ALL_REDUCE, "two_way_ring");
        toy = toy_finish(arena, job, &options);
        CHECK_EQUAL(replay_makespan_ps(toy->replay), steps * (3 * US + 500 * 7000) + US / 2);
        CHECK_EQUAL(toy->sent_count, 2 * steps * ranks);
    }
    arena_free(arena);
}

/* Eight ranks that put in 8000 B, or shards of 1000 B: messages and bytes on the longest way. */
static void test_algorithms_take_alpha_and_beta(void)
{
    static const struct {
        enum collective_kind kind;
        const char *name;
        uint64_t bytes, alphas, betas;
    } rows[] = {{COLLECTIVE_ALL_REDUCE, "halving_doubling", 8000, 6, 14000},
                {COLLECTIVE_ALL_GATHER, "recursive_doubling", 1000, 3, 7000},
                {COLLECTIVE_ALL_GATHER, "bruck", 1000, 3, 7000},
                {COLLECTIVE_ALL_GATHER, "pat", 1000, 3, 7000},
                {COLLECTIVE_REDUCE_SCATTER, "recursive_halving", 8000, 3, 7000},
                {COLLECTIVE_REDUCE_SCATTER, "pat", 8000, 3, 7000},
                {COLLECTIVE_ALL_TO_ALL, "bruck", 8000, 3, 12000},
                {COLLECTIVE_BROADCAST, "binomial", 8000, 3, 24000},
                {COLLECTIVE_REDUCE, "binomial", 8000, 3, 24000},
                {COLLECTIVE_SCATTER, "binomial", 8000, 3, 7000},
                {COLLECTIVE_GATHER, "binomial", 1000, 3, 7000},
                {COLLECTIVE_BARRIER, "dissemination", 0, 3, 0},
                {COLLECTIVE_ALL_REDUCE, "tree", 8000, 6, 24000}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena *arena = arena_new("test");
        struct making making = make(arena, 8);
        uint32_t all = group(&making, "all", 0, 8);
        for (uint32_t rank = 0; rank < 8; rank++) {
            rank_begin(&making, rank);
            collective(&making, all, rows[i].kind, rows[i].bytes);
            rank_end(&making);
        }
        const struct toy_options options = {.alpha_ps = 3 * US, .beta_ps = 7000, .ack_ps = US / 2, .chunk_bytes = 100000,
                                            .algorithm = collective_find(rows[i].kind, rows[i].name)};
        struct toy *toy = toy_finish(arena, made(&making), &options);
        CHECK_EQUAL(replay_makespan_ps(toy->replay), rows[i].alphas * 3 * US + rows[i].betas * 7000 + US / 2);
        arena_free(arena);
    }
}

/* Rank 2 comes 20 us late; the others' steps wait for it, and the record says when who was there. */
static void test_records_of_calls(void)
{
    struct arena *arena = arena_new("test");
    struct making making = make(arena, 4);
    uint32_t pair = group(&making, "pair", 0, 2), all = group(&making, "all", 0, 4);
    for (uint32_t rank = 0; rank < 4; rank++) {
        rank_begin(&making, rank);
        uint32_t work = compute(&making, rank == 2 ? 20 * US : 0);
        after(&making, collective(&making, all, COLLECTIVE_ALL_GATHER, 77), work);
        if (rank < 2) {
            collective(&making, pair, COLLECTIVE_BARRIER, 0);
        }
        rank_end(&making);
    }
    struct toy *toy = toy_finish(arena, made(&making), &(struct toy_options){.alpha_ps = US});
    CHECK_EQUAL(replay_call_count(toy->replay), 2);
    const struct replay_call *call = &replay_calls(toy->replay)[0];
    CHECK_EQUAL(call->kind, COLLECTIVE_BARRIER);
    CHECK_EQUAL(call->members, 2);
    CHECK_EQUAL(call->end_ps, US); /* groups do not wait for each other */
    call = &replay_calls(toy->replay)[1];
    CHECK_EQUAL(call->group, all);
    CHECK_EQUAL(call->started, 4);
    CHECK_EQUAL(call->ended, 4);
    CHECK_EQUAL(call->bytes, 77);
    CHECK_EQUAL(call->first_start_ps, 0);
    CHECK_EQUAL(call->last_start_ps, 20 * US);
    CHECK_EQUAL(call->end_ps, 23 * US);
    CHECK_TEXT(call->algorithm->name, "ring");
    arena_free(arena);
}

/* Ranks come 0, 3 and 6 us into the iteration. They look every 4 us whether the last one had come 4 us before: at 12 us, and in
 * the second iteration, whose last rank comes at 19 us, at 24 us. Nobody sends anything. */
static void test_a_barrier_that_holds(void)
{
    struct arena *arena = arena_new("test");
    struct making making = make(arena, 3);
    uint32_t all = group(&making, "all", 0, 3);
    for (uint32_t rank = 0; rank < 3; rank++) {
        rank_begin(&making, rank);
        uint32_t work = compute(&making, rank * 3 * US);
        const struct op op = {.kind = OP_COLLECTIVE, .collective = COLLECTIVE_BARRIER, .duration_ps = 4 * US,
                              .group_slot = job_builder_slot(making.builder, rank, all)};
        uint32_t barrier = job_builder_op(making.builder, &op);
        after(&making, barrier, work);
        after(&making, compute(&making, US), barrier);
        rank_end(&making);
    }
    struct toy *toy = toy_finish(arena, made(&making), &(struct toy_options){.alpha_ps = US, .iterations = 2});
    const struct replay_call *call = &replay_calls(toy->replay)[0];
    CHECK_EQUAL(replay_first_iteration_ps(toy->replay), 13 * US);
    CHECK_EQUAL(call->last_start_ps, 19 * US);
    CHECK_EQUAL(call->end_ps, 24 * US);
    CHECK_EQUAL(replay_makespan_ps(toy->replay), 25 * US);
    CHECK_EQUAL(toy->sent_count, 0);
    arena_free(arena);
}

/* A call of nothing takes no time and no message, whatever is asked for; a barrier of nothing does. */
static void test_a_call_of_nothing(void)
{
    struct arena *arena = arena_new("test");
    struct making making = make(arena, 4);
    uint32_t all = group(&making, "all", 0, 4);
    for (uint32_t rank = 0; rank < 4; rank++) {
        rank_begin(&making, rank);
        uint32_t work = compute(&making, rank * US);
        uint32_t call = collective(&making, all, COLLECTIVE_ALL_REDUCE, 0);
        after(&making, call, work);
        after(&making, collective_from(&making, all, COLLECTIVE_BROADCAST, 0, 2), call);
        rank_end(&making);
    }
    struct toy *toy = toy_finish(arena, made(&making), &(struct toy_options){.alpha_ps = US});
    struct replay_volume volume;
    replay_volume(toy->replay, &volume);
    CHECK_EQUAL(volume.messages, 0);
    CHECK_EQUAL(toy->sent_count, 0);
    CHECK_EQUAL(replay_makespan_ps(toy->replay), 3 * US);
    arena_free(arena);
}

/* The calls of one group run in canonical order, though the second is ready long before the first. */
static void test_calls_of_a_group_keep_their_order(void)
{
    struct arena *arena = arena_new("test");
    struct making making = make(arena, 2);
    uint32_t all = group(&making, "all", 0, 2);
    for (uint32_t rank = 0; rank < 2; rank++) {
        rank_begin(&making, rank);
        uint32_t work = compute(&making, 30 * US);
        after(&making, collective(&making, all, COLLECTIVE_ALL_REDUCE, 10), work);
        collective(&making, all, COLLECTIVE_ALL_GATHER, 10);
        rank_end(&making);
    }
    struct toy *toy = toy_finish(arena, made(&making), &(struct toy_options){.alpha_ps = US});
    CHECK_EQUAL((&replay_calls(toy->replay)[0])->kind, COLLECTIVE_ALL_REDUCE);
    CHECK_EQUAL((&replay_calls(toy->replay)[0])->first_start_ps, 30 * US);
    CHECK_EQUAL((&replay_calls(toy->replay)[1])->first_start_ps, 32 * US);
    CHECK_EQUAL(replay_makespan_ps(toy->replay), 33 * US);
    arena_free(arena);
}

/* ---- long chains ------------------------------------------------------------------------------------------ */

/* A recursion a link would need hundreds of bytes of stack each; 200,000 links overflow 8 MiB. */
static void test_long_chains_of_markers(void)
{
    enum { COUNT = 200000 };
    struct arena *arena = arena_new("test");
    for (int is_backward = 0; is_backward < 2; is_backward++) {
        struct making making = make(arena, 1);
        uint32_t alone = group(&making, "alone", 0, 1);
        rank_begin(&making, 0);
        for (uint32_t i = 0; i < COUNT; i++) {
            uint32_t op = i % 2 == 0 ? marker(&making) : collective(&making, alone, COLLECTIVE_BARRIER, 0);
            if (is_backward ? op + 1 < COUNT : op > 0) {
                after(&making, op, is_backward ? op + 1 : op - 1);
            }
        }
        rank_end(&making);
        struct toy *toy = toy_finish(arena, made(&making), &(struct toy_options){.iterations = 2});
        CHECK_EQUAL(replay_done_ops(toy->replay), 2 * COUNT);
        CHECK_EQUAL(replay_makespan_ps(toy->replay), 0);
    }
    arena_free(arena);
}

static void test_an_empty_program(void)
{
    struct arena *arena = arena_new("test");
    struct making making = make(arena, 1);
    rank_begin(&making, 0);
    rank_end(&making);
    struct toy *toy = toy_finish(arena, made(&making), &(struct toy_options){.iterations = 3});
    CHECK_EQUAL(replay_makespan_ps(toy->replay), 0);
    CHECK_EQUAL(replay_op_count(toy->replay), 0);
    arena_free(arena);
}

/* ---- deadlocks -------------------------------------------------------------------------------------------- */

static const char *explanation(struct arena *arena, const struct job *job, const struct toy_options *options,
                               uint32_t limit)
{
    struct toy *toy = toy_new(arena, job, options);
    replay_start(toy->replay);
    toy_run(toy);
    CHECK(!replay_is_complete(toy->replay));
    char *text = NULL;
    size_t bytes = 0;
    FILE *stream = open_memstream(&text, &bytes);
    replay_explain(toy->replay, stream, limit);
    fclose(stream);
    const char *copy = arena_strdup(arena, text);
    free(text);
    return copy;
}

/* Two groups of the same two ranks, in opposite order. */
static void test_deadlock_of_collectives_is_explained(void)
{
    struct arena *arena = arena_new("test");
    struct making making = make(arena, 2);
    uint32_t left = group(&making, "left", 0, 2), right = group(&making, "right", 0, 2);
    for (uint32_t rank = 0; rank < 2; rank++) {
        rank_begin(&making, rank);
        uint32_t first = collective(&making, rank == 0 ? left : right, COLLECTIVE_ALL_REDUCE, 10);
        after(&making, collective(&making, rank == 0 ? right : left, COLLECTIVE_ALL_REDUCE, 10), first);
        rank_end(&making);
    }
    const char *text = explanation(arena, made(&making), &(struct toy_options){.alpha_ps = US}, 10);
    CHECK_TEXT(text, "  rank 0: 0 of 2 operations done\n"
                     "  rank 0: collective 7 \"call\" waits for step 0 of rank 1 (call 0 of group \"left\": 1 of 2 "
                     "members have started)\n"
                     "  rank 1: 0 of 2 operations done\n"
                     "  rank 1: collective 7 \"call\" waits for step 0 of rank 0 (call 0 of group \"right\": 1 of 2 "
                     "members have started)\n");
    arena_free(arena);
}

/* Ranks 1 and 2 each receive before they send; rank 0 lives off rank 1 and gets one iteration further. */
static void test_deadlock_of_messages_is_explained(void)
{
    struct arena *arena = arena_new("test");
    struct making making = make(arena, 3);
    rank_begin(&making, 0);
    message(&making, OP_RECV, 1, 5, 3);
    rank_end(&making);
    for (uint32_t rank = 1; rank < 3; rank++) {
        rank_begin(&making, rank);
        uint32_t receive = message(&making, OP_RECV, 3 - rank, 10, 8);
        after(&making, message(&making, OP_SEND, 3 - rank, 10, 8), receive);
        if (rank == 1) {
            message(&making, OP_SEND, 0, 5, 3);
        }
        rank_end(&making);
    }
    const struct job *job = made(&making);
    const char *text = explanation(arena, job, &(struct toy_options){.iterations = 2}, 10);
    CHECK_TEXT(text, "  rank 0: 1 of 2 operations done\n"
                     "  rank 0: recv 103 \"message\" waits for a message of rank 1 with tag 3 (number 0)\n"
                     "  rank 1: 1 of 6 operations done\n"
                     "  rank 1: recv 108 \"message\" waits for a message of rank 2 with tag 8 (number 0)\n"
                     "  rank 2: 0 of 4 operations done\n"
                     "  rank 2: recv 108 \"message\" waits for a message of rank 1 with tag 8 (number 0)\n");
    text = explanation(arena, job, &(struct toy_options){0}, 1);
    CHECK_TEXT(text, "  rank 1: 1 of 3 operations done\n"
                     "  rank 1: recv 108 \"message\" waits for a message of rank 2 with tag 8 (number 0)\n"
                     "  and 1 more rank\n");
    arena_free(arena);
}

/* ---- what is asked before --------------------------------------------------------------------------------- */

static uint32_t below(uint64_t seed, uint64_t *ordinal, uint32_t bound)
{
    return rng_below(rng_draw(seed, 3, (*ordinal)++), bound);
}

/* Ranks in groups of all, halves and pairs; each step a random collective or an exchange with a random shift. */
static const struct job *random_job(struct arena *arena, uint32_t ranks, uint64_t seed)
{
    struct making making = make(arena, ranks);
    uint32_t groups[3][64];
    for (uint32_t rank = 0; rank < ranks; rank++) {
        groups[0][rank] = group(&making, "all", 0, ranks);
        uint32_t half = rank < ranks / 2 ? 0 : ranks / 2;
        groups[1][rank] = group(&making, "half", half, half == 0 ? ranks / 2 : ranks - half);
        groups[2][rank] = group(&making, "alone", rank, 1);
    }
    for (uint32_t rank = 0; rank < ranks; rank++) {
        uint64_t ordinal = 0;
        rank_begin(&making, rank);
        uint32_t last = marker(&making);
        for (uint32_t step = 0; step < 40; step++) {
            static const enum collective_kind kinds[] = {
                COLLECTIVE_ALL_REDUCE, COLLECTIVE_REDUCE, COLLECTIVE_ALL_GATHER, COLLECTIVE_GATHER, COLLECTIVE_SCATTER,
                COLLECTIVE_BROADCAST, COLLECTIVE_ALL_TO_ALL, COLLECTIVE_REDUCE_SCATTER, COLLECTIVE_BARRIER};
            uint32_t what = below(seed, &ordinal, 4), bytes = below(seed, &ordinal, 2) * 1000, tag = below(seed, &ordinal, 2);
            uint32_t kind = below(seed, &ordinal, 9), shift = 1 + below(seed, &ordinal, ranks - 1);
            uint32_t root = below(seed, &ordinal, what == 2 ? 1 : ranks / 2), op;
            if (what < 3) {
                op = collective_from(&making, groups[what][rank], kinds[kind], bytes + step / 10, root);
            } else {
                after(&making, message(&making, OP_RECV, (rank + ranks - shift) % ranks, bytes, tag), last);
                op = message(&making, OP_SEND, (rank + shift) % ranks, bytes, tag);
            }
            after(&making, op, last);
            uint32_t work = compute(&making, (rng_draw(seed, 4, rank * 100 + step) % 50) * US);
            after(&making, work, op);
            last = step % 3 == 0 ? last : work;
        }
        rank_end(&making);
    }
    return made(&making);
}

struct demand {
    uint64_t messages, bytes[64][64];
};

static void demand_visit(void *context, uint32_t src_rank, uint32_t dst_rank, uint64_t bytes, uint64_t count)
{
    struct demand *demand = context;
    demand->messages += count;
    demand->bytes[src_rank][dst_rank] += bytes * count;
}

static void job_is_consistent(struct arena *arena, const struct job *job, const struct toy_options *options,
                              uint64_t *makespan_ps)
{
    struct toy *toy = toy_new(arena, job, options);
    struct demand *said = arena_one(arena, struct demand), *real = arena_one(arena, struct demand);
    struct replay_volume volume;
    uint64_t bytes = 0, messages = 0, sent = 0, received = 0, iterations = options->iterations;
    replay_volume(toy->replay, &volume);
    replay_demand(toy->replay, demand_visit, said);
    replay_start(toy->replay);
    toy_run(toy);
    CHECK(replay_is_complete(toy->replay));
    for (size_t i = 0; i < toy->sent_count; i++) {
        bytes += toy->sent[i].bytes;
        messages++;
        real->bytes[toy->sent[i].src_rank][toy->sent[i].dst_rank] += toy->sent[i].bytes;
    }
    for (uint32_t src = 0; src < job->rank_count; src++) {
        struct replay_rank rank = rank_of(toy, src);
        sent += rank.sent_bytes;
        received += rank.received_bytes;
        CHECK(rank.exposed_ps <= rank.communication_ps && rank.communication_ps <= rank.end_ps);
        CHECK(rank.exposed_ps + rank.compute_ps <= rank.end_ps && rank.communication_ps > 0);
        for (uint32_t dst = 0; dst < job->rank_count; dst++) {
            CHECK_EQUAL(real->bytes[src][dst], said->bytes[src][dst] * iterations);
        }
    }
    CHECK_EQUAL(messages, volume.messages * iterations);
    CHECK_EQUAL(said->messages, volume.messages);
    CHECK_EQUAL(bytes, volume.bytes * iterations);
    CHECK_EQUAL(sent, bytes);
    CHECK_EQUAL(received, bytes);
    *makespan_ps = replay_makespan_ps(toy->replay);
}

static void test_random_jobs_send_what_they_said(void)
{
    uint64_t seed = test_seed();
    for (uint32_t round = 0; round < 40; round++) {
        struct arena *arena = arena_new("test");
        uint32_t ranks = 2 + round % 13; /* halves of ranks / 2 and the rest */
        const struct job *job = random_job(arena, ranks, seed + round);
        struct toy_options options = {.alpha_ps = US, .beta_ps = 1000, .ack_ps = US, .iterations = 1};
        uint64_t once_ps, shared_ps, thrice_ps;
        job_is_consistent(arena, job, &options, &once_ps);
        options.ranks_per_host = 3; /* the toy does not care who shares a host, so neither may the replay */
        job_is_consistent(arena, job, &options, &shared_ps);
        CHECK_EQUAL(shared_ps, once_ps);
        options.iterations = 3;
        job_is_consistent(arena, job, &options, &thrice_ps);
        CHECK(thrice_ps > once_ps && thrice_ps <= 3 * once_ps);
        arena_free(arena);
    }
}

/* Every member sends every other one exactly what the table says, nothing included. */
static void test_unequal_parts_are_sent(void)
{
    enum { RANKS = 5 };
    struct arena *arena = arena_new("test");
    struct making making = make(arena, RANKS);
    uint64_t bytes[RANKS * RANKS];
    for (uint32_t i = 0; i < RANKS * RANKS; i++) {
        bytes[i] = i * i % 17; /* 0 and 17 are none */
    }
    uint32_t all = group(&making, "all", 0, RANKS), table = job_builder_pairs(making.builder, RANKS, bytes);
    for (uint32_t rank = 0; rank < RANKS; rank++) {
        const struct op op = {.kind = OP_COLLECTIVE, .collective = COLLECTIVE_ALL_TO_ALL, .pairs = table,
                              .group_slot = job_builder_slot(making.builder, rank, all)};
        rank_begin(&making, rank);
        job_builder_op(making.builder, &op);
        rank_end(&making);
    }
    const struct job *job = made(&making);
    struct toy_options options = {.alpha_ps = US, .beta_ps = 1000, .ack_ps = US, .iterations = 2};
    uint64_t makespan_ps;
    job_is_consistent(arena, job, &options, &makespan_ps);
    struct demand *said = arena_one(arena, struct demand);
    replay_demand(toy_new(arena, job, &options)->replay, demand_visit, said);
    for (uint32_t i = 0; i < RANKS * RANKS; i++) {
        CHECK_EQUAL(said->bytes[i / RANKS][i % RANKS], i / RANKS == i % RANKS ? 0 : bytes[i]);
    }
    arena_free(arena);
}

/* A ring with LL128 in a server, on links of 500 GB/s. A chunk takes chunk / rate at the protocol's rate, however many channels
 * share it out; they move side by side, so that the next one of each can begin when that time is over, and no earlier. One
 * channel: hop and chunk, step after step. Several, on this network, which has a link for each: the link takes each for the
 * last part of that time alone, which hides the hop behind all steps but the last. */
static void test_channels_share_a_protocol_s_rate(void)
{
    static const uint32_t channels[] = {1, 2, 6, 24};
    const uint64_t bytes = 9600000;
    for (size_t i = 0; i < sizeof channels / sizeof channels[0]; i++) {
        struct arena *arena = arena_new("test");
        struct making making = make(arena, 4);
        uint32_t all = group(&making, "all", 0, 4);
        for (uint32_t rank = 0; rank < 4; rank++) {
            rank_begin(&making, rank);
            collective(&making, all, COLLECTIVE_ALL_REDUCE, bytes);
            rank_end(&making);
        }
        const struct collective_policy policy = {.protocol = PROTOCOL_LL128, .generation = GENERATION_HOPPER,
                                                 .channels = channels[i], .ring_bytes = bytes,
                                                 .algorithm[COLLECTIVE_ALL_REDUCE] = collective_find(COLLECTIVE_ALL_REDUCE, "ring")};
        const struct toy_options options = {.policy = &policy, .beta_ps = 2,
                                            .machine = {.server_hosts = 4, .rate_bps = {UINT64_C(4000000000000), 0}}};
        struct toy *toy = toy_finish(arena, made(&making), &options);
        double chunk_us = (double)bytes / 4 / (500e3 * 0.824 * 0.92), link_us = (double)bytes / 4 * 16 / 15 / 500e3;
        double early_us = link_us * (1 - 1.0 / channels[i]), step_us = channels[i] == 1 ? 1.9 + chunk_us : chunk_us;
        CHECK_NEAR((double)toy->end_ps * 1e-6, 14 + 5 * step_us + 1.9 + chunk_us - early_us, 1e-3);
        arena_free(arena);
    }
}

TEST_MAIN("replay", TEST(test_channels_share_a_protocol_s_rate), TEST(test_one_stream_is_serial_two_overlap), TEST(test_ready_at_once_starts_in_canonical_order),
          TEST(test_markers_take_no_turn), TEST(test_a_stream_is_a_queue_by_order), TEST(test_exposed_communication),
          TEST(test_overlapping_communication_counts_once), TEST(test_equal_tags_match_in_order),
          TEST(test_early_messages), TEST(test_iterations_do_not_mix), TEST(test_iterations_of_collectives),
          TEST(test_groups_of_one), TEST(test_ring_takes_alpha_and_beta), TEST(test_algorithms_take_alpha_and_beta), TEST(test_records_of_calls), TEST(test_a_barrier_that_holds), TEST(test_a_call_of_nothing),
          TEST(test_calls_of_a_group_keep_their_order), TEST(test_long_chains_of_markers), TEST(test_an_empty_program),
          TEST(test_deadlock_of_collectives_is_explained), TEST(test_deadlock_of_messages_is_explained),
          TEST(test_random_jobs_send_what_they_said),
          TEST(test_unequal_parts_are_sent))
