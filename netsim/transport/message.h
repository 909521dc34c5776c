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
    uint64_t cookie; /* the sender's own */
    uint64_t posted_ps;
};

#endif
