/* Protobuf on the wire, field by field, without a copy: what the readers of nodes are made of.
 *
 * protobuf-c builds a tree of structs for every node and takes four fifths of the time to read a trace of
 * small nodes (measured: 61 of 79 instructions a byte); nodes are decoded in place instead. It still reads
 * the metadata and writes files. */
#ifndef PHOTONET_TRACES_CHAKRA_WIRE_H
#define PHOTONET_TRACES_CHAKRA_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct wire_span {
    const uint8_t *at, *end;
};

struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t value;         /* of numbers, as they stand */
    struct wire_span bytes; /* of WIRE_BYTES */
};

static inline bool wire_varint(struct wire_span *span, uint64_t *value)
{
    if (span->at < span->end && *span->at < 0x80) { /* as most are */
        *value = *span->at++;
        return true;
    }
    uint64_t sum = 0;
    for (unsigned shift = 0; shift < 70 && span->at < span->end; shift += 7) {
        uint8_t byte = *span->at++;
        sum |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
        if (byte < 0x80) {
            *value = sum;
            return true;
        }
    }
    return false;
}

static inline bool wire_fixed(struct wire_span *span, size_t bytes, uint64_t *value)
{
    if ((size_t)(span->end - span->at) < bytes) {
        return false;
    }
    *value = 0;
    for (size_t i = 0; i < bytes; i++) {
        *value |= (uint64_t)span->at[i] << (8 * i);
    }
    span->at += bytes;
    return true;
}

/* The next field of a message; false where the bytes are none. Ask only while at < end. */
static inline bool wire_next(struct wire_span *span, struct wire_field *field)
{
    uint64_t tag, length;
    *field = (struct wire_field){.number = 0};
    if (!wire_varint(span, &tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX) {
        return false;
    }
    field->number = (uint32_t)(tag >> 3);
    field->type = (enum wire_type)(tag & 7);
    switch (field->type) {
    case WIRE_VARINT:
        return wire_varint(span, &field->value);
    case WIRE_FIXED64:
        return wire_fixed(span, 8, &field->value);
    case WIRE_FIXED32:
        return wire_fixed(span, 4, &field->value);
    case WIRE_BYTES:
        if (!wire_varint(span, &length) || length > (uint64_t)(span->end - span->at)) {
            return false;
        }
        field->bytes = (struct wire_span){span->at, span->at + length};
        span->at += length;
        return true;
    default:
        return false;
    }
}

static inline size_t wire_bytes(struct wire_span span)
{
    return (size_t)(span.end - span.at);
}

static inline bool wire_is(struct wire_span span, const char *text, size_t bytes)
{
    return wire_bytes(span) == bytes && memcmp(span.at, text, bytes) == 0;
}
#define WIRE_IS(span_, text_) wire_is((span_), (text_), sizeof(text_) - 1)

#endif
