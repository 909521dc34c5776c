/* The algebra of every collective algorithm, on a network that delivers and acknowledges in random order.
 *
 * Asserted, for every row of collectives.def, 2 to 67 members and every root, with channels, slices, loops, pipelining and
 * servers of every kind: who sends and who receives agree; what moves is complete when it moves; every contribution ends where
 * it should, counted once; bytes per message are those of its pieces, bytes over all members the closed form, and the same
 * for every member where the algorithm is an even one; an all-to-all keeps to its concurrency. Sizes that members do not
 * divide, of fewer bytes than members and of none; unequal parts. Not asserted: time (test of the replay), packets (test of
 * the engine).
 *
 * What goes to a team is copied, or combined when all of the team have sent it, as switches do; what is combined must be the
 * same bytes at all, and hold no contribution twice.
 *
 * A byte holds the set of members whose contribution is in it. What is moved where is what the algorithm says
 * (struct collective_piece), so it is tested as far as the result goes: a wrong piece, a step too early or a byte too
 * few ends in wrong content. An algorithm without a closed form here fails. */
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

/* ---- closed forms: bytes over all members ----------------------------------------------------------------- */

static uint64_t all_but_one(const struct collective_call *call)
{
    return (call->members - 1) * call->bytes;
}

static uint64_t twice_all_but_one(const struct collective_call *call)
{
    return 2 * all_but_one(call);
}

static uint64_t all_shards(const struct collective_call *call)
{
    return call->members * all_but_one(call);
}

static uint64_t nothing(const struct collective_call *call)
{
    (void)call;
    return 0;
}

static uint64_t power_below(uint32_t members)
{
    return UINT64_C(1) << (31 - __builtin_clz(members));
}

static uint64_t halving_reduce(const struct collective_call *call)
{
    uint64_t power = power_below(call->members);
    return 2 * (power - 1 + call->members - power) * call->bytes;
}

static uint64_t doubling_gather(const struct collective_call *call)
{
    uint64_t power = power_below(call->members), left = call->members - power;
    return (left + (power - 1 + left) * call->members) * call->bytes;
}

static uint64_t halving_scatter(const struct collective_call *call)
{
    uint64_t power = power_below(call->members), left = call->members - power;
    uint64_t bytes = (power - 1 + left) * call->bytes;
    for (uint64_t i = 0; i < left; i++) {
        bytes += chunk_bytes(call->bytes, 2 * i, call->members);
    }
    return bytes;
}

static uint64_t all_but_roots(const struct collective_call *call)
{
    return call->bytes - chunk_bytes(call->bytes, call->root, call->members);
}

/* A part travels once for every one in the binary number of its distance from the root. */
static uint64_t binomial_scatter(const struct collective_call *call)
{
    uint64_t bytes = 0;
    for (uint32_t place = 1; place < call->members; place++) {
        uint32_t member = (call->root + place) % call->members;
        bytes += (uint64_t)__builtin_popcount(place) * chunk_bytes(call->bytes, member, call->members);
    }
    return bytes;
}

static uint64_t binomial_gather(const struct collective_call *call)
{
    uint64_t hops = 0;
    for (uint32_t place = 1; place < call->members; place++) {
        hops += (uint64_t)__builtin_popcount(place);
    }
    return hops * call->bytes;
}

static uint64_t scatter_then_ring(const struct collective_call *call)
{
    return binomial_scatter(call) + all_but_one(call);
}

static uint64_t pairs_times(const struct collective_call *call,
                            uint64_t (*hops)(const struct collective_call *call, uint32_t from, uint32_t to))
{
    uint64_t bytes = 0;
    for (uint32_t from = 0; from < call->members; from++) {
        for (uint32_t to = 0; to < call->members; to++) {
            bytes += from == to ? 0 : hops(call, from, to) * pair_bytes(call, from, to);
        }
    }
    return bytes;
}

static uint64_t one_hop(const struct collective_call *call, uint32_t from, uint32_t to)
{
    (void)call;
    (void)from;
    (void)to;
    return 1;
}

static uint64_t bruck_hops(const struct collective_call *call, uint32_t from, uint32_t to)
{
    return (uint64_t)__builtin_popcount((to + call->members - from) % call->members);
}

static uint64_t server_hops(const struct collective_call *call, uint32_t from, uint32_t to)
{
    return (uint64_t)(from % call->local != to % call->local) + (from / call->local != to / call->local);
}

static uint64_t pairs_once(const struct collective_call *call)
{
    return pairs_times(call, one_hop);
}

static uint64_t pairs_bruck(const struct collective_call *call)
{
    return pairs_times(call, bruck_hops);
}

static uint64_t pairs_of_servers(const struct collective_call *call)
{
    return pairs_times(call, server_hops);
}

/* Every chunk once more. */
static uint64_t one_step_more(const struct collective_call *call)
{
    return twice_all_but_one(call) + call->bytes;
}

/* With switches that combine: everybody's buffer, and once more what is copied. */
static uint64_t all_of_them(const struct collective_call *call)
{
    return call->members * call->bytes;
}

static uint64_t all_and_one(const struct collective_call *call)
{
    return (call->members + 1) * call->bytes;
}

static uint64_t one_buffer(const struct collective_call *call)
{
    return call->bytes;
}

/* In servers all_and_one, and a buffer a server across. */
static uint64_t all_in_servers_and_across(const struct collective_call *call)
{
    uint64_t servers = call->members / call->local;
    return (call->local > 1 ? (call->members + servers) * call->bytes : 0) + (servers > 1 ? servers * call->bytes : 0);
}

/* Between servers up and down. */
static uint64_t all_in_servers_and_trees(const struct collective_call *call)
{
    uint64_t servers = call->members / call->local;
    return (call->local > 1 ? (call->members + servers) * call->bytes : 0) + 2 * (servers - 1) * call->bytes;
}

struct closed_form {
    enum collective_kind kind;
    const char *name;
    uint64_t (*bytes)(const struct collective_call *call);
    bool is_even; /* every member sends the same, but for rounding */
};

static const struct closed_form closed_forms[] = {
    {COLLECTIVE_ALL_REDUCE, "ring", twice_all_but_one, true},
    {COLLECTIVE_ALL_REDUCE, "two_way_ring", twice_all_but_one, true},
    {COLLECTIVE_ALL_REDUCE, "tree", twice_all_but_one, false},
    {COLLECTIVE_ALL_REDUCE, "halving_doubling", halving_reduce, false},
    {COLLECTIVE_ALL_REDUCE, "direct", twice_all_but_one, true},
    {COLLECTIVE_ALL_REDUCE, "one_shot", all_shards, true},
    {COLLECTIVE_ALL_REDUCE, "hierarchical", twice_all_but_one, true},
    {COLLECTIVE_ALL_REDUCE, "send_done", one_step_more, true},
    {COLLECTIVE_ALL_REDUCE, "nvls", all_and_one, true},
    {COLLECTIVE_ALL_REDUCE, "sharp", all_of_them, true},
    {COLLECTIVE_ALL_REDUCE, "nvls_sharp", all_in_servers_and_across, true},
    {COLLECTIVE_ALL_REDUCE, "nvls_tree", all_in_servers_and_trees, false},
    {COLLECTIVE_REDUCE_SCATTER, "nvls", all_of_them, true},
    {COLLECTIVE_REDUCE_SCATTER, "sharp", all_of_them, true},
    {COLLECTIVE_ALL_GATHER, "nvls", all_of_them, true},
    {COLLECTIVE_ALL_GATHER, "sharp", all_of_them, true},
    {COLLECTIVE_BROADCAST, "nvls", one_buffer, false},
    {COLLECTIVE_BROADCAST, "sharp", one_buffer, false},
    {COLLECTIVE_REDUCE, "nvls", all_of_them, true},
    {COLLECTIVE_REDUCE, "sharp", all_of_them, true},
    {COLLECTIVE_REDUCE_SCATTER, "ring", all_but_one, true},
    {COLLECTIVE_REDUCE_SCATTER, "two_way_ring", all_but_one, true},
    {COLLECTIVE_REDUCE_SCATTER, "recursive_halving", halving_scatter, false},
    {COLLECTIVE_REDUCE_SCATTER, "direct", all_but_one, true},
    {COLLECTIVE_REDUCE_SCATTER, "pat", all_but_one, true},
    {COLLECTIVE_REDUCE_SCATTER, "hierarchical", all_but_one, true},
    {COLLECTIVE_ALL_GATHER, "ring", all_shards, true},
    {COLLECTIVE_ALL_GATHER, "two_way_ring", all_shards, true},
    {COLLECTIVE_ALL_GATHER, "recursive_doubling", doubling_gather, false},
    {COLLECTIVE_ALL_GATHER, "bruck", all_shards, true},
    {COLLECTIVE_ALL_GATHER, "direct", all_shards, true},
    {COLLECTIVE_ALL_GATHER, "pat", all_shards, true},
    {COLLECTIVE_ALL_GATHER, "hierarchical", all_shards, true},
    {COLLECTIVE_ALL_TO_ALL, "pairwise", pairs_once, true},
    {COLLECTIVE_ALL_TO_ALL, "window", pairs_once, true},
    {COLLECTIVE_ALL_TO_ALL, "send_done", pairs_once, true},
    {COLLECTIVE_ALL_TO_ALL, "bruck", pairs_bruck, false},
    {COLLECTIVE_ALL_TO_ALL, "hierarchical", pairs_of_servers, false},
    {COLLECTIVE_BROADCAST, "chain", all_but_one, false},
    {COLLECTIVE_BROADCAST, "binomial", all_but_one, false},
    {COLLECTIVE_BROADCAST, "scatter_all_gather", scatter_then_ring, false},
    {COLLECTIVE_REDUCE, "chain", all_but_one, false},
    {COLLECTIVE_REDUCE, "binomial", all_but_one, false},
    {COLLECTIVE_GATHER, "direct", all_but_one, false},
    {COLLECTIVE_GATHER, "binomial", binomial_gather, false},
    {COLLECTIVE_SCATTER, "direct", all_but_roots, false},
    {COLLECTIVE_SCATTER, "binomial", binomial_scatter, false},
    {COLLECTIVE_BARRIER, "dissemination", nothing, true},
};

static const struct closed_form *closed_form_of(const struct collective_algorithm *algorithm)
{
    for (size_t i = 0; i < sizeof closed_forms / sizeof closed_forms[0]; i++) {
        if (closed_forms[i].kind == algorithm->kind && strcmp(closed_forms[i].name, algorithm->name) == 0) {
            return &closed_forms[i];
        }
    }
    return NULL;
}

/* ---- what members have before, and what they must have after ---------------------------------------------- */

/* A barrier moves no bytes; what a member knows of is kept in one byte of its own. */
static uint64_t space_bytes(enum collective_kind kind, const struct collective_call *call)
{
    switch (kind) {
    case COLLECTIVE_BARRIER:
        return 1;
    case COLLECTIVE_ALL_GATHER:
    case COLLECTIVE_GATHER:
        return call->members * call->bytes;
    case COLLECTIVE_ALL_TO_ALL: {
        struct collective_piece last = collective_pair(call, call->members - 1, call->members - 1);
        return last.first_byte + last.bytes;
    }
    default:
        return call->bytes;
    }
}

static set_t begin_at(enum collective_kind kind, const struct collective_call *call, uint64_t byte)
{
    switch (kind) {
    case COLLECTIVE_ALL_GATHER:
    case COLLECTIVE_GATHER:
        return byte / call->bytes == call->self ? set_one(call->self) : 0;
    case COLLECTIVE_BROADCAST:
    case COLLECTIVE_SCATTER:
        return call->self == call->root ? set_one(call->root) : 0;
    case COLLECTIVE_ALL_TO_ALL: {
        struct collective_piece last = collective_pair(call, call->self, call->members - 1);
        bool is_own = byte >= collective_pair(call, call->self, 0).first_byte && byte < last.first_byte + last.bytes;
        return is_own ? set_one(call->self) : 0;
    }
    default:
        return set_one(call->self);
    }
}

static bool is_within(struct collective_piece range, uint64_t byte)
{
    return byte >= range.first_byte && byte - range.first_byte < range.bytes;
}

static struct collective_piece own_chunk(const struct collective_call *call)
{
    return piece_chunk(piece_all(call->bytes), call->self, call->members);
}

static bool is_right(enum collective_kind kind, const struct collective_call *call, uint64_t byte, set_t held)
{
    bool is_root = call->self == call->root;
    switch (kind) {
    case COLLECTIVE_ALL_GATHER:
        return held == set_one(byte / call->bytes);
    case COLLECTIVE_GATHER:
        return !is_root || held == set_one(byte / call->bytes);
    case COLLECTIVE_BROADCAST:
        return held == set_one(call->root);
    case COLLECTIVE_SCATTER:
        return !is_within(own_chunk(call), byte) || held == set_one(call->root);
    case COLLECTIVE_REDUCE:
        return !is_root || held == set_all(call->members);
    case COLLECTIVE_REDUCE_SCATTER:
        return !is_within(own_chunk(call), byte) || held == set_all(call->members);
    default:
        return held == set_all(call->members);
    }
}

/* ---- the network ------------------------------------------------------------------------------------------ */

struct mail {
    uint32_t from, to, lane;
    uint64_t as;
    size_t piece_count;
    uint64_t bytes; /* of all pieces */
    struct collective_piece *pieces;
    set_t *content; /* of all pieces, one after the other; NULL where contents are not followed */
    bool is_delivered; /* and not yet acknowledged */
    const set_t *given; /* of what is combined: the receiver's own part of it, which the sum replaces */
    set_t senders;     /* whose send is done when it is acknowledged; 0: that of `from` */
    uint32_t *copies;  /* how many are under way of what was sent once; NULL: it alone */
};

/* What switches have got so far of one combined step. */
struct pot {
    uint32_t lane, owner, count;
    enum collective_cast cast;
    enum collective_team team;
    uint64_t as;
    set_t from;
    const set_t *given[MEMBERS_MAX]; /* per member */
    struct mail sum;
};

struct lane {
    uint64_t step_count, step_next, recv_done, send_done;
    struct mail *inbox; /* per receive number, what came for it */
    uint8_t *is_in;
};

struct member {
    struct collective_call call;
    uint32_t lane_count;
    struct lane *lanes;
    uint64_t bytes;
    set_t *held;
};

struct network {
    struct arena *arena;
    const struct collective_algorithm *algorithm;
    struct member member[MEMBERS_MAX];
    struct mail *mails;
    size_t count, capacity;
    struct pot *pots;
    size_t pot_count, pot_capacity;
    uint64_t seed, drawn;
    bool has_content;
    const char *wrong; /* the first thing that is */
};

static void blame(struct network *network, bool is_good, const char *what)
{
    if (!is_good && network->wrong == NULL) {
        network->wrong = what;
    }
}

/* Pieces that the step says it sends; of a barrier the one byte. */
static void pieces_find(struct network *network, const struct member *member, struct mail *mail, uint64_t k,
                        uint64_t send_bytes)
{
    size_t capacity = 0;
    uint64_t bytes = 0;
    struct collective_piece piece;
    for (uint64_t i = 0; network->algorithm->piece(&member->call, mail->lane, k, i, &piece); i++) {
        bytes += piece.bytes;
        if (network->algorithm->kind == COLLECTIVE_BARRIER) {
            piece.bytes = 1;
        }
        vec_push(network->arena, mail->pieces, mail->piece_count, capacity) = piece;
    }
    blame(network, bytes == send_bytes, "sends other bytes than its pieces have");
}

static void content_copy(struct network *network, const struct member *member, struct mail *mail)
{
    uint64_t bytes = 0, space = space_bytes(network->algorithm->kind, &member->call);
    for (size_t i = 0; i < mail->piece_count; i++) {
        bytes += mail->pieces[i].bytes;
        blame(network, mail->pieces[i].first_byte + mail->pieces[i].bytes <= space, "sends what is not in the buffer");
    }
    mail->bytes = bytes;
    mail->content = arena_array(network->arena, bytes + 1, set_t);
    set_t *content = mail->content;
    for (size_t i = 0; i < mail->piece_count && network->wrong == NULL; i++) {
        for (uint64_t j = 0; j < mail->pieces[i].bytes; j++) {
            uint64_t byte = mail->pieces[i].first_byte + j;
            *content = mail->pieces[i].is_input ? begin_at(network->algorithm->kind, &member->call, byte)
                                                : member->held[byte];
            blame(network, *content++ != 0, "sends what has not come yet");
        }
    }
}

/* ---- teams: switches that copy and combine ---------------------------------------------------------------- */

static uint32_t team_at(const struct member *member, enum collective_team team, uint32_t place)
{
    return team_member(&member->call, team, team_index(&member->call, team, member->call.self), place);
}

static void copies_send(struct network *network, const struct member *member, enum collective_team team, struct mail mail)
{
    mail.copies = arena_one(network->arena, uint32_t);
    for (uint32_t place = 0; place < team_members(&member->call, team); place++) {
        mail.to = team_at(member, team, place);
        if (mail.to != member->call.self) {
            (*mail.copies)++;
            vec_push(network->arena, network->mails, network->count, network->capacity) = mail;
        }
    }
    blame(network, *mail.copies > 0, "sends to a team of itself alone");
}

static struct pot *pot_of(struct network *network, const struct member *member, const struct mail *mail,
                          const struct collective_step *step)
{
    uint32_t owner = step->cast == CAST_COMBINE ? team_at(member, step->team, 0) : step->send_to;
    for (size_t i = 0; i < network->pot_count; i++) {
        struct pot *pot = &network->pots[i];
        if (pot->lane == mail->lane && pot->as == mail->as && pot->owner == owner && pot->cast == step->cast &&
            pot->team == step->team) {
            return pot;
        }
    }
    struct pot *pot = &vec_push(network->arena, network->pots, network->pot_count, network->pot_capacity);
    *pot = (struct pot){.lane = mail->lane, .owner = owner, .cast = step->cast, .team = step->team, .as = mail->as, .sum = *mail};
    if (network->has_content) { /* of its own: the first sender's is kept as it was */
        pot->sum.content = arena_array(network->arena, mail->bytes + 1, set_t);
        memcpy(pot->sum.content, mail->content, mail->bytes * sizeof *mail->content);
    }
    return pot;
}

static void pot_add(struct network *network, struct pot *pot, const struct mail *mail)
{
    size_t at = 0;
    blame(network, (pot->from & set_one(mail->from)) == 0, "sends twice into what is combined");
    blame(network, pot->sum.piece_count == mail->piece_count, "sends other pieces than others into what is combined");
    for (size_t i = 0; i < mail->piece_count && network->wrong == NULL; i++) {
        const struct collective_piece *here = &pot->sum.pieces[i], *there = &mail->pieces[i];
        blame(network, here->first_byte == there->first_byte && here->bytes == there->bytes, "combines different bytes");
        for (uint64_t j = 0; network->has_content && pot->count > 0 && j < there->bytes; j++, at++) {
            blame(network, (pot->sum.content[at] & mail->content[at]) == 0, "counts a contribution twice in a switch");
            pot->sum.content[at] |= mail->content[at];
        }
    }
    pot->given[mail->from] = mail->content;
    pot->from |= set_one(mail->from);
    pot->count++;
}

static void combined_send(struct network *network, const struct member *member, const struct mail *mail,
                          const struct collective_step *step)
{
    struct pot *pot = pot_of(network, member, mail, step);
    pot_add(network, pot, mail);
    if (pot->count < team_members(&member->call, step->team)) {
        return;
    }
    for (uint32_t place = 0; place < pot->count; place++) {
        struct mail sum = pot->sum;
        sum.from = sum.to = team_at(member, step->team, place);
        sum.given = pot->given[sum.to];
        sum.senders = step->cast == CAST_COMBINE ? set_one(sum.to) : pot->from;
        if (step->cast == CAST_COMBINE || sum.to == pot->owner) {
            vec_push(network->arena, network->mails, network->count, network->capacity) = sum;
        }
    }
    *pot = network->pots[--network->pot_count];
}

static void mail_send(struct network *network, struct member *member, uint32_t lane, uint64_t k,
                      const struct collective_step *step)
{
    struct mail mail = {.from = member->call.self, .to = step->send_to, .lane = lane, .as = step->send_as};
    bool is_to_self = step->send_to == member->call.self && step->cast == CAST_NONE;
    blame(network, step->send_to < member->call.members && !is_to_self, "sends to nobody or itself");
    pieces_find(network, member, &mail, k, step->send_bytes);
    if (network->has_content) {
        content_copy(network, member, &mail);
    }
    member->bytes += step->send_bytes;
    if (step->cast == CAST_COPY) {
        copies_send(network, member, step->team, mail);
    } else if (step->cast != CAST_NONE) {
        combined_send(network, member, &mail, step);
    } else {
        vec_push(network->arena, network->mails, network->count, network->capacity) = mail;
    }
}

static void byte_take(struct network *network, set_t *held, set_t content, bool is_added)
{
    if (network->algorithm->kind == COLLECTIVE_BARRIER) {
        *held |= content;
        return;
    }
    blame(network, !is_added || (*held & content) == 0, "counts a contribution twice");
    blame(network, is_added || (*held & ~content) == 0, "loses a contribution");
    *held = is_added ? *held | content : content;
}

/* What has been added beside the own part stays. */
static void sum_take(struct network *network, struct member *member, const struct mail *mail)
{
    size_t at = 0;
    for (size_t i = 0; network->has_content && i < mail->piece_count; i++) {
        for (uint64_t j = 0; j < mail->pieces[i].bytes; j++, at++) {
            set_t *held = &member->held[mail->pieces[i].first_byte + j];
            blame(network, (*held & mail->content[at] & ~mail->given[at]) == 0, "counts a contribution twice");
            *held |= mail->content[at];
        }
    }
}

static void mail_take(struct network *network, struct member *member, const struct mail *mail)
{
    const set_t *content = mail->content;
    if (mail->senders != 0) {
        sum_take(network, member, mail);
        return;
    }
    for (size_t i = 0; network->has_content && i < mail->piece_count; i++) {
        for (uint64_t j = 0; j < mail->pieces[i].bytes; j++) {
            byte_take(network, &member->held[mail->pieces[i].first_byte + j], *content++, mail->pieces[i].is_added);
        }
    }
}

static void receives_advance(struct network *network, struct member *member, uint32_t lane_id)
{
    struct lane *lane = &member->lanes[lane_id];
    for (; lane->recv_done < lane->step_count; lane->recv_done++) {
        struct collective_step step;
        collective_step_of(network->algorithm, &member->call, lane_id, lane->recv_done, &step);
        if (step.recv_from == ID_NONE) {
            continue;
        }
        if (!lane->is_in[lane->recv_done]) {
            return;
        }
        const struct mail *mail = &lane->inbox[lane->recv_done];
        blame(network, mail->from == step.recv_from, "receives from another member than it expects");
        mail_take(network, member, mail);
    }
}

static bool is_limited(const struct collective_algorithm *algorithm)
{
    return algorithm->kind == COLLECTIVE_ALL_TO_ALL && strcmp(algorithm->name, "bruck") != 0;
}

static void sends_advance(struct network *network, struct member *member, uint32_t lane_id)
{
    struct lane *lane = &member->lanes[lane_id];
    for (; lane->step_next < lane->step_count && network->wrong == NULL; lane->step_next++) {
        struct collective_step step;
        collective_step_of(network->algorithm, &member->call, lane_id, lane->step_next, &step);
        blame(network, step.wait_lane < member->lane_count && step.also_lane < member->lane_count, "waits for a lane that does not exist");
        if (network->wrong != NULL || lane->recv_done < step.after_recv || lane->send_done < step.after_send ||
            member->lanes[step.wait_lane].recv_done < step.wait_recv ||
            member->lanes[step.also_lane].recv_done < step.also_recv) {
            return;
        }
        if (step.send_to == ID_NONE) {
            lane->send_done++;
            continue;
        }
        mail_send(network, member, lane_id, lane->step_next, &step);
        blame(network, !is_limited(network->algorithm) || lane->step_next - lane->send_done < member->call.concurrency,
              "has more exchanges under way than allowed");
    }
}

static void member_advance(struct network *network, struct member *member)
{
    for (uint32_t lane = 0; lane < member->lane_count; lane++) {
        sends_advance(network, member, lane);
    }
}

static void mail_acknowledge(struct network *network, const struct mail *mail)
{
    set_t senders = mail->senders != 0 ? mail->senders : set_one(mail->from);
    if (mail->copies != NULL && --*mail->copies > 0) {
        return;
    }
    for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
        if (senders >> i & 1) {
            network->member[i].lanes[mail->lane].send_done++;
            member_advance(network, &network->member[i]);
        }
    }
}

/* A mail is delivered or, if it was before, acknowledged. */
static void mail_move(struct network *network, size_t index)
{
    struct mail mail = network->mails[index];
    if (mail.is_delivered) {
        network->mails[index] = network->mails[--network->count];
        mail_acknowledge(network, &mail);
        return;
    }
    network->mails[index].is_delivered = true;
    struct member *member = &network->member[mail.to];
    struct lane *lane = mail.lane < member->lane_count ? &member->lanes[mail.lane] : NULL;
    bool is_expected = lane != NULL && mail.as < lane->step_count && !lane->is_in[mail.as];
    blame(network, is_expected, "receives a number that does not exist, or twice");
    if (is_expected) {
        lane->inbox[mail.as] = mail;
        lane->is_in[mail.as] = 1;
        receives_advance(network, member, mail.lane);
        member_advance(network, member);
    }
}

static void member_begin(struct network *network, struct member *member, const struct collective_call *call)
{
    const struct collective_algorithm *algorithm = network->algorithm;
    member->call = *call;
    member->lane_count = collective_lanes(algorithm, call);
    blame(network, member->lane_count > 0 && member->lane_count <= COLLECTIVE_LANES_MAX, "has too many lanes");
    member->lanes = arena_array(network->arena, member->lane_count, struct lane);
    for (uint32_t i = 0; i < member->lane_count; i++) {
        uint64_t steps = algorithm->step_count(&member->call, i);
        member->lanes[i].step_count = steps;
        member->lanes[i].inbox = arena_array(network->arena, steps, struct mail);
        member->lanes[i].is_in = arena_array(network->arena, steps, uint8_t);
    }
    uint64_t bytes = network->has_content ? space_bytes(algorithm->kind, call) : 0;
    member->held = arena_array(network->arena, bytes, set_t);
    for (uint64_t byte = 0; byte < bytes; byte++) {
        member->held[byte] = begin_at(algorithm->kind, call, byte);
    }
}

/* What came to this member from all others. */
static void incoming_check(struct network *network, const struct member *member)
{
    for (uint32_t from = 0; from < member->call.members; from++) {
        struct collective_piece pair = collective_pair(&member->call, from, member->call.self);
        for (uint64_t i = 0; from != member->call.self && i < pair.bytes; i++) {
            blame(network, member->held[pair.first_byte + i] == set_one(from), "ends with the wrong content");
        }
    }
}

static void content_check(struct network *network, const struct member *member)
{
    enum collective_kind kind = network->algorithm->kind;
    if (kind == COLLECTIVE_ALL_TO_ALL) {
        incoming_check(network, member);
        return;
    }
    for (uint64_t byte = 0; byte < space_bytes(kind, &member->call); byte++) {
        blame(network, is_right(kind, &member->call, byte, member->held[byte]), "ends with the wrong content");
    }
}

/* Each step may be a byte more or less than its share. */
static bool is_even_share(const struct member *member, uint64_t total_bytes)
{
    uint64_t steps = 4, members = member->call.members;
    for (uint32_t i = 0; i < member->lane_count; i++) {
        steps += member->lanes[i].step_count;
    }
    uint64_t bytes = member->bytes * members;
    uint64_t off = bytes > total_bytes ? bytes - total_bytes : total_bytes - bytes;
    return off <= steps * members;
}

static void end_check(struct network *network, uint32_t members)
{
    const struct closed_form *form = closed_form_of(network->algorithm);
    const struct collective_call *call = &network->member[0].call;
    uint64_t bytes = 0, total_bytes = form->bytes(call);
    for (uint32_t i = 0; i < members; i++) {
        const struct member *member = &network->member[i];
        for (uint32_t j = 0; j < member->lane_count; j++) {
            const struct lane *lane = &member->lanes[j];
            blame(network, lane->recv_done == lane->step_count && lane->send_done == lane->step_count, "waits for ever");
        }
        if (network->has_content) {
            content_check(network, member);
        }
        bytes += member->bytes;
        blame(network, !form->is_even || call->pairs != NULL || is_even_share(member, total_bytes),
              "sends more or less than its share");
    }
    blame(network, bytes == total_bytes, "all together send other than the closed form");
}

/* Contents are followed where the buffers are small. */
#define CONTENT_BYTES_MAX 20000

static void run(const struct collective_algorithm *algorithm, const struct collective_call *of, uint64_t seed)
{
    struct arena *arena = arena_new("test");
    struct network *network = arena_one(arena, struct network);
    *network = (struct network){.arena = arena, .algorithm = algorithm, .seed = seed,
                                .has_content = space_bytes(algorithm->kind, of) <= CONTENT_BYTES_MAX};
    struct collective_call call = *of;
    for (call.self = 0; call.self < call.members; call.self++) {
        member_begin(network, &network->member[call.self], &call);
    }
    for (uint32_t i = 0; i < call.members; i++) {
        for (uint32_t lane = 0; lane < network->member[i].lane_count; lane++) {
            receives_advance(network, &network->member[i], lane);
        }
        member_advance(network, &network->member[i]);
    }
    while (network->count > 0 && network->wrong == NULL) {
        mail_move(network, rng_below(rng_draw(seed, 1, network->drawn++), (uint32_t)network->count));
    }
    if (network->wrong == NULL) {
        end_check(network, call.members);
    }
    if (network->wrong != NULL) {
        printf("\n%s %s of %u members (%u a server), root %u, %" PRIu64 " B, chunk %" PRIu64 ", ring %" PRIu64
               ", concurrency %u, channels %u, slices %u: a member %s\n",
               algorithm->name, collective_name(algorithm->kind), call.members, call.local, call.root, call.bytes,
               call.chunk_bytes, call.ring_bytes, call.concurrency, call.channels, call.slices, network->wrong);
    }
    CHECK(network->wrong == NULL);
    arena_free(arena);
}

static bool has_root(enum collective_kind kind)
{
    return kind == COLLECTIVE_REDUCE || kind == COLLECTIVE_GATHER || kind == COLLECTIVE_SCATTER ||
           kind == COLLECTIVE_BROADCAST;
}

/* The number-th divisor, from 1 on and round again. */
static uint32_t divisor(uint32_t members, uint32_t number)
{
    for (uint32_t at = 1;; at = at % members + 1) {
        if (members % at == 0 && number-- == 0) {
            return at;
        }
    }
}

static void algorithm_runs(const struct collective_algorithm *algorithm, uint32_t members, uint64_t seed)
{
    static const struct {
        uint32_t concurrency, channels, slices, servers, loop_divisor, chunk_divisor;
    } shapes[] = {{1, 1, 1, 0, 0, 1},    {3, 2, 1, 1, 0, 4},  {1000, 5, 2, 2, 0, 3},
                  {8, 3, 1, 3, 3, 7},    {2, 6, 3, 1, 2, 2},  {4, 9, 2, 2, 4, 20}};
    const uint64_t sizes[] = {0, 1, members - 1, members, 2 * members + 3, 1000003};
    uint32_t roots = has_root(algorithm->kind) ? members : 1;
    size_t stride = members > 24 ? 3 : 1; /* the work goes with members squared */
    for (size_t i = members % stride; i < sizeof sizes / sizeof sizes[0]; i += stride) {
        for (uint32_t root = 0; root < roots; root++) {
            size_t at = (i + root + members) % (sizeof shapes / sizeof shapes[0]);
            uint64_t loop = shapes[at].loop_divisor;
            uint32_t channels_max = members <= 12 || members % 16 == 0 ? 24 : 2;
            const struct collective_call call = {
                .members = members, .root = root, .bytes = sizes[i], .concurrency = shapes[at].concurrency,
                .channels = shapes[at].channels < channels_max ? shapes[at].channels : channels_max,
                .slices = shapes[at].slices,
                .local = divisor(members, shapes[at].servers + (uint32_t)i), .chunk_bytes = sizes[i] / shapes[at].chunk_divisor + 1,
                .ring_bytes = loop == 0 ? 0 : sizes[i] / loop / members + 1};
            run(algorithm, &call, seed + root);
        }
    }
}

static void test_every_algorithm(void)
{
    uint64_t seed = test_seed();
    for (const struct collective_algorithm *const *row = collective_algorithms; *row != NULL; row++) {
        CHECK(closed_form_of(*row) != NULL);
        for (uint32_t members = 2; members <= MEMBERS_MAX && closed_form_of(*row) != NULL; members++) {
    algorithm_runs(*row, members, seed * members);
        }
    }
}

/* All-to-all with unequal parts, many of them none. */
static void test_unequal_parts(void)
{
    uint64_t seed = test_seed(), *bytes = calloc(MEMBERS_MAX * MEMBERS_MAX, sizeof *bytes);
    for (const struct collective_algorithm *const *row = collective_algorithms; *row != NULL; row++) {
        for (uint32_t members = 2; (*row)->kind == COLLECTIVE_ALL_TO_ALL && members <= 24; members++) {
            for (uint32_t i = 0; i < members * members; i++) {
                uint64_t draw = rng_draw(seed, members, i);
                bytes[i] = draw % 3 == 0 ? 0 : draw % 40;
            }
            const struct pair_table pairs = {.members = members, .bytes = bytes};
            const struct collective_call call = {.members = members, .pairs = &pairs, .concurrency = 1 + members % 5,
                                                 .channels = 1, .slices = 1, .chunk_bytes = 1,
                                                 .local = divisor(members, 1)};
            run(*row, &call, seed + members);
        }
    }
    free(bytes);
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

TEST_MAIN("collective", TEST(test_every_algorithm), TEST(test_unequal_parts), TEST(test_chunks_add_up), TEST(test_bandwidth_as_nccl_counts_it),
          TEST(test_algorithms_are_found))
