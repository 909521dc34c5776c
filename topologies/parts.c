/* The table of parts, from components.def. A run works on a copy of its own, so overrides never leak. */
#include "photonet/component.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define PART_LIGHT(part_, lane_)

enum part_index {
    PART_INDEX_none = PART_ID_NONE,
#define PART(name_, class_, title_) PART_INDEX_##name_,
#define PART_VALUE(part_, quantity_, low_, normal_, high_, source_)
#include "topologies/components.def"
#undef PART
#undef PART_VALUE
    PART_INDEX_COUNT,
};

struct part_row {
    enum part_index part;
    enum part_quantity quantity;
    struct part_value value;
};

struct part_title {
    const char *name, *title;
    enum part_class class;
};

static const struct {
    enum part_index part, lane;
} lights[] = {
#undef PART_LIGHT
#define PART_LIGHT(part_, lane_) {PART_INDEX_##part_, PART_INDEX_##lane_},
#define PART(name_, class_, title_)
#define PART_VALUE(part_, quantity_, low_, normal_, high_, source_)
#include "topologies/components.def"
#undef PART
#undef PART_VALUE
#undef PART_LIGHT
#define PART_LIGHT(part_, lane_)
};

static const struct part_title titles[] = {
    {"none", "nothing: costs no time and no energy", PART_NONE},
#define PART(name_, class_, title_) {#name_, title_, PART_##class_},
#define PART_VALUE(part_, quantity_, low_, normal_, high_, source_)
#include "topologies/components.def"
#undef PART
#undef PART_VALUE
};

static const struct part_row rows[] = {
#define PART(name_, class_, title_)
#define PART_VALUE(part_, quantity_, low_, normal_, high_, source_)                                           \
    {PART_INDEX_##part_, PART_##quantity_, {low_, normal_, high_, source_}},
#include "topologies/components.def"
#undef PART
#undef PART_VALUE
};

/* How a quantity is written by a user and stored: stored = parsed value * scale. */
struct quantity_info {
    const char *name; /* with the unit of the stored value: "static_mw" */
    const char *key;  /* without: "static" */
    const char *unit;
    enum quantity quantity;
    double scale;
};
static const struct quantity_info quantities[PART_QUANTITY_COUNT] = {
    [PART_STATIC_MW] = {"static_mw", "static", "mW", QUANTITY_POWER, 1},
    [PART_STATIC_MW_PER_GBPS] = {"static_mw_per_gbps", "static_per_rate", "mW/Gbps", QUANTITY_ENERGY_PER_BIT, 1},
    [PART_DYNAMIC_PJ_BIT] = {"dynamic_pj_bit", "dynamic", "pJ/bit", QUANTITY_ENERGY_PER_BIT, 1},
    [PART_LATENCY_PS] = {"latency_ps", "latency", "ps", QUANTITY_TIME, 1},
    [PART_FEC_PS] = {"fec_ps", "fec", "ps", QUANTITY_TIME, 1},
    [PART_LOSS_MDB] = {"loss_mdb", "loss", "mdB", QUANTITY_LOSS, 1000},
    [PART_DELAY_FS_PER_M] = {"delay_fs_per_m", "delay_per_m", "fs/m", QUANTITY_TIME, 1000},
    [PART_PORTS] = {"ports", "ports", "1", QUANTITY_COUNT, 1},
    [PART_RATE_BPS] = {"rate_bps", "rate", "bit/s", QUANTITY_RATE, 1},
    [PART_SETTLE_PS] = {"settle_ps", "settle", "ps", QUANTITY_TIME, 1},
    [PART_RELOCK_PS] = {"relock_ps", "relock", "ps", QUANTITY_TIME, 1},
    [PART_CONTROL_PS] = {"control_ps", "control", "ps", QUANTITY_TIME, 1},
    [PART_RECONFIGURE_PJ] = {"reconfigure_pj", "reconfigure", "pJ", QUANTITY_ENERGY, 1},
    [PART_PRICE_USD] = {"price_usd", "price", "USD", QUANTITY_NUMBER, 1},
    [PART_IDLE_MW] = {"idle_mw", "idle", "mW", QUANTITY_POWER, 1},
    [PART_OVERHEAD_FRACTION] = {"overhead_fraction", "overhead", "1", QUANTITY_FRACTION, 1},
    [PART_REDUCE_ENTRIES] = {"reduce_entries", "reduce_entries", "1", QUANTITY_COUNT, 1},
    [PART_REDUCE_PS] = {"reduce_ps", "reduce", "ps", QUANTITY_TIME, 1},
    [PART_LOSS_MDB_PER_KM] = {"loss_mdb_per_km", "loss_per_km", "mdB/km", QUANTITY_LOSS, 1000},
    [PART_ISOLATION_MDB] = {"isolation_mdb", "isolation", "mdB", QUANTITY_LOSS, 1000},
    [PART_LEVELS] = {"levels", "levels", "1", QUANTITY_COUNT, 1},
    [PART_LINE_RATE_BPS] = {"line_rate_bps", "line_rate", "bit/s", QUANTITY_RATE, 1},
    [PART_LASER_DBM] = {"laser_dbm", "laser", "dBm", QUANTITY_LEVEL, 1},
    [PART_LASER_LANES] = {"laser_lanes", "laser_lanes", "1", QUANTITY_COUNT, 1},
    [PART_LASER_EFFICIENCY] = {"laser_efficiency", "laser_efficiency", "1", QUANTITY_FRACTION, 1},
    [PART_LASER_INCLUDED_DBM] = {"laser_included_dbm", "laser_included", "dBm", QUANTITY_LEVEL, 1},
    [PART_TUNING_MW] = {"tuning_mw", "tuning", "mW", QUANTITY_POWER, 1},
    [PART_EXTINCTION_MDB] = {"extinction_mdb", "extinction", "mdB", QUANTITY_LOSS, 1000},
    [PART_PENALTY_MDB] = {"penalty_mdb", "penalty", "mdB", QUANTITY_LOSS, 1000},
    [PART_SENSITIVITY_DBM] = {"sensitivity_dbm", "sensitivity", "dBm", QUANTITY_LEVEL, 1},
    [PART_RESPONSIVITY] = {"responsivity_a_w", "responsivity", "A/W", QUANTITY_NUMBER, 1},
    [PART_NOISE] = {"noise_pa_rthz", "noise", "pA/sqrt(Hz)", QUANTITY_NUMBER, 1},
    [PART_IMPLEMENTATION_MDB] = {"implementation_mdb", "implementation", "mdB", QUANTITY_LOSS, 1000},
    [PART_LASER_NOISE_MDB] = {"laser_noise_mdb", "laser_noise", "mdB", QUANTITY_LOSS, 1000},
    [PART_BANDWIDTH_FRACTION] = {"bandwidth_fraction", "bandwidth", "1", QUANTITY_FRACTION, 1},
    [PART_BER_LIMIT] = {"ber_limit", "ber_limit", "1", QUANTITY_NUMBER, 1},
    [PART_MARGIN_MDB] = {"margin_mdb", "margin", "mdB", QUANTITY_LOSS, 1000},
    [PART_FEC_SYMBOLS] = {"fec_symbols", "fec_symbols", "1", QUANTITY_COUNT, 1},
    [PART_FEC_DATA_SYMBOLS] = {"fec_data_symbols", "fec_data_symbols", "1", QUANTITY_COUNT, 1},
    [PART_FEC_INTERLEAVE] = {"fec_interleave", "fec_interleave", "1", QUANTITY_COUNT, 1},
};

const char *part_quantity_name(enum part_quantity quantity)
{
    return quantities[quantity].name;
}

const char *part_quantity_unit(enum part_quantity quantity)
{
    return quantities[quantity].unit;
}

char *part_value_text(enum part_quantity quantity, double value, char *text, size_t text_bytes)
{
    const struct quantity_info *info = &quantities[quantity];
    if (quantity_is_integer(info->quantity)) {
        quantity_print_u64(info->quantity, (uint64_t)llround(value / info->scale), text, text_bytes);
    } else {
        quantity_print_real(info->quantity, value / info->scale, text, text_bytes);
    }
    return text;
}

const char *part_class_name(enum part_class class)
{
    static const char *const names[PART_CLASS_COUNT] = {
        [PART_NONE] = "none",     [PART_GPU] = "gpu", [PART_NIC] = "nic",       [PART_SWITCH] = "switch",
        [PART_MODULE] = "module", [PART_CPO] = "cpo", [PART_COPPER] = "copper", [PART_OCS] = "ocs",
        [PART_FIBRE] = "fibre",   [PART_LASER] = "laser", [PART_LANE] = "lane",
    };
    return names[class];
}

struct part_table *part_table_new(struct arena *arena)
{
    struct part_table *table = arena_one(arena, struct part_table);
    table->count = PART_INDEX_COUNT;
    table->parts = arena_array(arena, table->count, struct part);
    for (uint32_t i = 0; i < table->count; i++) {
        table->parts[i].name = titles[i].name;
        table->parts[i].title = titles[i].title;
        table->parts[i].class = titles[i].class;
    }
    for (size_t i = 0; i < sizeof lights / sizeof lights[0]; i++) {
        table->parts[lights[i].part].lane = lights[i].lane;
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct part_value *value = &table->parts[rows[i].part].value[rows[i].quantity];
        assert(value->source == NULL); /* a number stands once */
        *value = rows[i].value;
    }
    return table;
}

/* ---- names ------------------------------------------------------------------------------------------------- */

/* Letters that two names have in common at the start, and, where they share a piece, that counts as well:
 * enough to guess what was meant among some sixty names. */
static size_t likeness(const char *left, const char *right)
{
    size_t same = 0;
    while (left[same] != 0 && left[same] == right[same]) {
        same++;
    }
    return same + (left[0] != 0 && (strstr(right, left) != NULL || strstr(left, right) != NULL) ? 4 : 0);
}

/* The three most alike, "a, b, c". */
static void nearest_names(const struct part_table *table, const char *name, char *text, size_t text_bytes)
{
    uint32_t best[3] = {0, 0, 0};
    for (uint32_t i = 1; i < table->count; i++) {
        uint32_t candidate = i;
        for (uint32_t slot = 0; slot < 3; slot++) {
            uint32_t held = best[slot];
            if (held == 0 || likeness(name, table->parts[candidate].name) > likeness(name, table->parts[held].name)) {
                best[slot] = candidate;
                candidate = held;
            }
        }
    }
    snprintf(text, text_bytes, "%s, %s, %s", table->parts[best[0]].name, table->parts[best[1]].name,
             table->parts[best[2]].name);
}

enum status part_find(const struct part_table *table, const char *name, struct origin at, uint32_t *part_id,
                      struct diag *diag)
{
    for (uint32_t i = 0; i < table->count; i++) {
        if (strcmp(table->parts[i].name, name) == 0) {
            *part_id = i;
            return STATUS_OK;
        }
    }
    char near[200];
    nearest_names(table, name, near, sizeof near);
    return diag_input(diag, at, "unknown part \"%.80s\"; the nearest known ones are %s (photonet parts lists all)",
                      name, near);
}

static int quantity_find(const char *text)
{
    for (int i = 0; i < PART_QUANTITY_COUNT; i++) {
        if (strcmp(quantities[i].name, text) == 0 || strcmp(quantities[i].key, text) == 0) {
            return i;
        }
    }
    return -1;
}

static void quantity_keys(char *text, size_t text_bytes)
{
    size_t used = 0;
    for (int i = 0; i < PART_QUANTITY_COUNT && used < text_bytes; i++) {
        used += (size_t)snprintf(text + used, text_bytes - used, "%s%s", i > 0 ? " " : "", quantities[i].key);
    }
}

static bool value_parse(const struct quantity_info *info, const char *text, double *value, char *why)
{
    if (!quantity_is_integer(info->quantity)) {
        bool is_good = quantity_parse_real(info->quantity, text, value, why);
        *value *= info->scale;
        return is_good;
    }
    uint64_t whole = 0;
    bool is_good = quantity_parse_u64(info->quantity, text, &whole, why);
    *value = (double)whole * info->scale;
    return is_good;
}

enum status part_assign(struct part_table *table, const char *key, const char *text, struct origin at,
                        struct diag *diag)
{
    const char *dot = strchr(key, '.');
    char name[80], keys[600], why[200];
    if (dot == NULL || (size_t)(dot - key) >= sizeof name) {
        return diag_input(diag, at, "\"part.%.80s\" names no quantity; expected part.NAME.QUANTITY", key);
    }
    memcpy(name, key, (size_t)(dot - key));
    name[dot - key] = 0;
    uint32_t part_id = 0;
    enum status status = part_find(table, name, at, &part_id, diag);
    int quantity = quantity_find(dot + 1);
    if (status != STATUS_OK) {
        return status;
    }
    if (quantity < 0) {
        quantity_keys(keys, sizeof keys);
        return diag_input(diag, at, "part %s has no quantity \"%.40s\"; expected one of: %s", name, dot + 1, keys);
    }
    struct part_value value = table->parts[part_id].value[quantity];
    if (part_id == PART_ID_NONE) {
        return diag_input(diag, at, "part \"none\" stands for nothing; it has no %s", quantities[quantity].key);
    }
    if (!value_parse(&quantities[quantity], text, &value.normal, why)) {
        return diag_input(diag, at, "part.%.120s: \"%.60s\" %s", key, text, why);
    }
    if (value.normal < 0 && quantities[quantity].quantity != QUANTITY_LEVEL) {
        return diag_input(diag, at, "part.%.120s: \"%.60s\" is negative; expected 0 or more", key, text);
    }
    if (value.source == NULL) {
        value.low = value.high = value.normal;
    }
    value.source = "given by the user";
    table->parts[part_id].value[quantity] = value;
    return STATUS_OK;
}
