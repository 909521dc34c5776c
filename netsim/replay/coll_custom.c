#include "netsim/replay/coll_custom.h"

#include "photonet/units.h"

#include <glob.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- refusing --------------------------------------------------------------------------------------------- */

static enum status refuse_at(const struct custom_graph *graph, uint32_t rank, uint32_t line, const char *what,
                             const char *text)
{
    const char *path = graph->source->rank_path != NULL ? graph->source->rank_path[rank] : graph->source->path;
    return diag_input(graph->diag, (struct origin){path, line, 0}, "%s: %s", what, text);
}

enum status custom_refuse(const struct custom_graph *graph, uint32_t op_id, const char *format, ...)
{
    const struct custom_op *op = &graph->source->ops[op_id];
    const struct custom_block *block = &graph->source->blocks[graph->block_of[op_id]];
    char text[512], what[96];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (graph->source->rank_path != NULL) {
        snprintf(what, sizeof what, "node %" PRIu64, op->source_id);
    } else {
        snprintf(what, sizeof what, "gpu %u tb %u step %" PRIu64, block->rank, block->id, op->source_id);
    }
    return refuse_at(graph, block->rank, op->line, what, text);
}

enum status custom_refuse_rank(const struct custom_graph *graph, uint32_t rank, const char *format, ...)
{
    char text[512], what[32];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    snprintf(what, sizeof what, "rank %u", rank);
    return refuse_at(graph, rank, graph->source->rank_line != NULL ? graph->source->rank_line[rank] : 0, what, text);
}

/* ---- who receives what ------------------------------------------------------------------------------------ */

/* One end of a message; those with equal keys match in this order. */
struct message_end {
    uint32_t from, to, channel, order, op;
};

static int end_compare_key(const struct message_end *a, const struct message_end *b)
{
    int order = (a->from > b->from) - (a->from < b->from);
    order = order != 0 ? order : (a->to > b->to) - (a->to < b->to);
    return order != 0 ? order : (a->channel > b->channel) - (a->channel < b->channel);
}

static int end_compare(const void *left, const void *right)
{
    const struct message_end *a = left, *b = right;
    int order = end_compare_key(a, b);
    return order != 0 ? order : (a->order > b->order) - (a->order < b->order);
}

static size_t ends_collect(const struct custom_graph *graph, uint8_t does, struct message_end *ends)
{
    size_t count = 0;
    for (uint32_t i = 0; i < graph->source->op_count; i++) {
        const struct custom_op *op = &graph->source->ops[i];
        if ((op->does & does) != 0) {
            uint32_t rank = graph->source->blocks[graph->block_of[i]].rank;
            uint32_t from = does == CUSTOM_SENDS ? rank : op->recv_from, to = does == CUSTOM_SENDS ? op->send_to : rank;
            ends[count++] = (struct message_end){from, to, op->channel, op->order, i};
        }
    }
    qsort(ends, count, sizeof *ends, end_compare);
    return count;
}

static enum status unmatched(const struct custom_graph *graph, const struct message_end *end, bool is_send)
{
    return custom_refuse(graph, end->op, is_send ? "sends to rank %u on channel %u, which never receives it"
                                                 : "receives from rank %u on channel %u, which never sends it",
                         is_send ? end->to : end->from, end->channel);
}

static enum status pair_check(const struct custom_graph *graph, const struct message_end *send,
                              const struct message_end *recv)
{
    const struct custom_op *a = &graph->source->ops[send->op], *b = &graph->source->ops[recv->op];
    if (a->chunk_count != b->chunk_count) {
        return custom_refuse(graph, recv->op, "receives %u chunks where rank %u sends %u", b->chunk_count, send->from,
                             a->chunk_count);
    }
    if (a->bytes != b->bytes) {
        return custom_refuse(graph, recv->op, "receives %" PRIu64 " B where rank %u sends %" PRIu64 " B", b->bytes,
                             send->from, a->bytes);
    }
    return STATUS_OK;
}

/* MSCCL: a connection, one way on one channel between two GPUs, is one thread block's at either end. */
static enum status connection_check(const struct custom_graph *graph, const struct message_end *ends, size_t i)
{
    bool is_shared = graph->source->chunk_count > 0 && i > 0 && end_compare_key(&ends[i - 1], &ends[i]) == 0 &&
                     graph->block_of[ends[i - 1].op] != graph->block_of[ends[i].op];
    return !is_shared ? STATUS_OK
                      : custom_refuse(graph, ends[i].op, "uses the connection from rank %u to rank %u on channel %u, which "
                                                         "another thread block has too", ends[i].from, ends[i].to,
                                      ends[i].channel);
}

static enum status graph_match(struct custom_graph *graph)
{
    uint32_t ops = graph->source->op_count;
    struct message_end *sends = arena_array(graph->scratch, ops, struct message_end);
    struct message_end *recvs = arena_array(graph->scratch, ops, struct message_end);
    size_t send_count = ends_collect(graph, CUSTOM_SENDS, sends), recv_count = ends_collect(graph, CUSTOM_RECEIVES, recvs);
    graph->sent_to = arena_array(graph->scratch, ops, uint32_t);
    graph->got_from = arena_array(graph->scratch, ops, uint32_t);
    memset(graph->sent_to, 0xff, ops * sizeof(uint32_t));
    memset(graph->got_from, 0xff, ops * sizeof(uint32_t));
    enum status status = STATUS_OK;
    for (size_t i = 0; (i < send_count || i < recv_count) && status == STATUS_OK; i++) {
        int order = i == send_count ? 1 : i == recv_count ? -1 : end_compare_key(&sends[i], &recvs[i]);
        if (order != 0) {
            return unmatched(graph, order < 0 ? &sends[i] : &recvs[i], order < 0);
        }
        graph->sent_to[sends[i].op] = recvs[i].op;
        graph->got_from[recvs[i].op] = sends[i].op;
        status = pair_check(graph, &sends[i], &recvs[i]);
        status = status == STATUS_OK ? connection_check(graph, sends, i) : status;
        status = status == STATUS_OK ? connection_check(graph, recvs, i) : status;
    }
    return status;
}

/* ---- in which order --------------------------------------------------------------------------------------- */

static enum status deadlock(const struct custom_graph *graph, const uint32_t *waiting)
{
    for (uint32_t b = 0; b < graph->source->block_count; b++) {
        const struct custom_block *block = &graph->source->blocks[b];
        for (uint32_t op = block->op_first; op < block->op_first + block->op_count; op++) {
            if (waiting[op] > 0) { /* the first of a block: the one before it is through */
                uint32_t from = graph->got_from[op], on = graph->source->ops[op].wait_op;
                return from != ID_NONE && waiting[from] > 0
                           ? custom_refuse(graph, op, "deadlock: waits for a message of rank %u, which waits too",
                                           graph->source->blocks[graph->block_of[from]].rank)
                           : custom_refuse(graph, op, "deadlock: waits for step %" PRIu64 " of block %u, which waits too",
                                           graph->source->ops[on].source_id,
                                           graph->source->blocks[graph->block_of[on]].id);
            }
        }
    }
    return STATUS_OK;
}

/* Kahn's algorithm; what an operation waits for: the one before it, its wait_op, the send of what it receives. */
static enum status graph_order(struct custom_graph *graph)
{
    const struct custom_collective *source = graph->source;
    uint32_t ops = source->op_count, done = 0, known = 0;
    uint32_t *waiting = arena_array(graph->scratch, ops, uint32_t), *waiter = arena_array(graph->scratch, ops, uint32_t);
    uint32_t *next = arena_array(graph->scratch, ops, uint32_t);
    graph->order = arena_array(graph->scratch, ops, uint32_t);
    memset(waiter, 0xff, ops * sizeof(uint32_t));
    for (uint32_t op = 0; op < ops; op++) {
        const struct custom_block *block = &source->blocks[graph->block_of[op]];
        uint32_t on = source->ops[op].wait_op;
        waiting[op] = (uint32_t)(op > block->op_first) + (graph->got_from[op] != ID_NONE) + (on != ID_NONE);
        if (on != ID_NONE) {
            next[op] = waiter[on];
            waiter[on] = op;
        }
        if (waiting[op] == 0) {
            graph->order[known++] = op;
        }
    }
    for (; done < known; done++) {
        uint32_t op = graph->order[done];
        const struct custom_block *block = &source->blocks[graph->block_of[op]];
        uint32_t followers[2] = {op + 1 < block->op_first + block->op_count ? op + 1 : ID_NONE, graph->sent_to[op]};
        for (int i = 0; i < 2; i++) {
            if (followers[i] != ID_NONE && --waiting[followers[i]] == 0) {
                graph->order[known++] = followers[i];
            }
        }
        for (uint32_t other = waiter[op]; other != ID_NONE; other = next[other]) {
            if (--waiting[other] == 0) {
                graph->order[known++] = other;
            }
        }
    }
    return done == ops ? STATUS_OK : deadlock(graph, waiting);
}

/* ---- lanes ------------------------------------------------------------------------------------------------
 *
 *      s   rrcs   rrcs   r            operations of a block
 *      s r   s r    s r               steps of its lane: a send, and the receive behind it
 *
 * which is how a ring that is built in has them. In one loop an operation before which nothing arrives can be sent at once,
 * and a receive behind which nothing is sent is waited for by nobody. In several, the last operation of a block is before its
 * first one of the next loop, so that there blocks count as a whole. */

enum lane_use { LANE_OWN, LANE_SENDS, LANE_RECEIVES, LANE_NONE };

struct lane_state {
    uint32_t steps;
    uint32_t received; /* steps up to the last that receives */
    bool is_open;      /* the last step does not receive yet */
};

/* Where an operation stands in its lane. */
struct op_place {
    uint32_t lane;             /* ID_NONE: it is left out */
    uint32_t send_at, recv_at; /* steps; ID_NONE. send_at: also of one that only waits */
    uint32_t after_recv;       /* before send_at */
    uint32_t done_steps, done_recv; /* of the lane, once it is through */
};

struct laying {
    struct custom_graph *graph;
    struct custom_layout *layout;
    bool *is_gated;    /* per operation: something must arrive before it */
    bool *is_followed; /* a send comes after it */
    struct op_place *places;   /* per operation */
    struct lane_state *states; /* per member and lane */
};

/* What arrives before an operation, and what is sent behind it. */
static void ops_look(struct laying *laying)
{
    const struct custom_graph *graph = laying->graph;
    const struct custom_collective *source = graph->source;
    for (uint32_t i = 0; i < source->op_count; i++) {
        uint32_t op = graph->order[i], on = source->ops[op].wait_op;
        bool is_first = op == source->blocks[graph->block_of[op]].op_first;
        laying->is_gated[op] = (source->ops[op].does & CUSTOM_RECEIVES) != 0 || (!is_first && laying->is_gated[op - 1]) ||
                               (on != ID_NONE && laying->is_gated[on]);
    }
    for (uint32_t i = source->op_count; i-- > 0;) {
        uint32_t op = graph->order[i], on = source->ops[op].wait_op;
        bool is_first = op == source->blocks[graph->block_of[op]].op_first;
        laying->is_followed[op] |= (source->ops[op].does & CUSTOM_SENDS) != 0;
        if (laying->is_followed[op] && !is_first) {
            laying->is_followed[op - 1] = true;
        }
        if (laying->is_followed[op] && on != ID_NONE) {
            laying->is_followed[on] = true;
        }
    }
}

/* The same of whole blocks: of several loops. */
static void blocks_look(struct laying *laying)
{
    const struct custom_graph *graph = laying->graph;
    const struct custom_collective *source = graph->source;
    bool *is_gated = arena_array(graph->scratch, source->block_count, bool);
    bool *is_followed = arena_array(graph->scratch, source->block_count, bool);
    for (uint32_t op = 0; op < source->op_count; op++) {
        uint32_t block = graph->block_of[op], on = source->ops[op].wait_op;
        is_gated[block] |= (source->ops[op].does & CUSTOM_RECEIVES) != 0 || on != ID_NONE;
        is_followed[block] |= (source->ops[op].does & CUSTOM_SENDS) != 0;
        if (on != ID_NONE) {
            is_followed[graph->block_of[on]] = true;
        }
    }
    for (uint32_t op = 0; op < source->op_count; op++) {
        laying->is_gated[op] = is_gated[graph->block_of[op]];
        laying->is_followed[op] = is_followed[graph->block_of[op]];
    }
}

/* Where an operation goes if its block is dissolved; LANE_OWN: it cannot be. */
static enum lane_use use_of(const struct laying *laying, uint32_t op)
{
    uint8_t does = laying->graph->source->ops[op].does;
    if (!laying->is_followed[op]) {
        return (does & CUSTOM_RECEIVES) != 0 ? LANE_RECEIVES : LANE_NONE;
    }
    return laying->is_gated[op] ? LANE_OWN : (does & CUSTOM_SENDS) != 0 ? LANE_SENDS : LANE_NONE;
}

static bool is_dissolved(const struct laying *laying, const struct custom_block *block)
{
    for (uint32_t i = 0; i < block->op_count; i++) {
        if (use_of(laying, block->op_first + i) == LANE_OWN) {
            return false;
        }
    }
    return true;
}

/* The shared lanes come first where the rank has them, then a lane a block. */
static void rank_lay(struct laying *laying, uint32_t block_first, uint32_t block_end, uint32_t *lanes)
{
    const struct custom_block *blocks = laying->graph->source->blocks;
    uint32_t shared[2] = {ID_NONE, ID_NONE};
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t b = block_first; b < block_end; b++) {
            bool is_shared = is_dissolved(laying, &blocks[b]);
            uint32_t own = is_shared || pass == 0 ? ID_NONE : (*lanes)++;
            for (uint32_t op = blocks[b].op_first; op < blocks[b].op_first + blocks[b].op_count; op++) {
                enum lane_use use = is_shared ? use_of(laying, op) : LANE_OWN;
                if (is_shared && pass == 0 && use != LANE_NONE) {
                    uint32_t *lane = &shared[use == LANE_RECEIVES];
                    *lane = *lane == ID_NONE ? (*lanes)++ : *lane;
                    laying->places[op].lane = *lane;
                } else if (!is_shared && pass == 1) {
                    laying->places[op].lane = own;
                }
            }
        }
    }
}

/* Waiting is over where the other has been sent at the start, and needless where nothing is sent behind this one. */
static bool waits(const struct laying *laying, uint32_t op)
{
    uint32_t on = laying->graph->source->ops[op].wait_op;
    return on != ID_NONE && laying->is_gated[on] && laying->is_followed[op] && laying->places[on].lane != ID_NONE;
}

static void op_put(const struct laying *laying, uint32_t op, struct lane_state *state)
{
    struct op_place *place = &laying->places[op];
    uint8_t does = laying->graph->source->ops[op].does;
    bool has_wait = waits(laying, op), is_receive = (does & CUSTOM_RECEIVES) != 0, is_send = (does & CUSTOM_SENDS) != 0;
    bool is_new = is_receive && (!state->is_open || (has_wait && !is_send));
    place->send_at = place->recv_at = ID_NONE;
    place->after_recv = state->received;
    if (is_new) {
        place->send_at = is_send ? ID_NONE : state->steps;
        state->steps++;
    }
    if (is_receive) {
        place->recv_at = state->steps - 1;
        state->received = state->steps;
        state->is_open = false;
    }
    if (is_send || (has_wait && !is_receive)) {
        place->send_at = state->steps++;
        place->after_recv = state->received;
        state->is_open = true;
    }
    place->done_steps = state->steps;
    place->done_recv = state->received;
}

static uint32_t rank_end(const struct custom_collective *source, uint32_t block)
{
    uint32_t end = block;
    while (end < source->block_count && source->blocks[end].rank == source->blocks[block].rank) {
        end++;
    }
    return end;
}

static enum status lanes_lay(struct laying *laying)
{
    const struct custom_collective *source = laying->graph->source;
    struct custom_layout *layout = laying->layout;
    for (uint32_t op = 0; op < source->op_count; op++) {
        laying->places[op].lane = ID_NONE;
    }
    for (uint32_t first = 0; first < source->block_count;) {
        uint32_t end = rank_end(source, first), lanes = 0;
        rank_lay(laying, first, end, &lanes);
        layout->lane_count = lanes > layout->lane_count ? lanes : layout->lane_count;
        if (lanes > CUSTOM_LANES_MAX) {
            return custom_refuse_rank(laying->graph, source->blocks[first].rank,
                                      "does %u things beside each other; expected at most %u", lanes, CUSTOM_LANES_MAX);
        }
        first = end;
    }
    laying->states = arena_array(laying->graph->scratch, (size_t)source->rank_count * layout->lane_count, struct lane_state);
    for (uint32_t b = 0; b < source->block_count; b++) {
        const struct custom_block *block = &source->blocks[b];
        for (uint32_t op = block->op_first; op < block->op_first + block->op_count; op++) {
            if (laying->places[op].lane != ID_NONE) {
                op_put(laying, op, &laying->states[(size_t)block->rank * layout->lane_count + laying->places[op].lane]);
            }
        }
    }
    return STATUS_OK;
}

/* `steps` are those of its lane. */
static void op_fill(const struct laying *laying, uint32_t op_id, struct custom_step *steps)
{
    const struct custom_graph *graph = laying->graph;
    const struct custom_op *op = &graph->source->ops[op_id];
    const struct op_place *place = &laying->places[op_id];
    if (place->recv_at != ID_NONE) {
        steps[place->recv_at].recv_from = op->recv_from;
    }
    if (place->send_at == ID_NONE) {
        return;
    }
    struct custom_step *step = &steps[place->send_at];
    step->after_recv = place->after_recv;
    if ((op->does & CUSTOM_SENDS) != 0) {
        const struct op_place *there = &laying->places[graph->sent_to[op_id]];
        step->send_to = op->send_to;
        step->send_lane = there->lane;
        step->send_as = there->recv_at;
        step->bytes = op->bytes;
        step->run_first = graph->run_first[op_id];
        step->run_count = graph->run_first[op_id + 1] - graph->run_first[op_id];
    }
    if (waits(laying, op_id)) {
        const struct op_place *on = &laying->places[op->wait_op];
        step->is_waiting = true;
        step->wait_lane = on->lane;
        step->wait_steps = on->done_steps;
        step->wait_recv = on->done_recv;
    }
}

static enum status layout_lay(struct custom_graph *graph, bool is_looped, struct arena *arena, struct custom_layout *layout)
{
    const struct custom_collective *source = graph->source;
    struct laying laying = {.graph = graph, .layout = layout,
                            .is_gated = arena_array(graph->scratch, source->op_count, bool),
                            .is_followed = arena_array(graph->scratch, source->op_count, bool),
                            .places = arena_array(graph->scratch, source->op_count, struct op_place)};
    (is_looped ? blocks_look : ops_look)(&laying);
    enum status status = lanes_lay(&laying);
    if (status != STATUS_OK) {
        return status;
    }
    size_t lanes = (size_t)source->rank_count * layout->lane_count;
    uint32_t *first = arena_array(arena, lanes + 1, uint32_t);
    for (size_t i = 0; i < lanes; i++) {
        first[i + 1] = first[i] + laying.states[i].steps;
    }
    struct custom_step *steps = arena_array(arena, first[lanes], struct custom_step);
    for (uint32_t i = 0; i < first[lanes]; i++) {
        steps[i].send_to = steps[i].recv_from = ID_NONE;
    }
    for (uint32_t op = 0; op < source->op_count; op++) {
        if (laying.places[op].lane != ID_NONE) {
            size_t rank = source->blocks[graph->block_of[op]].rank;
            op_fill(&laying, op, &steps[first[rank * layout->lane_count + laying.places[op].lane]]);
        }
    }
    layout->lane_step = first;
    layout->steps = steps;
    return STATUS_OK;
}

static enum status program_lay(struct custom_graph *graph, struct arena *arena, struct custom_program *program)
{
    struct chunk_run *runs = arena_array(arena, graph->run_count, struct chunk_run);
    for (size_t i = 0; i < graph->run_count; i++) {
        runs[i] = graph->runs[i];
    }
    program->runs = runs;
    enum status status = layout_lay(graph, false, arena, &program->layout[0]);
    return status == STATUS_OK && graph->source->chunk_count > 0 ? layout_lay(graph, true, arena, &program->layout[1])
                                                                 : status;
}

/* ---- the algorithm ---------------------------------------------------------------------------------------- */

static uint64_t loops_of(const struct collective_call *call)
{
    const struct custom_program *program = call->custom;
    uint32_t divisor = program->chunk_divisor;
    return divisor == 0 ? 1 : parts_of((call->bytes + divisor - 1) / divisor, call->ring_bytes);
}

static const struct custom_layout *layout_of(const struct collective_call *call)
{
    return &call->custom->layout[loops_of(call) > 1];
}

static uint32_t lane_steps(const struct custom_layout *layout, uint32_t member, uint32_t lane)
{
    size_t at = (size_t)member * layout->lane_count + lane;
    return layout->lane_step[at + 1] - layout->lane_step[at];
}

/* A call of other members than the algorithm has is refused before it runs, and has nothing until then. */
static bool is_fit(const struct collective_call *call)
{
    return call->members == call->custom->source->rank_count;
}

static uint32_t custom_lanes(const struct collective_call *call)
{
    return is_fit(call) ? layout_of(call)->lane_count : 0;
}

static uint64_t custom_step_count(const struct collective_call *call, uint32_t lane)
{
    return is_fit(call) ? loops_of(call) * lane_steps(layout_of(call), call->self, lane) : 0;
}

/* Bytes of a run of chunks, of each the part that this loop moves. */
static uint64_t run_bytes(const struct collective_call *call, struct chunk_run run, uint64_t loop)
{
    uint32_t divisor = call->custom->chunk_divisor;
    uint64_t bytes = 0;
    if (call->ring_bytes == 0 && run.first % divisor + run.count <= divisor) {
        uint32_t first = run.first % divisor;
        return chunk_at(call->bytes, first + run.count, divisor) - chunk_at(call->bytes, first, divisor);
    }
    for (uint32_t i = 0; i < run.count; i++) {
        struct collective_piece chunk = piece_chunk(piece_all(call->bytes), (run.first + i) % divisor, divisor);
        bytes += piece_part(chunk, loop, call->ring_bytes).bytes;
    }
    return bytes;
}

static uint64_t step_bytes(const struct collective_call *call, const struct custom_step *step, uint64_t loop)
{
    const struct custom_program *program = call->custom;
    uint64_t bytes = 0;
    if (program->source->chunk_count == 0) {
        uint64_t size = collective_size_bytes(program->kind, call->bytes, call->members);
        return (uint64_t)(((unsigned __int128)step->bytes * size + program->size_bytes - 1) / program->size_bytes);
    }
    for (uint32_t i = 0; i < step->run_count; i++) {
        bytes += run_bytes(call, program->runs[step->run_first + i], loop);
    }
    return bytes;
}

static void custom_step_at(const struct collective_call *call, uint32_t lane, uint64_t k, struct collective_step *step)
{
    const struct custom_layout *layout = layout_of(call);
    uint64_t steps = lane_steps(layout, call->self, lane), loop = k / steps;
    const struct custom_step *from =
        &layout->steps[layout->lane_step[(size_t)call->self * layout->lane_count + lane] + k % steps];
    step->recv_from = from->recv_from;
    step->after_recv = loop * steps + from->after_recv;
    if (from->send_to != ID_NONE) {
        step->send_to = from->send_to;
        step->send_lane = from->send_lane;
        step->send_as = loop * lane_steps(layout, from->send_to, from->send_lane) + from->send_as;
        step->send_bytes = step_bytes(call, from, loop);
    }
    if (from->is_waiting) {
        uint64_t before = loop * lane_steps(layout, call->self, from->wait_lane);
        step->wait_lane = from->wait_lane;
        step->wait_steps = before + from->wait_steps;
        step->wait_recv = before + from->wait_recv;
    }
}

enum status custom_fits(const struct custom_program *program, enum collective_kind kind, const struct collective_call *call,
                        const char *group, struct diag *diag)
{
    const struct custom_collective *source = program->source;
    struct origin at = {.path = source->path};
    uint64_t size = collective_size_bytes(kind, call->bytes, call->members), steps = 0;
    if (call->members < 2) {
        return STATUS_OK;
    }
    if (program->kind != kind) {
        return diag_input(diag, at, "is an algorithm of %s; group \"%.80s\" asks it for %s",
                          collective_name(program->kind), group, collective_name(kind));
    }
    if (call->members != source->rank_count) {
        return diag_input(diag, at, "is for %u ranks; group \"%.80s\" has %u (a rule with group=PATTERN picks groups)",
                          source->rank_count, group, call->members);
    }
    if (size < source->low_bytes || size > source->high_bytes) {
        return diag_input(diag, at, "is for %" PRIu64 " to %" PRIu64 " B; group \"%.80s\" has a call of %" PRIu64
                                    " B (a rule with size<BYTES picks calls)", source->low_bytes, source->high_bytes, group,
                          size);
    }
    if (call->pairs != NULL) {
        return diag_input(diag, at, "is for equal parts; group \"%.80s\" has an all-to-all of unequal ones", group);
    }
    struct collective_call of = *call;
    of.custom = program;
    for (of.self = 0; of.self < of.members; of.self++) {
        for (uint32_t lane = 0; lane < layout_of(&of)->lane_count; lane++) {
            uint64_t wanted = custom_step_count(&of, lane);
            steps = wanted > steps ? wanted : steps;
        }
    }
    return steps <= UINT32_MAX ? STATUS_OK
                               : diag_input(diag, at, "takes %" PRIu64 " steps for a call of %" PRIu64
                                                      " B; expected larger chunks (collective.ring_chunk)", steps, size);
}

/* ---- opening ---------------------------------------------------------------------------------------------- */

/* A file, a folder, or the prefix of files. */
static bool is_there(const char *path)
{
    struct stat info;
    glob_t found;
    char pattern[4352];
    snprintf(pattern, sizeof pattern, "%s.[0-9]*", path);
    bool is_prefix = path[0] != '\0' && glob(pattern, GLOB_NOSORT, NULL, &found) == 0;
    if (is_prefix) {
        globfree(&found);
    }
    return is_prefix || (path[0] != '\0' && stat(path, &info) == 0);
}

/* The size behind the last @, where there is one and nothing has the whole for a name. */
static enum status size_split(const char *text, struct origin at, struct arena *arena, const char **path, uint64_t *size_bytes,
                              struct diag *diag)
{
    char why[256] = "";
    const char *mark = strrchr(text, '@');
    *path = text;
    *size_bytes = 0;
    if (mark == NULL || strchr(mark, '/') != NULL || is_there(text)) {
        return STATUS_OK;
    }
    *path = arena_strndup(arena, text, (size_t)(mark - text));
    if (!quantity_parse_u64(QUANTITY_SIZE, mark + 1, size_bytes, why) || *size_bytes == 0) {
        return diag_input(diag, at,
                          "custom:%s: the size behind the @ %s; expected that of the call which the messages are of, as "
                          "nccl-tests counts it (@1MiB)", text, why[0] != '\0' ? why : "is 0");
    }
    return STATUS_OK;
}

/* Nothing has that name. It may be what stands behind it that is wrong. */
static enum status missing_refuse(const char *path, struct origin at, struct arena *arena, struct diag *diag)
{
    const char *part = path;
    for (const char *slash; (slash = strrchr(part, '/')) != NULL && slash > part;) {
        const char *rest = path + (slash - part) + 1;
        part = arena_strndup(arena, path, (size_t)(slash - part));
        const char *mark = strrchr(part, '@');
        bool has_size = mark != NULL && strchr(mark, '/') == NULL;
        struct stat info;
        const char *name = has_size ? arena_strndup(arena, part, (size_t)(mark - part)) : part;
        if (is_there(name) && !(stat(name, &info) == 0 && S_ISDIR(info.st_mode) && !has_size)) {
            return diag_input(diag, at, "custom:%s: \"%s\" stands behind the algorithm's file; expected nothing, or in a rule a "
                                        "protocol behind all else: /none, /ll, /ll128 or /simple", path, rest);
        }
    }
    return diag_input(diag, at, "custom:%s: no such algorithm; expected an XML file of MSCCL, or the folder or prefix of Chakra "
                                "traces PREFIX.0.et, PREFIX.1.et, ..., one a rank", path);
}

static enum status kind_check(const struct custom_graph *graph, int kind, struct origin at)
{
    const struct custom_collective *source = graph->source;
    if (kind < 0) {
        return diag_input(graph->diag, at, "custom:%s does not say which collective it is; expected a rule with one", source->path);
    }
    if (source->kind >= 0 && source->kind != kind) {
        return diag_input(graph->diag, at, "custom:%s is an algorithm of %s; expected one of %s", source->path,
                          collective_name((enum collective_kind)source->kind), collective_name((enum collective_kind)kind));
    }
    if (kind != COLLECTIVE_ALL_REDUCE && kind != COLLECTIVE_ALL_GATHER && kind != COLLECTIVE_REDUCE_SCATTER &&
        kind != COLLECTIVE_ALL_TO_ALL) {
        return diag_input(graph->diag, at, "custom:%s: an algorithm of a file can be one of all_reduce, all_gather, "
                                           "reduce_scatter, all_to_all; not of %s", source->path,
                          collective_name((enum collective_kind)kind));
    }
    if (source->chunk_count > 0 && graph->size_bytes > 0) {
        return diag_input(graph->diag, at, "custom:%s@%" PRIu64 "B: the file counts chunks, which are parts of any call's bytes; "
                                           "expected no size behind it", source->path, graph->size_bytes);
    }
    if (source->chunk_count == 0 && graph->size_bytes == 0) {
        return diag_input(graph->diag, at, "custom:%s counts bytes; expected custom:%s@SIZE with the size of the call that "
                                           "they are of, as nccl-tests counts it (@1MiB)", source->path, source->path);
    }
    if (source->chunk_count == 0 && kind != COLLECTIVE_ALL_REDUCE && graph->size_bytes % source->rank_count != 0) {
        return diag_input(graph->diag, at,
                          "custom:%s@%" PRIu64 "B: %s shares its bytes out evenly; expected a multiple of the %u ranks",
                          source->path, graph->size_bytes, collective_name((enum collective_kind)kind), source->rank_count);
    }
    return STATUS_OK;
}

static enum status graph_build(struct custom_graph *graph)
{
    const struct custom_collective *source = graph->source;
    graph->block_of = arena_array(graph->scratch, source->op_count, uint32_t);
    graph->run_first = arena_array(graph->scratch, source->op_count + 1, uint32_t);
    for (uint32_t b = 0; b < source->block_count; b++) {
        for (uint32_t i = 0; i < source->blocks[b].op_count; i++) {
            graph->block_of[source->blocks[b].op_first + i] = b;
        }
    }
    enum status status = graph_match(graph);
    status = status == STATUS_OK ? graph_order(graph) : status;
    return status == STATUS_OK ? custom_check(graph) : status;
}

static const struct collective_algorithm *algorithm_of(struct arena *arena, struct custom_program *program)
{
    const char *path = program->source->path, *slash = strrchr(path, '/');
    struct collective_algorithm *algorithm = arena_one(arena, struct collective_algorithm);
    *algorithm = (struct collective_algorithm){
        .name = arena_printf(arena, "custom:%s", slash == NULL ? path : slash + 1), .kind = program->kind,
        .summary = "as a file says", .lane_count = custom_lanes, .step_count = custom_step_count, .step = custom_step_at,
        .custom = program};
    return algorithm;
}

enum status custom_open(const char *text, int kind, struct origin at, struct arena *arena,
                        const struct collective_algorithm **algorithm, struct diag *diag)
{
    struct custom_graph graph = {.diag = diag};
    const char *path;
    enum status status = size_split(text, at, arena, &path, &graph.size_bytes, diag);
    status = status == STATUS_OK && !is_there(path) ? missing_refuse(path, at, arena, diag) : status;
    status = status == STATUS_OK ? custom_read(path, arena, &graph.source, diag) : status;
    if (status != STATUS_OK) {
        return status;
    }
    kind = kind < 0 ? graph.source->kind : kind;
    status = kind_check(&graph, kind, at);
    if (status != STATUS_OK) {
        return status;
    }
    struct custom_program *program = arena_one(arena, struct custom_program);
    graph.kind = program->kind = (enum collective_kind)kind;
    program->source = graph.source;
    program->size_bytes = graph.size_bytes;
    program->chunk_divisor = kind == COLLECTIVE_ALL_GATHER ? graph.source->chunk_count / graph.source->rank_count
                                                           : graph.source->chunk_count;
    graph.scratch = arena_new("check of a collective algorithm");
    status = graph_build(&graph);
    status = status == STATUS_OK ? program_lay(&graph, arena, program) : status;
    arena_free(graph.scratch);
    *algorithm = status == STATUS_OK ? algorithm_of(arena, program) : NULL;
    return status;
}
