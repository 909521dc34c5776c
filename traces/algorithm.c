/* Which reader a file of a collective algorithm is for. */
#include "traces/algorithm.h"

#include "traces/byte_stream.h"

#include <sys/stat.h>

#define HEAD_BYTES 4096

static enum status head_look(const char *path, bool *is_xml, struct diag *diag)
{
    struct arena *scratch = arena_new("head of a collective algorithm");
    struct byte_stream *stream;
    uint8_t *bytes;
    size_t count;
    enum status status = byte_stream_open(path, scratch, &stream, diag);
    status = status == STATUS_OK ? byte_stream_peek(stream, HEAD_BYTES, &bytes, &count, diag) : status;
    *is_xml = status == STATUS_OK && msccl_head_is_xml(bytes, count < HEAD_BYTES ? count : HEAD_BYTES);
    byte_stream_close(stream);
    arena_free(scratch);
    return status;
}

enum status custom_read(const char *path, struct arena *arena, const struct custom_collective **custom, struct diag *diag)
{
    struct stat info;
    bool is_file = stat(path, &info) == 0 && !S_ISDIR(info.st_mode), is_xml = false;
    enum status status = is_file ? head_look(path, &is_xml, diag) : STATUS_OK;
    if (status != STATUS_OK) {
        return status;
    }
    if (is_file && !is_xml) {
        return diag_input(diag, (struct origin){.path = path}, "is no XML of MSCCL (<algo ...>); Chakra traces are named by the "
                          "prefix of PREFIX.0.et, PREFIX.1.et, ..., one a rank of the algorithm");
    }
    return is_xml ? msccl_read(path, arena, custom, diag) : chakra_collective_read(path, arena, custom, diag);
}
