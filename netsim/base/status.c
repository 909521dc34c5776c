/* Formats the one line that explains a failure. */
#include "photonet/status.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Part of the text comes from input files; a newline or an escape sequence in it must not reach the terminal.
 */
static void control_characters_replace(char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte < 0x20 || byte == 0x7f) {
            *text = '?';
        }
    }
}

/* How long the UTF-8 sequence is that `lead` begins. */
static size_t character_bytes(unsigned char lead)
{
    return lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
}

/* Truncation may cut a UTF-8 sequence in half; the half is taken away. */
static void partial_character_cut(char *text, size_t length)
{
    for (size_t tail = 1; tail <= 3 && tail <= length; tail++) {
        unsigned char byte = (unsigned char)text[length - tail];
        if ((byte & 0xc0) != 0x80) {
            if (character_bytes(byte) > tail) {
                text[length - tail] = '\0';
            }
            return;
        }
    }
}

/* Writes behind the first `used` bytes; `format` may run out of room, which only shortens the line. */
__attribute__((format(printf, 3, 0))) static void text_write(struct diag *diag, size_t used,
                                                             const char *format, va_list arguments)
{
    int length = vsnprintf(diag->text + used, DIAG_BYTES - used, format, arguments);
    if (length < 0) {
        diag->text[used] = '\0';
    } else if ((size_t)length >= DIAG_BYTES - used) {
        partial_character_cut(diag->text, DIAG_BYTES - 1);
    }
    control_characters_replace(diag->text);
}

enum status diag_set(struct diag *diag, enum status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    text_write(diag, 0, format, arguments);
    va_end(arguments);
    return status;
}

/* A path longer than half the line would push the explanation out; its end tells more than its start. */
static size_t origin_print(char *text, struct origin at)
{
    size_t path_max = DIAG_BYTES / 2;
    const char *path = at.path != NULL ? at.path : "input";
    size_t path_bytes = 0;
    while (path[path_bytes] != '\0') {
        path_bytes++;
    }
    const char *shown = path_bytes > path_max ? path + path_bytes - path_max : path;
    int used = snprintf(text, DIAG_BYTES, "%s%s", shown == path ? "" : "...", shown);
    if (at.line > 0) {
        used += snprintf(text + used, DIAG_BYTES - (size_t)used, ":%" PRIu32, at.line);
    }
    if (at.line > 0 && at.column > 0) {
        used += snprintf(text + used, DIAG_BYTES - (size_t)used, ":%" PRIu32, at.column);
    }
    used += snprintf(text + used, DIAG_BYTES - (size_t)used, ": ");
    return (size_t)used;
}

enum status diag_input_list(struct diag *diag, struct origin at, const char *before, const char *format,
                            va_list arguments)
{
    size_t used = origin_print(diag->text, at), room = DIAG_BYTES - used;
    size_t bytes = strnlen(before, room - 1);
    memcpy(diag->text + used, before, bytes);
    text_write(diag, used + bytes, format, arguments);
    return STATUS_INPUT;
}

enum status diag_input(struct diag *diag, struct origin at, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    enum status status = diag_input_list(diag, at, "", format, arguments);
    va_end(arguments);
    return status;
}
