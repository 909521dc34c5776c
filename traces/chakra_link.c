/* The table of a rank's nodes once it is complete: ids to positions, order, cycles. See chakra_rank.h. */
#include "traces/chakra_rank.h"

#include <inttypes.h>
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* Ids are mostly dense: then a plain array is the map. Else open addressing over positions. */
struct id_map {
    uint64_t low;
    bool is_dense;
    uint32_t *position; /* + 1; 0 = free */
    size_t mask;        /* dense: the last entry */
};

/* More than this many array entries a node and hashing takes less memory. */
#define DENSE_SPREAD 6

static void id_range(const struct chakra_rank *rank, uint64_t *low, uint64_t *high)
{
    *low = UINT64_MAX;
    *high = 0;
    for (uint32_t i = 0; i < rank->node_count; i++) {
        uint64_t id = chakra_node_at(rank, i)->id;
        *low = id < *low ? id : *low;
        *high = id > *high ? id : *high;
    }
}

static struct id_map id_map_new(const struct chakra_rank *rank)
{
    uint64_t high;
    struct id_map map = {.is_dense = true};
    id_range(rank, &map.low, &high);
    map.mask = (size_t)(high - map.low);
    if (rank->node_count == 0 || map.mask / DENSE_SPREAD >= rank->node_count) {
        map.is_dense = false;
        map.mask = 7;
        while (map.mask < 2 * (size_t)rank->node_count) {
            map.mask = 2 * map.mask + 1;
        }
    }
    map.position = arena_array(rank->arena, map.mask + 1, uint32_t);
    return map;
}

/* The entry of this id, or the free one where it belongs. NULL where a dense map has no such entry. */
static uint32_t *id_entry(const struct id_map *map, const struct chakra_rank *rank, uint64_t id)
{
    if (map->is_dense) {
        return id >= map->low && id - map->low <= map->mask ? &map->position[id - map->low] : NULL;
    }
    size_t slot = (size_t)XXH3_64bits(&id, sizeof id) & map->mask;
    while (map->position[slot] != 0 && chakra_node_at(rank, map->position[slot] - 1)->id != id) {
        slot = (slot + 1) & map->mask;
    }
    return &map->position[slot];
}

static enum status ids_enter(const struct chakra_rank *rank, const struct id_map *map, struct diag *diag)
{
    for (uint32_t i = 0; i < rank->node_count; i++) {
        const struct chakra_node *node = chakra_node_at(rank, i);
        uint32_t *entry = id_entry(map, rank, node->id);
        if (*entry != 0) {
            return diag_input(diag, (struct origin){.path = rank->path},
                              "node id %" PRIu64 " is given twice (\"%s\" and \"%s\"); expected unique ids",
                              node->id, chakra_node_at(rank, *entry - 1)->name, node->name);
        }
        *entry = i + 1;
    }
    return STATUS_OK;
}

static void parents_link(struct chakra_rank *rank, const struct id_map *map, uint32_t position)
{
    const struct chakra_node *node = chakra_node_at(rank, position);
    for (uint32_t i = 0; i < node->ctrl_count + node->data_count; i++) {
        bool is_ctrl = i < node->ctrl_count;
        uint64_t *parent = chakra_parent_at(rank, node->parent_first + i);
        const uint32_t *entry = id_entry(map, rank, *parent);
        uint32_t found = entry != NULL ? *entry - 1 : ID_NONE; /* 0 - 1 is ID_NONE */
        if (found == ID_NONE) {
            *(is_ctrl ? &rank->ctrl_missing_count : &rank->data_missing_count) += 1;
        } else if (is_ctrl && found == position) {
            rank->ctrl_self_count++;
            found = ID_NONE;
        }
        *parent = found;
    }
}

enum status chakra_rank_link(struct chakra_rank *rank, struct diag *diag)
{
    struct id_map map = id_map_new(rank);
    enum status status = ids_enter(rank, &map, diag);
    for (uint32_t i = 0; i < rank->node_count && status == STATUS_OK; i++) {
        parents_link(rank, &map, i);
    }
    return status;
}

/* ---- order and cycles -------------------------------------------------------------------------------- */

struct by_id {
    uint64_t id;
    uint32_t position;
};

static int by_id_compare(const void *left, const void *right)
{
    const struct by_id *a = left, *b = right;
    return a->id < b->id ? -1 : a->id > b->id;
}

void chakra_rank_order(const struct chakra_rank *rank, uint32_t *position)
{
    bool is_ascending = true;
    for (uint32_t i = 0; i < rank->node_count; i++) {
        position[i] = i;
        is_ascending =
            is_ascending && (i == 0 || chakra_node_at(rank, i - 1)->id < chakra_node_at(rank, i)->id);
    }
    if (is_ascending) { /* as nearly all writers have it */
        return;
    }
    struct by_id *keys = arena_array(rank->arena, rank->node_count, struct by_id);
    for (uint32_t i = 0; i < rank->node_count; i++) {
        keys[i] = (struct by_id){chakra_node_at(rank, i)->id, i};
    }
    qsort(keys, rank->node_count, sizeof keys[0], by_id_compare);
    for (uint32_t k = 0; k < rank->node_count; k++) {
        position[k] = keys[k].position;
    }
}

/* The edges from parent to child, for Kahn's algorithm: child[first[i] .. first[i + 1]) wait for node i. */
struct children {
    uint64_t *first;
    uint32_t *child;
    uint32_t *wait; /* parents that have not come yet */
};

static void children_count(const struct chakra_rank *rank, enum chakra_deps deps, struct children *children)
{
    for (uint32_t i = 0; i < rank->node_count; i++) {
        uint64_t at, end;
        for (chakra_parents(chakra_node_at(rank, i), deps, &at, &end); at < end; at++) {
            uint64_t parent = *chakra_parent_at(rank, at);
            if (parent != ID_NONE) {
                children->first[parent]++;
                children->wait[i]++;
            }
        }
    }
    for (uint32_t i = 0; i < rank->node_count; i++) {
        children->first[i + 1] += children->first[i];
    }
}

/* first[i] is the end of row i before and its beginning after. */
static void children_fill(const struct chakra_rank *rank, enum chakra_deps deps, struct children *children)
{
    for (uint32_t i = 0; i < rank->node_count; i++) {
        uint64_t at, end;
        for (chakra_parents(chakra_node_at(rank, i), deps, &at, &end); at < end; at++) {
            uint64_t parent = *chakra_parent_at(rank, at);
            if (parent != ID_NONE) {
                children->child[--children->first[parent]] = i;
            }
        }
    }
}

bool chakra_rank_is_acyclic(const struct chakra_rank *rank, enum chakra_deps deps)
{
    struct children children = {
        .first = arena_array(rank->arena, (size_t)rank->node_count + 1, uint64_t),
        .wait = arena_array(rank->arena, rank->node_count, uint32_t),
    };
    children_count(rank, deps, &children);
    children.child = arena_array(rank->arena, children.first[rank->node_count], uint32_t);
    children_fill(rank, deps, &children);
    uint32_t *free_nodes = arena_array(rank->arena, rank->node_count, uint32_t);
    uint32_t free_count = 0;
    for (uint32_t i = 0; i < rank->node_count; i++) {
        if (children.wait[i] == 0) {
            free_nodes[free_count++] = i;
        }
    }
    for (uint32_t next = 0; next < free_count; next++) {
        uint32_t node = free_nodes[next];
        for (uint64_t i = children.first[node]; i < children.first[node + 1]; i++) {
            if (--children.wait[children.child[i]] == 0) {
                free_nodes[free_count++] = children.child[i];
            }
        }
    }
    return free_count == rank->node_count;
}
