/* From a table of layers to the program of all ranks: see layer_table.h. */
#include "traces/layer_table.h"

#include <stdio.h>
#include <string.h>

/* Delays of updates run on a stream of their own: they are no compute. */
#define STREAM_UPDATE 1

static const char *const phase_names[PHASE_COUNT] = {"forward", "input_gradient", "weight_gradient"};
static const char *const role_names[ROLE_COUNT] = {"", "world", "model", "data", "expert", "expert_data"};

struct loop {
    const struct layer_plan *plan;
    struct job_builder *builder;
    uint32_t slot[ROLE_COUNT];
    uint32_t now;                      /* what the next operation waits for; ID_NONE at first */
    uint32_t *done[PHASE_COUNT];       /* by row: the end of its last communication, ID_NONE */
    uint64_t left_out, left_out_bytes; /* communications that the policy does not run */
    uint64_t empty;
    uint64_t alone, alone_bytes;
};

/* ---- operations -------------------------------------------------------------------------------------- */

static uint32_t op_add(struct loop *loop, uint32_t row, enum layer_phase phase, const char *what,
                       struct op *op)
{
    char name[160];
    const struct layer *layer = &loop->plan->table->layers[row];
    snprintf(name, sizeof name, "%.100s.%s%s", layer->name, phase_names[phase], what);
    op->name = name;
    op->source_id = layer->line;
    return job_builder_op(loop->builder, op);
}

static void wait_for(struct loop *loop, uint32_t op, uint32_t on)
{
    if (on != ID_NONE) {
        job_builder_dep(loop->builder, op, on);
    }
}

/* What comes next waits for `on` too. */
static void await(struct loop *loop, uint32_t row, enum layer_phase phase)
{
    uint32_t on = loop->done[phase][row];
    loop->done[phase][row] = ID_NONE;
    if (on == ID_NONE || on == loop->now) {
        return;
    }
    struct op op = {.kind = OP_MARKER};
    uint32_t join = op_add(loop, row, phase, ".wait", &op);
    wait_for(loop, join, loop->now);
    wait_for(loop, join, on);
    loop->now = join;
}

static void compute(struct loop *loop, uint32_t row, enum layer_phase phase)
{
    uint64_t ticks = loop->plan->table->layers[row].compute[phase];
    if (ticks > 0) {
        struct op op = {.kind = OP_COMPUTE, .duration_ps = ticks * loop->plan->tick_ps};
        uint32_t added = op_add(loop, row, phase, "", &op);
        wait_for(loop, added, loop->now);
        loop->now = added;
    }
}

static uint64_t bytes_put_in(const struct layer_plan *plan, const struct layer_comm *comm,
                             enum collective_kind kind)
{
    uint64_t size = plan->groups[comm->role].size;
    bool is_whole = kind == COLLECTIVE_ALL_GATHER && plan->is_all_gather_whole;
    return is_whole ? (comm->bytes + size - 1) / size : comm->bytes;
}

static uint32_t collective_add(struct loop *loop, uint32_t row, enum layer_phase phase,
                               enum collective_kind kind, uint32_t on)
{
    const struct layer_comm *comm = &loop->plan->table->layers[row].comm[phase];
    struct op op = {.kind = OP_COLLECTIVE,
                    .collective = kind,
                    .bytes = bytes_put_in(loop->plan, comm, kind),
                    .group_slot = loop->slot[comm->role]};
    char what[32];
    snprintf(what, sizeof what, ".%s", collective_name(kind));
    uint32_t added = op_add(loop, row, phase, what, &op);
    wait_for(loop, added, on);
    bool is_alone = loop->plan->groups[comm->role].size == 1;
    loop->alone += is_alone;
    loop->alone_bytes += is_alone ? op.bytes : 0;
    return added;
}

/* Starts a row's communication beside what comes next, and notes its end. */
static void issue(struct loop *loop, uint32_t row, enum layer_phase phase)
{
    const struct layer *layer = &loop->plan->table->layers[row];
    const struct layer_comm *comm = &layer->comm[phase];
    if (!comm->is_some || comm->bytes == 0 || comm->role == ROLE_NONE) {
        loop->empty += comm->is_some && comm->bytes == 0;
        bool is_left_out = comm->is_some && comm->bytes > 0;
        loop->left_out += is_left_out;
        loop->left_out_bytes += is_left_out ? comm->bytes : 0;
        return;
    }
    uint32_t end = loop->now;
    if (comm->has_all_reduce_first) {
        end = collective_add(loop, row, phase, COLLECTIVE_ALL_REDUCE, end);
    }
    end = collective_add(loop, row, phase, comm->kind, end);
    if (layer->update > 0) {
        struct op op = {
            .kind = OP_COMPUTE, .stream = STREAM_UPDATE, .duration_ps = layer->update * loop->plan->tick_ps};
        uint32_t update = op_add(loop, row, phase, ".update", &op);
        wait_for(loop, update, end);
        end = update;
    }
    loop->done[phase][row] = end;
}

/* Counts a communication that the policy never runs. */
static void leave_out(struct loop *loop, uint32_t row, enum layer_phase phase)
{
    const struct layer_comm *comm = &loop->plan->table->layers[row].comm[phase];
    bool is_left_out = comm->is_some && comm->bytes > 0;
    loop->left_out += is_left_out;
    loop->left_out_bytes += is_left_out ? comm->bytes : 0;
}

static void communicate(struct loop *loop, uint32_t row, enum layer_phase phase)
{
    issue(loop, row, phase);
    if (loop->done[phase][row] != ID_NONE) { /* which waits for `now` already */
        loop->now = loop->done[phase][row];
        loop->done[phase][row] = ID_NONE;
    }
}

/* ---- passes ------------------------------------------------------------------------------------------ */

static void forward_row(struct loop *loop, uint32_t row)
{
    await(loop, row, PHASE_WEIGHT_GRADIENT);
    compute(loop, row, PHASE_FORWARD);
    communicate(loop, row, PHASE_FORWARD);
}

static void data_pass(struct loop *loop)
{
    uint32_t count = loop->plan->table->count;
    for (uint32_t row = 0; row < count; row++) {
        await(loop, row, PHASE_WEIGHT_GRADIENT);
        compute(loop, row, PHASE_FORWARD);
        leave_out(loop, row, PHASE_FORWARD);
    }
    for (uint32_t row = count; row-- > 0;) {
        compute(loop, row, PHASE_WEIGHT_GRADIENT);
        issue(loop, row, PHASE_WEIGHT_GRADIENT);
        leave_out(loop, row, PHASE_INPUT_GRADIENT);
        if (row > 0) {
            compute(loop, row, PHASE_INPUT_GRADIENT);
        }
    }
}

/* Forward again from the checkpoint before `row`, up to it. */
static void recompute(struct loop *loop, uint32_t row)
{
    const struct layer *layers = loop->plan->table->layers;
    uint32_t first = row;
    while (!layers[first].is_checkpoint) {
        first--;
    }
    for (; first < row; first++) {
        forward_row(loop, first);
    }
}

static void hybrid_pass(struct loop *loop)
{
    const struct layer_table *table = loop->plan->table;
    bool is_transformer =
        table->head.policy == POLICY_TRANSFORMER || table->head.policy == POLICY_TRANSFORMER_FWD_IN_BCKWD;
    bool is_model = table->head.policy == POLICY_MODEL;
    for (uint32_t row = 0; row < table->count; row++) {
        forward_row(loop, row);
    }
    for (uint32_t row = table->count; row-- > 0;) {
        if (table->layers[row].initiates) {
            recompute(loop, row);
        }
        compute(loop, row, PHASE_INPUT_GRADIENT);
        if (is_transformer) {
            communicate(loop, row, PHASE_INPUT_GRADIENT);
        } else if (row > 0) {
            issue(loop, row, PHASE_INPUT_GRADIENT);
        } else {
            leave_out(loop, row, PHASE_INPUT_GRADIENT);
        }
        compute(loop, row, PHASE_WEIGHT_GRADIENT);
        if (is_model) {
            leave_out(loop, row, PHASE_WEIGHT_GRADIENT);
        } else {
            issue(loop, row, PHASE_WEIGHT_GRADIENT);
        }
        await(loop, row, PHASE_INPUT_GRADIENT);
    }
}

static void dlrm_pass(struct loop *loop)
{
    const struct layer_table *table = loop->plan->table;
    for (uint32_t row = 0; row < table->count; row++) {
        const struct layer_comm *comm = &table->layers[row].comm[PHASE_FORWARD];
        await(loop, row, PHASE_WEIGHT_GRADIENT);
        compute(loop, row, PHASE_FORWARD);
        if (comm->is_some && comm->kind == COLLECTIVE_ALL_TO_ALL && !comm->has_all_reduce_first) {
            issue(loop, row, PHASE_FORWARD);
        } else {
            leave_out(loop, row, PHASE_FORWARD);
            if (row == table->head.last_bottom) {
                await(loop, 0, PHASE_FORWARD);
            }
        }
    }
    for (uint32_t row = table->count; row-- > 0;) {
        compute(loop, row, PHASE_WEIGHT_GRADIENT);
        issue(loop, row, PHASE_WEIGHT_GRADIENT);
        if (table->head.policy == POLICY_DLRM) {
            await(loop, row, PHASE_INPUT_GRADIENT);
        }
        if (row > 0) {
            compute(loop, row, PHASE_INPUT_GRADIENT);
            leave_out(loop, row, PHASE_INPUT_GRADIENT);
        }
        if (row > 0 && row == table->head.last_bottom + 1) {
            issue(loop, 0, PHASE_INPUT_GRADIENT);
        }
    }
}

static void micro_pass(struct loop *loop)
{
    for (uint32_t row = 0; row < loop->plan->table->count; row++) {
        communicate(loop, row, PHASE_WEIGHT_GRADIENT);
        leave_out(loop, row, PHASE_FORWARD);
        leave_out(loop, row, PHASE_INPUT_GRADIENT);
    }
}

static void inference_pass(struct loop *loop)
{
    for (uint32_t row = 0; row < loop->plan->table->count; row++) {
        forward_row(loop, row);
        leave_out(loop, row, PHASE_INPUT_GRADIENT);
        leave_out(loop, row, PHASE_WEIGHT_GRADIENT);
    }
}

static void pass(struct loop *loop)
{
    switch (loop->plan->table->head.policy) {
    case POLICY_DATA:
        data_pass(loop);
        return;
    case POLICY_DLRM:
    case POLICY_DLRM_ENHANCED:
        dlrm_pass(loop);
        return;
    case POLICY_MICRO:
        micro_pass(loop);
        return;
    case POLICY_INFERENCE:
        inference_pass(loop);
        return;
    default:
        hybrid_pass(loop);
        return;
    }
}

/* ---- groups ------------------------------------------------------------------------------------------ */

static bool role_is_used(const struct layer_table *table, enum layer_role role)
{
    for (uint32_t row = 0; row < table->count; row++) {
        for (enum layer_phase phase = 0; phase < PHASE_COUNT; phase++) {
            const struct layer_comm *comm = &table->layers[row].comm[phase];
            if (comm->is_some && comm->bytes > 0 && comm->role == role) {
                return true;
            }
        }
    }
    return false;
}

enum status layer_groups_add(struct job_builder *builder, const char *name, uint32_t rank_count,
                             struct layer_group group, const char *path, uint32_t *slot, struct diag *diag)
{
    struct arena *scratch = arena_new("groups of equal steps");
    uint32_t *member = arena_array(scratch, group.size, uint32_t), id = 0;
    uint32_t *group_of = arena_array(scratch, rank_count, uint32_t);
    enum status status = STATUS_OK;
    for (uint32_t rank = 0; rank < rank_count && status == STATUS_OK; rank++) {
        if (rank / group.step % group.size != 0) {
            continue; /* not the first member */
        }
        for (uint32_t i = 0; i < group.size; i++) {
            member[i] = rank + i * group.step;
        }
        struct origin at = {.path = path};
        status = job_builder_group(builder, name, member, group.size, at, &id, diag);
        for (uint32_t i = 0; i < group.size; i++) {
            group_of[member[i]] = id;
        }
    }
    for (uint32_t rank = 0; rank < rank_count && status == STATUS_OK; rank++) {
        *slot = job_builder_slot(builder, rank, group_of[rank]);
    }
    arena_free(scratch);
    return status;
}

static enum status roles_add(struct loop *loop, struct diag *diag)
{
    const struct layer_plan *plan = loop->plan;
    enum status status = STATUS_OK;
    for (enum layer_role role = ROLE_ALL; role < ROLE_COUNT && status == STATUS_OK; role++) {
        if (!role_is_used(plan->table, role)) {
            continue;
        }
        assert(plan->groups[role].size > 0 &&
               plan->rank_count % (plan->groups[role].step * plan->groups[role].size) == 0);
        status = layer_groups_add(loop->builder, role_names[role], plan->rank_count, plan->groups[role],
                                  plan->table->path, &loop->slot[role], diag);
    }
    return status;
}

/* ---- all --------------------------------------------------------------------------------------------- */

static void unknown_notes(const struct loop *loop)
{
    const struct layer_table *table = loop->plan->table;
    for (size_t i = 0; i < table->unknown_count; i++) {
        char what[128];
        snprintf(what, sizeof what, "communications of the unknown kind %.64s", table->unknown[i].type);
        job_builder_note(loop->builder, what, "left out, as ASTRA-sim does", table->unknown[i].count,
                         table->unknown[i].bytes);
    }
}

static void notes_add(const struct loop *loop)
{
    const struct {
        const char *what, *action;
        uint64_t count, bytes;
    } notes[] = {
        {"communications that the policy never runs", "left out, as ASTRA-sim does", loop->left_out,
         loop->left_out_bytes},
        {"communications of no bytes", "left out", loop->empty, 0},
        {"collectives in a group of one rank", "move nothing", loop->alone, loop->alone_bytes},
        {"ranks beyond the first", "run the same table", loop->plan->rank_count - 1, 0},
    };
    unknown_notes(loop);
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++) {
        if (notes[i].count > 0) {
            job_builder_note(loop->builder, notes[i].what, notes[i].action, notes[i].count, notes[i].bytes);
        }
    }
    if (loop->plan->table->head.policy == POLICY_MICRO) {
        job_builder_note(loop->builder, "rows of a MICRO workload",
                         "run one after the other without computing (ASTRA-sim runs the first alone)",
                         loop->plan->table->count, 0);
    }
}

static enum status tick_check(const struct layer_plan *plan, struct diag *diag)
{
    for (uint32_t row = 0; row < plan->table->count; row++) {
        const struct layer *layer = &plan->table->layers[row];
        for (enum layer_phase phase = 0; phase <= PHASE_COUNT; phase++) {
            uint64_t ticks = phase < PHASE_COUNT ? layer->compute[phase] : layer->update;
            if (ticks > UINT64_MAX / 4 / plan->tick_ps) {
                return diag_input(diag, (struct origin){.path = plan->table->path, .line = layer->line},
                                  "row %u \"%.80s\" computes too long; expected less than 50 days", row + 1,
                                  layer->name);
            }
        }
    }
    return STATUS_OK;
}

/* Operations of a whole program. */
#define OPS_MAX UINT64_C(1000000000)

enum status layer_job_build(const struct layer_plan *plan, struct job_builder *builder, struct diag *diag)
{
    struct arena *scratch = arena_new("a table of layers");
    struct loop loop = {.plan = plan, .builder = builder, .now = ID_NONE};
    uint32_t count = plan->table->count;
    struct origin at = {.path = plan->table->path};
    for (enum layer_phase phase = 0; phase < PHASE_COUNT; phase++) {
        loop.done[phase] = arena_array(scratch, count, uint32_t);
        memset(loop.done[phase], 0xff, count * sizeof *loop.done[phase]);
    }
    enum status status = tick_check(plan, diag);
    if (status == STATUS_OK && (uint64_t)count * plan->passes > OPS_MAX / 10) {
        status = diag_input(diag, at, "%u passes over %u rows are too many operations", plan->passes, count);
    }
    status = status == STATUS_OK ? roles_add(&loop, diag) : status;
    if (status == STATUS_OK) {
        job_builder_rank(builder, 0);
        for (uint32_t i = 0; i < plan->passes; i++) {
            pass(&loop);
        }
        status = job_builder_rank_end(builder, plan->table->path, diag);
    }
    for (uint32_t rank = 1; rank < plan->rank_count && status == STATUS_OK; rank++) {
        job_builder_rank_like(builder, rank, 0);
    }
    notes_add(&loop);
    arena_free(scratch);
    return status;
}
