/* Teams of a run: trees over switches that can reduce, groups of the engine, windows. */
#ifndef PHOTONET_TEAMS_H
#define PHOTONET_TEAMS_H

#include "netsim/replay/replay.h"
#include "netsim/route/path.h"
#include "netsim/transport/team.h"

struct teams_request {
    const struct fabric *fabric;
    const struct replay *replay;
    const uint32_t *rank_host;
    const struct queue_profile *queues;
    struct packet_shape shape;
    uint64_t rtt_ps;   /* of a full packet, the longest */
    bool can_fail;     /* links may */
    bool links_repeat; /* what they lose by bit errors */
    bool has_circuits; /* that a controller sets while the job runs */
};

/* Why switches cannot combine here, whatever the job: queues that drop, links that fail, circuits; NULL: they can, if they
 * are able to. */
const char *teams_hindrance(const struct teams_request *request);

/* *table is NULL where no call needs teams. Refuses a team over switches that cannot reduce, or too large for their tables. */
enum status teams_make(const struct teams_request *request, struct arena *arena, const struct team_table **table,
                       struct diag *diag);

/* Hosts of a server can be a team over its scale-up links. */
bool teams_scale_up_reduces(const struct fabric *fabric, bool links_repeat);

#endif
