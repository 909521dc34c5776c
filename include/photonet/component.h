/* Parts: what a fabric is built of, with power, latency, loss and price, each number with its source.
 *
 * The numbers stand in topologies/components.def, one row a number: (part, quantity, low, default, high, source).
 * Watts are stored per end (one module, one NIC, one box), rates one-way. A part that a fabric does not
 * name costs nothing. Users override any number: --set part.NAME.QUANTITY=VALUE. */
#ifndef PHOTONET_COMPONENT_H
#define PHOTONET_COMPONENT_H

#include "photonet/param.h"

enum part_class {
    PART_NONE,
    PART_GPU,
    PART_NIC,
    PART_SWITCH,   /* packet switch box without optics */
    PART_MODULE,   /* pluggable optics: DSP, LPO */
    PART_CPO,      /* co-packaged optics, one end */
    PART_COPPER,   /* DAC, AEC, backplane */
    PART_OCS,      /* optical circuit switch, per box */
    PART_FIBRE,
    PART_LASER,
    PART_LANE,     /* one wavelength on one fibre, one way: laser to detector, for link budgets */
    PART_CLASS_COUNT,
};
const char *part_class_name(enum part_class class);

enum part_quantity {
    PART_STATIC_MW,        /* power while on, per unit */
    PART_STATIC_MW_PER_GBPS, /* static power that scales with a switch's one-way capacity */
    PART_DYNAMIC_PJ_BIT,   /* energy per bit moved through this end or box */
    PART_LATENCY_PS,       /* added per pass: module latency per direction, switch latency, NIC per side */
    PART_FEC_PS,           /* encode + decode on a link that ends in this part; paid once per link */
    PART_LOSS_MDB,         /* insertion loss */
    PART_DELAY_FS_PER_M,   /* fibre and copper: propagation, femtoseconds per metre */
    PART_PORTS,            /* duplex ports of a box */
    PART_RATE_BPS,         /* one-way rate of one end */
    PART_SETTLE_PS,        /* optical switch: time until the new path carries light */
    PART_RELOCK_PS,        /* receiver re-lock after light returns */
    PART_CONTROL_PS,       /* control plane time of one reconfiguration */
    PART_RECONFIGURE_PJ,   /* energy of one reconfiguration of one circuit */
    PART_PRICE_USD,        /* rough */
    PART_IDLE_MW,          /* GPU: power while waiting */
    PART_OVERHEAD_FRACTION, /* switch box: fans, power supplies and control, a share of what is in it */
    PART_REDUCE_ENTRIES,    /* packet switch: packets of groups that it can have begun to combine; 0: it cannot */
    PART_REDUCE_PS,         /* from the last part of a combined packet to the result */
    /* Light: of lanes, except the first two. Levels may be negative. */
    PART_LOSS_MDB_PER_KM,   /* fibre */
    PART_ISOLATION_MDB,     /* signal over the sum of what leaks into its band: optical switches, wavelength filters */
    PART_LEVELS,            /* 2: NRZ, 4: PAM4 */
    PART_LINE_RATE_BPS,     /* with FEC; rate_bps is without */
    PART_LASER_DBM,         /* power of a laser before it is split */
    PART_LASER_LANES,       /* lanes that share it */
    PART_LASER_EFFICIENCY,  /* wall plug */
    PART_LASER_INCLUDED_DBM, /* laser power whose electricity is in the watts of the modules that use the lane */
    PART_TUNING_MW,         /* held by heaters at one end, both directions */
    PART_EXTINCTION_MDB,
    PART_PENALTY_MDB,       /* TDECQ, multipath interference, jitter */
    PART_SENSITIVITY_DBM,   /* average power at the limit; where it is missing the receiver is computed from: */
    PART_RESPONSIVITY,      /* A/W */
    PART_NOISE,             /* pA per root Hz of the amplifier */
    PART_IMPLEMENTATION_MDB, /* what equaliser and decision add to it */
    PART_LASER_NOISE_MDB,   /* carrier over relative intensity noise, in 1 Hz */
    PART_BANDWIDTH_FRACTION, /* of the symbol rate */
    PART_BER_LIMIT,         /* before FEC */
    PART_MARGIN_MDB,        /* that is asked for */
    PART_FEC_SYMBOLS, PART_FEC_DATA_SYMBOLS, /* Reed-Solomon, 10-bit symbols */
    PART_FEC_INTERLEAVE,    /* codewords that every frame meets */
    PART_QUANTITY_COUNT,
};

struct part_value {
    double low, normal, high;
    const char *source; /* NULL where the part has no such quantity: then all are 0 */
};

struct part {
    const char *name;  /* "dr4_400g_dsp" */
    const char *title; /* "400G DR4 module with DSP" */
    enum part_class class;
    uint32_t lane; /* modules: part of their lanes, PART_ID_NONE where none is described */
    struct part_value value[PART_QUANTITY_COUNT];
};

#define PART_ID_NONE 0 /* part 0 is named "none" and costs nothing */

/* The table of a run: a copy of the built-in one, into which overrides are written. */
struct part_table {
    struct part *parts; /* part 0 is "none" */
    uint32_t count;
};
struct part_table *part_table_new(struct arena *arena);

/* Index by name; STATUS_INPUT with the nearest names. */
enum status part_find(const struct part_table *table, const char *name, struct origin at, uint32_t *part_id,
                      struct diag *diag);

/* "NAME.QUANTITY" = "9W"; the unit is that of the quantity. low and high are kept. */
enum status part_assign(struct part_table *table, const char *key, const char *text, struct origin at,
                        struct diag *diag);

const char *part_quantity_name(enum part_quantity quantity); /* "static_mw" */
const char *part_quantity_unit(enum part_quantity quantity); /* "mW" */

/* The value as a user would write it: "9W", "50ns", "2.5dB". Returns `text`. */
char *part_value_text(enum part_quantity quantity, double value, char *text, size_t text_bytes);

static inline double part_normal(const struct part_table *table, uint32_t part_id, enum part_quantity quantity)
{
    return table->parts[part_id].value[quantity].normal;
}

#endif
