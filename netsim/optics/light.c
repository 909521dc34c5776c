#include "netsim/optics/light.h"

#include <inttypes.h>
#include <math.h>

static double normal(const struct fabric *fabric, uint32_t part, enum part_quantity quantity)
{
    return part_normal(fabric->parts, part, quantity);
}

static bool has(const struct fabric *fabric, uint32_t part, enum part_quantity quantity)
{
    return fabric->parts->parts[part].value[quantity].source != NULL;
}

static void lane_of_part(const struct fabric *fabric, uint32_t part, struct lane *lane)
{
    *lane = (struct lane){
        .levels = (uint32_t)normal(fabric, part, PART_LEVELS),
        .line_bps = normal(fabric, part, PART_LINE_RATE_BPS),
        .payload_bps = normal(fabric, part, PART_RATE_BPS),
        .laser_dbm = normal(fabric, part, PART_LASER_DBM),
        .laser_efficiency = normal(fabric, part, PART_LASER_EFFICIENCY),
        .laser_lanes = normal(fabric, part, PART_LASER_LANES),
        .loss_db = normal(fabric, part, PART_LOSS_MDB) / 1000,
        .extinction_db = normal(fabric, part, PART_EXTINCTION_MDB) / 1000,
        .responsivity_a_w = normal(fabric, part, PART_RESPONSIVITY),
        .noise_pa_rthz = normal(fabric, part, PART_NOISE),
        .implementation_db = normal(fabric, part, PART_IMPLEMENTATION_MDB) / 1000,
        .rin_db_hz = -normal(fabric, part, PART_LASER_NOISE_MDB) / 1000,
        .bandwidth_fraction = normal(fabric, part, PART_BANDWIDTH_FRACTION),
        .has_sensitivity = has(fabric, part, PART_SENSITIVITY_DBM),
        .sensitivity_dbm = normal(fabric, part, PART_SENSITIVITY_DBM),
        .penalty_db = normal(fabric, part, PART_PENALTY_MDB) / 1000,
        .ber_limit = normal(fabric, part, PART_BER_LIMIT),
        .margin_db = normal(fabric, part, PART_MARGIN_MDB) / 1000,
        .fec = {(uint32_t)normal(fabric, part, PART_FEC_SYMBOLS),
                (uint32_t)normal(fabric, part, PART_FEC_DATA_SYMBOLS),
                (uint32_t)normal(fabric, part, PART_FEC_INTERLEAVE)},
    };
}

/* ---- the way ------------------------------------------------------------------------------------------------- */

/* Of each port the optical switch at which its fibre ends. */
static uint32_t *opticals(const struct fabric *fabric, struct arena *arena)
{
    uint32_t *optical_of = arena_array(arena, fabric->port_count, uint32_t);
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        optical_of[port] = ID_NONE;
    }
    for (uint32_t i = 0; i < fabric->optical_count; i++) {
        for (uint32_t j = 0; j < fabric->optical[i].port_count; j++) {
            optical_of[fabric->optical[i].port[j]] = i;
        }
    }
    return optical_of;
}

uint32_t light_optical_of(const struct fabric *fabric, uint32_t port)
{
    for (uint32_t i = 0; i < fabric->optical_count; i++) {
        for (uint32_t j = 0; j < fabric->optical[i].port_count; j++) {
            if (fabric->optical[i].port[j] == port) {
                return i;
            }
        }
    }
    return ID_NONE;
}

static double fibre_db(const struct fabric *fabric, uint32_t port)
{
    return fabric->port_loss_mdb == NULL ? 0 : fabric->port_loss_mdb[port] / 1000.0;
}

/* Leaks add up, whatever they come from. */
static double isolation_db(double a_db, double b_db)
{
    double leaks = (a_db > 0 ? pow(10, -a_db / 10) : 0) + (b_db > 0 ? pow(10, -b_db / 10) : 0);
    return leaks > 0 ? -10 * log10(leaks) : 0;
}

static struct light_path path_of(const struct fabric *fabric, uint32_t port, uint32_t optical)
{
    uint32_t lane = fabric->parts->parts[fabric->port_part[port]].lane;
    double own_db = normal(fabric, lane, PART_ISOLATION_MDB) / 1000;
    if (optical == ID_NONE) {
        return (struct light_path){fibre_db(fabric, port), own_db};
    }
    uint32_t part = fabric->optical[optical].part_id, peer = fabric->port_peer[port];
    return (struct light_path){
        .loss_db = fibre_db(fabric, port) + fibre_db(fabric, peer == ID_NONE ? port : peer) +
                   normal(fabric, part, PART_LOSS_MDB) / 1000,
        .isolation_db = isolation_db(own_db, normal(fabric, part, PART_ISOLATION_MDB) / 1000),
    };
}

static bool port_budget(const struct fabric *fabric, uint32_t port, uint32_t optical, struct lane *lane,
                        struct budget *budget)
{
    uint32_t lane_part = fabric->parts->parts[fabric->port_part[port]].lane;
    if (lane_part == PART_ID_NONE) {
        return false;
    }
    struct light_path path = path_of(fabric, port, optical);
    lane_of_part(fabric, lane_part, lane);
    budget_evaluate(lane, &path, budget);
    return true;
}

bool light_budget(const struct fabric *fabric, uint32_t port, struct lane *lane, struct budget *budget)
{
    return port_budget(fabric, port, light_optical_of(fabric, port), lane, budget);
}

/* ---- all links ----------------------------------------------------------------------------------------------- */

static double lane_count(const struct lane *lane, uint64_t rate_bps)
{
    return lane->payload_bps > 0 ? ceil((double)rate_bps / lane->payload_bps - 1e-9) : 1;
}

static struct port_light light_of(const struct fabric *fabric, uint32_t port, uint32_t optical)
{
    struct lane lane;
    struct budget budget;
    if (!port_budget(fabric, port, optical, &lane, &budget)) {
        return (struct port_light){.margin_db = INFINITY};
    }
    uint32_t part = fabric->parts->parts[fabric->port_part[port]].lane;
    double lanes = lane_count(&lane, fabric->rate_bps[port]);
    double included_mw = has(fabric, part, PART_LASER_INCLUDED_DBM)
                             ? mw_of_dbm(normal(fabric, part, PART_LASER_INCLUDED_DBM)) / mw_of_dbm(lane.laser_dbm)
                             : 0;
    double beyond = included_mw < 1 ? 1 - included_mw : 0;
    return (struct port_light){.loss_db = budget.loss_db,
                               .margin_db = budget.margin_db,
                               .laser_mw = lanes * budget.laser_mw * beyond,
                               .tuning_mw = lanes * normal(fabric, part, PART_TUNING_MW)};
}

/* What the light of two ports is alike by. */
static bool is_alike(const struct fabric *fabric, const uint32_t *optical_of, uint32_t a, uint32_t b)
{
    uint32_t peer_a = fabric->port_peer[a] == ID_NONE ? a : fabric->port_peer[a];
    uint32_t peer_b = fabric->port_peer[b] == ID_NONE ? b : fabric->port_peer[b];
    bool has_loss = fabric->port_loss_mdb != NULL;
    return fabric->port_part[a] == fabric->port_part[b] && optical_of[a] == optical_of[b] &&
           fabric->rate_bps[a] == fabric->rate_bps[b] &&
           (!has_loss || (fabric->port_loss_mdb[a] == fabric->port_loss_mdb[b] &&
                          fabric->port_loss_mdb[peer_a] == fabric->port_loss_mdb[peer_b]));
}

#define RECENT 8 /* kinds of links that are looked through: hosts up, leaves down, leaves up, ... */

void light_evaluate(struct fabric *fabric)
{
    struct arena *scratch = arena_new("light");
    const uint32_t *optical_of = opticals(fabric, scratch);
    struct port_light *light = arena_array(fabric->arena, fabric->port_count, struct port_light);
    uint32_t recent[RECENT], recent_count = 0;
    bool is_lit = false;
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        uint32_t i = 0;
        while (i < recent_count && !is_alike(fabric, optical_of, port, recent[i])) {
            i++;
        }
        light[port] = i < recent_count ? light[recent[i]] : light_of(fabric, port, optical_of[port]);
        if (i == recent_count) {
            i = recent_count < RECENT ? recent_count++ : port % RECENT;
        }
        recent[i] = port;
        is_lit = is_lit || !isinf(light[port].margin_db) || light[port].margin_db < 0;
    }
    fabric->light = is_lit ? light : NULL;
    arena_free(scratch);
}

uint32_t light_worst(const struct fabric *fabric)
{
    uint32_t worst = ID_NONE;
    for (uint32_t port = 0; fabric->light != NULL && port < fabric->port_count; port++) {
        double margin_db = fabric->light[port].margin_db;
        bool is_lit = !(isinf(margin_db) && margin_db > 0);
        worst = is_lit && (worst == ID_NONE || margin_db < fabric->light[worst].margin_db) ? port : worst;
    }
    return worst;
}

enum status light_check(const struct fabric *fabric, struct origin at, struct diag *diag)
{
    uint32_t port = light_worst(fabric);
    struct lane lane;
    struct budget budget;
    if (port == ID_NONE || fabric->light[port].margin_db >= 0 || !light_budget(fabric, port, &lane, &budget)) {
        return STATUS_OK;
    }
    char name[48];
    uint32_t node = fabric->port_node[port];
    const char *lane_name = fabric->parts->parts[fabric->parts->parts[fabric->port_part[port]].lane].name;
    if (isinf(budget.margin_db)) {
        return diag_input(diag, at,
                          "the link budget of port %" PRIu32 " of %s does not close at any laser power: noise or crosstalk "
                          "(%.2f dB of penalty) is above the limit of part %s; expected less of them",
                          port - fabric->port_first[node], fabric_node_text(fabric, node, name, sizeof name),
                          budget.crosstalk_db, lane_name);
    }
    return diag_input(diag, at,
                      "the link budget of port %" PRIu32 " of %s does not close: laser %.2f dBm - losses %.2f dB - "
                      "penalties %.2f dB = %.2f dBm, the receiver needs %.2f dBm; expected %.2f dB less loss or "
                      "part.%s.laser of %.2f dBm",
                      port - fabric->port_first[node], fabric_node_text(fabric, node, name, sizeof name),
                      lane.laser_dbm, budget.loss_db, budget.penalty_db,
                      budget.received_dbm - budget.penalty_db, budget.sensitivity_dbm, -budget.margin_db, lane_name,
                      budget.required_laser_dbm);
}

#define LOSS_MAX 0.999 /* of a link that loses more it cannot be said how often it must try */

struct frame_loss light_loss(const struct fec *fec, double rate, uint64_t frame_bytes)
{
    uint32_t word_bits = fec->symbols > 0 ? fec_word_bits(fec) : 1, words_min = fec->symbols > 0 ? fec->interleave : 0;
    struct frame_loss loss = {.chance = (uint64_t)ldexp(rate < LOSS_MAX ? rate : LOSS_MAX, 64),
                              .bits_more = word_bits - 1, .bits_min = words_min * word_bits};
    loss.bits_full = loss.bits_more + 8 * (uint32_t)frame_bytes;
    loss.bits_full = loss.bits_full > loss.bits_min ? loss.bits_full : loss.bits_min;
    return loss;
}

static struct frame_loss loss_of(const struct fabric *fabric, uint32_t port, uint32_t optical, uint64_t frame_bytes)
{
    struct lane lane;
    struct budget budget;
    if (!port_budget(fabric, port, optical, &lane, &budget)) {
        return (struct frame_loss){.bits_full = 1};
    }
    double rate = budget_frame_loss(&lane, &budget, frame_bytes);
    return light_loss(&lane.fec, rate < LIGHT_LOSS_LEAST ? 0 : rate, frame_bytes);
}

void light_frame_loss(struct fabric *fabric, uint64_t packet_bytes, const struct cell_shape *cells)
{
    struct frame_loss *losses = arena_array(fabric->arena, fabric->port_count, struct frame_loss);
    struct arena *scratch = arena_new("frame loss");
    const uint32_t *optical_of = opticals(fabric, scratch);
    bool is_any = false;
    uint32_t known = ID_NONE;
    uint64_t known_bytes = 0;
    for (uint32_t port = 0; fabric->light != NULL && port < fabric->port_count; port++) {
        uint64_t frame_bytes = fabric_wire_bytes(fabric, cells, port, packet_bytes);
        bool is_known = known != ID_NONE && known_bytes == frame_bytes &&
                        fabric->light[port].margin_db == fabric->light[known].margin_db &&
                        fabric->port_part[port] == fabric->port_part[known];
        losses[port] = is_known ? losses[known] : loss_of(fabric, port, optical_of[port], frame_bytes);
        known = port;
        known_bytes = frame_bytes;
        is_any = is_any || losses[port].chance > 0;
    }
    fabric->port_frame_loss = is_any ? losses : NULL;
    arena_free(scratch);
}
