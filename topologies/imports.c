#include "topologies/imports.h"

#include "photonet/fabric.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- htsim -------------------------------------------------------------------------------------------- */

#define TIERS_MAX 3

struct htsim_tier {
    uint64_t speed_gbps, radix_down, radix_up, link_ns, switch_ns, bundle, oversubscribed;
};

struct htsim {
    uint64_t nodes, tiers, pod_size;
    struct htsim_tier tier[TIERS_MAX];
    uint64_t tier_now;
    bool has_tier;
    uint64_t pods, pod_tors, pod_aggs, agg_cores; /* agg_cores: of one aggregation switch */
};

static uint64_t *htsim_field(struct htsim *htsim, const char *key)
{
    struct htsim_tier *tier = &htsim->tier[htsim->tier_now];
    const struct {
        const char *key;
        uint64_t *field;
        bool is_of_tier;
    } all[] = {
        {"Nodes", &htsim->nodes, false},
        {"Tiers", &htsim->tiers, false},
        {"Podsize", &htsim->pod_size, false},
        {"Downlink_speed_Gbps", &tier->speed_gbps, true},
        {"Radix_Down", &tier->radix_down, true},
        {"Radix_Up", &tier->radix_up, true},
        {"Downlink_Latency_ns", &tier->link_ns, true},
        {"Switch_Latency_ns", &tier->switch_ns, true},
        {"Bundle", &tier->bundle, true},
        {"Oversubscribed", &tier->oversubscribed, true},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (strcmp(key, all[i].key) == 0 && all[i].is_of_tier == htsim->has_tier) {
            return all[i].field;
        }
    }
    return NULL;
}

static enum status htsim_line(struct htsim *htsim, char *line, struct origin at, struct diag *diag)
{
    char why[200];
    uint64_t value = 0;
    line[strcspn(line, "#\r")] = 0;
    char *key = strtok_r(line, " \t", &line), *number = strtok_r(NULL, " \t", &line);
    if (key == NULL) {
        return STATUS_OK;
    }
    if (number == NULL || !quantity_parse_u64(QUANTITY_COUNT, number, &value, why) || value > UINT32_MAX) {
        return diag_input(diag, at, "%.40s: \"%.40s\" is no whole number", key, number == NULL ? "" : number);
    }
    if (strcmp(key, "Tier") == 0) {
        htsim->has_tier = true;
        htsim->tier_now = value;
        return value < htsim->tiers && value < TIERS_MAX
                   ? STATUS_OK
                   : diag_input(diag, at, "Tier %" PRIu64 " of %" PRIu64 "; expected fewer, and at most %d",
                                value, htsim->tiers, TIERS_MAX);
    }
    uint64_t *field = htsim_field(htsim, key);
    if (field == NULL) {
        return diag_input(diag, at, "unknown key \"%.40s\" here; expected those of htsim's .topo files", key);
    }
    *field = value;
    return STATUS_OK;
}

static bool is_even(uint64_t whole, uint64_t part)
{
    return part > 0 && whole % part == 0;
}

/* The switches of every tier, all in whole numbers. */
static enum status htsim_shape(struct htsim *htsim, struct origin at, struct diag *diag)
{
    const struct htsim_tier *tor = &htsim->tier[0], *agg = &htsim->tier[1], *core = &htsim->tier[2];
    bool has_cores = htsim->tiers == 3;
    bool is_good = htsim->tiers >= 2 && htsim->tiers <= TIERS_MAX && htsim->nodes >= 2 &&
                   htsim->nodes <= FABRIC_HOSTS_MAX && is_even(htsim->nodes, htsim->pod_size) &&
                   is_even(htsim->pod_size, tor->radix_down) && is_even(tor->radix_up, agg->bundle) &&
                   (!has_cores || is_even(agg->radix_up, core->bundle)) && tor->speed_gbps > 0 &&
                   agg->speed_gbps > 0 && (!has_cores || core->speed_gbps > 0);
    if (!is_good) {
        return diag_input(diag, at,
                          "%" PRIu64 " nodes in pods of %" PRIu64 ", %" PRIu64 " at a switch with %" PRIu64
                          " links up, do not make %" PRIu64
                          " tiers; expected 2 or 3 tiers, sizes that divide and speeds",
                          htsim->nodes, htsim->pod_size, tor->radix_down, tor->radix_up, htsim->tiers);
    }
    htsim->pods = htsim->nodes / htsim->pod_size;
    htsim->pod_tors = htsim->pod_size / tor->radix_down;
    htsim->pod_aggs = tor->radix_up / agg->bundle;
    htsim->agg_cores = has_cores ? agg->radix_up / core->bundle : 0;
    bool is_whole = agg->radix_down == htsim->pod_tors * agg->bundle &&
                    (has_cores ? core->radix_down == htsim->pods * core->bundle : htsim->pods == 1);
    uint64_t links = htsim->nodes + htsim->pods * htsim->pod_aggs * (htsim->pod_tors + htsim->agg_cores);
    return is_whole && links <= FABRIC_LINKS_MAX
               ? STATUS_OK
               : diag_input(diag, at,
                            "Radix_Down %" PRIu64 " of tier 1 and %" PRIu64 " of tier 2 do not fit %" PRIu64
                            " pods of %" PRIu64 " leaves",
                            agg->radix_down, core->radix_down, htsim->pods, htsim->pod_tors);
}

/* Of a link below tier i: its own and half of the switches' at its ends. */
static uint64_t htsim_delay_ps(const struct htsim *htsim, uint32_t i)
{
    uint64_t below_ns = i > 0 ? htsim->tier[i - 1].switch_ns : 0;
    return htsim->tier[i].link_ns * 1000 + (below_ns + htsim->tier[i].switch_ns) * 500;
}

static void htsim_write(const struct htsim *htsim, FILE *list)
{
    const struct htsim_tier *tier = htsim->tier;
    for (uint64_t h = 0; h < htsim->nodes; h++) {
        fprintf(list, "h%" PRIu64 " tor%" PRIu64 " %" PRIu64 "Gbps %" PRIu64 "ps 1\n", h,
                h / tier[0].radix_down, tier[0].speed_gbps, htsim_delay_ps(htsim, 0));
    }
    for (uint64_t i = 0; i < htsim->pods * htsim->pod_aggs; i++) {
        uint64_t pod = i / htsim->pod_aggs, number = i % htsim->pod_aggs;
        for (uint64_t tor = 0; tor < htsim->pod_tors; tor++) {
            fprintf(list, "tor%" PRIu64 " agg%" PRIu64 " %" PRIu64 "Gbps %" PRIu64 "ps %" PRIu64 "\n",
                    pod * htsim->pod_tors + tor, i, tier[1].speed_gbps, htsim_delay_ps(htsim, 1),
                    tier[1].bundle);
        }
        for (uint64_t core = 0; core < htsim->agg_cores; core++) {
            fprintf(list, "agg%" PRIu64 " core%" PRIu64 " %" PRIu64 "Gbps %" PRIu64 "ps %" PRIu64 "\n", i,
                    number * htsim->agg_cores + core, tier[2].speed_gbps, htsim_delay_ps(htsim, 2),
                    tier[2].bundle);
        }
    }
}

enum status import_htsim(char *text, const char *path, struct arena *arena, char **list, struct diag *diag)
{
    struct htsim htsim = {.tier = {{.bundle = 1}, {.bundle = 1}, {.bundle = 1}}};
    struct origin at = {path, 1, 0};
    enum status status = STATUS_OK;
    for (char *next = text; status == STATUS_OK && next != NULL; at.line++) {
        char *line = strsep(&next, "\n");
        status = htsim_line(&htsim, line, at, diag);
    }
    status = status == STATUS_OK ? htsim_shape(&htsim, (struct origin){path, 0, 0}, diag) : status;
    if (status != STATUS_OK) {
        return status;
    }
    char *written = NULL;
    size_t bytes = 0;
    FILE *stream = open_memstream(&written, &bytes);
    htsim_write(&htsim, stream);
    fclose(stream);
    *list = arena_strdup(arena, written);
    free(written);
    return STATUS_OK;
}

/* ---- ASTRA-sim ---------------------------------------------------------------------------------------- */

#define DIMENSIONS_MAX 8

enum astra_kind { ASTRA_RING, ASTRA_FULL, ASTRA_SWITCH };

struct astra_dimension {
    enum astra_kind kind;
    uint64_t size, rate_bps, delay_ps, stride;
};

struct astra {
    struct astra_dimension dimension[DIMENSIONS_MAX];
    uint32_t count;
    uint64_t hosts;
};

static enum status astra_kind(const struct doc *item, struct astra_dimension *dimension, struct diag *diag)
{
    static const char *const names[] = {"Ring", "FullyConnected", "Switch"};
    for (uint32_t i = 0; i < 3; i++) {
        if (strcmp(item->text, names[i]) == 0) {
            dimension->kind = (enum astra_kind)i;
            return STATUS_OK;
        }
    }
    return diag_input(diag, item->at, "topology: \"%.40s\"; expected Ring, FullyConnected or Switch",
                      item->text);
}

static enum status astra_value(const struct doc *item, uint32_t field, struct astra_dimension *dimension,
                               struct diag *diag)
{
    char why[200];
    double value = 0;
    if (field == 0) {
        return astra_kind(item, dimension, diag);
    }
    double low = field == 1 ? 2 : field == 2 ? 1e-3 : 0, high = field == 1 ? 65535 : field == 2 ? 1e4 : 1e9;
    if (!quantity_parse_real(QUANTITY_NUMBER, item->text, &value, why) || !(value >= low && value <= high)) {
        return diag_input(diag, item->at, "\"%.40s\" is no number from %g to %g", item->text, low, high);
    }
    if (field == 1) {
        dimension->size = (uint64_t)value;
    } else if (field == 2) {
        dimension->rate_bps = (uint64_t)(value * 8 * (double)(1u << 30) + 0.5);
    } else {
        dimension->delay_ps = (uint64_t)(value * 1000 + 0.5);
    }
    return STATUS_OK;
}

static enum status astra_list(const struct doc *root, uint32_t field, struct astra *astra, struct diag *diag)
{
    static const char *const keys[] = {"topology", "npus_count", "bandwidth", "latency"};
    const struct doc *list = doc_get(root, keys[field]);
    if (list == NULL || list->kind != DOC_LIST || list->child_count == 0 ||
        list->child_count > DIMENSIONS_MAX || (field > 0 && list->child_count != astra->count)) {
        return diag_input(diag, list == NULL ? root->at : list->at,
                          "%s is no list of 1 to %d values, as many as topology has", keys[field],
                          DIMENSIONS_MAX);
    }
    astra->count = list->child_count;
    enum status status = STATUS_OK;
    uint32_t i = 0;
    for (const struct doc *item = list->child; status == STATUS_OK && item != NULL; item = item->next) {
        status = item->kind == DOC_SCALAR ? astra_value(item, field, &astra->dimension[i++], diag)
                                          : diag_input(diag, item->at, "is no value; expected one");
    }
    return status;
}

/* Links from `host` on along dimension i; the first host of a line also stands for its switch. */
static void astra_host(const struct astra *astra, uint32_t i, uint64_t host, FILE *list)
{
    const struct astra_dimension *dimension = &astra->dimension[i];
    uint64_t place = host / dimension->stride % dimension->size, first = host - place * dimension->stride;
    uint64_t last = dimension->kind == ASTRA_FULL ? dimension->size : place + 2;
    if (dimension->kind == ASTRA_SWITCH) {
        fprintf(list, "h%" PRIu64 " s%" PRIu32 "_%" PRIu64 " %" PRIu64 "bps %" PRIu64 "ps\n", host, i, first,
                dimension->rate_bps, dimension->delay_ps);
        return;
    }
    for (uint64_t other = place + 1; other < last; other++) {
        bool is_closing = other == dimension->size && dimension->size > 2;
        if (other < dimension->size || is_closing) {
            fprintf(list, "h%" PRIu64 " h%" PRIu64 " %" PRIu64 "bps %" PRIu64 "ps\n", host,
                    first + other % dimension->size * dimension->stride, dimension->rate_bps,
                    dimension->delay_ps);
        }
    }
}

enum status import_astra(const struct doc *root, struct arena *arena, char **list, struct diag *diag)
{
    struct astra astra = {.hosts = 1};
    enum status status = STATUS_OK;
    uint64_t links = 0;
    for (uint32_t field = 0; status == STATUS_OK && field < 4; field++) {
        status = astra_list(root, field, &astra, diag);
    }
    for (uint32_t i = 0; status == STATUS_OK && i < astra.count; i++) {
        astra.dimension[i].stride = astra.hosts;
        astra.hosts *= astra.dimension[i].size;
        links += astra.dimension[i].kind == ASTRA_FULL ? astra.dimension[i].size : 1;
        if (astra.hosts > FABRIC_HOSTS_MAX || links * astra.hosts > FABRIC_LINKS_MAX) {
            status = diag_input(diag, root->at, "%" PRIu64 " hosts with %" PRIu64 " links each are too many",
                                astra.hosts, links);
        }
    }
    if (status != STATUS_OK) {
        return status;
    }
    char *written = NULL;
    size_t bytes = 0;
    FILE *stream = open_memstream(&written, &bytes);
    for (uint64_t host = 0; host < astra.hosts; host++) {
        for (uint32_t i = 0; i < astra.count; i++) {
            astra_host(&astra, i, host, stream);
        }
    }
    fclose(stream);
    *list = arena_strdup(arena, written);
    free(written);
    return STATUS_OK;
}
