/* RotorNet: ToRs joined by rotor switches that step through fixed matchings, whatever the demand.
 *
 *      slot          0          1          2         rotor r holds matchings r * m to r * m + m - 1, a slot each, and
 *      rotor 0    ══ 0 ══    ══ 1 ══    ══ 2 ══      begins again. Every pair of ToRs meets once a cycle of m slots.
 *      rotor 1    ══ 3 ══    ══ 4 ══    ══ 5 ══      At the start of a slot the rotor is dark.
 *
 * With `second_hop` a packet may take the detour over another ToR (RotorLB): where the direct port has more waiting than the
 * detour's port and `backlog` beyond it. Without, everything waits for its direct circuit: a permutation then gets
 * 1 / (ToRs - 1) of the uplinks, uniform traffic all of them but the dark time.
 *
 * Scope: matchings of a round-robin tournament, split evenly over the rotors; all rotors change at once (opera.c: one
 * after the other). `identity` adds a matching of every ToR with itself, as there are in RotorNet's N / u.
 * Not modelled: RotorLB's offer and accept between ToRs (backlogs are known locally only); which order of matchings a
 * rotor is made with.
 * Checked against: RotorNet, SIGCOMM 2017: duty of 90 % at 200 us slots and 20 us dark, 16 matchings of 2048 / 128
 * (tests/test_cyclic.c). */
#include "topologies/tors.h"

struct rotor {
    struct tors_values tors;
    uint64_t rotors, slot_ps, dark_ps, backlog_bytes;
    bool has_identity, has_second_hop;
};

static const struct param rows[] = {
    TORS_ROWS(struct rotor, "4", "100Gbps", "50m"),
    PARAM_U64(struct rotor, rotors, COUNT, "rotors", "0", "0", "1_024",
              "uplinks of a ToR, one to each rotor switch; 0: the most that divide the matchings, hosts_per_tor at most"),
    PARAM_U64(struct rotor, slot_ps, TIME, "slot", "200us", "1ns", "1s",
              "a matching stands for so long, dark time counted (RotorNet, recalled)"),
    PARAM_U64(struct rotor, dark_ps, TIME, "dark", "20us", "0ps", "1s",
              "of every slot while the rotor turns (RotorNet, recalled)"),
    PARAM_BOOL(struct rotor, has_identity, "identity", "no",
               "one of the matchings joins every ToR with itself (N / u matchings a rotor; else (N - 1) / u)"),
    PARAM_BOOL(struct rotor, has_second_hop, "second_hop", "yes", "detours over another ToR (RotorLB)"),
    PARAM_U64(struct rotor, backlog_bytes, SIZE, "backlog", "0B", "0B", NULL,
              "more in front of the direct circuit than of the detour before a detour is taken; 0B: what a slot carries"),
};

struct schedule {
    uint32_t tors, matchings; /* of a rotor */
};

static void rotor_join(const void *context, uint32_t from, uint32_t to, uint32_t *uplink, uint32_t *window)
{
    const struct schedule *schedule = context;
    uint32_t matching = tors_matching(schedule->tors, from, to);
    *uplink = matching / schedule->matchings;
    *window = matching % schedule->matchings;
}

static struct gate_window *windows(const struct rotor *values, uint32_t count, struct arena *arena)
{
    struct gate_window *all = arena_array(arena, count, struct gate_window);
    for (uint32_t i = 0; i < count; i++) {
        all[i] = (struct gate_window){i * values->slot_ps + values->dark_ps, (i + 1) * values->slot_ps};
    }
    return all;
}

static enum status rotor_build(const void *all_values, const struct fabric_request *request, struct fabric *fabric,
                               struct diag *diag)
{
    const struct rotor *values = all_values;
    uint32_t tors = 0, rotors = 0;
    enum status status = tors_count(&values->tors, request, true, &tors, diag);
    uint32_t matchings = values->has_identity ? tors : tors - 1;
    status = status == STATUS_OK
                 ? tors_uplinks(&values->tors, request, "rotors", values->rotors, matchings, &rotors, diag)
                 : status;
    status = status == STATUS_OK
                 ? tors_slot_check(request, "slot", values->slot_ps, "dark", values->dark_ps, diag)
                 : status;
    if (status != STATUS_OK) {
        return status;
    }
    struct schedule *schedule = arena_one(request->arena, struct schedule);
    *schedule = (struct schedule){tors, matchings / rotors};
    uint64_t slot_bytes = line_bytes(values->slot_ps - values->dark_ps, values->tors.link_rate_bps);
    const struct tors_plan plan = {
        .uplinks = rotors,
        .optical_switches = rotors,
        .period_ps = schedule->matchings * values->slot_ps,
        .windows = windows(values, schedule->matchings, request->arena),
        .window_count = schedule->matchings,
        .detour = values->has_second_hop ? DETOUR_BACKLOG : DETOUR_NONE,
        .detour_threshold_bytes = values->backlog_bytes > 0 ? values->backlog_bytes : slot_bytes,
        .settle_ps = values->dark_ps,
        .context = schedule,
        .join = rotor_join,
    };
    return tors_build(&values->tors, tors, &plan, request, fabric, diag);
}

const struct fabric_family fabric_rotor = {
    .name = "rotor",
    .summary = "ToRs joined by rotor switches with fixed matchings in turn, one hop or two (RotorNet)",
    .params = PARAM_TABLE(struct rotor, rows),
    .build = rotor_build,
};
