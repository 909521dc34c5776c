/* SiP-Ring: hosts on a pair of fibre rings that add and drop wavelengths with microrings.
 *
 *      wavelengths 0  ═══╗   ╔════════╗   ╔═══      a circuit takes a bundle of wavelengths along an arc, clockwise on one
 *                 1  ════════╝        ╚═══════      fibre and back on the other. Arcs that do not touch may use the same
 *                      host 3   host 4   host 5     bundle (`reuse`); without, a bundle serves one circuit in the whole ring.
 *
 * The planner (netsim/circuit/plan_wavelengths.c) gives every pair of neighbours one circuit, so that everybody is reached
 * over hosts, and the rest by the job's demand: arc and bundle for each, lowest bundle that is free on all of the arc.
 *
 * Scope: circuits once a job. A host adds and drops up to `ports` bundles.
 * Not modelled: loss by the length of the arc and the rings passed (the lane has a fixed 1 dB), arcs' different delays.
 * Checked against: wavelengths needed by neighbours, with and without reuse (after Khani et al., SiP-ML, SIGCOMM 2021;
 * tests/test_photonic.c). */
#include "topologies/chips.h"

#include <inttypes.h>

struct wdm_ring {
    struct chips_values chips;
    uint64_t ports, wavelengths;
    bool is_reused;
};

static const struct param rows[] = {
    CHIPS_ROWS(struct wdm_ring, "100Gbps", "10m", "1us"),
    PARAM_U64(struct wdm_ring, ports, COUNT, "ports", "16", "2", "64",
              "of a host: bundles of wavelengths that it adds and drops, link_rate each (16 x 100G: SiP-ML, recalled)"),
    PARAM_U64(struct wdm_ring, wavelengths, COUNT, "wavelengths", "16", "1", "64",
              "bundles that a fibre carries (64 wavelengths of 25G: 16 of 100G)"),
    PARAM_BOOL(struct wdm_ring, is_reused, "reuse", "yes", "a wavelength serves several arcs that do not touch"),
};

static enum status wdm_ring_build(const void *all_values, const struct fabric_request *request,
                                  struct fabric *fabric, struct diag *diag)
{
    const struct wdm_ring *values = all_values;
    uint32_t hosts = chips_hosts(&values->chips, request);
    if (!values->is_reused && hosts > values->wavelengths + 1) {
        return diag_input(diag, build_origin(request, "reuse"),
                          "reuse: no, and %" PRIu32 " hosts need %" PRIu32 " bundles to be joined at all, of %" PRIu64
                          " wavelengths; expected reuse or at most %" PRIu64 " hosts",
                          hosts, hosts - 1, values->wavelengths, values->wavelengths + 1);
    }
    struct chips chips;
    enum status status = chips_begin(&chips, &values->chips, (uint32_t)values->ports, request, fabric, diag);
    if (status != STATUS_OK) {
        return status;
    }
    chips_end(&chips, fabric, true);
    struct optical *optical = arena_one(request->arena, struct optical);
    *optical = fabric->optical[0];
    optical->wavelengths = (uint32_t)values->wavelengths;
    optical->is_reused = values->is_reused;
    fabric->optical = optical;
    fabric->plan = PLAN_PER_JOB;
    fabric->planner = "wavelengths";
    return STATUS_OK;
}

const struct fabric_family fabric_wdm_ring = {
    .name = "wdm_ring",
    .summary = "hosts on a ring that add and drop wavelengths, reused on arcs that do not touch (SiP-ML)",
    .params = PARAM_TABLE(struct wdm_ring, rows),
    .build = wdm_ring_build,
};
