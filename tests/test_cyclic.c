/* Fabrics whose circuits come and go in a fixed cycle: rotor, opera, awgr.
 *
 * Asserted: the schedule (each pair meets once a cycle, at one circuit a transmitter at a time, both ways at once where
 * matchings are duplex), duty and cycle of published systems, what Valiant's second hop and the guard cost, to the byte
 * and the picosecond, throughput laws of uniform and permutation traffic with and without their mechanism, and bad input.
 * Not asserted: queues at intermediate ToRs. */
#include "netsim/fabric_export.h"
#include "netsim/fabric_facts.h"
#include "netsim/fabric_load.h"
#include "netsim/run.h"
#include "tests/check.h"
#include "tests/net.h"
#include "tests/support_run.h"

#include <math.h>

static uint32_t tor_of(const struct fabric *fabric, uint32_t host)
{
    return fabric->port_node[fabric->port_peer[fabric->port_first[host]]];
}

/* The port of ToR a that leads to ToR b. */
static uint32_t circuit(const struct fabric *fabric, uint32_t a, uint32_t b)
{
    for (uint32_t port = fabric->port_first[a]; port < fabric->port_first[a + 1]; port++) {
        if (fabric->port_node[fabric->port_peer[port]] == b) {
            return port;
        }
    }
    CHECK(false);
    return 0;
}

static const struct gate_window *window_of(const struct fabric *fabric, uint32_t port)
{
    return &fabric->gate_windows[fabric->gates[fabric->port_gate[port]].window_first];
}

/* ---- schedules ------------------------------------------------------------------------------------------------ */

/* Lines never lead to two peers at once (fabric_validate checks that), so what is left to count is that every transmitter
 * is joined `windows` times a period and every pair once. */
static void schedule_holds(const char *spec, const char *settings, uint32_t tors, uint32_t uplinks, uint64_t period_ps,
                           bool is_duplex)
{
    struct arena *arena = arena_new("test");
    struct diag diag = {""};
    const struct fabric *fabric = net_fabric(arena, spec, settings);
    uint32_t *line_windows = arena_array(arena, fabric->port_count, uint32_t), circuits = 0, lines = 0, apart = 0;
    CHECK_EQUAL(fabric_validate(fabric, &diag), STATUS_OK);
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        if (fabric->port_gate[port] == ID_NONE) {
            CHECK(fabric->port_node[port] < fabric->host_count ||
                  fabric->port_node[fabric->port_peer[port]] < fabric->host_count);
            continue;
        }
        circuits++;
        lines += line_windows[fabric->port_line[port]]++ == 0;
        apart += window_of(fabric, port) != window_of(fabric, fabric->port_peer[port]);
        CHECK_EQUAL(fabric->gates[fabric->port_gate[port]].period_ps, period_ps);
        CHECK_EQUAL(fabric->gates[fabric->port_gate[port]].window_count, 1);
    }
    CHECK_EQUAL(circuits, tors * (tors - 1));
    CHECK_EQUAL(lines, tors * uplinks);
    CHECK((apart == 0) == is_duplex);
    arena_free(arena);
}

static void test_schedules(void)
{
    schedule_holds("rotor", "tors=16 hosts_per_tor=1 rotors=3", 16, 3, 5 * 200 * PS_PER_US, true);
    schedule_holds("rotor", "tors=16 hosts_per_tor=1 rotors=4 identity=yes", 16, 4, 4 * 200 * PS_PER_US, true);
    schedule_holds("rotor", "tors=2 hosts_per_tor=3", 2, 1, 200 * PS_PER_US, true);
    schedule_holds("opera", "tors=12 hosts_per_tor=3", 12, 3, 12 * 99 * PS_PER_US, true);
    schedule_holds("opera", "tors=108 hosts_per_tor=6", 108, 6, 108 * 99 * PS_PER_US, true);
    schedule_holds("awgr", "tors=16 hosts_per_tor=5", 16, 5, 300 * PS_PER_NS, false);
    schedule_holds("awgr", "tors=9 hosts_per_tor=1", 9, 1, 800 * PS_PER_NS, false);
    schedule_holds("sirius", "", 16, 4, 400 * PS_PER_NS, false);
}

/* In no slice of Opera does more than one rotor turn, so all other uplinks of a ToR are joined; without the offset all turn
 * at once. */
static void turning_together(const char *settings, uint32_t most)
{
    struct arena *arena = arena_new("test");
    const struct fabric *fabric = net_fabric(arena, "opera", settings);
    uint32_t largest = 0;
    for (uint32_t slice = 0; slice < fabric->slices.count; slice++) {
        uint32_t opening = 0;
        uint64_t at_ps = slice * fabric->slices.slice_ps + 10 * PS_PER_US;
        for (uint32_t port = fabric->port_first[fabric->host_count]; port < fabric->port_first[fabric->host_count + 1];
             port++) {
            opening += fabric->port_gate[port] != ID_NONE && window_of(fabric, port)->open_ps == at_ps;
        }
        largest = opening > largest ? opening : largest;
    }
    CHECK_EQUAL(largest, most);
    arena_free(arena);
}

static void test_opera_turns_in_turn(void)
{
    turning_together("tors=24 hosts_per_tor=4 rotors=4", 1);
    turning_together("tors=24 hosts_per_tor=4 rotors=4 offset=no", 4);
}

static struct fabric_facts facts_of(struct arena *arena, const char *spec, const char *settings)
{
    struct fabric_facts facts;
    fabric_facts(net_fabric(arena, spec, settings), arena, &facts);
    return facts;
}

/* 1 - r / (u s): 10 us of reconfiguration, 6 rotors, 99 us slices are 98.3 % in a cycle of 10.7 ms (Opera, NSDI 2020);
 * 20 us of 200 us slots are 90 % (RotorNet, SIGCOMM 2017), 2048 / 128 = 16 matchings in 3.2 ms. */
static void test_published_duties(void)
{
    struct arena *arena = arena_new("test");
    struct fabric_facts opera = facts_of(arena, "opera", "tors=108 hosts_per_tor=6 rotors=6");
    CHECK_NEAR(opera.duty, 0.983, 0.0005);
    CHECK_EQUAL(opera.period_ps, UINT64_C(10692) * PS_PER_US);
    CHECK_EQUAL(opera.windows, 18);
    static const uint64_t slices_us[] = {20, 50, 99, 400}, darks_us[] = {1, 10, 19};
    for (size_t i = 0; i < 12; i++) {
        double slice_us = (double)slices_us[i / 3], dark_us = (double)darks_us[i % 3];
        const char *settings = arena_printf(arena, "tors=12 hosts_per_tor=3 slice=%.0fus dark=%.0fus", slice_us, dark_us);
        CHECK_NEAR(facts_of(arena, "opera", settings).duty, 1 - dark_us / (3 * slice_us), 1e-12);
    }
    struct fabric_facts rotor = facts_of(arena, "rotornet", "");
    CHECK_NEAR(rotor.duty, 0.9, 1e-12);
    rotor = facts_of(arena, "rotor", "tors=256 hosts_per_tor=1 rotors=16 identity=yes");
    CHECK_EQUAL(rotor.windows, 16);
    CHECK_EQUAL(rotor.period_ps, UINT64_C(3200) * PS_PER_US);
    CHECK_NEAR(facts_of(arena, "sirius", "").duty, 0.9, 1e-12);
    CHECK_EQUAL(facts_of(arena, "awgr", "tors=16 hosts_per_tor=1 identity=yes").period_ps, 1600 * PS_PER_NS);
    arena_free(arena);
}

/* The time-flow table of four ToRs and three slots. */
static void test_export_of_schedules(void)
{
    struct arena *arena = arena_new("test");
    struct diag diag = {""};
    char *text = NULL;
    size_t bytes = 0;
    FILE *stream = open_memstream(&text, &bytes);
    const struct fabric *fabric = net_fabric(arena, "awgr", "tors=4 hosts_per_tor=1 slot=100ns guard=10ns");
    CHECK_EQUAL(fabric_export_find("schedule")->write(fabric, arena, stream, &diag), STATUS_OK);
    fclose(stream);
    CHECK_HOLDS(text, "from,to,port,transmitter,period_ps,open_ps,close_ps,rate_bps\n"
                      "s4,s5,5,5,300000,10000,100000,400000000000\ns4,s6,6,5,300000,110000,200000,400000000000\n"
                      "s4,s7,7,5,300000,210000,300000,400000000000\ns5,s4,9,9,300000,210000,300000,");
    free(text);
    CHECK_EQUAL(fabric_export_find("schedule")->write(net_fabric(arena, "clos-dsp", ""), arena, stdout, &diag),
                STATUS_INPUT);
    CHECK_HOLDS(diag.text, "has no schedule");
    arena_free(arena);
}

/* ---- traffic -------------------------------------------------------------------------------------------------- */

static void run(struct net *net)
{
    net_run(net);
    net_check_drained(net);
}

static uint64_t delivered_ps(const struct net *net)
{
    uint64_t last_ps = 0;
    for (size_t i = 1; i < net->count; i++) {
        last_ps = net->messages[i].delivered_ps > last_ps ? net->messages[i].delivered_ps : last_ps;
    }
    return last_ps;
}

/* One message from host 0 to host 5 of 17: what ToR 0 sends goes straight to ToR 5, or to another one that sends it on, so
 * it is carried twice there; ACKs take the other ports. */
static void test_vlb_carries_twice(void)
{
    struct arena *arena = arena_new("test");
    const struct fabric *fabric = net_fabric(arena, "awgr", "tors=17 hosts_per_tor=1");
    struct net *net = net_new(arena, fabric, "transport.name=ideal packet.size=4096B", 1, NULL);
    net_post(net, net_add(net, 0, 5, 4032 * 4000), 0);
    run(net);
    uint32_t source = tor_of(fabric, 0), destination = tor_of(fabric, 5);
    uint64_t first = 0, second = 0;
    for (uint32_t host = 1; host < 17; host++) {
        first += net_counters(net, circuit(fabric, source, tor_of(fabric, host))).tx_bytes;
        second += host == 5 ? 0 : net_counters(net, circuit(fabric, tor_of(fabric, host), destination)).tx_bytes;
    }
    uint64_t direct = net_counters(net, circuit(fabric, source, destination)).tx_bytes;
    CHECK_EQUAL(first, 4096 * 4000);
    CHECK_EQUAL(first + second, 2 * (first - direct) + direct);
    CHECK_NEAR((double)direct / (double)first, 1.0 / 16, 0.1); /* drawn evenly from 16 */
    arena_free(arena);
    arena = arena_new("test");
    fabric = net_fabric(arena, "awgr", "tors=17 hosts_per_tor=1 vlb=no");
    net = net_new(arena, fabric, "transport.name=ideal packet.size=4096B", 1, NULL);
    net_post(net, net_add(net, 0, 5, 4032 * 4000), 0);
    run(net);
    CHECK_EQUAL(net_counters(net, circuit(fabric, tor_of(fabric, 0), tor_of(fabric, 5))).tx_bytes, 4096 * 4000);
    arena_free(arena);
}

/* Packets of 500 B take 10 ns at 400 Gbit/s: ten fit into a slot of 100 ns, nine beside 10 ns of guard. */
static uint64_t slots_taken_ps(const char *guard, uint64_t packets)
{
    struct arena *arena = arena_new("test");
    const char *settings = arena_printf(arena, "tors=2 hosts_per_tor=1 host_link_rate=1600Gbps guard=%s", guard);
    const struct fabric *fabric = net_fabric(arena, "awgr", settings);
    struct net *net = net_new(arena, fabric, "transport.name=ideal packet.size=500B packet.header=50B", 1, NULL);
    net_post(net, net_add(net, 0, 1, 450 * packets), 0);
    run(net);
    uint64_t last_ps = delivered_ps(net);
    arena_free(arena);
    return last_ps;
}

static void test_guard_costs_its_share(void)
{
    /* Slots of 9 and of 10 packets: 9,000 more packets take 1,000 slots more of the one and 900 of the other. */
    uint64_t with_ps = slots_taken_ps("10ns", 90900) - slots_taken_ps("10ns", 900);
    uint64_t without_ps = slots_taken_ps("0ns", 90900) - slots_taken_ps("0ns", 900);
    CHECK_EQUAL(with_ps, UINT64_C(10000) * 100 * PS_PER_NS);
    CHECK_EQUAL(without_ps, UINT64_C(9000) * 100 * PS_PER_NS);
    CHECK_EQUAL(without_ps * 10, with_ps * 9); /* 10 % of what a slot carries */
}

/* Every host sends `bytes` to the next one, or to all others, over 16 ToRs with three uplinks of 100 Gbit/s; the share of
 * the uplinks' rate that arrives until everything has. */
static double uplink_share(const char *spec, const char *settings, bool is_uniform, uint64_t packets)
{
    struct arena *arena = arena_new("test");
    const struct fabric *fabric = net_fabric(arena, spec, settings);
    struct net *net = net_new(arena, fabric, "transport.name=ideal", 1, NULL);
    uint32_t hosts = fabric->host_count, uplinks = 0;
    uint64_t bytes = 0;
    for (uint32_t port = fabric->port_first[hosts]; port < fabric->port_first[hosts + 1]; port++) {
        uplinks += fabric->port_gate[port] != ID_NONE && fabric->port_line[port] == port;
    }
    for (uint32_t host = 0; host < hosts; host++) {
        for (uint32_t k = 1; k < (is_uniform ? hosts : 2); k++) {
            net_post(net, net_add(net, host, (host + k) % hosts, packets * 4086), 0);
            bytes += packets * 4150;
        }
    }
    run(net);
    double seconds = (double)delivered_ps(net) * 1e-12;
    arena_free(arena);
    return (double)bytes * 8 / seconds / (16 * uplinks * 100e9);
}

#define ROTOR_16 "tors=16 hosts_per_tor=1 rotors=3 link_rate=100Gbps host_link_rate=800Gbps slot=20us "

/* A pair meets in one of 15 matchings, so a permutation without detours gets a fifteenth of the uplinks; all-to-all has
 * something for every circuit and gets all but the dark time. A packet more or less a slot: 1.7 %. */
static void test_rotor_laws(void)
{
    double alone = uplink_share("rotor", ROTOR_16 "dark=0us second_hop=no", false, 60 * 40);
    CHECK_NEAR(alone, 1.0 / 15, 0.02);
    double dark = uplink_share("rotor", ROTOR_16 "dark=2us second_hop=no", false, 54 * 40);
    CHECK_NEAR(dark, 0.9 / 15, 0.025);
    double uniform = uplink_share("rotor", ROTOR_16 "dark=2us second_hop=no", true, 54 * 20);
    CHECK_NEAR(uniform, 0.9, 0.06);
    CHECK(uniform <= 0.9);
    double two_hops = uplink_share("rotor", ROTOR_16 "dark=2us second_hop=yes", false, 54 * 40);
    printf("permutation: direct %.4f, dark %.4f, two hops %.4f; uniform %.4f\n", alone, dark, two_hops, uniform);
    CHECK(two_hops > 3 * dark && two_hops < 0.5); /* the second hop is what the figure hangs on */
    double uniform_two = uplink_share("rotor", ROTOR_16 "dark=2us second_hop=yes", true, 54 * 20);
    CHECK_NEAR(uniform_two, uniform, 0.1); /* equal backlogs: few detours */
}

#define AWGR_16 "tors=16 hosts_per_tor=1 uplinks=3 link_rate=100Gbps host_link_rate=800Gbps slot=400ns guard=40ns "

/* Acknowledgements take their share of the slots. Oblivious two hops: half of the line rate at most for the worst traffic, a little more where one of N - 1 is direct. */
static void test_vlb_laws(void)
{
    double permutation = uplink_share("awgr", AWGR_16, false, 3000);
    double direct = uplink_share("awgr", AWGR_16 "vlb=no", false, 1000);
    double uniform = uplink_share("awgr", AWGR_16, true, 1000);
    double uniform_direct = uplink_share("awgr", AWGR_16 "vlb=no", true, 1000);
    double bound = 0.9 / (2 - 1.0 / 15);
    double cell = 332.0 / 360; /* one packet of 332 ns in the 360 ns of a slot */
    printf("awgr: permutation %.4f of at most %.4f, direct %.4f; uniform %.4f, direct %.4f\n", permutation, bound * cell,
           direct, uniform, uniform_direct);
    CHECK(permutation <= bound * cell * 1.001 && permutation > 0.8 * bound * cell);
    CHECK(uniform <= bound * cell * 1.001 && uniform > 0.85 * bound * cell);
    CHECK_NEAR(direct, 0.9 * cell / 15, 0.02);
    CHECK_NEAR(uniform_direct, 0.9 * cell, 0.03);
}

/* Cells that all uplinks of AWGR_16 send in 2,500 slots, all-to-all and direct, over those that there is room for; and the share of
 * the uplinks' rate that is data. */
static double slots_fill(const struct cell_shape *cells, double *share)
{
    struct arena *arena = arena_new("test");
    const struct fabric *fabric = net_fabric(arena, "awgr", AWGR_16 "vlb=no");
    struct net *net = net_new(arena, fabric, arena_printf(arena, "transport.name=ideal packet.cell=%uB packet.cell_header=%uB",
                                                          cells->bytes, cells->header_bytes), 1, NULL);
    uint64_t count = 0, wanted = 0, data_bytes = 0;
    for (uint32_t pair = 0; pair < 16 * 15; pair++) {
        net_post(net, net_add(net, pair / 15, (pair / 15 + 1 + pair % 15) % 16, 1000 * 4086), 0);
    }
    net->engine->class->run(net->engine, 2500 * 400 * PS_PER_NS);
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        struct port_counters c = net_counters(net, port);
        uint64_t acks = (c.tx_packets * 4150 - c.tx_bytes) / (4150 - 64);
        bool has_cells = fabric->port_gate[port] != ID_NONE;
        wanted += has_cells ? (c.tx_packets - acks) * cells_count(cells, 4150) + acks * cells_count(cells, 64) : 0;
        CHECK_EQUAL(c.cells * cells->bytes, has_cells ? c.tx_bytes + c.padding_bytes : 0);
        count += c.cells;
        data_bytes += has_cells ? (c.tx_packets - acks) * 4150 : 0;
    }
    CHECK_EQUAL(count, wanted);
    *share = (double)data_bytes * 8 / (2500 * 400e-9) / (48 * 100e9);
    arena_free(arena);
    return (double)count / (2500.0 * 48 * (4500 / cells->bytes));
}

/* A slot of 360 ns has room for one packet of 332 ns, and acknowledgements. Of small cells it is filled to the last one. */
static void test_cells_fill_slots(void)
{
    static const struct cell_shape shapes[] = {{1500, 0, false}, {1000, 0, false}, {300, 0, false},
                                               {150, 0, false},  {75, 0, false},   {75, 25, false}};
    double shares[6];
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        double fill = slots_fill(&shapes[i], &shares[i]);
        printf("cells of %u B, %u of them header: %.4f of the rate, slots full to %.4f\n", shapes[i].bytes,
               shapes[i].header_bytes, shares[i], fill);
        CHECK_NEAR(fill, 1, 0.002); /* of packets under way all cells count */
    }
    CHECK(shares[4] > uplink_share("awgr", AWGR_16 "vlb=no", true, 1000) && shares[4] < 0.9);
    CHECK_NEAR(shares[5] / shares[4], 50.0 / 75, 0.02);
}

/* ---- whole runs ----------------------------------------------------------------------------------------------- */

static struct run_result job_run(struct arena *arena, const char *fabric, const char *trace, const char *settings)
{
    return whole_run_good(whole_request(trace, fabric), NULL, settings, arena);
}

static uint64_t fct_ps(const char *settings)
{
    struct arena *arena = arena_new("test");
    uint64_t fct = job_run(arena, "opera", "pattern:all_to_all,ranks=48,bytes=48KiB",
                           arena_printf(arena, "tors=12 hosts_per_tor=4 rotors=4 link_rate=10Gbps %s", settings))
                       .summary.fct_p99_ps;
    arena_free(arena);
    return fct;
}

/* 1 KiB to everybody. While one rotor in four turns the others lead anywhere in some hops: tens of microseconds. With all
 * rotors turning at once there are times without a way, and what waits for its direct circuit waits for a cycle. */
static void test_opera_small_messages(void)
{
    uint64_t offset_ps = fct_ps("offset=yes"), together_ps = fct_ps("offset=no"), bulk_ps = fct_ps("cutoff=0B");
    printf("99th percentile: %.1f us offset, %.1f us together, %.1f us direct\n", (double)offset_ps * 1e-6,
           (double)together_ps * 1e-6, (double)bulk_ps * 1e-6);
    CHECK(offset_ps < 100 * PS_PER_US);
    CHECK(together_ps > 5 * offset_ps);
    CHECK(bulk_ps > 5 * offset_ps && bulk_ps < 12 * 99 * PS_PER_US + offset_ps);
}

/* Bulk waits for its direct circuit and is carried once; small messages are carried once a hop. */
static void test_opera_bulk_is_direct(void)
{
    struct arena *arena = arena_new("test");
    const char *trace = "pattern:permutation,ranks=48,bytes=300kB";
    const char *fabric = "tors=12 hosts_per_tor=4 rotors=4 transport.name=ideal packet.ack=1B ";
    struct run_result direct = job_run(arena, "opera", trace, arena_printf(arena, "%scutoff=299kB", fabric));
    struct run_result hops = job_run(arena, "opera", trace, arena_printf(arena, "%scutoff=300kB", fabric));
    double per_message = (double)direct.summary.wire_bytes / (double)direct.summary.useful_bytes;
    printf("bytes carried: %.3f a byte in bulk, %.3f at once\n", per_message,
           (double)hops.summary.wire_bytes / (double)hops.summary.useful_bytes);
    CHECK(per_message < 3.1); /* up, a circuit, down; headers are 1.6 % */
    CHECK((double)hops.summary.wire_bytes > 1.1 * (double)direct.summary.wire_bytes);
    CHECK(hops.summary.fct_p50_ps < direct.summary.fct_p50_ps);
    arena_free(arena);
}

static void run_refused(const char *fabric, struct trace_setting *sets, size_t count, const char *line, const char *part)
{
    struct arena *arena = arena_new("test");
    struct diag diag = {""};
    struct run_result result;
    struct run_request request = whole_request("pattern:all_reduce,ranks=64,bytes=1kB", fabric);
    request.settings = sets;
    request.setting_count = count;
    CHECK_EQUAL(whole_run(request, NULL, NULL, arena, &result, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, line);
    CHECK_HOLDS(diag.text, part);
    arena_free(arena);
}

/* A packet, or a cell, that does not fit into a slot: refused, with both times. */
static void test_packets_must_fit(void)
{
    struct trace_setting sets[] = {{"packet.size", "563B", {"cells.yaml", 7, 3}}, {"packet.cell", "563B", {"cells.yaml", 8, 4}}};
    run_refused("sirius", sets, 1, "cells.yaml:7:3: ", "lasts 90ns, a packet of 563 B takes 90080ps");
    run_refused("sirius", sets, 2, "cells.yaml:8:4: ", "lasts 90ns, a cell of 563 B takes 90080ps");
    sets[0].text = "16kB"; /* 36 of 445 B are as much as 16,020 B; where packets are routed again they go together */
    sets[1].text = "445B";
    run_refused("opera-648,slice=11.6us,link_rate=2Gbps", sets, 2, "cells.yaml:8:4: ", "a packet in cells of 16020 B takes 64080ns");
    /* circuits that are planned, and none at all */
    static const char *const plain[] = {"clos-dsp", "optical-patch", "helios"};
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        run_refused(plain[i], &sets[1], 1, "cells.yaml:8:4: ", "packet.cell is 445 B, but no circuit of fabric ");
    }
}

/* Two cells of 281 B in a slot of Sirius; of 15 the first may have the end of a slot. What goes together needs one. */
static void test_cells_are_told(void)
{
    struct arena *arena = arena_new("test");
    struct packet_shape shape = {4150, 64, 64, {281, 0, false}};
    struct fabric_facts facts = {0};
    const struct fabric *sirius = net_fabric(arena, "sirius", ""), *opera = net_fabric(arena, "opera-648", "");
    fabric_facts_cells(sirius, &shape, &facts);
    CHECK_EQUAL(facts.cell_ports, 16 * 15);
    CHECK_EQUAL(facts.cell_bytes, 281);
    CHECK_EQUAL(facts.packet_cells, 15);
    CHECK_EQUAL(facts.packet_windows, 8);
    shape.packet_bytes = 14 * 281; /* the first slot has one, the last has one */
    facts = (struct fabric_facts){0};
    fabric_facts_cells(sirius, &shape, &facts);
    CHECK_EQUAL(facts.packet_cells, 14);
    CHECK_EQUAL(facts.packet_windows, 8);
    shape.packet_bytes = 4150;
    shape.cells.is_everywhere = true;
    facts = (struct fabric_facts){0};
    fabric_facts_cells(opera, &shape, &facts);
    CHECK_EQUAL(facts.cell_ports, opera->port_count);
    CHECK_EQUAL(facts.packet_windows, 1);
    shape.cells.bytes = 0;
    facts = (struct fabric_facts){0};
    fabric_facts_cells(sirius, &shape, &facts);
    CHECK_EQUAL(facts.cell_ports + facts.packet_cells + facts.cell_bytes, 0);
    arena_free(arena);
}

/* Packets of several slots on the preset whose slots hold one cell: everything arrives, with any number of threads at the same
 * times, and what pads the cells costs energy. */
static void test_cells_in_a_run(void)
{
    struct arena *arena = arena_new("test");
    struct run_request request = whole_request("pattern:all_to_all,ranks=32,bytes=64KiB", "sirius");
    const char *cells = "packet.size=4150B packet.cell=562B packet.cell_header=12B";
    struct run_result one = whole_run_good(request, NULL, cells, arena);
    request.threads = 3;
    struct run_result three = whole_run_good(request, NULL, cells, arena);
    CHECK_EQUAL(one.digest, three.digest);
    CHECK_EQUAL(one.summary.useful_bytes, 32 * 31 * UINT64_C(2048));
    arena_free(arena);
}

/* A packet of nine slots of 25 us each needs longer than the timeout and two rounds. Nobody takes it for lost. */
static void test_cells_are_waited_for(void)
{
    struct arena *arena = arena_new("test");
    struct trace_setting sets[SETTINGS_MAX];
    struct run_request request = whole_request("pattern:permutation,ranks=16,bytes=40kB", "rotor");
    request.settings = sets;
    request.setting_count = settings_split_at(arena, "tors=16|hosts_per_tor=1|rotors=3|link_rate=1Gbps|slot=5us|dark=1us|second_hop=no|"
                                              "packet.cell=500B|transport.name=window|failures.list=link 16-17 900s", "|", sets);
    struct result_summary summary = whole_run_good(request, NULL, NULL, arena).summary;
    CHECK_EQUAL(summary.retransmission_count, 0);
    CHECK(summary.fct_p50_ps > 9 * 9 * 20 * PS_PER_US);
    arena_free(arena);
}

/* ---- bad input ------------------------------------------------------------------------------------------------ */

static void refused(const char *spec, const char *settings, const char *line, const char *part)
{
    struct arena *arena = arena_new("test");
    char path[400], at[440];
    snprintf(path, sizeof path, "%s/bad.yaml", test_directory());
    FILE *file = fopen(path, "w");
    fprintf(file, "fabric: %s\n%s", spec, settings);
    fclose(file);
    snprintf(at, sizeof at, "%s:%s:", path, line);
    struct fabric_config config;
    struct diag diag = {""};
    CHECK_EQUAL(fabric_load(path, NULL, 0, 0, arena, &config, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, at);
    CHECK_HOLDS(diag.text, part);
    arena_free(arena);
}

static void test_bad_input(void)
{
    refused("rotor", "tors: 16\nrotors: 4\n", "3", "rotors: 15 matchings do not divide among 4; expected one of 1, 3, 5, 15");
    refused("rotor", "tors: 16\nrotors: 5\nidentity: yes\n", "3",
            "rotors: 16 matchings do not divide among 5; expected one of 1, 2, 4, 8, 16");
    refused("rotor", "tors: 15\n", "2", "tors: 15 switches cannot be joined in pairs; expected an even number");
    refused("rotor", "hosts: 100\ntors: 16\nhosts_per_tor: 6\n", "3",
            "tors: 16 switches with 6 hosts each hold 96 hosts, not 100; expected at least 17 switches");
    refused("rotor", "slot: 20us\ndark: 20us\n", "2", "slot of 20us is dark for all of it (dark: 20us)");
    refused("opera", "tors: 12\nrotors: 5\n", "3", "rotors: 12 matchings do not divide among 5; expected one of 1, 2, 3, 4");
    refused("opera", "slice: 9us\n", "2", "slice of 9us is dark for all of it (dark: 10us)");
    refused("awgr", "tors: 9\nuplinks: 3\n", "3", "uplinks: 8 matchings do not divide among 3; expected one of 1, 2, 4, 8");
    refused("awgr", "guard: 100ns\n", "2", "slot of 100ns is dark for all of it (guard: 100ns)");
}

TEST_MAIN("cyclic", TEST(test_schedules), TEST(test_opera_turns_in_turn), TEST(test_published_duties), TEST(test_export_of_schedules),
          TEST(test_vlb_carries_twice), TEST(test_guard_costs_its_share), TEST(test_rotor_laws), TEST(test_vlb_laws), TEST(test_cells_fill_slots),
          TEST(test_opera_small_messages), TEST(test_opera_bulk_is_direct), TEST(test_packets_must_fit), TEST(test_cells_are_told), TEST(test_cells_in_a_run), TEST(test_cells_are_waited_for),
          TEST(test_bad_input))
