/* Models: their YAML, and how many parameters they have. */
#include "traces/transformer_int.h"

#include <string.h>

/* ---- reading
 * ------------------------------------------------------------------------------------------------ */

#define COUNT(field_, default_, low_, help_)                                                                   \
    PARAM_U64(struct transformer_shape, field_, COUNT, #field_, default_, low_, "100000000", help_)

static const struct param shape_rows[] = {
    PARAM_TEXT(struct transformer_shape, title, "title", NULL, "one line about the model"),
    COUNT(layers, "1", "1", "layers"),
    COUNT(hidden, "1", "1", "width of activations"),
    COUNT(ffn, "1", "1", "columns of a dense layer's feed-forward block"),
    COUNT(heads, "1", "1", "attention heads"),
    COUNT(kv_heads, "0", "0", "heads of keys and values; 0: as heads"),
    COUNT(head_dim, "0", "0", "width of a head; 0: hidden / heads"),
    COUNT(vocabulary, "1", "1", "words"),
    COUNT(ffn_matrices, "3", "2", "3 with a gate (SwiGLU), 2 without"),
    PARAM_BOOL(struct transformer_shape, has_tied_embedding, "tied_embedding", "no",
               "the output layer is the embedding"),
    COUNT(query_rank, "0", "0", "latent attention: width of compressed queries, 0 for none"),
    COUNT(kv_rank, "0", "0", "latent attention: width of compressed keys and values, 0 for grouped heads"),
    COUNT(rope_dim, "0", "0", "latent attention: width of the rotary part of a key"),
    COUNT(nope_dim, "0", "0", "latent attention: width of the rest of a key"),
    COUNT(experts, "0", "0", "routed experts of a layer"),
    COUNT(top_k, "1", "1", "experts of a token"),
    COUNT(shared_experts, "0", "0", "experts that every token passes"),
    COUNT(expert_ffn, "0", "0", "columns of an expert; 0: as ffn"),
    COUNT(dense_layers, "0", "0", "layers without experts, the first ones"),
    COUNT(expert_groups, "0", "0", "groups of experts, 0 for none"),
    COUNT(groups_per_token, "0", "0", "groups from which a token's experts come"),
};
#undef COUNT
static const struct param_table shape_table = PARAM_TABLE(struct transformer_shape, shape_rows);

/* `is_cut`: the width of a head is hidden / heads. */
static enum status shape_check(const struct transformer_shape *shape, bool is_cut, const struct doc *root, struct diag *diag)
{
    const struct {
        bool is_wrong;
        const char *key; /* whose line it is */
        uint64_t value;
        const char *what;
    } rules[] = {
        {is_cut && shape->hidden % shape->heads != 0, "heads", shape->heads,
         "does not divide hidden, and there is no head_dim; expected a divisor, or head_dim: N"},
        {shape->layers > 4096, "layers", shape->layers, "is too many; expected at most 4096"},
        {shape->experts > 65536, "experts", shape->experts, "is too many; expected at most 65536"},
        {shape->heads > 65536, "heads", shape->heads, "is too many; expected at most 65536"},
        {shape->heads % shape->kv_heads != 0, "kv_heads", shape->kv_heads, "does not divide heads; expected a divisor"},
        {shape->ffn_matrices > 3, "ffn_matrices", shape->ffn_matrices, "is not known; expected 2, or 3 with a gate"},
        {shape->top_k > 64 || (shape->experts > 0 && shape->top_k > shape->experts), "top_k", shape->top_k,
         "is too many; expected at most 64, and as many as there are experts"},
        {shape->dense_layers > shape->layers, "dense_layers", shape->dense_layers, "is more than layers; expected at most as many"},
        {shape->expert_groups > 64, "expert_groups", shape->expert_groups, "is too many; expected at most 64"},
        {shape->expert_groups > 0 && shape->experts % shape->expert_groups != 0, "expert_groups", shape->expert_groups,
         "does not divide experts; expected a divisor"},
        {shape->expert_groups > 0 && (shape->groups_per_token == 0 || shape->groups_per_token *
                                      (shape->experts / shape->expert_groups) < shape->top_k),
         "groups_per_token", shape->groups_per_token, "has fewer experts in it than top_k; expected more groups"},
        {shape->kv_rank > 0 && shape->rope_dim + shape->nope_dim == 0, "kv_rank", shape->kv_rank,
         "stands without rope_dim and nope_dim; expected one of them"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (rules[i].is_wrong) {
            const struct doc *line = doc_get(root, rules[i].key);
            return diag_input(diag, line != NULL ? line->at : root->at, "%s: %llu %s", rules[i].key,
                              (unsigned long long)rules[i].value, rules[i].what);
        }
    }
    return STATUS_OK;
}

/* `step` gives defaults: they are tried on a copy, so that a bad one is refused where it stands. */
static enum status step_read(const struct doc *step, struct arena *arena, struct param *rows, struct diag *diag)
{
    const struct param_table table = {transformer_rows, transformer_row_count, sizeof(struct transformer_plan)};
    struct transformer_plan *scratch = param_defaults(&table, arena);
    if (step->kind != DOC_MAP) {
        return diag_input(diag, step->at, "step is no map; expected lines of KEY: VALUE");
    }
    const struct doc *histogram = doc_get(step, "routing_file");
    if (histogram != NULL && doc_get(step, "zipf") != NULL) {
        return diag_input(diag, histogram->at, "step.routing_file and step.zipf both say who is popular; expected one of them");
    }
    enum status status = STATUS_OK;
    for (const struct doc *child = step->child; child != NULL && status == STATUS_OK; child = child->next) {
        if (child->kind != DOC_SCALAR) {
            return diag_input(diag, child->at, "step.%s is no value; expected one", child->key);
        }
        status = param_assign(&table, scratch, child->key, child->text, child->at, arena, diag);
        const struct param *row = param_find(&table, child->key);
        if (status == STATUS_OK) {
            rows[row - transformer_rows].default_text = child->text;
        }
    }
    return status;
}

static void shape_complete(struct transformer_shape *shape, const struct param *rows, struct arena *arena)
{
    const struct param_table table = {rows, transformer_row_count, sizeof(struct transformer_plan)};
    const struct transformer_plan *plan = param_defaults(&table, arena);
    shape->sequence = plan->sequence;
    shape->zipf = plan->zipf;
    shape->micro_batches = plan->micro_batches * plan->micro_batch_size;
    shape->kv_heads = shape->kv_heads == 0 ? shape->heads : shape->kv_heads;
    shape->head_dim = shape->head_dim == 0 ? shape->hidden / shape->heads : shape->head_dim;
    shape->expert_ffn = shape->expert_ffn == 0 ? shape->ffn : shape->expert_ffn;
    shape->dense_layers = shape->experts == 0 ? shape->layers : shape->dense_layers;
}

enum status transformer_load(const char *name, const struct doc *root, struct arena *arena,
                             struct transformer_shape *shape, struct param **rows, struct diag *diag)
{
    static const char *const needed[] = {"layers", "hidden", "ffn", "heads", "vocabulary"};
    if (root->kind != DOC_MAP) {
        return diag_input(diag, root->at, "is no map; expected lines of KEY: VALUE");
    }
    *rows = arena_array(arena, transformer_row_count, struct param);
    memcpy(*rows, transformer_rows, transformer_row_count * sizeof **rows);
    *shape = *(struct transformer_shape *)param_defaults(&shape_table, arena);
    shape->name = name;
    enum status status = STATUS_OK;
    for (const struct doc *child = root->child; child != NULL && status == STATUS_OK; child = child->next) {
        if (strcmp(child->key, "step") == 0) {
            status = step_read(child, arena, *rows, diag);
        } else if (child->kind != DOC_SCALAR) {
            status = diag_input(diag, child->at, "%s is no value; expected one", child->key);
        } else {
            status = param_assign(&shape_table, shape, child->key, child->text, child->at, arena, diag);
        }
    }
    for (size_t i = 0; i < sizeof needed / sizeof needed[0] && status == STATUS_OK; i++) {
        if (doc_get(root, needed[i]) == NULL) {
            status = diag_input(diag, root->at, "does not say %s; expected a line \"%s: N\"", needed[i], needed[i]);
        }
    }
    if (status == STATUS_OK) {
        bool is_cut = shape->head_dim == 0;
        shape_complete(shape, *rows, arena);
        status = shape_check(shape, is_cut, root, diag);
    }
    return status;
}

/* ---- counting
 * ----------------------------------------------------------------------------------------------- */

static struct layer_parameters attention_parameters(const struct transformer_shape *shape)
{
    uint64_t hidden = shape->hidden, heads = shape->heads, value = heads * shape->head_dim;
    if (shape->kv_rank == 0) {
        uint64_t keys = shape->kv_heads * shape->head_dim;
        return (struct layer_parameters){.cut = hidden * (value + 2 * keys) + value * hidden};
    }
    uint64_t query = heads * (shape->rope_dim + shape->nope_dim), latent = shape->kv_rank + shape->rope_dim;
    struct layer_parameters count = {.cut = shape->kv_rank * heads * (shape->nope_dim + shape->head_dim) +
                                            value * hidden,
                                     .whole = hidden * latent + shape->kv_rank};
    count.cut += shape->query_rank > 0 ? shape->query_rank * query : hidden * query;
    count.whole += shape->query_rank > 0 ? hidden * shape->query_rank + shape->query_rank : 0;
    return count;
}

struct layer_parameters shape_layer(const struct transformer_shape *shape, bool is_dense)
{
    struct layer_parameters count = attention_parameters(shape);
    count.whole += 2 * shape->hidden; /* norms */
    if (is_dense) {
        count.cut += shape->ffn_matrices * shape->hidden * shape->ffn;
        return count;
    }
    uint64_t expert = shape->ffn_matrices * shape->hidden * shape->expert_ffn;
    count.whole += shape->experts * shape->hidden + shape->shared_experts * expert;
    count.experts = shape->experts * expert;
    return count;
}

static uint64_t layers_sum(const struct transformer_shape *shape, uint64_t experts_of_a_token)
{
    struct layer_parameters dense = shape_layer(shape, true), routed = shape_layer(shape, false);
    uint64_t expert = shape->experts > 0 ? routed.experts / shape->experts : 0;
    return shape->dense_layers * (dense.cut + dense.whole) +
           (shape->layers - shape->dense_layers) * (routed.cut + routed.whole + experts_of_a_token * expert);
}

uint64_t transformer_parameters(const struct transformer_shape *shape)
{
    uint64_t tables = shape->has_tied_embedding ? 1 : 2;
    return layers_sum(shape, shape->experts) + tables * shape->vocabulary * shape->hidden + shape->hidden;
}

uint64_t transformer_active_parameters(const struct transformer_shape *shape)
{
    uint64_t tables = shape->has_tied_embedding ? 1 : 2;
    return layers_sum(shape, shape->top_k) + tables * shape->vocabulary * shape->hidden + shape->hidden;
}

uint64_t rank_layer_parameters(const struct layout *layout, uint64_t layer)
{
    struct layer_parameters count = shape_layer(layout->shape, layer_is_dense(layout, layer));
    return count.cut / layout->plan->tp + count.whole;
}

uint64_t rank_expert_parameters(const struct layout *layout, uint64_t layer)
{
    return shape_layer(layout->shape, layer_is_dense(layout, layer)).experts / layout->plan->ep;
}

uint64_t rank_table_parameters(const struct layout *layout)
{
    return layout->shape->vocabulary * layout->shape->hidden / layout->plan->tp;
}
