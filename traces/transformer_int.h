/* What the files of the transformer's step share with each other only:
 *
 *     transformer.c            ranks, groups, checks, the job
 *     transformer_plan.c       parameters of the layout
 *     transformer_shape.c      models from YAML, counts of parameters
 *     transformer_times.c      how long kernels take
 *     transformer_emit.c       operations and chains of them
 *     transformer_pass.c       forward and backward passes of a chunk of layers
 *     transformer_layer.c      what a layer does in them
 *     transformer_gradients.c  data parallelism: buckets, ZeRO, optimizer
 *
 * A chain is what runs one after the other: the last computation, and what the next one waits for besides. A stage has
 * one chain; where two passes overlap, each has its own for a while. */
#ifndef PHOTONET_TRACES_TRANSFORMER_INT_H
#define PHOTONET_TRACES_TRANSFORMER_INT_H

#include "traces/pipeline.h"
#include "traces/routing.h"
#include "traces/transformer.h"

#define ACTIVATION_BYTES 2.0 /* of activations and weights in the GPU's memory */
#define LOSS_BYTES       4.0 /* FP32 logits and losses */

enum slot { SLOT_TP, SLOT_CP, SLOT_DP, SLOT_EP, SLOT_EXPERT_DP, SLOT_EMBEDDING, SLOT_COUNT };

/* ---- layout -------------------------------------------------------------------------------------------------- */

/* The shape and the plan of what is made: `full` numbers are those of the step that a sample stands for. */
struct layout {
    const struct transformer_shape *shape;
    const struct transformer_plan *plan;
    const struct gpu_row *gpu;
    uint64_t layers, dense_layers;
    uint64_t stage_ranks;      /* tp cp dp */
    uint64_t full_dp;          /* shards of the optimizer's state */
    uint32_t chunks;
};

uint32_t layout_rank(const struct layout *layout, uint32_t q, uint32_t stage);
/* Layers of a chunk: as even as possible, more of them in the middle, since the ends have the vocabulary. */
uint64_t chunk_first_layer(const struct layout *layout, uint32_t chunk);
bool layer_is_dense(const struct layout *layout, uint64_t layer);
uint64_t layout_tokens(const struct layout *layout); /* of a micro-batch on a rank: b s / c */
bool layout_has_experts(const struct layout *layout);

/* ---- counts of parameters ----------------------------------------------------------------------------------- */

struct layer_parameters {
    uint64_t cut;     /* matrices cut by tensor parallelism */
    uint64_t whole;   /* norms, routers, low-rank inputs: on every rank */
    uint64_t experts; /* all routed experts together */
};
struct layer_parameters shape_layer(const struct transformer_shape *shape, bool is_dense);

/* On one rank: cut by tensor, or expert, parallelism. */
uint64_t rank_layer_parameters(const struct layout *layout, uint64_t layer);
uint64_t rank_expert_parameters(const struct layout *layout, uint64_t layer);
uint64_t rank_table_parameters(const struct layout *layout);

/* ---- times ---------------------------------------------------------------------------------------------------- */

/* Of one micro-batch on one rank, in ps. "out" and "in" are a block's last and first matrices. */
struct times {
    uint64_t attention_in, attention_core;            /* forward */
    uint64_t attention_back_core, attention_back_in;  /* gradients of inputs */
    uint64_t attention_weights_out, attention_weights_in;
    uint64_t mlp_forward, mlp_backward, mlp_weights_out, mlp_weights_in;
    uint64_t router_forward, router_backward;
    uint64_t shared_forward, shared_backward, shared_weights;
    uint64_t embedding_forward, embedding_backward;
    uint64_t logits_forward, logits_backward, logits_weights;
};
void times_fill(const struct layout *layout, struct times *times);

struct expert_times {
    uint64_t forward, backward, weights;
};
/* The experts of one rank, that have so many tokens between them. */
struct expert_times expert_times(const struct layout *layout, uint64_t tokens);
uint64_t optimizer_ps(const struct layout *layout, double parameters);

/* ---- a stage while its program is written --------------------------------------------------------------------- */

struct chain {
    uint32_t last;     /* ID_NONE: nothing yet */
    uint32_t *pending; /* what the next computation waits for besides */
    size_t count, capacity;
};

/* A reduction of gradients, for the optimizer and for the gathering of parameters after it. */
struct reduction {
    uint32_t op, chunk;
    uint64_t parameters;
    bool is_experts;
    uint32_t after; /* the computation that completes the gradients */
};

struct put_off { /* weight gradients */
    uint32_t part, micro_batch;
};

struct part {
    uint32_t chunk;
    uint64_t first_layer, layer_count;
    uint64_t bucket_dense, bucket_experts; /* parameters in the open buckets */
    uint32_t *gathered;                    /* ZeRO 3: per layer, the gathering that its computations wait for */
    bool *is_gathered, is_table_gathered;
};

struct stage {
    struct job_builder *builder;
    const struct layout *layout;
    struct arena *arena;
    const struct times *times;
    const struct routing_tables *routing;
    uint32_t rank, index, q;
    uint32_t slot[SLOT_COUNT]; /* ID_NONE where the group has one member */
    struct chain main, *chain; /* chain: the one that operations join at present */
    uint64_t micro_batch, op_count;
    struct part parts[64]; /* as many as virtual_stages may be */
    uint32_t part_count;
    struct put_off *put_off;
    size_t put_off_count, put_off_capacity, put_off_next;
    struct reduction *reductions;
    size_t reduction_count, reduction_capacity;
};

static inline const struct transformer_plan *stage_plan(const struct stage *stage)
{
    return stage->layout->plan;
}

static inline bool has_group(const struct stage *stage, enum slot slot)
{
    return stage->slot[slot] != ID_NONE;
}

/* ---- transformer_emit.c */

uint64_t shrunk(const struct layout *layout, uint64_t amount);
__attribute__((format(printf, 3, 4))) uint32_t op_add(struct stage *stage, struct op op, const char *format, ...);
void pending_add(struct stage *stage, uint32_t op);
void op_follow(struct stage *stage, uint32_t op); /* waits for what the next computation would wait for */
uint32_t compute_add(struct stage *stage, const char *what, uint64_t duration_ps);
/* A collective that the next computation waits for; nothing where the group has one member. */
void collective_add(struct stage *stage, enum slot slot, enum collective_kind kind, uint64_t bytes, const char *what);
struct op collective_op(const struct stage *stage, enum slot slot, enum collective_kind kind, uint64_t bytes);
void message_add(struct stage *stage, enum op_kind kind, uint32_t peer, uint32_t tag, uint64_t bytes, const char *what);
void chain_fork(struct stage *stage, const struct chain *from, struct chain *to);
void chain_join(struct stage *stage, const struct chain *other);

/* ---- transformer_layer.c */

/* Whole activations from what the ranks hold: nothing to do unless the sequence is cut. */
void activations_gather(struct stage *stage, const char *what);
/* Sums partial activations over the group, and cuts them again where the sequence is cut. */
void activations_sum(struct stage *stage, const char *what);
void logits_backward(struct stage *stage, bool is_split);
void logits_weights(struct stage *stage);
#define LAYER_SEGMENTS 3 /* attention; what goes before the experts run; the experts */
void layer_forward(struct stage *stage, uint64_t layer, uint32_t segment);
void layer_backward(struct stage *stage, uint64_t layer, uint32_t segment, bool is_split);
void layer_weights(struct stage *stage, uint64_t layer);

/* ---- transformer_pass.c */

void stage_program(struct stage *stage);

/* ---- transformer_gradients.c */

void parts_fill(struct stage *stage);
/* Before a layer is used: its parameters, and those of the next ones, are gathered where they are not. */
void parameters_need(struct stage *stage, struct part *part, uint64_t layer, int direction);
void table_need(struct stage *stage, struct part *part, uint64_t parameters);
void parameters_release(struct stage *stage, struct part *part);
/* Gradients of so many parameters of a part are complete for this micro-batch. */
void gradients_ready(struct stage *stage, struct part *part, uint64_t dense, uint64_t experts);
void gradients_flush(struct stage *stage, struct part *part);
void optimizer_step(struct stage *stage);

#endif
