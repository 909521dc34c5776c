/* Energy: counters times component rows, a dot product after the run.
 *
 *     static power of every installed end and box  x  the whole time
 *   + energy per bit                                x  bits through it
 *   + energy per reconfiguration                    x  reconfigurations
 *   + GPUs: busy power while they compute, idle power while they wait
 *   + box overhead (fans, power supplies, control) as its own row */
#ifndef PHOTONET_ENERGY_H
#define PHOTONET_ENERGY_H

#include "photonet/fabric.h"

enum energy_use { ENERGY_NETWORK, ENERGY_GPU_COMPUTE, ENERGY_GPU_WAIT };

struct energy_input {
    uint64_t time_ps;
    const uint64_t *tx_bytes;        /* per port */
    const uint64_t *host_compute_ps; /* per host: times in which its GPUs compute, added */
    uint32_t gpus_per_host;          /* 0 as 1 */
};

struct energy_row {
    const char *part;  /* name of the component, or of the overhead */
    const char *class; /* part_class_name, or "overhead" */
    enum energy_use use;
    uint64_t count;
    double static_pj, dynamic_pj, reconfigure_pj;
};

const char *energy_use_name(enum energy_use use); /* as the result file has it */

void energy_account(const struct fabric *fabric, const struct energy_input *input, struct arena *arena,
                    struct energy_row **rows, uint32_t *count);

#endif
