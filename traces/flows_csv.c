/* Reader of flow lists in CSV: what a spreadsheet or a script writes.
 *
 *     src,dst,bytes,start_us              src;dst;size;start            # a comment
 *     0,1,1000000,0                       0;1;1MiB;10us
 *     1,2,1000000,12.5                    1;2;64KiB;0s
 *
 * The first line names the columns, in any order and any case: src (source, from), dst (destination, to),
 * bytes or size, and where wanted start (start_time) and id. Parted by commas, semicolons or tabs, as the
 * first line is;
 * "#" begins a comment line. Units stand in the name of the column (start_us, start[us], "start (us)",
 * size_KiB) or in the values (10us, 64KiB); `bytes` alone is bytes, and a bare number without a unit anywhere
 * is refused.
 *
 * Scope: flows that begin at a time; without the column start all at 0. A start is a timer (flow_list.h).
 * Not modelled: columns of any other name, which are counted as ignored; fields that hold the separator.
 * Checked against: hand-made files in tests/test_flows.c. */
#include "traces/flow_list.h"
#include "traces/text_lines.h"

#include "photonet/units.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum column { COLUMN_SRC, COLUMN_DST, COLUMN_BYTES, COLUMN_START, COLUMN_ID, COLUMN_COUNT, COLUMN_OTHER };

static const struct {
    const char *name;
    enum column column;
    const char *unit; /* where the name alone says it */
} column_names[] = {
    {"src", COLUMN_SRC, NULL},     {"source", COLUMN_SRC, NULL},      {"from", COLUMN_SRC, NULL},
    {"dst", COLUMN_DST, NULL},     {"destination", COLUMN_DST, NULL}, {"to", COLUMN_DST, NULL},
    {"bytes", COLUMN_BYTES, "B"},  {"size", COLUMN_BYTES, NULL},      {"start_time", COLUMN_START, NULL},
    {"start", COLUMN_START, NULL}, {"id", COLUMN_ID, NULL},
};

#define FIELDS_MAX 64
#define UNIT_BYTES 8

struct reading {
    struct text_lines lines;
    struct arena *scratch;
    struct diag *diag;
    char separator;
    uint32_t field_count;
    enum column column[FIELDS_MAX];
    char unit[COLUMN_COUNT][UNIT_BYTES];
    bool has[COLUMN_COUNT];
    uint64_t other_count;
    struct flow *flows;
    size_t flow_count, flow_capacity;
    uint32_t rank_max;
    const char *line_begin;
};

__attribute__((format(printf, 3, 4))) static enum status field_refuse(const struct reading *reading,
                                                                      const char *field, const char *format,
                                                                      ...)
{
    struct origin at = {reading->lines.path, reading->lines.line,
                        (uint32_t)(field - reading->line_begin) + 1};
    va_list arguments;
    va_start(arguments, format);
    enum status status = diag_input_list(reading->diag, at, "", format, arguments);
    va_end(arguments);
    return status;
}

/* The next field without quotes and blanks around it; NULL behind the last. */
static char *field_next(char **cursor, char separator)
{
    if (*cursor == NULL) {
        return NULL;
    }
    char *field = *cursor + strspn(*cursor, separator == '\t' ? " " : " \t");
    char *end = strchr(field, separator);
    *cursor = end == NULL ? NULL : end + 1;
    end = end == NULL ? field + strlen(field) : end;
    while (end > field && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }
    if (end - field >= 2 && *field == '"' && end[-1] == '"') {
        field++;
        end--;
    }
    *end = '\0';
    return field;
}

/* ---- the first line ---------------------------------------------------------------------------------- */

/* Whether `field` is `name`, alone or with a unit behind it; the unit without what surrounds it. */
static bool column_matches(const char *field, const char *name, char unit[UNIT_BYTES])
{
    size_t length = strlen(name);
    if (strncasecmp(field, name, length) != 0) {
        return false;
    }
    const char *rest = field + length, *begin = rest + strspn(rest, "_ [(");
    size_t used = strcspn(begin, "])");
    if ((begin == rest && *rest != '\0') || used >= UNIT_BYTES || (begin != rest && used == 0)) {
        return false;
    }
    memcpy(unit, begin, used);
    unit[used] = '\0';
    return true;
}

static enum status column_add(struct reading *reading, const char *field)
{
    enum column found = COLUMN_OTHER;
    char unit[UNIT_BYTES] = "";
    for (size_t i = 0; i < sizeof column_names / sizeof column_names[0] && found == COLUMN_OTHER; i++) {
        if (column_matches(field, column_names[i].name, unit)) {
            found = column_names[i].column;
            if (unit[0] == '\0' && column_names[i].unit != NULL) {
                strcpy(unit, column_names[i].unit);
            }
        }
    }
    if (reading->field_count == FIELDS_MAX) {
        return field_refuse(reading, field, "column number %d; expected at most %d", FIELDS_MAX + 1,
                            FIELDS_MAX);
    }
    if (found != COLUMN_OTHER && reading->has[found]) {
        return field_refuse(reading, field, "column \"%.40s\" is named twice; expected once", field);
    }
    reading->column[reading->field_count++] = found;
    if (found == COLUMN_OTHER) {
        reading->other_count++;
        return STATUS_OK;
    }
    reading->has[found] = true;
    memcpy(reading->unit[found], unit, sizeof unit);
    return STATUS_OK;
}

static enum status head_read(struct reading *reading, char *line)
{
    size_t place = strcspn(line, ",;\t");
    reading->separator = line[place] == '\0' ? ',' : line[place];
    enum status status = STATUS_OK;
    for (char *cursor = line, *field;
         status == STATUS_OK && (field = field_next(&cursor, reading->separator)) != NULL;) {
        status = column_add(reading, field);
    }
    if (status == STATUS_OK &&
        (!reading->has[COLUMN_SRC] || !reading->has[COLUMN_DST] || !reading->has[COLUMN_BYTES])) {
        status = text_refuse(&reading->lines, reading->diag,
                             "the first line names no %s; expected columns like src,dst,bytes,start_us",
                             !reading->has[COLUMN_SRC]   ? "src"
                             : !reading->has[COLUMN_DST] ? "dst"
                                                         : "bytes");
    }
    return status;
}

/* ---- flows ------------------------------------------------------------------------------------------- */

static enum status quantity_read(const struct reading *reading, enum column column, const char *field,
                                 enum quantity quantity, uint64_t *value)
{
    char text[64], why[160];
    size_t length = strlen(field);
    bool is_bare = length > 0 && (isdigit((unsigned char)field[length - 1]) || field[length - 1] == '.');
    snprintf(text, sizeof text, "%.40s%s", field, is_bare ? reading->unit[column] : "");
    if (length > 40 || !quantity_parse_u64(quantity, text, value, why)) {
        return field_refuse(reading, field, "\"%.40s\" %s", field,
                            length > 40 ? "is too long for a number" : why);
    }
    if (*value > UINT64_MAX >> 4) {
        return field_refuse(reading, field, "\"%.40s\" is too much; expected less than 2^60", field);
    }
    return STATUS_OK;
}

static enum status field_read(struct reading *reading, enum column column, const char *field,
                              struct flow *flow)
{
    switch (column) {
    case COLUMN_SRC:
    case COLUMN_DST: {
        uint32_t *rank = column == COLUMN_SRC ? &flow->src : &flow->dst;
        if (!text_u32(field, rank) || *rank >= TRACE_RANKS_MAX) {
            return field_refuse(reading, field, "\"%.40s\" is no rank; expected a number below %u", field,
                                TRACE_RANKS_MAX);
        }
        reading->rank_max = *rank > reading->rank_max ? *rank : reading->rank_max;
        return STATUS_OK;
    }
    case COLUMN_BYTES:
        return quantity_read(reading, column, field, QUANTITY_SIZE, &flow->bytes);
    case COLUMN_START:
        return quantity_read(reading, column, field, QUANTITY_TIME, &flow->start_ps);
    case COLUMN_ID:
        return text_u64(field, &flow->id)
                   ? STATUS_OK
                   : field_refuse(reading, field, "\"%.40s\" is no id; expected a whole number", field);
    default:
        return STATUS_OK;
    }
}

static enum status row_read(struct reading *reading, char *line)
{
    struct flow flow = {.id = reading->lines.line, .trigger = ID_NONE};
    uint32_t count = 0;
    enum status status = STATUS_OK;
    for (char *cursor = line, *field;
         status == STATUS_OK && (field = field_next(&cursor, reading->separator)) != NULL; count++) {
        if (count < reading->field_count) {
            status = field_read(reading, reading->column[count], field, &flow);
        }
    }
    if (status == STATUS_OK && count != reading->field_count) {
        status =
            text_refuse(&reading->lines, reading->diag, "has %u fields; expected %u, as the first line has",
                        count, reading->field_count);
    }
    if (status == STATUS_OK && reading->flow_count >= ID_NONE - 1) {
        status = text_refuse(&reading->lines, reading->diag, "too many flows; expected fewer than 2^32");
    }
    if (status == STATUS_OK) {
        vec_push(reading->scratch, reading->flows, reading->flow_count, reading->flow_capacity) = flow;
    }
    return status;
}

static enum status lines_read(void *context)
{
    struct reading *reading = context;
    enum status status;
    char *line;
    while ((status = text_next(&reading->lines, &line, reading->diag)) == STATUS_OK && line != NULL) {
        if (reading->lines.line == 1 && strncmp(line, "\xef\xbb\xbf", 3) == 0) {
            line += 3; /* the mark that spreadsheets put before UTF-8 */
        }
        reading->line_begin = line;
        if (line[0] == '\0' || line[0] == '#') {
            continue;
        }
        status = reading->field_count == 0 ? head_read(reading, line) : row_read(reading, line);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return status;
}

/* ---- the whole --------------------------------------------------------------------------------------- */

static enum status job_make(struct reading *reading, const struct trace_source *source, struct arena *arena,
                            const struct job **job)
{
    struct origin at = {.path = reading->lines.path};
    if (reading->flow_count == 0) {
        return diag_input(reading->diag, at, "holds no flow; expected a line of names and flows below it");
    }
    if (source->ranks != 0 && (source->ranks <= reading->rank_max || source->ranks > TRACE_RANKS_MAX)) {
        return diag_input(reading->diag, at, "names rank %u, but --ranks asks for %u; expected %u to %u",
                          reading->rank_max, source->ranks, reading->rank_max + 1, TRACE_RANKS_MAX);
    }
    struct flow_list list = {.path = reading->lines.path,
                             .rank_count = source->ranks != 0 ? source->ranks : reading->rank_max + 1,
                             .flows = reading->flows,
                             .flow_count = reading->flow_count};
    struct job_builder *builder =
        job_builder_new(arena, trace_name(arena, source->path), "flows_csv", list.rank_count);
    if (reading->other_count > 0) {
        job_builder_note(builder, "columns of other names", "ignored", reading->other_count, 0);
    }
    if (!reading->has[COLUMN_START]) {
        job_builder_note(builder, "flows without a start time", "start at 0", reading->flow_count, 0);
    }
    enum status status = flow_list_build(&list, builder, reading->diag);
    return status == STATUS_OK ? job_builder_finish(builder, job, reading->diag) : status;
}

static enum status csv_read(const struct trace_source *source, struct arena *arena, const struct job **job,
                            struct diag *diag)
{
    struct reading reading = {.scratch = arena_new_within(arena, "a CSV of flows"), .diag = diag};
    enum status status = text_read(source->path, reading.scratch, &reading.lines, lines_read, &reading, diag);
    if (status == STATUS_OK) {
        status = job_make(&reading, source, arena, job);
    }
    arena_free(reading.scratch);
    return status;
}

/* The first line that is no comment names a source, a destination and a size. */
static bool csv_probe(const char *path, const uint8_t *head, size_t head_bytes)
{
    struct diag diag;
    (void)path;
    const char *at = (const char *)head, *end = at + head_bytes;
    if (head_bytes >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0) {
        at += 3;
    }
    while (at < end && (*at == '#' || *at == '\n' || *at == '\r')) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        at = newline == NULL ? end : newline + 1;
    }
    const char *newline = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
    size_t length = (size_t)((newline == NULL ? end : newline) - at);
    if (length == 0 || length >= 1024 || memchr(at, 0, length) != NULL) {
        return false;
    }
    char line[1024];
    memcpy(line, at, length);
    line[length] = '\0';
    line[strcspn(line, "\r")] = '\0';
    struct reading reading = {.diag = &diag, .line_begin = line};
    return head_read(&reading, line) == STATUS_OK;
}

const struct trace_format trace_format_flows_csv = {
    .name = "flows_csv",
    .summary = "flow lists in CSV: src,dst,bytes,start with units in the names or the values",
    .params = PARAM_TABLE_EMPTY,
    .probe = csv_probe,
    .read = csv_read,
};
