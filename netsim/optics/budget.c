/* Formulas and where they come from:
 *
 *   BER of NRZ 1/2 erfc(Q / sqrt 2), noise, sensitivity   Agrawal, Fiber-Optic Communication Systems, 4th ed., ch. 4
 *   BER of PAM4 3/8 erfc(Q / sqrt 2), eyes of a third     four equal levels, Gray coded: three of four level errors,
 *                                                         one of two bits each; as IEEE 802.3bs takes it
 *   outer OMA 2 P (r - 1) / (r + 1)                       definition, IEEE 802.3 clause 95
 *   in-band crosstalk -5 log10(1 - 4 Q^2 X)               Takahashi, Oda, Toba, J. Lightwave Technol. 14(6), 1996;
 *                                                         for PAM4 the eye is a third, so 36 Q^2 X
 *   RS(544,514) fails beyond 15 wrong symbols of 10 bits  IEEE 802.3bj clause 91; binomial sum over independent errors
 *   frame loss 1.7e-12 at a bit error rate of 2.4e-4      IEEE 802.3bs, for 64-byte frames: the anchor of the tests
 *
 * Scope: one lane; noise of amplifier, signal and laser; static penalties; independent bit errors.
 * Not modelled: bursts of errors (a decision-feedback equaliser makes the loss of frames worse), dispersion beyond the
 * penalty, ageing beyond the margin that is asked for, nonlinearity.
 * Checked against: worked cases of six links, Q and FEC tables (tests/test_optics.c). */
#include "netsim/optics/budget.h"

#include <math.h>

#define ELECTRON_C 1.602176634e-19 /* exact, SI 2019 */
#define SYMBOL_BITS 10             /* of the Reed-Solomon codes of IEEE 802.3 */

static double ratio_of_db(double value_db)
{
    return pow(10, value_db / 10);
}

double mw_of_dbm(double level_dbm)
{
    return ratio_of_db(level_dbm);
}

double dbm_of_mw(double power_mw)
{
    return 10 * log10(power_mw);
}

/* ---- bit errors ---------------------------------------------------------------------------------------------- */

double ber_of_q(double q, uint32_t levels)
{
    return (levels == 2 ? 0.5 : 0.375) * erfc(q / sqrt(2));
}

/* By halving: the function falls, and 200 halvings are beyond the resolution of a double. */
double q_of_ber(double ber, uint32_t levels)
{
    double low = 0, high = 40;
    for (int i = 0; i < 200; i++) {
        double middle = 0.5 * (low + high);
        *(ber_of_q(middle, levels) > ber ? &low : &high) = middle;
    }
    return 0.5 * (low + high);
}

/* ---- receiver ------------------------------------------------------------------------------------------------ */

static double oma_mw(const struct lane *lane, double received_mw)
{
    double ratio = ratio_of_db(lane->extinction_db);
    return 2 * received_mw * (ratio - 1) / (ratio + 1);
}

/* Terms that depend on the signal are taken at its average; what the equaliser adds scales the amplifier's noise. */
static double noise_a(const struct lane *lane, double received_mw)
{
    double baud = lane->levels == 2 ? lane->line_bps : lane->line_bps / 2;
    double bandwidth_hz = lane->bandwidth_fraction * baud;
    double current_a = lane->responsivity_a_w * received_mw * 1e-3;
    double amplifier = lane->noise_pa_rthz * 1e-12 * ratio_of_db(lane->implementation_db);
    double variance = amplifier * amplifier * bandwidth_hz + 2 * ELECTRON_C * current_a * bandwidth_hz +
                      ratio_of_db(lane->rin_db_hz) * current_a * current_a * bandwidth_hz;
    return sqrt(variance);
}

double receiver_q(const struct lane *lane, double received_mw)
{
    double eye_a = lane->responsivity_a_w * oma_mw(lane, received_mw) * 1e-3 / (lane->levels == 2 ? 1 : 3);
    return eye_a / (2 * noise_a(lane, received_mw));
}

double receiver_sensitivity_mw(const struct lane *lane, double q)
{
    double low_mw = 1e-6, high_mw = 100;
    if (!(receiver_q(lane, high_mw) >= q)) {
        return NAN;
    }
    for (int i = 0; i < 200; i++) {
        double middle_mw = sqrt(low_mw * high_mw);
        *(receiver_q(lane, middle_mw) < q ? &low_mw : &high_mw) = middle_mw;
    }
    return sqrt(low_mw * high_mw);
}

double crosstalk_penalty_db(double isolation_db, double q, uint32_t levels)
{
    if (isolation_db <= 0) {
        return 0;
    }
    double left = 1 - (levels == 2 ? 4 : 36) * q * q * ratio_of_db(-isolation_db);
    return left <= 0 ? INFINITY : -5 * log10(left);
}

/* ---- FEC ----------------------------------------------------------------------------------------------------- */

static double log_choose(double n, double k)
{
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1);
}

/* In logarithms, so that a chance of 1e-300 is one. */
double fec_codeword_loss(const struct fec *fec, double ber)
{
    double wrong = -expm1(SYMBOL_BITS * log1p(-ber)), sum = 0;
    uint32_t corrected = (fec->symbols - fec->data_symbols) / 2;
    if (fec->symbols == 0 || wrong <= 0) {
        return 0;
    }
    for (uint32_t i = corrected + 1; i <= fec->symbols; i++) {
        sum += exp(log_choose(fec->symbols, i) + i * log(wrong) + (fec->symbols - i) * log1p(-wrong));
    }
    return sum < 1 ? sum : 1;
}

static double any_of(double count, double chance)
{
    return -expm1(count * log1p(-(chance < 1 - 1e-16 ? chance : 1 - 1e-16)));
}

uint32_t fec_word_bits(const struct fec *fec)
{
    return SYMBOL_BITS * fec->data_symbols;
}

double fec_frame_loss(const struct fec *fec, double codeword_loss, uint64_t frame_bytes)
{
    double touched = 1 + (8 * (double)frame_bytes - 1) / fec_word_bits(fec);
    return any_of(touched > fec->interleave ? touched : fec->interleave, codeword_loss);
}

/* ---- the budget ---------------------------------------------------------------------------------------------- */

static void receiver_evaluate(const struct lane *lane, double effective_dbm, struct budget *budget)
{
    if (lane->has_sensitivity) { /* noise that does not depend on the signal: Q goes with the power */
        budget->sensitivity_dbm = lane->sensitivity_dbm;
        budget->q = budget->q_limit * ratio_of_db(effective_dbm - lane->sensitivity_dbm);
    } else {
        budget->sensitivity_dbm = dbm_of_mw(receiver_sensitivity_mw(lane, budget->q_limit));
        budget->q = receiver_q(lane, mw_of_dbm(effective_dbm));
    }
    budget->sensitivity_oma_dbm = dbm_of_mw(oma_mw(lane, mw_of_dbm(budget->sensitivity_dbm)));
    budget->margin_db = effective_dbm - budget->sensitivity_dbm;
    if (isnan(budget->margin_db)) { /* no power reaches the limit, or the crosstalk is above the signal */
        budget->margin_db = -INFINITY;
        budget->q = 0;
    }
    budget->ber = ber_of_q(budget->q, lane->levels);
}

void budget_evaluate(const struct lane *lane, const struct light_path *path, struct budget *budget)
{
    *budget = (struct budget){.loss_db = lane->loss_db + path->loss_db};
    budget->q_limit = q_of_ber(lane->ber_limit, lane->levels);
    budget->crosstalk_db = crosstalk_penalty_db(path->isolation_db, budget->q_limit, lane->levels);
    budget->penalty_db = lane->penalty_db + budget->crosstalk_db;
    budget->received_dbm = lane->laser_dbm - budget->loss_db;
    receiver_evaluate(lane, budget->received_dbm - budget->penalty_db, budget);
    budget->required_laser_dbm =
        budget->sensitivity_dbm + budget->penalty_db + budget->loss_db + lane->margin_db;
    double electrical = lane->laser_efficiency * lane->laser_lanes;
    budget->laser_mw = electrical > 0 ? mw_of_dbm(lane->laser_dbm) / electrical : 0;
    budget->required_laser_mw = electrical > 0 ? mw_of_dbm(budget->required_laser_dbm) / electrical : 0;
    budget->codeword_loss = fec_codeword_loss(&lane->fec, budget->ber);
}

double budget_frame_loss(const struct lane *lane, const struct budget *budget, uint64_t frame_bytes)
{
    return lane->fec.symbols > 0 ? fec_frame_loss(&lane->fec, budget->codeword_loss, frame_bytes)
                                 : any_of(8 * (double)frame_bytes, budget->ber);
}
