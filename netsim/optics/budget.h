/* Link budget of one lane: one wavelength on one fibre, one way.
 *
 *      laser ── coupling, modulator ══ connectors, fibre, optical switch, mux ══ coupling ── receiver ── FEC
 *      laser_dbm         loss of the lane             loss of the path                      sensitivity   frames
 *
 *     received    = laser - all losses                     average power on the detector, dBm
 *     effective   = received - penalties                   dispersion, reflections, crosstalk
 *     margin      = effective - sensitivity                negative: the circuit does not come up
 *     required    = sensitivity + penalties + losses + margin that is asked for
 *     electricity = 10^((laser - 30) / 10) / efficiency / lanes that share the laser
 *
 * Everything is a pure function of its arguments, in double precision: nothing here decides the order of events. */
#ifndef PHOTONET_BUDGET_H
#define PHOTONET_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

/* Reed-Solomon code over 10-bit symbols, of which each frame meets `interleave` codewords at least; 0 symbols: none. */
struct fec {
    uint32_t symbols, data_symbols, interleave;
};

struct lane {
    uint32_t levels; /* 2: NRZ, 4: PAM4 with Gray coding */
    double line_bps, payload_bps;
    double laser_dbm, laser_efficiency, laser_lanes; /* power before the split, wall plug, lanes that share it */
    double loss_db;                                  /* between laser and fibre, and between fibre and detector */
    double extinction_db;
    /* The receiver, where no data sheet names its sensitivity. */
    double responsivity_a_w, noise_pa_rthz, implementation_db, rin_db_hz, bandwidth_fraction;
    bool has_sensitivity;
    double sensitivity_dbm; /* average power at the limit of the bit error rate */
    double penalty_db;      /* TDECQ, multipath interference, jitter */
    double ber_limit, margin_db;
    struct fec fec;
};

struct light_path {
    double loss_db;      /* connectors, fibre, optical switches, mux */
    double isolation_db; /* signal over the sum of all leaks into its band; 0: nothing leaks */
};

struct budget {
    double loss_db, crosstalk_db, penalty_db; /* all losses; of the penalties that of the crosstalk; all penalties */
    double received_dbm, q_limit, sensitivity_dbm, sensitivity_oma_dbm;
    double q, ber;
    double margin_db, required_laser_dbm;
    double laser_mw, required_laser_mw; /* electrical, share of one lane */
    double codeword_loss;               /* after the FEC; without FEC 0 */
};

void budget_evaluate(const struct lane *lane, const struct light_path *path, struct budget *budget);

/* Share of frames of so many bytes on the wire that are lost after the FEC. */
double budget_frame_loss(const struct lane *lane, const struct budget *budget, uint64_t frame_bytes);

/* ---- the pieces ---------------------------------------------------------------------------------------------- */

double dbm_of_mw(double power_mw);
double mw_of_dbm(double level_dbm);

double ber_of_q(double q, uint32_t levels);
double q_of_ber(double ber, uint32_t levels);

/* Signal over noise at the decision for an average power on the detector; that power for a Q, NAN where the laser's own
 * noise forbids it. */
double receiver_q(const struct lane *lane, double received_mw);
double receiver_sensitivity_mw(const struct lane *lane, double q);

/* Infinite where the leaks alone close the eye. */
double crosstalk_penalty_db(double isolation_db, double q, uint32_t levels);

/* A codeword that has more wrong symbols than the code corrects; a frame that touches such a one. */
double fec_codeword_loss(const struct fec *fec, double ber);
uint32_t fec_word_bits(const struct fec *fec); /* data of a codeword */
double fec_frame_loss(const struct fec *fec, double codeword_loss, uint64_t frame_bytes);

#endif
