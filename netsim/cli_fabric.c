/* photonet fabric: which fabrics there are, what one consists of, and whether a description is good. */
#include "netsim/circuit/planner.h"
#include "netsim/cli.h"
#include "netsim/fabric_export.h"
#include "netsim/fabric_facts.h"
#include "netsim/fabric_load.h"
#include "netsim/scenario.h"
#include "photonet/doc.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

enum { OPT_SET = 256, OPT_HOSTS, OPT_FORMAT, OPT_TO };

static const struct argp_option options[] = {
    {"set", OPT_SET, "KEY=VALUE", 0, "a parameter of the fabric, or part.NAME.QUANTITY", 0},
    {"hosts", OPT_HOSTS, "N", 0, "ranks of the job, for fabrics that are sized by it", 0},
    {"to", OPT_TO, "FORMAT", 0, "export: simgrid, dot, graphml, csv or schedule, on the standard output", 0},
    {"format", OPT_FORMAT, "table|json", 0, "what is printed (default: table)", 0},
    {0},
};

struct arguments {
    struct arena *arena;
    struct diag *diag;
    struct cli_settings settings;
    const char *action, *spec;
    const struct fabric_export *export;
    uint32_t hosts;
    bool is_json;
    struct packet_shape shape; /* of the description that is loaded */
};

static error_t usage(struct arguments *arguments, const char *option, const char *text, const char *expected)
{
    return cli_usage(arguments->diag, option, text, expected);
}

static error_t hosts_parse(struct arguments *arguments, const char *text)
{
    char why[256];
    uint64_t value = 0;
    if (!quantity_parse_u64(QUANTITY_COUNT, text, &value, why) || value < 1 || value > FABRIC_HOSTS_MAX) {
        return usage(arguments, "--hosts", text, "a whole number from 1 to 1048576");
    }
    arguments->hosts = (uint32_t)value;
    return 0;
}

static error_t argument_parse(struct arguments *arguments, const char *text)
{
    if (arguments->action == NULL) {
        arguments->action = text;
    } else if (arguments->spec == NULL) {
        arguments->spec = text;
    } else {
        return usage(arguments, "argument", text, "one FILE or PRESET");
    }
    return 0;
}

static error_t option_parse(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case OPT_SET:
        return cli_setting_add(&arguments->settings, "--set", text, arguments->diag) == STATUS_OK ? 0 : EINVAL;
    case OPT_HOSTS:
        return hosts_parse(arguments, text);
    case OPT_TO:
        arguments->export = fabric_export_find(text);
        return arguments->export != NULL ? 0 : usage(arguments, "--to", text, "simgrid, dot, graphml, csv or schedule");
    case OPT_FORMAT:
        return cli_format_parse(text, &arguments->is_json, arguments->diag);
    case ARGP_KEY_ARG:
        return argument_parse(arguments, text);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    options, option_parse, "list\ninfo FILE|PRESET\nvalidate FILE|PRESET\nexport --to FORMAT FILE|PRESET",
    "Lists the families of fabrics with their parameters and the presets, describes a fabric, checks one, or writes it "
    "for other programs.\v"
    "A FILE is YAML: `fabric: FAMILY` and the family's parameters, each with its unit (400Gbps, 500ns). A family's "
    "name alone stands for its defaults.", NULL, NULL, NULL};

static enum status json_print(json_t *json, struct diag *diag)
{
    int failed = json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    json_decref(json);
    printf("\n");
    return failed ? diag_set(diag, STATUS_IO, "cannot write to the standard output") : STATUS_OK;
}

/* ---- list --------------------------------------------------------------------------------------------------- */

static const char *preset_value(const struct fabric_preset *preset, const char *key, struct arena *arena)
{
    const struct doc *root;
    struct diag diag;
    enum status status = doc_parse(preset->text, preset->text_bytes, preset->name, arena, &root, &diag);
    const struct doc *value = status == STATUS_OK ? doc_get(root, key) : NULL;
    return value != NULL && value->text != NULL ? value->text : "";
}

static void list_print(struct arena *arena)
{
    printf("Presets\n");
    for (const struct fabric_preset *preset = fabric_presets; preset->name != NULL; preset++) {
        printf("  %-16s %-14s %s\n", preset->name, preset_value(preset, "fabric", arena),
               preset_value(preset, "title", arena));
    }
    for (size_t i = 0; fabric_families[i] != NULL; i++) {
        printf("\nFamily %s: %s\n", fabric_families[i]->name, fabric_families[i]->summary);
        param_help(&fabric_families[i]->params, "", stdout);
    }
    printf("\nPlanners of optical circuits\n");
    for (size_t i = 0; planners[i] != NULL; i++) {
        printf("  %-16s %s\n", planners[i]->name, planners[i]->summary);
    }
    printf("\nParts are listed by `photonet parts`; any number of theirs is a parameter: part.NAME.QUANTITY.\n");
}

static json_t *text_json(const char *text)
{
    return text == NULL ? json_null() : json_string(text);
}

static json_t *family_json(const struct fabric_family *family)
{
    json_t *parameters = json_array();
    for (size_t i = 0; i < family->params.row_count; i++) {
        const struct param *row = &family->params.rows[i];
        bool has_unit = row->type == PARAM_TYPE_U64 || row->type == PARAM_TYPE_REAL;
        json_array_append_new(parameters, json_pack("{s:s, s:o, s:s, s:o, s:o, s:s}", "key", row->key, "default",
                                                    text_json(row->default_text), "unit",
                                                    has_unit ? quantity_unit(row->quantity) : "text", "low",
                                                    text_json(row->low), "high", text_json(row->high), "help",
                                                    row->help));
    }
    return json_pack("{s:s, s:s, s:o}", "name", family->name, "summary", family->summary, "parameters", parameters);
}

static json_t *list_json(struct arena *arena)
{
    json_t *presets = json_array(), *families = json_array(), *all_planners = json_array();
    for (const struct fabric_preset *preset = fabric_presets; preset->name != NULL; preset++) {
        json_array_append_new(presets, json_pack("{s:s, s:s, s:s}", "name", preset->name, "family",
                                                 preset_value(preset, "fabric", arena), "title",
                                                 preset_value(preset, "title", arena)));
    }
    for (size_t i = 0; fabric_families[i] != NULL; i++) {
        json_array_append_new(families, family_json(fabric_families[i]));
    }
    for (size_t i = 0; planners[i] != NULL; i++) {
        json_array_append_new(all_planners,
                              json_pack("{s:s, s:s}", "name", planners[i]->name, "summary", planners[i]->summary));
    }
    return json_pack("{s:o, s:o, s:o}", "presets", presets, "families", families, "planners", all_planners);
}

/* ---- info --------------------------------------------------------------------------------------------------- */

/* To four digits, in the largest unit that leaves one before the point: for people, who pass over 1592727271488bps. */
static const char *readable(enum quantity quantity, uint64_t value, char *text, size_t text_bytes)
{
    static const char *const times[] = {"ps", "ns", "us", "ms", "s"}, *const rates[] = {"bps", "kbps", "Mbps", "Gbps", "Tbps"};
    size_t unit = 0;
    double number = (double)value;
    for (; number >= 999.95 && unit < 4; unit++) {
        number /= 1000;
    }
    snprintf(text, text_bytes, number < 9999.5 ? "%.4g%s" : "%.0f%s", number,
             (quantity == QUANTITY_TIME ? times : rates)[unit]);
    return text;
}

static void schedule_print(const struct fabric *fabric, const struct fabric_facts *facts)
{
    char period[64], window[64], dark[64];
    if (facts->period_ps > 0) {
        printf("  schedule        %" PRIu32 " optical switch%s; every %s, %" PRIu32 " circuit%s a transmitter, each up to %s "
               "after %s dark; duty %.2f %%, %.2f %% joined to another\n",
               fabric->optical_count, plural(fabric->optical_count, "es"),
               readable(QUANTITY_TIME, facts->period_ps, period, sizeof period), facts->windows,
               plural(facts->windows, "s"), readable(QUANTITY_TIME, facts->window_ps, window, sizeof window),
               readable(QUANTITY_TIME, fabric->optical_count > 0 ? fabric->optical[0].settle_ps : 0, dark,
                                  sizeof dark),
               100 * facts->duty, 100 * facts->joined);
    }
}

static void cells_print(const struct fabric_facts *facts)
{
    if (facts->cell_bytes > 0) {
        printf("  cells           %" PRIu64 " B each at %" PRIu64 " port%s: a packet of %" PRIu64 " B is %" PRIu64 ", %" PRIu64
               " B on the wire", facts->cell_bytes, facts->cell_ports, plural(facts->cell_ports, "s"),
               facts->packet_bytes, facts->packet_cells, facts->packet_cells * facts->cell_bytes);
        printf(facts->period_ps > 0 ? ", in %" PRIu64 " slot%s at most\n" : "\n", facts->packet_windows,
               plural(facts->packet_windows, "s"));
    }
}

static bool is_same_optical(const struct optical *a, const struct optical *b)
{
    return a->port_count == b->port_count && a->settle_ps == b->settle_ps && a->relock_ps == b->relock_ps &&
           a->control_ps == b->control_ps;
}

/* Equal ones that follow each other on one line. */
static void opticals_print(const struct fabric *fabric, const struct fabric_facts *facts)
{
    for (uint32_t i = 0, next; facts->period_ps == 0 && i < fabric->optical_count; i = next) {
        const struct optical *optical = &fabric->optical[i];
        char settle[64], relock[64], control[64], count[24] = "";
        for (next = i + 1; next < fabric->optical_count && is_same_optical(optical, &fabric->optical[next]);) {
            next++;
        }
        if (next - i > 1) {
            snprintf(count, sizeof count, "%" PRIu32 " times ", next - i);
        }
        printf("  optical switch  %s%" PRIu32 " fibre%s; settle %s, re-lock %s, control %s; planner %s\n", count,
               optical->port_count, plural(optical->port_count, "s"),
               readable(QUANTITY_TIME, optical->settle_ps, settle, sizeof settle),
               readable(QUANTITY_TIME, optical->relock_ps, relock, sizeof relock),
               readable(QUANTITY_TIME, optical->control_ps, control, sizeof control),
               fabric->planner != NULL ? fabric->planner : "none");
    }
}

static void counts_print(const struct fabric *fabric, const struct fabric_facts *facts)
{
    char text[64];
    printf("  hosts           %" PRIu32 ", %s out of each\n", fabric->host_count,
           readable(QUANTITY_RATE, facts->host_bps / fabric->host_count, text, sizeof text));
    for (uint32_t tier = 1; tier <= facts->tiers; tier++) {
        printf("  tier %" PRIu32 "          %" PRIu32 " switch%s, up to %" PRIu32 " port%s in use\n", tier,
               facts->switches[tier], plural(facts->switches[tier], "es"), facts->radix[tier],
               plural(facts->radix[tier], "s"));
    }
    opticals_print(fabric, facts);
    if (!facts->is_planned) {
        printf("  links           set by the planner from a job's demand\n");
        return;
    }
    printf("  links           %" PRIu64 "\n", facts->links);
    printf("  bisection       %s one way, between the halves of the hosts\n",
           readable(QUANTITY_RATE, facts->bisection_bps, text, sizeof text));
    printf("  longest way     %" PRIu32 " link%s%s; %s from host 0 to host %" PRIu32 " before a bit is sent\n",
           facts->hops_max, plural(facts->hops_max, "s"), facts->is_sampled ? " (from some hosts)" : "",
           readable(QUANTITY_TIME, facts->far_delay_ps, text, sizeof text), fabric->host_count - 1);
}

static void light_print(const struct fabric *fabric, const struct fabric_facts *facts)
{
    char name[48];
    if (facts->worst_port != ID_NONE) {
        uint32_t node = fabric->port_node[facts->worst_port];
        printf("  link budgets    worst margin %.2f dB with %.2f dB of loss, at port %" PRIu32 " of %s (%s)\n",
               facts->worst_margin_db, facts->worst_loss_db, facts->worst_port - fabric->port_first[node],
               fabric_node_text(fabric, node, name, sizeof name),
               fabric->parts->parts[fabric->port_part[facts->worst_port]].name);
    }
}

static void parts_print(const struct fabric *fabric, const struct fabric_facts *facts)
{
    if (facts->row_count == 0) {
        printf("  parts           none: it burns nothing\n");
        return;
    }
    printf("  parts           %-22s %-9s %9s %14s\n", "part", "class", "count", "static");
    for (uint32_t i = 0; i < facts->row_count; i++) {
        const struct energy_row *row = &facts->rows[i];
        if (row->use != ENERGY_GPU_COMPUTE) {
            printf("                  %-22s %-9s %9" PRIu64 " %12.1f W%s\n", row->part, row->class, row->count,
                   row->static_pj * 1e-12, row->use == ENERGY_GPU_WAIT ? " waiting" : "");
        }
    }
    struct fabric_bare bare = fabric_bare(fabric);
    if (bare.hosts + bare.switches + bare.ports > 0) {
        printf("  without a part  %" PRIu32 " host%s, %" PRIu32 " switch%s, %" PRIu32
               " port%s: no power is counted for them\n", bare.hosts, plural(bare.hosts, "s"), bare.switches,
               plural(bare.switches, "es"), bare.ports, plural(bare.ports, "s"));
    }
    printf("  network power   %.1f W static, %.2f W a host", facts->network_w,
           facts->network_w / fabric->host_count);
    if (facts->gpu_w > 0) {
        printf(", %.1f %% of it and busy GPUs", 100 * facts->network_w / (facts->network_w + facts->gpu_w));
    }
    printf("\n");
    if (facts->price_usd > 0) {
        printf("  network price   about %.0f USD", facts->price_usd);
        if (facts->unpriced > 0) {
            bool is_one = facts->unpriced == 1;
            printf("; %" PRIu32 " kind%s of parts %s no price and %s not counted", facts->unpriced, is_one ? "" : "s",
                   is_one ? "has" : "have", is_one ? "is" : "are");
        }
        printf("\n");
    }
}

static void info_print(const struct fabric_config *config, const struct fabric_facts *facts)
{
    const struct fabric *fabric = config->fabric;
    printf("%s: %s\n", fabric->name, config->title != NULL ? config->title : fabric->family);
    counts_print(fabric, facts);
    schedule_print(fabric, facts);
    cells_print(facts);
    light_print(fabric, facts);
    parts_print(fabric, facts);
    printf("\n%s", config->text);
}

static json_t *parts_json(const struct fabric_facts *facts)
{
    json_t *parts = json_array();
    for (uint32_t i = 0; i < facts->row_count; i++) {
        const struct energy_row *row = &facts->rows[i];
        if (row->use != ENERGY_GPU_COMPUTE) {
            json_array_append_new(parts, json_pack("{s:s, s:s, s:I, s:f}", "part", row->part, "class", row->class,
                                                   "count", (json_int_t)row->count, "static_w",
                                                   row->static_pj * 1e-12));
        }
    }
    return parts;
}

static json_t *optical_json(const struct fabric *fabric)
{
    json_t *all = json_array();
    for (uint32_t i = 0; i < fabric->optical_count; i++) {
        const struct optical *optical = &fabric->optical[i];
        json_array_append_new(all, json_pack("{s:I, s:I, s:I, s:I}", "port_count", (json_int_t)optical->port_count,
                                             "settle_ps", (json_int_t)optical->settle_ps, "relock_ps",
                                             (json_int_t)optical->relock_ps, "control_ps",
                                             (json_int_t)optical->control_ps));
    }
    return all;
}

static json_t *tiers_json(const struct fabric_facts *facts)
{
    json_t *tiers = json_array();
    for (uint32_t tier = 1; tier <= facts->tiers; tier++) {
        json_array_append_new(tiers, json_pack("{s:I, s:I, s:I}", "tier", (json_int_t)tier, "switch_count",
                                               (json_int_t)facts->switches[tier], "ports_max",
                                               (json_int_t)facts->radix[tier]));
    }
    return tiers;
}

static json_t *known_json(const struct fabric_facts *facts, uint64_t value)
{
    return facts->is_planned ? json_integer((json_int_t)value) : json_null();
}

static json_t *info_json(const struct fabric_config *config, const struct fabric_facts *facts)
{
    const struct fabric *fabric = config->fabric;
    json_t *json = json_object();
    json_object_set_new(json, "fabric", json_string(fabric->name));
    json_object_set_new(json, "fabric_family", json_string(fabric->family));
    json_object_set_new(json, "title", text_json(config->title));
    json_object_set_new(json, "host_count", json_integer(fabric->host_count));
    json_object_set_new(json, "node_count", json_integer(fabric->node_count));
    json_object_set_new(json, "host_rate_bps", json_integer((json_int_t)(facts->host_bps / fabric->host_count)));
    json_object_set_new(json, "tiers", tiers_json(facts));
    json_object_set_new(json, "optical_switches", optical_json(fabric));
    json_object_set_new(json, "planner", text_json(fabric->planner));
    json_object_set_new(json, "link_count", known_json(facts, facts->links));
    json_object_set_new(json, "fibre_count", json_integer((json_int_t)facts->fibres));
    json_object_set_new(json, "bisection_bps", known_json(facts, facts->bisection_bps));
    json_object_set_new(json, "hops_max", known_json(facts, facts->hops_max));
    json_object_set_new(json, "far_delay_ps", known_json(facts, facts->far_delay_ps));
    json_object_set_new(json, "schedule_period_ps", json_integer((json_int_t)facts->period_ps));
    json_object_set_new(json, "schedule_window_ps", json_integer((json_int_t)facts->window_ps));
    json_object_set_new(json, "schedule_windows", json_integer((json_int_t)facts->windows));
    json_object_set_new(json, "schedule_duty", json_real(facts->duty));
    json_object_set_new(json, "schedule_joined", json_real(facts->joined));
    json_object_set_new(json, "cell_bytes", json_integer((json_int_t)facts->cell_bytes));
    json_object_set_new(json, "cell_ports", json_integer((json_int_t)facts->cell_ports));
    json_object_set_new(json, "packet_cells", json_integer((json_int_t)facts->packet_cells));
    json_object_set_new(json, "packet_windows_max", json_integer((json_int_t)facts->packet_windows));
    bool is_lit = facts->worst_port != ID_NONE;
    json_object_set_new(json, "worst_margin_db", is_lit ? json_real(facts->worst_margin_db) : json_null());
    json_object_set_new(json, "worst_loss_db", is_lit ? json_real(facts->worst_loss_db) : json_null());
    json_object_set_new(json, "parts", parts_json(facts));
    json_object_set_new(json, "network_static_w", json_real(facts->network_w));
    json_object_set_new(json, "network_static_w_per_host", json_real(facts->network_w / fabric->host_count));
    json_object_set_new(json, "gpu_busy_w", json_real(facts->gpu_w));
    json_object_set_new(json, "price_usd", json_real(facts->price_usd));
    json_object_set_new(json, "config_yaml", json_string(config->text));
    return json;
}

/* ---- the command -------------------------------------------------------------------------------------------- */

/* What the description says of other modules is checked as well: a typing error there would show at run time only. */
static enum status load(struct arguments *arguments, struct fabric_config *config, struct diag *diag)
{
    if (arguments->spec == NULL) {
        return diag_set(diag, STATUS_USAGE, "fabric %s: FILE or PRESET is missing; `photonet fabric list` names them",
                        arguments->action);
    }
    enum status status = fabric_load(arguments->spec, arguments->settings.items, arguments->settings.count,
                                     arguments->hosts, arguments->arena, config, diag);
    struct scenario scenario;
    if (status == STATUS_OK) {
        status = scenario_load(config->left, config->left_count, NULL, arguments->arena, &scenario, diag);
    }
    if (status != STATUS_OK) {
        return status;
    }
    arguments->shape = scenario_shape(&scenario);
    return fabric_config_check(config, arguments->shape.packet_bytes, &arguments->shape.cells, diag);
}

static enum status action_list(struct arguments *arguments, struct diag *diag)
{
    if (arguments->spec != NULL) {
        return diag_set(diag, STATUS_USAGE, "fabric list %s: no argument was expected", arguments->spec);
    }
    if (arguments->is_json) {
        return json_print(list_json(arguments->arena), diag);
    }
    list_print(arguments->arena);
    return STATUS_OK;
}

static enum status action_info(struct arguments *arguments, struct diag *diag)
{
    struct fabric_config config;
    struct fabric_facts facts;
    enum status status = load(arguments, &config, diag);
    if (status != STATUS_OK) {
        return status;
    }
    fabric_facts(config.fabric, arguments->arena, &facts);
    fabric_facts_cells(config.fabric, &arguments->shape, &facts);
    if (arguments->is_json) {
        return json_print(info_json(&config, &facts), diag);
    }
    info_print(&config, &facts);
    return STATUS_OK;
}

static enum status action_validate(struct arguments *arguments, struct diag *diag)
{
    struct fabric_config config;
    enum status status = load(arguments, &config, diag);
    if (status != STATUS_OK) {
        return status;
    }
    const struct fabric *fabric = config.fabric;
    if (arguments->is_json) {
        return json_print(json_pack("{s:s, s:b, s:I, s:I}", "fabric", fabric->name, "is_valid", 1, "host_count",
                                    (json_int_t)fabric->host_count, "node_count", (json_int_t)fabric->node_count),
                          diag);
    }
    struct fabric_facts facts;
    fabric_facts(fabric, arguments->arena, &facts);
    printf("%s: good; %" PRIu32 " host%s, %" PRIu32 " nodes, %" PRIu32 " ports\n", fabric->name, fabric->host_count,
           plural(fabric->host_count, "s"),
           fabric->node_count, fabric->port_count);
    schedule_print(fabric, &facts);
    return STATUS_OK;
}

static enum status action_export(struct arguments *arguments, struct diag *diag)
{
    struct fabric_config config;
    if (arguments->export == NULL) {
        return diag_set(diag, STATUS_USAGE, "fabric export: --to is missing; simgrid, dot, graphml, csv or schedule was expected");
    }
    enum status status = load(arguments, &config, diag);
    status = status == STATUS_OK ? arguments->export->write(config.fabric, arguments->arena, stdout, diag) : status;
    bool has_failed = status == STATUS_OK && (fflush(stdout) != 0 || ferror(stdout));
    return has_failed ? diag_set(diag, STATUS_IO, "cannot write to the standard output") : status;
}

static enum status action_run(struct arguments *arguments, struct diag *diag)
{
    static const struct {
        const char *name;
        enum status (*run)(struct arguments *arguments, struct diag *diag);
    } actions[] = {{"list", action_list}, {"info", action_info}, {"validate", action_validate},
                 {"export", action_export}};
    for (size_t i = 0; arguments->action != NULL && i < sizeof actions / sizeof actions[0]; i++) {
        if (strcmp(arguments->action, actions[i].name) == 0) {
            return actions[i].run(arguments, diag);
        }
    }
    return diag_set(diag, STATUS_USAGE, "fabric %s: list, info, validate or export was expected",
                    arguments->action != NULL ? arguments->action : "(nothing)");
}

enum status command_fabric(int argc, char **argv, struct diag *diag)
{
    struct arena *arena = arena_new("fabric command");
    struct arguments arguments = {.arena = arena, .diag = diag, .settings = {.arena = arena}};
    bool is_done = false;
    enum status status = cli_parse(&argp, argc, argv, &arguments, &is_done, diag);
    if (status == STATUS_OK && !is_done) {
        status = action_run(&arguments, diag);
    }
    arena_free(arena);
    return status;
}
