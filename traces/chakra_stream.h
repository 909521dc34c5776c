/* The records of a Chakra file, one after the other, in constant memory.
 *
 * A file is a row of records, each a base-128 length of at most 32 bits and that many bytes of protobuf; there is
 * no magic, count, trailer or checksum. A gzip file is unpacked on the way: no plain file can be taken for one,
 * since its first record would be 31 bytes long and begin with the impossible tag 0x8b.
 *
 *     byte_stream [ ...done... | record | read ahead ]      grows to the largest record
 *                                   │
 *                               protobuf-c ──► scratch, emptied before every record
 *
 * Invariants:
 *   1. A record lies in one piece in the buffer until the next call.
 *   2. The scratch is bounded: a record that unpacks into more is refused, not served. */
#ifndef PHOTONET_TRACES_CHAKRA_STREAM_H
#define PHOTONET_TRACES_CHAKRA_STREAM_H

#include "photonet/arena.h"
#include "photonet/status.h"

#include <protobuf-c/protobuf-c.h>
#include <stdint.h>

/* The longest record seen in the wild is some hundred KiB (a workload text in the metadata); one node with a
 * million dependencies is 5 MiB. */
#define CHAKRA_RECORD_BYTES_MAX (UINT32_C(32) << 20)

struct chakra_stream;

enum status chakra_stream_open(const char *path, struct arena *arena, struct chakra_stream **stream,
                               struct diag *diag);
void chakra_stream_close(struct chakra_stream *stream); /* NULL is allowed */

/* The next record; *record is NULL at the end of the file. */
enum status chakra_stream_next(struct chakra_stream *stream, const uint8_t **record, uint32_t *record_bytes,
                               struct diag *diag);

/* The first bytes of the file, up to `wanted`, without consuming them. Before the first record only. */
enum status chakra_stream_head(struct chakra_stream *stream, size_t wanted, const uint8_t **head,
                               size_t *head_bytes, struct diag *diag);

/* Refuses the current record: "PATH: record 12 at byte 3456: WHAT". */
enum status chakra_stream_refuse(const struct chakra_stream *stream, struct diag *diag, const char *what);

/* Number of the current record, from 0 for the metadata. */
uint64_t chakra_stream_record(const struct chakra_stream *stream);

/* An allocator for protobuf-c's unpack functions. Empties the scratch: what the last record was unpacked into
 * is gone. One malloc a field would bound the reading speed; this is an addition. */
ProtobufCAllocator *chakra_stream_scratch(struct chakra_stream *stream);

#endif
