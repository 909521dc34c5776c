/* photonet parts: the component table with its sources. */
#include "netsim/cli.h"
#include "photonet/component.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

enum { OPT_SET = 256, OPT_CLASS, OPT_SOURCES, OPT_FORMAT };

static const struct argp_option options[] = {
    {"class", OPT_CLASS, "CLASS", 0, "parts of one class only: gpu, nic, switch, module, cpo, copper, ocs, ...", 0},
    {"sources", OPT_SOURCES, NULL, 0, "every number with its range and source (default for one part)", 0},
    {"set", OPT_SET, "part.NAME.QUANTITY=VALUE", 0, "override a number", 0},
    {"format", OPT_FORMAT, "table|json", 0, "what is printed (default: table)", 0},
    {0},
};

struct arguments {
    struct diag *diag;
    struct cli_settings settings;
    const char *name, *class;
    bool has_sources, is_json;
};

static error_t option_parse(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case OPT_CLASS:
        arguments->class = text;
        return 0;
    case OPT_SOURCES:
        arguments->has_sources = true;
        return 0;
    case OPT_SET:
        return cli_setting_add(&arguments->settings, "--set", text, arguments->diag) == STATUS_OK ? 0 : EINVAL;
    case OPT_FORMAT:
        return cli_format_parse(text, &arguments->is_json, arguments->diag);
    case ARGP_KEY_ARG:
        return cli_name_parse(text, "one part", &arguments->name, arguments->diag);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    options, option_parse, "[NAME]", "Lists the parts that fabrics are built of, with power, latency, loss and price.\v"
    "Watts are per end or box, rates one way. Every number has a low, a default and a high value and a source; "
    "--set part.NAME.QUANTITY=VALUE overrides it in any command that takes a fabric.", NULL, NULL, NULL};

/* ---- printing ------------------------------------------------------------------------------------------------ */

static bool has_value(const struct part *part, enum part_quantity quantity)
{
    return part->value[quantity].source != NULL;
}

static void cell_print(const struct part *part, enum part_quantity quantity, int width)
{
    char text[64] = "-";
    if (has_value(part, quantity)) {
        part_value_text(quantity, part->value[quantity].normal, text, sizeof text);
    }
    printf(" %*s", width, text);
}

static void line_print(const struct part *part)
{
    printf("%-20s %-7s", part->name, part_class_name(part->class));
    bool is_per_rate = has_value(part, PART_STATIC_MW_PER_GBPS);
    cell_print(part, is_per_rate ? PART_STATIC_MW_PER_GBPS : PART_STATIC_MW, 12);
    cell_print(part, PART_DYNAMIC_PJ_BIT, 12);
    cell_print(part, PART_LATENCY_PS, 8);
    printf("  %s\n", part->title);
}

/* The source, folded at 72 columns under the numbers. */
static void source_print(const char *source)
{
    int column = 0;
    for (const char *word = source; *word != 0;) {
        size_t length = strcspn(word, " ");
        if (column == 0 || column + (int)length > 90) {
            printf("%s      ", column == 0 ? "" : "\n");
            column = 6;
        }
        printf(" %.*s", (int)length, word);
        column += (int)length + 1;
        word += length + (word[length] == ' ');
    }
    printf("\n");
}

static void part_print(const struct part *part)
{
    printf("%s (%s): %s\n", part->name, part_class_name(part->class), part->title);
    for (enum part_quantity quantity = 0; quantity < PART_QUANTITY_COUNT; quantity++) {
        const struct part_value *value = &part->value[quantity];
        char low[64], normal[64], high[64];
        if (value->source != NULL) {
            printf("    %-20s %12s   (%s .. %s)\n", part_quantity_name(quantity),
                   part_value_text(quantity, value->normal, normal, sizeof normal),
                   part_value_text(quantity, value->low, low, sizeof low),
                   part_value_text(quantity, value->high, high, sizeof high));
            source_print(value->source);
        }
    }
    printf("\n");
}

static json_t *part_json(const struct part *part)
{
    json_t *values = json_array();
    for (enum part_quantity quantity = 0; quantity < PART_QUANTITY_COUNT; quantity++) {
        const struct part_value *value = &part->value[quantity];
        if (value->source != NULL) {
            json_array_append_new(values, json_pack("{s:s, s:f, s:f, s:f, s:s, s:s}", "quantity",
                                                    part_quantity_name(quantity), "low", value->low, "default",
                                                    value->normal, "high", value->high, "unit",
                                                    part_quantity_unit(quantity), "source", value->source));
        }
    }
    return json_pack("{s:s, s:s, s:s, s:o}", "part", part->name, "class", part_class_name(part->class), "title",
                     part->title, "values", values);
}

/* ---- the command --------------------------------------------------------------------------------------------- */

static bool is_wanted(const struct arguments *arguments, const struct part *part)
{
    return (arguments->name == NULL || strcmp(arguments->name, part->name) == 0) &&
           (arguments->class == NULL || strcmp(arguments->class, part_class_name(part->class)) == 0);
}

/* Rows of `fabric info` and of the table energy that are made of other parts' numbers. */
static const char *row_origin(const char *name)
{
    return strcmp(name, "box_overhead") == 0
               ? "is a row of accounts, no part: fans, power supplies and control of a box, overhead_fraction of its "
                 "switch (--set part.SWITCH.overhead_fraction=...) times the power inside"
           : strcmp(name, "lasers") == 0 || strcmp(name, "ring_tuning") == 0
               ? "is a row of accounts, no part: lasers and heaters that the link budgets need beyond the modules' watts"
               : NULL;
}

static enum status wanted_check(const struct arguments *arguments, const struct part_table *table, struct diag *diag)
{
    struct origin at = {"parts", 0, 0};
    uint32_t part_id;
    if (arguments->name != NULL && row_origin(arguments->name) != NULL) {
        return diag_input(diag, at, "%s %s", arguments->name, row_origin(arguments->name));
    }
    if (arguments->name != NULL) {
        return part_find(table, arguments->name, at, &part_id, diag);
    }
    for (uint32_t i = 1; i < table->count; i++) {
        if (is_wanted(arguments, &table->parts[i])) {
            return STATUS_OK;
        }
    }
    return diag_set(diag, STATUS_USAGE, "--class %s: a class such as module, cpo or ocs was expected",
                    arguments->class);
}

static enum status table_print(const struct arguments *arguments, const struct part_table *table)
{
    bool is_long = arguments->has_sources || arguments->name != NULL;
    if (!is_long) {
        printf("%-20s %-7s %12s %12s %8s  %s\n", "part", "class", "static", "dynamic", "latency", "title");
    }
    for (uint32_t i = 1; i < table->count; i++) {
        if (is_wanted(arguments, &table->parts[i])) {
            (is_long ? part_print : line_print)(&table->parts[i]);
        }
    }
    if (!is_long) {
        printf("\nStatic in pJ/bit is of connected capacity. Dynamic is spent on each bit that crosses a link: of a module, "
               "cable\nor NIC half at the end that sends and half at the end that receives (full load both ways gives the "
               "data sheet's\nwatts), of a switch once for a bit that it sends on. `photonet parts NAME` gives all numbers, "
               "ranges and sources.\n");
    }
    return STATUS_OK;
}

static enum status json_print(const struct arguments *arguments, const struct part_table *table, struct diag *diag)
{
    json_t *parts = json_array();
    for (uint32_t i = 1; i < table->count; i++) {
        if (is_wanted(arguments, &table->parts[i])) {
            json_array_append_new(parts, part_json(&table->parts[i]));
        }
    }
    int failed = json_dumpf(parts, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    json_decref(parts);
    printf("\n");
    return failed ? diag_set(diag, STATUS_IO, "cannot write to the standard output") : STATUS_OK;
}

static enum status settings_apply(const struct arguments *arguments, struct part_table *table, struct diag *diag)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < arguments->settings.count; i++) {
        const struct trace_setting *setting = &arguments->settings.items[i];
        if (strncmp(setting->key, "part.", 5) != 0) {
            return diag_set(diag, STATUS_USAGE, "--set %s: part.NAME.QUANTITY=VALUE was expected", setting->key);
        }
        status = part_assign(table, setting->key + 5, setting->text, setting->at, diag);
    }
    return status;
}

static enum status parts_show(const struct arguments *arguments, struct part_table *table, struct diag *diag)
{
    enum status status = settings_apply(arguments, table, diag);
    status = status == STATUS_OK ? wanted_check(arguments, table, diag) : status;
    if (status != STATUS_OK) {
        return status;
    }
    return arguments->is_json ? json_print(arguments, table, diag) : table_print(arguments, table);
}

enum status command_parts(int argc, char **argv, struct diag *diag)
{
    struct arena *arena = arena_new("parts command");
    struct arguments arguments = {.diag = diag, .settings = {.arena = arena}};
    bool is_done = false;
    enum status status = cli_parse(&argp, argc, argv, &arguments, &is_done, diag);
    if (status == STATUS_OK && !is_done) {
        status = parts_show(&arguments, part_table_new(arena), diag);
    }
    arena_free(arena);
    return status;
}
