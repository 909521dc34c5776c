/* Which algorithm, protocol and how many channels a collective call uses, and what the protocol costs.
 *
 *      rules (collective.rules)         first match by kind, size, group: what it names is taken
 *      names (collective.all_reduce)    what the user names for the kind; custom:FILE is the algorithm of a file
 *      collective.select=nccl           NCCL's tuning model for what is still open (nccl.h)
 *      else                             the first row of collectives.def, no protocol, one channel
 *
 * A protocol is NCCL's way to move bytes between two GPUs. What it costs beside the network:
 *      base     time from the call to its first byte
 *      hop      time of a step from its receive to the next member's, the network's idle latency counted in
 *      rate     payload that a member can push, its own for scale-up and scale-out; what it sends takes turns
 *      wire     bytes on the wire for a byte of payload (flags of LL: 2, of LL128: 16/15)
 * Without a protocol there are none of these. */
#ifndef PHOTONET_SELECT_H
#define PHOTONET_SELECT_H

#include "netsim/replay/collective.h"

enum protocol { PROTOCOL_NONE, PROTOCOL_LL, PROTOCOL_LL128, PROTOCOL_SIMPLE, PROTOCOL_COUNT };
extern const char *const protocol_names[]; /* ends with NULL */
#define PROTOCOL_AUTO PROTOCOL_COUNT

enum generation { GENERATION_VOLTA, GENERATION_AMPERE, GENERATION_HOPPER, GENERATION_BLACKWELL, GENERATION_COUNT };
extern const char *const generation_names[]; /* ends with NULL */

enum medium { MEDIUM_SCALE_UP, MEDIUM_SCALE_OUT, MEDIUM_COUNT };

/* What is known of the machine. */
struct collective_machine {
    uint32_t server_hosts; /* hosts s * server_hosts and following are server s; 0: none have one */
    uint64_t rate_bps[MEDIUM_COUNT]; /* of a host, one way; 0 where it has no such port */
    bool can_reduce; /* scale-up switches combine and copy (NVLS) */
};

/* One line of collective.rules; what it leaves open is NULL, AUTO or 0. */
struct collective_rule {
    int kind;                   /* enum collective_kind, -1: any */
    uint64_t low_bytes, high_bytes; /* size as nccl-tests counts it, inclusive */
    const char *group;          /* pattern of a name (fnmatch), NULL: any */
    const char *algorithm;      /* NULL: open */
    const struct collective_algorithm *custom; /* the algorithm, where a file holds it */
    enum protocol protocol;
    uint32_t channels;
};

struct collective_policy {
    bool is_nccl;
    enum generation generation;
    enum protocol protocol;     /* PROTOCOL_AUTO: NCCL's choice, or none */
    uint32_t channels;          /* 0: NCCL's, or 1 */
    uint32_t slices;            /* 0: NCCL's, or 1 */
    uint64_t ring_bytes;        /* 0: NCCL's, or no limit */
    double efficiency;          /* share of scale-up links that Simple reaches; 0: NCCL's */
    const struct collective_algorithm *algorithm[COLLECTIVE_KIND_COUNT]; /* NULL: open */
    const struct collective_rule *rules;
    size_t rule_count;
    struct custom_entry *custom; /* algorithms of files that have been read */
};

/* A file is read and checked once for every kind. */
struct custom_entry {
    const char *text;
    int kind;
    const struct collective_algorithm *algorithm;
    struct custom_entry *next;
};

/* What came of it. */
struct collective_choice {
    const struct collective_algorithm *algorithm;
    enum protocol protocol;
    uint32_t channels, slices;
    uint64_t chunk_bytes, ring_bytes;
    uint64_t base_ps, hop_ps[MEDIUM_COUNT];
    uint64_t rate_bps[MEDIUM_COUNT]; /* 0: no limit */
    uint32_t wire_num, wire_den;
};

/* `call` is all that is known of the call, with its chunk_bytes the default one; `group` is the group's name. */
struct collective_choice collective_choose(const struct collective_policy *policy,
                                           const struct collective_machine *machine, enum collective_kind kind,
                                           const struct collective_call *call, const char *group);

/* The algorithm of a file, where `name` is "custom:PATH" or "custom:PATH@SIZE" (coll_custom.h); kind -1: what the file says. */
bool collective_is_custom(const char *name);
enum status collective_custom(const char *name, int kind, struct origin at, struct arena *arena,
                              struct collective_policy *policy, const struct collective_algorithm **algorithm,
                              struct diag *diag);

/* What has been read, a line each: "custom:ring.xml: all_reduce of 8 ranks"; "" where nothing has. */
const char *collective_customs_text(const struct collective_policy *policy, const char *indent, struct arena *arena);

/* Parses "all_reduce size<64KiB -> tree/ll; group=tp* -> ring/simple/16; -> ring". Refuses at `at`. */
enum status collective_rules_parse(const char *text, struct origin at, struct arena *arena,
                                   struct collective_policy *policy, struct diag *diag);

/* Bytes on the wire of so much payload. */
static inline uint64_t choice_wire_bytes(const struct collective_choice *choice, uint64_t bytes)
{
    return choice->wire_num == choice->wire_den
               ? bytes
               : (uint64_t)(((unsigned __int128)bytes * choice->wire_num + choice->wire_den - 1) / choice->wire_den);
}

/* And back: exact, because a byte more of payload is a byte more on the wire at least. */
static inline uint64_t choice_payload_bytes(const struct collective_choice *choice, uint64_t wire_bytes)
{
    return choice->wire_num == choice->wire_den
               ? wire_bytes
               : (uint64_t)((unsigned __int128)wire_bytes * choice->wire_den / choice->wire_num);
}

#endif
