/* How long the kernels of a layer take on one rank: rooflines of their products and of what streams through memory.
 *
 * Scope: products, fused attention, norms, rotary embedding, activation functions, softmax of the loss, Adam.
 * Not modelled: launches, small operations, dropout, casts to FP8. Checked against: 6 N flop a token and published
 * iteration times (tests/test_generate.c, tests/test_published.c). */
#include "traces/transformer_int.h"

/* A fused attention kernel computes the scores again on its way back: 2.5 times the forward products (Dao
 * 2023, FlashAttention-2, section 4.1). */
#define ATTENTION_BACKWARD 2.5

/* Adam on FP32 master weights: read and write weight, momentum and variance (24), read the gradient (4),
 * write the BF16 weight (2). */
#define OPTIMIZER_BYTES 30.0

/* A product of [tokens, in] and `count` matrices [in, out] that share the tokens between them. */
static uint64_t product_ps(const struct layout *layout, double tokens, double in, double out, double count)
{
    enum kernel kernel = layout->plan->products == PRECISION_FP8 ? KERNEL_FP8 : KERNEL_BF16;
    return roofline_ps(layout->gpu, kernel, 2.0 * tokens * in * out,
                       ACTIVATION_BYTES * (count * in * out + tokens * (in + out)));
}

static uint64_t stream_ps(const struct layout *layout, double bytes)
{
    return roofline_ps(layout->gpu, KERNEL_BF16, 0.0, bytes);
}

/* Norm (read, write) and residual (read twice, write) pass over the activations, cut where the sequence is.
 */
static double norm_bytes(const struct layout *layout)
{
    double parts = layout->plan->has_sequence_parallel ? (double)layout->plan->tp : 1.0;
    return 5.0 * (double)layout_tokens(layout) * (double)layout->shape->hidden * ACTIVATION_BYTES / parts;
}

/* Widths on one rank. */
struct widths {
    double queries, keys, values; /* all heads together */
};

static struct widths widths_of(const struct layout *layout)
{
    const struct transformer_shape *shape = layout->shape;
    double tp = (double)layout->plan->tp, heads = (double)shape->heads / tp;
    if (shape->kv_rank > 0) {
        double key = (double)(shape->rope_dim + shape->nope_dim);
        return (struct widths){heads * key, heads * key, heads * (double)shape->head_dim};
    }
    double kv = (double)(shape->kv_heads * shape->head_dim) / tp;
    return (struct widths){heads * (double)shape->head_dim, kv, kv};
}

/* From activations to queries, keys and values. */
static uint64_t attention_inputs(const struct layout *layout, double tokens, const struct widths *widths)
{
    const struct transformer_shape *shape = layout->shape;
    double hidden = (double)shape->hidden, rank = (double)shape->kv_rank;
    if (shape->kv_rank == 0) {
        return product_ps(layout, tokens, hidden, widths->queries + widths->keys + widths->values, 1);
    }
    double query = (double)shape->query_rank, heads = (double)(shape->heads / layout->plan->tp);
    uint64_t down = product_ps(layout, tokens, hidden, rank + (double)shape->rope_dim, 1);
    uint64_t up = product_ps(layout, tokens, rank, heads * (double)shape->nope_dim + widths->values, 1);
    uint64_t queries = shape->query_rank == 0 ? product_ps(layout, tokens, hidden, widths->queries, 1)
                                              : product_ps(layout, tokens, hidden, query, 1) +
                                                    product_ps(layout, tokens, query, widths->queries, 1);
    return down + up + queries;
}

static void attention_times(const struct layout *layout, struct times *times)
{
    double tokens = (double)layout_tokens(layout), hidden = (double)layout->shape->hidden;
    struct widths widths = widths_of(layout);
    double values = widths.queries / (double)(layout->shape->kv_rank > 0 ? layout->shape->rope_dim + layout->shape->nope_dim
                                                                          : layout->shape->head_dim) *
                    (double)layout->shape->head_dim; /* of all heads, as the output takes them */
    uint64_t inputs = attention_inputs(layout, tokens, &widths);
    uint64_t output = product_ps(layout, tokens, values, hidden, 1);
    /* Two products of [s, d] and [d, s] a head; the causal half of them is computed. */
    double flops = tokens * (double)layout->plan->sequence * (widths.queries + values);
    double bytes = ACTIVATION_BYTES * tokens * (widths.queries + widths.keys + widths.values + values);
    uint64_t rotary = stream_ps(layout, 2.0 * tokens * (widths.queries + widths.keys) * ACTIVATION_BYTES);
    uint64_t around = stream_ps(layout, norm_bytes(layout)) + rotary;
    times->attention_in = inputs + around;
    times->attention_core = output + roofline_ps(layout->gpu, KERNEL_ATTENTION, flops, bytes);
    times->attention_back_core =
        output + roofline_ps(layout->gpu, KERNEL_ATTENTION, ATTENTION_BACKWARD * flops, 2.0 * bytes);
    times->attention_back_in = inputs + 2 * around;
    times->attention_weights_out = output;
    times->attention_weights_in = inputs;
}

/* A feed-forward block of so many columns: forward, gradients of the input and of the two sets of weights. */
struct block_times {
    uint64_t inputs, output, activation;
};

static struct block_times block_times(const struct layout *layout, double tokens, double columns, double count)
{
    double gates = (double)(layout->shape->ffn_matrices - 1), hidden = (double)layout->shape->hidden;
    return (struct block_times){
        .inputs = product_ps(layout, tokens, hidden, gates * columns, count),
        .output = product_ps(layout, tokens, columns, hidden, count),
        .activation = stream_ps(layout, (gates + 1.0) * tokens * columns * ACTIVATION_BYTES)};
}

static void mlp_times(const struct layout *layout, struct times *times)
{
    double tokens = (double)layout_tokens(layout);
    struct block_times block = block_times(layout, tokens, (double)layout->shape->ffn / (double)layout->plan->tp, 1);
    uint64_t around = stream_ps(layout, norm_bytes(layout)) + block.activation;
    times->mlp_forward = block.inputs + block.output + around;
    times->mlp_backward = block.inputs + block.output + 2 * around;
    times->mlp_weights_out = block.output;
    times->mlp_weights_in = block.inputs;
}

/* Router and shared expert see the tokens that the rank holds between blocks: a t-th of them. */
static void router_times(const struct layout *layout, struct times *times)
{
    const struct transformer_shape *shape = layout->shape;
    double tokens = (double)layout_tokens(layout) / (double)layout->plan->tp, hidden = (double)shape->hidden;
    uint64_t router = product_ps(layout, tokens, hidden, (double)shape->experts, 1);
    /* Norm and residual, and the copies of tokens put in order and back (read and write each). */
    double copies = 4.0 * tokens * (double)shape->top_k * hidden * ACTIVATION_BYTES;
    uint64_t around = stream_ps(layout, norm_bytes(layout)) + stream_ps(layout, copies);
    times->router_forward = router + around;
    times->router_backward = 2 * router + 2 * around;
    if (shape->shared_experts > 0) {
        struct block_times block =
            block_times(layout, tokens, (double)(shape->shared_experts * shape->expert_ffn), 1);
        times->shared_forward = block.inputs + block.output + block.activation;
        times->shared_backward = block.inputs + block.output + 2 * block.activation;
        times->shared_weights = block.inputs + block.output;
    }
}

struct expert_times expert_times(const struct layout *layout, uint64_t tokens)
{
    double count = (double)(layout->shape->experts / layout->plan->ep);
    struct block_times block = block_times(layout, (double)tokens, (double)layout->shape->expert_ffn, count);
    return (struct expert_times){.forward = block.inputs + block.output + block.activation,
                                 .backward = block.inputs + block.output + 2 * block.activation,
                                 .weights = block.inputs + block.output};
}

static void vocabulary_times(const struct layout *layout, struct times *times)
{
    double tokens = (double)layout_tokens(layout), hidden = (double)layout->shape->hidden;
    double words = (double)layout->shape->vocabulary / (double)layout->plan->tp;
    uint64_t logits = roofline_ps(layout->gpu, KERNEL_BF16, 2.0 * tokens * hidden * words,
                                  ACTIVATION_BYTES * (hidden * words + tokens * (hidden + words)));
    uint64_t softmax = stream_ps(layout, 3.0 * tokens * words * LOSS_BYTES); /* maximum, exponential, sum */
    times->embedding_forward = stream_ps(layout, 2.0 * tokens * hidden * ACTIVATION_BYTES);
    times->embedding_backward = stream_ps(layout, 3.0 * tokens * hidden * ACTIVATION_BYTES);
    times->logits_forward = logits + softmax;
    times->logits_weights = logits;
    times->logits_backward = logits + stream_ps(layout, tokens * words * (LOSS_BYTES + ACTIVATION_BYTES));
}

void times_fill(const struct layout *layout, struct times *times)
{
    *times = (struct times){0};
    attention_times(layout, times);
    mlp_times(layout, times);
    if (layout_has_experts(layout)) {
        router_times(layout, times);
    }
    vocabulary_times(layout, times);
}

uint64_t optimizer_ps(const struct layout *layout, double parameters)
{
    return stream_ps(layout, OPTIMIZER_BYTES * parameters);
}
