/* The algebra of every collective algorithm, on a network that delivers and acknowledges in random order.
 *
 * Asserted, for every row of collectives.def, 2 to 67 members and every root: who sends and who receives agree; what
 * moves is complete when it moves; every contribution ends where it should, counted once; bytes per message and per member
 * are the closed forms, also for sizes that members do not divide, of fewer bytes than members and of none; an all-to-all
 * keeps to its concurrency. Not asserted: time (test of the replay), packets (test of the engine).
 *
 * A buffer is slots; a slot holds the set of members whose contribution is in it. What an algorithm moves in a step is
 * said here a second time, from its definition (struct model); an algorithm without a model fails. */
#include "netsim/base/rng.h"
#include "netsim/replay/collective.h"
#include "tests/check.h"

#define MEMBERS_MAX 67
typedef unsigned __int128 set_t;

static set_t set_one(uint64_t member)
{
    return (set_t)1 << member;
}

static set_t set_all(uint32_t members)
{
    return set_one(members) - 1;
}

/* ---- what should be --------------------------------------------------------------------------------------- */

enum take { TAKE_STORE, TAKE_ADD, TAKE_JOIN }; /* ADD: the sets must not meet, or something is counted twice */

struct model {
    enum collective_kind kind;
    const char *name;
    uint64_t (*slots)(const struct collective_call *call);
    set_t (*begin)(const struct collective_call *call, uint64_t slot);
    bool (*is_right)(const struct collective_call *call, uint64_t slot, set_t held); /* at the end */
    uint64_t (*label)(const struct collective_call *call, uint64_t slot);            /* NULL: the slot */
    uint64_t (*slot_bytes)(const struct collective_call *call, uint64_t slot);
    uint64_t (*sent)(const struct collective_call *call, uint64_t k);     /* slot that step k sends */
    uint64_t (*received)(const struct collective_call *call, uint64_t k); /* slot that receive k fills */
    enum take (*take)(const struct collective_call *call, uint64_t k);
    uint64_t (*total_bytes)(const struct collective_call *call); /* over all members */
};

static uint64_t modulo(int64_t value, uint32_t members)
{
    return (uint64_t)((value % (int64_t)members + (int64_t)members) % (int64_t)members);
}

static set_t begin_own(const struct collective_call *call, uint64_t slot)
{
    (void)slot;
    return set_one(call->self);
}

static bool right_all(const struct collective_call *call, uint64_t slot, set_t held)
{
    (void)slot;
    return held == set_all(call->members);
}

static enum take take_store(const struct collective_call *call, uint64_t k)
{
    (void)call;
    (void)k;
    return TAKE_STORE;
}

static enum take take_add(const struct collective_call *call, uint64_t k)
{
    (void)call;
    (void)k;
    return TAKE_ADD;
}

static enum take take_join(const struct collective_call *call, uint64_t k)
{
    (void)call;
    (void)k;
    return TAKE_JOIN;
}

static uint64_t bytes_less_one(const struct collective_call *call)
{
    return (call->members - 1) * call->bytes;
}

/* ---- rings: slot = chunk, or way * members + chunk; a chunk wanders one member a step --------------------- */

static uint64_t ring_slots(const struct collective_call *call)
{
    return call->members;
}

static uint64_t two_slots(const struct collective_call *call)
{
    return 2 * (uint64_t)call->members;
}

static uint64_t ring_bytes(const struct collective_call *call, uint64_t slot)
{
    return chunk_bytes(call->bytes, slot, call->members);
}

static uint64_t two_bytes(const struct collective_call *call, uint64_t slot)
{
    uint64_t half_bytes = slot < call->members ? call->bytes / 2 : call->bytes - call->bytes / 2;
    return chunk_bytes(half_bytes, slot % call->members, call->members);
}

/* Forward rings send chunk self - first, self - first - 1, ...; backward ones the mirror image. */
static uint64_t two_slot(const struct collective_call *call, uint64_t k, int64_t first)
{
    int64_t back = first + (int64_t)(k / 2), self = call->self;
    return k % 2 == 0 ? modulo(self - back, call->members)
                      : call->members + modulo(self + back, call->members);
}

static uint64_t reduce_sent(const struct collective_call *call, uint64_t k)
{
    return modulo((int64_t)call->self - (int64_t)k, call->members);
}

static uint64_t reduce_received(const struct collective_call *call, uint64_t k)
{
    return reduce_sent(call, k + 1);
}

static uint64_t two_reduce_sent(const struct collective_call *call, uint64_t k)
{
    return two_slot(call, k, 0);
}

static uint64_t two_reduce_received(const struct collective_call *call, uint64_t k)
{
    return two_slot(call, k, 1);
}

static enum take all_reduce_take(const struct collective_call *call, uint64_t k)
{
    return k < call->members - 1 ? TAKE_ADD : TAKE_STORE;
}

static enum take two_all_reduce_take(const struct collective_call *call, uint64_t k)
{
    return all_reduce_take(call, k / 2);
}

static uint64_t all_reduce_total(const struct collective_call *call)
{
    return 2 * bytes_less_one(call);
}

static bool right_own_chunk(const struct collective_call *call, uint64_t slot, set_t held)
{
    return slot % call->members != call->self || held == set_all(call->members);
}

static uint64_t scatter_received(const struct collective_call *call, uint64_t k)
{
    return reduce_sent(call, k + 2);
}

static uint64_t two_scatter_received(const struct collective_call *call, uint64_t k)
{
    return two_slot(call, k, 2);
}

static set_t begin_own_shard(const struct collective_call *call, uint64_t slot)
{
    return slot % call->members == call->self ? set_one(call->self) : 0;
}

static bool right_shard(const struct collective_call *call, uint64_t slot, set_t held)
{
    return held == set_one(slot % call->members);
}

static uint64_t shard_bytes(const struct collective_call *call, uint64_t slot)
{
    (void)slot;
    return call->bytes;
}

static uint64_t half_shard_bytes(const struct collective_call *call, uint64_t slot)
{
    return slot < call->members ? call->bytes / 2 : call->bytes - call->bytes / 2;
}

static uint64_t all_gather_total(const struct collective_call *call)
{
    return call->members * bytes_less_one(call);
}

/* ---- all-to-all: slots 0 .. n-1 go out to the members, n .. 2n-1 came from them --------------------------- */

static set_t begin_outgoing(const struct collective_call *call, uint64_t slot)
{
    return slot < call->members ? set_one(call->self) : 0;
}

static bool right_incoming(const struct collective_call *call, uint64_t slot, set_t held)
{
    bool is_foreign = slot >= call->members && slot != call->members + call->self;
    return !is_foreign || held == set_one(slot - call->members);
}

static uint64_t pair_label(const struct collective_call *call, uint64_t slot)
{
    return slot < call->members ? call->self * call->members + slot
                                : (slot - call->members) * call->members + call->self;
}

static uint64_t outgoing_bytes(const struct collective_call *call, uint64_t slot)
{
    return chunk_bytes(call->bytes, slot < call->members ? slot : call->self, call->members);
}

static uint64_t pairwise_sent(const struct collective_call *call, uint64_t k)
{
    return (call->self + k + 1) % call->members;
}

static uint64_t pairwise_received(const struct collective_call *call, uint64_t k)
{
    return call->members + modulo((int64_t)call->self - (int64_t)k - 1, call->members);
}

/* ---- with a root ------------------------------------------------------------------------------------------ */

static uint64_t pieces(const struct collective_call *call)
{
    return call->bytes == 0 ? 1 : (call->bytes - 1) / call->chunk_bytes + 1;
}

static uint64_t piece_bytes(const struct collective_call *call, uint64_t slot)
{
    return slot + 1 < pieces(call) ? call->chunk_bytes : call->bytes - slot * call->chunk_bytes;
}

static uint64_t slot_is_step(const struct collective_call *call, uint64_t k)
{
    (void)call;
    return k;
}

static set_t begin_root(const struct collective_call *call, uint64_t slot)
{
    (void)slot;
    return call->self == call->root ? set_one(call->root) : 0;
}

static bool right_root_everywhere(const struct collective_call *call, uint64_t slot, set_t held)
{
    (void)slot;
    return held == set_one(call->root);
}

static bool right_all_at_root(const struct collective_call *call, uint64_t slot, set_t held)
{
    return call->self != call->root || right_all(call, slot, held);
}

static bool right_shards_at_root(const struct collective_call *call, uint64_t slot, set_t held)
{
    return call->self != call->root || right_shard(call, slot, held);
}

static bool right_own_of_root(const struct collective_call *call, uint64_t slot, set_t held)
{
    return slot != call->self || held == set_one(call->root);
}

static uint64_t slot_own(const struct collective_call *call, uint64_t k)
{
    (void)k;
    return call->self;
}

static uint64_t slot_of_kth(const struct collective_call *call, uint64_t k)
{
    return (call->root + k + 1) % call->members;
}

static uint64_t scatter_total(const struct collective_call *call)
{
    return call->bytes - chunk_bytes(call->bytes, call->root, call->members);
}

/* ---- barrier: what a member knows of ---------------------------------------------------------------------- */

static uint64_t slots_one(const struct collective_call *call)
{
    (void)call;
    return 1;
}

static uint64_t zero_bytes(const struct collective_call *call, uint64_t slot)
{
    (void)call;
    (void)slot;
    return 0;
}

static uint64_t slot_zero(const struct collective_call *call, uint64_t k)
{
    (void)call;
    (void)k;
    return 0;
}

static uint64_t zero_total(const struct collective_call *call)
{
    (void)call;
    return 0;
}

static const struct model models[] = {
    {COLLECTIVE_ALL_REDUCE, "ring", ring_slots, begin_own, right_all, NULL, ring_bytes, reduce_sent, reduce_received,
     all_reduce_take, all_reduce_total},
    {COLLECTIVE_ALL_REDUCE, "two_way_ring", two_slots, begin_own, right_all, NULL, two_bytes, two_reduce_sent,
     two_reduce_received, two_all_reduce_take, all_reduce_total},
    {COLLECTIVE_REDUCE_SCATTER, "ring", ring_slots, begin_own, right_own_chunk, NULL, ring_bytes, reduce_received,
     scatter_received, take_add, bytes_less_one},
    {COLLECTIVE_REDUCE_SCATTER, "two_way_ring", two_slots, begin_own, right_own_chunk, NULL, two_bytes,
     two_reduce_received, two_scatter_received, take_add, bytes_less_one},
    {COLLECTIVE_ALL_GATHER, "ring", ring_slots, begin_own_shard, right_shard, NULL, shard_bytes, reduce_sent,
     reduce_received, take_store, all_gather_total},
    {COLLECTIVE_ALL_GATHER, "two_way_ring", two_slots, begin_own_shard, right_shard, NULL, half_shard_bytes,
     two_reduce_sent, two_reduce_received, take_store, all_gather_total},
    {COLLECTIVE_ALL_TO_ALL, "pairwise", two_slots, begin_outgoing, right_incoming, pair_label, outgoing_bytes,
     pairwise_sent, pairwise_received, take_store, bytes_less_one},
    {COLLECTIVE_BROADCAST, "chain", pieces, begin_root, right_root_everywhere, NULL, piece_bytes, slot_is_step,
     slot_is_step, take_store, bytes_less_one},
    {COLLECTIVE_REDUCE, "chain", pieces, begin_own, right_all_at_root, NULL, piece_bytes, slot_is_step, slot_is_step,
     take_add, bytes_less_one},
    {COLLECTIVE_GATHER, "direct", ring_slots, begin_own_shard, right_shards_at_root, NULL, shard_bytes, slot_own,
     slot_of_kth, take_store, bytes_less_one},
    {COLLECTIVE_SCATTER, "direct", ring_slots, begin_root, right_own_of_root, NULL, ring_bytes, slot_of_kth, slot_own,
     take_store, scatter_total},
    {COLLECTIVE_BARRIER, "dissemination", slots_one, begin_own, right_all, NULL, zero_bytes, slot_zero, slot_zero,
     take_join, zero_total},
};

static const struct model *model_of(const struct collective_algorithm *algorithm)
{
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        if (models[i].kind == algorithm->kind && strcmp(models[i].name, algorithm->name) == 0) {
            return &models[i];
        }
    }
    return NULL;
}

/* ---- the network ------------------------------------------------------------------------------------------ */

struct mail {
    uint32_t from, to;
    uint64_t as, label, bytes;
    set_t content;
    bool is_delivered; /* and not yet acknowledged */
};

struct member {
    struct collective_call call;
    uint64_t step_count, step_next, recv_done, send_done, bytes;
    set_t *held;
    struct mail *inbox; /* per receive number, what came for it */
    uint8_t *is_in;
};

struct network {
    struct arena *arena;
    const struct collective_algorithm *algorithm;
    const struct model *model;
    struct member member[MEMBERS_MAX];
    struct mail *mails;
    size_t count, capacity;
    uint64_t seed, drawn;
    const char *wrong; /* the first thing that is */
};

static void blame(struct network *network, bool is_good, const char *what)
{
    if (!is_good && network->wrong == NULL) {
        network->wrong = what;
    }
}

static uint64_t label_of(const struct network *network, const struct member *member, uint64_t slot)
{
    return network->model->label == NULL ? slot : network->model->label(&member->call, slot);
}

static void mail_send(struct network *network, struct member *member, uint64_t k, const struct collective_step *step)
{
    const struct model *model = network->model;
    uint64_t slot = model->sent(&member->call, k);
    blame(network, step->send_to < member->call.members && step->send_to != member->call.self, "sends to nobody or itself");
    blame(network, slot < model->slots(&member->call), "sends what it does not have");
    blame(network, step->send_bytes == model->slot_bytes(&member->call, slot), "sends too many or too few bytes");
    blame(network, member->held[slot] != 0, "sends what has not come yet");
    member->bytes += step->send_bytes;
    vec_push(network->arena, network->mails, network->count, network->capacity) =
        (struct mail){.from = member->call.self, .to = step->send_to, .as = step->send_as, .bytes = step->send_bytes,
                      .label = label_of(network, member, slot), .content = member->held[slot]};
}

static void mail_take(struct network *network, struct member *member, const struct mail *mail)
{
    const struct model *model = network->model;
    uint64_t slot = model->received(&member->call, mail->as);
    set_t *held = &member->held[slot];
    blame(network, mail->label == label_of(network, member, slot), "receives another piece than it expects");
    enum take take = model->take(&member->call, mail->as);
    blame(network, take != TAKE_ADD || (*held & mail->content) == 0, "counts a contribution twice");
    *held = take == TAKE_STORE ? mail->content : *held | mail->content;
}

static void receives_advance(struct network *network, struct member *member)
{
    for (; member->recv_done < member->step_count; member->recv_done++) {
        struct collective_step step;
        network->algorithm->step(&member->call, member->recv_done, &step);
        if (step.recv_from == ID_NONE) {
            continue;
        }
        if (!member->is_in[member->recv_done]) {
            return;
        }
        const struct mail *mail = &member->inbox[member->recv_done];
        blame(network, mail->from == step.recv_from, "receives from another member than it expects");
        mail_take(network, member, mail);
    }
}

static void member_advance(struct network *network, struct member *member)
{
    receives_advance(network, member);
    for (; member->step_next < member->step_count; member->step_next++) {
        struct collective_step step;
        network->algorithm->step(&member->call, member->step_next, &step);
        if (member->recv_done < step.after_recv || member->send_done < step.after_send) {
            return;
        }
        if (step.send_to == ID_NONE) {
            member->send_done++;
            continue;
        }
        mail_send(network, member, member->step_next, &step);
        bool is_all_to_all = network->algorithm->kind == COLLECTIVE_ALL_TO_ALL;
        blame(network, !is_all_to_all || member->step_next - member->send_done < member->call.concurrency,
              "has more exchanges under way than allowed");
    }
}

/* A mail is delivered or, if it was before, acknowledged. */
static void mail_move(struct network *network, size_t index)
{
    struct mail mail = network->mails[index];
    if (mail.is_delivered) {
        network->mails[index] = network->mails[--network->count];
        network->member[mail.from].send_done++;
        member_advance(network, &network->member[mail.from]);
        return;
    }
    network->mails[index].is_delivered = true;
    struct member *member = &network->member[mail.to];
    bool is_expected = mail.as < member->step_count && !member->is_in[mail.as];
    blame(network, is_expected, "receives a number that does not exist, or twice");
    if (is_expected) {
        member->inbox[mail.as] = mail;
        member->is_in[mail.as] = 1;
        member_advance(network, member);
    }
}

static void member_begin(struct network *network, struct member *member, const struct collective_call *call)
{
    member->call = *call;
    member->step_count = network->algorithm->step_count(&member->call);
    member->inbox = arena_array(network->arena, member->step_count, struct mail);
    member->is_in = arena_array(network->arena, member->step_count, uint8_t);
    uint64_t slots = network->model->slots(call);
    member->held = arena_array(network->arena, slots, set_t);
    for (uint64_t slot = 0; slot < slots; slot++) {
        member->held[slot] = network->model->begin(call, slot);
    }
}

/* Kinds in which all members send alike: each its share, but for the rounding of a few chunks. */
static bool is_even(enum collective_kind kind)
{
    return kind == COLLECTIVE_ALL_REDUCE || kind == COLLECTIVE_ALL_GATHER || kind == COLLECTIVE_REDUCE_SCATTER ||
           kind == COLLECTIVE_ALL_TO_ALL;
}

static void end_check(struct network *network, uint32_t members)
{
    const struct model *model = network->model;
    uint64_t bytes = 0, total_bytes = model->total_bytes(&network->member[0].call);
    for (uint32_t i = 0; i < members; i++) {
        const struct member *member = &network->member[i];
        bool is_done = member->recv_done == member->step_count && member->send_done == member->step_count;
        blame(network, is_done, "waits for ever");
        for (uint64_t slot = 0; slot < model->slots(&member->call); slot++) {
            blame(network, model->is_right(&member->call, slot, member->held[slot]), "ends with the wrong content");
        }
        bytes += member->bytes;
        uint64_t off = member->bytes * members > total_bytes ? member->bytes * members - total_bytes
                                                             : total_bytes - member->bytes * members;
        blame(network, !is_even(model->kind) || off <= 4 * (uint64_t)members, "sends more or less than its share");
    }
    blame(network, bytes == total_bytes, "all together send other than the closed form");
}

static void run(const struct collective_algorithm *algorithm, const struct collective_call *of, uint64_t seed)
{
    struct arena *arena = arena_new("test");
    struct network *network = arena_one(arena, struct network);
    *network = (struct network){.arena = arena, .algorithm = algorithm, .model = model_of(algorithm), .seed = seed};
    struct collective_call call = *of;
    for (call.self = 0; call.self < call.members; call.self++) {
        member_begin(network, &network->member[call.self], &call);
    }
    for (uint32_t i = 0; i < call.members; i++) {
        member_advance(network, &network->member[i]);
    }
    while (network->count > 0 && network->wrong == NULL) {
        mail_move(network, rng_below(rng_draw(seed, 1, network->drawn++), (uint32_t)network->count));
    }
    if (network->wrong == NULL) {
        end_check(network, call.members);
    }
    if (network->wrong != NULL) {
        printf("\n%s %s of %u members, root %u, %" PRIu64 " B in chunks of %" PRIu64 " B, concurrency %u: a member %s\n",
               algorithm->name, collective_name(algorithm->kind), call.members, call.root, call.bytes,
               call.chunk_bytes, call.concurrency, network->wrong);
    }
    CHECK(network->wrong == NULL);
    arena_free(arena);
}

static bool has_root(enum collective_kind kind)
{
    return kind == COLLECTIVE_REDUCE || kind == COLLECTIVE_GATHER || kind == COLLECTIVE_SCATTER ||
           kind == COLLECTIVE_BROADCAST;
}

static void algorithm_runs(const struct collective_algorithm *algorithm, uint32_t members, uint64_t seed)
{
    static const uint32_t concurrencies[] = {1, 3, 1000, 8, 2};
    const uint64_t sizes[] = {0, 1, members - 1, members, 1000003};
    uint32_t roots = has_root(algorithm->kind) ? members : 1;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (uint32_t root = 0; root < roots; root++) {
            const struct collective_call call = {
                .members = members, .root = root, .bytes = sizes[i], .concurrency = concurrencies[i],
                .chunk_bytes = sizes[i] < 4 ? 1 : sizes[i] / 4 + (members & 1)};
            run(algorithm, &call, seed + root);
        }
    }
}

static void test_every_algorithm(void)
{
    uint64_t seed = test_seed();
    for (const struct collective_algorithm *const *row = collective_algorithms; *row != NULL; row++) {
        CHECK(model_of(*row) != NULL);
        for (uint32_t members = 2; members <= MEMBERS_MAX && model_of(*row) != NULL; members++) {
            algorithm_runs(*row, members, seed * members);
        }
    }
}

/* ---- small things ----------------------------------------------------------------------------------------- */

static void test_chunks_add_up(void)
{
    static const uint64_t sizes[] = {0, 1, 66, 67, 1000003, UINT64_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (uint64_t count = 1; count <= MEMBERS_MAX; count++) {
            uint64_t sum = 0, largest = 0, smallest = UINT64_MAX;
            for (uint64_t chunk = 0; chunk < count; chunk++) {
                uint64_t bytes = chunk_bytes(sizes[i], chunk, count);
                sum += bytes;
                largest = bytes > largest ? bytes : largest;
                smallest = bytes < smallest ? bytes : smallest;
            }
            CHECK_EQUAL(sum, sizes[i]);
            CHECK(largest - smallest <= 1);
        }
    }
}

/* nccl-tests, doc/PERFORMANCE.md. */
static void test_bandwidth_as_nccl_counts_it(void)
{
    CHECK_NEAR(collective_bus_factor(COLLECTIVE_ALL_REDUCE, 8), 1.75, 1e-15);
    CHECK_NEAR(collective_bus_factor(COLLECTIVE_ALL_GATHER, 8), 0.875, 1e-15);
    CHECK_NEAR(collective_bus_factor(COLLECTIVE_REDUCE_SCATTER, 8), 0.875, 1e-15);
    CHECK_NEAR(collective_bus_factor(COLLECTIVE_ALL_TO_ALL, 8), 0.875, 1e-15);
    CHECK_NEAR(collective_bus_factor(COLLECTIVE_BROADCAST, 8), 1, 1e-15);
    CHECK_NEAR(collective_bus_factor(COLLECTIVE_REDUCE, 8), 1, 1e-15);
    CHECK_EQUAL(collective_size_bytes(COLLECTIVE_ALL_REDUCE, 1000, 8), 1000);
    CHECK_EQUAL(collective_size_bytes(COLLECTIVE_ALL_GATHER, 1000, 8), 8000);
    CHECK_EQUAL(collective_size_bytes(COLLECTIVE_REDUCE_SCATTER, 1000, 8), 1000);
    CHECK_EQUAL(collective_size_bytes(COLLECTIVE_ALL_TO_ALL, 1000, 8), 1000);
}

static void test_algorithms_are_found(void)
{
    for (int kind = 0; kind < COLLECTIVE_KIND_COUNT; kind++) {
        const struct collective_algorithm *found = collective_find((enum collective_kind)kind, NULL);
        CHECK((found != NULL) == (kind != 8)); /* 8, reduce_scatter_block, is read as 7 */
    }
    CHECK_TEXT(collective_find(COLLECTIVE_ALL_REDUCE, NULL)->name, "ring");
    CHECK(collective_find(COLLECTIVE_ALL_REDUCE, "pairwise") == NULL);
    CHECK_TEXT(collective_find(COLLECTIVE_BARRIER, "dissemination")->name, "dissemination");
}

TEST_MAIN("collective", TEST(test_every_algorithm), TEST(test_chunks_add_up), TEST(test_bandwidth_as_nccl_counts_it),
          TEST(test_algorithms_are_found))
