/* The windowed engine against the plain one, which is the specification: on small random scenarios both must make
 * the same callbacks at the same times, event by event and host by host, and the same counters on every link, whatever
 * the queues do (classes, marks, trims, pauses, credits, shared buffers, adaptive choice), and whatever links lose and repeat.
 * Asserted: equality only; what the times should be is asserted of the plain engine in test_engine.c. Build with
 * -DPHOTONET_FAULT (equal times at a node served in the wrong order) to see it fail. */
#include "netsim/base/rng.h"
#include "netsim/base/simd.h"
#include "netsim/engine/engine.h"
#include "netsim/engine/group_tree.h"
#include "netsim/engine/visit.h"
#include "netsim/transport/endpoint.h"
#include "tests/check.h"
#include "tests/reference.h"

/* ---- a random fabric -------------------------------------------------------------------------------------- */

#define NODES_MAX 64
#define LINKS_MAX 400

struct draw {
    uint64_t seed, ordinal;
};

static uint32_t draw_below(struct draw *draw, uint32_t bound)
{
    return rng_below(rng_draw(draw->seed, 77, draw->ordinal++), bound);
}

static bool draw_once_in(struct draw *draw, uint32_t n)
{
    return draw_below(draw, n) == 0;
}

struct link {
    uint32_t a, b;
    bool is_short;
};

struct scenario {
    struct draw draw;
    uint32_t hosts, switches, link_count;
    struct link links[LINKS_MAX];
    bool is_short[2 * LINKS_MAX]; /* per port */
    struct route routes[NODES_MAX];
    bool is_arithmetic;
    struct fabric fabric;
    uint32_t cut_through_bytes;
    uint64_t until_ps; /* random detours and routes that change can send packets in circles for ever */
    struct queue_profile switch_queues, host_queues;
    struct ways ways;
    bool is_source_routed, links_repeat;
};

static void link_add(struct scenario *s, uint32_t a, uint32_t b)
{
    if (a != b && s->link_count < LINKS_MAX) {
        s->links[s->link_count++] = (struct link){a, b, false};
    }
}

static void tree_routes(struct scenario *s, uint32_t leaves, uint32_t per_leaf, uint32_t spines, uint32_t parallel)
{
    for (uint32_t node = 0; node < s->hosts; node++) {
        s->routes[node] = (struct route){.down_stride = 1, .up_count = 1};
    }
    for (uint32_t leaf = 0; leaf < leaves; leaf++) {
        s->routes[s->hosts + leaf] = (struct route){leaf * per_leaf, (leaf + 1) * per_leaf, 1, 0, 1,
                                                    (uint16_t)per_leaf, (uint16_t)(spines * parallel), 0, 0};
    }
    for (uint32_t spine = 0; spine < spines; spine++) {
        s->routes[s->hosts + leaves + spine] = (struct route){0, s->hosts, per_leaf, 0, (uint16_t)parallel, 0, 0, 0, 0};
    }
}

static void tree_make(struct scenario *s, uint32_t leaves, uint32_t per_leaf, uint32_t spines, uint32_t parallel)
{
    s->hosts = leaves * per_leaf;
    s->switches = leaves + spines;
    tree_routes(s, leaves, per_leaf, spines, parallel);
    for (uint32_t host = 0; host < s->hosts; host++) {
        link_add(s, host, s->hosts + host / per_leaf);
    }
    for (uint32_t leaf = 0; leaf < leaves; leaf++) {
        for (uint32_t i = 0; i < spines * parallel; i++) {
            link_add(s, s->hosts + leaf, s->hosts + leaves + i / parallel);
        }
    }
}

/* Two tiers, with parallel links at times; with arithmetic routes or with tables. */
static void links_tree(struct scenario *s)
{
    uint32_t leaves = 1 + draw_below(&s->draw, 5), spines = 1 + draw_below(&s->draw, 4);
    uint32_t parallel = 1 + draw_below(&s->draw, 2), per_leaf = 1 + draw_below(&s->draw, 8);
    per_leaf += leaves * per_leaf == 1;
    s->is_arithmetic = !draw_once_in(&s->draw, 4);
    tree_make(s, leaves, per_leaf, spines, parallel);
}

/* The same with up to three vectors of ways up, and as many hosts below, more, or less. */
static void links_wide_tree(struct scenario *s)
{
    s->is_arithmetic = true;
    tree_make(s, 2, 1 + draw_below(&s->draw, 18), 1 + draw_below(&s->draw, draw_once_in(&s->draw, 2) ? 4 : 24), 1);
}

/* A random tree over all nodes plus more links; hosts forward for others. */
static void links_random(struct scenario *s)
{
    s->hosts = 2 + draw_below(&s->draw, 10);
    s->switches = draw_below(&s->draw, 8);
    uint32_t nodes = s->hosts + s->switches;
    for (uint32_t node = 1; node < nodes; node++) {
        link_add(s, node, draw_below(&s->draw, node));
    }
    for (uint32_t more = draw_below(&s->draw, 2 * nodes); more > 0; more--) {
        link_add(s, draw_below(&s->draw, nodes), draw_below(&s->draw, nodes));
    }
}

/* Every host at every one of some switches: hosts with many ports. */
static void links_rails(struct scenario *s)
{
    s->hosts = 2 + draw_below(&s->draw, 8);
    s->switches = 1 + draw_below(&s->draw, 6);
    for (uint32_t host = 0; host < s->hosts; host++) {
        for (uint32_t rail = 0; rail < s->switches; rail++) {
            link_add(s, host, s->hosts + rail);
        }
    }
}

static void short_link_add(struct scenario *s, uint32_t a, uint32_t b)
{
    uint32_t before = s->link_count;
    link_add(s, a, b);
    s->links[s->link_count - 1].is_short |= s->link_count > before;
}

/* Servers of hosts that short links join, to one another or by a switch of their own, or by both; among servers two tiers. */
static void links_servers(struct scenario *s)
{
    uint32_t servers = 1 + draw_below(&s->draw, 4), size = 1 + draw_below(&s->draw, 5), spines = 1 + draw_below(&s->draw, 3);
    uint32_t how = 1 + draw_below(&s->draw, 3);
    s->hosts = servers * size + (servers * size == 1);
    s->switches = 2 * servers + spines; /* of servers, leaves, spines */
    for (uint32_t host = 0; host < s->hosts; host++) {
        uint32_t server = host / size < servers ? host / size : servers - 1, first = server * size;
        for (uint32_t other = first; (how & 1) && other < host; other++) {
            short_link_add(s, host, other);
        }
        if (how & 2) {
            short_link_add(s, host, s->hosts + server);
        }
        if (host == first || !draw_once_in(&s->draw, 3)) {
            link_add(s, host, s->hosts + servers + server);
        }
    }
    for (uint32_t server = 0; server < servers; server++) {
        for (uint32_t i = 0; i < spines; i++) {
            link_add(s, s->hosts + servers + server, s->hosts + 2 * servers + i);
        }
        if (draw_once_in(&s->draw, 3)) {
            short_link_add(s, s->hosts + server, s->hosts + servers + server);
        }
    }
    short_link_add(s, s->hosts + 2 * servers - 1, s->hosts + draw_below(&s->draw, 2 * servers - 1)); /* leaves, maybe */
    if (!(how & 2)) {
        for (uint32_t server = 0; server < servers; server++) { /* no switch is left alone */
            link_add(s, s->hosts + server, s->hosts + servers + server);
        }
    }
}

/* How times are drawn: all equal (many ties), short, mixed, from nothing to far beyond the ring of windows. */
static uint64_t delay_draw(struct scenario *s, uint32_t how)
{
    static const uint64_t mixed_ns[] = {0, 1, 5, 50, 100, 500, 500, 1000, 5000, 100000};
    switch (how) {
    case 0: return 500 * PS_PER_NS;
    case 1: return (5 + draw_below(&s->draw, 45)) * PS_PER_NS;
    case 2: return (100 + 100 * draw_below(&s->draw, 10)) * PS_PER_NS;
    case 3: return 0;
    default: return mixed_ns[draw_below(&s->draw, 10)] * PS_PER_NS;
    }
}

static uint64_t rate_draw(struct scenario *s, uint32_t how)
{
    static const uint64_t rates[] = {100000000000, 200000000000, 400000000000, 800000000000, 123456789123, 7200000000000};
    return rates[how < 2 ? 2 : how < 4 ? draw_below(&s->draw, 3) : draw_below(&s->draw, 6)];
}

static void ports_make(struct scenario *s, struct arena *arena)
{
    struct fabric *f = &s->fabric;
    uint32_t *first = arena_array(arena, f->node_count + 1, uint32_t);
    uint32_t *next = arena_array(arena, f->node_count, uint32_t);
    for (uint32_t i = 0; i < s->link_count; i++) {
        first[s->links[i].a + 1]++;
        first[s->links[i].b + 1]++;
    }
    for (uint32_t node = 0; node < f->node_count; node++) {
        first[node + 1] += first[node];
        next[node] = first[node];
    }
    uint32_t *node_of = arena_array(arena, f->port_count, uint32_t);
    f->port_peer = arena_array(arena, f->port_count, uint32_t);
    for (uint32_t i = 0; i < s->link_count; i++) {
        uint32_t a = next[s->links[i].a]++, b = next[s->links[i].b]++;
        f->port_peer[a] = b;
        f->port_peer[b] = a;
        s->is_short[a] = s->is_short[b] = s->links[i].is_short;
        node_of[a] = s->links[i].a;
        node_of[b] = s->links[i].b;
    }
    f->port_first = first;
    f->port_node = node_of;
}

static void links_fill(struct scenario *s, struct arena *arena)
{
    struct fabric *f = &s->fabric;
    uint32_t delays = draw_below(&s->draw, 5), rates = draw_below(&s->draw, 6);
    uint32_t shorts = draw_below(&s->draw, 3);
    bool is_bounded = draw_once_in(&s->draw, 3), is_late = draw_once_in(&s->draw, 4);
    uint64_t *rate = arena_array(arena, f->port_count, uint64_t), *queue = arena_array(arena, f->port_count, uint64_t);
    f->propagation_ps = arena_array(arena, f->port_count, uint64_t);
    f->device_ps = arena_array(arena, f->port_count, uint64_t);
    f->port_up_ps = arena_array(arena, f->port_count, uint64_t);
    for (uint32_t port = 0; port < f->port_count; port++) {
        rate[port] = rate_draw(s, rates);
        f->propagation_ps[port] = delay_draw(s, s->is_short[port] ? (shorts == 2 ? 3 : 1) : delays);
        queue[port] = is_bounded ? 5000 + draw_below(&s->draw, 60000) : UINT64_MAX;
        f->port_up_ps[port] = is_late && draw_once_in(&s->draw, 2) ? draw_below(&s->draw, 20000000) : 0;
    }
    f->rate_bps = rate;
    f->port_queue_bytes = queue;
}

static void nodes_fill(struct scenario *s, struct arena *arena)
{
    struct fabric *f = &s->fabric;
    uint8_t *kind = arena_array(arena, f->node_count, uint8_t), *cut = arena_array(arena, f->node_count, uint8_t);
    uint8_t *tier = arena_array(arena, f->node_count, uint8_t);
    uint64_t *latency = arena_array(arena, f->node_count, uint64_t);
    uint32_t latencies = draw_below(&s->draw, 3), cuts = draw_below(&s->draw, 4);
    for (uint32_t node = 0; node < f->node_count; node++) {
        kind[node] = node < s->hosts ? NODE_HOST : NODE_SWITCH;
        tier[node] = node >= s->hosts;
        cut[node] = cuts == 1 ? node >= s->hosts : cuts > 1 && draw_once_in(&s->draw, 2);
        latency[node] = latencies == 0 ? 0 : latencies == 1 ? 300000 : 100 * (uint64_t)draw_below(&s->draw, 10000);
    }
    f->node_kind = kind;
    f->node_cut_through = cut;
    f->node_tier = tier;
    f->node_latency_ps = latency;
}

/* ---- random queues ------------------------------------------------------------------------------------------ */

enum queue_mode { QUEUES_PLAIN, QUEUES_MARKED, QUEUES_APART, QUEUES_PAUSED, QUEUES_ANY, QUEUE_MODES };

static uint64_t draw_between(struct draw *draw, uint32_t low, uint32_t high)
{
    return low + draw_below(draw, high - low);
}

static void class_draw(struct draw *draw, uint32_t class_count, struct queue_class *class)
{
    *class = (struct queue_class){.priority = draw_below(draw, 3), .quantum_bytes = draw_between(draw, 1, 9000),
                                  .full = (enum full_rule)draw_below(draw, 3), .trim_class = draw_below(draw, class_count),
                                  .mark = (enum mark_point)draw_below(draw, 3)};
    class->capacity_bytes = draw_once_in(draw, 3) ? 0 : draw_between(draw, 100, 60000);
    class->mark_low_bytes = draw_below(draw, 20000);
    class->mark_high_bytes = class->mark_low_bytes + draw_below(draw, 20000);
}

/* Pauses and credits only where the packets fit, or most scenarios would soon stand still. */
static void class_couple(struct draw *draw, bool has_pauses, bool has_credits, struct queue_class *class)
{
    if (has_pauses && !draw_once_in(draw, 4)) {
        class->xoff_bytes = draw_between(draw, 100, 40000);
        class->xon_bytes = draw_below(draw, (uint32_t)class->xoff_bytes + 1);
        class->buffer_bytes = draw_once_in(draw, 3) ? draw_between(draw, 20000, 300000) : 0;
    }
    if (has_credits && !draw_once_in(draw, 4)) {
        class->credit_bytes = draw_between(draw, PACKET_BYTES_MAX, 4 * PACKET_BYTES_MAX);
    }
}

/* Most often less than a packet to some. */
static uint32_t grade_draw(struct draw *draw)
{
    return draw_once_in(draw, 2) ? 0 : draw_once_in(draw, 8) ? GRADE_SHIFT_MAX : (uint32_t)draw_between(draw, 6, 17);
}

static void profile_draw(struct draw *draw, enum queue_mode mode, struct queue_profile *profile)
{
    *profile = queue_profile_plain;
    if (mode == QUEUES_PLAIN) {
        return;
    }
    if (mode == QUEUES_MARKED || mode == QUEUES_PAUSED) { /* still FIFOs, or but for pauses and choices: for the vector loops */
        class_draw(draw, 1, &profile->class[0]);
        profile->class[0].full = FULL_DROP;
        profile->class[0].mark_high_bytes *= 1 + draw_below(draw, 4);
        class_couple(draw, mode == QUEUES_PAUSED, false, &profile->class[0]);
        profile->is_adaptive = mode == QUEUES_PAUSED && draw_once_in(draw, 2);
        profile->grade_shift = grade_draw(draw);
        return;
    }
    bool is_apart = mode == QUEUES_APART, has_pauses = !is_apart && draw_once_in(draw, 2);
    bool has_credits = !is_apart && draw_once_in(draw, 3);
    profile->class_count = 1 + draw_below(draw, draw_once_in(draw, 4) ? CLASSES_MAX : 3);
    for (uint32_t i = 0; i < profile->class_count; i++) {
        class_draw(draw, profile->class_count, &profile->class[i]);
        class_couple(draw, has_pauses, has_credits, &profile->class[i]);
    }
    profile->trim_bytes = 64;
    profile->shared_bytes = !is_apart && draw_once_in(draw, 3) ? draw_between(draw, 10000, 300000) : 0;
    profile->alpha_log2 = (int32_t)draw_below(draw, 9) - 4;
    profile->load_period_ps = draw_once_in(draw, 4) ? draw_between(draw, 1000, 20000000) : 0;
    profile->is_adaptive = !is_apart && draw_once_in(draw, 2);
    profile->grade_shift = grade_draw(draw);
}

static void queues_draw(struct scenario *s)
{
    enum queue_mode mode = (enum queue_mode)draw_below(&s->draw, QUEUE_MODES);
    profile_draw(&s->draw, mode, &s->switch_queues);
    s->host_queues = s->switch_queues;
    if (draw_once_in(&s->draw, 3)) {
        profile_draw(&s->draw, (enum queue_mode)draw_below(&s->draw, mode + 1), &s->host_queues);
    }
}

/* Regions, rings, and lanes by them where there are classes enough. */
static void detours_draw(struct scenario *s, struct arena *arena)
{
    uint8_t *ring = arena_array(arena, s->fabric.port_count, uint8_t), *tier = arena_array(arena, s->fabric.node_count, uint8_t);
    uint32_t *region = arena_array(arena, s->fabric.node_count, uint32_t), regions = 1 + draw_below(&s->draw, 4);
    for (uint32_t port = 0; port < s->fabric.port_count; port++) {
        ring[port] = (uint8_t)(draw_below(&s->draw, 3) | (draw_once_in(&s->draw, 4) ? RING_CLOSED : 0));
    }
    for (uint32_t node = 0; node < s->fabric.node_count; node++) {
        region[node] = node < s->hosts || draw_once_in(&s->draw, 5) ? ID_NONE : draw_below(&s->draw, regions);
        tier[node] = (uint8_t)draw_below(&s->draw, 3);
    }
    s->fabric.port_ring = ring;
    s->fabric.node_colour = tier; /* any numbers */
    s->fabric.node_region = region;
    s->fabric.node_tier = tier;
    s->is_source_routed = draw_once_in(&s->draw, 4);
    s->switch_queues.lane_count = s->host_queues.lane_count = 1 + draw_below(&s->draw, s->switch_queues.class_count);
    s->switch_queues.lane_rule = s->host_queues.lane_rule = (enum lane_rule)draw_below(&s->draw, 5);
    uint32_t fewest = s->host_queues.class_count < s->switch_queues.class_count ? s->host_queues.class_count
                                                                                : s->switch_queues.class_count;
    if (s->switch_queues.lane_count > fewest) {
        s->switch_queues.lane_count = s->host_queues.lane_count = 0;
    }
}

/* Some links, or all of them, lose packets by bit errors: seldom, often, nearly all; all of a packet's bits count, or its
 * codewords. */
static void errors_draw(struct scenario *s, struct arena *arena)
{
    struct frame_loss *losses = arena_array(arena, s->fabric.port_count, struct frame_loss);
    uint32_t one_in = 1 + draw_below(&s->draw, 4);
    for (uint32_t port = 0; port < s->fabric.port_count; port++) {
        uint64_t chance = UINT64_MAX >> draw_below(&s->draw, 12);
        uint32_t word_bits = draw_once_in(&s->draw, 2) ? 1 : 5140;
        losses[port] = (struct frame_loss){.chance = draw_once_in(&s->draw, one_in) ? chance - chance / 100 : 0,
                                           .bits_more = word_bits - 1, .bits_min = word_bits == 1 ? 0 : 2 * word_bits,
                                           .bits_full = word_bits - 1 + 8 * (1000 + draw_below(&s->draw, PACKET_BYTES_MAX))};
    }
    s->fabric.port_frame_loss = losses;
    s->links_repeat = draw_once_in(&s->draw, 2);
}

static void fabric_make(struct scenario *s, struct arena *arena)
{
    s->cut_through_bytes = 64;
    s->until_ps = 300 * PS_PER_US;
    s->fabric = (struct fabric){.arena = arena, .name = "random", .family = "test", .host_count = s->hosts,
                                .node_count = s->hosts + s->switches, .port_count = 2 * s->link_count};
    s->fabric.route = s->is_arithmetic ? s->routes : NULL;
    ports_make(s, arena);
    links_fill(s, arena);
    nodes_fill(s, arena);
}

static void scenario_make(struct scenario *s, uint64_t seed, struct arena *arena)
{
    static void (*const shapes[])(struct scenario *) = {links_tree, links_tree, links_random, links_rails, links_servers};
    memset(s, 0, sizeof *s);
    s->draw.seed = seed;
    shapes[draw_below(&s->draw, 5)](s);
    fabric_make(s, arena);
    queues_draw(s);
    if (s->is_arithmetic && draw_once_in(&s->draw, 2)) { /* where hosts pass packets on, a detour may lead back for ever */
        detours_draw(s, arena);
    }
    if (draw_once_in(&s->draw, 3)) {
        errors_draw(s, arena);
    }
}

/* Links of one length, up from the start, and no queue of their own. */
static void links_even(struct scenario *s, uint32_t rates, struct arena *arena)
{
    struct fabric *f = &s->fabric;
    uint64_t *rate = arena_array(arena, f->port_count, uint64_t), *queue = arena_array(arena, f->port_count, uint64_t);
    uint64_t delay_ps = (500 + 250 * draw_below(&s->draw, 4)) * PS_PER_NS;
    f->propagation_ps = arena_array(arena, f->port_count, uint64_t);
    f->port_up_ps = arena_array(arena, f->port_count, uint64_t);
    f->port_frame_loss = NULL;
    f->node_region = NULL;
    for (uint32_t port = 0; port < f->port_count; port++) {
        rate[port] = rate_draw(s, rates);
        queue[port] = UINT64_MAX;
        f->propagation_ps[port] = delay_ps;
    }
    f->rate_bps = rate;
    f->port_queue_bytes = queue;
}

/* Ports of one class, or two of which one goes first, and nothing else that is unusual: for the vector loops. Times are
 * round, so that many are equal. */
static void classes_draw(struct scenario *s, struct arena *arena)
{
    uint32_t rates = draw_below(&s->draw, 4);
    links_even(s, draw_once_in(&s->draw, 2) ? 2 : rates, arena);
    struct queue_profile *profile = &s->switch_queues;
    *profile = queue_profile_plain;
    profile->class_count = draw_once_in(&s->draw, 6) ? 1 : 2;
    for (uint32_t i = 0; i < profile->class_count; i++) {
        class_draw(&s->draw, profile->class_count, &profile->class[i]);
        profile->class[i].capacity_bytes *= 4;
        profile->class[i].mark_low_bytes *= 1 + draw_below(&s->draw, 8);
        profile->class[i].mark_high_bytes = profile->class[i].mark_low_bytes + draw_below(&s->draw, 20000);
    }
    bool is_second_first = profile->class[0].priority > 0 && draw_once_in(&s->draw, 2);
    profile->class[1].priority = is_second_first ? profile->class[0].priority - 1 : profile->class[0].priority + 1;
    profile->trim_bytes = 64;
    s->host_queues = *profile;
}

/* Ways up on which a packet takes from dozens of windows to longer than 32 bits count picoseconds. */
static void ways_slow_down(struct scenario *s, struct arena *arena)
{
    static const uint64_t slow_bps[] = {8000000000, 800000000, 80000000, 8000000, 800000};
    struct fabric *f = &s->fabric;
    uint64_t *rate = arena_array(arena, f->port_count, uint64_t), ups_bps = slow_bps[draw_below(&s->draw, 5)];
    memcpy(rate, f->rate_bps, f->port_count * sizeof *rate);
    for (uint32_t node = s->hosts; node < f->node_count; node++) {
        for (uint32_t i = 0; i < s->routes[node].up_count; i++) {
            rate[f->port_first[node] + s->routes[node].up_port + i] = ups_bps;
        }
    }
    f->rate_bps = rate;
}

/* Adaptive choice among many ports, with pauses or without, for the vector loops: where hosts are as many as ways up these
 * are nearly idle, where they are more, nearly full. */
static void choices_make(struct scenario *s, uint64_t seed, struct arena *arena)
{
    memset(s, 0, sizeof *s);
    s->draw.seed = seed;
    links_wide_tree(s);
    fabric_make(s, arena);
    links_even(s, draw_once_in(&s->draw, 3) ? 2 : 0, arena);
    if (draw_once_in(&s->draw, 4)) {
        ways_slow_down(s, arena);
    }
    struct queue_profile *profile = &s->switch_queues;
    *profile = queue_profile_plain;
    class_draw(&s->draw, 1, &profile->class[0]);
    class_couple(&s->draw, draw_once_in(&s->draw, 2), false, &profile->class[0]);
    profile->class[0].full = FULL_DROP;
    profile->class[0].mark = draw_once_in(&s->draw, 2) ? profile->class[0].mark : MARK_NEVER;
    profile->class[0].capacity_bytes *= draw_once_in(&s->draw, 2) ? 0 : 8;
    profile->is_adaptive = true;
    profile->grade_shift = grade_draw(&s->draw);
    s->host_queues = *profile;
}

/* Thresholds of a few small packets to some hundred of them: ports are paused while a window brings them many. */
static void pauses_make(struct scenario *s, uint64_t seed, struct arena *arena)
{
    choices_make(s, seed, arena);
    struct queue_class *class = &s->switch_queues.class[0];
    class->xoff_bytes = draw_between(&s->draw, 100, 400u << draw_below(&s->draw, 7));
    class->xon_bytes = draw_below(&s->draw, (uint32_t)class->xoff_bytes + 1);
    class->buffer_bytes = 0;
    class->capacity_bytes = draw_once_in(&s->draw, 3) ? draw_between(&s->draw, 500, 60000) : 0;
    s->switch_queues.is_adaptive = draw_once_in(&s->draw, 2);
    s->host_queues = s->switch_queues;
}

/* ---- thresholds that are met -------------------------------------------------------------------------------- */

/* A few packets, or many; at times a byte less. */
static uint64_t even_draw(struct draw *draw, uint64_t unit_bytes)
{
    return unit_bytes * (1 + draw_below(draw, 1u << draw_below(draw, 9))) - draw_below(draw, 2);
}

/* Of what must hold a packet. */
static uint64_t even_room_draw(struct draw *draw, uint64_t unit_bytes)
{
    uint64_t bytes = even_draw(draw, unit_bytes);
    return bytes < unit_bytes ? unit_bytes : bytes;
}

static void profile_even(struct draw *draw, uint64_t unit, bool have_credits, struct queue_profile *profile)
{
    for (uint32_t i = 0; i < profile->class_count; i++) {
        struct queue_class *class = &profile->class[i];
        class->capacity_bytes = class->capacity_bytes > 0 ? even_room_draw(draw, unit) : 0;
        class->mark_low_bytes = even_draw(draw, unit);
        class->mark_high_bytes = class->mark_low_bytes + (draw_once_in(draw, 2) ? 0 : even_draw(draw, unit));
        if (class->xoff_bytes > 0 && class->buffer_bytes == 0) {
            class->xoff_bytes = even_draw(draw, unit);
            uint64_t xon_bytes = even_draw(draw, unit);
            class->xon_bytes = xon_bytes < class->xoff_bytes ? xon_bytes : class->xoff_bytes;
        }
        class->credit_bytes = class->credit_bytes > 0 && have_credits ? even_room_draw(draw, unit) : class->credit_bytes;
    }
    profile->shared_bytes = profile->shared_bytes > 0 ? 4 * even_draw(draw, unit) : 0;
}

/* All packets of one size, and thresholds of so many of them: whether what is compared may be equal is seen at once. */
static void thresholds_even(struct scenario *s, uint64_t unit, bool have_credits)
{
    bool is_same = memcmp(&s->switch_queues, &s->host_queues, sizeof s->host_queues) == 0;
    profile_even(&s->draw, unit, have_credits, &s->switch_queues);
    if (is_same) {
        s->host_queues = s->switch_queues;
    } else {
        profile_even(&s->draw, unit, have_credits, &s->host_queues);
    }
}

/* Links on which a packet takes a good part of a window, and room for one or two of them: often the one packet that comes
 * finds one in service and nothing behind it. */
static void room_narrow(struct scenario *s, uint64_t unit, struct arena *arena)
{
    uint64_t *rate = arena_array(arena, s->fabric.port_count, uint64_t);
    uint64_t unit_bps = unit * UINT64_C(4000000); /* a packet in 2 us */
    for (uint32_t port = 0; port < s->fabric.port_count; port++) {
        rate[port] = (1 + draw_below(&s->draw, 8)) * unit_bps;
    }
    s->fabric.rate_bps = rate;
    struct queue_class *class = &s->switch_queues.class[0];
    class->capacity_bytes = unit * (1 + s->draw.seed / 2 % 2) - s->draw.seed / 4 % 2; /* all of them in eight scenarios */
    class->mark_low_bytes = draw_once_in(&s->draw, 2) ? unit - draw_below(&s->draw, 2) : class->mark_low_bytes;
    s->host_queues = s->switch_queues;
}

/* ---- gates, detours, failures, changing routes, groups ----------------------------------------------------------- */

#define CHANGES_MAX 24
#define EPOCHS_MAX  4
#define GROUPS_MAX  3

struct circuits {
    struct gate gates[2 * LINKS_MAX];
    struct gate_window windows[8 * LINKS_MAX];
    uint32_t port_gate[2 * LINKS_MAX];
    struct detour detours[NODES_MAX];
    struct link_change changes[CHANGES_MAX];
    struct route_epochs epochs;
    uint64_t from_ps[EPOCHS_MAX];
    const struct routes *routes[EPOCHS_MAX];
    struct group_builder builder;
    struct tree trees[GROUPS_MAX];
    uint32_t members[GROUPS_MAX][NODES_MAX];
};

static void gate_draw(struct scenario *s, struct circuits *c, uint32_t port)
{
    struct gate *gate = &c->gates[s->fabric.gate_count];
    uint64_t unit_ps = draw_once_in(&s->draw, 2) ? 2000000 : 200000, at_ps = draw_below(&s->draw, (uint32_t)unit_ps);
    *gate = (struct gate){.window_first = s->fabric.gate_window_count, .window_count = draw_below(&s->draw, 4),
                          .is_rerouting = draw_once_in(&s->draw, 3)};
    uint64_t first_ps = at_ps;
    for (uint32_t i = 0; i < gate->window_count; i++) {
        uint64_t open_ps = i == 0 ? at_ps : at_ps + draw_below(&s->draw, (uint32_t)unit_ps);
        at_ps = open_ps + 1 + draw_below(&s->draw, 2 * (uint32_t)unit_ps);
        c->windows[s->fabric.gate_window_count++] = (struct gate_window){open_ps, at_ps};
    }
    if (gate->window_count > 0 && !draw_once_in(&s->draw, 4)) {
        gate->period_ps = at_ps - (draw_once_in(&s->draw, 2) ? first_ps : 0) + draw_below(&s->draw, (uint32_t)unit_ps);
        const struct gate_window *last = &c->windows[s->fabric.gate_window_count - 1];
        gate->period_ps = gate->period_ps > last->open_ps ? gate->period_ps : at_ps;
    }
    c->port_gate[port] = s->fabric.gate_count++;
}

static void gates_draw(struct scenario *s, struct circuits *c)
{
    uint32_t one_in = 1 + draw_below(&s->draw, 6);
    for (uint32_t port = 0; port < s->fabric.port_count; port++) {
        c->port_gate[port] = ID_NONE;
        if (draw_once_in(&s->draw, one_in)) {
            gate_draw(s, c, port);
        }
    }
    s->fabric.gates = c->gates;
    s->fabric.gate_windows = c->windows;
    s->fabric.port_gate = c->port_gate;
    for (uint32_t node = 0; node < s->fabric.node_count; node++) {
        uint32_t ports = s->fabric.port_first[node + 1] - s->fabric.port_first[node];
        struct detour *detour = &c->detours[node];
        detour->rule = (enum detour_rule)draw_below(&s->draw, 3);
        detour->first = draw_below(&s->draw, ports);
        detour->count = draw_below(&s->draw, ports - detour->first + 1);
        detour->threshold_bytes = draw_below(&s->draw, 20000);
    }
    s->fabric.detours = draw_once_in(&s->draw, 2) ? c->detours : NULL;
}

static void changes_draw(struct scenario *s, struct circuits *c, struct engine_config *config)
{
    uint64_t at_ps = 0;
    for (uint32_t i = draw_below(&s->draw, CHANGES_MAX + 1); i > 0; i--) {
        at_ps += draw_below(&s->draw, 2000000);
        c->changes[config->link_change_count++] =
            (struct link_change){at_ps, draw_below(&s->draw, s->fabric.port_count), draw_once_in(&s->draw, 2),
                                 draw_once_in(&s->draw, 2) ? 1000000000 + draw_below(&s->draw, 400000000) * UINT64_C(1000) : 0};
    }
    config->link_changes = c->changes;
}

/* Routes of the same fabric without some of its links. */
static void epochs_draw(struct scenario *s, struct circuits *c, struct engine_config *config, struct arena *arena)
{
    uint64_t at_ps = 0;
    c->epochs = (struct route_epochs){.count = draw_below(&s->draw, EPOCHS_MAX + 1), .from_ps = c->from_ps,
                                      .class_mask = draw_below(&s->draw, 256), .routes = c->routes};
    for (uint32_t i = 0; i < c->epochs.count; i++) {
        struct fabric *less = arena_one(arena, struct fabric);
        *less = s->fabric;
        less->route = NULL;
        less->port_peer = arena_array(arena, less->port_count, uint32_t);
        memcpy(less->port_peer, s->fabric.port_peer, less->port_count * sizeof *less->port_peer);
        for (uint32_t k = draw_below(&s->draw, 4); k > 0; k--) {
            uint32_t port = draw_below(&s->draw, less->port_count);
            less->port_peer[s->fabric.port_peer[port]] = less->port_peer[port] = ID_NONE;
        }
        c->routes[i] = routes_new(less, arena);
        at_ps += draw_below(&s->draw, 3000000);
        c->from_ps[i] = at_ps;
    }
    c->epochs.period_ps = draw_once_in(&s->draw, 2) ? at_ps + 1 + draw_below(&s->draw, 1000000) : 0;
    config->epochs = &c->epochs;
}

static void groups_draw(struct scenario *s, struct circuits *c, struct engine_config *config, struct arena *arena)
{
    static uint32_t (*const add[])(struct group_builder *, const struct tree *) = {group_add_copy, group_add_reduce};
    c->builder.arena = arena;
    for (uint32_t i = 0; i < GROUPS_MAX && s->hosts > 1; i++) {
        uint32_t count = 0, wanted = 2 + draw_below(&s->draw, 6);
        for (uint32_t host = draw_below(&s->draw, 3); host < s->hosts && count < wanted; host += 1 + draw_below(&s->draw, 3)) {
            c->members[c->builder.group_count][count++] = host;
        }
        struct tree *tree = &c->trees[c->builder.group_count];
        if (count < 2 || !tree_find(&s->fabric, c->members[c->builder.group_count], count, draw_below(&s->draw, 4), arena, tree)) {
            continue;
        }
        uint32_t how = draw_below(&s->draw, 3);
        if (how < 2) {
            add[how](&c->builder, tree);
        } else {
            group_add_reduce_to(&c->builder, tree, draw_below(&s->draw, count));
        }
    }
    config->groups = groups_build(&c->builder, draw_once_in(&s->draw, 2) ? 0 : draw_below(&s->draw, 2000000), 1 << 14);
}

/* From less than the smallest packet to more than most windows hold, some nearly all header. */
static void cells_draw(struct scenario *s, struct engine_config *config)
{
    static const uint32_t sizes[] = {16, 64, 256, 562, 1500, 4096, 9000, 16383};
    uint32_t bytes = sizes[draw_below(&s->draw, sizeof sizes / sizeof sizes[0])];
    uint32_t header_bytes = draw_once_in(&s->draw, 2) ? 0 : draw_below(&s->draw, draw_once_in(&s->draw, 4) ? bytes : bytes / 8);
    config->cells = (struct cell_shape){bytes, header_bytes, draw_once_in(&s->draw, 3)};
}

static void circuits_draw(struct scenario *s, struct circuits *c, struct engine_config *config, struct arena *arena)
{
    uint32_t what = 1 + draw_below(&s->draw, 31);
    if (what & 1) {
        gates_draw(s, c);
    }
    if (what & 2) {
        changes_draw(s, c, config);
    }
    if (what & 4) {
        epochs_draw(s, c, config, arena);
    }
    if (what & 8) {
        groups_draw(s, c, config, arena);
    }
    config->control_delay_ps = what & 16 ? 1 + draw_below(&s->draw, draw_once_in(&s->draw, 2) ? 100000 : 5000000) : 0;
    if (draw_once_in(&s->draw, 2)) {
        cells_draw(s, config);
    }
}

/* ---- traffic of its own: every callback answers by chance ---------------------------------------------------- */

struct storm_host {
    uint64_t hash, ordinal, budget, replies;
    struct packet reply[64];
    uint32_t reply_head;
    uint32_t group_seq[GROUPS_MAX];
    bool has_next;
    struct packet next; /* drawn, but its class was closed */
};

struct storm {
    const struct scenario *scenario;
    struct engine *engine;
    struct storm_host *hosts;
    uint32_t size_mode, budget_max;
    uint32_t even_bytes; /* > 0: of every packet, replies too */
    bool is_incast; /* half of all goes to host 0 */
    bool is_steady; /* who has something to send goes on sending */
    struct circuits *circuits; /* NULL: none */
    uint64_t control_delay_ps; /* 0: nobody tells the controller anything */
    uint64_t control_hash, control_ordinal;
    uint64_t visits;
};

static void hash_in(uint64_t *hash, uint64_t word)
{
    *hash = rng_mix(*hash * RNG_STEP + word);
}

static uint32_t storm_draw(struct storm *storm, uint32_t host, uint32_t bound)
{
    return rng_below(rng_draw(storm->scenario->draw.seed, 1000 + host, storm->hosts[host].ordinal++), bound);
}

static void storm_packet(struct storm *storm, uint32_t host, struct packet *packet)
{
    static const uint32_t sizes[] = {64, 4096, 4096, 9000};
    uint32_t hosts = storm->scenario->hosts;
    uint32_t dst = (host + 1 + storm_draw(storm, host, hosts - 1)) % hosts;
    dst = storm->is_incast && host != 0 && storm_draw(storm, host, 2) == 0 ? 0 : dst;
    uint32_t size = storm->even_bytes > 0   ? storm->even_bytes
                    : storm->size_mode == 0 ? 4096
                    : storm->size_mode == 3 ? 1 + storm_draw(storm, host, 100)
                    : storm->size_mode == 1 ? sizes[storm_draw(storm, host, 4)]
                                            : 1 + storm_draw(storm, host, PACKET_BYTES_MAX);
    *packet = (struct packet){.dst = dst & 0xfffff, .src = host & 0xfffff, .size_bytes = size & PACKET_BYTES_MAX,
                              .entropy = (uint16_t)storm_draw(storm, host, 65536),
                              .seq = storm->hosts[host].ordinal & 0xffffff, .class = storm_draw(storm, host, 8) & 7};
}

static bool is_open(const struct storm *storm, uint32_t host, uint32_t port, const struct packet *packet)
{
    uint32_t classes = storm->scenario->host_queues.class_count;
    uint32_t open = storm->engine->class->open_classes(storm->engine, host, port);
    return open >> (packet->class < classes ? packet->class : classes - 1) & 1;
}

/* The next packet of a group of which the host is a member by this port. */
static bool group_pull(struct storm *storm, uint32_t host, uint32_t port, struct packet *packet)
{
    struct circuits *c = storm->circuits;
    for (uint32_t g = 0; c != NULL && g < c->builder.group_count; g++) {
        for (uint32_t i = 0; i < c->trees[g].member_count; i++) {
            if (c->members[g][i] != host || c->trees[g].member_port[i] != port ||
                storm->hosts[host].group_seq[g] == 40 || storm_draw(storm, host, 3) > 0) {
                continue;
            }
            *packet = (struct packet){.dst = (storm->scenario->hosts + g) & 0xfffff, .src = host & 0xfffff,
                                      .seq = storm->hosts[host].group_seq[g] & 0xffffff, .size_bytes = 1500, .class = g & 7};
            if (is_open(storm, host, port, packet)) {
                storm->hosts[host].group_seq[g]++;
                return true;
            }
        }
    }
    return false;
}

static bool storm_pull(void *context, uint32_t host, uint32_t port, uint64_t now_ps, struct packet *packet)
{
    struct storm *storm = context;
    struct storm_host *h = &storm->hosts[host];
    hash_in(&h->hash, now_ps);
    hash_in(&h->hash, port);
    if (h->replies > 0 && is_open(storm, host, port, &h->reply[h->reply_head])) {
        *packet = h->reply[h->reply_head];
        h->reply_head = (h->reply_head + 1) % 64;
        h->replies--;
        return true;
    }
    if (group_pull(storm, host, port, packet)) {
        return true;
    }
    if (!h->has_next) {
        if (h->budget == 0 || (!storm->is_steady && storm_draw(storm, host, 8) == 0)) {
            return false;
        }
        h->budget--;
        storm_packet(storm, host, &h->next);
    }
    h->has_next = !is_open(storm, host, port, &h->next);
    *packet = h->next;
    return !h->has_next;
}

static uint32_t storm_ports(const struct storm *storm, uint32_t host)
{
    const struct fabric *fabric = &storm->scenario->fabric;
    return fabric->port_first[host + 1] - fabric->port_first[host];
}

static void storm_take(struct storm *storm, uint32_t host, const struct packet *packet, uint64_t now_ps)
{
    struct storm_host *h = &storm->hosts[host];
    uint64_t words[2];
    memcpy(words, packet, sizeof words);
    hash_in(&h->hash, now_ps);
    hash_in(&h->hash, words[0]);
    hash_in(&h->hash, words[1]);
    if (packet->kind == PACKET_DATA && packet->dst == host && h->replies < 64) {
        struct packet reply = *packet;
        reply.dst = packet->src;
        reply.src = packet->dst;
        reply.kind = PACKET_ACK;
        reply.size_bytes = (storm->even_bytes > 0 ? storm->even_bytes : 64) & PACKET_BYTES_MAX;
        h->reply[(h->reply_head + h->replies++) % 64] = reply;
    }
}

static void storm_receive(void *context, uint32_t host, const struct packet *packet, uint64_t now_ps)
{
    struct storm *storm = context;
    storm_take(storm, host, packet, now_ps);
    engine_kick(storm->engine, host, storm_draw(storm, host, storm_ports(storm, host)), now_ps);
    if (storm->control_delay_ps > 0 && storm_draw(storm, host, 4) == 0) {
        engine_tell(storm->engine, host, storm_draw(storm, host, 1000), now_ps);
    }
    if (storm_draw(storm, host, 6) == 0) {
        uint64_t when_ps = now_ps + (storm_draw(storm, host, 3) == 0 ? 0 : storm_draw(storm, host, 3000000));
        engine_timer(storm->engine, host, when_ps, storm_draw(storm, host, 2) ? HOST_TIMER : HOST_OPERATION,
                     storm_draw(storm, host, 5));
    }
}

static void storm_event(void *context, uint32_t host, enum host_event kind, uint64_t argument, uint64_t now_ps)
{
    struct storm *storm = context;
    struct storm_host *h = &storm->hosts[host];
    hash_in(&h->hash, now_ps);
    hash_in(&h->hash, argument * 2 + kind);
    h->budget += storm_draw(storm, host, 4) == 0;
    for (uint32_t port = 0; port < storm_ports(storm, host); port++) {
        engine_kick(storm->engine, host, port, now_ps);
    }
    if (argument > 0) {
        engine_timer(storm->engine, host, now_ps, HOST_TIMER, argument - 1);
    }
}

static uint32_t control_draw(struct storm *storm, uint32_t bound)
{
    return rng_below(rng_draw(storm->scenario->draw.seed, 99, storm->control_ordinal++), bound);
}

static void storm_control(void *context, uint32_t host, uint64_t argument, uint64_t now_ps)
{
    struct storm *storm = context;
    const struct fabric *fabric = &storm->scenario->fabric;
    hash_in(&storm->control_hash, now_ps);
    hash_in(&storm->control_hash, argument << 20 | host);
    for (uint32_t i = 0; i < 3 && fabric->port_gate != NULL; i++) {
        uint32_t port = control_draw(storm, fabric->port_count);
        uint64_t open_ps = now_ps + (control_draw(storm, 2) ? 0 : control_draw(storm, 2000000));
        uint64_t close_ps = control_draw(storm, 3) ? open_ps + control_draw(storm, 3000000) : TIME_NEVER_PS;
        if (fabric->port_gate[port] != ID_NONE && control_draw(storm, 8) > 0) {
            engine_gate(storm->engine, port, open_ps, close_ps);
        } else if (fabric->port_gate[port] != ID_NONE) {
            engine_gate(storm->engine, port, TIME_NEVER_PS, TIME_NEVER_PS);
        }
    }
    if (control_draw(storm, 4) == 0) {
        uint64_t when_ps = now_ps + (control_draw(storm, 2) ? 0 : control_draw(storm, 1000000));
        engine_timer(storm->engine, control_draw(storm, storm->scenario->hosts), when_ps, HOST_TIMER, 0);
    }
    if (control_draw(storm, 4) == 0) {
        engine_tell(storm->engine, host, argument / 2, now_ps);
    }
}

static const struct host_ops storm_control_ops = {
    .pull = storm_pull, .receive = storm_receive, .event = storm_event, .control = storm_control};
static const struct host_ops storm_ops = {.pull = storm_pull, .receive = storm_receive, .event = storm_event};

/* Hosts that set no timer, and have a body of their own for what they do in a window (visit.h). */
static void echo_receive(void *context, uint32_t host, const struct packet *packet, uint64_t now_ps)
{
    struct storm *storm = context;
    storm_take(storm, host, packet, now_ps);
    engine_kick(storm->engine, host, 0, now_ps);
}

static bool visit_pulls(void *context, struct host_visit *visit, uint64_t now_ps, struct packet *packet)
{
    return storm_pull(context, visit->host, 0, now_ps, packet);
}

static bool visit_receives(void *context, struct host_visit *visit, const struct packet *packet, uint64_t now_ps)
{
    storm_take(context, visit->host, packet, now_ps);
    return true;
}

static void echo_visit(void *context, struct host_visit *visit)
{
    struct storm *storm = context;
    struct visit_state state = visit->state;
    visit_run(visit, &state, context, false, visit_pulls, visit_receives);
    visit->state = state;
    __atomic_fetch_add(&storm->visits, 1, __ATOMIC_RELAXED);
}

static const struct host_ops echo_ops = {
    .pull = storm_pull, .receive = echo_receive, .event = storm_event, .visit = echo_visit};

static void echo_begin(struct storm *storm)
{
    for (uint32_t host = 0; host < storm->scenario->hosts; host++) {
        storm->hosts[host].budget = storm_draw(storm, host, storm->budget_max);
        engine_kick(storm->engine, host, 0, 0);
    }
}

static void storm_begin(struct storm *storm)
{
    for (uint32_t host = 0; host < storm->scenario->hosts; host++) {
        storm->hosts[host].budget = storm_draw(storm, host, storm->budget_max);
        engine_kick(storm->engine, host, 0, 0);
        engine_timer(storm->engine, host, storm_draw(storm, host, 10000000), HOST_OPERATION, 3);
        engine_timer(storm->engine, host, 200000000, HOST_TIMER, 0);
    }
}

/* ---- one engine over one scenario ---------------------------------------------------------------------------- */

struct outcome {
    uint64_t hosts, links, runs, hops, in_flight;
    uint64_t dropped, marked, trimmed, pauses; /* of all links, in the end */
    uint64_t visits; /* only the windowed engine makes them */
    uint64_t lost, stray, grouped, dark_ps, controls, errors, repeats, cells, padding_bytes;
};

static void links_hash(struct engine *engine, const struct fabric *fabric, uint64_t *hash)
{
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        struct port_counters counters;
        uint64_t words[sizeof counters / 8];
        engine->class->counters(engine, port, &counters);
        memcpy(words, &counters, sizeof words);
        for (size_t i = 0; i < sizeof words / 8; i++) {
            hash_in(hash, words[i]);
        }
    }
}

static void links_sum(struct engine *engine, const struct fabric *fabric, struct outcome *outcome)
{
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        struct port_counters counters;
        engine->class->counters(engine, port, &counters);
        outcome->dropped += counters.dropped_packets;
        outcome->marked += counters.marked_packets;
        outcome->trimmed += counters.trimmed_packets;
        outcome->pauses += counters.pauses;
        outcome->lost += counters.lost_packets;
        outcome->errors += counters.error_packets;
        outcome->repeats += counters.repeats;
        outcome->stray += counters.stray_packets;
        outcome->grouped += counters.group_out_packets;
        outcome->dark_ps += counters.dark_wait_ps;
        outcome->cells += counters.cells;
        outcome->padding_bytes += counters.padding_bytes;
    }
}

/* Looks at what has been sent at times that no window of the engine needs to end at, though it may. */
static void engine_watch(struct engine *engine, const struct scenario *s, struct draw *draw, uint64_t now_ps,
                         struct outcome *outcome)
{
    struct arena *arena = arena_new("watch");
    uint64_t *bytes = arena_array(arena, s->fabric.port_count, uint64_t);
    for (uint32_t stop = draw_below(draw, 6); stop > 0; stop--) {
        now_ps += RUN_PAST_PS + draw_below(draw, 4000000);
        now_ps = draw_below(draw, 2) == 0 ? now_ps : now_ps / RUN_PAST_PS * RUN_PAST_PS + RUN_PAST_PS - 1;
        uint64_t left_ps = engine->class->run_past(engine, now_ps);
        CHECK(left_ps == TIME_NEVER_PS || left_ps > now_ps);
        engine->class->sent_bytes(engine, bytes);
        for (uint32_t port = 0; port < s->fabric.port_count; port++) {
            hash_in(&outcome->links, bytes[port]);
        }
    }
    arena_free(arena);
}

/* Stops at drawn times (also at ones that are over), looks at the counters and goes on to the end. */
static void engine_play(struct engine *engine, const struct scenario *s, struct outcome *outcome)
{
    struct draw draw = {s->draw.seed ^ 0x5107, 0};
    uint64_t last_ps = 0;
    for (uint32_t stop = draw_below(&draw, 4); stop > 0; stop--) {
        uint64_t until_ps = draw_below(&draw, 30000000) / stop;
        last_ps = until_ps > last_ps ? until_ps : last_ps;
        hash_in(&outcome->runs, engine->class->run(engine, until_ps));
        links_hash(engine, &s->fabric, &outcome->links);
        hash_in(&outcome->links, engine->class->packets_in_flight(engine));
    }
    engine_watch(engine, s, &draw, last_ps, outcome);
    hash_in(&outcome->runs, engine->class->run(engine, s->until_ps));
    links_hash(engine, &s->fabric, &outcome->links);
    outcome->hops = engine->class->hop_count(engine);
    outcome->in_flight = engine->class->packets_in_flight(engine);
    links_sum(engine, &s->fabric, outcome);
}

struct variant {
    const struct engine_class *class;
    const char *simd;
    uint32_t thread_count;
    uint64_t fuse_ps; /* drawn */
};

enum storm_kind { STORM_ANY, STORM_CIRCUITS, STORM_CLASSES, STORM_CHOICES, STORM_PAUSES, STORM_ECHOES };

static void storm_play_with(const struct variant *variant, uint64_t seed, enum storm_kind kind, struct outcome *outcome)
{
    struct arena *arena = arena_new("test");
    struct scenario scenario;
    if (kind == STORM_CHOICES) {
        choices_make(&scenario, seed, arena);
    } else if (kind == STORM_PAUSES) {
        pauses_make(&scenario, seed, arena);
    } else {
        scenario_make(&scenario, seed, arena);
    }
    if (kind == STORM_CLASSES) {
        classes_draw(&scenario, arena);
    }
    struct storm storm = {.scenario = &scenario, .hosts = arena_array(arena, scenario.hosts, struct storm_host)};
    storm.size_mode = draw_below(&scenario.draw, 4);
    storm.budget_max = draw_once_in(&scenario.draw, 4) ? 400 : 60;
    storm.is_incast = draw_once_in(&scenario.draw, 3);
    if (kind == STORM_PAUSES) {
        storm.size_mode = 3;
        storm.budget_max = 600;
        storm.is_incast = storm.is_steady = true;
    }
    bool is_narrow = kind == STORM_PAUSES && seed % 2 == 0;
    if (is_narrow || draw_once_in(&scenario.draw, 4)) {
        storm.even_bytes = is_narrow ? 4096 : 64;
        thresholds_even(&scenario, storm.even_bytes, kind != STORM_CIRCUITS); /* where groups have longer packets */
    }
    if (is_narrow) {
        room_narrow(&scenario, storm.even_bytes, arena);
    }
    struct engine_config config = {.fabric = &scenario.fabric, .routes = routes_new(&scenario.fabric, arena),
                                   .seed = seed, .cut_through_bytes = scenario.cut_through_bytes,
                                   .packet_bytes_max = PACKET_BYTES_MAX, .switch_queues = &scenario.switch_queues,
                                   .host_queues = &scenario.host_queues,
                                   .ops = kind == STORM_ECHOES ? &echo_ops : &storm_ops, .context = &storm, .simd = variant->simd,
                                   .thread_count = variant->thread_count, .fuse_ps = variant->fuse_ps};
    struct diag diag;
    enum way_rule rule = scenario.fabric.node_region != NULL ? (enum way_rule)draw_below(&scenario.draw, 3) : WAY_MINIMAL;
    CHECK_EQUAL(ways_init(&scenario.ways, rule, draw_below(&scenario.draw, 20000), config.routes, arena, &diag), STATUS_OK);
    config.ways = &scenario.ways;
    config.is_source_routed = scenario.is_source_routed;
    config.links_repeat = scenario.links_repeat;
    if (kind == STORM_CIRCUITS) {
        storm.circuits = arena_one(arena, struct circuits);
        circuits_draw(&scenario, storm.circuits, &config, arena);
        storm.control_delay_ps = config.control_delay_ps;
        config.ops = storm.control_delay_ps > 0 ? &storm_control_ops : &storm_ops;
        scenario.until_ps = 100 * PS_PER_US;
    }
    storm.engine = variant->class->create(arena, &config);
    *outcome = (struct outcome){0};
    if (kind == STORM_ECHOES) {
        echo_begin(&storm);
    } else {
        storm_begin(&storm);
    }
    engine_play(storm.engine, &scenario, outcome);
    for (uint32_t host = 0; host < scenario.hosts; host++) {
        hash_in(&outcome->hosts, storm.hosts[host].hash);
    }
    hash_in(&outcome->hosts, storm.control_hash);
    outcome->controls = storm.control_ordinal;
    outcome->visits = storm.visits;
    arena_free(arena);
}

static void storm_play(const struct variant *variant, uint64_t seed, struct outcome *outcome)
{
    storm_play_with(variant, seed, STORM_ANY, outcome);
}

static void echoes_play(const struct variant *variant, uint64_t seed, struct outcome *outcome)
{
    storm_play_with(variant, seed, STORM_ECHOES, outcome);
}

static void classes_play(const struct variant *variant, uint64_t seed, struct outcome *outcome)
{
    storm_play_with(variant, seed, STORM_CLASSES, outcome);
}

static void choices_play(const struct variant *variant, uint64_t seed, struct outcome *outcome)
{
    storm_play_with(variant, seed, STORM_CHOICES, outcome);
}

static void pauses_play(const struct variant *variant, uint64_t seed, struct outcome *outcome)
{
    storm_play_with(variant, seed, STORM_PAUSES, outcome);
}

static void circuit_play(const struct variant *variant, uint64_t seed, struct outcome *outcome)
{
    storm_play_with(variant, seed, STORM_CIRCUITS, outcome);
}

/* ---- traffic through the endpoints --------------------------------------------------------------------------- */

struct talk {
    const struct scenario *scenario;
    struct endpoint *endpoint;
    uint64_t *hash, *left;
};

static void talk_send(struct talk *talk, uint32_t host, uint64_t now_ps)
{
    struct draw draw = {talk->scenario->draw.seed ^ ((uint64_t)host << 32), 2 * talk->left[host]};
    uint32_t hosts = talk->scenario->hosts;
    if (talk->left[host] == 0) {
        return;
    }
    talk->left[host]--;
    struct message message = {.src_rank = host, .src_host = host, .bytes = draw_below(&draw, 100000)};
    message.dst_host = message.dst_rank = draw_below(&draw, hosts);
    endpoint_send(talk->endpoint, &message, now_ps);
}

static void talk_delivered(void *context, const struct message *message, uint64_t now_ps)
{
    struct talk *talk = context;
    hash_in(&talk->hash[message->dst_host], now_ps);
    hash_in(&talk->hash[message->dst_host], message->bytes);
}

static void talk_acked(void *context, const struct message *message, const struct message_fate *fate, uint64_t now_ps)
{
    struct talk *talk = context;
    hash_in(&talk->hash[message->src_host], fate->delivered_ps);
    hash_in(&talk->hash[message->src_host], now_ps);
    hash_in(&talk->hash[message->src_host], fate->retransmissions);
    hash_in(&talk->hash[message->src_host], fate->reorder_sum);
    talk_send(talk, message->src_host, now_ps);
}

static bool talk_pull(void *context, uint32_t host, uint32_t port, uint64_t now_ps, struct packet *packet)
{
    return endpoint_pull(((struct talk *)context)->endpoint, host, port, now_ps, packet);
}

static void talk_receive(void *context, uint32_t host, const struct packet *packet, uint64_t now_ps)
{
    struct talk *talk = context;
    hash_in(&talk->hash[host], now_ps);
    hash_in(&talk->hash[host], packet->seq);
    endpoint_receive(talk->endpoint, host, packet, now_ps);
}

static void talk_event(void *context, uint32_t host, enum host_event kind, uint64_t argument, uint64_t now_ps)
{
    (void)kind;
    endpoint_timer(((struct talk *)context)->endpoint, host, argument, now_ps);
}

static const struct host_ops talk_host_ops = {.pull = talk_pull, .receive = talk_receive, .event = talk_event};
static const struct endpoint_ops talk_ops = {.delivered = talk_delivered, .acked = talk_acked};

static struct endpoint *talk_endpoint(struct talk *talk, const struct routes *routes, struct arena *arena)
{
    const struct scenario *s = talk->scenario;
    uint64_t seed = s->draw.seed;
    struct endpoint_config config = {
        .fabric = &s->fabric, .routes = routes, .shape = {4096, 64, 64, {0}}, .transport = transport_find("window"),
        .balance = balances[seed % 2], .rto_ps = 400000000, .post_ps = seed % 3 == 0 ? 700000 : 0,
        .local_bps = 1000000000000, .seed = seed, .ops = &talk_ops, .context = talk};
    uint64_t *values = arena_array(arena, 8, uint64_t); /* all zero: the default window */
    config.transport_values = values;
    return endpoint_new(arena, &config);
}

static void talk_play(const struct variant *variant, uint64_t seed, struct outcome *outcome)
{
    struct arena *arena = arena_new("test");
    struct scenario scenario;
    scenario_make(&scenario, seed, arena);
    struct talk talk = {.scenario = &scenario, .hash = arena_array(arena, scenario.hosts, uint64_t),
                        .left = arena_array(arena, scenario.hosts, uint64_t)};
    const struct routes *routes = routes_new(&scenario.fabric, arena);
    talk.endpoint = talk_endpoint(&talk, routes, arena);
    struct engine_config config = {.fabric = &scenario.fabric, .routes = routes, .seed = seed,
                                   .cut_through_bytes = 64, .ops = &talk_host_ops, .context = &talk,
                                   .simd = variant->simd, .thread_count = variant->thread_count,
                                    .fuse_ps = variant->fuse_ps, .links_repeat = scenario.links_repeat};
    struct engine *engine = variant->class->create(arena, &config);
    endpoint_attach(talk.endpoint, engine);
    *outcome = (struct outcome){0};
    for (uint32_t host = 0; host < scenario.hosts; host++) {
        talk.left[host] = 6;
        talk_send(&talk, host, 0);
        talk_send(&talk, host, 0);
    }
    engine_play(engine, &scenario, outcome);
    for (uint32_t host = 0; host < scenario.hosts; host++) {
        hash_in(&outcome->hosts, talk.hash[host]);
    }
    arena_free(arena);
}

/* ---- both ------------------------------------------------------------------------------------------------- */

typedef void play(const struct variant *variant, uint64_t seed, struct outcome *outcome);

static const struct variant variants[] = {
    {&engine_window, "scalar", 1, 0}, {&engine_window, "neon", 1, 0}, {&engine_window, "avx2", 1, 0},
    {&engine_window, "avx512", 1, 0}, {&engine_window, "scalar", 2, 0}, {&engine_window, "auto", 3, 0},
    {&engine_window, "auto", 8, 0},
};

static bool is_runnable(const struct variant *variant)
{
    enum simd_body body;
    struct diag diag;
    return strcmp(variant->simd, "neon") == 0 || simd_parse(variant->simd, &body, &diag) == STATUS_OK;
}

static void outcome_check(const struct outcome *expected, const struct outcome *actual, uint64_t seed,
                          const struct variant *variant)
{
    if (memcmp(expected, actual, sizeof *actual) != 0) {
        printf("  scenario %" PRIu64 " (%s, %u threads, fused below %" PRIu64 " ps): hosts %d, links %d, runs %d, hops %" PRIu64 " for %" PRIu64
               ", in flight %" PRIu64 " for %" PRIu64 "\n",
               seed, variant->simd, variant->thread_count, variant->fuse_ps, expected->hosts == actual->hosts,
               expected->links == actual->links, expected->runs == actual->runs, actual->hops, expected->hops,
               actual->in_flight, expected->in_flight);
    }
    CHECK(memcmp(expected, actual, sizeof *actual) == 0);
}

#define THREADS_EVERY 4 /* scenarios: more threads than cores are slow, and the windows of these are short */

/* As the engine finds it cheapest, or by force, from nothing to all. */
static uint64_t fuse_draw(uint64_t seed, size_t variant)
{
    static const uint64_t fuses_ns[] = {0, 0, 1, 20, 60, 200, 700, 3000, 1000000};
    uint32_t which = rng_below(rng_draw(seed, 78, variant), sizeof fuses_ns / sizeof fuses_ns[0]);
    return fuses_ns[which] * PS_PER_NS;
}

static void play_all(play *run, uint64_t seed, struct outcome *sum)
{
    struct outcome expected, actual;
    run(&(struct variant){&engine_plain, NULL, 1, 0}, seed, &expected);
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++) {
        if (is_runnable(&variants[i]) && (variants[i].thread_count == 1 || seed % THREADS_EVERY == 0)) {
            struct variant variant = variants[i];
            variant.fuse_ps = fuse_draw(seed, i);
            run(&variant, seed, &actual);
            sum->visits += actual.visits;
            actual.visits = 0;
            outcome_check(&expected, &actual, seed, &variant);
        }
    }
    sum->hops += expected.hops;
    sum->dropped += expected.dropped;
    sum->marked += expected.marked;
    sum->trimmed += expected.trimmed;
    sum->pauses += expected.pauses;
    sum->lost += expected.lost;
    sum->errors += expected.errors;
    sum->repeats += expected.repeats;
    sum->stray += expected.stray;
    sum->grouped += expected.grouped;
    sum->dark_ps += expected.dark_ps;
    sum->controls += expected.controls;
    sum->cells += expected.cells;
    sum->padding_bytes += expected.padding_bytes;
}

static void play_many(play *run, uint32_t count, struct outcome *sum)
{
    uint64_t seed = test_seed();
    const char *wanted = getenv("PHOTONET_SCENARIOS");
    count = wanted != NULL ? (uint32_t)strtoul(wanted, NULL, 10) : count;
    for (uint32_t i = 0; i < count; i++) {
        play_all(run, seed + i, sum);
    }
    CHECK(sum->hops > count * 50);
}

static void test_storms(void)
{
    struct outcome sum = {0};
    play_many(storm_play, 400, &sum);
    CHECK(sum.dropped > 1000 && sum.marked > 1000 && sum.trimmed > 1000 && sum.pauses > 1000);
    CHECK(sum.errors > 1000 && sum.repeats > 1000);
}

static void test_classes(void)
{
    struct outcome sum = {0};
    play_many(classes_play, 150, &sum);
    CHECK(sum.dropped > 300 && sum.marked > 1000 && sum.trimmed > 300);
}

static void test_echoes(void)
{
    struct outcome sum = {0};
    play_many(echoes_play, 100, &sum);
    CHECK(sum.visits > 300); /* of shrunken tables 800 */
}

static void test_choices(void)
{
    struct outcome sum = {0};
    play_many(choices_play, 100, &sum);
    CHECK(sum.dropped > 300 && sum.marked > 1000 && sum.pauses > 1000);
}

static void test_pauses(void)
{
    struct outcome sum = {0};
    play_many(pauses_play, 80, &sum);
    CHECK(sum.dropped > 300 && sum.marked > 1000 && sum.pauses > 1000);
}

static void test_circuits(void)
{
    struct outcome sum = {0};
    play_many(circuit_play, 300, &sum);
    CHECK(sum.errors > 1000 && sum.repeats > 1000);
    CHECK(sum.lost > 300 && sum.stray > 300 && sum.grouped > 1000 && sum.controls > 1000 && sum.dark_ps > PS_PER_MS);
    CHECK(sum.cells > 100000 && sum.padding_bytes > 1000000);
}

static void test_endpoints(void)
{
    struct outcome sum = {0};
    play_many(talk_play, 120, &sum);
}

TEST_MAIN("engine_window", TEST(test_storms), TEST(test_classes), TEST(test_echoes), TEST(test_choices), TEST(test_pauses),
          TEST(test_circuits), TEST(test_endpoints))
