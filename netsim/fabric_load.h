/* From a fabric's description to a fabric.
 *
 *     fabric: fat_tree              the family; its parameters stand beside it
 *     radix: 8
 *     part.connectx7.static: 20W    a number of components.def, overridden
 *     transport: {window: 1MiB}     nested maps are dotted keys; what is neither a parameter of the family nor a
 *                                   part belongs to others and is handed on
 *
 * `title` and `name` are for people. Settings from the command line win over these, and those behind the spec, which belong
 * to this fabric alone, over all:
 *
 *     clos-dsp,link_rate=800Gbps,transport.window=2MiB,name=fast */
#ifndef PHOTONET_FABRIC_LOAD_H
#define PHOTONET_FABRIC_LOAD_H

#include "photonet/fabric.h"
#include "photonet/trace.h"

struct fabric_config {
    struct fabric *fabric;
    struct part_table *parts; /* of this fabric, with overrides */
    const char *title;        /* NULL where the description has none */
    const char *text;         /* all parameters resolved and all parts overridden, as YAML */
    const struct trace_setting *left; /* settings of other modules ("transport.window"), in order */
    size_t left_count;
    struct origin at;         /* the line that names the family */
};

/* `spec` is a preset, a family or a file, and perhaps ",KEY=VALUE"s behind it. ranks_wanted: of the job, 0 = unknown; a
 * fabric with fewer hosts than they need (host.gpus_per_nic) is refused. */
enum status fabric_load(const char *spec, const struct trace_setting *sets, size_t set_count,
                        uint32_t ranks_wanted, struct arena *arena, struct fabric_config *config, struct diag *diag);

/* fabric_check_gates with the line of packet.size or packet.cell, the last one, or of the fabric, in front. */
enum status fabric_config_check(const struct fabric_config *config, uint64_t packet_bytes, const struct cell_shape *cells,
                                struct diag *diag);

/* The name of `spec` in results: "clos-dsp", "my-fabric" of path/my-fabric.yaml, "clos-dsp,link_rate=800Gbps". */
const char *fabric_spec_name(const char *spec, struct arena *arena);

/* `spec` without what stands behind the comma: a preset, a family or a path. */
const char *fabric_spec_head(const char *spec, struct arena *arena);

const struct fabric_preset *fabric_preset_find(const char *name);

#endif
