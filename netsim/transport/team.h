/* Teams: hosts whose messages switches copy or combine, packet by packet (netsim/engine/group.h).
 *
 * A team has trees that share no link of a member; packet p of a stream goes by tree (p + first) % trees, where
 * `first` follows from the stream's owner, by all members alike. Every
 * member numbers the packets of a stream for itself, by posting messages in the same order.
 *
 *     stream                 data                                 window opened again by
 *     copy from owner o      o's packets, copied to all others    their acknowledgements, one for every quarter of the window and
 *                                                                 the end of a message, combined to o
 *     combine to owner o     all members' packets, combined to o  o's, copied to all
 *     combine                all members' packets, combined to    the result itself, at every member
 *                            all
 *
 * T1  Of a stream and tree at most `window` packets have left and are not accounted for. So a switch holds at most as many
 *     entries of each of its groups, and of each group's acknowledgements: what the first member is ahead of the last one is
 *     within the window that the last one opened. Windows are set so that all streams together fit into every table.
 * T2  Nothing is lost and links keep their order, so packets of a tree come by number. Where queues drop, links fail or FEC
 *     leaves errors there are no teams: who makes them refuses (netsim/teams.c). There are no repeats and no timeouts.
 * T3  What a copied packet belongs to is read at its sender, whose slot is freed when all have acknowledged all of it.
 *
 * Not modelled: a transport's congestion control (the window alone bounds what is under way); load balancing (trees are fixed).
 * Memory: 24 B a stream and tree in use, some 130 B a message under way. */
#ifndef PHOTONET_TEAM_H
#define PHOTONET_TEAM_H

#include "netsim/engine/group.h"

/* What an engine's group is for. */
enum team_stream { TEAM_STREAM_COPY, TEAM_STREAM_COMBINE_TO, TEAM_STREAM_COMBINE };
struct team_group {
    uint32_t team;
    uint16_t owner; /* member; of TEAM_STREAM_COMBINE_TO */
    uint8_t tree;
    uint8_t stream;
};

struct team {
    uint32_t member_count, tree_count;
    uint32_t window;         /* packets of a stream and tree, 1 .. TEAM_WINDOW_MAX */
    const uint32_t *host;    /* per member, all different */
    const uint32_t *rank;
    const uint8_t *port;     /* per tree and member: of its host */
    /* Numbers of engine groups of tree 0, those of the other trees follow; ID_NONE where it has none. */
    uint32_t copy_group, combine_group;
    const uint32_t *owner_group; /* per member */
};
#define TEAM_WINDOW_MAX 4096
#define TEAM_TREES_MAX 64
#define TEAM_MEMBERS_MAX 65535

struct team_table {
    const struct team *teams;
    uint32_t count;
    const struct group_table *groups;
    const struct team_group *group; /* per engine group */
    /* Teams that a host is in: numbers from host_first[h] on, and its member there. */
    const uint32_t *host_first, *host_team, *host_member;
};

#endif
