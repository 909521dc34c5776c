/* Draws the progress line. */
#include "netsim/base/progress.h"

#include "netsim/base/clock.h"
#include "photonet/units.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define TERMINAL_INTERVAL_S 0.2
#define LOG_INTERVAL_S      30.0
/* Weight of the newest interval in the rate shown: at five a second this averages over about a second. */
#define TERMINAL_WEIGHT 0.2
#define LINE_BYTES      160

struct progress {
    bool is_quiet;
    bool is_terminal;
    bool is_drawn;
    double started_s;
    double drawn_s; /* when the last line was due, drawn or not */
    uint64_t drawn_hop_count;
    double hops_per_s; /* smoothed; negative before the first interval */
};

struct progress *progress_new(struct arena *arena, bool is_quiet)
{
    struct progress *progress = arena_one(arena, struct progress);
    progress->is_quiet = is_quiet;
    progress->is_terminal = isatty(STDERR_FILENO) != 0;
    progress->started_s = wall_seconds();
    progress->drawn_s = progress->started_s;
    progress->hops_per_s = -1;
    return progress;
}

static void rate_update(struct progress *progress, double interval_s, uint64_t hop_count)
{
    double newest = (double)(hop_count - progress->drawn_hop_count) / interval_s;
    double weight = progress->is_terminal && progress->hops_per_s >= 0 ? TERMINAL_WEIGHT : 1.0;
    progress->hops_per_s = weight * newest + (1 - weight) * progress->hops_per_s;
    progress->drawn_hop_count = hop_count;
}

void progress_update(struct progress *progress, uint64_t simulated_ps, double share_done, uint64_t hop_count)
{
    if (progress->is_quiet) {
        return;
    }
    double now_s = wall_seconds(), interval_s = now_s - progress->drawn_s;
    if (interval_s < (progress->is_terminal ? TERMINAL_INTERVAL_S : LOG_INTERVAL_S)) {
        return;
    }
    rate_update(progress, interval_s, hop_count);
    progress->drawn_s = now_s;
    double left_s = share_done > 0 ? (now_s - progress->started_s) * (1 - share_done) / share_done : -1;
    char line[LINE_BYTES];
    progress_text(simulated_ps, share_done, progress->hops_per_s, left_s, line, sizeof line);
    fprintf(stderr, progress->is_terminal ? "\r%s\033[K" : "%s\n", line);
    fflush(stderr);
    progress->is_drawn = true;
}

void progress_end(struct progress *progress)
{
    if (progress->is_drawn && progress->is_terminal) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
    progress->is_drawn = false;
}

/* Appends, staying inside the text; returns the new length. */
__attribute__((format(printf, 4, 5))) static size_t append(char *text, size_t text_bytes, size_t used,
                                                           const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text + used, text_bytes - used, format, arguments);
    va_end(arguments);
    size_t wanted = used + (length > 0 ? (size_t)length : 0);
    return wanted < text_bytes ? wanted : text_bytes - 1;
}

static size_t simulated_append(char *text, size_t text_bytes, uint64_t simulated_ps)
{
    static const struct {
        const char *name;
        uint64_t ps;
    } units[] = {{"s", PS_PER_S}, {"ms", PS_PER_MS}, {"us", PS_PER_US}, {"ns", PS_PER_NS}};
    size_t i = 0;
    while (i + 1 < sizeof units / sizeof units[0] && simulated_ps < units[i].ps) {
        i++;
    }
    double value = (double)simulated_ps / (double)units[i].ps;
    return append(text, text_bytes, 0, "%.2f %s simulated", value, units[i].name);
}

static size_t rate_append(char *text, size_t text_bytes, size_t used, double hops_per_s)
{
    if (hops_per_s >= 1e6) {
        return append(text, text_bytes, used, ", %.1f M packet-hops/s", hops_per_s * 1e-6);
    }
    return append(text, text_bytes, used, ", %.1f k packet-hops/s", hops_per_s * 1e-3);
}

static size_t left_append(char *text, size_t text_bytes, size_t used, double left_s)
{
    /* Above a hundred years the estimate says nothing, and the conversion below stays defined. */
    if (left_s > 3e9) {
        return used;
    }
    uint64_t seconds = (uint64_t)(left_s + 0.5);
    if (seconds >= 3600) {
        return append(text, text_bytes, used, ", %" PRIu64 " h %" PRIu64 " min left", seconds / 3600,
                      seconds % 3600 / 60);
    }
    if (seconds >= 60) {
        return append(text, text_bytes, used, ", %" PRIu64 " min %" PRIu64 " s left", seconds / 60,
                      seconds % 60);
    }
    return append(text, text_bytes, used, ", %" PRIu64 " s left", seconds);
}

char *progress_text(uint64_t simulated_ps, double share_done, double hops_per_s, double left_s, char *text,
                    size_t text_bytes)
{
    size_t used = simulated_append(text, text_bytes, simulated_ps);
    if (share_done >= 0) {
        used = append(text, text_bytes, used, ", %.1f %% done", share_done * 100);
    }
    if (hops_per_s >= 0) {
        used = rate_append(text, text_bytes, used, hops_per_s);
    }
    if (left_s >= 0) {
        left_append(text, text_bytes, used, left_s);
    }
    return text;
}
