/* photonet bench: how fast this machine is, with the yardsticks beside. */
#include "netsim/bench.h"
#include "netsim/cli.h"
#include "netsim/engine/engine.h"
#include "photonet/units.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    json_t *(*run)(const struct bench_request *request);
} benches[] = {
    {"queue", bench_queue},
    {"engine", bench_engine},
    {"read", bench_read},
};
enum { BENCH_COUNT = sizeof benches / sizeof benches[0], OPT_FORMAT = 256, OPT_SIMD, OPT_ROUNDS, OPT_PENDING, OPT_RADIX,
       OPT_TRACE, OPT_RANKS };

static const struct argp_option options[] = {
    {"format", OPT_FORMAT, "table|json", 0, "what is printed (default: table)", 0},
    {"simd", OPT_SIMD, "BODY", 0, "one body only: scalar neon avx2 avx512 (default: each that runs here)", 0},
    {"rounds", OPT_ROUNDS, "N", 0, "rounds that the medians are of (default: 5)", 0},
    {"pending", OPT_PENDING, "N", 0, "queue: one number of pending events only (default: 10^3 to 10^6)", 0},
    {"radix", OPT_RADIX, "N", 0, "engine: trees of switches with so many ports only (default: 16 and 32)", 0},
    {"trace", OPT_TRACE, "SPEC", 0, "read: this trace (default: traces made for the purpose)", 0},
    {"ranks", OPT_RANKS, "N", 0, "read: ranks of that trace (default: as it says)", 0},
    {0},
};

struct arguments {
    struct diag *diag;
    struct bench_request request;
    uint32_t bench; /* BENCH_COUNT: none yet */
    bool is_json;
};

static error_t usage(struct arguments *arguments, const char *what, const char *text, const char *expected)
{
    return cli_usage(arguments->diag, what, text, expected);
}

static error_t count_parse(struct arguments *arguments, const char *option, const char *text, uint64_t high,
                           uint64_t *value)
{
    char why[256];
    if (!quantity_parse_u64(QUANTITY_COUNT, text, value, why) || *value < 1 || *value > high) {
        snprintf(why, sizeof why, "a whole number from 1 to %" PRIu64, high);
        return usage(arguments, option, text, why);
    }
    return 0;
}

static error_t bench_parse(struct arguments *arguments, const char *text)
{
    if (arguments->bench < BENCH_COUNT) {
        return usage(arguments, "bench", text, "one benchmark");
    }
    for (arguments->bench = 0; arguments->bench < BENCH_COUNT; arguments->bench++) {
        if (strcmp(text, benches[arguments->bench].name) == 0) {
            return 0;
        }
    }
    return usage(arguments, "bench", text, "queue, engine or read");
}

static error_t option_parse(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    uint64_t rounds = 0;
    error_t error;
    switch (key) {
    case OPT_FORMAT:
        return cli_format_parse(text, &arguments->is_json, arguments->diag);
    case OPT_SIMD:
        arguments->request.is_simd_given = true;
        return simd_parse(text, &arguments->request.simd, arguments->diag) == STATUS_OK ? 0 : EINVAL;
    case OPT_ROUNDS:
        error = count_parse(arguments, "--rounds", text, 99, &rounds);
        arguments->request.round_count = (uint32_t)rounds;
        return error;
    case OPT_PENDING:
        return count_parse(arguments, "--pending", text, 100000000, &arguments->request.pending);
    case OPT_RADIX:
        error = count_parse(arguments, "--radix", text, 64, &rounds);
        if (error == 0 && (rounds < 4 || rounds % 2 != 0)) {
            return usage(arguments, "--radix", text, "an even number from 4 to 64");
        }
        arguments->request.radix = (uint32_t)rounds;
        return error;
    case OPT_TRACE:
        arguments->request.trace = text;
        return 0;
    case OPT_RANKS:
        error = count_parse(arguments, "--ranks", text, 1048576, &rounds);
        arguments->request.ranks = (uint32_t)rounds;
        return error;
    case ARGP_KEY_ARG:
        return bench_parse(arguments, text);
    case ARGP_KEY_NO_ARGS:
        diag_set(arguments->diag, STATUS_USAGE, "bench: queue, engine or read was expected behind it");
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* "model name" of the first processor, and how many there are. */
static void machine_name(char *text, size_t text_bytes)
{
    char line[512], model[256] = "unknown processor";
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "model name : %255[^\n]", model) == 1) {
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    snprintf(text, text_bytes, "%s, %ld processors", model, sysconf(_SC_NPROCESSORS_ONLN));
}

static int value_print(char *text, size_t text_bytes, const json_t *value)
{
    if (json_is_integer(value)) {
        return snprintf(text, text_bytes, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    }
    if (json_is_real(value)) {
        return snprintf(text, text_bytes, "%.2f", json_real_value(value));
    }
    return snprintf(text, text_bytes, "%s", json_string_value(value));
}

/* Columns in the order of the first row, as wide as what is in them, numbers to the right. */
static void rows_print(json_t *rows)
{
    const char *key;
    json_t *first, *row, *value;
    size_t index;
    char text[256];
    for (int32_t line = -1; line < (int32_t)json_array_size(rows); line++) {
        json_object_foreach(json_array_get(rows, 0), key, first) {
            int width = (int)strlen(key);
            json_array_foreach(rows, index, row) {
                int needed = value_print(text, sizeof text, json_object_get(row, key));
                width = needed > width ? needed : width;
            }
            value = json_object_get(json_array_get(rows, (size_t)(line < 0 ? 0 : line)), key);
            value_print(text, sizeof text, value);
            printf("%*s  ", json_is_string(value) ? -width : width, line < 0 ? key : text);
        }
        printf("\n");
    }
}

static void result_print(const struct arguments *arguments, json_t *rows)
{
    char machine[512];
    machine_name(machine, sizeof machine);
    if (!arguments->is_json) {
        printf("%s\n%s\nphotonet %s (%s); medians of %" PRIu32 "\n\n", machine, photonet_compiler, photonet_version,
               photonet_commit, arguments->request.round_count);
        rows_print(rows);
        json_decref(rows);
        if (benches[arguments->bench].run == bench_engine && engine_reference == NULL) {
            printf("\nThe reference engine is not part of this program; `make bench` quotes it too.\n");
        }
        return;
    }
    json_t *document = json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:o}", "bench", benches[arguments->bench].name,
                                 "machine", machine, "compiler", photonet_compiler, "version", photonet_version,
                                 "commit", photonet_commit, "rounds", (int)arguments->request.round_count, "rows",
                                 rows);
    json_dumpf(document, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
    printf("\n");
    json_decref(document);
}

enum status command_bench(int argc, char **argv, struct diag *diag)
{
    static const struct argp argp = {
        options, option_parse, "queue|engine|read", "Measures parts of the simulator beside yardsticks, in the same run.", NULL,
        NULL, NULL};
    struct arguments arguments = {.diag = diag, .request.round_count = 5, .bench = BENCH_COUNT};
    bool is_done = false;
    enum status status = cli_parse(&argp, argc, argv, &arguments, &is_done, diag);
    if (status != STATUS_OK || is_done) {
        return status;
    }
    arguments.request.diag = diag;
    diag->text[0] = '\0';
    json_t *rows = benches[arguments.bench].run(&arguments.request);
    if (diag->text[0] != '\0') {
        json_decref(rows);
        return STATUS_INPUT;
    }
    result_print(&arguments, rows);
    return STATUS_OK;
}
