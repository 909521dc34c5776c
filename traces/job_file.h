/* NAME.job, the file form of a job: what its writer and its reader share.
 *
 *     byte 0    one line of text: "photonet-job 1 BYTES DIGEST\n", zeros to byte 512 (HDF5's user block)
 *     byte 512  HDF5: attributes format, schema_version, name, source_format, scale, time_factor,
 *               full_ranks, creator
 *       program/      first_operation, first_dependency, first_name: one row a program and one more
 *       operation/    kind, collective, stream, duration_ps, bytes, peer_delta, group_slot, root, pairs, tag,
 *                     source_id, name (offset into the program's names), dep_first (row of dependency/on):
 * all programs' rows dependency/on position within the program of an operation that must have finished rank/
 * program; first_group: row of rank_group/group, where the rank's slots stand group/        first_member: row
 * of member/rank; name (offset into text/group) pair_table/   members; pair/bytes has members * members rows
 * of each table, one after the other note/         count, bytes, what, action (offsets into text/note) text/
 * program, group, note: strings, each ended by 0
 *
 * Columns are chunked, shuffled, deflated and without times: equal jobs give equal bytes. Programs that ranks
 * share stand once, so 16,384 ranks of a model take some megabytes.
 *
 * Invariants:
 *   1. The line at the head names the length of the file and the XXH3 of everything behind it. A file that
 * was cut or damaged is refused before the HDF5 library looks at it: damaged files can crash that library.
 *   2. The reader believes no number: every index is checked before it is used, and the job is built anew by
 * the same builder that serves all readers.
 *   3. A file appears under its name when it is complete and on the disk, and not before. */
#ifndef PHOTONET_TRACES_JOB_FILE_H
#define PHOTONET_TRACES_JOB_FILE_H

#include "photonet/trace.h"

#include <hdf5.h>

#define JOB_FILE_MAGIC      "photonet-job "
#define JOB_FILE_VERSION    1
#define JOB_FILE_HEAD_BYTES 512

/* What a column counts. Columns of one dimension have the same number of rows. */
enum job_dimension {
    JOB_PROGRAMS, /* and one more row, as all that say where something begins */
    JOB_OPERATIONS,
    JOB_OPERATION_ENDS, /* and one more row */
    JOB_DEPENDENCIES,
    JOB_RANKS,
    JOB_RANK_ENDS, /* and one more row */
    JOB_RANK_GROUPS,
    JOB_GROUPS,
    JOB_GROUP_ENDS, /* and one more row */
    JOB_MEMBERS,
    JOB_PAIR_TABLES,
    JOB_PAIRS,
    JOB_NOTES,
    JOB_TEXT_PROGRAM,
    JOB_TEXT_GROUP,
    JOB_TEXT_NOTE,
    JOB_DIMENSION_COUNT,
};

enum job_cell { JOB_CELL_U8, JOB_CELL_U16, JOB_CELL_U32, JOB_CELL_U64, JOB_CELL_I32 };

/* All columns of a file, as they stand in it. */
struct job_table {
    uint64_t count[JOB_DIMENSION_COUNT];
    const uint64_t *program_operation, *program_dependency, *program_name;
    const uint8_t *kind, *collective;
    const uint16_t *stream;
    const uint64_t *duration_ps, *bytes, *source_id, *dep_first;
    const int32_t *peer_delta;
    const uint32_t *group_slot, *root, *pairs, *tag, *name;
    const uint32_t *dep;
    const uint32_t *rank_program, *rank_group;
    const uint64_t *rank_first_group;
    const uint64_t *group_first_member, *group_name;
    const uint32_t *member;
    const uint32_t *pair_members;
    const uint64_t *pair_bytes;
    const uint64_t *note_count, *note_bytes, *note_what, *note_action;
    const char *text_program, *text_group, *text_note;
};

struct job_column {
    const char *group, *name; /* of the dataset: group/name */
    enum job_dimension dimension;
    enum job_cell cell;
    const char *unit, *meaning;
    size_t offset; /* of the pointer in struct job_table */
};
extern const struct job_column job_columns[]; /* ends with a NULL name */

size_t job_cell_bytes(enum job_cell cell);
hid_t job_cell_type(enum job_cell cell, bool in_file); /* not to be closed */

/* The length of the file `path` and the XXH3 of what stands behind its head; false where it cannot be read.
 */
bool job_file_digest(const char *path, uint64_t *bytes, uint64_t *digest);

/* Fills in the head of a file of `bytes` with this digest; `head` is all zeros. */
void job_file_head(char head[JOB_FILE_HEAD_BYTES], uint64_t bytes, uint64_t digest);

#endif
