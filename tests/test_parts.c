/* The component table: every number is ordered, sourced and used in one unit; overrides; and the two commands that
 * show parts and fabrics, called as the program calls them. */
#include "photonet/command.h"
#include "photonet/component.h"
#include "tests/check.h"

#include <jansson.h>

static void test_rows_are_sound(void)
{
    struct arena *arena = arena_new("test");
    const struct part_table *table = part_table_new(arena);
    uint32_t numbers = 0;
    for (uint32_t i = 1; i < table->count; i++) {
        const struct part *part = &table->parts[i];
        uint32_t own = 0;
        CHECK(part->class > PART_NONE && part->class < PART_CLASS_COUNT);
        CHECK(strspn(part->name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(part->name));
        for (uint32_t quantity = 0; quantity < PART_QUANTITY_COUNT; quantity++) {
            const struct part_value *value = &part->value[quantity];
            bool is_level = strcmp(part_quantity_unit((enum part_quantity)quantity), "dBm") == 0;
            bool is_good = value->low <= value->normal && value->normal <= value->high &&
                           (value->low >= 0 || is_level);
            bool has_source = value->source != NULL && strlen(value->source) > 5;
            if (!is_good || (!has_source && value->high != 0)) {
                printf("%s %s\n", part->name, part_quantity_name((enum part_quantity)quantity));
            }
            CHECK(is_good);
            CHECK(has_source || value->high == 0);
            own += has_source;
        }
        CHECK(own > 0);
        numbers += own;
    }
    printf("%u parts, %u numbers\n", table->count - 1, numbers);
    CHECK(table->count > 45);
    arena_free(arena);
}

static const struct part *part(const struct part_table *table, const char *name)
{
    uint32_t part_id = 0;
    struct diag diag;
    CHECK_EQUAL(part_find(table, name, (struct origin){"test", 0, 0}, &part_id, &diag), STATUS_OK);
    return &table->parts[part_id];
}

/* Static and dynamic power make the data sheet's watts at full rate. */
static void test_full_rate_watts(void)
{
    static const struct {
        const char *name;
        double watts;
    } cases[] = {{"connectx7", 22}, {"connectx8", 40}, {"dr4_400g_dsp", 9}, {"dr8_800g_dsp", 15}, {"lpo_800g", 8.5},
                 {"dr8_1600g_dsp", 25}, {"cpo_bailly_800g", 5.5}, {"cpo_davisson_800g", 4.5}, {"lro_800g", 11},
                 {"cpo_quantum_x_1600g", 9}, {"aec_800g", 9}, {"fr4x2_800g_dsp", 16}, {"nvlink5_copper", 2}};
    struct arena *arena = arena_new("test");
    const struct part_table *table = part_table_new(arena);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct part *of = part(table, cases[i].name);
        double watts = of->value[PART_STATIC_MW].normal * 1e-3 +
                       of->value[PART_DYNAMIC_PJ_BIT].normal * 1e-12 * of->value[PART_RATE_BPS].normal;
        CHECK_NEAR(watts, cases[i].watts, 0.005);
    }
    /* A whole box: SN5600 670 W, QM9700 747 W, Q3450 3.95 kW with 72 engines of 9 W, within what the split rounds. */
    const struct part *box = part(table, "spectrum4_sn5600");
    double full_w = box->value[PART_STATIC_MW].normal * 1e-3 + 51.2;
    CHECK_NEAR(full_w * (1 + box->value[PART_OVERHEAD_FRACTION].normal), 670, 0.02);
    box = part(table, "quantum_x_q3450");
    full_w = box->value[PART_STATIC_MW].normal * 1e-3 + 115.2 + 72 * 9;
    CHECK_NEAR(full_w * (1 + box->value[PART_OVERHEAD_FRACTION].normal), 3950, 0.05);
    arena_free(arena);
}

static void test_overrides_stay_in_their_table(void)
{
    struct arena *arena = arena_new("test");
    struct part_table *table = part_table_new(arena);
    struct origin at = {"--set", 0, 0};
    struct diag diag = {""};
    static const struct {
        const char *key, *text;
        const char *name;
        enum part_quantity quantity;
        double expected;
    } good[] = {
        {"dr4_400g_dsp.static", "8W", "dr4_400g_dsp", PART_STATIC_MW, 8000},
        {"dr4_400g_dsp.static_mw", "7500mW", "dr4_400g_dsp", PART_STATIC_MW, 7500},
        {"palomar.settle", "3ms", "palomar", PART_SETTLE_PS, 3e9},
        {"palomar.loss", "2.5dB", "palomar", PART_LOSS_MDB, 2500},
        {"palomar.ports", "320", "palomar", PART_PORTS, 320},
        {"smf.delay_per_m", "5ns", "smf", PART_DELAY_FS_PER_M, 5e6},
        {"eth_switch.static_per_rate", "20pJ/bit", "eth_switch", PART_STATIC_MW_PER_GBPS, 20},
        {"eth_switch.overhead", "8%", "eth_switch", PART_OVERHEAD_FRACTION, 0.08},
        {"h100_sxm.idle", "70W", "h100_sxm", PART_IDLE_MW, 70e3},
        {"connectx7.price", "1500", "connectx7", PART_PRICE_USD, 1500},
        {"palomar.reconfigure", "1uJ", "palomar", PART_RECONFIGURE_PJ, 1e6},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        CHECK_EQUAL(part_assign(table, good[i].key, good[i].text, at, &diag), STATUS_OK);
        CHECK_NEAR(part(table, good[i].name)->value[good[i].quantity].normal, good[i].expected, 1e-12);
    }
    CHECK_TEXT(part(table, "palomar")->value[PART_RECONFIGURE_PJ].source, "given by the user");
    CHECK_NEAR(part(part_table_new(arena), "palomar")->value[PART_PORTS].normal, 136, 0);
    arena_free(arena);
}

static void refused(const char *key, const char *text, const char *expected)
{
    struct arena *arena = arena_new("test");
    struct diag diag = {""};
    struct origin at = {"fabric.yaml", 3, 7};
    CHECK_EQUAL(part_assign(part_table_new(arena), key, text, at, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "fabric.yaml:3:7: ");
    CHECK_HOLDS(diag.text, expected);
    arena_free(arena);
}

static void test_bad_overrides_are_named(void)
{
    refused("palomer.settle", "3ms", "unknown part \"palomer\"; the nearest known ones are palomar");
    refused("palomar.settle", "3", "bare number");
    refused("palomar.settle", "3W", "palomar.settle");
    refused("palomar.color", "3", "expected one of: static");
    refused("palomar", "3", "part.NAME.QUANTITY");
    refused("none.static", "3W", "stands for nothing");
    refused("palomar.static", "-3W", "palomar.static");
    refused("tomahawk5.power", "3W", "no quantity \"power\"");
}

/* ---- commands ------------------------------------------------------------------------------------------------ */

struct answer {
    enum status status;
    char *text; /* what was printed */
    struct diag diag;
};

static struct answer ask(enum status (*command)(int argc, char **argv, struct diag *diag), const char *line)
{
    struct answer answer = {STATUS_OK, NULL, {""}};
    char words[300], *argv[24];
    int argc = 0;
    size_t length = 0;
    snprintf(words, sizeof words, "%s", line);
    argv[argc++] = (char *)(uintptr_t)"photonet test";
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[argc++] = word;
    }
    argv[argc] = NULL;
    FILE *saved = stdout;
    stdout = open_memstream(&answer.text, &length);
    answer.status = command(argc, argv, &answer.diag);
    fclose(stdout);
    stdout = saved;
    return answer;
}

static void says(enum status (*command)(int argc, char **argv, struct diag *diag), const char *line,
                 enum status status, const char *part_text)
{
    struct answer answer = ask(command, line);
    CHECK_EQUAL(answer.status, status);
    CHECK_HOLDS(status == STATUS_OK ? answer.text : answer.diag.text, part_text);
    free(answer.text);
}

static json_t *json_of(enum status (*command)(int argc, char **argv, struct diag *diag), const char *line)
{
    struct answer answer = ask(command, line);
    CHECK_EQUAL(answer.status, STATUS_OK);
    json_t *json = json_loads(answer.text, 0, NULL);
    CHECK(json != NULL);
    free(answer.text);
    return json;
}

static void test_parts_command(void)
{
    says(command_parts, "", STATUS_OK, "dr4_400g_dsp");
    says(command_parts, "palomar", STATUS_OK, "Apollo (arXiv 2208.10041)");
    says(command_parts, "palomar --set part.palomar.settle=7ms", STATUS_OK, "7ms");
    says(command_parts, "--class cpo", STATUS_OK, "cpo_bailly_800g");
    says(command_parts, "palomer", STATUS_INPUT, "palomar");
    says(command_parts, "--class lamp", STATUS_USAGE, "--class lamp");
    says(command_parts, "--set settle=7ms", STATUS_USAGE, "part.NAME.QUANTITY");
    says(command_parts, "--format xml", STATUS_USAGE, "table or json");
    says(command_parts, "palomar dr4_400g_dsp", STATUS_USAGE, "argument dr4_400g_dsp: one part was expected");
    json_t *json = json_of(command_parts, "--format json");
    CHECK(json_array_size(json) > 45);
    json_t *values = json_object_get(json_array_get(json, 0), "values");
    CHECK_TEXT(json_string_value(json_object_get(json_array_get(values, 0), "unit")), "mW");
    json_decref(json);
}

static void test_fabric_command(void)
{
    says(command_fabric, "list", STATUS_OK, "oversubscription");
    says(command_fabric, "list", STATUS_OK, "optical-patch");
    says(command_fabric, "info clos-dsp --hosts 64", STATUS_OK, "64, 400Gbps out of each");
    says(command_fabric, "info clos-dsp --hosts 1024", STATUS_OK, "Tbps one way");
    says(command_fabric, "info clos-dsp --hosts 64", STATUS_OK, "before a bit is sent");
    says(command_parts, "box_overhead", STATUS_INPUT, "overhead_fraction of its switch");
    says(command_parts, "", STATUS_OK, "half at the end that sends");
    says(command_fabric, "info optical-patch", STATUS_OK, "settle 2ms, re-lock 1ms, control 10ms");
    says(command_fabric, "validate clos-cpo --hosts 256", STATUS_OK, "clos-cpo: good; 256 hosts");
    says(command_fabric, "", STATUS_USAGE, "list, info, validate or export");
    says(command_fabric, "info", STATUS_USAGE, "FILE or PRESET");
    says(command_fabric, "validate htsim-128 --hosts 129", STATUS_INPUT, "has 128 hosts, the job has 129 ranks");
    says(command_fabric, "validate htsim-128 --set transprt.window=1MiB", STATUS_INPUT, "transprt");
    says(command_fabric, "info clos-dsp --hosts none", STATUS_USAGE, "--hosts none");
}

static uint64_t number(const json_t *json, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(json, key));
}

/* Known by hand: k = 8 has 384 links in all; 128 hosts of 400G have a bisection of 25.6 Tbit/s; six links of 1 us. */
static void test_fabric_info_in_json(void)
{
    json_t *json = json_of(command_fabric, "info htsim-128 --format json");
    CHECK_EQUAL(number(json, "host_count"), 128);
    CHECK_EQUAL(number(json, "link_count"), 384);
    CHECK_EQUAL(number(json, "bisection_bps"), UINT64_C(25600000000000));
    CHECK_EQUAL(number(json, "hops_max"), 6);
    CHECK_EQUAL(number(json, "far_delay_ps"), 6 * UINT64_C(1000000));
    json_decref(json);
    json = json_of(command_fabric, "info clos-dsp-4to1 --hosts 80 --format json");
    CHECK_EQUAL(number(json, "bisection_bps"), 80 / 4 * UINT64_C(400000000000) / 2);
    CHECK_EQUAL(number(json, "hops_max"), 4);
    json_decref(json);
    json = json_of(command_fabric, "info optical-patch --hosts 32 --format json");
    CHECK(json_is_null(json_object_get(json, "link_count")));
    CHECK_EQUAL(number(json, "fibre_count"), 128);
    CHECK_NEAR(json_real_value(json_object_get(json, "network_static_w")), 32 * (17.6 + 4 * 1.8) + 108, 1e-9);
    json_decref(json);
    json = json_of(command_fabric, "list --format json");
    CHECK(json_array_size(json_object_get(json, "presets")) >= 9);
    CHECK(json_array_size(json_object_get(json, "families")) >= 2);
    json_decref(json);
}

TEST_MAIN("parts", TEST(test_rows_are_sound), TEST(test_full_rate_watts), TEST(test_overrides_stay_in_their_table),
          TEST(test_bad_overrides_are_named), TEST(test_parts_command), TEST(test_fabric_command),
          TEST(test_fabric_info_in_json))
