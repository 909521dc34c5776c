/* A comparison for people: readable units, ratios to the baseline, the best value marked, definitions below.
 *
 * Few runs stand as columns under each other's metrics; many stand as rows with the key metrics only. */
#include "analysis/compare.h"

#include <math.h>
#include <string.h>

enum {
    RUN_COLUMNS_MAX = 6, /* more do not fit into COMPARE_WIDTH */
    VALUE_WIDTH = 6,     /* a blank and five characters */
    RATIO_WIDTH = 6,
    BASELINE_WIDTH = VALUE_WIDTH + 4,          /* value, mark, and room for the heading */
    RUN_WIDTH = VALUE_WIDTH + 1 + RATIO_WIDTH, /* value, mark, ratio */
    UNIT_WIDTH = 6,
    LABEL_WIDTH_MIN = 15,
    KEY_WIDTH = 8,
    HEADING_LINES_MAX = 4,
};

/* ---- numbers
 * ----------------------------------------------------------------------------------------------------- */

static double value_largest(const struct comparison *comparison, const struct metric *metric)
{
    double largest = 0;
    for (size_t run = 0; run < comparison->run_count; run++) {
        largest =
            fmax(largest, comparison_value(comparison, metric, run)); /* fmax passes over not-a-number */
    }
    return largest;
}

static struct metric_unit unit_of(const struct comparison *comparison, const struct metric *metric)
{
    double smallest = value_largest(comparison, metric);
    for (size_t run = 0; run < comparison->run_count; run++) {
        double value = comparison_value(comparison, metric, run);
        smallest = value > 0 && value < smallest ? value : smallest;
    }
    return metric_unit_for(metric, smallest, value_largest(comparison, metric));
}

static bool is_whole(const struct metric *metric, struct metric_unit unit)
{
    return metric->column->type != COLUMN_F64 && unit.factor >= 1.0;
}

/* The best value among the runs that ended well and left nothing out, as it is printed, so that values which look equal are marked
 * alike; "" where all look equal, or where the best is nothing at all, which needs no mark. */
static void best_find(const struct comparison *comparison, const struct metric *metric,
                      struct metric_unit unit, char best[16])
{
    double lowest = (double)INFINITY, highest = -(double)INFINITY;
    char low[16], high[16];
    for (size_t run = 0; run < comparison->run_count; run++) {
        if (strcmp(comparison->runs[run]->status, "complete") == 0 &&
            !comparison_is_incomplete(comparison, metric, run)) {
            double value = comparison_value(comparison, metric, run);
            lowest = fmin(lowest, value);
            highest = fmax(highest, value);
        }
    }
    best[0] = '\0';
    metric_print(lowest * unit.factor, is_whole(metric, unit), low);
    metric_print(highest * unit.factor, is_whole(metric, unit), high);
    if (lowest < highest && strcmp(low, high) != 0 && metric->better != BETTER_NEITHER) {
        bool is_low = metric->better == BETTER_LOW;
        strcpy(best, (is_low ? lowest : highest) > 0 ? (is_low ? low : high) : "");
    }
}

static void value_put(const struct comparison *comparison, const struct metric *metric, size_t run, const char *best,
                      struct metric_unit unit, FILE *out)
{
    char text[16];
    metric_print(comparison_value(comparison, metric, run) * unit.factor, is_whole(metric, unit), text);
    bool is_incomplete = comparison_is_incomplete(comparison, metric, run);
    fprintf(out, "%*s%c", VALUE_WIDTH, text, is_incomplete ? COMPARE_INCOMPLETE : strcmp(text, best) == 0 ? '*' : ' ');
}

static void ratio_put(double value, double baseline, int width, FILE *out)
{
    double ratio = value / baseline;
    char text[16] = "";
    if (value == baseline) {
        strcpy(text, "=");
    } else if (isfinite(ratio) && baseline > 0) {
        if (ratio >= 9999.5) {
            strcpy(text, ">9999x");
        } else {
            snprintf(text, sizeof text, "%.*fx", ratio < 9.995 ? 2 : ratio < 99.95 ? 1 : 0, ratio);
        }
    }
    fprintf(out, "%*s", width, text);
}

/* ---- text
 * -------------------------------------------------------------------------------------------------------- */

/* How much of `text` goes on a line of `width`: up to the last '-', '_', '.', ':', '/' or blank that fits. */
static size_t line_length(const char *text, size_t width)
{
    size_t length = strlen(text);
    if (length <= width) {
        return length;
    }
    for (size_t i = width; i > 1; i--) {
        if (strchr("-_.:/ ", text[i - 1]) != NULL) {
            return i;
        }
    }
    return width;
}

static void wrapped_put(const char *text, size_t indent, FILE *out)
{
    size_t width = COMPARE_WIDTH - indent;
    while (*text != '\0') {
        size_t length = line_length(text, width), printed = length;
        while (printed > 0 && text[printed - 1] == ' ') {
            printed--;
        }
        fprintf(out, "%.*s\n", (int)printed, text);
        text += length + (text[length] == ' ');
        if (*text != '\0') {
            fprintf(out, "%*s", (int)indent, "");
        }
    }
}

static bool is_same_text(const struct comparison *comparison, size_t offset)
{
    const char *first, *other;
    memcpy(&first, (const char *)comparison->runs[0] + offset, sizeof first);
    for (size_t run = 1; run < comparison->run_count; run++) {
        memcpy(&other, (const char *)comparison->runs[run] + offset, sizeof other);
        if (strcmp(first, other) != 0) {
            return false;
        }
    }
    return true;
}

static bool is_same_scale(const struct comparison *comparison)
{
    for (size_t run = 1; run < comparison->run_count; run++) {
        if (comparison->runs[run]->scale != comparison->runs[0]->scale) {
            return false;
        }
    }
    return true;
}

static void head_put(const struct comparison *comparison, FILE *out)
{
    size_t offset = offsetof(struct reader_run, trace);
    bool is_same = is_same_text(comparison, offset) && is_same_scale(comparison);
    const struct reader_run *first = comparison->runs[0];
    char line[2048] = "", scaled[64] = "";
    if (is_same && first->scale != 1.0) {
        snprintf(scaled, sizeof scaled, ", scaled to %.3g of the full step", first->scale);
    }
    snprintf(line, sizeof line, "%zu run%s%s%.900s%s%s%.900s%s", comparison->run_count,
             comparison->run_count == 1 ? "" : "s", is_same && first->trace[0] != '\0' ? " of " : "",
             is_same ? first->trace : "", scaled, comparison->run_count > 1 ? "; ratios to " : "",
             comparison->run_count > 1 ? comparison->names[comparison->baseline] : "",
             comparison->run_count > 1 ? ", * best, = equal" : "");
    wrapped_put(line, 0, out);
    if (!is_same) {
        fputs("note: the runs replay different jobs; ratios and marks compare unlike things\n", out);
    }
}

/* ---- runs as columns
 * --------------------------------------------------------------------------------------------- */

struct layout {
    const struct comparison *comparison;
    int label_width;
};

static int column_width(const struct layout *layout, size_t run)
{
    return run == layout->comparison->baseline ? BASELINE_WIDTH : RUN_WIDTH;
}

static void headings_put(const struct layout *layout, FILE *out)
{
    const struct comparison *comparison = layout->comparison;
    const char *rest[RUN_COLUMNS_MAX];
    for (size_t run = 0; run < comparison->run_count; run++) {
        rest[run] = comparison->names[run];
    }
    bool is_more = true;
    for (int line = 0; line < HEADING_LINES_MAX && is_more; line++) {
        fprintf(out, "%*s", layout->label_width + UNIT_WIDTH, "");
        is_more = false;
        for (size_t run = 0; run < comparison->run_count; run++) {
            int width = column_width(layout, run) - 1;
            int length = (int)line_length(rest[run], (size_t)width);
            fprintf(out, " %*.*s", width, length, rest[run]);
            rest[run] += length;
            is_more = is_more || *rest[run] != '\0';
        }
        fputc('\n', out);
    }
}

/* A row of texts, for what differs between the runs or is out of the ordinary; a long one begins left of its column. */
static void texts_put(const struct layout *layout, const char *label, size_t offset, FILE *out)
{
    int at = fprintf(out, "%s", label), end = layout->label_width + UNIT_WIDTH;
    for (size_t run = 0; run < layout->comparison->run_count; run++) {
        const char *text;
        memcpy(&text, (const char *)layout->comparison->runs[run] + offset, sizeof text);
        int length = (int)strnlen(text, RUN_WIDTH - 1);
        end += column_width(layout, run);
        int blanks = end - at - length;
        at += fprintf(out, "%*s%.*s", blanks > 1 ? blanks : 1, "", length, text);
    }
    fputc('\n', out);
}

static void metric_put(const struct layout *layout, const struct metric *metric, FILE *out)
{
    const struct comparison *comparison = layout->comparison;
    double baseline = comparison_value(comparison, metric, comparison->baseline);
    bool is_baseline_incomplete = comparison_is_incomplete(comparison, metric, comparison->baseline);
    struct metric_unit unit = unit_of(comparison, metric);
    char best[16];
    best_find(comparison, metric, unit, best);
    fprintf(out, "  %-*s%*s", layout->label_width - 2, metric->label, UNIT_WIDTH, unit.name);
    for (size_t run = 0; run < comparison->run_count; run++) {
        double value = comparison_value(comparison, metric, run);
        if (run == comparison->baseline) {
            fprintf(out, "%*s", BASELINE_WIDTH - VALUE_WIDTH - 1, "");
            value_put(comparison, metric, run, best, unit, out);
        } else {
            value_put(comparison, metric, run, best, unit, out);
            bool is_like = comparison_is_incomplete(comparison, metric, run) == is_baseline_incomplete;
            ratio_put(is_like ? value : (double)NAN, baseline, RATIO_WIDTH, out);
        }
    }
    fputc('\n', out);
}

static bool has_sample(const struct comparison *comparison)
{
    for (size_t run = 0; run < comparison->run_count; run++) {
        double factor = comparison->runs[run]->summary.sample_time_factor;
        if (factor > 0 && factor != 1) {
            return true;
        }
    }
    return false;
}

/* Rows that are zero everywhere say nothing, and those of samples nothing where there is none. */
static bool is_shown(const struct comparison *comparison, const struct metric *metric)
{
    static const char *const of_samples[] = {"full_step_time_ps", "sample_time_factor", "full_rank_count"};
    for (size_t i = 0; i < sizeof of_samples / sizeof of_samples[0]; i++) {
        if (strcmp(metric->column->name, of_samples[i]) == 0 && !has_sample(comparison)) {
            return false;
        }
    }
    return value_largest(comparison, metric) > 0;
}

static void section_put(const struct layout *layout, enum metric_section section, FILE *out)
{
    const struct comparison *comparison = layout->comparison;
    bool has_head = false;
    for (size_t i = 0; i < comparison->metric_count; i++) {
        const struct metric *metric = &comparison->metrics[i];
        if (metric->section == section && is_shown(comparison, metric)) {
            if (!has_head) {
                fprintf(out, "%s\n", metric_section_names[section]);
                has_head = true;
            }
            metric_put(layout, metric, out);
        }
    }
}

static int label_width(const struct comparison *comparison)
{
    size_t width = LABEL_WIDTH_MIN;
    for (size_t i = 0; i < comparison->metric_count; i++) {
        size_t length = strlen(comparison->metrics[i].label);
        width = length > width ? length : width;
    }
    return (int)width + 2;
}

static void columns_put(const struct comparison *comparison, FILE *out)
{
    struct layout layout = {comparison, label_width(comparison)};
    headings_put(&layout, out);
    if (!is_same_text(comparison, offsetof(struct reader_run, status)) ||
        strcmp(comparison->runs[0]->status, "complete") != 0) {
        texts_put(&layout, "status", offsetof(struct reader_run, status), out);
    }
    if (!is_same_text(comparison, offsetof(struct reader_run, engine))) {
        texts_put(&layout, "engine", offsetof(struct reader_run, engine), out);
    }
    for (int section = 0; section < METRIC_SECTION_COUNT; section++) {
        section_put(&layout, (enum metric_section)section, out);
    }
}

/* ---- runs as rows
 * ------------------------------------------------------------------------------------------------ */

/* The two words of a key label, one above the other, and the unit. */
static void key_heading_put(const struct comparison *comparison, int name_width, FILE *out)
{
    for (int line = 0; line < 3; line++) {
        fprintf(out, "%*s", name_width, "");
        for (size_t i = 0; i < comparison->metric_count; i++) {
            const struct metric *metric = &comparison->metrics[i];
            if (metric->key != NULL) {
                struct metric_unit unit = unit_of(comparison, metric);
                int first = (int)strcspn(metric->key, " ");
                const char *second = metric->key + first + (metric->key[first] == ' ');
                fprintf(out, " %*.*s", KEY_WIDTH - 1, line == 0 ? first : KEY_WIDTH - 1,
                        line == 0   ? metric->key
                        : line == 1 ? second
                                    : unit.name);
            }
        }
        fputs(line == 2 ? "   ratio\n" : "\n", out);
    }
}

static void run_put(const struct comparison *comparison, size_t run, int name_width, FILE *out)
{
    const struct metric *first_key = NULL;
    size_t length = strlen(comparison->names[run]);
    size_t skipped = length > (size_t)name_width ? length - (size_t)name_width : 0;
    fprintf(out, "%-*s", name_width, comparison->names[run] + skipped); /* names differ at their ends */
    for (size_t i = 0; i < comparison->metric_count; i++) {
        const struct metric *metric = &comparison->metrics[i];
        if (metric->key != NULL) {
            struct metric_unit unit = unit_of(comparison, metric);
            char best[16];
            best_find(comparison, metric, unit, best);
            fprintf(out, "%*s", KEY_WIDTH - VALUE_WIDTH - 1, "");
            value_put(comparison, metric, run, best, unit, out);
            first_key = first_key == NULL ? metric : first_key;
        }
    }
    ratio_put(comparison_value(comparison, first_key, run),
              comparison_value(comparison, first_key, comparison->baseline), RATIO_WIDTH + 1, out);
    if (strcmp(comparison->runs[run]->status, "complete") != 0) {
        fprintf(out, " %s", comparison->runs[run]->status);
    }
    fputc('\n', out);
}

static void rows_put(const struct comparison *comparison, FILE *out)
{
    int key_count = 0;
    for (size_t i = 0; i < comparison->metric_count; i++) {
        key_count += comparison->metrics[i].key != NULL;
    }
    int name_width = COMPARE_WIDTH - KEY_WIDTH * key_count - RATIO_WIDTH - 3;
    key_heading_put(comparison, name_width, out);
    for (size_t run = 0; run < comparison->run_count; run++) {
        run_put(comparison, run, name_width, out);
    }
    fputs("The ratio is that of the iteration time. --format csv, json or md shows all metrics.\n", out);
}

/* ---- the whole
 * --------------------------------------------------------------------------------------------------- */

static void definitions_put(const struct comparison *comparison, FILE *out)
{
    fputs("\nDefinitions\n", out);
    for (size_t i = 0; i < comparison->metric_count; i++) {
        const struct metric *metric = &comparison->metrics[i];
        if (metric->is_defined && is_shown(comparison, metric)) {
            fprintf(out, "  %-*s ", LABEL_WIDTH_MIN + 1, metric->label);
            wrapped_put(metric->column->meaning, LABEL_WIDTH_MIN + 4, out);
        }
    }
}

static void incomplete_put(const struct comparison *comparison, FILE *out)
{
    bool is_any = false;
    for (size_t run = 0; run < comparison->run_count; run++) {
        for (size_t i = 0; i < comparison->metric_count; i++) {
            is_any = is_any || comparison_is_incomplete(comparison, &comparison->metrics[i], run);
        }
    }
    if (is_any) {
        fprintf(out, "%c too low: hosts, switches or ports of that run name no part, and what they draw is left out;\n"
                     "  such a value is never the best, and has no ratio to one that is complete.\n", COMPARE_INCOMPLETE);
    }
}

void compare_table(const struct comparison *comparison, FILE *out)
{
    head_put(comparison, out);
    if (comparison->run_count <= RUN_COLUMNS_MAX) {
        columns_put(comparison, out);
    } else {
        rows_put(comparison, out);
    }
    incomplete_put(comparison, out);
    definitions_put(comparison, out);
}
