/* Chips on a photonic interposer: waveguides under all of them, joined by Mach-Zehnder switches.
 *
 *      paths: switched                          paths: fixed
 *      ┌──────┐ ┌──────┐ ┌──────┐               ┌──────┐ ┌──────┐
 *      │ chip │ │ chip │ │ chip │               │ chip │═│ chip │═     a torus of waveguides to the four neighbours;
 *      └─╨╨╨╨─┘ └─╨╨╨╨─┘ └─╨╨╨╨─┘               └──║───┘ └──║───┘      everything farther is passed on by chips
 *      ═══╳══════╳══╳══════╳═════ any to any    ┌──║───┐ ┌──║───┐
 *
 * Switched paths are set once a job by the planner, from its demand, in the microseconds that the switches take; a path has
 * its own waveguide and wavelengths, so circuits do not disturb each other.
 *
 * Scope: as many waveguides as circuits need (any two ports can be joined).
 * Not modelled: blocking inside the switch mesh, loss by the number of switches on the way, paths set anew between the
 * steps of a collective (Lumorph).
 * Checked against: 3.7 us of reconfiguration and gains of paths over fixed neighbours (LIGHTPATH and Lumorph, 2024;
 * tests/test_photonic.c). */
#include "topologies/chips.h"

#include <inttypes.h>

struct interposer {
    struct chips_values chips;
    uint64_t ports;
    uint32_t paths;
    const char *planner;
};

enum interposer_paths { PATHS_SWITCHED, PATHS_FIXED };
static const char *const path_names[] = {"switched", "fixed", NULL};

static const struct param rows[] = {
    CHIPS_ROWS(struct interposer, "400Gbps", "0.1m", "100ns"),
    PARAM_U64(struct interposer, ports, COUNT, "ports", "8", "2", "64", "of a chip, a bundle of wavelengths each"),
    PARAM_CHOICE(struct interposer, paths, "paths", "switched", path_names,
                 "switched: the planner sets them; fixed: to the four neighbours on the interposer"),
    PARAM_TEXT(struct interposer, planner, "planner", "per_job", "of switched paths"),
};

/* The most square grid of so many chips. */
static uint32_t grid_rows(uint32_t hosts)
{
    uint32_t best = 1;
    for (uint32_t i = 1; (uint64_t)i * i <= hosts; i++) {
        best = hosts % i == 0 ? i : best;
    }
    return best;
}

/* Ports in fours: east, west, south, north; a chip that is its own neighbour, or has two ports only, has a line. */
static void neighbours_join(struct chips *chips)
{
    uint32_t height = chips->ports >= 4 ? grid_rows(chips->hosts) : 1, width = chips->hosts / height;
    uint32_t directions = height > 1 ? 4 : 2;
    for (uint32_t chip = 0; chip < chips->hosts; chip++) {
        uint32_t row = chip / width, column = chip % width;
        uint32_t east = row * width + (column + 1) % width, south = (row + 1) % height * width + column;
        for (uint32_t first = 0; first + directions <= chips->ports; first += directions) {
            if (east != chip) {
                chips_join(chips, chip, first, east, first + 1);
            }
            if (directions == 4) {
                chips_join(chips, chip, first + 2, south, first + 3);
            }
        }
    }
}

static enum status interposer_build(const void *all_values, const struct fabric_request *request,
                                    struct fabric *fabric, struct diag *diag)
{
    const struct interposer *values = all_values;
    struct chips chips;
    enum status status = chips_begin(&chips, &values->chips, (uint32_t)values->ports, request, fabric, diag);
    if (status != STATUS_OK) {
        return status;
    }
    if (values->paths == PATHS_FIXED) {
        neighbours_join(&chips);
    } else {
        fabric->plan = PLAN_PER_JOB;
        fabric->planner = values->planner;
    }
    chips_end(&chips, fabric, values->paths == PATHS_SWITCHED);
    return STATUS_OK;
}

const struct fabric_family fabric_interposer = {
    .name = "interposer",
    .summary = "chips on a photonic interposer, paths between any two set by Mach-Zehnder switches (Passage, Lumorph)",
    .params = PARAM_TABLE(struct interposer, rows),
    .build = interposer_build,
};
