/* Chakra execution traces: the reader on hand-made files that hold one trap each, the writer by reading back
 * what it wrote, and both on damaged files.
 *
 * Asserted: what every trap becomes (operations, dependencies, groups, notes, or one line and STATUS_INPUT), that
 * no cut or flipped byte does anything but that, and that the published traces load.
 * Not asserted: that other projects' programs read our files, durations of the roofline (test_generate.c). */
#include "photonet/trace.h"
#include "photonet/units.h"
#include "tests/check.h"

#include <math.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

extern const struct trace_writer trace_writer_chakra_et;

/* ---- a tiny encoder ---------------------------------------------------------------------------------- */

struct buffer {
    uint8_t data[1 << 16];
    size_t count;
};

static struct buffer file, node, inner, metadata;

enum { INVALID, METADATA, MEM_LOAD, MEM_STORE, COMP, SEND, RECV, COLL };

static void put(struct buffer *buffer, uint8_t byte)
{
    buffer->data[buffer->count++] = byte;
}

static void varint(struct buffer *buffer, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) {
        put(buffer, (uint8_t)(value | 0x80));
    }
    put(buffer, (uint8_t)value);
}

static void number(struct buffer *buffer, uint32_t field, uint64_t value)
{
    varint(buffer, field << 3);
    varint(buffer, value);
}

static void bytes(struct buffer *buffer, uint32_t field, const void *data, size_t count)
{
    varint(buffer, field << 3 | 2);
    varint(buffer, count);
    for (size_t i = 0; i < count; i++) {
        put(buffer, ((const uint8_t *)data)[i]);
    }
}

static void text(struct buffer *buffer, uint32_t field, const char *value)
{
    bytes(buffer, field, value, strlen(value));
}

static void fixed(struct buffer *buffer, uint32_t field, uint64_t value, unsigned width)
{
    varint(buffer, field << 3 | (width == 8 ? 1 : 5));
    for (unsigned i = 0; i < width; i++) {
        put(buffer, (uint8_t)(value >> (8 * i)));
    }
}

static void record(const struct buffer *message)
{
    varint(&file, message->count);
    for (size_t i = 0; i < message->count; i++) {
        put(&file, message->data[i]);
    }
}

/* Fields of AttributeProto. */
enum {
    AS_INT32 = 7,
    AS_INT64 = 9,
    AS_UINT32 = 11,
    AS_UINT64 = 13,
    AS_SINT32 = 15,
    AS_SINT64 = 17,
    AS_FIXED32 = 19,
    AS_FIXED64 = 21,
    AS_SFIXED32 = 23,
    AS_SFIXED64 = 25,
    AS_BOOL = 27,
    AS_STRING = 29
};

static void attribute(struct buffer *to, uint32_t field, const char *name, uint32_t as, uint64_t value)
{
    inner.count = 0;
    text(&inner, 1, name);
    if (as == AS_FIXED32 || as == AS_SFIXED32 || as == AS_FIXED64 || as == AS_SFIXED64) {
        fixed(&inner, as, value, as == AS_FIXED32 || as == AS_SFIXED32 ? 4 : 8);
    } else if (as == AS_SINT32 || as == AS_SINT64) {
        number(&inner, as, 2 * value);
    } else {
        number(&inner, as, value);
    }
    bytes(to, field, inner.data, inner.count);
}

static void attribute_text(struct buffer *to, uint32_t field, const char *name, const char *value)
{
    inner.count = 0;
    text(&inner, 1, name);
    text(&inner, AS_STRING, value);
    bytes(to, field, inner.data, inner.count);
}

static void file_begin(void)
{
    file.count = metadata.count = 0;
    text(&metadata, 1, "0.0.4");
    record(&metadata);
}

static void file_begin_schema(const char *schema)
{
    file.count = metadata.count = 0;
    attribute_text(&metadata, 2, "schema", schema);
    record(&metadata);
}

/* Zeros are left out, as proto3 does. */
static void node_begin(uint64_t id, const char *name, uint32_t type)
{
    node.count = 0;
    if (id != 0) {
        number(&node, 1, id);
    }
    text(&node, 2, name);
    if (type != 0) {
        number(&node, 3, type);
    }
}

static void integer(const char *name, uint64_t value)
{
    attribute(&node, 10, name, AS_INT64, value);
}

static void data_dep(uint64_t id)
{
    number(&node, 5, id); /* unpacked; packed lists are in test_wire */
}

static void ctrl_dep(uint64_t id)
{
    number(&node, 4, id);
}

static void node_end(void)
{
    record(&node);
}

static void compute(uint64_t id, const char *name, uint64_t duration_us)
{
    node_begin(id, name, COMP);
    number(&node, 7, duration_us);
}

static void collective(uint64_t id, const char *name, uint64_t type, uint64_t size)
{
    node_begin(id, name, COLL);
    attribute(&node, 10, "is_cpu_op", AS_BOOL, 0);
    integer("comm_type", type);
    integer("comm_size", size);
}

static void message(uint64_t id, const char *name, uint32_t type, uint64_t peer, uint64_t size)
{
    node_begin(id, name, type);
    integer("comm_size", size);
    attribute(&node, 10, type == SEND ? "comm_dst" : "comm_src", AS_INT32, peer);
    attribute(&node, 10, "comm_tag", AS_INT32, 0);
}

/* ---- files and reading ------------------------------------------------------------------------------- */

static char folder[512];

static void folder_make(const char *name)
{
    snprintf(folder, sizeof folder, "%s/%s", test_directory(), name);
    mkdir(folder, 0777);
}

static const char *in_folder(const char *format, ...)
{
    static char paths[4][1024];
    static unsigned next;
    char *path = paths[next++ % 4];
    size_t used = (size_t)snprintf(path, sizeof paths[0], "%s/", folder);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(path + used, sizeof paths[0] - used, format, arguments);
    va_end(arguments);
    return path;
}

static void save(const char *path, const void *data, size_t count)
{
    FILE *stream = fopen(path, "wb");
    if (stream == NULL || fwrite(data, 1, count, stream) != count || fclose(stream) != 0) {
        perror(path);
        exit(1);
    }
}

static void save_rank(uint32_t rank)
{
    save(in_folder("t.%u.et", rank), file.data, file.count);
}

static void save_text(const char *name, const char *content)
{
    save(in_folder("%s", name), content, strlen(content));
}

/* The result of the last read; everything lives in one arena that the next read ends. */
static struct arena *arena;
static const struct job *job;
static struct diag diag;

static enum status read_with(const char *spec, uint32_t ranks, const char *key, const char *value)
{
    arena_free(arena);
    arena = arena_new("test");
    job = NULL;
    diag.text[0] = '\0';
    struct trace_setting setting = {key, value, {.path = "--set"}};
    enum status status = trace_read(spec, ranks, &setting, key != NULL, arena, &job, &diag);
    CHECK(strchr(diag.text, '\n') == NULL);
    CHECK((status == STATUS_OK) == (diag.text[0] == '\0'));
    return status;
}

/* The set "t" of the folder must load. */
static bool loads_with(uint32_t ranks, const char *key, const char *value)
{
    enum status status = read_with(in_folder("t"), ranks, key, value);
    CHECK_EQUAL(status, STATUS_OK);
    if (status != STATUS_OK) {
        printf("%s\n", diag.text);
    }
    return status == STATUS_OK;
}

static bool loads(uint32_t ranks)
{
    return loads_with(ranks, NULL, NULL);
}

static void refused_with(uint32_t ranks, const char *key, const char *value, const char *part)
{
    CHECK_EQUAL(read_with(in_folder("t"), ranks, key, value), STATUS_INPUT);
    CHECK_HOLDS(diag.text, part);
}

static void refused(uint32_t ranks, const char *part)
{
    refused_with(ranks, NULL, NULL, part);
}

static const struct program *program_of(uint32_t rank)
{
    return job_program(job, rank);
}

static uint64_t note_count(const char *what)
{
    for (uint32_t i = 0; i < job->note_count; i++) {
        if (strstr(job->notes[i].what, what) != NULL) {
            return job->notes[i].count;
        }
    }
    return 0;
}

/* The operation with this name, ID_NONE where there is none. */
static uint32_t op_named(uint32_t rank, const char *name)
{
    const struct program *program = program_of(rank);
    for (uint32_t op = 0; op < program->op_count; op++) {
        if (strcmp(op_name(program, op), name) == 0) {
            return op;
        }
    }
    return ID_NONE;
}

static bool waits(uint32_t rank, const char *name, const char *on)
{
    const struct program *program = program_of(rank);
    uint32_t op = op_named(rank, name), target = op_named(rank, on);
    for (uint32_t i = program->dep_first[op]; i < program->dep_first[op + 1]; i++) {
        if (program->dep[i] == target) {
            return true;
        }
    }
    return false;
}

/* ---- traps ------------------------------------------------------------------------------------------- */

static void test_omitted_zeros(void)
{
    folder_make("zeros");
    file_begin();
    collective(0, "ar", 0, 1024); /* id 0 is not written, comm_type 0 is */
    node_end();
    node_begin(5, "nothing", INVALID);
    node_end();
    save_rank(0);
    if (loads(4)) {
        const struct program *program = program_of(3);
        CHECK_EQUAL(program->op_count, 2);
        CHECK_EQUAL(program->kind[0], OP_COLLECTIVE);
        CHECK_EQUAL(program->collective[0], COLLECTIVE_ALL_REDUCE);
        CHECK_EQUAL(program->bytes[0], 1024);
        CHECK_EQUAL(program->kind[1], OP_MARKER);
        CHECK_EQUAL(note_count("without work"), 1);
        CHECK_EQUAL(note_count("no compute"), 0);
        CHECK_EQUAL(note_count("without durations"), 1);
        CHECK_EQUAL(job_group_size(job, job_group(job, 3, 0)), 4);
    }
}

static void test_ids(void)
{
    folder_make("ids");
    file_begin();
    compute(UINT64_C(1) << 40, "last", 3);
    data_dep(7);
    node_end();
    compute(9, "second", 2);
    data_dep(70000000000); /* forward, in the file and by id */
    data_dep(7);
    data_dep(7); /* twice is once */
    node_end();
    compute(70000000000, "first", 1);
    node_end();
    compute(7, "zeroth", 1);
    node_end();
    save_rank(0);
    if (loads(1)) {
        const struct program *program = program_of(0);
        CHECK_EQUAL(program->op_count, 4);
        CHECK_TEXT(op_name(program, 0), "zeroth"); /* the lowest id comes first */
        CHECK_EQUAL(program->source_id[3], UINT64_C(1) << 40);
        CHECK_EQUAL(program->duration_ps[3], 3 * PS_PER_US);
        CHECK(waits(0, "last", "zeroth"));
        CHECK(waits(0, "second", "first"));
        CHECK(waits(0, "second", "zeroth"));
        CHECK_EQUAL(program->dep_count, 3);
    }
    compute(7, "again", 1);
    node_end();
    save_rank(0);
    refused(1, "node id 7 is given twice (\"zeroth\" and \"again\")");
}

/* Two messages with equal tags, of different sizes. */
static void fifo_rank(uint32_t rank, uint64_t first, uint64_t second)
{
    file_begin();
    message(1, "a", rank == 0 ? SEND : RECV, 1 - rank, first);
    attribute(&node, 10, "comm_type", AS_INT64, 5 + rank); /* the node's own type: to be ignored */
    node_end();
    message(2, "b", rank == 0 ? SEND : RECV, 1 - rank, second);
    node_end();
    save_rank(rank);
}

/* Ids near each other, far apart and in clusters, in the file's order at random: an operation's number is how many ids
 * are lower, whatever the map of ids looks like. Each node waits for the one with the next higher id in the file's order. */
static void test_ids_of_every_spread(void)
{
    enum { NODES = 300 };
    static const char *const kinds[] = {"dense", "sparse", "clusters"};
    for (uint32_t kind = 0; kind < 3; kind++) {
        uint64_t ids[NODES];
        uint32_t lower[NODES] = {0}, wrong = 0;
        for (uint32_t i = 0; i < NODES; i++) {
            uint32_t shuffled = i * 77 % NODES; /* 77 and 300 have no common divisor */
            ids[i] = kind == 0   ? 5 + 2 * shuffled
                     : kind == 1 ? (uint64_t)shuffled * UINT64_C(60497000000000003)
                                 : (uint64_t)(shuffled % 3) << 50 | shuffled;
        }
        folder_make(kinds[kind]);
        file_begin();
        for (uint32_t i = 0; i < NODES; i++) {
            compute(ids[i], "x", i + 1);
            if (i > 0 && ids[i - 1] < ids[i]) {
                data_dep(ids[i - 1]);
            }
            node_end();
            for (uint32_t j = 0; j < NODES; j++) {
                lower[i] += ids[j] < ids[i];
            }
        }
        save_rank(0);
        CHECK(loads(1));
        const struct program *program = program_of(0);
        for (uint32_t i = 0; i < NODES; i++) {
            uint32_t op = lower[i], deps = program->dep_first[op + 1] - program->dep_first[op];
            bool has_dep = i > 0 && ids[i - 1] < ids[i];
            wrong += program->source_id[op] != ids[i] || program->duration_ps[op] != (i + 1) * PS_PER_US ||
                     deps != has_dep || (has_dep && program->dep[program->dep_first[op]] != lower[i - 1]);
        }
        CHECK_EQUAL(wrong, 0);
    }
}

static void test_equal_tags(void)
{
    folder_make("fifo");
    fifo_rank(0, 100, 200);
    fifo_rank(1, 100, 200);
    if (loads(0)) {
        CHECK_EQUAL(program_of(0)->kind[0], OP_SEND);
        CHECK_EQUAL(program_of(1)->kind[1], OP_RECV);
        CHECK_EQUAL(job_peer(job, 0, program_of(0), 1), 1);
        CHECK_EQUAL(job_peer(job, 1, program_of(1), 1), 0);
        CHECK_EQUAL(program_of(1)->bytes[1], 200);
    }
    fifo_rank(1, 200, 100);
    refused(0, "expected 100 B");
}

/* a (1) <- b (2) <- c (3) by data; the ctrl dependency of `from` on `on` is added. */
static void ctrl_file(uint64_t from, uint64_t on)
{
    file_begin();
    for (uint64_t id = 1; id <= 3; id++) {
        compute(id, id == 1 ? "a" : id == 2 ? "b" : "c", 1);
        if (id > 1) {
            data_dep(id - 1);
        }
        if (id == from) {
            ctrl_dep(on);
        }
        node_end();
    }
    save_rank(0);
}

static void test_ctrl_deps(void)
{
    folder_make("ctrl");
    ctrl_file(3, 1); /* agrees */
    if (loads(1)) {
        CHECK(waits(0, "c", "a"));
        CHECK_EQUAL(note_count("control dependencies"), 1);
    }
    static const uint64_t bad[][2] = {{2, 2}, {2, 99}, {1, 3}}; /* itself, a missing node, a cycle */
    for (size_t i = 0; i < 3; i++) {
        ctrl_file(bad[i][0], bad[i][1]);
        if (loads(1)) {
            CHECK_EQUAL(program_of(0)->dep_count, 2);
            CHECK_EQUAL(note_count("control dependencies"), 1);
            CHECK_HOLDS(job->notes[0].action, "data dependencies alone");
        }
        if (i < 2 && loads_with(1, "deps", "both")) {
            CHECK_EQUAL(program_of(0)->dep_count, 2);
            CHECK_EQUAL(note_count(i == 0 ? "of a node on itself" : "not in the file"), 1);
        }
    }
    refused_with(1, "deps", "both", "cycle");
    if (loads_with(1, "deps", "ctrl")) {
        CHECK_EQUAL(program_of(0)->dep_count, 1);
        CHECK(waits(0, "a", "c"));
        CHECK_EQUAL(note_count("data dependencies"), 2);
    }
    ctrl_file(3, 1);
    if (loads_with(1, "deps", "data")) {
        CHECK(!waits(0, "c", "a"));
        CHECK_EQUAL(note_count("control dependencies"), 1);
    }
    refused_with(1, "deps", "some", "deps");
}

static void test_data_deps(void)
{
    folder_make("data");
    file_begin();
    compute(1, "a", 1);
    data_dep(77);
    node_end();
    save_rank(0);
    if (loads(1)) {
        CHECK_EQUAL(program_of(0)->dep_count, 0);
        CHECK_EQUAL(note_count("data dependencies on nodes that are not in the file"), 1);
    }
    file_begin();
    compute(1, "a", 1);
    data_dep(1);
    node_end();
    save_rank(0);
    refused(1, "depends on itself");
    file_begin();
    compute(1, "a", 1);
    data_dep(2);
    node_end();
    compute(2, "b", 1);
    data_dep(1);
    node_end();
    save_rank(0);
    refused(1, "cycle");
}

static void test_missing_attributes(void)
{
    static const struct {
        uint32_t type;
        const char *has[3];
        const char *part;
    } cases[] = {
        {COLL, {NULL}, "t.0.et: node 12 \"x\": collective without comm_type and comm_size"},
        {COLL, {"comm_type"}, "node 12 \"x\": collective without comm_size"},
        {COLL, {"comm_size"}, "node 12 \"x\": collective without comm_type"},
        {SEND, {"comm_size"}, "node 12 \"x\": send without comm_dst"},
        {RECV, {"comm_size", "comm_dst"}, "node 12 \"x\": receive without comm_src"},
        {SEND, {"comm_dst"}, "message without comm_size"},
        {SEND, {"comm_dst", "comm_size", "comm_src"}, "comm_src is another rank"},
    };
    folder_make("missing");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        file_begin();
        node_begin(12, "x", cases[i].type);
        for (size_t k = 0; k < 3 && cases[i].has[k] != NULL; k++) {
            integer(cases[i].has[k], 1);
        }
        node_end();
        save_rank(0);
        refused(2, cases[i].part);
    }
    file_begin();
    collective(1, "x", 11, 8);
    node_end();
    save_rank(0);
    refused(2, "unknown comm_type");
    file_begin();
    node_begin(1, "x", 8);
    node_end();
    save_rank(0);
    refused(2, "unknown node type");
    file_begin();
    node_begin(1, "x", COLL);
    integer("comm_type", 9); /* a barrier has no size */
    node_end();
    save_rank(0);
    loads(2);
}

/* launch (1) -> duplicate (2) -> kernel (3, with the sizes); the duplicate's dependents must still wait for
 * launch. */
static void duplicate_file(bool has_kernel)
{
    file_begin();
    compute(1, "launch", 1);
    attribute(&node, 10, "is_cpu_op", AS_BOOL, 1);
    node_end();
    node_begin(2, "c10d::allreduce_", COLL);
    attribute(&node, 10, "is_cpu_op", AS_INT32, 1);
    data_dep(1);
    node_end();
    if (has_kernel) {
        collective(3, "ncclKernel", 0, 4096);
        data_dep(2);
        node_end();
    }
    compute(4, "gpu", 5);
    data_dep(2);
    node_end();
    save_rank(0);
}

static void test_cpu_duplicates(void)
{
    folder_make("cpu");
    duplicate_file(true);
    if (loads(2)) {
        const struct program *program = program_of(0);
        CHECK_EQUAL(program->kind[1], OP_MARKER);
        CHECK_EQUAL(program->kind[2], OP_COLLECTIVE);
        CHECK_EQUAL(program->stream[0], 1);
        CHECK_EQUAL(program->stream[3], STREAM_COMPUTE);
        CHECK(waits(0, "ncclKernel", "c10d::allreduce_"));
        CHECK(waits(0, "c10d::allreduce_", "launch"));
        CHECK_EQUAL(note_count("CPU-side duplicates"), 1);
        CHECK_EQUAL(note_count("compute nodes on the CPU"), 1);
    }
    duplicate_file(false);
    refused(2, "node 2 \"c10d::allreduce_\": collective without comm_type and comm_size");
    file_begin(); /* a collective of the CPU alone, with sizes, is work */
    collective(1, "gloo", 0, 64);
    attribute(&node, 10, "is_cpu_op", AS_BOOL, 1);
    node_end();
    save_rank(0);
    if (loads(2)) {
        CHECK_EQUAL(program_of(0)->kind[0], OP_COLLECTIVE);
        CHECK_EQUAL(note_count("without a twin"), 1);
    }
}

/* ---- groups ------------------------------------------------------------------------------------------ */

/* Every rank of `ranks` runs one collective of the group `name` (NULL: no pg_name) */
static void group_files(uint32_t ranks, const char *const *names)
{
    for (uint32_t rank = 0; rank < ranks; rank++) {
        file_begin();
        collective(rank, "ag", 2, 10);
        if (names[rank] != NULL) {
            attribute_text(&node, 10, "pg_name", names[rank]);
        }
        node_end();
        save_rank(rank);
    }
}

static void test_group_file(void)
{
    folder_make("groups");
    group_files(4, (const char *const[]){"1", "2", "1", "2"});
    refused(0, "names communicator group \"1\", which nothing describes");
    save_text("comm_group.json", "{\"1\": [2, 0], \"2\": [1, 3], \"3\": [0]}");
    if (loads(0)) {
        uint32_t group = job_group(job, 0, program_of(0)->group_slot[0]);
        CHECK_EQUAL(job_group_size(job, group), 2);
        CHECK_EQUAL(job_member_index(job, group, 2), 0); /* the list's order is kept */
        CHECK_EQUAL(job_group(job, 2, program_of(2)->group_slot[0]), group);
        CHECK(job_group(job, 1, program_of(1)->group_slot[0]) != group);
        CHECK_TEXT(job->group_name[group], "1");
    }
    save_text("t.json", "{\"1\": [0, 2], \"2\": [3, 1]}"); /* is nearer than comm_group.json */
    if (loads(0)) {
        CHECK_EQUAL(job_member_index(job, job_group(job, 0, 0), 2), 1);
    }
    save_text("other.json", "{\"1\": [0, 2, 1], \"2\": [3, 1]}");
    refused_with(0, "comm_group", in_folder("other.json"), "rank 1 runs 0 collectives of group \"1\"");
    static const struct {
        const char *content, *part;
    } bad[] = {
        {"{\"1\": [0, 2], \"2\": [3, 3]}", "names rank 3 twice"},
        {"{\"1\": [0, 2], \"2\": [3, 4]}", "names rank 4"},
        {"{\"1\": [0, 2], \"2\": [3, -1]}", "is no rank"},
        {"{\"1\": [0, 2], \"2\": []}", "no list of ranks"},
        {"{\"1\": [0, 2], \"2\": 3}", "no list of ranks"},
        {"[1, 2]", "no map of groups"},
        {"{\"0\": [0, 2], \"1\": [0, 2], \"2\": [1, 3]}", "means all ranks"},
        {"{\"1\": [0, 2], \"2\": [0, 2]}", "of which rank 1 is no member"},
        {"{\"1\": [0, 2", "other.json:"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        save_text("other.json", bad[i].content);
        refused_with(0, "comm_group", in_folder("other.json"), bad[i].part);
        CHECK(i >= 7 || strstr(diag.text, "other.json:1:") != NULL);
    }
    CHECK_EQUAL(read_with(in_folder("t"), 0, "comm_group", in_folder("nowhere.json")), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "nowhere.json: cannot be opened");
}

static void test_group_world(void)
{
    folder_make("world");
    group_files(4, (const char *const[]){"", "0", NULL, "0"});
    if (loads(0)) {
        CHECK_EQUAL(job->group_count, 1);
        CHECK_EQUAL(job_group_size(job, 0), 4);
    }
    group_files(4, (const char *const[]){"7", "0", NULL, "0"});
    save_text("t.json", "{\"7\": [0]}");
    refused(0, "collectives of group \"world\""); /* rank 0 runs nothing in it */
    group_files(1, (const char *const[]){"7"});
    for (uint32_t rank = 1; rank < 4; rank++) {
        unlink(in_folder("t.%u.et", rank));
    }
    if (loads(1)) { /* a group of one stays what the file says */
        CHECK_EQUAL(job_group_size(job, job_group(job, 0, 0)), 1);
        CHECK_EQUAL(note_count("group of one rank"), 1);
    }
    refused(2, "no member"); /* a lone file of which the others are in no group */
}

static void metadata_file(uint32_t rank, const char *ranks)
{
    char values[300];
    snprintf(
        values, sizeof values,
        "['[{\"pg_name\": \"0\", \"ranks\": [], \"group_size\": 2}, {\"pg_name\": \"12\", \"ranks\": %s}]']",
        ranks);
    file_begin();
    node_begin(1, "## process_group:init ##", METADATA);
    inner.count = 0;
    text(&inner, 1, values);
    bytes(&node, 8, inner.data, inner.count);
    node_end();
    collective(2, "ar", 0, 8);
    attribute_text(&node, 10, "pg_name", "12");
    data_dep(1);
    node_end();
    save_rank(rank);
}

static void test_group_metadata(void)
{
    folder_make("pg");
    metadata_file(0, "[1, 0]");
    metadata_file(1, "[1, 0]");
    if (loads(0)) {
        CHECK_EQUAL(job->group_count, 1);
        CHECK_EQUAL(job_member_index(job, 0, 0), 1);
        CHECK_EQUAL(program_of(0)->kind[0], OP_MARKER);
        CHECK(waits(0, "ar", "## process_group:init ##"));
    }
    metadata_file(0, "[]");
    metadata_file(1, "[]");
    if (loads(0)) {
        CHECK_EQUAL(job_group_size(job, job_group(job, 0, 0)), 2);
    }
    metadata_file(0, "[0, 0]");
    refused(0, "names rank 0 twice");
    metadata_file(0, "\"a\"");
    refused(0, "which nothing describes");
}

static void test_group_number(void)
{
    folder_make("stage-group");
    save_text("comm_group.json", "{\"3\": [1, 0]}");
    for (uint32_t rank = 0; rank < 2; rank++) {
        file_begin_schema("symbolic_tensor_network");
        collective(1, "ar", 0, 8);
        attribute(&node, 10, "comm_group", AS_INT32, 3);
        node_end();
        save_rank(rank);
    }
    if (loads(0)) {
        CHECK_TEXT(job->group_name[job_group(job, 0, 0)], "3");
        CHECK_EQUAL(program_of(0)->bytes[0], 16); /* 8 elements of 2 bytes */
    }
}

/* ---- sizes and durations ----------------------------------------------------------------------------- */

static void test_elements(void)
{
    folder_make("elements");
    file_begin_schema("symbolic_tensor_network");
    collective(1, "ar", 0, 1000);
    node_end();
    node_begin(2, "matmul", COMP);
    integer("num_ops", 2000000000000);
    attribute(&node, 10, "tensor_size", AS_UINT64, 1000);
    node_end();
    save_rank(0);
    if (loads(2)) {
        CHECK_EQUAL(program_of(0)->bytes[0], 2000);
        CHECK_EQUAL(note_count("count elements"), 1);
        CHECK_EQUAL(note_count("without a duration"), 1);
        /* 2 Tflop take some milliseconds on any GPU of the table. */
        CHECK(program_of(0)->duration_ps[1] > PS_PER_MS && program_of(0)->duration_ps[1] < 100 * PS_PER_MS);
    }
    uint64_t h100_ps = job != NULL ? program_of(0)->duration_ps[1] : 0;
    if (loads_with(2, "gpu", "a100")) {
        CHECK(program_of(0)->duration_ps[1] > h100_ps);
    }
    if (loads_with(2, "element_bytes", "4")) {
        CHECK_EQUAL(program_of(0)->bytes[0], 4000);
    }
    refused_with(2, "element_bytes", "17", "element_bytes");
    compute(3, "timed", 4); /* one duration, and the file's durations count */
    node_end();
    save_rank(0);
    if (loads(2)) {
        CHECK_EQUAL(program_of(0)->duration_ps[1], 0);
        CHECK_EQUAL(program_of(0)->duration_ps[2], 4 * PS_PER_US);
    }
}

static void test_durations(void)
{
    folder_make("durations");
    file_begin();
    compute(1, "exact", 1);
    attribute(&node, 10, "duration_ps", AS_UINT64, 1234567);
    node_end();
    compute(2, "whole", 3);
    node_end();
    node_begin(3, "load", MEM_LOAD);
    number(&node, 7, 9);
    attribute(&node, 10, "tensor_size", AS_UINT64, 4096);
    node_end();
    node_begin(4, "store", MEM_STORE);
    node_end();
    save_rank(0);
    if (loads(1)) {
        const struct program *program = program_of(0);
        CHECK_EQUAL(program->duration_ps[0], 1234567);
        CHECK_EQUAL(program->duration_ps[1], 3 * PS_PER_US);
        CHECK_EQUAL(program->kind[2], OP_MEMORY);
        CHECK_EQUAL(program->kind[3], OP_MEMORY);
        CHECK_EQUAL(program->duration_ps[2], 9 * PS_PER_US);
        CHECK_EQUAL(program->bytes[2], 4096);
        CHECK(program->stream[2] != STREAM_COMPUTE);
    }
    compute(5, "forever", UINT64_C(1) << 60);
    node_end();
    save_rank(0);
    refused(1, "lasts longer");
}

/* start_time_micros is 0 in every published file: order and time come from dependencies and durations alone. */
static void test_start_times(void)
{
    uint64_t digest[2];
    for (uint64_t start = 0; start < 2; start++) {
        folder_make(start == 0 ? "start" : "start-late");
        file_begin();
        compute(1, "first", 5);
        number(&node, 6, 1000000 * start + 1);
        node_end();
        compute(2, "second", 3);
        number(&node, 6, 7);
        node_end();
        save_rank(0);
        digest[start] = loads(1) ? program_of(0)->digest : start;
    }
    CHECK_EQUAL(digest[0], digest[1]);
}

/* ---- the wire ---------------------------------------------------------------------------------------- */

static void test_integer_kinds(void)
{
    static const uint32_t kinds[] = {AS_INT32,   AS_INT64,   AS_UINT32,   AS_UINT64,   AS_SINT32, AS_SINT64,
                                     AS_FIXED32, AS_FIXED64, AS_SFIXED32, AS_SFIXED64, AS_BOOL};
    folder_make("kinds");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        uint64_t size = kinds[i] == AS_BOOL ? 1 : 77777;
        file_begin();
        node_begin(1, "a", COLL);
        attribute(&node, 10, "comm_type", kinds[i], 1); /* reduce: 1 suits a bool */
        attribute(&node, 10, "comm_size", kinds[i], size);
        attribute(&node, 10, "is_cpu_op", kinds[i], 0);
        attribute(&node, 10, "root", kinds[i], 1);
        node_end();
        save_rank(0);
        if (loads(2)) {
            CHECK_EQUAL(program_of(0)->bytes[0], size);
            CHECK_EQUAL(program_of(0)->collective[0], COLLECTIVE_REDUCE);
            CHECK_EQUAL(program_of(0)->root[0], 1);
            CHECK_EQUAL(note_count("CPU"), 0);
        }
    }
    file_begin();
    node_begin(1, "a", COLL);
    attribute_text(&node, 10, "comm_type", "5");
    attribute_text(&node, 10, "comm_size", "4096");
    node_end();
    save_rank(0);
    if (loads(2)) {
        CHECK_EQUAL(program_of(0)->bytes[0], 4096);
        CHECK_EQUAL(program_of(0)->collective[0], COLLECTIVE_BROADCAST);
        CHECK_EQUAL(program_of(0)->root[0], 0);
    }
}

static void size_refused(uint32_t as, uint64_t value, const char *part)
{
    file_begin();
    node_begin(1, "a", COLL);
    integer("comm_type", 0);
    attribute(&node, 10, "comm_size", as, value);
    node_end();
    save_rank(0);
    refused(2, part);
}

static void test_bad_integers(void)
{
    folder_make("bad-integers");
    size_refused(AS_INT64, (uint64_t)-5, "node 1 \"a\": attribute comm_size is -5");
    size_refused(AS_UINT64, UINT64_MAX, "no whole number");
    size_refused(AS_INT64, UINT64_C(1) << 62, "attribute comm_size is 4611686018427387904");
    file_begin();
    node_begin(1, "a", COLL);
    integer("comm_type", 0);
    attribute_text(&node, 10, "comm_size", "4 KiB");
    node_end();
    save_rank(0);
    refused(2, "attribute comm_size is no whole number");
    file_begin();
    node_begin(1, "a", COLL);
    integer("comm_type", 0);
    inner.count = 0;
    text(&inner, 1, "comm_size");
    fixed(&inner, 3, 0x4000000000000000, 8); /* the double 2.0 */
    bytes(&node, 10, inner.data, inner.count);
    node_end();
    save_rank(0);
    refused(2, "attribute comm_size is no whole number");
    file_begin();
    collective(1, "a", 5, 8);
    integer("root", 2);
    node_end();
    save_rank(0);
    refused(2, "root 2");
    file_begin();
    message(1, "a", SEND, 2, 8);
    node_end();
    save_rank(0);
    refused(2, "names rank 2");
}

/* Packed and unpacked lists, unknown fields, empty metadata, names without a value, long lengths. */
static void test_wire(void)
{
    folder_make("wire");
    file.count = 0;
    put(&file, 0); /* empty GlobalMetadata */
    compute(1, "a", 1);
    number(&node, 99, 5);
    text(&node, 100, "future");
    node_end();
    compute(2, "b", 1);
    number(&node, 5, 1);
    bytes(&node, 5, "\x01\x01", 2);
    inner.count = 0;
    text(&inner, 1, "inputs"); /* as STAGE writes it: a name alone */
    bytes(&node, 10, inner.data, inner.count);
    fixed(&node, 101, 1, 8);
    node_end();
    node_begin(3, "c", COMP);
    bytes(&node, 5, "\x01\x02", 2);
    varint(&file, node.count | 0);
    file.count--; /* the same length again, in three bytes */
    put(&file, (uint8_t)(node.count | 0x80));
    put(&file, 0x80);
    put(&file, 0);
    memcpy(file.data + file.count, node.data, node.count);
    file.count += node.count;
    save_rank(0);
    if (loads(1)) {
        CHECK_EQUAL(program_of(0)->op_count, 3);
        CHECK_EQUAL(program_of(0)->dep_count, 3);
        CHECK(waits(0, "c", "a") && waits(0, "c", "b") && waits(0, "b", "a"));
    }
}

static void test_gzip(void)
{
    folder_make("gzip");
    file_begin();
    collective(1, "ar", 0, 1024);
    node_end();
    for (uint32_t rank = 0; rank < 2; rank++) {
        gzFile stream = gzopen(in_folder("t.%u.et%s", rank, rank == 1 ? ".gz" : ""), "wb");
        gzwrite(stream, file.data, (unsigned)file.count);
        gzclose(stream);
    }
    if (loads(0)) {
        CHECK_EQUAL(job->rank_count, 2);
        CHECK_EQUAL(job->program_count, 1);
    }
    CHECK_EQUAL(truncate(in_folder("t.1.et.gz"), 40), 0);
    refused(0, "t.1.et.gz: gzip data are damaged or truncated");
}

/* ---- which files ------------------------------------------------------------------------------------- */

static void test_files(void)
{
    folder_make("files");
    file_begin();
    collective(1, "ar", 0, 1024);
    node_end();
    save_rank(0);
    if (loads(0)) { /* who names the set means its one rank */
        CHECK_EQUAL(job->rank_count, 1);
        CHECK_EQUAL(note_count("a group of one rank"), 1);
    }
    CHECK_EQUAL(read_with(in_folder("t.0.et"), 0, NULL, NULL), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "expected --ranks N");
    CHECK_EQUAL(read_with(in_folder("t.0.et"), 6, NULL, NULL), STATUS_OK);
    if (job != NULL) {
        CHECK_EQUAL(job->rank_count, 6);
        CHECK_EQUAL(job->program_count, 1);
        CHECK_EQUAL(job_group_size(job, job_group(job, 5, 0)), 6); /* all of them, not one */
        CHECK_EQUAL(note_count("whose file was given"), 5);
        CHECK_TEXT(job->name, "t");
    }
    save_rank(1);
    save_rank(3);
    refused(0, "t.2.et: rank file is missing; expected a file for every rank from 0 to 3");
    save_rank(2);
    CHECK_EQUAL(read_with(folder, 0, NULL, NULL), STATUS_OK);
    CHECK_EQUAL(read_with(in_folder("t"), 4, NULL, NULL), STATUS_OK);
    refused(8, "has files of 4 ranks, but --ranks is 8");
    save(in_folder("u.0.et"), file.data, file.count);
    CHECK_EQUAL(read_with(folder, 0, NULL, NULL), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "expected one of these prefixes behind the folder's name: t, u");
    CHECK_EQUAL(read_with(in_folder("nothing"), 0, NULL, NULL), STATUS_INPUT);
    folder_make("no-files");
    save_text("readme", "x");
    char spec[600];
    snprintf(spec, sizeof spec, "chakra_et:%s", folder);
    CHECK_EQUAL(read_with(spec, 0, NULL, NULL), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "holds no rank files");
}

/* A lone file may be any rank's; peers follow each rank. */
static void test_lone_messages(void)
{
    folder_make("lone");
    file_begin();
    message(1, "to", SEND, 4, 8);
    node_end();
    message(2, "from", RECV, 2, 8);
    node_end();
    save_rank(3);
    CHECK_EQUAL(read_with(in_folder("t.3.et"), 8, NULL, NULL), STATUS_OK);
    if (job != NULL) {
        CHECK_EQUAL(job_peer(job, 7, program_of(7), 0), 0);
        CHECK_EQUAL(job_peer(job, 0, program_of(0), 1), 7);
    }
}

static void content_refused(const void *data, size_t count, const char *part)
{
    save(in_folder("t.0.et"), data, count);
    char spec[600];
    snprintf(spec, sizeof spec, "chakra_et:%s", in_folder("t.0.et"));
    CHECK_EQUAL(read_with(spec, 2, NULL, NULL), STATUS_INPUT);
    CHECK_HOLDS(diag.text, part);
}

static void test_foreign(void)
{
    folder_make("foreign");
    static char tar[1024] = "chakra.0.et";
    memcpy(tar + 257, "ustar", 5);
    content_refused(tar, sizeof tar, "is a tar archive; unpack it first");
    content_refused("", 0, "is empty");
    content_refused("hello, world", 12, "t.0.et: record 0 at byte 0");
    save(in_folder("t.0.et"), tar, sizeof tar); /* found by content, too */
    CHECK_EQUAL(read_with(in_folder("t.0.et"), 2, NULL, NULL), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "is a tar archive");
}

static void test_empty_ranks(void)
{
    folder_make("idle");
    for (uint32_t rank = 0; rank < 3; rank++) {
        file_begin();
        if (rank != 1) {
            message(0, "m", rank == 0 ? SEND : RECV, 2 - rank, 8);
            node_end();
        }
        save_rank(rank);
    }
    if (loads(0)) {
        CHECK_EQUAL(program_of(1)->op_count, 0);
        CHECK_EQUAL(note_count("without a node"), 1);
    }
    file_begin();
    for (uint32_t rank = 0; rank < 3; rank++) {
        save_rank(rank);
    }
    refused(0, "no file of the set holds a node");
}

/* ---- damage ------------------------------------------------------------------------------------------ */

/* Something of everything, in few bytes. */
static void sample_file(void)
{
    file_begin();
    compute(3, "k", 7);
    ctrl_dep(9);
    node_end();
    collective(9, "ar", 0, 1024);
    data_dep(3);
    attribute_text(&node, 10, "pg_name", "0");
    node_end();
    node_begin(1, "m", METADATA);
    inner.count = 0;
    text(&inner, 1, "['[{\"pg_name\": \"1\", \"ranks\": [0, 1]}]']");
    bytes(&node, 8, inner.data, inner.count);
    node_end();
    message(12, "s", SEND, 1, 8);
    bytes(&node, 5, "\x03\x09", 2);
    node_end();
    message(13, "r", RECV, 1, 8);
    node_end();
}

/* Whatever the bytes are: a job, or one line. */
static enum status survives(const void *data, size_t count)
{
    save(in_folder("t.0.et"), data, count);
    char spec[600];
    snprintf(spec, sizeof spec, "chakra_et:%s", in_folder("t.0.et"));
    enum status status = read_with(spec, 2, NULL, NULL);
    CHECK(status == STATUS_OK || status == STATUS_INPUT);
    CHECK((status == STATUS_OK) == (job != NULL));
    return status;
}

static uint64_t random_next(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* ---- older schemas -------------------------------------------------------------------------------------- */

/* An attribute of then: the value in field `as`. */
static void old_attribute(const char *name, uint32_t as, uint64_t value)
{
    inner.count = 0;
    text(&inner, 1, name);
    number(&inner, 2, 1); /* its type */
    number(&inner, as, value);
    bytes(&node, 11, inner.data, inner.count);
}

static void old_begin(uint64_t id, const char *name, uint64_t type)
{
    node.count = 0;
    number(&node, 1, id);
    text(&node, 2, name);
    number(&node, 3, type);
}

/* Two ranks: 7 us of work, then an all-to-all of 4096 B, then rank 0 sends 100 B to rank 1. `shift` is what METADATA
 * moved the types by, `as` the field of integers, `a2a` the number of all-to-all. */
static void old_save(bool has_metadata, uint64_t shift, uint32_t as, uint64_t a2a)
{
    for (uint32_t rank = 0; rank < 2; rank++) {
        file.count = metadata.count = 0;
        if (has_metadata) {
            inner.count = 0;
            text(&inner, 1, "schema");
            bytes(&metadata, 1, inner.data, inner.count);
            record(&metadata);
        }
        old_begin(0, "work", 3 + shift);
        text(&node, 5, "[1, 2]"); /* inputs */
        old_attribute("runtime", as, 7);
        record(&node);
        old_begin(1, "all", 6 + shift);
        number(&node, 4, 0);
        old_attribute("comm_type", as, a2a);
        old_attribute("comm_size", as, 4096);
        record(&node);
        old_begin(2, "message", (rank == 0 ? 4 : 5) + shift);
        number(&node, 4, 0);
        number(&node, 4, 1);
        old_attribute(rank == 0 ? "comm_dst" : "comm_src", as, 1 - rank);
        old_attribute("comm_size", as, 100);
        old_attribute("comm_tag", as, 5);
        record(&node);
        save_rank(rank);
    }
}

static void old_eg_save(void)
{
    for (uint32_t rank = 0; rank < 2; rank++) {
        file.count = 0;
        old_begin(0, "work", 3);
        number(&node, 7, 7);
        number(&node, 12, 1000);
        record(&node);
        old_begin(1, "all", 6);
        number(&node, 4, 0);
        number(&node, 13, 2);
        number(&node, 14, 1);
        number(&node, 15, 0);
        number(&node, 18, 4096);
        record(&node);
        old_begin(2, "message", rank == 0 ? 4 : 5);
        bytes(&node, 4, "\x00\x01", 2); /* packed, too */
        number(&node, 16, 0);
        number(&node, 17, 1);
        number(&node, 18, 100);
        number(&node, 19, 5);
        record(&node);
        save_rank(rank);
    }
}

static void old_check(void)
{
    if (!loads(0)) {
        return;
    }
    for (uint32_t rank = 0; rank < 2; rank++) {
        const struct program *program = program_of(rank);
        CHECK_EQUAL(program->op_count, 3);
        CHECK_EQUAL(program->kind[0], OP_COMPUTE);
        CHECK_EQUAL(program->duration_ps[0], 7000000);
        CHECK_EQUAL(program->kind[1], OP_COLLECTIVE);
        CHECK_EQUAL(program->collective[1], COLLECTIVE_ALL_TO_ALL);
        CHECK_EQUAL(program->bytes[1], 4096);
        CHECK_EQUAL(program->kind[2], rank == 0 ? OP_SEND : OP_RECV);
        CHECK_EQUAL(program->bytes[2], 100);
        CHECK_EQUAL(program->tag[2], 5);
        CHECK_EQUAL(job_peer(job, rank, program, 2), 1 - rank);
        CHECK(waits(rank, "message", "work") && waits(rank, "message", "all") && waits(rank, "all", "work"));
    }
    CHECK_EQUAL(note_count("a schema before"), 6);
}

static void test_old_schemas(void)
{
    folder_make("old");
    old_eg_save();
    old_check();
    old_save(false, 0, 5, 1); /* v0.0.2 */
    old_check();
    old_save(false, 1, 6, 1); /* v0.0.3 */
    old_check();
    old_save(true, 1, 6, 1); /* with metadata */
    old_check();
    old_save(true, 1, 7, 1); /* signed integers in a field of their own */
    old_check();
    old_save(true, 1, 7, 4); /* broadcast came last */
    if (loads(0)) {
        CHECK_EQUAL(program_of(0)->collective[1], COLLECTIVE_BROADCAST);
    }
    old_save(true, 1, 7, 5);
    refused(0, "collective of an unknown comm_type");
    file.count = 0; /* a type means a computation to one and a memory access to another */
    node_begin(1, "a", 3);
    node_end();
    content_refused(file.data, file.count, "no node tells which");
    file.count = 0; /* metadata without a word, but attributes in field 11 */
    put(&file, 0);
    old_begin(1, "a", 7);
    old_attribute("comm_type", 6, 1);
    record(&node);
    content_refused(file.data, file.count, "collective without comm_size");
}

/* Cut and damaged, every schema. */
static void test_old_damage(void)
{
    folder_make("old-damage");
    uint64_t state = test_seed();
    for (uint32_t schema = 0; schema < 4; schema++) {
        schema == 0 ? old_eg_save() : old_save(schema == 3, schema > 1, schema == 1 ? 5 : 6, 1);
        struct buffer kept = file;
        for (size_t count = 0; count < kept.count; count++) {
            enum status status = survives(kept.data, count);
            CHECK(status == STATUS_OK || status == STATUS_INPUT);
        }
        for (uint32_t round = 0; round < 500; round++) {
            struct buffer changed = kept;
            for (uint32_t flips = 0; flips < 3; flips++) {
                changed.data[random_next(&state) % changed.count] = (uint8_t)random_next(&state);
            }
            enum status status = survives(changed.data, changed.count);
            CHECK(status == STATUS_OK || status == STATUS_INPUT);
        }
    }
}


static void test_truncation(void)
{
    folder_make("cut");
    sample_file();
    CHECK_EQUAL(survives(file.data, file.count), STATUS_OK);
    size_t loaded = 0;
    for (size_t count = 0; count < file.count; count++) {
        loaded += survives(file.data, count) == STATUS_OK;
    }
    CHECK(loaded <= 4); /* cuts between two records cannot be seen, but a message then lacks its partner */
    CHECK_EQUAL(survives(file.data, file.count - 1), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "it is truncated");
    static uint8_t huge[64];
    huge[0] = 0x07;
    memcpy(huge + 1,
           "\x0a\x05"
           "0.0.4",
           7);
    memcpy(huge + 8, "\xff\xff\xff\x0f", 4); /* a length of 32 MiB - 1 in a file of 64 bytes */
    CHECK_EQUAL(survives(huge, sizeof huge), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "record 1 at byte 8");
    memcpy(huge + 8, "\xff\xff\xff\xff\x0f", 5);
    CHECK_EQUAL(survives(huge, sizeof huge), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "longer than 32 MiB");
    memcpy(huge + 8, "\xff\xff\xff\xff\xff", 5);
    CHECK_EQUAL(survives(huge, sizeof huge), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "no number of 32 bits");
}

static void test_mutation(void)
{
    folder_make("mutation");
    uint64_t state = test_seed();
    sample_file();
    static uint8_t data[sizeof file.data];
    unsigned refusals = 0;
    for (unsigned round = 0; round < 3000; round++) {
        memcpy(data, file.data, file.count);
        size_t count = file.count;
        for (unsigned flips = 1 + (unsigned)(random_next(&state) % 4); flips > 0; flips--) {
            uint64_t draw = random_next(&state);
            size_t at = draw % count;
            if (draw >> 60 == 0) { /* lose a byte */
                memmove(data + at, data + at + 1, --count - at);
            } else if (draw >> 62 == 0) {
                data[at] = (uint8_t)(draw >> 32);
            } else {
                data[at] = (uint8_t)(data[at] ^ 1u << (draw >> 40 & 7));
            }
        }
        refusals += survives(data, count) == STATUS_INPUT;
    }
    CHECK(refusals > 1000 && refusals < 3000); /* else the damage is not where the meaning is */
}

/* ---- the writer -------------------------------------------------------------------------------------- */

static uint32_t op_add(struct job_builder *builder, struct op op, uint32_t on)
{
    static uint64_t ids;
    op.source_id = op.source_id != 0 ? op.source_id : ++ids;
    uint32_t id = job_builder_op(builder, &op);
    if (on != ID_NONE) {
        job_builder_dep(builder, id, on);
    }
    return id;
}

/* One rank of the job below: every kind of operation, sub-microsecond times, two groups, a root, streams. */
static void sample_rank(struct job_builder *builder, uint32_t rank, const uint32_t *groups)
{
    uint32_t pair = job_builder_slot(builder, rank, groups[rank / 2]);
    uint32_t world = job_builder_slot(builder, rank, groups[2]);
    job_builder_rank(builder, rank);
    uint32_t last =
        op_add(builder, (struct op){.kind = OP_COMPUTE, .duration_ps = 1499999, .name = "k", .source_id = 10},
               ID_NONE);
    last = op_add(builder, (struct op){.kind = OP_COMPUTE, .duration_ps = 3, .stream = 1, .source_id = 11},
                  last);
    last = op_add(
        builder,
        (struct op){
            .kind = OP_COMPUTE, .duration_ps = 5 * PS_PER_MS, .stream = 9, .source_id = 12, .name = "k"},
        ID_NONE);
    last = op_add(builder,
                  (struct op){.kind = OP_COLLECTIVE,
                              .collective = COLLECTIVE_ALL_GATHER,
                              .bytes = 1000,
                              .group_slot = pair,
                              .name = "ag",
                              .source_id = 13},
                  last);
    last = op_add(builder, (struct op){.kind = OP_MARKER, .name = "join", .source_id = 14}, last);
    op_add(builder,
           (struct op){.kind = OP_COLLECTIVE,
                       .collective = COLLECTIVE_BROADCAST,
                       .bytes = 0,
                       .root = 3,
                       .group_slot = world,
                       .name = "b",
                       .source_id = 15},
           last);
    op_add(builder,
           (struct op){
               .kind = OP_COLLECTIVE, .collective = COLLECTIVE_BARRIER, .group_slot = world, .source_id = 16},
           last);
    op_add(builder,
           (struct op){.kind = OP_SEND,
                       .bytes = UINT64_C(5) << 32,
                       .peer = (rank + 1) % 4,
                       .tag = 7,
                       .stream = 20,
                       .source_id = 17},
           last);
    op_add(
        builder,
        (struct op){
            .kind = OP_RECV, .bytes = UINT64_C(5) << 32, .peer = (rank + 3) % 4, .tag = 7, .source_id = 18},
        0);
    op_add(builder,
           (struct op){.kind = OP_MEMORY, .bytes = 64, .duration_ps = 77, .stream = 2, .source_id = 19}, 1);
}

static const struct job *sample_job(struct arena *job_arena)
{
    struct origin at = {.path = "test"};
    struct job_builder *builder = job_builder_new(job_arena, "sample", "test", 4);
    uint32_t groups[3];
    enum status status =
        job_builder_group(builder, "tp0", (const uint32_t[]){1, 0}, 2, at, &groups[0], &diag);
    status |= job_builder_group(builder, "tp1", (const uint32_t[]){3, 2}, 2, at, &groups[1], &diag);
    status |= job_builder_group(builder, "world", (const uint32_t[]){0, 1, 2, 3}, 4, at, &groups[2], &diag);
    for (uint32_t rank = 0; rank < 4; rank++) {
        sample_rank(builder, rank, groups);
        status |= job_builder_rank_end(builder, "test", &diag);
    }
    const struct job *made = NULL;
    job_builder_scale(builder, 0.125);
    status |= job_builder_finish(builder, &made, &diag);
    CHECK_EQUAL(status, STATUS_OK);
    return made;
}

static void jobs_equal(const struct job *a, const struct job *b)
{
    CHECK(a->scale == b->scale);
    CHECK_EQUAL(a->rank_count, b->rank_count);
    CHECK_EQUAL(a->program_count, b->program_count);
    for (uint32_t rank = 0; rank < a->rank_count && rank < b->rank_count; rank++) {
        const struct program *x = job_program(a, rank), *y = job_program(b, rank);
        CHECK_EQUAL(x->digest, y->digest);
        for (uint32_t op = 0; op < x->op_count && op < y->op_count; op++) {
            if (x->kind[op] == OP_COLLECTIVE) {
                uint32_t g = job_group(a, rank, x->group_slot[op]), h = job_group(b, rank, y->group_slot[op]);
                CHECK_EQUAL(job_group_size(a, g), job_group_size(b, h));
                CHECK_EQUAL(job_member_index(a, g, rank), job_member_index(b, h, rank));
            }
        }
    }
}

static void test_round_trip(void)
{
    folder_make("round");
    struct arena *own = arena_new("sample");
    const struct job *made = sample_job(own);
    char wrote[1200];
    enum status status = trace_writer_chakra_et.write(made, in_folder("t"), wrote, sizeof wrote, &diag);
    CHECK_EQUAL(status, STATUS_OK);
    CHECK_HOLDS(wrote, "t.0.et to ");
    if (loads(0)) {
        jobs_equal(made, job);
        CHECK_EQUAL(program_of(0)->duration_ps[0], 1499999);
    }
    CHECK_EQUAL(access(in_folder("t.4.et"), F_OK), -1);
    char output[512];
    CHECK_EQUAL(test_shell(output, sizeof output, "ls '%s' | tr '\\n' ' '", folder), 0);
    CHECK_TEXT(output, "t.0.et t.1.et t.2.et t.3.et t.json ");
    save(in_folder("t.4.et"), "", 0); /* of a larger set before */
    status = trace_writer_chakra_et.write(made, in_folder("t"), wrote, sizeof wrote, &diag);
    CHECK_EQUAL(status, STATUS_IO);
    CHECK_HOLDS(diag.text, "t.4.et: is left from a set of more ranks");
    status = trace_writer_chakra_et.write(made, in_folder("no/such/t"), wrote, sizeof wrote, &diag);
    CHECK_EQUAL(status, STATUS_IO);
    CHECK_HOLDS(diag.text, "cannot write");
    arena_free(own);
}

/* Every model with its defaults. */
static void test_round_trip_models(void)
{
    folder_make("models");
    for (const struct trace_preset *preset = trace_presets; preset->name != NULL; preset++) {
        struct arena *own = arena_new("model");
        const struct job *made = NULL;
        char wrote[1200];
        const struct trace_model *model;
        CHECK_EQUAL(trace_model_load(preset->name, own, &model, &diag), STATUS_OK);
        void *values = param_defaults(&model->params, own);
        static const char *const small[][2] = {{"pp", "2"}, {"layers", "4"}, {"micro_batches", "4"}, {"dp", "8"},
                                                {"ep", "1"}, {"virtual_stages", "1"}, {"schedule", "1f1b"},
                                                {"bucket", "1"}, {"zero", "1"}}; /* groups are then used in the order of slots */
        for (size_t i = 0; i < sizeof small / sizeof small[0]; i++) { /* the whole step is some gigabytes */
            CHECK_EQUAL(param_assign(&model->params, values, small[i][0], small[i][1],
                                     (struct origin){"test", 0, 0}, own, &diag),
                        STATUS_OK);
        }
        CHECK_EQUAL(model->generate(model, values, own, &made, &diag), STATUS_OK);
        CHECK_EQUAL(
            trace_writer_chakra_et.write(made, in_folder("%s", model->name), wrote, sizeof wrote, &diag),
            STATUS_OK);
        CHECK_EQUAL(read_with(in_folder("%s", model->name), 0, NULL, NULL), STATUS_OK);
        if (job != NULL) {
            jobs_equal(made, job);
        }
        arena_free(own);
    }
}

static bool has_bytes(const uint8_t *data, size_t count, const char *part, size_t part_bytes)
{
    for (size_t i = 0; i + part_bytes <= count; i++) {
        if (memcmp(data + i, part, part_bytes) == 0) {
            return true;
        }
    }
    return false;
}

/* What other programs see: whole microseconds, int64 sizes, pg_name "0" for all ranks. */
static void test_written_bytes(void)
{
    folder_make("written");
    struct arena *own = arena_new("pattern");
    const struct job *made;
    struct diag local;
    char wrote[1200];
    CHECK_EQUAL(
        trace_read("pattern:all_reduce,ranks=2,bytes=1MiB,compute=2600ns", 0, NULL, 0, own, &made, &local),
        STATUS_OK);
    CHECK_EQUAL(trace_writer_chakra_et.write(made, in_folder("t"), wrote, sizeof wrote, &local), STATUS_OK);
    uint8_t data[512];
    FILE *stream = fopen(in_folder("t.1.et"), "rb");
    size_t count = stream != NULL ? fread(data, 1, sizeof data, stream) : 0;
    CHECK(count > 30 && memcmp(data,
                               "\x07\x0a\x05"
                               "0.0.4",
                               8) == 0);
    CHECK(has_bytes(data, count, "\x18\x04\x38\x03", 4));           /* type COMP, 3 us */
    CHECK(has_bytes(data, count, "comm_type\x48\x00", 11));         /* int64 0 is written */
    CHECK(has_bytes(data, count, "comm_size\x48\x80\x80\x40", 13)); /* int64 */
    CHECK(has_bytes(data, count, "is_cpu_op\xd8\x01\x00", 12));     /* bool */
    CHECK(has_bytes(data, count,
                    "pg_name\xea\x01\x01"
                    "0",
                    11));                             /* string */
    CHECK(has_bytes(data, count, "\x2a\x01\x00", 3)); /* data_deps, packed */
    if (stream != NULL) {
        fclose(stream);
    }
    arena_free(own);
}

/* ---- published traces -------------------------------------------------------------------------------- */

static void test_corpus_ring(void)
{
    const char *path = test_corpus("traces/chakra/astra_custom_ring_8npus_1MB");
    if (path == NULL) {
        return;
    }
    CHECK_EQUAL(read_with(path, 0, NULL, NULL), STATUS_OK);
    if (job != NULL) {
        struct job_totals totals;
        job_totals(job, &totals);
        CHECK_EQUAL(job->rank_count, 8);
        CHECK_EQUAL(job->program_count, 1); /* relative peers make all ranks equal */
        CHECK_EQUAL(totals.ops[OP_SEND], 8 * 14);
        CHECK_EQUAL(totals.ops[OP_RECV], 8 * 14);
        CHECK_EQUAL(totals.ops[OP_COMPUTE], 8 * 7);
        CHECK_EQUAL(totals.message_bytes, UINT64_C(8) * 14 * 131072);
        CHECK_EQUAL(totals.compute_ps, 8 * 7 * 7 * PS_PER_US);
    }
}

static void test_corpus_microbench(void)
{
    static const struct {
        const char *path;
        enum collective_kind kind;
    } sets[] = {
        {"traces/chakra/astra_microbench/all_gather_8npus_1MB", COLLECTIVE_ALL_GATHER},
        {"traces/chakra/astra_microbench/all_reduce_8npus_1MB/all_reduce", COLLECTIVE_ALL_REDUCE},
        {"traces/chakra/astra_microbench/all_to_all_8npus_1MB", COLLECTIVE_ALL_TO_ALL},
        {"traces/chakra/astra_microbench/reduce_scatter_8npus_1MB/", COLLECTIVE_REDUCE_SCATTER},
        {"traces/chakra/astra_feederv3_branch", COLLECTIVE_ALL_REDUCE},
    };
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        const char *corpus = getenv("PHOTONET_CORPUS");
        if (test_corpus("traces/chakra") == NULL) {
            return;
        }
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", corpus, sets[i].path);
        CHECK_EQUAL(read_with(path, 0, NULL, NULL), STATUS_OK);
        if (job != NULL) {
            struct job_totals totals;
            job_totals(job, &totals);
            CHECK_EQUAL(job->rank_count, 8);
            CHECK_EQUAL(totals.collective_ops[sets[i].kind], 8);
            CHECK_EQUAL(totals.collective_bytes[sets[i].kind], 8 << 20);
        }
    }
}

static void test_corpus_stage(void)
{
    const char *path = test_corpus("traces/chakra/stage_llama_dp2tp2pp2");
    if (path == NULL) {
        return;
    }
    CHECK_EQUAL(read_with(path, 0, NULL, NULL), STATUS_OK);
    if (job == NULL) {
        return;
    }
    struct job_totals totals;
    job_totals(job, &totals);
    CHECK_EQUAL(totals.ops[OP_COLLECTIVE], 8 * 90);
    CHECK_EQUAL(totals.ops[OP_COMPUTE], 4 * 250 + 4 * 258);
    CHECK_EQUAL(totals.message_bytes, 8 * 4 * 262144 * 2);
    CHECK(totals.compute_ps > 0);
    CHECK_EQUAL(note_count("count elements"), 8 * (90 + 4 + 4));
    CHECK_EQUAL(job->program_count, 2);
    folder_make("stage"); /* and back */
    struct arena *kept = arena;
    const struct job *first = job;
    arena = NULL;
    char wrote[1200];
    CHECK_EQUAL(trace_writer_chakra_et.write(first, in_folder("t"), wrote, sizeof wrote, &diag), STATUS_OK);
    if (loads(0)) {
        jobs_equal(first, job);
    }
    arena_free(kept);
}

static void test_corpus_pytorch(void)
{
    const char *archive = test_corpus("traces/chakra/mlcommons_tests/feeder_tests_trace.tar.gz");
    if (archive == NULL) {
        return;
    }
    CHECK_EQUAL(read_with(archive, 0, NULL, NULL), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "is a tar archive; unpack it first");
    folder_make("pytorch");
    char output[512];
    CHECK_EQUAL(
        test_shell(output, sizeof output, "tar -xzf '%s' -C '%s' --strip-components=2", archive, folder), 0);
    CHECK_EQUAL(read_with(in_folder("chakra"), 8, NULL, NULL), STATUS_OK);
    if (job == NULL) {
        return;
    }
    struct job_totals totals;
    job_totals(job, &totals);
    CHECK_EQUAL(program_of(0)->op_count, 3664);
    CHECK_EQUAL(totals.ops[OP_COMPUTE], 8 * 3643);
    CHECK_EQUAL(totals.ops[OP_COLLECTIVE], 8 * 7);
    CHECK_EQUAL(totals.ops[OP_MARKER], 8 * 14);
    CHECK_EQUAL(totals.collective_bytes[COLLECTIVE_BROADCAST], 8 * (212480 + 424));
    CHECK_EQUAL(note_count("CPU-side duplicates"), 14);
    CHECK_EQUAL(note_count("control dependencies"), 3664);
    CHECK_EQUAL(note_count("compute nodes on the CPU"), 2434);
    CHECK_EQUAL(read_with(in_folder("chakra"), 8, "deps", "both"), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "cycle");
}

static void test_corpus_refused(void)
{
    static const char *const archives[] = {"traces/chakra/mlcommons_tests/json_trace.tar.gz",
                                           "traces/chakra/mlcommons_tests/1.0.2-chakra.0.0.4.tgz"};
    for (size_t i = 0; i < 2; i++) {
        const char *path = test_corpus(archives[i]);
        if (path == NULL) {
            return;
        }
        CHECK_EQUAL(read_with(path, 0, NULL, NULL), STATUS_INPUT);
        CHECK_HOLDS(diag.text, "is a tar archive; unpack it first");
    }
}

TEST_MAIN("chakra", TEST(test_omitted_zeros), TEST(test_ids), TEST(test_ids_of_every_spread), TEST(test_equal_tags), TEST(test_ctrl_deps),
          TEST(test_data_deps), TEST(test_missing_attributes), TEST(test_cpu_duplicates),
          TEST(test_group_file), TEST(test_group_world), TEST(test_group_metadata), TEST(test_group_number),
          TEST(test_elements), TEST(test_durations), TEST(test_start_times), TEST(test_integer_kinds), TEST(test_bad_integers),
          TEST(test_wire), TEST(test_gzip), TEST(test_files), TEST(test_lone_messages), TEST(test_foreign),
          TEST(test_old_schemas), TEST(test_old_damage), TEST(test_empty_ranks), TEST(test_truncation), TEST(test_mutation),
          TEST(test_round_trip), TEST(test_round_trip_models), TEST(test_written_bytes),
          TEST(test_corpus_ring), TEST(test_corpus_microbench), TEST(test_corpus_stage),
          TEST(test_corpus_pytorch), TEST(test_corpus_refused))
