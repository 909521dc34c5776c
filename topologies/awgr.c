/* Sirius: a tunable laser at every uplink and a passive grating as the core.
 *
 *      slot          0        1        2             in slot s uplink k of ToR i sends on the wavelength that the grating
 *      ToR i       i + 1    i + 2    i + 3  ...      routes to ToR i + 1 + k * m + s (mod N): every other ToR once an
 *                  |g|──data──|                      epoch of m slots. The guard at the start of a slot is for tuning,
 *                                                    locking and clocks that are not quite together.
 *
 * With `vlb` every packet goes over an intermediate ToR that is drawn by hash, the destination's among them: any traffic
 * looks uniform to the core, at twice the bytes where the intermediate is neither end.
 *
 * A packet must fit into what the guard leaves of a slot, or its cells must (packet.cell; Sirius: 562 B in 90 ns at
 * 50 Gbit/s).
 *
 * Scope: uplinks with an equal share of the destinations each; one schedule for all.
 * Not modelled: request and grant, which bound the queues of intermediates in Sirius (here they are counted and unbounded);
 * the receiver's reordering buffer beyond what the transport does; drift of clocks.
 * Checked against: Ballani et al., SIGCOMM 2020: 100 ns slots, 16 ports in 1.6 us, 10 % of guard (tests/test_cyclic.c). */
#include "topologies/tors.h"

struct awgr {
    struct tors_values tors;
    uint64_t uplinks, slot_ps, guard_ps;
    bool has_identity, is_vlb;
};

static const struct param rows[] = {
    TORS_ROWS(struct awgr, "4", "400Gbps", "50m"),
    PARAM_U64(struct awgr, uplinks, COUNT, "uplinks", "0", "0", "1_024",
              "of a ToR, a tunable laser each; 0: the most that divide the slots, hosts_per_tor at most"),
    PARAM_U64(struct awgr, slot_ps, TIME, "slot", "100ns", "1ns", "1s", "guard counted (Sirius, recalled)"),
    PARAM_U64(struct awgr, guard_ps, TIME, "guard", "10ns", "0ps", "1s",
              "of every slot (Sirius, recalled; 3.84 ns in its prototype)"),
    PARAM_BOOL(struct awgr, has_identity, "identity", "no", "one slot of an epoch leads every ToR to itself"),
    PARAM_BOOL(struct awgr, is_vlb, "vlb", "yes", "two hops, over a ToR that is drawn by hash; no: direct"),
};

struct schedule {
    uint32_t tors, slots;
};

static void awgr_join(const void *context, uint32_t from, uint32_t to, uint32_t *uplink, uint32_t *window)
{
    const struct schedule *schedule = context;
    uint32_t shift = (to + schedule->tors - from) % schedule->tors - 1;
    *uplink = shift / schedule->slots;
    *window = shift % schedule->slots;
}

static struct gate_window *windows(const struct awgr *values, uint32_t count, struct arena *arena)
{
    struct gate_window *all = arena_array(arena, count, struct gate_window);
    for (uint32_t i = 0; i < count; i++) {
        all[i] = (struct gate_window){i * values->slot_ps + values->guard_ps, (i + 1) * values->slot_ps};
    }
    return all;
}

static enum status awgr_build(const void *all_values, const struct fabric_request *request, struct fabric *fabric,
                              struct diag *diag)
{
    const struct awgr *values = all_values;
    uint32_t tors = 0, uplinks = 0;
    enum status status = tors_count(&values->tors, request, false, &tors, diag);
    uint32_t shifts = values->has_identity ? tors : tors - 1;
    status = status == STATUS_OK
                 ? tors_uplinks(&values->tors, request, "uplinks", values->uplinks, shifts, &uplinks, diag)
                 : status;
    status = status == STATUS_OK
                 ? tors_slot_check(request, "slot", values->slot_ps, "guard", values->guard_ps, diag)
                 : status;
    if (status != STATUS_OK) {
        return status;
    }
    struct schedule *schedule = arena_one(request->arena, struct schedule);
    *schedule = (struct schedule){tors, shifts / uplinks};
    const struct tors_plan plan = {
        .uplinks = uplinks,
        .optical_switches = 1,
        .period_ps = schedule->slots * values->slot_ps,
        .windows = windows(values, schedule->slots, request->arena),
        .window_count = schedule->slots,
        .detour = values->is_vlb ? DETOUR_ALWAYS : DETOUR_NONE,
        .settle_ps = values->guard_ps,
        .context = schedule,
        .join = awgr_join,
    };
    return tors_build(&values->tors, tors, &plan, request, fabric, diag);
}

const struct fabric_family fabric_awgr = {
    .name = "awgr",
    .summary = "ToRs with tunable lasers around a passive grating, fixed slots and Valiant's two hops (Sirius)",
    .params = PARAM_TABLE(struct awgr, rows),
    .build = awgr_build,
};
