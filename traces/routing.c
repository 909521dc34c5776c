#include "traces/routing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* SplitMix64 (Steele, Lea, Flood 2014) as a hash of what names the draw, so that no draw depends on another. */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t below(uint64_t bits, uint64_t limit)
{
    return (uint64_t)(((unsigned __int128)bits * limit) >> 64);
}

/* ---- popularity
 * ---------------------------------------------------------------------------------------------- */

/* A weight of 2^32 for an expert with an equal share: sums of 65,536 experts stay far below 64 bits. */
#define EQUAL_WEIGHT 4294967296.0

/* The k-th most popular of n has a share of k^-zipf; who that is, is drawn for the layer. */
static void zipf_weights(uint64_t experts, double zipf, uint64_t key, uint64_t *weight)
{
    double sum = 0;
    for (uint64_t k = 1; k <= experts; k++) {
        sum += pow((double)k, -zipf);
    }
    for (uint64_t k = 0; k < experts; k++) {
        double share = pow((double)(k + 1), -zipf) / sum;
        weight[k] = (uint64_t)(share * (double)experts * EQUAL_WEIGHT) + 1;
    }
    for (uint64_t last = experts - 1; last > 0; last--) { /* Fisher and Yates */
        uint64_t other = below(mix(key + last), last + 1), keep = weight[last];
        weight[last] = weight[other];
        weight[other] = keep;
    }
}

static enum status row_read(const struct doc *list, uint64_t experts, uint64_t *weight, struct diag *diag)
{
    uint64_t i = 0;
    double sum = 0;
    for (const struct doc *number = list->child; number != NULL; number = number->next, i++) {
        char *end = NULL;
        double value = number->text != NULL ? strtod(number->text, &end) : -1;
        if (i >= experts || number->text == NULL || *end != '\0' || !(value >= 0 && value <= 1e9)) {
            return diag_input(diag, number->at, "expected %u numbers from 0 to 1e9, one an expert",
                              (unsigned)experts);
        }
        weight[i] = (uint64_t)(value * 1e9) + 1; /* a token may always go astray */
        sum += value;
    }
    if (i == experts && sum <= 0) {
        return diag_input(diag, list->at, "has nothing but zeros; expected an expert that tokens go to");
    }
    return i == experts ? STATUS_OK
                        : diag_input(diag, list->at, "has %u numbers; expected %u, one an expert", (unsigned)i,
                                     (unsigned)experts);
}

enum status histogram_load(const char *path, uint64_t experts, struct arena *arena, struct popularity *popularity,
                           struct diag *diag)
{
    const struct doc *root;
    enum status status = doc_load(path, arena, &root, diag);
    if (status != STATUS_OK) {
        return status;
    }
    if (root->kind != DOC_LIST || root->child_count == 0) {
        return diag_input(diag, root->at, "is no list; expected a list of numbers, or of lists of numbers");
    }
    bool is_single = root->child->kind == DOC_SCALAR;
    uint32_t rows = is_single ? 1 : root->child_count;
    uint64_t *weight = arena_array(arena, rows * experts, uint64_t);
    const struct doc *row = is_single ? root : root->child;
    for (uint32_t i = 0; i < rows && status == STATUS_OK; i++, row = row->next) {
        status = row->kind == DOC_LIST ? row_read(row, experts, weight + i * experts, diag)
                                       : diag_input(diag, row->at, "is no list; expected one a layer");
    }
    *popularity = (struct popularity){(uint32_t)experts, rows, weight};
    return status;
}

/* ---- choosing
 * ------------------------------------------------------------------------------------------------ */

#define TOKENS_DRAWN_MAX 1024

struct choice {
    const uint64_t *sum; /* experts + 1 */
    uint64_t experts, groups, experts_per_group, groups_per_token, top_k, experts_per_member;
    uint64_t *counts; /* of one sender, by receiver */
};

static uint64_t expert_at(const struct choice *choice, uint64_t weight)
{
    uint64_t low = 0, high = choice->experts;
    while (high - low > 1) {
        uint64_t middle = (low + high) / 2;
        if (choice->sum[middle] <= weight) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

/* What one token has chosen so far; groups as bits. */
struct chosen {
    uint64_t expert[64], count, groups;
};

static bool is_allowed(const struct choice *choice, const struct chosen *chosen, uint64_t expert)
{
    for (uint64_t i = 0; i < chosen->count; i++) {
        if (chosen->expert[i] == expert) {
            return false;
        }
    }
    if (choice->groups == 0) {
        return true;
    }
    uint64_t groups = chosen->groups | UINT64_C(1) << expert / choice->experts_per_group;
    return (uint64_t)__builtin_popcountll(groups) <= choice->groups_per_token;
}

/* Draws until enough different ones are found; where popularity leaves too little to chance, the next in line. */
static void token_choose(const struct choice *choice, uint64_t key)
{
    struct chosen chosen;
    chosen.count = chosen.groups = 0;
    for (uint64_t tries = 0; chosen.count < choice->top_k; tries++) {
        uint64_t bits = mix(key + tries * UINT64_C(0xd1b54a32d192ed03));
        uint64_t expert = expert_at(choice, below(bits, choice->sum[choice->experts]));
        for (uint64_t i = 0; tries > 64 * choice->top_k && i < choice->experts &&
                             !is_allowed(choice, &chosen, expert); i++) {
            expert = (expert + 1) % choice->experts;
        }
        if (is_allowed(choice, &chosen, expert)) {
            chosen.expert[chosen.count++] = expert;
            chosen.groups |= choice->groups == 0 ? 0 : UINT64_C(1) << expert / choice->experts_per_group;
            choice->counts[expert / choice->experts_per_member]++;
        }
    }
}

/* From counts of `drawn` tokens to those of `tokens`, with no token lost. */
static void counts_scale(uint64_t *counts, uint32_t members, uint64_t drawn, uint64_t tokens)
{
    uint64_t sum = 0, before = 0;
    for (uint32_t to = 0; to < members; to++) {
        sum += counts[to];
        uint64_t after = (uint64_t)((unsigned __int128)sum * tokens / drawn);
        counts[to] = after - before;
        before = after;
    }
}

void routing_draw(const struct transformer_shape *shape, const struct transformer_plan *plan,
                  const struct popularity *measured, uint64_t layer, uint64_t draw, uint64_t tokens,
                  struct arena *scratch, uint64_t *counts)
{
    uint64_t experts = shape->experts, drawn = tokens < TOKENS_DRAWN_MAX ? tokens : TOKENS_DRAWN_MAX;
    uint64_t layer_key = mix(mix(plan->routing_seed) + layer);
    uint64_t *weight = arena_array(scratch, experts, uint64_t), *sum = arena_array(scratch, experts + 1, uint64_t);
    if (measured->weight != NULL) {
        memcpy(weight, measured->weight + layer % measured->rows * experts, experts * sizeof *weight);
    } else {
        zipf_weights(experts, plan->zipf, layer_key, weight);
    }
    for (uint64_t i = 0; i < experts; i++) {
        sum[i + 1] = sum[i] + weight[i];
    }
    struct choice choice = {.sum = sum,
                            .experts = experts,
                            .groups = shape->expert_groups,
                            .experts_per_group = shape->expert_groups > 0 ? experts / shape->expert_groups : 0,
                            .groups_per_token = shape->groups_per_token,
                            .top_k = shape->top_k,
                            .experts_per_member = experts / plan->ep};
    memset(counts, 0, plan->ep * plan->ep * sizeof *counts);
    for (uint64_t from = 0; from < plan->ep; from++) {
        choice.counts = counts + from * plan->ep;
        for (uint64_t token = 0; token < drawn; token++) {
            token_choose(&choice, mix(mix(layer_key + draw) + (from << 32 | token)));
        }
        counts_scale(choice.counts, (uint32_t)plan->ep, drawn, tokens);
    }
}
