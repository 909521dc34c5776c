/* Writer of Chakra execution traces: PREFIX.R.et for every rank R, and PREFIX.json with the communicators.
 *
 * Scope: files that ASTRA-sim reads: version "0.0.4", attributes in the integer kinds that its feeder asks for
 * (is_cpu_op bool; comm_type, comm_size int64; comm_src, comm_dst, comm_tag int32; pg_name string, "0" for all
 * ranks; tensor_size uint64), dependencies as data_deps, ids ascending. Beyond them, for our own reader:
 *   - duration_ps (uint64): field 7 of a node is whole microseconds, rounded to the nearest, and kernels are
 *     often shorter than one; this is the exact value;
 *   - photonet_stream (uint32): a stream that the reader would not choose by itself;
 *   - photonet_marker (bool): an operation without work. Markers are compute nodes of no duration, because a
 *     trace whose first nodes are METADATA can stall ASTRA-sim;
 *   - photonet_pairs (uint32 at a node, uint64 lists photonet_pairs.N in the metadata): unequal parts of an
 *     all-to-all, of which comm_size has the mean;
 *   - photonet_scale (double, in the metadata): the share of the full step, where it was scaled down.
 * Not modelled: operation counts (a job has durations only), names of groups that are no decimal numbers.
 * Checked against: the reader (tests/test_chakra.c reads back what was written). */
#include "traces/chakra.pb-c.h"
#include "traces/chakra_rank.h"

#include "photonet/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ATTRIBUTES_MAX 10

struct writing {
    const struct job *job;
    const char *prefix;
    struct arena *arena;
    struct diag *diag;
    const char **group_key; /* pg_name of every group */
    uint8_t *buffer;
    size_t buffer_bytes;
    uint64_t *deps; /* of one node */
    size_t deps_capacity;
};

/* One node under construction: the messages that protobuf-c packs are plain structs. */
struct node {
    Chakra__Node message;
    Chakra__AttributeProto attributes[ATTRIBUTES_MAX];
    Chakra__AttributeProto *list[ATTRIBUTES_MAX];
};

static const char *rank_path(const struct writing *writing, uint32_t rank, const char *suffix)
{
    return arena_printf(writing->arena, "%s.%" PRIu32 ".et%s", writing->prefix, rank, suffix);
}

static const char *group_path(const struct writing *writing, const char *suffix)
{
    return arena_printf(writing->arena, "%s.json%s", writing->prefix, suffix);
}

/* ---- nodes ------------------------------------------------------------------------------------------- */

static Chakra__AttributeProto *attribute_add(struct node *node, const char *name,
                                             Chakra__AttributeProto__ValueCase value_case)
{
    assert(node->message.n_attr < ATTRIBUTES_MAX);
    Chakra__AttributeProto *attribute = &node->attributes[node->message.n_attr];
    chakra__attribute_proto__init(attribute);
    attribute->name = (char *)(uintptr_t)name; /* protobuf-c has no const; packing does not write */
    attribute->value_case = value_case;
    node->list[node->message.n_attr++] = attribute;
    return attribute;
}

static void add_bool(struct node *node, const char *name, bool value)
{
    attribute_add(node, name, CHAKRA__ATTRIBUTE_PROTO__VALUE_BOOL_VAL)->bool_val = value;
}

static void add_int32(struct node *node, const char *name, uint32_t value)
{
    attribute_add(node, name, CHAKRA__ATTRIBUTE_PROTO__VALUE_INT32_VAL)->int32_val = (int32_t)value;
}

static void add_int64(struct node *node, const char *name, uint64_t value)
{
    attribute_add(node, name, CHAKRA__ATTRIBUTE_PROTO__VALUE_INT64_VAL)->int64_val = (int64_t)value;
}

static void add_uint64(struct node *node, const char *name, uint64_t value)
{
    attribute_add(node, name, CHAKRA__ATTRIBUTE_PROTO__VALUE_UINT64_VAL)->uint64_val = value;
}

static void add_text(struct node *node, const char *name, const char *value)
{
    attribute_add(node, name, CHAKRA__ATTRIBUTE_PROTO__VALUE_STRING_VAL)->string_val =
        (char *)(uintptr_t)value;
}

static void add_stream(struct node *node, uint16_t stream, uint16_t expected)
{
    if (stream != expected) {
        attribute_add(node, "photonet_stream", CHAKRA__ATTRIBUTE_PROTO__VALUE_UINT32_VAL)->uint32_val =
            stream;
    }
}

static void add_duration(struct node *node, uint64_t duration_ps)
{
    node->message.duration_micros = duration_ps / PS_PER_US + (duration_ps % PS_PER_US >= PS_PER_US / 2);
    add_uint64(node, "duration_ps", duration_ps);
}

static void compute_fill(struct node *node, const struct program *program, uint32_t op)
{
    bool is_memory = program->kind[op] == OP_MEMORY,
         is_cpu = !is_memory && program->stream[op] == CHAKRA_STREAM_CPU;
    node->message.type = is_memory ? CHAKRA__NODE_TYPE__MEM_LOAD_NODE : CHAKRA__NODE_TYPE__COMP_NODE;
    add_bool(node, "is_cpu_op", is_cpu);
    if (is_memory) {
        add_uint64(node, "tensor_size", program->bytes[op]);
    }
    add_duration(node, program->duration_ps[op]);
    add_stream(node, program->stream[op],
               is_memory ? CHAKRA_STREAM_MEMORY
               : is_cpu  ? CHAKRA_STREAM_CPU
                         : STREAM_COMPUTE);
}

static void collective_fill(const struct writing *writing, struct node *node, uint32_t rank,
                            const struct program *program, uint32_t op)
{
    uint32_t group = job_group(writing->job, rank, program->group_slot[op]);
    node->message.type = CHAKRA__NODE_TYPE__COMM_COLL_NODE;
    add_bool(node, "is_cpu_op", false);
    add_int64(node, "comm_type", program->collective[op]);
    add_int64(node, "comm_size", program->bytes[op]);
    add_text(node, "pg_name", writing->group_key[group]);
    if (program->root[op] != 0) {
        add_int32(node, "root", program->root[op]);
    }
    if (program->duration_ps[op] > 0) {
        add_uint64(node, "photonet_hold", program->duration_ps[op]);
    }
    if (program->pairs[op] != PAIRS_EQUAL) {
        attribute_add(node, "photonet_pairs", CHAKRA__ATTRIBUTE_PROTO__VALUE_UINT32_VAL)->uint32_val =
            program->pairs[op];
    }
}

static void message_fill(const struct writing *writing, struct node *node, uint32_t rank,
                         const struct program *program, uint32_t op)
{
    bool is_send = program->kind[op] == OP_SEND;
    node->message.type = is_send ? CHAKRA__NODE_TYPE__COMM_SEND_NODE : CHAKRA__NODE_TYPE__COMM_RECV_NODE;
    add_bool(node, "is_cpu_op", false);
    add_int64(node, "comm_size", program->bytes[op]);
    add_int32(node, is_send ? "comm_dst" : "comm_src", job_peer(writing->job, rank, program, op));
    add_int32(node, "comm_tag", program->tag[op]); /* large ones become negative, and are what they were to readers */
    if (is_send) {
        add_stream(node, program->stream[op], STREAM_NONE);
    }
}

/* Ids of the trace that was read where they can serve, else positions. */
static bool ids_are_ascending(const struct program *program)
{
    for (uint32_t op = 1; op < program->op_count; op++) {
        if (program->source_id[op] <= program->source_id[op - 1]) {
            return false;
        }
    }
    return true;
}

static uint64_t node_id(const struct program *program, bool uses_source_ids, uint32_t op)
{
    return uses_source_ids ? program->source_id[op] : op;
}

static void deps_fill(struct writing *writing, struct node *node, const struct program *program,
                      bool uses_source_ids, uint32_t op)
{
    uint32_t first = program->dep_first[op], count = program->dep_first[op + 1] - first;
    if (count > writing->deps_capacity) {
        writing->deps_capacity = 2 * (size_t)count;
        writing->deps = arena_array(writing->arena, writing->deps_capacity, uint64_t);
    }
    for (uint32_t i = 0; i < count; i++) {
        writing->deps[i] = node_id(program, uses_source_ids, program->dep[first + i]);
    }
    node->message.n_data_deps = count;
    node->message.data_deps = writing->deps;
}

static void node_fill(struct writing *writing, struct node *node, uint32_t rank,
                      const struct program *program, uint32_t op)
{
    switch ((enum op_kind)program->kind[op]) {
    case OP_COMPUTE:
    case OP_MEMORY:
        compute_fill(node, program, op);
        break;
    case OP_COLLECTIVE:
        collective_fill(writing, node, rank, program, op);
        break;
    case OP_SEND:
    case OP_RECV:
        message_fill(writing, node, rank, program, op);
        break;
    default:
        node->message.type = CHAKRA__NODE_TYPE__COMP_NODE;
        add_bool(node, "is_cpu_op", true);
        add_bool(node, "photonet_marker", true);
        break;
    }
}

/* ---- files ------------------------------------------------------------------------------------------- */

static enum status write_failure(const struct writing *writing, const char *path)
{
    return diag_set(writing->diag, STATUS_IO, "%s: cannot write: %s", path, strerror(errno));
}

static bool record_write(struct writing *writing, const ProtobufCMessage *message, FILE *file)
{
    size_t bytes = protobuf_c_message_get_packed_size(message);
    if (bytes > writing->buffer_bytes) {
        writing->buffer_bytes = 2 * bytes;
        writing->buffer = arena_alloc(writing->arena, writing->buffer_bytes);
    }
    uint8_t length[10];
    size_t length_bytes = 0;
    for (size_t rest = bytes; rest >= 0x80; rest >>= 7) {
        length[length_bytes++] = (uint8_t)(rest | 0x80);
    }
    length[length_bytes] = (uint8_t)(bytes >> (7 * length_bytes));
    protobuf_c_message_pack(message, writing->buffer);
    return fwrite(length, 1, length_bytes + 1, file) == length_bytes + 1 &&
           fwrite(writing->buffer, 1, bytes, file) == bytes;
}

static Chakra__AttributeProto *metadata_add(struct writing *writing, Chakra__GlobalMetadata *metadata, const char *name)
{
    Chakra__AttributeProto *attr = arena_one(writing->arena, Chakra__AttributeProto);
    chakra__attribute_proto__init(attr);
    attr->name = (char *)(uintptr_t)name;
    metadata->attr[metadata->n_attr++] = attr;
    return attr;
}

/* What our own reader finds in the metadata. The tables are those that the rank's program speaks of. */
static void metadata_fill(struct writing *writing, const struct program *program, Chakra__GlobalMetadata *metadata)
{
    const struct job *job = writing->job;
    static const char version[] = "0.0.4", scale_name[] = "photonet_scale";
    bool *is_used = arena_array(writing->arena, (size_t)job->pair_table_count + 1, bool);
    for (uint32_t op = 0; op < program->op_count && job->pair_table_count > 0; op++) {
        is_used[program->pairs[op]] = program->pairs[op] != PAIRS_EQUAL;
    }
    metadata->version = (char *)(uintptr_t)version; /* packing does not write */
    metadata->attr = arena_array(writing->arena, (size_t)job->pair_table_count + 1, Chakra__AttributeProto *);
    if (job->scale != 1.0) {
        Chakra__AttributeProto *scale = metadata_add(writing, metadata, scale_name);
        scale->value_case = CHAKRA__ATTRIBUTE_PROTO__VALUE_DOUBLE_VAL;
        scale->double_val = job->scale;
    }
    for (uint32_t table = 1; table <= job->pair_table_count; table++) {
        if (is_used[table]) {
            const struct pair_table *pairs = &job->pair_tables[table - 1];
            Chakra__AttributeProto *attr =
                metadata_add(writing, metadata, arena_printf(writing->arena, "photonet_pairs.%" PRIu32, table));
            Chakra__Uint64List *list = arena_one(writing->arena, Chakra__Uint64List);
            chakra__uint64_list__init(list);
            list->n_values = (size_t)pairs->members * pairs->members;
            list->values = (uint64_t *)(uintptr_t)pairs->bytes;
            attr->value_case = CHAKRA__ATTRIBUTE_PROTO__VALUE_UINT64_LIST;
            attr->uint64_list = list;
        }
    }
}

static bool rank_records_write(struct writing *writing, uint32_t rank, FILE *file)
{
    const struct program *program = job_program(writing->job, rank);
    Chakra__GlobalMetadata metadata = CHAKRA__GLOBAL_METADATA__INIT;
    metadata_fill(writing, program, &metadata);
    bool is_good = record_write(writing, &metadata.base, file);
    bool uses_source_ids = ids_are_ascending(program);
    for (uint32_t op = 0; op < program->op_count && is_good; op++) {
        struct node node;
        chakra__node__init(&node.message);
        node.message.id = node_id(program, uses_source_ids, op);
        node.message.name = (char *)(uintptr_t)op_name(program, op);
        node.message.attr = node.list;
        deps_fill(writing, &node, program, uses_source_ids, op);
        node_fill(writing, &node, rank, program, op);
        is_good = record_write(writing, &node.message.base, file);
    }
    return is_good;
}

static enum status rank_write(struct writing *writing, uint32_t rank)
{
    const char *path = rank_path(writing, rank, ".part");
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        return write_failure(writing, path);
    }
    bool is_good = rank_records_write(writing, rank, file);
    is_good = fclose(file) == 0 && is_good;
    return is_good ? STATUS_OK : write_failure(writing, path);
}

/* ---- communicators ----------------------------------------------------------------------------------- */

static bool is_world(const struct job *job, uint32_t group)
{
    bool is_whole = job_group_size(job, group) == job->rank_count;
    for (uint32_t i = 0; i < job->rank_count && is_whole; i++) {
        is_whole = job->group_rank[job->group_first[group] + i] == i;
    }
    return is_whole;
}

static bool is_decimal_key(const char *name)
{
    size_t digits = strspn(name, "0123456789");
    return digits > 0 && digits < 10 && name[digits] == '\0' && name[0] != '0';
}

static int text_compare(const void *left, const void *right)
{
    const char *const *a = left, *const *b = right;
    return strcmp(*a, *b);
}

/* Whether all names but that of all ranks are numbers, each given once. */
static bool names_are_keys(const struct writing *writing)
{
    const struct job *job = writing->job;
    const char **name = arena_array(writing->arena, job->group_count, const char *);
    size_t count = 0;
    for (uint32_t group = 0; group < job->group_count; group++) {
        if (is_world(job, group)) {
            continue;
        }
        if (!is_decimal_key(job->group_name[group])) {
            return false;
        }
        name[count++] = job->group_name[group];
    }
    qsort(name, count, sizeof name[0], text_compare);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(name[i - 1], name[i]) == 0) {
            return false;
        }
    }
    return true;
}

/* Names stay where they can be keys; else groups are counted from 1. */
static void group_keys_choose(struct writing *writing)
{
    const struct job *job = writing->job;
    bool keeps_names = names_are_keys(writing);
    writing->group_key = arena_array(writing->arena, job->group_count, const char *);
    for (uint32_t group = 0; group < job->group_count; group++) {
        writing->group_key[group] = is_world(job, group) ? "0"
                                    : keeps_names        ? job->group_name[group]
                                                  : arena_printf(writing->arena, "%" PRIu32, group + 1);
    }
}

static void groups_print(const struct writing *writing, FILE *file)
{
    const struct job *job = writing->job;
    const char *comma = "";
    fputs("{", file);
    for (uint32_t group = 0; group < job->group_count; group++) {
        if (is_world(job, group)) {
            continue;
        }
        fprintf(file, "%s\n  \"%s\": [", comma, writing->group_key[group]);
        for (uint32_t i = job->group_first[group]; i < job->group_first[group + 1]; i++) {
            fprintf(file, "%s%" PRIu32, i > job->group_first[group] ? ", " : "", job->group_rank[i]);
        }
        fputs("]", file);
        comma = ",";
    }
    fputs("\n}\n", file);
}

static enum status groups_write(struct writing *writing)
{
    const char *path = group_path(writing, ".part");
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        return write_failure(writing, path);
    }
    groups_print(writing, file);
    bool is_good = ferror(file) == 0;
    is_good = fclose(file) == 0 && is_good;
    return is_good ? STATUS_OK : write_failure(writing, path);
}

/* ---- all --------------------------------------------------------------------------------------------- */

static enum status values_check(const struct writing *writing)
{
    const struct job *job = writing->job;
    for (uint32_t i = 0; i < job->program_count; i++) {
        const struct program *program = &job->programs[i];
        for (uint32_t op = 0; op < program->op_count; op++) {
            if (program->bytes[op] > INT64_MAX) {
                return diag_input(
                    writing->diag, (struct origin){.path = job->name},
                    "operation \"%s\" has a size that Chakra's signed numbers cannot hold",
                    op_name(program, op));
            }
        }
    }
    return STATUS_OK;
}

/* A larger set with the same prefix would leave rank files behind that seem to belong to this one. */
static enum status leftover_check(const struct writing *writing)
{
    const char *path = rank_path(writing, writing->job->rank_count, "");
    if (access(path, F_OK) != 0) {
        return STATUS_OK;
    }
    return diag_set(
        writing->diag, STATUS_IO,
        "%s: is left from a set of more ranks with the same prefix; remove that set or choose another "
        "prefix",
        path);
}

static enum status parts_write(struct writing *writing)
{
    enum status status = groups_write(writing);
    for (uint32_t rank = 0; rank < writing->job->rank_count && status == STATUS_OK; rank++) {
        status = rank_write(writing, rank);
    }
    return status;
}

static enum status parts_rename(struct writing *writing)
{
    const char *path = group_path(writing, "");
    bool is_good = rename(group_path(writing, ".part"), path) == 0;
    for (uint32_t rank = 0; rank < writing->job->rank_count && is_good; rank++) {
        path = rank_path(writing, rank, "");
        is_good = rename(rank_path(writing, rank, ".part"), path) == 0;
    }
    return is_good ? STATUS_OK : write_failure(writing, path);
}

static void parts_remove(const struct writing *writing)
{
    unlink(group_path(writing, ".part"));
    for (uint32_t rank = 0; rank < writing->job->rank_count; rank++) {
        unlink(rank_path(writing, rank, ".part"));
    }
}

/* What the schema has no place for. */
static void sample_tell(const struct job *job, char *wrote, size_t wrote_bytes)
{
    size_t used = strlen(wrote);
    if (job_is_sample(job)) {
        snprintf(wrote + used, wrote_bytes - used,
                 "\n  the step is a sample of %" PRIu32 " ranks, whose time is to be multiplied by %.6g; these traces cannot say so",
                 job->full_rank_count, job->time_factor);
    }
}

static enum status chakra_write(const struct job *job, const char *prefix, char *wrote, size_t wrote_bytes,
                                struct diag *diag)
{
    struct arena *arena = arena_new("writing a Chakra set");
    struct writing writing = {.job = job, .prefix = prefix, .arena = arena, .diag = diag};
    group_keys_choose(&writing);
    enum status status = values_check(&writing);
    if (status == STATUS_OK) {
        status = leftover_check(&writing);
    }
    if (status == STATUS_OK) {
        status = parts_write(&writing);
        if (status == STATUS_OK) {
            status = parts_rename(&writing);
        }
        if (status != STATUS_OK) {
            parts_remove(&writing);
        }
    }
    if (status == STATUS_OK) {
        snprintf(wrote, wrote_bytes, "%s.0.et to %s.%" PRIu32 ".et and %s.json", prefix, prefix,
                 job->rank_count - 1, prefix);
        sample_tell(job, wrote, wrote_bytes);
    }
    arena_free(arena);
    return status;
}

const struct trace_writer trace_writer_chakra_et = {
    .name = "chakra_et",
    .summary =
        "Chakra execution traces: PREFIX.R.et for every rank R, and PREFIX.json with the communicators",
    .write = chakra_write,
};
