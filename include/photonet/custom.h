/* A collective algorithm that the user wrote: what a file says, before anybody has looked whether it is one.
 *
 *     file ──► blocks ──► operations       a block runs its operations in order, blocks of a rank run beside each other;
 *                                          an operation may wait for one of another block of its rank
 *
 *     does        value                             then
 *     r           what is received                  is stored in dst
 *     s           src                               is sent
 *     rcs         what is received                  is stored and sent
 *     rrc rrs     what is received + src            is stored, sent
 *     rrcs        what is received + src            is stored and sent
 *     cpy, re     src, dst + src                    is stored
 *     nop         -
 *
 * Sends and receives with equal (source, destination, channel) match in ascending `order`. */
#ifndef PHOTONET_CUSTOM_H
#define PHOTONET_CUSTOM_H

#include "photonet/program.h"

/* Ranks beyond which a file is not looked at. */
#define CUSTOM_RANKS_MAX 4096

enum custom_buffer { CUSTOM_INPUT, CUSTOM_OUTPUT, CUSTOM_SCRATCH, CUSTOM_BUFFER_COUNT };

enum { CUSTOM_SENDS = 1, CUSTOM_RECEIVES = 2, CUSTOM_REDUCES = 4, CUSTOM_STORES = 8 };

struct custom_op {
    uint8_t does;                 /* of the flags above; 0: joins dependencies */
    uint8_t src_buffer, dst_buffer;
    uint32_t src_first, dst_first, chunk_count;
    uint64_t bytes;               /* SENDS, RECEIVES: where the file counts bytes */
    uint32_t send_to, recv_from, channel, order;
    uint32_t wait_op;             /* another operation of the rank, ID_NONE: none */
    uint32_t line;                /* where it stands, 0 where lines mean nothing */
    uint64_t source_id;           /* node, or step of its block */
};

struct custom_block {
    uint32_t rank, id;            /* id: as the file calls it */
    uint32_t op_first, op_count;
};

struct custom_collective {
    const char *path;
    const char *const *rank_path; /* rank_count; NULL: all stands in `path` */
    int kind;                     /* enum collective_kind, -1: the file does not say */
    uint32_t rank_count;
    /* Files that name chunks: an all-reduce has chunk_count in its buffer, an all-gather in its result, a reduce-scatter
     * and an all-to-all in their input. 0: the file counts bytes, and does not say what is in a message. */
    uint32_t chunk_count;
    const uint32_t *scratch_count; /* rank_count */
    bool is_in_place, is_out_of_place; /* what it is for */
    const char *protocol;         /* "simple", "ll", "ll128", NULL: open */
    uint64_t low_bytes, high_bytes; /* sizes it is for, as nccl-tests counts them */
    const uint32_t *rank_line;    /* rank_count, or NULL */
    const struct custom_block *blocks; /* rank by rank */
    uint32_t block_count;
    const struct custom_op *ops;  /* block by block */
    uint32_t op_count;
    uint32_t compute_count;       /* computations that are left out, and their time */
    uint64_t compute_ps;
};

/* Reads MSCCL's XML, or Chakra traces (PREFIX.0.et, ..., one a rank), found by content. */
enum status custom_read(const char *path, struct arena *arena, const struct custom_collective **custom,
                        struct diag *diag);

#endif
