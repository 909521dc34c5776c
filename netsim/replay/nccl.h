/* NCCL's published tuning model: what it thinks that an algorithm and protocol take, and the numbers in it. */
#ifndef PHOTONET_NCCL_H
#define PHOTONET_NCCL_H

#include "netsim/replay/select.h"

enum nccl_algorithm { NCCL_TREE, NCCL_RING, NCCL_PAT, NCCL_NVLS, NCCL_NVLS_TREE, NCCL_ALGORITHM_COUNT };

struct nccl_case {
    const struct collective_machine *machine;
    enum generation generation;
    double efficiency;  /* 0: NCCL's */
    enum collective_kind kind;
    uint32_t members, local; /* local: members of one server */
    uint32_t channels;  /* at most */
    uint64_t bytes;     /* as nccl-tests counts it */
};

/* Microseconds; negative where NCCL does not use it. */
double nccl_time_us(const struct nccl_case *of, enum nccl_algorithm algorithm, enum protocol protocol);

/* Base and hop latencies, rates and wire factor of a protocol; algorithms that NCCL does not have get those of its rings. */
void nccl_protocol(const struct nccl_case *of, enum nccl_algorithm algorithm, struct collective_choice *choice);

uint32_t nccl_channels_max(enum generation generation, bool is_one_server);
uint32_t nccl_nvls_channels(enum generation generation, bool is_one_server);
/* Bytes of a chunk. */
uint64_t nccl_nvls_chunk(const struct nccl_case *of, enum nccl_algorithm algorithm, uint32_t channels);
/* Fewer channels for small calls. */
uint32_t nccl_channels(enum nccl_algorithm algorithm, enum protocol protocol, uint64_t bytes, uint32_t members,
                       uint32_t channels);

#endif
