/* Link budgets, bit errors and forward error correction against numbers worked out apart from this program, with the
 * formulas that netsim/optics/budget.c names, in another language and with another way to sum; and against
 * the frame loss that IEEE 802.3bs states.
 *
 * Not asserted: that the defaults of parts are right; each names its source. */
#include "netsim/optics/budget.h"
#include "tests/check.h"

#include <math.h>

struct worked {
    const char *name;
    struct lane lane;
    struct light_path path;
    double loss_db, crosstalk_db, penalty_db, received_dbm, sensitivity_dbm, sensitivity_oma_dbm;
    double q, ber, margin_db, required_laser_dbm, laser_mw, required_laser_mw, laser_pj_bit;
    double codeword_loss, frame_loss_64, frame_loss_4096; /* frames with 20 and 58 bytes of wire around them */
    bool closes;
};

/* A: 106G PAM4 lane over 500 m. B: through a 3D-MEMS switch with a circulator at each end. C: 32G NRZ microring lane. D: a
 * tunable laser that feeds 8 transceivers through an AWGR. E: A through a 9.8 dB silicon switch. F: B with 12.9 dBm. */
static const struct worked worked[] = {
    {"A",
     {.levels = 4, .line_bps = 1.0625e+11, .payload_bps = 1e+11, .laser_dbm = 13, .laser_efficiency = 0.15,
      .laser_lanes = 1, .loss_db = 12.5, .extinction_db = 5, .responsivity_a_w = 0.9, .noise_pa_rthz = 18,
      .implementation_db = 3.5, .rin_db_hz = -140, .bandwidth_fraction = 0.6, .penalty_db = 2.3, .ber_limit = 0.00024,
      .margin_db = 0.5, .fec = {544, 514, 2}},
     {.loss_db = 1.675, .isolation_db = 0},
     14.175, 0, 2.3, -1.175, -7.67214683904, -7.50604274933,
     6.73730919949, 6.050497517e-12, 4.19714683904, 9.30285316096, 133.017487665, 56.7798259647, 1.33017487665,
     7.25933579227e-134, 1.45186715845e-133, 5.41922127792e-133, true},
    {"B",
     {.levels = 4, .line_bps = 1.0625e+11, .payload_bps = 1e+11, .laser_dbm = 15, .laser_efficiency = 0.15,
      .laser_lanes = 1, .loss_db = 12.5, .extinction_db = 5, .responsivity_a_w = 0.9, .noise_pa_rthz = 18,
      .implementation_db = 3.5, .rin_db_hz = -140, .bandwidth_fraction = 0.6, .penalty_db = 2.5, .ber_limit = 0.00024,
      .margin_db = 0.5, .fec = {544, 514, 2}},
     {.loss_db = 5.67, .isolation_db = 38},
     18.17, 0.149437592448, 2.64943759245, -3.17, -7.67214683904, -7.50604274933,
     4.81374882927, 5.55468602808e-07, 1.85270924659, 13.6472907534, 210.818510678, 154.396629817, 2.10818510678,
     1.84321328998e-54, 3.68642657996e-54, 1.37599099513e-53, true},
    {"C",
     {.levels = 2, .line_bps = 3.2e+10, .payload_bps = 3.2e+10, .laser_dbm = 5, .laser_efficiency = 0.1,
      .laser_lanes = 1, .loss_db = 12.8, .extinction_db = 5, .responsivity_a_w = 0.9, .noise_pa_rthz = 12,
      .implementation_db = 1.5, .rin_db_hz = -138, .bandwidth_fraction = 0.7, .penalty_db = 1, .ber_limit = 1e-12,
      .margin_db = 1, .fec = {0, 0, 0}},
     {.loss_db = 1.04, .isolation_db = 28},
     13.84, 0.817452730991, 1.81745273099, -8.84, -13.9506549104, -13.7845508207,
     13.310217305, 1.00946838336e-40, 3.29320217938, 2.70679782062, 31.6227766017, 18.6500406208, 0.988211768803,
     0, 6.78362753615e-38, 3.35466533157e-36, true},
    {"D",
     {.levels = 4, .line_bps = 5.3125e+10, .payload_bps = 5e+10, .laser_dbm = 16, .laser_efficiency = 0.08,
      .laser_lanes = 8, .loss_db = 16, .extinction_db = 6, .has_sensitivity = true, .sensitivity_dbm = -8,
      .penalty_db = 0, .ber_limit = 0.00024,
      .margin_db = 2, .fec = {544, 514, 1}},
     {.loss_db = 6, .isolation_db = 0},
     22, 0, 0, -6, -8, -7.21920375537,
     5.41093717998, 2.35109117296e-08, 2, 16, 62.204245399, 62.204245399, 1.24408490798,
     1.96109921333e-76, 2.21711041414e-76, 1.46399490106e-75, true},
    {"E",
     {.levels = 4, .line_bps = 1.0625e+11, .payload_bps = 1e+11, .laser_dbm = 13, .laser_efficiency = 0.15,
      .laser_lanes = 1, .loss_db = 12.5, .extinction_db = 5, .responsivity_a_w = 0.9, .noise_pa_rthz = 18,
      .implementation_db = 3.5, .rin_db_hz = -140, .bandwidth_fraction = 0.6, .penalty_db = 2.5, .ber_limit = 0.00024,
      .margin_db = 0.5, .fec = {544, 514, 2}},
     {.loss_db = 11.87, .isolation_db = 35},
     24.37, 0.309135337859, 2.80913533786, -11.37, -7.67214683904, -7.50604274933,
     0.821784200166, 0.154199897835, -6.50698849882, 20.0069884988, 133.017487665, 667.740304477, 1.33017487665,
     1, 1, 1, false},
    {"F",
     {.levels = 4, .line_bps = 1.0625e+11, .payload_bps = 1e+11, .laser_dbm = 12.9, .laser_efficiency = 0.15,
      .laser_lanes = 1, .loss_db = 12.5, .extinction_db = 5, .responsivity_a_w = 0.9, .noise_pa_rthz = 18,
      .implementation_db = 3.5, .rin_db_hz = -140, .bandwidth_fraction = 0.6, .penalty_db = 2.5, .ber_limit = 0.00024,
      .margin_db = 0.5, .fec = {544, 514, 2}},
     {.loss_db = 5.67, .isolation_db = 38},
     18.17, 0.149437592448, 2.64943759245, -5.27, -7.67214683904, -7.50604274933,
     3.24917782466, 0.000434021629712, -0.247290753407, 13.6472907534, 129.989639984, 154.396629817, 1.29989639984,
     4.03507679782e-09, 8.07015357937e-09, 3.01225544338e-08, false},
};

/* `expected` is 0 only where nothing is there. */
static void near(double actual, double expected)
{
    CHECK_NEAR(actual, expected, 1e-8);
}

static void test_worked_links(void)
{
    for (size_t i = 0; i < sizeof worked / sizeof worked[0]; i++) {
        const struct worked *of = &worked[i];
        struct budget budget;
        budget_evaluate(&of->lane, &of->path, &budget);
        near(budget.loss_db, of->loss_db);
        near(budget.crosstalk_db, of->crosstalk_db);
        near(budget.penalty_db, of->penalty_db);
        near(budget.received_dbm, of->received_dbm);
        near(budget.sensitivity_dbm, of->sensitivity_dbm);
        near(budget.sensitivity_oma_dbm, of->sensitivity_oma_dbm);
        near(budget.q, of->q);
        near(budget.ber, of->ber);
        near(budget.margin_db, of->margin_db);
        near(budget.required_laser_dbm, of->required_laser_dbm);
        near(budget.laser_mw, of->laser_mw);
        near(budget.required_laser_mw, of->required_laser_mw);
        near(budget.laser_mw * 1e9 / of->lane.payload_bps, of->laser_pj_bit);
        CHECK_NEAR(budget.codeword_loss, of->codeword_loss, 1e-6); /* up to 1e-134: exponents of large sums */
        CHECK_NEAR(budget_frame_loss(&of->lane, &budget, 64 + 20), of->frame_loss_64, 1e-6);
        CHECK_NEAR(budget_frame_loss(&of->lane, &budget, 4096 + 58), of->frame_loss_4096, 1e-6);
        CHECK(of->closes == (budget.margin_db >= of->lane.margin_db - 1e-9));
    }
}

static const struct {
    uint32_t levels;
    double ber, q;
} q_table[] = {
    {2, 0.001, 3.09023230617},
    {2, 0.00024, 3.4916760634},
    {2, 2.1e-05, 4.09619290218},
    {2, 1e-06, 4.75342430882},
    {2, 1e-08, 5.61200124417},
    {2, 1e-12, 7.0344838253},
    {2, 1e-15, 7.94134532617},
    {4, 0.001, 3.00375877191},
    {4, 0.00024, 3.41407055423},
    {4, 2.1e-05, 4.02906136607},
    {4, 1e-06, 4.69495404528},
    {4, 1e-08, 5.56202199862},
    {4, 1e-12, 6.99425788047},
    {4, 1e-15, 7.90559039958},
};

static void test_q_and_bit_errors(void)
{
    for (size_t i = 0; i < sizeof q_table / sizeof q_table[0]; i++) {
        near(q_of_ber(q_table[i].ber, q_table[i].levels), q_table[i].q);
        near(ber_of_q(q_table[i].q, q_table[i].levels), q_table[i].ber);
    }
}

/* KP4 and KR4 are RS(544,514) and RS(528,514), the low-latency code RS(272,258). */
static const struct {
    uint32_t symbols, data_symbols;
    double ber, codeword, frame_64, frame_64_two, frame_4096_two; /* two: interleave of two codewords */
} fec_table[] = {
    {544, 514, 0.001, 0.000153025859, 0.000173000853, 0.000306028302, 0.0011417999},
    {544, 514, 0.00048, 1.60593359e-08, 1.81557978e-08, 3.21186715e-08, 1.19885748e-07},
    {544, 514, 0.00024, 8.1515734e-13, 9.21571849e-13, 1.63031468e-12, 6.08529227e-12},
    {544, 514, 0.0001, 1.35981106e-18, 1.53732726e-18, 2.71962213e-18, 1.01512277e-17},
    {544, 514, 2.1e-05, 2.89586061e-29, 3.2739e-29, 5.79172122e-29, 2.16181065e-28},
    {544, 514, 1e-05, 2.13966977e-34, 2.41899242e-34, 4.27933955e-34, 1.59730095e-33},
    {544, 514, 1e-06, 2.23897924e-50, 2.53126622e-50, 4.47795848e-50, 1.67143721e-49},
    {528, 514, 0.001, 0.160472306, 0.179425156, 0.295193251, 0.729038134},
    {528, 514, 0.00048, 0.00443032893, 0.00500723483, 0.00884103004, 0.03260333},
    {528, 514, 0.00024, 5.1537601e-05, 5.82653681e-05, 0.000103072546, 0.000384673125},
    {528, 514, 0.0001, 8.92691051e-08, 1.00922717e-07, 1.78538202e-07, 6.66409308e-07},
    {528, 514, 2.1e-05, 4.87199115e-13, 5.50800401e-13, 9.74398231e-13, 3.6370267e-12},
    {528, 514, 1e-05, 1.35576893e-15, 1.53275744e-15, 2.71153786e-15, 1.01210524e-14},
    {528, 514, 1e-06, 1.41379774e-23, 1.5983616e-23, 2.82759547e-23, 1.05542477e-22},
    {272, 258, 0.001, 0.00643101539, 0.00809679027, 0.0128206728, 0.0856595148},
    {272, 258, 0.00048, 6.06482568e-05, 7.64209023e-05, 0.000121292835, 0.000841483191},
    {272, 258, 0.00024, 4.17003381e-07, 5.25456558e-07, 8.34006589e-07, 5.78808837e-06},
    {272, 258, 0.0001, 5.2793556e-10, 6.65239731e-10, 1.05587112e-09, 7.32786832e-09},
    {272, 258, 2.1e-05, 2.40956083e-15, 3.03623343e-15, 4.81912165e-15, 3.34452646e-14},
    {272, 258, 1e-05, 6.53974763e-18, 8.24058897e-18, 1.30794953e-17, 9.0773218e-17},
    {272, 258, 1e-06, 6.68147761e-26, 8.41917974e-26, 1.33629552e-25, 9.27404631e-25},
};

static void test_fec(void)
{
    for (size_t i = 0; i < sizeof fec_table / sizeof fec_table[0]; i++) {
        struct fec one = {fec_table[i].symbols, fec_table[i].data_symbols, 1};
        struct fec two = {fec_table[i].symbols, fec_table[i].data_symbols, 2};
        double codeword = fec_codeword_loss(&one, fec_table[i].ber);
        CHECK_NEAR(codeword, fec_table[i].codeword, 1e-7);
        CHECK_NEAR(fec_frame_loss(&one, codeword, 84), fec_table[i].frame_64, 1e-7);
        CHECK_NEAR(fec_frame_loss(&two, codeword, 84), fec_table[i].frame_64_two, 1e-7);
        CHECK_NEAR(fec_frame_loss(&two, codeword, 4154), fec_table[i].frame_4096_two, 1e-7);
    }
    struct fec none = {0, 0, 1};
    CHECK(fec_codeword_loss(&none, 1e-3) == 0);
}

/* IEEE 802.3bs: at the limit of 2.4e-4 fewer than 1.7e-12 of 64-byte frames are lost. Half of that bit error rate is a
 * factor of some 2e4 in frames: the cliff. */
static void test_standard_and_cliff(void)
{
    struct fec kp4 = {544, 514, 2};
    double limit = fec_frame_loss(&kp4, fec_codeword_loss(&kp4, 2.4e-4), 84);
    double twice = fec_frame_loss(&kp4, fec_codeword_loss(&kp4, 4.8e-4), 84);
    CHECK(limit < 1.7e-12 && limit > 1.6e-12);
    CHECK(twice / limit > 1.5e4 && twice / limit < 2.5e4);
}

/* A decibel of loss asks for a decibel of laser, and 10^0.1 of its electricity; the margin falls by it. */
static void test_loss_asks_for_laser(void)
{
    const struct worked *of = &worked[1];
    struct budget base;
    budget_evaluate(&of->lane, &of->path, &base);
    for (int db = 1; db <= 6; db++) {
        struct light_path path = {of->path.loss_db + db, of->path.isolation_db};
        struct budget budget;
        budget_evaluate(&of->lane, &path, &budget);
        CHECK_NEAR(budget.required_laser_dbm - base.required_laser_dbm, db, 1e-9);
        CHECK_NEAR(budget.required_laser_mw / base.required_laser_mw, pow(10, db / 10.0), 1e-9);
        CHECK_NEAR(base.margin_db - budget.margin_db, db, 1e-9);
        CHECK(budget.ber > base.ber);
        CHECK((budget.margin_db < 0) == (db > base.margin_db));
    }
}

/* Crosstalk that closes the eye leaves no margin at any power; so does a laser as loud as its light. */
static void test_floors(void)
{
    struct budget budget;
    struct light_path leaky = {0, 20};
    CHECK(isinf(crosstalk_penalty_db(20, 3.41, 4)));
    CHECK(crosstalk_penalty_db(0, 3.41, 4) == 0);
    budget_evaluate(&worked[0].lane, &leaky, &budget);
    CHECK(isinf(budget.margin_db) && budget.margin_db < 0);
    CHECK(budget.ber > 0.3);
    struct lane loud = worked[0].lane;
    loud.rin_db_hz = -100;
    CHECK(isnan(receiver_sensitivity_mw(&loud, 3.4)));
    struct light_path clear = {0, 0};
    budget_evaluate(&loud, &clear, &budget);
    CHECK(isinf(budget.margin_db) && budget.margin_db < 0);
}

TEST_MAIN("optics", TEST(test_worked_links), TEST(test_q_and_bit_errors), TEST(test_fec), TEST(test_standard_and_cliff),
          TEST(test_loss_asks_for_laser), TEST(test_floors))
