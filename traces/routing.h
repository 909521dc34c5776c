/* Which experts tokens are sent to: how unequal the all-to-alls of a mixture of experts are.
 *
 * Scope: every token chooses top_k different experts by their popularity, which follows a power law of exponent
 * `zipf` in an order drawn for each layer, or is a histogram that was measured. Where experts stand in groups a token
 * keeps to groups_per_token of them (DeepSeek's node-limited routing). At most 1024 tokens of a member are drawn, the
 * rest are like them; every draw is keyed by (seed, layer, draw, member, token).
 * Not modelled: popularity that drifts between steps, capacity limits and dropped tokens, copies of popular experts,
 * one copy for several experts of a rank. Groups of one stage have equal tables.
 * Checked against: sums, and the share of the most popular expert (tests/test_routing.c). */
#ifndef PHOTONET_TRACES_ROUTING_H
#define PHOTONET_TRACES_ROUTING_H

#include "traces/transformer.h"

/* Of every layer with experts and every draw: tokens[from * members + to], and the same as tables of pairs. */
struct routing_table {
    const uint64_t *tokens;
    uint32_t dispatch, combine; /* numbers from job_builder_pairs */
};

struct routing_tables {
    uint32_t members;
    uint64_t first_layer, layers, draws;
    uint64_t tokens; /* that one member sends, all copies; nothing is drawn where `table` is NULL */
    struct routing_table *table;
};

/* Popularities of experts, in millionths of a millionth or so: whole numbers, each at least 1. */
struct popularity {
    uint32_t experts, rows;
    const uint64_t *weight; /* rows x experts; a layer takes row (its number modulo rows) */
};

/* A list of numbers, one an expert, or a list of such lists, one a layer. */
enum status histogram_load(const char *path, uint64_t experts, struct arena *arena, struct popularity *popularity,
                           struct diag *diag);

/* Tokens that each member sends to each, for one layer and draw. */
void routing_draw(const struct transformer_shape *shape, const struct transformer_plan *plan,
                  const struct popularity *measured, uint64_t layer, uint64_t draw, uint64_t tokens,
                  struct arena *scratch, uint64_t *counts);

static inline const struct routing_table *routing_find(const struct routing_tables *tables, uint64_t layer,
                                                       uint64_t micro_batch)
{
    return tables->table == NULL ? NULL
                                 : &tables->table[(layer - tables->first_layer) * tables->draws +
                                                  micro_batch % tables->draws];
}

#endif
