/* The columns of a job file: see job_file.h. */
#include "traces/job_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <xxhash.h>

#define COLUMN(group_, name_, dimension_, cell_, unit_, field_, meaning_)                                    \
    {                                                                                                        \
        group_, name_, JOB_##dimension_, JOB_CELL_##cell_, unit_, meaning_,                                  \
            offsetof(struct job_table, field_)                                                               \
    }

const struct job_column job_columns[] = {
    COLUMN("program", "first_operation", PROGRAMS, U64, "1", program_operation,
           "row of operation/* where the program begins; the last row is the number of operations"),
    COLUMN("program", "first_dependency", PROGRAMS, U64, "1", program_dependency,
           "row of dependency/on where the program begins"),
    COLUMN("program", "first_name", PROGRAMS, U64, "1", program_name,
           "byte of text/program where the names of the program's operations begin"),
    COLUMN("operation", "kind", OPERATIONS, U8, "1", kind,
           "0 compute, 1 collective, 2 send, 3 receive, 4 memory access, 5 marker without work"),
    COLUMN("operation", "collective", OPERATIONS, U8, "1", collective,
           "of a collective, as in Chakra: 0 all_reduce, 1 reduce, 2 all_gather, 3 gather, 4 scatter, 5 "
           "broadcast, "
           "6 all_to_all, 7 reduce_scatter, 9 barrier"),
    COLUMN("operation", "stream", OPERATIONS, U16, "1", stream,
           "operations of one stream run one at a time; 0 is compute, 65535 is none"),
    COLUMN("operation", "duration_ps", OPERATIONS, U64, "ps", duration_ps,
           "of computations and memory accesses"),
    COLUMN("operation", "bytes", OPERATIONS, U64, "B", bytes,
           "of a message; of a collective what one rank puts in; of a memory access"),
    COLUMN("operation", "peer_delta", OPERATIONS, I32, "1", peer_delta,
           "of a send or receive: the other rank is (own rank + this) modulo the number of ranks"),
    COLUMN("operation", "group_slot", OPERATIONS, U32, "1", group_slot,
           "of a collective: which of the rank's groups, counted from rank/first_group"),
    COLUMN("operation", "root", OPERATIONS, U32, "1", root,
           "of a collective with a root: position in the group"),
    COLUMN("operation", "pairs", OPERATIONS, U32, "1", pairs,
           "of an all-to-all with unequal parts: the row of pair_table/* and one more; else 0"),
    COLUMN("operation", "tag", OPERATIONS, U32, "1", tag,
           "of a send or receive: equal (source, destination, tag) match in order"),
    COLUMN("operation", "source_id", OPERATIONS, U64, "1", source_id,
           "node id or line in the trace it was read from"),
    COLUMN("operation", "name", OPERATIONS, U32, "B", name,
           "byte of the program's names where the name begins"),
    COLUMN("operation", "dep_first", OPERATION_ENDS, U64, "1", dep_first,
           "row of dependency/on where those of the operation begin; the next row's is where they end"),
    COLUMN("dependency", "on", DEPENDENCIES, U32, "1", dep,
           "position within the program of an operation that must have finished"),
    COLUMN("rank", "program", RANKS, U32, "1", rank_program, "the program that the rank runs"),
    COLUMN("rank", "first_group", RANK_ENDS, U64, "1", rank_first_group,
           "row of rank_group/group where the rank's groups begin"),
    COLUMN("rank_group", "group", RANK_GROUPS, U32, "1", rank_group, "a group of the rank"),
    COLUMN("group", "first_member", GROUP_ENDS, U64, "1", group_first_member,
           "row of member/rank where the members of the group begin"),
    COLUMN("group", "name", GROUPS, U64, "B", group_name, "byte of text/group where the name begins"),
    COLUMN("member", "rank", MEMBERS, U32, "1", member, "members of all groups, in ring order"),
    COLUMN("pair_table", "members", PAIR_TABLES, U32, "1", pair_members,
           "members of the all-to-all that the table is for; its members * members rows of pair/bytes follow "
           "those of "
           "the table before"),
    COLUMN("pair", "bytes", PAIRS, U64, "B", pair_bytes,
           "what member `row` sends to member `column`, row by row"),
    COLUMN("note", "count", NOTES, U64, "1", note_count, "import report: how often it was met"),
    COLUMN("note", "bytes", NOTES, U64, "B", note_bytes,
           "import report: bytes concerned, 0 where it makes no sense"),
    COLUMN("note", "what", NOTES, U64, "B", note_what, "byte of text/note: what was met"),
    COLUMN("note", "action", NOTES, U64, "B", note_action, "byte of text/note: what was done about it"),
    COLUMN("text", "program", TEXT_PROGRAM, U8, "1", text_program, "names of operations, each ended by 0"),
    COLUMN("text", "group", TEXT_GROUP, U8, "1", text_group, "names of groups, each ended by 0"),
    COLUMN("text", "note", TEXT_NOTE, U8, "1", text_note, "texts of the import report, each ended by 0"),
    {.name = NULL},
};

size_t job_cell_bytes(enum job_cell cell)
{
    static const uint8_t bytes[] = {
        [JOB_CELL_U8] = 1, [JOB_CELL_U16] = 2, [JOB_CELL_U32] = 4, [JOB_CELL_U64] = 8, [JOB_CELL_I32] = 4};
    return bytes[cell];
}

hid_t job_cell_type(enum job_cell cell, bool in_file)
{
    switch (cell) {
    case JOB_CELL_U8:
        return in_file ? H5T_STD_U8LE : H5T_NATIVE_UINT8;
    case JOB_CELL_U16:
        return in_file ? H5T_STD_U16LE : H5T_NATIVE_UINT16;
    case JOB_CELL_U32:
        return in_file ? H5T_STD_U32LE : H5T_NATIVE_UINT32;
    case JOB_CELL_I32:
        return in_file ? H5T_STD_I32LE : H5T_NATIVE_INT32;
    default:
        return in_file ? H5T_STD_U64LE : H5T_NATIVE_UINT64;
    }
}

bool job_file_digest(const char *path, uint64_t *bytes, uint64_t *digest)
{
    enum { BLOCK_BYTES = 1 << 18 };
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return false;
    }
    struct arena *scratch = arena_new("digest of a job file");
    uint8_t *block = arena_alloc(scratch, BLOCK_BYTES);
    XXH3_state_t *state = XXH3_createState();
    XXH3_64bits_reset(state);
    *bytes = 0;
    for (size_t got; (got = fread(block, 1, BLOCK_BYTES, file)) > 0; *bytes += got) {
        size_t head = *bytes > 0 ? 0 : got < JOB_FILE_HEAD_BYTES ? got : JOB_FILE_HEAD_BYTES;
        XXH3_64bits_update(state, block + head, got - head);
    }
    *digest = XXH3_64bits_digest(state);
    bool is_good = ferror(file) == 0;
    XXH3_freeState(state);
    arena_free(scratch);
    fclose(file);
    return is_good;
}

void job_file_head(char head[JOB_FILE_HEAD_BYTES], uint64_t bytes, uint64_t digest)
{
    snprintf(head, JOB_FILE_HEAD_BYTES, JOB_FILE_MAGIC "%d %" PRIu64 " %016" PRIx64 "\n", JOB_FILE_VERSION,
             bytes, digest);
}
