/* Reader of a collective algorithm written as Chakra traces: sends, receives and what they wait for, a file a rank. That is
 * how ASTRA-sim takes custom collectives (system/astraccl/custom_collectives), and what Chakra's converter makes of MSCCL.
 *
 *     nodes ──► canonical order ──► chains, a block each      a node goes behind a parent that ends a chain, or begins one;
 *                                                             an operation without work waits for every other parent
 *
 * Scope: messages are scaled from the size that the set was written for to that of a call; what is in them the files do not
 * say. Equal (source, destination, tag) match in FIFO order. Control dependencies count where they have no cycle and lead
 * somewhere, else data dependencies alone.
 * Not modelled: computations (ASTRA-sim's reductions); they take no time and are counted.
 * Checked against: hand-made files in tests/test_custom.c; astra-sim's custom ring. */
#include "traces/chakra.pb-c.h"
#include "traces/chakra_rank.h"
#include "traces/chakra_set.h"
#include "traces/algorithm.h"

#include <inttypes.h>
#include <string.h>

/* One operation on its way: where it stands in its chain, and what it waits for, by number. */
struct chained {
    struct custom_op op;
    uint32_t chain, place;
    uint32_t wait; /* ID_NONE: none */
};

struct chain {
    uint32_t tail; /* number of its last operation */
    uint32_t length;
};

struct weaving {
    struct arena *arena;   /* of the result */
    struct arena *scratch; /* of the rank */
    struct diag *diag;
    struct custom_collective *custom;
    struct custom_block *blocks;
    size_t block_count, block_capacity;
    struct custom_op *ops;
    size_t op_count, op_capacity;
    /* of the rank; nodes by number, that is by id */
    const struct chakra_rank *table;
    struct chakra_node *nodes;
    uint32_t node_count, rank;
    uint32_t *parent_first, *parent; /* node_count + 1; those of node n, without what is not in the file */
    size_t parent_count, parent_capacity;
    struct chained *chained;
    size_t chained_count, chained_capacity;
    struct chain *chains;
    size_t chain_count, chain_capacity;
    uint32_t *op_of; /* per node: number of its operation */
};

static enum status node_refuse(const struct weaving *weaving, const struct chakra_node *node, const char *what)
{
    return diag_input(weaving->diag, (struct origin){.path = weaving->table->path}, "node %" PRIu64 " \"%.200s\": %s",
                      node->id, chakra_name_of(weaving->table, node), what);
}

/* ---- the order -------------------------------------------------------------------------------------------- */

struct heap {
    uint32_t *items;
    uint32_t count;
};

static void heap_push(struct heap *heap, uint32_t value)
{
    uint32_t at = heap->count++;
    for (; at > 0 && heap->items[(at - 1) / 2] > value; at = (at - 1) / 2) {
        heap->items[at] = heap->items[(at - 1) / 2];
    }
    heap->items[at] = value;
}

static uint32_t heap_pop(struct heap *heap)
{
    uint32_t least = heap->items[0], value = heap->items[--heap->count], at = 0;
    for (uint32_t child = 1; child < heap->count; child = 2 * at + 1) {
        child += child + 1 < heap->count && heap->items[child + 1] < heap->items[child];
        if (heap->items[child] >= value) {
            break;
        }
        heap->items[at] = heap->items[child];
        at = child;
    }
    heap->items[at] = value;
    return least;
}

/* Every node and the numbers of its parents, out of the table. */
static void nodes_take(struct weaving *weaving)
{
    const struct chakra_rank *table = weaving->table;
    struct chakra_walk walk = {.rank = table};
    struct chakra_node node;
    enum chakra_deps deps = chakra_ctrl_survey(table).is_sound ? CHAKRA_DEPS_BOTH : CHAKRA_DEPS_DATA;
    weaving->nodes = arena_array(weaving->scratch, table->node_count, struct chakra_node);
    weaving->parent_first = arena_array(weaving->scratch, table->node_count + 1, uint32_t);
    weaving->parent = NULL;
    weaving->node_count = 0;
    weaving->parent_count = weaving->parent_capacity = 0;
    while (weaving->node_count < table->node_count && chakra_walk_next(&walk, &node)) {
        struct chakra_parent_walk parents = chakra_parents(table, &node, deps);
        struct chakra_parent parent;
        weaving->nodes[weaving->node_count++] = node;
        while (chakra_parent_next(&parents, &parent)) {
            if (parent.number != ID_NONE) {
                vec_push(weaving->scratch, weaving->parent, weaving->parent_count, weaving->parent_capacity) = parent.number;
            }
        }
        weaving->parent_first[weaving->node_count] = (uint32_t)weaving->parent_count;
    }
}

struct edges {
    uint32_t *first, *child, *waiting;
};

static struct edges edges_of(const struct weaving *weaving)
{
    struct edges edges = {.first = arena_array(weaving->scratch, weaving->node_count + 2, uint32_t),
                          .child = arena_array(weaving->scratch, weaving->parent_count + 1, uint32_t),
                          .waiting = arena_array(weaving->scratch, weaving->node_count, uint32_t)};
    for (size_t i = 0; i < weaving->parent_count; i++) {
        edges.first[weaving->parent[i] + 2]++;
    }
    for (uint32_t node = 0; node < weaving->node_count; node++) {
        edges.first[node + 1] += edges.first[node];
        edges.waiting[node] = weaving->parent_first[node + 1] - weaving->parent_first[node];
    }
    for (uint32_t node = 0; node < weaving->node_count; node++) {
        for (uint32_t i = weaving->parent_first[node]; i < weaving->parent_first[node + 1]; i++) {
            edges.child[edges.first[weaving->parent[i] + 1]++] = node;
        }
    }
    return edges;
}

/* The lexicographically smallest topological order, as a program's. */
static enum status nodes_order(const struct weaving *weaving, uint32_t *order)
{
    uint32_t done = 0;
    struct edges edges = edges_of(weaving);
    struct heap heap = {.items = arena_array(weaving->scratch, weaving->node_count + 1, uint32_t)};
    for (uint32_t node = 0; node < weaving->node_count; node++) {
        if (edges.waiting[node] == 0) {
            heap_push(&heap, node);
        }
    }
    while (heap.count > 0) {
        uint32_t node = heap_pop(&heap);
        order[done++] = node;
        for (uint32_t i = edges.first[node]; i < edges.first[node + 1]; i++) {
            if (--edges.waiting[edges.child[i]] == 0) {
                heap_push(&heap, edges.child[i]);
            }
        }
    }
    for (uint32_t node = 0; node < weaving->node_count && done < weaving->node_count; node++) {
        if (edges.waiting[node] > 0) {
            return node_refuse(weaving, &weaving->nodes[node],
                               "waits for itself, by way of its dependencies: a deadlock");
        }
    }
    return STATUS_OK;
}

/* ---- chains ----------------------------------------------------------------------------------------------- */

static void chain_push(struct weaving *weaving, uint32_t chain, const struct custom_op *op, uint32_t wait)
{
    struct chain *to = &weaving->chains[chain];
    to->tail = (uint32_t)weaving->chained_count;
    vec_push(weaving->scratch, weaving->chained, weaving->chained_count, weaving->chained_capacity) =
        (struct chained){*op, chain, to->length++, wait};
}

static bool is_tail(const struct weaving *weaving, uint32_t number)
{
    return weaving->chains[weaving->chained[number].chain].tail == number;
}

/* Behind the last parent that ends a chain; the others are waited for one by one. */
static void node_chain(struct weaving *weaving, uint32_t node_id, const struct custom_op *op)
{
    const struct custom_op join = {.send_to = ID_NONE, .recv_from = ID_NONE, .source_id = op->source_id};
    const uint32_t *parent = weaving->parent + weaving->parent_first[node_id];
    uint32_t parents = weaving->parent_first[node_id + 1] - weaving->parent_first[node_id];
    uint32_t chain = ID_NONE, last = ID_NONE;
    for (uint32_t i = 0; i < parents; i++) {
        if (is_tail(weaving, weaving->op_of[parent[i]])) {
            chain = weaving->chained[weaving->op_of[parent[i]]].chain;
        }
    }
    if (chain == ID_NONE) {
        chain = (uint32_t)weaving->chain_count;
        vec_push(weaving->scratch, weaving->chains, weaving->chain_count, weaving->chain_capacity) = (struct chain){0, 0};
    }
    for (uint32_t i = 0; i < parents; i++) {
        uint32_t number = weaving->op_of[parent[i]];
        if (weaving->chained[number].chain == chain) {
            continue;
        }
        if (last != ID_NONE) {
            chain_push(weaving, chain, &join, last);
        }
        last = number;
    }
    chain_push(weaving, chain, op, last);
    weaving->op_of[node_id] = weaving->chains[chain].tail;
}

static enum status message_set(const struct weaving *weaving, const struct chakra_node *node, struct custom_op *op)
{
    bool is_send = node->type == CHAKRA__NODE_TYPE__COMM_SEND_NODE;
    uint32_t peer = is_send ? node->dst : node->src;
    if ((node->has & (is_send ? CHAKRA_HAS_DST : CHAKRA_HAS_SRC)) == 0 || (node->has & CHAKRA_HAS_COMM_SIZE) == 0) {
        return node_refuse(weaving, node, is_send ? "send without comm_dst or comm_size; expected both"
                                                  : "receive without comm_src or comm_size; expected both");
    }
    if (peer >= weaving->custom->rank_count || peer == weaving->rank) {
        return node_refuse(weaving, node, peer == weaving->rank ? "is a message to its own rank"
                                                                : "has a partner that no file of the set is for");
    }
    op->does = is_send ? CUSTOM_SENDS : CUSTOM_RECEIVES;
    op->send_to = is_send ? peer : ID_NONE;
    op->recv_from = is_send ? ID_NONE : peer;
    op->channel = node->tag;
    op->bytes = node->bytes;
    return STATUS_OK;
}

static enum status node_weave(struct weaving *weaving, uint32_t node_id, uint32_t order)
{
    const struct chakra_node *node = &weaving->nodes[node_id];
    struct custom_op op = {.send_to = ID_NONE, .recv_from = ID_NONE, .order = order, .source_id = node->id};
    enum status status = STATUS_OK;
    switch (node->type) {
    case CHAKRA__NODE_TYPE__COMM_COLL_NODE:
        return node_refuse(weaving, node, "is a collective itself; expected sends and receives");
    case CHAKRA__NODE_TYPE__COMM_SEND_NODE:
    case CHAKRA__NODE_TYPE__COMM_RECV_NODE:
        status = message_set(weaving, node, &op);
        break;
    case CHAKRA__NODE_TYPE__COMP_NODE:
    case CHAKRA__NODE_TYPE__MEM_LOAD_NODE:
    case CHAKRA__NODE_TYPE__MEM_STORE_NODE:
        weaving->custom->compute_count++;
        weaving->custom->compute_ps += node->duration_ps;
        break;
    default:
        break;
    }
    if (status == STATUS_OK) {
        node_chain(weaving, node_id, &op);
    }
    return status;
}

/* Chains become blocks, numbers become places in the list of all operations. */
static enum status rank_finish(struct weaving *weaving)
{
    size_t first = weaving->block_count, op_first = weaving->op_count;
    if (op_first + weaving->chained_count > CUSTOM_OPS_MAX) {
        return diag_input(weaving->diag, (struct origin){.path = weaving->table->path}, "more than %u operations",
                          CUSTOM_OPS_MAX);
    }
    for (uint32_t i = 0, at = (uint32_t)op_first; i < weaving->chain_count; at += weaving->chains[i++].length) {
        vec_push(weaving->arena, weaving->blocks, weaving->block_count, weaving->block_capacity) =
            (struct custom_block){weaving->rank, i, at, weaving->chains[i].length};
    }
    for (size_t i = 0; i < weaving->chained_count; i++) {
        vec_push(weaving->arena, weaving->ops, weaving->op_count, weaving->op_capacity) = (struct custom_op){0};
    }
    for (size_t i = 0; i < weaving->chained_count; i++) {
        struct chained *from = &weaving->chained[i];
        struct custom_op *op = &weaving->ops[weaving->blocks[first + from->chain].op_first + from->place];
        *op = from->op;
        op->wait_op = ID_NONE;
        if (from->wait != ID_NONE) {
            const struct chained *on = &weaving->chained[from->wait];
            op->wait_op = weaving->blocks[first + on->chain].op_first + on->place;
        }
    }
    return STATUS_OK;
}

static enum status rank_weave(struct weaving *weaving, const char *path, uint32_t rank_id)
{
    struct arena *scratch = arena_new("a rank of a collective algorithm");
    struct chakra_rank rank;
    struct job_builder *names = job_builder_new(scratch, "", "custom", 1);
    job_builder_rank(names, 0);
    enum status status = chakra_rank_read(path, scratch, names, &rank, weaving->diag);
    weaving->scratch = scratch;
    weaving->table = &rank;
    weaving->rank = rank_id;
    weaving->chained = NULL;
    weaving->chains = NULL;
    weaving->chained_count = weaving->chained_capacity = weaving->chain_count = weaving->chain_capacity = 0;
    if (status == STATUS_OK) {
        nodes_take(weaving);
        uint32_t *order = arena_array(scratch, weaving->node_count, uint32_t);
        weaving->op_of = arena_array(scratch, weaving->node_count, uint32_t);
        status = nodes_order(weaving, order);
        for (uint32_t i = 0; i < weaving->node_count && status == STATUS_OK; i++) {
            status = node_weave(weaving, order[i], i);
        }
        status = status == STATUS_OK ? rank_finish(weaving) : status;
    }
    arena_free(scratch);
    return status;
}

enum status chakra_collective_read(const char *path, struct arena *arena, const struct custom_collective **custom,
                                   struct diag *diag)
{
    struct chakra_set set;
    enum status status = chakra_set_find(path, 0, arena, &set, diag);
    if (status != STATUS_OK) {
        return status;
    }
    if (set.is_lone || set.rank_count < 2 || set.rank_count > CUSTOM_RANKS_MAX) {
        return diag_input(diag, (struct origin){.path = path},
                          "%s; expected the prefix of PREFIX.0.et, PREFIX.1.et, ..., one a rank of the algorithm",
                          set.rank_count > CUSTOM_RANKS_MAX ? "has too many ranks" : "is one rank's file");
    }
    struct weaving weaving = {.arena = arena, .diag = diag, .custom = arena_one(arena, struct custom_collective)};
    *weaving.custom = (struct custom_collective){.path = set.prefix, .rank_path = set.path, .kind = -1,
                                                 .rank_count = set.rank_count, .high_bytes = UINT64_MAX};
    for (uint32_t rank = 0; rank < set.rank_count && status == STATUS_OK; rank++) {
        status = rank_weave(&weaving, set.path[rank], rank);
    }
    weaving.custom->blocks = weaving.blocks;
    weaving.custom->block_count = (uint32_t)weaving.block_count;
    weaving.custom->ops = weaving.ops;
    weaving.custom->op_count = (uint32_t)weaving.op_count;
    *custom = weaving.custom;
    return status;
}
