/* Asserted: the generated Llama step has the published parameter count, the collectives, messages and bytes
 * of the closed forms (traces/transformer.h), one program a stage, compute times that add up to the model's
 * products, and is free of deadlock when it is walked. The roofline equals hand-computed values. Not
 * asserted: how long a step takes, which belongs to the replay. */
#include "tests/check.h"

#include "photonet/trace.h"
#include "traces/roofline.h"
#include "traces/transformer.h"

#include <stdlib.h>
#include <unistd.h>

/* "key=value key=value" onto the model's defaults; NULL where refused. */
static const struct job *generate_of(const char *name, const char *settings, struct arena *arena, struct diag *diag)
{
    const struct trace_model *model;
    struct origin at = {.path = "test"};
    diag->text[0] = '\0';
    CHECK_EQUAL(trace_model_load(name, arena, &model, diag), STATUS_OK);
    void *values = param_defaults(&model->params, arena);
    char *text = arena_strdup(arena, settings);
    for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " ")) {
        char *value = strchr(word, '=');
        *value++ = '\0';
        CHECK_EQUAL(param_assign(&model->params, values, word, value, at, arena, diag), STATUS_OK);
    }
    const struct job *job = NULL;
    enum status status = model->generate(model, values, arena, &job, diag);
    CHECK((status == STATUS_OK) == (job != NULL));
    return job;
}

static const struct job *generate(const char *settings, struct arena *arena, struct diag *diag)
{
    return generate_of("llama3-8b", settings, arena, diag);
}

/* Calls and bytes put in by one rank, by kind, on one of its group slots. */
struct sums {
    uint64_t calls[COLLECTIVE_KIND_COUNT], bytes[COLLECTIVE_KIND_COUNT];
    uint64_t send_bytes, sends, receives, compute_ps;
};

static struct sums rank_sums(const struct job *job, uint32_t rank, uint32_t slot)
{
    struct sums sums = {0};
    const struct program *program = job_program(job, rank);
    for (uint32_t op = 0; op < program->op_count; op++) {
        if (program->kind[op] == OP_COLLECTIVE && program->group_slot[op] == slot) {
            sums.calls[program->collective[op]]++;
            sums.bytes[program->collective[op]] += program->bytes[op];
        }
        sums.sends += program->kind[op] == OP_SEND;
        sums.receives += program->kind[op] == OP_RECV;
        sums.send_bytes += program->kind[op] == OP_SEND ? program->bytes[op] : 0;
        sums.compute_ps += program->kind[op] == OP_COMPUTE ? program->duration_ps[op] : 0;
    }
    return sums;
}

enum { TP_SLOT, DP_SLOT };

static const struct transformer_shape *shape_of(const char *name, struct arena *arena)
{
    const struct trace_model *model;
    struct diag diag;
    CHECK_EQUAL(trace_model_load(name, arena, &model, &diag), STATUS_OK);
    return model->shape;
}

/* Parameters as published: model cards of Llama 3; Brown et al. 2020; Mixtral: 46.7 billion, 12.9 of them at work
 * (arXiv 2401.04088); DeepSeek-V3: 671 and 37 (arXiv 2412.19437). */
static void test_parameters(void)
{
    static const struct {
        const char *name;
        double published, active, off;
    } models[] = {{"llama3-8b", 8030261248.0, 8030261248.0, 1e-12}, {"llama3-70b", 70.55e9, 70.55e9, 0.001},
                  {"llama3-405b", 405.8e9, 405.8e9, 0.001},         {"gpt3-175b", 175e9, 175e9, 0.01},
                  {"mixtral-8x7b", 46.7e9, 12.9e9, 0.005},          {"deepseek-v3", 671e9, 37e9, 0.02}};
    struct arena *arena = arena_new("test");
    size_t count = 0;
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++, count++) {
        const struct transformer_shape *shape = shape_of(models[i].name, arena);
        CHECK_NEAR((double)transformer_parameters(shape), models[i].published, models[i].off);
        CHECK_NEAR((double)transformer_active_parameters(shape), models[i].active, models[i].off);
    }
    for (const struct trace_preset *preset = trace_presets; preset->name != NULL; preset++) {
        count--;
    }
    CHECK_EQUAL(count, 0); /* no model without a published count */
    arena_free(arena);
}

static void test_default_layout(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag;
    const struct job *job = generate("", arena, &diag);
    CHECK_TEXT(diag.text, "");
    CHECK_TEXT(job->name, "llama3-8b.tp4.pp2.dp4");
    CHECK_EQUAL(job->rank_count, 32);
    CHECK_EQUAL(job->program_count, 2);
    CHECK_EQUAL(job->group_count, 8 + 8);
    CHECK(job->scale == 1.0);
    CHECK_EQUAL(job->rank_program[0], job->rank_program[15]);
    CHECK_EQUAL(job->rank_program[16], job->rank_program[31]);
    CHECK(job->rank_program[0] != job->rank_program[16]);
    uint32_t tp = job_group(job, 21, TP_SLOT), dp = job_group(job, 21, DP_SLOT);
    const uint32_t tp_members[] = {20, 21, 22, 23}, dp_members[] = {17, 21, 25, 29};
    CHECK(memcmp(job->group_rank + job->group_first[tp], tp_members, sizeof tp_members) == 0);
    CHECK(memcmp(job->group_rank + job->group_first[dp], dp_members, sizeof dp_members) == 0);
    CHECK_EQUAL(job_group_size(job, tp), 4);
    CHECK_EQUAL(job_group_size(job, dp), 4);
    CHECK_HOLDS(op_name(job_program(job, 0), 2), "layer0.attn.fwd mb0");
    arena_free(arena);
}

/* Per micro-batch and layer 2 all-reduces each way; embedding, output layer and loss besides. */
static void test_tensor_parallel_bytes(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag;
    const uint64_t sequence = 1024, batch = 2, micro = 3, layers = 8, stages = 2;
    const struct job *job =
        generate("sequence=1024 micro_batch_size=2 micro_batches=3 layers=8", arena, &diag);
    uint64_t activation = batch * sequence * 4096 * 2;
    struct sums first = rank_sums(job, 5, TP_SLOT), last = rank_sums(job, 30, TP_SLOT);
    CHECK_EQUAL(first.calls[COLLECTIVE_ALL_REDUCE], micro * (4 * layers / stages + 1));
    CHECK_EQUAL(first.bytes[COLLECTIVE_ALL_REDUCE], micro * (4 * layers / stages + 1) * activation);
    CHECK_EQUAL(last.calls[COLLECTIVE_ALL_REDUCE], micro * (4 * layers / stages + 3 + 1));
    CHECK_EQUAL(last.bytes[COLLECTIVE_ALL_REDUCE],
                micro * ((4 * layers / stages + 1) * activation + 3 * batch * sequence * 4));
    CHECK_EQUAL(first.sends, micro);
    CHECK_EQUAL(first.receives, micro);
    CHECK_EQUAL(first.send_bytes, micro * activation);
    CHECK_EQUAL(last.send_bytes, micro * activation);
    CHECK_NEAR(job->scale, (3.0 * 2 * 1024) / (16.0 * 8192) * 8 / 32, 1e-12);
    arena_free(arena);
}

/* Each all-reduce of b s h B becomes a reduce-scatter of as much and an all-gather of a t-th; backward one
 * more. */
static void test_sequence_parallel_bytes(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag;
    const uint64_t sequence = 1024, micro = 2, layers = 4, tp = 8;
    const struct job *job =
        generate("sequence=1024 micro_batches=2 layers=4 tp=8 pp=1 dp=2 sequence_parallel=yes", arena, &diag);
    uint64_t activation = sequence * 4096 * 2;
    struct sums sums = rank_sums(job, 3, TP_SLOT);
    /* Reduce-scatter: 2 + 2 a layer, embedding, output layer. All-gather: 2 + 4 a layer, embedding backward,
     * output layer forward and again for its weights. */
    CHECK_EQUAL(sums.calls[COLLECTIVE_REDUCE_SCATTER], micro * (4 * layers + 2));
    CHECK_EQUAL(sums.bytes[COLLECTIVE_REDUCE_SCATTER], micro * (4 * layers + 2) * activation);
    CHECK_EQUAL(sums.calls[COLLECTIVE_ALL_GATHER], micro * (6 * layers + 3));
    CHECK_EQUAL(sums.bytes[COLLECTIVE_ALL_GATHER], micro * (6 * layers + 3) * activation / tp);
    CHECK_EQUAL(sums.calls[COLLECTIVE_ALL_REDUCE], micro * 3);
    CHECK_EQUAL(sums.sends, 0);
    job = generate("sequence=1024 micro_batches=2 layers=4 sequence_parallel=yes", arena, &diag);
    CHECK_EQUAL(rank_sums(job, 3, TP_SLOT).send_bytes, micro * activation / 4);
    arena_free(arena);
}

/* Every parameter's gradient is reduced once: 4 bytes times the rank's share of the model. */
static void test_data_parallel_bytes(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag;
    const struct job *job = generate("", arena, &diag);
    uint64_t norms = 2 * 4096, layer = 218112000 - norms, table = UINT64_C(128256) * 4096;
    CHECK_EQUAL(32 * (layer + norms) + 2 * table + 4096, 8030261248);
    uint64_t stage = 16 * (layer / 4 + norms) + table / 4;
    struct sums first = rank_sums(job, 0, DP_SLOT), last = rank_sums(job, 31, DP_SLOT);
    CHECK_EQUAL(first.bytes[COLLECTIVE_ALL_REDUCE], stage * 4);
    CHECK_EQUAL(last.bytes[COLLECTIVE_ALL_REDUCE], (stage + 4096) * 4);
    CHECK_EQUAL(first.calls[COLLECTIVE_ALL_REDUCE],
                17); /* a layer is 54.5 million: a bucket each, and the table */

    job = generate("bucket=1000000000000", arena, &diag);
    CHECK_EQUAL(rank_sums(job, 0, DP_SLOT).calls[COLLECTIVE_ALL_REDUCE], 1);
    CHECK_EQUAL(rank_sums(job, 0, DP_SLOT).bytes[COLLECTIVE_ALL_REDUCE], stage * 4);

    job = generate("zero=1 gradients=bf16", arena, &diag);
    first = rank_sums(job, 0, DP_SLOT);
    CHECK_EQUAL(first.calls[COLLECTIVE_ALL_REDUCE], 0);
    CHECK_EQUAL(first.bytes[COLLECTIVE_REDUCE_SCATTER], stage * 2);
    CHECK_EQUAL(first.bytes[COLLECTIVE_ALL_GATHER], stage * 2 / 4);

    job = generate("dp=1", arena, &diag);
    CHECK_EQUAL(rank_sums(job, 0, DP_SLOT).calls[COLLECTIVE_ALL_REDUCE], 0);
    arena_free(arena);
}

/* The reductions begin before the backward pass ends: none but the last waits for the embedding. */
static void test_gradients_overlap(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag;
    const struct job *job = generate("micro_batches=2 layers=8", arena, &diag);
    const struct program *program = job_program(job, 0);
    uint32_t early = 0, late = 0;
    for (uint32_t op = 0; op < program->op_count; op++) {
        if (program->kind[op] == OP_COLLECTIVE && program->group_slot[op] == DP_SLOT) {
            CHECK_EQUAL(program->dep_first[op + 1] - program->dep_first[op], 1);
            const char *after = op_name(program, program->dep[program->dep_first[op]]);
            bool is_early = strstr(after, "attn.bwd.weights mb1") != NULL;
            early += is_early;
            late += !is_early;
        }
    }
    CHECK_EQUAL(early, 4);
    CHECK_EQUAL(late, 1);
    arena_free(arena);
}

/* Products of 6 N flop a token and the causal attention, at the rate of the GPU, are the bulk of the compute
 * time. */
static void test_compute_time(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag;
    const struct job *job = generate("tp=1 pp=1 dp=1 micro_batches=1", arena, &diag);
    const struct gpu_row *gpu = gpu_find("h100");
    double tokens = 8192,
           matrices = 8030261248.0 - 128256.0 * 4096; /* the embedding is looked up, not multiplied */
    double scores = 32 * 7.0 * 4096 * 8192 * tokens; /* 2 + 5: the scores twice on the way back */
    double least_s = 6 * matrices * tokens / (gpu->peak_flops[KERNEL_BF16] * gpu->flop_fraction[KERNEL_BF16] * STEP_FRACTION) +
                     scores / (gpu->peak_flops[KERNEL_ATTENTION] * gpu->flop_fraction[KERNEL_ATTENTION] * STEP_FRACTION);
    double compute_s = (double)rank_sums(job, 0, 0).compute_ps * 1e-12;
    CHECK(compute_s > least_s);
    CHECK(compute_s < 1.25 * least_s);
    /* Four ranks share the products; the norms stay whole. */
    job = generate("tp=4 pp=1 dp=1 micro_batches=1", arena, &diag);
    CHECK_NEAR((double)rank_sums(job, 0, TP_SLOT).compute_ps * 1e-12, compute_s / 4, 0.12);
    arena_free(arena);
}

static void test_shrink(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag;
    const struct job *job = generate("layers=4 micro_batches=2", arena, &diag);
    const struct job *small = generate("layers=4 micro_batches=2 shrink=64", arena, &diag);
    struct sums whole = rank_sums(job, 9, TP_SLOT), part = rank_sums(small, 9, TP_SLOT);
    CHECK_EQUAL(part.calls[COLLECTIVE_ALL_REDUCE], whole.calls[COLLECTIVE_ALL_REDUCE]);
    CHECK_EQUAL(part.bytes[COLLECTIVE_ALL_REDUCE] * 64, whole.bytes[COLLECTIVE_ALL_REDUCE]);
    CHECK_NEAR(part.compute_ps * 64, whole.compute_ps, 1e-6);
    CHECK_NEAR(small->scale, job->scale / 64, 1e-12);
    arena_free(arena);
}

/* A replay without time: operations finish when their dependencies have, a receive when its message was sent,
 * a collective when every member has entered as many of its group. */
struct walk {
    const struct job *job;
    bool **done, **entered_by;  /* rank, operation */
    uint32_t *sent, *received;  /* sender x receiver x tag */
    uint32_t *entered, *passed; /* rank's slot: collectives that it has begun and finished */
};

/* Boundaries of chunks, and the one tag of ring attention behind them. */
enum { WALK_TAGS = 256 };

static uint32_t walk_tag(uint32_t tag)
{
    CHECK(tag < WALK_TAGS - 1 || tag == 0x40000000);
    return tag < WALK_TAGS - 1 ? tag : WALK_TAGS - 1;
}

static struct walk walk_new(const struct job *job, struct arena *arena)
{
    size_t channels = (size_t)job->rank_count * job->rank_count * WALK_TAGS,
           slots = job->rank_group_first[job->rank_count];
    struct walk walk = {job,
                        arena_array(arena, job->rank_count, bool *),
                        arena_array(arena, job->rank_count, bool *),
                        arena_array(arena, channels, uint32_t),
                        arena_array(arena, channels, uint32_t),
                        arena_array(arena, slots, uint32_t),
                        arena_array(arena, slots, uint32_t)};
    for (uint32_t rank = 0; rank < job->rank_count; rank++) {
        walk.done[rank] = arena_array(arena, job_program(job, rank)->op_count, bool);
        walk.entered_by[rank] = arena_array(arena, job_program(job, rank)->op_count, bool);
    }
    return walk;
}

static bool walk_message(struct walk *walk, uint32_t rank, const struct program *program, uint32_t op)
{
    uint32_t peer = job_peer(walk->job, rank, program, op);
    bool is_send = program->kind[op] == OP_SEND;
    uint32_t from = is_send ? rank : peer, to = is_send ? peer : rank;
    size_t channel = ((size_t)from * walk->job->rank_count + to) * WALK_TAGS + walk_tag(program->tag[op]);
    if (is_send) {
        walk->sent[channel]++;
        return true;
    }
    bool is_there = walk->received[channel] < walk->sent[channel];
    walk->received[channel] += is_there;
    return is_there;
}

static bool walk_collective(struct walk *walk, uint32_t rank, const struct program *program, uint32_t op)
{
    const struct job *job = walk->job;
    uint32_t slot = job->rank_group_first[rank] + program->group_slot[op], group = job->rank_group[slot];
    walk->entered[slot] += !walk->entered_by[rank][op];
    walk->entered_by[rank][op] = true;
    for (uint32_t i = job->group_first[group]; i < job->group_first[group + 1]; i++) {
        uint32_t at = job->rank_group_first[job->group_rank[i]];
        while (job->rank_group[at] != group) {
            at++;
        }
        if (walk->entered[at] <= walk->passed[slot]) {
            return false;
        }
    }
    walk->passed[slot]++;
    return true;
}

static bool walk_op(struct walk *walk, uint32_t rank, const struct program *program, uint32_t op)
{
    for (uint32_t i = program->dep_first[op]; i < program->dep_first[op + 1]; i++) {
        if (!walk->done[rank][program->dep[i]]) {
            return false;
        }
    }
    switch (program->kind[op]) {
    case OP_SEND:
    case OP_RECV:
        return walk_message(walk, rank, program, op);
    case OP_COLLECTIVE:
        return walk_collective(walk, rank, program, op);
    default:
        return true;
    }
}

/* How many operations never finish. */
static uint64_t walk_left(const struct job *job, struct arena *arena)
{
    struct walk walk = walk_new(job, arena);
    uint64_t left = 0;
    for (bool has_moved = true; has_moved;) {
        has_moved = false;
        left = 0;
        for (uint32_t rank = 0; rank < job->rank_count; rank++) {
            const struct program *program = job_program(job, rank);
            for (uint32_t op = 0; op < program->op_count; op++) {
                bool is_new = !walk.done[rank][op] && walk_op(&walk, rank, program, op);
                walk.done[rank][op] |= is_new;
                has_moved |= is_new;
                left += !walk.done[rank][op];
            }
        }
    }
    return left;
}

static void test_no_deadlock(void)
{
    static const struct {
        const char *model, *settings;
    } cases[] = {
        {"llama3-8b", "layers=4 micro_batches=4"},
        {"llama3-8b", "layers=8 micro_batches=2 pp=8 dp=1 tp=2"},
        {"llama3-8b", "layers=4 micro_batches=5 pp=4 dp=2 tp=2 sequence_parallel=yes"},
        {"llama3-8b", "layers=4 micro_batches=1 pp=4 dp=2 tp=1 zero=1"},
        {"llama3-8b", "layers=2 micro_batches=3 pp=1 dp=1 tp=1"},
        {"llama3-8b", "layers=7 micro_batches=8 pp=4 dp=1 tp=2 schedule=interleaved virtual_stages=2"},
        {"llama3-8b", "layers=6 micro_batches=2 pp=2 dp=2 tp=1 schedule=interleaved virtual_stages=4 zero=2"},
        {"llama3-8b", "layers=5 micro_batches=7 pp=4 dp=2 tp=2 schedule=zb_h1 sequence_parallel=yes"},
        {"llama3-8b", "layers=4 micro_batches=2 pp=2 dp=2 tp=2 zero=3 prefetch=2"},
        {"llama3-8b", "layers=4 micro_batches=2 pp=2 dp=2 tp=2 zero=3 reshard=no recompute=full"},
        {"llama3-8b", "layers=4 micro_batches=2 pp=2 dp=2 tp=2 cp=4"},
        {"llama3-8b", "layers=4 micro_batches=2 pp=2 dp=2 tp=1 cp=4 cp_exchange=ring rank_order=tp_cp_pp_dp"},
        {"llama3-8b", "layers=2 micro_batches=1 pp=1 dp=1 tp=2 cp=2 cp_exchange=ring"},
        {"llama3-8b", "layers=6 micro_batches=8 pp=4 dp=2 tp=1 schedule=dualpipe zero=1"},
        {"gpt3-175b", "layers=4 micro_batches=4 pp=4 dp=2 tp=1 schedule=zb_h1"},
        {"mixtral-8x7b", "layers=4 micro_batches=2 pp=2 dp=4 ep=4"},
        {"mixtral-8x7b", "layers=4 micro_batches=2 pp=2 dp=2 tp=2 ep=4 sequence_parallel=yes zipf=1 zero=3"},
        {"mixtral-8x7b", "layers=3 micro_batches=2 pp=1 dp=4 tp=1 ep=1 zero=2"},
        {"deepseek-v3", "layers=9 micro_batches=16 pp=8 dp=2 ep=2 expert_compute=own"},
        {"deepseek-v3", "layers=6 micro_batches=9 pp=4 dp=4 ep=2 schedule=zb_h1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena *arena = arena_new("test");
        struct diag diag;
        const struct job *job = generate_of(cases[i].model, cases[i].settings, arena, &diag);
        CHECK_TEXT(diag.text, "");
        if (job != NULL) {
            CHECK_EQUAL(walk_left(job, arena), 0);
        }
        arena_free(arena);
    }
}

static void test_stages_share_programs(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag;
    const struct job *job = generate("tp=8 pp=8 dp=256 micro_batches=16", arena, &diag);
    CHECK_EQUAL(job->rank_count, 16384);
    CHECK_EQUAL(job->program_count, 8);
    CHECK(arena_used_bytes(arena) < 64 << 20);
    arena_free(arena);
}

static void test_refusals(void)
{
    const struct {
        const char *settings, *says;
    } cases[] = {{"tp=3", "llama3-8b: tp 3 does not divide 32 attention heads; expected a divisor"},
                 {"layers=1 pp=4", "1 layers on 4 chunks (pp x virtual_stages); expected at most 3 chunks"},
                 {"tp=16", "tp 16 does not divide 8 key-value heads"},
                 {"sequence=1022 sequence_parallel=yes", "tp 4 does not divide 1022 tokens"},
                 {"tp=8 pp=32 dp=65536", "ranks; expected at most"},
                 {"ep=2", "the model has no experts"},
                 {"cp=3", "cp 3 does not divide 8192 tokens"},
                 {"products=fp8 gpu=a100", "products are fp8, which the GPU has not"},
                 {"products=fp32", "expected bf16 or fp8"},
                 {"schedule=dualpipe zero=2", "zero is above 1 with the dualpipe schedule"},
                 {"routing_file=x.yaml", "the model has no experts"},
                 {"zipf=0.5", "zipf is given, but the model has no experts"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena *arena = arena_new("test");
        struct diag diag;
        CHECK(generate(cases[i].settings, arena, &diag) == NULL);
        CHECK_HOLDS(diag.text, cases[i].says);
        arena_free(arena);
    }
}

static void test_roofline(void)
{
    const struct gpu_row *a100 = gpu_find("a100");
    CHECK(a100 != NULL && gpu_find("a1000") == NULL);
    CHECK_EQUAL(roofline_ps(a100, KERNEL_BF16, 0, 0), 0);
    CHECK_NEAR(roofline_ps(a100, KERNEL_BF16, 312e12 * 0.859 * STEP_FRACTION, 1), 1e12, 1e-12);
    CHECK_NEAR(roofline_ps(a100, KERNEL_BF16, 1, 2.039e12 * 0.9), 1e12, 1e-12);
    CHECK_NEAR(roofline_ps(a100, KERNEL_BF16, 312e12 * 0.859 * STEP_FRACTION, 2 * 2.039e12 * 0.9), 2e12, 1e-12);
    CHECK_EQUAL(roofline_ps(a100, KERNEL_BF16, 1, 0), 1); /* rounded up */
    CHECK(roofline_ps(a100, KERNEL_BF16, 1e300, 0) > UINT64_C(1) << 62);
    size_t names = 0;
    for (; gpu_names[names] != NULL; names++) {
        CHECK_TEXT(gpu_names[names], gpu_rows[names].name);
    }
    CHECK(gpu_rows[names].name == NULL);
}

/* ---- other dimensions ----------------------------------------------------------------------------------------- */

/* Keys and values: 2 b (s/c) kv_dim B / t in, gathered before the scores; their gradients come back whole. */
static void test_context_parallel_bytes(void)
{
    enum { TP, CP, DP };
    struct arena *arena = arena_new("test");
    struct diag diag;
    const uint64_t sequence = 4096, micro = 2, layers = 4, tp = 2, cp = 4;
    const struct job *job =
        generate("sequence=4096 micro_batches=2 layers=4 tp=2 pp=1 dp=1 cp=4", arena, &diag);
    CHECK_TEXT(job->name, "llama3-8b.tp2.pp1.dp1.cp4");
    CHECK_EQUAL(job->program_count, 1);
    uint64_t shard = 2 * (sequence / cp) * 8 * 128 * 2 / tp;
    struct sums sums = rank_sums(job, 3, CP);
    CHECK_EQUAL(sums.calls[COLLECTIVE_ALL_GATHER], micro * layers);
    CHECK_EQUAL(sums.bytes[COLLECTIVE_ALL_GATHER], micro * layers * shard);
    CHECK_EQUAL(sums.calls[COLLECTIVE_REDUCE_SCATTER], micro * layers);
    CHECK_EQUAL(sums.bytes[COLLECTIVE_REDUCE_SCATTER], micro * layers * shard * cp);
    const uint32_t members[] = {1, 3, 5, 7};
    uint32_t group = job_group(job, 3, CP);
    CHECK(memcmp(job->group_rank + job->group_first[group], members, sizeof members) == 0);
    /* Activations and losses are a c-th; gradients are summed over the context too. */
    sums = rank_sums(job, 3, TP);
    CHECK_EQUAL(sums.bytes[COLLECTIVE_ALL_REDUCE],
                micro * ((4 * layers + 2) * sequence / cp * 4096 * 2 + 3 * sequence / cp * 4));
    CHECK_EQUAL(job_group_size(job, job_group(job, 3, DP)), cp);
    arena_free(arena);
}

/* c - 1 exchanges forward; backward c - 1 of keys and values and c of their gradients, the last one home. */
static void test_ring_attention_bytes(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag;
    const uint64_t sequence = 4096, micro = 2, layers = 4, tp = 2, cp = 4;
    const struct job *job =
        generate("sequence=4096 micro_batches=2 layers=4 tp=2 pp=1 dp=2 cp=4 cp_exchange=ring", arena, &diag);
    CHECK_EQUAL(job->program_count, 3);
    uint64_t shard = 2 * (sequence / cp) * 8 * 128 * 2 / tp, exchanges = (cp - 1) + (cp - 1) + cp;
    for (uint32_t rank = 0; rank < 16; rank++) {
        struct sums sums = rank_sums(job, rank, 0);
        CHECK_EQUAL(sums.sends, micro * layers * exchanges);
        CHECK_EQUAL(sums.receives, sums.sends);
        CHECK_EQUAL(sums.send_bytes, micro * layers * exchanges * shard);
    }
    /* The scores of all parts are those of the whole. */
    const struct job *whole =
        generate("sequence=4096 micro_batches=2 layers=4 tp=2 pp=1 dp=2 cp=4", arena, &diag);
    CHECK_EQUAL(rank_sums(job, 5, 0).compute_ps, rank_sums(whole, 5, 0).compute_ps);
    arena_free(arena);
}

/* Two all-to-alls forward and two backward a layer with experts: T top_k h elements, FP8 there and BF16 back. */
static void test_expert_bytes(void)
{
    enum { DP, EP, EXPERT_DP };
    struct arena *arena = arena_new("test");
    struct diag diag;
    const uint64_t tokens = 4096, micro = 4, layers = 6, ep = 8, dp = 16;
    const struct job *job =
        generate_of("deepseek-v3", "layers=6 micro_batches=4 schedule=1f1b pp=1 dp=16 ep=8 zipf=0", arena, &diag);
    CHECK_TEXT(job->name, "deepseek-v3.tp1.pp1.dp16.ep8");
    CHECK_EQUAL(job->program_count, 1);
    /* 3 of 61 layers are dense, so of 6 there is one left. */
    uint64_t routed = layers - 1, there = tokens * 57344, back = tokens * 114688;
    struct sums sums = rank_sums(job, 9, EP);
    CHECK_EQUAL(sums.calls[COLLECTIVE_ALL_TO_ALL], micro * routed * 4);
    CHECK_EQUAL(sums.bytes[COLLECTIVE_ALL_TO_ALL], micro * routed * 2 * (there + back));
    CHECK_EQUAL(job_group_size(job, job_group(job, 9, EP)), ep);
    /* ZeRO 1: gradients of experts are reduced among the dp / ep ranks that hold them, in FP32, the rest among all. */
    const struct transformer_shape *shape = shape_of("deepseek-v3", arena);
    uint64_t expert = 3 * 7168 * 2048, experts = routed * 256 / ep * expert;
    sums = rank_sums(job, 9, EXPERT_DP);
    CHECK_EQUAL(sums.bytes[COLLECTIVE_REDUCE_SCATTER], experts * 4);
    CHECK_EQUAL(sums.bytes[COLLECTIVE_ALL_GATHER], experts * 2 / (dp / ep));
    CHECK_EQUAL(job_group_size(job, job_group(job, 9, EXPERT_DP)), dp / ep);
    uint64_t attention = UINT64_C(187107328) + 2 * 7168, router = 256 * 7168;
    uint64_t dense = layers * attention + 3 * 7168 * 18432 + routed * (router + expert) +
                     2 * UINT64_C(129280) * 7168 + 7168;
    CHECK_EQUAL(shape->hidden, 7168);
    sums = rank_sums(job, 9, DP);
    CHECK_EQUAL(sums.bytes[COLLECTIVE_REDUCE_SCATTER], dense * 4);
    arena_free(arena);
}

/* Unequal parts: every member sends all its copies, whoever they go to; the way back is the way there. */
static void test_routed_bytes(void)
{
    enum { DP, EP };
    struct arena *arena = arena_new("test");
    struct diag diag;
    const struct job *job = generate_of(
        "mixtral-8x7b", "layers=3 micro_batches=2 pp=1 dp=8 ep=8 zipf=1 routing_draws=2 dispatch=fp8", arena, &diag);
    CHECK_EQUAL(job->program_count, 8); /* experts have different loads */
    CHECK_EQUAL(job->pair_table_count, 3 * 2 * 2);
    const struct program *program = job_program(job, 2);
    uint64_t there = 4096 * 2 * 4096, calls = 0, peak = 0;
    for (uint32_t op = 0; op < program->op_count; op++) {
        const struct pair_table *table = job_pairs(job, program, op);
        if (table == NULL) {
            continue;
        }
        bool is_back = strstr(op_name(program, op), "combine") != NULL;
        calls++;
        CHECK_EQUAL(table->bytes_sum, 8 * there * (is_back ? 2 : 1));
        CHECK_EQUAL(program->bytes[op], there * (is_back ? 2 : 1));
        for (uint32_t i = 0; i < 8; i++) {
            uint64_t sent = 0, received = 0;
            for (uint32_t j = 0; j < 8; j++) {
                sent += table->bytes[is_back ? j * 8 + i : i * 8 + j];
                received += table->bytes[is_back ? i * 8 + j : j * 8 + i];
            }
            CHECK_EQUAL(sent, there * (is_back ? 2 : 1));
            peak = !is_back && received > peak ? received : peak;
        }
    }
    CHECK_EQUAL(calls, 3 * 2 * 4);
    CHECK(peak > there * 3 / 2); /* the most popular of eight has far more than its share */
    job = generate_of("mixtral-8x7b", "layers=3 micro_batches=2 pp=1 dp=8 ep=8 zipf=1 expert_compute=mean", arena, &diag);
    CHECK_EQUAL(job->program_count, 1);
    arena_free(arena);
}

/* Another seed draws other popular experts, and the same bytes; the same seed the same tables. */
static void test_routing_seed(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag;
    static const char common[] = "layers=2 micro_batches=1 pp=1 dp=8 ep=8 zipf=1";
    const struct job *one = generate_of("mixtral-8x7b", common, arena, &diag);
    const struct job *same = generate_of("mixtral-8x7b", arena_printf(arena, "%s routing_seed=1", common), arena, &diag);
    const struct job *other = generate_of("mixtral-8x7b", arena_printf(arena, "%s routing_seed=2", common), arena, &diag);
    uint32_t different = 0;
    CHECK(one->pair_table_count > 0);
    CHECK_EQUAL(same->pair_table_count, one->pair_table_count);
    CHECK_EQUAL(other->pair_table_count, one->pair_table_count);
    for (uint32_t i = 0; i < one->pair_table_count && i < other->pair_table_count; i++) {
        size_t bytes = 64 * sizeof(uint64_t);
        CHECK(memcmp(one->pair_tables[i].bytes, same->pair_tables[i].bytes, bytes) == 0);
        CHECK_EQUAL(one->pair_tables[i].bytes_sum, other->pair_tables[i].bytes_sum);
        different += memcmp(one->pair_tables[i].bytes, other->pair_tables[i].bytes, bytes) != 0;
    }
    CHECK(different > 0);
    arena_free(arena);
}

/* What is gathered has the precision of parameters, what is reduced that of gradients. */
static void test_precision_of_parameters(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag;
    static const char *const names[] = {"fp8", "bf16", "fp32"};
    uint64_t gathered[3], reduced[3];
    for (int i = 0; i < 3; i++) {
        const struct job *job =
            generate(arena_printf(arena, "tp=1 pp=1 dp=8 layers=2 micro_batches=1 zero=2 parameters=%s", names[i]), arena, &diag);
        struct sums sums = rank_sums(job, 3, 0);
        gathered[i] = sums.bytes[COLLECTIVE_ALL_GATHER];
        reduced[i] = sums.bytes[COLLECTIVE_REDUCE_SCATTER];
    }
    CHECK(gathered[0] > 0);
    CHECK_EQUAL(gathered[1], 2 * gathered[0]);
    CHECK_EQUAL(gathered[2], 4 * gathered[0]);
    CHECK_EQUAL(reduced[0], reduced[2]);
    arena_free(arena);
}

/* Gathered before use, forward and backward, and reduced behind it: 2 P / d in twice, 4 P once, every micro-batch. */
static void test_zero_bytes(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag;
    const uint64_t micro = 3, layers = 4, dp = 8;
    uint64_t layer = 218112000, table = UINT64_C(128256) * 4096, norm = 4096;
    uint64_t all = layers * layer + 2 * table + norm;
    const char *common = "tp=1 pp=1 dp=8 layers=4 micro_batches=3 bucket=1";
    const struct job *job = generate(arena_printf(arena, "%s zero=2", common), arena, &diag);
    struct sums sums = rank_sums(job, 5, 0);
    CHECK_EQUAL(sums.bytes[COLLECTIVE_REDUCE_SCATTER], micro * all * 4);
    CHECK_EQUAL(sums.bytes[COLLECTIVE_ALL_GATHER], all * 2 / dp);
    job = generate(arena_printf(arena, "%s zero=3", common), arena, &diag);
    sums = rank_sums(job, 5, 0);
    CHECK_EQUAL(sums.bytes[COLLECTIVE_REDUCE_SCATTER], micro * all * 4);
    /* The output layer runs backward at once, but is gathered again; the embedding is not needed backward. */
    CHECK_EQUAL(sums.bytes[COLLECTIVE_ALL_GATHER], micro * (2 * layers * layer + 2 * table + norm) * 2 / dp);
    job = generate(arena_printf(arena, "%s zero=3 reshard=no gradients=bf16", common), arena, &diag);
    sums = rank_sums(job, 5, 0);
    CHECK_EQUAL(sums.bytes[COLLECTIVE_REDUCE_SCATTER], all * 2);
    CHECK_EQUAL(sums.bytes[COLLECTIVE_ALL_GATHER], (layers * layer + table) * 2 / dp);
    arena_free(arena);
}

/* The gathering of a layer may run while the one before computes: it waits for what comes before that. */
static void test_prefetch(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag;
    const struct job *job = generate("tp=1 pp=1 dp=8 layers=4 micro_batches=1 zero=3", arena, &diag);
    const struct program *program = job_program(job, 0);
    uint32_t checked = 0;
    for (uint32_t op = 0; op < program->op_count; op++) {
        if (strcmp(op_name(program, op), "parameters.layer2.all_gather mb0") == 0 && checked == 0) {
            CHECK_TEXT(op_name(program, program->dep[program->dep_first[op]]), "layer0.mlp.fwd mb0");
            checked++;
        }
    }
    CHECK_EQUAL(checked, 1);
    arena_free(arena);
}

/* v m messages each way at every boundary of chunks; the ends of the pipeline meet where there are several. */
static void test_pipeline_bytes(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag;
    const uint64_t micro = 8, activation = 1024 * 4096 * 2;
    const struct job *job = generate("tp=1 pp=4 dp=1 layers=16 micro_batches=8 sequence=1024 schedule=interleaved "
                                     "virtual_stages=2", arena, &diag);
    CHECK_EQUAL(rank_sums(job, 0, 0).sends, micro * (2 + 1)); /* up twice, down from the upper chunk */
    CHECK_EQUAL(rank_sums(job, 1, 0).sends, micro * (2 + 2));
    CHECK_EQUAL(rank_sums(job, 3, 0).sends, micro * (1 + 2));
    CHECK_EQUAL(rank_sums(job, 1, 0).send_bytes, 4 * micro * activation);
    job = generate("tp=1 pp=4 dp=1 layers=16 micro_batches=8 sequence=1024 schedule=dualpipe", arena, &diag);
    CHECK_EQUAL(rank_sums(job, 0, 0).sends, micro); /* half of them go up, half come to their end */
    CHECK_EQUAL(rank_sums(job, 1, 0).sends, 2 * micro);
    /* Two stages hold the same layers: their gradients are summed even in one replica. */
    CHECK_EQUAL(job_group_size(job, job_group(job, 1, 0)), 2);
    uint64_t layer = 218112000;
    CHECK_EQUAL(rank_sums(job, 1, 0).bytes[COLLECTIVE_ALL_REDUCE], 8 * layer * 4);
    CHECK_EQUAL(rank_sums(job, 2, 0).bytes[COLLECTIVE_ALL_REDUCE], 8 * layer * 4);
    job = generate("tp=1 pp=4 dp=1 layers=16 micro_batches=8 sequence=1024 activations=fp8", arena, &diag);
    CHECK_EQUAL(rank_sums(job, 1, 0).send_bytes, 2 * micro * activation / 2);
    arena_free(arena);
}

/* Whatever the schedule, a stage computes the same; recomputation adds a forward pass of the layers. */
static void test_schedules_compute_the_same(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag;
    static const char *const schedules[] = {"schedule=1f1b", "schedule=zb_h1",
                                            "schedule=interleaved virtual_stages=2", "schedule=dualpipe"};
    uint64_t first_ps = 0;
    for (size_t i = 0; i < sizeof schedules / sizeof schedules[0]; i++) {
        const struct job *job = generate_of(
            "deepseek-v3", arena_printf(arena, "pp=4 dp=4 ep=4 layers=16 micro_batches=8 zero=1 %s", schedules[i]), arena,
            &diag);
        uint64_t all_ps = 0;
        for (uint32_t stage = 0; stage < 4; stage++) {
            all_ps += rank_sums(job, stage * 4, 0).compute_ps;
        }
        first_ps = i == 0 ? all_ps : first_ps;
        CHECK_NEAR((double)all_ps, (double)first_ps, 0.01); /* rounding of shares */
        CHECK(i != 1 || all_ps == first_ps);
    }
    const struct job *plain = generate("layers=8 micro_batches=2", arena, &diag);
    const struct job *again = generate("layers=8 micro_batches=2 recompute=full", arena, &diag);
    CHECK_NEAR((double)rank_sums(again, 0, TP_SLOT).compute_ps, (double)rank_sums(plain, 0, TP_SLOT).compute_ps * 4 / 3,
               0.03);
    CHECK_EQUAL(rank_sums(again, 0, TP_SLOT).calls[COLLECTIVE_ALL_REDUCE],
                rank_sums(plain, 0, TP_SLOT).calls[COLLECTIVE_ALL_REDUCE] + 2 * 2 * 4);
    arena_free(arena);
}

/* Both orders of dimensions place neighbours as they say. */
static void test_rank_orders(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag;
    const struct job *job = generate("tp=2 pp=2 dp=2 layers=4 micro_batches=1 rank_order=tp_cp_pp_dp", arena, &diag);
    CHECK_EQUAL(job->rank_program[0], job->rank_program[4]); /* replicas of stage 0 */
    CHECK(job->rank_program[0] != job->rank_program[2]);
    uint32_t group = job_group(job, 4, DP_SLOT);
    CHECK_EQUAL(job->group_rank[job->group_first[group]], 0);
    CHECK_EQUAL(job->group_rank[job->group_first[group] + 1], 4);
    arena_free(arena);
}

/* ---- samples -------------------------------------------------------------------------------------------------- */

static void test_samples(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag;
    const struct job *whole = generate("", arena, &diag);
    CHECK(!job_is_sample(whole));
    const struct job *part = generate("sample_layers=16 sample_micro_batches=4 sample_ranks=16", arena, &diag);
    CHECK(job_is_sample(part));
    CHECK_EQUAL(part->rank_count, 16);
    CHECK_EQUAL(part->full_rank_count, 32);
    CHECK_NEAR(part->scale, 16.0 / 32 * 4 / 16, 1e-12);
    /* Sixteen micro-batches and a bubble of one stand for four and one; layers twice: 2 x 17 / 5, and what is not layers. */
    CHECK(part->time_factor > 5.5 && part->time_factor < 2 * 17.0 / 5);
    part = generate("sample_ranks=8", arena, &diag);
    CHECK_EQUAL(part->rank_count, 8);
    CHECK(part->time_factor >= 1.0 && part->time_factor < 1.1);
    const struct {
        const char *settings, *says;
    } cases[] = {{"sample_ranks=12", "sample_ranks is 12; expected whole replicas, a multiple of 8"},
                 {"sample_ranks=64", "a sample is larger than the step"},
                 {"sample_layers=33", "a sample is larger than the step"},
                 {"sample_micro_batches=17", "a sample is larger than the step"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK(generate(cases[i].settings, arena, &diag) == NULL);
        CHECK_HOLDS(diag.text, cases[i].says);
    }
    arena_free(arena);
}

/* Llama-3 405B on 16,384 GPUs: a program a stage, well below the memory that is allowed. */
static void test_large(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag;
    const struct job *job = generate_of("llama3-405b", "", arena, &diag);
    CHECK_EQUAL(job->rank_count, 16384);
    CHECK_EQUAL(job->program_count, 16);
    CHECK(arena_used_bytes(arena) < 256 << 20);
    /* 126 layers on 128 chunks: the first holds the embedding alone, the last the output layer. */
    CHECK_HOLDS(op_name(job_program(job, 0), 1), "embedding.fwd mb0");
    arena_free(arena);
}

/* ---- texts ---------------------------------------------------------------------------------------------------- */

static enum status text_load(const char *text, struct arena *arena, const struct trace_model **model, struct diag *diag)
{
    char path[] = "/tmp/photonet-model-XXXXXX";
    int file = mkstemp(path);
    CHECK(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text));
    close(file);
    diag->text[0] = '\0';
    enum status status = trace_model_load(path, arena, model, diag);
    unlink(path);
    return status;
}

static void test_texts(void)
{
    static const char small[] = "layers: 4\nhidden: 256\nffn: 1024\nheads: 4\nvocabulary: 1000\n";
    const struct {
        const char *text, *says;
    } cases[] = {{"[1]", ":1:1: is no map"},
                 {"layers: 4\n", "does not say hidden"},
                 {"layers: 4\nlayrs: 3\n", ":2:"},
                 {"layers: four\n", ":1:9:"},
                 {"layers: 4\nhidden: [1]\n", "hidden is no value"},
                 {"layers: 4\nhidden: 8\nffn: 8\nheads: 4\nvocabulary: 8\nkv_heads: 3\n", ":6:11: kv_heads: 3 does not divide heads"},
                 {"layers: 4\nhidden: 8\nffn: 8\nheads: 4\nvocabulary: 8\nexperts: 4\ntop_k: 5\n", ":7:8: top_k: 5 is too many; expected at most 64, and as many"},
                 {"layers: 4\nhidden: 100\nffn: 8\nheads: 7\nvocabulary: 8\n", ":4:8: heads: 7 does not divide hidden, and there is no head_dim; expected a divisor, or head_dim: N"},
                 {"layers: 4\nhidden: 8\nffn: 8\nheads: 4\nvocabulary: 8\nexperts: 6\nexpert_groups: 4\ngroups_per_token: 1\n",
                  ":7:16: expert_groups: 4 does not divide experts"},
                 {"layers: 4\nhidden: 8\nffn: 8\nheads: 4\nvocabulary: 8\nexperts: 8\ntop_k: 3\nexpert_groups: 4\ngroups_per_token: 1\n",
                  ":9:19: groups_per_token: 1 has fewer experts in it than top_k"},
                 {"layers: 4\nhidden: 8\nffn: 8\nheads: 4\nvocabulary: 8\nexperts: 8\nexpert_groups: 4\n", ":1:1: groups_per_token: 0 has fewer"},
                 {"layers: 4\nhidden: 8\nffn: 8\nheads: 4\nvocabulary: 8\nkv_heads: 8\n", ":6:11: kv_heads: 8 does not divide heads"},
                 {"layers: 4\nhidden: 8\nffn: 8\nheads: 4\nvocabulary: 8\nexperts: 4\nstep:\n  zipf: 0.3\n  routing_file: x.yaml\n",
                  ":9:17: step.routing_file and step.zipf both say who is popular"},
                 {"layers: 4\nhidden: 8\nffn: 8\nheads: 4\nvocabulary: 8\nstep:\n  tp: 0\n", ":7:"},
                 {"layers: 4\nhidden: 8\nffn: 8\nheads: 4\nvocabulary: 8\nstep:\n  schedule: gpipe\n", "gpipe"},
                 {"layers: 4\nhidden: 8\nffn: 8\nheads: 4\nvocabulary: 8\nstep: 3\n", "step is no map"}};
    struct arena *arena = arena_new("test");
    const struct trace_model *model = NULL;
    struct diag diag;
    CHECK_EQUAL(text_load(small, arena, &model, &diag), STATUS_OK);
    const struct transformer_shape *shape = model->shape;
    CHECK_EQUAL(transformer_parameters(shape), 4 * (4 * 256 * 256 + 3 * 256 * 1024 + 512) + 2 * 256000 + 256);
    CHECK_EQUAL(text_load("layers: 4\nhidden: 100\nffn: 8\nheads: 7\nhead_dim: 16\nvocabulary: 8\n", arena, &model, &diag), STATUS_OK);
    CHECK(generate_of("mixtral-8x7b", "zipf=1 routing_file=x.yaml", arena, &diag) == NULL);
    CHECK_HOLDS(diag.text, "mixtral-8x7b: routing_file and zipf both say who is popular; expected one of them");
    CHECK(generate_of("mixtral-8x7b", "routing_file=no/such.yaml", arena, &diag) == NULL); /* instead of the model's zipf */
    CHECK_HOLDS(diag.text, "no/such.yaml");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_EQUAL(text_load(cases[i].text, arena, &model, &diag), STATUS_INPUT);
        CHECK_HOLDS(diag.text, cases[i].says);
    }
    CHECK_EQUAL(trace_model_load("no/such.yaml", arena, &model, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "no/such.yaml: no such model");
    arena_free(arena);
}

/* model:NAME,key=value is a trace. */
static void test_as_a_trace(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag = {""};
    const struct job *job = NULL;
    CHECK_EQUAL(trace_read("model:llama3-8b,tp=2,dp=2,layers=4", 8, NULL, 0, arena, &job, &diag), STATUS_OK);
    CHECK_EQUAL(job->rank_count, 8);
    CHECK_EQUAL(trace_read("model:llama3-8b,tp=2,dp=2", 9, NULL, 0, arena, &job, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "makes 8 ranks, but --ranks is 9");
    CHECK_EQUAL(trace_read("model:llama3-8b,tp", 0, NULL, 0, arena, &job, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "\"tp\" is no setting");
    CHECK_EQUAL(trace_read("model:llama4", 0, NULL, 0, arena, &job, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "no such model");
    arena_free(arena);
}

TEST_MAIN("generate", TEST(test_parameters), TEST(test_default_layout), TEST(test_tensor_parallel_bytes),
          TEST(test_sequence_parallel_bytes), TEST(test_data_parallel_bytes), TEST(test_gradients_overlap),
          TEST(test_compute_time), TEST(test_shrink), TEST(test_no_deadlock),
          TEST(test_stages_share_programs), TEST(test_refusals), TEST(test_roofline),
          TEST(test_context_parallel_bytes), TEST(test_ring_attention_bytes), TEST(test_expert_bytes),
          TEST(test_routed_bytes), TEST(test_routing_seed), TEST(test_precision_of_parameters), TEST(test_zero_bytes), TEST(test_prefetch), TEST(test_pipeline_bytes),
          TEST(test_schedules_compute_the_same), TEST(test_rank_orders), TEST(test_samples), TEST(test_large),
          TEST(test_texts), TEST(test_as_a_trace))
