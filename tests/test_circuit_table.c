/* What a run says of its circuits and of the cells that crossed them, read back from the result file.
 *
 * Asserted: how long each circuit was lit, of fixed schedules by a walk over their windows, of circuits that a controller sets by
 * the time that is left beside its changes; how often they were set; cells, their padding, and what it costs. */
#include "analysis/reader.h"
#include "netsim/fabric_load.h"
#include "netsim/run.h"
#include "tests/check.h"
#include "tests/support_run.h"

struct table {
    struct arena *arena;
    struct reader *reader;
    const struct reader_run *run;
};

/* `settings` is "key=value key=value". */
static struct table table_of(const char *trace, const char *fabric, const char *settings)
{
    static uint32_t number;
    struct table table = {.arena = arena_new("test")};
    struct trace_setting sets[SETTINGS_MAX];
    struct run_request request = whole_request(trace, fabric);
    const struct job *job = NULL;
    struct results *results;
    struct run_result result;
    struct diag diag = {""};
    size_t count;
    char *path = arena_printf(table.arena, "%s/circuits%u.h5", test_directory(), number++);
    request.settings = sets;
    request.setting_count = settings_split(table.arena, settings, sets);
    enum status status = run_read(&request, table.arena, &job, &diag);
    status = status == STATUS_OK ? results_create(path, false, table.arena, &results, &diag) : status;
    status = status == STATUS_OK ? run_job(&request, job, results, table.arena, &result, &diag) : status;
    status = status == STATUS_OK ? results_close(results, &diag) : status;
    status = status == STATUS_OK ? reader_open(path, table.arena, &table.reader, &diag) : status;
    if (status != STATUS_OK) {
        printf("%s\n", diag.text);
        exit(1); /* what follows would read a file that is not there */
    }
    table.run = reader_runs(table.reader, &count);
    return table;
}

static void *rows_of(const struct table *table, enum result_table which, size_t *count)
{
    void *rows = NULL;
    struct diag diag = {""};
    CHECK_EQUAL(reader_table(table->run, which, table->arena, &rows, count, &diag), STATUS_OK);
    return rows;
}

static void table_close(struct table *table)
{
    reader_close(table->reader);
    arena_free(table->arena);
}

/* Every window of every round. The first round has what is left of the last window of the one before. *first_ps: when it first
 * is open; *sets: windows. */
static uint64_t walked_open_ps(const struct fabric *fabric, uint32_t port, uint64_t until_ps, uint64_t *first_ps, uint64_t *sets)
{
    const struct gate *gate = &fabric->gates[fabric->port_gate[port]];
    uint64_t sum_ps = 0;
    for (uint64_t round_ps = 0; round_ps <= until_ps + gate->period_ps; round_ps += gate->period_ps) {
        for (uint32_t i = 0; i < gate->window_count; i++) {
            const struct gate_window *window = &fabric->gate_windows[gate->window_first + i];
            uint64_t open_ps = window->open_ps + round_ps, close_ps = window->close_ps + round_ps; /* a period too late */
            uint64_t from_ps = open_ps > gate->period_ps ? open_ps - gate->period_ps : 0;
            uint64_t end_ps = close_ps > gate->period_ps ? close_ps - gate->period_ps : 0;
            end_ps = end_ps < until_ps ? end_ps : until_ps;
            sum_ps += end_ps > from_ps ? end_ps - from_ps : 0;
            *sets += end_ps > from_ps;
            *first_ps = end_ps > from_ps && from_ps < *first_ps ? from_ps : *first_ps;
        }
    }
    return sum_ps;
}

static void fixed_is_lit(const char *spec, const char *settings, const char *trace)
{
    struct table table = table_of(trace, spec, settings);
    struct trace_setting sets[SETTINGS_MAX];
    struct fabric_config config;
    struct diag diag = {""};
    size_t set_count = settings_split(table.arena, settings, sets);
    CHECK_EQUAL(fabric_load(spec, sets, set_count, 16, table.arena, &config, &diag), STATUS_OK);
    uint64_t makespan_ps = table.run->summary.makespan_ps, shortest_ps = UINT64_MAX, longest_ps = 0, all_sets = 0;
    size_t count;
    struct result_circuits *rows = rows_of(&table, RESULT_TABLE_circuits, &count);
    CHECK(count > 10);
    for (size_t i = 0; i < count; i++) {
        uint64_t first_ps = UINT64_MAX, windows = 0;
        CHECK_EQUAL(rows[i].lit_ps, walked_open_ps(config.fabric, rows[i].port_a, makespan_ps, &first_ps, &windows));
        CHECK_EQUAL(rows[i].usable_from_ps, first_ps);
        CHECK_EQUAL(rows[i].usable_until_ps, makespan_ps);
        CHECK_EQUAL(rows[i].set_count, windows);
        all_sets += windows;
        shortest_ps = rows[i].lit_ps < shortest_ps ? rows[i].lit_ps : shortest_ps;
        longest_ps = rows[i].lit_ps > longest_ps ? rows[i].lit_ps : longest_ps;
    }
    CHECK(shortest_ps < longest_ps); /* the run ends inside a round */
    CHECK_EQUAL(table.run->summary.reconfiguration_count, all_sets);
    table_close(&table);
}

static void test_fixed_schedules(void)
{
    const char *trace = "pattern:alltoall,ranks=16,bytes=1MiB";
    fixed_is_lit("rotor", "tors=16 hosts_per_tor=1 rotors=3", trace);
    fixed_is_lit("rotor", "tors=16 hosts_per_tor=1 rotors=3 slot=30us dark=7us", trace);
    fixed_is_lit("opera", "tors=16 hosts_per_tor=4 rotors=4 link_rate=10Gbps", trace);
    fixed_is_lit("awgr", "tors=16 hosts_per_tor=1 uplinks=3 slot=400ns guard=40ns", trace);
}

/* Settling 13 ms, then lit for the rest. */
static void test_circuits_of_a_job(void)
{
    struct table table = table_of("pattern:alltoall,ranks=16,bytes=1MiB", "optical-patch", "hosts=16");
    uint64_t makespan_ps = table.run->summary.makespan_ps;
    size_t count;
    struct result_circuits *rows = rows_of(&table, RESULT_TABLE_circuits, &count);
    CHECK_EQUAL(count, 16 * 4 / 2);
    for (size_t i = 0; i < count; i++) {
        CHECK_EQUAL(rows[i].usable_from_ps, 13 * PS_PER_MS);
        CHECK_EQUAL(rows[i].lit_ps, makespan_ps - 13 * PS_PER_MS);
    }
    table_close(&table);
}

#define SWITCH_PS (100 * PS_PER_US)

/* Two configurations take turns, of which each has a circuit of host 0: one of the two is lit but while they change, and the
 * last change is cut short by the end of the job. */
static void test_circuits_of_phases(void)
{
    uint32_t twins = 0;
    struct table table = table_of("model:llama3-8b,tp=2,pp=2,dp=4,shrink=1000,bucket=1000000000000", "photonic-rails-h100",
                                  "server_gpus=2 nvlink_switches=1 packet.size=16383B part.palomar.settle=100us "
                                  "part.palomar.relock=0us part.palomar.control=0us");
    uint64_t makespan_ps = table.run->summary.makespan_ps, lit_ps[2] = {0}, sets = 0, wanted = 0, last_ps = UINT64_MAX;
    size_t count, region_count;
    struct result_circuits *rows = rows_of(&table, RESULT_TABLE_circuits, &count);
    struct result_regions *regions = rows_of(&table, RESULT_TABLE_regions, &region_count);
    CHECK_EQUAL(region_count, 2);
    for (size_t i = 0; i < region_count; i++) {
        wanted += regions[i].circuits_set;
        CHECK_EQUAL(regions[i].dark_ps, regions[i].reconfigurations * SWITCH_PS);
    }
    for (size_t i = 0; i < count; i++) {
        bool is_second = rows[i].usable_from_ps > SWITCH_PS;
        CHECK(is_second || rows[i].usable_from_ps == SWITCH_PS);
        CHECK(lit_ps[is_second] == 0 || rows[i].node_a > 0 || lit_ps[is_second] == rows[i].lit_ps);
        lit_ps[is_second] = rows[i].node_a == 0 ? rows[i].lit_ps : lit_ps[is_second];
        last_ps = rows[i].node_a == 0 && is_second ? rows[i].usable_until_ps : last_ps;
        sets += rows[i].set_count;
        bool is_twin = i > 0 && rows[i].node_a == rows[i - 1].node_a && rows[i].node_b == rows[i - 1].node_b;
        twins += is_twin;
        CHECK(!is_twin || (rows[i].lit_ps == rows[i - 1].lit_ps && rows[i].set_count == rows[i - 1].set_count &&
                           rows[i].port_a == rows[i - 1].port_a + 1));
    }
    CHECK(twins > 0); /* a pair of pipeline stages has both fibres */
    CHECK_EQUAL(sets, wanted);
    uint64_t beyond_ps = last_ps + SWITCH_PS > makespan_ps ? last_ps + SWITCH_PS - makespan_ps : 0;
    CHECK(lit_ps[0] > 0 && lit_ps[1] > 0);
    CHECK_EQUAL(lit_ps[0] + lit_ps[1], makespan_ps - (regions[0].dark_ps - beyond_ps));
    table_close(&table);
}

/* ---- cells ---------------------------------------------------------------------------------------------------- */

/* Bits of the modules at the ends of the circuits, by their energy and by the table of links. */
static void test_cells_are_counted_and_paid_for(void)
{
    struct table table = table_of("pattern:all_to_all,ranks=32,bytes=64KiB", "sirius",
                                  "packet.size=4150B packet.cell=562B packet.cell_header=12B part.sirius_50g.dynamic=3pJ/bit");
    size_t link_count, part_count;
    struct result_links *links = rows_of(&table, RESULT_TABLE_links, &link_count);
    struct result_energy *parts = rows_of(&table, RESULT_TABLE_energy, &part_count);
    uint64_t cells = 0, bytes = 0;
    for (size_t i = 0; i < link_count; i++) {
        bool is_circuit = links[i].rate_bps == 50000000000 && links[i].cells > 0;
        CHECK_EQUAL(links[i].cells * 562, is_circuit ? links[i].tx_bytes + links[i].padding_bytes : 0);
        CHECK_EQUAL(links[i].padding_bytes > 0, is_circuit);
        CHECK(!is_circuit || links[i].busy_ps == links[i].cells * 89920);
        cells += links[i].cells;
        bytes += is_circuit ? links[i].tx_bytes + links[i].padding_bytes : 0;
    }
    CHECK(cells > 5000);
    for (size_t i = 0; i < part_count; i++) {
        if (strcmp(parts[i].part, "sirius_50g") == 0) {
            CHECK_NEAR(parts[i].dynamic_j, 3e-12 * 8 * (double)bytes, 1e-6);
            cells = 0;
        }
    }
    CHECK_EQUAL(cells, 0);
    table_close(&table);
}

/* A job that is over before its circuits are up, because it has no use for them. */
static void test_dark_for_the_whole_run(void)
{
    struct table table = table_of("pattern:ring_allreduce,ranks=16,bytes=64KiB", "jupiter", "hosts=128");
    const struct result_summary *summary = &table.run->summary;
    CHECK(summary->makespan_ps < PS_PER_MS);
    CHECK_EQUAL(summary->reconfiguration_ps, summary->makespan_ps);
    CHECK_EQUAL(summary->reconfiguration_exposed_ps, 0);
    table_close(&table);
    table = table_of("pattern:ring_allreduce,ranks=64,bytes=64KiB", "jupiter", "hosts=128");
    CHECK_EQUAL(table.run->summary.reconfiguration_ps, 13 * PS_PER_MS);
    CHECK_EQUAL(table.run->summary.reconfiguration_exposed_ps, 13 * PS_PER_MS);
    table_close(&table);
}

TEST_MAIN("circuit_table", TEST(test_fixed_schedules), TEST(test_dark_for_the_whole_run), TEST(test_circuits_of_a_job), TEST(test_circuits_of_phases),
          TEST(test_cells_are_counted_and_paid_for))
