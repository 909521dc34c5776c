#include "netsim/links.h"

#include "netsim/optics/light.h"

static const char *const where_names[] = {"all", "switches", NULL};
static const char *const retry_names[] = {"none", "go_back_n", NULL};

enum where { WHERE_ALL, WHERE_SWITCHES };

const struct param link_rows[LINK_ROW_COUNT] = {
    PARAM_BOOL(struct scenario_links, has_budget, "budget", "yes",
               "links over light lose what their link budgets say (1e-15 of all frames and more)"),
    PARAM_REAL(struct scenario_links, frame_loss, NUMBER, "frame_loss", "0", "0", "0.5",
               "share of full packets that a link loses by bit errors; smaller ones as an RS(544,514) code has it"),
    PARAM_REAL(struct scenario_links, pre_fec_ber, NUMBER, "pre_fec_ber", "0", "0", "0.01",
               "the same by the bit error rate before an RS(544,514) code, two codewords interleaved (IEEE 802.3: at most 2.4e-4)"),
    PARAM_REAL(struct scenario_links, post_fec_ber, NUMBER, "post_fec_ber", "0", "0", "0.0001",
               "the same by the bit error rate after the FEC, every bit for itself"),
    PARAM_CHOICE(struct scenario_links, where, "where", "all", where_names,
                 "which links have such a rate: all; switches: those between switches"),
    PARAM_CHOICE(struct scenario_links, retry, "retry", "none", retry_names,
                 "link-level retry: none: what a link loses the transport repeats; go_back_n: the link does, from the lost frame on (UEC 1.0 LLR, PCIe, CXL)"),
};

/* RS(544,514), of 400GBASE-R two codewords interleaved (IEEE 802.3bs clause 119). */
static const struct fec kp4 = {544, 514, 2}, no_fec = {0, 0, 0};

static bool is_chosen(const struct scenario_links *scenario, const struct fabric *fabric, uint32_t port)
{
    uint32_t peer = fabric->port_peer[port];
    uint32_t far = peer == ID_NONE ? fabric->port_node[port] : fabric->port_node[peer];
    return scenario->where == WHERE_ALL || (fabric->port_node[port] >= fabric->host_count && far >= fabric->host_count);
}

/* The one that is given. */
static struct frame_loss loss_given(const struct scenario_links *scenario, uint64_t packet_bytes)
{
    if (scenario->post_fec_ber > 0) {
        const struct lane lane = {.fec = no_fec};
        const struct budget budget = {.ber = scenario->post_fec_ber};
        return light_loss(&no_fec, budget_frame_loss(&lane, &budget, packet_bytes), packet_bytes);
    }
    double rate = scenario->frame_loss;
    if (scenario->pre_fec_ber > 0) {
        rate = fec_frame_loss(&kp4, fec_codeword_loss(&kp4, scenario->pre_fec_ber), packet_bytes);
    }
    return light_loss(&kp4, rate, packet_bytes);
}

enum status links_errors(const struct scenario_links *scenario, struct fabric *fabric, uint64_t packet_bytes,
                         const struct cell_shape *cells, struct diag *diag)
{
    fabric->port_frame_loss = NULL;
    if (scenario->has_budget) {
        light_frame_loss(fabric, packet_bytes, cells);
    }
    int given = (scenario->frame_loss > 0) + (scenario->pre_fec_ber > 0) + (scenario->post_fec_ber > 0);
    if (given > 1) {
        return diag_set(diag, STATUS_INPUT, "links.frame_loss, links.pre_fec_ber and links.post_fec_ber say the same thing; "
                                            "expected one of them");
    }
    if (given == 0) {
        return STATUS_OK;
    }
    struct frame_loss loss = {.bits_full = 1};
    uint64_t loss_bytes = 0; /* for which `loss` is */
    struct frame_loss *losses = arena_array(fabric->arena, fabric->port_count, struct frame_loss);
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        losses[port] = fabric->port_frame_loss != NULL ? fabric->port_frame_loss[port] : (struct frame_loss){.bits_full = 1};
        uint64_t wire_bytes = fabric_wire_bytes(fabric, cells, port, packet_bytes);
        loss = wire_bytes != loss_bytes ? loss_given(scenario, wire_bytes) : loss;
        loss_bytes = wire_bytes;
        losses[port] = is_chosen(scenario, fabric, port) ? loss : losses[port];
    }
    fabric->port_frame_loss = losses;
    return STATUS_OK;
}

/* A link that repeats loses a frame that fails 65 times, and one with a gate does not repeat. */
bool links_can_lose(const struct scenario_links *scenario, const struct fabric *fabric)
{
    for (uint32_t port = 0; fabric->port_frame_loss != NULL && port < fabric->port_count; port++) {
        uint64_t chance = fabric->port_frame_loss[port].chance;
        bool has_gate = fabric->port_gate != NULL && fabric->port_gate[port] != ID_NONE;
        if (chance > 0 && (scenario->retry == 0 || has_gate || chance > UINT64_C(1) << 63)) {
            return true;
        }
    }
    return false;
}

/* More than six links there and back at an even chance need (4096), and soon enough over to name what never comes through. */
#define TRIES_MAX (UINT64_C(1) << 20)

uint64_t links_tries(const struct scenario_links *scenario, const struct fabric *fabric, uint32_t links)
{
    uint64_t worst = 0, through = UINT64_MAX; /* in units of 2^-64 */
    for (uint32_t port = 0; fabric->port_frame_loss != NULL && scenario->retry == 0 && port < fabric->port_count; port++) {
        uint64_t chance = fabric->port_frame_loss[port].chance;
        worst = chance > worst ? chance : worst;
    }
    for (uint32_t i = 0; i < links; i++) {
        through = (uint64_t)((unsigned __int128)through * (UINT64_MAX - worst) >> 64);
    }
    uint64_t tries = through > 0 ? UINT64_MAX / through : TRIES_MAX;
    return tries < TRIES_MAX ? tries : TRIES_MAX;
}
