/* The arithmetic of gates against a search picosecond by picosecond, on random windows, commands and failures.
 * Asserted: earliest start, next end of a window, dark time, loss; the same of packets that go as cells, and where those
 * of a packet are. */
#include "netsim/base/rng.h"
#include "netsim/engine/gate.h"
#include "tests/check.h"

#define HORIZON 400 /* ps that are looked at one by one */

struct draw {
    uint64_t seed, ordinal;
};

static uint32_t draw_below(struct draw *draw, uint32_t bound)
{
    return rng_below(rng_draw(draw->seed, 5, draw->ordinal++), bound);
}

struct command {
    uint64_t now_ps, open_ps, close_ps;
};

#define BYTE_RATE(ps_) (8 * PS_PER_S / (ps_)) /* at which a byte takes so long */

struct setting {
    struct fabric fabric;
    struct gate gate;
    struct gate_window windows[6];
    struct link_change changes[6];
    struct command commands[3];
    uint32_t command_count;
    uint32_t port_gate;
    uint64_t port_up_ps;
    struct engine_config config;
};

static void windows_draw(struct draw *draw, struct setting *s)
{
    uint64_t at_ps = draw_below(draw, 10);
    s->gate.window_count = draw_below(draw, 6);
    for (uint32_t i = 0; i < s->gate.window_count; i++) {
        uint64_t open_ps = at_ps + (draw_below(draw, 3) == 0 ? 0 : draw_below(draw, 8));
        at_ps = open_ps + 1 + draw_below(draw, 12);
        s->windows[i] = (struct gate_window){open_ps, at_ps};
    }
    if (draw_below(draw, 3) > 0 && s->gate.window_count > 0) {
        uint64_t least_ps = s->windows[s->gate.window_count - 1].open_ps + 1, first_ps = s->windows[0].open_ps;
        least_ps = at_ps - first_ps > least_ps ? at_ps - first_ps : least_ps;
        s->gate.period_ps = least_ps + draw_below(draw, 10);
    }
}

static void setting_draw(struct draw *draw, struct setting *s)
{
    *s = (struct setting){.fabric = {.port_count = 1}};
    windows_draw(draw, s);
    s->port_gate = draw_below(draw, 5) == 0 ? ID_NONE : 0;
    s->port_up_ps = draw_below(draw, 3) == 0 ? draw_below(draw, 50) : 0;
    s->fabric.gates = &s->gate;
    s->fabric.gate_windows = s->windows;
    s->fabric.port_gate = &s->port_gate;
    s->fabric.port_up_ps = &s->port_up_ps;
    s->config.fabric = &s->fabric;
    s->config.link_changes = s->changes;
    uint64_t at_ps = 0;
    for (uint32_t i = draw_below(draw, 7); i > 0; i--) {
        at_ps += 1 + draw_below(draw, 30);
        s->changes[s->config.link_change_count++] = (struct link_change){
            .time_ps = at_ps, .is_up = draw_below(draw, 2) == 0, .rate_bps = draw_below(draw, 2) * BYTE_RATE(2 + draw_below(draw, 15))};
    }
    uint64_t now_ps = 0;
    for (uint32_t i = s->port_gate == 0 ? draw_below(draw, 4) : 0; i > 0; i--) {
        now_ps += draw_below(draw, 60);
        uint64_t open_ps = now_ps + draw_below(draw, 40);
        uint64_t close_ps = draw_below(draw, 4) == 0 ? TIME_NEVER_PS : open_ps + draw_below(draw, 50);
        s->commands[s->command_count++] = (struct command){now_ps, open_ps, close_ps};
    }
}

static bool slow_is_down(const struct setting *s, uint64_t now_ps)
{
    bool is_up = true;
    for (size_t i = 0; i < s->config.link_change_count && s->changes[i].time_ps <= now_ps; i++) {
        is_up = s->changes[i].is_up;
    }
    return now_ps < s->port_up_ps || !is_up;
}

/* The window that is open at a time, by the rule that held before or holds then. */
static bool slow_window_by(const struct setting *s, uint64_t held_ps, uint64_t now_ps, struct gate_window *window)
{
    for (uint32_t i = s->command_count; i-- > 0;) {
        if (s->commands[i].now_ps <= held_ps) {
            *window = (struct gate_window){s->commands[i].open_ps, s->commands[i].close_ps};
            return window->open_ps <= now_ps && now_ps < window->close_ps;
        }
    }
    for (uint32_t i = 0; i < s->gate.window_count; i++) {
        for (uint64_t round_ps = 0; round_ps <= now_ps + s->gate.period_ps; round_ps += s->gate.period_ps) {
            uint64_t open_ps = s->windows[i].open_ps + round_ps, close_ps = s->windows[i].close_ps + round_ps;
            uint64_t back_ps = s->gate.period_ps; /* a window of the round before the first */
            if (open_ps <= now_ps + back_ps && now_ps + back_ps < close_ps && s->gate.period_ps > 0) {
                *window = (struct gate_window){0, close_ps - back_ps};
                return true;
            }
            if (s->gate.period_ps == 0 && open_ps <= now_ps && now_ps < close_ps) {
                *window = (struct gate_window){open_ps, close_ps};
                return true;
            }
            if (s->gate.period_ps == 0) {
                break;
            }
        }
    }
    return false;
}

static bool slow_window(const struct setting *s, uint64_t now_ps, struct gate_window *window)
{
    return slow_window_by(s, now_ps, now_ps, window);
}

static uint64_t slow_start_ps(const struct setting *s, uint64_t now_ps, uint64_t service_ps)
{
    for (; now_ps < HORIZON; now_ps++) {
        struct gate_window window;
        bool is_open = s->port_gate == ID_NONE ||
                       (slow_window(s, now_ps, &window) && window.close_ps - now_ps >= service_ps);
        if (is_open && !slow_is_down(s, now_ps)) {
            return now_ps;
        }
    }
    return TIME_NEVER_PS;
}

/* How long so many bytes take that start then. */
static uint64_t slow_bytes_ps(const struct setting *s, uint64_t now_ps, uint64_t bytes)
{
    uint64_t rate_bps = 0;
    for (size_t i = 0; i < s->config.link_change_count && s->changes[i].time_ps <= now_ps; i++) {
        rate_bps = s->changes[i].is_up ? s->changes[i].rate_bps : 0;
    }
    return serialisation_ps(bytes, rate_bps > 0 ? rate_bps : BYTE_RATE(5));
}

static uint64_t slow_service_ps(const struct setting *s, uint64_t now_ps)
{
    return slow_bytes_ps(s, now_ps, 1);
}

static uint64_t slow_send_ps(const struct setting *s, uint64_t now_ps)
{
    for (; now_ps < HORIZON && slow_start_ps(s, now_ps, slow_service_ps(s, now_ps)) != now_ps; now_ps++) {
    }
    return now_ps < HORIZON ? now_ps : TIME_NEVER_PS;
}

static uint64_t slow_dark_ps(const struct setting *s, uint64_t since_ps, uint64_t until_ps)
{
    uint64_t sum_ps = 0;
    for (; since_ps < until_ps; since_ps++) {
        struct gate_window window;
        sum_ps += slow_is_down(s, since_ps) || (s->port_gate == 0 && !slow_window(s, since_ps, &window));
    }
    return sum_ps;
}

static bool slow_is_lost(const struct setting *s, uint64_t start_ps, uint64_t end_ps)
{
    for (uint64_t now_ps = start_ps + 1; now_ps < end_ps; now_ps++) {
        if (slow_is_down(s, now_ps)) {
            return true;
        }
    }
    return false;
}

static void setting_check(const struct setting *s, struct draw *draw, struct gating *gating)
{
    for (uint32_t i = 0; i < 40; i++) {
        uint64_t now_ps = draw_below(draw, 150), more_ps = draw_below(draw, 60), service_ps = 1 + draw_below(draw, 15);
        uint64_t start_ps = gating_start_ps(gating, now_ps, service_ps);
        CHECK_EQUAL(start_ps < HORIZON ? start_ps : TIME_NEVER_PS, slow_start_ps(s, now_ps, service_ps));
        uint64_t send_ps = gating_send_ps(gating, now_ps, 1, BYTE_RATE(5));
        CHECK_EQUAL(send_ps < HORIZON ? send_ps : TIME_NEVER_PS, slow_send_ps(s, now_ps));
        CHECK_EQUAL(gating_dark_ps(gating, now_ps, now_ps + more_ps), slow_dark_ps(s, now_ps, now_ps + more_ps));
        CHECK_EQUAL(gating_is_down(gating, now_ps), slow_is_down(s, now_ps));
        if (!slow_is_down(s, now_ps)) {
            CHECK_EQUAL(gating_is_lost(gating, now_ps, now_ps + more_ps), slow_is_lost(s, now_ps, now_ps + more_ps));
        }
        struct gate_window window;
        if (s->port_gate == 0 && slow_window(s, now_ps, &window)) {
            CHECK_EQUAL(gating_close_ps(gating, now_ps), window.close_ps);
        }
    }
}

static struct gating *setting_gating(const struct setting *s, struct arena *arena)
{
    struct gating **all = gatings_new(arena, &s->config);
    for (uint32_t k = 0; all != NULL && all[0] != NULL && k < s->command_count; k++) {
        gating_command(all[0], arena, s->commands[k].now_ps, s->commands[k].open_ps, s->commands[k].close_ps);
    }
    return all != NULL ? all[0] : NULL;
}

static void test_arithmetic_is_right(void)
{
    struct draw draw = {test_seed(), 0};
    uint32_t looked_at = 0;
    for (uint32_t i = 0; i < 400; i++) {
        struct arena *arena = arena_new("test");
        struct setting s;
        setting_draw(&draw, &s);
        struct gating *gating = setting_gating(&s, arena);
        if (gating != NULL) {
            setting_check(&s, &draw, gating);
            looked_at++;
        }
        arena_free(arena);
    }
    CHECK(looked_at > 200);
}

/* ---- cells -------------------------------------------------------------------------------------------------- */

#define CELLS_HORIZON 1500

/* A packet, or `count` cells of it, each of which takes so long from a start at the rate of now. */
struct slow_train {
    uint64_t each_ps, count;
};

static struct slow_train slow_train_at(const struct setting *s, uint64_t now_ps, uint64_t bytes)
{
    const struct cell_shape *cells = &s->config.cells;
    bool has_cells = cells->is_everywhere || (s->port_gate == 0 && s->gate.period_ps > 0);
    uint64_t count = 0;
    if (!has_cells) {
        return (struct slow_train){slow_bytes_ps(s, now_ps, bytes), 1};
    }
    uint64_t cell_ps = slow_bytes_ps(s, now_ps, cells->bytes);
    for (uint64_t left = bytes; left > 0; count++) {
        left -= left < cells->bytes - cells->header_bytes ? left : cells->bytes - cells->header_bytes;
    }
    bool is_whole = s->port_gate == 0 && s->gate.is_rerouting;
    return is_whole ? (struct slow_train){count * cell_ps, 1} : (struct slow_train){cell_ps, count};
}

/* How many of a train go that starts at start_ps, and where the last one ends; each as soon as it fits by the rule of then, and
 * before the link goes down, if that matters. */
static uint64_t slow_cells(const struct setting *s, uint64_t start_ps, struct slow_train train, bool is_failing,
                           uint64_t *end_ps)
{
    uint64_t sent = 0, now_ps = start_ps;
    *end_ps = start_ps;
    while (sent < train.count && now_ps < CELLS_HORIZON) {
        struct gate_window window;
        bool fits = s->port_gate == ID_NONE ||
                    (slow_window_by(s, start_ps, now_ps, &window) && window.close_ps - now_ps >= train.each_ps);
        uint64_t until_ps = now_ps + (fits ? train.each_ps : 1);
        sent += fits;
        *end_ps = fits ? until_ps : *end_ps;
        while (now_ps < until_ps) {
            now_ps++;
            if (is_failing && sent < train.count && slow_is_down(s, now_ps)) {
                return sent;
            }
        }
    }
    return sent;
}

static bool slow_train_starts(const struct setting *s, uint64_t now_ps, uint64_t bytes)
{
    uint64_t end_ps;
    struct gate_window window;
    struct slow_train train = slow_train_at(s, now_ps, bytes);
    bool is_open = s->port_gate == ID_NONE ||
                   (slow_window(s, now_ps, &window) && window.close_ps - now_ps >= train.each_ps);
    return is_open && !slow_is_down(s, now_ps) && slow_cells(s, now_ps, train, false, &end_ps) == train.count;
}

static void cells_check(const struct setting *s, struct draw *draw, const struct gating *gating, uint32_t seen[3])
{
    for (uint32_t i = 0; i < 12; i++) {
        uint64_t now_ps = draw_below(draw, 150), bytes = 1 + draw_below(draw, 6), first_ps = now_ps;
        while (first_ps < HORIZON && !slow_train_starts(s, first_ps, bytes)) {
            first_ps++;
        }
        uint64_t send_ps = gating_send_ps(gating, now_ps, bytes, BYTE_RATE(5));
        CHECK_EQUAL(send_ps < HORIZON ? send_ps : TIME_NEVER_PS, first_ps < HORIZON ? first_ps : TIME_NEVER_PS);
        if (first_ps == HORIZON || send_ps != first_ps) {
            continue;
        }
        uint64_t end_ps;
        struct slow_train train = slow_train_at(s, send_ps, bytes);
        uint64_t sent = slow_cells(s, send_ps, train, true, &end_ps);
        struct sending sending = gating_sending(gating, send_ps, bytes, BYTE_RATE(5));
        CHECK_EQUAL(sending.service_ps, end_ps - send_ps);
        CHECK_EQUAL(sending.busy_ps, sent * train.each_ps);
        CHECK_EQUAL(sending.is_cut, sent < train.count);
        seen[0] += train.count > 1;
        seen[1] += sending.service_ps > sending.busy_ps;
        seen[2] += sending.is_cut;
    }
}

static void test_cells_are_where_they_fit(void)
{
    struct draw draw = {test_seed(), 0};
    uint32_t seen[3] = {0}; /* of several cells, with a pause between them, cut by a failure */
    for (uint32_t i = 0; i < 1200; i++) {
        struct arena *arena = arena_new("test");
        struct setting s;
        setting_draw(&draw, &s);
        s.gate.is_rerouting = draw_below(&draw, 4) == 0;
        s.config.cells = (struct cell_shape){1 + draw_below(&draw, 3), 0, draw_below(&draw, 2) == 0};
        s.config.cells.header_bytes = draw_below(&draw, s.config.cells.bytes);
        struct gating *gating = setting_gating(&s, arena);
        if (gating != NULL) {
            cells_check(&s, &draw, gating, seen);
        }
        arena_free(arena);
    }
    printf("%u trains, %u with pauses, %u cut\n", seen[0], seen[1], seen[2]);
    CHECK(seen[0] > 1500 && seen[1] > 200 && seen[2] > 150);
}

/* A failure and a repair at one moment: nothing starts late, but what was under way is lost. */
static void test_blink(void)
{
    struct arena *arena = arena_new("test");
    const uint64_t up_ps = 0;
    const struct link_change changes[] = {{100, 0, false, 0}, {100, 0, true, 0}};
    const struct fabric fabric = {.port_count = 1, .port_up_ps = (uint64_t *)(uintptr_t)&up_ps};
    const struct engine_config config = {.fabric = &fabric, .link_changes = changes, .link_change_count = 2};
    struct gating *gating = gatings_new(arena, &config)[0];
    CHECK_EQUAL(gating_start_ps(gating, 99, 50), 99);
    CHECK_EQUAL(gating_start_ps(gating, 100, 50), 100);
    CHECK(gating_is_lost(gating, 99, 101));
    CHECK(!gating_is_lost(gating, 99, 100)); /* its last bit is through */
    CHECK(!gating_is_lost(gating, 100, 200));
    CHECK_EQUAL(gating_dark_ps(gating, 0, 200), 0);
    arena_free(arena);
}

TEST_MAIN("gate", TEST(test_arithmetic_is_right), TEST(test_cells_are_where_they_fit), TEST(test_blink))
