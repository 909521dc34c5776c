/* The benchmarks' own soundness: the event queue, two heaps and the C library's tree give up the same million events
 * in the same order, the rows have the columns that are promised; a reading of a trace is told by the process that made it. Not asserted:
 * any speed. */
#include "netsim/bench.h"
#include "tests/check.h"

static void test_queue_rows(void)
{
    struct bench_request request = {.round_count = 1, .pending = 300};
    json_t *rows = bench_queue(&request), *row;
    const char *case_name = "", *digest = "";
    size_t index, compared = 0;
    json_array_foreach(rows, index, row) {
        const char *structure = json_string_value(json_object_get(row, "structure"));
        CHECK(json_real_value(json_object_get(row, "ns_per_hold")) > 0);
        CHECK(json_string_value(json_object_get(row, "simd")) != NULL);
        if (strcmp(structure, "loop_alone") == 0 || strcmp(structure, "dependent_loads_64MiB") == 0) {
            continue; /* no set of events */
        }
        CHECK_EQUAL(json_integer_value(json_object_get(row, "pending")), 300);
        if (strcmp(case_name, json_string_value(json_object_get(row, "case"))) == 0) {
            CHECK_TEXT(json_string_value(json_object_get(row, "digest")), digest);
            compared++;
        }
        case_name = json_string_value(json_object_get(row, "case"));
        digest = json_string_value(json_object_get(row, "digest"));
    }
    CHECK(compared >= 6); /* two laws of delay; four sets at least */
    json_decref(rows);
}

/* Sixteen hosts send all they may; a packet takes 20 bytes on a link (its two words and a key), and more in a queue. */
static void test_engine_rows(void)
{
    struct bench_request request = {.round_count = 1, .radix = 4};
    json_t *rows = bench_engine(&request), *row;
    size_t index, permutations = 0;
    json_array_foreach(rows, index, row) {
        const char *case_name = json_string_value(json_object_get(row, "case"));
        CHECK(json_real_value(json_object_get(row, "ns_per_hop")) > 0);
        CHECK(json_is_integer(json_object_get(row, "rss_bytes")));
        if (strstr(case_name, "window") == NULL) {
            continue;
        }
        json_int_t packets = json_integer_value(json_object_get(row, "packets_in_flight"));
        bool is_one = strstr(case_name, "one flow") != NULL, has_endpoints = strstr(case_name, "endpoints") != NULL;
        CHECK_EQUAL(json_integer_value(json_object_get(row, "hosts")), 16);
        CHECK(packets <= (is_one ? 80 : has_endpoints ? 2000 : 16 * 80));
        CHECK(packets > (is_one ? 40 : 16 * 40));
        CHECK(json_real_value(json_object_get(row, "bytes_per_packet")) > 20);
        permutations += !is_one;
    }
    CHECK(permutations >= 9);
    json_decref(rows);
}

/* What a process of its own has read comes back, with its peak; a refusal too. */
static void test_read_row(void)
{
    struct test_diag_row {
        const char *spec;
        const char *refusal; /* NULL: there is a row */
    } rows[] = {{"pattern:ring_allreduce,ranks=8,bytes=1MiB,count=1000", NULL},
                {"/no/such/trace", "/no/such/trace"}};
    for (size_t i = 0; i < 2; i++) {
        struct diag diag = {0};
        struct bench_request request = {.round_count = 2, .trace = rows[i].spec, .diag = &diag};
        json_t *list = bench_read(&request), *row = json_array_get(list, 0);
        CHECK_EQUAL(json_array_size(list), rows[i].refusal == NULL ? 1u : 0u);
        CHECK_EQUAL(strstr(diag.text, rows[i].refusal == NULL ? "?" : rows[i].refusal) != NULL, rows[i].refusal != NULL);
        if (row != NULL) {
            CHECK_TEXT(json_string_value(json_object_get(row, "format")), "pattern");
            CHECK(json_integer_value(json_object_get(row, "operations")) >= 1000);
            CHECK(json_real_value(json_object_get(row, "MB_per_s_max")) >=
                  json_real_value(json_object_get(row, "MB_per_s")));
        }
        json_decref(list);
    }
}

TEST_MAIN("bench", TEST(test_queue_rows), TEST(test_engine_rows), TEST(test_read_row))
