/* Does a collective algorithm of a file do what it promises?
 *
 * Where the file names chunks, every chunk of every buffer is followed: which part of the collective it holds, and the set of
 * ranks whose contribution is in it. The algorithm is run once, in one order. That stands for every order, because accesses
 * to a chunk of which one writes must be ordered by what waits for what: by the order of a block, by waiting for another one's
 * step, by a message (vector clocks, a component for every block of the rank). Out of place and in place are checked one
 * by one, whichever the file is for.
 *
 * Where the file counts bytes, nothing says what a message holds. Then every rank's contribution must be able to reach
 * every rank, if each message held all that its sender knows; and nobody may send or receive fewer bytes than the
 * collective needs at least. That is necessary, not sufficient. */
#include "netsim/replay/coll_custom.h"

#include <inttypes.h>
#include <string.h>

#define WORDS_MAX  (UINT64_C(1) << 26) /* of 64 bits: half a GiB */
#define CLOCKS_MAX (UINT64_C(1) << 26)

struct check {
    struct custom_graph *graph;
    const struct custom_collective *source;
    bool is_in_place;
    uint32_t ranks, words;           /* words: of a set */
    uint32_t chunks, shard;          /* of the whole, and of a rank */
    uint32_t buffer_count[CUSTOM_BUFFER_COUNT];
    uint64_t *cell_first;            /* per rank */
    uint32_t *chunk;                 /* per cell: part of the collective, ID_NONE: nothing yet */
    uint64_t *set;                   /* words a cell */
    uint64_t *message_first;         /* per operation that sends: its first cell in */
    uint32_t *message_chunk;
    uint64_t *message_set;
};

/* ---- cells ------------------------------------------------------------------------------------------------ */

static bool is_input_shared(const struct check *check)
{
    return check->graph->kind == COLLECTIVE_ALL_GATHER;
}

/* In place the shorter of input and output lies in the longer one, at the rank's share. */
static uint64_t cell_of(const struct check *check, uint32_t rank, uint8_t buffer, uint32_t index)
{
    uint32_t input = check->buffer_count[CUSTOM_INPUT], output = check->buffer_count[CUSTOM_OUTPUT];
    uint64_t first = check->cell_first[rank];
    if (buffer == CUSTOM_SCRATCH) {
        return first + input + output + index;
    }
    if (!check->is_in_place) {
        return first + (buffer == CUSTOM_OUTPUT ? input : 0) + index;
    }
    bool is_share = input != output && (buffer == CUSTOM_INPUT) == is_input_shared(check);
    return first + (is_share ? rank * check->shard : 0) + index;
}

static uint64_t *set_of(const struct check *check, uint64_t cell)
{
    return check->set + cell * check->words;
}

static bool set_has(const uint64_t *set, uint32_t rank)
{
    return (set[rank / 64] >> rank % 64 & 1) != 0;
}

/* What `rank` puts in. */
static uint32_t input_chunk(const struct check *check, uint32_t rank, uint32_t index)
{
    switch (check->graph->kind) {
    case COLLECTIVE_ALL_GATHER:
        return rank * check->shard + index;
    case COLLECTIVE_ALL_TO_ALL:
        return rank * check->chunks + index;
    default:
        return index;
    }
}

/* What must stand in the output of `rank`. */
static uint32_t output_chunk(const struct check *check, uint32_t rank, uint32_t index)
{
    switch (check->graph->kind) {
    case COLLECTIVE_REDUCE_SCATTER:
        return rank * check->shard + index;
    case COLLECTIVE_ALL_TO_ALL:
        return index / check->shard * check->chunks + rank * check->shard + index % check->shard;
    default:
        return index;
    }
}

static bool is_output_of(const struct check *check, const uint64_t *set, uint32_t index, uint32_t rank)
{
    bool is_reduced = check->graph->kind == COLLECTIVE_ALL_REDUCE || check->graph->kind == COLLECTIVE_REDUCE_SCATTER;
    return set_has(set, rank) == (is_reduced || index / check->shard == rank);
}

static enum status cells_begin(struct check *check)
{
    uint64_t cells = 0, messages = 0;
    const struct custom_collective *source = check->source;
    struct arena *scratch = check->graph->scratch;
    check->cell_first = arena_array(scratch, check->ranks, uint64_t);
    for (uint32_t rank = 0; rank < check->ranks; rank++) {
        check->cell_first[rank] = cells;
        cells += (uint64_t)check->buffer_count[CUSTOM_INPUT] + check->buffer_count[CUSTOM_OUTPUT] + source->scratch_count[rank];
    }
    check->message_first = arena_array(scratch, source->op_count, uint64_t);
    for (uint32_t op = 0; op < source->op_count; op++) {
        check->message_first[op] = messages;
        messages += (source->ops[op].does & CUSTOM_SENDS) != 0 ? source->ops[op].chunk_count : 0;
    }
    if ((cells + messages) * check->words > WORDS_MAX) {
        return diag_input(check->graph->diag, (struct origin){.path = source->path},
                          "%u ranks with %" PRIu64 " chunks and messages of %" PRIu64 " chunks are too many to follow",
                          check->ranks, cells, messages);
    }
    check->chunk = arena_array(scratch, cells, uint32_t);
    check->set = arena_array(scratch, cells * check->words, uint64_t);
    check->message_chunk = arena_array(scratch, messages, uint32_t);
    check->message_set = arena_array(scratch, messages * check->words, uint64_t);
    memset(check->chunk, 0xff, cells * sizeof(uint32_t));
    for (uint32_t rank = 0; rank < check->ranks; rank++) {
        for (uint32_t i = 0; i < check->buffer_count[CUSTOM_INPUT]; i++) {
            uint64_t cell = cell_of(check, rank, CUSTOM_INPUT, i);
            check->chunk[cell] = input_chunk(check, rank, i);
            set_of(check, cell)[rank / 64] |= UINT64_C(1) << rank % 64;
        }
    }
    return STATUS_OK;
}

/* ---- one operation ---------------------------------------------------------------------------------------- */

/* A chunk on its way. */
struct value {
    uint32_t chunk;
    uint64_t set[CUSTOM_RANKS_MAX / 64];
};

static void value_take(const struct check *check, struct value *value, uint32_t chunk, const uint64_t *set)
{
    value->chunk = chunk;
    memcpy(value->set, set, check->words * sizeof *set);
}

static enum status value_add(const struct check *check, uint32_t op, struct value *value, uint64_t cell)
{
    const uint64_t *set = set_of(check, cell);
    if (check->chunk[cell] == ID_NONE || check->chunk[cell] != value->chunk) {
        return custom_refuse(check->graph, op, "adds up different parts of the collective");
    }
    for (uint32_t rank = 0; rank < check->ranks; rank++) {
        if (set_has(set, rank) && set_has(value->set, rank)) {
            return custom_refuse(check->graph, op, "counts the contribution of rank %u twice", rank);
        }
    }
    for (uint32_t word = 0; word < check->words; word++) {
        value->set[word] |= set[word];
    }
    return STATUS_OK;
}

/* Does chunk `i` of the operation. */
static enum status chunk_run(struct check *check, uint32_t op_id, uint32_t rank, uint32_t i)
{
    const struct custom_op *op = &check->source->ops[op_id];
    bool is_local_sum = op->does == (CUSTOM_REDUCES | CUSTOM_STORES);
    uint64_t src = cell_of(check, rank, op->src_buffer, op->src_first + i);
    uint64_t dst = cell_of(check, rank, op->dst_buffer, op->dst_first + i);
    struct value value;
    if ((op->does & CUSTOM_RECEIVES) != 0) {
        uint64_t from = check->message_first[check->graph->got_from[op_id]] + i;
        value_take(check, &value, check->message_chunk[from], check->message_set + from * check->words);
    } else {
        value_take(check, &value, check->chunk[src], set_of(check, src));
    }
    if (value.chunk == ID_NONE) {
        return custom_refuse(check->graph, op_id, "reads a chunk that nothing has been put into");
    }
    if ((op->does & CUSTOM_REDUCES) != 0) {
        enum status status = value_add(check, op_id, &value, is_local_sum ? dst : src);
        if (status != STATUS_OK) {
            return status;
        }
    }
    if ((op->does & CUSTOM_STORES) != 0) {
        check->chunk[dst] = value.chunk;
        memcpy(set_of(check, dst), value.set, check->words * sizeof *value.set);
    }
    if ((op->does & CUSTOM_SENDS) != 0) {
        uint64_t to = check->message_first[op_id] + i;
        check->message_chunk[to] = value.chunk;
        memcpy(check->message_set + to * check->words, value.set, check->words * sizeof *value.set);
    }
    return STATUS_OK;
}

static bool reads_src(uint8_t does)
{
    return does != 0 && ((does & CUSTOM_RECEIVES) == 0 || (does & CUSTOM_REDUCES) != 0);
}

static enum status bounds_check(const struct check *check, uint32_t op_id, uint32_t rank)
{
    const struct custom_op *op = &check->source->ops[op_id];
    const uint8_t buffers[2] = {op->src_buffer, op->dst_buffer};
    const uint32_t firsts[2] = {op->src_first, op->dst_first};
    const bool is_used[2] = {reads_src(op->does), (op->does & CUSTOM_STORES) != 0};
    for (int i = 0; i < 2; i++) {
        uint32_t count = buffers[i] == CUSTOM_SCRATCH ? check->source->scratch_count[rank] : check->buffer_count[buffers[i]];
        if (is_used[i] && (firsts[i] >= count || op->chunk_count > count - firsts[i])) {
            return custom_refuse(check->graph, op_id, "chunks %u to %u of buffer %c, which has %u", firsts[i],
                                 firsts[i] + op->chunk_count - 1, "ios"[buffers[i]], count);
        }
    }
    return STATUS_OK;
}

static enum status outputs_check(const struct check *check)
{
    for (uint32_t rank = 0; rank < check->ranks; rank++) {
        for (uint32_t i = 0; i < check->buffer_count[CUSTOM_OUTPUT]; i++) {
            uint64_t cell = cell_of(check, rank, CUSTOM_OUTPUT, i);
            const char *mode = check->is_in_place ? "in place" : "out of place";
            if (check->chunk[cell] != output_chunk(check, rank, i)) {
                return custom_refuse_rank(check->graph, rank, "ends %s with %s in chunk %u of its output (%s)", mode,
                                          check->chunk[cell] == ID_NONE ? "nothing" : "another part", i,
                                          collective_name(check->graph->kind));
            }
            for (uint32_t of = 0; of < check->ranks; of++) {
                if (!is_output_of(check, set_of(check, cell), i, of)) {
                    return custom_refuse_rank(check->graph, rank, "ends %s %s the contribution of rank %u in chunk %u of its "
                                                                  "output (%s)", mode,
                                              set_has(set_of(check, cell), of) ? "with" : "without", of, i,
                                              collective_name(check->graph->kind));
                }
            }
        }
    }
    return STATUS_OK;
}

static enum status content_check(struct check *check)
{
    enum status status = cells_begin(check);
    for (uint32_t i = 0; i < check->source->op_count && status == STATUS_OK; i++) {
        uint32_t op = check->graph->order[i], rank = check->source->blocks[check->graph->block_of[op]].rank;
        status = bounds_check(check, op, rank);
        uint32_t chunks = check->source->ops[op].does == 0 ? 0 : check->source->ops[op].chunk_count;
        for (uint32_t chunk = 0; chunk < chunks && status == STATUS_OK; chunk++) {
            status = chunk_run(check, op, rank, chunk);
        }
    }
    return status == STATUS_OK ? outputs_check(check) : status;
}

/* What each message holds, as runs of chunks. */
static void runs_find(struct check *check)
{
    struct custom_graph *graph = check->graph;
    graph->run_count = 0;
    for (uint32_t op = 0; op < check->source->op_count; op++) {
        graph->run_first[op] = (uint32_t)graph->run_count;
        uint32_t count = (check->source->ops[op].does & CUSTOM_SENDS) != 0 ? check->source->ops[op].chunk_count : 0;
        for (uint32_t i = 0; i < count; i++) {
            uint32_t chunk = check->message_chunk[check->message_first[op] + i];
            struct chunk_run *last = graph->run_count > graph->run_first[op] ? &graph->runs[graph->run_count - 1] : NULL;
            if (last != NULL && last->first + last->count == chunk) {
                last->count++;
            } else {
                vec_push(graph->scratch, graph->runs, graph->run_count, graph->run_capacity) = (struct chunk_run){chunk, 1};
            }
        }
    }
    graph->run_first[check->source->op_count] = (uint32_t)graph->run_count;
}

/* ---- races ------------------------------------------------------------------------------------------------ */

/* Who has read or written a cell: the last write, and the reads since, one a block. */
struct race {
    struct check *check;
    uint32_t rank, block_first, blocks;
    uint32_t *clock;  /* per operation and block of the rank: operations of the block that are before it */
    uint32_t *write;  /* per cell: operation, ID_NONE */
    uint32_t *reads;  /* per cell and block: operation, ID_NONE */
};

static bool is_before(const struct race *race, uint32_t op, uint32_t later)
{
    uint32_t block = race->check->graph->block_of[op];
    uint32_t done = race->clock[(size_t)later * race->blocks + block - race->block_first];
    return op == later || done > op - race->check->source->blocks[block].op_first;
}

static enum status race_refuse(const struct race *race, uint32_t op, uint32_t other, const char *what)
{
    const struct custom_op *ops = race->check->source->ops;
    return custom_refuse(race->check->graph, op, "%s what thread block %u may touch at the same time (line %u): neither waits "
                                                 "for the other", what,
                         race->check->source->blocks[race->check->graph->block_of[other]].id, ops[other].line);
}

static enum status cell_read(struct race *race, uint32_t op, uint64_t cell)
{
    uint32_t write = race->write[cell], block = race->check->graph->block_of[op] - race->block_first;
    if (write != ID_NONE && !is_before(race, write, op)) {
        return race_refuse(race, op, write, "reads");
    }
    race->reads[cell * race->blocks + block] = op;
    return STATUS_OK;
}

static enum status cell_write(struct race *race, uint32_t op, uint64_t cell)
{
    uint32_t write = race->write[cell];
    if (write != ID_NONE && !is_before(race, write, op)) {
        return race_refuse(race, op, write, "writes");
    }
    for (uint32_t block = 0; block < race->blocks; block++) {
        uint32_t *read = &race->reads[cell * race->blocks + block];
        if (*read != ID_NONE && !is_before(race, *read, op)) {
            return race_refuse(race, op, *read, "writes");
        }
        *read = ID_NONE;
    }
    race->write[cell] = op;
    return STATUS_OK;
}

static void clock_max(struct race *race, uint32_t *clock, uint32_t other)
{
    const uint32_t *from = &race->clock[(size_t)other * race->blocks];
    for (uint32_t i = 0; other != ID_NONE && i < race->blocks; i++) {
        clock[i] = clock[i] > from[i] ? clock[i] : from[i];
    }
}

static void clock_set(struct race *race, uint32_t op)
{
    const struct custom_graph *graph = race->check->graph;
    const struct custom_block *block = &race->check->source->blocks[graph->block_of[op]];
    uint32_t *clock = &race->clock[(size_t)op * race->blocks];
    memset(clock, 0, race->blocks * sizeof *clock);
    clock_max(race, clock, op > block->op_first ? op - 1 : ID_NONE);
    clock_max(race, clock, race->check->source->ops[op].wait_op);
    clock_max(race, clock, graph->got_from[op]);
    if (block->rank == race->rank) {
        clock[graph->block_of[op] - race->block_first] = op - block->op_first + 1;
    }
}

static enum status accesses_check(struct race *race, uint32_t op_id)
{
    const struct check *check = race->check;
    const struct custom_op *op = &check->source->ops[op_id];
    uint64_t base = check->cell_first[race->rank];
    enum status status = STATUS_OK;
    for (uint32_t i = 0; op->does != 0 && i < op->chunk_count && status == STATUS_OK; i++) {
        uint64_t src = cell_of(check, race->rank, op->src_buffer, op->src_first + i) - base;
        uint64_t dst = cell_of(check, race->rank, op->dst_buffer, op->dst_first + i) - base;
        if (reads_src(op->does)) {
            status = cell_read(race, op_id, src);
        }
        if (status == STATUS_OK && (op->does & CUSTOM_STORES) != 0) {
            status = cell_write(race, op_id, dst);
        }
    }
    return status;
}

static enum status rank_races(struct check *check, uint32_t block_first, uint32_t blocks)
{
    const struct custom_collective *source = check->source;
    uint32_t rank = source->blocks[block_first].rank;
    uint64_t cells = (uint64_t)check->buffer_count[CUSTOM_INPUT] + check->buffer_count[CUSTOM_OUTPUT] +
                     source->scratch_count[rank];
    if ((uint64_t)source->op_count * blocks > CLOCKS_MAX || cells * blocks > CLOCKS_MAX) {
        return custom_refuse_rank(check->graph, rank, "has too many thread blocks (%u) to look whether they wait for each "
                                                      "other", blocks);
    }
    struct arena *scratch = arena_new("races of a collective algorithm");
    struct race race = {.check = check, .rank = rank, .block_first = block_first, .blocks = blocks,
                        .clock = arena_array(scratch, (size_t)source->op_count * blocks, uint32_t),
                        .write = arena_array(scratch, cells, uint32_t),
                        .reads = arena_array(scratch, cells * blocks, uint32_t)};
    memset(race.write, 0xff, cells * sizeof(uint32_t));
    memset(race.reads, 0xff, cells * blocks * sizeof(uint32_t));
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < source->op_count && status == STATUS_OK; i++) {
        uint32_t op = check->graph->order[i];
        clock_set(&race, op);
        if (source->blocks[check->graph->block_of[op]].rank == rank) {
            status = accesses_check(&race, op);
        }
    }
    arena_free(scratch);
    return status;
}

static enum status races_check(struct check *check)
{
    const struct custom_collective *source = check->source;
    enum status status = STATUS_OK;
    for (uint32_t first = 0, end = 0; first < source->block_count && status == STATUS_OK; first = end) {
        while (end < source->block_count && source->blocks[end].rank == source->blocks[first].rank) {
            end++;
        }
        status = end - first > 1 ? rank_races(check, first, end - first) : STATUS_OK;
    }
    return status;
}

static enum status chunks_check(struct check *check)
{
    static const bool modes[] = {false, true};
    const struct custom_collective *source = check->source;
    uint32_t whole = source->chunk_count, shard = whole / source->rank_count;
    bool is_gather = check->graph->kind == COLLECTIVE_ALL_GATHER, is_scatter = check->graph->kind == COLLECTIVE_REDUCE_SCATTER;
    check->chunks = whole;
    check->shard = shard;
    check->buffer_count[CUSTOM_INPUT] = is_gather ? shard : whole;
    check->buffer_count[CUSTOM_OUTPUT] = is_scatter ? shard : whole;
    enum status status = STATUS_OK;
    for (int i = 0; i < 2 && status == STATUS_OK; i++) {
        check->is_in_place = modes[i];
        if (modes[i] ? source->is_in_place : source->is_out_of_place) {
            status = content_check(check);
            if (status == STATUS_OK) {
                runs_find(check);
                status = races_check(check);
            }
        }
    }
    return status;
}

/* ---- bytes ------------------------------------------------------------------------------------------------ */

/* The least that a rank must send and receive in a call of this size. An all-reduce: whatever a rank does not add up itself
 * it sends, and of what it adds up it sends the sum. */
static void least_bytes(const struct check *check, uint64_t size, uint64_t *send, uint64_t *recv)
{
    uint64_t share = size / check->ranks;
    switch (check->graph->kind) {
    case COLLECTIVE_ALL_REDUCE:
        *send = *recv = size;
        return;
    case COLLECTIVE_ALL_GATHER:
        *send = share;
        *recv = share * (check->ranks - 1);
        return;
    case COLLECTIVE_REDUCE_SCATTER:
        *send = share * (check->ranks - 1);
        *recv = share;
        return;
    default:
        *send = *recv = share * (check->ranks - 1);
    }
}

/* More than any algorithm needs: a rank that stands for all others in an all-to-all, gathers what they send and deals out
 * what they get, moves twice the bytes of all. Messages of another unit would be scaled to times that look like figures. */
static uint64_t most_bytes(const struct check *check)
{
    uint64_t bytes = check->graph->size_bytes, most;
    return __builtin_mul_overflow(bytes, 2 * (uint64_t)check->ranks, &most) ? UINT64_MAX : most;
}

static enum status volume_check(const struct check *check)
{
    uint64_t *sent = arena_array(check->graph->scratch, 2 * (size_t)check->ranks, uint64_t), least[2];
    least_bytes(check, check->graph->size_bytes, &least[0], &least[1]);
    for (uint32_t op = 0; op < check->source->op_count; op++) {
        const struct custom_op *of = &check->source->ops[op];
        for (uint32_t way = 0; way < 2; way++) {
            bool is_moved = (of->does & (way == 0 ? CUSTOM_SENDS : CUSTOM_RECEIVES)) != 0;
            uint64_t *sum = &sent[2 * (size_t)check->source->blocks[check->graph->block_of[op]].rank + way];
            if (is_moved && __builtin_add_overflow(*sum, of->bytes, sum)) {
                return custom_refuse(check->graph, op, "more bytes than 64 bits count");
            }
        }
    }
    for (uint32_t i = 0; i < 2 * check->ranks; i++) {
        if (sent[i] > most_bytes(check)) {
            return custom_refuse_rank(check->graph, i / 2,
                                      "%s %" PRIu64 " B; a call of %s with %" PRIu64 " B on %u ranks takes %" PRIu64
                                      " B at most (is that the size behind the @?)", i % 2 == 0 ? "sends" : "receives", sent[i], collective_name(check->graph->kind),
                                      check->graph->size_bytes, check->ranks, most_bytes(check));
        }
        if (sent[i] < least[i % 2]) {
            return custom_refuse_rank(check->graph, i / 2, "%s %" PRIu64 " B; a call of %s with %" PRIu64
                                                           " B needs %" PRIu64 " B at least (is that the size behind the @?)",
                                      i % 2 == 0 ? "sends" : "receives", sent[i], collective_name(check->graph->kind),
                                      check->graph->size_bytes, least[i % 2]);
        }
    }
    return STATUS_OK;
}

static void knowledge_add(const struct check *check, uint64_t *to, uint32_t op)
{
    for (uint32_t word = 0; op != ID_NONE && word < check->words; word++) {
        to[word] |= check->message_set[(size_t)op * check->words + word];
    }
}

/* Sets of operations, in message_set; of ranks, in `set`. */
static enum status reach_check(struct check *check)
{
    const struct custom_graph *graph = check->graph;
    if ((uint64_t)check->source->op_count * check->words > WORDS_MAX) {
        return diag_input(graph->diag, (struct origin){.path = check->source->path}, "%u operations on %u ranks are too many "
                          "to follow", check->source->op_count, check->ranks);
    }
    check->message_set = arena_array(graph->scratch, (size_t)check->source->op_count * check->words, uint64_t);
    check->set = arena_array(graph->scratch, (size_t)check->ranks * check->words, uint64_t);
    for (uint32_t i = 0; i < check->source->op_count; i++) {
        uint32_t op = graph->order[i];
        const struct custom_block *block = &check->source->blocks[graph->block_of[op]];
        uint64_t *set = &check->message_set[(size_t)op * check->words];
        set[block->rank / 64] |= UINT64_C(1) << block->rank % 64;
        knowledge_add(check, set, op > block->op_first ? op - 1 : ID_NONE);
        knowledge_add(check, set, check->source->ops[op].wait_op);
        knowledge_add(check, set, graph->got_from[op]);
        knowledge_add(check, set_of(check, block->rank), op);
    }
    for (uint32_t i = 0; i < check->ranks * check->ranks; i++) {
        uint32_t rank = i / check->ranks, of = i % check->ranks;
        if (rank != of && !set_has(set_of(check, rank), of)) {
            return custom_refuse_rank(graph, rank, "no message can have brought the contribution of rank %u (%s)", of,
                                      collective_name(graph->kind));
        }
    }
    return volume_check(check);
}

enum status custom_check(struct custom_graph *graph)
{
    struct check check = {.graph = graph, .source = graph->source, .ranks = graph->source->rank_count,
                          .words = (graph->source->rank_count + 63) / 64};
    return graph->source->chunk_count > 0 ? chunks_check(&check) : reach_check(&check);
}
