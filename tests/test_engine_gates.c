/* Gates, detours, the controller and failing links, in both engines.
 * Asserted: times and counts in closed form; conservation of packets and bytes. Equality of the engines on random
 * scenarios is asserted in test_engine_window.c. */
#include "netsim/engine/engine.h"
#include "tests/check.h"
#include "tests/hand.h"
#include "tests/reference.h"

#define NS PS_PER_NS
#define US PS_PER_US
#define LOG_MAX 4096
#define HOSTS_MAX 16

static const struct engine_class *const engines[] = {&engine_plain, &engine_window};

/* ---- a fabric, what the hosts have to send, what arrives --------------------------------------------------- */

struct arrival {
    uint32_t host, src, seq, bytes;
    uint64_t time_ps;
};

struct rig {
    struct arena *arena;
    struct fabric *fabric;
    struct engine_config config;
    struct engine *engine;
    struct packet *to_send[HOSTS_MAX];
    uint32_t sent[HOSTS_MAX], to_send_count[HOSTS_MAX];
    struct arrival log[LOG_MAX];
    uint32_t log_count;
    struct gate *gates;
    struct gate_window *windows;
    uint32_t *port_gate;
};

static bool rig_pull(void *context, uint32_t host, uint32_t port, uint64_t now_ps, struct packet *packet)
{
    struct rig *rig = context;
    (void)port, (void)now_ps;
    if (rig->sent[host] == rig->to_send_count[host]) {
        return false;
    }
    *packet = rig->to_send[host][rig->sent[host]++];
    return true;
}

static void rig_receive(void *context, uint32_t host, const struct packet *packet, uint64_t now_ps)
{
    struct rig *rig = context;
    assert(rig->log_count < LOG_MAX);
    rig->log[rig->log_count++] = (struct arrival){host, packet->src, packet->seq, packet->size_bytes, now_ps};
}

static void rig_event(void *context, uint32_t host, enum host_event kind, uint64_t argument, uint64_t now_ps)
{
    struct rig *rig = context;
    (void)kind;
    if (argument == 1) {
        engine_kick(rig->engine, host, 0, now_ps);
    } else {
        engine_tell(rig->engine, host, argument, now_ps);
    }
}

/* Argument: port << 8 | nanoseconds that it is open, 5 us later. */
static void rig_control(void *context, uint32_t host, uint64_t argument, uint64_t now_ps)
{
    struct rig *rig = context;
    (void)host;
    engine_gate(rig->engine, (uint32_t)argument >> 8, now_ps + 5 * US, now_ps + 5 * US + (argument & 255) * NS);
}

static const struct host_ops rig_ops = {
    .pull = rig_pull, .receive = rig_receive, .event = rig_event, .control = rig_control};

static struct rig *rig_new(uint32_t hosts, uint32_t nodes, const struct hand_link *links, size_t count)
{
    struct arena *arena = arena_new("test");
    struct rig *rig = arena_one(arena, struct rig);
    rig->arena = arena;
    rig->fabric = hand_fabric(arena, hosts, nodes, links, count);
    uint32_t ports = rig->fabric->port_count;
    rig->gates = arena_array(arena, ports, struct gate);
    rig->windows = arena_array(arena, 4 * ports, struct gate_window);
    rig->port_gate = arena_array(arena, ports, uint32_t);
    for (uint32_t port = 0; port < ports; port++) {
        rig->port_gate[port] = ID_NONE;
    }
    rig->fabric->gates = rig->gates;
    rig->fabric->gate_windows = rig->windows;
    rig->fabric->port_gate = rig->port_gate;
    rig->config = (struct engine_config){.fabric = rig->fabric, .seed = 7, .cut_through_bytes = 64,
                                         .packet_bytes_max = 4096, .ops = &rig_ops, .context = rig};
    return rig;
}

static void rig_gate(struct rig *rig, uint32_t port, uint64_t period_ps, uint64_t open_ps, uint64_t close_ps)
{
    uint32_t gate = rig->fabric->gate_count++, window = rig->fabric->gate_window_count++;
    rig->windows[window] = (struct gate_window){open_ps, close_ps};
    rig->gates[gate] = (struct gate){period_ps, window, open_ps < close_ps, false};
    rig->port_gate[port] = gate;
}

static void rig_send(struct rig *rig, uint32_t src, uint32_t dst, uint32_t bytes)
{
    if (rig->to_send[src] == NULL) {
        rig->to_send[src] = arena_array(rig->arena, LOG_MAX, struct packet);
    }
    uint32_t seq = rig->to_send_count[src]++;
    rig->to_send[src][seq] = (struct packet){.src = src & 0xfffff, .dst = dst & 0xfffff, .seq = seq & 0xffffff,
                                             .size_bytes = bytes & PACKET_BYTES_MAX, .entropy = seq & 0xffff};
}

static void conservation_check(const struct rig *rig)
{
    uint64_t in = 0, out = 0;
    for (uint32_t port = 0; port < rig->fabric->port_count; port++) {
        struct port_counters c;
        rig->engine->class->counters(rig->engine, port, &c);
        CHECK_EQUAL(c.tx_packets, c.rx_packets + c.lost_packets);
        CHECK_EQUAL(c.tx_bytes, c.rx_bytes + c.lost_bytes);
        bool is_from_host = rig->fabric->port_node[port] < rig->fabric->host_count;
        in += is_from_host ? c.tx_packets : 0;
        out += c.dropped_packets + c.lost_packets + c.stray_packets;
    }
    CHECK_EQUAL(rig->engine->class->packets_in_flight(rig->engine), 0);
    CHECK_EQUAL(in, rig->log_count + out);
}

static void rig_start(struct rig *rig, const struct engine_class *class)
{
    struct diag diag = {""};
    if (rig->config.routes == NULL) {
        rig->config.routes = routes_new(rig->fabric, rig->arena);
    }
    CHECK_EQUAL(fabric_validate(rig->fabric, &diag), STATUS_OK);
    rig->engine = class->create(rig->arena, &rig->config);
    for (uint32_t host = 0; host < rig->fabric->host_count; host++) {
        engine_kick(rig->engine, host, 0, 0);
    }
}

static void rig_run(struct rig *rig, const struct engine_class *class)
{
    rig_start(rig, class);
    CHECK_EQUAL(rig->engine->class->run(rig->engine, TIME_NEVER_PS), TIME_NEVER_PS);
    conservation_check(rig);
}

static struct port_counters rig_counters(const struct rig *rig, uint32_t port)
{
    struct port_counters counters;
    rig->engine->class->counters(rig->engine, port, &counters);
    return counters;
}

/* Host 0, a switch, host 1; 400 Gbit/s, so 1,500 B take 30 ns and 4,096 B 81.92 ns. */
static struct rig *rig_line(void)
{
    static const struct hand_link links[] = {{0, 2, 400000000000, 500000}, {1, 2, 400000000000, 500000}};
    return rig_new(2, 3, links, 2);
}

/* ---- gates ------------------------------------------------------------------------------------------------- */

/* 10 ns of guard in 100 ns: three packets of 30 ns a slot instead of one each 30 ns, 90 % of the capacity. */
static void test_guard_costs_its_share(void)
{
    for (size_t e = 0; e < 2; e++) {
        for (uint32_t at_host = 0; at_host < 2; at_host++) {
            struct rig *rig = rig_line();
            uint32_t port = at_host ? 0 : hand_port(rig->fabric, 2, 1);
            rig->config.packet_bytes_max = 1500;
            rig_gate(rig, port, 100 * NS, 0, 90 * NS);
            for (uint32_t i = 0; i < 3000; i++) {
                rig_send(rig, 0, 1, 1500);
            }
            rig_run(rig, engines[e]);
            CHECK_EQUAL(rig->log_count, 3000);
            CHECK_EQUAL(rig->log[2990].time_ps - rig->log[5].time_ps, 995 * 100 * NS);
            arena_free(rig->arena);
        }
    }
}

/* Two packets of 81.92 ns do not share a window of 100 ns; nor does a small one behind overtake. */
static void test_what_does_not_fit_waits(void)
{
    for (size_t e = 0; e < 2; e++) {
        struct rig *rig = rig_line();
        uint32_t port = hand_port(rig->fabric, 2, 1);
        rig_gate(rig, port, 1000 * NS, 700 * NS, 800 * NS);
        rig_send(rig, 0, 1, 4096);
        rig_send(rig, 0, 1, 4096);
        rig_send(rig, 0, 1, 64); /* 1.28 ns */
        rig_run(rig, engines[e]);
        CHECK_EQUAL(rig->log_count, 3);
        CHECK_EQUAL(rig->log[0].time_ps, 700 * NS + 81920 + 500000);
        CHECK_EQUAL(rig->log[1].time_ps, 1700 * NS + 81920 + 500000);
        CHECK_EQUAL(rig->log[2].time_ps, 1700 * NS + 81920 + 1280 + 500000);
        struct port_counters c = rig_counters(rig, port);
        /* Arrivals at 581.92, 663.84, 665.12 ns. Dark: until 700 ns, and from 800 ns to 1700 ns. */
        CHECK_EQUAL(c.dark_wait_ps, 118080 + (36160 + 900000) + (34880 + 900000));
        CHECK_EQUAL(c.queue_wait_ps, 0 + 100000 + 100000 + 81920);
        arena_free(rig->arena);
    }
}

/* A host is not pulled while the largest packet would not fit, and is kicked when it does. */
static void test_host_behind_a_gate(void)
{
    for (size_t e = 0; e < 2; e++) {
        struct rig *rig = rig_line();
        rig_gate(rig, 0, 0, 300 * NS, 400 * NS); /* one window, then closed for good */
        rig_send(rig, 0, 1, 1500);
        rig_send(rig, 0, 1, 1500);
        rig_start(rig, engines[e]);
        CHECK_EQUAL(rig->engine->class->run(rig->engine, 100 * NS), 300 * NS);
        CHECK_EQUAL(rig->engine->class->run(rig->engine, TIME_NEVER_PS), TIME_NEVER_PS);
        CHECK_EQUAL(rig->sent[0], 1); /* 30 ns later only 70 ns are left, and 4,096 B would take 81.92 ns */
        CHECK_EQUAL(rig->log_count, 1);
        CHECK_EQUAL(rig->log[0].time_ps, 300 * NS + 2 * (30 * NS + 500 * NS));
        CHECK_EQUAL(rig_counters(rig, 0).dark_wait_ps, 0);
        arena_free(rig->arena);
    }
}

/* ---- a rotor of four racks with one host each ---------------------------------------------------------------- */

enum { RACKS = 4 };
#define SLOT_PS (10 * US)
#define DARK_PS (1 * US)

/* Rack i is joined to rack (i + 1 + slot) % 4 in slots 0, 1, 2. Links of no length: arithmetic by hand. */
static struct rig *rotor(enum detour_rule rule)
{
    struct hand_link links[RACKS + RACKS * (RACKS - 1) / 2];
    size_t count = 0;
    for (uint32_t i = 0; i < RACKS; i++) {
        links[count++] = (struct hand_link){i, RACKS + i, 800000000000, 0};
    }
    for (uint32_t i = 0; i < RACKS; i++) {
        for (uint32_t k = i + 1; k < RACKS; k++) {
            links[count++] = (struct hand_link){RACKS + i, RACKS + k, 400000000000, 1000};
        }
    }
    struct rig *rig = rig_new(RACKS, 2 * RACKS, links, count);
    uint32_t *line = arena_array(rig->arena, rig->fabric->port_count, uint32_t);
    struct detour *detours = arena_array(rig->arena, rig->fabric->node_count, struct detour);
    for (uint32_t port = 0; port < rig->fabric->port_count; port++) {
        line[port] = port;
    }
    for (uint32_t i = 0; i < RACKS; i++) {
        detours[RACKS + i] = (struct detour){1, RACKS - 1, rule, 0};
        for (uint32_t slot = 0; slot + 1 < RACKS; slot++) {
            uint32_t port = hand_port(rig->fabric, RACKS + i, RACKS + (i + 1 + slot) % RACKS);
            rig_gate(rig, port, 3 * SLOT_PS, slot * SLOT_PS + DARK_PS, (slot + 1) * SLOT_PS);
            line[port] = rig->fabric->port_first[RACKS + i] + 1;
        }
    }
    rig->fabric->port_line = line;
    rig->fabric->detours = detours;
    rig->fabric->is_host_end = true;
    rig->config.packet_bytes_max = 1500;
    return rig;
}

/* 9 us of a slot are 300 packets of 1,500 B at 400 Gbit/s. A permutation gets one slot of three. */
static void test_rotor_serves_a_peer_in_its_slot(void)
{
    for (size_t e = 0; e < 2; e++) {
        struct rig *rig = rotor(DETOUR_NONE);
        for (uint32_t i = 0; i < 900; i++) {
            rig_send(rig, 0, 2, 1500); /* slot 1 */
        }
        rig_run(rig, engines[e]);
        CHECK_EQUAL(rig->log_count, 900);
        for (uint32_t i = 0; i < 900; i++) { /* the last rack's link is 15 ns a packet */
            uint64_t start_ps = (i / 300) * 3 * SLOT_PS + SLOT_PS + DARK_PS + (i % 300) * 30 * NS;
            CHECK_EQUAL(rig->log[i].time_ps, start_ps + 30 * NS + 1000 + 15 * NS);
        }
        struct port_counters c = rig_counters(rig, hand_port(rig->fabric, 4, 6));
        CHECK_EQUAL(c.busy_ps, 900 * 30 * NS);
        arena_free(rig->arena);
    }
}

/* With all packets detoured each crosses two circuits, unless the hash names its own; the permutation is then
 * spread over all slots. */
static void test_valiant_spreads(void)
{
    uint64_t hops[2] = {0}, last_ps[2] = {0};
    for (size_t e = 0; e < 2; e++) {
        struct rig *rig = rotor(DETOUR_ALWAYS);
        for (uint32_t i = 0; i < 3000; i++) {
            rig_send(rig, 0, 2, 1500);
        }
        rig_run(rig, engines[e]);
        CHECK_EQUAL(rig->log_count, 3000);
        uint64_t first_hops = 0, circuits = 0;
        for (uint32_t to = 1; to < RACKS; to++) {
            uint64_t out = rig_counters(rig, hand_port(rig->fabric, 4, 4 + to)).tx_packets;
            CHECK(out > 900 && out < 1100); /* even, by the hash */
            first_hops += out;
        }
        for (uint32_t port = 0; port < rig->fabric->port_count; port++) {
            circuits += rig->port_gate[port] != ID_NONE ? rig_counters(rig, port).tx_packets : 0;
        }
        uint64_t direct = rig_counters(rig, hand_port(rig->fabric, 4, 6)).tx_packets;
        CHECK_EQUAL(first_hops, 3000);
        CHECK_EQUAL(circuits, 2 * (3000 - direct) + direct);
        CHECK_EQUAL(rig_counters(rig, hand_port(rig->fabric, 5, 4)).tx_packets, 0); /* never back, never a third */
        hops[e] = circuits;
        last_ps[e] = rig->log[2999].time_ps;
        CHECK(last_ps[e] < 10 * 3 * SLOT_PS); /* without: 10 rounds of 300 packets */
        arena_free(rig->arena);
    }
    CHECK_EQUAL(hops[0], hops[1]);
    CHECK_EQUAL(last_ps[0], last_ps[1]);
}

/* A detour by backlog leaves a short queue alone. */
static void test_backlog_detours_when_long(void)
{
    for (size_t e = 0; e < 2; e++) {
        for (uint32_t count = 10; count <= 1000; count *= 100) {
            struct rig *rig = rotor(DETOUR_BACKLOG);
            for (uint32_t node = RACKS; node < 2 * RACKS; node++) {
                ((struct detour *)(uintptr_t)rig->fabric->detours)[node].threshold_bytes = 20 * 1500;
            }
            for (uint32_t i = 0; i < count; i++) {
                rig_send(rig, 0, 2, 1500);
            }
            rig_run(rig, engines[e]);
            uint64_t direct = rig_counters(rig, hand_port(rig->fabric, 4, 6)).tx_packets;
            CHECK_EQUAL(rig->log_count, count);
            CHECK(count == 10 ? direct == 10 : direct > 300 && direct < 500);
            arena_free(rig->arena);
        }
    }
}

/* ---- cells ---------------------------------------------------------------------------------------------------- */

/* 4,096 B are 8 cells of 562 B, 11.24 ns each; a window of 50 ns takes 4 of them. The second packet begins behind the first,
 * in what is left of its window: nothing. The third is one cell. */
static void test_cells_cross_windows(void)
{
    for (size_t e = 0; e < 2; e++) {
        struct rig *rig = rig_line();
        uint32_t port = hand_port(rig->fabric, 2, 1);
        rig->config.cells = (struct cell_shape){562, 0, false};
        rig_gate(rig, port, 1000 * NS, 700 * NS, 750 * NS);
        rig_send(rig, 0, 1, 4096);
        rig_send(rig, 0, 1, 4096 - 562);
        rig_send(rig, 0, 1, 64);
        rig_run(rig, engines[e]);
        CHECK_EQUAL(rig->log_count, 3);
        CHECK_EQUAL(rig->log[0].time_ps, 1700 * NS + 4 * 11240 + 500000);
        CHECK_EQUAL(rig->log[1].time_ps, 3700 * NS + 3 * 11240 + 500000);
        CHECK_EQUAL(rig->log[2].time_ps, 3700 * NS + 4 * 11240 + 500000);
        struct port_counters c = rig_counters(rig, port), host = rig_counters(rig, 0);
        CHECK_EQUAL(c.tx_bytes, 4096 + 3534 + 64);
        CHECK_EQUAL(c.cells, 8 + 7 + 1);
        CHECK_EQUAL(c.padding_bytes, 16 * 562 - c.tx_bytes);
        CHECK_EQUAL(c.busy_ps, 16 * 11240);
        CHECK_EQUAL(c.queue_max_bytes, c.tx_bytes); /* the first one counts whole until its last cell has left */
        /* Arrivals at 581.92, 652.6 and 653.88 ns. Dark: to 700 ns and between windows; a gap between cells is all dark. */
        uint64_t gap_ps = 1000 * NS - 4 * 11240;
        CHECK_EQUAL(c.dark_wait_ps, 118080 + gap_ps + (47400 + 2 * 950000) + gap_ps + (46120 + 3 * 950000));
        CHECK_EQUAL(c.queue_wait_ps, 2 * 50000 + (3 * 50000 + 3 * 11240));
        CHECK_EQUAL(host.cells + host.padding_bytes, 0); /* it has no gate */
        CHECK_EQUAL(rig->engine->class->hop_count(rig->engine), 6);
        arena_free(rig->arena);
    }
}

/* The same at every port, with headers as ATM has them: 1,500 B are 32 cells of 53 B, 1.06 ns each. They do not cut through. */
static void test_cells_everywhere(void)
{
    for (size_t e = 0; e < 2; e++) {
        for (uint8_t is_cut = 0; is_cut < 2; is_cut++) {
            struct rig *rig = rig_line();
            ((uint8_t *)(uintptr_t)rig->fabric->node_cut_through)[2] = is_cut;
            rig->fabric->port_gate = NULL;
            rig->config.cells = (struct cell_shape){53, 5, true};
            rig_send(rig, 0, 1, 1500);
            rig_send(rig, 0, 1, 48);
            rig_run(rig, engines[e]);
            CHECK_EQUAL(rig->log_count, 2);
            CHECK_EQUAL(rig->log[0].time_ps, 2 * (32 * 1060 + 500000));
            CHECK_EQUAL(rig->log[1].time_ps, rig->log[0].time_ps + 1060);
            CHECK_EQUAL(rig_counters(rig, 0).padding_bytes, 33 * 53 - 1548);
            CHECK_EQUAL(rig_counters(rig, 0).busy_ps, 33 * 1060);
            arena_free(rig->arena);
        }
    }
}

/* One window and no more: a packet starts only if all of its cells fit, and a host is asked only if those of the largest do. */
static void test_cells_need_windows(void)
{
    for (size_t e = 0; e < 2; e++) {
        for (uint32_t at_host = 0; at_host < 2; at_host++) {
            struct rig *rig = rig_line();
            rig->config.cells = (struct cell_shape){500, 0, true}; /* 10 ns */
            rig->config.packet_bytes_max = 1500;
            rig_gate(rig, at_host ? 0 : hand_port(rig->fabric, 2, 1), 0, 1000 * NS, 1000 * NS + 49999);
            rig_send(rig, 0, 1, 1500);
            rig_send(rig, 0, 1, 1500);
            rig_send(rig, 0, 1, 400);
            rig_start(rig, engines[e]);
            CHECK_EQUAL(rig->engine->class->run(rig->engine, TIME_NEVER_PS), TIME_NEVER_PS);
            CHECK_EQUAL(rig->log_count, 1); /* 19.999 ns are left for the second, and the third waits behind it */
            CHECK_EQUAL(rig->sent[0], at_host ? 1 : 3);
            arena_free(rig->arena);
        }
    }
}

/* A window of 50 ns each microsecond, 5 cells of 10 ns in it; the link fails between the first window and the second. The packet
 * under way is lost and its last three cells are not sent: the next packet has the window after the repair to itself. */
static void test_link_fails_between_cells(void)
{
    for (size_t e = 0; e < 2; e++) {
        struct rig *rig = rig_line();
        uint32_t port = hand_port(rig->fabric, 2, 1);
        const struct link_change changes[] = {{1720 * NS, port, false, 0}, {2500 * NS, port, true, 0}};
        rig->config.link_changes = changes;
        rig->config.link_change_count = 2;
        rig->config.cells = (struct cell_shape){500, 0, false};
        rig_gate(rig, port, 1000 * NS, 700 * NS, 750 * NS);
        rig_send(rig, 0, 1, 4000);
        rig_send(rig, 0, 1, 2500);
        rig_run(rig, engines[e]);
        CHECK_EQUAL(rig->log_count, 1);
        CHECK_EQUAL(rig->log[0].time_ps, 2750 * NS + 500000);
        struct port_counters c = rig_counters(rig, port);
        CHECK_EQUAL(c.lost_packets, 1);
        CHECK_EQUAL(c.lost_bytes, 4000);
        CHECK_EQUAL(c.busy_ps, 120 * NS); /* 5 cells, 2 that started before 1.72 us, 5 */
        CHECK_EQUAL(c.cells, 13);
        arena_free(rig->arena);
    }
}

/* A rotor that always has something to send to one peer: the goodput of its slots by the size of cells, and every arrival to the
 * picosecond. Cell m is in the m / k-th slot, of which each holds k. */
static void test_rotor_goodput_by_cell_size(void)
{
    static const struct cell_shape shapes[] = {{64, 0, false},   {64, 8, false},     {256, 0, false},      {562, 12, false},
                                               {1500, 0, false}, {1600, 100, false}, {9000, 0, false}, {150000, 0, false}};
    for (size_t e = 0; e < 2; e++) {
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
            struct rig *rig = rotor(DETOUR_NONE);
            uint64_t cell_ps = shapes[i].bytes * 20, fitting = 9 * US / cell_ps; /* 20 ps a byte */
            uint64_t payload_bytes = shapes[i].bytes - shapes[i].header_bytes, cells = (1500 + payload_bytes - 1) / payload_bytes;
            uint32_t packets = (uint32_t)(3 * fitting / cells);
            rig->config.cells = shapes[i];
            for (uint32_t k = 0; k < packets; k++) {
                rig_send(rig, 0, 2, 1500);
            }
            rig_run(rig, engines[e]);
            CHECK_EQUAL(rig->log_count, packets);
            for (uint32_t k = 0; k < packets; k++) {
                uint64_t last = (k + 1) * cells - 1, slot_ps = last / fitting * 3 * SLOT_PS + SLOT_PS + DARK_PS;
                CHECK_EQUAL(rig->log[k].time_ps, slot_ps + (last % fitting + 1) * cell_ps + 1000 + 15 * NS);
            }
            CHECK_EQUAL(rig_counters(rig, hand_port(rig->fabric, 4, 6)).cells, packets * cells);
            arena_free(rig->arena);
        }
    }
}

/* ---- the controller ------------------------------------------------------------------------------------------ */

/* Told at 1 us, it acts at 3 us and opens the gate 5 us later for 50 ns: one packet of 30 ns. Then again. */
static void test_controller_opens_a_gate(void)
{
    for (size_t e = 0; e < 2; e++) {
        struct rig *rig = rig_line();
        uint32_t port = hand_port(rig->fabric, 2, 1);
        rig->config.control_delay_ps = 2 * US;
        rig_gate(rig, port, 0, 0, 0);
        rig_send(rig, 0, 1, 1500);
        rig_send(rig, 0, 1, 1500);
        rig_send(rig, 0, 1, 1500);
        rig_start(rig, engines[e]);
        engine_timer(rig->engine, 0, 1 * US, HOST_OPERATION, (uint64_t)port << 8 | 50);
        engine_timer(rig->engine, 1, 20 * US, HOST_OPERATION, (uint64_t)port << 8 | 29);
        engine_timer(rig->engine, 1, 30 * US, HOST_OPERATION, (uint64_t)port << 8 | 60);
        CHECK_EQUAL(rig->engine->class->run(rig->engine, 2 * US), 3 * US);
        CHECK_EQUAL(rig->engine->class->run(rig->engine, TIME_NEVER_PS), TIME_NEVER_PS);
        conservation_check(rig);
        CHECK_EQUAL(rig->log_count, 3);
        CHECK_EQUAL(rig->log[0].time_ps, 8 * US + 30 * NS + 500 * NS);
        CHECK_EQUAL(rig->log[1].time_ps, 37 * US + 30 * NS + 500 * NS); /* 29 ns were too few */
        CHECK_EQUAL(rig->log[2].time_ps, 37 * US + 60 * NS + 500 * NS);
        struct port_counters c = rig_counters(rig, port);
        CHECK_EQUAL(c.dark_wait_ps, 3 * (8 * US) - (530 + 560 + 590) * NS + 2 * (29 * US - (50 + 29) * NS));
        arena_free(rig->arena);
    }
}

/* What the controller closes stays closed for what waits, and finishes what is in service. */
static void test_controller_cuts_a_window_short(void)
{
    for (size_t e = 0; e < 2; e++) {
        struct rig *rig = rig_line();
        uint32_t port = hand_port(rig->fabric, 2, 1);
        rig->config.control_delay_ps = 2 * US;
        rig_gate(rig, port, 0, 0, 100 * US);
        for (uint32_t i = 0; i < 300; i++) {
            rig_send(rig, 0, 1, 1500);
        }
        rig_start(rig, engines[e]);
        engine_timer(rig->engine, 1, 1 * US, HOST_OPERATION, (uint64_t)port << 8); /* acts at 3 us: empty window */
        CHECK_EQUAL(rig->engine->class->run(rig->engine, TIME_NEVER_PS), TIME_NEVER_PS);
        /* Arrivals each 30 ns from 530 ns on, sent at once: starts at 530 + 30 i < 3000. */
        CHECK_EQUAL(rig->log_count, 83);
        CHECK_EQUAL(rig->engine->class->packets_in_flight(rig->engine), 217);
        arena_free(rig->arena);
    }
}

/* ---- failures ------------------------------------------------------------------------------------------------- */

/* Down at 10 us, up at 20 us. Starts each 30 ns; what would arrive after 10 us is lost: starts in (9.47, 10) us. */
static void test_link_fails_and_comes_back(void)
{
    for (size_t e = 0; e < 2; e++) {
        struct rig *rig = rig_line();
        const struct link_change changes[] = {{10 * US, 0, false, 0}, {20 * US, 0, true, 0}};
        rig->config.link_changes = changes;
        rig->config.link_change_count = 2;
        for (uint32_t i = 0; i < 1000; i++) {
            rig_send(rig, 0, 1, 1500);
        }
        rig_run(rig, engines[e]);
        struct port_counters c = rig_counters(rig, 0);
        uint64_t before = 10 * US / (30 * NS) + 1;             /* 334 starts: 0, 30, ... 9990 ns */
        uint64_t delivered = (10 * US - 530 * NS) / (30 * NS) + 1; /* of these: start + 530 ns <= 10 us */
        CHECK_EQUAL(c.tx_packets, 1000);
        CHECK_EQUAL(c.lost_packets, before - delivered);
        CHECK_EQUAL(c.lost_bytes, (before - delivered) * 1500);
        CHECK_EQUAL(rig->log_count, 1000 - (before - delivered));
        CHECK_EQUAL(rig->log[rig->log_count - 1].time_ps, 20 * US + (1000 - before) * 30 * NS + 1030 * NS);
        arena_free(rig->arena);
    }
}

/* A quarter of the rate from 10 to 20 us: 30 ns a packet, then 120, then 30 again, and nothing is lost. */
static void test_link_is_degraded(void)
{
    for (size_t e = 0; e < 2; e++) {
        struct rig *rig = rig_line();
        const struct link_change changes[] = {{10 * US, 0, true, 100000000000}, {20 * US, 0, true, 0}};
        rig->config.link_changes = changes;
        rig->config.link_change_count = 2;
        for (uint32_t i = 0; i < 1000; i++) {
            rig_send(rig, 0, 1, 1500);
        }
        rig_run(rig, engines[e]);
        uint64_t before = 334;                                /* starts at 0, 30, ... 9990 ns */
        uint64_t degraded = (20000 - 10020 + 119) / 120;      /* at 10020, 10140, ... before 20000 ns */
        uint64_t again_ns = 10020 + 120 * degraded;
        CHECK_EQUAL(rig->log_count, 1000);
        CHECK_EQUAL(rig_counters(rig, 0).lost_packets, 0);
        CHECK_EQUAL(rig->log[before].time_ps, (10020 + 120 + 500 + 30 + 500) * NS);
        CHECK_EQUAL(rig->log[999].time_ps, (again_ns + 30 * (1000 - before - degraded - 1) + 1060) * NS);
        arena_free(rig->arena);
    }
}

/* Two ways; the upper one dies at 10 us, routes change at 12 us: what waited there is dropped, the rest goes below. */
static void test_routes_react_after_their_delay(void)
{
    static const struct hand_link links[] = {{0, 2, 400000000000, 100000},  {1, 5, 400000000000, 100000},
                                             {2, 3, 400000000000, 100000},  {2, 4, 100000000000, 100000},
                                             {3, 5, 400000000000, 100000},  {4, 5, 400000000000, 100000}};
    for (size_t e = 0; e < 2; e++) {
        struct rig *rig = rig_new(2, 6, links, 6);
        uint8_t *cost = arena_array(rig->arena, rig->fabric->port_count, uint8_t);
        uint32_t upper = hand_port(rig->fabric, 2, 3), lower = hand_port(rig->fabric, 2, 4);
        memset(cost, 1, rig->fabric->port_count);
        cost[lower] = cost[rig->fabric->port_peer[lower]] = 2;
        rig->fabric->port_cost = cost;
        rig->config.routes = routes_new(rig->fabric, rig->arena);
        cost[upper] = cost[rig->fabric->port_peer[upper]] = 9;
        const struct routes *later = routes_new(rig->fabric, rig->arena);
        const uint64_t from_ps = 12 * US;
        const struct route_epochs epochs = {0, 1, 1, &from_ps, &later};
        const struct link_change changes[] = {{10 * US, upper, false, 0}, {10 * US, rig->fabric->port_peer[upper], false, 0}};
        rig->config.epochs = &epochs;
        rig->config.link_changes = changes;
        rig->config.link_change_count = 2;
        for (uint32_t i = 0; i < 1000; i++) {
            rig_send(rig, 0, 1, 1500);
        }
        rig_run(rig, engines[e]);
        struct port_counters up = rig_counters(rig, upper), low = rig_counters(rig, lower);
        /* Arrivals at the first switch at 130 + 30 i ns. */
        uint64_t before_failure = (10000 - 130 - 1) / 30 + 1, before_epoch = (12000 - 130 - 1) / 30 + 1;
        CHECK_EQUAL(up.tx_packets, before_failure);
        CHECK_EQUAL(up.dropped_packets, before_epoch - before_failure);
        CHECK_EQUAL(low.tx_packets, 1000 - before_epoch);
        CHECK_EQUAL(rig->log_count, 1000 - up.dropped_packets - up.lost_packets);
        CHECK_EQUAL(up.lost_packets, before_failure - ((10000 - 130 - 130) / 30 + 1));
        arena_free(rig->arena);
    }
}

/* No way at all in the new routes: such packets are counted where they came in. */
static void test_strays_are_counted(void)
{
    for (size_t e = 0; e < 2; e++) {
        struct rig *rig = rig_line();
        struct routes *none = arena_one(rig->arena, struct routes);
        *none = *routes_new(rig->fabric, rig->arena);
        struct route_row *rows = arena_array(rig->arena, rig->fabric->node_count, struct route_row);
        none->rows = rows; /* set 0 for all */
        none->sets = arena_one(rig->arena, struct port_set);
        rig->config.routes = routes_new(rig->fabric, rig->arena);
        const uint64_t from_ps = 10 * US;
        const struct routes *const later = none;
        const struct route_epochs epochs = {0, 1, 1, &from_ps, &later};
        rig->config.epochs = &epochs;
        for (uint32_t i = 0; i < 1000; i++) {
            rig_send(rig, 0, 1, 1500);
        }
        rig_run(rig, engines[e]);
        uint64_t delivered = (10000 - 530 - 1) / 30 + 1;
        CHECK_EQUAL(rig->log_count, delivered);
        CHECK_EQUAL(rig_counters(rig, hand_port(rig->fabric, 2, 0)).stray_packets, 1000 - delivered);
        arena_free(rig->arena);
    }
}

TEST_MAIN("engine_gates", TEST(test_guard_costs_its_share), TEST(test_what_does_not_fit_waits),
          TEST(test_host_behind_a_gate), TEST(test_rotor_serves_a_peer_in_its_slot), TEST(test_valiant_spreads),
          TEST(test_backlog_detours_when_long), TEST(test_cells_cross_windows), TEST(test_cells_everywhere),
          TEST(test_cells_need_windows), TEST(test_link_fails_between_cells), TEST(test_rotor_goodput_by_cell_size), TEST(test_controller_opens_a_gate),
          TEST(test_controller_cuts_a_window_short), TEST(test_link_fails_and_comes_back), TEST(test_link_is_degraded),
          TEST(test_routes_react_after_their_delay), TEST(test_strays_are_counted))
