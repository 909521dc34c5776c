/* Reader of Chakra execution traces (.et files of protobuf, or JSON; one a rank).
 *
 *     chakra_set ──► for each rank:  chakra_stream ──► chakra_rank ──► this file ──► job_builder
 *     (which files)                  (records)         (compact table) (what a node means)
 *
 * Scope: the schema that files call "0.0.4" and its predecessors (chakra_old.c), as ASTRA-sim, STAGE, the MSCCLang, text and PyTorch converters
 * and our own writer fill it. Sizes are what one rank puts in (ASTRA-sim's meaning of comm_size). Durations
 * are microseconds; an attribute duration_ps, which our writer adds, is preferred. CPU work runs on one
 * thread beside the GPU, GPU kernels on one stream. Not modelled: start times (all zero in every published
 * file), priorities, tensors, network dimensions (involved_dim), durations that a trace gives to
 * communication: they are what the simulation is to find. Checked against: hand-made files in
 * tests/test_chakra.c, and the published traces of astra-sim/astra-sim, mlcommons/chakra and astra-sim/stage.
 */
#include "traces/chakra.pb-c.h"
#include "traces/chakra_json.h"
#include "traces/chakra_rank.h"
#include "traces/chakra_set.h"
#include "traces/comm_group.h"
#include "traces/chakra_stream.h"
#include "traces/roofline.h"

#include "photonet/trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct values {
    uint32_t deps; /* enum chakra_deps */
    uint32_t gpu;  /* index into gpu_rows */
    uint64_t element_bytes;
    const char *comm_group;
    uint32_t sizeless; /* enum sizeless */
};

static const char *const deps_choices[] = {
    [CHAKRA_DEPS_AUTO] = "auto",
    [CHAKRA_DEPS_DATA] = "data",
    [CHAKRA_DEPS_CTRL] = "ctrl",
    [CHAKRA_DEPS_BOTH] = "both",
    NULL,
};

/* Communication of which the trace does not say what it moves, or to whom. */
enum sizeless { SIZELESS_REFUSE, SIZELESS_DURATION };
static const char *const sizeless_choices[] = {
    [SIZELESS_REFUSE] = "refuse", [SIZELESS_DURATION] = "duration", NULL};

static const struct param rows[] = {
    PARAM_CHOICE(
        struct values, deps, "deps", "auto", deps_choices,
        "dependencies to keep: data, ctrl or both; auto takes both where they agree, else data alone"),
    PARAM_U64(
        struct values, element_bytes, COUNT, "element_bytes", "0", "0", "16",
        "bytes in one unit of comm_size and tensor_size; 0: 2 for STAGE, which counts BF16 elements, else 1"),
    PARAM_TEXT(struct values, comm_group, "comm_group", NULL,
               "group file (name -> list of ranks); else PREFIX.json or comm_group.json beside the trace"),
    PARAM_CHOICE(struct values, sizeless, "sizeless", "refuse", sizeless_choices,
                 "communication without kind, size or partner (published JSON traces): refuse the trace, or "
                 "let it last as long as it did, without the network"),
    PARAM_CHOICE(struct values, gpu, "gpu", "h100", gpu_names,
                 "GPU whose roofline gives durations to a trace that has operation counts only"),
};

/* ---- the import report ------------------------------------------------------------------------------- */

enum note {
    NOTE_LONE,
    NOTE_EMPTY,
    NOTE_OLD,
    NOTE_CTRL_KEPT,
    NOTE_CTRL_BROKEN,
    NOTE_CTRL_UNWANTED,
    NOTE_DATA_UNWANTED,
    NOTE_CTRL_SELF,
    NOTE_CTRL_MISSING,
    NOTE_DATA_MISSING,
    NOTE_DATA_KEPT,
    NOTE_MARKER,
    NOTE_CPU_DUPLICATE,
    NOTE_CPU_COMM,
    NOTE_CPU_COMPUTE,
    NOTE_ELEMENTS,
    NOTE_ROOFLINE,
    NOTE_NO_COMPUTE,
    NOTE_PARTIAL,
    NOTE_ALONE,
    NOTE_NO_TAG,
    NOTE_SIZELESS,
    NOTE_COUNT,
};

static const struct {
    const char *what, *action; /* an action of NULL depends on the trace, see note_action */
} note_texts[NOTE_COUNT] = {
    [NOTE_LONE] = {"ranks beyond the one whose file was given", "run the same operations"},
    [NOTE_EMPTY] = {"rank files without a node", "the rank does nothing"},
    [NOTE_OLD] = {"nodes of a schema before \"0.0.4\"",
                  "brought into the current numbering; parents are data dependencies, times microseconds"},
    [NOTE_DATA_KEPT] = {"data dependencies", "kept"},
    [NOTE_CTRL_KEPT] = {"control dependencies",
                        "kept beside the data dependencies: together they lead somewhere and have no cycle"},
    [NOTE_CTRL_BROKEN] = {"control dependencies of files where they are cyclic, reflexive or lead nowhere",
                          "ignored: data dependencies alone give the order"},
    [NOTE_CTRL_UNWANTED] = {"control dependencies", "ignored: trace.deps=data"},
    [NOTE_DATA_UNWANTED] = {"data dependencies", "ignored: trace.deps=ctrl"},
    [NOTE_CTRL_SELF] = {"control dependencies of a node on itself", "ignored"},
    [NOTE_CTRL_MISSING] = {"control dependencies on nodes that are not in the file", "ignored"},
    [NOTE_DATA_MISSING] = {"data dependencies on nodes that are not in the file", "ignored"},
    [NOTE_MARKER] = {"nodes without work (METADATA, INVALID)", "kept as markers that join dependencies"},
    [NOTE_CPU_DUPLICATE] = {"CPU-side duplicates of GPU communication",
                            "dropped: markers that join dependencies stand in their place"},
    [NOTE_CPU_COMM] = {"communication nodes on the CPU without a twin on the GPU",
                       "replayed like those of a GPU"},
    [NOTE_CPU_COMPUTE] = {"compute nodes on the CPU", "run on a stream of their own, beside the GPU"},
    [NOTE_ELEMENTS] = {"sizes that count elements", NULL},
    [NOTE_ROOFLINE] = {"compute and memory nodes without a duration", NULL},
    [NOTE_NO_COMPUTE] = {"rank files without durations or operation counts",
                         "no compute: communication only"},
    [NOTE_PARTIAL] = {"collectives over some network dimensions (involved_dim)",
                      "run over all ranks of their group"},
    [NOTE_ALONE] = {"collectives over a group of one rank", "kept; nothing to send"},
    [NOTE_NO_TAG] = {"messages without a tag", "tag 0"},
    [NOTE_SIZELESS] = {"communication without kind, size or partner",
                       "lasts as long as the trace says: no traffic"},
};

struct import {
    const struct values *values;
    struct arena *arena;
    struct chakra_set set;
    struct job_builder *builder;
    struct comm_groups *groups;
    struct diag *diag;
    uint64_t note_count[NOTE_COUNT], note_bytes[NOTE_COUNT];
    uint64_t element_bytes_noted; /* of the note */
};

/* The names of groups as one file spells them (stored once a text, so pointers tell them apart), and their
 * slots. */
struct slot_row {
    const char *name;
    uint32_t slot, group_id;
};

/* One rank being built. */
struct building {
    struct import *import;
    const struct chakra_rank *rank;
    uint32_t own_rank;
    enum chakra_deps deps;
    uint64_t data_missing_count; /* parents that are not in the file */
    uint64_t element_bytes;
    bool uses_roofline;
    struct slot_row *slots;
    size_t slot_count, slot_capacity;
};

static void note(struct import *import, enum note which, uint64_t count, uint64_t bytes)
{
    import->note_count[which] += count;
    import->note_bytes[which] += bytes;
}

static const char *note_action(const struct import *import, enum note which)
{
    if (which == NOTE_ELEMENTS) {
        return arena_printf(import->arena, "taken as %" PRIu64 " bytes each", import->element_bytes_noted);
    }
    if (which == NOTE_ROOFLINE) {
        return arena_printf(import->arena, "timed by the roofline of %s", gpu_rows[import->values->gpu].name);
    }
    return note_texts[which].action;
}

static void notes_write(struct import *import)
{
    for (enum note which = 0; which < NOTE_COUNT; which++) {
        if (import->note_count[which] > 0) {
            job_builder_note(import->builder, note_texts[which].what, note_action(import, which),
                             import->note_count[which], import->note_bytes[which]);
        }
    }
}

/* ---- what a node means ------------------------------------------------------------------------------- */

static enum status node_refuse(const struct building *building, const struct chakra_node *node,
                               const char *what)
{
    return diag_input(building->import->diag, (struct origin){.path = building->rank->path},
                      "node %" PRIu64 " \"%.200s\": %s", node->id, chakra_name_of(building->rank, node), what);
}

static void op_compute(struct building *building, const struct chakra_node *node, struct op *op)
{
    bool is_cpu = (node->has & CHAKRA_IS_CPU) != 0, is_memory = op->kind == OP_MEMORY;
    uint16_t own_stream = is_memory ? CHAKRA_STREAM_MEMORY : is_cpu ? CHAKRA_STREAM_CPU : STREAM_COMPUTE;
    uint64_t bytes = node->bytes * building->element_bytes;
    op->stream = (node->has & CHAKRA_HAS_STREAM) != 0 ? node->stream : own_stream;
    op->duration_ps = node->duration_ps;
    op->bytes = is_memory ? bytes : 0;
    note(building->import, NOTE_CPU_COMPUTE, is_cpu && !is_memory, 0);
    bool has_amount = node->num_ops > 0 || node->bytes > 0;
    if (building->uses_roofline && has_amount && !is_cpu) {
        const struct gpu_row *gpu = &gpu_rows[building->import->values->gpu];
        op->duration_ps = roofline_ps(gpu, KERNEL_BF16, (double)node->num_ops, (double)bytes);
        note(building->import, NOTE_ROOFLINE, 1, 0);
    }
}

static void elements_note(struct building *building, uint64_t bytes)
{
    if (building->element_bytes != 1) {
        building->import->element_bytes_noted = building->element_bytes;
        note(building->import, NOTE_ELEMENTS, 1, bytes);
    }
}

static enum status slot_find(struct building *building, const struct chakra_node *node,
                             struct slot_row *found)
{
    for (size_t i = 0; i < building->slot_count; i++) {
        if (building->slots[i].name == node->group) {
            *found = building->slots[i];
            return STATUS_OK;
        }
    }
    struct import *import = building->import;
    const char *name = node->group != NULL ? node->group : "";
    uint32_t group_id, slot;
    enum status status = comm_groups_find(import->groups, building->rank, name, &group_id, import->diag);
    if (status != STATUS_OK) {
        return status;
    }
    char what[400];
    if (group_id == ID_NONE) {
        snprintf(what, sizeof what,
                 "names communicator group \"%.80s\", which nothing describes; expected it in PREFIX.json or "
                 "comm_group.json beside the trace, or in trace.comm_group=FILE",
                 name);
        return node_refuse(building, node, what);
    }
    slot = job_builder_slot(import->builder, building->own_rank, group_id);
    if (slot == ID_NONE) {
        snprintf(what, sizeof what, "is a collective of group \"%.80s\", of which rank %u is no member", name,
                 building->own_rank);
        return node_refuse(building, node, what);
    }
    *found = (struct slot_row){node->group, slot, group_id};
    vec_push(building->rank->arena, building->slots, building->slot_count, building->slot_capacity) = *found;
    return STATUS_OK;
}

static enum status collective_check(const struct building *building, const struct chakra_node *node)
{
    bool has_type = (node->has & CHAKRA_HAS_COMM_TYPE) != 0,
         has_size = (node->has & CHAKRA_HAS_COMM_SIZE) != 0;
    if (!has_type) {
        return node_refuse(building, node,
                           has_size ? "collective without comm_type; expected 0 to 9"
                                    : "collective without comm_type and comm_size; expected both");
    }
    if (node->comm_type > CHAKRA__COLLECTIVE_COMM_TYPE__BARRIER) {
        return node_refuse(building, node, "collective of an unknown comm_type; expected 0 to 9");
    }
    if (!has_size && node->comm_type != CHAKRA__COLLECTIVE_COMM_TYPE__BARRIER) {
        return node_refuse(building, node,
                           "collective without comm_size; expected what one rank puts in, in bytes");
    }
    return STATUS_OK;
}

/* Only our own writer gives tables, so only a damaged file has wrong ones. */
static enum status pairs_find(struct building *building, const struct chakra_node *node, uint32_t members,
                              uint32_t *pairs)
{
    const struct chakra_rank *rank = building->rank;
    for (size_t i = 0; i < rank->pair_count; i++) {
        const struct chakra_pair_row *row = &rank->pairs[i];
        uint64_t sum = 0;
        for (size_t cell = 0; cell < row->count && sum < UINT64_MAX / 4; cell++) {
            sum += row->bytes[cell] < UINT64_MAX / 4 ? row->bytes[cell] : UINT64_MAX / 4;
        }
        if (row->number == node->root && row->count == (size_t)members * members && sum < UINT64_MAX / 4 &&
            node->comm_type == CHAKRA__COLLECTIVE_COMM_TYPE__ALL_TO_ALL) {
            *pairs = job_builder_pairs(building->import->builder, members, row->bytes);
            return STATUS_OK;
        }
    }
    return node_refuse(building, node, "photonet_pairs names a table of parts that is not in the file, or is one for "
                                       "another number of members");
}

static enum status op_collective(struct building *building, const struct chakra_node *node, struct op *op)
{
    struct slot_row slot;
    enum status status = collective_check(building, node);
    if (status == STATUS_OK) {
        status = slot_find(building, node, &slot);
    }
    if (status != STATUS_OK) {
        return status;
    }
    bool is_block = node->comm_type == CHAKRA__COLLECTIVE_COMM_TYPE__REDUCE_SCATTER_BLOCK;
    op->kind = OP_COLLECTIVE;
    op->collective = is_block ? COLLECTIVE_REDUCE_SCATTER : (enum collective_kind)node->comm_type;
    op->bytes = node->bytes * building->element_bytes;
    op->group_slot = slot.slot;
    op->root = node->root;
    op->duration_ps = op->collective == COLLECTIVE_BARRIER ? node->num_ops : 0; /* photonet_hold */
    struct import *import = building->import;
    if ((node->has & CHAKRA_HAS_PAIRS) != 0) {
        op->root = 0;
        status = pairs_find(building, node, comm_groups_size(import->groups, slot.group_id), &op->pairs);
    }
    elements_note(building, op->bytes);
    note(import, NOTE_PARTIAL, (node->has & CHAKRA_IS_PARTIAL) != 0, op->bytes);
    if (comm_groups_size(import->groups, slot.group_id) == 1) {
        note(import, NOTE_ALONE, 1, op->bytes);
    }
    return status;
}

static enum status op_message(struct building *building, const struct chakra_node *node, struct op *op)
{
    bool is_send = node->type == CHAKRA__NODE_TYPE__COMM_SEND_NODE;
    uint16_t needed = is_send ? CHAKRA_HAS_DST : CHAKRA_HAS_SRC,
             own = is_send ? CHAKRA_HAS_SRC : CHAKRA_HAS_DST;
    if ((node->has & needed) == 0) {
        return node_refuse(building, node,
                           is_send ? "send without comm_dst (the PyTorch converter writes none); "
                                     "expected the receiving rank"
                                   : "receive without comm_src (the PyTorch converter writes none); "
                                     "expected the sending rank");
    }
    if ((node->has & CHAKRA_HAS_COMM_SIZE) == 0) {
        return node_refuse(building, node, "message without comm_size; expected its bytes");
    }
    if ((node->has & own) != 0 && (is_send ? node->src : node->dst) != building->own_rank) {
        return node_refuse(building, node,
                           is_send ? "send whose comm_src is another rank than the file's"
                                   : "receive whose comm_dst is another rank than the file's");
    }
    op->kind = is_send ? OP_SEND : OP_RECV;
    op->peer = is_send ? node->dst : node->src;
    op->tag = node->tag;
    op->bytes = node->bytes * building->element_bytes;
    op->stream = is_send && (node->has & CHAKRA_HAS_STREAM) != 0 ? node->stream : STREAM_NONE;
    note(building->import, NOTE_NO_TAG, (node->has & CHAKRA_HAS_TAG) == 0, 0);
    elements_note(building, op->bytes);
    return STATUS_OK;
}

/* PyTorch traces hold a launch on the CPU (without a size) for every kernel on the GPU (with one). */
static bool is_duplicate(struct building *building, const struct chakra_node *node)
{
    if ((node->has & CHAKRA_IS_CPU) == 0) {
        return false;
    }
    bool has_twin = building->rank->gpu_comm[node->type - CHAKRA__NODE_TYPE__COMM_SEND_NODE] > 0;
    note(building->import, has_twin ? NOTE_CPU_DUPLICATE : NOTE_CPU_COMM, 1,
         node->bytes * building->element_bytes);
    return has_twin;
}

/* Communication that is to last as long as it did. */
static bool op_sizeless(struct building *building, const struct chakra_node *node, struct op *op)
{
    static const uint16_t needed[] = {
        [CHAKRA__NODE_TYPE__COMM_SEND_NODE] = CHAKRA_HAS_COMM_SIZE | CHAKRA_HAS_DST,
        [CHAKRA__NODE_TYPE__COMM_RECV_NODE] = CHAKRA_HAS_COMM_SIZE | CHAKRA_HAS_SRC,
        [CHAKRA__NODE_TYPE__COMM_COLL_NODE] = CHAKRA_HAS_COMM_SIZE | CHAKRA_HAS_COMM_TYPE,
    };
    uint16_t missing = (uint16_t)(needed[node->type] & ~node->has);
    bool is_barrier = node->type == CHAKRA__NODE_TYPE__COMM_COLL_NODE &&
                      node->comm_type == CHAKRA__COLLECTIVE_COMM_TYPE__BARRIER;
    if (missing == 0 || is_barrier || building->import->values->sizeless == SIZELESS_REFUSE) {
        return false;
    }
    op->kind = OP_COMPUTE;
    op->stream = CHAKRA_STREAM_SIZELESS;
    op->duration_ps = node->duration_ps;
    note(building->import, NOTE_SIZELESS, 1, 0);
    return true;
}

static enum status op_communicate(struct building *building, const struct chakra_node *node, struct op *op)
{
    if (is_duplicate(building, node) || op_sizeless(building, node, op)) {
        return STATUS_OK;
    }
    return node->type == CHAKRA__NODE_TYPE__COMM_COLL_NODE ? op_collective(building, node, op)
                                                           : op_message(building, node, op);
}

static enum status op_fill(struct building *building, const struct chakra_node *node, struct op *op)
{
    *op = (struct op){.kind = OP_MARKER, .stream = STREAM_NONE, .source_id = node->id, .name_id = node->name};
    if ((node->has & CHAKRA_IS_MARKER) != 0) {
        return STATUS_OK;
    }
    switch (node->type) {
    case CHAKRA__NODE_TYPE__COMP_NODE:
        op->kind = OP_COMPUTE;
        op_compute(building, node, op);
        return STATUS_OK;
    case CHAKRA__NODE_TYPE__MEM_LOAD_NODE:
    case CHAKRA__NODE_TYPE__MEM_STORE_NODE:
        op->kind = OP_MEMORY;
        op_compute(building, node, op);
        elements_note(building, op->bytes);
        return STATUS_OK;
    case CHAKRA__NODE_TYPE__COMM_SEND_NODE:
    case CHAKRA__NODE_TYPE__COMM_RECV_NODE:
    case CHAKRA__NODE_TYPE__COMM_COLL_NODE:
        return op_communicate(building, node, op);
    default:
        note(building->import, NOTE_MARKER, 1, 0);
        return STATUS_OK;
    }
}

/* ---- one rank ---------------------------------------------------------------------------------------- */

/* Both kinds where they agree. Traces of the PyTorch converter give every node one control dependency, often
 * on itself or on a node that was left out, and together with the data dependencies they are cyclic. */
static enum chakra_deps deps_choose(struct import *import, const struct chakra_rank *rank)
{
    enum chakra_deps deps = (enum chakra_deps)import->values->deps;
    if (deps == CHAKRA_DEPS_AUTO && rank->ctrl_dep_count == 0) {
        deps = CHAKRA_DEPS_DATA;
    }
    if (deps == CHAKRA_DEPS_DATA) {
        note(import, NOTE_CTRL_UNWANTED, rank->ctrl_dep_count, 0);
        return deps;
    }
    struct chakra_ctrl ctrl = chakra_ctrl_survey(rank);
    if (deps == CHAKRA_DEPS_AUTO) {
        deps = ctrl.is_sound ? CHAKRA_DEPS_BOTH : CHAKRA_DEPS_DATA;
        note(import, ctrl.is_sound ? NOTE_CTRL_KEPT : NOTE_CTRL_BROKEN, rank->ctrl_dep_count, 0);
    } else {
        note(import, NOTE_CTRL_SELF, ctrl.self_count, 0);
        note(import, NOTE_CTRL_MISSING, ctrl.missing_count, 0);
    }
    return deps;
}

static struct building building_new(struct import *import, const struct chakra_rank *rank, uint32_t own_rank)
{
    struct building building = {.import = import, .rank = rank, .own_rank = own_rank};
    building.deps = deps_choose(import, rank);
    bool is_stage = strcmp(rank->schema, "symbolic_tensor_network") == 0;
    uint64_t asked = import->values->element_bytes;
    building.element_bytes = asked > 0 ? asked : is_stage ? 2 : 1; /* STAGE: BF16, see the parameter */
    building.uses_roofline = !rank->has_duration && rank->has_amount;
    note(import, NOTE_NO_COMPUTE, !rank->has_duration && !rank->has_amount && rank->node_count > 0, 0);
    note(import, NOTE_EMPTY, rank->node_count == 0, 0);
    note(import, NOTE_OLD, rank->version != CHAKRA_SCHEMA_CURRENT ? rank->node_count : 0, 0);
    return building;
}

static void deps_add(struct building *building, const struct chakra_node *node, uint32_t op)
{
    struct chakra_parent_walk parents = chakra_parents(building->rank, node, building->deps);
    struct chakra_parent parent;
    while (chakra_parent_next(&parents, &parent)) {
        bool is_missing = parent.number == ID_NONE;
        building->data_missing_count += is_missing && !parent.is_ctrl;
        if (!is_missing && !(parent.is_ctrl && parent.number == op)) {
            job_builder_dep(building->import->builder, op, parent.number);
        }
    }
}

static void deps_note(const struct building *building)
{
    uint64_t missing = building->data_missing_count, all = building->rank->data_dep_count;
    if (building->deps == CHAKRA_DEPS_CTRL) {
        note(building->import, NOTE_DATA_UNWANTED, all, 0);
    } else {
        note(building->import, NOTE_DATA_KEPT, all - missing, 0);
        note(building->import, NOTE_DATA_MISSING, missing, 0);
    }
}

static enum status ops_add(struct building *building)
{
    struct chakra_walk nodes = {.rank = building->rank};
    struct chakra_node node;
    while (chakra_walk_next(&nodes, &node)) {
        struct op op;
        enum status status = op_fill(building, &node, &op);
        if (status != STATUS_OK) {
            return status;
        }
        deps_add(building, &node, job_builder_op(building->import->builder, &op));
    }
    deps_note(building);
    return STATUS_OK;
}

static enum status rank_import(struct import *import, const char *path, uint32_t own_rank)
{
    struct arena *scratch = arena_new("a rank's Chakra file");
    struct chakra_rank rank;
    job_builder_rank(import->builder, own_rank);
    enum status status = chakra_rank_read(path, scratch, import->builder, &rank, import->diag);
    if (status == STATUS_OK) {
        struct building building = building_new(import, &rank, own_rank);
        job_builder_scale(import->builder, rank.scale);
        status = ops_add(&building);
    }
    arena_free(scratch);
    return status == STATUS_OK ? job_builder_rank_end(import->builder, path, import->diag) : status;
}

/* ---- the job ----------------------------------------------------------------------------------------- */

static enum status lone_import(struct import *import)
{
    uint32_t own_rank = import->set.lone_rank;
    enum status status = rank_import(import, import->set.path[0], own_rank);
    for (uint32_t rank = 0; rank < import->set.rank_count && status == STATUS_OK; rank++) {
        if (rank != own_rank) {
            job_builder_rank_like(import->builder, rank, own_rank);
        }
    }
    note(import, NOTE_LONE, import->set.rank_count - 1, 0);
    return status;
}

static enum status ranks_import(struct import *import)
{
    if (import->set.is_lone) {
        return lone_import(import);
    }
    enum status status = STATUS_OK;
    for (uint32_t rank = 0; rank < import->set.rank_count && status == STATUS_OK; rank++) {
        status = rank_import(import, import->set.path[rank], rank);
    }
    return status;
}

static enum status chakra_read(const struct trace_source *source, const char *format, struct arena *arena,
                               const struct job **job, struct diag *diag)
{
    struct import import = {.values = source->values, .arena = arena, .diag = diag};
    enum status status = chakra_set_find(source->path, source->ranks, arena, &import.set, diag);
    if (status != STATUS_OK) {
        return status;
    }
    uint32_t rank_count = import.set.rank_count;
    import.builder = job_builder_new(arena, import.set.name, format, rank_count);
    import.groups =
        comm_groups_new(arena, import.builder, rank_count, import.set.prefix, import.values->comm_group);
    status = ranks_import(&import);
    if (status != STATUS_OK) {
        return status;
    }
    if (!import.set.is_lone && import.note_count[NOTE_EMPTY] == rank_count) {
        return diag_input(diag, (struct origin){.path = import.set.prefix},
                          "no file of the set holds a node");
    }
    notes_write(&import);
    return job_builder_finish(import.builder, job, diag);
}

/* ---- the two formats --------------------------------------------------------------------------------- */

static enum status et_read(const struct trace_source *source, struct arena *arena, const struct job **job,
                           struct diag *diag)
{
    return chakra_read(source, "chakra_et", arena, job, diag);
}

static bool et_probe(const char *path, const uint8_t *head, size_t head_bytes)
{
    (void)path;
    return chakra_head_is_trace(head, head_bytes) || chakra_head_is_foreign(head, head_bytes);
}

const struct trace_format trace_format_chakra_et = {
    .name = "chakra_et",
    .summary = "Chakra execution traces: PREFIX.0.et, PREFIX.1.et, ... (protobuf, plain or gzip)",
    .params = PARAM_TABLE(struct values, rows),
    .is_set = true,
    .probe = et_probe,
    .read = et_read,
};

static enum status json_read(const struct trace_source *source, struct arena *arena, const struct job **job,
                             struct diag *diag)
{
    return chakra_read(source, "chakra_json", arena, job, diag);
}

static bool json_probe(const char *path, const uint8_t *head, size_t head_bytes)
{
    (void)path;
    return chakra_head_is_json(head, head_bytes);
}

const struct trace_format trace_format_chakra_json = {
    .name = "chakra_json",
    .summary = "Chakra execution traces in JSON: PREFIX.0.json, PREFIX.1.json, ...",
    .params = PARAM_TABLE(struct values, rows),
    .is_set = true,
    .probe = json_probe,
    .read = json_read,
};
