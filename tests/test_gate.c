/* The arithmetic of gates against a search picosecond by picosecond, on random windows, commands and failures.
 * Asserted: earliest start, next end of a window, dark time, loss. */
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

/* The window that is open at a time, by the rule that holds then. */
static bool slow_window(const struct setting *s, uint64_t now_ps, struct gate_window *window)
{
    for (uint32_t i = s->command_count; i-- > 0;) {
        if (s->commands[i].now_ps <= now_ps) {
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

/* How long the byte takes that starts then. */
static uint64_t slow_service_ps(const struct setting *s, uint64_t now_ps)
{
    uint64_t rate_bps = 0;
    for (size_t i = 0; i < s->config.link_change_count && s->changes[i].time_ps <= now_ps; i++) {
        rate_bps = s->changes[i].is_up ? s->changes[i].rate_bps : 0;
    }
    return serialisation_ps(1, rate_bps > 0 ? rate_bps : BYTE_RATE(5));
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

static void test_arithmetic_is_right(void)
{
    struct draw draw = {test_seed(), 0};
    uint32_t looked_at = 0;
    for (uint32_t i = 0; i < 400; i++) {
        struct arena *arena = arena_new("test");
        struct setting s;
        setting_draw(&draw, &s);
        struct gating **all = gatings_new(arena, &s.config);
        if (all != NULL && all[0] != NULL) {
            for (uint32_t k = 0; k < s.command_count; k++) {
                gating_command(all[0], arena, s.commands[k].now_ps, s.commands[k].open_ps, s.commands[k].close_ps);
            }
            setting_check(&s, &draw, all[0]);
            looked_at++;
        }
        arena_free(arena);
    }
    CHECK(looked_at > 200);
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

TEST_MAIN("gate", TEST(test_arithmetic_is_right), TEST(test_blink))
