/* A message between two ranks, as the replay posts it and a network carries it. */
#ifndef PHOTONET_MESSAGE_H
#define PHOTONET_MESSAGE_H

#include <stdint.h>

/* key and the two ranks name a message among all that are alive; whoever carries it hands all of it back. */
struct message {
    uint32_t src_rank, dst_rank;
    uint32_t src_host, dst_host;
    uint64_t bytes;
    uint64_t key[2];
    uint32_t cookie;  /* the sender's own */
    uint32_t post_ns; /* software time before the first bit, beside what all messages take */
    union {
        uint32_t channel;   /* as it is posted: messages of a pair with other numbers go by other connections */
        uint64_t posted_ps; /* as the carrier keeps it, and hands it back */
    };
};

/* What a message went through. A packet is reordered that comes after one with a higher number, repeats counted; its
 * distance is how far that one is ahead, in packets (RFC 4737). Counted until the last packet has come. */
struct message_fate {
    uint64_t delivered_ps;
    uint32_t retransmissions;   /* data packets sent again */
    uint32_t nacks, trimmed;    /* NACKs at the sender; packets that came without their payload */
    uint32_t duplicates;        /* packets received in vain: come before, or thrown away by go-back-N */
    uint32_t reordered, reorder_max;
    uint64_t reorder_sum;       /* of the distances */
};

/* A message to a team (team.h): in dst_host, with what the switches do with it and the team's number. dst_rank is the owner of
 * what is combined for one. What the carrier hands back has a host in dst_host: the receiver's, or in acknowledgements the
 * sender's own. */
#define MESSAGE_TEAM (UINT32_C(1) << 31)
#define MESSAGE_CAST_BIT 29
#define MESSAGE_TEAMS_MAX (UINT32_C(1) << MESSAGE_CAST_BIT)

static inline uint64_t message_post_ps(const struct message *message)
{
    return (uint64_t)message->post_ns * 1000;
}

#endif
