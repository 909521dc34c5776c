/* The lines of a text file and the words of a line, for the readers of text traces.
 *
 * Lines end in \n or \r\n; the last may end with the file. Words are parted by blanks and tabs. Both are ended in
 * place in the stream's buffer: they are good until the next line is asked for. A file that holds a zero byte is
 * no text and is refused. */
#ifndef PHOTONET_TRACES_TEXT_LINES_H
#define PHOTONET_TRACES_TEXT_LINES_H

#include "traces/byte_stream.h"

/* A line of a time-independent trace counts the parts of every rank: 16,384 of them take some 200 KiB. */
#define TEXT_LINE_BYTES_MAX ((size_t)64 << 20)

struct text_lines {
    struct byte_stream *stream; /* owned, see text_close */
    const char *path;
    uint32_t line; /* number of the current line, from 1 */
};

enum status text_open(const char *path, struct arena *arena, struct text_lines *lines, struct diag *diag);
void text_close(struct text_lines *lines);
/* Opens, lets `lines_read` read, closes. */
enum status text_read(const char *path, struct arena *arena, struct text_lines *lines,
                      enum status (*lines_read)(void *reading), void *reading, struct diag *diag);

/* The next line without its end and the blanks before it; *line is NULL at the end of the file. */
enum status text_next(struct text_lines *lines, char **line, struct diag *diag);

/* Refuses the current line: "PATH:LINE: WHAT". */
__attribute__((format(printf, 3, 4))) enum status text_refuse(const struct text_lines *lines, struct diag *diag,
                                                               const char *format, ...);

/* The head of a file, for probes: line by line without a copy of it. */
struct text_head {
    const char *at, *end;
};
/* The first word of the next line, cut to fit, "" for an empty line; false at the end of the head. */
bool text_head_line(struct text_head *head, char *word, size_t word_bytes);

/* The last part of a path without its extension (twice where it is .gz): the name of a job. */
const char *trace_name(struct arena *arena, const char *path);

/* The next word of the line, NULL where there is none. */
char *text_word(char **cursor);

/* Whole words: a decimal number without a sign that fits 64 (32) bits; a finite real number, not negative. */
bool text_u64(const char *word, uint64_t *value);
bool text_u32(const char *word, uint32_t *value);
bool text_real(const char *word, double *value);

#endif
