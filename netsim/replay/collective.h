/* Collectives as state machines, never expanded lists.
 *
 * An algorithm answers one question: what does member `self` of `members` do in step k of lane l? A lane is a sequence of
 * its own: some channels of a ring, one way through a tree, one phase of a hierarchy. The replay keeps four numbers a lane
 * (next step to send, contiguous receives, sends done, steps), so a ring all-reduce over 16,384 ranks, which has 537
 * million steps, costs some tens of bytes a rank.
 *
 *      step k of a lane:   wait until receives 0 .. after_recv-1 of the lane and 0 .. wait_recv-1 of lane wait_lane have
 *                          (and 0 .. also_recv-1 of lane also_lane) arrived, and after_send sends of the lane are done, then send send_bytes to send_to, as receive
 *                          send_as of that member's same lane;
 *                          receive k of the lane comes from recv_from (ID_NONE: step k has no receive)
 *
 * Steps of a lane are sent in order. A call is over on a member when all its sends are acknowledged and all its receives
 * have arrived. Sizes: `bytes` is what one rank puts in (see struct op); chunk i of n of it is [bytes*i/n, bytes*(i+1)/n).
 *
 * A step may go to a team instead of a member: all members of the call, those of the own server, or those of the same number in
 * all servers. Switches copy what it sends to all others of the team, or combine what all of the team send (each as the same
 * step) into one message, for one of them or for all (netsim/transport/team.h). A member receives what is combined from itself:
 * recv_from is its own number.
 *
 * What a step moves is said in bytes of one address space for all members (struct collective_piece), by which the algebra of
 * every algorithm is tested:
 *      all-reduce, reduce, broadcast, scatter, reduce-scatter    0 .. bytes; member i's share is chunk i of members
 *      all-gather, gather                                        0 .. members * bytes; member i's shard starts at i * bytes
 *      all-to-all                                                what i has for j: see collective_pair */
#ifndef PHOTONET_COLLECTIVE_H
#define PHOTONET_COLLECTIVE_H

#include "photonet/program.h"

#define COLLECTIVE_LANES_MAX 6 /* of the algorithms that are built in */

enum collective_team { TEAM_CALL, TEAM_SERVER, TEAM_RAIL, TEAM_COUNT };

enum collective_cast {
    CAST_NONE,       /* to one member */
    CAST_COPY,       /* to all others of the team */
    CAST_COMBINE_TO, /* of all of the team, combined, to send_to */
    CAST_COMBINE,    /* of all of the team, combined, to all of it */
};

/* What a team is used for, as bits. */
#define TEAM_OWNERS 1 /* CAST_COPY from every member, CAST_COMBINE_TO every member */
#define TEAM_ROOT 2   /* from and to the root alone */
#define TEAM_ALL 4    /* CAST_COMBINE */

struct collective_call {
    uint32_t members, self, root;
    uint32_t local;        /* members of one server: member m is number m % local of server m / local; divides `members` */
    uint32_t channels;     /* rings or trees side by side, at least 1 */
    uint32_t slices;       /* messages that a step of a ring goes in, at least 1 */
    uint32_t concurrency;  /* all-to-all, direct: exchanges under way at once, at least 1 */
    uint64_t bytes;
    uint64_t chunk_bytes;  /* pipelined algorithms: bytes a step; at least 1 */
    uint64_t ring_bytes;   /* rings: most of one step of a channel, the buffer goes round in loops; 0: no limit */
    const struct pair_table *pairs; /* all-to-all with unequal parts, else NULL */
    const struct custom_program *custom; /* of an algorithm that a file holds (coll_custom.h), else NULL */
};

struct collective_step {
    uint32_t send_to;   /* member, or ID_NONE; itself with CAST_COPY and CAST_COMBINE */
    enum collective_cast cast;
    enum collective_team team; /* of a cast */
    uint32_t recv_from; /* member, or ID_NONE */
    uint64_t send_bytes;
    uint64_t send_as;    /* number of the receive at send_to that this is */
    uint64_t after_recv; /* receives of wait_lane that must have arrived, from the first */
    uint64_t after_send; /* sends that must be done (acknowledged), whichever they are */
    uint32_t wait_lane;  /* another lane, and the receives of it */
    uint64_t wait_recv;
    uint64_t wait_steps; /* and steps of it that must be through: sent, if they send */
    uint32_t send_lane;  /* lane of the receive at send_to */
    uint32_t also_lane;  /* and one more */
    uint64_t also_recv;
    uint32_t channel, channels; /* which of how many that a member sends on side by side; 0, 0: the algorithm has none */
};

/* A range of what a step sends, and what its receiver does with it. */
struct collective_piece {
    uint64_t first_byte, bytes;
    bool is_added; /* reduced into what is there, which must not hold any of it yet; else it replaces */
    bool is_input; /* what the member put in, whatever has been reduced since */
    /* Of what is combined the receiver keeps the sum instead of its own part, beside what it has added meanwhile. */
};

struct collective_algorithm {
    const char *name; /* "ring" */
    enum collective_kind kind;
    const char *summary;
    uint8_t teams[TEAM_COUNT]; /* TEAM_OWNERS and so on; all 0: members alone */
    bool is_of_server;         /* all members must stand in one server */
    uint32_t (*lane_count)(const struct collective_call *call); /* NULL: 1 */
    uint64_t (*step_count)(const struct collective_call *call, uint32_t lane);
    void (*step)(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step);
    /* Range `index` of what step k sends, from 0; false where there is none. Not asked in a run. */
    bool (*piece)(const struct collective_call *call, uint32_t lane, uint64_t k, uint64_t index,
                  struct collective_piece *piece);
    const struct custom_program *custom; /* of a file; its steps may name other lanes to send to and steps to wait for */
};

/* The first row of a kind is its default. */
extern const struct collective_algorithm *const collective_algorithms[]; /* ends with NULL */
const struct collective_algorithm *collective_find(enum collective_kind kind, const char *name); /* NULL name = default */

/* Size as nccl-tests counts it, and the factor from algbw to busbw (nccl-tests, doc/PERFORMANCE.md). */
uint64_t collective_size_bytes(enum collective_kind kind, uint64_t bytes, uint32_t members);
double collective_bus_factor(enum collective_kind kind, uint32_t members);

static inline uint32_t collective_lanes(const struct collective_algorithm *algorithm, const struct collective_call *call)
{
    return algorithm->lane_count == NULL ? 1 : algorithm->lane_count(call);
}

/* What an algorithm does not name is 0, or nobody; send_as is k, of the same lane. */
static inline void collective_step_of(const struct collective_algorithm *algorithm, const struct collective_call *call,
                                      uint32_t lane, uint64_t k, struct collective_step *step)
{
    *step = (struct collective_step){.send_to = ID_NONE, .recv_from = ID_NONE, .send_as = k, .send_lane = lane};
    algorithm->step(call, lane, k, step);
}

static inline bool collective_has_teams(const struct collective_algorithm *algorithm)
{
    return (algorithm->teams[TEAM_CALL] | algorithm->teams[TEAM_SERVER] | algorithm->teams[TEAM_RAIL]) != 0;
}

/* Which of the call's teams of a kind a member is in, and its number there. */
static inline uint32_t team_index(const struct collective_call *call, enum collective_team team, uint32_t member)
{
    return team == TEAM_CALL ? 0 : team == TEAM_SERVER ? member / call->local : member % call->local;
}

static inline uint32_t team_place(const struct collective_call *call, enum collective_team team, uint32_t member)
{
    return team == TEAM_CALL ? member : team == TEAM_SERVER ? member % call->local : member / call->local;
}

static inline uint32_t team_members(const struct collective_call *call, enum collective_team team)
{
    return team == TEAM_CALL ? call->members : team == TEAM_SERVER ? call->local : call->members / call->local;
}

/* And back. */
static inline uint32_t team_member(const struct collective_call *call, enum collective_team team, uint32_t index, uint32_t place)
{
    return team == TEAM_CALL ? place : team == TEAM_SERVER ? index * call->local + place : place * call->local + index;
}

/* Somebody that a step reaches; of a cast another one of the team. */
static inline uint32_t step_peer(const struct collective_call *call, const struct collective_step *step)
{
    if (step->cast == CAST_NONE || step->send_to != call->self) {
        return step->send_to;
    }
    uint32_t place = (team_place(call, step->team, call->self) + 1) % team_members(call, step->team);
    return team_member(call, step->team, team_index(call, step->team, call->self), place);
}

static inline uint64_t chunk_at(uint64_t bytes, uint64_t index, uint64_t count)
{
    uint64_t product;
    if (!__builtin_mul_overflow(bytes, index, &product)) { /* a division of 128 bits takes several times as long */
        return product / count;
    }
    return (uint64_t)((unsigned __int128)bytes * index / count);
}

static inline uint64_t chunk_bytes(uint64_t bytes, uint64_t index, uint64_t count)
{
    return chunk_at(bytes, index + 1, count) - chunk_at(bytes, index, count);
}

/* Chunk `index` of `count` of the range. */
static inline struct collective_piece piece_chunk(struct collective_piece of, uint64_t index, uint64_t count)
{
    of.first_byte += chunk_at(of.bytes, index, count);
    of.bytes = chunk_bytes(of.bytes, index, count);
    return of;
}

/* Part `index` of those of at most `part_bytes` that the range is cut into; empty behind the last. part_bytes 0: one part. */
static inline struct collective_piece piece_part(struct collective_piece of, uint64_t index, uint64_t part_bytes)
{
    if (part_bytes == 0) {
        return of;
    }
    uint64_t skipped = index * part_bytes < of.bytes ? index * part_bytes : of.bytes;
    uint64_t left = of.bytes - skipped;
    of.first_byte += skipped;
    of.bytes = left < part_bytes ? left : part_bytes;
    return of;
}

static inline struct collective_piece piece_all(uint64_t bytes)
{
    return (struct collective_piece){.bytes = bytes};
}

/* The shard of member `member` in an all-gather or gather. */
static inline struct collective_piece piece_shard(const struct collective_call *call, uint64_t member)
{
    return (struct collective_piece){.first_byte = member * call->bytes, .bytes = call->bytes};
}

/* Member from + distance, modulo members; distance may be negative. Mostly one turn away: no division then. */
static inline uint32_t member_at(const struct collective_call *call, uint64_t from, int64_t distance)
{
    int64_t members = call->members, at = (int64_t)from + distance;
    at += at < 0 ? members : at >= members ? -members : 0;
    at = at < 0 || at >= members ? at % members : at;
    return (uint32_t)(at < 0 ? at + members : at);
}

/* What `from` sends to `to` in an all-to-all. */
static inline uint64_t pair_bytes(const struct collective_call *call, uint32_t from, uint32_t to)
{
    return call->pairs == NULL ? chunk_bytes(call->bytes, to, call->members)
                               : call->pairs->bytes[(size_t)from * call->members + to];
}

/* Where they stand: sender by sender, receiver by receiver. Linear in a table of unequal parts. */
struct collective_piece collective_pair(const struct collective_call *call, uint32_t from, uint32_t to);

/* ceil(log2(value)), value >= 1. */
static inline uint32_t log2_ceil(uint64_t value)
{
    return value <= 1 ? 0 : 64 - (uint32_t)__builtin_clzll(value - 1);
}

static inline uint64_t parts_of(uint64_t bytes, uint64_t part_bytes)
{
    return bytes == 0 || part_bytes == 0 ? 1 : (bytes - 1) / part_bytes + 1;
}

#endif
