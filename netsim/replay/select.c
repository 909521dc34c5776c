#include "netsim/replay/select.h"

#include "netsim/replay/coll_custom.h"
#include "netsim/replay/nccl.h"
#include "photonet/units.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

const char *const protocol_names[] = {"none", "ll", "ll128", "simple", NULL};
const char *const generation_names[] = {"volta", "ampere", "hopper", "blackwell", NULL};

/* ---- rules ------------------------------------------------------------------------------------------------ */

static bool rule_fits(const struct collective_rule *rule, enum collective_kind kind, uint64_t bytes, const char *group)
{
    return (rule->kind < 0 || rule->kind == (int)kind) && bytes >= rule->low_bytes && bytes <= rule->high_bytes &&
           (rule->group == NULL || fnmatch(rule->group, group, 0) == 0);
}

static const struct collective_rule *rule_find(const struct collective_policy *policy, enum collective_kind kind,
                                               uint64_t bytes, const char *group)
{
    for (size_t i = 0; i < policy->rule_count; i++) {
        if (rule_fits(&policy->rules[i], kind, bytes, group)) {
            return &policy->rules[i];
        }
    }
    return NULL;
}

static int kind_find(const char *text)
{
    for (int kind = 0; kind < COLLECTIVE_KIND_COUNT; kind++) {
        if (collective_find((enum collective_kind)kind, NULL) != NULL &&
            strcmp(collective_name((enum collective_kind)kind), text) == 0) {
            return kind;
        }
    }
    return -1;
}

static bool protocol_find(const char *text, enum protocol *protocol)
{
    for (int i = 0; protocol_names[i] != NULL; i++) {
        if (strcmp(protocol_names[i], text) == 0) {
            *protocol = (enum protocol)i;
            return true;
        }
    }
    return false;
}

static enum status size_parse(const char *text, struct origin at, struct collective_rule *rule, struct diag *diag)
{
    char why[256];
    uint64_t bytes;
    bool is_below = text[0] == '<', is_equal = text[1] == '=';
    if ((text[0] != '<' && text[0] != '>') || !quantity_parse_u64(QUANTITY_SIZE, text + 1 + is_equal, &bytes, why)) {
        return diag_input(diag, at, "rule: \"size%s\"; expected size<64KiB, size<=, size> or size>=", text);
    }
    if (is_below) {
        rule->high_bytes = is_equal || bytes == 0 ? bytes : bytes - 1;
    } else {
        rule->low_bytes = is_equal ? bytes : bytes + 1;
    }
    return STATUS_OK;
}

static enum status condition_parse(char *word, struct origin at, struct collective_rule *rule, struct diag *diag)
{
    if (strncmp(word, "size", 4) == 0) {
        return size_parse(word + 4, at, rule, diag);
    }
    if (strncmp(word, "group=", 6) == 0) {
        rule->group = word + 6;
        return STATUS_OK;
    }
    rule->kind = kind_find(word);
    return rule->kind >= 0 ? STATUS_OK
                           : diag_input(diag, at, "rule: \"%s\" is no condition; expected a collective (all_reduce), "
                                                  "size<BYTES or group=PATTERN", word);
}

/* ---- algorithms of files ---------------------------------------------------------------------------------- */

#define CUSTOM_PREFIX "custom:"

bool collective_is_custom(const char *name)
{
    return strncmp(name, CUSTOM_PREFIX, strlen(CUSTOM_PREFIX)) == 0;
}

enum status collective_custom(const char *name, int kind, struct origin at, struct arena *arena,
                              struct collective_policy *policy, const struct collective_algorithm **algorithm,
                              struct diag *diag)
{
    const char *text = name + strlen(CUSTOM_PREFIX);
    for (const struct custom_entry *entry = policy->custom; entry != NULL; entry = entry->next) {
        if (entry->kind == kind && strcmp(entry->text, text) == 0) {
            *algorithm = entry->algorithm;
            return STATUS_OK;
        }
    }
    enum status status = custom_open(text, kind, at, arena, algorithm, diag);
    if (status == STATUS_OK) {
        struct custom_entry *entry = arena_one(arena, struct custom_entry);
        *entry = (struct custom_entry){arena_strdup(arena, text), kind, *algorithm, policy->custom};
        policy->custom = entry;
    }
    return status;
}

const char *collective_customs_text(const struct collective_policy *policy, const char *indent, struct arena *arena)
{
    const char *text = "";
    for (const struct custom_entry *entry = policy->custom; entry != NULL; entry = entry->next) {
        const struct custom_program *program = entry->algorithm->custom;
        const struct custom_collective *source = program->source;
        text = arena_printf(arena, "%s%s%s: %s of %u ranks, %u operation%s", text, indent, entry->algorithm->name,
                            collective_name(program->kind), source->rank_count, source->op_count,
                            plural(source->op_count, "s"));
        if (program->size_bytes > 0) {
            char size[32];
            text = arena_printf(arena, "%s; messages of a call of %s%s, scaled to each call's size", text,
                                quantity_print_u64(QUANTITY_SIZE, program->size_bytes, size, sizeof size),
                                program->size_bytes % source->rank_count != 0 ? " (no multiple of the ranks: rounded up)" : "");
        }
        if (source->compute_count > 0) {
            text = arena_printf(arena, "%s; %u computation%s of %.6g us in all take%s no time", text, source->compute_count,
                                plural(source->compute_count, "s"), (double)source->compute_ps * 1e-6, source->compute_count == 1 ? "s" : "");
        }
        text = arena_printf(arena, "%s\n", text);
    }
    return text;
}

/* custom:PATH[@SIZE][/PROTOCOL]: a path has slashes of its own, so only the last part can be a protocol. */
static enum status custom_parse(char *text, struct origin at, struct arena *arena, struct collective_policy *policy,
                                struct collective_rule *rule, struct diag *diag)
{
    char *slash = strrchr(text, '/');
    if (slash != NULL && protocol_find(slash + 1, &rule->protocol)) {
        *slash = 0;
    }
    rule->algorithm = text;
    return collective_custom(text, rule->kind, at, arena, policy, &rule->custom, diag);
}

/* ---- one rule --------------------------------------------------------------------------------------------- */

/* ALGORITHM[/PROTOCOL[/CHANNELS]] */
static enum status decision_parse(char *text, struct origin at, struct collective_rule *rule, struct diag *diag)
{
    char *rest = NULL, *name = strtok_r(text, "/", &rest), *protocol = strtok_r(NULL, "/", &rest);
    char *channels = strtok_r(NULL, "/", &rest), *end = NULL;
    rule->algorithm = name == NULL || strcmp(name, "*") == 0 ? NULL : name;
    bool is_known = rule->algorithm == NULL;
    for (int kind = 0; kind < COLLECTIVE_KIND_COUNT && rule->algorithm != NULL; kind++) {
        is_known |= (rule->kind < 0 || rule->kind == kind) &&
                    collective_find((enum collective_kind)kind, rule->algorithm) != NULL;
    }
    if (name == NULL || !is_known) {
        return diag_input(diag, at, "rule: no algorithm \"%s\"%s%s; `photonet run --parameters` lists them",
                          name == NULL ? "" : name, rule->kind < 0 ? "" : " for ",
                          rule->kind < 0 ? "" : collective_name((enum collective_kind)rule->kind));
    }
    if (protocol != NULL && !protocol_find(protocol, &rule->protocol)) {
        return diag_input(diag, at, "rule: no protocol \"%s\"; expected none, ll, ll128 or simple", protocol);
    }
    long count = channels == NULL ? 0 : strtol(channels, &end, 10);
    if (channels != NULL && (*end != 0 || count < 1 || count > 1024)) {
        return diag_input(diag, at, "rule: \"%s\" channels; expected 1 to 1024", channels);
    }
    rule->channels = (uint32_t)count;
    return STATUS_OK;
}

static enum status rule_parse(char *text, struct origin at, struct arena *arena, struct collective_policy *policy,
                              struct collective_rule *rule, struct diag *diag)
{
    *rule = (struct collective_rule){.kind = -1, .high_bytes = UINT64_MAX, .protocol = PROTOCOL_AUTO};
    char *arrow = strstr(text, "->"), *rest = NULL;
    if (arrow == NULL) {
        return diag_input(diag, at, "rule: \"%s\"; expected CONDITIONS -> ALGORITHM/PROTOCOL/CHANNELS", text);
    }
    *arrow = 0;
    enum status status = STATUS_OK;
    for (char *word = strtok_r(text, " \t", &rest); word != NULL && status == STATUS_OK;
         word = strtok_r(NULL, " \t", &rest)) {
        status = condition_parse(word, at, rule, diag);
    }
    char *decision = strtok_r(arrow + 2, " \t", &rest);
    if (status != STATUS_OK || decision == NULL) {
        return status != STATUS_OK ? status : diag_input(diag, at, "rule: nothing behind \"->\"; expected an algorithm");
    }
    return collective_is_custom(decision) ? custom_parse(decision, at, arena, policy, rule, diag)
                                          : decision_parse(decision, at, rule, diag);
}

enum status collective_rules_parse(const char *text, struct origin at, struct arena *arena,
                                   struct collective_policy *policy, struct diag *diag)
{
    char *copy = arena_strdup(arena, text), *rest = NULL;
    struct collective_rule *rules = NULL;
    size_t capacity = 0;
    policy->rule_count = 0;
    for (char *one = strtok_r(copy, ";", &rest); one != NULL; one = strtok_r(NULL, ";", &rest)) {
        struct collective_rule *rule = &vec_push(arena, rules, policy->rule_count, capacity);
        enum status status = rule_parse(one, at, arena, policy, rule, diag);
        if (status != STATUS_OK) {
            return status;
        }
    }
    policy->rules = rules;
    return STATUS_OK;
}

/* ---- choosing --------------------------------------------------------------------------------------------- */

static const struct collective_algorithm *nccl_row(enum collective_kind kind, enum nccl_algorithm algorithm)
{
    static const char *const names[] = {[NCCL_TREE] = "tree", [NCCL_RING] = "ring", [NCCL_PAT] = "pat",
                                        [NCCL_NVLS] = "nvls", [NCCL_NVLS_TREE] = "nvls_tree"};
    bool is_chain = kind == COLLECTIVE_BROADCAST || kind == COLLECTIVE_REDUCE; /* NCCL's ring of these two */
    return collective_find(kind, is_chain ? "chain" : names[algorithm]);
}

/* The row of NCCL that an algorithm goes by. */
static enum nccl_algorithm nccl_of(const struct collective_algorithm *algorithm)
{
    return strcmp(algorithm->name, "tree") == 0        ? NCCL_TREE
           : strcmp(algorithm->name, "pat") == 0       ? NCCL_PAT
           : strcmp(algorithm->name, "nvls_tree") == 0 ? NCCL_NVLS_TREE
           : collective_has_teams(algorithm)           ? NCCL_NVLS
                                                       : NCCL_RING;
}

/* The fastest of NCCL's model among what is open. All-to-all, gather and scatter are sends and receives: no choice. */
static void nccl_choose(const struct nccl_case *of, struct collective_choice *choice)
{
    double best_us = 0;
    const struct collective_algorithm *fixed = choice->algorithm;
    enum protocol asked = choice->protocol;
    for (int algorithm = 0; algorithm < NCCL_ALGORITHM_COUNT; algorithm++) {
        for (int protocol = PROTOCOL_LL; protocol <= PROTOCOL_SIMPLE; protocol++) {
            double time_us = nccl_time_us(of, (enum nccl_algorithm)algorithm, (enum protocol)protocol);
            const struct collective_algorithm *row = nccl_row(of->kind, (enum nccl_algorithm)algorithm);
            bool is_open = row != NULL && (fixed == NULL || row == fixed) &&
                           (asked == PROTOCOL_AUTO || asked == (enum protocol)protocol);
            if (is_open && time_us >= 0 && (best_us == 0 || time_us < best_us)) {
                best_us = time_us;
                choice->algorithm = row;
                choice->protocol = (enum protocol)protocol;
            }
        }
    }
}

/* Small enough that the tree is full of chunks: calcCollChunking in src/enqueue.cc of NCCL 2.30.7, its steps in tenths. */
static uint64_t tree_ll128_chunk(const struct nccl_case *of, uint64_t channels, uint64_t chunk_bytes)
{
    uint32_t servers = of->members / of->local;
    uint64_t tenths = 10 + 10 * (31 - (uint64_t)__builtin_clz(servers)) + of->local;
    static const struct {
        uint64_t chunks, least_bytes;
    } rounds[] = {{64, 128 << 10}, {16, 32 << 10}};
    for (int i = 0; i < 2; i++) {
        while (of->bytes / (channels * chunk_bytes) * 10 * of->local < tenths * rounds[i].chunks &&
               chunk_bytes > rounds[i].least_bytes) {
            chunk_bytes /= 2;
        }
    }
    return chunk_bytes;
}

/* NCCL's chunks: 8 steps a buffer of 4 MiB (Simple), 512 KiB (LL, half of it flags), 4,915,200 B (LL128, 15/16 of it data);
 * a ring of Simple moves 4 steps a chunk in slices of 2, everything else one step a chunk (src/include/device.h). */
static void chunks_set(const struct collective_policy *policy, const struct nccl_case *of, struct collective_choice *choice)
{
    static const uint64_t step_bytes[PROTOCOL_COUNT] = {0, 32 << 10, 576000, 512 << 10};
    bool is_simple_ring = choice->protocol == PROTOCOL_SIMPLE && nccl_of(choice->algorithm) == NCCL_RING;
    uint64_t step = step_bytes[choice->protocol];
    choice->slices = policy->slices > 0 ? policy->slices : is_simple_ring ? 2 : 1;
    choice->ring_bytes = policy->ring_bytes > 0 ? policy->ring_bytes : is_simple_ring ? 4 * step : step;
    if (nccl_of(choice->algorithm) == NCCL_TREE && choice->protocol == PROTOCOL_LL128) {
        step = tree_ll128_chunk(of, choice->channels, step);
    }
    if (of->kind == COLLECTIVE_BROADCAST || of->kind == COLLECTIVE_REDUCE) { /* a channel's share in one chunk, if it fits */
        uint64_t share = (of->bytes + choice->channels - 1) / choice->channels;
        step = share > 0 && share < step ? share : step;
    }
    bool is_nvls = nccl_of(choice->algorithm) == NCCL_NVLS || nccl_of(choice->algorithm) == NCCL_NVLS_TREE;
    choice->chunk_bytes = is_nvls ? nccl_nvls_chunk(of, nccl_of(choice->algorithm), choice->channels) : step;
}

static void protocol_apply(const struct collective_policy *policy, struct nccl_case *of, const struct collective_rule *rule,
                           struct collective_choice *choice)
{
    enum nccl_algorithm row = nccl_of(choice->algorithm);
    uint32_t asked = rule != NULL && rule->channels > 0 ? rule->channels : policy->channels;
    bool is_nvls = row == NCCL_NVLS || row == NCCL_NVLS_TREE;
    choice->channels = asked > 0 ? asked
                       : is_nvls ? nccl_nvls_channels(of->generation, of->local == of->members)
                                 : nccl_channels(row, choice->protocol, of->bytes, of->members, of->channels);
    of->channels = choice->channels;
    nccl_protocol(of, row, choice);
    chunks_set(policy, of, choice);
}

struct collective_choice collective_choose(const struct collective_policy *policy,
                                           const struct collective_machine *machine, enum collective_kind kind,
                                           const struct collective_call *call, const char *group)
{
    uint64_t bytes = collective_size_bytes(kind, call->bytes, call->members);
    const struct collective_rule *rule = rule_find(policy, kind, bytes, group);
    struct collective_choice choice = {
        .algorithm = policy->algorithm[kind], .protocol = policy->protocol, .chunk_bytes = call->chunk_bytes,
        .ring_bytes = policy->ring_bytes, .slices = policy->slices > 0 ? policy->slices : 1,
        .channels = policy->channels > 0 ? policy->channels : 1, .wire_num = 1, .wire_den = 1};
    if (rule != NULL) {
        const struct collective_algorithm *named = rule->algorithm == NULL ? NULL : collective_find(kind, rule->algorithm);
        choice.algorithm = rule->custom != NULL ? rule->custom : named != NULL ? named : choice.algorithm;
        choice.protocol = rule->protocol != PROTOCOL_AUTO ? rule->protocol : choice.protocol;
        choice.channels = rule->channels > 0 ? rule->channels : choice.channels;
    }
    uint32_t local = call->local;
    struct nccl_case of = {.machine = machine, .generation = policy->generation, .efficiency = policy->efficiency,
                           .kind = kind, .members = call->members, .local = local, .bytes = bytes,
                           .channels = nccl_channels_max(policy->generation, local == call->members)};
    if (policy->is_nccl && call->members > 1 && choice.protocol != PROTOCOL_NONE) {
        nccl_choose(&of, &choice);
    }
    choice.algorithm = choice.algorithm != NULL ? choice.algorithm
                       : policy->is_nccl && kind == COLLECTIVE_ALL_TO_ALL ? collective_find(kind, "window")
                                                                          : collective_find(kind, NULL);
    const struct custom_program *custom = choice.algorithm->custom;
    if (custom != NULL && choice.protocol == PROTOCOL_AUTO && policy->is_nccl && custom->source->protocol != NULL) {
        protocol_find(custom->source->protocol, &choice.protocol);
    }
    if (choice.protocol == PROTOCOL_AUTO) { /* NCCL's sends and receives use Simple, and a barrier is an all-reduce of a word */
        choice.protocol = !policy->is_nccl               ? PROTOCOL_NONE
                          : kind == COLLECTIVE_BARRIER ? PROTOCOL_LL
                                                       : PROTOCOL_SIMPLE;
    }
    if (choice.protocol != PROTOCOL_NONE) {
        protocol_apply(policy, &of, rule, &choice);
    }
    return choice;
}
