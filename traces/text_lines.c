/* The lines of a text file and the words of a line: see text_lines.h. */
#include "traces/text_lines.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PEEK_BYTES_START ((size_t)4096)

enum status text_open(const char *path, struct arena *arena, struct text_lines *lines, struct diag *diag)
{
    *lines = (struct text_lines){.path = path};
    return byte_stream_open(path, arena, &lines->stream, diag);
}

void text_close(struct text_lines *lines)
{
    byte_stream_close(lines->stream);
}

enum status text_read(const char *path, struct arena *arena, struct text_lines *lines,
                      enum status (*lines_read)(void *reading), void *reading, struct diag *diag)
{
    enum status status = text_open(path, arena, lines, diag);
    if (status == STATUS_OK) {
        status = lines_read(reading);
    }
    text_close(lines);
    return status;
}

enum status text_refuse(const struct text_lines *lines, struct diag *diag, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    enum status status =
        diag_input_list(diag, (struct origin){.path = lines->path, .line = lines->line}, "", format, arguments);
    va_end(arguments);
    return status;
}

/* Finds the end of the line that begins at the stream's position; *is_last where the file ends it. */
static enum status line_find(struct text_lines *lines, uint8_t **bytes, size_t *length, bool *is_last,
                             struct diag *diag)
{
    size_t count = 0, seen = 0;
    for (size_t wanted = PEEK_BYTES_START;; wanted *= 2) {
        enum status status = byte_stream_peek(lines->stream, wanted, bytes, &count, diag);
        if (status != STATUS_OK) {
            return status;
        }
        const uint8_t *end = memchr(*bytes + seen, '\n', count - seen);
        *is_last = end == NULL;
        *length = end == NULL ? count : (size_t)(end - *bytes);
        if (end != NULL || count < wanted) {
            return STATUS_OK;
        }
        seen = count;
        if (count > TEXT_LINE_BYTES_MAX) {
            return text_refuse(lines, diag, "is longer than 64 MiB; expected lines of text");
        }
    }
}

static bool is_blank(char letter)
{
    return letter == ' ' || letter == '\t' || letter == '\r' || letter == '\v' || letter == '\f';
}

enum status text_next(struct text_lines *lines, char **line, struct diag *diag)
{
    *line = NULL;
    uint8_t *bytes;
    size_t length;
    bool is_last;
    lines->line++;
    enum status status = line_find(lines, &bytes, &length, &is_last, diag);
    if (status != STATUS_OK || (is_last && length == 0)) {
        return status;
    }
    if (memchr(bytes, 0, length) != NULL) {
        return text_refuse(lines, diag, "holds a zero byte; expected text");
    }
    byte_stream_skip(lines->stream, length + !is_last);
    *line = (char *)bytes;
    while (length > 0 && is_blank((*line)[length - 1])) {
        length--;
    }
    (*line)[length] = '\0';
    return STATUS_OK;
}

bool text_head_line(struct text_head *head, char *word, size_t word_bytes)
{
    size_t used = 0;
    bool is_first = true;
    if (head->at == head->end) {
        return false;
    }
    for (; head->at < head->end && *head->at != '\n'; head->at++) {
        if (is_blank(*head->at)) {
            is_first = used == 0;
        } else if (is_first && used + 1 < word_bytes) {
            word[used++] = *head->at;
        }
    }
    head->at += head->at < head->end;
    word[used] = '\0';
    return true;
}

const char *trace_name(struct arena *arena, const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') {
        length--;
    }
    size_t first = length;
    while (first > 0 && path[first - 1] != '/') {
        first--;
    }
    char *name = arena_strndup(arena, path + first, length - first);
    for (int i = 0; i < 2; i++) {
        char *dot = strrchr(name, '.');
        bool is_packed = dot != NULL && strcmp(dot, ".gz") == 0;
        if (dot != NULL && dot != name) {
            *dot = '\0';
        }
        if (!is_packed) {
            break;
        }
    }
    return name;
}

char *text_word(char **cursor)
{
    char *at = *cursor;
    while (is_blank(*at)) {
        at++;
    }
    char *word = at;
    while (*at != '\0' && !is_blank(*at)) {
        at++;
    }
    if (*at != '\0') {
        *at++ = '\0';
    }
    *cursor = at;
    return *word != '\0' ? word : NULL;
}

bool text_u64(const char *word, uint64_t *value)
{
    uint64_t sum = 0;
    if (word == NULL || *word == '\0') {
        return false;
    }
    for (; *word != '\0'; word++) {
        unsigned digit = (unsigned)(*word - '0');
        if (digit > 9 || __builtin_mul_overflow(sum, 10, &sum) || __builtin_add_overflow(sum, digit, &sum)) {
            return false;
        }
    }
    *value = sum;
    return true;
}

bool text_u32(const char *word, uint32_t *value)
{
    uint64_t wide;
    bool is_good = text_u64(word, &wide) && wide <= UINT32_MAX;
    *value = is_good ? (uint32_t)wide : 0;
    return is_good;
}

bool text_real(const char *word, double *value)
{
    if (word == NULL || ((*word < '0' || *word > '9') && *word != '.')) {
        return false;
    }
    char *end;
    *value = strtod(word, &end);
    return *end == '\0' && isfinite(*value);
}
