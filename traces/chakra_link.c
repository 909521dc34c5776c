/* The table of a rank's nodes: how they are packed, from ids to numbers, cycles. See chakra_rank.h. */
#include "traces/chakra_rank.h"

#include <inttypes.h>
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* ---- nodes ---------------------------------------------------------------------------------------------- */

/* What the head of a packed node, behind its length and id, says: the type in the lowest three bits, and what follows. */
enum { HEAD_TYPE = 7, HEAD_DURATION = 1 << 3, HEAD_OPS = 1 << 4, HEAD_BYTES = 1 << 5, HEAD_COMM = 1 << 6, HEAD_STREAM = 1 << 7 };
enum { NODE_NUMBERS_MAX = 16 };

static uint8_t *comm_pack(uint8_t *at, const struct chakra_node *node)
{
    *at++ = node->comm_type;
    at = packed_put(at, node->src);
    at = packed_put(at, node->dst);
    at = packed_put(at, node->tag);
    at = packed_put(at, node->root);
    memcpy(at, &node->group, sizeof node->group);
    return at + sizeof node->group;
}

static const uint8_t *comm_unpack(const uint8_t *at, struct chakra_node *node)
{
    node->comm_type = *at++;
    at = packed_get_u32(at, &node->src);
    at = packed_get_u32(at, &node->dst);
    at = packed_get_u32(at, &node->tag);
    at = packed_get_u32(at, &node->root);
    memcpy(&node->group, at, sizeof node->group);
    return at + sizeof node->group;
}

static bool has_comm(const struct chakra_node *node)
{
    return (node->comm_type | node->src | node->dst | node->tag | node->root) != 0 || node->group != NULL;
}

static void id_note(struct chakra_rank *rank, uint64_t id)
{
    bool is_first = rank->node_count == 0;
    rank->is_unordered = rank->is_unordered || (!is_first && id <= rank->id_last);
    rank->id_low = is_first || id < rank->id_low ? id : rank->id_low;
    rank->id_high = is_first || id > rank->id_high ? id : rank->id_high;
    rank->id_last = id;
    rank->node_count++;
}

/* Everything behind the length. */
static uint8_t *node_pack(uint8_t *at, const struct chakra_node *node, const uint64_t *parents)
{
    size_t parent_count = (size_t)node->ctrl_count + node->data_count;
    at = packed_put(at, node->id);
    uint8_t *head = at++;
    *head = (uint8_t)(node->type | (node->duration_ps > 0 ? HEAD_DURATION : 0) | (node->num_ops > 0 ? HEAD_OPS : 0) |
                      (node->bytes > 0 ? HEAD_BYTES : 0) | (has_comm(node) ? HEAD_COMM : 0) |
                      (node->stream > 0 ? HEAD_STREAM : 0));
    at = packed_put(at, node->has);
    at = packed_put(at, node->name);
    at = packed_put(at, node->ctrl_count);
    at = packed_put(at, node->data_count);
    at = (*head & HEAD_DURATION) != 0 ? packed_put(at, node->duration_ps) : at;
    at = (*head & HEAD_OPS) != 0 ? packed_put(at, node->num_ops) : at;
    at = (*head & HEAD_BYTES) != 0 ? packed_put(at, node->bytes) : at;
    at = (*head & HEAD_COMM) != 0 ? comm_pack(at, node) : at;
    at = (*head & HEAD_STREAM) != 0 ? packed_put(at, node->stream) : at;
    for (size_t i = 0; i < parent_count; i++) {
        at = packed_put_signed(at, (int64_t)(node->id - parents[i]));
    }
    return at;
}

/* A node begins with its length, for those who want the id alone: mostly one byte, and moved up where it takes more. */
void chakra_rank_add(struct chakra_rank *rank, const struct chakra_node *node, const uint64_t *parents)
{
    size_t parent_count = (size_t)node->ctrl_count + node->data_count;
    uint8_t *at = packed_room(&rank->nodes, (NODE_NUMBERS_MAX + parent_count) * PACKED_NUMBER_BYTES_MAX);
    size_t bytes = (size_t)(node_pack(at + 1, node, parents) - (at + 1));
    uint8_t length[PACKED_NUMBER_BYTES_MAX];
    size_t length_bytes = (size_t)(packed_put(length, bytes) - length);
    if (length_bytes > 1) {
        memmove(at + length_bytes, at + 1, bytes);
    }
    memcpy(at, length, length_bytes);
    packed_end(&rank->nodes, at + length_bytes + bytes);
    id_note(rank, node->id);
}

/* From its length on. */
static void node_unpack(const uint8_t *at, struct chakra_node *node)
{
    uint64_t bytes, id;
    uint32_t has, stream = 0;
    at = packed_get(packed_get(at, &bytes), &id);
    uint8_t head = *at++;
    *node = (struct chakra_node){.id = id, .type = head & HEAD_TYPE};
    at = packed_get_u32(at, &has);
    at = packed_get_u32(at, &node->name);
    at = packed_get_u32(at, &node->ctrl_count);
    at = packed_get_u32(at, &node->data_count);
    at = (head & HEAD_DURATION) != 0 ? packed_get(at, &node->duration_ps) : at;
    at = (head & HEAD_OPS) != 0 ? packed_get(at, &node->num_ops) : at;
    at = (head & HEAD_BYTES) != 0 ? packed_get(at, &node->bytes) : at;
    at = (head & HEAD_COMM) != 0 ? comm_unpack(at, node) : at;
    at = (head & HEAD_STREAM) != 0 ? packed_get_u32(at, &stream) : at;
    node->has = (uint16_t)has;
    node->stream = (uint16_t)stream;
    node->parents = at;
}

/* The nodes in the order of the file, from a zeroed walk on: where each begins, NULL behind the last, and its id. */
static const uint8_t *file_walk_next(const struct chakra_rank *rank, struct packed_walk *walk, uint64_t *id)
{
    walk->packed = &rank->nodes;
    if (!packed_walk_on(walk)) {
        return NULL;
    }
    uint64_t bytes;
    const uint8_t *begin = walk->at, *at = packed_get(begin, &bytes);
    packed_get(at, id);
    walk->at = at + bytes;
    return begin;
}

bool chakra_walk_next(struct chakra_walk *walk, struct chakra_node *node)
{
    const struct chakra_rank *rank = walk->rank;
    if (walk->next == rank->node_count) {
        return false;
    }
    uint64_t id;
    const uint8_t *at =
        rank->node_at != NULL ? rank->node_at[walk->next] : file_walk_next(rank, &walk->packed, &id);
    walk->next++;
    node_unpack(at, node);
    return true;
}

/* ---- ids ------------------------------------------------------------------------------------------------ */

enum { PAGE_IDS = 64 };

/* Where the page is, or the free place where it belongs; page_count where a map of pages in a row has none. */
static inline size_t page_find(const struct chakra_id_map *map, uint64_t page)
{
    if (!map->is_hashed) {
        return page - map->page_low < map->page_count ? (size_t)(page - map->page_low) : map->page_count;
    }
    size_t at = (size_t)XXH3_64bits(&page, sizeof page) & (map->page_count - 1);
    while (map->bits[at] != 0 && map->page[at] != page) {
        at = (at + 1) & (map->page_count - 1);
    }
    return at;
}

/* Without an instruction for it, which not every machine of its kind has. */
static inline uint32_t bits_count(uint64_t bits)
{
    bits -= bits >> 1 & UINT64_C(0x5555555555555555);
    bits = (bits & UINT64_C(0x3333333333333333)) + (bits >> 2 & UINT64_C(0x3333333333333333));
    bits = (bits + (bits >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (uint32_t)(bits * UINT64_C(0x0101010101010101) >> 56);
}

uint32_t chakra_number(const struct chakra_rank *rank, uint64_t id)
{
    const struct chakra_id_map *map = &rank->ids;
    size_t at = page_find(map, id / PAGE_IDS);
    if (at == map->page_count) {
        return ID_NONE;
    }
    uint64_t bits = map->bits[at], bit = UINT64_C(1) << id % PAGE_IDS;
    if (bits == UINT64_MAX) {
        return map->before[at] + (uint32_t)(id % PAGE_IDS);
    }
    return (bits & bit) != 0 ? map->before[at] + bits_count(bits & (bit - 1)) : ID_NONE;
}

static void map_open(struct chakra_rank *rank)
{
    struct chakra_id_map *map = &rank->ids;
    uint64_t last = rank->id_high / PAGE_IDS;
    map->page_low = rank->id_low / PAGE_IDS;
    map->is_hashed = last - map->page_low > rank->node_count; /* else 12 bytes a node at most */
    map->page_count = (size_t)(last - map->page_low) + 1;
    if (map->is_hashed) {
        for (map->page_count = 8; map->page_count < 2 * (size_t)rank->node_count;) {
            map->page_count *= 2;
        }
        map->page = arena_array(rank->arena, map->page_count, uint64_t);
    }
    map->bits = arena_array(rank->arena, map->page_count, uint64_t);
    map->before = arena_array(rank->arena, map->page_count, uint32_t);
}

static enum status twice_refuse(const struct chakra_rank *rank, const uint8_t *again, struct diag *diag)
{
    struct packed_walk walk = {0};
    struct chakra_node first, second;
    uint64_t id;
    node_unpack(again, &second);
    do {
        node_unpack(file_walk_next(rank, &walk, &id), &first);
    } while (first.id != second.id);
    return diag_input(diag, (struct origin){.path = rank->path},
                      "node id %" PRIu64 " is given twice (\"%s\" and \"%s\"); expected unique ids", first.id,
                      chakra_name_of(rank, &first), chakra_name_of(rank, &second));
}

static enum status ids_enter(struct chakra_rank *rank, struct diag *diag)
{
    struct packed_walk walk = {0};
    uint64_t id;
    for (const uint8_t *node; (node = file_walk_next(rank, &walk, &id)) != NULL;) {
        size_t at = page_find(&rank->ids, id / PAGE_IDS);
        uint64_t bit = UINT64_C(1) << id % PAGE_IDS;
        if ((rank->ids.bits[at] & bit) != 0) {
            return twice_refuse(rank, node, diag);
        }
        rank->ids.bits[at] |= bit;
        if (rank->ids.is_hashed) {
            rank->ids.page[at] = id / PAGE_IDS;
        }
    }
    return STATUS_OK;
}

struct page_place {
    uint64_t page;
    size_t at;
};

static int page_compare(const void *left, const void *right)
{
    const struct page_place *a = left, *b = right;
    return a->page < b->page ? -1 : a->page > b->page;
}

static void pages_count(struct chakra_rank *rank)
{
    struct chakra_id_map *map = &rank->ids;
    uint32_t before = 0;
    if (!map->is_hashed) {
        for (size_t at = 0; at < map->page_count; at++) {
            map->before[at] = before;
            before += bits_count(map->bits[at]);
        }
        return;
    }
    size_t count = 0;
    struct arena *scratch = arena_new_within(rank->arena, "pages of ids in order");
    struct page_place *places = arena_array(scratch, rank->node_count, struct page_place);
    for (size_t at = 0; at < map->page_count; at++) {
        if (map->bits[at] != 0) {
            places[count++] = (struct page_place){map->page[at], at};
        }
    }
    qsort(places, count, sizeof *places, page_compare);
    for (size_t i = 0; i < count; i++) {
        map->before[places[i].at] = before;
        before += bits_count(map->bits[places[i].at]);
    }
    arena_free(scratch);
}

static void nodes_order(struct chakra_rank *rank)
{
    struct packed_walk walk = {0};
    uint64_t id;
    rank->node_at = arena_array(rank->arena, rank->node_count, const uint8_t *);
    for (const uint8_t *node; (node = file_walk_next(rank, &walk, &id)) != NULL;) {
        rank->node_at[chakra_number(rank, id)] = node;
    }
}

enum status chakra_rank_link(struct chakra_rank *rank, struct diag *diag)
{
    map_open(rank);
    enum status status = ids_enter(rank, diag);
    if (status == STATUS_OK) {
        pages_count(rank);
    }
    if (status == STATUS_OK && rank->is_unordered) {
        nodes_order(rank);
    }
    return status;
}

/* ---- parents and cycles --------------------------------------------------------------------------------- */

static const uint8_t *numbers_skip(const uint8_t *at, uint32_t count)
{
    for (; count > 0; at++) {
        count -= *at < 0x80;
    }
    return at;
}

struct chakra_parent_walk chakra_parents(const struct chakra_rank *rank, const struct chakra_node *node,
                                         enum chakra_deps deps)
{
    struct chakra_parent_walk walk = {rank, node->parents, node->id, node->ctrl_count, node->data_count};
    if (deps == CHAKRA_DEPS_DATA) {
        walk.at = numbers_skip(walk.at, walk.ctrl_left);
        walk.ctrl_left = 0;
    } else if (deps == CHAKRA_DEPS_CTRL) {
        walk.data_left = 0;
    }
    return walk;
}

/* The edges from parent to child, for Kahn's algorithm: child[first[i] .. first[i + 1]) wait for node i. */
struct children {
    uint64_t *first;
    uint32_t *child;
    uint32_t *wait; /* parents that have not come yet */
};

static void children_count(const struct chakra_rank *rank, struct children *children)
{
    struct chakra_walk nodes = {.rank = rank};
    struct chakra_node node;
    for (uint32_t i = 0; chakra_walk_next(&nodes, &node); i++) {
        struct chakra_parent_walk parents = chakra_parents(rank, &node, CHAKRA_DEPS_BOTH);
        struct chakra_parent parent;
        while (chakra_parent_next(&parents, &parent)) {
            if (parent.number != ID_NONE) {
                children->first[parent.number]++;
                children->wait[i]++;
            }
        }
    }
    for (uint32_t i = 0; i < rank->node_count; i++) {
        children->first[i + 1] += children->first[i];
    }
}

/* first[i] is the end of row i before and its beginning after. */
static void children_fill(const struct chakra_rank *rank, struct children *children)
{
    struct chakra_walk nodes = {.rank = rank};
    struct chakra_node node;
    for (uint32_t i = 0; chakra_walk_next(&nodes, &node); i++) {
        struct chakra_parent_walk parents = chakra_parents(rank, &node, CHAKRA_DEPS_BOTH);
        struct chakra_parent parent;
        while (chakra_parent_next(&parents, &parent)) {
            if (parent.number != ID_NONE) {
                children->child[--children->first[parent.number]] = i;
            }
        }
    }
}

static bool is_acyclic(const struct chakra_rank *rank)
{
    struct arena *scratch = arena_new_within(rank->arena, "dependencies of a Chakra file");
    struct children children = {
        .first = arena_array(scratch, (size_t)rank->node_count + 1, uint64_t),
        .wait = arena_array(scratch, rank->node_count, uint32_t),
    };
    children_count(rank, &children);
    children.child = arena_array(scratch, children.first[rank->node_count], uint32_t);
    children_fill(rank, &children);
    uint32_t *free_nodes = arena_array(scratch, rank->node_count, uint32_t);
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
    arena_free(scratch);
    return free_count == rank->node_count;
}

struct chakra_ctrl chakra_ctrl_survey(const struct chakra_rank *rank)
{
    struct chakra_ctrl ctrl = {0};
    struct chakra_walk nodes = {.rank = rank};
    struct chakra_node node;
    bool is_forward = false; /* some parent comes later: only then can there be a cycle */
    for (uint32_t i = 0; chakra_walk_next(&nodes, &node); i++) {
        struct chakra_parent_walk parents = chakra_parents(rank, &node, CHAKRA_DEPS_BOTH);
        struct chakra_parent parent;
        while (chakra_parent_next(&parents, &parent)) {
            bool is_missing = parent.number == ID_NONE;
            ctrl.missing_count += is_missing && parent.is_ctrl;
            ctrl.self_count += parent.number == i && parent.is_ctrl;
            is_forward = is_forward || (!is_missing && parent.number >= i);
        }
    }
    bool is_whole = ctrl.self_count == 0 && ctrl.missing_count == 0;
    ctrl.is_sound = is_whole && (!is_forward || is_acyclic(rank));
    return ctrl;
}
