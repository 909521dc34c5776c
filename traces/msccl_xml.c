/* Reader of MSCCL's XML: a collective algorithm as thread blocks of steps, as MSCCLang and other tools write it.
 *
 *     <algo name= coll= ngpus= nchunksperloop= proto= nchannels= inplace= outofplace= minBytes= maxBytes=>
 *       <gpu id= i_chunks= o_chunks= s_chunks=>
 *         <tb id= send= recv= chan=>                       peers of its sends and receives, -1: none
 *           <step s= type= srcbuf= srcoff= dstbuf= dstoff= cnt= depid= deps= hasdep=/>
 *
 * Scope: allreduce, allgather, reducescatter, alltoall. A step with depid >= 0 waits for step `deps` of thread block `depid`
 * of its GPU; the runtime tells others of steps with hasdep=1 only, and of a later one as well as of the one named, so that
 * a step is waited for by the first with hasdep=1 from `deps` on. Of inplace and outofplace one that is left out is the
 * other's opposite. Attributes that say nothing about what moves where (redop, nthreads, ...) are passed over; elements
 * and types that are not listed are refused, and so is a document type (entities).
 * Checked against: hand-made files in tests/test_custom.c. What the attributes mean: Azure/msccl-executor-nccl, commit
 * 3b40a2a, src/misc/msccl/msccl_parser.cc and src/device/msccl_kernel.cu. */
#include "traces/byte_stream.h"
#include "traces/algorithm.h"
#include "traces/text_lines.h"

#include <expat.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS_PER_RANK_MAX 65536
#define CHUNKS_MAX          (UINT32_C(1) << 20)

enum depth { DEPTH_TOP, DEPTH_ALGO, DEPTH_GPU, DEPTH_BLOCK, DEPTH_STEP };

/* What a step waits for, until all steps are known. */
struct wait {
    int64_t block, step;
    bool has_dep; /* others may wait for it */
};

struct reading {
    const char *path;
    struct arena *arena;
    struct diag *diag;
    XML_Parser parser;
    enum status status;
    enum depth depth;
    bool is_over; /* the algorithm's element has ended */
    struct custom_collective *custom;
    struct custom_block *blocks;
    size_t block_count, block_capacity;
    struct custom_op *ops;
    size_t op_count, op_capacity;
    struct wait *waits; /* beside ops */
    size_t wait_count, wait_capacity;
    uint32_t *scratch, *rank_line;
    uint32_t rank;
    int64_t send_to, recv_from, channel; /* of the block */
};

static struct origin here(const struct reading *reading)
{
    return (struct origin){reading->path, (uint32_t)XML_GetCurrentLineNumber(reading->parser), 0};
}

#define refuse(reading_, ...)                                                                \
    do {                                                                                     \
        if ((reading_)->status == STATUS_OK) {                                               \
            (reading_)->status = diag_input((reading_)->diag, here(reading_), __VA_ARGS__);  \
            XML_StopParser((reading_)->parser, XML_FALSE);                                   \
        }                                                                                    \
    } while (0)

/* ---- attributes ------------------------------------------------------------------------------------------- */

static const char *text_of(const char **attributes, const char *name)
{
    for (size_t i = 0; attributes[i] != NULL; i += 2) {
        if (strcmp(attributes[i], name) == 0) {
            return attributes[i + 1];
        }
    }
    return NULL;
}

/* A whole number from low to high; `missing` where there is none and that is allowed (not INT64_MIN). */
static int64_t number_of(struct reading *reading, const char **attributes, const char *name, int64_t low, int64_t high,
                         int64_t missing)
{
    const char *text = text_of(attributes, name);
    if (text == NULL && missing != INT64_MIN) {
        return missing;
    }
    uint64_t value = 0;
    bool is_minus = text != NULL && text[0] == '-';
    bool is_number = text != NULL && text_u64(text + is_minus, &value) && value <= INT64_MAX;
    int64_t number = is_minus ? -(int64_t)value : (int64_t)value;
    if (!is_number || number < low || number > high) {
        refuse(reading, "%s=\"%.40s\"; expected a whole number from %" PRId64 " to %" PRId64, name,
               text == NULL ? "" : text, low, high);
        return low;
    }
    return number;
}

static int choice_of(struct reading *reading, const char **attributes, const char *name, const char *const *names,
                     const char *expected)
{
    const char *text = text_of(attributes, name);
    for (int i = 0; text != NULL && names[i] != NULL; i++) {
        if (strcmp(names[i], text) == 0) {
            return i;
        }
    }
    refuse(reading, "%s=\"%.40s\"; expected %s", name, text == NULL ? "" : text, expected);
    return 0;
}

/* ---- elements --------------------------------------------------------------------------------------------- */

static void algo_begin(struct reading *reading, const char **attributes)
{
    static const char *const kinds[] = {"allreduce",      "allgather", "reducescatter",
                                        "reduce_scatter", "alltoall",  NULL};
    static const int kind_of[] = {COLLECTIVE_ALL_REDUCE, COLLECTIVE_ALL_GATHER, COLLECTIVE_REDUCE_SCATTER,
                                  COLLECTIVE_REDUCE_SCATTER, COLLECTIVE_ALL_TO_ALL};
    static const char *const protocols[] = {"Simple", "LL", "LL128", NULL};
    static const char *const protocol_of[] = {"simple", "ll", "ll128"};
    struct custom_collective *custom = reading->custom;
    custom->kind = kind_of[choice_of(reading, attributes, "coll", kinds, "allreduce, allgather, reducescatter or alltoall")];
    custom->protocol = protocol_of[choice_of(reading, attributes, "proto", protocols, "Simple, LL or LL128")];
    custom->rank_count = (uint32_t)number_of(reading, attributes, "ngpus", 2, CUSTOM_RANKS_MAX, INT64_MIN);
    custom->chunk_count = (uint32_t)number_of(reading, attributes, "nchunksperloop", 1, CHUNKS_MAX, INT64_MIN);
    int64_t in_place = number_of(reading, attributes, "inplace", 0, 1, -1);
    int64_t out_of_place = number_of(reading, attributes, "outofplace", 0, 1, in_place < 0 ? 1 : 1 - in_place);
    custom->is_in_place = in_place < 0 ? out_of_place == 0 : in_place == 1;
    custom->is_out_of_place = out_of_place == 1;
    custom->low_bytes = (uint64_t)number_of(reading, attributes, "minBytes", 0, INT64_MAX, 0);
    int64_t high = number_of(reading, attributes, "maxBytes", 0, INT64_MAX, 0);
    custom->high_bytes = high == 0 ? UINT64_MAX : (uint64_t)high;
    bool is_shared_out = custom->kind != COLLECTIVE_ALL_REDUCE && custom->chunk_count % custom->rank_count != 0;
    if (!custom->is_in_place && !custom->is_out_of_place) {
        refuse(reading, "inplace and outofplace are both 0; expected one of them");
    }
    if (is_shared_out) {
        refuse(reading, "nchunksperloop=\"%u\" is no multiple of ngpus=\"%u\"; expected as many chunks for every rank",
               custom->chunk_count, custom->rank_count);
    }
    reading->scratch = arena_array(reading->arena, custom->rank_count, uint32_t);
    reading->rank_line = arena_array(reading->arena, custom->rank_count, uint32_t);
}

static void gpu_begin(struct reading *reading, const char **attributes)
{
    reading->rank = (uint32_t)number_of(reading, attributes, "id", 0, reading->custom->rank_count - 1, INT64_MIN);
    uint32_t scratch = (uint32_t)number_of(reading, attributes, "s_chunks", 0, CHUNKS_MAX, INT64_MIN);
    number_of(reading, attributes, "i_chunks", 0, CHUNKS_MAX, 0); /* the collective says how many there are */
    number_of(reading, attributes, "o_chunks", 0, CHUNKS_MAX, 0);
    if (reading->status != STATUS_OK) {
        return;
    }
    if (reading->rank_line[reading->rank] != 0) {
        refuse(reading, "gpu %u is given twice; the first time in line %u", reading->rank,
               reading->rank_line[reading->rank]);
        return;
    }
    reading->rank_line[reading->rank] = here(reading).line;
    reading->scratch[reading->rank] = scratch;
}

static void block_begin(struct reading *reading, const char **attributes)
{
    int64_t ranks = reading->custom->rank_count;
    struct custom_block block = {.rank = reading->rank, .op_first = (uint32_t)reading->op_count};
    block.id = (uint32_t)number_of(reading, attributes, "id", 0, BLOCKS_PER_RANK_MAX, INT64_MIN);
    reading->send_to = number_of(reading, attributes, "send", -1, ranks - 1, INT64_MIN);
    reading->recv_from = number_of(reading, attributes, "recv", -1, ranks - 1, INT64_MIN);
    reading->channel = number_of(reading, attributes, "chan", 0, 1 << 20, INT64_MIN);
    if (reading->send_to == reading->rank || reading->recv_from == reading->rank) {
        refuse(reading, "gpu %u tb %u sends to or receives from its own GPU", reading->rank, block.id);
    }
    vec_push(reading->arena, reading->blocks, reading->block_count, reading->block_capacity) = block;
}

static uint8_t buffer_of(struct reading *reading, const char **attributes, const char *name)
{
    static const char *const names[] = {"i", "o", "s", "input", "output", "scratch", NULL};
    return (uint8_t)(choice_of(reading, attributes, name, names, "i, o or s") % CUSTOM_BUFFER_COUNT);
}

static uint8_t does_of(struct reading *reading, const char **attributes)
{
    static const char *const types[] = {"s", "r", "rcs", "rrc", "rrs", "rrcs", "cpy", "re", "nop", NULL};
    static const uint8_t does[] = {
        CUSTOM_SENDS,
        CUSTOM_RECEIVES | CUSTOM_STORES,
        CUSTOM_RECEIVES | CUSTOM_STORES | CUSTOM_SENDS,
        CUSTOM_RECEIVES | CUSTOM_REDUCES | CUSTOM_STORES,
        CUSTOM_RECEIVES | CUSTOM_REDUCES | CUSTOM_SENDS,
        CUSTOM_RECEIVES | CUSTOM_REDUCES | CUSTOM_STORES | CUSTOM_SENDS,
        CUSTOM_STORES,
        CUSTOM_REDUCES | CUSTOM_STORES,
        0,
    };
    return does[choice_of(reading, attributes, "type", types, "s, r, rcs, rrc, rrs, rrcs, cpy, re or nop")];
}

static void peers_set(struct reading *reading, struct custom_op *op)
{
    op->send_to = op->recv_from = ID_NONE;
    op->channel = (uint32_t)reading->channel;
    if ((op->does & CUSTOM_SENDS) != 0) {
        op->send_to = (uint32_t)reading->send_to;
        if (reading->send_to < 0) {
            refuse(reading, "a step that sends in a thread block with send=\"-1\"; expected the GPU it sends to");
        }
    }
    if ((op->does & CUSTOM_RECEIVES) != 0) {
        op->recv_from = (uint32_t)reading->recv_from;
        if (reading->recv_from < 0) {
            refuse(reading, "a step that receives in a thread block with recv=\"-1\"; expected the GPU it receives from");
        }
    }
}

static void step_begin(struct reading *reading, const char **attributes)
{
    struct custom_block *block = &reading->blocks[reading->block_count - 1];
    struct custom_op op = {.line = here(reading).line, .wait_op = ID_NONE, .order = (uint32_t)reading->op_count};
    int64_t number = number_of(reading, attributes, "s", 0, CUSTOM_OPS_MAX, INT64_MIN);
    op.source_id = (uint64_t)number;
    op.does = does_of(reading, attributes);
    op.src_buffer = buffer_of(reading, attributes, "srcbuf");
    op.dst_buffer = buffer_of(reading, attributes, "dstbuf");
    int64_t offset_low = op.does == 0 ? -1 : 0;
    op.src_first = (uint32_t)number_of(reading, attributes, "srcoff", offset_low, CHUNKS_MAX, INT64_MIN);
    op.dst_first = (uint32_t)number_of(reading, attributes, "dstoff", offset_low, CHUNKS_MAX, INT64_MIN);
    op.chunk_count = (uint32_t)number_of(reading, attributes, "cnt", op.does == 0 ? 0 : 1, CHUNKS_MAX, INT64_MIN);
    struct wait wait = {.has_dep = number_of(reading, attributes, "hasdep", 0, 1, INT64_MIN) == 1};
    wait.block = number_of(reading, attributes, "depid", -1, BLOCKS_PER_RANK_MAX, INT64_MIN);
    wait.step = number_of(reading, attributes, "deps", -1, CUSTOM_OPS_MAX, INT64_MIN);
    peers_set(reading, &op);
    if (number != block->op_count) {
        refuse(reading, "step s=\"%" PRId64 "\" stands where s=\"%u\" was expected", number, block->op_count);
    }
    if (reading->op_count >= CUSTOM_OPS_MAX) {
        refuse(reading, "more than %u steps", CUSTOM_OPS_MAX);
    }
    block->op_count++;
    vec_push(reading->arena, reading->ops, reading->op_count, reading->op_capacity) = op;
    vec_push(reading->arena, reading->waits, reading->wait_count, reading->wait_capacity) = wait;
}

static void XMLCALL element_begin(void *user, const XML_Char *name, const XML_Char **attributes)
{
    static const struct {
        const char *name;
        void (*begin)(struct reading *reading, const char **attributes);
    } elements[] = {{"algo", algo_begin}, {"gpu", gpu_begin}, {"tb", block_begin}, {"step", step_begin}};
    struct reading *reading = user;
    if (reading->status != STATUS_OK) {
        return;
    }
    if (reading->depth == DEPTH_STEP || strcmp(name, elements[reading->depth].name) != 0) {
        refuse(reading, "element \"%.40s\"; expected %s", name,
               reading->depth == DEPTH_STEP ? "the end of a step" : elements[reading->depth].name);
        return;
    }
    elements[reading->depth++].begin(reading, attributes);
}

static void XMLCALL element_end(void *user, const XML_Char *name)
{
    struct reading *reading = user;
    (void)name;
    if (reading->status == STATUS_OK) {
        reading->depth--;
        reading->is_over = reading->depth == DEPTH_TOP;
    }
}

static void XMLCALL doctype_begin(void *user, const XML_Char *name, const XML_Char *system, const XML_Char *public,
                                  int has_subset)
{
    struct reading *reading = user;
    (void)name, (void)system, (void)public, (void)has_subset;
    refuse(reading, "a document type; expected an algorithm alone");
}

/* ---- the whole -------------------------------------------------------------------------------------------- */

static int block_compare(const void *left, const void *right)
{
    const struct custom_block *a = left, *b = right;
    return a->rank != b->rank ? (a->rank > b->rank) - (a->rank < b->rank) : (a->id > b->id) - (a->id < b->id);
}

static enum status at_line(struct reading *reading, uint32_t line, const char *text)
{
    return diag_input(reading->diag, (struct origin){reading->path, line, 0}, "%s", text);
}

static const struct custom_block *block_find(const struct reading *reading, uint32_t rank, int64_t id)
{
    struct custom_block key = {.rank = rank, .id = (uint32_t)id};
    return bsearch(&key, reading->blocks, reading->block_count, sizeof key, block_compare);
}

/* The operation that is waited for: the first from the named step on that tells others. */
static enum status wait_resolve(struct reading *reading, const struct custom_block *block, uint32_t op_id)
{
    const struct wait *wait = &reading->waits[op_id];
    struct custom_op *op = &reading->ops[op_id];
    if (wait->block < 0) {
        return STATUS_OK;
    }
    const struct custom_block *other = block_find(reading, block->rank, wait->block);
    if (other == NULL || wait->step < 0 || wait->step >= other->op_count) {
        return at_line(reading, op->line, arena_printf(reading->arena, "waits for step %" PRId64 " of thread block %" PRId64
                                                       ", which gpu %u does not have", wait->step, wait->block, block->rank));
    }
    for (uint32_t step = (uint32_t)wait->step; step < other->op_count; step++) {
        if (reading->waits[other->op_first + step].has_dep) {
            op->wait_op = other->op_first + step;
            return STATUS_OK;
        }
    }
    return at_line(reading, op->line, arena_printf(reading->arena, "waits for step %" PRId64 " of thread block %" PRId64
                                                   " of gpu %u, which has hasdep=\"0\" as all after it: nobody is told",
                                                   wait->step, wait->block, block->rank));
}

static enum status blocks_finish(struct reading *reading)
{
    struct custom_collective *custom = reading->custom;
    qsort(reading->blocks, reading->block_count, sizeof *reading->blocks, block_compare);
    for (uint32_t rank = 0; rank < custom->rank_count; rank++) {
        if (reading->rank_line[rank] == 0) {
            return diag_input(reading->diag, (struct origin){.path = reading->path},
                              "gpu %u of ngpus=\"%u\" is missing", rank, custom->rank_count);
        }
    }
    enum status status = STATUS_OK;
    for (size_t i = 0; i < reading->block_count && status == STATUS_OK; i++) {
        const struct custom_block *block = &reading->blocks[i];
        if (i > 0 && block_compare(block - 1, block) == 0) {
            return at_line(reading, reading->rank_line[block->rank],
                           arena_printf(reading->arena, "gpu %u has thread block %u twice", block->rank, block->id));
        }
        for (uint32_t op = 0; op < block->op_count && status == STATUS_OK; op++) {
            status = wait_resolve(reading, block, block->op_first + op);
        }
    }
    custom->scratch_count = reading->scratch;
    custom->rank_line = reading->rank_line;
    custom->blocks = reading->blocks;
    custom->block_count = (uint32_t)reading->block_count;
    custom->ops = reading->ops;
    custom->op_count = (uint32_t)reading->op_count;
    return status;
}

static enum status parse_all(struct reading *reading, struct byte_stream *stream)
{
    const size_t piece_bytes = (size_t)1 << 16;
    for (bool is_last = false; !is_last && reading->status == STATUS_OK;) {
        uint8_t *bytes;
        size_t count;
        enum status status = byte_stream_peek(stream, piece_bytes, &bytes, &count, reading->diag);
        if (status != STATUS_OK) {
            return status;
        }
        is_last = count < piece_bytes;
        count = is_last ? count : piece_bytes;
        bool is_good = XML_Parse(reading->parser, (const char *)bytes, (int)count, is_last) == XML_STATUS_OK;
        if (!is_good && reading->status == STATUS_OK) {
            return diag_input(reading->diag, here(reading), "is no XML: %s",
                              XML_ErrorString(XML_GetErrorCode(reading->parser)));
        }
        byte_stream_skip(stream, count);
    }
    if (reading->status == STATUS_OK && !reading->is_over) {
        return diag_input(reading->diag, here(reading), "ends too early; expected </algo>");
    }
    return reading->status == STATUS_OK ? blocks_finish(reading) : reading->status;
}

bool msccl_head_is_xml(const uint8_t *head, size_t bytes)
{
    size_t at = bytes >= 3 && memcmp(head, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (at < bytes && strchr(" \t\r\n", head[at]) != NULL && head[at] != 0) {
        at++;
    }
    return at + 1 < bytes && head[at] == '<' && (head[at + 1] == '?' || head[at + 1] == '!' || head[at + 1] == 'a');
}

enum status msccl_read(const char *path, struct arena *arena, const struct custom_collective **custom, struct diag *diag)
{
    struct byte_stream *stream;
    enum status status = byte_stream_open(path, arena, &stream, diag);
    if (status != STATUS_OK) {
        return status;
    }
    struct reading reading = {.path = arena_strdup(arena, path), .arena = arena, .diag = diag};
    reading.custom = arena_one(arena, struct custom_collective);
    reading.custom->path = reading.path;
    reading.parser = XML_ParserCreate(NULL);
    XML_SetUserData(reading.parser, &reading);
    XML_SetElementHandler(reading.parser, element_begin, element_end);
    XML_SetStartDoctypeDeclHandler(reading.parser, doctype_begin);
    status = parse_all(&reading, stream);
    XML_ParserFree(reading.parser);
    byte_stream_close(stream);
    *custom = reading.custom;
    return status;
}
