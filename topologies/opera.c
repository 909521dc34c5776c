/* Opera: rotor switches that turn one after the other, so that the rest is an expander at all times.
 *
 *      slice        0    1    2    3    4    5 ...      rotor r turns at the start of slices r, r + u, r + 2u, ... and
 *      rotor 0     ·═════════════ ·═════════════        holds a matching for u slices but the dark time. The others
 *      rotor 1     ════ ·═════════════ ·════════        join all ToRs in few hops meanwhile.
 *      rotor 2     ═════════ ·═════════════ ·═══
 *
 * Messages of at most `cutoff` bytes leave at once over several hops, by routes of the slice (the ports that are open for
 * all of it). Larger ones wait for the direct circuit of their ToRs, which comes once a cycle of N slices. Without
 * `offset` all rotors turn together, as in rotor.c, and nothing is joined while they do.
 *
 * Scope: N matchings (the identity is one of them) of a round-robin tournament, dealt to the rotors by a fixed shuffle.
 * What waits at a circuit that goes dark is routed again, if it is of a small message. A slice whose open ports leave ToRs
 * cut off has the direct routes.
 * Not modelled: a search for the factorisation with the best expander (Opera draws random ones and keeps the best);
 * priorities (small and bulk packets share ports in order of arrival); NDP.
 * Checked against: Opera, NSDI 2020: cycle of 10.7 ms and duty of 98.3 % with 108 ToRs, 6 rotors, 99 us slices and 10 us
 * of reconfiguration (tests/test_cyclic.c). */
#include "topologies/tors.h"

struct opera {
    struct tors_values tors;
    uint64_t rotors, slice_ps, dark_ps, cutoff_bytes, shuffle;
    bool is_offset, has_second_hop;
};

static const struct param rows[] = {
    TORS_ROWS(struct opera, "4", "100Gbps", "50m"),
    PARAM_U64(struct opera, rotors, COUNT, "rotors", "0", "0", "1_024",
              "uplinks of a ToR, one to each rotor switch; 0: the most that divide the ToRs, hosts_per_tor at most"),
    PARAM_U64(struct opera, slice_ps, TIME, "slice", "99us", "1ns", "1s",
              "between the turns of two rotors (Opera, recalled)"),
    PARAM_U64(struct opera, dark_ps, TIME, "dark", "10us", "0ps", "1s", "while a rotor turns (source of opera-sim)"),
    PARAM_U64(struct opera, cutoff_bytes, SIZE, "cutoff", "15MB", "0B", NULL,
              "messages up to here go over several hops at once, larger ones wait (source of opera-sim)"),
    PARAM_BOOL(struct opera, is_offset, "offset", "yes", "rotors turn one after the other; no: all at once"),
    PARAM_BOOL(struct opera, has_second_hop, "second_hop", "no", "large messages may take detours too (RotorLB)"),
    PARAM_U64(struct opera, shuffle, COUNT, "shuffle", "1", "0", "1_000_000",
              "seed of the order in which matchings are dealt to rotors; 0: their own order"),
};

struct schedule {
    uint32_t tors, rotors, held; /* matchings of a rotor */
    uint32_t *place;             /* of each matching: rotor * held + number within the rotor */
};

/* Fisher-Yates with a multiplicative generator: the constants are Knuth's MMIX. */
static uint32_t *places_deal(uint32_t count, uint64_t seed, struct arena *arena)
{
    uint32_t *place = arena_array(arena, count, uint32_t);
    uint64_t state = seed;
    for (uint32_t i = 0; i < count; i++) {
        place[i] = i;
    }
    for (uint32_t i = count - 1; seed != 0 && i > 0; i--) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint32_t other = (uint32_t)((state >> 33) % (i + 1)), held = place[i];
        place[i] = place[other];
        place[other] = held;
    }
    return place;
}

/* The identity is matching N - 1, which no pair has. */
static void opera_join(const void *context, uint32_t from, uint32_t to, uint32_t *uplink, uint32_t *window)
{
    const struct schedule *schedule = context;
    uint32_t place = schedule->place[tors_matching(schedule->tors, from, to)];
    *uplink = place / schedule->held;
    *window = place;
}

/* A window a matching; the last of a rotor ends where its first begins again, in the next cycle. */
static struct gate_window *windows(const struct opera *values, const struct schedule *schedule, struct arena *arena)
{
    struct gate_window *all = arena_array(arena, schedule->tors, struct gate_window);
    for (uint32_t rotor = 0; rotor < schedule->rotors; rotor++) {
        uint32_t offset = values->is_offset ? rotor : 0;
        for (uint32_t i = 0; i < schedule->held; i++) {
            uint64_t from_ps = ((uint64_t)i * schedule->rotors + offset) * values->slice_ps;
            all[rotor * schedule->held + i] = (struct gate_window){
                from_ps + values->dark_ps, from_ps + schedule->rotors * values->slice_ps};
        }
    }
    return all;
}

static enum status opera_build(const void *all_values, const struct fabric_request *request, struct fabric *fabric,
                               struct diag *diag)
{
    const struct opera *values = all_values;
    uint32_t tors = 0, rotors = 0;
    enum status status = tors_count(&values->tors, request, true, &tors, diag);
    status = status == STATUS_OK ? tors_uplinks(&values->tors, request, "rotors", values->rotors, tors, &rotors, diag)
                                 : status;
    status = status == STATUS_OK
                 ? tors_slot_check(request, "slice", values->slice_ps, "dark", values->dark_ps, diag)
                 : status;
    if (status != STATUS_OK) {
        return status;
    }
    struct schedule *schedule = arena_one(request->arena, struct schedule);
    *schedule = (struct schedule){tors, rotors, tors / rotors, places_deal(tors, values->shuffle, request->arena)};
    const struct tors_plan plan = {
        .uplinks = rotors,
        .optical_switches = rotors,
        .period_ps = tors * values->slice_ps,
        .windows = windows(values, schedule, request->arena),
        .window_count = tors,
        .is_rerouting = true,
        .detour = values->has_second_hop ? DETOUR_BACKLOG : DETOUR_NONE,
        .detour_threshold_bytes = line_bytes(values->slice_ps * rotors - values->dark_ps, values->tors.link_rate_bps),
        .settle_ps = values->dark_ps,
        .context = schedule,
        .join = opera_join,
    };
    status = tors_build(&values->tors, tors, &plan, request, fabric, diag);
    if (values->cutoff_bytes > 0) {
        fabric->slices = (struct slices){values->slice_ps, tors, values->cutoff_bytes};
    }
    return status;
}

const struct fabric_family fabric_opera = {
    .name = "opera",
    .summary = "rotor switches that turn one after the other: small messages over several hops at once, large ones wait",
    .params = PARAM_TABLE(struct opera, rows),
    .build = opera_build,
};
