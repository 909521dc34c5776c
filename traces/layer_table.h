/* Tables of layers: the text workloads of ASTRA-sim 1.0 and of SimAI and AICB, which share them.
 *
 *     HYBRID_TRANSFORMER  model_parallel_NPU_group: 4          policy, and what it needs
 *     57                                                       rows
 *     Q1  -1  3145728 NONE 0  2162688 ALLREDUCE 8388608  2228224 ALLREDUCE 33554432  10
 *     name    forward:        input gradient:            weight gradient:            update
 *             compute, kind, bytes
 *
 * One table is the program of all ranks. It is walked as ASTRA-sim walks it (Workload.cc), a pass being:
 *
 *     forward, row 0 to the last      wait for the row's weight gradients of the pass before; compute; communicate
 *     backward, last row to row 0     DATA, DLRM     weight gradient, its communication beside it, input gradient
 *                                     the others     input gradient, its communication, weight gradient, its
 *                                                    communication beside it; then wait for the input gradient's
 *
 * The input gradient's communication blocks (HYBRID_TRANSFORMER and FWD_IN_BCKWD) or runs beside the weight gradient
 * and is left out of row 0 (the others). FWD_IN_BCKWD runs forward again from a checkpoint to the row that asks for it.
 * DLRM's all-to-all of row 0 is waited for behind the last bottom layer, and comes back behind it. MICRO runs
 * the weight gradients' communications one after the other and computes nothing. DISTRIBUTED_INFERENCE is forward
 * only. A communication is over `update` after its data are there (a timer, no compute).
 *
 * Ranks are counted along the dimensions, first one first: groups are of neighbours or of equal steps.
 *
 *     rank = a * (step * size) + b * step + c      the group of a and c, member b */
#ifndef PHOTONET_TRACES_LAYER_TABLE_H
#define PHOTONET_TRACES_LAYER_TABLE_H

#include "photonet/trace.h"

enum layer_policy {
    POLICY_DATA,
    POLICY_MODEL,
    POLICY_DATA_MODEL,
    POLICY_MODEL_DATA,
    POLICY_TRANSFORMER,
    POLICY_TRANSFORMER_FWD_IN_BCKWD,
    POLICY_DLRM,
    POLICY_DLRM_ENHANCED,
    POLICY_CUSTOMIZED,
    POLICY_MICRO,
    POLICY_INFERENCE,
    POLICY_COUNT,
};

enum layer_phase { PHASE_FORWARD, PHASE_INPUT_GRADIENT, PHASE_WEIGHT_GRADIENT, PHASE_COUNT };

/* Whom a communication joins. */
enum layer_role { ROLE_NONE, ROLE_ALL, ROLE_MODEL, ROLE_DATA, ROLE_EXPERT, ROLE_EXPERT_DATA, ROLE_COUNT };

struct layer_comm {
    bool is_some, has_all_reduce_first; /* ALLREDUCEALLTOALL is two */
    enum collective_kind kind;
    enum layer_role role;
    uint64_t bytes; /* as in the file */
};

struct layer {
    const char *name;
    uint32_t line;
    uint64_t compute[PHASE_COUNT]; /* cycles or ns */
    struct layer_comm comm[PHASE_COUNT];
    uint64_t update;
    bool is_checkpoint, initiates; /* FWD_IN_BCKWD */
};

struct layer_unknown {
    const char *type;
    uint64_t count, bytes;
};

/* What the first line says; 0 where it says nothing. */
struct layer_head {
    enum layer_policy policy;
    uint64_t model, expert, pipeline, virtual_pipeline, accumulation, ranks, pipeline_bytes;
    uint64_t last_bottom;
    bool has_model, has_last_bottom;
};

struct layer_table {
    const char *path;
    struct layer_head head;
    struct layer *layers;
    uint32_t count;
    struct layer_unknown *unknown; /* kinds of communication that nobody knows */
    size_t unknown_count, unknown_capacity;
};

/* SimAI puts the group behind the kind: ALLGATHER_DP_EP. */
enum layer_dialect { DIALECT_ASTRA, DIALECT_SIMAI };

enum status layer_table_read(const char *path, enum layer_dialect dialect, struct arena *arena,
                             struct layer_table *table, struct diag *diag);

/* Whether a file begins like a table, and whether it is one of SimAI's or AICB's: by keys that only they write, by
 * groups behind kinds, by FWD_IN_BCKWD without checkpoints, or by the name of a micro test. */
bool layer_head_is_table(const uint8_t *head, size_t head_bytes, enum layer_dialect *dialect);

struct layer_group {
    uint32_t step, size; /* size 0: nobody has this role */
};

/* Adds the groups of this form (whose product divides rank_count) and gives every rank its slot, the same on all. */
enum status layer_groups_add(struct job_builder *builder, const char *name, uint32_t rank_count,
                             struct layer_group group, const char *path, uint32_t *slot, struct diag *diag);

struct layer_plan {
    const struct layer_table *table;
    uint32_t rank_count;
    uint32_t passes;
    uint64_t tick_ps;          /* of compute and update */
    bool is_all_gather_whole;  /* the bytes of an all-gather are its result, not a rank's part */
    struct layer_group groups[ROLE_COUNT];
};

/* Builds groups, the one program, and the notes that both formats need. */
enum status layer_job_build(const struct layer_plan *plan, struct job_builder *builder, struct diag *diag);

#endif
