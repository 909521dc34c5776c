/* Reading tables of layers: see layer_table.h. */
#include "traces/layer_table.h"

#include "traces/text_lines.h"

#include <stdlib.h>
#include <string.h>

/* Rows are for one rank; a hundred layers times some thousand micro-batches. */
#define LAYERS_MAX (UINT32_C(1) << 22)

static const char *const policy_names[POLICY_COUNT] = {
    [POLICY_DATA] = "DATA",
    [POLICY_MODEL] = "MODEL",
    [POLICY_DATA_MODEL] = "HYBRID_DATA_MODEL",
    [POLICY_MODEL_DATA] = "HYBRID_MODEL_DATA",
    [POLICY_TRANSFORMER] = "HYBRID_TRANSFORMER",
    [POLICY_TRANSFORMER_FWD_IN_BCKWD] = "HYBRID_TRANSFORMER_FWD_IN_BCKWD",
    [POLICY_DLRM] = "HYBRID_DLRM",
    [POLICY_DLRM_ENHANCED] = "HYBRID_DLRM_ENHANCED",
    [POLICY_CUSTOMIZED] = "HYBRID_CUSTOMIZED",
    [POLICY_MICRO] = "MICRO",
    [POLICY_INFERENCE] = "DISTRIBUTED_INFERENCE",
};

struct reading {
    struct text_lines lines;
    enum layer_dialect dialect;
    struct arena *arena;
    struct diag *diag;
    struct layer_table *table;
    char *cursor; /* in the current line */
    uint32_t *checkpoints, *initiates;
    size_t checkpoint_count, initiate_count;
};

static enum layer_policy policy_find(const char *name)
{
    enum layer_policy policy = 0;
    while (policy < POLICY_COUNT && strcmp(policy_names[policy], name) != 0) {
        policy++;
    }
    return policy;
}

/* What the communications of a policy join where the kind does not say it; decode_involved_dimensions. */
static enum layer_role role_of(enum layer_policy policy, enum layer_phase phase, bool is_first_row)
{
    bool is_weight = phase == PHASE_WEIGHT_GRADIENT;
    switch (policy) {
    case POLICY_DLRM:
    case POLICY_DLRM_ENHANCED:
        return is_weight || is_first_row ? ROLE_ALL : ROLE_NONE;
    case POLICY_DATA:
    case POLICY_MICRO:
        return is_weight ? ROLE_ALL : ROLE_NONE;
    case POLICY_MODEL:
    case POLICY_INFERENCE:
        return is_weight ? ROLE_NONE : ROLE_ALL;
    default:
        return is_weight ? ROLE_DATA : ROLE_MODEL;
    }
}

/* ---- the first line ---------------------------------------------------------------------------------- */

static enum status number_read(struct reading *reading, const char *key, uint64_t *value)
{
    const char *word = text_word(&reading->cursor);
    return text_u64(word, value) ? STATUS_OK
                                 : text_refuse(&reading->lines, reading->diag,
                                               "\"%.40s\" is followed by \"%.40s\"; expected a number", key,
                                               word == NULL ? "" : word);
}

/* A count and as many row numbers. */
static enum status list_read(struct reading *reading, const char *key, uint32_t **list, size_t *count)
{
    uint64_t wanted;
    size_t capacity = 0;
    enum status status = number_read(reading, key, &wanted);
    for (uint64_t i = 0; i < wanted && status == STATUS_OK; i++) {
        uint64_t row;
        status = number_read(reading, key, &row);
        if (status == STATUS_OK && row >= LAYERS_MAX) {
            status = text_refuse(&reading->lines, reading->diag, "%.40s names no row", key);
        }
        if (status == STATUS_OK) {
            vec_push(reading->arena, *list, *count, capacity) = (uint32_t)row;
        }
    }
    return status;
}

static enum status key_read(struct reading *reading, char *key)
{
    struct layer_head *head = &reading->table->head;
    const struct {
        const char *key;
        uint64_t *value;
        bool *has;
    } keys[] = {
        {"model_parallel_NPU_group", &head->model, &head->has_model},
        {"ep", &head->expert, NULL},
        {"pp", &head->pipeline, NULL},
        {"vpp", &head->virtual_pipeline, NULL},
        {"ga", &head->accumulation, NULL},
        {"all_gpus", &head->ranks, NULL},
        {"pp_comm", &head->pipeline_bytes, NULL},
        {"DLRM_LAST_BOTTOM_LAYER", &head->last_bottom, &head->has_last_bottom},
    };
    size_t length = strlen(key);
    key[length - 1] = key[length - 1] == ':' ? '\0' : key[length - 1];
    if (strcmp(key, "checkpoints") == 0) {
        return list_read(reading, key, &reading->checkpoints, &reading->checkpoint_count);
    }
    if (strcmp(key, "checkpoint_initiates") == 0) {
        return list_read(reading, key, &reading->initiates, &reading->initiate_count);
    }
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (strcmp(keys[i].key, key) == 0) {
            if (keys[i].has != NULL) {
                *keys[i].has = true;
            }
            return number_read(reading, key, keys[i].value);
        }
    }
    bool is_dlrm = head->policy == POLICY_DLRM || head->policy == POLICY_DLRM_ENHANCED;
    if (is_dlrm && !head->has_last_bottom && text_u64(key, &head->last_bottom)) {
        head->has_last_bottom = true; /* ASTRA-sim 1.0 writes the number alone */
        return STATUS_OK;
    }
    return text_refuse(
        &reading->lines, reading->diag,
        "unknown word \"%.40s\" behind the policy; expected model_parallel_NPU_group:, ep:, pp:, vpp:, "
        "ga:, all_gpus:, pp_comm, checkpoints:, checkpoint_initiates: or the last bottom layer of DLRM",
        key);
}

static enum status head_read(struct reading *reading)
{
    char *word = NULL;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && word == NULL) {
        status = text_next(&reading->lines, &reading->cursor, reading->diag);
        if (status != STATUS_OK || reading->cursor == NULL) {
            break;
        }
        word = text_word(&reading->cursor);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct layer_head *head = &reading->table->head;
    head->policy = word == NULL ? POLICY_COUNT : policy_find(word);
    if (head->policy == POLICY_COUNT) {
        return text_refuse(
            &reading->lines, reading->diag,
            "begins with \"%.40s\"; expected a policy: DATA, MODEL, MICRO, HYBRID_TRANSFORMER, ...",
            word == NULL ? "" : word);
    }
    while (status == STATUS_OK && (word = text_word(&reading->cursor)) != NULL) {
        status = key_read(reading, word);
    }
    bool is_dlrm = head->policy == POLICY_DLRM || head->policy == POLICY_DLRM_ENHANCED;
    if (status == STATUS_OK && is_dlrm && !head->has_last_bottom) {
        status = text_refuse(&reading->lines, reading->diag, "has no last bottom layer behind HYBRID_DLRM");
    }
    return status;
}

/* ---- rows -------------------------------------------------------------------------------------------- */

/* The next word of the file, wherever its line ends; NULL at the end. */
static enum status word_next(struct reading *reading, char **word)
{
    *word = NULL;
    while (reading->cursor != NULL && (*word = text_word(&reading->cursor)) == NULL) {
        enum status status = text_next(&reading->lines, &reading->cursor, reading->diag);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

static enum status word_expect(struct reading *reading, uint32_t row, const char *what, char **word)
{
    enum status status = word_next(reading, word);
    if (status == STATUS_OK && *word == NULL) {
        status = text_refuse(&reading->lines, reading->diag,
                             "ends in row %u of %u, before its %s; it is truncated", row + 1,
                             reading->table->count, what);
    }
    return status;
}

static enum status amount_read(struct reading *reading, uint32_t row, const char *what, uint64_t *value)
{
    char *word;
    double real;
    enum status status = word_expect(reading, row, what, &word);
    if (status != STATUS_OK || (text_u64(word, value) && *value <= UINT64_MAX >> 4)) {
        return status;
    }
    if (!text_real(word, &real) || real >= 0x1p60) { /* AICB writes some times as 12.0 */
        return text_refuse(&reading->lines, reading->diag,
                           "row %u: %s is \"%.40s\"; expected a number from 0", row + 1, what, word);
    }
    *value = (uint64_t)(real + 0.5);
    return STATUS_OK;
}

/* The kind, and in SimAI's dialect the group behind it. */
static bool type_parse(const char *word, enum layer_dialect dialect, struct layer_comm *comm)
{
    static const struct {
        const char *name;
        enum collective_kind kind;
        bool has_all_reduce_first;
    } types[] = {
        {"ALLREDUCEALLTOALL", COLLECTIVE_ALL_TO_ALL, true},  {"ALLREDUCE", COLLECTIVE_ALL_REDUCE, false},
        {"ALLGATHER", COLLECTIVE_ALL_GATHER, false},         {"ALLTOALL", COLLECTIVE_ALL_TO_ALL, false},
        {"REDUCESCATTER", COLLECTIVE_REDUCE_SCATTER, false},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        size_t length = strlen(types[i].name);
        if (strncmp(types[i].name, word, length) != 0) {
            continue;
        }
        const char *rest = word + length;
        bool is_expert = dialect == DIALECT_SIMAI && strcmp(rest, "_EP") == 0;
        bool is_expert_data = dialect == DIALECT_SIMAI && strcmp(rest, "_DP_EP") == 0;
        if (*rest != '\0' && !is_expert && !is_expert_data) {
            continue;
        }
        if (dialect == DIALECT_SIMAI && types[i].has_all_reduce_first) {
            return false; /* SimAI's own reader never gets as far as this kind */
        }
        comm->is_some = true;
        comm->kind = types[i].kind;
        comm->has_all_reduce_first = types[i].has_all_reduce_first;
        comm->role = is_expert ? ROLE_EXPERT : is_expert_data ? ROLE_EXPERT_DATA : comm->role;
        return true;
    }
    return false;
}

static void unknown_note(struct reading *reading, const char *type, uint64_t bytes)
{
    struct layer_table *table = reading->table;
    size_t i = 0;
    while (i < table->unknown_count && strcmp(table->unknown[i].type, type) != 0) {
        i++;
    }
    if (i == table->unknown_count) {
        if (i == 16) { /* a damaged file could have one in every row */
            i = 15;
        } else {
            vec_push(reading->arena, table->unknown, table->unknown_count, table->unknown_capacity) =
                (struct layer_unknown){.type = type};
        }
    }
    table->unknown[i].count++;
    table->unknown[i].bytes += bytes;
}

static enum status phase_read(struct reading *reading, uint32_t row, struct layer *layer,
                              enum layer_phase phase)
{
    char *word, type[64];
    struct layer_comm *comm = &layer->comm[phase];
    enum status status = amount_read(reading, row, "compute time", &layer->compute[phase]);
    status = status == STATUS_OK ? word_expect(reading, row, "communication", &word) : status;
    if (status != STATUS_OK) {
        return status;
    }
    size_t length = strnlen(word, sizeof type - 1);
    memcpy(type, word, length);
    type[length] = '\0';
    comm->role = role_of(reading->table->head.policy, phase, row == 0);
    bool is_known = type_parse(type, reading->dialect, comm) || strcmp(type, "NONE") == 0;
    status = amount_read(reading, row, "communication size", &comm->bytes);
    if (status == STATUS_OK && !is_known) {
        unknown_note(reading, arena_strdup(reading->arena, type), comm->bytes);
    }
    return status;
}

/* The policy of a row of HYBRID_CUSTOMIZED. */
static enum status row_policy_read(struct reading *reading, uint32_t row, struct layer *layer)
{
    char *word;
    enum status status = word_expect(reading, row, "policy", &word);
    if (status != STATUS_OK) {
        return status;
    }
    enum layer_policy policy = policy_find(word);
    if (policy != POLICY_DATA && policy != POLICY_MODEL && policy != POLICY_DATA_MODEL) {
        return text_refuse(&reading->lines, reading->diag,
                           "row %u has the policy \"%.40s\"; expected DATA, MODEL or HYBRID_DATA_MODEL",
                           row + 1, word);
    }
    for (enum layer_phase phase = 0; phase < PHASE_COUNT; phase++) {
        layer->comm[phase].role = role_of(policy, phase, false);
    }
    return STATUS_OK;
}

static enum status row_read(struct reading *reading, uint32_t row, struct layer *layer)
{
    char *word;
    enum status status = word_expect(reading, row, "name", &word);
    if (status != STATUS_OK) {
        return status;
    }
    layer->name = arena_strdup(reading->arena, word);
    layer->line = reading->lines.line;
    status = word_expect(reading, row, "reserved number", &word);
    for (enum layer_phase phase = 0; phase < PHASE_COUNT && status == STATUS_OK; phase++) {
        status = phase_read(reading, row, layer, phase);
    }
    status = status == STATUS_OK ? amount_read(reading, row, "update time", &layer->update) : status;
    if (status == STATUS_OK && reading->table->head.policy == POLICY_CUSTOMIZED) {
        status = row_policy_read(reading, row, layer);
    }
    return status;
}

static enum status rows_read(struct reading *reading)
{
    struct layer_table *table = reading->table;
    uint64_t count;
    size_t used = 0, capacity = 0;
    char *word;
    enum status status = text_next(&reading->lines, &reading->cursor, reading->diag);
    status = status == STATUS_OK ? word_next(reading, &word) : status;
    if (status != STATUS_OK) {
        return status;
    }
    if (!text_u64(word, &count) || count == 0 || count > LAYERS_MAX) {
        return text_refuse(&reading->lines, reading->diag, "\"%.40s\" is no number of rows; expected 1 to %u",
                           word == NULL ? "" : word, LAYERS_MAX);
    }
    table->count = (uint32_t)count;
    for (uint32_t row = 0; row < count && status == STATUS_OK; row++) {
        struct layer layer = {0};
        status = row_read(reading, row, &layer);
        vec_push(reading->arena, table->layers, used, capacity) = layer;
    }
    status = status == STATUS_OK ? word_next(reading, &word) : status;
    if (status == STATUS_OK && word != NULL) {
        return text_refuse(&reading->lines, reading->diag,
                           "goes on with \"%.40s\" behind its %u rows; expected the end", word, table->count);
    }
    return status;
}

static enum status checkpoints_mark(struct reading *reading)
{
    struct layer_table *table = reading->table;
    struct origin at = {.path = table->path, .line = 1};
    for (size_t i = 0; i < reading->checkpoint_count + reading->initiate_count; i++) {
        bool is_checkpoint = i < reading->checkpoint_count;
        uint32_t row =
            is_checkpoint ? reading->checkpoints[i] : reading->initiates[i - reading->checkpoint_count];
        if (row >= table->count) {
            return diag_input(reading->diag, at,
                              "row %u is a checkpoint or starts from one; expected rows below %u", row,
                              table->count);
        }
        *(is_checkpoint ? &table->layers[row].is_checkpoint : &table->layers[row].initiates) = true;
    }
    bool has_checkpoint = false;
    for (uint32_t row = 0; row < table->count; row++) {
        has_checkpoint |= table->layers[row].is_checkpoint;
        if (table->layers[row].initiates && !has_checkpoint) {
            return diag_input(reading->diag, at, "row %u starts from a checkpoint, but none stands before it",
                              row);
        }
    }
    return STATUS_OK;
}

enum status layer_table_read(const char *path, enum layer_dialect dialect, struct arena *arena,
                             struct layer_table *table, struct diag *diag)
{
    *table = (struct layer_table){.path = path};
    struct reading reading = {.dialect = dialect, .arena = arena, .diag = diag, .table = table};
    enum status status = text_open(path, arena, &reading.lines, diag);
    status = status == STATUS_OK ? head_read(&reading) : status;
    status = status == STATUS_OK ? rows_read(&reading) : status;
    text_close(&reading.lines);
    return status == STATUS_OK ? checkpoints_mark(&reading) : status;
}

/* ---- probing ----------------------------------------------------------------------------------------- */

bool layer_head_is_table(const uint8_t *head, size_t head_bytes, enum layer_dialect *dialect)
{
    static const char *const marks[] = {" ep: ", "all_gpus: ", "pp_comm", "_EP ", "micro_test", "checkpoints: 0"};
    char text[4097];
    size_t length = head_bytes < sizeof text - 1 ? head_bytes : sizeof text - 1;
    memcpy(text, head, length);
    text[length] = '\0';
    for (char *tab; (tab = memchr(text, '\t', length)) != NULL;) {
        *tab = ' '; /* either parts words */
    }
    struct text_head lines = {text, text + length};
    char word[64];
    while (text_head_line(&lines, word, sizeof word) && word[0] == '\0') {
    }
    *dialect = DIALECT_ASTRA;
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        if (strstr(text, marks[i]) != NULL) {
            *dialect = DIALECT_SIMAI;
        }
    }
    return policy_find(word) != POLICY_COUNT;
}
