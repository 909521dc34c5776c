/* Every row of traces/formats.def stands the same trials; a new row needs a sample here, or this test fails.
 * Asserted: the sample is found by its content and loads; cut after every byte, damaged at random, empty, a
 * folder: it loads or is refused in one line, by its own reader and by whichever the content says; gzipped it
 * is the same job (where HDF5 does not need it plain); text may have CRLF, tabs for blanks and no last
 * newline. Not asserted: what a format means, which is for the tests of each. */
#include "tests/trace_check.h"

#include "netsim/base/rng.h"

#include <sys/stat.h>

enum { TEXT = 1, GZIP = 2, TABS = 4 };

static const struct sample {
    const char *format, *name, *text; /* NULL: what the writer of this name makes of a pattern */
    uint32_t ranks;
    int kind;
} samples[] = {
    {"job", "s.job", NULL, 0, 0},
    {"chakra_et", "s.0.et", NULL, 2, GZIP},
    {"chakra_json", "s.0.json",
     "{\"workload_graph\": [\n {\"Id\": 1, \"Name\": \"a\", \"NodeType\": 4, \"runtime\": 5},\n"
     " {\"Id\": 2, \"Name\": \"b\", \"NodeType\": 7, \"comm_type\": 0, \"comm_size\": 64, \"data_deps\": "
     "[1]}\n]}\n",
     2, TEXT | GZIP},
    {"goal", "s.goal",
     "num_ranks 2\nrank 0 {\nl1: calc 100 cpu 1\nl2: send 10b to 1 tag 5\nl2 requires l1\n}\nrank 1 {\n"
     "l1: recv 10b from 0 tag 5\n}\n",
     0, TEXT | GZIP},
    {"goal_bin", "s.bin", NULL, 0, GZIP},
    {"htsim_cm", "s.cm", "Nodes 4\nConnections 2\n0->0 id 1 start 0 size 5\n1->2 id 2 start 7 size 2000000\n",
     0, TEXT | GZIP},
    {"smpi_ti", "s.txt",
     "0 init\n1 init\n0 compute 1e6\n0 send 1 7 100\n1 recv 0 7 100\n0 allreduce 4 5 6\n"
     "1 allreduce 4 5 6\n0 finalize\n1 finalize\n",
     0, TEXT | GZIP},
    {"simai_text", "s.txt",
     "HYBRID_TRANSFORMER_FWD_IN_BCKWD model_parallel_NPU_group: 2 ep: 1 pp: 1 vpp: 1 ga: 1 all_gpus: 4 "
     "checkpoints: 0 "
     "checkpoint_initiates: 0\n1\nlayer -1 10 ALLREDUCE 100 20 ALLREDUCE 200 30 ALLREDUCE 5000000000 0\n",
     0, TEXT | GZIP | TABS},
    {"astra_text", "s.txt",
     "DATA\n2\na -1 10 NONE 0 20 NONE 0 30 ALLREDUCE 5000000000 0\nb -1 11 NONE 0 21 NONE 0 31 NONE 0 0\n", 4,
     TEXT | GZIP | TABS},
    {"aicb_csv", "s.csv",
     "[rank0 ~ rank3]\n"
     "comm_type,comm_group,comm_group_size,msg_size,stage,dst,src,additional,_elapsed_time,algbw,busbw,"
     "count\n"
     "CommType.all_reduce,CommGroup.tp_group,2,5000000000,forward,None,None,,None,None,None,2\n"
     "CommType.all_gather,CommGroup.dp_group,2,10,init,None,None,,None,None,None,1\n",
     0, TEXT | GZIP},
    {"flows_csv", "s.csv", "src,dst,bytes,start\n0,1,2000000B,0ns\n2,2,5B,1us\n", 0, TEXT | GZIP},
};

static const struct {
    const char *format, *spec;
} synthetic[] = {
    {"pattern", "pattern:all_reduce,ranks=4,bytes=1MiB,count=2,compute=5us"},
    {"model", "model:llama3-8b,tp=2,pp=1,dp=1,layers=1,micro_batches=1"},
};

/* The bytes of a sample, in the test's folder under its name. */
static char *sample_load(const struct sample *sample, size_t *count, const char **path)
{
    static char named[1024];
    if (sample->text != NULL) {
        *count = strlen(sample->text);
        *path = trace_text(sample->name, sample->text);
        return strdup(sample->text);
    }
    char prefix[1000], wrote[4352];
    struct diag diag = {""};
    struct arena *arena = arena_new("test");
    const struct job *job = NULL;
    snprintf(prefix, sizeof prefix, "%s/s", test_directory());
    const char *pattern = strcmp(sample->format, "chakra_et") == 0
                              ? "pattern:all_reduce,ranks=1,bytes=64B,compute=1us"
                              : "pattern:ring,ranks=3,bytes=64B,compute=1us";
    CHECK_EQUAL(trace_read(pattern, 0, NULL, 0, arena, &job, &diag), STATUS_OK);
    for (const struct trace_writer *const *writer = trace_writers; *writer != NULL; writer++) {
        if (strcmp((*writer)->name, sample->format) == 0) {
            CHECK_EQUAL((*writer)->write(job, prefix, wrote, sizeof wrote, &diag), STATUS_OK);
        }
    }
    arena_free(arena);
    snprintf(named, sizeof named, "%s/%s", test_directory(), sample->name);
    *path = named;
    FILE *file = fopen(named, "rb");
    char *bytes = malloc(1 << 20);
    *count = file == NULL ? 0 : fread(bytes, 1, 1 << 20, file);
    CHECK(*count > 0 && *count < 1 << 20);
    fclose(file);
    return bytes;
}

static const struct sample *sample_of(const char *format)
{
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        if (strcmp(samples[i].format, format) == 0) {
            return &samples[i];
        }
    }
    return NULL;
}

/* As the format's own reader is asked, and as whoever looks at the content. */
static void each_way(const struct sample *sample, const char *name, const void *bytes, size_t count)
{
    char prefix[64];
    snprintf(prefix, sizeof prefix, "%s:", sample->format);
    if (count < 4096) {
        trace_cut_everywhere(prefix, name, bytes, count, sample->ranks, NULL);
        trace_cut_everywhere("", name, bytes, count, sample->ranks, NULL);
    }
    trace_damage(prefix, name, bytes, count, sample->ranks, NULL, 1000);
    trace_damage("", name, bytes, count, sample->ranks, NULL, 300);
}

/* Other line ends and blanks: the same job. */
static void text_variants(const struct sample *sample, const char *text)
{
    char changed[4096];
    size_t used = 0;
    for (const char *at = text; *at != '\0' && used + 3 < sizeof changed; at++) {
        if (*at == '\n') {
            changed[used++] = '\r';
        }
        changed[used++] = *at == ' ' && (sample->kind & TABS) != 0 ? '\t' : *at;
    }
    CHECK(trace_loads(trace_file(sample->name, changed, used), sample->ranks, NULL, sample->format));
    CHECK(trace_loads(trace_file(sample->name, text, strlen(text) - 1), sample->ranks, NULL, sample->format));
}

static void format_check(const struct trace_format *format)
{
    const struct sample *sample = sample_of(format->name);
    CHECK(sample != NULL); /* a row without a sample */
    if (sample == NULL) {
        printf(" no sample of %s ...", format->name);
        return;
    }
    size_t count;
    const char *path;
    char *bytes = sample_load(sample, &count, &path);
    CHECK(trace_loads(path, sample->ranks, NULL, format->name));
    if ((sample->kind & GZIP) != 0) {
        trace_same_gzipped(sample->name, bytes, count, sample->ranks, NULL);
    }
    if ((sample->kind & TEXT) != 0) {
        text_variants(sample, bytes);
    }
    each_way(sample, sample->name, bytes, count);
    char spec[1200];
    snprintf(spec, sizeof spec, "%s:%s", format->name, trace_file("empty", "", 0));
    CHECK_EQUAL(trace_read_with(spec, 2, NULL), STATUS_INPUT);
    snprintf(spec, sizeof spec, "%s:%s/folder", format->name, test_directory());
    mkdir(spec + strlen(format->name) + 1, 0777);
    CHECK_EQUAL(trace_read_with(spec, 2, NULL), STATUS_INPUT);
    CHECK_HOLDS(trace_test.diag.text, format->is_set ? "no rank files" : "is a folder; ");
    free(bytes);
}

/* Descriptions: cut everywhere, letters changed. */
static void synthetic_check(const struct trace_format *format)
{
    const char *spec = NULL;
    char changed[256];
    uint64_t seed = test_seed();
    for (size_t i = 0; i < sizeof synthetic / sizeof synthetic[0]; i++) {
        spec = strcmp(synthetic[i].format, format->name) == 0 ? synthetic[i].spec : spec;
    }
    CHECK(spec != NULL);
    if (spec == NULL || trace_read_with(spec, 0, NULL) != STATUS_OK) {
        CHECK(spec == NULL);
        printf(" no sample of %s ...", format->name);
        return;
    }
    size_t head = strlen(format->name) + 1, count = strlen(spec);
    for (size_t length = head; length < count; length++) {
        snprintf(changed, length + 1, "%s", spec);
        enum status status = trace_read_with(changed, 0, NULL);
        CHECK(status == STATUS_OK || status == STATUS_INPUT);
    }
    for (uint64_t trial = 0; trial < 300;
         trial++) { /* no digits: a larger model is no mistake, but takes long */
        static const char letters[] = "abkimMGBxyz=,.: _-";
        snprintf(changed, sizeof changed, "%s", spec);
        size_t at = head + rng_below(rng_draw(seed, trial, 0), (uint32_t)(count - head));
        changed[at] = letters[rng_below(rng_draw(seed, trial, 1), sizeof letters - 1)];
        bool is_long = strpbrk(changed, "GT") != NULL;
        enum status status = is_long ? STATUS_INPUT : trace_read_with(changed, 0, NULL);
        CHECK(status == STATUS_OK || status == STATUS_INPUT);
    }
}

static void test_every_format(void)
{
    for (const struct trace_format *const *format = trace_formats; *format != NULL; format++) {
        (*format)->probe == NULL ? synthetic_check(*format) : format_check(*format);
    }
}

TEST_MAIN("formats", TEST(test_every_format))
