/* The metrics declared in metric.h. */
#include "analysis/metric.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *const metric_section_names[METRIC_SECTION_COUNT] = {
    [METRIC_TIME] = "Time of a step", [METRIC_MESSAGES] = "Messages (FCT = completion time)",
    [METRIC_ENERGY] = "Energy",       [METRIC_TRAFFIC] = "Traffic",
    [METRIC_OTHER] = "Other",
};

/* Whose missing parts make a value too low. */
enum lacking { LACKS_NONE, LACKS_HOSTS = 1, LACKS_NETWORK = 2, LACKS_EITHER = LACKS_HOSTS | LACKS_NETWORK };

static const struct known {
    const char *column, *label;
    enum metric_section section;
    enum metric_better better;
    bool is_defined;
    const char *key;
    enum lacking lacks_with;
} known_metrics[] = {
    {"iteration_time_ps", "iteration time", METRIC_TIME, BETTER_LOW, true, "iter. time", LACKS_NONE},
    {"compute_ps", "compute", METRIC_TIME, BETTER_NEITHER, false, NULL, LACKS_NONE},
    {"exposed_communication_ps", "exposed comm.", METRIC_TIME, BETTER_LOW, true, NULL, LACKS_NONE},
    {"exposed_communication_fraction", "exposed share", METRIC_TIME, BETTER_LOW, false, "exposed share", LACKS_NONE},
    {"reconfiguration_ps", "reconfiguration", METRIC_TIME, BETTER_LOW, false, NULL, LACKS_NONE},
    {"reconfiguration_exposed_ps", "of it exposed", METRIC_TIME, BETTER_LOW, false, NULL, LACKS_NONE},
    {"makespan_ps", "makespan", METRIC_TIME, BETTER_LOW, false, NULL, LACKS_NONE},
    {"full_step_time_ps", "full step (est.)", METRIC_TIME, BETTER_LOW, false, NULL, LACKS_NONE},
    {"sample_time_factor", "sampled, factor", METRIC_TIME, BETTER_NEITHER, false, NULL, LACKS_NONE},
    {"collective_busbw_gbps", "bus bandwidth", METRIC_TIME, BETTER_HIGH, true, "bus bandw.", LACKS_NONE},
    {"fct_p50_ps", "FCT p50", METRIC_MESSAGES, BETTER_LOW, true, NULL, LACKS_NONE},
    {"fct_p95_ps", "FCT p95", METRIC_MESSAGES, BETTER_LOW, false, NULL, LACKS_NONE},
    {"fct_p99_ps", "FCT p99", METRIC_MESSAGES, BETTER_LOW, false, "FCT p99", LACKS_NONE},
    {"fct_p999_ps", "FCT p99.9", METRIC_MESSAGES, BETTER_LOW, false, NULL, LACKS_NONE},
    {"fct_max_ps", "FCT max", METRIC_MESSAGES, BETTER_LOW, false, NULL, LACKS_NONE},
    {"slowdown_p50", "slowdown p50", METRIC_MESSAGES, BETTER_LOW, true, NULL, LACKS_NONE},
    {"slowdown_p99", "slowdown p99", METRIC_MESSAGES, BETTER_LOW, false, "slowd. p99", LACKS_NONE},
    {"energy_per_iteration_j", "cluster per step", METRIC_ENERGY, BETTER_LOW, true, "energy /step", LACKS_EITHER},
    {"network_energy_per_iteration_j", "network per step", METRIC_ENERGY, BETTER_LOW, true, NULL, LACKS_NETWORK},
    {"gpu_compute_energy_j", "GPUs computing", METRIC_ENERGY, BETTER_NEITHER, false, NULL, LACKS_HOSTS},
    {"gpu_wait_energy_j", "GPUs waiting", METRIC_ENERGY, BETTER_LOW, false, NULL, LACKS_HOSTS},
    {"network_w_per_gpu", "network per GPU", METRIC_ENERGY, BETTER_LOW, false, "network /GPU", LACKS_NETWORK},
    {"energy_pj_per_useful_bit", "per useful bit", METRIC_ENERGY, BETTER_LOW, true, "network /bit", LACKS_NETWORK},
    {"unpowered_host_count", "no part: hosts", METRIC_ENERGY, BETTER_NEITHER, false, NULL, LACKS_NONE},
    {"unpowered_switch_count", "no part: switch.", METRIC_ENERGY, BETTER_NEITHER, false, NULL, LACKS_NONE},
    {"unpowered_port_count", "no part: ports", METRIC_ENERGY, BETTER_NEITHER, false, NULL, LACKS_NONE},
    {"useful_bytes", "useful bytes", METRIC_TRAFFIC, BETTER_NEITHER, false, NULL, LACKS_NONE},
    {"algorithmic_bytes", "bytes asked for", METRIC_TRAFFIC, BETTER_NEITHER, false, NULL, LACKS_NONE},
    {"wire_bytes", "bytes on links", METRIC_TRAFFIC, BETTER_LOW, false, NULL, LACKS_NONE},
    {"full_rank_count", "ranks, full job", METRIC_TRAFFIC, BETTER_NEITHER, false, NULL, LACKS_NONE},
    {"operation_count", "operations", METRIC_TRAFFIC, BETTER_NEITHER, false, NULL, LACKS_NONE},
    {"message_count", "messages", METRIC_TRAFFIC, BETTER_NEITHER, false, NULL, LACKS_NONE},
    {"packet_count", "packets", METRIC_TRAFFIC, BETTER_NEITHER, false, NULL, LACKS_NONE},
    {"packet_hop_count", "packet-hops", METRIC_TRAFFIC, BETTER_LOW, false, NULL, LACKS_NONE},
    {"drop_count", "drops", METRIC_TRAFFIC, BETTER_LOW, false, NULL, LACKS_NONE},
    {"link_error_count", "lost by errors", METRIC_TRAFFIC, BETTER_LOW, false, NULL, LACKS_NONE},
    {"link_repeat_count", "link repeats", METRIC_TRAFFIC, BETTER_LOW, false, NULL, LACKS_NONE},
    {"retransmission_count", "sent again", METRIC_TRAFFIC, BETTER_LOW, false, NULL, LACKS_NONE},
    {"nack_count", "NACKs", METRIC_TRAFFIC, BETTER_LOW, false, NULL, LACKS_NONE},
    {"trim_count", "trimmed", METRIC_TRAFFIC, BETTER_LOW, false, NULL, LACKS_NONE},
    {"duplicate_count", "received twice", METRIC_TRAFFIC, BETTER_LOW, false, NULL, LACKS_NONE},
    {"reordered_count", "reordered", METRIC_TRAFFIC, BETTER_LOW, false, NULL, LACKS_NONE},
    {"reorder_distance_max", "overtaken, max", METRIC_TRAFFIC, BETTER_LOW, false, NULL, LACKS_NONE},
    {"reorder_distance_mean", "overtaken, mean", METRIC_TRAFFIC, BETTER_LOW, false, NULL, LACKS_NONE},
    {"mark_count", "ECN marks", METRIC_TRAFFIC, BETTER_LOW, false, NULL, LACKS_NONE},
    {"pause_count", "pauses", METRIC_TRAFFIC, BETTER_LOW, false, NULL, LACKS_NONE},
    {"reconfiguration_count", "circuits set", METRIC_TRAFFIC, BETTER_NEITHER, false, NULL, LACKS_NONE},
};

enum { KNOWN_COUNT = sizeof known_metrics / sizeof known_metrics[0] };

static const struct result_column *summary_column(const char *name)
{
    const struct result_column *column = result_columns;
    while (column->name != NULL &&
           (column->table != RESULT_TABLE_summary || strcmp(column->name, name) != 0)) {
        column++;
    }
    return column->name != NULL ? column : NULL;
}

static const struct known *known_find(const char *name)
{
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        if (strcmp(known_metrics[i].column, name) == 0) {
            return &known_metrics[i];
        }
    }
    return NULL;
}

const struct metric *metric_list(struct arena *arena, size_t *count)
{
    struct metric *list = NULL;
    size_t capacity = 0;
    *count = 0;
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        const struct known *known = &known_metrics[i];
        const struct result_column *column = summary_column(known->column);
        assert(column != NULL && column->type != COLUMN_TEXT);
        vec_push(arena, list, *count, capacity) = (struct metric){
            column, known->label, known->section, known->better, known->key, known->is_defined};
    }
    for (const struct result_column *column = result_columns; column->name != NULL; column++) {
        if (column->table == RESULT_TABLE_summary && column->type != COLUMN_TEXT && known_find(column->name) == NULL) {
            vec_push(arena, list, *count, capacity) =
                (struct metric){column, column->name, METRIC_OTHER, BETTER_NEITHER, NULL, true};
        }
    }
    return list;
}

double metric_value(const struct metric *metric, const struct result_summary *summary)
{
    const uint8_t *field = (const uint8_t *)summary + metric->column->offset;
    uint64_t whole;
    uint32_t half;
    double real;
    switch (metric->column->type) {
    case COLUMN_U64:
        memcpy(&whole, field, sizeof whole);
        return (double)whole;
    case COLUMN_U32:
        memcpy(&half, field, sizeof half);
        return (double)half;
    case COLUMN_F64:
        memcpy(&real, field, sizeof real);
        return real;
    case COLUMN_TEXT:
        break;
    }
    return (double)NAN;
}

bool metric_is_incomplete(const struct metric *metric, const struct result_summary *summary)
{
    const struct known *known = known_find(metric->column->name);
    unsigned lacking = (summary->unpowered_host_count > 0 ? LACKS_HOSTS : LACKS_NONE) |
                       (summary->unpowered_switch_count + summary->unpowered_port_count > 0 ? LACKS_NETWORK : LACKS_NONE);
    return known != NULL && (known->lacks_with & lacking) != 0;
}

/* Names of a unit by powers of a thousand; `base` is the place of the stored unit. */
static const struct scale {
    const char *unit;
    int base;
    const char *names[7];
} scales[] = {
    {"ps", 0, {"ps", "ns", "us", "ms", "s", NULL}},
    {"B", 0, {"B", "kB", "MB", "GB", "TB", "PB", NULL}},
    {"J", 2, {"uJ", "mJ", "J", "kJ", "MJ", "GJ", NULL}},
    {"W", 1, {"mW", "W", "kW", "MW", NULL}},
    {"1", 0, {"", "k", "M", "G", "T", NULL}},
};

static bool is_share(const struct result_column *column)
{
    size_t length = strlen(column->name), ending = strlen("_fraction");
    return length > ending && strcmp(column->name + length - ending, "_fraction") == 0;
}

struct metric_unit metric_unit_for(const struct metric *metric, double smallest, double largest)
{
    if (is_share(metric->column)) {
        return (struct metric_unit){"%", 100.0};
    }
    for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++) {
        if (strcmp(scales[i].unit, metric->column->unit) == 0) {
            int place = 0;
            double factor = pow(1000.0, scales[i].base);
            while (largest * factor >= (place == 0 ? 9999.5 : 999.95) && scales[i].names[place + 1] != NULL) {
                place++;
                factor /= 1000.0;
            }
            if (place > 0 && smallest * factor < 0.9995 && largest * factor * 1000.0 < 99999.5) {
                place--;
                factor *= 1000.0;
            }
            return (struct metric_unit){scales[i].names[place], factor};
        }
    }
    return (struct metric_unit){metric->column->unit, 1.0};
}

char *metric_print(double value, bool is_whole, char text[16])
{
    double size = fabs(value);
    if (isnan(value)) {
        return strcpy(text, "-");
    }
    if (size == 0 || (is_whole && size < 99999.5)) {
        snprintf(text, 16, "%.0f", value);
    } else if (size >= 99999.5 || size < 0.00995) {
        snprintf(text, 16, "%.0e", value);
    } else {
        int digits = size >= 999.95 ? 0 : size >= 99.995 ? 1 : size >= 9.9995 ? 2 : 3;
        snprintf(text, 16, "%.*f", digits, value);
    }
    return text;
}
