/* Synthetic traffic: pattern:NAME,key=value,...
 *
 * Scope: repeated collectives over all ranks, and message patterns of the interconnect literature (W. J.
 * Dally and B. Towles, Principles and Practices of Interconnection Networks, 2004, chapter 3). A repetition
 * begins on a rank when the rank's own operations of the one before are done, so nothing but the messages
 * couples the ranks. Not modelled: open-loop injection at a given load; all messages of a repetition are
 * posted at once. Checked against: counts and partners in tests/test_pattern.c. */
#include "photonet/trace.h"

#include <stdio.h>
#include <string.h>

struct values {
    uint64_t ranks, bytes, count, compute_ps;
    uint64_t source, destination, root, senders, seed;
    uint64_t low_bytes, high_bytes, factor, settle_ps;
    uint32_t operation; /* of operations[] */
    double fraction;
};

/* Collectives as nccl-tests names its programs; the values are those of enum collective_kind. */
static const char *const operation_names[] = {"all_reduce", "all_gather", "reduce_scatter", "alltoall", "broadcast",
                                              "reduce", "gather", "scatter", NULL};
static const enum collective_kind operation_kinds[] = {
    COLLECTIVE_ALL_REDUCE, COLLECTIVE_ALL_GATHER, COLLECTIVE_REDUCE_SCATTER, COLLECTIVE_ALL_TO_ALL,
    COLLECTIVE_BROADCAST,  COLLECTIVE_REDUCE,     COLLECTIVE_GATHER,         COLLECTIVE_SCATTER};

#define RANKS_HIGH "1048576"
static const struct param rows[] = {
    PARAM_U64(struct values, ranks, COUNT, "ranks", "8", "1", RANKS_HIGH,
              "ranks that take part; --ranks overrides it"),
    PARAM_U64(struct values, bytes, SIZE, "bytes", "1MiB", "0B", "1000TB",
              "a message; of a collective what one rank puts in (all-gather: its shard)"),
    PARAM_U64(struct values, count, COUNT, "count", "1", "1", "1000000", "repetitions"),
    PARAM_U64(struct values, compute_ps, TIME, "compute", "0ps", "0ps", "1h",
              "compute before each repetition"),
    PARAM_U64(struct values, source, COUNT, "src", "0", "0", RANKS_HIGH, "sending rank"),
    PARAM_U64(struct values, destination, COUNT, "dst", "1", "0", RANKS_HIGH, "receiving, or hot, rank"),
    PARAM_U64(struct values, root, COUNT, "root", "0", "0", RANKS_HIGH, "rank that has the buffer"),
    PARAM_U64(struct values, senders, COUNT, "senders", "0", "0", RANKS_HIGH,
              "ranks that send, 0 for all others"),
    PARAM_U64(struct values, seed, COUNT, "seed", "1", NULL, NULL, "chooses the partners"),
    PARAM_CHOICE(struct values, operation, "op", "all_reduce", operation_names, "collective of nccl"),
    PARAM_U64(struct values, low_bytes, SIZE, "min", "1MiB", "1B", "1000TB", "first size of nccl, as nccl-tests counts"),
    PARAM_U64(struct values, high_bytes, SIZE, "max", "1GiB", "1B", "1000TB", "last size of nccl"),
    PARAM_U64(struct values, factor, COUNT, "factor", "2", "2", "1000000", "from one size of nccl to the next"),
    PARAM_U64(struct values, settle_ps, TIME, "settle", "2ms", "0ps", "1h",
              "of nccl: silence before each size, whose calls all ranks begin together; 0ps: a barrier of messages between sizes"),
    PARAM_REAL(struct values, fraction, FRACTION, "fraction", "20%", "0", "1",
               "share of the messages that goes to the hot rank"),
};
#undef RANKS_HIGH

/* ---- partners: target[r] is the rank to which r sends in one repetition, ID_NONE for nobody
 * ------------------ */

/* SplitMix64 (Steele, Lea, Flood 2014) as a hash of what names the draw, so that no draw depends on another.
 */
static uint64_t draw(uint64_t seed, uint64_t a, uint64_t b)
{
    uint64_t x = seed + UINT64_C(0x9e3779b97f4a7c15) * (a + 1) + UINT64_C(0xd1b54a32d192ed03) * (b + 1);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint32_t draw_below(uint64_t bits, uint32_t limit)
{
    return (uint32_t)(((bits >> 32) * limit) >> 32);
}

static uint32_t draw_other(uint64_t bits, uint32_t rank, uint32_t ranks)
{
    uint32_t other = draw_below(bits, ranks - 1);
    return other + (other >= rank);
}

/* Sattolo's algorithm: one cycle through all ranks, uniformly drawn, so nobody sends to itself. */
static void permutation(const struct values *values, uint64_t step, uint32_t *target)
{
    (void)step;
    uint32_t ranks = (uint32_t)values->ranks;
    for (uint32_t rank = 0; rank < ranks; rank++) {
        target[rank] = rank;
    }
    for (uint32_t last = ranks - 1; last > 0; last--) {
        uint32_t other = draw_below(draw(values->seed, last, 0), last), keep = target[last];
        target[last] = target[other];
        target[other] = keep;
    }
}

static void incast(const struct values *values, uint64_t step, uint32_t *target)
{
    (void)step;
    uint64_t senders = values->senders == 0 ? values->ranks - 1 : values->senders;
    for (uint64_t rank = 0; rank < values->ranks; rank++) {
        bool is_sender = rank != values->destination && senders > 0;
        target[rank] = is_sender ? (uint32_t)values->destination : ID_NONE;
        senders -= is_sender;
    }
}

static void shift(uint32_t distance, uint32_t ranks, uint32_t *target)
{
    for (uint32_t rank = 0; rank < ranks; rank++) {
        target[rank] = (rank + distance) % ranks;
    }
}

/* Just less than half way round: the worst case of a ring with shortest paths. */
static void tornado(const struct values *values, uint64_t step, uint32_t *target)
{
    (void)step;
    uint32_t ranks = (uint32_t)values->ranks;
    shift((ranks + 1) / 2 - 1, ranks, target);
}

static void bisection(const struct values *values, uint64_t step, uint32_t *target)
{
    (void)step;
    shift((uint32_t)values->ranks / 2, (uint32_t)values->ranks, target);
}

static void ring(const struct values *values, uint64_t step, uint32_t *target)
{
    (void)step;
    shift(1, (uint32_t)values->ranks, target);
}

static void uniform(const struct values *values, uint64_t step, uint32_t *target)
{
    for (uint32_t rank = 0; rank < values->ranks; rank++) {
        target[rank] = draw_other(draw(values->seed, rank, step), rank, (uint32_t)values->ranks);
    }
}

static void hotspot(const struct values *values, uint64_t step, uint32_t *target)
{
    uniform(values, step, target);
    uint64_t limit = (uint64_t)(values->fraction * 4294967296.0);
    for (uint32_t rank = 0; rank < values->ranks; rank++) {
        bool is_hot = (draw(~values->seed, rank, step) >> 32) < limit;
        if (is_hot && rank != values->destination) {
            target[rank] = (uint32_t)values->destination;
        }
    }
}

static void sendrecv(const struct values *values, uint64_t step, uint32_t *target)
{
    (void)step;
    memset(target, 0xff, values->ranks * sizeof *target);
    target[values->source] = (uint32_t)values->destination;
}

/* ---- the table
 * ---------------------------------------------------------------------------------------------- */

struct pattern {
    const char *name;
    const char *keys;                                                               /* those that it knows */
    void (*partners)(const struct values *values, uint64_t step, uint32_t *target); /* NULL: a collective */
    enum collective_kind collective;
    uint32_t ranks_min;
};

#define MESSAGE_KEYS "ranks bytes count compute"
static const struct pattern patterns[] = {
    {"all_reduce", MESSAGE_KEYS, NULL, COLLECTIVE_ALL_REDUCE, 1},
    {"ring_allreduce", MESSAGE_KEYS, NULL, COLLECTIVE_ALL_REDUCE, 1},
    {"all_gather", MESSAGE_KEYS, NULL, COLLECTIVE_ALL_GATHER, 1},
    {"reduce_scatter", MESSAGE_KEYS, NULL, COLLECTIVE_REDUCE_SCATTER, 1},
    {"alltoall", MESSAGE_KEYS, NULL, COLLECTIVE_ALL_TO_ALL, 1},
    {"all_to_all", MESSAGE_KEYS, NULL, COLLECTIVE_ALL_TO_ALL, 1},
    {"broadcast", MESSAGE_KEYS " root", NULL, COLLECTIVE_BROADCAST, 1},
    {"nccl", "ranks op min max factor root count settle", NULL, COLLECTIVE_KIND_COUNT, 2}, /* kind: `op` */
    {"permutation", MESSAGE_KEYS " seed", permutation, 0, 2},
    {"incast", MESSAGE_KEYS " dst senders", incast, 0, 2},
    {"tornado", MESSAGE_KEYS, tornado, 0, 3},
    {"bisection", MESSAGE_KEYS, bisection, 0, 2},
    {"ring", MESSAGE_KEYS, ring, 0, 2},
    {"random", MESSAGE_KEYS " seed", uniform, 0, 2},
    {"hotspot", MESSAGE_KEYS " dst fraction seed", hotspot, 0, 2},
    {"sendrecv", MESSAGE_KEYS " src dst", sendrecv, 0, 1},
};
#define PATTERN_COUNT (sizeof patterns / sizeof patterns[0])

/* ---- the text
 * ----------------------------------------------------------------------------------------------- */

struct request {
    const struct pattern *pattern;
    struct values values;
    struct origin at;
};

static bool has_word(const char *words, const char *word, size_t length)
{
    for (const char *at = words; *at != '\0';) {
        size_t here = strcspn(at, " ");
        if (here == length && memcmp(at, word, length) == 0) {
            return true;
        }
        at += here + (at[here] == ' ');
    }
    return false;
}

static enum status pattern_find(const char *name, size_t length, struct request *request, struct diag *diag)
{
    char known[512];
    size_t used = 0;
    for (size_t i = 0; i < PATTERN_COUNT; i++) {
        if (strlen(patterns[i].name) == length && memcmp(patterns[i].name, name, length) == 0) {
            request->pattern = &patterns[i];
            return STATUS_OK;
        }
        used += (size_t)snprintf(known + used, sizeof known - used, " %s", patterns[i].name);
    }
    return diag_input(diag, request->at, "unknown pattern \"%.*s\"; expected one of:%s", (int)length, name,
                      known);
}

static enum status setting_read(struct request *request, const struct param_table *table, const char *text,
                                size_t length, struct arena *arena, struct diag *diag)
{
    const char *equal = memchr(text, '=', length);
    size_t key_length = equal == NULL ? length : (size_t)(equal - text);
    const struct pattern *pattern = request->pattern;
    if (equal == NULL || !has_word(pattern->keys, text, key_length)) {
        return diag_input(diag, request->at,
                          "unknown setting \"%.*s\" of %s; expected KEY=VALUE with one of: %s", (int)length,
                          text, pattern->name, pattern->keys);
    }
    const char *key = arena_strndup(arena, text, key_length);
    const char *value = arena_strndup(arena, equal + 1, length - key_length - 1);
    return param_assign(table, &request->values, key, value, request->at, arena, diag);
}

static enum status request_read(struct request *request, const struct param_table *table, const char *text,
                                struct arena *arena, struct diag *diag)
{
    size_t length = strcspn(text, ",");
    enum status status = pattern_find(text, length, request, diag);
    for (const char *at = text + length; status == STATUS_OK && *at == ','; at += length) {
        at++;
        length = strcspn(at, ",");
        status = setting_read(request, table, at, length, arena, diag);
    }
    return status;
}

static enum status request_check(const struct request *request, struct diag *diag)
{
    const struct pattern *pattern = request->pattern;
    const struct values *values = &request->values;
    if (values->ranks < pattern->ranks_min) {
        return diag_input(diag, request->at, "%s over %u ranks; expected at least %u", pattern->name,
                          (unsigned)values->ranks, pattern->ranks_min);
    }
    if (values->low_bytes > values->high_bytes) {
        return diag_input(diag, request->at, "min is above max; expected min=1MiB,max=1GiB");
    }
    if (pattern->partners == bisection && values->ranks % 2 != 0) {
        return diag_input(diag, request->at, "bisection over %u ranks; expected an even number",
                          (unsigned)values->ranks);
    }
    if (pattern->partners == incast && values->senders >= values->ranks) {
        return diag_input(diag, request->at,
                          "incast of %u senders among %u ranks; expected fewer senders than ranks",
                          (unsigned)values->senders, (unsigned)values->ranks);
    }
    const struct {
        const char *key;
        uint64_t rank;
    } named[] = {{"src", values->source}, {"dst", values->destination}, {"root", values->root}};
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        bool is_known = has_word(pattern->keys, named[i].key, strlen(named[i].key));
        if (is_known && named[i].rank >= values->ranks) {
            return diag_input(diag, request->at, "%s is rank %u of %u ranks; expected a lower one",
                              named[i].key, (unsigned)named[i].rank, (unsigned)values->ranks);
        }
    }
    return STATUS_OK;
}

/* ---- building
 * ----------------------------------------------------------------------------------------------- */

/* The compute before a repetition, or a joint where there is none and several operations must be waited for.
 */
static uint32_t step_begin(struct job_builder *builder, const struct values *values, uint64_t step)
{
    struct op op = {.kind = values->compute_ps > 0 ? OP_COMPUTE : OP_MARKER,
                    .duration_ps = values->compute_ps,
                    .source_id = step,
                    .name = values->compute_ps > 0 ? "compute" : "join"};
    return job_builder_op(builder, &op);
}

/* nccl-tests' sizes (2.19.6, the GetCollByteCount of each program): whole elements; where every rank has a share of its own,
 * shares of whole 16 B. What is smaller is a row of 0 B. */
#define NCCL_ALIGN_BYTES   16
#define NCCL_ELEMENT_BYTES 4 /* float, the default type */

static uint64_t nccl_rank_bytes(const struct values *values, enum collective_kind kind, uint64_t size_bytes)
{
    uint64_t elements_bytes = size_bytes / NCCL_ELEMENT_BYTES * NCCL_ELEMENT_BYTES;
    uint64_t share = elements_bytes / values->ranks / NCCL_ALIGN_BYTES * NCCL_ALIGN_BYTES;
    switch (kind) {
    case COLLECTIVE_ALL_GATHER:
    case COLLECTIVE_GATHER:
        return share;
    case COLLECTIVE_SCATTER:
    case COLLECTIVE_REDUCE_SCATTER:
    case COLLECTIVE_ALL_TO_ALL:
        return share * values->ranks;
    default:
        return elements_bytes;
    }
}

static uint32_t behind(struct job_builder *builder, const struct op *op, uint32_t last)
{
    uint32_t now = job_builder_op(builder, op);
    if (last != ID_NONE) {
        job_builder_dep(builder, now, last);
    }
    return now;
}

/* A call of each size, `count` times, one after the other, and a barrier before each size, as nccl-tests has it (common.cu,
 * BenchTime): without it a root that nobody answers runs ahead, and only the first size takes the time of its whole way. Its
 * members wait for silence and begin together, so that a size takes as long wherever it stands. */
static void nccl_program(struct job_builder *builder, const struct values *values, uint32_t slot)
{
    enum collective_kind kind = operation_kinds[values->operation];
    const struct op barrier = {.kind = OP_COLLECTIVE, .collective = COLLECTIVE_BARRIER, .group_slot = slot,
                               .duration_ps = values->settle_ps, .name = "before a size"};
    uint32_t last = ID_NONE;
    for (uint64_t size = values->low_bytes; size <= values->high_bytes; size *= values->factor) {
        last = last == ID_NONE && values->settle_ps == 0 ? last : behind(builder, &barrier, last);
        for (uint64_t i = 0; i < values->count; i++) {
            struct op op = {.kind = OP_COLLECTIVE,
                            .collective = kind,
                            .bytes = nccl_rank_bytes(values, kind, size),
                            .group_slot = slot,
                            .root = (uint32_t)values->root,
                            .source_id = size,
                            .name = operation_names[values->operation]};
            last = behind(builder, &op, last);
        }
        if (size > values->high_bytes / values->factor) {
            return;
        }
    }
}

static void collective_program(struct job_builder *builder, const struct request *request, uint32_t slot)
{
    const struct values *values = &request->values;
    uint32_t last = ID_NONE;
    for (uint64_t step = 0; step < values->count; step++) {
        if (values->compute_ps > 0) {
            uint32_t begin = step_begin(builder, values, step);
            if (last != ID_NONE) {
                job_builder_dep(builder, begin, last);
            }
            last = begin;
        }
        struct op op = {.kind = OP_COLLECTIVE,
                        .collective = request->pattern->collective,
                        .bytes = values->bytes,
                        .group_slot = slot,
                        .root = (uint32_t)values->root,
                        .source_id = step,
                        .name = request->pattern->name};
        uint32_t now = job_builder_op(builder, &op);
        if (last != ID_NONE) {
            job_builder_dep(builder, now, last);
        }
        last = now;
    }
}

static enum status collectives_build(struct job_builder *builder, const struct request *request,
                                     struct arena *arena, struct diag *diag)
{
    uint32_t ranks = (uint32_t)request->values.ranks, group;
    uint32_t *members = arena_array(arena, ranks, uint32_t);
    for (uint32_t rank = 0; rank < ranks; rank++) {
        members[rank] = rank;
    }
    enum status status = job_builder_group(builder, "world", members, ranks, request->at, &group, diag);
    if (status != STATUS_OK) {
        return status;
    }
    job_builder_rank(builder, 0);
    if (request->pattern->collective == COLLECTIVE_KIND_COUNT) {
        nccl_program(builder, &request->values, job_builder_slot(builder, 0, group));
    } else {
        collective_program(builder, request, job_builder_slot(builder, 0, group));
    }
    status = job_builder_rank_end(builder, request->at.path, diag);
    for (uint32_t rank = 1; rank < ranks && status == STATUS_OK; rank++) {
        job_builder_rank_like(builder, rank, 0);
    }
    return status;
}

/* Who sends to whom in every repetition, by sender and by receiver. */
struct traffic {
    uint64_t steps;
    uint32_t ranks;
    uint32_t *target;       /* steps x ranks */
    uint32_t *source_first; /* steps x (ranks + 1) */
    uint32_t *source;       /* steps x ranks: the senders, grouped by receiver */
};

static void sources_find(uint32_t ranks, const uint32_t *target, uint32_t *first, uint32_t *source)
{
    for (uint32_t rank = 0; rank < ranks; rank++) {
        if (target[rank] != ID_NONE) {
            first[target[rank] + 1]++;
        }
    }
    for (uint32_t rank = 0; rank < ranks; rank++) {
        first[rank + 1] += first[rank];
    }
    for (uint32_t rank = 0; rank < ranks; rank++) {
        if (target[rank] != ID_NONE) {
            source[first[target[rank]]++] = rank;
        }
    }
    memmove(first + 1, first, ranks * sizeof *first);
    first[0] = 0;
}

static struct traffic traffic_make(const struct request *request, struct arena *arena)
{
    uint32_t ranks = (uint32_t)request->values.ranks;
    uint64_t steps = request->values.count;
    struct traffic traffic = {steps, ranks, arena_array(arena, steps * ranks, uint32_t),
                              arena_array(arena, steps * (ranks + 1), uint32_t),
                              arena_array(arena, steps * ranks, uint32_t)};
    for (uint64_t step = 0; step < steps; step++) {
        uint32_t *target = traffic.target + step * ranks;
        request->pattern->partners(&request->values, step, target);
        sources_find(ranks, target, traffic.source_first + step * (ranks + 1), traffic.source + step * ranks);
    }
    return traffic;
}

/* One repetition on one rank: receives, then the send; all wait for `begin`. */
static void messages_add(struct job_builder *builder, const struct request *request,
                         const struct traffic *traffic, uint32_t rank, uint64_t step, uint32_t begin)
{
    const uint32_t *first = traffic->source_first + step * (traffic->ranks + 1);
    const uint32_t *source = traffic->source + step * traffic->ranks;
    struct op op = {.kind = OP_RECV,
                    .bytes = request->values.bytes,
                    .source_id = step,
                    .stream = STREAM_NONE,
                    .name = request->pattern->name};
    for (uint32_t i = first[rank]; i < first[rank + 1]; i++) {
        op.peer = source[i];
        job_builder_dep(builder, job_builder_op(builder, &op), begin);
    }
    op.kind = OP_SEND;
    op.peer = traffic->target[step * traffic->ranks + rank];
    if (op.peer != ID_NONE) {
        job_builder_dep(builder, job_builder_op(builder, &op), begin);
    }
}

static void message_program(struct job_builder *builder, const struct request *request,
                            const struct traffic *traffic, uint32_t rank)
{
    uint32_t previous = ID_NONE;
    for (uint64_t step = 0; step < traffic->steps; step++) {
        uint32_t begin = step_begin(builder, &request->values, step);
        for (uint32_t op = previous; op < begin; op++) {
            job_builder_dep(builder, begin, op);
        }
        messages_add(builder, request, traffic, rank, step, begin);
        previous = begin;
    }
}

static enum status messages_build(struct job_builder *builder, const struct request *request,
                                  struct arena *arena, struct diag *diag)
{
    struct traffic traffic = traffic_make(request, arena);
    enum status status = STATUS_OK;
    for (uint32_t rank = 0; rank < traffic.ranks && status == STATUS_OK; rank++) {
        job_builder_rank(builder, rank);
        message_program(builder, request, &traffic, rank);
        status = job_builder_rank_end(builder, request->at.path, diag);
    }
    return status;
}

/* Beyond this the partners alone fill the memory of a small machine. */
#define MESSAGES_MAX UINT64_C(200000000)

static enum status pattern_read(const struct trace_source *source, struct arena *arena,
                                const struct job **job, struct diag *diag);

const struct trace_format trace_format_pattern = {
    .name = "pattern",
    .summary = "synthetic traffic: pattern:NAME,ranks=N,bytes=SIZE,...",
    .params = PARAM_TABLE(struct values, rows),
    .probe = NULL,
    .read = pattern_read,
};

static enum status pattern_read(const struct trace_source *source, struct arena *arena,
                                const struct job **job, struct diag *diag)
{
    struct request request = {.at = {.path = arena_printf(arena, "pattern:%s", source->path)}};
    request.values = *(const struct values *)source->values;
    enum status status = request_read(&request, &trace_format_pattern.params, source->path, arena, diag);
    if (status != STATUS_OK) {
        return status;
    }
    const struct values *values = &request.values;
    if (source->ranks > 0) {
        request.values.ranks = source->ranks;
    }
    status = request_check(&request, diag);
    if (status != STATUS_OK) {
        return status;
    }
    bool is_collective = request.pattern->partners == NULL;
    if (!is_collective && values->ranks * values->count > MESSAGES_MAX) {
        return diag_input(diag, request.at,
                          "%u ranks times %u repetitions are too many messages; expected at most %u",
                          (unsigned)values->ranks, (unsigned)values->count, (unsigned)MESSAGES_MAX);
    }
    char size[64];
    bool is_sweep = request.pattern->collective == COLLECTIVE_KIND_COUNT;
    quantity_print_u64(QUANTITY_SIZE, is_sweep ? values->high_bytes : values->bytes, size, sizeof size);
    const char *name = arena_printf(arena, "%s.n%u.%s", request.pattern->name, (unsigned)values->ranks, size);
    struct job_builder *builder =
        job_builder_new(arena, name, trace_format_pattern.name, (uint32_t)values->ranks);
    status = is_collective ? collectives_build(builder, &request, arena, diag)
                           : messages_build(builder, &request, arena, diag);
    return status == STATUS_OK ? job_builder_finish(builder, job, diag) : status;
}
