/* A comparison for programs: csv and json hold every column of the summary, under the names of the result
 * file. */
#include "analysis/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a run is, in front of its numbers. */
static const char *const text_columns[] = {"file",  "run",    "status",        "engine",
                                           "trace", "fabric", "fabric_family", "digest"};
enum { TEXT_COLUMN_COUNT = sizeof text_columns / sizeof text_columns[0] };

static const char *text_value(const struct reader_run *run, size_t column)
{
    const char *const values[TEXT_COLUMN_COUNT] = {run->path,  run->name,   run->status,        run->engine,
                                                   run->trace, run->fabric, run->fabric_family, run->digest};
    return values[column];
}

/* Digits enough to read the same number back, no more; `unknown` where there is none. */
static void number_print(double value, bool is_whole, const char *unknown, FILE *out)
{
    char text[40];
    if (!isfinite(value)) {
        fputs(unknown, out);
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    if (is_whole) {
        snprintf(text, sizeof text, "%.0f", value);
    }
    fputs(text, out);
}

/* Whole numbers in full: a double would round those above 2^53. */
static void metric_export(const struct comparison *comparison, const struct metric *metric, size_t run,
                          const char *unknown, FILE *out)
{
    const struct reader_run *from = comparison->runs[run];
    if (from->has_summary && metric->column->type == COLUMN_U64) {
        uint64_t whole;
        memcpy(&whole, (const uint8_t *)&from->summary + metric->column->offset, sizeof whole);
        fprintf(out, "%llu", (unsigned long long)whole);
        return;
    }
    number_print(comparison_value(comparison, metric, run), metric->column->type == COLUMN_U32, unknown, out);
}

/* ---- csv
 * ---------------------------------------------------------------------------------------------------------
 */

static void csv_text(const char *text, FILE *out)
{
    if (strpbrk(text, ",\"\r\n") == NULL) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text != '\0'; text++) {
        fprintf(out, *text == '"' ? "\"\"" : "%c", *text);
    }
    fputc('"', out);
}

static void csv_row(const struct comparison *comparison, size_t run, FILE *out)
{
    for (size_t i = 0; i < TEXT_COLUMN_COUNT; i++) {
        csv_text(text_value(comparison->runs[run], i), out);
        fputc(',', out);
    }
    number_print(comparison->runs[run]->scale, false, "", out);
    for (size_t i = 0; i < comparison->metric_count; i++) {
        fputc(',', out);
        metric_export(comparison, &comparison->metrics[i], run, "", out);
    }
    fputc('\n', out);
}

void compare_csv(const struct comparison *comparison, FILE *out)
{
    for (size_t i = 0; i < TEXT_COLUMN_COUNT; i++) {
        fprintf(out, "%s,", text_columns[i]);
    }
    fputs("scale", out);
    for (size_t i = 0; i < comparison->metric_count; i++) {
        fprintf(out, ",%s", comparison->metrics[i].column->name);
    }
    fputc('\n', out);
    for (size_t run = 0; run < comparison->run_count; run++) {
        csv_row(comparison, run, out);
    }
}

/* ---- json
 * -------------------------------------------------------------------------------------------------------- */

static void json_text(const char *text, FILE *out)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\') {
            fprintf(out, "\\%c", byte);
        } else if (byte < 0x20) {
            fprintf(out, "\\u%04x", byte);
        } else {
            fputc(byte, out);
        }
    }
    fputc('"', out);
}

static void json_run(const struct comparison *comparison, size_t run, FILE *out)
{
    fputs("    {", out);
    for (size_t i = 0; i < TEXT_COLUMN_COUNT; i++) {
        fprintf(out, "\"%s\": ", text_columns[i]);
        json_text(text_value(comparison->runs[run], i), out);
        fputs(", ", out);
    }
    fputs("\"scale\": ", out);
    number_print(comparison->runs[run]->scale, false, "null", out);
    for (size_t i = 0; i < comparison->metric_count; i++) {
        fprintf(out, ",\n     \"%s\": ", comparison->metrics[i].column->name);
        metric_export(comparison, &comparison->metrics[i], run, "null", out);
    }
    fputs("}", out);
}

void compare_json(const struct comparison *comparison, FILE *out)
{
    fputs("{\"baseline\": ", out);
    json_text(comparison->names[comparison->baseline], out);
    fputs(",\n \"runs\": [\n", out);
    for (size_t run = 0; run < comparison->run_count; run++) {
        json_run(comparison, run, out);
        fputs(run + 1 < comparison->run_count ? ",\n" : "\n", out);
    }
    fputs("]}\n", out);
}

/* ---- markdown
 * ---------------------------------------------------------------------------------------------------- */

static void markdown_row(const struct comparison *comparison, const struct metric *metric, FILE *out)
{
    double baseline = comparison_value(comparison, metric, comparison->baseline);
    bool is_baseline_incomplete = comparison_is_incomplete(comparison, metric, comparison->baseline);
    fprintf(out, "| %s |", metric->column->name);
    for (size_t run = 0; run < comparison->run_count; run++) {
        double value = comparison_value(comparison, metric, run);
        fputc(' ', out);
        metric_export(comparison, metric, run, "-", out);
        bool is_incomplete = comparison_is_incomplete(comparison, metric, run);
        if (is_incomplete) {
            fputc(COMPARE_INCOMPLETE, out);
        }
        if (is_incomplete == is_baseline_incomplete && run != comparison->baseline && baseline > 0 && isfinite(value)) {
            fprintf(out, " (%.3gx)", value / baseline);
        }
        fputs(" |", out);
    }
    fputc('\n', out);
}

static void markdown_name(const char *name, FILE *out)
{
    for (; *name != '\0'; name++) {
        fprintf(out, *name == '|' ? "\\%c" : "%c", *name);
    }
}

void compare_markdown(const struct comparison *comparison, FILE *out)
{
    fputs("| |", out);
    for (size_t run = 0; run < comparison->run_count; run++) {
        fputc(' ', out);
        markdown_name(comparison->names[run], out);
        fputs(" |", out);
    }
    fputs("\n|---|", out);
    for (size_t run = 0; run < comparison->run_count; run++) {
        fputs("---:|", out);
    }
    fputc('\n', out);
    for (size_t i = 0; i < comparison->metric_count; i++) {
        markdown_row(comparison, &comparison->metrics[i], out);
    }
}
