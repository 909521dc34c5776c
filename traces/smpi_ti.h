/* One rank of a time-independent trace on its way to a program: what the files of this reader share.
 *
 *     smpi_ti.c               files, lines, which action a line is, the import report
 *     smpi_ti_calls.c         arguments of a line; operations, computations and what is ignored
 *     smpi_ti_messages.c      sends and receives, requests and waits
 *     smpi_ti_collectives.c   collectives, and those that become messages */
#ifndef PHOTONET_TRACES_SMPI_TI_H
#define PHOTONET_TRACES_SMPI_TI_H

#include "photonet/trace.h"

enum block_policy { BLOCK_REFUSE, BLOCK_REPAIR };

struct ti_values {
    double speed;
    uint64_t eager_bytes;
    uint32_t block_policy;
};

/* Timers of sleep. */
#define STREAM_SLEEP 1
/* Messages that collectives become have tags from here on; MPI's are below. */
#define COLLECTIVE_TAG  (UINT32_C(1) << 31)
#define PATH_TEXT_BYTES 4096

enum ti_note {
    NOTE_WORLD,
    NOTE_COMMUNICATOR,
    NOTE_BLOCK,
    NOTE_COMPUTE,
    NOTE_UNEQUAL,
    NOTE_EXPANDED,
    NOTE_UNKNOWN_SIZE,
    NOTE_UNKNOWN_WAIT,
    NOTE_TEST,
    NOTE_LOCATION,
    NOTE_OTHER_RANK,
    NOTE_EAGER,
    NOTE_COUNT,
};

/* A line of a file that holds all ranks. */
struct ti_line {
    const char *text;
    uint32_t number, next; /* of the same rank; ID_NONE at the end */
};

struct ti_request {
    uint32_t src, dst, tag;
    uint32_t op;   /* ID_NONE: nothing to wait for */
    uint32_t next; /* with the same slot; ID_NONE at the end */
    bool is_done;
};

/* Sizes of the sends of one (src, dst, tag), in order, for receives of unknown length. */
struct ti_channel {
    uint32_t src, dst, tag;
    uint64_t *sizes;
    size_t count, capacity, taken;
};

struct ti_census {
    struct arena *arena;
    struct ti_channel *channels;
    size_t count, capacity;
    uint32_t *slot; /* open addressing, channel + 1 */
    size_t slot_count;
};

struct ti_reading {
    const struct ti_values *values;
    struct arena *scratch;
    struct diag *diag;
    const char *path; /* of the index, or of the file of all ranks */
    const char **rank_path;
    uint32_t rank_count;
    bool is_shared;
    struct ti_line *lines;
    size_t line_count, line_capacity;
    uint32_t *first_line, *last_line; /* by rank */
    struct job_builder *builder;
    uint32_t world;
    struct ti_census census;
    bool needs_census, is_census; /* a length is unknown; this pass collects sizes */
    uint64_t note_count[NOTE_COUNT], note_bytes[NOTE_COUNT];

    /* the rank being read */
    struct arena *rank_arena;
    uint32_t rank, slot;
    struct origin at;
    uint32_t previous;           /* what the next call waits for, ID_NONE at first */
    unsigned default_type_bytes; /* 0 before init */
    struct ti_request *requests;
    size_t request_count, request_capacity;
    uint32_t *request_slot; /* REQUEST_SLOTS heads of chains */
    char **word;            /* arguments behind the action */
    size_t word_count, word_capacity;
    const char *action;
};
#define REQUEST_SLOTS 4096

/* ---- smpi_ti.c: the import report, and refusals: "PATH:LINE: rank 3: send: WHAT" */

void ti_note(struct ti_reading *reading, enum ti_note which, uint64_t count, uint64_t bytes);
__attribute__((format(printf, 2, 3))) enum status ti_refuse(const struct ti_reading *reading,
                                                            const char *format, ...);

/* ---- smpi_ti_calls.c: arguments, operations, computations */

enum status ti_words_expect(const struct ti_reading *reading, size_t low, size_t high);
enum status ti_count_read(const struct ti_reading *reading, size_t at, uint64_t *count);
enum status ti_rank_read(const struct ti_reading *reading, size_t at, uint32_t *rank);
enum status ti_tag_read(const struct ti_reading *reading, size_t at, uint32_t *tag);
enum status ti_type_read(const struct ti_reading *reading, size_t at, uint64_t *bytes);
enum status ti_bytes_read(const struct ti_reading *reading, size_t at, size_t type_at, uint64_t *bytes);
enum status ti_flops_add(struct ti_reading *reading, size_t at);
uint32_t ti_message_add(struct ti_reading *reading, enum op_kind kind, uint32_t peer, uint64_t bytes,
                        uint32_t tag);
uint32_t ti_join_add(struct ti_reading *reading);
void ti_collective_add(struct ti_reading *reading, enum collective_kind kind, uint64_t bytes, uint32_t root);
enum status ti_do_compute(struct ti_reading *reading);
enum status ti_do_sleep(struct ti_reading *reading);
enum status ti_do_init(struct ti_reading *reading);
enum status ti_do_nothing(struct ti_reading *reading);
enum status ti_do_communicator(struct ti_reading *reading);
enum status ti_do_location(struct ti_reading *reading);

/* ---- smpi_ti_messages.c: sends, receives and their ends */

enum status ti_do_send(struct ti_reading *reading);
enum status ti_do_isend(struct ti_reading *reading);
enum status ti_do_recv(struct ti_reading *reading);
enum status ti_do_irecv(struct ti_reading *reading);
enum status ti_do_sendrecv(struct ti_reading *reading);
enum status ti_do_wait(struct ti_reading *reading);
enum status ti_do_waitall(struct ti_reading *reading);
enum status ti_do_test(struct ti_reading *reading);

/* ---- smpi_ti_collectives.c */

enum status ti_do_barrier(struct ti_reading *reading);
enum status ti_do_bcast(struct ti_reading *reading);
enum status ti_do_reduce(struct ti_reading *reading);
enum status ti_do_allreduce(struct ti_reading *reading);
enum status ti_do_alltoall(struct ti_reading *reading);
enum status ti_do_allgather(struct ti_reading *reading);
enum status ti_do_gather(struct ti_reading *reading);
enum status ti_do_scatter(struct ti_reading *reading);
enum status ti_do_allgatherv(struct ti_reading *reading);
enum status ti_do_reducescatter(struct ti_reading *reading);
enum status ti_do_gatherv(struct ti_reading *reading);
enum status ti_do_scatterv(struct ti_reading *reading);
enum status ti_do_alltoallv(struct ti_reading *reading);
enum status ti_do_scan(struct ti_reading *reading);

#endif
